#!/usr/bin/python
# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: wsus_endpoint_check
short_description: Look at a WSUS server from the controller, as its clients meet it
version_added: 0.1.0
description:
  - Makes a real TLS handshake with the server and checks the issuer, the name and the dates of its certificate, each told apart.
  - Asks for the five web services over HTTPS, and over HTTP for what Microsoft leaves there
    ("Step 2 - Configure WSUS", section 2.5), which are the update files in C(Content) and C(ReportingWebService).
  - With O(tls_required) it checks as well whether the five services refuse plain HTTP, or still serve it.
  - It runs on the controller and reads only. The host of the task is never connected to; its name is only used in messages.
  - No credentials are sent, no proxy is used, no redirect is followed, and of an answer no more than its head is read.
options:
  name:
    description: The name that clients use. The certificate has to be for it, and it is connected to unless O(address) is given.
    type: str
    required: true
  https_port:
    description: The port for HTTPS.
    type: int
    default: 8531
  http_port:
    description: The port for HTTP.
    type: int
    default: 8530
  address:
    description:
      - Where the controller reaches the server, when it is another address than O(name) resolves to.
      - The name that is checked stays O(name).
    type: str
  ca_file:
    description:
      - A PEM file on the controller with the authorities to trust, and no others. Each is trusted, whether it is a root or not.
      - A relative path is relative to the playbook. Without it the controller's own list of authorities counts.
    type: path
  tls_required:
    description:
      - V(true) checks that the five services refuse plain HTTP (403).
      - V(false) checks that they still serve it.
      - Without it neither is checked.
    type: bool
  content_on_microsoft_update:
    description: The update files stay on Microsoft Update, so that the server has no C(Content) to serve and none is asked for.
    type: bool
    default: false
  min_days_valid:
    description: For how many more days the certificate has to be valid.
    type: int
    default: 0
  thumbprint:
    description: The certificate that has to be served. Without it any may be that is as it should be.
    type: str
  timeout:
    description: How many seconds each single connection and each answer may take.
    type: float
    default: 10
  cold_seconds:
    description:
      - How many seconds, over all checks together, the server is waited for while it refuses connections, stays silent or answers 503,
        as it does right after a restart, while its application pool is cold.
    type: float
    default: 60
attributes:
  check_mode:
    description: Does the same in check mode, because it only reads.
    support: full
  diff_mode:
    description: Shows what it manages before and after.
    support: none
    details: Nothing is changed.
  platform:
    description: Target OS that can be operated against. The module runs on the controller; what it looks at is a Windows server.
    platforms: windows
    support: full
  async:
    description: Supports being run in the background with the C(async) keyword.
    support: none
  action_group:
    description: Takes its defaults from C(module_defaults) for the group.
    support: full
    membership: [securepatch.wsus.wsus]
notes:
  - The certificate is judged by the controller's TLS library, OpenSSL, which can be stricter than Windows with old keys and signatures.
  - It has been tested against simulated servers, not against a real Windows yet.
requirements:
  - cryptography (on the controller)
seealso:
  - module: securepatch.wsus.wsus_server_info
  - name: Step 2 - Configure WSUS
    description: Section 2.5 names what requires TLS and what must not.
    link: https://learn.microsoft.com/en-us/windows-server/administration/windows-server-update-services/deploy/2-configure-wsus
author:
  - securepatch.wsus contributors (@securepatch)
"""

EXAMPLES = r"""
- name: See whether clients can use HTTPS
  securepatch.wsus.wsus_endpoint_check:
    name: wsus01.corp.example
    ca_file: files/corp-root-ca.pem

- name: See that nobody comes over plain HTTP any more, through an address of the management network
  securepatch.wsus.wsus_endpoint_check:
    name: wsus01.corp.example
    address: 10.20.0.11
    ca_file: files/corp-root-ca.pem
    tls_required: true
    min_days_valid: 30

- name: A server on ports 80 and 443 that keeps no update files
  securepatch.wsus.wsus_endpoint_check:
    name: wsus02.corp.example
    https_port: 443
    http_port: 80
    content_on_microsoft_update: true
"""

RETURN = r"""
ok:
  description: Whether no check failed. Otherwise the task has failed too, with every failed check in its message.
  returned: when the check could begin
  type: bool
checks:
  description: What was looked at, always the same checks in the same order.
  returned: when the check could begin
  type: list
  elements: dict
  contains:
    id:
      description:
        - Which check it is. C(https_connection), C(certificate_chain), C(certificate_name), C(certificate_dates), C(certificate_bound),
          C(http_content), C(http_reportingwebservice), and for each of the five services C(https_) and C(http_) with its name in lower case.
      type: str
      returned: always
      sample: certificate_name
    title:
      description: What was looked at, for people.
      type: str
      returned: always
      sample: the certificate is for wsus01.corp.example
    status:
      description: V(ok), V(failed), or V(not_checked) where it was not asked for or could not be looked at.
      type: str
      returned: always
      sample: failed
    detail:
      description: What was found, in words.
      type: str
      returned: always
      sample: the certificate is for wsus.example, not for wsus01.corp.example
"""
