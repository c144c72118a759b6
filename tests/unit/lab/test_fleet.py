# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Fleet files: what they may say, and the machines and inventories that come of them."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.lab.engine import read_state
from tests.lab.fleet import Authorities, FleetError, documents, load
from tests.lab.machine import Machine
from tests.lab.tls import thumbprint

from .conftest import LabMaker, own_network

ROOT = Path(__file__).resolve().parents[3]
FLEETS = sorted((ROOT / "tests" / "lab" / "fleets").glob("*.yml"))


@pytest.fixture(scope="module")
def authorities() -> Authorities:
    return Authorities.create()


def state(server: dict[str, Any], authorities: Authorities, **fleet: Any) -> dict[str, Any]:
    document = documents(load({"servers": {"wsus01": server}, **fleet}), authorities)["wsus01"]
    return read_state(Machine(document))


def certificates(server: dict[str, Any], authorities: Authorities) -> list[tuple[dict[str, Any], x509.Certificate]]:
    found = [one for one in state(server, authorities)["certificates"] if one["store"] == "My"]
    return [(one, x509.load_der_x509_certificate(base64.b64decode(one["der"]))) for one in found]


@pytest.mark.parametrize("path", FLEETS, ids=lambda path: path.name)
def test_every_fleet_file_is_a_fleet_of_servers_on_http_that_can_be_read(path: Path, authorities: Authorities) -> None:
    fleet = load(path)
    for name, document in documents(fleet, authorities).items():
        seen = read_state(Machine(document))
        assert seen["unreadable"] == {}, name
        assert seen["setup"]["using_ssl"] is False
        assert seen["computer"]["fqdn"] == f"{name}.{fleet.domain}"


@pytest.mark.parametrize("name", ["nine.yml", "nine_with_certificates.yml"])
def test_the_nine_are_three_levels_with_one_of_each_kind(name: str) -> None:
    fleet = load(ROOT / "tests/lab/fleets" / name)
    servers = list(fleet.servers.values())
    assert len(servers) == 9
    top = [one.name for one in servers if one.upstream is None]
    second = [one.name for one in servers if one.upstream in top]
    assert (top, len(second), sum(one.upstream in second for one in servers)) == (["wsus01"], 3, 5)
    assert sum(one.replica for one in servers) == 1
    assert [one.name for one in servers if one.ports != (8530, 8531)] == ["wsus03"]


def test_the_nine_begin_without_certificates_and_trust(authorities: Authorities) -> None:
    fleet = load(ROOT / "tests/lab/fleets/nine.yml")
    assert fleet.ca is not None
    for name, document in documents(fleet, authorities).items():
        assert document["certificates"] == {"My": {}, "Root": {}, "CA": {}, "Request": {}}, name
    usual = documents(load(ROOT / "tests/lab/fleets/nine_with_certificates.yml"), authorities)
    assert all(document["certificates"]["My"] for document in usual.values())


class TestCertificates:
    def test_a_usual_one_is_for_the_server_and_elliptic(self, authorities: Authorities) -> None:
        ((entry, certificate),) = certificates({}, authorities)
        assert (entry["key_usable"], isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)) == (True, True)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == ["wsus01.corp.example"]

    def test_a_server_with_another_name_has_it_in_its_certificate(self, authorities: Authorities) -> None:
        ((_rest, certificate),) = certificates({"fqdn": "Updates.corp.example"}, authorities)
        assert certificate.subject.rfc4514_string() == "CN=updates.corp.example"

    @pytest.mark.parametrize(
        ("kind", "has_key", "usable"), [("no_key", False, False), ("lost_key", True, False), ("expired", True, True), ("sha1", True, True)]
    )
    def test_keys(self, authorities: Authorities, kind: str, has_key: bool, usable: bool) -> None:
        ((entry, _rest),) = certificates({"certificate": kind}, authorities)
        assert (entry["has_private_key"], entry["key_usable"]) == (has_key, usable)

    def test_dates(self, authorities: Authorities) -> None:
        now = datetime.now(UTC)
        ends = {
            kind: [one.not_valid_after_utc - now for _rest, one in certificates({"certificate": kind}, authorities)]
            for kind in ("expired", "short_lived", "two")
        }
        assert ends["expired"][0] < timedelta(0)
        assert timedelta(days=6) < ends["short_lived"][0] < timedelta(days=8)
        assert len(ends["two"]) == 2
        assert ends["two"][0] != ends["two"][1]

    def test_weak_ones(self, authorities: Authorities) -> None:
        ((_rest, short),) = certificates({"certificate": "rsa1024"}, authorities)
        key = short.public_key()
        assert isinstance(key, rsa.RSAPublicKey)
        assert key.key_size == 1024
        ((_rest, old),) = certificates({"certificate": "sha1"}, authorities)
        assert old.signature_hash_algorithm is not None
        assert old.signature_hash_algorithm.name == "sha1"

    def test_names_and_authorities(self, authorities: Authorities) -> None:
        wanted = {"wildcard": "CN=*.corp.example", "other_name": "CN=other.corp.example"}
        assert {kind: certificates({"certificate": kind}, authorities)[0][1].subject.rfc4514_string() for kind in wanted} == wanted
        ((_rest, foreign),) = certificates({"certificate": "untrusted_ca"}, authorities)
        assert foreign.issuer == authorities.other.certificate.subject

    def test_none_and_lists_and_mappings(self, authorities: Authorities) -> None:
        assert certificates({"certificate": "none"}, authorities) == []
        found = certificates({"certificate": ["expired", {"common_name": "x", "dns_names": [], "days": 5, "key": "ec384"}]}, authorities)
        assert [one.subject.rfc4514_string() for _rest, one in found] == ["CN=wsus01.corp.example", "CN=x"]


