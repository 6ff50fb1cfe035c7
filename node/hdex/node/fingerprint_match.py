"""Which row of a release is which row of a leaked table, after sorting, cutting, rounding and averaging. Pure.

Columns that carry no fingerprint must agree, as far as the leak still holds them as they were; the others must be as
near as a mark and the leak's own rounding explain. A leaked row that fits few rows of the release is shared among
them; one that fits many says nothing. The buyers' signs play no part, so that the alignment makes nobody likelier.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hdex.node.fingerprint import Floats, Grains, Rows, Sightings, numbers

MOST_ALIKE = 8  # rows of the release that a leaked row may fit and still count
MOST_PAIRS = 20_000_000  # comparisons altogether: the leaked rows with the fewest come first
PAIRS_AT_ONCE = 1_000_000
KEPT_AS_WAS = 0.9  # share of a column's leaked values that stand in the release
ROUNDINGS = (100, 50, 25, 20, 10, 5, 4, 2)  # of steps that a leaker may have rounded to
KEY = "key"
NOBODY: Sightings = Sightings(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))


def align(leak: pl.DataFrame, release: pl.DataFrame, grains: Grains) -> Sightings:
    """Return which leaked row is which row of the release. Columns are found by their names; order plays no part."""
    carriers = [name for name in grains if name in leak.columns]
    if not carriers or not leak.height or not release.height:
        return NOBODY
    near = Nearness(leak, release, grains, carriers)
    exact = [name for name in release.columns if name in leak.columns and name not in grains]
    names = [name for name in exact if is_as_was(leak[name], release[name])]
    found = near.matches(*groups(leak, release, names))
    if len(found.leaked) == 0 and names:
        return near.matches(*groups(leak, release, []))
    return found


def groups(leak: pl.DataFrame, release: pl.DataFrame, names: list[str]) -> tuple[Rows, Rows]:
    """Return a number for the exact cells of each leaked row (-1: in no row of the release), and of each released."""
    if not names:
        return np.zeros(leak.height, np.int64), np.zeros(release.height, np.int64)
    ours, theirs = (table.select(pl.struct(map(plain, names)).alias(KEY)) for table in (release, leak))
    known = ours.unique(maintain_order=True).with_row_index("group")
    own = ours.join(known, on=KEY, how="left", maintain_order="left")["group"]
    asked = theirs.join(known, on=KEY, how="left", maintain_order="left")["group"]
    return asked.cast(pl.Int64).fill_null(-1).to_numpy(), own.cast(pl.Int64).to_numpy()


def plain(name: str) -> pl.Expr:
    """Return a column's cells in one way of writing: 120, 120.0 and " 120" are one."""
    text = pl.col(name).cast(pl.String).str.strip_chars().str.to_lowercase().fill_null("")
    return pl.coalesce(text.cast(pl.Float64, strict=False).cast(pl.String), text).alias(name)


def is_as_was(leaked: pl.Series, column: pl.Series) -> bool:
    """Return whether a leaked column still holds the values of the release."""
    share = written(leaked).is_in(written(column).unique().implode()).mean()
    return isinstance(share, float) and share >= KEPT_AS_WAS


def written(column: pl.Series) -> pl.Series:
    """Return a column in the one way of writing."""
    return column.to_frame().select(plain(column.name)).to_series()


class Nearness:
    """The columns with marks of both tables, and how far apart a cell and its mark may lie."""

    def __init__(self, leak: pl.DataFrame, release: pl.DataFrame, grains: Grains, names: list[str]) -> None:
        spread = sorted(names, key=lambda name: -release[name].n_unique())  # the first column tells most apart
        self._ours = np.column_stack([numbers(release[name]) for name in spread])
        self._theirs = np.column_stack([numbers(leak[name]) for name in spread])
        steps = np.array([grains[name].step for name in spread])
        self._reach = np.array([reach(column, step) for column, step in zip(self._theirs.T, steps, strict=True)])

    def matches(self, asked: Rows, own: Rows) -> Sightings:
        """Return the pairs of rows that fit. asked, own: group of each leaked row and of each row of the release."""
        order, low, high = self._ranges(asked, own)
        cheapest = np.argsort(high - low, kind="stable")
        cheapest = cheapest[(high - low)[cheapest] > 0]
        told = cheapest[np.cumsum((high - low)[cheapest]) <= MOST_PAIRS]
        bounds = np.cumsum((high - low)[told]) // PAIRS_AT_ONCE
        parts = [self._fitting(told[bounds == part], order, low, high) for part in np.unique(bounds)]
        if not parts:
            return NOBODY
        return Sightings(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def _ranges(self, asked: Rows, own: Rows) -> tuple[Rows, Rows, Rows]:
        """Return rows of the release by group and first column, and the range of them that each leaked row may be."""
        first, wanted, room = self._ours[:, 0], self._theirs[:, 0], self._reach[0]
        present = np.flatnonzero(np.isfinite(first))
        least, most = (float(first[present].min()), float(first[present].max())) if len(present) else (0.0, 0.0)
        width = most - least + 4 * room + 1.0  # one group's values stay apart from the next one's
        places = own[present] * width + (first[present] - least)
        order = present[np.argsort(places, kind="stable")]
        places = np.sort(places, kind="stable")
        usable = (asked >= 0) & np.isfinite(wanted)
        at = asked * width + np.clip(np.where(usable, wanted - least, 0.0), -room, most - least + room)
        low = np.searchsorted(places, at - room, side="left")
        high = np.searchsorted(places, at + room, side="right")
        return order, low, np.where(usable, high, low)

    def _fitting(self, told: Rows, order: Rows, low: Rows, high: Rows) -> tuple[Rows, Rows, Floats]:
        counts = (high - low)[told]
        leaked = np.repeat(told, counts)
        start = np.repeat(low[told] - np.concatenate(([0], np.cumsum(counts)[:-1])), counts)
        rows = order[start + np.arange(len(leaked))]
        fits = self._fits(leaked, rows)
        leaked, rows = leaked[fits], rows[fits]
        alike = np.bincount(leaked, minlength=len(low))[leaked]
        few = alike <= MOST_ALIKE
        return leaked[few], rows[few], 1.0 / alike[few]

    def _fits(self, leaked: Rows, rows: Rows) -> NDArray[np.bool_]:
        apart = np.abs(self._theirs[leaked] - self._ours[rows])
        blank = ~np.isfinite(self._theirs[leaked])  # a cell that was cut out contradicts nothing
        return np.asarray(np.all((apart <= self._reach) | blank, axis=1), dtype=np.bool_)


def reach(leaked: Floats, step: float) -> float:
    """Return how far a leaked cell may lie from the release's: one step, and half of what the column is rounded to."""
    present = leaked[np.isfinite(leaked)]
    for rounding in ROUNDINGS:
        coarse = present / (rounding * step)
        if len(present) and np.mean(np.abs(coarse - np.round(coarse)) < 1e-6) >= 0.99:  # all but slips
            return (1 + rounding / 2) * step * (1 + 1e-6)
    return step * (1 + 1e-6)
