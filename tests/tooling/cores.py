# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The versions of ansible-core that the collection supports, and with which Python each is tested."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class Core:
    """A supported ansible-core.

    `minors` are the 3.x that it supports on the controller. `ansible` is the requirement on the package "ansible" whose ansible.windows
    it is tested with.
    """

    version: str
    minors: tuple[int, ...]
    ansible: str

    @property
    def requirement(self) -> str:
        return f"ansible-core~={self.version}.0"


# The oldest is tested with the oldest ansible.windows that galaxy.yml allows, the others with the newest that goes with them.
CORES = (
    Core("2.18", (11, 12, 13), "ansible==11.0.0"),
    Core("2.19", (11, 12, 13), "ansible~=12.0"),
    Core("2.20", (12, 13, 14), "ansible~=13.0"),
    Core("2.21", (12, 13, 14), "ansible~=14.0"),
)


def newest_for(minor: int) -> Core:
    """The newest ansible-core that Python 3.MINOR can run. A Python newer than all of them gets the newest."""
    return [core for core in CORES if core.minors[0] <= minor][-1]


def python_for(core: Core, found: Collection[int]) -> int | None:
    """Which of the minors FOUND CORE is tested with: the newest ansible-core with the newest, any other with the oldest.

    None where there is none that it supports.
    """
    fitting = sorted(set(core.minors) & set(found))
    if not fitting:
        return None
    return fitting[-1] if core is CORES[-1] else fitting[0]
