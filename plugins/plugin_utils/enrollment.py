# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Planning a server's certificate: kept while one fits, else obtained from where the company's certificates come from.

Whatever the source, the end is the same: a certificate in the computer's Personal store, with its private key, that serves the server's
name. Which one fits, and which of several is taken, are the rules of C(binding.select).
"""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from typing import Any

from .authorities import Found, chain_among, public_key_of, read_request
from .binding import PROMISED, Criteria, none_fits, normal_thumbprint, replaced_certificates, select
from .certificate_changes import (
    FRIENDLY_NAME,
    INTERMEDIATE_STORE,
    PERSONAL,
    REQUEST_STORE,
    CertificateRequest,
    Collect,
    Enroll,
    ImportPfx,
    InstallCertificate,
    NameCertificate,
    RemoveCertificate,
    RemoveLeftover,
    Trust,
)
from .certificates import Certificate, not_asked_for, parse, reasons_against, summary
from .changes import Change, Registry
from .planning import Plan
from .state import (
    MARKS_KEY,
    PENDING_MARK,
    PFX_MARK,
    REPLACED_MARK,
    REQUEST_MARK,
    Refusal,
    State,
    certificates_of,
    http_sys_of,
    iis_of,
    is_fqdn,
    kernel_endpoint,
    own_fqdn,
    serving_binding,
    setup_of,
    site_of,
)

KEY_LENGTHS = {"RSA": (2048, 3072, 4096), "ECDSA_P256": (256,), "ECDSA_P384": (384,)}
"""The kinds of key that can be asked for, with their lengths in bits; the first is what is meant where none is given."""

_BACKDATED = datetime.timedelta(days=1)  # CAs let what they issue begin up to an hour before
_LONGEST_COMMON_NAME = 64  # RFC 5280, ub-common-name
_NAME = re.compile(r"(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*")
_BUILD_THAT_READS_AES = 17763  # Server 2019; what Server 2016 says of such a PFX is "wrong password"

REMOTE_DESKTOP = "Remote Desktop"
WINRM_PORT = 5986


@dataclasses.dataclass(frozen=True)
class CertificateWish:
    """What certificate a server is to have. fqdn: None for the name that Windows reports. friendly_name: None leaves a certificate that is
    kept as it is. replace: thumbprints of certificates that are not to be kept."""

    source: str
    fqdn: str | None = None
    extra_names: tuple[str, ...] = ()
    issuer: str | None = None
    friendly_name: str | None = None
    min_days_valid: int = 30
    replace: tuple[str, ...] = ()
    authority: str | None = None
    template: str = "WebServer"
    key_algorithm: str = "RSA"
    key_length: int | None = None


@dataclasses.dataclass(frozen=True)
class Answer:
    """The file with which a CA answered a request, and the certificates in it."""

    file: str
    certificates: tuple[Found, ...]


@dataclasses.dataclass(frozen=True)
class Pfx:
    """A PFX that was opened on the controller. leaf: the certificate with the key; rest: the other certificates in it; modern: whether it is
    encrypted in a way that Server 2016 cannot read."""

    file: str
    leaf: Found
    rest: tuple[Found, ...]
    modern: bool


def plan_certificate(
    state: State,
    wish: CertificateWish,
    now: datetime.datetime,
    answer: Callable[[], Answer | None] = lambda: None,
    pfx: Callable[[], Pfx | None] = lambda: None,
    known: Callable[[], Sequence[Found]] = tuple,
) -> Plan:
    """Plan the certificate. NOW is aware. ANSWER, PFX give what the controller has (None where it has none), KNOWN the authorities that it
    knows of beside; they are called only where they are needed. Values: those of C(certificate_values).

    Raises Refusal: names or keys that cannot be, a store without a certificate that fits, an answer or a PFX that must not be installed.
    """
    setup_of(state)
    fqdn = _checked_name(wish, state)
    choice = select(state, _criteria(wish, fqdn), serving_binding(state), now)
    leftover = list(_leftover(state))
    if choice.certificate is not None:
        return Plan((*leftover, *_named(choice.certificate, wish)), (), certificate_values(state, wish, now))
    notes: list[str] = []
    changes: Sequence[Change]
    if wish.source == "store":
        raise Refusal(none_fits(choice, fqdn))
    if wish.source == "enterprise_ca":
        changes, notes = _from_enterprise_ca(state, wish, fqdn)
    elif wish.source == "csr":
        changes, notes = _by_request(state, wish, fqdn, answer(), now)
    else:
        changes = _from_pfx(state, wish, fqdn, pfx(), known(), now)
    return Plan((*leftover, *changes), tuple(notes), certificate_values(state, wish, now))


def certificate_values(state: State, wish: CertificateWish, now: datetime.datetime) -> dict[str, Any]:
    """What the module returns of a state: fqdn, status (present, promised, requested, missing), thumbprint, certificate, request."""
    fqdn = (wish.fqdn or own_fqdn(state)).lower()
    chosen = select(state, _criteria(wish, fqdn), serving_binding(state), now).certificate
    request = None
    if chosen is None:
        requested = wish.source == "csr" and REQUEST_MARK in state["marks"]
        status = "requested" if requested else "missing"
        request = (str(state["marks"][REQUEST_MARK]) or None) if requested else None
    else:
        status = "promised" if chosen.promised else "present"
    return {
        "fqdn": fqdn,
        "status": status,
        "thumbprint": None if chosen is None else chosen.thumbprint or PROMISED,
        "certificate": None if chosen is None else {**summary(chosen, fqdn, now, wish.min_days_valid), "der": _der_of(state, chosen)},
        "request": request,
    }


def _der_of(state: State, certificate: Certificate) -> str | None:
    return next((each["der"] for each in certificates_of(state) if each["thumbprint"] == (certificate.thumbprint or None)), None)


def _criteria(wish: CertificateWish, fqdn: str) -> Criteria:
    # The friendly name is what the certificate is to be called, not which one is looked for.
    return Criteria(fqdn, wish.min_days_valid, wish.issuer, None, wish.extra_names, tuple(normal_thumbprint(one) for one in wish.replace))


def _checked_name(wish: CertificateWish, state: State) -> str:
    fqdn = (wish.fqdn or own_fqdn(state)).lower()
    if not is_fqdn(fqdn) or not _NAME.fullmatch(fqdn):
        raise Refusal(f"'{fqdn}' is no fully qualified name, which a certificate for WSUS has to have [CFG].")
    if len(fqdn) > _LONGEST_COMMON_NAME and wish.source in ("enterprise_ca", "csr"):
        raise Refusal(f"The common name of a certificate has at most {_LONGEST_COMMON_NAME} characters; '{fqdn}' has {len(fqdn)}.")
    wrong = [name for name in wish.extra_names if not _NAME.fullmatch(name)]
    if wrong:
        raise Refusal(f"These are no host names, and no wildcards, that a certificate could have: {', '.join(map(repr, wrong))}.")
    for text, what in ((wish.friendly_name, "friendly name"), (wish.template, "template"), (wish.authority, "authority")):
        if text and re.search(r'["&\r\n]', text):
            raise Refusal(f"The {what} {text!r} has a quote, an ampersand or a line break in it.")
    if wish.authority and not re.fullmatch(r"[^\\]+\\[^\\]+", wish.authority):
        raise Refusal(f"The authority is named HOST\\NAME, as 'certutil -dump' shows it, and not '{wish.authority}'.")
    lengths = KEY_LENGTHS[wish.key_algorithm]
    if wish.key_length is not None and wish.key_length not in lengths:
        raise Refusal(f"A key of {wish.key_algorithm} has {' or '.join(map(str, lengths))} bits, not {wish.key_length}.")
    return fqdn


def _named(certificate: Certificate, wish: CertificateWish) -> Iterator[Change]:
    if wish.friendly_name and not certificate.promised and certificate.friendly_name != wish.friendly_name:
        yield NameCertificate(certificate.store, certificate.thumbprint, wish.friendly_name)


def _leftover(state: State) -> Iterator[Change]:
    # Only a folder as Ansible names its own, whatever somebody wrote into the mark.
    folder = str(state["marks"].get(PFX_MARK) or "")
    if re.fullmatch(r"[A-Za-z]:\\[^/*?\"<>|:]*\\ansible-tmp-[^/\\*?\"<>|:]+", folder):
        yield RemoveLeftover(folder)


def _request(wish: CertificateWish, fqdn: str) -> dict[str, Any]:
    return {
        "subject": f"CN={fqdn}",
        "friendly_name": wish.friendly_name or FRIENDLY_NAME,
        "dns_names": _names(wish, fqdn),
        "key_algorithm": wish.key_algorithm,
        "key_length": _key_length(wish),
    }


def _key_length(wish: CertificateWish) -> int:
    return wish.key_length or KEY_LENGTHS[wish.key_algorithm][0]


def _names(wish: CertificateWish, fqdn: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys([fqdn, *(name.lower() for name in wish.extra_names)]))


# --- an enterprise CA ----------------------------------------------------------------------------------------------------


def pending_request(state: State) -> tuple[int, str] | None:
    """The number of a request that a CA has not decided yet, and the CA as HOST\\NAME; None where there is none."""
    found = re.fullmatch(r"(\d+) ([^\\]+\\[^\\]+)", str(state["marks"].get(PENDING_MARK) or ""))
    return (int(found[1]), found[2]) if found else None


def _from_enterprise_ca(state: State, wish: CertificateWish, fqdn: str) -> tuple[list[Change], list[str]]:
    if not state["computer"].get("domain_member", True):
        raise Refusal("This machine is in no domain, so no enterprise CA knows it. Take another source: csr or pfx.")
    pending = pending_request(state)
    if pending is None:
        return [Enroll(wish.authority, wish.template, **_request(wish, fqdn))], []
    number, authority = pending
    note = f"Request {number} was left pending by {authority}. Whether it has been decided shows only when it is asked for."
    return [Collect(authority, number)], [note]


# --- a request to any CA -------------------------------------------------------------------------------------------------


def waiting_keys(state: State) -> list[bytes]:
    """The public keys whose certificate is still to come: those of the computer's Request store."""
    return list(_waiting(state))


