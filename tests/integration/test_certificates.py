# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Certificates from an enterprise CA and by request: what a run says and leaves where they are issued, pending, refused, wrong or late.

Many cases are servers of one fleet and one run: each has its own variables.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from tests.integration.certificates import TRUST, lacking, made, messages, pem, personal, results, role, sane, waiting
from tests.integration.controller import Controller
from tests.integration.rollouts import documents, marks, set_variables, store
from tests.lab.engine import enterprise_ca
from tests.lab.lab import Lab
from tests.lab.machine import Decision
from tests.lab.tls import thumbprint

ASK = {"certificate_source": "enterprise_ca", "certificate_key_algorithm": "ECDSA_P256"}
REQUEST = {"certificate_source": "csr", "certificate_key_algorithm": "ECDSA_P256"}
AUTHORITY = r"CA01.corp.example\Lab Issuing CA 1"

Start = Callable[..., Controller]


def asked(lab: Lab) -> list[tuple[str, str]]:
    """What the CA got, in order: whose request, and what became of it."""
    return [(one.server, one.state) for one in lab.ca.requests]


# --- an enterprise CA: refused ---------------------------------------------------------------------------------------

#: By server: what the fleet says of it, its variables, and what is said before anything is asked.
CANNOT_BE_ASKED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "workgroup": ({"state": {"computer": {"domain_member": False}}}, {}, "This machine is in no domain, so no enterprise CA knows it."),
    "short-name": ({}, {"certificate_fqdn": "wsus"}, "'wsus' is no fully qualified name"),
    "long-name": ({}, {"certificate_fqdn": f"{'w' * 60}.corp.example"}, "has at most 64 characters"),
    "wrong-alias": ({}, {"certificate_extra_names": ["updates.corp.example", "two words"]}, "that a certificate could have: 'two words'."),
    "authority": ({}, {"certificate_authority": "CA01"}, r"The authority is named HOST\NAME"),
    "quote": ({}, {"certificate_template": 'Web"Server'}, "The template 'Web\"Server' has a quote"),
    "line": ({}, {"certificate_friendly_name": "WSUS\r\nExportable=TRUE"}, "The friendly name 'WSUS\\r\\nExportable=TRUE' has a quote"),
    "short-key": ({}, {"certificate_key_algorithm": "RSA", "certificate_key_length": 1024}, "A key of RSA has 2048 or 3072 or 4096 bits, not 1024."),
}
#: By server: the same, for what only the CA tells: Windows' number, and the advice that belongs to it.
REFUSED_BY_THE_CA: dict[str, tuple[dict[str, Any], dict[str, Any], str, str]] = {
    "denied": ({"may_enroll": False}, {}, "0x80094012", "This server's computer account needs the permissions Read and Enroll on the template."),
    "template": ({}, {"certificate_template": "Web Server"}, "0x80094800", "The CA does not offer a template of this name. Give the template's name"),
    "unknown": ({}, {"certificate_authority": r"CA99.corp.example\Nobody"}, "0x800706BA", "The CA cannot be reached from this server"),
    "tool": ({"faults": {"changes": {"certreq -new": "Nicht genug Speicher. 0x80094811"}}}, {}, "0x80094811", "The template asks for a longer key"),
}


