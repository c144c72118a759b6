# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from ..plugin_utils.binding import BindingWish
from ..plugin_utils.certificate_changes import unasked
from ..plugin_utils.certificates import parse, summary
from ..plugin_utils.planning import Plan
from ..plugin_utils.server_action import ServerAction
from ..plugin_utils.state import (
    Endpoint,
    LookNeeded,
    State,
    against_endpoint,
    find_endpoint,
    known_as,
    restart_pending,
    url_of,
)
from ..plugin_utils.trusting import TrustWish, thumbprints, trust_of
from ..plugin_utils.verdict import judge, standing, with_certificate_to_come


class ActionModule(ServerAction):
    ARGUMENTS = {
        "fqdn": {"type": "str"},
        "port": {"type": "int"},
        "min_days_valid": {"type": "int", "default": 14},
        "thumbprint": {"type": "str"},
        "issuer": {"type": "str"},
        "friendly_name": {"type": "str"},
        "endpoints": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {"host_name": {"type": "str", "required": True}, "port": {"type": "int", "required": True}},
        },
        "look_at_itself": {"type": "bool", "default": False},
        "look_at_upstream": {"type": "bool", "default": False},
        "certificate_to_come": {"type": "bool", "default": False},
        "authorities": {"type": "list", "elements": "str", "default": []},
    }
    BACK_UP = False

    _wished: TrustWish | None = None

    def _trust(self, arguments: Mapping[str, Any]) -> TrustWish:
        if self._wished is None:
            self._wished = TrustWish(self._certificates(arguments["authorities"], "The file of authorities"))
        return self._wished

    def ask_trust(self, arguments: Mapping[str, Any]) -> list[str]:
        return thumbprints(self._trust(arguments))

    def own_name(self, arguments: Mapping[str, Any]) -> str | None:
        return (arguments["fqdn"] or "") if arguments["look_at_itself"] else None

    def look_at_upstream(self, arguments: Mapping[str, Any]) -> bool:
        return bool(arguments["look_at_upstream"])

    def look_at(self, arguments: Mapping[str, Any]) -> list[tuple[str, int]]:
        return [(endpoint["host_name"], endpoint["port"]) for endpoint in arguments["endpoints"]]

    def plan(self, state: State, arguments: Mapping[str, Any], now: datetime.datetime) -> Plan:
        wish = BindingWish(
            fqdn=arguments["fqdn"],
            port=arguments["port"],
            thumbprint=arguments["thumbprint"],
            issuer=arguments["issuer"],
            friendly_name=arguments["friendly_name"],
            min_days_valid=arguments["min_days_valid"],
        )
        if unasked(state, self.ask_trust(arguments)):
            raise LookNeeded
        judged = with_certificate_to_come(state, wish, now) if arguments["certificate_to_come"] else state
        verdict = judge(judged, wish, now)
        for host_name, port in self.look_at(arguments):
            if find_endpoint(state, host_name, port) is None:
                raise LookNeeded(host_name, port)
        name = wish.fqdn or known_as(state)
        return Plan(
            notes=verdict.notes,
            values={
                "fqdn": name,
                "url": url_of(state) if state["setup"] and state["setup"]["post_installed"] else None,
                "certificates": [summary(parse(entry), name, now, wish.min_days_valid) for entry in state["certificates"] or []],
                "verdict": verdict.as_dict(),
                "certificate_to_come": judged is not state,
                "trust": trust_of(state, self._trust(arguments)),
                "endpoints": [_judged(endpoint) for endpoint in state.get("endpoints") or [] if endpoint["tls"]],
            },
        )

    def _result(self, arguments: Mapping[str, Any], plan: Plan, before: Any, state: State) -> dict[str, Any]:
        return {"changed": False, "state": state, "standing": standing(state), "restart_pending": restart_pending(state), **plan.values}


def _judged(endpoint: Endpoint) -> dict[str, Any]:
    against = "" if endpoint.get("promised") else against_endpoint(endpoint)
    return {
        "host_name": endpoint["host_name"],
        "port": endpoint["port"],
        "ok": not against,
        "problem": against or None,
        "promised": bool(endpoint.get("promised")),
    }
