# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The changes that can be made to a machine's certificates: asked for, installed, named, removed, trusted.

Most are events: a request that was sent, a key that was made or removed, has no way back.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable
from typing import Any

from .authorities import chain_among, thumbprint_of
from .changes import Change, Event
from .state import PENDING_MARK, PFX_MARK, REQUEST_MARK, State, certificates_of

PERSONAL = "My"
REQUEST_STORE = "request"  # in the case of letters that it is compared in
ROOT_STORE = "Root"
INTERMEDIATE_STORE = "CA"
PINNING_STORE = "WindowsServerUpdateServices"
STORE_NAMES = {
    PERSONAL: "Personal",
    ROOT_STORE: "Trusted Root Certification Authorities",
    INTERMEDIATE_STORE: "Intermediate Certification Authorities",
    PINNING_STORE: "WindowsServerUpdateServices",
}
MENDED_BY_TRUST = ("UntrustedRoot", "PartialChain")
"""What is wrong with a chain (X509ChainStatusFlags) whose authorities are not in the stores."""
FRIENDLY_NAME = "WSUS"
"""What a certificate is called that nobody gave another name."""


def promised_entry(friendly_name: str) -> dict[str, Any]:
    """The entry of a certificate that is still to come, as a predicted state has it: nothing is known of it yet, and it fits everything."""
    return {"store": PERSONAL, "thumbprint": None, "der": None, "has_private_key": True, "key_usable": True, "friendly_name": friendly_name}


@dataclasses.dataclass(frozen=True)
class CertificateRequest(Event):
    """Make a private key on the server and a request for it (certreq -new); the mark keeps the request."""

    subject: str
    friendly_name: str
    dns_names: tuple[str, ...]
    key_algorithm: str
    key_length: int
    mark: str | None = REQUEST_MARK

    kind = "certificate_request"

    def payload(self) -> dict[str, Any]:
        return {**super().payload(), "dns_names": list(self.dns_names)}

    def describe(self) -> str:
        return f"Make a private key on the server and a certificate request for {', '.join(self.dns_names)}"

    def predict(self, state: State, now: datetime.datetime) -> None:
        # The request itself cannot be known before there is a key.
        if self.mark:
            state["marks"][self.mark] = ""


@dataclasses.dataclass(frozen=True)
class Enroll(Event):
    """Ask an enterprise CA for a certificate by template, and install it if it is issued at once; else the mark keeps the request's number."""

    authority: str | None
    template: str
    subject: str
    friendly_name: str
    dns_names: tuple[str, ...]
    key_algorithm: str
    key_length: int
    mark: str | None = PENDING_MARK

    kind = "certificate_enroll"

    def payload(self) -> dict[str, Any]:
        return {**super().payload(), "dns_names": list(self.dns_names)}

    def describe(self) -> str:
        who = self.authority or "the directory's default CA"
        return f"Make a private key on the server and ask {who} for a certificate for {', '.join(self.dns_names)} (template {self.template})"

    def predict(self, state: State, now: datetime.datetime) -> None:
        if self.mark:
            state["marks"].pop(self.mark, None)
        certificates_of(state).append(promised_entry(self.friendly_name))


@dataclasses.dataclass(frozen=True)
class Collect(Event):
    """Ask a CA what became of a request, and install the certificate if it is issued."""

    authority: str
    request_id: int
    mark: str | None = PENDING_MARK

    kind = "certificate_collect"

    def describe(self) -> str:
        return f"Collect the certificate of request {self.request_id} from {self.authority}"

    def predict(self, state: State, now: datetime.datetime) -> None:
        if self.mark:
            state["marks"].pop(self.mark, None)
        certificates_of(state).append(promised_entry(FRIENDLY_NAME))


@dataclasses.dataclass(frozen=True)
class InstallCertificate(Event):
    """Let a certificate (DER in base64) meet the key that waits for it on the server (certreq -accept). It gets the FRIENDLY_NAME that was
    given with the request; WAITING is the thumbprint of what stands for the key in the Request store."""

    der: str
    friendly_name: str
    waiting: str
    mark: str | None = REQUEST_MARK

    kind = "certificate_install"

    def payload(self) -> dict[str, Any]:
        return {"kind": self.kind, "der": self.der, "mark": self.mark}

    def describe(self) -> str:
        return f"Install the certificate {thumbprint_of(self.der)}, whose key waits on the server"

    def predict(self, state: State, now: datetime.datetime) -> None:
        if self.mark:
            state["marks"].pop(self.mark, None)
        state["certificates"] = [
            each for each in certificates_of(state) if (each["store"].casefold(), each["thumbprint"]) != (REQUEST_STORE, self.waiting)
        ]
        _add_personal(state, self.der, self.friendly_name)


