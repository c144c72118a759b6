# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An audit as one HTML file that needs nothing else: templates, style and script stand beside this file, and are put into it. Pure otherwise.

What failed or is not known stands in the page itself. Results for the matrix, and what passed, are data that the page's script draws when it is
asked to. The page's own policy (Content-Security-Policy) allows that script and that style and nothing else.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2

from ..audit_checks import SEVERITIES
from . import drawing
from .moving import HEADS, SPARK_HEIGHT, WENT, Client, Moving, clients, moving
from .texts import clean, counted, moment, servers

HERE = Path(__file__).parent

FIRST_NAMED = 12
"""So many servers are named beside what is to be done; the matrix has all of them."""
REASONS = 10
CHANGES = 300
CERTIFICATES = 20
MOVES = 100
"""So many servers stand in the table of the move; each has its own numbers with it."""
NOT_REACHED = "not reached"
STANDINGS = (NOT_REACHED, "not a working WSUS", "HTTP", "half-way", "restart pending", "offers HTTPS", "requires TLS")
"""Where a server can stand, the farthest from requiring TLS first."""

WORDS = {
    "high": "high",
    "medium": "medium",
    "low": "low",
    "unknown": "no failure, not all known",
    "clean": "all well",
}


@dataclass(frozen=True)
class Check:
    number: int
    id: str
    title: str
    source: str
    severity: str


@dataclass(frozen=True)
class Failure:
    """What failed on one server. server_says, network_says: only where they tell more than what was seen."""

    check: Check
    severity: str
    seen: str
    mend: str
    server_says: str
    network_says: str
    disagreement: str


@dataclass(frozen=True)
class Part:
    """One server. codes: a letter for each check: h, m, l failed so badly, u not known, n does not apply, p passed, a dot where nobody looked.

    details: of what passed or does not apply: the check's number, what was seen or why, and the two views where they tell more.
    """

    number: int
    name: str
    fqdn: str
    url: str
    standing: str
    build: str
    reached: bool
    upstream: str
    certificate: Mapping[str, str]
    days: int | None
    failures: tuple[Failure, ...]
    unknown: Mapping[str, list[Check]]
    codes: str
    details: tuple[tuple[int, str, str, str], ...]
    moving: Moving | None
    moving_problem: str

    @property
    def level(self) -> str:
        return next((name for name, code in zip(drawing.LEVELS, "hmlu", strict=False) if code in self.codes), "clean")

    @property
    def counts(self) -> str:
        """Its failures in numbers, or how it stands without any."""
        numbers: dict[str, int] = {severity: sum(one.severity == severity for one in self.failures) for severity in SEVERITIES}
        return counted(numbers) or WORDS[self.level]


@dataclass
class Group:
    """A check and the servers, or the clients, on which it failed."""

    check: Check
    servers: list[Part] = field(default_factory=list)
    clients: list[Client] = field(default_factory=list)


@dataclass
class Action:
    """Something to do, once: which failures it mends."""

    mend: str
    severity: str
    groups: dict[str, Group] = field(default_factory=dict)

    @property
    def concerns(self) -> int:
        """How many servers and clients."""
        servers = {part.number for group in self.groups.values() for part in group.servers}
        return len(servers) + len({client.number for group in self.groups.values() for client in group.clients})

    @property
    def first_check(self) -> int:
        return min(group.check.number for group in self.groups.values())


def html_report(document: Mapping[str, Any]) -> str:
    """The audit as an HTML page, complete in itself. The same for the same document."""
    checks, of_clients = _checks(document["checks"], 0), _checks(document.get("client_checks") or [], len(document["checks"]))
    parts = [_part(number, server, checks) for number, server in enumerate(document["servers"])]
    parents = _parents(document)
    looked = clients(document, {server["name"]: number for number, server in enumerate(document["servers"])}, SEVERITIES)
    style, script = _file("report.css"), _file("report.js")
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            policy=f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; base-uri 'none'; form-action 'none'",
            style=style,
            script=script,
            data=_json({**_data(checks, parts, parents), "clients": _client_data(looked)}),
            details=_json(_details(parts)),
            made=moment(document["created"]),
            about={clean(key).replace("_", " "): clean(value) for key, value in (document.get("about") or {}).items()},
            checks=checks,
            parts=parts,
            worst_first=sorted(parts, key=lambda part: drawing.LEVELS.index(part.level)),
            client_checks=of_clients,
            summary=_summary(document, parts, looked),
            actions=_actions(parts, looked, {check.id: check for check in of_clients}),
            move=_move(parts),
            clients=looked,
            clients_shown=CHANGES,
            reasons=_reasons(parts),
            tree=_tree(parts, parents),
            certificates=_certificates(parts, _renew_days(document)),
            changes=_changes(document, parts, checks, of_clients),
            levels=drawing.LEVELS,
            words=WORDS,
            first_named=FIRST_NAMED,
        )
    )


