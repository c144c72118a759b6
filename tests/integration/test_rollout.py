# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The rollout, by real ansible-playbook over a lab: its order, its waves that stop, what it says, and that a second run goes on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.certificates import pem
from tests.integration.controller import ROOT, Controller
from tests.integration.rollouts import (
    QUICK,
    ROLLOUT,
    assert_nothing_to_do,
    change_trips,
    changes,
    documents,
    last_synchronization,
    listed_changes,
    locked_out,
    masked,
    offers,
    plan,
    requires,
    rollout,
    said,
    set_variables,
    source,
    table,
    watched,
    waves,
)
from tests.lab.host import Trip
from tests.lab.lab import Lab

NINE = ROOT / "tests" / "lab" / "fleets" / "nine_with_certificates.yml"
TWO: dict[str, Any] = {"servers": {"wsus01": {}, "wsus02": {"upstream": "wsus01"}}}
THREE: dict[str, Any] = {"servers": {"wsus01": {}, "wsus02": {"upstream": "wsus01"}, "wsus03": {"upstream": "wsus01"}}}
#: Servers of a domain with a CA that nobody trusts yet, and no certificate anywhere.
NOTHING: dict[str, Any] = {
    "ca": {},
    "variables": {"certificate_source": "enterprise_ca", "certificate_key_algorithm": "ECDSA_P256", "trust_authorities": ["{ca_chain_file}"]},
    "defaults": {"certificate": "none", "trusts_ca": False, "intermediates": False},
}

Start = Callable[..., Controller]


def is_move(trip: Trip) -> bool:
    """Whether a trip turned a server's synchronization."""
    return "synchronization" in trip.changes


def is_requirement(trip: Trip) -> bool:
    return "access" in trip.changes


def upstreams(lab: Lab) -> dict[str, str]:
    """Upstreams by downstream server."""
    return {name: server.upstream for name, server in lab.fleet.servers.items() if server.upstream}


def assert_moved_after_their_upstream(lab: Lab) -> None:
    """Every downstream server was turned once, synchronized once after its upstream was restarted, and that succeeded, over TLS."""
    done = change_trips(lab)
    for name, upstream in upstreams(lab).items():
        (move,) = [trip for trip in done[name] if is_move(trip)]
        restarted = next(trip for trip in done[upstream] if "restart_service" in trip.changes)
        assert restarted.number < move.number, f"{name} was turned before {upstream} offered HTTPS"
        assert [trip.number for trip in done[name] if "start_synchronization" in trip.changes] == [move.number]
        assert last_synchronization(lab, name) == "Succeeded"
        assert source(lab, name)["ssl"] is True


# --- the whole way ---------------------------------------------------------------------------------------------------


def test_bottom_up_over_nine_servers_and_then_tls_is_required(controller: Start) -> None:
    fleet = controller(NINE)
    lab = fleet.lab
    with watched(lab) as problems:
        first = rollout(fleet)
    assert first.code == 0, first.output
    assert problems == []
    assert waves(first) == [["wsus05", "wsus06", "wsus07", "wsus08", "wsus09"], ["wsus02", "wsus03", "wsus04"], ["wsus01"]]
    done = change_trips(lab)
    for name, upstream in upstreams(lab).items():
        own = [trip for trip in done[name] if not is_move(trip)]
        assert own[-1].number < done[upstream][0].number, f"{upstream} was begun before {name}, below it, offered HTTPS"
    assert_moved_after_their_upstream(lab)
    assert [name for name in lab.fleet.servers if not offers(lab, name)] == []
    assert {now for _was, now, _happened in table(first).values()} == {"offers HTTPS"}
    assert all(f"https://{url}" in said(first) for url in ("wsus01.corp.example:8531", "wsus03.corp.example:9443", "updates.west.corp.example:8531"))

    since = len(lab.trips)
    with watched(lab) as problems:
        second = rollout(fleet, wsus_require_tls=True)
    assert second.code == 0, second.output
    assert problems == []
    assert {change for trips_of in change_trips(lab, since).values() for trip in trips_of for change in trip.changes} == {"access"}
    assert [name for name in lab.fleet.servers if not requires(lab, name)] == []
    assert said(second) == (
        "TLS is required from now on. Where somebody is turned away who must not be, iis_require_ssl with state: absent takes it back at once. "
        "Nothing is left to do: every server requires TLS."
    )

    assert_nothing_to_do(fleet, wsus_require_tls=True)


