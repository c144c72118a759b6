#!/usr/bin/python
# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: wsus_configuressl
short_description: Tell WSUS the name it is known by over TLS
version_added: 0.1.0
description:
  - Runs C(WsusUtil configuressl) with the server's FQDN, as "Security best practices for WSUS" says, and looks at what it recorded.
  - Notes on the server that it needs a restart, before it does so. M(securepatch.wsus.wsus_restart) does the restart.
  - Refused while no usable certificate is bound, where the bound certificate does not cover the name, and while the server does not reach
    itself by that name over TLS or does not trust what it finds there. The WSUS console and the WSUS API on the server go there from then
    on.
  - There is no opposite of C(configuressl). O(state=absent) records what was there before, C(UsingSSL) 0 and the HTTP port, and is
    refused while TLS is required anywhere on the site.
options:
  fqdn:
    description: The name. By default the name that Windows reports.
    type: str
  state:
    description: Whether WSUS is known by this name over TLS, or goes back to HTTP.
    type: str
    default: present
    choices: [present, absent]
  check_own_endpoint:
    description: Whether the server has to have reached and trusted itself under O(fqdn) first.
    type: bool
    default: true
extends_documentation_fragment:
  - securepatch.wsus.server
  - securepatch.wsus.server.changes
seealso:
  - module: securepatch.wsus.wsus_restart
"""

EXAMPLES = r"""
- name: Tell WSUS its name
  securepatch.wsus.wsus_configuressl:
    observed: "{{ bound.state }}"
  register: configured

- name: Show the URL that clients need
  ansible.builtin.debug:
    var: configured.url
"""

RETURN = r"""
url:
  description: The URL that clients and downstream servers need, null without TLS.
  returned: success
  type: str
  sample: https://wsus01.corp.example:8531
fqdn:
  description: The name.
  returned: success
  type: str
  sample: wsus01.corp.example
changes:
  description: What was changed, in check mode what would be, one sentence each, in order.
  returned: always
  type: list
  elements: str
  sample: ["Note on the server that it needs a restart", "Tell WSUS that it is wsus01.corp.example over TLS (WsusUtil configuressl)"]
notes:
  description: What an administrator should know beside it.
  returned: success
  type: list
  elements: str
  sample: []
before:
  description: What WSUS recorded, before.
  returned: success
  type: dict
  sample: {"using_ssl": false, "name": null, "port": 8530, "url": null}
after:
  description: What WSUS recorded, after; in check mode, as it would be.
  returned: success
  type: dict
  sample: {"using_ssl": true, "name": "wsus01.corp.example", "port": 8531, "url": "https://wsus01.corp.example:8531"}
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
