"""What a module's documentation promises is what its action plugin takes and gives."""

from __future__ import annotations

import ast
import functools
import importlib
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from ansible_collections.securepatch.wsus.plugins.doc_fragments import client as client_fragments
from ansible_collections.securepatch.wsus.plugins.doc_fragments import server as server_fragments
from ansible_collections.securepatch.wsus.plugins.plugin_utils import server_action
from ansible_collections.securepatch.wsus.plugins.plugin_utils.host_action import BACKUP, HostAction
from ansible_collections.securepatch.wsus.plugins.plugin_utils.state import State

from tests.unit.action.clock import stop_clock
from tests.unit.plugin_utils.machines import SETUP, document, looked, offering, read

ROOT = Path(__file__).parents[3]
MODULES = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("*.py"))
ON_THE_CONTROLLER = ["report", "wsus_endpoint_check"]
ON_A_CLIENT = [name for name in MODULES if name.startswith("wsus_client")]
WITHOUT_STATE = ["wsus_traffic_info"]
ON_A_SERVER = [name for name in MODULES if name not in [*ON_THE_CONTROLLER, *ON_A_CLIENT, *WITHOUT_STATE]]
READS = ["report", "wsus_audit", "wsus_client_info", "wsus_endpoint_check", "wsus_server_info", "wsus_traffic_info"]
FRAGMENTS = {
    "securepatch.wsus.server": server_fragments.ModuleDocFragment.DOCUMENTATION,
    "securepatch.wsus.server.changes": server_fragments.ModuleDocFragment.CHANGES,
    "securepatch.wsus.client": client_fragments.ModuleDocFragment.DOCUMENTATION,
    "securepatch.wsus.client.tells": client_fragments.ModuleDocFragment.TELLS,
}

NOT_WSUS = "This is not a WSUS server: WSUS setup never ran here. Install the role, or take the host out of group wsus_servers."

# Arguments without which a module does not come to its end.
ENOUGH: dict[str, dict[str, Any]] = {
    "wsus_audit": {"fqdn": "wsus01.corp.example", "look_from": "none"},
    "wsus_downstream_sync": {"upstream": "wsus00.corp.example"},
}


@functools.cache
def strings(module: str) -> dict[str, Any]:
    """DOCUMENTATION, EXAMPLES and RETURN of a module, read as YAML."""
    tree = ast.parse((ROOT / "plugins" / "modules" / f"{module}.py").read_text(encoding="utf-8"))
    found = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and isinstance(node.value, ast.Constant):
            found[node.targets[0].id] = yaml.safe_load(str(node.value.value))
    return found


def fragments(module: str) -> list[dict[str, Any]]:
    named = strings(module)["DOCUMENTATION"].get("extends_documentation_fragment", [])
    return [yaml.safe_load(FRAGMENTS[name]) for name in named]


def documented(module: str) -> dict[str, Any]:
    """All options that a module's documentation has, those of its fragments among them."""
    options: dict[str, Any] = {}
    for fragment in fragments(module):
        options |= fragment.get("options", {})
    return options | strings(module)["DOCUMENTATION"]["options"]


def plugin(module: str) -> Any:
    return importlib.import_module(f"ansible_collections.securepatch.wsus.plugins.action.{module}").ActionModule


def taken(module: str) -> dict[str, Any]:
    """All arguments that the action plugin takes."""
    action = plugin(module)
    if not issubclass(action, HostAction):
        return dict(action.ARGUMENTS)
    return {**action.SHARED, **(BACKUP if action.BACK_UP else {}), **action.ARGUMENTS}


def specification(options: dict[str, Any], inner: str) -> dict[str, Any]:
    """What of options has to agree, with every default said. INNER: under which key the options of an option are."""
    return {
        name: {
            "type": option.get("type", "str"),
            "required": bool(option.get("required")),
            "default": option.get("default"),
            "choices": option.get("choices"),
            "elements": option.get("elements"),
            "aliases": option.get("aliases", []),
            "options": specification(option[inner], inner) if inner in option else None,
        }
        for name, option in options.items()
    }


@pytest.mark.parametrize("module", MODULES)
def test_what_is_documented_is_what_is_taken(module: str) -> None:
    assert specification(documented(module), "suboptions") == specification(taken(module), "options")


@pytest.mark.parametrize("module", MODULES)
def test_defaults_have_the_type_of_their_option(module: str) -> None:
    types = {"str": str, "path": str, "int": int, "bool": bool, "list": list, "dict": dict, "float": (int, float)}
    for name, option in taken(module).items():
        default = option.get("default")
        if default is not None and option["type"] != "raw":
            assert isinstance(default, types[option["type"]]), name
            assert isinstance(default, bool) is (option["type"] == "bool"), name
            assert default in option.get("choices", [default]), name


