# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Rings of clients: what is wrong with them before anything is touched, the plan, and the table at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from ansible_collections.securepatch.wsus.plugins.plugin_utils.rings import (
    Policy,
    Proof,
    Ring,
    RingsError,
    plan_rings,
    read_policies,
    read_rings,
    result_lines,
    told_by,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.plugin_utils.machines import NOW, offering, read

CLIENTS = [f"pc{number:02}" for number in range(1, 13)]
SERVERS = ["wsus01", "wsus02"]
EVERYBODY = [*SERVERS, *CLIENTS, "dc01"]
URL = "https://wsus01.corp.example:8531"


def ring(name: Any = "pilot", policies: Any = None, hosts: Any = None, **more: Any) -> dict[str, Any]:
    """A ring as an inventory has it."""
    return {"name": name, "policies": [policy()] if policies is None else policies, "hosts": ["pc01"] if hosts is None else hosts, **more}


def policy(gpo: Any = "WSUS pilot", server: Any = "wsus01", **more: Any) -> dict[str, Any]:
    found = {"gpo": gpo, **({"server": server} if server else {}), **more}
    return {key: value for key, value in found.items() if value is not None}


def problems(*rings: Any, clients: Sequence[str] = CLIENTS, host: str = "dc01") -> list[str]:
    """What is said against these rings; nothing where they are sound."""
    try:
        read_rings(list(rings), clients, SERVERS, EVERYBODY, host)
    except RingsError as error:
        return list(error.problems)
    return []


def test_rings_are_read_in_order_as_they_are_given() -> None:
    more = policy("WSUS office", None, url=URL, domain="corp.example", domain_controller="dc02", alternate_url="http://files.corp.example:8530")
    read_now = read_rings([ring("a", [policy(), more], ["pc02", "pc01"]), ring("b", [policy("B")], ["pc03"])], CLIENTS, SERVERS, EVERYBODY, "dc01")
    office = Policy("WSUS office", "corp.example", "dc02", None, URL, "http://files.corp.example:8530")
    assert read_now == (
        Ring("a", (Policy("WSUS pilot", server="wsus01"), office), ("pc02", "pc01")),
        Ring("b", (Policy("B", server="wsus01"),), ("pc03",)),
    )


@pytest.mark.parametrize(
    ("one", "says"),
    [
        ("pilot", "Ring number 1 is text, not name, policies and hosts."),
        (ring(None), "Ring number 1 has no name."),
        (ring("  "), "Ring number 1 has no name."),
        (ring(7), "Ring number 1 has no name."),
        (ring(policies=[]), "Ring 'pilot' has no policy: name the group policies"),
        (ring(policies="WSUS pilot"), "Ring 'pilot': policies is text, not a list"),
        (ring(policies=["WSUS pilot"]), "Ring 'pilot': policy number 1 is text, not gpo and server."),
        (ring(policies=[policy(None)]), "Ring 'pilot': policy number 1 has no gpo"),
        (ring(policies=[policy(server=None)]), "Ring 'pilot': policy 'WSUS pilot' names no server: give server"),
        (ring(policies=[policy(server="WSUS02")]), "the server WSUS02 is not in group wsus_servers (did you mean wsus02?)."),
        (ring(policies=[policy(server="pc01")]), "the server pc01 is not in group wsus_servers. Give one"),
        (ring(policies=[policy(srver="wsus01")]), "policy 'WSUS pilot' has srver, which is unknown here; there are gpo, domain,"),
        (ring(policies=[policy(domain=["corp.example"])]), "policy 'WSUS pilot': domain is a list, not text."),
        (ring(policies=[policy(alternate_url="files")]), "policy 'WSUS pilot': alternate_url is no URL that clients can use"),
        (ring(hosts=[]), "Ring 'pilot' has no hosts: name a few machines of group wsus_clients"),
        (ring(hosts="pc01"), "Ring 'pilot': hosts is text, not a list of inventory names."),
        (ring(hosts=["pc01", None]), "Ring 'pilot': hosts has nothing in it, not an inventory name."),
        (ring(hosts=["PC01"]), "Ring 'pilot': PC01 is not in group wsus_clients (did you mean pc01?)."),
        (ring(hosts=["pc01", "pc01"]), "Ring 'pilot' names pc01 more than once."),
        (ring(policies=[policy(), policy()]), "Ring 'pilot' names the policy 'WSUS pilot' more than once."),
        (ring(host=["pc01"]), "Ring 'pilot' has host, which is unknown here; there are name, policies, hosts."),
        # What clients cannot be told.
        (ring(policies=[policy(server=None, url="https://wsus01:8531")]), "'wsus01' is a short name"),
        (ring(policies=[policy(server=None, url="http://wsus01.corp.example:8531")]), "which is not https. Port 8531 is the one for HTTPS."),
        (ring(policies=[policy(server=None, url="https://wsus01.corp.example:8530")]), "8530 is the port of plain HTTP"),
        (ring(policies=[policy(url="https://wsus01.corp.example:99999")]), "policy 'WSUS pilot': its url cannot be read"),
        (ring(policies=[policy(server=None, url=f"{URL}/x")]), "clients add the paths themselves"),
    ],
)
def test_a_ring_that_cannot_be_is_told(one: Any, says: str) -> None:
    said = problems(one)
    assert [problem for problem in said if says in problem], said


