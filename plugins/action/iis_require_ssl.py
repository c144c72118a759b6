# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import dataclasses
import datetime
import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, cast

from ansible.module_utils.parsing.convert_bool import boolean

from ..plugin_utils.endpoint import CheckError
from ..plugin_utils.move import TurnedAway, called, told_turned_away, turned_away
from ..plugin_utils.planning import Plan
from ..plugin_utils.quiet import LOG_LAG, MOST_TOLD, Quiet, QuietWish, SeenCertificate, decide, other_certificate, quiet_wish, seen_by_the_server
from ..plugin_utils.require_tls import TAKE_BACK, RequireWish, managed_access, plan_access, plan_require_tls
from ..plugin_utils.server_action import ServerAction, Stop
from ..plugin_utils.state import FIVE_SERVICES, Refusal, State, configured_name, format_time, serving_binding
from ..plugin_utils.survey import certificate_at
from ..plugin_utils.traffic_action import ReadsTraffic

_IGNORED = {"address": {"type": "str", "required": True}, "reason": {"type": "str", "required": True}}
_IN_A_SENTENCE = 10


class ActionModule(ReadsTraffic[State], ServerAction):
    KEEP_BAD_LOOKS = True
    PAUSE: ClassVar[float] = LOG_LAG.total_seconds()
    ARGUMENTS = {
        "applications": {"type": "list", "elements": "str", "default": list(FIVE_SERVICES)},
        "state": {"type": "str", "default": "present", "choices": ["present", "absent"]},
        "replace_site_requirement": {"type": "bool", "default": False},
        "downstream_states": {"type": "list", "elements": "dict", "default": []},
        "downstream_days": {"type": "int", "default": 30},
        "ignore_downstream": {"type": "raw", "default": False},
        "when_quiet": {"type": "bool", "default": False},
        "quiet_days": {"type": "int", "default": 7},
        "quiet_ignore": {"type": "list", "elements": "dict", "default": [], "options": _IGNORED},
        "absent_days": {"type": "int", "default": 60},
        "absent_ignore": {"type": "list", "elements": "str", "default": []},
        "look_from": {"type": "str", "default": "controller", "choices": ["controller", "none"]},
        "address": {"type": "str"},
        "timeout": {"type": "float", "default": 5},
    }

    def _arguments(self) -> dict[str, Any]:
        arguments = super()._arguments()
        self._wish = _wish(arguments)
        self._quiet: QuietWish | None = None
        if arguments["when_quiet"]:
            given = {name: arguments[name] for name in ("quiet_days", "absent_days", "quiet_ignore", "absent_ignore")}
            try:
                self._quiet = quiet_wish(**given, downstream=self._wish)
            except Refusal as refusal:
                raise Stop(f"{refusal} Nothing was changed.", changes=[]) from None
        return arguments

    def plan(self, state: State, arguments: Mapping[str, Any], now: datetime.datetime) -> Plan:
        # When quiet, what is too early is only missing.
        plan = plan_access(state, self._wish) if self._quiet else plan_require_tls(state, self._wish, now)
        return dataclasses.replace(plan, values={**plan.values, "quiet": None, "turned_away": []})

    def judged(self, state: State, arguments: Mapping[str, Any], now: datetime.datetime) -> tuple[State, Plan]:
        state, plan = super().judged(state, arguments, now)
        if not self._wish.present:
            return state, plan
        if not plan.changes:
            return state, self._with_turned_away(plan)
        if self._quiet is None:
            wrong = None if state.get("predicted") else other_certificate(state, self._seen(state, arguments))
            if wrong:
                raise Refusal(wrong)
            return state, dataclasses.replace(plan, notes=(*plan.notes, TAKE_BACK))
        if not state.get("predicted") and seen_by_the_server(state) is None:
            # What a load balancer in front of it serves, the server itself meets under its name, too.
            state = self._looked(state)
        quiet = self._decided(state, arguments, self._quiet, now)
        values = {**plan.values, "quiet": quiet.as_dict()}
        notes = (*plan.notes, *quiet.sentences())
        if quiet.quiet:
            return state, dataclasses.replace(plan, notes=(*notes, TAKE_BACK), values=values)
        return state, Plan((), notes, values)

    def _decided(self, state: State, arguments: Mapping[str, Any], wish: QuietWish, now: datetime.datetime) -> Quiet:
        """Two trips, and a third where only the delay of the log is in the way. Raises Stop."""
        # The computers first: whoever comes after that is in the log, which is read later.
        known = self.read_traffic(0, wish.absent_days)
        traffic = self.read_traffic(wish.days_to_read, wish.absent_days)
        seen = None if state.get("predicted") else self._seen(state, arguments)
        quiet = decide(state, traffic, known, seen, wish, now)
        if not quiet.only_late:
            return quiet
        started = time.monotonic()
        time.sleep(self.PAUSE)
        later = now + datetime.timedelta(seconds=time.monotonic() - started)
        return decide(state, self.read_traffic(wish.days_to_read, wish.absent_days), known, seen, wish, later)

    def _with_turned_away(self, plan: Plan) -> Plan:
        """Who was turned away in the days that it had to be quiet for: whoever it is may still have the http URL."""
        if self._quiet is None:
            return plan
        away = turned_away(self.read_callers(self._quiet.quiet_days, self._quiet.absent_days))
        notes = (*plan.notes, *([_away(away, self._quiet.quiet_days)] if away else []))
        return dataclasses.replace(plan, notes=notes, values={**plan.values, "turned_away": [told_turned_away(one) for one in away[:MOST_TOLD]]})

    def _looked(self, state: State) -> State:
        name, binding = configured_name(state), serving_binding(state)
        if name is None or binding is None:
            return state
        looked = self.observe([(name, binding["port"])])
        return cast("State", {**state, "endpoints": [*(state.get("endpoints") or []), *(looked.get("endpoints") or [])]})

    def _seen(self, state: State, arguments: Mapping[str, Any]) -> list[SeenCertificate]:
        """What is found at the server's name, by the server itself where it looked, and by the controller where it may look."""
        name, binding = configured_name(state), serving_binding(state)
        own = seen_by_the_server(state)
        found = [own] if own else []
        if arguments["look_from"] == "controller" and name and binding:
            try:
                thumbprint, problem = certificate_at(name, binding["port"], address=arguments["address"], timeout=arguments["timeout"])
            except CheckError as error:
                thumbprint, problem = None, str(error)
            found.append(SeenCertificate("the controller", f"{name}:{binding['port']}", thumbprint, problem))
        return found

    def managed(self, state: State) -> Any:
        return managed_access(state)


