# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The checks of an audit, written once: what each looks at, why it matters, what was seen, and how to mend it. Pure.

A check judges two views side by side: what the server says of itself (its state), and what the network says (a survey). Where one of them is
missing, the other one counts, and that is said; where both are, nothing is guessed.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from .application_pool import BEST_PRACTICES
from .authorities import Found, chain_among, issuer_among, leads_to
from .binding import BindingWish, certificate_to_bind, who_has_port
from .certificates import Certificate, covers, parse, reasons_against
from .move import Callers, called, days_with_evidence, failed_otherwise, turned_away
from .state import (
    FIVE_SERVICES,
    MUST_SERVE_HTTP,
    BindingState,
    Endpoint,
    Refusal,
    State,
    against_endpoint,
    bound_certificate,
    format_time,
    is_fqdn,
    own_fqdn,
    parse_time,
    restart_pending,
    same_name,
    served_by_kernel,
    serving_binding,
)
from .survey import Answered, Survey
from .synchronization import is_busy
from .traffic import some_of
from .trusting import TrustWish, trust_of
from .verdict import is_internal_database, not_running, standing

Severity = Literal["high", "medium", "low"]
Result = Literal["pass", "fail", "not_known", "not_applicable"]
SEVERITIES: tuple[Severity, ...] = ("high", "medium", "low")

PATCHED_BUILDS = {14393: 8524, 17763: 7922, 20348: 4297, 26100: 6905}
"""From which revision of each build on CVE-2025-59287 is fixed (Server 2016, 2019, 2022, 2025)."""

_ROLLOUT = "Run the playbook securepatch.wsus.rollout (or the role https_server on this server)."
_REQUIRE = (
    "Run the rollout with wsus_require_tls: when_quiet, which requires TLS once no client needs HTTP any more (or when all have the https URL, "
    "with wsus_require_tls: true)."
)
_RENEW = "Run the playbook securepatch.wsus.renew_certificates."


@dataclass(frozen=True)
class Rule:
    """One check: an id that never changes, a title, where the rule comes from, how bad a failure is, and how to mend one."""

    id: str
    title: str
    source: str
    severity: Severity
    mend: str


@dataclass(frozen=True)
class Finding:
    """What came of one check on one server. seen: in a sentence; server_says, network_says: the two views, None where one is missing;
    reason: why it is not known; disagreement: what the two views contradict each other in."""

    check: str
    result: Result
    severity: Severity
    seen: str = ""
    reason: str = ""
    mend: str = ""
    server_says: str | None = None
    network_says: str | None = None
    disagreement: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """In plain JSON types."""
        return dict(vars(self))


@dataclass(frozen=True)
class Settings:
    """What is expected. renew_days: a certificate with fewer days left is a finding; sync_hours: how old the last synchronization may be;
    free_gigabytes: how much has to be free on the content's drive.

    wish: which certificate is to be bound, and where; certificate_to_come: whether one will be obtained where none fits. trusted: the
    authorities that the controller goes by, None where that is its own list. authorities: those that the server is to trust.
    before_change: whether the server is about to be changed; will_wait: whether a synchronization that runs will be waited for.
    """

    renew_days: int = 30
    sync_hours: int = 48
    free_gigabytes: int = 10
    wish: BindingWish = field(default_factory=BindingWish)
    certificate_to_come: bool = False
    trusted: tuple[Found, ...] | None = None
    authorities: tuple[Found, ...] = ()
    before_change: bool = False
    will_wait: bool = False


@dataclass(frozen=True)
class View:
    """One server as it was seen. problem: why there is no state; survey_problem: why there is no survey. has_upstream: whether it synchronizes
    from another server. callers: who calls it, None where that was not read; callers_problem: why it could not be."""

    name: str
    fqdn: str
    state: State | None = None
    problem: str | None = None
    survey: Survey | None = None
    survey_problem: str | None = None
    has_upstream: bool = False
    callers: Callers | None = None
    callers_problem: str | None = None


class NotKnown(Exception):
    """A check cannot be judged, and why."""


class NotApplicable(Exception):
    """A check does not concern this server, and why."""


@dataclass
class _Outcome:
    ok: bool
    seen: str
    server: str | None = None
    network: str | None = None
    disagreement: str | None = None
    severity: Severity | None = None
    mend: str | None = None


_Judge = Callable[[View, Settings, datetime.datetime], _Outcome]
RULES: dict[str, Rule] = {}
_JUDGES: dict[str, _Judge] = {}


def _rule(check: str, title: str, source: str, severity: Severity, mend: str) -> Callable[[_Judge], _Judge]:
    def note(judge: _Judge) -> _Judge:
        RULES[check] = Rule(check, title, source, severity, mend)
        _JUDGES[check] = judge
        return judge

    return note


PREFLIGHT = (
    "reachable",
    "services",
    "certificate_ready",
    "certificate_ready_trusted",
    "port_free",
    "disk_space",
    "restart",
    "not_synchronizing",
)
"""What has to hold before a server is changed."""

_PROOF = (
    "reachable",
    "services",
    "binding",
    "binding_served",
    "certificate_name",
    "certificate_trusted",
    "certificate_days",
    "certificate_strength",
    "configuressl",
    "restart",
    "tls_not_elsewhere",
    "services_over_https",
    "content_over_http",
    "no_redirect",
)


