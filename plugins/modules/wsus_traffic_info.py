#!/usr/bin/python
# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: wsus_traffic_info
short_description: Who still calls a WSUS server over plain HTTP, and who does not come at all
version_added: 0.1.0
description:
  - Reads, for some days back, who called the five web services that are to require TLS over plain HTTP, from the logs of the WSUS site,
    and which of the computers that WSUS knows have not come in that time. Nothing is changed.
  - The five are those that "Security best practices for WSUS" and "Step 2 - Configure WSUS", section 2.5, name. Calls of C(Content) and of
    what else goes on over HTTP for good are not counted.
  - Silence is not success. A client that has the new URL and does not trust the certificate, or cannot reach the port, fails in the TLS
    handshake and is in no log. It shows among the computers that were not seen, once it has stayed away for O(days).
  - What cannot be known is said in RV(not_known), each with what to do about it.
options:
  days:
    description: How many days back the logs are read, to the second.
    type: int
    default: 7
  absent_days:
    description:
      - How many days back a computer counts as one that still exists although it did not come in O(days).
      - It has to be more than O(days).
    type: int
    default: 60
  resolve:
    description:
      - Whether the controller asks DNS for the names of addresses at which WSUS knows no computer. Up to 500 are asked for, those that were
        served last first.
    type: bool
    default: true
  resolve_seconds:
    description: How many seconds that may take altogether, more than 0 and at most 3600. Who has no name by then is told by the address.
    type: float
    default: 5
attributes:
  check_mode:
    description: Does the same in check mode, because it only reads.
    support: full
  diff_mode:
    description: Shows what it manages before and after.
    support: none
    details: Nothing is changed.
  platform:
    description: Target OS that can be operated against.
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
  - The module is an action plugin. Reading is one trip to the server, and a second one where somebody came over HTTP whose name is to be found
    among the computers that WSUS has seen.
  - The times of the logs are UTC, as are those returned. IIS writes its logs up to a minute late.
  - What http.sys answers itself, such as 503 while the application pool is down, is not in the site's log.
  - Behind a load balancer, a proxy or a NAT the address in the log is that one's.
  - Names and user agents come from clients and from DNS. Control characters are taken out of them, they are cut to a length, and what DNS gives
    and is no host name is left out.
  - A connection that is lost or refused is a failed result that names the server, not an unreachable host.
  - It has been tested against a simulated fleet, not on a real Windows yet.
requirements:
  - cryptography (on the controller)
seealso:
  - module: securepatch.wsus.iis_require_ssl
  - module: securepatch.wsus.wsus_server_info
author:
  - securepatch.wsus contributors (@securepatch)
"""

EXAMPLES = r"""
- name: See who still comes over HTTP
  securepatch.wsus.wsus_traffic_info:
  register: traffic

- name: Name those who were served, and those who stayed away
  ansible.builtin.debug:
    msg:
      served: "{{ traffic.callers | selectattr('served') | rejectattr('kinds', 'contains', 'this_server') | map(attribute='address') }}"
      not_seen: "{{ (traffic.computers or {}).not_seen | default([]) | map(attribute='name') }}"
      not_known: "{{ traffic.not_known }}"

- name: Look back a month, without asking DNS
  securepatch.wsus.wsus_traffic_info:
    days: 30
    absent_days: 90
    resolve: false
"""

RETURN = r"""
since:
  description: From when on, by the server's clock (UTC).
  returned: success
  type: str
  sample: "2026-11-14T02:00:00Z"
until:
  description: Until when, which is when it was read.
  returned: success
  type: str
  sample: "2026-11-21T02:00:00Z"
log:
  description: The log of the WSUS site.
  returned: success
  type: dict
  contains:
    logged:
      description: Whether the site logs now, in the W3C format.
      type: bool
      returned: success
    folder:
      description: The folder in which its logs are.
      type: str
      returned: success
    files:
      description: How many files were read.
      type: int
      returned: success
    lines:
      description: How many requests stand in them, older ones too.
      type: int
      returned: success
callers:
  description: Who came over plain HTTP, by address, the one served last first. Numbers are of requests from RV(since) on.
  returned: success
  type: list
  elements: dict
  contains:
    address:
      description: The address, as the log has it.
      type: str
      returned: success
    name:
      description: The computer that WSUS last saw at this address, else what DNS calls it; null where neither knows one.
      type: str
      returned: success
    names:
      description: All names that it goes by, five at most.
      type: list
      elements: str
      returned: success
    more_names:
      description: How many more there are.
      type: int
      returned: success
    name_from:
      description: Who knows the name, V(wsus) or V(dns); null where nobody does.
      type: str
      returned: success
    kinds:
      description:
        - What it is, by what it called. V(this_server) is the server itself, V(downstream_server) called C(DSSAuthWebService) or
          C(ServerSyncWebService), V(client) C(ClientWebService) or C(SimpleAuthWebService), V(console) C(ApiRemoting30).
        - V(probe) only asked whether something is there, and called nothing.
      type: list
      elements: str
      returned: success
    services:
      description: The services that it came to.
      type: list
      elements: str
      returned: success
    agents:
      description: What it called itself (the user agent), five at most.
      type: list
      elements: str
      returned: success
    last:
      description: When it last came.
      type: str
      returned: success
    last_served:
      description: When a call of it was last answered with success; null for never.
      type: str
      returned: success
    served:
      description: How many calls were answered with success.
      type: int
      returned: success
    refused:
      description: How many were turned away because TLS is required (403.4).
      type: int
      returned: success
    failed:
      description: How many failed in another way.
      type: int
      returned: success
    probed:
      description: How many requests were no calls.
      type: int
      returned: success
served_over_http:
  description: How many addresses were served over plain HTTP, the server's own not counted.
  returned: success
  type: int
  sample: 3
tls:
  description: Who came over TLS.
  returned: success
  type: dict
  contains:
    served:
      description: How many addresses were served.
      type: int
      returned: success
    only_failed:
      description: How many addresses called, and were never answered with success. Their handshake was good; what failed came after it.
      type: int
      returned: success
    only_failed_addresses:
      description: Those, a thousand at most.
      type: list
      elements: str
      returned: success
days_with_evidence:
  description: The days (UTC) on which one of the services answered anyone with success, over either port.
  returned: success
  type: list
  elements: str
  sample: ["2026-11-19", "2026-11-20"]
days_without:
  description: The whole days (UTC) since then on which none did, so that nothing is known of them.
  returned: success
  type: list
  elements: str
  sample: ["2026-11-18"]
computers:
  description: This server's own clients, as WSUS knows them; null where its API did not answer.
  returned: success
  type: dict
  contains:
    seen:
      description: How many came since RV(since).
      type: int
      returned: success
    not_seen:
      description: Those that came in O(absent_days) and not since RV(since), each with its C(id), C(name), C(address) and C(last_seen).
      type: list
      elements: dict
      returned: success
not_known:
  description: What all this cannot tell, each as a sentence with what to do about it.
  returned: success
  type: list
  elements: str
  sample: []
"""
