# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The collection can be built and installed, and what a user gets is the collection and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(sys.executable).parent

# Files and folders at the top of what a user gets. What is not here does not belong there.
EXPECTED_FILES = {"CHANGELOG.md", "FILES.json", "LICENSE", "MANIFEST.json", "README.md"}
EXPECTED_FOLDERS = {"changelogs", "docs", "meta", "playbooks", "plugins", "roles"}


def run(*command: str | Path, **variables: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=os.environ | variables).stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The collection as installed from its archive, in a collections folder of its own, with nothing downloaded."""
    folder = tmp_path_factory.mktemp("archive")
    run(PROGRAMS / "ansible-galaxy", "collection", "build", "--output-path", folder)
    (archive,) = folder.glob("securepatch-wsus-*.tar.gz")
    # Where it is installed already, in the clone itself, there would be nothing to do.
    alone = {"ANSIBLE_COLLECTIONS_PATH": str(folder)}
    run(PROGRAMS / "ansible-galaxy", "collection", "install", archive, "--offline", "--no-deps", "--collections-path", folder, **alone)
    return folder / "ansible_collections" / "securepatch" / "wsus"


def test_a_user_gets_the_collection_and_nothing_it_is_developed_or_tested_with(installed: Path) -> None:
    assert {path.name for path in installed.iterdir()} == EXPECTED_FILES | EXPECTED_FOLDERS


def test_nothing_that_tools_leave_behind_is_in_it(installed: Path) -> None:
    assert [path for path in installed.rglob("*") if path.name.startswith(".") or path.name == "__pycache__" or path.suffix == ".pyc"] == []


def test_every_plugin_role_and_playbook_is_in_it(installed: Path) -> None:
    def files(root: Path) -> set[Path]:
        rooms = [root / room for room in ("plugins", "roles", "playbooks", "docs", "meta")]
        every = (path.relative_to(root) for room in rooms for path in room.rglob("*") if path.is_file())
        return {path for path in every if "__pycache__" not in path.parts}

    assert files(installed) == files(ROOT)


def test_manifest_says_what_galaxy_yml_says(installed: Path) -> None:
    said = json.loads((installed / "MANIFEST.json").read_text(encoding="utf-8"))["collection_info"]
    galaxy = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))
    assert {key: said[key] for key in ("namespace", "name", "version", "license", "dependencies")} == {
        key: galaxy[key] for key in ("namespace", "name", "version", "license", "dependencies")
    }


def test_every_module_is_documented_and_the_public_ones_are_the_action_group(installed: Path) -> None:
    collections = str(installed.parents[2])
    listed = json.loads(run(PROGRAMS / "ansible-doc", "--json", "--list", "securepatch.wsus", ANSIBLE_COLLECTIONS_PATH=collections))
    assert {name.rpartition(".")[2] for name in listed} == {path.stem for path in (installed / "plugins" / "modules").iterdir()}
    assert all(listed.values()), "every module has a short description"
    public = {name.rpartition(".")[2] for name, description in listed.items() if not description.startswith("Internal: ")}
    runtime = yaml.safe_load((installed / "meta" / "runtime.yml").read_text(encoding="utf-8"))
    assert set(runtime["action_groups"]["wsus"]) == public
