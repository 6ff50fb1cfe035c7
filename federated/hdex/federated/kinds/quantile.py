"""Quantiles from encrypted counts: the bracket of each wanted rank is cut into 256 cells a round, 8 rounds at most.

Doubles are searched in their own order (their bits, read as a whole number), so 8 rounds of 8 bits find the very value
of a rank, bit for bit. With the option `resolution` values are first rounded to its multiples: fewer rounds, and
nothing finer than that leaves. Between two ranks the answer is interpolated as numpy's default does.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hdex.federated.errors import NotConverged, StudyInvalid
from hdex.federated.kinds.columns import read_columns
from hdex.federated.kinds.kind import (
    COUNTS,
    Arrays,
    Asked,
    Cell,
    Encoding,
    Inquiry,
    require_arrays,
    require_no_target,
    require_numbers,
    require_options,
)
from hdex.federated.statistics import Floats

CELLS = 256
_LARGEST = float(np.finfo(np.float64).max)


@dataclass(frozen=True, slots=True)
class Ordered:
    """A site's values as ordinals, one sorted array per column."""

    ordinals: tuple[NDArray[np.int64], ...]
    missing: tuple[int, ...]

    @property
    def n(self) -> int:
        """Values of the thinnest column."""
        return min(len(values) for values in self.ordinals)

    @property
    def events(self) -> int:
        return self.n

    @property
    def parameters(self) -> int:
        return 1

    @property
    def summed(self) -> Sequence[Floats]:
        return ()  # people are counted, their values are not added


