# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The rollout's plan over 2,000 servers of the inventory, through ansible-playbook: how long it takes, and how much memory.

Run C(python -m tests.benchmarks.planning_playbook) from the root of the repository. The rollout's own plays run against 2,000 servers
of the lab, each of which is really observed; only the tasks of a wave are left out, so that the waves end as soon as the first begins.
There is no limit: the figures are recorded.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import yaml

from .bench import FORKS, ROOT, BenchmarkError, Run, bench, tree
from .report import machine, mebibytes, table

LEVELS = (1, 44, 1_955)


def main() -> int:
    print(machine())
    try:
        with bench(tree(LEVELS)) as lab:
            run = lab.playbook(plays(), memory=True)
            memory, processor = lab.lab_memory, lab.lab_processor
    except BenchmarkError as error:
        print(error)
        return 1
    print(f"\nThe plan of {sum(LEVELS):,} servers ({', '.join(f'{count:,}' for count in LEVELS)} on each level), {FORKS} forks:\n")
    print(table(("step", "time"), steps(run)))
    if run.memory:
        print(f"\nansible-playbook: {mebibytes(run.memory.largest)} at its peak, {mebibytes(run.memory.together)} with its workers.")
    print(f"Processor time: ansible-playbook {run.processor:.0f} s, lab {processor:.0f} s. The lab: {mebibytes(memory)} at its peak.")
    return 0


def plays() -> list[dict[str, Any]]:
    """The plays of the rollout, in its own order, a wave without anything to do, the result without the failures of each host."""
    plan, wave, result = yaml.safe_load((ROOT / "playbooks" / "rollout.yml").read_text(encoding="utf-8"))
    shown = [task for task in result["tasks"] if "ansible.builtin.fail" not in task]
    return [plan, {**wave, "tasks": [{"name": "Nothing", "ansible.builtin.meta": "end_play"}]}, {**result, "tasks": shown}]


def steps(run: Run) -> Sequence[Sequence[str]]:
    """Each task with its time, and what is beside them."""
    rows = [(task.name, f"{task.seconds:.1f} s") for task in run.tasks]
    rest = run.seconds - sum(task.seconds for task in run.tasks)
    return [*rows, ("reading the inventory, and all else", f"{rest:.1f} s"), ("all", f"{run.seconds:.1f} s")]


if __name__ == "__main__":
    sys.exit(main())
