"""Synthetic rows for a product's page: drawn from noisy marginals and noisy tables of pairs, never from a row.

Each column's counts get two-sided geometric noise; which pairs of columns are told together is chosen under noise too;
the pairs' tables get noise again (pairwise.py). Rows are drawn along the pairs, so a page shows that two columns go
together and nothing about three. `epsilon` bounds what counts and pairs tell about one patient who has at most
`rows_per_patient` rows. It does not cover the names of the bins: those are the product's own schema (generalised
labels that the release shows anyway) or values that at least `floor_count` rows share. A drawn row that happens to
equal a real one is drawn again, so no row shown is anybody's; that check is outside epsilon too, and tells of a row
only just that.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import polars as pl

from hdex.catalog.documents import Scalar
from hdex.catalog.errors import PreviewRefused
from hdex.catalog.pairwise import Link, links, noisy, tree_order
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

GENERATOR = "noisy marginals and a tree of noisy pairwise tables, two-sided geometric noise"
LEAST_ROWS = 50
MARGINALS = 1 / 3  # share of epsilon for the columns' counts where pairs are told too
TRIES = 50  # times that a row is drawn before it is left out


@dataclass(frozen=True, slots=True)
class _Marginal:
    """One column as bins with counts; `edges` only for numbers."""

    name: str
    datatype: str
    labels: tuple[str, ...]
    counts: tuple[int, ...]
    edges: tuple[float, ...]
    decimals: int
    codes: tuple[int, ...] = ()  # bin of every row of the frame; -1 where the cell is empty


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
    each = epsilon / rows_per_patient
    for_counts = each if len(marginals) == 1 else each * MARGINALS
    shown = [_with_noise(marginal, for_counts / len(marginals), generator) for marginal in marginals]
    tree = links([m.codes for m in shown], [m.counts for m in shown], epsilon=each - for_counts, generator=generator)
    return Preview(
        kind=PreviewKind.SYNTHETIC,
        rows=_draw(shown, tree, rows, frame=frame, generator=generator),
        histograms=tuple(_histogram(marginal) for marginal in shown),
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
    return _number_marginal(series, values, least) if values.dtype.is_numeric() else _word_marginal(series, least)


def _number_marginal(series: pl.Series, values: pl.Series, least: int) -> _Marginal | None:
    edges = bin_edges(values)
    held = Counter(bin_of(value, edges) for value in values.cast(pl.Float64).to_list())
    counts, kept = merge_numbers([held[number] for number in range(len(edges) + 1)], edges, least)
    if len(counts) < 2:
        return None
    decimals = 0 if values.dtype.is_integer() else _decimals(kept)
    codes = tuple(-1 if value is None else bin_of(value, kept) for value in _floats(series))
    return _Marginal(values.name, datatype(values), labels_of(kept), tuple(counts), tuple(kept), decimals, codes=codes)


def _word_marginal(series: pl.Series, least: int) -> _Marginal | None:
    values = present(series)
    shown = merge_words(Counter(words_of(values)), least)
    if not shown or [word for word, _ in shown] == [REST]:
        return None
    labels, counts = zip(*shown, strict=True)
    number = {label: at for at, label in enumerate(labels)}
    told = iter(words_of(values))
    present_cells = series.is_not_null() & (series.is_not_nan() if series.dtype.is_float() else True)
    codes = tuple(number.get(next(told), number.get(REST, -1)) if cell else -1 for cell in present_cells.to_list())
    return _Marginal(values.name, datatype(values), tuple(labels), tuple(counts), (), 0, codes=codes)


def _floats(series: pl.Series) -> list[float | None]:
    return series.cast(pl.Float64).fill_nan(None).to_list()


def _with_noise(marginal: _Marginal, epsilon: float, generator: np.random.Generator) -> _Marginal:
    """Return the marginal with counts plus the difference of two geometric variables, at least 0."""
    counts = noisy(np.array(marginal.counts), epsilon, generator)
    return replace(marginal, counts=tuple(int(count) for count in counts))


def _histogram(marginal: _Marginal) -> Histogram:
    bins = (Bin(label, count) for label, count in zip(marginal.labels, marginal.counts, strict=True))
    return Histogram(marginal.name, tuple(bins))


def _draw(
    marginals: list[_Marginal], tree: list[Link], rows: int, *, frame: pl.DataFrame, generator: np.random.Generator
) -> tuple[dict[str, Scalar], ...]:
    """Return rows that no patient has: what equals a real one is drawn again, and left out after TRIES."""
    real = {_as_shown(row) for row in frame.select([marginal.name for marginal in marginals]).iter_rows()}
    drawn = (_draw_row(marginals, tree, real, generator) for _ in range(rows))
    return tuple({"synthetic": True, **row} for row in drawn if row is not None)


def _draw_row(
    marginals: list[_Marginal], tree: list[Link], real: set[tuple[str, ...]], generator: np.random.Generator
) -> dict[str, Scalar] | None:
    for _ in range(TRIES):
        chosen = _choose(marginals, tree, generator)
        cells = [_cell(marginal, chosen[at], generator) for at, marginal in enumerate(marginals)]
        if _as_shown(cells) not in real:
            return dict(zip((marginal.name for marginal in marginals), cells, strict=True))
    return None


def _choose(marginals: list[_Marginal], tree: list[Link], generator: np.random.Generator) -> dict[int, int]:
    """Return the bin of every column: the root by its counts, each other one given the column it hangs on."""
    chosen: dict[int, int] = {}
    for at, link, is_child in tree_order(len(marginals), tree):
        weights = np.array(marginals[at].counts, dtype=float)
        if link is not None:
            table = link.table if is_child else link.table.T
            given = table[chosen[link.first if is_child else link.second]]
            weights = given if given.sum() else weights
        total = weights.sum()
        shares = weights / total if total else np.full(len(weights), 1 / len(weights))
        chosen[at] = int(generator.choice(len(shares), p=shares))
    return chosen


def _cell(marginal: _Marginal, number: int, generator: np.random.Generator) -> Scalar:
    if marginal.edges:
        return _number_within(marginal, number, generator)
    word = marginal.labels[number]
    return word == "yes" if marginal.datatype == "boolean" else word


def _as_shown(cells: Iterable[object]) -> tuple[str, ...]:
    """Return cells as comparable words: 7 and 7.0 are one number, a day is told by its year."""
    return tuple(
        str(cell.year) if isinstance(cell, date) else f"{cell:g}" if isinstance(cell, float | int) else str(cell)
        for cell in cells
    )


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
