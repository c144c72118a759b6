# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The network that the lab's machines are in: names that resolve here only, real connections, and synchronizations over them."""

from __future__ import annotations

import errno
import ipaddress
import socket
import ssl
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from . import update_agent
from .engine import WindowsError, certificates, registry, unreachable
from .engine.traffic import log_folder
from .machine import CertificationAuthority, Machine, format_time
from .site_log import Line, logged_address
from .tls import base64_of, build_chain, certificate_of, client_context, name_fits, sent_certificates

_COMPUTER = r"HKLM:\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters"
_TIMEOUT = 10.0  # seconds, as Test-Endpoint waits
#: What a downstream server asks its upstream for.
_UPSTREAM_SERVICES = ("/ServerSyncWebService/ServerSyncWebService.asmx", "/DssAuthWebService/DssAuthWebService.asmx")
_REASONS = {401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 503: "Service Unavailable"}


class Listening(Protocol):
    """What the network asks of the lab."""

    def changed(self, machine: Machine) -> None:
        """MACHINE's document may be another: its listeners have to follow."""

    def searched(self, done: update_agent.Search) -> None:
        """A search has ended."""

    def in_background(self, work: Callable[[], None], after: float) -> None:
        """Do WORK in a while (seconds)."""


class SynchronizationFailed(Exception):
    """Why a downstream server does not get on with its upstream, in WSUS's words."""


def _socket_error(message: str, native: int) -> WindowsError:
    return WindowsError(message, "System.Net.Sockets.SocketException", 0x80004005, native=native)


def _of_connecting(error: OSError, address: str, port: int) -> WindowsError:
    if isinstance(error, TimeoutError):
        return _socket_error(f"No answer from {address} within {_TIMEOUT:.0f} s.", 10060)
    return _socket_error(f"No connection could be made because the target machine actively refused it {address}:{port}", 10061)


def _of_handshake(error: OSError) -> WindowsError:
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        message = "A call to SSPI failed, see inner exception."
        return WindowsError(message, "System.Security.Authentication.AuthenticationException", 0x80131501)
    if isinstance(error, TimeoutError):
        return WindowsError("The read operation failed, see inner exception.", "System.IO.IOException", 0x80131620)
    return _socket_error("An existing connection was forcibly closed by the remote host", 10054)


