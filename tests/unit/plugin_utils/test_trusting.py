# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Planning whom a machine trusts: what goes into which store, what must not, and whether it will do at an endpoint."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.securepatch.wsus.plugins.plugin_utils.authorities import thumbprint_of
from ansible_collections.securepatch.wsus.plugins.plugin_utils.certificate_changes import Trust
from ansible_collections.securepatch.wsus.plugins.plugin_utils.changes import predict
from ansible_collections.securepatch.wsus.plugins.plugin_utils.planning import Plan
from ansible_collections.securepatch.wsus.plugins.plugin_utils.state import LookNeeded, Refusal, State, promised_endpoint
from ansible_collections.securepatch.wsus.plugins.plugin_utils.trusting import (
    TrustWish,
    found_at,
    managed_trust,
    places,
    plan_trust,
    refuse_unfit,
    thumbprints,
    trust_of,
)

from tests.lab.authority import Authority
from tests.unit.plugin_utils.machines import DAY, FQDN, NOW, looked, read
from tests.unit.plugin_utils.papers import found, issuing, leaf, root, self_signed, signed_across, stranger, text_of

LEAF, ISSUING, ROOT = leaf().certificate, issuing().certificate, root().certificate
THE_LEAF, THE_ISSUING, THE_ROOT = (thumbprint_of(text_of(each)) for each in (LEAF, ISSUING, ROOT))
ADD_ROOT, ADD_ISSUING = Trust("Root", text_of(ROOT), "CN=Corp Root CA"), Trust("CA", text_of(ISSUING), "CN=Corp Issuing CA 1")
PINNED = Trust("WindowsServerUpdateServices", text_of(LEAF), f"CN={FQDN}")
BOTH = found(ISSUING, ROOT)
AT = ((FQDN, 8531),)
UNTRUSTED: dict[str, Any] = {"trusted": False, "chain_errors": ["UntrustedRoot"], "certificates": [text_of(LEAF), text_of(ISSUING)]}


def asked(*trusted: str, **stores: list[str]) -> State:
    """A state that was asked for the usual certificates: those of TRUSTED are where they belong."""
    usual = {THE_ROOT: "Root", THE_ISSUING: "CA", THE_LEAF: "WindowsServerUpdateServices"}
    state = read()
    state["trust"] = {one: [store] if one in trusted else [] for one, store in usual.items()} | stores
    return state


def plan(state: State, wish: TrustWish) -> Plan:
    return plan_trust(state, wish, NOW)


def refused(state: State, wish: TrustWish) -> str:
    with pytest.raises(Refusal) as error:
        plan(state, wish)
    return str(error.value)


# --- what goes where ---------------------------------------------------------------------------------------------------------


def test_roots_intermediates_and_what_is_pinned_have_each_their_store() -> None:
    wish = TrustWish(BOTH, found(LEAF))
    assert places(wish) == [("CA", BOTH[0]), ("Root", BOTH[1]), ("WindowsServerUpdateServices", found(LEAF)[0])]
    assert thumbprints(wish) == [THE_ISSUING, THE_ROOT, THE_LEAF]
    # One that is an authority and pinned as well is asked for once.
    assert thumbprints(TrustWish(BOTH, found(ROOT))) == [THE_ISSUING, THE_ROOT]
    assert thumbprints(TrustWish()) == []


def test_what_is_missing_is_added_and_what_is_there_stays() -> None:
    wish = TrustWish(BOTH, found(LEAF))
    assert plan(asked(), wish).changes == (ADD_ISSUING, ADD_ROOT, PINNED)
    assert plan(asked(THE_ISSUING), wish).changes == (ADD_ROOT, PINNED)
    assert plan(asked(THE_ISSUING, THE_ROOT, THE_LEAF), wish).changes == ()
    assert plan(asked(), TrustWish()).changes == ()


def test_another_store_than_the_one_it_belongs_in_is_not_enough() -> None:
    elsewhere = asked(**{THE_ROOT: ["CA", "WindowsServerUpdateServices"], THE_ISSUING: ["Root"]})
    assert plan(elsewhere, TrustWish(BOTH)).changes == (ADD_ISSUING, ADD_ROOT)


