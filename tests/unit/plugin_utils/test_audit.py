# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An audit as a document: put together, judged across servers, held against an earlier one."""

from __future__ import annotations

import copy
import datetime
import json
from dataclasses import asdict
from typing import Any

import pytest
from ansible_collections.securepatch.wsus.plugins.plugin_utils.audit import (
    ACROSS,
    CHECKS,
    AuditError,
    assemble,
    audited,
    fails,
    lines,
    merge,
    refuse_foreign,
)
from ansible_collections.securepatch.wsus.plugins.plugin_utils.audit_checks import Settings, View, audit_server
from ansible_collections.securepatch.wsus.plugins.plugin_utils.audit_clients import CLIENT_CHECKS
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.plugin_utils.machines import DAY, NOW, document, issued, looked, offering, read

DOMAIN = "corp.example"
HOUR = datetime.timedelta(hours=1)


def server(name: str, upstream: str | None = None, **differs: Any) -> dict[str, Any]:
    """One server as wsus_audit returns it, without a finding against it; its upstream lists it where that has it in `below`."""
    own = {"name": name, "fqdn": f"{name}.{DOMAIN}", "url": None, "upstream": upstream, "reached": True, "audited": "2026-11-21T12:00:00Z"}
    more = {"standing": "HTTP", "build": "20348.4294", "reported_fqdn": f"{name}.{DOMAIN}", "server_id": f"id-{name}"}
    rest = {"downstream_servers": [], "certificate": None, "findings": [finding("upstream_trusted")]}
    return {**own, **more, **rest, **differs}


def finding(check: str, result: str = "pass", severity: str = "high", **differs: Any) -> dict[str, Any]:
    said = {"seen": f"{check} seen", "reason": "", "mend": "", "server_says": None, "network_says": None, "disagreement": None}
    return {"check": check, "result": result, "severity": severity, **said, **differs}


def below(*names: str) -> list[dict[str, Any]]:
    return [{"id": f"ID-{name}", "fqdn": f"{name.upper()}.{DOMAIN}", "replica": True, "last_sync": "2026-11-20T03:00:00Z"} for name in names]


def across(servers: list[dict[str, Any]], check: str) -> dict[str, dict[str, Any]]:
    """What came of a check across servers, by server."""
    found = assemble(servers, NOW)["servers"]
    return {one["name"]: next(each for each in one["findings"] if each["check"] == check) for one in found}


def results(servers: list[dict[str, Any]], check: str) -> dict[str, str]:
    return {name: one["result"] for name, one in across(servers, check).items()}


# --- put together ------------------------------------------------------------------------------------------------------


def test_an_audit_has_its_servers_its_checks_and_its_numbers() -> None:
    one = server("wsus01", findings=[finding("binding", "fail"), finding("restart", "fail", "low"), finding("database", "not_known")])
    found = assemble([one, server("wsus02")], NOW, about={"by": "a test"})
    assert (found["schema"], found["version"], found["created"]) == ("securepatch.wsus.audit", 1, "2026-11-21T12:00:00Z")
    assert (found["about"], found["changes"]) == ({"by": "a test"}, None)
    assert [check["id"] for check in found["checks"]] == list(CHECKS)
    assert [set(check) for check in found["checks"]] == [{"id", "title", "source", "severity"}] * len(CHECKS)
    assert found["summary"] == {
        "servers": 2,
        "servers_by_worst": {"high": 1, "medium": 0, "low": 0, "none": 1},
        "results": {"pass": 5, "fail": 2, "not_known": 1, "not_applicable": 2},
        "failures": {"high": 1, "medium": 0, "low": 1},
        "clients": {
            "number": 0,
            "by_worst": {"high": 0, "medium": 0, "low": 0, "none": 0},
            "results": {"pass": 0, "fail": 0, "not_known": 0, "not_applicable": 0},
            "failures": {"high": 0, "medium": 0, "low": 0},
        },
    }
    assert (found["clients"], [check["id"] for check in found["client_checks"]]) == ([], list(CLIENT_CHECKS))
    assert json.loads(json.dumps(found)) == found
    assert refuse_foreign(found) is None  # type: ignore[func-returns-value]


def test_an_audit_of_nobody_is_one() -> None:
    found = assemble([], NOW)
    assert found["summary"]["servers"] == 0
    assert lines(found)[0].startswith("0 WSUS servers audited")


