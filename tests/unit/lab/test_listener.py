# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The lab's WinRM, by the real client: modules, raw commands, and connections that go wrong."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from winrm.exceptions import InvalidCredentialsError

from tests.lab.lab import Lab, LabError
from tests.lab.machine import parse_time

from .conftest import Controller, LabMaker, own_network

TWO: dict[str, Any] = {"restart_seconds": 0.3, "synchronization_seconds": 0.05, "servers": {"up": {}, "down": {"upstream": "up"}}}
STATE, CHANGE, PING = "securepatch.wsus.wsus_state", "securepatch.wsus.wsus_change", "ansible.windows.win_ping"


def marks(*names: str) -> list[dict[str, Any]]:
    return [{"kind": "registry", "path": r"HKLM:\SOFTWARE\securepatch.wsus", "name": name, "type": "String", "data": "x"} for name in names]


def marked(lab: Lab, server: str = "up") -> list[str]:
    return sorted(lab.machine(server).document["registry"].get(r"HKLM:\SOFTWARE\securepatch.wsus", {}))


def eventually(true: Callable[[], Any], seconds: float = 5) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "it did not come true"
        time.sleep(0.02)


def reached(lab: Lab, server: str) -> bool:
    try:
        return bool(Controller(lab, server).module(PING)["ping"] == "pong")
    except requests.ConnectionError:
        return False


class TestModules:
    def test_each_answers_with_what_it_was_given(self, make_lab: LabMaker) -> None:
        controller = Controller(make_lab(TWO), "up")
        assert controller.module(PING) == {"changed": False, "ping": "pong", "invocation": {"module_args": {"data": "pong"}}}
        assert controller.module("win_ping", data="x")["ping"] == "x"
        seen = controller.module(STATE, endpoints=[{"host_name": "UP.corp.example", "port": "8530", "tls": "no"}], thumbprints=["AB"])
        assert seen["state"]["computer"]["fqdn"] == "up.corp.example"
        assert seen["trust"] == {"AB": []}
        assert seen["endpoints"][0]["reachable"]
        assert seen["invocation"]["module_args"]["endpoints"] == [{"host_name": "UP.corp.example", "port": 8530, "tls": False}]
        assert controller.module("securepatch.wsus.wsus_client_state")["update_client"]["policy"] == {}
        assert "traffic" in controller.module("securepatch.wsus.wsus_traffic", days=1, absent_days=2)

    def test_changes_are_applied_and_told(self, make_lab: LabMaker) -> None:
        lab = make_lab(TWO)
        done = Controller(lab, "up").module(CHANGE, changes=marks("one", "two"))
        assert (done["changed"], done["applied"], done["output"]) == (True, 2, [])
        assert done["state"]["marks"] == {"one": "x", "two": "x"}
        assert lab.trips[-1].changes == ["registry", "registry"]

    def test_a_change_that_fails_is_a_failure_with_what_was_done(self, make_lab: LabMaker) -> None:
        lab = make_lab(TWO)
        lab.arm("up", changes={r"set HKLM:\SOFTWARE\securepatch.wsus two": "Access is denied."})
        done = Controller(lab, "up").module(CHANGE, changes=marks("one", "two", "three"))
        assert (done["failed"], done["msg"], done["applied"], done["failure"]["change"]) == (True, "Access is denied.", 1, 1)
        assert done["state"]["marks"] == {"one": "x"}
        lab.heal()
        assert Controller(lab, "up").module(CHANGE, changes=marks("two"))["changed"]

    def test_a_module_that_does_not_support_check_mode_is_skipped(self, make_lab: LabMaker) -> None:
        lab = make_lab(TWO)
        assert Controller(lab, "up").module(CHANGE, check_mode=True, changes=marks("one"))["skipped"]
        assert marked(lab) == []

    @pytest.mark.parametrize(
        ("name", "arguments", "message"),
        [
            (CHANGE, {}, "missing required arguments: changes"),
            (STATE, {"nonsense": 1}, r"Unsupported parameters for \(wsus_state\) module: nonsense.*endpoints, look_at_upstream, .*thumbprints"),
            (STATE, {"endpoints": [{"port": 1}]}, "missing required arguments: host_name found in endpoints"),
            (STATE, {"endpoints": [{"host_name": "x", "port": "y"}]}, "argument for port is of type str"),
            ("ansible.windows.win_shell", {"_raw_params": "whoami"}, "does not serve the module ansible.windows.win_shell"),
            ("other.collection.wsus_state", {}, "does not serve the module other.collection.wsus_state"),
        ],
    )
    def test_what_is_wrong_is_refused_by_name(self, make_lab: LabMaker, name: str, arguments: dict[str, Any], message: str) -> None:
        result = Controller(make_lab(TWO), "up").module(name, **arguments)
        assert result["failed"]
        assert re.search(message, result["msg"])

    def test_what_is_no_module_is_refused(self, make_lab: LabMaker) -> None:
        stdout, _rest, code = Controller(make_lab(TWO), "up").run("anything", b"no module at all")
        assert code == 1
        assert "NUL" in json.loads(stdout)["msg"]

    def test_output_that_takes_long_is_waited_for(self, make_lab: LabMaker) -> None:
        lab = make_lab({"servers": {"up": {"state": {"wsus": {"busy": 4}}}}})
        controller = Controller(lab, "up")
        controller.protocol.operation_timeout_sec = 1
        wish = {"kind": "synchronization", "microsoft_update": True, "upstream_name": "", "upstream_port": 0, "upstream_ssl": False}
        done = controller.module(CHANGE, changes=[wish | {"replica": False, "wait_seconds": 10}])
        assert done["applied"] == 1


