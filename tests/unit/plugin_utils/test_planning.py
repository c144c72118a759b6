"""What must hold for every state: the plan reaches the wish, planning again finds nothing, predictions come true, and the way back leads back."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.securepatch.wsus.plugins.plugin_utils.application_pool import BEST_PRACTICES, managed_pool, plan_application_pool
from ansible_collections.securepatch.wsus.plugins.plugin_utils.binding import BindingWish, managed_bindings, plan_binding
from ansible_collections.securepatch.wsus.plugins.plugin_utils.changes import Change, Event, predict, way_back
from ansible_collections.securepatch.wsus.plugins.plugin_utils.configuressl import ConfigureWish, managed_name, plan_configuressl
from ansible_collections.securepatch.wsus.plugins.plugin_utils.planning import Plan
from ansible_collections.securepatch.wsus.plugins.plugin_utils.require_tls import RequireWish, managed_access, plan_require_tls
from ansible_collections.securepatch.wsus.plugins.plugin_utils.restart import managed_restart, plan_restart
from ansible_collections.securepatch.wsus.plugins.plugin_utils.state import Refusal, State
from ansible_collections.securepatch.wsus.plugins.plugin_utils.synchronization import SynchronizationWish, managed_source, plan_synchronization
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.lab.engine import apply_changes, read_state
from tests.lab.machine import Machine
from tests.unit.plugin_utils.machines import FQDN, NOW, documents, looked

Planner = Callable[[State], Plan]


ANY = documents()
OFFERS = documents(offers=True)


@dataclasses.dataclass(frozen=True)
class Case:
    """A planner with a wish, and what it manages."""

    name: str
    plan: Planner
    managed: Callable[[State], Any]
    documents: st.SearchStrategy[dict[str, Any]] = ANY


UPSTREAM = "wsus00.corp.example"
CASES = [
    Case("binding", lambda state: plan_binding(state, BindingWish(), NOW), managed_bindings),
    Case("configuressl", lambda state: plan_configuressl(state, ConfigureWish(look=False), NOW), managed_name),
    Case("configuressl absent", lambda state: plan_configuressl(state, ConfigureWish(present=False), NOW), managed_name),
    Case("restart services", lambda state: plan_restart(state, "services"), managed_restart),
    Case("require", lambda state: plan_require_tls(state, RequireWish(ignore_downstream=True), NOW), managed_access, OFFERS),
    Case(
        "require instead of the site",
        lambda state: plan_require_tls(state, RequireWish(replace_site_requirement=True, ignore_downstream=True), NOW),
        managed_access,
        OFFERS,
    ),
    Case("require absent", lambda state: plan_require_tls(state, RequireWish(present=False), NOW), managed_access),
    Case("pool", lambda state: plan_application_pool(state, BEST_PRACTICES), managed_pool),
    Case(
        "synchronization",
        lambda state: plan_synchronization(looked(state, UPSTREAM), SynchronizationWish(UPSTREAM, reparent=True, synchronize=True), NOW),
        managed_source,
    ),
    Case(
        "synchronization from Microsoft",
        lambda state: plan_synchronization(state, SynchronizationWish(microsoft_update=True, reparent=True), NOW),
        managed_source,
    ),
]


def _planned(case: Case, state: State) -> tuple[Change, ...]:
    try:
        return case.plan(state).changes
    except Refusal:
        assume(False)
        raise


def _state(machine: Machine) -> State:
    return read_state(machine)  # type: ignore[return-value]


def _machine(document: dict[str, Any]) -> Machine:
    return Machine(document, name="wsus01", wait=lambda _seconds: None)


def _ready(case: Case, machine: Machine) -> State:
    """The state to plan on: a change of the source waits for the end of a synchronization in progress, before it is made."""
    if case.name.startswith("synchronization"):
        machine.document["wsus"].pop("synchronization_status", None)
    return _state(machine)


def _comparable(state: State) -> dict[str, Any]:
    """A state without what a prediction cannot know: the server's own clock and ids, and what only shows afterwards."""
    found: dict[str, Any] = copy.deepcopy(dict(state))
    for name in ("endpoints", "trust", "predicted", "unreadable"):
        found.pop(name, None)
    found["marks"].pop("RestartNeededSince", None)
    if found["api"]:
        # Looking at a server that works on its configuration finds it less busy.
        found["api"]["synchronization"]["configuration_state"] = None
        found["api"]["synchronization"]["last"] = (found["api"]["synchronization"]["last"] or {}).get("result")
    if found["http_sys"] is not None:
        found["http_sys"] = sorted(found["http_sys"], key=lambda entry: entry["endpoint"])
    if found["iis"]:
        found["iis"]["site"]["bindings"] = sorted(found["iis"]["site"]["bindings"], key=str)
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(data=st.data())
def test_the_plan_reaches_the_wish_and_predicts_it(case: Case, data: st.DataObject) -> None:
    document = data.draw(case.documents)
    machine = _machine(document)
    state = _ready(case, machine)
    changes = _planned(case, state)
    predicted = predict(state, changes, NOW)
    assert not case.plan(predicted).changes, "planning on the prediction finds something again"

    result = apply_changes(machine, [change.payload() for change in changes])
    assert result["failed"] is None
    after = _state(machine)
    assert not case.plan(after).changes, "planning on what came out finds something again"
    expected, found = _comparable(predicted), _comparable(after)
    if expected["api"] is None:
        found["api"] = None  # whether the API answers afterwards cannot be foretold
    assert expected == found
    assert case.managed(predicted) == case.managed(after) or case.name.startswith("synchronization")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(data=st.data())
