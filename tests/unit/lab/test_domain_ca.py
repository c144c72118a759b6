# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The enterprise CA that the machines of a fleet share: who may ask, what becomes of a request, and what a chain needs to be accepted."""

from __future__ import annotations

import base64
import copy
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.lab.engine import apply_changes
from tests.lab.fleet import Authorities
from tests.lab.lab import Lab, LabError
from tests.lab.tls import base64_of, build_chain, thumbprint

from .conftest import Controller, LabMaker

CHANGE = "securepatch.wsus.wsus_change"
CONFIG = "CA01.corp.example\\Lab Issuing CA 1"
ENROLL: dict[str, Any] = {
    "kind": "certificate_enroll",
    "authority": None,
    "template": "WebServer",
    "subject": "CN=up.corp.example",
    "friendly_name": "WSUS",
    "dns_names": ["up.corp.example", "up"],
    "key_algorithm": "ECDSA_P256",
    "key_length": 256,
    "mark": "Enrolment",
}


def fleet(server: dict[str, Any] | None = None, **ca: Any) -> dict[str, Any]:
    return {"ca": ca, "servers": {"up": {"certificate": "none", **(server or {})}, "down": {"certificate": "none"}}}


def enroll(lab: Lab, server: str = "up", **other: Any) -> dict[str, Any]:
    return apply_changes(lab.machine(server), [ENROLL | other])


def collect(lab: Lab, number: int, server: str = "up") -> dict[str, Any]:
    return apply_changes(lab.machine(server), [{"kind": "certificate_collect", "authority": CONFIG, "request_id": number, "mark": "Enrolment"}])


def personal(lab: Lab, server: str = "up") -> list[x509.Certificate]:
    entries = lab.machine(server).document["certificates"]["My"].values()
    return [x509.load_der_x509_certificate(base64.b64decode(one["der"])) for one in entries]


def marks(lab: Lab, server: str = "up") -> dict[str, Any]:
    return dict(lab.machine(server).document["registry"].get(r"HKLM:\SOFTWARE\securepatch.wsus", {}))


def dns_names(certificate: x509.Certificate) -> list[str]:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return names.get_values_for_type(x509.DNSName)


class TestIssuing:
    def test_it_issues_what_is_asked_for_and_signs_with_the_lab_s_issuing_ca(self, make_lab: LabMaker) -> None:
        lab = make_lab(fleet(days=30))
        done = enroll(lab)
        assert done["output"] == [{"authority": CONFIG, "request_id": 1, "message": "Issued", "status": "issued", "change": 0}]
        (certificate,) = personal(lab)
        assert dns_names(certificate) == ["up.corp.example", "up"]
        assert certificate.subject.rfc4514_string() == "CN=up.corp.example"
        chain = build_chain([certificate], [lab.authorities.lab.chain[-1]], [lab.authorities.lab.certificate], datetime.now(UTC))
        assert (chain.errors, len(chain.certificates)) == ((), 3)
        assert timedelta(days=29) < certificate.not_valid_after_utc - datetime.now(UTC) <= timedelta(days=30)
        assert marks(lab) == {}

    def test_it_can_leave_the_names_out(self, make_lab: LabMaker) -> None:
        lab = make_lab(fleet(strip_san=True))
        enroll(lab)
        lab.ca.strip_san = False
        enroll(lab)
        without, with_names = personal(lab)
        with pytest.raises(x509.ExtensionNotFound):
            dns_names(without)
        assert dns_names(with_names) == ["up.corp.example", "up"]

    def test_the_name_of_the_ca_can_be_given_in_any_case_and_another_s_does_not_answer(self, make_lab: LabMaker) -> None:
        lab = make_lab(fleet())
        assert enroll(lab, authority=CONFIG.upper())["failed"] is None
        assert enroll(lab, authority="CA02.corp.example\\Other")["failed"]["hresult"] == "0x800706BA"

    def test_numbers_are_the_ca_s_whoever_asks(self, make_lab: LabMaker) -> None:
        lab = make_lab(fleet())
        with ThreadPoolExecutor(8) as workers:
            done = list(workers.map(lambda number: enroll(lab, ("up", "down")[number % 2]), range(16)))
        assert sorted(one["output"][0]["request_id"] for one in done) == list(range(1, 17))
        assert [one.number for one in lab.ca.requests] == list(range(1, 17))
        assert sorted(one.server for one in lab.ca.requests) == ["down"] * 8 + ["up"] * 8
        assert all((one.template, one.names, one.state) == ("WebServer", ("up.corp.example", "up"), "issued") for one in lab.ca.requests)

    def test_a_machine_that_did_nothing_is_the_same_whoever_enrolled(self, make_lab: LabMaker) -> None:
        lab = make_lab(fleet())
        document = lab.machine("down").document
        before, shown = copy.deepcopy(document), repr(document)
        enroll(lab)
        assert document == before
        assert repr(document) == shown
        assert "ca" not in document

    def test_a_fleet_without_a_ca_has_none_to_ask(self, make_lab: LabMaker) -> None:
        lab = make_lab({"servers": {"up": {}}})
        assert enroll(lab)["failed"]["hresult"] == "0x80070490"
        with pytest.raises(LabError, match="no `ca`"):
            _rest = lab.ca


