# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How long wsus_client_info takes over 200 clients, beside ansible.windows.win_ping over the same clients in the same run. Each client looks at its
server over real TLS, and at the port for files over HTTP.

Run C(python -m tests.benchmarks.client_info) from the root of the repository. It ends with 1 where wsus_client_info takes more than
1.3 times as long.
"""

from __future__ import annotations

import os
import statistics
import sys

from .bench import FORKS, BenchmarkError, bench
from .report import machine, table

CLIENTS = 200
ROUNDS = 5
AT_MOST = 1.3

PING, INFO = "ansible.windows.win_ping", "securepatch.wsus.wsus_client_info"

#: Told by a group policy that the server answers to over HTTPS.
FLEET = {
    "domain": "corp.example",
    "servers": {"wsus01": {"stage": "offered"}},
    "group_policies": {"WSUS clients": {"url": "https://wsus01.corp.example:8531"}},
    "clients": {f"pc[001:{CLIENTS}]": {}},
}


def main() -> int:
    print(machine())
    # The first task of a run pays for what is loaded once: it counts for neither.
    tasks = [{"name": "First", PING: None}]
    for number in range(ROUNDS):
        pair = [{"name": "Ping", PING: None, "register": "pinged"}, {"name": "Look", INFO: None, "register": "seen"}]
        # Each goes first in turn, so that what changes in the course of the run favours neither.
        tasks += pair if number % 2 == 0 else pair[::-1]
    try:
        with bench(FLEET) as lab:
            run = lab.playbook([{"hosts": "wsus_clients", "gather_facts": False, "tasks": tasks}])
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
    print(f"\n{CLIENTS} clients, {FORKS} forks:\n")
    print(table(columns, rows))
    kept = "kept" if ratio <= AT_MOST else "missed"
    print(f"\nwsus_client_info takes {ratio:.2f} times as long as win_ping (limit {AT_MOST:g}: {kept}),")
    print(f"and {of_processor:.2f} times the processor time of ansible-playbook.")
    print(f"The lab used {lab_processor:.0f} s of the processor in all. Load at the end: {os.getloadavg()[0]:.1f}.")
    return int(ratio > AT_MOST)


if __name__ == "__main__":
    sys.exit(main())
