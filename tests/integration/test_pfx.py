# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Certificates from a PFX of the controller, and the removal of certificates: what is refused, and that nothing is left that should not be."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import pkcs12

from tests.integration.certificates import lacking, made, messages, personal, role, sane
from tests.integration.controller import Controller
from tests.integration.rollouts import documents, marks, set_variables, store, trips
from tests.lab.authority import Issued
from tests.lab.lab import Lab
from tests.lab.tls import thumbprint

PASSWORD = "Kennwort 'mit' \"Zeichen\" $x `n äöü"
PFX = {"certificate_source": "pfx", "certificate_pfx_password": PASSWORD}
MARKS = r"HKLM:\SOFTWARE\securepatch.wsus"
FOLDER = r"C:\\Users\\lab-administrator\\AppData\\Local\\Temp\\ansible-tmp-[0-9.-]+"
HELPED = "Add the certificate {} (CN=Lab Issuing CA 1) to the store Intermediate Certification Authorities"

Start = Callable[..., Controller]


def issue(lab: Lab, name: str, **options: Any) -> Issued:
    """A certificate for a server, from the CA of its domain."""
    fqdn = f"{name}.corp.example"
    return lab.authorities.lab.issue(fqdn, [fqdn], **options)


def hand_over(fleet: Controller, name: str, data: bytes) -> Path:
    """Put a PFX on the controller, for one server."""
    file = fleet.folder / f"{name}.pfx"
    file.write_bytes(data)
    set_variables(fleet.lab, name, certificate_pfx_file=str(file))
    return file


def write_mark(lab: Lab, name: str, mark: str, text: str) -> None:
    with lab.edit(name) as document:
        document["registry"].setdefault(MARKS, {})[mark] = {"kind": "String", "data": text}


def installed(issued: Issued, file: Path) -> str:
    return f"Install the certificate {issued.thumbprint} with its private key, not exportable, from {file}"


@pytest.mark.every_core
def test_a_pfx_is_installed_and_nothing_of_it_is_left_behind(controller: Start) -> None:
    servers: dict[str, Any] = {
        "modern": {"intermediates": False, "trusts_ca": False},
        "old": {"build": "14393.8524", "intermediates": False},
        "another-mark": {},
    }
    fleet = controller({"defaults": {"certificate": "expired"}, "servers": servers})
    lab = fleet.lab
    issued = {name: issue(lab, name) for name in servers}
    files = {name: hand_over(fleet, name, one.pfx(PASSWORD, modern=name != "old", root=True)) for name, one in issued.items()}
    # A folder that no run of this collection made is not removed, whatever a mark says.
    write_mark(lab, "another-mark", "TransferFolder", r"C:\Windows\Temp")
    with lab.machine("another-mark").lock:
        lab.machine("another-mark").disk.write(r"C:\Windows\Temp\theirs.txt", b"theirs")
    before, stores = documents(lab), {name: {which: store(lab, name, which) for which in ("My", "CA", "Root")} for name in servers}

    foretold = role(fleet, "--check", **PFX)
    assert foretold.code == 0, foretold.output
    assert (documents(lab), lab.raw_commands) == (before, [])
    since = len(lab.trips)
    run = role(fleet, **PFX)
    assert run.code == 0, run.output
    issuing, root = (thumbprint(one) for one in lab.authorities.lab.chain)
    helped = HELPED.format(issuing)
    expected = {name: [helped, installed(one, files[name])] for name, one in issued.items()}
    # A certificate is put where it belongs again, and that is told, because nobody asked whether it was there.
    assert made(foretold) == made(run) == expected
    for name, one in issued.items():
        entry = personal(lab, name)[one.thumbprint]
        assert (entry["exportable"], entry["friendly_name"], entry.get("key_set")) == (False, "WSUS", None)
        assert store(lab, name) == stores[name]["My"] | {one.thumbprint}, "the certificate alone"
        assert store(lab, name, "CA") == stores[name]["CA"] | {issuing}
        assert store(lab, name, "Root") == stores[name]["Root"], "a root in a PFX is not trusted by that"
        assert root not in store(lab, name, "CA")
        assert marks(lab, name) == {}
        assert [trip.module.rpartition(".")[2] for trip in trips(lab, since) if trip.server == name] == [
            "wsus_state",
            "wsus_change",
            "win_certificate_store",
            "win_file",
            "wsus_change",
        ]
    assert {name: lab.files(name) for name in servers} == {"modern": {}, "old": {}, "another-mark": {r"C:\Windows\Temp\theirs.txt": b"theirs"}}

    # The file is asked for only where no certificate fits.
    for file in files.values():
        file.unlink()
    again = role(fleet, certificate_source="pfx")
    assert (again.code, again.changed) == (0, []), again.output