class TestRefusing:
    @pytest.mark.parametrize(
        ("ca", "server", "change", "hresult", "state"),
        [
            ({"mode": "deny"}, {}, {}, "0x80094012", "denied"),
            ({}, {"may_enroll": False}, {}, "0x80094012", "denied"),
            ({}, {}, {"template": "Other"}, "0x80094800", "denied"),
            ({"template": "Other"}, {}, {}, "0x80094800", "denied"),
            ({"mode": "offline"}, {}, {}, "0x800706BA", None),
        ],
    )
    def test_a_refusal_leaves_neither_key_nor_mark(
        self, make_lab: LabMaker, ca: Any, server: Any, change: Any, hresult: str, state: str | None
    ) -> None:
        lab = make_lab(fleet(server, **ca))
        failed = enroll(lab, **change)["failed"]
        assert (failed["type"], failed["hresult"]) == ("System.Runtime.InteropServices.COMException", hresult)
        assert lab.machine("up").document["certificates"]["Request"] == {}
        assert marks(lab) == {}
        assert [one.state for one in lab.ca.requests] == ([state] if state else [])

    def test_whoever_may_not_enroll_is_the_only_one(self, make_lab: LabMaker) -> None:
        lab = make_lab(fleet({"may_enroll": False}))
        assert enroll(lab, "down")["failed"] is None
        lab.ca.may_not_enroll.clear()
        assert enroll(lab)["failed"] is None

    def test_its_mode_can_be_changed_but_only_to_what_there_is(self, make_lab: LabMaker) -> None:
        lab = make_lab(fleet())
        lab.ca.mode = "offline"
        assert enroll(lab)["failed"]["hresult"] == "0x800706BA"
        lab.ca.mode = "issue"
        assert enroll(lab)["failed"] is None
        with pytest.raises(ValueError, match="there are issue, pending"):
            lab.ca.mode = "closed"  # type: ignore[assignment]


class TestDeciding:
    def test_a_request_that_waits_stays_so_until_it_is_decided(self, make_lab: LabMaker) -> None:
        lab = make_lab(fleet(mode="pending"))
        sent = enroll(lab)["output"][0]
        assert (sent["status"], sent["message"], marks(lab)["Enrolment"]["data"]) == ("pending", "Taken Under Submission", f"1 {CONFIG}")
        lab.ca.mode = "issue"
        assert collect(lab, 1)["output"][0]["status"] == "pending"
        lab.ca.decide(1, "issue")
        assert lab.ca.requests[0].state == "issued"
        assert collect(lab, 1)["output"][0]["status"] == "issued"
        assert (len(personal(lab)), marks(lab), lab.machine("up").document["certificates"]["Request"]) == (1, {}, {})

    def test_a_manager_can_deny(self, make_lab: LabMaker) -> None:
        lab = make_lab(fleet(mode="pending"))
        enroll(lab)
        lab.ca.decide(1, "deny")
        failed = collect(lab, 1)["failed"]
        assert failed["hresult"] == "0x80094014"
        assert "Denied by CORP\\Administrator" in failed["message"]
        assert (lab.ca.requests[0].state, personal(lab)) == ("denied", [])

    def test_a_request_that_it_does_not_know_is_an_error(self, make_lab: LabMaker) -> None:
        lab = make_lab(fleet())
        for number in (0, 1):
            assert collect(lab, number)["failed"]["hresult"] == "0x80094004"

    def test_only_what_waits_can_be_decided(self, make_lab: LabMaker) -> None:
        lab = make_lab(fleet())
        enroll(lab)
        for number in (0, 1, 2):
            with pytest.raises(ValueError, match=f"no request {number} that waits"):
                lab.ca.decide(number, "issue")
        with pytest.raises(ValueError, match="issue or deny"):
            lab.ca.decide(1, "maybe")  # type: ignore[arg-type]


