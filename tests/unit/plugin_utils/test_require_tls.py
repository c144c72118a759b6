"""Planning the requirement of TLS: where, what stays, and everything that is refused because it would turn somebody away."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from ansible_collections.securepatch.wsus.plugins.plugin_utils.binding import BindingWish, plan_binding
from ansible_collections.securepatch.wsus.plugins.plugin_utils.changes import Change, SetAccess, predict
from ansible_collections.securepatch.wsus.plugins.plugin_utils.configuressl import ConfigureWish, plan_configuressl
from ansible_collections.securepatch.wsus.plugins.plugin_utils.planning import Plan
from ansible_collections.securepatch.wsus.plugins.plugin_utils.require_tls import RequireWish, managed_access, plan_require_tls, waiting_downstream
from ansible_collections.securepatch.wsus.plugins.plugin_utils.restart import plan_restart
from ansible_collections.securepatch.wsus.plugins.plugin_utils.state import Refusal, State
from ansible_collections.securepatch.wsus.plugins.plugin_utils.synchronization import SynchronizationWish, plan_synchronization

from tests.unit.plugin_utils.machines import (
    DAY,
    FIVE,
    FQDN,
    MARKS,
    NOW,
    bind,
    configure,
    document,
    downstream,
    entry,
    issued,
    looked,
    offering,
    promised_certificate,
    read,
    require,
    text,
)

SSL = ("Ssl",)


def plan(found: dict[str, Any] | State, **wish: Any) -> Plan:
    state: Any = found if "unreadable" in found else read(found)  # type: ignore[arg-type]
    return plan_require_tls(state, RequireWish(**wish), NOW)


def accesses(planned: Plan) -> dict[str, tuple[str, ...] | None]:
    assert all(isinstance(change, SetAccess) for change in planned.changes)
    return {change.application: change.ssl_flags for change in planned.changes if isinstance(change, SetAccess)}


# --- where ------------------------------------------------------------------------------------------------------------


def test_tls_is_required_on_the_five_services_and_on_nothing_else() -> None:
    planned = plan(offering())
    assert accesses(planned) == dict.fromkeys(FIVE, SSL)
    assert planned.values == {"applications": list(FIVE), "url": f"https://{FQDN}:8531"}
    assert planned.notes == ()


def test_a_server_that_requires_it_stays_as_it_is() -> None:
    assert plan(require(offering())).changes == ()


def test_what_is_as_wished_is_not_judged() -> None:
    """A server that requires TLS already is not refused for what stands in the way of requiring it."""
    found = require(offering())
    found["registry"][MARKS] = {"RestartNeededSince": text("2026-11-20T00:00:00Z")}
    found["certificates"]["My"] = {}
    found["wsus"]["downstream_servers"] = [listed("1", "wsus11.corp.example")]
    assert plan(found).changes == ()


def test_names_are_taken_without_regard_to_case_and_shown_as_iis_spells_them() -> None:
    planned = plan(offering(), applications=("DSSAUTHWEBSERVICE", "/clientwebservice", "ClientWebService"))
    assert planned.values["applications"] == ["DssAuthWebService", "ClientWebService"]
    assert accesses(planned) == {"DssAuthWebService": SSL, "ClientWebService": SSL}


@pytest.mark.parametrize("name", ["Content", "SelfUpdate", "ReportingWebService", "Inventory", "reportingwebservice", "/content/"])
def test_what_must_go_on_over_http_is_refused_by_name(name: str) -> None:
    with pytest.raises(Refusal, match=f"TLS cannot be required on {name}: clients get update files, self-update and reporting over HTTP"):
        plan(offering(), applications=("ClientWebService", name))


def test_an_application_that_the_site_does_not_have_is_refused_with_those_it_has() -> None:
    with pytest.raises(Refusal, match=r"has no application Clients\. It has ApiRemoting30, ClientWebService, DssAuthWebService, "):
        plan(offering(), applications=("Clients",))


# --- which flags ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "wished"),
    [
        ("None", ("Ssl",)),
        ("Ssl128", ("Ssl", "Ssl128")),
        ("SslMapCert", ("Ssl", "SslMapCert")),
        ("SslNegotiateCert,SslRequireCert", ("Ssl",)),
        ("Ssl,SslNegotiateCert", ("Ssl",)),
        ("Ssl,SslRequireCert,Ssl128", ("Ssl", "Ssl128")),
    ],
)
def test_other_flags_stay_and_client_certificates_are_ignored(flags: str, wished: tuple[str, ...]) -> None:
    state = read(require(offering(), "ClientWebService", flags=flags))
    planned = plan(state, applications=("ClientWebService",))
    assert accesses(planned) == {"ClientWebService": wished}
    assert plan(predict(state, planned.changes, NOW), applications=("ClientWebService",)).changes == ()


@pytest.mark.parametrize("flags", ["Ssl", "Ssl,Ssl128", "Ssl,SslMapCert"])
def test_flags_beside_tls_are_no_reason_to_change_anything(flags: str) -> None:
    assert plan(require(offering(), *FIVE, flags=flags)).changes == ()


@pytest.mark.parametrize(
    ("flags", "wished"), [("Ssl", ()), ("Ssl,Ssl128", ("Ssl128",)), ("Ssl,SslNegotiateCert", ()), ("Ssl,SslMapCert", ("SslMapCert",))]
)
def test_absent_takes_tls_away_and_leaves_the_other_flags(flags: str, wished: tuple[str, ...]) -> None:
    assert accesses(plan(require(offering(), "ClientWebService", flags=flags), present=False)) == {"ClientWebService": wished}


@pytest.mark.parametrize("flags", ["None", "Ssl128", "SslNegotiateCert"])
def test_absent_finds_nothing_where_tls_is_not_required(flags: str) -> None:
    assert plan(require(offering(), *FIVE, flags=flags), present=False).changes == ()


def test_absent_is_never_refused_for_what_has_to_be_there_before_tls_is_required() -> None:
    """Required by hand, configuressl never run, no certificate: the way back has to be open."""
    found = require(document())
    found["certificates"]["My"] = {}
    assert accesses(plan(found, present=False)) == dict.fromkeys(FIVE, ())


def test_absent_mends_a_requirement_where_there_must_be_none() -> None:
    found = require(offering(), "ReportingWebService")
    assert accesses(plan(found, applications=("ReportingWebService",), present=False)) == {"ReportingWebService": ()}


# --- the site as a whole -----------------------------------------------------------------------------------------------


def test_a_requirement_on_the_whole_site_is_told_and_stays() -> None:
    planned = plan(require(offering(), ""))
    # Each of the five has it for itself then, whatever happens to the site's.
    assert accesses(planned) == dict.fromkeys(FIVE, SSL)
    assert len(planned.notes) == 1
    assert "TLS is required on the site as a whole" in planned.notes[0]
    assert "only with replace_site_requirement: true" in planned.notes[0]
    again = plan(require(offering(), "", *FIVE))
    assert again.changes == ()
    assert again.notes == planned.notes


def test_a_requirement_on_the_whole_site_is_replaced_by_one_on_the_services_if_asked_for() -> None:
    planned = plan(require(offering(), "", flags="Ssl,Ssl128,SslNegotiateCert"), replace_site_requirement=True)
    # First the services, so that none of them is without it in between.
    assert accesses(planned) == {**dict.fromkeys(FIVE, ("Ssl", "Ssl128")), "": ("Ssl128",)}
    assert [change.application for change in planned.changes if isinstance(change, SetAccess)][-1] == ""
    assert planned.notes == ()
    ahead = predict(read(require(offering(), "", flags="Ssl,Ssl128,SslNegotiateCert")), planned.changes, NOW)
    assert plan(ahead, replace_site_requirement=True).changes == ()
    assert managed_access(ahead)["ReportingWebService"] == "Ssl128 (inherited)"


def test_replacing_it_changes_nothing_where_the_site_requires_nothing() -> None:
    assert plan(require(offering()), replace_site_requirement=True).changes == ()
    assert "" not in accesses(plan(require(offering(), "", flags="Ssl128"), replace_site_requirement=True))


def test_absent_frees_a_service_from_what_it_inherits_and_tells_of_the_site() -> None:
    planned = plan(require(offering(), ""), present=False)
    assert accesses(planned) == dict.fromkeys(FIVE, ())
    assert "TLS is required on the site as a whole" in planned.notes[0]
    assert accesses(plan(require(offering(), ""), present=False, replace_site_requirement=True))[""] == ()


# --- too early --------------------------------------------------------------------------------------------------------


def test_without_a_binding_it_is_refused_with_what_to_run() -> None:
    with pytest.raises(Refusal, match=r"No https binding of the WSUS site has a usable certificate\. Bind one first \(.*wsus_ssl_binding\)"):
        plan(document())


@pytest.mark.parametrize(("kind", "why"), [("expired", "expired on 2026-11-18"), ("other", "is for other.corp.example, not for")])
def test_a_bound_certificate_that_cannot_serve_is_refused_with_why(kind: str, why: str) -> None:
    with pytest.raises(Refusal, match=rf"has a usable certificate \({issued(kind).thumbprint}: {why}"):
        plan(configure(bind(document(), kind)))


def test_a_bound_certificate_without_its_key_or_gone_from_the_store_is_refused() -> None:
    found = offering()
    found["certificates"]["My"] = {issued("good").thumbprint: entry("good", key=False)}
    with pytest.raises(Refusal, match="its private key cannot be opened"):
        plan(found)
    found["certificates"]["My"] = {}
    with pytest.raises(Refusal, match=f"{issued('good').thumbprint}: is not in the computer's store"):
        plan(found)


def test_one_usable_certificate_of_several_is_enough() -> None:
    assert plan(configure(bind(bind(document(), "other", at="*:443:"), "good"))).changes


def test_the_certificate_has_to_be_for_the_name_that_wsus_was_told() -> None:
    assert plan(configure(bind(document(), "other"), "other.corp.example")).changes
    with pytest.raises(Refusal, match=r"is for wsus01\.corp\.example, not for alias\.corp\.example"):
        plan(configure(bind(document()), "alias.corp.example"))


def test_before_configuressl_it_is_refused_with_what_to_run() -> None:
    with pytest.raises(Refusal, match=r"has not been told its name for TLS.*Run securepatch\.wsus\.wsus_configuressl first"):
        plan(bind(document()))


def test_before_the_restart_it_is_refused_with_what_to_run() -> None:
    found = offering()
    found["registry"][MARKS] = {"RestartNeededSince": text("2026-11-20T00:00:00Z")}
    with pytest.raises(Refusal, match=r"The restart after configuressl is still pending\. Restart the server first \(.*wsus_restart\)"):
        plan(found)
    found["registry"][MARKS] = {"RestartNeededSince": text("2026-10-20T00:00:00Z")}
    assert plan(found).changes


def test_after_predicted_earlier_steps_it_works_in_check_mode() -> None:
    state = read()
    for step in (
        lambda now: plan_binding(now, BindingWish(), NOW),
        lambda now: plan_configuressl(now, ConfigureWish(), NOW),
        lambda now: plan_restart(now, "reboot"),
    ):
        with pytest.raises(Refusal):
            plan(state)
        state = predict(state, step(state).changes, NOW)
    assert accesses(plan(state)) == dict.fromkeys(FIVE, SSL)


def test_a_certificate_still_to_come_is_usable_in_check_mode() -> None:
    found = document()
    found["certificates"]["My"] = {}
    state = read(found)
    state["certificates"] = [promised_certificate()]
    state = predict(state, plan_binding(state, BindingWish(), NOW).changes, NOW)
    state = predict(state, plan_configuressl(state, ConfigureWish(), NOW).changes, NOW)
    state = predict(state, plan_restart(state, "services").changes, NOW)
    assert accesses(plan(state)) == dict.fromkeys(FIVE, SSL)


def test_the_localized_name_of_the_site_does_not_matter() -> None:
    found = offering()
    found["iis"]["sites"][0]["name"] = "WSUS-Verwaltung"
    assert accesses(plan(found)) == dict.fromkeys(FIVE, SSL)


# --- downstream servers -----------------------------------------------------------------------------------------------


def identifier(number: str) -> str:
    return f"00000000-0000-4000-8000-{number:0>12}"


def listed(number: str, fqdn: str, last_sync: str | None = "2026-11-20T03:00:00Z") -> dict[str, Any]:
    """A downstream server as its upstream lists it."""
    return {"id": identifier(number), "fqdn": fqdn, "replica": False, "last_sync": last_sync}


def upstream_of(*servers: dict[str, Any]) -> dict[str, Any]:
    found = offering()
    found["wsus"]["downstream_servers"] = list(servers)
    return found


def state_of(number: str, *, ssl: bool, **differs: Any) -> State:
    found = downstream(FQDN, 8531 if ssl else 8530, ssl=ssl, **differs)
    found["wsus"]["server_id"] = identifier(number).upper()
    return read(found)


ONE, TWO = listed("1", "wsus11.corp.example"), listed("2", "wsus12.corp.example")


def test_each_downstream_server_that_still_comes_over_http_is_named_with_why() -> None:
    with pytest.raises(Refusal) as refused:
        plan(upstream_of(ONE, TWO), downstream_states=(state_of("1", ssl=False),))
    said = str(refused.value)
    assert "wsus11.corp.example (synchronizes from http://wsus01.corp.example:8530)" in said
    assert "wsus12.corp.example (last synchronized 2026-11-20T03:00:00Z; its own state is not known)" in said
    assert "Move them first (securepatch.wsus.wsus_downstream_sync), or name them in ignore_downstream." in said


def test_downstream_servers_that_have_moved_are_matched_by_server_id_whatever_they_are_called() -> None:
    states = (state_of("2", ssl=True), state_of("1", ssl=True))
    assert plan(upstream_of(listed("1", "BRANCH"), listed("2", "branch.old.example")), downstream_states=states).changes
    # The state of another server with the right name is no proof.
    with pytest.raises(Refusal, match=r"wsus11.*state is not known"):
        plan(upstream_of(ONE), downstream_states=(state_of("3", ssl=True),))


def test_the_case_of_a_server_id_does_not_matter() -> None:
    upstream: Any = read(upstream_of(listed("abc", "wsus11.corp.example")))
    lower: Any = state_of("abc", ssl=True)
    lower["api"]["server_id"] = lower["api"]["server_id"].upper()
    assert plan(upstream, downstream_states=(lower,)).changes
    upstream["api"]["downstream_servers"][0]["id"] = lower["api"]["server_id"]
    lower["api"]["server_id"] = lower["api"]["server_id"].lower()
    assert plan(upstream, downstream_states=(lower,)).changes


def test_one_that_synchronizes_from_microsoft_update_has_moved() -> None:
    assert plan(upstream_of(ONE), downstream_states=(state_of("1", ssl=False, microsoft_update=True),)).changes


def test_one_whose_api_did_not_answer_counts_as_not_moved() -> None:
    state = state_of("1", ssl=True)
    state["api"] = None
    with pytest.raises(Refusal, match=r"wsus11.*its own state is not known"):
        plan(upstream_of(ONE), downstream_states=(state,))


def test_a_predicted_move_counts_in_check_mode() -> None:
    state = looked(state_of("1", ssl=False), FQDN)
    ahead = predict(state, plan_synchronization(state, SynchronizationWish(FQDN), NOW).changes, NOW)
    assert plan(upstream_of(ONE), downstream_states=(ahead,)).changes


@pytest.mark.parametrize(
    ("ago", "days", "counts"),
    [(29 * DAY, 30, True), (30 * DAY, 30, True), (30 * DAY + datetime.timedelta(seconds=1), 30, False), (8 * DAY, 7, False), (8 * DAY, 9, True)],
)
def test_only_those_that_synchronized_within_the_days_count(ago: datetime.timedelta, days: int, counts: bool) -> None:
    found = read(upstream_of(listed("1", "wsus11.corp.example", (NOW - ago).isoformat())))
    assert bool(waiting_downstream(found, (), days, NOW)) is counts


def test_thirty_days_are_the_default() -> None:
    assert plan(upstream_of(listed("1", "wsus11.corp.example", (NOW - 31 * DAY).isoformat()))).changes
    with pytest.raises(Refusal, match="wsus11"):
        plan(upstream_of(listed("1", "wsus11.corp.example", (NOW - 29 * DAY).isoformat())))


def test_one_that_never_synchronized_does_not_count() -> None:
    assert plan(upstream_of(listed("1", "wsus11.corp.example", None))).changes


def test_those_that_are_ignored_by_name_may_be_turned_away() -> None:
    assert plan(upstream_of(ONE, TWO), ignore_downstream=("WSUS11.corp.example", "wsus12.corp.example.")).changes
    with pytest.raises(Refusal) as refused:
        plan(upstream_of(ONE, TWO), ignore_downstream=("wsus11.corp.example",))
    assert "wsus12" in str(refused.value)
    assert "wsus11" not in str(refused.value)


def test_all_are_ignored_with_true_even_where_the_api_does_not_answer() -> None:
    assert plan(upstream_of(ONE, TWO), ignore_downstream=True).changes
    state = read(offering())
    state["api"] = None
    state["unreadable"]["api"] = {"message": "403", "id": None, "type": "", "hresult": "", "native": None}
    assert plan(state, ignore_downstream=True).changes


def test_an_api_that_does_not_answer_is_refused_because_nobody_knows_who_comes() -> None:
    state = read(offering())
    state["api"] = None
    state["unreadable"]["api"] = {"message": "HTTP status 403: Forbidden.", "id": None, "type": "", "hresult": "", "native": None}
    with pytest.raises(Refusal, match="The WSUS API on the server does not answer: HTTP status 403"):
        plan(state)


def test_an_api_that_a_prediction_cannot_know_yet_does_not_stop_check_mode() -> None:
    state = read(offering())
    state["api"] = None
    assert plan(state).changes


# --- what is shown ----------------------------------------------------------------------------------------------------


def test_before_and_after_show_the_site_and_each_application() -> None:
    shown = managed_access(read(require(offering(), "ClientWebService", flags="Ssl,Ssl128")))
    assert shown[""] == "None (inherited)"
    assert shown["ClientWebService"] == "Ssl, Ssl128"
    assert shown["Inventory"] == "None (inherited)"
    state = read()
    state["iis"] = None
    assert managed_access(state) == {}


def test_a_planner_changes_access_flags_and_nothing_else() -> None:
    changes: tuple[Change, ...] = plan(require(offering(), ""), replace_site_requirement=True).changes
    assert {change.kind for change in changes} == {"access"}
