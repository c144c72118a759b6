# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The filters for clients: what an MDM tells them. Each is documented in a file of its name."""

from __future__ import annotations

from collections.abc import Callable

from ansible.errors import AnsibleFilterError

from ..plugin_utils.client import MDM_SETTING
from ..plugin_utils.state import Refusal
from ..plugin_utils.update_url import read_url


def mdm_policy(url: str) -> dict[str, str]:
    """The setting of a custom MDM profile that tells clients this URL. Raises AnsibleFilterError for one that they cannot be told."""
    if not isinstance(url, str):
        raise AnsibleFilterError(f"securepatch.wsus.mdm_policy: the input must be a URL, not {type(url).__name__}.")
    try:
        return {"oma_uri": MDM_SETTING, "type": "string", "value": read_url(str(url)).text}
    except Refusal as refusal:
        raise AnsibleFilterError(f"securepatch.wsus.mdm_policy: {refusal}") from None


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., object]]:
        return {"mdm_policy": mdm_policy}
