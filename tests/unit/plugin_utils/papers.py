# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Authorities with a chain, what they issue, and requests, as files have them. Made once for all tests of a run; elliptic, because RSA is slow."""

from __future__ import annotations

import base64
import datetime
import functools
import hashlib
from collections.abc import Sequence
from typing import Any

from ansible_collections.securepatch.wsus.plugins.plugin_utils.authorities import Found, read_certificates
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import strategies as st

from tests.lab.authority import Authority, Issued
from tests.unit.plugin_utils.machines import DAY, FQDN, HTTP_SYS, HTTP_SYS_SNI, MARKS, NOW, documents, kernel_key

# Version 1, which the library reads and does not write: a root, and what it issued for the server (openssl x509 -req without extensions).
OLD_ROOT = """\
-----BEGIN CERTIFICATE-----
MIIBKDCBzwIURTC7qSRae5if8kSF4r7i7u+YgzAwCgYIKoZIzj0EAwIwFjEUMBIG
A1UEAwwLT2xkIFJvb3QgQ0EwIBcNMjYxMTIxMTU1MTM5WhgPMjEyNTA2MTUxNTUx
MzlaMBYxFDASBgNVBAMMC09sZCBSb290IENBMFkwEwYHKoZIzj0CAQYIKoZIzj0D
AQcDQgAE7By5gTE1G1BxNUfdtHoK1ngCqT2vC/Ok4CqITia6Pqai/yfC1/+uy0n8
ANLgfQwHGnKFBwDv6LXpG0NbwIGHaTAKBggqhkjOPQQDAgNIADBFAiEA9C+wUFwQ
fU1ekNzkBtaoKBQMZ/Jc1VzmOzO9F5IwxsUCIGIZBMovTh+8dA8wMdgeGOoDcCoo
WKjSSFk8BFD4AZ2X
-----END CERTIFICATE-----
"""
OLD_LEAF = """\
-----BEGIN CERTIFICATE-----
MIIBHTCBxAIBBzAKBggqhkjOPQQDAjAWMRQwEgYDVQQDDAtPbGQgUm9vdCBDQTAg
Fw0yNjExMjExNTUxMzlaGA8yMTI1MDYxNTE1NTEzOVowHjEcMBoGA1UEAwwTd3N1
czAxLmNvcnAuZXhhbXBsZTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABH/MiL6J
Dm6JQkaftcZANxnIWy2sGEtryRooObtmyM9ola+2nlD/9nltMGC7StWMIOwGWadO
GEPzYG+0QbUpmoEwCgYIKoZIzj0EAwIDSAAwRQIgQsmrkAdje5DwbsCC3zuR0Obh
wta69idv++6NC5lE29ECIQDzOGboSkpl6nw+N8VjCp4hcb2NfJrnckqLidQQ32iy
vw==
-----END CERTIFICATE-----
"""


@functools.cache
def root() -> Authority:
    return Authority.create("Corp Root CA")


@functools.cache
def issuing() -> Authority:
    """The authority that issues servers' certificates, below the root."""
    return Authority.create("Corp Issuing CA 1", parent=root())


@functools.cache
def stranger() -> Authority:
    """A root that is called as the company's and is not it."""
    return Authority.create("Corp Root CA")


def leaf(kind: str = "good") -> Issued:
    """A server's certificate with its chain of two authorities above it: good, or wrong in one way. One of each kind."""
    return _leaf(kind)


@functools.cache
def _leaf(kind: str) -> Issued:
    wishes: dict[str, dict[str, Any]] = {
        "good": {},
        "newer": {"not_after": NOW + 500 * DAY},
        "both": {"dns_names": [FQDN, "wsus.corp.example"]},
        "wildcard": {"dns_names": [FQDN, "*.corp.example"]},
        "other": {"common_name": "other.corp.example", "dns_names": ["other.corp.example"]},
        "expired": {"not_after": NOW - 3 * DAY},
        "short": {"not_after": NOW + 20 * DAY},
        "for clients": {"server_authentication": False},
    }
    wish = {"common_name": FQDN, "dns_names": [FQDN], "not_before": NOW - 30 * DAY, "not_after": NOW + 300 * DAY, **wishes[kind]}
    return issuing().issue(**wish)


def self_signed(common_name: str = FQDN, *, authority: bool = False, not_before: datetime.datetime = NOW - DAY, days: int = 300) -> Issued:
    """A certificate that issued itself; no authority, unless it says so itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(not_before).not_valid_after(not_before + days * DAY)
    builder = builder.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(common_name)]), critical=False)
    private = key.private_bytes(Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode("ascii")
    return Issued(builder.sign(key, hashes.SHA256()), private)


def signed_across(of: Authority, by: Authority, *, authority: bool = True) -> x509.Certificate:
    """Another certificate for an authority's name and key, issued by BY; by itself: renewed. AUTHORITY: whether it says that it is one."""
    builder = x509.CertificateBuilder().subject_name(of.certificate.subject).issuer_name(by.certificate.subject)
    builder = builder.public_key(of.key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(NOW - 9 * DAY).not_valid_after(NOW + 300 * DAY)
    return builder.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True).sign(by.key, hashes.SHA256())


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates)


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def text_of(certificate: x509.Certificate) -> str:
    """A certificate as states have it: its DER in base64."""
    return base64.b64encode(der(certificate)).decode("ascii")


