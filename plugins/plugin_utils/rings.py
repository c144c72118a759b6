# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Rings: clients are told their server a few group policies at a time, and some machines prove each ring before the next one begins.

A ring has a name, group policies with the server that each is to name, and a few machines of the inventory that the policies reach. What is
wrong with rings is found before anything is touched, every problem at once.
"""

from __future__ import annotations

import dataclasses
import datetime
import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from .client import against_alternate
from .hierarchy import names_in_words
from .rollout import count_of, table, wrapped
from .state import Refusal
from .update_url import read_url, refuse_other_server

CLIENTS, SERVERS = "wsus_clients", "wsus_servers"
PROBLEMS_WITH_A_HINT = 20  # each takes a look at every name, and rings can be wrong throughout
NAMES_TO_COMPARE = 1000  # letter by letter, which takes its time
HINTS = "docs/troubleshooting.md (A ring that fails)"

_RING = ("name", "policies", "hosts")
_POLICY = ("gpo", "domain", "domain_controller", "server", "url", "alternate_url")


class RingsError(Exception):
    """Rings that cannot be, with every problem as a sentence."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(" ".join(problems))
        self.problems = tuple(problems)


@dataclasses.dataclass(frozen=True)
class Policy:
    """A group policy and what it is to name. server: a host of the inventory; url: given by hand, instead or because it is known by another
    name. domain_controller: the one to write to."""

    gpo: str
    domain: str | None = None
    domain_controller: str | None = None
    server: str | None = None
    url: str | None = None
    alternate_url: str | None = None

    @property
    def called(self) -> str:
        """How it is called in messages."""
        return f"{self.gpo} ({self.domain})" if self.domain else self.gpo

    @property
    def target(self) -> tuple[str, str]:
        """What it names, to be compared."""
        return self.server or "", (self.url or "").removesuffix("/").casefold()

    @property
    def names(self) -> str:
        """What it is to name, in words."""
        return self.url or self.server or ""


@dataclasses.dataclass(frozen=True)
class Ring:
    """A ring: its policies in the order in which they are set, and the machines that prove it."""

    name: str
    policies: tuple[Policy, ...]
    hosts: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Told:
    """What a policy tells, once its server was looked at. url: None where there is none yet. problem: why nobody can be told; notes."""

    policy: Policy
    url: str | None
    problem: str | None = None
    notes: tuple[str, ...] = ()


# --- reading -------------------------------------------------------------------------------------------------------------


def read_rings(
    given: Any, clients: Sequence[str], servers: Collection[str], inventory: Collection[str] = (), policy_host: str = ""
) -> tuple[Ring, ...]:
    """The rings of a run. CLIENTS and SERVERS are the hosts of those groups, INVENTORY every host; POLICY_HOST is where policies are set.

    Raises RingsError with every problem there is.
    """
    if not isinstance(given, (list, tuple)):
        raise RingsError([f"wsus_rings is no list of rings but {_kind(given)}."])
    if not given:
        raise RingsError(["wsus_rings has no ring: each has a name, policies, and hosts of group wsus_clients that prove it."])
    problems: list[str] = []
    rings = [_ring(one, number, servers, problems) for number, one in enumerate(given, start=1)]
    problems += _names_given_twice(rings)
    problems += _wrong_hosts(rings, clients, servers)
    problems += _two_servers([(ring.name, policy) for ring in rings for policy in ring.policies])
    problems += _wrong_policy_host(policy_host, inventory)
    if problems:
        raise RingsError(problems)
    return tuple(rings)


def read_policies(given: Any, servers: Collection[str], policy_host: str = "", inventory: Collection[str] = ()) -> tuple[Policy, ...]:
    """The group policies of a set of machines that is no ring of a run. Raises RingsError with every problem there is."""
    problems: list[str] = []
    policies = _policies(given, "clients_policies", servers, problems) if given else ()
    problems += _two_servers([("clients_policies", policy) for policy in policies])
    if policies:
        problems += _wrong_policy_host(policy_host, inventory, "clients_policy_host")
    if problems:
        raise RingsError(problems)
    return policies


def _ring(given: Any, number: int, servers: Collection[str], problems: list[str]) -> Ring:
    if not isinstance(given, Mapping):
        problems.append(f"Ring number {number} is {_kind(given)}, not name, policies and hosts.")
        return Ring(f"number {number}", (), ())
    name = _text(given.get("name"))
    where = f"Ring '{name}'" if name else f"Ring number {number}"
    if name is None:
        problems.append(f"{where} has no name.")
    problems += _unknown_keys(given, _RING, where)
    return Ring(name or f"number {number}", _policies(given.get("policies"), where, servers, problems), _hosts(given.get("hosts"), where, problems))