def test_top_down_over_nine_servers_all_in_one_run(controller: Start) -> None:
    fleet = controller(NINE)
    lab = fleet.lab
    with watched(lab) as problems:
        run = rollout(fleet, wsus_strategy="top_down", wsus_require_tls=True)
    assert run.code == 0, run.output
    assert problems == []
    assert waves(run) == [["wsus01"], ["wsus02", "wsus03", "wsus04"], ["wsus05", "wsus06", "wsus07", "wsus08", "wsus09"]]
    done = change_trips(lab)
    for name, upstream in upstreams(lab).items():
        (requirement,) = [trip for trip in done[upstream] if is_requirement(trip)]
        (move,) = [trip for trip in done[name] if is_move(trip)]
        assert move.number < requirement.number, f"{upstream} required TLS before {name} had moved"
        assert requirement.number < min(trip.number for trip in done[name] if not is_move(trip)), f"{name} was begun before {upstream} was done"
    assert_moved_after_their_upstream(lab)
    assert [name for name in lab.fleet.servers if not requires(lab, name)] == []
    # What is kept of a server is from before its first change: before its synchronization was turned, in its upstream's wave.
    kept = sorted((fleet.folder / "backup").glob("wsus05-*.json"))[0]
    assert json.loads(kept.read_text())["api"]["synchronization"]["upstream_ssl"] is False


@pytest.mark.every_core
def test_two_servers_and_a_second_run_that_costs_one_trip_each(controller: Start) -> None:
    fleet = controller(TWO)
    first = rollout(fleet)
    assert first.code == 0, first.output
    assert_moved_after_their_upstream(fleet.lab)
    assert offers(fleet.lab, "wsus01")
    assert offers(fleet.lab, "wsus02")
    assert_nothing_to_do(fleet)
    required = rollout(fleet, wsus_require_tls=True)
    assert required.code == 0, required.output
    assert requires(fleet.lab, "wsus01")
    assert requires(fleet.lab, "wsus02")
    assert_nothing_to_do(fleet, wsus_require_tls=True)


def test_trips_of_a_server_that_changes(controller: Start) -> None:
    """At most two for each module that changes something, beside the looks before and after; waiting for a synchronization apart."""
    fleet = controller({"servers": {"wsus01": {}}})
    run = rollout(fleet, wsus_require_tls=True)
    assert run.code == 0, run.output
    changed = [each for each in run.changed if "https_server : " in each]
    assert len(changed) == 5, "pool, binding, name, restart, requirement"
    # The plan looks, the wave looks afresh, each module hands its state on to the next, and the report has a look of its own.
    assert len(fleet.lab.trips) == 3 + len(changed)


def test_servers_that_restart_as_a_whole_with_become(controller: Start) -> None:
    fleet = controller(TWO | {"restart_seconds": 0.3})
    become = {"ansible_become": True, "ansible_become_method": "runas", "ansible_become_user": "SYSTEM"}
    run = rollout(fleet, wsus_require_tls=True, https_server_restart="reboot", **become)
    assert run.code == 0, run.output
    assert {trip.become_user for trip in fleet.lab.trips} == {"SYSTEM"}
    assert [one.server for one in fleet.lab.raw_commands if one.command == "restart"] == ["wsus02", "wsus01"]
    assert requires(fleet.lab, "wsus01")
    assert requires(fleet.lab, "wsus02")


