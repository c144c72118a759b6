# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files that come to a machine of the lab, and the certificates in them: what Ansible sends for that, win_certificate_store and win_file."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12

from tests.lab.authority import Issued
from tests.lab.disk import Disk, DiskError
from tests.lab.engine import apply_changes, read_state
from tests.lab.lab import Lab
from tests.lab.tls import base64_of, thumbprint

from .conftest import Controller, LabMaker

ROOT = Path(__file__).resolve().parents[3]
STORE, FILE = "ansible.windows.win_certificate_store", "ansible.windows.win_file"
TEMP = "C:\\Users\\lab-administrator\\AppData\\Local\\Temp"
PFX = TEMP + "\\x.pfx"
PASSWORD = "open sesame"
WRONG = 'Failed to load cert from file: Exception calling "Import" with "3" argument(s): "The specified network password is not correct.\r\n"'
SECRET = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"


def issue(lab: Lab, name: str = "up.corp.example") -> Issued:
    return lab.authorities.lab.issue(name, [name])


def put(lab: Lab, data: bytes, path: str = PFX, server: str = "up") -> None:
    machine = lab.machine(server)
    with machine.lock:
        machine.disk.write(path, data)


def stores(lab: Lab, server: str = "up") -> dict[str, Any]:
    found: dict[str, Any] = lab.machine(server).document["certificates"]
    return found


def binding(issued: Issued) -> dict[str, Any]:
    wish = {"kind": "binding", "ip_address": "*", "port": 8531, "host_name": "", "store": "My", "ssl_flags": 0}
    return wish | {"thumbprint": issued.thumbprint}


def handshake(lab: Lab) -> None:
    context = ssl.create_default_context(cafile=str(lab.ca_file))
    with context.wrap_socket(socket.create_connection((lab.address("up"), 8531), 5), server_hostname="up.corp.example"):
        pass


class TestDisk:
    def test_files_are_in_folders_and_go_with_them(self) -> None:
        disk = Disk("admin")
        folder = disk.make_folder("C:\\a\\b\\c")
        disk.write("c:\\A\\B\\one", b"1")
        disk.write(f"{folder}\\two", b"2")
        disk.write("C:\\a\\bc", b"3")
        assert disk.files() == {"c:\\A\\B\\one": b"1", "C:\\a\\b\\c\\two": b"2", "C:\\a\\bc": b"3"}
        assert disk.read("C:\\A\\b\\.\\ONE") == b"1"
        assert disk.remove("C:\\a\\B\\.")
        assert disk.files() == {"C:\\a\\bc": b"3"}
        assert (disk.is_folder("C:\\a\\b\\c"), disk.is_folder("C:\\a"), disk.is_folder("D:\\")) == (False, True, True)
        assert not disk.remove("C:\\a\\b")

    def test_what_cannot_be_is_refused(self) -> None:
        disk = Disk("admin")
        disk.make_folder("C:\\a")
        disk.write("C:\\b", b"")
        for path in ("C:\\A", "C:\\b"):
            with pytest.raises(DiskError, match="already exists"):
                disk.make_folder(path)
        with pytest.raises(DiskError, match="Could not find a part of the path"):
            disk.write("C:\\none\\x", b"")
        with pytest.raises(DiskError, match="denied"):
            disk.write("C:\\a", b"")

    def test_variables_are_filled_in(self) -> None:
        disk = Disk("admin")
        assert disk.expand("%temp%\\x %NONE%") == "C:\\Users\\admin\\AppData\\Local\\Temp\\x %NONE%"
        assert disk.is_folder(disk.expand("%TEMP%"))


