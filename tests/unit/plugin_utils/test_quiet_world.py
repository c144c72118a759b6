"""A world in which computers move to TLS, or do not, in which logs are lost and servers are down, and in which somebody asks every day
whether TLS can be required now. Nobody may be cut off by the answer; and where all is calm, the answer must come."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

from ansible_collections.securepatch.wsus.plugins.plugin_utils.authorities import thumbprint_of
from ansible_collections.securepatch.wsus.plugins.plugin_utils.quiet import (
    LOG_LAG,
    Quiet,
    QuietWish,
    SeenCertificate,
    decide,
    quiet_wish,
)
from ansible_collections.securepatch.wsus.plugins.plugin_utils.state import State, parse_time
from ansible_collections.securepatch.wsus.plugins.plugin_utils.traffic import Traffic, read_traffic
from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.lab.engine import read_traffic as read_document
from tests.lab.machine import Machine, format_time
from tests.unit.plugin_utils.machines import issued, machine, offering, read

START = datetime.datetime(2026, 11, 2, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)
NEVER = datetime.datetime.max.replace(tzinfo=datetime.UTC)
FOLDER = r"C:\inetpub\logs\LogFiles\W3SVC1634923"
FIELDS = "#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) cs(Referer) sc-status sc-substatus\n"
SERVER, SCANNER, MONITOR = "10.0.0.5", "10.1.0.1", "10.9.9.9"
ADDRESSES = [SCANNER, "10.1.0.2", "10.1.0.3", "10.1.0.4"]
SEEN = [SeenCertificate("the controller", "wsus01.corp.example:8531", thumbprint_of(issued("good").der_base64))]
STATE: State = read(offering())


@dataclasses.dataclass(frozen=True)
class Computer:
    """One computer: from when on its policy says https, from when on it trusts the CA, and when it searches, and from which address."""

    name: str
    told: datetime.datetime
    trusts: datetime.datetime
    searches: tuple[tuple[datetime.datetime, str], ...]

    def needs_http(self, now: datetime.datetime) -> bool:
        """Whether plain HTTP is all that works for it."""
        return now < max(self.told, self.trusts)


@dataclasses.dataclass(frozen=True)
class Run:
    """Somebody looks: at the computers, a while later at the log, and decides then."""

    at: datetime.datetime
    pause: datetime.timedelta


@dataclasses.dataclass(frozen=True)
class World:
    """What happens. DOWN: spans in which the site answers nobody; UNLOGGED: days on which the site does not log; PURGED: when the log of a
    day is deleted; PROBED: when a monitor asks for a service; SCANNED: when what may be ignored calls over HTTP; LATE: how late a line is."""

    computers: tuple[Computer, ...]
    runs: tuple[Run, ...]
    wish: QuietWish
    down: tuple[tuple[datetime.datetime, datetime.datetime], ...] = ()
    unlogged: frozenset[datetime.date] = frozenset()
    purged: tuple[tuple[datetime.date, datetime.datetime], ...] = ()
    probed: tuple[datetime.datetime, ...] = ()
    scanned: tuple[datetime.datetime, ...] = ()
    late: datetime.timedelta = datetime.timedelta(seconds=60)


class Server:
    """The server in this world: its log, and the computers that it knows."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.lines: list[tuple[datetime.datetime, str]] = []
        self.seen: dict[str, tuple[datetime.datetime, str]] = {}
        self.machine: Machine = machine(offering())

    def call(self, at: datetime.datetime, address: str, *, port: int, method: str = "POST") -> bool:
        """A request. Returns whether it was served."""
        if any(begin <= at < end for begin, end in self.world.down):
            return False
        if at.date() not in self.world.unlogged:
            when = at.strftime("%Y-%m-%d %H:%M:%S")
            line = f"{when} {SERVER} {method} /ClientWebService/client.asmx - {port} - {address} Windows-Update-Agent/10.0 - 200 0"
            self.lines.append((at, line))
        return True

    def search(self, at: datetime.datetime, computer: Computer, address: str) -> None:
        """A computer searches: over HTTP, over TLS, or it fails in the handshake."""
        over_tls = at >= computer.told
        if over_tls and at < computer.trusts:
            return
        if self.call(at, address, port=8531 if over_tls else 8530):
            self.seen[computer.name] = (at, address)

    def read(self, now: datetime.datetime, days: int) -> Traffic:
        """What the server's part tells at this moment."""
        gone = {day for day, when in self.world.purged if when <= now}
        files: dict[str, str] = {}
        for at, line in self.lines:
            if at + self.world.late <= now and at.date() not in gone:
                name = f"{FOLDER}\\u_ex{at:%y%m%d}.log"
                files[name] = files.get(name, FIELDS) + line + "\n"
        found = self.machine.document
        found["clock"] = format_time(now)
        found["files"] = files
        found["iis"]["sites"][0]["log"] = {"enabled": now.date() not in self.world.unlogged}
        found["wsus"]["computers"] = [
            {"id": name, "fqdn": f"{name}.corp.example", "address": address, "last_sync": format_time(at)}
            for name, (at, address) in self.seen.items()
        ]
        return read_traffic(read_document(self.machine, days, self.world.wish.absent_days), days)


