"""What a rollout's plan says before anything is touched, and the table at its end."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from ansible_collections.securepatch.wsus.plugins.plugin_utils.application_pool import BEST_PRACTICES
from ansible_collections.securepatch.wsus.plugins.plugin_utils.binding import BindingWish
from ansible_collections.securepatch.wsus.plugins.plugin_utils.hierarchy import Hierarchy, Server, build, waves
from ansible_collections.securepatch.wsus.plugins.plugin_utils.require_tls import TAKE_BACK, Requirement
from ansible_collections.securepatch.wsus.plugins.plugin_utils.rollout import (
    WIDTH,
    Outcome,
    RolloutPlan,
    Seen,
    make_plan,
    result_lines,
    upstream_address,
)
from ansible_collections.securepatch.wsus.plugins.plugin_utils.verdict import judge

from tests.unit.plugin_utils.machines import FQDN, MARKS, NOW, SETUP, document, dword, offering, read, require, synchronized, text

TREE = build([Server("top"), Server("east", upstream="top"), Server("west", upstream="top"), Server("south", upstream="west")])
EVERYBODY = tuple(TREE.servers)
NETWORK = r"HKLM:\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters"


def on(found: dict[str, Any], upstream: str | None = None, *, ssl: bool = True, pool: bool = True) -> dict[str, Any]:
    """A machine below an upstream (a FQDN), with the pool that the best practices want."""
    if upstream:
        port = 8531 if ssl else 8530
        found["wsus"]["upstream"] = {"microsoft_update": False, "name": upstream, "port": port, "ssl": ssl, "replica": False}
        found["wsus"]["last_synchronization"] = synchronized()
    if pool:
        found["iis"]["application_pools"]["WsusPool"] = dict(BEST_PRACTICES)
    return found


def seen(found: dict[str, Any], name: str = "WSUS01") -> Seen:
    """What the plan saw of a machine that Windows calls NAME."""
    found["registry"][NETWORK]["Hostname"] = text(name)
    state = read(found)
    # What is bound is for one name; which machine it is does not matter here.
    verdict = judge(state, BindingWish(fqdn=FQDN), NOW).as_dict()
    return Seen.from_result({"state": state, "verdict": verdict, "fqdn": FQDN})


def planned(
    found: Mapping[str, Seen],
    *,
    tree: Hierarchy = TREE,
    only: Sequence[str] | None = None,
    require_tls: Requirement = "never",
    **pools: Mapping[str, Any],
) -> RolloutPlan:
    return make_plan(tree, waves(tree, "bottom_up", None, only), found, pools, require_tls=require_tls, now=NOW)


def line(plan: RolloutPlan, name: str) -> str:
    return next(one for one in plan.lines if f"{name} " in f"{one} ")


def finished_tree(*, required: bool = False) -> dict[str, Seen]:
    def done() -> dict[str, Any]:
        return require(offering()) if required else offering()

    return {
        "top": seen(on(done()), "top"),
        "east": seen(on(done(), FQDN), "east"),
        "west": seen(on(done(), FQDN), "west"),
        "south": seen(on(done(), FQDN), "south"),
    }


# --- what was seen ----------------------------------------------------------------------------------------------------


def test_a_server_that_could_not_be_looked_at_says_why() -> None:
    failed = Seen.from_result({"failed": True, "msg": "east: The connection failed: refused"})
    assert (failed.state, failed.problem, failed.standing) == (None, "east: The connection failed: refused", "not reached")
    assert Seen.from_result({"failed": True}).problem == "it gave no reason"
    nobody = Seen.from_result(None)
    assert (nobody.problem, nobody.standing) == (None, "not reached")


def test_a_server_that_was_looked_at_stands_somewhere() -> None:
    found = seen(offering())
    assert (found.standing, found.fqdn, found.problem) == ("offers HTTPS", FQDN, None)


# --- the plan ---------------------------------------------------------------------------------------------------------


def test_a_fresh_tree_has_everything_to_do() -> None:
    fresh = {name: seen(on(document(), FQDN if name != "top" else None, ssl=False), name) for name in EVERYBODY}
    plan = planned(fresh)
    assert (plan.finished, plan.moved) == ((), ())
    assert plan.waves == (("south",), ("east", "west"), ("top",))
    assert plan.downstream == {"top": ["east", "west"], "west": ["south"]}
    assert plan.lines[0] == "4 WSUS servers, 0 of them finished, in 3 waves."
    assert line(plan, "top").endswith("HTTP, will offer HTTPS")
    assert line(plan, "south").endswith("HTTP, its synchronization moves after its upstream, will offer HTTPS")
    assert "Wave 2: east, west" in plan.lines
    assert plan.lines[-1] == "TLS will not be required: clients go on reaching every server over HTTP until it is (wsus_require_tls: true)."
    assert line(planned(fresh, require_tls="now"), "top").endswith("will offer HTTPS and require TLS")
    assert "TLS will not be required" not in " ".join(planned(fresh, require_tls="now").lines)
    quietly = planned(fresh, require_tls="when_quiet")
    assert line(quietly, "top").endswith("will offer HTTPS and require TLS once nobody needs HTTP any more")
    assert quietly.lines[-1].endswith("once nobody needs plain HTTP of it any more (wsus_require_tls: when_quiet).")


def test_a_finished_tree_has_nothing_to_do() -> None:
    plan = planned(finished_tree())
    assert set(plan.finished) == set(EVERYBODY)
    assert set(plan.moved) == {"east", "west", "south"}
    assert plan.lines[0] == "4 WSUS servers, 4 of them finished, in 3 waves."
    assert line(plan, "south").endswith("offers HTTPS, synchronizes over TLS, finished")
    # A downstream server that has moved is still handed over: its state proves it.
    assert plan.downstream == {"top": ["east", "west"], "west": ["south"]}


def test_a_tree_that_offers_https_is_not_finished_where_tls_is_to_be_required() -> None:
    plan = planned(finished_tree(), require_tls="now")
    assert plan.finished == ()
    assert set(plan.moved) == {"east", "west", "south"}
    assert line(plan, "top").endswith("offers HTTPS, will require TLS")
    assert set(planned(finished_tree(required=True), require_tls="now").finished) == set(EVERYBODY)
    assert set(planned(finished_tree(required=True)).finished) == set(EVERYBODY)


def test_a_server_is_not_finished_before_its_downstream_servers_have_moved() -> None:
    found = {**finished_tree(), "south": seen(on(offering(), FQDN, ssl=False), "south")}
    plan = planned(found)
    assert "west" not in plan.finished
    assert "south" in plan.finished
    assert "top" in plan.finished
    assert plan.moved == ("east", "west")


@pytest.mark.parametrize("result", ["Failed", "due"])
def test_one_that_has_not_synchronized_since_its_source_was_changed_has_not_moved(result: str) -> None:
    lower = on(offering(), FQDN)
    if result == "due":
        lower["registry"][MARKS] = {"SynchronizationBefore": text(synchronized()["id"])}
    else:
        lower["wsus"]["last_synchronization"] = synchronized(1, result)
    plan = planned({**finished_tree(), "south": seen(lower, "south")})
    assert "south" not in plan.moved
    assert "west" not in plan.finished


def test_one_that_synchronizes_over_tls_by_another_name_or_port_has_not_moved() -> None:
    for upstream in ("alias.corp.example", FQDN):
        lower = on(offering(), upstream)
        lower["wsus"]["upstream"]["port"] = 8531 if upstream != FQDN else 443
        assert "south" not in planned({**finished_tree(), "south": seen(lower, "south")}).moved


def test_a_pool_that_differs_is_a_reason_not_to_be_finished() -> None:
    found = {**finished_tree(), "top": seen(on(offering(), pool=False), "top")}
    assert "top" not in planned(found).finished
    assert "east" in planned(found).finished
    assert "east" not in planned(found, east={"queue_length": 25000}).finished


def test_a_pending_restart_is_a_reason_not_to_be_finished() -> None:
    top = on(offering())
    top["registry"][MARKS] = {"RestartNeededSince": text("2026-11-20T00:00:00Z")}
    plan = planned({**finished_tree(), "top": seen(top, "top")})
    assert "top" not in plan.finished
    assert "restart pending, will offer HTTPS" in line(plan, "top")


def test_one_that_cannot_be_reached_is_shown_and_fails_its_own_wave_alone() -> None:
    plan = planned({**finished_tree(), "south": Seen(problem="south: The connection failed: refused")})
    assert line(plan, "south").endswith("cannot be looked at: The connection failed: refused")
    assert "south" not in plan.finished
    assert plan.waves[0] == ("south",)
    # Its synchronization is not turned in its upstream's wave, which would fail for it.
    assert plan.downstream == {"top": ["east", "west"]}
    assert line(planned({}), "top").endswith("cannot be looked at: nobody looked")


def test_what_stands_in_the_way_is_shown() -> None:
    found = on(document())
    found["certificates"]["My"] = {}
    plan = planned({**finished_tree(), "top": seen(found, "top")})
    assert "BLOCKED: The computer's Personal store has no certificate at all." in line(plan, "top")
    assert "top" not in plan.finished


def test_a_limit_narrows_what_is_touched_and_not_what_is_shown() -> None:
    plan = planned(finished_tree(), only=["west"])
    assert plan.waves == (("west",),)
    assert plan.finished == ("west",)
    assert plan.downstream == {"top": ["west"]}
    for name in ("top", "east", "south"):
        assert line(plan, name).endswith("not in this run (--limit): still to do")
    assert "Not in this run (--limit), left as they are: top, east, south" in plan.lines


def test_a_downstream_server_outside_of_the_run_does_not_hold_its_upstream_up() -> None:
    found = {**finished_tree(), "south": seen(on(offering(), FQDN, ssl=False), "south")}
    assert "west" in planned(found, only=["top", "east", "west"]).finished


def test_an_upstream_outside_of_the_inventory_is_part_of_being_finished() -> None:
    tree = build([Server("top", upstream_fqdn="hq.other.example")])
    assert planned({"top": seen(on(offering(), "hq.other.example"), "top")}, tree=tree).finished == ("top",)
    assert planned({"top": seen(on(offering(), "hq.other.example", ssl=False), "top")}, tree=tree).finished == ()
    unknown = seen(on(offering(), "hq.other.example"), "top")
    assert unknown.state is not None
    unknown.state["api"] = None
    assert planned({"top": unknown}, tree=tree).finished == ()


def test_a_server_whose_api_does_not_answer_has_not_moved() -> None:
    south = seen(on(offering(), FQDN), "south")
    assert south.state is not None
    south.state["api"] = None
    assert "south" not in planned({**finished_tree(), "south": south}).moved


# --- by which name an upstream is known --------------------------------------------------------------------------------


def test_an_upstream_is_known_by_the_inventorys_name_then_the_recorded_one_then_windows() -> None:
    fresh = {"top": seen(document(), "top")}
    assert upstream_address(TREE, "east", fresh) == ("top.corp.example", 8531)
    assert upstream_address(TREE, "east", {"top": seen(offering(), "top")}) == (FQDN, 8531)
    named = build([Server("top", fqdn="alias.corp.example"), Server("east", upstream="top")])
    assert upstream_address(named, "east", {"top": seen(offering(), "top")}) == ("alias.corp.example", 8531)


def test_an_upstream_that_is_not_known_has_no_address() -> None:
    assert upstream_address(TREE, "top", finished_tree()) is None
    assert upstream_address(TREE, "east", {}) is None
    found = document()
    found["registry"][SETUP + r"\Installed Role Services"]["UpdateServices-Services"] = dword(0)
    state = read(found)
    assert upstream_address(TREE, "east", {"top": Seen(state, {}, None)}) is None


def test_the_port_is_the_upstreams_own() -> None:
    found = document()
    found["registry"][SETUP]["PortNumber"] = dword(80)
    assert upstream_address(TREE, "east", {"top": seen(found, "top")}) == ("top.corp.example", 443)


# --- the table at the end ----------------------------------------------------------------------------------------------


URL = f"https://{FQDN}:8531"
WELL = Outcome(True, standing="offers HTTPS", url=URL, changes=("One.", "Two."))
DONE = Outcome(True, standing="requires TLS", url=URL)


def table(
    outcomes: Mapping[str, Outcome],
    *,
    found: Mapping[str, Seen] | None = None,
    moves: Mapping[str, Sequence[str]] | None = None,
    in_run: Sequence[str] = EVERYBODY,
    check_mode: bool = False,
    require_tls: Requirement = "never",
) -> list[str]:
    known = finished_tree() if found is None else found
    return result_lines(TREE, known, outcomes, moves or {}, in_run, check_mode=check_mode, require_tls=require_tls)


def row(lines: Sequence[str], name: str) -> list[str]:
    """The cells of a server's line."""
    return [cell.strip() for cell in next(one for one in lines[1:] if one.startswith(name)).split("  ") if cell.strip()]


