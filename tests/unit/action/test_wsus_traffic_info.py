"""wsus_traffic_info: which trips it makes, and what it refuses before the first."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from ansible_collections.securepatch.wsus.plugins.action import wsus_traffic_info
from ansible_collections.securepatch.wsus.plugins.action.wsus_traffic_info import ActionModule

from tests.unit.action.test_interface import strings

ROOT = Path(__file__).parents[3]
DOCUMENT: dict[str, Any] = json.loads((ROOT / "tests/recorded/clients/traffic.json").read_text(encoding="utf-8"))["before"]["traffic"]


class Asked:
    """What the server was asked, and what it answers in turn."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        self.answers = list(answers)
        self.trips: list[tuple[str, dict[str, Any]]] = []

    def run(self, monkeypatch: pytest.MonkeyPatch, **arguments: Any) -> dict[str, Any]:
        def execute(_action: Any, name: str, module_args: dict[str, Any], **_rest: Any) -> dict[str, Any]:
            self.trips.append((name, module_args))
            return self.answers[len(self.trips) - 1]

        monkeypatch.setattr(ActionModule, "_execute_module", execute)
        task = SimpleNamespace(args=arguments, async_val=0, check_mode=True, action="wsus_traffic_info", delegate_to=None, diff=False)
        connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir=None), host="wsus01")
        result: dict[str, Any] = ActionModule(task, connection, SimpleNamespace(diff=False), None, None, None).run(
            task_vars={"inventory_hostname": "wsus01"}
        )
        return result


def traffic(**differs: Any) -> dict[str, Any]:
    return {"changed": False, "traffic": {**copy.deepcopy(DOCUMENT), **differs}}


ALL = [{"id": "2", "fqdn": "pc2.corp.example", "address": "10.1.0.8", "last_sync": "2026-11-20T04:00:00Z"}]


def test_who_came_is_named_by_a_second_trip_and_then_by_dns(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(traffic(), traffic(since="2026-11-21T02:00:00Z", computers={"seen": 0, "absent": ALL}))
    resolved: list[tuple[list[str], float]] = []

    def names_of(addresses: list[str], seconds: float) -> Any:
        resolved.append((addresses, seconds))
        return {"10.1.0.7": ("dns7.corp.example",)}, 2

    monkeypatch.setattr(wsus_traffic_info, "names_of", names_of)
    result = asked.run(monkeypatch)
    assert asked.trips == [
        ("securepatch.wsus.wsus_traffic", {"days": 7, "absent_days": 60}),
        ("securepatch.wsus.wsus_traffic", {"days": 0, "absent_days": 60}),
    ]
    assert resolved == [(["10.2.0.5", "fe80::12", "10.1.0.7", "10.9.0.1", "10.1.0.9"], 5)]
    names = {one["address"]: one["name"] for one in result["callers"]}
    assert (names["10.1.0.8"], names["10.1.0.7"], names["10.1.0.9"]) == ("pc2.corp.example", "dns7.corp.example", None)
    assert "The names of 2 addresses are not known" in result["not_known"][-1]


@pytest.mark.parametrize(
    "answer", [traffic(callers=[]), traffic(callers=[one for one in DOCUMENT["callers"] if one["own"]]), traffic(computers=None)], ids=str
)
def test_one_trip_is_enough_where_there_is_nobody_to_name(answer: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(answer)
    assert not asked.run(monkeypatch, resolve=False).get("failed")
    assert len(asked.trips) == 1


def test_a_probe_is_worth_a_trip_here(monkeypatch: pytest.MonkeyPatch) -> None:
    probe = [one for one in DOCUMENT["callers"] if one["probed"] and not one["served"] and not one["own"]]
    asked = Asked(traffic(callers=probe), traffic(since="2026-11-21T02:00:00Z", computers={"seen": 0, "absent": ALL}))
    assert not asked.run(monkeypatch, resolve=False).get("failed")
    assert (len(probe), len(asked.trips)) == (1, 2)


def test_a_result_has_what_is_documented_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    result = Asked(traffic(), traffic()).run(monkeypatch, resolve=False)
    documented = strings("wsus_traffic_info")["RETURN"]
    assert set(result) - {"changed", "invocation"} == set(documented)
    for name, value in documented.items():
        inside = set(value.get("contains", {}))
        for each in (result[name] if isinstance(result[name], list) else [result[name]]) if inside else []:
            assert set(each) == inside, name
    assert yaml.safe_dump(result)  # plain types only


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"days": 0}, "days is 0; it may be 1 to 3650."),
        ({"days": 60}, "absent_days is 60; it has to be more than days (60)"),
        ({"absent_days": 10**9}, "at most 3650"),
        ({"resolve_seconds": 0}, "resolve_seconds is 0"),
        ({"resolve_seconds": 1e9}, "at most 3600"),
        ({"day": 7}, "Unsupported parameters"),
    ],
)
def test_what_makes_no_sense_is_refused_before_the_first_trip(arguments: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked()
    result = asked.run(monkeypatch, **arguments)
    assert result["failed"]
    assert result["msg"].startswith("wsus01: ")
    assert said in result["msg"]
    assert asked.trips == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"failed": True, "msg": "Retrieving the COM class factory failed"}, "Who calls the server could not be read: Retrieving the COM"),
        ({"changed": False}, "could not be read: it gave no reason"),
        ({"traffic": {"since": "never"}}, "What the server told of its traffic cannot be read"),
        ({"unreachable": True, "msg": "no route"}, "The connection failed: no route"),
    ],
)
def test_a_server_that_cannot_be_read_is_a_failed_result(answer: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    result = Asked(answer).run(monkeypatch)
    assert result["failed"]
    assert said in result["msg"]
