"""Histogram and crosstab with chi-square: one round of encrypted counts over cells that the study declares."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from hdex.federated.disclosure_cells import Labels, Partition
from hdex.federated.disclosure_regimes import Regime
from hdex.federated.disclosure_rules import bin_breaches
from hdex.federated.disclosure_tables import Suppressed, suppress
from hdex.federated.distributions import chi2_p
from hdex.federated.errors import DisclosureRefused, NotConverged, StudyInvalid
from hdex.federated.kinds.columns import complete_rows, read_columns
from hdex.federated.kinds.kind import (
    COUNTS,
    Answer,
    Arrays,
    Asked,
    Cell,
    Encoding,
    Inquiry,
    Kind,
    require_levels,
    require_no_point,
    require_no_target,
    require_numbers,
    require_options,
)
from hdex.federated.statistics import Floats

_MAX_CELLS = 10_000
_FEW_EXPECTED = 5.0  # below, the chi-square approximation is poor


@dataclass(frozen=True, slots=True)
class Cells:
    """A site's counts."""

    counts: Floats  # flat
    n: int
    dropped: tuple[int, ...]
    partitions: tuple[Partition, ...]  # the cell of each value that is there

    @property
    def events(self) -> int:
        return self.n

    @property
    def parameters(self) -> int:
        return 1

    @property
    def summed(self) -> Sequence[Floats]:
        return ()  # people are counted, their values are not added


class _CountingKind:
    """What histogram and crosstab share: one step, no point."""

    @property
    def steps(self) -> Mapping[str, Encoding]:
        return {"counts": COUNTS}

    def columns(self, asked: Asked) -> tuple[str, ...]:
        return asked.features

    def check_point(self, asked: Asked, step: str, point: Arrays | None) -> None:
        require_no_point(step, point)

    def partitions(self, rows: Cells, asked: Asked) -> Sequence[Partition]:
        return rows.partitions

    def sums(self, rows: Cells, asked: Asked, step: str, point: Arrays | None) -> Floats:
        return np.concatenate([rows.counts, np.array(rows.dropped, dtype=np.float64)])


class HistogramKind(_CountingKind):
    """Counts between public edges. Option `edges`: column -> rising numbers; bins are [low, high).

    The last bin holds its high edge too. Values below the first and above the last edge are counted for themselves.
    """

    name, algorithm = "histogram", "histogram.sums.v1"

    def check(self, asked: Asked) -> None:
        require_options(asked, needed=("edges",))
        require_no_target(asked)
        require_numbers(asked)
        edges = asked.options["edges"]
        if not isinstance(edges, Mapping) or set(edges) != set(asked.features):
            raise StudyInvalid("the option edges must name exactly the features, each with its edges")
        for name, found in edges.items():
            _check_edges(name, found)

    def length(self, asked: Asked, step: str) -> int:
        return sum(len(asked.options["edges"][name]) + 2 for name in asked.features)

    def rows(self, frame: pl.DataFrame, asked: Asked) -> Cells:
        columns = read_columns(frame, asked.features, asked)
        present = {name: column[~np.isnan(column)] for name, column in columns.items()}
        edges = asked.options["edges"]
        bins = {name: _bin_of(present[name], edges[name]) for name in asked.features}
        counts = [np.bincount(bins[name], minlength=len(edges[name]) + 1) for name in asked.features]
        missing = tuple(frame.height - len(present[name]) for name in asked.features)
        parts = tuple(Partition(bins[name], is_ordered=True) for name in asked.features)
        n = min(len(values) for values in present.values())
        return Cells(np.concatenate(counts).astype(np.float64), n, missing, parts)

    def inquire(self, asked: Asked) -> Inquiry:
        return CountingInquiry(asked, self)

    def conclude(self, asked: Asked, total: Floats) -> Answer:
        """Return the pooled histograms."""
        counts, missing = total[: -len(asked.features)], total[-len(asked.features) :]
        found, start = [], 0
        for name, absent in zip(asked.features, missing, strict=True):
            edges = tuple(float(edge) for edge in asked.options["edges"][name])
            part = tuple(int(count) for count in counts[start : start + len(edges) + 1])
            found.append(Histogram(name, edges, part[1:-1], below=part[0], above=part[-1], missing=int(absent)))
            start += len(edges) + 1
        return Histograms(tuple(found))


