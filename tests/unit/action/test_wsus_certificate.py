# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The module wsus_certificate over a machine of the lab, without a connection: what it does with what a CA says, with files, and with a PFX."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible_collections.securepatch.wsus.plugins.action import wsus_certificate
from ansible_collections.securepatch.wsus.plugins.plugin_utils import server_action

from tests.lab import modules
from tests.lab.machine import Machine
from tests.lab.payload import Asked
from tests.unit.action.clock import stop_clock
from tests.unit.plugin_utils.machines import FQDN, MARKS, bind, document, entry, issued, text
from tests.unit.plugin_utils.papers import CA, answer_to, ca_of, issuing, leaf, pem, request, root, text_of, thumbprint, trusted, waiting

FOLDER = r"C:\Users\Administrator\AppData\Local\Temp\ansible-tmp-1"
SECRET = "geheim 1"
GOOD, LONGER, EXPIRED = (issued(kind).thumbprint for kind in ("good", "longer", "expired"))


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time for which the certificates were issued."""
    stop_clock(monkeypatch, server_action, wsus_certificate)


class OnMachine(wsus_certificate.ActionModule):
    """The action plugin, whose trips go to a machine of the lab."""

    machine: Machine
    trips: list[tuple[str, dict[str, Any]]]
    intrude: Callable[[OnMachine, str, dict[str, Any]], dict[str, Any] | None]

    def _execute_module(self, module_name: str, module_args: dict[str, Any], task_vars: Any) -> dict[str, Any]:
        self.trips.append((module_name.rpartition(".")[2], module_args))
        said = self.intrude(self, module_name.rpartition(".")[2], module_args)
        if said is not None:
            return said
        # What goes over the wire is JSON.
        return modules.run(self.machine, Asked(module_name, json.loads(json.dumps(module_args)), become_user="SYSTEM"))

    def _make_tmp_path(self, remote_user: str | None = None) -> str:
        with self.machine.lock:
            # What Ansible remembers it removes at the end of the task, and says nothing where it cannot.
            self._connection._shell.tmpdir = self.machine.disk.make_folder(FOLDER) + "\\."
        return str(self._connection._shell.tmpdir)

    def _transfer_file(self, local_path: str, remote_path: str) -> str:
        assert stat.S_IMODE(Path(local_path).stat().st_mode) == 0o600
        self.intrude(self, "transfer", {"path": remote_path})
        self.machine.disk.write(remote_path, Path(local_path).read_bytes())
        return remote_path


Outcome = tuple[dict[str, Any], OnMachine]


def run(machine: Machine, *, check: bool = False, intrude: Any = lambda *_rest: None, **arguments: Any) -> Outcome:
    """The module's result, and the plugin that gave it. INTRUDE is called before each trip, with the plugin, the module and its arguments."""
    task = SimpleNamespace(args=arguments, async_val=0, check_mode=check, action="wsus_certificate", delegate_to=None, diff=True)
    shell = SimpleNamespace(tmpdir=None, join_path=lambda *parts: "\\".join(parts))
    loader = SimpleNamespace(path_dwim=str)
    action = OnMachine(task, SimpleNamespace(_shell=shell, host="wsus01"), SimpleNamespace(diff=False), loader, None, None)
    action.machine, action.trips, action.intrude = machine, [], intrude
    return action.run(task_vars={"inventory_hostname": "wsus01"}), action


def made(of: dict[str, Any] | None = None, mode: str | None = "issue", **marks: str) -> Machine:
    """A machine without a certificate that fits, in a domain whose CA it trusts (None: no CA)."""
    found = of if of is not None else bind(document(), "expired")
    if of is None:
        found["certificates"]["My"] = {EXPIRED: entry("expired")}
    trusted(found, "Root", root().certificate)
    trusted(found, "CA", issuing().certificate)
    if mode:
        found["ca"] = ca_of(mode)
    if marks:
        found["registry"][MARKS] = {name: text(value) for name, value in marks.items()}
    return Machine(found, name="wsus01")


