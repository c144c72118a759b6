# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""A rollout over the hierarchy: what the plan says before anything is touched, and the table at its end."""

from __future__ import annotations

import dataclasses
import datetime
import textwrap
from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

from .application_pool import BEST_PRACTICES, plan_application_pool
from .hierarchy import Hierarchy, tree_lines
from .require_tls import TAKE_BACK, Requirement
from .state import LookNeeded, Refusal, State, configured_name, default_https_port
from .synchronization import SynchronizationWish, plan_synchronization
from .verdict import standing

UNKNOWN = "not reached"
WIDTH = 110


@dataclasses.dataclass(frozen=True)
class Seen:
    """What the plan saw of one server: the result of its observation, or why there is none. obtains: whether it needs a certificate that will
    be obtained; untrusted: the authorities that it does not trust yet and is to trust."""

    state: State | None = None
    verdict: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    fqdn: str | None = None
    problem: str | None = None
    obtains: bool = False
    untrusted: tuple[str, ...] = ()

    @classmethod
    def from_result(cls, result: Mapping[str, Any] | None) -> Seen:
        """From the result of wsus_server_info, failed or not; None where nobody looked."""
        if result is None:
            return cls()
        if not result.get("verdict"):
            return cls(problem=str(result.get("msg") or "it gave no reason"))
        untrusted = tuple(str(each["thumbprint"]) for each in result.get("trust") or () if not each["present"])
        obtains = bool(result.get("certificate_to_come"))
        return cls(cast("State", result["state"]), result["verdict"], result.get("fqdn"), None, obtains, untrusted)

    @property
    def standing(self) -> str:
        """Where it stands, in a few words."""
        return standing(self.state) if self.state else UNKNOWN


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a server's own wave ended: well or not, in which task and why not, what was changed, and where it stands then."""

    ok: bool
    task: str | None = None
    message: str | None = None
    changes: tuple[str, ...] = ()
    standing: str | None = None
    url: str | None = None
    checked: str | None = None
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class RolloutPlan:
    """What the plan found: servers that are finished, downstream servers whose synchronization is, which downstream servers
    are to be turned in whose wave, the waves, and the lines to show."""

    finished: tuple[str, ...]
    moved: tuple[str, ...]
    downstream: dict[str, list[str]]
    waves: tuple[tuple[str, ...], ...]
    lines: tuple[str, ...]


def make_plan(
    hierarchy: Hierarchy,
    waves: Sequence[Sequence[str]],
    seen: Mapping[str, Seen],
    pools: Mapping[str, Mapping[str, Any]],
    *,
    require_tls: Requirement,
    now: datetime.datetime,
) -> RolloutPlan:
    """Judge every server of a run. WAVES has the servers of this run; POOLS by server what differs from the best practices of its pool."""
    in_run = {name for wave in waves for name in wave}
    moved = [name for name in hierarchy.servers if name in in_run and _has_moved(hierarchy, name, seen, now)]
    finished = [
        name
        for name in hierarchy.servers
        if name in in_run and _is_finished(hierarchy, name, seen.get(name, Seen()), pools.get(name, {}), in_run, set(moved), require_tls, now)
    ]
    notes = {name: _plan_note(hierarchy, name, seen.get(name, Seen()), in_run, set(moved), set(finished), require_tls) for name in hierarchy.servers}
    lines = [f"{len(hierarchy.servers)} WSUS servers, {len(finished)} of them finished, in {len(waves)} waves.", ""]
    lines += tree_lines(hierarchy, notes)
    lines.append("")
    lines += [f"Wave {number}: {', '.join(wave)}" for number, wave in enumerate(waves, start=1)]
    outside = [name for name in hierarchy.servers if name not in in_run]
    if outside:
        lines.append(f"Not in this run (--limit), left as they are: {', '.join(outside)}")
    if require_tls == "when_quiet":
        lines += ["", "TLS will be required on each server once nobody needs plain HTTP of it any more (wsus_require_tls: when_quiet)."]
    elif require_tls == "never":
        lines += ["", "TLS will not be required: clients go on reaching every server over HTTP until it is (wsus_require_tls: true)."]
    # One that could not be reached fails its own wave, and not its upstream's as well.
    reached = {name for name in in_run if seen.get(name, Seen()).state is not None}
    downstream = {name: [lower for lower in hierarchy.downstream(name) if lower in reached] for name in hierarchy.servers}
    below = {name: lower for name, lower in downstream.items() if lower}
    return RolloutPlan(tuple(finished), tuple(moved), below, tuple(map(tuple, waves)), tuple(lines))


