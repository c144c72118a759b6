# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The group policies of a fleet: the domain's, so that what one machine changes the others find."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lab.engine import apply_changes, read_group_policies
from tests.lab.fleet import Authorities, FleetError, documents, load
from tests.lab.machine import Machine

OLD = "http://wsus01.corp.example:8530"


def machines(**rest: Any) -> dict[str, Machine]:
    fleet = load({"servers": {"wsus01": {}}, "clients": {"pc": {}, "alone": {"state": {"computer": {"domain_member": False}}}}, **rest})
    return {name: Machine(document, name=name) for name, document in documents(fleet, Authorities.create()).items()}


def test_every_machine_of_the_domain_has_the_same_policies() -> None:
    gone = {"key": "AU", "name": "AUOptions", "type": "DWord", "data": 4, "action": "Delete"}
    values = [{"name": "TargetGroup", "type": "String", "data": "All"}, gone]
    found = machines(group_policies={"WSUS clients": {"url": OLD, "values": values}, "Empty": None})
    (policy,) = read_group_policies(found["pc"], [{"name": "wsus clients", "domain": "corp.example"}])
    assert [(each["name"], each["data"], each["action"]) for each in policy["values"]] == [
        ("WUServer", OLD, "Set"),
        ("WUStatusServer", OLD, "Set"),
        ("TargetGroup", "All", "Set"),
        ("UseWUServer", 1, "Set"),
        ("AUOptions", "", "Delete"),
    ]
    assert "domain" not in found["alone"].document
    change = {"kind": "group_policy", "guid": policy["guid"], "domain": None, "server": None, "key": policy["values"][0]["key"], "type": "String"}
    assert apply_changes(found["wsus01"], [{**change, "values": {"WUServer": "https://x", "WUStatusServer": "https://x"}}])["failed"] is None
    (policy,) = read_group_policies(found["pc"], [{"name": "WSUS clients"}])
    assert {each["data"] for each in policy["values"] if each["name"] == "WUServer"} == {"https://x"}


def test_a_fleet_without_them_has_no_domain_in_its_documents() -> None:
    assert not [name for name, machine in machines().items() if "domain" in machine.document]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"WSUS": {"ulr": OLD}}, "group policy WSUS: unknown ulr"),
        ({"WSUS": {"status": "Off"}}, "group policy WSUS: status: there are AllSettingsEnabled"),
        ({"WSUS": {"values": [{"nam": "x"}]}}, "group policy WSUS: value: unknown nam"),
        ({"WSUS": OLD}, "group policy WSUS: it is a mapping"),
        ([OLD], "group_policies: it is a mapping"),
    ],
)
def test_what_cannot_be_is_refused_by_name(given: Any, message: str) -> None:
    with pytest.raises(FleetError, match=message):
        machines(group_policies=given)