def _check_edges(name: str, edges: Any) -> None:
    rising = (
        isinstance(edges, Sequence)
        and 2 <= len(edges) <= _MAX_CELLS
        and all(isinstance(edge, int | float) and math.isfinite(edge) for edge in edges)
        and all(low < high for low, high in pairwise(edges))
    )
    if not rising:
        raise StudyInvalid(f"the edges of {name} must be at least two rising finite numbers")


def _bin_of(values: Floats, edges: Sequence[float]) -> Labels:
    """Return the place of each value: 0 below the first edge, then each bin, then above the last."""
    at = np.searchsorted(edges, values, side="right")
    return np.where(values == edges[-1], len(edges) - 1, at).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Histogram:
    """Pooled counts of one column."""

    name: str
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    below: int
    above: int
    missing: int

    def cells(self) -> Sequence[Cell]:
        """Return every bin, and what lies outside."""
        bins = [f"{low:g} to {high:g}" for low, high in pairwise(self.edges)]
        named = zip(["below", *bins, "above"], [self.below, *self.counts, self.above], strict=True)
        return [Cell(f"{self.name}, {name}", count) for name, count in named]


@dataclass(frozen=True, slots=True)
class Histograms:
    """What a histogram study answers."""

    histograms: tuple[Histogram, ...]

    def cells(self) -> Sequence[Cell]:
        """Return every bin, and what lies outside."""
        return [cell for one in self.histograms for cell in one.cells()]

    def told(self, floors: Regime) -> "Histograms":
        """Return the histograms. Raises DisclosureRefused for more bins than the rows bear."""
        for one in self.histograms:
            for breach in bin_breaches(len(one.counts), sum(one.counts) + one.below + one.above, floors):
                raise DisclosureRefused(breach.rule, f"{one.name}: {breach.detail}; ask wider bins")
        return self

    def document(self) -> dict[str, Any]:
        """Return the JSON document."""
        rows = [
            {
                "name": one.name, "edges": list(one.edges), "counts": list(one.counts),
                "below": one.below, "above": one.above, "missing": one.missing,
            }
            for one in self.histograms
        ]  # fmt: skip
        return {"histograms": rows, "warnings": []}


class CrosstabKind(_CountingKind):
    """Counts of two categorical columns with declared levels: first feature down, second across; and chi-square."""

    name, algorithm = "crosstab", "crosstab.sums.v1"

    def check(self, asked: Asked) -> None:
        require_options(asked)
        require_no_target(asked)
        if len(asked.features) != 2:
            raise StudyInvalid("kind crosstab needs two features, rows and columns of the table")
        cells = math.prod(len(require_levels(asked, name)) for name in asked.features)
        if cells > _MAX_CELLS:
            raise StudyInvalid(f"{cells} cells; at most {_MAX_CELLS} are allowed")

    def length(self, asked: Asked, step: str) -> int:
        return math.prod(len(asked.levels[name]) for name in asked.features) + 1

    def rows(self, frame: pl.DataFrame, asked: Asked) -> Cells:
        columns, dropped = complete_rows(read_columns(frame, asked.features, asked))
        down, across = (columns[name].astype(int) for name in asked.features)
        shape = [len(asked.levels[name]) for name in asked.features]
        counts = np.bincount(down * shape[1] + across, minlength=shape[0] * shape[1])
        parts = tuple(Partition(labels) for labels in (down * shape[1] + across, down, across))
        return Cells(counts.astype(np.float64), len(down), (dropped,), parts)

    def inquire(self, asked: Asked) -> Inquiry:
        return CountingInquiry(asked, self)

    def conclude(self, asked: Asked, total: Floats) -> Answer:
        """Return the pooled table. Raises NotConverged when it is empty."""
        down, across = (asked.levels[name] for name in asked.features)
        counts = total[:-1].reshape(len(down), len(across)).astype(int)
        if not counts.sum():
            raise NotConverged("no row has both columns; there is no table")
        names = (asked.features[0], asked.features[1])
        return Crosstab(names, (down, across), tuple(map(tuple, counts.tolist())), dropped=int(total[-1]))


