# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Trust on servers and clients: in whatever form the authorities come, what is refused before anything is touched, and what is found afterwards."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509.oid import NameOID

from tests.integration.certificates import TRUST, lacking, made, messages, pem, personal, results, sane
from tests.integration.controller import Controller, Run
from tests.integration.rollouts import documents, set_variables, store, trips
from tests.lab.lab import Lab
from tests.lab.tls import thumbprint

NOBODY: dict[str, Any] = {"trusts_ca": False, "intermediates": False}
ROOTS, INTERMEDIATES = "Trusted Root Certification Authorities", "Intermediate Certification Authorities"

Start = Callable[..., Controller]


def trust(fleet: Controller, *arguments: str, **variables: Any) -> Run:
    """Run role trust on every machine, or those that a --limit names; whatever happens, nobody sees a traceback."""
    return sane(fleet.playbook(TRUST, *arguments, **variables))


def sentence(certificate: x509.Certificate, name: str) -> str:
    return f"Add the certificate {thumbprint(certificate)} ({certificate.subject.rfc4514_string()}) to the store {name}"


def self_signed(name: str, *, authority: bool, begins: float = -30, ends: float = 300) -> x509.Certificate:
    """A certificate that issued itself, valid from and to so many days from now."""
    key, subject, now = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), datetime.now(tz=UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now + timedelta(days=begins))
    builder = builder.not_valid_after(now + timedelta(days=ends))
    return builder.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True).sign(key, hashes.SHA256())


def served_by(lab: Lab, name: str) -> x509.Certificate:
    """The certificate in a server's Personal store; it has one."""
    (entry,) = personal(lab, name).values()
    return x509.load_pem_x509_certificate(f"-----BEGIN CERTIFICATE-----\n{entry['der']}\n-----END CERTIFICATE-----\n".encode())


def write(fleet: Controller, name: str, data: bytes) -> str:
    file = fleet.folder / name
    file.write_bytes(data)
    return str(file)


def test_authorities_are_trusted_in_whatever_form_they_come_and_then_the_server_is(controller: Start) -> None:
    names = ("pem", "der", "pkcs7", "pkcs7-pem", "text", "relative")
    fleet = controller({"servers": {"wsus01": {"stage": "offered"}, "wsus02": NOBODY}, "clients": dict.fromkeys(names, NOBODY)})
    lab = fleet.lab
    issuing, root = chain = lab.authorities.lab.chain
    given = {
        "wsus02": [str(lab.ca_chain_file)],
        "pem": [write(fleet, "pem.crt", b"Two certificates\r\n" + pem(root).replace(b"\n", b"\r\n") + b"and\n" + pem(issuing, root))],
        "der": [write(fleet, f"{one}.cer", one_of.public_bytes(Encoding.DER)) for one, one_of in (("issuing", issuing), ("root", root))],
        "pkcs7": [write(fleet, "chain.p7b", pkcs7.serialize_certificates([*chain], Encoding.DER))],
        "pkcs7-pem": [write(fleet, "chain.p7c", pkcs7.serialize_certificates([*chain], Encoding.PEM))],
        "text": [pem(issuing).decode(), pem(root).decode()],
        "relative": [Path(write(fleet, "beside the playbook.pem", pem(*chain))).name],
    }
    for name, authorities in given.items():
        set_variables(lab, name, trust_authorities=authorities)
    set_variables(lab, "wsus01", trust_authorities=[str(lab.ca_chain_file)])
    at = {"trust_server": "wsus01.corp.example"}
    before = documents(lab)

    foretold = trust(fleet, "--check", **at)
    assert foretold.code == 0, foretold.output
    assert documents(lab) == before
    since = len(lab.trips)
    run = trust(fleet, **at)
    assert run.code == 0, run.output
    both = {sentence(root, ROOTS), sentence(issuing, INTERMEDIATES)}
    assert {name: set(changes) for name, changes in made(run).items()} == dict.fromkeys(given, both)
    assert made(foretold) == made(run)
    for name, result in results(run).items():
        assert result["after"] == results(foretold)[name]["after"]
        assert result["endpoints"] == [{"host_name": "wsus01.corp.example", "port": 8531, "ok": True, "problem": None}]
        assert {one["thumbprint"]: (one["store"], one["present"]) for one in result["trust"]} == {
            thumbprint(issuing): (INTERMEDIATES, True),
            thumbprint(root): (ROOTS, True),
        }
    for name in given:
        assert (store(lab, name, "Root"), store(lab, name, "CA")) == ({thumbprint(root)}, {thumbprint(issuing)})
        assert [trip.module.rpartition(".")[2] for trip in trips(lab, since) if trip.server == name] == ["wsus_state", "wsus_change"]

    since = len(lab.trips)
    again = trust(fleet, **at)
    assert (again.code, again.changed) == (0, []), again.output
    assert sorted(trip.server for trip in trips(lab, since)) == sorted(lab.fleet.members), "one trip for each"


