# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The state document: what the server says of itself in one observation, and the questions everybody asks of it.

The document is what C(wsus_state.ps1) reads, with C(endpoints) and C(trust) of the same trip beside it. A part that could not be
read is None and its error stands in C(unreadable). A predicted document (check mode) has C(predicted), and in it
what cannot be known before the run is None.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from typing import Any, NotRequired, TypedDict

FIVE_SERVICES = ("SimpleAuthWebService", "DSSAuthWebService", "ServerSyncWebService", "ApiRemoting30", "ClientWebService")
"""The web services that must require TLS [BP, CFG]."""

MUST_SERVE_HTTP = ("Content", "Inventory", "ReportingWebService", "SelfUpdate")
"""What must go on answering over HTTP [CFG]: update files are signed and hashed, and clients ask for them without TLS."""

RESTART_MARK = "RestartNeededSince"
SITE_RESTART_MARK = "SiteRestartNeeded"
SYNCHRONIZATION_MARK = "SynchronizationBefore"
PENDING_MARK = "PendingRequest"
"""A request that a CA has and has not decided yet: its number, a blank, and the CA as HOST\\NAME."""
REQUEST_MARK = "CertificateRequest"
"""A certificate request (PEM) whose answer is still to come."""
PFX_MARK = "TransferFolder"
"""The folder on the server that a PFX is in while it is being installed."""
REPLACED_MARK = "ReplacedCertificates"
"""The thumbprints, with blanks between them, of certificates that were bound until another took their place."""
MARKS_KEY = r"HKLM:\SOFTWARE\securepatch.wsus"
SETUP_KEY = r"HKLM:\SOFTWARE\Microsoft\Update Services\Server\Setup"

SNI = 1
CENTRAL_STORE = 2
ANY_ADDRESS = ("*", "0.0.0.0", "")


class Refusal(ValueError):
    """Why nothing may be changed as things stand: one or more sentences for an administrator, without the server's name."""


class LookNeeded(Exception):
    """Planning cannot go on before the server has looked itself: at HOST:PORT over TLS, or (without a host) in its stores of trust."""

    def __init__(self, host_name: str = "", port: int = 0) -> None:
        super().__init__(f"{host_name}:{port}" if host_name else "stores of trust")
        self.host_name = host_name
        self.port = port


class Failure(TypedDict):
    message: str
    id: str | None
    type: str
    hresult: str
    native: int | None


class Endpoint(TypedDict):
    host_name: str
    port: int
    tls: bool
    reachable: bool
    protocol: str | None
    certificates: list[str]
    name_matches: bool | None
    trusted: bool | None
    chain_errors: list[str]
    error: Failure | None
    promised: NotRequired[bool]


class BindingState(TypedDict):
    protocol: str
    ip_address: str
    port: int
    host_name: str
    thumbprint: NotRequired[str | None]
    store: NotRequired[str | None]
    ssl_flags: NotRequired[int]
    promised: NotRequired[bool]


class Access(TypedDict):
    ssl_flags: list[str]
    inherited: bool


class Site(TypedDict):
    id: int
    name: str
    state: str
    bindings: list[BindingState]
    access: Access
    log: dict[str, Any]
    applications: dict[str, Access]
    virtual_directories: dict[str, Access]


class Pool(TypedDict):
    name: str
    state: str
    queue_length: int
    idle_timeout_minutes: int
    ping_enabled: bool
    private_memory_kb: int
    virtual_memory_kb: int
    recycle_interval_minutes: int


class OtherSite(TypedDict):
    id: int
    name: str
    bindings: list[BindingState]


class Iis(TypedDict):
    site: Site
    application_pool: Pool | None
    other_sites: list[OtherSite]


class Setup(TypedDict):
    version: str | None
    target_dir: str | None
    content_dir: str | None
    sql_server: str | None
    post_installed: bool
    tool: bool
    port: int | None
    using_ssl: bool
    certificate_name: str | None


class LastSynchronization(TypedDict):
    id: str | None
    result: str
    error: str
    error_text: str | None
    start: str | None
    end: str | None


class Synchronization(TypedDict):
    microsoft_update: bool
    upstream_name: str | None
    upstream_port: int
    upstream_ssl: bool
    replica: bool
    proxy: str | None
    configuration_state: str
    status: str
    last: LastSynchronization | None


class DownstreamServer(TypedDict):
    id: str
    fqdn: str
    replica: bool
    last_sync: str | None


class Api(TypedDict):
    server_id: str
    content_on_microsoft_update: bool
    synchronization: Synchronization
    downstream_servers: list[DownstreamServer]


class State(TypedDict):
    computer: dict[str, Any]
    restart: dict[str, Any]
    marks: dict[str, str]
    tls: dict[str, Any]
    setup: Setup | None
    services: dict[str, str | None]
    iis: Iis | None
    http_sys: list[dict[str, Any]] | None
    certificates: list[dict[str, Any]] | None
    api: Api | None
    unreadable: dict[str, Failure]
    endpoints: NotRequired[list[Endpoint]]
    trust: NotRequired[dict[str, list[str]]]
    predicted: NotRequired[bool]


