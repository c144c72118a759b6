# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How far clients have moved: who was turned away and may be back, what an audit keeps of it, and how its numbers went down."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from ansible_collections.securepatch.wsus.plugins.plugin_utils.audit import assemble, audited, lines, merge
from ansible_collections.securepatch.wsus.plugins.plugin_utils.audit_checks import Finding, Settings, View, audit_server
from ansible_collections.securepatch.wsus.plugins.plugin_utils.move import (
    COUNTED,
    MOST_EARLIER,
    MOST_LISTED,
    Callers,
    earlier,
    is_part,
    numbers,
    part,
    turned_away,
)
from ansible_collections.securepatch.wsus.plugins.plugin_utils.state import FIVE_SERVICES
from ansible_collections.securepatch.wsus.plugins.plugin_utils.traffic import computers_at, read_traffic
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.plugin_utils.machines import DAY, NOW, offering, read, require
from tests.unit.plugin_utils.test_audit import server
from tests.unit.plugin_utils.test_traffic import caller, recorded

EARLY, LATE = "2026-11-19T08:00:00Z", "2026-11-20T09:00:00Z"
MARKUP = "<script>alert(1)</script>"


def callers(*found: dict[str, Any], known: Any = (), **differs: Any) -> Callers:
    """Who calls a server, by a document with these callers; WSUS knows these computers."""
    traffic = read_traffic({**recorded(), "callers": list(found), "tls_failed": [], **differs}, 7)
    everybody = read_traffic({**recorded(), "computers": {"seen": 0, "absent": list(known)}}, 0)
    return Callers(traffic, computers_at(everybody.computers))


def refused(address: str = "10.1.0.9", last: str = LATE, **differs: Any) -> dict[str, Any]:
    return caller(address, **{"last": last, "last_served": None, "served": 0, "refused": 3, **differs})


def computer(number: int, address: str, last_sync: str) -> dict[str, Any]:
    return {"id": str(number), "fqdn": f"PC{number}.corp.example", "address": address, "last_sync": last_sync}


# --- who was turned away ------------------------------------------------------------------------------------------------


def test_who_was_turned_away_is_told_with_names_when_and_how_often_the_last_one_first() -> None:
    found = turned_away(callers(refused("10.1.0.8", EARLY, refused=1), refused(), known=[computer(9, "10.1.0.9", EARLY)]))
    assert [(one.address, one.times, [each.name for each in one.computers]) for one in found] == [
        ("10.1.0.9", 3, ["pc9.corp.example"]),
        ("10.1.0.8", 1, []),
    ]
    assert found[0].last is not None
    assert found[0].last.isoformat() == "2026-11-20T09:00:00+00:00"


@pytest.mark.parametrize(
    "one",
    [
        caller(),
        refused(own=True),
        caller(last_served=None, served=0, probed=4),
        refused(refused=0, failed=2),
        refused(served=1, last_served=LATE, last=LATE),
    ],
    ids=["served", "the server itself", "a probe", "failed otherwise", "served afterwards"],
)
def test_others_are_not_turned_away(one: dict[str, Any]) -> None:
    assert turned_away(callers(one)) == []


def test_one_who_was_served_before_and_is_refused_now_is_turned_away() -> None:
    assert len(turned_away(callers(refused(served=9, last_served=EARLY)))) == 1


def test_only_the_services_that_require_tls_count_where_they_are_given() -> None:
    found = callers(refused(service="ApiRemoting30"))
    assert len(turned_away(found, ["APIREMOTING30"])) == 1
    assert turned_away(found, ["ClientWebService"]) == []


@pytest.mark.parametrize(
    ("known", "back"),
    [
        ([computer(9, "10.1.0.9", "2026-11-20T10:00:00Z")], True),
        ([computer(9, "10.1.0.9", EARLY)], False),
        ([computer(9, "10.1.0.9", LATE)], False),
        ([], False),
        ([computer(9, "10.1.0.8", "2026-11-20T10:00:00Z")], False),
        ([computer(9, "10.1.0.9", "2026-11-20T10:00:00Z"), computer(8, "10.1.0.9", EARLY)], False),
    ],
    ids=["seen later", "seen before", "seen then", "unknown", "at another address", "one of two behind an address"],
)
def test_one_may_be_back_only_where_the_one_computer_at_its_address_was_seen_later(known: Any, back: bool) -> None:
    [one] = turned_away(callers(refused(), known=known))
    assert (one.seen_since is not None) is back


# --- the check ------------------------------------------------------------------------------------------------------------


def judged(found: Callers | None, *, required: bool = True, problem: str | None = None) -> Finding:
    state = read(require(offering(), *FIVE_SERVICES) if required else offering())
    view = View("wsus01", "wsus01.corp.example", state, callers=found, callers_problem=problem)
    return next(one for one in audit_server(view, Settings(), NOW) if one.check == "turned_away")


