# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The audit of a whole fleet through its playbook: what it says, when it fails, and that it changes nothing."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.controller import Controller, Run
from tests.integration.rollouts import set_variables
from tests.lab.tls import can_ask

AUDIT = "securepatch.wsus.audit"
FLEET: dict[str, Any] = {
    "servers": {
        "wsus01": {"stage": "required"},
        "wsus02": {"stage": "offered", "upstream": "wsus01", "certificate": "short_lived"},
        "wsus03": {"upstream": "wsus01", "faults": {"unreachable": True}},
    }
}
ONE: dict[str, Any] = {"servers": {"wsus01": {"stage": "offered"}}}

Start = Callable[..., Controller]


def audit(fleet: Controller, *arguments: str, **variables: Any) -> Run:
    """Run the audit. Whatever comes of it, no host is unreachable to Ansible, nothing is changed, and nobody sees a traceback."""
    names = list(fleet.lab.fleet.servers)
    before = {name: contents(fleet, name) for name in names}
    run = fleet.playbook(AUDIT, *arguments, **variables)
    assert not run.unreachable, run.output
    assert not run.changed
    assert "Traceback" not in run.output
    assert "Unhandled exception" not in run.output
    assert {name: contents(fleet, name) for name in names} == before
    assert [one for one in fleet.lab.raw_commands if one.command in {"restart", "refused"}] == []
    return run


def contents(fleet: Controller, name: str) -> dict[str, Any]:
    """All that a machine is."""
    machine = fleet.lab.machine(name)
    with machine.lock:
        return copy.deepcopy(machine.document)


def document(fleet: Controller, folder: str = "wsus-audit") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((fleet.folder / folder / "audit.json").read_text(encoding="utf-8"))
    return found


def results(found: dict[str, Any], server: str) -> dict[str, str]:
    one = next(each for each in found["servers"] if each["name"] == server)
    return {finding["check"]: finding["result"] for finding in one["findings"]}


def finding(found: dict[str, Any], server: str, check: str) -> dict[str, Any]:
    one = next(each for each in found["servers"] if each["name"] == server)
    return next(dict(each) for each in one["findings"] if each["check"] == check)


def reason(found: dict[str, Any], server: str, check: str) -> str:
    one = finding(found, server, check)
    return str(one["reason"] or one["seen"])


def test_a_fleet_is_audited_in_one_trip_a_server_and_one_that_is_away_is_a_finding(controller: Start) -> None:
    fleet = controller(FLEET)
    run = audit(fleet)
    assert run.code == 0, run.output
    assert {name: sum(counts.values()) for name, counts in fleet.lab.counts().items()} == {"wsus01": 2, "wsus02": 2}, "what it is, and who calls it"
    found = document(fleet)
    assert {one["name"]: one["reached"] for one in found["servers"]} == {"wsus01": True, "wsus02": True, "wsus03": False}
    away = results(found, "wsus03")
    assert away["reachable"] == "fail"
    assert "refused" in reason(found, "wsus03", "reachable")
    assert results(found, "wsus01")["tls_required"] == "pass"
    assert results(found, "wsus01")["views_agree"] == "pass"
    assert results(found, "wsus02")["tls_required"] == "fail"
    assert results(found, "wsus02")["certificate_days"] == "fail"
    assert {name for name in ("audit.json", "audit.html", "audit.xml") if (fleet.folder / "wsus-audit" / name).stat().st_size > 1000} == {
        "audit.json",
        "audit.html",
        "audit.xml",
    }
    told = "\n".join(run.of("Show the summary")["msg"])
    assert "3 WSUS servers audited: 3 high" in told
    assert "The server can be looked at: fails on 1 of 3 [reachable]" in told


@pytest.mark.parametrize(("fail_on", "code"), [("never", 0), ("low", 2), ("medium", 2), ("high", 2)])
def test_the_run_fails_where_it_was_asked_to(fail_on: str, code: int, controller: Start) -> None:
    fleet = controller(ONE)
    run = audit(fleet, audit_fail_on=fail_on)
    assert run.code == code, run.output
    # The report is there all the same, and what it says is shown.
    assert document(fleet)["summary"]["failures"]["high"] >= 1
    assert "1 WSUS servers audited: 1 high" in run.of("Show the summary")["msg"]
    if code:
        assert f"audit_fail_on: {fail_on}" in run.of("Fail where it was asked for")["msg"]