def test_what_cannot_be_asked_is_refused_and_what_the_ca_refuses_is_told_apart_by_number(controller: Start, monkeypatch: Any) -> None:
    cases = {**CANNOT_BE_ASKED, **REFUSED_BY_THE_CA}
    fleet = controller({"ca": {}, "defaults": {"certificate": "none"}, "servers": {name: case[0] for name, case in cases.items()}})
    lab, before = fleet.lab, documents(fleet.lab)
    for name, case in cases.items():
        set_variables(lab, name, **{**ASK, **case[1]})
    cannot = {name: (why, "Nothing was changed.") for name, (_server, _variables, why) in CANNOT_BE_ASKED.items()}

    foretold = role(fleet, "--check")
    assert lacking(messages(foretold), cannot) == {}, foretold.output
    assert set(made(foretold)) == set(REFUSED_BY_THE_CA)

    run = role(fleet)
    refused = {
        name: (number, advice, "Nothing was changed before that.", "Then run it again.")
        for name, (_server, _variables, number, advice) in REFUSED_BY_THE_CA.items()
    }
    assert lacking(messages(run), {**cannot, **refused}) == {}, run.output
    assert run.changed == []
    assert {name for name in CANNOT_BE_ASKED if documents(lab)[name] != before[name]} == set()
    # A request that was refused leaves nothing.
    assert {name: (personal(lab, name), waiting(lab, name), marks(lab, name)) for name in cases} == dict.fromkeys(cases, ({}, 0, {}))

    # A CA that speaks German is understood as well.
    german = "Aufgrund der Berechtigungen der Zertifikatvorlage kann sich der aktuelle Benutzer nicht eintragen."
    monkeypatch.setattr(enterprise_ca, "MAY_NOT_ENROLL", Decision(enterprise_ca.DENIED, german, 0x80094012))
    in_german = role(fleet, "--limit", "denied")
    assert lacking(messages(in_german), {"denied": (german, refused["denied"][1])}) == {}

    lab.heal()
    lab.ca.may_not_enroll.clear()
    with lab.edit("workgroup") as document:
        document["computer"]["domain_member"] = True
    right = dict.fromkeys(("certificate_authority", "certificate_fqdn", "certificate_friendly_name", "certificate_key_length"), "")
    mended = role(fleet, **ASK, **right, certificate_extra_names=[], certificate_template="WebServer")
    assert mended.code == 0, mended.output
    assert {name: len(personal(lab, name)) for name in cases} == dict.fromkeys(cases, 1)


def test_who_may_not_ask_is_told_to_ask_as_system(controller: Start) -> None:
    fleet = controller({"ca": {"mode": "offline"}, "servers": {"wsus01": {"certificate": "none"}}})
    away = role(fleet, **ASK)
    assert lacking(messages(away), {"wsus01": ("The RPC server is unavailable", "Is its service running")}) == {}
    fleet.lab.ca.mode = "issue"
    user = sane(fleet.task("wsus01", "wsus_certificate", source="enterprise_ca", key_algorithm="ECDSA_P256"))
    advice = "ask as SYSTEM, as the role 'certificate' does (become: true, become_method: runas, become_user: SYSTEM)"
    assert lacking(messages(user), {"wsus01": ("0x80070005", advice, "Nothing was changed before that.")}) == {}
    assert (asked(fleet.lab), waiting(fleet.lab, "wsus01"), marks(fleet.lab, "wsus01")) == ([], 0, {})
    # What the inventory says of become does not keep the role from that.
    theirs = {"ansible_become": True, "ansible_become_user": "somebody", "ansible_become_method": "ansible.builtin.su", "ansible_become_flags": "x=y"}
    set_variables(fleet.lab, "wsus01", **theirs)
    done = role(fleet, **ASK)
    assert done.code == 0, done.output
    assert asked(fleet.lab) == [("wsus01", "issued")]


def test_a_domain_without_a_ca(controller: Start) -> None:
    fleet = controller({"servers": {"wsus01": {"certificate": "none"}}})
    run = role(fleet, **ASK)
    assert lacking(messages(run), {"wsus01": ("0x80070490", "The directory names no CA: give authority, as HOST\\NAME.")}) == {}
    assert waiting(fleet.lab, "wsus01") == 0


# --- an enterprise CA: not at once -----------------------------------------------------------------------------------


