# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""TLS as Windows machines do it: serving a certificate of a store, and judging what another machine sends by this machine's stores."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import ssl
import tempfile
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

# Windows serves certificates that OpenSSL's default level refuses (RSA 1024, SHA-1): the lab does too, so that they can be found out.
_CIPHERS = "DEFAULT:@SECLEVEL=0"
_LONGEST_CHAIN = 8

#: The lowest and the highest version of TLS that a context takes: it takes all between them as well.
Versions = tuple[ssl.TLSVersion, ssl.TLSVersion]
#: The versions by number, from the oldest on.
VERSIONS = {
    "1.0": ssl.TLSVersion.TLSv1,
    "1.1": ssl.TLSVersion.TLSv1_1,
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}


@lru_cache(maxsize=4096)
def certificate_of(der: str) -> x509.Certificate:
    """A certificate from base64.

    :raises ValueError: when it is none
    """
    return x509.load_der_x509_certificate(base64.b64decode(der))


# --- serving ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Served:
    """A certificate that is served: itself and its intermediates, base64, and its key, PEM. Equal ones are the same."""

    chain: tuple[str, ...]
    key: str

    def context(self) -> ssl.SSLContext:
        """A new context that serves it.

        :raises ssl.SSLError: when certificate and key do not belong together
        """
        context = server_context()
        pem = "".join(ssl.DER_cert_to_PEM_cert(base64.b64decode(one)) for one in self.chain) + self.key
        # The ssl module reads keys from files only.
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write(pem)
            file.flush()
            context.load_cert_chain(file.name)
        return context


def server_context() -> ssl.SSLContext:
    """A server's context without a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers(_CIPHERS)
    return context


def take_versions(context: ssl.SSLContext, versions: Versions) -> None:
    """Have a context take these versions of TLS alone."""
    if versions[0] >= ssl.TLSVersion.TLSv1_2:
        context.minimum_version, context.maximum_version = versions
        return
    # Python warns of the old ones. What is ignored is so for the whole process meanwhile, and the lab has threads: only where it has to be.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version, context.maximum_version = versions


def choosing_context(default: Served | None, by_name: dict[str, Served], versions: Versions) -> ssl.SSLContext:
    """A context that serves by the name that is asked for (SNI), and DEFAULT for any other; without one it refuses the handshake.

    :raises ssl.SSLError: when a certificate and its key do not belong together
    """
    context = default.context() if default else server_context()
    take_versions(context, versions)
    contexts = {name.lower(): served.context() for name, served in by_name.items()}

    def choose(connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, _rest: ssl.SSLContext) -> int | None:
        chosen = contexts.get((name or "").lower())
        if chosen is not None:
            connection.context = chosen
            return None
        return None if default else ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

    if contexts:
        context.sni_callback = choose
    return context


# --- looking ---------------------------------------------------------------------------------------------------------


def client_context() -> ssl.SSLContext:
    """A client's context that takes any certificate: who is asked is judged afterwards. TLS 1.2, as the collection asks for."""
    return client_context_of("1.2")


def client_context_of(version: str) -> ssl.SSLContext:
    """The same for one version of TLS, by its number."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers(_CIPHERS)
    take_versions(context, (VERSIONS[version], VERSIONS[version]))
    return context


def can_ask(version: str) -> bool:
    """Whether this machine's OpenSSL offers a version of TLS at all: some distributions have taken the old ones out."""
    try:
        client_context_of(version).wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="nobody").do_handshake()
    except ssl.SSLWantReadError:
        return True
    except (ValueError, ssl.SSLError):
        return False
    return True


def sent_certificates(connection: ssl.SSLSocket) -> list[x509.Certificate]:
    """What the other side sent in the handshake, its own certificate first."""
    if hasattr(connection, "get_unverified_chain"):  # Python 3.13
        return [x509.load_der_x509_certificate(der) for der in connection.get_unverified_chain()]
    inner = cast(Any, connection)._sslobj
    return [x509.load_pem_x509_certificate(one.public_bytes().encode()) for one in inner.get_unverified_chain() or []]


@dataclass(frozen=True)
class Chain:
    """A chain as Windows builds it: its certificates from the leaf on, and what is wrong with it (X509ChainStatusFlags)."""

    certificates: tuple[x509.Certificate, ...]
    errors: tuple[str, ...]

    @property
    def trusted(self) -> bool:
        return not self.errors


def build_chain(
    sent: Sequence[x509.Certificate], roots: Sequence[x509.Certificate], others: Sequence[x509.Certificate], now: datetime
) -> Chain:
    """Build the chain of what was sent, with a computer's Root (ROOTS) and CA (OTHERS) stores, at a time."""
    chain, errors = [sent[0]], set()
    while len(chain) < _LONGEST_CHAIN:
        last = chain[-1]
        if last in roots:
            break
        if _issued(last, last):
            errors.add("UntrustedRoot")
            break
        issuer = next((one for one in (*roots, *others, *sent[1:]) if _issued(last, one)), None)
        if issuer is None:
            errors.add("PartialChain")
            break
        chain.append(issuer)
    if any(not one.not_valid_before_utc <= now.astimezone(UTC) <= one.not_valid_after_utc for one in chain):
        errors.add("NotTimeValid")
    return Chain(tuple(chain), tuple(sorted(errors)))


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    if certificate.issuer != issuer.subject:
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except InvalidSignature:
        return False
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return True  # signed in a way that this library no longer checks: the name has to do
    return True


def name_fits(certificate: x509.Certificate, host_name: str) -> bool:
    """Whether a certificate is for HOST_NAME as Windows clients match: its DNS names, or without any its common name.

    A wildcard covers one label.
    """
    wanted = host_name.lower().rstrip(".")
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        names = None
    try:
        address = ipaddress.ip_address(wanted)
    except ValueError:
        pass
    else:
        return names is not None and address in names.get_values_for_type(x509.IPAddress)
    dns_names: Iterable[str] = names.get_values_for_type(x509.DNSName) if names is not None else []
    if not dns_names:
        dns_names = [str(one.value) for one in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    return any(_matches(name.lower().rstrip("."), wanted) for name in dns_names)


def _matches(name: str, wanted: str) -> bool:
    if name.startswith("*."):
        label, dot, rest = wanted.partition(".")
        return bool(label and dot) and rest == name[2:]
    return name == wanted


def base64_of(certificate: x509.Certificate) -> str:
    """A certificate's DER in base64, as documents and states have it."""
    return base64.b64encode(certificate.public_bytes(Encoding.DER)).decode("ascii")


def thumbprint(certificate: x509.Certificate) -> str:
    """SHA-1 of the DER in upper-case hex, as Windows names a certificate."""
    return hashlib.sha1(certificate.public_bytes(Encoding.DER), usedforsecurity=False).hexdigest().upper()


def write_pem(path: Path, certificates: Iterable[x509.Certificate]) -> None:
    """Write certificates to a file, PEM."""
    path.write_text("".join(one.public_bytes(Encoding.PEM).decode("ascii") for one in certificates), encoding="ascii")
