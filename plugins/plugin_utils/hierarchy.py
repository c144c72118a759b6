# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The tree of WSUS servers: what is wrong with it, and the waves in which it is worked through.

The inventory says who synchronizes from whom (C(wsus_upstream), C(wsus_upstream_fqdn), C(wsus_fqdn)); where a server was observed,
what it says itself is held against that. Nothing here recurses: a chain of any length works.
"""

from __future__ import annotations

import difflib
import ipaddress
from collections import Counter
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from .state import State, is_fqdn, same_name

Strategy = Literal["bottom_up", "top_down"]
"""The order of a rollout: each server after its downstream servers (phased), or after its upstream (in one window) [BP]."""

LOCAL_SQL_HOSTS = ("microsoft##wid", ".", "(local)", "localhost")

NAMES_IN_A_PROBLEM = 6
CIRCLE_IN_FULL = 20
CLOSE_MATCHES_SOUGHT = 20  # each takes a look at every name, and a tree can be wrong throughout


@dataclass(frozen=True)
class Observed:
    """What a server said of itself. A field is None where it could not be read."""

    fqdn: str | None = None
    server_id: str | None = None
    sql_server: str | None = None
    microsoft_update: bool | None = None
    upstream_name: str | None = None

    @classmethod
    def from_state(cls, state: State) -> Observed:
        """What the hierarchy needs of a state document; parts that were not readable are None."""
        api, setup = state["api"], state["setup"]
        source = api["synchronization"] if api else None
        return cls(
            fqdn=state["computer"].get("fqdn") or None,
            server_id=api["server_id"] if api else None,
            sql_server=setup["sql_server"] if setup else None,
            microsoft_update=source["microsoft_update"] if source else None,
            upstream_name=source["upstream_name"] if source else None,
        )


@dataclass(frozen=True)
class Server:
    """A server as the inventory has it; C(observed) is None where nobody could, or was to, look at it."""

    name: str
    upstream: str | None = None
    upstream_fqdn: str | None = None
    fqdn: str | None = None
    observed: Observed | None = None


class HierarchyError(ValueError):
    """The tree cannot be worked through. C(problems) has all there is to say, a sentence each."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True)
class Hierarchy:
    """A tree (or several) without a fault, as C(build) makes it. Names are inventory names, always in the order of the inventory.

    The methods raise KeyError for a name that is not in it.
    """

    servers: Mapping[str, Server]
    tops: tuple[str, ...]
    _downstream: Mapping[str, tuple[str, ...]]
    _depths: Mapping[str, int]

    def upstream(self, name: str) -> str | None:
        """The server of the inventory that this one synchronizes from, None for a top."""
        return self.servers[name].upstream

    def downstream(self, name: str) -> tuple[str, ...]:
        """The servers that synchronize from this one directly."""
        return self._downstream[name]

    def depth(self, name: str) -> int:
        """How many servers of the inventory are above this one: 0 for a top."""
        return self._depths[name]


def read(names: Iterable[str], hostvars: Mapping[str, Mapping[str, object]], observed: Mapping[str, Observed] | None = None) -> list[Server]:
    """The servers with these inventory names, as their host variables describe them; a host without variables is a top.

    Of every host only the three variables of the hierarchy are asked for, because each may be a template. Empty means not set.
    Raises HierarchyError where one is neither text nor a number.
    """
    servers: list[Server] = []
    problems: list[str] = []
    for name in names:
        variables = hostvars[name] if name in hostvars else {}  # noqa: SIM401 - HostVars has no KeyError for an unknown host
        values: dict[str, str | None] = {}
        for variable in ("wsus_upstream", "wsus_upstream_fqdn", "wsus_fqdn"):
            value = variables.get(variable)
            # An INI inventory makes a number of a host that is called like one. What is undefined must not even be printed.
            if value is not None and (isinstance(value, bool) or not isinstance(value, (str, int))):
                problems.append(f"{variable} of {name} is not a name; give one as text (in a template, every variable has to be defined).")
            else:
                values[variable] = None if value is None else str(value).strip() or None
        servers.append(
            Server(
                name=name,
                upstream=values.get("wsus_upstream"),
                upstream_fqdn=values.get("wsus_upstream_fqdn"),
                fqdn=values.get("wsus_fqdn"),
                observed=observed.get(name) if observed else None,
            )
        )
    if problems:
        raise HierarchyError(problems)
    return servers


