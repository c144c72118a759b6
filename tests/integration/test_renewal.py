# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The renewal of certificates, by real ansible-playbook over a lab: who is due and why, what is served meanwhile, pins, and what is removed."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.serialization import Encoding

from tests.integration.controller import Controller
from tests.integration.rollouts import (
    assert_nothing_due,
    bound,
    change_trips,
    changes,
    documents,
    listed_changes,
    marks,
    masked,
    plan,
    renewal,
    requires,
    said,
    served,
    set_variables,
    store,
    table,
    trips,
    watched_over_tls,
    waves,
    works_over_tls,
)
from tests.lab.lab import Lab

Start = Callable[..., Controller]
HTTP_SYS = r"HKLM:\SYSTEM\CurrentControlSet\Services\HTTP\Parameters\SslBindingInfo"
REMOTE_DESKTOP = r"HKLM:\SYSTEM\CurrentControlSet\Control\Terminal Server\WinStations\RDP-Tcp"
#: An enterprise CA that every server asks, and whose root every server is to trust.
FROM_THE_CA: dict[str, Any] = {
    "ca": {},
    "variables": {"certificate_source": "enterprise_ca", "trust_authorities": ["{ca_chain_file}"]},
    "defaults": {"stage": "offered"},
}
#: Where a client pins WSUS servers' certificates.
PINS = "WindowsServerUpdateServices"
#: One certificate that ends soon and is bound, and one that lasts.
SOON_AND_LONG = [{"days": 7, "friendly_name": "WSUS old"}, {"days": 380, "friendly_name": "WSUS new"}]
#: The changes that bind another certificate in the place of the old one.
REBOUND = ["registry", "binding"]


def fleet_of(servers: dict[str, Any], **rest: Any) -> dict[str, Any]:
    """A fleet whose servers get their certificates from the domain's CA."""
    return {**FROM_THE_CA, "servers": servers, **rest}


def soon(**server: Any) -> dict[str, Any]:
    """A server whose certificate ends in a week."""
    return {"certificate": "short_lived", **server}


def in_days(days: int) -> str:
    """A day as the plan and the table have it."""
    return (datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)).strftime("%Y-%m-%d")


def line(run: Any, name: str) -> str:
    """What the plan says of a server."""
    (found,) = [told[1] for one in plan(run) if (told := re.fullmatch(rf"[│├└─ ]*{name} +(\S.*)", one))]
    return found


def other_thumbprint(lab: Lab, name: str) -> str:
    """The certificate of a server's Personal store that is not bound, where there are two."""
    (other,) = store(lab, name) - {bound(lab, name)}
    return other


def bind_by_hand(document: dict[str, Any], thumbprint: str, *, iis: bool = True, kernel: bool = True) -> None:
    """Bind another certificate to a machine's WSUS site, in the file of IIS and in the kernel's table, or in one of them alone."""
    binding = next(one for one in document["iis"]["sites"][0]["bindings"] if one["protocol"] == "https")
    if iis:
        binding["certificate_hash"] = thumbprint
    if kernel:
        document["registry"][f"{HTTP_SYS}\\0.0.0.0:8531"]["SslCertHash"]["data"] = thumbprint


# --- who is due ------------------------------------------------------------------------------------------------------


