# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The URL that clients are told: what it may be, and which server answers to it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.securepatch.wsus.plugins.plugin_utils.state import Refusal, State
from ansible_collections.securepatch.wsus.plugins.plugin_utils.update_url import read_url, refuse_other_server
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.plugin_utils.machines import NOW, bind, document, offering, read


@pytest.mark.parametrize(
    ("url", "host_name", "port", "content_port"),
    [
        ("https://wsus01.corp.example:8531", "wsus01.corp.example", 8531, 8530),
        ("https://WSUS01.Corp.Example:443", "wsus01.corp.example", 443, 80),
        ("https://wsus01.corp.example", "wsus01.corp.example", 443, 80),
        ("HTTPS://wsus-1.corp.example:9001", "wsus-1.corp.example", 9001, 9000),
        ("https://1.corp.example:8531", "1.corp.example", 8531, 8530),
        ("https://wsus_01.corp.example:8531", "wsus_01.corp.example", 8531, 8530),
    ],
)
def test_a_url_that_clients_can_be_told(url: str, host_name: str, port: int, content_port: int) -> None:
    found = read_url(url)
    assert (found.text, found.host_name, found.port, found.content_port) == (url, host_name, port, content_port)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://wsus01.corp.example:8530", "not https. Should it be https://wsus01.corp.example:8531?"),
        ("http://wsus01.corp.example", "not https. Should it be https://wsus01.corp.example:8531?"),
        ("http://wsus01.corp.example:80", "not https. Should it be https://wsus01.corp.example:443?"),
        ("http://wsus01.corp.example:8531", "Port 8531 is the one for HTTPS. Should it be https://wsus01.corp.example:8531?"),
        ("http://wsus01:8530", "is http://wsus01:8530, which is not https."),
        ("ftp://wsus01.corp.example:8531", "not https"),
        ("wsus01.corp.example:8531", "not https"),
        ("", "The URL is empty. A server has one once configuressl has run."),
        (None, "The URL is empty."),
        ("https://wsus01.corp.example:8530", "8530 is the port of plain HTTP, the one for HTTPS beside it is 8531."),
        ("https://wsus01.corp.example:80", "80 is the port of plain HTTP, the one for HTTPS beside it is 443."),
        ("https://wsus01:8531", "'wsus01' is a short name"),
        ("https://10.0.0.1:8531", "no fully qualified name"),
        ("https://[2001:db8::1]:8531", "no fully qualified name"),
        ("https://*.corp.example:8531", "no fully qualified name"),
        ("https://wsus01.corp.example.:8531", "no fully qualified name"),
        ("https://-a.corp.example:8531", "no fully qualified name"),
        ("https://wsus01..example:8531", "no fully qualified name"),
        (f"https://{'a' * 64}.corp.example:8531", "no fully qualified name"),
        (f"https://{'a.' * 127}example:8531", "no fully qualified name"),
        ("https://", "no fully qualified name"),
        ("https://wsus01.corp.example:", "no port behind the colon"),
        ("https://wsus01.corp.example:0", "no port behind the colon"),
        ("https://wsus01.corp.example:99999", "cannot be read"),
        ("https://wsus01.corp.example:one", "cannot be read"),
        ("https://[wsus01", "cannot be read"),
        ("https://wsus01.corp.example:8531/", "Give it as https://wsus01.corp.example:8531."),
        ("https://wsus01.corp.example:8531/ClientWebService/client.asmx", "Give it as https://wsus01.corp.example:8531."),
        ("https://wsus01.corp.example:8531?a=b", "Give it as https://wsus01.corp.example:8531."),
        ("https://wsus01.corp.example:8531?", "Give it as https://wsus01.corp.example:8531."),
        ("https://wsus01.corp.example:8531#a", "Give it as https://wsus01.corp.example:8531."),
        ("https://wsus01.corp.example:8531 ", "a character that cannot be in one"),
        ("https://wsus01.corp.example\n:8531", "a character that cannot be in one"),
        ("https://wsüs01.corp.example:8531", "a character that cannot be in one"),
    ],
)
def test_a_url_that_clients_cannot_be_told(url: str | None, says: str) -> None:
    with pytest.raises(Refusal) as refused:
        read_url(url)
    assert says in str(refused.value)
    assert str(refused.value).endswith((".", "?"))


