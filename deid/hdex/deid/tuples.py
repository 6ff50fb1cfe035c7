"""A table as its distinct tuples of quasi-identifiers: all that an engine ever looks at.

One scan: every column becomes leaf numbers of its hierarchy, the leaf numbers one packed 64-bit key, equal keys one
tuple with a weight. A class of any generalisation is a set of tuples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hdex.deid.diversity import Codes, Model, Sensitive, encode_sensitive, unprotected
from hdex.deid.errors import ArgumentInvalid, InputInvalid, RiskTooHigh
from hdex.deid.hierarchy import Hierarchy, as_text
from hdex.deid.numbering import distinct

MOST_QUASI = 64  # an outsider who knows more than that about a patient knows the patient
Node = tuple[int, ...]
Losses = NDArray[np.float64]
Mask = NDArray[np.bool_]
Keys = NDArray[np.signedinteger[Any]]


@dataclass(frozen=True, slots=True)
class Unit:
    """One sensitive column over the distinct (tuple, value) pairs, by tuple."""

    model: Model
    tuples: Codes
    sensitive: Sensitive
    weights: Codes


@dataclass(frozen=True, slots=True)
class Table:
    """Distinct tuples of the quasi-identifiers. Lists hold one entry per column, then one per level."""

    ladders: list[Hierarchy]
    leaves: list[Codes]  # leaf number of every tuple
    codes: list[list[Codes]]  # group of every tuple
    losses: list[list[Losses]]  # weighted loss of every tuple
    rows: Codes  # rows of every tuple
    numbers: Codes  # tuple of every row
    people: tuple[Codes, Codes] | None  # (tuple, patient) pairs by tuple, where a patient has several rows
    units: list[Unit]
    total: int  # rows
    leaf_codes: list[Codes]  # (levels, leaves): group of every leaf of the ladder
    leaf_losses: list[Losses]  # (levels, leaves), weighted

    @property
    def heights(self) -> Node:
        """Levels of every column."""
        return tuple(len(levels) for levels in self.codes)


def check_arguments(
    frame: pl.DataFrame, hierarchies: Mapping[str, Hierarchy], *, k: int, suppression: float, patient: str | None
) -> None:
    """Raise ArgumentInvalid or InputInvalid for what no search can be made over, RiskTooHigh for a table below k."""
    missing = sorted({*hierarchies, *([patient] if patient else [])} - set(frame.columns))
    if missing:
        raise ArgumentInvalid(f"columns {', '.join(missing)} are not in the table")
    if not hierarchies:
        raise ArgumentInvalid("no quasi-identifier is named")
    require_few_columns(len(hierarchies))
    if frame.height == 0:
        raise InputInvalid("the table has 0 rows")
    if k < 1:
        raise ArgumentInvalid(f"k is {k}, asked is 1 or more")
    if not 0.0 <= suppression <= 1.0:
        raise ArgumentInvalid(f"suppression is {suppression:g}, asked is a share from 0 to 1")
    people = frame.height if patient is None else frame[patient].n_unique()
    if people < k:
        raise RiskTooHigh("k", found=people, asked=k, because="the whole table has no more patients than that")


def require_few_columns(count: int) -> None:
    """Raise ArgumentInvalid for more quasi-identifiers than anybody can know."""
    if count > MOST_QUASI:
        advice = "name the columns an outsider can know and drop or suppress the rest"
        raise ArgumentInvalid(f"{count} quasi-identifiers, asked are up to {MOST_QUASI}: {advice}")


def tabulate(
    frame: pl.DataFrame,
    hierarchies: Mapping[str, Hierarchy],
    *,
    patient: str | None,
    models: Sequence[Model],
    weights: Mapping[str, float] | None,
) -> Table:
    """Count the distinct tuples once and translate them into codes and losses per column and level."""
    share = column_weights(list(hierarchies), weights)
    ladders, found = [], []
    for name, given in hierarchies.items():
        ladder, leaf_numbers = encoded(frame[name], given)
        ladders.append(ladder)
        found.append(leaf_numbers)
    numbers, first = packed(found)
    leaves = [each[first] for each in found]
    leaf_codes = [np.stack([one.codes(level) for level in range(one.height)]) for one in ladders]
    leaf_losses = [generalised(codes) * share[one.column] for codes, one in zip(leaf_codes, ladders, strict=True)]
    return Table(
        ladders=ladders,
        leaves=leaves,
        codes=[list(each[:, leaf]) for each, leaf in zip(leaf_codes, leaves, strict=True)],
        losses=[list(each[:, leaf]) for each, leaf in zip(leaf_losses, leaves, strict=True)],
        rows=np.bincount(numbers, minlength=len(first)).astype(np.int64),
        numbers=numbers,
        people=patient_pairs(numbers, frame[patient]) if patient else None,
        units=[sensitive_unit(model, numbers, frame) for model in models],
        total=frame.height,
        leaf_codes=leaf_codes,
        leaf_losses=leaf_losses,
    )


def generalised(codes: Codes) -> Losses:
    """ARX's Loss of every leaf at every level: (leaves below its label - 1) / (all leaves - 1)."""
    below = np.stack([np.bincount(level)[level] for level in codes])
    losses: Losses = (below - 1) / max(codes.shape[1] - 1, 1)
    return losses


def column_weights(quasi: Sequence[str], weights: Mapping[str, float] | None) -> dict[str, float]:
    """Weights that sum to 1; equal where none are given."""
    given = {name: (weights or {}).get(name, 1.0) for name in quasi}
    total = sum(given.values())
    if total <= 0 or min(given.values()) < 0:
        raise ArgumentInvalid("weights of quasi-identifiers are shares of a sum above 0")
    return {name: weight / total for name, weight in given.items()}


