# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..plugin_utils.host_action import Stop
from ..plugin_utils.reverse_dns import LONGEST, names_of
from ..plugin_utils.traffic import as_info, without_name
from ..plugin_utils.traffic_action import ReadsTraffic, refuse_days


class ActionModule(ReadsTraffic[Any]):
    CALLED = "server"
    ARGUMENTS = {
        "days": {"type": "int", "default": 7},
        "absent_days": {"type": "int", "default": 60},
        "resolve": {"type": "bool", "default": True},
        "resolve_seconds": {"type": "float", "default": 5},
    }
    BACK_UP = False

    def _run(self, arguments: dict[str, Any]) -> dict[str, Any]:
        _refuse(arguments)
        found = self.read_callers(arguments["days"], arguments["absent_days"], name_probes=True)
        unnamed = without_name(found.traffic, found.known)
        names, unasked = names_of(unnamed, arguments["resolve_seconds"]) if arguments["resolve"] else ({}, 0)
        info = as_info(found.traffic, found.known, names)
        if unasked:
            info["not_known"].append(f"The names of {unasked} addresses are not known: DNS did not answer in time, or there are too many to ask for.")
        return {"changed": False, **info}


def _refuse(arguments: Mapping[str, Any]) -> None:
    """Raise Stop for settings that make no sense."""
    refuse_days({name: arguments[name] for name in ("days", "absent_days")}, least=1)
    seconds = arguments["resolve_seconds"]
    if not 0 < seconds <= LONGEST:
        raise Stop(f"resolve_seconds is {seconds:g}; it has to be more than 0 and at most {LONGEST:g}.")