# --- check mode ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["bottom_up", "top_down"])
def test_check_mode_shows_every_change_that_the_run_then_makes(controller: Start, strategy: str) -> None:
    fleet = controller({"servers": {**THREE["servers"], "wsus03": {"upstream": "wsus01", "stage": "offered", "certificate": "two"}}})
    before = documents(fleet.lab)
    foretold = rollout(fleet, "--check", wsus_require_tls=True, wsus_strategy=strategy)
    assert foretold.code == 0, foretold.output
    assert documents(fleet.lab) == before
    assert change_trips(fleet.lab) == {}
    assert "Check mode: nothing was changed." in said(foretold)

    real = rollout(fleet, wsus_require_tls=True, wsus_strategy=strategy)
    assert real.code == 0, real.output
    made = {name: sorted(sentences) for name, sentences in changes(real).items()}
    assert {name: sorted(sentences) for name, sentences in changes(foretold).items()} == made
    assert {name: sorted(sentences) for name, sentences in listed_changes(foretold).items()} == made
    assert set(made) == {"wsus01", "wsus02", "wsus03"}
    would, did = table(foretold), table(real)
    assert {name: row[:2] for name, row in would.items()} == {name: row[:2] for name, row in did.items()}
    assert {name: row[2].removesuffix(" to make") for name, row in would.items()} == {name: row[2] for name, row in did.items()}


def test_in_check_mode_nothing_stops(controller: Start) -> None:
    servers = {**THREE["servers"], "wsus02": {"upstream": "wsus01", "certificate": "expired"}}
    fleet = controller({"servers": {**servers, "wsus04": {"upstream": "wsus01", "faults": {"unreachable": True}}}})
    run = rollout(fleet, "--check")
    assert run.code != 0
    shown = table(run)
    assert shown["wsus02"][2].startswith("FAILED in ")
    assert shown["wsus04"][0] == "not reached"
    assert shown["wsus03"][1:] == ("offers HTTPS", f"{len(changes(run)['wsus03'])} changes to make")
    assert shown["wsus01"][1:] == ("offers HTTPS", f"{len(changes(run)['wsus01'])} changes to make")


# --- a server that fails ---------------------------------------------------------------------------------------------


def test_a_failing_server_lets_its_wave_finish_and_no_later_wave_start(controller: Start) -> None:
    fleet = controller(THREE)
    fleet.lab.arm("wsus02", changes={"wsusutil configuressl": "The database is not there"})
    run = rollout(fleet)
    assert run.code != 0
    assert table(run) == {
        "wsus01": ("HTTP", "HTTP", "its wave did not start"),
        "wsus02": ("HTTP", "half-way", f"FAILED in 'Tell WSUS its name' after {len(changes(run)['wsus02']) + 1} changes"),
        "wsus03": ("HTTP", "offers HTTPS", f"{len(changes(run)['wsus03'])} changes"),
    }
    assert "wsus01" not in change_trips(fleet.lab)
    assert offers(fleet.lab, "wsus03")
    assert locked_out(fleet.lab) == []
    for words in (
        "wsus02: Tell WSUS that it is wsus02.corp.example over TLS",
        "The database is not there",
        "Mend what failed on wsus02, and run this again",
        "No wave was started for wsus01",
        "Clients still reach these servers over HTTP.",
        "https://wsus03.corp.example:8531 (wsus03)",
    ):
        assert words in said(run)

    fleet.lab.heal()
    again = rollout(fleet)
    assert again.code == 0, again.output
    assert table(again)["wsus03"][2] == f"{len(changes(again)['wsus03'])} changes", "its synchronization, turned in the wave of wsus01"
    assert "pending" not in said(again), "the restart that was pending at first was done"
    assert_moved_after_their_upstream(fleet.lab)