def encoded(values: pl.Series, ladder: Hierarchy) -> tuple[Hierarchy, Codes]:
    """The ladder (made to hold NULL where the column does) under the column's own name, and the leaf of every row."""
    numbers, first = dense(values)
    each = without_nan(values.gather(first))
    named = Hierarchy(values.name, ladder.levels) if ladder.column != values.name else ladder
    ready = named.with_null() if each.null_count() else named
    return ready, ready.encode(each).astype(np.int64)[numbers]


def without_nan(values: pl.Series) -> pl.Series:
    """`values` with NaN as NULL, so that both are one category."""
    return values.fill_nan(None) if values.dtype.is_float() else values


def dense(values: pl.Series) -> tuple[Codes, Codes]:
    """Number from 0 of the value every row holds, as text, and one row of each value. NULL and NaN are one value."""
    try:
        text = as_text(values)
    except pl.exceptions.PolarsError as error:
        raise InputInvalid(f"column {values.name} holds {values.dtype}, asked are plain values") from error
    marks = text.cast(pl.Categorical).to_physical().cast(pl.Int64).fill_null(-1).to_numpy() + 1
    return numbered(marks, int(marks.max(initial=0)) + 1)


def numbered(keys: Keys, size: int) -> tuple[Codes, Codes]:
    """Number from 0 without gaps of every key (each below `size`), and one position of each number."""
    if size <= 4 * len(keys) + 4096:
        place = np.full(size, -1, dtype=np.int64)
        place[keys] = np.arange(len(keys))
        there = place >= 0
        return (np.cumsum(there) - 1)[keys], place[there]
    order = np.argsort(keys)
    ordered = keys[order]
    is_first = np.empty(len(keys), dtype=np.bool_)
    is_first[:1] = True
    np.not_equal(ordered[1:], ordered[:-1], out=is_first[1:])
    numbers = np.empty(len(keys), dtype=np.int64)
    numbers[order] = np.cumsum(is_first) - 1
    return numbers, order[is_first]


def packed(columns: Sequence[Keys]) -> tuple[Codes, Codes]:
    """Number of the combination every position holds over all `columns`, and one position of each."""
    key = np.zeros(len(columns[0]), dtype=np.int64)
    size = 1
    for codes in columns:
        width = int(codes.max(initial=0)) + 1
        if width == 1:
            continue
        if size > (1 << 62) // width:
            key, first = numbered(key, size)
            size = len(first)
        key = key * width
        key += codes
        size *= width
    return numbered(key, size)


def patient_pairs(numbers: Codes, patients: pl.Series) -> tuple[Codes, Codes] | None:
    """Distinct (tuple, patient) pairs; None where every patient has one row."""
    if patients.null_count():
        raise InputInvalid(f"{patients.null_count()} rows name no patient in column {patients.name}")
    ids, first = dense(patients)
    if len(first) == len(ids):
        return None
    pairs = distinct(numbers * len(first) + ids)
    return pairs // len(first), pairs % len(first)


def sensitive_unit(model: Model, numbers: Codes, frame: pl.DataFrame) -> Unit:
    """The sensitive column of `model` over distinct (tuple, value) pairs."""
    if model.sensitive not in frame.columns:
        raise ArgumentInvalid(f"sensitive column {model.sensitive} is not in the table")
    whole = encode_sensitive(frame[model.sensitive])
    values = len(whole.shares)
    keys, counts = np.unique(numbers * values + whole.codes, return_counts=True)
    return Unit(model, keys // values, replace(whole, codes=keys % values), counts.astype(np.int64))


def classes_of(table: Table, node: Node) -> tuple[Codes, int]:
    """Class number of every tuple at `node`, and how many classes there are."""
    numbers, first = packed([levels[level] for levels, level in zip(table.codes, node, strict=True)])
    return numbers, len(first)


def class_sizes(table: Table, classes: Codes, count: int) -> Codes:
    """Patients in every class."""
    if table.people is None:
        return np.bincount(classes, weights=table.rows, minlength=count).astype(np.int64)
    tuples, ids = table.people
    width = int(ids.max()) + 1
    return np.bincount(distinct(classes[tuples] * width + ids) // width, minlength=count)


def weak_classes(table: Table, classes: Codes, count: int, k: int) -> Mask:
    """Which of `count` classes hold fewer than k patients or break a model."""
    weak = class_sizes(table, classes, count) < k
    for unit in table.units:
        weak |= unprotected(unit.model, classes[unit.tuples], unit.sensitive, unit.weights, count)
    return weak


def part_of(table: Table, keep: Codes) -> Table:
    """The same table with the tuples `keep` only (ascending), renumbered from 0; `total` stays the whole."""
    place = np.full(len(table.rows), -1, dtype=np.int64)
    place[keep] = np.arange(len(keep))
    people = None
    if table.people is not None:
        inside = place[table.people[0]] >= 0
        people = (place[table.people[0][inside]], table.people[1][inside])
    units = []
    for unit in table.units:
        inside = place[unit.tuples] >= 0
        sensitive = replace(unit.sensitive, codes=unit.sensitive.codes[inside])
        units.append(Unit(unit.model, place[unit.tuples[inside]], sensitive, unit.weights[inside]))
    return Table(
        ladders=table.ladders,
        leaves=[leaves[keep] for leaves in table.leaves],
        codes=[[codes[keep] for codes in levels] for levels in table.codes],
        losses=[[losses[keep] for losses in levels] for levels in table.losses],
        rows=table.rows[keep],
        numbers=np.zeros(0, dtype=np.int64),
        people=people,
        units=units,
        total=table.total,
        leaf_codes=table.leaf_codes,
        leaf_losses=table.leaf_losses,
    )
