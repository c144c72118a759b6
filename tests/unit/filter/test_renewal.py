# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The filters of the renewal: what they take from host variables, and that nothing an administrator writes makes them fail without a word."""

from __future__ import annotations

import copy
import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.securepatch.wsus.plugins.filter import renewal as plugin

from tests.unit.plugin_utils.machines import FQDN, NOW, bind, issued, looked, offering, read, text

FILTERS = plugin.FilterModule().filters()
renewal_plan: Any = FILTERS["renewal_plan"]
renewal_result: Any = FILTERS["renewal_result"]
HOSTS = ["top", "east", "west"]


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugin, "_now", lambda: NOW)


def machine(name: str, kind: str = "good", *, upstream: bool = False) -> dict[str, Any]:
    """A machine that Windows calls NAME, and that offers HTTPS by a name of the certificates of all tests."""
    found = bind(offering(), kind)
    found["registry"][r"HKLM:\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters"]["Hostname"] = text(name.upper())
    found["wsus"]["server_id"] = f"00000000-0000-0000-0000-{sum(map(ord, name)):012}"
    if upstream:
        found["wsus"]["upstream"] = {"microsoft_update": False, "name": "top.corp.example", "port": 8531, "ssl": True, "replica": False}
    return found


def seen(found: dict[str, Any], **differs: Any) -> dict[str, Any]:
    """What wsus_server_info returns of a machine, as the playbook registers it."""
    return {"state": {**read(found), **differs}, "verdict": {"offers_https": True}, "fqdn": FQDN}


def variables(**kinds: str) -> dict[str, dict[str, Any]]:
    """Host variables of a tree of three, with certificates of these kinds."""
    found: dict[str, dict[str, Any]] = {}
    for name in HOSTS:
        looked_at = seen(machine(name, kinds.get(name, "good"), upstream=name != "top"))
        found[name] = {"wsus_seen": looked_at, **({"wsus_upstream": "top"} if name != "top" else {})}
    return found


# --- the plan ---------------------------------------------------------------------------------------------------------


def test_the_plan_has_who_is_due_and_the_waves() -> None:
    found = variables(top="short", west="expired")
    state = found["top"]["wsus_seen"]["state"]
    found["top"]["wsus_seen"]["state"] = looked(state, FQDN, certificates=[issued("short").der_base64], trusted=False, chain_errors=["UntrustedRoot"])
    plan = renewal_plan(HOSTS, found)
    assert plan["problems"] == []
    assert plan["waves"] == [["west"], ["top"]]
    assert plan["due"]["top"] == {
        "reasons": [
            "its certificate has only 5 days left, until 2026-11-26, fewer than 30",
            "its certificate is not trusted by the server itself (UntrustedRoot)",
        ],
        "fqdn": FQDN,
        "port": 8531,
        "replace": [issued("short").thumbprint],
        "stale": False,
        "reached": True,
        "der": issued("short").der_base64,
    }
    assert (plan["due"]["west"]["der"], plan["due"]["west"]["replace"]) == (None, [])
    assert plan["lines"][0].startswith("3 WSUS servers, 2 of them due")
    assert renewal_plan(HOSTS, found, strategy="top_down")["waves"] == [["top"], ["west"]]


def test_the_days_may_be_text_and_the_limit_and_the_batch_are_kept_to() -> None:
    found = variables(east="short", west="short")
    assert renewal_plan(HOSTS, found, days="5")["waves"] == []
    assert renewal_plan(HOSTS, found, "6")["waves"] == [["east", "west"]]
    assert renewal_plan(HOSTS, found, days=0)["waves"] == []
    assert renewal_plan(HOSTS, found, days=300)["waves"] == [["east", "west"], ["top"]]
    assert renewal_plan(HOSTS, found, batch="1")["waves"] == [["east"], ["west"]]
    only = renewal_plan(HOSTS, found, only=["west"])
    assert (only["waves"], list(only["due"])) == ([["west"]], ["west"])
    assert any("east" in line and "not in this run (--limit)" in line for line in only["lines"])


def test_a_site_that_serves_an_older_one() -> None:
    found = variables()
    state = copy.deepcopy(found["top"]["wsus_seen"]["state"])
    state["certificates"].append({**state["certificates"][0], "thumbprint": issued("short").thumbprint, "der": issued("short").der_base64})
    found["top"]["wsus_seen"]["state"] = looked(state, FQDN, certificates=[issued("short").der_base64])
    due = renewal_plan(HOSTS, found)["due"]
    assert list(due) == ["top"]
    assert (due["top"]["stale"], due["top"]["reasons"]) == (True, ["its site still serves an older certificate"])


