# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One Windows machine as one JSON document, and what it meets outside itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from .disk import Disk
from .site_log import SiteLog

if TYPE_CHECKING:
    from .update_agent import Search


@dataclass(frozen=True)
class Decision:
    """What an enterprise CA makes of a request, as ICertRequest tells it.

    :param disposition: 3 issued, 5 taken under submission, 2 denied, 1 an error
    :param status: why it was refused, an HRESULT
    :param issued: the certificate, base64
    """

    disposition: int
    message: str
    status: int = 0
    issued: str = ""


class CertificationAuthority(Protocol):
    """An enterprise CA, as a machine that asks meets it. May be called with the machine's lock held."""

    @property
    def config(self) -> str:
        """What it is called: HOST\\NAME."""

    @property
    def online(self) -> bool:
        """Whether it answers."""

    def submit(self, machine: Machine, request: str, template: str) -> tuple[int, Decision]:
        """Take a request (PEM) from MACHINE, for TEMPLATE. Returns its number and what became of it."""

    def retrieve(self, machine: Machine, number: int) -> Decision:
        """What became of a request."""


class Network(Protocol):
    """What a machine meets outside itself. A machine without one is its document and nothing else.

    The engine calls all of this without holding the machine's lock, but for `certification_authority`.
    """

    def look(self, machine: Machine, host_name: str, port: int, tls: bool) -> dict[str, Any]:
        """What MACHINE finds at HOST_NAME:PORT, in the shape of `engine.test_endpoint`."""

    def start_synchronization(self, machine: Machine) -> None:
        """Synchronize, instead of the document's `next_synchronization`.

        Sets `wsus.synchronization_status`, and at the end `wsus.last_synchronization`, itself.
        """

    def search(self, machine: Machine) -> Search:
        """Search for updates at the server that MACHINE was told, as a script does; how that went. Blocks."""

    def start_search(self, machine: Machine) -> None:
        """Have MACHINE's update agent search by itself, in the background. May be called with the machine's lock held."""

    def called_itself(self, machine: Machine, site: dict[str, Any], port: int) -> None:
        """A program on MACHINE called WSUS' own API, at PORT of SITE of its document, and was answered. The machine's lock may be held."""

    def certification_authority(self, machine: Machine) -> CertificationAuthority | None:
        """The enterprise CA of MACHINE's domain, or None; one of the document's own (`ca`) comes before it."""

    def changed(self, machine: Machine) -> None:
        """The document may be another: called after every commit and primitive, a failed one as well (it may have done a part)."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Machine:
    """A machine: its document, its disk and the log of its site, and a lock to hold while reading or changing the first two.

    USER is who the controller connects as. CLOCK is the time. WAIT is how the machine spends time (seconds) where Windows makes a caller wait.
    """

    def __init__(
        self,
        document: dict[str, Any],
        *,
        name: str = "",
        user: str = "Administrator",
        network: Network | None = None,
        wait: Callable[[float], None] = time.sleep,
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        self.document = document
        self.disk = Disk(user)
        self.site_log = SiteLog()
        self.lock = threading.RLock()
        self.network = network
        self.name = name
        self.wait = wait
        self._clock = clock
        # What a task that a module started has left to be read by a later trip, by the name of its pipe.
        self.pipes: dict[str, list[dict[str, Any]]] = {}

    def now(self) -> datetime:
        """The machine's time, UTC: its `clock` where it has one."""
        clock = self.document.get("clock")
        return parse_time(clock) if clock else self._clock()


def parse_time(text: str) -> datetime:
    """A time of a document (ISO 8601; without an offset it is UTC) as UTC."""
    time_read = datetime.fromisoformat(text)
    return time_read.astimezone(UTC) if time_read.tzinfo else time_read.replace(tzinfo=UTC)


def format_time(time_given: datetime) -> str:
    """A time as states, marks and documents have it: UTC, to the second, `2026-11-21T02:00:00Z`."""
    return time_given.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
