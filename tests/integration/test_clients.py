# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Clients move ring by ring: `securepatch.wsus.clients` as a whole, what ends it before the next ring, and what it takes to go on."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.controller import Controller, Run
from tests.integration.rollouts import documents, store, trips
from tests.lab.lab import Lab

CLIENTS = "securepatch.wsus.clients"
OLD, NEW = "http://wsus01.corp.example:8530", "https://wsus01.corp.example:8531"
OLD2, NEW2 = "http://wsus02.corp.example:8530", "https://wsus02.corp.example:8531"
NOBODY: dict[str, Any] = {"trusts_ca": False, "intermediates": False}
PILOT, OFFICE = {"gpo": "WSUS pilot", "server": "wsus01"}, {"gpo": "WSUS office", "domain": "corp.example", "server": "wsus02"}

Start = Callable[..., Controller]


def fleet_of(clients: dict[str, Any], policies: dict[str, Any] | None = None, **servers: Any) -> dict[str, Any]:
    """Two servers that offer HTTPS, group policies that name http, and a host that has the cmdlets and is no WSUS server."""
    return {
        "servers": {"wsus01": {"stage": "offered"}, "wsus02": {"stage": "offered", "upstream": "wsus01"}, **servers},
        "group_policies": {"WSUS pilot": {"url": OLD}, "WSUS office": {"url": OLD2}, **(policies or {})},
        "clients": {**clients, "dc01": {"group_policies": []}},
    }


def rings(*given: tuple[str, list[dict[str, Any]], list[str]]) -> list[dict[str, Any]]:
    return [{"name": name, "policies": policies, "hosts": hosts} for name, policies, hosts in given]


TWO = rings(("pilot", [PILOT], ["pc1", "pc2"]), ("office", [OFFICE], ["pc3"]))


def run_rings(fleet: Controller, *arguments: str, given: Any = None, **variables: Any) -> Run:
    """Run the rings. Whatever happens, no host leaves the run, and nobody sees a traceback."""
    folder = str(fleet.folder / "backup")
    given = TWO if given is None else given
    more = {"wsus_rings": given, "wsus_policy_host": "dc01", "trust_backup_dir": folder, "clients_backup_dir": folder, **variables}
    run = fleet.playbook(CLIENTS, *arguments, **more)
    assert "Traceback" not in run.output
    assert "Unhandled exception" not in run.output
    return run


def table(run: Run) -> dict[str, str]:
    """What happened, by ring."""
    lines = run.of("Show every ring")["msg"]
    at = lines[0].index("WHAT HAPPENED" if "WHAT HAPPENED" in lines[0] else "WOULD HAPPEN")
    return {re.split(r" {2,}", line)[0]: line[at:] for line in lines[1 : lines.index("")]}


def said(run: Run) -> str:
    """What stands below the table, as one line."""
    lines = run.of("Show every ring")["msg"]
    return " ".join(" ".join(lines[lines.index("") + 1 :]).split())


def told(lab: Lab, name: str) -> str | None:
    """The server that a machine was told by policy."""
    with lab.machine(name).lock:
        key = lab.machine(name).document["registry"].get(r"HKLM:\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate", {})
        return next((value["data"] for name, value in key.items() if name == "WUServer"), None)


def policy(lab: Lab, name: str) -> str | None:
    """The server that a group policy names."""
    with lab.machine("dc01").lock:
        values = lab.machine("dc01").document["domain"]["policies"][name]["values"]
        return next((value["data"] for value in values if value["name"] == "WUServer"), None)


def came(lab: Lab, server: str) -> set[str]:
    """The machines that a server knows, because they searched there."""
    with lab.machine(server).lock:
        return {one["fqdn"].split(".")[0] for one in lab.machine(server).document["wsus"].get("computers", [])}


def made(run: Run) -> list[str]:
    """What was changed, in sentences (in check mode: what would have been), in the order of the alphabet."""
    done = [one["result"] for one in run.results if one["status"] in {"ok", "item"} and one["action"].startswith("securepatch.wsus.")]
    return sorted(change for result in done if "results" not in result for change in result.get("changes") or [])


def searches(lab: Lab, since: int) -> list[str]:
    """The machines that were made to search, once each."""
    return sorted({trip.server for trip in trips(lab, since) if trip.module.endswith("win_updates")})


