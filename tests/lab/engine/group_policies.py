# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A domain's group policies, as the Group Policy cmdlets give them: `domain` of the document.

It has `name` and `policies` by display name, each with guid, status, modified and values; a value's `action` is Set, or Delete for one
that the policy takes away from clients. `access` is what whoever runs the cmdlets may do: edit (where it is not said), read, none.

Of a machine's `computer`, `group_policy_cmdlets` says whether the cmdlets are there (where it does not: they are), `linked_policies` which
policies apply, in the order of their precedence (all of them), and `policy_values` what they set at the last refresh.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Any
from uuid import UUID

from ..machine import Machine, format_time, parse_time
from . import journal, registry
from .errors import WindowsError, access_denied, command_not_found, invalid_argument

_KEYS = (
    r"HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate",
    r"HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate\AU",
)
#: What PowerShell calls a cmdlet where it did not catch an exception itself.
_CLASSES = {
    name: f"Microsoft.GroupPolicy.Commands.{kind}Command"
    for name, kind in (
        ("Get-GPO", "GetGpo"),
        ("Backup-GPO", "BackupGpo"),
        ("Get-GPRegistryValue", "GetGPRegistryValue"),
        ("Set-GPRegistryValue", "SetGPRegistryValue"),
        ("Remove-GPRegistryValue", "RemoveGPRegistryValue"),
    )
}
_WRITING = ("Set-GPRegistryValue", "Remove-GPRegistryValue")
_SERVER = (r"HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate", "WUServer")


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
    if not machine.document["computer"].get("group_policy_cmdlets", True):
        raise command_not_found(cmdlet)
    known = _domain(machine)
    if domain and domain.casefold() != known["name"].casefold():
        message = "The specified domain either does not exist or could not be contacted. (Exception from HRESULT: 0x8007054B)"
        raise invalid_argument(message, error_id=f"UnableToAccessDomain,{cmdlet}")
    for spelled, policy in known["policies"].items():
        if (name and spelled.casefold() == name.casefold()) or (guid and policy["guid"].casefold() == guid.casefold()):
            if policy.get("access", "edit") == "none" or (policy.get("access") == "read" and cmdlet in _WRITING):
                raise access_denied(_CLASSES[cmdlet])
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
    _find(machine, "Remove-GPRegistryValue", change["domain"], guid=change["guid"])
    entry = f"group policy {spelled} remove {change['name']}"
    journal.check_fault(machine, entry)
    policy["values"] = kept
    policy["modified"] = format_time(machine.now())
    journal.write(machine, entry)


# --- refreshing ------------------------------------------------------------------------------------------------------


def refresh(machine: Machine) -> None:
    """A machine of the domain takes over what its group policies say: what they no longer say goes, and so does what the one that wins takes away.

    Hold the machine's lock. A policy whose computer half is off says nothing. Raises WindowsError where no domain controller answers: the fault
    `gpupdate`. A machine that is in no domain stays as it is.
    """
    computer = machine.document["computer"]
    if not computer.get("domain_member") or "domain" not in machine.document:
        return
    journal.check_fault(machine, "gpupdate")
    said: dict[tuple[str, str], dict[str, Any]] = {}
    serving = []
    for policy in _linked(machine):  # the one that wins comes first
        for value in list(policy["values"]):
            place = value["key"].casefold(), value["name"].casefold()
            if place == (_SERVER[0].casefold(), _SERVER[1].casefold()) and value.get("action") != "Delete":
                serving.append(policy)
            said.setdefault(place, value)
    kept = {place: value for place, value in said.items() if value.get("action") != "Delete"}
    taken = [place for place, value in said.items() if value.get("action") == "Delete"]
    for key, name in [*taken, *(tuple(one) for one in computer.get("policy_values", []))]:
        if (key, name) not in kept:
            _put(machine, key, name, None, None)
    for value in kept.values():
        data = int(value["data"]) if value["type"] in {"DWord", "QWord"} else str(value["data"]).rstrip("\0")
        _put(machine, value["key"], value["name"], value["type"], data)
    computer["policy_values"] = [list(place) for place in kept]
    computer["winning_policies"] = [{"policy": _path(machine, one), "precedence": number} for number, one in enumerate(serving, 1)]


def _linked(machine: Machine) -> list[dict[str, Any]]:
    policies = _domain(machine)["policies"]
    names = machine.document["computer"].get("linked_policies")
    linked = list(policies.values()) if names is None else [policies[name] for name in names if name in policies]
    return [one for one in linked if one["status"] not in {"AllSettingsDisabled", "ComputerSettingsDisabled"}]


def _put(machine: Machine, key: str, name: str, kind: str | None, data: Any) -> None:
    path = re.sub(r"^HKLM\\", lambda _rest: "HKLM:\\", key, flags=re.IGNORECASE)
    if registry.value(machine, path, name) != data:
        registry.edit(machine, path, name, kind, data)


def _path(machine: Machine, policy: dict[str, Any]) -> str:
    """A policy as the record of what won names it."""
    domain = ",".join(f"DC={part}" for part in _domain(machine)["name"].split("."))
    return f"cn={{{policy['guid'].upper()}}},cn=policies,cn=system,{domain}"
