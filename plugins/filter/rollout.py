# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The filters of the rollout: doors to the plan and to the table at its end. Each is documented in a file of its name."""

from __future__ import annotations

import datetime
import typing as t
from collections.abc import Callable, Mapping, Sequence

from ..plugin_utils import hierarchy, rollout

Hostvars = Mapping[str, Mapping[str, t.Any]]


def rollout_plan(
    hosts: Sequence[str],
    hostvars: Hostvars,
    strategy: str = "bottom_up",
    batch: int | str | None = None,
    only: Sequence[str] | None = None,
    require_tls: bool = False,
) -> dict[str, t.Any]:
    """Check the whole tree with what was seen, and say where every server stands, or with every problem why there are no waves."""
    in_run = list(hosts if only is None else only)
    seen = seen_of(in_run, hostvars)
    try:
        tree = tree_of(hosts, hostvars, seen)
        waves = hierarchy.waves(tree, t.cast("hierarchy.Strategy", strategy), batch, in_run)
    except hierarchy.HierarchyError as error:
        return _refused(error.problems)
    except ValueError as error:
        return _refused([str(error)])
    pools = {name: hostvars[name].get("https_server_pool") or {} for name in in_run}
    plan = rollout.make_plan(tree, waves, seen, pools, require_tls=require_tls, now=datetime.datetime.now(tz=datetime.UTC))
    return {
        "problems": [],
        "finished": list(plan.finished),
        "moved": list(plan.moved),
        "downstream": plan.downstream,
        "waves": [list(wave) for wave in plan.waves],
        "lines": list(plan.lines),
    }


def _refused(problems: Sequence[str]) -> dict[str, t.Any]:
    lines = ["The rollout cannot be planned. Nothing was changed.", *(f"- {problem}" for problem in problems)]
    return {"problems": list(problems), "finished": [], "moved": [], "downstream": {}, "waves": [], "lines": lines}


def rollout_waves(hosts: Sequence[str], hostvars: Hostvars) -> list[list[str]]:
    """The waves that rollout_plan found, for the keywords of a play; none where it refused the tree.

    Without hostvars, as with --syntax-check and --list-hosts, all hosts are one wave.
    """
    if not hostvars:
        return [list(hosts)]
    plans = (hostvars[name].get("wsus_plan") for name in hosts)
    return next((plan["waves"] for plan in plans if plan), [])


def rollout_result(
    hosts: Sequence[str],
    hostvars: Hostvars,
    only: Sequence[str] | None = None,
    check_mode: bool = False,
    report: Mapping[str, t.Any] | None = None,
) -> list[str]:
    """The table at the end of a rollout, as lines."""
    in_run = list(hosts if only is None else only)
    seen = seen_of(in_run, hostvars)
    problems: Sequence[str] = next((plan["problems"] for name in in_run if (plan := hostvars[name].get("wsus_plan"))), [])
    try:
        tree = tree_of(hosts, hostvars, {})
    except hierarchy.HierarchyError:  # the plan has said it; every server is shown all the same
        tree = hierarchy.flat(hosts)
    outcomes, moves = _what_happened(in_run, hostvars)
    lines = rollout.result_lines(tree, seen, outcomes, moves, in_run, check_mode=check_mode, problems=problems)
    return [*lines, *_report_lines(report or {})]


def _report_lines(report: Mapping[str, t.Any]) -> list[str]:
    if report.get("files"):
        return ["", f"The report: {report['files']['audit.html']}"]
    return ["", *rollout.wrapped(str(report["msg"]))] if report.get("msg") else []


def rollout_touched(hosts: Sequence[str], hostvars: Hostvars, only: Sequence[str] | None = None) -> list[str]:
    """The servers that are to be looked at again after a rollout."""
    in_run = list(hosts if only is None else only)
    return rollout.touched(in_run, *_what_happened(in_run, hostvars))


def _what_happened(in_run: Sequence[str], hostvars: Hostvars) -> tuple[dict[str, rollout.Outcome], dict[str, list[str]]]:
    """How each server's own wave ended, and what was changed of it in its upstream's."""
    outcomes: dict[str, rollout.Outcome] = {}
    moves: dict[str, list[str]] = {}
    for name in in_run:
        outcome = hostvars[name].get("wsus_outcome")
        if outcome:
            outcomes[name] = outcome_of(outcome)
        for result in (hostvars[name].get("wsus_moves") or {}).get("results") or []:
            moves.setdefault(str(result.get("item")), []).extend(result.get("changes") or [])
    for name, trusted in _trusted_above(in_run, hostvars).items():
        # In check mode its own wave foretells the same once more.
        own = outcomes[name].changes if name in outcomes else ()
        moves[name] = [*(change for change in trusted if change not in own), *moves.get(name, ())]
    return outcomes, moves


def _trusted_above(in_run: Sequence[str], hostvars: Hostvars) -> dict[str, list[str]]:
    """What was changed of whom a downstream server trusts, in its upstream's wave, by server."""
    found: dict[str, list[str]] = {}
    for name in in_run:
        for result in (hostvars[name].get("wsus_trusted") or {}).get("results") or []:
            if result.get("changes"):
                found.setdefault(str(result.get("item")), []).extend(result["changes"])
    return found


def rollout_failure(result: t.Any) -> str:
    """What a failed result says, those of a loop as well, as one text."""
    if not isinstance(result, Mapping):
        return str(result)
    failed = [str(each.get("msg")) for each in result.get("results") or [] if isinstance(each, Mapping) and each.get("failed")]
    return " ".join(failed) or str(result.get("msg") or "it gave no reason")


def outcome_of(outcome: Mapping[str, t.Any]) -> rollout.Outcome:
    """How a server's own wave ended, as the playbooks note it (C(wsus_outcome))."""
    return rollout.Outcome(
        ok=bool(outcome.get("ok")),
        task=outcome.get("task"),
        message=outcome.get("message"),
        changes=tuple(outcome.get("changes") or ()),
        standing=outcome.get("standing") or None,
        url=outcome.get("url"),
        checked=outcome.get("checked"),
        notes=tuple(outcome.get("notes") or ()),
    )


def seen_of(names: Sequence[str], hostvars: Hostvars) -> dict[str, rollout.Seen]:
    """What the plan saw of these servers."""
    return {name: rollout.Seen.from_result(hostvars[name].get("wsus_seen")) for name in names}


def tree_of(hosts: Sequence[str], hostvars: Hostvars, seen: Mapping[str, rollout.Seen]) -> hierarchy.Hierarchy:
    """The tree of the inventory, checked with what was seen. Raises HierarchyError."""
    observed = {name: hierarchy.Observed.from_state(found.state) for name, found in seen.items() if found.state is not None}
    return hierarchy.build(hierarchy.read(hosts, hostvars, observed))


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., object]]:
        return {
            "rollout_plan": rollout_plan,
            "rollout_waves": rollout_waves,
            "rollout_result": rollout_result,
            "rollout_touched": rollout_touched,
            "rollout_failure": rollout_failure,
        }
