"""Column statistics that are safe to publish: no small cell, no extreme value, no rare word.

Every bin shown holds at least `floor` patients' rows; smaller ones are merged with a neighbour (numbers) or into one
bin of the rest (words). Merging, not blanking, leaves nothing to be found by subtracting from the total.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor, log10

import polars as pl

from hdex.catalog.product import Bin, Histogram

FLOOR = 10  # smallest cell of the aggregate preset
MOST_BINS = 12
REST = "other"


@dataclass(frozen=True, slots=True)
class ColumnSummary:
    """What may be said about one column. `histogram` is None where nothing is frequent enough."""

    name: str
    datatype: str
    filled: float  # share of rows with a value, two decimals
    histogram: Histogram | None


def summarise(frame: pl.DataFrame, *, floor_count: int = FLOOR) -> tuple[ColumnSummary, ...]:
    """Return the safe summary of every column, in order."""
    return tuple(_summary(frame[name], floor_count) for name in frame.columns)


def datatype(series: pl.Series) -> str:
    """Return the word the catalogue uses for a column's type."""
    kind = series.dtype
    if kind == pl.Boolean:
        return "boolean"
    if kind.is_integer():
        return "integer"
    if kind.is_numeric():
        return "number"
    if kind == pl.Date:
        return "date"
    return "datetime" if kind.is_temporal() else "string"


def bin_edges(series: pl.Series, *, bins: int = 8) -> tuple[float, ...]:
    """Return round edges between the 5th and 95th percentile: the outer bins are open, no extreme is an edge."""
    values = present(series).cast(pl.Float64)
    low, high = values.quantile(0.05), values.quantile(0.95)
    if low is None or high is None or low == high:
        return () if low is None else (float(low),)
    step = _round_step((high - low) / bins)
    first, last = floor(low / step) + 1, ceil(high / step) - 1
    return tuple(round(number * step, 9) for number in range(first, max(first, last) + 1))


def labels_of(edges: Sequence[float]) -> tuple[str, ...]:
    """Return the names of the bins that `edges` cut, open at both ends."""
    if not edges:
        return ()
    between = (f"{_plain(a)} – {_plain(b)}" for a, b in pairwise(edges))
    return (f"< {_plain(edges[0])}", *between, f"≥ {_plain(edges[-1])}")


def bin_of(value: float, edges: Sequence[float]) -> int:
    """Return the number of the bin that holds `value`."""
    return sum(value >= edge for edge in edges)


def merge_numbers(counts: Sequence[int], edges: Sequence[float], least: int) -> tuple[list[int], list[float]]:
    """Return counts and edges after joining each bin below `least` with its smaller neighbour."""
    counts, edges = list(counts), list(edges)
    while len(counts) > 1 and min(counts) < least:
        small = counts.index(min(counts))
        at_left = small > 0 and (small == len(counts) - 1 or counts[small - 1] <= counts[small + 1])
        first = small - 1 if at_left else small
        counts[first : first + 2] = [counts[first] + counts[first + 1]]
        del edges[first]
    return counts, edges


def merge_words(counts: Counter[str], least: int, most: int = MOST_BINS) -> list[tuple[str, int]]:
    """Return words by falling count; rare ones, and those beyond `most`, become one bin that holds at least `least`."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    kept = [item for item in ordered if item[1] >= least][:most]
    rest = sum(counts.values()) - sum(count for _, count in kept)
    while kept and 0 < rest < least:  # a small rest is filled up with the smallest word kept
        rest += kept.pop()[1]
    return [*kept, (REST, rest)] if rest >= least else kept


def _summary(series: pl.Series, least: int) -> ColumnSummary:
    filled = 0.0 if not len(series) else round(1 - series.null_count() / len(series), 2)
    return ColumnSummary(series.name, datatype(series), filled, _histogram(series, least))


def _histogram(series: pl.Series, least: int) -> Histogram | None:
    values = present(series)
    if len(values) < 2 * least:
        return None
    bins = _number_bins(values, least) if values.dtype.is_numeric() else _word_bins(values, least)
    return Histogram(series.name, bins) if len(bins) > 1 else None


def _number_bins(values: pl.Series, least: int) -> tuple[Bin, ...]:
    edges = bin_edges(values)
    held = Counter(bin_of(value, edges) for value in values.cast(pl.Float64).to_list())
    counts, kept = merge_numbers([held[number] for number in range(len(edges) + 1)], edges, least)
    return tuple(Bin(label, count) for label, count in zip(labels_of(kept), counts, strict=True)) if kept else ()


def _word_bins(values: pl.Series, least: int) -> tuple[Bin, ...]:
    words = Counter(words_of(values))
    shown = merge_words(words, least)
    # only the rest: every word is rare, as in identifiers and free text
    return () if [word for word, _ in shown] == [REST] else tuple(Bin(word, count) for word, count in shown)


def present(series: pl.Series) -> pl.Series:
    """Return the values that are there: neither null nor not-a-number."""
    values = series.drop_nulls()
    return values.drop_nans() if values.dtype.is_float() else values


def words_of(values: pl.Series) -> list[str]:
    """Return each value as a word; dates by their year."""
    if values.dtype.is_temporal() and values.dtype != pl.Time:
        return [str(year) for year in values.dt.year().to_list()]
    if values.dtype == pl.Boolean:
        return ["yes" if value else "no" for value in values.to_list()]
    return [str(value) for value in values.to_list()]


def _round_step(raw: float) -> float:
    """Return the largest of 1, 2, 5 times a power of ten that does not exceed 1.5 times `raw`."""
    power = 10.0 ** floor(log10(raw))
    return float(max(step * power for step in (1, 2, 5, 10) if step == 1 or step * power <= 1.5 * raw))


def _plain(number: float) -> str:
    return f"{number:.9f}".rstrip("0").rstrip(".")
