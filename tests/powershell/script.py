# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A PowerShell script as a parser sees it: what it calls with which parameters, what it defines, requires and exports."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import tree_sitter
import tree_sitter_powershell

PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_powershell.language()))


@dataclass(frozen=True)
class Argument:
    """A named argument of a call.

    `valued`: a value stands behind the name. `literals`: its texts, where all of it is literal; else None.
    """

    name: str
    valued: bool
    literals: tuple[str, ...] | None
    line: int


@dataclass(frozen=True)
class Call:
    """A call of a command by its name; calls of what a variable holds (`& $x`) are none."""

    name: str
    arguments: tuple[Argument, ...]
    line: int


@dataclass(frozen=True)
class Function:
    """A function of ours and its parameters: name to whether it is a switch."""

    name: str
    parameters: dict[str, bool]


@dataclass(frozen=True)
class Requirement:
    """An #AnsibleRequires line: `kind` is PowerShell or CSharpUtil."""

    kind: str
    name: str
    line: int


@dataclass(frozen=True)
class Script:
    """What stands in one script. `errors`: (line, text) of what the parser does not know as Windows PowerShell 5.1."""

    errors: tuple[tuple[int, str], ...]
    calls: tuple[Call, ...]
    functions: dict[str, Function]
    requirements: tuple[Requirement, ...]

    @property
    def exported(self) -> tuple[str, ...] | None:
        """The functions of Export-ModuleMember -Function; None where it is missing, there more than once, or not literal."""
        exports = [call for call in self.calls if call.name == "Export-ModuleMember"]
        if len(exports) != 1:
            return None
        return next((argument.literals for argument in exports[0].arguments if argument.name == "Function"), None)


def read(path: Path) -> Script:
    return parse(path.read_text(encoding="utf-8"))


def parse(text: str) -> Script:
    root = PARSER.parse(text.encode()).root_node
    nodes = list(walk(root))
    functions = [function for node in nodes if node.type == "function_statement" for function in [read_function(node)]]
    return Script(
        errors=tuple((line_of(node), text_of(node).strip() or node.type) for node in nodes if not_windows_powershell(node)),
        calls=tuple(call for node in nodes if node.type == "command" for call in read_call(node)),
        functions={function.name: function for function in functions},
        requirements=tuple(read_requirements(text)),
    )


def not_windows_powershell(node: tree_sitter.Node) -> bool:
    # The grammar knows && and || between commands, which PowerShell 7 brought, and none of its other news.
    return node.type in {"ERROR", "pipeline_chain_tail"} or node.is_missing


def walk(node: tree_sitter.Node) -> Iterator[tree_sitter.Node]:
    yield node
    for child in node.children:
        yield from walk(child)


def text_of(node: tree_sitter.Node) -> str:
    return (node.text or b"").decode()


def line_of(node: tree_sitter.Node) -> int:
    return node.start_point.row + 1


def read_call(command: tree_sitter.Node) -> Iterator[Call]:
    """The call that COMMAND is; nothing for what a variable holds, or an expression gives."""
    node = next((child for child in command.children if child.type in {"command_name", "command_name_expr"}), None)
    name = text_of(node).strip("'\"") if node else ""
    if not name or "$" in name or name.startswith("("):
        return
    arguments = []
    elements = [one for child in command.children if child.type == "command_elements" for one in child.children]
    elements = [one for one in elements if one.type != "command_argument_sep" or ":" in text_of(one)]
    for index, element in enumerate(elements):
        if element.type != "command_parameter":
            continue
        behind = elements[index + 1 :]
        if behind and behind[0].type == "command_argument_sep":
            behind = behind[1:]
        valued = bool(behind) and behind[0].type not in {"command_parameter", "redirection"}
        arguments.append(Argument(text_of(element)[1:], valued, literals(behind[0]) if valued else None, line_of(element)))
    yield Call(name, tuple(arguments), line_of(command))


def literals(value: tree_sitter.Node) -> tuple[str, ...] | None:
    """The texts that VALUE is made of: a bare word, a string, or a list of strings in @(...). None where something has to be worked out."""
    if value.type == "generic_token":
        return (text_of(value),)
    leaves = {"variable", "sub_expression", "command", "member_access", "invokation_expression", "element_access", "integer_literal"}
    nodes = list(walk(value))
    if any(node.type in leaves for node in nodes):
        return None
    strings = [text_of(node) for node in nodes if node.type == "string_literal"]
    return tuple(string[1:-1] for string in strings) or None


def read_function(node: tree_sitter.Node) -> Function:
    name = text_of(next(child for child in node.children if child.type == "function_name"))
    parameters = {}
    for parameter in own_parameters(node):
        types = [text_of(one).lower() for one in walk(parameter) if one.type == "type_literal"]
        variable = next(child for child in parameter.children if child.type == "variable")
        parameters[text_of(variable)[1:]] = "[switch]" in types
    return Function(name, parameters)


def own_parameters(node: tree_sitter.Node) -> Iterator[tree_sitter.Node]:
    """The parameters of the function NODE, not those of a function or script block inside it."""
    for child in node.children:
        if child.type == "script_parameter":
            yield child
        elif child.type in {"function_parameter_declaration", "parameter_list", "script_block", "param_block"}:
            yield from own_parameters(child)


def read_requirements(text: str) -> Iterator[Requirement]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.lower().lstrip("# ").startswith(("ansiblerequires", "requires")) and line.startswith("#"):
            match = re.fullmatch(r"#AnsibleRequires -(PowerShell|CSharpUtil) (\S+)", line)
            yield Requirement(match[1], match[2], number) if match else Requirement("", line, number)
