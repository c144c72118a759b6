# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The lab's time, and what its clients do in it by themselves: search, refresh their group policies, be away and come back."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from .fleet import Client

What = Literal["leave", "return", "refresh", "search"]

#: Windows refreshes group policies every 90 minutes, and up to 30 more.
_REFRESH = timedelta(minutes=90)
_REFRESH_SPREAD = timedelta(minutes=30)
#: A search that was missed is made up for soon after the machine is back: before its next refresh, as a rule.
_MADE_UP = timedelta(minutes=5)


class Clock:
    """The lab's time: it runs as the real one does, and can be set forward."""

    def __init__(self, ahead: timedelta = timedelta()) -> None:
        self._ahead = ahead

    @property
    def ahead(self) -> timedelta:
        """How far it is ahead of the real time; less than nothing: behind it."""
        return self._ahead

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def set_forward(self, when: datetime) -> None:
        """Go to WHEN at once; it never goes back."""
        self._ahead = max(self._ahead, when - datetime.now(UTC))


@dataclass(frozen=True, order=True)
class Event:
    """What a client does at a time."""

    when: datetime
    number: int
    what: What = field(compare=False)
    client: str = field(compare=False)


class Schedule:
    """What comes when, for all clients, in order. The same clients do the same at the same times in every lab that begins then.

    BEGIN is when the lab begins. Clients search and refresh at times of their own, spread over the first turn.
    """

    def __init__(self, clients: Iterable[Client], begin: datetime) -> None:
        self._clients = {client.name: client for client in clients}
        self._chance = {name: random.Random(name) for name in self._clients}
        self._begin = begin
        self._events: list[Event] = []
        self._count = 0
        for name, client in self._clients.items():
            chance = self._chance[name]
            for left, back in client.away:
                self._add(begin + timedelta(days=left), "leave", name)
                self._add(begin + timedelta(days=back), "return", name)
            if client.domain_member:
                self._add(begin + (_REFRESH + _REFRESH_SPREAD) * chance.random(), "refresh", name)
            if client.searches is not None:
                self._add(begin + timedelta(hours=client.searches) * chance.random(), "search", name)

    def _add(self, when: datetime, what: What, client: str) -> None:
        self._count += 1
        heapq.heappush(self._events, Event(when, self._count, what, client))

    def next(self, until: datetime) -> Event | None:
        """The next event, if it is due UNTIL then. What follows it is planned."""
        if not self._events or self._events[0].when > until:
            return None
        event = heapq.heappop(self._events)
        client = self._clients[event.client]
        if event.what == "refresh":
            self._add(event.when + _REFRESH + _REFRESH_SPREAD * self._chance[client.name].random(), "refresh", client.name)
        elif event.what == "search" and client.searches is not None:
            back = self._back(client, event.when)
            follows = event.when + timedelta(hours=client.searches) if back is None else back + _MADE_UP
            self._add(follows, "search", client.name)
        return event

    def _back(self, client: Client, when: datetime) -> datetime | None:
        """When a client that is away is back; None where it is not away."""
        day = (when - self._begin) / timedelta(days=1)
        return next((self._begin + timedelta(days=back) for left, back in client.away if left <= day < back), None)

    def is_away(self, client: str, when: datetime) -> bool:
        """Whether a client is away at a time."""
        return self._back(self._clients[client], when) is not None
