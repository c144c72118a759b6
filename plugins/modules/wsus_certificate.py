#!/usr/bin/python
# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: wsus_certificate
short_description: A WSUS server has a certificate, wherever certificates come from
version_added: 0.1.0
description:
  - Sees to it that the computer's Personal store has a certificate, with its private key, that serves the server's name.
  - One that fits and lasts is kept, and nothing is asked for. Which one fits, and which of several is taken, are the rules of
    M(securepatch.wsus.wsus_ssl_binding).
  - Else it is obtained from O(source). The private key is made on the server and never leaves it, but for a PFX.
  - A run that was cut off, or whose request the CA left pending, is finished by the next one. What the server keeps for that stands under
    C(HKLM:\SOFTWARE\securepatch.wsus).
  - With O(state=absent) a certificate is removed with its key, but none that the machine is seen to use.
options:
  state:
    description:
      - V(present) for a certificate that serves the server's name.
      - V(absent) removes the certificate with O(thumbprint), or without one all certificates that this collection replaced
        (M(securepatch.wsus.wsus_ssl_binding) notes on the server which those are).
      - A certificate is in use where a binding of any site, any entry of http.sys (that of WinRM over HTTPS among them) or Remote Desktop
        has it. The one that was named is refused then; of those that were replaced it stays, with a note. Other programs are not looked
        at.
    type: str
    choices: [present, absent]
    default: present
  source:
    description:
      - V(store) takes what is there already, and fails where nothing fits.
      - V(enterprise_ca) asks an online AD CS CA, by O(template). It asks as whoever runs the task. Over WinRM that has to be SYSTEM
        (C(become)), which is the computer account there, because there is no credential to pass on; the role P(securepatch.wsus.certificate#role)
        does so.
      - V(csr) makes a key and a request on the server, and writes the request to O(request_file). A later run installs the answer in
        O(answer_file).
      - V(pfx) installs O(pfx_file) with M(ansible.windows.win_certificate_store), not exportable.
    type: str
    choices: [store, enterprise_ca, csr, pfx]
    default: store
  fqdn:
    description: The name that clients use, and the subject of what is asked for. By default the name that Windows reports.
    type: str
  extra_names:
    description: Other names that the certificate has to cover. They go to the SAN beside O(fqdn).
    type: list
    elements: str
    default: []
  issuer:
    description: Keep only a certificate of this issuer. Its common name, or one or more attributes of its distinguished name.
    type: str
  friendly_name:
    description:
      - What the certificate is called. By default C(WSUS) where it is made or installed here; one that is kept keeps its name then.
    type: str
  min_days_valid:
    description: For how many more days a certificate has to be valid to be kept, or installed.
    type: int
    default: 30
  replace:
    description: Thumbprints of certificates that are not to be kept although they fit.
    type: list
    elements: str
    default: []
  authority:
    description: The enterprise CA, as C(HOST\NAME). By default the one that the directory has as its default.
    type: str
  template:
    description: The template's name, which is not its display name. It has to take names from the request.
    type: str
    default: WebServer
  key_algorithm:
    description: The kind of key that is made on the server.
    type: str
    choices: [RSA, ECDSA_P256, ECDSA_P384]
    default: RSA
  key_length:
    description: The length of the key in bits. By default the least of its kind, 2048 for RSA.
    type: int
  request_file:
    description: The file on the controller that the request is written to.
    type: path
  answer_file:
    description:
      - The file on the controller with the CA's answer (PEM, DER or PKCS7, with or without its chain). It need not be there yet.
      - Refused is one for another key than one that waits on the server, for another name, not for Server Authentication, or that does
        not last. Intermediates in it go to the computer's Intermediate store; a root in it is not trusted by that.
    type: path
  pfx_file:
    description:
      - The PFX on the controller. A relative path is relative to the playbook. It is looked at before anything is touched, and only where no
        certificate fits.
      - Refused are a wrong password, a PFX without a private key, one whose certificate does not fit, one without the certificate of the
        authority that issued it (unless O(authorities) has it), and on Server 2016 one that is encrypted with AES or SHA-256, which it cannot
        read.
      - What is in it beside the certificate and its key goes to the Intermediate store, or nowhere.
    type: path
  pfx_password:
    description: The password of the PFX. One without a password is refused.
    type: str
  authorities:
    description: Files with the certificates of the authorities above the PFX, where it does not have them.
    type: list
    elements: str
    default: []
  thumbprint:
    description: The certificate to remove, with O(state=absent).
    type: str
extends_documentation_fragment:
  - securepatch.wsus.server
  - securepatch.wsus.server.changes
seealso:
  - module: securepatch.wsus.wsus_ssl_binding
  - module: securepatch.wsus.wsus_trust
"""

EXAMPLES = r"""
- name: Ask the directory's default CA, as the computer account
  securepatch.wsus.wsus_certificate:
    source: enterprise_ca
    extra_names:
      - wsus.corp.example
  become: true
  become_method: ansible.builtin.runas
  become_user: SYSTEM
  register: obtained

- name: Bind it
  securepatch.wsus.wsus_ssl_binding:
    thumbprint: "{{ obtained.thumbprint }}"
    observed: "{{ obtained.state }}"

- name: Make a request for any CA, or install its answer once that is there
  securepatch.wsus.wsus_certificate:
    source: csr
    request_file: requests/{{ inventory_hostname }}.csr
    answer_file: requests/{{ inventory_hostname }}.cer

- name: Remove what was replaced
  securepatch.wsus.wsus_certificate:
    state: absent
"""

RETURN = r"""
status:
  description:
    - V(present) there is a certificate; V(promised) there will be one (check mode); V(requested) a request waits for its answer;
      V(missing) neither; null with O(state=absent).
    - A request that an enterprise CA left pending is a failed result.
  returned: success
  type: str
  sample: present
thumbprint:
  description: The certificate, V(promised) where it is still to come, null where there is none.
  returned: success
  type: str
  sample: 5A1E0C3B7F2D4986A0B1C2D3E4F5061728394A5B
certificate:
  description: The same certificate, parsed, as M(securepatch.wsus.wsus_server_info) returns it, with its C(der) in base64.
  returned: success
  type: dict
fqdn:
  description: The name it is for.
  returned: success
  type: str
  sample: wsus01.corp.example
request:
  description: The request (PEM) that waits for its answer, null where none does.
  returned: success
  type: str
request_file:
  description: Where the request was written to on the controller, null where none waits or no file was named.
  returned: success
  type: str
  sample: requests/wsus01.csr
removed:
  description: With O(state=absent), the thumbprints of the certificates that were removed.
  returned: success
  type: list
  elements: str
kept:
  description: With O(state=absent), the certificates that were replaced and stay, each with its C(thumbprint) and who it is C(used_by).
  returned: success
  type: list
  elements: dict
changes:
  description: What was changed, in check mode what would be, one sentence each, in order.
  returned: always
  type: list
  elements: str
  sample: ["Make a private key on the server and ask the directory's default CA for a certificate for wsus01.corp.example (template WebServer)"]
notes:
  description: What an administrator should know beside it.
  returned: success
  type: list
  elements: str
  sample: []
before:
  description: The computer's Personal store, and what is still to come, before.
  returned: success
  type: list
  elements: dict
  sample: []
after:
  description: The computer's Personal store, and what is still to come, after; in check mode, as it would be.
  returned: success
  type: list
  elements: dict
  sample: [{"thumbprint": 5A1E0C3B7F2D4986A0B1C2D3E4F5061728394A5B, "friendly_name": WSUS}]
standing:
  description: Where the server stands then, in a few words (HTTP, half-way, restart pending, offers HTTPS, requires TLS).
  returned: success
  type: str
  sample: HTTP
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
