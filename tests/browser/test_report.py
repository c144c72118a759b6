# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The audit's report in a real browser: it can be read, used and printed, by mouse, by keyboard and without a script, and nothing gets out of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.securepatch.wsus.plugins.plugin_utils.report.texts import clean

from tests.browser.conftest import NARROW, WIDE, Opened, Opener
from tests.browser.documents import HOSTILE

RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")


def use_everything(report: Opened) -> None:
    """Whatever the page can do, once."""
    page = report.page
    for button in page.locator(".sort").all()[:6]:
        button.click()
    page.locator("#f-text").fill("a")
    page.locator("#f-check").select_option(index=3)
    page.locator("#controls button").click()
    if page.locator("#clients-part").count():
        page.locator("#c-text").fill("a")
        page.locator("#c-result").select_option(index=1)
        page.locator("#client-controls button").click()
        if page.locator("#c-next").is_enabled():
            page.locator("#c-next").click()
    for summary in page.locator("summary").all():
        summary.click()
    for button in page.locator("button.more").all()[:25]:
        button.click()
    for link in page.locator(".tree a").all()[:25]:
        link.click()
    page.pdf()


# --- nothing gets out, nothing gets in ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["nine", "many", "hostile", "moving", "well", "nobody"])
def test_nothing_is_asked_of_the_network_and_nothing_complains(opened: Opener, reports: Callable[[str], Path], name: str) -> None:
    report = opened(name)
    if name != "nobody":
        use_everything(report)
    assert set(report.requests) == {reports(name).as_uri()} | {url for url in report.requests if url.startswith(reports(name).as_uri() + "#")}
    assert report.complaints == []


def test_nothing_that_a_server_says_is_executed_or_becomes_an_element(opened: Opener) -> None:
    report = opened("hostile")
    use_everything(report)
    page = report.page
    assert page.evaluate("typeof window.hit") == "undefined"
    assert page.locator("img, iframe, object, embed, [onerror], [onload], [onfocus], [autofocus], [style], failure").count() == 0
    assert page.locator("script").count() == 3
    assert page.evaluate("[...document.querySelectorAll('[href], [src]')].every((one) => one.getAttribute('href')?.startsWith('#'))")
    stood = page.get_by_role("region", name="Table: Where servers stood and stand").locator("td:nth-of-type(1)").all_text_contents()
    assert stood == [f"{clean(text)} before" for text in HOSTILE[3:6]]
    said = {text.strip() for text in page.locator(".server h3 .name").all_text_contents()}
    assert said == {clean(text).strip() or "(no name)" for text in HOSTILE}


def test_the_policy_stops_a_script_that_gets_in_all_the_same(opened: Opener) -> None:
    report = opened("nine")
    report.page.evaluate("""() => {
        window.stopped = [];
        document.addEventListener("securitypolicyviolation", (event) => window.stopped.push(event.effectiveDirective));
        const script = document.createElement("script");
        script.textContent = "window.hit = 1";
        const image = document.createElement("img");
        image.src = "https://127.0.0.1:9/x.png";
        const style = document.createElement("style");
        style.textContent = "body { display: none }";
        document.body.append(script, image, style);
        document.body.setAttribute("onclick", "window.hit = 2");
    }""")
    report.page.locator("h1").click()
    report.page.wait_for_function("window.stopped.length >= 4")
    assert report.page.evaluate("typeof window.hit") == "undefined"
    assert report.page.locator("h1").is_visible()
    assert {"script-src-elem", "img-src", "style-src-elem", "script-src-attr"} <= set(report.page.evaluate("window.stopped"))


# --- what a reader does ------------------------------------------------------------------------------------------------------------


def test_the_first_screen_says_how_bad_it_is_and_what_to_do(opened: Opener) -> None:
    report = opened("nine")
    for words in ("4 of 9 servers have failures of high severity.", "What to do first", "Install the updates of October 2025 or later, at once."):
        box = report.page.get_by_text(words, exact=False).first.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] < WIDE["height"], words


