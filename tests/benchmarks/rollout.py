# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The rollout of 50 servers in three levels: how long the first run takes, which offers HTTPS, and how much memory.

Run C(python -m tests.benchmarks.rollout) from the root of the repository; C(services) or C(reboot) after it runs with that restart
alone. There is no limit: the figures are recorded. The lab's servers take 0.3 s to synchronize and are away for 1 s when they restart;
real ones take minutes.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

from .bench import FORKS, BenchmarkError, bench, tree
from .report import machine, mebibytes, table

LEVELS = (1, 7, 42)
RESTARTS = ("services", "reboot")
COLUMNS = ("restart", "time", "trips", "ansible-playbook", "with its workers", "their processor time", "lab", "its processor time")


def main(restarts: Sequence[str]) -> int:
    print(machine())
    rows = []
    for restart in restarts or RESTARTS:
        try:
            rows.append(measured(restart))
        except BenchmarkError as error:
            print(error)
            return 1
    print(f"\nThe first rollout of {sum(LEVELS)} servers ({', '.join(map(str, LEVELS))} on each level), offering HTTPS, {FORKS} forks:\n")
    print(table(COLUMNS, rows))
    return 0


def measured(restart: str) -> Sequence[str]:
    """Run it on a fresh fleet; a row of the table.

    :raises BenchmarkError: also where a server does not offer HTTPS afterwards
    """
    with bench(tree(LEVELS)) as lab:
        run = lab.playbook("securepatch.wsus.rollout", memory=True, https_server_restart=restart)
        trips, memory, processor = len(lab.trips()), lab.lab_memory, lab.lab_processor
    offering = len(re.findall(r"wsus\d{4} +HTTP +offers HTTPS ", run.output))  # the table at the end
    if offering != sum(LEVELS):
        raise BenchmarkError(f"{offering} of {sum(LEVELS)} servers offer HTTPS after the run:\n{run.output[-3000:]}")
    alone, together = (run.memory.largest, run.memory.together) if run.memory else (0, 0)
    times = (f"{run.processor:.0f} s", mebibytes(memory), f"{processor:.0f} s")
    return (restart, f"{run.seconds:.0f} s", str(trips), mebibytes(alone), mebibytes(together), *times)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
