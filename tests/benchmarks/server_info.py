# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How long wsus_server_info takes over 200 servers, beside ansible.windows.win_ping over the same servers in the same run.

Run C(python -m tests.benchmarks.server_info) from the root of the repository. It ends with 1 where wsus_server_info takes more than
1.3 times as long.
"""

from __future__ import annotations

import os
import statistics
import sys

from .bench import FORKS, BenchmarkError, bench, tree
from .report import machine, table

LEVELS = (1, 20, 179)
ROUNDS = 5
AT_MOST = 1.3

PING, INFO = "ansible.windows.win_ping", "securepatch.wsus.wsus_server_info"


def main() -> int:
    print(machine())
    # The first task of a run pays for what is loaded once: it counts for neither.
    tasks = [{"name": "First", PING: None}]
    for number in range(ROUNDS):
        pair = [{"name": "Ping", PING: None, "register": "pinged"}, {"name": "Look", INFO: None, "register": "seen"}]
        # Each goes first in turn, so that what changes in the course of the run favours neither.
        tasks += pair if number % 2 == 0 else pair[::-1]
    try:
        with bench(tree(LEVELS)) as lab:
            run = lab.playbook([{"hosts": "wsus_servers", "gather_facts": False, "tasks": tasks}])
            lab_processor = lab.lab_processor
    except BenchmarkError as error:
        print(error)
        return 1
    timed = [task for task in run.tasks if task.name != "First"]
    rows, medians = [], {}
    for action in (PING, INFO):
        seconds = [task.seconds for task in timed if task.action == action]
        processor = statistics.median(task.processor for task in timed if task.action == action)
        medians[action] = statistics.median(seconds), processor
        rows.append((action, *(f"{one:.1f}" for one in (*seconds, *medians[action]))))
    columns = ("seconds", *(f"round {number}" for number in range(1, ROUNDS + 1)), "median", "processor, median")
    ratio, of_processor = (one / other for one, other in zip(medians[INFO], medians[PING], strict=True))
    print(f"\n{sum(LEVELS)} servers, {FORKS} forks:\n")
    print(table(columns, rows))
    kept = "kept" if ratio <= AT_MOST else "missed"
    print(f"\nwsus_server_info takes {ratio:.2f} times as long as win_ping (limit {AT_MOST:g}: {kept}),")
    print(f"and {of_processor:.2f} times the processor time of ansible-playbook.")
    print(f"The lab used {lab_processor:.0f} s of the processor in all. Load at the end: {os.getloadavg()[0]:.1f}.")
    return int(ratio > AT_MOST)


if __name__ == "__main__":
    sys.exit(main())
