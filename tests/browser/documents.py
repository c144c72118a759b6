# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Audits to draw reports of: nine servers to look at, as many as you like to measure with, and servers whose names and words attack the reader."""

from __future__ import annotations

import copy
import datetime
import random
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ansible_collections.securepatch.wsus.plugins.plugin_utils.audit import assemble
from ansible_collections.securepatch.wsus.plugins.plugin_utils.audit_checks import RULES, Finding
from ansible_collections.securepatch.wsus.plugins.plugin_utils.audit_clients import client_audited

NOW = datetime.datetime(2026, 11, 21, 16, 0, tzinfo=datetime.UTC)
SCRIPT = "</script><script>window.hit = 1</script>"
IMAGE = "<img src=x onerror=window.hit=2>"
HOSTILE = (
    SCRIPT,
    IMAGE,
    '"><svg onload=window.hit=3>',
    "' autofocus onfocus='window.hit=4",
    "javascript:window.hit=5",
    "<!-- <script ",
    "</script x='",
    "{{ 7 * 7 }}{% raw %}",
    "]]></failure><failure>",
    "</style></title></textarea></noscript><script>window.hit=6</script>",
    "name with  blanks, a\ttab and a\nline",
    "\x00\x07\x1b[31m\x7f\x85 controls",
    "\ud800 half a pair, \ufffe no character",
    "\u202egnp.exe turned round \u2066",
    "emoji \U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467, \u0645\u0631\u062d\u0628\u0627, \u4f60\u597d",
    "\u2028\u2029 line separators",
    "&lt;b&gt; &amp; &#x3c;",
    "__proto__",
    "a" * 300,
    "",
)
"""Texts that no host name should be, and that a damaged or wicked one can be all the same."""

