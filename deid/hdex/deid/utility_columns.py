"""Distributions side by side and association of columns, from cells that hold enough people to be shown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hdex.deid.hierarchy import as_text
from hdex.deid.numbering import Codes, number_tuples, number_values
from hdex.deid.sensitive import Shares
from hdex.deid.utility_labels import Recoding, is_numeric

LEAST = 10  # patients; a smaller cell joins "other"
MOST_BARS = 12
MOST_CATEGORIES = 30
OTHER, MISSING = "other", "missing"
STEPS = (1, 2, 2.5, 5, 10)
Bars = list[dict[str, object]]


@dataclass(frozen=True, slots=True)
class Bins:
    """Labels and, for rows before and after, the bin of each."""

    labels: list[str]
    before: Codes
    after: Codes


def side_by_side(
    before: pl.DataFrame, after: pl.DataFrame, recoding: Recoding, *, patient: str | None
) -> dict[str, object] | None:
    """One column as {name, before, after}: shares of rows by label; None where no label holds LEAST patients.

    The release's own labels where they divide the values; bins of the values otherwise, and then the share of a label
    is divided evenly among the values it covers.
    """
    name = recoding.name
    if is_numeric(before[name]) and is_numeric(after[name]) and len(recoding.values) > MOST_BARS:
        bins = numeric_bins(before[name], after[name])
    elif recoding.is_partition:
        bins = label_bins(before[name], after[name], recoding)
    else:
        return spread_columns(before, recoding, patient=patient)
    old = people(before, bins.before, len(bins.labels), patient)
    new = people(after, bins.after, len(bins.labels), patient)
    return pooled(name, bins.labels, (old, new), (count(bins.before, bins.labels), count(bins.after, bins.labels)))


def count(bins: Codes, labels: Sequence[str]) -> Shares:
    """Rows of every bin."""
    return np.bincount(bins, minlength=len(labels)).astype(np.float64)


def pooled(
    name: str, labels: Sequence[str], patients: tuple[Shares, Shares], rows: tuple[Shares, Shares]
) -> dict[str, object] | None:
    """Bars of the labels with enough patients on both sides; the others are one."""
    scarce = [(count > 0) & (count < LEAST) for count in patients]
    shown = ~(scarce[0] | scarce[1]) & (patients[0] > 0) & (np.array(labels) != OTHER)
    order = sorted(np.flatnonzero(shown).tolist(), key=lambda i: -rows[0][i])
    shown[order[MOST_BARS - 1 :]] = False
    while shown.any() and any(0 < side[~shown].sum() < LEAST for side in patients):
        shown[min(np.flatnonzero(shown).tolist(), key=lambda i: rows[0][i])] = False
    kept: list[int] = np.flatnonzero(shown).tolist()
    if not kept:
        return None
    both = [bars([labels[i] for i in kept], side[kept], side[~shown].sum(), side.sum()) for side in rows]
    return {"name": name, "before": both[0], "after": both[1]}


def bars(labels: Sequence[str], counts: Shares, rest: float, total: float) -> Bars:
    """Shares to a tenth of a per cent."""
    told: Bars = [
        {"label": label, "share": round(float(count / total), 3) if total else 0.0}
        for label, count in zip(labels, counts, strict=True)
    ]
    return [*told, {"label": OTHER, "share": round(float(rest / total), 3)}] if rest else told


def people(frame: pl.DataFrame, bins: Codes, width: int, patient: str | None) -> Shares:
    """Patients of every bin; rows where no patient is named."""
    if patient is None or patient not in frame.columns:
        return np.bincount(bins, minlength=width).astype(np.float64)
    ids, known = number_values(frame[patient])
    pairs, number = number_tuples([(bins, width), (ids, max(known, 1))], frame.height)
    first = np.zeros(number, dtype=np.int64)
    first[pairs] = bins
    return np.bincount(first, minlength=width).astype(np.float64)


def numeric_bins(before: pl.Series, after: pl.Series) -> Bins:
    """About ten intervals with round edges over the middle 98 %: extreme values are nobody's to read off."""
    numbers = [as_numbers(series) for series in (before, after)]
    present = numbers[0][~np.isnan(numbers[0])]
    low, high = np.quantile(present, [0.01, 0.99]) if len(present) else (0.0, 1.0)
    unit = 10.0 ** math.floor(math.log10(max((high - low) / 8, 1e-300)))
    width = next((step * unit for step in STEPS if step * unit >= (high - low) / 8), 10 * unit)
    edges = np.arange(math.floor(low / width) + 1, math.ceil(high / width)) * width if high > low else np.zeros(0)
    inner = [f"{left:g} to {right:g}" for left, right in pairwise(edges.tolist())]
    labels = [f"below {edges[0]:g}", *inner, f"{edges[-1]:g} and more"] if len(edges) else ["any"]
    bins = [np.where(np.isnan(one), len(labels), np.searchsorted(edges, one, side="right")) for one in numbers]
    return Bins([*labels, MISSING], bins[0], bins[1])


