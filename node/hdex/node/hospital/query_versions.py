"""Rows of two versions of one product laid side by side, so that answers over both are compared like answers over one.

A released row names nobody. Two rows count as one patient's where they agree in the columns that were asked, or in all
of those but one: what a buyer could tell apart is apart. Pure.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hdex.node.errors import AccessDenied

Labels = NDArray[np.int64]
NOW, THEN, TURN = "_now", "_then", "_turn"
LEAST_SHARED = 0.5  # of the smaller version's rows must be alike in all columns, or nothing is compared


class SideBySide:
    """Two versions over one line of people: those of the one, then those that only the other has."""

    def __init__(self, now: pl.DataFrame, then: pl.DataFrame, columns: Sequence[str]) -> None:
        """columns: those that were asked. Raises AccessDenied where the versions tell them too differently."""
        shared = [name for name in columns if name in now.columns and name in then.columns]
        partners, alike = matched(now, then, shared)
        alone = partners < 0
        if columns and alike < LEAST_SHARED * min(now.height, then.height):
            raise AccessDenied(
                "query.versions",
                "ask of one version of the product, or of columns that both tell alike",
                "the two versions that were asked about cannot be compared",
            )
        self._at = np.where(alone, now.height + np.cumsum(alone) - 1, partners)
        self._now, self._size = now.height, now.height + int(alone.sum())

    def of_now(self, labels: Labels) -> Labels:
        """Return labels of the first version's rows over everybody, -1 for who is not in it."""
        return np.append(labels, np.full(self._size - self._now, -1, np.int64))

    def of_then(self, labels: Labels) -> Labels:
        """Return labels of the second version's rows over everybody, -1 for who is not in it."""
        spread = np.full(self._size, -1, np.int64)
        spread[self._at] = labels
        return spread


def matched(now: pl.DataFrame, then: pl.DataFrame, columns: Sequence[str]) -> tuple[Labels, int]:
    """Return for each row of `then` its row of `now`, -1 where it has none, and how many agree in every column.

    A row is taken once.
    """
    partners = np.full(then.height, -1, np.int64)
    if not columns:  # nothing tells rows apart
        both = min(now.height, then.height)
        partners[:both] = np.arange(both)
        return partners, both
    left, right = told(now, columns).with_row_index(NOW), told(then, columns).with_row_index(THEN)
    less = [[name for name in columns if name != left_out] for left_out in columns]
    alike = 0
    for number, keys in enumerate([list(columns), *(one for one in less if one)]):
        pairs = turns(left, keys).join(turns(right, keys), on=[*keys, TURN], how="inner", nulls_equal=True)
        partners[pairs[THEN].to_numpy()] = pairs[NOW].to_numpy()
        alike += 0 if number else pairs.height
        left, right = left.join(pairs, on=NOW, how="anti"), right.join(pairs, on=THEN, how="anti")
    return partners, alike


def told(frame: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """Return the columns as text: versions may hold the same values in other types."""
    return frame.select(pl.col(name).cast(pl.String) for name in columns)


def turns(frame: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """Return a frame that says of each row how many like it come before."""
    return frame.with_columns(pl.int_range(pl.len()).over(list(keys)).alias(TURN))
