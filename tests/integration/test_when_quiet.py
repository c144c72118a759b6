# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""TLS that is required once nobody needs plain HTTP any more: by the role and by the rollout, over servers with a log of the last days."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.integration.controller import Controller, Run
from tests.integration.rollouts import change_trips, requires, rollout, said, table
from tests.lab.lab import Lab

PLAY = [{"hosts": "wsus_servers", "gather_facts": False, "roles": ["securepatch.wsus.https_server"]}]
QUICK = {"https_server_restart": "services", "https_server_cold_seconds": 2, "https_server_check_timeout": 3}
FOLDER = r"C:\inetpub\logs\LogFiles\W3SVC1634923"
FIELDS = "#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) cs(Referer) sc-status sc-substatus"
#: As the best practices want it.
POOL = {
    "queue_length": 2000,
    "idle_timeout_minutes": 0,
    "ping_enabled": False,
    "private_memory_kb": 0,
    "recycle_interval_minutes": 0,
}
DAY = timedelta(days=1)

Start = Callable[..., Controller]


def line(at: datetime, address: str, port: int = 8531, status: str = "200 0", service: str = "ClientWebService/client.asmx") -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} 10.0.0.5 POST /{service} - {port} - {address} Windows-Update-Agent/10.0 - {status} 0"


def log(*more: str, days: int = 10) -> dict[str, str]:
    """The log of a server whose one client comes over TLS every day, and what else there is in it: a file for each day, by its path."""
    now = datetime.now(UTC).replace(hour=0, minute=1, second=0, microsecond=0)
    lines = [*(line(now - back * DAY, "10.1.0.7") for back in range(days)), *more]
    files: dict[str, list[str]] = {}
    for one in sorted(lines):
        files.setdefault(f"{FOLDER}\\u_ex{one[2:10].replace('-', '')}.log", [FIELDS]).append(one)
    return {path: "\n".join(content) + "\n" for path, content in files.items()}


def ago(days: float) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)


def computer(number: int, last: datetime, address: str) -> dict[str, str]:
    return {"id": f"id-{number}", "fqdn": f"pc{number}.corp.example", "address": address, "last_sync": f"{last:%Y-%m-%dT%H:%M:%SZ}"}


#: It was seen early today, and it is over TLS.
PC7 = computer(7, datetime.now(UTC).replace(hour=0, minute=0, second=30), "10.1.0.7")