class TestServers:
    def test_stages(self, authorities: Authorities) -> None:
        offered = state({"stage": "offered", "ports": [9442, 9443]}, authorities)
        assert (offered["setup"]["using_ssl"], offered["setup"]["port"]) == (True, 9443)
        assert offered["setup"]["certificate_name"] == "wsus01.corp.example"
        assert (offered["http_sys"][0]["endpoint"], offered["marks"], offered["unreadable"]) == ("0.0.0.0:9443", {}, {})
        assert not offered["iis"]["site"]["applications"]["ApiRemoting30"]["ssl_flags"]
        required = state({"stage": "required"}, authorities)
        assert [name for name, one in required["iis"]["site"]["applications"].items() if not one["ssl_flags"]] == [
            "Inventory",
            "ReportingWebService",
        ]

    def test_options_reach_the_machine(self, authorities: Authorities) -> None:
        seen = state(
            {"build": "26100.6905", "configuration_manager": True, "site_name": "WSUS-Verwaltung", "trusts_ca": False, "ports": [80, 443]},
            authorities,
            domain="example.org",
        )
        assert (seen["computer"]["build"], seen["computer"]["configuration_manager"]) == ("26100.6905", True)
        assert (seen["computer"]["fqdn"], seen["iis"]["site"]["name"]) == ("wsus01.example.org", "WSUS-Verwaltung")
        assert [one["port"] for one in seen["iis"]["site"]["bindings"]] == [80, 443]
        assert seen["iis"]["site"]["id"] == 1

    def test_state_is_merged_deep(self, authorities: Authorities) -> None:
        merged = {"services": {"W3SVC": "Stopped"}, "iis": {"locations": {"WSUS Administration": {"sslFlags": "Ssl"}}}}
        seen = state({"state": merged}, authorities)
        assert seen["services"] == {"WsusService": "Running", "W3SVC": "Stopped", "WAS": "Running"}
        assert seen["iis"]["site"]["access"]["ssl_flags"] == ["Ssl"]

    def test_upstreams(self, authorities: Authorities) -> None:
        servers = {
            "up": {"ports": [9442, 9443]},
            "down": {"upstream": "up", "replica": True},
            "shy": {"upstream": "up", "downstream_listed": False},
            "late": {"upstream": "ready"},
            "ready": {"stage": "required"},
        }
        made = documents(load({"servers": servers}), authorities)
        source = made["down"]["wsus"]["upstream"]
        assert source == {"microsoft_update": False, "name": "up.corp.example", "port": 9442, "ssl": False, "replica": True}
        assert (made["late"]["wsus"]["upstream"]["ssl"], made["late"]["wsus"]["upstream"]["port"]) == (True, 8531)
        listed = [(one["fqdn"], one["id"]) for one in made["up"]["wsus"]["downstream_servers"]]
        assert listed == [("down.corp.example", made["down"]["wsus"]["server_id"])]
        assert made["up"]["wsus"]["upstream"]["microsoft_update"] is True

    @pytest.mark.parametrize(
        ("asked", "enabled"),
        [
            (["1.0", "1.1", "1.2"], [1, 1, 1, 0]),
            (["1.3", "1.2", "1.2"], [0, 0, 1, 1]),
            ([1.0, 1.1], [1, 1, 0, 0]),
            (None, [None] * 4),
        ],
    )
    def test_schannel_s_settings_say_what_the_fleet_says_of_tls(self, asked: Any, enabled: list[int | None], authorities: Authorities) -> None:
        protocols = state({"tls": asked}, authorities)["tls"]["protocols"]
        assert [one["server"]["enabled"] for one in protocols.values()] == enabled
        assert {(one["server"]["disabled_by_default"], *one["client"].values()) for one in protocols.values()} == {(None, None, None)}

    def test_the_issuing_authorities_are_known_unless_they_are_not(self, authorities: Authorities) -> None:
        made = documents(load({"servers": {"usual": {}, "fresh": {"intermediates": False}}}), authorities)
        assert list(made["usual"]["certificates"]["CA"]) == [thumbprint(one.certificate) for one in (authorities.lab, authorities.other)]
        assert (made["fresh"]["certificates"]["CA"], len(made["fresh"]["certificates"]["Root"])) == ({}, 1)

    def test_defaults_are_every_server_s_and_its_own_win(self) -> None:
        fleet = load({"defaults": {"replica": True, "build": "14393.1"}, "servers": {"a": {"build": "26100.1"}, "b": None}})
        assert [(one.replica, one.build) for one in fleet.servers.values()] == [(True, "26100.1"), (True, "14393.1")]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "no `servers`"),
        ({"servers": {"a": {}}, "sevrers": {}}, "the fleet: unknown sevrers"),
        ({"servers": {"a": {"upstraem": "b"}}}, "a: unknown upstraem"),
        ({"servers": {"a": {"upstream": "b"}}}, "a: upstream b is not a server"),
        ({"servers": {"a": {"certificate": "fine"}}}, "a: there is no kind of certificate 'fine'; there are ok, none"),
        ({"servers": {"a": {"certificate": {"dayz": 1}}}}, "a: certificate: unknown dayz"),
        ({"servers": {"a": {"certificate": {"key": "rsa512"}}}}, "a: certificate: key is one of ec256"),
        ({"servers": {"a": {"stage": "done"}}}, "a: stage: there are http, offered, required"),
        ({"servers": {"a": {"faults": {"dorp": 1}}}}, "a: faults: unknown dorp"),
        ({"servers": {"a": {"faults": {"drop": {"when": "never"}}}}}, "a: drop: when must be one of before, during, after"),
        ({"servers": {"a": {"build": 20348}}}, "a: build is"),
        ({"servers": {"a": {"ports": [8530]}}}, "a: "),
        ({"servers": {"a": {"trusts_ca": ["mine"]}}}, "a: trusts_ca"),
        ({"servers": {"a": {"cold_pool": {"second": 1}}}}, "a: .*second"),
        ({"servers": {"a": {"tls": ["1.0", "1.2"]}}}, "a: tls: a port takes versions without a gap, and 1.0, 1.2 leaves out 1.1"),
        ({"servers": {"a": {"tls": ["1.0", "1.3"]}}}, "1.0, 1.3 leaves out 1.1, 1.2"),
        ({"servers": {"a": {"tls": ["1.4"]}}}, r"a: tls is a list of 1.0, 1.1, 1.2, 1.3, not \['1.4'\]"),
        ({"servers": {"a": {"tls": []}}}, r"a: tls is a list of .*, not \[\]"),
        ({"servers": {"a": {"tls": "1.2"}}}, "a: tls is a list of .*, not '1.2'"),
        ({"servers": {"a": {"tls": 1.2}}}, "a: tls is a list of .*, not 1.2"),
        ({"servers": {"a": {}}, "clients": {"b": {"tls": ["1.2"]}}}, "b: unknown tls"),
        ({"servers": {"a_b": {}}}, "a_b"),
        ({"servers": {"a": {}}, "clients": {"a": {}}}, "a: a machine is either a server or a client"),
        ({"servers": {"a": {}}, "clients": {"b": {"upstream": "a"}}}, "b: unknown upstream; there are away, build"),
        ({"servers": {"a": {}}, "clients": {"b": {"build": 1}}}, "b: build is"),
        ({"servers": {"a": {}}, "clients": ["b"]}, "clients: it is a mapping"),
        ({"servers": {"a": {}}, "ca": {"mode": "maybe"}}, "ca: mode: there are issue, pending, deny, offline"),
        ({"servers": {"a": {}}, "ca": {"template_name": "x"}}, "ca: unknown template_name"),
        ({"servers": {"a": {}}, "ca": True}, "ca: it is a mapping"),
        ({"servers": {"a": {}}, "variables": ["b"]}, "variables: it is a mapping"),
        ({"key": "rsa512", "servers": {"a": {}}}, "key: there are"),
        ({"servers": ["a"]}, "no `servers`"),
    ],
)
def test_what_cannot_be_is_refused_by_name(given: dict[str, Any], message: str) -> None:
    with pytest.raises(FleetError, match=message):
        load(given)


