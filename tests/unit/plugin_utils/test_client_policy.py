# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a group policy says about the WSUS server: what is set, what stays, and what its cmdlets' errors mean."""

from __future__ import annotations

import copy
from typing import Any, cast

import pytest
from ansible_collections.securepatch.wsus.plugins.plugin_utils.changes import predict, way_back
from ansible_collections.securepatch.wsus.plugins.plugin_utils.client_changes import PolicyBackup
from ansible_collections.securepatch.wsus.plugins.plugin_utils.client_policy import PolicyWish, managed_policy, near_names, plan_policy
from ansible_collections.securepatch.wsus.plugins.plugin_utils.client_state import ClientState
from ansible_collections.securepatch.wsus.plugins.plugin_utils.planning import Plan
from ansible_collections.securepatch.wsus.plugins.plugin_utils.state import Refusal
from hypothesis import given
from hypothesis import strategies as st

from tests.lab.engine import apply_changes
from tests.lab.machine import Machine
from tests.unit.plugin_utils.clients import GUID, OLD, URL, domain, read_policy, says, value
from tests.unit.plugin_utils.machines import NOW, offering, read, sentences

NAMES = f"Set WUServer and WUStatusServer to {URL} in the group policy 'WSUS clients'"
USE = "Set UseWUServer to 1 in the group policy 'WSUS clients'"
BACKUP = r"Back up the group policy 'WSUS clients' into C:\Backup"


def plan(found: dict[str, Any], **wish: Any) -> Plan:
    return plan_policy(read_policy(found), PolicyWish(**{"gpo": "WSUS clients", "url": URL, **wish}), NOW)


def planned(values: list[dict[str, Any]], **wish: Any) -> list[str]:
    return sentences(plan(domain(values), **wish).changes)


@pytest.mark.parametrize(
    ("values", "changes"),
    [
        (says(URL), []),
        (says(OLD), [NAMES]),
        ([], [NAMES, USE]),
        ([value("WUServer", URL), value("WUStatusServer", OLD), value("UseWUServer", 1, "DWord", below="AU")], [NAMES]),
        ([value("WUServer", URL), value("UseWUServer", 1, "DWord", below="AU")], [NAMES]),
        ([*says(URL)[:2], value("UseWUServer", 0, "DWord", below="AU")], [USE]),
        ([*says(URL)[:2], value("UseWUServer", "1", below="AU")], [USE]),
        ([*says(URL)[:2], value("UseWUServer", "", "DWord", "Delete", below="AU")], [USE]),
        ([value("WUServer", "", action="Delete"), *says(URL)[1:]], [NAMES]),
        ([value("WUServer", "", action="Delete"), *says(URL)], [NAMES]),
        ([value("wuserver", URL), value("WUSTATUSSERVER", f"{URL}\0"), value("usewuserver", 1, "DWord", below="AU")], []),
        ([value("WUServer", URL, "ExpandString"), *says(URL)[1:]], [NAMES]),
    ],
)
def test_what_is_missing_is_set_and_no_more(values: list[dict[str, Any]], changes: list[str]) -> None:
    assert planned(values) == changes


def test_both_names_are_one_change_and_the_switch_comes_after_them() -> None:
    payloads = [change.payload() for change in plan(domain([]), domain="corp.example", server="dc01.corp.example").changes]
    place = {"kind": "group_policy", "guid": GUID, "domain": "corp.example", "server": "dc01.corp.example"}
    key = r"HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate"
    assert payloads == [
        {**place, "key": key, "type": "String", "values": {"WUServer": URL, "WUStatusServer": URL}},
        {**place, "key": key + r"\AU", "type": "DWord", "values": {"UseWUServer": 1}},
    ]


def test_an_alternate_url_is_set_where_it_is_given_and_stays_where_it_is_not() -> None:
    alternate = "http://files.corp.example:8530"
    said = f"Set UpdateServiceUrlAlternate to {alternate} in the group policy 'WSUS clients'"
    assert planned(says(URL), alternate_url=alternate) == [said]
    there = [*says(URL), value("UpdateServiceUrlAlternate", alternate)]
    assert planned(there, alternate_url=alternate) == []
    found = plan(domain(there))
    assert found.changes == ()
    assert found.notes == (f"UpdateServiceUrlAlternate of this policy is {alternate}, and stays: clients get the files of updates there.",)


