# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The way of one task on any host: observe, plan, (check mode ends here) apply, confirm. What it is that is observed is its kind's to say.

A kind of host (C(server_action), C(client_action)) says how its state is read and changed; a module is its difference from that: its
arguments, its plan and what it manages. Nothing else touches the connection.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar, cast

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase

from .authorities import Found
from .certificates import CRYPTOGRAPHY_MISSING
from .changes import Change, predict
from .controller_files import certificates_from
from .planning import Plan
from .state import LookNeeded, Refusal

BACKUP: dict[str, Any] = {"backup": {"type": "path"}}
"""The option of every module that changes something: where the state before the first change is kept on the controller."""

Document = TypeVar("Document")
"""The state of a kind of host: a document of plain types."""


class Stop(Exception):
    """The task ends here as failed: what was wrong, and what of it is already done. C(failure): what Windows said of the change that failed."""

    def __init__(self, message: str, **result: Any) -> None:
        super().__init__(message)
        self.result = result
        self.failure: Mapping[str, Any] | None = None


class HostAction(ActionBase, Generic[Document]):  # type: ignore[misc]
    """An action plugin over one host."""

    CALLED: ClassVar[str] = "machine"
    """What a host of this kind is called in messages."""
    SHARED: ClassVar[dict[str, Any]] = {}
    """The options that every module of this kind has."""
    ARGUMENTS: ClassVar[dict[str, Any]] = {}
    CONSTRAINTS: ClassVar[dict[str, Any]] = {}
    """What beside the arguments C(validate_argument_spec) takes: mutually_exclusive, required_if, ..."""
    BACK_UP: ClassVar[bool] = True
    """Whether the module changes something, and so can keep the state before."""

    _requires_connection = True

    # --- what a module says of itself ---

    def plan(self, state: Document, arguments: Mapping[str, Any], now: datetime.datetime) -> Plan:
        """Called with the state to judge; in check mode, and where an earlier task predicted it, that is a prediction.

        Raises Refusal where nothing may be changed, LookNeeded where the host itself has to look at an endpoint first.
        """
        raise NotImplementedError

    def managed(self, state: Document) -> Any:
        """Called for C(before) and C(after): what of the state this module manages, in plain types."""
        return {}

    def ready(self, state: Document, arguments: Mapping[str, Any], plan: Plan) -> Document | None:
        """Called before changes are made, never in check mode: wait here for what has to be over first. A state that is returned is planned
        on afresh; None means that there was nothing to wait for."""
        return None

    def advice(self, failure: Mapping[str, Any], change: Change) -> str:
        """Called where a change failed: what helps, as one or more sentences. FAILURE as the host tells it (message, id, type, hresult,
        native)."""
        return "Mend the cause and run it again: it goes on from there."

    def settle(self, state: Document, arguments: Mapping[str, Any], plan: Plan) -> Document:
        """Called after the changes: wait here for what they started. Returns the state then."""
        return state

    def values(self, state: Document, plan: Plan) -> dict[str, Any]:
        """Called at the end: what the module returns besides."""
        return plan.values

    # --- what a kind of host says of itself ---

    def _first_state(self, arguments: Mapping[str, Any]) -> Document:
        """The state before anything is done. Raises Stop."""
        raise NotImplementedError

    def apply(self, state: Document, arguments: Mapping[str, Any], plan: Plan) -> Document:
        """Called to make the changes; returns the state after them. Raises Stop."""
        raise NotImplementedError

    def judged(self, state: Document, arguments: Mapping[str, Any], now: datetime.datetime) -> tuple[Document, Plan]:
        """The plan, and the state that it was made on. Raises Refusal, Stop."""
        return state, self.plan(state, arguments, now)

    def shown(self, state: Document) -> dict[str, Any]:
        """What every result of a host of this kind has of its state."""
        return {}

    def shown_failed(self, state: Document) -> dict[str, Any]:
        """What a failed result has of it: the state as a whole would bury the message on a terminal."""
        return {}

    def state_of(self, result: Mapping[str, Any], what: str) -> Document:
        """The state in what a module answered; WHAT was to be done is for the words. Raises Stop where there is none."""
        raise NotImplementedError

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
            state = stop.result.pop("state", None)
            shown = self.shown_failed(state) if state else {}
            return {"changed": False, **shown, **stop.result, "failed": True, "msg": f"{self.host}: {stop}"}

    def _run(self, arguments: dict[str, Any]) -> dict[str, Any]:
        return self._carry_out(arguments, datetime.datetime.now(tz=datetime.UTC))

    def _carry_out(self, arguments: dict[str, Any], now: datetime.datetime) -> dict[str, Any]:
        """The way itself; NOW is an aware datetime."""
        state = self._first_state(arguments)
        state, plan = self._plan(state, arguments, now)
        if not self._task.check_mode:
            fresh = self.ready(state, arguments, plan)
            if fresh is not None:
                state, plan = self._plan(fresh, arguments, now)
        before = self.managed(state)
        if not plan.changes or self._task.check_mode:
            # What a prediction does to a state is each change's to know, whatever kind of state it is.
            after = cast("Document", predict(cast("Any", state), plan.changes, now))
            return self._result(arguments, plan, before, after)
        self._back_up(state, arguments)
        after = self.settle(self.apply(state, arguments, plan), arguments, plan)
        plan = dataclasses.replace(plan, changes=(*plan.changes, *self.also_done))
        return self._result(arguments, plan, before, self._confirm(after, arguments, plan, now))

    def _result(self, arguments: Mapping[str, Any], plan: Plan, before: Any, state: Document) -> dict[str, Any]:
        after = self.managed(state)
        result: dict[str, Any] = {
            "changed": bool(plan.changes),
            "changes": [change.describe() for change in plan.changes],
            "notes": list(plan.notes),
            "before": before,
            "after": after,
            **self.shown(state),
            **self.values(state, plan),
        }
        if self._task.diff or self._play_context.diff:
            result["diff"] = {"before": _diffable(before), "after": _diffable(after), "before_header": self.host, "after_header": self.host}
        return result

    def _arguments(self) -> dict[str, Any]:
        spec = {**self.SHARED, **(BACKUP if self.BACK_UP else {}), **self.ARGUMENTS}
        try:
            _validation, arguments = self.validate_argument_spec(argument_spec=spec, **self.CONSTRAINTS)
        except AnsibleActionFail as error:
            # A failed result, so that a playbook can deal with it: what is raised leaves a play whatever it says about failures.
            raise Stop(f"{error.message.rstrip('.')}. Nothing was changed.") from None
        return cast("dict[str, Any]", arguments)

    @property
    def host(self) -> str:
        """The inventory name of the host that this task is for."""
        return str(self._task.delegate_to or self._task_vars.get("inventory_hostname") or self._connection.host or f"this {self.CALLED}")

    def _plan(self, state: Document, arguments: Mapping[str, Any], now: datetime.datetime) -> tuple[Document, Plan]:
        try:
            return self.judged(state, arguments, now)
        except Refusal as refusal:
            raise Stop(f"{refusal} Nothing was changed.", state=state, changes=[]) from refusal

    def _confirm(self, state: Document, arguments: Mapping[str, Any], plan: Plan, now: datetime.datetime) -> Document:
        done = [change.describe() for change in plan.changes]
        try:
            left = [change.describe() for change in self.plan(state, arguments, now).changes]
        except (Refusal, LookNeeded) as refusal:
            message = f"Changed ({_listed(done)}), but what the {self.CALLED} shows afterwards does not fit: {refusal}"
            raise Stop(message, changed=True, changes=done, state=state) from refusal
        if left:
            raise Stop(
                f"Changed ({_listed(done)}), and nothing failed, but the {self.CALLED} does not show it: still to do is {_listed(left)}.",
                changed=True,
                changes=done,
                state=state,
            )
        return state

    # --- trips to the host ---

    def _make(self, module: str, changes: Sequence[Change], asked: Mapping[str, Any]) -> Document:
        """One trip: make these changes by an internal module, which is asked for the rest as well. Returns the state after them. Raises Stop."""
        sentences = [change.describe() for change in changes]
        try:
            result = self._trip(module, {"changes": [change.payload() for change in changes], **asked})
        except Stop as stop:
            raise Stop(
                f"{stop} It happened while these changes were made, and which of them took effect is not known: {_listed(sentences)}. "
                "Run it again: it goes on from what it finds.",
                changed=True,
                changes=sentences,
            ) from stop
        applied = int(result.get("applied") or 0)
        self.said = list(result.get("output") or [])
        known = {"changed": applied > 0, "changes": sentences[:applied], "state": self._known(result)}
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
            raise Stop(f"The changes could not be made: {said_of(result)}", **known)
        try:
            return self.state_of(result, "was changed, but could not be read afterwards")
        except Stop as stop:
            raise Stop(f"{stop} Done: {_listed(sentences)}.", **known) from stop

    def _known(self, result: Mapping[str, Any]) -> Document | None:
        try:
            return self.state_of(result, "")
        except Stop:
            return None

    def _trip(self, module: str, arguments: dict[str, Any]) -> dict[str, Any]:
        name = module if "." in module else f"securepatch.wsus.{module}"
        result = self._reach(lambda: self._execute_module(name, module_args=arguments, task_vars=self._task_vars))
        if result.get("unreachable"):
            raise Stop(f"The connection failed: {said_of(result)}")
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

    def _back_up(self, state: Document, arguments: Mapping[str, Any]) -> None:
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


def _listed(sentences: Sequence[str]) -> str:
    return "; ".join(sentences) or "nothing"


def said_of(result: Mapping[str, Any]) -> str:
    """Why a module failed, as far as it said."""
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
