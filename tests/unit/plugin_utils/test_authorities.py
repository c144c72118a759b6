# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Certificates as files have them: every form, what each is, who issued whom, and what is no certificate."""

from __future__ import annotations

import base64
import datetime
import hashlib
import warnings

import pytest
from ansible_collections.securepatch.wsus.plugins.plugin_utils.authorities import (
    Found,
    NoCertificate,
    chain_among,
    issued,
    issuer_among,
    leads_to,
    public_key_of,
    read_certificates,
    read_request,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.lab.authority import Authority
from tests.unit.plugin_utils.machines import DAY, FQDN, NOW
from tests.unit.plugin_utils.papers import (
    OLD_LEAF,
    OLD_ROOT,
    der,
    found,
    issuing,
    key,
    leaf,
    p7,
    pem,
    request,
    root,
    self_signed,
    signed_across,
    stranger,
    text_of,
)

# PKCS #7 without any certificate (openssl crl2pkcs7 -nocrl).
NO_CERTIFICATES = bytes.fromhex("302306092a864886f70d010702a01630140201013100300b06092a864886f70d0107013100")
DAMAGED = r"is no certificate in PEM, DER or PKCS #7 \(or is damaged\)"
LEAF, ISSUING, ROOT = leaf().certificate, issuing().certificate, root().certificate
CHAIN = [LEAF, ISSUING, ROOT]
TEXTS = [text_of(each) for each in CHAIN]


def texts(data: bytes) -> list[str]:
    """Which certificates were read, as base64."""
    return [each.der for each in read_certificates(data)]


def labelled(data: bytes, label: bytes) -> bytes:
    """The same PEM with other words above and below it."""
    return data.replace(b"BEGIN CERTIFICATE", b"BEGIN " + label).replace(b"END CERTIFICATE", b"END " + label)


# --- forms of files ------------------------------------------------------------------------------------------------------


def test_a_bundle_is_read_in_its_order_and_each_certificate_once() -> None:
    assert texts(pem(*CHAIN)) == TEXTS
    assert texts(pem(*reversed(CHAIN))) == TEXTS[::-1]
    assert texts(pem(ROOT, LEAF, ROOT, ISSUING, LEAF)) == [TEXTS[2], TEXTS[0], TEXTS[1]]


def test_what_stands_around_the_blocks_does_not_matter() -> None:
    words, revoked = b"\xef\xbb\xbfsubject=CN = Corp\r\n\r\n", b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"
    assert texts(words + pem(LEAF).replace(b"\n", b"\r\n") + revoked + b"# the root\n" + pem(ROOT).rstrip()) == [TEXTS[0], TEXTS[2]]
    # A request beside its answer.
    assert texts(request(FQDN).encode() + pem(LEAF)) == TEXTS[:1]


def test_der_is_one_certificate() -> None:
    assert texts(der(ISSUING)) == [TEXTS[1]]


def test_pkcs_7_has_its_chain() -> None:
    assert sorted(texts(p7(*CHAIN, encoding=Encoding.DER))) == sorted(TEXTS)
    assert sorted(texts(p7(*CHAIN))) == sorted(TEXTS)
    assert sorted(texts(p7(*CHAIN).replace(b"PKCS7", b"CMS"))) == sorted(TEXTS)


def test_pkcs_7_as_windows_writes_it_is_called_a_certificate() -> None:
    assert sorted(texts(p7(*CHAIN).replace(b"PKCS7", b"CERTIFICATE"))) == sorted(TEXTS)


@pytest.mark.parametrize("label", [b"X509 CERTIFICATE", b"TRUSTED CERTIFICATE"])
def test_the_older_words_of_openssl_are_certificates_too(label: bytes) -> None:
    assert texts(labelled(pem(LEAF), label) + pem(ROOT)) == [TEXTS[0], TEXTS[2]]


def test_a_begin_and_an_end_of_different_kinds_are_no_block() -> None:
    mixed = pem(LEAF).replace(b"END CERTIFICATE", b"END PKCS7")
    with pytest.raises(NoCertificate, match="has no certificate in it"):
        read_certificates(mixed)


@pytest.mark.parametrize("kind", [b"PRIVATE KEY", b"RSA PRIVATE KEY", b"EC PRIVATE KEY", b"ENCRYPTED PRIVATE KEY"])
def test_a_private_key_in_the_file_is_refused_wherever_it_stands(kind: bytes) -> None:
    block = b"-----BEGIN " + kind + b"-----\nMC4CAQ==\n-----END " + kind + b"-----\n"
    for data in (block, block + pem(LEAF), pem(LEAF) + block):
        with pytest.raises(NoCertificate, match="has a private key in it, which has no business here: give the certificates alone"):
            read_certificates(data)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", DAMAGED),
        (b"wsus01.corp.example", DAMAGED),
        (b"\x30\x03\x02\x01\x05", DAMAGED),
        (der(LEAF)[:-1], DAMAGED),
        (der(LEAF) + b"\0", DAMAGED),
        (leaf().pfx("secret"), DAMAGED),
        (p7(LEAF, encoding=Encoding.DER)[:-3], DAMAGED),
        (pem(LEAF)[:-30], "has no certificate in it"),
        (b"-----BEGIN CERTIFICATE-----\n", "has no certificate in it"),
        (request(FQDN).encode(), "has no certificate in it"),
        (b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", DAMAGED),
        (b"-----BEGIN CERTIFICATE-----\n(((\n-----END CERTIFICATE-----\n", DAMAGED),
        (b"-----BEGIN CERTIFICATE-----\nAAA\n-----END CERTIFICATE-----\n", DAMAGED),
        (pem(LEAF).replace(b"MII", b"M!II", 1), DAMAGED),
        (NO_CERTIFICATES, DAMAGED),
        (pem(ROOT) + pem(LEAF).replace(b"MII", b"MIJ", 1), DAMAGED),
    ],
    ids=lambda value: repr(value[:12]),
)
def test_what_is_no_certificate_is_refused_with_why(data: bytes, why: str) -> None:
    with pytest.raises(NoCertificate, match=f"^{why}$"):
        read_certificates(data)