def test_the_server_has_to_be_asked_for_every_certificate_first() -> None:
    state = read()
    for wish in (TrustWish(BOTH), TrustWish(pinned=found(LEAF)), TrustWish(BOTH, endpoints=AT)):
        with pytest.raises(LookNeeded) as need:
            plan(state, wish)
        assert (need.value.host_name, need.value.port) == ("", 0)
    state["trust"] = {THE_ROOT: []}
    with pytest.raises(LookNeeded):
        plan(state, TrustWish(BOTH))
    assert plan(state, TrustWish(found(ROOT))).changes == (ADD_ROOT,)


def test_what_the_module_returns() -> None:
    values = plan(looked(asked(THE_ROOT), FQDN, **UNTRUSTED), TrustWish(BOTH, endpoints=AT)).values
    assert values["trust"] == [
        {
            "thumbprint": THE_ISSUING,
            "subject": "CN=Corp Issuing CA 1",
            "store": "Intermediate Certification Authorities",
            "present": False,
            "not_after": BOTH[0].not_after.strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
        {
            "thumbprint": THE_ROOT,
            "subject": "CN=Corp Root CA",
            "store": "Trusted Root Certification Authorities",
            "present": True,
            "not_after": BOTH[1].not_after.strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
    ]
    problem = f"this server does not trust the certificate found at {FQDN}:8531 (UntrustedRoot)"
    assert values["endpoints"] == [{"host_name": FQDN, "port": 8531, "ok": False, "problem": problem}]
    well = plan(looked(asked(THE_ROOT, THE_ISSUING), FQDN), TrustWish(BOTH, endpoints=AT)).values
    assert well["endpoints"] == [{"host_name": FQDN, "port": 8531, "ok": True, "problem": None}]
    assert [each["present"] for each in trust_of(read(), TrustWish(BOTH))] == [None, None]


def test_before_and_after_say_which_stores_have_what_was_asked_for() -> None:
    state = asked(THE_ROOT)
    shown = {THE_ROOT: ["Trusted Root Certification Authorities"], THE_LEAF: []}
    assert managed_trust(state, [THE_ROOT, THE_LEAF]) == shown
    assert managed_trust(read(), [THE_ROOT]) == {THE_ROOT: []}
    ahead = predict(state, [PINNED, ADD_ROOT, ADD_ISSUING], NOW)
    assert managed_trust(ahead, [THE_LEAF, THE_ISSUING]) == {
        THE_LEAF: ["WindowsServerUpdateServices"],
        THE_ISSUING: ["Intermediate Certification Authorities"],
    }


# --- what must not be trusted ------------------------------------------------------------------------------------------------


def unfit(wish: TrustWish) -> str:
    with pytest.raises(Refusal) as error:
        refuse_unfit(wish, NOW)
    # Whatever the machine is, and before anybody asks it.
    assert refused(read(), wish) == str(error.value)
    return str(error.value)


def test_a_servers_certificate_is_no_authority() -> None:
    assert unfit(TrustWish(found(LEAF))) == (
        f"{THE_LEAF} (CN={FQDN}) is no authority: whoever has its key could become anybody if it were trusted as one. Give the certificates of "
        "the authorities that issued it; to pin a server's own certificate, give it as pinned."
    )
    own = self_signed().certificate
    assert f"(CN={FQDN}) is a certificate that issued itself and is no authority: whoever has its key" in unfit(TrustWish(found(own)))


def dated(not_before: Any, days: int) -> Any:
    return found(self_signed("Dated CA", authority=True, not_before=not_before, days=days).certificate)


def test_an_authority_has_to_be_valid_now() -> None:
    (over,), (early,) = dated(NOW - 9 * DAY, 8), dated(NOW + DAY, 8)
    assert unfit(TrustWish((over,))) == f"{over.thumbprint} (CN=Dated CA) expired on 2026-11-20."
    assert unfit(TrustWish((early,))) == f"{early.thumbprint} (CN=Dated CA) is not valid before 2026-11-22."
    refuse_unfit(TrustWish(dated(NOW, 9)), NOW)
    refuse_unfit(TrustWish(dated(NOW - 9 * DAY, 9)), NOW)


def test_what_is_pinned_may_be_anybodys_and_has_to_last() -> None:
    refuse_unfit(TrustWish(pinned=found(LEAF, ISSUING, self_signed().certificate)), NOW)
    over = found(leaf("expired").certificate)
    said = f"{over[0].thumbprint} (CN={FQDN}) expired on 2026-11-18 and must not be pinned."
    assert unfit(TrustWish(pinned=over)) == said


def test_every_problem_is_told_at_once() -> None:
    said = unfit(TrustWish((*found(LEAF), *BOTH, *dated(NOW - 9 * DAY, 8)), found(leaf("expired").certificate)))
    assert said.count("is no authority") == 1
    assert said.count("expired on") == 2
    assert THE_ROOT not in said


def test_an_authority_that_ends_soon_is_told() -> None:
    soon, later = dated(NOW - DAY, 90), dated(NOW - DAY, 92)
    state = asked(**{each.thumbprint: ["Root"] for each in (*soon, *later)})
    assert plan(state, TrustWish((*soon, *later))).notes == ("Trusted is CN=Dated CA, which ends on 2027-02-18.",)
    # What is pinned is a server's, and renewed with it.
    state["trust"] = {soon[0].thumbprint: ["WindowsServerUpdateServices"]}
    assert plan(state, TrustWish(pinned=soon)).notes == ()


# --- at an endpoint ------------------------------------------------------------------------------------------------------------


def test_the_machine_has_to_look_at_each_endpoint() -> None:
    wish = TrustWish(BOTH, endpoints=((FQDN, 8531), ("b.corp.example", 8531)))
    for state in (asked(), looked(asked(), "b.corp.example"), looked(looked(asked(), "b.corp.example"), FQDN, 443)):
        with pytest.raises(LookNeeded) as need:
            plan(state, wish)
        assert (need.value.host_name, need.value.port) == (FQDN, 8531)
    with pytest.raises(LookNeeded) as need:
        plan(looked(asked(), FQDN), wish)
    assert need.value.host_name == "b.corp.example"
    promised = asked()
    promised["endpoints"] = [promised_endpoint(FQDN, 8531)]
    with pytest.raises(LookNeeded):
        plan(promised, TrustWish(BOTH, endpoints=AT))


def test_an_endpoint_that_is_trusted_is_well_whatever_it_serves() -> None:
    state = looked(asked(THE_ROOT, THE_ISSUING), FQDN, certificates=[text_of(self_signed().certificate)])
    assert plan(state, TrustWish(BOTH, endpoints=AT)).changes == ()
    assert plan(looked(asked(), FQDN), TrustWish(endpoints=AT)).changes == ()


def test_where_only_trust_is_missing_and_comes_now_all_is_well() -> None:
    assert plan(looked(asked(), FQDN, **UNTRUSTED), TrustWish(BOTH, endpoints=AT)).changes == (ADD_ISSUING, ADD_ROOT)
    # The intermediate is sent along.
    assert plan(looked(asked(), FQDN, **UNTRUSTED), TrustWish(found(ROOT), endpoints=AT)).changes == (ADD_ROOT,)
    # Or it is not, and comes now.
    alone = UNTRUSTED | {"certificates": [text_of(LEAF)], "chain_errors": ["PartialChain"]}
    assert plan(looked(asked(THE_ROOT), FQDN, **alone), TrustWish(BOTH, endpoints=AT)).changes == (ADD_ISSUING,)


def test_planning_on_the_prediction_finds_nothing_although_the_look_is_older() -> None:
    wish = TrustWish(BOTH, endpoints=AT)
    state = looked(asked(), FQDN, **UNTRUSTED)
    ahead = predict(state, plan(state, wish).changes, NOW)
    assert plan(ahead, wish).changes == ()
    assert plan(ahead, wish).values["trust"] == [{**each, "present": True} for each in plan(state, wish).values["trust"]]


def test_a_root_that_is_not_above_it_is_refused_with_where_the_chain_ends() -> None:
    wish = TrustWish(found(stranger().certificate), endpoints=AT)
    state = looked(asked(**{thumbprint_of(text_of(stranger().certificate)): []}), FQDN, **UNTRUSTED)
    said = refused(state, wish)
    assert said.startswith(f"this server does not trust the certificate found at {FQDN}:8531 (UntrustedRoot).")
    assert said.endswith(
        f" None of the authorities that were given is the root above it (the chain ends at {THE_ISSUING}). Is this the right file?"
    )
    only_issuing = refused(looked(asked(), FQDN, **UNTRUSTED), TrustWish(found(ISSUING), endpoints=AT))
    assert f"(the chain ends at {THE_ISSUING})" in only_issuing
    only_root = refused(looked(asked(), FQDN, **(UNTRUSTED | {"certificates": [text_of(LEAF)]})), TrustWish(found(ROOT), endpoints=AT))
    assert f"(the chain ends at {THE_LEAF})" in only_root


def test_a_renewed_root_is_above_what_the_root_of_before_issued() -> None:
    renewed = signed_across(root(), root())
    state = looked(asked(**{thumbprint_of(text_of(renewed)): []}), FQDN, **(UNTRUSTED | {"certificates": [*map(text_of, (LEAF, ISSUING, ROOT))]}))
    assert [change.store for change in plan(state, TrustWish(found(renewed), endpoints=AT)).changes if isinstance(change, Trust)] == ["Root"]


def test_without_authorities_they_are_asked_for() -> None:
    said = refused(looked(asked(), FQDN, **UNTRUSTED), TrustWish(endpoints=AT))
    assert said.endswith("(UntrustedRoot). Give the certificates of the authorities above it.")


def test_authorities_that_are_in_place_and_do_not_help_leave_another_reason() -> None:
    late = UNTRUSTED | {"chain_errors": ["NotTimeValid"]}
    said = refused(looked(asked(THE_ROOT, THE_ISSUING), FQDN, **late), TrustWish(BOTH, endpoints=AT))
    assert said.endswith(
        "(NotTimeValid). The authorities are in place, so something else is wrong with the chain: a date, a purpose, a certificate that is "
        "distrusted."
    )


def test_what_is_wrong_with_a_chain_beside_its_trust_is_told_before_anything_is_trusted() -> None:
    late = UNTRUSTED | {"chain_errors": ["UntrustedRoot", "NotTimeValid", "Revoked"]}
    said = refused(looked(asked(), FQDN, **late), TrustWish(BOTH, endpoints=AT))
    assert said == (
        f"this server does not trust the certificate found at {FQDN}:8531 (UntrustedRoot, NotTimeValid, Revoked). These authorities are above it, "
        "but trusting them does not mend NotTimeValid, Revoked."
    )
    ahead = predict(looked(asked(), FQDN, **late), [ADD_ROOT, ADD_ISSUING], NOW)
    assert "does not mend NotTimeValid, Revoked" in refused(ahead, TrustWish(BOTH, endpoints=AT))


def test_what_was_found_is_told_for_what_was_looked_at() -> None:
    wish = TrustWish(BOTH, endpoints=((FQDN, 8531), ("b.corp.example", 8531)))
    assert found_at(read(), wish) == []
    state = looked(looked(asked(), "b.corp.example", **UNTRUSTED), "c.corp.example")
    (told,) = found_at(state, wish)
    assert (told["host_name"], told["ok"]) == ("b.corp.example", False)


@pytest.mark.parametrize(
    ("differs", "why"),
    [
        (
            {"reachable": False, "certificates": [], "name_matches": None, "trusted": None, "error": {"message": "timed out"}},
            rf"^{FQDN}:8531 cannot be reached from this server \(timed out\)\.$",
        ),
        (
            {"certificates": [], "name_matches": None, "trusted": None, "error": {"message": "reset"}},
            rf"^{FQDN}:8531 answers, but not with TLS 1.2 \(reset\)\.$",
        ),
        (
            UNTRUSTED | {"name_matches": False},
            rf"^the certificate found at {FQDN}:8531 is not for {FQDN}; this server does not trust the certificate found at {FQDN}:8531 ",
        ),
        (
            {"name_matches": False, "certificates": [text_of(LEAF)]},
            rf"^the certificate found at {FQDN}:8531 is not for {FQDN}\.$",
        ),
    ],
)
def test_what_trust_does_not_mend_is_refused_whatever_comes(differs: dict[str, Any], why: str) -> None:
    for state in (asked(), asked(THE_ROOT, THE_ISSUING)):
        with pytest.raises(Refusal, match=why):
            plan(looked(state, FQDN, **differs), TrustWish(BOTH, endpoints=AT))


def test_the_same_is_refused_on_a_prediction() -> None:
    ahead = predict(looked(asked(), FQDN, **(UNTRUSTED | {"name_matches": False})), [ADD_ROOT, ADD_ISSUING], NOW)
    with pytest.raises(Refusal, match="is not for"):
        plan(ahead, TrustWish(BOTH, endpoints=AT))
    other = predict(looked(asked(), FQDN, **(UNTRUSTED | {"certificates": [text_of(self_signed().certificate)]})), [ADD_ROOT, ADD_ISSUING], NOW)
    with pytest.raises(Refusal, match="None of the authorities"):
        plan(other, TrustWish(BOTH, endpoints=AT))


def test_every_endpoint_is_judged() -> None:
    state = looked(looked(asked(THE_ROOT, THE_ISSUING), FQDN), "b.corp.example", **UNTRUSTED)
    with pytest.raises(Refusal, match=r"at b\.corp\.example:8531"):
        plan(state, TrustWish(BOTH, endpoints=((FQDN, 8531), ("b.corp.example", 8531))))


# --- pinning ---------------------------------------------------------------------------------------------------------------------


def test_what_is_pinned_has_to_be_what_the_endpoint_serves() -> None:
    wish = TrustWish(pinned=found(LEAF), endpoints=AT)
    assert plan(looked(asked(), FQDN, certificates=[text_of(LEAF), text_of(ISSUING)]), wish).changes == (PINNED,)
    another = leaf("newer")
    said = refused(looked(asked(), FQDN, certificates=[another.der_base64, text_of(LEAF)]), wish)
    assert said == (
        f"What is to be pinned would cut this machine off from {FQDN}:8531: the certificate there is {another.thumbprint}, which is not among it."
    )
    # Both of them, while one takes the other's place.
    both = TrustWish(pinned=found(LEAF, another.certificate), endpoints=AT)
    state = asked(**{another.thumbprint: []})
    assert len(plan(looked(state, FQDN, certificates=[another.der_base64]), both).changes) == 2


def test_pinning_is_judged_also_where_it_is_done_already_or_nothing_could_be_seen() -> None:
    wish = TrustWish(pinned=found(LEAF), endpoints=AT)
    with pytest.raises(Refusal, match="would cut this machine off"):
        plan(looked(asked(THE_LEAF), FQDN, certificates=[leaf("newer").der_base64]), wish)
    with pytest.raises(Refusal, match="cannot be reached"):
        plan(looked(asked(THE_LEAF), FQDN, reachable=False, name_matches=None, trusted=None), wish)


def test_authorities_alone_pin_nothing() -> None:
    state = looked(asked(), FQDN, certificates=[leaf("newer").der_base64])
    assert plan(state, TrustWish(BOTH, endpoints=AT)).changes == (ADD_ISSUING, ADD_ROOT)


def test_two_authorities_of_one_name_are_two() -> None:
    one, other = (Authority.create("Corp Issuing CA 9", parent=root()) for _number in range(2))
    assert len(thumbprints(TrustWish(found(one.certificate, other.certificate, one.certificate)))) == 2
