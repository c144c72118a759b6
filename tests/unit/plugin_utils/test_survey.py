# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Against the lab's site, and against servers on the loopback address that do what no server should."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.securepatch.wsus.plugins.plugin_utils.endpoint import CONTENT, SERVICES, CheckError
from ansible_collections.securepatch.wsus.plugins.plugin_utils.survey import PLAIN, VERSIONS, Survey, survey_server

from tests.lab.authority import Authority, Issued
from tests.lab.lab import Lab
from tests.lab.tls import can_ask

FQDN = "wsus01.corp.example"
PROTOCOLS = r"HKLM:\SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols"
_networks = itertools.count(2)

Behave = Callable[[socket.socket], None]


@functools.cache
def authority() -> Authority:
    return Authority.create("Corp Root CA")


@pytest.fixture
def ca_file(tmp_path: Path) -> str:
    file = tmp_path / "ca.pem"
    file.write_text(authority().certificate_pem, encoding="ascii")
    return str(file)


def secure(folder: Path, issued: Issued | None = None) -> ssl.SSLContext:
    """A server's context that serves a certificate, for FQDN where none is given, with every version of TLS that there is."""
    one = issued or authority().issue(FQDN, [FQDN])
    file = folder / f"{one.thumbprint}.pem"
    file.write_text(one.chain_pem + one.key_pem, encoding="ascii")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


@contextmanager
def listening(behave: Behave, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server that does this with every connection, after a TLS handshake where there is a context."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _rest = listener.accept()
                    threading.Thread(target=handle, args=(connection,), daemon=True).start()

        def handle(connection: socket.socket) -> None:
            with contextlib.suppress(OSError), connection:
                if context is None:
                    behave(connection)
                    return
                with context.wrap_socket(connection, server_side=True) as inner:
                    behave(inner)

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def answering(answer: bytes | Mapping[str, bytes], asked: list[str] | None = None, *, once: bool = False) -> Behave:
    """Answer each request on a connection: the same each time, or by path. ONCE: close it after the first."""

    def behave(connection: socket.socket) -> None:
        head = b""
        while True:
            received = connection.recv(4096)
            if not received:
                return
            head += received
            if b"\r\n\r\n" not in head:
                continue
            path = head.split()[1].decode("ascii")
            if asked is not None:
                asked.append(path)
            head = b""
            connection.sendall(answer if isinstance(answer, bytes) else answer.get(path, OK))
            if once:
                return

    return behave


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def look(https_port: int | None, http_port: int | None, ca_file: str | None = None, **others: Any) -> Survey:
    values: dict[str, Any] = {"address": "127.0.0.1", "timeout": 1, "budget": 10, **others}
    found = survey_server(values.pop("name", FQDN), https_port=https_port, http_port=http_port, ca_file=ca_file, **values)
    assert Survey.from_dict(json.loads(json.dumps(found.as_dict()))) == found
    return found


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Callable[..., Lab]]:
    """A lab of one server as it is given."""
    with contextlib.ExitStack() as stack:

        def start(**server: Any) -> Lab:
            network = f"127.{10 + os.getpid() % 240}.{250 - next(_networks) % 200}.0/24"
            return stack.enter_context(Lab({"servers": {"wsus01": server}}, folder=tmp_path, network=network))

        yield start


def of_lab(lab: Lab, **others: Any) -> Survey:
    http_port = others.pop("http_port", 8530)
    return look(8531, http_port, str(lab.ca_file), address=lab.address("wsus01"), **{"timeout": 5, "budget": 30, **others})


# --- a WSUS site -----------------------------------------------------------------------------------------------------------


