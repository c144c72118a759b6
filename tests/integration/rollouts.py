# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the tests of the rollout ask of a lab: who serves whom over what, and what a run said and did, server by server."""

from __future__ import annotations

import hashlib
import re
import socket
import ssl
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import yaml

from tests.integration.controller import Controller, Run
from tests.lab.host import Trip
from tests.lab.lab import Lab

ROLLOUT = "securepatch.wsus.rollout"
RENEWAL = "securepatch.wsus.renew_certificates"
CHANGE = "securepatch.wsus.wsus_change"
QUICK = {"https_server_restart": "services", "https_server_cold_seconds": 2, "https_server_check_timeout": 3}
#: The five services that must require TLS [BP, CFG], each with a page of its own.
FIVE = {
    "ApiRemoting30": "webservice.asmx",
    "ClientWebService": "client.asmx",
    "DssAuthWebService": "dssauthwebservice.asmx",
    "ServerSyncWebService": "serversyncwebservice.asmx",
    "SimpleAuthWebService": "simpleauth.asmx",
}


def rollout(fleet: Controller, *arguments: str, **variables: Any) -> Run:
    """Run the rollout with quick restarts. Whatever happens, no host is unreachable to Ansible, and nobody sees a traceback."""
    run = fleet.playbook(ROLLOUT, *arguments, **{**QUICK, **variables})
    assert not run.unreachable, run.output
    assert "Traceback" not in run.output
    assert "Unhandled exception" not in run.output
    return run


def renewal(fleet: Controller, *arguments: str, **variables: Any) -> Run:
    """Run the renewal of certificates. Whatever happens, no host is unreachable to Ansible, no machine is restarted, and nobody sees a
    traceback."""
    run = fleet.playbook(RENEWAL, *arguments, **{**QUICK, **variables})
    assert not run.unreachable, run.output
    assert "Traceback" not in run.output
    assert "Unhandled exception" not in run.output
    assert [one for one in fleet.lab.raw_commands if one.command in {"restart", "boot time", "refused"}] == []
    return run


def set_variables(lab: Lab, name: str, **variables: Any) -> None:
    """Give a host of the inventory more variables."""
    inventory = yaml.safe_load(lab.inventory.read_text())
    group = next(group for group in inventory.values() if name in group["hosts"])
    group["hosts"][name] |= variables
    lab.inventory.write_text(yaml.safe_dump(inventory, sort_keys=False))


# --- what the servers serve ------------------------------------------------------------------------------------------


def answers(lab: Lab, name: str, port: int, path: str, *, tls: bool, host_name: str | None = None) -> int | None:
    """The status that a server answers a GET with, from outside; None where it does not answer, or not with a certificate for that name."""
    called = host_name or lab.fleet.known_as(lab.fleet.servers[name])
    try:
        with socket.create_connection((lab.address(name), port), 5) as plain:
            if not tls:
                return _get(plain, called, path)
            trust = ssl.create_default_context(cafile=str(lab.ca_file))
            with trust.wrap_socket(plain, server_hostname=called) as connection:
                return _get(connection, called, path)
    except OSError:
        return None


def _get(connection: socket.socket, host: str, path: str) -> int | None:
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    with connection.makefile("rb") as answer:
        status = answer.readline().split()
    return int(status[1]) if len(status) > 1 else None


def services(lab: Lab, name: str, *, tls: bool) -> set[int | None]:
    """What the five services of a server answer over HTTP, or over TLS, on its own ports: {200} where all do.

    ApiRemoting30 wants to know who asks, and that it asks is its answer.
    """
    port = lab.fleet.servers[name].ports[1 if tls else 0]
    found = {service: answers(lab, name, port, f"/{service}/{page}", tls=tls) for service, page in FIVE.items()}
    return {200 if (service, status) == ("ApiRemoting30", 401) else status for service, status in found.items()}


def offers(lab: Lab, name: str) -> bool:
    """Whether the five answer over TLS and over HTTP."""
    return services(lab, name, tls=True) == services(lab, name, tls=False) == {200}


def requires(lab: Lab, name: str) -> bool:
    """Whether the five answer over TLS alone, and clients still get their files over HTTP."""
    files = answers(lab, name, lab.fleet.servers[name].ports[0], "/Content/anonymousCheckFile.txt", tls=False)
    return (services(lab, name, tls=True), services(lab, name, tls=False), files) == ({200}, {403}, 200)


