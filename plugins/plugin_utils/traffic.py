# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Who still calls a server over plain HTTP: what the document of C(wsus_traffic.ps1) says, and what it cannot say.

The document holds, for some days up to now, the calls of the five services in the log of the site, and the computers that WSUS knows and has
not seen since. Read for no days it is the list of all computers that WSUS saw in C(absent_days), which is how a caller gets its name.
All times are the server's own, UTC. Names, addresses and agents come from clients and from DNS: untrusted text, which C(plain) cleans.
"""

from __future__ import annotations

import dataclasses
import datetime
import ipaddress
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from .state import format_time, parse_time

DAY = datetime.timedelta(days=1)
MOST_DAYS = 3650
"""More days than that nobody keeps logs for."""

CLIENT_SERVICES = ("clientwebservice", "simpleauthwebservice")
DOWNSTREAM_SERVICES = ("dssauthwebservice", "serversyncwebservice")

MOST_NAMES = 5
"""How many names of one address are told: behind a NAT there can be a thousand."""
MOST_AGENTS = 5
NAMES_IN_A_SENTENCE = 10
MOST_ADDRESSES = 1000
"""How many of the addresses that only fail over TLS are told by their text."""
_IPV4 = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3}){3}")
_LONGEST = {"name": 255, "agent": 200, "address": 64, "message": 500}

Kind = Literal["this_server", "downstream_server", "client", "console", "probe"]
KINDS: tuple[Kind, ...] = ("this_server", "downstream_server", "client", "console", "probe")


class NotTraffic(ValueError):
    """What was given is no document as the server's part returns it; the message says what is wrong with it."""


def plain(text: Any, what: str = "name") -> str:
    """Text from outside, fit to be shown: without control and format characters, white space as one blank, no longer than WHAT may be."""
    given = str(text or "")
    if not given.isprintable():
        given = "".join(" " if each.isspace() else each for each in given if each.isspace() or unicodedata.category(each)[0] != "C")
    short = " ".join(given.split())
    most = _LONGEST[what]
    return short if len(short) <= most else short[: most - 1] + "…"