def upstream_address(hierarchy: Hierarchy, name: str, seen: Mapping[str, Seen]) -> tuple[str, int] | None:
    """The name and port that a downstream server is to name its upstream of the inventory by; None where that is not known yet."""
    upstream = hierarchy.upstream(name)
    if upstream is None:
        return None
    server, found = hierarchy.servers[upstream], seen.get(upstream, Seen())
    if found.state is None:
        return None
    try:
        known_as = server.fqdn or configured_name(found.state) or str(found.state["computer"]["fqdn"])
        return known_as, default_https_port(found.state)
    except Refusal:
        return None


def _has_moved(hierarchy: Hierarchy, name: str, seen: Mapping[str, Seen], now: datetime.datetime) -> bool:
    address, state = upstream_address(hierarchy, name, seen), seen.get(name, Seen()).state
    if hierarchy.upstream(name) is None or state is None or state["api"] is None or address is None:
        return False
    try:
        return not plan_synchronization(state, SynchronizationWish(address[0], address[1], synchronize=True), now).changes
    except (Refusal, LookNeeded):
        return False


def _is_finished(
    hierarchy: Hierarchy,
    name: str,
    found: Seen,
    pool: Mapping[str, Any],
    in_run: Collection[str],
    moved: Collection[str],
    require_tls: Requirement,
    now: datetime.datetime,
) -> bool:
    if found.state is None or found.untrusted or not found.verdict["offers_https"] or _is_to_require(found, require_tls):
        return False
    server = hierarchy.servers[name]
    if server.upstream_fqdn and (found.state["api"] is None or not found.state["api"]["synchronization"]["upstream_ssl"]):
        return False
    if any(lower in in_run and lower not in moved for lower in hierarchy.downstream(name)):
        return False
    try:
        return not plan_application_pool(found.state, {**BEST_PRACTICES, **pool}).changes
    except Refusal:
        return False


def _is_to_require(found: Seen, require_tls: Requirement) -> bool:
    return require_tls != "never" and not found.verdict["requires_tls"]


_REQUIRES: Mapping[Requirement, str] = {"never": "", "now": "require TLS", "when_quiet": "require TLS once nobody needs HTTP any more"}


def _plan_note(
    hierarchy: Hierarchy,
    name: str,
    found: Seen,
    in_run: Collection[str],
    moved: Collection[str],
    finished: Collection[str],
    require_tls: Requirement,
) -> str:
    if name not in in_run:
        return "not in this run (--limit): still to do"
    if found.state is None:
        return f"cannot be looked at: {(found.problem or 'nobody looked').removeprefix(f'{name}: ')}"
    parts = [found.standing]
    if hierarchy.upstream(name):
        parts.append("synchronizes over TLS" if name in moved else "its synchronization moves after its upstream")
    if name in finished:
        parts.append("finished")
    elif found.verdict["blocked_by"]:
        parts.append(f"BLOCKED: {' '.join(found.verdict['blocked_by'])}")
    elif not found.verdict["offers_https"]:
        obtains = "will obtain a certificate and " if found.obtains else "will "
        parts.append(f"{obtains}offer HTTPS" + (f" and {_REQUIRES[require_tls]}" if require_tls != "never" else ""))
    elif _is_to_require(found, require_tls):
        parts.append(f"will {_REQUIRES[require_tls]}")
    elif found.untrusted:
        parts.append("will trust more authorities")
    return ", ".join(parts)