def test_the_finding_says_who_and_when_and_how_to_take_it_back() -> None:
    found = judged(callers(refused(), refused("10.2.0.5", EARLY, refused=1, service="ServerSyncWebService"), known=[computer(9, "10.1.0.9", EARLY)]))
    assert (found.result, found.severity) == ("fail", "medium")
    assert "10.1.0.9 (pc9.corp.example) (3 times, last on 2026-11-20T09:00:00Z)" in found.seen
    assert "10.2.0.5, downstream server (once, last on 2026-11-19T08:00:00Z)" in found.seen
    assert "iis_require_ssl with state: absent" in found.mend
    assert "docs/clients.md" in found.mend


def test_who_may_all_be_back_is_less_bad_and_never_called_mended() -> None:
    back = callers(refused(), known=[computer(9, "10.1.0.9", "2026-11-20T10:00:00Z")])
    found = judged(back)
    assert (found.result, found.severity) == ("fail", "low")
    assert "WSUS saw that computer on 2026-11-20T10:00:00Z, which takes TLS" in found.seen
    assert "whether they are the same machines is not known" in found.seen
    both = judged(callers(refused(), refused("10.1.0.8"), known=[computer(9, "10.1.0.9", "2026-11-20T10:00:00Z")]))
    assert (both.severity, "1 of 2 may be back" in both.seen) == ("medium", True)


def test_many_are_counted() -> None:
    found = judged(callers(*(refused(f"10.1.1.{number}") for number in range(30))))
    assert found.seen.count("10.1.1.") == 10
    assert "and 20 more" in found.seen


def test_it_is_judged_only_where_tls_is_required_and_somebody_looked() -> None:
    assert judged(callers(refused()), required=False).result == "not_applicable"
    assert judged(None).result == "not_applicable"
    assert "traffic_days" in judged(None).reason
    broken = judged(None, problem="Access is denied.")
    assert (broken.result, broken.reason) == ("not_known", "Access is denied.")
    well = judged(callers(caller()))
    assert well.result == "pass"
    assert "nothing is known of 2026-11-" in well.seen


@pytest.mark.parametrize(
    ("differs", "why"),
    [
        ({"logged": False}, "does not log now"),
        ({"files": 0, "lines": 0}, "There is no log"),
        ({"unreadable": {"log": {"message": "Access is denied."}}}, "cannot be read: Access is denied"),
        ({"missing_fields": ["c-ip"]}, "lack c-ip"),
    ],
)
def test_nobody_in_a_log_that_does_not_tell_is_not_known_and_somebody_in_it_counts(differs: dict[str, Any], why: str) -> None:
    nobody = judged(callers(caller(), **differs))
    assert (nobody.result, why in nobody.reason) == ("not_known", True)
    somebody = judged(callers(refused(), **differs))
    assert (somebody.result, why in somebody.seen) == ("fail", True)


def test_an_error_that_may_be_a_refusal_without_its_number_is_not_known() -> None:
    found = judged(callers(caller(last=LATE, last_served=EARLY, failed=2)))
    assert (found.result, "sc-substatus" in found.reason, "10.1.0.7" in found.reason) == ("not_known", True, True)
    assert judged(callers(caller(last=LATE, last_served=LATE, failed=2))).result == "pass"


# --- what an audit keeps ----------------------------------------------------------------------------------------------------


def whole() -> dict[str, Any]:
    traffic = read_traffic(recorded(), 7)
    return part(Callers(traffic, computers_at(traffic.computers)))


def test_a_part_has_the_numbers_and_those_who_are_meant() -> None:
    found = whole()
    assert numbers(found) == {"read": "2026-11-21T02:00:00Z", "over_tls": 1, "over_http": 4, "not_seen": 1, "turned_away": 1, "only_fail_over_tls": 1}
    assert [one["address"] for one in found["over_http"]["first"]] == ["10.2.0.5", "10.1.0.8", "fe80::12", "10.1.0.7"]
    assert found["over_http"]["first"][1]["kinds"] == ["client"]
    assert found["turned_away"]["first"] == [
        {"address": "10.1.0.9", "names": [], "kinds": ["client"], "last": "2026-11-20T02:00:00Z", "times": 1, "seen_since": None}
    ]
    assert is_part(found)
    assert is_part(json.loads(json.dumps(found)))


def test_a_long_list_is_cut_and_says_how_many_more_there_are() -> None:
    found = part(callers(*(caller(f"10.{number // 250}.1.{number % 250}") for number in range(700))))
    assert (found["over_http"]["number"], len(found["over_http"]["first"]), found["over_http"]["more"]) == (700, MOST_LISTED, 700 - MOST_LISTED)


