"""Machines of every shape that planning may meet, for hypothesis: the lab's documents, so that what is planned can be applied as well."""

from __future__ import annotations

import copy
import datetime
import functools
import uuid
from collections.abc import Iterable
from typing import Any

from ansible_collections.securepatch.wsus.plugins.plugin_utils.changes import Change
from ansible_collections.securepatch.wsus.plugins.plugin_utils.state import State
from hypothesis import strategies as st

from tests.lab.authority import Authority, Issued
from tests.lab.engine import read_state
from tests.lab.machine import Machine

NOW = datetime.datetime(2026, 11, 21, 12, 0, tzinfo=datetime.UTC)
FQDN = "wsus01.corp.example"
SETUP = r"HKLM:\SOFTWARE\Microsoft\Update Services\Server\Setup"
MARKS = r"HKLM:\SOFTWARE\securepatch.wsus"
HTTP_SYS = r"HKLM:\SYSTEM\CurrentControlSet\Services\HTTP\Parameters\SslBindingInfo"
HTTP_SYS_SNI = r"HKLM:\SYSTEM\CurrentControlSet\Services\HTTP\Parameters\SslSniBindingInfo"
FIVE = ("SimpleAuthWebService", "DssAuthWebService", "ServerSyncWebService", "ApiRemoting30", "ClientWebService")
"""The web services that must require TLS, as IIS spells them."""
APPLICATIONS = (
    "ApiRemoting30",
    "ClientWebService",
    "DssAuthWebService",
    "Inventory",
    "ReportingWebService",
    "ServerSyncWebService",
    "SimpleAuthWebService",
)
DAY = datetime.timedelta(days=1)


@functools.cache
def authority() -> Authority:
    """One CA for all tests of a run."""
    return Authority.create("Corp Issuing CA")


@functools.cache
def issued(kind: str) -> Issued:
    """A certificate of a kind: good, longer, or wrong in one way."""
    wishes: dict[str, dict[str, Any]] = {
        "good": {"not_after": NOW + 200 * DAY},
        "longer": {"not_after": NOW + 400 * DAY},
        "wildcard": {"dns_names": ["*.corp.example"], "not_after": NOW + 100 * DAY},
        "other": {"common_name": "other.corp.example", "dns_names": ["other.corp.example"], "not_after": NOW + 300 * DAY},
        "expired": {"not_before": NOW - 300 * DAY, "not_after": NOW - 3 * DAY},
        "short": {"not_after": NOW + 5 * DAY},
    }
    wish = {"common_name": FQDN, "dns_names": [FQDN], "not_before": NOW - 400 * DAY, **wishes[kind]}
    return authority().issue(**wish)


def entry(kind: str, *, has_private_key: bool = True, key: bool = True) -> dict[str, Any]:
    """A certificate as a machine's store has it."""
    one = issued(kind)
    found = {"der": one.der_base64, "has_private_key": has_private_key, "friendly_name": "WSUS"}
    return {**found, "key": one.key_pem} if key and has_private_key else found


def dword(number: int) -> dict[str, Any]:
    return {"kind": "DWord", "data": number}


def text(value: str) -> dict[str, Any]:
    return {"kind": "String", "data": value}


