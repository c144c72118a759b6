# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the network says of a WSUS server, as facts without a judgement: real TLS and HTTP from this machine. No Ansible.

Beside C(endpoint), which checks one server after a change, this is for many servers at once: few connections, several at a time where a server
is slow, each answer and the whole within a time limit, whatever the other side does. No credentials are sent, no proxy is used, no redirect is
followed.
"""

from __future__ import annotations

import base64
import http.client
import re
import socket
import ssl
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from .certificates import Certificate, parse
from .endpoint import CONTENT, REPORTING, SERVICES, CheckError, Problems, Remote, Unusable, look_at_certificate, read_head, trusting, valid_name

SELF_UPDATE = "/selfupdate/wuident.cab"
"""Goes on answering over HTTP beside Content and ReportingWebService, where it is there at all [CFG, SEEN]."""
PLAIN = {"Content": CONTENT, "ReportingWebService": REPORTING, "SelfUpdate": SELF_UPDATE}
VERSIONS = {"TLS 1.0": "TLSv1", "TLS 1.1": "TLSv1_1", "TLS 1.2": "TLSv1_2", "TLS 1.3": "TLSv1_3"}

_OF_TODAY = ("TLS 1.2", "TLS 1.3")  # what Python's clients offer by themselves
_CANNOT_ASK = ("NO_PROTOCOLS_AVAILABLE", "NO_CIPHERS_AVAILABLE", "UNSUPPORTED_PROTOCOL_VERSION")
_BODY_LIMIT = 64 * 1024
_LONGEST = 3600  # seconds
_QUICK = 1  # second


@dataclass(frozen=True)
class Answered:
    """One answer: its status, where it redirects to, and whether it tells browsers to use https only (HSTS); or why there is none."""

    status: int | None = None
    location: str | None = None
    hsts: bool = False
    problem: str | None = None


@dataclass(frozen=True)
class Survey:
    """What was found. https_problem, http_problem: why nothing can be said of what a port serves, None where it answers.

    chain, name, dates: what is wrong with the certificate, None where nothing is. versions: by name, whether the port takes this TLS
    version; None where this machine cannot ask. Where there is an https_problem they are there if the port takes one of them all the same.
    https: the five services; http: the five, and what must be served over HTTP.
    """

    name: str
    address: str
    https_port: int | None
    http_port: int | None
    https_problem: str | None = None
    http_problem: str | None = None
    protocol: str | None = None
    certificate: Mapping[str, Any] | None = None
    chain: str | None = None
    certificate_name: str | None = None
    dates: str | None = None
    versions: Mapping[str, bool | None] = field(default_factory=dict)
    https: Mapping[str, Answered] = field(default_factory=dict)
    http: Mapping[str, Answered] = field(default_factory=dict)

    @property
    def reached(self) -> bool:
        """Whether at least one of the ports answered."""
        secure = self.https_port is not None and (self.https_problem is None or any(self.versions.values()))
        return secure or (self.http_port is not None and self.http_problem is None)

    def as_dict(self) -> dict[str, Any]:
        """In plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Survey:
        """The opposite of as_dict. Raises TypeError for anything else."""
        answers = {part: {name: Answered(**one) for name, one in (given.get(part) or {}).items()} for part in ("https", "http")}
        return cls(**{**given, **answers})


def survey_server(
    name: str,
    *,
    https_port: int | None,
    http_port: int | None,
    address: str | None = None,
    ca_file: str | None = None,
    timeout: float = 5,
    budget: float = 30,
) -> Survey:
    """Look at one server. timeout: seconds for each connection and each answer; budget: seconds for all of it, about.

    https_port, http_port: None leaves that side out. The rest is as in C(endpoint.check_server). Raises CheckError before anything is tried.
    """
    name = valid_name(name)
    for port in (https_port, http_port):
        if port is not None and not 0 < port < 65536:
            raise CheckError(f"{port} is no port: it must be between 1 and 65535")
    for what, seconds in (("time-out", timeout), ("budget", budget)):
        if not 0 < seconds <= _LONGEST:
            raise CheckError(f"the {what} must be more than 0 seconds, and at most {_LONGEST}, not {seconds:g}")
    remote = Remote(
        name=name,
        address=address or name,
        trust=trusting(ca_file),
        trust_under_any_name=trusting(ca_file, any_name=True),
        trusted_by=ca_file or "the controller's own list of authorities",
        timeout=timeout,
        cold_until=0,
    )
    until = time.monotonic() + budget
    found: dict[str, Any] = {"name": name, "address": remote.address, "https_port": https_port, "http_port": http_port}

    def takes(port: int, version: str) -> bool | None:
        # What the ordinary handshake was made with need not be asked for once more.
        return found.get("protocol") == VERSIONS[version].replace("_", ".") or _takes(remote, port, version)

    parts: dict[str, Callable[[], Any]] = {}
    if https_port is not None:
        parts["https"] = partial(_secure, found, remote, https_port, until)
    if http_port is not None:
        parts["http"] = partial(_plain, found, remote, http_port, until)
    if https_port is not None:
        parts |= {one: partial(takes, https_port, one) for one in VERSIONS}
    taken = {name: result for name, result in _done(parts).items() if name in VERSIONS}
    problem = found.get("https_problem")
    if problem is None or any(taken.values()):
        found["versions"] = taken
    if problem is not None and any(taken.values()):
        found["https_problem"] = _problem_with(taken, f"{remote.address}:{https_port}", problem)
    return Survey(**found)


