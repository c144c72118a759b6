# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One server or client of the lab: its machine behind its WinRM listener and its site, and its going away and coming back."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import re
import ssl
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Protocol

from . import modules
from .disk import DiskError
from .faults import Drop, Faults
from .fleet import Member, Server
from .http import Listener
from .machine import Machine, format_time, parse_time
from .payload import Asked, FileCommand, MakeFolder, NotAModule, PutFile, file_command, raw_command, unpack
from .site import Site, Snapshot, snapshot
from .winrm import Command, Dropped, Endpoint, Output

_log = logging.getLogger(__name__)
_FILE_TIME_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
#: A machine that was told to restart goes when the command that told it is through, or after this many seconds.
_LINGERS = 0.5


@dataclass
class Trip:
    """One module execution on a server.

    :param changes: kinds of the changes that were asked for, where the module takes changes
    :param bytes_in: what the controller sent for it, before TLS, from opening the shell to the answer
    :param seconds: from the last of the input to the answer
    :param outcome: `refused` for a module that the lab does not serve, `dropped` where the connection went away
    """

    number: int
    server: str
    module: str
    changes: list[str] = field(default_factory=list)
    check_mode: bool = False
    become_user: str | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    started: str = ""
    seconds: float = 0.0
    outcome: Literal["running", "ok", "failed", "refused", "dropped"] = "running"
    message: str | None = None

    def record(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


class Around(Protocol):
    """The lab around a server."""

    faults: Faults

    def new_trip(self, server: str, module: str) -> Trip:
        """Count a trip."""

    def trip_ended(self, trip: Trip) -> None:
        """A trip is over."""

    def raw_command(self, server: str, command: str) -> None:
        """Note a raw command."""


class Host:
    """A server or a client. Its methods belong to the event loop, unless they say otherwise."""

    def __init__(
        self,
        lab: Around,
        server: Member,
        machine: Machine,
        address: str,
        *,
        winrm_port: int,
        context: ssl.SSLContext,
        credentials: tuple[str, str],
        restart_seconds: float,
        workers: Executor,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.server = server
        self.machine = machine
        self.address = address
        self.away = False
        self._lab = lab
        self._credentials = credentials
        self._restart_seconds = restart_seconds
        self._workers = workers
        self._loop = loop
        self._endpoint = Endpoint(self)
        self._winrm = Listener(address, winrm_port, self._endpoint, context)
        self._site = Site(machine, address, server.cold_pool if isinstance(server, Server) else None)
        self._up = False
        self._trips: dict[str, Trip] = {}
        self._restart_after: Command | None = None
        self._restarting: asyncio.Task[None] | None = None

    # --- power -----------------------------------------------------------------------------------------------------------

    async def power_on(self) -> None:
        """Listen, the site first.

        :raises OSError: when a port cannot be had
        """
        if self._up:
            return
        now = await self._loop.run_in_executor(self._workers, snapshot, self.machine)
        self._up, self.away = True, False
        await self._site.follow(now)
        await self._winrm.open()

    async def power_off(self) -> None:
        """Nothing listens any more, and every connection is reset."""
        self._up = False
        await self._winrm.close()
        await self._site.close()
        self._endpoint.forget()
        for trip in self._trips.values():
            self._end(trip, "dropped")
        self._trips.clear()

    async def follow(self, now: Snapshot) -> None:
        """The document is another: serve as it says."""
        if not self._up:
            return
        try:
            await self._site.follow(now, self._lab.faults.of(self.server.name).stale_site)
        except OSError as error:
            _log.warning("%s: a port of the site cannot be served: %s", self.server.name, error)

    async def restart(self) -> None:
        """Go away and come back with another start time, unless it is armed not to."""
        if not self._up:
            return
        await self.power_off()
        if self._lab.faults.of(self.server.name).no_return:
            self.away = True
            return
        await asyncio.sleep(self._restart_seconds)
        await self._loop.run_in_executor(self._workers, self.boot)
        await self.power_on()

    def boot(self) -> None:
        """What a start of Windows changes. From any thread but the event loop's."""
        with self.machine.lock:
            document = self.machine.document
            computer = document["computer"]
            computer["boot_time"] = format_time(max(self.machine.now(), parse_time(computer["boot_time"]) + timedelta(seconds=1)))
            for name, status in document.get("services", {}).items():
                if status in {"Running", "Stopped"}:
                    document["services"][name] = "Running"
            configuration = document.get("iis") or {}
            for one in (*configuration.get("sites", []), *configuration.get("application_pools", {}).values()):
                if one.get("state") == "Stopped":
                    one["state"] = "Started"
            wsus = document.get("wsus") or {}
            if "synchronization_status" in wsus:
                wsus["synchronization_status"] = "NotProcessing"

    # --- Behind (see winrm.py) -------------------------------------------------------------------------------------------

    def connected(self) -> bool:
        return not self._lab.faults.down

    def admits(self, user: str, password: str) -> bool:
        return (user, password) == self._credentials and not self._lab.faults.of(self.server.name).login_refused

    def start(self, command: Command) -> asyncio.Future[Output]:
        asked = self._asked(command)
        if asked is None:
            return self._loop.run_in_executor(self._workers, self._raw, command)
        if not isinstance(asked, Asked):
            return self._loop.run_in_executor(self._workers, self._file, asked)
        name = modules.full_name(asked.module) or asked.module
        trip = self._lab.new_trip(self.server.name, name)
        trip.changes = [one.get("kind", "?") for one in asked.arguments.get("changes") or [] if isinstance(one, dict)]
        trip.check_mode, trip.become_user = asked.check_mode, asked.become_user
        drop = self._lab.faults.next_drop(self.server.name, name)
        if drop is not None and drop.when == "before":
            self._end(trip, "dropped")
            raise Dropped
        self._trips[command.identity] = trip
        return self._loop.run_in_executor(self._workers, self._run, asked, trip, drop)

    def delivered(self, command: Command) -> None:
        trip = self._trips.pop(command.identity, None)
        if trip is not None:
            trip.bytes_in, trip.bytes_out = command.shell.bytes_in, command.shell.bytes_out
            command.shell.bytes_in = command.shell.bytes_out = 0
            self._end(trip, "dropped" if command.shell.lost else trip.outcome)

    def ended(self, command: Command) -> None:
        if self._restart_after is command:
            # After this answer, and at once: win_reboot that still met the old machine would wait much longer before it looks again.
            self._loop.call_soon(self._go)

    # --- what runs -------------------------------------------------------------------------------------------------------

    def _end(self, trip: Trip, outcome: Literal["running", "ok", "failed", "refused", "dropped"]) -> None:
        trip.outcome = outcome
        trip.seconds = round((datetime.now(UTC) - datetime.fromisoformat(trip.started)).total_seconds(), 4)
        self._lab.trip_ended(trip)

    @staticmethod
    def _asked(command: Command) -> Asked | FileCommand | None:
        """What a command asks for: a module or a file; None: a raw command of win_reboot, or of nobody."""
        data = bytes(command.stdin)
        try:
            of_files = file_command(raw_command(command.line), data)
            return of_files if of_files is not None or not data else unpack(data)
        except NotAModule as error:
            return Asked(f"(unknown: {error})")

    def _run(self, asked: Asked, trip: Trip, drop: Drop | None) -> Output:
        """Run a module. On a worker's thread."""

        def before_change(index: int, _rest: dict[str, Any]) -> None:
            if drop is not None and drop.when == "during" and index >= drop.changes:
                raise Dropped

        try:
            result = modules.run(self.machine, asked, before_change)
        except Dropped:
            if drop is not None:
                self._lab.faults.dropped(drop)
            raise
        except Exception as error:  # noqa: BLE001 - a fault of the lab's own must be seen where the playbook runs
            _log.exception("%s: %s", self.server.name, asked.module)
            result = {"failed": True, "msg": f"The lab itself failed: {error!r}", "exception": traceback.format_exc()}
        if drop is not None:
            self._lab.faults.dropped(drop)
            raise Dropped
        failed = bool(result.get("failed"))
        trip.outcome = "refused" if modules.full_name(asked.module) is None else "failed" if failed else "ok"
        trip.message = result.get("msg")
        return Output(json.dumps(result).encode(), code=int(failed))

    def _file(self, asked: FileCommand) -> Output:
        """Do what Ansible asks of the machine's files. On a worker's thread."""
        disk = self.machine.disk
        try:
            with self.machine.lock:
                if isinstance(asked, MakeFolder):
                    self._lab.raw_command(self.server.name, "make folder")
                    return Output(disk.make_folder(f"{disk.expand(asked.folder)}\\{asked.name}").encode() + b"\r\n")
                if isinstance(asked, PutFile):
                    self._lab.raw_command(self.server.name, "put file")
                    disk.write(asked.path, asked.data)
                    digest = hashlib.sha1(asked.data, usedforsecurity=False).hexdigest()
                    return Output(json.dumps({"sha1": digest}).encode() + b"\r\n")
                self._lab.raw_command(self.server.name, "remove folder" if disk.is_folder(asked.path) else "remove file")
                if not disk.remove(asked.path):
                    raise DiskError(f"Cannot find path '{asked.path}' because it does not exist.")
                return Output()
        except DiskError as error:
            return Output(stderr=str(error).encode(), code=1)

    def _raw(self, command: Command) -> Output:
        """Run a raw command of win_reboot. On a worker's thread."""
        script = raw_command(command.line)
        for name, sign, run in self._raw_commands():
            if re.search(sign, script, re.IGNORECASE):
                self._lab.raw_command(self.server.name, name)
                return run(script, command)
        self._lab.raw_command(self.server.name, "refused")
        message = f"The lab runs no commands but Ansible's own for files and ansible.windows.win_reboot's, and not: {script.strip()[:200]}"
        return Output(stderr=message.encode(), code=1)

    def _raw_commands(self) -> list[tuple[str, str, Callable[[str, Command], Output]]]:
        return [
            ("restart", r"shutdown\.exe\s+/r\b", self._restart),
            ("abort", r"shutdown\.exe\s+/a\b", lambda *_rest: Output()),
            ("boot time", r"LastBootUpTime", self._boot_time),
            ("test", r"AutoLogonChecked", self._test),
        ]

    def _boot_time(self, *_rest: Any) -> Output:
        with self.machine.lock:
            booted = parse_time(self.machine.document["computer"]["boot_time"])
        return Output(f"{int((booted - _FILE_TIME_EPOCH) / timedelta(microseconds=1)) * 10}\r\n".encode())

    @staticmethod
    def _test(script: str, _rest: Command) -> Output:
        found = re.search(r"'(success-[0-9a-fA-F-]+)'", script)
        return Output(f"{found[1] if found else ''}\r\n".encode())

    def _restart(self, _rest: str, command: Command) -> Output:
        self._restart_after = command
        self._loop.call_soon_threadsafe(lambda: self._loop.call_later(_LINGERS, self._go))
        return Output(json.dumps({"stdout": "", "stderr": "", "rc": 0}).encode())

    def _go(self) -> None:
        if self._restart_after is not None:
            self._restart_after = None
            self._restarting = self._loop.create_task(self.restart())


def now_text() -> str:
    """The time, UTC, to the microsecond."""
    return datetime.fromtimestamp(time.time(), UTC).isoformat()
