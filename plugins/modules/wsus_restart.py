#!/usr/bin/python
# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: wsus_restart
short_description: Restart a WSUS server when, and only when, configuressl needs it
version_added: 0.1.0
description:
  - Restarts when a restart of this collection's is pending. M(securepatch.wsus.wsus_configuressl) leaves a note on the server; the restart
    is pending while that note is younger than the machine's last start, whoever restarts it, or until O(method=services) took it away.
    A run that was cut off anywhere restarts the next time.
  - A restart that Windows itself waits for is told, and not done.
options:
  method:
    description:
      - V(reboot) restarts the machine with M(ansible.windows.win_reboot), as "Security best practices for WSUS" says.
      - V(services) restarts the WSUS service and recycles its application pool, which is what reads the setting. Other sites of the
        machine do not notice.
    type: str
    default: reboot
    choices: [reboot, services]
  reboot_timeout:
    description: For how many seconds to wait for the machine to come back, as of M(ansible.windows.win_reboot).
    type: int
    default: 600
  pre_reboot_delay:
    description: How many seconds before the restart the users are told, as of M(ansible.windows.win_reboot).
    type: int
    default: 2
  post_reboot_delay:
    description: How many seconds to wait after the machine answers again, as of M(ansible.windows.win_reboot).
    type: int
    default: 0
  connect_timeout:
    description: After how many seconds an attempt to connect is given up, as of M(ansible.windows.win_reboot).
    type: int
    default: 5
  msg:
    description: What users are told.
    type: str
    default: "Restart by Ansible: WSUS was told to use TLS"
  ready_timeout:
    description: For how many seconds to wait after the restart until the services run and the WSUS API answers.
    type: int
    default: 300
extends_documentation_fragment:
  - securepatch.wsus.server
  - securepatch.wsus.server.changes
seealso:
  - module: ansible.windows.win_reboot
"""

EXAMPLES = r"""
- name: Restart the machine if it has to be
  securepatch.wsus.wsus_restart:
    observed: "{{ configured.state }}"

- name: Restart only what reads the setting
  securepatch.wsus.wsus_restart:
    method: services
"""

RETURN = r"""
windows_pending:
  description: Whether Windows itself waits for a restart.
  returned: success
  type: bool
changes:
  description: What was changed, in check mode what would be, one sentence each, in order.
  returned: always
  type: list
  elements: str
  sample: ["Restart the machine"]
notes:
  description: What an administrator should know beside it.
  returned: success
  type: list
  elements: str
  sample: []
before:
  description: Whether a restart is pending, before.
  returned: success
  type: dict
  sample: {"restart_pending": true}
after:
  description: Whether a restart is pending, after; in check mode, as it would be.
  returned: success
  type: dict
  sample: {"restart_pending": false}
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
