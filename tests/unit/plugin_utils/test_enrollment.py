# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Planning a server's certificate: kept while one fits, else from each source; and removing what is not used any more."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

import pytest
from ansible_collections.securepatch.wsus.plugins.plugin_utils.authorities import thumbprint_of
from ansible_collections.securepatch.wsus.plugins.plugin_utils.certificate_changes import (
    CertificateRequest,
    Collect,
    Enroll,
    ImportPfx,
    InstallCertificate,
    NameCertificate,
    RemoveCertificate,
    RemoveLeftover,
    Trust,
)
from ansible_collections.securepatch.wsus.plugins.plugin_utils.certificates import parse
from ansible_collections.securepatch.wsus.plugins.plugin_utils.changes import Registry, predict
from ansible_collections.securepatch.wsus.plugins.plugin_utils.enrollment import (
    KEY_LENGTHS,
    Answer,
    CertificateWish,
    Pfx,
    against_wish,
    certificate_values,
    managed_certificates,
    pending_request,
    plan_certificate,
    plan_removal,
    used_by,
    waiting_keys,
)
from ansible_collections.securepatch.wsus.plugins.plugin_utils.planning import Plan
from ansible_collections.securepatch.wsus.plugins.plugin_utils.state import MARKS_KEY, Refusal, State, certificates_of
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.lab.authority import Authority
from tests.lab.engine import apply_changes, read_state
from tests.unit.plugin_utils.machines import (
    DAY,
    FQDN,
    HTTP_SYS,
    MARKS,
    NOW,
    bind,
    document,
    entry,
    issued,
    machine,
    offering,
    promised_certificate,
    read,
    text,
)
from tests.unit.plugin_utils.papers import (
    answer_to,
    found,
    issuing,
    key,
    leaf,
    request,
    root,
    self_signed,
    signed_across,
    stranger,
    text_of,
    waiting,
)

GOOD, LONGER, EXPIRED = (issued(kind).thumbprint for kind in ("good", "longer", "expired"))
CA = "CA01.corp.example\\Corp Issuing CA 1"
SOURCES = ["store", "enterprise_ca", "csr", "pfx"]
REQUEST = CertificateRequest(f"CN={FQDN}", "WSUS", (FQDN,), "RSA", 2048)
ADD_ISSUING = Trust("CA", text_of(issuing().certificate), "CN=Corp Issuing CA 1")
RDP = r"HKLM:\SYSTEM\CurrentControlSet\Control\Terminal Server\WinStations\RDP-Tcp"
WINDOWS = r"HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion"
WAITS = "The request waits for its answer."


def never() -> Any:
    raise AssertionError("What the controller has was looked at without need.")


def plan(of: dict[str, Any] | State, source: str, *, answer: Answer | None = None, pfx: Pfx | None = None, known: Any = (), **wish: Any) -> Plan:
    """The plan for a machine or a state. What the controller has is looked at only by the source that takes it."""
    state: Any = of if "unreadable" in of else read(dict(of))
    answers = (lambda: answer) if source == "csr" else never
    files = ((lambda: pfx), (lambda: known)) if source == "pfx" else (never, never)
    return plan_certificate(state, CertificateWish(source, **wish), NOW, answers, *files)


def refused(of: dict[str, Any] | State, source: str, **wish: Any) -> str:
    with pytest.raises(Refusal) as error:
        plan(of, source, **wish)
    return str(error.value)


def bare() -> dict[str, Any]:
    """A machine without any certificate."""
    empty = document()
    empty["certificates"]["My"] = {}
    return empty


def marked(of: dict[str, Any], **marks: str) -> dict[str, Any]:
    of["registry"].setdefault(MARKS, {}).update({name: text(value) for name, value in marks.items()})
    return of


# --- one that fits is kept ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", SOURCES)
def test_one_that_fits_is_kept_and_nothing_is_asked_for_or_looked_at(source: str) -> None:
    for of in (document(), offering(), marked(document(), PendingRequest=f"7 {CA}", CertificateRequest=request(FQDN))):
        planned = plan_certificate(read(of), CertificateWish(source), NOW, never, never, never)
        assert (planned.changes, planned.notes) == ((), ())
        assert (planned.values["status"], planned.values["thumbprint"], planned.values["fqdn"]) == ("present", GOOD, FQDN)


def test_the_bound_one_is_kept_though_another_lasts_longer() -> None:
    of = bind(document())
    of["certificates"]["My"][LONGER] = entry("longer")
    assert plan(of, "store").values["thumbprint"] == GOOD
    assert plan(document() | {"certificates": of["certificates"]}, "store").values["thumbprint"] == LONGER
    hosted = bind(bare(), store="WebHosting")
    assert plan(hosted, "store").values["thumbprint"] == GOOD


def test_what_is_to_be_replaced_is_not_kept() -> None:
    of = bind(document())
    of["certificates"]["My"][LONGER] = entry("longer")
    spaced = " ".join(GOOD[at : at + 2].lower() for at in range(0, 40, 2))
    assert plan(of, "store", replace=(spaced,)).values["thumbprint"] == LONGER
    assert "is to be replaced" in refused(of, "store", replace=(GOOD, LONGER))
    assert "'abc' is not a thumbprint" in refused(of, "store", replace=("abc",))
    (change,) = plan(of, "enterprise_ca", replace=(GOOD, LONGER)).changes
    assert isinstance(change, Enroll)


@pytest.mark.parametrize(
    ("kind", "wish"),
    [
        ("short", {"min_days_valid": 6}),
        ("good", {"min_days_valid": 201}),
        ("good", {"extra_names": ("wsus.corp.example",)}),
        ("good", {"issuer": "Another CA"}),
        ("good", {"fqdn": "another.corp.example"}),
    ],
)
def test_one_that_does_not_fit_what_is_asked_for_is_not_kept(kind: str, wish: dict[str, Any]) -> None:
    of = bind(bare(), kind)
    assert isinstance(plan(of, "enterprise_ca", **wish).changes[0], Enroll)
    fits = {"short": {"min_days_valid": 5}}.get(kind, {"min_days_valid": 200, "issuer": "corp issuing ca", "extra_names": (FQDN,)})
    assert plan(of, "enterprise_ca", **fits).changes == ()


def test_thirty_days_are_asked_for_by_default() -> None:
    assert "has only 5 days left, until 2026-11-26, fewer than 30" in refused(bind(bare(), "short"), "store")
    assert CertificateWish("store").min_days_valid == 30


def test_a_wildcard_among_the_names_is_kept_where_the_certificate_has_it() -> None:
    of = bare()
    one = leaf("wildcard")
    of["certificates"]["My"][one.thumbprint] = {"der": one.der_base64, "has_private_key": True, "key": one.key_pem, "friendly_name": "WSUS"}
    assert plan(of, "enterprise_ca", extra_names=("*.Corp.example", "wsus.corp.example")).changes == ()
    assert isinstance(plan(of, "enterprise_ca", extra_names=("*.west.corp.example",)).changes[0], Enroll)


