# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An audit as a document: the servers with their findings, what only all of them together show, and what changed since the last one. Pure.

Its form is documented in docs/audit.md, and has a version. What several runs found (slices of a large fleet) is put together by assembling
their servers once more: what stands on more than one server is always judged anew.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from .audit_checks import RULES, SEVERITIES, Finding, Rule, Settings, Severity, View, audit_server
from .audit_clients import CLIENT_CHECKS, with_findings
from .certificates import parse
from .certificates import summary as summary_of
from .move import earlier, is_part, numbers, part
from .state import State, bound_certificate, format_time, own_fqdn, parse_time, same_name, serving_binding, url_of
from .verdict import standing

SCHEMA = "securepatch.wsus.audit"
VERSION = 1
FAIL_ON = ("high", "medium", "low", "never")
RESULTS = ("pass", "fail", "not_known", "not_applicable")

ACROSS = {
    "certificate_trusted_downstream": Rule(
        "certificate_trusted_downstream",
        "Its downstream servers reach it over TLS and trust it",
        "[CFG]",
        "high",
        "Have the authorities trusted on them (role trust).",
    ),
    "inventory": Rule(
        "inventory",
        "The inventory has every downstream server that this one lists, and the other way round",
        "IUpdateServer.GetDownstreamServers",
        "medium",
        "Add it to the inventory with wsus_upstream, or take it off this server.",
    ),
    "one_machine": Rule(
        "one_machine",
        "No other server of the inventory is the same machine, or shares its database",
        "two front-ends of one database have the same server id [API]",
        "medium",
        "Audit and change one of them at a time; they share what WSUS records.",
    ),
}
"""Checks that take more than one server."""

CHECKS = {**RULES, **ACROSS}
"""Every check of a server. Those of a client stand apart (CLIENT_CHECKS): none is of both."""
_SHOWN = ("thumbprint", "subject", "issuer", "not_before", "not_after", "key", "signature")


class AuditError(ValueError):
    """A document that is none of these, or of another version; a sentence."""


