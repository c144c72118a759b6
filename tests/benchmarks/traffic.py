# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What it costs the controller to see who calls 20 servers with 20,000 callers each, through ansible-playbook: time and memory.

Run C(python -m tests.benchmarks.traffic) from the root of the repository. There is no limit; it ends with 1 where it could not be measured.
"""

from __future__ import annotations

import ipaddress
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

from .bench import FORKS, Bench, BenchmarkError, bench, tree
from .report import machine, mebibytes, table

SERVERS = 20
CALLERS = 20_000
FOLDER = r"C:\inetpub\logs\LogFiles\W3SVC1634923"
FIELDS = "#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) cs(Referer) sc-status sc-substatus"
TASKS = {
    "wsus_traffic_info": {"securepatch.wsus.wsus_traffic_info": {"resolve": False}},
    "iis_require_ssl, when_quiet": {"securepatch.wsus.iis_require_ssl": {"when_quiet": True, "look_from": "none"}, "check_mode": True},
}


def address(number: int) -> str:
    return str(ipaddress.IPv4Address("10.0.0.0") + 256 + number)


def state() -> dict[str, Any]:
    """What is the same on every server: the log of eight days, in which each caller was served over HTTP once, and WSUS, which knows them."""
    now = datetime.now(UTC)
    times = [now - timedelta(days=8) * (number + 1) / (CALLERS + 1) for number in range(CALLERS)]
    files: dict[str, list[str]] = {}
    for number, at in enumerate(times):
        line = f"{at:%Y-%m-%d %H:%M:%S} 10.0.0.5 POST /ClientWebService/client.asmx - 8530 - {address(number)} Windows-Update-Agent/10.0 - 200 0"
        files.setdefault(f"{FOLDER}\\u_ex{at:%y%m%d}.log", [FIELDS]).append(line)
    computers = [
        {"id": f"id-{number}", "fqdn": f"pc{number}.corp.example", "address": address(number), "last_sync": f"{at:%Y-%m-%dT%H:%M:%SZ}"}
        for number, at in enumerate(times)
    ]
    # A log has the oldest line first.
    logs = {path: "\n".join([lines[0], *reversed(lines[1:])]) + "\n" for path, lines in files.items()}
    return {"files": logs, "wsus": {"computers": computers}}


def measured(lab: Bench, name: str) -> tuple[str, ...]:
    """One run with this task alone, and what it took."""
    run = lab.playbook([{"hosts": "wsus_servers", "gather_facts": False, "tasks": [{"name": name, **TASKS[name], "register": "found"}]}], memory=True)
    if not run.memory:
        raise BenchmarkError("nothing was measured of the memory")
    seconds = sum(task.seconds for task in run.tasks)
    return name, f"{seconds:.0f} s", f"{run.processor:.0f} s", mebibytes(run.memory.largest), mebibytes(run.memory.together)


def main() -> int:
    print(machine())
    try:
        with bench(tree((SERVERS,), stage="offered", state=state())) as lab:
            rows = []
            for name in TASKS:
                before = lab.lab_processor
                rows.append((*measured(lab, name), f"{lab.lab_processor - before:.0f} s"))
    except BenchmarkError as error:
        print(error)
        return 1
    print(f"\n{SERVERS} servers with {CALLERS:,} callers each, all over HTTP, all known to WSUS; {FORKS} forks:\n")
    print(table(("task", "time", "processor", "ansible-playbook", "with its workers", "the lab's processor"), rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
