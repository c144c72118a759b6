# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The check of a WSUS server from outside, as its clients and downstream servers meet it. No Ansible.

What is asked and what has to come back is the table "What answers on a healthy HTTPS server" of [BP] and [CFG]: the
five web services over https, Content and ReportingWebService over http, and on a server that requires TLS nothing but
403 on the five over http.

Connections go straight from this machine to the server: no proxy, no credentials, no redirect is followed, and of an
answer no more than its head is read. The name that is checked and the address that is connected to are two things, which
is why this stands on sockets and not on an HTTP library.
"""

from __future__ import annotations

import base64
import http.client
import io
import re
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Literal, TypeVar

from .certificates import Certificate, covers, parse

Status = Literal["ok", "failed", "not_checked"]
_Answer = TypeVar("_Answer")

SERVICES = {
    "ApiRemoting30": "/ApiRemoting30/WebService.asmx",
    "ClientWebService": "/ClientWebService/client.asmx",
    "DssAuthWebService": "/DssAuthWebService/DssAuthWebService.asmx",
    "ServerSyncWebService": "/ServerSyncWebService/ServerSyncWebService.asmx",
    "SimpleAuthWebService": "/SimpleAuthWebService/SimpleAuth.asmx",
}
CONTENT = "/Content/anonymousCheckFile.txt"
REPORTING = "/ReportingWebService/ReportingWebService.asmx"

_HEAD_LIMIT = 64 * 1024
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 8.0

# X509_V_ERR_* of OpenSSL, as `SSLCertVerificationError.verify_code` has them.
_NOT_YET_VALID, _EXPIRED, _NAME_MISMATCH = 9, 10, 62
_UNKNOWN_AUTHORITY = (2, 18, 19, 20, 21)
# What OpenSSL calls it, over its versions, when what comes back is not TLS.
_NOT_TLS = ("WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE")

_HINTS = {
    403: "is TLS or a client certificate required there?",
    404: "is this the WSUS site?",
    503: "is the application pool of WSUS running?",
}


class CheckError(ValueError):
    """The check cannot begin: what was handed in makes no sense."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `detail` is a sentence for an administrator, whatever the status."""

    id: str
    title: str
    status: Status
    detail: str


def check_server(
    name: str,
    *,
    https_port: int,
    http_port: int | None,
    address: str | None = None,
    ca_file: str | None = None,
    tls_required: bool | None,
    content_on_microsoft_update: bool = False,
    min_days: int = 0,
    thumbprint: str | None = None,
    timeout: float = 10,
    cold_seconds: float = 60,
    now: datetime | None = None,
) -> list[Check]:
    """Look at a WSUS server from this machine, over the network only.

    name: the name its clients use; the certificate has to be for it. address: where to connect instead, if given.
    http_port: `None` leaves everything over http unchecked.
    ca_file: PEM file with the authorities to trust; `None` takes those of this system.
    tls_required: whether plain HTTP on the five services has to be refused (True), has to be served (False), or is not
    checked (None). min_days: how many days the certificate must still be valid. thumbprint: which certificate it has to be; None: any.
    timeout: seconds for each single connection or answer. cold_seconds: how long, over all checks together, the server
    is waited for while it refuses connections, stays silent or answers 503, as it does right after a restart.
    now: aware; what the days of the certificate are counted from, by default the time of this machine.

    Returns always the same checks in the same order. Raises `CheckError` before anything is tried.
    """
    name = valid_name(name)
    for port in (https_port, http_port):
        if port is not None and not 0 < port < 65536:
            raise CheckError(f"{port} is no port: it must be between 1 and 65535")
    if timeout <= 0:
        raise CheckError(f"the time-out must be more than 0 seconds, not {timeout:g}")
    server = Remote(
        name=name,
        address=address or name,
        trust=trusting(ca_file),
        trust_under_any_name=trusting(ca_file, any_name=True),
        trusted_by=ca_file or "the controller's own list of authorities",
        timeout=timeout,
        cold_until=time.monotonic() + cold_seconds,
    )
    checks, unsafe = _check_certificate(server, https_port, min_days, thumbprint, now or datetime.now(UTC))
    secure = _Port(server, https_port, tls=True, failure=unsafe)
    for service, path in SERVICES.items():
        checks.append(_check_answer(secure, f"https_{service.lower()}", path, _served(service)))
    plain = _Port(server, http_port, tls=False, failure="no HTTP port was given" if http_port is None else None)
    if content_on_microsoft_update:
        checks.append(Check("http_content", plain.title(CONTENT), "not_checked", "the update files stay on Microsoft Update"))
    else:
        checks.append(_check_answer(plain, "http_content", CONTENT, (200,)))
    checks.append(_check_answer(plain, "http_reportingwebservice", REPORTING, (200,)))
    for service, path in SERVICES.items():
        check_id = f"http_{service.lower()}"
        if tls_required is None:
            checks.append(Check(check_id, plain.title(path), "not_checked", "whether TLS is required was not asked"))
        elif tls_required:
            checks.append(_check_answer(plain, check_id, path, (403,), "plain HTTP is not refused"))
        else:
            checks.append(_check_answer(plain, check_id, path, _served(service), "plain HTTP is not served"))
    return checks


