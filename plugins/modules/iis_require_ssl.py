#!/usr/bin/python
# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: iis_require_ssl
short_description: Require TLS on the WSUS web services that must, and on no other
version_added: 0.1.0
description:
  - Requires TLS on the five web services that "Security best practices for WSUS" and "Step 2 - Configure WSUS", section 2.5, name.
    Their other access flags stay; client certificates are set to ignore, as "Configure a software update point to use TLS/SSL" asks.
  - This is the only step that can turn anyone away. Clients that still have the HTTP URL are refused from then on.
  - To require it is refused for C(Content), C(SelfUpdate), C(ReportingWebService) and C(Inventory), which clients go on asking over HTTP;
    while no https binding has a usable certificate; while C(configuressl) or the restart after it is missing; and while a downstream server
    that WSUS lists still comes over HTTP.
  - Names of applications are compared without regard to case, as IIS does.
options:
  applications:
    description: The applications on which TLS is required, or no longer required.
    type: list
    elements: str
    default: [SimpleAuthWebService, DSSAuthWebService, ServerSyncWebService, ApiRemoting30, ClientWebService]
  state:
    description: Whether TLS is required.
    type: str
    default: present
    choices: [present, absent]
  replace_site_requirement:
    description:
      - A requirement on the whole site breaks content and self-update over HTTP. It is reported in RV(notes), and only taken away, in
        favour of one on O(applications), when this is V(true).
    type: bool
    default: false
  downstream_states:
    description:
      - The states of this server's downstream servers, as the tasks for them returned them. They are matched by the server id that both
        sides give. One that this server lists and that has no state here counts as still on HTTP.
    type: list
    elements: dict
    default: []
  downstream_days:
    description: Only downstream servers whose last synchronization is not older than this many days count.
    type: int
    default: 30
  ignore_downstream:
    description: Names of downstream servers (as WSUS lists them) that may be turned away, or V(true) for all of them.
    type: raw
    default: false
extends_documentation_fragment:
  - securepatch.wsus.server
  - securepatch.wsus.server.changes
seealso:
  - module: securepatch.wsus.wsus_downstream_sync
"""

EXAMPLES = r"""
- name: Require TLS on the five services
  securepatch.wsus.iis_require_ssl:
    downstream_states:
      - "{{ hostvars['branch1'].moved.state }}"

- name: Take the requirement back
  securepatch.wsus.iis_require_ssl:
    state: absent
"""

RETURN = r"""
applications:
  description: The applications, as IIS spells them.
  returned: success
  type: list
  elements: str
  sample: [SimpleAuthWebService, DssAuthWebService]
url:
  description: The URL that clients need.
  returned: success
  type: str
  sample: https://wsus01.corp.example:8531
changes:
  description: What was changed, in check mode what would be, one sentence each, in order.
  returned: always
  type: list
  elements: str
  sample: ["Require TLS on ClientWebService"]
notes:
  description: What an administrator should know beside it.
  returned: success
  type: list
  elements: str
  sample: []
before:
  description: The access flags of the site (the empty name) and of each application, before.
  returned: success
  type: dict
  sample: {"": "None", "ClientWebService": "None (inherited)"}
after:
  description: The access flags of the site (the empty name) and of each application, after; in check mode, as it would be.
  returned: success
  type: dict
  sample: {"": "None", "ClientWebService": "Ssl"}
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
