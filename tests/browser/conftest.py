# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A real browser, once for all tests, and pages in it of which everything is noted. Without a browser the tests are skipped, and say why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.securepatch.wsus.plugins.plugin_utils.report import html_report

from tests.browser import documents
from tests.tooling.chromium import ARGUMENTS, NONE, find_chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

WIDE = {"width": 1280, "height": 900}
NARROW = {"width": 360, "height": 740}
SECONDS = 20
"""How long the browser may take for one thing, on a machine that has other work."""

REPORTS: dict[str, Callable[[], dict[str, Any]]] = {
    "nine": documents.nine_with_changes,
    "many": lambda: documents.many(160),
    "hostile": documents.hostile,
    "moving": documents.moving,
    "well": lambda: documents.nine({}),
    "nobody": lambda: documents.audit([]),
}


@dataclass
class Opened:
    """A report in the browser, and what it said and asked for so far."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def rows(self) -> list[str]:
        """The servers in the matrix, as it stands."""
        return self.page.locator("#rows th").all_inner_texts()

    def matrix(self) -> Locator:
        return self.page.get_by_role("region", name="Matrix of servers and checks")


Opener = Callable[..., Opened]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    playwright_of = pytest.importorskip("playwright.sync_api")
    chromium = find_chromium()
    if chromium is None:
        pytest.skip(NONE)
    with playwright_of.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        yield running
        running.close()


@pytest.fixture(scope="session")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The file of a report by its name in REPORTS, written when it is first asked for."""
    folder = tmp_path_factory.mktemp("reports")

    def report(name: str) -> Path:
        path = folder / f"{name}.html"
        if not path.exists():
            path.write_text(html_report(REPORTS[name]()), encoding="utf-8")
        return path

    return report


@pytest.fixture
def opened(browser: Browser, reports: Callable[[str], Path]) -> Iterator[Opener]:
    """Opens a report by its name, with settings of a browser context where they are given. Each has a profile of its own, empty."""
    with ExitStack() as stack:

        def open_it(name: str, **settings: Any) -> Opened:
            context = stack.enter_context(browser.new_context(**{"viewport": WIDE, **settings}))
            context.set_default_timeout(SECONDS * 1000)
            found = Opened(context.new_page())
            found.page.on("console", lambda message: found.complaints.append(message.text))
            found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
            context.on("request", lambda request: found.requests.append(request.url))
            found.page.goto(reports(name).as_uri())
            return found

        yield open_it
