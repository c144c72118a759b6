#!/usr/bin/python
# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: wsus_trust
short_description: A machine trusts the authorities above the WSUS servers
version_added: 0.1.0
description:
  - Puts certificates of authorities into the stores of the computer, roots into Trusted Root Certification Authorities, intermediates into
    Intermediate Certification Authorities. The user's stores are not looked at by WSUS or by the update client
    ("Step 2 - Configure WSUS", section 2.5).
  - Puts a server's own certificate into the store C(WindowsServerUpdateServices), where that is asked for.
  - Then the machine itself looks at O(endpoints) over TLS, and the module fails where it does not reach them or does not trust what it finds.
  - For WSUS servers, clients, and machines that the console runs on; the machine needs no WSUS.
  - Refused before anything is touched are a certificate that is no authority, an authority that has expired, an endpoint that cannot be
    reached or has another name, and authorities that are not above what is found there.
options:
  authorities:
    description:
      - Files on the controller with certificates of authorities (PEM, DER or PKCS7, one or more in each), or such text itself.
      - A relative path is relative to the playbook.
    type: list
    elements: str
    default: []
  pinned:
    description:
      - Servers' own certificates to pin, as files or as text (PEM, or base64 of DER).
      - From the first certificate in that store on, the update client takes no WSUS server whose certificate is not in it ("Scan changes and
        certificates add security for Windows devices using WSUS").
    type: list
    elements: str
    default: []
  endpoints:
    description: Where the machine has to find, over TLS 1.2, what it trusts as a computer.
    type: list
    elements: dict
    default: []
    suboptions:
      host_name:
        description: The name to connect to and to check.
        type: str
        required: true
      port:
        description: The port.
        type: int
        default: 8531
extends_documentation_fragment:
  - securepatch.wsus.server
  - securepatch.wsus.server.changes
seealso:
  - module: securepatch.wsus.wsus_certificate
  - module: ansible.windows.win_certificate_store
    description: Takes a certificate out of a store again.
"""

EXAMPLES = r"""
- name: A downstream server trusts the company's CA, and finds its upstream
  securepatch.wsus.wsus_trust:
    authorities:
      - corp-root-ca.pem
      - corp-issuing-ca.pem
    endpoints:
      - host_name: wsus01.corp.example

- name: A client takes no other server than this one
  securepatch.wsus.wsus_trust:
    pinned:
      - wsus01.pem
"""

RETURN = r"""
trust:
  description: Each certificate with the store it belongs in, and whether it is there then.
  returned: success
  type: list
  elements: dict
  sample:
    - thumbprint: 0C1B6F4E3A5D7C9E8F0A1B2C3D4E5F6071829304
      subject: CN=Corp Root CA
      store: Trusted Root Certification Authorities
      present: true
      not_after: "2041-03-01T08:00:00Z"
endpoints:
  description: What the machine found at each of O(endpoints).
  returned: success
  type: list
  elements: dict
  sample:
    - host_name: wsus01.corp.example
      port: 8531
      ok: true
      problem: null
changes:
  description: What was changed, in check mode what would be, one sentence each, in order.
  returned: always
  type: list
  elements: str
  sample: ["Add the certificate 0C1B6F4E3A5D7C9E8F0A1B2C3D4E5F6071829304 (CN=Corp Root CA) to the store Trusted Root Certification Authorities"]
notes:
  description: What an administrator should know beside it.
  returned: success
  type: list
  elements: str
  sample: []
before:
  description: In which stores each certificate is, by thumbprint, before.
  returned: success
  type: dict
  sample: {}
after:
  description: In which stores each certificate is, by thumbprint, after; in check mode, as it would be.
  returned: success
  type: dict
  sample: {"0C1B6F4E3A5D7C9E8F0A1B2C3D4E5F6071829304": ["Trusted Root Certification Authorities"]}
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
    - The state of the machine after the task; in check mode, and where RV(ignore:observed) was a prediction, as it would be.
    - Hand it to the next task as O(observed).
  returned: success
  type: dict
"""