def _served(service: str) -> tuple[int, ...]:
    # ApiRemoting30 wants Windows authentication, and nobody authenticates here.
    return (200, 401) if service == "ApiRemoting30" else (200,)


# What is handed in


def valid_name(name: str) -> str:
    """A host name as it goes over the network. Raises CheckError for what is none."""
    bare = name.strip().rstrip(".")
    try:
        ascii_name = bare if bare.isascii() else bare.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise CheckError(f"{name!r} is no host name: {error}") from error
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*", ascii_name):
        raise CheckError(f"{name!r} is no host name")
    return ascii_name


def trusting(ca_file: str | None, *, any_name: bool = False) -> ssl.SSLContext:
    """A context that trusts the authorities of the file, or those of the system."""
    # Not `create_default_context`: from Python 3.13 on it holds certificates to the letter of RFC 5280, which what
    # Windows CAs issued and Windows clients take does not always stand.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = not any_name
    # An authority that the administrator names is trusted, root or not.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    # Without a SAN the common name counts, as it does for Windows.
    context.hostname_checks_common_name = True
    if ca_file is None:
        context.load_default_certs()
        return context
    try:
        text = Path(ca_file).read_bytes().decode("ascii", "ignore")
    except OSError as error:
        raise CheckError(f"the CA file {ca_file} cannot be read: {error.strerror}") from error
    try:
        context.load_verify_locations(cadata=text)
    except (ssl.SSLError, ValueError) as error:
        raise CheckError(
            f"the CA file {ca_file} has no certificate in PEM ('-----BEGIN CERTIFICATE-----'); "
            "one in DER becomes PEM with: openssl x509 -inform der -in FILE -out FILE.pem"
        ) from error
    return context


# Connections


class Unusable(Exception):
    """Nothing usable came back. temporary: it may be different in a moment. port: nothing else will get through either."""

    def __init__(self, detail: str, *, temporary: bool = False, port: bool = False) -> None:
        super().__init__(detail)
        self.temporary = temporary
        self.port = port


