# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Whether nobody needs plain HTTP of a server any more, so that TLS can be required on it without turning anyone away (C(when_quiet)).

Silence is not success: a client that fails in the TLS handshake is in no log. So it takes all of five conditions: every whole day has evidence,
nobody was served over HTTP, no computer stayed away, every downstream server has moved, and what is seen at the server's name is what it has
bound. What they are judged by, and in which order it has to be read, stands at C(decide).
"""

from __future__ import annotations

import dataclasses
import datetime
import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .authorities import thumbprint_of
from .require_tls import RequireWish, downstream_left, refuse_unfinished
from .state import (
    Refusal,
    State,
    certificates_of,
    configured_name,
    find_endpoint,
    format_time,
    https_bindings,
    known_as,
    own_fqdn,
    parse_time,
    serving_binding,
)
from .survey import Survey
from .traffic import DAY, MOST_DAYS, NAMES_IN_A_SENTENCE, Caller, Computer, Traffic, address_key, computers_at, dates, midnight, plain, some_of

LOG_LAG = datetime.timedelta(minutes=2)
"""IIS writes its logs up to a minute late [API]: of a time as near as this the log does not tell everything."""
CLOCK_DIFFERENCE = datetime.timedelta(hours=1)
"""Further apart than this, the server's clock and the controller's do not tell the same days, or what was read is too old."""
MOST_TOLD = 1000
"""How many of the callers and of the computers a result has; how many there are is in the sentences."""


@dataclasses.dataclass(frozen=True)
class Ignored:
    """An address that may be turned away (as address_key gives it), and why."""

    address: str
    reason: str


@dataclasses.dataclass(frozen=True)
class QuietWish:
    """For how long it has to be quiet, and who does not count. Made by quiet_wish, which refuses what makes no sense."""

    quiet_days: int = 7
    absent_days: int = 60
    quiet_ignore: tuple[Ignored, ...] = ()
    absent_ignore: tuple[str, ...] = ()
    """Names (FQDN) or ids of computers that may be turned away, folded."""
    downstream: RequireWish = dataclasses.field(default_factory=RequireWish)
    """Which downstream servers count, as requiring TLS takes it."""

    @property
    def days_to_read(self) -> int:
        """How many days back the log has to be read, so that all the days it is judged for are whole."""
        return self.quiet_days + 1


def quiet_wish(
    quiet_days: int = 7,
    absent_days: int = 60,
    quiet_ignore: Iterable[Mapping[str, Any]] = (),
    absent_ignore: Iterable[str] = (),
    downstream: RequireWish | None = None,
) -> QuietWish:
    """The settings, checked. quiet_ignore: each with `address` and `reason`. Raises Refusal for what makes no sense."""
    if not 1 <= quiet_days <= MOST_DAYS:
        raise Refusal(f"quiet_days is {quiet_days}; it may be 1 to {MOST_DAYS}: without a whole day of silence nothing is known.")
    if not quiet_days < absent_days <= MOST_DAYS:
        raise Refusal(
            f"absent_days is {absent_days}; it has to be more than quiet_days ({quiet_days}) and at most {MOST_DAYS}: a computer that stayed away "
            "counts as one that still exists for longer than it has to be quiet."
        )
    ignored: dict[str, Ignored] = {}
    for entry in quiet_ignore:
        one = _ignored(entry)
        if ignored.setdefault(one.address, one) != one:
            raise Refusal(f"quiet_ignore has {one.address} twice, with different reasons. Name each address once.")
    names = tuple(dict.fromkeys(_name(name) for name in absent_ignore))
    if "" in names:
        raise Refusal("absent_ignore has an empty name. It takes the names of computers, as WSUS has them.")
    return QuietWish(quiet_days, absent_days, tuple(ignored.values()), names, downstream or RequireWish())


def _ignored(entry: Any) -> Ignored:
    if not isinstance(entry, Mapping) or set(entry) != {"address", "reason"}:
        raise Refusal("Each entry of quiet_ignore has an address and a reason, and nothing else.")
    given, reason = str(entry["address"]).strip(), plain(entry["reason"], "message")
    try:
        ipaddress.ip_address(given)
    except ValueError:
        raise Refusal(
            f'quiet_ignore has "{plain(given)}", which is no single IP address: names and networks are not taken, as they can mean others tomorrow.'
        ) from None
    if not reason:
        raise Refusal(f"quiet_ignore gives no reason for {given}. Say why this address may be turned away.")
    return Ignored(address_key(given), reason)


def _name(name: str) -> str:
    return str(name).strip().rstrip(".").casefold()


# --- what is seen at the server's name -------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class SeenCertificate:
    """The certificate that was found at a server's name, and by whom ("the controller", "the server itself"); or why none was."""

    by: str
    place: str
    thumbprint: str | None
    problem: str | None = None


