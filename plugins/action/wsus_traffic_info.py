# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..plugin_utils.host_action import HostAction, Stop
from ..plugin_utils.reverse_dns import LONGEST, names_of
from ..plugin_utils.traffic import MOST_DAYS, as_info, computers_at, without_name


class ActionModule(HostAction[Any]):
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
        traffic = self._traffic(arguments["days"], arguments["absent_days"])
        known = computers_at(traffic.computers)
        if without_name(traffic, known) and traffic.computers is not None:
            # Those who came are not among those who did not: read for no days, the list has them all.
            known = computers_at(traffic.computers, self._traffic(0, arguments["absent_days"]).computers)
        unnamed = without_name(traffic, known)
        names, unasked = names_of(unnamed, arguments["resolve_seconds"]) if arguments["resolve"] else ({}, 0)
        info = as_info(traffic, known, names)
        if unasked:
            info["not_known"].append(f"The names of {unasked} addresses are not known: DNS did not answer in time, or there are too many to ask for.")
        return {"changed": False, **info}


def _refuse(arguments: Mapping[str, Any]) -> None:
    """Raise Stop for settings that make no sense."""
    days, absent_days, seconds = arguments["days"], arguments["absent_days"], arguments["resolve_seconds"]
    if not 1 <= days <= MOST_DAYS:
        raise Stop(f"days is {days}; it may be 1 to {MOST_DAYS}.")
    if not days < absent_days <= MOST_DAYS:
        raise Stop(f"absent_days is {absent_days}; it has to be more than days ({days}) and at most {MOST_DAYS}.")
    if not 0 < seconds <= LONGEST:
        raise Stop(f"resolve_seconds is {seconds:g}; it has to be more than 0 and at most {LONGEST:g}.")
