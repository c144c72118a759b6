# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The modules over clients and their group policies, over a machine of the lab and without a connection: their trips, and what they return."""

from __future__ import annotations

import ast
import copy
import importlib
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleConnectionFailure
from ansible_collections.securepatch.wsus.plugins.plugin_utils.client_action import ClientAction

from tests.lab import modules
from tests.lab.machine import Machine
from tests.lab.payload import Asked
from tests.unit.plugin_utils.clients import OLD, URL, client, domain, says, told, value
from tests.unit.plugin_utils.machines import document, offering, read

ROOT = Path(__file__).parents[3]
ENOUGH: dict[str, dict[str, Any]] = {"wsus_client_info": {}, "wsus_client": {"url": URL}, "wsus_client_policy": {"gpo": "WSUS clients", "url": URL}}
Intrude = Callable[[str, dict[str, Any]], dict[str, Any] | None]


def run(
    module: str, machine: Machine, *, check: bool = False, intrude: Intrude = lambda *_rest: None, **arguments: Any
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The module's result, and what each of its trips asked for. INTRUDE answers a trip instead of the machine, or raises."""
    plugin: type[ClientAction] = importlib.import_module(f"ansible_collections.securepatch.wsus.plugins.action.{module}").ActionModule
    trips: list[dict[str, Any]] = []

    class OnMachine(plugin):  # type: ignore[valid-type,misc]
        def _execute_module(self, module_name: str, module_args: dict[str, Any], task_vars: Any) -> dict[str, Any]:
            assert module_name == "securepatch.wsus.wsus_client_state"
            trips.append(module_args)
            said = intrude(module_name, module_args)
            # What goes over the wire is JSON.
            return modules.run(machine, Asked(module_name, json.loads(json.dumps(module_args)), check_mode=check)) if said is None else said

    task = SimpleNamespace(args={**ENOUGH[module], **arguments}, async_val=0, check_mode=check, action=module, delegate_to=None, diff=True)
    connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir=None), host="client01")
    action = OnMachine(task, connection, SimpleNamespace(diff=False), SimpleNamespace(path_dwim=str), None, None)
    result: dict[str, Any] = action.run(task_vars={"inventory_hostname": "client01"})
    return result, trips


def returns(module: str) -> set[str]:
    """What a module's documentation says it returns."""
    tree = ast.parse((ROOT / "plugins" / "modules" / f"{module}.py").read_text(encoding="utf-8"))
    text = next(node.value for node in tree.body if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "RETURN")
    return set(yaml.safe_load(str(getattr(text, "value", ""))))


@pytest.mark.parametrize("module", sorted(ENOUGH))
@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize("done", [False, True])
def test_a_result_has_what_is_documented_and_nothing_else(module: str, check: bool, done: bool) -> None:
    found = domain(says(URL if done else OLD)) if module == "wsus_client_policy" else told(URL if done else OLD)
    result, _trips = run(module, Machine(found), check=check)
    assert not result.get("failed"), result
    assert set(result) - {"changed", "diff", "invocation"} == returns(module)
    assert result["changed"] is (not done and module != "wsus_client_info")


@pytest.mark.parametrize("module", sorted(ENOUGH))
def test_a_connection_that_is_lost_is_a_failure_that_names_the_machine(module: str) -> None:
    def lost(*_rest: Any) -> dict[str, Any] | None:
        raise AnsibleConnectionFailure("no route to host")

    result, _trips = run(module, Machine(told(OLD)), intrude=lost)
    assert (result["failed"], result["changed"], result["msg"]) == (True, False, "client01: The connection failed: no route to host")


@pytest.mark.parametrize("module", sorted(ENOUGH))
def test_a_module_that_breaks_is_told_with_its_reason(module: str) -> None:
    result, _trips = run(module, Machine(told(OLD)), intrude=lambda *_rest: {"failed": True, "msg": "Get-CimInstance: Access denied"})
    assert result["msg"] == "client01: The machine could not be read: Get-CimInstance: Access denied"


@pytest.mark.parametrize("module", sorted(ENOUGH))
def test_a_url_that_clients_cannot_be_told_is_refused_before_anything_is_changed(module: str) -> None:
    machine = Machine(domain())
    before = copy.deepcopy(machine.document)
    result, _trips = run(module, machine, url="https://wsus01:8531")
    assert result["failed"]
    assert result["msg"].startswith("client01: The URL is https://wsus01:8531: 'wsus01' is a short name")
    assert result["msg"].endswith("Nothing was changed.")
    assert machine.document == before


def test_what_does_not_fit_the_options_is_a_failed_result() -> None:
    result, trips = run("wsus_client", Machine(told(OLD)), force="perhaps")
    assert result["failed"]
    assert "force" in result["msg"]
    assert trips == []


