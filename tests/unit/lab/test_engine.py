# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the recorded cases do not show of the engine: cuts, networks, keys, and what must hold for every list of changes."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.lab import engine
from tests.lab.engine import apply_changes, read_group_policies, read_state, read_traffic, read_trust, read_update_client
from tests.lab.machine import CertificationAuthority, Machine, Network

RECORDED = Path(__file__).parents[2] / "recorded"
THUMBPRINT = "D856A10F2454F318FB4EF8A5D6A827DD90E93BCA"
FQDN = "wsus01.corp.example"
NewMachine = Callable[..., Machine]

BINDING = {"kind": "binding", "ip_address": "*", "port": 8531, "host_name": "", "thumbprint": THUMBPRINT, "store": "My", "ssl_flags": 0}
POOL = {"kind": "application_pool", "name": "WsusPool", "settings": {"queue_length": 2000}}
ACCESS = {"kind": "access", "application": "ClientWebService", "ssl_flags": ["Ssl"]}
CONFIGURE = {"kind": "configure_ssl", "fqdn": FQDN}
MARK = {"kind": "mark_restart"}
ENROLL = {
    "kind": "certificate_enroll",
    "authority": None,
    "template": "WebServer",
    "subject": f"CN={FQDN}",
    "friendly_name": "WSUS",
    "dns_names": [FQDN],
    "key_algorithm": "ECDSA_P256",
    "key_length": 256,
    "mark": "Enrolment",
}


@cache
def recorded(case: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RECORDED / f"{case}.json").read_text(encoding="utf-8"))
    return found


@pytest.fixture
def new_machine() -> NewMachine:
    """A machine as a recorded case begins with it, which spends no time waiting."""

    def new(case: str, *, network: Network | None = None) -> Machine:
        return Machine(copy.deepcopy(recorded(case)["machine"]), name=case, network=network, wait=lambda _rest: None)

    return new


class Recorder:
    """A network that keeps what it was asked, and whether the machine's lock was free."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, bool]] = []

    def _note(self, what: str, machine: Machine) -> None:
        free: list[bool] = []

        def take() -> None:
            taken = machine.lock.acquire(blocking=False)
            free.append(taken)
            if taken:
                machine.lock.release()

        other = Thread(target=take)
        other.start()
        other.join()
        self.calls.append((what, free[0]))

    def look(self, machine: Machine, host_name: str, port: int, tls: bool) -> dict[str, Any]:
        self._note(f"look {host_name}:{port} {tls}", machine)
        return {"host_name": host_name, "port": port, "tls": tls, "reachable": True}

    def start_synchronization(self, machine: Machine) -> None:
        self._note("synchronize", machine)

    def called_itself(self, machine: Machine, site: dict[str, Any], port: int) -> None:
        """Nobody waits for it."""

    def start_search(self, machine: Machine) -> None:
        self._note("search", machine)

    def certification_authority(self, machine: Machine) -> CertificationAuthority | None:
        return None

    def changed(self, machine: Machine) -> None:
        self._note("changed", machine)


# --- in order --------------------------------------------------------------------------------------------------------


def test_before_change_sees_every_commit_and_primitive_and_can_cut_the_run(new_machine: NewMachine) -> None:
    machine = new_machine("server/fresh")
    seen = []

    class Cut(Exception):
        pass

    def before(index: int, change: dict[str, Any]) -> None:
        seen.append((index, change["kind"]))
        if change["kind"] == "configure_ssl":
            raise Cut

    with pytest.raises(Cut):
        apply_changes(machine, [BINDING, POOL, ACCESS, MARK, CONFIGURE], before)
    assert seen == [(0, "binding"), (1, "application_pool"), (3, "mark_restart"), (4, "configure_ssl")]
    state = read_state(machine)
    assert state["setup"]["using_ssl"] is False
    assert state["iis"]["site"]["bindings"][1]["thumbprint"] == THUMBPRINT
    assert "RestartNeededSince" in state["marks"]


def test_a_failed_commit_writes_nothing_of_itself_and_names_its_first_change(new_machine: NewMachine) -> None:
    machine = new_machine("server/fresh")
    before = copy.deepcopy(machine.document)
    done = apply_changes(machine, [POOL, ACCESS, {**ACCESS, "ssl_flags": ["Tls"]}, MARK])
    assert (done["applied"], done["failed"]["change"]) == (0, 0)
    assert done["failed"]["message"] == "IIS knows no sslFlags value 'Tls'."
    assert machine.document == before


def test_an_unknown_kind_is_a_failure_at_its_index(new_machine: NewMachine) -> None:
    done = apply_changes(new_machine("server/fresh"), [POOL, {"kind": "reformat"}])
    assert (done["applied"], done["failed"]["change"]) == (1, 1)
    assert done["failed"]["message"] == "Unknown kind of change 'reformat'."


def in_parts(changes: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The changes, cut where no commit reaches across."""
    parts: list[list[dict[str, Any]]] = []
    for one in changes:
        together = {"access", "application_pool"}
        if parts and one["kind"] in together and parts[-1][-1]["kind"] in together:
            parts[-1].append(one)
        else:
            parts.append([one])
    return parts


