# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, cast

from ..plugin_utils.audit import audited
from ..plugin_utils.audit_checks import Settings, View, audit_server
from ..plugin_utils.endpoint import CheckError
from ..plugin_utils.server_action import ServerAction, Stop
from ..plugin_utils.state import State, http_port, https_port_beside, known_as, serving_binding
from ..plugin_utils.survey import Survey, survey_server


class ActionModule(ServerAction):
    ARGUMENTS = {
        "fqdn": {"type": "str"},
        "upstream": {"type": "str"},
        "https_port": {"type": "int"},
        "http_port": {"type": "int"},
        "look_from": {"type": "str", "default": "controller", "choices": ["controller", "none"]},
        "address": {"type": "str"},
        "ca_file": {"type": "path"},
        "timeout": {"type": "float", "default": 5},
        "budget": {"type": "float", "default": 30},
        "min_days_valid": {"type": "int", "default": 30},
        "synchronization_hours": {"type": "int", "default": 48},
        "free_gigabytes": {"type": "int", "default": 10},
    }
    BACK_UP = False

    def _run(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """What cannot be looked at is a finding, and never the end: the result is not failed."""
        now = datetime.datetime.now(tz=datetime.UTC)
        state, problem = self._look(arguments)
        fqdn = arguments["fqdn"] or (known_as(state) if state else None) or self.server
        survey, survey_problem = self._survey(fqdn, state, arguments)
        view = View(
            name=self.server,
            fqdn=fqdn,
            state=state,
            problem=problem,
            survey=survey,
            survey_problem=survey_problem,
            has_upstream=bool(state and state["api"] and not state["api"]["synchronization"]["microsoft_update"]),
        )
        settings = Settings(arguments["min_days_valid"], arguments["synchronization_hours"], arguments["free_gigabytes"])
        findings = [asdict(finding) for finding in audit_server(view, settings, now)]
        return {"changed": False, "audit": audited(view, arguments["upstream"], findings, now)}

    def _look(self, arguments: Mapping[str, Any]) -> tuple[State | None, str | None]:
        try:
            if arguments["observed"]:
                return self._first_state(arguments), None
            return self.observe(own_name=arguments["fqdn"] or "", look_at_upstream=True), None
        except Stop as stop:
            return None, str(stop)

    def _survey(self, fqdn: str, state: State | None, arguments: Mapping[str, Any]) -> tuple[Survey | None, str | None]:
        if arguments["look_from"] == "none":
            return None, "the controller was told not to look (look_from: none)"
        https, http = _ports(state)
        ca_file = arguments["ca_file"]
        try:
            found = survey_server(
                fqdn,
                https_port=arguments["https_port"] or https,
                http_port=arguments["http_port"] or http,
                address=arguments["address"],
                ca_file=self._file(ca_file) if ca_file else None,
                timeout=arguments["timeout"],
                budget=arguments["budget"],
            )
        except CheckError as error:
            return None, f"the controller could not look: {error}"
        return found, None


def _ports(state: State | None) -> tuple[int, int]:
    """The ports to look at: those of the site, else those that WSUS has unless it was told otherwise."""
    if state is None or state["iis"] is None or state["setup"] is None or not state["setup"]["post_installed"]:
        return 8531, 8530
    binding = serving_binding(state)
    plain = cast("int", http_port(state) or 8530)
    return (binding["port"] if binding else https_port_beside(plain)), plain
