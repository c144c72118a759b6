# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import base64
import json
import string
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.securepatch.wsus.plugins.plugin_utils import certificates
from ansible_collections.securepatch.wsus.plugins.plugin_utils.certificates import (
    Certificate,
    bears,
    choose,
    covers,
    parse,
    reasons_against,
    summary,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.lab.authority import Authority

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
FQDN = "wsus01.corp.example"
FAR = NOW + timedelta(days=300)


@cache
def authority(name: str = "Corp Issuing CA") -> Authority:
    return Authority.create(name)


def entry(issued_by: str = "Corp Issuing CA", entry_values: dict[str, Any] | None = None, **wishes: Any) -> dict[str, Any]:
    wishes = {
        "common_name": FQDN,
        "dns_names": [FQDN],
        "not_before": NOW - timedelta(days=30),
        "not_after": FAR,
    } | wishes
    issued = authority(issued_by).issue(**wishes)
    return {
        "store": "My",
        "thumbprint": issued.thumbprint,
        "der": issued.der_base64,
        "has_private_key": True,
        "key_usable": True,
        "friendly_name": "WSUS",
    } | (entry_values or {})


def built(key: Any, *extensions: x509.ExtensionType, signed_with: Any = "SHA256") -> dict[str, Any]:
    """An entry for what the lab's authority does not issue."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, FQDN)])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(7)
    builder = builder.not_valid_before(NOW - timedelta(days=1)).not_valid_after(FAR)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    algorithm = getattr(hashes, signed_with)() if signed_with else None
    der = builder.sign(key, algorithm).public_bytes(serialization.Encoding.DER)
    return entry(entry_values={"der": base64.b64encode(der).decode(), "thumbprint": "AB" * 20})


def reasons(of: dict[str, Any], name: str = FQDN, min_days_valid: int = 14) -> list[str]:
    return reasons_against(parse(of), name, NOW, min_days_valid)


def test_a_certificate_as_the_best_practices_want_it_serves() -> None:
    for key in ("ec256", "ec384", "rsa2048"):
        assert reasons(entry(key=key)) == []


def test_parse_reads_what_is_in_the_certificate() -> None:
    seen = parse(entry(key="rsa2048", dns_names=[FQDN, "wsus.corp.example"]))
    assert seen.subject == f"CN={FQDN}"
    assert (seen.issuer, seen.issuer_common_name) == ("CN=Corp Issuing CA", "Corp Issuing CA")
    assert (seen.common_name, seen.dns_names) == (FQDN, (FQDN, "wsus.corp.example"))
    assert (seen.not_before, seen.not_after) == (NOW - timedelta(days=30), FAR)
    assert seen.not_after is not None and seen.not_after.utcoffset() == timedelta(0)
    assert (seen.key, seen.signature) == ("RSA 2048", "SHA-256")
    assert seen.server_authentication and seen.has_private_key and seen.key_usable
    assert seen.problem is None and not seen.promised


@pytest.mark.parametrize(
    ("wishes", "outside", "reason"),
    [
        ({}, {"has_private_key": False, "key_usable": False}, "has no private key"),
        ({}, {"key_usable": False}, "its private key cannot be opened"),
        ({"server_authentication": False}, {}, "is not for Server Authentication"),
        ({"dns_names": ["a.example", "b.example"]}, {}, f"is for a.example, b.example, not for {FQDN}"),
        (
            {"dns_names": [], "common_name": "a.example"},
            {},
            f"is for a.example (its common name: it has no SAN), not for {FQDN}",
        ),
        ({"dns_names": [], "common_name": None}, {}, f"is for no DNS name, not for {FQDN}"),
        ({"dns_names": [], "ip_addresses": ["192.0.2.1"]}, {}, f"is for no DNS name, not for {FQDN}"),
        ({"not_after": NOW - timedelta(days=2)}, {}, "expired on 2026-05-30"),
        ({"not_before": NOW + timedelta(days=2)}, {}, "is not valid before 2026-06-03"),
        ({"not_after": NOW + timedelta(days=13, hours=23)}, {}, "has only 13 days left, until 2026-06-15, fewer than 14"),
        ({"key": "rsa1024"}, {}, "its key is RSA 1024, less than RSA 2048 or P-256"),
        ({"signature": "sha1"}, {}, "is signed with SHA-1, less than SHA-256"),
    ],
)
def test_what_cannot_serve_says_why_and_nothing_else(wishes: dict[str, Any], outside: dict[str, Any], reason: str) -> None:
    assert reasons(entry(entry_values=outside, **wishes)) == [reason]


def test_every_reason_is_told_not_only_the_first() -> None:
    worst = entry(
        entry_values={"has_private_key": False},
        dns_names=["a.example"],
        server_authentication=False,
        not_after=NOW - timedelta(days=1),
        key="rsa1024",
        signature="sha1",
    )
    assert len(reasons(worst)) == 6


def test_enough_days_left_is_enough() -> None:
    assert reasons(entry(not_after=NOW + timedelta(days=14))) == []
    assert reasons(entry(not_after=NOW + timedelta(seconds=1)), min_days_valid=0) == []


def test_without_an_extended_key_usage_a_certificate_is_for_everything() -> None:
    assert reasons(entry(server_authentication=None)) == []


def test_any_purpose_alone_is_not_server_authentication() -> None:
    any_purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])
    assert reasons(built(ec.generate_private_key(ec.SECP256R1()), any_purpose)) == ["is not for Server Authentication"]
    both = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE, ExtendedKeyUsageOID.SERVER_AUTH])
    assert reasons(built(ec.generate_private_key(ec.SECP256R1()), both)) == []


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (ec.generate_private_key(ec.SECP256K1()), "its key is secp256k1, less than RSA 2048 or P-256"),
        (ec.generate_private_key(ec.SECP521R1()), None),
        (rsa.generate_private_key(65537, 3072), None),
    ],
)
def test_only_keys_that_schannel_serves_with(key: Any, reason: str | None) -> None:
    assert reasons(built(key)) == ([reason] if reason else [])


def test_a_kind_of_signature_without_a_hash_is_weak() -> None:
    found = reasons(built(ed25519.Ed25519PrivateKey.generate(), signed_with=None))
    assert found == ["its key is Ed25519, less than RSA 2048 or P-256", "is signed with 1.3.101.112, less than SHA-256"]


def test_the_certificate_of_a_recorded_machine_serves() -> None:
    recorded = Path(__file__).parents[2] / "recorded" / "server" / "fresh.json"
    (found,) = json.loads(recorded.read_text(encoding="utf-8"))["before"]["state"]["certificates"]
    certificate = parse(found)
    assert certificate.not_before is not None
    assert reasons_against(certificate, FQDN, certificate.not_before + timedelta(days=1), 14) == []


# Bad data


@pytest.mark.parametrize(
    "der",
    ["", "no base64!", base64.b64encode(b"not a certificate").decode(), base64.b64encode(b"\x30\x03\x02\x01\x05").decode(), None, 17],
)
def test_bad_data_is_a_problem_and_not_an_exception(der: object) -> None:
    certificate = parse(entry(entry_values={"der": der}))
    assert certificate.problem
    assert reasons_against(certificate, FQDN, NOW, 14) == [f"cannot be read ({certificate.problem})"]
    assert summary(certificate, FQDN, NOW, 14)["serves"] is False


@given(cut=st.integers(0, 700), flip=st.integers(0, 699), by=st.integers(1, 255))
@settings(max_examples=200)
def test_a_damaged_certificate_never_raises(cut: int, flip: int, by: int) -> None:
    der = bytearray(authority().issue(FQDN, [FQDN], key="rsa2048").der)
    der[flip % len(der)] ^= by
    damaged = entry(entry_values={"der": base64.b64encode(bytes(der[: cut or None])).decode()})
    json.dumps(summary(parse(damaged), FQDN, NOW, 14))
    choose([damaged], FQDN, NOW)


def test_a_san_that_is_no_ascii_is_a_problem() -> None:
    der = base64.b64decode(entry()["der"]).replace(b"\x82\x13" + FQDN.encode(), b"\x82\x13" + b"w\xc3\xbcsus1.corp.examp"[:19])
    assert parse(entry(entry_values={"der": base64.b64encode(der).decode()})).problem


def test_without_the_library_the_error_names_it_and_what_needs_none_still_works() -> None:
    program = (
        "import sys; sys.modules['cryptography'] = None\n"
        "from ansible_collections.securepatch.wsus.plugins.plugin_utils import certificates\n"
        "assert certificates.parse({'store': 'My', 'thumbprint': None, 'der': None}).promised\n"
        "try: certificates.parse({'store': 'My', 'thumbprint': 'AB', 'der': 'AAAA'})\n"
        "except certificates.CryptographyMissing as error: print(error)\n"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(root / ".cache" / "collections")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "the Python library cryptography is needed on the controller"


# Names


def named(*dns_names: str, common_name: str | None = None, san: bool = True) -> Certificate:
    return Certificate(store="My", thumbprint="AB", friendly_name="", common_name=common_name, dns_names=dns_names if san else None)


@pytest.mark.parametrize(
    ("certificate", "name", "expected"),
    [
        (named("WSUS01.Corp.Example"), "wsus01.corp.example.", True),
        (named("wsus01.corp.example."), "wsus01.corp.example", True),
        (named("other.example", "wsus01.corp.example"), "wsus01.corp.example", True),
        (named("other.example", common_name="wsus01.corp.example"), "wsus01.corp.example", False),
        (named(common_name="wsus01.corp.example", san=False), "wsus01.corp.example", True),
        (named(common_name="*.corp.example", san=False), "wsus01.corp.example", True),
        (named(san=False), "wsus01.corp.example", False),
        (named("*.corp.example"), "wsus01.corp.example", True),
        (named("*.corp.example"), "a.wsus01.corp.example", False),
        (named("*.corp.example"), "corp.example", False),
        (named("*.corp.example"), ".corp.example", False),
        (named("w*.corp.example"), "wsus01.corp.example", False),
        (named("wsus01.*.example"), "wsus01.corp.example", False),
        (named("*"), "wsus01", False),
        (named("*.corp.example"), "*.corp.example", False),
        (named("xn--bcher-kva.example"), "bücher.example", True),
        (named("*.xn--bcher-kva.example"), "WSUS.BÜCHER.example", True),
        (named(common_name="bücher.example", san=False), "xn--bcher-kva.example", True),
        (named(""), "", False),
    ],
)
def test_covers(certificate: Certificate, name: str, expected: bool) -> None:
    assert covers(certificate, name) is expected


@pytest.mark.parametrize(
    ("certificate", "name", "expected"),
    [
        (named("*.Corp.Example"), "*.corp.example.", True),
        (named("wsus01.corp.example", "*.corp.example"), "*.corp.example", True),
        (named(common_name="*.corp.example", san=False), "*.corp.example", True),
        (named("*.corp.example"), "*.example", False),
        (named("*.example"), "*.corp.example", False),
        (named("wsus01.corp.example"), "*.corp.example", False),
        (named("*.corp.example"), "wsus01.corp.example", True),
        (named("wsus01.corp.example"), "wsus02.corp.example", False),
        (Certificate(store="My", thumbprint="", friendly_name="", promised=True), "*.corp.example", True),
    ],
)
def test_a_wildcard_that_was_asked_for_has_to_be_there_itself(certificate: Certificate, name: str, expected: bool) -> None:
    assert bears(certificate, name) is expected


labels = st.text(string.ascii_letters + string.digits + "-", min_size=1, max_size=12)


@given(st.lists(labels, min_size=2, max_size=6), st.lists(labels, min_size=1, max_size=6))
def test_a_wildcard_covers_exactly_one_label(name: list[str], parent: list[str]) -> None:
    fits = [label.lower() for label in name[1:]] == [label.lower() for label in parent]
    assert covers(named(".".join(["*", *parent])), ".".join(name)) is fits


@given(st.lists(labels, min_size=1, max_size=6))
def test_a_name_covers_itself_in_any_case_and_its_wildcard_only_with_a_parent(name: list[str]) -> None:
    full = ".".join(name)
    assert covers(named(full.upper()), full.lower() + ".")
    assert not covers(named("x." + full), full)
    assert covers(named(".".join(["*", *name[1:]])), full) is (len(name) > 1)


# Choosing


def test_of_several_that_fit_the_one_that_lasts_longest_is_chosen() -> None:
    short, long = entry(not_after=NOW + timedelta(days=100)), entry(not_after=NOW + timedelta(days=200))
    wrong = entry(dns_names=["a.example"], not_after=NOW + timedelta(days=900))
    choice = choose([short, wrong, long], FQDN, NOW)
    assert choice.certificate == parse(long)
    assert {each.thumbprint: why for each, why in choice.passed_over} == {
        short["thumbprint"]: (f"would serve too, but does not last longer than {long['thumbprint']}",),
        wrong["thumbprint"]: (f"is for a.example, not for {FQDN}",),
    }


def test_of_two_that_last_equally_long_the_larger_thumbprint_decides() -> None:
    pair = [entry(), entry()]
    assert {choose(order, FQDN, NOW).certificate for order in (pair, pair[::-1])} == {parse(max(pair, key=lambda each: str(each["thumbprint"])))}


@pytest.mark.parametrize("store", ["WebHosting", "Request"])
def test_only_the_personal_store_counts(store: str) -> None:
    assert choose([entry(entry_values={"store": store})], FQDN, NOW) == certificates.Choice(None, ())


def test_a_certificate_that_a_step_before_promises_is_taken() -> None:
    promised = {"store": "My", "thumbprint": None, "der": None, "has_private_key": True, "key_usable": True, "friendly_name": ""}
    for narrowed in ({}, {"issuer": "Somebody", "friendly_name": "Something"}):
        choice = choose([entry(), promised], FQDN, NOW, **narrowed)
        assert choice.certificate is not None and choice.certificate.promised
    assert covers(choice.certificate, "any.example")
    assert summary(choice.certificate, FQDN, NOW, 14)["thumbprint"] is None
    assert summary(choice.certificate, FQDN, NOW, 14)["serves"] is True


@pytest.mark.parametrize("issuer", ["corp issuing ca 1", "CN=Corp Issuing CA 1", "cn=corp issuing ca 1"])
def test_issuer_narrows_by_whole_values(issuer: str) -> None:
    one = entry("Corp Issuing CA 1", not_after=NOW + timedelta(days=50))
    ten = entry("Corp Issuing CA 10")
    choice = choose([ten, one], FQDN, NOW, issuer=issuer)
    assert choice.certificate == parse(one)
    assert choice.passed_over[0][1] == (f"was issued by CN=Corp Issuing CA 10, not by {issuer}",)


def test_issuer_takes_any_attributes_of_the_distinguished_name() -> None:
    seen = replace(parse(entry()), issuer="CN=Issuing\\, One,OU=PKI,O=Corp,C=DE", issuer_common_name="Issuing, One")
    issued_by = certificates._issued_by
    assert issued_by(seen, "Issuing, One") and issued_by(seen, "O=corp, OU=PKI") and issued_by(seen, "CN=Issuing\\, One")
    assert not issued_by(seen, "O=Cor") and not issued_by(seen, "O=Corp, OU=Other") and not issued_by(seen, "Issuing")


def test_friendly_name_narrows_without_regard_to_case() -> None:
    named_ssl, other = entry(entry_values={"friendly_name": "WSUS SSL"}, not_after=NOW + timedelta(days=50)), entry()
    choice = choose([other, named_ssl], FQDN, NOW, friendly_name="wsus ssl")
    assert choice.certificate == parse(named_ssl)
    assert choice.passed_over[0][1] == ("has the friendly name 'WSUS', not 'wsus ssl'",)


@cache
def various() -> tuple[dict[str, Any], ...]:
    """Certificates good and bad, to be drawn from."""
    return (
        entry(),
        entry("Other CA", not_after=NOW + timedelta(days=500)),
        entry(dns_names=["*.corp.example"], key="rsa2048"),
        entry(dns_names=["*.example"]),
        entry(dns_names=[]),
        entry(not_after=NOW + timedelta(days=20)),
        entry(not_after=NOW - timedelta(days=1)),
        entry(not_before=NOW + timedelta(days=1)),
        entry(server_authentication=False),
        entry(server_authentication=None),
        entry(signature="sha1"),
        entry(key="rsa1024"),
        entry(entry_values={"has_private_key": False}),
        entry(entry_values={"key_usable": False}),
        entry(entry_values={"store": "WebHosting"}),
        entry(entry_values={"der": "AAAA"}),
        entry(entry_values={"friendly_name": "Web"}),
    )


@given(st.data(), st.integers(0, 600), st.sampled_from([None, "Other CA"]), st.sampled_from([None, "Web"]))
def test_the_choice_fits_lasts_longest_and_does_not_depend_on_the_order(
    data: st.DataObject, min_days_valid: int, issuer: str | None, friendly_name: str | None
) -> None:
    drawn = data.draw(st.lists(st.sampled_from(various()), unique_by=lambda each: str(each["thumbprint"])))
    shuffled = data.draw(st.permutations(drawn))
    choice = choose(drawn, FQDN, NOW, min_days_valid, issuer=issuer, friendly_name=friendly_name)
    assert choice == choose(shuffled, FQDN, NOW, min_days_valid, issuer=issuer, friendly_name=friendly_name)
    assert all(why for _rest, why in choice.passed_over)
    personal = [parse(each) for each in drawn if each["store"] == "My"]
    assert sorted(each.thumbprint for each in personal) == sorted(
        [each.thumbprint for each, _rest in choice.passed_over] + ([choice.certificate.thumbprint] if choice.certificate else [])
    )
    fitting = [
        each
        for each in personal
        if not reasons_against(each, FQDN, NOW, min_days_valid)
        and (issuer is None or each.issuer_common_name == issuer)
        and (friendly_name is None or each.friendly_name == friendly_name)
    ]
    assert (choice.certificate is None) == (not fitting)
    if choice.certificate is not None:
        assert choice.certificate in fitting
        assert choice.certificate.not_after == max(each.not_after for each in fitting if each.not_after)


def test_summary_is_plain_json() -> None:
    told = summary(parse(entry(not_after=NOW + timedelta(days=13))), FQDN, NOW, 14)
    assert json.loads(json.dumps(told)) == told
    assert told["not_after"] == "2026-06-14T12:00:00Z"
    assert told["days_left"] == 13
    assert told["serves"] is False
    assert told["reasons"] == ["has only 13 days left, until 2026-06-14, fewer than 14"]
    assert told["dns_names"] == [FQDN]
    assert summary(parse(entry(not_after=NOW - timedelta(days=1))), FQDN, NOW, 14)["days_left"] == -1