@pytest.mark.every_core
def test_an_unreachable_server_fails_its_own_wave(controller: Start) -> None:
    fleet = controller(THREE)
    fleet.lab.arm("wsus02", unreachable=True)
    run = rollout(fleet)
    assert run.code != 0
    assert any("wsus02" in line and "cannot be looked at: The connection failed: " in line for line in plan(run))
    assert table(run) == {
        "wsus01": ("HTTP", "HTTP", "its wave did not start"),
        "wsus02": ("not reached", "not known", "FAILED in 'See that nothing is in the way', nothing changed before"),
        "wsus03": ("HTTP", "offers HTTPS", f"{len(changes(run)['wsus03'])} changes"),
    }
    fleet.lab.heal()
    again = rollout(fleet)
    assert again.code == 0, again.output
    assert_moved_after_their_upstream(fleet.lab)


def test_an_unreachable_downstream_server_does_not_fail_its_upstream(controller: Start) -> None:
    fleet = controller({"servers": {**THREE["servers"], "wsus04": {"upstream": "wsus02"}}})
    fleet.lab.arm("wsus03", unreachable=True)
    run = rollout(fleet, wsus_strategy="top_down")
    assert run.code != 0
    shown = table(run)
    assert (shown["wsus01"][1], shown["wsus02"][1]) == ("offers HTTPS", "offers HTTPS")
    assert shown["wsus03"] == ("not reached", "not known", "FAILED in 'See that nothing is in the way', nothing changed before")
    assert shown["wsus04"][2].startswith("its wave did not start; ")
    # Its upstream must not shut it out meanwhile.
    required = rollout(fleet, wsus_strategy="top_down", wsus_require_tls=True)
    assert table(required)["wsus01"] == ("offers HTTPS", "offers HTTPS", "FAILED in 'Require TLS on the five web services', nothing changed before")
    assert "wsus03.corp.example" in said(required)
    fleet.lab.heal()
    assert locked_out(fleet.lab) == []
    done = rollout(fleet, wsus_strategy="top_down", wsus_require_tls=True)
    assert done.code == 0, done.output
    assert_moved_after_their_upstream(fleet.lab)


def test_as_many_servers_may_fail_as_the_run_allows(controller: Start) -> None:
    fleet = controller(THREE)
    fleet.lab.arm("wsus02", changes={"http.sys": "The handle is invalid"})
    run = rollout(fleet, wsus_max_failures="1")
    assert run.code != 0
    shown = table(run)
    assert shown["wsus02"][2].startswith("FAILED in 'Bind the certificate'")
    assert (shown["wsus01"][1], shown["wsus03"][1]) == ("offers HTTPS", "offers HTTPS")
    # HTTP goes on on the one that failed, and its upstream is there for it over TLS.
    assert (source(fleet.lab, "wsus02")["ssl"], source(fleet.lab, "wsus03")["ssl"]) == (True, True)
    assert locked_out(fleet.lab) == []


def test_each_batch_is_what_a_wave_is(controller: Start) -> None:
    leaves = {f"wsus0{number}": {"upstream": "wsus01"} for number in (2, 3, 4, 5)}
    fleet = controller({"servers": {"wsus01": {}, **leaves}})
    fleet.lab.arm("wsus02", changes={"commit iis": "Access is denied"})
    run = rollout(fleet, wsus_batch="50%")
    assert run.code != 0
    assert waves(run) == [["wsus02", "wsus03"], ["wsus04", "wsus05"], ["wsus01"]]
    assert set(change_trips(fleet.lab)) == {"wsus02", "wsus03"}
    assert offers(fleet.lab, "wsus03")
    assert waves(rollout(fleet, "--check", wsus_batch="1")) == [["wsus02"], ["wsus03"], ["wsus04"], ["wsus05"], ["wsus01"]]


def test_configuration_manager_on_a_downstream_server(controller: Start) -> None:
    fleet = controller({"servers": {"wsus01": {}, "wsus02": {"upstream": "wsus01", "configuration_manager": True}}})
    run = rollout(fleet)
    assert run.code != 0
    assert table(run)["wsus01"][1:] == (
        "offers HTTPS",
        f"FAILED in 'Turn the synchronization of its downstream servers' after {len(changes(run)['wsus01'])} changes",
    )
    assert "wsus01, for wsus02: Configuration Manager is on this machine" in said(run)
    assert source(fleet.lab, "wsus02")["ssl"] is False
    again = rollout(fleet, wsus_configuration_manager="acknowledged")
    assert again.code == 0, again.output
    assert source(fleet.lab, "wsus02")["ssl"] is True
    assert "'Require SSL communication'" in said(again)