@pytest.mark.parametrize(("given_now", "says"), [(None, "nothing"), ("pilot", "text"), ({"name": "pilot"}, "a mapping"), ([], "has no ring")])
def test_what_is_no_list_of_rings_is_told(given_now: Any, says: str) -> None:
    with pytest.raises(RingsError, match=f"wsus_rings.*{says}"):
        read_rings(given_now, CLIENTS, SERVERS, EVERYBODY, "dc01")


def test_two_rings_of_one_name() -> None:
    assert problems(ring("Pilot"), ring("pilot", [policy("B")], ["pc02"])) == ["2 rings are called 'Pilot': give each a name of its own."]


def test_a_host_in_two_rings() -> None:
    said = problems(ring(hosts=["pc01", "pc02"]), ring("office", [policy("B")], ["pc02", "pc03"]))
    assert said == ["pc02 is in the rings 'pilot' and 'office': a machine proves one of them."]


def test_a_server_proves_nothing() -> None:
    said = problems(ring(hosts=["wsus02"]), clients=[*CLIENTS, "wsus02"])
    assert said == [
        "Ring 'pilot': wsus02 is in group wsus_servers: a WSUS server reaches itself in ways that no client does, and proves nothing. "
        "Name machines that are clients only."
    ]


def test_many_that_are_no_clients_are_one_sentence() -> None:
    said = problems(ring(hosts=[f"x{number}" for number in range(40)]))
    assert said == ["Ring 'pilot': x0, x1, x2, x3, x4 and 35 more are not in group wsus_clients."]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (policy("WSUS clients"), policy("wsus CLIENTS", "wsus02")),
        (policy("WSUS clients ", domain="corp.example"), policy("WSUS clients", "wsus02", domain="CORP.example.")),
        (policy("WSUS clients"), policy("WSUS clients", None, url="https://updates.corp.example:8531")),
        (policy("WSUS clients", None, url=URL), policy("WSUS clients", None, url="https://wsus02.corp.example:8531")),
    ],
)
@pytest.mark.parametrize("apart", [True, False])
def test_one_policy_for_two_servers(one: dict[str, Any], other: dict[str, Any], apart: bool) -> None:
    rings = [ring(policies=[one]), ring("office", [other], ["pc02"])] if apart else [ring(policies=[one, other])]
    (said,) = problems(*rings)
    assert said.startswith("The policy 'WSUS clients' is to name ")
    assert said.endswith(": one policy names one server.")
    assert ("'office'" in said) is apart


@pytest.mark.parametrize("domain", [None, "CORP"])
def test_a_domain_that_is_not_named_in_full_may_be_any_that_fits(domain: str | None) -> None:
    full = policy("WSUS clients", "wsus02", domain="corp.example")
    (said,) = problems(ring(policies=[policy("WSUS clients", domain=domain)]), ring("office", [full], ["pc02"]))
    assert said.endswith("they may be one policy, which names one server. Give each its domain, in full.")


@pytest.mark.parametrize(
    "others",
    [
        [policy("WSUS clients", domain="other.example")],  # a policy of another domain
        [policy("WSUS clients", "wsus02", domain="corp.example")],  # the same again, in a later ring
        [policy("WSUS clients 2", "wsus01", domain="corp.example")],
    ],
)
def test_policies_that_may_stand_beside_each_other(others: list[dict[str, Any]]) -> None:
    assert problems(ring(policies=[policy("WSUS clients", "wsus02", domain="corp.example")]), ring("office", others, ["pc02"])) == []