def test_one_server_of_the_document_shows_what_it_is() -> None:
    state = looked(read(offering()), "wsus01.corp.example")
    view = View("wsus01", "wsus01.corp.example", state)
    one = audited(view, "wsus00", [asdict(each) for each in audit_server(view, Settings(), NOW)], NOW)
    assert (one["url"], one["standing"], one["reached"]) == ("https://wsus01.corp.example:8531", "offers HTTPS", True)
    assert (one["certificate"]["thumbprint"], one["certificate"]["days_left"]) == (issued("good").thumbprint, 200)
    assert (one["upstream"], one["build"], one["reported_fqdn"]) == ("wsus00", "20348.4294", "wsus01.corp.example")
    assert json.loads(json.dumps(assemble([one], NOW)))["servers"][0]["findings"][0]["result"] == "pass"


def test_a_server_that_was_not_reached_has_nothing_that_was_guessed() -> None:
    one = audited(View("wsus01", "wsus01", problem="no"), None, [], NOW)
    guessed = ("url", "standing", "build", "reported_fqdn", "server_id", "downstream_servers", "certificate")
    assert {key: one[key] for key in guessed} == dict.fromkeys(guessed)
    assert one["reached"] is False


@pytest.mark.parametrize("broken", [{"setup": None}, {"iis": None}, {"certificates": None}, {"api": None}, {"http_sys": None}])
def test_a_server_of_which_a_part_cannot_be_read_is_shown_all_the_same(broken: dict[str, Any]) -> None:
    state: Any = {**read(offering()), **broken}
    state["unreadable"] = {part: {"message": "Access is denied.", "type": "x"} for part in broken}
    one = audited(View("wsus01", "wsus01.corp.example", state), None, [], NOW)
    assert one["reached"] is True
    assert (one["certificate"] is None) is (not {"setup", "iis", "certificates"}.isdisjoint(broken))


def test_a_machine_without_wsus_is_shown_without_a_url() -> None:
    found = document()
    found["registry"] = {key: value for key, value in found["registry"].items() if "Update Services" not in key}
    one = audited(View("wsus01", "wsus01.corp.example", read(found)), None, [], NOW)
    assert (one["standing"], one["url"], one["certificate"]) == ("not a working WSUS", None, None)


# --- across servers -------------------------------------------------------------------------------------------------------


def test_a_tree_that_the_servers_and_the_inventory_agree_on_passes() -> None:
    servers = [server("wsus01", downstream_servers=below("wsus02", "wsus03")), server("wsus02", "wsus01"), server("wsus03", "wsus01")]
    assert results(servers, "inventory") == dict.fromkeys(("wsus01", "wsus02", "wsus03"), "pass")
    assert results(servers, "one_machine") == dict.fromkeys(("wsus01", "wsus02", "wsus03"), "pass")
    trusted = across(servers, "certificate_trusted_downstream")
    assert (trusted["wsus01"]["result"], trusted["wsus01"]["seen"]) == ("pass", "trusted by wsus02, wsus03")
    assert trusted["wsus02"]["result"] == "not_applicable"


def test_a_downstream_server_that_the_inventory_lacks_is_named_with_when_it_was_seen() -> None:
    found = across([server("wsus01", downstream_servers=[*below("wsus09"), {**below("wsus08")[0], "last_sync": None}])], "inventory")["wsus01"]
    assert (found["result"], found["severity"]) == ("fail", "medium")
    assert "WSUS09.corp.example is listed, and not in the inventory (last seen 2026-11-20)" in found["seen"]
    assert "WSUS08.corp.example is listed, and not in the inventory (never seen)" in found["seen"]


def test_a_downstream_server_that_is_not_listed_is_named_but_not_where_it_was_not_reached() -> None:
    found = across([server("wsus01"), server("wsus02", "wsus01"), server("wsus03", "wsus01", reached=False)], "inventory")["wsus01"]
    assert (found["result"], found["seen"]) == (
        "fail",
        "wsus02 is below it in the inventory, and not listed: it has not synchronized from it yet",
    )


@pytest.mark.parametrize(
    "known",
    [
        server("hq", server_id="ID-WSUS02", reported_fqdn="x.corp.example", fqdn="x.corp.example"),
        server("hq", server_id=None, reported_fqdn="WSUS02.corp.example", fqdn="updates.corp.example"),
        server("hq", server_id=None, reported_fqdn=None, fqdn="wsus02.corp.example"),
        server("wsus02", server_id=None, reported_fqdn=None, fqdn="wsus02", reached=False),
    ],
)
def test_a_listed_server_is_known_by_its_id_or_by_any_of_its_names(known: dict[str, Any]) -> None:
    assert results([server("wsus01", downstream_servers=below("wsus02")), known], "inventory")["wsus01"] == "pass"