def server(*computers: dict[str, str], files: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    """A server that offers HTTPS."""
    state = {"files": files or log(), "wsus": {"computers": [PC7, *computers]}, "iis": {"application_pools": {"WsusPool": POOL}}}
    return {"stage": "offered", "state": state, **more}


def asked(fleet: Controller, *arguments: str, **variables: Any) -> Run:
    return fleet.playbook(PLAY, *arguments, **{**QUICK, "https_server_require_tls": "when_quiet", **variables})


def kept(one: Run) -> Any:
    assert one.code == 0, one.output
    assert "Traceback" not in one.output
    return one.of("Keep the result")["ansible_facts"]["https_server_result"]


def report(fleet: Controller, run: Run) -> Any:
    """The audit that a rollout left."""
    return json.loads((fleet.folder / run.of("Report what is there now, and what it was")["files"]["audit.json"]).read_text(encoding="utf-8"))


def quietly(lab: Lab, name: str = "wsus01", **log_of: Any) -> None:
    """The log of a server is another."""
    with lab.edit(name) as document:
        document["files"] = log_of["files"] if "files" in log_of else log()


@pytest.mark.every_core
def test_the_role_waits_until_the_last_one_has_moved_and_finishes_by_itself(controller: Start) -> None:
    came = ago(3)
    fleet = controller({"servers": {"wsus01": server(files=log(line(came, "10.1.0.8", port=8530)))}})
    for arguments in (["--check"], []):
        waiting = asked(fleet, *arguments)
        found = kept(waiting)
        assert not waiting.changed
        assert found["standing"] == "offers HTTPS"
        assert not found["quiet"]["quiet"]
        assert [one["address"] for one in found["quiet"]["callers"]] == ["10.1.0.8"]
        earliest = f"{(came + 8 * DAY).date()}T00:00:00Z"
        assert found["quiet"]["earliest"] == earliest
        told = " ".join(waiting.of("Say where the server stands")["msg"])
        assert "Still served over plain HTTP since" in told
        assert f"It can be required on {earliest} at the earliest" in told
        assert "run this again, every night for one" in told
    assert change_trips(fleet.lab) == {}

    quietly(fleet.lab)
    foretold = asked(fleet, "--check")
    assert kept(foretold)["standing"] == "requires TLS"
    assert not requires(fleet.lab, "wsus01")
    required = asked(fleet)
    assert kept(required)["changes"] == kept(foretold)["changes"]
    assert len(kept(required)["changes"]) == 5
    assert requires(fleet.lab, "wsus01")
    assert "iis_require_ssl with state: absent takes it back" in " ".join(kept(required)["notes"])

    again = asked(fleet)
    assert not again.changed
    assert kept(again)["turned_away"] == []
    assert kept(again)["notes"] == []

    quietly(fleet.lab, files=log(line(datetime.now(UTC), "10.1.0.7", port=8530, status="403 4")))
    tomorrow = asked(fleet)
    assert not tomorrow.changed
    assert [one["names"] for one in kept(tomorrow)["turned_away"]] == [["pc7.corp.example"]]
    assert "10.1.0.7 (pc7.corp.example)" in " ".join(tomorrow.of("Say where the server stands")["msg"])


def test_silence_is_not_success(controller: Start) -> None:
    """A computer that fails in the handshake is in no log. WSUS knows that it has not seen it."""
    fleet = controller({"servers": {"wsus01": server(computer(9, ago(20), "10.1.0.9"))}})
    waiting = asked(fleet)
    assert kept(waiting)["quiet"]["not_seen"][0]["name"] == "pc9.corp.example"
    assert not waiting.changed
    acknowledged = asked(fleet, https_server_absent_ignore=["PC9.corp.example"])
    assert kept(acknowledged)["standing"] == "requires TLS"
    assert kept(acknowledged)["quiet"]["ignored"][0]["name"] == "pc9.corp.example"


def test_an_address_that_may_be_turned_away_is_told_with_its_reason(controller: Start) -> None:
    fleet = controller({"servers": {"wsus01": server(files=log(line(ago(1), "10.9.0.1", port=8530)))}})
    assert not asked(fleet).changed
    required = asked(fleet, https_server_quiet_ignore=[{"address": "10.9.0.1", "reason": "vulnerability scanner"}])
    assert kept(required)["standing"] == "requires TLS"
    assert [(one["address"], one["reason"]) for one in kept(required)["quiet"]["ignored"]] == [("10.9.0.1", "vulnerability scanner")]


def test_a_window_that_is_longer_than_the_logs_are_kept_never_ends_and_says_why(controller: Start) -> None:
    fleet = controller({"servers": {"wsus01": server(files=log(days=5))}})
    found = kept(asked(fleet))
    assert "where older ones are deleted on purpose, quiet_days has to be less than they are kept" in " ".join(found["quiet"]["missing"])
    assert kept(asked(fleet, https_server_quiet_days=3))["standing"] == "requires TLS"


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"https_server_quiet_days": 0}, "https_server_quiet_days is 0; it may be 1 to 3650"),
        ({"https_server_absent_days": 5}, "https_server_absent_days is 5; it has to be more than https_server_quiet_days (7)"),
        ({"https_server_quiet_ignore": [{"address": "10.0.0.0/8", "reason": "all"}]}, "which is no single IP address"),
        ({"https_server_quiet_ignore": [{"address": "10.9.0.1"}]}, "reason"),
        ({"https_server_require_tls": "when-quiet"}, "none of true"),
    ],
)
def test_settings_that_make_no_sense_are_refused_before_anything_is_touched(controller: Start, variables: dict[str, Any], says: str) -> None:
    fleet = controller({"servers": {"wsus01": {}}})
    one = asked(fleet, **variables)
    assert one.code != 0
    assert says in one.output
    assert fleet.lab.trips == []
    assert "Traceback" not in one.output

    run = rollout(fleet, wsus_require_tls="when_quiet", **variables) if "https_server_require_tls" not in variables else None
    if run is not None:
        assert run.code != 0
        assert says in run.output
        assert change_trips(fleet.lab) == {}


