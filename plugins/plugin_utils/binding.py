# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Planning the https binding of the WSUS site, and choosing its certificate."""

from __future__ import annotations

import dataclasses
import datetime
import re
from typing import Any

from .certificates import PERSONAL_STORE, Certificate, Choice, choose, not_asked_for, parse, reasons_against, summary
from .changes import Binding, Change, Registry, RestartSite
from .planning import Plan
from .state import (
    ANY_ADDRESS,
    CENTRAL_STORE,
    MARKS_KEY,
    REPLACED_MARK,
    SITE_RESTART_MARK,
    SNI,
    BindingState,
    Refusal,
    State,
    bound_certificate,
    certificates_of,
    default_https_port,
    find_endpoint,
    http_port,
    iis_of,
    kernel_endpoint,
    own_fqdn,
    same_name,
    served_by_kernel,
    site_of,
)

PROMISED = "promised"
"""Instead of a thumbprint: the certificate that an earlier task foretold in check mode."""


@dataclasses.dataclass(frozen=True)
class BindingWish:
    """Which certificate is to be bound, and where. None: the server's own name, the port that WSUS pairs with its HTTP port."""

    fqdn: str | None = None
    port: int | None = None
    thumbprint: str | None = None
    issuer: str | None = None
    friendly_name: str | None = None
    min_days_valid: int = 14


def plan_binding(state: State, wish: BindingWish, now: datetime.datetime) -> Plan:
    """Plan the binding. NOW is an aware datetime. Values: fqdn, port, http_port, thumbprint, certificate.

    Raises Refusal: no certificate fits (each with its reasons), another site or plain HTTP has the port, IIS or a store could not be read.
    """
    site = site_of(state)
    fqdn = (wish.fqdn or own_fqdn(state)).lower()
    port = wish.port or default_https_port(state)
    current = find_binding(state, port, fqdn)
    certificate = _pick(state, wish, fqdn, current, now)
    wished = _wished(current, port, certificate)
    changes: list[Change] = []
    notes = []
    restart = SITE_RESTART_MARK in state["marks"]
    if not _is_as_wished(state, current, wished):
        _refuse_taken_port(state, wished)
        if current is None or not (current.get("thumbprint") or current.get("promised")):
            # A site that is started may not listen on a new binding until it is stopped and started [SEEN]. The mark makes a run that
            # was cut off in between do it the next time.
            restart = True
            changes.append(Registry(MARKS_KEY, SITE_RESTART_MARK, "String", str(port), "Note on the server that its site needs a restart"))
        if replaced := _note_replaced(state, current, wished):
            changes.append(replaced)
        changes.append(wished)
        notes += _other_issuer(state, current, certificate)
    elif _serves_old(state, fqdn, port, certificate):
        restart = True
    if restart:
        if site["state"] == "Started":
            changes.append(RestartSite())
        changes.append(Registry(MARKS_KEY, SITE_RESTART_MARK, "String", None, "Take the note of the site's restart off the server"))
    foreign = _foreign_entry(state, wished)
    if foreign:
        notes.append(foreign)
    values = {
        "fqdn": fqdn,
        "port": port,
        "http_port": http_port(state),
        "thumbprint": certificate.thumbprint or None,
        "certificate": summary(certificate, fqdn, now, wish.min_days_valid),
    }
    return Plan(tuple(changes), tuple(notes), values)


def certificate_to_bind(state: State, wish: BindingWish, now: datetime.datetime) -> Certificate:
    """The certificate that would be bound. NOW is aware. Raises Refusal where none fits, with each one's reasons."""
    fqdn = (wish.fqdn or own_fqdn(state)).lower()
    return _pick(state, wish, fqdn, find_binding(state, wish.port or default_https_port(state), fqdn), now)


def who_has_port(state: State, wish: BindingWish, now: datetime.datetime) -> tuple[int, bool]:
    """The port that would be bound, and whether the WSUS site has it already. NOW is aware. Raises Refusal where another site has it, or plain
    HTTP, and something would have to be bound."""
    fqdn, port = (wish.fqdn or own_fqdn(state)).lower(), wish.port or default_https_port(state)
    current = find_binding(state, port, fqdn)
    try:
        certificate = _pick(state, wish, fqdn, current, now)
    except Refusal:  # another matter: there may be one later
        certificate = Certificate(store=PERSONAL_STORE, thumbprint="", friendly_name="", promised=True)
    wished = _wished(current, port, certificate)
    if not _is_as_wished(state, current, wished):
        _refuse_taken_port(state, wished)
    return port, current is not None


def managed_bindings(state: State) -> list[dict[str, Any]]:
    """What the module manages, for before and after: the site's https bindings and what the kernel serves for each."""
    if state["iis"] is None:
        return []
    kernel = {entry["endpoint"]: entry["thumbprint"] for entry in state["http_sys"] or []}
    return sorted(
        (
            {
                "binding": f"{binding['ip_address']}:{binding['port']}:{binding['host_name']}",
                "thumbprint": _shown(binding),
                "store": binding.get("store"),
                "ssl_flags": binding.get("ssl_flags", 0),
                "served": _shown(binding) if binding.get("promised") else kernel.get(kernel_endpoint(binding)),
            }
            for binding in state["iis"]["site"]["bindings"]
            if binding["protocol"] == "https"
        ),
        key=lambda shown: str(shown["binding"]),
    )


