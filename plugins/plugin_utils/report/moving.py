# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The move of the clients as a report tells it: who still calls each server over HTTP, how that went down, and what clients were told. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..move import COUNTED, numbers
from .texts import clean, moment

NAMED = 5
"""So many of each kind are named with their server; a report has many servers."""
SPARKS = 20
"""So many audits are drawn."""
SPARK_WIDTH, SPARK_HEIGHT = 7, 26
HEADS = {
    "over_tls": "Over TLS",
    "over_http": "Over HTTP",
    "not_seen": "Not seen",
    "turned_away": "Turned away",
    "only_fail_over_tls": "Only fail over TLS",
}


WENT = {"over_http": "Over HTTP, audit by audit", "not_seen": "Not seen, audit by audit"}
"""What goes down while clients move."""


@dataclass(frozen=True)
class Bar:
    """An audit in the drawing of one server."""

    x: int
    y: int
    height: int
    now: bool


@dataclass(frozen=True)
class Went:
    """How a number went from audit to audit: as bars, from what to what, and in words for those who do not see bars."""

    bars: tuple[Bar, ...]
    width: int
    first: int
    last: int
    words: str


@dataclass(frozen=True)
class Listed:
    """Some of a kind by name, and how many more there are."""

    title: str
    number: int
    first: tuple[str, ...]

    @property
    def more(self) -> int:
        return self.number - len(self.first)


@dataclass(frozen=True)
class Moving:
    """How far the clients of one server have moved. counted: by the words of COUNTED, None where it is not known. went: by those of WENT, where
    there are earlier audits."""

    counted: Mapping[str, int | None]
    since: str
    read: str
    went: Mapping[str, Went | None]
    lists: tuple[Listed, ...]
    not_known: tuple[str, ...]

    @property
    def weight(self) -> tuple[int, int, int]:
        """How much there is to do: the most first."""
        return self.counted["turned_away"] or 0, self.counted["over_http"] or 0, self.counted["not_seen"] or 0


def moving(server: Mapping[str, Any]) -> Moving | None:
    """Of one server of an audit; None where nobody read who calls it."""
    found = server.get("traffic")
    counted = numbers(found)
    if found is None or counted is None:
        return None
    lists = (
        Listed("Turned away over plain HTTP", counted["turned_away"], _named(found["turned_away"], _turned_away)),
        Listed("Served over plain HTTP", counted["over_http"], _named(found["over_http"], _served)),
        Listed("Only fail over TLS", counted["only_fail_over_tls"], _named(found["only_fail_over_tls"], clean)),
        Listed("Known to WSUS and not seen", counted["not_seen"] or 0, _named(found["not_seen"], _not_seen)),
    )
    return Moving(
        counted={key: counted[key] for key in COUNTED},
        since=moment(found["since"]),
        read=moment(found["read"]),
        went={key: _went([*(server.get("traffic_before") or []), counted], key) for key in WENT},
        lists=tuple(one for one in lists if one.number),
        not_known=tuple(clean(one) for one in found["not_known"]),
    )


def _named(found: Mapping[str, Any] | None, words: Any) -> tuple[str, ...]:
    return tuple(words(one) for one in found["first"][:NAMED]) if found else ()


def _who(one: Mapping[str, Any]) -> str:
    names = ", ".join(clean(name) for name in one["names"])
    kinds = " and ".join(clean(kind).replace("_", " ") for kind in one["kinds"] or [] if kind != "client")
    return " ".join(text for text in (clean(one["address"]), f"({names})" if names else "", f"as {kinds}" if kinds else "") if text)


def _served(one: Mapping[str, Any]) -> str:
    return f"{_who(one)}, last {clean(one['last_served'])[:10]}" if one["last_served"] else _who(one)


def _turned_away(one: Mapping[str, Any]) -> str:
    last = f", last {clean(one['last'])[:10]}" if one["last"] else ""
    since = f", may be back since {clean(one['seen_since'])[:10]}" if one["seen_since"] else ""
    return f"{_who(one)}, {clean(one['times'])} \u00d7{last}{since}"


def _not_seen(one: Mapping[str, Any]) -> str:
    return f"{clean(one['name'])}, last {clean(one['last_seen'])[:10]}"


def _went(found: Sequence[Mapping[str, Any]], key: str) -> Went | None:
    """None where there is one audit only that knows it, or this one does not."""
    shown = [one for one in found if one[key] is not None][-SPARKS:]
    if len(shown) < 2 or found[-1][key] is None:
        return None
    series = [int(one[key]) for one in shown]
    most = max(*series, 1)
    bars = []
    for place, number in enumerate(series):
        height = max(2, round(number * SPARK_HEIGHT / most)) if number else 1
        bars.append(Bar(place * SPARK_WIDTH, SPARK_HEIGHT - height, height, place == len(series) - 1))
    told = [f"{number:,} on {moment(one['read'])}" for number, one in zip(series, shown, strict=True)]
    return Went(tuple(bars), len(bars) * SPARK_WIDTH - 2, series[0], series[-1], ", ".join(told))


# --- clients -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Client:
    """One client. code: as servers' are (h, m, l failed so badly, u not known, p passed). server: the number of the audited server, or None."""

    number: int
    name: str
    code: str
    check: str
    severity: str
    server: int | None
    seen: str
    mend: str

    @property
    def rank(self) -> int:
        return "hmlunp".index(self.code)


def clients(document: Mapping[str, Any], names: Mapping[str, int], severities: Sequence[str]) -> list[Client]:
    """The clients of an audit, those that failed worst first. NAMES: the numbers of the servers by their names."""
    found = []
    for number, one in enumerate(document.get("clients") or []):
        finding = _worst(one["findings"], severities)
        result, severity = finding["result"], finding["severity"] if finding["severity"] in severities else "high"
        found.append(
            Client(
                number=number,
                name=clean(one["name"]).strip() or "(no name)",
                code=severity[0] if result == "fail" else {"pass": "p", "not_applicable": "n"}.get(result, "u"),
                check=clean(finding["check"]),
                severity=severity,
                server=names.get(str(one.get("server"))) if one.get("server") is not None else None,
                seen=clean(finding["seen"] or finding["reason"]),
                mend=clean(finding.get("mend")),
            )
        )
    return sorted(found, key=lambda one: one.rank)


def _worst(findings: Iterable[Mapping[str, Any]], severities: Sequence[str]) -> Mapping[str, Any]:
    order = {"fail": 0, "not_known": 1, "pass": 2}
    ranked = sorted(
        findings, key=lambda one: (order.get(one["result"], 3), severities.index(one["severity"]) if one["severity"] in severities else 0)
    )
    return ranked[0] if ranked else {"check": "", "result": "not_known", "severity": "medium", "seen": "", "reason": "it was not judged"}
