# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The Ansible modules that the lab's machines have: what each takes and answers, as its PowerShell does on Windows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .arguments import BadArguments, Option, RequiredIf, checked, secrets_of, without
from .call import BeforeChange, Call, Result
from .certificate_store import win_certificate_store
from .engine import WindowsError, read_group_policies, read_state, read_traffic, read_trust, read_update_client, test_endpoint
from .machine import Machine
from .payload import Asked
from .win_updates import win_command, win_updates

#: Whom `become` has to name for the computer's own account.
_SYSTEM = {"system", "nt authority\\system"}
Body = Callable[[Call], Result]
_ENDPOINTS = Option(
    "list",
    default=[],
    elements="dict",
    options={"host_name": Option("str", required=True), "port": Option("int", required=True), "tls": Option("bool", default=True)},
)
_THUMBPRINTS = Option("list", default=[], elements="str")


def _win_ping(call: Call) -> Result:
    if call.parameters["data"] == "crash":
        return {"failed": True, "msg": "Unhandled exception while executing module: boom", "changed": False}
    return {"changed": False, "ping": call.parameters["data"]}


def _seen(call: Call) -> Result:
    state = read_state(call.machine)
    endpoints = [*call.parameters["endpoints"], *_own_endpoints(state, call.parameters.get("own_name"))]
    if call.parameters.get("look_at_upstream"):
        endpoints += _upstream_endpoints(state)
    return {
        "state": state,
        "trust": read_trust(call.machine, call.parameters["thumbprints"]),
        "endpoints": [test_endpoint(call.machine, one["host_name"], one["port"], one["tls"]) for one in endpoints],
    }


def _upstream_endpoints(state: dict[str, Any]) -> list[dict[str, Any]]:
    """As Get-UpstreamEndpoint: over TLS, and over plain HTTP; WSUS pairs port 80 with 443, and any other with the next one."""
    if state["api"] is None or state["api"]["synchronization"]["microsoft_update"]:
        return []
    upstream = state["api"]["synchronization"]
    port = upstream["upstream_port"]
    http = (80 if port == 443 else port - 1) if upstream["upstream_ssl"] else port
    https = 443 if http == 80 else http + 1
    return [{"host_name": upstream["upstream_name"], "port": one, "tls": tls} for one, tls in ((https, True), (http, False))]


def _own_endpoints(state: dict[str, Any], name: str | None) -> list[dict[str, Any]]:
    if name is None or state["iis"] is None:
        return []
    bindings = [binding for binding in state["iis"]["site"]["bindings"] if binding["protocol"] == "https" and binding["thumbprint"]]
    return [{"host_name": name or state["computer"]["fqdn"], "port": binding["port"], "tls": True} for binding in bindings]


def _failure(done: dict[str, Any]) -> Result:
    return {"failure": done["failed"], "failed": True, "msg": done["failed"]["message"]} if done["failed"] else {}


def _wsus_state(call: Call) -> Result:
    return {"changed": False, **_seen(call)}


def _wsus_change(call: Call) -> Result:
    done = call.apply(call.parameters["changes"])
    result: Result = {"changed": done["applied"] > 0, "applied": done["applied"], "output": done["output"]}
    try:
        result |= _seen(call)
    except WindowsError as error:
        result |= {"state": None, "unreadable": error.state()}
    return result | _failure(done)


def _wsus_traffic(call: Call) -> Result:
    return {"changed": False, "traffic": read_traffic(call.machine, call.parameters["days"], call.parameters["absent_days"])}


def _wsus_client(call: Call) -> Result:
    done = call.apply([] if call.check_mode else call.parameters["changes"])
    result: Result = {"changed": done["applied"] > 0, "applied": done["applied"], "output": done["output"]}
    result["update_client"] = read_update_client(call.machine) if call.parameters["update_client"] else None
    result["group_policies"] = read_group_policies(call.machine, call.parameters["group_policies"])
    return result | _failure(done)


def _win_file(call: Call) -> Result:
    if (call.parameters["state"] or "").casefold() != "absent":
        return {"changed": False, "failed": True, "msg": "The lab serves ansible.windows.win_file with state=absent only."}
    with call.machine.lock:
        disk, path = call.machine.disk, call.parameters["path"]
        there = disk.is_folder(path) or disk.read(path) is not None
        return {"changed": there if call.check_mode else disk.remove(path)}