def test_one_that_is_kept_gets_the_name_that_is_asked_for() -> None:
    assert plan(document(), "store", friendly_name="WSUS 2027").changes == (NameCertificate("My", GOOD, "WSUS 2027"),)
    assert plan(document(), "store", friendly_name="WSUS").changes == ()
    assert plan(document(), "store", friendly_name="wsus").changes == (NameCertificate("My", GOOD, "wsus"),)
    hosted = bind(bare(), store="WebHosting")
    assert plan(hosted, "csr", friendly_name="X").changes == (NameCertificate("WebHosting", GOOD, "X"),)


def test_one_that_is_promised_is_kept_and_not_named() -> None:
    state = read(bare())
    certificates_of(state).append(promised_certificate())
    for source in SOURCES:
        assert plan(state, source, friendly_name="X", issuer="Another CA", extra_names=("a.b",)).changes == ()


# --- the store alone -----------------------------------------------------------------------------------------------------------


def test_a_store_without_one_that_fits_is_refused_with_why() -> None:
    said = refused(bind(bare(), "expired"), "store")
    assert said.startswith(f"No certificate in the computer's Personal store can serve {FQDN}. Passed over: {EXPIRED} (WSUS): expired on 2026-11-18")
    assert refused(bare(), "store") == f"The computer's Personal store has no certificate at all. Obtain one for {FQDN} first."


# --- an enterprise CA ------------------------------------------------------------------------------------------------------------


def test_the_directorys_default_ca_is_asked_by_the_usual_template() -> None:
    planned = plan(bare(), "enterprise_ca")
    assert planned.changes == (Enroll(None, "WebServer", f"CN={FQDN}", "WSUS", (FQDN,), "RSA", 2048),)
    assert planned.notes == ()
    assert planned.values == {"fqdn": FQDN, "status": "missing", "thumbprint": None, "certificate": None, "request": None}


def test_what_is_asked_for_is_what_is_wished_for() -> None:
    wish: dict[str, Any] = {
        "fqdn": "WSUS.Corp.Example",
        "extra_names": ("B.example", FQDN, "wsus.corp.example", "*.corp.example", "b.EXAMPLE", "wsus01"),
        "friendly_name": "WSUS 2027",
        "authority": CA,
        "template": "WSUS",
        "key_algorithm": "ECDSA_P384",
    }
    (change,) = plan(bare(), "enterprise_ca", **wish).changes
    names = ("wsus.corp.example", "b.example", FQDN, "*.corp.example", "wsus01")
    assert change == Enroll(CA, "WSUS", "CN=wsus.corp.example", "WSUS 2027", names, "ECDSA_P384", 384)
    (change,) = plan(bare(), "enterprise_ca", key_length=4096).changes
    assert (change.key_algorithm, change.key_length) == ("RSA", 4096)  # type: ignore[attr-defined]


def test_the_prediction_of_what_is_asked_for_fits() -> None:
    state = read(bare())
    planned = plan(state, "enterprise_ca", friendly_name="X")
    ahead = predict(state, planned.changes, NOW)
    assert plan(ahead, "enterprise_ca", friendly_name="X").changes == ()
    values = certificate_values(ahead, CertificateWish("enterprise_ca"), NOW)
    assert (values["status"], values["thumbprint"], values["request"]) == ("promised", "promised", None)
    assert (values["certificate"]["promised"], values["certificate"]["serves"], values["certificate"]["der"]) == (True, True, None)


def test_a_machine_in_no_domain_has_no_enterprise_ca() -> None:
    of = bare()
    of["computer"]["domain_member"] = False
    assert refused(of, "enterprise_ca") == "This machine is in no domain, so no enterprise CA knows it. Take another source: csr or pfx."
    of["certificates"] = document()["certificates"]
    assert plan(of, "enterprise_ca").changes == ()
    state = read(bare())
    del state["computer"]["domain_member"]
    assert plan(state, "enterprise_ca").changes


@pytest.mark.parametrize(
    ("mark", "pending"),
    [
        (f"7 {CA}", (7, CA)),
        ("123456 H\\N", (123456, "H\\N")),
        ("7 CA01\\Name (with) [odd] & signs", (7, "CA01\\Name (with) [odd] & signs")),
        ("", None),
        ("7", None),
        ("7 CA01", None),
        ("7 CA01\\", None),
        ("7 \\CA", None),
        ("7 A\\B\\C", None),
        ("seven CA01\\CA", None),
        ("-7 CA01\\CA", None),
        (" 7 CA01\\CA", None),
        ("7CA01\\CA", None),
    ],
)
def test_a_pending_request_is_collected_and_anything_else_in_its_place_is_none(mark: str, pending: tuple[int, str] | None) -> None:
    state = read(marked(bare(), PendingRequest=mark))
    assert pending_request(state) == pending
    planned = plan(state, "enterprise_ca", authority="Other\\CA")
    if pending is None:
        assert isinstance(planned.changes[0], Enroll)
        assert planned.notes == ()
    else:
        number, authority = pending
        assert planned.changes == (Collect(authority, number),)
        note = f"Request {number} was left pending by {authority}. Whether it has been decided shows only when it is asked for."
        assert planned.notes == (note,)
        ahead = predict(state, planned.changes, NOW)
        assert plan(ahead, "enterprise_ca").changes == ()
        assert pending_request(ahead) is None


def test_without_the_mark_nothing_is_pending() -> None:
    assert pending_request(read()) is None


# --- a request to any CA -----------------------------------------------------------------------------------------------------------


def requested(
    *names: str, kind: str = "ec256", friendly_name: str = "WSUS", mark: str | None = None, made: datetime.datetime = NOW - DAY / 2
) -> dict[str, Any]:
    """A machine on which a request for these names was made, or with another mark than that request."""
    of = bare()
    thumbprint, key_entry = waiting(kind, 0, friendly_name, made)
    of["certificates"]["Request"][thumbprint] = key_entry
    return marked(of, CertificateRequest=request(*names or (FQDN,), kind=kind) if mark is None else mark)


EC: dict[str, Any] = {"key_algorithm": "ECDSA_P256"}


def answer(*certificates: x509.Certificate) -> Answer:
    return Answer("wsus01.cer", found(*certificates))


def test_a_first_run_makes_a_request() -> None:
    planned = plan(bare(), "csr")
    assert planned.changes == (REQUEST,)
    assert (planned.notes, planned.values["status"], planned.values["request"]) == ((), "missing", None)
    (change,) = plan(bare(), "csr", extra_names=("B.example",), friendly_name="X", key_algorithm="ECDSA_P384").changes
    assert change == CertificateRequest(f"CN={FQDN}", "X", (FQDN, "b.example"), "ECDSA_P384", 384)


