# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What each change of certificates is called on Windows, in words, in a prediction and on the way back."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any, cast

import pytest
from ansible_collections.securepatch.wsus.plugins.plugin_utils import certificate_changes
from ansible_collections.securepatch.wsus.plugins.plugin_utils.authorities import thumbprint_of
from ansible_collections.securepatch.wsus.plugins.plugin_utils.certificate_changes import (
    CertificateRequest,
    Collect,
    Enroll,
    ImportPfx,
    InstallCertificate,
    NameCertificate,
    RemoveCertificate,
    RemoveLeftover,
    Trust,
    is_in,
    promised_entry,
    unasked,
)
from ansible_collections.securepatch.wsus.plugins.plugin_utils.changes import Change, Event, predict, way_back
from ansible_collections.securepatch.wsus.plugins.plugin_utils.state import Refusal, State

from tests.lab.engine import apply_changes, read_state, read_trust
from tests.lab.machine import Machine
from tests.unit.plugin_utils.machines import FQDN, MARKS, NOW, bind, document, entry, issued, looked, machine, read, text
from tests.unit.plugin_utils.papers import answer_to, issuing, leaf, request, root, stranger, text_of, waiting

RECORDED = sorted((Path(__file__).parents[2] / "recorded" / "certificates").glob("*.json"))
GOOD, LONGER = issued("good").thumbprint, issued("longer").thumbprint
DER, ROOT = leaf().der_base64, text_of(root().certificate)
CA = "CA01.corp.example\\Corp Root CA"
KEY = {"key_algorithm": "RSA", "key_length": 2048}
ASKED: dict[str, Any] = {"subject": f"CN={FQDN}", "friendly_name": "WSUS", "dns_names": (FQDN, "wsus.corp.example"), **KEY}

REQUESTED = CertificateRequest(**ASKED)
ENROLLED = Enroll(CA, "WebServer", **ASKED)
COLLECTED = Collect(CA, 7)
INSTALLED = InstallCertificate(DER, "WSUS", "AB" * 20)
IMPORTED = ImportPfx(DER, "WSUS", "files/wsus01.pfx")
LEFTOVER = RemoveLeftover("C:\\Temp\\ansible-tmp-1")
NAMED = NameCertificate("My", GOOD, "WSUS 2027")
REMOVED = RemoveCertificate("My", GOOD)
TRUSTED = Trust("Root", ROOT, "CN=Corp Root CA")
ALL: list[Change] = [REQUESTED, ENROLLED, COLLECTED, INSTALLED, IMPORTED, LEFTOVER, NAMED, REMOVED, TRUSTED]


def after(state: State, *changes: Change) -> State:
    return predict(state, changes, NOW)


# --- what the server is told -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "payload"),
    [
        (
            REQUESTED,
            {"kind": "certificate_request", **ASKED, "dns_names": [FQDN, "wsus.corp.example"], "mark": "CertificateRequest"},
        ),
        (
            ENROLLED,
            {
                "kind": "certificate_enroll",
                "authority": CA,
                "template": "WebServer",
                **ASKED,
                "dns_names": [FQDN, "wsus.corp.example"],
                "mark": "PendingRequest",
            },
        ),
        (COLLECTED, {"kind": "certificate_collect", "authority": CA, "request_id": 7, "mark": "PendingRequest"}),
        (INSTALLED, {"kind": "certificate_install", "der": DER, "mark": "CertificateRequest"}),
        (NAMED, {"kind": "certificate_name", "store": "My", "thumbprint": GOOD, "friendly_name": "WSUS 2027"}),
        (REMOVED, {"kind": "certificate_remove", "store": "My", "thumbprint": GOOD}),
        (TRUSTED, {"kind": "trust", "store": "Root", "der": ROOT}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Change) else "",
)
def test_what_the_server_is_told(change: Change, payload: dict[str, Any]) -> None:
    assert change.payload() == payload
    # It goes through JSON: a tuple would come back as a list.
    assert json.loads(json.dumps(change.payload())) == change.payload()