def _waiting(state: State) -> dict[bytes, dict[str, Any]]:
    entries = [each for each in certificates_of(state) if each["store"].casefold() == REQUEST_STORE and each["der"]]
    return {key: each for each in entries if (key := public_key_of(each["der"])) is not None}


def _by_request(state: State, wish: CertificateWish, fqdn: str, answer: Answer | None, now: datetime.datetime) -> tuple[list[Change], list[str]]:
    keys = _waiting(state)
    notes: list[str] = []
    if answer is not None:
        if leaf := next((each for each in answer.certificates if each.public_key in keys), None):
            return _accepted(wish, fqdn, answer, leaf, keys[leaf.public_key], now), []
        installed = {each["thumbprint"] for each in certificates_of(state)}
        if not installed & {each.thumbprint for each in answer.certificates} and not _is_older(answer, keys.values(), now):
            raise Refusal(
                f"The answer in {answer.file} is for another key than those that wait on this server: it was made from another request. Take the "
                "request that this module returned to the CA, or where it returned none take the file away and run this again."
            )
        notes.append(f"The answer in {answer.file} is for a request of before; it is left alone.")
    made = state["marks"].get(REQUEST_MARK)
    if made is not None and _still_asks(str(made), keys, wish, fqdn, bool(state.get("predicted"))):
        return [], [*notes, "The request waits for its answer."]
    if made:
        notes.append("The request that was made before no longer fits (other names, another kind of key, or its key is gone), so another is made.")
    return [CertificateRequest(**_request(wish, fqdn))], notes


