# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Against real servers on the loopback address, with real TLS."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.securepatch.wsus.plugins.plugin_utils.endpoint import (
    CONTENT,
    REPORTING,
    SERVICES,
    Check,
    CheckError,
    check_server,
)
from cryptography.hazmat.primitives import serialization

from tests.lab.authority import Authority, Issued

FQDN = "wsus01.corp.example"
HTTPS_SERVICES = [f"https_{service.lower()}" for service in SERVICES]
HTTP_SERVICES = [f"http_{service.lower()}" for service in SERVICES]
CERTIFICATE = ["https_connection", "certificate_chain", "certificate_name", "certificate_dates"]


@cache
def root() -> Authority:
    return Authority.create("Corp Root CA")


@cache
def issuing() -> Authority:
    return Authority.create("Corp Issuing CA", parent=root())


@pytest.fixture
def ca_file(tmp_path: Path) -> str:
    file = tmp_path / "ca.pem"
    file.write_text("# Größe\n" + root().certificate_pem, encoding="utf-8")
    return str(file)


@dataclass
class Site:
    """A web site: what it answers by path, 404 for anything else; several statuses are given one after the other."""

    answers: dict[str, list[int]]
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    seen_headers: list[dict[str, str]] = field(default_factory=list)

    def answer(self, path: str) -> int:
        self.asked.append(path)
        statuses = self.answers.get(path, [404])
        return statuses.pop(0) if len(statuses) > 1 else statuses[0]


def served() -> dict[str, list[int]]:
    return {path: [401 if service == "ApiRemoting30" else 200] for service, path in SERVICES.items()} | {CONTENT: [200], REPORTING: [200]}


def required() -> dict[str, list[int]]:
    return served() | {path: [403] for path in SERVICES.values()}


def tls(issued: Issued, folder: Path) -> ssl.SSLContext:
    chain, key = folder / f"{issued.thumbprint}.pem", folder / f"{issued.thumbprint}.key"
    chain.write_text(issued.chain_pem, encoding="ascii")
    key.write_text(issued.key_pem, encoding="ascii")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    return context


class QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that refuses the certificate is no news."""


@contextmanager
def web(site: Site, context: ssl.SSLContext | None = None, port: int = 0) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.seen_headers.append(dict(self.headers.items()))
            self.send_response(site.answer(self.path))
            for name, value in site.headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = QuietServer(("127.0.0.1", port), Handler)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def raw(behave: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server that does something else than HTTP with every connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _rest = listener.accept()
                    threading.Thread(target=handle, args=(connection,), daemon=True).start()

        def handle(connection: socket.socket) -> None:
            with contextlib.suppress(OSError), connection:
                behave(connection)

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def look(https_port: int, http_port: int | None, ca_file: str | None, **others: Any) -> dict[str, Check]:
    values: dict[str, Any] = {"address": "127.0.0.1", "tls_required": None, "timeout": 2, "cold_seconds": 0} | others
    checks = check_server(values.pop("name", FQDN), https_port=https_port, http_port=http_port, ca_file=ca_file, **values)
    assert len({check.id for check in checks}) == len(checks) == 17
    assert all(check.title and check.detail for check in checks)
    return {check.id: check for check in checks}


def statuses(checks: dict[str, Check], ids: list[str]) -> set[str]:
    return {checks[each].status for each in ids}


def healthy_certificate(**others: Any) -> Issued:
    return issuing().issue(**({"common_name": FQDN, "dns_names": [FQDN]} | others))


# A server as it should be


def test_a_server_that_offers_https_passes_and_is_asked_nothing_but_what_it_should_be(ca_file: str, tmp_path: Path) -> None:
    secure, plain, healthy = Site(served()), Site(served()), healthy_certificate()
    with web(secure, tls(healthy, tmp_path)) as https_port, web(plain) as http_port:
        checks = look(https_port, http_port, ca_file, tls_required=False, thumbprint=healthy.thumbprint.lower())
    assert {check.status for check in checks.values()} == {"ok"}
    assert secure.asked == list(SERVICES.values())
    assert plain.asked == [CONTENT, REPORTING, *SERVICES.values()]
    assert checks["certificate_chain"].detail == "issued by CN=Corp Issuing CA"
    assert {seen["Host"] for seen in secure.seen_headers} == {f"{FQDN}:{https_port}"}
    assert not any("authorization" in map(str.lower, seen) for seen in secure.seen_headers + plain.seen_headers)


def test_a_server_that_requires_tls_passes_only_if_that_was_asked_for(ca_file: str, tmp_path: Path) -> None:
    healthy = healthy_certificate()
    with web(Site(served()), tls(healthy, tmp_path)) as https_port, web(Site(required())) as http_port:
        wanted = look(https_port, http_port, ca_file, tls_required=True, thumbprint=healthy.thumbprint)
        unwanted = look(https_port, http_port, ca_file, tls_required=False)
        unasked = look(https_port, http_port, ca_file)
    assert {check.status for check in wanted.values()} == {"ok"}
    assert statuses(unwanted, HTTP_SERVICES) == {"failed"}
    assert unwanted["http_clientwebservice"].detail == "403 Forbidden instead of 200: plain HTTP is not served"
    assert statuses(unasked, HTTP_SERVICES) == {"not_checked"}
    assert unasked["http_content"].status == unasked["http_reportingwebservice"].status == "ok"


def test_another_certificate_than_the_bound_one_fails_alone_and_says_which(ca_file: str, tmp_path: Path) -> None:
    served_one, bound = healthy_certificate(), healthy_certificate()
    with web(Site(served()), tls(served_one, tmp_path)) as https_port, web(Site(served())) as http_port:
        checks = look(https_port, http_port, ca_file, thumbprint=bound.thumbprint)
        unasked = look(https_port, http_port, ca_file)
    assert [check.id for check in checks.values() if check.status == "failed"] == ["certificate_bound"]
    assert served_one.thumbprint in checks["certificate_bound"].detail
    assert bound.thumbprint in checks["certificate_bound"].detail
    assert unasked["certificate_bound"].status == "not_checked"


def test_a_server_that_should_require_tls_and_does_not_fails(ca_file: str, tmp_path: Path) -> None:
    plain = Site(required() | {SERVICES["DssAuthWebService"]: [200], SERVICES["ApiRemoting30"]: [401]})
    with web(Site(served()), tls(healthy_certificate(), tmp_path)) as https_port, web(plain) as http_port:
        checks = look(https_port, http_port, ca_file, tls_required=True)
    assert [check.id for check in checks.values() if check.status == "failed"] == ["http_apiremoting30", "http_dssauthwebservice"]
    assert checks["http_dssauthwebservice"].detail == "200 OK instead of 403: plain HTTP is not refused"


def test_content_that_stays_on_microsoft_update_is_not_asked_for_and_that_is_said(ca_file: str, tmp_path: Path) -> None:
    plain = Site(served())
    with web(Site(served()), tls(healthy_certificate(), tmp_path)) as https_port, web(plain) as http_port:
        checks = look(https_port, http_port, ca_file, content_on_microsoft_update=True)
    assert (checks["http_content"].status, checks["http_content"].detail) == (
        "not_checked",
        "the update files stay on Microsoft Update",
    )
    assert CONTENT not in plain.asked


def test_without_an_http_port_nothing_over_http_is_checked(ca_file: str, tmp_path: Path) -> None:
    with web(Site(served()), tls(healthy_certificate(), tmp_path)) as https_port:
        checks = look(https_port, None, ca_file, tls_required=True)
    assert statuses(checks, [*CERTIFICATE, *HTTPS_SERVICES]) == {"ok"}
    assert statuses(checks, ["http_content", "http_reportingwebservice", *HTTP_SERVICES]) == {"not_checked"}


@pytest.mark.parametrize("name", ["WSUS01.corp.example", "wsus01.corp.example.", "bücher.example"])
def test_the_name_is_compared_as_clients_do(name: str, ca_file: str, tmp_path: Path) -> None:
    issued = healthy_certificate(dns_names=[FQDN, "xn--bcher-kva.example"])
    with web(Site(served()), tls(issued, tmp_path)) as https_port:
        assert statuses(look(https_port, None, ca_file, name=name), CERTIFICATE) == {"ok"}


def test_without_a_san_the_common_name_counts(ca_file: str, tmp_path: Path) -> None:
    with web(Site(served()), tls(healthy_certificate(dns_names=[]), tmp_path)) as https_port:
        assert statuses(look(https_port, None, ca_file), CERTIFICATE) == {"ok"}


def test_an_issuing_authority_alone_is_enough_to_trust(tmp_path: Path) -> None:
    file = tmp_path / "issuing.pem"
    file.write_text(issuing().certificate_pem, encoding="ascii")
    with web(Site(served()), tls(healthy_certificate(), tmp_path)) as https_port:
        assert statuses(look(https_port, None, str(file)), CERTIFICATE) == {"ok"}


# The certificate


def failed_certificate(issued: Issued, ca_file: str | None, folder: Path, **others: Any) -> dict[str, str]:
    """What is said of the checks that failed; with a certificate that is refused nothing is asked over TLS."""
    site = Site(served())
    with web(site, tls(issued, folder)) as https_port:
        checks = look(https_port, None, ca_file, **others)
    assert checks["https_connection"].status == "ok"
    assert statuses(checks, HTTPS_SERVICES) == {"not_checked"}
    assert site.asked == []
    return {check.id: check.detail for check in checks.values() if check.status == "failed"}


def test_an_unknown_authority_is_named_with_the_file_that_lacks_it(tmp_path: Path, ca_file: str) -> None:
    issued = Authority.create("Other CA").issue(FQDN, [FQDN])
    assert failed_certificate(issued, ca_file, tmp_path) == {
        "certificate_chain": f"the certificate was issued by CN=Other CA, an authority that {ca_file} does not have "
        "(or the server does not send the intermediate certificate)"
    }
    (detail,) = failed_certificate(issued, None, tmp_path).values()
    assert "an authority that the controller's own list of authorities does not have" in detail


def test_a_self_signed_certificate_is_called_so(tmp_path: Path, ca_file: str) -> None:
    own = Authority.create(FQDN)
    key_pem = own.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    issued = Issued(own.certificate, key_pem.decode("ascii"))
    assert failed_certificate(issued, ca_file, tmp_path) == {"certificate_chain": f"the certificate is self-signed, and {ca_file} does not have it"}


def test_a_certificate_for_another_name_says_for_which(tmp_path: Path, ca_file: str) -> None:
    issued = healthy_certificate(dns_names=["other.example", "wsus.example"])
    assert failed_certificate(issued, ca_file, tmp_path) == {
        "certificate_name": f"the certificate is for other.example, wsus.example, not for {FQDN}"
    }


def test_an_expired_certificate_says_since_when(tmp_path: Path, ca_file: str) -> None:
    day = datetime.now(UTC) - timedelta(days=3)
    issued = healthy_certificate(not_before=day - timedelta(days=30), not_after=day)
    assert failed_certificate(issued, ca_file, tmp_path) == {"certificate_dates": f"the certificate expired on {day:%Y-%m-%d}"}


def test_a_certificate_that_is_not_valid_yet_says_from_when(tmp_path: Path, ca_file: str) -> None:
    day = datetime.now(UTC) + timedelta(days=3)
    assert failed_certificate(healthy_certificate(not_before=day), ca_file, tmp_path) == {
        "certificate_dates": f"the certificate is not valid before {day:%Y-%m-%d}"
    }


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path, ca_file: str) -> None:
    day = datetime.now(UTC) - timedelta(days=3)
    issued = Authority.create("Other CA").issue("a.example", ["a.example"], not_before=day - timedelta(days=30), not_after=day)
    assert set(failed_certificate(issued, ca_file, tmp_path)) == {"certificate_chain", "certificate_name", "certificate_dates"}
    named_wrongly = healthy_certificate(dns_names=["a.example"], not_before=day - timedelta(days=30), not_after=day)
    assert set(failed_certificate(named_wrongly, ca_file, tmp_path)) == {"certificate_name", "certificate_dates"}


def test_a_certificate_for_another_purpose_is_not_trusted(tmp_path: Path, ca_file: str) -> None:
    found = failed_certificate(healthy_certificate(server_authentication=False), ca_file, tmp_path)
    assert list(found) == ["certificate_chain"]
    assert "purpose" in found["certificate_chain"]


def test_a_certificate_that_ends_too_soon_fails_but_its_server_is_still_asked(tmp_path: Path, ca_file: str) -> None:
    end = datetime.now(UTC) + timedelta(days=20)
    with web(Site(served()), tls(healthy_certificate(not_after=end), tmp_path)) as https_port:
        early = look(https_port, None, ca_file, min_days=30)
        enough = look(https_port, None, ca_file, min_days=10)
        later = look(https_port, None, ca_file, min_days=10, now=datetime.now(UTC) + timedelta(days=11))
    assert early["certificate_dates"] == Check(
        "certificate_dates",
        "the certificate is valid now and for 30 more days",
        "failed",
        f"the certificate is only valid until {end:%Y-%m-%d}",
    )
    assert statuses(early, HTTPS_SERVICES) == {"ok"}
    assert (enough["certificate_dates"].status, later["certificate_dates"].status) == ("ok", "failed")


# Servers that do not answer as they should


def no_connection(port: int, **others: Any) -> str:
    checks = look(port, None, None, **others)
    assert checks["https_connection"].status == "failed"
    assert statuses(checks, [*CERTIFICATE[1:], *HTTPS_SERVICES]) == {"not_checked"}
    return checks["https_connection"].detail


def test_a_port_without_tls_is_called_so() -> None:
    with web(Site(served())) as port:
        assert no_connection(port) == f"127.0.0.1:{port} answers, but not with TLS"


def test_a_closed_port_is_called_so() -> None:
    port = closed_port()
    assert no_connection(port) == f"nothing listens on 127.0.0.1:{port}: the connection was refused"


def test_a_silent_server_costs_the_time_out_and_no_more() -> None:
    with raw(lambda connection: time.sleep(5)) as port:
        began = time.monotonic()
        assert no_connection(port, timeout=0.3) == (f"127.0.0.1:{port} takes the connection but does not answer the TLS handshake within 0.3 s")
        assert time.monotonic() - began < 2


def test_a_handshake_that_is_broken_off_points_to_the_binding() -> None:
    with raw(lambda connection: connection.recv(10_000) and connection.close()) as port:
        assert no_connection(port) == f"127.0.0.1:{port} breaks off the TLS handshake: has the https binding a certificate?"


def test_a_name_that_cannot_be_resolved_is_called_so() -> None:
    assert no_connection(8531, address="no-such-host.invalid") == "the controller cannot resolve no-such-host.invalid"


def test_what_time_does_not_mend_is_not_waited_for(ca_file: str, tmp_path: Path) -> None:
    plain = Site(served() | {CONTENT: [404], REPORTING: [302]})
    with web(plain) as no_tls_port, web(Site(served()), tls(healthy_certificate(dns_names=["a.example"]), tmp_path)) as https_port:
        began = time.monotonic()
        assert look(no_tls_port, no_tls_port, ca_file, cold_seconds=30)["https_connection"].status == "failed"
        assert look(https_port, None, ca_file, cold_seconds=30)["certificate_name"].status == "failed"
        assert time.monotonic() - began < 5


def test_a_redirect_is_not_followed_and_says_where_to(ca_file: str, tmp_path: Path) -> None:
    plain = Site(served() | {CONTENT: [302]}, headers={"Location": "https://elsewhere.example/x"})
    with web(Site(served()), tls(healthy_certificate(), tmp_path)) as https_port, web(plain) as http_port:
        checks = look(https_port, http_port, ca_file)
    assert checks["http_content"].status == "failed"
    assert checks["http_content"].detail == "302 Found to 'https://elsewhere.example/x': WSUS answers itself"


def test_a_missing_service_fails_alone(ca_file: str, tmp_path: Path) -> None:
    secure = Site(served() | {SERVICES["ServerSyncWebService"]: [404]})
    with web(secure, tls(healthy_certificate(), tmp_path)) as https_port:
        checks = look(https_port, None, ca_file)
    assert [check.id for check in checks.values() if check.status == "failed"] == ["https_serversyncwebservice"]
    assert checks["https_serversyncwebservice"].detail == "404 Not Found instead of 200: is this the WSUS site?"


def test_401_is_right_for_apiremoting30_alone(ca_file: str, tmp_path: Path) -> None:
    secure = Site(served() | {SERVICES["ApiRemoting30"]: [200], SERVICES["SimpleAuthWebService"]: [401]})
    with web(secure, tls(healthy_certificate(), tmp_path)) as https_port:
        checks = look(https_port, None, ca_file)
    assert [check.id for check in checks.values() if check.status == "failed"] == ["https_simpleauthwebservice"]


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (b"SSH-2.0-OpenSSH_9.9\r\n\r\n", "no proper answer: it is not HTTP"),
        (b"HTTP/1.1 200 OK\r\n", "no proper answer: the connection was closed"),
        (b"", "no proper answer: the connection was closed without a word"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n", "no proper answer: got more than 100 headers"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"x" * 100_000, "no proper answer: more than 64 KiB without an end of its head"),
        (b"HTTP/1.1 999 \r\n\r\n", "999 instead of 200"),
    ],
)
def test_an_answer_that_is_none_fails(answer: bytes, detail: str) -> None:
    def behave(connection: socket.socket) -> None:
        connection.recv(10_000)
        connection.sendall(answer)

    with raw(behave) as http_port:
        assert look(closed_port(), http_port, None)["http_content"].detail == detail


def test_an_endless_body_is_not_read() -> None:
    sent = []

    def behave(connection: socket.socket) -> None:
        connection.recv(10_000)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            sent.append(connection.send(b"x" * 4096))

    with raw(behave) as http_port:
        began = time.monotonic()
        assert look(closed_port(), http_port, None)["http_content"].status == "ok"
        assert time.monotonic() - began < 2


def test_a_head_that_drips_costs_the_time_out_and_no_more() -> None:
    def behave(connection: socket.socket) -> None:
        while True:
            connection.sendall(b"H")
            time.sleep(0.05)

    with raw(behave) as http_port:
        began = time.monotonic()
        checks = look(closed_port(), http_port, None, timeout=0.4)
        assert checks["http_content"].detail == "no answer within 0.4 s"
        assert time.monotonic() - began < 3


def test_a_port_that_nothing_listens_on_is_asked_once() -> None:
    checks = look(closed_port(), port := closed_port(), None, tls_required=True)
    assert checks["http_content"].detail == f"nothing listens on 127.0.0.1:{port}: the connection was refused"
    assert statuses(checks, ["http_reportingwebservice", *HTTP_SERVICES]) == {"not_checked"}
    assert checks["http_reportingwebservice"].detail == f"port {port} could not be asked"


# A server that was just restarted


def test_a_cold_pool_is_given_time(ca_file: str, tmp_path: Path) -> None:
    secure = Site(served() | {SERVICES["ApiRemoting30"]: [503, 503, 401]})
    with web(secure, tls(healthy_certificate(), tmp_path)) as https_port:
        checks = look(https_port, None, ca_file, cold_seconds=10)
    assert statuses(checks, HTTPS_SERVICES) == {"ok"}
    assert secure.asked[:3] == [SERVICES["ApiRemoting30"]] * 3


def test_a_silent_pool_is_asked_again() -> None:
    calls: list[int] = []

    def behave(connection: socket.socket) -> None:
        calls.append(1)
        connection.recv(10_000)
        if len(calls) > 1:
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        else:
            time.sleep(2)

    with web(Site(served())) as no_tls_port, raw(behave) as http_port:
        checks = look(no_tls_port, http_port, None, timeout=0.3, cold_seconds=5)
    assert checks["http_content"].status == "ok"
    assert len(calls) == 3


def test_a_pool_that_stays_cold_fails_when_the_time_is_up_and_the_time_is_shared(ca_file: str, tmp_path: Path) -> None:
    cold = Site({path: [503] for path in [CONTENT, REPORTING, *SERVICES.values()]})
    with web(cold, tls(healthy_certificate(), tmp_path)) as https_port, web(cold) as http_port:
        began = time.monotonic()
        checks = look(https_port, http_port, ca_file, cold_seconds=1, tls_required=True)
        assert time.monotonic() - began < 3
    assert statuses(checks, [*HTTPS_SERVICES, "http_content", *HTTP_SERVICES]) == {"failed"}
    assert checks["https_clientwebservice"].detail == ("503 Service Unavailable instead of 200: is the application pool of WSUS running?")


def test_a_port_that_opens_late_is_waited_for(ca_file: str, tmp_path: Path) -> None:
    context, port, done = tls(healthy_certificate(), tmp_path), closed_port(), threading.Event()

    def late() -> None:
        time.sleep(0.8)
        with web(Site(served()), context, port):
            done.wait(10)

    thread = threading.Thread(target=late)
    thread.start()
    checks = look(port, None, ca_file, cold_seconds=10)
    done.set()
    thread.join()
    assert statuses(checks, [*CERTIFICATE, *HTTPS_SERVICES]) == {"ok"}


# What cannot begin


@pytest.mark.parametrize("content", [None, b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_ca_file_that_is_none_is_refused_before_anything_is_tried(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(CheckError, match=r"ca\.pem"):
        look(closed_port(), None, str(file), cold_seconds=60)


def test_a_ca_file_in_der_is_refused_with_the_way_to_convert_it(tmp_path: Path) -> None:
    file = tmp_path / "ca.cer"
    file.write_bytes(root().der)
    with pytest.raises(CheckError, match="openssl x509 -inform der"):
        look(closed_port(), None, str(file), cold_seconds=60)


@pytest.mark.parametrize("name", ["", " ", ".", "a b", "a\r\nX: y", "a..b", "https://wsus01", "x" * 64, "*.corp.example", "ü" * 70])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(CheckError, match="no host name"):
        look(8531, None, None, name=name)


@pytest.mark.parametrize("ports", [(0, None), (8531, 65536), (-1, 8530)])
def test_a_port_that_is_none_is_refused(ports: tuple[int, int | None]) -> None:
    with pytest.raises(CheckError, match="is no port"):
        look(*ports, None)


def test_a_time_out_of_nothing_is_refused() -> None:
    with pytest.raises(CheckError, match="time-out"):
        look(8531, None, None, timeout=0)
