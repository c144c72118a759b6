# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""iis_require_ssl once nobody needs plain HTTP any more: which trips it makes and in which order, what it makes of them, and what it refuses."""

from __future__ import annotations

import datetime
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.securepatch.wsus.plugins.action import iis_require_ssl
from ansible_collections.securepatch.wsus.plugins.action.iis_require_ssl import ActionModule
from ansible_collections.securepatch.wsus.plugins.plugin_utils import server_action
from ansible_collections.securepatch.wsus.plugins.plugin_utils.authorities import thumbprint_of
from ansible_collections.securepatch.wsus.plugins.plugin_utils.state import State, format_time

from tests.unit.action.clock import stop_clock
from tests.unit.action.test_interface import strings
from tests.unit.plugin_utils.machines import FIVE, FQDN, NOW, issued, looked, offering, read, require
from tests.unit.plugin_utils.test_quiet import EMPTY, caller

BOUND = thumbprint_of(issued("good").der_base64)
OTHER = thumbprint_of(issued("other").der_base64)
DAY = datetime.timedelta(days=1)
CALLER = caller("10.1.0.8", "2026-11-20T01:02:00Z")
REFUSED = caller("10.1.0.9", "2026-11-20T02:00:00Z", last_served=None, served=0, refused=3)
LOG: dict[str, Any] = {**EMPTY, "computers": {"seen": 0, "absent": []}}


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time for which the certificates of the machines were issued."""
    stop_clock(monkeypatch, server_action)
    monkeypatch.setattr(ActionModule, "PAUSE", 0)


def computer(last: datetime.datetime) -> dict[str, Any]:
    return {"id": "2", "fqdn": "PC2.corp.example", "address": "10.1.0.8", "last_sync": format_time(last)}


class Server:
    """What the server answers: its traffic, by how many days are asked for; each answer of a list in turn, the last one from then on."""

    def __init__(self, log: Any = None, known: Any = None) -> None:
        self.log = log if isinstance(log, list) else [log or {}]
        self.known = known or {}
        self.trips: list[Any] = []

    def answer(self, name: str, asked: dict[str, Any]) -> dict[str, Any]:
        module = name.rpartition(".")[2]
        if module == "wsus_state":
            self.trips.append([(one["host_name"], one["port"]) for one in asked["endpoints"]])
            state = looked(read(offering()), FQDN, certificates=[issued("good").der_base64])
            return {"changed": False, "state": state, "endpoints": state["endpoints"], "trust": {}}
        assert module == "wsus_traffic", name
        self.trips.append(asked["days"])
        differs = self.known if not asked["days"] else self.log[min(sum(1 for days in self.trips if days) - 1, len(self.log) - 1)]
        return {"changed": False, "traffic": {**LOG, "since": format_time(NOW - asked["days"] * DAY), **differs}}


def run(monkeypatch: pytest.MonkeyPatch, server: Server, state: State | None = None, seen: str | None = BOUND, **arguments: Any) -> dict[str, Any]:
    """The result in check mode; the controller sees this certificate at the server's name."""
    monkeypatch.setattr(ActionModule, "_execute_module", lambda _action, name, module_args, **_rest: server.answer(name, module_args))
    monkeypatch.setattr(iis_require_ssl, "certificate_at", lambda *_given, **_named: (seen, None if seen else "no answer"))
    given = {"observed": state or looked(read(offering()), FQDN), "when_quiet": True, **arguments}
    task = SimpleNamespace(args=given, async_val=0, check_mode=True, action="iis_require_ssl", delegate_to=None, diff=False)
    connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir=None), host="wsus01")
    result: dict[str, Any] = ActionModule(task, connection, SimpleNamespace(diff=False), None, None, None).run(
        task_vars={"inventory_hostname": "wsus01"}
    )
    return result


def required() -> State:
    return looked(read(require(offering(), *FIVE)), FQDN)


def test_where_it_is_quiet_tls_is_required_and_the_way_back_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    result = run(monkeypatch, server)
    # The computers first: whoever comes later than they were read is in the log then.
    assert server.trips == [0, 8]
    assert len(result["changes"]) == 5
    assert result["quiet"]["quiet"]
    assert result["standing"] == "requires TLS"
    assert "iis_require_ssl with state: absent takes it back" in result["notes"][-1]


def test_where_it_is_not_nothing_changes_and_nothing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    own = {**CALLER, "address": "::1", "own": True, "service": "ApiRemoting30", "agent": "script", "last_served": "2026-11-21T01:00:00Z"}
    result = run(monkeypatch, Server(log={"callers": [CALLER, own]}))
    assert not result.get("failed")
    assert not result["changed"]
    assert result["changes"] == []
    assert result["standing"] == "offers HTTPS"
    assert result["quiet"]["callers"][0]["address"] == "10.1.0.8"
    told = " ".join(result["notes"])
    assert "10.1.0.8" in told
    assert "It can be required on 2026-11-28T00:00:00Z at the earliest" in told
    assert "called these over HTTP since the machine's last start: ApiRemoting30 (script, last at 2026-11-21T01:00:00Z)" in told
    assert "state: absent" not in told


def test_what_is_documented_of_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    quiet = run(monkeypatch, Server(log={"callers": [CALLER]}))["quiet"]
    assert set(quiet) == set(strings("iis_require_ssl")["RETURN"]["quiet"]["contains"])


