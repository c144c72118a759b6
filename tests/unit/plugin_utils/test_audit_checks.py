# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Each check of an audit, over states that the lab's machines show and over surveys made by hand."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.securepatch.wsus.plugins.plugin_utils.application_pool import BEST_PRACTICES
from ansible_collections.securepatch.wsus.plugins.plugin_utils.audit_checks import (
    PATCHED_BUILDS,
    RULES,
    SEVERITIES,
    Finding,
    Settings,
    View,
    audit_server,
)
from ansible_collections.securepatch.wsus.plugins.plugin_utils.state import State
from ansible_collections.securepatch.wsus.plugins.plugin_utils.survey import VERSIONS, Answered, Survey
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.plugin_utils.machines import (
    DAY,
    FIVE,
    FQDN,
    HTTP_SYS,
    MARKS,
    NOW,
    SETUP,
    authority,
    bind,
    configure,
    document,
    documents,
    downstream,
    dword,
    issued,
    looked,
    offering,
    read,
    require,
    synchronized,
    text,
)

GIB = 2**30
WELL = Answered(200)
OTHER = "AB" * 20
Edit = Callable[[dict[str, Any]], Any]


def healthy() -> dict[str, Any]:
    """A machine against which nothing can be said: it requires TLS, is patched, and synchronized yesterday."""
    found = require(offering())
    found["iis"]["application_pools"]["WsusPool"] = dict(BEST_PRACTICES)
    found["computer"]["disks"] = [{"drive": "D:", "bytes": 900 * GIB, "free_bytes": 300 * GIB}]
    found["registry"][r"HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion"]["UBR"] = dword(PATCHED_BUILDS[20348])
    found["wsus"]["last_synchronization"] = synchronized()
    return found


def answers(status: int = 200, **differs: Answered) -> dict[str, Answered]:
    return {name: Answered(401 if (name, status) == ("ApiRemoting30", 200) else status) for name in FIVE} | differs


def survey(**differs: Any) -> Survey:
    """What the network says of a healthy server."""
    well: dict[str, Any] = {
        "name": FQDN,
        "address": "192.0.2.1",
        "https_port": 8531,
        "http_port": 8530,
        "protocol": "TLSv1.3",
        "certificate": {"thumbprint": issued("good").thumbprint, "issuer": f"CN={authority().certificate.subject.rfc4514_string()}"},
        "versions": {"TLS 1.0": False, "TLS 1.1": False, "TLS 1.2": True, "TLS 1.3": True},
        "https": answers(),
        "http": answers(403) | {"Content": WELL, "ReportingWebService": WELL, "SelfUpdate": WELL},
    }
    return Survey(**well | differs)


def view(found: dict[str, Any] | None = None, **differs: Any) -> View:
    """A healthy server seen from both sides, which trusts itself."""
    state = looked(read(found if found is not None else healthy()), FQDN)
    return View(**{"name": "wsus01", "fqdn": FQDN, "state": state, "survey": survey(), **differs})


def judged(one: View, settings: Settings | None = None) -> dict[str, Finding]:
    findings = audit_server(one, settings or Settings(), NOW)
    assert [finding.check for finding in findings] == list(RULES)
    for finding in findings:
        assert finding.severity in SEVERITIES
        assert bool(finding.mend) is (finding.result == "fail")
        assert bool(finding.reason) is (finding.result in ("not_known", "not_applicable"))
        assert bool(finding.seen) is (finding.result in ("pass", "fail"))
    return {finding.check: finding for finding in findings}


def edited(*edits: Edit, base: Callable[[], dict[str, Any]] = healthy) -> View:
    found = base()
    for edit in edits:
        edit(found)
    return view(found)


def seen(state: State, change: Callable[[Any], Any]) -> State:
    """A copy of a state, changed by hand."""
    copied = copy.deepcopy(state)
    change(copied)
    return copied


def failures(found: dict[str, Finding]) -> set[str]:
    return {check for check, finding in found.items() if finding.result == "fail"}


def of_upstream(**differs: Any) -> View:
    """A downstream server that is well."""
    found = downstream("wsus00.corp.example", 8531, ssl=True)
    state = looked(looked(read(found), "wsus00.corp.example"), "wsus00.corp.example", 8530, tls=False, trusted=None, name_matches=None)
    return View(**{"name": "wsus11", "fqdn": "wsus11.corp.example", "state": state, "has_upstream": True, **differs})


# --- every check, well and not -----------------------------------------------------------------------------------------


