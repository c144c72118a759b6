# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Planning whom a machine trusts: the authorities above the WSUS servers' certificates, and certificates that are pinned.

- Roots belong in the computer's Trusted Root store, intermediates in Intermediate Certification Authorities; the user's store is not
  looked at [BP, CFG].
- From the first certificate in the store C(WindowsServerUpdateServices) on, a client takes no other WSUS server [SCAN].
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Sequence
from typing import Any

from .authorities import Found, chain_among, leads_to, thumbprint_of
from .certificate_changes import INTERMEDIATE_STORE, MENDED_BY_TRUST, PINNING_STORE, ROOT_STORE, STORE_NAMES, Trust, is_in, unasked
from .planning import Plan
from .state import Endpoint, LookNeeded, Refusal, State, against_endpoint, find_endpoint, is_good


@dataclasses.dataclass(frozen=True)
class TrustWish:
    """authorities, pinned: certificates from files. endpoints: where the machine has to trust what it finds, each a name and a port."""

    authorities: tuple[Found, ...] = ()
    pinned: tuple[Found, ...] = ()
    endpoints: tuple[tuple[str, int], ...] = ()


def places(wish: TrustWish) -> list[tuple[str, Found]]:
    """Which certificate belongs in which store."""
    found = [(ROOT_STORE if each.is_root else INTERMEDIATE_STORE, each) for each in wish.authorities]
    return [*found, *((PINNING_STORE, each) for each in wish.pinned)]


def thumbprints(wish: TrustWish) -> list[str]:
    """The certificates that the machine has to be asked for."""
    return list(dict.fromkeys(each.thumbprint for _store, each in places(wish)))


def plan_trust(state: State, wish: TrustWish, now: datetime.datetime) -> Plan:
    """Plan what is missing in the stores, and judge what the machine finds at the endpoints. NOW is aware. Values: C(trust), C(endpoints).

    Raises Refusal: what is no authority or has expired, a server that cannot be reached or has another name, a chain that these authorities
    are not above, pinning that would cut the machine off. Raises LookNeeded.
    """
    refuse_unfit(wish, now)
    if unasked(state, thumbprints(wish)):
        raise LookNeeded
    beside = tuple(each.der for each in wish.authorities)
    changes = tuple(Trust(store, each.der, each.subject, beside) for store, each in places(wish) if not is_in(state, store, each.thumbprint))
    looked = []
    for host_name, port in wish.endpoints:
        endpoint = find_endpoint(state, host_name, port)
        if endpoint is None:
            raise LookNeeded(host_name, port)
        looked.append(endpoint)
    for endpoint in looked:
        _judge(endpoint, wish, bool(changes) or bool(state.get("predicted")))
    notes = [f"Trusted is {each.subject}, which ends on {each.not_after:%Y-%m-%d}." for each in wish.authorities if _ends_soon(each, now)]
    return Plan(changes, tuple(notes), {"trust": trust_of(state, wish), "endpoints": found_at(state, wish)})


def refuse_unfit(wish: TrustWish, now: datetime.datetime) -> None:
    """Raise Refusal for what must not be put in a store, whatever the machine is."""
    problems = []
    for each in wish.authorities:
        what = f"{each.thumbprint} ({each.subject})"
        if not each.is_authority:
            kind = "a certificate that issued itself and is no authority" if each.is_root else "no authority"
            problems.append(
                f"{what} is {kind}: whoever has its key could become anybody if it were trusted as one. Give the certificates of the "
                "authorities that issued it; to pin a server's own certificate, give it as pinned."
            )
        elif each.not_after < now:
            problems.append(f"{what} expired on {each.not_after:%Y-%m-%d}.")
        elif each.not_before > now:
            problems.append(f"{what} is not valid before {each.not_before:%Y-%m-%d}.")
    for each in wish.pinned:
        if each.not_after < now:
            problems.append(f"{each.thumbprint} ({each.subject}) expired on {each.not_after:%Y-%m-%d} and must not be pinned.")
    if problems:
        raise Refusal(" ".join(problems))


def _ends_soon(authority: Found, now: datetime.datetime) -> bool:
    return authority.not_after - now < datetime.timedelta(days=90)


def _judge(endpoint: Endpoint, wish: TrustWish, to_come: bool) -> None:
    place = f"{endpoint['host_name']}:{endpoint['port']}"
    if wish.pinned and endpoint["certificates"]:
        served = thumbprint_of(endpoint["certificates"][0])
        if served not in {each.thumbprint for each in wish.pinned}:
            raise Refusal(f"What is to be pinned would cut this machine off from {place}: the certificate there is {served}, which is not among it.")
    if is_good(endpoint):
        return
    trusts_now = endpoint["trusted"] is True
    fits = endpoint["reachable"] and endpoint["name_matches"] is True
    # Where only the trust is missing, and what comes (or a prediction has) brings it, all is well: that it does is looked at afterwards.
    if to_come and fits and not trusts_now and leads_to(endpoint["certificates"], wish.authorities):
        beyond = [error for error in endpoint["chain_errors"] if error not in MENDED_BY_TRUST]
        if not beyond:
            return
        raise Refusal(f"{against_endpoint(endpoint)}. These authorities are above it, but trusting them does not mend {', '.join(beyond)}.")
    raise Refusal(f"{against_endpoint(endpoint)}.{_what_helps(endpoint, wish)}")


def _what_helps(endpoint: Endpoint, wish: TrustWish) -> str:
    if not endpoint["certificates"] or endpoint["trusted"]:
        return ""
    if not wish.authorities:
        return " Give the certificates of the authorities above it."
    if leads_to(endpoint["certificates"], wish.authorities):
        return " The authorities are in place, so something else is wrong with the chain: a date, a purpose, a certificate that is distrusted."
    top = chain_among(endpoint["certificates"][0], [*endpoint["certificates"][1:], *(each.der for each in wish.authorities)])[-1]
    return f" None of the authorities that were given is the root above it (the chain ends at {thumbprint_of(top)}). Is this the right file?"


def found_at(state: State, wish: TrustWish) -> list[dict[str, Any]]:
    """What the machine found at each of the endpoints: host_name, port, ok, and the problem where there is one."""
    looked = [endpoint for place in wish.endpoints if (endpoint := find_endpoint(state, *place)) is not None]
    return [_told(endpoint) for endpoint in looked]


def _told(endpoint: Endpoint) -> dict[str, Any]:
    against = against_endpoint(endpoint)
    return {"host_name": endpoint["host_name"], "port": endpoint["port"], "ok": not against, "problem": against or None}


def trust_of(state: State, wish: TrustWish) -> list[dict[str, Any]]:
    """Each certificate with the store it belongs in, and whether it is there (null where the machine was not asked)."""
    return [
        {
            "thumbprint": each.thumbprint,
            "subject": each.subject,
            "store": STORE_NAMES[store],
            "present": is_in(state, store, each.thumbprint),
            "not_after": each.not_after.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        for store, each in places(wish)
    ]


def managed_trust(state: State, asked: Sequence[str]) -> dict[str, list[str]]:
    """What the module manages, for before and after: in which stores of trust the certificates with these thumbprints are."""
    trust = state.get("trust") or {}
    return {one: [STORE_NAMES.get(store, store) for store in trust.get(one) or []] for one in asked}
