"""Columns as small whole numbers: the first step of every count, in one pass and without sorting where possible."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

Codes = NDArray[np.int64]

NARROW = 1 << 20  # a key space up to this size, or SPARE times the rows, is numbered by a table instead of a sort
SPARE = 4
MOST = 1 << 62  # a packed key must stay below


def number_values(values: pl.Series) -> tuple[Codes, int]:
    """Return the number of every row's value, from 0 without gaps, and how many there are.

    NULL is a value (the first), NaN is NULL. Numbers and times are numbered in their own order; text is not.
    """
    if len(values) == 0:
        return np.zeros(0, dtype=np.int64), 0
    codes, width = raw_codes(values)
    return close_gaps(codes, width)


def raw_codes(values: pl.Series) -> tuple[Codes, int]:
    """Return a number of every value below the returned width; gaps are allowed."""
    if values.dtype == pl.String:
        values = values.cast(pl.Categorical(pl.Categories.random()))
    if values.dtype.is_(pl.Categorical) or values.dtype.is_temporal() or values.dtype == pl.Boolean:
        values = values.to_physical().cast(pl.Int64)
    if values.dtype.is_integer():
        low, high = values.min(), values.max()
        if not isinstance(low, int) or not isinstance(high, int):
            return np.zeros(len(values), dtype=np.int64), 1
        if high - low < max(NARROW, SPARE * len(values)):
            moved = values.cast(pl.Int64) - low + 1 if high < MOST else (values - low).cast(pl.Int64) + 1
            return moved.fill_null(0).to_numpy(), high - low + 2
    if values.dtype.is_float():
        values = values.fill_nan(None)
    ranks = values.rank("dense").cast(pl.Int64).fill_null(0).to_numpy()
    return ranks, int(ranks.max()) + 1


def close_gaps(keys: Codes, size: int) -> tuple[Codes, int]:
    """Return keys below `size` renumbered from 0 without gaps, in their order, and how many there are."""
    if len(keys) == 0:
        return keys, 0
    if size <= max(NARROW, SPARE * len(keys)):
        seen = np.zeros(size, dtype=np.bool_)
        seen[keys] = True
        numbers = np.cumsum(seen) - 1
        return numbers[keys], int(numbers[-1]) + 1
    found, numbers = np.unique(keys, return_inverse=True)
    return numbers.astype(np.int64), len(found)


def number_tuples(columns: Sequence[tuple[Codes, int]], rows: int) -> tuple[Codes, int]:
    """Return the number of every row's tuple of numbered columns, from 0 without gaps, and how many there are."""
    if rows == 0:
        return np.zeros(0, dtype=np.int64), 0
    key, size = np.zeros(rows, dtype=np.int64), 1
    for codes, width in columns:
        if size > MOST // width:
            key, size = close_gaps(key, size)
        key = key * width + codes
        size *= width
    return close_gaps(key, size)


def number_rows(frame: pl.DataFrame, columns: Sequence[str]) -> tuple[Codes, int]:
    """Return the number of every row's equivalence class over `columns`, and how many classes there are."""
    return number_tuples([number_values(frame[name]) for name in columns], frame.height)
