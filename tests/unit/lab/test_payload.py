# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import base64
import contextlib
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.lab.payload import (
    SEPARATOR,
    Asked,
    FileCommand,
    MakeFolder,
    NotAModule,
    PutFile,
    Remove,
    file_command,
    raw_command,
    unpack,
)

# What each ansible-core really sent, the scripts in it taken out.
SENT: dict[str, Any] = json.loads((Path(__file__).parent / "sent_by_ansible.json").read_text(encoding="utf-8"))


def as_sent(payload: dict[str, Any]) -> bytes:
    lead: str = payload["lead"]
    return lead.encode() + SEPARATOR + (b"\n" if payload["newline"] else b"") + json.dumps(payload["manifest"]).encode()


@pytest.mark.parametrize("version", ["2.18", "2.19", "2.20", "2.21"])
class TestEveryAnsible:
    def test_says_module_and_arguments(self, version: str) -> None:
        assert unpack(as_sent(SENT["payloads"][version])) == Asked("securepatch.wsus.wsus_state", {"thumbprints": ["AB"]})

    def test_says_them_under_become_in_check_mode(self, version: str) -> None:
        asked = unpack(as_sent(SENT["payloads"][f"{version}-become"]))
        assert asked == Asked("securepatch.wsus.wsus_state", {"thumbprints": ["AB"]}, check_mode=True, become_user="SYSTEM")


@pytest.mark.parametrize("version", ["2.18", "2.19", "2.20", "2.21"])
class TestFiles:
    """How every ansible-core makes a temporary folder, puts a file with a quote in its name into it, and removes it."""

    def asked(self, version: str, what: str) -> Asked | FileCommand:
        sent = SENT["files"][version][what]
        data = sent["input"].encode()
        found = file_command(raw_command(sent["line"]), data)
        return found or unpack(data)

    def folder(self, version: str) -> str:
        made = self.asked(version, "make")
        assert isinstance(made, MakeFolder)
        assert made.folder == "%TEMP%"
        assert made.name.startswith("ansible-tmp-")
        return f"C:\\Users\\lab-administrator\\AppData\\Local\\Temp\\{made.name}"

    def test_a_file_is_put_into_the_folder(self, version: str) -> None:
        assert self.asked(version, "put") == PutFile(f"{self.folder(version)}\\it's a.pfx", b"first line\nsecond \xff\n")

    def test_the_folder_is_removed(self, version: str) -> None:
        assert self.asked(version, "remove") == Remove(f"{self.folder(version)}\\.")


def test_a_file_whose_data_is_no_base64_is_refused() -> None:
    sent = SENT["files"]["2.18"]["put"]
    with pytest.raises(NotAModule, match="base64"):
        file_command(raw_command(sent["line"]), b"###")


def test_a_file_may_be_empty_and_long() -> None:
    script = raw_command(SENT["files"]["2.18"]["put"]["line"])
    for data in (b"", b"x" * 600000):
        lines = b"".join(base64.b64encode(data[at : at + 250000]) + b"\r\n" for at in range(0, len(data), 250000))
        found = file_command(script, lines)
        assert isinstance(found, PutFile)
        assert found.data == data


@pytest.mark.parametrize(
    ("script", "path"),
    [
        ("Remove-Item 'C:\\a' -Force -Recurse;", "C:\\a"),
        ("Remove-Item C:\\a -Force", "C:\\a"),
        ("Set-StrictMode -Version Latest\nRemove-Item 'C:\\it''s \u2018\u2018x' -Force;\nIf (-not $?) {}", "C:\\it's \u2018x"),
        ("Remove-Item -LiteralPath $filePath -Force", None),
        ("Get-Process; Remove-Item C:\\a -Force", None),
        ("Remove-Item 'C:\\a' -Force; Get-Process", None),
    ],
)
def test_what_is_removed(script: str, path: str | None) -> None:
    assert file_command(script, b"") == (None if path is None else Remove(path))
    assert file_command(script, b"x") is None, "what has an input is something else"


def test_the_beta_of_2_22_is_understood() -> None:
    arguments = json.dumps({"data": "x", "_ansible_module_name": "ansible.windows.win_ping", "_ansible_check_mode": False})
    manifest = {"scripts": {}, "actions": [{"name": "module_wrapper.ps1", "params": {"Script": "x.ps1", "ArgumentJSON": arguments}}]}
    packed = base64.b64encode(gzip.compress(json.dumps(manifest).encode()))
    assert unpack(b"{}\n" + SEPARATOR + b"\n" + packed) == Asked("ansible.windows.win_ping", {"data": "x"})


def test_what_runs_in_the_background_is_refused() -> None:
    payload = json.loads(json.dumps(SENT["payloads"]["2.19"]))
    payload["manifest"]["actions"].insert(0, {"name": "async_wrapper.ps1", "params": {}})
    with pytest.raises(NotAModule, match="async"):
        unpack(as_sent(payload))


def test_a_script_is_no_module() -> None:
    manifest = {"scripts": {}, "actions": [{"name": "module_wrapper.ps1", "params": {"Script": "mine.ps1"}}]}
    with pytest.raises(NotAModule, match=r"mine\.ps1"):
        unpack(b"{}\n" + SEPARATOR + json.dumps(manifest).encode())


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["actions", "params", "Script", "Variables", "module_args", "Name", "name", "Value"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(st.one_of(st.binary(max_size=60), _json.map(lambda value: json.dumps(value).encode())))
def test_anything_else_is_refused_and_nothing_breaks(tail: bytes) -> None:
    for data in (tail, b"x" + SEPARATOR + tail):
        with contextlib.suppress(NotAModule):
            unpack(data)


@pytest.mark.parametrize("version", ["2.18", "2.21"])
def test_raw_commands_come_out_of_every_encoding(version: str) -> None:
    boot, restart, boot_again, ready = (raw_command(line) for line in SENT["raw"][version])
    assert "LastBootUpTime" in boot
    assert boot == boot_again
    assert "shutdown.exe /r" in restart
    assert "AutoLogonChecked" in ready


def test_a_command_without_encoding_is_itself() -> None:
    assert raw_command("whoami /all") == "whoami /all"
    assert raw_command("powershell -EncodedCommand AAA") == "powershell -EncodedCommand AAA"