def _wish(arguments: Mapping[str, Any]) -> RequireWish:
    return RequireWish(
        applications=tuple(arguments["applications"]),
        present=arguments["state"] == "present",
        replace_site_requirement=arguments["replace_site_requirement"],
        downstream_states=tuple(cast("list[State]", arguments["downstream_states"])),
        downstream_days=arguments["downstream_days"],
        ignore_downstream=_names_or_all(arguments["ignore_downstream"]),
    )


def _away(away: Sequence[TurnedAway], days: int) -> str:
    named = [f"{called(one.address, one.computers)}{f', last at {format_time(one.last)}' if one.last else ''}" for one in away[:_IN_A_SENTENCE]]
    more = f"; and {len(away) - _IN_A_SENTENCE} more" if len(away) > _IN_A_SENTENCE else ""
    return (
        f"Turned away in the last {days} days, because they came over plain HTTP: {'; '.join(named)}{more}. Give them the https URL, or take the "
        "requirement back (securepatch.wsus.iis_require_ssl with state: absent)."
    )


def _names_or_all(value: Any) -> tuple[str, ...] | bool:
    """The names of servers, or whether all are meant; what an AWX survey gives as text means the same."""
    if isinstance(value, (list, tuple)):
        return tuple(str(name) for name in value)
    if value in (None, ""):
        return False
    try:
        return bool(boolean(value))
    except TypeError:
        pass
    if not isinstance(value, str):
        raise Stop(f"ignore_downstream takes a list of names, or true, not {value!r}. Nothing was changed.")
    return tuple(name.strip() for name in value.split(",") if name.strip())
