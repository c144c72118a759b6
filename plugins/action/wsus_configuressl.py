# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from ..plugin_utils.configuressl import ConfigureWish, managed_name, plan_configuressl
from ..plugin_utils.planning import Plan
from ..plugin_utils.server_action import ServerAction
from ..plugin_utils.state import State


class ActionModule(ServerAction):
    ARGUMENTS = {
        "fqdn": {"type": "str"},
        "state": {"type": "str", "default": "present", "choices": ["present", "absent"]},
        "check_own_endpoint": {"type": "bool", "default": True},
    }

    def own_name(self, arguments: Mapping[str, Any]) -> str | None:
        looks = arguments["state"] == "present" and arguments["check_own_endpoint"]
        return (arguments["fqdn"] or "") if looks else None

    def plan(self, state: State, arguments: Mapping[str, Any], now: datetime.datetime) -> Plan:
        wish = ConfigureWish(arguments["fqdn"], arguments["state"] == "present", arguments["check_own_endpoint"])
        return plan_configuressl(state, wish, now)

    def managed(self, state: State) -> Any:
        return managed_name(state)