@dataclass(frozen=True)
class Remote:
    """The server as it is reached from here: its name, the address, what is trusted, and how long is waited (seconds)."""

    name: str
    address: str
    trust: ssl.SSLContext
    trust_under_any_name: ssl.SSLContext
    trusted_by: str
    timeout: float
    cold_until: float

    def connect(self, port: int) -> socket.socket:
        place = f"{self.address}:{port}"
        try:
            return socket.create_connection((self.address, port), self.timeout)
        except (socket.gaierror, UnicodeError) as error:
            raise Unusable(f"the controller cannot resolve {self.address}", port=True) from error
        except TimeoutError as error:
            detail = f"no answer from {place} within {self.timeout:g} s: is a firewall in between?"
            raise Unusable(detail, temporary=True, port=True) from error
        except ConnectionRefusedError as error:
            raise Unusable(f"nothing listens on {place}: the connection was refused", temporary=True, port=True) from error
        except OSError as error:
            raise Unusable(f"{place} cannot be reached: {error.strerror or error}", temporary=True, port=True) from error

    def handshake(self, port: int, context: ssl.SSLContext) -> ssl.SSLSocket:
        """Raises `ssl.SSLCertVerificationError` where only the certificate is the problem."""
        place = f"{self.address}:{port}"
        connection = self.connect(port)
        try:
            return context.wrap_socket(connection, server_hostname=self.name)
        except BaseException as error:
            connection.close()
            if isinstance(error, ssl.SSLCertVerificationError) or not isinstance(error, OSError):
                raise
            if isinstance(error, TimeoutError):
                detail = f"{place} takes the connection but does not answer the TLS handshake within {self.timeout:g} s"
                raise Unusable(detail, temporary=True, port=True) from error
            if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionError)):
                detail = f"{place} breaks off the TLS handshake: has the https binding a certificate?"
                raise Unusable(detail, port=True) from error
            reason = getattr(error, "reason", None) or str(error)
            if reason in _NOT_TLS:
                raise Unusable(f"{place} answers, but not with TLS", port=True) from error
            raise Unusable(f"the TLS handshake with {place} failed: {reason}", port=True) from error


# The certificate


def _check_certificate(server: Remote, port: int, min_days: int, thumbprint: str | None, now: datetime) -> tuple[list[Check], str | None]:
    """The checks, and why nothing can be asked over TLS; `None` if the handshake was as it should be."""
    connection = f"TLS connection to {server.name}:{port}"
    issuer, name = "the certificate's issuer is trusted", f"the certificate is for {server.name}"
    bound = "the certificate is the one that is bound"
    dates = "the certificate is valid now" + (f" and for {min_days} more days" if min_days else "")
    try:
        protocol, certificate, problems = _patiently(server, lambda: look_at_certificate(server, port))
    except Unusable as failure:
        reason = "no TLS connection"
        return [
            Check("https_connection", connection, "failed", str(failure)),
            Check("certificate_chain", issuer, "not_checked", reason),
            Check("certificate_name", name, "not_checked", reason),
            Check("certificate_dates", dates, "not_checked", reason),
            Check("certificate_bound", bound, "not_checked", reason),
        ], reason
    until = f"valid until {certificate.not_after:%Y-%m-%d}" if certificate.not_after else "its dates cannot be read"
    ends_early = certificate.not_after is not None and certificate.not_after - now < timedelta(days=min_days)
    return [
        Check("https_connection", connection, "ok", protocol),
        _verdict("certificate_chain", issuer, problems.chain, f"issued by {certificate.issuer}"),
        _verdict("certificate_name", name, problems.name, f"it is for {_names(certificate)}"),
        _verdict("certificate_dates", dates, problems.dates or (f"the certificate is only {until}" if ends_early else None), until),
        _check_bound(bound, thumbprint, certificate),
    ], None if problems == Problems() else "the certificate is not as it should be"


def _check_bound(title: str, thumbprint: str | None, certificate: Certificate) -> Check:
    if thumbprint is None:
        return Check("certificate_bound", title, "not_checked", "which one is bound was not told")
    other = certificate.thumbprint != thumbprint.upper()
    problem = f"served is {certificate.thumbprint}, and not {thumbprint}: is another machine, or a load balancer, in between?" if other else None
    return _verdict("certificate_bound", title, problem, certificate.thumbprint)


def _verdict(check_id: str, title: str, problem: str | None, detail: str) -> Check:
    return Check(check_id, title, "failed" if problem else "ok", problem or detail)


