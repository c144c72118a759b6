# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What bad input gets: an error that names the server and the cause and says what was changed; and a second run, once it is mended, that finishes."""

from __future__ import annotations

import base64
import copy
import errno
import hashlib
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import yaml

from tests.integration.controller import Controller, Run

SETUP = r"HKLM:\SOFTWARE\Microsoft\Update Services\Server\Setup"
INSTALLED = SETUP + r"\Installed Role Services"
ROLLOUT = "securepatch.wsus.rollout"
HTTPS_SERVER: list[dict[str, Any]] = [{"hosts": "wsus_servers", "gather_facts": False, "roles": ["securepatch.wsus.https_server"]}]
DOWNSTREAM: list[dict[str, Any]] = [
    {
        "hosts": "wsus02",
        "gather_facts": False,
        "roles": [{"role": "securepatch.wsus.downstream", "downstream_upstream": "wsus01.corp.example"}],
    }
]
QUICK = {"https_server_restart": "services", "https_server_cold_seconds": 2, "https_server_check_timeout": 3}
FIVE = ("ApiRemoting30", "ClientWebService", "DssAuthWebService", "ServerSyncWebService", "SimpleAuthWebService")

Start = Callable[..., Controller]


def run(fleet: Controller, play: Any = None, *arguments: str, **variables: Any) -> Run:
    """Run a play, role https_server where none is given, with quick restarts."""
    return fleet.playbook(play or HTTPS_SERVER, *arguments, **{**QUICK, **variables})


def refused(one: Run, *words: str, server: str | None = None) -> str:
    """The run failed as it should: its messages (those of one server) have all WORDS. Returns the messages."""
    failed = [each for each in one.results if each["status"] in {"failed", "item failed"} and server in {None, each["host"]}]
    said = " ".join(" ".join(str(each["result"].get("msg")).split()) for each in failed)
    assert one.code != 0, one.output
    assert not one.unreachable, "an unreachable host tears the play apart"
    assert "Traceback" not in one.output
    assert "Unhandled exception" not in one.output
    missing = [word for word in words if word not in said]
    assert not missing, f"{missing} not in\n{said}"
    return said


def finishes(fleet: Controller, play: Any = None, *arguments: str, **variables: Any) -> Run:
    """Run again, the cause being mended: every server of the inventory offers HTTPS, or requires TLS where that was asked for, restarted."""
    one = run(fleet, play, *arguments, **variables)
    assert one.code == 0, one.output
    assert not one.unreachable
    wanted = "requires TLS" if variables.get("https_server_require_tls") or variables.get("wsus_require_tls") else "offers HTTPS"
    with inventory(fleet) as hosts:
        assert {name: standing(one, name) for name in hosts} == dict.fromkeys(hosts, wanted)
    return one


def standing(one: Run, name: str) -> str | None:
    """Where a server stood at the end of the role or of its wave."""
    facts = [each["result"].get("ansible_facts") or {} for each in one.results if each["host"] == name]
    kept = [fact[of] for fact in facts for of in ("https_server_result", "wsus_outcome") if of in fact]
    return str(kept[-1]["standing"]) if kept else None


def untouched(fleet: Controller) -> None:
    """Nobody was asked for a change."""
    assert "securepatch.wsus.wsus_change" not in {module for counts in fleet.lab.counts().values() for module in counts}
    assert "restart" not in [one.command for one in fleet.lab.raw_commands]


@contextmanager
def inventory(fleet: Controller) -> Iterator[dict[str, Any]]:
    """The hosts of the lab's inventory, to be changed by hand."""
    content = yaml.safe_load(fleet.lab.inventory.read_text())
    yield content["wsus_servers"]["hosts"]
    fleet.lab.inventory.write_text(yaml.safe_dump(content, sort_keys=False))


# --- the inventory ---------------------------------------------------------------------------------------------------


def an_upstream_that_is_not_there(hosts: dict[str, Any]) -> str:
    hosts["wsus03"]["wsus_upstream"] = "wsus77"
    return 'wsus_upstream of wsus03 is "wsus77", which is not among the WSUS servers of the inventory'


