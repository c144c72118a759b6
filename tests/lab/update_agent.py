# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A machine's update agent: it searches where its policy or MDM says, trusts what its own stores trust, over real HTTP and TLS.

A search calls SimpleAuthWebService and ClientWebService, which decide how it ends, and tells ReportingWebService about it; the port that
gives the files is asked for one, as a download that follows would.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol
from urllib.parse import SplitResult, urlsplit
from uuid import NAMESPACE_DNS, uuid5

from .engine import WindowsError
from .engine.clients import client_id, need_agent, pins, searched, told_server
from .machine import Machine
from .tls import client_context, name_fits, sent_certificates, thumbprint

AGENT = "Windows-Update-Agent/10.0.10011.16384 Client-Protocol/2.71"
_CALLS = (("SimpleAuthWebService", "SimpleAuth.asmx"), ("ClientWebService", "client.asmx"))
_REPORT = ("ReportingWebService", "ReportingWebService.asmx")
_FILE = "/Content/anonymousCheckFile.txt"
_PATIENCE = 10.0  # seconds

#: HRESULTs of the update agent (wuerror.h), and of WinHTTP below it.
NO_SERVER_TOLD = 0x80244011  # WU_E_PT_SUS_SERVER_NOT_SET
NO_SUCH_NAME = 0x80072EE7
TIMED_OUT = 0x80072EE2
CANNOT_CONNECT = 0x80072EFD
CONNECTION_LOST = 0x80072EFE
NOT_TRUSTED = 0x80072F8F
NOT_UNDERSTOOD = 0x8024400A  # WU_E_PT_SOAPCLIENT_PARSE
_OF_STATUS = {
    400: 0x80244016,
    401: 0x80244017,
    403: 0x80244018,
    404: 0x80244019,
    405: 0x8024401A,
    407: 0x8024401B,
    408: 0x8024401C,
    500: 0x8024401F,
    501: 0x80244020,
    502: 0x80244021,
    503: 0x80244022,
    504: 0x80244023,
}
_OTHER_STATUS = 0x8024402B  # WU_E_PT_HTTP_STATUS_NOT_MAPPED


@dataclass(frozen=True)
class Search:
    """One search for updates.

    :param client: the machine's name in the fleet
    :param when: when it began, by the lab's clock
    :param url: the server that the machine was told; None: none, or none that is valid
    :param hresult: why it failed; 0 where it succeeded
    :param why: the same in words, for whoever reads a test's output; empty where it succeeded
    :param files: why the port beside gave no file; 0 where it did, None where the search did not come that far
    :param by: the machine itself, or a script on it, which is no search of the machine's own
    """

    client: str
    when: datetime
    url: str | None
    hresult: int = 0
    why: str = ""
    files: int | None = None
    by: Literal["machine", "script"] = "machine"

    @property
    def succeeded(self) -> bool:
        return self.hresult == 0

    @property
    def tls(self) -> bool:
        """Whether it was to go over TLS."""
        return (self.url or "").casefold().startswith("https:")

    @property
    def code(self) -> str:
        """The HRESULT as Windows writes it; `0x00000000` for a success."""
        return f"0x{self.hresult:08X}"


class SearchFailed(Exception):
    """Why a search fails: HRESULT, and in words."""

    def __init__(self, hresult: int, why: str) -> None:
        super().__init__(why)
        self.hresult = hresult


class Surroundings(Protocol):
    """What an agent needs of the network that its machine is in."""

    def resolve(self, machine: Machine, host_name: str) -> str | None:
        """The address of a name."""

    def address_of(self, machine: Machine) -> str:
        """The address that MACHINE calls from."""

    def chain_errors(self, machine: Machine, connection: ssl.SSLSocket) -> list[str]:
        """What is wrong with the chain that came, by MACHINE's own stores."""

    def came(self, machine: Machine, address: str, identity: str) -> None:
        """MACHINE was served as a client by the WSUS server at ADDRESS, which knows it as IDENTITY."""


def search(machine: Machine, around: Surroundings, *, by: Literal["machine", "script"] = "machine") -> Search:
    """Search for updates. Blocks, without the machine's lock. A success of the machine's own is its last search."""
    when = machine.now()
    with machine.lock:
        url = told_server(machine)
        identity = client_id(machine, str(uuid5(NAMESPACE_DNS, f"client.{machine.name}.{around.address_of(machine)}")))
    files = None
    try:
        with machine.lock:
            need_agent(machine)
        if url is None:
            raise SearchFailed(NO_SERVER_TOLD, "nobody told this machine of a WSUS server, or not of a valid one")
        server = _Server(machine, around, url)
        address = server.search(identity)
        around.came(machine, address, identity)
        files = server.files()
    except WindowsError as error:
        return Search(machine.name, when, url, error.hresult, error.message, by=by)
    except SearchFailed as error:
        return Search(machine.name, when, url, error.hresult, str(error), by=by)
    if by == "machine":
        with machine.lock:
            searched(machine)
    return Search(machine.name, when, url, files=files, by=by)


