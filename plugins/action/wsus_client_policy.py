# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from ..plugin_utils.changes import Change
from ..plugin_utils.client_action import ClientAction
from ..plugin_utils.client_policy import PolicyWish, managed_policy, plan_policy, what_went_wrong
from ..plugin_utils.client_state import ClientState
from ..plugin_utils.host_action import Stop
from ..plugin_utils.planning import Plan


class ActionModule(ClientAction):
    ARGUMENTS = {
        "gpo": {"type": "str", "required": True},
        "url": {"type": "str", "required": True},
        "domain": {"type": "str"},
        "server": {"type": "str"},
        "alternate_url": {"type": "str"},
        "backup_dir": {"type": "str"},
    }

    def _arguments(self) -> dict[str, Any]:
        arguments = super()._arguments()
        if not (arguments["gpo"] or "").strip():
            raise Stop("gpo is empty: name the group policy that tells the clients. Nothing was changed.", changes=[])
        return arguments

    def asked(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        where = {name: arguments[name] for name in ("domain", "server") if arguments[name]}
        return {"update_client": False, "group_policies": [{"name": arguments["gpo"], **where}]}

    def plan(self, state: ClientState, arguments: Mapping[str, Any], now: datetime.datetime) -> Plan:
        self._wish = PolicyWish(
            gpo=arguments["gpo"],
            url=arguments["url"],
            domain=arguments["domain"],
            server=arguments["server"],
            alternate_url=arguments["alternate_url"],
            backup_dir=arguments["backup_dir"],
            wsus=arguments["server_state"],
        )
        return plan_policy(state, self._wish, now)

    def advice(self, failure: Mapping[str, Any], change: Change) -> str:
        known = what_went_wrong(failure, self._wish)
        return f"{known} Run it again then: it goes on from there." if known else super().advice(failure, change)

    def managed(self, state: ClientState) -> Any:
        return managed_policy(state)

    def values(self, state: ClientState, plan: Plan) -> dict[str, Any]:
        backups = [said["backup_id"] for said in self.said if said.get("backup_id")]
        return {**plan.values, "backup_id": backups[0] if backups else None}