def marks_of(machine: Machine) -> dict[str, Any]:
    return {name: value["data"] for name, value in machine.document["registry"].get(MARKS, {}).items()}


def personal(machine: Machine) -> set[str]:
    return set(machine.document["certificates"]["My"])


EC: dict[str, Any] = {"key_algorithm": "ECDSA_P256"}
ENROLL: dict[str, Any] = {"source": "enterprise_ca", **EC}
ASKED = f"Make a private key on the server and ask the directory's default CA for a certificate for {FQDN} (template WebServer)"


# --- an enterprise CA -----------------------------------------------------------------------------------------------------------


def test_a_certificate_is_asked_for_once_and_kept_from_then_on() -> None:
    machine = made()
    before = json.dumps(machine.document)
    foretold, plugin = run(machine, check=True, **ENROLL)
    assert (foretold["changed"], foretold["changes"], foretold["status"], foretold["thumbprint"]) == (True, [ASKED], "promised", "promised")
    assert [name for name, _arguments in plugin.trips] == ["wsus_state"]
    assert json.dumps(machine.document) == before
    result, plugin = run(machine, **ENROLL)
    assert (result["changed"], result["changes"], result["status"]) == (True, [ASKED], "present")
    (new,) = personal(machine) - {EXPIRED}
    assert (result["thumbprint"], result["certificate"]["serves"]) == (new, True)
    assert result["diff"]["before"] != result["diff"]["after"]
    assert [name for name, _arguments in plugin.trips] == ["wsus_state", "wsus_change"]
    again, plugin = run(machine, **ENROLL)
    assert (again["changed"], again["changes"], again["thumbprint"]) == (False, [], new)
    assert len(plugin.trips) == 1
    # What a task of before observed is enough.
    observed, plugin = run(machine, observed=again["state"], **ENROLL)
    assert (observed["changed"], plugin.trips) == (False, [])


def test_what_is_pending_fails_with_whom_to_ask_and_is_collected_by_the_next_run() -> None:
    machine = made(mode="pending")
    result, _plugin = run(machine, **ENROLL)
    assert result["failed"]
    assert result["msg"].startswith(f"wsus01: Request 1 is pending at {CA}: a manager of the CA has to issue it")
    assert (result["changed"], result["changes"]) == (True, [ASKED])
    assert marks_of(machine) == {"PendingRequest": f"1 {CA}"}
    # Still pending: nothing was changed.
    result, _plugin = run(machine, **ENROLL)
    assert (result["failed"], result["changed"], result["changes"]) == (True, False, [])
    assert len(machine.document["ca"]["requests"]) == 1
    machine.document["ca"]["mode"] = "issue"
    result, _plugin = run(machine, **ENROLL)
    assert (result["changed"], result["changes"], result["status"]) == (True, [f"Collect the certificate of request 1 from {CA}"], "present")
    assert marks_of(machine) == {}
    assert len(machine.document["ca"]["requests"]) == 1


def test_what_is_collected_gets_the_name_that_is_asked_for_by_then() -> None:
    machine = made(mode="pending")
    run(machine, **ENROLL)
    machine.document["ca"]["mode"] = "issue"
    result, _plugin = run(machine, friendly_name="WSUS 2027", **ENROLL)
    assert not result.get("failed"), result["msg"]
    (new,) = personal(machine) - {EXPIRED}
    assert result["changes"] == [f"Collect the certificate of request 1 from {CA}", f"Give the certificate {new} the friendly name 'WSUS 2027'"]
    assert machine.document["certificates"]["My"][new]["friendly_name"] == "WSUS 2027"
    assert result["certificate"]["friendly_name"] == "WSUS 2027"


