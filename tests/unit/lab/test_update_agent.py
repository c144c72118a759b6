# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Clients of a lab search for updates over real HTTP and TLS, as they were told and by what they trust, and refresh their group policies."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests import demo_clients
from tests.lab import update_agent
from tests.lab.engine import WindowsError, apply_changes, read_group_policies, read_update_client
from tests.lab.fleet import FleetError, load
from tests.lab.lab import Lab

from .conftest import Controller, LabMaker

HTTP, HTTPS = "http://wsus01.corp.example:8530", "https://wsus01.corp.example:8531"
KEY = r"HKLM:\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate"
OFFERED = {"wsus01": {"stage": "offered"}}


def local(url: str | None, **more: Any) -> dict[str, Any]:
    return {"domain_member": False, "told": url, **more}


def last(lab: Lab, name: str) -> str | None:
    found = read_update_client(lab.machine(name))["search"]["last"]
    assert found is None or isinstance(found, str)
    return found


def known(lab: Lab, server: str = "wsus01") -> list[tuple[str, str]]:
    with lab.machine(server).lock:
        return [(one["fqdn"], one["address"]) for one in lab.machine(server).document["wsus"].get("computers", [])]


def test_a_search_ends_as_the_server_and_the_machines_own_trust_let_it(make_lab: LabMaker) -> None:
    clients = {
        "plain": local(HTTP),
        "secure": local(HTTPS),
        "slash": local(HTTPS + "/"),
        "distrust": local(HTTPS, trusts_ca=False),
        "shortname": local("https://wsus01:8531"),
        "refused": local("http://wsus01.corp.example:1"),
        "nobody": local("http://wsus77.corp.example:8530"),
        "untold": local(None),
        "nonsense": local("wsus01"),
        "tls-on-http": local("https://wsus01.corp.example:8530"),
        "http-on-tls": local("http://wsus01.corp.example:8531"),
        "ended": local("https://wsus02.corp.example:8531"),
        "managed": local(None, mdm_server=HTTPS),
        "unused": local(HTTP, state={"registry": {KEY + r"\AU": {"UseWUServer": {"kind": "DWord", "data": 0}}}}),
        "halves": local(HTTP, state={"registry": {KEY: {"WUStatusServer": {"kind": "String", "data": HTTPS}}}}),
        "off": local(HTTP, state={"update_client": {"disabled": True}}),
    }
    lab = make_lab({"servers": {**OFFERED, "wsus02": {"stage": "offered", "certificate": "expired"}}, "clients": clients})
    found = {name: lab.search(name) for name in clients}
    assert {name: one.code for name, one in found.items()} == {
        "plain": "0x00000000",
        "secure": "0x00000000",
        "slash": "0x00000000",
        "distrust": "0x80072F8F",
        "shortname": "0x80072F8F",
        "refused": "0x80072EFD",
        "nobody": "0x80072EE7",
        "untold": "0x80244011",
        "nonsense": "0x80244011",
        "tls-on-http": "0x80072F8F",
        "http-on-tls": "0x80072EFE",
        "ended": "0x80072F8F",
        "managed": "0x00000000",
        "unused": "0x80244011",
        "halves": "0x80244011",
        "off": "0x80070422",
    }, [one.why for one in found.values()]
    good = {name for name, one in found.items() if one.succeeded}
    assert {name for name in clients if last(lab, name)} == good
    # Each comes from an address of its own, and the server remembers those that it served.
    assert known(lab) == [(f"{name}.corp.example", f"10.{lab.address(name)[4:]}") for name in clients if name in good]
    assert {name: (one.tls, one.files) for name, one in found.items() if one.succeeded} == {
        name: (name != "plain", 0) for name in good
    }
    assert lab.searches == list(found.values())


def test_a_server_that_requires_tls_turns_away_whoever_comes_over_http(make_lab: LabMaker) -> None:
    lab = make_lab({"servers": {"wsus01": {"stage": "required"}}, "clients": {"old": local(HTTP), "new": local(HTTPS)}})
    assert [(lab.search(name).code, lab.search(name).files) for name in ("old", "new")] == [("0x80244018", None), ("0x00000000", 0)]
    assert known(lab) == [("new.corp.example", f"10.{lab.address('new')[4:]}")]
    with lab.edit("wsus01") as document:
        document["iis"]["application_pools"]["WsusPool"]["state"] = "Stopped"
    assert lab.search("new").code == "0x80244022"
    assert len(known(lab)) == 1


