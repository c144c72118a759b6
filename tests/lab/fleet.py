# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A fleet from a small YAML file: which servers there are, who synchronizes from whom, and what is wrong with them.

    domain: corp.example
    ca: {mode: pending}
    defaults: {trusts_ca: true}
    servers:
      wsus01: {}
      wsus02: {upstream: wsus01, replica: true, certificate: expired}
    clients:
      client01: {trusts_ca: false}
      pc[01:50]: {searches: 22}
    group_policies:
      WSUS clients: {url: "http://wsus01.corp.example:8530"}

`tests/lab/fleets` has examples, and `Fleet`, `Member`, `Server`, `Client`, `GroupPolicy` and `domain_ca.Settings` name every key. `defaults` are
every server's. A range stands for many clients that are alike, as it does in Ansible's inventories. An unknown key is refused by name.
"""

from __future__ import annotations

import copy
import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints
from uuid import NAMESPACE_DNS, uuid5

import yaml
from cryptography.x509.oid import NameOID

from .authority import Authority, Issued, KeyKind, SignatureKind
from .domain_ca import DomainCA, Settings
from .engine import apply_changes, clients, refresh_group_policies, registry
from .faults import ServerFaults
from .machine import Machine, format_time
from .site import ColdPool
from .tls import VERSIONS, base64_of, thumbprint

Stage = Literal["http", "offered", "required"]
Document = dict[str, Any]

#: The five services that must require TLS [BP, CFG], as IIS writes them.
REQUIRED = ("ApiRemoting30", "ClientWebService", "DssAuthWebService", "ServerSyncWebService", "SimpleAuthWebService")
_APPLICATIONS = (*REQUIRED, "Inventory", "ReportingWebService")
_PRODUCTS = {"14393": "2016", "17763": "2019", "20348": "2022", "26100": "2025"}
_COMPUTER = r"HKLM:\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters"
_WINDOWS = r"HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion"
_WISH_VALUES: dict[str, tuple[str, ...]] = {
    "key": get_args(KeyKind),
    "signature": get_args(SignatureKind),
    "private_key": ("ok", "none", "lost"),
    "authority": ("lab", "other"),
}


class FleetError(ValueError):
    """A fleet file that cannot be, and why."""


@dataclass(frozen=True)
class Wish:
    """A certificate that a server is to have in its Personal store.

    :param common_name: by default the server's name; `dns_names` are the SAN, by default the same
    :param days: how many days it is still valid; a negative number is how long ago it ended
    :param private_key: `ok`, `none` (there is none) or `lost` (there should be one)
    :param authority: who issued it: `lab`, whose root everyone trusts, or `other`, whose root nobody does
    """

    common_name: str | None = None
    dns_names: tuple[str, ...] | None = None
    days: int = 365
    key: KeyKind | None = None
    signature: SignatureKind = "sha256"
    private_key: Literal["ok", "none", "lost"] = "ok"
    authority: Literal["lab", "other"] = "lab"
    server_authentication: bool = True
    friendly_name: str = "WSUS"


def _kinds(fqdn: str, domain: str) -> dict[str, list[Wish]]:
    other, wildcard = f"other.{domain}", f"*.{domain}"
    return {
        "ok": [Wish()],
        "none": [],
        "expired": [Wish(days=-3)],
        "other_name": [Wish(common_name=other, dns_names=(other,))],
        "no_key": [Wish(private_key="none")],
        "lost_key": [Wish(private_key="lost")],
        "sha1": [Wish(signature="sha1")],
        "rsa1024": [Wish(key="rsa1024")],
        "untrusted_ca": [Wish(authority="other")],
        "wildcard": [Wish(common_name=wildcard, dns_names=(wildcard,))],
        "two": [Wish(days=200, friendly_name="WSUS 2025"), Wish(days=380, friendly_name="WSUS 2026")],
        "short_lived": [Wish(days=7)],
    }


@dataclass(frozen=True)
class Member:
    """One machine of a fleet: what servers and clients have in common.

    :param build: BUILD.REVISION of its Windows, in quotes
    :param trusts: whose roots are in its Root store: `lab`, `other`. `trusts_ca: false` in a file is none
    :param intermediates: whether its CA store has the issuing CAs' certificates, which trusts nothing by itself: it is what Windows builds a
        chain from, and sends along
    :param domain_member: whether it is in the fleet's domain
    :param group_policies: which of the domain's policies apply to it, by name, the one that wins first; None: to a client all of them, in the
        fleet's order, to a server none
    :param group_policy_cmdlets: whether the Group Policy cmdlets are installed
    :param may_enroll: whether the CA's template grants Enroll to its computer account
    :param state: merged into the machine's document, mappings by key, all else in place of what is there
    :param in_inventory: False for a machine that is there and that the inventory does not know
    """

    name: str
    build: str = "20348.4294"
    trusts: tuple[str, ...] = ("lab",)
    intermediates: bool = True
    domain_member: bool = True
    group_policies: tuple[str, ...] | None = None
    group_policy_cmdlets: bool = True
    may_enroll: bool = True
    state: Mapping[str, Any] = field(default_factory=dict)
    in_inventory: bool = True
    faults: ServerFaults = field(default_factory=ServerFaults)


@dataclass(frozen=True)
class Server(Member):
    """One server of a fleet.

    :param upstream: the server it synchronizes from; None: from Microsoft Update
    :param fqdn: the name it is known by, where that is not the one that Windows reports
    :param ports: of HTTP and HTTPS
    :param certificate: a kind (`ok`, `none`, `expired`, `other_name`, `no_key`, `lost_key`, `sha1`, `rsa1024`, `untrusted_ca`,
        `wildcard`, `two`, `short_lived`), a mapping as `Wish` has it, or a list of either
    :param tls: the versions of TLS that its ports take, `["1.0", "1.1", "1.2"]`, without a gap; Schannel's settings in its registry say the
        same. None: 1.2 and 1.3, and the registry says nothing
    :param stage: how far it is already: `http`, `offered` (bound and configuressl run), `required`
    :param log_seconds: how late a request is in the site's log; IIS takes up to a minute
    :param downstream_listed: whether its upstream already lists it, with a synchronization an hour ago
    """

    upstream: str | None = None
    replica: bool = False
    fqdn: str | None = None
    ports: tuple[int, int] = (8530, 8531)
    site_name: str = "WSUS Administration"
    site_id: int = 1634923
    certificate: Any = "ok"
    tls: tuple[str, ...] | None = None
    stage: Stage = "http"
    downstream_listed: bool = True
    configuration_manager: bool = False
    cold_pool: ColdPool = field(default_factory=ColdPool)
    log_seconds: float = 0.0


@dataclass(frozen=True)
class Client(Member):
    """One machine without WSUS and IIS. What its group policies say, it has from the start on.

    :param told: the server that its own policy names, where no group policy does
    :param mdm_server: the server that MDM names
    :param searches: hours from one search for updates of its own to the next, in the lab's time; None: it does not search by itself
    :param away: when it is away, in days from the lab's start on: a list of pairs, from and to
    """

    told: str | None = None
    mdm_server: str | None = None
    searches: float | None = None
    away: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class GroupPolicy:
    """One group policy of the fleet's domain, which every machine in it finds.

    :param url: the server that it names for clients, as the console would set it; None: it names none
    :param status: which half of it is switched on, as the cmdlets call it
    :param values: further settings, each with key (below `HKLM\\SOFTWARE\\Policies\\Microsoft\\Windows\\WindowsUpdate`, empty for that one), name,
        type, data, and where the policy takes it away from clients `action: Delete`
    :param access: what whoever runs the cmdlets may do with it
    """

    name: str
    url: str | None = None
    status: Literal["AllSettingsEnabled", "AllSettingsDisabled", "ComputerSettingsDisabled", "UserSettingsDisabled"] = "AllSettingsEnabled"
    values: tuple[Mapping[str, Any], ...] = ()
    access: Literal["edit", "read", "none"] = "edit"


@dataclass(frozen=True)
class Fleet:
    """A fleet.

    :param clients: machines that are no WSUS servers
    :param ca: the enterprise CA of the domain, where it has one; `{}` in a file is one that issues
    :param group_policies: those of the domain. All machines in it have the same ones: what one of them changes, the others find
    :param variables: become group variables of servers and clients; `{ca_file}` and `{ca_chain_file}` in their texts become the lab's files
    :param key: of certificates that do not say otherwise; EC P-256 because it is made fast
    :param winrm_port: where every server's WinRM listens, HTTPS
    :param synchronization_seconds: how long a synchronization takes
    :param restart_seconds: how long a machine is away when it restarts
    """

    servers: Mapping[str, Server]
    clients: Mapping[str, Client] = field(default_factory=dict)
    ca: Settings | None = None
    group_policies: Mapping[str, GroupPolicy] = field(default_factory=dict)
    variables: Mapping[str, Any] = field(default_factory=dict)
    domain: str = "corp.example"
    key: KeyKind = "ec256"
    winrm_port: int = 5986
    synchronization_seconds: float = 0.3
    restart_seconds: float = 1.0

    @property
    def members(self) -> dict[str, Member]:
        """All machines, servers first."""
        return {**self.servers, **self.clients}

    def host_name(self, member: Member) -> str:
        """The FQDN that Windows reports."""
        return f"{member.name}.{self.domain}".lower()

    def known_as(self, server: Server) -> str:
        """The FQDN that the server is known by."""
        return (server.fqdn or self.host_name(server)).lower()


# --- reading ---------------------------------------------------------------------------------------------------------


def load(source: Path | Mapping[str, Any]) -> Fleet:
    """A fleet from a YAML file, or from what such a file has.

    :raises FleetError: for a file that cannot be read, an unknown key, a value that cannot be; it names key and server
    """
    if isinstance(source, Path):
        try:
            given = yaml.safe_load(source.read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError) as error:
            raise FleetError(f"The fleet file {source} cannot be read: {error}") from error
    else:
        given = source
    if not isinstance(given, Mapping):
        raise FleetError("A fleet is a mapping with `servers`.")
    known = {one.name for one in dataclasses.fields(Fleet)} | {"defaults"}
    _refuse_unknown(given, known, "the fleet")
    servers = given.get("servers")
    if not isinstance(servers, Mapping) or not servers:
        raise FleetError("The fleet has no `servers`.")
    defaults = given.get("defaults") or {}
    rest = {name: value for name, value in given.items() if name not in {"servers", "clients", "ca", "group_policies", "variables", "defaults"}}
    if rest.get("key", "ec256") not in get_args(KeyKind):
        raise FleetError(f"key: there are {', '.join(get_args(KeyKind))}, not {rest['key']!r}")
    fleet = Fleet(
        servers={str(name): _server(str(name), _merged(defaults, own or {})) for name, own in servers.items()},
        clients={one: _client(one, own or {}) for name, own in _mapping(given, "clients").items() for one in _names(str(name))},
        ca=_ca(given.get("ca")),
        group_policies={str(name): _group_policy(str(name), own or {}) for name, own in _mapping(given, "group_policies").items()},
        variables=_mapping(given, "variables"),
        **rest,
    )
    twice = sorted(set(fleet.servers) & set(fleet.clients))
    if twice:
        raise FleetError(f"{', '.join(twice)}: a machine is either a server or a client")
    for server in fleet.servers.values():
        if server.upstream is not None and server.upstream not in fleet.servers:
            raise FleetError(f"{server.name}: upstream {server.upstream} is not a server of this fleet")
        _wishes(fleet, server)
    for member in fleet.members.values():
        missing = [one for one in member.group_policies or () if one not in fleet.group_policies]
        if missing:
            raise FleetError(f"{member.name}: the fleet has no group policy {', '.join(missing)}")
    return fleet


def _names(name: str) -> list[str]:
    """The machines that a name with ranges stands for: `pc[01:50]`, `pc[01:50:2]`, `pc[a:f]`; the name itself without one."""
    found = re.search(r"\[(\d+|[a-z]):(\d+|[a-z])(?::(\d+))?\]", name)
    if found is None:
        return [name]
    first, last, step = found[1], found[2], int(found[3] or 1)
    if first.isdigit() != last.isdigit() or step < 1:
        raise FleetError(f"{name}: {found[0]} is no range")
    if first.isdigit():
        parts = [str(number).zfill(len(first)) for number in range(int(first), int(last) + 1, step)]
    else:
        parts = [chr(letter) for letter in range(ord(first), ord(last) + 1, step)]
    if not parts:
        raise FleetError(f"{name}: the range {found[0]} is empty")
    return [one for part in parts for one in _names(f"{name[: found.start()]}{part}{name[found.end() :]}")]


def _mapping(given: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = given.get(name) or {}
    if not isinstance(value, Mapping):
        raise FleetError(f"{name}: it is a mapping, not {value!r}")
    return value


def _ca(given: Any) -> Settings | None:
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise FleetError(f"ca: it is a mapping, not {given!r}")
    _refuse_unknown(given, {one.name for one in dataclasses.fields(Settings)}, "ca")
    try:
        return Settings(**given)
    except ValueError as error:
        raise FleetError(f"ca: {error}") from error


def _group_policy(name: str, given: Any) -> GroupPolicy:
    where = f"group policy {name}"
    if not isinstance(given, Mapping):
        raise FleetError(f"{where}: it is a mapping, not {given!r}")
    _refuse_unknown(given, {one.name for one in dataclasses.fields(GroupPolicy)} - {"name"}, where)
    known = get_args(get_type_hints(GroupPolicy)["status"])
    if given.get("status", known[0]) not in known:
        raise FleetError(f"{where}: status: there are {', '.join(known)}, not {given['status']!r}")
    may = get_args(get_type_hints(GroupPolicy)["access"])
    if given.get("access", "edit") not in may:
        raise FleetError(f"{where}: access: there are {', '.join(may)}, not {given['access']!r}")
    values = given.get("values") or []
    for value in values:
        _refuse_unknown(value, {"key", "name", "type", "data", "action"}, f"{where}: value")
    return GroupPolicy(name, given.get("url"), given.get("status", known[0]), tuple(values), given.get("access", "edit"))


def _client(name: str, given: Mapping[str, Any]) -> Client:
    values = _common(Client, name, given)
    try:
        if values.get("searches") is not None:
            values["searches"] = float(values["searches"])
            if values["searches"] <= 0:
                raise ValueError(f"searches is a number of hours, not {given['searches']!r}")
        values["away"] = tuple((float(begin), float(end)) for begin, end in values.get("away") or ())
        if any(begin < 0 or end <= begin for begin, end in values["away"]):
            raise ValueError(f"away is a list of pairs, from day and to day, not {given['away']!r}")
        return Client(name=name, **values)
    except (TypeError, ValueError) as error:
        raise FleetError(f"{name}: {error}") from error


def _common(kind: type[Member], name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """What a file says of a machine, as KIND takes it: the part that all kinds have."""
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?", name):
        raise FleetError(f"{name!r} cannot be a machine's name: letters, digits and hyphens only")
    known = {one.name for one in dataclasses.fields(kind)} - {"name", "trusts"} | {"trusts_ca"}
    _refuse_unknown(given, known, name)
    values = dict(given)
    try:
        if "trusts_ca" in values:
            values["trusts"] = _trusts(values.pop("trusts_ca"))
        if "build" in values and not re.fullmatch(r"\d+\.\d+", str(values["build"])):
            raise ValueError(f"build is BUILD.REVISION, such as 20348.4294 (in quotes), not {values['build']!r}")
        if values.get("group_policies") is not None:
            values["group_policies"] = tuple(str(one) for one in values["group_policies"])
        if "faults" in values:
            values["faults"] = ServerFaults.of(values["faults"])
    except (TypeError, ValueError) as error:
        raise FleetError(f"{name}: {error}") from error
    return values


def _server(name: str, given: Mapping[str, Any]) -> Server:
    values = _common(Server, name, given)
    try:
        if "ports" in values:
            http, https = (int(one) for one in values["ports"])
            values["ports"] = (http, https)
            if http == 80:
                # Set up on port 80, WSUS is in the default web site.
                values.setdefault("site_name", "Default Web Site")
                values.setdefault("site_id", 1)
        if values.get("tls") is not None:
            values["tls"] = _tls(values["tls"])
        if values.get("stage", "http") not in get_args(Stage):
            raise ValueError(f"stage: there are {', '.join(get_args(Stage))}, not {values['stage']!r}")
        if "cold_pool" in values:
            values["cold_pool"] = ColdPool(**values["cold_pool"])
        return Server(name=name, **values)
    except (TypeError, ValueError) as error:
        raise FleetError(f"{name}: {error}") from error


def _tls(given: Any) -> tuple[str, ...]:
    """Versions of TLS, from the oldest on; in a file without quotes they are numbers."""
    asked = {str(one) for one in given} if isinstance(given, Sequence) and not isinstance(given, str) else set()
    if not asked or not asked <= set(VERSIONS):
        raise ValueError(f"tls is a list of {', '.join(VERSIONS)}, not {given!r}")
    chosen = tuple(one for one in VERSIONS if one in asked)
    between = list(VERSIONS)[list(VERSIONS).index(chosen[0]) : list(VERSIONS).index(chosen[-1])]
    left_out = [one for one in between if one not in chosen]
    if left_out:
        raise ValueError(f"tls: a port takes versions without a gap, and {', '.join(chosen)} leaves out {', '.join(left_out)}")
    return chosen


def _trusts(given: Any) -> tuple[str, ...]:
    if isinstance(given, bool):
        return ("lab",) if given else ()
    names = tuple(str(one) for one in given)
    if not set(names) <= {"lab", "other"}:
        raise ValueError(f"trusts_ca is true, false or a list of lab and other, not {given!r}")
    return names


def _refuse_unknown(given: Mapping[str, Any], known: set[str], where: str) -> None:
    unknown = sorted(str(name) for name in given if name not in known)
    if unknown:
        raise FleetError(f"{where}: unknown {', '.join(unknown)}; there are {', '.join(sorted(known))}")


def _merged(base: Any, over: Any) -> Any:
    """OVER merged into BASE: mappings by key, all else replaced."""
    if not isinstance(base, Mapping) or not isinstance(over, Mapping):
        return copy.deepcopy(over)
    merged = {name: copy.deepcopy(value) for name, value in base.items()}
    for name, value in over.items():
        merged[name] = _merged(base[name], value) if name in base else copy.deepcopy(value)
    return merged


def _wishes(fleet: Fleet, server: Server) -> list[Wish]:
    kinds = _kinds(fleet.known_as(server), fleet.domain)
    asked = server.certificate if isinstance(server.certificate, list) else [server.certificate]
    wishes: list[Wish] = []
    for one in asked:
        if isinstance(one, Mapping):
            _refuse_unknown(one, {each.name for each in dataclasses.fields(Wish)}, f"{server.name}: certificate")
            wishes.append(_wish(server, one))
        elif one in kinds:
            wishes += kinds[one]
        else:
            raise FleetError(f"{server.name}: there is no kind of certificate {one!r}; there are {', '.join(kinds)}, or a mapping")
    return wishes


def _wish(server: Server, given: Mapping[str, Any]) -> Wish:
    for name, allowed in _WISH_VALUES.items():
        if name in given and given[name] not in allowed:
            raise FleetError(f"{server.name}: certificate: {name} is one of {', '.join(allowed)}, not {given[name]!r}")
    values: dict[str, Any] = {name: tuple(value) if name == "dns_names" else value for name, value in given.items()}
    return Wish(**values)


# --- building --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Authorities:
    """The lab's CA, whose root all machines trust by default and whose issuing CA signs, and another one."""

    lab: Authority
    other: Authority

    @classmethod
    def create(cls) -> Authorities:
        """New ones, with keys of their own."""
        lab, other = (Authority.create(f"{name} Root CA") for name in ("Lab", "Other"))
        return cls(Authority.create("Lab Issuing CA 1", parent=lab), Authority.create("Other Issuing CA 1", parent=other))