class TestClients:
    def test_a_client_is_a_member_of_the_domain_without_wsus(self, make_lab: LabMaker) -> None:
        lab = make_lab(TWO | {"clients": {"client01": {"trusts_ca": False, "intermediates": False, "build": "26100.1"}}})
        controller = Controller(lab, "client01")
        assert controller.module(PING)["ping"] == "pong"
        state = controller.module(STATE, thumbprints=list(lab.machine("up").document["certificates"]["Root"]))
        assert (state["state"]["setup"], state["state"]["iis"], state["state"]["unreadable"]) == (None, None, {})
        computer = state["state"]["computer"]
        assert (computer["fqdn"], computer["build"], computer["domain_member"]) == ("client01.corp.example", "26100.1", True)
        assert list(state["trust"].values()) == [[]]
        client = controller.module("securepatch.wsus.wsus_client_state")["update_client"]
        assert (client["domain_member"], client["policy"]) == (True, {})
        assert lab.counts()["client01"][STATE] == 1

    def test_what_it_is_told_it_does(self, make_lab: LabMaker) -> None:
        lab = make_lab({"servers": {"up": {"stage": "offered"}}, "clients": {"client01": {"trusts_ca": False}}})
        (root,) = lab.machine("up").document["certificates"]["Root"].values()
        look = {"host_name": "up.corp.example", "port": 8531}
        controller = Controller(lab, "client01")
        assert controller.module(STATE, endpoints=[look])["endpoints"][0]["trusted"] is False
        done = controller.module(CHANGE, changes=[{"kind": "trust", "store": "Root", "der": root["der"]}], endpoints=[look])
        assert (done["applied"], done["endpoints"][0]["trusted"]) == (1, True)
        seen = controller.module(STATE, endpoints=[{"host_name": "client01.corp.example", "port": 5986}])
        assert seen["endpoints"][0]["name_matches"]

    def test_faults_and_restarts_are_as_those_of_a_server(self, make_lab: LabMaker) -> None:
        lab = make_lab(TWO | {"clients": {"client01": {"faults": {"unreachable": True}}}})
        with pytest.raises(requests.ConnectionError, match="refused"):
            Controller(lab, "client01").module(PING)
        lab.heal("client01")
        before = lab.machine("client01").document["computer"]["boot_time"]
        Controller(lab, "client01").raw("shutdown.exe /r /t 2")
        eventually(lambda: lab.machine("client01").document["computer"]["boot_time"] != before)
        eventually(lambda: reached(lab, "client01"))
        lab.arm("client01", changes={r"set HKLM:\SOFTWARE\securepatch.wsus one": "Access is denied."})
        assert Controller(lab, "client01").module(CHANGE, changes=marks("one"))["failed"]


class TestCounting:
    def test_trips_are_counted_by_server_and_module(self, make_lab: LabMaker, tmp_path: Path) -> None:
        lab = make_lab(TWO, log=tmp_path / "trips.jsonl")
        for _rest in range(2):
            Controller(lab, "up").module(PING)
        Controller(lab, "down").module(STATE)
        assert lab.counts() == {"up": {PING: 2}, "down": {STATE: 1}}
        logged = [json.loads(line) for line in (tmp_path / "trips.jsonl").read_text().splitlines()]
        assert [(one["server"], one["module"], one["outcome"]) for one in logged] == [("up", PING, "ok")] * 2 + [("down", STATE, "ok")]
        assert all(500 < trip.bytes_in < 20000 and trip.bytes_out > 500 for trip in lab.trips)
        assert lab.trips[2].bytes_out > 2 * lab.trips[0].bytes_out

    def test_refused_and_failed_trips_say_so(self, make_lab: LabMaker) -> None:
        lab = make_lab(TWO)
        Controller(lab, "up").module("x.y.z")
        Controller(lab, "up").module(CHANGE)
        assert [trip.outcome for trip in lab.trips] == ["refused", "failed"]