def _is_older(answer: Answer, waiting: Iterable[Mapping[str, Any]], now: datetime.datetime) -> bool:
    # What was issued before the last request was made, or before now where none waits, is left from another time, and nobody's mistake.
    made = [moment for each in waiting if (moment := parse(each).not_before) is not None]
    leaves = [each for each in answer.certificates if not each.is_authority]
    return bool(leaves) and all(each.not_before < max(made, default=now) - _BACKDATED for each in leaves)


def _still_asks(made: str, keys: Container[bytes], wish: CertificateWish, fqdn: str, predicted: bool) -> bool:
    if not made:
        return predicted
    request = read_request(made)
    if request is None or request.public_key not in keys or request.key != (wish.key_algorithm, _key_length(wish)):
        return False
    return {name.lower() for name in request.dns_names} == set(_names(wish, fqdn))


def _accepted(wish: CertificateWish, fqdn: str, answer: Answer, leaf: Found, waiting: Mapping[str, Any], now: datetime.datetime) -> list[Change]:
    against = _against(leaf, wish, fqdn, now)
    if against:
        raise Refusal(f"The answer in {answer.file} must not be installed: the certificate {leaf.thumbprint} {'; '.join(against)}.")
    intermediates = [each for each in answer.certificates if each is not leaf]
    changes = [*_help_the_chain(leaf, intermediates), InstallCertificate(leaf.der, waiting["friendly_name"], waiting["thumbprint"])]
    if wish.friendly_name and waiting["friendly_name"] != wish.friendly_name:
        changes.append(NameCertificate(PERSONAL, leaf.thumbprint, wish.friendly_name))
    return changes


