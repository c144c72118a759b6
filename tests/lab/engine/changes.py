# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A list of changes, applied in order; the first that fails stops the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..machine import Machine, format_time
from . import certificates, certreq, clients, enterprise_ca, group_policies, iis, journal, registry, wsus
from .errors import WindowsError, thrown

BeforeChange = Callable[[int, dict[str, Any]], None]
_Change = dict[str, Any]
_Said = dict[str, Any] | None

_COMMITTED = frozenset({"binding", "binding_absent", "access", "application_pool"})
# A binding is alone in its commit: it also writes to the kernel's table, which the commit of a file cannot take back.
_TOGETHER = frozenset({"access", "application_pool"})


def apply_changes(
    machine: Machine, changes: list[_Change], before_change: BeforeChange | None = None, *, has_credentials: bool = True
) -> dict[str, Any]:
    """Apply CHANGES (Invoke-WsusChange): `applied`, how many took effect; `failed`, None or the error with the index; `output`.

    BEFORE_CHANGE is called before every commit and primitive with the index of its first change and that change. What it raises goes
    through; what was applied until then stays applied. The machine's lock is held for each change, not from one to the next.
    HAS_CREDENTIALS: whether whoever runs this can prove who they are to other machines, as SYSTEM can.
    """
    result: dict[str, Any] = {"applied": 0, "failed": None, "output": []}
    first = 0
    while first < len(changes):
        if before_change is not None:
            before_change(first, changes[first])
        after = _commit_end(changes, first)
        try:
            said = _apply(machine, changes[first:after], has_credentials)
        except WindowsError as error:
            result["failed"] = {**error.state(), "change": first}
            return result
        finally:
            if machine.network is not None:
                machine.network.changed(machine)
        if said:
            result["output"].append({**said, "change": first})
        first = result["applied"] = after
    return result


def _commit_end(changes: list[_Change], first: int) -> int:
    """The index after the last change of the commit, or of the primitive, that begins at FIRST."""
    end = first + 1
    if changes[first]["kind"] in _TOGETHER:
        while end < len(changes) and changes[end]["kind"] in _TOGETHER:
            end += 1
    return end


def _apply(machine: Machine, changes: list[_Change], has_credentials: bool) -> _Said:
    change = changes[0]
    kind = change["kind"]
    if kind in _COMMITTED:
        with machine.lock:
            configuration = iis.Configuration(machine)
            for one in changes:
                configuration.edit(one)
            configuration.commit()
        return None
    if kind in _ABROAD:
        return _ABROAD[kind](machine, change, has_credentials)
    if kind in _PATIENT:
        return _PATIENT[kind](machine, change)
    if kind in _PRIMITIVE:
        with machine.lock:
            return _PRIMITIVE[kind](machine, change)
    raise thrown(f"Unknown kind of change '{kind}'.")


def _mark_restart(machine: Machine, _rest: _Change) -> None:
    registry.write_mark(machine, "RestartNeededSince", format_time(machine.now()))


def _restart_service(machine: Machine, change: _Change) -> None:
    name = change["name"]
    if name not in machine.document["services"]:
        raise thrown(f"Cannot find any service with service name '{name}'.")
    journal.check_fault(machine, f"restart {name}")
    machine.document["services"][name] = "Running"
    journal.write(machine, f"restart {name}")


def _request(machine: Machine, change: _Change) -> dict[str, Any]:
    request = certreq.request(machine, change)
    with machine.lock:
        registry.write_mark(machine, change["mark"], request)
    return {"request": request}


# These take the lock themselves, and not while they wait.
_PATIENT: dict[str, Callable[[Machine, _Change], _Said]] = {
    "synchronization": wsus.set_synchronization,
    "start_synchronization": lambda machine, _rest: wsus.start_synchronization(machine),
    "certificate_request": _request,
}
# These too, and another machine wants to know who asks.
_ABROAD: dict[str, Callable[[Machine, _Change, bool], _Said]] = {
    "certificate_enroll": enterprise_ca.enroll,
    "certificate_collect": enterprise_ca.collect,
}
_PRIMITIVE: dict[str, Callable[[Machine, _Change], _Said]] = {
    "recycle_pool": lambda machine, change: iis.recycle_pool(machine, change["name"]),
    "restart_site": lambda machine, _rest: iis.restart_site(machine),
    "restart_service": _restart_service,
    "mark_restart": _mark_restart,
    "configure_ssl": lambda machine, change: wsus.configure_ssl(machine, change["fqdn"]),
    "registry": lambda machine, change: registry.edit(machine, change["path"], change["name"], change["type"], change["data"]),
    "group_policy_backup": group_policies.backup,
    "group_policy": group_policies.edit,
    "group_policy_absent": group_policies.clear,
    "detect_now": lambda machine, _rest: clients.detect_now(machine),
    "certificate_install": lambda machine, change: certreq.install(machine, change["der"], change["mark"]),
    "certificate_name": lambda machine, change: certificates.rename(
        machine, change["store"], change["thumbprint"], change["friendly_name"]
    ),
    "certificate_remove": lambda machine, change: certificates.remove(machine, change["store"], change["thumbprint"]),
    "trust": lambda machine, change: certificates.trust(machine, change["store"], change["der"]),
}