class LabNetwork:
    """The `Network` of every machine in a lab."""

    def __init__(self, lab: Listening, synchronization_seconds: float, authority: CertificationAuthority | None = None) -> None:
        self._lab = lab
        self._seconds = synchronization_seconds
        self._authority = authority
        self._addresses: dict[str, str] = {}
        self._machines: dict[str, Machine] = {}
        self._lock = threading.Lock()

    def join(self, machine: Machine, address: str, names: list[str]) -> None:
        """Give a machine an address and the names that resolve to it, in any case of letters."""
        with self._lock:
            self._machines[address] = machine
            self._addresses |= {name.lower(): address for name in names}

    def resolve(self, machine: Machine, host_name: str) -> str | None:
        """The address of a name, or None; a machine's own `localhost` is itself."""
        name = host_name.lower().rstrip(".")
        with self._lock:
            if name in {"localhost", "127.0.0.1"}:
                return next((address for address, one in self._machines.items() if one is machine), None)
            if name in self._machines:
                return name
            return self._addresses.get(name)

    def address_of(self, machine: Machine) -> str:
        """The address that a machine has, and calls from."""
        with self._lock:
            return next(address for address, one in self._machines.items() if one is machine)

    # --- Network ---------------------------------------------------------------------------------------------------------

    def certification_authority(self, machine: Machine) -> CertificationAuthority | None:
        return self._authority

    def changed(self, machine: Machine) -> None:
        self._lab.changed(machine)

    def look(self, machine: Machine, host_name: str, port: int, tls: bool) -> dict[str, Any]:
        address = self.resolve(machine, host_name)
        if address is None and not _is_address(host_name):
            return unreachable(host_name, port, tls, _socket_error("No such host is known", 11001))
        try:
            plain = socket.create_connection((address or host_name, port), _TIMEOUT, (self.address_of(machine), 0))
        except OSError as error:
            return unreachable(host_name, port, tls, _of_connecting(error, address or host_name, port))
        with plain:
            answer = unreachable(host_name, port, tls, _socket_error("", 0)) | {"reachable": True, "error": None}
            if not tls:
                return answer
            try:
                with client_context().wrap_socket(plain, server_hostname=host_name) as connection:
                    return answer | self._judged(machine, host_name, connection)
            except OSError as error:
                return answer | {"error": _of_handshake(error).state()}

    def search(self, machine: Machine) -> update_agent.Search:
        done = update_agent.search(machine, self, by="script")
        self._lab.searched(done)
        return done

    def start_search(self, machine: Machine) -> None:
        self._lab.in_background(lambda: self._lab.searched(update_agent.search(machine, self)), 0.0)

    def called_itself(self, machine: Machine, site: dict[str, Any], port: int) -> None:
        folder, own = log_folder(site), "127.0.0.1"
        if folder is not None:
            # Windows authentication: who asks is wanted to be known first.
            for status, substatus, win32 in ((401, 2, 5), (200, 0, 0)):
                page = "/ApiRemoting30/WebService.asmx"
                machine.site_log.add(Line(folder, machine.now(), own, "POST", page, port, own, None, status, substatus, win32))

    def start_synchronization(self, machine: Machine) -> None:
        with machine.lock:
            wsus = machine.document["wsus"]
            wsus["synchronization_status"] = "Running"
            start = format_time(machine.now())
            if (wsus.get("next_synchronization") or {}).get("goes_on"):
                return
        self._lab.in_background(lambda: self._synchronize(machine, start), self._seconds)

    # --- what an update agent needs (see update_agent.py) ----------------------------------------------------------------

    def chain_errors(self, machine: Machine, connection: ssl.SSLSocket) -> list[str]:
        return list(self._judged(machine, "", connection)["chain_errors"])

    def came(self, machine: Machine, address: str, identity: str) -> None:
        with self._lock:
            server = self._machines.get(address)
        with machine.lock:
            fqdn = _fqdn(machine)
        if server is None:
            return
        with server.lock:
            entry = {"id": identity, "fqdn": fqdn, "address": logged_address(self.address_of(machine)), "last_sync": format_time(server.now())}
            _note(server.document["wsus"].setdefault("computers", []), entry)

    # --- what is behind it -----------------------------------------------------------------------------------------------

    @staticmethod
    def _judged(machine: Machine, host_name: str, connection: ssl.SSLSocket) -> dict[str, Any]:
        """What MACHINE makes of the certificates that came: the part of the answer that a handshake gives."""
        with machine.lock:
            stores = {name: [certificate_of(one.der) for one in certificates.listed(machine, name) or []] for name in ("Root", "CA")}
            now = machine.now()
        sent = sent_certificates(connection)
        chain = build_chain(sent, stores["Root"], stores["CA"], now)
        return {
            "protocol": {"TLSv1.2": "Tls12", "TLSv1.3": "Tls13"}.get(connection.version() or ""),
            "certificates": [base64_of(one) for one in chain.certificates],
            "name_matches": name_fits(sent[0], host_name),
            "trusted": chain.trusted,
            "chain_errors": list(chain.errors),
        }

    def _synchronize(self, machine: Machine, start: str) -> None:
        with machine.lock:
            wsus = machine.document["wsus"]
            source = dict(wsus.get("upstream") or {"microsoft_update": True})
            planned = wsus.get("next_synchronization")
        outcome: dict[str, Any] = {"result": "Succeeded", "error": "NotApplicable", "error_text": ""}
        if planned:
            outcome |= {name: planned[name] for name in ("result", "error", "error_text") if name in planned}
        elif not source.get("microsoft_update", True):
            try:
                self._ask_upstream(machine, source)
            except SynchronizationFailed as error:
                outcome = {"result": "Failed", "error": "UssCommunicationError", "error_text": str(error)}
        with machine.lock:
            end = format_time(machine.now())
            wsus["last_synchronization"] = {"id": str(uuid.uuid4()), **outcome, "start": start, "end": end}
            wsus["synchronization_status"] = "NotProcessing"
            fqdn = _fqdn(machine)
        upstream = self._upstream(machine, source)
        if outcome["result"] == "Succeeded" and upstream is not None:
            with upstream.lock:
                replica = source.get("replica", False)
                _note_downstream(upstream, {"id": wsus["server_id"], "fqdn": fqdn, "replica": replica, "last_sync": end})

    def _upstream(self, machine: Machine, source: dict[str, Any]) -> Machine | None:
        if source.get("microsoft_update", True):
            return None
        address = self.resolve(machine, source["name"])
        with self._lock:
            return self._machines.get(address or "")

    def _ask_upstream(self, machine: Machine, source: dict[str, Any]) -> None:
        for path in _UPSTREAM_SERVICES:
            with self._connected(machine, source["name"], source["port"], source["ssl"]) as connection:
                status = _post(connection, source["name"], path)
            if status != 200:
                raise SynchronizationFailed(f"The request failed with HTTP status {status}: {_REASONS.get(status, 'Error')}.")

    @contextmanager
    def _connected(self, machine: Machine, name: str, port: int, tls: bool) -> Iterator[socket.socket]:
        address = self.resolve(machine, name)
        if address is None:
            raise SynchronizationFailed(f"The remote name could not be resolved: '{name}'")
        try:
            plain = socket.create_connection((address, port), _TIMEOUT, (self.address_of(machine), 0))
        except OSError as error:
            message = _of_connecting(error, address, port).message
            raise SynchronizationFailed(f"Unable to connect to the remote server: {message}") from error
        with plain:
            if not tls:
                yield plain
                return
            try:
                connection = client_context().wrap_socket(plain, server_hostname=name)
            except OSError as error:
                message = _of_handshake(error).message
                raise SynchronizationFailed(f"The underlying connection was closed: {message}") from error
            with connection:
                found = self._judged(machine, name, connection)
                why = list(found["chain_errors"]) + ([] if found["name_matches"] else ["RemoteCertificateNameMismatch"])
                if why:
                    raise SynchronizationFailed(
                        "The underlying connection was closed: Could not establish trust relationship for the SSL/TLS secure channel "
                        f"({', '.join(why)})."
                    )
                yield connection


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _fqdn(machine: Machine) -> str:
    names = [registry.value(machine, _COMPUTER, name) for name in ("Hostname", "Domain")]
    return ".".join(name for name in names if name).lower()


def _note_downstream(upstream: Machine, entry: dict[str, Any]) -> None:
    """WSUS lists a downstream server from its first synchronization on, by its server id."""
    _note(upstream.document["wsus"].setdefault("downstream_servers", []), entry)


def _note(known: list[dict[str, Any]], entry: dict[str, Any]) -> None:
    """Put ENTRY in place of the one with its id, or at the end."""
    for index, one in enumerate(known):
        if one["id"].lower() == entry["id"].lower():
            known[index] = one | entry
            return
    known.append(entry)


def _post(connection: socket.socket, host: str, path: str) -> int:
    """Call a web service; its status."""
    try:
        head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode("ascii", "replace"))
        received = b""
        while b"\r\n" not in received:
            data = connection.recv(4096)
            if not data:
                raise ConnectionResetError(errno.ECONNRESET, "nothing came")
            received += data
        return int(received.split(b" ", 2)[1])
    except (OSError, ValueError, IndexError) as error:
        raise SynchronizationFailed("The underlying connection was closed: An unexpected error occurred on a receive.") from error
