# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""`certreq.exe`: makes a key and a request for it, and lets the certificate that comes back meet its key."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ..machine import Machine
from ..tls import build_chain, certificate_of
from . import certificates, journal, registry
from .errors import WindowsError, thrown, tool_failed

_ATTRIBUTES = {
    "CN": NameOID.COMMON_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "L": NameOID.LOCALITY_NAME,
    "S": NameOID.STATE_OR_PROVINCE_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "C": NameOID.COUNTRY_NAME,
    "DC": NameOID.DOMAIN_COMPONENT,
    "E": NameOID.EMAIL_ADDRESS,
}
_CURVES: dict[str, ec.EllipticCurve] = {"ECDSA_P256": ec.SECP256R1(), "ECDSA_P384": ec.SECP384R1()}


def _stop(verb: str, message: str, exit_code: int) -> WindowsError:
    return tool_failed("certreq.exe", verb, exit_code, f"Certificate Request Processor: {message}")


def _meet_fault(machine: Machine, verb: str) -> None:
    fault = journal.tool_fault(machine, f"certreq {verb}")
    if fault is not None:
        raise _stop(verb, fault, 0x57)


# --- the request -----------------------------------------------------------------------------------------------------


def request(machine: Machine, change: dict[str, Any]) -> str:
    """Make a key, which waits in the Request store, and a request for it. Returns the request, PEM.

    Called without the machine's lock: a key takes its time.
    """
    names: list[str] = change["dns_names"] or []
    for text in (change["subject"], change["friendly_name"], *names):
        if text and re.search(r'["&\r\n]', text):
            raise thrown(f"A certificate request cannot have a quote, an ampersand or a line break in '{text}'.")
    _meet_fault(machine, "-new")
    subject = _name(change["subject"])
    key = _private_key(change["key_algorithm"], change["key_length"])
    usage = x509.KeyUsage(
        digital_signature=True,
        key_encipherment=True,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    signed = builder.add_extension(usage, critical=False).sign(key, hashes.SHA256())
    private = key.private_bytes(Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode("ascii")
    entry = {
        "der": certificates.encode(_placeholder(machine, subject, key)),
        "has_private_key": True,
        "friendly_name": change["friendly_name"] or "",
        "key": private,
    }
    with machine.lock:
        certificates.stores(machine).setdefault("Request", {})[certificates.thumbprint_of(entry["der"])] = entry
        journal.write(machine, "certreq -new")
    return signed.public_bytes(Encoding.PEM).decode("ascii")


def _name(subject: str) -> x509.Name:
    attributes = []
    for part in subject.split(","):
        kind, _rest, text = part.strip().partition("=")
        oid = _ATTRIBUTES.get(kind.strip().upper())
        try:
            if oid is None:
                raise ValueError
            attributes.append(x509.NameAttribute(oid, text.strip()))
        except ValueError:
            message = "The string contains an invalid X500 name attribute key, oid, value or delimiter. 0x80092023"
            raise _stop("-new", message, 0x23) from None
    return x509.Name(attributes)


def _private_key(algorithm: str, length: int) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
    try:
        if algorithm == "RSA":
            return rsa.generate_private_key(65537, int(length))
        return ec.generate_private_key(_CURVES[algorithm])
    except (KeyError, ValueError):
        raise _stop("-new", "The requested operation is not supported. 0x80090029 (NTE_NOT_SUPPORTED)", 0x29) from None


def _placeholder(machine: Machine, subject: x509.Name, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """What stands in the Request store for a key whose certificate has not come yet."""
    now = machine.now().replace(microsecond=0)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )


# --- the answer ------------------------------------------------------------------------------------------------------


def install(machine: Machine, der: str, mark: str | None) -> None:
    """Let a certificate (base64) meet the key that waits for it, and move both to Personal; the mark goes."""
    _accept(machine, certificates.decode(der))
    registry.write_mark(machine, mark)


def _accept(machine: Machine, answer: bytes) -> None:
    _meet_fault(machine, "-accept")
    certificate = certificates.load_certificate(answer)
    if certificate is None:
        raise _stop("-accept", "ASN1 bad tag value met. 0x8009310b (ASN: 267 CRYPT_E_ASN1_BADTAG)", 11)
    stores = certificates.stores(machine)
    text = certificates.encode(certificate)
    public_key = certificates.public_key_of(text)
    waiting = stores.get("Request", {})
    match = next((thumbprint for thumbprint, entry in waiting.items() if certificates.public_key_of(entry["der"]) == public_key), None)
    if match is None:
        raise _stop("-accept", "Cannot find object or property. 0x80092004 (-2146885628 CRYPT_E_NOT_FOUND)", 4)
    _need_chain(machine, certificate)
    entry = waiting.pop(match)
    entry["der"] = text
    stores.setdefault("My", {})[certificates.thumbprint_of(text)] = entry
    journal.write(machine, "certreq -accept")


def _need_chain(machine: Machine, certificate: x509.Certificate) -> None:
    """The computer's own stores must have the whole chain, and its end in Root. Dates do not count."""
    roots, others = ([certificate_of(one.der) for one in certificates.listed(machine, store) or []] for store in ("Root", "CA"))
    errors = build_chain([certificate], roots, others, machine.now()).errors
    if "PartialChain" in errors:
        message = "A certificate chain could not be built to a trusted root authority. 0x800b010a (-2146762486 CERT_E_CHAINING)"
        raise _stop("-accept", message, 10)
    if "UntrustedRoot" in errors:
        message = (
            "A certificate chain processed, but terminated in a root certificate which is not trusted by the trust provider. "
            "0x800b0109 (-2146762487 CERT_E_UNTRUSTEDROOT)"
        )
        raise _stop("-accept", message, 9)
