# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Run a Python program with its clock ahead: `python tests/tooling/ahead.py SECONDS PROGRAM [ARGUMENT...]`.

So a controller lives in the time of a lab that went forward. Its forked workers do as well; TLS libraries and other programs that it starts
know the real time alone.
"""

from __future__ import annotations

import runpy
import sys
from datetime import UTC, datetime, timedelta

import time_machine


def main(seconds: float, program: list[str]) -> None:
    """Run a program (its file, and its arguments) in this process."""
    sys.argv = program
    # ansible-playbook looks for what belongs to it beside itself.
    sys.path[0] = program[0].rpartition("/")[0]
    with time_machine.travel(datetime.now(UTC) + timedelta(seconds=seconds), tick=True):
        runpy.run_path(program[0], run_name="__main__")


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2:])
