#!/usr/bin/python
# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: wsus_client_policy
short_description: Tell clients their WSUS server by a group policy
version_added: 0.1.0
description:
  - Sets "Specify intranet Microsoft update service location" in a group policy that is there already. C(WUServer) and C(WUStatusServer), one of
    which is not valid without the other, are set in one call, then C(UseWUServer). Everything else in the policy stays; a setting that says
    "delete" is replaced.
  - Runs on any host that has the Group Policy cmdlets, best on a domain controller. Neither links nor filters of the policy are touched.
  - Clients have it with their next refresh of group policies (every 90 minutes, and up to 30 more) and use it with their next search.
  - Refused before anything is touched are a URL that O(server_state) does not answer to over HTTPS, a policy that does not exist (the names that
    are nearly it are said), and one whose computer half is switched off.
options:
  gpo:
    description: The display name of the group policy.
    type: str
    required: true
  domain:
    description: The domain that it is in. The one of the host or of the account unless given.
    type: str
  server:
    description: The domain controller to read from and write to. The one with the role PDC emulator unless given.
    type: str
  backup_dir:
    description:
      - A folder of that host, into which the policy is backed up before its first change (C(Backup-GPO)); it is made where there is none.
        Nothing is backed up where nothing is to be changed.
    type: str
extends_documentation_fragment:
  - securepatch.wsus.client
  - securepatch.wsus.client.tells
notes:
  - The cmdlets write to SYSVOL and to the directory, and WinRM passes no credential on to either (the second hop). So run it on a domain
    controller with O(server) set to itself, or with C(become), or over a Kerberos connection with delegation.
  - The account needs the right "Edit settings" on the policy.
requirements:
  - the Group Policy cmdlets on that host (feature C(GPMC))
seealso:
  - module: securepatch.wsus.wsus_client_info
  - module: securepatch.wsus.wsus_client
  - name: Security best practices for Windows Server Update Services (WSUS)
    description: What clients are told.
    link: https://learn.microsoft.com/en-us/windows-server/administration/windows-server-update-services/plan/wsus-best-practices-security
"""

EXAMPLES = r"""
- name: See the server
  securepatch.wsus.wsus_server_info:
  delegate_to: wsus01
  register: server

- name: Tell the clients of a group policy, on a domain controller
  securepatch.wsus.wsus_client_policy:
    gpo: WSUS clients
    server: dc01.corp.example
    url: "{{ server.url }}"
    server_state: "{{ server.state }}"
    backup_dir: C:\Backup\GPO
  delegate_to: dc01
  register: policy

- name: Say how the policy is restored
  ansible.builtin.debug:
    msg: Restore-GPO -BackupId {{ policy.backup_id }} -Path C:\Backup\GPO
  when: policy.backup_id is not none
"""

RETURN = r"""
policy:
  description: Which group policy it is.
  returned: success
  type: dict
  contains:
    name:
      description: Its display name, as it was asked for.
      type: str
      returned: success
    guid:
      description: Its GUID.
      type: str
      returned: success
    domain:
      description: Its domain.
      type: str
      returned: success
    status:
      description: Which half of it is switched on (C(AllSettingsEnabled), C(UserSettingsDisabled)).
      type: str
      returned: success
backup_id:
  description: The id of the backup in O(backup_dir), null where none was made, and in check mode.
  returned: success
  type: str
  sample: 7f2c5b1e-94a3-4f0d-8b6e-0a1c2d3e4f50
changes:
  description: What was changed, in check mode what would be, one sentence each, in order.
  returned: always
  type: list
  elements: str
  sample: ["Set WUServer and WUStatusServer to https://wsus01.corp.example:8531 in the group policy 'WSUS clients'"]
notes:
  description: What an administrator should know beside it.
  returned: success
  type: list
  elements: str
  sample: []
before:
  description: The settings before, null for one that is not there, C(Delete) for one that the policy takes away from clients.
  returned: success
  type: dict
  sample: {"WUServer": "http://wsus01:8530", "WUStatusServer": "http://wsus01:8530", "UpdateServiceUrlAlternate": null, "UseWUServer": 1}
after:
  description: The settings after; in check mode, as they would be.
  returned: success
  type: dict
  sample:
    WUServer: https://wsus01.corp.example:8531
    WUStatusServer: https://wsus01.corp.example:8531
    UpdateServiceUrlAlternate:
    UseWUServer: 1
"""