def a_circle(hosts: dict[str, Any]) -> str:
    hosts["wsus01"]["wsus_upstream"] = "wsus03"
    return "wsus01 -> wsus03 -> wsus01 is a circle"


def one_machine_under_two_names(hosts: dict[str, Any]) -> str:
    hosts["hq-wsus"] = dict(hosts["wsus01"])
    return "wsus01 and hq-wsus are one machine: each reports the name wsus01.corp.example"


def another_upstream_than_the_server_has(hosts: dict[str, Any]) -> str:
    hosts["wsus03"]["wsus_upstream"] = "wsus02"
    return "wsus03 synchronizes from wsus01.corp.example (wsus01 in the inventory), not from wsus02 as wsus_upstream says"


def test_an_inventory_that_is_wrong_stops_the_rollout_before_anything_is_touched(controller: Start) -> None:
    fleet = controller({"servers": {"wsus01": {}, "wsus02": {}, "wsus03": {"upstream": "wsus01"}}})
    right = fleet.lab.inventory.read_text()
    for wrong in (an_upstream_that_is_not_there, a_circle, one_machine_under_two_names, another_upstream_than_the_server_has):
        with inventory(fleet) as hosts:
            cause = wrong(hosts)
        refused(run(fleet, ROLLOUT), cause, "Nothing was changed")
        untouched(fleet)
        fleet.lab.inventory.write_text(right)
    finishes(fleet, ROLLOUT)


def test_role_downstream_with_another_upstream_than_the_server_has(controller: Start) -> None:
    fleet = controller({"servers": {"wsus01": {"stage": "offered"}, "wsus02": {"upstream": "wsus03"}, "wsus03": {"stage": "offered"}}})
    message = "This server synchronizes from wsus03.corp.example, not from wsus01.corp.example"
    refused(run(fleet, DOWNSTREAM), "wsus02: ", message, "Nothing was changed")
    untouched(fleet)
    done = run(fleet, DOWNSTREAM, downstream_reparent=True)
    assert done.code == 0, done.output
    assert fleet.lab.machine("wsus02").document["wsus"]["upstream"]["name"] == "wsus01.corp.example"


# --- a server that is no whole WSUS ----------------------------------------------------------------------------------


def break_registry(name: str, number: int, key: str = SETUP) -> dict[str, Any]:
    return {"state": {"registry": {key: {name: {"kind": "DWord", "data": number}}}}}


NOT_WHOLE: dict[str, tuple[dict[str, Any], str]] = {
    "not-wsus": ({}, "This is not a WSUS server: WSUS setup never ran here. Install the role, or take the host out of group wsus_servers."),
    "no-post-install": (break_registry("UpdateServices-Services", 1, INSTALLED), "its post-installation never ran"),
    "no-site": (break_registry("IISTargetWebSiteIndex", 99), "IIS has no site with the id 99 that WSUS setup recorded"),
    "w3svc-stopped": ({"state": {"services": {"W3SVC": "Stopped"}}}, "the service W3SVC is Stopped"),
    "wsus-stopped": ({"state": {"services": {"WsusService": "Stopped"}}}, "the service WsusService is Stopped"),
    "pool-stopped": (
        {"state": {"iis": {"application_pools": {"WsusPool": {"state": "Stopped"}}}}},
        "the application pool 'WsusPool' is stopped. Start what is stopped",
    ),
}


def test_a_server_that_is_no_whole_wsus_is_refused_and_finished_once_it_is(controller: Start) -> None:
    fleet = controller({"servers": {name: server for name, (server, _rest) in NOT_WHOLE.items()}})
    with fleet.lab.edit("not-wsus") as document:
        keys = {key: document["registry"].pop(key) for key in (SETUP, INSTALLED)}
    one = run(fleet)
    for name, (_rest, cause) in NOT_WHOLE.items():
        refused(one, f"{name}: ", cause, "Nothing was changed", server=name)
    untouched(fleet)
    with fleet.lab.edit("not-wsus") as document:
        document["registry"] |= keys
    with fleet.lab.edit("no-post-install") as document:
        document["registry"][INSTALLED]["UpdateServices-Services"]["data"] = 2
    with fleet.lab.edit("no-site") as document:
        document["registry"][SETUP]["IISTargetWebSiteIndex"]["data"] = 1634923
    for name, service in {"w3svc-stopped": "W3SVC", "wsus-stopped": "WsusService"}.items():
        with fleet.lab.edit(name) as document:
            document["services"][service] = "Running"
    with fleet.lab.edit("pool-stopped") as document:
        document["iis"]["application_pools"]["WsusPool"]["state"] = "Started"
    finishes(fleet)