def test_the_matrix_is_filtered_as_one_types(opened: Opener) -> None:
    report = opened("nine")
    page = report.page
    assert len(report.rows()) == 9
    page.get_by_label("Name, upstream").focus()
    page.keyboard.type("WSUS0")
    assert len(report.rows()) == 9
    page.keyboard.type("6")
    assert report.rows() == ["wsus06"]
    assert page.get_by_role("status").inner_text() == "Rows 1 to 1; 1 found of 9 servers"
    page.get_by_label("Name, upstream").fill("wsus02")
    assert sorted(report.rows()) == ["wsus02", "wsus05", "wsus06"], "itself, and those below it"
    page.get_by_label("Name, upstream").fill("nowhere")
    assert report.rows() == []
    assert page.get_by_role("status").inner_text() == "No server is found of 9"
    page.get_by_role("button", name="Show all").click()
    page.wait_for_function("document.querySelectorAll('#rows tr').length === 9")


def test_the_matrix_is_filtered_by_check_result_and_worst_failure(opened: Opener) -> None:
    report = opened("nine")
    page = report.page
    page.get_by_label("Check", exact=True).select_option("patch_level")
    assert sorted(report.rows()) == ["wsus03", "wsus06"], "whoever chooses a check looks for those that fail it"
    page.get_by_label("Result").select_option("not known")
    assert report.rows() == ["wsus09"]
    page.get_by_role("button", name="Show all").click()
    page.get_by_label("Worst failure").select_option("low")
    page.wait_for_function("document.querySelectorAll('#rows tr').length === 1")
    assert report.rows() == ["wsus05"]


@pytest.mark.parametrize("how", ["mouse", "keyboard"])
def test_the_matrix_is_sorted_by_its_heads(opened: Opener, how: str) -> None:
    report = opened("nine")
    page = report.page

    def press(name: str) -> str | None:
        head = report.matrix().get_by_role("columnheader", name=name, exact=True)
        button = head.get_by_role("button")
        if how == "mouse":
            button.click()
        else:
            button.focus()
            page.keyboard.press("Enter")
        return head.get_attribute("aria-sort")

    names = [f"wsus{number:02}" for number in range(1, 10)]
    assert press("Server") == "ascending"
    assert report.rows() == names
    assert press("Server") == "descending"
    assert report.rows() == names[::-1]
    assert press("Days left") == "ascending"
    assert report.rows()[:2] == ["wsus02", "wsus06"]
    assert sorted(report.rows()[-2:]) == ["wsus08", "wsus09"], "those without a certificate are last"
    assert press("Days left") == "descending"
    assert sorted(report.rows()[-2:]) == ["wsus08", "wsus09"], "whichever way"
    assert press("patch_level") == "descending"
    assert report.rows()[:3] == ["wsus03", "wsus06", "wsus09"], "failed, then not known"
    assert page.locator("[aria-sort]").count() == 1
    assert press("Worst") == "descending"
    assert report.rows()[0] == "wsus08"


def test_a_large_matrix_is_turned_page_by_page(opened: Opener) -> None:
    report = opened("many")
    page = report.page
    report.matrix().get_by_role("columnheader", name="Server", exact=True).get_by_role("button").click()
    assert page.get_by_role("button", name="Previous").is_disabled()
    seen = report.rows()
    for _rest in range(3):
        page.get_by_role("button", name="Next").press("Enter")
        seen += report.rows()
    assert seen == [f"wsus{number:04}" for number in range(160)]
    assert page.get_by_role("button", name="Next").is_disabled()
    assert page.evaluate("document.activeElement.id") == "previous", "the focus is not lost with the button"
    page.keyboard.press("Enter")
    assert report.rows()[0] == "wsus0100"


def in_view(report: Opened, selector: str) -> bool:
    y = report.page.evaluate("(it) => document.querySelector(it).getBoundingClientRect().y", selector)
    return bool(0 <= y < report.page.evaluate("innerHeight"))