@pytest.mark.parametrize("module", ["wsus_client", "wsus_client_policy"])
@pytest.mark.parametrize("url", [None, ""])
def test_a_server_that_has_no_url_yet_is_told_to_nobody(module: str, url: str | None) -> None:
    result, _trips = run(module, Machine(domain()), url=url)
    assert (result["failed"], result["changed"]) == (True, False)
    assert result["msg"] == "client01: The URL is empty. A server has one once configuressl has run. Nothing was changed."


@pytest.mark.parametrize("gpo", [None, "", " "])
def test_a_policy_without_a_name_is_refused_without_a_trip(gpo: str | None) -> None:
    result, trips = run("wsus_client_policy", Machine(domain()), gpo=gpo)
    assert (result["failed"], result["changes"], trips) == (True, [], [])
    assert "gpo is empty" in result["msg"]


# --- one machine -----------------------------------------------------------------------------------------------------------------


def test_what_a_machine_was_told_takes_one_trip_and_changes_nothing() -> None:
    machine = Machine(told(OLD, mdm=URL))
    before = copy.deepcopy(machine.document)
    result, trips = run("wsus_client_info", machine, url=URL, server_state=read(offering()))
    assert trips == [{"update_client": True}]
    assert machine.document == before
    assert (result["changed"], result["ok"], result["url"], result["told_by"], result["mdm_url"]) == (False, False, OLD, "policy", URL)
    # That it is http, that MDM says otherwise, that it is not the wanted one, that nobody is found there.
    assert len(result["problems"]) == 4


def test_a_machine_is_told_in_one_trip_that_also_makes_it_look(tmp_path: Path) -> None:
    machine = Machine(told(OLD))
    backup = tmp_path / "before" / "client01.json"
    foretold, trips = run("wsus_client", machine, check=True, backup=str(backup))
    assert len(trips) == 1
    assert "journal" not in machine.document
    assert not backup.exists()
    result, trips = run("wsus_client", machine, backup=str(backup))
    assert [change["kind"] for change in trips[1]["changes"]] == ["registry", "registry", "detect_now"]
    assert json.loads(backup.read_text())["update_client"]["policy"]["WUServer"] == OLD
    assert (result["changed"], result["detection"]) == (True, "started")
    for name in ("changes", "before", "after", "diff", "detection"):
        assert result[name] == foretold[name], name
    again, trips = run("wsus_client", machine)
    assert (again["changed"], again["changes"], again["detection"], len(trips)) == (False, [], "none", 1)


def test_a_machine_that_cannot_look_was_told_all_the_same() -> None:
    found = told(OLD)
    found["update_client"] = {"disabled": True}
    result, _trips = run("wsus_client", Machine(found))
    assert not result.get("failed")
    assert (result["changed"], result["detection"], result["after"]["WUServer"]) == (True, "failed", URL)
    assert result["changes"] == [f"Set {name} to {URL} in this machine's policy" for name in ("WUServer", "WUStatusServer")]
    (note,) = [note for note in result["notes"] if "could not be made to look" in note]
    assert "The service cannot be started" in note


def test_what_failed_before_it_looks_is_a_failure() -> None:
    found = told(OLD)
    found["faults"] = {r"set HKLM:\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate WUStatusServer": "Zugriff verweigert"}
    machine = Machine(found)
    result, _trips = run("wsus_client", machine)
    first = f"Set WUServer to {URL} in this machine's policy"
    assert (result["failed"], result["changed"], result["changes"]) == (True, True, [first])
    assert "this failed: Zugriff verweigert" in result["msg"]
    assert f"Done before that: {first}." in result["msg"]
    machine.document["faults"] = {}
    result, _trips = run("wsus_client", machine)
    assert (result["changed"], len(result["changes"]), result["after"]["WUStatusServer"]) == (True, 1, URL)


def test_without_detection_nothing_looks() -> None:
    result, trips = run("wsus_client", Machine(client()), detect_now=False)
    assert [change["kind"] for change in trips[1]["changes"]] == ["registry"] * 3
    assert result["detection"] == "none"


def test_a_connection_that_is_lost_while_it_is_told_says_what_is_not_known() -> None:
    def lost(_module: str, arguments: dict[str, Any]) -> None:
        if arguments.get("changes"):
            raise AnsibleConnectionFailure("reset")

    result, _trips = run("wsus_client", Machine(told(OLD)), intrude=lost)
    assert result["changed"]
    assert "which of them took effect is not known" in result["msg"]


