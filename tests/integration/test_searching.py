# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Clients of the lab search, refresh their policies and are seen in the logs, through real Ansible: what its own modules make of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.controller import Controller, Run

HTTP, HTTPS = "http://wsus01.corp.example:8530", "https://wsus01.corp.example:8531"
SEARCH = {"name": "Search", "ansible.windows.win_updates": {"state": "searched", "server_selection": "managed_server"}, "ignore_errors": True}
REFRESH = {"name": "Refresh", "ansible.windows.win_command": {"argv": ["gpupdate.exe", "/target:computer", "/wait:600"]}}
RAW = {"name": "Refresh again", "ansible.windows.win_command": "gpupdate.exe /target:computer /wait:60"}
FLEET: dict[str, Any] = {
    "servers": {"wsus01": {"stage": "offered"}},
    "clients": {
        "pc1": {"searches": 22},
        "pc2": {"searches": 22, "trusts_ca": False},
        "laptop": {"searches": 22, "away": [[1, 12]]},
        "kiosk": {"domain_member": False, "told": HTTP, "searches": 22},
    },
    "group_policies": {"WSUS clients": {"url": HTTP}},
}

Start = Callable[..., Controller]


def on(hosts: str, *tasks: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"hosts": hosts, "gather_facts": False, "tasks": list(tasks)}]


def told(run: Run, task: str) -> dict[str, tuple[bool, Any]]:
    """By host: whether a task failed, and what it said."""
    return {one["host"]: (one["status"] in {"failed", "ignored"}, one["result"].get("msg")) for one in run.results if one["task"] == task}


@pytest.mark.every_core
def test_a_search_is_real_and_its_failure_has_windows_number(controller: Start) -> None:
    fleet = controller({**FLEET, "servers": {"wsus01": {"stage": "required"}}, "group_policies": {"WSUS clients": {"url": HTTPS}}})
    fleet.lab.arm("laptop", changes={"gpupdate": "The processing of Group Policy failed."})
    run = fleet.playbook(on("wsus_clients", SEARCH, {**REFRESH, "ignore_errors": True}, {**RAW, "ignore_errors": True}))
    assert "Traceback" not in run.output
    found = told(run, "Search")
    assert {name: failed for name, (failed, _rest) in found.items()} == {"pc1": False, "pc2": True, "laptop": False, "kiosk": True}
    assert "0x80072F8F" in found["pc2"][1]
    assert "WU_E_PT_HTTP_STATUS_FORBIDDEN" in found["kiosk"][1]
    assert [run.of("Search", name)["found_update_count"] for name in found] == [0] * 4
    for task in ("Refresh", "Refresh again"):
        assert {name: failed for name, (failed, _rest) in told(run, task).items()} == {"pc1": False, "pc2": False, "laptop": True, "kiosk": False}
        assert (run.of(task, "laptop")["rc"], run.of(task, "pc1")["rc"]) == (1, 0)
    assert sorted((one.client, one.by, one.succeeded) for one in fleet.lab.searches) == [
        ("kiosk", "script", False),
        ("laptop", "script", True),
        ("pc1", "script", True),
        ("pc2", "script", False),
    ]
    assert fleet.lab.counts()["pc1"] == {"ansible.windows.win_updates": 3, "ansible.windows.win_command": 2}


def test_what_the_lab_does_not_serve_is_refused_by_name(controller: Start) -> None:
    fleet = controller(FLEET)
    install = {"name": "Install", "ansible.windows.win_updates": {"server_selection": "managed_server"}, "ignore_errors": True}
    run = fleet.playbook(on("pc1", install, {"name": "Other", "ansible.windows.win_command": "whoami /all"}))
    assert "state=installed" in told(run, "Install")["pc1"][1]
    assert "whoami /all" in told(run, "Other")["pc1"][1]
    assert fleet.lab.searches == []


def test_clients_move_while_time_goes_by_and_the_controller_sees_it(controller: Start) -> None:
    fleet = controller(FLEET)
    lab = fleet.lab
    lab.advance(24)
    policy = {"name": "Tell", "securepatch.wsus.wsus_client_policy": {"gpo": "WSUS clients", "url": HTTPS}}
    run = fleet.playbook(on("wsus01", policy))
    assert run.code == 0, run.output
    lab.advance(8 * 24)
    trusting = {name for name in FLEET["clients"] if name != "pc2"}

    seen = fleet.task("wsus01", "wsus_traffic_info", days=7, resolve=False).of("It")
    # The controller is in the lab's time: seven days before now are seven days before the lab's now.
    assert seen["until"][:13] == f"{lab.clock.now():%Y-%m-%dT%H}"
    clients = {one["name"]: one for one in seen["callers"] if "client" in one["kinds"]}
    assert set(clients) == {"kiosk.corp.example"}
    assert clients["kiosk.corp.example"]["served"] > 7
    assert seen["days_without"] == []
    # Whoever fails in the handshake is in no log, and whoever is away has not come: both are known, and not seen.
    assert {one["name"] for one in seen["computers"]["not_seen"]} == {"pc2.corp.example", "laptop.corp.example"}
    failed = [one for one in lab.searches if not one.succeeded]
    assert {(one.client, one.code) for one in failed} == {("pc2", "0x80072F8F")}

    # The laptop comes back, and is served over HTTP until it has heard; then over TLS.
    lab.advance(5 * 24)
    mine = [one for one in lab.searches if one.client == "laptop"]
    assert all(one.succeeded for one in mine)
    assert mine[-1].tls
    again = fleet.task("wsus01", "wsus_traffic_info", days=7, resolve=False).of("It")
    assert {one["name"] for one in again["computers"]["not_seen"]} == {"pc2.corp.example"}
    assert {one.client for one in lab.searches if one.succeeded} - {"pc2"} == trusting