def p7(*certificates: x509.Certificate, encoding: Encoding = Encoding.PEM) -> bytes:
    return pkcs7.serialize_certificates(list(certificates), encoding)


def found(*certificates: x509.Certificate) -> tuple[Found, ...]:
    """Certificates as they are read from a file."""
    return tuple(read_certificates(pem(*certificates))) if certificates else ()


@functools.cache
def key(kind: str, number: int) -> ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey:
    """A private key; NUMBER tells several of a kind apart."""
    del number
    curves: dict[str, ec.EllipticCurve] = {"ec256": ec.SECP256R1(), "ec384": ec.SECP384R1(), "ec521": ec.SECP521R1()}
    return ec.generate_private_key(curves[kind]) if kind in curves else rsa.generate_private_key(65537, int(kind.removeprefix("rsa")))


def request(*dns_names: str, kind: str = "ec256", number: int = 0, common_name: str = FQDN) -> str:
    """A request for these names, PEM; without names it has no SAN."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if dns_names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in dns_names]), critical=False)
    return builder.sign(key(kind, number), hashes.SHA256()).public_bytes(Encoding.PEM).decode("ascii")


def answer_to(
    request_pem: str,
    *,
    dns_names: Sequence[str] | None = None,
    common_name: str | None = None,
    before: float = 9,
    days: int = 300,
    server_authentication: bool = True,
) -> x509.Certificate:
    """What the issuing authority makes of a request: its names, or these instead, from so many days before the tests' time until so many after."""
    asked = x509.load_pem_x509_csr(request_pem.encode("ascii"))
    subject = asked.subject if common_name is None else x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuing().certificate.subject).public_key(asked.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(NOW - before * DAY).not_valid_after(NOW + days * DAY)
    names = asked.extensions.get_extension_for_class(x509.SubjectAlternativeName).value if dns_names is None else None
    if names or dns_names:
        builder = builder.add_extension(names or x509.SubjectAlternativeName([x509.DNSName(name) for name in dns_names or ()]), critical=False)
    purpose = ExtendedKeyUsageOID.SERVER_AUTH if server_authentication else ExtendedKeyUsageOID.CLIENT_AUTH
    return builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False).sign(issuing().key, hashes.SHA256())