def test_a_change_that_does_not_hold_is_a_failure() -> None:
    machine = Machine(told(OLD))

    def forget(_module: str, arguments: dict[str, Any]) -> dict[str, Any] | None:
        if not arguments.get("changes"):
            return None
        state = modules.run(machine, Asked("securepatch.wsus.wsus_client_state", {}))
        return {**state, "applied": 3, "changed": True}

    result, _trips = run("wsus_client", machine, intrude=forget)
    assert result["failed"]
    assert "and nothing failed, but the machine does not show it: still to do is Set WUServer" in result["msg"]


# --- group policies --------------------------------------------------------------------------------------------------------------


def test_a_group_policy_is_backed_up_and_set_once() -> None:
    machine = Machine(domain([value("WUServer", "", action="Delete"), value("TargetGroup", "All")]))
    options = {"domain": "corp.example", "server": "dc01.corp.example", "backup_dir": r"C:\Backup"}
    before = copy.deepcopy(machine.document)
    foretold, trips = run("wsus_client_policy", machine, check=True, **options)
    assert trips == [{"update_client": False, "group_policies": [{"name": "WSUS clients", "domain": "corp.example", "server": "dc01.corp.example"}]}]
    assert machine.document == before
    result, trips = run("wsus_client_policy", machine, **options)
    assert [change["kind"] for change in trips[1]["changes"]] == ["group_policy_backup", "group_policy", "group_policy"]
    assert {change["server"] for change in trips[1]["changes"]} == {"dc01.corp.example"}
    for name in ("changes", "before", "after", "diff", "notes", "policy"):
        assert result[name] == foretold[name], name
    assert (foretold["backup_id"], result["backup_id"]) == (None, "00000000-0000-0000-0000-000000000001")
    assert result["before"]["WUServer"] == "Delete"
    values = {(each["name"], each["data"], each.get("action", "Set")) for each in machine.document["domain"]["policies"]["WSUS clients"]["values"]}
    assert values == {("TargetGroup", "All", "Set"), ("WUServer", URL, "Set"), ("WUStatusServer", URL, "Set"), ("UseWUServer", 1, "Set")}
    again, trips = run("wsus_client_policy", machine, **options)
    assert (again["changed"], again["backup_id"], len(trips)) == (False, None, 1)


def test_a_policy_that_is_not_there_is_refused_with_what_is_nearly_it() -> None:
    result, trips = run("wsus_client_policy", Machine(domain(None, "Printers")), gpo="WSUS client")
    assert (result["failed"], result["changed"], result["changes"], len(trips)) == (True, False, [], 1)
    assert "Nearly so are called: 'WSUS clients'." in result["msg"]
    assert result["msg"].endswith("Nothing was changed.")


def test_a_change_that_was_denied_explains_the_second_hop() -> None:
    def denied(_module: str, arguments: dict[str, Any]) -> dict[str, Any] | None:
        if not arguments.get("changes"):
            return None
        failed = {"message": "Zugriff verweigert", "id": "x,Set-GPRegistryValue", "type": "System.UnauthorizedAccessException"}
        asked = {"update_client": False, "group_policies": [{"name": "WSUS clients"}]}
        seen = modules.run(machine, Asked("securepatch.wsus.wsus_client_state", asked))
        return {**seen, "failed": True, "failure": {**failed, "hresult": "0x80070005", "native": None, "change": 0}}

    machine = Machine(domain())
    result, _trips = run("wsus_client_policy", machine, intrude=denied)
    assert (result["failed"], result["changed"], result["changes"]) == (True, False, [])
    assert "Nothing was changed before that." in result["msg"]
    assert "on a domain controller with 'server' set to itself" in result["msg"]


def test_a_failure_in_the_middle_is_gone_on_from() -> None:
    found = domain(says(OLD)[:2])
    found["faults"] = {"group policy WSUS clients set UseWUServer": "The disk is full."}
    machine = Machine(found)
    result, _trips = run("wsus_client_policy", machine, backup_dir=r"C:\Backup")
    assert (result["failed"], result["changed"], len(result["changes"])) == (True, True, 2)
    assert "Run it again: it goes on from there." in result["msg"] or "run it again: it goes on from there." in result["msg"]
    machine.document["faults"] = {}
    result, _trips = run("wsus_client_policy", machine)
    assert result["changes"] == ["Set UseWUServer to 1 in the group policy 'WSUS clients'"]


def test_a_server_that_does_not_offer_https_is_not_told_to_anybody() -> None:
    machine = Machine(domain())
    before = copy.deepcopy(machine.document)
    result, _trips = run("wsus_client_policy", machine, server_state=read(document()))
    assert "does not offer HTTPS" in result["msg"]
    assert machine.document == before
    result, _trips = run("wsus_client_policy", machine, server_state={})
    assert "'server_state' is not the state of a WSUS server" in result["msg"]
    result, _trips = run("wsus_client_policy", machine, server_state=read(offering()))
    assert result["changed"]
