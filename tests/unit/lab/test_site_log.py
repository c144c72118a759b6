# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the lab's sites write into their logs about whom they answered, and that the collection's reading of logs finds it there."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from tests.lab.engine import apply_changes, read_state, read_traffic
from tests.lab.lab import Lab
from tests.lab.site_log import Line, SiteLog

from .conftest import LabMaker

FLEET: dict[str, Any] = {
    "servers": {"wsus01": {"stage": "offered"}},
    "clients": {
        "old": {"domain_member": False, "told": "http://wsus01.corp.example:8530"},
        "new": {"domain_member": False, "told": "https://wsus01.corp.example:8531"},
        "lost": {"domain_member": False, "told": "https://wsus01.corp.example:8531", "trusts_ca": False},
    },
}
FIELDS = 15


def lines(lab: Lab, server: str = "wsus01") -> list[list[str]]:
    """The fields of every line, without the date and the time."""
    found = [line for text in lab.logs(server).values() for line in text.splitlines() if not line.startswith("#")]
    assert all(len(line.split(" ")) == FIELDS for line in found)
    return [line.split(" ")[2:] for line in found]


def short(lab: Lab, server: str = "wsus01") -> list[tuple[str, ...]]:
    """Method, page, port, caller, status and substatus of every line."""
    return [(one[1], one[2], one[4], one[6], one[9], one[10]) for one in lines(lab, server)]


def seen(lab: Lab, name: str) -> str:
    return f"10.{lab.address(name)[4:]}"


def get(lab: Lab, path: str, server: str = "wsus01") -> int:
    connection = http.client.HTTPConnection(lab.address(server), 8530, timeout=5)
    connection.request("GET", path, headers={"User-Agent": "a probe/1.0"})
    status = connection.getresponse().status
    connection.close()
    return status


def test_a_search_is_in_the_log_with_the_clients_own_address(make_lab: LabMaker) -> None:
    lab = make_lab(FLEET)
    assert [lab.search(name).succeeded for name in ("old", "new", "lost")] == [True, True, False]
    calls = [("POST", f"/{one}") for one in ("SimpleAuthWebService/SimpleAuth.asmx", "ClientWebService/client.asmx")]
    calls += [("POST", "/ReportingWebService/ReportingWebService.asmx")]
    content = ("GET", "/Content/anonymousCheckFile.txt")
    assert short(lab) == [
        *((*call, "8530", seen(lab, "old"), "200", "0") for call in [*calls, content]),
        *((*call, "8531", seen(lab, "new"), "200", "0") for call in calls),
        (*content, "8530", seen(lab, "new"), "200", "0"),
    ]
    first = lines(lab)[0]
    assert (first[0], first[3], first[5], first[7], first[8]) == (
        seen(lab, "wsus01"),
        "-",
        "-",
        "Windows-Update-Agent/10.0.10011.16384+Client-Protocol/2.71",
        "-",
    )
    ((path, text),) = lab.logs("wsus01").items()
    assert path == f"C:\\inetpub\\logs\\LogFiles\\W3SVC1634923\\u_ex{datetime.now(UTC):%y%m%d}.log"
    assert text.startswith("#Software: Microsoft Internet Information Services 10.0\r\n#Version: 1.0\r\n#Date: ")
    assert text.endswith("\r\n")


def test_what_is_read_from_the_logs_is_who_came(make_lab: LabMaker) -> None:
    lab = make_lab(FLEET)
    for name in ("old", "new", "lost"):
        lab.search(name)
    assert get(lab, "/ClientWebService/client.asmx?wsdl") == 200
    failed = apply_changes(lab.machine("wsus01"), [{"kind": "access", "application": "ClientWebService", "ssl_flags": ["Ssl"]}])["failed"]
    assert failed is None
    assert lab.search("old").code == "0x80244018"
    found = read_traffic(lab.machine("wsus01"), 7, 60)
    assert found["folder"] == "C:\\inetpub\\logs\\LogFiles\\W3SVC1634923"
    assert found["days"] == [f"{datetime.now(UTC):%Y-%m-%d}"]
    assert (found["tls_served"], found["tls_failed"], found["computers"]["seen"], found["missing_fields"]) == (2, [], 2, [])
    callers = {(one["address"], one["service"]): one for one in found["callers"]}
    mine = callers[seen(lab, "old"), "ClientWebService"]
    assert (mine["served"], mine["refused"], mine["own"]) == (1, 1, False)
    assert mine["agent"] == "Windows-Update-Agent/10.0.10011.16384 Client-Protocol/2.71"
    assert callers[seen(lab, "old"), "SimpleAuthWebService"]["served"] == 2
    assert callers["10.0.0.1", "ClientWebService"]["probed"] == 1
    assert not [one for one in callers if one[0] in {seen(lab, "new"), seen(lab, "lost")}]
    assert [one for one in lines(lab) if one[3] == "wsdl"]


