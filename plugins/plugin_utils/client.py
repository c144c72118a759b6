# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What one machine was told about its WSUS server, by whom, what of that is wrong, and how it is told by its own policy.

A machine goes to C(WUServer) of its policy where C(UseWUServer) is 1; both a policy and MDM can name a server [BP], and a policy of update
sources can send it to Windows Update instead.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Sequence
from typing import Any, Literal

from .authorities import thumbprint_of
from .changes import Change
from .client_changes import LocalPolicy
from .client_state import ALTERNATE, SERVER, STATUS_SERVER, USE_SERVER, ClientState, UpdateClient, client_of, value_of
from .planning import Plan
from .state import Endpoint, Refusal, State, against_endpoint, is_good
from .update_url import UpdateUrl, read_url, refuse_other_server

MDM_SETTING = "./Device/Vendor/MSFT/Policy/Config/Update/UpdateServiceUrl"
"""Where MDM tells a client its server [BP]."""

_SOURCE = "SetPolicyDrivenUpdateSourceFor"
_SOURCES = {"FeatureUpdates": "feature updates", "QualityUpdates": "quality updates", "DriverUpdates": "drivers", "OtherUpdates": "other updates"}
_USE_SOURCES = "UseUpdateClassPolicySource"
_MACHINE = "this machine"

TellsBy = Literal["group_policy", "policy", "mdm", "nobody"]


@dataclasses.dataclass(frozen=True)
class Told:
    """What a machine was told.

    url: its server, None where nobody named one. by: the group policy that the machine has on record, its policy where it has none on record
    (local, or a domain that keeps no record), MDM, nobody. used: whether it looks for updates there. elsewhere: what it gets from Windows
    Update in spite of it.
    """

    url: str | None
    by: TellsBy
    status_url: str | None
    alternate_url: str | None
    mdm_url: str | None
    used: bool
    elsewhere: tuple[str, ...]


def told(client: UpdateClient) -> Told:
    """What a machine was told, by whom, and whether it keeps to it."""
    policy = client["policy"]
    own = _text(value_of(policy, SERVER))
    mdm = _text(client["mdm_server"])
    by: TellsBy = "nobody"
    if own:
        by = "group_policy" if client["winning_policies"] else "policy"
    elif mdm:
        by = "mdm"
    return Told(
        url=own or mdm,
        by=by,
        status_url=_text(value_of(policy, STATUS_SERVER)),
        alternate_url=_text(value_of(policy, ALTERNATE)),
        mdm_url=mdm,
        used=bool(own and _is(value_of(client["automatic_updates"], USE_SERVER), 1)) or by == "mdm",
        elsewhere=_elsewhere(client),
    )


def _plain(url: str) -> str:
    # A slash at the end does no harm where it is there already.
    return url.removesuffix("/")


def _text(value: Any) -> str | None:
    return str(value).strip() or None if value is not None else None