CHANGES = st.lists(
    st.sampled_from(
        [
            BINDING,
            {**BINDING, "ssl_flags": 1, "host_name": "wsus"},
            {**BINDING, "thumbprint": None},
            {**BINDING, "thumbprint": "00" * 20},
            {"kind": "binding_absent", "ip_address": "*", "port": 8531, "host_name": ""},
            POOL,
            {**POOL, "name": "NoPool"},
            ACCESS,
            {**ACCESS, "application": "", "ssl_flags": []},
            {**ACCESS, "application": "apiremoting30"},
            {**ACCESS, "ssl_flags": None},
            MARK,
            {"kind": "registry", "path": "HKLM:\\SOFTWARE\\securepatch.wsus", "name": "restartneededsince", "type": "String", "data": None},
            CONFIGURE,
            {"kind": "recycle_pool", "name": "wsuspool"},
            {"kind": "restart_service", "name": "WsusService"},
            {"kind": "restart_service", "name": "Spooler"},
            {"kind": "restart_site"},
            {"kind": "start_synchronization"},
            {"kind": "certificate_remove", "store": "My", "thumbprint": THUMBPRINT},
        ]
    ),
    max_size=8,
)


@given(CHANGES)
@settings(deadline=None)
def test_a_list_at_once_is_the_same_as_its_commits_one_by_one(changes: list[dict[str, Any]]) -> None:
    document = recorded("server/fresh")["machine"]
    at_once, one_by_one = Machine(copy.deepcopy(document)), Machine(copy.deepcopy(document))
    done = apply_changes(at_once, changes)
    applied = 0
    for part in in_parts(changes):
        step = apply_changes(one_by_one, part)
        applied += step["applied"]
        if step["failed"]:
            break
    assert done["applied"] == applied
    assert (done["failed"] is None) == (applied == len(changes))
    assert at_once.document == one_by_one.document
    assert read_state(at_once) == read_state(one_by_one)


@given(CHANGES)
@settings(deadline=None)
def test_the_kernel_serves_what_iis_has_on_file(changes: list[dict[str, Any]]) -> None:
    machine = Machine(copy.deepcopy(recorded("server/fresh")["machine"]))
    apply_changes(machine, changes)
    state = read_state(machine)
    bound = {one["thumbprint"] for one in state["iis"]["site"]["bindings"] if one.get("thumbprint")}
    assert {one["thumbprint"] for one in state["http_sys"]} == bound


@given(CHANGES)
@settings(deadline=None)
def test_reading_changes_nothing_and_gives_nothing_away(changes: list[dict[str, Any]]) -> None:
    machine = Machine(copy.deepcopy(recorded("server/fresh")["machine"]))
    apply_changes(machine, changes)
    before = copy.deepcopy(machine.document)
    state = read_state(machine)
    state["services"].clear()
    (state["iis"] or {}).clear()
    state["marks"]["x"] = "y"
    assert machine.document == before


# --- the network -----------------------------------------------------------------------------------------------------