@dataclasses.dataclass(frozen=True)
class ImportPfx(Event):
    """Install a certificate with its private key from a PFX file of the controller. Not in the list of changes:
    ansible.windows.win_certificate_store does it."""

    der: str
    friendly_name: str
    file: str

    kind = "pfx"

    def payload(self) -> dict[str, Any]:
        raise TypeError("A PFX is not a change that the server makes to itself.")

    def describe(self) -> str:
        return f"Install the certificate {thumbprint_of(self.der)} with its private key, not exportable, from {self.file}"

    def predict(self, state: State, now: datetime.datetime) -> None:
        _add_personal(state, self.der, self.friendly_name)


@dataclasses.dataclass(frozen=True)
class RemoveLeftover(Event):
    """Remove the folder with a PFX that a run left which was cut off. Not in the list of changes: ansible.windows.win_file does it."""

    folder: str

    kind = "leftover"

    def payload(self) -> dict[str, Any]:
        raise TypeError("A folder is not a change that the server makes to itself.")

    def describe(self) -> str:
        return f"Remove the folder {self.folder}, in which a run that was cut off left a PFX"

    def predict(self, state: State, now: datetime.datetime) -> None:
        state["marks"].pop(PFX_MARK, None)


def _add_personal(state: State, der: str, friendly_name: str) -> None:
    entry = {**promised_entry(friendly_name), "thumbprint": thumbprint_of(der), "der": der}
    kept = [each for each in certificates_of(state) if (each["store"], each["thumbprint"]) != (PERSONAL, entry["thumbprint"])]
    state["certificates"] = [*kept, entry]


@dataclasses.dataclass(frozen=True)
class NameCertificate(Change):
    """The friendly name of a certificate: it changes nothing but what administrators see."""

    store: str
    thumbprint: str
    friendly_name: str

    kind = "certificate_name"

    def describe(self) -> str:
        return f"Give the certificate {self.thumbprint} the friendly name {self.friendly_name!r}"

    def predict(self, state: State, now: datetime.datetime) -> None:
        for entry in certificates_of(state):
            if (entry["store"], entry["thumbprint"]) == (self.store, self.thumbprint):
                entry["friendly_name"] = self.friendly_name

    def undo(self, before: State) -> list[Change] | None:
        for entry in certificates_of(before):
            if (entry["store"], entry["thumbprint"]) == (self.store, self.thumbprint):
                return [NameCertificate(self.store, self.thumbprint, entry["friendly_name"])]
        return None


@dataclasses.dataclass(frozen=True)
class RemoveCertificate(Event):
    """A certificate is not there any more; its private key goes too."""

    store: str
    thumbprint: str

    kind = "certificate_remove"

    def describe(self) -> str:
        return f"Remove the certificate {self.thumbprint} and its private key from the store {STORE_NAMES.get(self.store, self.store)}"

    def predict(self, state: State, now: datetime.datetime) -> None:
        if state["certificates"] is not None:
            gone = (self.store, self.thumbprint)
            state["certificates"] = [each for each in state["certificates"] if (each["store"], each["thumbprint"]) != gone]
        stores = (state.get("trust") or {}).get(self.thumbprint)
        if stores and self.store in stores:
            stores.remove(self.store)


@dataclasses.dataclass(frozen=True)
class Trust(Change):
    """A certificate (DER in base64) in one of the computer's stores of trust. SUBJECT is for the words; BESIDE has the others that come with it."""

    store: str
    der: str
    subject: str
    beside: tuple[str, ...] = dataclasses.field(default=(), compare=False, repr=False)

    kind = "trust"

    def payload(self) -> dict[str, Any]:
        return {"kind": self.kind, "store": self.store, "der": self.der}

    def describe(self) -> str:
        return f"Add the certificate {thumbprint_of(self.der)} ({self.subject}) to the store {STORE_NAMES.get(self.store, self.store)}"

    def predict(self, state: State, now: datetime.datetime) -> None:
        stores = state.setdefault("trust", {}).setdefault(thumbprint_of(self.der), [])
        if self.store not in stores:
            stores.append(self.store)
        if self.store == ROOT_STORE:
            for endpoint in state.get("endpoints") or []:
                found, beyond = endpoint["certificates"], set(endpoint["chain_errors"]) - set(MENDED_BY_TRUST)
                if endpoint["trusted"] is not False or beyond or not found:
                    continue
                if self.der in chain_among(found[0], [*found[1:], *self.beside, self.der]):
                    endpoint["trusted"], endpoint["chain_errors"] = True, []

    def undo(self, before: State) -> list[Change] | None:
        was_there = is_in(before, self.store, thumbprint_of(self.der))
        if was_there is None:
            return None  # nobody asked: what was there before must not be removed
        return [] if was_there else [RemoveCertificate(self.store, thumbprint_of(self.der))]


def is_in(state: State, store: str, thumbprint: str) -> bool | None:
    """Whether one of the stores of trust has a certificate; None where the server was not asked."""
    stores = (state.get("trust") or {}).get(thumbprint)
    return None if stores is None else store in stores


def unasked(state: State, thumbprints: Iterable[str]) -> list[str]:
    """Those of the thumbprints whose trust the server was not asked for."""
    return [one for one in thumbprints if one not in (state.get("trust") or {})]