def seen_by_the_server(state: State) -> SeenCertificate | None:
    """What the server found at its recorded name and its port for HTTPS; None where it did not look."""
    name, binding = configured_name(state), serving_binding(state)
    endpoint = find_endpoint(state, name, binding["port"]) if name and binding else None
    if endpoint is None or binding is None:
        return None
    problem = endpoint["error"]["message"] if endpoint["error"] else None
    thumbprint = thumbprint_of(endpoint["certificates"][0]) if endpoint["certificates"] else None
    return SeenCertificate("the server itself", f"{name}:{binding['port']}", thumbprint, problem)


def seen_by_the_controller(survey: Survey) -> SeenCertificate:
    """What the controller found. Where it connected to another address than the name's, that is what it saw."""
    thumbprint = (survey.certificate or {}).get("thumbprint")
    place = f"{survey.name}:{survey.https_port}"
    return SeenCertificate("the controller", place, str(thumbprint).upper() if thumbprint else None, survey.https_problem)


def other_certificate(state: State, seen: Iterable[SeenCertificate]) -> str | None:
    """Why TLS must not be required, now or later, as a sentence: what is seen at the server's name is not what it has bound. None where it is,
    or where nothing was seen. Raises Refusal where the server's bindings could not be read."""
    bound = _bound(state)
    wrong = [one for one in seen if one.thumbprint and bound and one.thumbprint.upper() not in bound]
    if not wrong:
        return None
    found = "; ".join(f"{one.by} sees {one.thumbprint} at {one.place}" for one in wrong)
    own = {str(entry["thumbprint"]).upper() for entry in certificates_of(state)}
    if all(str(one.thumbprint).upper() in own for one in wrong):
        return (
            f"The site has {' and '.join(sorted(bound))} bound, but {found}, an older one of its own store. Let the site serve what it has bound "
            "first (securepatch.wsus.wsus_ssl_binding)."
        )
    return (
        f"The site has {' and '.join(sorted(bound))} bound, but {found}. Something in front of the server ends TLS, a load balancer for one: it "
        "would bring every client over HTTP, and all of them would be turned away. Let it pass TLS through, or bind the same certificate "
        "behind it and let it call the server over TLS."
    )


def _bound(state: State) -> set[str]:
    """The thumbprints that the site has bound at the port it is known by."""
    serving = serving_binding(state)
    at_port = [binding for binding in https_bindings(state) if serving and binding["port"] == serving["port"]]
    return {str(binding["thumbprint"]).upper() for binding in at_port if binding.get("thumbprint")}


# --- the decision ----------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Quiet:
    """What was decided. QUIET: TLS can be required now. MISSING: sentences, empty only then; WHO: those that they are about, in plain types.

    EARLIEST: it cannot be quiet before this moment, whatever happens until then; None where it is quiet. REFUSED: the one of the sentences
    for which TLS must not be required at once either. IGNORED: who did not count, and why. BREAKS: what the server itself still calls over
    HTTP since its restart, which will be turned away. SINCE: the begin of the days that were judged. ONLY_LATE: nothing but the log's delay is in
    the way; with the log read again after LOG_LAG, and the same list of computers, it can be quiet.
    """

    quiet: bool
    missing: tuple[str, ...]
    who: Mapping[str, Sequence[Mapping[str, Any]]]
    earliest: datetime.datetime | None
    refused: str | None
    ignored: tuple[Mapping[str, Any], ...]
    breaks: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...]
    since: datetime.datetime
    only_late: bool = False

    def sentences(self) -> list[str]:
        """What an administrator has to know of it, whichever way it was decided."""
        told: list[str] = []
        if self.missing:
            told = ["TLS is not required yet: somebody may still need plain HTTP.", *self.missing]
        if self.earliest:
            told.append(f"It can be required on {format_time(self.earliest)} at the earliest, by the run that comes then.")
        if self.breaks:
            calls = [f"{one['service']} ({one['agent'] or 'nameless'}, last at {one['last_served']})" for one in self.breaks]
            told.append(
                f"The server itself called these over HTTP since the machine's last start: {some_of(calls)}. What goes on doing so, a script or "
                "Configuration Manager on it, is turned away once TLS is required: give it the https URL."
            )
        return [*told, *self.notes]

    def as_dict(self) -> dict[str, Any]:
        """In plain JSON types."""
        return {
            "quiet": self.quiet,
            "missing": list(self.missing),
            "callers": list(self.who["callers"][:MOST_TOLD]),
            "not_seen": list(self.who["not_seen"][:MOST_TOLD]),
            "downstream": list(self.who["downstream"]),
            "earliest": format_time(self.earliest) if self.earliest else None,
            "ignored": list(self.ignored),
            "breaks": list(self.breaks),
            "notes": list(self.notes),
            "since": format_time(self.since),
        }


