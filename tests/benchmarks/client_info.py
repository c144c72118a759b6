# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How long wsus_client_info takes over 200 clients, beside ansible.windows.win_ping over the same clients in the same run. Each client looks at its
server over real TLS, and at the port for files over HTTP.

Run C(python -m tests.benchmarks.client_info) from the root of the repository. It ends with 1 where wsus_client_info takes more than
1.3 times as long.
"""

from __future__ import annotations

import sys

from .beside_ping import compare

CLIENTS = 200
AT_MOST = 1.3

#: Told by a group policy that the server answers to over HTTPS.
FLEET = {
    "domain": "corp.example",
    "servers": {"wsus01": {"stage": "offered"}},
    "group_policies": {"WSUS clients": {"url": "https://wsus01.corp.example:8531"}},
    "clients": {f"pc[001:{CLIENTS}]": {}},
}


def main() -> int:
    return compare("wsus_client_info", FLEET, "wsus_clients", f"{CLIENTS} clients", AT_MOST)


if __name__ == "__main__":
    sys.exit(main())
