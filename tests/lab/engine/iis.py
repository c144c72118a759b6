# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""IIS as the document has it: `iis.sites`, `iis.application_pools`, `iis.locations`.

What is there by default is not always written; a commit writes it. `Configuration` is one edit, from opening to committing; it is read
and committed while the machine's lock is held.
"""

from __future__ import annotations

from typing import Any

from ..machine import Machine
from . import http_sys, journal, registry
from .errors import com_error, invalid_argument, no_property, null_reference, thrown
from .journal import find_key

ACCESS_FLAGS = {"Ssl": 8, "SslNegotiateCert": 32, "SslRequireCert": 64, "SslMapCert": 128, "Ssl128": 256}
_FLAG_BITS = {name.casefold(): bit for name, bit in ACCESS_FLAGS.items()}
POOL_DEFAULTS = {
    "queue_length": 1000,
    "idle_timeout_minutes": 20,
    "ping_enabled": True,
    "recycle_interval_minutes": 1740,
    "private_memory_kb": 1843200,
    "virtual_memory_kb": 0,
}
LOG_FORMATS = ("Iis", "Ncsa", "W3c", "Custom")
RUN_STATES = ("Starting", "Started", "Stopping", "Stopped", "Unknown")


def open_iis(machine: Machine) -> dict[str, Any]:
    """The configuration as it is now, to be read."""
    journal.check_fault(machine, "open iis")
    found: dict[str, Any] | None = machine.document.get("iis")
    if found is None:
        raise null_reference()
    return found


def wsus_site(machine: Machine) -> dict[str, Any]:
    """The site of WSUS, by the id that setup recorded."""
    site_id = registry.setup_value(machine, "IISTargetWebSiteIndex")
    for site in open_iis(machine)["sites"]:
        if site["id"] == site_id:
            found: dict[str, Any] = site
            return found
    raise thrown(f"IIS has no site with the id {'' if site_id is None else site_id} that WSUS setup recorded.")


def split_information(information: str) -> tuple[str, int, str]:
    """Address, port and host name of a binding: `*:8531:name`. An IPv6 address has colons of its own."""
    address, port, host_name = information.rsplit(":", 2)
    return address, int(port), host_name


def service_running(machine: Machine, service: str) -> bool:
    """Whether a Windows service runs."""
    return bool(machine.document.get("services", {}).get(service) == "Running")


def _need_service(machine: Machine, service: str) -> None:
    if not service_running(machine, service):
        raise com_error("The service has not been started. (Exception from HRESULT: 0x80070426)", 0x80070426)


# --- reading ---------------------------------------------------------------------------------------------------------


def bindings(site: dict[str, Any]) -> list[dict[str, Any]]:
    """A site's http and https bindings as states have them; other protocols have no part in this."""
    found = []
    for binding in site["bindings"]:
        protocol = binding["protocol"]
        if protocol.lower() not in {"http", "https"}:
            continue
        address, port, host_name = split_information(binding["information"])
        state: dict[str, Any] = {"protocol": protocol, "ip_address": address, "port": port, "host_name": host_name}
        if protocol.lower() == "https":
            thumbprint = binding.get("certificate_hash")
            state["thumbprint"] = thumbprint.upper() if thumbprint else None
            state["store"] = binding.get("certificate_store")
            state["ssl_flags"] = binding.get("ssl_flags", 0)
        found.append(state)
    return found


def parse_flags(text: str | int) -> int:
    """`access/sslFlags` as a number: from names ("Ssl, Ssl128"), "None" or a number."""
    try:
        return int(text)
    except ValueError:
        pass
    flags = 0
    for name in str(text).split(","):
        folded = name.strip().casefold()
        if folded in {"", "none"}:
            continue
        if folded not in _FLAG_BITS:
            raise com_error(f"Not an sslFlags value: {name.strip()}", 0x80004005)
        flags |= _FLAG_BITS[folded]
    return flags


def format_flags(flags: int) -> str:
    """`access/sslFlags` as the configuration file has it."""
    return ",".join(name for name, bit in ACCESS_FLAGS.items() if flags & bit) or "None"


def _own_access(iis: dict[str, Any], location: str) -> dict[str, Any] | None:
    locations = iis.get("locations")
    spelled = find_key(locations, location)
    return None if spelled is None or not locations else locations[spelled]


