# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The state of a machine that gets its updates from WSUS, and of the group policies that say so: documents as C(wsus_client_state.ps1) gives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict

from .state import Endpoint, Failure

WINDOWS_UPDATE = r"SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate"
AUTOMATIC_UPDATES = WINDOWS_UPDATE + r"\AU"
SERVER = "WUServer"
STATUS_SERVER = "WUStatusServer"
ALTERNATE = "UpdateServiceUrlAlternate"
USE_SERVER = "UseWUServer"


class WinningPolicy(TypedDict):
    policy: str
    precedence: int


class Search(TypedDict):
    last: str | None
    error: Failure | None


class UpdateClient(TypedDict):
    domain_member: bool
    policy: dict[str, Any]
    automatic_updates: dict[str, Any]
    winning_policies: list[WinningPolicy]
    mdm_server: str | None
    client_id: str | None
    pinned: list[str]
    search: Search
    endpoints: list[Endpoint]


class PolicyValue(TypedDict):
    key: str
    name: str
    type: str
    data: Any
    action: str


class GroupPolicy(TypedDict):
    name: str
    guid: str | None
    domain: str | None
    status: str | None
    modified: str | None
    values: list[PolicyValue]
    known: list[str]
    error: Failure | None


class ClientState(TypedDict):
    """What one trip tells: of the machine itself, and of the group policies that were asked for."""

    update_client: UpdateClient | None
    group_policies: list[GroupPolicy]
    predicted: NotRequired[bool]


def value_of(values: Mapping[str, Any], name: str) -> Any:
    """A value by its name, None where there is none: Windows compares names without regard to case."""
    return next((value for each, value in values.items() if each.casefold() == name.casefold()), None)


def client_of(state: ClientState) -> UpdateClient:
    """The part of a state that is the machine's own. Raises ValueError where nobody asked for it."""
    if state["update_client"] is None:
        raise ValueError("The machine was not asked what it was told.")
    return state["update_client"]
