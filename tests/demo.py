# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The demo: a hierarchy of nine simulated WSUS servers goes from HTTP to HTTPS, by the playbook that would do it for real ones.

`make demo` runs it. Two runs of the rollout: the first offers HTTPS, the second requires it. What is printed here is a digest; all that
ansible-playbook printed is kept beside the inventory, and so are the reports. Then fifty clients search through a rollout of three servers, twice
(`demo_clients`).
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests import demo_clients
from tests.lab.lab import Lab
from tests.tooling.cores import newest_for
from tests.tooling.environment import main_environment
from tests.tooling.interpreters import at_hand

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".cache" / "demo"
REPORTS = FOLDER / "reports"
RUNS = (
    ("1-offer", "The first run offers HTTPS on every server. Nobody is turned away: HTTP goes on.", {}),
    ("2-require", "The second run requires TLS. These servers have no clients yet: see below.", {"wsus_require_tls": True}),
)
CLIENTS = (
    "And the clients? Fifty of them search every 22 hours, all through a rollout of three servers: two weeks in about two minutes.\n"
    "Once TLS is required in the first night, and once when nobody needs HTTP any more."
)


def main() -> int:
    """Run the demo. Returns the exit code: 0 where both runs ended well."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(REPORTS, ignore_errors=True)
    logs = []
    with Lab(ROOT / "tests" / "lab" / "fleets" / "nine.yml", folder=FOLDER) as lab:
        print("Nine WSUS servers are up, none of them real: what runs on Windows is simulated, ansible-playbook and WinRM are not.")
        for name, about, variables in RUNS:
            log = FOLDER / f"{name}.log"
            logs.append(log)
            print(f"\n{'=' * 100}\n{about}\n{'=' * 100}\n", flush=True)
            code = rollout(lab.inventory, {"wsus_report_folder": str(REPORTS / name), **variables}, log)
            if code:
                print(f"\nansible-playbook ended with {code}. What it printed is in {log}.")
                return code
    print("\nWhat ansible-playbook printed, in full:")
    for log in logs:
        print(f"  {log.relative_to(ROOT)}")
    print("The reports, with before and after; open them in a browser:")
    for report in sorted(REPORTS.glob("*/*/audit.html")):
        print(f"  {report.relative_to(ROOT)}")
    print(f"The inventory it ran with:\n  {lab.inventory.relative_to(ROOT)}")
    print("\nTo try a playbook of your own against such a fleet:\n  .venv/bin/python -m tests.lab serve tests/lab/fleets/nine.yml")
    print(f"\n{'=' * 100}\n{CLIENTS}\n{'=' * 100}", flush=True)
    return demo_clients.main([])


def rollout(inventory: Path, variables: dict[str, object], log: Path) -> int:
    """Run the rollout, show a digest of it, and keep all of it in LOG. Returns the exit code of ansible-playbook."""
    ansible = main_environment(newest_for(sys.version_info.minor), at_hand())
    command = [str(ansible.program("ansible-playbook")), "securepatch.wsus.rollout", "--inventory", str(inventory)]
    command += ["--extra-vars", json.dumps({"https_server_backup_dir": str(FOLDER / "backup"), **variables})]
    environment = {**ansible.variables(), "ANSIBLE_FORKS": "10", "ANSIBLE_NOCOLOR": "1", "ANSIBLE_CALLBACKS_ENABLED": "securepatch.wsus.progress"}
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(command, env=environment, cwd=FOLDER, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert process.stdout
        for line in digest(tee(process.stdout, file)):
            print(line, flush=True)
        return process.wait()


def tee(lines: Iterator[str], file: object) -> Iterator[str]:
    """Pass lines on and write them to a file."""
    for line in lines:
        print(line, end="", file=file)  # type: ignore[call-overload]
        yield line.rstrip("\n")


def digest(lines: Iterator[str]) -> Iterator[str]:
    """What a person wants to see of it while it runs: the plan, how far it is, who was changed by which task, what failed, the table."""
    started = time.monotonic()
    task, shown, inside = "", False, False
    for line in lines:
        if heading := re.match(r"(PLAY|TASK) \[(.*?)\] \*", line):
            inside = False
            if heading[1] == "PLAY":
                yield f"\n[{time.monotonic() - started:5.1f} s] {heading[2]}"
            task, shown = re.sub(r"^securepatch\.wsus\.\w+ : ", "", heading[2]), False
        elif result := re.match(r"(changed|fatal|failed): \[(.*?)\](.*)", line):
            if not shown:
                yield f"    {task}"
                shown = True
            item = re.search(r"\(item=(.*?)\)", result[3])
            yield f"        {'FAILED ' if result[1] != 'changed' else ''}{result[2]}{f' ({item[1]})' if item else ''}"
            if result[1] != "changed":
                yield f"            {result[3][:300]}"
        elif re.match(r"\[\d\d:\d\d\] ", line):
            yield f"  {line}"
        elif re.match(r"ok: \[.*\] => \{$", line):
            inside = True
        elif inside and line == "}":
            inside = False
        elif inside and (text := re.match(r'\s{8}(".*"),?$', line)):
            yield json.loads(text[1])


if __name__ == "__main__":
    sys.exit(main())