REFUSED = {
    "leaf": "CN=wsus01.corp.example) is no authority: whoever has its key could become anybody",
    "self-signed": "(CN=wsus99.corp.example) is a certificate that issued itself and is no authority",
    "expired": "(CN=Old Root CA) expired on ",
    "future": "(CN=Next Root CA) is not valid before ",
    "with-key": "has a private key in it, which has no business here",
    "junk": "is no certificate in PEM, DER or PKCS #7 (or is damaged)",
    "damaged": "is no certificate in PEM, DER or PKCS #7 (or is damaged)",
    "request": "has no certificate in it",
    "missing": "cannot be read on the controller: No such file or directory.",
    "folder": "cannot be read on the controller: Is a directory.",
    "pinned-expired": "and must not be pinned",
}


def test_what_is_no_authority_is_refused_before_anything_is_touched(controller: Start) -> None:
    fleet = controller({"servers": {"wsus01": {"stage": "offered"}}, "clients": {name: dict(NOBODY) for name in REFUSED}})
    lab = fleet.lab
    leaf, old = served_by(lab, "wsus01"), self_signed("Old Root CA", authority=True, ends=-1)
    content = {
        "leaf": pem(*lab.authorities.lab.chain, leaf),
        "self-signed": pem(self_signed("wsus99.corp.example", authority=False)),
        "expired": pem(old, lab.authorities.lab.chain[-1]),
        "future": pem(self_signed("Next Root CA", authority=True, begins=1)),
        "with-key": pem(*lab.authorities.lab.chain) + lab.authorities.lab.issue("wsus01.corp.example").key_pem.encode(),
        "junk": bytes(range(256)) * 8,
        "damaged": pem(*lab.authorities.lab.chain).replace(b"MII", b"M%I"),
        "request": pem(leaf).replace(b" CERTIFICATE-", b" CERTIFICATE REQUEST-"),
    }
    for name in REFUSED:
        file = write(fleet, f"{name}.pem", content[name]) if name in content else str(fleet.folder / name)
        set_variables(lab, name, trust_authorities=[str(lab.ca_chain_file), file] if name != "pinned-expired" else [])
    (fleet.folder / "folder").mkdir()
    set_variables(lab, "pinned-expired", trust_pinned=[write(fleet, "old.pem", pem(old))])
    before = documents(lab)
    expected = {name: (why, "Nothing was changed.") for name, why in REFUSED.items()}
    for arguments in (["--check"], []):
        run = trust(fleet, "--limit", "wsus_clients", *arguments)
        assert lacking(messages(run), expected) == {}, run.output
        assert all(f"{fleet.folder}/{name}" in messages(run)[name] for name in ("with-key", "junk", "damaged", "request", "missing", "folder"))
        assert documents(lab) == before
    assert "PRIVATE KEY" not in run.output


NO_ROOT = "None of the authorities that were given is the root above it"
UNTRUSTED = "this server does not trust the certificate found at wsus01.corp.example:8531 (PartialChain)"
#: By client: where it looks, and what is said.
NOT_FOUND: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "nothing-given": ({"trust_authorities": []}, (UNTRUSTED, "Give the certificates of the authorities above it.")),
    "wrong-file": ({"trust_authorities": ["{other}"]}, (UNTRUSTED, NO_ROOT, "Is this the right file?")),
    "no-root": ({"trust_authorities": ["{issuing}"]}, (UNTRUSTED, NO_ROOT)),
    "port": ({"trust_port": 1}, ("wsus01.corp.example:1 cannot be reached from this server",)),
    "nobody": ({"trust_server": "wsus77.corp.example"}, ("wsus77.corp.example:8531 cannot be reached from this server",)),
    "http": ({"trust_port": 8530}, ("wsus01.corp.example:8530 answers, but not with TLS 1.2",)),
    "short-name": ({"trust_server": "wsus01"}, ("the certificate found at wsus01:8531 is not for wsus01",)),
    "ended": ({"trust_server": "wsus02.corp.example"}, ("(NotTimeValid, PartialChain)", "trusting them does not mend NotTimeValid.")),
    "cut-off": ({"trust_pinned": ["{other}"]}, ("What is to be pinned would cut this machine off from wsus01.corp.example:8531",)),
}


