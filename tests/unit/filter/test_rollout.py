# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What may be said of the requirement of TLS, and what is refused before anything is touched."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.securepatch.wsus.plugins.filter import rollout as plugin

FILTERS = plugin.FilterModule().filters()
tls_requirement: Any = FILTERS["tls_requirement"]
rollout_plan: Any = FILTERS["rollout_plan"]


@pytest.mark.parametrize(
    ("given", "means"),
    [
        (True, "now"),
        ("yes", "now"),
        ("True", "now"),
        (1, "now"),
        (False, "never"),
        ("false", "never"),
        ("", "never"),
        (None, "never"),
        ("when_quiet", "when_quiet"),
        (" When_Quiet ", "when_quiet"),
    ],
)
def test_what_may_be_asked_for(given: Any, means: str) -> None:
    assert tls_requirement(given) == means
    # Nobody has been looked at: the tree of one server is there all the same.
    assert rollout_plan(["wsus01"], {"wsus01": {}}, require_tls=given)["require_tls"] == means


@pytest.mark.parametrize("given", ["quiet", "when quiet", "perhaps", [], {}, 2])
def test_what_may_not(given: Any) -> None:
    with pytest.raises(AnsibleFilterError, match="none of true"):
        tls_requirement(given)
    plan = rollout_plan(["wsus01"], {"wsus01": {}}, require_tls=given)
    assert "wsus_require_tls: " in plan["problems"][0]
    assert plan["waves"] == []


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"quiet_days": 0}, "https_server_quiet_days is 0; it may be 1 to 3650"),
    ({"quiet_days": "a week"}, 'https_server_quiet_days is "a week", which is no whole number of days.'),
    ({"absent_days": 7}, "https_server_absent_days is 7; it has to be more than https_server_quiet_days (7)"),
    ({"quiet_ignore": "10.9.0.1"}, "https_server_quiet_ignore has to be a list."),
    ({"quiet_ignore": ["10.9.0.1"]}, "Each entry of https_server_quiet_ignore has an address and a reason"),
    ({"absent_ignore": {"pc1": True}}, "https_server_absent_ignore has to be a list."),
]


@pytest.mark.parametrize(("settings", "says"), WRONG)
def test_settings_that_make_no_sense(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(AnsibleFilterError) as raised:
        tls_requirement("when_quiet", **settings)
    assert says in str(raised.value)
    assert tls_requirement(True, **settings) == "now", "they do not count then"

    own = {f"https_server_{name}": value for name, value in settings.items()}
    plan = rollout_plan(["wsus01", "wsus02", "wsus03"], {"wsus01": own, "wsus02": {}, "wsus03": own}, require_tls="when_quiet")
    assert len(plan["problems"]) == 1
    assert plan["problems"][0].startswith("wsus01, wsus03: ")
    assert says in plan["problems"][0]