def test_every_mark_leads_to_its_server(opened: Opener) -> None:
    report = opened("nine")
    page = report.page
    page.locator(".tree a", has_text="wsus06").click()
    assert page.url.endswith("#s5")
    assert page.locator("#s5 h3 .name").inner_text() == "wsus06"
    assert in_view(report, "#s5 h3")
    page.locator("#rows tr", has_text="wsus08").get_by_role("link", name="failed, high: upstream_tls").click()
    assert "http://wsus03:8530: not over TLS" in page.locator(":target").inner_text()
    assert in_view(report, ":target")
    # Far down, past parts that were never laid out.
    far = opened("many")
    far.page.locator(".tree a").last.focus()
    far.page.locator(".tree a").last.press("Enter")
    far.page.wait_for_function("document.querySelector(':target') && document.querySelector(':target').getBoundingClientRect().y < innerHeight")
    assert in_view(far, ":target")


def test_more_servers_than_are_named_stand_in_the_matrix(opened: Opener) -> None:
    report = opened("many")
    link = report.page.locator("a[data-check]").first
    number = int(link.inner_text().split()[0])
    check = int(link.get_attribute("data-check") or "")
    link.click()
    chosen = report.page.locator("#f-check option").nth(check + 1).inner_text()
    assert report.page.locator("#f-check").input_value() == str(check)
    assert f"; {number + 12} found of 160 servers" in report.page.get_by_role("status").inner_text()
    first = report.page.locator("#rows tr").first
    assert first.get_by_role("link", name=f": {chosen}").count() == 1
    report.page.get_by_text("All of them, in the matrix").click()
    assert report.matrix().get_by_role("columnheader", name="Days left").get_attribute("aria-sort") == "ascending"
    report.page.wait_for_function("document.getElementById('shown').textContent.endsWith('; 160 servers')")


def test_what_passed_is_shown_on_demand(opened: Opener) -> None:
    report = opened("nine")
    part = report.page.locator("article", has=report.page.get_by_role("heading", name="wsus05"))
    part.scroll_into_view_if_needed()
    button = part.get_by_role("button", name="Show them for wsus05")
    assert button.get_attribute("aria-expanded") == "false"
    button.press("Space")
    button = part.get_by_role("button", name="Hide them for wsus05")
    assert button.get_attribute("aria-expanded") == "true"
    shown = part.get_by_role("row").all_inner_texts()
    assert len(shown) == 1 + 34, "a head, and all but the one that failed and the one that is not known"
    assert any("build 20348.4529, fixed from 20348.4297 on" in row for row in shown)
    assert any("does not apply" in row and "the inventory has no downstream server of it" in row for row in shown)
    assert any("The network says: TLS answers on port 8531" in row for row in shown)
    button.press("Space")
    assert part.get_by_role("row").count() == 0


def test_what_changed_begins_with_where_servers_stood_and_stand_and_leads_to_them(opened: Opener) -> None:
    report = opened("nine")
    section = report.page.get_by_role("region", name="What changed since the last audit")
    tables = section.get_by_role("region")
    assert [one.get_attribute("aria-label") for one in tables.all()] == [
        f"Table: {title}" for title in ("Where servers stood and stand", "New failures", "Mended", "No longer known")
    ]
    table = section.get_by_role("region", name="Table: Where servers stood and stand")
    assert table.get_by_role("columnheader").all_inner_texts() == ["Server", "Before", "Now"]
    assert table.get_by_role("rowheader").all_inner_texts() == ["wsus09", "wsus08"]
    assert table.get_by_role("cell").all_inner_texts() == ["requires TLS", "not reached", "requires TLS", "HTTP"]
    table.focus()
    report.page.keyboard.press("Tab")
    report.page.keyboard.press("Enter")
    report.page.wait_for_function("document.querySelector(':target') && document.querySelector(':target').getBoundingClientRect().y < innerHeight")
    assert report.page.locator(":target h3 .name").inner_text() == "wsus09"
    assert report.page.locator(":target dl div", has_text="Before").inner_text().split() == ["Before", "requires", "TLS"]


# --- the move of the clients --------------------------------------------------------------------------------------------------


