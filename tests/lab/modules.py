# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The Ansible modules that the lab's machines have: what each takes and answers, as its PowerShell does on Windows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .engine import (
    WindowsError,
    apply_changes,
    read_group_policies,
    read_state,
    read_traffic,
    read_trust,
    read_update_client,
    test_endpoint,
)
from .machine import Machine
from .payload import Asked

Result = dict[str, Any]
BeforeChange = Callable[[int, dict[str, Any]], None]
Body = Callable[[Machine, dict[str, Any], bool, BeforeChange | None], Result]


class BadArguments(Exception):
    """Arguments that a module does not take, in the words of Ansible.Basic."""


@dataclass(frozen=True)
class Option:
    """One option of a module's interface. `elements` and `options` are a list's."""

    type: str
    required: bool = False
    default: Any = None
    elements: str | None = None
    options: dict[str, Option] | None = None


_ENDPOINTS = Option(
    "list",
    default=[],
    elements="dict",
    options={"host_name": Option("str", required=True), "port": Option("int", required=True), "tls": Option("bool", default=True)},
)
_THUMBPRINTS = Option("list", default=[], elements="str")


def _win_ping(_rest: Machine, parameters: dict[str, Any], check_mode: bool, before_change: BeforeChange | None) -> Result:
    if parameters["data"] == "crash":
        return {"failed": True, "msg": "Unhandled exception while executing module: boom", "changed": False}
    return {"changed": False, "ping": parameters["data"]}


def _seen(machine: Machine, parameters: dict[str, Any]) -> Result:
    state = read_state(machine)
    endpoints = [*parameters["endpoints"], *_own_endpoints(state, parameters.get("own_name"))]
    return {
        "state": state,
        "trust": read_trust(machine, parameters["thumbprints"]),
        "endpoints": [test_endpoint(machine, one["host_name"], one["port"], one["tls"]) for one in endpoints],
    }


def _own_endpoints(state: dict[str, Any], name: str | None) -> list[dict[str, Any]]:
    if name is None or state["iis"] is None:
        return []
    bindings = [binding for binding in state["iis"]["site"]["bindings"] if binding["protocol"] == "https" and binding["thumbprint"]]
    return [{"host_name": name or state["computer"]["fqdn"], "port": binding["port"], "tls": True} for binding in bindings]


def _failure(done: dict[str, Any]) -> Result:
    return {"failure": done["failed"], "failed": True, "msg": done["failed"]["message"]} if done["failed"] else {}


def _wsus_state(machine: Machine, parameters: dict[str, Any], check_mode: bool, before_change: BeforeChange | None) -> Result:
    return {"changed": False, **_seen(machine, parameters)}


def _wsus_change(machine: Machine, parameters: dict[str, Any], check_mode: bool, before_change: BeforeChange | None) -> Result:
    done = apply_changes(machine, parameters["changes"], before_change)
    result: Result = {"changed": done["applied"] > 0, "applied": done["applied"], "output": done["output"]}
    try:
        result |= _seen(machine, parameters)
    except WindowsError as error:
        result |= {"state": None, "unreadable": error.state()}
    return result | _failure(done)


def _wsus_traffic(machine: Machine, parameters: dict[str, Any], check_mode: bool, before_change: BeforeChange | None) -> Result:
    return {"changed": False, "traffic": read_traffic(machine, parameters["days"], parameters["absent_days"])}


def _wsus_client(machine: Machine, parameters: dict[str, Any], check_mode: bool, before_change: BeforeChange | None) -> Result:
    done = apply_changes(machine, [] if check_mode else parameters["changes"], before_change)
    result: Result = {"changed": done["applied"] > 0, "applied": done["applied"], "output": done["output"]}
    result["update_client"] = read_update_client(machine) if parameters["update_client"] else None
    result["group_policies"] = read_group_policies(machine, parameters["group_policies"])
    return result | _failure(done)


@dataclass(frozen=True)
class Module:
    """A module: its interface, what it does, and whether it supports check mode."""

    body: Body
    options: dict[str, Option]
    check_mode: bool = True