def test_the_network_hears_of_every_commit_and_primitive_while_the_machine_is_free(new_machine: NewMachine) -> None:
    network = Recorder()
    apply_changes(new_machine("server/fresh", network=network), [BINDING, POOL, ACCESS, {"kind": "restart_site"}])
    assert network.calls == [("changed", True)] * 3


def test_the_network_hears_of_a_failed_commit_that_wrote_the_kernels_table(new_machine: NewMachine) -> None:
    network = Recorder()
    machine = new_machine("server/commit_refused", network=network)
    assert apply_changes(machine, [BINDING])["failed"]
    assert read_state(machine)["http_sys"]
    assert network.calls == [("changed", True)]


def test_a_synchronization_is_the_networks(new_machine: NewMachine) -> None:
    network = Recorder()
    machine = new_machine("server/downstream", network=network)
    last = machine.document["wsus"].get("last_synchronization")
    assert apply_changes(machine, [{"kind": "start_synchronization"}])["applied"] == 1
    assert ("synchronize", True) in network.calls
    assert machine.document["wsus"].get("last_synchronization") == last


def test_an_endpoint_is_asked_of_the_network(new_machine: NewMachine) -> None:
    network = Recorder()
    answer = engine.test_endpoint(new_machine("server/fresh", network=network), FQDN, 8531, True)
    assert answer["reachable"]
    assert network.calls == [(f"look {FQDN}:8531 True", True)]


def test_without_a_network_nothing_is_reachable(new_machine: NewMachine) -> None:
    answer = engine.test_endpoint(new_machine("server/fresh"), FQDN, 8531, True)
    assert (answer["reachable"], answer["protocol"], answer["chain_errors"], answer["error"]["native"]) == (False, None, [], 11001)


def test_a_client_looks_at_its_server_and_at_the_port_that_gives_the_files(new_machine: NewMachine) -> None:
    network = Recorder()
    machine = new_machine("clients/client_moved", network=network)
    apply_changes(machine, recorded("clients/client_moved")["changes"])
    network.calls.clear()
    asked = [(one["port"], one["tls"]) for one in read_update_client(machine)["endpoints"]]
    assert asked == [(8531, True), (8530, False)]
    assert all(free for _rest, free in network.calls)


# --- certificates ----------------------------------------------------------------------------------------------------


def test_a_request_is_collected_and_leaves_no_mark(new_machine: NewMachine) -> None:
    machine = new_machine("certificates/enroll_pending")
    sent = apply_changes(machine, [ENROLL])["output"][0]
    assert sent["status"] == "pending"
    assert read_state(machine)["marks"] == {"Enrolment": f"{sent['request_id']} {sent['authority']}"}
    collect = {"kind": "certificate_collect", "authority": sent["authority"], "request_id": sent["request_id"], "mark": "Enrolment"}
    assert apply_changes(machine, [collect])["output"][0]["status"] == "pending"
    machine.document["ca"]["mode"] = "issue"
    assert apply_changes(machine, [collect])["output"][0]["status"] == "issued"
    state = read_state(machine)
    new = next(one for one in state["certificates"] if one["thumbprint"] != THUMBPRINT)
    assert (new["store"], new["key_usable"], state["marks"]) == ("My", True, {})
    bound = apply_changes(machine, [{**BINDING, "thumbprint": new["thumbprint"]}])
    assert bound["failed"] is None


def test_what_is_issued_is_what_was_asked_for(new_machine: NewMachine) -> None:
    machine = new_machine("certificates/enroll_issued")
    apply_changes(machine, [{**ENROLL, "dns_names": [FQDN, "wsus"]}])
    entry = next(one for thumbprint, one in machine.document["certificates"]["My"].items() if thumbprint != THUMBPRINT)
    certificate = x509.load_der_x509_certificate(engine.certificates.decode(entry["der"]))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
    assert names == [FQDN, "wsus"]
    assert certificate.subject.rfc4514_string() == f"CN={FQDN}"
    assert isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)
    authority = x509.load_pem_x509_certificate(machine.document["ca"]["certificate"].encode())
    certificate.verify_directly_issued_by(authority)
    assert certificate.not_valid_before_utc == machine.now()


