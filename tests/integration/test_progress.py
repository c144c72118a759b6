# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The callback progress: what a terminal shows while a playbook runs, and that it is silent unless it was enabled."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.controller import Controller
from tests.integration.rollouts import rollout

FLEET = {"servers": {"wsus01": {}, "wsus02": {"upstream": "wsus01"}, "wsus03": {"upstream": "wsus01", "certificate": "expired"}}}


def told(output: str) -> list[str]:
    """The lines of the callback, without the time."""
    return [match[1] for match in re.finditer(r"^\[\d\d:\d\d\] (.*)$", output, re.MULTILINE)]


def enable(fleet: Controller, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = fleet.environment

    def enabled(results: Path) -> dict[str, str]:
        return {**environment(results), "ANSIBLE_CALLBACKS_ENABLED": "results,securepatch.wsus.progress"}

    monkeypatch.setattr(fleet, "environment", enabled)


def test_waves_servers_and_the_end_are_told(controller: Callable[..., Controller], monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = controller(FLEET)
    enable(fleet, monkeypatch)
    first = told(rollout(fleet).output)
    assert first[0] == "wave 1 of 2 begins: wsus02, wsus03"
    done, failed = sorted(first[1:3], key=lambda line: "FAILED" in line)
    assert done.startswith("wsus02 done (")
    assert failed.startswith("wsus03 FAILED in 'See that nothing is in the way' (")
    assert first[3:] == ["the end: 1 done, 0 running, 1 failed, 1 waiting"], "the wave that did not start is waiting"
    audited = told(fleet.playbook("securepatch.wsus.audit").output)
    assert {line.partition(" ")[0] for line in audited} == {"wsus01", "wsus02", "wsus03"}
    assert audited[-1].endswith("(3 audited)")


def test_rings_of_clients_are_told(controller: Callable[..., Controller], monkeypatch: pytest.MonkeyPatch) -> None:
    clients = {"pc1": {}, "pc2": {"trusts_ca": False, "intermediates": False}, "pc3": {}}
    policies = {"WSUS clients": {"url": "http://wsus01.corp.example:8530"}}
    fleet = controller({"servers": {"wsus01": {"stage": "offered"}}, "clients": clients, "group_policies": policies})
    enable(fleet, monkeypatch)
    told_by = [{"gpo": "WSUS clients", "server": "wsus01"}]
    rings = [{"name": f"ring of {host}", "policies": told_by, "hosts": [host]} for host in clients]
    variables = {"wsus_rings": rings, "wsus_policy_host": "pc1", "trust_backup_dir": "", "clients_backup_dir": ""}
    lines = told(fleet.playbook("securepatch.wsus.clients", **variables).output)
    assert lines == [
        "ring 1 of 3 begins: pc1",
        "pc1 done (1 done, 0 running, 0 failed, 2 waiting)",
        "ring 2 of 3 begins: pc2",
        lines[3],
        "the end: 1 done, 0 running, 1 failed, 1 waiting",
    ]
    assert lines[3].startswith("pc2 FAILED in '")


def test_it_is_silent_unless_enabled(controller: Callable[..., Controller]) -> None:
    assert told(rollout(controller(FLEET), "--check").output) == []
