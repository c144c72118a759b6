# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ..plugin_utils.audit import FAIL_ON, AuditError, assemble, fails, lines, merge, refuse_foreign
from ..plugin_utils.controller_files import write_text
from ..plugin_utils.report import html_report, junit_report


class ActionModule(ActionBase):
    """Works on the controller; the connection to the host of the task is never used."""

    _requires_connection = False
    _supports_check_mode = True
    _supports_async = False

    ARGUMENTS = {
        "audits": {"type": "list", "elements": "dict", "default": []},
        "clients": {"type": "list", "elements": "dict", "default": []},
        "merge": {"type": "list", "elements": "path", "default": []},
        "previous": {"type": "path"},
        "folder": {"type": "path", "required": True},
        "fail_on": {"type": "str", "default": "never", "choices": list(FAIL_ON)},
        "about": {"type": "dict", "default": {}},
    }

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(self.ARGUMENTS)
        now = datetime.datetime.now(tz=datetime.UTC)
        previous = self._read(arguments["previous"], "The previous audit") if arguments["previous"] else None
        slices = [self._read(path, "The audit") for path in arguments["merge"]]
        try:
            if slices:
                given = arguments["audits"] or arguments["clients"]
                own = [assemble(arguments["audits"], now, about=arguments["about"], clients=arguments["clients"])] if given else []
                document = merge([*slices, *own], now, previous=previous)
            else:
                document = assemble(arguments["audits"], now, previous=previous, about=arguments["about"], clients=arguments["clients"])
        except AuditError as error:
            raise AnsibleActionFail(f"The audits cannot be put together: {error}") from None
        folder = Path(arguments["folder"])
        files = {name: str(folder / name) for name in ("audit.json", "audit.html", "audit.xml")}
        self._write(files, document)
        told = lines(document)
        result.update(changed=False, files=files, summary=document["summary"], lines=[*told, "", f"The report: {files['audit.html']}"])
        if fails(document, arguments["fail_on"]):
            told = f"The audit found what it is to fail on (audit_fail_on: {arguments['fail_on']}). See {files['audit.html']}."
            result.update(failed=True, msg=told)
        return result

    def _read(self, path: str, what: str) -> Mapping[str, Any]:
        try:
            document = json.loads(Path(path).read_text(encoding="utf-8"))
            refuse_foreign(document)
        except OSError as error:
            raise AnsibleActionFail(f"{what} {path} cannot be read: {error.strerror or error}") from None
        except AuditError as error:
            raise AnsibleActionFail(f"{what} {path} cannot be used: {error}") from None
        except ValueError as error:
            raise AnsibleActionFail(f"{what} {path} is no JSON: {error}") from None
        return document  # type: ignore[no-any-return]

    def _write(self, files: Mapping[str, str], document: Mapping[str, Any]) -> None:
        texts = {
            "audit.json": json.dumps(document, indent=1, ensure_ascii=True) + "\n",
            "audit.html": html_report(document),
            "audit.xml": junit_report(document),
        }
        for name, text in texts.items():
            try:
                write_text(files[name], text)
            except OSError as error:
                raise AnsibleActionFail(f"The report cannot be written to {files[name]}: {error.strerror or error}.") from None
