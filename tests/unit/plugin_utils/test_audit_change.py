# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The checks that a change of a server stands on: what has to hold before it, and what proves it afterwards."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.securepatch.wsus.plugins.plugin_utils.audit_checks import (
    PREFLIGHT,
    RULES,
    Finding,
    Settings,
    View,
    at_least,
    audit_server,
    proof,
)
from ansible_collections.securepatch.wsus.plugins.plugin_utils.authorities import Found, read_certificates
from ansible_collections.securepatch.wsus.plugins.plugin_utils.binding import BindingWish, plan_binding
from ansible_collections.securepatch.wsus.plugins.plugin_utils.state import Refusal, State
from ansible_collections.securepatch.wsus.plugins.plugin_utils.survey import Survey
from hypothesis import given

from tests.lab.authority import Authority
from tests.unit.plugin_utils.machines import DAY, FQDN, NOW, authority, bind, document, documents, entry, issued, offering, read, require

BEFORE = Settings(before_change=True, renew_days=14)


def files(*authorities: Authority) -> tuple[Found, ...]:
    """What a file with the certificates of these authorities has."""
    return tuple(found for one in authorities for found in read_certificates(one.certificate_pem.encode("ascii")))


def before(found: dict[str, Any] | State, settings: Settings = BEFORE, **differs: Any) -> dict[str, Finding]:
    """What a preflight finds."""
    state = found if "computer" in found and "unreadable" in found else read(found)  # type: ignore[arg-type]
    view = View(**{"name": "wsus01", "fqdn": FQDN, "state": state, "survey_problem": "nobody looked", **differs})
    findings = audit_server(view, settings, NOW, PREFLIGHT)
    assert [one.check for one in findings] == [check for check in RULES if check in PREFLIGHT]
    return {one.check: one for one in findings}


def busy(found: dict[str, Any]) -> dict[str, Any]:
    found["wsus"]["synchronization_status"] = "Running"
    return found


def on_the_port(found: dict[str, Any]) -> dict[str, Any]:
    binding = {"protocol": "https", "information": "*:8531:", "ssl_flags": 0}
    found["iis"]["sites"].append({"id": 1, "name": "Intranet", "bindings": [binding], "applications": []})
    return found


def without_certificates() -> dict[str, Any]:
    found = document()
    found["certificates"]["My"] = {}
    return found


# --- before a change -------------------------------------------------------------------------------------------------


def test_nothing_is_in_the_way_of_a_fresh_server() -> None:
    found = before(document(), replace(BEFORE, trusted=files(authority())))
    # Its drives are none of the content's.
    assert {check: one.result for check, one in found.items() if one.result != "pass"} == {"disk_space": "not_known"}
    assert issued("good").thumbprint in found["certificate_ready"].seen
    assert found["port_free"].seen == "port 8531 is the WSUS site's"


def test_a_server_that_is_done_is_in_nobodys_way() -> None:
    found = before(require(offering()), replace(BEFORE, trusted=files(authority())))
    assert {check: one.result for check, one in found.items() if one.result != "pass"} == {
        "disk_space": "not_known",
        "certificate_ready_trusted": "not_applicable",
    }


@pytest.mark.parametrize(
    ("found", "check", "said"),
    [
        (without_certificates(), "certificate_ready", "has no certificate at all"),
        (on_the_port(document()), "port_free", "belongs to another site of this machine, 'Intranet'"),
        (busy(document()), "not_synchronizing", "one runs"),
    ],
    ids=["no certificate", "port", "synchronization"],
)
def test_what_is_in_the_way_is_of_high_severity(found: dict[str, Any], check: str, said: str) -> None:
    [failed] = at_least(before(found).values(), "high")
    assert failed.check == check
    assert said in failed.seen


def test_a_certificate_that_will_be_obtained_is_not_missed() -> None:
    found = before(without_certificates(), replace(BEFORE, certificate_to_come=True, trusted=files(authority())))
    assert (found["certificate_ready"].result, found["certificate_ready"].seen) == ("pass", "none fits yet, and one will be obtained")
    assert found["certificate_ready_trusted"].result == "not_applicable"


def test_which_certificate_is_wished_for_counts() -> None:
    found = document()
    found["certificates"]["My"] |= {issued("longer").thumbprint: entry("longer")}
    thumbprint = issued("good").thumbprint
    assert thumbprint in before(found, replace(BEFORE, wish=BindingWish(thumbprint=thumbprint)))["certificate_ready"].seen
    assert issued("longer").thumbprint in before(found)["certificate_ready"].seen
    refused = before(found, replace(BEFORE, wish=BindingWish(issuer="Another CA")))["certificate_ready"]
    assert refused.result == "fail"


def test_the_chain_of_what_will_be_bound_is_followed_in_files() -> None:
    ours, other = authority(), Authority.create("Another CA")

    def result(trusted: tuple[Found, ...] | None, authorities: tuple[Found, ...] = (), found: dict[str, Any] | None = None) -> str:
        settings = replace(BEFORE, trusted=trusted, authorities=authorities)
        return before(found or document(), settings)["certificate_ready_trusted"].result

    assert result(files(ours)) == "pass"
    assert result(files(other, ours)) == "pass"
    assert result(files(other)) == "not_known", "the server may send along who issued it"
    assert result(files(other), files(ours)) == "fail", "the chain ends in a root, and in another one"
    assert result(None) == "not_known"
    assert result(files(ours), found=offering()) == "not_applicable"


