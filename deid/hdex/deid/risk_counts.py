"""k alone and t alone, for a caller who asks for nothing else: several times cheaper than the profile in risk.py.

Every row becomes one number that is equal in rows of one class. Columns that are coded already (categories, Booleans,
integers, dates) are packed into it exactly. Where text is among them it is a 64-bit hash under a seed drawn anew for
every call: among a million classes two share a number with a probability of 3e-8. What decides on a release counts
exactly instead (risk.measure) and is counted again (verify.verify_release).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from secrets import randbits
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hdex.deid.closeness import equal_distances, ordered_distances
from hdex.deid.numbering import NARROW, Codes, number_rows, number_values
from hdex.deid.risk import patients_per_class, require_columns
from hdex.deid.sensitive import Cells, encode_sensitive

Numbers = NDArray[np.integer[Any]]
KEY_BITS = 64
WIDE = 1 << 31  # integers that span more are numbered by their values
LEAST_BITS = 60  # of a hash that stay beside the number of a sensitive value: below, classes are numbered exactly


def smallest_class(frame: pl.DataFrame, quasi: Sequence[str], *, patient: str | None = None) -> int:
    """Return k: the patients of the smallest class over the columns `quasi`, 0 for an empty table.

    patient: column whose distinct values count as people; None: every row is one. NULL is a value.
    """
    require_columns(frame, [*quasi, *([patient] if patient else [])])
    if frame.height == 0:
        return 0
    if patient is not None:
        groups, count = number_rows(frame, quasi)
        return int(patients_per_class(frame, groups, count, patient).min())
    keys, size = class_keys(frame, quasi)
    return int(run_lengths(keys, size).min())


def farthest_class(
    frame: pl.DataFrame, quasi: Sequence[str], sensitive: str, *, is_ordered: bool | None = None
) -> float:
    """Return t: the largest distance of a class from the table over the column `sensitive`, 0-1; 0 for an empty table.

    is_ordered: whether distance grows with the values between; None: as the column's type says (numbers and dates).
    """
    require_columns(frame, [*quasi, sensitive])
    if frame.height == 0:
        return 0.0
    whole = encode_sensitive(frame[sensitive])
    if is_ordered is not None:
        whole = replace(whole, is_ordered=is_ordered)
    cells = cells_of(frame, quasi, whole.codes, len(whole.shares))
    return float((ordered_distances if whole.is_ordered else equal_distances)(cells, whole).max())


def class_keys(frame: pl.DataFrame, quasi: Sequence[str]) -> tuple[Numbers, int]:
    """Return a number per row, the same in rows of one class and in no others, and what all numbers are below."""
    names = list(dict.fromkeys(quasi))
    columns = frame.select(pl.col(names).to_physical()).get_columns()  # whose types are cheaper to ask than categories'
    if not all(is_whole(codes.dtype) for codes in columns):
        plain = [pl.col(codes.name).fill_nan(None) if codes.dtype.is_float() else codes.name for codes in columns]
        return frame.select(plain).hash_rows(seed=randbits(KEY_BITS)).to_numpy(), 1 << KEY_BITS
    keys, size = np.zeros(frame.height, dtype=np.uint8), 1
    for codes in columns:
        numbers, width = small_numbers(codes)
        size *= width
        if size >= 1 << KEY_BITS:
            return number_rows(frame, names)
        kind = np.min_scalar_type(size)  # narrow numbers are several times cheaper to move
        keys = keys.astype(kind, copy=False) * kind.type(width)
        keys += numbers.astype(kind, copy=False)
    return keys, size


def is_whole(kind: pl.DataType) -> bool:
    """Whether values are kept as whole numbers of at most 64 bits."""
    return kind == pl.Boolean or (kind.is_integer() and kind not in (pl.Int128, pl.UInt128))


def small_numbers(codes: pl.Series) -> tuple[Numbers, int]:
    """Return a number of every row's value and what all of them are below; NULL has one of its own."""
    if codes.dtype == pl.Boolean:
        codes = codes.cast(pl.UInt8)
    if codes.null_count():
        return number_values(codes)
    numbers = codes.to_numpy()
    low, high = int(numbers.min()), int(numbers.max())
    if high - low >= WIDE:
        return number_values(codes)
    if low:
        numbers = numbers.astype(np.int64 if low < 0 else numbers.dtype) - low
    return numbers, high - low + 1


def run_lengths(keys: Numbers, size: int) -> Codes:
    """How often every key occurs, by key. keys: at least one, all below `size`."""
    if size <= NARROW:
        counts = np.bincount(keys)
        return counts[counts > 0]
    ordered = np.sort(keys)
    return np.diff(np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1], [True]])))


def cells_of(frame: pl.DataFrame, quasi: Sequence[str], values: Codes, width: int) -> Cells:
    """Count the sensitive values (numbers below `width`) of every class; classes stand in the order of their keys."""
    keys, size = class_keys(frame, quasi)
    bits = max(width - 1, 1).bit_length()
    if size == 1 << KEY_BITS:
        if KEY_BITS - bits < LEAST_BITS:
            keys, size = number_rows(frame, quasi)
        else:
            size >>= bits
            keys = keys >> np.uint64(bits)
    elif size << bits > 1 << KEY_BITS:
        keys, size = number_rows(frame, quasi)
    kind = np.min_scalar_type((size << bits) - 1)
    ordered = np.sort((keys.astype(kind) << kind.type(bits)) | values.astype(kind))
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1], [True]]))
    cells = ordered[starts[:-1]]
    classes, weight = cells >> kind.type(bits), np.diff(starts)
    group = np.cumsum(np.concatenate([[False], classes[1:] != classes[:-1]]))
    value = (cells & kind.type((1 << bits) - 1)).astype(np.int64)
    return Cells(group, value, weight, np.bincount(group, weights=weight).astype(np.int64))
