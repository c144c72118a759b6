# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The Python interpreters of this machine that the tests can run with."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MINORS = (11, 12, 13, 14)
"""The 3.x that any supported ansible-core runs with."""

# An interpreter of a virtual environment names the one it was made from; a shim (of pyenv's) names the one it stands for.
ASK = "import sys, venv, ensurepip; print('%d.%d.%d' % sys.version_info[:3], getattr(sys, '_base_executable', sys.executable), sep='\\n')"


@dataclass(frozen=True)
class Interpreter:
    """A real interpreter, neither a shim nor one of a virtual environment."""

    path: Path
    version: tuple[int, int, int]

    @property
    def minor(self) -> int:
        return self.version[1]

    def __str__(self) -> str:
        return f"Python {self.version[0]}.{self.version[1]}.{self.version[2]}"


def ask(candidate: str) -> Interpreter | None:
    """What CANDIDATE (a name on PATH, or a path) is; None where there is none, or one that cannot make a virtual environment."""
    try:
        answer = subprocess.run([candidate, "-c", ASK], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    version, path = answer.stdout.splitlines()
    major, minor, micro = (int(part) for part in version.split("."))
    return Interpreter(Path(path), (major, minor, micro))


def at_hand() -> Interpreter:
    """The interpreter that this runs in.

    Raises SystemExit where it is too old or cannot make a virtual environment.
    """
    here = ask(sys.executable)
    if here is None:
        raise SystemExit(f"{sys.executable} cannot make a virtual environment (on Debian and Ubuntu: install python3-venv).")
    if here.version < (3, MINORS[0], 0):
        raise SystemExit(f"{here} is too old: 3.{MINORS[0]} or newer is needed. Name another one with: make test PYTHON=python3.12")
    return here


def candidates(minor: int) -> Iterator[str]:
    """Names and paths under which a Python 3.MINOR may be found, likeliest first."""
    yield f"python3.{minor}"
    root = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    yield from (str(path) for path in sorted(root.glob(f"versions/3.{minor}*/bin/python3.{minor}"), reverse=True))


def find() -> dict[int, Interpreter]:
    """One interpreter for each of MINORS that this machine has, by minor; the one at hand comes first."""
    here = at_hand()
    found = {here.minor: here}
    for minor in MINORS:
        for candidate in candidates(minor):
            if minor not in found and (interpreter := ask(candidate)) is not None and interpreter.minor == minor:
                found[minor] = interpreter
    return found