def test_each_reason_for_a_renewal(controller: Start) -> None:
    """One server for each reason, all in one run: seen in the plan, foretold in check mode, renewed in place, and served from outside."""
    other_root = {"certificate": "untrusted_ca"}
    fleet = controller(
        fleet_of(
            {
                "top": {},
                "days": soon(upstream="top", stage="required"),
                "expired": {"certificate": "expired"},
                "name": {"certificate": "other_name"},
                "names": {},
                "issuer": {**other_root, "trusts_ca": ["lab", "other"]},
                "untrusted": other_root,
                "root": {"trusts_ca": False, "intermediates": False},
                "gone": {},
                "kernel": {"certificate": "two"},
                "file": {"certificate": [{"days": 7}, {"days": 300}]},
                "lazy": soon(),
                "stale": {"certificate": "two"},
                "told": soon(fqdn="updates.corp.example"),
            }
        )
    )
    lab = fleet.lab
    set_variables(lab, "names", certificate_extra_names="wsus,updates.corp.example")
    set_variables(lab, "issuer", certificate_issuer="Lab Issuing CA 1")
    set_variables(lab, "told", wsus_fqdn="")  # which name WSUS was told is on the server
    with lab.edit("gone") as document:
        document["certificates"]["My"].clear()
    with lab.edit("kernel") as document:
        bind_by_hand(document, other_thumbprint(lab, "kernel"), iis=False)
    lab.arm("lazy", stale_site=True)
    lab.arm("stale", stale_site=True)
    before_stale = bound(lab, "stale")
    with lab.edit("stale") as document:
        bind_by_hand(document, other_thumbprint(lab, "stale"))
    names = list(lab.fleet.servers)
    old = {name: bound(lab, name) for name in names}
    assert served(lab, "stale") == before_stale != old["stale"]
    working = [name for name in names if works_over_tls(lab, name)]
    assert working == ["top", "days", "names", "kernel", "file", "lazy", "stale", "told"]

    before = documents(lab)
    foretold = renewal(fleet, "--check")
    assert foretold.code == 0, foretold.output
    assert documents(lab) == before
    assert len(lab.trips) == len(names), "the plan's look is enough to foretell all"
    assert lab.ca.requests == []
    assert "Check mode: nothing was changed." in said(foretold)

    since = len(lab.trips)
    with watched_over_tls(lab, working) as shown:
        run = renewal(fleet)
    assert run.code == 0, run.output
    due = [name for name in names if name != "top"]
    assert waves(run) == [["days"], [name for name in due if name != "days"]]
    assert plan(run)[0] == f"{len(names)} WSUS servers, {len(due)} of them due (fewer than 30 days left, or no longer fit)."
    expected = {
        "top": f"until {in_days(365)}",
        "days": f"until {in_days(7)}, DUE: its certificate has only 6 days left, until {in_days(7)}, fewer than 30",
        "expired": f"until {in_days(-3)}, DUE: its certificate expired on {in_days(-3)}",
        "name": f"until {in_days(365)}, DUE: its certificate is for other.corp.example, not for name.corp.example",
        "names": f"until {in_days(365)}, DUE: its certificate is for names.corp.example, not for wsus; "
        "its certificate is for names.corp.example, not for updates.corp.example",
        "issuer": f"until {in_days(365)}, DUE: its certificate was issued by CN=Other Issuing CA 1, not by Lab Issuing CA 1",
        "untrusted": f"until {in_days(365)}, DUE: its certificate is not trusted by the server itself (PartialChain)",
        "root": f"until {in_days(365)}, DUE: its certificate is not trusted by the server itself (PartialChain)",
        "gone": f"no certificate, DUE: the certificate {old['gone']} that is bound is no longer in the store",
        "kernel": f"until {in_days(200)}, DUE: http.sys serves {other_thumbprint(lab, 'kernel')} where {old['kernel']} is bound",
        "file": f"until {in_days(7)}, DUE: its certificate has only 6 days left, until {in_days(7)}, fewer than 30",
        "lazy": f"until {in_days(7)}, DUE: its certificate has only 6 days left, until {in_days(7)}, fewer than 30",
        "stale": f"until {in_days(380)}, DUE: its site still serves an older certificate",
        "told": f"until {in_days(7)}, DUE: its certificate has only 6 days left, until {in_days(7)}, fewer than 30",
    }
    assert {name: line(run, name) for name in names} == expected
    assert {name: line(foretold, name) for name in names} == expected

    # Each was asked for once, and only where no other certificate of the machine fits; the names are those that were asked for.
    asked = {one.server: set(one.names) for one in lab.ca.requests}
    assert len(asked) == len(lab.ca.requests)
    assert set(asked) == {"days", "expired", "name", "names", "issuer", "untrusted", "root", "gone", "lazy", "told"}
    assert asked["names"] == {"names.corp.example", "wsus", "updates.corp.example"}
    assert asked["name"] == {"name.corp.example"}
    assert asked["told"] == {"updates.corp.example"}

    done = {name: [trip.changes for trip in made] for name, made in change_trips(lab, since).items()}
    enrolled = [["certificate_enroll"], REBOUND]
    assert done == {
        **dict.fromkeys(("days", "expired", "name", "names", "issuer", "untrusted", "gone", "told"), enrolled),
        "root": [["trust", "trust"], *enrolled],
        "kernel": [["binding"]],
        "file": [REBOUND],
        # Only a site that goes on serving the old one is stopped and started.
        "lazy": [*enrolled, ["restart_site", "registry"]],
        "stale": [["restart_site", "registry"]],
    }
    assert sorted(trip.server for trip in trips(lab, since) if not trip.changes) == sorted(names), "one look each"

    for name in names:
        now = bound(lab, name)
        assert served(lab, name) == now, name
        assert works_over_tls(lab, name), name
        assert now in store(lab, name)
        if name == "gone":
            assert store(lab, name) == {now}
        else:
            assert old[name] in store(lab, name), "the old one is kept"
        replaced = now != old[name]
        assert marks(lab, name) == ({"ReplacedCertificates": str(old[name])} if replaced else {}), name
        if name in working:
            assert None not in shown[name], name
            assert now in shown[name]
            assert shown[name] <= {now, old[name], before_stale, *store(lab, "kernel")}, name
    assert requires(lab, "days")
    assert shown["days"] == {old["days"], bound(lab, "days")}

    # Check mode said all of it before; what the site goes on serving shows only once the new one is bound.
    made = masked(changes(run))
    late = ["Stop and start the WSUS site, so that it listens on its new binding", "Take the note of the site's restart off the server"]
    assert made["lazy"][-2:] == late
    assert masked(changes(foretold)) == masked(listed_changes(foretold)) == {**made, "lazy": made["lazy"][:-2]}
    would, did = table(foretold), table(run)
    assert {name: ended for name, (ended, _ends, _happened) in would.items()} == {name: ended for name, (ended, _ends, _happened) in did.items()}
    assert {name: f"{happened} to make" for name, (_ended, _ends, happened) in did.items() if name not in {"top", "lazy"}} == {
        name: happened for name, (_ended, _ends, happened) in would.items() if name not in {"top", "lazy"}
    }
    assert would["days"][1] == would["gone"][1] == "to come"
    assert (did["days"][:2], did["gone"][:2], did["file"][:2]) == ((in_days(7), in_days(365)), ("none", in_days(365)), (in_days(7), in_days(300)))
    assert did["stale"] == (in_days(380), in_days(380), "2 changes")
    assert did["top"] == would["top"] == (in_days(365), in_days(365), "nothing to do")
    for name in ("issuer", "untrusted"):
        assert f"{name}: The certificate was issued by CN=Lab Issuing CA 1, the one before it by CN=Other Issuing CA 1" in said(run)
    assert said(run).count("The certificate was issued by") == 2
    assert said(run).endswith(" Nothing is left to do.")

    assert_nothing_due(fleet)


def test_only_days_count_where_nothing_else_is_wrong(controller: Start) -> None:
    """The limit moves who is due, and what is obtained has to keep to it as well."""
    fleet = controller(fleet_of({"wsus01": {"certificate": {"days": 50}}, "wsus02": {"certificate": {"days": 20}}}, ca={"days": 40}))
    lab = fleet.lab
    assert_nothing_due(fleet, wsus_renew_days=10)
    assert line(renewal(fleet, "--check"), "wsus01") == f"until {in_days(50)}"
    asked_for_more = renewal(fleet, wsus_renew_days="60")
    assert asked_for_more.code != 0
    assert waves(asked_for_more) == [["wsus01", "wsus02"]]
    assert "fewer than 60" in line(asked_for_more, "wsus01")
    # Two were issued that would have ended too soon; neither stays, and what was bound still is.
    assert len(lab.ca.requests) == 2
    assert [len(store(lab, name)) for name in lab.fleet.servers] == [1, 1]
    assert "The CA issued a certificate that cannot be used" in said(asked_for_more)
    assert works_over_tls(lab, "wsus01")
    done = renewal(fleet)
    assert done.code == 0, done.output
    assert {name for name, made in change_trips(lab).items() if any("binding" in trip.changes for trip in made)} == {"wsus02"}
    assert table(done)["wsus02"][:2] == (in_days(20), in_days(40))
    assert_nothing_due(fleet)


def test_few_days_are_enough_where_few_are_asked_for(controller: Start) -> None:
    """Its last week is not the reason to bind it anew, and not one against it either."""
    fleet = controller({"defaults": {"stage": "offered"}, "servers": {"wsus01": {"certificate": [{"days": 7}, {"days": 300}]}}})
    lab = fleet.lab
    here, other = str(bound(lab, "wsus01")), other_thumbprint(lab, "wsus01")
    with lab.edit("wsus01") as document:
        bind_by_hand(document, other, iis=False)
    run = renewal(fleet, wsus_renew_days=5)
    assert run.code == 0, run.output
    assert line(run, "wsus01") == f"until {in_days(7)}, DUE: http.sys serves {other} where {here} is bound"
    assert changes(run) == {"wsus01": [f"Bind the certificate {here} to *:8531"]}
    assert served(lab, "wsus01") == here


