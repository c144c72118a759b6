# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Certificates as files have them: PEM, DER and PKCS #7, alone or with their chain; what they are, and who issued whom. No I/O.

What an authority is stands in RFC 5280: its basic constraints say so (4.2.1.9), and a root issued itself.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import hashlib
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from .certificates import CRYPTOGRAPHY_MISSING, utc

if not CRYPTOGRAPHY_MISSING:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, pkcs7

_PEM = re.compile(rb"-----BEGIN ((?:X509 |TRUSTED )?CERTIFICATE|PKCS7|CMS)-----(.*?)-----END \1-----", re.DOTALL)


_DAMAGED = "is no certificate in PEM, DER or PKCS #7 (or is damaged)"


class NoCertificate(ValueError):
    """What was handed in is no certificate, or cannot be used; a clause for an administrator."""


def thumbprint_of(der: str) -> str:
    """The thumbprint, as Windows has it, of a certificate in base64: SHA-1 of its DER, upper-case hex."""
    return hashlib.sha1(base64.b64decode(der), usedforsecurity=False).hexdigest().upper()


@dataclass(frozen=True)
class Found:
    """A certificate from a file. der: in base64; is_authority: whether it may issue others; is_root: whether it issued itself."""

    der: str
    thumbprint: str
    subject: str
    issuer: str
    is_authority: bool
    is_root: bool
    not_before: datetime.datetime
    not_after: datetime.datetime
    public_key: bytes


def read_certificates(data: bytes) -> list[Found]:
    """The certificates in a file's bytes, in the file's order and each once: PEM (any number), DER, or PKCS #7 in either form.

    Raises NoCertificate.
    """
    if b"PRIVATE KEY-----" in data:
        raise NoCertificate("has a private key in it, which has no business here: give the certificates alone")
    blocks = [match.group(2) for match in _PEM.finditer(data)]
    if b"-----BEGIN" in data and not blocks:
        raise NoCertificate("has no certificate in it")
    with warnings.catch_warnings():
        # The library warns of old certificates on the terminal; what matters of that is judged elsewhere.
        warnings.simplefilter("ignore")
        found = [_found(each) for part in [_decoded(block) for block in blocks] or [data] for each in _load(part)]
    if not found:
        raise NoCertificate("has no certificate in it")
    return list({each.thumbprint: each for each in found}.values())


def _decoded(block: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(block.split()), validate=True)
    except ValueError:
        raise NoCertificate(_DAMAGED) from None


def _load(part: bytes) -> list[x509.Certificate]:
    # Windows' tools write BEGIN CERTIFICATE above a chain in PKCS #7 as well, so the words above a block do not tell which it is.
    readers: list[Callable[[bytes], list[x509.Certificate]]] = [
        lambda data: [x509.load_der_x509_certificate(data)],
        pkcs7.load_der_pkcs7_certificates,
    ]
    for reader in readers:
        # ValueError, TypeError and UnsupportedAlgorithm have all been seen, and from Rust what is no Exception's usual kind either.
        try:
            return list(reader(part))
        except Exception:  # noqa: BLE001
            continue
    raise NoCertificate(_DAMAGED)


def _found(certificate: x509.Certificate) -> Found:
    try:
        der = base64.b64encode(certificate.public_bytes(Encoding.DER)).decode("ascii")
        return Found(
            der=der,
            thumbprint=thumbprint_of(der),
            subject=certificate.subject.rfc4514_string(),
            issuer=certificate.issuer.rfc4514_string(),
            is_authority=_is_authority(certificate),
            is_root=issued(certificate, certificate),
            not_before=utc(certificate, "not_valid_before"),
            not_after=utc(certificate, "not_valid_after"),
            public_key=certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        )
    except Exception as error:
        raise NoCertificate(f"has a certificate that cannot be read ({error})") from error


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return bool(certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except x509.ExtensionNotFound:
        # Version 1 has no extensions: a root of those days issued itself, and nothing else tells it.
        return certificate.version is x509.Version.v1 and certificate.subject == certificate.issuer


def issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    """Whether one certificate was issued by the key of another. By name alone where this library cannot check the signature."""
    try:
        if certificate.issuer != issuer.subject:
            return False
    except Exception:  # noqa: BLE001
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except InvalidSignature:
        return False
    except Exception:  # noqa: BLE001
        return True
    return True


def issuer_among(certificate: str, others: Iterable[str]) -> str | None:
    """Which of OTHERS issued CERTIFICATE (all in base64); None for none of them, and for a certificate that cannot be read."""
    mine = _loaded(certificate)
    if mine is None:
        return None
    return next((other for other in others if (theirs := _loaded(other)) is not None and issued(theirs, mine)), None)


def chain_among(certificate: str, others: Sequence[str]) -> list[str]:
    """The chain of CERTIFICATE as far as OTHERS has it: itself, who issued it, and so on, up to a root where it is there."""
    chain = [certificate]
    while True:
        above = issuer_among(chain[-1], others)
        if above is None or above in chain:
            return chain
        chain.append(above)


def leads_to(found: Sequence[str], authorities: Sequence[Found], *, partial: bool = False) -> bool:
    """Whether the chain FOUND (base64, the server's own first) ends in a root among these authorities, their intermediates helping. With PARTIAL
    any of them is an end, root or not."""
    if not found:
        return False
    roots = {each.der for each in authorities if each.is_root or partial}
    # An authority that was renewed with its key, or signed across, has several certificates: whichever of them leads on will do.
    left, to_follow = {*found[1:], *(each.der for each in authorities)}, [found[0]]
    while to_follow:
        one = to_follow.pop()
        if one in roots:
            return True
        above = [other for other in left if issuer_among(one, [other]) is not None]
        left.difference_update(above)
        to_follow += above
    return False


def public_key_of(der: str) -> bytes | None:
    """The public key (DER of its SubjectPublicKeyInfo) of a certificate in base64; None where it cannot be read."""
    loaded = _loaded(der)
    try:
        return loaded.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) if loaded else None
    except Exception:  # noqa: BLE001
        return None


@dataclass(frozen=True)
class Request:
    """A certificate request: whose key it is for, of which kind and length in bits that is (None for other kinds), and for which names."""

    public_key: bytes
    dns_names: tuple[str, ...]
    key: tuple[str, int] | None


def read_request(pem: str) -> Request | None:
    """A certificate request in PEM, as certreq writes it; None where it is none."""
    try:
        request = x509.load_pem_x509_csr(pem.replace("NEW CERTIFICATE REQUEST", "CERTIFICATE REQUEST").encode("ascii"))
        names: tuple[str, ...] = ()
        with contextlib.suppress(x509.ExtensionNotFound):
            names = tuple(request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName))
        key = request.public_key()
        return Request(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo), names, _kind(key))
    except Exception:  # noqa: BLE001
        return None


def _kind(key: object) -> tuple[str, int] | None:
    # As certreq calls them.
    if isinstance(key, rsa.RSAPublicKey):
        return "RSA", key.key_size
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1):
        return f"ECDSA_P{key.key_size}", key.key_size
    return None


def _loaded(der: str) -> x509.Certificate | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return x509.load_der_x509_certificate(base64.b64decode(der))
    except Exception:  # noqa: BLE001
        return None
