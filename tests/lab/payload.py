# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What Ansible sends to a Windows host: which module with which arguments, or which raw command.

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


def unpack(data: bytes) -> Asked:
    """Read what was piped in.

    :raises NotAModule: for anything that is not a module that runs at once
    """
    _rest, separator, packed = data.partition(SEPARATOR)
    if not separator:
        raise NotAModule("the input has no line of four NULs, so it is no module")
    manifest = _manifest(packed.strip())
    try:
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


def raw_command(line: str) -> str:
    """The PowerShell behind a command line, out of every -EncodedCommand that it is wrapped in; the line itself where there is none."""
    while found := _ENCODED_COMMAND.search(line):
        try:
            line = base64.b64decode(found[1], validate=True).decode("utf-16-le")
        except (binascii.Error, UnicodeDecodeError):
            break
    return line