def test_a_server_whose_list_cannot_be_read_is_not_known() -> None:
    assert results([server("wsus01", downstream_servers=None)], "inventory") == {"wsus01": "not_known"}


@pytest.mark.parametrize(
    ("own", "result", "said"),
    [
        ([finding("upstream_trusted", "fail", seen="UntrustedRoot")], "fail", "wsus02: UntrustedRoot"),
        ([finding("upstream_trusted", "not_known", seen="", reason="it did not look")], "not_known", "wsus02: it did not look"),
        ([], "not_known", "wsus02: not looked at"),
    ],
)
def test_what_a_downstream_server_found_counts_for_its_upstream(own: list[dict[str, Any]], result: str, said: str) -> None:
    servers = [server("wsus01"), server("wsus02", "wsus01", findings=own), server("wsus03", "wsus01")]
    found = across(servers, "certificate_trusted_downstream")["wsus01"]
    assert (found["result"], found["seen"] or found["reason"]) == (result, said)


def test_two_names_of_one_machine_and_two_machines_of_one_database_are_told_apart() -> None:
    servers = [
        server("a", server_id="one", reported_fqdn="m.corp.example"),
        server("b", server_id="ONE", reported_fqdn="M.corp.example"),
        server("c", server_id="one"),
        server("d", server_id=None, reported_fqdn=None, reached=False),
    ]
    found = across(servers, "one_machine")
    assert found["a"]["seen"] == "the same machine as b; shares its database with c"
    assert found["c"]["seen"] == "shares its database with a, b"
    assert [found[name]["result"] for name in "abcd"] == ["fail", "fail", "fail", "not_known"]


# --- slices ---------------------------------------------------------------------------------------------------------------

NAMES = [f"wsus0{number}" for number in range(1, 7)]


@given(st.lists(st.sampled_from([None, *NAMES]), min_size=6, max_size=6), st.lists(st.integers(0, 2), min_size=6, max_size=6))
def test_slices_put_together_are_the_whole(upstreams: list[str | None], slices: list[int]) -> None:
    servers = []
    for name, upstream in zip(NAMES, upstreams, strict=True):
        lower = [one for one, above in zip(NAMES, upstreams, strict=True) if above == name and one != NAMES[0]]
        servers.append(server(name, upstream if upstream != name else None, downstream_servers=below(*lower)))
    parts = [assemble([one for one, number in zip(servers, slices, strict=True) if number == each], NOW) for each in range(3)]
    together = merge(json.loads(json.dumps(parts)), NOW)
    assert sorted(one["name"] for one in together["servers"]) == NAMES
    # In the order of the slices, in which their names are listed as well.
    order = [one["name"] for one in together["servers"]]
    whole = assemble(sorted(servers, key=lambda one: order.index(one["name"])), NOW)
    assert together["servers"] == whole["servers"]
    assert together["summary"] == whole["summary"]
    assert together["about"] == {"slices": 3}


def test_what_a_slice_could_not_know_of_another_is_judged_anew() -> None:
    first = assemble([server("wsus01", downstream_servers=below("wsus02"))], NOW)
    second = assemble([server("wsus02", "wsus01")], NOW)
    alone = [each["result"] for each in first["servers"][0]["findings"] if each["check"] == "inventory"]
    together = [each["result"] for each in merge([first, second], NOW)["servers"][0]["findings"] if each["check"] == "inventory"]
    assert (alone, together) == (["fail"], ["pass"])
    assert set(ACROSS) <= {each["check"] for each in second["servers"][0]["findings"]}


def test_of_a_server_in_several_slices_the_latest_look_counts() -> None:
    old, new = server("wsus01", audited="2026-11-20T12:00:00Z", standing="old"), server("wsus01", audited="2026-11-21T12:00:00Z", standing="new")
    # What was put together today may have an older look than yesterday's slice.
    for documents in (
        [assemble([old], NOW - DAY), assemble([new], NOW)],
        [assemble([new], NOW), assemble([old], NOW - DAY)],
        [assemble([old], NOW + HOUR), assemble([new], NOW)],
    ):
        assert [one["standing"] for one in merge(documents, NOW + DAY)["servers"]] == ["new"]