def decide(
    state: State, traffic: Traffic, known: Traffic, seen: Sequence[SeenCertificate] | None, wish: QuietWish, now: datetime.datetime
) -> Quiet:
    """Whether it is quiet at NOW (aware, the controller's clock).

    TRAFFIC: the log, read for at least wish.days_to_read days. KNOWN: the computers, read for 0 days, so that it has all of them, and for at
    least wish.absent_days, and before TRAFFIC. The log is up to a minute late: whoever came less than LOG_LAG before it was read counts as
    missing. Where that is all that is missing (only_late), TRAFFIC is to be read again after LOG_LAG, and KNOWN kept. The days that are judged
    are whole ones of the server's clock in UTC. Today is none of them, but who was served over HTTP today has not moved either.
    SEEN is None where STATE is only foretold, and nothing of it can be seen yet.

    Raises ValueError where they were read for other days than these.
    """
    first = midnight(traffic.read) - wish.quiet_days * DAY
    if traffic.since > first or known.since != known.read:
        raise ValueError(f"the log has to be read for {wish.days_to_read} days, and the computers for 0")
    judging = _Judging(state, traffic, known, wish, now, first)
    judging.unfinished()
    judging.clocks()
    judging.evidence()
    judging.served_over_http()
    judging.computers()
    judging.downstream()
    refused = judging.certificate(seen)
    missing = tuple(dict.fromkeys(judging.missing))
    return Quiet(
        quiet=not missing,
        missing=missing,
        who=judging.who,
        earliest=max([traffic.read, *judging.bounds]) if missing else None,
        refused=refused,
        ignored=tuple(judging.ignored),
        breaks=tuple(judging.breaks()),
        notes=tuple(judging.notes),
        since=first,
        only_late=judging.late and len(missing) == 1,
    )