class _Server:
    """The server that a machine was told, as the machine finds it."""

    def __init__(self, machine: Machine, around: Surroundings, url: str) -> None:
        self._machine = machine
        self._around = around
        self._url, self._port = _read(url)

    def search(self, identity: str) -> str:
        """Make the calls of a search. Returns the address that answered."""
        address, connection = self._connect(self._port, tls=self._url.scheme == "https")
        try:
            for call in _CALLS:
                self._call(connection, call, identity)
            with contextlib.suppress(SearchFailed):  # what is not told now is told the next time
                self._call(connection, _REPORT, identity)
        finally:
            connection.close()
        return address

    def files(self) -> int:
        """Why the port that gives the files (443 and 80, or N and N-1) does not, or 0."""
        port = self._port if self._url.scheme == "http" else 80 if self._port == 443 else self._port - 1
        try:
            _rest, connection = self._connect(port, tls=False)
        except SearchFailed as error:
            return error.hresult
        try:
            self._ask(connection, "GET", _FILE, b"")
        except SearchFailed as error:
            return error.hresult
        finally:
            connection.close()
        return 0

    def _connect(self, port: int, *, tls: bool) -> tuple[str, http.client.HTTPConnection]:
        name = self._url.hostname or ""
        address = self._around.resolve(self._machine, name)
        if address is None:
            raise SearchFailed(NO_SUCH_NAME, f"there is no address for the name {name}")
        connection = http.client.HTTPConnection(name, port, timeout=_PATIENCE)
        try:
            connection.sock = socket.create_connection((address, port), _PATIENCE, (self._around.address_of(self._machine), 0))
        except TimeoutError as error:
            raise SearchFailed(TIMED_OUT, f"no answer from {name}:{port}") from error
        except OSError as error:
            raise SearchFailed(CANNOT_CONNECT, f"no connection to {name}:{port}") from error
        # A call's head and its body go out one after the other: the second is not to wait until the first was acknowledged.
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            connection.sock = self._secured(connection.sock, name)
        return address, connection

    def _secured(self, plain: socket.socket, name: str) -> ssl.SSLSocket:
        try:
            secure = client_context().wrap_socket(plain, server_hostname=name)
        except OSError as error:
            plain.close()
            raise _lost(error, "the handshake") from error
        leaf = sent_certificates(secure)[0]
        wrong = self._around.chain_errors(self._machine, secure)
        if not name_fits(leaf, name):
            wrong.append("it is not for this name")
        with self._machine.lock:
            pinned = pins(self._machine)
        if pinned and thumbprint(leaf) not in pinned:
            wrong.append("it is not among those that are pinned")
        if wrong:
            secure.close()
            raise SearchFailed(NOT_TRUSTED, f"the certificate that came from {name} is not good: {', '.join(wrong)}")
        return secure

    def _call(self, connection: http.client.HTTPConnection, call: tuple[str, str], identity: str) -> None:
        answer = self._ask(connection, "POST", f"/{'/'.join(call)}", _envelope(self._machine.name, identity))
        if b"WSUS" not in answer:
            raise SearchFailed(NOT_UNDERSTOOD, f"what answered for {call[0]} is no WSUS")

    @staticmethod
    def _ask(connection: http.client.HTTPConnection, method: str, path: str, body: bytes) -> bytes:
        headers = {"User-Agent": AGENT, **({"Content-Type": "text/xml; charset=utf-8"} if body else {})}
        try:
            connection.request(method, path, body or None, headers)
            response = connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise _lost(error, path) from error
        if response.status != 200:
            raise SearchFailed(_OF_STATUS.get(response.status, _OTHER_STATUS), f"{path} answered {response.status} {response.reason}")
        return answer


def _read(url: str) -> tuple[SplitResult, int]:
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        if not parts.hostname:
            raise ValueError("it names no server")
    except (ValueError, KeyError) as error:
        raise SearchFailed(NO_SERVER_TOLD, f"{url!r} is no URL of a server") from error
    return parts, port


def _lost(error: Exception, where: str) -> SearchFailed:
    """A connection that was there and went, or a handshake that did not come to its end."""
    if isinstance(error, TimeoutError):
        return SearchFailed(TIMED_OUT, f"no answer in time: {where}")
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return SearchFailed(NOT_TRUSTED, f"TLS failed: {where}")
    return SearchFailed(CONNECTION_LOST, f"the connection was reset: {where}")


def _envelope(name: str, identity: str) -> bytes:
    return (
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
        f"<computerId>{identity}</computerId><dnsName>{name}</dnsName></s:Body></s:Envelope>"
    ).encode()


def signed(hresult: int) -> int:
    """An HRESULT as .NET has it."""
    return hresult - (1 << 32) if hresult & 0x80000000 else hresult


def exit_of(done: Search) -> dict[str, Any]:
    """What `ansible.windows.win_updates` writes last about a search."""
    ended: dict[str, Any] = {"changed": False, "failed": not done.succeeded, "reboot_required": False, "action": None, "exception": None}
    if not done.succeeded:
        message = f"Searching for updates: Exception from HRESULT: {done.code}"
        ended["exception"] = {"message": message, "exception": f"{message}\r\n{done.why}", "hresult": signed(done.hresult)}
        del ended["action"]
    return ended
