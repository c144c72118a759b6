# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""WS-Management as far as a remote shell needs it: Create, Command, Send, Receive, Signal and Delete, with Basic authentication.

It knows shells, commands and their streams, and nothing of what is run in them. ([MS-WSMV] is the protocol; what pywinrm
says and wants to hear is what is done here.)
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
import uuid
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from typing import Protocol
from xml.sax.saxutils import escape

from .http import Request, Response

SOAP = "http://www.w3.org/2003/05/soap-envelope"
ADDRESSING = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
SHELL = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
WSMAN = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"
FAULT = "http://schemas.microsoft.com/wbem/wsman/1/wsmanfault"
_NAMES = {"s": SOAP, "a": ADDRESSING, "rsp": SHELL, "w": WSMAN}

#: ERROR_WSMAN_OPERATION_TIMEDOUT: nothing to give yet, ask again.
_TIMED_OUT = 2150858793
#: ERROR_WSMAN_UNEXPECTED_SELECTORS: there is no such shell (any more).
_NO_SHELL = 2150858843
_DEFAULT_TIMEOUT = 20.0


class Dropped(Exception):
    """The connection goes away in the middle of what was asked."""


@dataclass(frozen=True)
class Output:
    """What a command left when it ended."""

    stdout: bytes = b""
    stderr: bytes = b""
    code: int = 0


@dataclass
class Command:
    """One command in a shell, and what it takes and gives."""

    shell: Shell
    line: str
    identity: str = field(default_factory=lambda: str(uuid.uuid4()).upper())
    stdin: bytearray = field(default_factory=bytearray)
    running: asyncio.Future[Output] | None = None


@dataclass
class Shell:
    """A shell. `bytes_in` and `bytes_out` count what its messages took, before TLS. A lost one answers nothing but resets."""

    identity: str = field(default_factory=lambda: str(uuid.uuid4()).upper())
    commands: dict[str, Command] = field(default_factory=dict)
    bytes_in: int = 0
    bytes_out: int = 0
    lost: bool = False


class Behind(Protocol):
    """What stands behind a listener: who may come in, and what a command does. Called on the event loop."""

    def connected(self) -> bool:
        """Whether anything gets through at all; where not, every connection is reset."""

    def admits(self, user: str, password: str) -> bool:
        """Whether these credentials are right."""

    def start(self, command: Command) -> asyncio.Future[Output]:
        """Run COMMAND, whose input is complete. The future may end in `Dropped`.

        :raises Dropped: when the connection goes away before anything was done
        """

    def delivered(self, command: Command) -> None:
        """The output has been given (or lost)."""

    def ended(self, command: Command) -> None:
        """The other side is through with COMMAND."""


class NoShell(Exception):
    """A message for a shell or a command that is not there."""


class Endpoint:
    """The handler of one listener's requests."""

    def __init__(self, behind: Behind) -> None:
        self._behind = behind
        self._shells: dict[str, Shell] = {}

    def forget(self) -> None:
        """No shell is left: the machine was started anew."""
        self._shells.clear()

    async def __call__(self, request: Request) -> Response | None:
        """Answer one message; None where the connection is to be reset."""
        if not self._behind.connected():
            return None
        credentials = _credentials(request.headers.get("authorization", ""))
        if credentials is None or not self._behind.admits(*credentials):
            return Response(401, headers={"WWW-Authenticate": 'Basic realm="WSMAN"', "Connection": "close"})
        if request.path.partition("?")[0].rstrip("/") != "/wsman":
            return Response(404)
        try:
            message = _Message(request.body)
        except (ET.ParseError, AttributeError, KeyError, ValueError):
            return Response(400)
        try:
            shell = Shell() if message.verb == "create" else self._shell(message)
            shell.bytes_in += request.size
            reply = await self._answer(message, shell)
        except NoShell as error:
            return message.fault(_NO_SHELL, str(error))
        except Dropped:
            return None
        if not self._behind.connected():
            shell.lost = True
            return None
        shell.bytes_out += len(reply.body)
        return reply

    def _shell(self, message: _Message) -> Shell:
        shell = self._shells.get(message.shell)
        if shell is None:
            raise NoShell("The shell was not found on the server.")
        if shell.lost:
            raise Dropped
        return shell

    async def _answer(self, message: _Message, shell: Shell) -> Response:
        match message.verb:
            case "create":
                self._shells[shell.identity] = shell
                selector = f'<w:Selector Name="ShellId">{shell.identity}</w:Selector>'
                return message.reply(f"<rsp:Shell><rsp:ShellId>{shell.identity}</rsp:ShellId></rsp:Shell>{selector}")
            case "command":
                command = Command(shell, message.command_line())
                shell.commands[command.identity] = command
                return message.reply(f"<rsp:CommandResponse><rsp:CommandId>{command.identity}</rsp:CommandId></rsp:CommandResponse>")
            case "send":
                self._send(message, shell)
                return message.reply("<rsp:SendResponse/>")
            case "receive":
                return await self._receive(message, shell)
            case "signal":
                gone = shell.commands.pop(message.signalled(), None)
                if gone is not None:
                    self._behind.ended(gone)
                return message.reply("<rsp:SignalResponse/>")
            case "delete":
                self._shells.pop(shell.identity, None)
                return message.reply("")
        return message.fault(2150858817, f"The lab's WinRM does not know the action {message.action}.")

    def _send(self, message: _Message, shell: Shell) -> None:
        identity, data, last = message.input()
        command = self._command(shell, identity)
        command.stdin += data
        if last:
            self._start(command)

    def _start(self, command: Command) -> asyncio.Future[Output]:
        if command.running is None:
            try:
                command.running = self._behind.start(command)
                # Nobody may ever ask for the output: then its exception must not be complained about.
                command.running.add_done_callback(lambda done: done.cancelled() or done.exception())
            except Dropped:
                command.shell.lost = True
                raise
        return command.running

    @staticmethod
    def _command(shell: Shell, identity: str) -> Command:
        command = shell.commands.get(identity)
        if command is None:
            raise NoShell("The command was not found in the shell.")
        return command

    async def _receive(self, message: _Message, shell: Shell) -> Response:
        command = self._command(shell, message.wanted())
        running = self._start(command)  # a command without input starts when its output is asked for
        try:
            output = await asyncio.wait_for(asyncio.shield(running), message.timeout())
        except TimeoutError:
            return message.fault(_TIMED_OUT, "The operation did not complete within the time specified in OperationTimeout.")
        except Dropped:
            shell.lost = True
            self._behind.delivered(command)
            raise
        reply = message.reply(_streams(command.identity, output))
        shell.bytes_out += len(reply.body)
        self._behind.delivered(command)
        shell.bytes_out -= len(reply.body)
        return reply


