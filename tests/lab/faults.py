# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Faults that can be armed: connections that drop, logins that are refused, machines that stay away.

Changes that fail are the machine's own affair: they stand in its document (`faults`).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

When = Literal["before", "during", "after"]


@dataclass(frozen=True)
class Drop:
    """A connection that drops around a module.

    :param when: `before` it ran, `during` its changes, `after` all of it and before the answer
    :param changes: with `during`, how many changes are applied first; a commit of several is one piece
    :param module: the module's name, with or without its collection; None for any
    :param times: how often; None for always
    """

    when: When
    changes: int = 0
    module: str | None = None
    times: int | None = 1

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Drop:
        """From a fleet file.

        :raises ValueError: naming what is wrong
        """
        _only(given, {"when", "changes", "module", "times"}, "drop")
        if given.get("when") not in get_args(When):
            raise ValueError(f"drop: when must be one of {', '.join(get_args(When))}, not {given.get('when')!r}")
        times = given.get("times", 1)
        return cls(given["when"], int(given.get("changes", 0)), given.get("module"), None if times in {None, "always"} else int(times))

    def meets(self, module: str) -> bool:
        """Whether it is armed for MODULE (its full name)."""
        return self.module is None or self.module in {module, module.rpartition(".")[2]}


@dataclass(frozen=True)
class ServerFaults:
    """What is armed for one server.

    :param changes: a message by the start of the journal's entry that fails (`commit iis`, `wsusutil`, ...)
    :param unreachable: nothing listens at its address
    :param no_return: the next restart is the last one
    :param stale_site: where a binding gets another certificate, the old one is served on that port until the site is stopped and started
    """

    changes: Mapping[str, str] | None = None
    drop: Drop | None = None
    login_refused: bool = False
    unreachable: bool = False
    no_return: bool = False
    stale_site: bool = False

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> ServerFaults:
        """From a fleet file, or from the arguments of `Lab.arm`.

        :raises ValueError: naming what is wrong
        """
        _only(given, {"changes", "drop", "login_refused", "unreachable", "no_return", "stale_site"}, "faults")
        drop = given.get("drop")
        return cls(
            dict(given.get("changes") or {}),
            Drop.of(drop) if isinstance(drop, Mapping) else drop,
            bool(given.get("login_refused")),
            bool(given.get("unreachable")),
            bool(given.get("no_return")),
            bool(given.get("stale_site")),
        )


def _only(given: Mapping[str, Any], known: set[str], where: str) -> None:
    unknown = sorted(set(given) - known)
    if unknown:
        raise ValueError(f"{where}: unknown {', '.join(unknown)}; there are {', '.join(sorted(known))}")


class Faults:
    """What is armed, for each server and for the whole lab. May be asked from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._armed: dict[str, ServerFaults] = {}
        self._drops_left: dict[str, int | None] = {}
        self._cut: Drop | None = None
        self._trips_left = 0
        self._down = False

    def arm(self, server: str, faults: ServerFaults) -> None:
        """Arm FAULTS for a server, in place of those that it had."""
        with self._lock:
            self._armed[server] = faults
            self._drops_left[server] = faults.drop.times if faults.drop else 0

    def cut(self, trip: int, drop: Drop) -> None:
        """Drop the TRIP-th module from now on (1 is the next one), and everything after it."""
        with self._lock:
            self._cut, self._trips_left, self._down = drop, trip, False

    def heal(self, server: str | None = None) -> None:
        """Disarm a server's faults; without one those of all, and the cut."""
        with self._lock:
            if server is not None:
                self._armed.pop(server, None)
                return
            self._armed.clear()
            self._cut, self._down = None, False

    def of(self, server: str) -> ServerFaults:
        """What is armed for a server."""
        with self._lock:
            return self._armed.get(server, ServerFaults())

    @property
    def down(self) -> bool:
        """Whether the lab is cut off."""
        with self._lock:
            return self._down

    def dropped(self, drop: Drop) -> None:
        """A drop has happened."""
        with self._lock:
            if drop is self._cut:
                self._down = True

    def next_drop(self, server: str, module: str) -> Drop | None:
        """A module starts: the drop that it meets, if any."""
        with self._lock:
            if self._cut is not None and not self._down:
                self._trips_left -= 1
                if self._trips_left < 0:
                    return Drop("before")
                if self._trips_left == 0:
                    # The trip that is cut still does its part; only then is everything down.
                    self._down = self._cut.when == "before"
                    return self._cut
            drop = self._armed.get(server, ServerFaults()).drop
            if drop is None or not drop.meets(module):
                return None
            left = self._drops_left[server]
            if left is not None:
                if left <= 0:
                    return None
                self._drops_left[server] = left - 1
            return drop