@pytest.mark.parametrize("change", [IMPORTED, LEFTOVER], ids=lambda change: change.kind)
def test_what_other_modules_do_is_never_in_the_list_that_the_server_gets(change: Change) -> None:
    with pytest.raises(TypeError, match="is not a change that the server makes to itself"):
        change.payload()


def made_of(payload: dict[str, Any]) -> Change:
    """The change that says what was recorded."""
    kinds: dict[str, Any] = {
        "certificate_request": CertificateRequest,
        "certificate_enroll": Enroll,
        "certificate_collect": Collect,
        "certificate_name": NameCertificate,
        "certificate_remove": RemoveCertificate,
    }
    given: dict[str, Any] = {name: tuple(value) if name == "dns_names" else value for name, value in payload.items() if name != "kind"}
    if payload["kind"] == "certificate_install":
        return InstallCertificate(given["der"], "WSUS", "AB" * 20, given["mark"])
    return Trust(given["store"], given["der"], "words") if payload["kind"] == "trust" else kinds[payload["kind"]](**given)


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_the_powershell_was_recorded_with_these_very_keys(path: Path) -> None:
    for payload in json.loads(path.read_text(encoding="utf-8"))["changes"]:
        assert made_of(payload).payload() == payload
        assert list(made_of(payload).payload()) == list(payload)


def test_every_kind_was_recorded_but_collecting() -> None:
    recorded = {change["kind"] for path in RECORDED for change in json.loads(path.read_text(encoding="utf-8"))["changes"]}
    kinds = {change.kind for change in ALL} - {IMPORTED.kind, LEFTOVER.kind}
    assert kinds - recorded == {"certificate_collect"}


# --- in words --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (REQUESTED, f"Make a private key on the server and a certificate request for {FQDN}, wsus.corp.example"),
        (
            ENROLLED,
            f"Make a private key on the server and ask {CA} for a certificate for {FQDN}, wsus.corp.example (template WebServer)",
        ),
        (
            Enroll(None, "Other", **{**ASKED, "dns_names": (FQDN,)}),
            f"Make a private key on the server and ask the directory's default CA for a certificate for {FQDN} (template Other)",
        ),
        (COLLECTED, f"Collect the certificate of request 7 from {CA}"),
        (INSTALLED, f"Install the certificate {leaf().thumbprint}, whose key waits on the server"),
        (IMPORTED, f"Install the certificate {leaf().thumbprint} with its private key, not exportable, from files/wsus01.pfx"),
        (LEFTOVER, "Remove the folder C:\\Temp\\ansible-tmp-1, in which a run that was cut off left a PFX"),
        (NAMED, f"Give the certificate {GOOD} the friendly name 'WSUS 2027'"),
        (REMOVED, f"Remove the certificate {GOOD} and its private key from the store Personal"),
        (RemoveCertificate("WebHosting", GOOD), f"Remove the certificate {GOOD} and its private key from the store WebHosting"),
        (
            TRUSTED,
            f"Add the certificate {thumbprint_of(ROOT)} (CN=Corp Root CA) to the store Trusted Root Certification Authorities",
        ),
        (Trust("CA", DER, "CN=x"), f"Add the certificate {leaf().thumbprint} (CN=x) to the store Intermediate Certification Authorities"),
        (
            Trust("WindowsServerUpdateServices", DER, "CN=x"),
            f"Add the certificate {leaf().thumbprint} (CN=x) to the store WindowsServerUpdateServices",
        ),
    ],
)
def test_each_change_is_one_sentence(change: Change, words: str) -> None:
    assert change.describe() == words


# --- predictions: what the engine then shows ---------------------------------------------------------------------------------


def shown(made: Machine, asked: list[str]) -> State:
    state: Any = {**read_state(made), "trust": read_trust(made, asked)}
    return cast("State", state)


def sorted_certificates(state: State) -> list[dict[str, Any]]:
    return sorted(state["certificates"] or [], key=lambda each: (each["store"], str(each["thumbprint"])))