def test_the_prediction_of_a_request_waits() -> None:
    state = read(bare())
    ahead = predict(state, plan(state, "csr").changes, NOW)
    planned = plan(ahead, "csr")
    assert (planned.changes, planned.notes) == ((), (WAITS,))
    assert (planned.values["status"], planned.values["request"], planned.values["thumbprint"]) == ("requested", None, None)


@pytest.mark.parametrize(("kind", "algorithm", "length"), [("ec256", "ECDSA_P256", 256), ("ec384", "ECDSA_P384", None), ("rsa2048", "RSA", None)])
def test_a_request_that_was_made_waits_for_its_answer(kind: str, algorithm: str, length: int | None) -> None:
    of = requested(FQDN, "wsus.corp.example", kind=kind)
    # In any order and case, as Windows writes it.
    wish: dict[str, Any] = {"extra_names": ("WSUS.corp.example", FQDN.upper()), "key_algorithm": algorithm, "key_length": length}
    planned = plan(of, "csr", **wish)
    assert (planned.changes, planned.notes) == ((), (WAITS,))
    assert planned.values["status"] == "requested"
    assert planned.values["request"] == of["registry"][MARKS]["CertificateRequest"]["data"]
    assert plan(requested(FQDN.upper(), "WSUS.corp.example", kind=kind), "csr", **wish).changes == ()
    written = request(FQDN, "wsus.corp.example", kind=kind).replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST").replace("\n", "\r\n")
    assert plan(requested(kind=kind, mark=written), "csr", **wish).changes == ()


@pytest.mark.parametrize(
    "wish",
    [
        {"extra_names": ("b.example",)},
        {"fqdn": "b.example"},
        {"key_algorithm": "ECDSA_P384"},
        {"key_algorithm": "RSA"},
    ],
)
def test_a_request_that_no_longer_fits_is_made_anew(wish: dict[str, Any]) -> None:
    planned = plan(requested(), "csr", **(EC | wish))
    assert isinstance(planned.changes[0], CertificateRequest)
    assert len(planned.changes) == 1
    assert planned.notes == (
        "The request that was made before no longer fits (other names, another kind of key, or its key is gone), so another is made.",
    )
    # Fewer names are other names.
    assert plan(requested(FQDN, "b.example"), "csr", **EC).changes


def test_a_longer_key_is_another_kind() -> None:
    of = requested(kind="rsa2048")
    assert plan(of, "csr").changes == ()
    assert plan(of, "csr", key_length=2048).changes == ()
    (change,) = plan(of, "csr", key_length=3072).changes
    assert isinstance(change, CertificateRequest)


def test_a_request_whose_key_is_gone_is_made_anew() -> None:
    of = requested()
    of["certificates"]["Request"] = dict([waiting(number=1)])
    planned = plan(of, "csr", **EC)
    assert isinstance(planned.changes[0], CertificateRequest)
    assert "or its key is gone" in planned.notes[0]
    # A certificate in another store with this key is not what waits.
    of["certificates"]["WebHosting"] = dict([waiting()])
    assert plan(of, "csr", **EC).changes


@pytest.mark.parametrize("mark", ["no request", f"7 {CA}", request(FQDN)[:-30]])
def test_what_is_no_request_in_its_place_is_made_anew(mark: str) -> None:
    assert isinstance(plan(requested(mark=mark), "csr", **EC).changes[0], CertificateRequest)


def test_an_empty_mark_is_a_request_in_a_prediction_alone() -> None:
    state = read(requested(mark=""))
    planned = plan(state, "csr", **EC)
    assert isinstance(planned.changes[0], CertificateRequest)
    assert planned.notes == ()
    # There is none to be shown either.
    assert (planned.values["status"], planned.values["request"]) == ("requested", None)


def test_keys_that_wait_are_those_of_the_request_store() -> None:
    assert waiting_keys(read()) == []
    of = requested()
    other, junk = waiting(number=1)
    of["certificates"]["Request"][other] = junk
    state = read(of)
    certificates_of(state).append({**promised_certificate(), "store": "Request"})
    certificates_of(state).append({**promised_certificate(), "store": "Request", "thumbprint": "AB" * 20, "der": "AAAA"})
    keys = [key("ec256", number).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) for number in (0, 1)]
    assert waiting_keys(state) == keys
    for each in certificates_of(state):
        each["store"] = each["store"].upper()
    assert waiting_keys(state) == keys


# --- and its answer ---------------------------------------------------------------------------------------------------------------


def test_an_answer_is_installed_with_the_intermediates_above_it() -> None:
    one = answer_to(request(FQDN))
    thumbprint, _entry = waiting()
    installed = InstallCertificate(text_of(one), "WSUS", thumbprint)
    # In any order; with its root, which nobody trusts by that, with strangers, which nobody needs, and with another server's certificate.
    with_all = answer(root().certificate, leaf("other").certificate, one, stranger().certificate, issuing().certificate)
    for given, changes in (
        (answer(one), (installed,)),
        (answer(one, issuing().certificate), (ADD_ISSUING, installed)),
        (with_all, (ADD_ISSUING, installed)),
    ):
        planned = plan(requested(), "csr", answer=given, **EC)
        assert planned.changes == changes
        assert planned.notes == ()


def test_of_what_comes_with_an_answer_only_the_authorities_above_it_are_added() -> None:
    unrelated = Authority.create("Another Issuing CA", parent=stranger()).certificate
    # Of the issuing authority's own name and key, but no authority.
    odd = signed_across(issuing(), root(), authority=False)
    for given in (pfx("good", unrelated, issuing().certificate), pfx("good", odd, stranger().certificate)):
        trusts = [change for change in plan(bare(), "pfx", pfx=given).changes if isinstance(change, Trust)]
        assert trusts == ([ADD_ISSUING] if given.rest[0].subject == "CN=Another Issuing CA" else [])
    one = answer_to(request(FQDN))
    planned = plan(requested(), "csr", answer=answer(unrelated, one, issuing().certificate), **EC)
    assert [change for change in planned.changes if isinstance(change, Trust)] == [ADD_ISSUING]


def test_an_answer_need_not_be_for_the_last_request_nor_for_the_same_key() -> None:
    of = requested(FQDN, "old.example")
    assert [type(change) for change in plan(of, "csr", answer=answer(answer_to(request(FQDN))), **EC).changes] == [InstallCertificate]
    # The mark was lost, the key still waits.
    del of["registry"][MARKS]
    assert [type(change) for change in plan(of, "csr", answer=answer(answer_to(request(FQDN))), **EC).changes] == [InstallCertificate]