def test_a_stage_without_a_certificate_is_refused(authorities: Authorities) -> None:
    with pytest.raises(FleetError, match="wsus01: stage offered needs a certificate"):
        state({"stage": "offered", "certificate": "lost_key"}, authorities)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.yml").write_text("servers: {", encoding="utf-8")
    for name in ("bad.yml", "none.yml"):
        with pytest.raises(FleetError, match=name):
            load(tmp_path / name)


def test_the_inventory_says_what_a_playbook_needs(make_lab: LabMaker) -> None:
    servers = {
        "outside": {"in_inventory": False, "stage": "offered"},
        "top": {"upstream": "outside", "fqdn": "updates.corp.example"},
        "leaf": {"upstream": "top"},
    }
    lab = make_lab({"servers": servers, "winrm_port": 15986})
    assert lab.inventory.stat().st_mode & 0o077 == 0, "it has a password"
    group = yaml.safe_load(lab.inventory.read_text(encoding="utf-8"))["wsus_servers"]
    assert group["hosts"] == {
        "top": {
            "ansible_host": lab.address("top"),
            "https_server_check_address": lab.address("top"),
            "wsus_upstream_fqdn": "outside.corp.example",
            "wsus_fqdn": "updates.corp.example",
        },
        "leaf": {"ansible_host": lab.address("leaf"), "https_server_check_address": lab.address("leaf"), "wsus_upstream": "top"},
    }
    assert group["vars"]["ansible_port"] == 15986
    assert group["vars"]["https_server_ca_file"] == group["vars"]["ansible_winrm_ca_trust_path"] == str(lab.ca_file)


def test_variables_of_a_fleet_are_in_the_inventory_for_servers_and_clients(make_lab: LabMaker) -> None:
    variables = {"trust_authorities": ["{ca_chain_file}", {"file": "{ca_file}"}], "certificate_source": "enterprise_ca", "n": 3, "j": "{{ x }}"}
    lab = make_lab({"servers": {"up": {}}, "clients": {"laptop": {}, "hidden": {"in_inventory": False}}, "variables": variables})
    inventory = yaml.safe_load(lab.inventory.read_text(encoding="utf-8"))
    assert inventory["wsus_clients"]["hosts"] == {"laptop": {"ansible_host": lab.address("laptop")}}
    assert inventory["wsus_clients"]["vars"] == inventory["wsus_servers"]["vars"]
    seen = {name: inventory["wsus_clients"]["vars"][name] for name in variables}
    assert seen == variables | {"trust_authorities": [str(lab.ca_chain_file), {"file": str(lab.ca_file)}]}
    chain = x509.load_pem_x509_certificates(lab.ca_chain_file.read_bytes())
    assert chain == list(lab.authorities.lab.chain)
    assert [chain[-1]] == x509.load_pem_x509_certificates(lab.ca_file.read_bytes())


def test_without_clients_the_inventory_has_no_group_of_them(make_lab: LabMaker) -> None:
    assert list(yaml.safe_load(make_lab({"servers": {"up": {}}, "ca": {}}).inventory.read_text(encoding="utf-8"))) == ["wsus_servers"]


class TestServing:
    def serve(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.lab", "serve", *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_it_is_up_until_it_is_interrupted(self, tmp_path: Path, number: signal.Signals) -> None:
        ready = tmp_path / "ready"
        fleet = str(ROOT / "tests/lab/fleets/two.yml")
        process = self.serve(fleet, "--network", own_network(), "--folder", str(tmp_path / "lab"), "--ready-file", str(ready))
        until = time.monotonic() + 20
        while not ready.exists():
            assert time.monotonic() < until
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=10)
        assert (process.returncode, stderr) == (0, "")
        assert str(tmp_path / "lab" / "inventory.yml") in stdout

    def test_a_wrong_fleet_is_told_in_one_line(self, tmp_path: Path) -> None:
        (tmp_path / "fleet.yml").write_text(json.dumps({"servers": {"a": {"upstream": "b"}}}), encoding="utf-8")
        process = self.serve(str(tmp_path / "fleet.yml"))
        _rest, stderr = process.communicate(timeout=20)
        assert (process.returncode, stderr) == (2, "a: upstream b is not a server of this fleet\n")

    @pytest.mark.skipif(
        os.geteuid() == 0 or int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 80, reason="may have port 80"
    )
    def test_ports_below_1024_are_refused_to_who_may_not_have_them(self, tmp_path: Path) -> None:
        (tmp_path / "fleet.yml").write_text(json.dumps({"servers": {"a": {"ports": [80, 443]}}}), encoding="utf-8")
        process = self.serve(str(tmp_path / "fleet.yml"), "--network", own_network())
        _rest, stderr = process.communicate(timeout=20)
        assert process.returncode == 2
        assert "below 1024" in stderr
