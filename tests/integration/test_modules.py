# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the modules do that their targets do not show: what a user cannot bring about at will, and what only the lab can count."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.controller import Controller, Run

UPSTREAM = "wsus01.corp.example"
OFFERED = {"servers": {"wsus01": {"stage": "offered"}, "wsus02": {"upstream": "wsus01"}}}

Start = Callable[..., Controller]


def refusal(one: Run, host: str) -> str:
    """What a failed task says; it names the server and is no traceback."""
    assert one.code != 0, one.output
    assert not one.unreachable
    assert "Traceback" not in one.output
    said = " ".join(str(one.of("It")["msg"]).split())
    assert said.startswith(f"{host}: ")
    return said


def changes_asked(fleet: Controller) -> list[list[str]]:
    """The kinds of changes of every trip that asked for any."""
    return [trip.changes for trip in fleet.lab.trips if trip.module.endswith("wsus_change")]


# --- all of them -----------------------------------------------------------------------------------------------------


def test_what_was_observed_must_be_a_state(controller: Start) -> None:
    fleet = controller({"servers": {"wsus01": {}}})
    said = refusal(fleet.task("wsus01", "wsus_ssl_binding", observed={"something": "else"}), "wsus01")
    assert "'observed' is not the state of a server" in said
    assert not fleet.lab.trips


@pytest.mark.parametrize(
    ("module", "options", "says"),
    [
        ("wsus_restart", {"method": "kick"}, "method"),
        ("wsus_ssl_binding", {"port": "https"}, "port"),
        ("wsus_ssl_binding", {"thumbprint": "AB" * 20, "issuer": "CN=CA"}, "mutually exclusive"),
        ("wsus_downstream_sync", {}, "upstream"),
        ("wsus_app_pool", {"queue_lenght": 2000}, "queue_lenght"),
    ],
)
def test_options_that_cannot_be_are_refused_without_a_trip(controller: Start, module: str, options: dict[str, Any], says: str) -> None:
    fleet = controller({"servers": {"wsus01": {}}})
    one = fleet.task("wsus01", module, **options)
    assert one.code != 0
    assert "Traceback" not in one.output
    assert says in one.of("It")["msg"]
    assert not fleet.lab.trips


def test_the_state_before_the_first_change_is_kept_once_and_readable_by_its_owner_alone(controller: Start) -> None:
    fleet = controller({"servers": {"wsus01": {}}})
    kept = fleet.folder / "deep" / "folder" / "wsus01.json"

    def tasks(*extra: str) -> Run:
        set_pool = {"name": "It", "securepatch.wsus.wsus_app_pool": {"backup": str(kept)}}
        bind = {"name": "Bind", "securepatch.wsus.wsus_ssl_binding": {"backup": str(kept)}}
        return fleet.playbook([{"hosts": "wsus01", "gather_facts": False, "tasks": [set_pool, bind]}], *extra)

    assert tasks("--check").of("Bind")["changed"]
    assert not kept.exists(), "check mode writes nothing"
    assert tasks().of("Bind")["changed"]
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    state = json.loads(kept.read_text())
    assert state["iis"]["application_pool"]["queue_length"] == 1000, "the state before the first change, not before the second"
    assert list(kept.parent.iterdir()) == [kept]


def test_nothing_is_changed_where_the_state_before_cannot_be_kept(controller: Start) -> None:
    fleet = controller({"servers": {"wsus01": {}}})
    file = fleet.folder / "file"
    file.touch()
    said = refusal(fleet.task("wsus01", "wsus_app_pool", backup=str(file / "wsus01.json")), "wsus01")
    assert "cannot be kept in" in said
    assert "Nothing was changed" in said
    assert not changes_asked(fleet)