def test_a_request_that_the_ca_denied_or_does_not_know_is_forgotten() -> None:
    machine = made(mode="pending")
    run(machine, **ENROLL)
    machine.document["ca"]["mode"] = "deny"
    result, _plugin = run(machine, **ENROLL)
    assert result["failed"]
    assert "0x80094012" in result["msg"]
    assert "needs the permissions Read and Enroll on the template" in result["msg"]
    assert result["msg"].endswith("The note of request 1 was taken off the server, so the next run asks anew.")
    assert (result["changed"], result["changes"]) == (True, ["Take the note of request 1 off the server"])
    assert marks_of(machine) == {}
    unknown = made(PendingRequest=f"99 {CA}")
    result, _plugin = run(unknown, **ENROLL)
    assert "The CA does not know this request" in result["msg"]
    assert marks_of(unknown) == {}
    result, _plugin = run(unknown, **ENROLL)
    assert result["changes"] == [ASKED]


def test_a_request_whose_key_is_gone_is_forgotten_too() -> None:
    machine = made(mode="pending")
    run(machine, **ENROLL)
    machine.document["ca"]["mode"] = "issue"
    machine.document["certificates"]["Request"] = {}
    result, _plugin = run(machine, **ENROLL)
    assert "No key waits on this server for this certificate." in result["msg"]
    assert result["msg"].endswith("so the next run asks anew.")
    assert marks_of(machine) == {}
    assert run(machine, **ENROLL)[0]["changes"] == [ASKED]


def test_a_ca_that_does_not_answer_leaves_the_request() -> None:
    machine = made(mode="pending")
    run(machine, **ENROLL)
    machine.document["ca"]["mode"] = "offline"
    result, _plugin = run(machine, **ENROLL)
    assert "The CA cannot be reached from this server" in result["msg"]
    assert (result["changed"], result["changes"]) == (False, [])
    assert marks_of(machine) == {"PendingRequest": f"1 {CA}"}


def test_a_ca_that_refuses_leaves_nothing() -> None:
    machine = made(mode="deny")
    result, _plugin = run(machine, **ENROLL)
    assert (result["failed"], result["changed"], result["changes"]) == (True, False, [])
    assert "needs the permissions Read and Enroll on the template" in result["msg"]
    assert (marks_of(machine), machine.document["certificates"]["Request"]) == ({}, {})


def without_names(action: OnMachine, module: str, arguments: dict[str, Any]) -> None:
    """A CA whose template leaves out the names of the request: only the common name is right, and a client's certificate is none."""
    if module == "wsus_change" and arguments["changes"][0]["kind"] == "certificate_enroll":
        arguments["changes"][0]["dns_names"] = ["other.corp.example"]


def test_a_certificate_that_cannot_be_used_is_removed_again() -> None:
    machine = made()
    short = issued("short").thumbprint
    machine.document["certificates"]["My"][short] = entry("short")
    result, plugin = run(machine, intrude=without_names, **ENROLL)
    assert result["failed"]
    assert "The CA issued a certificate that cannot be used, " in result["msg"]
    assert f"is for other.corp.example, not for {FQDN}. It was removed again, and its key." in result["msg"]
    assert personal(machine) == {EXPIRED, short}, "what was there before stays"
    (removed,) = [arguments["changes"] for name, arguments in plugin.trips if name == "wsus_change"][1:]
    assert [change["kind"] for change in removed] == ["certificate_remove"]
    assert result["changes"] == [ASKED, f"Remove the certificate {removed[0]['thumbprint']} and its private key from the store Personal"]
    assert result["changed"] is True


@pytest.mark.parametrize(
    ("wish", "why"),
    [
        ({"issuer": "Another CA"}, "was issued by CN=Corp Issuing CA 1, not by Another CA"),
        ({"min_days_valid": 366}, "has only 365 days left"),
    ],
)
def test_why_it_cannot_be_used_is_told(wish: dict[str, Any], why: str) -> None:
    machine = made()
    result, _plugin = run(machine, **ENROLL, **wish)
    assert why in result["msg"]
    assert personal(machine) == {EXPIRED}