def parse_time(text: str) -> datetime.datetime:
    """A time as the document has it (ISO 8601, UTC) as an aware datetime. Raises ValueError for anything else."""
    time = datetime.datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=datetime.UTC)


def format_time(time: datetime.datetime) -> str:
    """An aware datetime as the document has it: UTC, to the second."""
    return time.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def same_name(one: str | None, other: str | None) -> bool:
    """Whether two host names are the same one: case and a trailing dot do not count."""
    return bool(one) and bool(other) and str(one).rstrip(".").casefold() == str(other).rstrip(".").casefold()


def is_fqdn(name: str | None) -> bool:
    """Whether a name has more than one label and no character that a host name cannot have."""
    labels = (name or "").rstrip(".").split(".")
    return len(labels) > 1 and all(label and label.replace("-", "").replace("_", "").isalnum() for label in labels)


def setup_of(state: State) -> Setup:
    """What WSUS setup recorded. Raises Refusal for a machine without a WSUS that is installed to the end."""
    setup = state["setup"]
    if setup is None:
        if "setup" in state["unreadable"]:
            raise Refusal(f"What WSUS setup recorded cannot be read: {state['unreadable']['setup']['message']}")
        raise Refusal("This is not a WSUS server: WSUS setup never ran here. Install the role, or take the host out of group wsus_servers.")
    if not setup["post_installed"]:
        raise Refusal("The WSUS role is installed, but its post-installation never ran. Run it first (WsusUtil postinstall).")
    return setup


def iis_of(state: State) -> Iis:
    """The site of WSUS with its pool and neighbours. Raises Refusal where IIS could not be read, with what Windows said."""
    setup_of(state)
    if state["iis"] is None:
        raise Refusal(f"The IIS configuration of the WSUS site cannot be read: {_why(state, 'iis')}")
    return state["iis"]


def site_of(state: State) -> Site:
    """The site of WSUS. Raises Refusal as iis_of does."""
    return iis_of(state)["site"]


def pool_of(state: State) -> Pool:
    """The application pool behind ClientWebService. Raises Refusal as iis_of does, and where there is no such application."""
    pool = iis_of(state)["application_pool"]
    if pool is None:
        raise Refusal("The WSUS site has no application ClientWebService, so its application pool is not known. Repair the WSUS installation.")
    return pool


def api_of(state: State) -> Api | None:
    """What the WSUS API says, or None where a prediction cannot know it. Raises Refusal where the API did not answer."""
    if state["api"] is None and "api" in state["unreadable"]:
        raise Refusal(f"The WSUS API on the server does not answer: {_why(state, 'api')}")
    return state["api"]


def certificates_of(state: State) -> list[dict[str, Any]]:
    """The certificates of the computer's stores. Raises Refusal where they could not be read."""
    if state["certificates"] is None:
        raise Refusal(f"The computer's certificate stores cannot be read: {_why(state, 'certificates')}")
    return state["certificates"]


def http_sys_of(state: State) -> list[dict[str, Any]]:
    """What the kernel serves (http.sys). Raises Refusal where it could not be read."""
    if state["http_sys"] is None:
        raise Refusal(f"The kernel's table of certificates (http.sys) cannot be read: {_why(state, 'http_sys')}")
    return state["http_sys"]


def _why(state: State, part: str) -> str:
    failure = state["unreadable"].get(part)
    return failure["message"] if failure else "it was not read."


def own_fqdn(state: State) -> str:
    """The name that Windows reports for this machine, in lower case."""
    return str(state["computer"]["fqdn"]).lower()


def https_port_beside(http_port: int) -> int:
    """The HTTPS port that WSUS pairs with an HTTP port [CFG]: 443 with 80, else the next one (8531 with 8530)."""
    return 443 if http_port == 80 else http_port + 1


def default_https_port(state: State) -> int:
    """The port that WSUS uses, or would use, for HTTPS. Raises Refusal where setup recorded no port."""
    setup = setup_of(state)
    if not setup["port"]:
        raise Refusal("WSUS setup recorded no port (PortNumber). Give the port for HTTPS yourself.")
    return setup["port"] if setup["using_ssl"] else https_port_beside(setup["port"])


def http_port(state: State) -> int | None:
    """The port on which the site answers plain HTTP: the one paired with the HTTPS port where there are several; None for none."""
    ports = [binding["port"] for binding in site_of(state)["bindings"] if binding["protocol"] == "http"]
    setup = setup_of(state)
    if not setup["using_ssl"] and setup["port"] in ports:
        return setup["port"]
    paired = [port for port in ports if https_port_beside(port) == setup["port"]]
    return next(iter(paired + ports), None)


def https_bindings(state: State) -> Iterator[BindingState]:
    """The site's https bindings that have a certificate, or are promised one."""
    for binding in site_of(state)["bindings"]:
        if binding["protocol"] == "https" and (binding.get("thumbprint") or binding.get("promised")):
            yield binding