def test_a_certificate_that_is_damaged_inside_is_refused_with_what_is_wrong() -> None:
    # cA TRUE, as DER does not write it.
    damaged = der(ISSUING).replace(b"\x30\x03\x01\x01\xff", b"\x30\x03\x01\x01\x01")
    assert damaged != der(ISSUING)
    with pytest.raises(NoCertificate, match=r"^has a certificate that cannot be read \(.+\)$"):
        read_certificates(damaged)


def test_an_extension_that_stands_there_twice_is_refused_and_nobodys_issuer() -> None:
    # The authority's key identifier, made into a second key identifier of the subject: 2.5.29.35 into 2.5.29.14.
    twice = der(LEAF).replace(bytes.fromhex("0603551d23"), bytes.fromhex("0603551d0e"))
    assert twice != der(LEAF)
    with pytest.raises(NoCertificate, match=r"^has a certificate that cannot be read \(.*2\.5\.29\.14.*\)$"):
        read_certificates(twice)
    assert public_key_of(base64.b64encode(twice).decode()) == public_key_of(TEXTS[0])
    assert chain_among(base64.b64encode(twice).decode(), TEXTS[2:]) == [base64.b64encode(twice).decode()]


def test_a_version_that_nobody_knows_is_refused_and_nobodys_issuer() -> None:
    odd = der(LEAF).replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020105"), 1)
    assert odd != der(LEAF)
    with pytest.raises(NoCertificate):
        read_certificates(odd)
    assert issuer_among(base64.b64encode(odd).decode(), TEXTS) is None
    assert public_key_of(base64.b64encode(odd).decode()) is None


def test_a_name_that_cannot_be_read_is_nobodys() -> None:
    # The issuer's common name, as text of a kind that does not take these bytes.
    odd = der(LEAF).replace(b"\x0c\x11Corp Issuing CA 1", b"\x0c\x11Corp \xff\xff\xff\xff\xff\xff\xff CA 1")
    assert odd != der(LEAF)
    with pytest.raises(NoCertificate, match="cannot be read"):
        read_certificates(odd)
    assert issuer_among(base64.b64encode(odd).decode(), TEXTS) is None
    assert not leads_to([base64.b64encode(odd).decode(), *TEXTS[1:]], found(ROOT))