def test_a_site_that_requires_tls_is_seen_as_it_is(lab: Callable[..., Lab]) -> None:
    one = lab(stage="required")
    found = of_lab(one)
    assert (found.https_problem, found.http_problem, found.chain, found.certificate_name, found.dates) == (None,) * 5
    assert {name: answer.status for name, answer in found.https.items()} == {name: 401 if name == "ApiRemoting30" else 200 for name in SERVICES}
    assert {name: found.http[name].status for name in SERVICES} == dict.fromkeys(SERVICES, 403)
    assert (found.http["Content"].status, found.http["ReportingWebService"].status) == (200, 200)
    assert found.certificate is not None
    with one.machine("wsus01").lock:
        assert found.certificate["thumbprint"] in one.machine("wsus01").document["certificates"]["My"]
    assert found.protocol == "TLSv1.3"
    assert found.reached
    assert one.counts() == {}


def test_a_site_on_http_has_no_tls_and_answers(lab: Callable[..., Lab]) -> None:
    found = of_lab(lab(stage="http"))
    assert "8531" in str(found.https_problem)
    assert (found.certificate, found.versions, found.https) == (None, {}, {})
    assert {found.http[name].status for name in ("ClientWebService", "Content")} == {200}
    assert found.reached


def test_a_machine_that_is_away_is_not_reached(lab: Callable[..., Lab]) -> None:
    found = of_lab(lab(stage="required", faults={"unreachable": True}))
    assert "refused" in str(found.https_problem)
    assert "refused" in str(found.http_problem)
    assert not found.reached


@pytest.mark.parametrize(
    ("off", "taken"),
    [((), {"TLS 1.2", "TLS 1.3"}), (("TLS 1.3",), {"TLS 1.2"}), (("TLS 1.2",), {"TLS 1.3"})],
)
def test_the_versions_that_schannel_has_on_are_those_that_are_taken(lab: Callable[..., Lab], off: tuple[str, ...], taken: set[str]) -> None:
    one = lab(stage="offered")
    with one.edit("wsus01") as found:
        for version in off:
            found["registry"][f"{PROTOCOLS}\\{version}\\Server"] = {"Enabled": {"kind": "DWord", "data": 0}}
    versions = of_lab(one).versions
    assert set(versions) == set(VERSIONS)
    assert {version for version, takes in versions.items() if takes} == taken


@pytest.mark.parametrize("version", ["TLS 1.0", "TLS 1.1"])
def test_an_old_version_that_is_really_offered_is_found(version: str, tmp_path: Path, ca_file: str) -> None:
    context = secure(tmp_path)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        context.minimum_version = getattr(ssl.TLSVersion, VERSIONS[version])
    with listening(answering(OK), context) as port:
        found = look(port, None, ca_file)
    # Some distributions' OpenSSL cannot do it at all: that is told, and never taken for a server that does not.
    assert found.versions[version] is (True if can_ask(version.removeprefix("TLS ")) else None)
    assert found.versions["TLS 1.2"] is True


@pytest.mark.skipif(not can_ask("1.1"), reason="this OpenSSL has no TLS 1.1")
def test_a_port_that_takes_old_versions_alone_is_told_to_and_is_reached(lab: Callable[..., Lab]) -> None:
    one = lab(stage="offered", tls=["1.1"])
    found = of_lab(one)
    assert found.https_problem == f"{one.address('wsus01')}:8531 takes TLS 1.1 only, and the controller asks for TLS 1.2 or newer"
    assert found.versions == {"TLS 1.0": False if can_ask("1.0") else None, "TLS 1.1": True, "TLS 1.2": False, "TLS 1.3": False}
    assert (found.certificate, found.https) == (None, {})
    assert of_lab(one, http_port=None).reached


def test_weak_ciphers_alone_hide_no_version(tmp_path: Path) -> None:
    issued = authority().issue(FQDN, [FQDN], key="rsa2048")
    context = secure(tmp_path, issued)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    # No client of Python's asks for it by itself.
    context.set_ciphers("AES128-SHA")
    with listening(answering(OK), context) as port:
        found = look(port, None)
    assert found.versions["TLS 1.2"] is True
    assert found.versions["TLS 1.3"] is False
    assert str(found.https_problem).startswith(f"the TLS handshake with 127.0.0.1:{port} failed: ")
    assert str(found.https_problem).endswith(" (where weak ciphers are offered too, it takes TLS 1.2)")


