# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Certificates in files, as .NET reads them (X509Certificate2Collection.Import): one, or a PFX with its key; and how they get into a store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12

from ..machine import Machine
from . import certificates, journal, registry
from .errors import WindowsError
from .journal import find_key

_WINDOWS = r"HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion"
#: The last Windows Server that reads neither AES nor SHA-256 in a PFX: 2016.
_OLD_BUILD = "14393"
_PBES2 = bytes.fromhex("06092a864886f70d01050d")
_SHA1 = bytes.fromhex("06052b0e03021a")


@dataclass(frozen=True)
class Found:
    """A certificate of a file. `key`: PEM, where the file has it."""

    der: str
    friendly_name: str = ""
    key: str | None = None

    @property
    def thumbprint(self) -> str:
        return certificates.thumbprint_of(self.der)


def read(machine: Machine, data: bytes, password: str | None) -> list[Found]:
    """The certificates of a file's bytes: of a PFX those above it first, the one with the key last.

    :raises WindowsError: for a wrong password, a PFX that this Windows cannot read, and what is no certificate
    """
    certificate = certificates.load_certificate(data)
    if certificate is not None:
        return [Found(certificates.encode(certificate))]
    parts = _parts(data)
    if parts is None or parts[:1] != [b"\x02\x01\x03"]:
        raise _refused("Cannot find the requested object.\r\n", 0x80092009)
    if registry.value(machine, _WINDOWS, "CurrentBuild") == _OLD_BUILD and _is_modern(data, parts):
        raise _wrong_password()
    for tried in {(password or "").encode("utf-8"), *([] if password else [None])}:
        try:
            return _opened(pkcs12.load_pkcs12(data, tried))
        except (ValueError, UnsupportedAlgorithm):
            continue
    raise _wrong_password()


def _opened(opened: pkcs12.PKCS12KeyAndCertificates) -> list[Found]:
    found = [_found(one) for one in opened.additional_certs]
    if opened.cert is not None:
        key = opened.key
        pem = _pem(key) if isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) else None
        found.append(_found(opened.cert, pem))
    return found


def _pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode("ascii")


def _found(one: pkcs12.PKCS12Certificate, key: str | None = None) -> Found:
    name = one.friendly_name.decode("utf-8", "replace") if one.friendly_name else ""
    return Found(certificates.encode(one.certificate), name, key)


def add(machine: Machine, store: str, found: Found, *, exportable: bool, of_machine: bool) -> None:
    """Put a certificate into a store that is there, its key as well: the machine's, or the user's who runs this and no use to a service."""
    journal.check_fault(machine, f"import {store}")
    entry: dict[str, Any] = {"der": found.der, "has_private_key": found.key is not None, "friendly_name": found.friendly_name}
    if found.key is not None:
        entry |= {"key": found.key, "exportable": exportable}
        if not of_machine:
            entry["key_set"] = "user"
    certificates.stores(machine)[find_key(certificates.stores(machine), store) or store][found.thumbprint] = entry
    journal.write(machine, f"import {store}")


def remove(machine: Machine, store: str, thumbprint: str) -> None:
    """Take a certificate out of a store that has it."""
    spelled = find_key(certificates.stores(machine), store) or store
    journal.check_fault(machine, f"remove certificate {spelled}")
    found = certificates.stores(machine)[spelled]
    del found[find_key(found, thumbprint) or thumbprint]
    journal.write(machine, f"remove certificate {spelled}")


# --- what a PFX is made of -------------------------------------------------------------------------------------------


def _is_modern(data: bytes, parts: list[bytes]) -> bool:
    """Whether something in a PFX is encrypted with AES (PBES2), or its MAC is not of SHA-1."""
    return _PBES2 in data or (len(parts) > 2 and _SHA1 not in parts[2])


def _parts(data: bytes) -> list[bytes] | None:
    """The elements of the outermost SEQUENCE (DER), or None where that is not what it is."""
    try:
        content, _rest = _content(data, 0x30)
        parts = []
        while content:
            _inner, rest = _content(content)
            parts.append(content[: len(content) - len(rest)])
            content = rest
    except (IndexError, ValueError):
        return None
    return parts


def _content(data: bytes, tag: int | None = None) -> tuple[bytes, bytes]:
    """The content of the first element, and what comes after it."""
    if tag is not None and data[0] != tag:
        raise ValueError("another tag")
    size, start = data[1], 2
    if size & 0x80:
        start += size & 0x7F
        size = int.from_bytes(data[2:start], "big")
    if len(data) < start + size:
        raise ValueError("cut off")
    return data[start : start + size], data[start + size :]


def _wrong_password() -> WindowsError:
    return _refused("The specified network password is not correct.\r\n", 0x80070056)


def _refused(message: str, hresult: int) -> WindowsError:
    return WindowsError(message, "System.Security.Cryptography.CryptographicException", hresult)