def proof(state: State | None) -> tuple[str, ...]:
    """The checks that prove what a rollout did to one server. Whether TLS is required is one where that was asked for: the state shows it."""
    required = ("tls_required",) if state is not None and standing(state) == "requires TLS" else ()
    return (*_PROOF, *required, "views_agree")


def audit_server(view: View, settings: Settings, now: datetime.datetime, checks: Container[str] | None = None) -> list[Finding]:
    """Every check on one server, or those of CHECKS, in the order of RULES. NOW is aware. Never raises for what a server shows."""
    findings = [_judged(check, view, settings, now) for check in _JUDGES if checks is None or check in checks]
    return [*findings, _views_agree(findings)] if checks is None or "views_agree" in checks else findings


def at_least(findings: Iterable[Finding], severity: str) -> list[Finding]:
    """What failed and is at least so bad; nothing for C(never)."""
    counted = SEVERITIES[: SEVERITIES.index(severity) + 1] if severity in SEVERITIES else ()
    return [finding for finding in findings if finding.result == "fail" and finding.severity in counted]


def _judged(check: str, view: View, settings: Settings, now: datetime.datetime) -> Finding:
    rule = RULES[check]
    try:
        outcome = _JUDGES[check](view, settings, now)
    except NotKnown as reason:
        return Finding(check, "not_known", rule.severity, reason=str(reason))
    except NotApplicable as reason:
        return Finding(check, "not_applicable", rule.severity, reason=str(reason))
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        # What a server shows may be anything; an audit tells it and goes on.
        return Finding(check, "not_known", rule.severity, reason=f"what the server shows cannot be read ({type(error).__name__}: {error})")
    return Finding(
        check,
        "pass" if outcome.ok else "fail",
        outcome.severity or rule.severity,
        seen=outcome.seen,
        mend="" if outcome.ok else outcome.mend or rule.mend,
        server_says=outcome.server,
        # Why nobody looked is no view of the network's.
        network_says=outcome.network if view.survey is not None else None,
        disagreement=outcome.disagreement,
    )


# --- what the checks stand on ------------------------------------------------------------------------------------------


def _state(view: View) -> State:
    if view.state is None:
        raise NotKnown("the server could not be looked at")
    return view.state


def _wsus(view: View) -> State:
    state = _state(view)
    if state["setup"] is None or not state["setup"]["post_installed"]:
        raise NotKnown("WSUS is not installed to the end on this machine")
    return state


def _site(view: View) -> Any:
    state = _wsus(view)
    if state["iis"] is None:
        raise NotKnown(f"IIS could not be read: {_why(state, 'iis')}")
    return state["iis"]["site"]


def _why(state: State, part: str) -> str:
    failure = state["unreadable"].get(part)
    return failure["message"].strip() if failure else "it was not read"


def _survey(view: View) -> Survey:
    if view.survey is None:
        raise NotKnown(view.survey_problem or "the controller did not look")
    if unseen := _unseen(view.survey):
        raise NotKnown(unseen)
    return view.survey


def _unseen(survey: Survey) -> str | None:
    """Why the controller sees nothing of the server at all; None where it does. A firewall in between says nothing of the server."""
    if survey.reached:
        return None
    problems = dict.fromkeys(problem for problem in (survey.https_problem, survey.http_problem) if problem)
    return f"neither port answers the controller ({'; '.join(problems)})"


def _network(view: View) -> tuple[Survey | None, str]:
    """The survey where the HTTPS port answered; else None, and why."""
    if view.survey is None:
        return None, view.survey_problem or "the controller did not look"
    if view.survey.https_port is None:
        return None, "no HTTPS port was asked"
    if unseen := _unseen(view.survey):
        return None, unseen
    return (None, view.survey.https_problem) if view.survey.https_problem else (view.survey, "")


def _binding(view: View) -> BindingState:
    state = _wsus(view)
    _site(view)
    binding = serving_binding(state)
    if binding is None:
        raise NotKnown("the WSUS site has no https binding with a certificate")
    return binding


def _bound(view: View) -> Certificate:
    state, binding = _wsus(view), _binding(view)
    if state["certificates"] is None:
        raise NotKnown(f"the certificate stores could not be read: {_why(state, 'certificates')}")
    entry = bound_certificate(state, binding)
    if entry is None:
        raise NotKnown(f"the certificate {binding.get('thumbprint')} that is bound is not in the store")
    return parse(entry)


def _day(moment: datetime.datetime | None) -> str:
    return moment.strftime("%Y-%m-%d") if moment else "unknown"


def _requiring(view: View) -> list[str]:
    """Those of the five services that require TLS, as the best practices spell them."""
    required = {name.casefold() for name, access in _site(view)["applications"].items() if "Ssl" in access["ssl_flags"]}
    return [name for name in FIVE_SERVICES if name.casefold() in required]


# --- reached ---------------------------------------------------------------------------------------------------------------


@_rule(
    "reachable",
    "The server can be looked at",
    "without it nothing can be proved",
    "high",
    "Mend the connection (WinRM, the account), and run this again.",
)
def _reachable(view: View, settings: Settings, now: datetime.datetime) -> _Outcome:
    if view.state is not None:
        return _Outcome(True, "it was looked at")
    return _Outcome(False, view.problem or "it could not be looked at")


