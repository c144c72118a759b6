# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The filters between what tasks registered and a report: which audit of a host counts, and who is looked at again after a rollout."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.securepatch.wsus.plugins.filter import audits as plugin
from ansible_collections.securepatch.wsus.plugins.filter import rollout as rollout_plugin
from ansible_collections.securepatch.wsus.plugins.plugin_utils.audit import CHECKS, assemble
from ansible_collections.securepatch.wsus.plugins.plugin_utils.audit_checks import RULES

from tests.unit.plugin_utils.machines import NOW

audits: Any = plugin.FilterModule().filters()["audits"]
touched: Any = rollout_plugin.FilterModule().filters()["rollout_touched"]


def test_the_first_of_the_registered_results_that_has_an_audit_counts() -> None:
    found = {
        "both": {"after": {"audit": {"name": "new"}}, "before": {"audit": {"name": "old"}}},
        "skipped": {"after": {"skipped": True}, "before": {"audit": {"name": "old"}}},
        "failed": {"after": {"failed": True, "msg": "no"}, "before": {"audit": {"name": "old"}}},
    }
    assert [one["name"] for one in audits(list(found), found, ["after", "before"])] == ["new", "old", "old"]


@pytest.mark.parametrize(
    ("registered", "why"),
    [
        ({"failed": True, "msg": "argument 'https_port'\n   is of type str"}, "argument 'https_port' is of type str"),
        ({"failed": True, "msg": "x" * 9000}, "x" * 500),
        ({"skipped": True}, "the task that audits it did not run"),
        ("nothing of a result", "the task that audits it did not run"),
    ],
)
def test_a_host_without_an_audit_is_found_and_said_why(registered: Any, why: str) -> None:
    [one] = audits(["wsus02"], {"wsus02": {"wsus_upstream": "wsus01", "seen": registered}}, ["seen"])
    assert (one["name"], one["upstream"], one["reached"]) == ("wsus02", "wsus01", False)
    assert [each["check"] for each in one["findings"]] == list(RULES)
    reachable, *rest = one["findings"]
    assert (reachable["result"], reachable["severity"], reachable["seen"]) == ("fail", "high", why)
    assert {each["result"] for each in rest} == {"not_known"}
    document = assemble([one], NOW)
    assert len(document["servers"][0]["findings"]) == len(CHECKS)


def test_a_host_that_registered_nothing_is_found_too() -> None:
    [one] = audits(["wsus02"], {"wsus02": {}}, ["seen"])
    assert one["upstream"] is None
    assert one["findings"][0]["seen"] == "the task that audits it did not run"


def test_who_was_changed_or_failed_is_looked_at_again() -> None:
    well = {"ok": True, "changes": []}
    found: dict[str, dict[str, Any]] = {
        "changed": {"wsus_outcome": {**well, "changes": ["Bind it"]}},
        "failed": {"wsus_outcome": {"ok": False, "task": "x", "message": "y"}},
        "done": {"wsus_outcome": well},
        "waiting": {},
        "moved": {"wsus_outcome": well},
        "trusts": {},
        "above": {
            "wsus_outcome": well,
            "wsus_moves": {"results": [{"item": "moved", "changes": ["Turn it"]}, {"item": "done", "changes": []}]},
            "wsus_trusted": {"results": [{"item": "trusts", "changes": ["Trust it"]}, {"item": "waiting", "skipped": True}]},
        },
    }
    assert touched(list(found), found) == ["changed", "failed", "moved", "trusts"]
    assert touched(list(found), found, only=["done", "changed", "above"]) == ["changed"]
