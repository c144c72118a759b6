# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What one machine was told, by whom, what is wrong with it, and how its own policy tells it."""

from __future__ import annotations

import copy
from typing import Any, cast

import pytest
from ansible_collections.securepatch.wsus.plugins.plugin_utils.changes import predict, way_back
from ansible_collections.securepatch.wsus.plugins.plugin_utils.client import (
    ClientWish,
    judge_client,
    managed_client,
    plan_client,
    told,
    told_values,
)
from ansible_collections.securepatch.wsus.plugins.plugin_utils.client_state import ClientState, UpdateClient, client_of
from ansible_collections.securepatch.wsus.plugins.plugin_utils.state import Refusal
from ansible_collections.securepatch.wsus.plugins.plugin_utils.update_url import read_url
from hypothesis import given
from hypothesis import strategies as st

from tests.lab.engine import apply_changes
from tests.lab.machine import Machine
from tests.unit.plugin_utils.clients import AU_KEY, OLD, POLICY_KEY, URL, WINNING, client, number, read_client
from tests.unit.plugin_utils.clients import told as told_machine
from tests.unit.plugin_utils.machines import NOW, document, issued, offering, read, sentences, text

HOST = "wsus01.corp.example"


def end(port: int = 8531, **differs: Any) -> dict[str, Any]:
    """What a machine found at a port of the server: all well but what differs."""
    tls = differs.get("tls", True)
    found = {"host_name": HOST, "port": port, "tls": tls, "reachable": True, "protocol": "Tls12" if tls else None, "certificates": [], "error": None}
    return {**found, "name_matches": True if tls else None, "trusted": True if tls else None, "chain_errors": [], **differs}


WELL = [end(), end(8530, tls=False)]


def seen(found: dict[str, Any], endpoints: list[dict[str, Any]] | None = None, **differs: Any) -> UpdateClient:
    """What a machine tells of itself, with what it found at the server."""
    state = client_of(read_client(found))
    return cast("UpdateClient", {**state, "endpoints": WELL if endpoints is None else endpoints, **differs})


def problems(one: UpdateClient, url: str | None = None) -> tuple[str, ...]:
    return judge_client(one, NOW, read_url(url) if url else None).problems


# --- what it was told, and by whom -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "url", "by", "used"),
    [
        (client(), None, "nobody", False),
        (told_machine(), URL, "policy", True),
        (told_machine(winning_policies=[{"policy": WINNING, "precedence": 1}]), URL, "group_policy", True),
        (client(mdm=URL), URL, "mdm", True),
        (told_machine(OLD, mdm=URL), OLD, "policy", True),
        (client({"wuserver": URL, "WUSTATUSSERVER": URL}, {"usewuserver": 1}), URL, "policy", True),
        (client({"WUServer": URL, "WUStatusServer": URL}, {"UseWUServer": 0}), URL, "policy", False),
        (client({"WUServer": URL, "WUStatusServer": URL}), URL, "policy", False),
        (client({"WUServer": URL, "WUStatusServer": URL}, {"UseWUServer": "1"}), URL, "policy", False),
        (client({"WUServer": "", "WUStatusServer": ""}, {"UseWUServer": 1}), None, "nobody", False),
    ],
)
def test_what_a_machine_was_told_and_by_whom(found: dict[str, Any], url: str | None, by: str, used: bool) -> None:
    one = told(seen(found))
    assert (one.url, one.by, one.used) == (url, by, used)


def test_a_machine_that_has_moved_has_no_problem() -> None:
    one = seen(told_machine(winning_policies=[{"policy": WINNING, "precedence": 1}]))
    assert judge_client(one, NOW, read_url(URL), read(offering())).problems == ()
    assert judge_client(one, NOW).notes == ()
    values = told_values(one)
    assert (values["reached"], values["trusted"], values["content_reached"]) == (True, True, True)
    assert [each["ok"] for each in values["endpoints"]] == [True, True]


def test_a_slash_and_capitals_that_are_there_already_are_no_problem() -> None:
    assert problems(seen(told_machine("https://WSUS01.corp.example:8531/")), URL) == ()


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (client(), "Nobody told this machine of a WSUS server"),
        (told_machine(OLD), f"What this machine was told is {OLD}, which is not https."),
        (told_machine("http://wsus01.corp.example:8531"), "Port 8531 is the one for HTTPS."),
        (told_machine("https://wsus01.corp.example:8530"), "8530 is the port of plain HTTP"),
        (told_machine("https://wsus01:8531"), "'wsus01' is a short name"),
        (client({"WUServer": URL, "WUStatusServer": URL}, {"UseWUServer": 0}), "UseWUServer is 0, not 1"),
        (client({"WUServer": URL, "WUStatusServer": URL}), "UseWUServer is not set, not 1"),
        (client({"WUServer": URL, "WUStatusServer": OLD}, {"UseWUServer": 1}), f"WUStatusServer is {OLD}, and WUServer is {URL}"),
        (client({"WUServer": URL}, {"UseWUServer": 1}), "WUStatusServer is not set"),
        (told_machine(URL, mdm=OLD), f"Policy and MDM differ: the policy on this machine says {URL}, MDM (UpdateServiceUrl) says {OLD}."),
    ],
)
def test_what_is_wrong_with_what_it_was_told(found: dict[str, Any], says: str) -> None:
    (problem,) = problems(seen(found))
    assert says in problem


