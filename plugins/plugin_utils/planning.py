# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What planning gives: the list of changes from a state to a wish, and what is to be said about it.

Every planner is a function C(plan(state, wish, now) -> Plan) in a file of its own. It raises Refusal where nothing may be changed, and
LookNeeded where the server itself has to look at an endpoint first. It does no I/O.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from .changes import Change


@dataclasses.dataclass(frozen=True)
class Plan:
    """The changes to make, in order; what an administrator should know beside them; and what the module returns besides."""

    changes: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()
    values: dict[str, Any] = dataclasses.field(default_factory=dict)
