# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The lab: a fleet of WSUS servers in one process, each at a loopback address of its own, for the real `winrm` connection.

    with Lab(Path("tests/lab/fleets/two.yml"), folder=tmp_path, network="127.0.7.0/24") as lab:
        subprocess.run(["ansible", "-i", lab.inventory, "wsus_servers", "-m", "ansible.windows.win_ping"])
        assert lab.counts() == {"wsus01": {"ansible.windows.win_ping": 1}, "wsus02": {"ansible.windows.win_ping": 1}}

One event loop serves all listeners; modules run on a pool of threads. Nothing on the loop takes a machine's lock.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import json
import resource
import secrets
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import yaml

from .clock import Clock, Event, Schedule
from .domain_ca import DomainCA
from .engine import WindowsError, refresh_group_policies
from .faults import Drop, ServerFaults, When
from .faults import Faults as _Faults
from .fleet import Authorities, Fleet, Member, Server, documents, domain_ca, load
from .host import Host, Trip, now_text
from .machine import Machine
from .network import LabNetwork
from .site import snapshot
from .tls import Served, base64_of, write_pem
from .update_agent import Search
from .update_agent import search as search_for_updates

_USER = "lab-administrator"
_WORKERS = 48
_PATIENCE = 30.0  # seconds that the event loop may take for what another thread asks of it
_Result = TypeVar("_Result")


class LabError(Exception):
    """The lab cannot be as it was asked for, and why."""


@dataclass(frozen=True)
class RawCommand:
    """A raw command that a machine got: of win_reboot `boot time`, `restart`, `abort`, `test`; of Ansible, where it copies a file, `make folder`,
    `put file`, `remove folder`, `remove file`; or `refused` for any other."""

    server: str
    command: str


