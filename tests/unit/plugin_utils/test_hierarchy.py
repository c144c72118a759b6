# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.securepatch.wsus.plugins.plugin_utils import hierarchy
from ansible_collections.securepatch.wsus.plugins.plugin_utils.hierarchy import HierarchyError, Observed, Server
from hypothesis import given
from hypothesis import strategies as st

RECORDED = Path(__file__).parents[2] / "recorded" / "server"

#   top ─┬─ east
#        └─ west ─── south        lone
FIVE = [
    Server("top"),
    Server("east", upstream="top"),
    Server("west", upstream="top"),
    Server("lone"),
    Server("south", upstream="west"),
]


def seen(name: str, upstream: str | None = None, **fields: Any) -> Observed:
    """What a healthy server says: its own id, its name in corp.example, and where it synchronizes from."""
    said: dict[str, Any] = {
        "fqdn": f"{name}.corp.example",
        "server_id": f"id-of-{name}",
        "sql_server": "MICROSOFT##WID",
        "microsoft_update": upstream is None,
        "upstream_name": upstream,
    }
    return Observed(**{**said, **fields})


def problems_of(*servers: Server) -> tuple[str, ...]:
    with pytest.raises(HierarchyError) as caught:
        hierarchy.build(servers)
    return caught.value.problems


def the_problem(*servers: Server) -> str:
    (problem,) = problems_of(*servers)
    return problem


class TestTree:
    def test_knows_who_is_above_and_below_and_how_deep(self) -> None:
        tree = hierarchy.build(FIVE)
        assert tree.tops == ("top", "lone")
        assert tree.downstream("top") == ("east", "west")
        assert tree.downstream("south") == ()
        assert tree.upstream("south") == "west"
        assert tree.upstream("lone") is None
        assert [tree.depth(name) for name in tree.servers] == [0, 1, 1, 0, 2]

    def test_of_nobody_is_empty(self) -> None:
        tree = hierarchy.build([])
        assert (tree.tops, hierarchy.waves(tree), hierarchy.tree_lines(tree, {})) == ((), [], [])

    def test_has_a_server_with_an_upstream_outside_of_the_inventory_as_a_top(self) -> None:
        tree = hierarchy.build([Server("a", upstream_fqdn="uss.example.com", observed=seen("a", "USS.example.com."))])
        assert tree.tops == ("a",)


class TestUpstream:
    def test_that_is_unknown_is_refused_with_close_matches(self) -> None:
        problem = the_problem(Server("wsus01"), Server("wsus02", upstream="wsus1"), Server("wsus03", upstream="wsus1"))
        assert problem.startswith('wsus_upstream of wsus02 and wsus03 is "wsus1", which is not among the WSUS servers')
        assert "did you mean wsus01" in problem

    @pytest.mark.parametrize("upstream", ["wsus01.corp.example", "WSUS01.corp.example.", "WSUS01", "alias.corp.example"])
    def test_that_is_another_name_of_a_host_is_refused_with_the_host_meant(self, upstream: str) -> None:
        top = Server("wsus01", fqdn="alias.corp.example", observed=seen("wsus01"))
        assert "did you mean wsus01?" in the_problem(top, Server("wsus02", upstream=upstream), Server("wsus03", upstream="wsus01"))

    def test_that_nobody_has_gets_no_guess(self) -> None:
        assert "did you mean" not in the_problem(Server("wsus01"), Server("wsus02", upstream="headquarters"))

    def test_that_is_the_server_itself_is_refused(self) -> None:
        assert the_problem(Server("a", upstream="a")).startswith("a is its own upstream (wsus_upstream)")
        assert "a is its own upstream (wsus_upstream_fqdn)" in the_problem(Server("a", fqdn="a.example.com", upstream_fqdn="A.example.com."))

    def test_in_both_variables_is_refused(self) -> None:
        both = Server("a", upstream="top", upstream_fqdn="uss.example.com", observed=seen("a", "elsewhere"))
        problem = the_problem(Server("top", observed=seen("top")), both)
        assert "a has both wsus_upstream (top) and wsus_upstream_fqdn (uss.example.com)" in problem

    @pytest.mark.parametrize("top", [Server("top", fqdn="top.corp.example"), Server("top", observed=seen("top")), Server("top.corp.example")])
    def test_given_as_outside_of_the_inventory_but_in_it_is_refused(self, top: Server) -> None:
        assert f"set wsus_upstream: {top.name} instead" in the_problem(top, Server("a", upstream_fqdn="TOP.corp.example"))

    @pytest.mark.parametrize("name", ["uss", "10.0.0.5", "uss example.com", "https://uss.example.com"])
    def test_and_own_name_must_be_fully_qualified(self, name: str) -> None:
        assert the_problem(Server("a", fqdn=name)).startswith(f'wsus_fqdn of a is "{name}", which is not a fully qualified domain name')
        assert the_problem(Server("a", upstream_fqdn=name)).startswith(f'wsus_upstream_fqdn of a is "{name}", which is not')