def foretold(found: dict[str, Any], *changes: Change) -> tuple[State, State]:
    """What is predicted of a machine, and what it shows after the changes were made; asked for all certificates that these are about."""
    asked = [thumbprint_of(change.der) for change in changes if isinstance(change, Trust)]
    asked += [change.thumbprint for change in changes if isinstance(change, RemoveCertificate)]
    made = machine(found)
    before = shown(made, asked)
    ahead = after(before, *changes)
    assert apply_changes(made, [change.payload() for change in changes])["failed"] is None
    return ahead, shown(made, asked)


def assert_foretold(found: dict[str, Any], *changes: Change) -> State:
    ahead, now = foretold(found, *changes)
    assert sorted_certificates(ahead) == sorted_certificates(now)
    assert (ahead["marks"], ahead.get("trust")) == (now["marks"], now.get("trust"))
    return now


def test_a_name_and_a_removal_come_out_as_foretold() -> None:
    found = bind(document(), "longer", store="WebHosting")
    found["certificates"]["My"][LONGER] = entry("longer")
    now = assert_foretold(found, NameCertificate("My", LONGER, "Ü 2027"), RemoveCertificate("My", GOOD))
    assert [(each["store"], each["friendly_name"]) for each in now["certificates"] or []] == [("My", "Ü 2027"), ("WebHosting", "WSUS")]
    assert assert_foretold(found, RemoveCertificate("WebHosting", LONGER))["certificates"]


def test_an_installed_answer_comes_out_as_foretold() -> None:
    found = document()
    thumbprint, key = waiting(friendly_name="WSUS of before")
    another, other_key = waiting(number=1)
    found["certificates"]["Request"] = {thumbprint: key, another: other_key}
    found["registry"][MARKS] = {"CertificateRequest": text(request(FQDN)), "SiteRestartNeeded": text("8531")}
    issuer = {"has_private_key": False, "friendly_name": ""}
    found["certificates"]["CA"][issuing_thumbprint()] = {"der": text_of(issuing().certificate), **issuer}
    found["certificates"]["Root"][thumbprint_of(ROOT)] = {"der": ROOT, **issuer}
    answer = text_of(answer_to(request(FQDN)))
    now = assert_foretold(found, InstallCertificate(answer, "WSUS of before", thumbprint))
    assert {(each["store"], each["thumbprint"]) for each in now["certificates"] or []} == {
        ("My", GOOD),
        ("My", thumbprint_of(answer)),
        ("Request", another),
    }
    assert now["marks"] == {"SiteRestartNeeded": "8531"}


def issuing_thumbprint() -> str:
    return thumbprint_of(text_of(issuing().certificate))


def test_trust_comes_out_as_foretold() -> None:
    found = document()
    for store in ("Root", "CA", "WindowsServerUpdateServices"):
        now = assert_foretold(found, Trust(store, ROOT, "CN=x"))
        assert now["trust"] == {thumbprint_of(ROOT): [store]}
    assert_foretold(found, TRUSTED, TRUSTED, RemoveCertificate("Root", thumbprint_of(ROOT)))
    assert_foretold(found, TRUSTED, Trust("CA", ROOT, "CN=x"), RemoveCertificate("Root", thumbprint_of(ROOT)))


def test_a_request_and_a_promised_certificate_come_out_but_for_what_cannot_be_known() -> None:
    made = machine(document())
    asked = CertificateRequest(**{**ASKED, "key_algorithm": "ECDSA_P256", "key_length": 256})
    state = read()
    assert after(state, asked)["marks"] == {"CertificateRequest": ""}
    assert after(state, asked)["certificates"] == state["certificates"]
    assert apply_changes(made, [asked.payload()])["failed"] is None
    assert set(read_state(made)["marks"]) == {"CertificateRequest"}
    silent = CertificateRequest(**ASKED, mark=None)
    assert after(state, silent)["marks"] == {}


@pytest.mark.parametrize(("change", "name"), [(ENROLLED, "WSUS"), (COLLECTED, "WSUS"), (Enroll(CA, "T", **{**ASKED, "friendly_name": "X"}), "X")])
def test_what_a_ca_is_asked_for_is_promised(change: Change, name: str) -> None:
    found = document()
    found["registry"][MARKS] = {"PendingRequest": text(f"7 {CA}"), "CertificateRequest": text("kept")}
    state = read(found)
    ahead = after(state, change)
    assert ahead["certificates"] == [*(state["certificates"] or []), promised_entry(name)]
    # The mark goes once what was asked for is installed.
    assert ahead["marks"] == {"CertificateRequest": "kept"}
    assert promised_entry(name) == {
        "store": "My",
        "thumbprint": None,
        "der": None,
        "has_private_key": True,
        "key_usable": True,
        "friendly_name": name,
    }


