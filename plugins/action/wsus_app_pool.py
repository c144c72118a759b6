# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from ..plugin_utils.application_pool import BEST_PRACTICES, managed_pool, plan_application_pool
from ..plugin_utils.planning import Plan
from ..plugin_utils.server_action import ServerAction
from ..plugin_utils.state import State


class ActionModule(ServerAction):
    ARGUMENTS = {
        "queue_length": {"type": "int", "default": BEST_PRACTICES["queue_length"]},
        "idle_timeout_minutes": {"type": "int", "default": BEST_PRACTICES["idle_timeout_minutes"]},
        "ping_enabled": {"type": "bool", "default": BEST_PRACTICES["ping_enabled"]},
        "private_memory_kb": {"type": "int", "default": BEST_PRACTICES["private_memory_kb"]},
        "virtual_memory_kb": {"type": "int"},
        "recycle_interval_minutes": {"type": "int", "default": BEST_PRACTICES["recycle_interval_minutes"]},
    }

    def plan(self, state: State, arguments: Mapping[str, Any], now: datetime.datetime) -> Plan:
        return plan_application_pool(state, {name: arguments[name] for name in self.ARGUMENTS})

    def managed(self, state: State) -> Any:
        return managed_pool(state)
