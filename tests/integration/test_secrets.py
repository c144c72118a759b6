# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""No password and no private key is printed, returned or kept, however much the user wants to be told."""

from __future__ import annotations

import base64
import binascii
import copy
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.integration.certificates import TRUST, messages, pem, sane
from tests.integration.controller import Controller
from tests.integration.rollouts import set_variables
from tests.lab import modules
from tests.lab.disk import Disk
from tests.lab.lab import Lab
from tests.lab.machine import Machine

PLAY: list[dict[str, Any]] = [
    {"hosts": "wsus01", "gather_facts": False, "roles": ["securepatch.wsus.https_server"]},
    {
        "hosts": "wsus02",
        "gather_facts": False,
        "roles": [{"role": "securepatch.wsus.downstream", "downstream_upstream": "wsus01.corp.example"}],
    },
    {
        "hosts": "wsus02",
        "gather_facts": False,
        "tasks": [
            {"name": "Look", "securepatch.wsus.wsus_server_info": {}, "register": "seen"},
            {"name": "Show all", "ansible.builtin.debug": {"var": "seen"}},
            {"name": "Break", "securepatch.wsus.wsus_app_pool": {"queue_length": 4711}},
        ],
    },
]


def _decoded(text: str) -> Iterator[str]:
    """What stands in a text as Base64, as PowerShell's -EncodedCommand does."""
    for token in set(re.findall(r"[A-Za-z0-9+/]{24,}={0,2}", text)):
        try:
            raw = base64.b64decode(token + "=" * (-len(token) % 4))
        except binascii.Error:
            continue
        yield raw.decode("utf-8", "replace")
        yield raw.decode("utf-16-le", "replace")
        yield raw.decode("latin-1")


def test_password_and_private_keys_are_nowhere(controller: Callable[..., Controller]) -> None:
    fleet = controller({"servers": {"wsus01": {}, "wsus02": {"upstream": "wsus01", "faults": {"changes": {"commit iis": "No"}}}}})
    password = yaml.safe_load(fleet.lab.inventory.read_text())["wsus_servers"]["vars"]["ansible_password"]
    keys = [one["key"] for name in ("wsus01", "wsus02") for one in fleet.lab.machine(name).document["certificates"]["My"].values()]
    # The first lines of a P-256 key are the private number; what follows is the public one, which is in the certificate too.
    secrets = [password, "PRIVATE KEY", *(line for key in keys for line in key.splitlines()[1:3])]
    one = fleet.playbook(PLAY, "-vvvv", "--diff", https_server_restart="services", https_server_require_tls=True, https_server_ignore_downstream=True)
    assert one.code != 0, "the last task is a failure, whose message is looked at too"
    assert one.of("Break")["msg"].startswith("wsus02: ")
    wrong = fleet.task("wsus01", "wsus_server_info", "-vvvv", "-e", "ansible_user=somebody")
    assert wrong.code != 0, "so is a login that is refused"
    kept = list((fleet.folder / "backup").iterdir())
    assert len(kept) == 2
    places = {
        "printed": one.output + wrong.output,
        "results": json.dumps([*one.results, *wrong.results], default=str),
        "backup": "".join(path.read_text() for path in kept),
        "record of the lab": json.dumps([trip.record() for trip in fleet.lab.trips] + [vars(each) for each in fleet.lab.raw_commands]),
    }
    assert len(places["printed"]) > 50_000, "it was told to say everything"
    for place, text in places.items():
        everything = [text, *_decoded(text)]
        for secret in secrets:
            assert not any(secret in each for each in everything), f"a secret is in what is {place}"


# --- certificates ----------------------------------------------------------------------------------------------------

#: The first has what a shell, JSON, PowerShell and another code page could stumble over; what is looked for is its plain part.
RIGHT, WRONG = "Kennwort-4711-right 'a' \"b\" $c `d ü", "Kennwort-0815-wrong"
OBTAIN: dict[str, Any] = {"hosts": "wsus_servers", "gather_facts": False, "roles": ["securepatch.wsus.certificate"]}


