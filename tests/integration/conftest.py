# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Fixtures: a lab fleet of its own for each test, on loopback addresses of its own, and a controller for it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.integration.controller import Controller
from tests.lab.lab import Lab

_numbers = itertools.count(2)


def network() -> str:
    """Loopback addresses that no other test has, and hardly another run on this machine."""
    return f"127.{10 + os.getpid() % 240}.{next(_numbers) % 250}.0/24"


@pytest.fixture
def controller(tmp_path: Path) -> Iterator[Callable[[dict[str, Any] | Path], Controller]]:
    """Start a fleet (a document, or a file) and give a controller for it."""
    with ExitStack() as stack:

        def start(fleet: dict[str, Any] | Path) -> Controller:
            folder = tmp_path / "lab"
            folder.mkdir(exist_ok=True)
            lab = stack.enter_context(Lab(fleet, folder=folder, network=network()))
            return Controller(lab, tmp_path)

        yield start
