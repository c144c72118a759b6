# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The roles, each imported alone with its defaults: what their targets do not show."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.controller import Controller, Run

PLAY = [{"hosts": "wsus_servers", "gather_facts": False, "roles": ["securepatch.wsus.https_server"]}]
DOWNSTREAM = [{"hosts": "wsus02", "gather_facts": False, "roles": ["securepatch.wsus.downstream"]}]
QUICK = {"https_server_restart": "services", "https_server_cold_seconds": 2, "https_server_check_timeout": 3}
ONE = {"servers": {"wsus01": {}}}

Start = Callable[..., Controller]


def result(one: Run) -> Any:
    """The role's result; the run must have ended well."""
    assert one.code == 0, one.output
    return one.of("Keep the result")["ansible_facts"]["https_server_result"]


def said(one: Run) -> str:
    """What the role says at its end."""
    return " ".join(one.of("Say where the server stands")["msg"])


def test_defaults_take_a_server_to_https_with_a_reboot_and_a_second_run_costs_one_trip(controller: Start) -> None:
    fleet = controller({"restart_seconds": 0.5, "servers": {"wsus01": {}}})
    first = fleet.playbook(PLAY)
    assert result(first)["standing"] == "offers HTTPS"
    assert "TLS is not required yet: clients still reach this server over HTTP. Give them https://wsus01.corp.example:8531" in said(first)
    assert [one.command for one in fleet.lab.raw_commands].count("restart") == 1
    before = len(fleet.lab.trips)
    second = fleet.playbook(PLAY)
    assert result(second)["changes"] == []
    assert not second.changed
    assert len(fleet.lab.trips) - before == 1


def test_a_restart_that_is_not_wanted_stays_visible_until_it_is_done(controller: Start) -> None:
    fleet = controller(ONE)
    variables = {**QUICK, "https_server_restart": "none", "https_server_check": "none"}
    for _rest in range(2):
        one = fleet.playbook(PLAY, **variables)
        assert result(one)["restart_pending"] is True
        assert result(one)["standing"] == "restart pending"
        assert "The restart after configuressl is pending" in said(one)
    required = fleet.playbook(PLAY, **variables, https_server_require_tls=True)
    assert required.code != 0, "TLS cannot be required before the restart"
    assert "Restart the server first" in required.of("Require TLS on the five web services")["msg"]
    done = fleet.playbook(PLAY, **QUICK)
    assert result(done)["restart_pending"] is False
    assert "pending" not in said(done) + " ".join(result(done)["notes"])


def test_every_result_says_who_checked_what(controller: Start) -> None:
    fleet = controller(ONE)
    by_nobody = fleet.playbook(PLAY, **QUICK, https_server_check="none")
    assert result(by_nobody)["checked"].startswith("not checked")
    by_server = fleet.playbook(PLAY, **QUICK, https_server_check="server")
    assert "by the server itself" in result(by_server)["checked"]
    assert "not checked" in said(by_server)
    by_controller = fleet.playbook(PLAY, **QUICK)
    assert "from the controller" in result(by_controller)["checked"]


def test_a_check_that_fails_names_the_server_and_fails_the_role(controller: Start) -> None:
    fleet = controller(ONE)
    one = fleet.playbook(PLAY, **QUICK, https_server_ca_file=str(fleet.lab.other_ca_file))
    assert one.code != 0
    assert "Traceback" not in one.output
    message = one.of("Check it from outside, from the controller")["msg"]
    assert message.startswith("wsus01 did not pass the check from the controller")
    assert "issuer" in message


def test_a_pool_that_is_cold_is_given_time(controller: Start) -> None:
    fleet = controller({"servers": {"wsus01": {"cold_pool": {"unavailable": 2, "seconds": 0.3}}}})
    assert result(fleet.playbook(PLAY, **{**QUICK, "https_server_cold_seconds": 20}))["standing"] == "offers HTTPS"


def test_the_state_before_is_kept_where_the_role_is_told_and_not_in_check_mode(controller: Start) -> None:
    fleet = controller(ONE)
    folder = fleet.folder / "backup"
    check = fleet.playbook(PLAY, "--check", **QUICK)
    assert result(check)["changes"]
    assert not folder.exists()
    assert {trip.module.rpartition(".")[2] for trip in fleet.lab.trips} == {"wsus_state"}
    assert result(fleet.playbook(PLAY, **QUICK))["changes"] == result(check)["changes"]
    (kept,) = folder.iterdir()
    assert kept.name.startswith("wsus01-")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    state = json.loads(kept.read_text())
    assert state["setup"]["using_ssl"] is False
    assert state["iis"]["application_pool"]["queue_length"] == 1000
    assert not fleet.playbook(PLAY, **QUICK).changed
    assert list(folder.iterdir()) == [kept], "a run that changes nothing keeps nothing"


def test_a_restart_that_windows_waits_for_is_said_until_it_was_done(controller: Start) -> None:
    place = r"HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending"
    fleet = controller({"servers": {"wsus01": {"state": {"registry": {place: {}}}}}})
    one = fleet.playbook(PLAY, **QUICK)
    assert "Windows waits for a restart of this machine" in " ".join(result(one)["notes"])
    assert "Windows waits for a restart of this machine" in said(one)
    with fleet.lab.edit("wsus01") as document:
        del document["registry"][place]
    assert result(fleet.playbook(PLAY, **QUICK))["notes"] == []


def test_values_that_come_as_text_mean_the_same(controller: Start) -> None:
    fleet = controller(ONE)
    as_text = {
        "https_server_require_tls": "true",
        "https_server_cold_seconds": "2",
        "https_server_port": "8531",
        "https_server_min_days_valid": "14",
        "https_server_downstream_days": "30",
        "https_server_ignore_downstream": "false",
        "https_server_pool": {"queue_length": "3000"},
    }
    one = fleet.playbook(PLAY, **{**QUICK, **as_text})
    assert result(one)["standing"] == "requires TLS"
    assert result(one)["state"]["iis"]["application_pool"]["queue_length"] == 3000
    assert not fleet.playbook(PLAY, **{**QUICK, **as_text}).changed


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("https_server_restart", "sometimes"),
        ("https_server_check", "nobody"),
        ("https_server_require_tls", "perhaps"),
        ("https_server_min_days_valid", "a week"),
        ("https_server_downstream_states", "none"),
    ],
)
def test_values_that_cannot_be_are_refused_before_the_first_trip(controller: Start, variable: str, value: str) -> None:
    fleet = controller(ONE)
    one = fleet.playbook(PLAY, **{variable: value})
    assert one.code != 0
    assert "Traceback" not in one.output
    assert variable in one.output
    assert not fleet.lab.trips


def test_role_downstream_moves_a_server_and_keeps_the_state_before(controller: Start) -> None:
    fleet = controller({"servers": {"wsus01": {"stage": "offered"}, "wsus02": {"upstream": "wsus01"}}})
    missing = fleet.playbook(DOWNSTREAM)
    assert missing.code != 0
    assert "downstream_upstream" in missing.output
    assert not fleet.lab.trips
    one = fleet.playbook(DOWNSTREAM, downstream_upstream="wsus01.corp.example")
    assert one.code == 0, one.output
    (kept,) = (fleet.folder / "backup").iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert json.loads(kept.read_text())["api"]["synchronization"]["upstream_ssl"] is False
    before = len(fleet.lab.trips)
    assert not fleet.playbook(DOWNSTREAM, downstream_upstream="wsus01.corp.example").changed
    assert len(fleet.lab.trips) - before == 1