def test_an_issued_certificate_of_an_unknown_authority_waits_with_its_mark(new_machine: NewMachine) -> None:
    machine = new_machine("certificates/enroll_issued")
    machine.document["certificates"]["Root"].clear()
    failed = apply_changes(machine, [ENROLL])["failed"]
    assert "0x800b010a" in failed["message"]
    state = read_state(machine)
    assert list(state["marks"]) == ["Enrolment"]
    assert [one["store"] for one in state["certificates"]] == ["My", "Request"]


@pytest.mark.parametrize(("mode", "hresult"), [("deny", "0x80094012"), ("offline", "0x800706BA")])
def test_a_request_that_did_not_get_through_leaves_no_key(new_machine: NewMachine, mode: str, hresult: str) -> None:
    machine = new_machine("certificates/enroll_issued")
    machine.document["ca"]["mode"] = mode
    failed = apply_changes(machine, [ENROLL])["failed"]
    assert (failed["type"], failed["hresult"]) == ("System.Runtime.InteropServices.COMException", hresult)
    assert machine.document["certificates"]["Request"] == {}
    assert read_state(machine)["marks"] == {}


def test_a_request_number_that_the_authority_does_not_know_is_refused(new_machine: NewMachine) -> None:
    machine = new_machine("certificates/enroll_pending")
    collect = {"kind": "certificate_collect", "authority": machine.document["ca"]["config"], "request_id": 7, "mark": None}
    assert apply_changes(machine, [collect])["failed"]["hresult"] == "0x80094004"


def test_a_name_that_would_break_out_of_the_request_is_refused(new_machine: NewMachine) -> None:
    machine = new_machine("certificates/request_made")
    before = copy.deepcopy(machine.document)
    change = {**ENROLL, "kind": "certificate_request", "dns_names": ['x"&']}
    assert "cannot have a quote" in apply_changes(machine, [change])["failed"]["message"]
    assert machine.document == before


@pytest.mark.parametrize(
    ("entry", "usable"),
    [
        ({}, True),
        ({"has_private_key": False}, False),
        ({"key": None}, False),
        ({"key": "lost"}, False),
        ({"key": "another's"}, False),
    ],
)
def test_a_key_is_usable_when_it_is_there_and_the_certificates_own(new_machine: NewMachine, entry: dict[str, Any], usable: bool) -> None:
    machine = new_machine("certificates/enroll_issued")
    if entry.get("key") == "another's":
        entry = {"key": machine.document["ca"]["key"]}
    machine.document["certificates"]["My"][THUMBPRINT].update(entry)
    assert read_state(machine)["certificates"][0]["key_usable"] is usable


def test_a_certificate_whose_key_was_lost_cannot_be_bound(new_machine: NewMachine) -> None:
    machine = new_machine("server/fresh")
    machine.document["certificates"]["My"][THUMBPRINT]["key"] = None
    before = copy.deepcopy(machine.document)
    assert apply_changes(machine, [BINDING])["failed"]["native"] == 1312
    assert machine.document == before


def test_a_binding_that_goes_takes_its_certificate_from_the_kernel(new_machine: NewMachine) -> None:
    machine = new_machine("server/fresh")
    absent = {"kind": "binding_absent", "ip_address": "*", "port": 8531, "host_name": ""}
    apply_changes(machine, [BINDING, absent])
    assert read_state(machine)["http_sys"] == []
    assert machine.document["journal"] == ["http.sys 0.0.0.0:8531", "commit iis", "http.sys remove 0.0.0.0:8531", "commit iis"]


def test_trust_is_told_by_store(new_machine: NewMachine) -> None:
    machine = new_machine("certificates/trust_new_store")
    change = recorded("certificates/trust_new_store")["changes"][0]
    apply_changes(machine, [change, {**change, "store": "Root"}])
    thumbprint = next(iter(machine.document["certificates"]["WindowsServerUpdateServices"]))
    assert read_trust(machine, [thumbprint.lower(), "00"]) == {thumbprint.lower(): ["Root", "WindowsServerUpdateServices"], "00": []}