def test_the_move_is_a_table_with_how_it_went_in_bars_and_in_words(opened: Opener) -> None:
    report = opened("moving", java_script_enabled=False)
    table = report.page.get_by_role("region", name="Table: Move of the clients")
    first = table.locator("tbody tr").first
    assert first.locator("th, td").all_inner_texts()[:5] == ["wsus01", "190", "3", "2", "3"], "where somebody was turned away comes first"
    bars = first.get_by_role("img").first
    assert "13 on 14 November 2026" in str(bars.get_attribute("aria-label"))
    heights = bars.locator("rect").evaluate_all("(them) => them.map((one) => one.getBoundingClientRect().height)")
    assert heights == sorted(heights, reverse=True)
    assert heights[0] > heights[-1] > 0
    assert "13 \u2192 3" in first.inner_text()
    report.page.locator("#s0 summary").click()
    assert "Turned away over plain HTTP (3): 10.0." in report.page.locator("#s0 details").inner_text()


def test_without_a_script_the_clients_that_failed_stand_in_the_page(opened: Opener) -> None:
    report = opened("moving", java_script_enabled=False)
    rows = report.page.get_by_role("region", name="Table: Clients that failed or are not known").locator("tbody th").all_inner_texts()
    assert rows == ["left1", "left2", "left3", "left4", "left5", "away"]
    assert report.page.locator("#clients-part").is_hidden()


def test_clients_are_found_and_turned_page_by_page(opened: Opener) -> None:
    report = opened("moving")
    page = report.page
    names = page.locator("#c-rows th")
    assert page.locator(".plain-clients").is_hidden()
    assert page.locator("#c-shown").inner_text() == "Rows 1 to 50; 76 clients"
    assert names.first.inner_text() == "left1"
    page.locator("#c-next").click()
    assert (names.count(), page.locator("#c-shown").inner_text()) == (26, "Rows 51 to 76; 76 clients")
    assert page.evaluate("document.activeElement.id") == "c-previous"
    page.locator("#c-text").fill("wsus03 https")
    page.locator("#c-result").select_option("hml")
    assert names.all_inner_texts() == ["left1", "left2", "left3", "left4", "left5"]
    page.locator("#c-result").select_option("u")
    assert page.locator("#c-shown").inner_text() == "No client is found of 76"
    page.locator("#c-text").fill("timed out")
    assert names.all_inner_texts() == ["away"]
    page.locator("#client-controls button").click()
    page.wait_for_function("document.querySelectorAll('#c-rows tr').length === 50")
    page.locator("#c-rows a").first.click()
    assert page.locator(":target h3 .name").inner_text() == "wsus03"


# --- everybody can ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "scheme", "viewport"),
    [("nine", "light", WIDE), ("nine", "dark", NARROW), ("many", "dark", WIDE), ("moving", "light", WIDE), ("moving", "dark", NARROW)],
    ids=["nine-light-wide", "nine-dark-narrow", "many-dark-wide", "moving-light-wide", "moving-dark-narrow"],
)
def test_axe_finds_nothing_against_it(opened: Opener, name: str, scheme: str, viewport: dict[str, int]) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    # Only so that the test can add a style of its own.
    report = opened(name, color_scheme=scheme, viewport=viewport, bypass_csp=True)
    page = report.page
    page.add_style_tag(content=".server { content-visibility: visible !important }")
    # Of many that are alike a few are enough.
    page.evaluate("for (const many of ['article', '#rows tr']) [...document.querySelectorAll(many)].slice(15).forEach((one) => one.remove())")
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    page.locator("button.more").first.click()
    found = axe.run(page, options={"runOnly": {"type": "tag", "values": list(RULES)}}).response
    assert [(one["id"], one["nodes"][0]["html"][:200], one["nodes"][0]["failureSummary"]) for one in found["violations"]] == []
    assert {"color-contrast", "heading-order", "html-has-lang", "label", "link-name", "target-size"} <= {one["id"] for one in found["passes"]}


@pytest.mark.parametrize("name", ["nine", "many", "hostile"])
def test_a_narrow_page_is_not_wider_than_the_screen(opened: Opener, name: str) -> None:
    report = opened(name, viewport=NARROW)
    assert report.page.evaluate("document.documentElement.scrollWidth") == NARROW["width"]


