# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from ..plugin_utils.planning import Plan
from ..plugin_utils.server_action import ServerAction
from ..plugin_utils.state import State
from ..plugin_utils.trusting import TrustWish, found_at, managed_trust, plan_trust, thumbprints, trust_of


class ActionModule(ServerAction):
    ARGUMENTS = {
        "authorities": {"type": "list", "elements": "str", "default": []},
        "pinned": {"type": "list", "elements": "str", "default": []},
        "endpoints": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {"host_name": {"type": "str", "required": True}, "port": {"type": "int", "default": 8531}},
        },
    }

    _read: TrustWish | None = None

    def _wish(self, arguments: Mapping[str, Any]) -> TrustWish:
        if self._read is None:
            self._read = TrustWish(
                self._certificates(arguments["authorities"], "The file of authorities"),
                self._certificates(arguments["pinned"], "The file of a certificate to pin"),
                tuple(self.look_at(arguments)),
            )
        return self._read

    def look_at(self, arguments: Mapping[str, Any]) -> list[tuple[str, int]]:
        return [(endpoint["host_name"], endpoint["port"]) for endpoint in arguments["endpoints"]]

    def ask_trust(self, arguments: Mapping[str, Any]) -> list[str]:
        return thumbprints(self._wish(arguments))

    def plan(self, state: State, arguments: Mapping[str, Any], now: datetime.datetime) -> Plan:
        self._asked = self.ask_trust(arguments)
        return plan_trust(state, self._wish(arguments), now)

    def look_after(self, state: State, arguments: Mapping[str, Any], plan: Plan) -> list[tuple[str, int]]:
        return self.look_at(arguments)

    def managed(self, state: State) -> Any:
        return managed_trust(state, self._asked)

    def values(self, state: State, plan: Plan) -> dict[str, Any]:
        # As it is afterwards: the plan's values are from before.
        wish = self._read or TrustWish()
        return {"trust": trust_of(state, wish), "endpoints": found_at(state, wish)}
