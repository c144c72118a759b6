# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The filters of the rollout: doors to the plan and to the table at its end. Each is documented in a file of its name."""

from __future__ import annotations

import datetime
import re
import typing as t
from collections.abc import Callable, Iterable, Mapping, Sequence

from ansible.errors import AnsibleFilterError
from ansible.module_utils.parsing.convert_bool import boolean

from ..plugin_utils import hierarchy, rollout
from ..plugin_utils.quiet import quiet_wish
from ..plugin_utils.require_tls import Requirement
from ..plugin_utils.state import Refusal

Hostvars = Mapping[str, Mapping[str, t.Any]]


def rollout_plan(
    hosts: Sequence[str],
    hostvars: Hostvars,
    strategy: str = "bottom_up",
    batch: int | str | None = None,
    only: Sequence[str] | None = None,
    require_tls: t.Any = False,
) -> dict[str, t.Any]:
    """Check the whole tree with what was seen, and say where every server stands, or with every problem why there are no waves."""
    in_run = list(hosts if only is None else only)
    try:
        requirement = _requirement(require_tls)
    except Refusal as refusal:
        return _refused([f"wsus_require_tls: {refusal}"])
    unfit = _against_quiet(in_run, hostvars) if requirement == "when_quiet" else []
    if unfit:
        return _refused(unfit)
    seen = seen_of(in_run, hostvars)
    try:
        tree = tree_of(hosts, hostvars, seen)
        waves = hierarchy.waves(tree, t.cast("hierarchy.Strategy", strategy), batch, in_run)
    except hierarchy.HierarchyError as error:
        return _refused(error.problems)
    except ValueError as error:
        return _refused([str(error)])
    pools = {name: hostvars[name].get("https_server_pool") or {} for name in in_run}
    plan = rollout.make_plan(tree, waves, seen, pools, require_tls=requirement, now=datetime.datetime.now(tz=datetime.UTC))
    return {
        "problems": [],
        "require_tls": requirement,
        "finished": list(plan.finished),
        "moved": list(plan.moved),
        "downstream": plan.downstream,
        "waves": [list(wave) for wave in plan.waves],
        "lines": list(plan.lines),
    }


def _refused(problems: Sequence[str]) -> dict[str, t.Any]:
    lines = ["The rollout cannot be planned. Nothing was changed.", *(f"- {problem}" for problem in problems)]
    return {"problems": list(problems), "require_tls": "never", "finished": [], "moved": [], "downstream": {}, "waves": [], "lines": lines}


def tls_requirement(
    value: t.Any, quiet_days: t.Any = 7, quiet_ignore: t.Any = (), absent_days: t.Any = 60, absent_ignore: t.Any = ()
) -> Requirement:
    """Whether TLS is to be required, and when. Raises AnsibleFilterError for what is none of the three, and for settings that make no sense."""
    try:
        requirement = _requirement(value)
        if requirement == "when_quiet":
            _quiet_settings(quiet_days, quiet_ignore, absent_days, absent_ignore)
    except Refusal as refusal:
        raise AnsibleFilterError(f"https_server_require_tls: {refusal} Nothing was changed.") from None
    return requirement


def _requirement(value: t.Any) -> Requirement:
    text = str(value if value is not None else "").strip().casefold()
    if text in ("when_quiet", ""):
        return "when_quiet" if text else "never"
    try:
        return "now" if boolean(value) else "never"
    except TypeError:
        raise Refusal(f'"{value}" is none of true (now), when_quiet (once nobody needs plain HTTP any more) and false.') from None


def _quiet_settings(quiet_days: t.Any, quiet_ignore: t.Any, absent_days: t.Any, absent_ignore: t.Any) -> None:
    """Raise Refusal for what iis_require_ssl would refuse: before anything is touched."""
    days = {"quiet_days": quiet_days, "absent_days": absent_days}
    numbers: dict[str, int] = {}
    for name, given in days.items():
        try:
            numbers[name] = int(str(given))
        except ValueError:
            raise Refusal(f'https_server_{name} is "{given}", which is no whole number of days.') from None
    lists = {"quiet_ignore": quiet_ignore, "absent_ignore": absent_ignore}
    for name, given in lists.items():
        if isinstance(given, (str, Mapping)) or not isinstance(given, Iterable):
            raise Refusal(f"https_server_{name} has to be a list.")
    try:
        quiet_wish(**numbers, **lists)
    except Refusal as refusal:
        # What the role calls it.
        raise Refusal(re.sub(r"\b((?:quiet|absent)_(?:days|ignore))\b", r"https_server_\1", str(refusal))) from None


def _against_quiet(hosts: Sequence[str], hostvars: Hostvars) -> list[str]:
    """What is wrong with the settings for when_quiet, each problem with the servers that have it."""
    found: dict[str, list[str]] = {}
    for name in hosts:
        own = hostvars[name]
        given = (own.get("https_server_quiet_days", 7), own.get("https_server_quiet_ignore", []))
        try:
            _quiet_settings(*given, own.get("https_server_absent_days", 60), own.get("https_server_absent_ignore", []))
        except Refusal as refusal:
            found.setdefault(str(refusal), []).append(name)
    return [f"{', '.join(names)}: {problem}" for problem, names in found.items()]


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
    requirement = next((plan.get("require_tls") for name in in_run if (plan := hostvars[name].get("wsus_plan"))), "never")
    lines = rollout.result_lines(tree, seen, outcomes, moves, in_run, check_mode=check_mode, problems=problems, require_tls=requirement)
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
            "tls_requirement": tls_requirement,
            "rollout_waves": rollout_waves,
            "rollout_result": rollout_result,
            "rollout_touched": rollout_touched,
            "rollout_failure": rollout_failure,
        }
