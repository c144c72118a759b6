# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""WSUS: its API as a program on the server meets it, its tool, its synchronization. `wsus` of the document."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from ..machine import Machine, format_time, parse_time
from . import certificates, iis, journal, registry
from .errors import WindowsError, invalid_argument, invalid_operation, null_reference, thrown, tool_failed, web_error

_LOOK_EVERY = 0.5  # seconds


# --- the way in ------------------------------------------------------------------------------------------------------


def connect(machine: Machine) -> dict[str, Any]:
    """Reach the API as the collection does: over plain HTTP until configuressl has run, then over TLS where the site listens.

    Returns `wsus` of the document. Fails as the real one does where the site, its pool or its certificate is not in order.
    """
    if registry.setup_value(machine, "UsingSSL"):
        port, thumbprint = _local_endpoint(machine)
        site = _reach(machine, port, tls=True, thumbprint=thumbprint)
    else:
        port = registry.setup_value(machine, "PortNumber") or 8530
        site = _reach(machine, port, tls=False, thumbprint=None)
    pool = next((one["pool"] for one in site["applications"] if one["path"] == "/ApiRemoting30"), None)
    if pool is None:
        raise invalid_operation("Sequence contains no matching element")
    if machine.document["iis"]["application_pools"].get(pool, {}).get("state", "Started") != "Started":
        raise web_error("The request failed with HTTP status 503: Service Unavailable.")
    if machine.network is not None:
        machine.network.called_itself(machine, site, port)
    return _wsus(machine)


def _wsus(machine: Machine) -> dict[str, Any]:
    found: dict[str, Any] | None = machine.document.get("wsus")
    if found is None:
        raise null_reference()
    return found


def _local_endpoint(machine: Machine) -> tuple[int, str]:
    port = registry.setup_value(machine, "PortNumber")
    for binding in iis.bindings(iis.wsus_site(machine)):
        if binding["protocol"].lower() == "https" and binding["port"] == port and binding["thumbprint"]:
            return port, binding["thumbprint"]
    raise thrown(f"WSUS was told to use TLS, but its site has no certificate bound on port {'' if port is None else port}.")


def _reach(machine: Machine, port: int, *, tls: bool, thumbprint: str | None) -> dict[str, Any]:
    journal.check_fault(machine, "connect wsus")
    configuration = machine.document.get("iis")
    if configuration is None:
        raise null_reference()
    site_id = registry.setup_value(machine, "IISTargetWebSiteIndex") or 0
    site: dict[str, Any] | None = next((one for one in configuration["sites"] if one["id"] == site_id), None)
    listens = site is not None and iis.service_running(machine, "W3SVC") and site.get("state", "Started") == "Started"
    binding = next((one for one in site["bindings"] if _serves(one, port, tls=tls)), None) if site and listens else None
    if site is None or binding is None:
        raise web_error("Unable to connect to the remote server")
    if tls:
        found = certificates.find(machine, binding.get("certificate_store", "My"), binding["certificate_hash"])
        if found is None or found.thumbprint != thumbprint:
            raise web_error("The underlying connection was closed: Could not establish trust relationship for the SSL/TLS secure channel.")
    elif iis.effective_access(configuration, f"{site['name']}/ApiRemoting30") & iis.ACCESS_FLAGS["Ssl"]:
        raise web_error("The request failed with HTTP status 403: Forbidden.")
    return site


def _serves(binding: dict[str, Any], port: int, *, tls: bool) -> bool:
    if binding["protocol"] != ("https" if tls else "http") or iis.split_information(binding["information"])[1] != port:
        return False
    return not tls or binding.get("certificate_hash") is not None


# --- reading ---------------------------------------------------------------------------------------------------------


