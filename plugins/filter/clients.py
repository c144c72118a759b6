# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The filters for clients: what an MDM tells them, and what the role C(clients) asks. Each is documented in a file of its name."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t
from collections.abc import Callable, Mapping, Sequence

from ansible.errors import AnsibleFilterError

from ..plugin_utils import client_proof, rings
from ..plugin_utils.client import MDM_SETTING
from ..plugin_utils.state import Refusal
from ..plugin_utils.update_url import read_url

Results = Sequence[Mapping[str, t.Any]]


def mdm_policy(url: str) -> dict[str, str]:
    """The setting of a custom MDM profile that tells clients this URL. Raises AnsibleFilterError for one that they cannot be told."""
    if not isinstance(url, str):
        raise AnsibleFilterError(f"securepatch.wsus.mdm_policy: the input must be a URL, not {type(url).__name__}.")
    try:
        return {"oma_uri": MDM_SETTING, "type": "string", "value": read_url(str(url)).text}
    except Refusal as refusal:
        raise AnsibleFilterError(f"securepatch.wsus.mdm_policy: {refusal}") from None


def client_targets(
    policies: Sequence[Mapping[str, t.Any]],
    groups: Mapping[str, Sequence[str]],
    policy_host: str = "",
    server: str = "",
    url: str = "",
    seen: Results = (),
) -> dict[str, t.Any]:
    """What a set of machines is to be told: by each group policy, or by somebody else (SERVER or URL)."""
    found: list[rings.Told] = []
    problems: list[str] = []
    servers = groups.get(rings.SERVERS) or []
    looked = by_item(seen)
    now = datetime.datetime.now(tz=datetime.UTC)
    try:
        if policies and (server or url):
            problems.append("clients_policies say what is told: clients_server and clients_url are for machines that somebody else tells.")
        elif not policies and not (server or url):
            problems.append(
                "Give clients_policies, or clients_server or clients_url where somebody else tells these machines (MDM, their own policy)."
            )
        wanted = rings.read_policies(policies, servers, policy_host, groups.get("all") or ())
        if not policies and (server or url):
            wanted = (rings.Policy("what these machines are told", server=server or None, url=url or None),)
        found = [rings.told_by(policy, looked, now) for policy in wanted]
        if not policies and url:
            read_url(url, "clients_url")
    except rings.RingsError as error:
        problems += error.problems
    except Refusal as refusal:
        problems.append(str(refusal))
    problems += [f"{one.policy.called}: {one.problem}" for one in found if one.problem]
    urls = list(dict.fromkeys(one.url for one in found if one.url))
    return {
        "problems": problems,
        "notes": list(dict.fromkeys(note for one in found for note in one.notes)),
        "urls": urls,
        # Where there is one, whether it is trusted can be seen before anybody is told.
        "endpoint": _endpoint(urls[0]) if len(urls) == 1 and not problems else None,
        "policies": [{**dataclasses.asdict(one.policy), "url": one.url} for one in found] if policies else [],
    }


def _endpoint(url: str) -> dict[str, t.Any]:
    read = read_url(url)
    return {"host_name": read.host_name, "port": read.port}


def client_told(
    info: Mapping[str, t.Any], urls: Sequence[str], policies: Results = (), refreshed: Mapping[str, t.Any] | None = None
) -> dict[str, list[str]]:
    """What is wrong with what a machine was told after its policies were set and refreshed, and what to know beside it."""
    set_now = [{**policy, "name": policy.get("name")} for one in policies if (policy := one.get("policy"))]
    findings = client_proof.judge_told(info, list(urls), set_now, refreshed or {})
    return {"problems": list(findings.problems), "notes": list(findings.notes)}


def client_search(result: Mapping[str, t.Any], url: str | None = None) -> str:
    """Why a search is no proof; empty where it is one."""
    return client_proof.search_problem(result, url) or ""


def by_item(results: t.Any) -> dict[str, Mapping[str, t.Any]]:
    """The results of a loop by their item."""
    return {str(one.get("item")): one for one in results or () if isinstance(one, Mapping)}


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., object]]:
        return {"mdm_policy": mdm_policy, "client_targets": client_targets, "client_told": client_told, "client_search": client_search}
