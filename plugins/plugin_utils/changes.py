# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The changes that can be made to one server: what each is called on Windows, in words, in a prediction, and its way back.

Each change knows its C(payload) (what C(wsus_change.ps1) is told), its sentence (C(describe)), what it does to a state document
(C(predict)) and the changes that undo it (C(undo), None where there is no way back). What a kind means on Windows stands in
C(WsusChange.psm1) alone.
"""

from __future__ import annotations

import copy
import dataclasses
import datetime
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from .state import (
    MARKS_KEY,
    RESTART_MARK,
    SETUP_KEY,
    Access,
    BindingState,
    Refusal,
    State,
    Synchronization,
    api_of,
    default_https_port,
    format_time,
    iis_of,
    kernel_endpoint,
    own_fqdn,
    pool_of,
    promised_endpoint,
    serving_binding,
    setup_of,
    site_of,
)


@dataclasses.dataclass(frozen=True)
class Change:
    """One change. Fields are the change's own keys; every key is always there, None where there is nothing."""

    kind: ClassVar[str]
    reversible: ClassVar[bool] = True

    def payload(self) -> dict[str, Any]:
        """The change as the list of changes on the server has it."""
        return {"kind": self.kind, **dataclasses.asdict(self)}

    def describe(self) -> str:
        """One sentence for an administrator, in the imperative and without the server's name."""
        raise NotImplementedError

    def predict(self, state: State, now: datetime.datetime) -> None:
        """Do to a state document what the change does to a server."""
        raise NotImplementedError

    def undo(self, before: State) -> list[Change] | None:
        """The changes that lead back to what is managed in BEFORE, the state before this change; None where there is no way back."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class Event(Change):
    """A change that is an event, not a setting: what happened has no way back."""

    reversible = False

    def undo(self, before: State) -> list[Change] | None:
        return None


def predict(state: State, changes: Iterable[Change], now: datetime.datetime) -> State:
    """The state as it would be after these changes, in order. The state given stays as it is; NOW is an aware datetime."""
    changes = list(changes)
    if not changes:
        return state
    after = copy.deepcopy(state)
    for change in changes:
        change.predict(after, now)
    if after != state:
        after["predicted"] = True
    return after


def way_back(state: State, changes: Sequence[Change], now: datetime.datetime) -> tuple[list[Change], list[Change]]:
    """What undoes CHANGES after they were made to STATE, in the order to make it in, and those of them that have no way back."""
    back: list[Change] = []
    lost: list[Change] = []
    for change in changes:
        undo = change.undo(state)
        if undo is None:
            lost.append(change)
        else:
            back[:0] = undo
        state = predict(state, [change], now)
    return back, lost


def _api_may_answer(state: State) -> None:
    # Why the API did not answer may be gone with this change. Whether it is shows only afterwards: until then it is not known.
    if state["api"] is None:
        state["unreadable"].pop("api", None)


# --- IIS ---------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Binding(Change):
    """An https binding with a certificate, or a bare one. Replaces the one that is there, and so mends what the kernel serves."""

    ip_address: str
    port: int
    host_name: str
    thumbprint: str | None
    store: str | None
    ssl_flags: int
    promised: bool = False

    kind = "binding"

    def payload(self) -> dict[str, Any]:
        payload = super().payload()
        del payload["promised"]
        return payload

    def describe(self) -> str:
        place = f"{self.ip_address or '*'}:{self.port}" + (f" ({self.host_name})" if self.host_name else "")
        if self.promised:
            return f"Bind the certificate that is still to come to {place}"
        if not self.thumbprint:
            return f"Leave the https binding {place} without a certificate"
        return f"Bind the certificate {self.thumbprint} to {place}"

    def predict(self, state: State, now: datetime.datetime) -> None:
        binding: BindingState = {"protocol": "https", "ip_address": self.ip_address, "port": self.port, "host_name": self.host_name}
        binding["thumbprint"] = self.thumbprint
        # IIS has no store for a binding without a certificate.
        binding["store"] = self.store if self.thumbprint or self.promised else None
        binding["ssl_flags"] = self.ssl_flags
        if self.promised:
            binding["promised"] = True
        BindingAbsent(self.ip_address, self.port, self.host_name).predict(state, now)
        site_of(state)["bindings"].append(binding)
        if (self.thumbprint or self.promised) and state["http_sys"] is not None:
            # One certificate for each address and port, or name and port: another binding of the same endpoint gets this one as well.
            endpoint = kernel_endpoint(binding)
            others = [entry for entry in state["http_sys"] if entry["endpoint"].casefold() != endpoint.casefold()]
            state["http_sys"] = [*others, {"endpoint": endpoint, "thumbprint": self.thumbprint, "store": self.store}]
        if state["setup"] and state["setup"]["using_ssl"]:
            _api_may_answer(state)
        _promise(state)

    def undo(self, before: State) -> list[Change] | None:
        return _restore_binding(before, self.ip_address, self.port, self.host_name)


def _promise(state: State) -> None:
    # What this server will answer over TLS once the binding is there. Whether a name fits, planning judges by the certificate.
    binding = serving_binding(state)
    if binding is not None:
        others = [end for end in state.get("endpoints") or [] if not end.get("promised")]
        state["endpoints"] = [*others, promised_endpoint(own_fqdn(state), binding["port"])]


def _restore_binding(before: State, ip_address: str, port: int, host_name: str) -> list[Change]:
    for old in site_of(before)["bindings"]:
        if old["protocol"] == "https" and (old["ip_address"], old["port"], old["host_name"]) == (ip_address, port, host_name):
            flags, promised = old.get("ssl_flags", 0), old.get("promised", False)
            return [Binding(ip_address, port, host_name, old.get("thumbprint"), old.get("store"), flags, promised)]
    return [BindingAbsent(ip_address, port, host_name)]


@dataclasses.dataclass(frozen=True)
class BindingAbsent(Change):
    """No https binding at this address, port and name."""

    ip_address: str
    port: int
    host_name: str

    kind = "binding_absent"

    def describe(self) -> str:
        return f"Remove the https binding {self.ip_address or '*'}:{self.port}" + (f" ({self.host_name})" if self.host_name else "")

    def predict(self, state: State, now: datetime.datetime) -> None:
        site = site_of(state)
        place = (self.ip_address, self.port, self.host_name)
        gone = [b for b in site["bindings"] if b["protocol"] == "https" and (b["ip_address"], b["port"], b["host_name"]) == place]
        site["bindings"] = [b for b in site["bindings"] if b not in gone]
        if state["http_sys"] is not None:
            # The kernel's entry stays while another binding of this server needs it.
            everyone = site["bindings"] + [b for other in iis_of(state)["other_sites"] for b in other["bindings"]]
            needed = {kernel_endpoint(b) for b in everyone if b["protocol"] == "https" and b.get("thumbprint")}
            ended = {kernel_endpoint(b) for b in gone if b.get("thumbprint") or b.get("promised")} - needed
            state["http_sys"] = [entry for entry in state["http_sys"] if entry["endpoint"] not in ended]

    def undo(self, before: State) -> list[Change] | None:
        return _restore_binding(before, self.ip_address, self.port, self.host_name)


@dataclasses.dataclass(frozen=True)
class SetAccess(Change):
    """The access/sslFlags of an application ('': the site); None for what the parent has."""

    application: str
    ssl_flags: tuple[str, ...] | None

    kind = "access"

    def payload(self) -> dict[str, Any]:
        return {"kind": self.kind, "application": self.application, "ssl_flags": None if self.ssl_flags is None else list(self.ssl_flags)}

    def describe(self) -> str:
        where = self.application or "the site as a whole"
        if self.ssl_flags is None:
            return f"Let {where} have the access flags of its parent again"
        flags = ", ".join(flag for flag in self.ssl_flags if flag != "Ssl")
        words = f"Require TLS on {where}" if "Ssl" in self.ssl_flags else f"No longer require TLS on {where}"
        return f"{words} (other flags: {flags})" if flags else words

    def predict(self, state: State, now: datetime.datetime) -> None:
        site = site_of(state)
        everyone = [*site["applications"].values(), *site["virtual_directories"].values()]
        mine = self._place(state)
        if self.ssl_flags is None:
            mine["inherited"] = True
            mine["ssl_flags"] = list(site["access"]["ssl_flags"]) if self.application else []
        else:
            mine["inherited"] = False
            mine["ssl_flags"] = list(self.ssl_flags)
        if not self.application:
            for access in everyone:
                if access["inherited"]:
                    access["ssl_flags"] = list(mine["ssl_flags"])
        _api_may_answer(state)

    def undo(self, before: State) -> list[Change] | None:
        mine = self._place(before)
        return [SetAccess(self.application, None if mine["inherited"] else tuple(mine["ssl_flags"]))]

    def _place(self, state: State) -> Access:
        if not self.application:
            return site_of(state)["access"]
        applications = site_of(state)["applications"]
        return next(access for name, access in applications.items() if name.casefold() == self.application.casefold())


POOL_SETTINGS = {
    "queue_length": "queue length {}",
    "idle_timeout_minutes": "idle time-out {} min",
    "ping_enabled": "ping {}",
    "private_memory_kb": "private memory limit {} KB",
    "virtual_memory_kb": "virtual memory limit {} KB",
    "recycle_interval_minutes": "regular recycling every {} min",
}


@dataclasses.dataclass(frozen=True)
class ApplicationPool(Change):
    """Settings of an application pool."""

    name: str
    settings: tuple[tuple[str, Any], ...]

    kind = "application_pool"

    def payload(self) -> dict[str, Any]:
        return {"kind": self.kind, "name": self.name, "settings": dict(self.settings)}

    def describe(self) -> str:
        words = {True: "on", False: "off"}
        said = [POOL_SETTINGS[name].format(words[value] if isinstance(value, bool) else value) for name, value in self.settings]
        return f"Set the application pool {self.name}: {', '.join(said)}"

    def predict(self, state: State, now: datetime.datetime) -> None:
        pool_of(state).update(dict(self.settings))  # type: ignore[typeddict-item]

    def undo(self, before: State) -> list[Change] | None:
        pool: dict[str, Any] = dict(pool_of(before))
        return [ApplicationPool(self.name, tuple((name, pool[name]) for name, _value in self.settings))]


@dataclasses.dataclass(frozen=True)
class RecyclePool(Event):
    """Start the pool's worker process anew: it reads the registry again."""

    name: str

    kind = "recycle_pool"

    def describe(self) -> str:
        return f"Recycle the application pool {self.name}"

    def predict(self, state: State, now: datetime.datetime) -> None:
        _api_may_answer(state)