def _policies(given: Any, where: str, servers: Collection[str], problems: list[str]) -> tuple[Policy, ...]:
    if not isinstance(given, (list, tuple)) or not given:
        problems.append(
            f"{where} has no policy: name the group policies that tell its clients, as a list, each with gpo and server."
            if not given
            else f"{where}: policies is {_kind(given)}, not a list of group policies."
        )
        return ()
    found = []
    for number, one in enumerate(given, start=1):
        if not isinstance(one, Mapping):
            problems.append(f"{where}: policy number {number} is {_kind(one)}, not gpo and server.")
            continue
        policy = _policy(one, f"{where}: policy number {number}", where, servers, problems)
        if policy:
            found.append(policy)
    return tuple(found)


def _policy(given: Mapping[str, Any], unnamed: str, where: str, servers: Collection[str], problems: list[str]) -> Policy | None:
    values = {key: _text(given.get(key)) for key in _POLICY}
    gpo = values["gpo"]
    what = f"{where}: policy '{gpo}'" if gpo else unnamed
    problems += _unknown_keys(given, _POLICY, what)
    problems += [f"{what}: {key} is {_kind(given[key])}, not text." for key in _POLICY if given.get(key) and not isinstance(given[key], str)]
    if gpo is None:
        problems.append(f"{what} has no gpo, the group policy's name.")
    server, url = values["server"], values["url"]
    if server is None and url is None:
        problems.append(f"{what} names no server: give server (a host of group {SERVERS}), or url.")
    if server is not None and server not in servers:
        hint = _meant(server, servers) if len(problems) < PROBLEMS_WITH_A_HINT else ""
        problems.append(f"{what}: the server {server} is not in group {SERVERS}{hint}. Give one that is, or its url.")
    try:
        if url is not None:
            read_url(url, f"{what}: its url")
        against_alternate(values["alternate_url"])
    except Refusal as refusal:
        said = str(refusal)
        problems.append(said if said.startswith(what) else f"{what}: {said}")
    return Policy(gpo, values["domain"], values["domain_controller"], server, url, values["alternate_url"]) if gpo else None


def _hosts(given: Any, where: str, problems: list[str]) -> tuple[str, ...]:
    if not given:
        problems.append(f"{where} has no hosts: name a few machines of group {CLIENTS} that its policies reach. They prove it.")
        return ()
    if not isinstance(given, (list, tuple)):
        problems.append(f"{where}: hosts is {_kind(given)}, not a list of inventory names.")
        return ()
    wrong = [one for one in given if _text(one) is None]
    if wrong:
        problems.append(f"{where}: hosts has {_kind(wrong[0])} in it, not an inventory name.")
    return tuple(str(one) for one in given if _text(one) is not None)


def _unknown_keys(given: Mapping[str, Any], known: Sequence[str], what: str) -> Iterator[str]:
    unknown = [str(key) for key in given if key not in known]
    if unknown:
        yield f"{what} has {names_in_words(unknown)}, which is unknown here; there are {', '.join(known)}."


def _names_given_twice(rings: Sequence[Ring]) -> Iterator[str]:
    by_name: dict[str, list[str]] = {}
    for ring in rings:
        by_name.setdefault(ring.name.casefold(), []).append(ring.name)
    for names in by_name.values():
        if len(names) > 1:
            yield f"{len(names)} rings are called '{names[0]}': give each a name of its own."


