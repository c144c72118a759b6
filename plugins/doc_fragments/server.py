# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations


class ModuleDocFragment:
    # What every module over one WSUS server has.
    DOCUMENTATION = r"""
options:
  observed:
    description:
      - The RV(ignore:state) that an earlier task of this collection returned for the same server.
      - With it the server is not asked again before something has to be changed; without it the module looks first, which is one trip.
      - In check mode it is how a later task sees what the earlier ones would have done.
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
  - The module is an action plugin. It plans on the controller, which needs the Python library C(cryptography) there; on the server runs
    a small, fixed amount of PowerShell over any connection that Ansible has for Windows (C(winrm), C(psrp), C(ssh)).
  - A connection that is lost or refused is a failed result that names the server, not an unreachable host.
  - It has been tested against a simulated fleet, not on a real Windows yet.
requirements:
  - cryptography (on the controller)
author:
  - securepatch.wsus contributors (@securepatch)
"""

    # What those of them have that change something.
    CHANGES = r"""
options:
  backup:
    description:
      - A file on the controller in which the state of the server is kept before this module's first change. A file that is there already
        is left alone, so several tasks with the same file keep the state from before the first of them.
      - It is not written in check mode, and not where nothing is to be changed.
    type: path
"""