def read(machine: Machine) -> dict[str, Any]:
    """The `api` of a state. Looking at the configuration's state has an effect: a busy server gets less busy."""
    wsus = connect(machine)
    upstream = wsus.get("upstream") or {}
    proxy = wsus.get("proxy")
    return {
        "server_id": _guid(wsus["server_id"]),
        "content_on_microsoft_update": wsus.get("content_on_microsoft_update", False),
        "synchronization": {
            "microsoft_update": upstream.get("microsoft_update", True),
            "upstream_name": upstream.get("name", ""),
            "upstream_port": upstream.get("port", 8530),
            "upstream_ssl": upstream.get("ssl", False),
            "replica": upstream.get("replica", False),
            "proxy": None if proxy is None else f"{proxy.get('name', '')}:{proxy.get('port', 80)}",
            "configuration_state": _configuration_state(wsus),
            "status": _status(wsus),
            "last": _last_synchronization(machine, wsus),
        },
        "downstream_servers": [
            {
                "id": _guid(one["id"]),
                "fqdn": one.get("fqdn"),
                "replica": one.get("replica", False),
                "last_sync": _time(one.get("last_sync")),
            }
            for one in wsus.get("downstream_servers") or []
        ],
    }


def _guid(text: str) -> str:
    return str(uuid.UUID(text))


def _time(text: str | None) -> str | None:
    return None if text is None else format_time(parse_time(text))


def _status(wsus: dict[str, Any]) -> str:
    return str(wsus.get("synchronization_status", "NotProcessing"))


def _configuration_state(wsus: dict[str, Any]) -> str:
    """`busy` is how often the answer is still "processing": each look takes one off."""
    if _status(wsus) != "NotProcessing":
        return "SynchronizationInProgress"
    if wsus.get("busy", 0) <= 0:
        return "Ready"
    wsus["busy"] -= 1
    return "ProcessingSave"


def _last_synchronization(machine: Machine, wsus: dict[str, Any]) -> dict[str, Any] | None:
    """The fault does not matter on a server that never synchronized: there the API has nothing to give anyway."""
    last = wsus.get("last_synchronization")
    if last is None:
        return None
    journal.check_fault(machine, "last synchronization")
    return {
        "id": _guid(last["id"]),
        "result": last["result"],
        "error": last.get("error", "NotApplicable"),
        "error_text": last.get("error_text", ""),
        "start": _time(last.get("start")),
        "end": _time(last.get("end")),
    }


def computers(machine: Machine, since: datetime, until: datetime) -> list[dict[str, Any]]:
    """The clients that WSUS last saw between two times (UTC), as the document has them."""
    wsus = connect(machine)
    if since > until:
        raise invalid_argument("FromLastSyncTime is greater than ToLastSyncTime")
    known = [one for one in wsus.get("computers") or [] if one.get("last_sync")]
    return [one for one in known if since <= parse_time(one["last_sync"]) <= until]


# --- changing --------------------------------------------------------------------------------------------------------


def configure_ssl(machine: Machine, fqdn: str) -> dict[str, Any]:
    """Run `WsusUtil configuressl FQDN` and look at what it recorded. Returns what it printed."""
    if not registry.setup_value(machine, "TargetDir"):
        raise WindowsError(
            "Cannot bind argument to parameter 'Path' because it is null.",
            "System.Management.Automation.ParameterBindingValidationException",
            0x80131501,
            error_id="ParameterArgumentValidationErrorNullNotAllowed,Microsoft.PowerShell.Commands.JoinPathCommand",
        )
    printed = _run_wsusutil(machine, fqdn)
    recorded = registry.setup_value(machine, "ServerCertificateName") or ""
    if registry.setup_value(machine, "UsingSSL") != 1 or recorded.casefold() != fqdn.casefold():
        raise thrown(f"WsusUtil configuressl ended well, but WSUS did not record {fqdn} as its name for TLS. It printed: {printed}")
    return {"printed": printed}