# --- the certificate -------------------------------------------------------------------------------------------------

CERTIFICATES = {
    "none": "The computer's Personal store has no certificate at all. Obtain one for none.corp.example first.",
    "expired": "expired",
    "other_name": "is for other.corp.example, not for other-name.corp.example",
    "no_key": "has no private key",
    "lost_key": "private key cannot be opened",
    "rsa1024": "1024",
    "sha1": "SHA-1",
}


def test_a_certificate_that_cannot_serve_is_refused_by_name_and_one_that_can_is_taken(controller: Start) -> None:
    names = {kind.replace("_", "-"): kind for kind in CERTIFICATES}
    fleet = controller({"servers": {name: {"certificate": [kind, "ok"]} for name, kind in names.items()}})
    good, candidates = {}, {}
    for name in names:
        with fleet.lab.edit(name) as document:
            good[name] = document["certificates"]["My"].popitem()
            candidates[name] = list(document["certificates"]["My"])
    one = run(fleet)
    for name, kind in names.items():
        said = refused(one, f"{name}: ", CERTIFICATES[kind], "Nothing was changed", server=name)
        assert all(thumbprint in said for thumbprint in candidates[name]), "every candidate is named"
    untouched(fleet)
    for name, (thumbprint, certificate) in good.items():
        with fleet.lab.edit(name) as document:
            document["certificates"]["My"][thumbprint] = certificate
    finishes(fleet)
    for name, (thumbprint, _rest) in good.items():
        document = fleet.lab.machine(name).document
        bound = [binding.get("certificate_hash") for binding in document["iis"]["sites"][0]["bindings"] if binding["protocol"] == "https"]
        assert bound == [thumbprint]


def test_a_certificate_of_a_ca_that_the_server_does_not_trust_itself(controller: Start) -> None:
    fleet = controller({"servers": {"wsus01": {"certificate": "untrusted_ca"}}})
    said = refused(run(fleet), "wsus01: ", "this server does not trust the certificate found at wsus01.corp.example:8531")
    assert "Trusted Root store" in said
    with fleet.lab.edit("wsus01") as document:
        assert "UsingSSL" in document["registry"][SETUP]
        assert document["registry"][SETUP]["UsingSSL"]["data"] == 0, "WSUS must not be told a name that it could not reach itself by"
    again = refused(run(fleet), "wsus01: ", "does not trust", "Nothing was changed")
    assert "UntrustedRoot" in again or "PartialChain" in again
    root = ssl.PEM_cert_to_DER_cert(fleet.lab.other_ca_file.read_text())
    with fleet.lab.edit("wsus01") as document:
        entry = {"der": base64.b64encode(root).decode(), "has_private_key": False, "friendly_name": ""}
        document["certificates"]["Root"][hashlib.sha1(root).hexdigest().upper()] = entry
    finishes(fleet, https_server_ca_file=str(fleet.lab.other_ca_file))


def test_an_https_port_that_another_site_has(controller: Start) -> None:
    fleet = controller({"servers": {"wsus01": {}}})
    intranet = {
        "id": 7,
        "name": "Intranet",
        "state": "Stopped",
        "bindings": [{"protocol": "https", "information": "*:8531:", "ssl_flags": 0}],
        "applications": [{"path": "/", "pool": "DefaultAppPool"}],
    }
    with fleet.lab.edit("wsus01") as document:
        document["iis"]["sites"].append(copy.deepcopy(intranet))
    refused(run(fleet), "wsus01: Port 8531 belongs to another site of this machine, 'Intranet'", "Nothing was changed")
    untouched(fleet)
    with fleet.lab.edit("wsus01") as document:
        document["iis"]["sites"].pop()
    finishes(fleet)


# --- the connection --------------------------------------------------------------------------------------------------


