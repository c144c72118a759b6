#!/usr/bin/python
# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: wsus_audit
short_description: Where a WSUS server stands against the best practices, by two views
version_added: 0.1.0
description:
  - Looks at one WSUS server twice, changes nothing, and judges it by Microsoft's "Security best practices for WSUS". What the server says of
    itself is one trip. What the network says is real TLS and HTTP from the controller, several connections at a time, each within a time
    limit, without credentials.
  - Where the two contradict each other, that is a finding of its own. Where one of them is missing, nothing is guessed.
  - A server that cannot be reached is a finding. The task does not fail for it.
  - M(securepatch.wsus.report) makes a report of the results of many servers.
options:
  fqdn:
    description: The name that clients know the server by. By default the one that C(configuressl) recorded, else the one that Windows reports.
    type: str
  upstream:
    description: The inventory name of the server that it synchronizes from, for the report's tree.
    type: str
  https_port:
    description: The port for HTTPS on the network. By default the one of the site's binding.
    type: int
  http_port:
    description: The port for HTTP on the network. By default the one of the site's binding.
    type: int
  look_from:
    description: Whether the C(controller) looks over the network. With V(none), what needs that is not known.
    type: str
    choices: [controller, none]
    default: controller
  address:
    description: Where the controller reaches the server, when it is another address than O(fqdn) resolves to.
    type: str
  ca_file:
    description:
      - A PEM file on the controller with the authorities to trust, and no others. A relative path is relative to the playbook.
      - Without it the controller's own list of authorities counts.
    type: path
  timeout:
    description: How many seconds each connection and each answer may take.
    type: float
    default: 5
  budget:
    description: How many seconds the network's part may take altogether, about.
    type: float
    default: 30
  min_days_valid:
    description: A certificate with fewer days left is a finding.
    type: int
    default: 30
  synchronization_hours:
    description: A last synchronization that is older is a finding.
    type: int
    default: 48
  free_gigabytes:
    description: Less free space on the content's drive is a finding.
    type: int
    default: 10
extends_documentation_fragment:
  - securepatch.wsus.server
attributes:
  diff_mode:
    support: none
    details: Nothing is changed.
seealso:
  - module: securepatch.wsus.report
  - module: securepatch.wsus.wsus_server_info
"""

EXAMPLES = r"""
- name: Audit a server
  securepatch.wsus.wsus_audit:
    ca_file: corp-ca.pem
  register: audited

- name: Show what failed
  ansible.builtin.debug:
    msg: "{{ audited.audit.findings | selectattr('result', 'eq', 'fail') | map(attribute='seen') }}"
"""

RETURN = r"""
audit:
  description:
    - One server of an audit, as C(audit.json) has it.
    - The server's C(name), C(fqdn), C(url), C(upstream), C(standing), C(build) and C(certificate); whether it was C(reached); and its
      C(findings), each with the C(check), C(result) (pass, fail, not_known, not_applicable), C(severity), what was C(seen), the
      C(reason), how to C(mend) it, what C(server_says), what C(network_says), and their C(disagreement).
  returned: always
  type: dict
"""