def build(servers: Iterable[Server]) -> Hierarchy:
    """The hierarchy of these servers, which come in the order of the inventory.

    Raises HierarchyError, with every problem, for: an upstream that is unknown, or that is the server itself; a circle; one machine
    under two names; two front-ends of one database (both have the same server id [API]); an upstream that is not the one the server
    synchronizes from; names that cannot be used. What was not observed is not held against anybody.
    """
    listed = tuple(servers)
    by_name = {server.name: server for server in listed}
    problems = [
        *_listed_twice(listed, by_name),
        *_unusable_settings(listed),
        *_unknown_upstreams(listed, by_name),
        *_circles(by_name),
        *_one_machine_twice(listed),
        *_other_sources(listed, by_name),
    ]
    if problems:
        raise HierarchyError(problems)

    downstream: dict[str, list[str]] = {name: [] for name in by_name}
    for server in listed:
        if server.upstream:
            downstream[server.upstream].append(server.name)
    tops = tuple(server.name for server in listed if not server.upstream)
    depths = dict.fromkeys(tops, 0)
    waiting = list(tops)
    while waiting:
        name = waiting.pop()
        for lower in downstream[name]:
            depths[lower] = depths[name] + 1
            waiting.append(lower)
    return Hierarchy(by_name, tops, {name: tuple(lower) for name, lower in downstream.items()}, depths)


def flat(names: Iterable[str]) -> Hierarchy:
    """These servers without anybody above anybody: what is left of a tree that has faults."""
    servers = {name: Server(name) for name in names}
    return Hierarchy(servers, tuple(servers), dict.fromkeys(servers, ()), dict.fromkeys(servers, 0))


