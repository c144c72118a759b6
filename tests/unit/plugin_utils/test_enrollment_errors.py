# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Why a certificate was not issued or not installed: told apart by numbers alone, whatever language the server speaks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.securepatch.wsus.plugins.plugin_utils.certificate_changes import (
    CertificateRequest,
    Collect,
    Enroll,
    InstallCertificate,
    NameCertificate,
    RemoveCertificate,
    Trust,
)
from ansible_collections.securepatch.wsus.plugins.plugin_utils.changes import Change, RestartSite
from ansible_collections.securepatch.wsus.plugins.plugin_utils.enrollment_errors import advice_of, failure_number, is_final, key_is_gone

RECORDED = Path(__file__).parents[2] / "recorded" / "certificates"
ASKED: dict[str, Any] = {"subject": "CN=a.b", "friendly_name": "WSUS", "dns_names": ("a.b",), "key_algorithm": "RSA", "key_length": 2048}
ENROLL, COLLECT = Enroll(None, "WebServer", **ASKED), Collect("CA01\\CA", 7)
INSTALL = InstallCertificate("", "WSUS", "AB" * 20)
LANGUAGES = [
    "The certification authority CA01\\CA refused the request: {} (0x{:08X})",
    "Die Zertifizierungsstelle CA01\\CA hat die Anforderung abgelehnt: {} (0x{:08X})",
    "证书颁发机构拒绝了请求: {} (0x{:08X})",
]


def com(number: int, language: str = LANGUAGES[0]) -> dict[str, Any]:
    """A failure of COM: the CA's own number is its HRESULT."""
    message = language.format("...", number)
    return {"message": message, "id": None, "type": "System.Runtime.InteropServices.COMException", "hresult": f"0x{number:08X}", "native": None}


def tool(message: str) -> dict[str, Any]:
    """A failure of certreq.exe, whose number stands in what it printed."""
    return {"message": message, "id": None, "type": "System.Management.Automation.RuntimeException", "hresult": "0x80131501", "native": None}


def recorded(name: str) -> dict[str, Any]:
    failed: dict[str, Any] = json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))["result"]["failed"]
    return failed


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0x80094800, "The CA does not offer a template of this name. Give the template's name, not its display name"),
        (0x80094801, "The CA issues by template alone, and got none"),
        (0x80094811, "The template asks for a longer key, or for another kind: give key_algorithm and key_length."),
        (0x80094011, "needs the permission 'Request Certificates' on the CA. A computer that was just put in a group keeps its old ticket"),
        (0x80094012, "needs the permissions Read and Enroll on the template. A computer that was just put in a group keeps its old ticket"),
        (0x80094014, "A manager of the CA denied the request"),
        (0x8009480F, "The template builds the names from the directory"),
        (0x80094002, "The CA does not know this request"),
        (0x80094004, "The CA does not know this request"),
        (0x80070005, "so ask as SYSTEM, as the role 'certificate' does"),
        (0x800706BA, "The CA cannot be reached from this server (RPC: TCP 135 and dynamic ports)"),
        (0x800706BE, "The connection to the CA broke off."),
        (0x80070490, "The directory names no CA: give authority, as HOST\\NAME."),
        (0x8007054B, "No domain controller can be reached from this server."),
        (0x80040154, "Certificate enrolment is not installed on this Windows."),
    ],
)
def test_what_a_ca_says_is_told_by_its_number_in_any_language(number: int, words: str, language: str) -> None:
    failure = com(number, language)
    assert failure_number(failure) == number
    for change in (ENROLL, COLLECT):
        advice = advice_of(failure, change)
        assert advice is not None
        assert words in advice
        assert advice.endswith(". Then run it again.") or advice.endswith("? Then run it again.")


