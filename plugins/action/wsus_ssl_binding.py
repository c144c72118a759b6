# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any

from ..plugin_utils.binding import BindingWish, managed_bindings, plan_binding
from ..plugin_utils.changes import RestartSite
from ..plugin_utils.planning import Plan
from ..plugin_utils.server_action import ServerAction
from ..plugin_utils.state import Refusal, State


class ActionModule(ServerAction):
    ARGUMENTS = {
        "fqdn": {"type": "str"},
        "port": {"type": "int"},
        "thumbprint": {"type": "str"},
        "issuer": {"type": "str"},
        "friendly_name": {"type": "str"},
        "min_days_valid": {"type": "int", "default": 14},
    }
    CONSTRAINTS = {"mutually_exclusive": [["thumbprint", "issuer"], ["thumbprint", "friendly_name"]]}

    def plan(self, state: State, arguments: Mapping[str, Any], now: datetime.datetime) -> Plan:
        return plan_binding(state, BindingWish(**{name: arguments[name] for name in self.ARGUMENTS}), now)

    def managed(self, state: State) -> Any:
        return managed_bindings(state)

    def look_after(self, state: State, arguments: Mapping[str, Any], plan: Plan) -> list[tuple[str, int]]:
        # Whoever tells WSUS its name next wants to know whether the server finds itself there.
        return [(plan.values["fqdn"], plan.values["port"])]

    def settle(self, state: State, arguments: Mapping[str, Any], plan: Plan) -> State:
        # Whether the site goes on serving the old certificate shows only once the new one is bound.
        try:
            left = self.plan(state, arguments, datetime.datetime.now(tz=datetime.UTC)).changes
        except Refusal:
            return state  # told by whoever plans next
        if not any(isinstance(change, RestartSite) for change in left):
            return state
        self.also_done += left
        return self.apply(state, arguments, dataclasses.replace(plan, changes=left))