def test_a_collected_request_without_a_mark_leaves_all_marks() -> None:
    found = document()
    found["registry"][MARKS] = {"PendingRequest": text(f"7 {CA}")}
    assert after(read(found), Collect(CA, 7, None))["marks"] == {"PendingRequest": f"7 {CA}"}
    assert after(read(found), Enroll(CA, "T", **ASKED, mark=None))["marks"] == {"PendingRequest": f"7 {CA}"}
    assert after(read(found), InstallCertificate(DER, "WSUS", "AB" * 20, None))["marks"] == {"PendingRequest": f"7 {CA}"}


def test_an_imported_certificate_is_there_once_with_its_key() -> None:
    found = document()
    found["certificates"]["My"][leaf().thumbprint] = {"der": DER, "has_private_key": False, "friendly_name": "without a key"}
    ahead = after(read(found), IMPORTED)
    mine = [each for each in ahead["certificates"] or [] if each["thumbprint"] == leaf().thumbprint]
    assert mine == [{**promised_entry("WSUS"), "thumbprint": leaf().thumbprint, "der": DER}]
    assert len(ahead["certificates"] or []) == 2
    # The same one in another store is another entry.
    found["certificates"]["WebHosting"] = {leaf().thumbprint: found["certificates"]["My"].pop(leaf().thumbprint)}
    ahead = after(read(found), IMPORTED)
    assert {each["store"] for each in ahead["certificates"] or [] if each["thumbprint"] == leaf().thumbprint} == {"My", "WebHosting"}


def test_the_note_of_a_folder_goes_with_it() -> None:
    found = document()
    found["registry"][MARKS] = {"TransferFolder": text(LEFTOVER.folder), "SiteRestartNeeded": text("8531")}
    assert after(read(found), LEFTOVER)["marks"] == {"SiteRestartNeeded": "8531"}
    assert after(read(), LEFTOVER)["marks"] == {}


@pytest.mark.parametrize("change", [ENROLLED, COLLECTED, INSTALLED, IMPORTED, NAMED], ids=lambda change: change.kind)
def test_nothing_can_be_foretold_of_stores_that_could_not_be_read(change: Change) -> None:
    state = read()
    state["certificates"] = None
    with pytest.raises(Refusal, match="certificate stores cannot be read"):
        after(state, change)


def test_a_removal_is_foretold_for_trust_alone_where_the_stores_could_not_be_read() -> None:
    state = read()
    state["certificates"] = None
    state["trust"] = {thumbprint_of(ROOT): ["Root", "CA"]}
    ahead = after(state, RemoveCertificate("Root", thumbprint_of(ROOT)))
    assert (ahead["certificates"], ahead["trust"]) == (None, {thumbprint_of(ROOT): ["CA"]})


def test_what_was_not_asked_of_trust_is_known_once_it_is_foretold() -> None:
    state = read()
    assert is_in(state, "Root", thumbprint_of(ROOT)) is None
    assert unasked(state, [thumbprint_of(ROOT), GOOD]) == [thumbprint_of(ROOT), GOOD]
    ahead = after(state, TRUSTED)
    assert (is_in(ahead, "Root", thumbprint_of(ROOT)), is_in(ahead, "CA", thumbprint_of(ROOT))) == (True, False)
    assert unasked(ahead, [thumbprint_of(ROOT), GOOD]) == [GOOD]
    assert "trust" not in state


def endpoint_after(change: Change, **differs: Any) -> tuple[bool | None, list[str]]:
    """Whether a machine is foretold to trust what it found, where only its root was missing but for what differs."""
    found_one: dict[str, Any] = {"trusted": False, "chain_errors": ["UntrustedRoot"], "certificates": [DER, text_of(issuing().certificate)]}
    state = looked(read(), FQDN, **(found_one | differs))
    before = copy.deepcopy(state)
    (endpoint,) = after(state, change)["endpoints"]
    assert state == before
    return endpoint["trusted"], endpoint["chain_errors"]