def test_a_healthy_server_passes_every_check_that_concerns_it() -> None:
    found = judged(view())
    assert {check: finding.result for check, finding in found.items() if finding.result != "pass"} == {
        "upstream_tls": "not_applicable",
        "upstream_trusted": "not_applicable",
        "upstream_content": "not_applicable",
        "certificate_ready": "not_applicable",
        "certificate_ready_trusted": "not_applicable",
        "authorities_trusted": "not_applicable",
        "turned_away": "not_applicable",
    }
    assert found["upstream_tls"].reason == "it synchronizes from Microsoft Update"


def test_a_healthy_downstream_server_passes_what_concerns_its_upstream() -> None:
    found = judged(of_upstream())
    checks = ("upstream_tls", "upstream_trusted", "upstream_content", "synchronization")
    assert {check: found[check].result for check in checks} == dict.fromkeys(checks, "pass")
    assert found["upstream_tls"].seen == "https://wsus00.corp.example:8531"


def site(found: dict[str, Any]) -> dict[str, Any]:
    one: dict[str, Any] = found["iis"]["sites"][0]
    return one


def registry(key: str, **values: Any) -> Edit:
    return lambda found: found["registry"].setdefault(key, {}).update(values)


WINDOWS = r"HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion"
PROTOCOLS = r"HKLM:\SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols"


@pytest.mark.parametrize(
    ("check", "edit", "said"),
    [
        ("services", lambda found: found["services"].update(WsusService="Stopped"), "the service WsusService is Stopped"),
        ("services", lambda found: site(found).update(state="Stopped"), "the site 'WSUS Administration' is stopped"),
        (
            "services",
            lambda found: found["iis"]["application_pools"]["WsusPool"].update(state="Stopped"),
            "the application pool 'WsusPool' is stopped",
        ),
        ("binding", lambda found: site(found)["bindings"].pop(), "no https binding with a certificate"),
        ("binding_served", lambda found: found["registry"].pop(f"{HTTP_SYS}\\0.0.0.0:8531"), "http.sys serves nothing"),
        # With an id of its own: a thumbprint is another one in every process.
        pytest.param(
            "binding_served",
            lambda found: bind(found, "good", served="longer"),
            f"http.sys serves {issued('longer').thumbprint}",
            id="binding_served-another",
        ),
        ("certificate_name", lambda found: bind(found, "other"), "it is for other.corp.example"),
        ("certificate_days", lambda found: bind(found, "expired"), f"it ended on {NOW - 3 * DAY:%Y-%m-%d}"),
        ("certificate_days", lambda found: bind(found, "short"), "5 days left, until 2026-11-26"),
        ("configuressl", registry(SETUP, UsingSSL=dword(0)), "configuressl has not run"),
        ("configuressl", lambda found: configure(found, "old.corp.example"), f"but its name is {FQDN}; but the certificate is not for that name"),
        ("configuressl", lambda found: configure(found, port=9999), "but the https binding is on port 8531"),
        ("restart", registry(MARKS, RestartNeededSince=text("2026-11-20T00:00:00Z")), "the restart after configuressl is pending"),
        ("tls_required", lambda found: found["iis"]["locations"].clear(), "not required on any of them"),
        (
            "tls_required",
            lambda found: require(found, "ClientWebService", flags="None"),
            "not required on ClientWebService",
        ),
        ("tls_not_elsewhere", lambda found: require(found, ""), "the site as a whole"),
        ("tls_not_elsewhere", lambda found: require(found, "ReportingWebService"), "required on ReportingWebService"),
        ("tls_not_elsewhere", lambda found: require(found, "Content"), "required on Content"),
        ("application_pool", lambda found: found["iis"]["application_pools"].update(WsusPool={}), "queue length is 1000, not 2000"),
        ("patch_level", registry(WINDOWS, UBR=dword(PATCHED_BUILDS[20348] - 1)), "fixed from 20348.4297 on"),
        ("disk_space", lambda found: found["computer"]["disks"][0].update(free_bytes=9 * GIB), "9 GiB free on D:"),
        ("configuration_manager", registry(r"HKLM:\SOFTWARE\Microsoft\SMS"), "its software is on this machine"),
        ("database", registry(SETUP, SqlServerName=text("sql01.corp.example")), "sql01.corp.example"),
        ("synchronization", lambda found: found["wsus"].pop("last_synchronization"), "it never synchronized"),
        ("synchronization", lambda found: found["wsus"].update(last_synchronization=synchronized(result="Failed")), "Failed (NotApplicable)"),
        (
            "synchronization",
            lambda found: found["wsus"]["last_synchronization"].update(end="2026-11-19T11:00:00Z"),
            "49 h ago",
        ),
    ],
)
def test_what_the_server_shows_fails_the_check_that_it_concerns(check: str, edit: Edit, said: str) -> None:
    finding = judged(edited(edit))[check]
    assert (finding.result, said in finding.seen) == ("fail", True), finding
    assert judged(view())[check].result == "pass"


