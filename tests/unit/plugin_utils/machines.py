"""Machines of every shape that planning may meet, for hypothesis: the lab's documents, so that what is planned can be applied as well."""

from __future__ import annotations

import copy
import datetime
import functools
import uuid
from typing import Any

from hypothesis import strategies as st
from tests.lab.authority import Authority, Issued
from tests.lab.machine import Machine

NOW = datetime.datetime(2026, 11, 21, 12, 0, tzinfo=datetime.UTC)
FQDN = "wsus01.corp.example"
SETUP = r"HKLM:\SOFTWARE\Microsoft\Update Services\Server\Setup"
MARKS = r"HKLM:\SOFTWARE\securepatch.wsus"
HTTP_SYS = r"HKLM:\SYSTEM\CurrentControlSet\Services\HTTP\Parameters\SslBindingInfo"
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


FLAGS = st.sampled_from(["None", "Ssl", "Ssl,Ssl128", "Ssl128", "Ssl,SslNegotiateCert", "SslNegotiateCert,SslRequireCert", "SslMapCert"])


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """A WSUS machine in any state that a run may find: by hand, half-way, done, or done by another tool."""
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
    if shape != "none":
        binding: dict[str, Any] = {"protocol": "https", "information": f"{address}:{https}:", "ssl_flags": draw(st.sampled_from([0, 0, 4, 32]))}
        if shape in ("bound", "differs") and usable:
            binding["certificate_hash"] = draw(st.sampled_from(usable))
            binding["certificate_store"] = "My"
            served = draw(st.sampled_from(usable)) if shape == "differs" else binding["certificate_hash"]
            key = f"{HTTP_SYS}\\{'0.0.0.0' if address in ('*', '') else address}:{https}"
            if shape == "bound" or draw(st.booleans()):
                found["registry"][key] = {"SslCertHash": {"kind": "Binary", "data": served}, "SslCertStoreName": text("My")}
        site["bindings"].append(binding)
    if draw(st.booleans()):
        setup["UsingSSL"] = dword(1)
        setup["PortNumber"] = dword(https)
        setup["ServerCertificateName"] = text(draw(st.sampled_from([FQDN, FQDN.upper(), "old.corp.example"])))
    for name in draw(st.sets(st.sampled_from(["", *(f"/{application}" for application in APPLICATIONS)]))):
        found["iis"]["locations"][f"WSUS Administration{name}"] = {"sslFlags": draw(FLAGS)}
    if draw(st.booleans()):
        found["iis"]["application_pools"]["WsusPool"] = {"queue_length": draw(st.sampled_from([1000, 2000, 25000])), "ping_enabled": draw(st.booleans())}
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
    wsus["next_synchronization"] = {"id": "00000000-0000-0000-0000-0000000000ff", "result": "Succeeded"}
    return found
