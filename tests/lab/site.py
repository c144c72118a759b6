# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The WSUS site of a machine on its own ports, HTTP and TLS, as the machine's document says.

What is served is a snapshot of the document (`Snapshot`), taken after each change: requests are answered from it on the
event loop, without the machine's lock. What answers how is from "What answers on a healthy HTTPS server" ([BP], [CFG]).
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from dataclasses import dataclass, replace
from typing import Any, Literal

from .engine import http_sys, iis, registry
from .engine.certificates import find, listed
from .engine.traffic import log_folder
from .http import Listener, Request, Response
from .machine import Machine
from .site_log import Line, logged_address
from .tls import VERSIONS, Served, Versions, build_chain, certificate_of, choosing_context

#: The page behind each of the five services that must require TLS, and two that must not [BP, CFG].
SERVICES = {
    "simpleauthwebservice": "simpleauth.asmx",
    "clientwebservice": "client.asmx",
    "dssauthwebservice": "dssauthwebservice.asmx",
    "serversyncwebservice": "serversyncwebservice.asmx",
    "apiremoting30": "webservice.asmx",
    "reportingwebservice": "reportingwebservice.asmx",
}
_FILES = {"content": "anonymouscheckfile.txt", "selfupdate": "wuident.cab"}
#: ERROR_ACCESS_DENIED, which IIS logs beside a status that refuses.
_ACCESS_DENIED = 5
#: What Schannel's server side has on where the registry says nothing.
_ON_BY_DEFAULT = ("1.2", "1.3")


@dataclass(frozen=True)
class ColdPool:
    """What the first requests after a start of the application pool meet.

    :param seconds: how long the first one takes
    :param unavailable: how many of the first are answered with 503 instead
    """

    seconds: float = 0.0
    unavailable: int = 0


@dataclass(frozen=True)
class Port:
    """What is served on one port: plain HTTP, or TLS with certificates by name (SNI) and one for all others.

    A TLS port without any certificate, or without any version of TLS, resets what comes.
    """

    number: int
    protocol: Literal["http", "https"]
    default: Served | None = None
    by_name: tuple[tuple[str, Served], ...] = ()
    versions: Versions | None = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)

    @property
    def has_certificate(self) -> bool:
        return bool(self.default or self.by_name)


@dataclass(frozen=True)
class Application:
    """An application or virtual directory of the site: its access flags, and whether its pool runs."""

    flags: int
    pool_runs: bool


@dataclass(frozen=True)
class Snapshot:
    """What a machine's document says about its sites at one time.

    :param bindings: port and host name of the WSUS site's own bindings
    :param log_folder: where the WSUS site's log goes; None: it is not logged
    :param applications: by first segment of the path, lower case
    :param generation: another one after each start of the pool
    :param start: another one after each start of the site
    """

    ports: tuple[Port, ...] = ()
    log_folder: str | None = None
    bindings: frozenset[tuple[int, str]] = frozenset()
    applications: tuple[tuple[str, Application], ...] = ()
    service_runs: bool = True
    has_content: bool = True
    generation: tuple[Any, ...] = ()
    start: tuple[Any, ...] = ()


def snapshot(machine: Machine) -> Snapshot:
    """Read a machine's document. Takes its lock."""
    with machine.lock:
        configuration = machine.document.get("iis")
        if not configuration or not iis.service_running(machine, "W3SVC"):
            return Snapshot()
        started = [site for site in configuration["sites"] if site.get("state", "Started") == "Started"]
        wsus = next((site for site in started if site["id"] == registry.setup_value(machine, "IISTargetWebSiteIndex")), None)
        return Snapshot(
            ports=_ports(machine, started),
            log_folder=log_folder(wsus) if wsus else None,
            bindings=frozenset(_place(one) for one in iis.bindings(wsus)) if wsus else frozenset(),
            applications=tuple(_applications(machine, configuration, wsus)) if wsus else (),
            service_runs=iis.service_running(machine, "WsusService"),
            has_content=not (machine.document.get("wsus") or {}).get("content_on_microsoft_update", False),
            generation=_starts(machine, "recycle ", "restart ", "start site"),
            start=_starts(machine, "start site", "restart W3SVC"),
        )


def _place(binding: dict[str, Any]) -> tuple[int, str]:
    return binding["port"], binding["host_name"].lower()