def test_computers_that_wsus_does_not_tell_are_null() -> None:
    traffic = read_traffic({**recorded(), "computers": None}, 7)
    found = part(Callers(traffic, {}))
    assert (found["seen"], found["not_seen"], is_part(found)) == (None, None, True)
    assert any("its API does not answer" in one for one in found["not_known"])


def test_markup_stays_text() -> None:
    found = callers(refused("10.1.0.9"), known=[{**computer(9, "10.1.0.9", EARLY), "fqdn": MARKUP + "\x1b[31m\n"}])
    assert part(found)["turned_away"]["first"][0]["names"] == [MARKUP + "[31m"]


@given(
    st.sampled_from(sorted(whole())), st.sampled_from([None, 7, -1, "x", [], [1], {}, {"number": 1}, {"number": 1, "first": [{}], "more": 0}, ...])
)
def test_what_is_no_part_is_told_or_can_be_counted(key: str, strange: Any) -> None:
    found = whole()
    if strange is ...:
        del found[key]
    else:
        found[key] = strange
    if is_part(found):
        assert set(numbers(found) or {}) == {"read", *COUNTED}
        json.dumps(assemble([server("wsus01", traffic=found)], NOW))


@pytest.mark.parametrize("strange", [1, "x", [], {}, True])
def test_anything_else_is_no_part(strange: Any) -> None:
    assert not is_part(strange)


def test_a_server_of_the_document_has_its_part_or_why_there_is_none() -> None:
    state = read(offering())
    found = callers(caller())
    read_well = audited(View("wsus01", "wsus01", state, callers=found), None, [], NOW)
    assert (read_well["traffic"]["over_http"]["number"], read_well["traffic_problem"]) == (1, None)
    broken = audited(View("wsus01", "wsus01", state, callers_problem="Access is denied."), None, [], NOW)
    assert (broken["traffic"], broken["traffic_problem"]) == (None, "Access is denied.")


# --- how they went down -------------------------------------------------------------------------------------------------------


def audit_on(day: int, http: int, previous: Any = None, **differs: Any) -> dict[str, Any]:
    found = whole()
    found["read"] = f"2026-10-{day:02}T02:00:00Z" if day <= 31 else f"2026-11-{day - 31:02}T02:00:00Z"
    found["over_http"]["number"] = http
    return assemble([server("wsus01", **{"traffic": found, **differs})], NOW + day * DAY, previous=previous)


def history(document: dict[str, Any]) -> list[int]:
    return [one["over_http"] for one in document["servers"][0]["traffic_before"]]


def test_each_audit_hands_on_the_numbers_of_those_before_it() -> None:
    first = audit_on(1, 40)
    second = audit_on(2, 22, first)
    without = audit_on(3, 0, second, traffic=None)
    last = audit_on(4, 3, without)
    assert [history(one) for one in (first, second, without, last)] == [[], [40], [40, 22], [40, 22]]


def test_an_audit_from_before_there_was_traffic_is_read() -> None:
    old = audit_on(1, 40)
    for key in ("traffic", "traffic_problem", "traffic_before"):
        old["servers"][0].pop(key, None)
    for key in ("clients", "client_checks"):
        del old[key]
    del old["summary"]["clients"]
    found = audit_on(2, 22, old)
    assert history(found) == []
    assert found["changes"]["clients"] is None
    assert history(merge([old, found], NOW)) == []


def test_slices_keep_what_they_know_and_no_more_than_is_wanted_is_kept() -> None:
    document = None
    for day in range(1, 62):
        document = audit_on(day, 100 - day, document)
    assert document is not None
    assert history(merge([document], NOW)) == history(document)
    assert len(history(document)) == MOST_EARLIER
    assert history(document)[-1] == 100 - 60


@pytest.mark.parametrize("strange", [None, 7, "x", [7], [{"read": "never"}], [{"read": "2026-10-01T00:00:00Z", "over_tls": "many"}]])
def test_damaged_numbers_of_earlier_audits_are_left_out(strange: Any) -> None:
    before = copy.deepcopy(audit_on(1, 40))
    before["servers"][0]["traffic_before"] = strange
    assert history(audit_on(2, 22, before)) == [40]
    assert earlier(server("wsus01", traffic_before=strange), None) == []


def test_numbers_that_are_younger_are_not_before() -> None:
    assert history(audit_on(1, 40, audit_on(2, 22))) == []


def test_the_move_is_a_line_for_a_terminal() -> None:
    assert "Addresses on 1 servers: 40 served over plain HTTP, 1 turned away; 1 computers not seen." in lines(audit_on(1, 40))
    assert not [line for line in lines(assemble([server("wsus01")], NOW)) if "plain HTTP" in line]
