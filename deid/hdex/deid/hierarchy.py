"""Generalisation hierarchies: the levels a quasi-identifier may take, from the value itself to nothing.

Level 0 is the value; every further level merges groups of the one before, never splits one. NULL is a value
of its own: it keeps apart until the level that holds a single group.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hdex.deid import hierarchy_code
from hdex.deid.errors import ArgumentInvalid, HierarchyIncomplete, InputInvalid

ANY = "*"  # the label of a value that is told no more
AGE_WIDTHS = (5, 10, 20, 40)
FINEST = -30  # power of ten of the narrowest interval: below it floating point itself ends
DateStep = Literal["month", "quarter", "half", "year"]
LABEL_STEPS: dict[str, DateStep | Literal["day"]] = {  # how a date label looks -> what it tells, finest first
    r"^\d{4}-\d{2}-\d{2}": "day",
    r"^\d{4}-\d{2}$": "month",
    r"^\d{4}-Q\d$": "quarter",
    r"^\d{4}-H\d$": "half",
    r"^\d{4}$": "year",
}
DATE_STEPS: tuple[DateStep, ...] = ("month", "quarter", "half", "year")


@dataclass(frozen=True, slots=True, eq=False)
class Hierarchy:
    """The levels of one column. levels[i][j] is the label of leaf j at level i; levels[0] are the leaves."""

    column: str
    levels: tuple[pl.Series, ...]  # String, equal lengths, level 0 without duplicates

    def __post_init__(self) -> None:
        if not self.levels:
            raise InputInvalid(f"hierarchy of column {self.column} has no level")
        if self.levels[0].is_duplicated().any():
            raise InputInvalid(f"hierarchy of column {self.column} lists a leaf twice")
        for level in range(1, len(self.levels)):
            pairs = pl.DataFrame({"below": self.levels[level - 1], "above": self.levels[level]})
            if pairs.unique().height != pairs["below"].n_unique():
                raise InputInvalid(
                    f"hierarchy of column {self.column}: level {level} splits a group of level {level - 1}"
                )

    @property
    def height(self) -> int:
        """Number of levels, the value itself included."""
        return len(self.levels)

    def codes(self, level: int) -> NDArray[np.int64]:
        """Group number of every leaf at `level`, from 0 without gaps."""
        ranks = self.levels[level].fill_null("\0null").rank("dense")
        return ranks.to_numpy().astype(np.int64) - 1

    def losses(self, level: int) -> NDArray[np.float64]:
        """ARX's Loss of every leaf at `level`: (leaves below its label - 1) / (all leaves - 1)."""
        codes = self.codes(level)
        below = np.bincount(codes)[codes]
        return (below - 1) / max(len(codes) - 1, 1)

    def encode(self, values: pl.Series) -> NDArray[np.int64]:
        """Leaf number of every value; raises HierarchyIncomplete, naming the kind of what is missing."""
        table = pl.DataFrame({"leaf": self.levels[0], "number": np.arange(len(self.levels[0]), dtype=np.int64)})
        asked = pl.DataFrame({"leaf": as_text(values)})
        found = asked.join(table, on="leaf", how="left", nulls_equal=True, maintain_order="left")["number"]
        if found.null_count():
            missing = asked["leaf"].filter(found.is_null()).unique()
            raise HierarchyIncomplete(
                f"hierarchy of column {self.column} misses {len(missing)} of its distinct values ({kinds(missing)})"
            )
        return found.to_numpy()

    def labels(self, values: pl.Series, level: int) -> pl.Series:
        """`values` as they read at `level`; level 0 keeps their type."""
        if level == 0:
            return values
        return self.levels[level].gather(self.encode(values)).alias(values.name)

    def with_null(self) -> Hierarchy:
        """The same hierarchy, able to hold NULL: apart on every level but one that holds a single group."""
        if self.levels[0].null_count():
            return self
        null = pl.Series([None], dtype=pl.String)
        single = [level.n_unique() == 1 and i > 0 for i, level in enumerate(self.levels)]
        return Hierarchy(
            self.column,
            tuple(pl.concat([s, s.head(1) if one else null]) for s, one in zip(self.levels, single, strict=True)),
        )


def as_text(values: pl.Series) -> pl.Series:
    """Values as a hierarchy file writes them: dates in ISO form, whole floats without a fraction, NaN as null."""
    if values.dtype.is_float():
        return values.fill_nan(None).cast(pl.String).str.replace(r"\.0$", "")
    return values.cast(pl.String)