def test_a_pending_request_is_collected_once_it_is_decided_and_no_other_is_made(controller: Start) -> None:
    names = ("issued", "denied", "lost")
    fleet = controller({"ca": {"mode": "pending"}, "defaults": {"certificate": "none"}, "servers": {name: {} for name in names}})
    lab = fleet.lab
    first = role(fleet, **ASK, certificate_friendly_name="WSUS 2026")
    numbers = {one.server: one.number for one in lab.ca.requests}
    assert sorted(numbers) == sorted(names)
    told = {name: (f"Request {number} is pending at {AUTHORITY}", "a manager of the CA has to issue it") for name, number in numbers.items()}
    assert lacking(messages(first), {name: (*words, "Run this again afterwards") for name, words in told.items()}) == {}
    assert {name: len(changes) for name, changes in made(first).items()} == dict.fromkeys(names, 1)
    assert {name: marks(lab, name) for name in names} == {name: {"PendingRequest": f"{number} {AUTHORITY}"} for name, number in numbers.items()}

    before = documents(lab)
    again = role(fleet, **ASK)
    assert lacking(messages(again), told) == {}, "still pending"
    assert made(again) == {}
    assert documents(lab) == before
    assert len(lab.ca.requests) == 3

    foretold = role(fleet, "--check", **ASK)
    assert made(foretold) == {name: [f"Collect the certificate of request {number} from {AUTHORITY}"] for name, number in numbers.items()}
    assert all("Whether it has been decided shows only when it is asked for." in results(foretold)[name]["notes"][0] for name in names)

    for name, decision in {"issued": "issue", "denied": "deny", "lost": "issue"}.items():
        lab.ca.decide(numbers[name], decision)  # type: ignore[arg-type]
    with lab.edit("lost") as document:
        document["certificates"]["Request"].clear()
    decided = role(fleet, **ASK, certificate_friendly_name="WSUS over TLS")
    forgotten = "was taken off the server, so the next run asks anew."
    ended = {
        "denied": ("A manager of the CA denied the request; they can tell why.", f"request {numbers['denied']} {forgotten}"),
        "lost": ("No key waits on this server for this certificate.", f"request {numbers['lost']} {forgotten}"),
    }
    assert lacking(messages(decided), ended) == {}, decided.output
    (certificate,) = personal(lab, "issued").items()
    assert made(decided)["issued"] == [
        f"Collect the certificate of request {numbers['issued']} from {AUTHORITY}",
        f"Give the certificate {certificate[0]} the friendly name 'WSUS over TLS'",
    ]
    assert certificate[1]["friendly_name"] == "WSUS over TLS"
    assert len(lab.ca.requests) == 3, "no other was asked for"
    assert {name: marks(lab, name) for name in names} == {name: {} for name in names}

    lab.ca.mode = "issue"
    anew = role(fleet, **ASK)
    assert anew.code == 0, anew.output
    assert sorted(asked(lab)[3:]) == [("denied", "issued"), ("lost", "issued")]
    assert made(role(fleet, **ASK)) == {}
    assert len(lab.ca.requests) == 5


def test_what_a_server_does_not_trust_yet_waits_for_that(controller: Start) -> None:
    # The texts of a German Windows: what they mean stands in their number.
    german = {"certreq -accept": "Eine Zertifikatkette endete in einem nicht vertrauenswürdigen Stammzertifikat. 0x800b0109 (-2146762487 CERT_E)"}
    servers = {"fresh": {"trusts_ca": False, "intermediates": False}, "rootless": {"trusts_ca": False}, "german": {"faults": {"changes": german}}}
    fleet = controller({"ca": {}, "defaults": {"certificate": "none"}, "servers": servers})
    lab = fleet.lab
    first = role(fleet, **ASK)
    numbers = {one.server: one.number for one in lab.ca.requests}
    advice = "Have it trusted first (role 'trust')"
    kept = "The server keeps the key and the number: the next run collects the certificate, and asks for no other."
    expected = {name: (f"Request {number} was issued by {AUTHORITY}", advice, kept) for name, number in numbers.items()}
    assert lacking(messages(first), expected) == {}, first.output
    assert "does not trust the root above it" in messages(first)["german"]
    assert {name: len(changes) for name, changes in made(first).items()} == dict.fromkeys(servers, 1)
    assert {name: (personal(lab, name), waiting(lab, name)) for name in servers} == dict.fromkeys(servers, ({}, 1))

    second = role(fleet, **ASK)
    assert lacking(messages(second), {name: (f"request {number} from {AUTHORITY}: this failed", advice) for name, number in numbers.items()}) == {}
    lab.heal()
    trusted = sane(fleet.playbook(TRUST, trust_authorities=[str(lab.ca_chain_file)]))
    assert trusted.code == 0, trusted.output
    done = role(fleet, **ASK)
    assert done.code == 0, done.output
    assert {name: (len(personal(lab, name)), waiting(lab, name), marks(lab, name)) for name in servers} == dict.fromkeys(servers, (1, 0, {}))
    assert len(lab.ca.requests) == len(servers), "nobody asked twice"


