#!/usr/bin/python
# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: report
short_description: Make a report of audits
version_added: 0.1.0
description:
  - Puts what M(securepatch.wsus.wsus_audit) found of many servers together, judges what takes more than one of them, and writes
    C(audit.json), C(audit.html) (one file that needs nothing else) and C(audit.xml) (JUnit) to a folder of the controller.
  - Puts the C(audit.json) of several runs together too, as slices of a large fleet leave them.
  - It runs on the controller. The host of the task is never connected to.
options:
  audits:
    description: The RV(securepatch.wsus.wsus_audit#module:audit) of each server.
    type: list
    elements: dict
    default: []
  clients:
    description: What the filter P(securepatch.wsus.client_audits#filter) gives of each client, to be judged beside the servers.
    type: list
    elements: dict
    default: []
  merge:
    description: Files C(audit.json) to put together. A server or client that several have counts as the latest of them saw it.
    type: list
    elements: path
    default: []
  previous:
    description: An earlier C(audit.json). The report then says what changed since, and how callers over plain HTTP went down since the audits before.
    type: path
  folder:
    description: The folder on the controller to write to.
    type: path
    required: true
  fail_on:
    description: Fail where something at least as bad was found. The report is written all the same.
    type: str
    choices: [high, medium, low, never]
    default: never
  about:
    description: What else is to be kept in the audit about its run.
    type: dict
    default: {}
attributes:
  check_mode:
    description: Can run in check mode, changes nothing then, and says exactly what a run would change.
    support: full
    details: It writes its files in check mode too. They are what it is for, and nothing else is touched.
  diff_mode:
    description: Shows what it manages before and after, in check mode as well.
    support: none
  platform:
    description: Target OS that can be operated against.
    platforms: all
    support: full
  async:
    description: Supports being run in the background with the C(async) keyword.
    support: none
  action_group:
    description: Takes its defaults from C(module_defaults) for the group.
    support: full
    membership: [securepatch.wsus.wsus]
requirements:
  - cryptography (on the controller)
author:
  - securepatch.wsus contributors (@securepatch)
seealso:
  - module: securepatch.wsus.wsus_audit
"""

EXAMPLES = r"""
- name: Write the report of all servers
  securepatch.wsus.report:
    audits: "{{ ansible_play_hosts_all | map('extract', hostvars) | map(attribute='audited.audit') | list }}"
    folder: wsus-audit
  run_once: true

- name: Put slices together
  securepatch.wsus.report:
    merge: "{{ query('ansible.builtin.fileglob', 'slices/*/audit.json') }}"
    folder: wsus-audit
"""

RETURN = r"""
files:
  description: The files that were written, by name.
  returned: success, and where it fails for what was found
  type: dict
  sample: {"audit.html": wsus-audit/audit.html, "audit.json": wsus-audit/audit.json, "audit.xml": wsus-audit/audit.xml}
summary:
  description: The numbers of servers by their worst severity, of results, and of failures; and in C(clients) the same of clients.
  returned: success, and where it fails for what was found
  type: dict
lines:
  description: The summary for a terminal.
  returned: success, and where it fails for what was found
  type: list
  elements: str
"""
