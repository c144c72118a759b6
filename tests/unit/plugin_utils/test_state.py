"""What everybody asks of a state document, and what is said where there is no answer."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from ansible_collections.securepatch.wsus.plugins.plugin_utils import state as questions
from ansible_collections.securepatch.wsus.plugins.plugin_utils.state import Refusal, State

from tests.unit.plugin_utils.machines import (
    FQDN,
    MARKS,
    NOW,
    SETUP,
    bind,
    configure,
    document,
    dword,
    issued,
    looked,
    offering,
    promised_certificate,
    read,
    text,
)

WHY: Any = {"message": "The file is locked.", "id": None, "type": "COMException", "hresult": "0x80070020", "native": 32}


def unreadable(part: str) -> State:
    state = read()
    state[part] = None  # type: ignore[literal-required]
    state["unreadable"][part] = WHY
    return state


# --- machines that are no WSUS server in order -----------------------------------------------------------------------


def test_a_machine_that_is_not_wsus_is_refused_with_what_to_do() -> None:
    found = document()
    found["registry"] = {key: values for key, values in found["registry"].items() if "Update Services" not in key}
    with pytest.raises(Refusal, match=r"not a WSUS server: WSUS setup never ran here\. Install the role, or take the host out of group wsus_servers"):
        questions.setup_of(read(found))


def test_a_role_that_was_never_post_installed_is_refused_with_what_to_run() -> None:
    found = document()
    del found["registry"][SETUP + r"\Installed Role Services"]
    for question in (questions.setup_of, questions.iis_of, questions.site_of, questions.pool_of, questions.default_https_port):
        with pytest.raises(Refusal, match=r"post-installation never ran\. Run it first \(WsusUtil postinstall\)"):
            question(read(found))


def test_a_site_id_that_iis_does_not_have_is_refused_with_what_windows_said() -> None:
    found = document()
    found["registry"][SETUP]["IISTargetWebSiteIndex"] = dword(7)
    with pytest.raises(Refusal, match=r"IIS configuration of the WSUS site cannot be read: IIS has no site with the id 7 that WSUS setup recorded"):
        questions.site_of(read(found))


@pytest.mark.parametrize(
    ("part", "question", "said"),
    [
        ("setup", questions.setup_of, "What WSUS setup recorded cannot be read"),
        ("iis", questions.iis_of, "The IIS configuration of the WSUS site cannot be read"),
        ("http_sys", questions.http_sys_of, "The kernel's table of certificates .http.sys. cannot be read"),
        ("certificates", questions.certificates_of, "The computer's certificate stores cannot be read"),
        ("api", questions.api_of, "The WSUS API on the server does not answer"),
    ],
)
def test_a_part_that_could_not_be_read_is_refused_with_windows_own_words(part: str, question: Any, said: str) -> None:
    with pytest.raises(Refusal, match=f"{said}: The file is locked."):
        question(unreadable(part))


def test_a_part_that_was_not_read_at_all_is_refused_as_well_but_for_an_api_that_a_prediction_cannot_know() -> None:
    state = read()
    state.update(iis=None, http_sys=None, certificates=None, api=None)
    for question in (questions.iis_of, questions.http_sys_of, questions.certificates_of):
        with pytest.raises(Refusal, match="cannot be read: it was not read"):
            question(state)  # type: ignore[operator]
    assert questions.api_of(state) is None


def test_a_site_without_the_client_service_has_no_known_pool() -> None:
    found = document()
    site = found["iis"]["sites"][0]
    site["applications"] = [one for one in site["applications"] if one["path"] != "/ClientWebService"]
    with pytest.raises(Refusal, match=r"no application ClientWebService, so its application pool is not known\. Repair the WSUS installation"):
        questions.pool_of(read(found))


def test_the_site_is_found_by_its_id_whatever_its_name_is() -> None:
    found = document()
    found["iis"]["sites"].insert(0, {"id": 1, "name": "WSUS Administration", "bindings": [], "applications": []})
    found["iis"]["sites"][1]["name"] = "WSUS-Verwaltung"
    site = questions.site_of(read(found))
    assert (site["id"], site["name"]) == (1634923, "WSUS-Verwaltung")


# --- names and times --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("WSUS01.Corp.Example", "wsus01.corp.example.", True),
        ("wsus01", "wsus01", True),
        ("wsus01", "wsus01.corp.example", False),
        ("wsus01.corp.example", "wsus02.corp.example", False),
        ("", "", False),
        (None, None, False),
        (None, "wsus01", False),
    ],
)
def test_names_are_the_same_without_regard_to_case_and_a_trailing_dot(one: str | None, other: str | None, same: bool) -> None:
    for pair in ((one, other), (other, one)):
        assert questions.same_name(*pair) is same


@pytest.mark.parametrize("name", ["wsus01.corp.example", "wsus01.corp.example.", "w-1.corp", "a_b.corp.example"])
def test_a_fully_qualified_name(name: str) -> None:
    assert questions.is_fqdn(name)


@pytest.mark.parametrize("name", [None, "", "wsus01", "wsus01.", ".corp", "wsus01..example", "https://wsus01.corp.example", "wsus 01.corp", "*.corp"])
def test_not_a_fully_qualified_name(name: str | None) -> None:
    assert not questions.is_fqdn(name)


def test_times_are_utc_with_and_without_an_offset() -> None:
    assert questions.parse_time("2026-11-21T12:00:00Z") == questions.parse_time("2026-11-21T12:00:00") == NOW
    assert questions.parse_time("2026-11-21T13:00:00+01:00") == NOW
    assert questions.format_time(NOW.astimezone(datetime.timezone(datetime.timedelta(hours=2)))) == "2026-11-21T12:00:00Z"
    with pytest.raises(ValueError, match="yesterday"):
        questions.parse_time("yesterday")


# --- ports ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("http", "https"), [(8530, 8531), (80, 443), (9442, 9443)])
def test_the_https_port_is_the_one_that_wsus_pairs_with_its_http_port(http: int, https: int) -> None:
    found = document()
    found["registry"][SETUP]["PortNumber"] = dword(http)
    found["iis"]["sites"][0]["bindings"] = [{"protocol": "http", "information": f"*:{http}:"}]
    assert questions.default_https_port(read(found)) == https
    assert questions.http_port(read(found)) == http
    # Once HTTPS is in use, the recorded port is the one for HTTPS.
    assert questions.default_https_port(read(configure(found, port=https))) == https
    assert questions.http_port(read(configure(found, port=https))) == http


def test_of_several_http_ports_the_recorded_one_counts_then_the_paired_one_then_the_first() -> None:
    found = document()
    found["iis"]["sites"][0]["bindings"] = [{"protocol": "http", "information": f"*:{port}:"} for port in (80, 8530)]
    assert questions.http_port(read(found)) == 8530
    assert questions.http_port(read(configure(found, port=8531))) == 8530
    assert questions.http_port(read(configure(found, port=9443))) == 80
    found["iis"]["sites"][0]["bindings"] = [{"protocol": "https", "information": "*:8531:"}]
    assert questions.http_port(read(found)) is None


def test_without_a_recorded_port_one_has_to_be_given_and_nothing_breaks() -> None:
    found = bind(document())
    del found["registry"][SETUP]["PortNumber"]
    state = read(found)
    with pytest.raises(Refusal, match=r"recorded no port \(PortNumber\)\. Give the port for HTTPS yourself"):
        questions.default_https_port(state)
    binding = questions.serving_binding(state)
    assert binding is not None
    assert binding["port"] == 8531


# --- bindings ---------------------------------------------------------------------------------------------------------


def test_an_https_binding_counts_once_it_has_a_certificate_or_is_promised_one() -> None:
    state = read()
    assert questions.serving_binding(state) is None
    questions.site_of(state)["bindings"][1]["promised"] = True
    binding = questions.serving_binding(state)
    assert binding is not None
    assert binding["port"] == 8531


def test_of_several_bindings_the_one_on_the_port_of_wsus_serves() -> None:
    found = bind(bind(document(), "longer", at="*:443:"), "good")
    assert [one["port"] for one in questions.https_bindings(read(found))] == [443, 8531]
    assert (questions.serving_binding(read(found)) or {})["port"] == 8531
    assert (questions.serving_binding(read(configure(found, port=443))) or {})["port"] == 443
    # None on the recorded port: the first.
    assert (questions.serving_binding(read(configure(found, port=9443))) or {})["port"] == 443


def test_the_bound_certificate_is_looked_for_in_its_own_store() -> None:
    found = bind(document(), "good", store="WebHosting")
    del found["certificates"]["My"][issued("good").thumbprint]
    state = read(found)
    binding = questions.serving_binding(state)
    assert binding is not None
    entry = questions.bound_certificate(state, binding)
    assert entry is not None
    assert entry["store"] == "WebHosting"
    binding["store"] = "my"
    assert questions.bound_certificate(state, binding) is None
    binding["store"] = "WEBHOSTING"
    assert questions.bound_certificate(state, binding) == entry


@pytest.mark.parametrize(
    ("binding", "key"),
    [
        ({"ip_address": "*", "port": 8531, "host_name": "", "ssl_flags": 0}, "0.0.0.0:8531"),
        ({"ip_address": "", "port": 8531, "host_name": ""}, "0.0.0.0:8531"),
        ({"ip_address": "10.0.0.5", "port": 443, "host_name": "wsus.corp.example", "ssl_flags": 4}, "10.0.0.5:443"),
        ({"ip_address": "*", "port": 443, "host_name": "wsus.corp.example", "ssl_flags": 5}, "wsus.corp.example:443"),
    ],
)
def test_under_which_key_the_kernel_keeps_a_certificate(binding: dict[str, Any], key: str) -> None:
    assert questions.kernel_endpoint(binding) == key


# --- the restart, the URL ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mark", "pending"),
    [
        (None, False),
        ("2026-10-31T00:00:00Z", False),  # from before the last start
        ("2026-11-01T03:00:00Z", False),
        ("2026-11-01T03:00:01Z", True),
        ("2026-11-20T00:00:00Z", True),
    ],
)
def test_a_restart_is_pending_while_its_mark_is_younger_than_the_last_start(mark: str | None, pending: bool) -> None:
    found = document()
    if mark:
        found["registry"][MARKS] = {"RestartNeededSince": text(mark)}
    assert questions.restart_pending(read(found)) is pending


def test_the_name_and_the_url_are_there_only_once_configuressl_has_run() -> None:
    found = document()
    # Left over from an earlier attempt.
    found["registry"][SETUP]["ServerCertificateName"] = text(FQDN)
    assert questions.configured_name(read(found)) is None
    assert questions.url_of(read(found)) is None
    assert questions.url_of(read(configure(found, port=443))) == f"https://{FQDN}:443"


def test_the_own_name_is_in_lower_case() -> None:
    state = read()
    state["computer"]["fqdn"] = "WSUS01.Corp.Example"
    assert questions.own_fqdn(state) == FQDN


# --- endpoints --------------------------------------------------------------------------------------------------------


def test_an_endpoint_is_found_by_name_and_port_and_only_where_the_server_looked_over_tls() -> None:
    state = looked(looked(read(), "WSUS01.corp.example", 8530, tls=False), FQDN.upper(), 8531)
    assert questions.find_endpoint(state, FQDN, 8531) is not None
    assert questions.find_endpoint(state, FQDN, 8530) is None
    assert questions.find_endpoint(state, "wsus00.corp.example", 8531) is None
    assert questions.find_endpoint(read(), FQDN, 8531) is None


def test_what_is_promised_was_not_looked_at() -> None:
    state: Any = {**read(), "endpoints": [questions.promised_endpoint(FQDN, 8531)]}
    assert questions.find_endpoint(state, FQDN, 8531) is None
    assert questions.is_promised(state, 8531)
    assert not questions.is_promised(state, 443)
    assert not questions.is_promised(looked(read(), FQDN, 8531), 8531)


ERROR: Any = {**WHY, "message": "No such host is known"}


@pytest.mark.parametrize(
    ("differs", "said"),
    [
        ({}, ""),
        (
            {"reachable": False, "name_matches": None, "trusted": None, "error": ERROR},
            f"{FQDN}:8531 cannot be reached from this server (No such host is known)",
        ),
        ({"reachable": False, "name_matches": None, "trusted": None}, f"{FQDN}:8531 cannot be reached from this server (no answer)"),
        (
            {"name_matches": None, "trusted": None, "error": {**ERROR, "message": "The handshake failed"}},
            f"{FQDN}:8531 answers, but not with TLS 1.2 (The handshake failed)",
        ),
        ({"name_matches": False}, f"the certificate found at {FQDN}:8531 is not for {FQDN}"),
        (
            {"trusted": False, "chain_errors": ["UntrustedRoot", "RevocationStatusUnknown"]},
            f"this server does not trust the certificate found at {FQDN}:8531 (UntrustedRoot, RevocationStatusUnknown)",
        ),
        (
            {"name_matches": False, "trusted": False},
            f"the certificate found at {FQDN}:8531 is not for {FQDN}; "
            f"this server does not trust the certificate found at {FQDN}:8531 (no reason given)",
        ),
    ],
)
def test_which_of_reachable_name_and_chain_is_wrong_with_an_endpoint_is_said(differs: dict[str, Any], said: str) -> None:
    endpoint = questions.find_endpoint(looked(read(), FQDN, **differs), FQDN, 8531)
    assert endpoint is not None
    assert questions.against_endpoint(endpoint) == said
    assert questions.is_good(endpoint) is (said == "")


def test_a_certificate_still_to_come_is_in_the_store_without_a_thumbprint() -> None:
    state = read(offering())
    questions.certificates_of(state).insert(0, promised_certificate())
    binding = questions.serving_binding(state)
    assert binding is not None
    assert (questions.bound_certificate(state, binding) or {})["thumbprint"] == issued("good").thumbprint
