# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The checks of the audit in a rollout: before a server is changed, after it was, and the report that is left."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.controller import Controller
from tests.integration.rollouts import change_trips, documents, offers, rollout, said, set_variables, table
from tests.lab.authority import Authority

ONE: dict[str, Any] = {"servers": {"wsus01": {}}}
TWO: dict[str, Any] = {"servers": {"wsus01": {}, "wsus02": {"upstream": "wsus01"}}}
IN_THE_WAY = "FAILED in 'See that nothing is in the way', nothing changed before"

Start = Callable[..., Controller]


def reports(fleet: Controller, folder: str = "wsus-rollout") -> list[Path]:
    """The folders of the runs that reported, the first one first."""
    return sorted((fleet.folder / folder).glob("*"))


def audit(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "audit.json").read_text(encoding="utf-8"))
    return found


def results(found: dict[str, Any], server: str) -> dict[str, str]:
    one = next(each for each in found["servers"] if each["name"] == server)
    return {finding["check"]: finding["result"] for finding in one["findings"]}


# --- before a server is changed ----------------------------------------------------------------------------------------------


def test_a_synchronization_that_runs_is_waited_for_before_anything_is_touched(controller: Start) -> None:
    fleet = controller(ONE)
    machine = fleet.lab.machine("wsus01")
    with machine.lock:
        machine.document["wsus"]["synchronization_status"] = "Running"
    foretold = rollout(fleet, "--check")
    assert foretold.code == 0, foretold.output
    assert foretold.of("Show what to know before")["msg"] == ["One runs, or WSUS still works on its configuration. Nothing: it will be waited for."]
    changed_while_it_ran: list[Any] = []

    def end() -> None:
        while len(fleet.lab.trips) < looked + 4:
            time.sleep(0.05)
        with machine.lock:
            changed_while_it_ran.extend(change_trips(fleet.lab, looked).values())
            machine.document["wsus"]["synchronization_status"] = "NotProcessing"

    looked = len(fleet.lab.trips)
    ending = threading.Thread(target=end)
    ending.start()
    run = rollout(fleet)
    ending.join()
    assert run.code == 0, run.output
    assert changed_while_it_ran == []
    assert offers(fleet.lab, "wsus01")


def test_a_synchronization_that_does_not_end_fails_its_server_untouched(controller: Start) -> None:
    fleet = controller(TWO)
    machine = fleet.lab.machine("wsus02")
    with machine.lock:
        machine.document["wsus"]["synchronization_status"] = "Running"
    before = documents(fleet.lab)
    run = rollout(fleet, wsus_synchronization_timeout=1)
    assert run.code == 2
    assert table(run)["wsus02"] == ("HTTP", "HTTP", IN_THE_WAY)
    assert table(run)["wsus01"][2] == "its wave did not start"
    assert "wsus02: One runs, or WSUS still works on its configuration. Wait until it is over" in said(run)
    assert "Nothing was changed." in said(run)
    assert documents(fleet.lab) == before


def test_a_certificate_that_the_controller_will_not_trust_is_not_bound(controller: Start, tmp_path: Path) -> None:
    fleet = controller(ONE)
    other = tmp_path / "other.pem"
    other.write_text(Authority.create("Another CA").certificate_pem)
    before = documents(fleet.lab)
    # Of the machine it is known where its certificate's chain ends, and that is nowhere in the controller's file.
    run = rollout(fleet, https_server_ca_file=str(other), trust_authorities=[str(fleet.lab.ca_chain_file)])
    assert run.code == 2
    assert table(run)["wsus01"] == ("HTTP", "HTTP", IN_THE_WAY)
    assert "leads to no authority that the controller trusts. Give the controller the authority (https_server_ca_file)" in said(run)
    assert documents(fleet.lab) == before


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "cannot be read: No such file"), ("no certificate", "has no certificate in PEM")],
    ids=["none", "no certificate"],
)
def test_a_ca_file_that_is_none_is_refused_before_anything_is_touched(content: str | None, why: str, controller: Start, tmp_path: Path) -> None:
    fleet = controller(ONE)
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    before = documents(fleet.lab)
    run = rollout(fleet, https_server_ca_file=str(file))
    assert run.code == 2
    assert table(run)["wsus01"] == ("HTTP", "HTTP", IN_THE_WAY)
    assert f"wsus01: The CA file {file} {why}" in said(run)
    assert documents(fleet.lab) == before