def test_a_run_does_not_fail_for_what_is_less_bad(controller: Start) -> None:
    # Of a server that requires TLS and is patched, how its pool is set is the worst.
    fleet = controller({"servers": {"wsus01": {"stage": "required", "build": "20348.9999"}}})
    assert audit(fleet, audit_fail_on="medium").code == 0, document(fleet)["summary"]
    assert audit(fleet, audit_fail_on="low").code == 2, document(fleet)["summary"]


def test_another_word_to_fail_on_is_refused_by_name(controller: Start) -> None:
    fleet = controller(ONE)
    run = audit(fleet, audit_fail_on="grave")
    assert run.code == 2
    assert "grave" in run.of("Write the report")["msg"]


def test_check_mode_writes_the_same_report(controller: Start) -> None:
    fleet = controller(ONE)
    assert audit(fleet, "--check", audit_folder="foretold").code == 0
    assert audit(fleet).code == 0
    assert results(document(fleet, "foretold"), "wsus01") == results(document(fleet), "wsus01")


def test_a_limit_audits_those_servers_alone(controller: Start) -> None:
    fleet = controller(FLEET)
    run = audit(fleet, "--limit", "wsus02")
    assert run.code == 0, run.output
    found = document(fleet)
    assert [one["name"] for one in found["servers"]] == ["wsus02"]
    assert set(fleet.lab.counts()) == {"wsus02"}


def test_what_changed_since_an_earlier_audit_is_told(controller: Start) -> None:
    fleet = controller(ONE)
    assert audit(fleet, audit_folder="before").code == 0
    fleet.lab.arm("wsus01", unreachable=True)
    run = audit(fleet, previous=str(fleet.folder / "before" / "audit.json"))
    assert run.code == 0, run.output
    changed = document(fleet)["changes"]
    assert changed["since"] == document(fleet, "before")["created"]
    assert "reachable" in {one["check"] for one in changed["new_failures"]}
    fleet.lab.heal()
    assert audit(fleet, audit_folder="after", previous=str(fleet.folder / "wsus-audit" / "audit.json")).code == 0
    assert "reachable" in {one["check"] for one in document(fleet, "after")["changes"]["mended"]}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read"),
        ("{", "is no JSON"),
        ("[]", "it is no audit of this collection's"),
        ('{"schema": "securepatch.wsus.audit", "version": 2, "servers": []}', "it is an audit of version 2"),
    ],
)
def test_an_earlier_audit_that_is_none_is_refused_by_name(content: str | None, said: str, controller: Start) -> None:
    fleet = controller(ONE)
    file: Path = fleet.folder / "earlier.json"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    run = audit(fleet, previous=str(file))
    assert run.code == 2, run.output
    told = run.of("Write the report")["msg"]
    assert str(file) in told
    assert said in told
    assert not (fleet.folder / "wsus-audit").exists()


def test_a_folder_that_cannot_be_written_is_told(controller: Start) -> None:
    fleet = controller(ONE)
    (fleet.folder / "taken").write_text("a file", encoding="utf-8")
    run = audit(fleet, audit_folder="taken/wsus-audit")
    assert run.code == 2, run.output
    told = run.of("Write the report")["msg"]
    assert "The report cannot be written to" in told
    assert "taken/wsus-audit" in told


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_ca_file_that_is_none_is_told_and_the_server_is_audited_by_what_it_says(content: str | None, controller: Start) -> None:
    fleet = controller(ONE)
    file: Path = fleet.folder / "corp-ca.pem"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    run = audit(fleet, https_server_ca_file=str(file))
    assert run.code == 0, run.output
    found = document(fleet)
    assert results(found, "wsus01")["certificate_trusted"] == "not_known"
    assert str(file) in reason(found, "wsus01", "certificate_trusted")
    assert results(found, "wsus01")["binding"] == "pass"
    assert results(found, "wsus01")["views_agree"] == "not_known"


def test_a_ca_that_did_not_issue_the_certificate_is_a_finding(controller: Start) -> None:
    fleet = controller(ONE)
    assert audit(fleet, https_server_ca_file=str(fleet.lab.other_ca_file)).code == 0
    found = document(fleet)
    assert results(found, "wsus01")["certificate_trusted"] == "fail"
    assert results(found, "wsus01")["services_over_https"] == "pass"


