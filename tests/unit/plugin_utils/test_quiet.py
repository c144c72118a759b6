"""When it is quiet: each of the five conditions by itself, what is missing and who, from when on it can be, and what makes no sense."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

import pytest
from ansible_collections.securepatch.wsus.plugins.plugin_utils.authorities import thumbprint_of
from ansible_collections.securepatch.wsus.plugins.plugin_utils.quiet import (
    Quiet,
    SeenCertificate,
    decide,
    other_certificate,
    quiet_wish,
    seen_by_the_controller,
    seen_by_the_server,
)
from ansible_collections.securepatch.wsus.plugins.plugin_utils.require_tls import RequireWish
from ansible_collections.securepatch.wsus.plugins.plugin_utils.state import Refusal, State, format_time, parse_time
from ansible_collections.securepatch.wsus.plugins.plugin_utils.survey import Survey
from ansible_collections.securepatch.wsus.plugins.plugin_utils.traffic import Traffic, read_traffic

from tests.unit.plugin_utils.machines import DAY, FQDN, bind, document, issued, looked, offering, read

NOW = datetime.datetime(2026, 11, 21, 2, 0, tzinfo=datetime.UTC)
BOUND = thumbprint_of(issued("good").der_base64)
BY_CONTROLLER = SeenCertificate("the controller", f"{FQDN}:8531", BOUND)
FAILURE = {"message": "Access is denied.", "id": None, "type": "x", "hresult": "0x80070005", "native": 5}
EMPTY: dict[str, Any] = {
    "logged": True,
    "folder": r"C:\inetpub\logs\LogFiles\W3SVC1",
    "days": [f"2026-11-{day}" for day in range(13, 22)],
    "files": 8,
    "lines": 100,
    "missing_fields": [],
    "truncated": False,
    "tls_served": 3,
    "tls_failed": [],
    "callers": [],
    "computers": {"seen": 3, "absent": []},
    "unreadable": {},
}


def log(at: datetime.datetime = NOW, back: int = 8, **differs: Any) -> Traffic:
    """The log of a server that nobody calls over HTTP, but for what DIFFERS, read for so many days."""
    return read_traffic({**EMPTY, "since": format_time(at - back * DAY), **differs}, back)


def log_without(*gone: str, **differs: Any) -> Traffic:
    """The same without evidence of these days."""
    return log(days=[day for day in EMPTY["days"] if day not in gone], **differs)


def computer(number: int, last: str, address: str = "", **differs: Any) -> dict[str, Any]:
    return {"id": f"id-{number}", "fqdn": f"pc{number}.corp.example", "address": address or f"10.1.0.{number}", "last_sync": last, **differs}


def known(*computers: Mapping[str, Any], at: datetime.datetime = NOW) -> Traffic:
    return read_traffic({**EMPTY, "since": format_time(at), "computers": {"seen": 0, "absent": list(computers)}}, 0)


def caller(address: str = "10.1.0.7", last: str = "2026-11-18T10:00:00Z", **differs: Any) -> dict[str, Any]:
    well = {"address": address, "service": "ClientWebService", "agent": "-", "own": False, "last": last, "last_served": last}
    return {**well, "served": 1, "refused": 0, "failed": 0, "probed": 0, **differs}


def judge(
    *,
    state: State | None = None,
    traffic: Traffic | None = None,
    computers: Traffic | None = None,
    seen: Any = (BY_CONTROLLER,),
    now: Any = NOW,
    **wish: Any,
) -> Quiet:
    return decide(state or read(offering()), traffic or log(), computers or known(), seen, quiet_wish(**wish), now)


def only(decision: Quiet) -> str:
    """The one thing that is missing."""
    assert not decision.quiet
    assert len(decision.missing) == 1, decision.missing
    assert decision.earliest is not None
    return decision.missing[0]


def test_where_nobody_needs_http_it_is_quiet() -> None:
    decision = judge()
    assert decision.quiet
    assert decision.as_dict() == {
        "quiet": True,
        "missing": [],
        "callers": [],
        "not_seen": [],
        "downstream": [],
        "earliest": None,
        "ignored": [],
        "breaks": [],
        "notes": [],
        "since": "2026-11-14T00:00:00Z",
    }


# --- 1: evidence -----------------------------------------------------------------------------------------------------------


def test_a_day_without_evidence_begins_the_days_anew() -> None:
    decision = judge(traffic=log_without("2026-11-16"))
    assert "no evidence of 2026-11-16:" in only(decision)
    assert decision.earliest == parse_time("2026-11-24T00:00:00Z")


def test_days_before_those_and_today_need_none() -> None:
    assert judge(traffic=log_without("2026-11-13", "2026-11-21")).quiet


def test_logs_that_do_not_go_back_so_far_are_said_to() -> None:
    decision = judge(traffic=log_without("2026-11-13", "2026-11-14", "2026-11-15"))
    assert "2026-11-14 to 2026-11-15" in only(decision)
    assert "The log goes back to 2026-11-16: where older ones are deleted on purpose, quiet_days has to be less" in only(decision)
    assert decision.earliest == parse_time("2026-11-23T00:00:00Z")


def test_right_after_midnight_yesterday_can_still_be_written() -> None:
    at = datetime.datetime(2026, 11, 21, 0, 0, 30, tzinfo=datetime.UTC)
    traffic = log(at, days=[day for day in EMPTY["days"] if day < "2026-11-20"])
    decision = judge(traffic=traffic, computers=known(at=at), now=at)
    assert "2026-11-20" in only(decision)
    assert decision.earliest == at


@pytest.mark.parametrize(
    ("differs", "said", "earliest"),
    [
        ({"logged": False}, "does not log now", "2026-11-29T00:00:00Z"),
        ({"missing_fields": ["c-ip"]}, "lack c-ip", "2026-11-21T02:00:00Z"),
        ({"truncated": True}, "the list has not all of them", "2026-11-21T02:00:00Z"),
        ({"days": [], "files": 0, "lines": 0}, "There is no log of these days", "2026-11-28T00:00:00Z"),
        ({"days": [], "lines": 0}, "has no line of these days", "2026-11-28T00:00:00Z"),
        ({"days": [], "unreadable": {"log": FAILURE}}, "cannot be read: Access is denied. Give", "2026-11-21T02:00:00Z"),
    ],
)
def test_what_a_log_cannot_tell_is_missing(differs: dict[str, Any], said: str, earliest: str) -> None:
    decision = judge(traffic=log(**differs))
    assert said in only(decision)
    assert decision.earliest == parse_time(earliest)


def test_clocks_that_tell_other_days_and_what_was_read_too_long_ago() -> None:
    assert "the controller's says 2026-11-21T03:00:01Z" in only(judge(now=NOW + datetime.timedelta(seconds=3601)))
    assert judge(now=NOW - datetime.timedelta(minutes=50)).quiet


def test_reading_for_other_days_is_an_error() -> None:
    with pytest.raises(ValueError, match="read for 8 days"):
        judge(traffic=log(back=7))
    with pytest.raises(ValueError, match="the computers for 0"):
        judge(computers=log())


# --- 2: nobody over HTTP ---------------------------------------------------------------------------------------------------


def test_who_was_served_over_http_is_named_and_begins_the_days_anew() -> None:
    decision = judge(
        traffic=log(callers=[caller(), caller("10.1.0.8", "2026-11-19T23:59:59Z"), caller("10.1.0.9", "2026-11-13T23:59:59Z")]),
        computers=known(computer(7, "2026-11-20T05:00:00Z")),
    )
    assert "10.1.0.8 and 10.1.0.7 (pc7.corp.example); the last one on 2026-11-19T23:59:59Z" in only(decision)
    assert decision.earliest == parse_time("2026-11-27T00:00:00Z")
    assert [one["address"] for one in decision.who["callers"]] == ["10.1.0.8", "10.1.0.7"]
    assert decision.who["callers"][1]["names"] == ["pc7.corp.example"]


def test_who_was_served_today_has_not_moved() -> None:
    decision = judge(traffic=log(callers=[caller(last="2026-11-21T01:00:00Z")]))
    assert "10.1.0.7" in only(decision)
    assert decision.earliest == parse_time("2026-11-29T00:00:00Z")


def test_who_was_not_served_is_told_and_does_not_count() -> None:
    decision = judge(
        traffic=log(
            callers=[
                caller("10.1.0.7", last_served=None, served=0, refused=3),
                caller("10.1.0.8", last_served=None, served=0, probed=1),
            ]
        )
    )
    assert decision.quiet
    assert decision.notes == ("Called over plain HTTP without success: 10.1.0.7.",)


def test_the_server_itself_does_not_count_and_what_it_calls_since_its_restart_breaks() -> None:
    own = caller("::1", own=True, service="ApiRemoting30", agent="-")
    before = caller("10.0.0.5", "2026-11-15T00:00:00Z", own=True, agent="script/1.0")
    found = offering()
    found["computer"]["boot_time"] = "2026-11-16T03:00:00Z"
    decision = judge(state=read(found), traffic=log(callers=[own, before]))
    assert decision.quiet
    assert [(one["address"], one["service"]) for one in decision.breaks] == [("::1", "ApiRemoting30")]


def test_an_address_to_ignore_is_in_the_result_with_its_reason_whether_it_came_or_not() -> None:
    ignore = [{"address": "::ffff:10.1.0.7", "reason": "the scanner"}, {"address": "10.1.0.99", "reason": "gone soon"}]
    decision = judge(traffic=log(callers=[caller(service="ApiRemoting30")]), quiet_ignore=ignore)
    assert decision.quiet
    assert [(one["address"], one["reason"], one["last_served"], one["kinds"]) for one in decision.ignored] == [
        ("10.1.0.7", "the scanner", "2026-11-18T10:00:00Z", ["console"]),
        ("10.1.0.99", "gone soon", None, []),
    ]


def test_an_address_to_ignore_hides_no_computer_that_comes_from_it() -> None:
    ignore = [{"address": "10.1.0.7", "reason": "the scanner"}]
    computers = known(computer(7, "2026-11-18T10:00:00Z"))
    decision = judge(traffic=log(callers=[caller()]), computers=computers, quiet_ignore=ignore)
    assert "10.1.0.7 is an address to ignore (the scanner), but clients were served over plain HTTP there" in only(decision)
    assert "pc7.corp.example" in only(decision)
    assert judge(traffic=log(callers=[caller()]), computers=computers, quiet_ignore=ignore, absent_ignore=["PC7.corp.example."]).quiet
    assert judge(traffic=log(callers=[caller(service="ApiRemoting30")]), computers=computers, quiet_ignore=ignore).quiet


def test_nor_does_the_servers_own_address_but_for_the_server_itself() -> None:
    own = log(callers=[caller("10.0.0.5", own=True)])
    itself = computer(1, "2026-11-18T10:00:00Z", "10.0.0.5", fqdn=FQDN.upper())
    assert judge(traffic=own, computers=known(itself)).quiet
    decision = judge(traffic=own, computers=known(itself, computer(7, "2026-11-18T10:00:00Z", "10.0.0.5")))
    assert "10.0.0.5 is the server's own address, but clients were served over plain HTTP there, and WSUS knows pc7.corp.example" in only(decision)


def test_a_computer_that_is_in_no_log_at_all() -> None:
    computers = known(computer(7, "2026-11-18T10:00:00Z"))
    assert "no client is in the log, neither over HTTP nor over TLS" in only(judge(traffic=log(tls_served=0), computers=computers))
    more = known(*(computer(number, "2026-11-18T10:00:00Z") for number in range(5)))
    decision = judge(computers=more)
    assert decision.quiet
    assert "at 5 addresses in these days, and the log has 3 addresses over TLS" in decision.notes[0]


def test_who_came_today_has_left_something_in_the_log_of_today() -> None:
    computers = known(computer(7, "2026-11-21T00:30:00Z"))
    assert judge(computers=computers).quiet
    assert "WSUS saw pc7.corp.example on 2026-11-21, and the log has no request" in only(
        judge(computers=computers, traffic=log_without("2026-11-21"))
    )


# --- 3: nobody stayed away -------------------------------------------------------------------------------------------------


def test_a_computer_that_stayed_away_is_named_with_its_way_out() -> None:
    decision = judge(
        computers=known(
            computer(1, "2026-11-13T23:59:59Z"),
            computer(2, "2026-11-14T00:00:00Z"),
            computer(3, "2026-09-22T02:00:00Z"),
            computer(4, "2026-09-22T01:59:59Z"),
            computer(5, "0001-01-01T00:00:00Z"),
        )
    )
    assert "pc1.corp.example (last on 2026-11-13) and pc3.corp.example (last on 2026-09-22)" in only(decision)
    assert [(one["name"], one["counts_until"]) for one in decision.who["not_seen"]] == [
        ("pc1.corp.example", "2027-01-12T23:59:59Z"),
        ("pc3.corp.example", "2026-11-21T02:00:00Z"),
    ]
    # It may come over TLS at any time.
    assert decision.earliest == NOW


def test_one_that_is_acknowledged_by_name_or_id_is_in_the_result() -> None:
    computers = known(computer(1, "2026-11-10T00:00:00Z"), computer(2, "2026-11-10T00:00:00Z", fqdn=""))
    decision = judge(computers=computers, absent_ignore=["pc1.CORP.example.", "ID-2"])
    assert decision.quiet
    assert {one["name"] for one in decision.ignored} == {"pc1.corp.example", "id-2"}
    assert not judge(computers=computers, absent_ignore=["pc1", "id-2"]).quiet


def test_who_came_too_lately_for_the_log_is_waited_for() -> None:
    decision = judge(computers=known(computer(1, "2026-11-21T01:58:01Z")))
    assert "so lately" in only(decision)
    assert decision.only_late
    assert decision.earliest == parse_time("2026-11-21T02:00:01Z")
    later = NOW + datetime.timedelta(minutes=2)
    assert judge(computers=known(computer(1, "2026-11-21T01:58:01Z")), traffic=log(later), now=later).quiet


def test_who_came_while_wsus_was_asked_is_on_no_list_and_waited_for_too() -> None:
    computers = read_traffic({**EMPTY, "since": format_time(NOW), "computers": {"seen": 2, "absent": []}}, 0)
    decision = judge(computers=computers)
    assert "2 computers that came while WSUS was asked" in only(decision)
    assert decision.only_late
    later = NOW + datetime.timedelta(minutes=2)
    assert judge(computers=computers, traffic=log(later), now=later).quiet


def test_an_api_that_does_not_answer() -> None:
    document = {**EMPTY, "since": format_time(NOW), "computers": None, "unreadable": {"computers": FAILURE}}
    assert "its API does not answer (Access is denied.)" in only(judge(computers=read_traffic(document, 0)))


# --- 4: downstream servers -------------------------------------------------------------------------------------------------


def test_a_downstream_server_that_has_not_moved() -> None:
    found = offering()
    listed = {"id": "00000000-0000-0000-0000-000000000007", "fqdn": "wsus11.corp.example", "replica": True, "last_sync": "2026-11-20T03:00:00Z"}
    found["wsus"]["downstream_servers"] = [listed]
    decision = judge(state=read(found))
    assert "wsus11.corp.example (last synchronized 2026-11-20T03:00:00Z; its own state is not known)" in only(decision)
    assert [one["name"] for one in decision.who["downstream"]] == ["wsus11.corp.example"]
    assert judge(state=read(found), downstream=RequireWish(ignore_downstream=("WSUS11.corp.example",))).quiet
    assert judge(state=read(found), downstream=RequireWish(ignore_downstream=True)).quiet


def test_an_api_that_did_not_answer_for_the_state() -> None:
    state = read(offering())
    state["api"] = None
    state["unreadable"]["api"] = FAILURE  # type: ignore[typeddict-item]
    assert "Which downstream servers there are is not known" in only(judge(state=state))


# --- 5: what is seen at the server's name ----------------------------------------------------------------------------------


def test_a_load_balancer_refuses_it_now_as_well() -> None:
    other = SeenCertificate("the controller", f"{FQDN}:8531", "AB" * 20)
    decision = judge(seen=(other, SeenCertificate("the server itself", f"{FQDN}:8531", BOUND)))
    assert f"the controller sees {'AB' * 20} at {FQDN}:8531" in only(decision)
    assert "load balancer" in only(decision)
    assert decision.refused == only(decision) == other_certificate(read(offering()), [other])
    assert other_certificate(read(offering()), [BY_CONTROLLER]) is None


def test_an_older_certificate_of_the_servers_own_is_told_apart() -> None:
    found = offering()
    thumbprint = issued("longer").thumbprint
    found["certificates"]["My"][thumbprint] = bind(document(), "longer")["certificates"]["My"][thumbprint]
    sentence = other_certificate(read(found), [SeenCertificate("the controller", f"{FQDN}:8531", thumbprint)])
    assert sentence
    assert "an older one of its own store" in sentence


def test_where_nothing_was_seen_it_is_not_quiet_and_not_refused() -> None:
    silent = SeenCertificate("the controller", f"{FQDN}:8531", None, "no answer within 5 s")
    decision = judge(seen=(silent,))
    assert only(decision).endswith("is not known (the controller: no answer within 5 s).")
    assert decision.refused is None
    assert "nobody looked" in only(judge(seen=()))
    assert "No certificate is bound" in judge(state=read(document())).missing[-1]


def test_what_the_server_and_the_controller_see() -> None:
    der = issued("good").der_base64
    assert seen_by_the_server(read(offering())) is None
    assert seen_by_the_server(looked(read(offering()), FQDN, certificates=[der])) == SeenCertificate("the server itself", f"{FQDN}:8531", BOUND)
    unreached = looked(read(offering()), FQDN, reachable=False, error=FAILURE)
    assert seen_by_the_server(unreached) == SeenCertificate("the server itself", f"{FQDN}:8531", None, "Access is denied.")
    survey = Survey(FQDN, "10.0.0.5", 8531, 8530, certificate={"thumbprint": BOUND.lower()})
    assert seen_by_the_controller(survey) == BY_CONTROLLER
    assert seen_by_the_controller(Survey(FQDN, "10.0.0.5", 8531, 8530, https_problem="refused")).problem == "refused"


# --- settings --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"quiet_days": 0}, "quiet_days is 0; it may be 1 to 3650"),
        ({"quiet_days": -1}, "quiet_days is -1"),
        ({"quiet_days": 10**9}, "quiet_days is 1000000000"),
        ({"quiet_days": 7, "absent_days": 7}, r"absent_days is 7; it has to be more than quiet_days \(7\)"),
        ({"absent_days": 10**9}, "at most 3650"),
        ({"quiet_ignore": [{"address": "10.1.0.0/24", "reason": "all"}]}, "no single IP address"),
        ({"quiet_ignore": [{"address": "pc1.corp.example", "reason": "x"}]}, "no single IP address"),
        ({"quiet_ignore": [{"address": "10.1.0.7", "reason": " "}]}, "gives no reason for 10.1.0.7"),
        ({"quiet_ignore": [{"address": "10.1.0.7"}]}, "has an address and a reason"),
        ({"quiet_ignore": ["10.1.0.7"]}, "has an address and a reason"),
        ({"quiet_ignore": [{"address": "10.1.0.7", "reason": "a"}, {"address": "::ffff:10.1.0.7", "reason": "b"}]}, "10.1.0.7 twice"),
        ({"absent_ignore": [" "]}, "an empty name"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(Refusal, match=said):
        quiet_wish(**settings)


def test_everything_that_is_missing_is_said_at_once() -> None:
    decision = judge(
        traffic=log_without("2026-11-16", callers=[caller(f"10.2.0.{number}") for number in range(20)]),
        computers=known(computer(1, "2026-11-10T00:00:00Z")),
        seen=(),
    )
    assert len(decision.missing) == 4
    assert "and 10 more" in decision.missing[1]
    assert len(decision.who["callers"]) == 20
    assert decision.earliest == parse_time("2026-11-26T00:00:00Z")
