# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""How far the clients of a server have moved from plain HTTP to TLS, as an audit tells it. Pure.

An audit keeps of each server who calls it (C(part)), and of earlier audits their numbers (C(numbers), C(earlier)), so that it can be seen how
they went down. A document may come from a file: what is no such part is told by C(is_part), and left out of what earlier audits had.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from .state import format_time, parse_time
from .traffic import MOST_NAMES, Caller, Computer, Traffic, Use, dates

MOST_LISTED = 25
"""So many of each kind are named; the rest is a number. An audit has many servers."""
MOST_EARLIER = 60
"""The numbers of so many earlier audits are kept."""
COUNTED = ("over_tls", "over_http", "not_seen", "turned_away", "only_fail_over_tls")
"""What is counted of a server, in the words of a part."""


@dataclasses.dataclass(frozen=True)
class Callers:
    """Who calls a server, and at which address WSUS knows which computers (the one last seen first)."""

    traffic: Traffic
    known: Mapping[str, Sequence[Computer]]


@dataclasses.dataclass(frozen=True)
class TurnedAway:
    """An address that was turned away (403.4) from services over HTTP, and was not served there since.

    LAST is when it last came over HTTP, None where the log does not say; TIMES how often it was turned away. COMPUTERS are those that WSUS
    knows at that address.
    """

    address: str
    kinds: tuple[str, ...]
    last: datetime.datetime | None
    times: int
    computers: tuple[Computer, ...]

    @property
    def seen_since(self) -> datetime.datetime | None:
        """When WSUS saw the one computer that it knows there, where that was after it was turned away; else None.

        Where TLS is required it can only have come over TLS. That it is the same machine is not known: addresses go from one to another. Of
        several at one address nobody knows which of them was turned away.
        """
        if len(self.computers) != 1 or self.last is None:
            return None
        seen = self.computers[0].last_seen
        return seen if seen > self.last else None


def turned_away(callers: Callers, services: Collection[str] | None = None) -> list[TurnedAway]:
    """Who was turned away, the last one first; only from these SERVICES where they are given. The server itself and probes do not count: the one
    is no client, the others want nothing. Nor does who was served afterwards: then TLS was not required at that time."""
    names = None if services is None else {name.casefold() for name in services}
    found = []
    for caller in callers.traffic.callers:
        uses = [use for use in caller.uses if _refused(use) and (names is None or use.service.casefold() in names)]
        if uses and not caller.own:
            last = max((use.last for use in uses if use.last), default=None)
            times = sum(use.refused for use in uses)
            found.append(TurnedAway(caller.address, caller.kinds, last, times, tuple(callers.known.get(caller.address, ()))))
    earliest = datetime.datetime.min.replace(tzinfo=datetime.UTC)
    return sorted(found, key=lambda one: (one.last or earliest, one.address), reverse=True)


def _refused(use: Use) -> bool:
    return use.refused > 0 and not use.own and (use.last_served is None or use.last is None or use.last > use.last_served)


def failed_otherwise(callers: Callers, services: Collection[str]) -> list[str]:
    """The addresses that called these services over HTTP, got an error that is not 403.4, and were not served since.

    A log without the field sc-substatus shows those who are turned away in this way.
    """
    names = {name.casefold() for name in services}
    return [
        caller.address
        for caller in callers.traffic.callers
        if not caller.own
        and any(
            use.service.casefold() in names and use.failed and (use.last_served is None or use.last is None or use.last > use.last_served)
            for use in caller.uses
        )
    ]


# --- the part of an audit ------------------------------------------------------------------------------------------------


def part(callers: Callers) -> dict[str, Any]:
    """What an audit says of who calls a server, in plain JSON types: numbers, and of each kind the first MOST_LISTED."""
    traffic = callers.traffic
    served = sorted((one for one in traffic.callers if one.last_served and not one.own), key=_last_served, reverse=True)
    return {
        "since": format_time(traffic.since),
        "read": format_time(traffic.read),
        "days_with_evidence": sorted(day.isoformat() for day in traffic.days),
        "days_without": [day.isoformat() for day in traffic.days_without()],
        "over_tls": traffic.tls_served,
        "over_http": _listed([_served(one, callers) for one in served]),
        "only_fail_over_tls": _listed(list(traffic.tls_failed)),
        "seen": traffic.seen,
        "not_seen": None if traffic.computers is None else _listed([_computer(one) for one in reversed(traffic.computers)]),
        "turned_away": _listed([told_turned_away(one) for one in turned_away(callers)]),
        "not_known": traffic.not_known(),
    }


def _listed(found: Sequence[Any]) -> dict[str, Any]:
    return {"number": len(found), "first": list(found[:MOST_LISTED]), "more": max(0, len(found) - MOST_LISTED)}


def _last_served(caller: Caller) -> tuple[datetime.datetime, str]:
    return caller.last_served or datetime.datetime.min.replace(tzinfo=datetime.UTC), caller.address


