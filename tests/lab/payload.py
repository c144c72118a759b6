# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What Ansible sends to a Windows host: which module with which arguments, which file, or which raw command.

A module comes through the standard input of a bootstrap script: a wrapper, four NULs, and a manifest. Where the
arguments stand in the manifest depends on the version of ansible-core; the module's name is always among them, as
`_ansible_module_name`:

| ansible-core | before the NULs | after them | arguments |
|---|---|---|---|
| 2.18 | PowerShell | JSON | `module_args` |
| 2.19 to 2.21 | JSON | JSON | the last action's `params.Variables`, the one named `complex_args` |
| 2.22 (beta) | JSON | gzip in base64 of JSON | the last action's `params.ArgumentJSON`, JSON text |

Under `become` the action that becomes stands before the module's. Raw commands are PowerShell in base64 on the command
line, encoded twice on 2.18.

How a file comes to a host (`_make_tmp_path`, `put_file`, `_remove_tmp_path` of Ansible's action plugins):

| ansible-core | make a temporary folder | put a file | remove the folder |
|---|---|---|---|
| 2.18 | raw command, `New-Item` | script on the command line, the data is the input | raw command, `Remove-Item` |
| 2.19 to 2.21 | script `powershell_mkdtemp.ps1` | script `winrm_put_file.ps1`, the data after four more NULs | the same |

A script stands in a manifest where a module does, and its parameters are the action's. Data is base64, in lines.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import json
import re
import zlib
from dataclasses import dataclass, field
from typing import Any

SEPARATOR = b"\0\0\0\0"
_QUOTES = "'\u2018\u2019\u201a\u201b"
_QUOTED = f"'(?:[^{_QUOTES}]|[{_QUOTES}]{{2}})*'"
_MAKE = re.compile(
    rf"ExpandEnvironmentVariables\((?P<folder>{_QUOTED})\)\s+"
    rf"\$tmp = New-Item -Type Directory -Path \$tmp_path -Name (?P<name>{_QUOTED})"
)
_PUT = re.compile(rf"\$path = (?P<path>{_QUOTED})\s.*\[System\.IO\.File\]::Create\(\$path\)", re.DOTALL)
_REMOVE = re.compile(rf"^Remove-Item (?P<path>{_QUOTED}|[^\s';]+) -Force( -Recurse)?;?\s*$", re.MULTILINE)
_ENCODED_COMMAND = re.compile(r"-EncodedCommand\s+([A-Za-z0-9+/=]+)", re.IGNORECASE)


class NotAModule(ValueError):
    """What came is not a module in any form that is known here. The text says what it is instead."""


@dataclass(frozen=True)
class Asked:
    """A module that Ansible asks for.

    :param module: its full name, such as `ansible.windows.win_ping`; without a dot where Ansible gave none
    :param arguments: the task's arguments, without Ansible's own (`_ansible_...`)
    :param become_user: who it is to run as, or None for the connected user
    """

    module: str
    arguments: dict[str, Any] = field(default_factory=dict)
    check_mode: bool = False
    become_user: str | None = None


@dataclass(frozen=True)
class MakeFolder:
    """A folder is to be made: NAME in FOLDER, which may have environment variables in it."""

    folder: str
    name: str


@dataclass(frozen=True)
class PutFile:
    """A file is to be written."""

    path: str
    data: bytes


@dataclass(frozen=True)
class Remove:
    """A file or a folder, with what is in it, is to be removed."""

    path: str


FileCommand = MakeFolder | PutFile | Remove


def unpack(data: bytes) -> Asked | FileCommand:
    """Read what was piped in.

    :raises NotAModule: for anything that is not a module that runs at once, or one of Ansible's scripts for files
    """
    _rest, separator, packed = data.partition(SEPARATOR)
    if not separator:
        raise NotAModule("the input has no line of four NULs, so it is no module")
    packed, _rest, after = packed.partition(SEPARATOR)
    manifest = _manifest(packed.strip())
    try:
        found = _file_script(manifest, after)
        if found is not None:
            return found
        return _from_manifest(manifest)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise NotAModule(f"the manifest is of no version of ansible-core that is known here ({error!r})") from error


def _manifest(packed: bytes) -> dict[str, Any]:
    try:
        if not packed.startswith(b"{"):
            packed = gzip.decompress(base64.b64decode(packed, validate=True))
        manifest = json.loads(packed)
    except (binascii.Error, OSError, EOFError, zlib.error, ValueError) as error:
        raise NotAModule(f"the manifest cannot be read: {error}") from error
    if not isinstance(manifest, dict):
        raise NotAModule("the manifest is not a JSON object")
    return manifest


def _from_manifest(manifest: dict[str, Any]) -> Asked:
    names = [action if isinstance(action, str) else action["name"] for action in manifest["actions"]]
    if any(name.startswith("async_") for name in names):
        raise NotAModule("it is to run in the background (async)")
    if "module_args" in manifest:  # 2.18
        become_user = manifest.get("become_user")
        return _asked(manifest["module_args"], become_user)
    params = manifest["actions"][-1]["params"]
    if "ArgumentJSON" in params:  # 2.22
        arguments = json.loads(params["ArgumentJSON"])
    elif "Variables" in params:
        arguments = next((one["Value"] for one in params["Variables"] if one["Name"] == "complex_args"), None)
        if arguments is None:
            raise NotAModule("the manifest has no complex_args")
    else:
        raise NotAModule(f"it is a script and no module: {params['Script']}")
    become_user = next((one["params"].get("BecomeUser") for one in manifest["actions"][:-1]), None)
    return _asked(arguments, become_user)


def _asked(arguments: dict[str, Any], become_user: str | None) -> Asked:
    name = str(arguments["_ansible_module_name"])
    own = {key: value for key, value in arguments.items() if not key.startswith("_ansible_")}
    return Asked(name, own, bool(arguments.get("_ansible_check_mode")), become_user)


def _file_script(manifest: dict[str, Any], data: bytes) -> FileCommand | None:
    actions = manifest["actions"]
    if len(actions) != 1 or isinstance(actions[0], str):
        return None
    params = actions[0]["params"]
    if actions[0]["name"] == "powershell_mkdtemp.ps1":
        return MakeFolder(str(params["Directory"]), str(params["Name"]))
    if actions[0]["name"] == "winrm_put_file.ps1":
        return PutFile(str(params["Path"]), _lines(data))
    return None


def _lines(data: bytes) -> bytes:
    try:
        return b"".join(base64.b64decode(line, validate=True) for line in data.split())
    except binascii.Error as error:
        raise NotAModule(f"the file's data is not base64: {error}") from error


def file_command(script: str, data: bytes) -> FileCommand | None:
    """What a raw command (its PowerShell), with its input, does to files; None where it is nothing of the kind.

    :raises NotAModule: for a file whose data is not base64
    """
    if found := _PUT.search(script):
        return PutFile(_unquoted(found["path"]), _lines(data))
    if data:
        return None
    if found := _MAKE.search(script):
        return MakeFolder(_unquoted(found["folder"]), _unquoted(found["name"]))
    if found := _REMOVE.search(script):
        return Remove(_unquoted(found["path"]))
    return None


def _unquoted(text: str) -> str:
    """A PowerShell argument as it is meant: in single quotes any of them is doubled."""
    if not text.startswith("'"):
        return text
    return re.sub(f"([{_QUOTES}])\\1", r"\1", text[1:-1])


def raw_command(line: str) -> str:
    """The PowerShell behind a command line, out of every -EncodedCommand that it is wrapped in; the line itself where there is none."""
    while found := _ENCODED_COMMAND.search(line):
        try:
            line = base64.b64decode(found[1], validate=True).decode("utf-16-le")
        except (binascii.Error, UnicodeDecodeError):
            break
    return line
