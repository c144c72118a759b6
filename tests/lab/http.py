# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""HTTP/1.1 on one address and port, over TLS or not: as much of it as WinRM clients, browsers and WSUS servers use.

Listeners live on the lab's event loop; nothing here blocks, and nothing here knows what is asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus

MAX_HEADERS = 64 * 1024
MAX_BODY = 64 * 1024 * 1024


@dataclass(frozen=True)
class Request:
    """One request. `headers` by lower-case name; `tls` says how it came; `size` is what it took on the wire, in bytes before TLS; `peer` is the
    address that it came from."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    tls: bool
    port: int
    size: int
    peer: str = ""

    @property
    def host(self) -> str:
        """The host that was asked for, lower case, without its port."""
        return self.headers.get("host", "").rsplit(":", 1)[0].lower()


@dataclass(frozen=True)
class Response:
    """An answer. `substatus` is what IIS writes beside the status in its log: 403.4 has 4."""

    status: int
    body: bytes = b""
    content_type: str = "text/html"
    headers: dict[str, str] = field(default_factory=dict)
    substatus: int = 0

    def encode(self, head_only: bool = False) -> bytes:
        lines = [
            f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}",
            f"Content-Type: {self.content_type}",
            f"Content-Length: {len(self.body)}",
        ]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return "\r\n".join([*lines, "", ""]).encode("ascii") + (b"" if head_only else self.body)


#: Answers a request; None drops the connection, as a cable that is pulled does.
Handler = Callable[[Request], Awaitable[Response | None]]


class BadRequest(Exception):
    """What came is not HTTP."""


async def read_request(reader: asyncio.StreamReader, tls: bool, port: int, peer: str = "") -> Request | None:
    """The next request on a connection, or None at its end.

    :raises BadRequest: for what is not HTTP, or too large
    """
    try:
        head = await reader.readexactly(1)
        if not head.isalpha():  # a TLS handshake on a plain port, as a rule
            raise BadRequest("not an HTTP request")
        head += await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    except asyncio.LimitOverrunError as error:
        raise BadRequest("headers too large") from error
    first, *rest = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise BadRequest(f"not an HTTP request: {first[:80]!r}")
    headers = {}
    for line in rest:
        name, _rest, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    length = headers.get("content-length", "0")
    if not length.isdigit() or int(length) > MAX_BODY or "transfer-encoding" in headers:
        raise BadRequest("the body's length is missing, wrong or too large")
    try:
        body = await reader.readexactly(int(length))
    except asyncio.IncompleteReadError:
        return None
    return Request(parts[0], parts[1], headers, body, tls, port, len(head) + len(body), peer)


def drop(writer: asyncio.StreamWriter) -> None:
    """Reset a connection: the other side gets ECONNRESET and not an orderly end."""
    connection = writer.get_extra_info("socket")
    if connection is not None:
        with contextlib.suppress(OSError):  # it may be gone already
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Listener:
    """One address and port.

    :param tls: serves TLS with this context; None serves plain HTTP
    :param mute: accepts connections and resets each as soon as something is said: http.sys with an https binding that has no certificate
    """

    def __init__(self, address: str, port: int, handler: Handler, tls: ssl.SSLContext | None = None, *, mute: bool = False) -> None:
        self.address = address
        self.port = port
        self._handler = handler
        self._tls = tls
        self._mute = mute
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def open(self) -> None:
        """Begin to listen.

        :raises OSError: when the port is taken, or below 1024 and the user may not have it
        """
        # Not SO_REUSEPORT: two labs on one network must notice each other.
        self._server = await asyncio.start_server(self._serve, self.address, self.port, ssl=self._tls, limit=MAX_HEADERS, backlog=128)

    async def close(self) -> None:
        """Stop listening and reset every connection."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._open):
            drop(writer)
        self._open.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._server is None:
            drop(writer)
            return
        self._open.add(writer)
        try:
            await self._converse(reader, writer)
        except (OSError, ssl.SSLError, asyncio.CancelledError):
            pass  # the other side went away
        finally:
            self._open.discard(writer)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._mute:
            await reader.read(1)
            drop(writer)
            return
        peer = str((writer.get_extra_info("peername") or ("",))[0])
        while True:
            try:
                request = await read_request(reader, self._tls is not None, self.port, peer)
            except BadRequest as error:
                writer.write(Response(400, str(error).encode(), headers={"Connection": "close"}).encode())
                return
            if request is None:
                return
            response = await self._handler(request)
            if response is None:
                drop(writer)
                return
            writer.write(response.encode(head_only=request.method == "HEAD"))
            await writer.drain()
            if request.headers.get("connection", "").lower() == "close":
                return