def test_what_cannot_be_used_is_removed_again_and_does_not_pile_up(controller: Start) -> None:
    fleet = controller({"ca": {"mode": "pending", "strip_san": True}, "servers": {"wsus01": {"certificate": "expired"}}})
    lab = fleet.lab
    before = personal(lab, "wsus01")
    assert "is pending" in messages(role(fleet, **ASK))["wsus01"]
    lab.ca.decide(1, "issue")
    lab.ca.mode = "issue"
    without_san = ("The CA issued a certificate that cannot be used", "(its common name: it has no SAN)", "'Supply in the request'")
    for days, why in ((365, without_san), (365, without_san), (365, without_san), (7, ("has only 6 days left",))):
        lab.ca.strip_san, lab.ca.days = days == 365, days
        run = role(fleet, **ASK, certificate_extra_names=["updates.corp.example"])
        assert lacking(messages(run), {"wsus01": (*why, "It was removed again, and its key.")}) == {}, run.output
        (new,) = {one.rpartition(" ")[2] for one in made(run)["wsus01"] if "Remove" in one} or {""}
        assert len(made(run)["wsus01"]) == 2, "obtained, and removed again"
        assert new not in before
        assert (personal(lab, "wsus01"), waiting(lab, "wsus01"), marks(lab, "wsus01")) == (before, 0, {})
    lab.ca.days = 365
    assert role(fleet, **ASK, certificate_extra_names=["updates.corp.example"]).code == 0
    assert len(lab.ca.requests) == 5


def test_an_enrolment_that_is_cut_off_is_found_by_the_next_run(controller: Start) -> None:
    cuts: dict[str, Any] = {name: {"when": when, "module": "wsus_change"} for name, when in {"early": "before", "late": "after"}.items()}
    fleet = controller({"ca": {}, "defaults": {"certificate": "none"}, "servers": {name: {"faults": {"drop": cut}} for name, cut in cuts.items()}})
    first = role(fleet, **ASK)
    assert lacking(messages(first), dict.fromkeys(cuts, ("The connection", "which of them took effect is not known", "Run it again"))) == {}
    second = role(fleet, **ASK)
    assert second.code == 0, second.output
    assert set(made(second)) == {"early"}
    assert sorted(asked(fleet.lab)) == [("early", "issued"), ("late", "issued")]


# --- a request to any CA ---------------------------------------------------------------------------------------------


def request_file(fleet: Controller, name: str) -> Path:
    """Where the role puts a server's request: relative to where ansible-playbook was started."""
    return fleet.folder / "wsus-requests" / f"{name}.csr"


def sign(fleet: Controller, name: str, **options: Any) -> x509.Certificate:
    """What a CA makes of a server's request, from its file alone."""
    return fleet.lab.authorities.lab.sign(request_file(fleet, name).read_text(), **options)


def answer(fleet: Controller, name: str, data: bytes) -> None:
    request_file(fleet, name).with_suffix(".cer").write_bytes(data)


def requested(name: str) -> str:
    return f"Make a private key on the server and a certificate request for {name}.corp.example, updates.corp.example"


def written(fleet: Controller, name: str) -> str:
    return f"Write the request to wsus-requests/{name}.csr on the controller"


