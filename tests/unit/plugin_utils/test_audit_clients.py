# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Clients in an audit: judged by what they were told and found, and beside the servers that were audited with them."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from ansible_collections.securepatch.wsus.plugins.filter import audits as plugin
from ansible_collections.securepatch.wsus.plugins.plugin_utils.audit import AuditError, assemble, fails, lines, merge
from ansible_collections.securepatch.wsus.plugins.plugin_utils.audit_clients import client_audited
from ansible_collections.securepatch.wsus.plugins.plugin_utils.report import html_report, junit_report

from tests.unit.plugin_utils.machines import DAY, NOW
from tests.unit.plugin_utils.test_audit import server

URL = "https://wsus01.corp.example:8531"
MOVED: dict[str, Any] = {
    "url": URL,
    "told_by": "group_policy",
    "winning_policies": [{"policy": "cn={7F2C5B1E}", "precedence": 1}],
    "mdm_url": None,
    "used": True,
    "reached": True,
    "trusted": True,
    "content_reached": True,
    "domain_member": True,
    "last_search": None,
    "problems": [],
    "notes": [],
}


def client(name: str = "pc1", **differs: Any) -> dict[str, Any]:
    return client_audited(name, {**MOVED, **differs}, NOW)


def servers(**differs: Any) -> list[dict[str, Any]]:
    return [server("wsus01", **{"url": URL, **differs})]


def judged(one: dict[str, Any], **differs: Any) -> dict[str, Any]:
    """The one client of an audit with one server."""
    [found] = assemble(servers(**differs), NOW, clients=[one])["clients"]
    return found


def outcome(one: dict[str, Any], **differs: Any) -> tuple[str, str]:
    [finding] = judged(one, **differs)["findings"]
    return finding["result"], finding["seen"] or finding["reason"]


def test_a_client_that_has_moved_passes_and_is_held_to_its_server() -> None:
    found = judged(client(url="HTTPS://WSUS01.corp.example:8531/"))
    assert (found["server"], found["findings"][0]["result"]) == ("wsus01", "pass")
    assert found["findings"][0]["seen"].endswith("by the group policy cn={7F2C5B1E}; reached and trusted")
    assert (found["server_reached"], found["trusted"], found["policy"]) == (True, True, "cn={7F2C5B1E}")
    assert set(found["findings"][0]) == set(assemble(servers(), NOW)["servers"][0]["findings"][-1]), "a finding is one kind of thing"


def test_what_is_wrong_is_told_with_who_told_it() -> None:
    one = client(url="http://wsus01.corp.example:8530", told_by="policy", trusted=None, problems=["What this machine was told is http."])
    found = judged(one)
    assert found["server"] == "wsus01"
    assert outcome(one) == ("fail", "told http://wsus01.corp.example:8530 by its own policy. What this machine was told is http.")
    assert (found["findings"][0]["severity"], "docs/clients.md" in found["findings"][0]["mend"]) == ("medium", True)


@pytest.mark.parametrize(
    ("url", "differs", "result", "said"),
    [
        ("https://elsewhere.corp.example:8531", {}, "fail", "the URL of none of the audited servers"),
        ("https://wsus01.corp.example:8444", {}, "fail", "clients of wsus01 come to https://wsus01.corp.example:8531"),
        (URL, {"url": "http://wsus01.corp.example:8530"}, "fail", "clients of wsus01 come to http://wsus01.corp.example:8530"),
        (URL, {"url": None, "reached": False}, "not_known", "the URL of wsus01 is not known"),
        ("https://[", {}, "fail", "none of the audited servers"),
    ],
)
def test_the_url_has_to_be_that_of_an_audited_server(url: str, differs: dict[str, Any], result: str, said: str) -> None:
    found = outcome(client(url=url), **differs)
    assert (found[0], said in found[1]) == (result, True), found


def test_whether_it_is_trusted_has_to_be_known() -> None:
    assert outcome(client(trusted=None, reached=None)) == ("not_known", f"whether it reaches and trusts {URL} is not known")