class TestRestarts:
    def boot_time(self, controller: Controller) -> str:
        return controller.raw("(Get-CimInstance -ClassName Win32_OperatingSystem).LastBootUpTime.ToFileTime()")[0].strip()

    def test_a_machine_goes_away_and_comes_back(self, make_lab: LabMaker) -> None:
        lab = make_lab(TWO)
        with lab.edit("up") as document:
            document["services"]["WsusService"] = "Stopped"
            document["iis"]["application_pools"]["WsusPool"]["state"] = "Stopped"
        controller = Controller(lab, "up")
        before = self.boot_time(controller)
        stdout, _rest, _rest = controller.raw(r"C:\Windows\System32\shutdown.exe /r /t 2 /c 'x'")
        assert json.loads(stdout) == {"stdout": "", "stderr": "", "rc": 0}
        with pytest.raises(requests.ConnectionError):
            for _rest in range(1000):
                self.boot_time(Controller(lab, "up"))

        def is_back() -> bool:
            try:
                return self.boot_time(Controller(lab, "up")) > before
            except requests.ConnectionError:
                return False

        eventually(is_back)
        ready = Controller(lab, "up").raw("Get-Item -LiteralPath 'HKLM:\\...\\AutoLogonChecked' -ErrorAction Stop; 'success-12ab-34'")
        assert ready == ("success-12ab-34\r\n", "", 0)
        state = Controller(lab, "up").module(STATE)["state"]
        assert (state["services"]["WsusService"], state["iis"]["application_pool"]["state"]) == ("Running", "Started")
        assert [one.command for one in lab.raw_commands][:2] == ["boot time", "restart"]

    def test_the_boot_time_is_windows_file_time(self, make_lab: LabMaker) -> None:
        lab = make_lab({"servers": {"up": {"state": {"computer": {"boot_time": "2026-11-01T03:00:00Z"}}}}})
        assert self.boot_time(Controller(lab, "up")) == "134379756000000000"

    def test_one_that_does_not_come_back_stays_away_until_it_is_healed(self, make_lab: LabMaker) -> None:
        lab = make_lab(TWO)
        before = parse_time(lab.machine("up").document["computer"]["boot_time"])
        lab.arm("up", no_return=True)
        Controller(lab, "up").raw("shutdown.exe /r /t 2")
        time.sleep(1)
        with pytest.raises(requests.ConnectionError):
            Controller(lab, "up").module(PING)
        lab.heal("up")
        assert Controller(lab, "up").module(PING)["ping"] == "pong"
        assert parse_time(lab.machine("up").document["computer"]["boot_time"]) > before

    def test_other_commands_are_refused(self, make_lab: LabMaker) -> None:
        stdout, stderr, code = Controller(make_lab(TWO), "up").raw("Get-Process")
        assert (stdout, code) == ("", 1)
        assert "Get-Process" in stderr


