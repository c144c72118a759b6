# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Why a certificate was not issued or not installed, told apart by Windows' numbers, because its texts are in the server's language."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .certificate_changes import CertificateRequest, Collect, Enroll, InstallCertificate
from .changes import Change

_GROUP = "A computer that was just put in a group keeps its old ticket: restart it, or run 'klist -li 0x3e7 purge' on it."
_TRUST = "so it cannot install what was issued. Have it trusted first (role 'trust'); what was issued waits for that."

# winerror.h: CERTSRV_E_..., RPC_S_..., CERT_E_..., CRYPT_E_...
_ADVICE = {
    0x80094800: "The CA does not offer a template of this name. Give the template's name, not its display name, and have it added to the CA "
    "(Certificate Templates, New, Certificate Template to Issue).",
    0x80094801: "The CA issues by template alone, and got none: give one.",
    0x80094811: "The template asks for a longer key, or for another kind: give key_algorithm and key_length.",
    0x80094011: f"This server's computer account needs the permission 'Request Certificates' on the CA. {_GROUP}",
    0x80094012: f"This server's computer account needs the permissions Read and Enroll on the template. {_GROUP}",
    0x80094014: "A manager of the CA denied the request; they can tell why.",
    0x8009480F: "The template builds the names from the directory. For other names it has to say 'Supply in the request'.",
    0x80094002: "The CA does not know this request (any more).",
    0x80094004: "The CA does not know this request (any more).",
    0x80070005: "The CA does not let in who asks. Over WinRM there is no credential to pass on, so ask as SYSTEM, as the role 'certificate' does "
    "(become: true, become_method: runas, become_user: SYSTEM). It is the computer account that asks then.",
    0x800706BA: "The CA cannot be reached from this server (RPC: TCP 135 and dynamic ports). Is its service running, and is it named as HOST\\NAME?",
    0x800706BE: "The connection to the CA broke off.",
    0x80070490: "The directory names no CA: give authority, as HOST\\NAME.",
    0x8007054B: "No domain controller can be reached from this server.",
    0x80040154: "Certificate enrolment is not installed on this Windows.",
    0x800B010A: f"This server does not have the certificates of the authority above it, {_TRUST}",
    0x800B0109: f"This server does not trust the root above it, {_TRUST}",
    0x80092004: "No key waits on this server for this certificate.",
}
# What a CA says when it is the request that it refuses, or does not know: asking for the same one again brings nothing else.
_OF_THE_CA = 0x8009
_TOOL_FAILED = "0x80131501"
_KEY_GONE = 0x80092004  # CRYPT_E_NOT_FOUND


def failure_number(failure: Mapping[str, Any]) -> int:
    """The number of a failed change: Windows' own, or where a tool failed the last one that it printed."""
    printed = re.findall(r"0x([0-9a-fA-F]{8})\b", str(failure["message"]))
    if str(failure["hresult"]) == _TOOL_FAILED and printed:
        return int(printed[-1], 16)
    return int(str(failure["hresult"]), 16)


def advice_of(failure: Mapping[str, Any], change: Change) -> str | None:
    """What helps where this change failed so, None where nothing more is known than what Windows says."""
    if not isinstance(change, CertificateRequest | Enroll | Collect | InstallCertificate):
        return None
    advice = _ADVICE.get(failure_number(failure))
    return f"{advice} Then run it again." if advice else None


def is_final(failure: Mapping[str, Any]) -> bool:
    """Whether the CA has refused a request for good, or does not know it: the next run has to ask anew."""
    return str(failure["hresult"]) != _TOOL_FAILED and failure_number(failure) >> 16 == _OF_THE_CA


def key_is_gone(failure: Mapping[str, Any]) -> bool:
    """Whether what was issued cannot be installed because its key is not on the server (any more): no later run can, either."""
    return failure_number(failure) == _KEY_GONE