@pytest.mark.parametrize(
    ("host", "says"), [("", "wsus_policy_host is not given"), ("dc1", "wsus_policy_host is dc1, which is not in the inventory (did you mean dc01?).")]
)
def test_the_host_that_sets_policies(host: str, says: str) -> None:
    (said,) = problems(ring(), host=host)
    assert said.startswith(says)


def test_every_problem_is_told_at_once() -> None:
    said = problems(ring(None, [], []), ring("b", [policy(server="x")], ["pc99"]), ring("B", [policy(server=None)], ["pc01"]), host="")
    assert len(said) == 8, said


def test_policies_of_a_set_of_machines() -> None:
    assert read_policies([policy()], SERVERS, "dc01", EVERYBODY) == (Policy("WSUS pilot", server="wsus01"),)
    assert read_policies([], SERVERS) == ()
    with pytest.raises(RingsError) as error:
        read_policies([policy(server="x"), policy(None)], SERVERS, "", EVERYBODY)
    assert len(error.value.problems) == 3
    assert error.value.problems[-1].startswith("clients_policy_host is not given")


# --- what is told --------------------------------------------------------------------------------------------------------


def seen(**result: Any) -> dict[str, Mapping[str, Any]]:
    return {"wsus01": {"item": "wsus01", "state": read(offering()), "url": URL, "standing": "offers HTTPS", **result}}


def test_a_server_that_offers_https_gives_its_url() -> None:
    told = told_by(Policy("A", server="wsus01"), seen(), NOW)
    assert (told.url, told.problem) == (URL, None)


def test_a_url_by_hand_is_held_against_its_server() -> None:
    told = told_by(Policy("A", server="wsus01", url="https://wsus01.corp.example:9443"), seen(), NOW)
    assert told.problem is not None
    assert "The URL has port 9443, and the server wsus01.corp.example has no https binding there" in told.problem
    assert told_by(Policy("A", url="https://elsewhere.corp.example:8531"), {}, NOW).problem is None


def test_a_server_that_was_not_reached_or_has_no_https_tells_nobody() -> None:
    gone = told_by(Policy("A", server="wsus01"), {"wsus01": {"msg": "wsus01: The connection failed: refused."}}, NOW)
    assert gone.problem == "The server wsus01 could not be looked at: The connection failed: refused."
    plain = told_by(Policy("A", server="wsus01"), seen(url=None, standing="HTTP"), NOW)
    assert plain.problem is not None
    assert plain.problem.startswith("The server wsus01 has no HTTPS yet (it stands at: HTTP)")
    assert told_by(Policy("A", server="wsus02"), seen(), NOW).problem == "The server wsus02 could not be looked at: it gave no reason."


# --- the plan ------------------------------------------------------------------------------------------------------------

RINGS = (
    Ring("pilot", (Policy("A", server="wsus01"),), ("pc01", "pc02")),
    Ring("office", (Policy("B", "corp.example", server="wsus02"), Policy("C", url=URL)), ("pc03",)),
)


def test_the_plan_says_who_proves_what_and_counts_the_rest() -> None:
    plan = plan_rings(RINGS, CLIENTS, EVERYBODY, seen(), NOW)
    assert plan.waves == [["pc01", "pc02"], ["pc03"]]
    assert plan.servers == ("wsus01", "wsus02")
    lines = "\n".join(plan.lines)
    assert "2 rings, proved on 3 of the 12 clients in group wsus_clients.\nThe other 9 are not touched" in lines
    assert "BLOCKED: office, B (corp.example): The server wsus02 could not be looked at" in lines
    assert not [name for name in CLIENTS[3:] if name in lines]


def test_a_limit_narrows_what_is_touched_and_not_what_is_planned() -> None:
    plan = plan_rings(RINGS, CLIENTS, ["pc02"], seen(), NOW)
    assert (plan.waves, plan.servers, plan.in_run) == ([["pc02"]], ("wsus01",), (("pc02",), ()))
    assert [line.split("  ")[-1].strip() for line in plan.lines if line.startswith("office")] == ["not in this run (--limit): still to do"]
    assert "BLOCKED" not in "\n".join(plan.lines)
    nobody = plan_rings(RINGS, CLIENTS, ["wsus01"], seen(), NOW)
    assert nobody.waves == []
    assert nobody.lines[-1] == "No ring has a machine in this run (--limit): nothing is done."


hosts_in_rings = st.lists(st.lists(st.sampled_from(CLIENTS), min_size=1, max_size=5, unique=True), min_size=1, max_size=6).filter(
    lambda lists: len({host for hosts in lists for host in hosts}) == sum(map(len, lists))
)


