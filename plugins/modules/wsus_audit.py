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
  - A server that cannot be reached is a finding. The task does not fail for it, unless O(fail_on) says so.
  - The same checks serve a change of the server, as the playbook C(rollout) makes one. With O(purpose=preflight) they are those that have to hold
    before it, with O(purpose=proof) those that prove it afterwards.
  - M(securepatch.wsus.report) makes a report of the results of many servers.
options:
  purpose:
    description:
      - V(audit) for every check, V(preflight) for those that have to hold before a server is changed (it can be looked at, WSUS runs, a
        certificate is there and will be trusted, the port is free, there is room on the disk, no restart is pending, no synchronization runs),
        V(proof) for those that prove a change.
    type: str
    choices: [audit, preflight, proof]
    default: audit
  fail_on:
    description: Where something at least as bad was found, the task fails and says what. With V(never) it does not.
    type: str
    choices: [high, medium, low, never]
    default: never
  fqdn:
    description: The name that clients know the server by. By default the one that C(configuressl) recorded, else the one that Windows reports.
    type: str
  upstream:
    description: The inventory name of the server that it synchronizes from, for the report's tree.
    type: str
  not_reached:
    description: Why an earlier task could not look at the server. Nobody tries again then, and it is a finding.
    type: str
  https_port:
    description: The port for HTTPS. By default the one of the site's binding, else the one that WSUS pairs with its HTTP port.
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
    description: How many seconds each connection and each answer may take, more than 0 and at most 3600.
    type: float
    default: 5
  budget:
    description: How many seconds the network's part may take altogether, about; more than 0 and at most 3600.
    type: float
    default: 30
  thumbprint:
    description: Where no certificate is bound yet, the one that is to be.
    type: str
  issuer:
    description: Where no certificate is bound yet, only one whose issuer has this text in it is to be, as in M(securepatch.wsus.wsus_ssl_binding).
    type: str
  friendly_name:
    description: Where no certificate is bound yet, only one with this friendly name is to be, as in M(securepatch.wsus.wsus_ssl_binding).
    type: str
  min_days_valid:
    description: A certificate with fewer days left is a finding, and none to be bound.
    type: int
    default: 30
  certificate_to_come:
    description: Whether one will be obtained where none fits.
    type: bool
    default: false
  authorities:
    description: Files on the controller with the certificates of the authorities that the server is to trust, as in M(securepatch.wsus.wsus_trust).
    type: list
    elements: str
    default: []
  wait:
    description: How many seconds to wait until no synchronization runs, before the server is judged. In check mode nobody waits.
    type: int
    default: 0
  synchronization_hours:
    description: A last synchronization that is older is a finding.
    type: int
    default: 48
  free_gigabytes:
    description: Less free space on the content's drive is a finding.
    type: int
    default: 10
  traffic_days:
    description:
      - For how many days back to read who calls the server, from the site's own logs, as M(securepatch.wsus.wsus_traffic_info) does. That is a
        second trip, and a third one where somebody came over plain HTTP at whose address WSUS knows no computer that stayed away.
      - With V(0) it is not read. Nor is it on a server that has nothing of HTTPS yet, because nobody can have moved there.
    type: int
    default: 0
  absent_days:
    description: A computer that WSUS knows and that stayed away for longer does not count as one that was not seen. More than O(traffic_days).
    type: int
    default: 60
extends_documentation_fragment:
  - securepatch.wsus.server
attributes:
  diff_mode:
    support: none
    details: Nothing is changed.
seealso:
  - module: securepatch.wsus.report
  - module: securepatch.wsus.wsus_traffic_info
  - module: securepatch.wsus.wsus_server_info
"""

EXAMPLES = r"""
- name: Audit a server
  securepatch.wsus.wsus_audit:
    ca_file: corp-ca.pem
  register: audited

- name: Go on only where nothing is in the way of a change, once no synchronization runs any more
  securepatch.wsus.wsus_audit:
    purpose: preflight
    fail_on: high
    wait: 3600
    look_from: none
  register: preflight

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
    - Its C(traffic) (who calls it, with O(traffic_days)), null where that was not read, and C(traffic_problem) where it could not be.
  returned: always
  type: dict
failures:
  description: What failed and is at least as bad as O(fail_on), each in a sentence, with how to mend it.
  returned: always
  type: list
  elements: str
remarks:
  description: What else failed, in the same way.
  returned: always
  type: list
  elements: str
state:
  description: With O(purpose=preflight) the state of the server, for O(observed) of later tasks; else null.
  returned: always
  type: dict
"""
