# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The way of one task over a machine that gets its updates from WSUS, or that has the cmdlets to change the group policies which say so.

The way itself is every host's (C(host_action)).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from .changes import Change
from .client_state import ClientState
from .host_action import HostAction, Stop, said_of
from .planning import Plan


class ClientAction(HostAction[ClientState]):
    """An action plugin over one such machine."""

    SHARED = {"server_state": {"type": "dict"}}

    def asked(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Called before every trip: what the machine is asked for, as the module C(wsus_client_state) takes it."""
        return {"update_client": True}

    def apply(self, state: ClientState, arguments: Mapping[str, Any], plan: Plan) -> ClientState:
        return self._change(plan.changes, arguments)

    def _first_state(self, arguments: Mapping[str, Any]) -> ClientState:
        return self.state_of(self._trip("wsus_client_state", self.asked(arguments)), "could not be read")

    def _change(self, changes: Sequence[Change], arguments: Mapping[str, Any]) -> ClientState:
        """One trip: make these changes. Returns the state after them. Raises Stop."""
        return self._make("wsus_client_state", changes, self.asked(arguments))

    def state_of(self, result: Mapping[str, Any], what: str) -> ClientState:
        # A module that broke has neither; one whose change failed has both.
        if "group_policies" not in result or "update_client" not in result:
            raise Stop(f"The machine {what}: {said_of(result)}")
        return cast("ClientState", {"update_client": result["update_client"], "group_policies": list(result["group_policies"] or [])})