def _checks(found: Iterable[Mapping[str, Any]], first: int) -> list[Check]:
    return [
        Check(number, clean(one["id"]), clean(one["title"]), clean(one["source"]), _severity(one["severity"]))
        for number, one in enumerate(found, first)
    ]


# --- the parts of the page ---------------------------------------------------------------------------------------------------------


def _name(text: Any) -> str:
    return clean(text).strip() or "(no name)"


def _severity(text: Any) -> str:
    # It becomes the name of a class.
    return text if text in SEVERITIES else "high"


def _part(number: int, server: Mapping[str, Any], checks: Sequence[Check]) -> Part:
    by_id = {check.id: check for check in checks}
    codes = ["."] * len(checks)
    failures: list[Failure] = []
    unknown: dict[str, list[Check]] = {}
    details = []
    for finding in server["findings"]:
        check = by_id.get(clean(finding["check"]))
        if check is None:
            # From a slice that another version of the collection made.
            continue
        severity = _severity(finding["severity"])
        seen, reason = clean(finding.get("seen")), clean(finding.get("reason"))
        says = [clean(finding.get(key)) for key in ("server_says", "network_says")]
        views = tuple("" if one == seen else one for one in says) if all(says) else ("", "")
        match finding["result"]:
            case "fail":
                codes[check.number] = severity[0]
                told = clean(finding.get("disagreement"))
                failures.append(Failure(check, severity, seen, clean(finding.get("mend")), views[0], views[1], told))
            case "pass":
                codes[check.number] = "p"
                details.append((check.number, seen, views[0], views[1]))
            case "not_applicable":
                codes[check.number] = "n"
                details.append((check.number, reason, "", ""))
            case _rest:
                codes[check.number] = "u"
                unknown.setdefault(reason or "no reason given", []).append(check)
    held = server.get("certificate") or {}
    days = held.get("days_left")
    return Part(
        number=number,
        name=_name(server["name"]),
        fqdn=clean(server.get("fqdn")).strip(),
        url=clean(server.get("url")),
        standing=clean(server.get("standing")),
        build=clean(server.get("build")),
        reached=bool(server.get("reached")),
        upstream=clean(server.get("upstream")),
        certificate={key: clean(value) for key, value in held.items()},
        days=days if isinstance(days, int) else None,
        failures=tuple(sorted(failures, key=lambda one: SEVERITIES.index(one.severity))),
        unknown=unknown,
        codes="".join(codes),
        details=tuple(details),
        moving=moving(server),
        moving_problem=clean(server.get("traffic_problem")),
    )


def _summary(document: Mapping[str, Any], parts: Sequence[Part], looked: Sequence[Client]) -> dict[str, Any]:
    """The numbers, and in a sentence how bad it is."""
    levels = {level: sum(part.level == level for part in parts) for level in drawing.LEVELS}
    worst = next((level for level in SEVERITIES if levels[level]), None)
    if not parts:
        sentence = "No server was audited."
    elif worst:
        all_of_them = "The server" if len(parts) == 1 else f"All {len(parts):,} servers"
        who = all_of_them if levels[worst] == len(parts) else f"{levels[worst]:,} of {servers(len(parts))}"
        sentence = f"{who} {'has' if levels[worst] == 1 else 'have'} failures of {worst} severity."
    elif levels["unknown"]:
        sentence = f"Nothing failed, but of {servers(levels['unknown'])} not everything is known."
    else:
        sentence = "Nothing failed, and everything is known."
    of_clients = {code: sum(one.code == code for one in looked) for code in "hmlupn"}
    worst_client = next((severity for severity in SEVERITIES if of_clients[severity[0]]), None)
    worst = next((severity for severity in SEVERITIES if severity in (worst, worst_client)), None)
    return {
        "sentence": sentence,
        "clients": {
            "number": len(looked),
            "wrong": sum(of_clients[severity[0]] for severity in SEVERITIES),
            "unknown": of_clients["u"],
            "well": of_clients["p"],
        },
        "worst": worst or ("unknown" if levels["unknown"] or of_clients["u"] or not parts else "clean"),
        "levels": levels,
        "results": document["summary"]["results"],
        "not_reached": [part for part in parts if not part.reached],
        "without_certificate": [part for part in parts if part.reached and part.days is None],
    }