@_rule("services", "WSUS runs", "[BP]", "high", "Start what is stopped, and find out why it was.")
def _services(view: View, settings: Settings, now: datetime.datetime) -> _Outcome:
    state = _state(view)
    if state["setup"] is None or not state["setup"]["post_installed"]:
        why = "WSUS setup never ran on this machine" if state["setup"] is None else "the post-installation of WSUS never ran"
        return _Outcome(False, why, mend="Install WSUS to the end, or take the host out of group wsus_servers.")
    stopped = not_running(state)
    if "api" in state["unreadable"]:
        stopped.append(f"the WSUS API does not answer ({_why(state, 'api')})")
    return _Outcome(not stopped, "; ".join(stopped) or "services, site, pool and API run")


# --- before a change ---------------------------------------------------------------------------------------------------------


@_rule(
    "certificate_ready",
    "A certificate that can serve the server's name is there",
    "[BP]",
    "high",
    "Obtain one (role certificate, or certificate_source in the rollout).",
)
def _certificate_ready(view: View, settings: Settings, now: datetime.datetime) -> _Outcome:
    state = _wsus(view)
    _site(view)
    if serving_binding(state) is not None and not settings.before_change:
        raise NotApplicable("one is bound: the checks of the certificate tell how good it is")
    _refuse_unread(state)
    try:
        certificate = certificate_to_bind(state, settings.wish, now)
    except Refusal as refusal:
        if settings.certificate_to_come:
            return _Outcome(True, "none fits yet, and one will be obtained")
        return _Outcome(False, str(refusal))
    return _Outcome(True, f"{certificate.thumbprint or 'one that is still to come'}, issued by {certificate.issuer or 'the CA'}")


def _refuse_unread(state: State) -> None:
    if state["certificates"] is None:
        raise NotKnown(f"the certificate stores could not be read: {_why(state, 'certificates')}")


@_rule(
    "certificate_ready_trusted",
    "The controller will trust that certificate's chain",
    "[CFG]",
    "high",
    "Give the controller the authority (https_server_ca_file), or the server a certificate of the right one.",
)
def _certificate_ready_trusted(view: View, settings: Settings, now: datetime.datetime) -> _Outcome:
    state = _wsus(view)
    _site(view)
    _refuse_unread(state)
    try:
        certificate = certificate_to_bind(state, settings.wish, now)
    except Refusal:
        raise NotApplicable("no certificate is there to be bound") from None
    entry = next((each for each in state["certificates"] or [] if each["thumbprint"] == certificate.thumbprint), None)
    if entry is None:
        raise NotApplicable("it is still to be obtained")
    binding = serving_binding(state)
    if binding is not None and binding.get("thumbprint") == certificate.thumbprint:
        raise NotApplicable("it is bound already")
    if settings.trusted is None:
        raise NotKnown("the controller goes by its own list of authorities, and only a connection tells what is in it")
    helping = [each.der for each in (*settings.authorities, *settings.trusted)]
    if leads_to([str(entry["der"]), *helping], settings.trusted, partial=True):
        return _Outcome(True, f"{certificate.thumbprint} leads to an authority that the controller trusts")
    # Who issued it may be known to the server, which then sends it along: only a chain that ends, and elsewhere, is sure to be another one.
    top = chain_among(str(entry["der"]), helping)[-1]
    if issuer_among(top, [top]):
        return _Outcome(False, f"{certificate.thumbprint}, issued by {certificate.issuer}, leads to no authority that the controller trusts")
    raise NotKnown(f"who issued it ({certificate.issuer}) is in no file here; the server may know, and send it along")


@_rule(
    "port_free",
    "The port for HTTPS is the WSUS site's, or free",
    "IIS: all sites on a port share one certificate",
    "high",
    "Move the other site, or give WSUS another port (https_server_port).",
)
def _port_free(view: View, settings: Settings, now: datetime.datetime) -> _Outcome:
    state = _wsus(view)
    _site(view)
    if state["http_sys"] is None:
        raise NotKnown(f"http.sys could not be read: {_why(state, 'http_sys')}")
    try:
        port, is_own = who_has_port(state, settings.wish, now)
    except Refusal as refusal:
        return _Outcome(False, str(refusal))
    survey = view.survey
    if not is_own and survey is not None and survey.https_port == port and survey.https_problem is None:
        told = f"no site of IIS has port {port}, and TLS answers the controller there: another program, or another machine in between"
        return _Outcome(False, told, f"no site has port {port}", f"TLS answers on port {port}", severity="medium")
    return _Outcome(True, f"port {port} is the WSUS site's" if is_own else f"port {port} is free")


@_rule(
    "not_synchronizing",
    "No synchronization runs that a restart would cut off",
    "[API] GetSynchronizationStatus",
    "high",
    "Wait until it is over, or stop it in the WSUS console.",
)
def _not_synchronizing(view: View, settings: Settings, now: datetime.datetime) -> _Outcome:
    _source(view)
    if not is_busy(_state(view)):
        return _Outcome(True, "none runs")
    if not settings.before_change:
        raise NotApplicable("one runs; that matters before a change only")
    running = "one runs, or WSUS still works on its configuration"
    if settings.will_wait:
        return _Outcome(False, running, severity="low", mend="Nothing: it will be waited for.")
    return _Outcome(False, running)