def _starts(machine: Machine, *entries: str) -> tuple[Any, ...]:
    """When the machine was started, and how often something of it has been since: by the journal's ENTRIES, or how they begin."""
    starts = [entry for entry in machine.document.get("journal", []) if entry.startswith(entries)]
    return machine.document["computer"]["boot_time"], len(starts)


def _applications(machine: Machine, configuration: dict[str, Any], site: dict[str, Any]) -> list[tuple[str, Application]]:
    found = []
    for application in site["applications"]:
        pool = configuration["application_pools"].get(application.get("pool"), {})
        runs = iis.service_running(machine, "WAS") and pool.get("state", "Started") == "Started"
        paths = application.get("virtual_directories", []) if application["path"] == "/" else [application["path"]]
        for path in paths:
            flags = iis.effective_access(configuration, site["name"] + path)
            found.append((path.strip("/").lower(), Application(flags, runs)))
    return found


def _ports(machine: Machine, sites: list[dict[str, Any]]) -> tuple[Port, ...]:
    # A machine of the lab has one address: whichever its bindings name is that one, but for those that only itself can reach.
    used = [one for site in sites for one in iis.bindings(site) if not one["ip_address"].startswith("127.0.0.")]
    plain = {one["port"]: Port(one["port"], "http") for one in used if one["protocol"].lower() == "http"}
    secure = {one["port"] for one in used if one["protocol"].lower() == "https"} - set(plain)
    served = _served(machine)
    versions = _versions(machine)
    return (*plain.values(), *(_tls_port(number, served, versions) for number in sorted(secure)))


def _tls_port(number: int, served: dict[tuple[str, int], Served], versions: Versions | None) -> Port:
    here = {name: one for (name, port), one in served.items() if port == number}
    by_address = {name: one for name, one in here.items() if _is_address(name)}
    exact = [one for name, one in by_address.items() if name != "0.0.0.0"]
    by_name = tuple(sorted((name, one) for name, one in here.items() if name not in by_address))
    # An entry for one address wins over 0.0.0.0.
    return Port(number, "https", exact[0] if exact else by_address.get("0.0.0.0"), by_name, versions)


def _is_address(name: str) -> bool:
    return name.replace(".", "").isdigit() or name.startswith("[")


def _served(machine: Machine) -> dict[tuple[str, int], Served]:
    """What http.sys can serve, by address or name, and port: only certificates that are there with their key."""
    found = {}
    for entry in http_sys.read(machine):
        name, _rest, port = entry["endpoint"].rpartition(":")
        certificate = find(machine, entry["store"] or "My", entry["thumbprint"]) if entry["thumbprint"] else None
        if port.isdigit() and certificate and certificate.key_usable and certificate.key:
            found[name.lower(), int(port)] = Served((certificate.der, *_intermediates(machine, certificate.der)), certificate.key)
    return found


def _intermediates(machine: Machine, der: str) -> list[str]:
    """What Windows sends with a certificate: the intermediates of its own CA store, without the root."""
    others = {certificate_of(one.der): one.der for one in listed(machine, "CA") or []}
    chain = build_chain([certificate_of(der)], [], list(others), machine.now())
    return [others[one] for one in chain.certificates[1:]]


def _versions(machine: Machine) -> Versions | None:
    """The versions of TLS that Schannel's server side has on, from the lowest to the highest; None: none of them."""
    on = [version for number, version in VERSIONS.items() if _is_on(machine, number)]
    return (on[0], on[-1]) if on else None


def _is_on(machine: Machine, number: str) -> bool:
    key = f"{registry.SCHANNEL}\\TLS {number}\\Server"
    enabled, disabled = (registry.value(machine, key, name) for name in ("Enabled", "DisabledByDefault"))
    if enabled is None:
        return number in _ON_BY_DEFAULT if disabled is None else not disabled
    return bool(enabled)