def test_the_prediction_of_an_answer_is_the_certificate() -> None:
    state = read(requested())
    one = answer(answer_to(request(FQDN)))
    ahead = predict(state, plan(state, "csr", answer=one, **EC).changes, NOW)
    planned = plan(ahead, "csr", answer=one, **EC)
    assert planned.changes == ()
    assert (planned.values["status"], planned.values["thumbprint"]) == ("present", one.certificates[0].thumbprint)
    assert planned.values["certificate"]["der"] == one.certificates[0].der
    assert waiting_keys(ahead) == []


def test_what_is_installed_is_called_as_it_was_asked_for_and_named_where_the_wish_is_another_by_now() -> None:
    one = answer_to(request(FQDN))
    thumbprint, _entry = waiting()
    installed = InstallCertificate(text_of(one), "Before", thumbprint)
    of = requested(friendly_name="Before")
    for name, changes in (
        (None, (installed,)),
        ("Before", (installed,)),
        ("Now", (installed, NameCertificate("My", thumbprint_of(text_of(one)), "Now"))),
    ):
        planned = plan(of, "csr", answer=answer(one), friendly_name=name, **EC)
        assert planned.changes == changes
        ahead = predict(read(of), planned.changes, NOW)
        assert plan(ahead, "csr", answer=answer(one), friendly_name=name, **EC).changes == ()


@pytest.mark.parametrize(
    ("wishes", "wish", "why"),
    [
        ({"dns_names": ["other.corp.example"]}, {}, f"is for other.corp.example, not for {FQDN}"),
        ({"dns_names": [], "common_name": "other"}, {}, rf"is for other \(its common name: it has no SAN\), not for {FQDN}"),
        ({}, {"extra_names": ("b.example",)}, f"is for {FQDN}, not for b.example"),
        ({}, {"extra_names": ("*.corp.example",)}, f"is for {FQDN}, not for \\*.corp.example"),
        ({"server_authentication": False}, {}, "is not for Server Authentication"),
        ({"days": 20}, {}, "has only 20 days left, until .*, fewer than 30"),
        ({"days": -3}, {}, "expired on "),
        ({}, {"issuer": "Another CA"}, "was issued by CN=Corp Issuing CA 1, not by Another CA"),
    ],
)
def test_an_answer_that_will_not_do_is_refused(wishes: dict[str, Any], wish: dict[str, Any], why: str) -> None:
    one = answer_to(request(FQDN), **wishes)
    with pytest.raises(Refusal, match=rf"^The answer in wsus01\.cer must not be installed: the certificate {thumbprint_of(text_of(one))} {why}"):
        plan(requested(), "csr", answer=answer(one), **EC, **wish)


def test_every_reason_against_an_answer_is_told_once() -> None:
    one = answer_to(request(FQDN), server_authentication=False, days=5)
    said = refused(requested(), "csr", answer=answer(one), extra_names=(FQDN, "b.example"), **EC)
    assert said.count("Server Authentication") == said.count("days left") == said.count("b.example") == 1
    assert said.count("; ") == 2


def test_an_answer_to_another_request_is_refused_while_a_key_waits() -> None:
    one = answer_to(request(FQDN, number=1), before=0)
    assert refused(requested(), "csr", answer=answer(one, issuing().certificate), **EC) == (
        "The answer in wsus01.cer is for another key than those that wait on this server: it was made from another request. Take the request "
        "that this module returned to the CA, or where it returned none take the file away and run this again."
    )
    # Also where none waits: it would be refused once a request is made.
    one = answer_to(request(FQDN, number=1), before=0)
    assert "for another key" in refused(bare(), "csr", answer=answer(one, issuing().certificate))
    assert "for another key" in refused(bare(), "csr", answer=answer(issuing().certificate))


def test_an_answer_from_before_the_request_is_left_from_another_time() -> None:
    # The request was made now: a day is for CAs that let what they issue begin earlier.
    for hours, left in ((0, False), (23, False), (25, True), (24 * 300, True)):
        one = answer(answer_to(request(FQDN, number=1), before=hours / 24), issuing().certificate)
        for of in (requested(made=NOW), bare()):
            if left:
                planned = plan(of, "csr", answer=one, **EC)
                assert planned.notes[0] == "The answer in wsus01.cer is for a request of before; it is left alone."
                assert certificate_values(predict(read(of), planned.changes, NOW), CertificateWish("csr"), NOW)["status"] == "requested"
            else:
                assert "for another key" in refused(of, "csr", answer=one, **EC)
    # One that is newer than the request of all that are in it is enough, and the last request counts.
    both = answer(*(answer_to(request(FQDN, number=1), before=days) for days in (0, 9)))
    assert "for another key" in refused(requested(), "csr", answer=both, **EC)
    of = requested()
    name, old = waiting(number=2, made=NOW - 30 * DAY)
    of["certificates"]["Request"][name] = old
    assert plan(of, "csr", answer=answer(answer_to(request(FQDN, number=1), before=9)), **EC).notes


def test_the_answer_of_before_is_left_alone() -> None:
    note = "The answer in wsus01.cer is for a request of before; it is left alone."
    old = leaf("expired")
    # Nothing waits: a request is made.
    planned = plan(bare(), "csr", answer=answer(old.certificate, issuing().certificate))
    assert (planned.changes, planned.notes) == ((REQUEST,), (note,))
    # It is installed, and a request waits: the file is of the time before that.
    of = requested()
    of["certificates"]["My"][old.thumbprint] = {"der": old.der_base64, "has_private_key": True, "key": old.key_pem, "friendly_name": ""}
    planned = plan(of, "csr", answer=answer(old.certificate, issuing().certificate), **EC)
    assert (planned.changes, planned.notes) == ((), (note, WAITS))
    # Even where it was issued only now.
    new = answer_to(request(FQDN, number=1), before=0)
    of["certificates"]["My"][thumbprint_of(text_of(new))] = {"der": text_of(new), "has_private_key": True, "friendly_name": ""}
    assert plan(of, "csr", answer=answer(new), replace=(thumbprint_of(text_of(new)),), **EC).notes == (note, WAITS)
    planned = plan(of, "csr", answer=answer(old.certificate), key_algorithm="ECDSA_P384")
    assert isinstance(planned.changes[0], CertificateRequest)
    assert planned.notes[0] == note
    assert len(planned.notes) == 2


# --- a PFX -------------------------------------------------------------------------------------------------------------------------


def pfx(kind: str = "good", *rest: x509.Certificate, modern: bool = False) -> Pfx:
    return Pfx("wsus01.pfx", found(leaf(kind).certificate)[0], found(*rest), modern)


IMPORTED = ImportPfx(leaf().der_base64, "WSUS", "wsus01.pfx")