def assemble(
    servers: Iterable[Mapping[str, Any]],
    now: datetime.datetime,
    *,
    previous: Mapping[str, Any] | None = None,
    about: Mapping[str, Any] | None = None,
    clients: Iterable[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """The audit of these servers, each as C(wsus_audit) returns it, and of these CLIENTS, each as C(client_audited) gives it. NOW is aware.
    PREVIOUS: an earlier audit. ABOUT: settings of the run.

    Raises AuditError for a previous one of another form.
    """
    if previous is not None:
        refuse_foreign(previous)
    before = {server["name"]: server for server in previous["servers"]} if previous is not None else {}
    listed = [_with_across(server, across, before.get(server["name"])) for server, across in _across(list(servers), now)]
    looked = with_findings(list(clients), listed)
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "version": VERSION,
        "created": format_time(now),
        "about": dict(about or {}),
        "checks": _described(CHECKS),
        "client_checks": _described(CLIENT_CHECKS),
        "servers": listed,
        "clients": looked,
        "summary": {**summary(listed), "clients": _counts(looked)},
    }
    document["changes"] = changes(previous, document) if previous is not None else None
    return document


def _described(rules: Mapping[str, Rule]) -> list[dict[str, Any]]:
    return [{key: value for key, value in asdict(rule).items() if key != "mend"} for rule in rules.values()]


def refuse_foreign(document: Any) -> None:
    """Raise AuditError for what is no audit, or one of another version."""
    if not isinstance(document, Mapping) or document.get("schema") != SCHEMA or not isinstance(document.get("servers"), list):
        raise AuditError("it is no audit of this collection's.")
    if document.get("version") != VERSION:
        raise AuditError(f"it is an audit of version {document.get('version')}; this collection reads version {VERSION}.")
    clients = document.get("clients", [])
    if not isinstance(clients, list):
        raise AuditError("it is damaged: its clients are no list.")
    for what, one in [*(("server", each) for each in document["servers"]), *(("client", each) for each in clients)]:
        if not isinstance(one, Mapping) or not isinstance(one.get("name"), str) or not isinstance(one.get("findings"), list):
            raise AuditError(f"it is damaged: a {what} in it has no name or no findings.")
        readable = all(isinstance(each, Mapping) and _is_finding(each) for each in one["findings"])
        if not readable or not _are_listed(one.get("downstream_servers")) or not is_part(one.get("traffic")):
            raise AuditError(f"it is damaged: what it has of {one['name']} cannot be read.")


def _is_finding(found: Mapping[str, Any]) -> bool:
    words = all(isinstance(found.get(key), str) for key in ("check", "seen", "reason"))
    return words and found.get("result") in RESULTS and found.get("severity") in SEVERITIES


def _are_listed(found: Any) -> bool:
    return found is None or (isinstance(found, list) and all(isinstance(one, Mapping) and {"id", "fqdn"} <= set(one) for one in found))


def merge(documents: Sequence[Mapping[str, Any]], now: datetime.datetime, *, previous: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """One audit from those of slices. What several have counts as the latest of them saw it. Raises AuditError."""
    for document in documents:
        refuse_foreign(document)
    in_time = sorted(documents, key=lambda each: str(each.get("created")))
    servers, clients = (_latest(each for document in in_time for each in document.get(kind, ())) for kind in ("servers", "clients"))
    about = dict(documents[-1].get("about") or {}) if documents else {}
    return assemble(servers, now, previous=previous, about={**about, "slices": len(documents)}, clients=clients)


def _latest(found: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Of each name the one that was audited last."""
    kept: dict[str, Mapping[str, Any]] = {}
    for one in found:
        # One that was put together before may be younger than what it has of a server.
        if one["name"] not in kept or str(one.get("audited")) >= str(kept[one["name"]].get("audited")):
            kept[one["name"]] = one
    return list(kept.values())


def audited(view: View, upstream: str | None, findings: Sequence[Mapping[str, Any]], now: datetime.datetime) -> dict[str, Any]:
    """One server of the document: what stands above its findings, and what the checks across servers need of it. UPSTREAM: its inventory name."""
    state = view.state
    api = state["api"] if state else None
    return {
        "name": view.name,
        "fqdn": view.fqdn,
        "url": _url(state),
        "upstream": upstream,
        "reached": state is not None,
        "audited": format_time(now),
        "standing": standing(state) if state else None,
        "build": str(state["computer"].get("build") or "") or None if state else None,
        "reported_fqdn": own_fqdn(state) if state else None,
        "server_id": api["server_id"] if api else None,
        "downstream_servers": [dict(each) for each in api["downstream_servers"]] if api else None,
        "certificate": _certificate(view, now),
        "traffic": part(view.callers) if view.callers else None,
        "traffic_problem": view.callers_problem,
        "findings": [dict(finding) for finding in findings],
    }


def unaudited(name: str, upstream: str | None, why: str, now: datetime.datetime) -> dict[str, Any]:
    """One server of the document that no task could audit, and why: that is what was found."""
    view = View(name, name, problem=why, survey_problem=why)
    return audited(view, upstream, [finding.as_dict() for finding in audit_server(view, Settings(), now)], now)


def _url(state: State | None) -> str | None:
    return url_of(state) if state and state["setup"] and state["setup"]["post_installed"] else None


def _certificate(view: View, now: datetime.datetime) -> dict[str, Any] | None:
    """The certificate that is bound, else the one that the network shows."""
    state = view.state
    binding = serving_binding(state) if state and state["setup"] and state["setup"]["post_installed"] and state["iis"] else None
    entry = bound_certificate(state, binding) if state and binding and state["certificates"] is not None else None
    if entry:
        found = summary_of(parse(entry), view.fqdn, now, 0)
        return {key: found[key] for key in (*_SHOWN, "dns_names", "days_left")}
    served = view.survey.certificate if view.survey else None
    if not served or not served.get("not_after"):
        return None
    days = (parse_time(str(served["not_after"])) - now) // datetime.timedelta(days=1)
    return {**{key: served.get(key) for key in _SHOWN}, "days_left": days}


# --- what takes more than one server ---------------------------------------------------------------------------------------------


def _across(servers: Sequence[Mapping[str, Any]], now: datetime.datetime) -> Iterable[tuple[Mapping[str, Any], list[Finding]]]:
    by_name = {server["name"]: server for server in servers}
    below: dict[str, list[Mapping[str, Any]]] = {}
    for server in servers:
        if server.get("upstream") in by_name:
            below.setdefault(str(server["upstream"]), []).append(server)
    ids: dict[str, list[str]] = {}
    machines: dict[str, list[str]] = {}
    for server in servers:
        if server.get("server_id"):
            ids.setdefault(str(server["server_id"]).casefold(), []).append(server["name"])
        if server.get("reported_fqdn"):
            machines.setdefault(str(server["reported_fqdn"]).casefold(), []).append(server["name"])
    known_ids = set(ids)
    known_names = {str(each).casefold() for server in servers for each in (server.get("fqdn"), server.get("reported_fqdn")) if each}
    # Of one that could not be reached nothing but its inventory name is known, which may be short.
    known_names |= {str(server["name"]).partition(".")[0].casefold() for server in servers if not server.get("reached")}
    for server in servers:
        lower = below.get(server["name"], [])
        yield (
            server,
            [
                _trusted_downstream(lower),
                _inventory(server, lower, known_ids, known_names, now),
                _one_machine(server, ids, machines),
            ],
        )


def _with_across(server: Mapping[str, Any], across: Sequence[Finding], before: Mapping[str, Any] | None) -> dict[str, Any]:
    kept = [finding for finding in server["findings"] if finding["check"] not in ACROSS]
    return {**server, "traffic_before": earlier(server, before), "findings": [*kept, *(finding.as_dict() for finding in across)]}


def _finding(check: str, wrong: Sequence[str], well: str) -> Finding:
    rule = ACROSS[check]
    if wrong:
        return Finding(check, "fail", rule.severity, seen="; ".join(wrong), mend=rule.mend)
    return Finding(check, "pass", rule.severity, seen=well)


def _trusted_downstream(lower: Sequence[Mapping[str, Any]]) -> Finding:
    rule = ACROSS["certificate_trusted_downstream"]
    if not lower:
        return Finding(rule.id, "not_applicable", rule.severity, reason="the inventory has no downstream server of it")
    wrong, unknown, well = [], [], []
    for server in lower:
        own = next((each for each in server["findings"] if each["check"] == "upstream_trusted"), None)
        if own is None or own["result"] in ("not_known", "not_applicable"):
            unknown.append(f"{server['name']}: {own['reason'] if own else 'not looked at'}")
        elif own["result"] == "fail":
            wrong.append(f"{server['name']}: {own['seen']}")
        else:
            well.append(server["name"])
    if wrong or not unknown:
        return _finding(rule.id, wrong, f"trusted by {', '.join(well)}")
    return Finding(rule.id, "not_known", rule.severity, reason="; ".join(unknown))


def _inventory(server: Mapping[str, Any], lower: Sequence[Mapping[str, Any]], ids: set[str], names: set[str], now: datetime.datetime) -> Finding:
    rule = ACROSS["inventory"]
    listed = server.get("downstream_servers")
    if listed is None:
        return Finding(rule.id, "not_known", rule.severity, reason="which downstream servers it lists could not be read")
    wrong = []
    for each in listed:
        called = str(each["fqdn"]).casefold()
        if str(each["id"]).casefold() not in ids and called not in names and called.partition(".")[0] not in names:
            last = f"last seen {each['last_sync'][:10]}" if each.get("last_sync") else "never seen"
            wrong.append(f"{each['fqdn']} is listed, and not in the inventory ({last})")
    for each in lower:
        is_listed = any(
            str(one["id"]).casefold() == str(each.get("server_id")).casefold() or same_name(one["fqdn"], each.get("reported_fqdn")) for one in listed
        )
        if not is_listed and each.get("reached"):
            wrong.append(f"{each['name']} is below it in the inventory, and not listed: it has not synchronized from it yet")
    return _finding(rule.id, wrong, f"{len(listed)} listed, all in the inventory" if listed else "none listed, none in the inventory")


def _one_machine(server: Mapping[str, Any], ids: Mapping[str, list[str]], machines: Mapping[str, list[str]]) -> Finding:
    rule = ACROSS["one_machine"]
    if not server.get("reached"):
        return Finding(rule.id, "not_known", rule.severity, reason="the server could not be looked at")
    wrong = []
    twins = [name for name in machines.get(str(server.get("reported_fqdn")).casefold(), []) if name != server["name"]]
    if twins:
        wrong.append(f"the same machine as {', '.join(twins)}")
    sharing = [name for name in ids.get(str(server.get("server_id")).casefold(), []) if name != server["name"] and name not in twins]
    if sharing:
        wrong.append(f"shares its database with {', '.join(sharing)}")
    return _finding(rule.id, wrong, "no other")


# --- what it comes to ---------------------------------------------------------------------------------------------------------


def summary(servers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Numbers: of servers by their worst severity, of findings by result, of failures by severity."""
    counted = _counts(servers)
    return {"servers": counted["number"], "servers_by_worst": counted["by_worst"], "results": counted["results"], "failures": counted["failures"]}


def _counts(machines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The same of servers or of clients."""
    by_worst: dict[str, int] = dict.fromkeys((*SEVERITIES, "none"), 0)
    results: dict[str, int] = dict.fromkeys(RESULTS, 0)
    failures: dict[str, int] = dict.fromkeys(SEVERITIES, 0)
    for machine in machines:
        by_worst[worst_of(machine) or "none"] += 1
        for finding in machine["findings"]:
            results[finding["result"]] += 1
            if finding["result"] == "fail":
                failures[finding["severity"]] += 1
    return {"number": len(machines), "by_worst": by_worst, "results": results, "failures": failures}


def worst_of(server: Mapping[str, Any]) -> Severity | None:
    """The worst severity among a server's (or a client's) failures, None where nothing failed."""
    failed = {finding["severity"] for finding in server["findings"] if finding["result"] == "fail"}
    return next((one for one in SEVERITIES if one in failed), None)


def fails(document: Mapping[str, Any], fail_on: str) -> bool:
    """Whether an audit is to fail: something failed that is at least as bad. Raises AuditError for another word than those of FAIL_ON."""
    if fail_on not in FAIL_ON:
        raise AuditError(f"audit_fail_on is one of {', '.join(FAIL_ON)}, not {fail_on!r}.")
    if fail_on == "never":
        return False
    counted = SEVERITIES[: SEVERITIES.index(fail_on) + 1]
    found = document["summary"]
    return any(each["failures"][one] for each in (found, found["clients"]) for one in counted)


def changes(previous: Mapping[str, Any], current: Mapping[str, Any]) -> dict[str, Any]:
    """What is different since an earlier audit: servers that came, went or stand elsewhere, failures new or mended, what is no longer known. And
    the same of clients, where either of the two has some."""
    before = {server["name"]: server for server in previous["servers"]}
    after = {server["name"]: server for server in current["servers"]}
    both = [(name, _stands(before[name]), _stands(after[name])) for name in after if name in before]
    were, are = ({one["name"]: one for one in document.get("clients", ())} for document in (previous, current))
    return {
        "since": previous.get("created"),
        "new_servers": [name for name in after if name not in before],
        "gone_servers": [name for name in before if name not in after],
        "standings": [{"server": name, "was": was, "is": now} for name, was, now in both if was != now],
        **_different(before, after, "server"),
        "clients": {
            "new_clients": [name for name in are if name not in were],
            "gone_clients": [name for name in were if name not in are],
            **_different(were, are, "client"),
        }
        if were or are
        else None,
    }


def _different(before: Mapping[str, Mapping[str, Any]], after: Mapping[str, Mapping[str, Any]], kind: str) -> dict[str, list[dict[str, Any]]]:
    """What came of checks that is different, of servers or of clients by their names. KIND is the key for the name."""
    new, mended, no_longer_known = [], [], []
    for name, machine in after.items():
        old = {each["check"]: each for each in before[name]["findings"]} if name in before else {}
        for finding in machine["findings"]:
            was = old.get(finding["check"], {}).get("result")
            entry = {kind: name, "check": finding["check"], "severity": finding["severity"], "seen": finding["seen"] or finding["reason"]}
            if finding["result"] == "fail" and was != "fail":
                new.append(entry)
            elif finding["result"] == "pass" and was == "fail":
                mended.append(entry)
            elif finding["result"] == "not_known" and was in ("pass", "fail"):
                no_longer_known.append({**entry, "seen": finding["reason"]})
    return {"new_failures": new, "mended": mended, "no_longer_known": no_longer_known}


def _stands(server: Mapping[str, Any]) -> str | None:
    """Where a server stood, None where it was not reached. An earlier file may have anything there."""
    found = server.get("standing")
    return found if isinstance(found, str) and found else None


def lines(document: Mapping[str, Any], *, most: int = 5) -> list[str]:
    """The audit for a terminal: the numbers, and what failed by severity and check, of each so many servers (or clients) at most."""
    counted = document["summary"]
    told = [
        f"{counted['servers']} WSUS servers audited: {_by_worst(counted['servers_by_worst'])}",
        f"Checks: {_results(counted)}.",
    ]
    clients = counted["clients"]
    if clients["number"]:
        told.append(f"{clients['number']} clients looked at: {_results(clients)}.")
    told += _moved(document["servers"])
    titles = {check["id"]: check["title"] for check in (*document["checks"], *document["client_checks"])}
    for severity in SEVERITIES:
        found = [
            line
            for machines, number in ((document["servers"], counted["servers"]), (document["clients"], clients["number"]))
            for line in _failed(machines, number, severity, titles, most)
        ]
        told += ["", severity.upper(), *found] if found else []
    if document.get("changes"):
        changed = document["changes"]
        told += ["", f"Since {changed['since']}: {_differences(changed)}."]
        moves = Counter((each["was"] or "not reached", each["is"] or "not reached") for each in changed["standings"])
        told += [f"  {was}, now {now}: {number} {'server' if number == 1 else 'servers'}" for (was, now), number in moves.most_common()]
        told += [f"  Clients: {_differences(changed['clients'])}."] if changed["clients"] else []
    return told


def _by_worst(counted: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {'without a finding' if worst == 'none' else worst}" for worst, number in counted.items() if number)


def _results(counted: Mapping[str, Any]) -> str:
    return f"{counted['results']['pass']} passed, {counted['results']['fail']} failed, {counted['results']['not_known']} not known"


def _differences(changed: Mapping[str, Any]) -> str:
    lost = f", {len(changed['no_longer_known'])} no longer known" if changed["no_longer_known"] else ""
    return f"{len(changed['new_failures'])} new failures, {len(changed['mended'])} mended{lost}"


def _moved(servers: Sequence[Mapping[str, Any]]) -> list[str]:
    """How far the clients have moved, in a line; none where nobody read who calls."""
    read = [found for found in (numbers(server.get("traffic")) for server in servers) if found is not None]
    if not read:
        return []
    http, away = (sum(found[key] for found in read) for key in ("over_http", "turned_away"))
    known = [found["not_seen"] for found in read if found["not_seen"] is not None]
    told = f"Addresses on {len(read)} servers: {http} served over plain HTTP, {away} turned away"
    return [f"{told}; {sum(known)} computers not seen." if known else f"{told}."]


def _failed(machines: Sequence[Mapping[str, Any]], number: int, severity: str, titles: Mapping[str, str], most: int) -> list[str]:
    failed: dict[str, list[tuple[str, str]]] = {}
    for machine in machines:
        for finding in machine["findings"]:
            if finding["result"] == "fail" and finding["severity"] == severity:
                failed.setdefault(finding["check"], []).append((machine["name"], finding["seen"]))
    told = []
    for check, found in failed.items():
        told.append(f"  {titles.get(check, check)}: fails on {len(found)} of {number} [{check}]")
        told += [f"    {name}: {seen}" for name, seen in found[:most]]
        if len(found) > most:
            told.append(f"    ... and {len(found) - most} more, in the report")
    return told