# --- only some of the servers ----------------------------------------------------------------------------------------


def test_limit_narrows_what_is_touched(controller: Start) -> None:
    fleet = controller(THREE)
    before = documents(fleet.lab)
    fleet.lab.arm("wsus03", changes={"commit iis": "Access is denied"})
    failed = rollout(fleet, "--limit", "wsus02,wsus03")
    assert failed.code != 0
    assert table(failed)["wsus01"] == ("-", "-", "not in this run (--limit): still to do")
    assert any("wsus01" in line and "not in this run (--limit)" in line for line in plan(failed))
    assert "Run this for wsus01: this run was limited to others." in said(failed)
    assert documents(fleet.lab)["wsus01"] == before["wsus01"]
    assert offers(fleet.lab, "wsus02")

    fleet.lab.heal()
    second = documents(fleet.lab)
    relaunched = rollout(fleet, "--limit", "wsus03")
    assert relaunched.code == 0, relaunched.output
    assert offers(fleet.lab, "wsus03")
    others = {name: document for name, document in documents(fleet.lab).items() if name != "wsus03"}
    assert others == {name: document for name, document in second.items() if name != "wsus03"}

    # TLS is not required while one that was left out has not been seen to have moved.
    alone = rollout(fleet, "--limit", "wsus01", wsus_require_tls=True)
    assert alone.code != 0
    assert "wsus02.corp.example" in said(alone)
    assert "wsus03.corp.example" in said(alone)
    assert offers(fleet.lab, "wsus01")

    whole = rollout(fleet, wsus_require_tls=True)
    assert whole.code == 0, whole.output
    assert_moved_after_their_upstream(fleet.lab)


# --- what is not in the inventory ------------------------------------------------------------------------------------


def test_an_upstream_outside_the_inventory_that_offers_https(controller: Start) -> None:
    headquarters = {"in_inventory": False, "stage": "offered"}
    fleet = controller({"servers": {"hq": headquarters, "wsus01": {"upstream": "hq"}, "wsus02": {"upstream": "wsus01"}}})
    outside = source(fleet.lab, "hq")
    run = rollout(fleet, wsus_require_tls=True)
    assert run.code == 0, run.output
    assert source(fleet.lab, "wsus01") | {"name": "hq.corp.example", "ssl": True, "port": 8531} == source(fleet.lab, "wsus01")
    assert last_synchronization(fleet.lab, "wsus01") == "Succeeded"
    assert {trip.server for trip in fleet.lab.trips} == {"wsus01", "wsus02"}, "it is never touched"
    assert source(fleet.lab, "hq") == outside
    assert_nothing_to_do(fleet, wsus_require_tls=True)


def test_an_upstream_outside_the_inventory_that_does_not_offer_https(controller: Start) -> None:
    fleet = controller({"servers": {"hq": {"in_inventory": False}, "wsus01": {"upstream": "hq"}}})
    run = rollout(fleet)
    assert run.code == 0, run.output
    assert table(run)["wsus01"][1] == "offers HTTPS"
    assert source(fleet.lab, "wsus01")["ssl"] is False
    assert "wsus01: Its synchronization stays as it is." in said(run)
    assert "hq.corp.example" in said(run)
    assert locked_out(fleet.lab) == []


def test_tls_is_not_required_while_a_downstream_server_that_nobody_named_comes_over_http(controller: Start) -> None:
    branch = {"upstream": "wsus01", "in_inventory": False}
    fleet = controller({"servers": {"wsus01": {}, "wsus02": {"upstream": "wsus01"}, "branch": branch}})
    run = rollout(fleet, wsus_require_tls=True)
    assert run.code != 0
    assert "wsus01: These downstream servers still come over HTTP and would be turned away: branch.corp.example" in said(run)
    assert offers(fleet.lab, "wsus01")
    assert requires(fleet.lab, "wsus02")
    assert locked_out(fleet.lab) == []
    allowed = rollout(fleet, wsus_require_tls=True, https_server_ignore_downstream=["branch.corp.example"])
    assert allowed.code == 0, allowed.output
    assert requires(fleet.lab, "wsus01")