class TestTransfer:
    """By the forms of ansible-core 2.18; how each version says the same is in test_payload.py."""

    def put(self, controller: Controller, path: str, lines: bytes) -> tuple[bytes, bytes, int]:
        script = f"begin {{\n$path = '{path}'\n$fd = [System.IO.File]::Create($path)\n}}"
        line = f"PowerShell -EncodedCommand {base64.b64encode(script.encode('utf-16-le')).decode()}"
        return controller.run(line, lines)

    def test_a_file_comes_and_goes_and_is_no_trip(self, make_lab: LabMaker) -> None:
        lab = make_lab({"servers": {"up": {}, "down": {}}})
        controller = Controller(lab, "up")
        before = json.dumps(lab.machine("up").document)
        make = "$tmp_path = [System.Environment]::ExpandEnvironmentVariables('%TEMP%')\n$tmp = New-Item -Type Directory -Path $tmp_path -Name 'x-1'"
        assert controller.raw(make) == (f"{TEMP}\\x-1\r\n", "", 0)
        data = b"some data"
        stdout, _rest, code = self.put(controller, f"{TEMP}\\x-1\\f", base64.b64encode(data) + b"\r\n")
        assert (json.loads(stdout), code) == ({"sha1": hashlib.sha1(data).hexdigest()}, 0)
        assert lab.files("up") == {f"{TEMP}\\x-1\\f": data}
        assert lab.files("down") == {}
        assert json.dumps(lab.machine("up").document) == before
        assert controller.raw(f"Remove-Item '{TEMP}\\x-1\\.' -Force -Recurse;") == ("", "", 0)
        assert lab.files("up") == {}
        assert [one.command for one in lab.raw_commands] == ["make folder", "put file", "remove folder"]
        assert lab.trips == []

    def test_what_cannot_be_is_an_error(self, make_lab: LabMaker) -> None:
        controller = Controller(make_lab({"servers": {"up": {}}}), "up")
        stdout, stderr, code = self.put(controller, "C:\\none\\f", b"eA==\r\n")
        assert (stdout, code) == (b"", 1)
        assert b"Could not find a part of the path" in stderr
        stdout, stderr, code = controller.raw("Remove-Item 'C:\\none' -Force")
        assert (stdout, code, "does not exist" in stderr) == ("", 1, True)

    def test_win_file_removes_files_and_folders(self, make_lab: LabMaker) -> None:
        lab = make_lab({"servers": {"up": {}}})
        controller = Controller(lab, "up")
        lab.machine("up").disk.make_folder(f"{TEMP}\\folder")
        put(lab, b"1", f"{TEMP}\\folder\\one")
        put(lab, b"2", f"{TEMP}\\two")
        assert controller.module(FILE, path="%TEMP%\\two", state="absent", check_mode=True)["changed"]
        assert len(lab.files("up")) == 2
        assert controller.module(FILE, path="%TEMP%\\two", state="absent")["changed"]
        assert list(lab.files("up")) == [f"{TEMP}\\folder\\one"]
        assert controller.module(FILE, path=f"{TEMP}\\folder\\.", state="absent")["changed"]
        assert not controller.module(FILE, path=f"{TEMP}\\folder", state="absent")["changed"]
        assert lab.files("up") == {}
        assert controller.module(FILE, path=f"{TEMP}\\x", state="touch")["failed"]


class TestPfx:
    @pytest.mark.parametrize("modern", [True, False])
    def test_it_has_what_was_asked_for(self, make_lab: LabMaker, modern: bool) -> None:
        lab = make_lab({"servers": {"up": {}}})
        issued = issue(lab)
        whole = pkcs12.load_pkcs12(issued.pfx(PASSWORD, modern=modern, root=True, friendly_name="Ä"), PASSWORD.encode())
        assert whole.cert is not None
        assert (whole.cert.certificate, whole.cert.friendly_name) == (issued.certificate, "Ä".encode())
        assert whole.key is not None
        assert [one.certificate for one in whole.additional_certs] == list(lab.authorities.lab.chain)
        alone = pkcs12.load_pkcs12(issued.pfx(PASSWORD, modern=modern, chain=False, key=False), PASSWORD.encode())
        certificates = [one.certificate for one in (alone.cert, *alone.additional_certs) if one is not None]
        assert (certificates, alone.key) == ([issued.certificate], None)