def test_replaced_certificates_are_a_reason_only_where_they_are_to_be_removed() -> None:
    found = variables()
    marks = {"ReplacedCertificates": issued("other").thumbprint}
    found["west"]["wsus_seen"] = seen(machine("west", upstream=True), marks=marks)
    assert renewal_plan(HOSTS, found)["due"] == {}
    assert renewal_plan(HOSTS, found, remove_old=False)["due"] == {}
    assert list(renewal_plan(HOSTS, found, 30, True)["due"]) == ["west"]


def test_what_a_certificate_has_to_be_comes_from_the_servers_own_variables() -> None:
    found = variables()
    found["top"]["wsus_fqdn"] = "updates.corp.example"
    found["east"]["certificate_extra_names"] = ["wsus", FQDN]
    found["west"]["certificate_issuer"] = "Another CA"
    due = renewal_plan(HOSTS, found)["due"]
    assert due["top"]["reasons"] == ["its certificate is for wsus01.corp.example, not for updates.corp.example"]
    assert due["top"]["fqdn"] == "updates.corp.example"
    assert due["east"]["reasons"] == ["its certificate is for wsus01.corp.example, not for wsus"]
    assert due["west"]["reasons"] == ["its certificate was issued by CN=Corp Issuing CA, not by Another CA"]
    empty = {"wsus_fqdn": "", "certificate_extra_names": None, "certificate_issuer": ""}
    assert renewal_plan(HOSTS, {name: {**each, **empty} for name, each in variables().items()})["due"] == {}


@pytest.mark.parametrize(
    ("given", "missing"),
    [("wsus", ["wsus"]), ("wsus,alias", ["wsus", "alias"]), (f"wsus,{FQDN}", ["wsus"]), (5, ["5"]), (("wsus",), ["wsus"]), ([], [])],
)
def test_extra_names_are_a_list_or_a_text_with_commas(given: Any, missing: list[str]) -> None:
    """As they are to the role, which obtains the certificate: else one server would be due again and again."""
    found = variables()
    found["top"]["certificate_extra_names"] = given
    reasons = renewal_plan(HOSTS, found)["due"].get("top", {}).get("reasons", [])
    assert reasons == [f"its certificate is for wsus01.corp.example, not for {name}" for name in missing]


@pytest.mark.parametrize("days", ["junk", "", None, -1, "-1", 2.5, True, [30], {}])
def test_a_number_of_days_that_is_none_is_refused_in_words(days: Any) -> None:
    plan = renewal_plan(HOSTS, variables(), days=days)
    assert plan["problems"] == [f"wsus_renew_days is a number of days, not {days!r}."]
    assert (plan["due"], plan["waves"]) == ({}, [])
    assert plan["lines"] == ["The renewal cannot be planned. Nothing was changed.", f"- {plan['problems'][0]}"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [({"strategy": "sideways"}, 'The strategy (wsus_strategy) is "sideways"'), ({"batch": "half"}, 'The batch (wsus_batch) is "half"')],
)
def test_a_setting_that_cannot_be_is_refused(arguments: dict[str, Any], words: str) -> None:
    (problem,) = renewal_plan(HOSTS, variables(), **arguments)["problems"]
    assert words in problem


def test_every_fault_of_the_tree_is_a_problem_of_its_own() -> None:
    found = variables()
    found["east"]["wsus_upstream"] = "east"
    found["west"]["wsus_upstream"] = "nobody"
    plan = renewal_plan(HOSTS, found)
    assert len(plan["problems"]) >= 2
    assert len(plan["lines"]) == 1 + len(plan["problems"])
    assert (plan["due"], plan["waves"]) == ({}, [])


def test_the_tree_is_checked_with_what_was_seen() -> None:
    found = variables()
    del found["west"]["wsus_upstream"]
    (problem,) = renewal_plan(HOSTS, found)["problems"]
    assert problem.startswith("west has no upstream in the inventory but synchronizes from top.corp.example")


def test_a_server_that_was_not_seen_is_due_and_not_reached() -> None:
    found = variables()
    found["east"]["wsus_seen"] = {"failed": True, "msg": "east: The connection failed: refused"}
    del found["west"]["wsus_seen"]
    due = renewal_plan(HOSTS, found)["due"]
    assert {name: (each["reached"], each["reasons"]) for name, each in due.items()} == {
        "east": (False, ["cannot be looked at: The connection failed: refused"]),
        "west": (False, ["cannot be looked at: nobody looked"]),
    }