def test_every_server_has_a_line_with_where_it_was_and_is_and_what_happened() -> None:
    found = {name: seen(document(), name) for name in EVERYBODY}
    outcomes = {
        "south": WELL,
        "east": Outcome(False, task="Bind the certificate", message="east: No certificate fits.", standing="HTTP"),
        "west": Outcome(False, task="Restart", message="The machine did not come back.", changes=("One.",)),
    }
    lines = table(outcomes, found=found, moves={"south": ["Synchronize once"]})
    assert lines[0].split() == ["SERVER", "WAS", "IS", "WHAT", "HAPPENED"]
    assert row(lines, "south") == ["south", "HTTP", "offers HTTPS", "3 changes"]
    assert row(lines, "east") == ["east", "HTTP", "HTTP", "FAILED in 'Bind the certificate', nothing changed before"]
    assert row(lines, "west") == ["west", "HTTP", "not known", "FAILED in 'Restart' after 1 change"]
    assert row(lines, "top") == ["top", "HTTP", "HTTP", "its wave did not start"]
    assert [one.split()[0] for one in lines[1:5]] == list(EVERYBODY)


def test_what_failed_is_told_with_the_server_and_how_to_go_on() -> None:
    outcomes = {
        "east": Outcome(False, task="Bind", message="east: No certificate fits."),
        "west": Outcome(False, task="Restart", message="The machine did not come back."),
    }
    told = "\n".join(table(outcomes))
    assert "\neast: No certificate fits.\n" in told
    assert "\nwest: The machine did not come back.\n" in told
    assert "1. Mend what failed on east, west, and run this again: it goes on where it stopped." in told
    assert "2. No wave was started for top, south; the next run does." in told