def _served(caller: Caller, callers: Callers) -> dict[str, Any]:
    last = caller.last_served
    names = _names(callers.known.get(caller.address, ()))
    return {"address": caller.address, "names": names, "kinds": list(caller.kinds), "last_served": format_time(last) if last else None}


def told_turned_away(one: TurnedAway) -> dict[str, Any]:
    """One that was turned away, in plain JSON types."""
    return {
        "address": one.address,
        "names": _names(one.computers),
        "kinds": list(one.kinds),
        "last": format_time(one.last) if one.last else None,
        "times": one.times,
        "seen_since": format_time(one.seen_since) if one.seen_since else None,
    }


def _names(computers: Sequence[Computer]) -> list[str]:
    return list(dict.fromkeys(one.name for one in computers))[:MOST_NAMES]


def _computer(one: Computer) -> dict[str, Any]:
    return {"name": one.name, "address": one.address or None, "last_seen": format_time(one.last_seen)}


def called(address: str, computers: Sequence[Computer]) -> str:
    """An address with the names that WSUS has for it, as a sentence has them."""
    names = list(dict.fromkeys(one.name for one in computers))
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{address} ({names[0]}{more})" if names else address


def days_with_evidence(traffic: Traffic) -> str:
    """Of which days something is known, as a sentence has them."""
    without = traffic.days_without()
    return f"since {format_time(traffic.since)}" + (f"; nothing is known of {dates(without)}" if without else "")


# --- parts that come from files, and how their numbers went ------------------------------------------------------------------


def is_part(found: Any) -> bool:
    """Whether this is what C(part) gives, or null: a file may have anything there."""
    if found is None:
        return True
    if not isinstance(found, Mapping) or not all(_is_time(found.get(key)) for key in ("since", "read")) or not _is_number(found.get("over_tls")):
        return False
    texts = all(_are_texts(found.get(key)) for key in ("days_with_evidence", "days_without", "not_known"))
    lists = all(_is_listed(found.get(key), keys) for key, keys in _LISTS.items() if not (key == "not_seen" and found.get(key, 0) is None))
    only = found.get("only_fail_over_tls")
    return texts and lists and _is_listed(only, None) and (found.get("seen", "") is None or _is_number(found.get("seen")))


_LISTS = {
    "over_http": ("address", "names", "kinds", "last_served"),
    "turned_away": ("address", "names", "kinds", "last", "times", "seen_since"),
    "not_seen": ("name", "address", "last_seen"),
}


def _is_listed(found: Any, keys: Sequence[str] | None) -> bool:
    if not isinstance(found, Mapping) or not isinstance(found.get("first"), list):
        return False
    if not all(_is_number(found.get(one)) for one in ("number", "more")):
        return False
    if keys is None:
        return _are_texts(found["first"])
    return all(
        isinstance(one, Mapping) and set(keys) <= set(one) and all(_are_texts(one.get(key, [])) for key in ("names", "kinds"))
        for one in found["first"]
    )


def _are_texts(found: Any) -> bool:
    return isinstance(found, list) and all(isinstance(one, str) for one in found)


def _is_number(found: Any) -> bool:
    return isinstance(found, int) and not isinstance(found, bool) and found >= 0


def _is_time(found: Any) -> bool:
    try:
        parse_time(found)
    except (TypeError, ValueError, AttributeError, OverflowError):
        return False
    return True


def numbers(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A part in numbers, with when it was read; None for none. not_seen: None where it is not known."""
    if found is None:
        return None
    counted = {"over_tls": found["over_tls"]}
    for key in COUNTED[1:]:
        counted[key] = found[key]["number"] if found[key] is not None else None
    return {"read": found["read"], **counted}


def earlier(server: Mapping[str, Any], before: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """The numbers of earlier audits of one server, oldest first: those that it has itself, and those of an audit BEFORE with what that one had."""
    own = numbers(server.get("traffic"))
    found: dict[str, dict[str, Any]] = {}
    for one in (before, server):
        kept = one.get("traffic_before") if one is not None else None
        found |= {each["read"]: each for each in map(_numbers_of, kept if isinstance(kept, list) else []) if each is not None}
    last = numbers(before.get("traffic")) if before is not None else None
    if last is not None:
        found[last["read"]] = last
    if own is not None:
        found = {read: each for read, each in found.items() if parse_time(read) < parse_time(own["read"])}
    return sorted(found.values(), key=lambda one: parse_time(one["read"]))[-MOST_EARLIER:]


def _numbers_of(found: Any) -> dict[str, Any] | None:
    if not isinstance(found, Mapping) or not _is_time(found.get("read")):
        return None
    if not all(_is_number(found.get(key)) or (key == "not_seen" and found.get(key) is None) for key in COUNTED):
        return None
    return {"read": found["read"], **{key: found.get(key) for key in COUNTED}}