def test_it_is_backed_up_before_the_first_change_and_only_then() -> None:
    assert planned(says(OLD), backup_dir=r"C:\Backup") == [BACKUP, NAMES]
    assert planned(says(URL), backup_dir=r"C:\Backup") == []
    assert plan(domain(says(OLD)), backup_dir=r"C:\Backup").notes == ()
    assert plan(domain(says(OLD))).notes == ("The policy is not backed up: no backup_dir was given.",)


def test_a_policy_that_sends_clients_away_is_said() -> None:
    (note,) = plan(domain([*says(URL), value("SetPolicyDrivenUpdateSourceForQualityUpdates", 0, "DWord")])).notes
    assert "sends its clients to Windows Update for some updates (SetPolicyDrivenUpdateSourceForQualityUpdates)" in note


# --- refusals --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "wish", "text"),
    [
        (domain(), {"url": OLD}, "not https"),
        (domain(), {"url": "https://wsus01:8531"}, "short name"),
        (domain(), {"wsus": read()}, "does not offer HTTPS"),
        (domain(), {"wsus": read(offering()), "url": "https://wsus02.corp.example:8531"}, "not for wsus02.corp.example"),
        (domain(), {"wsus": read(offering()), "url": "https://wsus01.corp.example:8541"}, "no https binding there"),
        (domain(), {"wsus": {}}, "'server_state' is not the state of a WSUS server"),
        (domain(), {"alternate_url": "files"}, "alternate_url is no URL"),
        (domain(status="ComputerSettingsDisabled"), {}, "its computer half is switched off (ComputerSettingsDisabled)"),
        (domain(status="AllSettingsDisabled"), {}, "all its settings are switched off (AllSettingsDisabled)"),
    ],
)
def test_what_is_refused(found: dict[str, Any], wish: dict[str, Any], text: str) -> None:
    with pytest.raises(Refusal) as refused:
        plan(found, **wish)
    assert text in str(refused.value)


def test_only_the_user_half_may_be_off() -> None:
    assert len(plan(domain(status="UserSettingsDisabled")).changes) == 1


def test_a_policy_that_is_not_there_is_refused_with_the_names_that_are_nearly_it() -> None:
    found = domain(None, "WSUS client", "Default Domain Policy", "Printers")
    with pytest.raises(Refusal) as refused:
        plan_policy(read_policy(found, "wsus cliens"), PolicyWish("wsus cliens", URL, domain="corp.example"), NOW)
    assert str(refused.value).startswith("There is no group policy 'wsus cliens' in the domain corp.example. Nearly so are called: 'WSUS client")
    assert "'WSUS clients'" in str(refused.value)
    assert "Printers" not in str(refused.value)
    with pytest.raises(Refusal, match=r"in this domain\. None of that domain's is called nearly so"):
        plan_policy(read_policy(found, "Updates"), PolicyWish("Updates", URL), NOW)


def test_names_are_near_without_regard_to_case_and_where_they_go_on() -> None:
    known = ["WSUS Clients Berlin and Hamburg, all floors", "WSUS", "Other"]
    assert near_names("wsus clients", known) == [known[0]]
    assert near_names("", known) == []
    assert len(near_names("WSUS", [f"WSUS {number}" for number in range(20)])) == 5


def error(**differs: Any) -> dict[str, Any]:
    return {"message": "Etwas ging schief.", "id": None, "type": "System.Exception", "hresult": "0x80131500", "native": None, **differs}


