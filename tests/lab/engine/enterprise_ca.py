# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The enterprise CA that a machine can ask: `ca` of the document.

It has `config` (HOST\\NAME), `certificate` and `key` (PEM), `template` and `mode`: issue, pending, deny or offline. Requests that it got
stand in `requests` by their number.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from ..machine import Machine
from . import certificates, certreq, journal, registry
from .errors import WindowsError, com_error

_ISSUED, _DENIED, _PENDING, _ERROR = 3, 2, 5, 1


@dataclass(frozen=True)
class _Decision:
    disposition: int
    message: str
    status: int = 0
    issued: str = ""


def enroll(machine: Machine, change: dict[str, Any]) -> dict[str, Any]:
    """Make a request, send it in, and install what comes back at once.

    A request that was refused leaves neither mark nor key. Called without the machine's lock. Returns authority, request_id, message and
    status (issued or pending).
    """
    with machine.lock:
        name = change["authority"] or _default_authority(machine)
        waiting = certificates.thumbprints(machine, "Request")
    request = certreq.request(machine, change)
    with machine.lock:
        try:
            number, decision = _submit(machine, name, request, change["template"])
            _assert_disposition(decision, name)
        except WindowsError:
            for orphan in certificates.thumbprints(machine, "Request"):
                if orphan not in waiting:
                    certificates.remove(machine, "Request", orphan)
            raise
        registry.write_mark(machine, change["mark"], f"{number} {name}")
        return _complete(machine, decision, change["mark"], {"authority": name, "request_id": number})


def collect(machine: Machine, change: dict[str, Any]) -> dict[str, Any]:
    """Ask what became of a request, and install the certificate where it was issued. Returns what `enroll` returns."""
    name, number = change["authority"], change["request_id"]
    authority = _reach(machine, name)
    if str(number) in (authority.get("requests") or {}):
        decision = _decide(machine, authority, number)
    else:
        decision = _Decision(_ERROR, "The requested property value is empty.", 0x80094004)
    _assert_disposition(decision, name)
    return _complete(machine, decision, change["mark"], {"authority": name, "request_id": number})


def _default_authority(machine: Machine) -> str:
    authority = machine.document.get("ca")
    if authority is None:
        raise com_error("Element not found. (Exception from HRESULT: 0x80070490)", 0x80070490)
    return str(authority["config"])


def _reach(machine: Machine, name: str) -> dict[str, Any]:
    authority: dict[str, Any] | None = machine.document.get("ca")
    if authority is None or authority.get("mode") == "offline" or authority["config"] != name:
        raise com_error("The RPC server is unavailable. (Exception from HRESULT: 0x800706BA)", 0x800706BA)
    return authority


def _submit(machine: Machine, name: str, request: str, template: str) -> tuple[int, _Decision]:
    authority = _reach(machine, name)
    journal.check_fault(machine, "submit request")
    requests = authority["requests"] = authority.get("requests") or {}
    number = len(requests) + 1
    requests[str(number)] = {"request": request, "template": template}
    journal.write(machine, "submit request")
    return number, _decide(machine, authority, number)


def _decide(machine: Machine, authority: dict[str, Any], number: int) -> _Decision:
    request = authority["requests"][str(number)]
    if request["template"] != authority["template"]:
        return _Decision(_DENIED, "The requested certificate template is not supported by this CA.", 0x80094800)
    if authority["mode"] == "deny":
        message = "The permissions on the certificate template do not allow the current user to enroll for this type of certificate."
        return _Decision(_DENIED, message, 0x80094012)
    if authority["mode"] == "pending":
        return _Decision(_PENDING, "Taken Under Submission")
    return _Decision(_ISSUED, "Issued", issued=_issue(machine, authority, request["request"]))


@lru_cache(maxsize=64)
def _authority(certificate: str, key: str) -> tuple[x509.Certificate, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey]:
    private = serialization.load_pem_private_key(key.encode(), None)
    if not isinstance(private, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise TypeError("The key of the machine's CA is neither RSA nor elliptic.")
    return x509.load_pem_x509_certificate(certificate.encode()), private


def _issue(machine: Machine, authority: dict[str, Any], request: str) -> str:
    certificate, key = _authority(authority["certificate"], authority["key"])
    asked = x509.load_pem_x509_csr(request.replace("NEW CERTIFICATE REQUEST", "CERTIFICATE REQUEST").encode())
    now = machine.now().replace(microsecond=0)
    builder = (
        x509.CertificateBuilder()
        .subject_name(asked.subject)
        .issuer_name(certificate.subject)
        .public_key(asked.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=365))
    )
    for extension in asked.extensions:
        builder = builder.add_extension(extension.value, critical=extension.critical)
    return certificates.encode(builder.sign(key, hashes.SHA256()))


def _assert_disposition(decision: _Decision, name: str) -> None:
    if decision.disposition in {_ISSUED, _PENDING}:
        return
    message = f"The certification authority {name} refused the request: {decision.message.strip()} (0x{decision.status:08X})"
    raise com_error(message, decision.status)


def _complete(machine: Machine, decision: _Decision, mark: str | None, answer: dict[str, Any]) -> dict[str, Any]:
    if decision.disposition == _ISSUED:
        certreq.install(machine, decision.issued, mark)
    status = "pending" if decision.disposition == _PENDING else "issued"
    return {**answer, "message": decision.message, "status": status}
