"""The verdict on one server: what is missing, what stands in the way, and where it stands."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.securepatch.wsus.plugins.plugin_utils.binding import BindingWish
from ansible_collections.securepatch.wsus.plugins.plugin_utils.state import Refusal, State
from ansible_collections.securepatch.wsus.plugins.plugin_utils.verdict import (
    Verdict,
    is_internal_database,
    judge,
    refuse_not_running,
    remarks,
    standing,
)

from tests.unit.plugin_utils.machines import (
    FIVE,
    MARKS,
    NOW,
    SETUP,
    bind,
    configure,
    document,
    dword,
    entry,
    issued,
    offering,
    promised_certificate,
    read,
    require,
    text,
)

GOOD = issued("good").thumbprint
BINDING = [
    "Note on the server that its site needs a restart",
    f"Bind the certificate {GOOD} to *:8531",
    "Stop and start the WSUS site, so that it listens on its new binding",
    "Take the note of the site's restart off the server",
]
TELLING = ["Note on the server that it needs a restart", "Tell WSUS that it is wsus01.corp.example over TLS (WsusUtil configuressl)"]
RESTART = ["Restart the machine"]
REQUIREMENT = [f"Require TLS on {name}" for name in FIVE]


def judged(found: dict[str, Any] | State, **wish: Any) -> Verdict:
    state: Any = found if "unreadable" in found else read(found)  # type: ignore[arg-type]
    return judge(state, BindingWish(**wish), NOW)


def pending(found: dict[str, Any]) -> dict[str, Any]:
    found["registry"][MARKS] = {"RestartNeededSince": text("2026-11-20T00:00:00Z")}
    return found


# --- what is missing ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "to_offer", "to_require"),
    [
        (document(), BINDING + TELLING + RESTART, REQUIREMENT),
        (bind(document()), TELLING + RESTART, REQUIREMENT),
        (pending(offering()), RESTART, REQUIREMENT),
        (offering(), [], REQUIREMENT),
        (require(offering(), *FIVE[:2]), [], REQUIREMENT[2:]),
        (require(offering()), [], []),
        # Required by hand, configuressl never run.
        (require(bind(document())), TELLING + RESTART, []),
    ],
    ids=["http", "bound", "told", "offers", "requires some", "requires", "half-way by hand"],
)
def test_what_is_missing_in_the_order_in_which_to_act_on_it(found: dict[str, Any], to_offer: list[str], to_require: list[str]) -> None:
    verdict = judged(found)
    assert list(verdict.to_offer) == to_offer
    assert list(verdict.to_require) == to_require
    assert verdict.blocked == ()
    assert verdict.offers is (not to_offer)
    assert verdict.requires is (not to_offer and not to_require)


def test_a_verdict_in_plain_types() -> None:
    assert judged(require(offering())).as_dict() == {
        "offers_https": True,
        "requires_tls": True,
        "missing_to_offer": [],
        "missing_to_require": [],
        "blocked_by": [],
        "notes": [],
    }
    assert judged(bind(document())).as_dict()["missing_to_offer"] == TELLING + RESTART


def test_the_wish_is_what_it_is_judged_by() -> None:
    found = offering()
    found["certificates"]["My"][issued("longer").thumbprint] = entry("longer")
    assert judged(found).offers
    assert judged(found, thumbprint=issued("longer").thumbprint).to_offer == (
        f"Note on the server that the certificate {issued('good').thumbprint} was replaced",
        f"Bind the certificate {issued('longer').thumbprint} to *:8531",
    )
    assert not judged(found, min_days_valid=365).offers
    assert not judged(found, issuer="Other CA").offers
    assert "Tell WSUS that it is wsus.corp.example" in " ".join(judged(bind(document(), "wildcard"), fqdn="wsus.corp.example").to_offer)


def test_downstream_servers_and_the_servers_look_at_itself_are_no_part_of_it() -> None:
    found = bind(document())
    found["wsus"]["downstream_servers"] = [{"id": "00000000-0000-4000-8000-000000000001", "fqdn": "a.b", "last_sync": "2026-11-20T00:00:00Z"}]
    assert judged(found).blocked == ()


def test_a_certificate_still_to_come_counts() -> None:
    state = read()
    state["certificates"] = [promised_certificate()]
    verdict = judged(state)
    assert "Bind the certificate that is still to come to *:8531" in verdict.to_offer
    assert verdict.blocked == ()


# --- what stands in the way ---------------------------------------------------------------------------------------------


def without_certificates() -> dict[str, Any]:
    found = document()
    found["certificates"]["My"] = {}
    return found


def changed(**differs: Any) -> dict[str, Any]:
    found = require(offering())
    for part, values in differs.items():
        found[part] = {**found[part], **values}
    return found


def other_site() -> dict[str, Any]:
    found = document()
    found["iis"]["sites"].append({"id": 1, "name": "Intranet", "bindings": [{"protocol": "https", "information": "*:8531:"}], "applications": []})
    return found


def unknown_site() -> dict[str, Any]:
    found = document()
    found["registry"][SETUP]["IISTargetWebSiteIndex"] = dword(7)
    return found


def not_wsus() -> dict[str, Any]:
    found = document()
    found["registry"] = {key: values for key, values in found["registry"].items() if not key.startswith(SETUP)}
    return found


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (without_certificates(), "has no certificate at all"),
        (other_site(), "belongs to another site"),
        (unknown_site(), "IIS has no site with the id 7"),
        (not_wsus(), "not a WSUS server"),
        (changed(services={"W3SVC": "Stopped"}), "the service W3SVC is Stopped"),
        (changed(services={"WsusService": "Stopped"}), "the service WsusService is Stopped"),
    ],
    ids=["no certificate", "port", "site", "no WSUS", "W3SVC", "WsusService"],
)
def test_what_somebody_has_to_mend_first_is_said(found: dict[str, Any], why: str) -> None:
    verdict = judged(found)
    assert why in " ".join(verdict.blocked)
    assert not verdict.offers
    assert not verdict.requires
    assert verdict.as_dict()["blocked_by"] == list(verdict.blocked)
    assert len(set(verdict.blocked)) == len(verdict.blocked)


def test_a_step_that_is_blocked_ends_the_list_of_what_is_missing() -> None:
    verdict = judged(without_certificates())
    assert verdict.to_offer == ()
    assert verdict.to_require == ()


def test_a_site_that_requires_tls_as_a_whole_is_told() -> None:
    verdict = judged(require(offering(), "", *FIVE))
    assert verdict.requires
    assert "TLS is required on the site as a whole" in " ".join(verdict.notes)


@pytest.mark.parametrize(
    ("where", "state", "said"),
    [
        ("site", "Stopped", "the site 'WSUS Administration' is stopped. Start what is stopped"),
        ("pool", "Stopped", "the application pool 'WsusPool' is stopped. Start what is stopped"),
        ("pool", "Stopping", "the application pool 'WsusPool' is stopping. Start what is stopped"),
    ],
)
def test_a_site_and_a_pool_that_do_not_run_are_refused(where: str, state: str, said: str) -> None:
    found = document()
    (found["iis"]["sites"][0] if where == "site" else found["iis"]["application_pools"]["WsusPool"])["state"] = state
    with pytest.raises(Refusal, match=said):
        refuse_not_running(read(found))
    assert said in " ".join(judged(found).blocked)


def test_every_service_that_does_not_run_is_named() -> None:
    found = document()
    found["services"] = {"WsusService": "Stopped", "W3SVC": "Running"}
    with pytest.raises(Refusal, match=r"the service WsusService is Stopped; the service WAS is not there"):
        refuse_not_running(read(found))


@pytest.mark.parametrize("state", ["Started", "Starting"])
def test_what_runs_or_is_about_to_is_not_refused(state: str) -> None:
    found = document()
    found["iis"]["sites"][0]["state"] = state
    found["iis"]["application_pools"]["WsusPool"]["state"] = state
    refuse_not_running(read(found))


def test_a_site_without_the_client_service_is_refused() -> None:
    state = read()
    assert state["iis"] is not None
    state["iis"]["application_pool"] = None
    with pytest.raises(Refusal, match=r"no application ClientWebService\. Repair the WSUS installation"):
        refuse_not_running(state)


# --- remarks ------------------------------------------------------------------------------------------------------------


def test_a_server_in_order_has_none() -> None:
    assert remarks(read()) == ()


def test_what_to_know_beside_it() -> None:
    found = pending(document())
    found["registry"][r"HKLM:\SOFTWARE\Microsoft\SMS"] = {}
    found["registry"][r"HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending"] = {}
    found["registry"][SETUP]["SqlServerName"] = text(r"sql01.corp.example\WSUS")
    found["iis"]["locations"]["WSUS Administration/ApiRemoting30"] = {"sslFlags": "Ssl"}
    said = remarks(read(found))
    words = ("Windows waits", "after configuressl", "Configuration Manager", "sql01", "api")
    assert [next(one for one in said if word in one) for word in words] == [*said]
    assert said[-1] == "api could not be read: The request failed with HTTP status 403: Forbidden."
    assert judged(found).notes[: len(said)] == said


def test_what_blocks_is_not_told_twice() -> None:
    # That IIS could not be read is why the verdict is blocked.
    assert not any(one.startswith(("iis", "setup")) for one in remarks(read(unknown_site())))


@pytest.mark.parametrize(
    ("sql_server", "internal"),
    [
        ("MICROSOFT##WID", True),
        (r"WSUS01\SQLEXPRESS", True),
        ("wsus01", True),
        (r".\SQLEXPRESS", True),
        ("(local)", True),
        ("localhost", True),
        ("sql01", False),
        (r"sql01\WSUS01", False),
    ],
)
def test_whether_the_database_is_on_this_machine(sql_server: str, internal: bool) -> None:
    assert is_internal_database(sql_server, "WSUS01") is internal


# --- where it stands ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (document(), "HTTP"),
        (bind(document()), "half-way"),
        (configure(document()), "half-way"),
        (require(document(), "ClientWebService"), "half-way"),
        (pending(offering()), "restart pending"),
        (pending(require(offering())), "restart pending"),
        (pending(document()), "HTTP"),
        (offering(), "offers HTTPS"),
        (require(offering(), *FIVE[:4]), "offers HTTPS"),
        (require(offering()), "requires TLS"),
        (require(offering(), ""), "requires TLS"),
        (require(offering(), *FIVE, flags="Ssl128"), "offers HTTPS"),
        (unknown_site(), "not a working WSUS"),
        (not_wsus(), "not a working WSUS"),
    ],
)
def test_where_a_server_stands_in_a_few_words(found: dict[str, Any], words: str) -> None:
    assert standing(read(found)) == words


def test_a_server_that_was_never_post_installed_and_one_without_a_port_stand_somewhere_too() -> None:
    found = document()
    del found["registry"][SETUP]["PortNumber"]
    assert standing(read(found)) == "HTTP"
    assert standing(read(bind(found))) == "half-way"
    found["registry"][SETUP + r"\Installed Role Services"]["UpdateServices-Services"] = dword(0)
    assert standing(read(found)) == "not a working WSUS"
