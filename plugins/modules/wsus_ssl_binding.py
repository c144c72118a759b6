#!/usr/bin/python
# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: wsus_ssl_binding
short_description: Bind a certificate to the WSUS site
version_added: 0.1.0
description:
  - Binds a certificate to the https binding of the WSUS site, and adds the binding where there is none. The http binding stays, as
    Microsoft's "Configure a software update point to use TLS/SSL" asks.
  - Which certificate, in this order. The one with O(thumbprint); or the one that is bound, while it fits; or else the best of the
    computer's Personal store. One fits that has a private key which can be opened, is for Server Authentication, has O(fqdn) in its SAN
    (or, without any SAN, as its common name; a wildcard covers one label), is valid now and for O(min_days_valid) more days, and has an
    RSA key of 2048 bits, P-256 or better and no SHA-1 signature. Of several the one that lasts longest.
  - What the binding has beside, its address, host name and other flags, stays.
  - A binding is not as wished either while the kernel (http.sys) serves another certificate than IIS has on file; binding once more
    mends that.
  - A binding that is new, or had no certificate, may only be listened on after the site was stopped and started, so that is done then.
  - Refused are a port that another site of the machine has (unless both use SNI), the port on which the site answers plain HTTP, and a
    binding of the Central Certificate Store.
options:
  fqdn:
    description: The name that the certificate has to be for. By default the name that Windows reports.
    type: str
  port:
    description: The port for HTTPS. By default the one that WSUS pairs with its HTTP port (8531 with 8530, 443 with 80, N+1 with N).
    type: int
  thumbprint:
    description: The certificate to bind. Blanks and the invisible first character that Windows' dialogs copy along do not matter.
    type: str
  issuer:
    description:
      - Take only certificates of this issuer. Its common name, or one or more attributes of its distinguished name
        (C(CN=Corp Issuing CA, O=Corp)).
    type: str
  friendly_name:
    description: Take only certificates with this friendly name.
    type: str
  min_days_valid:
    description: For how many more days a certificate has to be valid to fit, the one that is bound as well.
    type: int
    default: 14
extends_documentation_fragment:
  - securepatch.wsus.server
  - securepatch.wsus.server.changes
seealso:
  - module: securepatch.wsus.wsus_configuressl
"""

EXAMPLES = r"""
- name: Bind the best certificate for the server's own name
  securepatch.wsus.wsus_ssl_binding:
  register: bound

- name: Bind one certificate, for an alias that clients use
  securepatch.wsus.wsus_ssl_binding:
    fqdn: wsus.corp.example
    thumbprint: 5A1E0C3B7F2D4986A0B1C2D3E4F5061728394A5B

- name: Take only what the company's own CA issued
  securepatch.wsus.wsus_ssl_binding:
    issuer: Corp Issuing CA
    min_days_valid: 30
    observed: "{{ seen.state }}"
"""

RETURN = r"""
thumbprint:
  description: The certificate that is bound, null where it is still to come.
  returned: success
  type: str
  sample: 5A1E0C3B7F2D4986A0B1C2D3E4F5061728394A5B
certificate:
  description: The same certificate, parsed, as M(securepatch.wsus.wsus_server_info) returns it.
  returned: success
  type: dict
fqdn:
  description: The name it was chosen for.
  returned: success
  type: str
  sample: wsus01.corp.example
port:
  description: The port for HTTPS.
  returned: success
  type: int
  sample: 8531
http_port:
  description: The port on which the site answers plain HTTP, null where it has no http binding.
  returned: success
  type: int
  sample: 8530
changes:
  description: What was changed, in check mode what would be, one sentence each, in order.
  returned: always
  type: list
  elements: str
  sample: ["Bind the certificate 5A1E0C3B7F2D4986A0B1C2D3E4F5061728394A5B to *:8531"]
notes:
  description: What an administrator should know beside it.
  returned: success
  type: list
  elements: str
  sample: []
before:
  description: The site's https bindings and what the kernel serves for each, before.
  returned: success
  type: list
  elements: dict
  sample: [{"binding": "*:8531:", "thumbprint": null, "store": null, "ssl_flags": 0, "served": null}]
after:
  description: The site's https bindings and what the kernel serves for each, after; in check mode, as it would be.
  returned: success
  type: list
  elements: dict
  sample:
    - binding: "*:8531:"
      thumbprint: 5A1E0C3B7F2D4986A0B1C2D3E4F5061728394A5B
      store: My
      ssl_flags: 0
      served: 5A1E0C3B7F2D4986A0B1C2D3E4F5061728394A5B
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