@pytest.mark.parametrize(
    ("differs", "text"),
    [
        ({"id": "CommandNotFoundException", "type": "System.Management.Automation.CommandNotFoundException"}, "Install-WindowsFeature GPMC"),
        ({"id": "CouldNotAutoloadMatchingModule", "hresult": "0x80131501"}, "feature GPMC"),
        ({"type": "System.UnauthorizedAccessException", "hresult": "0x80070005"}, "the second hop"),
        ({"type": "System.Runtime.InteropServices.COMException", "hresult": "0x80070005"}, "on a domain controller with 'server' set to itself"),
        ({"type": "System.ComponentModel.Win32Exception", "native": 5}, "or with become"),
        ({"type": "System.DirectoryServices.DirectoryServicesCOMException", "hresult": "0x8007052E"}, "Kerberos connection with delegation"),
        ({"type": "System.DirectoryServices.DirectoryServicesCOMException", "hresult": "0x80072020"}, "the second hop"),
        ({"hresult": "0x8007054B"}, "The domain corp.example is not there"),
        ({"hresult": "0x8007203A"}, "The domain controller dc01 does not answer this host."),
        ({"hresult": "nonsense"}, "The group policy 'WSUS clients' could not be read."),
        ({}, "The group policy 'WSUS clients' could not be read."),
    ],
)
def test_errors_are_told_apart_whatever_the_language(differs: dict[str, Any], text: str) -> None:
    state = read_policy(domain())
    state["group_policies"][0]["error"] = error(**differs)  # type: ignore[typeddict-item]
    with pytest.raises(Refusal) as refused:
        plan_policy(state, PolicyWish("WSUS clients", URL, domain="corp.example", server="dc01"), NOW)
    assert text in str(refused.value)
    assert "Windows said: Etwas ging schief (" in str(refused.value)


# --- whatever it says ------------------------------------------------------------------------------------------------------------

ANY_VALUE = st.builds(
    value,
    st.sampled_from(["WUServer", "wustatusserver", "UpdateServiceUrlAlternate", "UseWUServer", "TargetGroup"]),
    st.sampled_from([URL, OLD, "1", ""]),
    st.sampled_from(["String", "ExpandString"]),
    st.sampled_from(["Set", "Delete"]),
    st.sampled_from(["", "AU"]),
)


def once(values: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A policy has a setting once, or once to set and once to take away."""
    found = {(each["key"], each["name"].casefold(), each.get("action", "Set")): each for each in values}
    return list(found.values())


@given(
    values=st.lists(st.one_of(ANY_VALUE, st.just(value("UseWUServer", 1, "DWord", below="AU"))), max_size=8).map(once),
    alternate=st.sampled_from([None, "http://files.corp.example:8530"]),
    backup=st.sampled_from([None, r"C:\Backup"]),
)
def test_what_is_foretold_comes_true_and_nothing_else_changes(values: list[dict[str, Any]], alternate: str | None, backup: str | None) -> None:
    found = domain(values)
    before = copy.deepcopy(found)
    state = read_policy(found)
    wish = PolicyWish("WSUS clients", URL, alternate_url=alternate, backup_dir=backup)
    plan = plan_policy(state, wish, NOW)
    assert isinstance(plan.changes[0], PolicyBackup) is bool(backup) if plan.changes else True
    foretold: ClientState = cast("Any", predict(cast("Any", state), plan.changes, NOW))
    machine = Machine(found)
    assert apply_changes(machine, [change.payload() for change in plan.changes])["failed"] is None
    after = read_policy(found)
    assert managed_policy(after) == managed_policy(foretold)
    assert plan_policy(after, wish, NOW).changes == ()
    assert others(found, alternate) == others(before, alternate)
    # Where there is a way back, it leads there.
    back, lost = way_back(cast("Any", state), [change for change in plan.changes if not isinstance(change, PolicyBackup)], NOW)
    if not lost:
        assert apply_changes(machine, [change.payload() for change in back])["failed"] is None
        assert managed_policy(read_policy(found)) == managed_policy(state)


def others(found: dict[str, Any], alternate: str | None) -> list[dict[str, Any]]:
    """What of a policy is nobody's to change."""
    names = {("", "wuserver"), ("", "wustatusserver"), ("AU", "usewuserver"), *({("", "updateserviceurlalternate")} if alternate else set())}
    values = found["domain"]["policies"]["WSUS clients"]["values"]
    return [each for each in values if (each["key"].partition("WindowsUpdate")[2].strip("\\"), each["name"].casefold()) not in names]
