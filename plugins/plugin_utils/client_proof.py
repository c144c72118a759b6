# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Whether a machine proves that clients come over HTTPS: it was told the URL, by whom it should have been, and a search there works.

The search is the proof. What the machine says of its own last search is not: that counts the machine's own searches only [API], and an old one
may have gone over HTTP.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from .client import Findings, sources_problem

UPDATE_ERRORS = {
    "80070422": ("ERROR_SERVICE_DISABLED", "the machine's service Windows Update is disabled"),
    "80244011": ("WU_E_PT_SUS_SERVER_NOT_SET", "no valid server is set: WUServer and WUStatusServer, the same, and UseWUServer"),
    "80244017": ("WU_E_PT_HTTP_STATUS_DENIED", "HTTP 401: the web service or a proxy wants a user"),
    "80244018": ("WU_E_PT_HTTP_STATUS_FORBIDDEN", "HTTP 403: it still comes over HTTP where TLS is required, or a proxy refused it"),
    "80244019": ("WU_E_PT_HTTP_STATUS_NOT_FOUND", "HTTP 404: a web server answers there, and it is not WSUS"),
    "8024401b": ("WU_E_PT_HTTP_STATUS_PROXY_AUTH_REQ", "HTTP 407: a proxy stands between, and wants a user; except the server from the proxy"),
    "8024401c": ("WU_E_PT_HTTP_STATUS_REQUEST_TIMEOUT", "HTTP 408: the server did not answer in time; see its load and its application pool"),
    "80244022": ("WU_E_PT_HTTP_STATUS_SERVICE_UNAVAIL", "HTTP 503: the server's application pool is stopped or overloaded"),
    "8024402c": ("WU_E_PT_WINHTTP_NAME_NOT_RESOLVED", "the server's name, or a proxy's, does not resolve on this machine"),
    "80072ee2": ("ERROR_INTERNET_TIMEOUT", "nothing answers in time: a firewall between this machine and the port"),
    "80072ee7": ("ERROR_INTERNET_NAME_NOT_RESOLVED", "the server's name does not resolve on this machine"),
    "80072efd": ("ERROR_INTERNET_CANNOT_CONNECT", "nothing listens on the port, or a firewall is before it"),
    "80072efe": ("ERROR_INTERNET_CONNECTION_ABORTED", "the connection was cut: often by what looks into TLS on the way, or no common TLS version"),
    "80072f7d": ("ERROR_INTERNET_SECURE_CHANNEL_ERROR", "no common TLS version"),
    "80072f8f": (
        "ERROR_INTERNET_SECURE_FAILURE",
        "the certificate is not taken: its authority is not trusted by the computer, another name, the clock",
    ),
    "800b0109": ("CERT_E_UNTRUSTEDROOT", "the chain ends in a root that the computer does not trust"),
}
"""What a search fails with where the move to HTTPS is the cause, or is blamed: name, and what it comes from. docs/troubleshooting.md has each."""

_CODE = re.compile(r"\b0x([0-9a-f]{8})\b", re.IGNORECASE)
_DISTINCT = re.compile(r"cn=\{([0-9a-f-]{36})\}", re.IGNORECASE)


def judge_told(info: Mapping[str, Any], urls: Sequence[str], policies: Sequence[Mapping[str, Any]], refreshed: Mapping[str, Any]) -> Findings:
    """Judge what a machine was told after it refreshed its policies.

    INFO: the result of wsus_client_info. URLS: those that may be told here. POLICIES: those that were set (name, guid). REFRESHED: the result of
    the refresh, empty where there was none.
    """
    trouble = _refresh_trouble(refreshed)
    problems: list[str] = []
    notes: list[str] = list(info.get("notes") or ())
    found = str(info.get("url") or "")
    if not found or _plain(found) not in {_plain(url) for url in urls}:
        problems += _other_url(info, found, urls, policies)
        problems += trouble
    else:
        notes += trouble
    # What goes to Windows Update by a policy of sources may be meant so, and the search asks WSUS by name.
    meant = sources_problem(info.get("from_windows_update") or ())
    for problem in info.get("problems") or ():
        (notes if problem == meant else problems).append(problem)
    return Findings(tuple(dict.fromkeys(problems)), tuple(dict.fromkeys(notes)))


def _plain(url: str) -> str:
    return url.removesuffix("/").casefold()


def _refresh_trouble(refreshed: Mapping[str, Any]) -> list[str]:
    if refreshed.get("unreachable"):
        return [f"The connection was lost as it refreshed its group policies: {_said(refreshed)}."]
    if refreshed.get("failed") or refreshed.get("rc"):
        said = " ".join(str(refreshed.get("stdout") or refreshed.get("stderr") or refreshed.get("msg") or "it gave no reason").split()).rstrip(". ")
        ended = f"gpupdate ended with {refreshed['rc']}" if refreshed.get("rc") is not None else "gpupdate did not run to its end"
        return [f"Refreshing its group policies failed ({ended}): {said}."]
    return []


def _other_url(info: Mapping[str, Any], found: str, urls: Sequence[str], policies: Sequence[Mapping[str, Any]]) -> list[str]:
    wanted = " or ".join(dict.fromkeys(urls))
    by, winners = info.get("told_by"), info.get("winning_policies") or ()
    if by == "nobody" or not found:
        why = (
            " None of the ring's policies reaches it: see their links, their security filter, and whether the machine is in that domain."
            if policies
            else ""
        )
        return [f"It was not told {wanted}.{why}"]
    if by == "mdm":
        return [f"It was told {found} by MDM (UpdateServiceUrl), not {wanted}: change it there as well (securepatch.wsus.mdm_policy)."]
    if by == "group_policy" and winners and policies:
        first = min(winners, key=lambda each: each["precedence"])
        path = str(first["policy"])
        own = {str(policy.get("guid") or "").strip("{}").casefold(): str(policy.get("name")) for policy in policies}
        match = _DISTINCT.search(path)
        name = own.get(match[1].casefold()) if match else None
        if name:
            return [
                f"It still has {found} from the policy '{name}', which names {wanted} now: the machine read it where the change has not arrived yet. "
                "Domain controllers replicate; run this again later, or name the machine's own in domain_controller."
            ]
        names = ", ".join(f"'{policy.get('name')}'" for policy in policies)
        return [
            f"Another group policy has a higher precedence on this machine and says {found}: {path}. It wins over {names}. Add it to the ring's "
            "policies, or change its order, link or filter."
        ]
    if by == "group_policy":
        return [f"It was told {found} by a group policy ({', '.join(str(each['policy']) for each in winners)}), not {wanted}."]
    return [
        f"The policy on this machine says {found}, not {wanted}, and no group policy is on record for it: it was set locally or by a program, "
        "or none of the policies reaches the machine."
    ]


def _said(result: Mapping[str, Any]) -> str:
    return " ".join(str(result.get("msg") or "it gave no reason").split()).rstrip(".")


def search_problem(result: Mapping[str, Any], url: str | None) -> str | None:
    """Why a search for updates is no proof, as sentences; None where it is one. RESULT: of win_updates, failed, unreachable or not."""
    if result.get("unreachable"):
        return f"The connection was lost as it searched at {url}: {_said(result)}."
    if not result.get("failed") and "found_update_count" in result:
        return None
    said = _said(result)
    codes = dict.fromkeys(code.lower() for code in _CODE.findall(said))
    known = [f"0x{code.upper()} is {UPDATE_ERRORS[code][0]}: {UPDATE_ERRORS[code][1]}." for code in codes if code in UPDATE_ERRORS]
    return " ".join([f"The search at {url} failed: {said}.", *known])