@pytest.mark.skipif(not (can_ask("1.0") and can_ask("1.1")), reason="this OpenSSL has no TLS 1.0 or 1.1")
def test_the_versions_of_tls_that_a_port_takes_are_found_out_be_they_all_too_old(controller: Start) -> None:
    fleet = controller(
        {
            "servers": {
                "wsus01": {"stage": "required", "tls": ["1.0", "1.1", "1.2"]},
                "wsus02": {"stage": "required", "tls": ["1.2", "1.3"]},
                "wsus03": {"stage": "required", "tls": ["1.0", "1.1"]},
            }
        }
    )
    run = audit(fleet)
    assert run.code == 0, run.output
    found = document(fleet)
    seen = {name: finding(found, name, "tls_versions") for name in ("wsus01", "wsus02", "wsus03")}
    assert {name: (one["result"], one["network_says"], one["server_says"]) for name, one in seen.items()} == {
        "wsus01": ("fail", "takes TLS 1.0, TLS 1.1, TLS 1.2", "TLS 1.0 on, TLS 1.1 on, TLS 1.2 on, TLS 1.3 off"),
        "wsus02": ("pass", "takes TLS 1.2, TLS 1.3", "TLS 1.0 off, TLS 1.1 off, TLS 1.2 on, TLS 1.3 on"),
        "wsus03": ("fail", "takes TLS 1.0, TLS 1.1", "TLS 1.0 on, TLS 1.1 on, TLS 1.2 off, TLS 1.3 off"),
    }
    for name in ("wsus01", "wsus02"):
        assert {results(found, name)[check] for check in ("binding", "services_over_https", "views_agree")} == {"pass"}, name
    # With that one an ordinary client gets no TLS: each check that stands on it says why, and what does not goes on.
    told = f"{fleet.lab.address('wsus03')}:8531 takes TLS 1.0, TLS 1.1 only, and the controller asks for TLS 1.2 or newer"
    old = results(found, "wsus03")
    assert (old["services_over_https"], reason(found, "wsus03", "services_over_https")) == ("fail", told)
    assert (old["certificate_trusted"], told in reason(found, "wsus03", "certificate_trusted")) == ("not_known", True)
    assert (old["binding"], finding(found, "wsus03", "binding")["network_says"]) == ("pass", told)
    assert old["views_agree"] == "pass", "it takes TLS, as it says; what is wrong is which"
    assert {old[check] for check in ("certificate_days", "content_over_http", "tls_required")} == {"pass"}
    assert "TLS 1.0 and 1.1 are off, 1.2 or 1.3 is on: fails on 2 of 3 [tls_versions]" in "\n".join(run.of("Show the summary")["msg"])


def test_where_the_controller_is_told_not_to_look_nothing_is_said_of_the_network(controller: Start) -> None:
    fleet = controller(ONE)
    assert audit(fleet, audit_look_from="none").code == 0
    found = results(document(fleet), "wsus01")
    network = ("certificate_trusted", "services_over_https", "content_over_http", "no_redirect", "tls_versions", "views_agree")
    assert {check: found[check] for check in network} == dict.fromkeys(network, "not_known")
    assert found["binding_served"] == "pass"


def test_a_host_with_a_variable_that_is_none_does_not_take_the_report_from_the_others(controller: Start) -> None:
    fleet = controller({"servers": {"wsus01": {"stage": "offered"}, "wsus02": {"upstream": "wsus01"}}})
    set_variables(fleet.lab, "wsus01", https_server_port="none")
    run = audit(fleet)
    assert run.code == 2, run.output
    found = document(fleet)
    assert {one["name"]: one["reached"] for one in found["servers"]} == {"wsus01": False, "wsus02": True}
    assert "https_port" in reason(found, "wsus01", "reachable")


def test_slices_put_together_judge_what_takes_more_than_one_server(controller: Start) -> None:
    fleet = controller({"servers": {"wsus01": {"stage": "offered"}, "wsus02": {"upstream": "wsus01"}}})
    for name in ("wsus01", "wsus02"):
        assert audit(fleet, "--limit", name, audit_folder=f"slices/{name}").code == 0
    assert results(document(fleet, "slices/wsus01"), "wsus01")["inventory"] == "fail"
    files = [str(fleet.folder / "slices" / name / "audit.json") for name in ("wsus01", "wsus02")]
    report = {"name": "One report", "securepatch.wsus.report": {"merge": files, "folder": str(fleet.folder / "wsus-audit")}}
    run = fleet.playbook([{"hosts": "localhost", "gather_facts": False, "tasks": [report]}])
    assert run.code == 0, run.output
    found = document(fleet)
    assert results(found, "wsus01")["inventory"] == "pass"
    assert found["about"]["slices"] == 2


# --- the move of the clients ----------------------------------------------------------------------------------------------

