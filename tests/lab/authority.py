# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A certificate authority for the lab and for the tests: real keys, real X.509, nothing kept on disk.

What it issues is what a Windows CA would issue for WSUS, and on request what it should not have: expired, for another
name, for another purpose, with a key that is too short, signed with SHA-1.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

KeyKind = Literal["ec256", "ec384", "rsa2048", "rsa1024"]
SignatureKind = Literal["sha256", "sha1"]
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey

_rsa_slots = itertools.count()
_RSA_POOL = 4


@cache
def _pooled_rsa_key(bits: int, slot: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def _new_key(kind: KeyKind) -> PrivateKey:
    """A private key. RSA keys are slow to make, so a process has few of each size and hands them out in turn."""
    if kind == "ec256":
        return ec.generate_private_key(ec.SECP256R1())
    if kind == "ec384":
        return ec.generate_private_key(ec.SECP384R1())
    if kind in {"rsa2048", "rsa1024"}:
        return _pooled_rsa_key(int(kind.removeprefix("rsa")), next(_rsa_slots) % _RSA_POOL)
    raise ValueError(f"unknown kind of key: {kind}")


def _key_pem(key: PrivateKey) -> str:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode("ascii")


def _certificate_pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")


def _subject(common_name: str | None) -> x509.Name:
    return x509.Name([] if common_name is None else [x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


# AlgorithmIdentifiers in DER, for RSA (with its NULL parameters) and for ECDSA (RFC 3279, RFC 4055, RFC 5758).
_SHA256_RSA = bytes.fromhex("300d06092a864886f70d01010b0500")
_SHA1_RSA = bytes.fromhex("300d06092a864886f70d0101050500")
_SHA256_ECDSA = bytes.fromhex("300a06082a8648ce3d040302")
_SHA1_ECDSA = bytes.fromhex("300906072a8648ce3d0401")


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def _der_content(element: bytes) -> bytes:
    long_form = element[1] & 0x7F if element[1] & 0x80 else 0
    return element[2 + long_form :]


def _signed_again_with_sha1(certificate: x509.Certificate, signer: PrivateKey) -> x509.Certificate:
    """The same certificate with a SHA-1 signature: `CertificateBuilder` refuses to make one, the keys still can."""
    is_rsa = isinstance(signer, rsa.RSAPrivateKey)
    old, new = (_SHA256_RSA, _SHA1_RSA) if is_rsa else (_SHA256_ECDSA, _SHA1_ECDSA)
    to_be_signed = _der(0x30, _der_content(certificate.tbs_certificate_bytes).replace(old, new, 1))
    if isinstance(signer, rsa.RSAPrivateKey):
        signature = signer.sign(to_be_signed, padding.PKCS1v15(), hashes.SHA1())
    else:
        signature = signer.sign(to_be_signed, ec.ECDSA(hashes.SHA1()))
    return x509.load_der_x509_certificate(_der(0x30, to_be_signed + new + _der(0x03, b"\0" + signature)))


@dataclass(frozen=True)
class Issued:
    """A certificate that an authority issued, with its private key (PKCS #8, PEM, no password), and the certificates above it."""

    certificate: x509.Certificate
    key_pem: str
    intermediates: tuple[x509.Certificate, ...] = ()
    root: x509.Certificate | None = None

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def der_base64(self) -> str:
        return base64.b64encode(self.der).decode("ascii")

    @property
    def thumbprint(self) -> str:
        """SHA-1 of the DER in upper-case hex, as Windows names a certificate."""
        return hashlib.sha1(self.der, usedforsecurity=False).hexdigest().upper()

    @property
    def certificate_pem(self) -> str:
        return _certificate_pem(self.certificate)

    @property
    def chain_pem(self) -> str:
        """What a TLS server sends: the certificate and the intermediates, without the root."""
        return "".join(_certificate_pem(each) for each in (self.certificate, *self.intermediates))

    def pfx(
        self,
        password: str,
        *,
        modern: bool = True,
        chain: bool = True,
        root: bool = False,
        key: bool = True,
        friendly_name: str | None = None,
    ) -> bytes:
        """A PFX (PKCS #12) of it. `modern`: AES-256 and SHA-256, which Server 2016 cannot read; else 3DES and SHA-1.

        chain: with the intermediates; root: with the root; key: with the private key.
        """
        above = [*(self.intermediates if chain else ()), *([self.root] if root and self.root is not None else [])]
        private = serialization.load_pem_private_key(self.key_pem.encode("ascii"), None) if key else None
        if not isinstance(private, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | None):
            raise TypeError("The key is neither RSA nor elliptic.")
        algorithm = pkcs12.PBES.PBESv2SHA256AndAES256CBC if modern else pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC
        digest = hashes.SHA256() if modern else hashes.SHA1()
        # Few rounds: a lab's secrets need no more, and tests are faster.
        encryption = serialization.PrivateFormat.PKCS12.encryption_builder().kdf_rounds(2000).key_cert_algorithm(algorithm).hmac_hash(digest)
        name = None if friendly_name is None else friendly_name.encode("utf-8")
        return pkcs12.serialize_key_and_certificates(name, private, self.certificate, above, encryption.build(password.encode("utf-8")))


@dataclass(frozen=True)
class Authority:
    """A root or an intermediate authority. `chain`: its own certificate first, the root's last."""

    certificate: x509.Certificate
    key: PrivateKey
    chain: tuple[x509.Certificate, ...]

    @classmethod
    def create(cls, common_name: str, key: KeyKind = "ec256", parent: Authority | None = None) -> Authority:
        """A new authority, valid from ten years ago to ten years from now; with a `parent` an intermediate one."""
        # Not from the pool: an authority never shares its key with what it issues.
        private = rsa.generate_private_key(65537, int(key.removeprefix("rsa"))) if key.startswith("rsa") else _new_key(key)
        now = datetime.now(UTC).replace(microsecond=0)
        subject = _subject(common_name)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(parent.certificate.subject if parent else subject)
            .public_key(private.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=3650))
            .not_valid_after(now + timedelta(days=3650))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_key_usage(authority=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(private.public_key()), critical=False)
        )
        if parent:
            builder = builder.add_extension(_issuer_key(parent.key), critical=False)
        certificate = builder.sign(parent.key if parent else private, hashes.SHA256())
        return cls(certificate, private, (certificate, *(parent.chain if parent else ())))

    @property
    def certificate_pem(self) -> str:
        return _certificate_pem(self.certificate)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    def issue(
        self,
        common_name: str | None = None,
        dns_names: Iterable[str] = (),
        *,
        ip_addresses: Iterable[str] = (),
        not_before: datetime | None = None,
        not_after: datetime | None = None,
        key: KeyKind = "ec256",
        server_authentication: bool | None = True,
        signature: SignatureKind = "sha256",
    ) -> Issued:
        """Issue a certificate.

        common_name: None leaves the subject empty. Without any DNS name or address there is no SAN extension.
        not_before, not_after: aware; by default from yesterday for one year.
        server_authentication: False gives Client Authentication alone, None no Extended Key Usage extension at all.
        """
        private = _new_key(key)
        now = datetime.now(UTC).replace(microsecond=0)
        names: list[x509.GeneralName] = [x509.DNSName(name) for name in dns_names]
        names += [x509.IPAddress(ip_address(address)) for address in ip_addresses]
        certificate = self._signed(
            _subject(common_name),
            private.public_key(),
            names,
            not_before=not_before or now - timedelta(days=1),
            not_after=not_after or now + timedelta(days=365),
            server_authentication=server_authentication,
        )
        if signature == "sha1":
            certificate = _signed_again_with_sha1(certificate, self.key)
        return Issued(certificate, _key_pem(private), self.chain[:-1], self.chain[-1])

    def sign(
        self,
        request_pem: str,
        *,
        dns_names: Iterable[str] | None = None,
        days: float = 365,
        server_authentication: bool | None = True,
        common_name: str | None = None,
        now: datetime | None = None,
    ) -> x509.Certificate:
        """Issue what a request (PKCS #10, PEM) asks for: its key, its subject, its names.

        dns_names, common_name: instead of those of the request; no names at all give a certificate without the SAN extension.
        days: how long it is valid from NOW on (aware; None: the real time); less than 0: it ended then. It begins ten minutes earlier, as a
        Windows CA has it, and never later than the real time: TLS libraries have no other.
        :raises ValueError: for what is no request, or one whose signature is not its key's
        """
        # certreq writes NEW CERTIFICATE REQUEST, which the library does not read.
        asked = x509.load_pem_x509_csr(request_pem.replace("NEW CERTIFICATE REQUEST", "CERTIFICATE REQUEST").encode("ascii"))
        key = asked.public_key()
        if not asked.is_signature_valid or not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
            raise ValueError("The request is not signed with its own key, or that is neither RSA nor elliptic.")
        real = datetime.now(UTC).replace(microsecond=0)
        now = real if now is None else now.replace(microsecond=0)
        end = now + timedelta(days=days)
        return self._signed(
            asked.subject if common_name is None else _subject(common_name),
            key,
            requested_names(asked) if dns_names is None else [x509.DNSName(name) for name in dns_names],
            not_before=min(now, real, end) - timedelta(minutes=10),
            not_after=end,
            server_authentication=server_authentication,
        )

    def _signed(
        self,
        subject: x509.Name,
        key: PublicKey,
        names: Sequence[x509.GeneralName],
        *,
        not_before: datetime,
        not_after: datetime,
        server_authentication: bool | None,
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.certificate.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(not_before.astimezone(UTC))
            .not_valid_after(not_after.astimezone(UTC))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(_issuer_key(self.key), critical=False)
        )
        if names:
            # RFC 5280, 4.2.1.6: critical where the subject is empty.
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=not subject.rdns)
        if server_authentication is not None:
            purpose = ExtendedKeyUsageOID.SERVER_AUTH if server_authentication else ExtendedKeyUsageOID.CLIENT_AUTH
            builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        return builder.sign(self.key, hashes.SHA256())


def requested_names(request: x509.CertificateSigningRequest) -> list[x509.GeneralName]:
    """The names that a request asks for in its SAN; none where it has no such extension."""
    try:
        return list(request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return []


def _key_usage(authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=not authority,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _issuer_key(key: PrivateKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
