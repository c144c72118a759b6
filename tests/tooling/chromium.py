# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The browser in which reports are tested: a Chromium that the machine has. None is downloaded here."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
NONE = f"no browser: none of {', '.join(NAMES)} is on PATH (on Debian: apt-get install chromium), and CHROMIUM names none"

# It is root in a container, has no screen, and is to ask nobody anything.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find_chromium() -> Path | None:
    """The program that the variable CHROMIUM names, else the first of NAMES on PATH; None where there is none."""
    named = os.environ.get("CHROMIUM")
    found = (shutil.which(name) for name in ([named] if named else NAMES))
    return next((Path(path) for path in found if path), None)