def test_an_intermediate_in_the_controllers_file_is_enough() -> None:
    root = Authority.create("Root CA")
    between = Authority.create("Issuing CA", parent=root)
    made = between.issue(common_name=FQDN, dns_names=[FQDN], not_before=NOW, not_after=NOW + 200 * DAY)
    found = document()
    found["certificates"]["My"] = {made.thumbprint: {"der": made.der_base64, "has_private_key": True, "key": made.key_pem}}

    def result(trusted: tuple[Found, ...], authorities: tuple[Found, ...] = ()) -> str:
        return before(found, replace(BEFORE, trusted=trusted, authorities=authorities))["certificate_ready_trusted"].result

    assert result(files(between)) == "pass"
    assert result(files(root)) == "not_known"
    assert result(files(root), files(between)) == "pass", "the server will know the one in between"


def test_tls_on_a_port_that_no_site_has_is_told() -> None:
    found = document()
    bindings = found["iis"]["sites"][0]["bindings"]
    bindings[:] = [one for one in bindings if one["protocol"] == "http"]
    answering = Survey(FQDN, "192.0.2.1", 8531, 8530, http_problem="refused")
    told = before(found, survey=answering)["port_free"]
    assert (told.result, told.severity) == ("fail", "medium")
    assert "no site of IIS has port 8531" in told.seen
    assert before(found, survey=replace(answering, https_problem="refused", http_problem=None))["port_free"].seen == "port 8531 is free"
    assert before(found, BEFORE)["port_free"].seen == "port 8531 is free"
    elsewhere = replace(BEFORE, wish=BindingWish(port=9443))
    assert before(found, elsewhere, survey=answering)["port_free"].seen == "port 9443 is free"


def test_a_synchronization_that_will_be_waited_for_is_no_more_than_told() -> None:
    found = before(busy(document()), replace(BEFORE, will_wait=True))["not_synchronizing"]
    assert (found.result, found.severity, found.mend) == ("fail", "low", "Nothing: it will be waited for.")


def test_an_audit_does_not_mind_a_synchronization_nor_look_for_another_certificate() -> None:
    view = View("wsus01", FQDN, read(busy(offering())), survey_problem="nobody looked")
    found = {one.check: one for one in audit_server(view, Settings(), NOW)}
    assert found["not_synchronizing"].result == "not_applicable"
    assert found["certificate_ready"].result == "not_applicable"


def test_authorities_that_are_missing_are_named() -> None:
    [ours] = files(authority())

    def result(trust: dict[str, list[str]]) -> tuple[str, str]:
        view = View("wsus01", FQDN, {**read(offering()), "trust": trust}, survey_problem="nobody looked")  # type: ignore[typeddict-item]
        [finding] = audit_server(view, Settings(authorities=(ours,)), NOW, ("authorities_trusted",))
        return finding.result, finding.seen or finding.reason

    assert result({ours.thumbprint: ["Root"]}) == ("pass", "all of them")
    assert result({ours.thumbprint: []}) == ("fail", f"not trusted: {ours.subject}")
    assert result({ours.thumbprint: ["CA"]})[0] == "fail", "a root belongs among the roots"
    assert result({}) == ("not_known", "the server was not asked for them")


@given(documents())
def test_where_nothing_is_in_the_way_the_binding_is_not_refused_and_the_other_way_round(found: dict[str, Any]) -> None:
    state = read(found)
    try:
        plan_binding(state, BindingWish(), NOW)
    except Refusal:
        refused = True
    else:
        refused = False
    judged = before(state)
    assert refused == any(judged[check].result != "pass" for check in ("certificate_ready", "port_free")), judged


# --- what proves it --------------------------------------------------------------------------------------------------


def test_that_tls_is_required_is_proved_where_it_is() -> None:
    assert "tls_required" in proof(read(require(offering())))
    assert "tls_required" not in proof(read(offering()))
    assert "tls_required" not in proof(None)
    assert set(proof(None)) <= {*RULES}
    assert set(PREFLIGHT) <= {*RULES}


def test_a_proof_is_those_checks_and_what_the_views_contradict_each_other_in() -> None:
    state = read(bind(offering(), "good", served="longer"))
    view = View("wsus01", FQDN, state, survey_problem="nobody looked")
    findings = audit_server(view, Settings(), NOW, proof(state))
    assert [one.check for one in findings] == [check for check in RULES if check in proof(state)]
    assert [one.check for one in at_least(findings, "high")] == ["binding_served"]


@pytest.mark.parametrize(
    ("severity", "counted"), [("high", ["high"]), ("medium", ["high", "medium"]), ("low", ["high", "medium", "low"]), ("never", [])]
)
def test_what_is_bad_enough_counts(severity: str, counted: list[str]) -> None:
    findings = [Finding(one, result, one) for one in ("high", "medium", "low") for result in ("fail", "pass", "not_known")]  # type: ignore[arg-type]
    assert [one.check for one in at_least(findings, severity)] == counted
