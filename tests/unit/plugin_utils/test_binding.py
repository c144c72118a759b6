"""Planning the https binding: which certificate, where, what stays as it is, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.securepatch.wsus.plugins.plugin_utils.binding import (
    BindingWish,
    Criteria,
    find_binding,
    managed_bindings,
    none_fits,
    normal_thumbprint,
    plan_binding,
    replaced_certificates,
    select,
)
from ansible_collections.securepatch.wsus.plugins.plugin_utils.changes import Binding, Change, Registry, RestartSite, predict
from ansible_collections.securepatch.wsus.plugins.plugin_utils.planning import Plan
from ansible_collections.securepatch.wsus.plugins.plugin_utils.state import MARKS_KEY, Refusal, State, certificates_of

from tests.unit.plugin_utils.machines import (
    FQDN,
    HTTP_SYS,
    MARKS,
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
    sentences,
    text,
)

GOOD, LONGER, EXPIRED = (issued(kind).thumbprint for kind in ("good", "longer", "expired"))
MARKED = Registry(MARKS_KEY, "SiteRestartNeeded", "String", "8531", "Note on the server that its site needs a restart")
UNMARKED = Registry(MARKS_KEY, "SiteRestartNeeded", "String", None, "Take the note of the site's restart off the server")


def replaced(old: str, *before: str) -> Registry:
    """The note that a certificate was replaced, behind those that were noted before."""
    about = f"Note on the server that the certificate {old} was replaced"
    return Registry(MARKS_KEY, "ReplacedCertificates", "String", " ".join([*before, old]), about)


def plan(found: dict[str, Any] | State, **wish: Any) -> Plan:
    state: Any = found if "unreadable" in found else read(found)  # type: ignore[arg-type]
    return plan_binding(state, BindingWish(**wish), NOW)


def with_certificates(*kinds: str) -> dict[str, Any]:
    found = document()
    found["certificates"]["My"] = {issued(kind).thumbprint: entry(kind) for kind in kinds}
    return found


def bindings_of(changes: tuple[Change, ...]) -> list[Binding]:
    return [change for change in changes if isinstance(change, Binding)]


def other_site(found: dict[str, Any], information: str, protocol: str = "https", flags: int = 0) -> dict[str, Any]:
    binding = {"protocol": protocol, "information": information, "ssl_flags": flags}
    found["iis"]["sites"].append({"id": 1, "name": "Intranet", "state": "Started", "bindings": [binding], "applications": []})
    return found


# --- a new binding, and one that is there ------------------------------------------------------------------------------


def test_a_bare_binding_gets_the_certificate_and_the_site_is_restarted_between_two_notes() -> None:
    found = plan(document())
    assert found.changes == (MARKED, Binding("*", 8531, "", GOOD, "My", 0), RestartSite(), UNMARKED)
    assert (found.values["fqdn"], found.values["port"], found.values["http_port"], found.values["thumbprint"]) == (FQDN, 8531, 8530, GOOD)
    assert found.values["certificate"]["serves"] is True
    assert found.notes == ()


def test_a_site_without_an_https_binding_gets_one_on_every_address() -> None:
    found = document()
    del found["iis"]["sites"][0]["bindings"][1]
    assert plan(found).changes == (MARKED, Binding("*", 8531, "", GOOD, "My", 0), RestartSite(), UNMARKED)


def test_a_binding_that_is_as_wished_stays_as_it_is() -> None:
    assert plan(bind(document())).changes == ()
    assert plan(offering()).changes == ()
    assert plan(offering(), fqdn=FQDN.upper(), port=8531, thumbprint=GOOD.lower()).changes == ()


def test_a_site_that_is_stopped_is_not_started_for_it() -> None:
    found = document()
    found["iis"]["sites"][0]["state"] = "Stopped"
    assert plan(found).changes == (MARKED, Binding("*", 8531, "", GOOD, "My", 0), UNMARKED)


def test_a_run_that_was_cut_before_the_sites_restart_does_it_the_next_time() -> None:
    found = bind(document())
    found["registry"][MARKS] = {"SiteRestartNeeded": text("8531")}
    assert plan(found).changes == (RestartSite(), UNMARKED)


def test_a_certificate_that_is_exchanged_needs_no_restart_of_the_site() -> None:
    assert plan(bind(document(), "expired")).changes == (replaced(EXPIRED), Binding("*", 8531, "", GOOD, "My", 0))


@pytest.mark.parametrize(("at", "flags"), [("10.0.0.5:8531:", 4), (f"*:8531:{FQDN}", 33), (":8531:", 64 + 32 + 16 + 8)])
def test_what_the_binding_has_beside_its_certificate_stays(at: str, flags: int) -> None:
    address, _port, host_name = at.split(":")
    planned = plan(bind(document(), "expired", at=at, flags=flags))
    assert planned.changes == (replaced(EXPIRED), Binding(address, 8531, host_name, GOOD, "My", flags))


# --- the kernel -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("served", ["longer", None])
def test_a_binding_is_bound_once_more_while_the_kernel_serves_another_certificate_or_none(served: str | None) -> None:
    found = plan(bind(document(), "good", served=served))
    assert found.changes == (Binding("*", 8531, "", GOOD, "My", 0),)
    assert found.notes == ()


def test_with_sni_the_kernels_entry_of_the_name_counts() -> None:
    state = read(bind(document(), "good", at=f"*:8531:{FQDN.upper()}", flags=1))
    assert plan(state).changes == ()
    # The kernel has names in its own case.
    state["http_sys"] = [{"endpoint": f"{FQDN}:8531", "thumbprint": GOOD, "store": "My"}]
    assert plan(state).changes == ()
    found = bind(document(), "good", at=f"*:8531:{FQDN}", flags=1, served="longer")
    # What the kernel has for the address does not matter then.
    found["registry"][f"{HTTP_SYS}\\0.0.0.0:8531"] = {"SslCertHash": {"kind": "Binary", "data": GOOD}, "SslCertStoreName": text("My")}
    assert plan(found).changes == (Binding("*", 8531, FQDN, GOOD, "My", 1),)


def test_what_the_kernel_serves_must_be_readable_before_a_binding_is_called_as_wished() -> None:
    state = read(bind(document()))
    state["http_sys"] = None
    with pytest.raises(Refusal, match=r"\(http\.sys\) cannot be read"):
        plan(state)


def test_an_entry_of_the_kernel_for_one_address_is_told_because_it_wins() -> None:
    found = bind(document())
    found["registry"][f"{HTTP_SYS}\\10.0.0.5:8531"] = {"SslCertHash": {"kind": "Binary", "data": LONGER}, "SslCertStoreName": text("My")}
    planned = plan(found)
    assert planned.changes == ()
    assert len(planned.notes) == 1
    assert f"http.sys has another certificate for 10.0.0.5:8531 ({LONGER}), which wins" in planned.notes[0]


@pytest.mark.parametrize("key", ["10.0.0.5:8530", "0.0.0.0:443", "10.0.0.5:443"])
def test_entries_of_the_kernel_for_other_ports_are_nobodys_business(key: str) -> None:
    found = bind(document())
    found["registry"][f"{HTTP_SYS}\\{key}"] = {"SslCertHash": {"kind": "Binary", "data": LONGER}, "SslCertStoreName": text("My")}
    assert plan(found).notes == ()


def test_the_same_certificate_for_one_address_is_no_other_one() -> None:
    found = bind(document())
    found["registry"][f"{HTTP_SYS}\\[::1]:8531"] = {"SslCertHash": {"kind": "Binary", "data": GOOD}, "SslCertStoreName": text("My")}
    assert plan(found).notes == ()
    found["registry"][f"{HTTP_SYS}\\[::1]:8531"]["SslCertHash"]["data"] = LONGER
    assert "[::1]:8531" in plan(found).notes[0]


# --- which certificate ------------------------------------------------------------------------------------------------


def test_of_several_that_fit_the_one_that_lasts_longest() -> None:
    assert bindings_of(plan(with_certificates("good", "longer", "wildcard", "other", "expired")).changes)[0].thumbprint == LONGER


def test_the_one_that_is_bound_stays_while_it_fits_though_another_lasts_longer() -> None:
    found = bind(document(), "good")
    found["certificates"]["My"][LONGER] = entry("longer")
    assert plan(found).changes == ()


def test_one_that_is_bound_in_the_web_hosting_store_stays_there() -> None:
    found = bind(document(), "good", store="WebHosting")
    found["certificates"]["My"] = {}
    assert plan(found).changes == ()
    assert plan(found, thumbprint=GOOD).changes == ()


@pytest.mark.parametrize("kind", ["expired", "short", "other"])
def test_one_that_is_bound_and_does_not_fit_any_more_is_replaced(kind: str) -> None:
    assert bindings_of(plan(bind(document(), kind)).changes)[0].thumbprint == GOOD


def test_one_that_is_bound_and_has_lost_its_key_is_replaced() -> None:
    found = bind(document(), "longer")
    found["certificates"]["My"][LONGER] = entry("longer", key=False)
    assert bindings_of(plan(found).changes)[0].thumbprint == GOOD


def test_one_that_is_bound_and_gone_from_the_store_is_replaced() -> None:
    found = bind(document(), "longer")
    del found["certificates"]["My"][LONGER]
    assert bindings_of(plan(found).changes)[0].thumbprint == GOOD


@pytest.mark.parametrize("wish", [{"issuer": "Other CA"}, {"friendly_name": "Other"}])
def test_one_that_is_bound_is_not_kept_where_another_issuer_or_friendly_name_is_asked_for(wish: dict[str, str]) -> None:
    with pytest.raises(Refusal, match="No certificate in the computer's Personal store can serve"):
        plan(bind(document()), **wish)
    assert plan(bind(document()), issuer="Corp Issuing CA", friendly_name="WSUS").changes == ()


def test_days_that_are_asked_for_count_for_the_one_that_is_bound_as_well() -> None:
    found = bind(document(), "good")  # 200 days
    found["certificates"]["My"][LONGER] = entry("longer")
    assert bindings_of(plan(found, min_days_valid=300).changes)[0].thumbprint == LONGER
    assert plan(bind(document(), "short"), min_days_valid=0).changes == ()


def test_fourteen_days_are_asked_for_by_default() -> None:
    with pytest.raises(Refusal, match="has only 5 days left, until 2026-11-26, fewer than 14"):
        plan(with_certificates("short"))


def test_another_name_than_the_servers_own_can_be_asked_for() -> None:
    found = with_certificates("good", "other")
    planned = plan(found, fqdn="Other.corp.example")
    assert bindings_of(planned.changes)[0].thumbprint == issued("other").thumbprint
    assert planned.values["fqdn"] == "other.corp.example"


def test_where_none_fits_every_candidate_is_named_with_why_it_was_passed_over() -> None:
    found = with_certificates("other", "expired")
    found["certificates"]["My"][LONGER] = entry("longer", has_private_key=False)
    found["certificates"]["My"][GOOD] = entry("good", key=False)
    with pytest.raises(Refusal) as refused:
        plan(found)
    said = str(refused.value)
    assert said.startswith(f"No certificate in the computer's Personal store can serve {FQDN}. Passed over: ")
    assert f"{issued('other').thumbprint} (WSUS): is for other.corp.example, not for {FQDN}" in said
    assert f"{issued('expired').thumbprint} (WSUS): expired on 2026-11-18" in said
    assert f"{LONGER} (WSUS): has no private key" in said
    assert f"{GOOD} (WSUS): its private key cannot be opened" in said


def test_an_empty_store_is_refused_with_what_to_obtain() -> None:
    with pytest.raises(Refusal, match=f"Personal store has no certificate at all. Obtain one for {FQDN} first"):
        plan(with_certificates())


# --- by thumbprint ----------------------------------------------------------------------------------------------------


def test_a_thumbprint_takes_exactly_that_certificate() -> None:
    found = bind(document(), "longer")
    assert plan(found, thumbprint=GOOD).changes == (replaced(LONGER), Binding("*", 8531, "", GOOD, "My", 0))


def test_a_thumbprint_as_windows_dialogs_copy_it() -> None:
    spaced = "\u200e" + " ".join(GOOD[at : at + 2].lower() for at in range(0, 40, 2))
    assert normal_thumbprint(spaced) == GOOD
    assert normal_thumbprint(":".join(GOOD[at : at + 2] for at in range(0, 40, 2))) == GOOD
    assert bindings_of(plan(document(), thumbprint=spaced).changes)[0].thumbprint == GOOD


@pytest.mark.parametrize("thumbprint", ["abc", GOOD + "0", "G" * 40, "WSUS"])
def test_what_is_no_thumbprint_is_refused(thumbprint: str) -> None:
    with pytest.raises(Refusal, match=f"'{thumbprint}' is not a thumbprint: 40 hexadecimal digits are"):
        plan(document(), thumbprint=thumbprint)


def test_a_thumbprint_that_is_not_in_the_store_is_refused() -> None:
    with pytest.raises(Refusal, match=f"no certificate {LONGER} in the computer's Personal store"):
        plan(document(), thumbprint=LONGER)


@pytest.mark.parametrize(
    ("kind", "differs", "why"),
    [
        ("expired", {}, "expired on 2026-11-18"),
        ("other", {}, "is for other.corp.example"),
        ("longer", {"has_private_key": False}, "has no private key"),
        ("longer", {"key": False}, "its private key cannot be opened"),
    ],
)
def test_a_thumbprint_of_a_certificate_that_cannot_serve_is_refused_with_why(kind: str, differs: dict[str, bool], why: str) -> None:
    found = document()
    found["certificates"]["My"][issued(kind).thumbprint] = entry(kind, **differs)
    with pytest.raises(Refusal, match=f"The certificate {issued(kind).thumbprint} cannot serve {FQDN}: {why}"):
        plan(found, thumbprint=issued(kind).thumbprint)


# --- a certificate still to come ---------------------------------------------------------------------------------------


def test_a_promised_certificate_fits_and_its_thumbprint_is_not_known_yet() -> None:
    state = read(with_certificates("expired"))
    certificates_of(state).append(promised_certificate())
    planned = plan(state)
    assert bindings_of(planned.changes) == [Binding("*", 8531, "", None, "My", 0, True)]
    assert planned.values["thumbprint"] is None
    ahead = predict(state, planned.changes, NOW)
    assert plan(ahead).changes == ()
    ahead["certificates"] = read()["certificates"]
    assert plan(ahead).changes == ()
    assert managed_bindings(ahead) == [
        {"binding": "*:8531:", "thumbprint": "still to come", "store": "My", "ssl_flags": 0, "served": "still to come"}
    ]


def test_a_promised_certificate_replaces_a_bound_one_that_does_not_fit_without_another_restart_of_the_site() -> None:
    state = read(bind(document(), "expired"))
    state["certificates"] = [promised_certificate()]
    assert plan(state).changes == (replaced(EXPIRED), Binding("*", 8531, "", None, "My", 0, True))


def test_a_bound_one_that_fits_stays_though_another_is_promised() -> None:
    state = read(bind(document()))
    certificates_of(state).append(promised_certificate())
    assert plan(state).changes == ()


def test_a_promised_one_can_be_asked_for_although_the_bound_one_fits() -> None:
    state = read(bind(document()))
    with pytest.raises(Refusal, match="The thumbprint is 'promised', but no earlier task foretold a certificate"):
        plan(state, thumbprint="promised")
    certificates_of(state).append(promised_certificate())
    planned = plan(state, thumbprint="promised")
    assert planned.changes == (replaced(GOOD), Binding("*", 8531, "", None, "My", 0, True))
    assert (planned.values["thumbprint"], planned.values["certificate"]["promised"]) == (None, True)
    ahead = predict(state, planned.changes, NOW)
    assert plan(ahead, thumbprint="promised").changes == ()
    assert replaced_certificates(ahead) == [GOOD]


# --- what is noted of certificates that are replaced --------------------------------------------------------------------


def noted(found: dict[str, Any], *thumbprints: str) -> dict[str, Any]:
    found["registry"].setdefault(MARKS, {})["ReplacedCertificates"] = text(" ".join(thumbprints))
    return found


def test_a_certificate_is_noted_once_behind_those_of_before() -> None:
    found = noted(bind(document(), "expired"), "AB" * 20)
    assert plan(found).changes == (replaced(EXPIRED, "AB" * 20), Binding("*", 8531, "", GOOD, "My", 0))
    # A run that was cut off between the note and the binding.
    again = noted(bind(document(), "expired"), "AB" * 20, EXPIRED)
    assert plan(again).changes == (Binding("*", 8531, "", GOOD, "My", 0),)
    ahead = predict(read(found), plan(found).changes, NOW)
    assert replaced_certificates(ahead) == ["AB" * 20, EXPIRED]
    assert plan(ahead).changes == ()


def test_what_is_noted_twice_counts_once() -> None:
    assert replaced_certificates(read(noted(document(), GOOD, LONGER, GOOD))) == [GOOD, LONGER]
    assert replaced_certificates(read(noted(document()))) == replaced_certificates(read()) == []


def test_one_that_is_bound_again_leaves_the_list() -> None:
    found = noted(bind(document(), "longer"), GOOD, "AB" * 20)
    planned = plan(found, thumbprint=GOOD)
    assert planned.changes == (replaced(LONGER, "AB" * 20), Binding("*", 8531, "", GOOD, "My", 0))
    alone = plan(noted(document(), GOOD))
    about = f"Note on the server that {GOOD} is in use again"
    assert alone.changes[1:3] == (Registry(MARKS_KEY, "ReplacedCertificates", "String", None, about), Binding("*", 8531, "", GOOD, "My", 0))
    assert replaced_certificates(predict(read(noted(document(), GOOD)), alone.changes, NOW)) == []


def test_one_that_the_kernel_lost_is_bound_once_more_and_replaces_nothing() -> None:
    about = f"Note on the server that {GOOD} is in use again"
    found = noted(bind(document(), "good", served=None), GOOD, LONGER)
    assert plan(found).changes == (
        Registry(MARKS_KEY, "ReplacedCertificates", "String", LONGER, about),
        Binding("*", 8531, "", GOOD, "My", 0),
    )


def test_a_bare_binding_and_none_at_all_replace_nothing() -> None:
    bare = plan(noted(document(), LONGER))
    assert bare.changes == plan(document()).changes
    assert not any(isinstance(change, Registry) and change.name == "ReplacedCertificates" for change in bare.changes)


def test_nothing_is_noted_where_nothing_is_bound_anew() -> None:
    assert plan(noted(bind(document()), GOOD, LONGER)).changes == ()


# --- the site still serves what it served before ------------------------------------------------------------------------


def finds(served: str | None, *, promised: bool = False, **differs: Any) -> State:
    """A server whose binding is as wished, and what it finds at itself."""
    found = bind(document())
    found["certificates"]["My"][LONGER] = entry("longer")
    state = read(found)
    chain = [issued(served).der_base64, issued("good").der_base64] if served else []
    return looked(state, FQDN, certificates=chain, promised=promised, **differs)


def test_a_site_that_still_serves_an_old_certificate_of_the_machines_own_is_restarted() -> None:
    assert plan(finds("longer")).changes == (RestartSite(), UNMARKED)
    stopped = finds("longer")
    assert stopped["iis"] is not None
    stopped["iis"]["site"]["state"] = "Stopped"
    assert plan(stopped).changes == (UNMARKED,)


def test_a_site_that_serves_the_bound_certificate_is_left_alone() -> None:
    assert plan(finds("good")).changes == ()
    assert plan(finds(None)).changes == ()


def test_a_foreign_certificate_is_a_load_balancers_and_no_restart_changes_it() -> None:
    assert plan(finds("other")).changes == ()


@pytest.mark.parametrize("differs", [{"port": 8530}, {"host_name": "other.corp.example"}, {"tls": False}, {"promised": True}])
def test_only_what_was_found_over_tls_at_this_name_and_port_counts(differs: dict[str, Any]) -> None:
    state = finds("longer")
    state["endpoints"][0] |= differs  # type: ignore[typeddict-item]
    assert plan(state).changes == ()


def test_a_prediction_is_never_taken_for_what_the_site_serves() -> None:
    state = finds("longer")
    state["predicted"] = True
    assert plan(state).changes == ()
    bound = bind(document())
    ahead = predict(read(bound), [Binding("*", 8531, "", None, "My", 0, True)], NOW)
    del ahead["predicted"]
    assert plan(looked(ahead, FQDN, certificates=[issued("good").der_base64])).changes == ()


def test_a_binding_that_is_made_anew_is_not_restarted_for_what_is_found_before() -> None:
    state = finds("longer")
    assert plan(state, thumbprint=LONGER).changes == (replaced(GOOD), Binding("*", 8531, "", LONGER, "My", 0))


# --- the rules of selection, for others ---------------------------------------------------------------------------------


def chosen(state: State, current: str | None, **criteria: Any) -> str | None:
    """What is selected where the certificate CURRENT is bound."""
    binding: Any = current and {"protocol": "https", "ip_address": "*", "port": 8531, "host_name": "", "thumbprint": current, "store": "My"}
    certificate = select(state, Criteria(FQDN, **criteria), binding, NOW).certificate
    return certificate.thumbprint if certificate else None


def test_what_is_bound_is_selected_while_it_fits_and_else_the_best() -> None:
    state = read(with_certificates("good", "longer", "expired"))
    assert chosen(state, GOOD) == GOOD
    assert chosen(state, None) == chosen(state, EXPIRED) == chosen(state, "AB" * 20) == LONGER
    assert chosen(state, GOOD, min_days_valid=300) == LONGER
    assert chosen(state, GOOD, issuer="Corp Issuing CA", friendly_name="wsus") == GOOD
    assert chosen(state, GOOD, issuer="Other CA") is None
    assert chosen(state, GOOD, friendly_name="Other") is None


def test_what_is_to_be_replaced_is_not_selected_bound_or_not() -> None:
    state = read(with_certificates("good", "longer"))
    assert chosen(state, GOOD, without=(GOOD,)) == LONGER
    assert chosen(state, None, without=(LONGER,)) == GOOD
    assert chosen(state, GOOD, without=(GOOD, LONGER)) is None
    choice = select(state, Criteria(FQDN, without=(GOOD, LONGER)), None, NOW)
    assert {each.thumbprint: why for each, why in choice.passed_over} == {GOOD: ("is to be replaced",), LONGER: ("is to be replaced",)}
    assert f"{GOOD} (WSUS): is to be replaced" in none_fits(choice, FQDN)


def test_other_names_have_to_be_covered_as_well() -> None:
    state = read(with_certificates("good", "wildcard"))
    wildcard = issued("wildcard").thumbprint
    assert chosen(state, GOOD, other_names=(FQDN.upper(),)) == GOOD
    assert chosen(state, GOOD, other_names=("wsus.corp.example",)) == wildcard
    assert chosen(state, None, other_names=("wsus.corp.example", "wsus.other.example")) is None
    choice = select(state, Criteria(FQDN, other_names=("wsus.other.example", "b.example")), None, NOW)
    reasons = dict(choice.passed_over)[next(each for each, _why in choice.passed_over if each.thumbprint == GOOD)]
    assert reasons == (f"is for {FQDN}, not for wsus.other.example", f"is for {FQDN}, not for b.example")


def test_a_wildcard_is_covered_by_itself_alone() -> None:
    state = read(with_certificates("good", "wildcard"))
    assert chosen(state, GOOD, other_names=("*.Corp.example",)) == issued("wildcard").thumbprint
    assert chosen(state, None, other_names=("*.example",)) is None


def test_a_binding_that_is_promised_a_certificate_has_it() -> None:
    state = read(with_certificates("good"))
    promised: Any = {"protocol": "https", "ip_address": "*", "port": 8531, "host_name": "", "promised": True}
    certificate = select(state, Criteria(FQDN, issuer="Other CA", without=(GOOD,)), promised, NOW).certificate
    assert certificate is not None
    assert (certificate.promised, certificate.thumbprint, certificate.store) == (True, "", "My")


def test_a_promised_certificate_comes_before_any_other_whatever_is_asked_for() -> None:
    state = read(with_certificates("good", "longer"))
    certificates_of(state).append(promised_certificate())
    assert chosen(state, None) == chosen(state, None, other_names=("x.example",), issuer="Other CA", min_days_valid=900) == ""
    assert chosen(state, GOOD) == GOOD


# --- ports ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("http", "https"), [(8530, 8531), (80, 443), (9442, 9443)])
def test_the_port_is_the_one_that_wsus_pairs_with_its_http_port(http: int, https: int) -> None:
    found = document()
    found["registry"][SETUP]["PortNumber"] = dword(http)
    found["iis"]["sites"][0]["bindings"] = [{"protocol": "http", "information": f"*:{http}:"}]
    planned = plan(found)
    assert (planned.values["port"], planned.values["http_port"]) == (https, http)
    assert [change.port for change in bindings_of(planned.changes)] == [https]
    assert plan(configure(bind(found, at=f"*:{https}:"), port=https)).changes == ()


def test_another_port_can_be_asked_for_and_the_binding_on_the_usual_one_stays() -> None:
    planned = plan(bind(document(), "longer"), port=9443)
    assert bindings_of(planned.changes) == [Binding("*", 9443, "", LONGER, "My", 0)]
    assert planned.changes[0] == Registry(MARKS_KEY, "SiteRestartNeeded", "String", "9443", MARKED.about)


def test_the_port_of_plain_http_is_refused() -> None:
    with pytest.raises(Refusal, match="Port 8530 is the one on which the WSUS site answers plain HTTP, which has to stay"):
        plan(document(), port=8530)


@pytest.mark.parametrize(
    ("information", "protocol", "flags"),
    [("*:8531:", "https", 0), ("10.0.0.7:8531:", "https", 0), ("*:8531:intra", "http", 0), (":8531:a.b", "https", 1)],
)
def test_a_port_that_another_site_has_is_refused_with_that_site(information: str, protocol: str, flags: int) -> None:
    said = r"Port 8531 belongs to another site of this machine, 'Intranet' \(.*8531.*\).*Move that site to another port first"
    with pytest.raises(Refusal, match=said):
        plan(other_site(document(), information, protocol, flags))


def test_a_binding_that_was_there_beside_another_sites_is_not_exchanged_either() -> None:
    with pytest.raises(Refusal, match="'Intranet'"):
        plan(other_site(bind(document(), "expired"), "*:8531:intra.corp.example"))


@pytest.mark.parametrize("information", ["*:443:", "*:8530:"])
def test_other_ports_of_other_sites_do_not_matter(information: str) -> None:
    assert plan(other_site(document(), information)).changes == plan(document()).changes


def test_another_address_of_the_same_port_does_not_matter() -> None:
    found = other_site(bind(document(), "expired", at="10.0.0.5:8531:"), "10.0.0.7:8531:")
    assert bindings_of(plan(found).changes)[0].ip_address == "10.0.0.5"
    with pytest.raises(Refusal, match="'Intranet'"):
        plan(other_site(bind(document(), "expired", at="10.0.0.5:8531:"), "10.0.0.5:8531:"))
    with pytest.raises(Refusal, match="'Intranet'"):
        plan(other_site(bind(document(), "expired", at="10.0.0.5:8531:"), "*:8531:"))


def test_a_port_is_shared_where_both_use_sni_for_different_names() -> None:
    mine = f"*:8531:{FQDN}"
    assert bindings_of(plan(other_site(bind(document(), "expired", at=mine, flags=1), "*:8531:intra.corp.example", flags=1)).changes)
    for information, flags in (("*:8531:intra.corp.example", 0), (mine.upper(), 1)):
        with pytest.raises(Refusal, match="'Intranet'"):
            plan(other_site(bind(document(), "expired", at=mine, flags=1), information, flags=flags))
    with pytest.raises(Refusal, match="'Intranet'"):
        plan(other_site(bind(document(), "expired", at=mine), "*:8531:intra.corp.example", flags=1))


def test_a_binding_as_wished_is_not_refused_for_a_neighbour() -> None:
    assert plan(other_site(offering(), "*:8531:intra.corp.example")).changes == ()


def test_the_central_certificate_store_is_not_touched() -> None:
    found = document()
    found["iis"]["sites"][0]["bindings"][1]["ssl_flags"] = 3
    with pytest.raises(Refusal, match=r"Central Certificate Store\. Renew it there"):
        plan(found, thumbprint=GOOD)


def test_of_several_bindings_on_the_port_the_one_for_the_name_then_the_one_for_any() -> None:
    found = bind(bind(bind(document(), at="*:8531:"), at="*:8531:a.corp.example"), at=f"*:8531:{FQDN.upper()}")
    assert (find_binding(read(found), 8531, FQDN) or {})["host_name"] == FQDN.upper()
    assert (find_binding(read(found), 8531, "b.corp.example") or {})["host_name"] == ""
    assert (find_binding(read(bind(document(), at="*:8531:a.corp.example")), 8531, FQDN) or {})["host_name"] == "a.corp.example"
    assert find_binding(read(found), 8530, FQDN) is None


@pytest.mark.parametrize("addresses", [("10.0.0.5", "*"), ("10.0.0.9", "10.0.0.5"), ("10.0.0.5", ""), ("0.0.0.0", "10.0.0.5")])
def test_of_several_addresses_the_same_binding_is_meant_whatever_their_order(addresses: tuple[str, str]) -> None:
    found = document()
    for order in (addresses, addresses[::-1]):
        found["iis"]["sites"][0]["bindings"] = [
            {"protocol": "http", "information": "*:8530:"},
            *({"protocol": "https", "information": f"{address}:8531:", "ssl_flags": 0} for address in order),
        ]
        (binding,) = bindings_of(plan(found).changes)
        assert binding.ip_address == next((address for address in addresses if address in ("*", "", "0.0.0.0")), "10.0.0.5")
        assert plan(predict(read(found), plan(found).changes, NOW)).changes == ()


# --- refusals of the state, what is shown --------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["iis", "certificates"])
def test_a_part_that_could_not_be_read_is_refused(part: str) -> None:
    state = read()
    state[part] = None  # type: ignore[literal-required]
    with pytest.raises(Refusal, match="cannot be read"):
        plan(state)


def test_without_a_recorded_port_the_port_has_to_be_given() -> None:
    found = document()
    del found["registry"][SETUP]["PortNumber"]
    with pytest.raises(Refusal, match="recorded no port"):
        plan(found)
    planned = plan(found, port=8531)
    assert bindings_of(planned.changes) == [Binding("*", 8531, "", GOOD, "My", 0)]
    assert plan(predict(read(found), planned.changes, NOW), port=8531).changes == ()


def test_before_and_after_show_what_iis_has_and_what_the_kernel_serves() -> None:
    assert managed_bindings(read()) == [{"binding": "*:8531:", "thumbprint": None, "store": None, "ssl_flags": 0, "served": None}]
    found = bind(bind(document(), "good", served="longer"), "good", at=f"*:443:{FQDN}", flags=33)
    assert managed_bindings(read(found)) == [
        {"binding": f"*:443:{FQDN}", "thumbprint": GOOD, "store": "My", "ssl_flags": 33, "served": GOOD},
        {"binding": "*:8531:", "thumbprint": GOOD, "store": "My", "ssl_flags": 0, "served": LONGER},
    ]
    state = read()
    state["iis"] = None
    assert managed_bindings(state) == []


def test_the_words_of_a_first_binding() -> None:
    assert sentences(plan(document()).changes) == [
        "Note on the server that its site needs a restart",
        f"Bind the certificate {GOOD} to *:8531",
        "Stop and start the WSUS site, so that it listens on its new binding",
        "Take the note of the site's restart off the server",
    ]
