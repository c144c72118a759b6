# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The way of one task over one WSUS server: how the state document of a server is read, looked up and changed.

The way itself is every host's (C(host_action)).
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, cast

from .changes import Change
from .host_action import BACKUP, HostAction, Stop, _plain, said_of
from .planning import Plan
from .state import LookNeeded, State, is_good, restart_pending
from .verdict import standing

__all__ = ["BACKUP", "OBSERVED", "ServerAction", "Stop", "_plain"]

OBSERVED: dict[str, Any] = {"observed": {"type": "dict"}}
"""The option that every module has: the state of an earlier task."""


class ServerAction(HostAction[State]):
    """An action plugin over one WSUS server."""

    CALLED = "server"
    SHARED = OBSERVED
    KEEP_BAD_LOOKS: ClassVar[bool] = False
    """Whether what a server did not find good, in a state that is handed in, counts; else it is looked at anew: it may be over by now."""
    POLL_SECONDS: ClassVar[tuple[float, ...]] = (0.5, 1, 2, 5, 10)

    # --- what a module says of itself ---

    def look_at(self, arguments: Mapping[str, Any]) -> list[tuple[str, int]]:
        """Called before the first observation: the endpoints that planning will most likely want the server to have looked at."""
        return []

    def own_name(self, arguments: Mapping[str, Any]) -> str | None:
        """Called before the first observation: by which name the server is to look at itself as well (empty: its own), None for not at all."""
        return None

    def look_at_upstream(self, arguments: Mapping[str, Any]) -> bool:
        """Called before the first observation: whether the server is to look at the one that it synchronizes from as well."""
        return False

    def ask_trust(self, arguments: Mapping[str, Any]) -> list[str]:
        """Called before every trip: the thumbprints of the certificates whose trust planning wants to know."""
        return []

    def look_after(self, state: State, arguments: Mapping[str, Any], plan: Plan) -> list[tuple[str, int]]:
        """Called before the changes are made: the endpoints to look at after them, on the same trip, for the tasks that follow."""
        return []

    def apply(self, state: State, arguments: Mapping[str, Any], plan: Plan) -> State:
        """Called to make the changes; returns the state after them. Raises Stop."""
        return self._change(plan.changes, self.look_after(state, arguments, plan), self._asked_trust(state, arguments))

    # --- what a server is ---

    def shown(self, state: State) -> dict[str, Any]:
        return {"state": state, **self.shown_failed(state)}

    def shown_failed(self, state: State) -> dict[str, Any]:
        return {"standing": standing(state), "restart_pending": restart_pending(state)}

    def _run(self, arguments: dict[str, Any]) -> dict[str, Any]:
        return self._carry_out(arguments, datetime.datetime.now(tz=datetime.UTC))

    @property
    def server(self) -> str:
        """The inventory name of the server that this task is for."""
        return self.host

    def _first_state(self, arguments: Mapping[str, Any]) -> State:
        observed = arguments.get("observed")
        if not observed:
            looks = {"look_at_upstream": self.look_at_upstream(arguments)}
            return self.observe(self.look_at(arguments), self.own_name(arguments), self.ask_trust(arguments), **looks)
        missing = {"computer", "restart", "marks", "setup", "services", "iis", "http_sys", "certificates", "api", "unreadable"} - set(observed)
        if missing:
            raise Stop(f"'observed' is not the state of a server as this collection's modules return it: it has no {', '.join(sorted(missing))}.")
        looked = observed.get("endpoints") or []
        # One that succeeded is as good as a fresh one.
        endpoints = [one for one in looked if self.KEEP_BAD_LOOKS or one.get("promised") or not one["tls"] or is_good(one)]
        return cast("State", {**observed, "endpoints": endpoints})

    def judged(self, state: State, arguments: Mapping[str, Any], now: datetime.datetime) -> tuple[State, Plan]:
        try:
            return state, self.plan(state, arguments, now)
        except LookNeeded as need:
            wanted = [(need.host_name, need.port)] if need.host_name else []
            endpoints = [*wanted, *(one for one in self.look_at(arguments) if one not in wanted)]
            looked = self.observe(endpoints, thumbprints=self._asked_trust(state, arguments))
            if state.get("predicted"):
                # Only the look is new: the rest of the prediction stays, what it foretells of trust as well.
                found = [*(state.get("endpoints") or []), *looked.get("endpoints", [])]
                trust = {**(looked.get("trust") or {}), **(state.get("trust") or {})}
                looked = cast("State", {**state, "endpoints": found, "trust": trust})
            return looked, self.plan(looked, arguments, now)

    # --- trips to the server ---

    def observe(
        self,
        endpoints: Sequence[tuple[str, int]] = (),
        own_name: str | None = None,
        thumbprints: Sequence[str] = (),
        *,
        look_at_upstream: bool = False,
    ) -> State:
        """One trip: the server's state, with what it finds over TLS at these endpoints (name, port), at itself by OWN_NAME, and at its upstream,
        and with where it trusts the certificates with these thumbprints. Raises Stop."""
        own: dict[str, Any] = {} if own_name is None else {"own_name": own_name}
        if look_at_upstream:
            own["look_at_upstream"] = True
        asked = {"endpoints": _asked(endpoints), "thumbprints": list(thumbprints), **own}
        return self.state_of(self._trip("wsus_state", asked), "could not be read")

    def _asked_trust(self, state: State, arguments: Mapping[str, Any]) -> list[str]:
        # What an earlier task asked for goes on being asked for, so that a later one finds it in the state.
        return list(dict.fromkeys([*self.ask_trust(arguments), *(state.get("trust") or {})]))

    def wait_for(self, done: Callable[[State], bool], seconds: float, look: Callable[[], State] | None = None) -> State:
        """Observe again and again until DONE says so, or the time is up (seconds); the last state is returned either way. LOOK: how, where a
        bare observation is not enough."""
        until = time.monotonic() + seconds
        pauses = iter(self.POLL_SECONDS)
        pause = next(pauses)
        while True:
            time.sleep(min(pause, max(0.0, until - time.monotonic())))
            state = look() if look else self.observe()
            if done(state) or time.monotonic() >= until:
                return state
            pause = next(pauses, pause)

    def _change(self, changes: Sequence[Change], endpoints: Sequence[tuple[str, int]] = (), thumbprints: Sequence[str] = ()) -> State:
        """One trip: make these changes. Returns the state after them, with looks as observe has them. Raises Stop."""
        return self._make("wsus_change", changes, {"endpoints": _asked(endpoints), "thumbprints": list(thumbprints)})

    def state_of(self, result: Mapping[str, Any], what: str) -> State:
        if not isinstance(result.get("state"), Mapping):
            raise Stop(f"The server {what}: {said_of(result)}")
        return self._merged(result)

    def _merged(self, result: Mapping[str, Any]) -> State:
        return cast("State", {**result["state"], "endpoints": list(result.get("endpoints") or []), "trust": dict(result.get("trust") or {})})

    def _trip(self, module: str, arguments: dict[str, Any]) -> dict[str, Any]:
        result = super()._trip(module, arguments)
        if module == "wsus_state" and result.get("failed"):
            raise Stop(f"The server could not be read: {said_of(result)}")
        return result


def _asked(endpoints: Sequence[tuple[str, int]]) -> list[dict[str, Any]]:
    return [{"host_name": host_name, "port": port, "tls": True} for host_name, port in endpoints]