def kinds(values: pl.Series) -> str:
    """What values look like, never what they are: whole numbers, dates, codes, text, null ..."""
    left, found = values.drop_nulls(), ["null"] if values.null_count() else []
    for kind, pattern in KINDS.items():
        matches = left.str.contains(pattern)
        if matches.any():
            found.append(kind)
        left = left.filter(~matches)
    return ", ".join(found)


def distinct(values: pl.Series) -> pl.Series:
    """Distinct values in a fixed order, nulls first."""
    cleaned = values.fill_nan(None) if values.dtype.is_float() else values
    return cleaned.unique().sort()


def build(values: pl.Series, steps: Sequence[Callable[[pl.Series], pl.Series]]) -> Hierarchy:
    """Hierarchy over the distinct `values`: itself, each step, then one group for all."""
    leaves = distinct(values)
    levels = [as_text(leaves)]
    for step in steps:
        levels.append(step(leaves).cast(pl.String))
    if levels[-1].n_unique() > 1 or len(levels) == 1:
        levels.append(pl.repeat(ANY, len(leaves), dtype=pl.String, eager=True))
    return Hierarchy(values.name, tuple(level.alias(values.name) for level in levels))


def interval(values: pl.Series, widths: Sequence[float] = AGE_WIDTHS, *, top: float | None = None) -> Hierarchy:
    """Intervals of growing width: whole numbers read 60-69, others 60-<70; from `top` on 90+.

    widths: each a multiple of the one before, or the hierarchy would split a group.
    """
    if not values.dtype.is_numeric():
        raise InputInvalid(f"intervals of column {values.name} need numbers, found {values.dtype}")
    if not widths or any(w <= 0 for w in widths):
        raise InputInvalid(f"interval widths of column {values.name} must be above 0")
    return build(values, [partial(interval_labels, width=width, top=top) for width in widths])


def interval_labels(values: pl.Series, width: float, *, top: float | None = None) -> pl.Series:
    """The interval of `width` each value lies in, as text."""
    decimals = max(9, 2 - int(np.floor(np.log10(width))))  # a width of 1e-12 is not to be rounded away
    numbers = values.cast(pl.Float64)
    low = ((numbers / width).floor() * width).round(decimals)
    above = (low + width).round(decimals)
    low = pl.select(pl.when(numbers >= above).then(above).otherwise(low)).to_series()  # 0.3 / 0.1 is less than 3
    if top is not None:
        ceiling = np.floor(top / width) * width
        low = low.clip(upper_bound=ceiling)
    whole = values.dtype.is_integer() and float(width).is_integer()
    high = low + width - 1 if whole else (low + width).round(decimals)
    text = as_text(low) + ("-" if whole else "-<") + as_text(high)
    if top is None:
        return text
    capped = as_text(low) + "+"
    return pl.select(pl.when(low >= ceiling).then(capped).otherwise(text)).to_series()


def date(values: pl.Series, steps: Sequence[DateStep] = DATE_STEPS) -> Hierarchy:
    """Dates (or text such as 2024-03 or 2024-03-09) to month, quarter, half year, year, nothing."""
    unknown = set(steps) - set(DATE_STEPS)
    if unknown:
        raise InputInvalid(
            f"date steps of column {values.name} are of {', '.join(DATE_STEPS)}; found {sorted(unknown)}"
        )
    return build(values, [partial(date_labels, step=step) for step in steps])


