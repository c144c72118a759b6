# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from ..plugin_utils.planning import Plan
from ..plugin_utils.restart import managed_restart, plan_restart
from ..plugin_utils.server_action import ServerAction, Stop
from ..plugin_utils.state import State


class ActionModule(ServerAction):
    ARGUMENTS = {
        "method": {"type": "str", "default": "reboot", "choices": ["reboot", "services"]},
        "reboot_timeout": {"type": "int", "default": 600},
        "pre_reboot_delay": {"type": "int", "default": 2},
        "post_reboot_delay": {"type": "int", "default": 0},
        "connect_timeout": {"type": "int", "default": 5},
        "msg": {"type": "str", "default": "Restart by Ansible: WSUS was told to use TLS"},
        "ready_timeout": {"type": "int", "default": 300},
    }

    def plan(self, state: State, arguments: Mapping[str, Any], now: datetime.datetime) -> Plan:
        return plan_restart(state, arguments["method"])

    def managed(self, state: State) -> Any:
        return managed_restart(state)

    def values(self, state: State, plan: Plan) -> dict[str, Any]:
        return {"windows_pending": state["restart"]["windows_pending"]}

    def apply(self, state: State, arguments: Mapping[str, Any], plan: Plan) -> State:
        if arguments["method"] == "services":
            return super().apply(state, arguments, plan)
        self._reboot(arguments)
        return self.observe()

    def settle(self, state: State, arguments: Mapping[str, Any], plan: Plan) -> State:
        # Right after a start the services and the pool may still be on their way up; where they stay down, the next task says so.
        return state if _is_up(state) else self.wait_for(_is_up, arguments["ready_timeout"])

    def _reboot(self, arguments: Mapping[str, Any]) -> None:
        names = ("reboot_timeout", "pre_reboot_delay", "post_reboot_delay", "connect_timeout", "msg")
        task = self._task.copy()
        task.args = {name: arguments[name] for name in names}
        action = self._shared_loader_obj.action_loader.get(
            "ansible.windows.win_reboot",
            task=task,
            connection=self._connection,
            play_context=self._play_context,
            loader=self._loader,
            templar=self._templar,
            shared_loader_obj=self._shared_loader_obj,
        )
        if action is None:
            raise Stop("The collection ansible.windows is not installed on the controller. Nothing was changed.")
        try:
            result = action.run(task_vars=self._task_vars)
        except Exception as error:  # noqa: BLE001 - whatever the transport raises when the machine does not come back
            result = {"failed": True, "msg": " ".join(str(error).split())}
        if result.get("failed") or result.get("unreachable"):
            raise Stop(
                f"The restart did not end well: {result.get('msg') or 'it gave no reason'} Everything before the restart is done. See whether the "
                "machine is up, and run it again: a restart that is still pending is done then.",
                changed=True,
                changes=["Restart the machine"],
            )


def _is_up(state: State) -> bool:
    return all(status == "Running" for status in state["services"].values()) and "api" not in state["unreadable"]