def test_pinned_certificates_alone_are_taken_over_tls_unless_that_is_switched_off(make_lab: LabMaker) -> None:
    lab = make_lab({"servers": OFFERED, "clients": {"pinned": local(HTTPS), "other": local(HTTPS), "off": local(HTTPS), "plain": local(HTTP)}})
    (own,) = lab.machine("wsus01").document["certificates"]["My"].values()
    for name in ("pinned", "other", "off", "plain"):
        der = own["der"] if name == "pinned" else update_agent_der(lab)
        assert apply_changes(lab.machine(name), [{"kind": "trust", "store": "WindowsServerUpdateServices", "der": der}])["failed"] is None
    with lab.edit("off") as document:
        document["registry"][KEY]["DoNotEnforceEnterpriseTLSCertPinningForUpdateDetection"] = {"kind": "DWord", "data": 1}
    assert [lab.search(name).code for name in ("pinned", "other", "off", "plain")] == ["0x00000000", "0x80072F8F", "0x00000000", "0x00000000"]


def update_agent_der(lab: Lab) -> str:
    """A certificate that the server does not show."""
    return lab.authorities.lab.issue("other.corp.example").der_base64


def test_files_come_over_http_beside_and_a_search_says_where_they_do_not(make_lab: LabMaker) -> None:
    lab = make_lab({"servers": OFFERED, "clients": {"pc": local(HTTPS)}})
    with lab.edit("wsus01") as document:
        document["iis"]["sites"][0]["bindings"] = [one for one in document["iis"]["sites"][0]["bindings"] if one["protocol"] == "https"]
    done = lab.search("pc")
    assert (done.succeeded, done.files) == (True, 0x80072EFD)


def test_who_does_not_answer_in_time_makes_a_search_fail(make_lab: LabMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(update_agent, "_PATIENCE", 0.3)
    lab = make_lab({"servers": OFFERED, "clients": {"pc": {}}})
    with silent(lab.address("wsus01")) as port:
        with lab.edit("pc") as document:
            document["registry"][KEY] = {
                name: {"kind": "String", "data": f"http://wsus01.corp.example:{port}"} for name in ("WUServer", "WUStatusServer")
            }
            document["registry"][KEY + r"\AU"] = {"UseWUServer": {"kind": "DWord", "data": 1}}
        assert lab.search("pc").code == "0x80072EE2"


@contextmanager
def silent(address: str) -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.create_server((address, 0)) as server:
        yield server.getsockname()[1]


def test_detect_now_has_the_machine_search_by_itself(make_lab: LabMaker) -> None:
    lab = make_lab({"servers": OFFERED, "clients": {"good": local(HTTPS), "bad": local(HTTPS, trusts_ca=False)}})
    for name in ("good", "bad"):
        assert apply_changes(lab.machine(name), [{"kind": "detect_now"}])["failed"] is None
    until = time.monotonic() + 20
    while len(lab.searches) < 2 and time.monotonic() < until:
        time.sleep(0.02)
    assert sorted((one.client, one.code) for one in lab.searches) == [("bad", "0x80072F8F"), ("good", "0x00000000")]
    assert (last(lab, "good") is not None, last(lab, "bad")) == (True, None)


# --- the modules -----------------------------------------------------------------------------------------------------


def searched_by(lab: Lab, name: str, **options: Any) -> list[dict[str, Any]]:
    """What the action plugin of win_updates gets to read."""
    controller = Controller(lab, name)
    module = "ansible.windows.win_updates"
    given = {"state": "searched", "server_selection": "managed_server", **options}
    started = controller.module(module, **given, _operation="start", _operation_options={})
    assert not started.get("failed"), started
    polled = controller.module(module, _operation="poll", _operation_options=started["poll_options"])
    assert not controller.module(module, _operation="cancel", _operation_options=started["cancel_options"]).get("failed")
    assert controller.module(module, _operation="poll", _operation_options=started["poll_options"])["failed"]
    output: list[dict[str, Any]] = polled["output"]
    return output


def test_a_script_searches_for_real_and_that_is_no_search_of_the_machines_own(make_lab: LabMaker) -> None:
    lab = make_lab({"servers": OFFERED, "clients": {"good": local(HTTPS), "bad": local(HTTPS, trusts_ca=False)}})
    found, ended = searched_by(lab, "good")
    assert (found["task"], found["result"]) == ("search_result", {"updates": [], "filtered": []})
    assert (ended["task"], ended["result"]["failed"], ended["result"]["changed"]) == ("exit", False, False)
    (ended,) = searched_by(lab, "bad")
    assert ended["result"]["failed"]
    assert ended["result"]["exception"]["hresult"] & 0xFFFFFFFF == 0x80072F8F
    assert ended["result"]["exception"]["hresult"] < 0
    assert ended["result"]["exception"]["message"] == "Searching for updates: Exception from HRESULT: 0x80072F8F"
    assert [(one.client, one.by) for one in lab.searches] == [("good", "script"), ("bad", "script")]
    assert last(lab, "good") is None
    assert [name for name, _rest in known(lab)] == ["good.corp.example"]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"state": "installed"}, "state=installed"),
        ({"server_selection": "default"}, "server_selection=default"),
        ({"server_selection": "windows_update"}, "server_selection=windows_update"),
    ],
)
def test_any_other_use_of_win_updates_is_refused_by_name(make_lab: LabMaker, options: dict[str, Any], named: str) -> None:
    lab = make_lab({"servers": OFFERED, "clients": {"pc": local(HTTPS)}})
    given = {"state": "searched", "server_selection": "managed_server", **options}
    refused = Controller(lab, "pc").module("ansible.windows.win_updates", **given)
    assert refused["failed"]
    assert named in refused["msg"]
    assert lab.searches == []


