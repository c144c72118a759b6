# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The renewal of certificates over 200 servers, of which five are due: how many trips it takes, and how long, beside runs in which none is.

Run C(python -m tests.benchmarks.renewal) from the root of the repository. It ends with 1 where there are more trips than there may be: 1 for
a server that is not due, 5 for one that is (the plan's look, and at most 4). Time has no limit: it is recorded. The certificates come from
the lab's enterprise CA, and their roots are seen to be trusted.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from .bench import FORKS, BenchmarkError, Run, Trip, bench, tree, trips_of
from .report import machine, table

LEVELS = (1, 20, 179)
# One at the top, one in the middle, three at the bottom: three waves.
DUE = ("wsus0001", "wsus0011", "wsus0050", "wsus0100", "wsus0200")
MORE_FOR_ONE_THAT_IS_DUE = 4
# Days that the certificates of those must have left. They have six.
RUNS: Sequence[tuple[str, int, Sequence[str]]] = (("none due", 5, ()), ("five due", 30, DUE), ("none due any more", 30, ()))
PLAN = ("See every server's certificate", "Plan the waves", "Show the plan")
RESULT = ("Show every server", "Fail where there was no plan", "Fail where it failed")
COLUMNS = ("run", "due", "trips", "the most for one that is due", "plan", "waves", "all else", "time", "processor time", "limits")


def fleet() -> Mapping[str, Any]:
    """Servers that offer HTTPS, some with a certificate that ends soon."""
    found = tree(LEVELS, stage="offered")
    for name in DUE:
        found["servers"][name] = {**found["servers"][name], "certificate": "short_lived"}
    return {**found, "ca": {}, "variables": {"certificate_source": "enterprise_ca", "trust_authorities": ["{ca_chain_file}"]}}


def main() -> int:
    print(machine())
    rows, missed = [], 0
    of_the_renewal = ""
    try:
        with bench(fleet()) as lab:
            for title, days, due in RUNS:
                before = len(lab.trips())
                run = lab.playbook("securepatch.wsus.renew_certificates", wsus_renew_days=days)
                trips = lab.trips()[before:]
                row, wrong = measured(title, due, run, trips)
                rows.append(row)
                missed += wrong
                of_the_renewal = of_the_renewal or (of_tasks(run, trips) if due else "")
    except BenchmarkError as error:
        print(error)
        return 1
    print(f"\nThe renewal over {sum(LEVELS)} servers ({', '.join(map(str, LEVELS))} on each level), {FORKS} forks:\n")
    print(table(COLUMNS, rows))
    print("\nTrips of the five, by task:\n")
    print(of_the_renewal)
    return int(missed > 0)


def measured(title: str, due: Sequence[str], run: Run, trips: Sequence[Trip]) -> tuple[Sequence[object], bool]:
    """A row of the table, and whether there were more trips than there may be.

    :raises BenchmarkError: where the run did not do what it is measured for
    """
    servers = sum(LEVELS)
    shown = re.search(r"(\d+) WSUS servers, (\d+) of them due", run.output)
    renewed = len(re.findall(r"wsus\d{4} +[\d-]{10} +[\d-]{10} +3 changes\"", run.output))  # the table at the end
    if shown is None or (int(shown[1]), int(shown[2]), renewed) != (servers, len(due), len(due)):
        raise BenchmarkError(f"{renewed} servers were renewed, not {len(due)}:\n{run.output[-3000:]}")
    made = Counter(trip.server for trip in trips)
    most = max((made[name] for name in due), default=0)
    others = sum(count for name, count in made.items() if name not in due)
    wrong = len(made) != servers or others != servers - len(due) or most > 1 + MORE_FOR_ONE_THAT_IS_DUE
    plan = sum(task.seconds for task in run.tasks if task.name in PLAN)
    waves = sum(task.seconds for task in run.tasks if task.name not in (*PLAN, *RESULT))
    rest = run.seconds - plan - waves
    times = [f"{one:.1f} s" for one in (plan, waves, rest, run.seconds, run.processor)]
    return (title, len(due), len(trips), most or "", *times, "missed" if wrong else "kept"), wrong


def of_tasks(run: Run, trips: Sequence[Trip]) -> str:
    """A table of the trips of the servers that are due."""
    pairs = trips_of(run, trips)
    if len(pairs) != len(trips):
        raise BenchmarkError(f"{len(trips)} trips, of which {len(pairs)} belong to a task.")
    counts = Counter((task.name.rpartition(" : ")[2], trip.server) for task, trip in pairs)
    names = dict.fromkeys(task.name.rpartition(" : ")[2] for task, trip in pairs if trip.server in DUE)
    rows = [(name, *(counts[name, server] for server in DUE)) for name in names]
    return table(("task", *DUE), rows)


if __name__ == "__main__":
    sys.exit(main())