@_rule(
    "authorities_trusted",
    "The server trusts the authorities that it is to trust",
    "[BP, CFG]",
    "medium",
    "Run the role trust, or the rollout with trust_authorities.",
)
def _authorities_trusted(view: View, settings: Settings, now: datetime.datetime) -> _Outcome:
    state = _state(view)
    if not settings.authorities:
        raise NotApplicable("no authorities were named (trust_authorities)")
    asked = trust_of(state, TrustWish(settings.authorities))
    if any(each["present"] is None for each in asked):
        raise NotKnown("the server was not asked for them")
    missing = [each["subject"] for each in asked if not each["present"]]
    return _Outcome(not missing, f"not trusted: {', '.join(missing)}" if missing else "all of them")


# --- the certificate ---------------------------------------------------------------------------------------------------------


@_rule("binding", "The WSUS site has an https binding with a certificate", "[BP]", "high", _ROLLOUT)
def _binding_present(view: View, settings: Settings, now: datetime.datetime) -> _Outcome:
    state = _wsus(view)
    _site(view)
    binding = serving_binding(state)
    survey, why = _network(view)
    network = f"TLS answers on port {survey.https_port}" if survey else why
    server = f"{binding['ip_address'] or '*'}:{binding['port']}, {binding.get('thumbprint')}" if binding else "no https binding with a certificate"
    problem = view.survey.https_problem if view.survey is not None and view.survey.reached else None
    # A port that takes TLS, and only none that is new enough, does not contradict what the server says.
    contradicts = binding is not None and problem is not None and view.survey is not None and not any(view.survey.versions.values())
    told = f"the site has an https binding on port {binding['port']}, and the controller gets no TLS there: {why}" if binding else None
    return _Outcome(binding is not None, server, server, network, told if contradicts else None)


@_rule(
    "binding_served",
    "What is bound is what is served, by http.sys and on the network",
    "[SEEN]",
    "high",
    "Run wsus_ssl_binding, or " + _RENEW[0].lower() + _RENEW[1:],
)
def _binding_served(view: View, settings: Settings, now: datetime.datetime) -> _Outcome:
    state, binding = _wsus(view), _binding(view)
    bound = str(binding.get("thumbprint"))
    if state["http_sys"] is None:
        raise NotKnown(f"http.sys could not be read: {_why(state, 'http_sys')}")
    kernel = [str(thumbprint) for thumbprint in served_by_kernel(state, binding)]
    survey, why = _network(view)
    served = survey.certificate["thumbprint"] if survey and survey.certificate else None
    server = f"bound is {bound}, http.sys serves {' and '.join(kernel) or 'nothing'}"
    wrong = kernel != [bound]
    told = None
    if served and served != bound:
        wrong = True
        told = f"bound is {bound}, and the network shows {served}: another machine or a load balancer may be in between"
    seen = server + (f"; the network shows {served}" if served else "")
    return _Outcome(not wrong, seen, server, f"served is {served}" if served else why, told)


@_rule("certificate_name", "The certificate is for the server's name", "[BP]", "high", _RENEW)
def _certificate_name(view: View, settings: Settings, now: datetime.datetime) -> _Outcome:
    bound = _bound(view)
    names = ", ".join(bound.dns_names) if bound.dns_names is not None else bound.common_name or "nobody"
    ok = covers(bound, view.fqdn)
    survey, why = _network(view)
    network = (survey.certificate_name or f"it is for {view.fqdn}") if survey else why
    told = f"by the server it is for {view.fqdn}, by the network it is not" if ok and survey and survey.certificate_name else None
    return _Outcome(ok, f"it is for {names}", f"it is for {names}", network, told)


@_rule(
    "certificate_trusted",
    "The controller trusts the certificate's chain",
    "[CFG]",
    "high",
    "Give the controller the authority (https_server_ca_file), or the server its intermediates (role trust).",
)
def _certificate_trusted(view: View, settings: Settings, now: datetime.datetime) -> _Outcome:
    survey, why = _network(view)
    if survey is None:
        raise NotKnown(f"no TLS connection from the controller: {why}")
    issuer = survey.certificate["issuer"] if survey.certificate else "nobody"
    return _Outcome(survey.chain is None, survey.chain or f"issued by {issuer}", None, survey.chain or f"issued by {issuer}, trusted")


@_rule(
    "certificate_trusted_itself",
    "The server itself trusts its certificate",
    "[CFG]",
    "medium",
    "Have the authorities trusted on it (role trust).",
)
def _certificate_trusted_itself(view: View, settings: Settings, now: datetime.datetime) -> _Outcome:
    state, binding = _wsus(view), _binding(view)
    for endpoint in state.get("endpoints") or []:
        own = any(same_name(endpoint["host_name"], name) for name in (view.fqdn, own_fqdn(state)))
        if own and endpoint["tls"] and endpoint["port"] == binding["port"]:
            if endpoint["trusted"] is None:
                raise NotKnown(against_endpoint(endpoint))
            errors = ", ".join(endpoint["chain_errors"]) or "no reason given"
            return _Outcome(endpoint["trusted"], "it does" if endpoint["trusted"] else f"it does not ({errors})")
    raise NotKnown("the server did not look at itself")


