# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The registry: `registry` of the document has keys by path (`HKLM:\\...`), and in each its values by name, with `kind` and `data`."""

from __future__ import annotations

import re
from typing import Any

from ..machine import Machine
from . import journal
from .errors import WindowsError, item_missing
from .journal import find_key

SETUP = r"HKLM:\SOFTWARE\Microsoft\Update Services\Server\Setup"
MARKS = r"HKLM:\SOFTWARE\securepatch.wsus"
SCHANNEL = r"HKLM:\SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols"


def key_name(path: str) -> str:
    """PATH as the document spells paths: with `HKLM:`, backslashes, and none at the end."""
    path = re.sub(r"^(Microsoft\.PowerShell\.Core\\)?Registry::HKEY_LOCAL_MACHINE", "HKLM:", path, flags=re.IGNORECASE).replace("/", "\\")
    return re.sub(r"^HKLM:\\*", lambda _rest: "HKLM:\\", path, flags=re.IGNORECASE).rstrip("\\")


def keys(machine: Machine) -> dict[str, Any]:
    """All keys."""
    found: dict[str, Any] = machine.document["registry"]
    return found


def _key(machine: Machine, path: str) -> dict[str, Any] | None:
    name = find_key(keys(machine), key_name(path))
    return None if name is None else keys(machine)[name]


def subkeys(machine: Machine, path: str) -> list[str]:
    """Names of the keys below PATH, as they go on from it, in order of the alphabet."""
    start = key_name(path).casefold() + "\\"
    return sorted((key[len(start) :] for key in keys(machine) if key.casefold().startswith(start)), key=str.casefold)


def key_exists(machine: Machine, path: str) -> bool:
    """Whether PATH is a key, be it only because of the keys below it."""
    return _key(machine, path) is not None or bool(subkeys(machine, path))


def _data(value: dict[str, Any]) -> Any:
    if value["kind"] == "DWord":
        return int(value["data"])
    if value["kind"] == "Binary":
        return list(bytes.fromhex(value["data"]))
    return list(value["data"]) if value["kind"] == "MultiString" else value["data"]


def value(machine: Machine, path: str, name: str) -> Any:
    """One value, or None where key or value is not there. Binary data is a list of numbers."""
    key = _key(machine, path)
    spelled = find_key(key, name)
    return None if key is None or spelled is None else _data(key[spelled])


def values(machine: Machine, path: str) -> dict[str, Any]:
    """All values of a key by name, empty without one; not those that PowerShell takes for its own (PS...)."""
    return {name: _data(entry) for name, entry in (_key(machine, path) or {}).items() if not name.upper().startswith("PS")}


def setup_value(machine: Machine, name: str) -> Any:
    """What WSUS setup and WsusUtil recorded under NAME, or None."""
    return value(machine, SETUP, name)


def edit(machine: Machine, path: str, name: str, kind: str | None, data: Any) -> None:
    """Set a value, making the key where there is none; without data (None) the value is not there afterwards."""
    where = key_name(path)
    if data is None:
        if value(machine, path, name) is not None:
            journal.check_fault(machine, f"remove {where} {name}")
            key = _key(machine, path) or {}
            del key[find_key(key, name) or name]
            journal.write(machine, f"remove {where} {name}")
        return
    if not key_exists(machine, path):
        journal.check_fault(machine, f"create {where}")
        keys(machine)[where] = {}
        journal.write(machine, f"create {where}")
    found = _key(machine, path)
    if found is None:
        raise item_missing(path)
    spelled = find_key(found, name)
    if not kind:
        kind = found[spelled]["kind"] if spelled else "DWord" if isinstance(data, int) else "String"
    entry = {"kind": kind, "data": _whole_number(data) if kind == "DWord" else _text(data)}
    journal.check_fault(machine, f"set {where} {name}")
    found[spelled or name] = entry
    journal.write(machine, f"set {where} {name}")


def write_mark(machine: Machine, name: str | None, data: str | None = None) -> None:
    """What a run leaves for the next one, under the collection's own key. No name: nothing; no data: the mark goes."""
    if name:
        edit(machine, MARKS, name, "String", data)


def _whole_number(data: Any) -> int:
    try:
        return int(data)
    except (TypeError, ValueError):
        message = f'Cannot convert value "{data}" to type "System.Int32". Error: "Input string was not in a correct format."'
        raise WindowsError(message, "System.Management.Automation.PSInvalidCastException", 0x80004002) from None


def _text(data: Any) -> str:
    return " ".join(str(one) for one in data) if isinstance(data, list) else str(data)