@dataclasses.dataclass(frozen=True)
class RestartSite(Event):
    """Stop and start the site, so that it listens on a new binding."""

    kind = "restart_site"

    def describe(self) -> str:
        return "Stop and start the WSUS site, so that it listens on its new binding"

    def predict(self, state: State, now: datetime.datetime) -> None:
        site_of(state)["state"] = "Started"


# --- services and marks --------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class RestartService(Event):
    """Restart a Windows service."""

    name: str

    kind = "restart_service"

    def describe(self) -> str:
        return f"Restart the service {self.name}"

    def predict(self, state: State, now: datetime.datetime) -> None:
        state["services"][self.name] = "Running"
        _api_may_answer(state)


@dataclasses.dataclass(frozen=True)
class Reboot(Event):
    """Restart the machine. Not in the list of changes: ansible.windows.win_reboot does it."""

    kind = "reboot"

    def payload(self) -> dict[str, Any]:
        raise TypeError("A reboot is not a change that the server makes to itself.")

    def describe(self) -> str:
        return "Restart the machine"

    def predict(self, state: State, now: datetime.datetime) -> None:
        mark = state["marks"].get(RESTART_MARK)
        state["restart"]["boot_time"] = max(format_time(now), str(mark or ""))
        state["restart"]["windows_pending"] = False
        _api_may_answer(state)


