"""What is left to work with after generalisation: distributions side by side, distance between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise

import numpy as np
import polars as pl

from hdex.deid.hierarchy import Hierarchy

MOST_BARS = 12  # categories shown; the rest is one bar
OTHER, MISSING = "…", "∅"
ORDER = "\0"  # between an interval's number and its words


@dataclass(frozen=True, slots=True)
class Distribution:
    """One column before and after, over the same labels; shares of rows, 0-1."""

    column: str
    labels: tuple[str, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]

    @property
    def distance(self) -> float:
        """Total variation distance, 0 (equal) to 1 (nothing in common)."""
        return sum(abs(b - a) for b, a in zip(self.before, self.after, strict=True)) / 2

    def to_dict(self) -> dict[str, object]:
        """As JSON values."""
        lists = {key: list(value) for key, value in asdict(self).items() if key != "column"}
        return {"column": self.column, **lists, "distance": self.distance}


def loss(
    rows: pl.DataFrame, ladders: Mapping[str, Hierarchy], transformation: Mapping[str, int], kept: pl.Series
) -> float:
    """ARX's Loss, arithmetic mean over rows and quasi-identifiers, whatever weights the search had; 0 without any."""
    if not ladders or rows.height == 0:
        return 0.0
    out = ~kept.to_numpy()
    means = []
    for name, ladder in ladders.items():
        able = ladder.with_null() if rows[name].has_nulls() else ladder
        cells = able.losses(transformation[name])[able.encode(rows[name])]
        means.append(float(np.where(out, 1.0, cells).mean()))
    return sum(means) / len(means)


def distribution(before: pl.Series, after: pl.Series, *, least: int = 1) -> Distribution:
    """Compare a column as it was with the same column as released, both in the same words or numbers.

    least: a label that fewer rows carried joins the last bar, so that the comparison shows no small group.
    """
    if before.dtype.is_numeric() and after.dtype.is_numeric() and before.drop_nulls().n_unique() > MOST_BARS:
        edges = tenths(before)
        before, after = in_intervals(before, edges), in_intervals(after, edges)
    old, new = counts(before), counts(after)
    common = sorted((name for name in old if old[name] >= least), key=lambda name: (-old[name], name))[:MOST_BARS]
    shown = sorted(common)
    labels = tuple(shown) if {*old, *new} == set(shown) else (*shown, OTHER)
    told = tuple(name.partition(ORDER)[2] or name for name in labels)
    return Distribution(after.name, told, shares(old, labels), shares(new, labels))


def counts(values: pl.Series) -> dict[str, int]:
    """Rows per value, as text."""
    table = values.cast(pl.String).fill_null(MISSING).value_counts(name="\0count").rows()
    return {str(name): int(count) for name, count in table}


def shares(table: dict[str, int], labels: Sequence[str]) -> tuple[float, ...]:
    """Shares of the labels; the last bar takes all that has no other."""
    total = max(sum(table.values()), 1)
    own = [table.get(name, 0) / total for name in labels]
    if OTHER in labels and table:
        own[-1] = max(1 - sum(own[:-1]), 0.0)
    return tuple(own)


def tenths(values: pl.Series) -> list[float]:
    """Edges of ten equal intervals over the values' range."""
    present = values.cast(pl.Float64).fill_nan(None).drop_nulls().to_numpy()
    return [float(edge) for edge in np.linspace(present.min(), present.max(), 11)]


def in_intervals(values: pl.Series, edges: Sequence[float]) -> pl.Series:
    """Numbers as the interval they lie in, as text that sorts."""
    names = [f"{i}{ORDER}{low:.4g} - {high:.4g}" for i, (low, high) in enumerate(pairwise(edges))]
    numbers = values.cast(pl.Float64).fill_nan(None)
    slots = ((numbers - edges[0]) / (edges[1] - edges[0])).floor().clip(0, 9).cast(pl.UInt32)
    return pl.Series(names).gather(slots).alias(values.name)