class Site:
    """The listeners of one machine, and what they answer. Belongs to the event loop."""

    def __init__(self, machine: Machine, address: str, cold: ColdPool | None = None) -> None:
        self._machine = machine
        self._address = address
        self._cold = cold or ColdPool()
        self._snapshot = Snapshot()
        self._listeners: dict[int, tuple[Port, Listener]] = {}
        self._following = asyncio.Lock()
        self._requests = 0

    async def follow(self, now: Snapshot, stale: bool = False) -> None:
        """Serve NOW from now on. Ports that stay as they are keep their connections.

        :param stale: a certificate that was served goes on being served until the site is started anew
        :raises OSError: when a port cannot be had; the others are served
        """
        async with self._following:
            if now.generation != self._snapshot.generation:
                self._requests = 0
            wanted = {port.number: port for port in now.ports}
            if stale and now.start == self._snapshot.start:
                wanted |= {number: port for number, (port, _rest) in self._listeners.items() if number in wanted and port.has_certificate}
            self._snapshot = now
            for number, (port, listener) in list(self._listeners.items()):
                if wanted.get(number) != port:
                    await listener.close()
                    del self._listeners[number]
            failed: OSError | None = None
            for number, port in wanted.items():
                if number not in self._listeners:
                    listener = self._listener(port)
                    try:
                        await listener.open()
                    except OSError as error:
                        failed = error
                        continue
                    self._listeners[number] = (port, listener)
            if failed is not None:
                raise failed

    async def close(self) -> None:
        """Serve nothing any more."""
        await self.follow(replace(self._snapshot, ports=()))

    def _listener(self, port: Port) -> Listener:
        if port.protocol == "http":
            return Listener(self._address, port.number, self.answer)
        if port.has_certificate and port.versions is not None:
            with contextlib.suppress(ssl.SSLError):
                return Listener(self._address, port.number, self.answer, choosing_context(port.default, dict(port.by_name), port.versions))
        return Listener(self._address, port.number, self.answer, mute=True)

    async def answer(self, request: Request) -> Response:
        """Answer one request, as http.sys, IIS and WSUS do one after the other. What IIS answers is in the site's log."""
        now, began = self._snapshot, time.monotonic()
        ours = bool({(request.port, ""), (request.port, request.host)} & now.bindings)
        response, by_driver = await self._answered(request, now, ours)
        if ours and not by_driver and now.log_folder is not None:
            self._machine.site_log.add(
                Line(
                    now.log_folder,
                    self._machine.now(),
                    logged_address(self._address),
                    request.method,
                    request.path,
                    request.port,
                    logged_address(request.peer),
                    request.headers.get("user-agent"),
                    response.status,
                    response.substatus,
                    _ACCESS_DENIED if response.status in {401, 403} else 0,
                    round((time.monotonic() - began) * 1000),
                )
            )
        return response

    async def _answered(self, request: Request, now: Snapshot, ours: bool) -> tuple[Response, bool]:
        """The answer, and whether it is http.sys' own."""
        if not ours:
            return Response(200, b"another site"), False
        segments = request.path.partition("?")[0].strip("/").lower().split("/")
        application = dict(now.applications).get(segments[0])
        if application is None:
            return Response(404 if segments[0] else 200), False
        if not application.pool_runs:
            return Response(503), True
        refused = await self._refusal(application, request.tls)
        return refused or self._content(segments), False

    async def _refusal(self, application: Application, tls: bool) -> Response | None:
        if application.flags & iis.ACCESS_FLAGS["Ssl"] and not tls:
            return Response(403, b"403.4: SSL is required to view this resource.", substatus=4)
        if application.flags & iis.ACCESS_FLAGS["SslRequireCert"]:
            return Response(403, b"403.7: A client certificate is required.", substatus=7)
        self._requests += 1
        if self._requests <= self._cold.unavailable:
            return Response(503)
        if self._requests == self._cold.unavailable + 1:
            await asyncio.sleep(self._cold.seconds)
        return None

    def _content(self, segments: list[str]) -> Response:
        name, rest = segments[0], "/".join(segments[1:])
        if name in SERVICES:
            if rest != SERVICES[name]:
                return Response(404)
            if not self._snapshot.service_runs:
                return Response(503)
            if name == "apiremoting30":
                return Response(401, headers={"WWW-Authenticate": "Negotiate"}, substatus=2)
            return Response(200, b"<html><body>WSUS web service</body></html>")
        if name == "content" and not self._snapshot.has_content:
            return Response(404)
        return Response(200, b"lab", "application/octet-stream") if _FILES.get(name) == rest else Response(404)