# What each check says where it passes, where it fails, and what the two views say.
_SAID: Mapping[str, tuple[str, str, str | None, str | None]] = {
    "reachable": ("it was looked at", "the connection to {fqdn}:5986 was refused: Connection refused", None, None),
    "services": ("services, site, pool and API run", "the service WsusService is Stopped; the application pool 'WsusPool' is stopped", None, None),
    "binding": (
        "*:8531, {thumbprint}",
        "no https binding with a certificate",
        "*:8531, {thumbprint}",
        "TLS answers on port 8531",
    ),
    "binding_served": (
        "bound is {thumbprint}, http.sys serves {thumbprint}; the network shows {thumbprint}",
        "bound is {thumbprint}, http.sys serves {other}; the network shows {other}",
        "bound is {thumbprint}, http.sys serves {thumbprint}",
        "served is {thumbprint}",
    ),
    "certificate_name": ("it is for {fqdn}", "it is for {name}.old.example", "it is for {fqdn}", "it is for {fqdn}"),
    "certificate_trusted": (
        "issued by CN=Corp Issuing CA 1, O=Corp",
        "unable to get local issuer certificate (the server sends no intermediate)",
        None,
        "issued by CN=Corp Issuing CA 1, O=Corp, trusted",
    ),
    "certificate_trusted_itself": ("it does", "it does not (PartialChain)", None, None),
    "certificate_days": ("{days} days left, until {until}", "{days} days left, until {until}", None, None),
    "certificate_strength": ("RSA 3072, sha256", "it is signed with sha1; its key has 1024 bits", None, None),
    "configuressl": ("WSUS recorded https://{fqdn}:8531", "configuressl has not run", None, None),
    "restart": ("started 2026-11-12T03:14:00Z", "Windows waits for a restart (updates or features)", None, None),
    "tls_required": (
        "required on all five",
        "not required on SimpleAuthWebService, DSSAuthWebService, ServerSyncWebService, ApiRemoting30, ClientWebService",
        "required on all five",
        "refused on SimpleAuthWebService, DSSAuthWebService, ServerSyncWebService, ApiRemoting30, ClientWebService, answered on none",
    ),
    "services_over_https": ("all five answer", "ClientWebService: 503; ServerSyncWebService: 503", None, "all five answer"),
    "content_over_http": (
        "Content and ReportingWebService answer",
        "Content: 403; ReportingWebService: 403",
        None,
        "Content and ReportingWebService answer",
    ),
    "no_redirect": ("no redirect, no HSTS", "Content over http redirects to https://{fqdn}:8531/Content/", None, "no redirect, no HSTS"),
    "tls_versions": (
        "takes TLS 1.2, TLS 1.3",
        "takes TLS 1.0, TLS 1.1, TLS 1.2",
        "TLS 1.0 off, TLS 1.1 off, TLS 1.2 by default, TLS 1.3 by default",
        "takes TLS 1.2, TLS 1.3",
    ),
    "turned_away": (
        "nobody since 2026-11-14T02:00:00Z",
        "turned away since 2026-11-12T02:00:00Z: 10.0.190.11 (pc190001.corp.example) (3 times, last on 2026-11-18T09:00:00Z)",
        None,
        None,
    ),
    "application_pool": (
        "as the best practices have it",
        "queue length is 1000, not 2000; private memory limit is 1843200, not 0",
        None,
        None,
    ),
    "patch_level": ("build 20348.4529, fixed from 20348.4297 on", "build 20348.3207, fixed from 20348.4297 on", None, None),
    "disk_space": ("212 GiB free on D:", "4 GiB free on D:", None, None),
    "database": ("MICROSOFT##WID", "sql07.corp.example", None, None),
    "upstream_tls": ("https://{upstream}.corp.example:8531", "http://{upstream}:8530: not over TLS, by a short name", None, None),
    "synchronization": (
        "succeeded 2026-11-21 03:00 UTC, 13 h ago",
        "Failed (UssCommunicationError): the request failed with HTTP status 403, 2026-11-20 03:00 UTC",
        None,
        None,
    ),
    "upstream_trusted": (
        "{upstream}.corp.example:8531 is reached and trusted",
        "{upstream}.corp.example:8531 is not trusted (UntrustedRoot)",
        None,
        None,
    ),
    "upstream_content": ("{upstream}.corp.example:8530 is reached", "{upstream}.corp.example:8530 cannot be reached (timed out)", None, None),
}

# What the network says where such a check fails, and not only the server does.
_NETWORK_SAYS: Mapping[str, str] = {
    "binding": "nothing answers on port 8531: Connection refused",
    "binding_served": "served is {other}",
    "certificate_name": "it is for {name}.old.example, not for {fqdn}",
    "tls_required": "refused on none, answered on SimpleAuthWebService, DSSAuthWebService, ServerSyncWebService, ApiRemoting30, ClientWebService",
    "tls_versions": "takes TLS 1.0, TLS 1.1, TLS 1.2",
}

NINE_FAIL: Mapping[str, tuple[str, ...]] = {
    "wsus02": ("certificate_days", "restart"),
    "wsus03": ("patch_level", "tls_required", "application_pool"),
    "wsus05": ("application_pool",),
    "wsus06": ("patch_level", "binding_served", "certificate_trusted_itself"),
    "wsus08": ("binding", "configuressl", "tls_required", "upstream_tls", "tls_versions"),
    "wsus09": ("reachable",),
}
_NINE_UPSTREAM = {
    "wsus01": None,
    "wsus02": "wsus01",
    "wsus03": "wsus01",
    "wsus04": "wsus01",
    "wsus05": "wsus02",
    "wsus06": "wsus02",
    "wsus07": "wsus03",
    "wsus08": "wsus03",
    "wsus09": "wsus04",
}
_NINE_DAYS = {"wsus01": 341, "wsus02": 12, "wsus03": 96, "wsus04": 341, "wsus05": 203, "wsus06": 61, "wsus07": 148}