REFUSED = {
    "wrong-password": "cannot be opened: the password is wrong",
    "no-password": "needs a password (pfx_password)",
    "no-key": "has no private key in it: export it with its private key",
    "junk": "is no PFX (PKCS #12), or is damaged",
    "cut": "is no PFX (PKCS #12), or is damaged",
    "pem": "is PEM, not a PFX (PKCS #12)",
    "incomplete": "The chain in {} is incomplete: the certificate was issued by CN=Lab Issuing CA 1",
    "other-name": "cannot serve other-name.corp.example: is for junk.corp.example, not for other-name.corp.example",
    "expired": "expired on ",
    "short": "fewer than 30",
    "client": "is not for Server Authentication",
    "old": "is encrypted with AES or SHA-256, which this Windows (build 14393, Server 2016) cannot read",
    "missing": "The PFX {} cannot be read on the controller: No such file or directory.",
    "folder": "The PFX {} cannot be read on the controller: Is a directory.",
}


def test_a_pfx_that_cannot_be_installed_is_refused_before_anything_is_copied(controller: Start) -> None:
    servers = {name: {"build": "14393.8524"} if name == "old" else {} for name in REFUSED}
    fleet = controller({"defaults": {"certificate": "none"}, "servers": servers})
    lab, now = fleet.lab, datetime.now(tz=UTC)
    good = {name: issue(lab, name) for name in REFUSED}
    for name, one in good.items():
        hand_over(fleet, name, one.pfx(PASSWORD))
    set_variables(lab, "wrong-password", certificate_pfx_password="Kennwort")
    set_variables(lab, "no-password", certificate_pfx_password="")
    for name in set(REFUSED) - {"wrong-password", "no-password"}:
        set_variables(lab, name, certificate_pfx_password=PASSWORD)
    hand_over(fleet, "no-key", good["no-key"].pfx(PASSWORD, key=False))
    hand_over(fleet, "junk", b"junk" * 500)
    hand_over(fleet, "cut", good["cut"].pfx(PASSWORD)[:-100])
    hand_over(fleet, "pem", (good["pem"].chain_pem + good["pem"].key_pem).encode())
    hand_over(fleet, "incomplete", good["incomplete"].pfx(PASSWORD, chain=False))
    hand_over(fleet, "other-name", good["junk"].pfx(PASSWORD))
    hand_over(fleet, "expired", issue(lab, "expired", not_before=now - timedelta(days=40), not_after=now - timedelta(days=2)).pfx(PASSWORD))
    hand_over(fleet, "short", issue(lab, "short", not_after=now + timedelta(days=20)).pfx(PASSWORD))
    hand_over(fleet, "client", issue(lab, "client", server_authentication=False).pfx(PASSWORD))
    (fleet.folder / "missing.pfx").unlink()
    (fleet.folder / "folder.pfx").unlink()
    (fleet.folder / "folder.pfx").mkdir()
    before = documents(lab)
    file = {name: f"{fleet.folder}/{name}.pfx" for name in REFUSED}
    expected = {name: (file[name], why.format(file[name]), "Nothing was changed.") for name, why in REFUSED.items()}
    for arguments in (["--check"], []):
        run = role(fleet, *arguments, certificate_source="pfx")
        assert lacking(messages(run), expected) == {}, run.output
        assert PASSWORD not in run.output
        assert (documents(lab), lab.raw_commands) == (before, [])
    assert {trip.module.rpartition(".")[2] for trip in lab.trips} == {"wsus_state"}

    (fleet.folder / "folder.pfx").rmdir()
    for name, one in good.items():
        hand_over(fleet, name, one.pfx(PASSWORD, modern=name != "old", chain=name != "incomplete"))
    set_variables(lab, "incomplete", certificate_authorities=[str(lab.ca_chain_file)])
    done = role(fleet, **PFX)
    assert done.code == 0, done.output
    assert {name: list(personal(lab, name)) for name in REFUSED} == {name: [one.thumbprint] for name, one in good.items()}
    assert {name: lab.files(name) for name in REFUSED} == {name: {} for name in REFUSED}