def test_rings_are_told_and_proved_one_after_the_other_and_then_nothing_is_left(controller: Start) -> None:
    """Check mode, the run that makes exactly those changes, and a second run that changes nothing and proves it again."""
    clients = {
        "pc1": {"group_policies": ["WSUS pilot"], **NOBODY},
        "pc2": {"group_policies": ["WSUS pilot"]},
        "pc[3:9]": {"group_policies": ["WSUS office"]},
    }
    fleet = controller(fleet_of(clients))
    lab, before = fleet.lab, documents(fleet.lab)
    variables = {"trust_authorities": [str(lab.ca_chain_file)], "wsus_policy_backup_dir": r"C:\Backup\GPO"}

    foretold = run_rings(fleet, "--check", **variables)
    assert (foretold.code, foretold.unreachable) == (0, []), foretold.output
    assert documents(lab) == before
    assert searches(lab, 0) == []
    assert table(foretold) == {"pilot": "4 changes to make; not searched", "office": "2 changes to make; not searched"}
    assert "none searched: only a run proves a ring." in said(foretold)

    run = run_rings(fleet, **variables)
    assert (run.code, run.unreachable) == (0, []), run.output
    assert made(run) == made(foretold)
    text = said(foretold)
    assert [change for change in made(run) if change not in text] == []
    assert table(run) == {"pilot": "proved, 4 changes", "office": "proved, 2 changes"}
    assert said(run).startswith("Every ring is proved.")
    assert re.search(r"WSUS pilot: Restore-GPO -BackupId [0-9a-f-]{36} -Path C:", run.output)
    assert "2 rings, proved on 3 of the 10 clients in group wsus_clients." in run.output
    assert "The other 7 are not touched" in run.output
    assert {name: told(lab, name) for name in ("pc1", "pc2", "pc3", "pc4")} == {"pc1": NEW, "pc2": NEW, "pc3": NEW2, "pc4": OLD2}
    assert (came(lab, "wsus01"), came(lab, "wsus02")) == ({"pc1", "pc2"}, {"pc3"})
    assert len(store(lab, "pc1", "Root")) == 1
    looks = [trip.server for trip in trips(lab) if trip.module.endswith("wsus_state") and trip.server.startswith("wsus")]
    assert sorted(looks) == ["wsus01", "wsus01", "wsus02", "wsus02"], "each server once in each run"

    since, before = len(lab.trips), documents(lab)
    again = run_rings(fleet, **variables)
    assert (again.code, again.changed) == (0, []), again.output
    assert table(again) == {"pilot": "proved, nothing to change", "office": "proved, nothing to change"}
    assert searches(lab, since) == ["pc1", "pc2", "pc3"], "it is proved again"
    assert not [trip for trip in trips(lab, since) if trip.module.endswith("wsus_change")]


def test_another_policy_of_higher_precedence_ends_the_run_before_the_next_ring(controller: Start) -> None:
    """It is named; once it is told as well, the run goes on there."""
    third = {"gpo": "WSUS rest", "server": "wsus01"}
    clients = {
        "pc1": {"group_policies": ["WSUS pilot"]},
        "pc2": {"group_policies": ["WSUS branch", "WSUS office"]},
        "pc3": {"group_policies": ["WSUS office"]},
        "pc4": {"group_policies": ["WSUS rest"]},
    }
    fleet = controller(fleet_of(clients, {"WSUS branch": {"url": OLD}, "WSUS rest": {"url": OLD}}))
    lab = fleet.lab
    given = rings(("pilot", [PILOT], ["pc1"]), ("office", [OFFICE], ["pc2", "pc3"]), ("rest", [third], ["pc4"]))
    run = run_rings(fleet, given=given)
    assert run.code != 0
    assert table(run) == {
        "pilot": "proved, 1 change",
        "office": "FAILED on pc2 in 'Fail where it was told something else, or does not get there', 1 change",
        "rest": "not begun",
    }
    assert re.search(
        r"pc2: Another group policy has a higher precedence on this machine and says http://wsus01\.corp\.example:8530: cn=\{", said(run)
    )
    assert "It wins over 'WSUS office'. Add it to the ring's policies, or change its order, link or filter." in said(run)
    assert "docs/troubleshooting.md (A ring that fails). Mend it, and run this again: it goes on there." in said(run)
    assert "Not begun, because a ring before failed: rest." in said(run)
    assert (policy(lab, "WSUS rest"), policy(lab, "WSUS branch"), told(lab, "pc4")) == (OLD, OLD, OLD)
    assert came(lab, "wsus02") == {"pc3"}, "what went well on others of the ring stays"

    given[1]["policies"] = [OFFICE, {"gpo": "WSUS branch", "server": "wsus02"}]
    mended = run_rings(fleet, given=given)
    assert mended.code == 0, mended.output
    assert table(mended) == {"pilot": "proved, nothing to change", "office": "proved, 1 change", "rest": "proved, 1 change"}
    assert [told(lab, name) for name in ("pc1", "pc2", "pc3", "pc4")] == [NEW, NEW2, NEW2, NEW]


