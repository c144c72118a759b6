# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A rollout that is cut off anywhere is finished by running it again, and nobody is locked out in between."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.integration.conftest import network
from tests.integration.controller import Controller, Run
from tests.integration.rollouts import (
    assert_nothing_to_do,
    change_trips,
    last_synchronization,
    locked_out,
    requires,
    rollout,
    said,
    source,
    trips,
)
from tests.lab.lab import Lab

TWO = {"synchronization_seconds": 0.02, "servers": {"wsus01": {}, "wsus02": {"upstream": "wsus01"}}}
ENOUGH = 60  # runs; a rollout that needs more than this goes round in circles


def cut_run(fleet: Controller) -> Run:
    """Run into whatever is armed. Nobody may be locked out then; the run says so itself when it was cut."""
    since = len(fleet.lab.trips)
    run = rollout(fleet, wsus_require_tls=True)
    was_cut = fleet.lab.faults.down or any(trip.outcome == "dropped" for trip in trips(fleet.lab, since))
    assert bool(run.code) == was_cut, run.output
    if was_cut:
        assert "The connection" in said(run)
        assert "run this again: it goes on where it stopped" in said(run)
    fleet.lab.heal()
    assert locked_out(fleet.lab) == [], run.output
    return run


def arm(fleet: Controller, when: str, changes: int = 0) -> None:
    """The next trip of changes, to whichever server, is cut."""
    for name in fleet.lab.fleet.servers:
        fleet.lab.arm(name, drop={"when": when, "changes": changes, "module": "wsus_change"})


def in_the_middle_of_every_change(fleet: Controller) -> None:
    """Each run gets one change further than the one before, and is cut there."""
    at = 1
    last: tuple[str, list[str]] | None = None
    for _rest in range(ENOUGH):
        arm(fleet, "during", at)
        if cut_run(fleet).code == 0:
            return
        cut = fleet.lab.trips[-1]
        # One that began with the same changes made the first of them again: the next one gets past them.
        at, last = (at + 1 if (cut.server, cut.changes) == last else 1), (cut.server, cut.changes)
    pytest.fail("it does not get on")


def before_and_after_every_trip_of_changes(fleet: Controller) -> None:
    """For each trip of changes in turn: lost before it began, and then done, with the answer lost."""
    for number in range(ENOUGH):
        arm(fleet, "after" if number % 2 else "before")
        if cut_run(fleet).code == 0:
            return
    pytest.fail("it does not get on")


def at_every_connection(fleet: Controller) -> None:
    """The network goes at the first connection, and does not come back within the run; in the next run at the second; and so on."""
    for number in range(ENOUGH):
        fleet.lab.cut(number + 1, "after" if number % 2 else "before")
        if cut_run(fleet).code == 0:
            return
    pytest.fail("it does not get on")


def is_finished(fleet: Controller) -> None:
    for name in fleet.lab.fleet.servers:
        assert requires(fleet.lab, name), name
        journal = [entry.split(" ") for entry in fleet.lab.machine(name).document["journal"]]
        told = max(index for index, entry in enumerate(journal) if entry[:2] == ["wsusutil", "configuressl"])
        assert ["restart", "WsusService"] in [entry[:2] for entry in journal[told:]], f"{name} was told its name and not restarted"
    assert source(fleet.lab, "wsus02")["ssl"] is True
    assert last_synchronization(fleet.lab, "wsus02") == "Succeeded"
    assert_nothing_to_do(fleet, wsus_require_tls=True)


WAYS = (in_the_middle_of_every_change, before_and_after_every_trip_of_changes, at_every_connection)


def test_cut_off_anywhere_it_is_finished_by_running_it_again(tmp_path: Path) -> None:
    """Each way has a lab of its own, and they run side by side: ansible-playbook waits more than it works."""

    def go(way: Callable[[Controller], None]) -> tuple[str, int]:
        folder = tmp_path / way.__name__
        folder.mkdir()
        with Lab(TWO, folder=folder, network=network()) as lab:
            fleet = Controller(lab, folder)
            way(fleet)
            kinds = {change for trips_of in change_trips(lab).values() for trip in trips_of for change in trip.changes}
            assert {"application_pool", "binding", "configure_ssl", "restart_service", "synchronization", "access"} <= kinds
            is_finished(fleet)
            return way.__name__, fleet.runs

    with ThreadPoolExecutor(len(WAYS)) as pool:
        runs = dict(pool.map(go, WAYS))
    print(runs)
    # Fewer would mean that not every place was cut.
    assert all(count > 8 for count in runs.values()), runs
