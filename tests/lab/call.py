# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A module that runs on a machine, and what it has for that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .engine import apply_changes
from .machine import Machine

Result = dict[str, Any]
BeforeChange = Callable[[int, dict[str, Any]], None]


@dataclass(frozen=True)
class Call:
    """A module that runs.

    :param has_credentials: whether it can prove to other machines who it is: over WinRM, where no credential is passed on, only as SYSTEM
    """

    machine: Machine
    parameters: dict[str, Any]
    check_mode: bool
    has_credentials: bool
    before_change: BeforeChange | None

    def apply(self, changes: list[dict[str, Any]]) -> dict[str, Any]:
        """Make changes on the machine; what `apply_changes` gives."""
        return apply_changes(self.machine, changes, self.before_change, has_credentials=self.has_credentials)