# --- a certificate that is wrong ---------------------------------------------------------------------------------------------------


def test_what_is_wrong_with_a_certificate_is_told_apart_and_the_services_are_asked_all_the_same(tmp_path: Path, ca_file: str) -> None:
    stranger = Authority.create("Other CA").issue("other.example", ["other.example"])
    with listening(answering(OK), secure(tmp_path, stranger)) as port:
        found = look(port, None, ca_file)
    assert found.chain == (
        f"the certificate was issued by CN=Other CA, an authority that {ca_file} does not have (or the server does not send the "
        "intermediate certificate)"
    )
    assert found.certificate_name == f"the certificate is for other.example, not for {FQDN}"
    assert {answer.status for answer in found.https.values()} == {200}


# --- what is answered --------------------------------------------------------------------------------------------------------------


def test_one_connection_serves_all_requests_and_each_is_asked_once() -> None:
    asked: list[str] = []
    connections: list[int] = []
    answer = answering(OK, asked)

    def behave(connection: socket.socket) -> None:
        connections.append(1)
        answer(connection)

    with listening(behave) as port:
        found = look(None, port)
    assert asked == [*PLAIN.values(), *SERVICES.values()]
    assert len(connections) == 1
    assert {answered.status for answered in found.http.values()} == {200}
    assert (found.versions, found.https) == ({}, {})


@pytest.mark.parametrize("answer", [OK, b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.0 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"])
def test_a_server_that_closes_each_connection_is_asked_on_another(answer: bytes) -> None:
    asked: list[str] = []
    with listening(answering(answer, asked, once=True)) as port:
        found = look(None, port)
    assert {answered.status for answered in found.http.values()} == {200}
    assert len(asked) == len(found.http)


def test_a_redirect_is_told_and_not_followed_and_so_is_hsts() -> None:
    asked: list[str] = []
    answers = {
        CONTENT: b"HTTP/1.1 302 Found\r\nLocation: https://elsewhere.example/x\r\nContent-Length: 0\r\n\r\n",
        SERVICES["ClientWebService"]: b"HTTP/1.1 200 OK\r\nStrict-Transport-Security: max-age=1\r\nContent-Length: 0\r\n\r\n",
    }
    with listening(answering(answers, asked)) as port:
        found = look(None, port)
    assert (found.http["Content"].status, found.http["Content"].location) == (302, "https://elsewhere.example/x")
    assert [name for name, answer in found.http.items() if answer.hsts] == ["ClientWebService"]
    assert "/x" not in asked


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"SSH-2.0-OpenSSH_9.9\r\n\r\n", "no proper answer: it is not HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n", "no proper answer: got more than 100 headers"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"x" * 100_000, "no proper answer: more than 64 KiB without an end of its head"),
        (b"", "no proper answer: the connection was closed without a word"),
    ],
)
def test_an_answer_that_is_none_is_told(answer: bytes, said: str) -> None:
    with listening(answering(answer, once=True)) as port:
        found = look(None, port)
    assert {answered.problem for answered in found.http.values()} == {said}
    assert (found.http_problem, found.reached) == (None, True)


@pytest.mark.parametrize("length", [b"\xb2", b"9" * 5000, b"-1", b"x", b"", b"99999999999999"])
def test_a_length_that_is_none_does_no_harm(length: bytes) -> None:
    with listening(answering(b"HTTP/1.1 200 OK\r\nContent-Length: " + length + b"\r\n\r\nok")) as port:
        assert {answered.status for answered in look(None, port).http.values()} == {200}


# --- what does not end ---------------------------------------------------------------------------------------------------------------


def hang(connection: socket.socket) -> None:
    while connection.recv(4096):
        pass


