# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What runs the tests chooses the right versions, and a failure anywhere is a failure of the whole."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

from tests.tooling.cores import CORES, newest_for, python_for
from tests.tooling.interpreters import MINORS, ask
from tests.tooling.repository import ROOT
from tests.tooling.steps import Outcome, Run, counts

SUITE = '<testsuites><testsuite tests="7" failures="1" errors="1" skipped="2"></testsuite></testsuites>'


def test_each_python_gets_the_newest_ansible_core_that_runs_on_it() -> None:
    assert newest_for(11).version == "2.19"
    assert [newest_for(minor).version for minor in (12, 13, 14, 15)] == ["2.21"] * 4


def test_other_versions_spread_over_the_pythons_that_are_found() -> None:
    assert {core.version: python_for(core, {11, 12, 13}) for core in CORES} == {"2.18": 11, "2.19": 11, "2.20": 12, "2.21": 13}
    assert [core.version for core in CORES if python_for(core, {11}) is None] == ["2.20", "2.21"]


def test_supported_versions_are_those_that_the_collection_names() -> None:
    runtime = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text(encoding="utf-8"))
    assert runtime["requires_ansible"] == f">={CORES[0].version}.0"
    assert {minor for core in CORES for minor in core.minors} == set(MINORS)


def test_the_oldest_ansible_windows_that_the_collection_allows_is_tested_with() -> None:
    galaxy = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))
    assert (CORES[0].ansible, galaxy["dependencies"]["ansible.windows"]) == ("ansible==11.0.0", ">=2.5.0")


def test_an_interpreter_is_named_by_the_real_one_behind_a_virtual_environment() -> None:
    interpreter = ask(sys.executable)
    assert interpreter is not None
    assert not (interpreter.path.parents[1] / "pyvenv.cfg").exists()
    assert interpreter.version == sys.version_info[:3]


def test_what_is_no_python_is_no_interpreter(tmp_path: Path) -> None:
    broken = tmp_path / "python3.12"
    broken.write_text("#!/bin/sh\necho 'pyenv: python3.12: command not found' >&2\nexit 127\n")
    broken.chmod(0o755)
    assert ask(str(broken)) is None
    assert ask(str(tmp_path / "missing")) is None


def test_a_report_is_counted(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(SUITE)
    assert counts(report) == (3, 2, 2)
    assert counts(tmp_path / "missing.xml") == (0, 0, 0)


def test_one_failed_step_fails_the_run_and_those_after_it_still_run(capfd: pytest.CaptureFixture[str]) -> None:
    run = Run()
    for name, code in (("first", "raise SystemExit(3)"), ("second", "pass")):
        run.step(name, [sys.executable, "-c", code], {})
    assert run.finish() == 1
    said = capfd.readouterr().out
    assert "first: exit code 3" in said
    assert "1 failed, 1 passed in" in said.splitlines()[-1]


def test_a_run_of_nothing_fails() -> None:
    assert Run().finish() == 1
    assert Run(outcomes=[Outcome("all", 1, 0, 0, 0.1)]).finish() == 0


def test_pytest_that_finds_no_test_fails(tmp_path: Path) -> None:
    run = Run()
    run.pytest("none of them", Path(sys.executable), [str(tmp_path), "-p", "no:cacheprovider"], {})
    assert run.outcomes[0].failed == 1
    assert run.outcomes[0].why == "no tests found"
