"""Machines that get their updates from WSUS, and group policies that say so: the lab's documents, as planning meets them."""

from __future__ import annotations

from typing import Any

from ansible_collections.securepatch.wsus.plugins.plugin_utils.client_state import AUTOMATIC_UPDATES, WINDOWS_UPDATE, ClientState

from tests.lab.engine import read_group_policies, read_update_client
from tests.lab.machine import Machine
from tests.unit.plugin_utils.machines import document, text

URL = "https://wsus01.corp.example:8531"
OLD = "http://wsus01.corp.example:8530"
POLICY_KEY = "HKLM:\\" + WINDOWS_UPDATE
AU_KEY = "HKLM:\\" + AUTOMATIC_UPDATES
MDM_KEY = r"HKLM:\SOFTWARE\Microsoft\PolicyManager\current\device\Update"
GUID = "31b2f340-016d-11d2-945f-00c04fb984f9"
WINNING = "cn={31B2F340-016D-11D2-945F-00C04FB984F9},cn=policies,cn=system,DC=corp,DC=example"


def number(value: int) -> dict[str, Any]:
    """A DWord of the registry."""
    return {"kind": "DWord", "data": value}


def client(
    policy: dict[str, Any] | None = None, updates: dict[str, Any] | None = None, *, mdm: str | None = None, domain: bool = False, **rest: Any
) -> dict[str, Any]:
    """A machine's document, with what its policy says by name (text or number). REST: of the computer."""
    found = document()
    found["computer"] = {**found["computer"], "domain_member": domain, **rest}
    for key, values in ((POLICY_KEY, policy), (AU_KEY, updates)):
        if values is not None:
            found["registry"][key] = {name: number(value) if isinstance(value, int) else text(value) for name, value in values.items()}
    if mdm:
        found["registry"][MDM_KEY] = {"UpdateServiceUrl": text(mdm)}
    return found


def told(url: str = URL, **rest: Any) -> dict[str, Any]:
    """A machine that was told this URL by its policy, and uses it."""
    return client({"WUServer": url, "WUStatusServer": url}, {"UseWUServer": 1}, **rest)


def read_client(found: dict[str, Any], network: Any = None) -> ClientState:
    """Its state, as one trip gives it."""
    return {"update_client": read_update_client(Machine(found, name="client01", network=network)), "group_policies": []}  # type: ignore[typeddict-item]


def value(name: str, data: Any, kind: str = "String", action: str = "Set", below: str = "") -> dict[str, Any]:
    """A value of a group policy, as the document of a domain has it."""
    key = "HKLM\\" + WINDOWS_UPDATE + (f"\\{below}" if below else "")
    return {"key": key, "name": name, "type": kind, "data": data, **({"action": action} if action != "Set" else {})}


def says(url: str = OLD) -> list[dict[str, Any]]:
    """What a group policy has that names a server."""
    return [value("WUServer", url), value("WUStatusServer", url), value("UseWUServer", 1, "DWord", below="AU")]


def domain(values: list[dict[str, Any]] | None = None, *others: str, status: str = "AllSettingsEnabled") -> dict[str, Any]:
    """A machine's document, in a domain with the policy 'WSUS clients' and others by these names, which say nothing."""
    found = document()
    modified = "2026-03-02T10:00:00Z"
    policies = {"WSUS clients": {"guid": GUID, "status": status, "modified": modified, "values": says() if values is None else values}}
    for index, name in enumerate(others):
        policies[name] = {"guid": f"00000000-0000-0000-0000-{index:012}", "status": "AllSettingsEnabled", "modified": modified, "values": []}
    found["domain"] = {"name": "corp.example", "policies": policies}
    return found


def read_policy(found: dict[str, Any], name: str = "WSUS clients") -> ClientState:
    """What one trip tells of a policy."""
    return {"update_client": None, "group_policies": read_group_policies(Machine(found), [{"name": name}])}  # type: ignore[typeddict-item]
