# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How long a module that only looks takes, beside ansible.windows.win_ping over the same hosts in the same run."""

from __future__ import annotations

import os
import statistics
from collections.abc import Mapping
from typing import Any

from .bench import FORKS, BenchmarkError, bench
from .report import machine, table

ROUNDS = 5
PING = "ansible.windows.win_ping"


def compare(module: str, fleet: Mapping[str, Any], group: str, hosts: str, at_most: float) -> int:
    """Measure MODULE (without the collection's name) over a GROUP of the fleet's inventory, and print it. HOSTS: how many of what they are, for the
    words. Returns the exit code: 1 where the module takes more than AT_MOST times as long, or could not be measured."""
    print(machine())
    info = f"securepatch.wsus.{module}"
    # The first task of a run pays for what is loaded once: it counts for neither.
    tasks = [{"name": "First", PING: None}]
    for number in range(ROUNDS):
        pair = [{"name": "Ping", PING: None, "register": "pinged"}, {"name": "Look", info: None, "register": "seen"}]
        # Each goes first in turn, so that what changes in the course of the run favours neither.
        tasks += pair if number % 2 == 0 else pair[::-1]
    try:
        with bench(fleet) as lab:
            run = lab.playbook([{"hosts": group, "gather_facts": False, "tasks": tasks}])
            lab_processor = lab.lab_processor
    except BenchmarkError as error:
        print(error)
        return 1
    timed = [task for task in run.tasks if task.name != "First"]
    rows, medians = [], {}
    for action in (PING, info):
        seconds = [task.seconds for task in timed if task.action == action]
        processor = statistics.median(task.processor for task in timed if task.action == action)
        medians[action] = statistics.median(seconds), processor
        rows.append((action, *(f"{one:.1f}" for one in (*seconds, *medians[action]))))
    columns = ("seconds", *(f"round {number}" for number in range(1, ROUNDS + 1)), "median", "processor, median")
    ratio, of_processor = (one / other for one, other in zip(medians[info], medians[PING], strict=True))
    print(f"\n{hosts}, {FORKS} forks:\n")
    print(table(columns, rows))
    kept = "kept" if ratio <= at_most else "missed"
    print(f"\n{module} takes {ratio:.2f} times as long as win_ping (limit {at_most:g}: {kept}),")
    print(f"and {of_processor:.2f} times the processor time of ansible-playbook.")
    print(f"The lab used {lab_processor:.0f} s of the processor in all. Load at the end: {os.getloadavg()[0]:.1f}.")
    return int(ratio > at_most)