@pytest.mark.parametrize("module", MODULES)
def test_constraints_name_options_that_there_are(module: str) -> None:
    for kind, constraints in getattr(plugin(module), "CONSTRAINTS", {}).items():
        for constraint in constraints:
            names = [constraint[0], *constraint[2]] if kind == "required_if" else constraint
            assert set(names) <= set(taken(module))
            if kind == "required_if":
                assert constraint[1] in taken(module)[constraint[0]]["choices"]


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_documentation_without_code(module: str) -> None:
    body = ast.parse((ROOT / "plugins" / "modules" / f"{module}.py").read_text(encoding="utf-8")).body
    assert all(isinstance(node, ast.Assign) or (isinstance(node, ast.ImportFrom) and node.module == "__future__") for node in body)
    assert set(strings(module)) == {"DOCUMENTATION", "EXAMPLES", "RETURN"}
    assert strings(module)["DOCUMENTATION"]["module"] == module


def test_every_public_module_has_its_action_plugin_and_the_other_way_round() -> None:
    assert sorted(path.stem for path in (ROOT / "plugins" / "action").glob("*.py")) == MODULES
    # A PowerShell module is internal: it has a .yml instead, and no action plugin.
    for path in (ROOT / "plugins" / "modules").glob("*.ps1"):
        assert path.stem not in MODULES
        assert "internal" in path.with_suffix(".yml").read_text(encoding="utf-8").lower()


def test_every_public_module_is_in_the_action_group_and_says_so() -> None:
    group = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text(encoding="utf-8"))["action_groups"]["wsus"]
    assert sorted(group) == MODULES
    for module in MODULES:
        attributes = [fragment.get("attributes", {}) for fragment in fragments(module)] + [strings(module)["DOCUMENTATION"].get("attributes", {})]
        groups = [each["action_group"]["membership"] for each in attributes if "action_group" in each]
        assert groups == [["securepatch.wsus.wsus"]], module


