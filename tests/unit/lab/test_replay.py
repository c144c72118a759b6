# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The engine gives what a real PowerShell gave, and the comparison would say so if it did not."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.lab.replay import differences, main, replay

RECORDED = Path(__file__).parents[2] / "recorded"
CASES = sorted(RECORDED.rglob("*.json"))

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def load(name: str) -> dict[str, Any]:
    case: dict[str, Any] = json.loads((RECORDED / name).read_text(encoding="utf-8"))
    return case


def test_the_recorded_cases_are_there() -> None:
    assert len(CASES) == 48


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_engine_gives_what_was_recorded(path: Path) -> None:
    case = json.loads(path.read_text(encoding="utf-8"))
    assert replay(case) == []


@pytest.mark.parametrize(
    ("part", "value"),
    [
        (("before", "state", "setup", "port"), 8531),
        (("result", "applied"), 11),
        (("after", "state", "iis", "application_pool", "queue_length"), 1000),
        (("machine_after", "journal"), []),
    ],
)
def test_replay_names_the_place_that_differs(part: tuple[str, ...], value: Any) -> None:
    case = load("server/convert.json")
    inner = case
    for name in part[:-1]:
        inner = inner[name]
    inner[part[-1]] = value
    found = replay(case)
    assert found
    assert all(one.startswith(".".join(part)) for one in found)


def test_replay_leaves_the_case_as_it_is() -> None:
    case = load("server/convert.json")
    before = copy.deepcopy(case)
    replay(case)
    assert case == before


@given(JSON)
def test_a_document_does_not_differ_from_itself(document: Any) -> None:
    assert list(differences(document, copy.deepcopy(document))) == []


@given(JSON, JSON)
def test_documents_that_differ_are_told_apart(one: Any, other: Any) -> None:
    # As text, because Python takes True for 1 and JSON does not.
    if json.dumps(one, sort_keys=True) != json.dumps(other, sort_keys=True) and "@NEW@" not in json.dumps(one):
        assert list(differences(one, other))


@pytest.mark.parametrize(
    ("expected", "seen"),
    [
        ("@NEW@", "any\ntext"),
        ("before @NEW@ after", "before this after"),
        ({"My": {"@NEW@": {"der": "@NEW@"}}}, {"My": {"AB12": {"der": "MII"}}}),
        ({"AB": 1, "@NEW@": 2}, {"CD": 2, "AB": 1}),
    ],
)
def test_new_stands_for_any_text(expected: Any, seen: Any) -> None:
    assert list(differences(expected, seen)) == []


@pytest.mark.parametrize(
    ("expected", "seen"),
    [
        ("before @NEW@ after", "before this"),
        ("@NEW@", None),
        ("@NEW@", 7),
        ({"@NEW@": 1}, {}),
        ({"@NEW@": 1}, {"A": 1, "B": 1}),
        ([1, 2], [2, 1]),
        ([1], [1, 2]),
        (True, 1),
    ],
)
def test_new_stands_for_nothing_else(expected: Any, seen: Any) -> None:
    assert list(differences(expected, seen))


def test_the_command_ends_with_0_where_all_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "fresh.json").write_text(json.dumps(load("server/fresh.json")), encoding="utf-8")
    assert main(tmp_path) == 0
    assert capsys.readouterr().out == "1 passed, 0 failed\n"


def test_the_command_names_the_case_and_the_place_and_ends_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = load("server/fresh.json")
    (tmp_path / "same.json").write_text(json.dumps(case), encoding="utf-8")
    case["before"]["state"]["setup"]["port"] = 1
    (tmp_path / "other.json").write_text(json.dumps(case), encoding="utf-8")
    assert main(tmp_path) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["other.json", "  before.state.setup.port: expected 1, got 8530", "1 passed, 1 failed"]


def test_the_command_ends_with_2_where_there_is_no_case(tmp_path: Path) -> None:
    assert main(tmp_path) == 2
