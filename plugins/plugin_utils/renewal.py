# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The renewal of certificates over the hierarchy: who is due and why, the plan before anything is touched, and the table at its end."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from .binding import find_binding, replaced_certificates
from .certificates import Certificate, not_asked_for, parse, reasons_against
from .enrollment import used_by
from .hierarchy import Hierarchy, tree_lines
from .rollout import Outcome, Seen, count_of, table, wrapped
from .state import Endpoint, Refusal, State, bound_certificate, known_as, own_fqdn, served_by_kernel, serving_binding, setup_of


@dataclasses.dataclass(frozen=True)
class RenewalWish:
    """When a certificate is to be renewed. days: fewer than so many left. remove_old: whether replaced ones are removed."""

    days: int = 30
    remove_old: bool = False


@dataclasses.dataclass(frozen=True)
class ServerWish:
    """What a server's certificate has to be: its name (None: the recorded one, else Windows' own), other names, issuer."""

    fqdn: str | None = None
    other_names: tuple[str, ...] = ()
    issuer: str | None = None


@dataclasses.dataclass(frozen=True)
class Judgement:
    """What was found of one server. due: why it is, or why it has to be cleaned up; empty where there is nothing to do. replace: thumbprints
    of certificates that fit by themselves and must not be kept all the same. stale: whether the site still serves an older certificate than
    the one that is bound. der: the bound certificate in base64, while it is valid."""

    fqdn: str
    port: int | None = None
    certificate: Certificate | None = None
    due: tuple[str, ...] = ()
    replace: tuple[str, ...] = ()
    offers: bool = True
    stale: bool = False
    der: str | None = None

    @property
    def until(self) -> str:
        """The day on which the bound certificate ends, or that there is none."""
        if self.certificate is None or self.certificate.not_after is None:
            return "none" if self.offers else "-"
        return self.certificate.not_after.strftime("%Y-%m-%d")


def judge_renewal(state: State, server: ServerWish, wish: RenewalWish, now: datetime.datetime) -> Judgement:
    """Judge one server as it was seen. NOW is aware. Raises Refusal where what it takes could not be read."""
    setup_of(state)
    fqdn = (server.fqdn or known_as(state)).lower()
    binding = serving_binding(state)
    if binding is None or binding.get("promised"):
        return Judgement(fqdn, offers=False)
    port = binding["port"]
    named = find_binding(state, port, fqdn)  # of several on the port the one for this name, which is the one that wsus_ssl_binding binds
    binding = named if named and named.get("thumbprint") else binding
    entry = bound_certificate(state, binding)
    if entry is None:
        why = f"the certificate {binding.get('thumbprint')} that is bound is no longer in the store"
        return Judgement(fqdn, port, None, (why, *_cleanup(state, wish)))
    certificate = parse(entry)
    reasons = reasons_against(certificate, fqdn, now, wish.days) + not_asked_for(certificate, server.issuer, None, server.other_names)
    due = [f"its certificate {reason}" for reason in reasons]
    replace: tuple[str, ...] = ()
    looked = _own_look(state, fqdn, port)
    if looked is not None and looked["trusted"] is False and _is_served(looked, entry["der"]):
        # That its own dates are over is told already; the rest of what Windows says of a chain, dates further up among it, is not.
        over = not certificate.not_before or not certificate.not_after or not certificate.not_before <= now <= certificate.not_after
        errors = [error for error in looked["chain_errors"] if error != "NotTimeValid" or not over]
        if errors:
            due.append(f"its certificate is not trusted by the server itself ({', '.join(errors)})")
            replace = (certificate.thumbprint,)
    kernel = served_by_kernel(state, binding)
    if kernel != [certificate.thumbprint]:
        due.append(f"http.sys serves {' and '.join(map(str, kernel)) or 'nothing'} where {certificate.thumbprint} is bound")
    stale = (
        kernel == [certificate.thumbprint]
        and looked is not None
        and bool(looked["certificates"])
        and not _is_served(looked, entry["der"])
        and _is_own(state, looked)
    )
    if stale:
        due.append("its site still serves an older certificate")
    valid = certificate.not_after is not None and certificate.not_after > now
    der = entry["der"] if valid else None
    return Judgement(fqdn, port, certificate, (*due, *_cleanup(state, wish)), replace, stale=stale, der=der)


def _own_look(state: State, fqdn: str, port: int) -> Endpoint | None:
    for endpoint in state.get("endpoints") or []:
        own = endpoint["host_name"].casefold() in (fqdn.casefold(), own_fqdn(state))
        if endpoint["tls"] and endpoint["port"] == port and own and endpoint["name_matches"] is not None:
            return endpoint
    return None


def _is_served(endpoint: Endpoint, der: str) -> bool:
    return endpoint["certificates"][:1] == [der]


def _is_own(state: State, endpoint: Endpoint) -> bool:
    return any(each["der"] == endpoint["certificates"][0] for each in state["certificates"] or [])


def _cleanup(state: State, wish: RenewalWish) -> list[str]:
    if not wish.remove_old:
        return []
    return [f"the replaced certificate {one} is to be removed" for one in replaced_certificates(state) if not used_by(state, one)]


@dataclasses.dataclass(frozen=True)
class RenewalPlan:
    """Who is due, with what was judged; the waves, of those that are due alone; and the lines to show."""

    due: dict[str, Judgement]
    waves: tuple[tuple[str, ...], ...]
    lines: tuple[str, ...]


