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
    while no https binding has a usable certificate; while C(configuressl) or the restart after it is missing; while a downstream server
    that WSUS lists still comes over HTTP; and where the certificate seen at the server's name is not the one that is bound, because something
    in front of it, a load balancer for one, ends TLS and would bring every client over HTTP.
  - With O(when_quiet) TLS is required only once nobody needs plain HTTP any more. Until then nothing is changed, nothing fails, and the result
    says what is missing, who, and from when on it can be at the earliest. Run it again, every night for one.
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
  when_quiet:
    description:
      - Whether TLS is required only when all of this holds. Every whole day (UTC) of the last O(quiet_days) has evidence in the log of the
        site; nobody was served over plain HTTP since they began, but the server itself and O(quiet_ignore); WSUS knows no computer that it
        has not seen since then and that it did see in the last O(absent_days), but those in O(absent_ignore); every downstream server that
        counts has moved; and the certificate that is seen at the server's name is the one that is bound.
      - Silence is not success. A client that has the https URL and does not trust the authority fails in the handshake and is in no log, so
        it counts as one that was not seen.
      - Once TLS is required, a run says who was turned away since (RV(turned_away)).
      - Two trips more, and two minutes and a third where a computer came so lately that the log need not have it yet (IIS writes it up to a
        minute late).
    type: bool
    default: false
  quiet_days:
    description: For how many whole days it has to be quiet. The log of the site has to be kept for longer than that.
    type: int
    default: 7
  quiet_ignore:
    description: Addresses that may go on calling over plain HTTP, and will be turned away, a scanner for one. Each counts with its reason only.
    type: list
    elements: dict
    default: []
    suboptions:
      address:
        description: One IP address.
        type: str
        required: true
      reason:
        description: Why it may be turned away. It comes back in the result.
        type: str
        required: true
  absent_days:
    description: A computer that WSUS has not seen for so many days counts as one that is no more.
    type: int
    default: 60
  absent_ignore:
    description: Computers (names as WSUS has them, or ids) that have not come and may be turned away.
    type: list
    elements: str
    default: []
  look_from:
    description:
      - Whether the controller looks which certificate is served at the server's name before TLS is required. What the server itself sees
        there counts as well, where O(observed) has it, and with O(when_quiet) always.
    type: str
    default: controller
    choices: [controller, none]
  address:
    description:
      - Where the controller connects to, when it does not resolve the server's name, or not to the same address. What it sees there is not what
        clients see at the name.
    type: str
  timeout:
    description: For how many seconds the controller waits for that.
    type: float
    default: 5
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

- name: Require TLS as soon as nobody needs plain HTTP any more (run it every night)
  securepatch.wsus.iis_require_ssl:
    when_quiet: true
    quiet_ignore:
      - address: 10.9.0.1
        reason: vulnerability scanner
    absent_ignore: [old-laptop.corp.example]
  register: required

- name: Say what is missing
  ansible.builtin.debug:
    msg: "{{ required.quiet.missing }}"
  when: required.quiet is not none

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
quiet:
  description: What was found with O(when_quiet); null without it, and where TLS is required already.
  returned: success
  type: dict
  contains:
    quiet:
      description: Whether nobody needs plain HTTP any more. TLS is required then.
      returned: success
      type: bool
      sample: false
    missing:
      description: Why not, one sentence each.
      returned: success
      type: list
      elements: str
      sample: ["Still served over plain HTTP since 2026-11-14: 10.1.0.8 (pc2.corp.example); the last one on 2026-11-20T01:02:00Z."]
    callers:
      description: Who was served over plain HTTP and counts, the last one first, 1,000 at most.
      returned: success
      type: list
      elements: dict
      sample: [{"address": "10.1.0.8", "names": ["pc2.corp.example"], "kinds": ["client"], "last_served": "2026-11-20T01:02:00Z"}]
    not_seen:
      description: The computers that have not come, the one last seen first, and until when each counts; 1,000 at most.
      returned: success
      type: list
      elements: dict
      sample:
        - id: 0a1b2c3d-0000-4000-8000-000000000003
          name: pc3.corp.example
          address: 10.1.0.30
          last_seen: "2026-11-02T07:00:00Z"
          counts_until: "2027-01-01T07:00:00Z"
    downstream:
      description: The downstream servers that still come over HTTP, and how that is known.
      returned: success
      type: list
      elements: dict
      sample: [{"name": "wsus02.corp.example", "why": "synchronizes from http://wsus01.corp.example:8530"}]
    earliest:
      description: It cannot be quiet before this moment (UTC), whatever happens until then; null where it is.
      returned: success
      type: str
      sample: "2026-11-28T00:00:00Z"
    ignored:
      description: Who did not count, and why.
      returned: success
      type: list
      elements: dict
      sample: [{"address": "10.9.0.1", "names": [], "kinds": ["probe"], "last_served": null, "reason": "vulnerability scanner"}]
    breaks:
      description: What the server itself called over plain HTTP since its last start (scripts, Configuration Manager). It will be turned away.
      returned: success
      type: list
      elements: dict
      sample: [{"address": "::1", "service": "ApiRemoting30", "agent": null, "last_served": "2026-11-20T03:00:01Z", "served": 4}]
    notes:
      description: What to know beside it.
      returned: success
      type: list
      elements: str
      sample: []
    since:
      description: When the days that were judged began (UTC).
      returned: success
      type: str
      sample: "2026-11-14T00:00:00Z"
turned_away:
  description:
    - With O(when_quiet), where TLS is required already, who came over plain HTTP in the last O(quiet_days) and was refused (403.4), the last one
      first, 1,000 at most.
    - C(seen_since) is when WSUS saw the computer that it knows at that address, where that was later. It is no proof that it is the same machine.
  returned: success
  type: list
  elements: dict
  sample:
    - address: 10.1.0.9
      names: [pc9.corp.example]
      kinds: [client]
      last: "2026-11-20T02:00:00Z"
      times: 3
      seen_since: null
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