def test_the_servers_own_calls_are_there_over_http_until_it_was_told_to_use_tls(make_lab: LabMaker) -> None:
    lab = make_lab({"servers": {"wsus01": {}, "wsus02": {"stage": "offered"}}})
    for name, port in (("wsus01", "8530"), ("wsus02", "8531")):
        read_state(lab.machine(name))
        page = ("POST", "/ApiRemoting30/WebService.asmx", port, "127.0.0.1")
        assert short(lab, name) == [(*page, "401", "2"), (*page, "200", "0")]
    (own,) = read_traffic(lab.machine("wsus01"), 1, 60)["callers"]
    assert (own["own"], own["served"] > 0) == (True, True)


def test_a_downstream_server_is_there_with_its_own_address(make_lab: LabMaker) -> None:
    lab = make_lab({"servers": {"wsus01": {}, "wsus02": {"upstream": "wsus01"}}, "synchronization_seconds": 0})
    apply_changes(lab.machine("wsus02"), [{"kind": "start_synchronization"}])
    until = time.monotonic() + 20
    while len(short(lab)) < 2 and time.monotonic() < until:
        time.sleep(0.02)
    assert short(lab) == [
        ("POST", f"/{name}/{name}.asmx", "8530", seen(lab, "wsus02"), "200", "0") for name in ("ServerSyncWebService", "DssAuthWebService")
    ]


def test_what_does_not_come_to_iis_is_in_no_log(make_lab: LabMaker) -> None:
    lab = make_lab(FLEET)
    lab.search("lost")
    with socket.create_connection((lab.address("wsus01"), 8531), 5) as plain, pytest.raises(ssl.SSLError):
        ssl.create_default_context().wrap_socket(plain, server_hostname="wsus01.corp.example")
    with lab.edit("wsus01") as document:
        document["iis"]["application_pools"]["WsusPool"]["state"] = "Stopped"
    assert get(lab, "/ClientWebService/client.asmx") == 503
    assert lines(lab) == []
    with lab.edit("wsus01") as document:
        document["iis"]["application_pools"]["WsusPool"]["state"] = "Started"
        document["services"]["WsusService"] = "Stopped"
    assert get(lab, "/ClientWebService/client.asmx") == 503
    assert [one[4:] for one in short(lab)] == [("503", "0")]
    with lab.edit("wsus01") as document:
        document["iis"]["sites"][0]["log"] = {"enabled": False}
    assert get(lab, "/ClientWebService/client.asmx") == 503
    assert len(lines(lab)) == 1


def test_a_log_can_be_late_as_that_of_iis_is(make_lab: LabMaker) -> None:
    lab = make_lab({"servers": {"wsus01": {"log_seconds": 3600}}})
    assert get(lab, "/") == 200
    assert lab.logs("wsus01") == {}
    lab.machine("wsus01").site_log.late = timedelta()
    assert [one[0] for one in short(lab)] == ["GET"]


def test_there_is_one_file_for_each_day_and_what_is_purged_is_gone() -> None:
    log = SiteLog()
    begin = datetime(2026, 12, 30, 23, 59, 59, tzinfo=UTC)
    for day in range(3):
        log.add(Line("C:\\W3SVC1", begin + timedelta(days=day), "10.0.0.1", "GET", "/", 8530, "10.0.0.2", None, 200))
    assert len(log.files(begin)) == 1
    files = log.files(begin + timedelta(days=9))
    assert list(files) == [f"C:\\W3SVC1\\u_ex{name}.log" for name in ("261230", "261231", "270101")]
    assert [text.count("#Fields:") for text in files.values()] == [1, 1, 1]
    assert "2026-12-30 23:59:59 10.0.0.1 GET / - 8530 - 10.0.0.2 - - 200 0 0 0\r\n" in files["C:\\W3SVC1\\u_ex261230.log"]
    log.purge(date(2027, 1, 1))
    assert list(log.files(begin + timedelta(days=9))) == ["C:\\W3SVC1\\u_ex270101.log"]