def test_a_machine_that_does_not_trust_the_server_keeps_its_ring_from_being_told(controller: Start) -> None:
    clients = {
        "pc1": {"group_policies": ["WSUS pilot"]},
        "pc2": {"group_policies": ["WSUS pilot"], **NOBODY},
        "pc3": {"group_policies": ["WSUS office"]},
    }
    fleet = controller(fleet_of(clients))
    before = documents(fleet.lab)
    run = run_rings(fleet)
    assert run.code != 0
    assert documents(fleet.lab) == before, "the policy would have told many more"
    assert table(run) == {"pilot": "FAILED on pc2 in 'Trust the authorities', nothing changed", "office": "not begun"}
    assert "pc2: " in said(run)
    assert "wsus01.corp.example:8531" in said(run)
    foretold = run_rings(fleet, "--check")
    assert table(foretold) == {"pilot": table(run)["pilot"], "office": "1 change to make; not searched"}, "nothing stops in check mode"

    mended = run_rings(fleet, trust_authorities=[str(fleet.lab.ca_chain_file)])
    assert (mended.code, table(mended)) == (0, {"pilot": "proved, 3 changes", "office": "proved, 1 change"}), mended.output


def test_a_server_without_https_or_that_does_not_answer_tells_nobody(controller: Start) -> None:
    clients = {f"pc{number}": {"group_policies": ["WSUS pilot"]} for number in range(1, 5)}
    more = {"wsus03": {"upstream": "wsus01"}, "wsus04": {"stage": "offered", "upstream": "wsus01", "faults": {"unreachable": True}}}
    fleet = controller(fleet_of(clients, {name: {"url": OLD} for name in ("A", "B", "C")}, **more))
    lab = fleet.lab
    with lab.edit("wsus02") as document:
        document["iis"]["sites"][0]["state"] = "Stopped"
    given = rings(
        ("plain", [{"gpo": "A", "server": "wsus03"}], ["pc1"]),
        ("gone", [{"gpo": "B", "server": "wsus04"}], ["pc2"]),
        ("port", [{"gpo": "C", "server": "wsus01", "url": "https://wsus01.corp.example:9443"}], ["pc3"]),
        ("stopped", [OFFICE], ["pc4"]),
    )
    before = documents(lab)
    foretold = run_rings(fleet, "--check", given=given)
    assert [happened.partition(" in ")[0] for happened in table(foretold).values()] == [f"FAILED on pc{number}" for number in range(1, 5)]
    assert "BLOCKED: plain, A: The server wsus03 has no HTTPS yet (it stands at: HTTP)" in foretold.output
    assert "Take it there first: securepatch.wsus.rollout." in said(foretold)
    assert "The server wsus04 could not be looked at: The connection failed" in said(foretold)
    assert "The URL has port 9443, and the server wsus01.corp.example has no https binding there" in said(foretold)
    run = run_rings(fleet, given=given)
    assert run.code != 0
    assert list(table(run).values())[1:] == ["not begun"] * 3
    last = run_rings(fleet, given=given[3:])
    assert last.code != 0
    assert "wsus02.corp.example:8531" in said(last)
    assert documents(lab) == before


def test_a_search_that_fails_is_no_proof_whatever_the_machine_says_it_was_told(controller: Start) -> None:
    """The port answers with a certificate that is trusted, and WSUS behind it does not."""
    fleet = controller(fleet_of({"pc1": {"group_policies": ["WSUS pilot"]}, "pc3": {"group_policies": ["WSUS office"]}}))
    lab, given = fleet.lab, rings(("pilot", [PILOT], ["pc1"]), ("office", [OFFICE], ["pc3"]))
    with lab.edit("wsus01") as document:
        document["iis"]["application_pools"]["WsusPool"]["state"] = "Stopped"
    run = run_rings(fleet, given=given)
    assert run.code != 0
    assert table(run) == {"pilot": "FAILED on pc1 in 'Fail where the search failed', 1 change", "office": "not begun"}
    assert f"pc1: The search at {NEW} failed: " in said(run)
    assert "0x80244022 is WU_E_PT_HTTP_STATUS_SERVICE_UNAVAIL: HTTP 503" in said(run)
    with lab.edit("wsus01") as document:
        document["iis"]["application_pools"]["WsusPool"]["state"] = "Started"
    mended = run_rings(fleet, given=given)
    assert (mended.code, table(mended)) == (0, {"pilot": "proved, nothing to change", "office": "proved, 1 change"}), mended.output