class TestCircle:
    def test_is_refused_with_its_names_in_order_and_without_those_that_hang_on_it(self) -> None:
        problem = the_problem(
            Server("hanger", upstream="b"), Server("a", upstream="b"), Server("b", upstream="c"), Server("c", upstream="a"), Server("lone")
        )
        assert problem.startswith("b -> c -> a -> b is a circle")

    def test_is_refused_once_each(self) -> None:
        found = problems_of(*(Server(name, upstream=other) for name, other in zip("abcde", "badec", strict=True)))
        assert [problem.split(" is ")[0] for problem in found] == ["a -> b -> a", "c -> d -> e -> c"]

    def test_of_ten_thousand_is_refused_in_a_sentence_one_can_read(self) -> None:
        problem = the_problem(*(Server(f"s{number}", upstream=f"s{(number + 1) % 10_000}") for number in range(10_000)))
        assert problem.startswith("s0 -> s1 -> ")
        assert " -> (9980 more) -> " in problem
        assert " -> s9999 -> s0 is a circle" in problem
        assert len(problem) < 500


class TestOneMachine:
    def test_under_two_names_is_refused_by_its_fqdn(self) -> None:
        problem = the_problem(Server("a", observed=seen("wsus", server_id=None)), Server("b", observed=seen("wsus", fqdn="WSUS.corp.example.")))
        assert problem.startswith("a and b are one machine: each reports the name wsus.corp.example;")

    def test_under_two_names_is_refused_once_even_when_everything_agrees(self) -> None:
        assert "one machine" in the_problem(Server("a", observed=seen("wsus")), Server("b", observed=seen("wsus")))

    def test_is_seen_through_different_wsus_fqdn(self) -> None:
        a, b = Server("a", fqdn="a.example.com", observed=seen("wsus")), Server("b", fqdn="b.example.com", observed=seen("wsus"))
        assert "one machine" in the_problem(a, b)

    def test_under_two_names_is_refused_by_its_server_id_where_a_name_is_unreadable(self) -> None:
        problem = the_problem(Server("a", observed=seen("wsus")), Server("b", observed=seen("wsus", fqdn=None)))
        assert problem.startswith("a and b have the same WSUS server id (id-of-wsus): they are one machine under several names, or front-ends")

    def test_is_told_from_two_that_windows_calls_the_same(self) -> None:
        """Machines of two workgroups can have one name; their server ids tell them apart, wsus_fqdn gives each a name."""
        a, b = Observed(fqdn="WSUS", server_id="1"), Observed(fqdn="wsus", server_id="2")
        hierarchy.build([Server("a", fqdn="wsus.site1.example", observed=a), Server("b", fqdn="wsus.site2.example", observed=b)])
        assert the_problem(Server("a", observed=a), Server("b", observed=b)).startswith("a and b would all go by the name WSUS;")

    def test_cannot_be_known_by_the_wsus_fqdn_of_another(self) -> None:
        problem = the_problem(Server("a", fqdn="wsus.example.com"), Server("b", fqdn="WSUS.example.com"))
        assert problem.startswith("a and b would all go by the name wsus.example.com; give each a wsus_fqdn of its own")
        assert "go by the name" in the_problem(Server("a", fqdn="b.corp.example"), Server("b", observed=seen("b")))