def test_a_computer_that_came_a_moment_ago_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its line may not be in the log yet. The log is read again; the list of computers is not, or others could come in the meantime."""
    moment_ago = {"computers": {"seen": 0, "absent": [computer(NOW - datetime.timedelta(seconds=30))]}}
    later = NOW + datetime.timedelta(minutes=2)
    server = Server(log=[{}, {"since": format_time(later - 8 * DAY)}], known=moment_ago)
    assert run(monkeypatch, server)["changed"]
    assert server.trips == [0, 8, 8]

    came = {"since": format_time(later - 8 * DAY), "callers": [{**CALLER, "last": format_time(NOW), "last_served": format_time(NOW)}]}
    assert not run(monkeypatch, Server(log=[{}, came], known=moment_ago))["changed"]


@pytest.mark.parametrize(("when_quiet", "trips"), [(True, [0, 8]), (False, [])])
def test_another_certificate_at_the_name_is_refused_whichever_way(monkeypatch: pytest.MonkeyPatch, when_quiet: bool, trips: list[int]) -> None:
    server = Server()
    result = run(monkeypatch, server, seen=OTHER, when_quiet=when_quiet)
    assert server.trips == trips
    assert not result["changed"]
    assert bool(result.get("failed")) is not when_quiet
    assert "Something in front of the server ends TLS" in (result["msg"] if result.get("failed") else " ".join(result["notes"]))
    assert not run(monkeypatch, Server(), seen=OTHER, when_quiet=when_quiet, look_from="none").get("failed")


def test_what_the_server_sees_itself_counts_where_the_controller_does_not_look(monkeypatch: pytest.MonkeyPatch) -> None:
    behind = looked(read(offering()), FQDN, certificates=[issued("other").der_base64])
    assert "the server itself sees" in run(monkeypatch, Server(), behind, look_from="none", when_quiet=False)["msg"]
    # It is asked to look where it did not yet.
    server = Server()
    assert run(monkeypatch, server, read(offering()), look_from="none")["changed"]
    assert server.trips == [[(FQDN, 8531)], 0, 8]


def test_a_server_that_is_not_there_yet_is_only_missing_something(monkeypatch: pytest.MonkeyPatch) -> None:
    found = offering()
    found["certificates"]["My"] = {}
    for when_quiet in (True, False):
        result = run(monkeypatch, Server(), looked(read(found), FQDN), when_quiet=when_quiet)
        assert bool(result.get("failed")) is not when_quiet
        assert "has a usable certificate" in (" ".join(result["quiet"]["missing"]) if when_quiet else result["msg"])


def test_a_state_that_is_foretold_cannot_be_looked_at_and_is_taken_as_it_will_be(monkeypatch: pytest.MonkeyPatch) -> None:
    foretold = {**read(offering()), "predicted": True}
    server = Server()
    assert run(monkeypatch, server, foretold, seen=None)["changed"]  # type: ignore[arg-type]
    assert server.trips == [0, 8]
    assert not run(monkeypatch, Server(log={"callers": [CALLER]}), foretold, seen=None)["changed"]  # type: ignore[arg-type]


def test_who_was_turned_away_since_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(log={"callers": [CALLER, REFUSED]}, known={"computers": {"seen": 0, "absent": [{**computer(NOW), "address": "10.1.0.9"}]}})
    result = run(monkeypatch, server, required())
    assert server.trips == [7, 0]
    since = {"seen_since": format_time(NOW)}
    assert result["turned_away"] == [
        {"address": "10.1.0.9", "names": ["pc2.corp.example"], "kinds": ["client"], "last": "2026-11-20T02:00:00Z", "times": 3, **since}
    ]
    assert "10.1.0.9 (pc2.corp.example), last at 2026-11-20T02:00:00Z" in result["notes"][0]
    assert not result["changed"]

    nobody = Server()
    assert run(monkeypatch, nobody, required())["notes"] == []
    assert nobody.trips == [7], "there is nobody to name"
    silent = Server()
    assert run(monkeypatch, silent, required(), when_quiet=False)["turned_away"] == []
    assert silent.trips == [], "whoever did not ask for it makes no trip for it"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"quiet_days": 0}, "quiet_days is 0; it may be 1 to 3650"),
        ({"quiet_days": 60}, "absent_days is 60; it has to be more than quiet_days (60)"),
        ({"quiet_ignore": [{"address": "10.9.0.0/24", "reason": "scanners"}]}, "which is no single IP address"),
        ({"quiet_ignore": [{"address": "10.9.0.1", "reason": " "}]}, "gives no reason for 10.9.0.1"),
        ({"quiet_ignore": [{"address": "10.9.0.1"}]}, "reason"),
        ({"absent_ignore": [" "]}, "absent_ignore has an empty name"),
    ],
)
def test_settings_that_make_no_sense_are_refused_before_the_first_trip(monkeypatch: pytest.MonkeyPatch, arguments: Any, says: str) -> None:
    server = Server()
    result = run(monkeypatch, server, **arguments)
    assert result["failed"]
    assert says in result["msg"]
    assert "Nothing was changed." in result["msg"]
    assert server.trips == []


def test_a_log_that_nobody_can_read_is_a_failure_that_names_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Server, "answer", lambda *_given: {"failed": True, "msg": "boom"})
    result = run(monkeypatch, Server())
    assert result["failed"]
    assert result["msg"].startswith("wsus01: Who calls the server could not be read: boom")