@pytest.mark.parametrize(
    "result", [{"failed": True, "msg": "pc1: The connection failed: timed out"}, {"msg": "pc1: The connection failed: timed out"}]
)
def test_one_that_cannot_be_looked_at_is_told_as_such(result: dict[str, Any]) -> None:
    one = client_audited("pc1", result, NOW)
    assert (one["reached"], one["url"]) == (False, None)
    assert outcome(one) == ("not_known", "the client could not be looked at: The connection failed: timed out")
    assert "did not run" in str(client_audited("pc1", {"skipped": True}, NOW)["problem"])


def test_texts_of_a_client_are_cleaned_and_cut() -> None:
    one = client(url="https://a\x1b[31m\nb", problems=["x" * 9000, "<b>\x00"], notes=["a\nb"])
    assert one["url"] == "https://a[31m b"
    assert (len(one["problems"][0]) < 2000, one["problems"][1], one["notes"]) == (True, "<b>", ["a b"])


def test_clients_count_in_the_numbers_and_fail_the_run_where_that_was_asked_for() -> None:
    wrong = client("pc2", problems=["no"])
    found = assemble(servers(findings=[]), NOW, clients=[client(), wrong, client_audited("pc3", {"msg": "no route"}, NOW)])
    counted = found["summary"]["clients"]
    assert (counted["number"], counted["by_worst"]["medium"], counted["failures"]["medium"]) == (3, 1, 1)
    assert counted["results"] == {"pass": 1, "fail": 1, "not_known": 1, "not_applicable": 0}
    assert (found["summary"]["failures"]["medium"], fails(found, "medium"), fails(found, "high")) == (0, True, False)
    told = "\n".join(lines(found))
    assert "3 clients looked at: 1 passed, 1 failed, 1 not known." in told
    assert "fails on 1 of 3 [client_policy]" in told
    assert json.loads(json.dumps(found)) == found


def test_what_changed_of_clients_is_told_apart_from_servers() -> None:
    before = assemble(servers(), NOW - DAY, clients=[client("a", problems=["no"]), client("b"), client("c"), client("gone")])
    after = [client("a"), client("b", problems=["no"]), client_audited("c", {"msg": "no route"}, NOW), client("new")]
    found = assemble(servers(), NOW, previous=before, clients=after)
    changed = found["changes"]["clients"]
    assert (changed["new_clients"], changed["gone_clients"]) == (["new"], ["gone"])
    kinds = ("mended", "new_failures", "no_longer_known")
    assert {kind: [one["client"] for one in changed[kind]] for kind in kinds} == {"mended": ["a"], "new_failures": ["b"], "no_longer_known": ["c"]}
    assert found["changes"]["mended"] == []
    assert lines(found)[-1] == "  Clients: 1 new failures, 1 mended, 1 no longer known."


def test_slices_judge_a_client_beside_the_servers_of_all_of_them() -> None:
    one, other = assemble([], NOW, clients=[client()]), assemble(servers(), NOW)
    assert one["clients"][0]["findings"][0]["result"] == "fail"
    together = merge(copy.deepcopy([one, other]), NOW)
    assert [each["findings"][0]["result"] for each in together["clients"]] == ["pass"]
    assert len(together["clients"][0]["findings"]) == 1
    later = assemble([], NOW + DAY, clients=[client_audited("pc1", {"msg": "no"}, NOW + DAY)])
    assert [each["reached"] for each in merge([one, later, other], NOW)["clients"]] == [False]


@pytest.mark.parametrize("key", sorted(client()))
@pytest.mark.parametrize("strange", [None, 7, "x", [7], {"a": 1}, ...])
def test_a_damaged_client_of_a_file_is_refused_or_judged(key: str, strange: Any) -> None:
    document = assemble(servers(), NOW, clients=[client()])
    if strange is ...:
        del document["clients"][0][key]
    else:
        document["clients"][0][key] = strange
    try:
        found = merge([document], NOW, previous=document)
    except AuditError as error:
        assert "it is damaged" in str(error)
    else:
        html_report(found)
        junit_report(found)


def test_the_filter_takes_those_that_were_in_the_run() -> None:
    audits: Any = plugin.FilterModule().filters()["client_audits"]
    found = audits(["a", "b", "c", "d"], {"a": {"seen": MOVED}, "b": {}, "c": {"seen": {"failed": True, "msg": "c: no"}}}, "seen")
    assert [(one["name"], one["reached"]) for one in found] == [("a", True), ("c", False)]
