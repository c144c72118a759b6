# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who came over plain HTTP, from the site's W3C logs (`files` of the document, by path, and what its site
wrote since), and which clients WSUS has not seen."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from ..machine import Machine, format_time, parse_time
from . import iis, wsus
from .errors import WindowsError

_SERVICES = ("SimpleAuthWebService", "DssAuthWebService", "ServerSyncWebService", "ApiRemoting30", "ClientWebService")
_NEEDED = ("date", "time", "s-ip", "cs-method", "cs-uri-stem", "s-port", "c-ip", "sc-status")
_WISHED = ("sc-substatus", "cs(User-Agent)")
_MOST_CALLERS = 100_000
_TIME = "%Y-%m-%d %H:%M:%S"
_STAMP = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", re.MULTILINE)


def read_traffic(machine: Machine, days: int, absent_days: int) -> dict[str, Any]:
    """Who called the five web services over HTTP in the last DAYS days; clients that came in ABSENT_DAYS and not in DAYS (Get-SiteTraffic).

    Raises WindowsError where IIS or the site of WSUS cannot be read.
    """
    with machine.lock:
        now = machine.now()
        since = now - timedelta(days=days)
        site = iis.wsus_site(machine)
        log = iis.site_log(site)
        folder = _folder(site)
        state: dict[str, Any] = {
            "logged": log["enabled"] and log["format"] == "W3c",
            "folder": folder,
            "since": format_time(since),
            "computers": None,
            "unreadable": {},
        }
        try:
            state["computers"] = _computers(machine, now, since, now - timedelta(days=absent_days))
        except WindowsError as error:
            state["unreadable"]["computers"] = error.state()
        plain_ports = {str(one["port"]) for one in iis.bindings(site) if one["protocol"].lower() == "http"}
        read = _Log(since.strftime(_TIME), plain_ports)
        for text in _logs(machine, folder):
            if _last_written(text, now) >= since.replace(microsecond=0) - timedelta(days=1):
                read.read_file(text)
    return {**state, **read.state()}


def log_folder(site: dict[str, Any]) -> str | None:
    """Where IIS writes a site's W3C logs; None where it writes none."""
    log = iis.site_log(site)
    return _folder(site) if log["enabled"] and log["format"] == "W3c" else None


def _folder(site: dict[str, Any]) -> str:
    return _join(iis.site_log(site)["directory"].replace("%SystemDrive%", "C:"), f"W3SVC{site['id']}")


def _join(folder: str, name: str) -> str:
    separator = "\\" if "\\" in folder or re.match(r"^[A-Za-z]:", folder) else "/"
    return folder.rstrip("\\/") + separator + name


def _logs(machine: Machine, folder: str) -> list[str]:
    start = re.sub(r"\\", "/", folder).casefold() + "/"
    found = []
    files: dict[str, str] = dict(machine.document.get("files", {}))
    for path, text in machine.site_log.files(machine.now()).items():
        # What the document has of the same day was there before.
        there = files.get(path, "")
        files[path] = there + ("" if not there or there.endswith("\n") else "\r\n") + text
    for path, text in files.items():
        name = re.sub(r"\\", "/", path)
        if name.casefold().startswith(start) and "/" not in name[len(start) :] and name.endswith(".log"):
            found.append((path, text))
    return [text for _rest, text in sorted(found)]


def _last_written(text: str, otherwise: datetime) -> datetime:
    """A log was written when its last line was."""
    stamps = _STAMP.findall(text)
    return parse_time(stamps[-1]) if stamps else otherwise


def _computers(machine: Machine, now: datetime, since: datetime, start: datetime) -> dict[str, Any]:
    seen = wsus.computers(machine, since, now + timedelta(days=1))
    return {
        "seen": len(seen),
        "absent": [
            {
                "id": one["id"],
                "fqdn": one.get("fqdn"),
                "address": one.get("address") or "",
                "last_sync": format_time(parse_time(one["last_sync"])),
            }
            for one in wsus.computers(machine, start, since)
        ],
    }


