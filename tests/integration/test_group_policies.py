# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Group policies that cannot be set: what is wrong is told apart, and nothing was changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.controller import Controller

URL = "https://wsus01.corp.example:8531"
Start = Callable[..., Controller]


@pytest.mark.parametrize(
    ("host", "policy", "says"),
    [
        ({"group_policy_cmdlets": False}, {}, "Install-WindowsFeature GPMC"),
        ({}, {"access": "none"}, "WinRM passes no credential on"),
        ({}, {"access": "read"}, "'Edit settings'"),
        ({}, {"status": "AllSettingsDisabled"}, "WSUS clients"),
    ],
)
def test_a_policy_that_cannot_be_set(controller: Start, host: dict[str, Any], policy: dict[str, Any], says: str) -> None:
    given = {"url": "http://wsus01.corp.example:8530", **policy}
    fleet = controller({"servers": {"wsus01": {"stage": "offered"}}, "clients": {"dc01": host}, "group_policies": {"WSUS clients": given}})
    one = fleet.task("dc01", "wsus_client_policy", gpo="WSUS clients", url=URL, backup_dir=r"C:\Backup")
    assert one.code != 0
    assert "Traceback" not in one.output
    result = one.of("It", "dc01")
    assert says in result["msg"], result["msg"]
    assert result["msg"].startswith("dc01: ")
    # A policy that may be read may be backed up, and that is told.
    assert [change for change in result["changes"] if not change.startswith("Back up the group policy 'WSUS clients'")] == []
    with fleet.lab.edit("dc01") as document:
        values = {value["name"]: value["data"] for value in document["domain"]["policies"]["WSUS clients"]["values"]}
    assert values["WUServer"] == "http://wsus01.corp.example:8530"
