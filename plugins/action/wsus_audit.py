# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import Any, cast

from ..plugin_utils.audit import FAIL_ON, audited
from ..plugin_utils.audit_checks import PREFLIGHT, Finding, Settings, View, at_least, audit_server, proof
from ..plugin_utils.binding import BindingWish
from ..plugin_utils.controller_files import certificates_from
from ..plugin_utils.endpoint import CheckError, trusting
from ..plugin_utils.move import Callers
from ..plugin_utils.server_action import ServerAction, Stop
from ..plugin_utils.state import Refusal, State, http_port, https_port_beside, known_as, serving_binding
from ..plugin_utils.survey import Survey, survey_server
from ..plugin_utils.synchronization import is_busy
from ..plugin_utils.traffic_action import ReadsTraffic, refuse_days
from ..plugin_utils.verdict import standing


class ActionModule(ReadsTraffic[State], ServerAction):
    ARGUMENTS = {
        "purpose": {"type": "str", "default": "audit", "choices": ["audit", "preflight", "proof"]},
        "fail_on": {"type": "str", "default": "never", "choices": list(FAIL_ON)},
        "fqdn": {"type": "str"},
        "upstream": {"type": "str"},
        "not_reached": {"type": "str"},
        "https_port": {"type": "int"},
        "http_port": {"type": "int"},
        "look_from": {"type": "str", "default": "controller", "choices": ["controller", "none"]},
        "address": {"type": "str"},
        "ca_file": {"type": "path"},
        "timeout": {"type": "float", "default": 5},
        "budget": {"type": "float", "default": 30},
        "thumbprint": {"type": "str"},
        "issuer": {"type": "str"},
        "friendly_name": {"type": "str"},
        "min_days_valid": {"type": "int", "default": 30},
        "certificate_to_come": {"type": "bool", "default": False},
        "authorities": {"type": "list", "elements": "str", "default": []},
        "wait": {"type": "int", "default": 0},
        "synchronization_hours": {"type": "int", "default": 48},
        "free_gigabytes": {"type": "int", "default": 10},
        "traffic_days": {"type": "int", "default": 0},
        "absent_days": {"type": "int", "default": 60},
    }
    BACK_UP = False
    KEEP_BAD_LOOKS = True

    def _run(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """What cannot be looked at is a finding, and never the end; what is bad enough fails where that was asked for."""
        refuse_days({name: arguments[name] for name in ("traffic_days", "absent_days")}, least=0)
        now = datetime.datetime.now(tz=datetime.UTC)
        before_change = arguments["purpose"] == "preflight"
        if before_change:
            self._refuse_ca_file(arguments)
        settings = Settings(
            arguments["min_days_valid"],
            arguments["synchronization_hours"],
            arguments["free_gigabytes"],
            BindingWish(**{name: arguments[name] for name in _WISH}, port=arguments["https_port"]),
            arguments["certificate_to_come"],
            authorities=self._certificates(arguments["authorities"], "The file of authorities"),
            before_change=before_change,
            will_wait=before_change and bool(self._task.check_mode) and arguments["wait"] > 0,
        )
        state, problem = self._look(arguments, settings)
        try:
            return self._judged(state, problem, arguments, settings, now)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            # A state may be anything, too.
            told = f"what the server shows cannot be read ({type(error).__name__}: {error})"
            return self._judged(None, told, arguments, settings, now)

    def _judged(
        self, state: State | None, problem: str | None, arguments: Mapping[str, Any], settings: Settings, now: datetime.datetime
    ) -> dict[str, Any]:
        fqdn = arguments["fqdn"] or (known_as(state) if state else None) or self.server
        purpose = arguments["purpose"]
        survey, survey_problem = self._survey(fqdn, state, arguments)
        callers, callers_problem = self._callers(state, arguments)
        view = View(
            name=self.server,
            fqdn=fqdn,
            state=state,
            problem=problem,
            survey=survey,
            survey_problem=survey_problem,
            has_upstream=bool(state and state["api"] and not state["api"]["synchronization"]["microsoft_update"]),
            callers=callers,
            callers_problem=callers_problem,
        )
        if state is not None and (purpose == "preflight" or _unbound(state)):
            settings = dataclasses.replace(settings, trusted=self._trusted(arguments))
        checks = {"audit": None, "preflight": PREFLIGHT, "proof": proof(state)}[purpose]
        findings = audit_server(view, settings, now, checks)
        failing = at_least(findings, arguments["fail_on"])
        result: dict[str, Any] = {
            "changed": False,
            "audit": audited(view, arguments["upstream"], [finding.as_dict() for finding in findings], now),
            "failures": _sentences(failing),
            "remarks": _sentences([finding for finding in findings if finding.result == "fail" and finding not in failing]),
            # Only for the tasks after a preflight: it is far larger than all else.
            "state": state if purpose == "preflight" else None,
        }
        if failing:
            done = " Nothing was changed." if purpose == "preflight" else ""
            result.update(failed=True, msg=f"{self.server}: {' '.join(result['failures'])}{done}", state=None)
        return result

    def _look(self, arguments: Mapping[str, Any], settings: Settings) -> tuple[State | None, str | None]:
        if arguments["not_reached"]:
            return None, str(arguments["not_reached"]).removeprefix(f"{self.server}: ")
        asked = [each.thumbprint for each in settings.authorities]
        try:
            if arguments["observed"]:
                return self._first_state(arguments), None

            def look() -> State:
                return self.observe(own_name=arguments["fqdn"] or "", look_at_upstream=True, thumbprints=asked)

            state = look()
            if arguments["wait"] > 0 and is_busy(state) and not self._task.check_mode:
                state = self.wait_for(lambda found: not is_busy(found), arguments["wait"], look)
            return state, None
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

    def _callers(self, state: State | None, arguments: Mapping[str, Any]) -> tuple[Callers | None, str | None]:
        """Who calls the server, or why that could not be read; neither where nobody asked, or nothing can have moved yet."""
        if arguments["traffic_days"] == 0 or state is None or standing(state) in ("not a working WSUS", "HTTP"):
            return None, None
        try:
            return self.read_callers(arguments["traffic_days"], arguments["absent_days"]), None
        except Stop as stop:
            return None, str(stop)

    def _refuse_ca_file(self, arguments: Mapping[str, Any]) -> None:
        try:
            trusting(self._file(arguments["ca_file"]) if arguments["ca_file"] else None)
        except CheckError as error:
            raise Stop(f"{str(error)[:1].upper()}{str(error)[1:]}. Nothing was changed.") from None

    def _trusted(self, arguments: Mapping[str, Any]) -> Any:
        """The authorities in the CA file; None where there is none, or it has what only OpenSSL reads."""
        try:
            return certificates_from([arguments["ca_file"]], "The CA file", self._file) if arguments["ca_file"] else None
        except Refusal:
            return None


_WISH = ("fqdn", "thumbprint", "issuer", "friendly_name", "min_days_valid")


def _sentences(findings: Sequence[Finding]) -> list[str]:
    if any(finding.check == "reachable" for finding in findings):
        findings = [finding for finding in findings if finding.check == "reachable"]
    return [f"{finding.seen[:1].upper()}{finding.seen[1:].rstrip('. ')}. {finding.mend}".strip() for finding in findings]


def _unbound(state: State) -> bool:
    return bool(state["iis"] and state["setup"] and state["setup"]["post_installed"] and serving_binding(state) is None)


def _ports(state: State | None) -> tuple[int, int]:
    """The ports to look at: those of the site, else those that WSUS has unless it was told otherwise."""
    if state is None or state["iis"] is None or state["setup"] is None or not state["setup"]["post_installed"]:
        return 8531, 8530
    binding = serving_binding(state)
    plain = cast("int", http_port(state) or 8530)
    return (binding["port"] if binding else https_port_beside(plain)), plain