# --- certificates and trust ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["bottom_up", pytest.param("top_down", marks=pytest.mark.every_core)])
def test_from_no_certificate_and_no_trust_to_tls_required(controller: Start, strategy: str) -> None:
    fleet = controller({**NOTHING, "servers": THREE["servers"]})
    lab, variables = fleet.lab, {"wsus_require_tls": True, "wsus_strategy": strategy}
    before = documents(lab)
    foretold = rollout(fleet, "--check", **variables)
    assert foretold.code == 0, foretold.output
    assert (documents(lab), change_trips(lab), lab.ca.requests) == (before, {}, [])
    with watched(lab) as problems:
        real = rollout(fleet, **variables)
    assert real.code == 0, real.output
    assert problems == []
    assert plan(real) == plan(foretold)
    assert any("HTTP, will obtain a certificate and offer HTTPS and require TLS" in line for line in plan(real))
    # Check mode cannot know a certificate that is still to come; all else it says as it is then done, and in the table once.
    did = masked(changes(real))
    assert masked(listed_changes(foretold)) == did
    assert {name: sorted(set(sentences)) for name, sentences in masked(changes(foretold)).items()} == did
    assert {name: row[:2] for name, row in table(foretold).items()} == {name: row[:2] for name, row in table(real).items()}
    assert {name: row[2].removesuffix(" to make") for name, row in table(foretold).items()} == {name: row[2] for name, row in table(real).items()}
    assert {name: row[2] for name, row in table(real).items()} == {name: f"{len(sentences)} changes" for name, sentences in did.items()}
    assert_moved_after_their_upstream(lab)
    for name, trips_of in change_trips(lab).items():
        kinds = [change for trip in trips_of for change in trip.changes]
        assert kinds.index("trust") < kinds.index("certificate_enroll") < kinds.index("binding"), name
        assert "synchronization" not in kinds[: kinds.index("trust")], name
        assert requires(lab, name)
    assert {one.server for one in lab.ca.requests} == set(lab.fleet.servers)
    assert len(lab.ca.requests) == 3
    assert_nothing_to_do(fleet, **variables)


def test_a_request_that_the_ca_leaves_pending_fails_its_wave_and_is_collected_by_the_next_run(controller: Start) -> None:
    fleet = controller({**NOTHING, "servers": THREE["servers"]})
    lab = fleet.lab
    lab.ca.mode = "pending"
    assert "Request 1 is pending at" in said(rollout(fleet, "--limit", "wsus02"))
    lab.ca.mode = "issue"
    run = rollout(fleet)
    assert run.code != 0
    shown = table(run)
    assert shown["wsus02"] == ("HTTP", "HTTP", "FAILED in 'Ask the enterprise CA as the computer account', nothing changed before")
    assert shown["wsus03"][1] == "offers HTTPS"
    assert shown["wsus01"] == ("HTTP", "HTTP", "its wave did not start")
    assert "wsus02: Request 1 is pending at CA01.corp.example\\Lab Issuing CA 1: a manager of the CA has to issue it" in said(run)
    assert "Mend what failed on wsus02, and run this again" in said(run)
    assert locked_out(lab) == []
    lab.ca.decide(1, "issue")
    again = rollout(fleet)
    assert again.code == 0, again.output
    assert [(one.number, one.server) for one in lab.ca.requests if one.server == "wsus02"] == [(1, "wsus02")], "no other was asked for"
    assert_moved_after_their_upstream(lab)
    assert_nothing_to_do(fleet)


