# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The enterprise CA that a machine can ask: `ca` of the document, or else its network's.

`ca` has `config` (HOST\\NAME), `certificate` and `key` (PEM), `template` and `mode`: issue, pending, deny or offline. Requests that it got
stand in `requests` by their number.
"""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from ..machine import CertificationAuthority, Decision, Machine
from . import certificates, certreq, journal, registry
from .errors import WindowsError, com_error

ISSUED, DENIED, PENDING, ERROR = 3, 2, 5, 1

UNKNOWN_TEMPLATE = Decision(DENIED, "The requested certificate template is not supported by this CA.", 0x80094800)
MAY_NOT_ENROLL = Decision(
    DENIED,
    "The permissions on the certificate template do not allow the current user to enroll for this type of certificate.",
    0x80094012,
)
UNDER_SUBMISSION = Decision(PENDING, "Taken Under Submission")
UNKNOWN_REQUEST = Decision(ERROR, "The requested property value is empty.", 0x80094004)


def issued(certificate: str) -> Decision:
    """The decision that gives a certificate (base64)."""
    return Decision(ISSUED, "Issued", issued=certificate)


def enroll(machine: Machine, change: dict[str, Any], has_credentials: bool) -> dict[str, Any]:
    """Make a request, send it in, and install what comes back at once.

    HAS_CREDENTIALS: whether whoever runs this can prove who they are to another machine; the CA turns away who cannot. A request that was
    refused leaves neither mark nor key. Called without the machine's lock. Returns authority, request_id, message and status (issued or
    pending).
    """
    with machine.lock:
        name = change["authority"] or _default_authority(machine)
        waiting = certificates.thumbprints(machine, "Request")
    request = certreq.request(machine, change)
    with machine.lock:
        try:
            number, decision = _submit(machine, _reach(machine, name, has_credentials), request, change["template"])
            _assert_disposition(decision, name)
        except WindowsError:
            for orphan in certificates.thumbprints(machine, "Request"):
                if orphan not in waiting:
                    certificates.remove(machine, "Request", orphan)
            raise
        registry.write_mark(machine, change["mark"], f"{number} {name}")
        return _complete(machine, decision, change["mark"], {"authority": name, "request_id": number})


def collect(machine: Machine, change: dict[str, Any], has_credentials: bool) -> dict[str, Any]:
    """Ask what became of a request, and install the certificate where it was issued. Returns what `enroll` returns."""
    name, number = change["authority"], change["request_id"]
    with machine.lock:
        decision = _reach(machine, name, has_credentials).retrieve(machine, number)
        _assert_disposition(decision, name)
        return _complete(machine, decision, change["mark"], {"authority": name, "request_id": number})


def _known(machine: Machine) -> CertificationAuthority | None:
    if machine.document.get("ca") is not None:
        return _OfDocument(machine.document["ca"])
    return machine.network.certification_authority(machine) if machine.network is not None else None


def _default_authority(machine: Machine) -> str:
    authority = _known(machine)
    if authority is None:
        raise com_error("Element not found. (Exception from HRESULT: 0x80070490)", 0x80070490)
    return authority.config


def _reach(machine: Machine, name: str, has_credentials: bool) -> CertificationAuthority:
    authority = _known(machine)
    if authority is None or not authority.online or authority.config.casefold() != name.casefold():
        raise com_error("The RPC server is unavailable. (Exception from HRESULT: 0x800706BA)", 0x800706BA)
    if not has_credentials:
        raise com_error("Access is denied. (Exception from HRESULT: 0x80070005 (E_ACCESSDENIED))", 0x80070005)
    return authority


def _submit(machine: Machine, authority: CertificationAuthority, request: str, template: str) -> tuple[int, Decision]:
    journal.check_fault(machine, "submit request")
    number, decision = authority.submit(machine, request, template)
    journal.write(machine, "submit request")
    return number, decision


class _OfDocument:
    """The CA of a document. What becomes of a request is its mode of the time when that is asked."""

    def __init__(self, authority: dict[str, Any]) -> None:
        self._authority = authority
        self.config = str(authority["config"])
        self.online = authority.get("mode") != "offline"

    def submit(self, machine: Machine, request: str, template: str) -> tuple[int, Decision]:
        requests = self._authority["requests"] = self._authority.get("requests") or {}
        number = len(requests) + 1
        requests[str(number)] = {"request": request, "template": template}
        return number, self.retrieve(machine, number)

    def retrieve(self, machine: Machine, number: int) -> Decision:
        request = (self._authority.get("requests") or {}).get(str(number))
        if request is None:
            return UNKNOWN_REQUEST
        if request["template"] != self._authority["template"]:
            return UNKNOWN_TEMPLATE
        if self._authority["mode"] == "deny":
            return MAY_NOT_ENROLL
        if self._authority["mode"] == "pending":
            return UNDER_SUBMISSION
        return issued(_issue(machine, self._authority, request["request"]))


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


def _assert_disposition(decision: Decision, name: str) -> None:
    if decision.disposition in {ISSUED, PENDING}:
        return
    message = f"The certification authority {name} refused the request: {decision.message.strip()} (0x{decision.status:08X})"
    raise com_error(message, decision.status)


def _complete(machine: Machine, decision: Decision, mark: str | None, answer: dict[str, Any]) -> dict[str, Any]:
    if decision.disposition == ISSUED:
        certreq.install(machine, decision.issued, mark)
    status = "pending" if decision.disposition == PENDING else "issued"
    return {**answer, "message": decision.message, "status": status}