def make_renewal_plan(
    hierarchy: Hierarchy,
    waves: Sequence[Sequence[str]],
    seen: Mapping[str, Seen],
    servers: Mapping[str, ServerWish],
    wish: RenewalWish,
    now: datetime.datetime,
) -> RenewalPlan:
    """Judge every server of a run. WAVES has the servers of this run. One that cannot be looked at is in its wave, and fails there."""
    in_run = {name for wave in waves for name in wave}
    due: dict[str, Judgement] = {}
    notes: dict[str, str] = {}
    for name in hierarchy.servers:
        if name not in in_run:
            notes[name] = "not in this run (--limit)"
            continue
        notes[name], judgement = _judged(name, seen.get(name, Seen()), servers.get(name, ServerWish()), wish, now)
        if judgement is not None:
            due[name] = judgement
    left = tuple(kept for wave in waves if (kept := tuple(name for name in wave if name in due)))
    lines = [f"{len(hierarchy.servers)} WSUS servers, {len(due)} of them due (fewer than {wish.days} days left, or no longer fit).", ""]
    lines += tree_lines(hierarchy, notes)
    lines += ["", *(f"Wave {number}: {', '.join(wave)}" for number, wave in enumerate(left, start=1))] if left else []
    return RenewalPlan(due, left, tuple(lines))


def _judged(name: str, found: Seen, server: ServerWish, wish: RenewalWish, now: datetime.datetime) -> tuple[str, Judgement | None]:
    if found.state is None:
        told = f"cannot be looked at: {(found.problem or 'nobody looked').removeprefix(f'{name}: ')}"
        return told, Judgement(server.fqdn or name, due=(told.rstrip("."),), offers=False)
    try:
        judgement = judge_renewal(found.state, server, wish, now)
    except Refusal as refusal:
        return f"BLOCKED: {refusal}", Judgement(server.fqdn or name, due=(str(refusal).rstrip("."),), offers=False)
    if not judgement.offers:
        return "has no https binding with a certificate yet: that is for the rollout", None
    told = f"until {judgement.until}" if judgement.certificate else "no certificate"
    return f"{told}, DUE: {'; '.join(judgement.due)}" if judgement.due else told, judgement if judgement.due else None


def renewal_lines(
    hierarchy: Hierarchy,
    seen: Mapping[str, Seen],
    servers: Mapping[str, ServerWish],
    due: Collection[str],
    outcomes: Mapping[str, tuple[Outcome, str | None]],
    in_run: Collection[str],
    wish: RenewalWish,
    now: datetime.datetime,
    *,
    check_mode: bool,
    problems: Sequence[str] = (),
) -> list[str]:
    """The table at the end: every server with the day its certificate ended and ends, and what happened. OUTCOMES: of the servers whose wave
    came, with the day on which the certificate that is bound then ends (None: not known)."""
    rows = []
    for name in hierarchy.servers:
        was = _until(seen.get(name, Seen()), servers.get(name, ServerWish()), wish, now) if name in in_run else "-"
        outcome, until = outcomes.get(name, (None, None))
        rows.append((name, was, (until or "not known") if outcome else was, _happened(name, outcome, due, in_run, check_mode, bool(problems))))
    header = ("SERVER", "ENDED", "WOULD END" if check_mode else "ENDS", "WOULD HAPPEN" if check_mode else "WHAT HAPPENED")
    lines = table([header, *rows])
    for name, (outcome, _until_then) in outcomes.items():
        if check_mode and outcome.changes:
            lines += ["", f"{name}:", *(line for change in outcome.changes for line in wrapped(f"-  {change}"))]
    told = [line for name, (outcome, _rest) in outcomes.items() for line in _told(name, outcome)]
    if problems:
        told = ["The renewal could not be planned, and nothing was changed. Correct this, and run it again:"]
        told += [line for problem in problems for line in wrapped(f"-  {problem}")]
        return [*lines, "", *told]
    return [*lines, "", *told, *_next(due, outcomes, check_mode)]


def _until(found: Seen, server: ServerWish, wish: RenewalWish, now: datetime.datetime) -> str:
    if found.state is None:
        return "not reached"
    try:
        return judge_renewal(found.state, server, wish, now).until
    except Refusal:
        return "not known"


def _happened(name: str, outcome: Outcome | None, due: Collection[str], in_run: Collection[str], check_mode: bool, unplanned: bool) -> str:
    if name not in in_run:
        return "not in this run (--limit)"
    if unplanned:
        return "nothing, there was no plan"
    if outcome is None:
        return "its wave did not start" if name in due else "nothing to do"
    changes = count_of(outcome.changes, check_mode) if outcome.changes else ""
    if not outcome.ok:
        return f"FAILED in '{outcome.task}'" + (f" after {changes}" if changes else ", nothing changed before")
    return changes or "nothing to do any more"


def _told(name: str, outcome: Outcome) -> list[str]:
    message = str(outcome.message)
    told = [] if outcome.ok else wrapped(message if message.startswith(name) else f"{name}: {message}")
    return told + [line for note in outcome.notes for line in wrapped(f"{name}: {note}")]


def _next(due: Collection[str], outcomes: Mapping[str, tuple[Outcome, Any]], check_mode: bool) -> list[str]:
    failed = [name for name, (outcome, _rest) in outcomes.items() if not outcome.ok]
    waiting = [name for name in due if name not in outcomes]
    steps = []
    if failed:
        steps.append(f"Mend what failed on {', '.join(failed)}, and run this again: it goes on where it stopped.")
    if waiting:
        steps.append(f"No wave was started for {', '.join(waiting)}; the next run does.")
    lines = [line for number, step in enumerate(steps, start=1) for line in wrapped(f"{number}. {step}")]
    if check_mode:
        lines.append("Check mode: nothing was changed.")
    elif not steps:
        lines.append("Nothing is left to do.")
    return lines
