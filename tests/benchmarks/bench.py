# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the benchmarks run: a lab in a process of its own, and real ansible-playbook against it. Everything is gone afterwards."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from . import COLLECTIONS
from .memory import PeakMemory

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
NETWORK = "127.77.0.0/16"
FORKS = 20
_PATIENCE = 120  # seconds for a lab to come up


class BenchmarkError(Exception):
    """It could not be measured, and why."""


@dataclass(frozen=True)
class Task:
    """One task of a run: its action and name, when it began and was over (seconds since 1970), and the processor time that
    ansible-playbook and its workers used for it (seconds)."""

    action: str
    name: str
    began: float
    ended: float
    processor: float

    @property
    def seconds(self) -> float:
        return self.ended - self.began


@dataclass(frozen=True)
class Run:
    """One ansible-playbook: what it printed, how long it took (seconds), processor time (seconds), its tasks in order, and where that was
    asked for, the memory of it and its workers together and of it alone at their peak (bytes)."""

    output: str
    seconds: float
    processor: float
    tasks: Sequence[Task]
    memory: PeakMemory | None


@dataclass(frozen=True)
class Trip:
    """One module execution that the lab served: on which server, which module, and when it began (seconds since 1970)."""

    server: str
    module: str
    began: float


def tree(levels: Sequence[int], **server: Any) -> dict[str, Any]:
    """A fleet (see tests/lab/fleet.py) with so many servers on each level, spread evenly below those of the level above. SERVER is what
    every one of them is like."""
    servers: dict[str, Any] = {}
    above: list[str] = []
    for count in levels:
        level = [f"wsus{number:04}" for number in range(len(servers) + 1, len(servers) + count + 1)]
        servers |= {name: server | ({"upstream": above[index % len(above)]} if above else {}) for index, name in enumerate(level)}
        above = level
    return {"domain": "corp.example", "servers": servers}


class Bench:
    """A lab that is up, and a controller for it."""

    def __init__(self, folder: Path, lab: subprocess.Popen[str]) -> None:
        self.folder = folder
        self.inventory = folder / "inventory.yml"
        self._lab = lab
        self._runs = 0

    @property
    def lab_memory(self) -> int:
        """The most memory that the lab's process has had so far, in bytes."""
        status = Path("/proc", str(self._lab.pid), "status").read_text(encoding="ascii")
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))

    @property
    def lab_processor(self) -> float:
        """How much processor time the lab's process has used so far, in seconds."""
        fields = Path("/proc", str(self._lab.pid), "stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def trips(self) -> list[Trip]:
        """Every trip so far, in the order in which they began."""
        lines = [json.loads(line) for line in (self.folder / "trips.jsonl").read_text(encoding="utf-8").splitlines()]
        made = [one for one in lines if one["kind"] == "module"]
        found = [Trip(one["server"], one["module"], datetime.fromisoformat(one["started"]).timestamp()) for one in made]
        return sorted(found, key=lambda trip: trip.began)

    def playbook(self, playbook: str | list[dict[str, Any]], *, memory: bool = False, **variables: Any) -> Run:
        """Run a playbook, by its name or as plays, with extra variables.

        :raises BenchmarkError: where it does not end well
        """
        self._runs += 1
        times = self.folder / f"tasks-{self._runs}.jsonl"
        if not isinstance(playbook, str):
            path = self.folder / f"playbook-{self._runs}.yml"
            path.write_text(yaml.safe_dump(playbook, sort_keys=False), encoding="utf-8")
            playbook = str(path)
        variables = {"https_server_backup_dir": str(self.folder / "backup"), **variables}
        command = [str(Path(sys.executable).with_name("ansible-playbook")), playbook, "--inventory", str(self.inventory)]
        command += ["--extra-vars", json.dumps(variables)]
        log = self.folder / f"run-{self._runs}.log"
        used = _children_seconds()
        began = time.monotonic()
        with log.open("w", encoding="utf-8") as file:
            environment = _environment(self.folder, times)
            process = subprocess.Popen(command, env=environment, cwd=self.folder, stdout=file, stderr=subprocess.STDOUT)
            watched = PeakMemory(process.pid) if memory else None
            try:
                with watched or nullcontext():
                    code = process.wait()
            finally:
                process.kill()
        seconds = time.monotonic() - began
        output = log.read_text(encoding="utf-8")
        if code:
            raise BenchmarkError(f"ansible-playbook ended with {code}. The end of what it printed:\n{output[-3000:]}")
        return Run(output, seconds, _children_seconds() - used, _tasks(times), watched)


@contextmanager
def bench(fleet: Mapping[str, Any]) -> Iterator[Bench]:
    """Bring a fleet up in a process of its own (C(python -m tests.lab serve)), on loopback addresses, with a folder that goes away.

    :raises BenchmarkError: when it does not come up
    """
    with tempfile.TemporaryDirectory(prefix="wsus-benchmark-") as name:
        folder = Path(name)
        (folder / "fleet.yml").write_text(yaml.safe_dump(dict(fleet), sort_keys=False), encoding="utf-8")
        command = [sys.executable, "-m", "tests.lab", "serve", str(folder / "fleet.yml"), "--folder", str(folder), "--network", NETWORK]
        command += ["--log", str(folder / "trips.jsonl"), "--ready-file", str(folder / "ready")]
        (folder / "trips.jsonl").touch()
        with (folder / "lab.log").open("w", encoding="utf-8") as log:
            lab = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, text=True)
        try:
            until = time.monotonic() + _PATIENCE
            while not (folder / "ready").exists():
                if lab.poll() is not None or time.monotonic() > until:
                    raise BenchmarkError(f"The lab did not come up: {(folder / 'lab.log').read_text(encoding='utf-8')}")
                time.sleep(0.1)
            yield Bench(folder, lab)
        finally:
            lab.send_signal(signal.SIGTERM)
            try:
                lab.wait(60)
            except subprocess.TimeoutExpired:
                lab.kill()
                lab.wait()


def trips_of(run: Run, trips: Sequence[Trip]) -> list[tuple[Task, Trip]]:
    """Each trip with the task that it was made for: the one that was running, for no task of a play begins before the last is over."""
    return [(task, trip) for trip in trips for task in run.tasks if task.began <= trip.began < task.ended]


def _tasks(times: Path) -> list[Task]:
    lines = [json.loads(line) for line in times.read_text(encoding="utf-8").splitlines()]
    return [
        Task(one["action"], one["name"], one["began"], after["began"], after["processor"] - one["processor"])
        for one, after in pairwise(lines)
        if one["action"] != "play"
    ]


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _environment(folder: Path, times: Path) -> dict[str, str]:
    """Nothing of the user's own Ansible settings, and no proxy on the way to the lab."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_") and name != "PYTHONPATH"}
    return {
        **kept,
        "ANSIBLE_CALLBACK_PLUGINS": str(HERE / "callback"),
        "ANSIBLE_CALLBACKS_ENABLED": "task_times",
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
        "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),  # which is not there
        "ANSIBLE_FORKS": str(FORKS),
        "ANSIBLE_HOME": str(folder / "ansible"),
        "ANSIBLE_NOCOLOR": "1",
        "NO_PROXY": "127.0.0.0/8,localhost",
        "no_proxy": "127.0.0.0/8,localhost",
        "TASK_TIMES_FILE": str(times),
    }