def test_it_stays_on_the_port_that_it_has(controller: Start) -> None:
    """Bound by hand on a port of its own, before WSUS was told of TLS; on the one that WSUS pairs there is a binding without a certificate."""
    fleet = controller(fleet_of({"wsus01": {"certificate": "short_lived", "stage": "http"}}))
    lab = fleet.lab
    (old,) = store(lab, "wsus01")
    with lab.edit("wsus01") as document:
        binding = {"protocol": "https", "information": "*:9443:", "ssl_flags": 0, "certificate_hash": old, "certificate_store": "My"}
        document["iis"]["sites"][0]["bindings"].append(binding)
        kernel = {"SslCertHash": {"kind": "Binary", "data": old}, "SslCertStoreName": {"kind": "String", "data": "My"}}
        document["registry"][f"{HTTP_SYS}\\0.0.0.0:9443"] = kernel
    run = renewal(fleet)
    assert run.code == 0, run.output
    with lab.machine("wsus01").lock:
        found = {one["information"]: one.get("certificate_hash") for one in lab.machine("wsus01").document["iis"]["sites"][0]["bindings"]}
    (new,) = store(lab, "wsus01") - {old}
    assert found == {"*:8530:": None, "*:8531:": None, "*:9443:": new}
    assert_nothing_due(fleet)


@pytest.mark.every_core
def test_a_server_is_renewed_a_second_is_not_due_and_a_third_cannot_be_reached(controller: Start) -> None:
    """With all that a renewal can do: pins on a client, and the old certificates removed."""
    tree = {"wsus01": soon(), "wsus02": {"upstream": "wsus01"}, "wsus03": soon(upstream="wsus01")}
    fleet = controller(fleet_of(tree, clients={"client01": {}}))
    lab = fleet.lab
    everything = {"wsus_pin_on_clients": True, "wsus_remove_old_certificates": True}
    lab.arm("wsus03", unreachable=True)
    failed = renewal(fleet, **everything)
    assert failed.code != 0
    assert line(failed, "wsus03").startswith("cannot be looked at: The connection failed: ")
    assert table(failed) == {
        "wsus01": (in_days(7), in_days(7), "its wave did not start"),
        "wsus02": (in_days(365), in_days(365), "nothing to do"),
        "wsus03": ("not reached", "not known", "FAILED in 'Refuse what cannot be renewed', nothing changed before"),
    }
    told = said(failed)
    assert "Mend what failed on wsus03, and run this again: it goes on where it stopped." in told
    assert "No wave was started for wsus01; the next run does." in told
    assert ".." not in told
    assert change_trips(lab) == {}
    lab.heal()
    run = renewal(fleet, **everything)
    assert run.code == 0, run.output
    assert waves(run) == [["wsus03"], ["wsus01"]]
    assert table(run)["wsus01"] == (in_days(7), in_days(365), "7 changes"), "three, two pins, two to remove"
    assert [served(lab, name) == bound(lab, name) for name in lab.fleet.servers] == [True] * 3
    assert [len(store(lab, name)) for name in lab.fleet.servers] == [1] * 3
    assert {bound(lab, "wsus01"), bound(lab, "wsus03")} <= store(lab, "client01", PINS)
    # The site goes on serving the one before: seen by the next run.
    lab.arm("wsus01", stale_site=True)
    fresh = lab.authorities.lab.issue("wsus01.corp.example", ["wsus01.corp.example"])
    with lab.edit("wsus01") as document:
        document["certificates"]["My"][fresh.thumbprint] = {
            "der": fresh.der_base64,
            "has_private_key": True,
            "friendly_name": "",
            "key": fresh.key_pem,
        }
        bind_by_hand(document, fresh.thumbprint)
    stale = renewal(fleet)
    assert (stale.code, waves(stale), table(stale)["wsus01"][2]) == (0, [["wsus01"]], "2 changes"), stale.output
    assert served(lab, "wsus01") == fresh.thumbprint
    assert_nothing_due(fleet)


# --- one that goes on being served -----------------------------------------------------------------------------------


@pytest.mark.parametrize("days", [7, -3])
def test_a_run_that_was_lost_before_the_site_was_restarted_is_finished_by_the_next(controller: Start, days: int) -> None:
    """The binding is made, its answer is lost, and the site goes on serving the old certificate: the next run restarts it, and no other."""
    fleet = controller({"defaults": {"stage": "offered", "certificate": [{"days": days}, {"days": 380}]}, "servers": {"wsus01": {}, "wsus02": {}}})
    lab = fleet.lab
    old, new = bound(lab, "wsus01"), other_thumbprint(lab, "wsus01")
    lab.arm("wsus01", stale_site=True, drop={"when": "after", "module": "wsus_change"})
    cut = renewal(fleet)
    assert cut.code != 0
    assert table(cut)["wsus02"][1] == in_days(380)
    assert (bound(lab, "wsus01"), served(lab, "wsus01")) == (new, old)
    foretold = renewal(fleet, "--check")
    since = len(lab.trips)
    run = renewal(fleet)
    assert run.code == 0, run.output
    assert line(run, "wsus01") == f"until {in_days(380)}, DUE: its site still serves an older certificate"
    assert [(trip.server, trip.changes) for trip in trips(lab, since) if trip.changes] == [("wsus01", ["restart_site", "registry"])]
    assert served(lab, "wsus01") == new
    assert changes(foretold) == changes(run)
    assert_nothing_due(fleet)


def test_one_that_the_server_does_not_trust_either_is_no_success(controller: Start) -> None:
    """Neither does the controller's check show it, which trusts what it was told to, nor would the next run bring anything but the first one."""
    fleet = controller({"servers": {"wsus01": {"stage": "offered", "trusts_ca": False, "certificate": "two"}}})
    lab = fleet.lab
    other = other_thumbprint(lab, "wsus01")
    run = renewal(fleet)
    assert run.code != 0
    assert table(run)["wsus01"][2] == "FAILED in 'Fail where the server does not pass its own check' after 2 changes"
    assert "wsus01: The server does not find itself over TLS as its clients will have to: this server does not trust the certificate" in said(run)
    assert bound(lab, "wsus01") == other
    # What helps is its trust: then nothing is due any more.
    trusting = renewal(fleet, trust_authorities=[str(lab.ca_chain_file)])
    assert trusting.code == 0, trusting.output
    assert_nothing_due(fleet, trust_authorities=[str(lab.ca_chain_file)])


def behind_a_balancer(lab: Lab, name: str) -> None:
    """Give a server's name to the machine `balancer`, which has a certificate of its own for it."""
    network: Any = lab.machine(name).network
    network.join(lab.machine("balancer"), lab.address("balancer"), [f"{name}.corp.example"])