def test_a_request_waits_for_its_answer_in_whatever_form_that_comes(controller: Start) -> None:
    names = ("pem", "der", "chain", "pkcs7", "pkcs7-pem")
    servers: dict[str, Any] = {name: {"certificate": "expired", "trusts_ca": True, "intermediates": name == "pem"} for name in names}
    fleet = controller({"servers": servers})
    lab, variables = fleet.lab, {"certificate_source": "csr", "certificate_extra_names": ["updates.corp.example"]}
    for name in names:
        key = {"certificate_key_length": 3072} if name == "der" else {"certificate_key_algorithm": "ECDSA_P256"}
        set_variables(lab, name, **key)
    before = documents(lab)

    foretold = role(fleet, "--check", **variables)
    assert foretold.code == 0, foretold.output
    assert documents(lab) == before
    assert not request_file(fleet, "pem").parent.exists()
    assert "Have the request" not in foretold.output
    run = role(fleet, **variables)
    assert run.code == 0, run.output
    assert made(run) == {name: [requested(name), written(fleet, name)] for name in names}
    assert {name: [requested(name)] for name in names} == {name: made(foretold)[name][:1] for name in names}
    for name in names:
        text = request_file(fleet, name).read_text()
        asks = x509.load_pem_x509_csr(text.encode())
        assert [one.value for one in asks.subject] == [f"{name}.corp.example"]
        wanted = asks.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
        assert wanted == [f"{name}.corp.example", "updates.corp.example"]
        assert asks.public_key().key_size == (3072 if name == "der" else 256)  # type: ignore[union-attr]
        assert "PRIVATE" not in text
        assert waiting(lab, name) == 1, "the key is on the server"
        assert f"Have the request in wsus-requests/{name}.csr signed by your CA" in run.of("Say what has to be done with the request", name)["msg"]

    # A second run leaves everything as it is; a file that somebody took away is written again.
    there, seen = documents(lab), {name: (request_file(fleet, name).stat().st_mtime_ns, request_file(fleet, name).read_text()) for name in names}
    again = role(fleet, **variables)
    assert (again.changed, documents(lab)) == ([], there)
    assert {name: (request_file(fleet, name).stat().st_mtime_ns, request_file(fleet, name).read_text()) for name in names} == seen
    request_file(fleet, "pem").unlink()
    assert made(role(fleet, "--check", **variables)) == {"pem": [written(fleet, "pem")]}
    assert not request_file(fleet, "pem").exists()
    assert made(role(fleet, **variables)) == {"pem": [written(fleet, "pem")]}
    assert request_file(fleet, "pem").read_text() == seen["pem"][1]
    assert documents(lab) == there

    signed = {name: sign(fleet, name) for name in names}
    above = lab.authorities.lab.chain
    answer(fleet, "pem", pem(signed["pem"]))
    answer(fleet, "der", signed["der"].public_bytes(Encoding.DER))
    answer(fleet, "chain", pem(*reversed(above), signed["chain"]))
    answer(fleet, "pkcs7", pkcs7.serialize_certificates([*above, signed["pkcs7"]], Encoding.DER))
    answer(fleet, "pkcs7-pem", pkcs7.serialize_certificates([signed["pkcs7-pem"], *above], Encoding.PEM))
    roots = {name: store(lab, name, "Root") for name in names}
    foretold = role(fleet, "--check", **variables)
    assert documents(lab) == there
    done = role(fleet, **variables)
    # Without the authority that issued it Windows does not take it.
    assert lacking(messages(done), {"der": ("0x800b010a", "This server does not have the certificates of the authority above it")}) == {}
    installed = {name: f"Install the certificate {thumbprint(signed[name])}, whose key waits on the server" for name in names}
    helped = f"Add the certificate {thumbprint(above[0])} (CN=Lab Issuing CA 1) to the store Intermediate Certification Authorities"
    expected = {name: ([] if name in {"pem", "der"} else [helped]) + [installed[name]] for name in names}
    assert made(foretold) == expected
    assert made(done) == {name: changes for name, changes in expected.items() if name != "der"}
    answer(fleet, "der", pkcs7.serialize_certificates([signed["der"], above[0]], Encoding.DER))
    assert made(role(fleet, **variables)) == {"der": [helped, installed["der"]]}

    for name in names:
        entry = personal(lab, name)[thumbprint(signed[name])]
        assert "PRIVATE KEY" in entry["key"]
        assert (waiting(lab, name), marks(lab, name)) == (0, {})
    assert {name: store(lab, name, "Root") for name in names} == roots, "a root in an answer is not trusted by that"
    end = role(fleet, **variables)
    assert (end.code, end.changed) == (0, [])
    assert {name: result["thumbprint"] for name, result in results(end).items()} == {name: thumbprint(signed[name]) for name in names}