def send_forever(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n")
    while True:
        connection.sendall(b"x")
        time.sleep(0.02)


def drip(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"H")
        time.sleep(0.02)


def flood(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n")
    while True:
        connection.sendall(b"x" * 65536)


@pytest.mark.parametrize("behave", [hang, send_forever, drip, flood])
@pytest.mark.parametrize("tls", [False, True])
def test_nothing_takes_longer_than_its_time(behave: Behave, tls: bool, tmp_path: Path, ca_file: str) -> None:
    with listening(behave, secure(tmp_path) if tls else None) as port:
        began = time.monotonic()
        found = look(port, None, ca_file, timeout=0.3, budget=1) if tls else look(None, port, timeout=0.3, budget=1)
        assert time.monotonic() - began < 4
    answers = (found.https if tls else found.http).values()
    assert answers
    told = {answer.problem or answer.status for answer in answers}
    if behave is flood:
        assert told == {200}
    elif behave is send_forever:
        assert told == {200, "not asked: the time for this server is up"}
    else:
        assert told == {"no answer within 0.3 s", "not asked: the time for this server is up"}


def test_a_port_that_does_not_answer_the_handshake_is_given_up() -> None:
    with listening(hang) as port:
        began = time.monotonic()
        found = look(port, None, timeout=0.3)
        assert time.monotonic() - began < 3
    assert found.https_problem == f"127.0.0.1:{port} takes the connection but does not answer the TLS handshake within 0.3 s"
    assert (found.versions, found.reached) == ({}, False)


def test_a_handshake_that_drips_is_given_up() -> None:
    def behave(connection: socket.socket) -> None:
        # The head of a TLS record, and then its body byte by byte.
        connection.sendall(b"\x16\x03\x03\x40\x00")
        while True:
            connection.sendall(b"\x02")
            time.sleep(0.05)

    with listening(behave) as port:
        began = time.monotonic()
        found = look(port, None, timeout=0.3)
        assert time.monotonic() - began < 3
    assert found.https_problem is not None


def test_a_port_without_tls_says_so() -> None:
    with listening(answering(b"HTTP/1.1 400 Bad Request\r\n\r\n", once=True)) as port:
        found = look(port, port)
    assert found.https_problem is not None
    assert "not with TLS" in found.https_problem or "TLS handshake" in found.https_problem
    assert found.http_problem is None


def test_a_port_that_nothing_listens_on_is_asked_once() -> None:
    port = closed_port()
    began = time.monotonic()
    found = look(port, port)
    assert time.monotonic() - began < 2
    told = f"nothing listens on 127.0.0.1:{port}: the connection was refused"
    assert (found.https_problem, found.http_problem) == (told, told)
    assert {answer.problem for answer in found.http.values()} == {told}
    assert not found.reached


# --- what cannot begin -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": "a b"}, "no host name"),
        ({"https_port": 0}, "0 is no port"),
        ({"http_port": 70000}, "70000 is no port"),
        ({"ca_file": "/nowhere/ca.pem"}, "cannot be read"),
        ({"ca_file": __file__}, "no certificate in PEM"),
        ({"timeout": 0}, "the time-out must be more than 0"),
        ({"timeout": -1}, "the time-out must be more than 0"),
        ({"timeout": float("nan")}, "the time-out must be more than 0"),
        ({"timeout": 1e20}, "at most 3600"),
        ({"budget": 0}, "the budget must be more than 0"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_tried(wrong: dict[str, Any], said: str) -> None:
    asked: list[str] = []
    with listening(answering(OK, asked)) as port:
        values: dict[str, Any] = {"name": FQDN, "https_port": port, "http_port": port, "address": "127.0.0.1", **wrong}
        with pytest.raises(CheckError, match=said):
            survey_server(values.pop("name"), **values)
    assert asked == []


def test_a_survey_has_the_certificate_that_was_sent(tmp_path: Path, ca_file: str) -> None:
    issued = authority().issue(FQDN, [FQDN])
    with listening(answering(OK), secure(tmp_path, issued)) as port:
        found = look(port, None, ca_file)
    assert found.certificate is not None
    assert found.certificate["thumbprint"] == issued.thumbprint
    assert found.certificate["issuer"] == "CN=Corp Root CA"
