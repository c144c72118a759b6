# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The kernel's own table of certificates (http.sys), which the registry shows: what is served, whatever IIS has on file."""

from __future__ import annotations

from typing import Any

from ..machine import Machine
from . import journal, registry
from .errors import WindowsError
from .journal import find_key

_PLACE = r"HKLM:\SYSTEM\CurrentControlSet\Services\HTTP\Parameters"
_PARTS = ("SslBindingInfo", "SslSniBindingInfo")


def read(machine: Machine) -> list[dict[str, Any]]:
    """The `http_sys` of a state: endpoint, thumbprint and store of each entry."""
    entries = []
    for part in _PARTS:
        for endpoint in registry.subkeys(machine, f"{_PLACE}\\{part}"):
            key = f"{_PLACE}\\{part}\\{endpoint}"
            thumbprint = bytes(registry.value(machine, key, "SslCertHash") or []).hex().upper()
            store = registry.value(machine, key, "SslCertStoreName")
            entries.append({"endpoint": endpoint, "thumbprint": thumbprint or None, "store": store})
    return entries


def endpoint_of(binding: dict[str, Any]) -> str:
    """Where the kernel keeps a binding's certificate: address and port, or by SNI name and port."""
    address, port, host_name = binding["information"].rsplit(":", 2)
    if binding.get("ssl_flags", 0) & 1:
        return f"{host_name}:{port}"
    return f"{'0.0.0.0' if address in {'', '*'} else address}:{port}"


def _place(binding: dict[str, Any]) -> str:
    return f"{_PLACE}\\{_PARTS[binding.get('ssl_flags', 0) & 1]}\\{endpoint_of(binding)}"


def write(machine: Machine, *, before: list[dict[str, Any]], now: list[dict[str, Any]], fresh: list[dict[str, Any]]) -> None:
    """Take over what a commit changes: BEFORE and NOW are all sites' bindings, FRESH those of NOW that were made anew. All or none."""
    served = [one for one in now if one.get("certificate_hash") is not None]
    wanted = [one for one in served if any(one is made for made in fresh) or one not in before]
    for binding in wanted:
        journal.check_fault(machine, f"http.sys {endpoint_of(binding)}")
        _need_key(machine, binding)
    endpoints = {endpoint_of(one) for one in served}
    gone = [one for one in before if one.get("certificate_hash") is not None and endpoint_of(one) not in endpoints]
    for binding in gone:
        journal.check_fault(machine, f"http.sys remove {endpoint_of(binding)}")
    keys = registry.keys(machine)
    for binding in wanted:
        key = keys.setdefault(find_key(keys, _place(binding)) or _place(binding), {})
        key["SslCertHash"] = {"kind": "Binary", "data": binding["certificate_hash"]}
        key["SslCertStoreName"] = {"kind": "String", "data": binding["certificate_store"]}
        journal.write(machine, f"http.sys {endpoint_of(binding)}")
    for binding in gone:
        keys.pop(_place(binding), None)
        journal.write(machine, f"http.sys remove {endpoint_of(binding)}")


def _need_key(machine: Machine, binding: dict[str, Any]) -> None:
    store = machine.document.get("certificates", {}).get(binding["certificate_store"], {})
    entry = store.get(binding["certificate_hash"], {})
    if not entry.get("has_private_key") or entry.get("key") is None or entry.get("key_set") == "user":
        message = "A specified logon session does not exist. It may already have been terminated"
        raise WindowsError(message, "System.ComponentModel.Win32Exception", 0x80004005, native=1312)
