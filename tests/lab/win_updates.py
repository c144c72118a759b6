# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""`ansible.windows.win_updates` for a search at the managed server, and `ansible.windows.win_command` for `gpupdate`: as their PowerShell does it.

The action plugin of win_updates starts a task, polls what it writes into a pipe until it has ended, and cancels it: three trips. Here the
search is over when the first of them ends, and what it wrote waits for the second.
"""

from __future__ import annotations

import re
import uuid
from typing import Any

from .call import Call, Result
from .engine import WindowsError, refresh_group_policies
from .update_agent import exit_of

_GPUPDATE = re.compile(r"(?:C:\\Windows\\System32\\)?gpupdate(?:\.exe)?\s+/target:computer\s+/wait:(\d{1,3})", re.IGNORECASE)
_GPUPDATE_PATH = "C:\\Windows\\System32\\gpupdate.exe"
_LONGEST_WAIT = 600
_SERVED = "The lab serves ansible.windows.win_updates with state=searched and server_selection=managed_server only, and not"
_UPDATING = "Updating policy...\r\n\r\n"
_UPDATED = "\r\n\r\nComputer Policy update has completed successfully.\r\n\r\n"
_NOT_UPDATED = "\r\n\r\nComputer policy could not be updated successfully. The following errors were encountered:\r\n\r\n"


def win_updates(call: Call) -> Result:
    """The module, as its action plugin calls it: start, poll, cancel."""
    operation = call.parameters["_operation"].casefold()
    options = call.parameters["_operation_options"] or {}
    if operation == "start":
        return _start(call)
    if operation == "poll":
        with call.machine.lock:
            written = call.machine.pipes.pop(str(options.get("pipe_name")), None)
        if written is None:
            return _failed("Timed out waiting for server pipe to be available")
        return {"changed": False, "output": written}
    if operation == "cancel":
        return {"changed": False}
    return _failed(f"{_SERVED} _operation={operation}.")


def _start(call: Call) -> Result:
    for name, served in (("state", "searched"), ("server_selection", "managed_server")):
        asked = call.parameters[name].casefold()
        if asked != served:
            return _failed(f"{_SERVED} {name}={asked}.")
    network = call.machine.network
    if network is None:
        return _failed("The lab's machine has no network to search in.")
    done = network.search(call.machine)
    written: list[dict[str, Any]] = [{"task": "exit", "result": exit_of(done)}]
    if done.succeeded:
        # No update is approved in the lab.
        written.insert(0, {"task": "search_result", "result": {"updates": [], "filtered": []}})
    identity = str(uuid.uuid4())
    pipe = f"Ansible.Windows.WinUpdates-{identity}"
    with call.machine.lock:
        call.machine.pipes[pipe] = written
    return {
        "changed": False,
        "cancel_options": {"cancel_id": f"Global\\Ansible.Windows.WinUpdates-{identity}", "task_pid": 4242},
        "poll_options": {"pipe_name": pipe},
    }


def _failed(message: str) -> Result:
    return {"changed": False, "failed": True, "msg": message}


def win_command(call: Call) -> Result:
    """The module, for one command."""
    given = [name for name in ("_raw_params", "argv", "cmd") if call.parameters[name]]
    if not given:
        return _failed("one of the following is required: _raw_params, argv, cmd")
    if len(given) > 1:
        return _failed("parameters are mutually exclusive: _raw_params, argv, cmd")
    argv = call.parameters["argv"]
    line = " ".join(argv) if argv else str(call.parameters[given[0]]).strip()
    found = _GPUPDATE.fullmatch(line)
    more = [name for name in ("chdir", "creates", "removes", "stdin") if call.parameters[name]]
    if found is None or int(found[1]) > _LONGEST_WAIT or more:
        refused = f"{line} with {', '.join(more)}" if more else line
        return _failed(f"The lab runs gpupdate.exe /target:computer /wait:0 to {_LONGEST_WAIT} and no other command, and not: {refused}")
    start = call.machine.now()
    code, output = _gpupdate(call, int(found[1]))
    end = call.machine.now()
    result: Result = {
        "changed": True,
        "cmd": " ".join([_GPUPDATE_PATH, *argv[1:]]) if argv else line,
        "rc": code,
        "stdout": output,
        "stderr": "",
        "start": start.strftime("%Y-%m-%d %H:%M:%S.%f"),
        "end": end.strftime("%Y-%m-%d %H:%M:%S.%f"),
        "delta": str(end - start),
    }
    return result | ({"failed": True, "msg": "non-zero return code"} if code else {})


def _gpupdate(call: Call, wait: int) -> tuple[int, str]:
    """Refresh; the exit code and what is printed. Without a wait it does not learn how the refresh ends."""
    try:
        with call.machine.lock:
            refresh_group_policies(call.machine)
    except WindowsError as error:
        return (1, f"{_UPDATING}{_NOT_UPDATED}{error.message}\r\n") if wait else (0, _UPDATING)
    return 0, _UPDATING + (_UPDATED if wait else "")