def result_lines(
    hierarchy: Hierarchy,
    seen: Mapping[str, Seen],
    outcomes: Mapping[str, Outcome],
    moves: Mapping[str, Sequence[str]],
    in_run: Collection[str],
    *,
    check_mode: bool,
    problems: Sequence[str] = (),
    require_tls: Requirement = "never",
) -> list[str]:
    """The table at the end: every server with where it was and is, what happened to it, and what to do next. MOVES: what was changed of a
    downstream server's synchronization in its upstream's wave. PROBLEMS: why there was no plan."""
    rows = []
    for name in hierarchy.servers:
        was = seen.get(name, Seen()).standing if name in in_run else "-"
        outcome = outcomes.get(name)
        now = "-"
        if outcome:
            now = outcome.standing or "not known"
        elif name in in_run:
            now = was
        rows.append((name, was, now, _happened(outcome, moves.get(name, ()), name in in_run, check_mode, require_tls)))
    header = ("SERVER", "WAS", "WOULD BE" if check_mode else "IS", "WOULD HAPPEN" if check_mode else "WHAT HAPPENED")
    lines = table([header, *rows])
    if check_mode:
        lines += _changes_to_make(hierarchy, outcomes, moves)
    if problems:
        told = [line for problem in problems for line in wrapped(f"-  {problem}")]
        return [*lines, "", "The rollout could not be planned, and nothing was changed. Correct this, and run it again:", *told]
    return [*lines, "", *_next_steps(hierarchy, seen, outcomes, in_run, check_mode, require_tls)]


def touched(servers: Sequence[str], outcomes: Mapping[str, Outcome], moves: Mapping[str, Sequence[str]]) -> list[str]:
    """Those of these servers that are not as the plan saw them, or may not be: something was changed, or failed."""
    return [name for name in servers if moves.get(name) or ((own := outcomes.get(name)) is not None and (own.changes or not own.ok))]


def _changes_to_make(hierarchy: Hierarchy, outcomes: Mapping[str, Outcome], moves: Mapping[str, Sequence[str]]) -> list[str]:
    lines: list[str] = []
    for name in hierarchy.servers:
        own = outcomes[name].changes if name in outcomes else ()
        changes = [*own, *moves.get(name, ())]
        if changes:
            lines += ["", f"{name}:", *(line for change in changes for line in wrapped(f"-  {change}"))]
    return lines


def _happened(outcome: Outcome | None, moved: Sequence[str], in_run: bool, check_mode: bool, require_tls: Requirement) -> str:
    if not in_run:
        return "not in this run (--limit): still to do"
    if outcome is None:
        # Its synchronization may have been turned already, in its upstream's wave.
        return "its wave did not start" + (f"; {count_of(moved, check_mode)} to its synchronization" if moved else "")
    changes = [*outcome.changes, *moved]
    if not outcome.ok:
        return f"FAILED in '{outcome.task}'" + (f" after {count_of(changes, check_mode)}" if changes else ", nothing changed before")
    if require_tls == "when_quiet" and outcome.standing == "offers HTTPS":
        waits = "TLS waits for its clients"
        return f"{count_of(changes, check_mode)}; {waits}" if changes else f"nothing to do yet, {waits}"
    return count_of(changes, check_mode) if changes else "finished already, nothing to do"


def count_of(changes: Sequence[str], check_mode: bool) -> str:
    """How many changes there were, or in check mode would be, in words."""
    return f"{len(changes)} {'change' if len(changes) == 1 else 'changes'}" + (" to make" if check_mode else "")


