"""What each change is called on Windows, in words, in a prediction and on the way back."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import pytest
from ansible_collections.securepatch.wsus.plugins.plugin_utils.changes import (
    ApplicationPool,
    Binding,
    BindingAbsent,
    Change,
    ConfigureSsl,
    Event,
    MarkRestart,
    Reboot,
    RecyclePool,
    Registry,
    RestartService,
    RestartSite,
    SetAccess,
    SetSynchronization,
    StartSynchronization,
    predict,
    way_back,
)
from ansible_collections.securepatch.wsus.plugins.plugin_utils.state import (
    MARKS_KEY,
    SETUP_KEY,
    Refusal,
    State,
    is_promised,
    restart_pending,
    site_of,
)

from tests.unit.plugin_utils.machines import FQDN, MARKS, NOW, bind, configure, document, downstream, issued, offering, read, require, text

THUMBPRINT = "5A1E0C3B7F2D4986A0B1C2D3E4F5061728394A5B"
BOUND = Binding("*", 8531, "", THUMBPRINT, "My", 0)
UPSTREAM = SetSynchronization(False, "wsus00.corp.example", 8531, True, False, 240)


def after(state: State, *changes: Change) -> State:
    return predict(state, changes, NOW)


def undone(state: State, *changes: Change) -> list[Change]:
    back, _lost = way_back(state, changes, NOW)
    return back


@pytest.mark.parametrize(
    ("change", "payload"),
    [
        (
            BOUND,
            {"kind": "binding", "ip_address": "*", "port": 8531, "host_name": "", "thumbprint": THUMBPRINT, "store": "My", "ssl_flags": 0},
        ),
        (BindingAbsent("*", 8531, "a.b"), {"kind": "binding_absent", "ip_address": "*", "port": 8531, "host_name": "a.b"}),
        (SetAccess("ClientWebService", ("Ssl",)), {"kind": "access", "application": "ClientWebService", "ssl_flags": ["Ssl"]}),
        (SetAccess("", None), {"kind": "access", "application": "", "ssl_flags": None}),
        (
            ApplicationPool("WsusPool", (("queue_length", 2000), ("ping_enabled", False))),
            {"kind": "application_pool", "name": "WsusPool", "settings": {"queue_length": 2000, "ping_enabled": False}},
        ),
        (RecyclePool("WsusPool"), {"kind": "recycle_pool", "name": "WsusPool"}),
        (RestartSite(), {"kind": "restart_site"}),
        (RestartService("WsusService"), {"kind": "restart_service", "name": "WsusService"}),
        (MarkRestart(), {"kind": "mark_restart"}),
        (
            Registry(SETUP_KEY, "UsingSSL", "DWord", 0, "Words of its own"),
            {"kind": "registry", "path": SETUP_KEY, "name": "UsingSSL", "type": "DWord", "data": 0},
        ),
        (ConfigureSsl(FQDN), {"kind": "configure_ssl", "fqdn": FQDN}),
        (
            UPSTREAM,
            {
                "kind": "synchronization",
                "microsoft_update": False,
                "upstream_name": "wsus00.corp.example",
                "upstream_port": 8531,
                "upstream_ssl": True,
                "replica": False,
                "wait_seconds": 240,
            },
        ),
        (StartSynchronization(), {"kind": "start_synchronization"}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Change) else "",
)
def test_what_the_server_is_told(change: Change, payload: dict[str, Any]) -> None:
    assert change.payload() == payload


def test_a_reboot_is_never_in_the_list_that_the_server_gets() -> None:
    with pytest.raises(TypeError, match="not a change that the server makes to itself"):
        Reboot().payload()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (BOUND, f"Bind the certificate {THUMBPRINT} to *:8531"),
        (Binding("10.0.0.5", 443, FQDN, THUMBPRINT, "My", 1), f"Bind the certificate {THUMBPRINT} to 10.0.0.5:443 ({FQDN})"),
        (Binding("", 8531, "", None, "My", 0, True), "Bind the certificate that is still to come to *:8531"),
        (Binding("*", 8531, "", None, None, 0), "Leave the https binding *:8531 without a certificate"),
        (BindingAbsent("", 8531, FQDN), f"Remove the https binding *:8531 ({FQDN})"),
        (SetAccess("ClientWebService", ("Ssl",)), "Require TLS on ClientWebService"),
        (SetAccess("ClientWebService", ("Ssl", "Ssl128")), "Require TLS on ClientWebService (other flags: Ssl128)"),
        (SetAccess("ClientWebService", ()), "No longer require TLS on ClientWebService"),
        (SetAccess("", ("Ssl128",)), "No longer require TLS on the site as a whole (other flags: Ssl128)"),
        (SetAccess("ClientWebService", None), "Let ClientWebService have the access flags of its parent again"),
        (
            ApplicationPool("WsusPool", (("queue_length", 2000), ("ping_enabled", False), ("private_memory_kb", 0))),
            "Set the application pool WsusPool: queue length 2000, ping off, private memory limit 0 KB",
        ),
        (RecyclePool("WsusPool"), "Recycle the application pool WsusPool"),
        (RestartSite(), "Stop and start the WSUS site, so that it listens on its new binding"),
        (RestartService("WsusService"), "Restart the service WsusService"),
        (Reboot(), "Restart the machine"),
        (MarkRestart(), "Note on the server that it needs a restart"),
        (Registry(SETUP_KEY, "UsingSSL", "DWord", 0), "Set UsingSSL to 0 in the setup key of WSUS"),
        (Registry(SETUP_KEY, "ServerCertificateName", "String", None), "Remove ServerCertificateName from the setup key of WSUS"),
        (Registry(r"HKLM:\SOFTWARE\Else", "X", "DWord", 1), r"Set X to 1 in HKLM:\SOFTWARE\Else"),
        (Registry(MARKS_KEY, "Mark", "String", "1"), "Note Mark on the server"),
        (Registry(MARKS_KEY, "Mark", "String", None), "Take the note Mark off the server"),
        (Registry(MARKS_KEY, "Mark", "String", "1", "Words of its own"), "Words of its own"),
        (ConfigureSsl(FQDN), f"Tell WSUS that it is {FQDN} over TLS (WsusUtil configuressl)"),
        (UPSTREAM, "Synchronize from https://wsus00.corp.example:8531"),
        (SetSynchronization(False, "wsus00", 8530, False, True, 1), "Synchronize from http://wsus00:8530 as a replica"),
        (SetSynchronization(True, "wsus00", 8530, False, False, 1), "Synchronize from Microsoft Update"),
        (StartSynchronization(), "Synchronize once"),
    ],
)
def test_each_change_is_one_sentence(change: Change, words: str) -> None:
    assert change.describe() == words


# --- predictions ------------------------------------------------------------------------------------------------------


def test_a_prediction_leaves_the_state_it_was_given_as_it_is_and_says_what_it_is() -> None:
    state = read()
    before = copy.deepcopy(state)
    ahead = after(state, MarkRestart())
    assert state == before
    assert ahead["predicted"] is True
    assert ahead["marks"] != state["marks"]
    assert "predicted" not in after(state)


def test_a_predicted_binding_takes_the_place_of_the_one_there_and_the_kernel_serves_it() -> None:
    state = read(bind(document(), "good", served="longer"))
    ahead = after(state, Binding("*", 8531, "", THUMBPRINT, "My", 4))
    https = [one for one in site_of(ahead)["bindings"] if one["protocol"] == "https"]
    assert https == [
        {"protocol": "https", "ip_address": "*", "port": 8531, "host_name": "", "thumbprint": THUMBPRINT, "store": "My", "ssl_flags": 4}
    ]
    assert ahead["http_sys"] == [{"endpoint": "0.0.0.0:8531", "thumbprint": THUMBPRINT, "store": "My"}]
    assert is_promised(ahead, 8531)


def test_a_predicted_binding_promises_its_endpoint_once() -> None:
    ahead = after(read(), BOUND, BOUND)
    endpoints = ahead["endpoints"]
    assert [(one["host_name"], one["port"], one["tls"], one.get("promised")) for one in endpoints] == [(FQDN, 8531, True, True)]
    assert endpoints[0]["trusted"] is None
    assert endpoints[0]["name_matches"] is None


def test_a_bare_binding_promises_nothing() -> None:
    ahead = after(read(), Binding("*", 8531, "", None, "My", 0))
    assert not ahead.get("endpoints")
    assert ahead["http_sys"] == []
    assert [one.get("store") for one in site_of(ahead)["bindings"] if one["protocol"] == "https"] == [None]


def test_a_promised_certificate_has_no_thumbprint_anywhere() -> None:
    ahead = after(read(), Binding("*", 8531, "", None, "My", 0, True))
    binding = site_of(ahead)["bindings"][-1]
    assert (binding["thumbprint"], binding["store"], binding["promised"]) == (None, "My", True)
    assert ahead["http_sys"] == [{"endpoint": "0.0.0.0:8531", "thumbprint": None, "store": "My"}]


def test_the_kernels_entry_goes_with_its_last_binding() -> None:
    found = bind(bind(document(), "good"), "longer", at="*:443:")
    assert [one["endpoint"] for one in after(read(found), BindingAbsent("*", 8531, ""))["http_sys"] or []] == ["0.0.0.0:443"]


def test_the_kernels_entry_stays_while_another_site_needs_it() -> None:
    found = bind(document(), "good")
    other = {"protocol": "https", "information": "*:8531:else.corp.example", "certificate_hash": issued("good").thumbprint, "certificate_store": "My"}
    found["iis"]["sites"].append({"id": 1, "name": "Else", "bindings": [other], "applications": []})
    ahead = after(read(found), BindingAbsent("*", 8531, ""))
    assert [one["endpoint"] for one in ahead["http_sys"] or []] == ["0.0.0.0:8531"]
    assert not [one for one in site_of(ahead)["bindings"] if one["protocol"] == "https"]


def test_what_an_application_inherits_changes_with_the_site_and_what_is_its_own_does_not() -> None:
    state = read(require(document(), "ClientWebService", flags="Ssl128"))
    site = site_of(after(state, SetAccess("", ("Ssl",))))
    assert site["access"] == {"ssl_flags": ["Ssl"], "inherited": False}
    assert site["applications"]["SimpleAuthWebService"] == {"ssl_flags": ["Ssl"], "inherited": True}
    assert site["virtual_directories"]["Content"] == {"ssl_flags": ["Ssl"], "inherited": True}
    assert site["applications"]["ClientWebService"] == {"ssl_flags": ["Ssl128"], "inherited": False}


def test_an_application_named_in_another_case_is_the_same_one() -> None:
    state = read(require(document(), "", flags="Ssl128"))
    site = site_of(after(state, SetAccess("DSSAUTHWEBSERVICE", ("Ssl",))))
    assert site["applications"]["DssAuthWebService"] == {"ssl_flags": ["Ssl"], "inherited": False}
    assert site_of(after(state, SetAccess("DSSAuthWebService", None)))["applications"]["DssAuthWebService"]["ssl_flags"] == ["Ssl128"]


def test_a_predicted_restart_is_over_for_the_mark_and_for_windows() -> None:
    state = after(read(), MarkRestart())
    state["restart"]["windows_pending"] = True
    assert restart_pending(state)
    ahead = after(state, Reboot())
    assert not restart_pending(ahead)
    assert ahead["restart"]["windows_pending"] is False
    assert restart_pending(state)


def test_a_predicted_mark_is_younger_than_the_last_start_even_where_the_clocks_differ() -> None:
    found = document()
    found["computer"]["boot_time"] = "2026-11-21T18:00:00Z"  # six hours ahead of the controller
    ahead = after(read(found), MarkRestart())
    assert restart_pending(ahead)
    assert not restart_pending(after(ahead, Reboot()))


def test_configuressl_records_name_and_port_of_the_binding() -> None:
    setup = after(read(bind(document(), at="*:443:")), ConfigureSsl(FQDN))["setup"]
    assert setup is not None
    assert (setup["using_ssl"], setup["certificate_name"], setup["port"]) == (True, FQDN, 443)
    # Without a certificate yet: the port that WSUS pairs with its own.
    setup = after(read(), ConfigureSsl(FQDN))["setup"]
    assert setup is not None
    assert setup["port"] == 8531


@pytest.mark.parametrize(
    "change",
    [SetAccess("ApiRemoting30", ()), RecyclePool("WsusPool"), RestartService("WsusService"), Reboot(), ConfigureSsl(FQDN), BOUND],
    ids=lambda change: change.kind,
)
def test_whether_an_api_that_does_not_answer_does_afterwards_is_not_known(change: Change) -> None:
    state = read(offering())
    state["api"] = None
    state["unreadable"]["api"] = {"message": "403", "id": None, "type": "", "hresult": "", "native": None}
    ahead = after(state, change)
    assert ahead["api"] is None
    assert "api" not in ahead["unreadable"]
    assert "api" in state["unreadable"]


def test_an_api_that_answers_goes_on_answering() -> None:
    state = read(offering())
    assert after(state, Reboot())["api"] == state["api"]


def test_a_new_source_and_a_synchronization_from_it() -> None:
    state = read(downstream(replica=True))
    synchronization = (after(state, UPSTREAM, StartSynchronization())["api"] or {})["synchronization"]
    source = {name: synchronization[name] for name in ("upstream_name", "upstream_port", "upstream_ssl", "replica")}
    assert source == {"upstream_name": "wsus00.corp.example", "upstream_port": 8531, "upstream_ssl": True, "replica": False}
    assert (synchronization["last"]["result"], synchronization["last"]["id"]) == ("Succeeded", None)


def test_from_microsoft_update_nothing_is_a_replica_and_the_upstream_stays_on_file() -> None:
    state = read(downstream(replica=True))
    synchronization = (after(state, SetSynchronization(True, "x", 1, True, True, 240))["api"] or {})["synchronization"]
    assert (synchronization["microsoft_update"], synchronization["replica"], synchronization["upstream_name"]) == (True, False, "wsus00.corp.example")


def test_a_synchronization_cannot_be_foretold_where_the_api_is_not_known() -> None:
    state = read()
    state["api"] = None
    with pytest.raises(Refusal, match="cannot be foretold"):
        after(state, UPSTREAM)


# --- the way back -----------------------------------------------------------------------------------------------------


def test_kinds_that_have_no_way_back_are_listed_and_told() -> None:
    events: Sequence[Change] = [RecyclePool("WsusPool"), RestartSite(), RestartService("WsusService"), Reboot(), StartSynchronization()]
    assert {each for each in Event.__subclasses__() if each.__module__ == Event.__module__} == {type(change) for change in events}
    assert not any(change.reversible for change in events)
    back, lost = way_back(read(), events, NOW)
    assert (back, lost) == ([], list(events))


def test_every_other_kind_is_reversible() -> None:
    kinds = [each for each in Change.__subclasses__() if each is not Event and each.__module__ == Change.__module__]
    assert len(kinds) == 8
    assert all(each.reversible for each in kinds)


def test_the_way_back_goes_in_reverse_and_from_the_state_before_each_change() -> None:
    state = read()
    changes: list[Change] = [SetAccess("ClientWebService", ("Ssl",)), SetAccess("ClientWebService", ("Ssl", "Ssl128")), MarkRestart()]
    assert undone(state, *changes) == [
        Registry(MARKS_KEY, "RestartNeededSince", "String", None),
        SetAccess("ClientWebService", ("Ssl",)),
        SetAccess("ClientWebService", None),
    ]


def test_an_older_mark_comes_back() -> None:
    found = document()
    found["registry"][MARKS] = {"RestartNeededSince": text("2026-10-01T00:00:00Z")}
    assert undone(read(found), MarkRestart()) == [Registry(MARKS_KEY, "RestartNeededSince", "String", "2026-10-01T00:00:00Z")]
    assert undone(read(found), Registry(MARKS_KEY, "Other", "String", "1")) == [Registry(MARKS_KEY, "Other", "String", None)]


def test_a_binding_that_was_there_comes_back_with_its_flags_and_a_new_one_goes() -> None:
    state = read(bind(document(), "longer", flags=4))
    assert undone(state, BOUND) == [Binding("*", 8531, "", issued("longer").thumbprint, "My", 4)]
    assert undone(state, Binding("*", 443, "", THUMBPRINT, "My", 0)) == [BindingAbsent("*", 443, "")]
    assert undone(state, BindingAbsent("*", 8531, "")) == [Binding("*", 8531, "", issued("longer").thumbprint, "My", 4)]


def test_configuressl_goes_back_to_what_setup_had_recorded() -> None:
    assert undone(read(bind(document())), ConfigureSsl(FQDN)) == [
        Registry(SETUP_KEY, "UsingSSL", "DWord", 0),
        Registry(SETUP_KEY, "PortNumber", "DWord", 8530),
        Registry(SETUP_KEY, "ServerCertificateName", "String", None),
    ]
    old = read(configure(bind(document()), "old.corp.example"))
    assert undone(old, ConfigureSsl(FQDN))[2] == Registry(SETUP_KEY, "ServerCertificateName", "String", "old.corp.example")
    back = undone(old, Registry(SETUP_KEY, "UsingSSL", "DWord", 0))
    assert back == [Registry(SETUP_KEY, "UsingSSL", "DWord", 1)]
    assert not isinstance(back[0].payload()["data"], bool)


def test_only_the_pool_settings_that_were_changed_come_back() -> None:
    changes = ApplicationPool("WsusPool", (("queue_length", 2000), ("ping_enabled", False)))
    assert undone(read(), changes) == [ApplicationPool("WsusPool", (("queue_length", 1000), ("ping_enabled", True)))]


def test_the_upstream_comes_back_or_microsoft_update_with_the_upstream_that_it_had_on_file() -> None:
    old = SetSynchronization(False, "wsus00.corp.example", 8530, False, True, 240)
    assert undone(read(downstream(replica=True)), UPSTREAM) == [old]
    assert undone(read(), UPSTREAM) == [SetSynchronization(True, "", 8530, False, False, 240)]
    microsoft = downstream(microsoft_update=True)
    assert undone(read(microsoft), UPSTREAM) == [
        SetSynchronization(False, "wsus00.corp.example", 8530, False, False, 240),
        SetSynchronization(True, "wsus00.corp.example", 8530, False, False, 240),
    ]


def test_a_binding_takes_the_place_of_what_the_kernel_serves_at_its_endpoint() -> None:
    state = read(bind(document(), "longer", at="*:8531:"))
    served_now = {"0.0.0.0:8531": "AB" * 20, "0.0.0.0:443": "CD" * 20}
    state["http_sys"] = [{"endpoint": endpoint, "thumbprint": thumbprint, "store": "My"} for endpoint, thumbprint in served_now.items()]
    site_of(state)["bindings"].append({**site_of(state)["bindings"][-1], "ip_address": "0.0.0.0"})
    served = {entry["endpoint"]: entry["thumbprint"] for entry in after(state, BOUND)["http_sys"] or []}
    assert served == {"0.0.0.0:8531": THUMBPRINT, "0.0.0.0:443": "CD" * 20}
    assert len(after(state, BOUND)["http_sys"] or []) == 2