def as_numbers(values: pl.Series) -> Shares:
    """Numbers, NULL as NaN."""
    return values.cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy().astype(np.float64)


def label_bins(before: pl.Series, after: pl.Series, recoding: Recoding) -> Bins:
    """The labels of the release, values before translated into them."""
    label_of = np.full(len(recoding.values), len(recoding.labels))  # values none of whose rows left
    for number, covered in enumerate(recoding.covers):
        label_of[covered] = number
    old = positions(before, recoding.values)
    return Bins(
        [*(MISSING if label is None else label for label in recoding.labels), OTHER],
        label_of[old],
        positions(after, recoding.labels),
    )


def positions(values: pl.Series, known: Sequence[str | None]) -> Codes:
    """Place of every value in `known`."""
    table = pl.DataFrame({"value": pl.Series(known, dtype=pl.String), "place": np.arange(len(known))})
    asked = pl.DataFrame({"value": as_text(values)})
    joined = asked.join(table, on="value", how="left", nulls_equal=True, maintain_order="left")
    return joined["place"].to_numpy().astype(np.int64)


def spread_columns(before: pl.DataFrame, recoding: Recoding, *, patient: str | None) -> dict[str, object] | None:
    """Bars over the values themselves where labels overlap, as local recoding leaves them."""
    name = recoding.name
    values = pl.Series(name, recoding.values, dtype=pl.String)
    if is_numeric(values) and len(values) > MOST_BARS:
        bins = numeric_bins(before[name], values)
    else:
        told = [MISSING if value is None else value for value in recoding.values]
        bins = Bins(told, positions(before[name], recoding.values), np.arange(len(values)))
    guess = recoding.spread(0) * recoding.after.sum()
    new = np.bincount(bins.after, weights=guess, minlength=len(bins.labels)).astype(np.float64)
    old = people(before, bins.before, len(bins.labels), patient)
    return pooled(name, bins.labels, (old, new), (count(bins.before, bins.labels), new))


def association(before: pl.DataFrame, after: pl.DataFrame, names: Sequence[str]) -> dict[str, object]:
    """Cramér's V of every pair of columns, corrected for bias (Bergsma 2013), before and after; 0 none, 1 full."""
    cut = {name: cuts(before[name]) for name in names if is_numeric(before[name])}
    matrices = []
    for frame in (before, after):
        coded = [categories(frame[name], cut.get(name)) for name in names]
        matrices.append([[1.0 if a is b else round(cramer(a, b), 4) for b in coded] for a in coded])
    return {"columns": list(names), "before": matrices[0], "after": matrices[1]}


def cuts(values: pl.Series) -> Shares:
    """Fifths of a numeric column."""
    numbers = as_numbers(values)
    present = numbers[~np.isnan(numbers)]
    return np.unique(np.quantile(present, [0.2, 0.4, 0.6, 0.8])) if len(present) else np.zeros(0)


def categories(values: pl.Series, edges: Shares | None) -> tuple[Codes, int]:
    """A column in at most MOST_CATEGORIES classes: numbers by `edges`, others by frequency, the rest in one."""
    if edges is not None and is_numeric(values):
        numbers = as_numbers(values)
        return np.where(np.isnan(numbers), len(edges) + 1, np.searchsorted(edges, numbers)), len(edges) + 2
    codes, count = number_values(values)
    if count <= MOST_CATEGORIES:
        return codes, count
    ranks = np.empty(count, dtype=np.int64)
    ranks[np.argsort(-np.bincount(codes, minlength=count), kind="stable")] = np.arange(count)
    return np.minimum(ranks[codes], MOST_CATEGORIES), MOST_CATEGORIES + 1


def cramer(one: tuple[Codes, int], other: tuple[Codes, int]) -> float:
    """Bias-corrected Cramér's V of two numbered columns; 0 where one of them is constant."""
    table = np.bincount(one[0] * other[1] + other[0], minlength=one[1] * other[1]).reshape(one[1], other[1])
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0].astype(np.float64)
    n, (r, c) = table.sum(), table.shape
    if n < 2 or min(r, c) < 2:
        return 0.0
    expected: NDArray[np.float64] = np.outer(table.sum(axis=1), table.sum(axis=0)) / n
    phi = float(((table - expected) ** 2 / expected).sum() / n)
    left = min(r - (r - 1) ** 2 / (n - 1), c - (c - 1) ** 2 / (n - 1)) - 1
    return math.sqrt(max(phi - (r - 1) * (c - 1) / (n - 1), 0.0) / left) if left > 0 else 0.0