def test_what_is_less_bad_is_shown_and_fails_where_that_was_asked_for(controller: Start) -> None:
    fleet = controller(ONE)
    with fleet.lab.machine("wsus01").lock:
        for disk in fleet.lab.machine("wsus01").document["computer"]["disks"]:
            disk["free_bytes"] = 3 * 2**30
    before = documents(fleet.lab)
    strict = rollout(fleet, wsus_checks_fail_on="medium")
    assert strict.code == 2
    assert table(strict)["wsus01"] == ("HTTP", "HTTP", IN_THE_WAY)
    assert "3 GiB free on" in said(strict)
    assert documents(fleet.lab) == before
    run = rollout(fleet)
    assert run.code == 0, run.output
    [told] = run.of("Show what to know before")["msg"]
    assert told.startswith("3 GiB free on")
    assert offers(fleet.lab, "wsus01")


def test_another_word_to_fail_on_is_refused_by_name(controller: Start) -> None:
    fleet = controller(ONE)
    before = documents(fleet.lab)
    run = rollout(fleet, wsus_checks_fail_on="grave")
    assert run.code == 2
    assert "grave" in said(run)
    assert documents(fleet.lab) == before


# --- what proves it ----------------------------------------------------------------------------------------------------------


def test_what_the_proof_finds_is_noted_and_fails_where_that_was_asked_for(controller: Start) -> None:
    fleet = controller({"servers": {"wsus01": {"certificate": "short_lived"}}})
    wishes = {"https_server_min_days_valid": 1}
    run = rollout(fleet, **wishes, wsus_checks_fail_on="never")
    assert run.code == 0, run.output
    assert "days left, until" in said(run)
    assert "Run the playbook securepatch.wsus.renew_certificates." in said(run)
    strict = rollout(fleet, **wishes, wsus_checks_fail_on="medium")
    assert strict.code == 2
    assert table(strict)["wsus01"] == ("offers HTTPS", "offers HTTPS", "FAILED in 'Prove it', nothing changed before")


# --- the report --------------------------------------------------------------------------------------------------------------


def test_a_report_with_before_and_after_is_left(controller: Start) -> None:
    fleet = controller(TWO)
    run = rollout(fleet)
    assert run.code == 0, run.output
    [folder] = reports(fleet)
    before, after = audit(folder / "before"), audit(folder)
    assert {one["name"]: one["standing"] for one in before["servers"]} == {"wsus01": "HTTP", "wsus02": "HTTP"}
    assert {one["name"]: one["standing"] for one in after["servers"]} == {"wsus01": "offers HTTPS", "wsus02": "offers HTTPS"}
    assert before["changes"] is None
    assert after["changes"]["since"] == before["created"]
    assert after["changes"]["standings"] == [{"server": name, "was": "HTTP", "is": "offers HTTPS"} for name in ("wsus01", "wsus02")]
    assert {"binding", "configuressl"} <= {one["check"] for one in after["changes"]["mended"]}
    well = ("certificate_trusted", "services_over_https", "content_over_http", "views_agree", "upstream_tls", "upstream_trusted", "inventory")
    assert {check: results(after, "wsus02")[check] for check in well} == dict.fromkeys(well, "pass")
    assert results(after, "wsus02")["tls_required"] == "fail"
    assert run.of("Show every server")["msg"][-1] == f"The report: {folder.relative_to(fleet.folder)}/audit.html"
    assert {file.name for file in folder.iterdir()} == {"audit.html", "audit.json", "audit.xml", "before"}
    assert "Where servers stood and stand" in (folder / "audit.html").read_text(encoding="utf-8")


def test_a_server_whose_wave_failed_is_in_the_report_as_it_stands(controller: Start) -> None:
    fleet = controller({"servers": {"wsus01": {}, "wsus02": {"upstream": "wsus01", "faults": {"changes": {"wsusutil": "it failed"}}}}})
    run = rollout(fleet)
    assert run.code == 2
    [folder] = reports(fleet)
    after = audit(folder)
    assert {one["name"]: one["standing"] for one in after["servers"]} == {"wsus01": "HTTP", "wsus02": "half-way"}
    assert results(after, "wsus02")["configuressl"] == "fail"


