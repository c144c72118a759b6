# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether a machine proves that clients come over HTTPS, and what is said where it does not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.securepatch.wsus.plugins.plugin_utils.client import judge_client, told_values
from ansible_collections.securepatch.wsus.plugins.plugin_utils.client_proof import UPDATE_ERRORS, judge_told, search_problem
from ansible_collections.securepatch.wsus.plugins.plugin_utils.client_state import client_of

from tests.unit.plugin_utils.clients import GUID, OLD, URL, WINNING, client, read_client, told
from tests.unit.plugin_utils.machines import NOW

ROOT = Path(__file__).parents[3]
SET = [{"name": "WSUS clients", "guid": GUID}]
WON = {"winning_policies": [{"policy": WINNING, "precedence": 1}]}
OTHER = {
    "winning_policies": [{"policy": "cn={00000000-0000-0000-0000-000000000007},cn=policies", "precedence": 1}, {"policy": WINNING, "precedence": 2}]
}


def info(document: dict[str, Any]) -> dict[str, Any]:
    """What wsus_client_info says of a machine, without what it finds at the server."""
    found = {**client_of(read_client(document)), "endpoints": []}
    findings = judge_client(found, NOW)
    return {**told_values(found), "problems": list(findings.problems), "notes": list(findings.notes)}


def said(document: dict[str, Any], *urls: str, refreshed: dict[str, Any] | None = None, policies: Any = None) -> tuple[str, ...]:
    return judge_told(info(document), urls or (URL,), SET if policies is None else policies, refreshed or {}).problems


def test_a_machine_that_was_told_the_url_is_sound() -> None:
    assert said(told(**WON, domain=True)) == ()
    assert said(told(f"{URL}/", **WON, domain=True)) == ()
    assert said(told(**WON), "https://wsus02.corp.example:8531", URL.upper().replace("HTTPS", "https")) == ()
    assert said(client(mdm=URL), policies=[]) == ()


def test_another_policy_of_higher_precedence_is_named() -> None:
    first, *_rest = said(told(OLD, **OTHER, domain=True))
    assert first == (
        f"Another group policy has a higher precedence on this machine and says {OLD}: cn={{00000000-0000-0000-0000-000000000007}},cn=policies. It "
        "wins over 'WSUS clients'. Add it to the ring's policies, or change its order, link or filter."
    )


def test_a_policy_that_has_not_arrived_yet_is_told_from_another_one() -> None:
    first, *_rest = said(told(OLD, **WON, domain=True))
    assert first.startswith(f"It still has {OLD} from the policy 'WSUS clients', which names {URL} now")
    assert "replicate" in first


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (client(), f"It was not told {URL}. None of the ring's policies reaches it"),
        (client(mdm=OLD), f"It was told {OLD} by MDM (UpdateServiceUrl), not {URL}"),
        (told(OLD), f"The policy on this machine says {OLD}, not {URL}, and no group policy is on record"),
        (told("https://wsus01:8531", **WON), "'wsus01' is a short name"),
        (told("https://wsus01.corp.example:8530", **WON), "8530 is the port of plain HTTP, the one for HTTPS beside it is 8531"),
        (told("http://wsus01.corp.example:8531", **WON), "which is not https. Port 8531 is the one for HTTPS."),
        (told("https://wsus01.corp.example:8532", **WON), "It still has https://wsus01.corp.example:8532"),
        (told(**WON, mdm="https://wsus02.corp.example:8531"), "Policy and MDM differ"),
        (client({"WUServer": URL, "WUStatusServer": OLD}, {"UseWUServer": 1}), f"WUStatusServer is {OLD}, and WUServer is {URL}"),
        (client({"WUServer": URL, "WUStatusServer": URL}, {"UseWUServer": 0}), "UseWUServer is 0, not 1"),
    ],
)
def test_what_a_machine_was_told_instead(document: dict[str, Any], says: str) -> None:
    assert any(says in problem for problem in said(document)), said(document)


def test_without_policies_a_group_policy_is_said_as_it_is() -> None:
    first, *_rest = said(told(OLD, **WON), policies=[])
    assert first == f"It was told {OLD} by a group policy ({WINNING}), not {URL}."


def test_updates_that_are_meant_to_come_from_windows_update_are_a_note() -> None:
    machine = client({"WUServer": URL, "WUStatusServer": URL, "SetPolicyDrivenUpdateSourceForDriverUpdates": 0}, {"UseWUServer": 1})
    findings = judge_told(info(machine), [URL], SET, {})
    assert findings.problems == ()
    assert any("sends this machine to Windows Update for drivers" in note for note in findings.notes)


REFUSED = {"rc": 1, "stdout": "Updating policy...\r\nThe processing of Group Policy failed."}


def test_a_refresh_that_failed_is_a_problem_only_where_the_url_did_not_come() -> None:
    sentence = "Refreshing its group policies failed (gpupdate ended with 1): Updating policy... The processing of Group Policy failed."
    assert sentence in said(told(OLD, **WON), refreshed=REFUSED)
    assert judge_told(info(told(**WON)), [URL], SET, REFUSED).problems == ()
    assert sentence in judge_told(info(told(**WON)), [URL], SET, REFUSED).notes


def test_a_connection_that_is_lost_as_it_refreshes_is_told() -> None:
    broken = "Refreshing its group policies failed (gpupdate did not run to its end): cut."
    assert broken in said(told(OLD, **WON), refreshed={"failed": True, "msg": "cut"})
    assert "The connection was lost as it refreshed its group policies: gone." in said(
        told(OLD, **WON), refreshed={"unreachable": True, "msg": "gone"}
    )


# --- the search ----------------------------------------------------------------------------------------------------------


def test_a_search_that_ended_is_the_proof_whatever_it_found() -> None:
    assert search_problem({"changed": False, "found_update_count": 0, "updates": {}}, URL) is None
    assert search_problem({"changed": False, "found_update_count": 3, "failed": False}, URL) is None


def test_a_search_that_failed_says_what_the_number_means() -> None:
    problem = search_problem({"failed": True, "found_update_count": 0, "msg": "Exception from HRESULT: 0x80072F8F - UNKNOWN (0x80072f8f)"}, URL)
    assert problem == (
        f"The search at {URL} failed: Exception from HRESULT: 0x80072F8F - UNKNOWN (0x80072f8f). 0x80072F8F is ERROR_INTERNET_SECURE_FAILURE: the "
        "certificate is not taken: its authority is not trusted by the computer, another name, the clock."
    )


def test_numbers_that_are_not_known_are_left_as_they_are() -> None:
    assert search_problem({"failed": True, "msg": "0x8024FFFF"}, URL) == f"The search at {URL} failed: 0x8024FFFF."
    assert search_problem({"failed": True}, URL) == f"The search at {URL} failed: it gave no reason."


@pytest.mark.parametrize("result", [{}, {"changed": False}, {"skipped": True}])
def test_what_is_no_search_is_no_proof(result: dict[str, Any]) -> None:
    assert search_problem(result, URL) is not None


def test_a_machine_that_is_gone_as_it_searches_is_told() -> None:
    assert (
        search_problem({"unreachable": True, "found_update_count": 0, "msg": "gone"}, URL)
        == f"The connection was lost as it searched at {URL}: gone."
    )


def test_every_number_is_in_the_documentation() -> None:
    documented = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    rows = {code.lower(): line for line in documented.splitlines() for code in re.findall(r"`0x(\w{8})`", line.partition(" | ")[0])}
    assert {code: name for code, (name, _means) in UPDATE_ERRORS.items() if name not in rows.get(code, "")} == {}
