# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The computer's certificate stores: `certificates` of the document has stores by name, and in each its certificates by thumbprint.

An entry has `der` (base64), `has_private_key` (that there should be a key), `key` (PEM: the key that there is) and `friendly_name`. Where it
came with its key from a PFX, also `exportable`, and `key_set` (`user`) where the key is not the machine's.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ..machine import Machine
from . import journal
from .errors import WindowsError, item_missing, thrown
from .journal import find_key

PLACE = "Cert:\\LocalMachine\\"
STATE_STORES = ("My", "WebHosting", "Request")
TRUST_STORES = ("Root", "CA", "WindowsServerUpdateServices")
# Many machines of a fleet share their authorities' certificates, and every state has all of its machine's.
_CACHED = 16384


@dataclass(frozen=True)
class Certificate:
    """A certificate of a store, as the Cert: drive gives it."""

    store: str
    thumbprint: str
    der: str
    has_private_key: bool
    key: str | None
    friendly_name: str

    @property
    def key_usable(self) -> bool:
        """Whether the key can really be opened, and is this certificate's."""
        return self.has_private_key and self.key is not None and _belongs(self.der, self.key)


@lru_cache(maxsize=_CACHED)
def thumbprint_of(der: str) -> str:
    """A certificate's thumbprint, from base64."""
    return hashlib.sha1(base64.b64decode(der), usedforsecurity=False).hexdigest().upper()


@lru_cache(maxsize=_CACHED)
def public_key_of(der: str) -> bytes | None:
    """A certificate's public key (DER), from base64; None where it cannot be read."""
    try:
        return _public(x509.load_der_x509_certificate(base64.b64decode(der)).public_key())
    except (ValueError, UnsupportedAlgorithm):
        return None


@lru_cache(maxsize=_CACHED)
def _belongs(der: str, key: str) -> bool:
    try:
        private = serialization.load_pem_private_key(key.encode(), None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return isinstance(private, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) and _public(private.public_key()) == public_key_of(der)


def _public(key: Any) -> bytes:
    found: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return found


# --- reading ---------------------------------------------------------------------------------------------------------


def stores(machine: Machine) -> dict[str, Any]:
    """All stores."""
    found: dict[str, Any] = machine.document.setdefault("certificates", {})
    return found


def listed(machine: Machine, store: str) -> list[Certificate] | None:
    """The certificates of a store, or None where there is no such store."""
    spelled = find_key(stores(machine), store)
    if spelled is None:
        return None
    return [
        Certificate(
            store=spelled,
            thumbprint=thumbprint_of(entry["der"]),
            der=entry["der"],
            has_private_key=entry.get("has_private_key", False),
            key=entry.get("key"),
            friendly_name=entry.get("friendly_name") or "",
        )
        for entry in stores(machine)[spelled].values()
    ]


def find(machine: Machine, store: str, thumbprint: str) -> Certificate | None:
    """One certificate of a store, or None."""
    wanted = thumbprint.casefold()
    spelled = find_key(stores(machine), store)
    if spelled is None or find_key(stores(machine)[spelled], thumbprint) is None:
        return None
    return next((one for one in listed(machine, store) or [] if one.thumbprint.casefold() == wanted), None)


def read(machine: Machine) -> list[dict[str, Any]]:
    """The `certificates` of a state."""
    return [
        {
            "store": name,
            "thumbprint": one.thumbprint,
            "der": one.der,
            "has_private_key": one.has_private_key,
            "key_usable": one.key_usable,
            "friendly_name": one.friendly_name,
        }
        for name in STATE_STORES
        for one in listed(machine, name) or []
    ]


def trusting_stores(machine: Machine, thumbprint: str) -> list[str]:
    """Those of the stores that make a certificate trusted which have this one."""
    return [store for store in TRUST_STORES if _has(machine, store, thumbprint)]


def _has(machine: Machine, store: str, thumbprint: str) -> bool:
    spelled = find_key(stores(machine), store)
    return spelled is not None and find_key(stores(machine)[spelled], thumbprint) is not None


def thumbprints(machine: Machine, store: str) -> list[str]:
    """Thumbprints of a store's certificates; an error where there is no such store."""
    found = listed(machine, store)
    if found is None:
        raise item_missing(PLACE + store)
    return [one.thumbprint for one in found]


# --- changing --------------------------------------------------------------------------------------------------------


def rename(machine: Machine, store: str, thumbprint: str, friendly_name: str) -> None:
    """Give a certificate another friendly name."""
    if find_key(stores(machine), store) is None:
        raise item_missing(f"{PLACE}{store}\\{thumbprint}")
    found = find(machine, store, thumbprint)
    if found is None:
        raise thrown("The property 'FriendlyName' cannot be found on this object. Verify that the property exists and can be set.")
    journal.check_fault(machine, "name certificate")
    stores(machine)[found.store][found.thumbprint]["friendly_name"] = friendly_name or ""
    journal.write(machine, "name certificate")


def remove(machine: Machine, store: str, thumbprint: str) -> None:
    """Take a certificate away, its key as well."""
    spelled = find_key(stores(machine), store)
    if spelled is None or thumbprint not in stores(machine)[spelled]:
        raise item_missing(f"{PLACE}{store}\\{thumbprint}")
    journal.check_fault(machine, f"remove certificate {spelled}")
    del stores(machine)[spelled][thumbprint]
    journal.write(machine, f"remove certificate {spelled}")


def trust(machine: Machine, store: str, der: str) -> None:
    """Put a certificate (base64) into a store, which is made where there is none."""
    if find_key(stores(machine), store) is None:
        journal.check_fault(machine, f"create store {store}")
        stores(machine)[store] = {}
        journal.write(machine, f"create store {store}")
    raw = decode(der)
    certificate = load_certificate(raw)
    if certificate is None:
        raise WindowsError("Cannot find the requested object.", "System.Security.Cryptography.CryptographicException", 0x80092009)
    if store not in stores(machine):
        raise item_missing(PLACE + store)
    journal.check_fault(machine, f"import {store}")
    text = encode(certificate)
    stores(machine)[store][thumbprint_of(text)] = {"der": text, "has_private_key": False, "friendly_name": ""}
    journal.write(machine, f"import {store}")


def decode(text: str) -> bytes:
    """Bytes from base64, white space allowed."""
    try:
        return base64.b64decode(re.sub(r"\s", "", text), validate=True)
    except binascii.Error:
        message = (
            "The input is not a valid Base-64 string as it contains a non-base 64 character, more than two padding characters, "
            "or an illegal character among the padding characters."
        )
        raise WindowsError(message, "System.FormatException", 0x80131537) from None


def load_certificate(raw: bytes) -> x509.Certificate | None:
    """A certificate from a file's bytes, DER or PEM; None where they are none."""
    try:
        return x509.load_pem_x509_certificate(raw) if raw.lstrip().startswith(b"-----") else x509.load_der_x509_certificate(raw)
    except ValueError:
        return None


def encode(certificate: x509.Certificate) -> str:
    """A certificate's DER in base64, as documents have it."""
    return base64.b64encode(certificate.public_bytes(Encoding.DER)).decode("ascii")
