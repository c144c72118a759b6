"""Planning from where a server synchronizes, and whether it has to synchronize now."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from ansible_collections.securepatch.wsus.plugins.plugin_utils.binding import BindingWish, plan_binding
from ansible_collections.securepatch.wsus.plugins.plugin_utils.changes import Registry, SetSynchronization, StartSynchronization, predict
from ansible_collections.securepatch.wsus.plugins.plugin_utils.configuressl import ConfigureWish, plan_configuressl
from ansible_collections.securepatch.wsus.plugins.plugin_utils.planning import Plan
from ansible_collections.securepatch.wsus.plugins.plugin_utils.state import MARKS_KEY, LookNeeded, Refusal, State
from ansible_collections.securepatch.wsus.plugins.plugin_utils.synchronization import (
    SynchronizationWish,
    is_busy,
    is_due,
    managed_source,
    plan_synchronization,
    same_upstream,
)

from tests.unit.plugin_utils.machines import (
    FQDN,
    MARKS,
    NOW,
    SETUP,
    configure,
    document,
    downstream,
    looked,
    offering,
    read,
    synchronized,
    text,
)

UPSTREAM = "wsus00.corp.example"
OWN = "wsus11.corp.example"
OVER_TLS = SetSynchronization(False, UPSTREAM, 8531, True, False, 240)
SMS = r"HKLM:\SOFTWARE\Microsoft\SMS"


def mark(data: str) -> Registry:
    return Registry(MARKS_KEY, "SynchronizationBefore", "String", data, "Note on the server which synchronization was the last before")


MARK = mark(str(uuid.UUID(int=1)))


def plan(found: dict[str, Any] | State, upstream: str | None = UPSTREAM, *, look: bool = True, **wish: Any) -> Plan:
    state: Any = found if "unreadable" in found else read(found)  # type: ignore[arg-type]
    if look and upstream:
        state = looked(state, upstream, wish.get("port", 8531))
    return plan_synchronization(state, SynchronizationWish(upstream, **wish), NOW)


# --- the source -------------------------------------------------------------------------------------------------------


def test_the_source_goes_over_tls_to_8531_and_what_was_the_last_before_is_noted_first() -> None:
    planned = plan(downstream())
    assert planned.changes == (MARK, OVER_TLS)
    assert planned.values == {"source": f"https://{UPSTREAM}:8531"}
    assert planned.notes == ()


@pytest.mark.parametrize("name", [UPSTREAM, UPSTREAM.upper(), UPSTREAM + ".", f" {UPSTREAM} "])
def test_a_server_that_synchronizes_from_there_stays_as_it_is_and_does_not_look(name: str) -> None:
    assert plan(downstream(UPSTREAM, 8531, ssl=True), name, look=False).changes == ()


@pytest.mark.parametrize(
    ("differs", "wish"),
    [
        ({"name": "wsus00"}, {}),
        ({"port": 8530}, {}),
        ({"ssl": False}, {}),
        ({"replica": True}, {"replica": False}),
        ({}, {"port": 443}),
        ({}, {"replica": True}),
        ({}, {"use_ssl": False}),
    ],
)
def test_whatever_differs_is_a_reason_to_save(differs: dict[str, Any], wish: dict[str, Any]) -> None:
    found = downstream(UPSTREAM, 8531, ssl=True)
    found["wsus"]["upstream"] |= differs
    assert isinstance(plan(found, **wish).changes[-1], SetSynchronization)


@pytest.mark.parametrize("replica", [True, False])
def test_replica_stays_as_it_is_unless_given(replica: bool) -> None:
    found = downstream(replica=replica)
    assert plan(found).changes == (MARK, SetSynchronization(False, UPSTREAM, 8531, True, replica, 240))
    assert plan(found, replica=not replica).changes == (MARK, SetSynchronization(False, UPSTREAM, 8531, True, not replica, 240))
    assert plan(downstream(UPSTREAM, 8531, ssl=True, replica=replica)).changes == ()


def test_back_to_http_needs_no_look_and_no_fqdn() -> None:
    planned = plan(downstream(UPSTREAM, 8531, ssl=True), "wsus00", look=False, port=8530, use_ssl=False)
    assert planned.changes == (MARK, SetSynchronization(False, "wsus00", 8530, False, False, 240))
    assert planned.values == {"source": "http://wsus00:8530"}


@pytest.mark.parametrize("name", ["wsus00", "https://wsus00.corp.example"])
def test_with_tls_a_name_that_is_not_fully_qualified_is_refused(name: str) -> None:
    with pytest.raises(Refusal, match=f"'{name}' is no fully qualified name: with TLS the upstream must be named by its FQDN"):
        plan(downstream(), name)


@pytest.mark.parametrize("name", [None, "", " "])
def test_without_an_upstream_it_is_refused(name: str | None) -> None:
    with pytest.raises(Refusal, match="No upstream server is given"):
        plan(downstream(), name)


# --- another upstream -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (UPSTREAM, "WSUS00.corp.example.", True),
        ("wsus00", UPSTREAM, True),
        ("WSUS00", "wsus00", True),
        (UPSTREAM, "wsus00.other.example", False),
        ("wsus0", UPSTREAM, False),
        ("corp", UPSTREAM, False),
        (None, UPSTREAM, False),
        ("", "", False),
    ],
)
def test_an_upstream_is_the_same_by_an_equal_fqdn_or_a_short_name_equal_to_its_first_label(one: str | None, other: str | None, same: bool) -> None:
    for pair in ((one, other), (other, one)):
        assert same_upstream(*pair) is same


@pytest.mark.parametrize("current", ["wsus00", "WSUS00.CORP.EXAMPLE"])
def test_the_same_upstream_by_another_spelling_is_no_other_one(current: str) -> None:
    assert plan(downstream(current)).changes == (MARK, OVER_TLS)


@pytest.mark.parametrize("current", ["wsus99", "wsus99.corp.example", "wsus00.other.example"])
def test_another_upstream_than_it_has_is_refused_unless_reparent(current: str) -> None:
    with pytest.raises(Refusal, match=f"synchronizes from {current}, not from {UPSTREAM}. Correct the inventory, or move it with reparent: true"):
        plan(downstream(current))
    assert plan(downstream(current), reparent=True).changes == (MARK, OVER_TLS)


def test_a_server_below_microsoft_update_is_moved_below_another_only_with_reparent() -> None:
    with pytest.raises(Refusal, match=rf"synchronizes from Microsoft Update, not from {UPSTREAM}\..*say so with reparent: true"):
        plan(document())
    assert plan(document(), reparent=True).changes == (mark("none"), OVER_TLS)


def test_an_upstream_that_windows_calls_otherwise_is_known_by_its_state() -> None:
    found = downstream(FQDN)
    with pytest.raises(Refusal, match="Correct the inventory"):
        plan(found, "alias.corp.example")
    assert plan(found, "alias.corp.example", upstream_state=read()).changes
    told = read(configure(document(), "told.corp.example"))
    assert plan(downstream("told"), "alias.corp.example", upstream_state=told).changes
    nothing = read()
    nothing["setup"] = None
    with pytest.raises(Refusal, match="Correct the inventory"):
        plan(found, "alias.corp.example", upstream_state=nothing)


@pytest.mark.parametrize("name", [OWN, OWN.upper() + "."])
def test_a_server_is_refused_as_its_own_upstream(name: str) -> None:
    for reparent in (False, True):
        with pytest.raises(Refusal, match="is this server itself: it cannot be its own upstream"):
            plan(downstream(), name, reparent=reparent)


def test_a_server_is_refused_as_its_own_upstream_by_its_short_name_and_by_the_name_it_was_told() -> None:
    with pytest.raises(Refusal, match="is this server itself"):
        plan(downstream(), "WSUS11", use_ssl=False, reparent=True)
    told = downstream()
    told["registry"][SETUP] |= offering()["registry"][SETUP]
    told["iis"]["sites"][0]["bindings"] = offering()["iis"]["sites"][0]["bindings"]
    told["certificates"] = offering()["certificates"]
    with pytest.raises(Refusal, match="is this server itself"):
        plan(told, FQDN, reparent=True)
    # The same first label in another domain is another server.
    assert plan(downstream(), "wsus11.other.example", reparent=True).changes


# --- Microsoft Update -------------------------------------------------------------------------------------------------


def test_to_microsoft_update_only_with_reparent() -> None:
    with pytest.raises(Refusal, match=f"from {UPSTREAM}. Moving it to Microsoft Update is another hierarchy: say so with reparent: true"):
        plan(downstream(), None, microsoft_update=True)
    planned = plan(downstream(replica=True), None, microsoft_update=True, reparent=True)
    assert planned.changes == (MARK, SetSynchronization(True, UPSTREAM, 8530, False, False, 240))
    assert planned.values == {"source": "Microsoft Update"}


def test_a_server_that_synchronizes_from_microsoft_update_stays_as_it_is() -> None:
    assert plan(document(), None, microsoft_update=True).changes == ()
    # What is still on file of an upstream does not matter.
    assert plan(downstream(microsoft_update=True), None, microsoft_update=True).changes == ()
    assert plan(downstream(UPSTREAM, 8531, ssl=True, microsoft_update=True), reparent=True).changes == (MARK, OVER_TLS)


# --- the look ---------------------------------------------------------------------------------------------------------


def test_a_look_at_the_upstream_is_asked_for_by_name_and_port() -> None:
    with pytest.raises(LookNeeded) as needed:
        plan(downstream(), look=False, port=443)
    assert (needed.value.host_name, needed.value.port) == (UPSTREAM, 443)
    with pytest.raises(LookNeeded):
        plan(looked(read(downstream()), UPSTREAM, 443), look=False)


@pytest.mark.parametrize(
    ("differs", "why", "trust"),
    [
        ({"reachable": False, "name_matches": None, "trusted": None}, f"{UPSTREAM}:8531 cannot be reached from this server", False),
        ({"name_matches": None, "trusted": None}, "answers, but not with TLS", False),
        ({"name_matches": False}, f"is not for {UPSTREAM}", False),
        ({"trusted": False, "chain_errors": ["UntrustedRoot"]}, r"does not trust the certificate found at .*\(UntrustedRoot\)", True),
    ],
    ids=["not reached", "no tls", "name", "trust"],
)
def test_an_upstream_that_is_not_ready_is_refused_with_which_of_the_three(differs: dict[str, Any], why: str, trust: bool) -> None:
    with pytest.raises(Refusal, match=f"The upstream is not ready for synchronization over TLS: .*{why}") as refused:
        plan(looked(read(downstream()), UPSTREAM, **differs), look=False)
    assert ("Have the issuing CA trusted in the computer's Trusted Root store" in str(refused.value)) is trust
    assert "proxy" not in str(refused.value)


def test_what_a_proxy_set_in_wsus_means_for_it_is_said() -> None:
    found = downstream()
    found["wsus"]["proxy"] = {"name": "proxy.corp.example", "port": 3128}
    state = looked(read(found), UPSTREAM, reachable=False, name_matches=None, trusted=None)
    with pytest.raises(Refusal, match=r"uses the proxy proxy\.corp\.example:3128, for its upstream too, and this look went without it"):
        plan(state, look=False)
    # Where the upstream is reached, it is no reason to refuse.
    assert plan(found).changes


def promising() -> State:
    """The upstream as check mode leaves it: bound and told, by prediction."""
    found = document()
    found["registry"][r"HKLM:\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters"]["Hostname"] = text("WSUS01")
    state = read(found)
    state = predict(state, plan_binding(state, BindingWish(), NOW).changes, NOW)
    return predict(state, plan_configuressl(state, ConfigureWish(), NOW).changes, NOW)


def test_the_endpoint_that_the_upstreams_state_promises_counts_as_seen() -> None:
    planned = plan(downstream(FQDN), FQDN, look=False, upstream_state=promising())
    assert planned.changes == (MARK, SetSynchronization(False, FQDN, 8531, True, False, 240))


def test_what_was_found_there_before_the_promise_does_not_count_against_it() -> None:
    state = looked(read(downstream(FQDN)), FQDN, reachable=False, name_matches=None, trusted=None)
    assert plan(state, FQDN, look=False, upstream_state=promising()).changes


def test_a_promised_endpoint_has_to_have_the_port_and_the_name() -> None:
    with pytest.raises(LookNeeded):
        plan(downstream(FQDN), FQDN, look=False, port=443, upstream_state=promising())
    with pytest.raises(Refusal, match=r"The certificate that alias\.corp\.example will have on port 8531 is not for alias\.corp\.example"):
        plan(downstream(FQDN), "alias.corp.example", look=False, upstream_state=promising())


def test_an_upstream_state_that_promises_nothing_is_no_look() -> None:
    with pytest.raises(LookNeeded):
        plan(downstream(FQDN), FQDN, look=False, upstream_state=read(offering()))


# --- Configuration Manager --------------------------------------------------------------------------------------------


def test_with_configuration_manager_it_is_refused_unless_somebody_says_that_they_know() -> None:
    found = downstream()
    found["registry"][SMS] = {}
    with pytest.raises(Refusal, match="'Require SSL communication' on its software update point, and say so with configuration_manager: ack"):
        plan(found)
    planned = plan(found, configuration_manager=True)
    assert planned.changes == (MARK, OVER_TLS)
    assert len(planned.notes) == 1
    assert "set 'Require SSL communication' on its software update point" in planned.notes[0]


def test_configuration_manager_matters_for_microsoft_update_too_and_not_where_nothing_changes() -> None:
    found = downstream()
    found["registry"][SMS] = {}
    with pytest.raises(Refusal, match="Configuration Manager"):
        plan(found, None, microsoft_update=True, reparent=True)
    done = downstream(UPSTREAM, 8531, ssl=True)
    done["registry"][SMS] = {}
    assert plan(done, synchronize=True) == Plan((), (), {"source": f"https://{UPSTREAM}:8531"})


# --- when a synchronization is due ---------------------------------------------------------------------------------------


def moved(last: dict[str, Any] | None, before: int | None = None, **wsus: Any) -> dict[str, Any]:
    """A server whose source is as wished; BEFORE: the number of the synchronization that its mark keeps."""
    found = downstream(UPSTREAM, 8531, ssl=True)
    found["wsus"] |= {"last_synchronization": last, **wsus}
    if before is not None:
        found["registry"][MARKS] = {"SynchronizationBefore": text(str(uuid.UUID(int=before)))}
    return found


@pytest.mark.parametrize(
    ("last", "before", "due"),
    [
        (None, None, True),
        (synchronized(1), None, False),
        (synchronized(1), 1, True),
        (synchronized(2), 1, False),
        (synchronized(2, "Failed"), 1, True),
        (synchronized(2, "Canceled"), None, True),
        (synchronized(1, "Failed"), 1, True),
    ],
    ids=["never", "done", "none since the change", "one since the change", "failed since", "canceled", "failed before"],
)
def test_one_is_due_while_none_succeeded_since_the_source_was_changed(last: dict[str, Any] | None, before: int | None, due: bool) -> None:
    state = read(moved(last, before))
    assert is_due(state) is due
    assert plan(state, synchronize=True).changes == ((StartSynchronization(),) if due else ())
    assert plan(state).changes == ()


def test_a_source_that_is_changed_is_synchronized_from_whatever_was_last() -> None:
    assert plan(downstream(), synchronize=True).changes == (MARK, OVER_TLS, StartSynchronization())
    never = downstream()
    del never["wsus"]["last_synchronization"]
    assert plan(never, synchronize=True).changes == (mark("none"), OVER_TLS, StartSynchronization())


def test_a_source_that_an_earlier_task_changed_without_synchronizing_is_synchronized_from_by_a_later_one() -> None:
    state = read(downstream())
    ahead = predict(state, plan(state).changes, NOW)
    assert plan(ahead).changes == ()
    assert plan(ahead, synchronize=True).changes == (StartSynchronization(),)


def test_after_a_predicted_synchronization_none_is_due() -> None:
    state = read(downstream())
    ahead = predict(state, plan(state, synchronize=True).changes, NOW)
    assert plan(ahead, synchronize=True).changes == ()
    assert managed_source(ahead) == {"source": f"https://{UPSTREAM}:8531", "replica": False, "last_synchronization": "Succeeded"}
    state = read(moved(None))
    assert plan(predict(state, plan(state, synchronize=True).changes, NOW), synchronize=True).changes == ()


@pytest.mark.parametrize("status", ["Running", "Stopping"])
def test_one_that_is_under_way_is_not_started_once_more(status: str) -> None:
    assert plan(moved(synchronized(1), 1, synchronization_status=status), synchronize=True).changes == ()


def test_a_source_is_changed_though_one_is_under_way_because_the_run_waits_for_its_end() -> None:
    found = downstream()
    found["wsus"]["synchronization_status"] = "Running"
    assert plan(found, synchronize=True).changes == (MARK, OVER_TLS, StartSynchronization())


def test_wsus_is_busy_while_it_synchronizes_or_works_on_a_configuration() -> None:
    assert not is_busy(read(downstream()))
    for differs in ({"synchronization_status": "Running"}, {"synchronization_status": "Stopping"}, {"busy": 1}):
        found = downstream()
        found["wsus"] |= differs
        assert is_busy(read(found)), differs


# --- the API ----------------------------------------------------------------------------------------------------------


def test_an_api_that_does_not_answer_is_refused() -> None:
    found = downstream()
    found["services"]["W3SVC"] = "Stopped"
    with pytest.raises(Refusal, match="The WSUS API on the server does not answer: Unable to connect to the remote server"):
        plan(found)


def test_what_an_api_that_a_prediction_cannot_know_would_say_is_not_foretold() -> None:
    state = read(downstream())
    state["api"] = None
    planned = plan(state, synchronize=True)
    assert planned.changes == ()
    assert "cannot be foretold" in planned.notes[0]
    assert not is_due(state)
    assert not is_busy(state)
    assert managed_source(state) == {}


def test_before_and_after_show_source_replica_and_last_synchronization() -> None:
    assert managed_source(read()) == {"source": "Microsoft Update", "replica": False, "last_synchronization": "never"}
    found = downstream("wsus00", 8530, replica=True)
    found["wsus"]["last_synchronization"] = synchronized(1, "Failed")
    assert managed_source(read(found)) == {"source": "http://wsus00:8530", "replica": True, "last_synchronization": "Failed"}
