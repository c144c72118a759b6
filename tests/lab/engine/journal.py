# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A machine's journal: every change is an entry, and a fault armed for an entry makes that change fail."""

from __future__ import annotations

from typing import Any

from ..machine import Machine
from .errors import invalid_operation


def check_fault(machine: Machine, entry: str) -> None:
    """Fail where one of the machine's `faults` is a prefix of ENTRY, letters in any case. Nothing may be changed before this."""
    for prefix, message in machine.document.get("faults", {}).items():
        if entry.casefold().startswith(prefix.casefold()):
            raise invalid_operation(message)


def tool_fault(machine: Machine, command: str) -> str | None:
    """The message of the fault that meets a tool's command line, or none."""
    faults: dict[str, str] = machine.document.get("faults", {})
    return next((message for prefix, message in faults.items() if command.startswith(prefix)), None)


def write(machine: Machine, entry: str) -> None:
    """Append ENTRY. Whoever changes something checks for the fault first."""
    machine.document.setdefault("journal", []).append(entry)


def find_key(names: dict[str, Any] | None, name: str) -> str | None:
    """NAME as it is spelled among NAMES, or none: Windows compares names without regard to case."""
    if not names:
        return None
    if name in names:
        return name
    folded = name.casefold()
    return next((known for known in names if known.casefold() == folded), None)