# --- an earlier audit ---------------------------------------------------------------------------------------------------------


def test_what_changed_since_an_earlier_audit_is_told() -> None:
    before = assemble(
        [
            server("gone"),
            server("wsus01", findings=[finding("a", "fail"), finding("b"), finding("c", "fail"), finding("d", "fail"), finding("e", "not_known")]),
        ],
        NOW - DAY,
    )
    after = assemble(
        [
            server("wsus01", findings=[finding("a"), finding("b", "fail"), finding("c", "fail"), finding("d", "not_known"), finding("e", "fail")]),
            server("new", findings=[finding("a", "fail")]),
        ],
        NOW,
        previous=before,
    )
    changed = after["changes"]
    assert (changed["since"], changed["new_servers"], changed["gone_servers"]) == ("2026-11-20T12:00:00Z", ["new"], ["gone"])
    assert [(one["server"], one["check"]) for one in changed["new_failures"]] == [("wsus01", "b"), ("wsus01", "e"), ("new", "a")]
    assert [(one["server"], one["check"]) for one in changed["mended"]] == [("wsus01", "a")]
    assert lines(after)[-1] == "Since 2026-11-20T12:00:00Z: 3 new failures, 1 mended, 1 no longer known."


def test_what_is_not_known_any_more_is_told_with_its_reason_whether_it_passed_or_failed() -> None:
    lost = {"seen": "", "reason": "nobody answered"}
    old = [finding("a"), finding("b", "fail"), finding("c", "not_known"), finding("d", "not_applicable"), finding("e"), finding("f")]
    new = [finding(check, "not_known", "low", **lost) for check in "abcdz"] + [finding("e", "not_applicable"), finding("f")]
    before = assemble([server("wsus01", findings=old)], NOW - DAY)
    changed = assemble([server("wsus01", findings=new), server("new", findings=new)], NOW, previous=before)["changes"]
    assert changed["no_longer_known"] == [
        {"server": "wsus01", "check": check, "severity": "low", "seen": "nobody answered"} for check in ("a", "b")
    ], "and not what was not known before, or has no before"


def test_where_a_server_stood_and_stands_is_told_where_it_differs() -> None:
    moved = {"wsus01": ("HTTP", "requires TLS"), "wsus02": ("HTTP", None), "wsus03": (None, "HTTP"), "wsus04": ("HTTP", "requires TLS")}
    same = {"wsus05": ("half-way", "half-way"), "wsus06": (None, None)}
    before, after = (
        [server(name, standing=stood[place], reached=stood[place] is not None) for name, stood in {**moved, **same}.items()] for place in (0, 1)
    )
    found = assemble([*after, server("new")], NOW, previous=assemble([server("gone"), *before], NOW - DAY))
    assert found["changes"]["standings"] == [{"server": name, "was": was, "is": now} for name, (was, now) in moved.items()]
    assert lines(found)[-4:] == [
        "Since 2026-11-20T12:00:00Z: 0 new failures, 0 mended, 1 no longer known.",
        "  HTTP, now requires TLS: 2 servers",
        "  HTTP, now not reached: 1 server",
        "  not reached, now HTTP: 1 server",
    ]


@pytest.mark.parametrize("strange", [..., None, "", 7, True, ["HTTP"], {"HTTP": 1}])
def test_an_earlier_standing_that_is_no_text_counts_as_none(strange: Any) -> None:
    before = assemble([server("wsus01")], NOW - DAY)
    if strange is ...:
        del before["servers"][0]["standing"]
    else:
        before["servers"][0]["standing"] = strange
    found = assemble([server("wsus01")], NOW, previous=before)
    assert found["changes"]["standings"] == [{"server": "wsus01", "was": None, "is": "HTTP"}]
    assert lines(found)[-1] == "  not reached, now HTTP: 1 server"


def test_an_audit_against_itself_changed_nothing() -> None:
    one = [server("wsus01", findings=[finding("a", "fail"), finding("b", "not_known")]), server("wsus02", reached=False, standing=None)]
    found = assemble(one, NOW, previous=assemble(one, NOW))
    changed = found["changes"]
    nothing = ("new_servers", "gone_servers", "standings", "new_failures", "mended", "no_longer_known")
    assert {key: changed[key] for key in nothing} == {key: [] for key in nothing}
    assert set(changed) == {"since", "clients", *nothing}
    assert changed["clients"] is None
    assert lines(found)[-1] == "Since 2026-11-21T12:00:00Z: 0 new failures, 0 mended."