# --- WSUS ------------------------------------------------------------------------------------------------------------


def test_a_server_that_stays_busy_takes_no_configuration(new_machine: NewMachine) -> None:
    machine = new_machine("server/configuration_busy")
    machine.document["wsus"]["busy"] = 100
    change = {**recorded("server/configuration_busy")["changes"][0], "wait_seconds": 3}
    failed = apply_changes(machine, [change])["failed"]
    assert failed["message"] == "WSUS takes no configuration now: ProcessingSave for more than 3 s."
    assert machine.document["wsus"]["upstream"]["ssl"] is False
    # Every half second a look, at the end one more for the message.
    assert machine.document["wsus"]["busy"] == 100 - 8


def test_an_api_out_of_reach_fails_before_anything_is_waited_for(new_machine: NewMachine) -> None:
    machine = new_machine("server/iis_stopped")
    machine.document["wsus"]["busy"] = 100
    failed = apply_changes(machine, recorded("server/configuration_busy")["changes"])["failed"]
    assert failed["type"] == "System.Net.WebException"
    assert machine.document["wsus"]["busy"] == 100


def test_there_is_no_tool_where_setup_recorded_no_folder(new_machine: NewMachine) -> None:
    machine = new_machine("server/fresh")
    del machine.document["registry"]["HKLM:\\SOFTWARE\\Microsoft\\Update Services\\Server\\Setup"]["TargetDir"]
    assert read_state(machine)["setup"]["tool"] is False
    assert apply_changes(machine, [CONFIGURE])["failed"]["id"].endswith(",Microsoft.PowerShell.Commands.JoinPathCommand")


def test_the_machine_is_free_while_a_change_waits(new_machine: NewMachine) -> None:
    network = Recorder()
    machine = new_machine("server/configuration_busy")
    machine.wait = lambda _rest: network._note("wait", machine)
    apply_changes(machine, recorded("server/configuration_busy")["changes"])
    assert network.calls
    assert all(free for _rest, free in network.calls)


def test_the_api_is_out_of_reach_without_the_bound_certificate(new_machine: NewMachine) -> None:
    machine = new_machine("server/converted")
    machine.document["certificates"]["My"].clear()
    assert "trust relationship" in read_state(machine)["unreadable"]["api"]["message"]


def test_a_fault_meets_the_change_it_is_armed_for(new_machine: NewMachine) -> None:
    machine = new_machine("server/fresh")
    machine.document["faults"] = {"set HKLM:\\SOFTWARE\\SECUREPATCH": "Requested registry access is not allowed."}
    done = apply_changes(machine, [BINDING, MARK])
    assert (done["applied"], done["failed"]["message"]) == (1, "Requested registry access is not allowed.")
    assert read_state(machine)["marks"] == {}


def test_a_machine_without_iis_says_so_and_does_not_break(new_machine: NewMachine) -> None:
    machine = new_machine("server/fresh")
    del machine.document["iis"], machine.document["wsus"]
    assert set(read_state(machine)["unreadable"]) == {"iis", "api"}
    assert apply_changes(machine, [BINDING])["failed"]["type"] == "System.NullReferenceException"


# --- clients and traffic ---------------------------------------------------------------------------------------------


def test_a_value_that_a_policy_takes_away_is_replaced_not_doubled(new_machine: NewMachine) -> None:
    machine = new_machine("clients/policy_moved")
    policy = machine.document["domain"]["policies"]["WSUS clients"]
    policy["values"][0]["action"] = "Delete"
    wanted = [{"name": "wsus clients", "domain": "CORP.example", "server": None}]
    assert read_group_policies(machine, wanted)[0]["values"][0]["action"] == "Delete"
    apply_changes(machine, recorded("clients/policy_moved")["changes"])
    values = read_group_policies(machine, wanted)[0]["values"]
    assert sorted((one["name"], one["action"]) for one in values) == [
        ("UseWUServer", "Set"),
        ("WUServer", "Set"),
        ("WUStatusServer", "Set"),
    ]


