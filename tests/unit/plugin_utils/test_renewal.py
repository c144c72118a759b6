# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who is due for another certificate and why, what the plan of a renewal says, and the table at its end."""

from __future__ import annotations

import copy
import dataclasses
import datetime
from collections.abc import Sequence
from typing import Any, cast

import pytest
from ansible_collections.securepatch.wsus.plugins.plugin_utils.binding import BindingWish, find_binding, plan_binding
from ansible_collections.securepatch.wsus.plugins.plugin_utils.certificates import covers, parse, reasons_against
from ansible_collections.securepatch.wsus.plugins.plugin_utils.enrollment import CertificateWish, plan_certificate, plan_removal
from ansible_collections.securepatch.wsus.plugins.plugin_utils.hierarchy import Server, build, waves
from ansible_collections.securepatch.wsus.plugins.plugin_utils.renewal import (
    Judgement,
    RenewalPlan,
    RenewalWish,
    ServerWish,
    judge_renewal,
    make_renewal_plan,
    renewal_lines,
)
from ansible_collections.securepatch.wsus.plugins.plugin_utils.rollout import WIDTH, Outcome, Seen
from ansible_collections.securepatch.wsus.plugins.plugin_utils.state import (
    Refusal,
    State,
    bound_certificate,
    kernel_endpoint,
    serving_binding,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.plugin_utils.machines import (
    DAY,
    FQDN,
    HTTP_SYS,
    MARKS,
    NOW,
    bind,
    configure,
    document,
    documents,
    entry,
    issued,
    kernel_key,
    looked,
    offering,
    read,
    text,
)

WISH = RenewalWish()
NOBODY = ServerWish()


def judged(state: State, server: ServerWish = NOBODY, wish: RenewalWish = WISH, now: datetime.datetime = NOW) -> Judgement:
    return judge_renewal(state, server, wish, now)


def at_itself(state: State, kind: str = "good", *, host_name: str = FQDN, port: int = 8531, **differs: Any) -> State:
    """The state with what the server found at itself: a certificate of this kind, and the one above it."""
    return looked(state, host_name, port, certificates=[issued(kind).der_base64], **differs)


def holding(found: dict[str, Any], *kinds: str) -> dict[str, Any]:
    """The machine with more certificates in its Personal store."""
    found["certificates"]["My"] |= {issued(kind).thumbprint: entry(kind) for kind in kinds}
    return found


def replaced(found: dict[str, Any], *kinds: str) -> dict[str, Any]:
    """The machine with the note that these were replaced."""
    noted = " ".join(issued(kind).thumbprint for kind in kinds)
    found["registry"].setdefault(MARKS, {})["ReplacedCertificates"] = text(noted)
    return found


# --- one server -------------------------------------------------------------------------------------------------------


def test_a_server_that_serves_what_fits_is_not_due() -> None:
    for state in (read(offering()), at_itself(read(offering()))):
        found = judged(state)
        assert (found.due, found.replace, found.stale) == ((), (), False)
        assert (found.fqdn, found.port, found.offers, found.until) == (FQDN, 8531, True, "2027-06-09")
        assert found.der == issued("good").der_base64


@pytest.mark.parametrize(
    ("days", "due"),
    [(199, ()), (200, ()), (201, ("its certificate has only 200 days left, until 2027-06-09, fewer than 201",))],
)
def test_the_days_that_are_left(days: int, due: tuple[str, ...]) -> None:
    assert judged(read(offering()), wish=RenewalWish(days)).due == due


def test_a_day_that_has_begun_does_not_count() -> None:
    half = NOW + DAY / 2
    assert judged(read(offering()), wish=RenewalWish(200), now=half).due
    assert not judged(read(offering()), wish=RenewalWish(199), now=half).due


@pytest.mark.parametrize(
    ("kind", "due", "until"),
    [
        ("expired", "its certificate expired on 2026-11-18", "2026-11-18"),
        ("short", "its certificate has only 5 days left, until 2026-11-26, fewer than 30", "2026-11-26"),
        ("other", "its certificate is for other.corp.example, not for wsus01.corp.example", "2027-09-17"),
    ],
)
def test_what_is_wrong_with_the_certificate_itself(kind: str, due: str, until: str) -> None:
    found = judged(read(bind(offering(), kind)))
    assert (found.due, found.until, found.replace) == ((due,), until, ())
    # What has ended is not to be pinned any more; all else is, so that nobody loses the server meanwhile.
    assert found.der == (None if kind == "expired" else issued(kind).der_base64)


def test_every_reason_is_told() -> None:
    state = at_itself(read(replaced(holding(bind(offering(), "short"), "other"), "other")), "short", trusted=False, chain_errors=["UntrustedRoot"])
    found = judged(state, ServerWish("alias.corp.example", ("wsus",), "Another CA"), RenewalWish(30, remove_old=True))
    assert found.due == (
        "its certificate is for wsus01.corp.example, not for alias.corp.example",
        "its certificate has only 5 days left, until 2026-11-26, fewer than 30",
        "its certificate is for wsus01.corp.example, not for wsus",
        "its certificate was issued by CN=Corp Issuing CA, not by Another CA",
        "its certificate is not trusted by the server itself (UntrustedRoot)",
        f"the replaced certificate {issued('other').thumbprint} is to be removed",
    )
    assert found.fqdn == "alias.corp.example"


@pytest.mark.parametrize(
    ("found", "fqdn", "expected"),
    [
        (configure(bind(document()), "updates.corp.example"), None, "updates.corp.example"),
        (configure(bind(document()), "updates.corp.example"), "Mine.corp.example", "mine.corp.example"),
        (bind(document()), None, FQDN),
    ],
)
def test_which_name_is_judged(found: dict[str, Any], fqdn: str | None, expected: str) -> None:
    """The one that was given, else the one that WSUS was told, else Windows' own."""
    assert judged(read(found), ServerWish(fqdn)).fqdn == expected
    assert bool(judged(read(found), ServerWish(fqdn)).due) == (expected != FQDN)


def test_other_names_and_an_issuer_that_fit() -> None:
    wildcard = read(bind(offering(), "wildcard"))
    assert judged(wildcard, ServerWish(None, ("alias.corp.example", "*.corp.example"), "corp issuing ca")).due == ()


def test_a_server_without_https_is_left_alone() -> None:
    for fresh in (document(), {**document(), "certificates": {"My": {}, "Root": {}, "CA": {}, "Request": {}}}):
        found = judged(read(fresh))
        assert (found.offers, found.due, found.until, found.port) == (False, (), "-", None)


def test_a_binding_that_is_only_promised_is_not_judged() -> None:
    state = copy.deepcopy(read(offering()))
    assert state["iis"] is not None
    state["iis"]["site"]["bindings"][-1]["promised"] = True
    assert not judged(state).offers


def test_the_bound_certificate_is_gone() -> None:
    found = offering()
    found["certificates"]["My"] = {}
    gone = judged(read(replaced(found, "other")), wish=RenewalWish(remove_old=True))
    assert gone.due == (
        f"the certificate {issued('good').thumbprint} that is bound is no longer in the store",
        f"the replaced certificate {issued('other').thumbprint} is to be removed",
    )
    assert (gone.until, gone.certificate, gone.der, gone.fqdn, gone.port) == ("none", None, None, FQDN, 8531)


def test_a_certificate_that_cannot_be_read() -> None:
    state = copy.deepcopy(read(offering()))
    assert state["certificates"] is not None
    state["certificates"][0]["der"] = "bm9uZQ=="
    found = judged(state)
    (told,) = found.due
    assert told.startswith("its certificate cannot be read (")
    assert (found.until, found.der) == ("none", None)


@pytest.mark.parametrize("store", ["My", "WebHosting"])
def test_the_kernel_serves_another_or_none(store: str) -> None:
    here, other = issued("good").thumbprint, issued("longer").thumbprint
    differs = configure(bind(document(), store=store, served="longer"))
    assert judged(read(differs)).due == (f"http.sys serves {other} where {here} is bound",)
    assert judged(read(configure(bind(document(), store=store, served=None)))).due == (f"http.sys serves nothing where {here} is bound",)


@pytest.mark.parametrize(("at", "flags"), [("*:8531:", 0), ("10.0.0.5:8531:", 0), (f"*:8531:{FQDN.upper()}", 1)])
def test_the_kernels_entry_is_the_bindings_own(at: str, flags: int) -> None:
    found = configure(bind(document(), at=at, flags=flags))
    found["registry"][f"{HTTP_SYS}\\0.0.0.0:443"] = {"SslCertHash": {"kind": "Binary", "data": "AB" * 20}, "SslCertStoreName": text("My")}
    assert judged(read(found)).due == ()
    # It writes a name as it likes.
    key = kernel_key(at, flags)
    entry_of = found["registry"].pop(key)
    found["registry"][key.replace(FQDN.upper(), FQDN)] = entry_of
    assert judged(read(found)).due == ()
    del found["registry"][key.replace(FQDN.upper(), FQDN)]
    assert judged(read(found)).due == (f"http.sys serves nothing where {issued('good').thumbprint} is bound",)


def test_two_entries_of_the_kernel_are_both_told() -> None:
    state = copy.deepcopy(read(offering()))
    assert state["http_sys"] is not None
    state["http_sys"].append({**state["http_sys"][0], "thumbprint": None})
    assert judged(state).due == (f"http.sys serves {issued('good').thumbprint} and None where {issued('good').thumbprint} is bound",)


def test_of_several_bindings_on_the_port_the_one_for_its_name_is_judged() -> None:
    """A client that asks for the name gets the certificate that is bound to it (SNI), whichever binding comes first."""
    soon = ("its certificate has only 5 days left, until 2026-11-26, fewer than 30",)
    catch_all = {"kind": "good", "at": "*:8531:"}
    for host_name, due in ((FQDN, soon), ("alias.corp.example", ())):
        by_name = {"kind": "short", "at": f"*:8531:{host_name}", "flags": 1}
        for first, second in ((catch_all, by_name), (by_name, catch_all)):
            state = read(configure(bind(bind(document(), **first), **second)))
            assert judged(state).due == due, (host_name, first)
    # One that has no certificate does not answer.
    found = configure(bind(document(), "short", at=f"*:8531:{FQDN}", flags=0))
    found["iis"]["sites"][0]["bindings"].append({"protocol": "https", "information": "*:8531:", "ssl_flags": 0})
    assert judged(read(found)).due == soon


# --- what the server finds at itself ----------------------------------------------------------------------------------


@pytest.mark.parametrize("error", ["UntrustedRoot", "PartialChain", "Revoked"])
def test_a_certificate_that_the_server_itself_does_not_trust(error: str) -> None:
    found = judged(at_itself(read(offering()), trusted=False, chain_errors=[error, "NotSignatureValid"]))
    assert found.due == (f"its certificate is not trusted by the server itself ({error}, NotSignatureValid)",)
    assert found.replace == (issued("good").thumbprint,), "it fits by itself, and must not be kept"
    assert not found.stale


def test_dates_are_told_once() -> None:
    expired = at_itself(read(bind(offering(), "expired")), "expired", trusted=False, chain_errors=["NotTimeValid"])
    assert judged(expired).due == ("its certificate expired on 2026-11-18",)
    both = at_itself(read(bind(offering(), "expired")), "expired", trusted=False, chain_errors=["NotTimeValid", "UntrustedRoot"])
    assert judged(both).due == ("its certificate expired on 2026-11-18", "its certificate is not trusted by the server itself (UntrustedRoot)")
    early = at_itself(read(offering()), trusted=False, chain_errors=["NotTimeValid"])
    assert judged(early, now=NOW - 500 * DAY).due == ("its certificate is not valid before 2025-10-17",)


def test_an_authority_above_it_that_has_expired_is_no_longer_trusted() -> None:
    """Its own dates are good, so what has ended is further up."""
    found = judged(at_itself(read(offering()), trusted=False, chain_errors=["NotTimeValid"]))
    assert found.due == ("its certificate is not trusted by the server itself (NotTimeValid)",)
    assert found.replace == (issued("good").thumbprint,)


def test_a_chain_without_a_fault_and_a_fault_that_windows_lets_pass_are_no_reasons() -> None:
    assert judged(at_itself(read(offering()), trusted=False)).due == ()
    assert judged(at_itself(read(offering()), trusted=True, chain_errors=["RevocationStatusUnknown"])).due == ()


def test_a_look_that_failed_does_not_hide_another_one_at_the_same_place() -> None:
    """A machine with two bindings on its port looks twice."""
    failed = looked(read(holding(offering(), "short")), FQDN, reachable=False, name_matches=None, trusted=None)
    assert judged(failed).due == ()
    assert judged(at_itself(failed, "short")).stale


def test_the_site_serves_an_older_one_of_its_own() -> None:
    found = judged(at_itself(read(holding(offering(), "short")), "short"))
    assert found.due == ("its site still serves an older certificate",)
    assert (found.stale, found.replace) == (True, ())
    # Whether that one is trusted says nothing of the one that is bound.
    worse = judged(at_itself(read(holding(offering(), "short")), "short", trusted=False, name_matches=False, chain_errors=["UntrustedRoot"]))
    assert (worse.due, worse.replace, worse.stale) == (found.due, (), True)


def test_where_the_kernel_has_another_one_its_site_is_not_to_blame() -> None:
    found = judged(at_itself(read(configure(bind(holding(document(), "longer"), served="longer"))), "longer"))
    assert found.due == (f"http.sys serves {issued('longer').thumbprint} where {issued('good').thumbprint} is bound",)
    assert not found.stale


@pytest.mark.parametrize(
    "differs",
    [
        {},  # a load balancer's, which the machine does not have
        {"trusted": False, "chain_errors": ["UntrustedRoot"]},
        {"reachable": False, "certificates": [], "name_matches": None, "trusted": None},
        {"certificates": [], "name_matches": None, "trusted": None},
        {"certificates": [], "name_matches": False, "trusted": False},
    ],
)
def test_what_is_foreign_or_not_there_is_no_reason(differs: dict[str, Any]) -> None:
    """`short` is not in this machine's store."""
    found = judged(looked(read(offering()), FQDN, **{"certificates": [issued("short").der_base64], **differs}))
    assert (found.due, found.replace, found.stale) == ((), (), False)


@pytest.mark.parametrize(
    ("host_name", "port", "tls"),
    [("wsus00.corp.example", 8531, True), (FQDN, 8532, True), (FQDN, 8531, False)],
)
def test_what_was_found_elsewhere_is_no_reason(host_name: str, port: int, tls: bool) -> None:
    """A downstream server looks at its upstream as well."""
    state = read(holding(offering(), "short"))
    elsewhere = looked(state, host_name, port, tls=tls, certificates=[issued("short").der_base64], trusted=False, chain_errors=["UntrustedRoot"])
    assert judged(elsewhere).due == ()
    assert judged(at_itself(elsewhere, "short")).stale


@pytest.mark.parametrize("host_name", [FQDN.upper(), "updates.corp.example", "Updates.Corp.Example"])
def test_it_may_look_at_itself_by_either_of_its_names(host_name: str) -> None:
    state = read(configure(bind(holding(document(), "short")), "updates.corp.example"))
    assert judged(at_itself(state, "short", host_name=host_name)).stale


# --- what was replaced ------------------------------------------------------------------------------------------------

REMOVE = RenewalWish(remove_old=True)


def test_what_was_replaced_is_left_unless_it_is_to_be_removed() -> None:
    state = read(replaced(holding(offering(), "short", "expired"), "short", "expired"))
    assert judged(state).due == ()
    assert judged(state, wish=REMOVE).due == tuple(
        f"the replaced certificate {issued(kind).thumbprint} is to be removed" for kind in ("short", "expired")
    )
    # Only the note is left to take off where somebody removed the certificate by hand.
    assert judged(read(replaced(offering(), "short")), wish=REMOVE).due == (
        f"the replaced certificate {issued('short').thumbprint} is to be removed",
    )


@pytest.mark.parametrize("how", ["bound", "site", "kernel", "kernel, and gone from the store"])
def test_what_is_in_use_is_no_reason_to_come(how: str) -> None:
    old = issued("short").thumbprint
    found = replaced(offering() if "gone" in how else holding(offering(), "short"), "short")
    if how == "bound":
        found = replaced(offering(), "good")
    elif how == "site":
        binding = {"protocol": "https", "information": "*:443:", "ssl_flags": 0, "certificate_hash": old, "certificate_store": "My"}
        found["iis"]["sites"].append({"id": 2, "name": "Intranet", "bindings": [binding], "applications": []})
    else:
        found["registry"][f"{HTTP_SYS}\\0.0.0.0:5986"] = {"SslCertHash": {"kind": "Binary", "data": old}, "SslCertStoreName": text("My")}
    assert judged(read(found), wish=REMOVE).due == ()
    # And removing says the same: nothing is changed, and who uses it is told.
    plan = plan_removal(read(found), None)
    assert plan.changes == ()
    assert len(plan.notes) == 1


# --- what cannot be judged --------------------------------------------------------------------------------------------


def test_a_machine_that_is_no_wsus_server_is_refused() -> None:
    found = offering()
    found["registry"] = {key: value for key, value in found["registry"].items() if "Update Services" not in key}
    with pytest.raises(Refusal, match="This is not a WSUS server"):
        judged(read(found))


@pytest.mark.parametrize("part", ["iis", "certificates", "http_sys"])
def test_what_could_not_be_read_is_refused(part: str) -> None:
    state = cast("State", {**read(offering()), part: None, "unreadable": {part: {"message": "Access is denied."}}})
    with pytest.raises(Refusal, match="cannot be read: Access is denied"):
        judged(state)


# --- properties -------------------------------------------------------------------------------------------------------


def answering(state: State) -> Any:
    """The https binding with a certificate for this server's name, on the port that WSUS is known by: the one that wsus_ssl_binding binds."""
    first = serving_binding(state)
    assert first is not None
    found = find_binding(state, first["port"], FQDN)
    return found if found and found.get("thumbprint") else first


def own_look(state: State, served: str) -> State:
    """The state with what a healthy server finds at itself: SERVED (base64)."""
    return looked(state, FQDN, answering(state)["port"], certificates=[served])


@given(documents(offers=True), st.sampled_from([0, 30, 90]), st.booleans())
def test_whatever_the_state_what_fits_and_is_trusted_and_served_is_not_due(found: dict[str, Any], days: int, remove_old: bool) -> None:
    state = read(found)
    binding = answering(state)
    own = bound_certificate(state, binding)
    assert own is not None
    healthy = own_look(state, own["der"])
    certificate = parse(own)
    name = judged(healthy).fqdn
    fits = not reasons_against(certificate, name, NOW, days) and covers(certificate, name)
    kernel = [each["thumbprint"] for each in state["http_sys"] or [] if each["endpoint"].casefold() == kernel_endpoint(binding).casefold()]
    served = kernel == [own["thumbprint"]]
    judgement = judged(healthy, wish=RenewalWish(days, remove_old))
    assert (judgement.due == ()) == (fits and served)
    assert judgement.replace == ()
    assert not judgement.stale
    assert (judgement.offers, judgement.port) == (True, binding["port"])


@given(
    documents(offers=True),
    st.sampled_from(["days", "name", "names", "issuer", "untrusted", "stale", "gone", "kernel", "replaced"]),
)
def test_whatever_the_state_each_reason_makes_a_server_due(found: dict[str, Any], reason: str) -> None:
    found = copy.deepcopy(found)
    kinds = {"good", "longer", "wildcard", "short"}
    server, wish = NOBODY, RenewalWish(30)
    before = answering(read(found))
    own = bound_certificate(read(found), before)
    assert own is not None
    other = next(issued(kind) for kind in sorted(kinds) if issued(kind).thumbprint != own["thumbprint"])
    if reason == "replaced":
        unused = issued("expired")
        if unused.thumbprint in str(found["iis"]) + str(found["registry"]):
            return
        found = replaced(holding(found, "expired"), "expired")
        wish = RenewalWish(30, remove_old=True)
    elif reason == "stale":
        found["certificates"]["My"][other.thumbprint] = {"der": other.der_base64, "has_private_key": True, "friendly_name": "", "key": other.key_pem}
    elif reason == "gone":
        for store in ("My", "WebHosting"):
            found["certificates"].get(store, {}).pop(own["thumbprint"], None)
    state = read(found)
    look = own["der"]
    if reason == "days":
        wish = RenewalWish(5000)
    elif reason == "name":
        server = ServerWish("another.elsewhere.example")
    elif reason == "names":
        server = ServerWish(None, ("another.elsewhere.example",))
    elif reason == "issuer":
        server = ServerWish(None, (), "Another CA")
    elif reason == "stale":
        look = other.der_base64
    elif reason == "kernel":
        assert state["http_sys"] is not None
        for each in state["http_sys"]:
            if each["endpoint"].casefold() == kernel_endpoint(before).casefold():
                each["thumbprint"] = "AB" * 20
    state = own_look(state, look)
    if reason == "untrusted":
        state["endpoints"][-1].update(trusted=False, chain_errors=["UntrustedRoot"])
    judgement = judged(state, server, wish)
    assert judgement.due
    assert judgement.due == judged(copy.deepcopy(state), server, wish).due
    words = {
        "days": "certificate expired on" if "expired on" in judgement.due[0] else "days left",
        "name": "not for another.elsewhere.example",
        "names": "not for another.elsewhere.example",
        "issuer": "not by Another CA",
        "untrusted": "not trusted by the server itself (UntrustedRoot)",
        "stale": "older certificate",
        "gone": "no longer in the store",
        "kernel": "http.sys serves",
        "replaced": "is to be removed",
    }
    if reason == "stale" and "http.sys serves" in " ".join(judgement.due):
        return  # another one in the kernel is told first, and binding mends both
    assert words[reason] in " ".join(judgement.due)


@given(st.one_of(documents(), documents(offers=True)), st.sampled_from([0, 30, 90]), st.sampled_from(["good", "short", "other", None]), st.booleans())
def test_the_judgement_and_the_planners_that_act_on_it_agree(found: dict[str, Any], days: int, served: str | None, trusted: bool) -> None:
    """Where nothing is due, neither obtaining a certificate nor binding it would change anything."""
    state = read(found)
    binding = serving_binding(state)
    if binding is not None and served is not None:
        errors = [] if trusted else ["UntrustedRoot"]
        look = {"certificates": [issued(served).der_base64], "trusted": trusted, "chain_errors": errors}
        state = looked(state, FQDN, binding["port"], **look)
    judgement = judged(state, wish=RenewalWish(days))
    if judgement.due or not judgement.offers or "SiteRestartNeeded" in state["marks"]:
        return
    # No part of a renewal: a binding without a certificate beside one that has one, and a certificate that is in two stores.
    there = find_binding(state, int(judgement.port or 0), judgement.fqdn)
    copies = [each for each in state["certificates"] or [] if there and each["thumbprint"] == there.get("thumbprint")]
    if len(copies) != 1:
        return
    obtained = plan_certificate(state, CertificateWish("store", judgement.fqdn, min_days_valid=days, replace=judgement.replace), NOW)
    assert obtained.changes == ()
    assert judgement.certificate is not None
    wish = BindingWish(judgement.fqdn, judgement.port, judgement.certificate.thumbprint, min_days_valid=days)
    assert plan_binding(state, wish, NOW).changes == ()


# --- the plan ---------------------------------------------------------------------------------------------------------

TREE = build([Server("top"), Server("east", upstream="top"), Server("west", upstream="top"), Server("south", upstream="west")])
EVERYBODY = tuple(TREE.servers)


def seen(found: dict[str, Any] | None) -> Seen:
    return Seen(problem="south: The connection failed: refused.") if found is None else Seen(read(found), {"offers_https": True}, FQDN)


def planned(
    found: dict[str, dict[str, Any] | None], *, only: Sequence[str] | None = None, wish: RenewalWish = WISH, **servers: ServerWish
) -> RenewalPlan:
    looks = {name: seen(document) for name, document in found.items()}
    return make_renewal_plan(TREE, waves(TREE, "bottom_up", None, only), looks, servers, wish, NOW)


def line(plan: RenewalPlan, name: str) -> str:
    return next(one for one in plan.lines if f"{name} " in f"{one} ").partition(f"{name} ")[2].strip()


def test_the_plan_of_a_tree() -> None:
    plan = planned({"top": bind(offering(), "short"), "east": offering(), "west": bind(offering(), "expired"), "south": None})
    assert plan.waves == (("south",), ("west",), ("top",))
    assert set(plan.due) == {"top", "west", "south"}
    assert plan.lines[0] == "4 WSUS servers, 3 of them due (fewer than 30 days left, or no longer fit)."
    assert line(plan, "top") == "until 2026-11-26, DUE: its certificate has only 5 days left, until 2026-11-26, fewer than 30"
    assert line(plan, "east") == "until 2027-06-09"
    assert line(plan, "west") == "until 2026-11-18, DUE: its certificate expired on 2026-11-18"
    assert line(plan, "south") == "cannot be looked at: The connection failed: refused."
    assert plan.lines[-4:] == ("", "Wave 1: south", "Wave 2: west", "Wave 3: top")
    assert [name for name, judgement in plan.due.items() if not judgement.offers] == ["south"]
    assert plan.due["south"].due == ("cannot be looked at: The connection failed: refused",), "a clause, without a full stop"
    assert plan.due["south"].fqdn == "south"
    assert plan.due["top"] == judged(read(bind(offering(), "short")))


def test_a_plan_with_nothing_to_do_has_no_waves() -> None:
    plan = planned(dict.fromkeys(EVERYBODY, offering()))
    assert (plan.due, plan.waves) == ({}, ())
    assert plan.lines[0] == "4 WSUS servers, 0 of them due (fewer than 30 days left, or no longer fit)."
    assert not any(one.startswith("Wave") for one in plan.lines)
    assert plan.lines[-1] != ""


def test_servers_that_are_left_out_blocked_or_for_the_rollout() -> None:
    not_wsus = offering()
    not_wsus["registry"] = {key: value for key, value in not_wsus["registry"].items() if "Update Services" not in key}
    found: dict[str, dict[str, Any] | None] = {
        "top": document(),
        "east": not_wsus,
        "west": bind(offering(), "short"),
        "south": bind(offering(), "short"),
    }
    plan = planned(found, only=["top", "east", "west"], east=ServerWish("east.corp.example"))
    assert line(plan, "top") == "has no https binding with a certificate yet: that is for the rollout"
    assert line(plan, "east").startswith("BLOCKED: This is not a WSUS server: WSUS setup never ran here.")
    assert line(plan, "south") == "not in this run (--limit)"
    assert plan.waves == (("east", "west"),)
    assert set(plan.due) == {"east", "west"}
    (why,) = plan.due["east"].due
    assert why.startswith("This is not a WSUS server")
    assert not why.endswith(".")
    assert (plan.due["east"].offers, plan.due["east"].fqdn) == (False, "east.corp.example")


def test_a_server_that_nobody_looked_at_is_due_and_one_without_a_certificate_says_so() -> None:
    gone = offering()
    gone["certificates"]["My"] = {}
    plan = planned({"top": gone, "east": offering(), "west": offering()})
    assert line(plan, "south") == "cannot be looked at: nobody looked"
    assert line(plan, "top").startswith("no certificate, DUE: the certificate ")
    assert plan.waves == (("south",), ("top",))


def test_what_a_server_is_to_have_is_its_own() -> None:
    plan = planned(dict.fromkeys(EVERYBODY, offering()), west=ServerWish(None, (), "Another CA"), wish=RenewalWish(10))
    assert set(plan.due) == {"west"}
    assert plan.lines[0] == "4 WSUS servers, 1 of them due (fewer than 10 days left, or no longer fit)."


# --- the table --------------------------------------------------------------------------------------------------------


def told(
    found: dict[str, dict[str, Any] | None],
    outcomes: dict[str, tuple[Outcome, str | None]],
    *,
    due: Sequence[str] | None = None,
    in_run: Sequence[str] = EVERYBODY,
    check_mode: bool = False,
    problems: Sequence[str] = (),
) -> list[str]:
    looks = {name: seen(document) for name, document in found.items()}
    expected = list(outcomes) if due is None else list(due)
    return renewal_lines(TREE, looks, {}, expected, outcomes, in_run, WISH, NOW, check_mode=check_mode, problems=problems)


ALL_OF_THEM: dict[str, dict[str, Any] | None] = {"top": bind(offering(), "short"), "east": offering(), "west": document(), "south": None}
WELL = Outcome(True, changes=("Bind it.",), notes=("The old one stays.",))


def test_the_table_of_a_run_that_went_well() -> None:
    lines = told(ALL_OF_THEM, {"top": (dataclasses.replace(WELL, changes=("a", "b")), "2027-11-21"), "south": (WELL, None)})
    assert lines == [
        "SERVER  ENDED        ENDS        WHAT HAPPENED",
        "top     2026-11-26   2027-11-21  2 changes",
        "east    2027-06-09   2027-06-09  nothing to do",
        "west    -            -           nothing to do",
        "south   not reached  not known   1 change",
        "",
        "top: The old one stays.",
        "south: The old one stays.",
        "Nothing is left to do.",
    ]


def test_the_table_of_a_run_that_failed() -> None:
    failed = Outcome(False, "Bind it", "The handle is invalid.", ("a",))
    at_once = Outcome(False, "Look", "south: The connection failed.", ())
    lines = told(ALL_OF_THEM, {"west": (failed, ""), "south": (at_once, None)}, due=["top", "west", "south"])
    assert lines[:5] == [
        "SERVER  ENDED        ENDS        WHAT HAPPENED",
        "top     2026-11-26   2026-11-26  its wave did not start",
        "east    2027-06-09   2027-06-09  nothing to do",
        "west    -            not known   FAILED in 'Bind it' after 1 change",
        "south   not reached  not known   FAILED in 'Look', nothing changed before",
    ]
    assert lines[5:] == [
        "",
        "west: The handle is invalid.",
        "south: The connection failed.",
        "1. Mend what failed on west, south, and run this again: it goes on where it stopped.",
        "2. No wave was started for top; the next run does.",
    ]


def test_the_table_in_check_mode() -> None:
    lines = told(ALL_OF_THEM, {"top": (WELL, "to come"), "west": (Outcome(True), "2027-01-01")}, check_mode=True)
    assert lines == [
        "SERVER  ENDED        WOULD END    WOULD HAPPEN",
        "top     2026-11-26   to come      1 change to make",
        "east    2027-06-09   2027-06-09   nothing to do",
        "west    -            2027-01-01   nothing to do any more",
        "south   not reached  not reached  nothing to do",
        "",
        "top:",
        "-  Bind it.",
        "",
        "top: The old one stays.",
        "Check mode: nothing was changed.",
    ]


def test_changes_are_listed_in_check_mode_alone() -> None:
    assert "top:" not in told(ALL_OF_THEM, {"top": (WELL, "2027-11-21")})


def test_check_mode_says_what_failed_too() -> None:
    lines = told(ALL_OF_THEM, {"top": (Outcome(False, "Obtain", "No.", ("a", "b")), None)}, check_mode=True)
    assert "top     2026-11-26   not known    FAILED in 'Obtain' after 2 changes to make" in lines
    assert lines[-2:] == ["1. Mend what failed on top, and run this again: it goes on where it stopped.", "Check mode: nothing was changed."]


def test_the_table_of_a_run_without_a_plan_or_with_a_limit() -> None:
    lines = told(ALL_OF_THEM, {}, in_run=["top", "east"], problems=["top is its own upstream.", "west is unknown."])
    assert lines == [
        "SERVER  ENDED       ENDS        WHAT HAPPENED",
        "top     2026-11-26  2026-11-26  nothing, there was no plan",
        "east    2027-06-09  2027-06-09  nothing, there was no plan",
        "west    -           -           not in this run (--limit)",
        "south   -           -           not in this run (--limit)",
        "",
        "The renewal could not be planned, and nothing was changed. Correct this, and run it again:",
        "-  top is its own upstream.",
        "-  west is unknown.",
    ]


def test_a_server_that_cannot_be_judged_has_no_day() -> None:
    not_wsus = offering()
    not_wsus["registry"] = {key: value for key, value in not_wsus["registry"].items() if "Update Services" not in key}
    assert told({"top": not_wsus}, {}, in_run=["top"])[1].split() == ["top", "not", "known", "not", "known", "nothing", "to", "do"]


def test_long_messages_are_wrapped() -> None:
    lines = told(ALL_OF_THEM, {"top": (Outcome(False, "Obtain", "No certificate fits. " * 20, ()), None)})
    assert max(map(len, lines)) <= WIDTH