@dataclass(frozen=True)
class Problems:
    """What is wrong with a certificate, each told apart: a sentence, None where nothing is."""

    chain: str | None = None
    name: str | None = None
    dates: str | None = None


def look_at_certificate(server: Remote, port: int) -> tuple[str, Certificate, Problems]:
    """The protocol, the server's certificate, and what OpenSSL has against it with each problem told apart.

    OpenSSL stops at its first objection: an unknown authority hides a wrong name, a wrong name hides the dates.
    """
    objection: ssl.SSLCertVerificationError | None = None
    try:
        with server.handshake(port, server.trust) as connection:
            return _protocol(connection), _sent(connection), Problems()
    except ssl.SSLCertVerificationError as error:
        objection = error
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE
    with server.handshake(port, unverified) as connection:
        protocol, certificate = _protocol(connection), _sent(connection)
    named_wrongly = objection.verify_code == _NAME_MISMATCH
    dates = _dates_problem(certificate)
    chain = _objection_to_chain(server, port) if named_wrongly else objection
    # OpenSSL looks at the dates of the server's certificate last, so nothing else was wrong with the chain.
    if chain is not None and chain.verify_code in (_EXPIRED, _NOT_YET_VALID) and dates:
        chain = None
    return (
        protocol,
        certificate,
        Problems(
            chain=None if chain is None else _chain_problem(server, certificate, chain),
            name=_name_problem(server, certificate) if named_wrongly or not covers(certificate, server.name) else None,
            dates=dates,
        ),
    )


def _objection_to_chain(server: Remote, port: int) -> ssl.SSLCertVerificationError | None:
    try:
        server.handshake(port, server.trust_under_any_name).close()
    except ssl.SSLCertVerificationError as error:
        return error
    return None


def _protocol(connection: ssl.SSLSocket) -> str:
    return connection.version() or "TLS"


def _sent(connection: ssl.SSLSocket) -> Certificate:
    der = connection.getpeercert(binary_form=True) or b""
    return parse({"thumbprint": "", "der": base64.b64encode(der).decode("ascii")})


def _name_problem(server: Remote, certificate: Certificate) -> str:
    if certificate.problem is not None:
        return f"the certificate cannot be read ({certificate.problem}), and is not for {server.name}"
    return f"the certificate is for {_names(certificate)}, not for {server.name}"


def _names(certificate: Certificate) -> str:
    if certificate.dns_names is None:
        return certificate.common_name or "no name"
    return ", ".join(certificate.dns_names) or "no DNS name"


def _dates_problem(certificate: Certificate) -> str | None:
    # By this machine's clock, because OpenSSL goes by that too.
    clock = datetime.now(UTC)
    if certificate.not_after is not None and clock > certificate.not_after:
        return f"the certificate expired on {certificate.not_after:%Y-%m-%d}"
    if certificate.not_before is not None and clock < certificate.not_before:
        return f"the certificate is not valid before {certificate.not_before:%Y-%m-%d}"
    return None


def _chain_problem(server: Remote, certificate: Certificate, objection: ssl.SSLCertVerificationError) -> str:
    if objection.verify_code in _UNKNOWN_AUTHORITY:
        if certificate.issuer == certificate.subject:
            return f"the certificate is self-signed, and {server.trusted_by} does not have it"
        return (
            f"the certificate was issued by {certificate.issuer}, an authority that {server.trusted_by} does not have "
            "(or the server does not send the intermediate certificate)"
        )
    if objection.verify_code in (_EXPIRED, _NOT_YET_VALID):
        return "an authority above the certificate has expired, or is not valid yet"
    return f"the certificate is not trusted: {objection.verify_message}"


# The answers


