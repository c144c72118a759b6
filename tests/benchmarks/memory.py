# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How much memory a process and all that it started takes, from Linux's /proc."""

from __future__ import annotations

import contextlib
import re
import threading
from pathlib import Path


class PeakMemory:
    """Samples the memory of a process and of all its descendants while it is entered.

    `together` is the most that they had at one time, in bytes, each page that they share counted once (PSS); `largest` the most
    that the process itself ever had (VmHWM). A peak between two samples is missed, and sampling
    takes a little of the processor.
    """

    def __init__(self, process: int, every: float = 1.0) -> None:
        self._process = process
        self._every = every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.together = 0
        self.largest = 0

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *_rest: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self.together = max(self.together, sum(_field(f"{one}/smaps_rollup", "Pss") for one in _with_descendants(self._process)))
            self.largest = max(self.largest, _field(f"{self._process}/status", "VmHWM"))
            if self._stop.wait(self._every):
                return


def _field(path: str, name: str) -> int:
    """A value of a file below /proc, in bytes; 0 where the process has gone."""
    try:
        found = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc", path).read_text(encoding="ascii"), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0


def _with_descendants(process: int) -> list[int]:
    found = [process]
    for one in found:  # grows while it is worked through
        with contextlib.suppress(OSError):
            found += [int(child) for task in Path("/proc", str(one), "task").iterdir() for child in (task / "children").read_text().split()]
    return found