def source(lab: Lab, name: str) -> dict[str, Any]:
    """From where a server synchronizes: microsoft_update, name, port, ssl."""
    with lab.machine(name).lock:
        return dict(lab.machine(name).document["wsus"]["upstream"])


def last_synchronization(lab: Lab, name: str) -> str:
    """How the last synchronization of a server ended."""
    with lab.machine(name).lock:
        return str(lab.machine(name).document["wsus"]["last_synchronization"]["result"])


def locked_out(lab: Lab) -> list[str]:
    """Who cannot work any more: servers whose clients get no answer, and downstream servers whose upstream does not answer them."""
    found = []
    for name, server in lab.fleet.servers.items():
        plain, secure = services(lab, name, tls=False), services(lab, name, tls=True)
        # Clients have one URL for all services: each over HTTP, or each over TLS.
        if plain != {200} and secure != {200}:
            found.append(f"the clients of {name}: over HTTP {plain}, over TLS {secure}")
        if server.upstream is None:
            continue
        upstream = source(lab, name)
        for service in ("ServerSyncWebService", "DssAuthWebService"):
            path = f"/{service}/{FIVE[service]}"
            status = answers(lab, server.upstream, upstream["port"], path, tls=upstream["ssl"], host_name=upstream["name"])
            if status != 200:
                found.append(f"{name}, which synchronizes from {upstream}: {service} answers {status}")
    return found


def served(lab: Lab, name: str) -> str | None:
    """The thumbprint of the certificate that a server shows on its HTTPS port, good or bad; None where it shows none."""
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    called = lab.fleet.known_as(lab.fleet.servers[name])
    try:
        with (
            socket.create_connection((lab.address(name), lab.fleet.servers[name].ports[1]), 5) as plain,
            anybody.wrap_socket(plain, server_hostname=called) as connection,
        ):
            return hashlib.sha1(connection.getpeercert(binary_form=True) or b"", usedforsecurity=False).hexdigest().upper()
    except OSError:
        return None


def bound(lab: Lab, name: str) -> str | None:
    """The thumbprint of the certificate that the WSUS site of a server binds."""
    with lab.machine(name).lock:
        bindings = lab.machine(name).document["iis"]["sites"][0]["bindings"]
        return next((one.get("certificate_hash") for one in bindings if one["protocol"] == "https"), None)


def store(lab: Lab, name: str, which: str = "My") -> set[str]:
    """The thumbprints in a store of a machine."""
    with lab.machine(name).lock:
        return set(lab.machine(name).document["certificates"].get(which, {}))


def marks(lab: Lab, name: str) -> dict[str, str]:
    """The marks that the collection left on a machine."""
    with lab.machine(name).lock:
        found = lab.machine(name).document["registry"].get(r"HKLM:\SOFTWARE\securepatch.wsus", {})
        return {mark: str(value["data"]) for mark, value in found.items()}


def works_over_tls(lab: Lab, name: str) -> bool:
    """Whether the five answer over TLS, with a certificate for the server's name that the root of the lab's CA is above."""
    return services(lab, name, tls=True) == {200}


@contextmanager
def watched_over_tls(lab: Lab, names: Sequence[str], *, every: float = 0.2) -> Iterator[dict[str, set[str | None]]]:
    """While this is entered, see again and again that these servers work over TLS. What is yielded has, at the end, by server every
    thumbprint that was shown; None among them where a server did not work when it was asked, and a moment later either."""
    shown: dict[str, set[str | None]] = {name: set() for name in names}
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(every):
            for name in names:
                if not works_over_tls(lab, name):
                    # What is being bound at this moment has to be there when it is asked again.
                    time.sleep(0.1)
                    if not works_over_tls(lab, name):
                        shown[name].add(None)
                shown[name] |= {served(lab, name)} - {None}

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield shown
    finally:
        stop.set()
        thread.join()


@contextmanager
def watched(lab: Lab, *, every: float = 0.3) -> Iterator[list[str]]:
    """While this is entered, ask again and again who is locked out; the list has what was found."""
    found: list[str] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(every):
            if problems := locked_out(lab):
                # What is being changed at this moment may be on its way: it has to hold when it is asked again.
                time.sleep(0.1)
                found.extend(problem for problem in locked_out(lab) if problem in problems)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()


# --- what a run said and did -----------------------------------------------------------------------------------------


def plan(run: Run) -> list[str]:
    """The lines of the plan."""
    return list(run.of("Plan the waves")["ansible_facts"]["wsus_plan"]["lines"])


