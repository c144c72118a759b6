# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Labs for tests, and the real WinRM client to talk to them with."""

from __future__ import annotations

import base64
import itertools
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from winrm.protocol import Protocol

from tests.lab.lab import Lab

_numbers = itertools.count()

LabMaker = Callable[..., Lab]


def own_network() -> str:
    """Addresses that no other test process uses at the same time."""
    return f"127.{64 + os.getpid() // 256 % 64}.{os.getpid() % 256}.{next(_numbers) % 8 * 32}/27"


@pytest.fixture
def make_lab(tmp_path: Path) -> Iterator[LabMaker]:
    """Brings labs up, and down at the end."""
    with ExitStack() as stack:

        def make(fleet: Mapping[str, Any] | Path, **options: Any) -> Lab:
            return stack.enter_context(Lab(fleet, folder=tmp_path / "lab", network=own_network(), **options))

        yield make


class Controller:
    """What Ansible does with a server: a shell, a module through it, its result."""

    def __init__(self, lab: Lab, server: str, **credentials: str) -> None:
        groups = yaml.safe_load(lab.inventory.read_text(encoding="utf-8")).values()
        group = next(one for one in groups if server in one["hosts"])
        host, variables = group["hosts"][server], group["vars"]
        self.protocol = Protocol(
            f"https://{host['ansible_host']}:{variables['ansible_port']}/wsman",
            transport=variables["ansible_winrm_transport"],
            username=credentials.get("user", variables["ansible_user"]),
            password=credentials.get("password", variables["ansible_password"]),
            ca_trust_path=variables["ansible_winrm_ca_trust_path"],
        )

    def module(self, name: str, *, check_mode: bool = False, become_user: str | None = None, **arguments: Any) -> dict[str, Any]:
        """Run a module as ansible-core 2.19 sends it; its result."""
        given = {**arguments, "_ansible_module_name": name, "_ansible_check_mode": check_mode}
        params = {"Script": f"{name}.ps1", "Variables": [{"Name": "complex_args", "Value": given}]}
        become = [{"name": "become_wrapper.ps1", "params": {"BecomeUser": become_user}}] if become_user else []
        manifest = {"scripts": {}, "actions": [*become, {"name": "module_wrapper.ps1", "params": params}]}
        stdout, _rest, _rest = self.run("bootstrap", b"{}\n\0\0\0\0\n" + json.dumps(manifest).encode())
        result: dict[str, Any] = json.loads(stdout)
        return result

    def raw(self, script: str) -> tuple[str, str, int]:
        """Run a PowerShell command; stdout, stderr and exit code."""
        stdout, stderr, code = self.run(f"PowerShell -EncodedCommand {base64.b64encode(script.encode('utf-16-le')).decode()}", None)
        return stdout.decode(), stderr.decode(), code

    def run(self, line: str, stdin: bytes | None) -> tuple[bytes, bytes, int]:
        shell = self.protocol.open_shell()
        command = self.protocol.run_command(shell, line, console_mode_stdin=stdin is None)
        if stdin is not None:
            self.protocol.send_command_input(shell, command, stdin, end=True)
        answer = self.protocol.get_command_output(shell, command)
        with suppress(requests.ConnectionError):  # it may be on its way down
            self.protocol.cleanup_command(shell, command)
            self.protocol.close_shell(shell)
        return answer