def test_a_pfx_is_installed_with_its_intermediates_and_no_root() -> None:
    planned = plan(bare(), "pfx", pfx=pfx("good", root().certificate, issuing().certificate, stranger().certificate, leaf("other").certificate))
    assert planned.changes == (ADD_ISSUING, IMPORTED)
    (*_rest, named) = plan(bare(), "pfx", pfx=pfx("good", issuing().certificate), friendly_name="X").changes
    assert named == dataclasses.replace(IMPORTED, friendly_name="X")


def test_the_prediction_of_a_pfx_is_the_certificate() -> None:
    state = read(bare())
    planned = plan(state, "pfx", pfx=pfx("good", issuing().certificate))
    ahead = predict(state, planned.changes, NOW)
    assert plan_certificate(ahead, CertificateWish("pfx"), NOW, never, never, never).changes == ()
    assert certificate_values(ahead, CertificateWish("pfx"), NOW)["thumbprint"] == leaf().thumbprint


def test_without_a_pfx_there_is_nothing_to_install() -> None:
    assert refused(bare(), "pfx") == "No certificate fits, and no PFX was given."


@pytest.mark.parametrize(
    ("kind", "wish", "why"),
    [
        ("other", {}, f"is for other.corp.example, not for {FQDN}"),
        ("expired", {}, "expired on 2026-11-18"),
        ("short", {}, "has only 20 days left, until 2026-12-11, fewer than 30"),
        ("for clients", {}, "is not for Server Authentication"),
        ("good", {"extra_names": ("wsus.corp.example",)}, f"is for {FQDN}, not for wsus.corp.example"),
        ("good", {"issuer": "Another CA"}, "was issued by CN=Corp Issuing CA 1, not by Another CA"),
        ("good", {"replace": (leaf().thumbprint.lower(),)}, "is to be replaced"),
    ],
)
def test_a_pfx_that_will_not_do_is_refused(kind: str, wish: dict[str, Any], why: str) -> None:
    said = refused(bare(), "pfx", pfx=pfx(kind, issuing().certificate), **wish)
    assert said == f"The certificate {leaf(kind).thumbprint} in wsus01.pfx cannot serve {FQDN}: {why}."


def test_a_pfx_with_all_that_was_asked_for_will_do() -> None:
    wish: dict[str, Any] = {"extra_names": ("wsus.corp.example",), "issuer": "corp issuing ca 1", "min_days_valid": 300, "replace": (GOOD,)}
    assert len(plan(bare(), "pfx", pfx=pfx("both", issuing().certificate), **wish).changes) == 2


def test_a_chain_has_to_be_in_the_pfx_or_among_the_authorities() -> None:
    incomplete = (
        "The chain in wsus01.pfx is incomplete: the certificate was issued by CN=Corp Issuing CA 1, and that authority's certificate is not in the "
        "file. Export it with 'Include all certificates in the certification path', or name the authority's file in 'authorities'."
    )
    assert refused(bare(), "pfx", pfx=pfx()) == incomplete
    assert refused(bare(), "pfx", pfx=pfx("good", root().certificate), known=found(stranger().certificate)) == incomplete
    changes = plan(bare(), "pfx", pfx=pfx(), known=found(issuing().certificate)).changes
    assert changes[-1] == IMPORTED
    assert [type(change).__name__ for change in changes] == ["Trust", "ImportPfx"], "what the file lacks goes to the Intermediate store too"
    own = Pfx("own.pfx", found(self_signed().certificate)[0], (), False)
    assert [type(change) for change in plan(bare(), "pfx", pfx=own).changes] == [ImportPfx]


@pytest.mark.parametrize(
    ("build", "modern", "reads"),
    [
        ("14393", True, False),
        ("14393", False, True),
        ("17762", True, False),
        ("17763", True, True),
        ("20348", True, True),
        ("26100", True, True),
        ("", True, True),
        ("unknown", True, True),
    ],
)
def test_server_2016_does_not_read_what_is_modern(build: str, modern: bool, reads: bool) -> None:
    of = bare()
    of["registry"][WINDOWS]["CurrentBuild"] = text(build)
    given = pfx("good", issuing().certificate, modern=modern)
    if reads:
        assert plan(of, "pfx", pfx=given).changes
        return
    said = refused(of, "pfx", pfx=given)
    assert said.startswith(f"wsus01.pfx is encrypted with AES or SHA-256, which this Windows (build {build}, Server 2016) cannot read;")
    assert "-CryptoAlgorithmOption TripleDES_SHA1, or openssl pkcs12 -export -legacy)." in said


def test_a_build_that_nobody_told_reads_everything() -> None:
    state = read(bare())
    state["computer"]["build"] = None
    assert plan(state, "pfx", pfx=pfx("good", issuing().certificate, modern=True)).changes


# --- what is wished for ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fqdn", ["wsus01", "*.corp.example", "wsus01..example", "wsus 01.corp.example", "wsüs.b", "a.b.", "-a.b", "10.0.0.1/x"])
def test_a_name_that_no_certificate_for_wsus_can_have(fqdn: str) -> None:
    for source in SOURCES:
        said = refused(document(), source, fqdn=fqdn)
        assert said == f"'{fqdn.lower()}' is no fully qualified name, which a certificate for WSUS has to have [CFG]."


def test_a_server_whose_own_name_has_no_domain_is_refused() -> None:
    of = document()
    of["registry"][r"HKLM:\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters"]["Domain"] = text("")
    assert refused(of, "store").startswith("'wsus01' is no fully qualified name")
    assert plan(of, "store", fqdn=FQDN).changes == ()


def test_a_common_name_has_at_most_64_characters() -> None:
    longest = "a" * 60 + ".b.c"
    longer = "a" * 61 + ".b.c"
    assert len(longest) == 64
    for source in ("enterprise_ca", "csr"):
        assert plan(document(), source, fqdn=longest).changes
        assert refused(document(), source, fqdn=longer) == f"The common name of a certificate has at most 64 characters; '{longer}' has 65."
    # What others issued may be without a common name.
    assert "cannot serve" in refused(document(), "pfx", fqdn=longer, pfx=pfx("good", issuing().certificate))
    assert "can serve" in refused(document(), "store", fqdn=longer)


@pytest.mark.parametrize(
    "name", ["", " ", "a b", "*", "*.", "w*.b", "a.*.b", ".a", "a.", "a..b", "-a", "a-", "ü.b", "a\nb", "a.b\n", "http://a.b", "a,b", 'a"']
)
def test_other_names_have_to_be_names(name: str) -> None:
    for source in SOURCES:
        said = refused(document(), source, extra_names=("fine.example", name))
        assert said == f"These are no host names, and no wildcards, that a certificate could have: {name!r}."


