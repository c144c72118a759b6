# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A PFX: what is in it, what is refused, and what of it goes to a server."""

from __future__ import annotations

import functools

import pytest
from ansible_collections.securepatch.wsus.plugins.plugin_utils.pfx import BadPfx, leaf_alone, open_pfx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import pkcs12
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.lab.engine import WindowsError, certificate_files
from tests.lab.machine import Machine
from tests.unit.plugin_utils.machines import document, text
from tests.unit.plugin_utils.papers import found, issuing, leaf, root

SECRET = "pässwörd 1"
FILE = "files/wsus01.pfx"
WINDOWS = r"HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion"


@functools.cache
def pfx(*, modern: bool = True, chain: bool = True, with_root: bool = False, key: bool = True, password: str = SECRET) -> bytes:
    return leaf().pfx(password, modern=modern, chain=chain, root=with_root, key=key, friendly_name="Exported")


def refused(data: bytes, password: str | None = SECRET) -> str:
    with pytest.raises(BadPfx) as error:
        open_pfx(data, password, FILE)
    return str(error.value)


@pytest.mark.parametrize("modern", [True, False])
def test_the_certificate_with_the_key_and_the_others(modern: bool) -> None:
    opened = open_pfx(pfx(modern=modern, with_root=True), SECRET, FILE)
    assert opened.leaf == found(leaf().certificate)[0]
    assert sorted(each.der for each in opened.rest) == sorted(each.der for each in found(issuing().certificate, root().certificate))
    assert opened.file == FILE
    assert opened.modern is modern


def test_a_pfx_may_have_the_certificate_alone() -> None:
    opened = open_pfx(pfx(chain=False), SECRET, FILE)
    assert (opened.leaf.thumbprint, opened.rest) == (leaf().thumbprint, ())


@pytest.mark.parametrize("key", ["ec384", "rsa2048"])
def test_keys_that_iis_can_serve_are_taken(key: str) -> None:
    one = issuing().issue("a.b", ["a.b"], key=key)  # type: ignore[arg-type]
    assert open_pfx(one.pfx(SECRET), SECRET, FILE).leaf.thumbprint == one.thumbprint


def test_each_half_of_modern_alone_is_modern_too() -> None:
    for algorithm, digest in (
        (pkcs12.PBES.PBESv2SHA256AndAES256CBC, hashes.SHA1()),
        (pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC, hashes.SHA256()),
    ):
        builder = serialization.PrivateFormat.PKCS12.encryption_builder().kdf_rounds(2000).key_cert_algorithm(algorithm).hmac_hash(digest)
        private = serialization.load_pem_private_key(leaf().key_pem.encode(), None)
        assert isinstance(private, ec.EllipticCurvePrivateKey)
        data = pkcs12.serialize_key_and_certificates(None, private, leaf().certificate, None, builder.build(SECRET.encode()))
        assert open_pfx(data, SECRET, FILE).modern


# --- refused ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("password", [None, ""])
def test_a_password_is_needed(password: str | None) -> None:
    assert refused(pfx(), password) == "needs a password (pfx_password): a private key does not travel without one"


@pytest.mark.parametrize("modern", [True, False])
@pytest.mark.parametrize("password", ["wrong", SECRET.upper(), SECRET + " ", "passwörd"])
def test_a_wrong_password_is_told_as_one_and_never_repeated(modern: bool, password: str) -> None:
    assert refused(pfx(modern=modern), password) == "cannot be opened: the password is wrong"