# --- what is none -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda _found: None, "it is no audit of this collection's"),
        (lambda _found: [1], "it is no audit of this collection's"),
        (lambda found: found | {"schema": "securepatch.wsus.state"}, "it is no audit of this collection's"),
        (lambda found: found | {"servers": {}}, "it is no audit of this collection's"),
        (lambda found: found | {"version": 2}, "it is an audit of version 2; this collection reads version 1"),
        (lambda found: found | {"servers": [1]}, "it is damaged: a server in it has no name"),
        (lambda found: found | {"servers": [{"findings": []}]}, "it is damaged: a server in it has no name"),
        (lambda found: found | {"servers": [{"name": "x"}]}, "it is damaged: a server in it has no name or no findings"),
        (lambda found: found | {"servers": [server("x", findings=[1])]}, "it is damaged: what it has of x cannot be read"),
        (lambda found: found | {"servers": [server("x", findings=[{"check": "a"}])]}, "it is damaged: what it has of x"),
        (lambda found: found | {"servers": [server("x", findings=[finding("a", "perhaps")])]}, "it is damaged: what it has of x"),
        (lambda found: found | {"servers": [server("x", findings=[finding("a", severity="grave")])]}, "it is damaged: what it has of x"),
        (lambda found: found | {"servers": [server("x", downstream_servers=["y"])]}, "it is damaged: what it has of x"),
        (lambda found: found | {"servers": [server("x", traffic={"since": "never"})]}, "it is damaged: what it has of x"),
        (lambda found: found | {"clients": {}}, "it is damaged: its clients are no list"),
        (lambda found: found | {"clients": [{"findings": []}]}, "it is damaged: a client in it has no name"),
        (lambda found: found | {"clients": [{"name": "pc1", "findings": [{"check": "a"}]}]}, "it is damaged: what it has of pc1"),
    ],
)
def test_what_is_no_audit_is_refused_and_nothing_else_comes_of_it(spoil: Any, said: str) -> None:
    foreign = spoil(copy.deepcopy(assemble([server("wsus01")], NOW)))
    for use in (lambda: assemble([], NOW, previous=foreign or {}), lambda: merge([foreign], NOW), lambda: refuse_foreign(foreign)):
        with pytest.raises(AuditError, match=said):
            use()


# --- what it comes to ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("severity", "words"),
    [(None, set()), ("low", {"low"}), ("medium", {"medium", "low"}), ("high", {"high", "medium", "low"})],
)
def test_an_audit_fails_on_what_is_at_least_as_bad(severity: str | None, words: set[str]) -> None:
    found = [finding("a", "fail", severity)] if severity else [finding("a"), finding("b", "not_known")]
    one = assemble([server("wsus01", findings=found), server("wsus02")], NOW)
    assert {word for word in ("high", "medium", "low", "never") if fails(one, word)} == words


def test_another_word_to_fail_on_is_refused() -> None:
    with pytest.raises(AuditError, match="not 'grave'"):
        fails(assemble([], NOW), "grave")


def test_lines_name_each_failure_with_its_servers_the_worst_first_and_not_too_many() -> None:
    servers = [server(f"wsus0{number}", findings=[finding("binding", "fail", seen="none")]) for number in range(7)]
    servers[0]["findings"].append(finding("restart", "fail", "low", seen="pending"))
    told = lines(assemble(servers, NOW), most=2)
    assert told[0] == "7 WSUS servers audited: 7 high"
    assert told[1] == "Checks: 14 passed, 8 failed, 0 not known."
    assert told[2:] == [
        "",
        "HIGH",
        "  The WSUS site has an https binding with a certificate: fails on 7 of 7 [binding]",
        "    wsus00: none",
        "    wsus01: none",
        "    ... and 5 more, in the report",
        "",
        "LOW",
        "  No restart is pending: fails on 1 of 7 [restart]",
        "    wsus00: pending",
    ]


def test_lines_of_a_fleet_that_is_well_are_two() -> None:
    assert lines(assemble([server("wsus01")], NOW)) == [
        "1 WSUS servers audited: 1 without a finding",
        "Checks: 3 passed, 0 failed, 0 not known.",
    ]