FOLDER = r"C:\inetpub\logs\LogFiles\W3SVC1634923"
FIELDS = "#Fields: date time s-ip cs-method cs-uri-stem s-port c-ip sc-status sc-substatus"
MARKUP = "<img src=x onerror=alert(1)>.corp.example"


def logged(*calls: tuple[int, int, str, str]) -> dict[str, Any]:
    """A machine whose log has these calls: how many days ago, on which port, from whom, and with which answer."""
    files: dict[str, list[str]] = {}
    for days, port, address, status in sorted(calls, reverse=True):
        at = datetime.now(UTC) - timedelta(days=days, minutes=5)
        line = f"{at:%Y-%m-%d %H:%M:%S} 10.0.0.5 POST /ClientWebService/client.asmx {port} {address} {status}"
        files.setdefault(f"{FOLDER}\\u_ex{at:%y%m%d}.log", [FIELDS]).append(line)
    return {"files": {path: "\n".join(lines) + "\n" for path, lines in files.items()}}


def computer(number: int, days: float, address: str, fqdn: str | None = None) -> dict[str, str]:
    last = datetime.now(UTC) - timedelta(days=days)
    return {"id": f"id-{number}", "fqdn": fqdn or f"pc{number}.corp.example", "address": address, "last_sync": f"{last:%Y-%m-%dT%H:%M:%SZ}"}


def told(url: str) -> dict[str, Any]:
    """A client that was told this URL by its own policy."""
    key = r"HKLM:\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate"
    server = {name: {"kind": "String", "data": url} for name in ("WUServer", "WUStatusServer")}
    return {"state": {"registry": {key: server, key + r"\AU": {"UseWUServer": {"kind": "DWord", "data": 1}}}}}


MOVING: dict[str, Any] = {
    "servers": {
        # It requires TLS and turned away three: one whose name is markup, one that may be back, and one that nobody knows.
        "wsus01": {
            "stage": "required",
            "state": {
                **logged(
                    (1, 8531, "10.1.0.7", "200 0"),
                    (1, 8530, "10.1.0.8", "403 4"),
                    (2, 8530, "10.1.0.8", "403 4"),
                    (3, 8530, "10.1.0.9", "403 4"),
                    (3, 8530, "10.1.0.10", "403 4"),
                    (2, 8530, "127.0.0.1", "403 4"),
                    (9, 8530, "10.1.0.11", "403 4"),
                ),
                "wsus": {"computers": [computer(8, 5, "10.1.0.8", MARKUP), computer(9, 0.5, "10.1.0.9"), computer(30, 20, "10.1.0.30")]},
            },
        },
        # It still has callers over HTTP.
        "wsus02": {
            "stage": "offered",
            "upstream": "wsus01",
            "state": {
                **logged(
                    (1, 8530, "10.1.0.20", "200 0"), (1, 8530, "10.1.0.21", "200 0"), (1, 8531, "10.1.0.22", "200 0"), (1, 8531, "10.1.0.23", "503 0")
                ),
                "wsus": {"computers": [computer(20, 1, "10.1.0.20")]},
            },
        },
        # Its log cannot be read: the connection breaks.
        "wsus03": {
            "stage": "required",
            "upstream": "wsus01",
            "faults": {"drop": {"when": "before", "module": "wsus_traffic", "times": "always"}},
        },
        # Nothing can have moved here.
        "wsus04": {"upstream": "wsus01", "state": logged((1, 8530, "10.1.0.40", "200 0"))},
    },
    "clients": {
        "moved": told("https://wsus01.corp.example:8531"),
        "left": told("http://wsus02.corp.example:8530"),
        "elsewhere": told("https://wsus09.corp.example:8531"),
        "away": {"faults": {"unreachable": True}},
    },
}


