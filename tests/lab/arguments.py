# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A module's interface, and its arguments checked against it and kept secret as Ansible.Basic does it on Windows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


class BadArguments(Exception):
    """Arguments that a module does not take, in the words of Ansible.Basic."""


@dataclass(frozen=True)
class Option:
    """One option of a module's interface. `elements` and `options` are a list's; `no_log`: its value is in no result."""

    type: str
    required: bool = False
    default: Any = None
    elements: str | None = None
    options: dict[str, Option] | None = None
    choices: tuple[str, ...] = ()
    no_log: bool = False


@dataclass(frozen=True)
class RequiredIf:
    """Where option `name` is `value`, `needed` must be there: all of them, or any."""

    name: str
    value: str
    needed: tuple[str, ...]
    any_of: bool = False


def checked(
    options: dict[str, Option], rules: tuple[RequiredIf, ...], given: dict[str, Any], module: str, expand: Callable[[str], str]
) -> dict[str, Any]:
    """The arguments GIVEN to MODULE as it gets them: checked, converted, the defaults filled in, and variables in paths (EXPAND).

    :raises BadArguments: for what the module does not take
    """
    parameters = _parameters(options, given, module)
    for name, option in options.items():
        if option.type == "path" and parameters[name] is not None:
            parameters[name] = expand(parameters[name])
    for rule in rules:
        missing = [name for name in rule.needed if parameters[name] is None]
        if parameters[rule.name] == rule.value and len(missing) >= (len(rule.needed) if rule.any_of else 1):
            term = "any" if rule.any_of else "all"
            raise BadArguments(f"{rule.name} is {rule.value} but {term} of the following are missing: {', '.join(missing)}")
    return parameters


def secrets_of(options: dict[str, Option], given: dict[str, Any]) -> set[str]:
    """The values among GIVEN that no result may have."""
    secret = {name for name, option in options.items() if option.no_log}
    return {str(value) for name, value in given.items() if name.lower() in secret and value not in {None, ""}}


def without(value: Any, secrets: set[str]) -> Any:
    """VALUE with the secrets taken out."""
    if isinstance(value, dict):
        return {name: without(one, secrets) for name, one in value.items()}
    if isinstance(value, list):
        return [without(one, secrets) for one in value]
    if value is None:
        return None
    text = str(value)
    if text in secrets:
        return "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"
    found = next((one for one in secrets if one in text), None)
    if found is None:
        return value
    return text.replace(found, "********") if isinstance(value, str) else "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"


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
        scalar = _scalar(option.type, name, value)
        if option.choices and scalar.casefold() not in option.choices:
            raise BadArguments(f"value of {name} must be one of: {', '.join(option.choices)}. Got no match for: {scalar}")
        return scalar
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


_SCALARS: dict[str, Callable[[Any], Any]] = {"str": str, "path": str, "int": _int, "bool": _bool, "dict": _dict, "raw": lambda value: value}
