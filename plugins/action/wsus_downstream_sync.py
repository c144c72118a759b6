# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, cast

from ..plugin_utils.changes import StartSynchronization
from ..plugin_utils.planning import Plan
from ..plugin_utils.server_action import ServerAction, Stop
from ..plugin_utils.state import State
from ..plugin_utils.synchronization import SynchronizationWish, is_busy, is_due, managed_source, plan_synchronization


class ActionModule(ServerAction):
    ARGUMENTS = {
        "source": {"type": "str", "default": "upstream", "choices": ["upstream", "microsoft_update"]},
        "upstream": {"type": "str"},
        "port": {"type": "int"},
        "use_ssl": {"type": "bool", "default": True},
        "replica": {"type": "bool"},
        "reparent": {"type": "bool", "default": False},
        "upstream_state": {"type": "dict"},
        "synchronize": {"type": "bool", "default": False},
        "wait": {"type": "bool", "default": True},
        "timeout": {"type": "int", "default": 3600},
        "configuration_manager": {"type": "str", "choices": ["acknowledged"]},
    }
    CONSTRAINTS = {"required_if": [("source", "upstream", ["upstream"])]}

    def look_at(self, arguments: Mapping[str, Any]) -> list[tuple[str, int]]:
        wish = _wish(arguments)
        return [(wish.upstream, wish.port)] if wish.upstream and wish.use_ssl and not wish.microsoft_update else []

    _started_after: str | None = None
    _started = False

    def plan(self, state: State, arguments: Mapping[str, Any], now: datetime.datetime) -> Plan:
        # One that was started and is not to be waited for may not show yet: it is not started twice.
        waits_no_more = self._started and not arguments["wait"]
        return plan_synchronization(state, _wish({**arguments, "synchronize": False} if waits_no_more else arguments), now)

    def apply(self, state: State, arguments: Mapping[str, Any], plan: Plan) -> State:
        self._started = StartSynchronization() in plan.changes
        self._started_after = _last_id(state)
        return super().apply(state, arguments, plan)

    def managed(self, state: State) -> Any:
        return managed_source(state)

    def ready(self, state: State, arguments: Mapping[str, Any], plan: Plan) -> State | None:
        under_way = arguments["synchronize"] and arguments["wait"] and is_due(state)
        if not is_busy(state) or not (plan.changes or under_way):
            return None
        fresh = self.wait_for(lambda seen: not is_busy(seen), arguments["timeout"], lambda: self.observe(self.look_at(arguments)))
        if is_busy(fresh):
            raise Stop(
                f"WSUS still synchronizes, or works on its configuration, after {arguments['timeout']} s. Nothing was changed; run it again later.",
                state=fresh,
                changes=[],
            )
        if not plan.changes:
            _raise_failed(fresh, changed=False, changes=[])
        return fresh

    def settle(self, state: State, arguments: Mapping[str, Any], plan: Plan) -> State:
        if not self._started or not arguments["wait"]:
            return state
        done = [change.describe() for change in plan.changes]

        def ended(seen: State) -> bool:
            # A new id with an end: the status alone can still be, or already be again, that nothing runs [API].
            return not is_busy(seen) and _last_id(seen) is not None and _last_id(seen) != self._started_after

        if not ended(state):
            state = self.wait_for(ended, arguments["timeout"])
        if not ended(state):
            raise Stop(
                f"The synchronization has not ended after {arguments['timeout']} s. It goes on by itself; run it again to see how it ends.",
                changed=True,
                changes=done,
                state=state,
            )
        _raise_failed(state, changed=True, changes=done)
        return state


def _wish(arguments: Mapping[str, Any]) -> SynchronizationWish:
    return SynchronizationWish(
        upstream=arguments["upstream"],
        port=arguments["port"] or (8531 if arguments["use_ssl"] else 8530),
        use_ssl=arguments["use_ssl"],
        replica=arguments["replica"],
        microsoft_update=arguments["source"] == "microsoft_update",
        reparent=arguments["reparent"],
        synchronize=arguments["synchronize"],
        configuration_manager=arguments["configuration_manager"] == "acknowledged",
        upstream_state=cast("State | None", arguments["upstream_state"]),
    )


def _last_id(state: State) -> str | None:
    last = state["api"]["synchronization"]["last"] if state["api"] else None
    return last["id"] if last else None


def _raise_failed(state: State, **result: Any) -> None:
    last = state["api"]["synchronization"]["last"] if state["api"] else None
    if last and last["result"] != "Succeeded":
        text = (last["error_text"] or "").strip().rstrip(".")
        said = f": {text}" if text else ", and no text with it: LogFiles\\SoftwareDistribution.log on the server tells more"
        raise Stop(f"The synchronization ended as {last['result']}, with WSUS's error {last['error']}{said}.", state=state, **result)
