# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Texts as they can be written: without what neither HTML nor XML can hold, or what would turn round the text after it. Pure."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from typing import Any

from ..state import parse_time

# Control characters but tab and newline, halves of pairs, characters that are none, and what overrides the direction of writing.
_UNWRITABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


def clean(text: Any) -> str:
    """Anything as a text that can be written and read; empty for None. What cannot becomes U+FFFD."""
    said = "" if text is None else str(text)
    return said if said.isprintable() else _UNWRITABLE.sub("\ufffd", said.replace("\r\n", "\n"))


def moment(text: Any) -> str:
    """A time of the document for a reader; a text that is no time as it is."""
    try:
        time = parse_time(str(text)).astimezone(datetime.UTC)
    except (ValueError, OverflowError):
        return clean(text)
    return f"{time.day} {time:%B} {time.year}, {time:%H:%M} UTC"


def counted(numbers: Mapping[str, int]) -> str:
    """Numbers with their words, without those that are none: 2 high, 1 medium."""
    return ", ".join(f"{number:,} {word}" for word, number in numbers.items() if number)


def servers(number: int) -> str:
    return f"{number:,} server" if number == 1 else f"{number:,} servers"