@dataclass(frozen=True)
class Module:
    """A module: its interface, what it does, and whether it supports check mode."""

    body: Body
    options: dict[str, Option]
    check_mode: bool = True
    required_if: tuple[RequiredIf, ...] = ()


MODULES = {
    "ansible.windows.win_ping": Module(_win_ping, {"data": Option("str", default="pong")}),
    "ansible.windows.win_certificate_store": Module(
        win_certificate_store,
        {
            "state": Option("str", default="present", choices=("absent", "exported", "present")),
            "path": Option("path"),
            "thumbprint": Option("str"),
            "store_name": Option("str", default="My"),
            "store_location": Option("str", default="LocalMachine"),
            "store_type": Option("str", default="system", choices=("service", "system")),
            "password": Option("str", no_log=True),
            "key_exportable": Option("bool", default=True),
            "key_storage": Option("str", default="default", choices=("default", "machine", "user")),
            "file_type": Option("str", default="der", choices=("der", "pem", "pkcs12")),
        },
        required_if=(
            RequiredIf("state", "absent", ("path", "thumbprint"), any_of=True),
            RequiredIf("state", "exported", ("path", "thumbprint")),
            RequiredIf("state", "present", ("path",)),
        ),
    ),
    "ansible.windows.win_file": Module(_win_file, {"path": Option("path", required=True), "state": Option("str")}),
    "ansible.windows.win_updates": Module(
        win_updates,
        {
            "accept_list": Option("list", elements="str"),
            "category_names": Option("list", elements="str", default=["CriticalUpdates", "SecurityUpdates", "UpdateRollups"]),
            "log_path": Option("path"),
            "reject_list": Option("list", elements="str"),
            "server_selection": Option("str", default="default", choices=("default", "managed_server", "windows_update")),
            "state": Option("str", default="installed", choices=("installed", "searched", "downloaded")),
            "skip_optional": Option("bool", default=False),
            "reboot": Option("bool", default=False),
            "reboot_timeout": Option("int", default=1200),
            "maximum_retries_on_failed_updates": Option("int", default=1),
            "_operation": Option("str", default="start", choices=("start", "cancel", "poll", "test")),
            "_operation_options": Option("dict"),
        },
    ),
    "ansible.windows.win_command": Module(
        win_command,
        {
            "_raw_params": Option("str"),
            "cmd": Option("str"),
            "argv": Option("list", elements="str"),
            "chdir": Option("path"),
            "creates": Option("path"),
            "removes": Option("path"),
            "stdin": Option("str"),
            "output_encoding_override": Option("str"),
        },
        check_mode=False,
    ),
    "securepatch.wsus.wsus_state": Module(
        _wsus_state,
        {
            "thumbprints": _THUMBPRINTS,
            "endpoints": _ENDPOINTS,
            "own_name": Option("str"),
            "look_at_upstream": Option("bool", default=False),
        },
    ),
    "securepatch.wsus.wsus_change": Module(
        _wsus_change,
        {"changes": Option("list", required=True, elements="dict"), "thumbprints": _THUMBPRINTS, "endpoints": _ENDPOINTS},
        check_mode=False,
    ),
    "securepatch.wsus.wsus_traffic": Module(
        _wsus_traffic, {"days": Option("int", required=True), "absent_days": Option("int", required=True)}
    ),
    "securepatch.wsus.wsus_client_state": Module(
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
    secrets = secrets_of(module.options, asked.arguments)
    try:
        parameters = checked(module.options, module.required_if, asked.arguments, short, machine.disk.expand)
    except BadArguments as error:
        invocation = {"module_args": without(asked.arguments, secrets)}
        return {"failed": True, "changed": False, "msg": without(str(error), secrets), "invocation": invocation}
    invocation = {"module_args": without(parameters, secrets)}
    if asked.check_mode and not module.check_mode:
        return {"changed": False, "skipped": True, "msg": f"remote module ({short}) does not support check mode", "invocation": invocation}
    try:
        has_credentials = (asked.become_user or "").casefold() in _SYSTEM
        result = module.body(Call(machine, parameters, asked.check_mode, has_credentials, before_change))
    except WindowsError as error:
        result = {"changed": False, "failed": True, "msg": f"Unhandled exception while executing module: {error.message}"}
    if "msg" in result:
        result["msg"] = without(result["msg"], secrets)
    return result | {"invocation": invocation}