def test_an_import_that_fails_or_is_cut_off_is_cleaned_up_and_finished_by_the_next_run(controller: Start) -> None:
    drops: dict[str, dict[str, Any]] = {
        "noted": {"when": "during", "changes": 1, "module": "wsus_change"},
        "before": {"when": "before", "module": "win_certificate_store"},
        "after": {"when": "after", "module": "win_certificate_store"},
        "removal": {"when": "before", "module": "win_file"},
        "removed": {"when": "after", "module": "win_file"},
    }
    servers: dict[str, Any] = {name: {"faults": {"drop": drop}} for name, drop in drops.items()}
    servers["fails"] = {"faults": {"changes": {"import My": "Zugriff verweigert"}}}
    fleet = controller({"defaults": {"certificate": "none"}, "servers": servers})
    lab = fleet.lab
    issued = {name: issue(lab, name) for name in servers}
    files = {name: hand_over(fleet, name, one.pfx(PASSWORD)) for name, one in issued.items()}

    first = role(fleet, **PFX)
    cut = ("The connection", "The PFX may still be in C:\\Users\\", "encrypted; the next run removes it.")
    expected: dict[str, tuple[str, ...]] = dict.fromkeys(("before", "after"), cut)
    expected |= dict.fromkeys(("removal", "removed"), ("The connection",))
    expected["noted"] = ("The connection", "which of them took effect is not known: Note on the server where the PFX is")
    expected["fails"] = ("Zugriff verweigert", "The PFX was removed from the server.")
    assert lacking(messages(first), expected) == {}, first.output
    assert PASSWORD not in first.output
    left = {name for name in servers if lab.files(name)}
    assert left == {"before", "after", "removal"}
    for name in left:
        ((path, data),) = lab.files(name).items()
        assert path == f"{marks(lab, name)['TransferFolder']}\\certificate.pfx"
        assert re.fullmatch(FOLDER + r"\\certificate\.pfx", path), path
        inside = pkcs12.load_pkcs12(data, PASSWORD.encode())
        assert inside.additional_certs == [], "the certificate and its key alone"
    assert {name for name in servers if "TransferFolder" in marks(lab, name)} == set(drops)
    assert {name: list(personal(lab, name)) for name in servers if personal(lab, name)} == {
        name: [issued[name].thumbprint] for name in ("after", "removal", "removed")
    }

    lab.heal()
    seen = documents(lab)
    foretold = role(fleet, "--check", **PFX)
    assert documents(lab) == seen
    second = role(fleet, **PFX)
    assert second.code == 0, second.output
    assert made(foretold) == made(second)
    for name, changes in made(second).items():
        assert bool(re.fullmatch(rf"Remove the folder {FOLDER}, in which a run that was cut off left a PFX", changes[0])) == (name in drops)
        assert (installed(issued[name], files[name]) in changes) == (name in {"noted", "before", "fails"})
    assert {name: (list(personal(lab, name)), lab.files(name), marks(lab, name)) for name in servers} == {
        name: ([one.thumbprint], {}, {}) for name, one in issued.items()
    }
    assert role(fleet, **PFX).changed == []


# --- removing --------------------------------------------------------------------------------------------------------

HTTP_SYS = r"HKLM:\SYSTEM\CurrentControlSet\Services\HTTP\Parameters\SslBindingInfo"
REMOTE_DESKTOP = r"HKLM:\SYSTEM\CurrentControlSet\Control\Terminal Server\WinStations\RDP-Tcp"


