# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How a benchmark tells what it found: a table as Markdown, fit for docs/benchmarks.md, and what it was measured on."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Sequence
from importlib.metadata import version


def machine() -> str:
    """What this machine and its software are, and how busy it is."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    day = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    parts = [f"{os.cpu_count()} cores", f"{memory / 2**30:.0f} GiB", platform.system(), f"Python {platform.python_version()}"]
    return f"{day}: {', '.join(parts)}, ansible-core {version('ansible-core')}; load when it began {os.getloadavg()[0]:.1f}."


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table: the first column to the left, numbers and all others to the right."""
    texts = [list(columns), *([str(cell) for cell in row] for row in rows)]
    widths = [max(3, *(len(row[column]) for row in texts)) for column in range(len(columns))]
    lines = []
    for first, *others in texts:
        padded = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))]
        lines.append(f"| {' | '.join(padded)} |")
    rule = "|" + "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])]) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def mebibytes(count: int) -> str:
    return f"{count / 2**20:,.0f} MiB"