class TestDatabase:
    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("SQL01", "sql01"),
            ("SQL01\\WSUS", "sql01.corp.example\\wsus"),
            ("SQL01,1433", "SQL01"),
            ("10.0.0.5", "10.0.0.5"),
            ("fe1", "(local)"),
            ("fe1\\X", ".\\x"),
        ],
    )
    def test_of_two_front_ends_is_refused_as_shared(self, one: str, other: str) -> None:
        # The database of the last two is on the second front-end, which therefore calls it by a local name.
        servers = (
            Server("b", observed=seen("fe2", server_id="1", sql_server=one)),
            Server("a", observed=seen("fe1", server_id="1", sql_server=other)),
        )
        problem = the_problem(*servers)
        assert problem.startswith("b and a have the same WSUS server id (1) and one database (")
        assert "front-ends that share a database are not supported" in problem

    @pytest.mark.parametrize(("one", "other"), [("MICROSOFT##WID", "MICROSOFT##WID"), (".", "(local)"), ("SQL01", "SQL02"), ("S\\A", "S\\B")])
    def test_of_their_own_under_one_server_id_means_copies(self, one: str, other: str) -> None:
        problem = the_problem(
            Server("a", observed=seen("a", server_id="1", sql_server=one)), Server("b", observed=seen("b", server_id="1", sql_server=other))
        )
        assert "copies of one installation" in problem

    def test_that_is_unknown_leaves_both_explanations(self) -> None:
        problem = the_problem(
            Server("a", observed=seen("a", server_id="1", sql_server=None)),
            Server("b", observed=seen("b", server_id="1", sql_server="SQL01")),
        )
        assert "one machine under several names, or front-ends of one database" in problem

    def test_server_with_databases_of_several_servers_is_fine(self) -> None:
        hierarchy.build([Server(name, observed=seen(name, sql_server="SQL01")) for name in "ab"])


class TestSource:
    """The upstream that a server really synchronizes from, held against the inventory."""

    @pytest.mark.parametrize(
        ("top", "actual"),
        [
            (Server("top", observed=seen("srv9")), "SRV9.corp.example."),
            (Server("top", observed=seen("srv9")), "srv9"),
            (Server("top", observed=seen("srv9", fqdn="SRV9")), "srv9.dmz.example"),
            (Server("top", fqdn="wsus.example.com", observed=seen("srv9")), "wsus.example.com"),
            (Server("top", fqdn="wsus.example.com", observed=seen("srv9")), "WSUS"),
            (Server("top", fqdn="wsus.example.com", observed=seen("srv9")), "srv9.corp.example"),
            (Server("top", fqdn="wsus.example.com"), "wsus"),
            (Server("top"), "TOP"),
            (Server("top"), "top.corp.example"),
            (Server("top.corp.example"), "top"),
            (Server("top"), "a-name-nobody-can-check.example.com"),
            (Server("top", observed=Observed()), "a-name-nobody-can-check.example.com"),
            (Server("10.0.0.5", observed=seen("srv9")), "10.0.0.5"),
        ],
    )
    def test_is_the_upstream_by_any_of_its_names_and_where_nobody_knows(self, top: Server, actual: str) -> None:
        hierarchy.build([top, Server("a", upstream=top.name, observed=seen("a", actual))])

    @pytest.mark.parametrize(
        ("top", "actual"),
        [
            (Server("top", observed=seen("srv9")), "srv9.other.example"),
            (Server("top", observed=seen("srv9")), "srv8"),
            (Server("top", observed=seen("srv9")), "srv"),
            (Server("top", observed=seen("srv9")), "top"),
            (Server("top", fqdn="wsus.example.com"), "srv9.corp.example"),
            (Server("top", observed=seen("top")), "top.other.example"),
        ],
    )
    def test_that_is_another_is_refused(self, top: Server, actual: str) -> None:
        problem = the_problem(top, Server("a", upstream="top", observed=seen("a", actual)))
        assert problem.startswith(f"a synchronizes from {actual}, not from top as wsus_upstream says; correct wsus_upstream, or move")

    def test_that_is_another_host_is_refused_by_its_inventory_name_even_if_the_upstream_was_not_observed(self) -> None:
        problem = the_problem(
            Server("top"), Server("other", observed=seen("srv9")), Server("a", upstream="top", observed=seen("a", "srv9.corp.example"))
        )
        assert problem.startswith("a synchronizes from srv9.corp.example (other in the inventory), not from top")

    def test_that_is_an_address_cannot_be_told(self) -> None:
        problem = the_problem(Server("top", observed=seen("top")), Server("a", upstream="top", observed=seen("a", "10.0.0.5")))
        assert problem.startswith("a synchronizes from the address 10.0.0.5, so whether that is top (wsus_upstream) cannot be told")

    def test_microsoft_update_under_an_upstream_is_refused(self) -> None:
        downstream = Server("a", upstream="top", observed=seen("a")), Server("b", upstream_fqdn="uss.example.com", observed=seen("b"))
        first, second = problems_of(Server("top"), *downstream)
        assert first.startswith("a synchronizes from Microsoft Update, not from top as wsus_upstream says; correct wsus_upstream, ")
        assert second.startswith("b synchronizes from Microsoft Update, not from uss.example.com as wsus_upstream_fqdn says; ")

    def test_is_not_held_against_a_server_whose_upstream_in_the_inventory_cannot_be(self) -> None:
        assert "is its own upstream" in the_problem(Server("a", upstream="a", observed=seen("a", "b.corp.example")))
        assert "which is not among" in the_problem(Server("a", upstream="nobody", observed=seen("a", "b.corp.example")))

    def test_outside_of_the_inventory_that_is_another_is_refused(self) -> None:
        problem = the_problem(Server("a", upstream_fqdn="uss.example.com", observed=seen("a", "other.example.com")))
        assert problem.startswith("a synchronizes from other.example.com, not from uss.example.com as wsus_upstream_fqdn says")

    def test_of_a_top_that_is_another_server_is_refused(self) -> None:
        outside = the_problem(Server("a", observed=seen("a", "uss.example.com")))
        assert outside.startswith(
            "a has no upstream in the inventory but synchronizes from uss.example.com; set wsus_upstream, or wsus_upstream_fqdn"
        )
        inside = the_problem(Server("a", observed=seen("a", "b.corp.example")), Server("b", observed=seen("b")))
        assert inside.endswith("; set wsus_upstream: b.")

    @pytest.mark.parametrize(
        "unreadable",
        [seen("a", microsoft_update=None), seen("a", microsoft_update=False), seen("a", microsoft_update=False, upstream_name="")],
    )
    def test_that_cannot_be_read_is_not_held_against_anybody(self, unreadable: Observed) -> None:
        hierarchy.build([Server("top"), Server("a", upstream="top", observed=unreadable)])
        hierarchy.build([Server("a", observed=unreadable)])