@_rule("certificate_days", "The certificate does not end soon", "[BP]", "medium", _RENEW)
def _certificate_days(view: View, settings: Settings, now: datetime.datetime) -> _Outcome:
    bound = _bound(view)
    if bound.not_after is None or bound.not_before is None:
        raise NotKnown(f"the certificate cannot be read ({bound.problem})")
    days = (bound.not_after - now) // datetime.timedelta(days=1)
    if now < bound.not_before:
        return _Outcome(False, f"it is not valid before {_day(bound.not_before)}", severity="high")
    if now > bound.not_after:
        return _Outcome(False, f"it ended on {_day(bound.not_after)}", severity="high")
    soon = days < settings.renew_days
    return _Outcome(not soon, f"{days} days left, until {_day(bound.not_after)}", severity="high" if soon and days < 7 else None)


@_rule(
    "certificate_strength",
    "Its key, signature and purpose are good",
    "RSA 2048, P-256, SHA-256; Server Authentication [BP]",
    "medium",
    _RENEW,
)
def _certificate_strength(view: View, settings: Settings, now: datetime.datetime) -> _Outcome:
    bound = _bound(view)
    # Of all that there is against it, what is neither its name nor its dates.
    others = re.compile(r"is for |expired|is not valid before|has only")
    against = [clause for clause in reasons_against(bound, view.fqdn, now, 0) if not others.match(clause)]
    return _Outcome(not against, "; ".join(against) or f"{bound.key}, {bound.signature}")


# --- what WSUS was told, and what is required ------------------------------------------------------------------------------


@_rule("configuressl", "WSUS knows its name and port for TLS", "[BP] WsusUtil configuressl", "high", _ROLLOUT)
def _configuressl(view: View, settings: Settings, now: datetime.datetime) -> _Outcome:
    setup = _wsus(view)["setup"]
    if setup is None or not setup["using_ssl"]:
        return _Outcome(False, "configuressl has not run")
    binding = serving_binding(_wsus(view)) if _site(view) else None
    wrong = []
    if not same_name(setup["certificate_name"], view.fqdn):
        wrong.append(f"its name is {view.fqdn}")
    if binding is not None and binding["port"] != setup["port"]:
        wrong.append(f"the https binding is on port {binding['port']}")
    if binding is not None and setup["certificate_name"] and not covers(_bound(view), setup["certificate_name"]):
        wrong.append("the certificate is not for that name")
    recorded = f"WSUS recorded https://{setup['certificate_name']}:{setup['port']}"
    return _Outcome(not wrong, "; but ".join([recorded, *wrong]))


@_rule("restart", "No restart is pending", "[BP]", "medium", "Restart the server, or run the rollout again.")
def _restart(view: View, settings: Settings, now: datetime.datetime) -> _Outcome:
    state = _state(view)
    pending = []
    if restart_pending(state):
        pending.append("the restart after configuressl is pending")
    if state["restart"]["windows_pending"]:
        pending.append("Windows waits for a restart (updates or features)")
    return _Outcome(not pending, "; ".join(pending) or f"started {state['restart']['boot_time']}", severity=None if restart_pending(state) else "low")


@_rule("tls_required", "TLS is required on the five web services, and plain HTTP refused there", "[BP, CFG]", "high", _REQUIRE)
def _tls_required(view: View, settings: Settings, now: datetime.datetime) -> _Outcome:
    required = _requiring(view)
    missing = [name for name in FIVE_SERVICES if name not in required]
    server = "required on all five" if not missing else f"not required on {', '.join(missing) if required else 'any of them'}"
    network, told, served = _plain_services(view, required)
    ok = not missing and not served
    seen = server + (f"; over HTTP the network is served by {', '.join(served)}" if served and not missing else "")
    return _Outcome(ok, seen, server, network, told)


def _plain_services(view: View, required: Sequence[str]) -> tuple[str, str | None, list[str]]:
    """What the network says of the five over HTTP, where that contradicts the server, and which of them answer although they must not."""
    if view.survey is None or view.survey.http_problem:
        return (view.survey.http_problem if view.survey else view.survey_problem) or "the controller did not look", None, []
    own = {name.casefold(): answer for name, answer in view.survey.http.items()}
    served: list[str] = []
    refused: list[str] = []
    for name in FIVE_SERVICES:
        answer = own.get(name.casefold())
        if answer is not None and answer.status is not None:
            (refused if answer.status == 403 else served).append(name)
    network = f"refused on {', '.join(refused) or 'none'}, answered on {', '.join(served) or 'none'}"
    contradicted = [name for name in served if name in required] + [name for name in refused if name not in required]
    told = f"of {', '.join(contradicted)} the server says one thing and the network another" if contradicted else None
    return network, told, [name for name in served if name in required]