def test_the_way_back_restores_what_is_managed(case: Case, data: st.DataObject) -> None:
    document = data.draw(case.documents)
    machine = _machine(document)
    state = _ready(case, machine)
    changes = _planned(case, state)
    back, lost = way_back(state, changes, NOW)
    assert all(isinstance(change, Event) for change in lost)
    assert apply_changes(machine, [change.payload() for change in changes])["failed"] is None
    after = _state(machine)
    assume(state["api"] is not None and after["api"] is not None)
    assert apply_changes(machine, [change.payload() for change in back])["failed"] is None
    restored = _state(machine)
    if case.name == "binding":
        # What the kernel serves is not restored where it differed from what IIS had on file.
        assert [_without_served(one) for one in case.managed(restored)] == [_without_served(one) for one in case.managed(state)]
    elif case.name.startswith("synchronization"):
        assert {**case.managed(restored), "last_synchronization": None} == {**case.managed(state), "last_synchronization": None}
    else:
        assert case.managed(restored) == case.managed(state) or case.name.startswith("restart")
    assert restored["marks"] == state["marks"]


def _without_served(binding: dict[str, Any]) -> dict[str, Any]:
    return {**binding, "served": None}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(document=documents(), cut=st.integers(0, 30))
def test_a_run_that_was_cut_anywhere_is_finished_by_the_next(document: dict[str, Any], cut: int) -> None:
    """The whole way of one server, cut after any change; nothing before the last step refuses anyone."""
    machine = _machine(document)

    class Cut(Exception):
        pass

    made = 0

    def count(_index: int, _change: dict[str, Any]) -> None:
        nonlocal made
        if made == cut:
            raise Cut
        made += 1

    steps = [CASES[7], CASES[0], CASES[1], CASES[3], CASES[5]]
    for hook in (count, None):
        try:
            for step in steps:
                changes = _planned(step, _state(machine))
                assert apply_changes(machine, [change.payload() for change in changes], before_change=hook)["failed"] is None
        except Cut:
            continue
    state = _state(machine)
    for step in steps:
        assert not step.plan(state).changes, step.name
    assert state["setup"] and state["setup"]["certificate_name"].casefold() == FQDN  # type: ignore[union-attr]