@dataclasses.dataclass(frozen=True)
class MarkRestart(Change):
    """Note on the server that it needs a restart: whoever restarts it, the note is older then."""

    kind = "mark_restart"

    def describe(self) -> str:
        return "Note on the server that it needs a restart"

    def predict(self, state: State, now: datetime.datetime) -> None:
        # The server's own clock will say when; that it is after its last start is what counts.
        state["marks"][RESTART_MARK] = format_time(now)
        if state["marks"][RESTART_MARK] <= state["restart"]["boot_time"]:
            state["marks"][RESTART_MARK] = "9999-12-31T23:59:59Z"

    def undo(self, before: State) -> list[Change] | None:
        return [Registry(MARKS_KEY, RESTART_MARK, "String", before["marks"].get(RESTART_MARK))]


SETUP_VALUES = {"UsingSSL": "using_ssl", "PortNumber": "port", "ServerCertificateName": "certificate_name"}


@dataclasses.dataclass(frozen=True)
class Registry(Change):
    """A value of a registry key; None: it is not there afterwards."""

    path: str
    name: str
    type: str
    data: str | int | None
    about: str = ""

    kind = "registry"

    def payload(self) -> dict[str, Any]:
        payload = super().payload()
        del payload["about"]
        return payload

    def describe(self) -> str:
        if self.about:
            return self.about
        if self.path == MARKS_KEY:
            return f"Take the note {self.name} off the server" if self.data is None else f"Note {self.name} on the server"
        where = "the setup key of WSUS" if self.path == SETUP_KEY else self.path
        return f"Remove {self.name} from {where}" if self.data is None else f"Set {self.name} to {self.data} in {where}"

    def predict(self, state: State, now: datetime.datetime) -> None:
        if self.path == MARKS_KEY:
            state["marks"].pop(self.name, None)
            if self.data is not None:
                state["marks"][self.name] = str(self.data)
        elif self.path == SETUP_KEY and state["setup"]:
            data: Any = bool(self.data) if self.name == "UsingSSL" else self.data
            state["setup"][SETUP_VALUES[self.name]] = data  # type: ignore[literal-required]

    def undo(self, before: State) -> list[Change] | None:
        old: Any = None
        if self.path == MARKS_KEY:
            old = before["marks"].get(self.name)
        elif self.path == SETUP_KEY and before["setup"]:
            old = before["setup"][SETUP_VALUES[self.name]]  # type: ignore[literal-required]
            old = int(old) if self.name == "UsingSSL" else old
        return [Registry(self.path, self.name, self.type, old)]


