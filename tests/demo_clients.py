# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The demo's second part: 50 clients search all through a rollout of three servers. How many searches fail, with TLS required at once and when quiet?

`python -m tests.demo_clients` runs both, and prints what became of the searches; `python -m tests.demo_clients when_quiet` one alone. Nobody is
real but ansible-playbook: the rollout and the rings of clients, one run a night, in the lab's time. Between the nights clients search every 22
hours, refresh their group policies, and some are away. What an administrator does in both:

- the first night the rollout, and in the first three nights the rings, which tell one server's group policy each;
- on the fourth day the two machines that are in no domain are told by hand;
- from the ninth on one machine that has not been seen since is acknowledged by name (it is back in the end).

A search at the moment at which a server restarts is not among them: the nights are quiet.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tests.lab.fleet import REQUIRED
from tests.lab.lab import Lab
from tests.tooling.cores import newest_for
from tests.tooling.environment import Environment, main_environment
from tests.tooling.interpreters import at_hand

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".cache" / "demo-clients"
DAYS = 14
TOLD_BY_HAND, ACKNOWLEDGED = 4, 9
GONE = "drawer"
#: Which server's clients are told in which night, and who proves it.
RINGS = {1: ("wsus01", "hq01"), 2: ("wsus02", "north01"), 3: ("wsus03", "south01")}
#: The group policy of each server's clients.
POLICIES = {"wsus01": "WSUS headquarters", "wsus02": "WSUS north", "wsus03": "WSUS south"}
ABOUT = {"true": "TLS required at once", "when_quiet": "TLS required when quiet"}


def url(server: str, *, tls: bool) -> str:
    return f"{'https' if tls else 'http'}://{server}.corp.example:{8531 if tls else 8530}"


def fleet() -> dict[str, Any]:
    """Three servers with certificates, on HTTP, and 50 clients."""

    def of(server: str, **more: Any) -> dict[str, Any]:
        return {"searches": 22, "group_policies": [POLICIES[server]], **more}

    kiosk = {"searches": 22, "domain_member": False, "told": url("wsus03", tls=False)}
    return {
        "servers": {"wsus01": {}, "wsus02": {"upstream": "wsus01"}, "wsus03": {"upstream": "wsus01"}},
        "group_policies": {policy: {"url": url(server, tls=False)} for server, policy in POLICIES.items()},
        "clients": {
            "hq[01:16]": of("wsus01"),
            "north[01:14]": of("wsus02"),
            "south[01:12]": of("wsus03"),
            "laptop[1:5]": of("wsus02", away=[[0.95, 3.5]]),
            "kiosk[1:2]": kiosk,
            GONE: of("wsus01", away=[[0.95, DAYS - 1.5]]),
        },
    }