POLICIES: dict[str, Any] = {
    "Servers": {"url": HTTP, "values": [{"key": "AU", "name": "AUOptions", "type": "DWord", "data": 3}]},
    "Pilot": {"values": [{"key": "AU", "name": "AUOptions", "type": "DWord", "data": 0, "action": "Delete"}]},
    "Off": {"url": "http://off.corp.example:8530", "status": "ComputerSettingsDisabled"},
    "Old": {"url": "http://old.corp.example:8530"},
}


def options_of(lab: Lab, name: str) -> tuple[Any, Any, Any]:
    found = read_update_client(lab.machine(name))
    winning = [(one["policy"].partition(",")[2], one["precedence"]) for one in found["winning_policies"]]
    return found["policy"].get("WUServer"), found["automatic_updates"], winning


def test_a_refresh_brings_what_the_policies_that_apply_say_in_their_order(make_lab: LabMaker) -> None:
    clients: dict[str, Any] = {
        "all": {},
        "pilot": {"group_policies": ["Pilot", "Servers"]},
        "last": {"group_policies": ["Servers", "Pilot"]},
        "off": {"group_policies": ["Off"]},
        "none": {"group_policies": []},
        "alone": local(HTTP),
    }
    lab = make_lab({"servers": OFFERED, "clients": clients, "group_policies": POLICIES})
    path = "cn=policies,cn=system,DC=corp,DC=example"
    expected: dict[str, tuple[Any, Any, Any]] = {
        "all": (HTTP, {"AUOptions": 3, "UseWUServer": 1}, [(path, 1), (path, 2)]),
        "pilot": (HTTP, {"UseWUServer": 1}, [(path, 1)]),
        "last": (HTTP, {"AUOptions": 3, "UseWUServer": 1}, [(path, 1)]),
        "off": (None, {}, []),
        "none": (None, {}, []),
        "alone": (HTTP, {"UseWUServer": 1}, []),
    }
    assert {name: options_of(lab, name) for name in clients} == expected
    (servers,) = read_group_policies(lab.machine("all"), [{"name": "Servers"}])
    first = read_update_client(lab.machine("all"))["winning_policies"][0]["policy"]
    assert first == f"cn={{{servers['guid'].upper()}}},{path}"

    # The policy is another: nobody has it before the next refresh, and who is in no domain never does.
    change = {"kind": "group_policy", "guid": servers["guid"], "domain": None, "server": None, "key": servers["values"][0]["key"], "type": "String"}
    assert apply_changes(lab.machine("wsus01"), [{**change, "values": {"WUServer": HTTPS, "WUStatusServer": HTTPS}}])["failed"] is None
    assert {name: options_of(lab, name) for name in clients} == expected
    for name in clients:
        answer = Controller(lab, name).module("ansible.windows.win_command", argv=["gpupdate.exe", "/target:computer", "/wait:120"])
        assert (answer["rc"], answer["changed"], "completed successfully" in answer["stdout"]) == (0, True, True)
    moved = {"all", "pilot", "last"}
    assert {name: options_of(lab, name)[0] for name in clients} == {name: HTTPS if name in moved else expected[name][0] for name in clients}

    # What no policy says any more goes.
    with lab.edit("last") as document:
        document["computer"]["linked_policies"] = []
    lab.refresh("last")
    assert options_of(lab, "last") == (None, {}, [])