def _is(value: Any, number: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value == number


def _elsewhere(client: UpdateClient) -> tuple[str, ...]:
    # 0 is Windows Update, 1 is WSUS. The switch beside them turns all of it off; where it is not there, what they say may count.
    if _is(value_of(client["automatic_updates"], _USE_SOURCES), 0):
        return ()
    return tuple(words for name, words in _SOURCES.items() if _is(value_of(client["policy"], _SOURCE + name), 0))


@dataclasses.dataclass(frozen=True)
class Findings:
    """What is wrong with what a machine was told and what it finds there, and what to know beside it: sentences for an administrator."""

    problems: tuple[str, ...]
    notes: tuple[str, ...]


def judge_client(client: UpdateClient, now: datetime.datetime, wanted: UpdateUrl | None = None, server: State | None = None) -> Findings:
    """Judge a machine at NOW (aware). WANTED: the URL that it is to have; SERVER: the state of the server that it is to come to."""
    found = told(client)
    problems = _against_telling(client, found)
    notes = _remarks(client, found)
    if found.url is not None:
        try:
            url = read_url(_plain(found.url), "What this machine was told")
            if server is not None:
                notes += refuse_other_server(url, server, now)
        except Refusal as refusal:
            problems.append(str(refusal))
        problems += _against_wanted(client, found, wanted)
    problems += _against_endpoints(client)
    return Findings(tuple(dict.fromkeys(problems)), tuple(notes))


def _against_telling(client: UpdateClient, found: Told) -> list[str]:
    problems = []
    if found.url is None:
        problems.append("Nobody told this machine of a WSUS server: it looks for updates at Windows Update.")
    if found.by in ("group_policy", "policy"):
        if not found.used:
            value = value_of(client["automatic_updates"], USE_SERVER)
            problems.append(
                f"{USE_SERVER} is {'not set' if value is None else value}, not 1: this machine looks for updates at Windows Update, whatever "
                f"{SERVER} says."
            )
        if found.status_url != found.url:
            problems.append(
                f"{STATUS_SERVER} is {found.status_url or 'not set'}, and {SERVER} is {found.url}: they are valid only when both are the same."
            )
    if found.mdm_url and found.by != "mdm" and found.mdm_url != found.url:
        problems.append(
            f"Policy and MDM differ: {_who(client, found)} says {found.url}, MDM (UpdateServiceUrl) says {found.mdm_url}. Which of them counts "
            "depends on the machine: tell it by one of them, or the same by both."
        )
    if found.url and found.elsewhere:
        problems.append(sources_problem(found.elsewhere))
    return problems


def sources_problem(elsewhere: Sequence[str]) -> str:
    """What is said of a policy of update sources that sends a machine to Windows Update for these."""
    return f"A policy of update sources ({_SOURCE}...) sends this machine to Windows Update for {', '.join(elsewhere)}."


def _against_wanted(client: UpdateClient, found: Told, wanted: UpdateUrl | None) -> list[str]:
    if wanted is None or found.url is None or _plain(found.url).casefold() == wanted.text.casefold():
        return []
    more = ""
    if found.by == "group_policy":
        more = " If another policy says so, that one has the higher precedence here: change it as well, or its order, link or filter."
    return [f"It is not {wanted.text}: {_who(client, found)} says {found.url}.{more}"]


def _who(client: UpdateClient, found: Told) -> str:
    if found.by == "group_policy":
        first = min(client["winning_policies"], key=lambda each: each["precedence"])
        return f"the group policy {first['policy']}"
    return {"policy": "the policy on this machine", "mdm": "MDM"}.get(found.by, "nobody")


def _remarks(client: UpdateClient, found: Told) -> list[str]:
    notes = []
    if found.alternate_url and not found.alternate_url.casefold().startswith("https://"):
        notes.append(f"{ALTERNATE} is {found.alternate_url}: files of updates come from there, signed and hashed, and it need not be https.")
    if found.by == "policy" and client["domain_member"]:
        notes.append("The machine is in a domain and has no group policy on record for this: it was told locally, or the domain keeps no record.")
    if client["search"]["error"]:
        notes.append(f"The update agent does not say when it last searched: {client['search']['error']['message'].rstrip('. ')}.")
    return notes


def _against_endpoints(client: UpdateClient) -> list[str]:
    problems = [problem for _rest, problem in _looked(client) if problem]
    sent = [thumbprint_of(endpoint["certificates"][0]) for endpoint in client["endpoints"] if endpoint["tls"] and endpoint["certificates"]]
    if client["pinned"] and sent and not set(sent) & set(client["pinned"]):
        problems.append(
            f"This machine takes pinned certificates only ({', '.join(client['pinned'])}), and the server's is {sent[0]}: a search over HTTPS fails "
            "[SCAN]. Pin the server's certificate as well (securepatch.wsus.wsus_trust)."
        )
    return problems


def _looked(client: UpdateClient) -> list[tuple[Endpoint, str | None]]:
    """What a machine looked at, each with what is wrong there, as a sentence; None where nothing is."""
    beside = any(each["tls"] for each in client["endpoints"])
    return [(each, _problem(each, beside)) for each in client["endpoints"]]


def _problem(endpoint: Endpoint, beside: bool) -> str | None:
    if endpoint["tls"]:
        against = against_endpoint(endpoint, _MACHINE)
        return f"{against[:1].upper()}{against[1:]}." if against else None
    if endpoint["reachable"]:
        return None
    why = endpoint["error"]["message"].rstrip(". ") if endpoint["error"] else "no answer"
    what = " Clients get the files of updates there, over HTTP [CFG]." if beside else ""
    return f"{endpoint['host_name']}:{endpoint['port']} cannot be reached from {_MACHINE} ({why}).{what}"


def found_at(client: UpdateClient) -> list[dict[str, Any]]:
    """What a machine found at the server it was told, and at the port beside it: host_name, port, tls, ok and problem."""
    return [
        {"host_name": each["host_name"], "port": each["port"], "tls": each["tls"], "ok": problem is None, "problem": problem}
        for each, problem in _looked(client)
    ]


def told_values(client: UpdateClient) -> dict[str, Any]:
    """What a module tells of it, in plain types. C(reached), C(trusted), C(content_reached): null where that was not looked at."""
    found = told(client)
    tls = next((each for each in client["endpoints"] if each["tls"]), None)
    plain = next((each for each in client["endpoints"] if not each["tls"]), None)
    return {
        "url": found.url,
        "told_by": found.by,
        "winning_policies": sorted(client["winning_policies"], key=lambda each: each["precedence"]),
        "mdm_url": found.mdm_url,
        "alternate_url": found.alternate_url,
        "used": found.used,
        "from_windows_update": list(found.elsewhere) if found.url else [],
        "reached": tls["reachable"] if tls else plain["reachable"] if plain else None,
        "trusted": is_good(tls) if tls else None,
        "content_reached": plain["reachable"] if plain else None,
        "endpoints": found_at(client),
        "pinned": list(client["pinned"]),
        "domain_member": client["domain_member"],
        "client_id": client["client_id"],
        "last_search": client["search"]["last"],
    }


# --- local policy --------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class ClientWish:
    """What a machine is to be told by its own policy. force: although it is in a domain, or MDM tells it otherwise."""

    url: str | None
    alternate_url: str | None = None
    force: bool = False
    server: State | None = None


def plan_client(state: ClientState, wish: ClientWish, now: datetime.datetime) -> Plan:
    """Plan what a machine's own policy says. NOW is aware. Raises Refusal: a URL that cannot be or that the server does not answer to, a machine
    in a domain, one that MDM tells otherwise."""
    url = read_url(wish.url)
    notes = list(refuse_other_server(url, wish.server, now)) if wish.server is not None else []
    against_alternate(wish.alternate_url)
    client = client_of(state)
    changes = _missing(client, url.text, wish.alternate_url)
    if client["domain_member"]:
        if not wish.force:
            raise Refusal(
                "This machine is in a domain: the next refresh of its group policies would overwrite what is set here. Change the group policy "
                "(securepatch.wsus.wsus_client_policy), or give force."
            )
        notes.append("The machine is in a domain: the next refresh of its group policies may overwrite this.")
    found = told(client)
    if found.mdm_url and found.mdm_url != url.text:
        said = f"MDM tells this machine {found.mdm_url} (UpdateServiceUrl)"
        if not wish.force:
            raise Refusal(f"{said}, and two answers would stand beside each other. Change it there (securepatch.wsus.mdm_policy), or give force.")
        notes.append(f"{said}. Which of the two counts depends on the machine.")
    if found.elsewhere:
        notes.append(f"A policy of update sources ({_SOURCE}...) sends this machine to Windows Update for {', '.join(found.elsewhere)}. It stays.")
    return Plan(tuple(changes), tuple(notes))


def _missing(client: UpdateClient, url: str, alternate: str | None) -> list[Change]:
    texts = [(SERVER, url), (STATUS_SERVER, url), *([(ALTERNATE, alternate)] if alternate else [])]
    changes: list[Change] = [LocalPolicy(name, "String", data) for name, data in texts if value_of(client["policy"], name) != data]
    if not _is(value_of(client["automatic_updates"], USE_SERVER), 1):
        changes.append(LocalPolicy(USE_SERVER, "DWord", 1, automatic_updates=True))
    return changes


def against_alternate(url: str | None) -> None:
    """Raise Refusal for a URL that clients cannot get the files of updates from; None is none."""
    if url is None:
        return
    if not url.casefold().startswith(("http://", "https://")) or any(not 32 < ord(character) < 127 for character in url) or "@" in url:
        raise Refusal("alternate_url is no URL that clients can use: give it as http(s)://NAME:PORT, without a user and without blanks.")


def managed_client(state: ClientState) -> dict[str, Any]:
    """What of a machine's policy is managed, for before and after; null for a value that is not there."""
    client = client_of(state)
    found = {name: value_of(client["policy"], name) for name in (SERVER, STATUS_SERVER, ALTERNATE)}
    return {**found, USE_SERVER: value_of(client["automatic_updates"], USE_SERVER)}