def server(
    name: str,
    *,
    upstream: str | None = None,
    failing: tuple[str, ...] = (),
    unknown: tuple[str, ...] = (),
    days: int | None = 200,
    severities: Mapping[str, str] | None = None,
    traffic: Mapping[str, Any] | None = None,
    traffic_problem: str | None = None,
) -> dict[str, Any]:
    """One server as wsus_audit returns it. failing, unknown: ids of checks. One that fails C(reachable) has nothing else that is known."""
    reached = "reachable" not in failing
    below = upstream is not None
    chance = random.Random(name.encode("utf-8", "replace"))
    thumbprint, other = (f"{chance.getrandbits(160):040X}" for _rest in range(2))
    until = NOW + datetime.timedelta(days=days or 0)
    words = {
        "name": name,
        "fqdn": f"{name}.corp.example",
        "thumbprint": thumbprint,
        "other": other,
        "days": str(days),
        "until": until.strftime("%Y-%m-%d"),
        "upstream": upstream or "nobody",
    }
    findings = []
    for check, rule in RULES.items():
        passed, failed, server_says, network_says = _SAID.get(check, ("nothing is wrong", "something is wrong", None, None))
        severity: Any = (severities or {}).get(check, rule.severity)
        if check in failing and (below or not check.startswith("upstream_")):
            views = (failed, _NETWORK_SAYS.get(check, network_says)) if server_says else (None, failed if network_says else None)
            found = Finding(check, "fail", severity, seen=failed, mend=rule.mend, server_says=views[0], network_says=views[1])
        elif not reached:
            found = Finding(check, "not_known", severity, reason="the server could not be looked at")
        elif check.startswith("upstream_") and not below:
            found = Finding(check, "not_applicable", severity, reason="it synchronizes from Microsoft Update")
        elif check == "turned_away" and traffic is None:
            found = Finding(check, "not_applicable", severity, reason="who calls the server was not read (traffic_days)")
        elif check in unknown or (check.startswith("certificate") and days is None):
            found = Finding(check, "not_known", severity, reason="the WSUS site has no https binding with a certificate")
        else:
            found = Finding(check, "pass", severity, seen=passed, server_says=server_says, network_says=network_says)
        findings.append({key: value.format_map(words) if isinstance(value, str) else value for key, value in asdict(found).items()})
    holder = reached and days is not None
    return {
        "name": name,
        "fqdn": words["fqdn"],
        "url": f"https://{words['fqdn']}:8531" if holder else f"http://{words['fqdn']}:8530" if reached else None,
        "upstream": upstream,
        "reached": reached,
        "standing": None if not reached else "HTTP" if days is None else "offers HTTPS" if "tls_required" in failing else "requires TLS",
        "build": "20348.3207" if "patch_level" in failing else "20348.4529" if reached else None,
        "certificate": {
            "thumbprint": thumbprint,
            "subject": f"CN={words['fqdn']}",
            "issuer": "CN=Corp Issuing CA 1, O=Corp",
            "not_before": "2025-11-21T16:00:00Z",
            "not_after": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "days_left": days,
            "key": "RSA 3072",
            "signature": "sha256",
        }
        if holder
        else None,
        "server_id": f"{chance.getrandbits(32):08x}-0000-4000-8000-{chance.getrandbits(48):012x}" if reached else None,
        "reported_fqdn": words["fqdn"] if reached else None,
        "downstream_servers": [] if reached else None,
        "traffic": dict(traffic) if traffic is not None else None,
        "traffic_problem": traffic_problem,
        "findings": findings,
    }