# --- the table --------------------------------------------------------------------------------------------------------


def outcome(**differs: Any) -> dict[str, Any]:
    """What the playbook notes of a server whose wave came."""
    return {"ok": True, "ends": "2027-11-21", "changes": ["Bind it."], "notes": [], **differs}


def test_the_table_shows_every_server() -> None:
    found = variables(top="short", west="expired")
    plan = renewal_plan(HOSTS, found)
    found = {name: {**each, "wsus_plan": plan} for name, each in found.items()}
    found["west"]["wsus_outcome"] = outcome(ok=False, task="Bind it", message="west: It cannot be.", changes=[], ends="")
    assert renewal_result(HOSTS, found) == [
        "SERVER  ENDED       ENDS        WHAT HAPPENED",
        "top     2026-11-26  2026-11-26  its wave did not start",
        "east    2027-06-09  2027-06-09  nothing to do",
        "west    2026-11-18  not known   FAILED in 'Bind it', nothing changed before",
        "",
        "west: It cannot be.",
        "1. Mend what failed on west, and run this again: it goes on where it stopped.",
        "2. No wave was started for top; the next run does.",
    ]
    assert renewal_result(HOSTS, found, only=["top"])[1:4] == [
        "top     2026-11-26  2026-11-26  its wave did not start",
        "east    -           -           not in this run (--limit)",
        "west    -           -           not in this run (--limit)",
    ]


def test_what_was_pinned_counts_and_names_the_client() -> None:
    found = variables(top="short")
    results = [
        {"item": "client01", "changes": ["Add it."]},
        {"item": "client02", "skipped": True},
        {"item": "client03", "changes": ["Add it.", "And."]},
    ]
    found["top"] |= {"wsus_plan": renewal_plan(HOSTS, found), "wsus_outcome": outcome(), "wsus_pinned": {"results": results}}
    lines = renewal_result(HOSTS, found, check_mode=True)
    assert lines[1] == "top     2026-11-26  2027-11-21  4 changes to make"
    assert lines[lines.index("top:") + 1 :][:4] == ["-  Bind it.", "-  client01: Add it.", "-  client03: Add it.", "-  client03: And."]
    assert lines[-1] == "Check mode: nothing was changed."
    for none in (None, {}, {"skipped": True}, {"results": []}):
        found["top"]["wsus_pinned"] = none
        assert renewal_result(HOSTS, found)[1] == "top     2026-11-26  2027-11-21  1 change"


@pytest.mark.parametrize("days", ["junk", -5, None])
def test_without_a_plan_the_table_says_what_has_to_be_corrected(days: Any) -> None:
    found = variables()
    plan = renewal_plan(HOSTS, found, days=days)
    found = {name: {**each, "wsus_plan": plan} for name, each in found.items()}
    lines = renewal_result(HOSTS, found, days=days)
    assert lines[1] == "top     2027-06-09  2027-06-09  nothing, there was no plan"
    assert lines[-1] == f"-  wsus_renew_days is a number of days, not {days!r}."


def test_a_tree_with_faults_is_shown_all_the_same() -> None:
    found = variables()
    found["east"]["wsus_upstream"] = "nobody"
    plan = renewal_plan(HOSTS, found)
    lines = renewal_result(HOSTS, {name: {**each, "wsus_plan": plan} for name, each in found.items()})
    assert [line.split()[0] for line in lines[1:4]] == HOSTS
    assert 'wsus_upstream of east is "nobody"' in " ".join(lines)


def test_replaced_certificates_do_not_change_the_table() -> None:
    found = variables()
    assert renewal_result(HOSTS, found, remove_old=True) == renewal_result(HOSTS, found)


# --- the doors --------------------------------------------------------------------------------------------------------


def test_the_time_is_now_and_aware(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert abs(plugin._now() - datetime.datetime.now(datetime.UTC)) < datetime.timedelta(minutes=1)


@pytest.mark.parametrize("name", ["renewal_plan", "renewal_result"])
def test_the_documentation_has_the_arguments_of_the_filter(name: str) -> None:
    document = yaml.safe_load(Path(plugin.__file__).with_name(f"{name}.yml").read_text())["DOCUMENTATION"]
    code = getattr(plugin, name).__code__
    arguments = code.co_varnames[: code.co_argcount]
    assert [option.replace("_input", "hosts") for option in document["options"]] == list(arguments)
    assert document["positional"] == ", ".join(document["options"])
    defaults = getattr(plugin, name).__defaults__
    given = [option.get("default") for option in list(document["options"].values())[2:]]
    assert given == list(defaults)
