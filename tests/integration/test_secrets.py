# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""No password and no private key is printed, returned or kept, however much the user wants to be told."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import yaml

from tests.integration.controller import Controller

PLAY: list[dict[str, Any]] = [
    {"hosts": "wsus01", "gather_facts": False, "roles": ["securepatch.wsus.https_server"]},
    {
        "hosts": "wsus02",
        "gather_facts": False,
        "roles": [{"role": "securepatch.wsus.downstream", "downstream_upstream": "wsus01.corp.example"}],
    },
    {
        "hosts": "wsus02",
        "gather_facts": False,
        "tasks": [
            {"name": "Look", "securepatch.wsus.wsus_server_info": {}, "register": "seen"},
            {"name": "Show all", "ansible.builtin.debug": {"var": "seen"}},
            {"name": "Break", "securepatch.wsus.wsus_app_pool": {"queue_length": 4711}},
        ],
    },
]


def _decoded(text: str) -> Iterator[str]:
    """What stands in a text as Base64, as PowerShell's -EncodedCommand does."""
    for token in set(re.findall(r"[A-Za-z0-9+/]{24,}={0,2}", text)):
        try:
            raw = base64.b64decode(token + "=" * (-len(token) % 4))
        except binascii.Error:
            continue
        yield raw.decode("utf-8", "replace")
        yield raw.decode("utf-16-le", "replace")


def test_password_and_private_keys_are_nowhere(controller: Callable[..., Controller]) -> None:
    fleet = controller({"servers": {"wsus01": {}, "wsus02": {"upstream": "wsus01", "faults": {"changes": {"commit iis": "No"}}}}})
    password = yaml.safe_load(fleet.lab.inventory.read_text())["wsus_servers"]["vars"]["ansible_password"]
    keys = [one["key"] for name in ("wsus01", "wsus02") for one in fleet.lab.machine(name).document["certificates"]["My"].values()]
    # The first lines of a P-256 key are the private number; what follows is the public one, which is in the certificate too.
    secrets = [password, "PRIVATE KEY", *(line for key in keys for line in key.splitlines()[1:3])]
    one = fleet.playbook(PLAY, "-vvvv", "--diff", https_server_restart="services", https_server_require_tls=True, https_server_ignore_downstream=True)
    assert one.code != 0, "the last task is a failure, whose message is looked at too"
    assert one.of("Break")["msg"].startswith("wsus02: ")
    wrong = fleet.task("wsus01", "wsus_server_info", "-vvvv", "-e", "ansible_user=somebody")
    assert wrong.code != 0, "so is a login that is refused"
    kept = list((fleet.folder / "backup").iterdir())
    assert len(kept) == 2
    places = {
        "printed": one.output + wrong.output,
        "results": json.dumps([*one.results, *wrong.results], default=str),
        "backup": "".join(path.read_text() for path in kept),
        "record of the lab": json.dumps([trip.record() for trip in fleet.lab.trips] + [vars(each) for each in fleet.lab.raw_commands]),
    }
    assert len(places["printed"]) > 50_000, "it was told to say everything"
    for place, text in places.items():
        everything = [text, *_decoded(text)]
        for secret in secrets:
            assert not any(secret in each for each in everything), f"a secret is in what is {place}"