class Lab:
    """A fleet that is up while it is entered.

    :param fleet: a fleet file, or what such a file has
    :param folder: where the inventory and the CA's certificate go; made where it is not there
    :param network: the servers' addresses, IPv4 loopback; two labs at one time need two networks
    :param log: a file that gets one line of JSON for every trip
    :param ahead: how far its clock is ahead of the real time when it comes up
    :raises FleetError: for a fleet that cannot be
    :raises LabError: on entering, for an address or port that cannot be had

    `inventory` (a file), `ca_file` (the root of the lab's CA), `ca_chain_file` (its issuing CA and its root), `other_ca_file` (of the one that
    nobody trusts), `authorities` (to issue by hand), `trips`, `raw_commands`, `searches` (every search for updates that has ended), `clock`.
    """

    def __init__(
        self, fleet: Path | Mapping[str, Any], *, folder: Path, network: str = "127.0.1.0/24", log: Path | None = None, ahead: timedelta = timedelta()
    ) -> None:
        self.fleet: Fleet = load(fleet)
        self.folder = folder
        self.inventory = folder / "inventory.yml"
        self.authorities = Authorities.create()
        self.ca_file = folder / "ca.pem"
        self.ca_chain_file = folder / "ca-chain.pem"
        self.other_ca_file = folder / "other-ca.pem"
        self.trips: list[Trip] = []
        self.raw_commands: list[RawCommand] = []
        self.searches: list[Search] = []
        self.clock = Clock(ahead)
        self.faults = _Faults()
        self._ca = domain_ca(self.fleet, self.authorities)
        if self._ca is not None:
            self._ca.clock = self.clock.now
        self._network = network
        self._log_file = log
        self._lock = threading.Lock()
        self._hosts: dict[str, Host] = {}
        self._following: dict[int, tuple[Host, threading.Lock]] = {}
        self._stopping = threading.Event()
        self._password = secrets.token_urlsafe(18)

    # --- up and down -----------------------------------------------------------------------------------------------------

    def __enter__(self) -> Lab:
        self.start()
        return self

    def __exit__(self, *_rest: object) -> None:
        self.stop()

    def start(self) -> None:
        """Bring the fleet up. Everything listens when this returns."""
        addresses = self._addresses()
        _raise_file_limit(8 * len(addresses) + 256)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="lab", daemon=True)
        self._workers = ThreadPoolExecutor(_WORKERS, thread_name_prefix="lab")
        self._thread.start()
        self._schedule = Schedule(self.fleet.clients.values(), self.clock.now())
        self._network_inside = names = LabNetwork(self, self.fleet.synchronization_seconds, self._ca)
        try:
            for name, document in documents(self.fleet, self.authorities, self.clock.now()).items():
                machine = Machine(document, name=name, user=_USER, network=names, wait=self._wait, clock=self.clock.now)
                member = self.fleet.members[name]
                if isinstance(member, Server):
                    machine.site_log.late = timedelta(seconds=member.log_seconds)
                names.join(machine, addresses[name], self._names(member))
                host = Host(
                    self,
                    member,
                    machine,
                    addresses[name],
                    winrm_port=self.fleet.winrm_port,
                    context=self._winrm_certificate(member, addresses[name]).context(),
                    credentials=(_USER, self._password),
                    restart_seconds=self.fleet.restart_seconds,
                    workers=self._workers,
                    loop=self._loop,
                )
                self._hosts[name] = host
                self._following[id(machine)] = (host, threading.Lock())
                self.faults.arm(name, member.faults)
            self._on_loop(self._power_on())
        except BaseException:
            self.stop()
            raise
        # Only now: a lab that could not come up leaves the files of the one that is in its place alone.
        self.folder.mkdir(parents=True, exist_ok=True)
        write_pem(self.ca_file, [self.authorities.lab.chain[-1]])
        write_pem(self.ca_chain_file, self.authorities.lab.chain)
        write_pem(self.other_ca_file, [self.authorities.other.chain[-1]])
        self._write_inventory()

    def stop(self) -> None:
        """Take the fleet down."""
        self._stopping.set()
        self._on_loop(self._power_off())
        self._workers.shutdown(wait=False, cancel_futures=True)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE)
        self._loop.close()

    def _addresses(self) -> dict[str, str]:
        try:
            network = ipaddress.IPv4Network(self._network)
        except ValueError as error:
            raise LabError(f"{self._network} is no IPv4 network: {error}") from error
        if not network.is_loopback:
            raise LabError(f"The lab's servers have loopback addresses, such as 127.0.1.0/24, and not {network}.")
        members = self.fleet.members
        if network.num_addresses - 2 < len(members):
            raise LabError(f"{network} is too small for {len(members)} machines.")
        return {name: str(address) for name, address in zip(members, network.hosts(), strict=False)}

    def _names(self, member: Member) -> list[str]:
        full = [self.fleet.host_name(member), *([self.fleet.known_as(member)] if isinstance(member, Server) else [])]
        return [member.name, *full, *(name.partition(".")[0] for name in full)]

    def _winrm_certificate(self, member: Member, address: str) -> Served:
        issued = self.authorities.lab.issue(self.fleet.host_name(member), ip_addresses=[address])
        return Served((issued.der_base64, *(base64_of(one) for one in issued.intermediates)), issued.key_pem)

    async def _power_on(self) -> None:
        for host in self._hosts.values():
            if self.faults.of(host.server.name).unreachable:
                host.away = True
                continue
            try:
                await host.power_on()
            except OSError as error:
                raise LabError(self._port_message(host, error)) from error

    def _port_message(self, host: Host, error: OSError) -> str:
        ports = f"{self.fleet.winrm_port} (WinRM)"
        if isinstance(host.server, Server):
            ports += f" and {', '.join(str(port) for port in host.server.ports)} (site)"
        where = f"{host.server.name} cannot listen at {host.address} on its ports {ports}: {error.strerror or error}."
        if error.errno == errno.EACCES or "permission" in str(error).lower():
            return f"{where} Ports below 1024 are for root, or for everyone after: sysctl net.ipv4.ip_unprivileged_port_start=80"
        if "in use" in str(error).lower():
            return f"{where} Another lab? Choose another network, such as 127.0.2.0/24."
        return where

    async def _power_off(self) -> None:
        for host in self._hosts.values():
            await host.power_off()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _on_loop(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE)

    def _write_inventory(self) -> None:
        hosts = {name: self._host_variables(host) for name, host in self._hosts.items() if host.server.in_inventory}
        files = {"{ca_file}": str(self.ca_file.resolve()), "{ca_chain_file}": str(self.ca_chain_file.resolve())}
        variables = {
            "ansible_connection": "winrm",
            "ansible_port": self.fleet.winrm_port,
            "ansible_user": _USER,
            "ansible_password": self._password,
            "ansible_winrm_transport": "basic",
            "ansible_winrm_ca_trust_path": str(self.ca_file.resolve()),
            "https_server_ca_file": str(self.ca_file.resolve()),
        }
        self.inventory.touch(mode=0o600)
        groups = {"wsus_servers": self.fleet.servers, "wsus_clients": self.fleet.clients}
        content = {
            group: {"hosts": {name: hosts[name] for name in members if name in hosts}, "vars": {**variables, **_filled(self.fleet.variables, files)}}
            for group, members in groups.items()
            if members
        }
        self.inventory.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")

    def _host_variables(self, host: Host) -> dict[str, Any]:
        if not isinstance(host.server, Server):
            return {"ansible_host": host.address}
        variables = {"ansible_host": host.address, "https_server_check_address": host.address}
        if host.server.upstream is not None:
            upstream = self.fleet.servers[host.server.upstream]
            if upstream.in_inventory:
                variables["wsus_upstream"] = upstream.name
            else:
                variables["wsus_upstream_fqdn"] = self.fleet.known_as(upstream)
        if host.server.fqdn is not None:
            variables["wsus_fqdn"] = host.server.fqdn
        return variables

    # --- for tests -------------------------------------------------------------------------------------------------------

    @property
    def ca(self) -> DomainCA:
        """The enterprise CA of the fleet's domain.

        :raises LabError: where it has none
        """
        if self._ca is None:
            raise LabError("The fleet has no `ca`.")
        return self._ca

    def machine(self, name: str) -> Machine:
        """A machine of the fleet. Hold its lock while reading its document; to change it, use `edit`."""
        return self._hosts[name].machine

    def address(self, name: str) -> str:
        """A machine's address."""
        return self._hosts[name].address

    @contextmanager
    def edit(self, name: str) -> Iterator[dict[str, Any]]:
        """A machine's document, to be changed by hand; its listeners follow at the end."""
        machine = self.machine(name)
        with machine.lock:
            yield machine.document
        self.changed(machine)

    def files(self, name: str) -> dict[str, bytes]:
        """The files that a controller put on a machine and that are still there, by path."""
        machine = self.machine(name)
        with machine.lock:
            return machine.disk.files()

    def search(self, name: str) -> Search:
        """Have a machine search for updates by itself, now; how that went."""
        done = search_for_updates(self.machine(name), self._network_inside)
        self.searched(done)
        return done

    def refresh(self, name: str) -> None:
        """Have a machine refresh its group policies, now.

        :raises WindowsError: where no domain controller answers it
        """
        machine = self.machine(name)
        with machine.lock:
            refresh_group_policies(machine)

    def logs(self, name: str) -> dict[str, str]:
        """What the WSUS site of a server has written into its logs, by path."""
        machine = self.machine(name)
        return machine.site_log.files(machine.now())

    def purge_logs(self, name: str, before: date) -> None:
        """Remove the logs of the days before one."""
        machine = self.machine(name)
        machine.site_log.files(machine.now())
        machine.site_log.purge(before)

    def advance(self, hours: float = 0.0, *, until: datetime | None = None) -> None:
        """Let so many hours go by, or the time until then, at once: what the clients do in it they do for real, in order, one after the other.

        Clients search every `searches` hours, refresh their group policies every 90 to 120 minutes, and are away when they are. A client that
        is away refreshes nothing; the search that it missed it makes up for when it is back.
        """
        target = until if until is not None else self.clock.now() + timedelta(hours=hours)
        while not self._stopping.is_set() and (event := self._schedule.next(target)) is not None:
            self.clock.set_forward(event.when)
            self._happen(event)
        self.clock.set_forward(target)

    def _happen(self, event: Event) -> None:
        host = self._hosts[event.client]
        if event.what == "leave":
            host.away = True
            self._on_loop(host.power_off())
        elif event.what == "return":
            if not self.faults.of(event.client).unreachable:
                self._on_loop(host.power_on())
        elif host.away:
            return
        elif event.what == "search":
            self.search(event.client)
        else:
            with suppress(WindowsError):
                self.refresh(event.client)

    def counts(self) -> dict[str, dict[str, int]]:
        """How many trips there were, by server and module."""
        found: dict[str, Counter[str]] = defaultdict(Counter)
        for trip in list(self.trips):
            found[trip.server][trip.module] += 1
        return {server: dict(modules) for server, modules in found.items()}

    def arm(self, server: str, **faults: Any) -> None:
        """Arm faults for a server, in place of those that it had: the keys of `ServerFaults`.

        lab.arm("wsus02", drop={"when": "during", "changes": 2}); lab.arm("wsus02", changes={"commit iis": "Access is denied."})
        """
        host = self._hosts[server]
        self._disarm(host)
        armed = ServerFaults.of(faults)
        self.faults.arm(server, armed)
        if armed.changes:
            with host.machine.lock:
                host.machine.document.setdefault("faults", {}).update(armed.changes)
        if armed.unreachable:
            host.away = True
            self._on_loop(host.power_off())

    def cut(self, trip: int, when: When, changes: int = 0) -> None:
        """Drop the TRIP-th module from now on (1 is the next), before, during (after so many CHANGES) or after it, and all that comes
        after that, until `heal`."""
        self.faults.cut(trip, Drop(when, changes))

    def heal(self, server: str | None = None) -> None:
        """Disarm a server's faults, or all; machines that stayed away come back, as after a restart."""
        for host in self._hosts.values() if server is None else [self._hosts[server]]:
            self._disarm(host)
        self.faults.heal(server)

    def _disarm(self, host: Host) -> None:
        armed = self.faults.of(host.server.name)
        self.faults.heal(host.server.name)
        with host.machine.lock:
            for entry in armed.changes or {}:
                host.machine.document.get("faults", {}).pop(entry, None)
        if armed.stale_site:
            self.changed(host.machine)
        if host.away:
            if armed.no_return:
                host.boot()
            self._on_loop(host.power_on())

    def _wait(self, seconds: float) -> None:
        """How machines spend time: no longer than the lab is up."""
        self._stopping.wait(seconds)

    # --- what the rest of the lab asks ----------------------------------------------------------------------------------

    def changed(self, machine: Machine) -> None:
        """A machine's document may be another: its listeners follow before this returns. Not on the event loop."""
        host, turn = self._following[id(machine)]
        if self._stopping.is_set():
            return
        with turn:
            self._on_loop(host.follow(snapshot(machine)))

    def searched(self, done: Search) -> None:
        """A search has ended."""
        with self._lock:
            self.searches.append(done)

    def in_background(self, work: Callable[[], None], after: float) -> None:
        """Do WORK on a thread after so many seconds."""
        self._loop.call_soon_threadsafe(lambda: self._loop.call_later(after, self._workers.submit, work))

    def new_trip(self, server: str, module: str) -> Trip:
        with self._lock:
            trip = Trip(len(self.trips) + 1, server, module, started=now_text())
            self.trips.append(trip)
        return trip

    def trip_ended(self, trip: Trip) -> None:
        self._log({"kind": "module", **trip.record()})

    def raw_command(self, server: str, command: str) -> None:
        self.raw_commands.append(RawCommand(server, command))
        self._log({"kind": "raw", "server": server, "command": command, "started": now_text()})

    def _log(self, record: dict[str, Any]) -> None:
        if self._log_file is not None:
            with self._lock, self._log_file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")


def _filled(value: Any, files: Mapping[str, str]) -> Any:
    """VALUE with the names of FILES in its texts replaced by their paths."""
    if isinstance(value, Mapping):
        return {name: _filled(one, files) for name, one in value.items()}
    if isinstance(value, list):
        return [_filled(one, files) for one in value]
    if isinstance(value, str):
        for name, path in files.items():
            value = value.replace(name, path)
    return value


def _raise_file_limit(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
