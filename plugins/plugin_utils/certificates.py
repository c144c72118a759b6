# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Certificates of a WSUS server: read them, judge whether one can serve a name, choose the best one.

Pure: no I/O, no Ansible, and the time is always handed in. A certificate arrives as an entry of the state document
(`store`, `thumbprint`, `der` in base64, `has_private_key`, `key_usable`, `friendly_name`).

The rules and their sources:

- it lies in the computer's Personal store, and its name is the server's FQDN [BP]; other names belong in the SAN [PERF];
- Windows clients match the SAN where there is one, and a wildcard covers one label; only without any SAN the common
  name counts;
- its purpose is Server Authentication [BP]. A certificate without an Extended Key Usage extension is good for every
  purpose (Microsoft's reference of CertGetEnhancedKeyUsage; KB 4055269: such certificates continue to authenticate).
  One whose extension says only "any purpose" (2.5.29.37.0) is not taken: KB 4055269 wants Server Authentication to
  be named, RFC 5280 (4.2.1.12) leaves it to the application, and OpenSSL refuses it;
- RSA 2048, P-256 or better, and a signature of SHA-256 or better: the project's own floor. A self-signed server
  certificate is held to it too.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import re
import warnings
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

try:
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
except ImportError as error:
    CRYPTOGRAPHY_MISSING: ImportError | None = error
else:
    CRYPTOGRAPHY_MISSING = None

PERSONAL_STORE = "My"

_CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
_SHA_2 = re.compile(r"^(SHA)(\d{1,3})$")  # here and not where it is used: Ansible's workers, one for each host, find it made
_LEAST_RSA_BITS = 2048
_STRONG_SIGNATURES = ("SHA-256", "SHA-384", "SHA-512", "SHA3-256", "SHA3-384", "SHA3-512")


class CryptographyMissing(RuntimeError):
    """The controller lacks the library that certificates are read with."""


@dataclass(frozen=True)
class Certificate:
    """A certificate in one of the computer's stores, read.

    thumbprint: upper-case hex; empty while the certificate is only promised.
    dns_names: those of the SAN; `None` where there is no SAN extension, empty where it names no DNS name.
    not_before, not_after: aware, UTC; `None` where it could not be read or is only promised.
    key: "RSA 2048", "P-256", ...; signature: the hash that it is signed with, "SHA-256", ...
    server_authentication: whether its purposes allow it to serve TLS.
    problem: why it could not be read; the fields that come from inside it are then empty.
    promised: a step before this one will bring it (check mode); nothing is known of it yet, and it fits everything.
    """

    store: str
    thumbprint: str
    friendly_name: str
    subject: str = ""
    issuer: str = ""
    common_name: str | None = None
    issuer_common_name: str | None = None
    dns_names: tuple[str, ...] | None = None
    not_before: datetime | None = None
    not_after: datetime | None = None
    key: str = ""
    signature: str = ""
    server_authentication: bool = False
    has_private_key: bool = False
    key_usable: bool = False
    problem: str | None = None
    promised: bool = False


@dataclass(frozen=True)
class Choice:
    """What was chosen, and every other certificate of the Personal store with the reasons against it.

    A certificate that fits but ends earlier than the chosen one is passed over with that as its reason.
    """

    certificate: Certificate | None
    passed_over: tuple[tuple[Certificate, tuple[str, ...]], ...]


def parse(entry: Mapping[str, Any]) -> Certificate:
    """Read one certificate of the state document.

    Bad data never raises: `problem` says what is wrong with it. An entry with neither thumbprint nor `der` is a
    promised certificate. Raises `CryptographyMissing` where the controller lacks the library.
    """
    der, thumbprint = entry.get("der"), entry.get("thumbprint")
    outside = Certificate(
        store=str(entry.get("store") or ""),
        thumbprint=str(thumbprint or "").upper(),
        friendly_name=str(entry.get("friendly_name") or ""),
        has_private_key=bool(entry.get("has_private_key")),
        key_usable=bool(entry.get("key_usable")),
    )
    if der is None and thumbprint is None:
        return replace(outside, promised=True)
    if CRYPTOGRAPHY_MISSING:
        raise CryptographyMissing("the Python library cryptography is needed on the controller") from CRYPTOGRAPHY_MISSING
    # What one CA or another once issued must not stop the others from being read, whatever the library makes of it:
    # ValueError, TypeError, UnsupportedAlgorithm, InvalidVersion and DuplicateExtension have all been seen to come up.
    try:
        return _read(outside, base64.b64decode(der or "", validate=True))
    except Exception as error:  # noqa: BLE001
        return replace(outside, problem=f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)


@functools.lru_cache(maxsize=256)  # one machine's are read again and again while it is judged
def _read(outside: Certificate, der: bytes) -> Certificate:
    if not der:
        raise ValueError("there is no certificate in the entry")
    with warnings.catch_warnings():
        # The library warns of old certificates on the terminal; what matters of that is judged here.
        warnings.simplefilter("ignore")
        certificate = x509.load_der_x509_certificate(der)
        return replace(
            outside,
            thumbprint=outside.thumbprint or hashlib.sha1(der, usedforsecurity=False).hexdigest().upper(),
            subject=certificate.subject.rfc4514_string(),
            issuer=certificate.issuer.rfc4514_string(),
            common_name=_common_name(certificate.subject),
            issuer_common_name=_common_name(certificate.issuer),
            dns_names=_dns_names(certificate),
            not_before=utc(certificate, "not_valid_before"),
            not_after=utc(certificate, "not_valid_after"),
            key=_key(certificate),
            signature=_signature(certificate),
            server_authentication=_serves(certificate),
        )


def _common_name(name: x509.Name) -> str | None:
    # RFC 6125, 2.3.1: of several, the most specific one, which is the last.
    values = [str(attribute.value) for attribute in name.get_attributes_for_oid(NameOID.COMMON_NAME)]
    return values[-1] if values else None


def _dns_names(certificate: x509.Certificate) -> tuple[str, ...] | None:
    try:
        san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return None
    return tuple(san.value.get_values_for_type(x509.DNSName))


def utc(certificate: x509.Certificate, name: str) -> datetime:
    """A date of a certificate, NAME being not_valid_before or not_valid_after: aware, UTC."""
    # cryptography before 42 has only the naive attributes, also in UTC.
    aware: datetime | None = getattr(certificate, f"{name}_utc", None)
    naive: datetime = aware if aware is not None else getattr(certificate, name)
    return naive.replace(tzinfo=UTC)


def _key(certificate: x509.Certificate) -> str:
    try:
        key = certificate.public_key()
    except UnsupportedAlgorithm:
        return "of a kind that is not known"
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return _CURVES.get(key.curve.name, key.curve.name)
    if isinstance(key, dsa.DSAPublicKey):
        return f"DSA {key.key_size}"
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "Ed25519"
    return "Ed448" if isinstance(key, ed448.Ed448PublicKey) else type(key).__name__


def _signature(certificate: x509.Certificate) -> str:
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        algorithm = None
    if algorithm is None:
        return certificate.signature_algorithm_oid.dotted_string
    return _SHA_2.sub(r"\1-\2", algorithm.name.upper())


def _serves(certificate: x509.Certificate) -> bool:
    try:
        purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound:
        return True
    return ExtendedKeyUsageOID.SERVER_AUTH in purposes.value


def covers(certificate: Certificate, name: str) -> bool:
    """Whether a Windows client that asks for `name` takes this certificate as that server's.

    The DNS names of the SAN where there is a SAN, else the common name. A wildcard stands for exactly one label and
    only as the whole leftmost one. Case and a trailing dot do not matter; international names are compared as A-labels.
    """
    if certificate.promised:
        return True
    return any(_matches(pattern, name) for pattern in _names(certificate))


def bears(certificate: Certificate, name: str) -> bool:
    """Whether a name that was asked for is in the certificate: a host name as C(covers) has it, a wildcard itself."""
    if certificate.promised or "*" not in name:
        return covers(certificate, name)
    return any(_labels(pattern) == _labels(name) for pattern in _names(certificate))


def _names(certificate: Certificate) -> tuple[str, ...]:
    if certificate.dns_names is not None:
        return certificate.dns_names
    return () if certificate.common_name is None else (certificate.common_name,)


def _matches(pattern: str, name: str) -> bool:
    wanted, offered = _labels(name), _labels(pattern)
    if not all(wanted) or "*" in name:
        return False
    if offered[0] == "*" and len(offered) > 1:
        return wanted[1:] == offered[1:]
    return wanted == offered


def _labels(name: str) -> list[str]:
    return [_a_label(label) for label in name.strip().rstrip(".").split(".")]


def _a_label(label: str) -> str:
    if label.isascii():
        return label.lower()
    try:
        return label.encode("idna").decode("ascii").lower()
    except UnicodeError:
        return label.lower()


def reasons_against(certificate: Certificate, name: str, now: datetime, min_days_valid: int) -> list[str]:
    """Why it cannot serve `name`: short clauses for an administrator; empty if it can.

    now: aware. min_days_valid: how many days from now on it must still be valid.
    """
    if certificate.promised:
        return []
    if certificate.problem is not None or certificate.not_before is None or certificate.not_after is None:
        return [f"cannot be read ({certificate.problem or 'no dates'})"]
    reasons = []
    if not certificate.has_private_key:
        reasons.append("has no private key")
    elif not certificate.key_usable:
        reasons.append("its private key cannot be opened")
    if not certificate.server_authentication:
        reasons.append("is not for Server Authentication")
    if not covers(certificate, name):
        reasons.append(_for_other_names(certificate, name))
    if now > certificate.not_after:
        reasons.append(f"expired on {_day(certificate.not_after)}")
    elif now < certificate.not_before:
        reasons.append(f"is not valid before {_day(certificate.not_before)}")
    elif (days := _days_left(certificate.not_after, now)) < min_days_valid:
        reasons.append(f"has only {days} days left, until {_day(certificate.not_after)}, fewer than {min_days_valid}")
    if not _key_is_strong(certificate.key):
        reasons.append(f"its key is {certificate.key}, less than RSA {_LEAST_RSA_BITS} or P-256")
    if certificate.signature not in _STRONG_SIGNATURES:
        reasons.append(f"is signed with {certificate.signature}, less than SHA-256")
    return reasons


def _for_other_names(certificate: Certificate, name: str) -> str:
    names = ", ".join(_names(certificate)) or "no DNS name"
    if certificate.dns_names is None and certificate.common_name is not None:
        names += " (its common name: it has no SAN)"
    return f"is for {names}, not for {name}"


def _key_is_strong(key: str) -> bool:
    return key in _CURVES.values() or (key.startswith("RSA ") and int(key.removeprefix("RSA ")) >= _LEAST_RSA_BITS)


def _days_left(not_after: datetime, now: datetime) -> int:
    """Whole days; negative once it has expired."""
    return (not_after - now) // timedelta(days=1)


def _day(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d")


def choose(
    entries: Iterable[Mapping[str, Any]],
    name: str,
    now: datetime,
    min_days_valid: int = 14,
    *,
    issuer: str | None = None,
    friendly_name: str | None = None,
    other_names: Iterable[str] = (),
    without: Container[str] = (),
) -> Choice:
    """Choose the certificate that serves `name` best, among those of the computer's Personal store.

    issuer: the issuer's common name ("Corp Issuing CA"), or one or more attributes of its distinguished name
    ("CN=Corp Issuing CA, O=Corp"), in any order; whole values, so that "CA 1" is not "CA 10".
    friendly_name: the whole friendly name. Both are compared without regard to case.
    other_names: names that it has to cover as well, a wildcard by itself. without: thumbprints of certificates that are not to be taken.
    Of several that fit the one that is valid longest is taken, of these the one with the larger thumbprint. One that
    is only promised comes before any other: it is the newest there will be, and where it comes from its issuer and
    name are known.
    """
    candidates = [each for each in map(parse, entries) if each.store.lower() == PERSONAL_STORE.lower()]
    candidates.sort(key=_rank, reverse=True)
    chosen: Certificate | None = None
    passed_over: list[tuple[Certificate, tuple[str, ...]]] = []
    for candidate in candidates:
        reasons = reasons_against(candidate, name, now, min_days_valid) + not_asked_for(candidate, issuer, friendly_name, other_names)
        if candidate.thumbprint in without:
            reasons.append("is to be replaced")
        if not reasons and chosen is None:
            chosen = candidate
        elif not reasons and chosen is not None:
            reasons = [f"would serve too, but does not last longer than {chosen.thumbprint or 'the one still to come'}"]
        if reasons:
            passed_over.append((candidate, tuple(reasons)))
    return Choice(chosen, tuple(passed_over))


def _rank(certificate: Certificate) -> tuple[bool, datetime, str]:
    return certificate.promised, certificate.not_after or datetime.min.replace(tzinfo=UTC), certificate.thumbprint


def not_asked_for(certificate: Certificate, issuer: str | None, friendly_name: str | None, other_names: Iterable[str] = ()) -> list[str]:
    """Why a certificate is not one of those that were asked for by issuer, friendly name and other names (see `choose`); empty if it is."""
    if certificate.promised or certificate.problem is not None:
        return []
    reasons = [_for_other_names(certificate, name) for name in other_names if not bears(certificate, name)]
    if issuer and not _issued_by(certificate, issuer):
        reasons.append(f"was issued by {certificate.issuer or 'nobody'}, not by {issuer}")
    if friendly_name and certificate.friendly_name.lower() != friendly_name.lower():
        reasons.append(f"has the friendly name {certificate.friendly_name!r}, not {friendly_name!r}")
    return reasons


def _issued_by(certificate: Certificate, issuer: str) -> bool:
    if certificate.issuer_common_name is not None and certificate.issuer_common_name.lower() == issuer.strip().lower():
        return True
    return _attributes(issuer) <= _attributes(certificate.issuer)


def _attributes(distinguished_name: str) -> set[str]:
    """The attributes of a distinguished name as RFC 4514 writes it; a comma inside a value is escaped there."""
    return {part.strip().lower() for part in re.split(r"(?<!\\)[,+]", distinguished_name)}


def summary(certificate: Certificate, name: str, now: datetime, min_days_valid: int) -> dict[str, Any]:
    """The certificate in plain JSON types, with the verdict whether it can serve `name`.

    Dates are ISO 8601 in UTC; `days_left` is whole days, negative once it has expired.
    """
    reasons = reasons_against(certificate, name, now, min_days_valid)
    return {
        "store": certificate.store,
        "thumbprint": certificate.thumbprint or None,
        "friendly_name": certificate.friendly_name,
        "subject": certificate.subject,
        "issuer": certificate.issuer,
        "common_name": certificate.common_name,
        "dns_names": None if certificate.dns_names is None else list(certificate.dns_names),
        "not_before": _iso(certificate.not_before),
        "not_after": _iso(certificate.not_after),
        "days_left": None if certificate.not_after is None else _days_left(certificate.not_after, now),
        "key": certificate.key,
        "signature": certificate.signature,
        "server_authentication": certificate.server_authentication,
        "has_private_key": certificate.has_private_key,
        "key_usable": certificate.key_usable,
        "problem": certificate.problem,
        "promised": certificate.promised,
        "serves": not reasons,
        "reasons": reasons,
    }


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%SZ")
