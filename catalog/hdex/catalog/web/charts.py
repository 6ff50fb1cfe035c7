"""Geometry of the bar charts. The templates draw them as inline SVG; classes colour them, so no style is inlined."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH = 360
ROW = 30
BAR = 14
TOP = 2
LETTER = 7.2  # mean width of a character at the labels' size
VALUE_ROOM = 58


@dataclass(frozen=True, slots=True)
class Bar:
    """One horizontal bar: what it says and where it lies."""

    label: str
    value: str
    kind: str  # class name: before, after, chance, plain
    x: float
    y: int
    width: float
    height: int = BAR

    @property
    def middle(self) -> float:
        """Return the height at which the text beside the bar is centred."""
        return self.y + self.height / 2


@dataclass(frozen=True, slots=True)
class BarChart:
    """A chart of horizontal bars on one scale from 0."""

    bars: tuple[Bar, ...]
    axis: float  # where the bars begin
    height: int
    width: int = WIDTH


def bar_chart(items: Sequence[tuple[str, float, str, str]], *, longest: float | None = None) -> BarChart:
    """Return the chart of (label, amount, value as written, kind); `longest` is the amount that fills the width."""
    full = longest or max((amount for _, amount, _, _ in items), default=0) or 1
    axis = min(8 + LETTER * max((breadth(label) for label, *_ in items), default=0), WIDTH * 0.45)
    room = WIDTH - axis - VALUE_ROOM
    bars = tuple(
        Bar(label, value, kind, round(axis, 1), TOP + number * ROW + 6, round(max(room * amount / full, 1.5), 1))
        for number, (label, amount, value, kind) in enumerate(items)
    )
    return BarChart(bars, round(axis, 1), TOP * 2 + ROW * len(items))


def breadth(label: str) -> int:
    """Return how many letters' room a label takes: a Han character takes two."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in label)
