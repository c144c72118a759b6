# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A renewal of certificates that is cut off anywhere is finished by running it again, and nobody is locked out in between."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.integration.conftest import network
from tests.integration.controller import Controller, Run
from tests.integration.rollouts import (
    assert_nothing_due,
    bound,
    change_trips,
    locked_out,
    marks,
    renewal,
    said,
    served,
    store,
    trips,
    works_over_tls,
)
from tests.lab.lab import Lab

# The one below is in the first wave, the one above in the second. Both stay as far as they are: the one above requires TLS.
TWO = {
    "ca": {},
    "variables": {"certificate_source": "enterprise_ca", "trust_authorities": ["{ca_chain_file}"]},
    "defaults": {"certificate": "short_lived"},
    "servers": {"wsus01": {"stage": "required"}, "wsus02": {"upstream": "wsus01", "stage": "offered"}},
    "clients": {"client01": {}},
}
ALL = {"wsus_remove_old_certificates": True, "wsus_pin_on_clients": True}
ENOUGH = 40  # runs; a renewal that needs more than this goes round in circles


def assert_all_is_well(lab: Lab, old: dict[str, str]) -> None:
    """What has to hold whenever a run was cut off.

    - Every server works over TLS, with the certificate that is bound, and that the client has pinned where it pins at all.
    - A machine has no more than one certificate beside the one that is bound: the old one, until it is removed, or the new one, until it is
      bound. No key waits for a certificate.
    - Each server has asked the CA once at most, however often it was cut.
    """
    assert locked_out(lab) == []
    pins = store(lab, "client01", "WindowsServerUpdateServices")
    for name in lab.fleet.servers:
        now = bound(lab, name)
        assert works_over_tls(lab, name), name
        assert served(lab, name) == now
        assert now in store(lab, name)
        assert len(store(lab, name)) <= 2, store(lab, name)
        assert old[name] in store(lab, name) or now != old[name]
        assert store(lab, name, "Request") == set()
        if now != old[name]:
            assert now in pins, "it was pinned before it was bound"
    assert set(Counter(one.server for one in lab.ca.requests).values()) <= {1}


def cut_run(fleet: Controller, old: dict[str, str]) -> Run:
    """Run into whatever is armed. The run says so itself when it was cut."""
    since = len(fleet.lab.trips)
    run = renewal(fleet, **ALL)
    was_cut = fleet.lab.faults.down or any(trip.outcome == "dropped" for trip in trips(fleet.lab, since))
    assert bool(run.code) == was_cut, run.output
    if was_cut:
        assert "The connection" in said(run)
        assert "run this again: it goes on where it stopped" in said(run)
    fleet.lab.heal()
    assert_all_is_well(fleet.lab, old)
    return run


def arm(fleet: Controller, when: str, changes: int = 0) -> None:
    """The next trip of changes, to whichever machine, is cut."""
    for name in fleet.lab.fleet.members:
        fleet.lab.arm(name, drop={"when": when, "changes": changes, "module": "wsus_change"})


def in_the_middle_of_every_change(fleet: Controller, old: dict[str, str]) -> None:
    """Each run gets one change further than the one before, and is cut there."""
    at = 1
    last: tuple[str, list[str]] | None = None
    for _rest in range(ENOUGH):
        arm(fleet, "during", at)
        if cut_run(fleet, old).code == 0:
            return
        cut = next(trip for trip in reversed(fleet.lab.trips) if trip.outcome == "dropped")
        # One that began with the same changes made the first of them again: the next one gets past them.
        at, last = (at + 1 if (cut.server, cut.changes) == last else 1), (cut.server, cut.changes)
    pytest.fail("it does not get on")


def before_and_after_every_trip_of_changes(fleet: Controller, old: dict[str, str]) -> None:
    """For each trip of changes in turn: lost before it began, and then done, with the answer lost."""
    for number in range(ENOUGH):
        arm(fleet, "after" if number % 2 else "before")
        if cut_run(fleet, old).code == 0:
            return
    pytest.fail("it does not get on")


def at_every_connection(fleet: Controller, old: dict[str, str]) -> None:
    """The network goes before the first connection, and does not come back within the run; in the next run after it; then at the second; and
    so on."""
    for number in range(ENOUGH):
        fleet.lab.cut(number // 2 + 1, "after" if number % 2 else "before")
        if cut_run(fleet, old).code == 0:
            return
    pytest.fail("it does not get on")


def is_finished(fleet: Controller, old: dict[str, str]) -> None:
    lab = fleet.lab
    for name in lab.fleet.servers:
        assert bound(lab, name) != old[name]
        assert store(lab, name) == {bound(lab, name)}
        assert marks(lab, name) == {}
    assert sorted(one.server for one in lab.ca.requests) == sorted(lab.fleet.servers)
    assert_nothing_due(fleet, **ALL)


#: How many runs each way takes at least: fewer would mean that not every place was cut.
WAYS: dict[Callable[[Controller, dict[str, str]], None], int] = {
    in_the_middle_of_every_change: 12,
    before_and_after_every_trip_of_changes: 14,
    at_every_connection: 8,
}


def test_cut_off_anywhere_it_is_finished_by_running_it_again(tmp_path: Path) -> None:
    """Each way has a lab of its own, and they run side by side: ansible-playbook waits more than it works."""

    def go(way: Callable[[Controller, dict[str, str]], None]) -> tuple[str, int, int]:
        folder = tmp_path / way.__name__
        folder.mkdir()
        with Lab(TWO, folder=folder, network=network()) as lab:
            fleet = Controller(lab, folder)
            old = {name: str(bound(lab, name)) for name in lab.fleet.servers}
            way(fleet, old)
            kinds = {change for trips_of in change_trips(lab).values() for trip in trips_of for change in trip.changes}
            assert kinds == {"certificate_enroll", "trust", "registry", "binding", "certificate_remove"}
            is_finished(fleet, old)
            return way.__name__, fleet.runs, WAYS[way]

    with ThreadPoolExecutor(len(WAYS)) as pool:
        runs = list(pool.map(go, WAYS))
    print(runs)
    assert all(count > least for _name, count, least in runs), runs