@settings(max_examples=300)
@given(at=st.integers(0, 5000), by=st.integers(1, 255), cut=st.integers(0, 5000), form=st.sampled_from(["pem", "der", "p7", "p7 pem"]))
def test_whatever_is_damaged_is_read_or_refused(at: int, by: int, cut: int, form: str) -> None:
    forms = {"pem": pem(*CHAIN), "der": der(LEAF), "p7": p7(*CHAIN, encoding=Encoding.DER), "p7 pem": p7(*CHAIN)}
    data = bytearray(forms[form])
    data[at % len(data)] ^= by
    try:
        assert all(isinstance(each, Found) for each in read_certificates(bytes(data[: cut or None])))
    except NoCertificate as error:
        assert str(error)


def test_an_old_certificate_gives_no_warning_on_the_terminal() -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        # A serial number less than 0, which the library warns of; it stands behind the version.
        odd = bytearray(der(LEAF))
        odd[odd.index(bytes.fromhex("a0030201020214")) + 7] |= 0x80
        x509.load_der_x509_certificate(bytes(odd))
        assert told
        told.clear()
        read_certificates(bytes(odd))
        public_key_of(base64.b64encode(odd).decode())
    assert [str(each.message) for each in told] == []


# --- what each is ----------------------------------------------------------------------------------------------------------


def kinds(certificate: x509.Certificate) -> tuple[bool, bool]:
    (one,) = found(certificate)
    return one.is_authority, one.is_root


def test_what_is_read_of_a_certificate() -> None:
    (one,) = found(LEAF)
    assert one == Found(
        der=TEXTS[0],
        thumbprint=hashlib.sha1(der(LEAF)).hexdigest().upper(),
        subject=f"CN={FQDN}",
        issuer="CN=Corp Issuing CA 1",
        is_authority=False,
        is_root=False,
        not_before=NOW - 30 * DAY,
        not_after=NOW + 300 * DAY,
        public_key=LEAF.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    )
    assert one.not_after.tzinfo is datetime.UTC


def test_authorities_and_roots_are_told_apart() -> None:
    assert [kinds(each) for each in CHAIN] == [(False, False), (True, False), (True, True)]


def test_a_server_that_issued_itself_is_a_root_and_no_authority() -> None:
    assert kinds(self_signed().certificate) == (False, True)
    assert kinds(self_signed(authority=True).certificate) == (True, True)


def test_a_root_of_version_1_is_one_and_what_it_issued_is_not() -> None:
    assert kinds(x509.load_pem_x509_certificate(OLD_ROOT.encode())) == (True, True)
    assert kinds(x509.load_pem_x509_certificate(OLD_LEAF.encode())) == (False, False)


def test_a_version_3_certificate_without_basic_constraints_is_no_authority() -> None:
    bare = x509.CertificateBuilder().subject_name(ROOT.subject).issuer_name(ROOT.subject).public_key(root().key.public_key()).serial_number(5)
    bare = bare.not_valid_before(NOW).not_valid_after(NOW + DAY).add_extension(x509.SubjectAlternativeName([x509.DNSName("a.b")]), critical=False)
    assert kinds(bare.sign(root().key, hashes.SHA256())) == (False, True)


def test_whoever_has_the_name_of_its_issuer_did_not_issue_itself_by_that() -> None:
    # A root that gets a new key has one of these: the new key, signed with the old one, under the one name.
    assert kinds(signed_across(stranger(), root())) == (True, False)


# --- who issued whom -------------------------------------------------------------------------------------------------------


def test_the_signature_says_who_issued_not_the_name() -> None:
    assert issued(ISSUING, LEAF)
    assert issued(ROOT, ISSUING)
    assert not issued(ROOT, LEAF)
    assert stranger().certificate.subject == ROOT.subject
    assert not issued(stranger().certificate, ISSUING)


def test_where_the_signature_cannot_be_checked_the_name_says_it() -> None:
    # ecdsa-with-SHA256, made into something that nobody knows.
    odd = x509.load_der_x509_certificate(der(LEAF).replace(bytes.fromhex("06082a8648ce3d040302"), bytes.fromhex("06082a8648ce3d04037f")))
    assert issued(ISSUING, odd)
    assert not issued(ROOT, odd)


