# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Virtual environments with an ansible-core, and the collections that go with it. All of it is below ignored folders of the clone."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from tests.tooling.cores import Core
from tests.tooling.interpreters import Interpreter, ask
from tests.tooling.repository import ROOT

CACHE = ROOT / ".cache"


class SetupError(Exception):
    """An environment could not be made. The text says which, and what to do."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment at `folder` with `core`, and a collections folder for it."""

    core: Core
    interpreter: Interpreter
    folder: Path
    collections: Path
    requirements: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def program(self, name: str) -> Path:
        return self.folder / "bin" / name

    def variables(self) -> dict[str, str]:
        """The environment variables to run with: this one's programs first, nothing of the user's own Ansible or Python settings."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("ANSIBLE_", "MOLECULE_", "PYTEST_")) and name not in {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
        }
        plain = {} if sys.stdout.isatty() else {"NO_COLOR": "1"}
        return kept | plain | {
            "PATH": os.pathsep.join([str(self.folder / "bin"), *outside_path()]),
            "ANSIBLE_COLLECTIONS_PATH": str(self.collections),
            "ANSIBLE_CONFIG": str(CACHE / "ansible.cfg"),
            "ANSIBLE_HOME": str(CACHE / "ansible"),
            "HYPOTHESIS_STORAGE_DIRECTORY": str(CACHE / "hypothesis"),
            "PYTHONUNBUFFERED": "1",
            # The lab is on this machine: a proxy that the user has set knows nothing of it.
            "NO_PROXY": "127.0.0.0/8,localhost",
            "no_proxy": "127.0.0.0/8,localhost",
        }

    def installed_core(self) -> str:
        """The full version of the ansible-core that was installed."""
        ask_version = "from importlib.metadata import version; print(version('ansible-core'))"
        return subprocess.run([self.python, "-c", ask_version], capture_output=True, text=True, check=True).stdout.strip()

    def ensure(self) -> None:
        """Make what is missing. Quick where nothing is.

        Raises SetupError.
        """
        CACHE.mkdir(exist_ok=True)
        (CACHE / "ansible.cfg").touch()
        self._ensure_packages()
        self._ensure_ansible_windows()
        link_repository(self.collections)

    def _ensure_packages(self) -> None:
        stamp = self.folder / "requirements.stamp"
        wanted = fingerprint(self.requirements, f"{self.core.requirement} {self.interpreter.path} {self.interpreter}")
        made_from = ask(str(self.python)) if self.python.exists() else None
        if made_from is None or made_from.minor != self.interpreter.minor:
            print(f"Making {self.folder.relative_to(ROOT)} with {self.interpreter}", flush=True)
            run_setup([self.interpreter.path, "-m", "venv", "--clear", self.folder])
        elif stamp.exists() and stamp.read_text() == wanted:
            return
        print(f"Installing ansible-core {self.core.version} and {self.requirements.relative_to(ROOT)}", flush=True)
        run_setup([self.python, *PIP, "install", "--quiet", "-r", self.requirements, self.core.requirement])
        stamp.write_text(wanted)

    def _ensure_ansible_windows(self) -> None:
        """Take ansible.windows out of the package "ansible": package registries have that, and no collections."""
        place = self.collections / "ansible_collections" / "ansible" / "windows"
        stamp = self.collections / "ansible.windows.stamp"
        if place.exists() and stamp.exists() and stamp.read_text() == self.core.ansible:
            return
        print(f"Taking ansible.windows out of {self.core.ansible}", flush=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.collections) as scratch:
            only_it = ["--quiet", "--no-deps", "--only-binary", ":all:", "--dest", scratch]
            run_setup([self.python, *PIP, "download", *only_it, self.core.ansible])
            with zipfile.ZipFile(next(Path(scratch).glob("*.whl"))) as wheel:
                wheel.extractall(scratch, [name for name in wheel.namelist() if name.startswith("ansible_collections/ansible/windows/")])
            if place.exists():
                shutil.rmtree(place)
            (Path(scratch) / "ansible_collections" / "ansible" / "windows").rename(place)
        stamp.write_text(self.core.ansible)


PIP = ("-m", "pip", "--disable-pip-version-check")


def main_environment(core: Core, interpreter: Interpreter) -> Environment:
    """The one that is tested in full, and developed with."""
    return Environment(core, interpreter, ROOT / ".venv", CACHE / "collections", ROOT / "requirements" / "test.txt")


def other_environment(core: Core, interpreter: Interpreter) -> Environment:
    """One that is tested in short."""
    folder = CACHE / "cores" / f"{core.version}-python3.{interpreter.minor}"
    return Environment(core, interpreter, folder / "venv", folder / "collections", ROOT / "requirements" / "every_core.txt")


def fingerprint(requirements: Path, beside: str) -> str:
    """A digest of every requirements file (they include each other) and of BESIDE."""
    digest = hashlib.sha256(beside.encode())
    digest.update(requirements.name.encode())
    for path in sorted(requirements.parent.glob("*.txt")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def link_repository(collections: Path) -> None:
    """Make the repository the collection securepatch.wsus below COLLECTIONS."""
    link = collections / "ansible_collections" / "securepatch" / "wsus"
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink():
        link.symlink_to(os.path.relpath(ROOT, link.parent))


def outside_path() -> list[str]:
    """PATH without virtual environments' and pyenv's own folders: what a program finds there is not what it takes it for."""
    parts = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return [part for part in parts if part and Path(part).name != "shims" and not (Path(part).parent / "pyvenv.cfg").exists()]


def run_setup(command: list[str | Path]) -> None:
    try:
        subprocess.run(command, check=True, cwd=ROOT)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SetupError(f"This did not work, its own words are above: {' '.join(str(part) for part in command)}") from error