def _streams(identity: str, output: Output) -> str:
    streams = "".join(
        f'<rsp:Stream Name="{name}" CommandId="{identity}">{base64.b64encode(data).decode()}</rsp:Stream>'
        for name, data in (("stdout", output.stdout), ("stderr", output.stderr))
        if data
    )
    return (
        f'<rsp:ReceiveResponse>{streams}<rsp:CommandState CommandId="{identity}" State="{SHELL}/CommandState/Done">'
        f"<rsp:ExitCode>{output.code}</rsp:ExitCode></rsp:CommandState></rsp:ReceiveResponse>"
    )


def _credentials(header: str) -> tuple[str, str] | None:
    scheme, _rest, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (user, password) if colon else None


class _Message:
    """A message that came, and the answers to it."""

    def __init__(self, body: bytes) -> None:
        root = ET.fromstring(body)
        header, content = root.find("s:Header", _NAMES), root.find("s:Body", _NAMES)
        if header is None or content is None:
            raise ValueError("no SOAP envelope")
        self._header, self._body = header, content
        self.action = self._text("a:Action")
        self.verb = self.action.rsplit("/", 1)[-1].lower()
        self._identity = self._text("a:MessageID")
        self.shell = next((one.text or "" for one in header.iterfind(".//w:Selector", _NAMES) if one.get("Name") == "ShellId"), "")

    def _text(self, path: str) -> str:
        found = self._header.find(path, _NAMES)
        return (found.text or "") if found is not None else ""

    def timeout(self) -> float:
        """How long the other side waits for an answer, in seconds (`PT20S`)."""
        found = re.fullmatch(r"PT([0-9.]+)S", self._text("w:OperationTimeout"))
        return float(found[1]) if found else _DEFAULT_TIMEOUT

    def command_line(self) -> str:
        line = self._body.find("rsp:CommandLine", _NAMES)
        return "" if line is None else " ".join(part.text or "" for part in line)

    def input(self) -> tuple[str, bytes, bool]:
        """Which command the input is for, the input, and whether it was the last."""
        identity, data, last = "", bytearray(), False
        for stream in self._body.iterfind("rsp:Send/rsp:Stream", _NAMES):
            identity = stream.get("CommandId", "")
            data += base64.b64decode(stream.text or "")
            last = last or stream.get("End", "").lower() == "true"
        return identity, bytes(data), last

    def wanted(self) -> str:
        stream = self._body.find("rsp:Receive/rsp:DesiredStream", _NAMES)
        return "" if stream is None else stream.get("CommandId", "")

    def signalled(self) -> str:
        signal = self._body.find("rsp:Signal", _NAMES)
        return "" if signal is None else signal.get("CommandId", "")

    def reply(self, body: str) -> Response:
        return self._envelope(200, f"{self.action}Response", body)

    def fault(self, code: int, reason: str) -> Response:
        return self._envelope(
            500,
            "http://schemas.dmtf.org/wbem/wsman/1/wsman/fault",
            "<s:Fault><s:Code><s:Value>s:Receiver</s:Value></s:Code>"
            f'<s:Reason><s:Text xml:lang="en-US">{escape(reason)}</s:Text></s:Reason>'
            f'<s:Detail><f:WSManFault xmlns:f="{FAULT}" Code="{code}"/></s:Detail></s:Fault>',
        )

    def _envelope(self, status: int, action: str, body: str) -> Response:
        return Response(
            status,
            (
                f'<s:Envelope xmlns:s="{SOAP}" xmlns:a="{ADDRESSING}" xmlns:rsp="{SHELL}" xmlns:w="{WSMAN}"><s:Header>'
                f"<a:Action>{escape(action)}</a:Action><a:MessageID>uuid:{uuid.uuid4()}</a:MessageID>"
                f"<a:RelatesTo>{escape(self._identity)}</a:RelatesTo></s:Header><s:Body>{body}</s:Body></s:Envelope>"
            ).encode(),
            "application/soap+xml;charset=UTF-8",
        )
