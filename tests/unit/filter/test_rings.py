# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The filters of the rings of clients, and those of the role C(clients)."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.securepatch.wsus.plugins.filter import clients, rings

from tests.unit.plugin_utils.machines import offering, read

FILTERS: dict[str, Any] = {**clients.FilterModule().filters(), **rings.FilterModule().filters()}
FOLDER = Path(__file__).parents[3] / "plugins" / "filter"
GROUPS = {"wsus_clients": ["pc01", "pc02", "pc03"], "wsus_servers": ["wsus01"], "all": ["pc01", "pc02", "pc03", "wsus01", "dc01"]}
RINGS = [
    {"name": "pilot", "policies": [{"gpo": "WSUS pilot", "server": "wsus01"}], "hosts": ["pc02", "pc01"]},
    {"name": "office", "policies": [{"gpo": "WSUS office", "url": "https://updates.corp.example:8531"}], "hosts": ["pc03"]},
]
URL = "https://wsus01.corp.example:8531"
SEEN = [{"item": "wsus01", "state": read(offering()), "url": URL, "standing": "offers HTTPS"}]


def plan(given: Any = None, **arguments: Any) -> dict[str, Any]:
    found: dict[str, Any] = FILTERS["rings_plan"](RINGS if given is None else given, GROUPS, "dc01", **arguments)
    return found


def test_the_plan_is_plain_types_and_has_everything() -> None:
    found = plan(seen=SEEN)
    assert yaml.safe_load(yaml.safe_dump(found)) == found
    assert found["problems"] == []
    assert [ring["policies"] for ring in found["rings"]] == [ring["policies"] for ring in RINGS]
    assert (found["waves"], found["servers"]) == ([["pc02", "pc01"], ["pc03"]], ["wsus01"])
    assert found["ring_of"] == {"pc02": 0, "pc01": 0, "pc03": 1}
    assert plan(only=["pc03"])["waves"] == [["pc03"]]


@pytest.mark.parametrize("given", [[], "pilot", [{"name": "x"}]])
def test_rings_that_cannot_be_have_no_plan_and_every_problem(given: Any) -> None:
    found = plan(given)
    assert found["problems"]
    assert (found["rings"], found["waves"], found["servers"]) == ([], [], [])
    assert found["lines"] == ["The rings cannot be planned. Nothing was changed.", *(f"- {problem}" for problem in found["problems"])]


def test_the_waves_are_those_of_the_plan() -> None:
    ring_waves = FILTERS["ring_waves"]
    assert ring_waves(GROUPS["wsus_clients"], {}) == [GROUPS["wsus_clients"]]
    assert ring_waves(["pc01", "pc03"], {"pc01": {}, "pc03": {"wsus_ring_plan": plan()}}) == [["pc02", "pc01"], ["pc03"]]
    assert ring_waves(["pc01"], {"pc01": {"wsus_ring_plan": plan([])}}) == []
    assert ring_waves(["pc01"], {"pc01": {}}) == []


def test_the_table_is_made_of_what_the_playbook_noted() -> None:
    outcome = {"ok": False, "task": "T", "message": "pc02: M", "changes": ["c"]}
    lines = FILTERS["rings_result"](plan(), {"pc02": {"wsus_ring_outcome": outcome}, "pc01": {}, "pc03": {}})
    assert lines[1].endswith("FAILED on pc02 in 'T', 1 change")
    assert lines[2].endswith("not begun")
    assert "pc02: M" in lines


def targets(policies: Any, **arguments: Any) -> dict[str, Any]:
    found: dict[str, Any] = FILTERS["client_targets"](policies, GROUPS, "dc01", **arguments)
    return found


def test_what_a_set_of_machines_is_to_be_told() -> None:
    found = targets(RINGS[0]["policies"], seen=SEEN)
    assert found["problems"] == []
    assert found["urls"] == [URL]
    assert found["endpoint"] == {"host_name": "wsus01.corp.example", "port": 8531}
    assert [(each["gpo"], each["url"], each["server"]) for each in found["policies"]] == [("WSUS pilot", URL, "wsus01")]
    two = targets([*RINGS[0]["policies"], *RINGS[1]["policies"]], seen=SEEN)
    assert two["urls"] == [URL, "https://updates.corp.example:8531"]
    assert two["endpoint"] is None, "which of them a machine is told shows later"


def test_machines_that_somebody_else_tells() -> None:
    assert targets([], server="wsus01", seen=SEEN) == targets([], url=URL)
    assert targets([], url=URL)["policies"] == []


@pytest.mark.parametrize(
    ("policies", "arguments", "says"),
    [
        ([], {}, "Give clients_policies, or clients_server or clients_url"),
        ([], {"url": "https://wsus01:8531"}, "short name"),
        ([], {"server": "wsus01"}, "The server wsus01 could not be looked at: it gave no reason."),
        ([], {"server": "wsus09"}, "The server wsus09 could not be looked at: it gave no reason."),
        (RINGS[0]["policies"], {"url": URL, "seen": SEEN}, "clients_server and clients_url are for machines that somebody else tells"),
        (RINGS[0]["policies"], {}, "WSUS pilot: The server wsus01 could not be looked at"),
        ([{"gpo": "A", "server": "wsus09"}], {}, "the server wsus09 is not in group wsus_servers (did you mean wsus01?)"),
    ],
)
def test_what_cannot_be_told_is_a_problem(policies: Any, arguments: dict[str, Any], says: str) -> None:
    found = targets(policies, **arguments)
    assert any(says in problem for problem in found["problems"]), found["problems"]
    assert found["endpoint"] is None


def test_policies_that_were_set_are_known_by_their_results() -> None:
    info = {
        "url": "http://x",
        "told_by": "group_policy",
        "winning_policies": [{"policy": f"cn={{{'0' * 8}-0000-0000-0000-{'0' * 12}}}", "precedence": 1}],
    }
    results = [{"policy": {"name": "A", "guid": "00000000-0000-0000-0000-000000000000"}}, {"skipped": True}]
    (problem,) = FILTERS["client_told"](info, [URL], results)["problems"]
    assert "from the policy 'A'" in problem
    assert FILTERS["client_search"]({"found_update_count": 0}) == ""
    assert FILTERS["client_search"]({"failed": True, "msg": "m"}, URL).startswith("The search at https://wsus01")


@pytest.mark.parametrize("name", sorted(FILTERS))
def test_the_documentation_has_the_arguments_of_the_filter(name: str) -> None:
    documented = yaml.safe_load((FOLDER / f"{name}.yml").read_text(encoding="utf-8"))["DOCUMENTATION"]
    assert documented["name"] == name
    assert len(documented["options"]) == len(inspect.signature(FILTERS[name]).parameters)