def date_labels(values: pl.Series, step: DateStep) -> pl.Series:
    """2024-03, 2024-Q1, 2024-H1 or 2024."""
    days = as_dates(values)
    if step == "month":
        return days.dt.strftime("%Y-%m")
    if step == "year":
        return days.dt.strftime("%Y")
    quarter = days.dt.quarter()
    if step == "half":
        return days.dt.strftime("%Y-H") + ((quarter + 1) // 2).cast(pl.String)
    return days.dt.strftime("%Y-Q") + quarter.cast(pl.String)


def label_step(labels: pl.Series) -> DateStep | Literal["day"] | None:
    """day, month, quarter, half or year by the type or look of date labels; None for anything else."""
    if labels.dtype in (pl.Date, pl.Datetime):
        return "day"
    present = labels.drop_nulls()
    if len(present) == 0 or labels.dtype != pl.String:
        return None
    return next((step for pattern, step in LABEL_STEPS.items() if present.str.contains(pattern).all()), None)


def date_floor(ladder: Hierarchy, finest: str) -> int:
    """The lowest level of a date ladder that tells no more than `finest` (day, month, ...)."""
    order = ["day", *DATE_STEPS]
    for level, labels in enumerate(ladder.levels):
        step = label_step(labels)
        if step is None or order.index(step) >= order.index(finest):
            return level
    return ladder.height - 1


def thinned(ladders: Mapping[str, Hierarchy], most_nodes: int) -> dict[str, Hierarchy]:
    """The ladders with inner levels left out until their lattice has at most `most_nodes` nodes.

    The tallest ladder loses the level that merges least over the one below it; value and top always stay.
    """
    left = dict(ladders)
    while np.prod([float(ladder.height) for ladder in left.values()]) > most_nodes:
        tallest = max(left, key=lambda name: left[name].height)
        ladder = left[tallest]
        if ladder.height <= 2:
            break
        groups = [level.n_unique() for level in ladder.levels]
        least = min(range(1, ladder.height - 1), key=lambda level: groups[level - 1] / groups[level])
        left[tallest] = Hierarchy(ladder.column, (*ladder.levels[:least], *ladder.levels[least + 1 :]))
    return left


def as_dates(values: pl.Series) -> pl.Series:
    """Values as dates: dates, timestamps, or ISO text with or without a day."""
    if values.dtype == pl.Date:
        return values
    if values.dtype == pl.Datetime:
        return values.dt.date()
    if values.dtype != pl.String:
        raise InputInvalid(f"dates of column {values.name} need dates or text, found {values.dtype}")
    days = (values.str.slice(0, 7) + "-01").str.to_date("%Y-%m-%d", strict=False)
    if days.null_count() != values.null_count():
        raise InputInvalid(
            f"column {values.name} holds {days.null_count() - values.null_count()} texts that are no date"
        )
    return days


def prefix(values: pl.Series, lengths: Sequence[int]) -> Hierarchy:
    """Shorter and shorter beginnings of a code: I63.9, I63*, I*."""
    if list(lengths) != sorted(set(lengths), reverse=True) or any(n < 1 for n in lengths):
        raise InputInvalid(f"prefix lengths of column {values.name} must fall and stay above 0")
    return build(values.cast(pl.String), [partial(prefix_labels, length=length) for length in lengths])


def prefix_labels(values: pl.Series, length: int) -> pl.Series:
    """The first `length` characters and a star where something was cut."""
    cut = values.str.len_chars() > length
    return pl.select(pl.when(cut).then(values.str.slice(0, length) + ANY).otherwise(values)).to_series()


def groups(values: pl.Series, parents: Sequence[Mapping[str, str]]) -> Hierarchy:
    """Named groups (stent model -> maker -> ...): each mapping goes from the value to its group at that level."""
    leaves = as_text(distinct(values))
    for number, mapping in enumerate(parents, start=1):
        missing = leaves.drop_nulls().filter(~leaves.drop_nulls().is_in(list(mapping))).len()
        if missing:
            raise HierarchyIncomplete(f"level {number} of column {values.name} misses {missing} of its distinct values")
    return build(values, [partial(group_labels, parents=mapping) for mapping in parents])


def group_labels(values: pl.Series, parents: Mapping[str, str]) -> pl.Series:
    """The group each value belongs to; NULL stays NULL."""
    return as_text(values).replace_strict(parents, default=None, return_dtype=pl.String)


def code_tree(values: pl.Series, parents: Mapping[str, str] | None = None) -> Hierarchy:
    """Codes and their ancestors: `parents` as given, else ICD-10 by structure (E11.65, E11.6, E11, E10-E19, E)."""
    leaves = as_text(distinct(values))
    codes = leaves.drop_nulls().to_list()
    tree = hierarchy_code.icd10_parents(codes, values.name) if parents is None else parents
    levels = hierarchy_code.generations(codes, tree, values.name)
    nulls = [None] * leaves.null_count()  # sorted first
    found = [pl.Series(values.name, nulls + level, dtype=pl.String) for level in levels]
    if found[-1].n_unique() > 1 or len(found) == 1:
        found.append(pl.repeat(ANY, len(leaves), dtype=pl.String, eager=True).alias(values.name))
    return Hierarchy(values.name, tuple(found))


def suppress_only(values: pl.Series) -> Hierarchy:
    """The value or nothing."""
    return build(values, [])


def from_csv(path: Path, column: str, *, delimiter: str = ";") -> Hierarchy:
    """ARX-style file: one leaf per line, leaf first, then its label at each level."""
    rows = read_rows(path, delimiter)
    widths = {len(row) for row in rows}
    if len(widths) != 1:
        raise InputInvalid(f"hierarchy {path.name}: lines of {sorted(widths)} levels, asked is one number of levels")
    columns = zip(*rows, strict=True)
    return Hierarchy(column, tuple(pl.Series(column, labels, dtype=pl.String) for labels in columns))


def read_rows(path: Path, delimiter: str) -> list[list[str]]:
    """The lines of a hierarchy file that hold anything."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return [row for row in csv.reader(file, delimiter=delimiter) if row]
    except UnicodeDecodeError as error:
        raise InputInvalid(f"hierarchy {path.name} is not UTF-8 text") from error


def from_file(path: Path, values: pl.Series) -> Hierarchy:
    """The hierarchy of a column from its file: levels leaf first (ARX style), or columns `code` and `parent`."""
    for delimiter in (",", ";"):
        rows = read_rows(path, delimiter)
        if rows and hierarchy_code.is_parent_file(rows[0]):
            return code_tree(values, hierarchy_code.read_parents(path, delimiter))
    return from_csv(path, values.name)


def find_csv(folder: Path, column: str) -> Path | None:
    """`<column>.csv` or the one `*_hierarchy_<column>.csv` in `folder`; None where there is none.

    Raises ArgumentInvalid for a folder that is not there: hierarchies of our own would take the place of its files.
    """
    if not folder.is_dir():
        raise ArgumentInvalid(f"folder {folder} of hierarchies is not there")
    exact = folder / f"{column}.csv"
    if exact.is_file():
        return exact
    found = [path for path in sorted(folder.glob("*.csv")) if path.name.endswith(f"_hierarchy_{column}.csv")]
    if len(found) > 1:
        raise InputInvalid(f"{len(found)} hierarchy files fit column {column}, asked is one")
    return found[0] if found else None


CODE = r"^[A-Z]\d[0-9A-Z](\.[0-9A-Z]{1,4})?$"  # ICD-10 and its kin
KINDS = {  # what a text looks like, first match
    "empty cells": r"^\s*$",
    "whole numbers": r"^[+-]?\d+$",
    "decimal numbers": r"^[+-]?\d*\.\d+([eE][+-]?\d+)?$",
    "dates": r"^\d{4}-\d{2}(-\d{2})?([T ].*)?$",
    "codes": r"^[A-Z0-9][A-Z0-9.\-]*\d[A-Z0-9.\-]*$",
    "text": "",
}
MONTH = r"^\d{4}-\d{2}(-\d{2})?$"


def automatic(values: pl.Series, *, top: float | None = None) -> Hierarchy:
    """A ladder that fits the column's type; `top`: the age from which on values are one group.

    Whole numbers 5/10/20/40, other numbers by their range, dates month/quarter/year, ICD-10 codes by their tree, other
    text the value or nothing.
    """
    if values.dtype.is_integer() and not values.dtype.is_nested():
        return interval(values, integer_widths(values), top=top)
    if values.dtype.is_float():
        return interval(values, float_widths(values), top=top)
    if values.dtype in (pl.Date, pl.Datetime):
        return date(values)
    if values.dtype == pl.String:
        return automatic_text(values)
    return suppress_only(values)


def integer_widths(values: pl.Series) -> tuple[int, ...]:
    """5/10/20/40 for what reads like ages; a ladder from a fiftieth of the range for wider numbers."""
    span = spread(values)
    if span <= 130:
        return AGE_WIDTHS
    unit = 10 ** max(int(np.log10(span / 50)), 0)
    return tuple(unit * factor for factor in (1, 5, 10, 20, 40))


def float_widths(values: pl.Series) -> tuple[float, ...]:
    """Five widths, from about a fiftieth of the range, round in decimal; values closer than 1e-30 are one."""
    span = spread(values)
    unit = float(f"1e{max(int(np.floor(np.log10(span / 20))), FINEST)}") if span > 0 else 1.0
    return tuple(float(unit * factor) for factor in (1, 2, 4, 8, 16))


def spread(values: pl.Series) -> float:
    """Largest minus smallest value; 0 where there is none."""
    present = distinct(values).drop_nulls().cast(pl.Float64).to_numpy()
    return float(np.ptp(present)) if len(present) else 0.0


def automatic_text(values: pl.Series) -> Hierarchy:
    """Months as dates, codes and equal-length numbers by prefix, anything else the value or nothing."""
    present = distinct(values).drop_nulls()
    if len(present) == 0:
        return suppress_only(values)
    if present.str.contains(MONTH).all():
        return date(values)
    if present.str.contains(CODE).all():
        return code_tree(values)
    lengths = present.str.len_chars().unique()
    if len(lengths) == 1 and present.str.contains(r"^\d+$").all() and lengths[0] > 1:
        return prefix(values, tuple(range(int(lengths[0]) - 1, 0, -1)))
    return suppress_only(values)