def waves(run: Run) -> list[list[str]]:
    """The waves that the plan showed."""
    return [line.partition(": ")[2].split(", ") for line in plan(run) if re.match(r"Wave \d+: ", line)]


def said(run: Run) -> str:
    """What stands below the table at the end, as one line; where the report is, stands last and is left out."""
    lines = [line for line in run.of("Show every server")["msg"] if not line.startswith("The report: ")]
    return " ".join(" ".join(lines[lines.index("") + 1 :]).split())


def table(run: Run) -> dict[str, tuple[str, str, str]]:
    """The table at the end, by server: was, is, what happened."""
    lines = run.of("Show every server")["msg"]
    header, rows = lines[0], lines[1 : lines.index("")]
    at = [header.index(word) for word in re.split(r" {2,}", header)]
    cut = [[row[start:end].strip() for start, end in zip(at, [*at[1:], None], strict=True)] for row in rows]
    return {name: (was, now, happened) for name, was, now, happened in cut}


def changes(run: Run) -> dict[str, list[str]]:
    """What changed on each server, in sentences and in order, as the tasks returned it (in check mode: what would have)."""
    found: dict[str, list[str]] = defaultdict(list)
    for one in run.results:
        if one["status"] in {"ok", "item"} and one["action"].startswith("securepatch.wsus.") and "results" not in one["result"]:
            item = one["result"].get("item")
            server = item if isinstance(item, str) else item["item"] if isinstance(item, Mapping) else one["host"]
            found[server] += one["result"].get("changes") or []
    return {name: sentences for name, sentences in found.items() if sentences}


def listed_changes(run: Run) -> dict[str, list[str]]:
    """The changes that stand below the table in check mode, by server."""
    text = "\n".join(run.of("Show every server")["msg"])
    parts = re.findall(r"^(\S+):\n((?:(?:-| ) .*\n?)+)", text, re.MULTILINE)
    return {name: [" ".join(one.split()) for one in re.split(r"^-", lines, flags=re.MULTILINE)[1:]] for name, lines in parts}


def trips(lab: Lab, since: int = 0) -> Sequence[Trip]:
    """The trips after the first SINCE."""
    return list(lab.trips)[since:]


def change_trips(lab: Lab, since: int = 0) -> dict[str, list[Trip]]:
    """The trips that changed something, by server."""
    found: dict[str, list[Trip]] = defaultdict(list)
    for trip in trips(lab, since):
        if trip.module == CHANGE:
            found[trip.server].append(trip)
    return found


def documents(lab: Lab) -> dict[str, str]:
    """Every machine's document, to be compared later."""
    found = {}
    for name in lab.fleet.members:
        with lab.machine(name).lock:
            found[name] = repr(lab.machine(name).document)
    return found


def assert_nothing_to_do(fleet: Controller, *arguments: str, **variables: Any) -> None:
    """A run that finds everything done: one trip to each server of the inventory, no change, no task that says changed."""
    before, since = documents(fleet.lab), len(fleet.lab.trips)
    run = rollout(fleet, *arguments, **variables)
    assert run.code == 0, run.output
    assert run.changed == []
    known = [name for name, server in fleet.lab.fleet.servers.items() if server.in_inventory]
    assert sorted(trip.server for trip in trips(fleet.lab, since)) == sorted(known), "one trip for each"
    assert {happened for _was, _now, happened in table(run).values()} == {"finished already, nothing to do"}
    assert documents(fleet.lab) == before


def masked(found: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Changes by server, sorted, without what tells one certificate from another: check mode cannot know the one that is still to come."""
    unknown = r"\b[0-9A-F]{40}\b|that is still to come"
    return {name: sorted(re.sub(unknown, "...", sentence) for sentence in sentences) for name, sentences in found.items()}


def assert_nothing_due(fleet: Controller, *arguments: str, **variables: Any) -> None:
    """A renewal that finds nothing due: one trip to each server, none to a client, no change, no task that says changed."""
    before, since = documents(fleet.lab), len(fleet.lab.trips)
    run = renewal(fleet, *arguments, **variables)
    assert run.code == 0, run.output
    assert run.changed == []
    known = [name for name, server in fleet.lab.fleet.servers.items() if server.in_inventory]
    assert sorted(trip.server for trip in trips(fleet.lab, since)) == sorted(known), "one trip for each"
    assert waves(run) == []
    assert {happened for _ended, _ends, happened in table(run).values()} == {"nothing to do"}
    assert said(run) == "Nothing is left to do."
    assert documents(fleet.lab) == before
