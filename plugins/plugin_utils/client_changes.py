# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The changes that tell clients where their updates are: in a machine's own policy, and in a group policy.

As the changes to a server (C(changes)), but what they predict is a C(ClientState).
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any

from .changes import Change, Event
from .client_state import AUTOMATIC_UPDATES, WINDOWS_UPDATE, ClientState, GroupPolicy, client_of, value_of


@dataclasses.dataclass(frozen=True)
class LocalPolicy(Change):
    """A value of a machine's own policy for Windows Update; None: it is not there afterwards. automatic_updates: in the key of that name."""

    name: str
    type: str
    data: str | int | None
    automatic_updates: bool = False

    kind = "registry"

    def payload(self) -> dict[str, Any]:
        path = "HKLM:\\" + (AUTOMATIC_UPDATES if self.automatic_updates else WINDOWS_UPDATE)
        return {"kind": self.kind, "path": path, "name": self.name, "type": self.type, "data": self.data}

    def describe(self) -> str:
        if self.data is None:
            return f"Remove {self.name} from this machine's policy"
        return f"Set {self.name} to {self.data} in this machine's policy"

    def predict(self, state: Any, now: datetime.datetime) -> None:
        values = self._values(state)
        for spelled in [each for each in values if each.casefold() == self.name.casefold()]:
            del values[spelled]
        if self.data is not None:
            values[self.name] = self.data

    def undo(self, before: Any) -> list[Change] | None:
        old = value_of(self._values(before), self.name)
        if old is not None and not isinstance(old, (str, int)):
            return None
        return [dataclasses.replace(self, type="DWord" if isinstance(old, int) else "String", data=old)]

    def _values(self, state: ClientState) -> dict[str, Any]:
        client = client_of(state)
        return client["automatic_updates"] if self.automatic_updates else client["policy"]


@dataclasses.dataclass(frozen=True)
class DetectNow(Event):
    """The machine looks for updates by itself; when it is done, nothing says."""

    kind = "detect_now"

    def describe(self) -> str:
        return "Let the machine look for updates now"

    def predict(self, state: Any, now: datetime.datetime) -> None:
        return None


# --- group policies ------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Place:
    """Which group policy: its name for words, its GUID, its domain and the domain controller to write to (None: Windows chooses)."""

    name: str
    guid: str
    domain: str | None
    server: str | None

    def keys(self) -> dict[str, Any]:
        """What of it a change has."""
        return {"guid": self.guid, "domain": self.domain, "server": self.server}

    def of(self, state: ClientState) -> GroupPolicy:
        """The policy in a state."""
        return next(each for each in state["group_policies"] if each["guid"] == self.guid)


@dataclasses.dataclass(frozen=True)
class PolicyBackup(Event):
    """Back a group policy up into a folder of the host that has the cmdlets."""

    place: Place
    path: str
    comment: str

    kind = "group_policy_backup"

    def payload(self) -> dict[str, Any]:
        return {"kind": self.kind, **self.place.keys(), "path": self.path, "comment": self.comment}

    def describe(self) -> str:
        return f"Back up the group policy '{self.place.name}' into {self.path}"

    def predict(self, state: Any, now: datetime.datetime) -> None:
        return None


@dataclasses.dataclass(frozen=True)
class PolicyValues(Change):
    """Values of one type in one key of a group policy. What stood there by these names is replaced, a "delete" as well."""

    place: Place
    key: str
    type: str
    values: tuple[tuple[str, Any], ...]

    kind = "group_policy"

    def payload(self) -> dict[str, Any]:
        return {"kind": self.kind, **self.place.keys(), "key": self.key, "type": self.type, "values": dict(self.values)}

    def describe(self) -> str:
        said: dict[Any, list[str]] = {}
        for name, data in self.values:
            said.setdefault(data, []).append(name)
        each = "; ".join(f"{' and '.join(names)} to {data}" for data, names in said.items())
        return f"Set {each} in the group policy '{self.place.name}'"

    def predict(self, state: Any, now: datetime.datetime) -> None:
        for name, data in self.values:
            PolicyAbsent(self.place, self.key, name).predict(state, now)
            self.place.of(state)["values"].append({"key": self.key, "name": name, "type": self.type, "data": data, "action": "Set"})

    def undo(self, before: Any) -> list[Change] | None:
        back: list[Change] = []
        kept: list[tuple[str, Any]] = []
        for name, _rest in self.values:
            old = [each for each in self.place.of(before)["values"] if is_setting(each, self.key, name)]
            if not old:
                back.append(PolicyAbsent(self.place, self.key, name))
            elif len(old) > 1 or old[0]["action"] != "Set" or old[0]["type"] != self.type:
                # A "delete" cannot be set again by these means: that takes the backup.
                return None
            else:
                kept.append((name, old[0]["data"]))
        return [*back, *([dataclasses.replace(self, values=tuple(kept))] if kept else [])]


@dataclasses.dataclass(frozen=True)
class PolicyAbsent(Change):
    """A value is not in a group policy."""

    place: Place
    key: str
    name: str

    kind = "group_policy_absent"

    def payload(self) -> dict[str, Any]:
        return {"kind": self.kind, **self.place.keys(), "key": self.key, "name": self.name}

    def describe(self) -> str:
        return f"Take {self.name} out of the group policy '{self.place.name}'"

    def predict(self, state: Any, now: datetime.datetime) -> None:
        policy = self.place.of(state)
        policy["values"] = [each for each in policy["values"] if not is_setting(each, self.key, self.name)]

    def undo(self, before: Any) -> list[Change] | None:
        old = [each for each in self.place.of(before)["values"] if is_setting(each, self.key, self.name)]
        if len(old) > 1 or any(each["action"] != "Set" for each in old):
            return None
        return [PolicyValues(self.place, self.key, each["type"], ((each["name"], each["data"]),)) for each in old]


def is_setting(value: Mapping[str, Any], key: str, name: str) -> bool:
    """Whether a value of a policy is the one of this key and name: Windows compares both without regard to case."""
    return bool(value["key"].casefold() == key.casefold() and value["name"].casefold() == name.casefold())