def test_a_policys_values_are_set_in_order_of_their_names(new_machine: NewMachine) -> None:
    machine = new_machine("clients/policy_moved")
    change = {**recorded("clients/policy_moved")["changes"][1], "values": {"b": "1", "A": "2", "aaa": "3"}}
    apply_changes(machine, [change])
    assert machine.document["journal"] == ["group policy WSUS clients set A aaa b"]


def test_an_update_agent_that_is_off_says_so(new_machine: NewMachine) -> None:
    machine = new_machine("clients/client_moved")
    machine.document["update_client"] = {"disabled": True}
    assert read_update_client(machine)["search"]["error"]["hresult"] == "0x80070422"
    assert apply_changes(machine, [{"kind": "detect_now"}])["failed"]["hresult"] == "0x80070422"


def test_a_log_that_lost_a_field_counts_from_where_it_is_back(new_machine: NewMachine) -> None:
    machine = new_machine("clients/traffic")
    line = "{} 10.0.0.5 POST /ClientWebService/client.asmx 8530 10.1.0.{} {}"
    machine.document["files"] = {
        "@TARGET@LogFiles/W3SVC1634923/u_ex.log": "\r\n".join(
            [
                "#Fields: date time s-ip cs-method cs-uri-stem s-port c-ip",
                line.format("2026-11-20 01:00:00", 1, ""),
                "#Fields: date time s-ip cs-method cs-uri-stem s-port c-ip sc-status",
                line.format("2026-11-20 02:00:00", 2, "403"),
                line.format("2026-11-01 02:00:00", 3, "200"),
                line.format("2026-11-20 03:00:00", 4, "200"),
            ]
        ),
        "@TARGET@LogFiles/W3SVC1634923/old.log": "#Fields: date\r\n2026-10-01 00:00:00",
        "@TARGET@LogFiles/W3SVC1/u_ex.log": "#Fields: date\r\n2026-11-20 00:00:00",
    }
    traffic = read_traffic(machine, 7, 60)
    assert (traffic["files"], traffic["lines"], traffic["missing_fields"]) == (1, 4, ["sc-status"])
    callers = {one["address"]: one for one in traffic["callers"]}
    assert set(callers) == {"10.1.0.2", "10.1.0.4"}
    # Without its substatus a 403 says nothing about TLS.
    assert (callers["10.1.0.2"]["refused"], callers["10.1.0.2"]["failed"], callers["10.1.0.4"]["served"]) == (0, 1, 1)
    assert callers["10.1.0.4"]["agent"] is None


def test_of_two_calls_in_one_second_the_later_line_names_the_agent(new_machine: NewMachine) -> None:
    machine = new_machine("clients/traffic")
    path = "@TARGET@LogFiles/W3SVC1634923/u_ex261119.log"
    head, line = machine.document["files"][path].splitlines()[3:5]
    machine.document["files"] = {path: "\n".join([head, line, line.replace("Windows-Update-Agent", "Another+Agent")])}
    (caller,) = read_traffic(machine, 7, 60)["callers"]
    assert (caller["served"], caller["agent"].split("/")[0]) == (2, "Another Agent")


def test_traffic_that_cannot_be_read_at_all_is_an_error(new_machine: NewMachine) -> None:
    with pytest.raises(engine.WindowsError, match="IIS has no site"):
        read_traffic(new_machine("server/site_missing"), 7, 60)


def test_a_policy_that_is_not_there_is_answered_with_the_names_there_are_in_order(new_machine: NewMachine) -> None:
    machine = new_machine("clients/policy_missing")
    machine.document["domain"]["policies"].update({name: {} for name in ("b", "Another", "c longer")})
    assert read_group_policies(machine, [{"name": "none"}])[0]["known"] == ["Another", "b", "c longer", "WSUS clients"]


def test_a_domain_that_is_not_this_one_cannot_be_reached(new_machine: NewMachine) -> None:
    state = read_group_policies(new_machine("clients/policy_moved"), [{"name": "WSUS clients", "domain": "other.example"}])[0]
    assert (state["error"]["id"], state["known"]) == ("UnableToAccessDomain,Get-GPO", [])