class _Judging:
    """One condition after the other; what is found is collected."""

    def __init__(self, state: State, traffic: Traffic, known: Traffic, wish: QuietWish, now: datetime.datetime, first: datetime.datetime) -> None:
        self.state, self.traffic, self.known, self.wish, self.now, self.first = state, traffic, known, wish, now, first
        self.missing: list[str] = []
        self.bounds: list[datetime.datetime] = []
        self.ignored: list[Mapping[str, Any]] = []
        self.notes: list[str] = []
        self.who: dict[str, list[Mapping[str, Any]]] = {"callers": [], "not_seen": [], "downstream": []}
        self.at = computers_at(known.computers)
        self.complete_until = traffic.read - LOG_LAG
        self.late = False

    def _after(self, day: datetime.datetime) -> datetime.datetime:
        # The days to judge have to lie after this one, and are over on the day after the last of them.
        return midnight(day) + (self.wish.quiet_days + 1) * DAY

    def _acknowledged(self, computer: Computer) -> bool:
        return bool({_name(computer.name), computer.id.casefold()} & set(self.wish.absent_ignore))

    def clocks(self) -> None:
        apart = max(abs(self.now - self.traffic.read), abs(self.now - self.known.read))
        if apart > CLOCK_DIFFERENCE:
            self.missing.append(
                f"The server's clock said {format_time(self.traffic.read)} when its log was read, and the controller's says {format_time(self.now)}: "
                "which days are over cannot be told. Set the clock that is wrong, and run it again."
            )

    def evidence(self) -> None:
        traffic = self.traffic
        gaps = traffic.log_gaps()
        self.missing += gaps
        if not traffic.logged:
            self.bounds.append(self._after(traffic.read))
        judged = [(self.first + number * DAY).date() for number in range(self.wish.quiet_days)]
        without = [day for day in judged if day not in traffic.days]
        if not without:
            return
        begins = [datetime.datetime.combine(day, datetime.time(), datetime.UTC) for day in without]
        if traffic.log_problem is None:
            # What was written late can still show up.
            self.bounds += [self._after(begin) for begin in begins if begin + DAY <= self.complete_until]
        if len(without) == len(judged) and gaps:
            return
        oldest = min(traffic.days, default=None)
        kept = without == judged[: len(without)] and oldest is not None
        hint = (
            f" The log goes back to {oldest}: where older ones are deleted on purpose, quiet_days has to be less than they are kept."
            if kept
            else " A server that nobody calls on some days gives evidence by a monitor that requests one of the services."
        )
        self.missing.append(
            f"There is no evidence of {dates(without)}: no request was answered with success on "
            f"{'that day' if len(without) == 1 else 'those days'}, or its log is gone.{hint}"
        )

    def served_over_http(self) -> None:
        reasons = {one.address: one.reason for one in self.wish.quiet_ignore}
        callers: list[Caller] = []
        came: dict[str, Caller] = {}
        others: list[str] = []
        for caller in self.traffic.callers:
            came[caller.address] = caller
            last = caller.last_served
            if last is None or last < self.first:
                if caller.last and caller.last >= self.first and not caller.own and any(use.calls for use in caller.uses):
                    others.append(self._called(caller.address))
            elif not caller.own and caller.address not in reasons:
                callers.append(caller)
            else:
                self._excused(caller, reasons.get(caller.address))
        if callers:
            callers.sort(key=lambda one: one.last_served or self.first, reverse=True)
            self.who["callers"] = [self._told(caller) for caller in callers]
            latest = callers[0].last_served or self.first
            self.bounds.append(self._after(latest))
            self.missing.append(
                f"Still served over plain HTTP since {self.first.date()}: {some_of([self._called(one.address) for one in callers])}; the last one "
                f"on {format_time(latest)}."
            )
        if others:
            self.notes.append(f"Called over plain HTTP without success: {some_of(others)}.")
        for one in self.wish.quiet_ignore:
            met = came.get(one.address)
            told = self._told(met) if met else {"address": one.address, "names": self._names(one.address), "kinds": [], "last_served": None}
            self.ignored.append({**told, "reason": one.reason})

    def _excused(self, caller: Caller, reason: str | None) -> None:
        """An address that may come over HTTP may not hide computers that come from it: through something in front of the server, or because
        the address is another's by now."""
        if not caller.served_as_client_since(self.first):
            return
        own = {own_fqdn(self.state), known_as(self.state).casefold()}
        hidden = [
            one
            for one in self.at.get(caller.address, ())
            if one.last_seen >= self.first and not self._acknowledged(one) and not (caller.own and _name(one.name) in own)
        ]
        if hidden:
            self.who["callers"].append(self._told(caller))
            whose = "the server's own address" if reason is None else f"an address to ignore ({reason})"
            self.missing.append(
                f"{caller.address} is {whose}, but clients were served over plain HTTP there, and WSUS knows {some_of([one.name for one in hidden])} "
                "at it. Name those that may be turned away in absent_ignore, or see what brings them there."
            )

    def computers(self) -> None:
        known = self.known.computers
        if known is None:
            self.missing.append(
                "Which computers WSUS knows is not known, so neither is who stayed away: its API does not answer "
                f"({self.known.computers_problem or 'it gave no reason'})."
            )
            return
        oldest = self.known.read - self.wish.absent_days * DAY
        counting = [one for one in known if one.last_seen >= oldest and not self._acknowledged(one)]
        absent = [one for one in counting if one.last_seen < self.first]
        if absent:
            absent.sort(key=lambda one: one.last_seen, reverse=True)
            self.who["not_seen"] = [{**one.as_dict(), "counts_until": format_time(one.last_seen + self.wish.absent_days * DAY)} for one in absent]
            self.missing.append(
                f"WSUS knows {len(absent)} computer{'s' * (len(absent) != 1)} that it has not seen since {self.first.date()}: "
                f"{some_of([f'{one.name} (last on {one.last_seen.date()})' for one in absent])}. Each has to come over TLS, be named in "
                f"absent_ignore, or stay away for {self.wish.absent_days} days."
            )
        self._too_late([one for one in counting if one.last_seen > self.complete_until])
        self._unlogged([one for one in counting if self.first <= one.last_seen <= self.complete_until])
        acknowledged = [one for one in known if oldest <= one.last_seen < self.first and self._acknowledged(one)]
        self.ignored += [{**one.as_dict(), "reason": "named in absent_ignore"} for one in acknowledged]

    def _too_late(self, late: Sequence[Computer]) -> None:
        """Who came so lately that the log need not have it: those listed, and those that came while the list was made, who are not on it."""
        names = [one.name for one in late]
        moments = [one.last_seen for one in late]
        if self.known.seen and self.known.read > self.complete_until:
            names.append(f"{self.known.seen} computer{'s' * (self.known.seen != 1)} that came while WSUS was asked")
            moments.append(self.known.read)
        if not names:
            return
        self.late = True
        self.bounds.append(max(moments) + LOG_LAG)
        self.missing.append(
            f"{some_of(names)} came so lately (last at {format_time(max(moments))}) that the log, which is written up to a minute late, need not "
            "tell over what yet. Look again in some minutes."
        )

    def _unlogged(self, came: Sequence[Computer]) -> None:
        """Computers that WSUS saw have to be in the log, over one or the other: where none is, the log is not that of their calls."""
        as_client = [one for one in self.traffic.callers if one.served_as_client_since(self.first)]
        places = {one.address for one in came if one.address}
        # Today needs no evidence of its own, but who came today has left some, or today's log is gone.
        gone = [one for one in came if one.last_seen.date() not in self.traffic.days]
        if gone:
            self.missing.append(
                f"WSUS saw {some_of([one.name for one in gone])} on {dates(sorted({one.last_seen.date() for one in gone}))}, and the log has no "
                "request of then that was answered with success: it was deleted, or the site did not log."
            )
        if came and not self.traffic.tls_served and not as_client:
            self.missing.append(
                f"WSUS saw {some_of([one.name for one in came])} in these days, and no client is in the log, neither over HTTP nor over TLS: it is "
                "not the log of their calls, or a part of it is missing."
            )
        elif len(places) > self.traffic.tls_served and not as_client:
            self.notes.append(
                f"WSUS saw computers at {len(places)} addresses in these days, and the log has {self.traffic.tls_served} addresses over TLS. Where "
                "several do not share an address, a part of the log is missing."
            )

    def downstream(self) -> None:
        if self.state["api"] is None:
            failure = self.state["unreadable"].get("api")
            why = failure["message"] if failure else "it was not read"
            self.missing.append(f"Which downstream servers there are is not known: the WSUS API on the server does not answer ({why.rstrip('. ')}).")
            return
        left = downstream_left(self.state, self.wish.downstream, self.now)
        if left:
            self.who["downstream"] = [{"name": plain(fqdn), "why": plain(why, "message")} for fqdn, why in left]
            told = some_of([f"{plain(fqdn)} ({plain(why, 'message')})" for fqdn, why in left])
            self.missing.append(f"These downstream servers still come over HTTP: {told}.")

    def unfinished(self) -> None:
        try:
            refuse_unfinished(self.state, self.now)
        except Refusal as refusal:
            self.missing.append(str(refusal))

    def certificate(self, seen: Sequence[SeenCertificate] | None) -> str | None:
        if seen is None:
            return None
        refused = other_certificate(self.state, seen)
        bound = _bound(self.state)
        if refused:
            self.missing.append(refused)
        elif not bound:
            self.missing.append("No certificate is bound to the site yet, so nothing can be compared with what is seen at its name.")
        elif not any(one.thumbprint for one in seen):
            why = "; ".join(f"{one.by}: {(one.problem or 'no certificate').rstrip('. ')}" for one in seen) or "nobody looked"
            self.missing.append(f"Which certificate is served at the server's name is not known ({why}).")
        return refused

    def breaks(self) -> list[Mapping[str, Any]]:
        """What the server itself called over HTTP since the machine's last start."""
        try:
            start = parse_time(str(self.state["restart"]["boot_time"]))
        except ValueError:
            start = self.first
        return [
            {"address": caller.address, "service": use.service, "agent": use.agent, "last_served": format_time(use.last_served), "served": use.served}
            for caller in self.traffic.callers
            if caller.own
            for use in caller.uses
            if use.last_served and use.last_served >= start
        ]

    def _names(self, address: str) -> list[str]:
        return list(dict.fromkeys(one.name for one in self.at.get(address, ())))[:NAMES_IN_A_SENTENCE]

    def _called(self, address: str) -> str:
        names = self._names(address)
        return f"{address} ({names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''})" if names else address

    def _told(self, caller: Caller) -> dict[str, Any]:
        last = caller.last_served
        served = format_time(last) if last else None
        return {"address": caller.address, "names": self._names(caller.address), "kinds": list(caller.kinds), "last_served": served}
