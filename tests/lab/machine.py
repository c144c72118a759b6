# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One Windows machine as one JSON document, and what it meets outside itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol


class Network(Protocol):
    """What a machine meets outside itself. A machine without one is its document and nothing else.

    The engine calls all of this without holding the machine's lock.
    """

    def look(self, machine: Machine, host_name: str, port: int, tls: bool) -> dict[str, Any]:
        """What MACHINE finds at HOST_NAME:PORT, in the shape of `engine.test_endpoint`."""

    def start_synchronization(self, machine: Machine) -> None:
        """Synchronize, instead of the document's `next_synchronization`.

        Sets `wsus.synchronization_status`, and at the end `wsus.last_synchronization`, itself.
        """

    def changed(self, machine: Machine) -> None:
        """The document may be another: called after every commit and primitive, a failed one as well (it may have done a part)."""


class Machine:
    """A machine: its document, and a lock to hold while reading or changing it.

    WAIT is how the machine spends time (seconds) where Windows makes a caller wait.
    """

    def __init__(
        self, document: dict[str, Any], *, name: str = "", network: Network | None = None, wait: Callable[[float], None] = time.sleep
    ) -> None:
        self.document = document
        self.lock = threading.RLock()
        self.network = network
        self.name = name
        self.wait = wait

    def now(self) -> datetime:
        """The machine's time, UTC: its `clock` where it has one."""
        clock = self.document.get("clock")
        return parse_time(clock) if clock else datetime.now(UTC)


def parse_time(text: str) -> datetime:
    """A time of a document (ISO 8601; without an offset it is UTC) as UTC."""
    time_read = datetime.fromisoformat(text)
    return time_read.astimezone(UTC) if time_read.tzinfo else time_read.replace(tzinfo=UTC)


def format_time(time_given: datetime) -> str:
    """A time as states, marks and documents have it: UTC, to the second, `2026-11-21T02:00:00Z`."""
    return time_given.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
