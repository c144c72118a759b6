# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The W3C logs that IIS writes about a site: one file a day, UTC, with the fields that are logged by default."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from datetime import date, datetime, timedelta

_FIELDS = (
    "date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) cs(Referer) sc-status sc-substatus sc-win32-status"
    " time-taken"
)
_STAMP = "%Y-%m-%d %H:%M:%S"


@dataclass(frozen=True)
class Line:
    """One request that IIS answered.

    :param folder: the site's log folder
    :param when: aware
    :param target: path and query, as they came
    :param agent: the user agent; None: none was sent
    """

    folder: str
    when: datetime
    server: str
    method: str
    target: str
    port: int
    client: str
    agent: str | None
    status: int
    substatus: int = 0
    win32: int = 0
    milliseconds: int = 0

    @property
    def path(self) -> str:
        """The file that it goes to."""
        return f"{self.folder}\\u_ex{self.when:%y%m%d}.log"

    def text(self) -> str:
        stem, _rest, query = self.target.partition("?")
        agent = (self.agent or "-").replace(" ", "+")
        return (
            f"{self.when.strftime(_STAMP)} {self.server} {self.method} {stem} {query or '-'} {self.port} - {self.client} {agent} - "
            f"{self.status} {self.substatus} {self.win32} {self.milliseconds}"
        )


class SiteLog:
    """The logs of one machine's site. Adding costs nothing: a line is written when somebody reads. May be used from any thread.

    `late` is how long a line takes until it is in its file.
    """

    def __init__(self) -> None:
        self.late = timedelta()
        self._waiting: deque[Line] = deque()
        self._files: dict[str, list[str]] = {}
        self._lock = threading.Lock()

    def add(self, line: Line) -> None:
        """A request was answered."""
        self._waiting.append(line)

    def files(self, now: datetime) -> dict[str, str]:
        """Every file as it is now, by path."""
        with self._lock:
            while self._waiting and self._waiting[0].when <= now - self.late:
                line = self._waiting.popleft()
                self._files.setdefault(line.path, _header(line.when)).append(line.text())
            return {path: "\r\n".join(lines) + "\r\n" for path, lines in self._files.items()}

    def purge(self, before: date) -> None:
        """Remove the files of the days before one, as an administrator's clean-up does."""
        name = f"u_ex{before:%y%m%d}.log"
        with self._lock:
            for path in [path for path in self._files if path.rpartition("\\")[2] < name]:
                del self._files[path]


def _header(begun: datetime) -> list[str]:
    software = "#Software: Microsoft Internet Information Services 10.0"
    return [software, "#Version: 1.0", f"#Date: {begun.strftime(_STAMP)}", f"#Fields: {_FIELDS}"]


def logged_address(address: str) -> str:
    """A machine's address as WSUS and the site's log write it: 10. in place of 127., which on Windows means the machine itself."""
    return f"10.{address[4:]}" if address.startswith("127.") else address