def test_requests_for_any_ca_are_waited_for_and_then_it_goes_on(controller: Start) -> None:
    fleet = controller({**NOTHING, "ca": None, "servers": TWO["servers"]})
    lab, variables = fleet.lab, {"certificate_source": "csr"}
    first = rollout(fleet, **variables, wsus_max_failures=2)
    assert first.code != 0
    for name in ("wsus01", "wsus02"):
        assert table(first)[name] == ("HTTP", "HTTP", f"FAILED in 'Wait for its certificate' after {len(changes(first)[name])} changes")
        assert f"{name}: The request for its certificate waits for an answer. Have wsus-requests/{name}.csr signed by the CA" in said(first)
    assert {kind for trips_of in change_trips(lab).values() for trip in trips_of for kind in trip.changes} == {"trust", "certificate_request"}
    since = len(lab.trips)
    still = rollout(fleet, **variables)
    assert still.code != 0
    assert table(still)["wsus02"] == ("HTTP", "HTTP", "FAILED in 'Wait for its certificate', nothing changed before")
    assert table(still)["wsus01"][2] == "its wave did not start"
    assert change_trips(lab, since) == {}
    for name in ("wsus01", "wsus02"):
        file = fleet.folder / "wsus-requests" / f"{name}.csr"
        file.with_suffix(".cer").write_bytes(pem(lab.authorities.lab.sign(file.read_text())))
    done = rollout(fleet, **variables)
    assert done.code == 0, done.output
    assert {now for _was, now, _happened in table(done).values()} == {"offers HTTPS"}
    assert_moved_after_their_upstream(lab)
    assert_nothing_to_do(fleet, **variables)


def test_a_downstream_server_is_given_the_trust_in_its_upstream_before_it_moves(controller: Start) -> None:
    # wsus02's own certificate is of a CA that it does trust; that of its upstream is not.
    downstream = {"upstream": "wsus01", "certificate": "untrusted_ca", "trusts_ca": ["other"]}
    fleet = controller({"servers": {"wsus01": {}, "wsus02": downstream}})
    lab = fleet.lab
    both = fleet.folder / "both.pem"
    both.write_text(lab.ca_chain_file.read_text() + lab.other_ca_file.read_text())
    variables = {"wsus_strategy": "top_down", "https_server_ca_file": str(both)}

    # With the wrong file nothing is changed on it, and it goes on synchronizing over HTTP.
    set_variables(lab, "wsus02", trust_authorities=[str(lab.other_ca_file)])
    before = documents(lab)["wsus02"]
    wrong = rollout(fleet, **variables)
    assert wrong.code != 0
    assert table(wrong)["wsus01"][2].startswith("FAILED in 'See that its downstream servers trust it' after ")
    assert table(wrong)["wsus02"] == ("HTTP", "HTTP", "its wave did not start")
    assert "wsus02: this server does not trust the certificate found at wsus01.corp.example:8531" in said(wrong)
    assert "None of the authorities that were given is the root above it" in said(wrong)
    assert documents(lab)["wsus02"] == before
    assert locked_out(lab) == []

    set_variables(lab, "wsus02", trust_authorities=[str(both)])
    right = rollout(fleet, **variables)
    assert right.code == 0, right.output
    kinds = [change for trip in change_trips(lab)["wsus02"] for change in trip.changes]
    assert kinds.index("trust") < kinds.index("synchronization")
    assert kinds.count("trust") == 1, "the root; the others were there"
    assert_moved_after_their_upstream(lab)
    assert table(right)["wsus02"][2] == f"{len(changes(right)['wsus02'])} changes"
    assert_nothing_to_do(fleet, **variables)