@pytest.mark.every_core
def test_a_wrong_password(controller: Start) -> None:
    fleet = controller({"servers": {"wsus01": {}}})
    refused(run(fleet, HTTPS_SERVER, ansible_password="wrong"), "wsus01: The connection failed: ", "credentials were rejected")
    untouched(fleet)
    finishes(fleet)


def test_a_server_that_refuses_the_login_fails_its_own_wave_only(controller: Start) -> None:
    fleet = controller({"servers": {"wsus01": {"faults": {"login_refused": True}}, "wsus02": {"upstream": "wsus01"}}})
    first = run(fleet, ROLLOUT)
    refused(first, "wsus01: The connection failed: ")
    assert standing(first, "wsus02") == "offers HTTPS"
    fleet.lab.heal()
    finishes(fleet, ROLLOUT)


def test_a_server_that_cannot_be_reached_fails_its_own_wave_only(controller: Start) -> None:
    fleet = controller({"servers": {"wsus01": {"faults": {"unreachable": True}}, "wsus02": {"upstream": "wsus01"}}})
    first = run(fleet, ROLLOUT)
    refused(first, "wsus01: The connection failed: ", "refused")
    assert standing(first, "wsus02") == "offers HTTPS"
    fleet.lab.heal()
    finishes(fleet, ROLLOUT)


@pytest.mark.parametrize("when", ["before", "during", "after"])
def test_a_connection_that_is_cut_at_a_change(controller: Start, when: str) -> None:
    fleet = controller({"servers": {"wsus01": {}}})
    # The first trip observes, the second sets the pool, the third binds the certificate.
    fleet.lab.cut(3, when, changes=1)  # type: ignore[arg-type]
    refused(
        run(fleet),
        "wsus01: The connection",
        "It happened while these changes were made, and which of them took effect is not known: Note on the server that its site needs a restart; "
        "Bind the certificate",
        "Run it again",
    )
    fleet.lab.heal()
    finishes(fleet)


# --- changes that fail -----------------------------------------------------------------------------------------------

#: By server: the entry that fails, what Windows says, what was not done.
FAILING = {
    "wsusutil": ("wsusutil configuressl", "The database is not there", "Tell WSUS"),
    "silent": ("wsusutil silent", "ended well, but WSUS did not record silent.corp.example", "Tell WSUS"),
    "iis": ("commit iis", "Access is denied", "Set the application pool"),
    "kernel": ("http.sys 0.0.0.0:8531", "The handle is invalid", "Bind the certificate"),
    "service": ("restart WsusService", "The service did not respond in time", "Restart the service WsusService"),
    "pool": ("recycle WsusPool", "The RPC server is unavailable", "Recycle the application pool WsusPool"),
    "site": ("stop site", "The site is busy", "Stop and start the WSUS site"),
}


def test_a_change_that_fails_says_what_was_done_and_what_was_not_and_the_next_run_goes_on(controller: Start) -> None:
    fleet = controller({"servers": {name: {"faults": {"changes": {entry: says}}} for name, (entry, says, _rest) in FAILING.items()}})
    one = run(fleet)
    for name, (_rest, says, sentence) in FAILING.items():
        said = refused(one, f"{name}: ", says, "0x", f"Not done: {sentence}", "Mend the cause and run it again", server=name)
        assert "Done before that: " in said or "Nothing was changed before that" in said
    fleet.lab.heal()
    finishes(fleet)


def test_a_machine_that_does_not_come_back_from_its_restart(controller: Start) -> None:
    fleet = controller({"restart_seconds": 0.5, "servers": {"wsus01": {"faults": {"no_return": True}}}})
    refused(
        run(fleet, https_server_restart="reboot", https_server_reboot_timeout=3),
        "wsus01: The restart did not end well: ",
        "Everything before the restart is done",
        "run it again: a restart that is still pending is done then",
    )
    # Somebody starts it by hand: that was the restart.
    fleet.lab.heal()
    finishes(fleet, https_server_restart="reboot")
    assert [one.command for one in fleet.lab.raw_commands].count("restart") == 1


# --- left half-way, and set up otherwise -----------------------------------------------------------------------------