def test_a_password_in_a_url_is_not_said_again() -> None:
    with pytest.raises(Refusal, match="names a user") as refused:
        read_url("https://admin:geheim@wsus01.corp.example:8531")
    assert "geheim" not in str(refused.value)


@given(st.one_of(st.text(max_size=60), st.from_regex(r"https?://[a-z0-9.:@/?\[\]-]{0,30}", fullmatch=True)))
def test_whatever_it_is_it_is_read_or_refused(url: str) -> None:
    try:
        found = read_url(url)
    except Refusal:
        return
    assert found.text == url
    assert url.casefold() in (f"https://{found.host_name}", *(f"https://{found.host_name}:{found.port:0{zeros}d}" for zeros in range(40)))
    assert 0 < found.port < 65536


# --- the server -----------------------------------------------------------------------------------------------------------------


def against(url: str, state: State) -> str:
    """Why the server does not answer to the URL; empty where it does."""
    try:
        refuse_other_server(read_url(url), state, NOW)
    except Refusal as refusal:
        return str(refusal)
    return ""


GOOD = "https://wsus01.corp.example:8531"


def test_a_server_that_offers_https_answers_to_its_name_and_port() -> None:
    assert refuse_other_server(read_url(GOOD), read(offering()), NOW) == ()
    assert against("https://WSUS01.CORP.EXAMPLE:8531", read(offering())) == ""


@pytest.mark.parametrize(
    ("found", "url", "says"),
    [
        (document(), GOOD, "does not offer HTTPS (it stands at: HTTP)"),
        (bind(document(), "good"), GOOD, "does not offer HTTPS (it stands at: half-way)"),
        (offering(), "https://wsus01.corp.example:8541", "The URL has port 8541, and the server wsus01.corp.example has no https binding there"),
        (offering(), "https://wsus01.corp.example", "The URL has port 443"),
        (offering(), "https://updates.corp.example:8531", "is for wsus01.corp.example, not for updates.corp.example"),
        (bind(offering(), "expired"), GOOD, "expired on"),
        (bind(offering(), "other"), GOOD, "is for other.corp.example, not for wsus01.corp.example"),
    ],
)
def test_a_server_that_does_not_answer_to_it(found: dict[str, Any], url: str, says: str) -> None:
    assert says in against(url, read(found))


def test_no_wsus_and_no_state_are_refused() -> None:
    state = read(document())
    state["setup"] = None
    assert "This is not a WSUS server" in against(GOOD, state)
    assert "it has no certificates, computer" in against(GOOD, {"changed": False})  # type: ignore[typeddict-item]


def test_a_certificate_that_is_still_to_come_fits() -> None:
    state = read(offering())
    assert state["iis"]
    for binding in state["iis"]["site"]["bindings"]:
        if binding["protocol"] == "https":
            binding.update(thumbprint=None, promised=True)
    assert against("https://updates.corp.example:8531", state) == ""


def test_a_certificate_that_is_gone_from_its_store_does_not() -> None:
    state = read(offering())
    state["certificates"] = []
    assert "is not in its store any more" in against(GOOD, state)


def test_a_binding_by_name_answers_to_that_name_alone() -> None:
    state = read(offering())
    assert state["iis"]
    for binding in state["iis"]["site"]["bindings"]:
        binding["host_name"] = "wsus01.corp.example" if binding["protocol"] == "https" else ""
    assert against(GOOD, state) == ""
    assert "no https binding there for updates.corp.example" in against("https://updates.corp.example:8531", state)


def test_it_is_said_where_the_port_of_the_files_is_not_there() -> None:
    state = read(offering())
    assert state["iis"]
    state["iis"]["site"]["bindings"] = [binding for binding in state["iis"]["site"]["bindings"] if binding["protocol"] == "https"]
    (said,) = refuse_other_server(read_url(GOOD), state, NOW)
    assert "has no http binding on 8530" in said