def test_a_file_of_authorities_that_cannot_be_used_stops_the_rollout_before_anything_is_changed(controller: Start) -> None:
    fleet = controller({**NOTHING, "servers": TWO["servers"]})
    lab, before = fleet.lab, documents(fleet.lab)
    leaf = fleet.folder / "leaf.pem"
    leaf.write_text(lab.authorities.lab.issue("wsus01.corp.example", ["wsus01.corp.example"]).certificate_pem)
    for file, why in {leaf: "is no authority: whoever has its key could become anybody", leaf.with_name("none.pem"): "No such file"}.items():
        run = rollout(fleet, wsus_max_failures=2, trust_authorities=[str(lab.ca_chain_file), str(file)])
        assert run.code != 0
        assert f"wsus01: {'' if file == leaf else 'The file of authorities '}" in said(run)
        assert why in said(run)
        assert (documents(lab), lab.ca.requests) == (before, [])
    assert rollout(fleet).code == 0

    # Servers that are finished are given what they do not trust yet, and nothing else.
    both = {"trust_authorities": [str(lab.ca_chain_file), str(lab.other_ca_file)]}
    more = rollout(fleet, **both)
    assert more.code == 0, more.output
    assert [line.endswith(", will trust more authorities") for line in plan(more) if "offers HTTPS" in line] == [True, True]
    (added,) = {sentence for sentences in changes(more).values() for sentence in sentences}
    assert added.endswith("(CN=Other Root CA) to the store Trusted Root Certification Authorities")
    assert table(more) == dict.fromkeys(("wsus01", "wsus02"), ("offers HTTPS", "offers HTTPS", "1 change"))
    assert_nothing_to_do(fleet, **both)


# --- how it is told --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"wsus_strategy": "sideways"}, 'The strategy (wsus_strategy) is "sideways"; it may be bottom_up or top_down.'),
        ({"wsus_batch": "lots"}, 'The batch (wsus_batch) is "lots"; it may be a number of servers such as 5'),
    ],
)
def test_a_setting_that_cannot_be(controller: Start, variables: dict[str, Any], message: str) -> None:
    fleet = controller(TWO)
    run = rollout(fleet, **variables)
    assert run.code != 0
    assert message in run.of("Fail where there was no plan")["msg"]
    assert table(run)["wsus01"] == ("HTTP", "HTTP", "its wave did not start")
    assert change_trips(fleet.lab) == {}


def test_whether_tls_is_required_may_come_as_text(controller: Start) -> None:
    fleet = controller({"servers": {"wsus01": {}}})
    for text, expected in (("true", "requires TLS"), ("yes", "requires TLS"), ("false", "offers HTTPS")):
        run = rollout(fleet, "--check", wsus_require_tls=text)
        assert table(run)["wsus01"][1] == expected, text


def test_imported_and_told_by_group_variables_some_of_them_in_a_vault(controller: Start) -> None:
    fleet = controller(TWO)
    password = fleet.folder / "vault-password"
    password.write_text("a password of the tests\n")
    variables = fleet.lab.inventory.parent / "group_vars" / "wsus_servers"
    variables.mkdir(parents=True)
    (variables / "settings.yml").write_text("wsus_require_tls: 'true'\n" + in_vault(password, "wsus_strategy", "top_down"))
    hosts = fleet.lab.inventory.parent / "host_vars"
    hosts.mkdir()
    content = yaml.safe_load(fleet.lab.inventory.read_text())
    del content["wsus_servers"]["hosts"]["wsus02"]["wsus_upstream"]
    fleet.lab.inventory.write_text(yaml.safe_dump(content, sort_keys=False))
    (hosts / "wsus02.yml").write_text(in_vault(password, "wsus_upstream", "wsus01"))

    mine = [{"name": "WSUS goes to HTTPS", "import_playbook": ROLLOUT}]
    run = fleet.playbook(mine, "--vault-password-file", str(password), **QUICK)
    assert run.code == 0, run.output
    assert waves(run) == [["wsus01"], ["wsus02"]]
    assert requires(fleet.lab, "wsus01")
    assert requires(fleet.lab, "wsus02")


def in_vault(password: Path, name: str, value: str) -> str:
    """A variable as `ansible-vault encrypt_string` writes it."""
    command = [str(Path(sys.executable).parent / "ansible-vault"), "encrypt_string", "--vault-password-file", str(password), "--name", name, value]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout + "\n"
