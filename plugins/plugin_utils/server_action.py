# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The way of one task, which all public modules share: observe, plan, (check mode ends here) apply, confirm.

A module is its difference from this: its arguments, its plan and what it manages. Nothing else touches the connection.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase

from .authorities import Found
from .certificates import CRYPTOGRAPHY_MISSING
from .changes import Change, predict
from .controller_files import certificates_from
from .planning import Plan
from .state import LookNeeded, Refusal, State, is_good, restart_pending
from .verdict import standing

OBSERVED: dict[str, Any] = {"observed": {"type": "dict"}}
"""The option that every module has: the state of an earlier task."""

BACKUP: dict[str, Any] = {"backup": {"type": "path"}}
"""The option of every module that changes something: where the state before the first change is kept on the controller."""


class Stop(Exception):
    """The task ends here as failed: what was wrong, and what of it is already done. C(failure): what Windows said of the change that failed."""

    def __init__(self, message: str, **result: Any) -> None:
        super().__init__(message)
        self.result = result
        self.failure: Mapping[str, Any] | None = None


class ServerAction(ActionBase):  # type: ignore[misc]
    """An action plugin over one WSUS server."""

    ARGUMENTS: ClassVar[dict[str, Any]] = {}
    CONSTRAINTS: ClassVar[dict[str, Any]] = {}
    """What beside the arguments C(validate_argument_spec) takes: mutually_exclusive, required_if, ..."""
    BACK_UP: ClassVar[bool] = True
    """Whether the module changes something, and so can keep the state before."""
    KEEP_BAD_LOOKS: ClassVar[bool] = False
    """Whether what a server did not find good, in a state that is handed in, counts; else it is looked at anew: it may be over by now."""
    POLL_SECONDS: ClassVar[tuple[float, ...]] = (0.5, 1, 2, 5, 10)

    _requires_connection = True

    # --- what a module says of itself ---

    def plan(self, state: State, arguments: Mapping[str, Any], now: datetime.datetime) -> Plan:
        """Called with the state to judge; in check mode, and where an earlier task predicted it, that is a prediction.

        Raises Refusal where nothing may be changed, LookNeeded where the server itself has to look at an endpoint first.
        """
        raise NotImplementedError

    def managed(self, state: State) -> Any:
        """Called for C(before) and C(after): what of the state this module manages, in plain types."""
        return {}

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

    def ready(self, state: State, arguments: Mapping[str, Any], plan: Plan) -> State | None:
        """Called before changes are made, never in check mode: wait here for what has to be over first. A state that is returned is planned
        on afresh; None means that there was nothing to wait for."""
        return None

    def apply(self, state: State, arguments: Mapping[str, Any], plan: Plan) -> State:
        """Called to make the changes; returns the state after them. Raises Stop."""
        return self._change(plan.changes, self.look_after(state, arguments, plan), self._asked_trust(state, arguments))

    def advice(self, failure: Mapping[str, Any], change: Change) -> str:
        """Called where a change failed: what helps, as one or more sentences. FAILURE as the server tells it (message, type, hresult, native)."""
        return "Mend the cause and run it again: it goes on from there."

    def settle(self, state: State, arguments: Mapping[str, Any], plan: Plan) -> State:
        """Called after the changes: wait here for what they started. Returns the state then."""
        return state

    def values(self, state: State, plan: Plan) -> dict[str, Any]:
        """Called at the end: what the module returns besides."""
        return plan.values

    # --- the shared way ---

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task. Returns the result; a lost or refused connection is a failed result, never an unreachable host."""
        self._supports_check_mode = True
        self._supports_async = False
        super().run(tmp, task_vars)
        self._task_vars = task_vars or {}
        self.said: list[dict[str, Any]] = []
        """What the changes of the last trip had to say, each with its C(change), an index."""
        self.also_done: list[Change] = []
        """Changes that only the run itself showed to be needed, and that settle made."""
        try:
            arguments = self._arguments()
            if CRYPTOGRAPHY_MISSING:
                raise Stop("The Python library cryptography is needed on the controller (in the environment that runs ansible-playbook).")
            return self._run(arguments)
        except Stop as stop:
            # The state as a whole would bury the message on a terminal.
            state = stop.result.pop("state", None)
            shown = {"standing": standing(state), "restart_pending": restart_pending(state)} if state else {}
            return {"changed": False, **shown, **stop.result, "failed": True, "msg": f"{self.server}: {stop}"}

    def _run(self, arguments: dict[str, Any]) -> dict[str, Any]:
        now = datetime.datetime.now(tz=datetime.UTC)
        state = self._first_state(arguments)
        state, plan = self._plan(state, arguments, now)
        if not self._task.check_mode:
            fresh = self.ready(state, arguments, plan)
            if fresh is not None:
                state, plan = self._plan(fresh, arguments, now)
        before = self.managed(state)
        if not plan.changes or self._task.check_mode:
            after = predict(state, plan.changes, now)
            return self._result(arguments, plan, before, after)
        self._back_up(state, arguments)
        after = self.settle(self.apply(state, arguments, plan), arguments, plan)
        plan = dataclasses.replace(plan, changes=(*plan.changes, *self.also_done))
        return self._result(arguments, plan, before, self._confirm(after, arguments, plan, now))

    def _result(self, arguments: Mapping[str, Any], plan: Plan, before: Any, state: State) -> dict[str, Any]:
        after = self.managed(state)
        result: dict[str, Any] = {
            "changed": bool(plan.changes),
            "changes": [change.describe() for change in plan.changes],
            "notes": list(plan.notes),
            "before": before,
            "after": after,
            "state": state,
            "standing": standing(state),
            "restart_pending": restart_pending(state),
            **self.values(state, plan),
        }
        if self._task.diff or self._play_context.diff:
            result["diff"] = {"before": _diffable(before), "after": _diffable(after), "before_header": self.server, "after_header": self.server}
        return result

    def _arguments(self) -> dict[str, Any]:
        spec = {**OBSERVED, **(BACKUP if self.BACK_UP else {}), **self.ARGUMENTS}
        try:
            _validation, arguments = self.validate_argument_spec(argument_spec=spec, **self.CONSTRAINTS)
        except AnsibleActionFail as error:
            # A failed result, so that a playbook can deal with it: what is raised leaves a play whatever it says about failures.
            raise Stop(f"{error.message.rstrip('.')}. Nothing was changed.") from None
        return cast("dict[str, Any]", arguments)

    @property
    def server(self) -> str:
        """The inventory name of the server that this task is for."""
        return str(self._task.delegate_to or self._task_vars.get("inventory_hostname") or self._connection.host or "this server")

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

    def _plan(self, state: State, arguments: Mapping[str, Any], now: datetime.datetime) -> tuple[State, Plan]:
        try:
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
        except Refusal as refusal:
            raise Stop(f"{refusal} Nothing was changed.", state=state, changes=[]) from refusal

    def _confirm(self, state: State, arguments: Mapping[str, Any], plan: Plan, now: datetime.datetime) -> State:
        done = [change.describe() for change in plan.changes]
        try:
            left = [change.describe() for change in self.plan(state, arguments, now).changes]
        except (Refusal, LookNeeded) as refusal:
            message = f"Changed ({_listed(done)}), but what the server shows afterwards does not fit: {refusal}"
            raise Stop(message, changed=True, changes=done, state=state) from refusal
        if left:
            raise Stop(
                f"Changed ({_listed(done)}), and nothing failed, but the server does not show it: still to do is {_listed(left)}.",
                changed=True,
                changes=done,
                state=state,
            )
        return state

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
        return self._state_of(self._trip("wsus_state", asked), "could not be read")

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
        sentences = [change.describe() for change in changes]
        asked = {"endpoints": _asked(endpoints), "thumbprints": list(thumbprints)}
        try:
            result = self._trip("wsus_change", {"changes": [change.payload() for change in changes], **asked})
        except Stop as stop:
            raise Stop(
                f"{stop} It happened while these changes were made, and which of them took effect is not known: {_listed(sentences)}. "
                "Run it again: it goes on from what it finds.",
                changed=True,
                changes=sentences,
            ) from stop
        applied = int(result.get("applied") or 0)
        self.said = list(result.get("output") or [])
        known = {"changed": applied > 0, "changes": sentences[:applied], "state": self._merged(result) if result.get("state") else None}
        failure = result.get("failure")
        if failure:
            at = int(failure["change"])
            number = f", Windows error {failure['native']}" if failure.get("native") is not None else ""
            done = f"Done before that: {_listed(sentences[:applied])}." if applied else "Nothing was changed before that."
            failed = Stop(
                f"{sentences[at]}: this failed: {str(failure['message']).rstrip('. ')} ({failure['type']}, {failure['hresult']}{number}). {done} "
                f"Not done: {_listed(sentences[applied:])}. {self.advice(failure, changes[at])}",
                **known,
            )
            failed.failure = failure
            raise failed
        if result.get("failed"):
            raise Stop(f"The changes could not be made: {_said(result)}", **known)
        try:
            return self._state_of(result, "was changed, but could not be read afterwards")
        except Stop as stop:
            raise Stop(f"{stop} Done: {_listed(sentences)}.", **known) from stop

    def _state_of(self, result: Mapping[str, Any], what: str) -> State:
        if not isinstance(result.get("state"), Mapping):
            raise Stop(f"The server {what}: {_said(result)}")
        return self._merged(result)

    def _merged(self, result: Mapping[str, Any]) -> State:
        return cast("State", {**result["state"], "endpoints": list(result.get("endpoints") or []), "trust": dict(result.get("trust") or {})})

    def _trip(self, module: str, arguments: dict[str, Any]) -> dict[str, Any]:
        name = module if "." in module else f"securepatch.wsus.{module}"
        result = self._reach(lambda: self._execute_module(name, module_args=arguments, task_vars=self._task_vars))
        if result.get("unreachable"):
            raise Stop(f"The connection failed: {_said(result)}")
        if module == "wsus_state" and result.get("failed"):
            raise Stop(f"The server could not be read: {_said(result)}")
        return cast("dict[str, Any]", result)

    def _reach(self, doing: Callable[[], Any]) -> Any:
        # rescue does not catch an unreachable host, and a play must not be torn apart by one: a failed result it is.
        try:
            return doing()
        except AnsibleConnectionFailure as error:
            raise Stop(f"The connection failed: {_plain(error)}") from error
        except AnsibleError:
            raise
        except Exception as error:  # whatever the transport below the connection plugin raises when it breaks
            raise Stop(f"The connection broke: {_plain(error)}") from error

    # --- the controller ---

    def _file(self, name: str) -> str:
        """The path of a file that a task names: a relative one is relative to the playbook, as everywhere in Ansible."""
        return str(self._loader.path_dwim(name))

    def _certificates(self, given: Iterable[str], what: str) -> tuple[Found, ...]:
        """The certificates in files of the controller, or given as text. WHAT they are is for the words. Raises Stop."""
        try:
            return certificates_from(given, what, self._file)
        except Refusal as refusal:
            raise Stop(f"{refusal} Nothing was changed.", changes=[]) from None

    def _back_up(self, state: State, arguments: Mapping[str, Any]) -> None:
        path = Path(arguments["backup"]) if arguments.get("backup") else None
        if path is None or path.exists():
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            written = path.with_name(f".{path.name}.{os.getpid()}")
            with os.fdopen(os.open(written, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
                json.dump(state, file, indent=1, default=str)
            written.replace(path)
        except OSError as error:
            raise Stop(f"The state before the first change cannot be kept in {path}: {error.strerror or error}. Nothing was changed.") from error


def _asked(endpoints: Sequence[tuple[str, int]]) -> list[dict[str, Any]]:
    return [{"host_name": host_name, "port": port, "tls": True} for host_name, port in endpoints]


def _listed(sentences: Sequence[str]) -> str:
    return "; ".join(sentences) or "nothing"


def _said(result: Mapping[str, Any]) -> str:
    for name in ("unreadable", "failure"):
        if isinstance(result.get(name), Mapping):
            return str(result[name].get("message"))
    return str(result.get("msg") or result.get("module_stderr") or "it gave no reason")


def _plain(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    # What requests says begins with what was tried, and how often; why it failed stands, quoted, at its end.
    place = re.search(r"HTTPS?ConnectionPool\(host='([^']+)', port=(\d+)\)", text)
    cause = re.search(r"Caused by .*['\"]([^'\"]+)['\"]\)+$", text)
    return f"{place[1]}:{place[2]}: {cause[1].rpartition('): ')[2]}" if place and cause else text


def _diffable(managed: Any) -> str:
    return json.dumps(managed, indent=2, sort_keys=True, default=str) + "\n"
