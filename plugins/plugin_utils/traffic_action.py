# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""How an action plugin reads who calls a server: the one place that asks C(wsus_traffic)."""

from __future__ import annotations

from collections.abc import Mapping

from .host_action import Document, HostAction, Stop, said_of
from .move import Callers
from .traffic import MOST_DAYS, NotTraffic, Traffic, computers_at, read_traffic, without_name


class ReadsTraffic(HostAction[Document]):
    """An action plugin that reads who calls the server of its task."""

    def read_callers(self, days: int, absent_days: int, *, name_probes: bool = False) -> Callers:
        """Who called in the last DAYS days, and which computers WSUS knows where: one trip, and another where somebody has no name yet. Raises
        Stop. NAME_PROBES: whether it is worth a trip to name what only looks, and calls nothing: each audit leaves that in the log itself."""
        traffic = self.read_traffic(days, absent_days)
        known = computers_at(traffic.computers)
        probes = set() if name_probes else {caller.address for caller in traffic.callers if caller.kinds == ("probe",)}
        if traffic.computers is not None and not probes.issuperset(without_name(traffic, known)):
            # Those who came are not among those who did not: read for no days, the list has them all.
            known = computers_at(traffic.computers, self.read_traffic(0, absent_days).computers)
        return Callers(traffic, known)

    def read_traffic(self, days: int, absent_days: int) -> Traffic:
        """One trip. Raises Stop."""
        result = self._trip("wsus_traffic", {"days": days, "absent_days": absent_days})
        if result.get("failed") or "traffic" not in result:
            raise Stop(f"Who calls the server could not be read: {said_of(result)}")
        try:
            return read_traffic(result["traffic"], days)
        except NotTraffic as error:
            raise Stop(f"{str(error)[:1].upper()}{str(error)[1:]}.") from error


def refuse_days(names: Mapping[str, int], least: int) -> None:
    """Raise Stop for numbers of days that make no sense. NAMES: of the option that says for how many days the log is read, and its number
    (LEAST or more); then of the one that says for how long a computer counts."""
    (read, days), (counts, absent_days) = names.items()
    if not least <= days <= MOST_DAYS:
        raise Stop(f"{read} is {days}; it may be {least} to {MOST_DAYS}.")
    if not days < absent_days <= MOST_DAYS:
        raise Stop(f"{counts} is {absent_days}; it has to be more than {read} ({days}) and at most {MOST_DAYS}.")
