# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a role says of itself in three places, its defaults, its argument specs and its README, is one thing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ROLES = sorted(path for path in (ROOT / "roles").iterdir() if path.is_dir())


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_defaults_are_what_the_argument_specs_say(role: Path) -> None:
    defaults = load(role / "defaults" / "main.yml")
    for entry, spec in load(role / "meta" / "argument_specs.yml")["argument_specs"].items():
        said = {name: option["default"] for name, option in spec["options"].items() if "default" in option}
        assert said == {name: defaults[name] for name in said}, entry
        assert {name for name, option in spec["options"].items() if not option.get("required")} == set(said), entry


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_default_is_an_argument_of_its_entry_point(role: Path) -> None:
    assert set(load(role / "defaults" / "main.yml")) <= set(load(role / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"])


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_readme_has_every_variable_and_no_other(role: Path) -> None:
    named = set(re.findall(r"^\| `(\w+)`", (role / "README.md").read_text(encoding="utf-8"), re.MULTILINE))
    assert named == set(load(role / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"])


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_tasks_use_only_variables_that_the_role_declares_or_sets(role: Path) -> None:
    declared = set(load(role / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"])
    texts = [path.read_text(encoding="utf-8") for path in (role / "tasks").glob("*.yml")]
    found = [pair for text in texts for pair in re.findall(rf"(?:^\s+({role.name}_\w+):|register: (\w+))", text, re.MULTILINE)]
    made = {name for pair in found for name in pair if name}
    used = {name for text in texts for name in re.findall(rf"\b({role.name}_\w+)", text)}
    assert used <= declared | made
