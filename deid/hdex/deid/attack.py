"""Attacks run against our own output before anybody else can.

Linkage: somebody who knows some columns of a target exactly looks for the row that fits. On a release he applies the
published generalisation to what he knows and keeps every row whose labels his target might carry; among these he picks
one. Homogeneity: a class whose members share one sensitive value tells it without telling who is who.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import polars as pl

from hdex.deid.attack_linkage import bound_of
from hdex.deid.errors import ArgumentInvalid, RiskTooHigh
from hdex.deid.hierarchy import DateStep, as_dates, as_text, date_labels, label_step

VALUE, LABEL, TARGET, ROW = "\0value", "\0label", "\0target", "\0row"


@dataclass(frozen=True, slots=True)
class AttackResult:
    """What one attacker reached."""

    known: tuple[str, ...]  # columns the attacker used
    targets: int
    reidentified: int  # targets whose row he picked
    singled_out: int  # targets for which exactly one row was left, and it was theirs
    rate: float  # reidentified / targets
    by_chance: float  # share of a blind guess: 1 / rows

    def to_dict(self) -> dict[str, object]:
        """As JSON values."""
        return {**asdict(self), "known": list(self.known)}


@dataclass(frozen=True, slots=True)
class HomogeneityResult:
    """How much a class gives away about a sensitive column."""

    sensitive: str
    rows: int
    exposed: int  # rows of classes with a single sensitive value
    rate: float
    base_rate: float  # share of the most frequent value: what a guess without any attack gets right


def linkage(
    original: pl.DataFrame,
    released: pl.DataFrame,
    *,
    known: Sequence[str],
    truth: Sequence[int] | pl.Series | None = None,
    views: Mapping[str, pl.DataFrame] | None = None,
    shifted: Mapping[str, int] | None = None,
    targets: int = 1000,
    seed: int = 0,
) -> AttackResult:
    """Try to find `targets` people of `original` in `released` by their `known` values.

    truth: for every released row the number of the original row it came from; None: the same rows in the same order.
    views: per column all (value, label) pairs an original value may read as; a column without one matches exactly.
    shifted: date columns released as days that moved by an unknown offset of at most so many days.
    Known columns that were not released help nobody and are passed over. Targets: at most the rows of `original`.
    """
    missing = sorted(set(known) - set(original.columns))
    if missing:
        raise ArgumentInvalid(f"columns {', '.join(missing)} are not in the original table")
    used = [name for name in known if name in released.columns]
    random = np.random.default_rng(seed)
    chosen = np.sort(random.permutation(original.height)[: min(targets, original.height)])
    rows = np.arange(released.height) if truth is None else np.asarray(truth, dtype=np.int64)
    aims = original.select(pl.int_range(pl.len()).alias(TARGET), *used)[chosen.tolist()]
    told = released.select(pl.Series(ROW, rows), *used)
    moved = {name: days for name, days in (shifted or {}).items() if name in used}
    found = candidates(aims, told, [name for name in used if name not in moved], views or {})
    for name, days in moved.items():
        found = within_reach(found, aims, told, column=name, days=days)
    hits, single = picked(found, random)
    count = len(chosen)
    return AttackResult(
        known=tuple(used),
        targets=count,
        reidentified=hits,
        singled_out=single,
        rate=hits / count if count else 0.0,
        by_chance=1 / original.height if original.height else 0.0,
    )


def require_withstood(result: AttackResult, *, k: int, preset: str = "") -> None:
    """Raise RiskTooHigh when an attacker found more than 1/k of his targets and three standard errors."""
    asked = bound_of(k, result.targets)
    if result.rate > asked + 1e-12:
        raise RiskTooHigh("share of targets the attacker finds", found=result.rate, asked=asked, preset=preset)


def candidates(
    aims: pl.DataFrame, released: pl.DataFrame, known: Sequence[str], views: Mapping[str, pl.DataFrame]
) -> pl.DataFrame:
    """(target, number of fitting rows, numbers of these rows), targets without any left out."""
    if not known:
        everyone = released[ROW].to_list()
        return aims.select(TARGET).with_columns(pl.lit(everyone, dtype=pl.List(pl.Int64)).alias(ROW))
    classes = released.select(*(as_text(released[name]).alias(name) for name in known), ROW)
    grouped = classes.group_by(known, maintain_order=True).agg(pl.col(ROW))
    wanted = aims.select(*(as_text(aims[name]).alias(name) for name in known), TARGET)
    for name in known:
        if name in views:
            view = views[name].rename({VALUE: name})
            wanted = wanted.join(view, on=name, how="inner", nulls_equal=True).drop(name).rename({LABEL: name})
    joined = wanted.join(grouped, on=list(known), how="inner", nulls_equal=True)
    return joined.group_by(TARGET).agg(pl.col(ROW).explode()).sort(TARGET)


def within_reach(
    found: pl.DataFrame, aims: pl.DataFrame, released: pl.DataFrame, *, column: str, days: int
) -> pl.DataFrame:
    """Candidates whose released day a shift of at most `days` could have made of the target's."""
    pairs = found.explode(ROW).join(aims.select(TARGET, pl.col(column).alias(VALUE)), on=TARGET)
    pairs = pairs.join(released.select(ROW, pl.col(column).alias(LABEL)), on=ROW)
    gap = (as_dates(pairs[LABEL]).cast(pl.Int32) - as_dates(pairs[VALUE]).cast(pl.Int32)).abs()
    return pairs.filter(gap.is_null() | (gap <= days)).group_by(TARGET).agg(pl.col(ROW)).sort(TARGET)


