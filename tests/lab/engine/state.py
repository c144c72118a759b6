# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One server's state document: everything about it that the collection reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..machine import Machine, format_time, parse_time
from . import certificates, http_sys, iis, registry, wsus
from .errors import WindowsError

_CURRENT = r"HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion"
_NETWORK = r"HKLM:\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters"
_WINDOWS = r"HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion"
_REMOTE_DESKTOP = r"HKLM:\SYSTEM\CurrentControlSet\Control\Terminal Server\WinStations\RDP-Tcp"
_FRAMEWORK = r"HKLM:\SOFTWARE\Microsoft\.NETFramework\v4.0.30319"
_SESSION_MANAGER = r"HKLM:\SYSTEM\CurrentControlSet\Control\Session Manager"


def read_state(machine: Machine) -> dict[str, Any]:
    """Everything about this server (Get-WsusState). A part that cannot be read is None, and why stands in `unreadable`.

    Looking has an effect on a server that is busy with its configuration: it gets less busy.
    """
    with machine.lock:
        state: dict[str, Any] = {
            "computer": _computer(machine),
            "restart": _restart(machine),
            "marks": registry.values(machine, registry.MARKS),
            "tls": _tls(machine),
            "setup": None,
            "services": {name: machine.document["services"].get(name) for name in ("WsusService", "W3SVC", "WAS")},
            "iis": None,
            "http_sys": None,
            "certificates": None,
            "api": None,
            "unreadable": {},
        }
        if not registry.key_exists(machine, registry.SETUP):
            return state
        parts: dict[str, Callable[[Machine], Any]] = {
            "setup": _setup,
            "iis": iis.read,
            "http_sys": http_sys.read,
            "certificates": certificates.read,
            "api": wsus.read,
        }
        for name, read in parts.items():
            try:
                state[name] = read(machine)
            except WindowsError as error:
                state["unreadable"][name] = error.state()
        return state


def read_trust(machine: Machine, thumbprints: list[str]) -> dict[str, list[str]]:
    """In which of the computer's trusting stores each of these certificates is, by thumbprint (Get-TrustState)."""
    with machine.lock:
        return {one: certificates.trusting_stores(machine, one) for one in thumbprints}


def _computer(machine: Machine) -> dict[str, Any]:
    computer = machine.document["computer"]
    name = registry.value(machine, _NETWORK, "Hostname")
    domain = registry.value(machine, _NETWORK, "Domain")
    build, revision = (registry.value(machine, _WINDOWS, value) for value in ("CurrentBuild", "UBR"))
    thumbprint = bytes(registry.value(machine, _REMOTE_DESKTOP, "SSLCertificateSHA1Hash") or []).hex().upper()
    return {
        "name": name,
        "fqdn": ".".join(part for part in (name, domain) if part).lower(),
        "domain_member": bool(computer.get("domain_member")),
        "build": f"{'' if build is None else build}.{'' if revision is None else revision}",
        "disks": [{key: disk[key] for key in ("drive", "bytes", "free_bytes")} for disk in computer.get("disks", [])],
        "configuration_manager": registry.key_exists(machine, r"HKLM:\SOFTWARE\Microsoft\SMS"),
        "remote_desktop_thumbprint": thumbprint or None,
    }


def _restart(machine: Machine) -> dict[str, Any]:
    renames = registry.value(machine, _SESSION_MANAGER, "PendingFileRenameOperations")
    return {
        "boot_time": format_time(parse_time(machine.document["computer"]["boot_time"])),
        "windows_pending": registry.key_exists(machine, _CURRENT + r"\Component Based Servicing\RebootPending")
        or registry.key_exists(machine, _CURRENT + r"\WindowsUpdate\Auto Update\RebootRequired")
        or bool(renames),
    }


def _tls(machine: Machine) -> dict[str, Any]:
    return {
        "protocols": {
            version: {
                role.lower(): {
                    "enabled": registry.value(machine, f"{registry.SCHANNEL}\\{version}\\{role}", "Enabled"),
                    "disabled_by_default": registry.value(machine, f"{registry.SCHANNEL}\\{version}\\{role}", "DisabledByDefault"),
                }
                for role in ("Client", "Server")
            }
            for version in ("TLS 1.0", "TLS 1.1", "TLS 1.2", "TLS 1.3")
        },
        "strong_crypto": registry.value(machine, _FRAMEWORK, "SchUseStrongCrypto"),
        "system_default": registry.value(machine, _FRAMEWORK, "SystemDefaultTlsVersions"),
    }


def _setup(machine: Machine) -> dict[str, Any]:
    target = registry.setup_value(machine, "TargetDir")
    return {
        "version": registry.setup_value(machine, "VersionString"),
        "target_dir": target,
        "content_dir": registry.setup_value(machine, "ContentDir"),
        "sql_server": registry.setup_value(machine, "SqlServerName"),
        "post_installed": registry.value(machine, registry.SETUP + r"\Installed Role Services", "UpdateServices-Services") == 2,
        # WsusUtil is where WSUS is.
        "tool": bool(target),
        "port": registry.setup_value(machine, "PortNumber"),
        "using_ssl": bool(registry.setup_value(machine, "UsingSSL")),
        "certificate_name": registry.setup_value(machine, "ServerCertificateName"),
    }