def test_an_answer_that_must_not_be_installed_is_refused_by_name_and_the_right_one_is_taken(controller: Start) -> None:
    kinds: dict[str, tuple[str, ...]] = {
        "other-key": ("is for another key than those that wait on this server",),
        "other-name": ("is for wsus99.corp.example, not for other-name.corp.example",),
        "client": ("is not for Server Authentication",),
        "expired": ("expired on ",),
        "short": ("has only 19 days left", "fewer than 30"),
        "no-san": ("(its common name: it has no SAN), not for updates.corp.example",),
        "junk": ("is no certificate in PEM, DER or PKCS #7 (or is damaged)",),
        "empty": ("is no certificate in PEM, DER or PKCS #7 (or is damaged)",),
        "request": ("has no certificate in it",),
        "with-key": ("has a private key in it, which has no business here",),
    }
    fleet = controller({"defaults": {"certificate": "none"}, "servers": {name: {} for name in kinds}})
    lab = fleet.lab
    set_variables(lab, "no-san", certificate_extra_names=["updates.corp.example"])
    assert role(fleet, **REQUEST).code == 0
    stranger = lab.authorities.lab.issue("other-key.corp.example", ["other-key.corp.example"])
    answer(fleet, "other-key", stranger.certificate_pem.encode())
    answer(fleet, "other-name", pem(sign(fleet, "other-name", dns_names=["wsus99.corp.example"])))
    answer(fleet, "client", pem(sign(fleet, "client", server_authentication=False)))
    answer(fleet, "expired", pem(sign(fleet, "expired", days=-1)))
    answer(fleet, "short", pem(sign(fleet, "short", days=19.9)))
    answer(fleet, "no-san", pem(sign(fleet, "no-san", dns_names=[])))
    answer(fleet, "junk", b"\x30\x82junk" * 40)
    answer(fleet, "empty", b"")
    answer(fleet, "request", request_file(fleet, "request").read_bytes())
    answer(fleet, "with-key", pem(sign(fleet, "with-key")) + stranger.key_pem.encode())
    before = documents(lab)
    expected = {name: (f"wsus-requests/{name}.cer", *words, "Nothing was changed.") for name, words in kinds.items()}
    for arguments in (["--check"], []):
        run = role(fleet, *arguments, **REQUEST)
        assert lacking(messages(run), expected) == {}, run.output
        assert documents(lab) == before
    for name in kinds:
        answer(fleet, name, pem(sign(fleet, name)))
    done = role(fleet, **REQUEST)
    assert done.code == 0, done.output
    assert {name: (len(personal(lab, name)), waiting(lab, name)) for name in kinds} == dict.fromkeys(kinds, (1, 0))


def test_what_was_asked_for_before_is_not_taken_for_what_is_asked_for_now(controller: Start) -> None:
    fleet = controller({"defaults": {"certificate": "none"}, "servers": {"renewed": {}, "renamed": {}, "unwritable": {}}})
    lab = fleet.lab
    blocked = fleet.folder / "a-file"
    blocked.write_text("not a folder")
    set_variables(lab, "unwritable", certificate_request_dir=str(blocked / "requests"))
    first = role(fleet, **REQUEST)
    said = (f"cannot be written to {blocked}/requests/unwritable.csr on the controller", "It stays on the server; the next run writes it.")
    assert lacking(messages(first), {"unwritable": said}) == {}
    assert waiting(lab, "unwritable") == 1
    set_variables(lab, "unwritable", certificate_request_dir="wsus-requests")

    # One that was installed is replaced, its answer still in its place.
    answer(fleet, "renewed", pem(sign(fleet, "renewed")))
    second = role(fleet, **REQUEST)
    assert second.code == 0, second.output
    assert made(second)["unwritable"] == [written(fleet, "unwritable")]
    (old,) = personal(lab, "renewed")
    set_variables(lab, "renewed", certificate_replace=[old])
    # Of one that is still waiting, the names are changed.
    late = sign(fleet, "renamed")
    set_variables(lab, "renamed", certificate_extra_names=["updates.corp.example"])
    third = role(fleet, **REQUEST)
    assert third.code == 0, third.output
    assert results(third)["renewed"]["notes"] == ["The answer in wsus-requests/renewed.cer is for a request of before; it is left alone."]
    assert "The request that was made before no longer fits (other names" in results(third)["renamed"]["notes"][0]
    assert {name: len(changes) for name, changes in made(third).items()} == {"renewed": 2, "renamed": 2}
    assert set(personal(lab, "renewed")) == {old}, "it stays until another is there"

    # The answer to the request of before comes late: its key is there, its names are not enough.
    answer(fleet, "renamed", pem(late))
    fourth = role(fleet, **REQUEST)
    assert lacking(messages(fourth), {"renamed": ("must not be installed", "not for updates.corp.example", "Nothing was changed.")}) == {}
    assert fourth.changed == []
    for name in ("renewed", "renamed"):
        answer(fleet, name, pem(sign(fleet, name)))
    last = role(fleet, **REQUEST)
    assert last.code == 0, last.output
    (new,) = set(personal(lab, "renewed")) - {old}
    assert results(last)["renewed"]["thumbprint"] == new
    assert results(last)["renamed"]["certificate"]["dns_names"] == ["renamed.corp.example", "updates.corp.example"]
