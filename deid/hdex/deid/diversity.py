"""What an equivalence class tells about a sensitive column although it hides who is who: l-diversity, t-closeness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hdex.deid.errors import InputInvalid

Codes = NDArray[np.int64]


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


@dataclass(frozen=True, slots=True)
class Sensitive:
    """The sensitive values of a table as numbers."""

    codes: Codes  # one per row
    shares: NDArray[np.float64]  # of every value over the whole table, in order of value
    is_ordered: bool  # numbers and dates: distance grows with the number of values between


def encode_sensitive(values: pl.Series) -> Sensitive:
    """Number the values of a column in their own order, NULL as a value of its own."""
    if values.dtype.is_float():
        values = values.fill_nan(None)
    codes = (values.rank("dense").cast(pl.Int64).fill_null(0)).to_numpy()
    numbers = np.unique(codes, return_inverse=True)[1].astype(np.int64)
    counts = np.bincount(numbers) if len(numbers) else np.zeros(1)
    is_ordered = values.dtype.is_numeric() or values.dtype.is_temporal()
    return Sensitive(numbers, counts / max(len(numbers), 1), is_ordered)


def cells(groups: Codes, codes: Codes, weights: Codes, values: int) -> tuple[Codes, Codes, Codes]:
    """(group, value, weight) of every group and value that occur together, by group then value."""
    keys, inverse = np.unique(groups * values + codes, return_inverse=True)
    summed = np.bincount(inverse, weights=weights).astype(np.int64)
    return keys // values, keys % values, summed


def distinct_values(groups: Codes, sensitive: Sensitive, weights: Codes, count: int) -> Codes:
    """Number of different sensitive values in each of `count` groups."""
    present, _, _ = cells(groups, sensitive.codes, weights, len(sensitive.shares))
    return np.bincount(present, minlength=count)


def distances(groups: Codes, sensitive: Sensitive, weights: Codes, count: int) -> NDArray[np.float64]:
    """Earth mover's distance of each of `count` groups from the whole table, 0-1 (t-closeness, Li et al. 2007)."""
    result = np.zeros(count)
    values = len(sensitive.shares)
    group, value, weight = cells(groups, sensitive.codes, weights, values)
    step = max(1, 4_000_000 // values)  # bounds the memory of one block
    for start in range(0, count, step):
        stop = min(start + step, count)
        inside = (group >= start) & (group < stop)
        block = np.zeros((stop - start, values))
        block[group[inside] - start, value[inside]] = weight[inside]
        totals = block.sum(axis=1, keepdims=True)
        gaps = block / np.where(totals == 0, 1, totals) - sensitive.shares
        result[start:stop] = np.where(totals[:, 0] == 0, 0.0, moved(gaps, is_ordered=sensitive.is_ordered))
    return result


def moved(gaps: NDArray[np.float64], *, is_ordered: bool) -> NDArray[np.float64]:
    """How far shares must travel to close `gaps`, one row per group."""
    steps = max(gaps.shape[1] - 1, 1)
    way: NDArray[np.float64] = np.abs(np.cumsum(gaps, axis=1) / steps if is_ordered else gaps / 2).sum(axis=1)
    return way


def unprotected(model: Diversity, groups: Codes, sensitive: Sensitive, weights: Codes, count: int) -> NDArray[np.bool_]:
    """Which of `count` groups have neither the values nor the distance the model asks for."""
    weak = np.ones(count, dtype=np.bool_)
    if model.least_values is not None:
        weak &= distinct_values(groups, sensitive, weights, count) < model.least_values
    if model.distance is None or not weak.any():
        return weak
    asked = np.flatnonzero(weak)
    renumber = np.full(count, -1, dtype=np.int64)
    renumber[asked] = np.arange(len(asked))
    inside = weak[groups]
    part = Sensitive(sensitive.codes[inside], sensitive.shares, sensitive.is_ordered)
    far = distances(renumber[groups[inside]], part, weights[inside], len(asked)) > model.distance + 1e-12
    weak[asked] = far
    return weak
