# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from ..plugin_utils.client import judge_client, told_values
from ..plugin_utils.client_action import ClientAction
from ..plugin_utils.client_state import ClientState, client_of
from ..plugin_utils.planning import Plan
from ..plugin_utils.update_url import read_url


class ActionModule(ClientAction):
    ARGUMENTS = {
        "url": {"type": "str"},
    }
    BACK_UP = False

    def plan(self, state: ClientState, arguments: Mapping[str, Any], now: datetime.datetime) -> Plan:
        wanted = read_url(arguments["url"]) if arguments["url"] else None
        client = client_of(state)
        findings = judge_client(client, now, wanted, arguments["server_state"])
        found = {"ok": not findings.problems, "problems": list(findings.problems), "notes": list(findings.notes)}
        return Plan(values={**told_values(client), **found})

    def _result(self, arguments: Mapping[str, Any], plan: Plan, before: Any, state: ClientState) -> dict[str, Any]:
        return {"changed": False, **plan.values}
