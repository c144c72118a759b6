# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How long an audit of 200 servers takes, its report included, beside ansible.windows.win_ping over the same servers in the same run.

Run C(python -m tests.benchmarks.audit) from the root of the repository. It ends with 1 where the audit takes more than twice as long. The
servers offer HTTPS, and the controller looks at each over TLS and HTTP. The tasks are those of C(playbooks/audit.yml), as they stand there; who calls
the servers is not read (C(audit_traffic_days: 0)), which would be further trips.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from .bench import FORKS, ROOT, BenchmarkError, Task, bench, tree
from .report import machine, table

LEVELS = (1, 20, 179)
ROUNDS = 5
AT_MOST = 2.0

PING, AUDIT, REPORT = "ansible.windows.win_ping", "securepatch.wsus.wsus_audit", "securepatch.wsus.report"
BOTH = "wsus_audit and report"
# Each of them takes a handshake that the controller checks, or an answer over TLS.
MUST_PASS = ("reachable", "binding_served", "certificate_trusted", "certificate_name", "services_over_https", "content_over_http")
FILES = ("audit.json", "audit.html", "audit.xml")


def main() -> int:
    print(machine())
    try:
        with bench(tree(LEVELS, stage="offered")) as lab:
            reports = [lab.folder / f"report-{number}" for number in range(ROUNDS)]
            run = lab.playbook([{**play(), "tasks": tasks(reports)}])
            for folder in reports:
                refuse_unseen(folder)
            lab_processor = lab.lab_processor
    except BenchmarkError as error:
        print(error)
        return 1
    timed = {action: [task for task in run.tasks if task.action == action and task.name != "First"] for action in (PING, AUDIT, REPORT)}
    measured = {action: figures([task] for task in found) for action, found in timed.items()}
    measured[BOTH] = figures(zip(timed[AUDIT], timed[REPORT], strict=True))
    rows = [(name, *(f"{one:.1f}" for one in (*seconds, *medians))) for name, (seconds, medians) in measured.items()]
    columns = ("seconds", *(f"round {number}" for number in range(1, ROUNDS + 1)), "median", "processor, median")
    ratio, of_processor = (one / other for one, other in zip(measured[BOTH][1], measured[PING][1], strict=True))
    print(f"\n{sum(LEVELS)} servers, {FORKS} forks:\n")
    print(table(columns, rows))
    kept = "kept" if ratio <= AT_MOST else "missed"
    print(f"\nThe audit with its report takes {ratio:.2f} times as long as win_ping (limit {AT_MOST:g}: {kept}),")
    print(f"and {of_processor:.2f} times the processor time of ansible-playbook.")
    print(f"The lab used {lab_processor:.0f} s of the processor in all. Load at the end: {os.getloadavg()[0]:.1f}.")
    return int(ratio > AT_MOST)


def play() -> dict[str, Any]:
    """The play of the audit."""
    plays: list[dict[str, Any]] = yaml.safe_load((ROOT / "playbooks" / "audit.yml").read_text(encoding="utf-8"))
    found = next(play for play in plays if play["name"] == "Audit")
    return {**found, "vars": {**found.get("vars", {}), "audit_traffic_days": 0}}


def tasks(reports: Sequence[Path]) -> list[dict[str, Any]]:
    """A round for each of the folders that a report is written to, each side first in turn, so that what changes in the course of the run
    favours neither."""
    audit, report = (next(task for task in play()["tasks"] if action in task) for action in (AUDIT, REPORT))
    # The first task of a run pays for what is loaded once: it counts for neither.
    found: list[dict[str, Any]] = [{"name": "First", PING: None}]
    for number, folder in enumerate(reports):
        sides = [[{"name": "Ping", PING: None, "register": "pinged"}], [audit, {**report, "vars": {"audit_folder": str(folder)}}]]
        found += [task for side in (sides if number % 2 == 0 else sides[::-1]) for task in side]
    return found


def figures(rounds: Any) -> tuple[list[float], tuple[float, float]]:
    """Of the tasks of each round: their seconds together, and the medians of those and of their processor time."""
    seconds, processor = [], []
    for of_round in rounds:
        together: Sequence[Task] = list(of_round)
        seconds.append(sum(task.seconds for task in together))
        processor.append(sum(task.processor for task in together))
    return seconds, (statistics.median(seconds), statistics.median(processor))


def refuse_unseen(folder: Path) -> None:
    """See that the audit whose report is in this folder looked at every server, and found there what it must find.

    :raises BenchmarkError: where it did not
    """
    if missing := [name for name in FILES if not (folder / name).is_file()]:
        raise BenchmarkError(f"The report has no {', '.join(missing)}.")
    servers = json.loads((folder / FILES[0]).read_text(encoding="utf-8"))["servers"]
    reached = sum(server["reached"] for server in servers)
    if reached != sum(LEVELS):
        raise BenchmarkError(f"The audit reached {reached} of {sum(LEVELS)} servers.")
    for server in servers:
        found = {finding["check"]: finding for finding in server["findings"]}
        for check in MUST_PASS:
            one = found[check]
            if one["result"] != "pass" or (check != "reachable" and not one["network_says"]):
                raise BenchmarkError(f"{server['name']}: {check} is {one['result']}: {one['seen'] or one['reason']}")


if __name__ == "__main__":
    sys.exit(main())
