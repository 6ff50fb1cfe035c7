"""What is left to work with after generalisation: information lost, distributions side by side, a model's score.

Loss: ARX's, as the design pages define it. NUE, non-uniform entropy: De Waal, Willenborg 1999; Gionis, Tassa 2009.
AECS, average equivalence class size: LeFevre, DeWitt, Ramakrishnan 2006. Discernibility: Bayardo, Agrawal 2005. KL:
Kifer, Gehrke 2006, by column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise

import numpy as np
import polars as pl

from hdex.deid.errors import ArgumentInvalid
from hdex.deid.hierarchy import Hierarchy
from hdex.deid.numbering import number_rows
from hdex.deid.sensitive import Shares
from hdex.deid.utility_columns import association, side_by_side
from hdex.deid.utility_labels import Recoding, recode
from hdex.deid.utility_model import model_scores

MOST_BARS = 12  # categories shown; the rest is one bar
OTHER, MISSING = "…", "∅"
MOST_COLUMNS = 24  # columns described; the quasi-identifiers and the target come first
MOST_PAIRED = 12  # columns of the correlation
MOST_LEVELS = 1000  # a text column with more values is a name or a note
ORDER = "\0"  # between an interval's number and its words


@dataclass(frozen=True, slots=True)
class Distribution:
    """One column before and after, over the same labels; shares of rows, 0-1."""

    column: str
    labels: tuple[str, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]

    @property
    def distance(self) -> float:
        """Total variation distance, 0 (equal) to 1 (nothing in common)."""
        return sum(abs(b - a) for b, a in zip(self.before, self.after, strict=True)) / 2

    def to_dict(self) -> dict[str, object]:
        """As JSON values."""
        lists = {key: list(value) for key, value in asdict(self).items() if key != "column"}
        return {"column": self.column, **lists, "distance": self.distance}


def loss(
    rows: pl.DataFrame, ladders: Mapping[str, Hierarchy], transformation: Mapping[str, int], kept: pl.Series
) -> float:
    """ARX's Loss, arithmetic mean over rows and quasi-identifiers, whatever weights the search had; 0 without any."""
    if not ladders or rows.height == 0:
        return 0.0
    out = ~kept.to_numpy()
    means = []
    for name, ladder in ladders.items():
        able = ladder.with_null() if rows[name].has_nulls() else ladder
        cells = able.losses(transformation[name])[able.encode(rows[name])]
        means.append(float(np.where(out, 1.0, cells).mean()))
    return sum(means) / len(means)


def distribution(before: pl.Series, after: pl.Series, *, least: int = 1) -> Distribution:
    """Compare a column as it was with the same column as released, both in the same words or numbers.

    least: a label that fewer rows carried joins the last bar, so that the comparison shows no small group.
    """
    if before.dtype.is_numeric() and after.dtype.is_numeric() and before.drop_nulls().n_unique() > MOST_BARS:
        edges = tenths(before)
        before, after = in_intervals(before, edges), in_intervals(after, edges)
    old, new = counts(before), counts(after)
    common = sorted((name for name in old if old[name] >= least), key=lambda name: (-old[name], name))[:MOST_BARS]
    shown = sorted(common)
    labels = tuple(shown) if {*old, *new} == set(shown) else (*shown, OTHER)
    told = tuple(name.partition(ORDER)[2] or name for name in labels)
    return Distribution(after.name, told, shares(old, labels), shares(new, labels))


def counts(values: pl.Series) -> dict[str, int]:
    """Rows per value, as text."""
    table = values.cast(pl.String).fill_null(MISSING).value_counts(name="\0count").rows()
    return {str(name): int(count) for name, count in table}


def shares(table: dict[str, int], labels: Sequence[str]) -> tuple[float, ...]:
    """Shares of the labels; the last bar takes all that has no other."""
    total = max(sum(table.values()), 1)
    own = [table.get(name, 0) / total for name in labels]
    if OTHER in labels and table:
        own[-1] = max(1 - sum(own[:-1]), 0.0)
    return tuple(own)


def tenths(values: pl.Series) -> list[float]:
    """Edges of ten equal intervals over the values' range."""
    present = values.cast(pl.Float64).fill_nan(None).drop_nulls().to_numpy()
    return [float(edge) for edge in np.linspace(present.min(), present.max(), 11)]


def in_intervals(values: pl.Series, edges: Sequence[float]) -> pl.Series:
    """Numbers as the interval they lie in, as text that sorts."""
    names = [f"{i}{ORDER}{low:.4g} - {high:.4g}" for i, (low, high) in enumerate(pairwise(edges))]
    numbers = values.cast(pl.Float64).fill_nan(None)
    slots = ((numbers - edges[0]) / (edges[1] - edges[0])).floor().clip(0, 9).cast(pl.UInt32)
    return pl.Series(names).gather(slots).alias(values.name)


