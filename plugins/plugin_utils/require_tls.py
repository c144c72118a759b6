# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Planning the requirement of TLS on the five web services: the only step that can turn anyone away."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from .certificates import parse, reasons_against
from .changes import Change, SetAccess
from .planning import Plan
from .state import (
    FIVE_SERVICES,
    MUST_SERVE_HTTP,
    Access,
    Refusal,
    State,
    api_of,
    bound_certificate,
    configured_name,
    https_bindings,
    parse_time,
    restart_pending,
    site_of,
    url_of,
)

CLIENT_CERTIFICATE_FLAGS = ("SslNegotiateCert", "SslRequireCert")
"""Client certificates stay on Ignore [SUP]: neither asked for nor required."""


@dataclasses.dataclass(frozen=True)
class RequireWish:
    """Where TLS is to be required, or no longer to be."""

    applications: tuple[str, ...] = FIVE_SERVICES
    present: bool = True
    replace_site_requirement: bool = False
    downstream_states: tuple[State, ...] = ()
    downstream_days: int = 30
    ignore_downstream: tuple[str, ...] | bool = False
    """Names of downstream servers that may be turned away; True for all."""


Requirement = Literal["never", "now", "when_quiet"]
"""Whether TLS is to be required: not at all, at once, or once nobody needs plain HTTP any more."""

TAKE_BACK = (
    "TLS is required from now on. Where somebody is turned away who must not be, iis_require_ssl with state: absent takes it back at once."
)


def plan_require_tls(state: State, wish: RequireWish, now: datetime.datetime) -> Plan:
    """Plan the access flags, and refuse what is too early. NOW is an aware datetime. Values: applications, url.

    Raises Refusal: as plan_access and refuse_too_early do.
    """
    plan = plan_access(state, wish)
    if plan.changes and wish.present:
        refuse_too_early(state, wish, now)
    return plan


def plan_access(state: State, wish: RequireWish) -> Plan:
    """Plan the access flags, whoever is turned away by them. Values: applications, url.

    Raises Refusal: an application that the site does not have; and where TLS is to be required, one that must go on serving HTTP.
    """
    site = site_of(state)
    names = _spelled(state, wish.applications, wish.present)
    changes: list[Change] = []
    for name in names:
        changes += _on_application(name, site["applications"][name], wish.present, "Ssl" in site["access"]["ssl_flags"])
    notes = []
    if "Ssl" in site["access"]["ssl_flags"]:
        if wish.replace_site_requirement:
            rest = tuple(flag for flag in site["access"]["ssl_flags"] if flag != "Ssl" and flag not in CLIENT_CERTIFICATE_FLAGS)
            changes.append(SetAccess("", rest))
        else:
            notes.append(
                "TLS is required on the site as a whole, so content, self-update and reporting are refused over HTTP too, which breaks "
                "clients [CFG]. It is taken away only with replace_site_requirement: true."
            )
    return Plan(tuple(changes), tuple(notes), {"applications": names, "url": url_of(state)})


def managed_access(state: State) -> dict[str, Any]:
    """What the module manages, for before and after: the access flags of the site and of each application."""
    if state["iis"] is None:
        return {}
    site = state["iis"]["site"]
    return {"": _shown(site["access"]), **{name: _shown(access) for name, access in sorted(site["applications"].items())}}


def _shown(access: Access) -> str:
    return ", ".join(access["ssl_flags"] or ["None"]) + (" (inherited)" if access["inherited"] else "")


def _spelled(state: State, asked: Iterable[str], present: bool) -> list[str]:
    # IIS compares names without regard to case (it writes DssAuthWebService): the server's own spelling is used.
    own = {name.casefold(): name for name in site_of(state)["applications"]}
    must_stay = {name.casefold() for name in MUST_SERVE_HTTP}
    wrong = [name for name in asked if name.strip("/").casefold() in must_stay]
    if wrong and present:
        raise Refusal(
            f"TLS cannot be required on {', '.join(wrong)}: clients get update files, self-update and reporting over HTTP, signed and hashed "
            f"[CFG]. The services that must require it are {', '.join(FIVE_SERVICES)}."
        )
    missing = [name for name in asked if name.strip("/").casefold() not in own]
    if missing:
        raise Refusal(f"The WSUS site has no application {', '.join(missing)}. It has {', '.join(sorted(own.values())) or 'none'}.")
    return list(dict.fromkeys(own[name.strip("/").casefold()] for name in asked))


