# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The filter C(securepatch.wsus.waves): a door to the hierarchy for playbooks. It is documented in C(waves.yml)."""

from __future__ import annotations

import typing as t
from collections.abc import Callable, Mapping, Sequence

from ansible.errors import AnsibleFilterError

from ..plugin_utils import hierarchy


def waves(
    hosts: Sequence[str],
    hostvars: Mapping[str, Mapping[str, object]],
    strategy: str = "bottom_up",
    batch: int | str | None = None,
    only: Sequence[str] | None = None,
) -> list[list[str]]:
    """The waves of these inventory hosts as lists of names. Raises AnsibleFilterError with every problem of the tree at once."""
    if not _is_list(hosts) or not (only is None or _is_list(only)):
        raise AnsibleFilterError("securepatch.wsus.waves: the input and only must be lists of inventory names.")
    if not isinstance(hostvars, Mapping):
        raise AnsibleFilterError("securepatch.wsus.waves: the first argument must be hostvars.")
    try:
        tree = hierarchy.build(hierarchy.read(hosts, hostvars))
        return hierarchy.waves(tree, t.cast("hierarchy.Strategy", strategy), batch, only)
    except hierarchy.HierarchyError as error:  # without it as the cause, whose text Ansible would say once more
        problems = "".join(f"\n- {problem}" for problem in error.problems)
        raise AnsibleFilterError(f"The tree of WSUS servers cannot be worked through:{problems}") from None
    except ValueError as error:
        raise AnsibleFilterError(f"securepatch.wsus.waves: {error}") from None


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., object]]:
        return {"waves": waves}
