# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The lab's WSUS sites on their real ports, what machines find there, and synchronizations between them."""

from __future__ import annotations

import base64
import http.client
import socket
import ssl
import time
from typing import Any

import pytest
from cryptography import x509

from tests.lab.engine import apply_changes, read_state
from tests.lab.engine import test_endpoint as look
from tests.lab.fleet import REQUIRED
from tests.lab.lab import Lab
from tests.lab.tls import VERSIONS, base64_of, can_ask, client_context_of, thumbprint

from .conftest import Controller, LabMaker

OFFERED: dict[str, Any] = {"servers": {"up": {"stage": "offered"}}}
PAGES = {
    "SimpleAuthWebService": "SimpleAuth.asmx",
    "ClientWebService": "client.asmx",
    "DssAuthWebService": "DssAuthWebService.asmx",
    "ServerSyncWebService": "ServerSyncWebService.asmx",
    "ApiRemoting30": "WebService.asmx",
}


def ask(lab: Lab, path: str, *, tls: bool = False, server: str = "up", port: int | None = None, method: str = "GET") -> int:
    """The status of a page, the certificate and name checked."""
    address, name = lab.address(server), f"{server}.corp.example"
    connection = http.client.HTTPConnection(address, port or (8531 if tls else 8530), timeout=5)
    if tls:
        context = ssl.create_default_context(cafile=str(lab.ca_file))
        connection.sock = context.wrap_socket(socket.create_connection((address, port or 8531), 5), server_hostname=name)
    connection.request(method, path, headers={"Host": f"{name}:{port}"})
    status = connection.getresponse().status
    connection.close()
    return status