def picked(found: pl.DataFrame, random: np.random.Generator) -> tuple[int, int]:
    """(targets whose row a fair draw among the fitting rows gives, targets singled out)."""
    if found.height == 0:
        return 0, 0
    sizes = found[ROW].list.len().to_numpy()
    is_there = found.select(pl.col(ROW).list.contains(pl.col(TARGET))).to_series().to_numpy()
    is_drawn = random.random(len(sizes)) < 1 / sizes
    return int((is_there & is_drawn).sum()), int((is_there & (sizes == 1)).sum())


def view(original: pl.Series, labels: pl.Series) -> pl.DataFrame:
    """All (value, label) pairs of a column without secret shift; the two series are row by row the same people."""
    return pl.DataFrame({VALUE: as_text(original), LABEL: as_text(labels)}).unique(maintain_order=True)


def shifted_view(original: pl.Series, labels: pl.Series, *, days: int) -> pl.DataFrame:
    """All (value, label) pairs of a date column whose dates moved by an unknown offset in +-days."""
    step = label_step(labels)
    if step is None:
        return view(original, labels)
    pairs = pl.DataFrame({VALUE: as_text(original), "d": as_dates(original)}).unique(maintain_order=True)
    reach = days + 31 if original.dtype == pl.String else days  # a month as text: any of its days
    offsets = range(-reach, reach + 1) if step == "day" else [*range(-reach, reach + 1, 14), reach]
    moved = [pairs.with_columns(pl.col("d").dt.offset_by(f"{offset}d")) for offset in offsets]
    read = [one.select(VALUE, day_labels(one["d"], step).alias(LABEL)) for one in moved]
    return pl.concat(read).unique(maintain_order=True)


def day_labels(dates: pl.Series, step: DateStep | Literal["day"]) -> pl.Series:
    """Dates as they read at `step`."""
    return dates.cast(pl.String) if step == "day" else date_labels(dates, step)


def views(
    original: pl.DataFrame, labelled: pl.DataFrame, columns: Sequence[str], *, dates: Sequence[str], shift_days: int
) -> dict[str, pl.DataFrame]:
    """How each known value may read in the release. labelled: all rows as released, before suppression and shuffle."""
    shared = [name for name in columns if name in labelled.columns]
    return {
        name: shifted_view(original[name], labelled[name], days=shift_days)
        if name in dates
        else view(original[name], labelled[name])
        for name in shared
    }


def homogeneity(released: pl.DataFrame, quasi: Sequence[str], sensitive: str) -> HomogeneityResult:
    """Count the rows whose class holds a single value of `sensitive`."""
    missing = sorted({*quasi, sensitive} - set(released.columns))
    if missing:
        raise ArgumentInvalid(f"columns {', '.join(missing)} are not in the released table")
    rows = released.height
    if rows == 0:
        return HomogeneityResult(sensitive, 0, 0, 0.0, 0.0)
    counted = released.with_columns(pl.col(sensitive).n_unique().over(list(quasi) or pl.lit(1)).alias(TARGET))
    exposed = int((counted[TARGET] == 1).sum())
    most = int(released[sensitive].value_counts()["count"].to_numpy().max())
    return HomogeneityResult(sensitive, rows, exposed, exposed / rows, most / rows)