class Demo:
    """One rollout among clients that search, with `wsus_require_tls` as given."""

    def __init__(self, lab: Lab, require: str, ansible: Environment, folder: Path) -> None:
        self._lab = lab
        self._require = require
        self._ansible = ansible
        self._folder = folder
        self._begin = lab.clock.now()
        self.required: dict[str, datetime] = {}

    def run(self) -> int:
        """Let it all happen; the exit code of the first playbook that failed, or 0."""
        self._to(1)
        for day in range(1, DAYS):
            if code := self._night(day):
                return code
            self._to(day + 1)
        return 0

    def _to(self, day: float) -> None:
        self._lab.advance(until=self._begin + timedelta(days=day))

    def _night(self, day: int) -> int:
        finished = len(self.required) == len(POLICIES)
        if not finished:
            absent = [f"{GONE}.corp.example"] if day >= ACKNOWLEDGED else []
            require = True if self._require == "true" else self._require
            if code := self._playbook(f"{day:02}-rollout", "securepatch.wsus.rollout", wsus_require_tls=require, https_server_absent_ignore=absent):
                return code
            self._note_required(day)
        if day in RINGS:
            server, client = RINGS[day]
            rings = [{"name": server, "policies": [{"gpo": POLICIES[server], "server": server}], "hosts": [client]}]
            return self._playbook(f"{day:02}-clients", "securepatch.wsus.clients", wsus_rings=rings, wsus_policy_host="wsus01")
        if day == TOLD_BY_HAND:
            tell = {"name": "Tell it", "securepatch.wsus.wsus_client": {"url": url("wsus03", tls=True), "detect_now": False}}
            play = self._folder / "kiosks.yml"
            play.write_text(json.dumps([{"hosts": "kiosk1:kiosk2", "gather_facts": False, "tasks": [tell]}]), encoding="utf-8")
            return self._playbook(f"{day:02}-kiosks", str(play))
        return 0

    def _playbook(self, name: str, playbook: str, **variables: Any) -> int:
        backup = str(self._folder / "backup")
        given = {
            "https_server_restart": "services",
            "wsus_report_folder": "",
            **{f"{role}_backup_dir": backup for role in ("https_server", "downstream", "trust", "clients")},
            **variables,
        }
        command = [str(self._ansible.python), str(ROOT / "tests" / "tooling" / "ahead.py"), str(self._lab.clock.ahead.total_seconds())]
        command += [str(self._ansible.program("ansible-playbook")), playbook, "--inventory", str(self._lab.inventory)]
        command += ["--extra-vars", json.dumps(given)]
        environment = {**self._ansible.variables(), "ANSIBLE_FORKS": "10", "ANSIBLE_NOCOLOR": "1"}
        log = self._folder / f"{name}.log"
        with log.open("w", encoding="utf-8") as file:
            code = subprocess.run(command, env=environment, cwd=self._folder, stdout=file, stderr=subprocess.STDOUT, check=False).returncode
        if code:
            print(f"ansible-playbook ended with {code}: {log}")
        return code

    def _note_required(self, day: int) -> None:
        for server in POLICIES:
            with self._lab.machine(server).lock:
                locations = self._lab.machine(server).document["iis"]["locations"]
                flags = [one.get("sslFlags", "") for name, one in locations.items() if name.rpartition("/")[2] in REQUIRED]
            if server not in self.required and len(flags) == len(REQUIRED) and all("Ssl" in one for one in flags):
                self.required[server] = self._lab.clock.now()
                print(f"  night {day:2}: {server} requires TLS", flush=True)


def kind(client: str) -> str:
    return client.rstrip("0123456789")


def summary(lab: Lab, require: str) -> list[str]:
    """What became of the searches, in lines."""
    own = [one for one in lab.searches if one.by == "machine"]
    failed = [one for one in own if not one.succeeded]
    clients, without = ({one.client for one in some} for some in (own, failed))
    lines = [f"  {len(own)} searches of {len(clients)} clients, {len(failed)} failed, of {len(without)} clients."]
    why: Counter[tuple[str, str, str]] = Counter((kind(one.client), one.code, one.why) for one in failed)
    for (group, code, words), number in sorted(why.items()):
        of = len({one.client for one in failed if kind(one.client) == group})
        acknowledged = " (acknowledged by name)" if group == GONE and require == "when_quiet" else ""
        lines.append(f"    {number:3} of {of} {group}{acknowledged}: {code}, {words}")
    return lines


def scenario(require: str, ansible: Environment) -> int:
    """Run one, and print what became of it. Returns the exit code: 1 also where a search failed that must not, when quiet."""
    folder = FOLDER / require
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    begun = time.monotonic()
    print(f"\n{ABOUT[require]} (wsus_require_tls: {require})", flush=True)
    with Lab(fleet(), folder=folder, network=f"127.0.{3 + list(ABOUT).index(require)}.0/24") as lab:
        demo = Demo(lab, require, ansible, folder)
        code = demo.run()
        print("\n".join(summary(lab, require)))
        if require == "when_quiet" and [one for one in lab.searches if not one.succeeded and one.client != GONE]:
            code = code or 1
    print(f"  {DAYS} days in {time.monotonic() - begun:.0f} s; what ansible-playbook printed is in {folder.relative_to(ROOT)}", flush=True)
    return code


def main(given: Sequence[str]) -> int:
    """Run the scenarios given, or both; the exit code."""
    ansible = main_environment(newest_for(sys.version_info.minor), at_hand())
    codes = [scenario(require, ansible) for require in given or ABOUT]
    return max(codes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