def served(lab: Lab, port: int = 8531, name: str = "up.corp.example", server: str = "up") -> x509.Certificate:
    """The certificate that is served, whatever it is."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with context.wrap_socket(socket.create_connection((lab.address(server), port), 5), server_hostname=name) as connection:
        der = connection.getpeercert(binary_form=True)
    assert der
    return x509.load_der_x509_certificate(der)


def change(lab: Lab, server: str, *changes: dict[str, Any]) -> None:
    done = apply_changes(lab.machine(server), list(changes))
    assert done["failed"] is None


def binding(thumbprint: str | None, **other: Any) -> dict[str, Any]:
    wish = {"kind": "binding", "ip_address": "*", "port": 8531, "host_name": "", "store": "My", "ssl_flags": 0}
    return wish | {"thumbprint": thumbprint} | other


def access(application: str, flags: list[str] | None) -> dict[str, Any]:
    return {"kind": "access", "application": application, "ssl_flags": flags}


def thumbprints(lab: Lab, server: str = "up") -> list[str]:
    return list(lab.machine(server).document["certificates"]["My"])


class TestAHealthyServer:
    def test_http_and_https_answer_on_a_server_that_offers_both(self, make_lab: LabMaker) -> None:
        lab = make_lab(OFFERED)
        for name, page in PAGES.items():
            expected = 401 if name == "ApiRemoting30" else 200
            assert (ask(lab, f"/{name}/{page}"), ask(lab, f"/{name}/{page}", tls=True)) == (expected, expected), name
        assert ask(lab, "/contENT/anonymousCheckFile.txt") == 200
        assert ask(lab, "/selfupdate/wuident.cab") == 200
        assert ask(lab, "/ReportingWebService/ReportingWebService.asmx") == 200
        assert ask(lab, "/Nothing/here") == 404
        assert ask(lab, "/ClientWebService/other.asmx") == 404
        assert ask(lab, "/", method="HEAD") == 200

    def test_the_five_refuse_http_once_they_require_tls(self, make_lab: LabMaker) -> None:
        lab = make_lab({"servers": {"up": {"stage": "required"}}})
        for name, page in PAGES.items():
            assert ask(lab, f"/{name}/{page}") == 403, name
            assert ask(lab, f"/{name}/{page}", tls=True) in {200, 401}, name
        assert set(PAGES) == set(REQUIRED)
        assert ask(lab, "/Content/anonymousCheckFile.txt") == 200
        assert ask(lab, "/ReportingWebService/ReportingWebService.asmx") == 200

    def test_a_requirement_on_the_site_is_inherited_by_what_has_none_of_its_own(self, make_lab: LabMaker) -> None:
        lab = make_lab(OFFERED)
        change(lab, "up", access("", ["Ssl"]), access("content", []))
        assert ask(lab, "/ReportingWebService/ReportingWebService.asmx") == 403
        assert ask(lab, "/Content/anonymousCheckFile.txt") == 200
        change(lab, "up", access("", None))
        assert ask(lab, "/ReportingWebService/ReportingWebService.asmx") == 200

    def test_the_chain_is_sent_with_the_certificate(self, make_lab: LabMaker) -> None:
        lab = make_lab(OFFERED)
        with lab.edit("up") as document:
            document["certificates"]["CA"] = {}
        with pytest.raises(ssl.SSLCertVerificationError):
            ask(lab, "/", tls=True)

    def test_a_server_that_gets_the_intermediate_s_certificate_sends_it_at_once(self, make_lab: LabMaker) -> None:
        lab = make_lab({"servers": {"up": {"stage": "offered", "intermediates": False}}})
        with pytest.raises(ssl.SSLCertVerificationError):
            ask(lab, "/", tls=True)
        change(lab, "up", {"kind": "trust", "store": "CA", "der": base64_of(lab.authorities.lab.certificate)})
        assert ask(lab, "/", tls=True) == 200


class TestVersionsOfTls:
    KEY = r"HKLM:\SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\TLS {}\Server"

    def taken(self, lab: Lab, name: str = "up.corp.example") -> list[str]:
        """The versions that a handshake really comes of, each asked for alone."""
        found = []
        for version in VERSIONS:
            plain = socket.create_connection((lab.address("up"), 8531), 5)
            try:
                with client_context_of(version).wrap_socket(plain, server_hostname=name) as connection:
                    assert connection.version() == f"TLSv{version}".removesuffix(".0")
                    found.append(version)
            except OSError:
                plain.close()
        return found

    @pytest.mark.parametrize(
        "asked",
        [["1.0", "1.1", "1.2"], ["1.2", "1.3"], ["1.0", "1.1"], ["1.0"], ["1.1"], ["1.2"], ["1.3"], ["1.0", "1.1", "1.2", "1.3"], None],
        ids=lambda asked: "+".join(asked or ["nothing"]),
    )
    @pytest.mark.filterwarnings("error")
    def test_a_port_takes_those_that_the_fleet_says_and_no_other(self, make_lab: LabMaker, asked: list[str] | None) -> None:
        lab = make_lab({"servers": {"up": {"stage": "offered", "tls": asked}}})
        expected = ["1.2", "1.3"] if asked is None else asked
        assert self.taken(lab) == [one for one in expected if can_ask(one)]

    def test_one_that_is_served_by_name_takes_them_too(self, make_lab: LabMaker) -> None:
        lab = make_lab({"servers": {"up": {"stage": "offered", "certificate": "two", "tls": ["1.1", "1.2"]}}})
        first, second = thumbprints(lab)
        change(lab, "up", binding(first), binding(second, host_name="sni.corp.example", ssl_flags=1))
        assert thumbprint(served(lab, name="sni.corp.example")) == second
        assert self.taken(lab, "sni.corp.example") == [one for one in ("1.1", "1.2") if can_ask(one)]

    @pytest.mark.parametrize(
        ("values", "takes"),
        [
            ({}, False),
            ({"Enabled": 1}, True),
            ({"Enabled": 0xFFFFFFFF}, True),
            ({"Enabled": 0}, False),
            ({"DisabledByDefault": 0}, True),
            ({"DisabledByDefault": 1}, False),
            ({"Enabled": 1, "DisabledByDefault": 1}, True),
            ({"Enabled": 0, "DisabledByDefault": 0}, False),
        ],
    )
    @pytest.mark.skipif(not can_ask("1.1"), reason="this OpenSSL has no TLS 1.1")
    def test_what_the_registry_says_is_what_is_taken(self, make_lab: LabMaker, values: dict[str, int], takes: bool) -> None:
        lab = make_lab(OFFERED)
        with lab.edit("up") as document:
            document["registry"][self.KEY.format("1.1")] = {name: {"kind": "DWord", "data": data} for name, data in values.items()}
        assert ("1.1" in self.taken(lab)) is takes

    def test_without_any_version_a_port_breaks_off(self, make_lab: LabMaker) -> None:
        lab = make_lab(OFFERED)
        with lab.edit("up") as document:
            document["registry"] |= {self.KEY.format(one): {"Enabled": {"kind": "DWord", "data": 0}} for one in ("1.2", "1.3")}
        assert self.taken(lab) == []
        with pytest.raises(ConnectionResetError):
            served(lab)
        assert ask(lab, "/Content/anonymousCheckFile.txt") == 200


class TestWhatIsNotInOrder:
    def refused(self, lab: Lab, port: int) -> bool:
        try:
            socket.create_connection((lab.address("up"), port), 5).close()
        except ConnectionRefusedError:
            return True
        return False

    @pytest.mark.parametrize("service", ["pool", "WAS"])
    def test_a_stopped_pool_is_503_for_everything(self, make_lab: LabMaker, service: str) -> None:
        lab = make_lab(OFFERED)
        with lab.edit("up") as document:
            if service == "pool":
                document["iis"]["application_pools"]["WsusPool"]["state"] = "Stopped"
            else:
                document["services"]["WAS"] = "Stopped"
        assert ask(lab, "/ClientWebService/client.asmx", tls=True) == 503
        assert ask(lab, "/Content/anonymousCheckFile.txt") == 503

    def test_a_stopped_wsus_service_is_503_for_its_services(self, make_lab: LabMaker) -> None:
        lab = make_lab(OFFERED)
        with lab.edit("up") as document:
            document["services"]["WsusService"] = "Stopped"
        assert ask(lab, "/ClientWebService/client.asmx") == 503
        assert ask(lab, "/Content/anonymousCheckFile.txt") == 200

    def test_a_stopped_site_or_w3svc_refuses_connections(self, make_lab: LabMaker) -> None:
        lab = make_lab(OFFERED)
        with lab.edit("up") as document:
            document["iis"]["sites"][0]["state"] = "Stopped"
        assert (self.refused(lab, 8530), self.refused(lab, 8531)) == (True, True)
        with lab.edit("up") as document:
            document["iis"]["sites"][0]["state"] = "Started"
        assert ask(lab, "/", tls=True) == 200
        with lab.edit("up") as document:
            document["services"]["W3SVC"] = "Stopped"
        assert (self.refused(lab, 8530), self.refused(lab, 8531)) == (True, True)

    def test_an_https_binding_without_a_certificate_resets_handshakes(self, make_lab: LabMaker) -> None:
        lab = make_lab({"servers": {"up": {}}})
        with pytest.raises(OSError, match=r"reset|EOF|closed"):
            ask(lab, "/", tls=True)
        assert not self.refused(lab, 8531)
        assert ask(lab, "/") == 200

    def test_a_certificate_whose_key_is_gone_resets_handshakes(self, make_lab: LabMaker) -> None:
        lab = make_lab(OFFERED)
        with lab.edit("up") as document:
            del document["certificates"]["My"][thumbprints(lab)[0]]["key"]
        with pytest.raises(OSError, match=r"reset|EOF|closed"):
            served(lab)

    @pytest.mark.parametrize("kind", ["rsa1024", "sha1", "expired", "other_name"])
    def test_what_no_one_should_use_is_served_all_the_same(self, make_lab: LabMaker, kind: str) -> None:
        lab = make_lab({"servers": {"up": {"certificate": kind, "stage": "offered"}}})
        assert base64_of(served(lab)) == lab.machine("up").document["certificates"]["My"][thumbprints(lab)[0]]["der"]

    def test_a_cold_pool_takes_its_time_after_each_start(self, make_lab: LabMaker) -> None:
        lab = make_lab({"servers": {"up": {"cold_pool": {"seconds": 0.2, "unavailable": 2}}}})
        page = "/ClientWebService/client.asmx"
        assert [ask(lab, page) for _rest in range(2)] == [503, 503]
        started = time.monotonic()
        assert ask(lab, page) == 200
        assert time.monotonic() - started >= 0.2
        assert [ask(lab, page) for _rest in range(3)] == [200, 200, 200]
        change(lab, "up", {"kind": "recycle_pool", "name": "WsusPool"})
        assert ask(lab, page) == 503


class TestListenersFollow:
    def test_bindings_that_come_and_go(self, make_lab: LabMaker) -> None:
        lab = make_lab({"servers": {"up": {"certificate": "two"}}})
        first, second = thumbprints(lab)
        certificates = lab.machine("up").document["certificates"]["My"]
        change(lab, "up", binding(first))
        assert base64_of(served(lab)) == certificates[first]["der"]
        change(lab, "up", binding(second), binding(first, port=9443))
        assert base64_of(served(lab)) == certificates[second]["der"]
        assert base64_of(served(lab, 9443)) == certificates[first]["der"]
        change(lab, "up", {"kind": "binding_absent", "ip_address": "*", "port": 8531, "host_name": ""})
        with pytest.raises(ConnectionRefusedError):
            served(lab)

    def test_the_kernel_s_certificate_is_served_not_the_file_s(self, make_lab: LabMaker) -> None:
        lab = make_lab({"servers": {"up": {"certificate": "two"}}})
        first, second = thumbprints(lab)
        change(lab, "up", binding(first))
        with lab.edit("up") as document:
            document["iis"]["sites"][0]["bindings"][-1]["certificate_hash"] = second
        assert base64_of(served(lab)) == lab.machine("up").document["certificates"]["My"][first]["der"]

    def test_sni_serves_by_name(self, make_lab: LabMaker) -> None:
        lab = make_lab({"servers": {"up": {"certificate": "two"}}})
        first, second = thumbprints(lab)
        certificates = lab.machine("up").document["certificates"]["My"]
        change(lab, "up", binding(second, host_name="up.corp.example", ssl_flags=1))
        assert base64_of(served(lab)) == certificates[second]["der"]
        with pytest.raises(OSError, match=r"reset|EOF|closed"):
            served(lab, name="other.corp.example")
        change(lab, "up", binding(first))
        assert base64_of(served(lab, name="other.corp.example")) == certificates[first]["der"]
        assert base64_of(served(lab)) == certificates[second]["der"]

    def test_a_certificate_for_the_address_wins_over_the_one_for_all(self, make_lab: LabMaker) -> None:
        lab = make_lab({"servers": {"up": {"certificate": "two"}}})
        first, second = thumbprints(lab)
        change(lab, "up", binding(first), binding(second, ip_address=lab.address("up")))
        assert base64_of(served(lab)) == lab.machine("up").document["certificates"]["My"][second]["der"]

    def test_a_connection_that_is_kept_sees_what_changed(self, make_lab: LabMaker) -> None:
        lab = make_lab(OFFERED)
        connection = http.client.HTTPConnection(lab.address("up"), 8530, timeout=5)
        for flags, expected in (([], 200), (["Ssl"], 403), (None, 200)):
            change(lab, "up", access("ClientWebService", flags))
            connection.request("GET", "/ClientWebService/client.asmx")
            response = connection.getresponse()
            response.read()
            assert response.status == expected
        connection.close()

    def test_another_site_on_the_same_port_answers_for_itself(self, make_lab: LabMaker) -> None:
        other = {
            "id": 7,
            "name": "Other",
            "state": "Started",
            "bindings": [{"protocol": "http", "information": "*:8088:"}],
            "applications": [{"path": "/", "pool": "DefaultAppPool"}],
        }
        lab = make_lab({"servers": {"up": {}}})
        with lab.edit("up") as document:
            document["iis"]["sites"].append(other)
        assert ask(lab, "/ClientWebService/none.asmx", port=8088) == 200
        assert ask(lab, "/ClientWebService/none.asmx") == 404


class TestAStaleSite:
    """What is served stays what it was, although http.sys and IIS' file say otherwise, until the site is started anew."""

    def renewed(self, lab: Lab) -> tuple[x509.Certificate, str, str]:
        old, new = thumbprints(lab)
        before = served(lab)
        bound = read_state(lab.machine("up"))["http_sys"][0]["thumbprint"]
        assert thumbprint(before) == bound
        other = new if bound == old else old
        change(lab, "up", binding(other))
        assert read_state(lab.machine("up"))["http_sys"][0]["thumbprint"] == other
        return before, bound, other

    def test_until_it_is_stopped_and_started(self, make_lab: LabMaker) -> None:
        lab = make_lab({"servers": {"up": {"stage": "offered", "certificate": "two", "faults": {"stale_site": True}}}})
        before, _rest, other = self.renewed(lab)
        assert served(lab) == before
        change(lab, "up", {"kind": "recycle_pool", "name": "WsusPool"})
        assert served(lab) == before
        change(lab, "up", {"kind": "restart_site"})
        assert thumbprint(served(lab)) == other

    def test_until_the_machine_restarts(self, make_lab: LabMaker) -> None:
        lab = make_lab({"restart_seconds": 0.1, "servers": {"up": {"stage": "offered", "certificate": "two"}}})
        lab.arm("up", stale_site=True)
        before, _rest, other = self.renewed(lab)
        assert served(lab) == before
        boot_time = lab.machine("up").document["computer"]["boot_time"]
        Controller(lab, "up").raw("shutdown.exe /r /t 2")
        until = time.monotonic() + 5
        while lab.machine("up").document["computer"]["boot_time"] == boot_time or not self.reached(lab):
            assert time.monotonic() < until
            time.sleep(0.02)
        assert thumbprint(served(lab)) == other

    def reached(self, lab: Lab) -> bool:
        try:
            served(lab)
        except OSError:
            return False
        return True

    def test_until_it_is_healed(self, make_lab: LabMaker) -> None:
        lab = make_lab({"servers": {"up": {"stage": "offered", "certificate": "two", "faults": {"stale_site": True}}}})
        before, _rest, other = self.renewed(lab)
        assert served(lab) == before
        lab.heal("up")
        assert thumbprint(served(lab)) == other

    def test_a_first_certificate_is_served_at_once(self, make_lab: LabMaker) -> None:
        lab = make_lab({"servers": {"up": {"faults": {"stale_site": True}}}})
        (mine,) = thumbprints(lab)
        change(lab, "up", binding(mine))
        assert thumbprint(served(lab)) == mine

    def test_without_the_fault_the_new_one_is_served_at_once(self, make_lab: LabMaker) -> None:
        lab = make_lab({"servers": {"up": {"stage": "offered", "certificate": "two"}}})
        _rest, _rest, other = self.renewed(lab)
        assert thumbprint(served(lab)) == other