@dataclass
class _Caller:
    """One address's use of one service over HTTP."""

    address: str
    service: str
    agent: str | None = None
    last: str | None = None
    last_served: str | None = None
    own: bool = False
    served: int = 0
    refused: int = 0
    failed: int = 0
    probed: int = 0

    def state(self) -> dict[str, Any]:
        return {**vars(self), "last": _iso(self.last), "last_served": _iso(self.last_served)}


def _iso(text: str | None) -> str | None:
    return None if text is None else text.replace(" ", "T") + "Z"


@dataclass
class _Log:
    """What the logs say. Names are the log's; times are as it has them, UTC."""

    since: str
    plain_ports: set[str]
    callers: dict[tuple[str, str], _Caller] = field(default_factory=dict)
    # Addresses by their folded text; the text is as it came first.
    tls_served: dict[str, str] = field(default_factory=dict)
    tls_failed: dict[str, str] = field(default_factory=dict)
    days: set[str] = field(default_factory=set)
    missing_fields: list[str] = field(default_factory=list)
    files: int = 0
    lines: int = 0
    truncated: bool = False

    def state(self) -> dict[str, Any]:
        return {
            "days": sorted(self.days),
            "files": self.files,
            "lines": self.lines,
            "missing_fields": self.missing_fields,
            "truncated": self.truncated,
            "tls_served": len(self.tls_served),
            "tls_failed": [address for folded, address in self.tls_failed.items() if folded not in self.tls_served],
            "callers": [one.state() for one in self.callers.values()],
        }

    def read_file(self, text: str) -> None:
        """Take in one file."""
        self.files += 1
        columns: dict[str, int] | None = None
        for line in re.split(r"\r\n|\r|\n", text):
            if not line:
                continue
            if line.startswith("#"):
                if line.startswith("#Fields:"):
                    columns = self._columns(line)
                continue
            self.lines += 1
            if columns is not None:
                self._take(line.split(" "), columns)

    def _columns(self, line: str) -> dict[str, int] | None:
        """Where each field is. The header can change in the middle of a file; without what is needed its lines are of no use."""
        fields = line.removeprefix("#Fields:").strip().split(" ")
        missing = [name for name in _NEEDED if name not in fields]
        self.missing_fields += [name for name in missing if name not in self.missing_fields]
        return None if missing else {name: fields.index(name) for name in (*_NEEDED, *_WISHED) if name in fields}

    def _take(self, fields: list[str], columns: dict[str, int]) -> None:
        def get(name: str) -> str:
            place = columns.get(name, len(fields))
            return fields[place] if place < len(fields) else ""

        when = f"{get('date')} {get('time')}"
        if len(when) != len("yyyy-MM-dd HH:mm:ss") or when < self.since:
            return
        service = _service(get("cs-uri-stem"))
        if service is None:
            return
        address, status = get("c-ip"), get("sc-status")
        call = get("cs-method") == "POST"
        served = len(status) == 3 and status[0] in "23"
        if served:
            self.days.add(when[:10])
        if get("s-port") not in self.plain_ports:
            if call:
                (self.tls_served if served else self.tls_failed).setdefault(address.casefold(), address)
            return
        key = (address.casefold(), service)
        caller = self.callers.get(key)
        if caller is None:
            if len(self.callers) >= _MOST_CALLERS:
                self.truncated = True
                return
            caller = self.callers[key] = _Caller(address, service)
        if address in {get("s-ip"), "::1"} or address.startswith("127."):
            caller.own = True
        if caller.last is None or when >= caller.last:
            caller.last = when
            caller.agent = get("cs(User-Agent)").replace("+", " ") if "cs(User-Agent)" in columns else None
        if not call:
            caller.probed += 1
        elif served:
            caller.served += 1
            caller.last_served = max(when, caller.last_served or "")
        elif status == "403" and get("sc-substatus") == "4":
            caller.refused += 1
        else:
            caller.failed += 1


def _service(stem: str) -> str | None:
    first, slash, _rest = stem[1:].partition("/")
    return next((one for one in _SERVICES if slash and first.casefold() == one.casefold()), None)