def _shown(binding: BindingState) -> str | None:
    return "still to come" if binding.get("promised") else binding.get("thumbprint")


def find_binding(state: State, port: int, fqdn: str) -> BindingState | None:
    """The site's https binding on a port: of several the one for this name, else one for any name; of these the one for any address, else the
    first by its address and name. Their order does not count: a binding that is replaced comes last."""
    found = [binding for binding in site_of(state)["bindings"] if binding["protocol"] == "https" and binding["port"] == port]
    found.sort(key=lambda binding: (not same_name(binding["host_name"], fqdn), bool(binding["host_name"]), _place(binding)))
    return found[0] if found else None


def _place(binding: BindingState) -> tuple[bool, str, str]:
    return binding["ip_address"] not in ANY_ADDRESS, binding["ip_address"], binding["host_name"]


def _pick(state: State, wish: BindingWish, fqdn: str, current: BindingState | None, now: datetime.datetime) -> Certificate:
    if current and int(current.get("ssl_flags") or 0) & CENTRAL_STORE:
        raise Refusal("The https binding takes its certificate from the Central Certificate Store. Renew it there; it is not touched here.")
    if wish.thumbprint:
        return _by_thumbprint(state, wish, fqdn, now)
    choice = select(state, Criteria(fqdn, wish.min_days_valid, wish.issuer, wish.friendly_name), current, now)
    if choice.certificate is None:
        raise Refusal(none_fits(choice, fqdn))
    return choice.certificate


@dataclasses.dataclass(frozen=True)
class Criteria:
    """Which certificate is looked for; see C(certificates.choose). without: thumbprints of certificates that are not to be taken."""

    fqdn: str
    min_days_valid: int = 14
    issuer: str | None = None
    friendly_name: str | None = None
    other_names: tuple[str, ...] = ()
    without: tuple[str, ...] = ()


def select(state: State, criteria: Criteria, current: BindingState | None, now: datetime.datetime) -> Choice:
    """The rules of selection, for whoever needs a certificate: the one that is bound while it fits, else the best of the Personal store.

    CURRENT: the https binding, if there is one. NOW is aware. Raises Refusal where the stores could not be read.
    """
    wanted = (criteria.issuer, criteria.friendly_name, criteria.other_names)
    if current and current.get("promised"):
        return Choice(Certificate(store=PERSONAL_STORE, thumbprint="", friendly_name="", promised=True), ())
    entry = bound_certificate(state, current) if current and current.get("thumbprint") else None
    if entry and entry["thumbprint"] not in criteria.without:
        bound = parse(entry)
        if not reasons_against(bound, criteria.fqdn, now, criteria.min_days_valid) and not not_asked_for(bound, *wanted):
            return Choice(bound, ())
    return choose(
        certificates_of(state),
        criteria.fqdn,
        now,
        criteria.min_days_valid,
        issuer=criteria.issuer,
        friendly_name=criteria.friendly_name,
        other_names=criteria.other_names,
        without=criteria.without,
    )


def _by_thumbprint(state: State, wish: BindingWish, fqdn: str, now: datetime.datetime) -> Certificate:
    if str(wish.thumbprint) == PROMISED:
        entry = next((each for each in certificates_of(state) if each["thumbprint"] is None), None)
        if entry is None:
            raise Refusal(f"The thumbprint is '{PROMISED}', but no earlier task foretold a certificate.")
        return parse(entry)
    thumbprint = normal_thumbprint(str(wish.thumbprint))
    for entry in certificates_of(state):
        if entry["thumbprint"] == thumbprint and entry["store"].casefold() in ("my", "webhosting"):
            certificate = parse(entry)
            against = reasons_against(certificate, fqdn, now, wish.min_days_valid)
            if against:
                raise Refusal(f"The certificate {thumbprint} cannot serve {fqdn}: {'; '.join(against)}.")
            return certificate
    raise Refusal(f"There is no certificate {thumbprint} in the computer's Personal store.")


def normal_thumbprint(text: str) -> str:
    """A thumbprint as Windows has it, from one that was copied out of its dialogs (blanks, an invisible first character).

    Raises Refusal for anything but 40 hexadecimal digits.
    """
    thumbprint = re.sub(r"[\s:\u200e\u200f]", "", text).upper()
    if not re.fullmatch(r"[0-9A-F]{40}", thumbprint):
        raise Refusal(f"'{text}' is not a thumbprint: 40 hexadecimal digits are.")
    return thumbprint