def _actions(parts: Iterable[Part], looked: Iterable[Client], of_clients: Mapping[str, Check]) -> list[tuple[str, list[Action]]]:
    """What is to be done, by severity, the worst first; of one severity what concerns the most servers first, then in the order of the checks."""
    found: dict[str, dict[str, Action]] = {severity: {} for severity in SEVERITIES}
    for part in parts:
        for failure in part.failures:
            mend = failure.mend or f"See to it that this holds: {failure.check.title}."
            action = found[failure.severity].setdefault(mend, Action(mend, failure.severity))
            action.groups.setdefault(failure.check.id, Group(failure.check)).servers.append(part)
    for client in looked:
        check = of_clients.get(client.check)
        if client.code in "hml" and check is not None:
            mend = client.mend or f"See to it that this holds: {check.title}."
            action = found[client.severity].setdefault(mend, Action(mend, client.severity))
            action.groups.setdefault(check.id, Group(check)).clients.append(client)
    return [
        (severity, sorted(found[severity].values(), key=lambda action: (-action.concerns, action.first_check)))
        for severity in SEVERITIES
        if found[severity]
    ]


def _reasons(parts: Iterable[Part]) -> dict[str, Any]:
    """Why checks are not known: each reason with how many checks and servers, the most frequent first; the rest in numbers."""
    found: dict[str, list[int]] = {}
    for part in parts:
        for reason, checks in part.unknown.items():
            numbers = found.setdefault(reason, [0, 0])
            numbers[0] += len(checks)
            numbers[1] += 1
    ordered = sorted(found.items(), key=lambda one: -one[1][0])
    return {"first": ordered[:REASONS], "others": len(ordered[REASONS:]), "checks": sum(numbers[0] for _rest, numbers in ordered)}


def _parents(document: Mapping[str, Any]) -> list[int | None]:
    """The number of each server's upstream; None where it has none, or one that is not in this audit."""
    numbers = {server["name"]: number for number, server in enumerate(document["servers"])}
    return [numbers.get(server.get("upstream")) for server in document["servers"]]


def _tree(parts: Sequence[Part], parents: Sequence[int | None]) -> dict[str, Any]:
    """The hierarchy as drawn, with what stands at each server."""
    below = [0] * len(parts)
    for parent in parents:
        if parent is not None:
            below[parent] += 1
    beside = []
    for part, parent in zip(parts, parents, strict=True):
        words = [part.standing or ("" if part.reached else NOT_REACHED), part.counts]
        if below[part.number] and len(parts) > drawing.LABELLED:
            words.append(f"{below[part.number]:,} below it")
        if part.upstream and parent is None:
            words.append(f"its upstream {part.upstream[:60]} is not in this audit")
        beside.append(" \u00b7 ".join(word for word in words if word))
    names = [_short(part.name, 60) for part in parts]
    letters = [len(name) + len(text) + 3 for name, text in zip(names, beside, strict=True)]
    drawn = drawing.tree(parents, [part.level for part in parts], letters)
    return {"drawn": drawn, "names": names, "beside": beside, "parents": parents, "below": below}


def _short(name: str, most: int) -> str:
    return name if len(name) <= most else name[: most - 1] + "\u2026"


def _renew_days(document: Mapping[str, Any]) -> int:
    """The days that count as soon, by the settings of the run; what a playbook hands on may be a text."""
    told = str((document.get("about") or {}).get("renew_days"))
    return int(told) if re.fullmatch(r"[1-9]\d{0,2}", told) else 30


def _certificates(parts: Sequence[Part], renew_days: int) -> dict[str, Any] | None:
    """The certificates as drawn, in numbers, and the first to end as a table; None where there is none."""
    held = sorted((part.days, part.number) for part in parts if part.days is not None)
    if not held:
        return None
    left = [days for days, _rest in held]
    names = [_short(parts[number].name, 26) for _rest, number in held]
    return {
        "drawn": drawing.days(left, renew_days, max(map(len, names))),
        "names": names,
        "parts": [parts[number] for _rest, number in held],
        "listed": CERTIFICATES,
        "renew_days": renew_days,
        "ended": sum(days < 0 for days in left),
        "soon": sum(0 <= days < renew_days for days in left),
    }


def _move(parts: Sequence[Part]) -> dict[str, Any] | None:
    """How far the clients have moved, by server, those with the most to do first; None where nobody read who calls."""
    rows = [(part, part.moving) for part in parts if part.moving is not None]
    failed = [part for part in parts if part.moving_problem]
    if not rows and not failed:
        return None
    rows.sort(key=lambda row: row[1].weight, reverse=True)
    known = [row[1].counted["not_seen"] for row in rows if row[1].counted["not_seen"] is not None]
    totals = {key: sum(row[1].counted[key] or 0 for row in rows) for key in HEADS}
    return {
        "rows": rows,
        "shown": MOVES,
        "failed": failed,
        "totals": {**totals, "not_seen": sum(known) if known else None},
        "heads": HEADS,
        "height": SPARK_HEIGHT,
        "went": {key: text for key, text in WENT.items() if any(row[1].went[key] for row in rows)},
        "gaps": sum(bool(row[1].not_known) for row in rows),
    }


