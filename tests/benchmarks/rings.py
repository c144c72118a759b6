# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""How long the rings of many clients take: reading and checking them, planning them, and the table at the end.

Run C(python -m tests.benchmarks.rings) from the root of the repository. It ends with 1 where a limit is missed: a second for
10,000 clients, or growth that is far from proportional. It takes one processor and waits for nothing, so what is measured is processor time:
that a machine has other work does not count.
"""

from __future__ import annotations

import datetime
import gc
import sys
import time
from collections.abc import Mapping
from typing import Any

from ansible_collections.securepatch.wsus.plugins.plugin_utils import rings

from .report import machine, table

SMALL, LARGE = 1_000, 10_000
SECONDS_FOR_LARGE = 1.0
GROWTH_AT_MOST = 15.0  # ten times the clients, and a little for more memory than the caches hold
RUNS = 7
NOW = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.UTC)
SERVERS = [f"wsus{number:02}" for number in range(20)]
#: By what they are: of so many clients, how many prove each ring; and whether the rings are sound.
SHAPES = {
    "a few prove each of 20 rings": (0, True),
    "ten rings, all clients prove": (10, True),
    "a ring for every three": (3, True),
    "nothing is right": (3, False),
}


def given(count: int, shape: str) -> tuple[list[dict[str, Any]], list[str]]:
    """Rings, and the group of clients."""
    each, sound = SHAPES[shape]
    clients = [f"pc{number:05}.corp.example" for number in range(count)]
    number = 20 if each == 0 else 10 if each == 10 else count // each
    size = 3 if each == 0 else count // number
    found = []
    for index in range(number):
        server = SERVERS[index % len(SERVERS)]
        policies = [{"gpo": f"WSUS {index} {part}", "domain": "corp.example", "server": server} for part in ("clients", "servers")]
        found.append({"name": f"ring {index}", "policies": policies, "hosts": clients[index * size : (index + 1) * size]})
    if not sound:
        for index, ring in enumerate(found):
            # Each as wrong as it can be: hosts that are nobody's, one policy for all servers, in other spellings of it.
            ring["hosts"] = [f"{host}x" for host in ring["hosts"]]
            ring["policies"] = [
                {"gpo": "wsus CLIENTS", "domain": f"corp{index}", "server": "nobody"},
                {"gpo": "WSUS clients", "server": SERVERS[index % 20]},
            ]
    return found, clients


def seconds(count: int, shape: str) -> tuple[float, float, float]:
    """The best times of reading and checking, of planning, and of the table."""
    found, clients = given(count, shape)
    everybody = [*clients, *SERVERS, "dc01"]
    reading, planning, telling = [], [], []
    seen: Mapping[str, Mapping[str, Any]] = {server: {"msg": "not looked at here"} for server in SERVERS}
    for _rest in range(RUNS):
        gc.collect()
        start = time.process_time()
        try:
            read = rings.read_rings(found, clients, SERVERS, everybody, "dc01")
        except rings.RingsError as error:
            reading.append(time.process_time() - start)
            assert len(error.problems) >= len(found)
            continue
        done = time.process_time()
        plan = rings.plan_rings(read, clients, everybody, seen, NOW)
        planned = time.process_time()
        proofs = {host: rings.Proof(True, changes=("a change",)) for hosts in plan.in_run for host in hosts}
        rings.result_lines(plan.rings, plan.in_run, proofs, check_mode=False)
        reading.append(done - start)
        planning.append(planned - done)
        telling.append(time.process_time() - planned)
        assert sum(map(len, plan.waves)) == sum(len(ring["hosts"]) for ring in found)
    return min(reading), min(planning, default=0.0), min(telling, default=0.0)


def main() -> int:
    missed, rows = False, []
    print(f"{machine()}\n")
    for shape in SHAPES:
        small = 0.0
        for count in (SMALL, LARGE):
            times = seconds(count, shape)
            together = sum(times)
            growth = f"{together / small:.1f}" if small else ""
            rows.append((shape, f"{count:,}", *(f"{one:.3f} s" for one in (*times, together)), growth))
            # What takes next to nothing may well grow by more than its share.
            missed |= count == LARGE and (together > SECONDS_FOR_LARGE or (together > 0.1 and together > GROWTH_AT_MOST * small))
            small = together
    print(table(("rings", "clients", "read, checks", "plan", "result", "together", "growth"), rows))
    limits = f"{SECONDS_FOR_LARGE:g} s for {LARGE:,} clients, growth from {SMALL:,} at most {GROWTH_AT_MOST:g}"
    print(f"\nLimits ({limits}): {'missed' if missed else 'kept'}. Times are the best of {RUNS} runs.")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
