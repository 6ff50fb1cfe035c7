"""A cube of cohort counts: how many people stand in each combination of a few coarse dimensions, fit to be told.

It is made once from de-identified rows, one per person, and frozen; whoever asks is answered from it. Words that few
people share are joined to `other`, values that fit into no band stand under `unknown`, so that every person is counted
once. What is told of each cell: `cohort_rounding`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hdex.deid.attack_labels import number_interval
from hdex.deid.cohort_rounding import Counts, kept, rounded
from hdex.deid.errors import CohortRefused
from hdex.deid.hierarchy import ANY, as_text

OTHER, UNKNOWN = "other", "unknown"
LEAST_K = 10
FEWEST = 5  # people, in k
MOST_LABELS = 16
MOST_CELLS = 1_000
LONGEST_LABEL = 60
MOST_UNKNOWN = 0.5
YEARS = 10  # least width of a band of ages


@dataclass(frozen=True, slots=True)
class Dimension:
    """One dimension: a column by bands (`edges`, rising), or by its own words (`prefix`: their first characters)."""

    column: str
    edges: tuple[float, ...] = ()
    prefix: int = 0
    in_years: bool = False  # an age: bands of ten years at least
    whole: bool = True  # values are whole numbers, so that a band reads 50-59


@dataclass(frozen=True, slots=True)
class Cube:
    """What may be told: the labels of each dimension, and the cells in row-major order, multiples of k."""

    labels: tuple[tuple[str, ...], ...]
    cells: tuple[int, ...]
    k: int
    margin: int  # how far the sum of cells may be from the true count; of one cell it is k


def make_cube(
    frame: pl.DataFrame,
    dimensions: Sequence[Dimension],
    *,
    k: int,
    generator: np.random.Generator,
    before: Cube | None = None,
) -> Cube:
    """Return the cube of a frame with one row per person.

    generator: seeded from a secret; whoever knows the seed can undo part of the rounding. before: the cube that the
    version before told by the same dimensions. Raises CohortRefused.
    """
    _require(frame, dimensions, k)
    known = before.labels if before else (None,) * len(dimensions)
    columns = [_coded(frame[one.column], one, k, told) for one, told in zip(dimensions, known, strict=True)]
    labels = tuple(found for found, _ in columns)
    cells = int(np.prod([len(found) for found in labels]))
    if cells > MOST_CELLS:
        raise CohortRefused(f"{cells} cells are asked, {MOST_CELLS} at most: name fewer dimensions or wider bands")
    counts = _counted([codes for _, codes in columns], tuple(map(len, labels)))
    if before is None:
        found = rounded(counts, k, generator=generator)
    else:
        told = np.array(before.cells, dtype=np.int64).reshape(counts.shape)
        found = kept(counts, told, k, generator=generator)
    return Cube(labels, tuple(int(cell) for cell in found.cells.flat), k, found.margin)


def band_labels(dimension: Dimension) -> tuple[str, ...]:
    """Return the bands that a dimension's edges make, from below the first to above the last."""
    edges = [f"{edge:g}" for edge in dimension.edges]
    inner = [
        f"{low}-{high - 1:g}" if dimension.whole else f"{low}-<{high:g}"
        for (low, _), (_, high) in pairwise(zip(edges, dimension.edges, strict=True))
    ]
    return (f"<{edges[0]}", *inner, f">={edges[-1]}")


def _require(frame: pl.DataFrame, dimensions: Sequence[Dimension], k: int) -> None:
    if k < LEAST_K:
        raise CohortRefused(f"k is {k}, {LEAST_K} at least is asked")
    if frame.height < FEWEST * k:
        raise CohortRefused(f"too few people for a cube: {FEWEST * k} at least are asked")
    names = [one.column for one in dimensions]
    if len(set(names)) != len(names) or not 2 <= len(names) <= 5:
        raise CohortRefused("2 to 5 dimensions are asked, each of another column")
    for one in dimensions:
        if one.column not in frame.columns:
            raise CohortRefused(f"column {one.column[:40]!r} is not in the released rows")
        _require_bands(one)


