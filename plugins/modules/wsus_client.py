#!/usr/bin/python
# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: wsus_client
short_description: Tell one machine its WSUS server by its own policy
version_added: 0.1.0
description:
  - Sets what the group policy "Specify intranet Microsoft update service location" sets, as local policy of one machine; C(WUServer) and
    C(WUStatusServer), which are valid only when both are the same, and then C(UseWUServer). Everything else in that policy stays.
  - For machines that are in no domain. For those that are, there is M(securepatch.wsus.wsus_client_policy).
  - Refused before anything is touched are a machine in a domain, whose next refresh of group policies would overwrite it; one that MDM
    tells otherwise; and a URL that O(server_state) does not answer to.
  - What the machine finds at the server afterwards is in RV(endpoints) and RV(notes). That it does not trust it is no failure of this task.
options:
  force:
    description: Whether a machine that is in a domain, or that MDM tells otherwise, is told all the same.
    type: bool
    default: false
  detect_now:
    description:
      - Whether the machine is made to look for updates right after it was told. It is a best effort; where it cannot, RV(notes) say so, and
        the machine does it by itself within a day.
      - Nothing says when it is done, and it does not happen where nothing was changed.
    type: bool
    default: true
extends_documentation_fragment:
  - securepatch.wsus.client
  - securepatch.wsus.client.tells
seealso:
  - module: securepatch.wsus.wsus_client_info
  - module: securepatch.wsus.wsus_client_policy
  - module: securepatch.wsus.wsus_trust
  - name: Security best practices for Windows Server Update Services (WSUS)
    description: What clients are told.
    link: https://learn.microsoft.com/en-us/windows-server/administration/windows-server-update-services/plan/wsus-best-practices-security
"""

EXAMPLES = r"""
- name: See the server, wherever the client is
  securepatch.wsus.wsus_server_info:
  delegate_to: wsus01
  register: server

- name: Tell a machine of a workgroup the URL of that server
  securepatch.wsus.wsus_client:
    url: "{{ server.url }}"
    server_state: "{{ server.state }}"
"""

RETURN = r"""
changes:
  description: What was changed, in check mode what would be, one sentence each, in order.
  returned: always
  type: list
  elements: str
  sample: ["Set WUServer to https://wsus01.corp.example:8531 in this machine's policy"]
notes:
  description: What an administrator should know beside it, what the machine finds at the server among it.
  returned: success
  type: list
  elements: str
  sample: []
before:
  description: The values of the policy before, null for one that is not there.
  returned: success
  type: dict
  sample: {"WUServer": "http://wsus01:8530", "WUStatusServer": "http://wsus01:8530", "UpdateServiceUrlAlternate": null, "UseWUServer": 1}
after:
  description: The values after; in check mode, as they would be.
  returned: success
  type: dict
  sample:
    WUServer: https://wsus01.corp.example:8531
    WUStatusServer: https://wsus01.corp.example:8531
    UpdateServiceUrlAlternate:
    UseWUServer: 1
detection:
  description:
    - Whether the machine was made to look for updates; C(started), C(failed), or C(none) where nothing was changed or O(detect_now) is
      V(false). In check mode it is C(started) where it would be tried.
  returned: success
  type: str
  sample: started
endpoints:
  description: What the machine finds at the server that it was told, afterwards; empty in check mode where something would be changed.
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
"""