def _wrong_hosts(rings: Sequence[Ring], clients: Sequence[str], servers: Collection[str]) -> Iterator[str]:
    known, serving = frozenset(clients), frozenset(servers)
    rings_of: dict[str, list[str]] = {}
    sought = 0
    for ring in rings:
        where = f"Ring '{ring.name}'"
        for host in ring.hosts:
            rings_of.setdefault(host, []).append(ring.name)
        outside = list(dict.fromkeys(host for host in ring.hosts if host not in known))
        if outside:
            hint = _meant(outside[0], clients) if sought < PROBLEMS_WITH_A_HINT else ""
            sought += 1
            yield f"{where}: {names_in_words(outside)} {_is_or_are(outside)} not in group {CLIENTS}{hint}."
        both = list(dict.fromkeys(host for host in ring.hosts if host in serving))
        if both:
            yield (
                f"{where}: {names_in_words(both)} {_is_or_are(both)} in group {SERVERS}: a WSUS server reaches itself in ways that no client does, "
                "and proves nothing. Name machines that are clients only."
            )
    again: dict[tuple[str, ...], list[str]] = {}
    for host, names in rings_of.items():
        if len(names) > 1:
            again.setdefault(tuple(names), []).append(host)
    for in_rings, hosts in again.items():
        if len(set(in_rings)) == 1:
            yield f"Ring '{in_rings[0]}' names {names_in_words(hosts)} more than once."
        else:
            rest = names_in_words([f"'{name}'" for name in dict.fromkeys(in_rings)])
            yield f"{names_in_words(hosts)} {_is_or_are(hosts)} in the rings {rest}: a machine proves one of them."


def _two_servers(named: Sequence[tuple[str, Policy]]) -> Iterator[str]:
    """The same policy for two servers, or twice in one ring. Names of policies and domains have no case; a domain ends without its dot, and one
    that is not named, or named by its short name only, may be any that fits."""
    by_name: dict[str, list[tuple[str, Policy]]] = {}
    for ring, policy in named:
        if policy.names:  # one that names nothing has been told already
            by_name.setdefault(policy.gpo.casefold(), []).append((ring, policy))
    for entries in by_name.values():
        if len(entries) > 1:
            yield from _same_name(entries)


def _same_name(entries: Sequence[tuple[str, Policy]]) -> Iterator[str]:
    by_domain: dict[str, list[tuple[str, Policy]]] = {}
    for ring, policy in entries:
        by_domain.setdefault(_domain(policy), []).append((ring, policy))
    for same in by_domain.values():
        targets = list(dict.fromkeys(policy.target for _ring_name, policy in same))
        if len(targets) > 1:
            yield f"{_said_by(same)}: one policy names one server."
            continue
        rings = [ring for ring, _policy_of in same]
        for ring in dict.fromkeys(ring for ring in rings if rings.count(ring) > 1):
            yield f"Ring '{ring}' names the policy '{same[0][1].called}' more than once."
    # What was said of one domain above is not said again: here it is about two that may be one.
    by_label: dict[str, list[str]] = {}
    for domain in by_domain:
        by_label.setdefault(domain.split(".")[0], []).append(domain)
    for domain in [short for short in by_domain if "." not in short]:
        same = by_domain[domain]
        others = [key for key in (by_label[domain] if domain else by_domain) if key != domain]
        unlike = [pair for key in others for pair in by_domain[key] if pair[1].target != same[0][1].target]
        if unlike:
            yield f"{_said_by([same[0], *unlike])}: they may be one policy, which names one server. Give each its domain, in full."


def _said_by(entries: Sequence[tuple[str, Policy]]) -> str:
    by_target: dict[tuple[str, ...], tuple[str, Policy]] = {}
    for entry in entries:
        by_target.setdefault((*entry[1].target, _domain(entry[1])), entry)
    said = [f"{policy.names} (in '{ring}'{', domain ' + policy.domain if policy.domain else ''})" for ring, policy in by_target.values()]
    return f"The policy '{entries[0][1].gpo}' is to name {names_in_words(said)}"


def _domain(policy: Policy) -> str:
    return (policy.domain or "").rstrip(".").casefold()


def _wrong_policy_host(policy_host: str, inventory: Collection[str], variable: str = "wsus_policy_host") -> Iterator[str]:
    if not policy_host:
        yield f"{variable} is not given: the host of the inventory that has the Group Policy cmdlets, best a domain controller."
    elif inventory and policy_host not in inventory:
        yield f"{variable} is {policy_host}, which is not in the inventory{_meant(policy_host, inventory)}."


def _meant(wanted: str, known: Collection[str]) -> str:
    """What may be meant by a name that is not known: another spelling, the whole name of a short one, else what is near, among not too many."""
    folded = {name.casefold(): name for name in known}
    key = wanted.casefold()
    near = [key] if key in folded else [name for name in folded if name.split(".")[0] == key.split(".")[0]][:3]
    if not near and len(folded) <= NAMES_TO_COMPARE:
        near = difflib.get_close_matches(key, list(folded))
    return f" (did you mean {names_in_words([folded[each] for each in near], 'or')}?)" if near else ""