def happen(world: World) -> list[tuple[datetime.datetime, Quiet, dict[str, datetime.datetime]]]:
    """Let it happen. Returns each decision: when, what, and when WSUS had last seen each computer that it knew then."""
    server = Server(world)
    events: list[tuple[datetime.datetime, int, Any]] = []
    for computer in world.computers:
        events += [(at, 0, lambda at=at, one=computer, address=address: server.search(at, one, address)) for at, address in computer.searches]
    events += [(at, 0, lambda at=at: server.call(at, MONITOR, port=8530, method="GET")) for at in world.probed]
    events += [(at, 0, lambda at=at: server.call(at, SCANNER, port=8530)) for at in world.scanned]
    decided: list[tuple[datetime.datetime, Quiet, dict[str, datetime.datetime]]] = []
    known: dict[datetime.datetime, tuple[Traffic, dict[str, datetime.datetime]]] = {}

    def look(run: Run) -> None:
        known[run.at] = server.read(run.at, 0), {name: at for name, (at, _address) in server.seen.items()}

    def judge(run: Run) -> None:
        now = run.at + run.pause
        computers, seen = known[run.at]
        decided.append((now, decide(STATE, server.read(now, world.wish.days_to_read), computers, SEEN, world.wish, now), seen))

    for run in world.runs:
        events += [(run.at, 1, lambda run=run: look(run)), (run.at + run.pause, 2, lambda run=run: judge(run))]
    for _at, _order, what in sorted(events, key=lambda one: one[:2]):
        what()
    return decided


def cut_off(world: World, now: datetime.datetime, seen: dict[str, datetime.datetime]) -> list[str]:
    """Who would be: known, not away for too long, not acknowledged, and with nothing but HTTP."""
    counts_from = now - world.wish.absent_days * DAY
    by_name = {computer.name: computer for computer in world.computers}
    return [
        name
        for name, last in seen.items()
        if last >= counts_from and f"{name}.corp.example" not in world.wish.absent_ignore and by_name[name].needs_http(now)
    ]


DAYS = 16
SECONDS = st.integers(0, 86_399)
NEAR_MIDNIGHT = st.sampled_from([0, 1, 59, 61, 86_340, 86_398, 86_399])
MOMENTS = st.builds(lambda day, second: START + day * DAY + datetime.timedelta(seconds=second), st.integers(0, DAYS), SECONDS | NEAR_MIDNIGHT)
DATES = st.integers(0, DAYS).map(lambda day: (START + day * DAY).date())


