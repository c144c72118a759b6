# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What DNS calls addresses, asked from this machine, within a time limit that holds whatever the resolver does. No Ansible."""

from __future__ import annotations

import ipaddress
import queue
import socket
import threading
import time
from collections.abc import Sequence

MOST = 500
"""So many addresses are asked for; of each so many names are kept."""
MOST_NAMES = 10
WORKERS = 16
LONGEST = 3600.0


def names_of(addresses: Sequence[str], seconds: float) -> tuple[dict[str, tuple[str, ...]], int]:
    """The names of addresses, and how many of them got no answer in the time, or were not asked for: only the first MOST are.

    SECONDS is for all of it. Names are as DNS has them: anything may stand there. What is no IP address is never asked for, and has no name.
    """
    asked = [address for address in dict.fromkeys(addresses) if _is_address(address)]
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    answered: queue.SimpleQueue[tuple[str, tuple[str, ...]]] = queue.SimpleQueue()
    until = time.monotonic() + seconds
    for address in asked[:MOST]:
        waiting.put(address)

    def work() -> None:
        while time.monotonic() < until:
            try:
                address = waiting.get_nowait()
            except queue.Empty:
                return
            answered.put((address, _names(address)))

    # Daemons: the resolver may hang for longer than anybody wants to wait, and the process has to end all the same.
    for _number in range(min(WORKERS, len(asked))):
        threading.Thread(target=work, daemon=True).start()
    found: dict[str, tuple[str, ...]] = {}
    while len(found) < len(asked[:MOST]):
        try:
            address, names = answered.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            break
        found[address] = names
    return {address: names for address, names in found.items() if names}, len(asked) - len(found)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _names(address: str) -> tuple[str, ...]:
    try:
        name, aliases, _addresses = socket.gethostbyaddr(address)
    except (OSError, UnicodeError):
        return ()
    return (name, *aliases)[:MOST_NAMES]