def test_a_rollout_requires_tls_where_it_is_quiet_and_goes_on_every_night(controller: Start) -> None:
    servers = {
        "wsus01": server(),
        "wsus02": {**server(files=log(line(ago(2), "10.1.0.8", port=8530))), "upstream": "wsus01", "downstream_listed": True},
        "wsus03": {**server(), "upstream": "wsus01", "downstream_listed": True},
    }
    fleet = controller({"servers": servers})
    foretold = rollout(fleet, "--check", wsus_require_tls="when_quiet")
    run = rollout(fleet, wsus_require_tls="when_quiet")
    assert run.code == 0, run.output
    assert {name: requires(fleet.lab, name) for name in servers} == {"wsus01": True, "wsus02": False, "wsus03": True}
    assert {name: row[1] for name, row in table(foretold).items()} == {name: row[1] for name, row in table(run).items()}
    told = said(run)
    assert "wsus02: TLS is not required yet: somebody may still need plain HTTP." in told
    assert "run this again, every night for one" in told

    quietly(fleet.lab, "wsus02")
    next_night = rollout(fleet, wsus_require_tls="when_quiet")
    assert next_night.code == 0, next_night.output
    assert requires(fleet.lab, "wsus02")
    last = rollout(fleet, wsus_require_tls="when_quiet")
    assert last.code == 0
    assert "Nothing is left to do: every server requires TLS." in said(last)
    assert not last.changed

    quietly(fleet.lab, "wsus03", files=log(line(datetime.now(UTC), "10.1.0.8", port=8530, status="403 4")))
    day_after = rollout(fleet, wsus_require_tls="when_quiet")
    assert "wsus03: Turned away in the last 7 days, because they came over plain HTTP: 10.1.0.8" in said(day_after)
    found = {server["name"]: server for server in report(fleet, day_after)["servers"]}
    assert found["wsus02"]["traffic"]["over_tls"] >= 1
    findings = {name: one for name, server in found.items() for one in server["findings"] if one["check"] == "turned_away"}
    assert {name: (one["result"], one["severity"]) for name, one in findings.items()} == {
        "wsus01": ("pass", "medium"),
        "wsus02": ("pass", "medium"),
        "wsus03": ("fail", "medium"),
    }
    assert [one["traffic"] for one in report(fleet, rollout(fleet, wsus_require_tls=True))["servers"]] == [None] * 3, "nobody asked for it"


def test_a_rollout_from_nothing_offers_and_waits(controller: Start) -> None:
    fleet = controller({"servers": {"wsus01": {"state": {"files": log(line(ago(1), "10.1.0.8", port=8530)), "wsus": {"computers": [PC7]}}}}})
    foretold = rollout(fleet, "--check", wsus_require_tls="when_quiet")
    run = rollout(fleet, wsus_require_tls="when_quiet")
    assert run.code == 0, run.output
    assert table(foretold)["wsus01"][1] == table(run)["wsus01"][1] == "offers HTTPS"


@pytest.mark.parametrize("when_quiet", [True, False])
def test_behind_something_that_ends_tls_it_is_never_required(controller: Start, when_quiet: bool) -> None:
    """At the server's name another certificate is seen: here that of another server, to whose address the controller is sent."""
    fleet = controller({"servers": {"wsus01": server(), "wsus02": server()}})
    in_front = fleet.lab.address("wsus02")
    for arguments in (["--check"], []):
        one = fleet.task("wsus01", "iis_require_ssl", *arguments, address=in_front, when_quiet=when_quiet)
        found = one.of("It")
        assert (one.code == 0) is when_quiet
        assert "Something in front of the server ends TLS, a load balancer for one" in (" ".join(found["notes"]) if when_quiet else found["msg"])
        assert change_trips(fleet.lab) == {}
    assert fleet.task("wsus01", "iis_require_ssl", address="127.0.0.1", when_quiet=when_quiet, look_from="none").changed
