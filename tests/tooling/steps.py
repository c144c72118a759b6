# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Running the steps of a test run one after the other, all of them, and what to say at the end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.tooling.environment import CACHE
from tests.tooling.repository import ROOT

STEP_SECONDS = 40 * 60
"""How long one step may take before it counts as hanging."""


@dataclass(frozen=True)
class Outcome:
    """What became of a step: how many of its tests passed, failed and were skipped (one that is no test run is one test), in seconds."""

    name: str
    passed: int
    failed: int
    skipped: int
    seconds: float
    why: str = ""


@dataclass
class Run:
    """The outcomes of one test run, in order, and what it says about versions."""

    outcomes: list[Outcome] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def step(self, name: str, command: Sequence[str | Path], variables: Mapping[str, str], folder: Path = ROOT) -> None:
        """Run COMMAND as a step that passes with exit code 0."""
        code, seconds = self._run(name, command, variables, folder)
        self.add(Outcome(name, int(code == 0), int(code != 0), 0, seconds, describe(code)))

    def pytest(self, name: str, python: Path, arguments: Sequence[str], variables: Mapping[str, str]) -> None:
        """Run pytest as a step that counts its tests. No test at all counts as a failure."""
        report = CACHE / "reports" / f"{re.sub(r'[^a-z0-9.]+', '-', name.lower())}.xml"
        report.parent.mkdir(parents=True, exist_ok=True)
        report.unlink(missing_ok=True)
        code, seconds = self._run(name, [python, "-m", "pytest", f"--junitxml={report}", *arguments], variables, ROOT)
        passed, failed, skipped = counts(report)
        self.add(Outcome(name, passed, max(failed, int(code != 0)), skipped, seconds, "no tests found" if code == 5 else describe(code)))

    def add(self, outcome: Outcome) -> None:
        """Take in an outcome and say it."""
        self.outcomes.append(outcome)
        verdict = f"FAILED ({outcome.why})" if outcome.failed else "passed"
        print(f"---- {outcome.name}: {verdict} in {outcome.seconds:.0f} s", flush=True)

    def _run(self, name: str, command: Sequence[str | Path], variables: Mapping[str, str], folder: Path) -> tuple[int, float]:
        print(f"\n==== {name}", flush=True)
        begin = time.monotonic()
        # Its own session, so that what it starts (a lab, ansible-playbook) ends with it.
        with subprocess.Popen(command, env=dict(variables), cwd=folder, start_new_session=True) as process:
            try:
                code = process.wait(STEP_SECONDS)
            except BaseException as error:
                os.killpg(process.pid, signal.SIGKILL)
                if not isinstance(error, subprocess.TimeoutExpired):
                    raise
                code = -signal.SIGALRM
        return code, time.monotonic() - begin

    def finish(self) -> int:
        """Say what ran, what was left out and what failed, ending with one line of totals. Returns the exit code."""
        seconds = time.monotonic() - self.started
        print("\n==== What ran")
        for outcome in self.outcomes:
            verdict, why = ("FAILED", f": {outcome.why}") if outcome.failed else ("passed", "")
            print(f"{verdict}  {outcome.seconds:5.0f} s  {outcome.name}{why}")
        if self.versions:
            print("\n==== Versions")
            print("\n".join(self.versions))
        print()
        totals = {
            "failed": sum(outcome.failed for outcome in self.outcomes),
            "passed": sum(outcome.passed for outcome in self.outcomes),
            "skipped": sum(outcome.skipped for outcome in self.outcomes),
        }
        print(f"==== {', '.join(f'{count} {what}' for what, count in totals.items() if count)} in {seconds:.1f}s ====", flush=True)
        return 1 if totals["failed"] or not totals["passed"] else 0


def describe(code: int) -> str:
    """Exit code CODE in words, empty for 0."""
    if code == -signal.SIGALRM:
        return f"stopped, for it took longer than {STEP_SECONDS // 60} minutes"
    if code < 0:
        return f"killed by signal {-code}"
    return f"exit code {code}" if code else ""


def counts(report: Path) -> tuple[int, int, int]:
    """How many tests passed, failed and were skipped, by pytest's JUnit report; nothing where there is none."""
    if not report.exists():
        return 0, 0, 0
    total = failed = skipped = 0
    for suite in ET.parse(report).getroot().iter("testsuite"):
        total += int(suite.get("tests", 0))
        failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped += int(suite.get("skipped", 0))
    return max(total - failed - skipped, 0), failed, skipped