def _synchronization(state: State) -> Synchronization:
    api = api_of(state)
    if api is None:
        raise Refusal("The WSUS API does not answer as things stand, so its synchronization cannot be foretold.")
    return api["synchronization"]


# --- WSUS ------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class ConfigureSsl(Change):
    """WsusUtil configuressl: WSUS is known by this name over TLS [BP]."""

    fqdn: str

    kind = "configure_ssl"

    def describe(self) -> str:
        return f"Tell WSUS that it is {self.fqdn} over TLS (WsusUtil configuressl)"

    def predict(self, state: State, now: datetime.datetime) -> None:
        setup, binding = setup_of(state), serving_binding(state)
        setup["port"] = binding["port"] if binding else default_https_port(state)
        setup["using_ssl"] = True
        setup["certificate_name"] = self.fqdn
        _api_may_answer(state)

    def undo(self, before: State) -> list[Change] | None:
        setup = setup_of(before)
        return [
            Registry(SETUP_KEY, "UsingSSL", "DWord", int(setup["using_ssl"])),
            Registry(SETUP_KEY, "PortNumber", "DWord", setup["port"]),
            Registry(SETUP_KEY, "ServerCertificateName", "String", setup["certificate_name"]),
        ]


@dataclasses.dataclass(frozen=True)
class SetSynchronization(Change):
    """From where this server synchronizes; waits up to WAIT_SECONDS for a configuration that WSUS still works on."""

    microsoft_update: bool
    upstream_name: str | None
    upstream_port: int
    upstream_ssl: bool
    replica: bool
    wait_seconds: int

    kind = "synchronization"

    def describe(self) -> str:
        if self.microsoft_update:
            return "Synchronize from Microsoft Update"
        how = "https" if self.upstream_ssl else "http"
        return f"Synchronize from {how}://{self.upstream_name}:{self.upstream_port}" + (" as a replica" if self.replica else "")

    def predict(self, state: State, now: datetime.datetime) -> None:
        synchronization = _synchronization(state)
        synchronization["microsoft_update"] = self.microsoft_update
        synchronization["replica"] = self.replica and not self.microsoft_update
        if not self.microsoft_update:
            synchronization["upstream_name"] = self.upstream_name
            synchronization["upstream_port"] = self.upstream_port
            synchronization["upstream_ssl"] = self.upstream_ssl

    def undo(self, before: State) -> list[Change] | None:
        old = _synchronization(before)
        named = SetSynchronization(False, old["upstream_name"], old["upstream_port"], old["upstream_ssl"], old["replica"], self.wait_seconds)
        if not old["microsoft_update"]:
            return [named]
        # WSUS keeps the upstream's name while it synchronizes from Microsoft Update, and takes it only where it does not.
        from_microsoft = dataclasses.replace(named, microsoft_update=True, replica=False)
        return [named, from_microsoft] if old["upstream_name"] else [from_microsoft]


@dataclasses.dataclass(frozen=True)
class StartSynchronization(Event):
    """Start a synchronization; it goes on by itself."""

    kind = "start_synchronization"

    def describe(self) -> str:
        return "Synchronize once"

    def predict(self, state: State, now: datetime.datetime) -> None:
        # Which id it gets and how long it takes cannot be known; that it succeeds is what the run waits for.
        _synchronization(state)["last"] = {
            "id": None,
            "result": "Succeeded",
            "error": "NotApplicable",
            "error_text": "",
            "start": None,
            "end": None,
        }
