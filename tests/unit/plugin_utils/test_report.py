# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The audit's report: what it says, where everything is drawn, and that no text gets out of its place. In a browser: tests/browser."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.securepatch.wsus.plugins.plugin_utils.report import drawing, html_report, junit_report, moving, texts
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.browser import documents

VOID = {"meta", "input", "br", "rect", "use", "path", "circle"}
REFERENCES = {"src", "srcset", "href", "xlink:href", "action", "formaction", "data", "poster", "background", "ping", "style"}


class Page(HTMLParser):
    """A page as its elements (with the names of their attributes), its references, its texts, and what stands in its scripts and style."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.inline: list[tuple[str, dict[str, str | None], str]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(name for name, _rest in attrs)))
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("script", "style"):
            self.inline.append((tag, dict(attrs), ""))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(name for name, _rest in attrs)))
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("script", "style"):
            tag, attributes, before = self.inline.pop()
            self.inline.append((tag, attributes, before + data))
        elif data.strip():
            self.texts.append(re.sub(r"\s+", " ", data).strip())

    def json(self, name: str) -> Any:
        """The data of the script element with this id."""
        return next(json.loads(text) for tag, attributes, text in self.inline if tag == "script" and attributes.get("id") == name)

    def script(self) -> str:
        return next(text for tag, attributes, text in self.inline if tag == "script" and not attributes)

    def style(self) -> str:
        return next(text for tag, _rest, text in self.inline if tag == "style")

    def said(self) -> str:
        return " ".join(self.texts)


def said_between(html: str, begin: str, end: str) -> str:
    """What is said from the heading with one id to that with another."""
    inside = html[html.index(f'<h2 id="{begin}"') : html.index(f'<h2 id="{end}"')]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", inside)).strip()


def digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def replaced(data: Any, plain: dict[str, str]) -> Any:
    """The same data with other texts."""
    if isinstance(data, str):
        return plain.get(data, data)
    if isinstance(data, dict):
        return {plain.get(key, key): replaced(value, plain) for key, value in data.items()}
    return [replaced(each, plain) for each in data] if isinstance(data, list) else data


# --- complete in itself, and nothing gets out of its place -----------------------------------------------------------------------


@pytest.mark.parametrize("make", [documents.nine_with_changes, lambda: documents.many(100), documents.hostile], ids=["nine", "many", "hostile"])
def test_the_page_refers_to_nothing_but_itself(make: Any) -> None:
    page = Page(html_report(make()))
    assert page.open == [], "whatever is opened is closed"
    references = {value for tag, name, value in page.attributes if name in REFERENCES}
    assert references
    assert all(reference.startswith("#") for reference in references)
    assert [name for _tag, name, _value in page.attributes if name.startswith("on")] == []
    assert {tag for tag, _names in page.elements} & {"link", "img", "iframe", "object", "embed", "base", "video", "audio"} == set()
    assert not re.search(r"@import|url\(", page.style())


def test_every_place_that_is_linked_to_is_there_once() -> None:
    page = Page(html_report(documents.many(100)))
    ids = [value for _tag, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {value[1:] for _tag, name, value in page.attributes if name == "href"} <= set(ids)


def test_the_policy_allows_the_page_s_own_script_and_style_and_nothing_else() -> None:
    page = Page(html_report(documents.nine()))
    (policy,) = [value for tag, name, value in page.attributes if tag == "meta" and name == "content" and value.startswith("default-src")]
    allowed = {name: sources for name, *sources in (directive.split() for directive in policy.split(";"))}
    assert allowed == {
        "default-src": ["'none'"],
        "script-src": [digest(page.script())],
        "style-src": [digest(page.style())],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
    }
    head = [tag for tag, _names in page.elements]
    assert head.index("meta") < head.index("style"), "a policy holds for what comes after it"


def test_no_text_of_a_server_becomes_an_element_or_an_attribute() -> None:
    """The page of wicked texts has the very elements that the page of harmless ones has."""
    document = documents.hostile()
    plain = {text: f"text {number}" for number, text in enumerate(documents.HOSTILE) if text}
    plain |= {f"{text} {word}": f"{word} {number}" for number, text in enumerate(documents.HOSTILE) for word in ("gone", "before")}
    wicked, harmless = Page(html_report(document)), Page(html_report(replaced(document, plain)))
    assert len(wicked.elements) > 3000
    assert wicked.elements == harmless.elements
    assert wicked.script() == harmless.script()
    for data in re.findall(r'<script type="application/json" id="\w+">(.*)</script>', html_report(document)):
        assert not set("<>&\u2028\u2029") & set(data), "nothing in data ends its element, or hides the end of it"
    for text in (documents.SCRIPT, documents.IMAGE, "{{ 7 * 7 }}{% raw %}", "&lt;b&gt; &amp; &#x3c;"):
        assert text in wicked.texts, "it can be read as it is"


@settings(max_examples=25)
@given(st.text(st.characters(codec=None), max_size=40), st.text(st.characters(codec=None), max_size=40))
def test_any_name_and_any_text_can_be_written_and_read_back(name: str, seen: str) -> None:
    document = documents.audit([documents.server("wsus01", failing=("services",))])
    server = document["servers"][0]
    server.update(name=name, fqdn=seen)
    for finding in server["findings"]:
        finding["seen"] = seen if finding["result"] != "not_applicable" else ""
    html = html_report(document)
    html.encode("utf-8")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", html)
    page = Page(html)
    data, details = page.json("data"), page.json("details")
    assert data["servers"][0][0] == (texts.clean(name).strip() or "(no name)")
    assert data["servers"][0][1] == texts.clean(seen).strip()
    assert texts.clean(seen) in details["texts"]
    root = ET.fromstring(junit_report(document).encode("utf-8"))
    (failure,) = root.iter("failure")
    assert root.findall("testsuite")[0].get("name") == (texts.clean(name) or "(no name)")
    assert f"Seen: {texts.clean(seen)}\n" in (failure.text or "") or not texts.clean(seen)


def test_what_cannot_be_written_is_made_visible_and_the_rest_is_left() -> None:
    assert texts.clean("a\x00b\x1b[0m \ud800 \u202eexe") == "a\ufffdb\ufffd[0m \ufffd \ufffdexe"
    assert texts.clean("one\r\ntwo\tthree \U0001f600 \u0645\u0631") == "one\ntwo\tthree \U0001f600 \u0645\u0631"
    assert (texts.clean(None), texts.clean(""), texts.clean(7)) == ("", "", "7")


def test_the_same_audit_gives_the_same_report() -> None:
    document = documents.many(80)
    before = copy.deepcopy(document)
    assert html_report(document) == html_report(copy.deepcopy(document))
    assert document == before, "and is not changed by it"


# --- what it says -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failing", "sentence"),
    [
        ({}, "Nothing failed, but of 2 servers not everything is known."),
        ({"wsus01": ("services",)}, "1 of 9 servers has failures of high severity."),
        ({"wsus01": ("services",), "wsus02": ("patch_level",)}, "2 of 9 servers have failures of high severity."),
        ({"wsus01": ("disk_space",), "wsus02": ("application_pool",)}, "1 of 9 servers has failures of medium severity."),
        ({"wsus02": ("application_pool",), "wsus03": ("database",)}, "2 of 9 servers have failures of low severity."),
        ({f"wsus0{number}": ("services",) for number in range(1, 10)}, "All 9 servers have failures of high severity."),
    ],
)
def test_in_one_sentence_how_bad_it_is(failing: Any, sentence: str) -> None:
    assert sentence in Page(html_report(documents.nine(failing))).texts


def test_one_server_none_and_a_perfect_one() -> None:
    alone = documents.server("wsus01", failing=("services",))
    assert "The server has failures of high severity." in Page(html_report(documents.audit([alone]))).texts
    assert "Nothing failed, and everything is known." in Page(html_report(documents.audit([documents.server("wsus01")]))).texts
    nobody = Page(html_report(documents.audit([])))
    assert "No server was audited." in nobody.texts
    assert "No certificate is known." in nobody.texts
    assert nobody.json("data")["servers"] == []


def test_servers_are_counted_by_their_worst_failure() -> None:
    html = html_report(documents.nine())
    numbers = re.findall(r'<li class="(\w+)"><b>(\d+)</b>', html)
    assert numbers == [("high", "4"), ("medium", "1"), ("low", "1"), ("unknown", "1"), ("clean", "2")]
    said = Page(html).said()
    assert "Checks: 15 failed, 247 passed, 46 not known, 16 do not apply. Not reached: 1 server. Certificates that end within 30 days: 1." in said


def test_what_to_do_first_names_each_thing_once_with_its_servers() -> None:
    told = said_between(html_report(documents.nine()), "start", "tree")
    first, rest = told.split("After that, of medium severity: 4 things to do")
    assert first.count("Install the updates of October 2025 or later, at once.") == 1
    assert re.search(r"2 servers fail CVE-2025-59287 is fixed patch_level : wsus03 , wsus06", first)
    both = first.index("Run the playbook securepatch.wsus.rollout (or the role https_server on this server).")
    assert re.search(r"1 server fails .*? binding : wsus08 1 server fails .*? configuressl : wsus08", first[both:]), "one thing mends two checks"
    assert first.index("2 servers fail") < first.index("1 server fails"), "what concerns the most comes first"
    assert first.index("Mend the connection") < both < first.index("Run the rollout on its upstream"), "of the same number in the order of the checks"
    assert "Run wsus_app_pool" not in first
    assert "After that, of low severity: 1 thing to do" in rest
    assert re.search(r"2 servers fail .*? application_pool : wsus03 , wsus05", rest)
    assert "the server could not be looked at (33 checks, 1 server)" in rest


def test_only_the_worst_severity_comes_first_whichever_it_is() -> None:
    told = said_between(html_report(documents.nine({"wsus02": ("application_pool",)})), "start", "tree")
    assert told.startswith("What to do first Run wsus_app_pool, or the role https_server.")
    assert "After that" not in told
    assert said_between(html_report(documents.nine({})), "start", "tree").startswith("What to do first Nothing failed.")


def test_of_many_servers_some_are_named_and_the_rest_counted() -> None:
    servers = [documents.server(f"wsus{number:02}", failing=("patch_level",)) for number in range(40)]
    told = said_between(html_report(documents.audit(servers)), "start", "tree")
    assert "40 servers fail" in told
    assert told.count("wsus") == 12
    assert "and 28 more, in the matrix" in told


def article(html: str, name: str) -> str:
    """What is said of one server."""
    found = [one for one in re.findall(r"<article.*?</article>", html, re.S) if f'<span class="name">{name}</span>' in one]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", found[0])).strip()


def test_each_server_has_what_is_wrong_what_was_seen_and_what_to_do() -> None:
    html = html_report(documents.nine())
    told = article(html, "wsus03")
    assert "2 high, 1 low" in told
    assert "Standing offers HTTPS" in told
    assert "URL https://wsus03.corp.example:8531" in told
    assert "Seen: build 20348.3207, fixed from 20348.4297 on To do: Install the updates of October 2025 or later, at once." in told
    assert "The network says: refused on none" in told
    assert told.index("tls_required") < told.index("application_pool"), "the worst first"
    assert "96 days left, until 2027-02-25" in told
    assert "32 passed, 1 does not apply. Show them" in told
    lost = article(html, "wsus09")
    assert "not reached" in lost
    assert "Not known (33), for the server could not be looked at : services, certificate_ready" in lost
    assert lost.count("the server could not be looked at") == 1, "a reason stands once, whatever it is the reason for"


def test_the_worst_servers_come_first() -> None:
    html = html_report(documents.nine())
    assert re.findall(r'<h3 id="h(\d+)">', html) == ["2", "5", "7", "8", "1", "4", "3", "0", "6"]


def test_two_views_are_shown_where_they_disagree() -> None:
    document = documents.nine({})
    finding = next(one for one in document["servers"][0]["findings"] if one["check"] == "binding_served")
    finding.update(result="fail", disagreement="bound is A, and the network shows B", server_says="A", network_says="B")
    told = article(html_report(document), "wsus01")
    assert "The server says: A The network says: B They disagree: bound is A, and the network shows B" in told


def test_the_matrix_has_a_letter_for_every_check_of_every_server() -> None:
    document = documents.nine()
    data = Page(html_report(document)).json("data")
    ids = [check for check, _title in data["checks"]]
    assert ids == [check["id"] for check in document["checks"]]
    letters = {"pass": "p", "not_known": "u", "not_applicable": "n"}
    for server, row in zip(document["servers"], data["servers"], strict=True):
        found = {one["check"]: one["severity"][0] if one["result"] == "fail" else letters[one["result"]] for one in server["findings"]}
        assert row[0] == server["name"]
        assert dict(zip(ids, row[5], strict=True)) == found
    assert [row[3] for row in data["servers"]] == [None, 0, 0, 0, 1, 1, 2, 2, 3]
    assert [row[4] for row in data["servers"]] == [341, 12, 96, 341, 203, 61, 148, None, None]


def test_what_passed_is_data_once_and_what_failed_is_not_in_it() -> None:
    document = documents.nine()
    page = Page(html_report(document))
    details, checks = page.json("details"), [check for check, _title in page.json("data")["checks"]]
    assert len(details["texts"]) == len(set(details["texts"]))
    for server, flat in zip(document["servers"], details["servers"], strict=True):
        told = {checks[flat[at]]: details["texts"][flat[at + 1]] for at in range(0, len(flat), 4)}
        assert told == {
            one["check"]: one["seen"] if one["result"] == "pass" else one["reason"]
            for one in server["findings"]
            if one["result"] in ("pass", "not_applicable")
        }


def test_changes_since_the_last_audit() -> None:
    document = documents.nine_with_changes()
    html = html_report(document)
    told = said_between(html, "changes", "checks")
    lost = len(document["changes"]["no_longer_known"])
    assert lost > 9
    assert f"Since 14 November 2026, 16:00 UTC: 12 new failures, 2 mended, {lost} no longer known, 0 servers more, 0 servers gone." in told
    assert re.search(r"Mended .* was high wsus01 WSUS runs services, site, pool and API run", told)
    assert told.index("high wsus06") < told.index("medium wsus02") < told.index("low wsus05")
    assert "Since 14 November 2026, 16:00 UTC: 12 new failures, 2 mended" in Page(html).said().partition("What to do first")[0]
    assert "was not compared" in said_between(html_report(documents.nine()), "changes", "checks")


def test_where_servers_stood_and_stand_comes_first_the_farthest_from_requiring_tls_before_the_others() -> None:
    html = html_report(documents.nine_rolled_out())
    told = said_between(html, "changes", "checks")
    rows = "wsus09 HTTP not reached wsus05 HTTP offers HTTPS " + "".join(f"wsus0{number} HTTP requires TLS " for number in (1, 2, 3, 6))
    assert f"gone. Where servers stood and stand Server Before Now {rows}wsus07 not reached requires TLS New failures" in told
    assert "Standing requires TLS Before HTTP" in article(html, "wsus01")
    assert "Standing not reached Before HTTP" in article(html, "wsus09")
    assert "Standing requires TLS Before not reached" in article(html, "wsus07")
    for unmoved in ("wsus04", "wsus08"):
        assert "Before" not in article(html, unmoved)
    assert "Before" not in article(html_report(documents.nine()), "wsus01"), "nor where there is nothing to compare with"


def test_a_standing_of_which_nothing_is_known_is_looked_at_first() -> None:
    before = documents.nine({})
    after = documents.nine({"wsus03": ("reachable",)}, previous=before)["servers"]
    after[6]["standing"] = "turned round"
    told = said_between(html_report(documents.audit(after, previous=before)), "changes", "checks")
    assert "Before Now wsus07 requires TLS turned round wsus03 requires TLS not reached" in told


def test_what_is_no_longer_known_has_a_row_for_each_server_and_reason() -> None:
    document = documents.nine_rolled_out()
    why = "the server could not be looked at"
    lost = [each for each in document["changes"]["no_longer_known"] if (each["server"], each["seen"]) == ("wsus09", why)]
    worst_first = [each["check"] for severity in ("high", "medium", "low") for each in lost if each["severity"] == severity]
    assert len(worst_first) > 9
    assert said_between(html_report(document), "changes", "checks").partition("No longer known Severity Server Checks Why ")[2] == (
        f"high wsus04 Its downstream servers reach it over TLS and trust it wsus09: {why} "
        f"high wsus09 {len(lost)} checks: {', '.join(worst_first)} {why} "
        "medium wsus09 The inventory has every downstream server that this one lists, and the other way round "
        "which downstream servers it lists could not be read"
    )
    assert "No longer known" not in html_report(documents.nine({}, previous=documents.nine({})))


def test_servers_that_came_and_went() -> None:
    before, after = documents.nine(), documents.nine()
    before["servers"] = [{**one, "name": "wsus00" if one["name"] == "wsus01" else one["name"]} for one in before["servers"]]
    told = said_between(html_report(documents.audit(after["servers"], previous=before)), "changes", "checks")
    assert "1 server more, 1 server gone." in told
    assert "Servers that are new wsus01 Servers that are gone wsus00" in told


def test_a_long_list_of_changes_is_cut_and_says_so() -> None:
    before = documents.audit([documents.server(f"wsus{number:03}") for number in range(400)])
    after = documents.audit([documents.server(f"wsus{number:03}", failing=("patch_level",)) for number in range(400)], previous=before)
    told = said_between(html_report(after), "changes", "checks")
    assert "400 new failures" in told
    assert "The first 300 of 400, the worst first" in told
    assert told.count("high wsus") == 300
    nobody = documents.audit([documents.server(f"wsus{number:03}", failing=("reachable",)) for number in range(400)], previous=before)
    told = said_between(html_report(nobody), "changes", "checks")
    assert told.count("The first 300 of 400, the worst first; all of them are in the audit's JSON.") == 2, "standings, and new failures"
    assert told.count("requires TLS not reached") == 300
    assert told.count("high wsus") == 600
    assert told.count("The first 300 of 800, the worst first") == 1, "of each server two reasons, which nothing is known for"


def test_what_another_version_of_the_collection_found_does_not_break_it() -> None:
    document = documents.nine()
    document["servers"][0]["findings"].append({"check": "of_tomorrow", "result": "fail", "severity": "terrible", "seen": "x", "mend": "y"})
    document["servers"][1]["findings"] = [{"check": "services", "result": "undreamt", "severity": "high"}]
    del document["servers"][2]["certificate"], document["servers"][2]["standing"]
    document["servers"][3]["findings"][0].update(result="fail", severity='"><b>')
    page = Page(html_report(document))
    codes = [row[5] for row in page.json("data")["servers"]]
    assert codes[1].replace(".", "") == "u"
    assert codes[3][0] == "h", "what has an unknown severity counts as the worst"
    assert ("b", ()) not in page.elements[: page.elements.index(("main", ()))]
    failed = sum(one["result"] == "fail" for server in document["servers"] for one in server["findings"])
    assert ET.fromstring(junit_report(document)).get("failures") == str(failed)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026-11-05T03:04:05Z", "5 November 2026, 03:04 UTC"),
        ("2026-11-05T03:04:05+02:00", "5 November 2026, 01:04 UTC"),
        ("yesterday", "yesterday"),
        (None, ""),
    ],
)
def test_times_are_told_in_words(text: str | None, shown: str) -> None:
    assert texts.moment(text) == shown


def test_headings_are_in_order_and_tables_have_heads() -> None:
    page = Page(html_report(documents.nine_with_changes()))
    levels = [int(tag[1]) for tag, _names in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert [names for tag, names in page.elements if tag == "th" and "scope" not in names] == []
    assert ("html", ("lang",)) in page.elements
    assert [names for tag, names in page.elements if tag == "button" and "type" not in names] == []


def test_ansible_s_own_loader_finds_the_report_and_its_templates() -> None:
    """Where a folder and a module have the same name, it takes the folder and looks no further."""
    program = (
        "from ansible.plugins.loader import init_plugin_loader; init_plugin_loader();"
        "from ansible_collections.securepatch.wsus.plugins.plugin_utils.report import html_report;"
        "print(html_report({'created': '', 'checks': [], 'servers': [], 'summary': {'results':"
        " {'pass': 0, 'fail': 0, 'not_known': 0, 'not_applicable': 0}}})[:15])"
    )
    collections = Path(__file__).parents[3] / ".cache" / "collections"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={"ANSIBLE_COLLECTIONS_PATH": str(collections), "PATH": ""}
    )
    assert done.stdout.strip() == "<!DOCTYPE html>"


# --- the move of the clients ------------------------------------------------------------------------------------------------------


def test_the_move_is_told_only_where_somebody_looked() -> None:
    html = html_report(documents.nine())
    assert 'id="move"' not in html
    assert 'href="#move"' not in html
    assert 'id="clients"' not in html
    page = Page(html_report(documents.moving()))
    assert {value for tag, name, value in page.attributes if name == "href"} >= {"#move", "#clients"}


def test_the_move_has_totals_what_could_not_be_read_and_how_it_went() -> None:
    told = said_between(html_report(documents.moving()), "move", "clients")
    assert "from the sites' logs of 7 servers: 1,330 addresses were served over TLS, 63 over plain HTTP, 3 were turned away there." in told
    assert "Computers that WSUS knows and did not see: 14." in told
    assert "Could not be read: wsus08 ( Access to the path" in told
    assert re.search(r"wsus01 190 3 2 3 5 13 on 14 November 2026, .*?, 3 on 19 November 2026 13 \u2192 3|wsus01 190 3 2 3 5 .*?13 &#x2192; 3", told)
    assert html_report(documents.moving()).count('<rect class="now"') == 2 * 7, "this audit's bar, of each server"
    assert told.index("wsus01") < told.index("wsus06") < told.index("wsus02"), "who was turned away, then the most over HTTP"


def test_who_calls_stands_with_the_server_cut_where_there_are_many() -> None:
    called = documents.traffic(7, 40, None, 2)
    told = article(html_report(documents.audit([documents.server("wsus01", traffic=called)])), "wsus01")
    assert "Who calls it: over TLS 7, over HTTP 40, not seen not known, turned away 2, only fail over TLS 0" in told
    assert "Served over plain HTTP (40): 10.0.7.10 as downstream server, last 2026-11-21 ; 10.0.7.11 (pc007001.corp.example), last 2026-11-20" in told
    assert "and 35 more" in told
    assert "Not known: Nothing is known of 2026-11-14" in told
    failed = article(html_report(documents.audit([documents.server("wsus01", traffic_problem="<b>no</b>")])), "wsus01")
    assert "Who calls it could not be read: &lt;b&gt;no&lt;/b&gt;" in failed


def test_with_one_audit_there_is_nothing_to_draw() -> None:
    html = html_report(documents.audit([documents.server("wsus01", traffic=documents.traffic(7, 40, 1, 2))]))
    assert 'class="spark"' not in html
    assert "audit by audit" not in html


def test_a_table_of_many_servers_is_cut_and_says_so() -> None:
    servers = [documents.server(f"wsus{number:03}", traffic=documents.traffic(7, number, 1, 0)) for number in range(120)]
    told = said_between(html_report(documents.audit(servers)), "move", "matrix")
    assert "The first 100 of 120, those with the most to do first" in told
    assert "wsus119" in told
    assert "wsus019" not in told


@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=70))
def test_bars_stay_in_their_picture_and_are_as_high_as_their_number_says(series: list[int]) -> None:
    found = documents.traffic(1, 0, 0, 0)
    found["over_http"]["number"] = series[-1]
    before = [
        {"read": f"2026-10-01T02:{place:02}:00Z", "over_tls": 1, "over_http": number, "not_seen": 0, "turned_away": 0, "only_fail_over_tls": 0}
        for place, number in enumerate(series[:-1])
    ]
    drawn = moving.moving({"traffic": found, "traffic_before": before})
    assert drawn is not None
    went = drawn.went["over_http"]
    assert went is not None
    shown = series[-moving.SPARKS :]
    assert (len(went.bars), went.first, went.last) == (len(shown), shown[0], shown[-1])
    for spark, number in zip(went.bars, shown, strict=True):
        assert spark.y >= 0
        assert spark.y + spark.height == moving.SPARK_HEIGHT
        assert 0 <= spark.x < went.width
        assert (spark.height == 1) is (number == 0)
    order = sorted(zip(shown, went.bars, strict=True), key=lambda pair: pair[0])
    assert [spark.height for _number, spark in order] == sorted(spark.height for spark in went.bars)
    assert [spark.now for spark in went.bars].index(True) == len(shown) - 1


def test_what_was_not_known_for_a_time_has_no_bar_for_that_time() -> None:
    points = [{"read": f"2026-10-0{day}T02:00:00Z", "over_tls": 1, "over_http": 4, "turned_away": 0, "only_fail_over_tls": 0} for day in (1, 2, 3)]
    before = [{**point, "not_seen": number} for point, number in zip(points, (9, None, 4), strict=True)]
    drawn = moving.moving({"traffic": documents.traffic(1, 3, 2, 0), "traffic_before": before})
    assert drawn is not None
    assert drawn.went["not_seen"] is not None
    assert (len(drawn.went["not_seen"].bars), drawn.went["not_seen"].first, drawn.went["not_seen"].last) == (3, 9, 2)
    unknown = moving.moving({"traffic": documents.traffic(1, 3, None, 0), "traffic_before": before})
    assert unknown is not None
    assert (unknown.went["not_seen"], unknown.counted["not_seen"], unknown.went["over_http"] is None) == (None, None, False)


def test_clients_stand_in_what_to_do_first_in_the_page_and_among_the_changes() -> None:
    html = html_report(documents.moving())
    assert "Clients: 5 of 76 have failures, 70 passed, 1 not known." in Page(html).said()
    assert re.search(r"5 clients fail .*? client_policy : left1 , left2 , left3 , left4 , left5", said_between(html, "start", "tree"))
    told = said_between(html, "clients", "matrix")
    assert "76 clients were looked at: 70 passed, 5 failed, 1 not known." in told
    assert "not known away the client could not be looked at: The connection failed: timed out" in told
    changes = said_between(html, "changes", "checks")
    assert "Clients that are new new" in changes
    assert re.search(r"Clients that are gone left6 , left7 , gone", changes)
    assert "client_policy" in said_between(html + '<h2 id="end"', "checks", "end")


def test_a_client_that_fails_is_the_verdict_where_every_server_is_well() -> None:
    html = html_report(documents.audit([documents.server("wsus01")], clients=[documents.client("pc1", problems=("no",))]))
    assert '<div class="verdict medium">' in html
    assert "Clients: 1 of 1 has failures" in Page(html).said()


def test_more_clients_than_the_page_shows_are_counted_and_are_in_its_data() -> None:
    clients = [documents.client(f"pc{number:03}", problems=("no",)) for number in range(350)]
    html = html_report(documents.audit([documents.server("wsus01")], clients=clients))
    assert "The first 300 of 350" in said_between(html, "clients", "matrix")
    data = Page(html).json("data")["clients"]
    assert (len(data["rows"]), len(data["texts"])) == (350, 2), "every text once"
    assert data["rows"][349][:3] == ["pc349", "m", 0]


def test_junit_has_a_suite_for_each_client() -> None:
    root = ET.fromstring(junit_report(documents.moving()))
    suite = next(one for one in root if one.get("name") == "left1")
    (case,) = suite
    assert (case.get("name"), suite.get("failures")) == ("client_policy", "1")
    assert "which is not https" in str(case[0].text)
    away = next(one for one in root if one.get("name") == "away")
    assert str(away[0][0].get("message")).startswith("not known: the client could not be looked at")


# --- where everything is drawn ----------------------------------------------------------------------------------------------------


@st.composite
def forests(draw: st.DrawFn) -> tuple[list[int | None], list[str]]:
    """Any upstreams at all: circles and servers that are their own among them."""
    count = draw(st.integers(1, 130))
    parents = draw(st.lists(st.none() | st.integers(0, count - 1), min_size=count, max_size=count))
    levels = draw(st.lists(st.sampled_from(drawing.LEVELS), min_size=count, max_size=count))
    return parents, levels


@settings(max_examples=60)
@given(forests())
def test_every_server_is_drawn_once_and_none_over_another(forest: tuple[list[int | None], list[str]]) -> None:
    parents, levels = forest
    drawn = drawing.tree(parents, levels, [20] * len(parents))
    assert sorted(node.server for node in drawn.nodes) == list(range(len(parents)))
    for one, other in combinations(drawn.nodes, 2):
        assert abs(one.x - other.x) >= drawing.PITCH or abs(one.y - other.y) >= drawing.PITCH
        if one.y == other.y:
            assert not one.named
            assert not other.named
    assert all(0 < node.x < drawn.width and 0 < node.y < drawn.height for node in drawn.nodes)
    if len(parents) <= drawing.LABELLED:
        assert all(node.named for node in drawn.nodes)


def test_each_server_stands_below_its_upstream_and_a_line_leads_to_it() -> None:
    drawn = drawing.tree([None, 0, 0, 1], ["clean"] * 4, [10] * 4)
    places = {node.server: (node.x, node.y) for node in drawn.nodes}
    assert [node.server for node in drawn.nodes] == [0, 1, 3, 2]
    assert places[1][0] == places[2][0] > places[0][0]
    assert places[3][0] > places[1][0]
    (top, middle) = drawn.lines
    x, y = places[0]
    assert top == f"M{x} {y + 10}V{places[2][1]}M{x} {places[1][1]}H{places[1][0] - 10}M{x} {places[2][1]}H{places[2][0] - 10}"
    assert middle.endswith(f"H{places[3][0] - 10}")


def test_a_circle_is_cut_where_it_is_met() -> None:
    drawn = drawing.tree([2, 0, 1, None], ["clean"] * 4, [10] * 4)
    assert [node.server for node in drawn.nodes] == [3, 0, 1, 2]


def test_a_chain_of_any_length_is_drawn() -> None:
    drawn = drawing.tree([None, *range(4_999)], ["clean"] * 5_000, [10] * 5_000)
    assert [node.server for node in drawn.nodes] == list(range(5_000))


def test_in_a_large_tree_those_without_anybody_below_stand_together_the_worst_first() -> None:
    parents = [None, *[0] * 80]
    levels = ["clean", *["clean", "high"] * 40]
    drawn = drawing.tree(parents, levels, [20] * 81)
    assert drawn.packed
    assert [node.named for node in drawn.nodes] == [True] + [False] * 80
    assert [levels[node.server] for node in drawn.nodes[1:]] == ["high"] * 40 + ["clean"] * 40
    assert drawn.width <= 2 * drawing.INDENT + drawing.IN_A_ROW * drawing.PITCH
    assert not drawing.tree(parents[:60], levels[:60], [20] * 60).packed


@given(st.lists(st.integers(-5_000, 20_000), min_size=1, max_size=120), st.integers(1, 400))
def test_every_certificate_is_drawn_within_the_picture(left: list[int], renew_days: int) -> None:
    drawn = drawing.days(left, renew_days, 10)
    assert all(drawn.left - 20 <= x <= drawn.width for x, _text in (*drawn.ticks, *drawn.rules))
    if len(left) <= drawing.LISTED:
        assert [left[line.number] for line in drawn.lines] == sorted(left)
        assert all(drawn.left <= line.x <= drawn.width and line.y < drawn.bottom for line in drawn.lines)
        assert [line.level for line in drawn.lines] == [drawing.level_of(one, renew_days) for one in sorted(left)]
    else:
        assert sum(int(one.text.split(":")[0].replace(",", "")) for one in drawn.bars) == len(left)
        assert all(drawn.left - 20 <= one.x and one.x + one.width <= drawn.width for one in drawn.bars)
        assert all(one.height > 0 and one.y + one.height <= drawn.bottom for one in drawn.bars)
        assert min(one.y for one in drawn.bars) >= 20


def test_a_certificate_is_as_bad_as_its_days_say() -> None:
    assert [drawing.level_of(days, 30) for days in (-1, 0, 6, 7, 29, 30, 400)] == ["high"] * 3 + ["medium"] * 2 + ["clean"] * 2


def test_the_days_that_count_as_soon_are_those_of_the_run() -> None:
    document = documents.nine()
    document["about"]["renew_days"] = 100
    told = said_between(html_report(document), "certificates", "matrix")
    assert "7 certificates: 0 ended, 3 within the next 100 days." in told
    document["about"]["renew_days"] = "100"
    assert said_between(html_report(document), "certificates", "matrix") == told
    for nonsense in ("soon", -1, None, 10_000):
        document["about"]["renew_days"] = nonsense
        assert "1 within the next 30 days." in said_between(html_report(document), "certificates", "matrix")


# --- JUnit --------------------------------------------------------------------------------------------------------------------------


def test_junit_has_a_suite_for_each_server_and_a_case_for_each_check() -> None:
    document = documents.nine()
    root = ET.fromstring(junit_report(document))
    assert root.tag == "testsuites"
    assert [root.get(key) for key in ("tests", "failures", "errors", "skipped")] == ["324", "15", "0", "62"]
    suites = root.findall("testsuite")
    assert [suite.get("name") for suite in suites] == [server["name"] for server in document["servers"]]
    assert {suite.get("timestamp") for suite in suites} == {"2026-11-21T16:00:00"}
    for suite, server in zip(suites, document["servers"], strict=True):
        assert [case.get("name") for case in suite] == [finding["check"] for finding in server["findings"]]
        assert {case.get("classname") for case in suite} == {server["name"]}
        assert int(suite.get("failures", "")) == len(suite.findall("*/failure"))
        assert int(suite.get("skipped", "")) == len(suite.findall("*/skipped"))
        for case, finding in zip(suite, server["findings"], strict=True):
            assert [child.tag for child in case] == {"fail": ["failure"], "pass": []}.get(finding["result"], ["skipped"])


def test_junit_says_what_was_seen_how_to_mend_it_and_why_nothing_is_known() -> None:
    root = ET.fromstring(junit_report(documents.nine()))
    failure = root.find("testsuite[@name='wsus03']/testcase[@name='patch_level']/failure")
    assert failure is not None
    assert failure.attrib == {"message": "NOT CVE-2025-59287 is fixed: build 20348.3207, fixed from 20348.4297 on", "type": "high"}
    assert (failure.text or "").splitlines() == [
        "Failed: CVE-2025-59287 is fixed",
        "Severity: high",
        "Seen: build 20348.3207, fixed from 20348.4297 on",
        "To do: Install the updates of October 2025 or later, at once.",
    ]
    skipped = {case.get("name"): case.find("skipped") for case in root.iterfind("testsuite[@name='wsus09']/testcase")}
    assert skipped["services"].get("message") == "not known: the server could not be looked at"  # type: ignore[union-attr]
    top = root.find("testsuite[@name='wsus01']/testcase[@name='upstream_tls']/skipped")
    assert top is not None
    assert top.get("message") == "it synchronizes from Microsoft Update"


def test_junit_of_wicked_texts_is_valid_and_says_them() -> None:
    root = ET.fromstring(junit_report(documents.hostile()).encode("utf-8"))
    assert [suite.get("name") for suite in root] == [texts.clean(text) or "(no name)" for text in documents.HOSTILE] * 3, "servers, then clients"
    assert {element.tag for element in root.iter()} == {"testsuites", "testsuite", "testcase", "failure", "skipped"}