@pytest.mark.parametrize(
    ("check", "differs", "said"),
    [
        ("certificate_trusted", {"chain": "the certificate is self-signed"}, "the certificate is self-signed"),
        ("services_over_https", {"https": answers(DssAuthWebService=Answered(503))}, "DssAuthWebService: 503"),
        ("services_over_https", {"https": answers(ClientWebService=Answered(problem="no answer within 5 s"))}, "no answer within 5 s"),
        ("services_over_https", {"https": answers(SimpleAuthWebService=Answered(401))}, "SimpleAuthWebService: 401"),
        ("services_over_https", {"https_problem": "nothing listens"}, "nothing listens"),
        ("content_over_http", {"http": survey().http | {"Content": Answered(403)}}, "Content: 403"),
        ("content_over_http", {"http": survey().http | {"ReportingWebService": Answered(404)}}, "ReportingWebService: 404"),
        ("content_over_http", {"http_problem": "nothing listens"}, "nothing listens"),
        ("no_redirect", {"http": survey().http | {"Content": Answered(301, "https://x/")}}, "Content over http redirects to https://x/"),
        ("no_redirect", {"https": answers(ClientWebService=Answered(200, hsts=True))}, "ClientWebService over https has Strict-Transport-Security"),
        ("tls_versions", {"versions": {"TLS 1.0": False, "TLS 1.1": True, "TLS 1.2": True, "TLS 1.3": False}}, "takes TLS 1.1, TLS 1.2"),
        ("tls_versions", {"versions": dict.fromkeys(VERSIONS, False)}, "takes none"),
    ],
)
def test_what_the_network_shows_fails_the_check_that_it_concerns(check: str, differs: dict[str, Any], said: str) -> None:
    finding = judged(view(survey=survey(**differs)))[check]
    assert (finding.result, said in finding.seen) == ("fail", True), finding


def test_content_on_microsoft_update_is_not_missed() -> None:
    one = edited(lambda found: found["wsus"].update(content_on_microsoft_update=True))
    without = replace(one, survey=survey(http=survey().http | {"Content": Answered(404)}))
    assert judged(without)["content_over_http"].result == "pass"
    assert judged(replace(view(), survey=without.survey))["content_over_http"].result == "fail"


def test_a_certificate_that_the_server_itself_does_not_trust_fails() -> None:
    state = looked(read(healthy()), FQDN, trusted=False, chain_errors=["UntrustedRoot"])
    finding = judged(view(state=state))["certificate_trusted_itself"]
    assert (finding.result, finding.seen) == ("fail", "it does not (UntrustedRoot)")


@pytest.mark.parametrize("wish", [{"key": "rsa1024"}, {"signature": "sha1"}, {"server_authentication": False}])
def test_a_weak_certificate_fails_for_its_strength_alone(wish: dict[str, Any]) -> None:
    weak = authority().issue(common_name=FQDN, dns_names=[FQDN], not_before=NOW - DAY, not_after=NOW + 200 * DAY, **wish)
    strong = issued("good").thumbprint

    def swap(state: Any) -> None:
        for entry in state["certificates"]:
            if entry["thumbprint"] == strong:
                entry["der"] = weak.der_base64

    finding = judged(view(state=seen(view().state, swap)))["certificate_strength"]  # type: ignore[arg-type]
    assert finding.result == "fail"
    assert "days" not in finding.seen


@pytest.mark.parametrize("kind", ["expired", "short", "other"])
def test_dates_and_names_are_no_matter_of_strength(kind: str) -> None:
    assert judged(edited(lambda found: bind(found, kind)))["certificate_strength"].result == "pass"


@pytest.mark.parametrize(("days", "result", "severity"), [(4, "pass", None), (5, "pass", None), (6, "fail", "high"), (30, "fail", "high")])
def test_the_days_that_are_wanted_are_counted_to_the_day(days: int, result: str, severity: str | None) -> None:
    finding = judged(edited(lambda found: bind(found, "short")), Settings(renew_days=days))["certificate_days"]
    assert finding.result == result
    assert severity in (None, finding.severity)


