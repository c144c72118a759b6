"""Planning the restart: when, and only when, one of ours is pending."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.securepatch.wsus.plugins.plugin_utils.changes import Reboot, RecyclePool, Registry, RestartService, predict
from ansible_collections.securepatch.wsus.plugins.plugin_utils.restart import managed_restart, plan_restart
from ansible_collections.securepatch.wsus.plugins.plugin_utils.state import MARKS_KEY, Refusal

from tests.unit.plugin_utils.machines import MARKS, NOW, SETUP, document, offering, read, sentences, text

CLEARED = Registry(MARKS_KEY, "RestartNeededSince", "String", None, "Take the note of the restart off the server")
BY_SERVICES = (RestartService("WsusService"), RecyclePool("WsusPool"), CLEARED)


def marked(found: dict[str, Any] | None = None, mark: str = "2026-11-20T00:00:00Z") -> dict[str, Any]:
    found = found or offering()
    found["registry"][MARKS] = {"RestartNeededSince": text(mark)}
    return found


@pytest.mark.parametrize("method", ["reboot", "services"])
def test_without_a_mark_nothing_is_restarted(method: str) -> None:
    assert plan_restart(read(offering()), method).changes == ()


@pytest.mark.parametrize("method", ["reboot", "services"])
def test_whoever_restarted_the_machine_after_the_mark_it_is_not_restarted_again(method: str) -> None:
    assert plan_restart(read(marked(mark="2026-10-31T23:59:59Z")), method).changes == ()
    assert plan_restart(read(marked(mark="2026-11-01T03:00:00Z")), method).changes == ()


def test_a_pending_restart_is_a_reboot() -> None:
    assert plan_restart(read(marked()), "reboot").changes == (Reboot(),)


def test_a_pending_restart_is_the_service_and_the_pool_and_the_mark_goes_last() -> None:
    # Cut off before its end the mark is still there, and the next run restarts.
    planned = plan_restart(read(marked()), "services")
    assert planned.changes == BY_SERVICES
    assert sentences(planned.changes)[-1] == "Take the note of the restart off the server"


@pytest.mark.parametrize("method", ["reboot", "services"])
def test_after_the_restart_none_is_pending(method: str) -> None:
    state = read(marked())
    assert managed_restart(state) == {"restart_pending": True}
    ahead = predict(state, plan_restart(state, method).changes, NOW)
    assert managed_restart(ahead) == {"restart_pending": False}
    assert plan_restart(ahead, method).changes == ()


def test_the_pool_is_the_one_behind_the_client_service() -> None:
    found = marked()
    found["iis"]["application_pools"]["UpdatePool"] = {}
    for one in found["iis"]["sites"][0]["applications"]:
        one["pool"] = "UpdatePool" if one["path"] == "/ClientWebService" else "WsusPool"
    assert RecyclePool("UpdatePool") in plan_restart(read(found), "services").changes


def test_a_pool_that_does_not_run_is_refused_for_services_and_no_hindrance_to_a_reboot() -> None:
    found = marked()
    found["iis"]["application_pools"]["WsusPool"]["state"] = "Stopped"
    with pytest.raises(Refusal, match=r"The application pool WsusPool is not running \(Stopped\)\. Start it first"):
        plan_restart(read(found), "services")
    assert plan_restart(read(found), "reboot").changes == (Reboot(),)


def test_a_site_without_a_pool_is_refused_for_services() -> None:
    found = marked()
    site = found["iis"]["sites"][0]
    site["applications"] = [one for one in site["applications"] if one["path"] != "/ClientWebService"]
    with pytest.raises(Refusal, match=r"The application pool behind ClientWebService is not running \(it is not there\)"):
        plan_restart(read(found), "services")


@pytest.mark.parametrize("method", ["reboot", "services"])
@pytest.mark.parametrize("pending", [False, True])
def test_a_restart_that_windows_waits_for_is_told_and_not_done(method: str, pending: bool) -> None:
    found = marked() if pending else offering()
    found["registry"][r"HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\RebootRequired"] = {}
    planned = plan_restart(read(found), method)
    assert len(planned.notes) == 1
    assert "Windows itself waits for a restart of this machine" in planned.notes[0]
    assert bool(planned.changes) is pending


def test_nothing_is_told_where_windows_waits_for_nothing() -> None:
    assert plan_restart(read(marked()), "reboot").notes == ()


def test_a_machine_that_is_not_wsus_is_never_restarted() -> None:
    found = marked(document())
    found["registry"] = {key: values for key, values in found["registry"].items() if not key.startswith(SETUP)}
    with pytest.raises(Refusal, match="not a WSUS server"):
        plan_restart(read(found), "reboot")
