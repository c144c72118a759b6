# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""How long the audit's report of 2,000 servers takes to write, how large it is, and how soon it can be used in a browser.

Run C(python -m tests.benchmarks.report_size) from the root of the repository. It ends with 1 where a limit is missed. Where no Chromium is found
(see C(tests/tooling/chromium.py)), nothing is measured in a browser, and it says so.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from ansible_collections.securepatch.wsus.plugins.plugin_utils.report import html_report, junit_report

from tests.browser.documents import many
from tests.tooling.chromium import ARGUMENTS, NONE, find_chromium

from .report import machine, table

SERVERS = 2_000
SECONDS_TO_WRITE = 5.0
MEGABYTES = 10.0
SECONDS_TO_PAINT = 1.0
SECONDS_TO_FILTER = 1.0
OPENINGS = 3
SOUGHT = "wsus1234"

# From the key that is pressed to the frame after the rows have changed.
WATCH = """() => {
  let pressed;
  document.getElementById("f-text").addEventListener("keydown", () => { pressed = performance.now(); });
  new MutationObserver(() => requestAnimationFrame(() => setTimeout(() => { window.filtered = performance.now() - pressed; })))
    .observe(document.getElementById("rows"), { childList: true });
}"""
FIRST_PAINT = "performance.getEntriesByType('paint').find((one) => one.name === 'first-paint')?.startTime"


def written(folder: Path) -> tuple[Path, list[tuple[str, float, float]]]:
    """Write both reports. Returns the HTML file's path, and for each what it is, in seconds and megabytes."""
    document = many(SERVERS)
    rows = []
    for name, report in (("report.html", html_report), ("report.xml", junit_report)):
        start = time.perf_counter()
        (folder / name).write_text(report(document), encoding="utf-8")
        rows.append((name, time.perf_counter() - start, (folder / name).stat().st_size / 1e6))
    return folder / "report.html", rows


def opened(chromium: Path, page_file: Path) -> tuple[float, float, float]:
    """Open the file in a fresh browser: seconds to the first paint, until everything is read, and from one key to the rows that it leaves."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 (where there is no browser, it need not be there)

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(page_file.as_uri())
        page.wait_for_function(f"() => {FIRST_PAINT}")
        paint = page.evaluate(FIRST_PAINT)
        loaded = page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
        page.evaluate(WATCH)
        page.locator("#f-text").focus()
        slowest = 0.0
        for key in SOUGHT:
            page.evaluate("window.filtered = 0")
            page.keyboard.press(key)
            page.wait_for_function("() => window.filtered > 0")
            slowest = max(slowest, page.evaluate("window.filtered"))
        if page.locator("#rows tr").count() != 1:
            raise RuntimeError(f"the filter found something else than {SOUGHT}")
        browser.close()
    return paint / 1000, loaded / 1000, slowest / 1000


def main() -> int:
    print(f"{machine()}\n")
    with tempfile.TemporaryDirectory() as folder:
        page_file, rows = written(Path(folder))
        print(table(("file", "written in", "size"), [(name, f"{seconds:.2f} s", f"{size:.1f} MB") for name, seconds, size in rows]))
        missed = any(seconds > SECONDS_TO_WRITE or size > MEGABYTES for _rest, seconds, size in rows)
        limits = f"each written within {SECONDS_TO_WRITE:g} s, at most {MEGABYTES:g} MB"
        chromium = find_chromium()
        if chromium is None:
            print(f"\nNot measured in a browser: {NONE}.")
        else:
            measured = sorted(opened(chromium, page_file) for _rest in range(OPENINGS))
            shown = [[f"{seconds:.2f} s" for seconds in one] for one in measured]
            print("\n" + table(("opening", "first paint", "all read", "one key to the rows"), [(n, *one) for n, one in enumerate(shown, 1)]))
            paint, _rest, filtering = measured[OPENINGS // 2]
            missed |= paint > SECONDS_TO_PAINT or filtering > SECONDS_TO_FILTER
            limits += f"; first paint within {SECONDS_TO_PAINT:g} s and filtered within {SECONDS_TO_FILTER:g} s, in the middle one of {OPENINGS}"
    print(f"\nLimits ({SERVERS:,} servers: {limits}): {'missed' if missed else 'kept'}.")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
