# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, cast

from ..plugin_utils.client import ClientWish, found_at, managed_client, plan_client
from ..plugin_utils.client_action import ClientAction
from ..plugin_utils.client_changes import DetectNow
from ..plugin_utils.client_state import ClientState, client_of
from ..plugin_utils.host_action import Stop
from ..plugin_utils.planning import Plan


class ActionModule(ClientAction):
    ARGUMENTS = {
        "url": {"type": "str", "required": True},
        "alternate_url": {"type": "str"},
        "force": {"type": "bool", "default": False},
        "detect_now": {"type": "bool", "default": True},
    }

    _detection = "none"
    _detection_problem: str | None = None

    def plan(self, state: ClientState, arguments: Mapping[str, Any], now: datetime.datetime) -> Plan:
        wish = ClientWish(arguments["url"], arguments["alternate_url"], arguments["force"], arguments["server_state"])
        plan = plan_client(state, wish, now)
        if plan.changes and arguments["detect_now"]:
            self._detection = "started"
        return plan

    def apply(self, state: ClientState, arguments: Mapping[str, Any], plan: Plan) -> ClientState:
        if not arguments["detect_now"]:
            return super().apply(state, arguments, plan)
        try:
            return self._change([*plan.changes, DetectNow()], arguments)
        except Stop as stop:
            after = stop.result.get("state")
            if after is None or stop.failure is None or int(stop.failure["change"]) < len(plan.changes):
                raise
            # The machine was told; that it looks at once is a kindness. It looks by itself within a day.
            self._detection, self._detection_problem = "failed", str(stop.failure["message"]).rstrip(". ")
            return cast("ClientState", after)

    def managed(self, state: ClientState) -> Any:
        return managed_client(state)

    def values(self, state: ClientState, plan: Plan) -> dict[str, Any]:
        # What it finds at the new server shows only once it was told.
        looked = [] if state.get("predicted") else found_at(client_of(state))
        notes = [*plan.notes, *(each["problem"] for each in looked if each["problem"])]
        if self._detection_problem:
            notes.append(f"The machine could not be made to look for updates now ({self._detection_problem}). It will by itself.")
        return {"notes": notes, "endpoints": looked, "detection": self._detection}