def test_the_keyboard_finds_its_way(opened: Opener) -> None:
    page = opened("nine").page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to what to do first"
    box = page.locator(".skip").bounding_box()
    assert box is not None
    assert box["y"] >= 0, "it can be seen once it has the focus"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "start"
    stops: list[dict[str, Any]] = []
    for _rest in range(150):
        page.keyboard.press("Tab")
        stop = page.evaluate("""() => {
            const it = document.activeElement, style = getComputedStyle(it), hit = it.querySelector('.hit');
            return { tag: it.tagName, id: it.id, in: it.closest('section')?.getAttribute('aria-labelledby') ?? '',
                     seen: style.outlineStyle !== 'none' || (hit && getComputedStyle(hit).strokeWidth === '2px') };
        }""")
        if stop["tag"] == "BODY":
            break
        stops.append(stop)
    assert [stop for stop in stops if not stop["seen"]] == [], "whatever has the focus can be told"
    assert {"start", "tree", "certificates", "matrix", "servers"} <= {stop["in"] for stop in stops}
    assert {"f-text", "f-level", "f-check", "f-result"} <= {stop["id"] for stop in stops}


def test_a_crowd_of_marks_is_one_stop_for_the_keyboard(opened: Opener) -> None:
    page = opened("many").page
    marks = page.locator(".tree a")
    assert marks.count() == 160
    assert page.locator(".tree a[tabindex='0']").count() == 1
    marks.first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("[...document.querySelectorAll('.tree a')].indexOf(document.activeElement)") == 2
    page.keyboard.press("End")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("[...document.querySelectorAll('.tree a')].indexOf(document.activeElement)") == 159
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("[...document.querySelectorAll('.tree a')].indexOf(document.activeElement)") == 158
    assert page.locator(".tree a[tabindex='0']").count() == 1


def test_colour_is_never_all_that_tells(opened: Opener) -> None:
    page = opened("nine").page
    shapes = {level: page.locator(f"#m-{level}").inner_html() for level in ("high", "medium", "low", "unknown", "clean")}
    assert len(set(shapes.values())) == 5
    assert page.locator("#rows td.cell").count() == 9 * 36
    signs = {"high": "H", "medium": "M", "low": "L"}
    for level, sign in signs.items():
        assert set(page.locator(f"#rows td.{level}").all_inner_texts()) == {sign}
    words = page.locator(".tree a").all_text_contents()
    assert all(any(word in text for word in ("high", "medium", "low", "not all known", "all well")) for text in words)


def test_without_a_script_everything_that_is_wrong_can_be_read(opened: Opener) -> None:
    page = opened("nine", java_script_enabled=False).page
    # What is inside noscript is parsed only where scripts are off.
    assert "scripts are switched off" in page.locator("noscript p").inner_text()
    assert page.locator("#matrix-part").is_hidden()
    assert page.locator(".failures > li").count() == 15
    assert page.locator("button.more").first.is_hidden()
    assert page.get_by_role("region", name="Table: Where servers stood and stand").get_by_role("rowheader").count() == 2
    assert page.get_by_role("region", name="Table: No longer known").is_visible()
    page.locator(".tree a", has_text="wsus06").click()
    assert page.url.endswith("#s5")


# --- on paper ---------------------------------------------------------------------------------------------------------------------


def test_it_prints_in_full(opened: Opener) -> None:
    report = opened("nine", color_scheme="dark")
    page = report.page
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)", "dark is for screens"
    page.evaluate("addEventListener('beforeprint', () => { window.opened = document.querySelectorAll('details[open]').length; })")
    paper = page.pdf(prefer_css_page_size=True)
    assert paper.startswith(b"%PDF-")
    assert paper.count(b"/Type /Page\n") >= 4
    assert page.evaluate("window.opened") == page.locator("details").count(), "what is folded on a screen is open on paper"
    assert page.locator("details[open]").count() == 0, "and folded again"
    tables = page.locator("section[aria-labelledby=changes] .scroll")
    assert tables.evaluate_all("(them) => them.map((one) => getComputedStyle(one).overflow)") == ["visible"] * 4, "paper cannot be scrolled"


def test_a_matrix_of_some_pages_is_printed_whole(opened: Opener) -> None:
    report = opened("many")
    report.page.get_by_label("Result").select_option("failed")
    found = int(report.page.get_by_role("status").inner_text().split("; ")[1].split()[0])
    assert 50 < found <= 300
    report.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert len(report.rows()) == found
    report.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert len(report.rows()) == 50