def test_a_failure_of_a_downstream_server_names_both() -> None:
    outcomes = dict.fromkeys(EVERYBODY, DONE) | {"west": Outcome(False, task="Move", message="south: The upstream is not ready.")}
    assert "west, for south: The upstream is not ready." in table(outcomes)
    outcomes["west"] = Outcome(False, task="Move", message="western: nothing that has this name.")
    assert "west: western: nothing that has this name." in table(outcomes)


def test_a_server_without_anything_to_do_was_finished_already() -> None:
    lines = table(dict.fromkeys(EVERYBODY, DONE))
    assert row(lines, "top")[-1] == "finished already, nothing to do"
    assert lines[-1] == "Nothing is left to do: every server requires TLS."


def test_a_server_that_waits_for_its_clients_is_not_said_to_be_finished() -> None:
    offers = dataclasses.replace(WELL, changes=())
    lines = table({**dict.fromkeys(EVERYBODY, DONE), "east": offers, "west": WELL}, require_tls="when_quiet")
    assert row(lines, "east")[-1] == "nothing to do yet, TLS waits for its clients"
    assert row(lines, "west")[-1] == f"{len(WELL.changes)} change{'s' * (len(WELL.changes) != 1)}; TLS waits for its clients"
    assert row(lines, "top")[-1] == "finished already, nothing to do"
    told = " ".join(" ".join(lines).split())
    assert "run this again, every night for one: TLS is required once nobody needs plain HTTP any more:" in told
    assert row(table({"east": offers}), "east")[-1] == "finished already, nothing to do"


