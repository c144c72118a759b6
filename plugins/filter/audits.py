# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The filters audits and client_audits: doors from what tasks registered to a report. Each is documented in a file of its name."""

from __future__ import annotations

import datetime
import typing as t
from collections.abc import Callable, Mapping, Sequence

from ..plugin_utils.audit import unaudited
from ..plugin_utils.audit_clients import client_audited


def audits(hosts: Sequence[str], hostvars: Mapping[str, Mapping[str, t.Any]], registered: Sequence[str]) -> list[dict[str, t.Any]]:
    """Each host's audit, from the first of the registered results that has one; what says why there is none where none has."""
    return [_audit(name, hostvars[name], registered) for name in hosts]


def _audit(name: str, variables: Mapping[str, t.Any], registered: Sequence[str]) -> dict[str, t.Any]:
    results = [found for one in registered if isinstance(found := variables.get(one), Mapping)]
    for result in results:
        if result.get("audit"):
            return dict(result["audit"])
    why = next((str(result["msg"]) for result in results if result.get("msg")), "the task that audits it did not run")
    # A short one, as messages of Ansible's own may be long.
    return unaudited(name, variables.get("wsus_upstream") or None, " ".join(why.split())[:500], datetime.datetime.now(tz=datetime.UTC))


def client_audits(hosts: Sequence[str], hostvars: Mapping[str, Mapping[str, t.Any]], registered: str) -> list[dict[str, t.Any]]:
    """Of each host that registered a result, that result as a client of an audit; the others were not in the run."""
    now = datetime.datetime.now(tz=datetime.UTC)
    found = [(name, hostvars[name].get(registered)) for name in hosts if name in hostvars]
    return [client_audited(name, result, now) for name, result in found if isinstance(result, Mapping)]


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., object]]:
        return {"audits": audits, "client_audits": client_audits}
