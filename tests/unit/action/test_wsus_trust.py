# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The module wsus_trust over a machine of the lab, without a connection: its files, its trips, and what it returns."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.securepatch.wsus.plugins.action import wsus_trust
from ansible_collections.securepatch.wsus.plugins.plugin_utils import server_action

from tests.lab import modules
from tests.lab.machine import Machine
from tests.lab.payload import Asked
from tests.unit.action.clock import stop_clock
from tests.unit.plugin_utils.machines import FQDN, document, read
from tests.unit.plugin_utils.papers import issuing, leaf, p7, pem, root, text_of, thumbprint, trusted

ROOT, ISSUING = root().certificate, issuing().certificate
THE_ROOT, THE_ISSUING, THE_LEAF = (thumbprint(text_of(each)) for each in (ROOT, ISSUING, leaf().certificate))


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time for which the certificates were issued."""
    stop_clock(monkeypatch, server_action)


class Neighbours:
    """A network in which every machine finds a server with a certificate of the company's, and judges it by its stores."""

    def look(self, machine: Machine, host_name: str, port: int, tls: bool) -> dict[str, Any]:
        stores = machine.document["certificates"]
        trusts = THE_ROOT in stores["Root"] and THE_ISSUING in stores["CA"]
        errors = [] if trusts else ["PartialChain" if THE_ROOT in stores["Root"] else "UntrustedRoot"]
        return {
            "host_name": host_name,
            "port": port,
            "tls": tls,
            "reachable": True,
            "protocol": "Tls12",
            "certificates": [leaf().der_base64],
            "name_matches": host_name == FQDN,
            "trusted": trusts,
            "chain_errors": errors,
            "error": None,
        }

    def start_synchronization(self, machine: Machine) -> None:
        raise AssertionError("Nobody asked for that.")

    def certification_authority(self, machine: Machine) -> None:
        return None

    def called_itself(self, machine: Machine, site: dict[str, Any], port: int) -> None:
        """No site of this network keeps a log."""

    def changed(self, machine: Machine) -> None:
        return None


class OnMachine(wsus_trust.ActionModule):
    """The action plugin, whose trips go to a machine of the lab."""

    machine: Machine
    trips: list[tuple[str, dict[str, Any]]]

    def _execute_module(self, module_name: str, module_args: dict[str, Any], task_vars: Any) -> dict[str, Any]:
        self.trips.append((module_name.rpartition(".")[2], module_args))
        return modules.run(self.machine, Asked(module_name, json.loads(json.dumps(module_args))))


def run(machine: Machine, *, check: bool = False, **arguments: Any) -> tuple[dict[str, Any], list[tuple[str, dict[str, Any]]]]:
    """The module's result, and the trips that it made."""
    task = SimpleNamespace(args=arguments, async_val=0, check_mode=check, action="wsus_trust", delegate_to=None, diff=True)
    connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir=None), host="wsus01")
    action = OnMachine(task, connection, SimpleNamespace(diff=False), SimpleNamespace(path_dwim=str), None, None)
    action.machine, action.trips = machine, []
    return action.run(task_vars={"inventory_hostname": "wsus01"}), action.trips


def a_machine() -> Machine:
    return Machine(document(), name="wsus01", network=Neighbours())


def stores(machine: Machine) -> dict[str, set[str]]:
    return {name: set(machine.document["certificates"].get(name, {})) for name in ("Root", "CA", "WindowsServerUpdateServices")}


AT = [{"host_name": FQDN, "port": 8531}]
NOTHING: dict[str, set[str]] = {"Root": set(), "CA": set(), "WindowsServerUpdateServices": set()}