class TestCertificateStore:
    def test_everything_in_a_pfx_comes_into_the_store_the_key_with_its_own(self, make_lab: LabMaker) -> None:
        lab = make_lab({"servers": {"up": {"certificate": "none"}}})
        issued = issue(lab)
        put(lab, issued.pfx(PASSWORD, root=True, friendly_name="WSUS 2026"))
        controller = Controller(lab, "up")
        given = {"path": "%TEMP%\\x.pfx", "password": PASSWORD, "key_exportable": False, "key_storage": "machine"}
        done = controller.module(STORE, **given)
        above = [thumbprint(one) for one in lab.authorities.lab.chain]
        assert (done["changed"], done["thumbprints"]) == (True, [*above, issued.thumbprint])
        assert done["invocation"]["module_args"] == {
            "state": "present",
            "path": PFX,
            "thumbprint": None,
            "store_name": "My",
            "store_location": "LocalMachine",
            "store_type": "system",
            "password": SECRET,
            "key_exportable": False,
            "key_storage": "machine",
            "file_type": "der",
        }
        mine = stores(lab)["My"]
        assert mine[issued.thumbprint] | {"key": ""} == {
            "der": issued.der_base64,
            "has_private_key": True,
            "friendly_name": "WSUS 2026",
            "key": "",
            "exportable": False,
        }
        assert [(mine[one]["has_private_key"], "exportable" in mine[one]) for one in above] == [(False, False)] * 2
        usable = {one["thumbprint"]: one["key_usable"] for one in read_state(lab.machine("up"))["certificates"]}
        assert usable == {above[0]: False, above[1]: False, issued.thumbprint: True}
        assert controller.module(STORE, **given)["changed"] is False
        assert apply_changes(lab.machine("up"), [binding(issued)])["failed"] is None

    def test_a_key_that_is_its_user_s_own_is_no_use_to_the_site(self, make_lab: LabMaker) -> None:
        lab = make_lab({"servers": {"up": {"certificate": "none"}}})
        issued = issue(lab)
        put(lab, issued.pfx(PASSWORD))
        Controller(lab, "up").module(STORE, path=PFX, password=PASSWORD)
        assert stores(lab)["My"][issued.thumbprint]["exportable"] is True
        failed = apply_changes(lab.machine("up"), [binding(issued)])["failed"]
        assert failed["native"] == 1312

    def test_a_certificate_that_is_there_without_its_key_gets_it(self, make_lab: LabMaker) -> None:
        lab = make_lab({"servers": {"up": {"certificate": "none"}}})
        issued = issue(lab)
        controller = Controller(lab, "up")
        for data, usable in ((issued.der, False), (issued.pfx(PASSWORD, chain=False), True), (issued.certificate_pem.encode(), True)):
            put(lab, data)
            done = controller.module(STORE, path=PFX, password=PASSWORD, key_storage="machine")
            assert done["thumbprints"] == [issued.thumbprint]
            (seen,) = read_state(lab.machine("up"))["certificates"]
            assert seen["key_usable"] is usable
        assert done["changed"] is False

    def test_authorities_go_where_they_are_sent(self, make_lab: LabMaker) -> None:
        lab = make_lab({"servers": {"up": {"trusts_ca": False, "intermediates": False}}})
        (root, issuing) = (lab.authorities.lab.chain[1], lab.authorities.lab.chain[0])
        controller = Controller(lab, "up")
        for store, certificate in (("Root", root), ("CertificateAuthority", issuing)):
            put(lab, base64.b64decode(base64_of(certificate)))
            assert controller.module(STORE, path=PFX, store_name=store)["changed"]
        assert (list(stores(lab)["Root"]), list(stores(lab)["CA"])) == ([thumbprint(root)], [thumbprint(issuing)])

    @pytest.mark.parametrize(
        ("build", "modern", "password", "read"),
        [
            ("20348.1", True, PASSWORD, True),
            ("20348.1", True, "wrong", False),
            ("20348.1", True, None, False),
            ("17763.1", True, PASSWORD, True),
            ("14393.1", False, PASSWORD, True),
            ("14393.1", False, "wrong", False),
            ("14393.1", True, PASSWORD, False),
        ],
    )
    def test_a_wrong_password_and_what_server_2016_cannot_read_are_the_same(
        self, make_lab: LabMaker, build: str, modern: bool, password: str | None, read: bool
    ) -> None:
        lab = make_lab({"servers": {"up": {"certificate": "none", "build": build}}})
        put(lab, issue(lab).pfx(PASSWORD, modern=modern))
        done = Controller(lab, "up").module(STORE, path=PFX, password=password)
        assert (done["changed"], done.get("failed", False), len(stores(lab)["My"])) == (read, not read, 2 if read else 0)
        if not read:
            assert (done["msg"], done["thumbprints"]) == (WRONG, [])
        assert done["invocation"]["module_args"]["password"] == (SECRET if password else None)

    @pytest.mark.parametrize(
        ("algorithm", "digest", "read"),
        [
            (pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC, hashes.SHA1(), True),
            (pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC, hashes.SHA256(), False),
            (pkcs12.PBES.PBESv2SHA256AndAES256CBC, hashes.SHA1(), False),
        ],
    )
    def test_server_2016_reads_neither_aes_nor_a_mac_of_sha_256(self, make_lab: LabMaker, algorithm: Any, digest: Any, read: bool) -> None:
        lab = make_lab({"servers": {"up": {"certificate": "none", "build": "14393.8524"}}})
        issued = issue(lab)
        key = serialization.load_pem_private_key(issued.key_pem.encode(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        builder = serialization.PrivateFormat.PKCS12.encryption_builder().kdf_rounds(1000).key_cert_algorithm(algorithm).hmac_hash(digest)
        encryption = builder.build(PASSWORD.encode())
        put(lab, pkcs12.serialize_key_and_certificates(None, key, issued.certificate, None, encryption))
        assert Controller(lab, "up").module(STORE, path=PFX, password=PASSWORD)["changed"] is read

    def test_check_mode_changes_nothing_and_says_what_it_would(self, make_lab: LabMaker) -> None:
        lab = make_lab({"servers": {"up": {}}})
        (mine,) = stores(lab)["My"]
        issued = issue(lab)
        put(lab, issued.pfx(PASSWORD, chain=False))
        controller = Controller(lab, "up")
        before = json.dumps(lab.machine("up").document)
        for given in ({"path": PFX, "password": PASSWORD}, {"state": "absent", "thumbprint": mine}):
            assert controller.module(STORE, check_mode=True, **given)["changed"]
        assert json.dumps(lab.machine("up").document) == before

    def test_certificates_go_by_thumbprint_or_by_file_and_the_site_follows(self, make_lab: LabMaker) -> None:
        lab = make_lab({"servers": {"up": {"stage": "offered"}}})
        (mine,) = stores(lab)["My"]
        controller = Controller(lab, "up")
        handshake(lab)
        done = controller.module(STORE, state="absent", thumbprint=mine.lower())
        assert (done["changed"], done["thumbprints"], stores(lab)["My"]) == (True, [mine.lower()], {})
        assert not controller.module(STORE, state="absent", thumbprint=mine.lower())["changed"]
        with pytest.raises(OSError, match=r"reset|EOF|closed"):
            handshake(lab)
        put(lab, lab.authorities.other.der)
        assert controller.module(STORE, state="absent", path=PFX, store_name="CA")["changed"]
        assert list(stores(lab)["CA"]) == [thumbprint(lab.authorities.lab.certificate)]
        assert not controller.module(STORE, state="absent", path=PFX, store_name="CA")["changed"]

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({}, "state is present but all of the following are missing: path"),
            ({"state": "absent"}, "state is absent but any of the following are missing: path, thumbprint"),
            ({"state": "there", "path": PFX}, "value of state must be one of: absent, exported, present. Got no match for: there"),
            ({"path": "C:\\none"}, "File at 'C:\\none' either does not exist or is not a file"),
            (
                {"path": PFX, "store_name": "None"},
                "unable to find store 'None': (CertOpenStore failed (The system cannot find the file specified, Win32ErrorCode 2 - 0x00000002))",
            ),
            (
                {"path": PFX, "store_location": "Here"},
                "value of store_location must be one of: CurrentUser, LocalMachine. Got no match for: Here",
            ),
            (
                {"path": PFX},
                'Failed to load cert from file: Exception calling "Import" with "3" argument(s): "Cannot find the requested object.\r\n"',
            ),
            (
                {"path": PFX, "state": "exported", "thumbprint": "AB"},
                "The lab serves ansible.windows.win_certificate_store for the computer's stores, and not to export.",
            ),
        ],
    )
    def test_what_is_wrong_is_said_in_the_module_s_words(self, make_lab: LabMaker, given: dict[str, Any], message: str) -> None:
        lab = make_lab({"servers": {"up": {}}})
        put(lab, b"no certificate")
        done = Controller(lab, "up").module(STORE, **given)
        assert (done["failed"], done["changed"], done["msg"]) == (True, False, message)

    def test_the_password_is_nowhere_in_a_result(self, make_lab: LabMaker) -> None:
        lab = make_lab({"servers": {"up": {}}})
        controller = Controller(lab, "up")
        for given in ({"path": f"C:\\{PASSWORD}"}, {"path": PFX, "state": PASSWORD}, {"state": "absent"}):
            done = controller.module(STORE, **{"password": PASSWORD} | given)
            assert done["failed"]
            assert done["invocation"]["module_args"].pop("password") == SECRET
            assert PASSWORD not in json.dumps(done)

    def test_a_fault_can_be_armed_for_it(self, make_lab: LabMaker) -> None:
        lab = make_lab({"servers": {"up": {"certificate": "none", "faults": {"changes": {"import My": "The disk is full."}}}}})
        put(lab, issue(lab).pfx(PASSWORD, chain=False))
        done = Controller(lab, "up").module(STORE, path=PFX, password=PASSWORD)
        assert "Unable to import certificate with thumbprint" in done["msg"]
        assert "The disk is full." in done["msg"]