def _next_steps(
    hierarchy: Hierarchy,
    seen: Mapping[str, Seen],
    outcomes: Mapping[str, Outcome],
    in_run: Collection[str],
    check_mode: bool,
    require_tls: Requirement,
) -> list[str]:
    told: list[str] = []
    for name, outcome in outcomes.items():
        if not outcome.ok:
            told += wrapped(_with_name(name, str(outcome.message), hierarchy.servers))
    for name, outcome in outcomes.items():
        for note in outcome.notes:
            # Where to go back to is the same for all of them, and told once.
            told += wrapped(f"{name}: {note}") if note != TAKE_BACK else []
    failed = [name for name, outcome in outcomes.items() if not outcome.ok]
    waiting = [name for name in hierarchy.servers if name in in_run and name not in outcomes]
    pending = [name for name, outcome in outcomes.items() if outcome.standing == "restart pending"]
    # One that failed before it was asked for its URL has none to give.
    offering = [(name, outcome) for name, outcome in outcomes.items() if outcome.standing == "offers HTTPS" and outcome.url]
    unchecked = [name for name, outcome in outcomes.items() if outcome.checked and outcome.checked.startswith("not checked")]
    # Reached in its own wave, but not when it was planned whose synchronization to turn.
    missed = [
        name for name, outcome in outcomes.items() if outcome.ok and seen.get(name, Seen()).state is None and hierarchy.upstream(name) in in_run
    ]
    outside = [name for name in hierarchy.servers if name not in in_run]
    steps: list[str] = []
    if failed:
        steps.append(f"Mend what failed on {', '.join(failed)}, and run this again: it goes on where it stopped.")
    if waiting:
        steps.append(f"No wave was started for {', '.join(waiting)}; the next run does.")
    if pending and not check_mode:
        steps.append(f"Restart {', '.join(pending)}: until then the new name is not in use, and TLS cannot be required.")
    if missed:
        steps.append(f"Run this again for the synchronization of {', '.join(missed)}: they were not reached when this run was planned.")
    if outside:
        steps.append(f"Run this for {', '.join(outside)}: this run was limited to others.")
    if offering and not check_mode and require_tls == "when_quiet":
        steps.append(
            "Clients still reach these servers over HTTP. Give them the URL (securepatch.wsus.clients), and run this again, every night for one: "
            "TLS is required once nobody needs plain HTTP any more:"
        )
    elif offering and not check_mode:
        steps.append(
            "Clients still reach these servers over HTTP. Give them the URL (securepatch.wsus.clients), and when all have it, run this with "
            "wsus_require_tls=true (or with wsus_require_tls=when_quiet, which waits until they have):"
        )
    lines = [*told, ""] if told else []
    for number, step in enumerate(steps, start=1):
        lines += wrapped(f"{number}. {step}")
    if offering and not check_mode:
        lines += [f"   {outcome.url}  ({name})" for name, outcome in offering]
    if unchecked and not check_mode:
        lines += wrapped(f"Not checked from outside: {', '.join(unchecked)}.")
    if not check_mode and any(TAKE_BACK in outcome.notes for outcome in outcomes.values()):
        lines += wrapped(TAKE_BACK)
    if check_mode:
        lines.append("Check mode: nothing was changed.")
    elif not steps:
        lines.append("Nothing is left to do: every server requires TLS.")
    return lines


def _with_name(name: str, message: str, servers: Collection[str]) -> str:
    """A message that begins with the server it is about: NAME, or one whose synchronization was to be turned in the wave of NAME."""
    if message.startswith((f"{name}: ", f"{name} ")):
        return message
    return f"{name}, for {message}" if message.partition(": ")[0] in servers else f"{name}: {message}"


def table(rows: Sequence[tuple[str, str, str, str]]) -> list[str]:
    """Rows of four as lines, the first three columns as wide as they have to be."""
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return ["  ".join([*(row[column].ljust(widths[column]) for column in range(3)), row[3]]).rstrip() for row in rows]


def wrapped(text: str) -> list[str]:
    """A text as lines for a terminal, all but the first indented."""
    return textwrap.wrap(text, WIDTH, subsequent_indent="   ", break_long_words=False, break_on_hyphens=False)