def _text(value: Any) -> str | None:
    return str(value).strip() or None if isinstance(value, str) else None


def _kind(value: Any) -> str:
    kinds = ((bool, "yes or no"), (str, "text"), (Mapping, "a mapping"), ((list, tuple), "a list"), ((int, float), "a number"))
    return "nothing" if value is None else next((words for kind, words in kinds if isinstance(value, kind)), "something else")


def _is_or_are(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


# --- what is told --------------------------------------------------------------------------------------------------------


def told_by(policy: Policy, seen: Mapping[str, Mapping[str, Any]], now: datetime.datetime) -> Told:
    """What a policy tells. SEEN: results of wsus_server_info, failed or not, by server. NOW is aware."""
    if policy.server is None:
        return Told(policy, policy.url)
    result = seen.get(policy.server) or {}
    state = result.get("state")
    if not state:
        why = str(result.get("msg") or "it gave no reason").removeprefix(f"{policy.server}: ")
        return Told(policy, policy.url, f"The server {policy.server} could not be looked at: {why.rstrip('. ')}.")
    url = policy.url or result.get("url")
    if not url:
        said = f"The server {policy.server} has no HTTPS yet (it stands at: {result.get('standing')}), so nobody can be told to come over it."
        return Told(policy, None, f"{said} Take it there first: securepatch.wsus.rollout.")
    try:
        return Told(policy, url, None, refuse_other_server(read_url(url, f"The URL of {policy.server}"), state, now))
    except Refusal as refusal:
        return Told(policy, url, str(refusal))


# --- the plan ------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class RingsPlan:
    """The rings in order; by ring what its policies tell; the machines that prove each in this run, without rings that have none in it; the
    servers to look at; the lines to show."""

    rings: tuple[Ring, ...]
    told: tuple[tuple[Told, ...], ...]
    in_run: tuple[tuple[str, ...], ...]
    servers: tuple[str, ...]
    lines: tuple[str, ...]

    @property
    def waves(self) -> list[list[str]]:
        """The machines of each ring that is in this run, in order."""
        return [list(hosts) for hosts in self.in_run if hosts]


def plan_rings(
    rings: Sequence[Ring], clients: Sequence[str], only: Collection[str], seen: Mapping[str, Mapping[str, Any]], now: datetime.datetime
) -> RingsPlan:
    """Plan a run over rings that were read. ONLY: the hosts of this run, in any order. SEEN: as told_by takes it."""
    wanted = frozenset(only)
    in_run = tuple(tuple(host for host in ring.hosts if host in wanted) for ring in rings)
    # A ring that is not in this run is not asked for, and so its servers are not looked at.
    told = tuple(
        tuple(told_by(policy, seen, now) if hosts else Told(policy, policy.url) for policy in ring.policies)
        for ring, hosts in zip(rings, in_run, strict=True)
    )
    servers = dict.fromkeys(policy.server for ring, hosts in zip(rings, in_run, strict=True) if hosts for policy in ring.policies if policy.server)
    return RingsPlan(tuple(rings), told, in_run, tuple(servers), tuple(_plan_lines(rings, told, in_run, clients)))


def _plan_lines(rings: Sequence[Ring], told: Sequence[Sequence[Told]], in_run: Sequence[Sequence[str]], clients: Sequence[str]) -> Iterator[str]:
    proving = sum(len(ring.hosts) for ring in rings)
    rest = len(clients) - proving
    yield f"{len(rings)} {'ring' if len(rings) == 1 else 'rings'}, proved on {proving} of the {len(clients)} clients in group {CLIENTS}."
    if rest > 0:
        yield f"The other {rest} are not touched: their group policies tell them."
    yield ""
    rows = [("RING", "POLICIES", "PROVED ON", "WHAT THEY ARE TOLD")]
    for ring, tells, hosts in zip(rings, told, in_run, strict=True):
        urls = names_in_words(list(dict.fromkeys(each.url or f"(no URL of {each.policy.server} yet)" for each in tells)))
        rows.append((ring.name, _called(ring), names_in_words(hosts or ring.hosts), urls if hosts else "not in this run (--limit): still to do"))
    yield from table(rows)
    blocked = [(ring, each) for ring, tells in zip(rings, told, strict=True) for each in tells if each.problem]
    if blocked:
        yield ""
    for ring, each in blocked:
        yield from wrapped(f"BLOCKED: {ring.name}, {each.policy.called}: {each.problem}")
    if not any(in_run):
        yield ""
        yield "No ring has a machine in this run (--limit): nothing is done."


def _called(ring: Ring) -> str:
    return names_in_words([policy.called for policy in ring.policies])


# --- the result ----------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Proof:
    """How it went on one machine: well or not, in which task and why not; what was changed, by it or for its ring."""

    ok: bool
    task: str | None = None
    message: str | None = None
    changes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def result_lines(rings: Sequence[Ring], in_run: Sequence[Sequence[str]], proofs: Mapping[str, Proof], *, check_mode: bool) -> list[str]:
    """The table at the end: every ring with what happened, why one failed, and what to do next. PROOFS: by machine."""
    rows = [("RING", "POLICIES", "HOSTS", "WOULD HAPPEN" if check_mode else "WHAT HAPPENED")]
    rows += [
        (ring.name, _called(ring), names_in_words(hosts or ring.hosts), _happened(hosts, proofs, check_mode))
        for ring, hosts in zip(rings, in_run, strict=True)
    ]
    lines = table(rows)
    if check_mode:
        for ring, hosts in zip(rings, in_run, strict=True):
            changes = _changes(hosts, proofs)
            if changes:
                lines += ["", f"{ring.name}:", *(line for change in changes for line in wrapped(f"-  {change}"))]
    told = [line for host, proof in proofs.items() for line in _said_of(host, proof)]
    return [*lines, "", *told, *([""] if told else []), *_next_steps(rings, in_run, proofs, check_mode)]


def _happened(hosts: Sequence[str], proofs: Mapping[str, Proof], check_mode: bool) -> str:
    if not hosts:
        return "not in this run (--limit): still to do"
    own = {host: proofs[host] for host in hosts if host in proofs}
    if not own:
        return "not begun"
    changes = _changes(hosts, proofs)
    failed = [host for host, proof in own.items() if not proof.ok]
    if failed:
        where = list(dict.fromkeys(f"'{own[host].task}'" for host in failed))
        return f"FAILED on {names_in_words(failed)} in {names_in_words(where)}, {count_of(changes, check_mode) if changes else 'nothing changed'}"
    gone = [host for host in hosts if host not in own]
    if gone:
        return f"FAILED: {names_in_words(gone)} left the run, {count_of(changes, check_mode) if changes else 'nothing changed'}"
    if check_mode:
        return f"{count_of(changes, check_mode) if changes else 'nothing to change'}; not searched"
    return f"proved, {count_of(changes, check_mode) if changes else 'nothing to change'}"


def _changes(hosts: Sequence[str], proofs: Mapping[str, Proof]) -> list[str]:
    return [change for host in hosts if host in proofs for change in proofs[host].changes]


def _said_of(host: str, proof: Proof) -> Iterator[str]:
    if not proof.ok:
        yield from wrapped(f"{host}: {str(proof.message).removeprefix(f'{host}: ')}")
    for note in proof.notes:
        yield from wrapped(f"{host}: {note}")


def _next_steps(rings: Sequence[Ring], in_run: Sequence[Sequence[str]], proofs: Mapping[str, Proof], check_mode: bool) -> list[str]:
    pairs = list(zip(rings, in_run, strict=True))
    begun = [(ring, hosts) for ring, hosts in pairs if any(host in proofs for host in hosts)]
    failed = [ring.name for ring, hosts in begun if not all(host in proofs and proofs[host].ok for host in hosts)]
    waiting = [ring.name for ring, hosts in pairs if hosts and not any(host in proofs for host in hosts)]
    outside = [ring.name for ring, hosts in pairs if not hosts]
    steps = []
    if failed:
        steps.append(f"See what is in the way of {names_in_words(failed)}: {HINTS}. Mend it, and run this again: it goes on there.")
    if waiting:
        steps.append(f"Not begun, because a ring before failed: {names_in_words(waiting)}.")
    if outside:
        steps.append(f"Run this for {names_in_words(outside)}: this run was limited to others.")
    lines = [line for number, step in enumerate(steps, start=1) for line in wrapped(f"{number}. {step}")]
    if check_mode:
        lines += wrapped("Check mode: nothing was changed, no machine refreshed its policies, and none searched: only a run proves a ring.")
    elif not steps:
        lines += wrapped(
            "Every ring is proved. The other clients follow with their next refresh of policies and their next search; who still comes over HTTP is "
            "seen with securepatch.wsus.wsus_traffic_info. Require TLS only then."
        )
    return lines