def test_a_policy_that_cannot_be_set_fails_its_ring_and_says_what_was_set_before_it(controller: Start) -> None:
    fleet = controller(fleet_of({"pc[1:2]": {"group_policies": ["WSUS pilot"]}}, {"Locked": {"url": OLD, "access": "read"}}))
    missing = {"gpo": "WSUS pilto", "server": "wsus01", "domain": "corp.example"}
    run = run_rings(fleet, given=rings(("pilot", [PILOT, missing], ["pc1", "pc2"])))
    assert (run.code != 0, table(run)) == (True, {"pilot": "FAILED on pc1 in 'Set the group policies', 1 change"})
    assert "There is no group policy 'WSUS pilto' in the domain corp.example. Nearly so are called: 'WSUS pilot'" in said(run)
    assert (policy(fleet.lab, "WSUS pilot"), told(fleet.lab, "pc2"), came(fleet.lab, "wsus01")) == (NEW, OLD, set())
    denied = run_rings(fleet, given=rings(("pilot", [PILOT, {"gpo": "Locked", "server": "wsus01"}], ["pc1", "pc2"])))
    assert table(denied) == {"pilot": "FAILED on pc1 in 'Set the group policies', nothing changed"}
    assert "Access to the group policy was denied." in said(denied)
    mended = run_rings(fleet, given=rings(("pilot", [PILOT], ["pc1", "pc2"])))
    assert (mended.code, table(mended)) == (0, {"pilot": "proved, nothing to change"}), mended.output


@pytest.mark.parametrize(
    ("faults", "task", "says", "is_told"),
    [
        ({"unreachable": True}, "Trust the authorities", "pc2: The connection failed: ", False),
        (
            {"drop": {"when": "before", "module": "win_command"}},
            "Fail where it was told something else, or does not get there",
            "(gpupdate did not run to its end)",
            True,
        ),
        (
            {"drop": {"when": "before", "module": "win_updates", "times": "always"}},
            "Fail where the search failed",
            f"pc2: The search at {NEW} failed: ",
            True,
        ),
    ],
)
def test_a_machine_that_goes_away_fails_its_ring_and_does_not_tear_the_run_apart(
    controller: Start, faults: dict[str, Any], task: str, says: str, is_told: bool
) -> None:
    fleet = controller(fleet_of({"pc[1:2]": {"group_policies": ["WSUS pilot"]}, "pc3": {"group_policies": ["WSUS office"]}}))
    fleet.lab.arm("pc2", **faults)
    run = run_rings(fleet)
    assert run.code != 0
    assert table(run) == {"pilot": f"FAILED on pc2 in '{task}', {'1 change' if is_told else 'nothing changed'}", "office": "not begun"}
    assert policy(fleet.lab, "WSUS pilot") == (NEW if is_told else OLD)
    assert policy(fleet.lab, "WSUS office") == OLD2
    assert says in said(run)
    fleet.lab.heal()
    mended = run_rings(fleet)
    assert (mended.code, [one.partition(",")[0] for one in table(mended).values()]) == (0, ["proved", "proved"]), mended.output


def test_a_run_that_is_cut_off_after_the_policies_were_set_is_finished_by_the_next_one(controller: Start) -> None:
    """From then on no machine can be reached: all of the ring fail, none leaves the run."""
    fleet = controller(fleet_of({"pc[1:2]": {"group_policies": ["WSUS pilot"]}, "pc3": {"group_policies": ["WSUS office"]}}))
    # Two servers, two machines, and two trips for the policy are before it.
    fleet.lab.cut(7, "before")
    run = run_rings(fleet)
    assert run.code != 0
    assert table(run)["pilot"].startswith("FAILED on pc1 and pc2 in 'See what the machine was told', 1 change")
    assert table(run)["office"] == "not begun"
    assert (policy(fleet.lab, "WSUS pilot"), told(fleet.lab, "pc1")) == (NEW, OLD)
    fleet.lab.heal()
    mended = run_rings(fleet)
    assert (mended.code, table(mended)) == (0, {"pilot": "proved, nothing to change", "office": "proved, 1 change"}), mended.output


