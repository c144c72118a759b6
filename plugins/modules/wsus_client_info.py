#!/usr/bin/python
# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: wsus_client_info
short_description: What a machine was told about its WSUS server, and whether it reaches and trusts it
version_added: 0.1.0
description:
  - Tells in one trip what a machine was told about its WSUS server and by whom (a group policy and which one won, its own policy, MDM, nobody),
    whether it keeps to it, whether it reaches and trusts that server over TLS and reaches the port for files beside it, and which certificates
    are pinned. It changes nothing.
  - RV(problems) are what stands in the way of looking for updates over HTTPS. They are no failure of the task.
  - That a machine was told, reaches and trusts the server is not the proof. The proof is a search against the managed server with
    M(ansible.windows.win_updates).
options:
  url:
    description: The URL that the machine is to have. That it has another one is a problem then, and who says so.
    type: str
extends_documentation_fragment:
  - securepatch.wsus.client
attributes:
  diff_mode:
    support: none
    details: Nothing is changed.
seealso:
  - module: securepatch.wsus.wsus_client
  - module: securepatch.wsus.wsus_client_policy
  - module: securepatch.wsus.wsus_trust
  - name: Security best practices for Windows Server Update Services (WSUS)
    description: What clients are told.
    link: https://learn.microsoft.com/en-us/windows-server/administration/windows-server-update-services/plan/wsus-best-practices-security
"""

EXAMPLES = r"""
- name: See what the clients were told
  securepatch.wsus.wsus_client_info:
    url: https://wsus01.corp.example:8531
  register: client

- name: Say what is in the way
  ansible.builtin.debug:
    var: client.problems

- name: The proof is a search
  ansible.windows.win_updates:
    state: searched
    server_selection: managed_server
"""

RETURN = r"""
ok:
  description: Whether there are no RV(problems); the machine looks for updates over HTTPS, at a server that it reaches and trusts.
  returned: success
  type: bool
  sample: true
problems:
  description: What is wrong with what the machine was told, and with what it finds there, one sentence each.
  returned: success
  type: list
  elements: str
  sample: []
notes:
  description: What to know beside it.
  returned: success
  type: list
  elements: str
  sample: []
url:
  description: The server that the machine was told of, by policy, else by MDM; null where nobody named one.
  returned: success
  type: str
  sample: https://wsus01.corp.example:8531
told_by:
  description:
    - Who named it. C(group_policy) where the machine has on record which group policies did; C(policy) where its policy says so and no group
      policy is on record, because it was set on the machine or the domain keeps no such record; C(mdm); or C(nobody).
  returned: success
  type: str
  sample: group_policy
winning_policies:
  description: The group policies that name a server, as the machine has them on record, the one that won first.
  returned: success
  type: list
  elements: dict
  contains:
    policy:
      description: The group policy, as the record names it (its path in the directory, with its GUID).
      type: str
      returned: success
    precedence:
      description: Its precedence, 1 is the one that won.
      type: int
      returned: success
mdm_url:
  description: The server that MDM names (C(UpdateServiceUrl)), null for none.
  returned: success
  type: str
alternate_url:
  description: Where the machine gets the files of updates instead (C(UpdateServiceUrlAlternate)), null for none.
  returned: success
  type: str
used:
  description: Whether the machine uses that server (C(UseWUServer)).
  returned: success
  type: bool
  sample: true
from_windows_update:
  description: What it gets from Windows Update in spite of it, by a policy of update sources.
  returned: success
  type: list
  elements: str
  sample: [feature updates]
reached:
  description: Whether the machine reaches that server, null where it was not looked at.
  returned: success
  type: bool
  sample: true
trusted:
  description: Whether it trusts what it finds there over TLS, for that name; null where the URL is not https.
  returned: success
  type: bool
  sample: true
content_reached:
  description: Whether it reaches the port of plain HTTP that gives the files (8530 beside 8531, 80 beside 443); null where it was not looked at.
  returned: success
  type: bool
  sample: true
endpoints:
  description: What it looked at.
  returned: success
  type: list
  elements: dict
  contains:
    host_name:
      description: The name.
      type: str
      returned: success
    port:
      description: The port.
      type: int
      returned: success
    tls:
      description: Whether it was looked at over TLS.
      type: bool
      returned: success
    ok:
      description: Whether it was reached, and over TLS whether its certificate is for that name and trusted.
      type: bool
      returned: success
    problem:
      description: What is wrong, null where nothing is.
      type: str
      returned: success
pinned:
  description: The thumbprints of the certificates in the store C(WindowsServerUpdateServices). From the first on, no other server is taken.
  returned: success
  type: list
  elements: str
  sample: []
domain_member:
  description: Whether the machine is in a domain.
  returned: success
  type: bool
  sample: true
client_id:
  description: The id by which WSUS knows the machine (C(SusClientId)), null before it first came.
  returned: success
  type: str
last_search:
  description: When the machine last searched by itself (UTC), null where it never did or cannot say. Searches by a script do not count.
  returned: success
  type: str
  sample: "2026-11-21T02:00:00Z"
"""