def test_modules_run_under_become(controller: Start) -> None:
    fleet = controller({"servers": {"wsus01": {}}})
    play = {
        "hosts": "wsus01",
        "gather_facts": False,
        "become": True,
        "become_method": "ansible.builtin.runas",
        "become_user": "SYSTEM",
        "tasks": [{"name": "It", "securepatch.wsus.wsus_app_pool": {}}],
    }
    one = fleet.playbook([play])
    assert one.of("It")["changed"], one.output
    assert [trip.become_user for trip in fleet.lab.trips] == ["SYSTEM", "SYSTEM"]


@pytest.mark.parametrize("when", ["before", "during", "after"])
def test_a_connection_that_drops_during_a_change_is_a_failed_result_and_the_next_run_goes_on(controller: Start, when: str) -> None:
    fleet = controller({"servers": {"wsus01": {"faults": {"drop": {"when": when, "module": "wsus_change", "changes": 1}}}}})
    said = refusal(fleet.task("wsus01", "wsus_ssl_binding"), "wsus01")
    assert "which of them took effect is not known" in said
    again = fleet.task("wsus01", "wsus_ssl_binding")
    assert again.code == 0, again.output
    assert [entry["served"] for entry in again.of("It")["after"]] == [again.of("It")["thumbprint"]]
    assert not fleet.task("wsus01", "wsus_ssl_binding").changed


def test_a_connection_that_drops_while_looking_changes_nothing(controller: Start) -> None:
    fleet = controller({"servers": {"wsus01": {"faults": {"drop": {"when": "after", "module": "wsus_state"}}}}})
    said = refusal(fleet.task("wsus01", "wsus_ssl_binding"), "wsus01")
    assert "connection" in said
    assert not changes_asked(fleet)


# --- wsus_ssl_binding ------------------------------------------------------------------------------------------------


def test_another_certificate_in_the_kernel_than_on_file_is_mended(controller: Start) -> None:
    fleet = controller({"servers": {"wsus01": {"stage": "offered", "certificate": ["two"]}}})
    place = r"HKLM:\SYSTEM\CurrentControlSet\Services\HTTP\Parameters\SslBindingInfo\0.0.0.0:8531"
    with fleet.lab.edit("wsus01") as document:
        on_file = bytes.fromhex(document["registry"][place]["SslCertHash"]["data"])
        other = next(one for one in document["certificates"]["My"] if bytes.fromhex(one) != on_file)
        document["registry"][place]["SslCertHash"]["data"] = other
    done = fleet.task("wsus01", "wsus_ssl_binding", "--diff").of("It")
    assert done["changed"]
    assert [entry["served"] for entry in done["before"]] == [other]
    assert [entry["served"] for entry in done["after"]] == [on_file.hex().upper()]
    assert not fleet.task("wsus01", "wsus_ssl_binding").changed


def test_what_a_binding_has_besides_its_certificate_stays(controller: Start) -> None:
    fleet = controller({"servers": {"wsus01": {}}})
    with fleet.lab.edit("wsus01") as document:
        document["iis"]["sites"][0]["bindings"][1] = {"protocol": "https", "information": "*:8531:wsus01.corp.example", "ssl_flags": 33}
    done = fleet.task("wsus01", "wsus_ssl_binding").of("It")
    assert [(entry["binding"], entry["ssl_flags"]) for entry in done["after"]] == [("*:8531:wsus01.corp.example", 33)]
    assert done["after"][0]["served"] == done["thumbprint"]


def test_a_site_without_an_https_binding_gets_one(controller: Start) -> None:
    fleet = controller({"servers": {"wsus01": {}}})
    with fleet.lab.edit("wsus01") as document:
        del document["iis"]["sites"][0]["bindings"][1]
    done = fleet.task("wsus01", "wsus_ssl_binding").of("It")
    assert [entry["binding"] for entry in done["after"]] == ["*:8531:"]
    assert done["after"][0]["served"] == done["thumbprint"]


# --- wsus_configuressl and wsus_restart ------------------------------------------------------------------------------