@pytest.mark.parametrize(("name", "used"), [("WSUS", True), ("x", False)])
def test_what_somebody_else_installed_meanwhile_stays(name: str, used: bool) -> None:
    machine = made()
    observed, _plugin = run(machine, check=True, **ENROLL)
    before = {**observed["state"], "certificates": [each for each in observed["state"]["certificates"] if each["thumbprint"]]}
    del before["predicted"]
    theirs = {"der": leaf("other").der_base64, "has_private_key": True, "friendly_name": name}
    machine.document["certificates"]["My"][leaf("other").thumbprint] = theirs
    rdp = r"HKLM:\SYSTEM\CurrentControlSet\Control\Terminal Server\WinStations\RDP-Tcp"
    if used:
        machine.document["registry"][rdp] = {"SSLCertificateSHA1Hash": {"kind": "Binary", "data": leaf("other").thumbprint}}
    result, _plugin = run(machine, observed=before, intrude=without_names, **ENROLL)
    assert "It was removed again" in result["msg"]
    assert personal(machine) == {EXPIRED, leaf("other").thumbprint}


def test_a_ca_that_says_issued_without_a_new_certificate_is_told() -> None:
    def nothing(action: OnMachine, module: str, _arguments: dict[str, Any]) -> dict[str, Any] | None:
        if module != "wsus_change":
            return None
        state = modules.run(machine, Asked("securepatch.wsus.wsus_state"))
        said = {"change": 0, "authority": CA, "request_id": 1, "status": "issued", "message": "Issued"}
        return {**state, "changed": True, "applied": 1, "output": [said]}

    machine = made()
    result, _plugin = run(machine, intrude=nothing, **ENROLL)
    assert "The CA says that it issued a certificate, but there is no new one in the computer's Personal store." in result["msg"]
    assert (result["changed"], result["changes"]) == (True, [ASKED])


def test_stores_that_cannot_be_read_afterwards_are_told_as_such() -> None:
    def blind(action: OnMachine, module: str, arguments: dict[str, Any]) -> dict[str, Any] | None:
        if module != "wsus_change":
            return None
        done = modules.run(machine, Asked("securepatch.wsus.wsus_change", arguments, become_user="SYSTEM"))
        done["state"]["certificates"] = None
        return done

    machine = made()
    result, _plugin = run(machine, intrude=blind, **ENROLL)
    assert result["failed"]
    assert "but what the server shows afterwards does not fit: The computer's certificate stores cannot be read" in result["msg"]
    assert (result["changed"], result["changes"]) == (True, [ASKED])


def test_what_was_issued_and_cannot_be_installed_waits_for_trust() -> None:
    machine = made()
    above = machine.document["certificates"]["CA"]
    machine.document["certificates"]["CA"] = {}
    result, _plugin = run(machine, **ENROLL)
    assert result["failed"]
    assert f"Request 1 was issued by {CA}, but this server could not install the certificate: " in result["msg"]
    assert "does not have the certificates of the authority above it" in result["msg"]
    assert result["msg"].endswith("The server keeps the key and the number: the next run collects the certificate, and asks for no other.")
    assert (result["changed"], result["changes"]) == (True, [ASKED])
    assert marks_of(machine) == {"PendingRequest": f"1 {CA}"}
    result, _plugin = run(machine, **ENROLL)
    assert result["failed"]
    assert marks_of(machine) == {"PendingRequest": f"1 {CA}"}, "what was issued waits"
    machine.document["certificates"]["CA"] = above
    result, _plugin = run(machine, **ENROLL)
    assert (result["changes"], result["status"]) == ([f"Collect the certificate of request 1 from {CA}"], "present")
    assert len(machine.document["ca"]["requests"]) == 1


# --- a request and its answer ----------------------------------------------------------------------------------------------------