def test_a_server_left_half_way_by_hand_is_finished(controller: Start) -> None:
    """TLS required, configuressl never run: the API of such a server does not answer, and a run that began by asking it would not get on."""
    required = {f"WSUS Administration/{name}": {"sslFlags": "Ssl"} for name in FIVE}
    fleet = controller({"servers": {"wsus01": {"state": {"iis": {"locations": required}}}}})
    assert fleet.task("wsus01", "wsus_server_info").of("It")["standing"] == "half-way"
    finishes(fleet, https_server_require_tls=True)


def test_a_localized_site_name_custom_ports_and_another_name_are_taken_as_they_are(controller: Start) -> None:
    servers = {"localized": {"site_name": "WSUS-Verwaltung"}, "ports": {"ports": [9442, 9443]}, "named": {"fqdn": "updates.corp.example"}}
    fleet = controller({"servers": servers})
    with inventory(fleet) as hosts:
        hosts["named"]["https_server_fqdn"] = "updates.corp.example"
    one = finishes(fleet, https_server_require_tls=True)
    urls = {name: f"https://{name}.corp.example:8531" for name in servers}
    urls |= {"ports": "https://ports.corp.example:9443", "named": "https://updates.corp.example:8531"}
    assert {name: one.of("Keep the result", name)["ansible_facts"]["https_server_result"]["url"] for name in servers} == urls


def test_wsus_on_80_and_443_is_taken_as_it_is(controller: Start) -> None:
    needs_low_ports()
    fleet = controller({"servers": {"wsus01": {"ports": [80, 443]}}})
    one = finishes(fleet, https_server_require_tls=True)
    assert one.of("Keep the result")["ansible_facts"]["https_server_result"]["url"] == "https://wsus01.corp.example:443"


def needs_low_ports() -> None:
    try:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 443))
    except OSError as error:
        if error.errno == errno.EACCES:
            pytest.skip("ports below 1024 are not for this user (sysctl net.ipv4.ip_unprivileged_port_start)")
        if error.errno != errno.EADDRINUSE:
            raise


# --- the upstream ----------------------------------------------------------------------------------------------------


def test_an_upstream_whose_ca_the_downstream_server_does_not_trust(controller: Start) -> None:
    fleet = controller({"servers": {"wsus01": {"stage": "offered"}, "wsus02": {"upstream": "wsus01", "trusts_ca": False}}})
    refused(
        run(fleet, DOWNSTREAM),
        "wsus02: The upstream is not ready for synchronization over TLS",
        "this server does not trust the certificate found at wsus01.corp.example:8531",
        "Have the issuing CA trusted in the computer's Trusted Root store",
        "Nothing was changed",
    )
    untouched(fleet)
    with fleet.lab.edit("wsus01") as document:
        roots = copy.deepcopy(document["certificates"]["Root"])
    with fleet.lab.edit("wsus02") as document:
        document["certificates"]["Root"] = roots
    done = run(fleet, DOWNSTREAM)
    assert done.code == 0, done.output
    assert fleet.lab.machine("wsus02").document["wsus"]["upstream"]["ssl"] is True


def test_the_rollout_stops_at_an_upstream_whose_ca_a_downstream_server_does_not_trust(controller: Start) -> None:
    # wsus02's own certificate is of the CA that it does trust.
    downstream = {"upstream": "wsus01", "certificate": "untrusted_ca", "trusts_ca": ["other"]}
    fleet = controller({"servers": {"wsus01": {}, "wsus02": downstream}})
    both = fleet.folder / "both.pem"
    both.write_text(fleet.lab.ca_file.read_text() + fleet.lab.other_ca_file.read_text())
    refused(
        run(fleet, ROLLOUT, https_server_ca_file=str(both)),
        "wsus02: The upstream is not ready for synchronization over TLS",
        "does not trust the certificate found at wsus01.corp.example:8531",
    )
    assert fleet.lab.machine("wsus02").document["wsus"]["upstream"]["ssl"] is False, "it goes on synchronizing over HTTP"
    with fleet.lab.edit("wsus01") as document:
        roots = copy.deepcopy(document["certificates"]["Root"])
    with fleet.lab.edit("wsus02") as document:
        document["certificates"]["Root"] |= roots
    finishes(fleet, ROLLOUT, https_server_ca_file=str(both))
