#!/usr/bin/python
# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: wsus_downstream_sync
short_description: From where a WSUS server synchronizes, and whether over TLS
version_added: 0.1.0
description:
  - Sets the update source of a downstream server ("Use SSL when synchronizing update information" in "Security best practices for WSUS"),
    and lets it synchronize once where that is asked for and due.
  - With TLS the upstream must be named by its FQDN ("Step 2 - Configure WSUS"), and before anything is changed this server itself has
    looked at it. It has to be reachable, its certificate for that name, and its chain trusted by this computer.
  - Waits for a synchronization that is in progress and for a configuration that WSUS still works on.
  - Refused are a server as its own upstream, and another upstream than the server has, unless O(reparent). The same is an equal FQDN, or
    a short name equal to its first label.
options:
  source:
    description: Whether to synchronize from another WSUS server or from Microsoft Update.
    type: str
    default: upstream
    choices: [upstream, microsoft_update]
  upstream:
    description: The upstream server. Needed for O(source=upstream).
    type: str
  port:
    description: Its port. By default 8531, or 8530 without O(use_ssl).
    type: int
  use_ssl:
    description: Whether to synchronize over TLS.
    type: bool
    default: true
  replica:
    description: Whether this server is a replica. By default that stays as it is.
    type: bool
  reparent:
    description: Whether the server may be moved to another upstream than it has.
    type: bool
    default: false
  upstream_state:
    description:
      - The state of the upstream server, where an earlier task returned it. In check mode what it promises counts as seen, the endpoint it
        will offer among it.
    type: dict
  synchronize:
    description:
      - Whether to start a synchronization when it is due, which is when there was none since the source was changed (the server keeps a
        note of the last one from before), when the last one failed, or when there never was one.
      - The task fails with WSUS's own error and text where it does not succeed.
    type: bool
    default: false
  wait:
    description:
      - Whether to wait for the synchronization that was started. Without it a later task with O(synchronize=true) waits for it, so that
        many servers can synchronize at the same time.
    type: bool
    default: true
  timeout:
    description: For how many seconds to wait for a synchronization.
    type: int
    default: 3600
  configuration_manager:
    description:
      - Configuration Manager rewrites these settings, so on a machine that has it the module refuses to change them. V(acknowledged) says
        that "Require SSL communication" was set on its software update point.
    type: str
    choices: [acknowledged]
extends_documentation_fragment:
  - securepatch.wsus.server
  - securepatch.wsus.server.changes
seealso:
  - module: securepatch.wsus.iis_require_ssl
"""

EXAMPLES = r"""
- name: Synchronize over TLS, and see that it works
  securepatch.wsus.wsus_downstream_sync:
    upstream: wsus01.corp.example
    synchronize: true

- name: Make a server a replica of another upstream
  securepatch.wsus.wsus_downstream_sync:
    upstream: wsus02.corp.example
    port: 443
    replica: true
    reparent: true
"""

RETURN = r"""
source:
  description: From where it synchronizes.
  returned: success
  type: str
  sample: https://wsus01.corp.example:8531
changes:
  description: What was changed, in check mode what would be, one sentence each, in order.
  returned: always
  type: list
  elements: str
  sample: ["Synchronize from https://wsus01.corp.example:8531"]
notes:
  description: What an administrator should know beside it.
  returned: success
  type: list
  elements: str
  sample: []
before:
  description: The source of synchronization, before.
  returned: success
  type: dict
  sample: {"source": "http://wsus01:8530", "replica": false, "last_synchronization": "Succeeded"}
after:
  description: The source of synchronization, after; in check mode, as it would be.
  returned: success
  type: dict
  sample: {"source": "https://wsus01.corp.example:8531", "replica": false, "last_synchronization": "Succeeded"}
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
