# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The molecule scenario: the roles alone, in a playbook as a user writes one, with the lab as the platform."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.conftest import network
from tests.integration.controller import ROOT

STEPS = ["create", "prepare", "converge", "idempotence", "check", "verify", "destroy"]


# Looked for and not imported: only the program is run.
@pytest.mark.skipif(importlib.util.find_spec("molecule") is None, reason="molecule is not installed in this environment")
def test_the_scenario_goes_through_all_of_its_steps(tmp_path: Path) -> None:
    programs = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg"),  # which is not there: nothing of the user's own
        "ANSIBLE_HOME": str(tmp_path / "ansible"),
        "LAB_NETWORK": network(),
        "MOLECULE_EPHEMERAL_DIRECTORY": str(tmp_path / "molecule"),
        "NO_COLOR": "1",
    }
    done = subprocess.run([str(programs / "molecule"), "test"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=600)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert re.findall(r"(\w+): Executed: Successful", said.partition("DETAILS")[2]) == STEPS, said
    assert not (tmp_path / "molecule" / "lab").exists(), "the lab is stopped, and what it left is gone"
