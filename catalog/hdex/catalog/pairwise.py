"""Which columns of a preview go together, and how: a tree of noisy tables of pairs, after MST (McKenna et al. 2021).

The pairs are chosen one by one by the exponential mechanism, each time among those that join two parts of the tree; the
tables chosen get two-sided geometric noise. Half of the budget is for choosing, half for the tables.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """The noisy table of two columns, shape (bins of first, bins of second)."""

    first: int
    second: int
    table: Floats


def noisy(counts: Integers, epsilon: float, generator: np.random.Generator) -> Integers:
    """Return counts plus the difference of two geometric variables each, at least 0."""
    success = 1 - np.exp(-epsilon)
    noise = generator.geometric(success, counts.shape) - generator.geometric(success, counts.shape)
    return np.maximum(counts + noise, 0).astype(np.int64)


def links(
    codes: Sequence[Sequence[int]],
    counts: Sequence[Sequence[int]],
    *,
    epsilon: float,
    generator: np.random.Generator,
) -> list[Link]:
    """Return the tree's tables: one less than there are columns, none for one column or without budget.

    codes: per column the bin of every row, -1 where the cell is empty; counts: the noisy counts per column.
    """
    columns = [np.asarray(one, dtype=np.int64) for one in codes]
    if len(columns) < 2 or epsilon <= 0:
        return []
    sizes = [len(one) for one in counts]
    tables = {
        (a, b): _table(columns[a], columns[b], (sizes[a], sizes[b])) for a, b in combinations(range(len(columns)), 2)
    }
    scores = {pair: _dependence(table, counts[pair[0]], counts[pair[1]]) for pair, table in tables.items()}
    each = epsilon / 2 / (len(columns) - 1)
    part, found = list(range(len(columns))), []
    for _ in range(len(columns) - 1):
        open_pairs = [pair for pair in scores if part[pair[0]] != part[pair[1]]]
        a, b = open_pairs[_pick([scores[pair] for pair in open_pairs], each, generator)]
        found.append(Link(a, b, noisy(tables[a, b], each, generator).astype(np.float64)))
        part = [part[a] if one == part[b] else one for one in part]
    return found


def tree_order(columns: int, tree: Sequence[Link]) -> Iterator[tuple[int, Link | None, bool]]:
    """Yield each column after the one it hangs on: (column, its link or None, whether it is the link's second)."""
    seen: set[int] = set()
    for root in range(columns):
        waiting: list[tuple[int, Link | None, bool]] = [] if root in seen else [(root, None, False)]
        while waiting:
            at, link, is_second = waiting.pop()
            if at in seen:
                continue
            seen.add(at)
            yield at, link, is_second
            waiting += [(one.second, one, True) for one in tree if one.first == at]
            waiting += [(one.first, one, False) for one in tree if one.second == at]


def _table(first: Integers, second: Integers, shape: tuple[int, int]) -> Integers:
    both = (first >= 0) & (second >= 0)
    return np.bincount(first[both] * shape[1] + second[both], minlength=shape[0] * shape[1]).reshape(shape)


def _dependence(table: Integers, first: Sequence[int], second: Sequence[int]) -> float:
    """Return how far the table is from independence of the noisy counts, in rows; one row moves it by 1 at most."""
    rows = max(1, sum(first))
    expected = np.outer(first, second) / rows
    return float(np.abs(table - expected).sum())


def _pick(scores: Sequence[float], epsilon: float, generator: np.random.Generator) -> int:
    """Return a number drawn by the exponential mechanism; one row moves a score by 1."""
    weights = np.exp(epsilon / 2 * (np.array(scores) - max(scores)))
    return int(generator.choice(len(weights), p=weights / weights.sum()))