def test_a_certificate_of_a_load_balancer_at_the_name_restarts_nothing(controller: Start) -> None:
    balancer = {"in_inventory": False, "certificate": {"common_name": "wsus01.corp.example", "dns_names": ["wsus01.corp.example"], "days": 100}}
    fleet = controller(fleet_of({"wsus01": {"certificate": {"days": 40}}, "balancer": balancer}))
    lab = fleet.lab
    behind_a_balancer(lab, "wsus01")
    # What is found at the name is the balancer's, so nothing is wrong with the server.
    assert_nothing_due(fleet)
    run = renewal(fleet, wsus_renew_days=60)
    assert run.code == 0, run.output
    assert [trip.changes for trip in change_trips(lab)["wsus01"]] == [["certificate_enroll"], REBOUND]
    assert served(lab, "wsus01") == bound(lab, "wsus01")
    assert_nothing_due(fleet, wsus_renew_days=60)


def test_it_looks_at_itself_by_the_name_that_it_is_known_by(controller: Start) -> None:
    """The name that Windows has for it leads elsewhere, and the one that clients use shows that its site serves an older certificate."""
    balancer = {"in_inventory": False, "certificate": {"common_name": "wsus01.corp.example", "dns_names": ["wsus01.corp.example"]}}
    servers = {"wsus01": {"fqdn": "updates.corp.example", "certificate": "two"}, "balancer": balancer}
    fleet = controller({"defaults": {"stage": "offered"}, "servers": servers})
    lab = fleet.lab
    behind_a_balancer(lab, "wsus01")
    lab.arm("wsus01", stale_site=True)
    with lab.edit("wsus01") as document:
        bind_by_hand(document, other_thumbprint(lab, "wsus01"))
    run = renewal(fleet)
    assert run.code == 0, run.output
    assert line(run, "wsus01").endswith("DUE: its site still serves an older certificate")
    assert served(lab, "wsus01") == bound(lab, "wsus01")
    assert_nothing_due(fleet)


def test_what_is_found_from_outside_has_to_be_the_new_certificate(controller: Start) -> None:
    """Looked at through the balancer, whose certificate is as good, the new one cannot be seen: that is no success."""
    balancer = {"in_inventory": False, "certificate": {"common_name": "wsus01.corp.example", "dns_names": ["wsus01.corp.example"]}}
    fleet = controller(fleet_of({"wsus01": soon(), "balancer": balancer}))
    lab = fleet.lab
    run = renewal(fleet, https_server_check_address=lab.address("balancer"), wsus_remove_old_certificates=True)
    assert run.code != 0
    new = bound(lab, "wsus01")
    assert table(run)["wsus01"] == (in_days(7), in_days(365), "FAILED in 'Check it from outside, from the controller' after 3 changes")
    assert f"served is {bound(lab, 'balancer')}, and not {new}" in said(run)
    assert len(store(lab, "wsus01")) == 2, "nothing is removed where it was not seen to work"
    # It is bound, so the next run finds it done but for the removal, checks it once more, and removes the old one.
    again = renewal(fleet, wsus_remove_old_certificates=True)
    assert again.code == 0, again.output
    assert store(lab, "wsus01") == {new}


def test_the_check_from_outside_trusts_what_the_controller_is_told_to(controller: Start) -> None:
    fleet = controller(fleet_of({"wsus01": soon(), "wsus02": soon(stage="required")}))
    lab = fleet.lab
    set_variables(lab, "wsus01", https_server_ca_file=str(lab.other_ca_file))
    run = renewal(fleet)
    assert run.code != 0
    assert table(run)["wsus01"][2] == "FAILED in 'Check it from outside, from the controller' after 3 changes"
    assert table(run)["wsus02"][2] == "3 changes"
    assert "wsus01 did not pass the check from the controller: the certificate's issuer is trusted: " in said(run)
    checks = {one["id"]: one["status"] for one in run.of("Check it from outside, from the controller", "wsus02")["checks"]}
    assert set(checks.values()) == {"ok"}, "that plain HTTP is refused on the five as well"
    # What is bound is there, and nothing is due any more.
    assert requires(lab, "wsus02")
    assert_nothing_due(fleet)


@pytest.mark.parametrize(("checked", "task"), [("server", "Fail where the server does not pass its own check"), ("none", None)])
def test_the_check_may_be_the_servers_own_or_nobodys(controller: Start, checked: str, task: str | None) -> None:
    """The server itself trusts neither certificate any more, the old one nor the one in its place."""
    certificates = [{"days": 7}, {"days": 380}]
    fleet = controller({"defaults": {"stage": "offered", "certificate": certificates}, "servers": {"wsus01": {}, "wsus02": {"trusts_ca": False}}})
    lab = fleet.lab
    run = renewal(fleet, https_server_check=checked)
    assert table(run)["wsus01"] == (in_days(7), in_days(380), "2 changes")
    assert table(run)["wsus02"] == (in_days(7), in_days(380), f"FAILED in '{task}' after 2 changes" if task else "2 changes")
    assert bool(run.code) == bool(task)
    assert [one["task"] for one in run.results if one["task"].startswith("Check it") and one["status"] != "skipped"] == []
    if task:
        assert "wsus02: The server does not find itself over TLS as its clients will have to: this server does not trust the certificate" in said(run)
    assert works_over_tls(lab, "wsus02")


# --- pins ------------------------------------------------------------------------------------------------------------


def test_pinned_on_the_clients_before_it_is_bound(controller: Start) -> None:
    servers = {"wsus01": {}, "wsus02": soon(), "wsus03": {"certificate": "expired"}}
    fleet = controller(fleet_of(servers, clients={"client01": {}, "client02": {"trusts_ca": False}}))
    lab = fleet.lab
    old = {name: bound(lab, name) for name in lab.fleet.servers}
    before = documents(lab)
    foretold = renewal(fleet, "--check", wsus_pin_on_clients=True)
    assert foretold.code == 0, foretold.output
    assert documents(lab) == before
    for name in ("wsus02", "wsus03"):
        assert f"{name}: Before it is bound, its certificate will be pinned on client01, client02." in said(foretold)
    pins = [sentence for sentence in listed_changes(foretold)["wsus02"] if PINS in sentence]
    assert [sentence.partition(": Add the certificate ")[0] for sentence in pins] == ["client01", "client02"]
    assert all(str(old["wsus02"]) in sentence for sentence in pins)

    since = len(lab.trips)
    with watched_over_tls(lab, ["wsus01", "wsus02"]) as shown:
        run = renewal(fleet, wsus_pin_on_clients="yes")
    assert run.code == 0, run.output
    assert None not in shown["wsus02"]
    done = change_trips(lab, since)
    pinned = [trip.number for name in lab.fleet.clients for trip in done[name]]
    assert max(pinned) < min(trip.number for name in ("wsus02", "wsus03") for trip in done[name] if "binding" in trip.changes)
    # The one that was bound until now as well, while it is valid: else a client would take it no more from the first pin on.
    expected = {old["wsus02"], bound(lab, "wsus02"), bound(lab, "wsus03")}
    for name in lab.fleet.clients:
        assert store(lab, name, PINS) == expected, name
        assert {kind for trip in done[name] for kind in trip.changes} == {"trust"}
    assert "wsus01" not in done
    made = changes(run)
    assert len(made["client01"]) == len(made["client02"]) >= 3
    assert table(run)["wsus02"][2] == f"{3 + 2 * 2} changes", "its own three, and two pins on each of two clients"
    assert table(run)["wsus03"][2] == f"{3 + 2} changes"
    assert "will be pinned" not in said(run)
    assert_nothing_due(fleet, wsus_pin_on_clients=True)