def test_a_certificate_with_weeks_left_is_of_medium_severity() -> None:
    finding = judged(edited(lambda found: bind(found, "wildcard")), Settings(renew_days=101))["certificate_days"]
    assert (finding.result, finding.severity) == ("fail", "medium")


@pytest.mark.parametrize(("build", "least"), PATCHED_BUILDS.items())
def test_the_patch_level_counts_by_the_revision_of_each_build(build: int, least: int) -> None:
    def result(revision: int) -> str:
        return judged(edited(registry(WINDOWS, CurrentBuild=text(str(build)), UBR=dword(revision))))["patch_level"].result

    assert (result(least - 1), result(least), result(least + 1)) == ("fail", "pass", "pass")


def test_windows_that_waits_for_a_restart_is_of_low_severity() -> None:
    state = seen(view().state, lambda state: state["restart"].update(windows_pending=True))  # type: ignore[arg-type]
    finding = judged(view(state=state))["restart"]
    assert (finding.result, finding.severity) == ("fail", "low")


@pytest.mark.parametrize(
    ("upstream", "said"),
    [
        ({"name": "wsus00.corp.example", "port": 8530, "ssl": False}, "http://wsus00.corp.example:8530: not over TLS"),
        ({"name": "wsus00", "port": 8531, "ssl": True}, "https://wsus00:8531: by a short name"),
    ],
)
def test_an_upstream_over_http_or_by_a_short_name_fails(upstream: dict[str, Any], said: str) -> None:
    found = downstream()
    found["wsus"]["upstream"] |= upstream
    finding = judged(of_upstream(state=read(found)))["upstream_tls"]
    assert (finding.result, finding.seen) == ("fail", said)


@pytest.mark.parametrize(
    ("check", "tls", "differs"),
    [
        ("upstream_trusted", True, {"trusted": False, "chain_errors": ["UntrustedRoot"]}),
        ("upstream_trusted", True, {"name_matches": False}),
        ("upstream_trusted", True, {"reachable": False, "trusted": None, "error": {"message": "refused", "type": "x"}}),
        ("upstream_content", False, {"reachable": False, "trusted": None, "error": {"message": "refused", "type": "x"}}),
    ],
)
def test_an_upstream_that_is_not_reached_or_not_trusted_fails(check: str, tls: bool, differs: dict[str, Any]) -> None:
    state = looked(read(downstream()), "wsus00.corp.example", 8531 if tls else 8530, tls=tls, **differs)
    finding = judged(of_upstream(state=state))[check]
    assert finding.result == "fail", finding


def test_what_a_server_finds_at_itself_is_not_its_upstream() -> None:
    state = looked(read(downstream()), "WSUS11.corp.example.", trusted=False)
    finding = judged(of_upstream(state=state))["upstream_trusted"]
    assert (finding.result, finding.reason) == ("not_known", "it did not look at its upstream")


# --- what is not known ---------------------------------------------------------------------------------------------------

NETWORK = {"certificate_trusted", "services_over_https", "content_over_http", "no_redirect", "tls_versions"}


def test_without_the_network_only_what_needs_it_is_not_known_and_nothing_is_said_of_it() -> None:
    found = judged(view(survey=None, survey_problem="nobody looked"))
    assert {check for check, finding in found.items() if finding.result == "not_known"} == NETWORK | {"views_agree"}
    assert all("nobody looked" in found[check].reason for check in NETWORK)
    assert {finding.network_says for finding in found.values()} == {None}


def test_without_the_server_only_the_network_is_judged() -> None:
    found = judged(view(state=None, problem="wsus01: connection refused"))
    assert (found["reachable"].result, found["reachable"].seen) == ("fail", "wsus01: connection refused")
    assert {check for check, finding in found.items() if finding.result == "pass"} == NETWORK
    assert {finding.server_says for finding in found.values()} == {None}
    assert failures(found) == {"reachable"}
    assert found["binding"].reason == "the server could not be looked at"


def test_without_both_nothing_but_that_is_found() -> None:
    found = judged(View("wsus01", FQDN, problem="no"))
    assert failures(found) == {"reachable"}
    assert {finding.result for finding in found.values()} == {"fail", "not_known"}


