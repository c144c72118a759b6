# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Clients in an audit: what each was told and found, as C(wsus_client_info) says it, judged beside the servers of that audit. Pure.

What came of a check on a client is a finding like any other (C(audit_checks.Finding)).
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from .audit_checks import Finding, Rule
from .state import format_time
from .traffic import plain

CLIENT_CHECKS = {
    "client_policy": Rule(
        "client_policy",
        "The client is told the https URL of an audited server, reaches it and trusts it",
        "[BP]: WUServer and WUStatusServer, or MDM",
        "medium",
        "Tell them the https URL of their server (a group policy, MDM, or wsus_client; docs/clients.md), and have the authorities trusted on them "
        "(role trust).",
    ),
}
"""Checks of clients."""

_TEXTS = ("url", "told_by", "mdm_url", "last_search")
_FLAGS = ("used", "reached", "trusted", "content_reached", "domain_member")


def client_audited(name: str, result: Mapping[str, Any], now: datetime.datetime) -> dict[str, Any]:
    """One client of an audit, from what C(wsus_client_info) returned, or what it failed with. NAME: in the inventory. Its findings are still to
    come: they take the servers."""
    looked = not result.get("failed") and isinstance(result.get("problems"), list)
    policies = [one.get("policy") for one in _mappings(result.get("winning_policies"))]
    why = " ".join(str(result.get("msg") or "the task that looks at it did not run").split())[:500].removeprefix(f"{name}: ")
    return {
        "name": name,
        "audited": format_time(now),
        "reached": looked,
        "problem": None if looked else why,
        **{key: _text(result.get(key)) if looked else None for key in _TEXTS},
        "policy": _text(policies[0]) if looked and policies else None,
        # What it is to a client that a server is reached is no matter of whether the client was.
        **{"server_reached" if key == "reached" else key: _flag(result.get(key)) if looked else None for key in _FLAGS},
        "problems": [_sentence(one) for one in result["problems"]] if looked else [],
        "notes": [_sentence(one) for one in result.get("notes") or []] if looked else [],
        "server": None,
        "findings": [],
    }


def _text(value: Any) -> str | None:
    return plain(value, "message") or None if value is not None else None


def _sentence(value: Any) -> str:
    # Longer than what one text of a machine may be, as it has several in it.
    return " ".join(plain(part, "message") for part in str(value).split("\n"))[:2000]


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def with_findings(clients: Sequence[Mapping[str, Any]], servers: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The clients, each with the audited server that it was told and what came of the checks, judged anew."""
    by_url: dict[str, Mapping[str, Any]] = {_key(server["url"]): server for server in servers if server.get("url")}
    by_name: dict[str, Mapping[str, Any]] = {}
    for server in servers:
        for name in (server.get("name"), server.get("fqdn"), server.get("reported_fqdn")):
            if name:
                by_name.setdefault(str(name).rstrip(".").casefold(), server)
    judged = []
    for client in clients:
        exact = by_url.get(_key(client.get("url")))
        named = exact or by_name.get(_host(client.get("url")))
        finding = _client_policy(client, exact, named)
        judged.append({**client, "server": named["name"] if named else None, "findings": [finding.as_dict()]})
    return judged


def _key(url: Any) -> str:
    return str(url or "").removesuffix("/").casefold()


def _host(url: Any) -> str:
    try:
        return (urlsplit(str(url or "")).hostname or "").rstrip(".").casefold()
    except ValueError:
        return ""


def _client_policy(client: Mapping[str, Any], exact: Mapping[str, Any] | None, server: Mapping[str, Any] | None) -> Finding:
    rule = CLIENT_CHECKS["client_policy"]
    if not client.get("reached"):
        return Finding(rule.id, "not_known", rule.severity, reason=f"the client could not be looked at: {client.get('problem') or 'no reason given'}")
    told_wrong = client.get("problems")
    wrong = [str(problem).strip() for problem in told_wrong] if isinstance(told_wrong, list) else []
    url = str(client.get("url") or "")
    unsure = ""
    if url.casefold().startswith("https:") and exact is None:
        if server is None:
            wrong.append(f"It is told {url}, which is the URL of none of the audited servers.")
        elif server.get("url"):
            wrong.append(f"It is told {url}, and clients of {server['name']} come to {server['url']}.")
        else:
            unsure = f"it is told {url}, and the URL of {server['name']} is not known"
    told = {"group_policy": f"the group policy {client.get('policy')}", "policy": "its own policy", "mdm": "MDM"}.get(str(client.get("told_by")))
    by = f"told {url} by {told or 'nobody on record'}" if url else "told nothing"
    if wrong:
        return Finding(rule.id, "fail", rule.severity, seen=f"{by}. {' '.join(wrong)}", mend=rule.mend)
    if not unsure and client.get("trusted") is None:
        unsure = f"whether it reaches and trusts {url} is not known"
    if unsure:
        return Finding(rule.id, "not_known", rule.severity, reason=unsure)
    return Finding(rule.id, "pass", rule.severity, seen=f"{by}; reached and trusted")