ACTION = """
from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        folder = self._make_tmp_path()
        remote = self._connection._shell.join_path(folder, "it's.pfx")
        self._transfer_file(self._task.args["src"], remote)
        given = {"path": remote, "password": self._task.args["password"], "key_storage": "machine"}
        result["store"] = self._execute_module("ansible.windows.win_certificate_store", module_args=given, task_vars=task_vars)
        if self._task.args["keep"]:
            gone = {"path": remote, "state": "absent"}
            result["file"] = self._execute_module("ansible.windows.win_file", module_args=gone, task_vars=task_vars)
        self._remove_tmp_path(folder)
        return result
"""


@pytest.mark.every_core
@pytest.mark.parametrize("become", [{}, {"become": True, "become_method": "runas", "become_user": "SYSTEM"}])
def test_an_action_plugin_of_a_real_ansible_installs_a_pfx(make_lab: LabMaker, tmp_path: Path, become: dict[str, Any]) -> None:
    lab = make_lab({"servers": {"up": {"certificate": "none"}}})
    issued = issue(lab)
    (tmp_path / "action_plugins").mkdir()
    (tmp_path / "action_plugins" / "give.py").write_text(ACTION, encoding="utf-8")
    sources = {"right": issued.pfx(PASSWORD), "long": bytes(600000), "empty": b""}
    tasks = []
    for number, (name, data) in enumerate(sources.items()):
        (tmp_path / name).write_bytes(data)
        tasks.append({"name": name, "give": {"src": str(tmp_path / name), "password": PASSWORD, "keep": number == 0}, **become})
    (tmp_path / "playbook.yml").write_text(json.dumps([{"hosts": "up", "gather_facts": False, "tasks": tasks}]), encoding="utf-8")
    environment = {
        **{name: value for name, value in os.environ.items() if name == "ANSIBLE_COLLECTIONS_PATH" or not name.startswith("ANSIBLE_")},
        "ANSIBLE_CONFIG": str(tmp_path / "none.cfg"),
        "ANSIBLE_HOME": str(tmp_path / "ansible"),
        "NO_PROXY": "127.0.0.0/8",
    }
    environment.setdefault("ANSIBLE_COLLECTIONS_PATH", str(ROOT / ".cache" / "collections"))
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "--inventory", str(lab.inventory), str(tmp_path / "playbook.yml"), "-v"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert PASSWORD not in done.stdout
    assert stores(lab)["My"][issued.thumbprint]["has_private_key"]
    assert [one.command for one in lab.raw_commands] == ["make folder", "put file", "remove folder"] * 3
    assert lab.counts() == {"up": {STORE: 3, FILE: 1}}
    assert {trip.become_user for trip in lab.trips} == {become.get("become_user")}
    assert lab.files("up") == {}