@pytest.mark.parametrize("setup", [None, {"post_installed": False}])
def test_a_machine_without_wsus_says_so_once(setup: dict[str, Any] | None) -> None:
    def without(state: Any) -> None:
        state["setup"] = setup and {**state["setup"], **setup}

    found = judged(view(state=seen(view().state, without)))  # type: ignore[arg-type]
    assert failures(found) == {"services"}
    assert found["services"].mend == "Install WSUS to the end, or take the host out of group wsus_servers."
    assert found["binding"].reason == "WSUS is not installed to the end on this machine"


@pytest.mark.parametrize(
    ("part", "checks"),
    [
        ("iis", {"binding", "binding_served", "certificate_name", "certificate_days", "configuressl", "tls_required", "tls_not_elsewhere"}),
        ("http_sys", {"binding_served"}),
        ("certificates", {"certificate_name", "certificate_days", "certificate_strength"}),
        ("api", {"synchronization", "upstream_tls"}),
    ],
)
def test_a_part_that_cannot_be_read_makes_what_stands_on_it_not_known_with_the_cause(part: str, checks: set[str]) -> None:
    def break_it(state: Any) -> None:
        state[part] = None
        state["unreadable"][part] = {"message": "Access is denied. ", "type": "x"}

    found = judged(view(state=seen(view().state, break_it)))  # type: ignore[arg-type]
    for check in checks:
        assert (found[check].result, "Access is denied." in found[check].reason) == ("not_known", True), found[check]
    assert failures(found) == ({"services"} if part == "api" else set())


def test_a_bound_certificate_that_is_not_in_the_store_is_not_known() -> None:
    found = judged(view(state=seen(view().state, lambda state: state["certificates"].clear())))  # type: ignore[arg-type]
    assert found["certificate_days"].reason == f"the certificate {issued('good').thumbprint} that is bound is not in the store"


def test_a_controller_that_cannot_ask_for_old_versions_does_not_guess() -> None:
    versions = {"TLS 1.0": None, "TLS 1.1": False, "TLS 1.2": True, "TLS 1.3": True}
    finding = judged(view(survey=survey(versions=versions)))["tls_versions"]
    assert finding.result == "not_known"
    assert "cannot ask for TLS 1.0" in finding.reason
    taken = judged(view(survey=survey(versions=versions | {"TLS 1.1": True})))["tls_versions"]
    assert taken.result == "fail"


def test_a_port_that_takes_old_versions_alone_fails_by_what_it_takes() -> None:
    versions = {"TLS 1.0": True, "TLS 1.1": True, "TLS 1.2": False, "TLS 1.3": False}
    told = "192.0.2.1:8531 takes TLS 1.0, TLS 1.1 only, and the controller asks for TLS 1.2 or newer"
    found = judged(view(survey=survey(https_problem=told, certificate=None, https={}, versions=versions)))
    one = found["tls_versions"]
    assert (one.result, one.seen, one.network_says) == ("fail", "takes TLS 1.0, TLS 1.1", "takes TLS 1.0, TLS 1.1")
    assert one.server_says == "TLS 1.0 by default, TLS 1.1 by default, TLS 1.2 by default, TLS 1.3 by default"
    assert (found["services_over_https"].result, found["services_over_https"].seen) == ("fail", told)


def test_a_port_that_nothing_is_known_of_has_no_versions() -> None:
    finding = judged(view(survey=survey(https_problem="nothing listens", certificate=None, https={}, versions={})))["tls_versions"]
    assert finding.result == "not_known"
    assert finding.reason.startswith("nothing listens; the server's own settings: TLS 1.0 by default")


def test_the_servers_own_settings_of_tls_are_told_beside_what_is_taken() -> None:
    one = edited(registry(PROTOCOLS + r"\TLS 1.0\Server", Enabled=dword(0)), registry(PROTOCOLS + r"\TLS 1.1\Server", Enabled=dword(1)))
    assert judged(one)["tls_versions"].server_says == "TLS 1.0 off, TLS 1.1 on, TLS 1.2 by default, TLS 1.3 by default"


def test_an_unknown_build_and_an_unknown_drive_are_not_known() -> None:
    found = judged(edited(registry(WINDOWS, CurrentBuild=text("99999")), registry(SETUP, ContentDir=text("E:\\WSUS"))))
    assert found["patch_level"].reason == "nothing is known here of build 99999.4297"
    assert found["disk_space"].reason == "the content's folder is on no drive of this machine (E:)"


def test_a_port_that_nobody_asked_is_not_one_that_answers_well() -> None:
    found = judged(view(survey=survey(https_port=None, http_port=None, certificate=None, https={}, http={}, versions={})))
    checks = NETWORK
    assert {check: found[check].result for check in checks} == dict.fromkeys(checks, "not_known")