def test_configuressl_by_itself_needs_two_trips(controller: Start) -> None:
    fleet = controller({"servers": {"wsus01": {}}})
    assert fleet.task("wsus01", "wsus_ssl_binding").changed
    before = len(fleet.lab.trips)
    assert fleet.task("wsus01", "wsus_configuressl").changed
    assert len(fleet.lab.trips) - before <= 2


def test_a_restart_that_windows_waits_for_is_told_and_not_done(controller: Start) -> None:
    pending = {r"HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending": {}}
    fleet = controller({"servers": {"wsus01": {"state": {"registry": pending}}}})
    result = fleet.task("wsus01", "wsus_restart").of("It")
    assert not result["changed"]
    assert result["windows_pending"] is True
    assert "Windows itself waits for a restart" in " ".join(result["notes"])
    assert not fleet.lab.raw_commands


def test_a_restart_of_the_services_needs_a_pool_that_runs(controller: Start) -> None:
    fleet = controller({"servers": {"wsus01": {"stage": "offered"}}})
    assert fleet.task("wsus01", "wsus_configuressl", state="absent").of("It")["restart_pending"]
    with fleet.lab.edit("wsus01") as document:
        document["iis"]["application_pools"]["WsusPool"]["state"] = "Stopped"
    said = refusal(fleet.task("wsus01", "wsus_restart", method="services"), "wsus01")
    assert "The application pool WsusPool is not running" in said
    assert "Nothing was changed" in said


# --- iis_require_ssl -------------------------------------------------------------------------------------------------


def test_tls_is_not_required_while_a_downstream_server_comes_over_http(controller: Start) -> None:
    fleet = controller(OFFERED)
    said = refusal(fleet.task("wsus01", "iis_require_ssl"), "wsus01")
    assert "wsus02.corp.example" in said
    assert "its own state is not known" in said
    assert "Nothing was changed" in said

    def with_its_state(move: dict[str, Any] | None) -> Run:
        tasks: list[dict[str, Any]] = [{"name": "See", "securepatch.wsus.wsus_server_info": {}, "delegate_to": "wsus02", "register": "below"}]
        if move is not None:
            tasks.append({"name": "Move", "securepatch.wsus.wsus_downstream_sync": move, "delegate_to": "wsus02", "register": "below"})
        require = {"downstream_states": ["{{ below.state }}"]}
        tasks.append({"name": "It", "securepatch.wsus.iis_require_ssl": require})
        return fleet.playbook([{"hosts": "wsus01", "gather_facts": False, "tasks": tasks}])

    assert "synchronizes from http://wsus01.corp.example:8530" in refusal(with_its_state(None), "wsus01")
    assert not changes_asked(fleet)
    assert with_its_state({"upstream": UPSTREAM}).of("It")["standing"] == "requires TLS"


@pytest.mark.parametrize("ignored", [["WSUS02.corp.example"], "wsus02.corp.example", True, "yes"])
def test_a_downstream_server_can_be_left_behind_by_name_or_all_of_them(controller: Start, ignored: Any) -> None:
    fleet = controller(OFFERED)
    assert fleet.task("wsus01", "iis_require_ssl", "--check", ignore_downstream=ignored).of("It")["changed"]
    assert not changes_asked(fleet)


def test_a_requirement_on_the_whole_site_is_told_and_taken_away_only_when_asked(controller: Start) -> None:
    fleet = controller({"servers": {"wsus01": {"stage": "offered"}}})
    with fleet.lab.edit("wsus01") as document:
        document["iis"]["locations"]["WSUS Administration"] = {"sslFlags": "Ssl,Ssl128"}
    told = fleet.task("wsus01", "iis_require_ssl").of("It")
    assert "replace_site_requirement: true" in " ".join(told["notes"])
    assert "Ssl" in told["after"][""]
    replaced = fleet.task("wsus01", "iis_require_ssl", replace_site_requirement=True).of("It")
    assert replaced["after"][""] == "Ssl128"
    assert replaced["after"]["ReportingWebService"] == "Ssl128 (inherited)"
    assert replaced["standing"] == "requires TLS"
    assert not fleet.task("wsus01", "iis_require_ssl", replace_site_requirement=True).changed


