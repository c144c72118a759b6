# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Every PowerShell script of the collection calls what is there on Windows Server 2016 to 2025 with Windows PowerShell 5.1."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pytest
import yaml

from tests.powershell.checker import findings, load_cmdlets
from tests.powershell.script import Function, Requirement, Script, read

PLUGINS = Path(__file__).parents[2] / "plugins"
MODULES = sorted(PLUGINS.rglob("*.psm1"))
SCRIPTS = sorted(PLUGINS.rglob("*.ps1")) + MODULES
CMDLETS = load_cmdlets(Path(__file__).with_name("signatures.json"))

each_script = pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
each_module = pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)


def required_file(script: Path, requirement: Requirement) -> Path:
    """The file that REQUIREMENT of SCRIPT means: one of ansible-core's, or one beside the script by its relative name."""
    suffix = {"PowerShell": ".psm1", "CSharpUtil": ".cs"}[requirement.kind]
    if requirement.name.startswith("Ansible."):
        language = {"PowerShell": "powershell", "CSharpUtil": "csharp"}[requirement.kind]
        return Path(str(files("ansible.module_utils") / language / f"{requirement.name}{suffix}"))
    name = requirement.name.lstrip(".")
    folder = script.parents[len(requirement.name) - len(name) - 1]
    return folder.joinpath(*name.split(".")).with_suffix(suffix)


def imported(path: Path, script: Script) -> dict[str, Function]:
    """The functions that the modules required by SCRIPT itself export."""
    found = {}
    for requirement in script.requirements:
        if requirement.kind == "PowerShell" and requirement.name.startswith("."):
            module = read(required_file(path, requirement))
            found.update({name: module.functions[name] for name in module.exported or () if name in module.functions})
    return found


def test_scripts_are_found() -> None:
    assert len(MODULES) >= 5
    assert len(SCRIPTS) >= 9


@each_script
def test_script_calls_only_what_every_supported_windows_has(path: Path) -> None:
    script = read(path)
    assert findings(script, CMDLETS, imported(path, script)) == []


@each_script
def test_script_is_ascii_because_windows_powershell_takes_anything_else_for_the_machines_own_code_page(path: Path) -> None:
    assert path.read_bytes().isascii()


@each_script
def test_what_script_requires_is_there(path: Path) -> None:
    for requirement in read(path).requirements:
        assert requirement.kind, f"line {requirement.line}: not understood: {requirement.name}"
        assert required_file(path, requirement).is_file(), f"line {requirement.line}: {requirement.name} is not there"


@each_script
def test_required_modules_do_not_require_each_other_in_a_circle(path: Path) -> None:
    def follow(one: Path, way: tuple[Path, ...]) -> None:
        assert one not in way, " -> ".join(step.name for step in (*way, one))
        for requirement in read(one).requirements:
            if requirement.kind == "PowerShell" and requirement.name.startswith("."):
                follow(required_file(one, requirement), (*way, one))

    follow(path, ())


@each_module
def test_module_exports_functions_that_it_has(path: Path) -> None:
    module = read(path)
    assert module.exported, "one Export-ModuleMember -Function @(...) with literal names"
    assert set(module.exported) <= set(module.functions)


@each_module
def test_module_is_strict_and_stops_at_errors(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert "Set-StrictMode -Version 2.0" in lines
    assert "$ErrorActionPreference = 'Stop'" in lines


@pytest.mark.parametrize("path", sorted(PLUGINS.rglob("*.ps1")), ids=lambda path: path.name)
def test_module_documents_the_options_that_it_takes(path: Path) -> None:
    document = yaml.safe_load(path.with_suffix(".yml").read_text(encoding="utf-8"))["DOCUMENTATION"]
    assert document["short_description"].startswith("Internal: ")
    assert flat(document["options"], "suboptions") == spec_of(path)
    promised = document["attributes"]["check_mode"]["support"] == "full"
    assert promised == bool(re.search(r"^    supports_check_mode = \$true$", path.read_text(encoding="utf-8"), re.MULTILINE))


def flat(options: dict[str, dict[str, object]], inner: str, above: str = "") -> dict[str, dict[str, object]]:
    """Options by dotted name, each with what a spec of Ansible.Basic says too."""
    found: dict[str, dict[str, object]] = {}
    for name, option in options.items():
        found[above + name] = {key: option[key] for key in ("type", "elements", "required", "default") if key in option}
        found |= flat(option.get(inner, {}), inner, f"{above}{name}.")  # type: ignore[arg-type]
    return found


def spec_of(path: Path) -> dict[str, dict[str, object]]:
    """The `options` of the `$spec` that PATH gives to Ansible.Basic, read as what it is in these scripts: literals only."""
    text = re.search(r"^\$spec = (@\{.*?^\})", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert text, "no $spec = @{...}"
    source = text[1].replace("@(", "[").replace(")", "]").replace("$true", "true").replace("$false", "false")
    source = re.sub(r"(\w+) = ", r"\1: ", source.replace("@{", "{"))
    # One entry a line, or several parted by a semicolon: YAML wants commas.
    source = re.sub(r"([^{,\n])\s*\n(?=\s*[\w}])", r"\1,\n", source.replace(";", ","))
    return flat(yaml.safe_load(source)["options"], "options")