@functools.cache
def _placeholder(kind: str, number: int, made: datetime.datetime) -> tuple[str, str]:
    private = key(kind, number)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, FQDN)])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(private.public_key()).serial_number(1 + number)
    certificate = builder.not_valid_before(made).not_valid_after(made + DAY).sign(private, hashes.SHA256())
    private_pem = private.private_bytes(Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return text_of(certificate), private_pem.decode("ascii")


def waiting(
    kind: str = "ec256", number: int = 0, friendly_name: str = "WSUS", made: datetime.datetime = NOW - DAY / 2
) -> tuple[str, dict[str, Any]]:
    """What stands in a machine's Request store for a key whose certificate has not come: its thumbprint and its entry. MADE: when the key was."""
    text, private_pem = _placeholder(kind, number, made)
    return thumbprint(text), {"der": text, "has_private_key": True, "friendly_name": friendly_name, "key": private_pem}


CA = "CA01.corp.example\\Corp Issuing CA 1"
RDP = r"HKLM:\SYSTEM\CurrentControlSet\Control\Terminal Server\WinStations\RDP-Tcp"
WINDOWS = r"HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion"
TRUST_STORES = ("Root", "CA", "WindowsServerUpdateServices")
NAMES = ("wsus.corp.example", "b.example", "*.corp.example")
"""Other names than the server's own, that may be asked for."""
LEFTOVER = r"C:\Users\ADMINI~1\AppData\Local\Temp\ansible-tmp-1764000000.1-2-3"


def thumbprint(text: str) -> str:
    """The thumbprint of a certificate in base64, made here so that the code under test does not judge itself."""
    return hashlib.sha1(base64.b64decode(text), usedforsecurity=False).hexdigest().upper()


def ca_of(mode: str = "issue") -> dict[str, Any]:
    """The domain's enterprise CA, as a machine's document has it: the issuing authority."""
    private = issuing().key.private_bytes(Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode("ascii")
    return {"config": CA, "certificate": issuing().certificate_pem, "key": private, "template": "WebServer", "mode": mode, "requests": {}}


def trusted(found_one: dict[str, Any], store: str, certificate: x509.Certificate) -> None:
    """Put a certificate into one of a machine's stores of trust."""
    text = text_of(certificate)
    found_one["certificates"].setdefault(store, {})[thumbprint(text)] = {"der": text, "has_private_key": False, "friendly_name": ""}


@functools.cache
def every_name_asked(number: int) -> str:
    return request(FQDN, *NAMES, number=number)


# Made once: what is drawn often must not be made anew each time.
_ANY, _OFFERS = documents(), documents(offers=True)
_SOME_LEAVES = st.sets(st.sampled_from(["good", "newer", "both", "wildcard", "expired", "short", "for clients"]), max_size=3)
_PLACES = st.sampled_from([("My",), ("My",), ("WebHosting",), ("My", "WebHosting")])
_FRIENDLY = st.sampled_from(["WSUS", "", "Ü"])
_SOME_KEYS = st.sampled_from([(), (0,), (0,), (1,), (0, 1), (0, 2), (0, 1, 2)])
_ASKED_AS = st.sampled_from(["WSUS", "Before"])
_SOME_TRUST = st.sets(st.sampled_from([(store, which) for store in TRUST_STORES for which in range(3)]), max_size=4)
# An empty mark of a request is a prediction's own way to say that there will be one.
_REQUESTED = st.sampled_from([None, None, "junk", "all 0", "all 1", "fqdn 0"])
_PENDING = st.sampled_from([None, None, "", "junk", f"1 {CA}"])
_REPLACED = st.sampled_from([None, "", "every", "every", "some", "some", "AB" * 20, "junk"])
_FOLDER = st.sampled_from([None, None, None, LEFTOVER, "C:\\Windows"])
_NUMBER = st.integers(0, 9)


def kernel_key_of(binding: dict[str, Any]) -> str:
    return kernel_key(binding["information"], binding["ssl_flags"])


@st.composite
def machines_with_papers(draw: st.DrawFn, *, offers: bool = False) -> dict[str, Any]:
    """A WSUS machine in any state, with certificates in all stores, keys that wait, marks of all kinds, and an enterprise CA. OFFERS: it offers
    HTTPS."""
    machine = draw(_OFFERS if offers else _ANY)
    if offers:
        # The kernel has one entry for all that share an address and a port: no other binding has that of the one which offers.
        site = machine["iis"]["sites"][0]
        (*others, offered) = site["bindings"]
        site["bindings"] = [*(one for one in others if one["protocol"] == "http" or kernel_key_of(one) != kernel_key_of(offered)), offered]
    stores: dict[str, Any] = machine["certificates"]
    for kind in sorted(draw(_SOME_LEAVES)):
        one = leaf(kind)
        entry: dict[str, Any] = {"der": one.der_base64, "has_private_key": True, "key": one.key_pem, "friendly_name": draw(_FRIENDLY)}
        for store in draw(_PLACES):
            stores.setdefault(store, {})[one.thumbprint] = dict(entry)
    for number in draw(_SOME_KEYS):
        name, key_entry = waiting(number=number, friendly_name=draw(_ASKED_AS))
        stores["Request"][name] = key_entry
    # What certreq needs to install anything.
    trusted(machine, "Root", root().certificate)
    trusted(machine, "CA", issuing().certificate)
    others = (stranger().certificate, leaf().certificate, issuing().certificate)
    for store, which in sorted(draw(_SOME_TRUST)):
        trusted(machine, store, others[which])
    every = [one for store in ("My", "WebHosting") for one in stores.get(store, {})]
    texts = {"all 0": every_name_asked(0), "all 1": every_name_asked(1), "fqdn 0": request(FQDN, number=0)}
    requested, pending, replaced = draw(_REQUESTED), draw(_PENDING), draw(_REPLACED)
    marks = {
        "CertificateRequest": texts.get(str(requested), requested),
        "PendingRequest": pending,
        "ReplacedCertificates": " ".join({"every": every, "some": [*every[::2], "junk"]}.get(str(replaced), [])) or replaced,
        "TransferFolder": draw(_FOLDER),
    }
    found_marks = {name: {"kind": "String", "data": value} for name, value in marks.items() if value is not None}
    if found_marks:
        machine["registry"].setdefault(MARKS, {}).update(found_marks)
    machine["ca"] = ca_of()
    if pending == f"1 {CA}":
        name, key_entry = waiting(number=2)
        stores["Request"][name] = key_entry
        machine["ca"]["requests"]["1"] = {"request": every_name_asked(2), "template": "WebServer"}
    desktop, winrm = draw(_NUMBER), draw(_NUMBER)
    if desktop < len(every):
        machine["registry"][RDP] = {"SSLCertificateSHA1Hash": {"kind": "Binary", "data": every[desktop]}}
    if winrm < len(every):
        served = {"SslCertHash": {"kind": "Binary", "data": every[winrm]}, "SslCertStoreName": {"kind": "String", "data": "My"}}
        machine["registry"][f"{HTTP_SYS}\\0.0.0.0:5986"] = served
    return machine


def users_of(machine: dict[str, Any]) -> set[str]:
    """The thumbprints that something on a machine uses, straight from its document: bindings, http.sys, Remote Desktop."""
    used = {str(binding.get("certificate_hash")) for site in machine["iis"]["sites"] for binding in site["bindings"]}
    for path, values in machine["registry"].items():
        names = {"SslCertHash"} if path.startswith((HTTP_SYS, HTTP_SYS_SNI)) else {"SSLCertificateSHA1Hash"} if path == RDP else set()
        used |= {str(values[name]["data"]) for name in names & set(values)}
    return used