def test_what_is_missing_is_trusted_once(tmp_path: Path) -> None:
    file = tmp_path / "chain.p7b"
    file.write_bytes(p7(ISSUING, ROOT))
    machine = a_machine()
    arguments: dict[str, Any] = {"authorities": [str(file), pem(ROOT).decode()], "pinned": [leaf().der_base64], "endpoints": [{"host_name": FQDN}]}
    foretold, trips = run(machine, check=True, **arguments)
    assert (len(foretold["changes"]), foretold["changed"], len(trips)) == (3, True, 1)
    assert stores(machine) == NOTHING
    assert {each["thumbprint"]: each["present"] for each in foretold["trust"]} == dict.fromkeys([THE_ROOT, THE_ISSUING, THE_LEAF], True)
    result, trips = run(machine, **arguments)
    assert not result.get("failed"), result["msg"]
    assert sorted(result["changes"]) == sorted(foretold["changes"])
    assert stores(machine) == {"Root": {THE_ROOT}, "CA": {THE_ISSUING}, "WindowsServerUpdateServices": {THE_LEAF}}
    # All that has to be known comes with each trip.
    assert [name for name, _arguments in trips] == ["wsus_state", "wsus_change"]
    for _name, asked in trips:
        assert set(asked["thumbprints"]) == {THE_ROOT, THE_ISSUING, THE_LEAF}
        assert [(one["host_name"], one["port"]) for one in asked["endpoints"]] == [(FQDN, 8531)]
    assert result["endpoints"] == [{"host_name": FQDN, "port": 8531, "ok": True, "problem": None}]
    assert [each["present"] for each in result["trust"]] == [True, True, True]
    assert result["before"] == {one: [] for one in result["after"]}
    assert result["after"][THE_ROOT] == ["Trusted Root Certification Authorities"]
    again, trips = run(machine, **arguments)
    assert (again["changed"], len(trips)) == (False, 1)
    # A task that follows needs no trip at all where all was seen.
    followed, trips = run(machine, observed=again["state"], **arguments)
    assert (followed["changed"], trips) == (False, [])


def test_a_state_of_before_that_was_not_asked_is_asked_first() -> None:
    machine = a_machine()
    result, trips = run(machine, observed=read(), authorities=[pem(ROOT, ISSUING).decode()], endpoints=AT)
    assert [name for name, _arguments in trips] == ["wsus_state", "wsus_change"]
    assert result["endpoints"][0]["ok"]
    foretold, _trips = run(a_machine(), check=True, authorities=[pem(ROOT, ISSUING).decode()], endpoints=AT)
    # What was foretold is enough for the next, although the machine itself does not see it yet.
    followed, trips = run(a_machine(), check=True, observed=foretold["state"], authorities=[pem(ROOT, ISSUING).decode()], endpoints=AT)
    assert (followed.get("failed"), followed["changed"], trips) == (None, False, [])
    assert followed["endpoints"] == [{"host_name": FQDN, "port": 8531, "ok": True, "problem": None}]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"authorities": ["/does/not/exist.pem"]}, "The file of authorities /does/not/exist.pem cannot be read on the controller: "),
        ({"pinned": ["-----BEGIN CERTIFICATE-----\nx"]}, "The file of a certificate to pin What was given as text: has no certificate in it."),
        ({"authorities": [leaf().certificate_pem]}, f"{THE_LEAF} (CN={FQDN}) is no authority"),
        ({"pinned": [leaf("expired").certificate_pem]}, "expired on 2026-11-18 and must not be pinned"),
        ({"pinned": [leaf("newer").certificate_pem], "endpoints": AT}, "What is to be pinned would cut this machine off"),
        ({"authorities": [pem(ROOT).decode()], "endpoints": AT}, "None of the authorities that were given is the root above it"),
        ({"authorities": [pem(ROOT, ISSUING).decode()], "endpoints": [{"host_name": "b.example"}]}, "is not for b.example"),
    ],
)
def test_what_is_refused_changes_nothing(given: dict[str, Any], why: str) -> None:
    machine = a_machine()
    result, trips = run(machine, **given)
    assert why in result["msg"]
    assert result["msg"].startswith("wsus01: ")
    assert result["msg"].endswith("Nothing was changed.")
    assert (result["failed"], result["changed"], result["changes"]) == (True, False, [])
    assert stores(machine) == NOTHING
    assert all(name == "wsus_state" for name, _arguments in trips)


def test_trust_that_does_not_help_at_the_endpoint_is_told_afterwards() -> None:
    machine = a_machine()
    trusted(machine.document, "Root", ROOT)

    class Stubborn(Neighbours):
        def look(self, machine: Machine, host_name: str, port: int, tls: bool) -> dict[str, Any]:
            return super().look(machine, host_name, port, tls) | {"trusted": False, "chain_errors": ["PartialChain"]}

    machine.network = Stubborn()
    result, _trips = run(machine, authorities=[pem(ROOT, ISSUING).decode()], endpoints=AT)
    assert result["failed"]
    assert "but what the server shows afterwards does not fit" in result["msg"]
    assert "so something else is wrong with the chain" in result["msg"]
    assert (result["changed"], len(result["changes"])) == (True, 1)