class TestProblems:
    def test_come_all_at_once(self) -> None:
        found = problems_of(
            Server("a", upstream="nobody"),
            Server("b", upstream="c"),
            Server("c", upstream="b"),
            Server("d", upstream="d"),
            Server("e", observed=seen("e", "uss.example.com")),
            Server("f", observed=seen("f")),
            Server("g", observed=seen("f")),
        )
        assert len(found) == 5

    def test_name_the_first_few_of_many_servers(self) -> None:
        problem = the_problem(*(Server(f"s{number}", upstream="nobody") for number in range(100)))
        assert problem.startswith("wsus_upstream of s0, s1, s2, s3, s4 and 95 more is ")

    def test_include_a_server_that_is_listed_twice(self) -> None:
        assert the_problem(Server("a"), Server("b"), Server("a")).startswith("a stand in the list of servers more than once")


class TestRead:
    def test_takes_the_three_variables_and_nothing_for_empty(self) -> None:
        hostvars: dict[str, dict[str, object]] = {
            "a": {"wsus_upstream": "", "wsus_upstream_fqdn": None, "wsus_fqdn": " "},
            "b": {"wsus_upstream": " a ", "wsus_fqdn": "b.example.com", "other": object()},
            "c": {"wsus_upstream": 101},
        }
        observation = seen("b", "a")
        assert hierarchy.read(["a", "b", "c", "d"], hostvars, {"b": observation}) == [
            Server("a"),
            Server("b", upstream="a", fqdn="b.example.com", observed=observation),
            Server("c", upstream="101"),
            Server("d"),
        ]

    def test_refuses_what_is_no_name_all_at_once(self) -> None:
        with pytest.raises(HierarchyError) as caught:
            hierarchy.read(["a", "b"], {"a": {"wsus_upstream": ["x"]}, "b": {"wsus_fqdn": True}})
        first, second = caught.value.problems
        assert first.startswith("wsus_upstream of a is not a name; ")
        assert second.startswith("wsus_fqdn of b is not a name; ")

    def test_asks_for_no_variable_but_the_three(self) -> None:
        class Watched(dict[str, object]):
            asked: set[object] = set()

            def get(self, key: object, default: object = None) -> object:
                self.asked.add(key)
                return default

        hierarchy.read(["a"], {"a": Watched()})
        assert Watched.asked == {"wsus_upstream", "wsus_upstream_fqdn", "wsus_fqdn"}