class TestWhoAsks:
    @pytest.mark.parametrize("user", ["SYSTEM", "NT AUTHORITY\\SYSTEM", "system"])
    def test_system_may(self, make_lab: LabMaker, user: str) -> None:
        lab = make_lab(fleet())
        assert Controller(lab, "up").module(CHANGE, become_user=user, changes=[ENROLL])["changed"]
        assert len(personal(lab)) == 1

    @pytest.mark.parametrize("user", [None, "CORP\\admin"])
    def test_others_have_no_credential_to_show(self, make_lab: LabMaker, user: str | None) -> None:
        lab = make_lab(fleet(mode="pending"))
        Controller(lab, "up").module(CHANGE, become_user="SYSTEM", changes=[ENROLL])
        waiting = list(lab.machine("up").document["certificates"]["Request"])
        request = {"kind": "certificate_collect", "authority": CONFIG, "request_id": 1, "mark": "Enrolment"}
        for change in (ENROLL, request):
            done = Controller(lab, "up").module(CHANGE, become_user=user, changes=[change])
            assert (done["failed"], done["failure"]["hresult"]) == (True, "0x80070005")
            assert done["failure"]["type"] == "System.Runtime.InteropServices.COMException"
            assert "Access is denied. (Exception from HRESULT: 0x80070005 (E_ACCESSDENIED))" in done["msg"]
        assert len(lab.ca.requests) == 1, "the CA never saw it"
        assert list(lab.machine("up").document["certificates"]["Request"]) == waiting
        assert list(marks(lab)) == ["Enrolment"]

    def test_a_ca_that_is_off_line_answers_nobody_like_the_other(self, make_lab: LabMaker) -> None:
        lab = make_lab(fleet(mode="offline"))
        assert Controller(lab, "up").module(CHANGE, changes=[ENROLL])["failure"]["hresult"] == "0x800706BA"


class TestAccepting:
    def store(self, lab: Lab, **stores: list[x509.Certificate]) -> None:
        with lab.edit("up") as document:
            for name, found in stores.items():
                document["certificates"][name] = {
                    thumbprint(one): {"der": base64_of(one), "has_private_key": False, "friendly_name": ""} for one in found
                }

    @pytest.mark.parametrize(
        ("root", "others", "error"),
        [
            ([1], [0], None),
            ([0, 1], [], None),
            ([], [], "0x800b010a"),
            ([1], [], "0x800b010a"),
            ([], [0], "0x800b010a"),
            ([], [0, 1], "0x800b0109"),
        ],
    )
    def test_the_whole_chain_is_needed_and_its_end_in_root(
        self, make_lab: LabMaker, root: list[int], others: list[int], error: str | None
    ) -> None:
        lab = make_lab(fleet())
        chain = lab.authorities.lab.chain
        self.store(lab, Root=[chain[one] for one in root], CA=[chain[one] for one in others])
        failed = enroll(lab)["failed"]
        assert (error is None) == (failed is None)
        assert failed is None or error in failed["message"]
        # What was issued and cannot be installed waits with its key, and installs once the stores are in order.
        self.store(lab, Root=[chain[1]], CA=[chain[0]])
        if failed:
            assert (personal(lab), list(marks(lab))) == ([], ["Enrolment"])
            assert collect(lab, 1)["output"][0]["status"] == "issued"
        assert (len(personal(lab)), marks(lab)) == (1, {})

    def test_an_authority_of_the_same_name_with_another_key_is_another(self, make_lab: LabMaker) -> None:
        lab = make_lab(fleet())
        stranger = Authorities.create().lab
        self.store(lab, Root=[stranger.chain[-1]], CA=[stranger.certificate])
        assert "0x800b010a" in enroll(lab)["failed"]["message"]


class TestByHand:
    def request(self, lab: Lab) -> str:
        change = ENROLL | {"kind": "certificate_request", "mark": None}
        return str(apply_changes(lab.machine("up"), [change])["output"][0]["request"])

    def test_a_request_is_signed_as_it_is_or_otherwise(self, make_lab: LabMaker) -> None:
        lab = make_lab(fleet())
        request = self.request(lab)
        authority = lab.authorities.lab
        usual = authority.sign(request.replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"))
        assert (dns_names(usual), usual.subject.rfc4514_string()) == (["up.corp.example", "up"], "CN=up.corp.example")
        other = authority.sign(request, dns_names=["other"], common_name="other", days=-2, server_authentication=False)
        assert (dns_names(other), other.subject.rfc4514_string()) == (["other"], "CN=other")
        assert other.not_valid_after_utc < datetime.now(UTC) - timedelta(days=1)
        purposes = other.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert list(purposes) == [ExtendedKeyUsageOID.CLIENT_AUTH]
        install = {"kind": "certificate_install", "der": base64_of(usual), "mark": None}
        assert apply_changes(lab.machine("up"), [install])["failed"] is None
        assert personal(lab) == [usual]