def _of_keys(keys: Iterable[str]) -> Iterator[str]:
    """What must not be seen of private keys (PEM): the lines with the private numbers, and these numbers by themselves."""
    for key in set(keys):
        private, lines = load_pem_private_key(key.encode(), None), key.splitlines()[1:-1]
        if isinstance(private, ec.EllipticCurvePrivateKey):
            numbers = [private.private_numbers().private_value]
            yield from lines[:2]  # what follows is the public key
        else:
            assert isinstance(private, rsa.RSAPrivateKey)
            numbers = [private.private_numbers().d, private.private_numbers().p, private.private_numbers().q]
            yield from lines[len(lines) // 3 :]  # what comes before is the public key
        for number in numbers:
            raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
            yield from (raw.decode("latin-1"), raw.hex(), raw.hex().upper())


def _of_files(files: Iterable[bytes]) -> Iterator[str]:
    """What must not be seen of files: every piece of them, as it is and in base64."""
    for data in files:
        for start in range(0, len(data) - 24, 24):
            yield data[start : start + 24].decode("latin-1")
            yield base64.b64encode(data[start : start + 24]).decode("ascii")


def _keys(lab: Lab) -> list[str]:
    """Every private key in the simulated key stores, which are the one place for them."""
    stores = [store for name in lab.fleet.members for store in lab.machine(name).document["certificates"].values()]
    return [entry["key"] for store in stores for entry in store.values() if "key" in entry]


def _without_keys(document: Mapping[str, Any]) -> dict[str, Any]:
    found = copy.deepcopy(dict(document))
    for store in found["certificates"].values():
        for entry in store.values():
            entry.pop("key", None)
    return found


def _of_arguments(module: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a module but for the one that Ansible itself keeps secret."""
    return {name: value for name, value in arguments.items() if (module, name) != ("ansible.windows.win_certificate_store", "password")}


class Record:
    """What the machines of a lab got: the arguments of modules, and the files that were copied."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.arguments: list[tuple[str, dict[str, Any]]] = []
        self.files: list[bytes] = []
        run, write = modules.run, Disk.write

        def running(machine: Machine, asked: Any, *rest: Any) -> Any:
            self.arguments.append((asked.module, copy.deepcopy(asked.arguments)))
            return run(machine, asked, *rest)

        def writing(disk: Disk, path: str, data: bytes) -> None:
            self.files.append(data)
            write(disk, path, data)

        monkeypatch.setattr(modules, "run", running)
        monkeypatch.setattr(Disk, "write", writing)


def test_nothing_of_a_pfx_and_no_key_is_anywhere_but_in_the_key_stores(
    controller: Callable[..., Controller], monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    inputs, temporary = tmp_path_factory.mktemp("inputs"), tmp_path_factory.mktemp("temporary")
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setenv("ANSIBLE_DISPLAY_ARGS_TO_STDOUT", "1")
    record = Record(monkeypatch)
    sources = {"issued": "enterprise_ca", "refused": "enterprise_ca", "requested": "csr", "store": "store"}
    by_pfx = ("works", "wrong", "junk", "cut", "fails", "misspelled", "late")
    servers: dict[str, Any] = {name: {"certificate": "none"} for name in (*sources, *by_pfx)}
    servers |= {
        "refused": {"certificate": "none", "may_enroll": False},
        "store": {},
        "cut": {"certificate": "none", "faults": {"drop": {"when": "after", "module": "win_certificate_store"}}},
        "fails": {"certificate": "none", "faults": {"changes": {"import My": "Zugriff verweigert"}}},
    }
    fleet = controller({"ca": {}, "servers": servers})
    lab = fleet.lab
    authority = lab.authorities.lab
    pfx = {name: authority.issue(f"{name}.corp.example", [f"{name}.corp.example"]) for name in by_pfx}
    files = {name: one.pfx(RIGHT) for name, one in pfx.items()} | {"junk": b"junk" * 1000 + pfx["junk"].key_pem.encode()}
    for name, data in files.items():
        (inputs / f"{name}.pfx").write_bytes(data)
        set_variables(lab, name, certificate_source="pfx", certificate_pfx_file=str(inputs / f"{name}.pfx"))
    for name, source in sources.items():
        set_variables(lab, name, certificate_source=source)
    set_variables(lab, "wrong", which_password="wrong")
    set_variables(lab, "misspelled", certificate_key_algorithm="misspelled")
    secrets_file = inputs / "secrets.yml"
    secrets_file.write_text(yaml.safe_dump({"certificate_pfx_password": RIGHT}))
    inventory = lab.inventory.read_text()

    # From a file of variables, told to say everything, with failures of all kinds.
    loud = ["-vvvvvv", "--diff"]
    (inputs / "passwords.yml").write_text(yaml.safe_dump({"passwords": {"right": RIGHT, "wrong": WRONG}}))
    password = {"certificate_pfx_password": "{{ passwords[which_password | default('right')] }}"}
    play = {**OBTAIN, "vars": password, "vars_files": [str(inputs / "passwords.yml")]}
    runs = [sane(fleet.playbook([play], *loud, "--limit", "all,!late"))]
    said = messages(runs[0])
    assert set(said) == {"refused", "wrong", "junk", "cut", "fails"}, runs[0].output[-3000:]
    cut_off = lab.files("cut")
    assert len(cut_off) == 1

    # Given with -e as a file; one run removes what the cut left, and an answer and a file of authorities have a key that is not theirs to have.
    lab.heal()
    answer = fleet.folder / "wsus-requests" / "requested.csr"
    stranger = authority.issue("requested.corp.example", ["requested.corp.example"])
    inputs.joinpath("requested.cer").write_bytes(pem(authority.sign(answer.read_text())) + stranger.key_pem.encode())
    set_variables(lab, "requested", certificate_answer_file=str(inputs / "requested.cer"))
    set_variables(lab, "misspelled", certificate_key_algorithm="RSA")
    lab.ca.may_not_enroll.clear()
    runs.append(sane(fleet.playbook([OBTAIN], *loud, "--limit", "all,!late", "-e", f"@{secrets_file}")))
    assert set(messages(runs[1])) == {"requested", "junk"}, runs[1].output[-3000:]
    (inputs / "authorities.pem").write_bytes(lab.ca_chain_file.read_bytes() + stranger.key_pem.encode())
    runs.append(sane(fleet.playbook(TRUST, *loud, "--limit", "store", trust_authorities=[str(inputs / "authorities.pem")])))
    assert "has a private key in it" in messages(runs[2])["store"]
    # On the command line Ansible itself shows it from -vvvv on.
    runs.append(sane(fleet.playbook([OBTAIN], "-vvv", "--diff", "--limit", "late", certificate_pfx_password=RIGHT)))
    assert runs[3].code == 0, runs[3].output[-3000:]

    assert {name for name in servers if lab.files(name)} == set()
    assert not list(temporary.iterdir()), "nothing stays among the controller's temporary files"
    keys = [*_keys(lab), *(one.key_pem for one in pfx.values()), stranger.key_pem]
    assert len(keys) >= 16
    secrets = {"Kennwort-4711", "Kennwort-0815", "PRIVATE KEY", *_of_keys(keys), *_of_files([*files.values(), *record.files])}
    assert len(record.files) == 7, "those that were installed, and once more the one that failed"
    places = {
        "printed": "".join(run.output for run in runs),
        "results": json.dumps([run.results for run in runs], default=str),
        "arguments": json.dumps([_of_arguments(module, arguments) for module, arguments in record.arguments]),
        "trips": json.dumps([trip.record() for trip in lab.trips] + [vars(each) for each in lab.raw_commands]),
        "machines": json.dumps([_without_keys(lab.machine(name).document) for name in servers]),
        "cut off": json.dumps(list(cut_off)),
        **{str(path): path.read_bytes().decode("latin-1") for path in _files(fleet.folder, but=lab.inventory)},
    }
    assert any("backup" in place for place in places)
    assert any(place.endswith("requested.csr") for place in places)
    given = [arguments for module, arguments in record.arguments if module.endswith("win_certificate_store")]
    assert {one["password"] for one in given} == {RIGHT}, "there it goes, and nowhere else"
    for place, text in places.items():
        everything = [text, *_decoded(text)]
        found = [secret for secret in secrets if any(secret in each for each in everything)]
        assert not found, f"{len(found)} secrets are in {place}: {found[0]!r}"
    assert RIGHT not in inventory


def _files(folder: Path, but: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path != but]
