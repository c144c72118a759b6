# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Planning what a group policy says about the WSUS server: "Specify intranet Microsoft update service location" [BP].

What the cmdlets answer is told apart by the ids, types and numbers of their errors: their texts are in the server's language.
"""

from __future__ import annotations

import dataclasses
import datetime
import difflib
from collections.abc import Mapping
from typing import Any

from .changes import Change
from .client import against_alternate
from .client_changes import Place, PolicyBackup, PolicyValues, is_setting
from .client_state import ALTERNATE, AUTOMATIC_UPDATES, SERVER, STATUS_SERVER, USE_SERVER, WINDOWS_UPDATE, ClientState, GroupPolicy, PolicyValue
from .planning import Plan
from .state import Refusal, State
from .update_url import read_url, refuse_other_server

KEY = f"HKLM\\{WINDOWS_UPDATE}"
AU_KEY = f"HKLM\\{AUTOMATIC_UPDATES}"
COMMENT = "Before clients are told to come over HTTPS (securepatch.wsus)"

_OFF = {"AllSettingsDisabled": "all its settings are", "ComputerSettingsDisabled": "its computer half is"}
_MANAGED = ((KEY, SERVER), (KEY, STATUS_SERVER), (KEY, ALTERNATE), (AU_KEY, USE_SERVER))

ACCESS_DENIED = (0x80070005, 0x8007052E)
"""E_ACCESSDENIED, and a logon that failed."""
OPERATIONS_ERROR = 0x80072020
"""What LDAP answers to somebody it does not know: where no credential came along."""
NO_DOMAIN = 0x8007054B
NOT_ANSWERING = (0x8007203A, 0x800706BA)
"""A directory server that is not operational, an RPC server that is not available."""

SECOND_HOP = (
    "WinRM passes no credential on, and the cmdlets need one for SYSVOL and LDAP (the second hop): run it on a domain controller with 'server' set "
    "to itself, or with become as an account that may edit the policy, or over a Kerberos connection with delegation."
)


@dataclasses.dataclass(frozen=True)
class PolicyWish:
    """What a group policy is to say. gpo: its display name. server: the domain controller to write to. backup_dir: on the host with the cmdlets.
    wsus: the state of the server that the URL is of."""

    gpo: str
    url: str | None
    domain: str | None = None
    server: str | None = None
    alternate_url: str | None = None
    backup_dir: str | None = None
    wsus: State | None = None


def plan_policy(state: ClientState, wish: PolicyWish, now: datetime.datetime) -> Plan:
    """Plan what is missing in the group policy. NOW is aware. Values: C(policy).

    Raises Refusal: a URL that cannot be or that the server does not answer to; a policy that is not there, cannot be read, or whose settings
    for computers are switched off.
    """
    url = read_url(wish.url)
    notes = list(refuse_other_server(url, wish.wsus, now)) if wish.wsus is not None else []
    against_alternate(wish.alternate_url)
    policy = state["group_policies"][0]
    place = _place(policy, wish)
    changes: list[Change] = []
    # One without the other is not valid, so both are set where either is wrong.
    if not (_is(policy, KEY, SERVER, "String", url.text) and _is(policy, KEY, STATUS_SERVER, "String", url.text)):
        changes.append(PolicyValues(place, KEY, "String", ((SERVER, url.text), (STATUS_SERVER, url.text))))
    if not _is(policy, AU_KEY, USE_SERVER, "DWord", 1):
        changes.append(PolicyValues(place, AU_KEY, "DWord", ((USE_SERVER, 1),)))
    if wish.alternate_url and not _is(policy, KEY, ALTERNATE, "String", wish.alternate_url):
        changes.append(PolicyValues(place, KEY, "String", ((ALTERNATE, wish.alternate_url),)))
    if changes and wish.backup_dir:
        changes.insert(0, PolicyBackup(place, wish.backup_dir, COMMENT))
    elif changes:
        notes.append("The policy is not backed up: no backup_dir was given.")
    return Plan(tuple(changes), (*notes, *_remarks(policy, wish)), {"policy": policy_of(policy)})


def _place(policy: GroupPolicy, wish: PolicyWish) -> Place:
    if policy["error"]:
        raise Refusal(f"{_unreadable(policy, wish)} {_windows_said(policy['error'])}")
    if not policy["guid"]:
        raise Refusal(f"The group policy '{wish.gpo}' could not be read, and Windows gave no reason.")
    if policy["status"] in _OFF:
        raise Refusal(
            f"The group policy '{policy['name']}' would tell nobody: {_OFF[str(policy['status'])]} switched off ({policy['status']}). Enable the "
            "computer configuration settings (Group Policy Management, Details, GPO Status), or name another policy."
        )
    return Place(policy["name"], policy["guid"], policy["domain"] or wish.domain, wish.server)


def _unreadable(policy: GroupPolicy, wish: PolicyWish) -> str:
    error: Mapping[str, Any] = policy["error"] or {}
    if _error_id(error) == "GpoWithNameNotFound":
        near = near_names(wish.gpo, policy["known"])
        hint = f" Nearly so are called: {', '.join(repr(name) for name in near)}." if near else " None of that domain's is called nearly so."
        return f"There is no group policy '{wish.gpo}' in {'the domain ' + wish.domain if wish.domain else 'this domain'}.{hint}"
    return what_went_wrong(error, wish) or f"The group policy '{wish.gpo}' could not be read."


def what_went_wrong(error: Mapping[str, Any], wish: PolicyWish) -> str:
    """What an error of the cmdlets means and what helps, as sentences; empty where it is not known."""
    kind, number = str(error.get("type") or ""), _number(error)
    if _error_id(error) in ("CommandNotFoundException", "CouldNotAutoloadMatchingModule") or kind.endswith(".CommandNotFoundException"):
        return (
            "The Group Policy cmdlets are not installed on this host. They come with the feature GPMC (Install-WindowsFeature GPMC), on a client "
            "Windows with the optional feature Rsat.GroupPolicy.Management.Tools."
        )
    if kind == "System.UnauthorizedAccessException" or number in ACCESS_DENIED or error.get("native") == 5:
        return f"Access to the group policy was denied. {SECOND_HOP} The account needs the right 'Edit settings' on this policy."
    if number == OPERATIONS_ERROR:
        return f"The directory answered nothing to somebody without a credential. {SECOND_HOP}"
    if number == NO_DOMAIN or _error_id(error) == "UnableToAccessDomain":
        return f"The domain {wish.domain or 'of this host'} is not there, or no domain controller of it could be contacted from this host."
    if number in NOT_ANSWERING:
        return f"The domain controller {wish.server or 'that Windows chose (the PDC emulator)'} does not answer this host."
    return ""


def _error_id(error: Mapping[str, Any]) -> str:
    # As PowerShell has it: the error's own id, a comma, and the cmdlet.
    return str(error.get("id") or "").partition(",")[0]


def _number(error: Mapping[str, Any]) -> int | None:
    try:
        return int(str(error.get("hresult")), 16)
    except ValueError:
        return None


def _windows_said(error: Mapping[str, Any]) -> str:
    return f"Windows said: {str(error['message']).strip().rstrip('.')} ({error.get('id') or error['type']}, {error['hresult']})."


def near_names(wanted: str, known: list[str]) -> list[str]:
    """The names that are nearly the wanted one, the nearest first, at most five; letters in any case."""
    folded: dict[str, str] = {}
    for name in known:
        folded.setdefault(name.casefold(), name)
    near = difflib.get_close_matches(wanted.casefold(), list(folded), n=5, cutoff=0.6)
    # A name of which the wanted one is a part is near as well, however long it is.
    parts = [name for name in folded if wanted.strip() and wanted.strip().casefold() in name and name not in near]
    return [folded[name] for name in [*near, *parts][:5]]


def _settings(policy: GroupPolicy, key: str, name: str) -> list[PolicyValue]:
    return [value for value in policy["values"] if is_setting(value, key, name)]


def _is(policy: GroupPolicy, key: str, name: str, kind: str, data: Any) -> bool:
    """Whether a policy says exactly this, and nothing beside it by the same name."""
    found = _settings(policy, key, name)
    return len(found) == 1 and (found[0]["action"], found[0]["type"], found[0]["data"]) == ("Set", kind, data)


def _remarks(policy: GroupPolicy, wish: PolicyWish) -> list[str]:
    notes = []
    alternate = [value["data"] for value in _settings(policy, KEY, ALTERNATE) if value["action"] == "Set" and value["data"]]
    if alternate and not wish.alternate_url:
        notes.append(f"{ALTERNATE} of this policy is {alternate[0]}, and stays: clients get the files of updates there.")
    source = "SetPolicyDrivenUpdateSourceFor"
    away = [
        value["name"]
        for value in policy["values"]
        if value["action"] == "Set" and value["name"].casefold().startswith(source.casefold()) and value["data"] == 0
    ]
    if away:
        notes.append(f"This policy sends its clients to Windows Update for some updates ({', '.join(away)}), and that stays.")
    return notes


def policy_of(policy: GroupPolicy) -> dict[str, Any]:
    """Which policy it is, in plain types."""
    return {"name": policy["name"], "guid": policy["guid"], "domain": policy["domain"], "status": policy["status"]}


def managed_policy(state: ClientState) -> dict[str, Any]:
    """What of the policy is managed, for before and after: null for a setting that it does not have, C(Delete) for one it takes away."""
    policy = state["group_policies"][0]
    return {name: _managed(_settings(policy, key, name)) for key, name in _MANAGED}


def _managed(values: list[PolicyValue]) -> Any:
    found = [value["data"] if value["action"] == "Set" else value["action"] for value in values]
    return found[0] if len(found) == 1 else found or None