class TestObserved:
    def test_comes_from_a_state_document(self) -> None:
        state = json.loads((RECORDED / "downstream.json").read_text())["before"]["state"]
        assert Observed.from_state(state) == Observed(
            fqdn=state["computer"]["fqdn"],
            server_id=state["api"]["server_id"],
            sql_server="MICROSOFT##WID",
            microsoft_update=False,
            upstream_name=state["api"]["synchronization"]["upstream_name"],
        )

    def test_comes_from_every_recorded_document(self) -> None:
        for case in sorted(RECORDED.glob("*.json")):
            Observed.from_state(json.loads(case.read_text())["before"]["state"])

    def test_of_a_machine_without_wsus_is_its_name(self) -> None:
        state = json.loads((RECORDED / "not_wsus.json").read_text())["before"]["state"]
        assert Observed.from_state(state) == Observed(fqdn=state["computer"]["fqdn"])


class TestWaves:
    def test_go_bottom_up_by_default(self) -> None:
        assert hierarchy.waves(hierarchy.build(FIVE)) == [["south"], ["east", "west"], ["top", "lone"]]

    def test_go_top_down(self) -> None:
        assert hierarchy.waves(hierarchy.build(FIVE), "top_down") == [["top", "lone"], ["east", "west"], ["south"]]

    def test_are_found_on_the_whole_tree_and_then_cut(self) -> None:
        tree = hierarchy.build(FIVE)
        assert hierarchy.waves(tree, "bottom_up", only=["top", "south", "not a server"]) == [["south"], ["top"]]
        assert hierarchy.waves(tree, "bottom_up", only=[]) == []

    @pytest.mark.parametrize(
        ("batch", "sizes"),
        [
            (None, [10]),
            ("", [10]),
            (" ", [10]),
            (0, [10]),
            ("0", [10]),
            (4, [4, 4, 2]),
            ("4", [4, 4, 2]),
            (10, [10]),
            ("50", [10]),
            ("25%", [2, 2, 2, 2, 2]),
            ("35 %", [3, 3, 3, 1]),
            ("1%", [1] * 10),
            ("100%", [10]),
        ],
    )
    def test_are_cut_into_batches(self, batch: int | str | None, sizes: list[int]) -> None:
        tree = hierarchy.build([Server(str(number)) for number in range(10)])
        assert [len(wave) for wave in hierarchy.waves(tree, "bottom_up", batch)] == sizes

    @pytest.mark.parametrize("batch", ["all", "-1", -1, "1.5", 1.5, "101%", "0%", "%", "5%%", True, False, "٣", [2]])
    def test_refuse_another_batch_and_say_what_is_allowed(self, batch: Any) -> None:
        with pytest.raises(ValueError, match="a number of servers such as 5, a percentage of a wave such as 25%"):
            hierarchy.waves(hierarchy.build(FIVE), "bottom_up", batch)

    def test_refuse_another_strategy_and_name_the_two(self) -> None:
        strategy: Any = "sideways"
        with pytest.raises(ValueError, match=r'"sideways"; it may be bottom_up or top_down'):
            hierarchy.waves(hierarchy.build(FIVE), strategy)

    def test_of_a_chain_of_ten_thousand_have_one_server_each(self) -> None:
        chain = [Server("s0"), *(Server(f"s{number}", upstream=f"s{number - 1}") for number in range(1, 10_000))]
        found = hierarchy.waves(hierarchy.build(chain))
        assert (len(found), found[0], found[-1]) == (10_000, ["s9999"], ["s0"])


class TestTreeLines:
    def test_draw_the_tree_with_the_notes_in_one_column(self) -> None:
        notes = {"top": "HTTP", "south": "HTTPS offered", "lone": "cannot be reached"}
        assert hierarchy.tree_lines(hierarchy.build([*FIVE, Server("north", upstream="east")]), notes) == [
            "top          HTTP",
            "├─ east",
            "│  └─ north",
            "└─ west",
            "   └─ south  HTTPS offered",
            "lone         cannot be reached",
        ]

    def test_draw_a_long_chain(self) -> None:
        chain = [Server("s0"), *(Server(f"s{number}", upstream=f"s{number - 1}") for number in range(1, 2_000))]
        assert len(hierarchy.tree_lines(hierarchy.build(chain), {})) == 2_000


