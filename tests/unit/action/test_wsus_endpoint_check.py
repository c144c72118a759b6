# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleActionFail
from ansible.parsing.dataloader import DataLoader
from ansible_collections.securepatch.wsus.plugins.action import wsus_endpoint_check
from ansible_collections.securepatch.wsus.plugins.modules import wsus_endpoint_check as documentation
from ansible_collections.securepatch.wsus.plugins.plugin_utils.endpoint import Check, CheckError

ROOT = Path(__file__).parents[3]
OK = Check("https_connection", "TLS connection", "ok", "TLSv1.3")
NOT_CHECKED = Check("http_content", "Content", "not_checked", "was not asked")
BAD_NAME = Check("certificate_name", "the certificate is for a.example", "failed", "it is for b.example")
BAD_PORT = Check("http_reportingwebservice", "http://a.example:8530/x", "failed", "nothing listens")


def run(arguments: dict[str, Any], folder: Path = ROOT) -> dict[str, Any]:
    """Runs the action plugin with a connection that fails as soon as anything is asked of it."""
    loader = DataLoader()
    loader.set_basedir(str(folder))
    task = SimpleNamespace(args=arguments, async_val=0, check_mode=False, action="wsus_endpoint_check", delegate_to=None, diff=False)
    connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir=None))
    action = wsus_endpoint_check.ActionModule(task, connection, SimpleNamespace(), loader, None, None)
    result: dict[str, Any] = action.run(task_vars={"inventory_hostname": "wsus01"})
    return result


def found(monkeypatch: pytest.MonkeyPatch, *checks: Check) -> list[tuple[str, dict[str, Any]]]:
    """Lets the check find this; returns what it was asked."""
    asked: list[tuple[str, dict[str, Any]]] = []

    def check_server(name: str, **others: Any) -> list[Check]:
        asked.append((name, others))
        return list(checks)

    monkeypatch.setattr(wsus_endpoint_check, "check_server", check_server)
    return asked


def test_without_a_failed_check_it_is_ok(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, OK, NOT_CHECKED)
    result = run({"name": "a.example"})
    assert (result["ok"], result["changed"], result.get("failed", False)) == (True, False, False)
    assert result["checks"][1] == {"id": "http_content", "title": "Content", "status": "not_checked", "detail": "was not asked"}
    assert "msg" not in result


def test_the_message_of_a_failure_names_the_server_and_every_failed_check(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, OK, BAD_NAME, NOT_CHECKED, BAD_PORT)
    result = run({"name": "a.example"})
    assert (result["ok"], result["changed"], result["failed"]) == (False, False, True)
    assert len(result["checks"]) == 4
    assert result["msg"] == (
        "wsus01 did not pass the check from the controller: the certificate is for a.example: it is for b.example; "
        "http://a.example:8530/x: nothing listens"
    )


def test_arguments_arrive_with_their_types_and_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = found(monkeypatch, OK)
    run({"name": "a.example"})
    run({"name": "a.example", "https_port": "443", "tls_required": "yes", "timeout": "2.5", "ca_file": "ca.pem", "thumbprint": "AB" * 20}, tmp_path)
    assert asked[0] == (
        "a.example",
        {
            "https_port": 8531,
            "http_port": 8530,
            "address": None,
            "ca_file": None,
            "tls_required": None,
            "content_on_microsoft_update": False,
            "min_days": 0,
            "thumbprint": None,
            "timeout": 10,
            "cold_seconds": 60,
        },
    )
    given = asked[1][1]
    assert (given["https_port"], given["tls_required"], given["timeout"], given["thumbprint"]) == (443, True, 2.5, "AB" * 20)
    assert given["ca_file"] == str(tmp_path / "ca.pem")


def test_a_check_that_cannot_begin_names_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, **others: Any) -> list[Check]:
        raise CheckError("the CA file ca.pem cannot be read")

    monkeypatch.setattr(wsus_endpoint_check, "check_server", refuse)
    with pytest.raises(AnsibleActionFail, match=r"wsus01 could not be checked from the controller: the CA file ca\.pem cannot"):
        run({"name": "a.example"})


@pytest.mark.parametrize("arguments", [{}, {"name": "a", "https_port": "many"}, {"name": "a", "tls_required": "maybe"}, {"name": "a", "x": 1}])
def test_wrong_arguments_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(AnsibleActionFail):
        run(arguments)


def test_the_documentation_has_the_options_that_the_plugin_takes() -> None:
    documented = yaml.safe_load(documentation.DOCUMENTATION)["options"]
    taken = wsus_endpoint_check.ActionModule.ARGUMENTS
    plain = ("type", "required", "default")
    assert {name: {key: one[key] for key in plain if key in one} for name, one in documented.items()} == taken


def test_a_real_play_in_check_mode_reads_and_never_connects_to_its_host(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = listener.getsockname()[1]
    seen = tmp_path / "seen.json"
    arguments = {"name": "wsus01.corp.example", "address": "127.0.0.1", "https_port": closed, "http_port": closed, "cold_seconds": 0}
    tasks = [
        {"securepatch.wsus.wsus_endpoint_check": arguments, "register": "seen", "ignore_errors": True},
        {
            "ansible.builtin.copy": {"content": "{{ seen | to_json }}", "dest": str(seen)},
            "check_mode": False,
            "vars": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable},
        },
    ]
    playbook = tmp_path / "playbook.json"
    playbook.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]), encoding="utf-8")
    done = subprocess.run(
        # No machine has this address (RFC 5737), and whoever tried it would wait for it.
        [Path(sys.executable).with_name("ansible-playbook"), "--check", "-i", "wsus01,", "-e", "ansible_host=192.0.2.1", playbook],
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".cache" / "collections"), "ANSIBLE_LOCALHOST_WARNING": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert seen.exists(), done.stdout + done.stderr
    result = json.loads(seen.read_text(encoding="utf-8"))
    assert result["failed"] is True and result["ok"] is False
    assert result["msg"].startswith("wsus01 did not pass the check from the controller: TLS connection to wsus01.corp.example:")
    assert [check["status"] for check in result["checks"]].count("failed") == 2
