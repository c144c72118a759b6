# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The lab's time goes forward, and its clients do in it what they do by themselves, in order."""

from __future__ import annotations

import base64
import itertools
import socket
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from tests.lab.clock import Clock, Event, Schedule
from tests.lab.engine import apply_changes, read_group_policies, read_state
from tests.lab.fleet import Client
from tests.lab.lab import Lab

from .conftest import Controller, LabMaker

HTTP, HTTPS = "http://wsus01.corp.example:8530", "https://wsus01.corp.example:8531"
BEGIN = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY = timedelta(days=1)

days = st.lists(st.floats(0, 20), max_size=4, unique=True).map(sorted)
absences = days.map(lambda found: tuple(zip(found[::2], found[1::2], strict=False)))
clients = st.lists(
    st.builds(
        Client,
        name=st.sampled_from(["pc1", "pc2", "pc3", "pc4"]),
        searches=st.one_of(st.none(), st.floats(0.5, 48)),
        away=absences,
        domain_member=st.booleans(),
    ),
    unique_by=lambda client: client.name,
)


def events(schedule: Schedule, days: float) -> list[Event]:
    found = []
    while (event := schedule.next(BEGIN + days * DAY)) is not None:
        found.append(event)
    return found


@given(clients, st.floats(0, 15), st.floats(0, 15))
def test_events_come_in_order_however_often_the_time_is_asked_for(given_clients: list[Client], first: float, more: float) -> None:
    schedule, again = Schedule(given_clients, BEGIN), Schedule(given_clients, BEGIN)
    found = events(schedule, first) + events(schedule, first + more)
    assert found == sorted(found)
    assert [(one.when, one.what, one.client) for one in found] == [(one.when, one.what, one.client) for one in events(again, first + more)]
    for client in given_clients:
        mine = [one for one in found if one.client == client.name]
        assert client.domain_member or not [one for one in mine if one.what == "refresh"]
        assert client.searches or not [one for one in mine if one.what == "search"]
        there = [one.when for one in mine if one.what == "search" and not schedule.is_away(client.name, one.when)]
        if client.searches and not client.away:
            hours = timedelta(hours=client.searches)
            assert all(abs(later - earlier - hours) < timedelta(seconds=1) for earlier, later in itertools.pairwise(there))
            assert len(there) >= int((first + more) * 24 / client.searches) - 1


def test_what_is_missed_while_away_is_made_up_for_when_back() -> None:
    schedule = Schedule([Client(name="pc", searches=24, away=((2, 9.5),))], BEGIN)
    found = events(schedule, 12)
    served = [one.when for one in found if one.what == "search" and not schedule.is_away("pc", one.when)]
    assert [when for when in served if BEGIN + 9.5 * DAY <= when < BEGIN + 10 * DAY] == [BEGIN + 9.5 * DAY + timedelta(minutes=5)]
    assert [one.what for one in found if one.what in {"leave", "return"}] == ["leave", "return"]
    refreshed = [one.when for one in found if one.what == "refresh"]
    assert all(timedelta(minutes=90) <= later - earlier <= timedelta(minutes=120) for earlier, later in itertools.pairwise(refreshed))


def test_the_clock_never_goes_back() -> None:
    clock = Clock(5 * DAY)
    clock.set_forward(datetime.now(UTC))
    assert clock.ahead == 5 * DAY
    clock.set_forward(datetime.now(UTC) + 6 * DAY)
    assert abs(datetime.now(UTC) + 6 * DAY - clock.now()) < timedelta(seconds=5)


def fleet(**client: Any) -> dict[str, Any]:
    return {
        "servers": {"wsus01": {"stage": "offered"}},
        "clients": {"pc[1:3]": {"searches": 22}, "laptop": {"searches": 22, **client}},
        "group_policies": {"WSUS clients": {"url": HTTP}},
    }


def move(lab: Lab) -> None:
    """The policy says https from now on."""
    (policy,) = read_group_policies(lab.machine("wsus01"), [{"name": "WSUS clients"}])
    change = {"kind": "group_policy", "guid": policy["guid"], "domain": None, "server": None, "key": policy["values"][0]["key"], "type": "String"}
    assert apply_changes(lab.machine("wsus01"), [{**change, "values": {"WUServer": HTTPS, "WUStatusServer": HTTPS}}])["failed"] is None


def test_clients_search_and_hear_of_the_new_url_as_time_goes_by(make_lab: LabMaker) -> None:
    lab = make_lab(fleet(away=[[1, 6]]))
    begin = lab.clock.now()
    lab.advance(24)
    assert {one.client for one in lab.searches} == {"pc1", "pc2", "pc3", "laptop"}
    assert not [one for one in lab.searches if one.tls or not one.succeeded]
    move(lab)
    seen = len(lab.searches)
    lab.advance(3)  # every one that is there has refreshed by now
    lab.advance(until=begin + 5 * DAY)
    later = [one for one in lab.searches[seen:] if one.when > begin + timedelta(hours=27)]
    assert {one.client for one in later} == {"pc1", "pc2", "pc3"}
    assert all(one.tls and one.succeeded for one in later)
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((lab.address("laptop"), lab.fleet.winrm_port), 5)
    # The laptop comes back and searches before it has heard.
    lab.advance(until=begin + 6.5 * DAY)
    mine = [(one.tls, one.succeeded) for one in lab.searches if one.client == "laptop" and one.when > begin + DAY]
    assert mine[0] in {(False, True), (True, True)}
    assert Controller(lab, "laptop").module("ansible.windows.win_ping")["ping"] == "pong"
    lab.advance(48)
    assert [one.tls for one in lab.searches if one.client == "laptop"][-1]
    assert [one.when for one in lab.searches] == sorted(one.when for one in lab.searches)
    assert len(lab.logs("wsus01")) >= 8


def test_everything_in_the_lab_has_its_time(make_lab: LabMaker) -> None:
    lab = make_lab({"servers": {"wsus01": {"certificate": {"days": 20}}}, "ca": {}}, ahead=timedelta(days=100))
    machine = lab.machine("wsus01")
    wish = {
        "kind": "certificate_enroll",
        "subject": "CN=wsus01.corp.example",
        "friendly_name": "WSUS",
        "dns_names": ["wsus01.corp.example"],
        "key_algorithm": "ECDSA_P256",
        "key_length": 256,
        "mark": None,
        "authority": None,
        "template": "WebServer",
    }
    (own,) = [one for one in read_state(machine)["certificates"] if one["store"] == "My"]
    days_left(lab, own["der"], 20)
    lab.advance(24)
    days_left(lab, own["der"], 19)
    assert apply_changes(machine, [wish])["failed"] is None
    new = next(one for one in read_state(machine)["certificates"] if one["store"] == "My" and one["der"] != own["der"])
    days_left(lab, new["der"], 365)
    assert machine.now() - lab.clock.now() < timedelta(seconds=5)


def days_left(lab: Lab, der: str, days: int) -> None:
    """A certificate is valid for so many days from the lab's now on, and at the real time as well: TLS libraries have no other."""
    certificate = x509.load_der_x509_certificate(base64.b64decode(der))
    assert abs((certificate.not_valid_after_utc - lab.clock.now()) / DAY - days) < 0.1
    assert certificate.not_valid_before_utc <= datetime.now(UTC)