@pytest.mark.parametrize(
    ("message", "number", "words"),
    [
        (
            "certreq.exe -accept ended with 10: Certificate Request Processor: A certificate chain could not be built to a trusted root authority. "
            "0x800b010a (-2146762486 CERT_E_CHAINING)",
            0x800B010A,
            "does not have the certificates of the authority above it, so it cannot install what was issued. Have it trusted first (role 'trust')",
        ),
        (
            "certreq.exe -accept endete mit 9: Eine Zertifikatkette wurde verarbeitet, endete jedoch mit einem nicht vertrauenswürdigen "
            "Stammzertifikat. 0x800b0109 (-2146762487 CERT_E_UNTRUSTEDROOT)",
            0x800B0109,
            "does not trust the root above it, so it cannot install what was issued. Have it trusted first (role 'trust')",
        ),
        ("x: Element nicht gefunden. 0x80092004 (-2146885628 CRYPT_E_NOT_FOUND)", 0x80092004, "No key waits on this server for this certificate."),
    ],
)
def test_what_a_tool_printed_is_told_by_the_number_in_it(message: str, number: int, words: str) -> None:
    failure = tool(message)
    assert failure_number(failure) == number
    for change in (ENROLL, COLLECT, INSTALL):
        assert words in (advice_of(failure, change) or "")


def test_of_several_numbers_that_a_tool_printed_the_last_one_counts() -> None:
    assert failure_number(tool("0x80070005 first, then 0x800B0109 (-2146762487)")) == 0x800B0109
    # More digits than eight are an address, not a number of an error.
    assert failure_number(tool("at 0x80092004abcd, 0x80092004")) == 0x80092004


def test_a_tool_that_printed_no_number_says_its_own() -> None:
    failure = tool("certreq.exe -new ended with 87: it gave no reason, at 0x7ffe0000aaaa")
    assert failure_number(failure) == 0x80131501
    assert advice_of(failure, ENROLL) is None


def test_a_number_in_the_words_of_another_failure_is_not_the_failures() -> None:
    failure = com(0x80070005) | {"message": "Zugriff verweigert (0x800B0109)"}
    assert failure_number(failure) == 0x80070005


@pytest.mark.parametrize(
    ("name", "number"),
    [("enroll_denied", 0x80094012), ("enroll_wrong_template", 0x80094800), ("install_foreign_answer", 0x80092004)],
)
def test_failures_as_they_were_recorded(name: str, number: int) -> None:
    assert failure_number(recorded(name)) == number
    assert advice_of(recorded(name), INSTALL if name.startswith("install") else ENROLL)


def test_nothing_is_advised_where_no_more_is_known() -> None:
    assert advice_of(com(0x80094FFF), ENROLL) is None
    assert advice_of(com(0x80131501), ENROLL) is None


@pytest.mark.parametrize("change", [NameCertificate("My", "AB", "x"), RemoveCertificate("My", "AB"), Trust("CA", "", "x"), RestartSite()])
def test_the_same_number_of_another_change_means_something_else(change: Change) -> None:
    assert advice_of(com(0x80070005), change) is None


def test_a_request_that_is_made_on_the_server_alone_has_its_advice_too() -> None:
    assert "not installed" in (advice_of(com(0x80040154), CertificateRequest(**ASKED)) or "")


@pytest.mark.parametrize(
    ("failure", "gone"),
    [
        (tool("x: Element nicht gefunden. 0x80092004 (-2146885628 CRYPT_E_NOT_FOUND)"), True),
        (com(0x80092004), True),
        (tool("0x800b0109"), False),
        (tool("nothing"), False),
        (com(0x80094004), False),
    ],
)
def test_a_key_that_is_gone_is_told_by_its_number(failure: dict[str, Any], gone: bool) -> None:
    assert key_is_gone(failure) is gone


@pytest.mark.parametrize(
    ("failure", "final"),
    [
        (com(0x80094014), True),
        (com(0x80094004), True),
        (com(0x80094012, LANGUAGES[1]), True),
        # Whether the request is refused is not known yet.
        (com(0x800706BA), False),
        (com(0x80070005), False),
        (com(0x80070490), False),
        (com(0x800B0109), False),
        # It was issued, and cannot be installed: what was issued waits.
        (tool("0x800b0109"), False),
        (tool("0x80092004 (CRYPT_E_NOT_FOUND)"), False),
        (tool("nothing"), False),
    ],
)
def test_only_what_the_ca_decided_is_final(failure: dict[str, Any], final: bool) -> None:
    assert is_final(failure) is final
