# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The verdict on one server: what is missing until it offers HTTPS, until it requires TLS, and what stands in the way."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable
from typing import Any

from .binding import BindingWish, Criteria, plan_binding, select
from .certificate_changes import FRIENDLY_NAME, promised_entry
from .changes import predict
from .configuressl import ConfigureWish, plan_configuressl
from .planning import Plan
from .require_tls import RequireWish, plan_require_tls
from .restart import plan_restart
from .state import FIVE_SERVICES, Refusal, State, iis_of, own_fqdn, restart_pending, serving_binding, setup_of


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Sentences, in the order in which to act on them. A server offers HTTPS where nothing is missing to, and so on."""

    to_offer: tuple[str, ...]
    to_require: tuple[str, ...]
    blocked: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def offers(self) -> bool:
        """Whether HTTPS is offered: bound, told, restarted."""
        return not self.to_offer and not self.blocked

    @property
    def requires(self) -> bool:
        """Whether TLS is required on the five services, and HTTPS offered."""
        return self.offers and not self.to_require

    def as_dict(self) -> dict[str, Any]:
        """The verdict as a module returns it."""
        return {
            "offers_https": self.offers,
            "requires_tls": self.requires,
            "missing_to_offer": list(self.to_offer),
            "missing_to_require": list(self.to_require),
            "blocked_by": list(self.blocked),
            "notes": list(self.notes),
        }


def judge(state: State, wish: BindingWish, now: datetime.datetime) -> Verdict:
    """The verdict as things stand at NOW (aware), from what each planner would do in turn.

    Whether downstream servers still come over HTTP is no part of it: that takes their states.
    """
    to_offer: list[str] = []
    blocked: list[str] = []
    notes = list(remarks(state))
    try:
        refuse_not_running(state)
    except Refusal as refusal:
        blocked.append(str(refusal))
    steps: list[Callable[[State], Plan]] = [
        lambda now_state: plan_binding(now_state, wish, now),
        lambda now_state: plan_configuressl(now_state, ConfigureWish(wish.fqdn, look=False), now),
        lambda now_state: plan_restart(now_state, "reboot"),
    ]
    ahead = state
    for step in steps:
        try:
            plan = step(ahead)
        except Refusal as refusal:
            blocked.append(str(refusal))
            break
        to_offer += [change.describe() for change in plan.changes]
        ahead = predict(ahead, plan.changes, now)
    to_require: list[str] = []
    if not blocked:
        try:
            plan = plan_require_tls(ahead, RequireWish(ignore_downstream=True), now)
            to_require = [change.describe() for change in plan.changes]
            notes += plan.notes
        except Refusal as refusal:
            blocked.append(str(refusal))
    return Verdict(tuple(to_offer), tuple(to_require), tuple(dict.fromkeys(blocked)), tuple(dict.fromkeys(notes)))


def with_certificate_to_come(state: State, wish: BindingWish, now: datetime.datetime) -> State:
    """The state as it would be with a certificate that will be obtained, where none fits; else as it is."""
    if state["setup"] is None or state["iis"] is None or state["certificates"] is None:
        return state
    fqdn = (wish.fqdn or own_fqdn(state)).lower()
    criteria = Criteria(fqdn, wish.min_days_valid, wish.issuer, wish.friendly_name)
    if select(state, criteria, serving_binding(state), now).certificate is not None:
        return state
    return {**state, "certificates": [*state["certificates"], promised_entry(FRIENDLY_NAME)], "predicted": True}


def standing(state: State) -> str:
    """Where a server stands, in a few words: HTTP, half-way, restart pending, offers HTTPS, requires TLS."""
    if state["setup"] is None or state["iis"] is None or not state["setup"]["post_installed"]:
        return "not a working WSUS"
    required = {name.casefold() for name, access in state["iis"]["site"]["applications"].items() if "Ssl" in access["ssl_flags"]}
    bound = serving_binding(state) is not None
    told = state["setup"]["using_ssl"]
    if bound and told:
        if restart_pending(state):
            return "restart pending"
        return "requires TLS" if {name.casefold() for name in FIVE_SERVICES} <= required else "offers HTTPS"
    return "half-way" if bound or told or required else "HTTP"


def refuse_not_running(state: State) -> None:
    """Raise Refusal where WSUS is not installed to the end, or a service, the site or the pool that it needs does not run."""
    setup_of(state)
    if stopped := not_running(state):
        raise Refusal(f"WSUS does not run on this server: {'; '.join(stopped)}. Start what is stopped, and find out why it was.")
    iis = iis_of(state)
    if iis["application_pool"] is None:
        raise Refusal("The WSUS site has no application ClientWebService. Repair the WSUS installation.")


def not_running(state: State) -> list[str]:
    """What WSUS needs and does not run, each as a clause: services, and where those run, the site and the pool. Empty where all runs."""
    stopped = [f"the service {name} is {status or 'not there'}" for name, status in state["services"].items() if status != "Running"]
    if stopped or state["iis"] is None:
        # Without its services IIS cannot say how the site and the pool are.
        return stopped
    parts = (("site", state["iis"]["site"]), ("application pool", state["iis"]["application_pool"]))
    well = ("Started", "Starting")
    return [f"the {what} '{found['name']}' is {found['state'].lower()}" for what, found in parts if found and found["state"] not in well]


def remarks(state: State) -> tuple[str, ...]:
    """What an administrator should know of this server before anything is done to it; never a reason to refuse."""
    found = []
    if state["restart"]["windows_pending"]:
        found.append("Windows waits for a restart of this machine (updates or features).")
    if restart_pending(state):
        found.append("A restart after configuressl is pending.")
    if state["computer"]["configuration_manager"]:
        found.append("Configuration Manager is on this machine: its software update point needs 'Require SSL communication' as well [SUP].")
    setup = state["setup"]
    if setup and setup["sql_server"] and not is_internal_database(setup["sql_server"], str(state["computer"]["name"])):
        found.append(f"The database is on {setup['sql_server']}: the link to it is not covered by TLS on the site [CFG].")
    for part, failure in sorted(state["unreadable"].items()):
        if part not in ("setup", "iis"):
            found.append(f"{part} could not be read: {failure['message']}")
    return tuple(found)


def is_internal_database(sql_server: str, computer: str) -> bool:
    """Whether a SqlServerName means a database on this machine."""
    host = sql_server.partition("\\")[0].casefold()
    return "##wid" in sql_server.casefold() or host in (computer.casefold(), ".", "(local)", "localhost", "")
