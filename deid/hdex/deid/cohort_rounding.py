"""Controlled rounding of a table of counts: each cell to a multiple of k, so that every margin stays near the truth.

The rounded table is additive, and everything told of it is a sum of its cells. A reader therefore knows of each cell
that its count lies within k of what is told, of each margin that it lies within `margin` of the sum, and no more: any
one cell may differ by up to k from what is told, and every statement still holds. So no addition or subtraction of told
values narrows a cell that is told as 0 below `0 to k`. The grand total is rounded down, so that this stays true for
a reader who knows the exact number of people. Source of the method: Cox 1987, `A constructive procedure for unbiased
controlled rounding`; beyond two dimensions no procedure is sure to end, so cells are exchanged until the margins hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from hdex.deid.errors import CohortRefused

Counts = NDArray[np.int64]
Axes = tuple[int, ...]
WIDEST = (1, 2, 3)  # margins of a first table, in k; the narrowest that can be reached is taken
WIDEST_KEPT = (1, 2, 3, 4, 5)  # of a later one, whose cells mostly stay
STARTS = 3
STEPS = 200  # and as many as the table has cells


@dataclass(frozen=True, slots=True)
class Rounded:
    """A table as it may be told: cells in the shape given, each a multiple of k, and how far a margin may be off."""

    cells: Counts
    margin: int


def rounded(counts: Counts, k: int, *, generator: np.random.Generator) -> Rounded:
    """Return the counts rounded for the first time. Raises CohortRefused where no margins near the truth are found."""
    total = int(counts.sum()) // k * k
    for width in WIDEST:
        for _ in range(STARTS):
            cells = _drawn(counts, k, generator)
            search = _Search(counts, k, width * k, generator=generator, total=total)
            if search.mended(cells, np.ones(counts.shape, dtype=np.bool_)):
                return Rounded(cells, width * k)
    raise CohortRefused("the cells cannot be rounded with their margins: name fewer dimensions, or wider bands")


def kept(counts: Counts, told: Counts, k: int, *, generator: np.random.Generator) -> Rounded:
    """Return the counts of a later version: a cell keeps what was told while its count lies within k of it.

    So two versions that differ by few people tell the same, and what is told anew has moved. Raises CohortRefused
    where the cells that may be told anew do not bring the margins near the truth.
    """
    moved = np.abs(told - counts) > k
    for width in WIDEST_KEPT:
        cells = np.where(moved, _drawn(counts, k, generator), told)
        if _Search(counts, k, width * k, generator=generator, total=None).mended(cells, moved):
            return Rounded(cells, width * k)
    raise CohortRefused("the counts moved too little to be told anew and too much to stay: offer this version without")


def _drawn(counts: Counts, k: int, generator: np.random.Generator) -> Counts:
    """Return each count at one of its two neighbours among the multiples of k, the nearer the likelier."""
    return np.asarray((counts + generator.integers(0, k, counts.shape)) // k * k, dtype=np.int64)


class _Search:
    """Exchanges of cells until every margin lies within `margin` of the truth."""

    def __init__(
        self, counts: Counts, k: int, margin: int, *, generator: np.random.Generator, total: int | None
    ) -> None:
        """total: what the cells must add up to; None where that is a margin like the others."""
        self._counts = counts
        self._k = k
        self._generator = generator
        everything = tuple(range(counts.ndim))
        self._bounds = dict.fromkeys(_subsets(counts.ndim), (-margin, margin))
        if total is not None:
            off = total - int(counts.sum())
            self._bounds[everything] = (off, off)

    def mended(self, cells: Counts, free: NDArray[np.bool_]) -> bool:
        """Change free cells in place until every margin holds; return whether that was reached."""
        for _ in range(STEPS + cells.size):
            costs = self._costs(cells)
            if costs is None:
                return True
            least = costs + np.where(self._allowed(cells, free), 0.0, np.inf)
            if not np.isfinite(least).any():
                return False
            self._take(cells, least)
        return self._costs(cells) is None

    def _take(self, cells: Counts, costs: NDArray[np.float64]) -> None:
        """Take the best step; where none betters anything, any step that may be taken, so that the search goes on."""
        best = costs == costs.min() if costs.min() < 0 else np.isfinite(costs)
        step, place = divmod(int(self._generator.choice(np.flatnonzero(best))), cells.size)
        cells.flat[place] += self._k if step == 0 else -self._k

    def _allowed(self, cells: Counts, free: NDArray[np.bool_]) -> NDArray[np.bool_]:
        up = cells + self._k - self._counts <= self._k
        down = (cells >= self._k) & (self._counts - cells + self._k <= self._k)
        return np.stack([up & free, down & free])

    def _costs(self, cells: Counts) -> NDArray[np.float64] | None:
        """Return by how much raising and lowering each cell changes what the margins are off; None where none is."""
        off = cells - self._counts
        change, is_off = np.zeros((2, *cells.shape)), False
        for axes, (low, high) in self._bounds.items():
            error = off.sum(axis=axes, keepdims=True)
            now = _excess(error, low, high)
            is_off = is_off or bool(now.any())
            change[0] += _excess(error + self._k, low, high) - now
            change[1] += _excess(error - self._k, low, high) - now
        return change if is_off else None


def _excess(error: Counts, low: int, high: int) -> NDArray[np.float64]:
    beyond = np.maximum(np.maximum(low - error, error - high), 0)
    return np.asarray(beyond, dtype=np.float64) ** 2


def _subsets(dimensions: int) -> Iterator[Axes]:
    """Yield the axes that each margin adds up: every choice of at least one."""
    for number in range(1, dimensions + 1):
        yield from combinations(range(dimensions), number)