@dataclass
class _Port:
    """One port of the server. failure: why nothing gets through; set as soon as that is known."""

    server: Remote
    number: int | None
    tls: bool
    failure: str | None

    def title(self, path: str) -> str:
        return f"{'https' if self.tls else 'http'}://{self.server.name}:{self.number or 'PORT'}{path}"

    def ask(self, path: str) -> tuple[int, str | None]:
        """One request; the status and where it redirects to."""
        if self.number is None:
            raise Unusable("no port was given", port=True)
        deadline = time.monotonic() + self.server.timeout
        try:
            with self._open(self.number) as connection:
                connection.sendall(
                    f"GET {path} HTTP/1.1\r\nHost: {self.server.name}:{self.number}\r\n"
                    "User-Agent: securepatch.wsus\r\nAccept: */*\r\nConnection: close\r\n\r\n".encode("ascii")
                )
                status, headers, _rest = read_head(connection, deadline)
                return status, headers.get("Location")
        except TimeoutError as error:
            raise Unusable(f"no answer within {self.server.timeout:g} s", temporary=True) from error
        except (OSError, http.client.HTTPException) as error:
            raise Unusable(f"no proper answer: {error}") from error

    def _open(self, number: int) -> socket.socket:
        return self.server.handshake(number, self.server.trust) if self.tls else self.server.connect(number)


def read_head(connection: socket.socket, deadline: float) -> tuple[int, http.client.HTTPMessage, bytes]:
    """The status and the headers of an answer, and what of its body came along with them.

    deadline: by time.monotonic(). Raises TimeoutError, OSError, HTTPException.
    """
    head = b""
    while b"\r\n\r\n" not in head:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if len(head) >= _HEAD_LIMIT:
            raise http.client.HTTPException(f"more than {_HEAD_LIMIT // 1024} KiB without an end of its head")
        connection.settimeout(left)
        received = connection.recv(min(4096, _HEAD_LIMIT - len(head)))
        if not received:
            raise http.client.HTTPException("the connection was closed" + ("" if head else " without a word"))
        head += received
    told, _rest, body = head.partition(b"\r\n\r\n")
    line, _rest, rest = told.partition(b"\r\n")
    status = re.match(rb"HTTP/1\.[01] (\d{3})\b", line)
    if status is None:
        raise http.client.HTTPException("it is not HTTP")
    return int(status[1]), http.client.parse_headers(io.BytesIO(rest + b"\r\n\r\n")), body


def _patiently(server: Remote, attempt: Callable[[], _Answer]) -> _Answer:
    """The attempt, again after ever longer pauses while it fails in a way that may pass; in the end its last failure."""
    pause = _FIRST_PAUSE
    while True:
        try:
            return attempt()
        except Unusable as failure:
            if not failure.temporary or time.monotonic() + pause > server.cold_until:
                raise
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)


def _check_answer(port: _Port, check_id: str, path: str, expected: tuple[int, ...], otherwise: str = "") -> Check:
    title = port.title(path)
    if port.failure is not None:
        return Check(check_id, title, "not_checked", port.failure)

    def ask() -> tuple[int, str | None]:
        status, location = port.ask(path)
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            raise Unusable(f"{_told(status)} instead of {_any_of(expected)}: {_HINTS[503]}", temporary=True)
        return status, location

    try:
        status, location = _patiently(port.server, ask)
    except Unusable as failure:
        if failure.port:
            port.failure = f"port {port.number} could not be asked"
        return Check(check_id, title, "failed", str(failure))
    if status in expected:
        return Check(check_id, title, "ok", _told(status))
    if 300 <= status < 400:
        return Check(check_id, title, "failed", f"{_told(status)} to {(location or 'nowhere')[:200]!r}: WSUS answers itself")
    detail = f"{_told(status)} instead of {_any_of(expected)}"
    hint = otherwise or _HINTS.get(status)
    return Check(check_id, title, "failed", f"{detail}: {hint}" if hint else detail)


def _any_of(expected: tuple[int, ...]) -> str:
    return " or ".join(map(str, expected))


def _told(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