def effective_access(iis: dict[str, Any], location: str) -> int:
    """The flags at LOCATION (`SITE/APPLICATION`): its own, or its parent's."""
    own = _own_access(iis, location)
    if own is not None:
        return parse_flags(own.get("sslFlags", "None"))
    parent, slash, _rest = location.rpartition("/")
    return effective_access(iis, parent) if slash else 0


def access(iis: dict[str, Any], location: str) -> dict[str, Any]:
    """The flags at LOCATION by name, and whether they are inherited."""
    flags = effective_access(iis, location)
    return {"ssl_flags": [name for name, bit in ACCESS_FLAGS.items() if flags & bit], "inherited": _own_access(iis, location) is None}


def _run_state(machine: Machine, service: str, recorded: str) -> str:
    """A site's or a pool's state, which cannot be asked for while the service behind it is stopped."""
    return recorded if service_running(machine, service) and recorded in RUN_STATES else "Unknown"


def site_log(site: dict[str, Any]) -> dict[str, Any]:
    """Whether a site logs, as what (LogFormat) and where."""
    log = site.get("log") or {}
    log_format = log.get("format", "W3c")
    if log_format not in LOG_FORMATS:
        raise invalid_argument(f"Requested value '{log_format}' was not found.")
    return {
        "enabled": log.get("enabled", True),
        "format": log_format,
        "directory": log.get("directory", r"%SystemDrive%\inetpub\logs\LogFiles"),
    }


def _site(machine: Machine, iis: dict[str, Any], site: dict[str, Any]) -> dict[str, Any]:
    name = site["name"]
    log = site_log(site)
    applications: dict[str, Any] = {}
    directories: dict[str, Any] = {}
    for application in site["applications"]:
        path = application["path"]
        if path != "/":
            applications[path.lstrip("/")] = access(iis, name + path)
            continue
        for directory in application.get("virtual_directories", []):
            if directory != "/":
                directories[directory.lstrip("/")] = access(iis, name + directory)
    return {
        "id": site["id"],
        "name": name,
        "state": _run_state(machine, "W3SVC", site.get("state", "Started")),
        "bindings": bindings(site),
        "access": access(iis, name),
        "log": {"enabled": log["enabled"], "format": log["format"]},
        "applications": applications,
        "virtual_directories": directories,
    }


def _pool(machine: Machine, iis: dict[str, Any], site: dict[str, Any]) -> dict[str, Any] | None:
    used = next((one["pool"] for one in site["applications"] if one["path"].lower() == "/clientwebservice"), None)
    if not used:
        return None
    name = find_key(iis["application_pools"], used)
    if name is None:
        raise no_property("Recycling")
    pool = iis["application_pools"][name]
    settings = {setting: pool.get(setting, default) for setting, default in POOL_DEFAULTS.items()}
    return {"name": name, "state": _run_state(machine, "WAS", pool.get("state", "Started")), **settings}


def read(machine: Machine) -> dict[str, Any]:
    """The `iis` of a state: the site of WSUS, the pool of its client service, and the other sites' bindings."""
    iis = open_iis(machine)
    site = wsus_site(machine)
    others = [one for one in iis["sites"] if one["id"] != site["id"]]
    return {
        "site": _site(machine, iis, site),
        "application_pool": _pool(machine, iis, site),
        "other_sites": [{"id": one["id"], "name": one["name"], "bindings": bindings(one)} for one in others],
    }


# --- at run time -----------------------------------------------------------------------------------------------------


def recycle_pool(machine: Machine, name: str) -> None:
    """Recycle an application pool; one that is stopped refuses."""
    pools = open_iis(machine)["application_pools"]
    spelled = find_key(pools, name)
    if spelled is None:
        raise thrown("You cannot call a method on a null-valued expression.")
    _need_service(machine, "WAS")
    if pools[spelled].get("state", "Started") == "Stopped":
        raise com_error("The object is not started. (Exception from HRESULT: 0x80070426)", 0x80070426)
    journal.check_fault(machine, f"recycle {spelled}")
    journal.write(machine, f"recycle {spelled}")


