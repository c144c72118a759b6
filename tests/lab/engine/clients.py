# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where a machine gets its updates from: what policy and MDM told it, and its update agent (`update_client` of the document)."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from ..machine import Machine, format_time, parse_time
from . import certificates, journal, registry
from .endpoints import test_endpoint
from .errors import WindowsError, com_error

WINDOWS_UPDATE = r"HKLM:\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate"
MDM = r"HKLM:\SOFTWARE\Microsoft\PolicyManager\current\device\Update"
AGENT = r"HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate"
_DEFAULT_PORTS = {"https": 443, "http": 80}


def read_update_client(machine: Machine) -> dict[str, Any]:
    """What this machine was told about its WSUS server, and what it finds there (Get-UpdateClientState)."""
    with machine.lock:
        computer = machine.document["computer"]
        policy = registry.values(machine, WINDOWS_UPDATE)
        mdm = registry.value(machine, MDM, "UpdateServiceUrl")
        winning = sorted(computer.get("winning_policies", []), key=lambda one: int(one["precedence"]))
        server = next((policy[name] for name in policy if name.casefold() == "wuserver" and policy[name]), mdm)
        state: dict[str, Any] = {
            "domain_member": bool(computer.get("domain_member")),
            "policy": policy,
            "automatic_updates": registry.values(machine, WINDOWS_UPDATE + r"\AU"),
            "winning_policies": [{"policy": one["policy"], "precedence": int(one["precedence"])} for one in winning],
            "mdm_server": mdm,
            "client_id": registry.value(machine, AGENT, "SusClientId"),
            "pinned": [one.thumbprint for one in certificates.listed(machine, "WindowsServerUpdateServices") or []],
            "search": _search(machine),
        }
    state["endpoints"] = _endpoints(machine, server) if server else []
    return state


def told_server(machine: Machine) -> str | None:
    """The URL that this machine searches at; None where nobody told it one that is valid. Hold the machine's lock.

    A policy's counts where `UseWUServer` is 1 and both servers are the same; without one, MDM's does.
    """
    policy = registry.value(machine, WINDOWS_UPDATE, "WUServer")
    if policy and registry.value(machine, WINDOWS_UPDATE + r"\AU", "UseWUServer") == 1:
        return str(policy) if registry.value(machine, WINDOWS_UPDATE, "WUStatusServer") == policy else None
    mdm = registry.value(machine, MDM, "UpdateServiceUrl")
    return str(mdm) if mdm else None


def pins(machine: Machine) -> list[str]:
    """Thumbprints of the certificates that this machine takes alone for a search over TLS [SCAN]; empty: any that it trusts.

    Hold the machine's lock.
    """
    name = "DoNotEnforceEnterpriseTLSCertPinningForUpdateDetection"
    if 1 in (registry.value(machine, WINDOWS_UPDATE, name), registry.value(machine, MDM, name)):
        return []
    return [one.thumbprint for one in certificates.listed(machine, "WindowsServerUpdateServices") or []]


def client_id(machine: Machine, new: str) -> str:
    """By what WSUS knows this machine: NEW from its first search on, where it has none. Hold the machine's lock."""
    found = registry.value(machine, AGENT, "SusClientId")
    if not found:
        registry.keys(machine).setdefault(AGENT, {})["SusClientId"] = {"kind": "String", "data": new}
    return str(found or new)


def searched(machine: Machine) -> None:
    """The machine's own search ended well. Hold the machine's lock."""
    agent = machine.document["update_client"] = machine.document.get("update_client") or {}
    agent["last_search"] = format_time(machine.now())


def detect_now(machine: Machine) -> None:
    """The machine looks for updates by itself. One without a network finds what it looks for."""
    need_agent(machine)
    journal.check_fault(machine, "detect now")
    if machine.network is not None:
        # It has been asked to, and that is all that whoever asked learns.
        machine.network.start_search(machine)
        journal.write(machine, "detect now")
        return
    searched(machine)
    journal.write(machine, "detect now")


def need_agent(machine: Machine) -> None:
    """Stop where the service of the update agent cannot be started."""
    if (machine.document.get("update_client") or {}).get("disabled"):
        message = (
            "The service cannot be started, either because it is disabled or because it has no enabled devices associated with it. "
            "(Exception from HRESULT: 0x80070422)"
        )
        raise com_error(message, 0x80070422)


def _search(machine: Machine) -> dict[str, Any]:
    try:
        need_agent(machine)
    except WindowsError as error:
        return {"last": None, "error": error.state()}
    last = (machine.document.get("update_client") or {}).get("last_search")
    return {"last": format_time(parse_time(last)) if last else None, "error": None}


def _endpoints(machine: Machine, url: str) -> list[dict[str, Any]]:
    """The server this machine was told about, and the port beside it that gives the files (443 and 80, or N and N-1)."""
    try:
        address = urlsplit(str(url))
        port = address.port
    except ValueError:
        return []
    if not address.scheme or not address.hostname:
        return []
    port = port or _DEFAULT_PORTS.get(address.scheme, -1)
    if address.scheme != "https":
        return [test_endpoint(machine, address.hostname, port, False)]
    files = 80 if port == 443 else port - 1
    return [test_endpoint(machine, address.hostname, port, True), test_endpoint(machine, address.hostname, files, False)]
