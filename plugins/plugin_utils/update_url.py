# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The URL that clients are told: what it may look like, and whether a server answers to it over HTTPS.

It is C(https://FQDN:PORT) and nothing besides [BP]: a client goes to fixed paths below it, and checks the certificate for that name.
"""

from __future__ import annotations

import dataclasses
import datetime
import re
from urllib.parse import SplitResult, urlsplit

from .certificates import parse, reasons_against
from .state import BindingState, Refusal, State, bound_certificate, https_bindings, https_port_beside, known_as, same_name, setup_of, site_of
from .verdict import standing

HTTP_PORTS = (80, 8530)
"""The ports that WSUS has for plain HTTP unless it was set up otherwise [CFG]."""
HTTPS_PORTS = (443, 8531)

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_FQDN = re.compile(rf"(?=.{{1,253}}\Z)(?:{_LABEL}\.)+(?!\d+\Z){_LABEL}", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class UpdateUrl:
    """A URL that clients may be told. text: as it was given. host_name: its name in lower case. port: 443 where it names none."""

    text: str
    host_name: str
    port: int

    @property
    def content_port(self) -> int:
        """The port of plain HTTP beside it, which gives the files [CFG]."""
        return 80 if self.port == 443 else self.port - 1


def read_url(text: str | None, what: str = "The URL") -> UpdateUrl:
    """A URL that clients may be told. WHAT it is begins the words. Raises Refusal with what is wrong with it, and how it would be right."""
    if not text:
        # A template may well give nothing: a server has no URL before it was converted.
        raise Refusal(f"{what} is empty. A server has one once configuressl has run.")
    if any(not 32 < ord(character) < 127 for character in text):
        raise Refusal(f"{what} has a character that cannot be in one (a blank, a line break, a letter beyond ASCII).")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise Refusal(f"{what} cannot be read: {_first_line(error)}.") from None
    if "@" in parts.netloc:
        # Not said again: it may have a password.
        raise Refusal(f"{what} names a user: a client cannot use that, and everybody could read it. Leave out what stands before the @.")
    _refuse_form(text, parts, port, what)
    found = UpdateUrl(text, str(parts.hostname), port if port is not None else 443)
    if parts.path or parts.query or parts.fragment or text.endswith(("?", "#")):
        raise Refusal(f"{what} is {text}: clients add the paths themselves. Give it as https://{parts.netloc}.")
    return found


def _refuse_form(text: str, parts: SplitResult, port: int | None, what: str) -> None:
    name = parts.hostname or ""
    if parts.scheme != "https":
        mixed = f" Port {port} is the one for HTTPS." if parts.scheme == "http" and port in HTTPS_PORTS else ""
        raise Refusal(f"{what} is {text}, which is not https.{mixed}{_suggested(name, port)}")
    if not _FQDN.fullmatch(name):
        why = "a short name: the certificate is for the whole name" if re.fullmatch(_LABEL, name, re.IGNORECASE) else "no fully qualified name"
        raise Refusal(f"{what} is {text}: '{name}' is {why}. Give the server's FQDN, as its certificate has it.")
    if parts.netloc.endswith(":") or port == 0:
        raise Refusal(f"{what} is {text}, which has no port behind the colon. WSUS has 8531, or 443, unless it was set up otherwise.")
    if port in HTTP_PORTS:
        raise Refusal(f"{what} is {text}: {port} is the port of plain HTTP, the one for HTTPS beside it is {https_port_beside(port)}.")


def _suggested(name: str, port: int | None) -> str:
    if not _FQDN.fullmatch(name):
        return ""
    right = 8531 if port is None else https_port_beside(port) if port in HTTP_PORTS else port
    return f" Should it be https://{name}:{right}?" if 0 < right < 65536 else ""


def _first_line(error: ValueError) -> str:
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__


NEEDED = {"computer", "restart", "marks", "setup", "services", "iis", "certificates", "unreadable"}


def refuse_other_server(url: UpdateUrl, state: State, now: datetime.datetime) -> tuple[str, ...]:
    """Whether the server with this state answers to the URL over HTTPS; what to know beside it. NOW is aware.

    Raises Refusal: a server that does not offer HTTPS, that has no https binding on that port, whose certificate there is not for that name
    or cannot serve any more. A state that an earlier task foretold counts as well.
    """
    missing = sorted(NEEDED - set(state))
    if missing:
        raise Refusal(f"'server_state' is not the state of a WSUS server as this collection's modules return it: it has no {', '.join(missing)}.")
    setup_of(state)
    name = known_as(state)
    stands = standing(state)
    if stands not in ("offers HTTPS", "requires TLS"):
        raise Refusal(f"The server {name} does not offer HTTPS (it stands at: {stands}), so nobody can be told to come over it.")
    bindings = [binding for binding in https_bindings(state) if binding["port"] == url.port and _answers_to(binding, url)]
    if not bindings:
        there = ", ".join(str(binding["port"]) for binding in https_bindings(state)) or "none"
        raise Refusal(f"The URL has port {url.port}, and the server {name} has no https binding there for {url.host_name}. Its HTTPS is on {there}.")
    for binding in bindings:
        _judge_certificate(url, state, name, binding, now)
    http = {binding["port"] for binding in site_of(state)["bindings"] if binding["protocol"] == "http"}
    if url.content_port in http:
        return ()
    said = (
        f"The server {name} has no http binding on {url.content_port}, where clients that come over port {url.port} ask for the files of updates "
        "[CFG]. Keep or add it [SUP]."
    )
    return (said,)


def _answers_to(binding: BindingState, url: UpdateUrl) -> bool:
    return not binding["host_name"] or same_name(binding["host_name"], url.host_name)


def _judge_certificate(url: UpdateUrl, state: State, name: str, binding: BindingState, now: datetime.datetime) -> None:
    if binding.get("promised"):
        return
    entry = bound_certificate(state, binding)
    if entry is None:
        raise Refusal(f"The certificate that the server {name} has on port {url.port} is not in its store any more.")
    reasons = reasons_against(parse(entry), url.host_name, now, 0)
    if reasons:
        raise Refusal(f"The certificate that the server {name} has on port {url.port} ({entry['thumbprint']}) {'; '.join(reasons)}.")
