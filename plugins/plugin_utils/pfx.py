# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A PFX (PKCS #12), opened and looked at on the controller before it goes anywhere. No I/O; errors never carry anything of what is inside."""

from __future__ import annotations

from .authorities import NoCertificate, read_certificates
from .certificates import CRYPTOGRAPHY_MISSING
from .enrollment import Pfx

if not CRYPTOGRAPHY_MISSING:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, KeySerializationEncryption, PrivateFormat, pkcs12

# Object identifiers as they stand in DER, outside of what is encrypted: PBES2 (which AES needs), and SHA-256 as the digest of the MAC.
_PBES2 = bytes.fromhex("06092a864886f70d01050d")
_SHA256 = bytes.fromhex("0609608648016503040201")


class BadPfx(ValueError):
    """What is wrong with a PFX; a clause for an administrator."""


def open_pfx(data: bytes, password: str | None, file: str) -> Pfx:
    """What is in a PFX. FILE is for the words.

    Raises BadPfx: it is none, the password is wrong or missing, it has no private key or no certificate for it.
    """
    if not password:
        raise BadPfx("needs a password (pfx_password): a private key does not travel without one")
    key, certificate, others = _load(data, password)
    if key is None:
        raise BadPfx("has no private key in it: export it with its private key")
    if certificate is None:
        raise BadPfx("has no certificate for the private key in it")
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise BadPfx("has a private key that is neither RSA nor elliptic, which IIS cannot serve")
    try:
        leaf, *rest = (read_certificates(each.public_bytes(Encoding.DER))[0] for each in (certificate, *others))
    except NoCertificate as error:
        raise BadPfx(str(error)) from None
    return Pfx(file, leaf, tuple(rest), _PBES2 in data or _SHA256 in data)


def leaf_alone(data: bytes, password: str, friendly_name: str) -> bytes:
    """The same PFX with the certificate and its key alone, under the same password: what installs a PFX puts all that is in it in one store,
    and authorities do not belong in Personal. Encrypted as well as the one that came, so that who could read that can read this.

    Raises BadPfx.
    """
    key, certificate, _others = _load(data, password)
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) or certificate is None:
        raise BadPfx("has no certificate with its private key in it")
    secret = password.encode("utf-8")
    how: KeySerializationEncryption = BestAvailableEncryption(secret)
    if _PBES2 not in data and _SHA256 not in data:
        builder = PrivateFormat.PKCS12.encryption_builder().kdf_rounds(50000)
        how = builder.key_cert_algorithm(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC).hmac_hash(hashes.SHA1()).build(secret)
    return pkcs12.serialize_key_and_certificates(friendly_name.encode("utf-8"), key, certificate, None, how)


def _load(data: bytes, password: str) -> tuple[object, x509.Certificate | None, list[x509.Certificate]]:
    try:
        return pkcs12.load_key_and_certificates(data, password.encode("utf-8"))
    except (ValueError, TypeError) as error:
        if b"-----BEGIN" in data[:4096]:
            raise BadPfx("is PEM, not a PFX (PKCS #12)") from None
        if "password" in str(error).lower():
            raise BadPfx("cannot be opened: the password is wrong") from None
        raise BadPfx("is no PFX (PKCS #12), or is damaged") from None
