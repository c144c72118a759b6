# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where everything stands in the two drawings of a report: the hierarchy, and the days that certificates have left. Pure; templates draw it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

LEVELS = ("high", "medium", "low", "unknown", "clean")
"""How a server stands, worst first: its worst failure; nothing failed but not all is known; all well."""

LABELLED = 60
"""In a tree of more servers than this, those that have nobody below them are marks without a name."""
LISTED = 40
"""More certificates than this are counted by the week instead of having a line each."""

PITCH = 24
"""From the middle of one mark to the next: what a finger hits."""
ROW = 28
INDENT = 30
IN_A_ROW = 34
_LETTER = 7.5


@dataclass(frozen=True)
class Node:
    """A server in the tree: its number, the middle of its mark, and whether its name stands beside it."""

    server: int
    x: int
    y: int
    named: bool


@dataclass
class Tree:
    """The hierarchy as drawn. lines: paths that lead from each server to those below it. packed: whether some are marks without a name."""

    width: int = 0
    height: int = 0
    packed: bool = False
    nodes: list[Node] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)


def tree(parents: Sequence[int | None], levels: Sequence[str], letters: Sequence[int]) -> Tree:
    """Lay out the servers: the number of each one's upstream (None at the top), how it stands, and how long what is written beside it is.

    Circles are cut where they are met, so each server is drawn once, whatever the inventory says. Nothing here recurses.
    """
    below: list[list[int]] = [[] for _rest in parents]
    for number, parent in enumerate(parents):
        if parent is not None:
            below[parent].append(number)
    drawn = Tree(packed=len(parents) > LABELLED)
    seen = [False] * len(parents)
    cursor = 4

    def place(group: Sequence[int], depth: int) -> list[tuple[int, int]]:
        """Those of a group that stand without a name, in rows. Returns where lines to them end."""
        nonlocal cursor
        ends = []
        for first in range(0, len(group), IN_A_ROW):
            middle = cursor + PITCH // 2
            left = depth * INDENT + PITCH // 2
            ends.append((left - 10, middle))
            for column, number in enumerate(group[first : first + IN_A_ROW]):
                seen[number] = True
                drawn.nodes.append(Node(number, left + column * PITCH, middle, named=False))
            cursor += PITCH
        cursor += 4
        drawn.width = max(drawn.width, depth * INDENT + min(len(group), IN_A_ROW) * PITCH)
        return ends

    def draw(tops: Sequence[int]) -> None:
        nonlocal cursor
        # A step is a server to be named, or a group without names; with the place of the server above.
        steps: list[tuple[list[int], bool, int, tuple[int, int, list[tuple[int, int]]] | None]] = []
        spines: list[tuple[int, int, list[tuple[int, int]]]] = []

        def push(group: Sequence[int], depth: int, above: tuple[int, int, list[tuple[int, int]]] | None) -> None:
            plain = [number for number in group if drawn.packed and not below[number]]
            if len(plain) < 3:
                plain = []
            apart = set(plain)
            named = [number for number in group if number not in apart]
            for number in reversed(named):
                steps.append(([number], True, depth, above))
            if plain:
                plain.sort(key=lambda number: LEVELS.index(levels[number]))
                steps.append((plain, False, depth, above))

        push(tops, 0, None)
        while steps:
            group, named, depth, above = steps.pop()
            group = [number for number in group if not seen[number]]
            if not group:
                continue
            if not named:
                ends = place(group, depth)
            else:
                number = group[0]
                seen[number] = True
                x, y = depth * INDENT + PITCH // 2, cursor + ROW // 2
                drawn.nodes.append(Node(number, x, y, named=True))
                drawn.width = max(drawn.width, int(x + 16 + letters[number] * _LETTER))
                cursor += ROW
                ends = [(x - 10, y)]
                if below[number]:
                    spine: tuple[int, int, list[tuple[int, int]]] = (x, y, [])
                    spines.append(spine)
                    push(below[number], depth + 1, spine)
            if above is not None:
                above[2].extend(ends)
        for x, y, ends in spines:
            if ends:
                drawn.lines.append(f"M{x} {y + 10}V{ends[-1][1]}" + "".join(f"M{x} {end_y}H{end_x}" for end_x, end_y in ends))

    draw([number for number, parent in enumerate(parents) if parent is None])
    for number in range(len(parents)):
        if not seen[number]:
            # Nobody at the top leads here: a circle, which begins where it is first met.
            draw([number])
    drawn.height = cursor + 4
    return drawn


# --- certificates ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """A certificate's line: its number among those handed in, its middle, where it ends, its level, and whether it goes on beyond the edge."""

    number: int
    y: int
    x: int
    level: str
    beyond: bool