def test_a_server_that_cannot_be_reached_is_in_both(controller: Start) -> None:
    fleet = controller({"servers": {"wsus01": {}, "wsus02": {"upstream": "wsus01", "faults": {"unreachable": True}}}})
    assert rollout(fleet).code == 2
    [folder] = reports(fleet)
    for found in (audit(folder / "before"), audit(folder)):
        assert {one["name"]: one["reached"] for one in found["servers"]} == {"wsus01": True, "wsus02": False}
        assert results(found, "wsus02")["reachable"] == "fail"


def test_check_mode_reports_what_is_there_and_nothing_that_is_foretold(controller: Start) -> None:
    fleet = controller(TWO)
    run = rollout(fleet, "--check")
    assert run.code == 0, run.output
    [folder] = reports(fleet)
    assert [one.name for one in folder.iterdir()] == ["before"]
    assert {one["standing"] for one in audit(folder / "before")["servers"]} == {"HTTP"}
    assert run.of("Show every server")["msg"][-1] == f"The report: {folder.relative_to(fleet.folder)}/before/audit.html"


def test_a_run_with_nothing_to_do_reports_without_another_look(controller: Start) -> None:
    fleet = controller({"servers": {"wsus01": {"stage": "offered"}}})
    assert rollout(fleet).code == 0
    since = len(fleet.lab.trips)
    time.sleep(1.1)  # a folder for each second
    assert rollout(fleet).code == 0
    assert len(fleet.lab.trips) - since == 1
    last = audit(reports(fleet)[-1])
    assert (last["changes"]["standings"], last["changes"]["mended"], last["changes"]["new_failures"]) == ([], [], [])


def test_a_tree_that_cannot_be_planned_leaves_what_was_seen(controller: Start) -> None:
    fleet = controller(TWO)
    set_variables(fleet.lab, "wsus01", wsus_upstream="wsus02")
    run = rollout(fleet)
    assert run.code == 2
    [folder] = reports(fleet)
    assert [one.name for one in folder.iterdir()] == ["before"]
    assert "before/audit.html" in run.of("Show every server")["msg"][-1]


def test_no_report_where_none_is_wanted(controller: Start) -> None:
    fleet = controller(ONE)
    run = rollout(fleet, wsus_report_folder="")
    assert run.code == 0, run.output
    assert not reports(fleet)
    assert "report" not in said(run)


def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_touched(controller: Start) -> None:
    fleet = controller(ONE)
    (fleet.folder / "taken").write_text("a file")
    before = documents(fleet.lab)
    run = rollout(fleet, wsus_report_folder="taken")
    assert run.code == 2
    assert "The report cannot be written to taken/" in run.output
    assert documents(fleet.lab) == before


def test_a_host_with_a_variable_that_is_none_fails_its_own_wave_and_is_in_the_report(controller: Start) -> None:
    fleet = controller(TWO)
    set_variables(fleet.lab, "wsus02", https_server_port="none")
    run = rollout(fleet, wsus_max_failures=1)
    assert run.code == 2
    assert table(run)["wsus02"][2] == IN_THE_WAY
    assert "https_port" in said(run)
    assert results(audit(reports(fleet)[0]), "wsus02")["reachable"] == "fail"


def test_where_the_controller_is_not_to_check_it_does_not_look_for_the_report_either(controller: Start) -> None:
    fleet = controller(ONE)
    assert rollout(fleet, https_server_check="server").code == 0
    [folder] = reports(fleet)
    assert results(audit(folder), "wsus01")["services_over_https"] == "not_known"
    assert results(audit(folder), "wsus01")["certificate_trusted_itself"] == "pass"


def test_a_host_whose_variables_cannot_be_evaluated_starts_no_wave(controller: Start) -> None:
    fleet = controller(TWO)
    set_variables(fleet.lab, "wsus02", https_server_friendly_name="{{ 1 // 0 }}")
    before = documents(fleet.lab)
    run = rollout(fleet)
    assert run.code == 2
    assert {happened for _was, _now, happened in table(run).values()} == {"its wave did not start"}
    assert "by zero" in run.output
    assert "WARNING" not in run.output
    assert documents(fleet.lab) == before