def certificate_at(name: str, port: int, *, address: str | None = None, timeout: float = 5) -> tuple[str | None, str | None]:
    """The thumbprint of the certificate that is served at this port under this NAME, whoever issued it; or None, and why nothing was seen.

    ADDRESS: where to connect, where not to the name; timeout: seconds. Raises CheckError before anything is tried.
    """
    name = valid_name(name)
    unverified = _unverified()
    remote = Remote(
        name=name, address=address or name, trust=unverified, trust_under_any_name=unverified, trusted_by="", timeout=timeout, cold_until=0
    )
    try:
        with remote.handshake(port, unverified) as connection:
            return _sent(connection).thumbprint or None, None
    except (Unusable, OSError) as failure:
        return None, str(failure)


def _done(parts: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
    """What each of the parts returns.

    They are done one after the other while that is quick: at one time, in threads, they take half as much of the processor again, and an audit of
    many servers has none to spare. What is left after a while is begun all at once, so that nothing waits for what does not answer.
    """
    results: dict[str, Future[Any]] = {name: Future() for name in parts}
    left = deque(parts)

    def work() -> None:
        while left:
            try:
                name = left.popleft()
            except IndexError:  # another thread took the last one
                return
            try:
                results[name].set_result(parts[name]())
            except Exception as error:  # noqa: BLE001 - it is raised below
                results[name].set_exception(error)

    with ThreadPoolExecutor(max(1, len(parts))) as pool:
        hurry = threading.Timer(_QUICK, lambda: [pool.submit(work) for _rest in tuple(left)])
        hurry.start()
        try:
            work()
        finally:
            hurry.cancel()
            hurry.join()
    return {name: result.result() for name, result in results.items()}


def _problem_with(taken: Mapping[str, bool | None], place: str, problem: str) -> str:
    """Why an ordinary handshake failed at a port that takes some version of TLS: what was seen of it at first need not be the cause."""
    told = ", ".join(one for one, takes in taken.items() if takes)
    if any(taken[one] is not False for one in _OF_TODAY):
        return f"{problem} (where weak ciphers are offered too, it takes {told})"
    return f"{place} takes {told} only, and the controller asks for TLS 1.2 or newer"


def _secure(found: dict[str, Any], remote: Remote, port: int, until: float) -> None:
    """Put into FOUND what the port for TLS shows."""
    kept: ssl.SSLSocket | None = None
    try:
        try:
            kept = remote.handshake(port, remote.trust)
            protocol, certificate, problems = kept.version() or "TLS", _sent(kept), Problems()
        except ssl.SSLCertVerificationError:
            protocol, certificate, problems = look_at_certificate(remote, port)
    except Unusable as failure:
        found["https_problem"] = str(failure)
        return
    found |= {
        "protocol": protocol,
        "certificate": _told(certificate),
        "chain": problems.chain,
        "certificate_name": problems.name,
        "dates": problems.dates,
    }
    # What is asked says nothing secret, so the answers of a server whose certificate is wrong are told as well.
    unverified = _unverified()
    conversation = _Conversation(remote, port, until, lambda: remote.handshake(port, unverified), kept)
    found["https"] = {service: conversation.ask(path) for service, path in SERVICES.items()}
    conversation.close()


def _sent(connection: ssl.SSLSocket) -> Certificate:
    der = connection.getpeercert(binary_form=True) or b""
    return parse({"thumbprint": "", "der": base64.b64encode(der).decode("ascii")})


def _told(certificate: Certificate) -> dict[str, Any]:
    return {
        "thumbprint": certificate.thumbprint or None,
        "subject": certificate.subject,
        "issuer": certificate.issuer,
        "not_before": certificate.not_before.isoformat() if certificate.not_before else None,
        "not_after": certificate.not_after.isoformat() if certificate.not_after else None,
        "key": certificate.key,
        "signature": certificate.signature,
        "problem": certificate.problem,
    }


def _plain(found: dict[str, Any], remote: Remote, port: int, until: float) -> None:
    """Put into FOUND what the port for HTTP shows."""
    conversation = _Conversation(remote, port, until, lambda: remote.connect(port))
    found["http"] = {name: conversation.ask(path) for name, path in {**PLAIN, **SERVICES}.items()}
    conversation.close()
    found["http_problem"] = conversation.problem


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _takes(remote: Remote, port: int, version: str) -> bool | None:
    """Whether the port takes a handshake of this version; None where this machine's OpenSSL cannot offer it."""
    context = _unverified()
    wanted = getattr(ssl.TLSVersion, VERSIONS[version])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = context.maximum_version = wanted
            # OpenSSL 3 offers the old versions at this level alone, and some distributions have taken them out. Of the others, too, the version is
            # asked for, and not how good the port's ciphers are.
            context.set_ciphers("DEFAULT:@SECLEVEL=0")
    except (ValueError, ssl.SSLError):
        return None
    try:
        remote.handshake(port, context).close()
    except Unusable as failure:
        cause = failure.__cause__
        if isinstance(cause, ssl.SSLError) and getattr(cause, "reason", "") in _CANNOT_ASK:
            return None
        return None if isinstance(cause, TimeoutError) else False
    except ssl.SSLError:
        return False
    return True


class _Conversation:
    """Several requests on as few connections as the server allows. After a failure of the port as a whole nothing more is asked."""

    def __init__(
        self, remote: Remote, port: int, until: float, connect: Callable[[], socket.socket], connection: socket.socket | None = None
    ) -> None:
        self.problem: str | None = None
        self._remote, self._port, self._until, self._connect, self._open = remote, port, until, connect, connection

    def ask(self, path: str) -> Answered:
        """One GET."""
        if self.problem is not None:
            return Answered(problem=self.problem)
        if time.monotonic() > self._until:
            return Answered(problem="not asked: the time for this server is up")
        kept = self._open is not None
        try:
            return self._ask(path)
        except (http.client.HTTPException, OSError) as error:
            self.close()
            if kept and not isinstance(error, TimeoutError):
                return self.ask(path)  # a server may close a connection that was kept at any time
            told = f"no answer within {self._remote.timeout:g} s" if isinstance(error, TimeoutError) else f"no proper answer: {error}"
            return Answered(problem=told)
        except Unusable as failure:
            self.close()
            self.problem = str(failure)
            return Answered(problem=self.problem)

    def _ask(self, path: str) -> Answered:
        if self._open is None:
            self._open = self._connect()
        deadline = min(time.monotonic() + self._remote.timeout, self._until + 1)
        self._open.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {self._remote.name}:{self._port}\r\nUser-Agent: securepatch.wsus\r\nAccept: */*\r\n\r\n".encode("ascii")
        )
        status, headers, body = read_head(self._open, deadline)
        try:
            drained = self._drained(headers, body, deadline)
        except OSError:  # the answer is there; only its connection is of no more use
            drained = False
        if not drained:
            self.close()
        return Answered(status, headers.get("Location"), headers.get("Strict-Transport-Security") is not None)

    def _drained(self, headers: http.client.HTTPMessage, body: bytes, deadline: float) -> bool:
        """Whether the body was read to its end, so that the connection can be used once more; a large one is not worth it."""
        length = str(headers.get("Content-Length") or "")
        # The other side may send any characters: not all that look like digits are, and int() refuses very many of them.
        closes = str(headers.get("Connection") or "").lower() == "close"
        if self._open is None or closes or not re.fullmatch(r"[0-9]{1,9}", length) or int(length) > _BODY_LIMIT:
            return False
        left = int(length) - len(body)
        while left > 0:
            self._open.settimeout(max(0.01, deadline - time.monotonic()))
            received = self._open.recv(min(left, 8192))
            if not received or time.monotonic() > deadline:
                return False
            left -= len(received)
        return left == 0

    def close(self) -> None:
        """Close what is open."""
        if self._open is not None:
            with suppress(OSError):
                self._open.close()
            self._open = None