# --- wsus_downstream_sync --------------------------------------------------------------------------------------------


def test_a_synchronization_that_fails_is_told_in_words_of_wsus_and_is_due_again(controller: Start) -> None:
    fleet = controller({"servers": {"wsus01": {"stage": "required"}, "wsus02": {"upstream": "wsus01"}}})
    over_http = {"upstream": UPSTREAM, "port": 8530, "use_ssl": False, "synchronize": True, "timeout": 20}
    said = refusal(fleet.task("wsus02", "wsus_downstream_sync", **over_http), "wsus02")
    assert "The synchronization ended as Failed, with WSUS's error UssCommunicationError" in said
    assert "HTTP status 403: Forbidden" in said
    done = fleet.task("wsus02", "wsus_downstream_sync", upstream=UPSTREAM, synchronize=True, timeout=20)
    assert done.of("It")["after"] == {"source": f"https://{UPSTREAM}:8531", "replica": False, "last_synchronization": "Succeeded"}


def test_a_synchronization_in_progress_and_a_configuration_being_saved_are_waited_for(controller: Start) -> None:
    below = {"upstream": "wsus01", "state": {"wsus": {"busy": 2, "busy_after_save": 1}}}
    fleet = controller({"servers": {"wsus01": {"stage": "offered"}, "wsus02": below}})
    one = fleet.task("wsus02", "wsus_downstream_sync", upstream=UPSTREAM, synchronize=True, timeout=30)
    assert one.code == 0, one.output
    assert one.of("It")["after"]["last_synchronization"] == "Succeeded"


def test_a_synchronization_that_does_not_end_is_given_up_and_nothing_is_changed(controller: Start) -> None:
    fleet = controller({"servers": {"wsus01": {"stage": "offered"}, "wsus02": {"upstream": "wsus01"}}})
    with fleet.lab.edit("wsus02") as document:
        document["wsus"]["synchronization_status"] = "Running"
    said = refusal(fleet.task("wsus02", "wsus_downstream_sync", upstream=UPSTREAM, timeout=1), "wsus02")
    assert "still synchronizes, or works on its configuration, after 1 s. Nothing was changed" in said
    assert not changes_asked(fleet)


def test_configuration_manager_has_to_be_acknowledged(controller: Start) -> None:
    fleet = controller({"servers": {"wsus01": {"stage": "offered"}, "wsus02": {"upstream": "wsus01", "configuration_manager": True}}})
    said = refusal(fleet.task("wsus02", "wsus_downstream_sync", upstream=UPSTREAM), "wsus02")
    assert "Require SSL communication" in said
    assert not changes_asked(fleet)
    done = fleet.task("wsus02", "wsus_downstream_sync", upstream=UPSTREAM, configuration_manager="acknowledged").of("It")
    assert done["changed"]
    assert "software update point" in " ".join(done["notes"])


def test_a_proxy_is_told_where_the_upstream_is_not_trusted(controller: Start) -> None:
    below = {"upstream": "wsus01", "trusts_ca": False, "state": {"wsus": {"proxy": {"name": "proxy.corp.example", "port": 3128}}}}
    fleet = controller({"servers": {"wsus01": {"stage": "offered"}, "wsus02": below}})
    said = refusal(fleet.task("wsus02", "wsus_downstream_sync", upstream=UPSTREAM), "wsus02")
    assert "uses the proxy proxy.corp.example:3128" in said
    assert "does not trust" in said


def test_a_server_is_moved_to_microsoft_update_only_when_asked(controller: Start) -> None:
    fleet = controller(OFFERED)
    done = fleet.task("wsus02", "wsus_downstream_sync", source="microsoft_update", reparent=True).of("It")
    assert done["after"]["source"] == "Microsoft Update"
    assert not fleet.task("wsus02", "wsus_downstream_sync", source="microsoft_update").changed
