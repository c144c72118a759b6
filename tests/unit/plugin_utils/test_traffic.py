"""Who still comes over HTTP, from the server's document: grouped, named, cleaned; and everything that cannot be known, said."""

from __future__ import annotations

import copy
import datetime
import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.securepatch.wsus.plugins.plugin_utils.traffic import (
    MOST_NAMES,
    NotTraffic,
    Traffic,
    address_key,
    as_info,
    computers_at,
    dates,
    host_name,
    plain,
    read_traffic,
    without_name,
)
from hypothesis import given
from hypothesis import strategies as st

RECORDED = Path(__file__).parents[2] / "recorded" / "clients"


def recorded(case: str = "traffic") -> dict[str, Any]:
    """The document of a recorded case, read for 7 days on 2026-11-21 at 2."""
    found: dict[str, Any] = json.loads((RECORDED / f"{case}.json").read_text(encoding="utf-8"))["before"]["traffic"]
    return found


def changed(**differs: Any) -> Traffic:
    return read_traffic({**recorded(), **differs}, 7)


def info(document: dict[str, Any], known: Any = None, dns: Any = None) -> dict[str, Any]:
    traffic = read_traffic(document, 7)
    return as_info(traffic, computers_at(traffic.computers) if known is None else known, dns or {})


def caller(address: str = "10.1.0.7", **differs: Any) -> dict[str, Any]:
    """A caller as the document has it."""
    last = "2026-11-20T01:00:00Z"
    well = {"address": address, "service": "ClientWebService", "agent": "-", "own": False, "last": last, "last_served": last}
    return {**well, "served": 1, "refused": 0, "failed": 0, "probed": 0, **differs}


def test_what_was_recorded_is_told_by_address() -> None:
    told = info(recorded())
    by_address = {one["address"]: one for one in told["callers"]}
    assert len(by_address) == len(told["callers"]) == 8
    assert by_address["10.1.0.7"]["services"] == ["ClientWebService", "SimpleAuthWebService"]
    assert by_address["10.1.0.7"]["served"] == 2
    assert by_address["10.1.0.7"]["last_served"] == "2026-11-19T08:00:01Z"
    assert by_address["10.1.0.8"]["last"] == "2026-11-20T04:00:00Z"
    assert by_address["10.1.0.8"]["last_served"] == "2026-11-20T01:02:00Z"
    assert by_address["10.1.0.9"]["refused"] == 1
    assert {address: one["kinds"] for address, one in by_address.items()} == {
        "10.1.0.7": ["client"],
        "fe80::12": ["client"],
        "10.1.0.8": ["client"],
        "10.1.0.9": ["client"],
        "10.2.0.5": ["downstream_server"],
        "::1": ["this_server"],
        "fe80::5%11": ["this_server"],
        "10.9.0.1": ["probe"],
    }
    assert told["served_over_http"] == 4
    assert told["tls"] == {"served": 1, "only_failed": 1, "only_failed_addresses": ["10.1.0.20"]}
    assert told["days_with_evidence"] == ["2026-11-19", "2026-11-20"]
    assert told["days_without"] == ["2026-11-15", "2026-11-16", "2026-11-17", "2026-11-18"]
    assert [one["name"] for one in told["computers"]["not_seen"]] == ["pc3.corp.example"]
    assert (told["since"], told["until"]) == ("2026-11-14T02:00:00Z", "2026-11-21T02:00:00Z")
    assert len(told["not_known"]) == 1
    assert "2026-11-15 to 2026-11-18" in told["not_known"][0]


def test_today_and_a_day_that_was_read_in_part_are_no_whole_days() -> None:
    assert changed().whole_days()[0] == datetime.date(2026, 11, 15)
    assert changed().whole_days()[-1] == datetime.date(2026, 11, 20)
    assert changed(since="2026-11-14T00:00:00Z").whole_days()[0] == datetime.date(2026, 11, 14)
    assert read_traffic(recorded(), 0).whole_days() == []


def test_a_console_and_one_that_is_two_things() -> None:
    told = info(
        {
            **recorded(),
            "callers": [caller(service="ApiRemoting30"), caller(service="ServerSyncWebService"), caller("10.1.0.8", service="APIREMOTING30")],
        }
    )
    assert sorted(one["kinds"] for one in told["callers"]) == [["console"], ["downstream_server", "console"]]


def test_addresses_are_one_however_they_are_written() -> None:
    assert address_key("::FFFF:10.0.0.7") == address_key(" 10.0.0.7 ") == "10.0.0.7"
    assert address_key("FE80:0::12") == "fe80::12"
    assert address_key("fe80::5%11") != address_key("fe80::5%12")
    assert address_key("Not an address") == "not an address"
    document = {**recorded(), "callers": [caller("::ffff:10.1.0.7"), caller("10.1.0.7", service="SimpleAuthWebService")]}
    assert [one["address"] for one in info(document)["callers"]] == ["10.1.0.7"]


# --- names ---------------------------------------------------------------------------------------------------------------