def test_a_client_that_cannot_be_reached_stops_the_server_before_it_is_bound(controller: Start) -> None:
    fleet = controller(fleet_of({"wsus01": soon(), "wsus02": soon(upstream="wsus01")}, clients={"client01": {}, "client02": {}}))
    lab = fleet.lab
    old = {name: bound(lab, name) for name in lab.fleet.servers}
    lab.arm("client02", unreachable=True)
    run = renewal(fleet, wsus_pin_on_clients=True)
    assert run.code != 0
    assert table(run) == {
        "wsus01": (in_days(7), in_days(7), "its wave did not start"),
        "wsus02": (in_days(7), "not known", "FAILED in 'Pin the new certificate on the clients before it is bound' after 3 changes"),
    }
    assert "client02: The connection failed: " in said(run)
    assert {name: bound(lab, name) for name in lab.fleet.servers} == old
    assert works_over_tls(lab, "wsus02")
    assert len(lab.ca.requests) == 1
    lab.heal()
    again = renewal(fleet, wsus_pin_on_clients=True)
    assert again.code == 0, again.output
    assert [one.server for one in lab.ca.requests] == ["wsus02", "wsus01"], "what was issued in the first run is taken"
    assert bound(lab, "wsus02") in store(lab, "client01", PINS) & store(lab, "client02", PINS)
    assert_nothing_due(fleet, wsus_pin_on_clients=True)


# --- the old certificates --------------------------------------------------------------------------------------------


def use_elsewhere(document: dict[str, Any], how: str, thumbprint: str) -> None:
    """Let something else of a machine use a certificate: another site, WinRM, another entry of http.sys, or Remote Desktop."""
    binary = {"kind": "Binary", "data": thumbprint}
    if how == "site":
        binding = {"protocol": "https", "information": "*:9443:", "ssl_flags": 0, "certificate_hash": thumbprint, "certificate_store": "My"}
        document["iis"]["sites"].append({"id": 7, "name": "Intranet", "state": "Started", "bindings": [binding], "applications": []})
    elif how in {"winrm", "kernel"}:
        endpoint = "0.0.0.0:5986" if how == "winrm" else "0.0.0.0:9000"
        document["registry"][f"{HTTP_SYS}\\{endpoint}"] = {"SslCertHash": binary, "SslCertStoreName": {"kind": "String", "data": "My"}}
    elif how == "desktop":
        document["registry"].setdefault(REMOTE_DESKTOP, {})["SSLCertificateSHA1Hash"] = binary


def test_what_was_replaced_is_removed_unless_anything_else_uses_it(controller: Start) -> None:
    used = ("site", "winrm", "kernel", "desktop")
    fleet = controller(fleet_of({name: soon() for name in ("free", *used)} | {"done": {}}))
    lab = fleet.lab
    old = {name: str(bound(lab, name)) for name in lab.fleet.servers}
    for name in used:
        with lab.edit(name) as document:
            use_elsewhere(document, name, old[name])
    first = renewal(fleet)
    assert first.code == 0, first.output
    assert all(store(lab, name) == {old[name], bound(lab, name)} for name in ("free", *used)), "without being asked it removes nothing"
    assert_nothing_due(fleet)

    foretold = renewal(fleet, "--check", wsus_remove_old_certificates=True)
    since = len(lab.trips)
    run = renewal(fleet, wsus_remove_old_certificates=True)
    assert run.code == 0, run.output
    assert masked(changes(foretold)) == masked(changes(run))
    # One that is in use is no reason to come again and again.
    assert waves(run) == [["free"]]
    assert line(run, "free") == f"until {in_days(365)}, DUE: the replaced certificate {old['free']} is to be removed"
    assert [(trip.server, trip.changes) for trip in trips(lab, since) if trip.changes] == [("free", ["certificate_remove", "registry"])]
    assert store(lab, "free") == {bound(lab, "free")}
    assert marks(lab, "free") == {}
    for name in used:
        assert store(lab, name) == {old[name], bound(lab, name)}
        assert marks(lab, name) == {"ReplacedCertificates": old[name]}
    assert_nothing_due(fleet, wsus_remove_old_certificates=True)

    # Once nobody uses it any more, it goes.
    with lab.edit("desktop") as document:
        del document["registry"][REMOTE_DESKTOP]["SSLCertificateSHA1Hash"]
    last = renewal(fleet, wsus_remove_old_certificates=True)
    assert (last.code, waves(last)) == (0, [["desktop"]]), last.output
    assert store(lab, "desktop") == {bound(lab, "desktop")}


def test_removed_in_the_same_run_and_used_ones_named(controller: Start) -> None:
    users = {
        "site": "the site 'Intranet' binds it to *:9443:",
        "winrm": "http.sys serves it at 0.0.0.0:5986 (WinRM over HTTPS)",
        "kernel": "http.sys serves it at 0.0.0.0:9000",
        "desktop": "Remote Desktop uses it",
    }
    fleet = controller(fleet_of({name: soon() for name in ("free", *users)}))
    lab = fleet.lab
    old = {name: str(bound(lab, name)) for name in lab.fleet.servers}
    for name in users:
        with lab.edit(name) as document:
            use_elsewhere(document, name, old[name])
    foretold = renewal(fleet, "--check", wsus_remove_old_certificates=True)
    run = renewal(fleet, wsus_remove_old_certificates=True)
    assert run.code == 0, run.output
    assert masked(changes(foretold)) == masked(changes(run))
    assert store(lab, "free") == {bound(lab, "free")}
    for shown in (foretold, run):
        for name, words in users.items():
            assert f"{name}: The certificate {old[name]} was replaced, and stays: {words}" in said(shown)
        assert "free:" not in said(shown).replace("free: - ", "")
    for name in users:
        assert store(lab, name) == {old[name], bound(lab, name)}
    assert_nothing_due(fleet, wsus_remove_old_certificates=True)


def test_a_certificate_that_is_bound_again_is_not_removed(controller: Start) -> None:
    """The administrator went back by hand to the one that was replaced: it is in use, whatever the note says."""
    fleet = controller({"servers": {"wsus01": {"stage": "offered", "certificate": SOON_AND_LONG}}})
    lab = fleet.lab
    old, new = str(bound(lab, "wsus01")), other_thumbprint(lab, "wsus01")
    assert renewal(fleet).code == 0
    with lab.edit("wsus01") as document:
        bind_by_hand(document, old)
    assert_nothing_due(fleet, wsus_renew_days=2, wsus_remove_old_certificates=True)
    assert store(lab, "wsus01") == {old, new}