@_rule(
    "tls_not_elsewhere",
    "TLS is required nowhere else",
    "[CFG]: content, self-update, inventory and reporting go over HTTP",
    "medium",
    "Take it away there (iis_require_ssl with replace_site_requirement for the site as a whole).",
)
def _tls_not_elsewhere(view: View, settings: Settings, now: datetime.datetime) -> _Outcome:
    site = _site(view)
    wrong = ["the site as a whole"] if "Ssl" in site["access"]["ssl_flags"] else []
    everywhere = {**site["applications"], **site["virtual_directories"]}
    must = {name.casefold() for name in MUST_SERVE_HTTP}
    wrong += [name for name, access in everywhere.items() if name.casefold() in must and "Ssl" in access["ssl_flags"]]
    return _Outcome(not wrong, f"required on {', '.join(wrong)}" if wrong else "nowhere")


@_rule(
    "services_over_https",
    "The five web services answer over HTTPS",
    "[BP]",
    "high",
    "Look at the application pool and at the certificate; the other checks tell which.",
)
def _services_over_https(view: View, settings: Settings, now: datetime.datetime) -> _Outcome:
    survey, why = _network(view)
    if survey is None:
        if view.survey is None or view.survey.https_port is None or _unseen(view.survey):
            raise NotKnown(why)
        return _Outcome(False, why, None, why)
    wrong = []
    for name, answer in survey.https.items():
        expected = (200, 401) if name == "ApiRemoting30" else (200,)
        if answer.status not in expected:
            wrong.append(f"{name}: {_answer(answer)}")
    return _Outcome(not wrong, "; ".join(wrong) or "all five answer", None, "; ".join(wrong) or "all five answer")


def _answer(answer: Answered) -> str:
    return str(answer.status) if answer.status is not None else answer.problem or "no answer"


@_rule(
    "content_over_http",
    "Content and reporting are served over HTTP",
    "[CFG]: update files are signed and hashed",
    "high",
    "Keep the http binding and the firewall open for the HTTP port, and take TLS off Content.",
)
def _content_over_http(view: View, settings: Settings, now: datetime.datetime) -> _Outcome:
    survey = _survey(view)
    if survey.http_port is None:
        raise NotKnown("no HTTP port was asked")
    if survey.http_problem:
        return _Outcome(False, survey.http_problem, None, survey.http_problem)
    state = view.state
    elsewhere = bool(state and state["api"] and state["api"]["content_on_microsoft_update"])
    asked = ["ReportingWebService"] if elsewhere else ["Content", "ReportingWebService"]
    wrong = [f"{name}: {_answer(survey.http[name])}" for name in asked if survey.http[name].status != 200]
    seen = "; ".join(wrong) or " and ".join(asked) + (" answers" if elsewhere else " answer")
    return _Outcome(not wrong, seen, None, seen)


@_rule(
    "no_redirect",
    "Nothing sends HTTP to HTTPS by itself",
    "[CFG]: a redirect or HSTS breaks content over HTTP",
    "medium",
    "Take the redirect, the rewrite rule or HSTS off the WSUS site.",
)
def _no_redirect(view: View, settings: Settings, now: datetime.datetime) -> _Outcome:
    survey = _survey(view)
    if not survey.reached:
        raise NotKnown("neither port answers the controller")
    wrong = []
    for scheme, answers in (("http", survey.http), ("https", survey.https)):
        for name, answer in answers.items():
            if answer.status is not None and 300 <= answer.status < 400:
                wrong.append(f"{name} over {scheme} redirects to {(answer.location or 'nowhere')[:200]}")
            if answer.hsts:
                wrong.append(f"{name} over {scheme} has Strict-Transport-Security")
    return _Outcome(not wrong, "; ".join(wrong) or "no redirect, no HSTS", None, "; ".join(wrong) or "no redirect, no HSTS")


@_rule(
    "tls_versions",
    "TLS 1.0 and 1.1 are off, 1.2 or 1.3 is on",
    "[BP] and Microsoft's deprecation of TLS 1.0 and 1.1",
    "medium",
    "Switch them in Schannel (SCHANNEL\\Protocols) and restart.",
)
def _tls_versions(view: View, settings: Settings, now: datetime.datetime) -> _Outcome:
    survey, why = _network(view)
    if survey is None and view.survey is not None and any(view.survey.versions.values()):
        # The ordinary handshake may have failed for the versions themselves.
        survey = view.survey
    server = _schannel(view.state) if view.state is not None else None
    if survey is None:
        raise NotKnown(f"{why}; the server's own settings: {server or 'not known'}")
    taken = [one for one, takes in survey.versions.items() if takes]
    unasked = [one for one, takes in survey.versions.items() if takes is None]
    old = [one for one in taken if one in ("TLS 1.0", "TLS 1.1")]
    network = f"takes {', '.join(taken) or 'none'}" + (f"; this controller cannot ask for {', '.join(unasked)}" if unasked else "")
    if not old and any(one in unasked for one in ("TLS 1.0", "TLS 1.1")):
        raise NotKnown(f"{network}; the server's own settings: {server or 'not known'}")
    ok = not old and any(one in taken for one in ("TLS 1.2", "TLS 1.3"))
    return _Outcome(ok, network, server, network)


def _schannel(state: State) -> str:
    told = []
    for version, roles in state["tls"]["protocols"].items():
        enabled, disabled = roles["server"]["enabled"], roles["server"]["disabled_by_default"]
        words = "by default" if enabled is None and disabled is None else "off" if enabled == 0 or (enabled is None and disabled) else "on"
        told.append(f"{version} {words}")
    return ", ".join(told)


