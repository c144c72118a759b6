"""Planning the application pool of WSUS."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.securepatch.wsus.plugins.plugin_utils.application_pool import BEST_PRACTICES, managed_pool, plan_application_pool
from ansible_collections.securepatch.wsus.plugins.plugin_utils.changes import ApplicationPool, predict
from ansible_collections.securepatch.wsus.plugins.plugin_utils.state import Refusal

from tests.unit.plugin_utils.machines import NOW, document, read, sentences

AS_INSTALLED = {
    "name": "WsusPool",
    "queue_length": 1000,
    "idle_timeout_minutes": 20,
    "ping_enabled": True,
    "private_memory_kb": 1843200,
    "virtual_memory_kb": 0,
    "recycle_interval_minutes": 1740,
}


def with_pool(**settings: Any) -> dict[str, Any]:
    found = document()
    found["iis"]["application_pools"]["WsusPool"] = settings
    return found


def test_a_fresh_pool_gets_what_the_best_practices_say() -> None:
    planned = plan_application_pool(read(), BEST_PRACTICES)
    assert sentences(planned.changes) == [
        "Set the application pool WsusPool: queue length 2000, idle time-out 0 min, ping off, private memory limit 0 KB, "
        "regular recycling every 0 min"
    ]
    assert planned.values == {"name": "WsusPool"}


def test_a_pool_that_is_as_wished_stays_as_it_is() -> None:
    assert plan_application_pool(read(with_pool(**BEST_PRACTICES)), BEST_PRACTICES).changes == ()
    ahead = predict(read(), plan_application_pool(read(), BEST_PRACTICES).changes, NOW)
    assert plan_application_pool(ahead, BEST_PRACTICES).changes == ()


def test_only_what_differs_is_set() -> None:
    state = read(with_pool(**{**BEST_PRACTICES, "ping_enabled": True}))
    assert plan_application_pool(state, BEST_PRACTICES).changes == (ApplicationPool("WsusPool", (("ping_enabled", False),)),)


def test_each_can_be_overridden_and_one_that_is_not_given_stays() -> None:
    state = read(with_pool(**BEST_PRACTICES, virtual_memory_kb=4000000))
    assert plan_application_pool(state, {**BEST_PRACTICES, "virtual_memory_kb": None}).changes == ()
    wish = {**BEST_PRACTICES, "private_memory_kb": 8388608, "virtual_memory_kb": 0}
    assert plan_application_pool(state, wish).changes == (ApplicationPool("WsusPool", (("private_memory_kb", 8388608), ("virtual_memory_kb", 0))),)


def test_the_pool_is_the_one_behind_the_client_service_whatever_its_name_is() -> None:
    found = document()
    found["iis"]["application_pools"] = {"WsusPool": {}, "UpdatePool": {}}
    for one in found["iis"]["sites"][0]["applications"]:
        one["pool"] = "UpdatePool" if one["path"] == "/ClientWebService" else "WsusPool"
    assert plan_application_pool(read(found), BEST_PRACTICES).values == {"name": "UpdatePool"}


def test_without_a_pool_it_is_refused() -> None:
    found = document()
    found["iis"]["sites"][0]["applications"] = found["iis"]["sites"][0]["applications"][:1]
    with pytest.raises(Refusal, match="no application ClientWebService"):
        plan_application_pool(read(found), BEST_PRACTICES)
    assert managed_pool(read(found)) == {}


def test_before_and_after_show_the_settings_of_the_pool() -> None:
    assert managed_pool(read()) == AS_INSTALLED
    state = read()
    state["iis"] = None
    assert managed_pool(state) == {}