def test_the_way_back_is_told_once_for_all() -> None:
    lines = table(dict.fromkeys(EVERYBODY, dataclasses.replace(DONE, notes=(TAKE_BACK, "A remark."))))
    told = " ".join(" ".join(lines).split())
    assert told.count(TAKE_BACK) == 1
    assert told.count("A remark.") == len(EVERYBODY)


def test_a_synchronization_that_was_turned_before_its_own_wave_is_told() -> None:
    lines = table({"west": Outcome(False, task="x", message="y")}, moves={"south": ["Synchronize once"]})
    assert row(lines, "south")[-1] == "its wave did not start; 1 change to its synchronization"


def test_until_tls_is_required_clients_and_their_url_are_told() -> None:
    lines = table({**dict.fromkeys(EVERYBODY, DONE), "east": WELL})
    told = " ".join(" ".join(lines).split())
    assert "Clients still reach these servers over HTTP. Give them the URL (securepatch.wsus.clients), and when all have it, run this" in told
    assert "wsus_require_tls=when_quiet, which waits until they have" in told
    assert f"   {URL}  (east)" in lines
    assert f"   {URL}  (top)" not in lines
    assert "Nothing is left to do" not in told


def test_a_failed_server_without_a_url_is_not_among_those_to_give_out() -> None:
    lines = table({"east": Outcome(False, task="x", message="y", standing="offers HTTPS", url="")})
    assert not any("(east)" in one for one in lines)