@st.composite
def computers(draw: st.DrawFn, name: str, asked: datetime.datetime) -> Computer:
    """One that moves early, late or never, and comes daily, now and then, or hardly at all. ASKED: when on the first day it is looked."""
    told = draw(st.sampled_from([START, NEVER]) | MOMENTS)
    trusts = draw(st.sampled_from([START, START, NEVER]) | MOMENTS)
    when = draw(st.lists(MOMENTS, max_size=5))
    if draw(st.booleans()):
        first, last = sorted((draw(st.integers(0, DAYS)), draw(st.integers(0, DAYS))))
        second = draw(SECONDS)
        when += [START + day * DAY + datetime.timedelta(seconds=second) for day in range(first, last)]
    if draw(st.booleans()):
        # Right before somebody looks, so that it need not be in the log yet.
        when.append(asked + draw(st.integers(1, DAYS)) * DAY - datetime.timedelta(seconds=draw(st.integers(0, 90))))
    home = draw(st.sampled_from(ADDRESSES))
    moves = draw(st.booleans())
    return Computer(name, told, trusts, tuple((at, draw(st.sampled_from(ADDRESSES)) if moves else home) for at in sorted(set(when))))


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Anything may happen, and is asked about on every day."""
    at = START + datetime.timedelta(seconds=draw(SECONDS | NEAR_MIDNIGHT))
    waits = datetime.timedelta(seconds=draw(st.sampled_from([0, 30, 120, 300])))
    found = tuple(draw(computers(f"pc{number}", at + waits)) for number in range(draw(st.integers(1, 3))))
    quiet_days = draw(st.integers(1, 3))
    wish = quiet_wish(
        quiet_days,
        draw(st.integers(quiet_days + 1, 12)),
        draw(st.sampled_from([[], [{"address": SCANNER, "reason": "a scanner"}]])),
        draw(st.sampled_from([[], ["pc0.corp.example"]])),
    )
    runs = tuple(Run(at + day * DAY, waits) for day in range(quiet_days, DAYS + 2))
    begins = draw(st.lists(MOMENTS, max_size=2))
    monitored = draw(st.booleans())
    return World(
        computers=found,
        runs=runs,
        wish=wish,
        down=tuple((begin, begin + draw(st.integers(1, 72)) * datetime.timedelta(hours=1)) for begin in begins),
        unlogged=frozenset(draw(st.sets(DATES, max_size=2))),
        purged=tuple((day, draw(MOMENTS)) for day in draw(st.sets(DATES, max_size=3))),
        probed=tuple(START + day * DAY + DAY / 2 for day in range(DAYS + 2)) if monitored else tuple(draw(st.lists(MOMENTS, max_size=3))),
        scanned=tuple(draw(st.lists(MOMENTS, max_size=3))),
        late=datetime.timedelta(seconds=draw(st.integers(0, 60))),
    )


@settings(max_examples=300)
@given(worlds())
def test_nobody_is_cut_off_whatever_happens(world: World) -> None:
    decided = happen(world)
    told: datetime.datetime | None = None
    for now, decision, seen in decided:
        if decision.quiet:
            assert cut_off(world, now, seen) == [], f"at {now}"
            assert told is None or now >= told, f"quiet at {now}, and before it was said that it can be from {told} on at the earliest"
        else:
            assert decision.earliest is not None
            told = max(told or decision.earliest, decision.earliest)
    event(f"quiet at some time: {any(decision.quiet for _now, decision, _seen in decided)}")
    event(f"somebody with nothing but HTTP at some time: {any(cut_off(world, now, seen) for now, _decision, seen in decided)}")


@settings(max_examples=100)
@given(
    comes=st.integers(-300, 0) | st.sampled_from([-121, -120, -119, -61, -60, -59, -1, 0]),
    before=st.none() | st.integers(1, 10),
    late=st.integers(0, 60),
    pause=st.sampled_from([0, 1, 59, 60, 120, 121]),
    second=SECONDS | NEAR_MIDNIGHT,
)
def test_who_comes_back_right_before_somebody_looks_is_not_cut_off(comes: int, before: int | None, late: int, pause: int, second: int) -> None:
    """Its call need not be in the log by then; that WSUS has seen it says that it still lives, and nothing of how it came."""
    looked = START + 12 * DAY + datetime.timedelta(seconds=second)
    back = looked + datetime.timedelta(seconds=comes)
    searches = (back,) if before is None else (back - before * DAY, back)
    old = Computer("pc0", NEVER, NEVER, tuple((at, ADDRESSES[1]) for at in searches))
    moved = Computer("pc1", START, START, tuple((START + day * DAY + datetime.timedelta(seconds=43_200), ADDRESSES[2]) for day in range(12)))
    run = Run(looked, datetime.timedelta(seconds=pause))
    ((now, decision, seen),) = happen(World((old, moved), (run,), quiet_wish(2, 4), late=datetime.timedelta(seconds=late)))
    assert cut_off(World((old, moved), (run,), quiet_wish(2, 4)), now, seen) == ["pc0"]
    assert not decision.quiet
    assert decision.earliest
    assert decision.earliest > now or decision.who["not_seen"]


def test_one_that_came_today_whose_log_is_deleted_at_once_is_not_cut_off() -> None:
    """Found by the test above: today needs no evidence, and WSUS has just seen it."""
    back = Computer("pc0", NEVER, NEVER, ((START + 10 * DAY, ADDRESSES[1]),))
    probed = tuple(START + day * DAY + DAY / 2 for day in range(DAYS))
    runs = tuple(Run(START + day * DAY, LOG_LAG) for day in range(2, 11))
    world = World((back,), runs, quiet_wish(1, 2), purged=(((START + 10 * DAY).date(), START),), probed=probed)
    *before, (now, decision, seen) = happen(world)
    assert all(one.quiet for _now, one, _seen in before)
    assert cut_off(world, now, seen) == ["pc0"]
    assert not decision.quiet


@settings(max_examples=60)
@given(st.data())
def test_where_all_is_calm_it_is_quiet_as_soon_as_the_days_are_over(data: st.DataObject) -> None:
    """All have moved by some day and search every day, nothing is lost: from the first night on that has the days behind it, and not before."""
    quiet_days = data.draw(st.integers(1, 4), label="quiet_days")
    seconds = data.draw(st.lists(SECONDS, min_size=1, max_size=3), label="when they search")
    told = START + data.draw(st.integers(0, 4), label="the day they were told") * DAY
    found = tuple(
        Computer(
            f"pc{number}", told, START, tuple((START + day * DAY + datetime.timedelta(seconds=second), ADDRESSES[1 + number]) for day in range(DAYS))
        )
        for number, second in enumerate(seconds)
    )
    # Nobody comes while it is asked.
    at = next(second for second in range(0, 86_400, 600) if not any(second - 600 < each <= second + 600 for each in seconds))
    runs = tuple(Run(START + day * DAY + datetime.timedelta(seconds=at), LOG_LAG) for day in range(1, DAYS))
    decided = happen(World(found, runs, quiet_wish(quiet_days, 60)))
    last_over_http = told - DAY if told > START else START - 2 * DAY
    expected = max(last_over_http + (quiet_days + 1) * DAY, START + quiet_days * DAY)
    assert [now.date() for now, decision, _seen in decided if decision.quiet] == [
        now.date() for now, _decision, _seen in decided if now >= expected
    ], [decision.missing for _now, decision, _seen in decided]
    for now, decision, _seen in decided:
        if not decision.quiet:
            assert decision.earliest is not None
            assert decision.earliest <= max(expected, now)
            if now >= told > START:
                assert decision.earliest == expected


def test_the_world_can_tell_a_decision_that_is_too_early() -> None:
    """A computer that was told, does not trust, and is in no log: what the world counts as cut off."""
    silent = Computer("pc0", START + 3 * DAY, NEVER, tuple((START + day * DAY + DAY / 2, ADDRESSES[1]) for day in range(DAYS)))
    moved = Computer("pc1", START, START, tuple((START + day * DAY + DAY / 3, ADDRESSES[2]) for day in range(DAYS)))
    world = World((silent, moved), tuple(Run(START + day * DAY, LOG_LAG) for day in range(2, DAYS)), quiet_wish(2, 6))
    decided = happen(world)
    # It was last seen on the third day; from the seventh day after on it counts as gone, and only then TLS can be required.
    quiet = [now for now, decision, _seen in decided if decision.quiet]
    assert quiet[0].date() == (START + 9 * DAY).date()
    late = [decision for now, decision, _seen in decided if START + 5 * DAY < now < quiet[0]]
    assert late
    assert all([one["name"] for one in decision.who["not_seen"]] == ["pc0.corp.example"] for decision in late)
    assert {one["counts_until"] for decision in late for one in decision.who["not_seen"]} == {"2026-11-10T12:00:00Z"}
    assert parse_time("2026-11-10T12:00:00Z") < quiet[0]
