# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Planning the restart that configuressl needs, when and only when one is pending."""

from __future__ import annotations

from typing import Any

from .changes import Reboot, RecyclePool, Registry, RestartService
from .planning import Plan
from .state import MARKS_KEY, RESTART_MARK, Refusal, State, iis_of, restart_pending, setup_of


def plan_restart(state: State, method: str) -> Plan:
    """Plan a restart of METHOD 'reboot' or 'services'.

    The registry is read by the service and by the pool, so a restart without rebooting is WsusService and a recycling of the pool; W3SVC
    would hit every site of the machine. Raises Refusal: the pool does not run.
    """
    setup_of(state)
    notes: tuple[str, ...] = ()
    if state["restart"]["windows_pending"]:
        notes = ("Windows itself waits for a restart of this machine (updates or features). That is told here, not done for its sake.",)
    if not restart_pending(state):
        return Plan((), notes)
    if method == "reboot":
        return Plan((Reboot(),), notes)
    pool = iis_of(state)["application_pool"]
    if pool is None or pool["state"] != "Started":
        name = pool["name"] if pool else "behind ClientWebService"
        raise Refusal(f"The application pool {name} is not running ({pool['state'] if pool else 'it is not there'}). Start it first.")
    done = Registry(MARKS_KEY, RESTART_MARK, "String", None, "Take the note of the restart off the server")
    return Plan((RestartService("WsusService"), RecyclePool(pool["name"]), done), notes)


def managed_restart(state: State) -> dict[str, Any]:
    """What the module manages, for before and after."""
    return {"restart_pending": restart_pending(state)}