def test_policy_and_mdm_that_say_the_same_are_no_problem() -> None:
    assert problems(seen(told_machine(URL, mdm=URL))) == ()


def test_a_policy_of_sources_sends_it_to_windows_update() -> None:
    away = {"FeatureUpdates": 0, "QualityUpdates": 1, "OtherUpdates": 0}
    sources = {"WUServer": URL, "WUStatusServer": URL, **{f"SetPolicyDrivenUpdateSourceFor{kind}": each for kind, each in away.items()}}
    (problem,) = problems(seen(client(sources, {"UseWUServer": 1, "UseUpdateClassPolicySource": 1})))
    assert problem.endswith("sends this machine to Windows Update for feature updates, other updates.")
    assert told_values(seen(client(sources, {"UseWUServer": 1})))["from_windows_update"] == ["feature updates", "other updates"]
    # The switch that turns them off.
    assert problems(seen(client(sources, {"UseWUServer": 1, "UseUpdateClassPolicySource": 0}))) == ()


def test_another_url_than_the_wanted_one_names_who_says_it() -> None:
    other = "https://wsus02.corp.example:8531"
    policies = [{"policy": "cn={2}", "precedence": 2}, {"policy": WINNING, "precedence": 1}]
    (problem,) = problems(seen(told_machine(winning_policies=policies)), other)
    assert problem.startswith(f"It is not {other}: the group policy {WINNING} says {URL}. If another policy says so, that one has the higher")
    (problem,) = problems(seen(client(mdm=URL)), other)
    assert problem == f"It is not {other}: MDM says {URL}."


def test_the_server_s_state_is_judged_as_well() -> None:
    one = seen(told_machine())
    (problem,) = judge_client(one, NOW, None, read(document())).problems
    assert "does not offer HTTPS" in problem


ERROR = {"message": "No connection could be made. ", "id": None, "type": "SocketException", "hresult": "0x80004005", "native": 10061}


@pytest.mark.parametrize(
    ("endpoints", "says", "values"),
    [
        (
            [end(reachable=False, name_matches=None, trusted=None, error=ERROR), end(8530, tls=False)],
            "cannot be reached from this machine",
            (False, False, True),
        ),
        ([end(trusted=False, chain_errors=["UntrustedRoot"]), end(8530, tls=False)], "This machine does not trust", (True, False, True)),
        ([end(name_matches=False), end(8530, tls=False)], f"is not for {HOST}", (True, False, True)),
        (
            [end(), end(8530, tls=False, reachable=False, error=ERROR)],
            f"{HOST}:8530 cannot be reached from this machine (No connection could be made). Clients get the files of updates there",
            (True, True, False),
        ),
    ],
)
def test_what_it_finds_at_the_server(endpoints: list[dict[str, Any]], says: str, values: tuple[bool, bool, bool]) -> None:
    one = seen(told_machine(), endpoints)
    (problem,) = problems(one)
    assert says in problem
    found = told_values(one)
    assert (found["reached"], found["trusted"], found["content_reached"]) == values
    assert [each["problem"] for each in found["endpoints"] if not each["ok"]] == [problem]


def test_over_plain_http_only_reaching_is_said() -> None:
    found = told_values(seen(told_machine(OLD), [end(8530, tls=False)]))
    assert (found["reached"], found["trusted"]) == (True, None)
    found = told_values(seen(client(), []))
    assert (found["reached"], found["trusted"], found["content_reached"]) == (None, None, None)


def test_what_is_pinned_has_to_be_what_is_served() -> None:
    served = issued("good")
    endpoints = [end(certificates=[served.der_base64]), end(8530, tls=False)]
    assert problems(seen(told_machine(), endpoints, pinned=[served.thumbprint, "A" * 40])) == ()
    (problem,) = problems(seen(told_machine(), endpoints, pinned=["A" * 40]))
    assert f"pinned certificates only ({'A' * 40}), and the server's is {served.thumbprint}" in problem