# --- where certificates come from ------------------------------------------------------------------------------------


def test_each_source(controller: Start) -> None:
    """In one wave: from the store, one that has none there, a CA that is asked by hand, and a PFX."""
    servers: dict[str, Any] = {
        "store": {"certificate": SOON_AND_LONG},
        "without": soon(),
        "csr": soon(),
        "pfx": soon(),
        "top": soon(),
    }
    for name in ("store", "without", "csr", "pfx"):
        servers[name]["upstream"] = "top"
    fleet = controller({"defaults": {"stage": "offered"}, "servers": servers, "variables": {"trust_authorities": ["{ca_chain_file}"]}})
    lab = fleet.lab
    fresh = lab.authorities.lab.issue("pfx.corp.example", ["pfx.corp.example"])
    (fleet.folder / "pfx.pfx").write_bytes(fresh.pfx("a password of the tests"))
    set_variables(lab, "csr", certificate_source="csr")
    set_variables(
        lab,
        "pfx",
        certificate_source="pfx",
        certificate_pfx_file=str(fleet.folder / "pfx.pfx"),
        certificate_pfx_password="a password of the tests",
        certificate_friendly_name="WSUS renewed",
    )
    set_variables(lab, "top", certificate_source="csr", certificate_request_dir=str(fleet.folder / "elsewhere"))
    old = {name: bound(lab, name) for name in servers}
    longer = other_thumbprint(lab, "store")
    working = list(servers)

    foretold = renewal(fleet, "--check")
    with watched_over_tls(lab, working) as shown:
        run = renewal(fleet)
    assert run.code != 0
    assert table(run) == {
        "store": (in_days(7), in_days(380), "2 changes"),
        "without": (in_days(7), "not known", "FAILED in 'Find the certificate in the Personal store', nothing changed before"),
        "csr": (in_days(7), "not known", "FAILED in 'Wait for its certificate' after 2 changes"),
        "pfx": (in_days(7), in_days(365), f"{len(changes(run)['pfx'])} changes"),
        "top": (in_days(7), in_days(7), "its wave did not start"),
    }
    told = said(run)
    for words in (
        "without: No certificate in the computer's Personal store can serve without.corp.example. Passed over: ",
        "has only 6 days left",
        "csr: The request for its certificate waits for an answer. Have wsus-requests/csr.csr signed by the CA, put the answer beside it, and run "
        "this again. The old certificate stays bound.",
        "Mend what failed on without, csr, and run this again",
        "No wave was started for top",
    ):
        assert words in told, told
    assert (bound(lab, "store"), bound(lab, "pfx")) == (longer, fresh.thumbprint)
    assert {name: bound(lab, name) for name in ("without", "csr", "top")} == {name: old[name] for name in ("without", "csr", "top")}
    with lab.machine("pfx").lock:
        assert lab.machine("pfx").document["certificates"]["My"][fresh.thumbprint]["friendly_name"] == "WSUS renewed"
        assert lab.machine("pfx").document["certificates"]["My"][fresh.thumbprint]["exportable"] is False
    assert lab.files("pfx") == {}
    assert {name for name in working if None in shown[name]} == set()
    # Check mode goes on through all waves, and knows that the request will have to wait.
    made = masked(changes(run))
    assert {name: made[name] for name in ("store", "pfx", "csr")} == {name: masked(changes(foretold))[name] for name in ("store", "pfx", "csr")}
    assert table(foretold)["csr"][2] == "FAILED in 'Wait for its certificate' after 2 changes to make"
    assert table(foretold)["top"][2] == table(foretold)["csr"][2], "in check mode nothing stops"

    # The CA answers; the one without a certificate gets one by hand.
    requests = fleet.folder / "wsus-requests"
    answer = lab.authorities.lab.sign((requests / "csr.csr").read_text())
    (requests / "csr.cer").write_bytes(answer_of(answer))
    set_variables(lab, "without", certificate_source="pfx", certificate_pfx_file=str(pfx_for(fleet, "without")), certificate_pfx_password="p")
    second = renewal(fleet)
    assert second.code != 0
    assert waves(second) == [["without", "csr"], ["top"]]
    assert table(second)["csr"][:2] == (in_days(7), in_days(365))
    assert table(second)["without"][:2] == (in_days(7), in_days(365))
    assert table(second)["top"][2] == "FAILED in 'Wait for its certificate' after 2 changes"
    assert served(lab, "csr") == bound(lab, "csr") != old["csr"]

    # The answer of before lies beside the next request, and does no harm: asked for longer, another request is made.
    answer = lab.authorities.lab.sign((fleet.folder / "elsewhere" / "top.csr").read_text(), days=500)
    (fleet.folder / "elsewhere" / "top.cer").write_bytes(answer_of(answer))
    before = (requests / "csr.csr").read_text()
    third = renewal(fleet, "--limit", "csr,top", wsus_renew_days=390)
    assert table(third)["csr"][2] == "FAILED in 'Wait for its certificate' after 2 changes"
    assert (requests / "csr.csr").read_text() != before
    assert bound(lab, "csr") in store(lab, "csr")
    assert "top" not in change_trips(lab, len(lab.trips)), "a failure in the wave below"
    last = renewal(fleet, "--limit", "top")
    assert last.code == 0, last.output
    assert table(last)["top"][:2] == (in_days(7), in_days(500))
    assert_nothing_due(fleet)


def answer_of(certificate: Any) -> bytes:
    """What a CA answers a request with, in a file: PEM."""
    pem: bytes = certificate.public_bytes(Encoding.PEM)
    return pem


def pfx_for(fleet: Controller, name: str) -> Path:
    """A PFX file on the controller for a server, its password is `p`."""
    path = fleet.folder / f"{name}.pfx"
    path.write_bytes(fleet.lab.authorities.lab.issue(f"{name}.corp.example", [f"{name}.corp.example"]).pfx("p"))
    return path