def host_name(text: Any) -> str | None:
    """A name that DNS or a computer gave, in lower case; None for what is no host name, markup for one."""
    name = str(text or "").strip().rstrip(".").lower()
    return name if len(name) <= 253 and re.fullmatch(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*", name) else None


def address_key(text: Any) -> str:
    """One text for each address, however it is written: `::ffff:10.0.0.7` is 10.0.0.7. What is no address is its own text, folded."""
    given = str(text or "").strip()
    if _IPV4.fullmatch(given):
        return given
    try:
        address = ipaddress.ip_address(given)
    except ValueError:
        return given.casefold()
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def midnight(moment: datetime.datetime) -> datetime.datetime:
    """The begin of a moment's day in UTC."""
    return moment.astimezone(datetime.UTC).replace(hour=0, minute=0, second=0, microsecond=0)


@dataclasses.dataclass(frozen=True)
class Computer:
    """A computer that WSUS knows. NAME is its FQDN, cleaned, or its id where it has none; ADDRESS as address_key gives it, or empty."""

    id: str
    name: str
    address: str
    last_seen: datetime.datetime

    def as_dict(self) -> dict[str, Any]:
        """In plain JSON types."""
        return {"id": self.id, "name": self.name, "address": self.address or None, "last_seen": format_time(self.last_seen)}


@dataclasses.dataclass(frozen=True)
class Use:
    """What one address used one service for over HTTP. SERVED, REFUSED (403.4), FAILED and PROBED are numbers of requests."""

    service: str
    agent: str | None
    own: bool
    last: datetime.datetime | None
    last_served: datetime.datetime | None
    served: int
    refused: int
    failed: int
    probed: int

    @property
    def calls(self) -> bool:
        """Whether it called the service at all: a probe only asks whether it is there."""
        return bool(self.served or self.refused or self.failed)

    @property
    def kind(self) -> Kind:
        """What uses this service in this way."""
        service = self.service.casefold()
        if self.own:
            return "this_server"
        if not self.calls:
            return "probe"
        if service in DOWNSTREAM_SERVICES:
            return "downstream_server"
        return "client" if service in CLIENT_SERVICES else "console"


@dataclasses.dataclass(frozen=True)
class Caller:
    """One address that came over plain HTTP, with each service that it used."""

    address: str
    uses: tuple[Use, ...]

    @property
    def own(self) -> bool:
        """Whether it is the server itself, by one of its own addresses."""
        return any(use.own for use in self.uses)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What it is: more than one thing where a downstream server searches for updates of its own, too."""
        if self.own:
            return ("this_server",)
        found = {use.kind for use in self.uses}
        if found != {"probe"}:
            found.discard("probe")
        return tuple(kind for kind in KINDS if kind in found)

    @property
    def last(self) -> datetime.datetime | None:
        """When it last came."""
        return max((use.last for use in self.uses if use.last), default=None)

    @property
    def last_served(self) -> datetime.datetime | None:
        """When a call of it was last answered with success; None for never."""
        return max((use.last_served for use in self.uses if use.last_served), default=None)

    def served_as_client_since(self, moment: datetime.datetime) -> bool:
        """Whether a service that only clients use answered it at that moment or later."""
        return any(use.service.casefold() in CLIENT_SERVICES and use.last_served and use.last_served >= moment for use in self.uses)


@dataclasses.dataclass(frozen=True)
class Traffic:
    """A document as it was read: everything typed, every text cleaned. READ is when, by the server's clock; SINCE is where it begins.

    COMPUTERS are those that WSUS last saw in C(absent_days) and before SINCE, None where it did not answer; SEEN is how many came after.
    """

    since: datetime.datetime
    read: datetime.datetime
    logged: bool
    folder: str
    days: frozenset[datetime.date]
    files: int
    lines: int
    missing_fields: tuple[str, ...]
    truncated: bool
    tls_served: int
    tls_failed: tuple[str, ...]
    callers: tuple[Caller, ...]
    computers: tuple[Computer, ...] | None
    seen: int | None
    log_problem: str | None
    computers_problem: str | None

    def whole_days(self) -> list[datetime.date]:
        """The days in UTC that lie wholly in what was read, oldest first. Today is never among them."""
        first = midnight(self.since)
        if first < self.since:
            first += DAY
        return [(first + number * DAY).date() for number in range(max(0, (midnight(self.read) - first) // DAY))]

    def days_without(self) -> list[datetime.date]:
        """Those of them on which nobody was served over either port: nothing is known of them."""
        return [day for day in self.whole_days() if day not in self.days]

    def not_known(self) -> list[str]:
        """What the document cannot tell, each as a sentence with what to do about it."""
        found = [*self.log_gaps()]
        if self.computers is None:
            found.append(f"Which computers WSUS knows is not known: its API does not answer ({self.computers_problem or 'it gave no reason'}).")
        without = self.days_without()
        if without and not found:
            found.append(f"Nothing is known of {dates(without)}: no request to the five services was answered with success then.")
        return found

    def log_gaps(self) -> list[str]:
        """What the log as a whole does not tell, each as a sentence; days without a line are not among it."""
        found = []
        if not self.logged:
            found.append(
                "The site does not log now, or not in the W3C format: who calls from now on is not known. Turn on its W3C log "
                "(IIS, Logging, format W3C)."
            )
        if self.log_problem:
            found.append(f"The log in {self.folder} cannot be read: {self.log_problem.rstrip('. ')}. Give the connecting user the right to read it.")
        elif self.files == 0:
            found.append(
                f"There is no log of these days in {self.folder}: the folder is not there, cannot be seen, or its files were deleted or moved. "
                "Only what lies in the folder itself is read."
            )
        elif self.lines == 0:
            found.append(f"The log in {self.folder} has no line of these days.")
        if self.missing_fields:
            found.append(
                f"Lines of the log lack {', '.join(self.missing_fields)} and say nothing of who called. Select these fields in the log's settings; "
                "the lines without them count until their files are too old to be read."
            )
        if self.truncated:
            found.append("More addresses came over HTTP than are kept (100,000 by service): the list has not all of them.")
        return found


def read_traffic(document: Any, days: int) -> Traffic:
    """A document that was read for so many days (0: only the computers). Raises NotTraffic for what is none."""
    try:
        return _read(document, days)
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise NotTraffic(f"what the server told of its traffic cannot be read ({type(error).__name__}: {error})") from error


def _read(document: Any, days: int) -> Traffic:
    since = parse_time(document["since"])
    unreadable = document["unreadable"]
    computers = document["computers"]
    if computers is None:
        known, seen = None, None
    else:
        known = tuple(sorted((_computer(one) for one in computers["absent"]), key=lambda one: (one.last_seen, one.name, one.id)))
        seen = int(computers["seen"])
    return Traffic(
        since=since,
        read=since + days * DAY,
        logged=bool(document["logged"]),
        folder=plain(document["folder"], "message"),
        days=frozenset(day for day in map(_date, document["days"]) if day),
        files=int(document["files"]),
        lines=int(document["lines"]),
        missing_fields=tuple(plain(name) for name in document["missing_fields"]),
        truncated=bool(document["truncated"]),
        tls_served=int(document["tls_served"]),
        tls_failed=tuple(dict.fromkeys(plain(address_key(address), "address") for address in document["tls_failed"])),
        callers=_callers(document["callers"], since + days * DAY),
        computers=known,
        seen=seen,
        log_problem=_problem(unreadable.get("log")),
        computers_problem=_problem(unreadable.get("computers")),
    )


def _problem(failure: Mapping[str, Any] | None) -> str | None:
    return plain(failure.get("message") or failure.get("type") or "it gave no reason", "message") if failure else None


def _date(text: str) -> datetime.date | None:
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:  # a line that was cut off
        return None


def _computer(one: Mapping[str, Any]) -> Computer:
    identity = plain(one["id"])
    return Computer(identity, plain(one.get("fqdn")).rstrip(".").lower() or identity, address_key(one.get("address")), parse_time(one["last_sync"]))


def _callers(entries: Iterable[Mapping[str, Any]], read: datetime.datetime) -> tuple[Caller, ...]:
    found: dict[str, list[Use]] = {}
    for one in entries:
        last, served = _moment(one["last"], read), _moment(one["last_served"], read)
        # Served, and when is not known: as late as can be.
        served = (served or last or read) if one["served"] else None
        agent = None if one["agent"] in (None, "", "-") else plain(one["agent"], "agent")
        numbers = {name: int(one[name]) for name in ("served", "refused", "failed", "probed")}
        use = Use(plain(one["service"]), agent, bool(one["own"]), last, served, **numbers)
        found.setdefault(address_key(one["address"]), []).append(use)
    return tuple(Caller(plain(address, "address"), tuple(uses)) for address, uses in found.items())


def _moment(text: str | None, otherwise: datetime.datetime) -> datetime.datetime | None:
    """A time of the log. What only looks like one (a damaged line) counts as OTHERWISE."""
    try:
        return parse_time(text) if text else None
    except ValueError:
        return otherwise


# --- who is who ----------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Named:
    """What an address is called: by WSUS (the computer last seen there first), else by DNS."""

    names: tuple[str, ...] = ()
    more: int = 0
    source: Literal["wsus", "dns"] | None = None

    @property
    def name(self) -> str | None:
        """The first of them."""
        return self.names[0] if self.names else None


def computers_at(*lists: Sequence[Computer] | None) -> dict[str, list[Computer]]:
    """The computers that WSUS knows, by their address; at each the one last seen first, each computer once."""
    found: dict[str, dict[str, Computer]] = {}
    for one in (computer for each in lists for computer in each or ()):
        if one.address:
            there = found.setdefault(one.address, {})
            if one.id not in there or one.last_seen > there[one.id].last_seen:
                there[one.id] = one
    return {address: sorted(there.values(), key=lambda one: one.last_seen, reverse=True) for address, there in found.items()}


def named(address: str, known: Mapping[str, Sequence[Computer]], dns: Mapping[str, Sequence[str]]) -> Named:
    """The names of an address. DNS: names by address, as a resolver gave them; what is no host name among them is left out."""
    names, source = list(dict.fromkeys(one.name for one in known.get(address, ()))), "wsus"
    if not names:
        cleaned = [host_name(name) for name in dns.get(address, ())]
        names, source = list(dict.fromkeys(name for name in cleaned if name)), "dns"
    if not names:
        return Named()
    return Named(tuple(names[:MOST_NAMES]), max(0, len(names) - MOST_NAMES), "wsus" if source == "wsus" else "dns")


def without_name(traffic: Traffic, known: Mapping[str, Sequence[Computer]]) -> list[str]:
    """The addresses of callers, the server's own left out, at which WSUS knows no computer: those last served come first."""
    earliest = datetime.datetime.min.replace(tzinfo=datetime.UTC)
    waiting = [caller for caller in traffic.callers if not caller.own and caller.address not in known]
    return [caller.address for caller in sorted(waiting, key=lambda one: (one.last_served or earliest, one.last or earliest), reverse=True)]


# --- what is told --------------------------------------------------------------------------------------------------------


def as_info(traffic: Traffic, known: Mapping[str, Sequence[Computer]], dns: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """What C(wsus_traffic_info) returns, in plain JSON types. KNOWN: the computers by address; DNS: names by address."""
    callers = [_told(caller, named(caller.address, known, dns)) for caller in traffic.callers]
    served = [one for one in callers if one["served"] and "this_server" not in one["kinds"]]
    return {
        "since": format_time(traffic.since),
        "until": format_time(traffic.read),
        "log": {"logged": traffic.logged, "folder": traffic.folder, "files": traffic.files, "lines": traffic.lines},
        "callers": sorted(callers, key=lambda one: (one["last_served"] or "", one["last"] or "", one["address"]), reverse=True),
        "served_over_http": len(served),
        "tls": {
            "served": traffic.tls_served,
            "only_failed": len(traffic.tls_failed),
            "only_failed_addresses": list(traffic.tls_failed[:MOST_ADDRESSES]),
        },
        "days_with_evidence": sorted(day.isoformat() for day in traffic.days),
        "days_without": [day.isoformat() for day in traffic.days_without()],
        "computers": None
        if traffic.computers is None
        else {"seen": traffic.seen, "not_seen": [one.as_dict() for one in reversed(traffic.computers)]},
        "not_known": traffic.not_known(),
    }


def _told(caller: Caller, name: Named) -> dict[str, Any]:
    return {
        "address": caller.address,
        "name": name.name,
        "names": list(name.names),
        "more_names": name.more,
        "name_from": name.source,
        "kinds": list(caller.kinds),
        "services": sorted({use.service for use in caller.uses}),
        "agents": sorted({use.agent for use in caller.uses if use.agent})[:MOST_AGENTS],
        "last": format_time(caller.last) if caller.last else None,
        "last_served": format_time(caller.last_served) if caller.last_served else None,
        **{number: sum(getattr(use, number) for use in caller.uses) for number in ("served", "refused", "failed", "probed")},
    }


def some_of(words: Sequence[str]) -> str:
    """As many of them as a sentence holds, and how many more there are."""
    shown = list(words[:NAMES_IN_A_SENTENCE])
    if len(words) > len(shown):
        shown.append(f"{len(words) - len(shown)} more")
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def dates(days: Sequence[datetime.date]) -> str:
    """Days as a sentence has them, neighbours as a span: "2026-11-14 to 2026-11-17, 2026-11-20"."""
    spans: list[list[datetime.date]] = []
    for day in sorted(days):
        if spans and day - spans[-1][-1] == DAY:
            spans[-1].append(day)
        else:
            spans.append([day])
    return ", ".join(f"{span[0]} to {span[-1]}" if len(span) > 1 else str(span[0]) for span in spans)