def _require_bands(dimension: Dimension) -> None:
    where, edges = f"dimension {dimension.column[:40]!r}", dimension.edges
    if any(high <= low for low, high in pairwise(edges)) or len(edges) > MOST_LABELS - 2:
        raise CohortRefused(f"{where}: {MOST_LABELS - 2} rising edges at most are asked")
    if edges and dimension.prefix:
        raise CohortRefused(f"{where}: edges or a prefix, not both")
    if dimension.whole and any(edge % 1 for edge in edges):
        raise CohortRefused(f"{where}: whole edges are asked of whole numbers")
    if dimension.in_years and (not edges or any(high - low < YEARS for low, high in pairwise(edges))):
        raise CohortRefused(f"{where}: bands of {YEARS} years at least are asked of an age")


def _coded(
    values: pl.Series, dimension: Dimension, k: int, known: tuple[str, ...] | None
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return a column's labels and the number of each row's label."""
    texts, where = as_text(values).to_list(), f"dimension {dimension.column[:40]!r}"
    if all(text in (None, "", ANY) for text in texts):
        raise CohortRefused(f"{where}: this version tells nothing of it, all its values were generalised away")
    words = [_band(text, dimension) for text in texts] if dimension.edges else [_word(t, dimension) for t in texts]
    labels = known or _labels(words, dimension, k)
    places = {label: number for number, label in enumerate(labels)}
    rest = places.get(OTHER, places[UNKNOWN])
    codes = np.array([places.get(word, rest) for word in words], dtype=np.int64)
    if (codes == places[UNKNOWN]).mean() > MOST_UNKNOWN:
        raise CohortRefused(
            f"{where}: most values fit into no band; released labels that {k} people share begin at "
            f"{_beginnings(texts, k) or 'no number'}: take edges among these"
        )
    return labels, codes


def _beginnings(texts: Sequence[str | None], k: int) -> str:
    """Return where the intervals begin that at least k people share: what a label says, nobody's own number."""
    spans = Counter(span for text in texts if text and (span := number_interval(text)) and span[0] < span[1])
    lows = sorted({low for (low, _), people in spans.items() if people >= k and np.isfinite(low)})
    return ", ".join(f"{low:g}" for low in lows[:MOST_LABELS])


def _labels(words: list[str], dimension: Dimension, k: int) -> tuple[str, ...]:
    """Return the labels of a dimension: its bands, or the words that at least k people share."""
    if dimension.edges:
        return (*band_labels(dimension), UNKNOWN)
    names, numbers = np.unique(np.array(words, dtype=object).astype(str), return_counts=True)
    frequent = [str(name) for name, number in zip(names, numbers, strict=True) if number >= k]
    frequent = [name for name in frequent if name not in (OTHER, UNKNOWN)]
    if not 1 <= len(frequent) <= MOST_LABELS - 2:
        raise CohortRefused(
            f"dimension {dimension.column[:40]!r}: {len(frequent)} words are frequent enough, "
            f"1 to {MOST_LABELS - 2} are asked: name edges, a prefix or another column"
        )
    return (*frequent, OTHER, UNKNOWN)


def _band(text: str | None, dimension: Dimension) -> str:
    """Return the band that holds a value, or the whole of a released interval; `unknown` where it lies across."""
    span = None if text is None else number_interval(text)
    if span is None or np.isnan(span[0]):
        return UNKNOWN
    low, high = (int(np.searchsorted(dimension.edges, end, side="right")) for end in span)
    return band_labels(dimension)[low] if low == high else UNKNOWN


def _word(text: str | None, dimension: Dimension) -> str:
    if text is None or text in ("", ANY):
        return UNKNOWN
    word = text[: dimension.prefix] if dimension.prefix else text
    return word if len(word) <= LONGEST_LABEL and word.isprintable() else OTHER


def _counted(codes: Sequence[NDArray[np.int64]], shape: tuple[int, ...]) -> Counts:
    places = np.ravel_multi_index(tuple(codes), shape)
    return np.bincount(places, minlength=int(np.prod(shape))).reshape(shape).astype(np.int64)