def test_a_restart_that_is_pending_is_told_until_it_was_done() -> None:
    told = " ".join(table({**dict.fromkeys(EVERYBODY, DONE), "east": Outcome(True, standing="restart pending")}))
    assert "Restart east: until then the new name is not in use" in told


def test_one_that_was_not_reached_when_planning_needs_another_run_for_its_synchronization() -> None:
    found = {**finished_tree(), "south": Seen(problem="refused")}
    lines = table(dict.fromkeys(EVERYBODY, DONE), found=found)
    assert row(lines, "south")[1] == "not reached"
    assert "Run this again for the synchronization of south" in " ".join(lines)
    # A top has none of the inventory to move to.
    assert "Run this again" not in " ".join(table(dict.fromkeys(EVERYBODY, DONE), found={**finished_tree(), "top": Seen(problem="refused")}))


def test_servers_outside_of_the_run_are_still_to_do() -> None:
    lines = table({"east": DONE}, in_run=["east"])
    assert row(lines, "top") == ["top", "-", "-", "not in this run (--limit): still to do"]
    assert "1. Run this for top, west, south: this run was limited to others." in lines


def test_notes_and_what_was_not_checked_are_told() -> None:
    outcomes = {**dict.fromkeys(EVERYBODY, DONE), "east": Outcome(True, standing="requires TLS", checked="not checked", notes=("Windows waits.",))}
    lines = table(outcomes)
    assert "east: Windows waits." in lines
    assert "Not checked from outside: east." in lines
    assert not any(one.startswith("Not checked") for one in table(dict.fromkeys(EVERYBODY, DONE)))


def test_in_check_mode_every_change_of_every_server_is_shown() -> None:
    outcomes = {**dict.fromkeys(EVERYBODY, DONE), "east": Outcome(True, standing="offers HTTPS", url=URL, changes=("Bind it", "Tell WSUS"))}
    lines = table(outcomes, moves={"east": ["Synchronize once"]}, check_mode=True)
    assert "WOULD BE" in lines[0]
    assert "WOULD HAPPEN" in lines[0]
    assert row(lines, "east")[-1] == "3 changes to make"
    at = lines.index("east:")
    assert [one.lstrip("- ") for one in lines[at + 1 : at + 4]] == ["Bind it", "Tell WSUS", "Synchronize once"]
    assert lines[-1] == "Check mode: nothing was changed."
    assert "Give them the URL" not in " ".join(lines)
    assert "top:" not in lines


def test_long_sentences_are_wrapped_and_no_word_is_cut() -> None:
    message = "east: " + " ".join(["https://a-very-long-name-of-a-server.corp.example:8531"] * 8)
    lines = table({"east": Outcome(False, task="x", message=message)})
    assert all(len(one) <= WIDTH for one in lines)
    assert " ".join(lines).count("https://a-very-long-name-of-a-server.corp.example:8531") == 8
    word = "x" * (WIDTH + 10)
    assert any(word in one for one in table({"east": Outcome(False, task="x", message=word)}))