def domain_ca(fleet: Fleet, authorities: Authorities) -> DomainCA | None:
    """The enterprise CA of a fleet, where it has one."""
    if fleet.ca is None:
        return None
    name = str(authorities.lab.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
    refused = [one.name for one in fleet.members.values() if not one.may_enroll]
    return DomainCA(authorities.lab, f"CA01.{fleet.domain}\\{name}", fleet.ca, refused)


def documents(fleet: Fleet, authorities: Authorities, now: datetime | None = None) -> dict[str, Document]:
    """The machines' documents, by name, as they are at a time: aware; None is the real one."""
    found = {}
    now = now or datetime.now(UTC)
    domain = _domain(fleet, now)
    for name, member in fleet.members.items():
        document = _document(fleet, member, authorities, now)
        if isinstance(member, Server):
            _convert(document, fleet.known_as(member), member)
        found[name] = _merged(document, member.state)
        if domain and found[name]["computer"]["domain_member"]:
            # The same one for all of them, and not a copy: a policy is the domain's.
            found[name].setdefault("domain", domain)
            _link(fleet, member, found[name])
        if member.faults.changes:
            found[name].setdefault("faults", {}).update(member.faults.changes)
    return found


def _link(fleet: Fleet, member: Member, document: Document) -> None:
    """Which policies apply to a machine of the domain; a client has refreshed them already."""
    names = member.group_policies
    if names is None:
        names = tuple(fleet.group_policies) if isinstance(member, Client) else ()
    document["computer"].setdefault("linked_policies", list(names))
    if isinstance(member, Client):
        refresh_group_policies(Machine(document, name=member.name))
        document.pop("journal", None)


def server_id(fleet: Fleet, server: Server) -> str:
    """A server's id, the same in every run."""
    return str(uuid5(NAMESPACE_DNS, fleet.host_name(server)))


def _domain(fleet: Fleet, now: datetime) -> Document:
    """The domain's group policies, as the Group Policy cmdlets give them; empty where the fleet has none."""
    if not fleet.group_policies:
        return {}
    month_ago = format_time(now - timedelta(days=30))
    policies = {
        one.name: {
            "guid": str(uuid5(NAMESPACE_DNS, f"{one.name}.{fleet.domain}")),
            "status": one.status,
            "modified": month_ago,
            **({} if one.access == "edit" else {"access": one.access}),
            "values": [*_policy_url(one), *({**value, "key": _policy_key(value.get("key", ""))} for value in one.values)],
        }
        for one in fleet.group_policies.values()
    }
    return {"name": fleet.domain, "policies": policies}


def _policy_url(policy: GroupPolicy) -> list[dict[str, Any]]:
    if policy.url is None:
        return []
    server = [{"key": _policy_key(""), "name": name, "type": "String", "data": policy.url} for name in ("WUServer", "WUStatusServer")]
    return [*server, {"key": _policy_key("AU"), "name": "UseWUServer", "type": "DWord", "data": 1}]


def _policy_key(below: str) -> str:
    return "\\".join([r"HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate", *([below] if below else [])])


def _dword(number: int) -> dict[str, Any]:
    return {"kind": "DWord", "data": number}


def _text(text: str) -> dict[str, Any]:
    return {"kind": "String", "data": text}


def _document(fleet: Fleet, member: Member, authorities: Authorities, now: datetime) -> Document:
    build, revision = member.build.split(".")
    document: Document = {
        "computer": {
            "boot_time": format_time(now - timedelta(days=20)),
            "domain_member": member.domain_member,
            **({} if member.group_policy_cmdlets else {"group_policy_cmdlets": False}),
            "disks": [
                {"drive": "C:", "bytes": 136838115328, "free_bytes": 71002447872},
                {"drive": "D:", "bytes": 1099509530624, "free_bytes": 412316860416},
            ],
        },
        "registry": {
            _COMPUTER: {"Hostname": _text(member.name.upper()), "Domain": _text(fleet.domain)},
            _WINDOWS: {
                "CurrentBuild": _text(build),
                "UBR": _dword(int(revision)),
                "ProductName": _text(f"Windows Server {_PRODUCTS.get(build, '2022')} Standard"),
            },
        },
        "certificates": _stores(fleet, member, authorities, now),
        "services": {},
    }
    more = _role(fleet, member, now) if isinstance(member, Server) else _told(member) if isinstance(member, Client) else {}
    merged: Document = _merged(document, more)
    return merged


def _told(client: Client) -> Document:
    """What a client was told by its own policy, and by MDM."""
    keys: Document = {}
    if client.told is not None:
        keys[clients.WINDOWS_UPDATE] = {"WUServer": _text(client.told), "WUStatusServer": _text(client.told)}
        keys[clients.WINDOWS_UPDATE + r"\AU"] = {"UseWUServer": _dword(1)}
    if client.mdm_server is not None:
        keys[clients.MDM] = {"UpdateServiceUrl": _text(client.mdm_server)}
    return {"registry": keys}


def _role(fleet: Fleet, server: Server, now: datetime) -> Document:
    """What the WSUS role adds to a machine."""
    http, https = server.ports
    version = f"10.0.{server.build}"
    return {
        "registry": {
            registry.SETUP: {
                "UsingSSL": _dword(0),
                "PortNumber": _dword(http),
                "TargetDir": _text("C:\\Program Files\\Update Services\\"),
                "ContentDir": _text("D:\\WSUS"),
                "IISTargetWebSiteIndex": _dword(server.site_id),
                "VersionString": _text(version),
                "SqlServerName": _text("MICROSOFT##WID"),
            },
            registry.SETUP + r"\Installed Role Services": {"UpdateServices-Services": _dword(2), "UpdateServices-WidDatabase": _dword(2)},
            **({r"HKLM:\SOFTWARE\Microsoft\SMS": {}} if server.configuration_manager else {}),
            **_schannel(server),
        },
        "iis": {
            "sites": [
                {
                    "id": server.site_id,
                    "name": server.site_name,
                    "state": "Started",
                    # Set-up leaves an https binding without a certificate [SEEN].
                    "bindings": [
                        {"protocol": "http", "information": f"*:{http}:"},
                        {"protocol": "https", "information": f"*:{https}:", "ssl_flags": 0},
                    ],
                    "applications": [
                        {"path": "/", "pool": "WsusPool", "virtual_directories": ["/Content", "/Selfupdate"]},
                        *({"path": f"/{name}", "pool": "WsusPool"} for name in _APPLICATIONS),
                    ],
                }
            ],
            "application_pools": {"WsusPool": {}, "DefaultAppPool": {}},
            "locations": {},
        },
        "services": {"WsusService": "Running", "W3SVC": "Running", "WAS": "Running"},
        "wsus": _wsus(fleet, server, version, now),
    }


def _schannel(server: Server) -> Document:
    """Schannel's settings: what the fleet says of each version, and nothing where it says nothing."""
    if server.tls is None:
        return {}
    return {f"{registry.SCHANNEL}\\TLS {one}\\Server": {"Enabled": _dword(int(one in server.tls))} for one in VERSIONS}


def _stores(fleet: Fleet, member: Member, authorities: Authorities, now: datetime) -> dict[str, Any]:
    trusted = [getattr(authorities, name) for name in member.trusts]
    issuing = (authorities.lab, authorities.other) if member.intermediates else ()
    return {
        "My": _personal(fleet, member, authorities, now) if isinstance(member, Server) else {},
        "Root": {thumbprint(one.chain[-1]): _public(one.chain[-1]) for one in trusted},
        "CA": {thumbprint(one.certificate): _public(one.certificate) for one in issuing},
        "Request": {},
    }


def _personal(fleet: Fleet, server: Server, authorities: Authorities, now: datetime) -> dict[str, Any]:
    personal = {}
    for wish in _wishes(fleet, server):
        issued = _issue(fleet, server, wish, getattr(authorities, wish.authority), now)
        entry: dict[str, Any] = {
            "der": issued.der_base64,
            "has_private_key": wish.private_key != "none",
            "friendly_name": wish.friendly_name,
        }
        if wish.private_key == "ok":
            entry["key"] = issued.key_pem
        personal[issued.thumbprint] = entry
    return personal


def _public(certificate: Any) -> dict[str, Any]:
    return {"der": base64_of(certificate), "has_private_key": False, "friendly_name": ""}


def _issue(fleet: Fleet, server: Server, wish: Wish, authority: Authority, now: datetime) -> Issued:
    name = fleet.known_as(server)
    own = (name,) if name == fleet.host_name(server) else (name, fleet.host_name(server))
    real, now = (one.replace(microsecond=0) for one in (datetime.now(UTC), now))
    end = now + timedelta(days=wish.days)
    return authority.issue(
        common_name=wish.common_name or name,
        dns_names=own if wish.dns_names is None else wish.dns_names,
        # TLS libraries know the real time alone: it begins before that as well.
        not_before=min(now, real, end) - timedelta(days=30),
        not_after=end,
        key=wish.key or fleet.key,
        server_authentication=wish.server_authentication,
        signature=wish.signature,
    )


def _wsus(fleet: Fleet, server: Server, version: str, now: datetime) -> dict[str, Any]:
    hour_ago = format_time(now - timedelta(hours=1))
    upstream = fleet.servers[server.upstream] if server.upstream is not None else None
    source: dict[str, Any] = {"microsoft_update": True, "name": "", "port": 8530, "ssl": False, "replica": False}
    if upstream is not None:
        tls = upstream.stage == "required"
        source = {
            "microsoft_update": False,
            "name": fleet.known_as(upstream),
            "port": upstream.ports[1 if tls else 0],
            "ssl": tls,
            "replica": server.replica,
        }
    return {
        "version": version,
        "server_id": server_id(fleet, server),
        "upstream": source,
        "last_synchronization": {
            "id": str(uuid5(NAMESPACE_DNS, f"first.{fleet.host_name(server)}")),
            "result": "Succeeded",
            "error": "NotApplicable",
            "error_text": "",
            "start": hour_ago,
            "end": hour_ago,
        },
        "downstream_servers": [
            {"id": server_id(fleet, one), "fqdn": fleet.host_name(one), "replica": one.replica, "last_sync": hour_ago}
            for one in fleet.servers.values()
            if one.upstream == server.name and one.downstream_listed
        ],
    }


def _convert(document: Document, fqdn: str, server: Server) -> None:
    """Bring a document to its server's stage, by the changes that bring a machine there."""
    if server.stage == "http":
        return
    usable = next((mark for mark, one in document["certificates"]["My"].items() if "key" in one), None)
    if usable is None:
        raise FleetError(f"{server.name}: stage {server.stage} needs a certificate with its key")
    changes: list[dict[str, Any]] = [
        {
            "kind": "binding",
            "ip_address": "*",
            "port": server.ports[1],
            "host_name": "",
            "thumbprint": usable,
            "store": "My",
            "ssl_flags": 0,
        },
        {"kind": "configure_ssl", "fqdn": fqdn},
    ]
    if server.stage == "required":
        changes += [{"kind": "access", "application": name, "ssl_flags": ["Ssl"]} for name in REQUIRED]
    failed = apply_changes(Machine(document, name=server.name), changes)["failed"]
    if failed:
        raise FleetError(f"{server.name}: stage {server.stage} cannot be reached: {failed['message']}")
    document["journal"] = []