def test_a_request_is_written_to_its_file_and_an_answer_taken_from_its(tmp_path: Path) -> None:
    machine = made(mode=None)
    files = {"request_file": str(tmp_path / "requests" / "w.csr"), "answer_file": str(tmp_path / "w.cer")}
    asked: dict[str, Any] = {"source": "csr", **EC, **files}
    written = f"Write the request to {files['request_file']} on the controller"
    make = f"Make a private key on the server and a certificate request for {FQDN}"
    foretold, _plugin = run(machine, check=True, **asked)
    assert (foretold["changes"], foretold["status"], foretold["request"]) == ([make, written], "requested", None)
    assert not list(tmp_path.iterdir())
    result, _plugin = run(machine, **asked)
    assert (result["changed"], result["changes"], result["status"]) == (True, [make, written], "requested")
    assert result["request_file"] == files["request_file"]
    assert Path(files["request_file"]).read_text() == result["request"] == marks_of(machine)["CertificateRequest"]
    # It waits; a file that is gone or another is written again, in check mode only said.
    result, _plugin = run(machine, **asked)
    assert (result["changed"], result["changes"], result["notes"]) == (False, [], ["The request waits for its answer."])
    Path(files["request_file"]).write_text("another")
    assert run(machine, check=True, **asked)[0]["changes"] == [written]
    assert Path(files["request_file"]).read_text() == "another"
    assert run(machine, **asked)[0]["changes"] == [written]
    assert Path(files["request_file"]).read_text() == result["request"]
    # And its answer.
    Path(files["answer_file"]).write_bytes(pem(answer_to(result["request"]), issuing().certificate))
    result, _plugin = run(machine, **asked)
    assert not result.get("failed"), result["msg"]
    assert (result["status"], len(result["changes"])) == ("present", 2)
    assert (marks_of(machine), machine.document["certificates"]["Request"]) == ({}, {})
    assert run(machine, **asked)[0]["changed"] is False


def test_a_request_that_cannot_be_written_stays_on_the_server(tmp_path: Path) -> None:
    machine = made(mode=None)
    (tmp_path / "file").write_text("no folder")
    result, _plugin = run(machine, source="csr", request_file=str(tmp_path / "file" / "w.csr"), **EC)
    assert result["failed"]
    assert f"The request cannot be written to {tmp_path}/file/w.csr on the controller: " in result["msg"]
    assert result["msg"].endswith("It stays on the server; the next run writes it.")
    assert result["changed"] is True
    assert "BEGIN CERTIFICATE REQUEST" in marks_of(machine)["CertificateRequest"]


@pytest.mark.parametrize(
    ("data", "why"),
    [(b"junk", "is no certificate in PEM, DER or PKCS #7"), (b"-----BEGIN PRIVATE KEY-----", "has a private key in it")],
)
def test_an_answer_that_is_none_is_refused_by_its_file(tmp_path: Path, data: bytes, why: str) -> None:
    answer = tmp_path / "w.cer"
    answer.write_bytes(data)
    result, _plugin = run(made(mode=None), source="csr", answer_file=str(answer), **EC)
    assert result["msg"].startswith(f"wsus01: The answer {answer}: {why}")
    assert result["msg"].endswith("Nothing was changed.")
    assert (result["changed"], result["changes"]) == (False, [])


def test_an_answer_from_another_time_does_not_stand_in_the_way(tmp_path: Path) -> None:
    answer = tmp_path / "w.cer"
    answer.write_bytes(pem(answer_to(request(FQDN, number=1))))
    result, _plugin = run(made(mode=None), source="csr", answer_file=str(answer), request_file=str(tmp_path / "w.csr"), **EC)
    assert not result.get("failed"), result["msg"]
    assert result["status"] == "requested"
    assert "is for a request of before; it is left alone" in result["notes"][0]


def test_an_answer_is_called_as_the_request_was_and_then_as_is_asked_for(tmp_path: Path) -> None:
    machine = made(mode=None, CertificateRequest=request(FQDN))
    name, key = waiting(friendly_name="Before")
    machine.document["certificates"]["Request"][name] = key
    one = answer_to(request(FQDN))
    (tmp_path / "w.cer").write_bytes(pem(one))
    result, _plugin = run(machine, source="csr", answer_file=str(tmp_path / "w.cer"), friendly_name="Now", **EC)
    assert not result.get("failed"), result["msg"]
    assert machine.document["certificates"]["My"][thumbprint(text_of(one))]["friendly_name"] == "Now"


# --- a PFX -------------------------------------------------------------------------------------------------------------------------