class TestLooking:
    FLEET: dict[str, Any] = {"servers": {"up": {"stage": "offered", "fqdn": "wsus.corp.example"}, "down": {"upstream": "up"}}}

    def look(self, lab: Lab, name: str, port: int = 8531, *, tls: bool = True) -> dict[str, Any]:
        return look(lab.machine("down"), name, port, tls)

    def test_a_trusted_server_under_each_of_its_names(self, make_lab: LabMaker) -> None:
        lab = make_lab(self.FLEET)
        for name in ("up.corp.example", "WSUS.corp.example"):
            found = self.look(lab, name)
            certificates = found.pop("certificates")
            assert found == {
                "host_name": name,
                "port": 8531,
                "tls": True,
                "reachable": True,
                "protocol": "Tls12",
                "name_matches": True,
                "trusted": True,
                "chain_errors": [],
                "error": None,
            }
            assert [x509.load_der_x509_certificate(base64.b64decode(one)).subject.rfc4514_string() for one in certificates] == [
                "CN=wsus.corp.example",
                "CN=Lab Issuing CA 1",
                "CN=Lab Root CA",
            ]
        assert self.look(lab, "up")["name_matches"] is False

    def test_plain_http_is_only_reached(self, make_lab: LabMaker) -> None:
        found = self.look(make_lab(self.FLEET), "up.corp.example", 8530, tls=False)
        assert (found["reachable"], found["trusted"], found["error"]) == (True, None, None)

    @pytest.mark.parametrize(
        ("fleet", "trusted", "errors"),
        [
            ({"up": {"stage": "offered"}, "down": {"trusts_ca": False}}, False, ["PartialChain"]),
            ({"up": {"stage": "offered", "certificate": "untrusted_ca"}, "down": {}}, False, ["PartialChain"]),
            ({"up": {"stage": "offered", "certificate": "untrusted_ca"}, "down": {"trusts_ca": ["lab", "other"]}}, True, []),
            ({"up": {"stage": "offered", "certificate": "expired"}, "down": {}}, False, ["NotTimeValid"]),
            ({"up": {"stage": "offered", "certificate": "sha1"}, "down": {}}, True, []),
        ],
    )
    def test_trust_is_the_looking_machine_s_own(self, make_lab: LabMaker, fleet: Any, trusted: bool, errors: list[str]) -> None:
        found = self.look(make_lab({"servers": fleet}), "up.corp.example")
        assert (found["name_matches"], found["trusted"], found["chain_errors"]) == (True, trusted, errors)

    @pytest.mark.parametrize(
        ("name", "port", "reachable", "error", "native"),
        [
            ("nowhere.corp.example", 8531, False, "System.Net.Sockets.SocketException", 11001),
            ("up.corp.example", 9999, False, "System.Net.Sockets.SocketException", 10061),
            ("down.corp.example", 8531, True, "System.Net.Sockets.SocketException", 10054),
            ("up.corp.example", 8530, True, "System.Security.Authentication.AuthenticationException", None),
        ],
    )
    def test_what_does_not_work_says_why(self, make_lab: LabMaker, name: str, port: int, reachable: bool, error: str, native: int) -> None:
        found = self.look(make_lab(self.FLEET), name, port)
        assert (found["reachable"], found["error"]["type"], found["error"]["native"]) == (reachable, error, native)
        assert (found["protocol"], found["name_matches"], found["trusted"], found["chain_errors"]) == (None, None, None, [])

    def test_tls_1_3_alone_is_not_understood(self, make_lab: LabMaker) -> None:
        lab = make_lab(self.FLEET)
        with lab.edit("up") as document:
            key = r"HKLM:\SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\TLS 1.2\Server"
            document["registry"][key] = {"Enabled": {"kind": "DWord", "data": 0}}
        found = self.look(lab, "up.corp.example")
        assert (found["reachable"], found["protocol"], found["trusted"]) == (True, None, None)
        assert found["error"] is not None


