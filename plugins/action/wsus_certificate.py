# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import dataclasses
import datetime
import ntpath
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleError

from ..plugin_utils.certificate_changes import FRIENDLY_NAME, Collect, Enroll, ImportPfx, NameCertificate, RemoveCertificate, RemoveLeftover
from ..plugin_utils.certificates import parse
from ..plugin_utils.changes import Change, Registry
from ..plugin_utils.controller_files import certificates_from, read_file, write_text
from ..plugin_utils.enrollment import (
    KEY_LENGTHS,
    Answer,
    CertificateWish,
    Pfx,
    against_wish,
    certificate_values,
    managed_certificates,
    pending_request,
    plan_certificate,
    plan_removal,
    used_by,
)
from ..plugin_utils.enrollment_errors import advice_of, is_final, key_is_gone
from ..plugin_utils.pfx import BadPfx, leaf_alone, open_pfx
from ..plugin_utils.planning import Plan
from ..plugin_utils.server_action import ServerAction, Stop
from ..plugin_utils.state import MARKS_KEY, PENDING_MARK, PFX_MARK, Refusal, State


class ActionModule(ServerAction):
    ARGUMENTS = {
        "state": {"type": "str", "default": "present", "choices": ["present", "absent"]},
        "source": {"type": "str", "default": "store", "choices": ["store", "enterprise_ca", "csr", "pfx"]},
        "fqdn": {"type": "str"},
        "extra_names": {"type": "list", "elements": "str", "default": []},
        "issuer": {"type": "str"},
        "friendly_name": {"type": "str"},
        "min_days_valid": {"type": "int", "default": 30},
        "replace": {"type": "list", "elements": "str", "default": []},
        "authority": {"type": "str"},
        "template": {"type": "str", "default": "WebServer"},
        "key_algorithm": {"type": "str", "default": "RSA", "choices": list(KEY_LENGTHS)},
        "key_length": {"type": "int"},
        "request_file": {"type": "path"},
        "answer_file": {"type": "path"},
        "pfx_file": {"type": "path"},
        "pfx_password": {"type": "str", "no_log": True},
        "authorities": {"type": "list", "elements": "str", "default": []},
        "thumbprint": {"type": "str"},
    }
    CONSTRAINTS = {"required_if": [("source", "pfx", ["pfx_file"])]}

    # --- the plan ---

    def plan(self, state: State, arguments: Mapping[str, Any], now: datetime.datetime) -> Plan:
        if arguments["state"] == "absent":
            return plan_removal(state, arguments["thumbprint"])
        return plan_certificate(
            state,
            _wish(arguments),
            now,
            lambda: self._answer(arguments),
            lambda: self._pfx(arguments),
            lambda: certificates_from(arguments["authorities"], "The file of authorities", self._file),
        )

    def managed(self, state: State) -> Any:
        return managed_certificates(state)

    def values(self, state: State, plan: Plan) -> dict[str, Any]:
        nothing: dict[str, Any] = dict.fromkeys(("fqdn", "status", "thumbprint", "certificate", "request", "request_file"))
        if "removed" in plan.values:
            return {**nothing, **plan.values}
        found = certificate_values(state, self._wished, datetime.datetime.now(tz=datetime.UTC))
        return {**nothing, **found, "removed": [], "kept": []}

    def _arguments(self) -> dict[str, Any]:
        arguments = super()._arguments()
        self._wished = _wish(arguments)
        return arguments

    def _answer(self, arguments: Mapping[str, Any]) -> Answer | None:
        file = arguments["answer_file"]
        if not file or not Path(file).exists():
            return None
        return Answer(file, certificates_from([file], "The answer", str))

    def _pfx(self, arguments: Mapping[str, Any]) -> Pfx:
        file = self._file(arguments["pfx_file"])
        try:
            # Kept, so that what is installed is what was looked at.
            self._pfx_data = read_file(file, "The PFX")
            return open_pfx(self._pfx_data, arguments["pfx_password"], file)
        except BadPfx as error:
            raise Refusal(f"The PFX {file} {error}.") from None

    # --- making the changes ---

    def apply(self, state: State, arguments: Mapping[str, Any], plan: Plan) -> State:
        changes = list(plan.changes)
        for leftover in [change for change in changes if isinstance(change, RemoveLeftover)]:
            state = self._remove_folder(leftover.folder)
            changes.remove(leftover)
        if not changes:
            return state
        imported = next((change for change in changes if isinstance(change, ImportPfx)), None)
        if imported is not None:
            return self._import(imported, [change for change in changes if change is not imported], arguments)
        try:
            after = super().apply(state, arguments, dataclasses.replace(plan, changes=tuple(changes)))
        except Stop as stop:
            self._forget_refused(stop, changes)
            self._tell_what_waits(stop, state, changes)
            raise
        self._stop_where_pending(after, changes)
        return after

    def settle(self, state: State, arguments: Mapping[str, Any], plan: Plan) -> State:
        # A CA may issue something else than it was asked for; what cannot be used does not stay.
        if not any(isinstance(change, Enroll | Collect) for change in plan.changes):
            return state
        now = datetime.datetime.now(tz=datetime.UTC)
        try:
            left = self.plan(state, arguments, now).changes
            values = certificate_values(state, self._wished, now)
            before = {each["thumbprint"] for each in self._before}
            new = [each for each in state["certificates"] or [] if each["store"] == "My" and each["thumbprint"] not in before]
            # What the state before did not show may be somebody else's by now.
            new = [each for each in new if not used_by(state, each["thumbprint"])]
        except Refusal:
            return state  # told by whoever plans next
        if values["status"] == "present":
            return self._name_collected(state, left)
        done = [change.describe() for change in plan.changes]
        if not new:
            told = "The CA says that it issued a certificate, but there is no new one in the computer's Personal store."
            raise Stop(told, changed=True, changes=done, state=state)
        against = [f"{each['thumbprint']}: {'; '.join(against_wish(parse(each), self._wished, values['fqdn'], now))}" for each in new]
        # Only what bears the name that was asked for is certainly ours: another program may have installed one in the meantime.
        ours = [each for each in new if each["friendly_name"] == (self._wished.friendly_name or FRIENDLY_NAME)]
        removals = [RemoveCertificate(each["store"], each["thumbprint"]) for each in ours]
        state = self._change(removals) if removals else state
        gone = "It was removed again, and its key. " if removals else ""
        raise Stop(
            f"The CA issued a certificate that cannot be used, {'. '.join(against)}. {gone}A CA takes names from the request only where the "
            "template says 'Supply in the request', and how long a certificate lasts is the template's.",
            changed=True,
            changes=[*done, *(change.describe() for change in removals)],
            state=state,
        )

    def _name_collected(self, state: State, left: Sequence[Change]) -> State:
        # What was collected is called as an earlier run had it, when it asked.
        names = [change for change in left if isinstance(change, NameCertificate)]
        self.also_done += names
        return self._change(names) if names else state

    def _run(self, arguments: dict[str, Any]) -> dict[str, Any]:
        self._before: list[dict[str, Any]] = []
        return super()._run(arguments)

    def _back_up(self, state: State, arguments: Mapping[str, Any]) -> None:
        self._before = list(state["certificates"] or [])
        super()._back_up(state, arguments)

    def advice(self, failure: Mapping[str, Any], change: Change) -> str:
        return advice_of(failure, change) or super().advice(failure, change)

    def _forget_refused(self, stop: Stop, changes: list[Change]) -> None:
        collected = next((change for change in changes if isinstance(change, Collect)), None)
        if collected is None or stop.failure is None or not (is_final(stop.failure) or key_is_gone(stop.failure)):
            return
        forget = Registry(MARKS_KEY, PENDING_MARK, "String", None, f"Take the note of request {collected.request_id} off the server")
        state = self._change([forget])
        told = f"{stop} The note of request {collected.request_id} was taken off the server, so the next run asks anew."
        raise Stop(told, changed=True, changes=[forget.describe()], state=state) from stop

    def _tell_what_waits(self, stop: Stop, before: State, changes: list[Change]) -> None:
        # The CA has issued it, and the server has the key and the number, although the change as a whole failed.
        asked = next((change for change in changes if isinstance(change, Enroll)), None)
        after = stop.result.get("state")
        waits = pending_request(after) if asked and after else None
        if asked is None or waits is None or stop.failure is None or PENDING_MARK in before["marks"]:
            return
        number, authority = waits
        failure = f"{str(stop.failure['message']).rstrip('. ')} ({stop.failure['type']}, {stop.failure['hresult']})"
        raise Stop(
            f"Request {number} was issued by {authority}, but this server could not install the certificate: {failure}. "
            f"{self.advice(stop.failure, asked)} The server keeps the key and the number: the next run collects the certificate, and asks for no "
            "other.",
            changed=True,
            changes=[asked.describe()],
            state=after,
        ) from stop

    def _stop_where_pending(self, state: State, changes: list[Change]) -> None:
        for said in self.said:
            if said.get("status") == "pending":
                asked = [change.describe() for change in changes if isinstance(change, Enroll)]
                raise Stop(
                    f"Request {said['request_id']} is pending at {said['authority']}: a manager of the CA has to issue it (Certification "
                    "Authority, Pending Requests). The server keeps its number. Run this again afterwards: it collects the certificate, and asks "
                    "for no other.",
                    changed=bool(asked),
                    changes=asked,
                    state=state,
                )

    # --- a PFX ---

    def _import(self, imported: ImportPfx, others: list[Change], arguments: Mapping[str, Any]) -> State:
        """Install a PFX. The folder that it is in for that is noted on the server first, so that the next run removes what a cut leaves there."""
        pfx = leaf_alone(self._pfx_data, arguments["pfx_password"], imported.friendly_name)
        folder = self._temporary_folder()
        self._change([Registry(MARKS_KEY, PFX_MARK, "String", folder, "Note on the server where the PFX is while it is installed"), *others])
        remote = self._connection._shell.join_path(folder, "certificate.pfx")
        try:
            with tempfile.TemporaryDirectory(dir=C.DEFAULT_LOCAL_TMP) as place:
                local = Path(place) / "certificate.pfx"
                with os.fdopen(os.open(local, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                    file.write(pfx)
                self._reach(lambda: self._transfer_file(str(local), remote))
            options = {"path": remote, "state": "present", "store_name": "My", "store_location": "LocalMachine"}
            secret = {"password": arguments["pfx_password"], "key_exportable": False, "key_storage": "machine"}
            result = self._trip("ansible.windows.win_certificate_store", {**options, **secret})
        except AnsibleError as error:  # the file did not arrive
            result = {"failed": True, "msg": str(error)}
        except Stop as stop:
            told = f"{stop} The PFX may still be in {folder} on the server, encrypted; the next run removes it."
            raise Stop(told, changed=True, changes=[change.describe() for change in others]) from stop
        state = self._remove_folder(folder)
        if result.get("failed"):
            told = f"{imported.describe()}: this failed: {result.get('msg')} The PFX was removed from the server."
            raise Stop(told, changed=bool(others), changes=[change.describe() for change in others], state=state)
        return state

    def _temporary_folder(self) -> str:
        # Ansible's own path ends in "\."
        folder = ntpath.normpath(str(self._reach(self._make_tmp_path)))
        # Ansible would remove it at the end of the task, but says nothing where it cannot: it is done, and seen to, here.
        self._connection._shell.tmpdir = None
        return folder

    def _remove_folder(self, folder: str) -> State:
        result = self._trip("ansible.windows.win_file", {"path": folder, "state": "absent"})
        if result.get("failed"):
            told = f"The folder {folder} on the server, with a PFX in it, cannot be removed: {result.get('msg')} Remove it by hand."
            raise Stop(told, changed=True, changes=[])
        return self._change([Registry(MARKS_KEY, PFX_MARK, "String", None, "Take the note of that folder off the server")])

    # --- a request ---

    def _result(self, arguments: Mapping[str, Any], plan: Plan, before: Any, state: State) -> dict[str, Any]:
        result = super()._result(arguments, plan, before, state)
        file = arguments["request_file"]
        if result.get("status") == "requested" and file:
            result["request_file"] = file
            text = result["request"]
            there = Path(file)
            if text is None or not there.is_file() or there.read_bytes() != text.encode("ascii"):
                self._write_request(file, text, result)
        return result

    def _write_request(self, file: str, text: str | None, result: dict[str, Any]) -> None:
        if not self._task.check_mode and text is not None:
            try:
                write_text(file, text)
            except OSError as error:
                told = f"The request cannot be written to {file} on the controller: {error.strerror or error}."
                told += " It stays on the server; the next run writes it."
                raise Stop(told, changed=result["changed"], changes=result["changes"], state=result["state"]) from error
        result["changed"] = True
        result["changes"] = [*result["changes"], f"Write the request to {file} on the controller"]


def _wish(arguments: Mapping[str, Any]) -> CertificateWish:
    return CertificateWish(
        source=arguments["source"],
        fqdn=arguments["fqdn"],
        extra_names=tuple(arguments["extra_names"]),
        issuer=arguments["issuer"],
        friendly_name=arguments["friendly_name"],
        min_days_valid=arguments["min_days_valid"],
        replace=tuple(arguments["replace"]),
        authority=arguments["authority"],
        template=arguments["template"],
        key_algorithm=arguments["key_algorithm"],
        key_length=arguments["key_length"],
    )
