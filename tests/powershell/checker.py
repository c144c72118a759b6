# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What can be said about a PowerShell script without a PowerShell: whether what it calls is there on every Windows it has to run on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.powershell.script import Argument, Call, Function, Script

EVERY_SERVER = {"server2016", "server2019", "server2022", "server2025"}
WINDOWS_POWERSHELL = "powershell5.1"
SWITCH = "SwitchParameter"

ACTIONS = ("Continue", "Ignore", "Inquire", "SilentlyContinue", "Stop", "Suspend")
COMMON_PARAMETERS: dict[str, dict[str, Any]] = {
    **{name: {"type": "ActionPreference", "values": ACTIONS} for name in ("ErrorAction", "WarningAction", "InformationAction")},
    **{name: {"type": "String"} for name in ("ErrorVariable", "WarningVariable", "InformationVariable", "OutVariable", "PipelineVariable")},
    "OutBuffer": {"type": "Int32"},
    "Verbose": {"type": SWITCH},
    "Debug": {"type": SWITCH},
}
"""What every cmdlet takes. Functions of ours take it only if they say so, and none does."""

Cmdlets = Mapping[str, Mapping[str, Any]]


def load_cmdlets(path: Path) -> dict[str, dict[str, Any]]:
    """Cmdlets by name from a file of signatures: module, cmdlet, {on, parameters: {name: {type, aliases, values}}}."""
    modules = json.loads(path.read_text(encoding="utf-8"))
    return {name: cmdlet for cmdlets in modules.values() for name, cmdlet in cmdlets.items()}


def findings(script: Script, cmdlets: Cmdlets, imported: Mapping[str, Function]) -> list[str]:
    """What is wrong with SCRIPT, each with its line; IMPORTED are the functions that it gets from the modules it requires.

    Names have to be written out and spelled as they are: no aliases, no abbreviations. Of a splatted call only what is named is looked at,
    of a call of what a variable holds nothing.
    """
    functions = {**imported, **script.functions}
    found = [f"line {line}: Windows PowerShell 5.1 does not know this: {text}" for line, text in script.errors]
    for call in script.calls:
        if call.name in functions:
            found += check_function(call, functions[call.name])
        elif call.name in cmdlets:
            found += check_cmdlet(call, cmdlets[call.name])
        else:
            hint = spelled(call.name, {**cmdlets, **functions})
            found.append(f"line {call.line}: {call.name} is neither a known cmdlet nor a function in reach{hint}")
    return found


def check_function(call: Call, function: Function) -> Iterator[str]:
    for argument in call.arguments:
        if argument.name not in function.parameters:
            yield f"line {argument.line}: {call.name} has no parameter {argument.name}{spelled(argument.name, function.parameters)}"
        elif not argument.valued and not function.parameters[argument.name]:
            yield f"line {argument.line}: {call.name} -{argument.name} lacks its value"


def check_cmdlet(call: Call, cmdlet: Mapping[str, Any]) -> Iterator[str]:
    if not (set(cmdlet["on"]) >= EVERY_SERVER or WINDOWS_POWERSHELL in cmdlet["on"]):
        yield f"line {call.line}: {call.name} is not on every Windows Server from 2016 on, but only on {', '.join(cmdlet['on'])}"
    parameters = COMMON_PARAMETERS | dict(cmdlet["parameters"])
    for argument in call.arguments:
        if argument.name not in parameters:
            yield f"line {argument.line}: {call.name} has no parameter {argument.name}{spelled(argument.name, parameters)}"
        else:
            yield from check_value(call, argument, parameters[argument.name])


def check_value(call: Call, argument: Argument, parameter: Mapping[str, Any]) -> Iterator[str]:
    if not argument.valued and not parameter["type"].endswith(SWITCH):
        yield f"line {argument.line}: {call.name} -{argument.name} lacks its value"
    allowed = {value.lower() for value in parameter.get("values", ())}
    for literal in argument.literals or ():
        if allowed and literal.lower() not in allowed:
            yield f"line {argument.line}: {call.name} -{argument.name} does not take {literal}, only {', '.join(parameter['values'])}"


def spelled(name: str, known: Mapping[str, Any]) -> str:
    """A hint where NAME is known in another case of letters."""
    other = next((one for one in known if one.lower() == name.lower()), None)
    return f" (it is spelled {other})" if other else ""
