# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The controller's side of the tests: real ansible-playbook over a lab fleet, and what came out of it."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.lab.lab import Lab

ROOT = Path(__file__).resolve().parent.parent.parent
HERE = Path(__file__).resolve().parent


@dataclasses.dataclass(frozen=True)
class Run:
    """What one ansible-playbook gave: its exit code, all it printed, and every result."""

    code: int
    output: str
    results: Sequence[Mapping[str, Any]]

    def of(self, task: str, host: str | None = None) -> Mapping[str, Any]:
        """The last result of a task, by the end of its name."""
        found = [one for one in self.results if one["task"].endswith(task) and (host is None or one["host"] == host)]
        assert found, f"no result of '{task}' in\n{self.output}"
        return found[-1]["result"]

    @property
    def changed(self) -> list[str]:
        """Which tasks changed something, as HOST: TASK."""
        return [f"{one['host']}: {one['task']}" for one in self.results if one["status"] == "ok" and one["result"].get("changed")]

    @property
    def unreachable(self) -> list[str]:
        """Hosts that Ansible took for unreachable: there must be none."""
        return [one["host"] for one in self.results if one["status"] == "unreachable"]


class Controller:
    """Runs ansible-playbook against a lab."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        self.folder = folder
        self.runs = 0

    def playbook(self, playbook: str | list[dict[str, Any]], *arguments: str, **variables: Any) -> Run:
        """Run a playbook, by its name or as plays; further arguments go to ansible-playbook, variables are extra variables."""
        self.runs += 1
        results = self.folder / f"results-{self.runs}.jsonl"
        results.touch()
        if not isinstance(playbook, str):
            path = self.folder / f"playbook-{self.runs}.yml"
            path.write_text(yaml.safe_dump(playbook, sort_keys=False))
            playbook = str(path)
        variables = {"https_server_backup_dir": str(self.folder / "backup"), "downstream_backup_dir": str(self.folder / "backup"), **variables}
        command = [str(Path(sys.executable).parent / "ansible-playbook"), playbook, "--inventory", str(self.lab.inventory)]
        if self.lab.clock.ahead:
            # The controller lives in the lab's time.
            command = [sys.executable, str(ROOT / "tests" / "tooling" / "ahead.py"), str(self.lab.clock.ahead.total_seconds()), *command]
        command += ["--extra-vars", json.dumps(variables), *arguments]
        done = subprocess.run(command, env=self.environment(results), cwd=self.folder, capture_output=True, text=True, check=False, timeout=600)
        lines = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
        return Run(done.returncode, done.stdout + done.stderr, lines)

    def task(self, host: str, module: str, *arguments: str, **options: Any) -> Run:
        """Run one task of a module (without the collection's name) on one host; the task is called 'It'."""
        name = module if "." in module else f"securepatch.wsus.{module}"
        return self.playbook([{"hosts": host, "gather_facts": False, "tasks": [{"name": "It", name: options}]}], *arguments)

    def environment(self, results: Path) -> dict[str, str]:
        """The environment of ansible-playbook: the collections of this clone."""
        collections = os.environ.get("ANSIBLE_COLLECTIONS_PATH") or str(ROOT / ".cache" / "collections")
        return {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": collections,
            "ANSIBLE_CALLBACK_PLUGINS": str(HERE / "callback"),
            "ANSIBLE_CALLBACKS_ENABLED": "results",
            "ANSIBLE_CONFIG": str(self.folder / "ansible.cfg"),  # which is not there: nothing of the user's own
            "ANSIBLE_FORKS": "10",
            "ANSIBLE_HOME": str(self.folder / "ansible"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_ROLES_PATH": str(HERE / "targets"),
            "RESULTS_FILE": str(results),
        }
