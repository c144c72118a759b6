# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a machine finds at an address: asked of the network it is in."""

from __future__ import annotations

from typing import Any

from ..machine import Machine
from .errors import WindowsError


def test_endpoint(machine: Machine, host_name: str, port: int, tls: bool) -> dict[str, Any]:
    """What MACHINE finds at HOST_NAME:PORT: reachable or not; over TLS also the certificates, whether the name fits and they are trusted.

    A machine without a network finds no such name. Called without the machine's lock.
    """
    if machine.network is not None:
        return machine.network.look(machine, host_name, port, tls)
    error = WindowsError("No such host is known", "System.Net.Sockets.SocketException", 0x80004005, native=11001)
    return unreachable(host_name, port, tls, error)


test_endpoint.__test__ = False  # type: ignore[attr-defined] # named for what it stands for, and no test


def unreachable(host_name: str, port: int, tls: bool, error: WindowsError) -> dict[str, Any]:
    """The answer where nothing answers."""
    return {
        "host_name": host_name,
        "port": port,
        "tls": tls,
        "reachable": False,
        "protocol": None,
        "certificates": [],
        "name_matches": None,
        "trusted": None,
        "chain_errors": [],
        "error": error.state(),
    }
