# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files of the controller that modules take or leave: certificates, requests, PFX. Reads and writes them, and thinks nothing of what is in them."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from .authorities import Found, NoCertificate, read_certificates
from .state import Refusal

_LARGEST = 4 * 1024 * 1024  # bytes; a file with certificates is some thousand


def read_file(path: str, what: str) -> bytes:
    """A file's bytes. WHAT it is is for the words. Raises Refusal where it cannot be read, or is far too large to be that."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise Refusal(f"{what} {path} cannot be read on the controller: {error.strerror or error}.") from None
    if len(data) > _LARGEST:
        raise Refusal(f"{what} {path} has more than {_LARGEST // 1024 // 1024} MiB: that is something else.")
    return data


def certificates_from(given: Iterable[str], what: str, find: Callable[[str], str]) -> tuple[Found, ...]:
    """The certificates that are given, each once, as files of the controller (FIND makes a path of a name) or as text themselves (PEM, or
    base64 of DER). Raises Refusal."""
    found: dict[str, Found] = {}
    for one in given:
        data = _as_text(one)
        name = "What was given as text" if data is not None else find(one)
        try:
            for each in read_certificates(read_file(name, what) if data is None else data):
                found.setdefault(each.thumbprint, each)
        except NoCertificate as error:
            raise Refusal(f"{what} {name}: {error}.") from None
    return tuple(found.values())


def _as_text(given: str) -> bytes | None:
    if "-----BEGIN" in given:
        return given.encode("utf-8")
    try:
        data = base64.b64decode(given, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if data[:1] == b"\x30" and len(data) > 64 else None


def write_text(path: str, text: str) -> None:
    """Write a file, all of it or nothing, with its folder. Raises OSError."""
    place = Path(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    beside = place.with_name(f".{place.name}.{os.getpid()}")
    beside.write_text(text, encoding="utf-8")
    beside.replace(place)
