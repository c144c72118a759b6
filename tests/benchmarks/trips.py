# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How many trips (module executions on a server) each module takes, and a rollout.

Run C(python -m tests.benchmarks.trips) from the root of the repository. It ends with 1 where a module takes more than it may: 1 where
all is as wished and 0 with the state of an earlier task, at most 2 to change something; in the rollout, 1 for a server that is done.
Restarting, and waiting for a synchronization, are apart: they are counted and have no limit.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from .bench import ROOT, BenchmarkError, Run, Trip, bench, trips_of
from .report import machine, table

PREFIX = "securepatch.wsus."
UPSTREAM, SERVER = "wsus01", "wsus02"
NAME = f"{UPSTREAM}.corp.example"
# In this order each has something to change, and what the next one needs is there.
MODULES: Sequence[tuple[str, Mapping[str, Any]]] = (
    ("wsus_trust", {"authorities": "{{ trust_authorities }}"}),
    ("wsus_certificate", {"source": "enterprise_ca"}),
    ("wsus_certificate", {"friendly_name": "Updates"}),
    ("wsus_app_pool", {}),
    ("wsus_ssl_binding", {}),
    ("wsus_configuressl", {}),
    ("wsus_restart", {"method": "services"}),
    ("wsus_downstream_sync", {"upstream": NAME, "synchronize": True}),
    ("wsus_downstream_sync", {"upstream": NAME, "use_ssl": False}),
    ("wsus_downstream_sync", {"upstream": NAME}),
    ("iis_require_ssl", {}),
    ("iis_require_ssl", {"state": "absent"}),
    ("wsus_configuressl", {"state": "absent"}),
    ("wsus_configuressl", {"fqdn": f"{SERVER}.corp.example"}),
)
AS_SYSTEM = {"become": True, "become_method": "ansible.builtin.runas", "become_user": "SYSTEM"}
APART = ("wsus_restart", "synchronize")


def main() -> int:
    print(machine())
    try:
        return int(of_modules() + of_rollouts() > 0)
    except BenchmarkError as error:
        print(error)
        return 1


# --- modules ---------------------------------------------------------------------------------------------------------


def of_modules() -> int:
    """Measure and print; how many limits were missed."""
    tasks: list[dict[str, Any]] = [
        {"name": "0 as wished", f"{PREFIX}wsus_server_info": {}, "register": "seen"},
        {"name": "0 observed", f"{PREFIX}wsus_server_info": {"observed": "{{ seen.state }}"}},
    ]
    for number, (module, options) in enumerate(MODULES, start=1):
        as_system = AS_SYSTEM if "enterprise_ca" in options.values() else {}
        added: list[dict[str, Any]] = [
            {"name": f"{number} changing", f"{PREFIX}{module}": options, "register": "made", "failed_when": "not made.changed"},
            {"name": f"{number} as wished", f"{PREFIX}{module}": options, "register": "made", "failed_when": "made.changed"},
            {"name": f"{number} observed", f"{PREFIX}{module}": {**options, "observed": "{{ made.state }}"}},
        ]
        tasks += [{**task, **as_system} for task in added]
    bare = {"upstream": UPSTREAM, "certificate": "none", "trusts_ca": False, "intermediates": False}
    fleet = {
        "domain": "corp.example",
        "ca": {},
        "variables": {"trust_authorities": ["{ca_chain_file}"]},
        "servers": {UPSTREAM: {"stage": "offered"}, SERVER: bare},
    }
    with bench(fleet) as lab:
        run = lab.playbook([{"hosts": SERVER, "gather_facts": False, "tasks": tasks}])
        counts = Counter(task.name for task, _trip in trips_of(run, lab.trips()))
    rows, missed = [], 0
    for number, (module, options) in enumerate((("wsus_server_info", {}), *MODULES)):
        changing, wished, observed = (counts[f"{number} {how}"] for how in ("changing", "as wished", "observed"))
        apart = module in APART or any(one in APART for one in options)
        wrong = (changing > 2 and not apart) or wished != 1 or observed != 0
        missed += wrong
        given = ", ".join(f"{name}: {str(value).lower()}" for name, value in options.items() if name not in ("upstream", "authorities"))
        limits = "missed" if wrong else "apart" if apart else "kept"
        rows.append((f"`{module}`{f' ({given})' if given else ''}", changing if number else "", wished, observed, limits))
    print("\nTrips of each module:\n")
    print(table(("module", "changing", "as wished", "as wished, with `observed`", "limits"), rows))
    return missed


# --- rollouts --------------------------------------------------------------------------------------------------------


def of_rollouts() -> int:
    """Measure and print; how many limits were missed."""
    return sum(of_rollout(name) for name in ("nine", "nine_with_certificates"))


def of_rollout(name: str) -> int:
    """Measure and print the rollout over one fleet; how many limits were missed."""
    fleet = yaml.safe_load((ROOT / "tests" / "lab" / "fleets" / f"{name}.yml").read_text(encoding="utf-8"))
    missed = 0
    with bench(fleet) as lab:
        runs: Sequence[tuple[str, dict[str, Any]]] = (
            ("first, offering HTTPS", {}),
            ("second, nothing left to do", {}),
            ("third, requiring TLS", {"wsus_require_tls": True}),
            ("fourth, nothing left to do", {"wsus_require_tls": True}),
        )
        for title, variables in runs:
            before = len(lab.trips())
            run = lab.playbook(f"{PREFIX}rollout", https_server_restart="services", **variables)
            trips = lab.trips()[before:]
            print(f"\nThe rollout over {name}.yml, {title}:\n")
            print(of_tasks(run, trips, list(fleet["servers"])))
            if "nothing left" in title:
                made = Counter(trip.server for trip in trips)
                missed += sum(made[server] != 1 for server in fleet["servers"])
    return missed


def of_tasks(run: Run, trips: Sequence[Trip], servers: Sequence[str]) -> str:
    """A table of trips by task and server. What turns a downstream server's synchronization is counted for that server."""
    pairs = trips_of(run, trips)
    if len(pairs) != len(trips):
        raise BenchmarkError(f"{len(trips)} trips, of which {len(pairs)} belong to a task.")
    counts = Counter((task.action, task.name, trip.server) for task, trip in pairs)
    rows = []
    for action, name in dict.fromkeys((task.action, task.name) for task, _trip in pairs):
        shown = f"{name.rpartition(' : ')[2]} (`{action.removeprefix(PREFIX)}`)"
        rows.append((shown, *(counts[action, name, server] for server in servers)))
    totals = Counter(trip.server for trip in trips)
    return table(("task", *servers), [*rows, ("all", *(totals[server] for server in servers))])


if __name__ == "__main__":
    sys.exit(main())
