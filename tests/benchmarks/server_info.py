# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How long wsus_server_info takes over 200 servers, beside ansible.windows.win_ping over the same servers in the same run.

Run C(python -m tests.benchmarks.server_info) from the root of the repository. It ends with 1 where wsus_server_info takes more than
1.3 times as long.
"""

from __future__ import annotations

import sys

from .bench import tree
from .beside_ping import compare

LEVELS = (1, 20, 179)
AT_MOST = 1.3


def main() -> int:
    return compare("wsus_server_info", tree(LEVELS), "wsus_servers", f"{sum(LEVELS)} servers", AT_MOST)


if __name__ == "__main__":
    sys.exit(main())