@_rule(
    "turned_away",
    "Nobody is turned away who still comes over plain HTTP",
    "[CFG]: where TLS is required, HTTP gets 403.4 and no updates",
    "medium",
    "Give them the https URL (a group policy, MDM, or wsus_client; docs/clients.md). Until they have it, iis_require_ssl with state: absent takes "
    "the requirement back.",
)
def _turned_away(view: View, settings: Settings, now: datetime.datetime) -> _Outcome:
    required = _requiring(view)
    if not required:
        raise NotApplicable("TLS is required on none of the five services")
    callers = view.callers
    if callers is None:
        if view.callers_problem:
            raise NotKnown(view.callers_problem)
        raise NotApplicable("who calls the server was not read (traffic_days)")
    found = turned_away(callers, required)
    gaps = callers.traffic.log_gaps()
    since = days_with_evidence(callers.traffic)
    if not found:
        if gaps:
            raise NotKnown(" ".join(gaps))
        if others := failed_otherwise(callers, required):
            raise NotKnown(
                f"{some_of(others)} called over plain HTTP and got an error that is not 403.4. Where the site's log lacks the field sc-substatus, "
                "that is how it shows who is turned away: select it."
            )
        return _Outcome(True, f"nobody {since}")
    back = [one for one in found if one.seen_since]
    words = []
    for one in found:
        times = "once" if one.times == 1 else f"{one.times} times"
        last = f", last on {format_time(one.last)}" if one.last else ""
        what = "" if one.kinds == ("client",) else f", {' and '.join(kind.replace('_', ' ') for kind in one.kinds)}"
        later = f"; WSUS saw that computer on {format_time(one.seen_since)}, which takes TLS" if one.seen_since else ""
        words.append(f"{called(one.address, one.computers)}{what} ({times}{last}{later})")
    seen = f"turned away {since}: {some_of(words)}"
    if len(back) == len(found):
        # An address may be another machine's by now, so this is no proof that all of them came back.
        return _Outcome(False, f"{seen}. All of them may be back: whether they are the same machines is not known", severity="low")
    if back:
        seen += f". {len(back)} of {len(found)} may be back: whether they are the same machines is not known"
    return _Outcome(False, seen + (f". Not all is known: {' '.join(gaps)}" if gaps else ""))


# --- how it runs -----------------------------------------------------------------------------------------------------------


@_rule("application_pool", "The application pool is set as for WSUS", "[PERF]", "low", "Run wsus_app_pool, or the role https_server.")
def _application_pool(view: View, settings: Settings, now: datetime.datetime) -> _Outcome:
    _site(view)
    iis = _wsus(view)["iis"]
    if iis is None or iis["application_pool"] is None:
        raise NotKnown("the site has no application ClientWebService")
    pool: Mapping[str, Any] = dict(iis["application_pool"])
    different = [f"{name.replace('_', ' ')} is {pool[name]}, not {wished}" for name, wished in BEST_PRACTICES.items() if pool[name] != wished]
    return _Outcome(not different, "; ".join(different) or "as the best practices have it")


@_rule(
    "patch_level",
    "CVE-2025-59287 is fixed",
    "Microsoft's advisory (remote code execution, exploited)",
    "high",
    "Install the updates of October 2025 or later, at once.",
)
def _patch_level(view: View, settings: Settings, now: datetime.datetime) -> _Outcome:
    build = str(_state(view)["computer"].get("build") or "")
    found = re.fullmatch(r"(\d+)\.(\d+)", build)
    if found is None or int(found[1]) not in PATCHED_BUILDS:
        raise NotKnown(f"nothing is known here of build {build or '(none)'}")
    least = PATCHED_BUILDS[int(found[1])]
    return _Outcome(int(found[2]) >= least, f"build {build}, fixed from {found[1]}.{least} on")


@_rule("disk_space", "There is room for update files", "[PERF]", "medium", "Free some, or move the content.")
def _disk_space(view: View, settings: Settings, now: datetime.datetime) -> _Outcome:
    state = _wsus(view)
    drive = str((state["setup"]["content_dir"] if state["setup"] else None) or "")[:2].upper()
    disk = next((each for each in state["computer"]["disks"] if str(each["drive"]).upper() == drive), None)
    if disk is None:
        raise NotKnown(f"the content's folder is on no drive of this machine ({drive or 'not recorded'})")
    free = int(disk["free_bytes"]) / 2**30
    return _Outcome(free >= settings.free_gigabytes, f"{free:.0f} GiB free on {drive}")


@_rule(
    "configuration_manager",
    "Configuration Manager does not manage this server",
    "[SUP]",
    "low",
    "Set 'Require SSL communication' on its software update point, and acknowledge it in the inventory (wsus_configuration_manager).",
)
def _configuration_manager(view: View, settings: Settings, now: datetime.datetime) -> _Outcome:
    there = bool(_state(view)["computer"]["configuration_manager"])
    return _Outcome(not there, "its software is on this machine: it sets synchronization and clients' URLs by itself" if there else "it is not there")