def serving_binding(state: State) -> BindingState | None:
    """The https binding that WSUS is, or will be, known by: the one on the recorded port, else on the paired one, else the first."""
    found = list(https_bindings(state))
    port = default_https_port(state) if setup_of(state)["port"] else None
    return next((binding for binding in found if binding["port"] == port), found[0] if found else None)


def bound_certificate(state: State, binding: BindingState) -> dict[str, Any] | None:
    """The store's entry of a binding's certificate, None where the store does not have it (any more)."""
    for entry in certificates_of(state):
        if entry["thumbprint"] == binding.get("thumbprint") and entry["store"].casefold() == str(binding.get("store") or "My").casefold():
            return entry
    return None


def kernel_endpoint(binding: Mapping[str, Any]) -> str:
    """The key under which http.sys keeps a binding's certificate: ADDRESS:PORT, or NAME:PORT with SNI."""
    if int(binding.get("ssl_flags") or 0) & SNI:
        return f"{binding['host_name']}:{binding['port']}"
    address = binding["ip_address"]
    return f"{'0.0.0.0' if address in ANY_ADDRESS else address}:{binding['port']}"


def served_by_kernel(state: State, binding: Mapping[str, Any]) -> list[Any]:
    """The thumbprints of the certificates that the kernel has for a binding's endpoint. Raises Refusal as http_sys_of does."""
    endpoint = kernel_endpoint(binding).casefold()
    return [entry["thumbprint"] for entry in http_sys_of(state) if entry["endpoint"].casefold() == endpoint]


def restart_pending(state: State) -> bool:
    """Whether a restart of ours is pending: the mark is younger than the machine's last start."""
    mark = state["marks"].get(RESTART_MARK)
    if not mark:
        return False
    try:
        return parse_time(str(mark)) > parse_time(state["restart"]["boot_time"])
    except ValueError:  # not ours: somebody wrote it by hand, and one restart too many harms less than one too few
        return True


def configured_name(state: State) -> str | None:
    """The name that configuressl recorded, None before it ran."""
    setup = setup_of(state)
    return setup["certificate_name"] if setup["using_ssl"] else None


def known_as(state: State) -> str:
    """The name that a server is known by: the one that configuressl recorded, else the one that Windows reports."""
    installed = state["setup"] is not None and state["setup"]["post_installed"]
    return (configured_name(state) if installed else None) or own_fqdn(state)


def url_of(state: State) -> str | None:
    """The URL that clients and downstream servers need, None while configuressl has not run."""
    name = configured_name(state)
    return f"https://{name}:{setup_of(state)['port']}" if name else None


def find_endpoint(state: State, host_name: str, port: int) -> Endpoint | None:
    """What this server found at HOST:PORT over TLS, None where it did not look."""
    for endpoint in state.get("endpoints") or []:
        asked = endpoint["tls"] and endpoint["port"] == port and not endpoint.get("promised")
        if asked and same_name(endpoint["host_name"], host_name):
            return endpoint
    return None


def is_good(endpoint: Endpoint) -> bool:
    """Whether an endpoint was reached, its name fits and its chain is trusted."""
    return endpoint["reachable"] and endpoint["name_matches"] is True and endpoint["trusted"] is True


def is_promised(state: State, port: int) -> bool:
    """Whether a predicted state promises that this server will answer over TLS at this port. Whether its chain is trusted there cannot
    be known yet; whether a name fits is in the certificate."""
    return any(endpoint["port"] == port and endpoint.get("promised") for endpoint in state.get("endpoints") or [])


def against_endpoint(endpoint: Endpoint, looker: str = "this server") -> str:
    """Which of the three is wrong with an endpoint (reachable, name, chain), as a clause; empty where none is. LOOKER: who looked, in words."""
    error = endpoint["error"]["message"] if endpoint["error"] else ""
    place = f"{endpoint['host_name']}:{endpoint['port']}"
    if is_good(endpoint):
        return ""
    if not endpoint["reachable"]:
        return f"{place} cannot be reached from {looker} ({error or 'no answer'})"
    if endpoint["name_matches"] is None:
        return f"{place} answers, but not with TLS 1.2 ({error or 'no handshake'})"
    wrong = []
    if not endpoint["name_matches"]:
        wrong.append(f"the certificate found at {place} is not for {endpoint['host_name']}")
    if not endpoint["trusted"]:
        why = ", ".join(endpoint["chain_errors"]) or "no reason given"
        wrong.append(f"{looker} does not trust the certificate found at {place} ({why})")
    return "; ".join(wrong)


def promised_endpoint(host_name: str, port: int) -> Endpoint:
    """An endpoint that a predicted state promises: it will be there; whether it is trusted cannot be known yet."""
    return {
        "host_name": host_name,
        "port": port,
        "tls": True,
        "reachable": True,
        "protocol": None,
        "certificates": [],
        "name_matches": None,
        "trusted": None,
        "chain_errors": [],
        "error": None,
        "promised": True,
    }
