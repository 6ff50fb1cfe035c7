"""Which values of a column a released label may stand for, read from the label itself or from its hierarchy."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from hdex.deid.hierarchy import ANY, Hierarchy, as_text, distinct
from hdex.deid.numbering import Codes
from hdex.deid.sensitive import Shares

NUMBER = r"-?\d+(?:\.\d+)?"
INTERVAL = re.compile(rf"[\[(]?\s*({NUMBER})\s*(-<|-|,|;)\s*({NUMBER})\s*([\])\[]?)")
FROM = re.compile(rf"(?:>=\s*({NUMBER})|({NUMBER})\+)")
BELOW = re.compile(rf"<(=?)\s*({NUMBER})")
HALVES = {"Q1": "01 02 03", "Q2": "04 05 06", "Q3": "07 08 09", "Q4": "10 11 12"}
HALVES |= {"H1": "01 02 03 04 05 06", "H2": "07 08 09 10 11 12"}
LAST = "\U0010ffff"
PERIOD = re.compile(r"(\d{4})(?:-(Q[1-4]|H[12]|\d{2}))?")


@dataclass(frozen=True, slots=True)
class Recoding:
    """One column before and after: its values, its labels, and which values each label covers."""

    name: str
    values: tuple[str | None, ...]  # in the column's own order, NULL first
    before: Codes  # rows of every value
    labels: tuple[str | None, ...]
    after: Codes  # rows of every label
    covers: tuple[Codes, ...]  # per label: numbers of the values, never empty
    leaves: int  # values the hierarchy knows, or the column holds
    widths: Codes  # per label: leaves below it

    @property
    def is_partition(self) -> bool:
        """Whether no value has two labels: then the table was recoded column by column."""
        counted = np.bincount(np.concatenate([*self.covers, np.zeros(0, np.int64)]), minlength=len(self.values))
        return bool((counted <= 1).all())

    def spread(self, suppressed: int) -> Shares:
        """Share of every value as a reader of the release would guess it: even inside a label, even where unknown."""
        guess = np.full(len(self.values), suppressed / max(len(self.values), 1))
        for rows, covered in zip(self.after, self.covers, strict=True):
            guess[covered] += rows / len(covered)
        total = guess.sum()
        return guess / total if total else guess


def recode(before: pl.Series, after: pl.Series, ladder: Hierarchy | None = None) -> Recoding:
    """Compare a column with its release. ladder: its hierarchy, where labels do not tell what they cover.

    A label that says nothing (a named group without its hierarchy) counts as covering every value.
    """
    ordered = distinct(before)
    values = as_text(ordered).to_list()
    rows = dict(as_text(before).value_counts(name="\0n").rows())
    told = dict(as_text(after).value_counts(name="\0n").rows())
    able = None if ladder is None else ladder.with_null() if before.null_count() else ladder
    groups = {} if able is None else leaf_groups(able)
    reader = Reader(values, ordered)
    found = {label: reader.of_group(groups[label]) if label in groups else reader.covered(label) for label in told}
    covers = {label: covered if len(covered) else np.arange(len(values)) for label, covered in found.items()}
    labels = sorted(told, key=lambda label: (int(covers[label][0]), label is not None, label or ""))
    return Recoding(
        name=before.name,
        values=tuple(values),
        before=np.array([rows[value] for value in values], dtype=np.int64),
        labels=tuple(labels),
        after=np.array([told[label] for label in labels], dtype=np.int64),
        covers=tuple(covers[label] for label in labels),
        leaves=len(values) if able is None else len(able.levels[0]),
        widths=np.array([len(groups.get(label, covers[label])) for label in labels], dtype=np.int64),
    )


def leaf_groups(ladder: Hierarchy) -> dict[str | None, set[str | None]]:
    """Leaves below every label of a hierarchy; the finest level wins where a label stands on several."""
    groups: dict[str | None, set[str | None]] = {}
    leaves = ladder.levels[0].to_list()
    for level in ladder.levels:
        found: dict[str | None, set[str | None]] = {}
        for leaf, label in zip(leaves, level.to_list(), strict=True):
            found.setdefault(label, set()).add(leaf)
        groups = found | groups
    return groups


class Reader:
    """Finds the values a label covers."""

    def __init__(self, values: Sequence[str | None], ordered: pl.Series) -> None:
        self.number = {value: i for i, value in enumerate(values)}
        self.sorted = sorted((value, i) for i, value in enumerate(values) if value is not None)
        self.count = len(values)
        numbers = ordered.cast(pl.Float64, strict=False) if is_numeric(ordered) else None
        self.numbers = None if numbers is None else numbers.fill_null(float("nan")).to_numpy()

    def of_group(self, leaves: Iterable[str | None]) -> Codes:
        """The values that are among the leaves of a group."""
        return np.array(sorted(self.number[leaf] for leaf in leaves if leaf in self.number), dtype=np.int64)

    def covered(self, label: str | None) -> Codes:
        """Numbers of the values `label` may stand for; none when it cannot be read."""
        if label in self.number:
            return np.array([self.number[label]], dtype=np.int64)
        if label is None or label == ANY:
            return np.arange(self.count)
        if label.startswith("{") and label.endswith("}"):
            return self.of_group(part.strip() for part in label[1:-1].split(","))
        inside = None if self.numbers is None else in_interval(label, self.numbers)
        if inside is not None:
            return np.flatnonzero(inside)
        if period := PERIOD.fullmatch(label):
            return self.beginning(period_starts(period.group(1), period.group(2)))
        return self.beginning((label.rstrip(ANY),) if label.endswith(ANY) else ())

    def beginning(self, starts: Iterable[str]) -> Codes:
        """Numbers of the values that begin with one of `starts`."""
        found: list[int] = []
        for start in starts:
            low, high = bisect_left(self.sorted, (start, -1)), bisect_left(self.sorted, (start + LAST, -1))
            found += [place for _, place in self.sorted[low:high]]
        return np.array(sorted(found), dtype=np.int64)


def is_numeric(values: pl.Series) -> bool:
    """Numbers, or text that is numbers throughout."""
    if values.dtype.is_numeric():
        return True
    return values.dtype == pl.String and values.cast(pl.Float64, strict=False).null_count() == values.null_count()


def in_interval(label: str, numbers: Shares) -> np.ndarray[tuple[int], np.dtype[np.bool_]] | None:
    """Which numbers lie in 60-69, 60-<70, [60, 70[, 90+, >=90 or <18; None for any other label."""
    if found := INTERVAL.fullmatch(label):
        low, mark, high, close = found.groups()
        is_open = mark == "-<" or close in (")", "[")
        top = numbers < float(high) if is_open else numbers <= float(high)
        return (numbers >= float(low)) & top
    if found := FROM.fullmatch(label):
        return numbers >= float(found.group(1) or found.group(2))
    if found := BELOW.fullmatch(label):
        return numbers <= float(found.group(2)) if found.group(1) else numbers < float(found.group(2))
    return None


def period_starts(year: str, part: str | None) -> tuple[str, ...]:
    """Beginnings of the ISO dates inside a year, half, quarter or month."""
    if part is None:
        return (f"{year}-",)
    return tuple(f"{year}-{month}" for month in HALVES.get(part, part).split())
