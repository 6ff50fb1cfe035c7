"""What an equivalence class tells about a sensitive column although it hides who is who.

A model says of every group whether it is too weak to leave. All of them work on any grouping of a table, so the exact
search and the local one use them alike. The other models: closeness.py (distance from the table) and presence.py
(being in the table at all). l-diversity: Machanavajjhala, Kifer, Gehrke, Venkitasubramaniam, ACM TKDD 1(1), 2007.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hdex.deid.closeness import TOLERANCE, distances
from hdex.deid.errors import ArgumentInvalid, InputInvalid
from hdex.deid.numbering import Codes
from hdex.deid.sensitive import Cells, Sensitive, Shares, count_cells, encode_sensitive

__all__ = [
    "Codes",
    "Diversity",
    "EntropyDiversity",
    "Model",
    "RecursiveDiversity",
    "Sensitive",
    "distances",
    "distinct_values",
    "encode_sensitive",
    "entropies",
    "unprotected",
]


class Model(Protocol):
    """A condition every released class meets. Frozen; holds no row."""

    @property
    def sensitive(self) -> str:
        """The column it looks at."""
        ...

    @property
    def is_monotone(self) -> bool:
        """Whether every part of an unprotected class is unprotected too: then a search may cut what lies below."""
        ...

    def weak(self, groups: Codes, sensitive: Sensitive, weights: Codes, count: int) -> NDArray[np.bool_]:
        """Which of `count` groups miss the condition; groups and weights: one per entry of `sensitive.codes`."""
        ...


@dataclass(frozen=True, slots=True)
class Diversity:
    """A class is protected when it holds at least `least_values` values, or is at most `distance` from the table.

    Distinct l-diversity and t-closeness (equal distance for text, ordered distance for numbers), as the presets
    ask for them: one of the two, per class. None: that half is not offered.
    """

    sensitive: str
    least_values: int | None = None
    distance: float | None = None

    def __post_init__(self) -> None:
        if self.least_values is None and self.distance is None:
            raise InputInvalid(f"diversity of column {self.sensitive} asks neither for l nor for t")
        if self.least_values is not None and self.least_values < 1:
            raise InputInvalid(f"l of column {self.sensitive} is {self.least_values}, asked is 1 or more")

    @property
    def is_monotone(self) -> bool:
        """Whether every part of an unprotected class is unprotected too.

        So for l alone, and for `l or t` up to l = 2: such a class holds one value, and so do its parts. Not for t: a
        part of a far class may be near.
        """
        return self.distance is None or (self.least_values is not None and self.least_values <= 2)

    def weak(self, groups: Codes, sensitive: Sensitive, weights: Codes, count: int) -> NDArray[np.bool_]:
        """Groups with neither the values nor the distance asked for."""
        weak = np.ones(count, dtype=np.bool_)
        if self.least_values is not None:
            values = distinct_values(groups, sensitive, weights, count)
            weak &= (values < self.least_values) & (values > 0)
        if self.distance is None or not weak.any():
            return weak
        asked = np.flatnonzero(weak)
        renumber = np.full(count, -1, dtype=np.int64)
        renumber[asked] = np.arange(len(asked))
        inside = weak[groups]
        part = Sensitive(sensitive.codes[inside], sensitive.shares, sensitive.is_ordered)
        far = distances(renumber[groups[inside]], part, weights[inside], len(asked)) > self.distance + TOLERANCE
        weak[asked] = far
        return weak


@dataclass(frozen=True, slots=True)
class EntropyDiversity:
    """Entropy l-diversity: the entropy of the values of a class is at least ln l (definition 4.1)."""

    sensitive: str
    l: float  # noqa: E741  the model's own name

    def __post_init__(self) -> None:
        if self.l < 1:
            raise ArgumentInvalid(f"l of column {self.sensitive} is {self.l:g}, asked is 1 or more")

    @property
    def is_monotone(self) -> bool:
        """One part of a class may be richer than the whole."""
        return False

    def weak(self, groups: Codes, sensitive: Sensitive, weights: Codes, count: int) -> NDArray[np.bool_]:
        """Groups whose entropy is below ln l."""
        cells = count_cells(groups, sensitive, weights, count)
        poor: NDArray[np.bool_] = entropies(cells) < math.log(self.l) - TOLERANCE
        return poor & (cells.totals > 0)


@dataclass(frozen=True, slots=True)
class RecursiveDiversity:
    """Recursive (c, l)-diversity: r1 < c * (r_l + ... + r_m) for the counts r1 >= r2 >= ... of a class (def. 4.2)."""

    sensitive: str
    c: float
    l: int  # noqa: E741  the model's own name

    def __post_init__(self) -> None:
        if self.l < 1 or self.c <= 0:
            raise ArgumentInvalid(f"c, l of column {self.sensitive} are {self.c:g}, {self.l}, asked is > 0, 1 or more")

    @property
    def is_monotone(self) -> bool:
        """One part of a class may be richer than the whole."""
        return False

    def weak(self, groups: Codes, sensitive: Sensitive, weights: Codes, count: int) -> NDArray[np.bool_]:
        """Groups whose most frequent value outweighs the rare ones."""
        cells = count_cells(groups, sensitive, weights, count)
        ranks = descending_ranks(cells)
        most = np.bincount(cells.group[ranks == 0], weights=cells.weight[ranks == 0], minlength=count)
        tail = cells.sums(np.where(ranks >= self.l - 1, cells.weight, 0))
        return (most >= self.c * tail - TOLERANCE) & (cells.totals > 0)


def descending_ranks(cells: Cells) -> Codes:
    """Rank of every cell in its group, 0 for the most frequent value."""
    order = np.lexsort((-cells.weight, cells.group))
    sizes = np.bincount(cells.group, minlength=len(cells.totals))
    starts = np.cumsum(sizes) - sizes
    ranks = np.empty(len(order), dtype=np.int64)
    ranks[order] = np.arange(len(order)) - starts[cells.group[order]]
    return ranks


def entropies(cells: Cells) -> Shares:
    """Entropy of every group in nats."""
    shares = cells.shares
    return cells.sums(-shares * np.log(shares))


def distinct_values(groups: Codes, sensitive: Sensitive, weights: Codes, count: int) -> Codes:
    """Number of different sensitive values in each of `count` groups."""
    return np.bincount(count_cells(groups, sensitive, weights, count).group, minlength=count)


def unprotected(model: Model, groups: Codes, sensitive: Sensitive, weights: Codes, count: int) -> NDArray[np.bool_]:
    """Which of `count` groups miss what `model` asks for."""
    return model.weak(groups, sensitive, weights, count)