@dataclass(frozen=True, slots=True)
class Crosstab:
    """A pooled table of counts."""

    names: tuple[str, str]  # down, across
    levels: tuple[tuple[str, ...], tuple[str, ...]]
    counts: tuple[tuple[int, ...], ...]
    dropped: int

    def cells(self) -> Sequence[Cell]:
        """Return every cell of the table."""
        rows = zip(self.levels[0], self.counts, strict=True)
        return [
            Cell(f"{self.names[0]}={down}, {self.names[1]}={across}", count)
            for down, counts in rows
            for across, count in zip(self.levels[1], counts, strict=True)
        ]

    def told(self, floors: Regime) -> "Crosstab | BlankedCrosstab":
        """Return the table; with blanks where a cell is small, or would give a small one away through the totals."""
        blanked = suppress(self.counts, floors.cell)
        return BlankedCrosstab(self, blanked) if blanked.primary else self

    def document(self) -> dict[str, Any]:
        """Return the JSON document; chi-square over the rows and columns that hold something."""
        table = np.array(self.counts, dtype=np.float64)
        table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
        expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
        df = (table.shape[0] - 1) * (table.shape[1] - 1)
        document: dict[str, Any] = {
            "table": {
                "rows": {"name": self.names[0], "levels": list(self.levels[0])},
                "columns": {"name": self.names[1], "levels": list(self.levels[1])},
                "counts": [list(row) for row in self.counts],
            },
            "n": int(table.sum()),
            "dropped": self.dropped,
            "chi2": _chi2(table, expected, df, yates=0.0),
            "warnings": _warnings(expected, df),
        }
        if df == 1:
            document["chi2_yates"] = _chi2(table, expected, df, yates=0.5)
        return document


@dataclass(frozen=True, slots=True)
class BlankedCrosstab:
    """A pooled table with blanks. Its chi-square would give them away and is not told."""

    whole: Crosstab
    blanked: Suppressed

    def cells(self) -> Sequence[Cell]:
        """Return what is not blank."""
        return [
            Cell(f"row {i}, column {j}", count)
            for i, row in enumerate(self.blanked.cells)
            for j, count in enumerate(row)
            if count is not None
        ]

    def document(self) -> dict[str, Any]:
        """Return the JSON document: null for a blank, totals beside the table because they may be blank too."""
        *rows, last = self.blanked.cells
        document = self.whole.document()
        document["table"] |= {
            "counts": [list(row[:-1]) for row in rows],
            "row_totals": [row[-1] for row in rows],
            "column_totals": list(last[:-1]),
        }
        blanks = f"{self.blanked.primary} cells on too few rows are blank, and {self.blanked.secondary} to protect them"
        told = {"n": last[-1], "chi2": None, "warnings": [f"{blanks}; chi-square is not told beside a blank"]}
        return {name: value for name, value in (document | told).items() if name != "chi2_yates"}


def _chi2(table: Floats, expected: Floats, df: int, *, yates: float) -> dict[str, Any] | None:
    """Return Pearson's statistic; yates: how far each difference is moved towards zero, at most to zero."""
    if df == 0:
        return None
    distance = np.abs(table - expected)
    statistic = float(((distance - np.minimum(yates, distance)) ** 2 / expected).sum())
    return {"statistic": statistic, "df": df, "p": chi2_p(statistic, df)}


def _warnings(expected: Floats, df: int) -> list[str]:
    if df == 0:
        return ["one of the columns has a single level with rows: there is no chi-square"]
    if (expected < _FEW_EXPECTED).any():
        return ["chi-square: an expected count is below 5; join levels before relying on p"]
    return []


class CountingInquiry:
    """One round."""

    step, point = "counts", None

    def __init__(self, asked: Asked, kind: HistogramKind | CrosstabKind) -> None:
        self._asked = asked
        self._kind = kind
        self._answer: Answer | None = None
        self.round = 1

    @property
    def settled(self) -> bool:
        return self._answer is not None

    def absorb(self, total: Floats) -> None:
        self._answer = self._kind.conclude(self._asked, total)
        self.round += 1

    def answer(self) -> Answer:
        assert self._answer is not None, "nothing was counted"
        return self._answer


_: tuple[type[Kind[Cells]], ...] = (HistogramKind, CrosstabKind)