def test_the_issuer_is_found_among_others() -> None:
    assert issuer_among(TEXTS[0], TEXTS) == TEXTS[1]
    assert issuer_among(TEXTS[1], [TEXTS[0], text_of(stranger().certificate), TEXTS[2]]) == TEXTS[2]
    assert issuer_among(TEXTS[1], [TEXTS[0], text_of(stranger().certificate)]) is None
    assert issuer_among(TEXTS[0], ["", "no base64", "AAAA", TEXTS[1]]) == TEXTS[1]
    assert issuer_among("AAAA", TEXTS) is None
    assert issuer_among(TEXTS[0], []) is None


def test_a_chain_is_followed_as_far_as_it_is_there_in_any_order() -> None:
    assert chain_among(TEXTS[0], TEXTS[1:]) == chain_among(TEXTS[0], TEXTS[:0:-1]) == TEXTS
    assert chain_among(TEXTS[0], [TEXTS[2]]) == TEXTS[:1]
    assert chain_among(TEXTS[0], [TEXTS[1]]) == TEXTS[:2]
    assert chain_among(TEXTS[2], TEXTS) == TEXTS[2:]


def test_authorities_that_issued_each_other_come_to_an_end() -> None:
    another = Authority.create("Corp Root CA 2")
    one, other = text_of(signed_across(root(), another)), text_of(signed_across(another, root()))
    assert chain_among(one, [one, other]) == [one, other]
    assert leads_to([one, other], found(stranger().certificate)) is False


def test_a_chain_leads_to_a_root_that_is_among_the_authorities() -> None:
    authorities = found(ISSUING, ROOT)
    assert leads_to(TEXTS[:1], authorities)
    assert leads_to(TEXTS[:2], found(ROOT))
    assert leads_to(TEXTS, found(ROOT))


def test_a_chain_leads_nowhere_without_its_root_or_without_what_is_between() -> None:
    assert not leads_to(TEXTS, found(ISSUING))
    assert not leads_to(TEXTS[:1], found(ROOT))
    assert not leads_to(TEXTS, found(stranger().certificate))
    assert not leads_to(TEXTS, ())
    assert not leads_to([], found(ISSUING, ROOT))


def test_a_self_signed_servers_own_certificate_leads_to_itself() -> None:
    own = self_signed().certificate
    assert leads_to([text_of(own)], found(own))
    assert not leads_to([text_of(own)], found(self_signed().certificate))


def test_any_of_several_certificates_of_an_authority_leads_on() -> None:
    renewed = signed_across(root(), root())
    # What the server sends has the root of before, what was given the renewed one.
    assert leads_to(TEXTS, found(renewed))
    assert leads_to([*TEXTS, text_of(renewed)], found(ROOT))
    across = signed_across(issuing(), stranger())
    assert leads_to(TEXTS[:2], found(across, stranger().certificate))
    assert not leads_to(TEXTS[:2], found(stranger().certificate))


# --- keys and requests -----------------------------------------------------------------------------------------------------


def spki(private: object) -> bytes:
    made: bytes = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
    return made


def test_the_public_key_of_a_certificate() -> None:
    assert public_key_of(TEXTS[1]) == spki(issuing().key)
    assert public_key_of("AAAA") is None
    assert public_key_of("no base64") is None
    assert public_key_of("") is None


def test_a_request_says_whose_key_it_is_for_and_for_which_names() -> None:
    made = request(FQDN, "wsus.corp.example")
    read = read_request(made)
    assert read is not None
    assert (read.public_key, read.dns_names) == (spki(key("ec256", 0)), (FQDN, "wsus.corp.example"))
    # As certreq writes it.
    assert read_request(made.replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST").replace("\n", "\r\n")) == read
    bare = read_request(request())
    assert bare is not None
    assert bare.dns_names == ()


@pytest.mark.parametrize(
    ("kind", "said"),
    [("ec256", ("ECDSA_P256", 256)), ("ec384", ("ECDSA_P384", 384)), ("ec521", None), ("rsa1024", ("RSA", 1024))],
)
def test_a_request_says_of_which_kind_its_key_is(kind: str, said: tuple[str, int] | None) -> None:
    read = read_request(request(FQDN, kind=kind))
    assert read is not None
    assert read.key == said


@pytest.mark.parametrize("made", ["", "7 CA01\\Corp CA", request(FQDN)[:-40], request(FQDN).replace("MII", "MIJ", 1), "ü", OLD_ROOT])
def test_what_is_no_request_is_none(made: str) -> None:
    assert read_request(made) is None