@pytest.mark.parametrize("name", ["wsus", "WSUS", "a-b.c_d.e", "_a.b", "*.b", "*.b.c", "1.2.3.4", "a--b"])
def test_names_that_a_certificate_can_have(name: str) -> None:
    (change,) = plan(bare(), "enterprise_ca", extra_names=(name,)).changes
    assert isinstance(change, Enroll)
    assert change.dns_names == (FQDN, name.lower())


def test_all_names_that_are_none_are_told() -> None:
    assert refused(document(), "store", extra_names=("a b", "c", "*")).endswith(": 'a b', '*'.")


@pytest.mark.parametrize("what", ["friendly_name", "template", "authority"])
@pytest.mark.parametrize("sign", ['"', "&", "\r", "\n"])
def test_signs_that_certreq_cannot_take(what: str, sign: str) -> None:
    value = f"A\\B{sign}C"
    assert refused(document(), "store", **{what: value}) == f"The {what.replace('_', ' ')} {value!r} has a quote, an ampersand or a line break in it."


@pytest.mark.parametrize("authority", ["CA01", "CA01/Corp CA", "A\\B\\C", "\\CA", "CA01\\"])
def test_an_authority_is_named_as_certutil_names_it(authority: str) -> None:
    assert refused(document(), "enterprise_ca", authority=authority) == (
        f"The authority is named HOST\\NAME, as 'certutil -dump' shows it, and not '{authority}'."
    )
    assert plan(document(), "enterprise_ca", authority=CA).changes == ()


@pytest.mark.parametrize(
    ("algorithm", "right", "wrong", "said"),
    [
        ("RSA", [2048, 3072, 4096], [1024, 256, 0, 2047], "2048 or 3072 or 4096"),
        ("ECDSA_P256", [256], [2048, 384], "256"),
        ("ECDSA_P384", [384], [256], "384"),
    ],
)
def test_a_key_has_a_length_of_its_kind(algorithm: str, right: list[int], wrong: list[int], said: str) -> None:
    for length in right:
        (change,) = plan(bare(), "csr", key_algorithm=algorithm, key_length=length).changes
        assert (change.key_algorithm, change.key_length) == (algorithm, length)  # type: ignore[attr-defined]
    for length in wrong:
        told = refused(document(), "store", key_algorithm=algorithm, key_length=length)
        assert told == f"A key of {algorithm} has {said} bits, not {length}."
    assert set(KEY_LENGTHS) == {"RSA", "ECDSA_P256", "ECDSA_P384"}


@pytest.mark.parametrize("source", SOURCES)
def test_a_machine_without_wsus_or_with_unreadable_stores_is_refused(source: str) -> None:
    state = read()
    state["setup"] = None
    assert "This is not a WSUS server" in refused(state, source)
    for part, said in (("certificates", "certificate stores cannot be read"), ("iis", "IIS configuration of the WSUS site cannot be read")):
        state = read()
        state[part] = None  # type: ignore[literal-required]
        assert said in refused(state, source)


def test_a_wish_is_what_one_in_the_store_is_judged_by_too() -> None:
    certificate = parse({**entry("good"), "store": "My", "thumbprint": GOOD, "key_usable": True})
    assert against_wish(certificate, CertificateWish("store"), FQDN, NOW) == []
    assert against_wish(dataclasses.replace(certificate, key_usable=False), CertificateWish("store"), FQDN, NOW) == [
        "its private key cannot be opened"
    ]
    # What it is to be called is no reason against it.
    assert against_wish(certificate, CertificateWish("store", friendly_name="X"), FQDN, NOW) == []
    wish = CertificateWish("store", extra_names=("b.example", FQDN), issuer="X", replace=(GOOD.lower(),), min_days_valid=201)
    assert against_wish(certificate, wish, "b.example", NOW) == [
        f"is for {FQDN}, not for b.example",
        "has only 200 days left, until 2027-06-09, fewer than 201",
        "was issued by CN=Corp Issuing CA, not by X",
        "is to be replaced",
    ]


# --- what a run left that was cut off ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "folder",
    [
        r"C:\Users\ADMINI~1\AppData\Local\Temp\ansible-tmp-1764000000.1-2-3",
        r"d:\a b (c)\ansible-tmp-x",
        r"C:\Users\Zoë\ansible-tmp-1",
    ],
)
def test_a_folder_with_a_pfx_that_was_left_is_removed_first(folder: str) -> None:
    of = marked(document(), TransferFolder=folder)
    for source in SOURCES:
        assert plan(of, source).changes == (RemoveLeftover(folder),)
    assert plan(of, "store", friendly_name="X").changes == (RemoveLeftover(folder), NameCertificate("My", GOOD, "X"))
    without = marked(bare(), TransferFolder=folder)
    assert [type(change) for change in plan(without, "enterprise_ca").changes] == [RemoveLeftover, Enroll]
    assert [type(change) for change in plan(without, "csr").changes] == [RemoveLeftover, CertificateRequest]
    given = pfx("good", issuing().certificate)
    assert [type(change) for change in plan(without, "pfx", pfx=given).changes] == [RemoveLeftover, Trust, ImportPfx]
    assert plan(predict(read(of), plan(of, "store").changes, NOW), "store").changes == ()


@pytest.mark.parametrize(
    "folder",
    [
        "",
        r"C:\Windows",
        r"C:\Windows\System32\ansible-tmp",
        r"ansible-tmp-1",
        r"\\server\share\ansible-tmp-1",
        r"C:\Temp\ansible-tmp-1\..\..\Windows",
        r"C:\Temp\ansible-tmp-1/../../Windows",
        r"C:/Temp/../Windows\ansible-tmp-1",
        r"C:\Temp/../Windows\ansible-tmp-1",
        r"C:\Temp\ansible-tmp-*",
        r"C:\*\ansible-tmp-1",
        r"C:\Temp\ansible-tmp-1:stream",
        r"C:\Temp\ansible-tmp-",
        r"HKLM:\SOFTWARE\ansible-tmp-1",
        "C:\\Temp\\ansible-tmp-1 | Remove-Item",
        r"C:\Temp\xansible-tmp-1",
    ],
)
def test_a_folder_that_ansible_does_not_name_so_is_never_removed(folder: str) -> None:
    assert plan(marked(document(), TransferFolder=folder), "store").changes == ()


# --- what is returned ---------------------------------------------------------------------------------------------------------------------


def test_what_is_returned_of_one_that_is_there() -> None:
    values = certificate_values(read(), CertificateWish("store", fqdn=FQDN.upper()), NOW)
    assert {name: values[name] for name in ("fqdn", "status", "thumbprint", "request")} == {
        "fqdn": FQDN,
        "status": "present",
        "thumbprint": GOOD,
        "request": None,
    }
    assert values["certificate"]["serves"] is True
    assert values["certificate"]["der"] == issued("good").der_base64
    assert values["certificate"]["days_left"] == 200


