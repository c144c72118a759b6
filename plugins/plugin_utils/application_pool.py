# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Planning the application pool of WSUS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .changes import POOL_SETTINGS, ApplicationPool
from .planning import Plan
from .state import State, pool_of

BEST_PRACTICES = {
    "queue_length": 2000,
    "idle_timeout_minutes": 0,
    "ping_enabled": False,
    "private_memory_kb": 0,
    "recycle_interval_minutes": 0,
}
"""[PERF] "WSUS best practices": queue length 2000, idle time-out 0, ping off, private memory limit 0, regular time interval 0."""


def plan_application_pool(state: State, settings: Mapping[str, Any]) -> Plan:
    """Plan the pool behind ClientWebService; a setting that is None stays as it is. Values: name.

    Raises Refusal where there is no such pool.
    """
    pool = pool_of(state)
    current: dict[str, Any] = dict(pool)
    different = tuple((name, settings[name]) for name in POOL_SETTINGS if settings.get(name) is not None and settings[name] != current[name])
    return Plan((ApplicationPool(pool["name"], different),) if different else (), values={"name": pool["name"]})


def managed_pool(state: State) -> dict[str, Any]:
    """What the module manages, for before and after."""
    if state["iis"] is None or state["iis"]["application_pool"] is None:
        return {}
    current: dict[str, Any] = dict(state["iis"]["application_pool"])
    return {"name": current["name"], **{name: current[name] for name in POOL_SETTINGS}}