@_rule(
    "database",
    "The database is on this machine",
    "[CFG]: TLS on the site does not cover the link to another one",
    "low",
    "Protect that link by other means (SQL Server's own encryption, IPsec).",
)
def _database(view: View, settings: Settings, now: datetime.datetime) -> _Outcome:
    state = _wsus(view)
    server = str((state["setup"]["sql_server"] if state["setup"] else None) or "")
    if not server:
        raise NotKnown("setup recorded no database")
    return _Outcome(is_internal_database(server, str(state["computer"]["name"])), server)


# --- downstream servers --------------------------------------------------------------------------------------------------------


def _source(view: View) -> Any:
    state = _wsus(view)
    if state["api"] is None:
        raise NotKnown(f"the WSUS API did not answer: {_why(state, 'api')}")
    return state["api"]["synchronization"]


@_rule(
    "upstream_tls",
    "It synchronizes over TLS, by its upstream's FQDN",
    "[BP, CFG]",
    "high",
    "Run the rollout on its upstream (or the role downstream on this server).",
)
def _upstream_tls(view: View, settings: Settings, now: datetime.datetime) -> _Outcome:
    source = _source(view)
    if source["microsoft_update"]:
        raise NotApplicable("it synchronizes from Microsoft Update")
    wrong = [] if source["upstream_ssl"] else ["not over TLS"]
    if not is_fqdn(source["upstream_name"]):
        wrong.append("by a short name")
    shown = f"{'https' if source['upstream_ssl'] else 'http'}://{source['upstream_name']}:{source['upstream_port']}"
    return _Outcome(not wrong, f"{shown}" + (f": {', '.join(wrong)}" if wrong else ""))


@_rule(
    "synchronization",
    "Its last synchronization succeeded, and not long ago",
    "[BP]",
    "medium",
    "Look at the error in the WSUS console; LogFiles\\SoftwareDistribution.log tells more.",
)
def _synchronization(view: View, settings: Settings, now: datetime.datetime) -> _Outcome:
    last = _source(view)["last"]
    if last is None:
        return _Outcome(False, "it never synchronized")
    ended = parse_time(last["end"] or last["start"]) if last["end"] or last["start"] else None
    if last["result"] != "Succeeded":
        text = str(last["error_text"] or "").strip()
        return _Outcome(
            False, f"{last['result']} ({last['error']})" + (f": {text}" if text else "") + (f", {ended:%Y-%m-%d %H:%M} UTC" if ended else "")
        )
    if ended is None:
        raise NotKnown("it succeeded, but when is not told")
    hours = (now - ended) / datetime.timedelta(hours=1)
    return _Outcome(hours <= settings.sync_hours, f"succeeded {ended:%Y-%m-%d %H:%M} UTC, {hours:.0f} h ago")


@_rule(
    "upstream_trusted",
    "It reaches its upstream over TLS, and trusts it",
    "[CFG]",
    "high",
    "Have the authorities trusted on it (role trust); open the HTTPS port between them.",
)
def _upstream_trusted(view: View, settings: Settings, now: datetime.datetime) -> _Outcome:
    endpoint = _looked_upstream(view, tls=True)
    against = against_endpoint(endpoint)
    return _Outcome(not against, against or f"{endpoint['host_name']}:{endpoint['port']} is reached and trusted")


@_rule(
    "upstream_content",
    "It reaches its upstream's HTTP port, for update files",
    "[CFG]",
    "medium",
    "Open the HTTP port between them, for good.",
)
def _upstream_content(view: View, settings: Settings, now: datetime.datetime) -> _Outcome:
    endpoint = _looked_upstream(view, tls=False)
    error = endpoint["error"]["message"] if endpoint["error"] else "no answer"
    place = f"{endpoint['host_name']}:{endpoint['port']}"
    return _Outcome(endpoint["reachable"], f"{place} is reached" if endpoint["reachable"] else f"{place} cannot be reached ({error})")


def _looked_upstream(view: View, *, tls: bool) -> Endpoint:
    state = _state(view)
    if not view.has_upstream:
        raise NotApplicable("it has no upstream server")
    for endpoint in state.get("endpoints") or []:
        # What it finds at itself is another matter.
        if endpoint["tls"] is tls and not any(same_name(endpoint["host_name"], name) for name in (view.fqdn, own_fqdn(state))):
            return endpoint
    raise NotKnown("it did not look at its upstream")


# --- the views against each other ------------------------------------------------------------------------------------------------

RULES["views_agree"] = Rule(
    "views_agree",
    "What the server says and what the network says is the same",
    "two views, side by side",
    "high",
    "Find out who answers at that name and port: a load balancer, another machine, an old address.",
)


def _views_agree(findings: Iterable[Finding]) -> Finding:
    all_findings = list(findings)
    told = [finding.disagreement for finding in all_findings if finding.disagreement]
    if told:
        return Finding("views_agree", "fail", "high", seen="; ".join(told), mend=RULES["views_agree"].mend)
    compared = [finding for finding in all_findings if finding.server_says and finding.network_says and finding.result != "not_known"]
    if not compared:
        return Finding("views_agree", "not_known", "high", reason="one of the two views is missing")
    return Finding("views_agree", "pass", "high", seen="they agree")
