# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Recorded cases against the engine: what a real PowerShell made of a machine is what the engine must make of it.

A case has `machine`, what to read beside its state (`ask`), what was read `before`, `changes`, their `result`, what was read `after`, and
the machine as it then was (`machine_after`). `@NEW@` stands for any text, also within a longer one and in a name: what the run made anew.
Order in lists counts, order of keys does not.
"""

from __future__ import annotations

import copy
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .engine import apply_changes, read_group_policies, read_state, read_traffic, read_update_client
from .machine import Machine

_SHOWN = 10


def main(folder: Path) -> int:
    """Replay every case below FOLDER and say where it differs. 0: nowhere, 1: somewhere, 2: there is no case."""
    cases = sorted(folder.rglob("*.json"))
    if not cases:
        print(f"No cases below {folder}.", file=sys.stderr)
        return 2
    failed = 0
    for path in cases:
        differences = replay(json.loads(path.read_text(encoding="utf-8")))
        if not differences:
            continue
        failed += 1
        print(path.relative_to(folder))
        for one in differences[:_SHOWN]:
            print(f"  {one}")
        if len(differences) > _SHOWN:
            print(f"  and {len(differences) - _SHOWN} more")
    print(f"{len(cases) - failed} passed, {failed} failed")
    return 1 if failed else 0


def replay(case: dict[str, Any]) -> list[str]:
    """Where the engine differs from a recorded case, each with its path; empty where it does not."""
    machine = Machine(copy.deepcopy(case["machine"]), wait=lambda _rest: None)
    seen: dict[str, Any] = {"before": _read(machine, case["ask"])}
    seen["result"] = apply_changes(machine, copy.deepcopy(case["changes"])) if case["changes"] else None
    seen["after"] = _read(machine, case["ask"])
    seen["machine_after"] = machine.document
    expected = {part: case[part] for part in seen}
    return list(differences(expected, seen))


def _read(machine: Machine, ask: dict[str, Any]) -> dict[str, Any]:
    read: dict[str, Any] = {"state": read_state(machine)}
    if ask.get("traffic_days"):
        read["traffic"] = read_traffic(machine, ask["traffic_days"], ask["absent_days"])
    if ask.get("update_client"):
        read["update_client"] = read_update_client(machine)
        del read["update_client"]["endpoints"]  # the network's, not the machine's
    if ask.get("group_policies"):
        read["group_policies"] = read_group_policies(machine, ask["group_policies"])
    return read


def differences(expected: Any, seen: Any, path: str = "") -> Iterator[str]:
    """Each place where SEEN is not as EXPECTED."""
    if isinstance(expected, dict) and isinstance(seen, dict):
        yield from _dict_differences(expected, seen, path)
    elif isinstance(expected, list) and isinstance(seen, list):
        for index in range(max(len(expected), len(seen))):
            place = f"{path}[{index}]"
            if index >= len(seen):
                yield f"{place}: missing, expected {_short(expected[index])}"
            elif index >= len(expected):
                yield f"{place}: not expected: {_short(seen[index])}"
            else:
                yield from differences(expected[index], seen[index], place)
    elif not _same(expected, seen):
        yield f"{path}: expected {_short(expected)}, got {_short(seen)}"


def _dict_differences(expected: dict[str, Any], seen: dict[str, Any], path: str) -> Iterator[str]:
    pairs = {name: name for name in expected if name in seen}
    free = [name for name in seen if name not in pairs]
    for name in expected:
        match = next((one for one in free if _same(name, one)), None) if name not in pairs else None
        if match is not None:
            pairs[name] = match
            free.remove(match)
    start = f"{path}." if path else ""
    for name, value in expected.items():
        if name in pairs:
            yield from differences(value, seen[pairs[name]], start + name)
        else:
            yield f"{start}{name}: missing, expected {_short(value)}"
    for name in free:
        yield f"{start}{name}: not expected: {_short(seen[name])}"


def _same(expected: Any, seen: Any) -> bool:
    if isinstance(expected, str) and isinstance(seen, str) and "@NEW@" in expected:
        pattern = ".*".join(re.escape(part) for part in expected.split("@NEW@"))
        return re.fullmatch(pattern, seen, re.DOTALL) is not None
    return isinstance(expected, bool) == isinstance(seen, bool) and bool(expected == seen)


def _short(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 160 else text[:157] + "..."