def test_a_root_is_foretold_to_bring_trust_where_nothing_else_is_missing() -> None:
    yes: tuple[bool, list[str]] = (True, [])
    no = (False, ["UntrustedRoot"])
    assert endpoint_after(TRUSTED) == yes
    # What is between is sent along, or comes with it.
    assert endpoint_after(TRUSTED, certificates=[DER]) == no
    assert endpoint_after(dataclasses.replace(TRUSTED, beside=(text_of(issuing().certificate),)), certificates=[DER]) == yes
    assert endpoint_after(TRUSTED, certificates=[]) == no
    # Another store trusts nothing, another root is not above it.
    assert endpoint_after(Trust("CA", ROOT, "CN=x")) == no
    assert endpoint_after(Trust("Root", text_of(stranger().certificate), "CN=x")) == no
    for errors in (["NotTimeValid"], ["UntrustedRoot", "Revoked"]):
        assert endpoint_after(TRUSTED, chain_errors=errors) == (False, errors)
    assert endpoint_after(TRUSTED, chain_errors=["PartialChain"]) == yes
    assert endpoint_after(TRUSTED, trusted=None, chain_errors=[]) == (None, [])
    assert endpoint_after(TRUSTED, trusted=True, chain_errors=[]) == yes


def test_what_comes_along_is_no_part_of_what_the_server_is_told() -> None:
    assert dataclasses.replace(TRUSTED, beside=(DER,)).payload() == TRUSTED.payload()
    assert dataclasses.replace(TRUSTED, beside=(DER,)) == TRUSTED


# --- the way back ------------------------------------------------------------------------------------------------------------


def test_what_is_an_event_has_no_way_back() -> None:
    events = [change for change in ALL if isinstance(change, Event)]
    assert {type(change) for change in ALL if change not in events} == {NameCertificate, Trust}
    assert not any(change.reversible for change in events)
    assert all(change.undo(read()) is None for change in events)
    own = {each for each in vars(certificate_changes).values() if isinstance(each, type) and each.__module__ == certificate_changes.__name__}
    assert own == {type(change) for change in ALL}


def test_the_way_back_of_a_name_is_the_old_one() -> None:
    state = read()
    back, lost = way_back(state, [NAMED, NameCertificate("My", GOOD, "again")], NOW)
    assert back == [NameCertificate("My", GOOD, "WSUS 2027"), NameCertificate("My", GOOD, "WSUS")]
    assert lost == []
    assert after(after(state, NAMED), *NAMED.undo(state) or [])["certificates"] == state["certificates"]
    # Of one that was not there there is none.
    assert NameCertificate("My", LONGER, "x").undo(state) is None
    assert NameCertificate("WebHosting", GOOD, "x").undo(state) is None


def test_the_way_back_of_trust_takes_away_only_what_was_not_there() -> None:
    state = read()
    state["trust"] = {thumbprint_of(ROOT): []}
    removed = RemoveCertificate("Root", thumbprint_of(ROOT))
    assert TRUSTED.undo(state) == [removed]
    assert way_back(state, [TRUSTED, TRUSTED], NOW) == ([removed], [])
    state["trust"] = {thumbprint_of(ROOT): ["CA"]}
    assert TRUSTED.undo(state) == [removed]
    state["trust"] = {thumbprint_of(ROOT): ["Root"]}
    assert TRUSTED.undo(state) == []


def test_trust_that_nobody_asked_for_has_no_way_back() -> None:
    state = read()
    assert TRUSTED.undo(state) is None
    assert way_back(state, [TRUSTED], NOW) == ([], [TRUSTED])


def test_no_prediction_touches_the_state_that_it_is_made_of() -> None:
    state = read()
    state["trust"] = {thumbprint_of(ROOT): ["CA"]}
    before = copy.deepcopy(state)
    for change in ALL:
        after(state, change)
    assert state == before
