# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What must hold of certificates for every state: predictions come true, planning again finds nothing, what fits is kept, what is used stays."""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest
from ansible_collections.securepatch.wsus.plugins.plugin_utils.binding import BindingWish, plan_binding, replaced_certificates
from ansible_collections.securepatch.wsus.plugins.plugin_utils.certificate_changes import (
    CertificateRequest,
    Collect,
    Enroll,
    ImportPfx,
    NameCertificate,
    RemoveCertificate,
    RemoveLeftover,
    Trust,
)
from ansible_collections.securepatch.wsus.plugins.plugin_utils.certificates import bears, parse, reasons_against
from ansible_collections.securepatch.wsus.plugins.plugin_utils.changes import Binding, Change, Event, predict, way_back
from ansible_collections.securepatch.wsus.plugins.plugin_utils.enrollment import (
    Answer,
    CertificateWish,
    Pfx,
    certificate_values,
    plan_certificate,
    plan_removal,
)
from ansible_collections.securepatch.wsus.plugins.plugin_utils.planning import Plan
from ansible_collections.securepatch.wsus.plugins.plugin_utils.state import LookNeeded, Refusal, State, bound_certificate, serving_binding
from ansible_collections.securepatch.wsus.plugins.plugin_utils.trusting import TrustWish, managed_trust, plan_trust, thumbprints
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from tests.lab.engine import apply_changes, read_state, read_trust
from tests.lab.machine import Machine
from tests.unit.plugin_utils.machines import FQDN, HTTP_SYS, HTTP_SYS_SNI, MARKS, NOW, entry, issued, looked, sentences
from tests.unit.plugin_utils.papers import (
    NAMES,
    answer_to,
    every_name_asked,
    found,
    issuing,
    leaf,
    machines_with_papers,
    request,
    root,
    self_signed,
    stranger,
    users_of,
)

MACHINES = machines_with_papers()
OFFERING = machines_with_papers(offers=True)
BOTH = st.one_of(MACHINES, OFFERING)
Cut = Callable[[int, dict[str, Any]], None]


def machine_of(document: dict[str, Any]) -> Machine:
    return Machine(document, name="wsus01", wait=lambda _seconds: None)


def state_of(machine: Machine, asked: Sequence[str] = ()) -> State:
    state: Any = read_state(machine)
    if asked:
        state["trust"] = read_trust(machine, list(asked))
    return cast("State", state)


def make(machine: Machine, changes: Sequence[Change], cut: Cut | None = None) -> None:
    """Make the changes, in order, as the action plugin does: two kinds are other modules', and no part of the list that the server gets."""
    for change in changes:
        if isinstance(change, RemoveLeftover):
            machine.document["registry"][MARKS].pop("TransferFolder")
        elif isinstance(change, ImportPfx):
            (one,) = [leaf(kind) for kind in PFX_KINDS if leaf(kind).der_base64 == change.der]
            entry = {"der": one.der_base64, "has_private_key": True, "key": one.key_pem, "friendly_name": change.friendly_name}
            machine.document["certificates"]["My"][one.thumbprint] = entry
        else:
            result = apply_changes(machine, [change.payload()], cut)
            assert result["failed"] is None, change.describe()


def by_place(entries: Sequence[dict[str, Any]] | None) -> list[dict[str, Any]]:
    return sorted(entries or [], key=lambda each: (each["store"], str(each["thumbprint"])))


# --- what is wished for, and what the controller has ---------------------------------------------------------------------------

PFX_KINDS = ("good", "newer", "both", "wildcard", "expired", "other")


@functools.cache
def answered(names: tuple[str, ...], number: int, days: int) -> Any:
    return answer_to(request(*names, number=number) if names else every_name_asked(number), days=days)


@dataclasses.dataclass(frozen=True)
class Given:
    """A wish, with what the controller has for it."""

    wish: CertificateWish
    answer: Answer | None
    pfx: Pfx | None

    def plan(self, state: State) -> Plan:
        return plan_certificate(state, self.wish, NOW, lambda: self.answer, lambda: self.pfx)


