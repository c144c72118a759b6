# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, cast

from ansible.module_utils.parsing.convert_bool import boolean

from ..plugin_utils.planning import Plan
from ..plugin_utils.require_tls import RequireWish, managed_access, plan_require_tls
from ..plugin_utils.server_action import ServerAction, Stop
from ..plugin_utils.state import FIVE_SERVICES, State


class ActionModule(ServerAction):
    ARGUMENTS = {
        "applications": {"type": "list", "elements": "str", "default": list(FIVE_SERVICES)},
        "state": {"type": "str", "default": "present", "choices": ["present", "absent"]},
        "replace_site_requirement": {"type": "bool", "default": False},
        "downstream_states": {"type": "list", "elements": "dict", "default": []},
        "downstream_days": {"type": "int", "default": 30},
        "ignore_downstream": {"type": "raw", "default": False},
    }

    def plan(self, state: State, arguments: Mapping[str, Any], now: datetime.datetime) -> Plan:
        wish = RequireWish(
            applications=tuple(arguments["applications"]),
            present=arguments["state"] == "present",
            replace_site_requirement=arguments["replace_site_requirement"],
            downstream_states=tuple(cast("list[State]", arguments["downstream_states"])),
            downstream_days=arguments["downstream_days"],
            ignore_downstream=_names_or_all(arguments["ignore_downstream"]),
        )
        return plan_require_tls(state, wish, now)

    def managed(self, state: State) -> Any:
        return managed_access(state)


def _names_or_all(value: Any) -> tuple[str, ...] | bool:
    """The names of servers, or whether all are meant; what an AWX survey gives as text means the same."""
    if isinstance(value, (list, tuple)):
        return tuple(str(name) for name in value)
    if value in (None, ""):
        return False
    try:
        return bool(boolean(value))
    except TypeError:
        pass
    if not isinstance(value, str):
        raise Stop(f"ignore_downstream takes a list of names, or true, not {value!r}. Nothing was changed.")
    return tuple(name.strip() for name in value.split(",") if name.strip())