def traffic(
    over_tls: int,
    over_http: int,
    not_seen: int | None,
    turned_away: int,
    only_fail: int = 0,
    *,
    day: int = 21,
    names: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """What an audit says of who calls a server, with so many of each. NAMES: texts for `name`, `address` and `not_known`."""
    said = names or {}

    def listed(number: int, one: Any) -> dict[str, Any]:
        first = [one(place) for place in range(min(number, 25))]
        return {"number": number, "first": first, "more": number - len(first)}

    def address(place: int) -> str:
        return said.get("address", f"10.{place // 200}.{over_tls % 200}.{place % 200 + 10}")

    def name(place: int) -> str:
        return said.get("name", f"pc{over_tls % 1000:03}{place:03}.corp.example")

    caller: Any = lambda place: {  # noqa: E731
        "address": address(place),
        "names": [name(place)] if place % 3 else [],
        "kinds": ["client"] if place % 7 else ["downstream_server"],
        "last_served": f"2026-11-{day - place % 5:02}T08:00:00Z",
    }
    away: Any = lambda place: {  # noqa: E731
        **{key: value for key, value in caller(place + 1).items() if key != "last_served"},
        "last": f"2026-11-{day - 1:02}T09:00:00Z",
        "times": 3 + place,
        "seen_since": f"2026-11-{day:02}T10:00:00Z" if place % 2 else None,
    }
    absent: Any = lambda place: {"name": name(place + 500), "address": address(place), "last_seen": "2026-10-30T07:00:00Z"}  # noqa: E731
    return {
        "since": f"2026-11-{day - 7:02}T02:00:00Z",
        "read": f"2026-11-{day:02}T02:00:00Z",
        "days_with_evidence": [f"2026-11-{each:02}" for each in range(day - 6, day)],
        "days_without": [f"2026-11-{day - 7:02}"],
        "over_tls": over_tls,
        "over_http": listed(over_http, caller),
        "only_fail_over_tls": listed(only_fail, address),
        "seen": None if not_seen is None else over_tls,
        "not_seen": None if not_seen is None else listed(not_seen, absent),
        "turned_away": listed(turned_away, away),
        "not_known": [
            said.get("not_known", f"Nothing is known of 2026-11-{day - 7:02}: no request to the five services was answered with success then.")
        ],
    }


def client(name: str, *, server: str = "wsus01", problems: tuple[str, ...] = (), url: str | None = None, failed: str | None = None) -> dict[str, Any]:
    """One client of an audit, that was told its server by a group policy."""
    if failed is not None:
        return client_audited(name, {"failed": True, "msg": failed}, NOW)
    told = url or f"https://{server}.corp.example:8531"
    looked = {
        "url": told,
        "told_by": "group_policy",
        "winning_policies": [{"policy": "WSUS clients", "precedence": 1}],
        "trusted": True,
        "reached": True,
    }
    return client_audited(name, {**looked, "problems": list(problems), "notes": []}, NOW)


HTTP_URL = "What this machine was told is http://wsus03.corp.example:8530, which is not https. Should it be https://wsus03.corp.example:8531?"


def moving() -> dict[str, Any]:
    """The nine with who calls them, in the sixth week of a move, and some of their clients; a week after the audit before."""
    document = None
    for week in range(6):
        day = 14 + week
        # Over HTTP fewer week by week, on the one more than on the other.
        numbers = {name: (40 + 30 * week, max(0, (number * 13) % 97 - week * number * 2)) for number, name in enumerate(_NINE_UPSTREAM, 1)}
        last = week == 5
        servers = []
        for name, upstream in _NINE_UPSTREAM.items():
            over_tls, over_http = numbers[name]
            failing = ("turned_away",) if name == "wsus01" and last else ("tls_required",) if name not in ("wsus01", "wsus07") else ()
            called = traffic(over_tls, 0 if name == "wsus07" else over_http, 12 - 2 * week, 3 if name == "wsus01" and last else 0, week, day=day)
            read = name not in ("wsus08", "wsus09")
            problem = "Access to the path 'D:\\Logs' is denied." if name == "wsus08" else None
            servers.append(server(name, upstream=upstream, failing=failing, traffic=called if read else None, traffic_problem=problem))
        clients = [client(f"pc{number:02}", server=f"wsus0{number % 3 + 1}") for number in range(1, 70)]
        clients += [client(f"left{number}", problems=(HTTP_URL,), url="http://wsus03.corp.example:8530") for number in range(1, 16 - 2 * week)]
        clients += [client("away", failed="away: The connection failed: timed out")]
        clients += [client("gone")] if not last else [client("new")]
        document = audit(servers, about={"renew_days": 30, "traffic_days": 7}, previous=document, clients=clients)
        document["created"] = f"2026-11-{day:02}T16:00:00Z"
    assert document is not None
    return document


def audit(
    servers: list[dict[str, Any]],
    about: Mapping[str, Any] | None = None,
    previous: Mapping[str, Any] | None = None,
    clients: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """The audit of these servers, each listing those below it."""
    by_name = {each["name"]: each for each in servers}
    for each in servers:
        upstream = by_name.get(each["upstream"])
        if upstream is not None and upstream["downstream_servers"] is not None and each["reached"]:
            upstream["downstream_servers"].append({"id": each["server_id"], "fqdn": each["fqdn"], "last_sync": "2026-11-21T03:00:00Z"})
    return assemble(servers, NOW, previous=previous, about=about, clients=clients or [])


def nine(failing: Mapping[str, tuple[str, ...]] | None = None, previous: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Nine servers in three levels: some of everything."""
    failing = NINE_FAIL if failing is None else failing
    servers = [
        server(
            name,
            upstream=upstream,
            failing=failing.get(name, ()),
            unknown=("binding_served", "services_over_https") if "binding" in failing.get(name, ()) else (),
            days=None if "binding" in failing.get(name, ()) or "reachable" in failing.get(name, ()) else _NINE_DAYS.get(name, 120),
        )
        for name, upstream in _NINE_UPSTREAM.items()
    ]
    for each in servers:
        # A controller with a recent OpenSSL cannot ask for the old versions.
        if each["name"] in ("wsus04", "wsus05"):
            _unknown(each, "tls_versions", "this controller cannot ask for TLS 1.0, TLS 1.1")
    return audit(servers, about={"renew_days": 30, "sync_hours": 48, "free_gigabytes": 10}, previous=previous)


def nine_with_changes() -> dict[str, Any]:
    """The nine, a week after an audit in which other things failed."""
    before = nine({"wsus01": ("services",), "wsus02": ("restart",), "wsus03": ("patch_level", "tls_required"), "wsus07": ("upstream_tls",)})
    before["created"] = "2026-11-14T16:00:00Z"
    return nine(previous=before)


def nine_rolled_out() -> dict[str, Any]:
    """The nine after a rollout, held against how they stood before it: most over HTTP, one required TLS already, one was not reached."""
    http = ("binding", "configuressl", "tls_required")
    before = nine({name: () if name == "wsus04" else ("reachable",) if name == "wsus07" else http for name in _NINE_UPSTREAM})
    before["created"] = "2026-11-21T14:00:00Z"
    return nine({"wsus05": ("tls_required",), "wsus08": http, "wsus09": ("reachable",)}, previous=before)


def _unknown(each: dict[str, Any], check: str, reason: str) -> None:
    for finding in each["findings"]:
        if finding["check"] == check:
            finding.update(result="not_known", seen="", mend="", reason=reason, server_says=None, network_says=None)


def many(count: int, *, seed: int = 1, changed: bool = True, clients: int = 0) -> dict[str, Any]:
    """So many servers in four levels, with what a fleet has: a third well, a few out of reach, certificates of all ages. The same each time.
    CLIENTS: so many of them, and who calls each server, with the numbers of a month of audits."""
    chance = random.Random(seed)
    regions = max(1, count // 400)
    sites = max(1, count // 45)
    names = [f"wsus{number:04}" for number in range(count)]
    servers = []
    for number, name in enumerate(names):
        if number == 0:
            upstream = None
        elif number <= regions:
            upstream = names[0]
        elif number <= regions + sites:
            upstream = names[1 + number % regions]
        else:
            upstream = names[1 + regions + number % sites]
        failing: tuple[str, ...] = ()
        days: int | None = int(chance.triangular(20, 730, 330))
        drawn = chance.random()
        if drawn < 0.03:
            failing = ("reachable",)
        elif drawn < 0.10:
            failing, days = ("binding", "configuressl", "tls_required", "upstream_tls", "services_over_https"), None
        elif drawn < 0.65:
            failing = tuple(check for check in RULES if check != "reachable" and chance.random() < 0.07)
        if "certificate_days" in failing and days is not None:
            days = chance.randint(-20, 29)
        elif days is not None:
            days = max(days, 30)
        severities = {"certificate_days": "high"} if days is not None and days < 7 else None
        called = traffic(chance.randint(1, 400), chance.randint(0, 60), chance.randint(0, 40), number % 5) if clients else None
        servers.append(server(name, upstream=upstream, failing=failing, days=days, severities=severities, traffic=called))
        if called is not None:
            before = {key: called[key]["number"] for key in ("over_http", "not_seen", "turned_away", "only_fail_over_tls")}
            servers[-1]["traffic_before"] = [
                {"read": f"2026-10-{day:02}T02:00:00Z", "over_tls": called["over_tls"], **before} for day in range(1, 31)
            ]
    looked = [
        client(f"pc{number:05}", problems=(HTTP_URL,) if number % 3 == 0 else (), failed="no route" if number % 17 == 0 else None)
        for number in range(clients)
    ]
    previous = None
    if changed and count > 10:
        previous = many(count - 5, seed=seed + 1, changed=False)
        previous["created"] = "2026-11-14T16:00:00Z"
        # Most of what is wrong was wrong a week ago.
        for now, before in zip(servers, previous["servers"], strict=False):
            if chance.random() < 0.97:
                before["findings"] = now["findings"]
    return audit(servers, about={"renew_days": 30, "slices": 4}, previous=previous, clients=looked)


def hostile() -> dict[str, Any]:
    """Every text of HOSTILE wherever a server, or what is seen of it, can put one; in a circle of upstreams, too."""
    servers = []
    for number, text in enumerate(HOSTILE):
        above = HOSTILE[number - 1]
        failing = tuple(check for place, check in enumerate(RULES) if (place + number) % 3 == 0 and check != "reachable")
        each = server("x", upstream="x", failing=failing, unknown=tuple(RULES)[1:9:2], days=number * 9 - 20)
        each.update(name=text, fqdn=text, url=text, upstream=above, standing=text, build=text, server_id=text, reported_fqdn=text)
        each["certificate"].update(thumbprint=text, subject=text, issuer=text, key=text, signature=text, not_after=text)
        each["traffic"] = traffic(number, 3, 3, 3, 3, names={"name": text, "address": text, "not_known": text})
        each["traffic_problem"] = text
        each["downstream_servers"] = [{"id": text, "fqdn": text, "last_sync": text}]
        for finding in each["findings"]:
            for key in ("seen", "reason", "mend", "server_says", "network_says", "disagreement"):
                if finding[key]:
                    finding[key] = text
            if finding["result"] == "fail":
                finding["disagreement"] = text
        servers.append(each)
    clients = [client("x", problems=(text,), url=text) for text in HOSTILE] + [client("x", failed=text) for text in HOSTILE]
    for one, text in zip(clients, [*HOSTILE, *HOSTILE], strict=True):
        one.update(name=text, policy=text, told_by=text)
    previous = assemble(copy.deepcopy(servers[:6]), NOW, clients=copy.deepcopy(clients[:4]))
    for each in previous["clients"]:
        each["name"] += " gone"
    for number, each in enumerate(previous["servers"]):
        if number < 3:
            each["name"] += " gone"
        else:
            each["standing"] += " before"
            for finding in each["findings"]:
                finding["result"] = "pass"
    return assemble(servers, NOW, previous=previous, about={text: text for text in HOSTILE}, clients=clients)