def test_a_certificate_that_anything_on_the_machine_uses_is_not_removed(controller: Start) -> None:
    uses = ("bound", "other-site", "winrm", "desktop", "kernel", "nobody")
    certificates = [{"friendly_name": name} for name in uses]
    fleet = controller({"servers": {"wsus01": {"stage": "offered", "certificate": certificates}}})
    lab = fleet.lab
    of = {entry["friendly_name"]: mark for mark, entry in personal(lab, "wsus01").items()}
    bindings = [{"protocol": "https", "information": "*:9443:", "certificate_hash": of["other-site"], "certificate_store": "My"}]
    with lab.edit("wsus01") as document:
        document["iis"]["sites"].append({"id": 7, "name": "Intranet", "state": "Stopped", "bindings": bindings, "applications": []})
        for endpoint, name in {"0.0.0.0:5986": "winrm", "10.1.2.3:443": "kernel"}.items():
            document["registry"][f"{HTTP_SYS}\\{endpoint}"] = {"SslCertHash": {"kind": "Binary", "data": of[name]}}
        document["registry"][REMOTE_DESKTOP] = {"SSLCertificateSHA1Hash": {"kind": "Binary", "data": of["desktop"]}}
    why = {
        "bound": ("the site 'WSUS Administration' binds it to *:8531:", "http.sys serves it at 0.0.0.0:8531"),
        "other-site": ("the site 'Intranet' binds it to *:9443:",),
        "winrm": ("http.sys serves it at 0.0.0.0:5986 (WinRM over HTTPS)",),
        "desktop": ("Remote Desktop uses it",),
        "kernel": ("http.sys serves it at 10.1.2.3:443",),
    }
    before = documents(lab)

    def remove(*arguments: str, **options: Any) -> Any:
        module = "securepatch.wsus.wsus_certificate"
        asked = [{"name": name, module: {"state": "absent", "thumbprint": of[name]}, "ignore_errors": True} for name in why] if not options else []
        tasks = [*asked, *([{"name": "It", module: {"state": "absent"}}] if options else [])]
        return sane(fleet.playbook([{"hosts": "wsus01", "gather_facts": False, "tasks": tasks}], *arguments))

    for arguments in (["--check"], []):
        run = remove(*arguments)
        said = {name: str(run.of(name)["msg"]) for name in why}
        in_use = {name: f"wsus01: The certificate {of[name]} is in use and must not be removed: " for name in why}
        assert lacking(said, {name: (in_use[name], *words, "Nothing was changed.") for name, words in why.items()}) == {}
        assert documents(lab) == before

    # What was replaced goes as far as it can, the rest stays with a note; what is gone already is forgotten.
    write_mark(lab, "wsus01", "ReplacedCertificates", " ".join([*(of[name] for name in uses), "AB" * 20]))
    seen = documents(lab)
    foretold = remove("--check", replaced=True).of("It")
    assert documents(lab) == seen
    done = remove(replaced=True).of("It")
    assert done["changes"] == foretold["changes"]
    assert done["removed"] == [of["nobody"]]
    assert {one["thumbprint"] for one in done["kept"]} == {of[name] for name in why}
    assert [note for name, words in why.items() for note in done["notes"] if of[name] in note and words[0] in note] == done["notes"]
    assert set(personal(lab, "wsus01")) == set(of.values()) - {of["nobody"]}
    assert marks(lab, "wsus01") == {"ReplacedCertificates": " ".join(of[name] for name in why)}
    assert remove(replaced=True).of("It")["changed"] is False

    with lab.edit("wsus01") as document:
        document["iis"]["sites"].pop()
        del document["registry"][REMOTE_DESKTOP], document["registry"][f"{HTTP_SYS}\\0.0.0.0:5986"], document["registry"][f"{HTTP_SYS}\\10.1.2.3:443"]
    freed = remove(replaced=True).of("It")
    assert set(freed["removed"]) == {of[name] for name in why} - {of["bound"]}
    assert list(personal(lab, "wsus01")) == [of["bound"]]


def test_one_certificate_is_removed_with_its_key(controller: Start) -> None:
    fleet = controller({"servers": {"wsus01": {"certificate": "two"}}})
    old = next(mark for mark, entry in personal(fleet.lab, "wsus01").items() if entry["friendly_name"] == "WSUS 2025")
    run = sane(fleet.task("wsus01", "wsus_certificate", state="absent", thumbprint=f"\u200e{old.lower()}"))
    assert run.of("It")["changes"] == [f"Remove the certificate {old} and its private key from the store Personal"]
    assert {entry["friendly_name"] for entry in personal(fleet.lab, "wsus01").values()} == {"WSUS 2026"}
    assert sane(fleet.task("wsus01", "wsus_certificate", state="absent", thumbprint=old)).of("It")["changed"] is False