@st.composite
def forests(draw: st.DrawFn) -> list[Server]:
    """Any forest, in any order of the inventory."""
    count = draw(st.integers(0, 25))
    uppers = [draw(st.one_of(st.none(), st.integers(0, number - 1))) if number else None for number in range(count)]
    servers = [Server(f"s{number}", upstream=None if upper is None else f"s{upper}") for number, upper in enumerate(uppers)]
    shuffled: list[Server] = draw(st.permutations(servers))
    return shuffled


BATCHES = st.one_of(
    st.none(),
    st.integers(0, 30),
    st.integers(0, 30).map(str),
    st.integers(1, 100).map(lambda percent: f"{percent}%"),
)


class TestAnyForest:
    @given(forest=forests(), strategy=st.sampled_from(["bottom_up", "top_down"]), batch=BATCHES, data=st.data())
    def test_comes_in_order_each_server_once_and_no_batch_too_large(
        self, forest: list[Server], strategy: hierarchy.Strategy, batch: int | str | None, data: st.DataObject
    ) -> None:
        names = [server.name for server in forest]
        only = data.draw(st.one_of(st.none(), st.sets(st.sampled_from(names)) if names else st.just(set[str]())))
        tree = hierarchy.build(forest)
        whole = hierarchy.waves(tree, strategy, None, only)
        found = hierarchy.waves(tree, strategy, batch, only)

        assert all(found)
        assert sorted(name for wave in found for name in wave) == sorted(names if only is None else only)
        assert [name for wave in found for name in wave] == [name for wave in whole for name in wave]
        for wave in found:
            assert wave == sorted(wave, key=names.index)

        position = {name: number for number, wave in enumerate(found) for name in wave}
        for lower, place in position.items():
            above = tree.upstream(lower)
            while above:  # also where the servers between are left out
                if above in position:
                    assert place < position[above] if strategy == "bottom_up" else position[above] < place
                above = tree.upstream(above)

        limits = {name: len(wave) for wave in whole for name in wave}
        for wave in found:
            limit = limits[wave[0]]
            if isinstance(batch, str) and batch.endswith("%"):
                limit = max(1, limit * int(batch[:-1]) // 100)
            elif batch is not None and int(batch):
                limit = min(limit, int(batch))
            assert len(wave) <= limit
        assert len(found) <= sum(-(-len(wave) // _size(batch, len(wave))) for wave in whole)

    @given(forest=forests())
    def test_is_drawn_with_each_server_once_below_its_upstream(self, forest: list[Server]) -> None:
        tree = hierarchy.build(forest)
        lines = hierarchy.tree_lines(tree, {server.name: f"note of {server.name}" for server in forest})
        above: list[str] = []
        drawn: list[str] = []
        for line in lines:
            text, _rest, note = line.partition("  note of ")
            name = text.strip("│├└─ ")
            assert note == name
            depth = (len(text.rstrip()) - len(name)) // 3
            assert tree.upstream(name) == (above[depth - 1] if depth else None)
            above[depth:] = [name]
            drawn.append(name)
        assert sorted(drawn) == sorted(tree.servers)

    @given(forest=forests(), data=st.data())
    def test_with_one_upstream_turned_downwards_is_a_circle(self, forest: list[Server], data: st.DataObject) -> None:
        """Whoever gets one of those below it as its upstream closes a circle, whatever hangs on it."""
        by_name = {server.name: server for server in forest}
        lowers = [server.name for server in forest if server.upstream]
        if not lowers:
            return
        lowest = data.draw(st.sampled_from(lowers))
        above = by_name[lowest].upstream
        assert above
        turned = [Server(server.name, upstream=lowest) if server.name == above else server for server in forest]
        (problem,) = problems_of(*turned)
        assert problem.split(" is a circle")[0] in {f"{above} -> {lowest} -> {above}", f"{lowest} -> {above} -> {lowest}"}


def _size(batch: int | str | None, wave: int) -> int:
    """What a batch means for a wave of this size, said another way than the code does."""
    if isinstance(batch, str) and batch.endswith("%"):
        return max(1, int(wave * float(batch[:-1]) / 100))
    return int(batch or 0) or wave
