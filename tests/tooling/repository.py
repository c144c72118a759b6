# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The files of the repository, as git sees them."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def repository_files() -> list[Path]:
    """Every file that git has or would take, as it is now: absolute paths, sorted.

    Raises FileNotFoundError where there is no git, CalledProcessError where this is no clone.
    """
    # A clone that belongs to another user is listed all the same.
    command = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-coz", "--exclude-standard"]
    listing = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return sorted({ROOT / name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()})
