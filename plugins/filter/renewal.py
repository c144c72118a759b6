# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The filters of the renewal of certificates: doors to its plan and to the table at its end. Each is documented in a file of its name."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t
from collections.abc import Callable, Mapping, Sequence

from ..plugin_utils import hierarchy, renewal
from ..plugin_utils.rollout import Outcome
from .rollout import Hostvars, outcome_of, seen_of, tree_of


def renewal_plan(
    hosts: Sequence[str],
    hostvars: Hostvars,
    days: int = 30,
    remove_old: bool = False,
    strategy: str = "bottom_up",
    batch: int | str | None = None,
    only: Sequence[str] | None = None,
) -> dict[str, t.Any]:
    """Who is due and why, and the waves of those who are."""
    in_run = list(hosts if only is None else only)
    seen = seen_of(in_run, hostvars)
    try:
        wish = _wish(days, remove_old)
        tree = tree_of(hosts, hostvars, seen)
        waves = hierarchy.waves(tree, t.cast("hierarchy.Strategy", strategy), batch, in_run)
    except hierarchy.HierarchyError as error:
        return _refused(error.problems)
    except ValueError as error:
        return _refused([str(error)])
    plan = renewal.make_renewal_plan(tree, waves, seen, _servers(in_run, hostvars), wish, _now())
    due = {name: _due(found) for name, found in plan.due.items()}
    return {"problems": [], "due": due, "waves": [list(wave) for wave in plan.waves], "lines": list(plan.lines)}


def renewal_result(
    hosts: Sequence[str],
    hostvars: Hostvars,
    days: int = 30,
    remove_old: bool = False,
    only: Sequence[str] | None = None,
    check_mode: bool = False,
) -> list[str]:
    """The table at the end of a renewal, as lines."""
    in_run = list(hosts if only is None else only)
    plan: Mapping[str, t.Any] = next((found for name in in_run if (found := hostvars[name].get("wsus_plan"))), {})
    try:
        tree = tree_of(hosts, hostvars, {})
    except hierarchy.HierarchyError:  # the plan has said it; every server is shown all the same
        tree = hierarchy.flat(hosts)
    found = {name: outcome for name in in_run if (outcome := hostvars[name].get("wsus_outcome"))}
    outcomes = {name: (_with_pins(outcome_of(outcome), hostvars[name]), outcome.get("ends")) for name, outcome in found.items()}
    problems: Sequence[str] = plan.get("problems") or []
    wish = renewal.RenewalWish() if problems else _wish(days, remove_old)
    return renewal.renewal_lines(
        tree,
        seen_of(in_run, hostvars),
        _servers(in_run, hostvars),
        list(plan.get("due") or {}),
        outcomes,
        in_run,
        wish,
        _now(),
        check_mode=check_mode,
        problems=problems,
    )


def _with_pins(outcome: Outcome, variables: Mapping[str, t.Any]) -> Outcome:
    """An outcome with what was changed on the clients as well, each with the client's name."""
    results = (variables.get("wsus_pinned") or {}).get("results") or []
    pins = [f"{result.get('item')}: {change}" for result in results for change in result.get("changes") or []]
    return dataclasses.replace(outcome, changes=(*outcome.changes, *pins))


def _due(found: renewal.Judgement) -> dict[str, t.Any]:
    return {
        "reasons": list(found.due),
        "fqdn": found.fqdn,
        "port": found.port,
        "replace": list(found.replace),
        "stale": found.stale,
        "reached": found.offers,
        "der": found.der,
    }


def _wish(days: t.Any, remove_old: t.Any) -> renewal.RenewalWish:
    try:
        number = int(str(days))
    except ValueError:
        number = -1
    if number < 0:
        raise ValueError(f"wsus_renew_days is a number of days, not {days!r}.")
    return renewal.RenewalWish(number, bool(remove_old))


def _servers(names: Sequence[str], hostvars: Hostvars) -> dict[str, renewal.ServerWish]:
    found = {}
    for name in names:
        variables = hostvars[name]
        others = variables.get("certificate_extra_names") or []
        found[name] = renewal.ServerWish(
            variables.get("wsus_fqdn") or None,
            # A text is a list with commas in it, as it is to the role.
            tuple(str(each) for each in (others if isinstance(others, Sequence) and not isinstance(others, str) else str(others).split(","))),
            variables.get("certificate_issuer") or None,
        )
    return found


def _refused(problems: Sequence[str]) -> dict[str, t.Any]:
    lines = ["The renewal cannot be planned. Nothing was changed.", *(f"- {problem}" for problem in problems)]
    return {"problems": list(problems), "due": {}, "waves": [], "lines": lines}


def _now() -> datetime.datetime:
    return datetime.datetime.now(tz=datetime.UTC)


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., object]]:
        return {"renewal_plan": renewal_plan, "renewal_result": renewal_result}