@dataclass(frozen=True)
class Bar:
    """Certificates that end in the same span, one level of them. beyond: all that end later than the axis goes."""

    x: int
    y: int
    width: int
    height: int
    level: str
    text: str


@dataclass
class Days:
    """Days left as drawn. ticks, rules: places of the axis with their words; heights: of the other axis, where bars count."""

    width: int
    height: int
    left: int
    bottom: int
    zero: int
    ticks: list[tuple[int, str]] = field(default_factory=list)
    rules: list[tuple[int, str]] = field(default_factory=list)
    heights: list[tuple[int, str]] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)


_WIDTH = 960
_RIGHT = 150
_LONGEST = 800
_URGENT = 7


def level_of(days: int, renew_days: int) -> str:
    """How a certificate with so many days left stands."""
    return "high" if days < _URGENT else "medium" if days < renew_days else "clean"


def days(left: Sequence[int], renew_days: int, longest: int) -> Days:
    """Lay out certificates by the days that each has left, the first to end first. They are numbered as handed in.

    longest: how many letters the longest of their names has, as it is written beside its line.
    """
    order = sorted(range(len(left)), key=lambda number: left[number])
    lowest = max(-60, min([0, *left]))
    highest = max(90, renew_days + 30, min(_LONGEST, max([0, *left])))
    return _lines(left, order, renew_days, lowest, highest, longest) if len(left) <= LISTED else _bars(left, renew_days, lowest, highest)


def _axis(drawn: Days, lowest: int, highest: int, renew_days: int, right: int) -> float:
    """Put ticks and rules on the axis. Returns how wide a day is."""
    scale = (drawn.width - drawn.left - right) / (highest - lowest)
    step = next((step for step in (30, 60, 90, 180) if (highest - lowest) / step <= 10), 360)
    drawn.zero = round(drawn.left - lowest * scale)
    for day in range(0, highest + 1, step):
        drawn.ticks.append((round(drawn.zero + day * scale), str(day)))
    drawn.rules = [(drawn.zero, "today")]
    if renew_days > 0:
        drawn.rules.append((round(drawn.zero + renew_days * scale), f"{renew_days} days"))
    return scale


def _lines(left: Sequence[int], order: Sequence[int], renew_days: int, lowest: int, highest: int, longest: int) -> Days:
    drawn = Days(_WIDTH, 30 + len(order) * ROW + 44, left=round(30 + longest * _LETTER), bottom=30 + len(order) * ROW, zero=0)
    scale = _axis(drawn, lowest, highest, renew_days, _RIGHT)
    for row, number in enumerate(order):
        shown = max(lowest, min(left[number], highest))
        # Rounded twice, the first could stand a point beyond the edge.
        x = max(drawn.left, round(drawn.zero + shown * scale))
        drawn.lines.append(Line(number, 30 + row * ROW + ROW // 2, x, level_of(left[number], renew_days), left[number] > highest))
    return drawn


def _bars(left: Sequence[int], renew_days: int, lowest: int, highest: int) -> Days:
    span = 7 if highest <= 400 else 14
    drawn = Days(_WIDTH, 300, left=56, bottom=250, zero=0)
    beyond = 60 if max(left) > highest else 16
    scale = _axis(drawn, lowest, highest, renew_days, beyond)
    counted: dict[int, dict[str, int]] = {}
    later = (highest // span) + 1
    for one in left:
        place = later if one > highest else max(one, lowest) // span
        levels = counted.setdefault(place, {})
        level = level_of(one, renew_days)
        levels[level] = levels.get(level, 0) + 1
    most = max(sum(levels.values()) for levels in counted.values())
    grid = next(step * 10**power for power in range(9) for step in (1, 2, 5) if step * 10**power * 5 >= most)
    top = -(-most // grid) * grid
    drawn.heights = [(round(drawn.bottom - number * 210 / top), f"{number:,}") for number in range(0, top + 1, grid)]
    for place, levels in sorted(counted.items()):
        if place == later:
            x, width = drawn.width - 44, 28
            drawn.ticks.append((x + width // 2, f"over {highest}"))
            words = f"more than {highest} days left"
        else:
            x, width = round(drawn.zero + place * span * scale) + 1, max(2, round(span * scale) - 2)
            begin, end = place * span, place * span + span - 1
            if begin >= 0:
                words = f"{begin} to {end} days left"
            elif begin <= lowest:
                words = f"ended {-end} days ago or earlier"
            else:
                words = f"ended {-end} to {-begin} days ago"
        y = drawn.bottom
        for level in ("high", "medium", "clean"):
            number = levels.get(level, 0)
            if number:
                height = max(2, round(number * 210 / top))
                y -= height
                drawn.bars.append(Bar(x, y, width, height, level, f"{number:,}: {words}"))
    return drawn