def test_a_server_that_is_not_found_as_it_should_be_stops_it_before_anything_is_changed(controller: Start) -> None:
    servers = {"wsus01": {"stage": "offered"}, "wsus02": {"stage": "offered", "certificate": "expired"}}
    fleet = controller({"servers": servers, "clients": {name: dict(NOBODY) for name in NOT_FOUND}})
    lab = fleet.lab
    files = {"{other}": str(lab.other_ca_file), "{issuing}": write(fleet, "issuing.pem", pem(lab.authorities.lab.certificate))}
    right = {"trust_authorities": [str(lab.ca_chain_file)], "trust_server": "wsus01.corp.example", "trust_port": 8531, "trust_pinned": []}
    for name, (variables, _rest) in NOT_FOUND.items():
        filled = {one: [files[each] for each in value] if isinstance(value, list) else value for one, value in variables.items()}
        set_variables(lab, name, **(right | filled))
    before = documents(lab)
    expected = {name: (*words, "Nothing was changed.") for name, (_rest, words) in NOT_FOUND.items()}
    for arguments in (["--check"], []):
        run = trust(fleet, "--limit", "wsus_clients", *arguments)
        assert lacking(messages(run), expected) == {}, run.output
        assert documents(lab) == before

    mended = trust(fleet, "--limit", "wsus_clients", **right)
    assert mended.code == 0, mended.output
    assert {name: result["endpoints"][0]["ok"] for name, result in results(mended).items()} == dict.fromkeys(NOT_FOUND, True)


def test_a_server_is_pinned_where_that_does_not_cut_the_client_off(controller: Start) -> None:
    fleet = controller({"servers": {"wsus01": {"stage": "offered"}}, "clients": {"file": {}, "text": {}}})
    lab = fleet.lab
    leaf = served_by(lab, "wsus01")
    set_variables(lab, "file", trust_pinned=[write(fleet, "wsus01.cer", leaf.public_bytes(Encoding.DER))])
    (entry,) = personal(lab, "wsus01").values()
    set_variables(lab, "text", trust_pinned=[entry["der"]])
    variables: dict[str, Any] = {"trust_server": "wsus01.corp.example"}
    foretold = trust(fleet, "--check", "--limit", "wsus_clients", **variables)
    run = trust(fleet, "--limit", "wsus_clients", **variables)
    assert run.code == 0, run.output
    assert made(run) == made(foretold)
    assert made(run) == {name: [sentence(leaf, "WindowsServerUpdateServices")] for name in ("file", "text")}
    assert store(lab, "file", "WindowsServerUpdateServices") == store(lab, "text", "WindowsServerUpdateServices") == {thumbprint(leaf)}
    assert trust(fleet, "--limit", "wsus_clients", **variables).changed == []


def test_a_trust_that_fails_or_is_cut_off_is_finished_by_the_next_run(controller: Start) -> None:
    faults: dict[str, dict[str, Any]] = {
        "fails": {"changes": {"import CA": "Zugriff verweigert"}},
        "before": {"drop": {"when": "before", "module": "wsus_change"}},
        "during": {"drop": {"when": "during", "changes": 1, "module": "wsus_change"}},
        "after": {"drop": {"when": "after", "module": "wsus_change"}},
        "away": {"unreachable": True},
        "login": {"login_refused": True},
    }
    clients = {name: {**NOBODY, "faults": fault} for name, fault in faults.items()}
    fleet = controller({"servers": {"wsus01": {"stage": "offered"}}, "clients": clients})
    lab = fleet.lab
    issuing, root = lab.authorities.lab.chain
    variables: dict[str, Any] = {"trust_authorities": [pem(root, issuing).decode()], "trust_server": "wsus01.corp.example"}
    first = trust(fleet, "--limit", "wsus_clients", **variables)
    cut = ("The connection", f"which of them took effect is not known: {sentence(root, ROOTS)}; {sentence(issuing, INTERMEDIATES)}", "Run it again")
    expected: dict[str, tuple[str, ...]] = dict.fromkeys(("before", "during", "after"), cut)
    expected |= dict.fromkeys(("away", "login"), ("The connection failed: ",))
    failed = ("Zugriff verweigert", f"Done before that: {sentence(root, ROOTS)}. Not done: {sentence(issuing, INTERMEDIATES)}.", "run it again")
    assert lacking(messages(first), expected | {"fails": failed}) == {}, first.output
    lab.heal()
    second = trust(fleet, "--limit", "wsus_clients", **variables)
    assert second.code == 0, second.output
    assert {name: len(changes) for name, changes in made(second).items()} == {"fails": 1, "before": 2, "during": 1, "away": 2, "login": 2}
    for name in clients:
        assert (store(lab, name, "Root"), store(lab, name, "CA")) == ({thumbprint(root)}, {thumbprint(issuing)})


@pytest.mark.parametrize("days", [40, 400])
def test_an_authority_that_ends_soon_is_trusted_and_named(controller: Start, days: int) -> None:
    fleet = controller({"servers": {"wsus01": {}}})
    root = self_signed("Old Root CA", authority=True, ends=days)
    run = sane(fleet.task("wsus01", "wsus_trust", authorities=[pem(root).decode()]))
    notes = [f"Trusted is CN=Old Root CA, which ends on {root.not_valid_after_utc:%Y-%m-%d}."] if days == 40 else []
    assert (run.code, run.of("It")["notes"]) == (0, notes)