def none_fits(choice: Choice, fqdn: str) -> str:
    """Why there is no certificate to take, with each one's reasons, for an administrator."""
    if not choice.passed_over:
        return f"The computer's Personal store has no certificate at all. Obtain one for {fqdn} first."
    each = [
        f"{certificate.thumbprint} ({certificate.friendly_name or certificate.common_name or certificate.subject or 'without a name'}): "
        + "; ".join(reasons)
        for certificate, reasons in choice.passed_over
    ]
    return f"No certificate in the computer's Personal store can serve {fqdn}. Passed over: " + ". ".join(each) + "."


def _wished(current: BindingState | None, port: int, certificate: Certificate) -> Binding:
    store = certificate.store or "My"
    thumbprint = certificate.thumbprint or None
    if current is None:
        return Binding("*", port, "", thumbprint, store, 0, certificate.promised)
    flags = current.get("ssl_flags") or 0
    return Binding(current["ip_address"], port, current["host_name"], thumbprint, store, flags, certificate.promised)


def _is_as_wished(state: State, current: BindingState | None, wished: Binding) -> bool:
    if current is None:
        return False
    if wished.promised:
        return bool(current.get("promised"))
    if current.get("thumbprint") != wished.thumbprint or str(current.get("store") or "").casefold() != str(wished.store).casefold():
        return False
    return served_by_kernel(state, current) == [wished.thumbprint]


def _note_replaced(state: State, current: BindingState | None, wished: Binding) -> Registry | None:
    # Before the binding, so that a run that is cut off in between leaves it: what is bound is not removed, noted or not.
    noted = replaced_certificates(state)
    old = current.get("thumbprint") if current else None
    listed = [each for each in noted if each != wished.thumbprint]
    if old and old != wished.thumbprint and old not in listed:
        listed.append(str(old))
    if listed == noted:
        return None
    about = "Note on the server that " + (f"the certificate {old} was replaced" if old in listed else f"{wished.thumbprint} is in use again")
    return Registry(MARKS_KEY, REPLACED_MARK, "String", " ".join(listed) or None, about)


def _other_issuer(state: State, current: BindingState | None, certificate: Certificate) -> list[str]:
    entry = bound_certificate(state, current) if current and current.get("thumbprint") else None
    before = parse(entry) if entry else None
    if before is None or before.problem or certificate.promised or before.issuer == certificate.issuer:
        return []
    return [
        f"The certificate was issued by {certificate.issuer}, the one before it by {before.issuer}: every client and downstream server has to "
        "trust that authority."
    ]


def replaced_certificates(state: State) -> list[str]:
    """The thumbprints of certificates that were bound until this collection bound another, and that nobody has removed yet; each once."""
    return list(dict.fromkeys(str(state["marks"].get(REPLACED_MARK) or "").split()))


def _serves_old(state: State, fqdn: str, port: int, certificate: Certificate) -> bool:
    # All is bound as it should be, and yet the machine finds another certificate of its own at itself: its site still serves the old one.
    # What is foreign there belongs to a load balancer or the like, and no restart of this site would change it.
    looked = find_endpoint(state, fqdn, port)
    if state.get("predicted") or certificate.promised or not looked or not looked["certificates"]:
        return False
    served = looked["certificates"][0]
    own = {entry["der"]: entry["thumbprint"] for entry in certificates_of(state)}
    return served in own and own[served] != certificate.thumbprint


def _refuse_taken_port(state: State, wished: Binding) -> None:
    if any(binding["protocol"] == "http" and binding["port"] == wished.port for binding in site_of(state)["bindings"]):
        raise Refusal(f"Port {wished.port} is the one on which the WSUS site answers plain HTTP, which has to stay. Give another port for HTTPS.")
    for other in iis_of(state)["other_sites"]:
        for binding in other["bindings"]:
            if binding["port"] != wished.port:
                continue
            if int(binding.get("ssl_flags") or 0) & SNI and wished.ssl_flags & SNI and not same_name(binding["host_name"], wished.host_name):
                continue
            meets = binding["ip_address"] in ANY_ADDRESS or wished.ip_address in ANY_ADDRESS
            if meets or binding["ip_address"] == wished.ip_address:
                raise Refusal(
                    f"Port {wished.port} belongs to another site of this machine, '{other['name']}' "
                    f"({binding['protocol']} {binding['ip_address']}:{binding['port']}:{binding['host_name']}). All sites on a port share "
                    "one certificate, unless all of them use SNI. Move that site to another port first."
                )


def _foreign_entry(state: State, wished: Binding) -> str | None:
    # An entry for one address wins over 0.0.0.0: what is bound here is then not what is served there.
    if wished.ssl_flags & SNI or wished.ip_address not in ANY_ADDRESS:
        return None
    for entry in state["http_sys"] or []:
        address, _colon, port = entry["endpoint"].rpartition(":")
        one_address = address != "0.0.0.0" and re.fullmatch(r"[0-9.]+|\[.*\]", address)
        if port == str(wished.port) and one_address and entry["thumbprint"] != wished.thumbprint:
            return (
                f"http.sys has another certificate for {entry['endpoint']} ({entry['thumbprint']}), which wins over this binding at "
                "that address; see 'netsh http show sslcert'."
            )
    return None
