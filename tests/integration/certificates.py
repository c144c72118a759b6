# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the tests of certificates and trust ask of a run and of a lab: what each server said and changed, and what is in its stores."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.integration.controller import Controller, Run
from tests.integration.rollouts import store
from tests.lab.lab import Lab

ROLE: list[dict[str, Any]] = [{"hosts": "wsus_servers", "gather_facts": False, "roles": ["securepatch.wsus.certificate"]}]
TRUST: list[dict[str, Any]] = [{"hosts": "all", "gather_facts": False, "roles": ["securepatch.wsus.trust"]}]


def role(fleet: Controller, *arguments: str, **variables: Any) -> Run:
    """Run the role on every server. Whatever happens, no host is unreachable to Ansible, and nobody sees a traceback."""
    return sane(fleet.playbook(ROLE, *arguments, **variables))


def sane(run: Run) -> Run:
    """What every run has to be."""
    assert not run.unreachable, run.output
    assert "Traceback" not in run.output
    assert "Unhandled exception" not in run.output
    return run


def results(run: Run, *statuses: str) -> dict[str, dict[str, Any]]:
    """What the module returned, by server: failed, ignored or ok, or only of these statuses."""
    wanted = statuses or ("ok", "failed", "ignored")
    return {one["host"]: one["result"] for one in run.results if one["action"].startswith("securepatch.wsus.") and one["status"] in wanted}


def messages(run: Run) -> dict[str, str]:
    """What those said that failed, by server. Each names its server first."""
    found = {name: " ".join(str(result["msg"]).split()) for name, result in results(run, "failed", "ignored").items()}
    assert all(message.startswith(f"{name}: ") for name, message in found.items()), found
    return found


def lacking(messages: Mapping[str, str], expected: Mapping[str, tuple[str, ...]]) -> dict[str, list[str]]:
    """What is expected of a message, by server, and is not in it; a server that did not fail, or was not to, lacks everything."""
    missing = {name: [word for word in words if word not in messages.get(name, "")] for name, words in expected.items()}
    missing |= {name: ["that it fails not"] for name in messages if name not in expected}
    return {name: words for name, words in missing.items() if words}


def made(run: Run) -> dict[str, list[str]]:
    """The changes of each server, as they were returned."""
    return {name: result["changes"] for name, result in results(run).items() if result.get("changes")}


def personal(lab: Lab, name: str) -> dict[str, Any]:
    """The computer's Personal store, by thumbprint."""
    with lab.machine(name).lock:
        return copy.deepcopy(lab.machine(name).document["certificates"]["My"])


def waiting(lab: Lab, name: str) -> int:
    """How many keys wait for their certificate."""
    return len(store(lab, name, "Request"))


def pem(*certificates: x509.Certificate) -> bytes:
    """Certificates in one file, PEM."""
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates)