def test_a_refresh_without_a_domain_controller_fails_and_changes_nothing(make_lab: LabMaker) -> None:
    lab = make_lab({"servers": OFFERED, "clients": {"pc": {"group_policies": ["Old"]}}, "group_policies": POLICIES})
    before = options_of(lab, "pc")
    with lab.edit("pc") as document:
        document["computer"]["linked_policies"] = ["Servers"]
    lab.arm("pc", changes={"gpupdate": "The processing of Group Policy failed because of lack of network connectivity to a domain controller."})
    answer = Controller(lab, "pc").module("ansible.windows.win_command", _raw_params="gpupdate.exe /target:computer /wait:600")
    assert (answer["failed"], answer["rc"], answer["msg"]) == (True, 1, "non-zero return code")
    assert "lack of network connectivity" in answer["stdout"]
    assert options_of(lab, "pc") == before
    with pytest.raises(WindowsError):
        lab.refresh("pc")
    lab.heal()
    lab.refresh("pc")
    assert options_of(lab, "pc")[0] == HTTP


@pytest.mark.parametrize(
    "given",
    [
        {"_raw_params": "whoami"},
        {"_raw_params": "gpupdate.exe /force"},
        {"argv": ["gpupdate.exe", "/target:computer", "/wait:601"]},
        {"cmd": "gpupdate.exe /target:computer /wait:60 & del C:\\"},
        {"argv": ["gpupdate.exe", "/target:computer", "/wait:60"], "chdir": "C:\\"},
        {"argv": ["gpupdate.exe", "/target:computer", "/wait:60"], "cmd": "whoami"},
        {},
    ],
)
def test_any_other_command_is_refused(make_lab: LabMaker, given: dict[str, Any]) -> None:
    lab = make_lab({"servers": OFFERED, "clients": {"pc": {}}})
    answer = Controller(lab, "pc").module("ansible.windows.win_command", **given)
    assert answer["failed"]
    assert "rc" not in answer


def test_who_may_not_edit_a_policy_and_who_has_no_cmdlets_is_told_so_by_the_error(make_lab: LabMaker) -> None:
    policies = {name: {"url": HTTP, "access": access} for name, access in (("open", "edit"), ("locked", "read"), ("hidden", "none"))}
    lab = make_lab({"servers": OFFERED, "clients": {"without": {"group_policy_cmdlets": False}}, "group_policies": policies})
    found = {one["name"]: one for one in read_group_policies(lab.machine("wsus01"), [{"name": name} for name in policies])}
    assert {name: one["error"] and one["error"]["hresult"] for name, one in found.items()} == {"open": None, "locked": None, "hidden": "0x80070005"}
    change = {"domain": None, "server": None, "key": found["open"]["values"][0]["key"], "type": "String", "values": {"WUServer": HTTPS}}
    for name, hresult in (("open", None), ("locked", "0x80070005")):
        failed = apply_changes(lab.machine("wsus01"), [{"kind": "group_policy", "guid": found[name]["guid"], **change}])["failed"]
        assert (failed and failed["hresult"]) == hresult
        assert failed is None or failed["type"] == "System.UnauthorizedAccessException"
    assert read_group_policies(lab.machine("wsus01"), [{"name": "locked"}])[0]["values"] == found["locked"]["values"]
    (without,) = read_group_policies(lab.machine("without"), [{"name": "open"}])
    assert without["error"]["id"] == "CommandNotFoundException"
    # A machine takes over what its policies say, whoever may edit them.
    assert options_of(lab, "without")[2][0][1] == 1


# --- fleets ----------------------------------------------------------------------------------------------------------


def test_a_range_stands_for_many_clients() -> None:
    def names(*given: str) -> list[str]:
        return list(load({"servers": {"wsus01": {}}, "clients": {one: {"searches": 22} for one in given}}).clients)

    assert names("pc[08:11]", "alone") == ["pc08", "pc09", "pc10", "pc11", "alone"]
    assert names("pc[1:5:2]", "lab[a:b][1:2]") == ["pc1", "pc3", "pc5", "laba1", "laba2", "labb1", "labb2"]


def test_the_demo_has_fifty_clients_and_a_policy_for_those_of_each_server() -> None:
    demo = load(demo_clients.fleet())
    assert len(demo.clients) == 50
    assert {policy for client in demo.clients.values() for policy in client.group_policies or ()} == set(demo_clients.POLICIES.values())


@pytest.mark.parametrize(
    ("clients", "message"),
    [
        ({"pc[5:1]": {}}, "empty"),
        ({"pc[1:b]": {}}, "no range"),
        ({"pc[1:2": {}}, "cannot be a machine's name"),
        ({"pc": {"searches": 0}}, "searches"),
        ({"pc": {"searches": "often"}}, "pc: "),
        ({"pc": {"away": [[3, 2]]}}, "away"),
        ({"pc": {"away": [3]}}, "pc: "),
        ({"pc": {"group_policies": ["WSUS"]}}, "no group policy WSUS"),
    ],
)
def test_what_a_client_cannot_be_is_refused(clients: dict[str, Any], message: str) -> None:
    with pytest.raises(FleetError, match=message):
        load({"servers": {"wsus01": {}}, "clients": clients})