@pytest.mark.parametrize("module", MODULES)
def test_a_module_that_changes_nothing_shows_no_diff_and_keeps_no_backup(module: str) -> None:
    attributes: dict[str, Any] = {}
    for each in [*fragments(module), strings(module)["DOCUMENTATION"]]:
        attributes |= each.get("attributes", {})
    assert attributes["check_mode"]["support"] == "full"
    assert attributes["async"]["support"] == "none"
    assert attributes["diff_mode"]["support"] == ("none" if module in READS else "full")
    assert ("backup" in documented(module)) is (module not in READS)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time for which the certificates of the machines were issued."""
    stop_clock(monkeypatch, server_action)


def run(module: str, state: State, **arguments: Any) -> dict[str, Any]:
    """The result of a module in check mode on a state that was observed before: without any connection."""
    task = SimpleNamespace(
        args={"observed": state, **ENOUGH.get(module, {}), **arguments}, async_val=0, check_mode=True, action=module, delegate_to=None, diff=False
    )
    action = plugin(module)(task, SimpleNamespace(_shell=SimpleNamespace(tmpdir=None), host="wsus11"), SimpleNamespace(diff=False), None, None, None)
    result: dict[str, Any] = action.run(task_vars={"inventory_hostname": "wsus11"})
    return result


def observed() -> State:
    """A server that offers HTTPS, synchronizes from another over HTTP, and has looked at that one."""
    found = offering()
    found["wsus"]["upstream"] = {"microsoft_update": False, "name": "wsus00.corp.example", "port": 8530, "ssl": False, "replica": False}
    return looked(read(found), "wsus00.corp.example")


@pytest.mark.parametrize("module", ON_A_SERVER)
def test_a_result_has_what_is_documented_and_nothing_else(module: str) -> None:
    result = run(module, observed())
    assert not result.get("failed"), result
    assert set(result) - {"changed", "invocation"} == set(strings(module)["RETURN"])
    types = {"str": str, "int": int, "bool": bool, "list": list, "dict": dict}
    for name, value in strings(module)["RETURN"].items():
        assert result[name] is None or isinstance(result[name], types[value["type"]]), name
        for inner in value.get("contains", {}):
            for each in result[name] if isinstance(result[name], list) else [result[name]] if result[name] is not None else []:
                assert inner in each, f"{name}.{inner}"


@pytest.mark.parametrize("module", ON_A_SERVER)
def test_a_refusal_names_the_server_and_says_that_nothing_was_changed(module: str) -> None:
    state = observed()
    state["setup"] = None
    result = run(module, state)
    if module == "wsus_server_info":
        assert result["verdict"]["blocked_by"] == [NOT_WSUS]
        return
    if module == "wsus_audit":
        # What stands there is a finding, and never a refusal.
        failed = {finding["check"]: finding["seen"] for finding in result["audit"]["findings"] if finding["result"] == "fail"}
        assert failed["services"] == "WSUS setup never ran on this machine"
        assert result["audit"]["standing"] == "not a working WSUS"
        return
    if module == "wsus_trust":
        # A client has no WSUS either, and trusts all the same.
        assert not result.get("failed"), result
        assert result["standing"] == "not a working WSUS"
        return
    assert (result["failed"], result["changed"], result["changes"]) == (True, False, [])
    assert result["msg"] == f"wsus11: {NOT_WSUS} Nothing was changed."
    assert result["standing"] == "not a working WSUS"


@pytest.mark.parametrize("module", [name for name in ON_A_SERVER if name not in READS])
def test_a_module_whose_state_lacks_its_recorded_port_still_ends_with_a_result(module: str) -> None:
    found = document()
    del found["registry"][SETUP]["PortNumber"]
    result = run(module, read(found))
    assert {"changed", "standing", "restart_pending"} <= set(result)
    assert result["standing"] == "HTTP"


@pytest.mark.parametrize("module", MODULES)
def test_each_returned_value_is_described(module: str) -> None:
    for name, value in strings(module)["RETURN"].items():
        assert value.get("description"), name
        assert value.get("returned"), name
        assert value["type"] != "list" or value.get("elements"), name


@pytest.mark.parametrize("module", MODULES)
def test_examples_call_the_module_with_options_that_it_has(module: str) -> None:
    examples = strings(module)["EXAMPLES"]
    calls = [task[f"securepatch.wsus.{module}"] or {} for task in examples if f"securepatch.wsus.{module}" in task]
    assert calls
    options = documented(module)
    required = {name for name, option in options.items() if option.get("required")}
    for call in calls:
        assert set(call) <= set(options)
        assert required <= set(call)
    assert all(task.get("name") for task in examples)


@pytest.mark.parametrize("module", MODULES)
def test_the_documentation_refers_only_to_what_there_is(module: str) -> None:
    text = (ROOT / "plugins" / "modules" / f"{module}.py").read_text(encoding="utf-8")
    options, returned = documented(module), strings(module)["RETURN"]
    assert {re.split(r"[=.]", name)[0] for name in re.findall(r"\bO\(([^)]+)\)", text)} <= set(options)
    for name in re.findall(r"\bRV\((?!ignore:)([^)]+)\)", text):
        # Of another module as NAME#module:VALUE.
        other, _rest, value = name.rpartition("#module:")
        there = strings(other.rpartition(".")[2])["RETURN"] if other else returned
        assert re.split(r"[=.]", value)[0] in there, name
    assert {name.rpartition(".")[2] for name in re.findall(r"M\(securepatch\.wsus\.([^)]+)\)", text)} <= set(MODULES)


@pytest.mark.parametrize(
    ("said", "plain"),
    [
        (
            "basic: HTTPSConnectionPool(host='10.0.0.2', port=5986): Max retries exceeded with url: /wsman (Caused by NewConnectionError("
            "\"HTTPSConnection(host='10.0.0.2', port=5986): Failed to establish a new connection: [Errno 111] Connection refused\"))",
            "10.0.0.2:5986: Failed to establish a new connection: [Errno 111] Connection refused",
        ),
        (
            "HTTPSConnectionPool(host='wsus', port=5986): Max retries exceeded with url: /wsman (Caused by SSLError(SSLCertVerificationError(1, "
            "'[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: unable to get local issuer certificate (_ssl.c:1006)')))",
            "wsus:5986: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: unable to get local issuer certificate (_ssl.c:1006)",
        ),
        (
            "HTTPSConnectionPool(host='wsus', port=5986): Max retries exceeded with url: /wsman (Caused by ConnectTimeoutError("
            "<HTTPSConnection(host='wsus', port=5986) at 0x7f>, 'Connection to wsus timed out. (connect timeout=30)'))",
            "wsus:5986: Connection to wsus timed out. (connect timeout=30)",
        ),
        ("basic: the specified credentials were rejected by the server", "basic: the specified credentials were rejected by the server"),
    ],
)
def test_a_connection_error_is_told_by_its_cause(said: str, plain: str) -> None:
    assert server_action._plain(Exception(said)) == plain