# --- two views ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("check", "differs", "said"),
    [
        (
            "binding",
            {"https_problem": "nothing listens", "versions": {}},
            "the site has an https binding on port 8531, and the controller gets no TLS there",
        ),
        ("binding_served", {"certificate": {"thumbprint": OTHER, "issuer": "CN=Other"}}, f"and the network shows {OTHER}"),
        ("certificate_name", {"certificate_name": "the certificate is for other"}, f"by the server it is for {FQDN}, by the network it is not"),
        ("tls_required", {"http": survey().http | {"ClientWebService": WELL}}, "of ClientWebService the server says one thing"),
    ],
)
def test_views_that_contradict_each_other_are_a_finding_of_their_own(check: str, differs: dict[str, Any], said: str) -> None:
    found = judged(view(survey=survey(**differs)))
    assert said in str(found[check].disagreement)
    assert (found["views_agree"].result, found["views_agree"].seen) == ("fail", found[check].disagreement)


def test_a_port_that_takes_old_versions_alone_takes_tls_as_the_server_says() -> None:
    old = survey(https_problem="it takes TLS 1.0 only", versions=dict.fromkeys(VERSIONS, False) | {"TLS 1.0": True})
    found = judged(view(survey=old))
    assert found["binding"].disagreement is None
    assert (found["views_agree"].result, found["tls_versions"].result) == ("pass", "fail")


def test_a_service_that_answers_over_http_although_tls_is_required_fails_that_too() -> None:
    found = judged(view(survey=survey(http=survey().http | {"ClientWebService": WELL})))["tls_required"]
    assert (found.result, found.seen) == ("fail", "required on all five; over HTTP the network is served by ClientWebService")


def test_a_network_that_refuses_what_the_server_serves_contradicts_it() -> None:
    found = judged(view(offering()))
    assert "required" in found["tls_required"].seen
    assert found["views_agree"].result == "fail"


def test_a_server_on_http_and_a_network_without_tls_agree() -> None:
    plain = survey(https_problem="nothing listens", certificate=None, versions={}, https={}, http=answers() | {"Content": WELL})
    found = judged(view(document(), survey=plain))
    assert found["binding"].result == "fail"
    assert found["views_agree"].result == "pass"


# --- anything --------------------------------------------------------------------------------------------------------------

JUNK: st.SearchStrategy[Any] = st.sampled_from(
    [None, "", "x", "\u0000", -1, 10**30, float("nan"), float("inf"), True, [], {}, [None], {"x": None}, "0001-01-01T00:00:00+14:00"]
)


def paths(node: Any, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where in a document something stands."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path for key, inner in items for path in ((*before, key), *paths(inner, (*before, key)))]


@given(documents(), st.booleans())
def test_every_check_comes_once_whatever_the_machine(found: dict[str, Any], with_network: bool) -> None:
    one = view(found, survey=survey() if with_network else None, has_upstream=not found["wsus"]["upstream"]["microsoft_update"])
    findings = judged(one)
    assert "cannot be read (" not in "".join(finding.reason for finding in findings.values())


@given(st.data())
def test_what_cannot_be_read_never_raises(data: st.DataObject) -> None:
    state: Any = copy.deepcopy(of_upstream().state if data.draw(st.booleans()) else view().state)
    for _number in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(paths(state)))
        node = state
        for key in path[:-1]:
            node = node[key]
        if isinstance(node, dict) and data.draw(st.booleans()):
            del node[path[-1]]
        else:
            node[path[-1]] = data.draw(JUNK)
    findings = audit_server(view(state=state, has_upstream=True), Settings(), NOW)
    assert [finding.check for finding in findings] == list(RULES)


def test_a_firewall_in_between_says_nothing_of_the_server() -> None:
    blocked = survey(https_problem="no answer within 5 s", http_problem="no answer within 5 s", certificate=None, versions={}, https={}, http={})
    findings = {finding.check: finding for finding in audit_server(view(survey=blocked), Settings(), NOW)}
    assert [finding.check for finding in findings.values() if finding.result == "fail"] == []
    for check in ("services_over_https", "content_over_http", "no_redirect", "tls_versions", "certificate_trusted"):
        assert findings[check].result == "not_known"
        assert "neither port answers the controller (no answer within 5 s)" in findings[check].reason
    assert findings["tls_required"].result == "pass", "what the server says of itself still counts"
