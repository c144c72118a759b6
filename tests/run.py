# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Test the collection: in full with the newest ansible-core that this Python allows, in short with every other supported one.

Run as `python3 -m tests.run [PART...]` at the root of the clone, with nothing but Python's own library; without a PART, all of them.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from tests.tooling import sanity
from tests.tooling.cores import CORES, newest_for, python_for
from tests.tooling.environment import Environment, SetupError, main_environment, other_environment
from tests.tooling.interpreters import at_hand, find
from tests.tooling.repository import ROOT
from tests.tooling.steps import Outcome, Run


def main() -> int:
    parts = {"lint": lint, "unit": unit, "sanity": run_sanity, "integration": integration, "cores": other_cores}
    parser = argparse.ArgumentParser(prog="python3 -m tests.run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="*", help=f"{', '.join(parts)}; setup: only make the environment")
    wanted = parser.parse_args().part or list(parts)
    if unknown := set(wanted) - {*parts, "setup"}:
        parser.error(f"unknown part: {', '.join(sorted(unknown))}")
    here = at_hand()
    environment = main_environment(newest_for(here.minor), here)
    try:
        environment.ensure()
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    if wanted == ["setup"]:
        return 0
    run = Run()
    with_main = [name for name in parts if name in wanted and name != "cores"]
    if with_main:
        how = "in full" if wanted == list(parts) else ", ".join(with_main)
        run.versions.append(f"ran       ansible-core {environment.installed_core()} on {here} ({how})")
    for name, part in parts.items():
        if name in wanted:
            part(run, environment)
    return run.finish()


def lint(run: Run, environment: Environment) -> None:
    variables = environment.variables()
    run.step("ruff", [environment.program("ruff"), "check", "."], variables)
    run.step("mypy", [environment.python, "-m", "mypy"], variables)
    run.step("antsibull-changelog lint", [environment.program("antsibull-changelog"), "lint"], variables)
    run.step("ansible-lint", [environment.program("ansible-lint"), "--strict"], variables)


def unit(run: Run, environment: Environment) -> None:
    run.pytest("tests without a playbook", environment.python, ["tests", *without("integration")], environment.variables())


def without(*folders: str) -> list[str]:
    return [f"--ignore=tests/{folder}" for folder in folders]


def run_sanity(run: Run, environment: Environment) -> None:
    name = "ansible-test sanity"
    try:
        folder = sanity.prepare(environment)
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        run.add(Outcome(name, 0, 1, 0, 0.0, f"the collection could not be copied with git's help: {error}"))
        return
    run.step(name, sanity.command(environment), sanity.variables(environment), folder)


def integration(run: Run, environment: Environment) -> None:
    # Two at a time: most of the time of each is spent waiting, for the controller or for the lab.
    run.pytest("integration tests", environment.python, ["tests/integration", "-n", "2"], environment.variables())


def other_cores(run: Run, main_one: Environment) -> None:
    """The tests marked every_core, with every supported ansible-core but the one that is tested in full."""
    found = find()
    for core in CORES:
        if core is main_one.core:
            continue
        minor = python_for(core, found)
        if minor is None:
            needs = ", ".join(f"3.{one}" for one in core.minors)
            run.versions.append(f"left out  ansible-core {core.version}: it needs Python {needs}, and none of them was found")
            continue
        environment = other_environment(core, found[minor])
        name = f"ansible-core {core.version} on {found[minor]}"
        try:
            environment.ensure()
        except SetupError as error:
            run.add(Outcome(name, 0, 1, 0, 0.0, str(error)))
            continue
        # What looks at files alone needs packages that are installed for the full run only, and says the same with every version.
        chosen = ["tests", *without("powershell", "repository"), "-m", "every_core"]
        python_path = f"pythonpath={ROOT} {environment.collections}"
        run.pytest(name, environment.python, [*chosen, "-o", python_path], environment.variables())
        run.versions.append(f"ran       ansible-core {environment.installed_core()} on {found[minor]} (in short)")


if __name__ == "__main__":
    sys.exit(main())
