# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The filters of the rings of clients: doors to their plan and to the table at the end. Each is documented in a file of its name."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t
from collections.abc import Callable, Mapping, Sequence

from ..plugin_utils import rings
from .clients import Results, by_item
from .rollout import Hostvars


def rings_plan(
    given: t.Any,
    groups: Mapping[str, Sequence[str]],
    policy_host: str = "",
    only: Sequence[str] | None = None,
    seen: Results = (),
) -> dict[str, t.Any]:
    """Check the rings, and say what each is told and by whom it is proved; or with every problem why there is no plan."""
    clients, servers = list(groups.get(rings.CLIENTS) or ()), list(groups.get(rings.SERVERS) or ())
    try:
        read = rings.read_rings(given, clients, servers, groups.get("all") or (), policy_host)
    except rings.RingsError as error:
        lines = ["The rings cannot be planned. Nothing was changed.", *(f"- {problem}" for problem in error.problems)]
        return {"problems": list(error.problems), "lines": lines, "rings": [], "ring_of": {}, "servers": [], "waves": []}
    plan = rings.plan_rings(read, clients, clients if only is None else only, by_item(seen), datetime.datetime.now(tz=datetime.UTC))
    return {
        "problems": [],
        "lines": list(plan.lines),
        "rings": [
            {**dataclasses.asdict(ring), "hosts": list(ring.hosts), "in_run": list(hosts), "policies": [_given(policy) for policy in ring.policies]}
            for ring, hosts in zip(plan.rings, plan.in_run, strict=True)
        ],
        "ring_of": {host: number for number, ring in enumerate(plan.rings) for host in ring.hosts},
        "servers": list(plan.servers),
        "waves": plan.waves,
    }


def _given(policy: rings.Policy) -> dict[str, str]:
    return {key: value for key, value in dataclasses.asdict(policy).items() if value is not None}


def ring_waves(hosts: Sequence[str], hostvars: Hostvars) -> list[list[str]]:
    """The machines of each ring that rings_plan found in this run, for the keywords of a play; none where it refused the rings.

    Without hostvars, as with --syntax-check and --list-hosts, all hosts are one wave.
    """
    if not hostvars:
        return [list(hosts)]
    plans = (hostvars[name].get("wsus_ring_plan") for name in hosts)
    return next((plan["waves"] for plan in plans if plan), [])


def rings_result(plan: Mapping[str, t.Any], hostvars: Hostvars, check_mode: bool = False) -> list[str]:
    """The table at the end of a run over rings, as lines."""
    read = [rings.Ring(ring["name"], tuple(rings.Policy(**policy) for policy in ring["policies"]), tuple(ring["hosts"])) for ring in plan["rings"]]
    in_run = [list(ring["in_run"]) for ring in plan["rings"]]
    outcomes = {host: outcome for hosts in in_run for host in hosts if (outcome := hostvars[host].get("wsus_ring_outcome"))}
    proofs = {host: _proof(outcome) for host, outcome in outcomes.items()}
    return rings.result_lines(read, in_run, proofs, check_mode=check_mode)


def _proof(outcome: Mapping[str, t.Any]) -> rings.Proof:
    return rings.Proof(
        ok=bool(outcome.get("ok")),
        task=outcome.get("task"),
        message=outcome.get("message"),
        changes=tuple(outcome.get("changes") or ()),
        notes=tuple(outcome.get("notes") or ()),
    )


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., object]]:
        return {"rings_plan": rings_plan, "ring_waves": ring_waves, "rings_result": rings_result}