@dataclass(frozen=True, slots=True)
class QuantileKind:
    """Options: `probabilities`, each inside (0, 1); `resolution`, 0 for the exact value."""

    name: str = "quantile"
    algorithm: str = "quantile.counts.v1"

    @property
    def steps(self) -> Mapping[str, Encoding]:
        return {"counts": COUNTS, "narrow": COUNTS}

    def check(self, asked: Asked) -> None:
        require_options(asked, needed=("probabilities",), allowed=("resolution",))
        require_no_target(asked)
        require_numbers(asked)
        wanted = asked.options["probabilities"]
        if not isinstance(wanted, list | tuple) or not wanted or not all(_is_inside(q) for q in wanted):
            raise StudyInvalid("probabilities must be numbers above 0 and below 1: minimum and maximum are not told")
        step = asked.options.get("resolution", 0)
        if not isinstance(step, int | float) or not math.isfinite(step) or step < 0:
            raise StudyInvalid("resolution must be 0 or a positive number")

    def columns(self, asked: Asked) -> tuple[str, ...]:
        return asked.features

    def length(self, asked: Asked, step: str) -> int:
        if step == "counts":
            return len(asked.features) * (CELLS + 1)
        return _ranks(asked) * CELLS

    def check_point(self, asked: Asked, step: str, point: Arrays | None) -> None:
        size = len(asked.features) if step == "counts" else _ranks(asked)
        arrays = require_arrays(point, {"low": size, "high": size})
        if not (arrays["low"] <= arrays["high"]).all():
            raise StudyInvalid("a bracket's low end is above its high end")

    def rows(self, frame: pl.DataFrame, asked: Asked) -> Ordered:
        columns = read_columns(frame, asked.features, asked).values()
        step = float(asked.options.get("resolution", 0))
        present = [column[~np.isnan(column)] for column in columns]
        rounded = [np.round(values / step) if step else values for values in present]
        missing = tuple(frame.height - len(values) for values in present)
        return Ordered(tuple(np.sort(ordinals(values)) for values in rounded), missing)

    def sums(self, rows: Ordered, asked: Asked, step: str, point: Arrays | None) -> Floats:
        assert point is not None, "the point was checked"
        each = 1 if step == "counts" else 2 * len(asked.options["probabilities"])
        counts = []
        for position, (low, high) in enumerate(zip(point["low"], point["high"], strict=True)):
            edges = np.array(cell_edges(ordinal(low), ordinal(high)), dtype=np.int64)
            counts.append(np.diff(np.searchsorted(rows.ordinals[position // each], edges, side="right")))
        tail = rows.missing if step == "counts" else ()
        return np.array([*np.concatenate(counts), *tail], dtype=np.float64)

    def inquire(self, asked: Asked) -> Inquiry:
        return QuantileInquiry(asked)


def _is_inside(q: Any) -> bool:
    return isinstance(q, int | float) and 0 < q < 1


def _ranks(asked: Asked) -> int:
    return 2 * len(asked.features) * len(asked.options["probabilities"])


def ordinals(values: Floats) -> NDArray[np.int64]:
    """Return whole numbers in the order of the doubles; both zeros are 0."""
    bits = np.ascontiguousarray(values).view(np.int64)
    return np.where(bits < 0, -(bits & np.int64(0x7FFF_FFFF_FFFF_FFFF)), bits)


def ordinal(value: float) -> int:
    """Return the ordinal of one double."""
    return int(ordinals(np.array([value], dtype=np.float64))[0])


def value_of(position: int) -> float:
    """Return the double with this ordinal."""
    bits = np.array([abs(position)], dtype=np.int64).view(np.float64)
    return float(-bits[0]) if position < 0 else float(bits[0])


def cell_edges(low: int, high: int) -> list[int]:
    """Return CELLS + 1 ordinals: cell i holds the ordinals above edge i up to edge i + 1, together low to high."""
    width = high - low + 1
    return [low - 1 + width * cell // CELLS for cell in range(CELLS + 1)]


@dataclass(slots=True)
class _Rank:
    """One wanted rank: the value with `rank` values before it, known to lie in low to high."""

    column: int
    rank: int  # from 0, within all values of the column
    low: int
    high: int
    before: int = 0  # values below the bracket

    def narrow(self, counts: Floats) -> None:
        edges = cell_edges(self.low, self.high)
        upto = self.before + np.cumsum(counts).astype(int)
        cell = int(np.searchsorted(upto, self.rank, side="right"))
        if cell >= CELLS:
            raise NotConverged("the counts do not hold the wanted rank: a site's values changed during the study")
        self.before = int(upto[cell - 1]) if cell else self.before
        self.low, self.high = edges[cell] + 1, edges[cell + 1]

    def value(self, step: float) -> float | None:
        """Return the value once one is left in the bracket: one double, or one multiple of `step`."""
        low, high = value_of(self.low), value_of(self.high)
        if not step:
            return low if self.low == self.high else None
        return math.ceil(low) * step if math.ceil(low) == math.floor(high) else None


class QuantileInquiry:
    """One round for the first cut of every column, then every rank for itself."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._step = float(asked.options.get("resolution", 0))
        self._ranks: list[_Rank] = []
        self._n: list[int] = []
        self._missing: list[int] = []
        self.round = 1
        self.step = "counts"
        width = len(asked.features)
        self.point: Arrays = {"low": np.full(width, -_LARGEST), "high": np.full(width, _LARGEST)}

    @property
    def settled(self) -> bool:
        return bool(self._ranks) and all(rank.value(self._step) is not None for rank in self._ranks)

    def absorb(self, total: Floats) -> None:
        if self.step == "counts":
            self._start(total)
        else:
            for rank, counts in zip(self._ranks, total.reshape(-1, CELLS), strict=True):
                rank.narrow(counts)
        low = np.array([value_of(rank.low) for rank in self._ranks])
        high = np.array([value_of(rank.high) for rank in self._ranks])
        self.point, self.step = {"low": low, "high": high}, "narrow"
        self.round += 1

    def _start(self, total: Floats) -> None:
        width = len(self._asked.features)
        tables = total[:-width].reshape(width, CELLS)
        self._missing = [int(value) for value in total[-width:]]
        self._n = [int(table.sum()) for table in tables]
        if not all(self._n):
            raise NotConverged("a column has no value at any site; leave it out")
        for column, table in enumerate(tables):
            for q in self._asked.options["probabilities"]:
                position = (self._n[column] - 1) * q
                for number in (math.floor(position), math.ceil(position)):
                    rank = _Rank(column, number, ordinal(-_LARGEST), ordinal(_LARGEST))
                    rank.narrow(table)
                    self._ranks.append(rank)

    def answer(self) -> "Quantiles":
        found = iter(self._ranks)
        rows = []
        for column, name in enumerate(self._asked.features):
            values = {}
            for q in self._asked.options["probabilities"]:
                low, high = next(found).value(self._step), next(found).value(self._step)
                assert low is not None
                assert high is not None
                position = (self._n[column] - 1) * q
                values[q] = interpolate(low, high, position - math.floor(position))
            rows.append(QuantileRow(name, self._n[column], self._missing[column], values))
        return Quantiles(tuple(rows))


def interpolate(low: float, high: float, part: float) -> float:
    """Return low + part (high - low), rounded as numpy does: from the nearer end."""
    if part >= 0.5:
        return high - (high - low) * (1 - part)
    return low + (high - low) * part


@dataclass(frozen=True, slots=True)
class QuantileRow:
    """Quantiles of one column."""

    name: str
    n: int
    missing: int
    values: Mapping[float, float]  # probability -> quantile


@dataclass(frozen=True, slots=True)
class Quantiles:
    """What a quantile study answers."""

    rows: tuple[QuantileRow, ...]

    def cells(self) -> Sequence[Cell]:
        """Return the rows on the thinner side of each quantile."""
        return [
            Cell(
                f"{row.name}, thinner side of {q:g}",
                math.floor(min(q, 1 - q) * row.n),
                floor="quantile_side",
                may_be_empty=False,
            )
            for row in self.rows
            for q in row.values
        ]

    def document(self) -> dict[str, Any]:
        """Return the JSON document."""
        columns = [
            {
                "name": row.name,
                "n": row.n,
                "missing": row.missing,
                "quantiles": [{"probability": q, "value": value} for q, value in row.values.items()],
            }
            for row in self.rows
        ]
        return {"columns": columns, "warnings": []}