def _against(leaf: Found, wish: CertificateWish, fqdn: str, now: datetime.datetime) -> list[str]:
    certificate = parse({"store": PERSONAL, "thumbprint": leaf.thumbprint, "der": leaf.der, "has_private_key": True, "key_usable": True})
    return against_wish(certificate, wish, fqdn, now)


def against_wish(certificate: Certificate, wish: CertificateWish, fqdn: str, now: datetime.datetime) -> list[str]:
    """Why a certificate is not the one that is wished for, once it is in the store with its key: clauses; empty if it is."""
    criteria = _criteria(wish, fqdn)
    reasons = reasons_against(certificate, fqdn, now, wish.min_days_valid)
    reasons += not_asked_for(certificate, criteria.issuer, criteria.friendly_name, criteria.other_names)
    return [*dict.fromkeys(reasons), *(["is to be replaced"] if certificate.thumbprint in criteria.without else [])]


def _help_the_chain(leaf: Found, others: Sequence[Found]) -> list[Change]:
    # An intermediate certificate trusts nothing by itself; Windows needs it to build the chain and to send it along. A root is another
    # matter: whoever signs an answer must not become trusted by it.
    chain = set(chain_among(leaf.der, [each.der for each in others]))
    return [Trust(INTERMEDIATE_STORE, each.der, each.subject) for each in others if each.der in chain and each.is_authority and not each.is_root]


# --- a PFX ---------------------------------------------------------------------------------------------------------------


def _from_pfx(state: State, wish: CertificateWish, fqdn: str, pfx: Pfx | None, known: Sequence[Found], now: datetime.datetime) -> list[Change]:
    if pfx is None:
        raise Refusal("No certificate fits, and no PFX was given.")
    against = _against(pfx.leaf, wish, fqdn, now)
    if against:
        raise Refusal(f"The certificate {pfx.leaf.thumbprint} in {pfx.file} cannot serve {fqdn}: {'; '.join(against)}.")
    if not pfx.leaf.is_root and len(chain_among(pfx.leaf.der, [each.der for each in (*pfx.rest, *known)])) == 1:
        raise Refusal(
            f"The chain in {pfx.file} is incomplete: the certificate was issued by {pfx.leaf.issuer}, and that authority's certificate is not "
            "in the file. Export it with 'Include all certificates in the certification path', or name the authority's file in 'authorities'."
        )
    build = str(state["computer"].get("build") or "").partition(".")[0]
    if pfx.modern and build.isdigit() and int(build) < _BUILD_THAT_READS_AES:
        raise Refusal(
            f"{pfx.file} is encrypted with AES or SHA-256, which this Windows (build {build}, Server 2016) cannot read; it would say that the "
            "password is wrong. Export it once more with TripleDES and SHA-1 (Export-PfxCertificate -CryptoAlgorithmOption TripleDES_SHA1, or "
            "openssl pkcs12 -export -legacy)."
        )
    imported = ImportPfx(pfx.leaf.der, wish.friendly_name or FRIENDLY_NAME, pfx.file)
    return [*_help_the_chain(pfx.leaf, [*pfx.rest, *known]), imported]