def test_a_pfx_without_a_private_key_or_without_its_certificate() -> None:
    assert refused(pfx(key=False)) == "has no private key in it: export it with its private key"
    private = serialization.load_pem_private_key(leaf().key_pem.encode(), None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    encryption = serialization.BestAvailableEncryption(SECRET.encode())
    alone = pkcs12.serialize_key_and_certificates(None, private, None, None, encryption)
    assert refused(alone) == "has no certificate for the private key in it"
    # Somebody else's certificate beside the key is not its own.
    beside = pkcs12.serialize_key_and_certificates(None, private, None, [issuing().certificate], encryption)
    assert refused(beside) == "has no certificate for the private key in it"


def test_a_key_that_iis_cannot_serve() -> None:
    private = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(private.public_key()).serial_number(1)
    builder = builder.not_valid_before(leaf().certificate.not_valid_before_utc).not_valid_after(leaf().certificate.not_valid_after_utc)
    data = pkcs12.serialize_key_and_certificates(
        None, private, builder.sign(private, None), None, serialization.BestAvailableEncryption(SECRET.encode())
    )
    assert refused(data) == "has a private key that is neither RSA nor elliptic, which IIS cannot serve"
    with pytest.raises(BadPfx, match="has no certificate with its private key in it"):
        leaf_alone(data, SECRET, "WSUS")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "is no PFX (PKCS #12), or is damaged"),
        (b"no pfx at all", "is no PFX (PKCS #12), or is damaged"),
        (pfx()[:-5], "is no PFX (PKCS #12), or is damaged"),
        (leaf().der, "is no PFX (PKCS #12), or is damaged"),
        (leaf().chain_pem.encode(), "is PEM, not a PFX (PKCS #12)"),
        (b"Bag Attributes\n" + leaf().key_pem.encode(), "is PEM, not a PFX (PKCS #12)"),
    ],
    ids=["empty", "text", "cut", "certificate", "chain in PEM", "key in PEM"],
)
def test_what_is_no_pfx(data: bytes, why: str) -> None:
    assert refused(data) == why
    with pytest.raises(BadPfx) as error:
        leaf_alone(data, SECRET, "WSUS")
    assert str(error.value) == why


@settings(max_examples=40)
@given(at=st.integers(0, 3000), by=st.integers(1, 255))
def test_a_damaged_pfx_is_refused_in_words_that_tell_nothing_of_it(at: int, by: int) -> None:
    data = bytearray(pfx())
    at %= len(data)
    # Not how often a password is hashed (2000 times): that could be a number that nobody waits for.
    assume(b"\x02\x02\x07\xd0" not in data[max(0, at - 6) : at + 7])
    data[at] ^= by
    try:
        opened = open_pfx(bytes(data), SECRET, FILE)
    except BadPfx as error:
        assert SECRET not in str(error)
        assert "PRIVATE" not in str(error)
        assert error.__cause__ is None
    else:
        assert opened.leaf.thumbprint == leaf().thumbprint


# --- what goes to a server ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("modern", [True, False])
def test_the_certificate_and_its_key_go_alone_and_as_well_encrypted_as_they_came(modern: bool) -> None:
    sent = leaf_alone(pfx(modern=modern, with_root=True), SECRET, "WSUS Ü 2027")
    key, certificate, others = pkcs12.load_key_and_certificates(sent, SECRET.encode("utf-8"))
    assert key is not None
    assert certificate == leaf().certificate
    assert others == []
    assert key.public_key() == leaf().certificate.public_key()
    opened = pkcs12.load_pkcs12(sent, SECRET.encode("utf-8"))
    assert opened.cert is not None
    assert opened.cert.friendly_name == "WSUS Ü 2027".encode()
    assert open_pfx(sent, SECRET, FILE).modern is modern
    assert leaf().certificate.public_bytes(serialization.Encoding.DER) not in sent
    with pytest.raises(BadPfx, match="the password is wrong"):
        leaf_alone(sent, "wrong", "WSUS")


def test_server_2016_reads_what_goes_there_where_it_could_read_what_came() -> None:
    old = document()
    old["registry"][WINDOWS]["CurrentBuild"] = text("14393")
    machine = Machine(old, name="wsus01")
    (read,) = certificate_files.read(machine, leaf_alone(pfx(modern=False), SECRET, "WSUS"), SECRET)
    assert (read.thumbprint, read.friendly_name) == (leaf().thumbprint, "WSUS")
    assert read.key is not None
    with pytest.raises(WindowsError, match="password is not correct"):
        certificate_files.read(machine, leaf_alone(pfx(), SECRET, "WSUS"), SECRET)


def test_a_pfx_without_a_key_does_not_go_anywhere() -> None:
    with pytest.raises(BadPfx, match="has no certificate with its private key in it"):
        leaf_alone(pfx(key=False), SECRET, "WSUS")