def _run_wsusutil(machine: Machine, fqdn: str) -> str:
    def stop(message: str) -> WindowsError:
        return tool_failed("WsusUtil.exe", "configuressl", 1, f"Fatal Error: {message}")

    fault = journal.tool_fault(machine, f"wsusutil configuressl {fqdn}")
    if fault is not None:
        raise stop(fault)
    site_id = registry.setup_value(machine, "IISTargetWebSiteIndex")
    site = next((one for one in machine.document["iis"]["sites"] if one["id"] == site_id), None)
    if site is None:
        raise stop("The site is not there.")
    # A fault "wsusutil silent" is a run that ends well and records nothing.
    if "wsusutil silent" not in machine.document.get("faults", {}):
        https = [one for one in site["bindings"] if one["protocol"] == "https"]
        if not https:
            raise stop("The site has no https binding.")
        setup = registry.keys(machine)[journal.find_key(registry.keys(machine), registry.SETUP) or registry.SETUP]
        setup["UsingSSL"] = {"kind": "DWord", "data": 1}
        setup["ServerCertificateName"] = {"kind": "String", "data": fqdn}
        setup["PortNumber"] = {"kind": "DWord", "data": iis.split_information(https[0]["information"])[1]}
        journal.write(machine, f"wsusutil configuressl {fqdn}")
    tls = registry.setup_value(machine, "UsingSSL") == 1
    host = registry.value(machine, r"HKLM:\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters", "Hostname")
    name = registry.setup_value(machine, "ServerCertificateName") if tls else host
    return f"URL: {'https' if tls else 'http'}://{name}:{registry.setup_value(machine, 'PortNumber')}"


def set_synchronization(machine: Machine, wish: dict[str, Any]) -> None:
    """Save another update source, waiting before and after until WSUS takes a configuration (`wait_seconds` each).

    Called without the machine's lock: it waits.
    """
    with machine.lock:
        connect(machine)
    _wait(machine, wish["wait_seconds"])
    with machine.lock:
        _save(machine, wish)
    _wait(machine, wish["wait_seconds"])


def _wait(machine: Machine, seconds: float) -> None:
    waited = 0.0
    while _look(machine) != "Ready":
        if waited >= seconds:
            raise thrown(f"WSUS takes no configuration now: {_look(machine)} for more than {seconds} s.")
        machine.wait(_LOOK_EVERY)
        waited += _LOOK_EVERY


def _look(machine: Machine) -> str:
    with machine.lock:
        return _configuration_state(_wsus(machine))


def _save(machine: Machine, wish: dict[str, Any]) -> None:
    wsus = _wsus(machine)
    before = wsus.get("upstream") or {}
    from_microsoft = bool(wish["microsoft_update"])
    upstream = {
        "microsoft_update": from_microsoft,
        "name": before.get("name", ""),
        "port": before.get("port", 8530),
        "ssl": before.get("ssl", False),
        "replica": bool(wish["replica"]) and not from_microsoft,
    }
    if not from_microsoft:
        upstream["name"] = wish["upstream_name"] or ""
        upstream["port"] = int(wish["upstream_port"] or 0)
        upstream["ssl"] = bool(wish["upstream_ssl"])
    journal.check_fault(machine, "save wsus configuration")
    if not from_microsoft and not upstream["name"]:
        raise invalid_argument("UpstreamWsusServerName")
    if wsus.get("busy", 0) > 0:
        raise invalid_operation("A previous configuration change is still being processed.")
    if _status(wsus) != "NotProcessing":
        raise invalid_operation("The configuration cannot be saved while the server is synchronizing.")
    wsus["upstream"] = upstream
    if wsus.get("busy_after_save") is not None:
        wsus["busy"] = wsus["busy_after_save"]
    journal.write(machine, "save wsus configuration")


def start_synchronization(machine: Machine) -> None:
    """Synchronize: over the machine's network, or with the outcome that the document has as `next_synchronization`.

    Called without the machine's lock.
    """
    with machine.lock:
        wsus = connect(machine)
        journal.check_fault(machine, "start synchronization")
        if _status(wsus) != "NotProcessing":
            raise invalid_operation("A synchronization is already running.")
        journal.write(machine, "start synchronization")
        if machine.network is None:
            _synchronize(machine, wsus)
            return
    machine.network.start_synchronization(machine)


def _synchronize(machine: Machine, wsus: dict[str, Any]) -> None:
    outcome = wsus.get("next_synchronization") or {}
    if outcome.get("goes_on"):
        wsus["synchronization_status"] = "Running"
        return
    now = format_time(machine.now())
    wsus["last_synchronization"] = {
        "id": outcome.get("id", "00000000-0000-0000-0000-000000000001"),
        "result": outcome.get("result", "Succeeded"),
        "error": outcome.get("error", "NotApplicable"),
        "error_text": outcome.get("error_text", ""),
        "start": now,
        "end": now,
    }