@pytest.mark.parametrize("source", ["store", "enterprise_ca", "pfx"])
def test_a_request_is_nothing_to_the_other_sources(source: str) -> None:
    values = certificate_values(read(requested()), CertificateWish(source), NOW)
    assert (values["status"], values["thumbprint"], values["certificate"], values["request"]) == ("missing", None, None, None)


def test_a_request_is_returned_until_there_is_a_certificate() -> None:
    of = requested()
    values = certificate_values(read(of), CertificateWish("csr"), NOW)
    assert (values["status"], values["request"]) == ("requested", request_of(of))
    of["certificates"]["My"] = document()["certificates"]["My"]
    values = certificate_values(read(of), CertificateWish("csr"), NOW)
    assert (values["status"], values["request"]) == ("present", None)


def request_of(of: dict[str, Any]) -> str:
    return str(of["registry"][MARKS]["CertificateRequest"]["data"])


def test_before_and_after_show_the_personal_store_and_what_waits() -> None:
    of = marked(requested(), PendingRequest=f"7 {CA}")
    of["certificates"]["My"] = {LONGER: entry("longer"), GOOD: entry("good")}
    of["certificates"]["WebHosting"] = {EXPIRED: entry("expired")}
    state = read(of)
    pending, asked = {"waits": "a request that the CA has not decided"}, {"waits": "a request that waits for its answer"}
    both = sorted(({"thumbprint": one, "friendly_name": "WSUS"} for one in (GOOD, LONGER)), key=lambda each: each["thumbprint"])
    assert managed_certificates(state) == [*both, pending, asked]
    certificates_of(state).append(promised_certificate() | {"friendly_name": "X"})
    assert managed_certificates(state)[2] == {"thumbprint": "still to come", "friendly_name": "X"}
    assert managed_certificates(read(bare())) == []
    state["certificates"] = None
    assert managed_certificates(state) == []


# --- with the engine: what comes out ---------------------------------------------------------------------------------------------------------