_SOURCES = st.sampled_from(["store", "enterprise_ca", "csr", "csr", "pfx", "pfx"])
_WISHED = st.tuples(
    st.sampled_from([None, FQDN.upper()]),
    st.sampled_from([(), (), NAMES[:1], NAMES[2:], NAMES[:2]]),
    st.sampled_from([None, None, "Corp Issuing CA 1"]),
    st.sampled_from([None, None, "WSUS", "Now"]),
    st.sampled_from([0, 30, 299, 299]),
    st.sampled_from([(), (leaf().thumbprint,), (leaf("newer").thumbprint, issued("longer").thumbprint)]),
)
_ANSWERS = st.sampled_from([(names, number, days) for names in ((), (), (FQDN,)) for number in (0, 0, 1) for days in (300, 300, 20)])
_ABOVE = st.sampled_from([(), (issuing().certificate,), (root().certificate, issuing().certificate)])
_KINDS = st.sampled_from(["newer", *PFX_KINDS])


@st.composite
def wishes(draw: st.DrawFn) -> Given:
    source = draw(_SOURCES)
    fqdn, extra, issuer, name, days, replace = draw(_WISHED)
    wish = CertificateWish(source, fqdn, extra, issuer, name, days, replace, key_algorithm="ECDSA_P256")
    above = found(*draw(_ABOVE)) if source in ("csr", "pfx") else ()
    answer = Answer("a.cer", (*found(answered(*draw(_ANSWERS))), *above)) if source == "csr" and draw(st.booleans()) else None
    pfx = Pfx("w.pfx", found(leaf(draw(_KINDS)).certificate)[0], above or found(issuing().certificate), False) if source == "pfx" else None
    return Given(wish, answer, pfx)


WISHES = wishes()


def fitting(state: State, wish: CertificateWish) -> list[dict[str, Any]]:
    """Which certificates of a state fit a wish, judged one by one and not by the code that selects."""
    bound = serving_binding(state)
    current = bound_certificate(state, bound) if bound else None
    fits = []
    for each in state["certificates"] or []:
        certificate = parse(each)
        if each["store"] != "My" and each is not current:
            continue
        asked = wish.issuer is None or certificate.issuer_common_name == wish.issuer
        named = all(bears(certificate, name) for name in wish.extra_names)
        if not reasons_against(certificate, FQDN, NOW, wish.min_days_valid) and asked and named and each["thumbprint"] not in wish.replace:
            fits.append(each)
    return fits


def planned(given_one: Given, state: State) -> tuple[Change, ...]:
    before = copy.deepcopy(state)
    try:
        changes = given_one.plan(state).changes
    except Refusal as refusal:
        assert str(refusal)
        event(f"refused: {given_one.wish.source}")
        assume(False)
        raise
    finally:
        assert state == before
    return changes