def restart_site(machine: Machine) -> None:
    """Stop the site of WSUS and start it."""
    site = wsus_site(machine)
    for entry, state in (("stop site", "Stopped"), ("start site", "Started")):
        _need_service(machine, "W3SVC")
        journal.check_fault(machine, entry)
        site["state"] = state
        journal.write(machine, entry)


# --- one commit ------------------------------------------------------------------------------------------------------


class Configuration:
    """IIS' configuration while it is edited: nothing is written before `commit`, and nothing of it where an edit fails."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._iis = open_iis(machine)
        self._site = wsus_site(machine)
        self._bindings = {site["id"]: [_written(one) for one in site["bindings"]] for site in self._iis["sites"]}
        self._fresh: list[dict[str, Any]] = []
        self._access: dict[str, int | None] = {}
        self._pools = {
            name: {setting: pool.get(setting, default) for setting, default in POOL_DEFAULTS.items()}
            for name, pool in self._iis["application_pools"].items()
        }

    def edit(self, change: dict[str, Any]) -> None:
        """Take in one change of kind binding, binding_absent, access or application_pool."""
        match change["kind"]:
            case "binding":
                self._set_binding(change)
            case "binding_absent":
                self._clear_binding(change)
            case "access":
                self._set_access(change)
            case "application_pool":
                self._set_pool(change)

    def _set_binding(self, change: dict[str, Any]) -> None:
        binding: dict[str, Any] = {"protocol": "https", "information": _information(change)}
        if change["thumbprint"]:
            binding["certificate_hash"] = change["thumbprint"].upper()
            binding["certificate_store"] = change["store"] or ""
        binding["ssl_flags"] = int(change["ssl_flags"] or 0)
        self._clear_binding(change)
        self._bindings[self._site["id"]].append(binding)
        self._fresh.append(binding)

    def _clear_binding(self, change: dict[str, Any]) -> None:
        information = _information(change).casefold()
        mine = self._bindings[self._site["id"]]
        mine[:] = [one for one in mine if one["protocol"].lower() != "https" or one["information"].casefold() != information]

    def _set_access(self, change: dict[str, Any]) -> None:
        name = self._site["name"]
        location = f"{name}/{change['application']}" if change["application"] else name
        location = find_key(self._access, location) or location
        flags = change["ssl_flags"]
        if flags is None:
            self._access[location] = None
            return
        for flag in flags:
            if flag.casefold() not in _FLAG_BITS:
                raise thrown(f"IIS knows no sslFlags value '{flag}'.")
        self._access[location] = parse_flags(", ".join(flags))

    def _set_pool(self, change: dict[str, Any]) -> None:
        name = find_key(self._pools, change["name"])
        if name is None:
            raise no_property("Recycling")
        for setting, wanted in change["settings"].items():
            if setting not in POOL_DEFAULTS:
                raise thrown(f"Unknown application pool setting '{setting}'.")
            self._pools[name][setting] = wanted

    def commit(self) -> None:
        """Write: first the kernel's table, which stays as it is when the file cannot be written afterwards."""
        before = [one for site in self._iis["sites"] for one in site["bindings"]]
        now = [one for written in self._bindings.values() for one in written]
        http_sys.write(self._machine, before=before, now=now, fresh=self._fresh)
        journal.check_fault(self._machine, "commit iis")
        journal.write(self._machine, "commit iis")
        for site in self._iis["sites"]:
            site["bindings"] = self._bindings[site["id"]]
        locations = self._iis["locations"] = self._iis.get("locations") or {}
        for location, flags in self._access.items():
            spelled = find_key(locations, location) or location
            if flags is None:
                locations.pop(spelled, None)
            else:
                locations[spelled] = {"sslFlags": format_flags(flags)}
        for name, settings in self._pools.items():
            self._iis["application_pools"][name].update(settings)


def _information(change: dict[str, Any]) -> str:
    return f"{change['ip_address']}:{change['port']}:{change['host_name'] or ''}"


def _written(binding: dict[str, Any]) -> dict[str, Any]:
    """A binding as a commit writes it."""
    written = {"protocol": binding["protocol"], "information": binding["information"]}
    if binding["protocol"] == "https":
        if binding.get("certificate_hash") is not None:
            written["certificate_hash"] = binding["certificate_hash"].upper()
            written["certificate_store"] = binding.get("certificate_store") or "My"
        written["ssl_flags"] = binding.get("ssl_flags", 0)
    return written
