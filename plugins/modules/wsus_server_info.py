#!/usr/bin/python
# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: wsus_server_info
short_description: Where a WSUS server stands on its way from HTTP to HTTPS
version_added: 0.1.0
description:
  - Reads everything the collection needs to know about one WSUS server in one trip, changes nothing, and judges it.
  - The certificates of the computer's stores are parsed, and each says whether it could serve the server's name, and why not.
  - The verdict says what is missing until this server offers HTTPS, and until it requires TLS on the five web services
    that Microsoft names in "Security best practices for WSUS" and "Step 2 - Configure WSUS", section 2.5.
options:
  fqdn:
    description:
      - The name that clients and downstream servers know this server by.
      - By default the certificates are judged for the name that C(configuressl) recorded, else for the one that Windows reports; the
        verdict always for the one that Windows reports, which is what the other modules take by default.
    type: str
  port:
    description: The port for HTTPS. By default the one that WSUS pairs with its HTTP port (8531, 443, N+1).
    type: int
  min_days_valid:
    description: For how many more days a certificate has to be valid to be judged fit.
    type: int
    default: 14
  thumbprint:
    description: The certificate that is to be bound, where it is not to be chosen.
    type: str
  issuer:
    description: Only certificates of this issuer (its common name, or parts of its distinguished name) are judged fit.
    type: str
  friendly_name:
    description: Only certificates with this friendly name are judged fit.
    type: str
  endpoints:
    description:
      - Where the server itself is to look, over TLS 1.2, as the computer and not as the user who is connected. What it finds is in
        RV(state).
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
        required: true
  look_at_itself:
    description:
      - Whether the server is also to look at itself, by O(fqdn) or the name that Windows reports, on each https binding that has a
        certificate.
    type: bool
    default: false
  look_at_upstream:
    description:
      - Whether the server is also to look at the one that it synchronizes from. With this and O(look_at_itself) the state has all that
        M(securepatch.wsus.wsus_audit) judges.
    type: bool
    default: false
  certificate_to_come:
    description:
      - Whether a certificate will be obtained where none fits.
      - It then counts as there in the verdict.
    type: bool
    default: false
  authorities:
    description:
      - Files on the controller with certificates of authorities (PEM, DER or PKCS7, one or more in each), or such text itself.
      - RV(trust) says of each whether it is in the store of the computer that it belongs in. A relative path is relative to the playbook.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - securepatch.wsus.server
attributes:
  diff_mode:
    support: none
    details: Nothing is changed.
seealso:
  - module: securepatch.wsus.wsus_ssl_binding
  - name: Security best practices for Windows Server Update Services (WSUS)
    description: Microsoft's own steps.
    link: https://learn.microsoft.com/en-us/windows-server/administration/windows-server-update-services/plan/wsus-best-practices-security
"""

EXAMPLES = r"""
- name: See where a server stands
  securepatch.wsus.wsus_server_info:
  register: seen

- name: Say what is missing
  ansible.builtin.debug:
    msg: "{{ seen.verdict.missing_to_offer + seen.verdict.blocked_by }}"

- name: See as well what this server finds at its upstream
  securepatch.wsus.wsus_server_info:
    endpoints:
      - host_name: wsus01.corp.example
        port: 8531
"""

RETURN = r"""
fqdn:
  description: The name the certificates are judged for.
  returned: success
  type: str
  sample: wsus01.corp.example
url:
  description: The URL that clients need, null while C(configuressl) has not run.
  returned: success
  type: str
  sample: https://wsus01.corp.example:8531
certificates:
  description: The certificates of the computer's stores C(My) (Personal), C(WebHosting) and C(Request).
  returned: success
  type: list
  elements: dict
  contains:
    thumbprint:
      description: The thumbprint.
      type: str
      returned: success
    store:
      description: The store.
      type: str
      returned: success
    subject:
      description: The subject.
      type: str
      returned: success
    issuer:
      description: The issuer.
      type: str
      returned: success
    dns_names:
      description: The DNS names of the SAN, null where there is no SAN.
      type: list
      elements: str
      returned: success
    not_before:
      description: From when it is valid (UTC).
      type: str
      returned: success
    not_after:
      description: Until when it is valid (UTC).
      type: str
      returned: success
    days_left:
      description: Whole days until then, negative when it has expired.
      type: int
      returned: success
    key:
      description: The kind and size of its key.
      type: str
      returned: success
      sample: RSA 2048
    serves:
      description: Whether it can serve RV(fqdn).
      type: bool
      returned: success
    reasons:
      description: Why it cannot.
      type: list
      elements: str
      returned: success
certificate_to_come:
  description: Whether a certificate has to be obtained, with O(certificate_to_come).
  returned: success
  type: bool
  sample: false
trust:
  description: Each certificate of O(authorities), with the store it belongs in and whether it is there.
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
  description: What the server found at the endpoints it looked at over TLS.
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
    ok:
      description: Whether it was reached, its certificate is for that name, and this computer trusts it.
      type: bool
      returned: success
    problem:
      description: Which of the three is wrong, null where none is.
      type: str
      returned: success
    promised:
      description: Whether it is only promised by what earlier tasks would have done (check mode).
      type: bool
      returned: success
verdict:
  description: What is missing.
  returned: success
  type: dict
  contains:
    offers_https:
      description: Whether HTTPS is offered; a certificate is bound, C(configuressl) has run, and no restart is pending.
      type: bool
      returned: success
    requires_tls:
      description: Whether TLS is required on the five services, beside that.
      type: bool
      returned: success
    missing_to_offer:
      description: What would be changed until it offers HTTPS, one sentence each.
      type: list
      elements: str
      returned: success
    missing_to_require:
      description: What would be changed after that until it requires TLS.
      type: list
      elements: str
      returned: success
    blocked_by:
      description: What stands in the way and has to be mended by somebody.
      type: list
      elements: str
      returned: success
    notes:
      description: What to know beside it, such as a restart that Windows waits for.
      type: list
      elements: str
      returned: success
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