def waves(
    hierarchy: Hierarchy, strategy: Strategy = "bottom_up", batch: int | str | None = None, only: Collection[str] | None = None
) -> list[list[str]]:
    """The waves, first to last, each the names of the servers at one depth: the deepest first, or the tops first.

    C(only) leaves out all other servers, after the waves were found on the whole tree; waves without a server vanish. C(batch) cuts
    what is left of a wave into smaller ones: a number of servers, or a percentage of the wave, rounded down but at least 1; 0, None
    and empty text leave waves whole. Raises ValueError for another strategy or batch.
    """
    if strategy not in get_args(Strategy):  # it comes from a playbook
        raise ValueError(f'The strategy (wsus_strategy) is "{strategy}"; it may be {" or ".join(get_args(Strategy))}.')
    number, percent = _parse_batch(batch)
    wanted: Container[str] = hierarchy.servers if only is None else frozenset(only)
    by_depth: dict[int, list[str]] = {}
    for name in hierarchy.servers:
        if name in wanted:
            by_depth.setdefault(hierarchy.depth(name), []).append(name)
    found: list[list[str]] = []
    for depth in sorted(by_depth, reverse=strategy == "bottom_up"):
        wave = by_depth[depth]
        size = number or max(1, len(wave) * percent // 100)
        found.extend(wave[start : start + size] for start in range(0, len(wave), size))
    return found


def tree_lines(hierarchy: Hierarchy, note: Mapping[str, str]) -> list[str]:
    """The tree as text, a line for each server, downstream servers below their upstream; notes (by name) stand in one column."""
    lines: list[tuple[str, str]] = []
    waiting = [(name, "", "") for name in reversed(hierarchy.tops)]
    while waiting:
        name, branch, indent = waiting.pop()
        lines.append((branch + name, note.get(name, "")))
        lower = hierarchy.downstream(name)
        for each in reversed(lower):
            is_last = each == lower[-1]
            waiting.append((each, indent + ("└─ " if is_last else "├─ "), indent + ("   " if is_last else "│  ")))
    width = max((len(text) for text, remark in lines), default=0)
    return [f"{text:<{width}}  {remark}" if remark else text for text, remark in lines]


def _parse_batch(batch: int | str | None) -> tuple[int, int]:
    """A batch as a number of servers (0: not given), and a percentage of the wave."""
    text = "" if batch is None else str(batch).strip()
    digits = text.removesuffix("%").rstrip()
    if not text:
        return 0, 100
    if digits.isascii() and digits.isdigit():
        if digits == text:
            return int(digits), 100
        if 1 <= int(digits) <= 100:
            return 0, int(digits)
    raise ValueError(
        f'The batch (wsus_batch) is "{batch}"; it may be a number of servers such as 5, a percentage of a wave such as 25% (1% to 100%), '
        "or 0 for whole waves."
    )


def _listed_twice(servers: Sequence[Server], by_name: Mapping[str, Server]) -> Iterator[str]:
    if len(servers) != len(by_name):
        twice = [name for name, count in Counter(server.name for server in servers).items() if count > 1]
        yield f"{names_in_words(twice)} stand in the list of servers more than once; name each server once."


def _unusable_settings(servers: Sequence[Server]) -> Iterator[str]:
    """Names that TLS cannot use (it needs FQDNs [CFG]), and an upstream that is said in two ways, or is not outside of the inventory."""
    known = _by_fqdn(servers)
    for server in servers:
        for variable, value in (("wsus_fqdn", server.fqdn), ("wsus_upstream_fqdn", server.upstream_fqdn)):
            if value and (not is_fqdn(value) or _is_address(value)):
                yield f'{variable} of {server.name} is "{value}", which is not a fully qualified domain name; give one, because TLS needs it.'
        if server.upstream and server.upstream_fqdn:
            yield (
                f"{server.name} has both wsus_upstream ({server.upstream}) and wsus_upstream_fqdn ({server.upstream_fqdn}); "
                "keep wsus_upstream for a server of the inventory, wsus_upstream_fqdn for one outside of it."
            )
        elif server.upstream_fqdn:
            inside = known.get(_key(server.upstream_fqdn))
            if inside == server.name:
                yield f"{server.name} is its own upstream (wsus_upstream_fqdn); name the server that it synchronizes from."
            elif inside:
                yield (
                    f"wsus_upstream_fqdn of {server.name} is {server.upstream_fqdn}, and that is {inside}, which is in the inventory; "
                    f"set wsus_upstream: {inside} instead."
                )
        if server.upstream and server.upstream == server.name:
            yield f"{server.name} is its own upstream (wsus_upstream); name the server that it synchronizes from, or none for the top."


def _unknown_upstreams(servers: Sequence[Server], by_name: Mapping[str, Server]) -> Iterator[str]:
    unknown: dict[str, list[str]] = {}
    for server in servers:
        if server.upstream and server.upstream not in by_name:
            unknown.setdefault(server.upstream, []).append(server.name)
    known = _by_fqdn(servers)
    folded = {name.casefold(): name for name in by_name}
    for number, (upstream, downstream) in enumerate(unknown.items()):
        meant = known.get(_key(upstream)) or folded.get(upstream.casefold())
        close = [meant] if meant else []
        if not close and number < CLOSE_MATCHES_SOUGHT:
            close = [folded[match] for match in difflib.get_close_matches(upstream.casefold(), folded)]
        hint = f" (did you mean {names_in_words(close, 'or')}?)" if close else ""
        yield (
            f'wsus_upstream of {names_in_words(downstream)} is "{upstream}", which is not among the WSUS servers of the inventory{hint}; '
            "correct it, add that server to the group, or use wsus_upstream_fqdn for a server outside of the inventory."
        )


def _circles(by_name: Mapping[str, Server]) -> Iterator[str]:
    done: set[str] = set()
    for start in by_name:
        way: dict[str, int] = {}
        name = start
        while name in by_name and name not in done and name not in way:
            way[name] = len(way)
            name = by_name[name].upstream or ""
        # A circle of one has its own words.
        if name in way and by_name[name].upstream != name:
            circle = list(way)[way[name] :]
            if len(circle) > CIRCLE_IN_FULL:
                circle[CIRCLE_IN_FULL // 2 : -CIRCLE_IN_FULL // 2] = [f"({len(circle) - CIRCLE_IN_FULL} more)"]
            yield (
                f"{' -> '.join([*circle, name])} is a circle (each has the next as its wsus_upstream); "
                "correct the wsus_upstream of the one that is wrong, or leave it out for the top."
            )
        done.update(way)


def _one_machine_twice(servers: Sequence[Server]) -> Iterator[str]:
    """One machine under two names, two front-ends of one database, and two machines that would go by one name."""
    reported: set[tuple[str, ...]] = set()

    for group in _groups((server, server.observed.fqdn) for server in servers if server.observed):
        ids = [server.observed.server_id for server in group if server.observed and server.observed.server_id]
        # As many ids as servers: machines of their own that Windows calls the same (workgroups); wsus_fqdn can tell them apart.
        if len({_key(each) for each in ids}) < len(group):
            names = tuple(server.name for server in group)
            reported.add(names)
            fqdn = group[0].observed.fqdn if group[0].observed else None
            yield f"{names_in_words(names)} are one machine: each reports the name {fqdn}; keep one of them in the inventory."

    for group in _groups((server, server.observed.server_id) for server in servers if server.observed):
        names = tuple(server.name for server in group)
        if names not in reported:
            reported.add(names)
            yield _same_server_id(names, [server.observed for server in group if server.observed])

    for group in _groups((server, _fqdn(server)) for server in servers):
        names = tuple(server.name for server in group)
        if names not in reported:
            yield f"{names_in_words(names)} would all go by the name {_fqdn(group[0])}; give each a wsus_fqdn of its own, or keep one of them."


def _same_server_id(names: Sequence[str], observed: Sequence[Observed]) -> str:
    """Two front-ends of one database have one server id [API]; so have a machine that is asked twice, and a copy and its original."""
    start = f"{names_in_words(names)} have the same WSUS server id ({observed[0].server_id})"
    fqdns = {_key(each.fqdn) for each in observed if each.fqdn}
    databases = {_database(each) for each in observed}
    if len(fqdns) == len(observed) and None not in databases:
        if len(databases) == 1:
            return (
                f"{start} and one database ({next(each.sql_server for each in observed)}): front-ends that share a database are not "
                "supported; keep one of them in the inventory and take the others to HTTPS by hand."
            )
        if len(databases) == len(observed):
            return (
                f"{start} but databases of their own, so they are copies of one installation, which upstreams and clients take for one "
                "server; give each its own id (install WSUS anew on the copies), or keep one of them in the inventory."
            )
    return f"{start}: they are one machine under several names, or front-ends of one database; keep one of them in the inventory."


def _database(observed: Observed) -> tuple[str, str] | None:
    """The machine (first label) and instance where a server's database is, None where that is not known.

    WSUS always calls it SUSDB, so the instance tells which one it is. A port does not count.
    """
    if not observed.sql_server:
        return None
    host, *instance = observed.sql_server.casefold().partition(",")[0].split("\\", 1)
    if host in LOCAL_SQL_HOSTS:
        if not observed.fqdn:
            return None
        host = observed.fqdn.casefold()
    return host if _is_address(host) else host.split(".")[0], "".join(instance)


def _other_sources(servers: Sequence[Server], by_name: Mapping[str, Server]) -> Iterator[str]:
    """Servers that synchronize from something else than the inventory says. Where that says nothing usable, it has a problem already."""
    known = _by_fqdn(servers)
    for server in servers:
        contradictory = server.upstream and server.upstream_fqdn
        unusable = server.upstream and (server.upstream == server.name or server.upstream not in by_name)
        if server.observed and not contradictory and not unusable:
            problem = _other_source(server, server.observed, by_name, known)
            if problem:
                yield problem


def _other_source(server: Server, observed: Observed, by_name: Mapping[str, Server], known: Mapping[str, str]) -> str | None:
    variable, said = ("wsus_upstream", server.upstream) if server.upstream else ("wsus_upstream_fqdn", server.upstream_fqdn)
    actual = observed.upstream_name
    remedy = f"correct {variable}, or move the server there first (wsus_downstream_sync with reparent)"
    if observed.microsoft_update:
        return f"{server.name} synchronizes from Microsoft Update, not from {said} as {variable} says; {remedy}." if said else None
    if not actual:
        return None
    inside = known.get(_key(actual))
    if not said:
        remedy = f"set wsus_upstream: {inside}" if inside else "set wsus_upstream, or wsus_upstream_fqdn for one outside of the inventory"
        return f"{server.name} has no upstream in the inventory but synchronizes from {actual}; {remedy}."
    if _is_known_as(by_name[said], actual, inside) if server.upstream else _same_machine(said, actual):
        return None
    if _is_address(actual):
        return (
            f"{server.name} synchronizes from the address {actual}, so whether that is {said} ({variable}) cannot be told; "
            "name the upstream by its FQDN in the server's update source first (wsus_downstream_sync with reparent)."
        )
    which = f" ({inside} in the inventory)" if inside and inside != actual else ""
    return f"{server.name} synchronizes from {actual}{which}, not from {said} as {variable} says; {remedy}."


def _is_known_as(server: Server, name: str, inside: str | None) -> bool:
    """Whether a downstream server that names its upstream so can mean this one. C(inside): which server has exactly that name."""
    if inside == server.name:
        return True
    observed = server.observed.fqdn if server.observed else None
    if any(_same_machine(fqdn, name) for fqdn in (server.fqdn, observed) if fqdn):
        return True
    if observed:
        return False
    # Windows' own name for it is not known: only what is said elsewhere can speak against it.
    return _same_machine(server.name, name) or not (server.fqdn or inside)


def _same_machine(one: str, other: str) -> bool:
    """Whether two names can mean one machine: equal, or one of them is short and equal to the other's first label."""
    if same_name(one, other):
        return True
    labels, others = _key(one).split("."), _key(other).split(".")
    return labels[0] == others[0] and min(len(labels), len(others)) == 1


def _fqdn(server: Server) -> str | None:
    """The name that a server goes by: what the inventory says, else what Windows reports, else unknown."""
    return server.fqdn or (server.observed.fqdn if server.observed else None)


def _by_fqdn(servers: Sequence[Server]) -> dict[str, str]:
    """Inventory names by every full name that they are known by; what the inventory says goes before what Windows reports."""
    known: dict[str, str] = {}
    observed = [(server.observed.fqdn if server.observed else None, server.name) for server in servers]
    for fqdn, name in [*((server.fqdn, server.name) for server in servers), *observed, *((server.name, server.name) for server in servers)]:
        if fqdn and is_fqdn(fqdn):
            known.setdefault(_key(fqdn), name)
    return known


def _groups(pairs: Iterable[tuple[Server, str | None]]) -> Iterator[list[Server]]:
    """The servers that have a value in common with another one."""
    groups: dict[str, list[Server]] = {}
    for server, value in pairs:
        if value:
            groups.setdefault(_key(value), []).append(server)
    return (group for group in groups.values() if len(group) > 1)


def _key(name: str) -> str:
    return name.rstrip(".").casefold()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def names_in_words(names: Sequence[str], conjunction: str = "and") -> str:
    """Names as a sentence has them, the first few of many."""
    if len(names) > NAMES_IN_A_PROBLEM:
        names = [*names[: NAMES_IN_A_PROBLEM - 1], f"{len(names) - NAMES_IN_A_PROBLEM + 1} more"]
    return f" {conjunction} ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
