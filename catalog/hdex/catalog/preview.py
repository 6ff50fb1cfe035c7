"""Synthetic rows for a product's page: drawn from noisy marginals, never from a row.

Each column's counts get two-sided geometric noise, the budget is split evenly over the columns, and rows are drawn
column by column, so nothing that links two columns survives. `epsilon` bounds what the counts tell about one
patient who has at most `rows_per_patient` rows. It does not cover the names of the bins: those are the product's own
schema (generalised labels that the release shows anyway) or values that at least `floor_count` rows share.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import polars as pl

from hdex.catalog.documents import Scalar
from hdex.catalog.errors import PreviewRefused
from hdex.catalog.product import Bin, Histogram, Preview, PreviewKind
from hdex.catalog.profile import (
    FLOOR,
    REST,
    bin_edges,
    bin_of,
    datatype,
    labels_of,
    merge_numbers,
    merge_words,
    present,
    summarise,
    words_of,
)

GENERATOR = "independent noisy marginals, two-sided geometric noise"
LEAST_ROWS = 50


@dataclass(frozen=True, slots=True)
class _Marginal:
    """One column as bins with counts; `edges` only for numbers."""

    name: str
    datatype: str
    labels: tuple[str, ...]
    counts: tuple[int, ...]
    edges: tuple[float, ...]
    decimals: int


def synthetic_preview(
    frame: pl.DataFrame,
    *,
    epsilon: float,
    generator: np.random.Generator,
    rows: int = 100,
    rows_per_patient: int = 1,
    floor_count: int = FLOOR,
) -> Preview:
    """Return `rows` synthetic rows and the noisy histograms they come from.

    generator: seeded by the caller from a secret; whoever knows the seed can subtract the noise. Raises
    PreviewRefused where the frame is too small or no column has anything frequent enough to show.
    """
    if frame.height < max(LEAST_ROWS, 5 * floor_count):
        raise PreviewRefused(f"{max(LEAST_ROWS, 5 * floor_count)} rows are asked for a preview, fewer are found")
    if epsilon <= 0 or rows_per_patient < 1:
        raise PreviewRefused("epsilon and rows_per_patient are asked above 0")
    found = (_marginal(frame[name], floor_count) for name in frame.columns)
    marginals = [marginal for marginal in found if marginal is not None]
    if not marginals:
        raise PreviewRefused("no column has values frequent enough to show")
    share = epsilon / (len(marginals) * rows_per_patient)
    noisy = [_with_noise(marginal, share, generator) for marginal in marginals]
    return Preview(
        kind=PreviewKind.SYNTHETIC,
        rows=_draw(noisy, rows, generator),
        histograms=tuple(_histogram(marginal) for marginal in noisy),
        generator=GENERATOR,
        epsilon=epsilon,
    )


def aggregate_preview(frame: pl.DataFrame, *, floor_count: int = FLOOR) -> Preview:
    """Return the safe histograms and no rows."""
    summaries = summarise(frame, floor_count=floor_count)
    shown = tuple(summary.histogram for summary in summaries if summary.histogram is not None)
    return Preview(kind=PreviewKind.AGGREGATE, histograms=shown)


def _marginal(series: pl.Series, least: int) -> _Marginal | None:
    values = present(series)
    if len(values) < 2 * least:
        return None
    return _number_marginal(values, least) if values.dtype.is_numeric() else _word_marginal(values, least)


def _number_marginal(values: pl.Series, least: int) -> _Marginal | None:
    edges = bin_edges(values)
    held = Counter(bin_of(value, edges) for value in values.cast(pl.Float64).to_list())
    counts, kept = merge_numbers([held[number] for number in range(len(edges) + 1)], edges, least)
    if len(counts) < 2:
        return None
    decimals = 0 if values.dtype.is_integer() else _decimals(kept)
    return _Marginal(values.name, datatype(values), labels_of(kept), tuple(counts), tuple(kept), decimals)


def _word_marginal(values: pl.Series, least: int) -> _Marginal | None:
    shown = merge_words(Counter(words_of(values)), least)
    if not shown or [word for word, _ in shown] == [REST]:
        return None
    labels, counts = zip(*shown, strict=True)
    return _Marginal(values.name, datatype(values), tuple(labels), tuple(counts), (), 0)


def _with_noise(marginal: _Marginal, epsilon: float, generator: np.random.Generator) -> _Marginal:
    """Return the marginal with counts plus the difference of two geometric variables, at least 0."""
    success = 1 - np.exp(-epsilon)
    size = len(marginal.counts)
    noise = generator.geometric(success, size) - generator.geometric(success, size)
    noisy = tuple(int(count) for count in np.maximum(np.array(marginal.counts) + noise, 0))
    return _Marginal(
        marginal.name, marginal.datatype, marginal.labels, noisy, marginal.edges, decimals=marginal.decimals
    )


def _histogram(marginal: _Marginal) -> Histogram:
    bins = (Bin(label, count) for label, count in zip(marginal.labels, marginal.counts, strict=True))
    return Histogram(marginal.name, tuple(bins))


def _draw(marginals: list[_Marginal], rows: int, generator: np.random.Generator) -> tuple[dict[str, Scalar], ...]:
    columns = {marginal.name: _draw_column(marginal, rows, generator) for marginal in marginals}
    return tuple({"synthetic": True, **{name: column[at] for name, column in columns.items()}} for at in range(rows))


def _draw_column(marginal: _Marginal, rows: int, generator: np.random.Generator) -> list[Scalar]:
    weights = np.array(marginal.counts, dtype=float)
    weights = weights / weights.sum() if weights.sum() else np.full(len(weights), 1 / len(weights))
    chosen = generator.choice(len(weights), size=rows, p=weights)
    if marginal.edges:
        return [_number_within(marginal, int(number), generator) for number in chosen]
    words = [marginal.labels[number] for number in chosen]
    return [word == "yes" for word in words] if marginal.datatype == "boolean" else list(words)


def _number_within(marginal: _Marginal, number: int, generator: np.random.Generator) -> Scalar:
    """Return a number inside the bin; the open bins are as wide as their neighbours."""
    edges = marginal.edges
    width = edges[1] - edges[0] if len(edges) > 1 else max(abs(edges[0]) / 10, 1.0)
    low = edges[number - 1] if number else edges[0] - width
    high = edges[number] if number < len(edges) else edges[-1] + width
    if not number and edges[0] >= 0:
        low = max(low, 0.0)
    value = generator.uniform(low, high)
    return int(value) if marginal.datatype == "integer" else round(float(value), marginal.decimals)


def _decimals(edges: list[float]) -> int:
    """Return one decimal more than the edges have, three at most."""
    longest = max(len(f"{edge:.9f}".rstrip("0").partition(".")[2]) for edge in edges)
    return min(longest + 1, 3)
