"""Names of addresses: within the time, whatever the resolver does."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import pytest
from ansible_collections.securepatch.wsus.plugins.plugin_utils import reverse_dns
from ansible_collections.securepatch.wsus.plugins.plugin_utils.reverse_dns import MOST, MOST_NAMES, names_of


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every address that the resolver was asked for; it knows all of 10.1."""
    found: list[str] = []

    def by_address(address: str) -> tuple[str, list[str], list[str]]:
        found.append(address)
        if not address.startswith("10.1."):
            raise socket.herror(1, "Unknown host")
        return f"pc-{address}", [f"alias{number}" for number in range(1000)], [address]

    monkeypatch.setattr(reverse_dns.socket, "gethostbyaddr", by_address)
    return found


def test_names_and_aliases_of_those_that_have_some(asked: list[str]) -> None:
    names, unasked = names_of(["10.1.0.7", "10.2.0.7", "10.1.0.7"], 5)
    assert list(names) == ["10.1.0.7"]
    assert names["10.1.0.7"][:2] == ("pc-10.1.0.7", "alias0")
    assert len(names["10.1.0.7"]) == MOST_NAMES
    assert unasked == 0
    assert sorted(asked) == ["10.1.0.7", "10.2.0.7"]


def test_what_is_no_address_is_never_asked_for(asked: list[str]) -> None:
    assert names_of(["pc1.corp.example", "", "10.1.0.0/24", "{{ x }}"], 5) == ({}, 0)
    assert asked == []


def test_only_so_many_are_asked_for(asked: list[str]) -> None:
    addresses = [f"10.1.{number // 250}.{number % 250}" for number in range(MOST + 20)]
    names, unasked = names_of(addresses, 30)
    assert len(names) == len(asked) == MOST
    assert unasked == 20


def test_a_resolver_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def hang(address: str) -> Any:
        release.wait(30)
        raise socket.gaierror

    monkeypatch.setattr(reverse_dns.socket, "gethostbyaddr", hang)
    begin = time.monotonic()
    try:
        assert names_of([f"10.1.0.{number}" for number in range(40)], 0.2) == ({}, 40)
        assert time.monotonic() - begin < 5
    finally:
        release.set()
