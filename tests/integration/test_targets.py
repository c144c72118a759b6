# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The targets, each against the fleet beside it: what they assert themselves, and what only the lab can tell of every task in them.

A target is a role of tasks and asserts that knows nothing of the lab (`targets/NAME/tasks/main.yml`), so that it can run against a real
Windows as well. What the lab adds: what each task asked of the server, and whether it changed anything there.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.controller import Controller, Run
from tests.lab import modules
from tests.lab.machine import Machine

TARGETS = sorted(path.parent for path in (Path(__file__).parent / "targets").glob("*/fleet.yml"))
EVERY_CORE = {"wsus_server_info", "wsus_ssl_binding", "wsus_restart", "https_server", "certificate", "trust", "clients"}

#: Targets whose hosts are clients, one after the other; all others are for servers.
FOR_CLIENTS = {"clients"}
ON_THE_CONTROLLER = {"securepatch.wsus.report", "securepatch.wsus.wsus_endpoint_check"}


@dataclass(frozen=True)
class Executed:
    """A module that ran on a server of the lab: when, and whether the server is another since."""

    at: float
    server: str
    module: str
    changed_the_server: bool


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> list[Executed]:
    """Every module that the lab runs, with what it did to the server's document."""
    found: list[Executed] = []
    run = modules.run

    def recording(machine: Machine, asked: Any, *rest: Any) -> Any:
        with machine.lock:
            before = copy.deepcopy(machine.document)
        try:
            return run(machine, asked, *rest)
        finally:
            with machine.lock:
                found.append(Executed(time.time(), machine.name, asked.module, machine.document != before))

    monkeypatch.setattr(modules, "run", recording)
    return found


def _named(target: Path) -> Any:
    return pytest.param(target, id=target.name, marks=[pytest.mark.every_core] if target.name in EVERY_CORE else [])


def test_every_module_and_role_has_a_target() -> None:
    root = Path(__file__).resolve().parents[2]
    public = {path.stem for path in (root / "plugins" / "action").glob("*.py")} | {path.name for path in (root / "roles").iterdir()}
    assert {target.name for target in TARGETS} == public


@pytest.mark.parametrize("target", [_named(target) for target in TARGETS])
def test_target(target: Path, controller: Callable[..., Controller], executed: list[Executed]) -> None:
    fleet = controller(target / "fleet.yml")
    hosts = {"hosts": "wsus_clients", "serial": 1} if target.name in FOR_CLIENTS else {"hosts": "wsus_servers"}
    run = fleet.playbook([{**hosts, "gather_facts": False, "roles": [target.name]}])
    assert run.code == 0, run.output
    assert not run.unreachable
    assert "Traceback" not in run.output
    assert len(executed) == len(fleet.lab.trips)
    _every_task_kept_to_its_trips(run, executed)
    _check_mode_changed_nothing(run, executed)


def _every_task_kept_to_its_trips(run: Run, executed: list[Executed]) -> None:
    """At most two trips where something is changed, one where nothing is, none with what was observed before (and endpoints not asked)."""
    for one in _tasks_of_the_collection(run):
        trips = _during(one, executed)
        result = one["result"]
        seen_already = "observed" in one["options"]
        most = 1 + bool(result.get("changed") and not one["check_mode"]) - seen_already
        what = f"{one['task']} ({one['action']}): {[trip.module for trip in trips]}"
        if _has_to_look_or_wait(one):
            continue
        assert len(trips) <= most, what
        if one["status"] == "ok" and one["action"] not in ON_THE_CONTROLLER:
            assert len(trips) == most, what


def _has_to_look_or_wait(one: Any) -> bool:
    # The names of those who came are asked for once it is known that somebody came.
    if one["action"] == "securepatch.wsus.wsus_traffic_info" or "traffic_days" in one["options"]:
        return True
    # A restart and a synchronization are waited for.
    waits = {"securepatch.wsus.wsus_restart", "securepatch.wsus.wsus_downstream_sync"}
    return bool(one["action"] in waits and one["result"].get("changed") and not one["check_mode"])


def _check_mode_changed_nothing(run: Run, executed: list[Executed]) -> None:
    foretold = [one for one in _tasks_of_the_collection(run) if one["check_mode"]]
    assert foretold, "the target shows no check mode"
    for one in foretold:
        assert not [trip for trip in _during(one, executed) if trip.changed_the_server], one["task"]
    done = [one for one in _tasks_of_the_collection(run) if one["result"].get("changed") and not one["check_mode"]]
    for one in done:
        assert [trip for trip in _during(one, executed) if trip.changed_the_server] or _reboots(one), one["task"]


def _reboots(one: Any) -> bool:
    return one["action"] == "securepatch.wsus.wsus_restart" and one["result"]["changes"] == ["Restart the machine"]


def _tasks_of_the_collection(run: Run) -> list[Any]:
    return [one for one in run.results if one["action"].startswith("securepatch.wsus.") and one["status"] in {"ok", "ignored"}]


def _during(one: Any, executed: list[Executed]) -> list[Executed]:
    return [trip for trip in executed if one["started"] <= trip.at <= one["ended"]]