MODULES = {
    "ansible.windows.win_ping": Module(_win_ping, {"data": Option("str", default="pong")}),
    "securepatch.wsus.wsus_state": Module(_wsus_state, {"thumbprints": _THUMBPRINTS, "endpoints": _ENDPOINTS, "own_name": Option("str")}),
    "securepatch.wsus.wsus_change": Module(
        _wsus_change,
        {"changes": Option("list", required=True, elements="dict"), "thumbprints": _THUMBPRINTS, "endpoints": _ENDPOINTS},
        check_mode=False,
    ),
    "securepatch.wsus.wsus_traffic": Module(
        _wsus_traffic, {"days": Option("int", required=True), "absent_days": Option("int", required=True)}
    ),
    "securepatch.wsus.wsus_client": Module(
        _wsus_client,
        {
            "changes": Option("list", default=[], elements="dict"),
            "update_client": Option("bool", default=True),
            "group_policies": Option(
                "list",
                default=[],
                elements="dict",
                options={"name": Option("str", required=True), "domain": Option("str"), "server": Option("str")},
            ),
        },
    ),
}


def full_name(name: str) -> str | None:
    """The full name of a module that is served, also where Ansible gives it without its collection; None for any other."""
    if name in MODULES:
        return name
    return next((known for known in MODULES if "." not in name and known.rpartition(".")[2] == name), None)


def run(machine: Machine, asked: Asked, before_change: BeforeChange | None = None) -> Result:
    """Run a module on a machine; its result, also where it failed. Blocks.

    :param before_change: called by the engine before each change that it makes; what it raises comes out of here
    """
    name = full_name(asked.module)
    if name is None:
        served = ", ".join(MODULES)
        return {"failed": True, "changed": False, "msg": f"The lab does not serve the module {asked.module}. Its machines have: {served}."}
    module = MODULES[name]
    short = name.rpartition(".")[2]
    try:
        parameters = _parameters(module.options, asked.arguments, short)
    except BadArguments as error:
        return {"failed": True, "changed": False, "msg": str(error), "invocation": {"module_args": asked.arguments}}
    invocation = {"module_args": parameters}
    if asked.check_mode and not module.check_mode:
        return {"changed": False, "skipped": True, "msg": f"remote module ({short}) does not support check mode", "invocation": invocation}
    try:
        result = module.body(machine, parameters, asked.check_mode, before_change)
    except WindowsError as error:
        result = {"changed": False, "failed": True, "msg": f"Unhandled exception while executing module: {error.message}"}
    return result | {"invocation": invocation}


# --- as Ansible.Basic checks arguments -------------------------------------------------------------------------------


def _parameters(options: dict[str, Option], given: dict[str, Any], module: str, within: str | None = None) -> dict[str, Any]:
    names = {name.lower(): name for name in options}
    unknown = [name for name in given if name.lower() not in names]
    place = "" if within is None else f" found in {within}"
    if unknown:
        supported = ", ".join(sorted(options))
        wrong = f"Unsupported parameters for ({module}) module: {', '.join(sorted(unknown))}{place}."
        raise BadArguments(f"{wrong} Supported parameters include: {supported}")
    values = {names[name.lower()]: value for name, value in given.items() if value is not None}
    missing = sorted(name for name, option in options.items() if option.required and name not in values)
    if missing:
        raise BadArguments(f"missing required arguments: {', '.join(missing)}{place}")
    return {
        name: _converted(option, name, values[name], module) if name in values else _default(option) for name, option in options.items()
    }


def _default(option: Option) -> Any:
    return list(option.default) if isinstance(option.default, list) else option.default


def _converted(option: Option, name: str, value: Any, module: str) -> Any:
    if option.type != "list":
        return _scalar(option.type, name, value)
    items = value if isinstance(value, list) else [part.strip() for part in value.split(",")] if isinstance(value, str) else [value]
    elements = [_scalar(option.elements or "raw", name, one) for one in items]
    if option.options is None:
        return elements
    return [_parameters(option.options, one, module, name) for one in elements]


def _scalar(kind: str, name: str, value: Any) -> Any:
    try:
        return _SCALARS[kind](value)
    except (ValueError, TypeError) as error:
        raise BadArguments(
            f"argument for {name} is of type {type(value).__name__} and we were unable to convert to {kind}: {error}"
        ) from error


def _bool(value: Any) -> bool:
    folded = str(value).lower()
    if folded in {"true", "yes", "on", "y", "t", "1"}:
        return True
    if folded in {"false", "no", "off", "n", "f", "0"}:
        return False
    raise ValueError(f"{value!r} is no boolean")


def _int(value: Any) -> int:
    if isinstance(value, bool):
        raise TypeError("a boolean is no number")
    return int(value)


def _dict(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("it is no dictionary")
    return value


_SCALARS: dict[str, Callable[[Any], Any]] = {"str": str, "int": _int, "bool": _bool, "dict": _dict, "raw": lambda value: value}