def test_pending_at_the_ca_is_finished_by_a_run_after_its_decision(controller: Start) -> None:
    fleet = controller(fleet_of({"wsus01": soon(), "wsus02": soon(), "wsus03": soon()}, ca={"mode": "pending"}))
    lab = fleet.lab
    old = {name: bound(lab, name) for name in lab.fleet.servers}
    first = renewal(fleet, wsus_remove_old_certificates=True)
    assert first.code != 0
    asked = "FAILED in 'Ask the enterprise CA as the computer account' after 1 change"
    assert {happened for _ended, _ends, happened in table(first).values()} == {asked}
    by_server = {one.server: one.number for one in lab.ca.requests}
    for name, number in by_server.items():
        assert f"{name}: Request {number} is pending at CA01.corp.example\\Lab Issuing CA 1" in said(first)
    assert {name: bound(lab, name) for name in lab.fleet.servers} == old

    lab.ca.decide(by_server["wsus01"], "issue")
    lab.ca.decide(by_server["wsus02"], "deny")
    second = renewal(fleet, wsus_remove_old_certificates=True)
    assert second.code != 0
    assert table(second)["wsus01"] == (in_days(7), in_days(365), "5 changes")
    assert store(lab, "wsus01") == {bound(lab, "wsus01")}
    assert "wsus02" in said(second)
    assert f"Request {by_server['wsus03']} is pending" in said(second)
    assert len(lab.ca.requests) == 3, "nobody asks for another one meanwhile"
    assert works_over_tls(lab, "wsus02")

    lab.ca.mode = "issue"
    lab.ca.decide(by_server["wsus03"], "issue")
    third = renewal(fleet, wsus_remove_old_certificates=True)
    assert third.code == 0, third.output
    assert [one.server for one in lab.ca.requests] == ["wsus01", "wsus02", "wsus03", "wsus02"] or len(lab.ca.requests) == 4
    assert {name: len(store(lab, name)) for name in lab.fleet.servers} == dict.fromkeys(lab.fleet.servers, 1)
    assert_nothing_due(fleet, wsus_remove_old_certificates=True)


# --- waves and failures ----------------------------------------------------------------------------------------------

TREE = {
    "wsus01": soon(),
    "wsus02": soon(upstream="wsus01"),
    "wsus03": soon(upstream="wsus01", may_enroll=False),
    "wsus04": soon(upstream="wsus01"),
    "wsus05": {"upstream": "wsus02"},
}


def test_while_the_ca_is_offline_no_later_wave_is_started(controller: Start) -> None:
    fleet = controller(fleet_of({**TREE, "wsus05": soon(upstream="wsus02")}, ca={"mode": "offline"}))
    lab = fleet.lab
    with watched_over_tls(lab, list(lab.fleet.servers)) as shown:
        run = renewal(fleet)
    assert run.code != 0
    assert waves(run) == [["wsus05"], ["wsus02", "wsus03", "wsus04"], ["wsus01"]]
    shown_then = table(run)
    assert shown_then["wsus05"][2] == "FAILED in 'Ask the enterprise CA as the computer account', nothing changed before"
    assert {shown_then[name][2] for name in ("wsus01", "wsus02", "wsus03", "wsus04")} == {"its wave did not start"}
    assert "The CA cannot be reached from this server" in said(run)
    assert set(change_trips(lab)) == {"wsus05"}
    assert {name for name, found in shown.items() if None in found} == set()
    assert all(len(store(lab, name)) == 1 and store(lab, name, "Request") == set() for name in lab.fleet.servers)


def test_a_server_that_fails_lets_the_others_of_its_wave_finish(controller: Start) -> None:
    fleet = controller(fleet_of(TREE))
    lab = fleet.lab
    run = renewal(fleet)
    assert run.code != 0
    assert waves(run) == [["wsus02", "wsus03", "wsus04"], ["wsus01"]]
    assert table(run) == {
        "wsus01": (in_days(7), in_days(7), "its wave did not start"),
        "wsus02": (in_days(7), in_days(365), "3 changes"),
        "wsus03": (in_days(7), "not known", "FAILED in 'Ask the enterprise CA as the computer account', nothing changed before"),
        "wsus04": (in_days(7), in_days(365), "3 changes"),
        "wsus05": (in_days(365), in_days(365), "nothing to do"),
    }
    assert "wsus03: Make a private key on the server and ask the directory's default CA" in said(run)
    assert "needs the permissions Read and Enroll on the template" in said(run)
    # As many as the run allows may fail: then the waves go on.
    allowed = renewal(fleet, wsus_max_failures="1")
    assert allowed.code != 0
    assert waves(allowed) == [["wsus03"], ["wsus01"]]
    assert table(allowed)["wsus01"] == (in_days(7), in_days(365), "3 changes")
    lab.ca.may_not_enroll.clear()
    last = renewal(fleet)
    assert (last.code, waves(last)) == (0, [["wsus03"]]), last.output
    assert_nothing_due(fleet)


def test_the_order_of_the_waves_and_their_size_are_the_rollouts(controller: Start) -> None:
    tree = {**TREE, "wsus03": soon(upstream="wsus01")}
    fleet = controller(fleet_of(tree))
    lab = fleet.lab
    assert waves(renewal(fleet, "--check", wsus_batch="1")) == [["wsus02"], ["wsus03"], ["wsus04"], ["wsus01"]]
    run = renewal(fleet, wsus_strategy="top_down", wsus_batch=2)
    assert run.code == 0, run.output
    assert waves(run) == [["wsus01"], ["wsus02", "wsus03"], ["wsus04"]]
    done = change_trips(lab)
    order = [min(trip.number for trip in done[name]) for name in ("wsus01", "wsus02", "wsus04")]
    assert order == sorted(order)
    assert max(trip.number for trip in done["wsus01"]) < min(trip.number for trip in done["wsus03"])
    assert max(trip.number for name in ("wsus02", "wsus03") for trip in done[name]) < min(trip.number for trip in done["wsus04"])


def test_where_it_cannot_be_bound_the_old_one_stays_and_the_next_run_takes_what_was_issued(controller: Start) -> None:
    fleet = controller(fleet_of({"wsus01": soon(), "wsus02": soon(upstream="wsus01")}))
    lab = fleet.lab
    old = bound(lab, "wsus02")
    lab.arm("wsus02", changes={"http.sys": "The handle is invalid"})
    with watched_over_tls(lab, list(lab.fleet.servers)) as shown:
        run = renewal(fleet, wsus_remove_old_certificates=True)
    assert run.code != 0
    # What was made anew, and the note; the second change of the binding's trip is the one that failed.
    assert table(run)["wsus02"] == (in_days(7), "not known", "FAILED in 'Bind it' after 2 changes")
    assert "The handle is invalid" in said(run)
    assert table(run)["wsus01"][2] == "its wave did not start"
    assert shown["wsus02"] == {old}
    assert old in store(lab, "wsus02")
    lab.heal()
    again = renewal(fleet, wsus_remove_old_certificates=True)
    assert again.code == 0, again.output
    assert [one.server for one in lab.ca.requests] == ["wsus02", "wsus01"]
    assert store(lab, "wsus02") == {bound(lab, "wsus02")}
    assert_nothing_due(fleet, wsus_remove_old_certificates=True)


# --- which servers ---------------------------------------------------------------------------------------------------