def describe(
    before: pl.DataFrame,
    after: pl.DataFrame,
    *,
    quasi: Sequence[str],
    target: str | None = None,
    seed: int = 0,
    hierarchies: Mapping[str, Hierarchy] | None = None,
    patient: str | None = None,
) -> dict[str, object]:
    """Compare a table with its release, as JSON values; row order does not matter, rows left out count as lost.

    hierarchies: of quasi-identifiers whose labels do not tell their values (named groups); without them such a label
    counts as telling nothing. patient: column whose distinct values make a cell large enough to be shown. target:
    column a model predicts before and after. Keys: loss, nue, kl (0 is nothing lost; loss and nue up to 1), aecs (rows
    of a class), discernibility (share of rows squared, 1 is the worst), columns, correlation, model.
    """
    names = list(dict.fromkeys(quasi))
    check_tables(before, after, [*names, *([target] if target else [])])
    ladders = hierarchies or {}
    described = shared_columns(before, after, names, target, patient)
    recoded = {name: recode(before[name], after[name], ladders.get(name)) for name in {*described, *names}}
    out = before.height - after.height
    own = [recoded[name] for name in names]
    bars = [side_by_side(before, after, recoded[name], patient=patient) for name in described]
    features = [name for name in described if name != target]
    return {
        "loss": mean([label_loss(one, before.height) for one in own]),
        "nue": mean([entropy_loss(one, before.height) for one in own]),
        "kl": mean([divergence(one, out) for one in own]),
        "aecs": class_average(after, names),
        "discernibility": discernibility(after, names, before.height),
        "columns": [one for one in bars if one is not None],
        "correlation": association(before, after, described[:MOST_PAIRED]),
        "model": None if target is None else model_scores(before, after, target, features, patient=patient, seed=seed),
    }


def check_tables(before: pl.DataFrame, after: pl.DataFrame, names: Sequence[str]) -> None:
    """Raise ArgumentInvalid for columns that are not in both tables, or a release with more rows than its source."""
    for frame, told in ((before, "table before"), (after, "release")):
        missing = sorted(set(names) - set(frame.columns))
        if missing:
            raise ArgumentInvalid(f"columns {', '.join(missing)} are not in the {told}")
    if after.height > before.height:
        raise ArgumentInvalid(f"the release has {after.height} rows, its source {before.height}")


def shared_columns(
    before: pl.DataFrame, after: pl.DataFrame, quasi: Sequence[str], target: str | None, patient: str | None
) -> list[str]:
    """Comparable columns of both tables: quasi-identifiers, target, then others that are neither names nor notes."""
    first = dict.fromkeys([*quasi, *([target] if target else [])])
    others = [
        name
        for name in before.columns
        if name in after.columns and name not in first and name != patient and is_comparable(before[name], after[name])
    ]
    return [*first, *others][: max(MOST_COLUMNS, len(first))]


def is_comparable(before: pl.Series, after: pl.Series) -> bool:
    """Whether a column has few enough values, or is numbers on both sides."""
    if before.dtype.is_nested() or after.dtype.is_nested():
        return False
    if before.dtype.is_numeric() and after.dtype.is_numeric():
        return True
    return before.n_unique() <= min(MOST_LEVELS, max(before.len() // 2, 2))


def mean(values: Sequence[float]) -> float:
    """Mean over quasi-identifiers; 0 without any."""
    return sum(values) / len(values) if values else 0.0


def label_loss(recoding: Recoding, rows: int) -> float:
    """(leaves below the label - 1) / (leaves - 1), mean over rows; a row left out counts 1."""
    if rows == 0:
        return 0.0
    cells = (recoding.widths - 1) / max(recoding.leaves - 1, 1)
    return float((cells * recoding.after).sum() + rows - recoding.after.sum()) / rows


def entropy_loss(recoding: Recoding, rows: int) -> float:
    """Bits needed to find the values again, as a share of the bits when nothing is told."""
    whole = entropy(recoding.before.astype(np.float64))
    if whole == 0 or rows == 0:
        return 0.0
    missing = rows - int(recoding.after.sum())
    bits = [entropy(recoding.before[covered].astype(np.float64)) for covered in recoding.covers]
    return float((np.array(bits) * recoding.after).sum() + missing * whole) / (rows * whole) if bits else 1.0


def entropy(counts: Shares) -> float:
    """Entropy of a distribution given by counts, in bits."""
    shares = counts[counts > 0] / max(counts.sum(), 1)
    return float(-(shares * np.log2(shares)).sum())


def divergence(recoding: Recoding, suppressed: int) -> float:
    """Kullback-Leibler divergence, in nats, of the column from what a reader of the release would guess.

    Where the guess leaves a value out, half a row spread over all values keeps the answer finite.
    """
    if recoding.before.sum() == 0:
        return 0.0
    share = recoding.before / recoding.before.sum()
    guess = recoding.spread(suppressed)
    if (guess <= 0).any():
        total = recoding.before.sum()
        guess = (guess * total + 0.5 / len(guess)) / (total + 0.5)
    return max(float((share * np.log(share / guess)).sum()), 0.0)


def class_average(after: pl.DataFrame, names: Sequence[str]) -> float:
    """Rows of a class on average; 0 for an empty release."""
    count = number_rows(after, names)[1]
    return after.height / count if count else 0.0


def discernibility(after: pl.DataFrame, names: Sequence[str], rows: int) -> float:
    """Sum over classes of rows squared, a row left out counting all rows, as a share of all rows squared."""
    if rows == 0:
        return 0.0
    groups, count = number_rows(after, names)
    sizes = np.bincount(groups, minlength=count).astype(np.float64)
    return float((sizes**2).sum() + (rows - after.height) * rows) / rows**2