def test_what_is_only_worth_knowing_is_a_note() -> None:
    policy = {"WUServer": URL, "WUStatusServer": URL, "UpdateServiceUrlAlternate": "http://files.corp.example:8530"}
    found = client(policy, {"UseWUServer": 1}, domain=True)
    found["update_client"] = {"disabled": True}
    findings = judge_client(seen(found), NOW)
    assert findings.problems == ()
    assert len(findings.notes) == 3
    assert "has no group policy on record" in findings.notes[1]
    assert "does not say when it last searched: The service cannot be started" in findings.notes[2]


# --- its own policy --------------------------------------------------------------------------------------------------------------


def planned(found: dict[str, Any], **wish: Any) -> list[str]:
    return sentences(plan_client(read_client(found), ClientWish(**{"url": URL, **wish}), NOW).changes)


def test_a_machine_is_told_what_it_lacks_and_no_more() -> None:
    server, status, use = (
        f"Set WUServer to {URL} in this machine's policy",
        f"Set WUStatusServer to {URL} in this machine's policy",
        "Set UseWUServer to 1 in this machine's policy",
    )
    assert planned(client()) == [server, status, use]
    assert planned(told_machine(OLD)) == [server, status]
    assert planned(client({"WUServer": URL, "WUStatusServer": OLD}, {"UseWUServer": "1"})) == [status, use]
    assert planned(told_machine()) == []
    alternate = "http://files.corp.example:8530"
    assert planned(told_machine(), alternate_url=alternate) == [f"Set UpdateServiceUrlAlternate to {alternate} in this machine's policy"]


@pytest.mark.parametrize(
    ("found", "wish", "says"),
    [
        (told_machine(OLD, domain=True), {}, "This machine is in a domain"),
        (told_machine(OLD, mdm=OLD), {}, f"MDM tells this machine {OLD}"),
        (told_machine(OLD), {"url": "https://wsus01:8531"}, "short name"),
        (told_machine(OLD), {"server": read()}, "does not offer HTTPS"),
        (told_machine(OLD), {"alternate_url": "files.corp.example"}, "alternate_url is no URL"),
        (told_machine(OLD), {"alternate_url": "http://a:b@files.corp.example"}, "alternate_url is no URL"),
        (told_machine(OLD), {"alternate_url": "http://files.corp.example/ a"}, "alternate_url is no URL"),
    ],
)
def test_what_is_refused(found: dict[str, Any], wish: dict[str, Any], says: str) -> None:
    with pytest.raises(Refusal, match=says):
        planned(found, **wish)


def test_force_tells_it_all_the_same_and_says_what_comes_of_it() -> None:
    plan = plan_client(read_client(told_machine(OLD, domain=True, mdm=OLD)), ClientWish(URL, force=True), NOW)
    assert len(plan.changes) == 2
    assert ["refresh of its group policies" in plan.notes[0], "Which of the two counts" in plan.notes[1]] == [True, True]


VALUES = st.sampled_from([None, URL, OLD, "", "https://wsus01.corp.example:8531/", 0, 1])


@given(
    policy=st.dictionaries(st.sampled_from(["WUServer", "wuserver2", "WUSTATUSSERVER", "UpdateServiceUrlAlternate", "TargetGroup"]), VALUES),
    updates=st.dictionaries(st.sampled_from(["UseWUServer", "AUOptions", "UseUpdateClassPolicySource"]), VALUES),
    alternate=st.sampled_from([None, "http://files.corp.example:8530"]),
)
def test_what_is_foretold_comes_true_and_nothing_else_changes(policy: dict[str, Any], updates: dict[str, Any], alternate: str | None) -> None:
    found = client(*({name: each for name, each in values.items() if each is not None} for values in (policy, updates)))
    before = copy.deepcopy(found)
    state = read_client(found)
    wish = ClientWish(URL, alternate_url=alternate)
    plan = plan_client(state, wish, NOW)
    foretold: ClientState = cast("Any", predict(cast("Any", state), plan.changes, NOW))
    machine = Machine(found)
    assert apply_changes(machine, [change.payload() for change in plan.changes])["failed"] is None
    after = read_client(found)
    assert managed_client(after) == managed_client(foretold)
    assert plan_client(after, wish, NOW).changes == ()
    # What it does not manage stays.
    managed = {name.casefold() for name in managed_client(after)}
    for key in (POLICY_KEY, AU_KEY):
        old, new = (
            {name: each for name, each in one["registry"].get(key, {}).items() if name.casefold() not in managed} for one in (before, found)
        )
        assert old == new
    # And there is a way back.
    back, lost = way_back(cast("Any", state), plan.changes, NOW)
    assert lost == []
    assert apply_changes(machine, [change.payload() for change in back])["failed"] is None
    assert managed_client(read_client(found)) == managed_client(state)


def test_a_number_where_a_url_should_be_is_replaced() -> None:
    found = client()
    found["registry"][POLICY_KEY] = {"WUServer": number(1), "WUStatusServer": text(URL)}
    assert planned(found)[0] == f"Set WUServer to {URL} in this machine's policy"