def test_a_name_is_that_of_the_computer_last_seen_there_else_of_dns() -> None:
    known = recorded()
    known["computers"]["absent"] = [
        {"id": "1", "fqdn": "old.corp.example", "address": "10.1.0.7", "last_sync": "2026-10-01T00:00:00Z"},
        {"id": "2", "fqdn": "New.corp.example.", "address": "::ffff:10.1.0.7", "last_sync": "2026-11-20T00:00:00Z"},
        {"id": "3", "fqdn": "", "address": "10.1.0.8", "last_sync": "2026-11-20T00:00:00Z"},
    ]
    at = computers_at(read_traffic(known, 0).computers)
    told = {one["address"]: one for one in info(recorded(), at, {"10.1.0.9": ("pc9.corp.example",), "10.1.0.7": ("dns.corp.example",)})["callers"]}
    assert (told["10.1.0.7"]["name"], told["10.1.0.7"]["names"]) == ("new.corp.example", ["new.corp.example", "old.corp.example"])
    assert told["10.1.0.7"]["name_from"] == "wsus"
    assert told["10.1.0.8"]["name"] == "3"
    assert (told["10.1.0.9"]["name"], told["10.1.0.9"]["name_from"]) == ("pc9.corp.example", "dns")
    assert (told["10.9.0.1"]["name"], told["10.9.0.1"]["name_from"]) == (None, None)


def test_those_without_a_name_are_asked_for_the_last_served_first_and_the_server_itself_never() -> None:
    traffic = read_traffic(recorded(), 7)
    assert without_name(traffic, {}) == ["10.2.0.5", "10.1.0.8", "fe80::12", "10.1.0.7", "10.9.0.1", "10.1.0.9"]
    assert "10.1.0.8" not in without_name(traffic, {"10.1.0.8": []})


def test_an_address_with_a_thousand_names_or_with_markup_for_one() -> None:
    dns = {
        "10.1.0.7": tuple(f"pc{number}.corp.example" for number in range(1000)),
        "10.1.0.8": ("<script>alert(1)</script>", "{{ lookup('pipe', 'id') }}"),
    }
    told = {one["address"]: one for one in info(recorded(), {}, dns)["callers"]}
    assert len(told["10.1.0.7"]["names"]) == MOST_NAMES
    assert told["10.1.0.7"]["more_names"] == 1000 - MOST_NAMES
    assert told["10.1.0.8"]["name"] is None


@pytest.mark.parametrize("name", ["", "a" * 64, "a." * 127 + "a", "pc 1", "<b>", "pc1\n", "pc1..x", "é.example", "x" * 300])
def test_what_is_no_host_name_is_none(name: str) -> None:
    assert host_name(name) in (None, "pc1")


@given(st.text(max_size=400), st.sampled_from(["name", "agent", "address", "message"]))
def test_text_from_outside_is_one_short_line_without_control_characters(text: str, what: str) -> None:
    cleaned = plain(text, what)
    assert cleaned.isprintable()
    assert len(cleaned) <= 500
    assert plain(cleaned, what) == cleaned


def test_what_would_turn_a_terminal_or_a_line_around_is_taken_out() -> None:
    assert plain("pc1\x1b[31m\u202e\ud800\x00 a\r\nb") == "pc1[31m a b"
    assert len(plain("x" * 1000)) == 255
    agent = info({**recorded(), "callers": [caller(agent="\x1b]0;x\x07" + "y" * 900)]})["callers"][0]["agents"][0]
    assert agent.startswith("]0;x")
    assert len(agent) == 200


# --- what cannot be known ------------------------------------------------------------------------------------------------

FAILURE = {"message": "Access to the path is denied.", "id": None, "type": "x", "hresult": "0x80070005", "native": 5}


@pytest.mark.parametrize(
    ("differs", "said"),
    [
        ({"logged": False}, "The site does not log now"),
        ({"missing_fields": ["s-port", "c-ip"]}, "Lines of the log lack s-port, c-ip"),
        ({"truncated": True}, "More addresses came over HTTP than are kept"),
        ({"files": 0, "lines": 0, "days": []}, "There is no log of these days in"),
        ({"lines": 0, "days": []}, "has no line of these days"),
        ({"unreadable": {"log": FAILURE}, "days": []}, "cannot be read: Access to the path is denied. Give"),
        ({"computers": None, "unreadable": {"computers": FAILURE}}, "its API does not answer (Access to the path is denied.)"),
        ({"computers": None}, "its API does not answer (it gave no reason)"),
    ],
)
def test_what_cannot_be_known_is_said(differs: dict[str, Any], said: str) -> None:
    found = changed(**differs).not_known()
    assert [sentence for sentence in found if said in sentence], found
    assert len(found) == 1


def test_a_folder_that_is_not_there() -> None:
    told = info(recorded("traffic_no_folder"))
    assert told["callers"] == []
    assert len(told["days_without"]) == 6
    assert told["not_known"] and "There is no log of these days" in told["not_known"][0]


@pytest.mark.parametrize("document", [None, {}, [], {"since": "yesterday"}, {**recorded(), "callers": None}, {**recorded(), "days": None}])
def test_what_is_no_document_is_refused(document: Any) -> None:
    with pytest.raises(NotTraffic, match="what the server told of its traffic cannot be read"):
        read_traffic(document, 7)


def test_a_damaged_line_is_as_late_as_can_be() -> None:
    document = copy.deepcopy(recorded())
    document["callers"] = [caller(last="aaaaaaaaaaTbbbbbbbbZ", last_served="aaaaaaaaaaTbbbbbbbbZ")]
    document["days"] = ["2026-11-20", "aaaaaaaaaa"]
    traffic = read_traffic(document, 7)
    assert traffic.callers[0].last_served == traffic.read
    assert traffic.days == {datetime.date(2026, 11, 20)}


def test_days_are_told_as_spans() -> None:
    days = [datetime.date(2026, 11, day) for day in (20, 14, 15, 17)]
    assert dates(days) == "2026-11-14 to 2026-11-15, 2026-11-17, 2026-11-20"
    assert dates([]) == ""