def pfx_arguments(tmp_path: Path, **differs: Any) -> dict[str, Any]:
    file = tmp_path / "w.pfx"
    file.write_bytes(leaf("newer").pfx(SECRET, root=True, friendly_name="Exported"))
    return {"source": "pfx", "pfx_file": str(file), "pfx_password": SECRET, **differs}


def test_a_pfx_is_installed_through_a_folder_that_is_noted_and_goes(tmp_path: Path) -> None:
    machine = made(mode=None)
    seen: dict[str, Any] = {}

    def look(action: OnMachine, module: str, arguments: dict[str, Any]) -> None:
        if module == "win_certificate_store":
            seen.update(arguments, marks=marks_of(machine), files=list(machine.disk.files()))

    arguments = pfx_arguments(tmp_path)
    foretold, _plugin = run(machine, check=True, **arguments)
    result, plugin = run(machine, intrude=look, **arguments)
    assert not result.get("failed"), result["msg"]
    new = leaf("newer").thumbprint
    installed = f"Install the certificate {new} with its private key, not exportable, from {arguments['pfx_file']}"
    above = f"{thumbprint(text_of(issuing().certificate))} (CN=Corp Issuing CA 1)"
    added = f"Add the certificate {above} to the store Intermediate Certification Authorities"
    assert foretold["changes"] == result["changes"] == [added, installed]
    assert (foretold["thumbprint"], result["thumbprint"], result["status"]) == (new, new, "present")
    stored = machine.document["certificates"]["My"]
    assert set(stored) == {EXPIRED, new}, "no authority among the servers' certificates"
    assert (stored[new]["exportable"], stored[new]["friendly_name"]) == (False, "WSUS")
    # The file was on the server only while the note said so.
    assert (seen["marks"], seen["files"]) == ({"TransferFolder": FOLDER}, [FOLDER + "\\certificate.pfx"])
    assert (seen["key_storage"], seen["store_location"], seen["store_name"]) == ("machine", "LocalMachine", "My")
    assert (marks_of(machine), machine.disk.files(), machine.disk.is_folder(FOLDER)) == ({}, {}, False)
    assert plugin._connection._shell.tmpdir is None
    assert [name for name, _arguments in plugin.trips] == ["wsus_state", "wsus_change", "win_certificate_store", "win_file", "wsus_change"]
    again, plugin = run(machine, **arguments)
    assert (again["changed"], len(plugin.trips)) == (False, 1)
    assert SECRET not in json.dumps([result, foretold], default=str)


def test_a_pfx_is_not_even_read_where_a_certificate_fits(tmp_path: Path) -> None:
    result, _plugin = run(made(bind(document())), source="pfx", pfx_file=str(tmp_path / "none.pfx"), pfx_password=SECRET)
    assert (result.get("failed"), result["changed"]) == (None, False)


@pytest.mark.parametrize(
    ("differs", "why"),
    [
        ({"pfx_password": "wrong"}, "The PFX {} cannot be opened: the password is wrong."),
        ({"pfx_password": None}, "The PFX {} needs a password (pfx_password)"),
        ({"fqdn": "other.corp.example"}, f"in {{}} cannot serve other.corp.example: is for {FQDN}"),
    ],
)
def test_a_pfx_that_must_not_be_installed_goes_nowhere(tmp_path: Path, differs: dict[str, Any], why: str) -> None:
    arguments = pfx_arguments(tmp_path, **differs)
    result, plugin = run(made(mode=None), **arguments)
    assert why.format(arguments["pfx_file"]) in result["msg"]
    assert result["msg"].endswith("Nothing was changed.")
    assert len(plugin.trips) == 1
    assert "wrong" not in json.dumps(result.get("invocation", {}))


def failing(where: str, error: Any) -> Any:
    def intrude(action: OnMachine, module: str, _arguments: dict[str, Any]) -> dict[str, Any] | None:
        if module != where:
            return None
        if isinstance(error, Exception):
            raise error
        return {"failed": True, "msg": error}

    return intrude


