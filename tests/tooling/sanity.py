# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""ansible-test sanity, on a machine that has no PowerShell and reaches nothing but a package registry."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
from pathlib import Path

from tests.tooling.environment import CACHE, PIP, Environment
from tests.tooling.repository import ROOT, repository_files

FOLDER = CACHE / "sanity"
HOME = FOLDER / "home"


def command(environment: Environment) -> list[str | Path]:
    """Everything that needs no PowerShell. validate-modules cannot run a .ps1 without it; their .yml is still checked."""
    scripts = sorted((ROOT / "plugins" / "modules").glob("*.ps1"))
    excluded = [argument for path in scripts for argument in ("--exclude", str(path.relative_to(ROOT)))]
    python = f"3.{environment.interpreter.minor}"
    return [environment.program("ansible-test"), "sanity", "--color", "no", "--python", python, "--skip-test", "pslint", *excluded]


def variables(environment: Environment) -> dict[str, str]:
    """A HOME in the clone, and a PATH with real interpreters only: ansible-test takes a shim for the interpreter itself."""
    path = [str(environment.folder / "bin"), str(environment.interpreter.path.parent), os.defpath]
    return {"HOME": str(HOME), "PATH": os.pathsep.join(path), "LANG": "C.UTF-8"}


def prepare(environment: Environment) -> Path:
    """Copy the collection to where ansible-test wants it, and give it a HOME. Returns the folder to run it in.

    Raises FileNotFoundError or CalledProcessError where git cannot list the files.
    """
    tree = FOLDER / "ansible_collections"
    copy_collection(tree / "securepatch" / "wsus")
    (tree / "ansible").mkdir(exist_ok=True)
    windows = tree / "ansible" / "windows"
    windows.unlink(missing_ok=True)
    windows.symlink_to(environment.collections / "ansible_collections" / "ansible" / "windows")
    write_get_pip(environment)
    write_pip_configuration(environment)
    return tree / "securepatch" / "wsus"


def copy_collection(place: Path) -> None:
    """Copy every file that git has or would take, as it is now. A symbolic link to the clone would lead ansible-test out of its folder."""
    if place.exists():
        shutil.rmtree(place)
    for source in repository_files():
        copy = place / source.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, copy, follow_symlinks=False)
    # Without a repository of its own, it would ask the clone's, which ignores this folder.
    subprocess.run(["git", "init", "--quiet"], check=True, cwd=place)


def write_get_pip(environment: Environment) -> None:
    """ansible-test downloads get-pip.py unless it finds it in its cache, so it finds one that takes the pip that comes with Python."""
    internal = next(environment.folder.glob("lib/python3.*/site-packages/ansible_test/_internal/python_requirements.py"))
    cache = HOME / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    for version in re.findall(r"""pip=['"]([\d.]+)['"]""", internal.read_text(encoding="utf-8")):
        script = cache / f"get_pip_{version.replace('.', '_')}.py"
        script.write_text("import ensurepip\n\nensurepip.bootstrap()\n", encoding="utf-8")


def write_pip_configuration(environment: Environment) -> None:
    """ansible-test hands no variable of pip's on, and the HOME is another: the user's settings (which registry, say) go there as a file."""
    listing = subprocess.run([environment.python, *PIP, "config", "list"], capture_output=True, text=True, check=True, cwd=ROOT)
    configuration = configparser.RawConfigParser()
    configuration.add_section("global")
    for line in listing.stdout.splitlines():
        name, value = line.split("=", 1)
        section, option = name.rsplit(".", 1)
        section = "global" if section == ":env:" else section
        if not configuration.has_section(section):
            configuration.add_section(section)
        # Several values are listed as one, parted by a newline.
        configuration.set(section, option, value[1:-1].replace("\\n", "\n"))
    place = HOME / ".config" / "pip" / "pip.conf"
    place.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
        configuration.write(stream)