def test_limit_narrows_what_is_touched(controller: Start) -> None:
    fleet = controller(fleet_of({"wsus01": soon(), "wsus02": soon(upstream="wsus01"), "wsus03": soon(upstream="wsus01")}))
    lab = fleet.lab
    before = documents(lab)
    run = renewal(fleet, "--limit", "wsus02")
    assert run.code == 0, run.output
    assert {trip.server for trip in lab.trips} == {"wsus02"}
    assert {name: documents(lab)[name] for name in ("wsus01", "wsus03")} == {name: before[name] for name in ("wsus01", "wsus03")}
    assert line(run, "wsus03") == line(run, "wsus01") == "not in this run (--limit)"
    assert table(run) == {
        "wsus01": ("-", "-", "not in this run (--limit)"),
        "wsus02": (in_days(7), in_days(365), "3 changes"),
        "wsus03": ("-", "-", "not in this run (--limit)"),
    }
    assert said(run) == "Nothing is left to do."
    assert set(change_trips(lab)) == {"wsus02"}


def test_a_server_without_https_is_named_and_left_alone(controller: Start) -> None:
    fleet = controller(fleet_of({"wsus01": {"stage": "http"}, "wsus02": soon(upstream="wsus01"), "wsus03": {"stage": "http", "certificate": "none"}}))
    lab = fleet.lab
    before = documents(lab)
    run = renewal(fleet)
    assert run.code == 0, run.output
    for name in ("wsus01", "wsus03"):
        assert line(run, name) == "has no https binding with a certificate yet: that is for the rollout"
        assert table(run)[name] == ("-", "-", "nothing to do")
        assert documents(lab)[name] == before[name]
    assert waves(run) == [["wsus02"]]


def test_a_machine_that_is_no_wsus_server_fails_its_own_wave(controller: Start) -> None:
    fleet = controller(fleet_of({"wsus01": soon(), "wsus02": soon()}))
    with fleet.lab.edit("wsus02") as document:
        for key in [key for key in document["registry"] if "Update Services" in key]:
            del document["registry"][key]
    run = renewal(fleet)
    assert run.code != 0
    assert line(run, "wsus02").startswith("BLOCKED: This is not a WSUS server")
    assert table(run)["wsus02"][2] == "FAILED in 'Refuse what cannot be renewed', nothing changed before"
    assert "wsus02: This is not a WSUS server: WSUS setup never ran here." in said(run)
    assert ".." not in said(run)
    assert table(run)["wsus01"][2] == "3 changes"
    assert "wsus02" not in change_trips(fleet.lab)


@pytest.mark.parametrize("days", ["junk", -1])
def test_a_number_of_days_that_is_none(controller: Start, days: Any) -> None:
    fleet = controller(fleet_of({"wsus01": soon()}))
    run = renewal(fleet, wsus_renew_days=days)
    assert run.code != 0
    message = "The renewal could not be planned. Nothing was changed. wsus_renew_days is a number of days, not "
    assert message in run.of("Fail where there was no plan")["msg"]
    assert table(run)["wsus01"][2] == "nothing, there was no plan"
    assert change_trips(fleet.lab) == {}


def test_zero_days_renews_what_has_ended(controller: Start) -> None:
    fleet = controller(fleet_of({"wsus01": soon(), "wsus02": {"certificate": "expired"}}))
    run = renewal(fleet, wsus_renew_days=0)
    assert (run.code, waves(run)) == (0, [["wsus02"]]), run.output


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"wsus_strategy": "sideways"}, 'The strategy (wsus_strategy) is "sideways"; it may be bottom_up or top_down.'),
        ({"wsus_batch": "lots"}, 'The batch (wsus_batch) is "lots"; it may be a number of servers such as 5'),
    ],
)
def test_a_setting_that_cannot_be(controller: Start, variables: dict[str, Any], message: str) -> None:
    fleet = controller(fleet_of({"wsus01": soon()}))
    run = renewal(fleet, **variables)
    assert run.code != 0
    assert message in run.of("Fail where there was no plan")["msg"]
    assert message in said(run)
    assert change_trips(fleet.lab) == {}


def test_a_tree_with_faults_is_refused_with_all_of_them_and_every_server_shown(controller: Start) -> None:
    fleet = controller(fleet_of({"wsus01": soon(), "wsus02": soon(upstream="wsus01"), "wsus03": {}}))
    set_variables(fleet.lab, "wsus01", wsus_upstream="wsus02")
    set_variables(fleet.lab, "wsus03", wsus_upstream="nobody")
    run = renewal(fleet)
    assert run.code != 0
    assert plan(run)[0] == "The renewal cannot be planned. Nothing was changed."
    assert {name: happened for name, (_ended, _ends, happened) in table(run).items()} == dict.fromkeys(
        ("wsus01", "wsus02", "wsus03"), "nothing, there was no plan"
    )
    for told in (" ".join(plan(run)), said(run), run.of("Fail where there was no plan")["msg"]):
        assert 'wsus_upstream of wsus03 is "nobody"' in told
        assert "wsus01" in told
    assert change_trips(fleet.lab) == {}


def test_a_file_of_authorities_that_cannot_be_read_changes_nothing(controller: Start) -> None:
    fleet = controller(fleet_of({"wsus01": soon(), "wsus02": {}}))
    run = renewal(fleet, trust_authorities=["nowhere.pem"])
    assert run.code != 0
    assert "nowhere.pem cannot be read on the controller" in said(run)
    assert list(fleet.lab.trips) == []


def test_imported_with_group_variables(controller: Start) -> None:
    fleet = controller(fleet_of({"wsus01": soon(), "wsus02": {"certificate": {"days": 50}}}, clients={"client01": {}}))
    variables = fleet.lab.inventory.parent / "group_vars"
    variables.mkdir()
    settings = {"wsus_renew_days": "60", "wsus_remove_old_certificates": "true"}
    # Meant for the role's use elsewhere: a server that looks at another one, and that pins.
    meant_for_clients = {"trust_server": "nowhere.corp.example", "trust_pinned": [str(fleet.lab.ca_file)]}
    (variables / "wsus_servers.yml").write_text(yaml.safe_dump({**settings, **meant_for_clients}))
    mine = [{"name": "Certificates that end soon", "import_playbook": "securepatch.wsus.renew_certificates"}]
    run = fleet.playbook(mine, https_server_cold_seconds=2)
    assert run.code == 0, run.output
    assert waves(run) == [["wsus01", "wsus02"]]
    assert [len(store(fleet.lab, name)) for name in fleet.lab.fleet.servers] == [1, 1]
    assert [store(fleet.lab, name, PINS) for name in fleet.lab.fleet.members] == [set()] * 3, "nor was it asked for to pin anything"
    looks = [trip.server for trip in trips(fleet.lab) if not trip.changes]
    assert sorted(looks) == ["wsus01", "wsus02"], "each module hands its state on to the next"
