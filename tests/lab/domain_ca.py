# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The domain's enterprise CA, one for all machines of a fleet: it signs with the lab's issuing authority, and keeps what it was asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, get_args

from cryptography import x509

from .authority import Authority, requested_names
from .engine import enterprise_ca
from .machine import Decision, Machine
from .tls import base64_of

Mode = Literal["issue", "pending", "deny", "offline"]
State = Literal["issued", "pending", "denied"]
_ADMIN_DENIED = 0x80094014  # CERTSRV_E_ADMIN_DENIED_REQUEST


@dataclass(frozen=True)
class Settings:
    """`ca` of a fleet.

    :param mode: what becomes of a request: `issue`, `pending` (until it is decided), `deny`, or `offline` (nobody answers)
    :param template: the only one that it issues by
    :param strip_san: it leaves the names of a request out
    :param days: how long what it issues is valid
    """

    mode: Mode = "issue"
    template: str = "WebServer"
    strip_san: bool = False
    days: float = 365

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            raise ValueError(f"mode: there are {', '.join(get_args(Mode))}, not {self.mode!r}")


@dataclass(frozen=True)
class Request:
    """A request that the CA got, as it stands now.

    :param server: whose computer account asked
    :param names: the DNS names that were asked for
    :param request: itself, PEM
    """

    number: int
    server: str
    template: str
    names: tuple[str, ...]
    state: State
    request: str


@dataclass(frozen=True)
class _Entry:
    request: Request
    decision: Decision


class DomainCA:
    """The CA. May be called, and its settings changed, from any thread.

    `mode`, `template`, `strip_san` and `days` are for requests that come from now on; `may_not_enroll` has the machines whose computer
    account the template does not grant Enroll to.
    """

    def __init__(self, authority: Authority, config: str, settings: Settings, may_not_enroll: Iterable[str] = ()) -> None:
        # The lab's, where it is in one.
        self.clock: Callable[[], datetime] | None = None
        self.config = config
        self.template = settings.template
        self.strip_san = settings.strip_san
        self.days = settings.days
        self.may_not_enroll = set(may_not_enroll)
        self._mode: Mode = settings.mode
        self._authority = authority
        self._lock = threading.Lock()
        self._entries: list[_Entry] = []

    @property
    def mode(self) -> Mode:
        """What becomes of the requests that come."""
        return self._mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        self._mode = Settings(mode).mode

    @property
    def requests(self) -> list[Request]:
        """What came, in order."""
        with self._lock:
            return [one.request for one in self._entries]

    def decide(self, number: int, what: Literal["issue", "deny"]) -> None:
        """What a CA manager does with a request that waits.

        :raises ValueError: for one that is not there, or does not wait
        """
        if what not in {"issue", "deny"}:
            raise ValueError(f"A request is decided with issue or deny, not {what!r}.")
        with self._lock:
            entry = self._entries[number - 1] if 0 < number <= len(self._entries) else None
            if entry is None or entry.request.state != "pending":
                raise ValueError(f"There is no request {number} that waits.")
            # [MS-CSRA] 3.1.4.1.4: the CA says who it was.
            denied = Decision(enterprise_ca.DENIED, f"Denied by {self._manager()}", _ADMIN_DENIED)
            decision = self._issued(entry.request) if what == "issue" else denied
            self._entries[number - 1] = _Entry(replace(entry.request, state="issued" if what == "issue" else "denied"), decision)

    def _manager(self) -> str:
        domain = self.config.partition("\\")[0].split(".")[1:2] or ["CORP"]
        return f"{domain[0].upper()}\\Administrator"

    # --- CertificationAuthority ------------------------------------------------------------------------------------------

    @property
    def online(self) -> bool:
        return self._mode != "offline"

    def submit(self, machine: Machine, request: str, template: str) -> tuple[int, Decision]:
        with self._lock:
            asked = x509.load_pem_x509_csr(request.encode("ascii"))
            names = tuple(one.value for one in requested_names(asked) if isinstance(one, x509.DNSName))
            got = Request(len(self._entries) + 1, machine.name, template, names, "pending", request)
            decision = self._decision(got)
            states: dict[int, State] = {enterprise_ca.ISSUED: "issued", enterprise_ca.DENIED: "denied"}
            self._entries.append(_Entry(replace(got, state=states.get(decision.disposition, "pending")), decision))
            return got.number, decision

    def retrieve(self, machine: Machine, number: int) -> Decision:
        with self._lock:
            return self._entries[number - 1].decision if 0 < number <= len(self._entries) else enterprise_ca.UNKNOWN_REQUEST

    def _decision(self, request: Request) -> Decision:
        if request.template != self.template:
            return enterprise_ca.UNKNOWN_TEMPLATE
        if self._mode == "deny" or request.server in self.may_not_enroll:
            return enterprise_ca.MAY_NOT_ENROLL
        return enterprise_ca.UNDER_SUBMISSION if self._mode == "pending" else self._issued(request)

    def _issued(self, request: Request) -> Decision:
        names = () if self.strip_san else None
        now = self.clock() if self.clock is not None else None
        return enterprise_ca.issued(base64_of(self._authority.sign(request.request, dns_names=names, days=self.days, now=now)))
