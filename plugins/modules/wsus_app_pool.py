#!/usr/bin/python
# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: wsus_app_pool
short_description: Settings of the WSUS application pool
version_added: 0.1.0
description:
  - Sets the application pool behind C(ClientWebService), C(WsusPool) where nobody renamed it, to the values of "WSUS best practices"
    (KB 4490414), each of which can be overridden.
options:
  queue_length:
    description: How many requests may wait.
    type: int
    default: 2000
  idle_timeout_minutes:
    description: After how many minutes without a request the worker process ends; 0 for never.
    type: int
    default: 0
  ping_enabled:
    description: Whether IIS pings the worker process.
    type: bool
    default: false
  private_memory_kb:
    description: With how much private memory (KB) the pool is recycled; 0 for no limit.
    type: int
    default: 0
  virtual_memory_kb:
    description: With how much virtual memory (KB) the pool is recycled; 0 for no limit. By default it stays as it is.
    type: int
  recycle_interval_minutes:
    description: After how many minutes the pool is recycled regularly; 0 for never.
    type: int
    default: 0
extends_documentation_fragment:
  - securepatch.wsus.server
  - securepatch.wsus.server.changes
seealso:
  - module: securepatch.wsus.wsus_server_info
"""

EXAMPLES = r"""
- name: The pool as the best practices want it
  securepatch.wsus.wsus_app_pool:

- name: The same with a memory limit of 8 GB
  securepatch.wsus.wsus_app_pool:
    private_memory_kb: 8388608
"""

RETURN = r"""
name:
  description: The name of the pool.
  returned: success
  type: str
  sample: WsusPool
changes:
  description: What was changed, in check mode what would be, one sentence each, in order.
  returned: always
  type: list
  elements: str
  sample: ["Set the application pool WsusPool: queue length 2000, idle time-out 0 min"]
notes:
  description: What an administrator should know beside it.
  returned: success
  type: list
  elements: str
  sample: []
before:
  description: The settings of the pool, before.
  returned: success
  type: dict
  sample: {"name": "WsusPool", "queue_length": 1000, "idle_timeout_minutes": 20}
after:
  description: The settings of the pool, after; in check mode, as it would be.
  returned: success
  type: dict
  sample: {"name": "WsusPool", "queue_length": 2000, "idle_timeout_minutes": 0}
standing:
  description: Where the server stands then, in a few words (HTTP, half-way, restart pending, offers HTTPS, requires TLS).
  returned: success
  type: str
  sample: offers HTTPS
restart_pending:
  description: Whether a restart of this collection's is pending.
  returned: success
  type: bool
  sample: false
state:
  description:
    - The state of the server after the task; in check mode, and where RV(ignore:observed) was a prediction, as it would be.
    - Hand it to the next task as O(observed).
  returned: success
  type: dict
"""
