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

_WINDOWS_UPDATE = r"HKLM:\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate"
_MDM = r"HKLM:\SOFTWARE\Microsoft\PolicyManager\current\device\Update"
_AGENT = r"HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate"
_DEFAULT_PORTS = {"https": 443, "http": 80}


def read_update_client(machine: Machine) -> dict[str, Any]:
    """What this machine was told about its WSUS server, and what it finds there (Get-UpdateClientState)."""
    with machine.lock:
        computer = machine.document["computer"]
        policy = registry.values(machine, _WINDOWS_UPDATE)
        mdm = registry.value(machine, _MDM, "UpdateServiceUrl")
        winning = sorted(computer.get("winning_policies", []), key=lambda one: int(one["precedence"]))
        server = next((policy[name] for name in policy if name.casefold() == "wuserver" and policy[name]), mdm)
        state: dict[str, Any] = {
            "domain_member": bool(computer.get("domain_member")),
            "policy": policy,
            "automatic_updates": registry.values(machine, _WINDOWS_UPDATE + r"\AU"),
            "winning_policies": [{"policy": one["policy"], "precedence": int(one["precedence"])} for one in winning],
            "mdm_server": mdm,
            "client_id": registry.value(machine, _AGENT, "SusClientId"),
            "pinned": [one.thumbprint for one in certificates.listed(machine, "WindowsServerUpdateServices") or []],
            "search": _search(machine),
        }
    state["endpoints"] = _endpoints(machine, server) if server else []
    return state


def detect_now(machine: Machine) -> None:
    """The machine looks for updates by itself."""
    _need_agent(machine)
    journal.check_fault(machine, "detect now")
    agent = machine.document["update_client"] = machine.document.get("update_client") or {}
    agent["last_search"] = format_time(machine.now())
    journal.write(machine, "detect now")


def _need_agent(machine: Machine) -> None:
    if (machine.document.get("update_client") or {}).get("disabled"):
        message = (
            "The service cannot be started, either because it is disabled or because it has no enabled devices associated with it. "
            "(Exception from HRESULT: 0x80070422)"
        )
        raise com_error(message, 0x80070422)


def _search(machine: Machine) -> dict[str, Any]:
    try:
        _need_agent(machine)
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
