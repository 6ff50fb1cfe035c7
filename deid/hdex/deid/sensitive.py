"""A sensitive column as numbers, and the count of every value in every group: what all models of privacy look at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hdex.deid.numbering import NARROW, SPARE, Codes, number_values

Shares = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sensitive:
    """The sensitive values of a table as numbers."""

    codes: Codes  # one per row
    shares: Shares  # of every value over the whole table; in order of value where it is ordered
    is_ordered: bool  # numbers and dates: distance grows with the number of values between


@dataclass(frozen=True, slots=True)
class Cells:
    """Every (group, value) that occurs, by group, then value."""

    group: Codes
    value: Codes
    weight: Codes  # rows
    totals: Codes  # rows of every group, those without any included

    @property
    def shares(self) -> Shares:
        """Share of each cell in its group."""
        return self.weight / self.totals[self.group]

    def sums(self, amounts: Shares) -> Shares:
        """Sum of an amount of every cell, per group."""
        return np.bincount(self.group, weights=amounts, minlength=len(self.totals)).astype(np.float64)


def encode_sensitive(values: pl.Series) -> Sensitive:
    """Number the values of a column, NULL as a value of its own; numbers and dates in their own order.

    A Boolean is numbered 0 for False, 1 for True, 2 for NULL even where one of them does not occur.
    """
    if values.dtype == pl.Boolean:
        numbers = values.cast(pl.Int64).fill_null(2).to_numpy()
        least = 2
    else:
        numbers, least = number_values(values)
    counts = np.bincount(numbers, minlength=max(least, 1))
    is_ordered = values.dtype.is_numeric() or values.dtype.is_temporal()
    return Sensitive(numbers, counts / max(len(numbers), 1), is_ordered)


def count_cells(groups: Codes, sensitive: Sensitive, weights: Codes | None, count: int) -> Cells:
    """Count the values of each of `count` groups; weights: rows behind every entry of `groups`, None: one each."""
    values = len(sensitive.shares)
    keys = groups * values + sensitive.codes
    if count * values <= max(NARROW, SPARE * len(keys)):
        table = np.bincount(keys, weights=weights, minlength=count * values)
        present = np.flatnonzero(table)
        weight = table[present].astype(np.int64)
    elif weights is None:
        present, weight = np.unique(keys, return_counts=True)
    else:
        present, inverse = np.unique(keys, return_inverse=True)
        weight = np.bincount(inverse, weights=weights).astype(np.int64)
    group = present // values
    totals = np.bincount(group, weights=weight, minlength=count).astype(np.int64)
    return Cells(group, present % values, weight, totals)