class TestSynchronizing:
    def synchronize(self, lab: Lab, **source: Any) -> dict[str, Any]:
        machine = lab.machine("down")
        wsus = machine.document["wsus"]
        wsus["upstream"] |= source
        before = wsus["last_synchronization"]["id"]
        change(lab, "down", {"kind": "start_synchronization"})
        assert wsus["synchronization_status"] == "Running"
        until = time.monotonic() + 5
        while wsus["synchronization_status"] == "Running":
            assert time.monotonic() < until
            time.sleep(0.02)
        last: dict[str, Any] = wsus["last_synchronization"]
        assert last["id"] != before
        return last

    def fleet(self, up: dict[str, Any] | None = None, down: dict[str, Any] | None = None) -> dict[str, Any]:
        servers = {"up": up or {}, "down": {"upstream": "up", "downstream_listed": False, **(down or {})}}
        return {"synchronization_seconds": 0.1, "servers": servers}

    def test_over_http_and_the_upstream_lists_it(self, make_lab: LabMaker) -> None:
        lab = make_lab(self.fleet(down={"replica": True}))
        last = self.synchronize(lab)
        assert (last["result"], last["error"], last["error_text"]) == ("Succeeded", "NotApplicable", "")
        listed = lab.machine("up").document["wsus"]["downstream_servers"]
        assert listed == [
            {
                "id": lab.machine("down").document["wsus"]["server_id"],
                "fqdn": "down.corp.example",
                "replica": True,
                "last_sync": last["end"],
            }
        ]
        self.synchronize(lab)
        assert len(lab.machine("up").document["wsus"]["downstream_servers"]) == 1

    def test_over_tls(self, make_lab: LabMaker) -> None:
        assert self.synchronize(make_lab(self.fleet({"stage": "offered"})), ssl=True, port=8531)["result"] == "Succeeded"
        assert self.synchronize(make_lab(self.fleet({"stage": "required"})))["result"] == "Succeeded"

    def test_from_microsoft_update(self, make_lab: LabMaker) -> None:
        assert self.synchronize(make_lab(self.fleet()), microsoft_update=True)["result"] == "Succeeded"

    @pytest.mark.parametrize(
        ("up", "down", "source", "text"),
        [
            ({}, {}, {"ssl": True, "port": 8531}, "closed"),
            ({"stage": "offered"}, {}, {"ssl": True, "port": 8531, "name": "up"}, "RemoteCertificateNameMismatch"),
            ({"stage": "offered"}, {"trusts_ca": False}, {"ssl": True, "port": 8531}, "PartialChain"),
            ({"stage": "required"}, {}, {"ssl": False, "port": 8530}, "403: Forbidden"),
            ({}, {}, {"port": 9999}, "Unable to connect"),
            ({}, {}, {"name": "nowhere.corp.example"}, "could not be resolved: 'nowhere.corp.example'"),
            ({"state": {"services": {"WsusService": "Stopped"}}}, {}, {}, "503"),
            ({"stage": "offered"}, {}, {"ssl": False, "port": 8531}, "closed"),
        ],
    )
    def test_a_wrong_way_fails_and_says_why(self, make_lab: LabMaker, up: Any, down: Any, source: Any, text: str) -> None:
        lab = make_lab(self.fleet(up, down))
        last = self.synchronize(lab, **source)
        assert (last["result"], last["error"]) == ("Failed", "UssCommunicationError")
        assert text in last["error_text"]
        assert lab.machine("up").document["wsus"]["downstream_servers"] == []

    def test_a_document_can_say_how_it_ends(self, make_lab: LabMaker) -> None:
        planned = {"result": "Failed", "error": "ProxyError", "error_text": "x"}
        lab = make_lab(self.fleet(down={"state": {"wsus": {"next_synchronization": planned}}}))
        last = self.synchronize(lab)
        assert {name: last[name] for name in planned} == planned