class TestConnections:
    def test_a_wrong_password_is_refused(self, make_lab: LabMaker) -> None:
        lab = make_lab(TWO)
        with pytest.raises(InvalidCredentialsError):
            Controller(lab, "up", password="wrong").module(PING)
        lab.arm("up", login_refused=True)
        with pytest.raises(InvalidCredentialsError):
            Controller(lab, "up").module(PING)

    @pytest.mark.parametrize(("when", "expected"), [("before", []), ("during", ["one", "two"]), ("after", ["one", "three", "two"])])
    def test_a_connection_drops_around_a_module(self, make_lab: LabMaker, when: str, expected: list[str]) -> None:
        lab = make_lab(TWO)
        lab.arm("up", drop={"when": when, "changes": 2, "module": "wsus_change"})
        assert Controller(lab, "up").module(PING)["ping"] == "pong"
        started = time.monotonic()
        with pytest.raises(requests.ConnectionError, match="aborted"):
            Controller(lab, "up").module(CHANGE, changes=marks("one", "two", "three"))
        assert time.monotonic() - started < 2
        assert marked(lab) == expected
        assert lab.trips[-1].outcome == "dropped"
        assert Controller(lab, "up").module(CHANGE, changes=marks("four"))["changed"], "it was armed for once"

    def test_a_shell_that_was_dropped_answers_nothing_more(self, make_lab: LabMaker) -> None:
        lab = make_lab(TWO)
        lab.arm("up", drop={"when": "after"})
        protocol = Controller(lab, "up").protocol
        shell = protocol.open_shell()
        command = protocol.run_command(shell, "x", console_mode_stdin=False)
        protocol.send_command_input(shell, command, b"{}\0\0\0\0{}", end=True)
        for _rest in range(2):
            with pytest.raises(requests.ConnectionError):
                protocol.get_command_output(shell, command)
        with pytest.raises(requests.ConnectionError):
            protocol.cleanup_command(shell, command)

    def test_a_drop_can_be_armed_for_always(self, make_lab: LabMaker) -> None:
        lab = make_lab({"servers": {"up": {"faults": {"drop": {"when": "before", "times": "always"}}}}})
        for _rest in range(3):
            with pytest.raises(requests.ConnectionError):
                Controller(lab, "up").module(PING)
        lab.heal()
        assert Controller(lab, "up").module(PING)["ping"] == "pong"

    def test_an_unreachable_server_refuses_connections_until_it_is_healed(self, make_lab: LabMaker) -> None:
        lab = make_lab({"servers": {"up": {"faults": {"unreachable": True}}, "other": {}}})
        with pytest.raises(requests.ConnectionError, match="refused"):
            Controller(lab, "up").module(PING)
        lab.heal("up")
        assert Controller(lab, "up").module(PING)["ping"] == "pong"
        lab.arm("other", unreachable=True)
        with pytest.raises(requests.ConnectionError, match="refused"):
            Controller(lab, "other").module(PING)

    @pytest.mark.parametrize(("when", "expected"), [("before", []), ("during", ["one"]), ("after", ["one", "two"])])
    def test_the_whole_lab_is_cut_at_a_trip(self, make_lab: LabMaker, when: Any, expected: list[str]) -> None:
        lab = make_lab(TWO)
        Controller(lab, "down").module(PING)
        lab.cut(trip=2, when=when, changes=1)
        assert Controller(lab, "down").module(PING)["ping"] == "pong"
        with pytest.raises(requests.ConnectionError):
            Controller(lab, "up").module(CHANGE, changes=marks("one", "two"))
        assert marked(lab) == expected
        for server in ("up", "down"):
            with pytest.raises(requests.ConnectionError):
                Controller(lab, server).module(PING)
        lab.heal()
        for server in ("up", "down"):
            assert Controller(lab, server).module(PING)["ping"] == "pong"

    def test_who_does_not_trust_the_lab_s_ca_does_not_connect(self, make_lab: LabMaker) -> None:
        lab = make_lab(TWO)
        controller = Controller(lab, "up")
        controller.protocol.transport.ca_trust_path = str(lab.other_ca_file)
        with pytest.raises(requests.exceptions.SSLError):
            controller.module(PING)


class TestFleetsTogether:
    def test_two_labs_on_one_network_notice_each_other(self, tmp_path: Path) -> None:
        network = own_network()
        with (
            Lab(TWO, folder=tmp_path / "a", network=network) as first,
            pytest.raises(LabError, match="Another lab"),
            Lab(TWO, folder=tmp_path / "b", network=network),
        ):
            pass
        assert not (tmp_path / "b").exists()
        assert first.inventory.exists()

    @pytest.mark.parametrize(("network", "message"), [("10.0.0.0/24", "loopback"), ("127.0.1.0/31", "too small"), ("x", "IPv4")])
    def test_a_network_that_cannot_be_is_refused(self, tmp_path: Path, network: str, message: str) -> None:
        with pytest.raises(LabError, match=message), Lab(TWO, folder=tmp_path, network=network):
            pass

    def test_a_message_that_is_no_soap_gets_400_and_the_lab_goes_on(self, make_lab: LabMaker) -> None:
        lab = make_lab(TWO)
        controller = Controller(lab, "up")
        transport = controller.protocol.transport
        session = transport.build_session()

        def status(path: str, body: bytes) -> int:
            request = session.prepare_request(requests.Request("POST", transport.endpoint.replace("wsman", path), data=body))
            return session.send(request).status_code

        assert {status("wsman", body) for body in (b"", b"<x/>", b"\xff\xfe", b"<" * 1000)} == {400}
        assert status("other", b"<x/>") == 404
        assert controller.module(PING)["ping"] == "pong"