def test_a_pfx_that_the_server_refuses_does_not_stay_there(tmp_path: Path) -> None:
    machine = made(mode=None)
    result, _plugin = run(machine, intrude=failing("win_certificate_store", "Failed to load cert from file"), **pfx_arguments(tmp_path))
    assert "this failed: Failed to load cert from file The PFX was removed from the server." in result["msg"]
    assert result["changed"] is True
    assert [one[:19] for one in result["changes"]] == ["Add the certificate"]
    assert (marks_of(machine), machine.disk.files()) == ({}, {})


@pytest.mark.parametrize("where", ["transfer", "win_certificate_store"])
def test_a_connection_that_breaks_leaves_the_note_and_the_next_run_removes_the_folder(tmp_path: Path, where: str) -> None:
    machine = made(mode=None)
    arguments = pfx_arguments(tmp_path)
    result, _plugin = run(machine, intrude=failing(where, AnsibleConnectionFailure("gone")), **arguments)
    assert result["failed"]
    assert not result.get("unreachable")
    assert result["msg"].endswith(f"The PFX may still be in {FOLDER} on the server, encrypted; the next run removes it.")
    assert marks_of(machine) == {"TransferFolder": FOLDER}
    assert machine.disk.is_folder(FOLDER)
    # Even where another source has a certificate by now.
    machine.document["certificates"]["My"][LONGER] = entry("longer")
    cleaned, plugin = run(machine, source="store")
    assert cleaned["changes"] == [f"Remove the folder {FOLDER}, in which a run that was cut off left a PFX"]
    assert (marks_of(machine), machine.disk.is_folder(FOLDER)) == ({}, False)
    assert [name for name, _arguments in plugin.trips] == ["wsus_state", "win_file", "wsus_change"]
    assert run(machine, source="store")[0]["changed"] is False


def test_a_file_that_does_not_arrive_leaves_nothing(tmp_path: Path) -> None:
    machine = made(mode=None)
    result, _plugin = run(machine, intrude=failing("transfer", AnsibleError("no room")), **pfx_arguments(tmp_path))
    assert "no room" in result["msg"]
    assert (marks_of(machine), machine.disk.is_folder(FOLDER)) == ({}, False)


def test_a_folder_that_cannot_be_removed_is_told(tmp_path: Path) -> None:
    machine = made(mode=None)
    result, _plugin = run(machine, intrude=failing("win_file", "in use."), **pfx_arguments(tmp_path))
    assert f"The folder {FOLDER} on the server, with a PFX in it, cannot be removed: in use. Remove it by hand." in result["msg"]
    assert marks_of(machine) == {"TransferFolder": FOLDER}


def test_a_leftover_and_a_new_certificate_in_one_run() -> None:
    machine = made(TransferFolder=FOLDER)
    machine.disk.make_folder(FOLDER)
    result, _plugin = run(machine, **ENROLL)
    assert result["changes"] == [f"Remove the folder {FOLDER}, in which a run that was cut off left a PFX", ASKED]
    assert result["status"] == "present"
    assert (marks_of(machine), machine.disk.is_folder(FOLDER)) == ({}, False)


# --- removing --------------------------------------------------------------------------------------------------------------------------


def test_what_was_replaced_is_removed_and_what_is_used_stays() -> None:
    found = bind(document())
    found["certificates"]["My"][LONGER] = entry("longer")
    machine = made(found, ReplacedCertificates=f"{LONGER} {GOOD}")
    foretold, _plugin = run(machine, check=True, state="absent")
    assert LONGER in personal(machine)
    result, plugin = run(machine, state="absent")
    for each in (foretold, result):
        assert (each["removed"], [one["thumbprint"] for one in each["kept"]], each["changed"]) == ([LONGER], [GOOD], True)
    assert personal(machine) == {GOOD}
    assert marks_of(machine) == {"ReplacedCertificates": GOOD}
    assert len(plugin.trips) == 2
    assert run(machine, state="absent")[0]["changed"] is False
    refused, _plugin = run(machine, state="absent", thumbprint=GOOD)
    assert f"The certificate {GOOD} is in use and must not be removed" in refused["msg"]
    assert personal(machine) == {GOOD}
