# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""How long the hierarchy takes: reading the variables, checking and building the tree, finding the waves.

Run C(python -m tests.benchmarks.planning) from the root of the repository. It ends with 1 where a limit is missed: a second
for 10,000 servers, or growth that is far from proportional. It takes one processor and waits for nothing, so what is measured is processor
time: that a machine has other work does not count.
"""

from __future__ import annotations

import gc
import sys
import time

from ansible_collections.securepatch.wsus.plugins.plugin_utils import hierarchy

from .report import machine, table

SMALL, LARGE = 1_000, 10_000
SECONDS_FOR_LARGE = 1.0
GROWTH_AT_MOST = 15.0  # ten times the servers, and a little for more memory than the caches hold
RUNS = 7
SHAPES = {"ten below each": 10, "a single chain": 1}


def inventory(count: int, width: int) -> tuple[dict[str, dict[str, object]], dict[str, hierarchy.Observed]]:
    """Host variables and observations of a sound tree in which each server has so many downstream servers."""
    names = [f"wsus{number:05}" for number in range(count)]
    hostvars: dict[str, dict[str, object]] = {}
    observed: dict[str, hierarchy.Observed] = {}
    for number, name in enumerate(names):
        upstream = names[(number - 1) // width] if number else None
        hostvars[name] = {"wsus_upstream": upstream} if upstream else {}
        observed[name] = hierarchy.Observed(
            fqdn=f"{name}.corp.example",
            server_id=f"00000000-0000-0000-0000-{number:012}",
            sql_server="MICROSOFT##WID",
            microsoft_update=upstream is None,
            upstream_name=f"{upstream}.corp.example" if upstream else None,
        )
    return hostvars, observed


def seconds(count: int, width: int) -> tuple[float, float]:
    """The best times of reading, checking and building the tree, and of finding the waves."""
    hostvars, observed = inventory(count, width)
    building, waving = [], []
    for _rest in range(RUNS):
        gc.collect()
        start = time.process_time()
        tree = hierarchy.build(hierarchy.read(hostvars, hostvars, observed))
        built = time.process_time()
        found = hierarchy.waves(tree, "bottom_up", "25%")
        building.append(built - start)
        waving.append(time.process_time() - built)
        assert sum(map(len, found)) == count
    return min(building), min(waving)


def main() -> int:
    missed, rows = False, []
    print(f"{machine()}\n")
    for shape, width in SHAPES.items():
        small = 0.0
        for count in (SMALL, LARGE):
            building, waving = seconds(count, width)
            together = building + waving
            growth = f"{together / small:.1f}" if small else ""
            rows.append((shape, f"{count:,}", *(f"{seconds_of:.3f} s" for seconds_of in (building, waving, together)), growth))
            missed |= count == LARGE and (together > SECONDS_FOR_LARGE or together > GROWTH_AT_MOST * small)
            small = together
    print(table(("tree", "servers", "tree, checks", "waves", "together", "growth"), rows))
    limits = f"{SECONDS_FOR_LARGE:g} s for {LARGE:,} servers, growth from {SMALL:,} at most {GROWTH_AT_MOST:g}"
    print(f"\nLimits ({limits}): {'missed' if missed else 'kept'}. Times are the best of {RUNS} runs.")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