@settings(max_examples=130, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(document=MACHINES, given_one=WISHES)
def test_a_certificate_comes_out_as_foretold_and_is_kept_from_then_on(document: dict[str, Any], given_one: Given) -> None:
    machine = machine_of(document)
    state = state_of(machine)
    changes = planned(given_one, state)
    event(" ".join([given_one.wish.source, *(type(change).__name__ for change in changes)]))
    predicted = predict(state, changes, NOW)
    again = given_one.plan(predicted)
    assert not again.changes, "planning on the prediction finds something again"
    back, lost = way_back(state, changes, NOW)
    # Of intermediates nobody asked whether they were there before.
    assert all(isinstance(change, Event | Trust) for change in lost)
    assert all(isinstance(change, NameCertificate) for change in back)
    assert len(set(sentences(changes))) == len(changes)

    make(machine, changes)
    after = state_of(machine)
    left = given_one.plan(after).changes
    kinds = {type(change) for change in changes}
    if Collect in kinds:
        # It is called as it was asked for, which only shows once it is there.
        assert {type(change) for change in left} <= {NameCertificate}
    else:
        assert not left, "planning on what came out finds something again"
    told, seen = (certificate_values(one, given_one.wish, NOW)["status"] for one in (predicted, after))
    assert (told, seen) in {("present", "present"), ("requested", "requested"), ("promised", "present")}
    assert compared(predicted, after, state, kinds) == compared(after, after, state, kinds)


def compared(one: State, after: State, before: State, kinds: set[type[Change]]) -> dict[str, Any]:
    """All of a state but what a prediction cannot know: a certificate that a CA issued, a key that was made, or what becomes of a waiting one."""
    seen: dict[str, Any] = copy.deepcopy(dict(one))
    for name in ("predicted", "trust", "endpoints"):
        seen.pop(name, None)
    if seen["api"]:
        seen["api"]["synchronization"]["configuration_state"] = None  # looking lowers it
    known = {(each["store"], each["thumbprint"]) for each in before["certificates"] or []}
    entries = seen["certificates"]
    if kinds & {Enroll, Collect}:
        new = [each for each in entries if (each["store"], each["thumbprint"]) not in known and each["store"] == "My"]
        seen["certificates"] = [each for each in entries if each not in new]
        seen["new"] = [(each["has_private_key"], each["key_usable"], None if Collect in kinds else each["friendly_name"]) for each in new]
    if kinds & {CertificateRequest, Collect}:
        seen["certificates"] = [each for each in seen["certificates"] if each["store"] != "Request"]
    if CertificateRequest in kinds:
        seen["marks"]["CertificateRequest"] = "CertificateRequest" in seen["marks"]
    seen["certificates"] = by_place(seen["certificates"])
    return seen


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(document=MACHINES, given_one=WISHES)
def test_one_that_fits_is_always_kept_and_nothing_is_asked_for(document: dict[str, Any], given_one: Given) -> None:
    state = state_of(machine_of(document))
    fits = fitting(state, given_one.wish)
    event(f"fits: {bool(fits)}")
    if not fits:
        nothing_fits(state, given_one)
        return
    plan = plan_certificate(state, given_one.wish, NOW, never, never, never)
    assert {type(change) for change in plan.changes} <= {RemoveLeftover, NameCertificate}
    assert plan.values["status"] == "present"
    kept = [each for each in fits if each["thumbprint"] == plan.values["thumbprint"]]
    assert kept
    bound = serving_binding(state)
    if bound and bound["thumbprint"] in [each["thumbprint"] for each in fits]:
        assert plan.values["thumbprint"] == bound["thumbprint"], "the bound one is kept while it fits"
    for change in plan.changes:
        if isinstance(change, NameCertificate):
            assert (change.thumbprint, change.friendly_name) == (plan.values["thumbprint"], given_one.wish.friendly_name)


def nothing_fits(state: State, given_one: Given) -> None:
    """Then something is done about it, or refused, or a request waits."""
    try:
        plan = given_one.plan(state)
    except Refusal:
        return
    kinds = {type(change) for change in plan.changes}
    assert kinds - {RemoveLeftover, NameCertificate} or "The request waits for its answer." in plan.notes
    assert plan.values["status"] in {"missing", "requested"}


def never() -> Any:
    raise AssertionError("What the controller has was looked at without need.")


# --- trust -----------------------------------------------------------------------------------------------------------------------

AUTHORITIES = (root().certificate, issuing().certificate, stranger().certificate)
OWN = self_signed()
PINNED = (leaf().certificate, leaf("newer").certificate, OWN.certificate)


TRUST_WISHES = st.builds(
    lambda authorities, pinned: TrustWish(found(*authorities), found(*pinned)),
    st.lists(st.sampled_from(AUTHORITIES), unique=True),
    st.lists(st.sampled_from(PINNED), unique=True, max_size=2),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(document=MACHINES, wish=TRUST_WISHES)
def test_trust_comes_out_as_foretold_and_leads_back(document: dict[str, Any], wish: TrustWish) -> None:
    machine = machine_of(document)
    asked = thumbprints(wish)
    if asked:
        with pytest.raises(LookNeeded):
            plan_trust(state_of(machine), wish, NOW)
    state = state_of(machine, asked)
    changes = plan_trust(state, wish, NOW).changes
    predicted = predict(state, changes, NOW)
    assert not plan_trust(predicted, wish, NOW).changes
    # Whoever else is trusted stays.
    assert all(set(stores) <= set(predicted["trust"][one]) for one, stores in state.get("trust", {}).items())
    make(machine, changes)
    after = state_of(machine, asked)
    assert not plan_trust(after, wish, NOW).changes
    assert sets(predicted) == sets(after)
    assert compared(predicted, after, state, set()) == compared(after, after, state, set())
    back, lost = way_back(state, changes, NOW)
    assert not lost
    make(machine, back)
    assert managed_trust(state_of(machine, asked), asked) == managed_trust(state, asked)


def sets(state: State) -> dict[str, set[str]]:
    return {one: set(stores) for one, stores in state.get("trust", {}).items()}


# --- removing ----------------------------------------------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(document=BOTH, data=st.data())
def test_a_removal_comes_out_as_foretold_and_never_takes_what_is_used(document: dict[str, Any], data: st.DataObject) -> None:
    machine = machine_of(document)
    before = copy.deepcopy(document)
    state = state_of(machine)
    used = users_of(document)
    every = sorted(set(stored(document)))
    named = data.draw(st.sampled_from([None, None, *every, "AB" * 20]))
    noted = replaced_certificates(state)
    try:
        plan = plan_removal(state, named)
    except Refusal:
        assert named in used
        return
    assert named not in used
    removed = [change.thumbprint for change in plan.changes if isinstance(change, RemoveCertificate)]
    event(f"removes {len(set(removed))}, named: {named is not None}")
    assert not set(removed) & used
    assert set(removed) == {one for one in ([named] if named else noted) if one in every and one not in used}
    assert {each["thumbprint"] for each in plan.values["kept"]} == (set() if named else {one for one in noted if one in used})
    assert all(each["used_by"] for each in plan.values["kept"])
    predicted = predict(state, plan.changes, NOW)
    make(machine, plan.changes)
    after = state_of(machine)
    assert compared(predicted, after, state, set()) == compared(after, after, state, set())
    for left in (predicted, after):
        assert not plan_removal(left, named).changes
    # Only what was removed is gone, from the two stores that have servers' certificates alone; and nobody lost what they use.
    for store, entries in before["certificates"].items():
        gone = set(entries) - set(machine.document["certificates"][store])
        assert gone == (set(removed) & set(entries) if store in ("My", "WebHosting") else set())
    assert users_of(machine.document) == used


# --- binding, and all of a renewal ---------------------------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(document=BOTH, data=st.data())
def test_a_binding_comes_out_as_foretold_and_notes_what_it_replaced(document: dict[str, Any], data: st.DataObject) -> None:
    machine = machine_of(document)
    state = state_of(machine)
    named = data.draw(st.sampled_from([None, *sorted(document["certificates"]["My"])]))
    wish = BindingWish(thumbprint=named, min_days_valid=0)
    try:
        plan = plan_binding(state, wish, NOW)
    except Refusal:
        assume(False)
        raise
    predicted = predict(state, plan.changes, NOW)
    assert not plan_binding(predicted, wish, NOW).changes
    make(machine, plan.changes)
    after = state_of(machine)
    assert not plan_binding(after, wish, NOW).changes
    assert replaced_certificates(predicted) == replaced_certificates(after)
    assert predicted["marks"] == after["marks"]
    before, noted = replaced_certificates(state), replaced_certificates(after)
    bound = [change for change in plan.changes if isinstance(change, Binding)]
    event(f"bound: {len(bound)}")
    for change in bound:
        new, old = change.thumbprint, thumbprint_at(state, change)
        assert thumbprint_at(after, change) == new == plan.values["thumbprint"]
        assert noted == [one for one in before if one != new] + [one for one in [old] if one and one != new and one not in before]
    assert bound or noted == before


def thumbprint_at(state: State, place: Binding) -> str | None:
    """Which certificate the site's binding at the place of another has."""
    assert state["iis"] is not None
    bindings = [each for each in state["iis"]["site"]["bindings"] if each["protocol"] == "https"]
    here = [each for each in bindings if (each["ip_address"], each["port"], each["host_name"]) == (place.ip_address, place.port, place.host_name)]
    return here[0].get("thumbprint") if here else None


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(document=BOTH, source=st.sampled_from(["enterprise_ca", "pfx", "csr"]), cut=st.integers(0, 12))
def test_a_renewal_that_was_cut_anywhere_is_finished_by_the_next(document: dict[str, Any], source: str, cut: int) -> None:
    """A certificate, its binding, and the removal of what it replaced, cut after any change."""
    machine = machine_of(document)
    wish = CertificateWish(source, min_days_valid=250, issuer="Corp Issuing CA 1", key_algorithm="ECDSA_P256")
    pfx = Pfx("w.pfx", found(leaf("newer").certificate)[0], found(issuing().certificate), False)
    beside = {**document, "iis": {**document["iis"], "sites": document["iis"]["sites"][1:]}}
    own = (HTTP_SYS, HTTP_SYS_SNI)
    beside["registry"] = {path: values for path, values in document["registry"].items() if not path.startswith(own) or path.endswith(":5986")}
    needed = users_of(beside) & set(stored(document))

    class CutOff(Exception):
        pass

    made = 0

    def count(_index: int, _change: dict[str, Any]) -> None:
        nonlocal made
        if made == cut:
            raise CutOff
        made += 1

    def obtain(state: State) -> Plan:
        asked = state["marks"].get("CertificateRequest")
        answer = Answer("a.cer", found(answer_to(str(asked)), issuing().certificate)) if source == "csr" and is_request(asked) else None
        return plan_certificate(state, wish, NOW, lambda: answer, lambda: pfx)

    def bind(state: State) -> Plan:
        return plan_binding(state, BindingWish(thumbprint=certificate_values(state, wish, NOW)["thumbprint"], min_days_valid=30), NOW)

    def clean(state: State) -> Plan:
        return plan_removal(state, None)

    # A request is answered by the second look at the server.
    steps = [obtain, obtain, bind, clean]
    for hook in (count, None):
        try:
            for step in steps:
                make(machine, refusing(step, state_of(machine)), hook)
        except CutOff:
            continue
    after = state_of(machine)
    for step in steps:
        assert not step(after).changes, step.__name__
    values = certificate_values(after, wish, NOW)
    assert values["status"] == "present"
    bound = serving_binding(after)
    assert bound is not None and bound_certificate(after, bound) is not None
    # Whoever used a certificate beside the site has it still; what was replaced and nobody uses is gone.
    assert needed <= set(stored(machine.document))
    assert set(replaced_certificates(after)) <= users_of(machine.document)


def stored(document: dict[str, Any]) -> list[str]:
    return [one for store in ("My", "WebHosting") for one in document["certificates"].get(store, {})]


def is_request(text: Any) -> bool:
    return "BEGIN CERTIFICATE REQUEST" in str(text or "")


def refusing(step: Callable[[State], Plan], state: State) -> tuple[Change, ...]:
    try:
        return step(state).changes
    except Refusal:
        assume(False)
        raise


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(document=OFFERING, served=st.sampled_from([None, "good", "longer", "longer", "stranger"]))
def test_a_site_is_restarted_only_for_an_old_certificate_of_its_own(document: dict[str, Any], served: str | None) -> None:
    document["certificates"]["My"][issued("longer").thumbprint] = entry("longer")
    machine = machine_of(document)
    make(machine, refusing(lambda state: plan_binding(state, BindingWish(min_days_valid=0), NOW), state_of(machine)))
    state = state_of(machine)
    plan = plan_binding(state, BindingWish(min_days_valid=0), NOW)
    assert not plan.changes
    foreign = OWN.der_base64 if served == "stranger" else None
    der = foreign if served in (None, "stranger") else issued(str(served)).der_base64
    seen = looked(state, FQDN, plan.values["port"], certificates=[der] if der else [])
    own = {each["der"]: each["thumbprint"] for each in state["certificates"] or []}
    old = der in own and own[str(der)] != plan.values["thumbprint"]
    event(f"old: {old}")
    changes = plan_binding(seen, BindingWish(min_days_valid=0), NOW).changes
    started = bool(state["iis"]) and cast("Any", state["iis"])["site"]["state"] == "Started"
    assert [type(change).__name__ for change in changes] == (["RestartSite"] * started + ["Registry"] if old else [])
    assert not plan_binding({**seen, "predicted": True}, BindingWish(min_days_valid=0), NOW).changes
