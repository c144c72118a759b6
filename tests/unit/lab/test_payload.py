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

from tests.lab.payload import SEPARATOR, Asked, NotAModule, raw_command, unpack

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
