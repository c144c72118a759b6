# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A domain's group policies, as the Group Policy cmdlets give them: `domain` of the document.

It has `name` and `policies` by display name, each with guid, status, modified and values; a value's `action` is Set, or Delete for one
that the policy takes away from clients.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any
from uuid import UUID

from ..machine import Machine, format_time, parse_time
from . import journal
from .errors import WindowsError, invalid_argument

_KEYS = (
    r"HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate",
    r"HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate\AU",
)


# --- reading ---------------------------------------------------------------------------------------------------------


def read_group_policies(machine: Machine, wanted: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each wanted policy (name, and where given domain and server) and what it says about Windows Update (Get-GroupPolicyState)."""
    with machine.lock:
        return [_read(machine, one["name"], one.get("domain")) for one in wanted]


def _read(machine: Machine, name: str, domain: str | None) -> dict[str, Any]:
    state: dict[str, Any] = {
        "name": name,
        "guid": None,
        "domain": None,
        "status": None,
        "modified": None,
        "values": [],
        "known": [],
        "error": None,
    }
    try:
        _rest, policy = _find(machine, "Get-GPO", domain, name=name)
        state["guid"] = str(UUID(policy["guid"]))
        state["domain"] = machine.document["domain"]["name"]
        state["status"] = policy["status"]
        state["modified"] = format_time(parse_time(policy["modified"]))
        state["values"] = [value for key in _KEYS for value in _values(policy, key)]
    except WindowsError as error:
        state["error"] = error.state()
        if error.error_id == "GpoWithNameNotFound,Get-GPO":
            state["known"] = sorted(_domain(machine)["policies"], key=str.casefold)
    return state


def _domain(machine: Machine) -> dict[str, Any]:
    found: dict[str, Any] = machine.document.get("domain") or {"name": "", "policies": {}}
    return found


def _find(
    machine: Machine, cmdlet: str, domain: str | None, *, name: str | None = None, guid: str | None = None
) -> tuple[str, dict[str, Any]]:
    """A policy by its name or its GUID: the name as it is spelled, and the policy."""
    known = _domain(machine)
    if domain and domain.casefold() != known["name"].casefold():
        message = "The specified domain either does not exist or could not be contacted. (Exception from HRESULT: 0x8007054B)"
        raise invalid_argument(message, error_id=f"UnableToAccessDomain,{cmdlet}")
    for spelled, policy in known["policies"].items():
        if (name and spelled.casefold() == name.casefold()) or (guid and policy["guid"].casefold() == guid.casefold()):
            return spelled, policy
    error_id = "GpoWithNameNotFound" if name else "GpoWithIdNotFound"
    message = f"The '{name or guid}' GPO was not found in the '{known['name']}' domain."
    raise invalid_argument(message, error_id=f"{error_id},{cmdlet}")


def _values(policy: dict[str, Any], key: str) -> list[dict[str, Any]]:
    found = []
    for value in policy["values"]:
        if value["key"].casefold() != key.casefold():
            continue
        action = value.get("action", "Set")
        data = value["data"] if action != "Delete" else ""
        if action != "Delete":
            data = int(data) if value["type"] in {"DWord", "QWord"} else str(data).rstrip("\0")
        found.append({"key": key, "name": value["name"], "type": value["type"], "data": data, "action": action})
    return found


def _is(value: dict[str, Any], key: str, name: str) -> bool:
    return bool(value["key"].casefold() == key.casefold() and value["name"].casefold() == name.casefold())


# --- changing --------------------------------------------------------------------------------------------------------


def backup(machine: Machine, change: dict[str, Any]) -> dict[str, Any]:
    """Back a policy up. Returns the backup's id."""
    name, _rest = _find(machine, "Backup-GPO", change["domain"], guid=change["guid"])
    number = 1 + sum(fnmatchcase(entry.casefold(), "group policy * backup") for entry in machine.document.get("journal", []))
    journal.check_fault(machine, f"group policy {name} backup")
    journal.write(machine, f"group policy {name} backup")
    return {"backup_id": f"00000000-0000-0000-0000-{number:012d}"}


def edit(machine: Machine, change: dict[str, Any]) -> None:
    """Set values of one type: text in one call, as the two server names are valid only together. What was there goes first."""
    names = sorted(change["values"], key=str.casefold)
    for name in names:
        clear(machine, {**change, "name": name})
    for together in [names] if change["type"] == "String" else [[name] for name in names]:
        _set(machine, change, together)


def _set(machine: Machine, change: dict[str, Any], names: list[str]) -> None:
    spelled, policy = _find(machine, "Set-GPRegistryValue", change["domain"], guid=change["guid"])
    kind = change["type"]
    entry = f"group policy {spelled} set {' '.join(names)}"
    journal.check_fault(machine, entry)
    for name in names:
        data = int(change["values"][name]) if kind == "DWord" else str(change["values"][name])
        there = next((one for one in policy["values"] if _is(one, change["key"], name) and one.get("action") != "Delete"), None)
        if there is None:
            policy["values"].append({"key": change["key"], "name": name, "type": kind, "data": data})
        else:
            there.update(type=kind, data=data)
    policy["modified"] = format_time(machine.now())
    journal.write(machine, entry)


def clear(machine: Machine, change: dict[str, Any]) -> None:
    """A setting is not there afterwards, in a policy that had it or not."""
    spelled, policy = _find(machine, "Get-GPRegistryValue", change["domain"], guid=change["guid"])
    kept = [one for one in policy["values"] if not _is(one, change["key"], change["name"])]
    if len(kept) == len(policy["values"]):
        return
    entry = f"group policy {spelled} remove {change['name']}"
    journal.check_fault(machine, entry)
    policy["values"] = kept
    policy["modified"] = format_time(machine.now())
    journal.write(machine, entry)
