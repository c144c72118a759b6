# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations


class ModuleDocFragment:
    # What every module over a client, or over the group policies of clients, has.
    DOCUMENTATION = r"""
options:
  server_state:
    description:
      - The RV(ignore:state) of the WSUS server that the URL is of, as a module of this collection returned it for that server.
      - With it a URL that the server does not answer to over HTTPS is found. In check mode it may be one that earlier tasks foretold.
    type: dict
attributes:
  check_mode:
    description: Can run in check mode, changes nothing then, and says exactly what a run would change.
    support: full
  diff_mode:
    description: Shows what it manages before and after, in check mode as well.
    support: full
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
  - The module is an action plugin. It plans on the controller, which needs the Python library C(cryptography) there; on the machine runs
    a small, fixed amount of PowerShell over any connection that Ansible has for Windows (C(winrm), C(psrp), C(ssh)).
  - A connection that is lost or refused is a failed result that names the machine, not an unreachable host.
  - It has been tested against a simulated fleet, not on a real Windows yet.
requirements:
  - cryptography (on the controller)
author:
  - securepatch.wsus contributors (@securepatch)
"""

    # What those of them have that tell clients a URL.
    TELLS = r"""
options:
  url:
    description:
      - The URL that clients are told, C(https://FQDN:PORT) and nothing besides, as "Security best practices for WSUS" has it.
      - Refused are one without https, a name that is not fully qualified (the certificate is for the whole name), the ports of plain HTTP,
        a user, a path.
    type: str
    required: true
  alternate_url:
    description:
      - Where clients get the files of updates instead (C(UpdateServiceUrlAlternate)). It is only touched where it is given.
    type: str
  backup:
    description:
      - A file on the controller in which what was read before this module's first change is kept. A file that is there already is left
        alone, so several tasks with the same file keep what was there before the first of them.
      - It is not written in check mode, and not where nothing is to be changed.
    type: path
"""