def with_ca(of: dict[str, Any], mode: str = "issue") -> dict[str, Any]:
    """A machine of a domain whose enterprise CA is the issuing authority, which it trusts."""
    private = issuing().key.private_bytes(Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode("ascii")
    of["ca"] = {"config": CA, "certificate": issuing().certificate_pem, "key": private, "template": "WebServer", "mode": mode}
    for store, authority in (("Root", root()), ("CA", issuing())):
        one = text_of(authority.certificate)
        of["certificates"][store][thumbprint_of(one)] = {"der": one, "has_private_key": False, "friendly_name": ""}
    return of


def test_what_the_ca_issues_is_kept_the_next_time() -> None:
    one = machine(with_ca(bind(bare(), "expired")))
    wish = CertificateWish("enterprise_ca", extra_names=("*.corp.example", "wsus.corp.example"), **EC)
    changes = plan_certificate(read_state(one), wish, NOW).changes  # type: ignore[arg-type]
    assert apply_changes(one, [change.payload() for change in changes])["failed"] is None
    after: Any = read_state(one)
    assert plan_certificate(after, wish, NOW).changes == ()
    assert certificate_values(after, wish, NOW)["status"] == "present"
    assert after["marks"] == {}


def test_what_is_pending_is_collected_once_it_is_issued() -> None:
    one = machine(with_ca(bare(), "pending"))
    wish = CertificateWish("enterprise_ca", **EC)
    changes = plan_certificate(read_state(one), wish, NOW).changes  # type: ignore[arg-type]
    said = apply_changes(one, [change.payload() for change in changes])["output"]
    assert [each["status"] for each in said] == ["pending"]
    state: Any = read_state(one)
    assert plan_certificate(state, wish, NOW).changes == (Collect(CA, 1),)
    one.document["ca"]["mode"] = "issue"
    assert apply_changes(one, [Collect(CA, 1).payload()])["failed"] is None
    state = read_state(one)
    assert plan_certificate(state, wish, NOW).changes == ()
    assert state["marks"] == {}


def test_a_request_and_its_answer_all_the_way() -> None:
    one = machine(with_ca(bare()))
    wish = CertificateWish("csr", extra_names=("wsus.corp.example",), **EC)
    changes = plan_certificate(read_state(one), wish, NOW).changes  # type: ignore[arg-type]
    assert apply_changes(one, [change.payload() for change in changes])["failed"] is None
    state: Any = read_state(one)
    planned = plan_certificate(state, wish, NOW)
    assert (planned.changes, planned.notes) == ((), (WAITS,))
    signed = answer(answer_to(planned.values["request"]), issuing().certificate)
    changes = plan_certificate(state, wish, NOW, lambda: signed).changes
    assert apply_changes(one, [change.payload() for change in changes])["failed"] is None
    state = read_state(one)
    planned = plan_certificate(state, wish, NOW, never)
    assert (planned.changes, planned.values["status"]) == ((), "present")
    assert (state["marks"], waiting_keys(state)) == ({}, [])


# --- removing -----------------------------------------------------------------------------------------------------------------------------------


def noted(of: dict[str, Any], *thumbprints: str) -> dict[str, Any]:
    return marked(of, ReplacedCertificates=" ".join(thumbprints))


def note(*left: str) -> Registry:
    about = "Take the note of removed certificates off the server"
    return Registry(MARKS_KEY, "ReplacedCertificates", "String", " ".join(left) or None, about)


def unused(*kinds: str) -> dict[str, Any]:
    """A machine with these certificates in its Personal store, and the good one bound."""
    of = bind(document())
    of["certificates"]["My"] |= {issued(kind).thumbprint: entry(kind) for kind in kinds}
    return of


def test_all_that_was_replaced_is_removed_and_its_note() -> None:
    planned = plan_removal(read(noted(unused("longer", "expired", "short"), LONGER, EXPIRED)), None)
    assert planned.changes == (RemoveCertificate("My", LONGER), RemoveCertificate("My", EXPIRED), note())
    assert planned.values == {"removed": [LONGER, EXPIRED], "kept": []}
    assert planned.notes == ()


def test_where_nothing_was_replaced_nothing_is_removed() -> None:
    for of in (unused("longer"), noted(unused("longer"))):
        planned = plan_removal(read(of), None)
        assert (planned.changes, planned.values) == ((), {"removed": [], "kept": []})


def test_what_is_gone_already_leaves_only_its_note() -> None:
    planned = plan_removal(read(noted(unused(), LONGER, "no thumbprint")), None)
    assert (planned.changes, planned.values["removed"]) == ((note(),), [])


def test_a_named_one_is_removed_noted_or_not() -> None:
    spaced = ":".join(LONGER[at : at + 2].lower() for at in range(0, 40, 2))
    assert plan_removal(read(unused("longer")), spaced).changes == (RemoveCertificate("My", LONGER),)
    state = read(noted(unused("longer", "expired"), EXPIRED, LONGER))
    assert plan_removal(state, LONGER).changes == (RemoveCertificate("My", LONGER), note(EXPIRED))
    assert plan_removal(read(noted(unused(), EXPIRED)), LONGER).changes == ()
    with pytest.raises(Refusal, match="'abc' is not a thumbprint"):
        plan_removal(read(), "abc")


def test_one_that_is_in_both_stores_goes_from_both() -> None:
    of = unused("longer")
    of["certificates"]["WebHosting"] = {LONGER: entry("longer")}
    of["certificates"]["Request"] = {LONGER: entry("longer")}
    of["certificates"]["Root"] = {LONGER: entry("longer")}
    planned = plan_removal(read(noted(of, LONGER)), None)
    assert planned.changes == (RemoveCertificate("My", LONGER), RemoveCertificate("WebHosting", LONGER), note())
    assert planned.values["removed"] == [LONGER]
    ahead = predict(read(of), plan_removal(read(of), LONGER).changes, NOW)
    assert plan_removal(ahead, LONGER).changes == ()


def bound_elsewhere(of: dict[str, Any], kind: str) -> dict[str, Any]:
    thumbprint = issued(kind).thumbprint
    binding = {"protocol": "https", "information": "10.0.0.7:443:intra", "ssl_flags": 0, "certificate_hash": thumbprint, "certificate_store": "My"}
    of["iis"]["sites"].append({"id": 1, "name": "Intranet", "bindings": [binding], "applications": []})
    return of


def served(of: dict[str, Any], kind: str, endpoint: str) -> dict[str, Any]:
    value = {"SslCertHash": {"kind": "Binary", "data": issued(kind).thumbprint}, "SslCertStoreName": text("My")}
    of["registry"][f"{HTTP_SYS}\\{endpoint}"] = value
    return of


def remote_desktop(of: dict[str, Any], kind: str) -> dict[str, Any]:
    of["registry"][RDP] = {"SSLCertificateSHA1Hash": {"kind": "Binary", "data": issued(kind).thumbprint}}
    return of


USERS = [
    (lambda: bind(unused(), "longer", at="*:8531:"), ["the site 'WSUS Administration' binds it to *:8531:"], 1),
    (lambda: bind(unused(), "longer", at="*:9443:", served=None), ["the site 'WSUS Administration' binds it to *:9443:"], 0),
    (lambda: bound_elsewhere(unused("longer"), "longer"), ["the site 'Intranet' binds it to 10.0.0.7:443:intra"], 0),
    (lambda: served(unused("longer"), "longer", "0.0.0.0:5986"), ["http.sys serves it at 0.0.0.0:5986 (WinRM over HTTPS)"], 0),
    (lambda: served(unused("longer"), "longer", "0.0.0.0:15986"), ["http.sys serves it at 0.0.0.0:15986"], 0),
    (lambda: served(unused("longer"), "longer", "0.0.0.0:8531"), ["http.sys serves it at 0.0.0.0:8531 (the kernel still serves it)"], 0),
    (lambda: served(unused("longer"), "longer", "10.0.0.5:8531"), ["http.sys serves it at 10.0.0.5:8531"], 0),
    (lambda: remote_desktop(unused("longer"), "longer"), ["Remote Desktop uses it"], 0),
]


@pytest.mark.parametrize(("of", "users", "more"), USERS, ids=lambda value: value[0] if isinstance(value, list) else "")
def test_what_is_in_use_is_never_removed(of: Any, users: list[str], more: int) -> None:
    state = read(noted(of(), LONGER))
    found_users = used_by(state, LONGER)
    assert found_users[: len(users)] == users
    assert len(found_users) == len(users) + more
    assert used_by(state, LONGER.lower()) == found_users
    with pytest.raises(Refusal, match=f"^The certificate {LONGER} is in use and must not be removed: ") as error:
        plan_removal(state, LONGER)
    assert str(error.value).endswith(f"{'; '.join(found_users)}.")
    planned = plan_removal(state, None)
    assert planned.changes == ()
    assert planned.notes == (f"The certificate {LONGER} was replaced, and stays: {'; '.join(found_users)}.",)
    assert planned.values == {"removed": [], "kept": [{"thumbprint": LONGER, "used_by": found_users}]}


def test_who_uses_it_is_told_in_any_case_of_letters() -> None:
    state = read(noted(remote_desktop(unused("longer"), "longer"), LONGER))
    state["computer"]["remote_desktop_thumbprint"] = LONGER.lower()
    assert used_by(state, LONGER) == ["Remote Desktop uses it"]


def test_one_in_use_does_not_keep_the_others() -> None:
    planned = plan_removal(read(noted(unused("longer"), GOOD, LONGER, EXPIRED)), None)
    assert planned.changes == (RemoveCertificate("My", LONGER), note(GOOD))
    assert [each["thumbprint"] for each in planned.values["kept"]] == [GOOD]


def test_a_certificate_of_another_is_used_by_nobody() -> None:
    assert used_by(read(remote_desktop(bound_elsewhere(served(unused("longer"), "short", "0.0.0.0:5986"), "short"), "expired")), LONGER) == []


@pytest.mark.parametrize("part", ["iis", "http_sys", "certificates"])
def test_what_could_not_be_read_could_be_in_use(part: str) -> None:
    state = read(noted(unused("longer"), LONGER))
    state[part] = None  # type: ignore[literal-required]
    for thumbprint in (None, LONGER):
        with pytest.raises(Refusal, match="cannot be read"):
            plan_removal(state, thumbprint)


def test_a_machine_without_wsus_is_refused() -> None:
    state = read()
    state["setup"] = None
    with pytest.raises(Refusal, match="This is not a WSUS server"):
        plan_removal(state, None)


def test_a_removal_comes_out_as_planned() -> None:
    one = machine(noted(unused("longer", "expired"), LONGER, EXPIRED, GOOD))
    state: Any = read_state(one)
    changes = plan_removal(state, None).changes
    assert apply_changes(one, [change.payload() for change in changes])["failed"] is None
    after: Any = read_state(one)
    ahead = predict(state, changes, NOW)
    assert (after["certificates"], after["marks"]) == (ahead["certificates"], ahead["marks"])
    assert plan_removal(after, None).changes == ()
    assert [each["thumbprint"] for each in after["certificates"]] == [GOOD]


def test_the_papers_are_what_they_are_taken_for() -> None:
    thumbprint, made = waiting()
    assert thumbprint == thumbprint_of(made["der"])
    (one,) = found(answer_to(request(FQDN)))
    assert one.not_after > NOW + 290 * DAY
    assert x509.load_pem_x509_csr(request(FQDN).encode()).is_signature_valid
