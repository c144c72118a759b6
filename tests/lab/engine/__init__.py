# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a machine's document means: reading it and changing it as the collection's PowerShell does on Windows, same in, same out."""

from __future__ import annotations

from .changes import apply_changes
from .clients import read_update_client
from .endpoints import test_endpoint, unreachable
from .errors import WindowsError
from .group_policies import read_group_policies
from .group_policies import refresh as refresh_group_policies
from .state import read_state, read_trust
from .traffic import read_traffic

__all__ = [
    "WindowsError",
    "apply_changes",
    "read_group_policies",
    "read_state",
    "read_traffic",
    "read_trust",
    "read_update_client",
    "refresh_group_policies",
    "test_endpoint",
    "unreachable",
]
