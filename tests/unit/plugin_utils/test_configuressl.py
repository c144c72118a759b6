"""Planning what WSUS is told about its name over TLS, and the way back."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.securepatch.wsus.plugins.plugin_utils.binding import BindingWish, plan_binding
from ansible_collections.securepatch.wsus.plugins.plugin_utils.changes import ConfigureSsl, MarkRestart, Registry, predict
from ansible_collections.securepatch.wsus.plugins.plugin_utils.configuressl import ConfigureWish, covered, managed_name, plan_configuressl, requiring
from ansible_collections.securepatch.wsus.plugins.plugin_utils.planning import Plan
from ansible_collections.securepatch.wsus.plugins.plugin_utils.restart import plan_restart
from ansible_collections.securepatch.wsus.plugins.plugin_utils.state import SETUP_KEY, LookNeeded, Refusal, State, site_of

from tests.unit.plugin_utils.machines import (
    FQDN,
    NOW,
    SETUP,
    bind,
    configure,
    document,
    dword,
    entry,
    issued,
    looked,
    offering,
    promised_certificate,
    read,
    require,
)

TOLD = (MarkRestart(), ConfigureSsl(FQDN))


def plan(state: State, **wish: Any) -> Plan:
    return plan_configuressl(state, ConfigureWish(**wish), NOW)


def seen(found: dict[str, Any], name: str = FQDN, port: int = 8531, **differs: Any) -> State:
    """The state of a server that has looked at itself."""
    return looked(read(found), name, port, **differs)


# --- present ----------------------------------------------------------------------------------------------------------


def test_the_restart_is_marked_before_wsus_is_told_its_name() -> None:
    planned = plan(seen(bind(document())))
    assert planned.changes == TOLD
    assert planned.values == {"url": f"https://{FQDN}:8531", "fqdn": FQDN}


@pytest.mark.parametrize("name", [FQDN, FQDN.upper(), FQDN + "."])
def test_a_server_that_was_told_this_name_stays_as_it_is_and_does_not_look(name: str) -> None:
    assert plan(read(offering()), fqdn=name) == Plan(values={"url": f"https://{FQDN}:8531", "fqdn": FQDN})
    assert plan(read(configure(bind(document()), FQDN.upper()))).changes == ()


def test_the_name_is_the_servers_own_or_the_one_given() -> None:
    assert plan(seen(bind(document(), "wildcard"))).values["fqdn"] == FQDN
    planned = plan(seen(bind(document(), "wildcard"), "wsus.corp.example"), fqdn="WSUS.corp.example.")
    assert planned.changes == (MarkRestart(), ConfigureSsl("wsus.corp.example"))
    assert planned.values["url"] == "https://wsus.corp.example:8531"


def test_another_name_or_another_port_is_told_anew() -> None:
    assert plan(seen(configure(bind(document()), "old.corp.example"))).changes == TOLD
    moved = configure(bind(document(), at="*:443:"), FQDN, port=8531)
    assert plan(seen(moved, port=443)).changes == TOLD


@pytest.mark.parametrize("name", ["wsus01", "https://wsus01.corp.example", "wsus 01.corp.example"])
def test_a_name_that_is_not_fully_qualified_is_refused(name: str) -> None:
    with pytest.raises(Refusal, match=f"'{name}' is no fully qualified name: WSUS must be told one that clients can resolve"):
        plan(seen(bind(document())), fqdn=name)


def test_without_a_bound_certificate_it_is_refused_with_what_to_run() -> None:
    with pytest.raises(Refusal, match=r"No https binding of the WSUS site has a certificate\. Bind one first \(.*wsus_ssl_binding\)"):
        plan(read())


def test_a_bound_certificate_that_is_gone_from_the_store_is_refused() -> None:
    found = bind(document(), "longer")
    del found["certificates"]["My"][issued("longer").thumbprint]
    with pytest.raises(Refusal, match=f"{issued('longer').thumbprint} that is bound is not in the computer's store any more"):
        plan(seen(found))


@pytest.mark.parametrize(
    ("kind", "why"), [("other", f"is for other.corp.example, not for {FQDN}"), ("expired", "expired on 2026-11-18")], ids=["name", "dates"]
)
def test_a_name_that_the_bound_certificate_does_not_cover_or_one_that_cannot_serve_is_refused(kind: str, why: str) -> None:
    with pytest.raises(Refusal, match=f"The certificate {issued(kind).thumbprint} that is bound cannot serve {FQDN}: {why}"):
        plan(seen(bind(document(), kind)))


def test_a_server_that_was_told_a_name_is_refused_while_its_certificate_is_not_for_it() -> None:
    with pytest.raises(Refusal, match=r"is for other\.corp\.example"):
        plan(read(configure(bind(document(), "other"))))


def test_a_certificate_with_few_days_left_still_serves() -> None:
    assert plan(seen(bind(document(), "short"))).changes == TOLD


def test_a_wsus_without_its_tool_is_refused() -> None:
    state = seen(bind(document()))
    assert state["setup"] is not None
    state["setup"]["tool"] = False
    with pytest.raises(Refusal, match=r"WsusUtil\.exe is not in C:\\Program Files\\Update Services\\Tools\. Repair the WSUS installation"):
        plan(state)


def test_a_look_at_itself_is_asked_for_by_name_and_port() -> None:
    with pytest.raises(LookNeeded) as needed:
        plan(read(bind(document(), at="*:443:")), fqdn=FQDN)
    assert (needed.value.host_name, needed.value.port) == (FQDN, 443)
    # One at another name or port is none.
    with pytest.raises(LookNeeded):
        plan(seen(bind(document()), "wsus00.corp.example"))
    with pytest.raises(LookNeeded):
        plan(seen(bind(document()), port=443))


def test_without_a_look_it_is_told_straight_away() -> None:
    assert plan(read(bind(document())), look=False).changes == TOLD


@pytest.mark.parametrize(
    ("differs", "why"),
    [
        ({"reachable": False, "name_matches": None, "trusted": None}, "cannot be reached from this server"),
        ({"name_matches": None, "trusted": None}, "answers, but not with TLS"),
        ({"name_matches": False}, f"is not for {FQDN}"),
        ({"trusted": False, "chain_errors": ["UntrustedRoot"]}, r"does not trust the certificate found at .*\(UntrustedRoot\)"),
    ],
    ids=["not reached", "no tls", "name", "trust"],
)
def test_a_server_that_does_not_reach_or_trust_itself_is_refused_with_which_of_the_three(differs: dict[str, Any], why: str) -> None:
    with pytest.raises(Refusal, match=f"does not reach itself by its name over TLS.*{why}.*Mend name resolution, or have the issuing CA trusted"):
        plan(seen(bind(document()), **differs))


# --- in check mode ----------------------------------------------------------------------------------------------------


def test_the_endpoint_that_a_predicted_binding_promises_counts_as_seen() -> None:
    state = read()
    ahead = predict(state, plan_binding(state, BindingWish(), NOW).changes, NOW)
    assert plan(ahead).changes == TOLD


def test_a_look_that_failed_before_the_predicted_binding_does_not_count_against_it() -> None:
    state = looked(read(bind(document(), "expired")), FQDN, reachable=False, name_matches=None, trusted=None)
    ahead = predict(state, plan_binding(state, BindingWish(), NOW).changes, NOW)
    assert plan(ahead).changes == TOLD


def test_a_name_that_the_predicted_certificate_does_not_cover_is_refused_in_check_mode_as_well() -> None:
    state = read()
    ahead = predict(state, plan_binding(state, BindingWish(), NOW).changes, NOW)
    with pytest.raises(Refusal, match=r"cannot serve alias\.corp\.example"):
        plan(ahead, fqdn="alias.corp.example")


def test_a_certificate_still_to_come_covers_every_name() -> None:
    found = document()
    found["certificates"]["My"] = {}
    state = read(found)
    state["certificates"] = [promised_certificate()]
    ahead = predict(state, plan_binding(state, BindingWish(fqdn="alias.corp.example"), NOW).changes, NOW)
    assert plan(ahead, fqdn="alias.corp.example").changes == (MarkRestart(), ConfigureSsl("alias.corp.example"))
    assert covered(ahead, "alias.corp.example", 8531)
    assert not covered(ahead, "alias.corp.example", 443)


def test_after_a_predicted_configuressl_nothing_is_left_but_the_restart() -> None:
    state = seen(bind(document()))
    ahead = predict(state, plan(state).changes, NOW)
    assert plan(ahead).changes == ()
    assert plan_restart(ahead, "reboot").changes
    assert managed_name(ahead) == {"using_ssl": True, "name": FQDN, "port": 8531, "url": f"https://{FQDN}:8531"}


# --- the way back -----------------------------------------------------------------------------------------------------


BACK = (MarkRestart(), Registry(SETUP_KEY, "UsingSSL", "DWord", 0), Registry(SETUP_KEY, "PortNumber", "DWord", 8530))


def test_the_way_back_records_http_and_marks_the_restart_first() -> None:
    planned = plan(read(offering()), present=False)
    assert planned == Plan(BACK, (), {"url": None, "fqdn": None})
    ahead = predict(read(offering()), planned.changes, NOW)
    assert plan(ahead, present=False).changes == ()
    assert managed_name(ahead) == {"using_ssl": False, "name": None, "port": 8530, "url": None}


def test_a_server_on_http_has_nothing_to_go_back_from() -> None:
    assert plan(read(bind(document())), present=False) == Plan(values={"url": None, "fqdn": None})
    # TLS required by hand, configuressl never run: nothing to go back from either.
    assert plan(read(require(document())), present=False).changes == ()


@pytest.mark.parametrize(
    ("applications", "said"),
    [
        (("ClientWebService",), "TLS is still required on ClientWebService:"),
        (("simpleauthwebservice", "ClientWebService"), "on ClientWebService, SimpleAuthWebService:"),
        (("",), "on the site as a whole:"),
        (("Content",), "on Content:"),
        (("", "ReportingWebService"), "on the site as a whole, ReportingWebService:"),
    ],
)
def test_the_way_back_is_refused_while_tls_is_required_anywhere(applications: tuple[str, ...], said: str) -> None:
    with pytest.raises(Refusal, match=f"{said} WSUS cannot go back to HTTP before it is not.*iis_require_ssl with state: absent"):
        plan(read(require(offering(), *applications)), present=False)


def test_flags_that_do_not_require_tls_do_not_stand_in_the_way() -> None:
    state = read(require(offering(), "ClientWebService", flags="Ssl128,SslNegotiateCert"))
    assert requiring(state) == []
    assert plan(state, present=False).changes == BACK


@pytest.mark.parametrize(("http", "https"), [(80, 443), (9442, 9443)])
def test_the_way_back_goes_to_the_http_port_that_is_paired(http: int, https: int) -> None:
    found = configure(bind(document(), at=f"*:{https}:"), port=https)
    found["iis"]["sites"][0]["bindings"].append({"protocol": "http", "information": f"*:{http}:"})
    planned = plan(read(found), present=False)
    assert planned.changes[-1] == Registry(SETUP_KEY, "PortNumber", "DWord", http)
    assert planned.notes == ()


def test_another_http_port_than_the_paired_one_is_told() -> None:
    found = configure(bind(document(), at="*:9443:"), port=9443)
    planned = plan(read(found), present=False)
    assert planned.changes[-1] == Registry(SETUP_KEY, "PortNumber", "DWord", 8530)
    assert planned.notes == ("The HTTP port 8530 is not the one that WSUS pairs with 9443.",)


def test_without_an_http_binding_there_is_nothing_to_go_back_to() -> None:
    state = read(offering())
    site = site_of(state)
    site["bindings"] = [one for one in site["bindings"] if one["protocol"] == "https"]
    with pytest.raises(Refusal, match=r"no http binding to go back to\. Add one first"):
        plan(state, present=False)


# --- what is shown, what is covered ------------------------------------------------------------------------------------


def test_before_and_after_show_what_wsus_recorded() -> None:
    assert managed_name(read()) == {"using_ssl": False, "name": None, "port": 8530, "url": None}
    found = document()
    found["registry"][SETUP + r"\Installed Role Services"]["UpdateServices-Services"] = dword(0)
    assert managed_name(read(found))["url"] is None
    state = read()
    state["setup"] = None
    assert managed_name(state) == {}


def test_a_port_is_covered_by_the_certificate_bound_on_it() -> None:
    found = bind(bind(document(), "other"), "good", at="*:443:")
    state = read(found)
    assert covered(state, FQDN, 443)
    assert not covered(state, FQDN, 8531)
    assert covered(state, "other.corp.example", 8531)
    assert not covered(state, FQDN, 8530)
    found["certificates"]["My"] = {issued("longer").thumbprint: entry("longer")}
    assert not covered(read(found), FQDN, 443)
    assert not covered(read(), FQDN, 8531)