def document() -> dict[str, Any]:
    """A fresh WSUS machine on HTTP with one usable certificate."""
    return {
        "computer": {"boot_time": "2026-11-01T03:00:00Z", "domain_member": True, "disks": [{"drive": "C:", "bytes": 100, "free_bytes": 50}]},
        "registry": {
            SETUP: {
                "UsingSSL": dword(0),
                "PortNumber": dword(8530),
                "TargetDir": text("C:\\Program Files\\Update Services\\"),
                "ContentDir": text("D:\\WSUS"),
                "IISTargetWebSiteIndex": dword(1634923),
                "VersionString": text("10.0.20348.143"),
                "SqlServerName": text("MICROSOFT##WID"),
            },
            SETUP + r"\Installed Role Services": {"UpdateServices-Services": dword(2)},
            r"HKLM:\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters": {"Hostname": text("WSUS01"), "Domain": text("corp.example")},
            r"HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion": {"CurrentBuild": text("20348"), "UBR": dword(4294)},
        },
        "iis": {
            "sites": [
                {
                    "id": 1634923,
                    "name": "WSUS Administration",
                    "state": "Started",
                    "bindings": [{"protocol": "http", "information": "*:8530:"}, {"protocol": "https", "information": "*:8531:", "ssl_flags": 0}],
                    "applications": [
                        {"path": "/", "pool": "WsusPool", "virtual_directories": ["/Content"]},
                        *({"path": f"/{name}", "pool": "WsusPool"} for name in APPLICATIONS),
                    ],
                }
            ],
            "application_pools": {"WsusPool": {}},
            "locations": {},
        },
        "certificates": {"My": {issued("good").thumbprint: entry("good")}, "Root": {}, "CA": {}, "Request": {}},
        "services": {"WsusService": "Running", "W3SVC": "Running", "WAS": "Running"},
        "wsus": {
            "version": "10.0.20348.143",
            "server_id": "2b4a1c8e-6d3f-4f0a-9b5e-7c1d2e3f4a5b",
            "upstream": {"microsoft_update": True, "name": "", "port": 8530, "ssl": False, "replica": False},
        },
        "clock": NOW.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def machine(change: dict[str, Any] | None = None) -> Machine:
    """A machine of a document, the fresh one where none is given."""
    return Machine(copy.deepcopy(change if change is not None else document()), name="wsus01")


def read(found: dict[str, Any] | None = None) -> State:
    """The state that a machine of this document shows, the fresh one where none is given."""
    return read_state(machine(found))  # type: ignore[return-value]


def kernel_key(at: str, flags: int) -> str:
    """The registry key under which the kernel keeps what it serves for a binding."""
    address, port, host_name = at.rsplit(":", 2)
    return f"{HTTP_SYS_SNI}\\{host_name}:{port}" if flags & 1 else f"{HTTP_SYS}\\{'0.0.0.0' if address in ('*', '') else address}:{port}"


def bind(
    found: dict[str, Any], kind: str = "good", *, at: str = "*:8531:", flags: int = 0, store: str = "My", served: str | None = ""
) -> dict[str, Any]:
    """Bind a certificate of this kind to the WSUS site. SERVED: the kind that the kernel has instead, None for no entry."""
    bindings = found["iis"]["sites"][0]["bindings"]
    # In the place of what is there, and of the bare one that set-up left on the port.
    port = at.split(":")[-2]
    bindings[:] = [one for one in bindings if one["information"] != at and (one["information"] != f"*:{port}:" or "certificate_hash" in one)]
    thumbprint = issued(kind).thumbprint
    found["certificates"].setdefault(store, {})[thumbprint] = entry(kind)
    bindings.append(
        {"protocol": "https", "information": at, "ssl_flags": flags, "certificate_hash": thumbprint, "certificate_store": store}
    )
    if served is not None:
        hexadecimal = issued(served or kind).thumbprint
        found["registry"][kernel_key(at, flags)] = {"SslCertHash": {"kind": "Binary", "data": hexadecimal}, "SslCertStoreName": text(store)}
    return found


def configure(found: dict[str, Any], name: str = FQDN, port: int = 8531) -> dict[str, Any]:
    """Record what configuressl does."""
    found["registry"][SETUP] |= {"UsingSSL": dword(1), "PortNumber": dword(port), "ServerCertificateName": text(name)}
    return found


def require(found: dict[str, Any], *applications: str, flags: str = "Ssl") -> dict[str, Any]:
    """Access flags of applications of their own ('': the site's), the five web services where none is named."""
    for name in applications or FIVE:
        found["iis"]["locations"]["WSUS Administration" + (f"/{name}" if name else "")] = {"sslFlags": flags}
    return found


def offering() -> dict[str, Any]:
    """A machine that offers HTTPS: bound, told, restarted."""
    return configure(bind(document()))


def downstream(upstream: str = "wsus00.corp.example", port: int = 8530, *, ssl: bool = False, **differs: Any) -> dict[str, Any]:
    """WSUS11, which synchronizes from another WSUS server, and did so yesterday."""
    found = document()
    found["registry"][r"HKLM:\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters"]["Hostname"] = text("WSUS11")
    found["wsus"]["upstream"] = {"microsoft_update": False, "name": upstream, "port": port, "ssl": ssl, "replica": False, **differs}
    found["wsus"]["last_synchronization"] = synchronized()
    return found


def synchronized(number: int = 1, result: str = "Succeeded") -> dict[str, Any]:
    """A synchronization that has ended."""
    times = {"start": "2026-11-20T03:00:00Z", "end": "2026-11-20T03:04:10Z"}
    return {"id": str(uuid.UUID(int=number)), "result": result, "error": "NotApplicable", "error_text": "", **times}


def looked(state: State, host_name: str, port: int = 8531, **differs: Any) -> State:
    """The state with what the server found at an endpoint beside it: all well but what differs."""
    well: dict[str, Any] = {
        "host_name": host_name,
        "port": port,
        "tls": True,
        "reachable": True,
        "protocol": "Tls12",
        "certificates": [],
        "name_matches": True,
        "trusted": True,
        "chain_errors": [],
        "error": None,
    }
    endpoints = [*(state.get("endpoints") or []), {**well, **differs}]
    return {**state, "endpoints": endpoints}  # type: ignore[typeddict-item]


def sentences(changes: Iterable[Change]) -> list[str]:
    """The changes in words, in order."""
    return [change.describe() for change in changes]


def promised_certificate() -> dict[str, Any]:
    """The entry of a certificate that an earlier step will bring, in a predicted state."""
    return {
        "store": "My",
        "thumbprint": None,
        "der": None,
        "friendly_name": "",
        "has_private_key": True,
        "key_usable": True,
    }


FLAGS = st.sampled_from(["None", "Ssl", "Ssl,Ssl128", "Ssl128", "Ssl,SslNegotiateCert", "SslNegotiateCert,SslRequireCert", "SslMapCert"])


@st.composite
def documents(draw: st.DrawFn, *, offers: bool = False) -> dict[str, Any]:
    """A WSUS machine in any state that a run may find: by hand, half-way, done, or done by another tool. OFFERS: it offers HTTPS."""
    found = document()
    setup = found["registry"][SETUP]
    site = found["iis"]["sites"][0]
    http, https = draw(st.sampled_from([(8530, 8531), (80, 443), (9442, 9443)]))
    setup["PortNumber"] = dword(http)
    kinds = draw(st.sets(st.sampled_from(["good", "longer", "wildcard", "other", "expired", "short"])))
    my = {issued(kind).thumbprint: entry(kind) for kind in sorted(kinds)}
    if draw(st.booleans()) and "other" in kinds:
        my[issued("other").thumbprint] = entry("other", key=False)
    found["certificates"]["My"] = my
    site["bindings"] = [{"protocol": "http", "information": f"*:{http}:"}]
    usable = [thumbprint for thumbprint, one in my.items() if "key" in one]
    shape = draw(st.sampled_from(["none", "bare", "bound", "bound", "differs"]))
    address = draw(st.sampled_from(["*", "*", "10.0.0.5", ""]))
    host_name = draw(st.sampled_from(["", "", FQDN, "alias.corp.example"]))
    flags = draw(st.sampled_from([0, 0, 4, 32] if not host_name else [0, 1, 1, 33]))
    at = f"{address}:{https}:{host_name}"
    if shape in ("bound", "differs") and usable:
        thumbprint = draw(st.sampled_from(usable))
        store = draw(st.sampled_from(["My", "My", "WebHosting"]))
        if store != "My":
            found["certificates"][store] = {thumbprint: my.pop(thumbprint)}
        binding = {"protocol": "https", "information": at, "ssl_flags": flags, "certificate_hash": thumbprint, "certificate_store": store}
        site["bindings"].append(binding)
        served = draw(st.sampled_from([*usable, None])) if shape == "differs" else thumbprint
        if served:
            found["registry"][kernel_key(at, flags)] = {"SslCertHash": {"kind": "Binary", "data": served}, "SslCertStoreName": text(store)}
    elif shape != "none":
        site["bindings"].append({"protocol": "https", "information": at, "ssl_flags": flags})
    neighbour = draw(st.sampled_from([None, None, ("*:443:", 0), (f"*:{https}:intra.corp.example", 1), (f"10.0.0.7:{https}:", 0)]))
    if neighbour:
        binding = {"protocol": "https", "information": neighbour[0], "ssl_flags": neighbour[1]}
        if usable and draw(st.booleans()):
            thumbprint = draw(st.sampled_from(usable))
            binding |= {"certificate_hash": thumbprint, "certificate_store": "My"}
            entry_of = {"SslCertHash": {"kind": "Binary", "data": thumbprint}, "SslCertStoreName": text("My")}
            found["registry"].setdefault(kernel_key(*neighbour), entry_of)
        found["iis"]["sites"].append({"id": 1, "name": "Intranet", "bindings": [binding], "applications": []})
    if draw(st.integers(0, 3)) == 0:
        # Somebody else's, for one address or another port.
        other = draw(st.sampled_from([f"10.0.0.9:{https}:", "*:5986:"]))
        found["registry"][kernel_key(other, 0)] = {"SslCertHash": {"kind": "Binary", "data": "AB" * 20}, "SslCertStoreName": text("My")}
    if draw(st.booleans()):
        setup["UsingSSL"] = dword(1)
        setup["PortNumber"] = dword(https)
        setup["ServerCertificateName"] = text(draw(st.sampled_from([FQDN, FQDN.upper(), "old.corp.example"])))
    for name in draw(st.sets(st.sampled_from(["", *(f"/{application}" for application in APPLICATIONS)]))):
        found["iis"]["locations"][f"WSUS Administration{name}"] = {"sslFlags": draw(FLAGS)}
    if draw(st.booleans()):
        pool = {"queue_length": draw(st.sampled_from([1000, 2000, 25000])), "ping_enabled": draw(st.booleans())}
        found["iis"]["application_pools"]["WsusPool"] = pool
    marks = {}
    if draw(st.booleans()):
        marks["RestartNeededSince"] = text(draw(st.sampled_from(["2026-10-01T00:00:00Z", "2026-11-20T00:00:00Z"])))
    if draw(st.booleans()):
        marks["SiteRestartNeeded"] = text("8531")
    if marks:
        found["registry"][MARKS] = marks
    wsus = found["wsus"]
    if draw(st.booleans()):
        ssl = draw(st.booleans())
        wsus["upstream"] = {
            "microsoft_update": False,
            "name": draw(st.sampled_from(["wsus00", "wsus00.corp.example", "WSUS00.corp.example", "elsewhere.corp.example"])),
            "port": 8531 if ssl else 8530,
            "ssl": ssl,
            "replica": draw(st.booleans()),
        }
    if draw(st.booleans()):
        wsus["last_synchronization"] = {
            "id": str(uuid.UUID(int=draw(st.integers(1, 3)))),
            "result": draw(st.sampled_from(["Succeeded", "Failed"])),
            "error": "NotApplicable",
            "error_text": "",
            "start": "2026-11-20T03:00:00Z",
            "end": "2026-11-20T03:04:10Z",
        }
    for number in range(draw(st.integers(0, 2))):
        last = draw(st.sampled_from([None, "2026-11-20T03:00:00Z", "2026-08-01T03:00:00Z"]))
        lower = {"id": str(uuid.UUID(int=100 + number)), "fqdn": f"wsus1{number}.corp.example", "replica": True, "last_sync": last}
        wsus.setdefault("downstream_servers", []).append(lower)
    if draw(st.booleans()):
        found["registry"].setdefault(MARKS, {})["SynchronizationBefore"] = text(str(uuid.UUID(int=draw(st.integers(1, 3)))))
    if draw(st.integers(0, 4)) == 0:
        wsus["synchronization_status"] = "Running"
    elif draw(st.integers(0, 4)) == 0:
        wsus["busy"] = 1
    wsus["next_synchronization"] = {"id": "00000000-0000-0000-0000-0000000000ff", "result": "Succeeded"}
    if offers:
        configure(bind(found, at=f"*:{https}:"), port=https)
        found["registry"].get(MARKS, {}).pop("RestartNeededSince", None)
    return found