def test_a_limit_narrows_what_is_touched_and_not_what_is_planned(controller: Start) -> None:
    fleet = controller(fleet_of({"pc[1:2]": {"group_policies": ["WSUS pilot"]}, "pc3": {"group_policies": ["WSUS office"]}}))
    lab = fleet.lab
    run = run_rings(fleet, "--limit", "pc3")
    assert run.code == 0, run.output
    assert table(run) == {"pilot": "not in this run (--limit): still to do", "office": "proved, 1 change"}
    assert said(run) == ("pc3: The policy is not backed up: no backup_dir was given. 1. Run this for pilot: this run was limited to others.")
    assert (policy(lab, "WSUS pilot"), policy(lab, "WSUS office")) == (OLD, NEW2)
    assert {trip.server for trip in trips(lab)} == {"wsus02", "dc01", "pc3"}
    half = run_rings(fleet, "--limit", "pc2")
    assert (half.code, table(half)["pilot"]) == (0, "proved, 1 change")
    since = len(lab.trips)
    nobody = run_rings(fleet, "--limit", "dc01")
    assert nobody.code == 0
    assert "No ring has a machine in this run (--limit): nothing is done." in nobody.output
    assert trips(lab, since) == []


def test_rings_that_cannot_be_are_refused_with_every_problem_before_anything_is_touched(controller: Start) -> None:
    fleet = controller(fleet_of({"pc[1:3]": {"group_policies": ["WSUS pilot"]}}))
    before = documents(fleet.lab)
    given = [
        {"policies": [PILOT], "hosts": ["pc1"]},
        {"name": "no policy", "hosts": ["pc2"]},
        {"name": "no host", "policies": [{"gpo": "wsus PILOT", "domain": "CORP.example.", "server": "wsus02"}]},
        {"name": "two", "policies": [{"gpo": "C", "server": "wsus09"}], "hosts": ["pc1", "pc99", "wsus01"]},
        *rings(
            ("short", [{"gpo": "D", "url": "https://wsus01:8531"}], ["pc3"]),
            ("mixed", [{"gpo": "E", "url": "http://wsus01.corp.example:8531"}], ["dc01"]),
            ("port", [{"gpo": "F", "url": "https://wsus01.corp.example:8530"}], ["dc01"]),
        ),
    ]
    run = run_rings(fleet, given=given)
    assert run.code != 0
    problems = run.of("Refuse rings that cannot be")["msg"]
    for says in (
        "Ring number 1 has no name.",
        "Ring 'no policy' has no policy",
        "Ring 'no host' has no hosts",
        "The policy 'WSUS pilot' is to name wsus01 (in 'number 1') and wsus02 (in 'no host'",
        "the server wsus09 is not in group wsus_servers",
        "pc99 and wsus01 are not in group wsus_clients.",
        "wsus01 is in group wsus_servers: a WSUS server",
        "'wsus01' is a short name",
        "which is not https. Port 8531 is the one for HTTPS.",
        "8530 is the port of plain HTTP",
        "dc01 is in the rings 'mixed' and 'port'",
        "pc1 is in the rings 'number 1' and 'two'",
    ):
        assert says in problems, problems
    assert "PLAY [Ring]" not in run.output
    for broken in ([], "pilot", [{"name": "x", "policies": "y", "hosts": "z"}]):
        assert run_rings(fleet, given=broken).code != 0
    nowhere = run_rings(fleet, wsus_policy_host="")
    assert "wsus_policy_host is not given" in nowhere.of("Refuse rings that cannot be")["msg"]
    assert (documents(fleet.lab), list(fleet.lab.trips)) == (before, [])


def test_what_machines_were_told_instead_is_said_of_each(controller: Start) -> None:
    urls = {
        "short": "https://wsus01:8531",
        "wrongport": "https://wsus01.corp.example:8532",
        "mixed": "http://wsus01.corp.example:8531",
        "plainport": "https://wsus01.corp.example:8530",
    }
    clients = {name: {"group_policies": [f"Over {name}", "WSUS pilot"]} for name in urls}
    clients |= {"mdm": {"group_policies": ["WSUS pilot"], "mdm_server": NEW2}, "unlinked": {"group_policies": []}}
    fleet = controller(fleet_of(clients, {f"Over {name}": {"url": url} for name, url in urls.items()}))
    run = run_rings(fleet, given=rings(("pilot", [PILOT], list(clients))))
    assert run.code != 0
    found = {name: str(run.of("Fail where it was told something else, or does not get there", name)["msg"]) for name in clients}
    for name, says in {
        "short": "'wsus01' is a short name",
        "wrongport": "says https://wsus01.corp.example:8532",
        "mixed": "which is not https. Port 8531 is the one for HTTPS.",
        "plainport": "8530 is the port of plain HTTP, the one for HTTPS beside it is 8531",
        "mdm": "Policy and MDM differ: the group policy cn={",
        "unlinked": f"It was not told {NEW}. None of the ring's policies reaches it",
    }.items():
        assert says in found[name], found[name]
        assert found[name].startswith(f"{name}: ")
    assert all("Another group policy has a higher precedence" in found[name] for name in urls)