def _changes(document: Mapping[str, Any], parts: Sequence[Part], checks: Sequence[Check], of_clients: Sequence[Check]) -> dict[str, Any] | None:
    """What changed since the last audit, worst first; None where there is none to compare with."""
    changes = document.get("changes")
    if changes is None:
        return None
    by_name = {server["name"]: part for server, part in zip(document["servers"], parts, strict=True)}
    by_id = {check.id: check for check in checks}

    def rows(entries: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        told = [
            {
                "part": by_name[entry["server"]],
                "check": by_id[clean(entry["check"])],
                "severity": _severity(entry["severity"]),
                "seen": clean(entry["seen"]),
            }
            for entry in entries
            if entry["server"] in by_name and clean(entry["check"]) in by_id
        ]
        return sorted(told, key=lambda row: SEVERITIES.index(row["severity"]))

    unknown = rows(changes["no_longer_known"])
    standings: list[dict[str, Any]] = [
        {"part": by_name[each["server"]], "before": clean(each["was"]).strip() or NOT_REACHED, "now": clean(each["is"]).strip() or NOT_REACHED}
        for each in changes["standings"]
        if each["server"] in by_name
    ]
    return {
        "since": moment(changes["since"]),
        # A standing that only another version has is looked at first.
        "standings": sorted(standings, key=lambda row: STANDINGS.index(row["now"]) if row["now"] in STANDINGS else -1),
        "before": {row["part"].number: row["before"] for row in standings},
        "new_failures": rows(changes["new_failures"]),
        "mended": rows(changes["mended"]),
        "no_longer_known": len(unknown),
        "reasons": _by_reason(unknown),
        "new_servers": [by_name[name] for name in changes["new_servers"] if name in by_name],
        "gone_servers": [_name(name) for name in changes["gone_servers"]],
        "shown": CHANGES,
        "clients": _client_changes(changes.get("clients"), {check.id: check for check in of_clients}),
    }


def _client_changes(found: Mapping[str, Any] | None, by_id: Mapping[str, Check]) -> dict[str, Any] | None:
    """What changed of clients: titles with rows, and who came and went."""
    if not found:
        return None
    kinds = {"new_failures": "Clients: new failures", "mended": "Clients: mended", "no_longer_known": "Clients: no longer known"}
    tables = []
    for kind, title in kinds.items():
        rows = [
            {"name": _name(one["client"]), "check": by_id[clean(one["check"])], "severity": _severity(one["severity"]), "seen": clean(one["seen"])}
            for one in found[kind]
            if clean(one["check"]) in by_id
        ]
        tables.append((title, sorted(rows, key=lambda row: SEVERITIES.index(row["severity"])), "was " if kind == "mended" else ""))
    return {"tables": tables, "new": [_name(name) for name in found["new_clients"]], "gone": [_name(name) for name in found["gone_clients"]]}


def _by_reason(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Of each server a row for each reason, with all checks that it is the reason for. The first severity of them counts, which is the worst."""
    found: dict[tuple[int, str], dict[str, Any]] = {}
    for row in rows:
        told = found.setdefault((row["part"].number, row["seen"]), {**row, "checks": []})
        told["checks"].append(row["check"])
    return list(found.values())


# --- data for the script -----------------------------------------------------------------------------------------------------------


def _data(checks: Sequence[Check], parts: Sequence[Part], parents: Sequence[int | None]) -> dict[str, Any]:
    """What the matrix needs."""
    return {
        "checks": [[check.id, check.title] for check in checks],
        "servers": [[part.name, part.fqdn, part.standing, parents[part.number], part.days, part.codes] for part in parts],
    }


def _client_data(looked: Sequence[Client]) -> dict[str, Any]:
    """What the table of clients needs: every text once, and for each client its name, code, the number of its server (null for none), and that of
    the text of what was seen."""
    texts: dict[str, int] = {"": 0}
    rows = [[one.name, one.code, one.server, texts.setdefault(one.seen, len(texts))] for one in looked]
    return {"texts": list(texts), "rows": rows}


def _details(parts: Sequence[Part]) -> dict[str, Any]:
    """What passed, or does not apply: every text once, and for each server a flat list of check, what was seen, and the two views."""
    texts: dict[str, int] = {"": 0}
    listed = []
    for part in parts:
        flat: list[int] = []
        for check, *said in part.details:
            flat.append(check)
            flat += [texts.setdefault(text, len(texts)) for text in said]
        listed.append(flat)
    return {"texts": list(texts), "servers": listed}


def _json(data: Any) -> str:
    """JSON that can stand in a script element: nothing in it can end the element, or begin a comment."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@functools.cache
def _file(name: str) -> str:
    """A file beside this one, without blanks around it, and with newlines only: as a browser hashes it."""
    return (HERE / name).read_text(encoding="utf-8").strip()


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters["number"] = lambda number: f"{number:,}"
    environment.filters["servers"] = servers
    return environment