def _on_application(name: str, access: Access, present: bool, site_requires: bool) -> list[Change]:
    wished = [flag for flag in access["ssl_flags"] if flag not in ("Ssl", *CLIENT_CERTIFICATE_FLAGS)]
    if present:
        wished.insert(0, "Ssl")
    elif "Ssl" not in access["ssl_flags"]:
        return []
    same = set(wished) == set(access["ssl_flags"])
    # What is only inherited goes away with what the site has: it is made the application's own.
    return [] if same and not (access["inherited"] and site_requires) else [SetAccess(name, tuple(wished))]


def refuse_too_early(state: State, wish: RequireWish, now: datetime.datetime) -> None:
    """Raise Refusal where TLS cannot be required at NOW: as refuse_unfinished does, or a downstream server that still comes over HTTP."""
    refuse_unfinished(state, now)
    left = [f"{fqdn} ({why})" for fqdn, why in downstream_left(state, wish, now)]
    if left:
        raise Refusal(
            f"These downstream servers still come over HTTP and would be turned away: {'; '.join(left)}. "
            "Move them first (securepatch.wsus.wsus_downstream_sync), or name them in ignore_downstream."
        )


def refuse_unfinished(state: State, now: datetime.datetime) -> None:
    """Raise Refusal where the server does not offer HTTPS as it has to at NOW: no usable certificate, configuressl or its restart missing."""
    refuse_unusable_certificate(state, now)
    if not configured_name(state):
        raise Refusal(
            "WSUS has not been told its name for TLS: with TLS required before that, its own API and console would no longer answer. "
            "Run securepatch.wsus.wsus_configuressl first."
        )
    if restart_pending(state):
        raise Refusal("The restart after configuressl is still pending. Restart the server first (securepatch.wsus.wsus_restart).")


def refuse_unusable_certificate(state: State, now: datetime.datetime) -> None:
    """Raise Refusal unless an https binding of the site has a certificate that can serve the recorded name, or its own, at NOW."""
    against: list[str] = []
    for binding in https_bindings(state):
        if binding.get("promised"):
            return
        entry = bound_certificate(state, binding)
        if entry is None:
            against.append(f"{binding.get('thumbprint')}: is not in the computer's store")
            continue
        certificate = parse(entry)
        reasons = reasons_against(certificate, configured_name(state) or str(state["computer"]["fqdn"]), now, 0)
        if not reasons:
            return
        against.append(f"{certificate.thumbprint}: {'; '.join(reasons)}")
    what = f" ({'. '.join(against)})" if against else ""
    raise Refusal(f"No https binding of the WSUS site has a usable certificate{what}. Bind one first (securepatch.wsus.wsus_ssl_binding).")


def downstream_left(state: State, wish: RequireWish, now: datetime.datetime) -> list[tuple[str, str]]:
    """Those of waiting_downstream that a wish does not let be turned away."""
    if wish.ignore_downstream is True:
        return []
    ignored = {name.rstrip(".").casefold() for name in wish.ignore_downstream or ()}
    waiting = waiting_downstream(state, wish.downstream_states, wish.downstream_days, now)
    return [(fqdn, why) for fqdn, why in waiting if fqdn.rstrip(".").casefold() not in ignored]


def waiting_downstream(state: State, states: Sequence[State], days: int, now: datetime.datetime) -> list[tuple[str, str]]:
    """The downstream servers that WSUS lists, that synchronized within DAYS, and that are not known to come over TLS: name and why.

    STATES are those of downstream servers, matched by the server id that both sides give [API]; one without a state counts as not moved.
    Raises Refusal where the WSUS API did not answer.
    """
    api = api_of(state)
    if api is None:
        return []
    known: Mapping[str, State] = {each["api"]["server_id"].casefold(): each for each in states if each.get("api")}  # type: ignore[index]
    waiting = []
    for downstream in api["downstream_servers"]:
        last = downstream["last_sync"]
        if last is None or parse_time(last) < now - datetime.timedelta(days=days):
            continue
        found = known.get(downstream["id"].casefold())
        if found is None or found["api"] is None:
            waiting.append((downstream["fqdn"], f"last synchronized {last}; its own state is not known"))
            continue
        source = found["api"]["synchronization"]
        if not source["microsoft_update"] and not source["upstream_ssl"]:
            waiting.append((downstream["fqdn"], f"synchronizes from http://{source['upstream_name']}:{source['upstream_port']}"))
    return waiting
