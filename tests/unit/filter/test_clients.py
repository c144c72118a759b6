# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The filters for clients."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.securepatch.wsus.plugins.filter import clients as plugin

FILTERS = plugin.FilterModule().filters()
mdm_policy: Any = FILTERS["mdm_policy"]
FOLDER = Path(__file__).parents[3] / "plugins" / "filter"


def test_a_setting_for_mdm() -> None:
    setting = {"oma_uri": "./Device/Vendor/MSFT/Policy/Config/Update/UpdateServiceUrl", "type": "string", "value": "https://wsus01.corp.example:8531"}
    assert mdm_policy("https://wsus01.corp.example:8531") == setting


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://wsus01.corp.example:8530", "securepatch.wsus.mdm_policy: The URL is http://wsus01.corp.example:8530, which is not https."),
        ("https://wsus01:8531", "short name"),
        ("https://wsus01.corp.example:8530", "port of plain HTTP"),
        ("https://a:b@wsus01.corp.example:8531", "names a user"),
        ("https://wsus01.corp.example:8531/x", "clients add the paths themselves"),
        (None, "must be a URL, not NoneType"),
        (["https://wsus01.corp.example:8531"], "must be a URL, not list"),
    ],
)
def test_what_clients_cannot_be_told_is_refused(url: Any, says: str) -> None:
    with pytest.raises(AnsibleFilterError) as refused:
        mdm_policy(url)
    assert says in str(refused.value)


@pytest.mark.parametrize("name", sorted(FILTERS))
def test_the_documentation_has_the_arguments_of_the_filter(name: str) -> None:
    documented = yaml.safe_load((FOLDER / f"{name}.yml").read_text(encoding="utf-8"))["DOCUMENTATION"]
    assert documented["name"] == name
    assert len(documented["options"]) == len(inspect.signature(FILTERS[name]).parameters)