# --- removing ------------------------------------------------------------------------------------------------------------


def plan_removal(state: State, thumbprint: str | None) -> Plan:
    """Plan to remove a certificate of the Personal store, or where none is named all that this collection replaced.

    Values: removed, kept (each thumbprint with who uses it). Raises Refusal where the named one is in use, or who uses it cannot be read.
    """
    setup_of(state)
    noted = replaced_certificates(state)
    wanted = [normal_thumbprint(thumbprint)] if thumbprint else noted
    changes: list[Change] = []
    kept: dict[str, list[str]] = {}
    there = [each for each in certificates_of(state) if each["store"].casefold() in ("my", "webhosting")]
    for one in wanted:
        users = used_by(state, one)
        if users and thumbprint:
            raise Refusal(f"The certificate {one} is in use and must not be removed: {'; '.join(users)}.")
        if users:
            kept[one] = users
        else:
            changes += [RemoveCertificate(each["store"], one) for each in there if each["thumbprint"] == one]
    left = [one for one in noted if one not in wanted or one in kept]
    if left != noted:
        about = "Take the note of removed certificates off the server"
        changes.append(Registry(MARKS_KEY, REPLACED_MARK, "String", " ".join(left) or None, about))
    notes = [f"The certificate {one} was replaced, and stays: {'; '.join(users)}." for one, users in kept.items()]
    removed = list(dict.fromkeys(change.thumbprint for change in changes if isinstance(change, RemoveCertificate)))
    return Plan(tuple(changes), tuple(notes), {"removed": removed, "kept": [{"thumbprint": one, "used_by": users} for one, users in kept.items()]})


def used_by(state: State, thumbprint: str) -> list[str]:
    """Who on this machine uses a certificate, as far as it can be seen: sites, http.sys (WinRM among it), Remote Desktop. A clause each.

    Raises Refusal where IIS or http.sys could not be read.
    """
    users = []
    own = {kernel_endpoint(binding).casefold() for binding in site_of(state)["bindings"] if binding["protocol"] == "https"}
    sites = [(site_of(state)["name"], site_of(state)["bindings"]), *((each["name"], each["bindings"]) for each in iis_of(state)["other_sites"])]
    for name, bindings in sites:
        for binding in bindings:
            if _is(binding.get("thumbprint"), thumbprint):
                users.append(f"the site '{name}' binds it to {binding['ip_address']}:{binding['port']}:{binding['host_name']}")
    for entry in http_sys_of(state):
        if _is(entry["thumbprint"], thumbprint):
            is_winrm = entry["endpoint"].endswith(f":{WINRM_PORT}")
            what = " (WinRM over HTTPS)" if is_winrm else " (the kernel still serves it)" if entry["endpoint"].casefold() in own else ""
            users.append(f"http.sys serves it at {entry['endpoint']}{what}")
    if _is(state["computer"].get("remote_desktop_thumbprint"), thumbprint):
        users.append(f"{REMOTE_DESKTOP} uses it")
    return users


def _is(one: Any, other: str) -> bool:
    return bool(one) and str(one).casefold() == other.casefold()


def managed_certificates(state: State) -> list[dict[str, Any]]:
    """What the module manages, for before and after: the Personal store, and the marks of what is still to come."""
    if state["certificates"] is None:
        return []
    shown = [
        {"thumbprint": each["thumbprint"] or "still to come", "friendly_name": each["friendly_name"]}
        for each in state["certificates"]
        if each["store"].casefold() == PERSONAL.casefold()
    ]
    marks: Mapping[str, str] = state["marks"]
    told = {PENDING_MARK: "a request that the CA has not decided", REQUEST_MARK: "a request that waits for its answer"}
    return [*sorted(shown, key=lambda each: str(each["thumbprint"])), *({"waits": words} for name, words in told.items() if name in marks)]