@given(hosts_in_rings, st.sets(st.sampled_from(EVERYBODY)), st.data())
def test_the_plan_keeps_the_order_and_each_ring_whole_and_loses_nothing(lists: list[list[str]], only: set[str], data: st.DataObject) -> None:
    count = data.draw(st.lists(st.integers(1, 3), min_size=len(lists), max_size=len(lists)))
    rings = [
        ring(f"ring {number}", [policy(f"P{number}.{each}", data.draw(st.sampled_from(SERVERS))) for each in range(policies)], hosts)
        for number, (hosts, policies) in enumerate(zip(lists, count, strict=True))
    ]
    plan = plan_rings(read_rings(rings, CLIENTS, SERVERS, EVERYBODY, "dc01"), CLIENTS, only, {}, NOW)
    assert [one.name for one in plan.rings] == [one["name"] for one in rings]
    assert [list(one.hosts) for one in plan.rings] == lists
    assert [[each.gpo for each in one.policies] for one in plan.rings] == [[each["gpo"] for each in one["policies"]] for one in rings]
    assert [[told.policy for told in tells] for tells in plan.told] == [list(one.policies) for one in plan.rings]
    wanted = [[host for host in hosts if host in only] for hosts in lists]
    assert plan.waves == [hosts for hosts in wanted if hosts]
    asked = {each["server"] for one, hosts in zip(rings, wanted, strict=True) if hosts for each in one["policies"]}
    assert set(plan.servers) == asked
    assert len(plan.servers) == len(asked)
    # Whatever happened, every ring has its row.
    drawn = data.draw(st.dictionaries(st.sampled_from(CLIENTS), st.booleans()))
    lines = result_lines(plan.rings, plan.in_run, {host: Proof(ok, "T", "M") for host, ok in drawn.items()}, check_mode=False)
    assert [line.split("  ")[0] for line in lines[1 : len(rings) + 1]] == [one["name"] for one in rings]


# --- the result ----------------------------------------------------------------------------------------------------------

IN_RUN = (("pc01", "pc02"), ("pc03",))


def happened(proofs: dict[str, Proof], in_run: Sequence[Sequence[str]] = IN_RUN, check_mode: bool = False) -> tuple[list[str], str]:
    """What the table says of each ring, and what stands below it, as one line."""
    lines = result_lines(RINGS, in_run, proofs, check_mode=check_mode)
    at = lines[0].index("WOULD HAPPEN" if check_mode else "WHAT HAPPENED")
    return [line[at:] for line in lines[1:3]], " ".join(" ".join(lines[3:]).split())


def test_rings_that_are_proved() -> None:
    rows, below = happened({"pc01": Proof(True, changes=("a", "b")), "pc02": Proof(True, notes=("Know this.",)), "pc03": Proof(True)})
    assert rows == ["proved, 2 changes", "proved, nothing to change"]
    assert below.startswith("pc02: Know this. Every ring is proved. The other clients follow")


def test_a_ring_that_fails_ends_the_run_and_says_what_to_look_at() -> None:
    rows, below = happened({"pc01": Proof(False, "Search", "pc01: The search failed.", ("a",)), "pc02": Proof(True)})
    assert rows == ["FAILED on pc01 in 'Search', 1 change", "not begun"]
    assert below == (
        "pc01: The search failed. 1. See what is in the way of pilot: docs/troubleshooting.md (A ring that fails). Mend it, and run this again: "
        "it goes on there. 2. Not begun, because a ring before failed: office."
    )


def test_a_machine_that_left_the_run_fails_its_ring() -> None:
    rows, below = happened({"pc01": Proof(True)})
    assert rows == ["FAILED: pc02 left the run, nothing changed", "not begun"]
    assert "in the way of pilot" in below


def test_check_mode_says_that_nothing_is_proved() -> None:
    rows, below = happened({"pc01": Proof(True, changes=("Set it.",)), "pc02": Proof(True), "pc03": Proof(True)}, check_mode=True)
    assert rows == ["1 change to make; not searched", "nothing to change; not searched"]
    assert "pilot: - Set it." in below
    assert below.endswith("Check mode: nothing was changed, no machine refreshed its policies, and none searched: only a run proves a ring.")


def test_a_ring_outside_the_limit_is_still_to_do() -> None:
    rows, below = happened({"pc03": Proof(True)}, ((), ("pc03",)))
    assert rows == ["not in this run (--limit): still to do", "proved, nothing to change"]
    assert below == "1. Run this for pilot: this run was limited to others."