def test_who_calls_each_server_is_told_and_who_was_turned_away_is_a_finding(controller: Start) -> None:
    fleet = controller(MOVING)
    run = audit(fleet)
    assert run.code == 0, run.output
    found = document(fleet)
    servers = {one["name"]: one for one in found["servers"]}
    counts = {
        name: {key: one["traffic"][key]["number"] for key in ("over_http", "turned_away", "not_seen", "only_fail_over_tls")}
        for name, one in servers.items()
        if one["traffic"]
    }
    assert counts == {
        "wsus01": {"over_http": 0, "turned_away": 3, "not_seen": 1, "only_fail_over_tls": 0},
        "wsus02": {"over_http": 2, "turned_away": 0, "not_seen": 0, "only_fail_over_tls": 1},
    }
    assert [one["names"] for one in servers["wsus02"]["traffic"]["over_http"]["first"]] == [[], ["pc20.corp.example"]]
    away = finding(found, "wsus01", "turned_away")
    assert (away["result"], away["severity"]) == ("fail", "medium")
    assert f"10.1.0.8 ({MARKUP}) (twice" in away["seen"].replace("(2 times", "(twice")
    assert "10.1.0.10 (once" in away["seen"]
    assert "1 of 3 may be back" in away["seen"]
    assert "127.0.0.1" not in away["seen"], "the server itself is no client"
    assert "10.1.0.11" not in away["seen"], "that was before these days"
    assert "state: absent" in away["mend"]
    assert {name: results(found, name)["turned_away"] for name in servers} == {
        "wsus01": "fail",
        "wsus02": "not_applicable",
        "wsus03": "not_known",
        "wsus04": "not_applicable",
    }
    assert "wsus04" not in {trip.server for trip in fleet.lab.trips if trip.module.endswith("wsus_traffic")}
    lost = servers["wsus03"]
    assert (lost["reached"], lost["traffic"], results(found, "wsus03")["binding"]) == (True, None, "pass")
    assert "connection" in lost["traffic_problem"].lower()
    html = (fleet.folder / "wsus-audit" / "audit.html").read_text(encoding="utf-8")
    assert "<img" not in html
    assert "&lt;img src=x" in html
    summary = "\n".join(run.of("Show the summary")["msg"])
    assert "Addresses on 2 servers: 2 served over plain HTTP, 3 turned away; 1 computers not seen." in summary
    assert "Nobody is turned away who still comes over plain HTTP: fails on 1 of 4 [turned_away]" in summary

    with fleet.lab.edit("wsus02") as machine:
        machine["files"] = logged((1, 8530, "10.1.0.20", "200 0"))["files"]
    again = audit(fleet, audit_folder="later", previous=str(fleet.folder / "wsus-audit" / "audit.json"))
    assert again.code == 0, again.output
    later = next(one for one in document(fleet, "later")["servers"] if one["name"] == "wsus02")
    assert ([one["over_http"] for one in later["traffic_before"]], later["traffic"]["over_http"]["number"]) == ([2], 1)
    assert "2 &#x2192; 1" in (fleet.folder / "later" / "audit.html").read_text(encoding="utf-8")


def test_clients_of_the_inventory_are_looked_at_and_one_that_is_away_fails_nothing(controller: Start) -> None:
    fleet = controller(MOVING)
    run = audit(fleet, audit_traffic_days=0)
    assert run.code == 0, run.output
    found = document(fleet)
    assert not [trip for trip in fleet.lab.trips if trip.module.endswith("wsus_traffic")]
    assert {one["name"]: (one["reached"], one["server"], one["findings"][0]["result"]) for one in found["clients"]} == {
        "moved": (True, "wsus01", "pass"),
        "left": (True, "wsus02", "fail"),
        "elsewhere": (True, None, "fail"),
        "away": (False, None, "not_known"),
    }
    said = {one["name"]: one["findings"][0]["seen"] or one["findings"][0]["reason"] for one in found["clients"]}
    assert "its own policy" in said["left"]
    assert "which is not https" in said["left"]
    assert "none of the audited servers" in said["elsewhere"]
    assert "refused" in said["away"]
    assert "4 clients looked at: 1 passed, 2 failed, 1 not known." in run.of("Show the summary")["msg"]
    assert audit(fleet, audit_traffic_days=0, audit_clients="none", audit_folder="without").code == 0
    assert document(fleet, "without")["clients"] == []


@pytest.mark.parametrize("inventory", ["absent", "empty"])
def test_without_clients_nothing_is_said_of_them(inventory: str, controller: Start) -> None:
    fleet = controller(ONE)
    if inventory == "empty":
        hosts = yaml.safe_load(fleet.lab.inventory.read_text(encoding="utf-8"))
        fleet.lab.inventory.write_text(yaml.safe_dump({**hosts, "wsus_clients": {"hosts": {}}}), encoding="utf-8")
    run = audit(fleet)
    assert run.code == 0, run.output
    assert "WARNING" not in run.output
    assert document(fleet)["clients"] == []


def test_days_that_make_no_sense_are_refused_by_name_before_anybody_is_asked(controller: Start) -> None:
    fleet = controller(ONE)
    run = audit(fleet, audit_traffic_days=60)
    assert run.code == 2, run.output
    assert run.of("Audit every server")["msg"] == "wsus01: absent_days is 60; it has to be more than traffic_days (60) and at most 3650."
    assert fleet.lab.counts() == {}
