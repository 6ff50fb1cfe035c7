"""Optimal full-domain generalisation with suppression: the node of the lattice with the least loss.

A node gives every column one level. Its loss is its generalisation (additive over columns, known from marginals) plus
a gap: what suppression adds, the sum over suppressed rows of (1 - the row's own loss) / rows. Classes only merge on the
way up, so a row suppressed at a node is suppressed at every finer node, where its own loss is no higher: the gap found
at one node is a lower bound for the whole box below it. One evaluation cuts a box of the lattice; the search takes the
coarsest node that could still win (its box is the largest) and ends when no bound is below the best loss found. The
result is the optimum, not an approximation.

A node is counted on the distinct tuples of the finest table, as one packed integer key per tuple.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hdex.deid.diversity import Codes, Diversity, Sensitive, encode_sensitive, unprotected
from hdex.deid.errors import ArgumentInvalid, InputInvalid, RiskTooHigh
from hdex.deid.hierarchy import Hierarchy

MOST_NODES = 2_000_000
MOST_COLUMNS = 12
TOLERANCE = 1e-12  # two losses closer than this are equal
Node = tuple[int, ...]
Losses = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LatticeResult:
    """The released table and what it cost."""

    frame: pl.DataFrame  # kept rows in input order, quasi-identifiers as labels of their level
    transformation: dict[str, int]  # column -> level
    loss: float  # ARX's Loss, arithmetic mean over rows and quasi-identifiers, 0-1
    suppressed: int  # rows left out
    classes: int
    nodes_checked: int
    kept: pl.Series  # one Boolean per input row


@dataclass(frozen=True, slots=True)
class Unit:
    """One sensitive column over the distinct (tuple, value) pairs."""

    model: Diversity
    tuples: Codes
    sensitive: Sensitive
    weights: Codes


@dataclass(frozen=True, slots=True)
class Table:
    """Distinct tuples of the quasi-identifiers: all the search ever looks at."""

    tuples: pl.DataFrame  # distinct tuples
    codes: list[list[Codes]]  # [column][level] -> group of every tuple
    losses: list[list[Losses]]  # [column][level] -> weighted loss of every tuple
    rows: Codes  # rows of every tuple
    people: tuple[Codes, Codes] | None  # (tuple, patient) pairs where a patient has several rows
    units: list[Unit]
    total: int  # rows


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one node does to the table."""

    gap: float  # what suppression adds to the loss
    bound: float  # the part of the gap that every finer node has too
    suppressed: int
    inevitable: int  # rows that every finer node suppresses too
    keep: NDArray[np.bool_]  # per tuple
    classes: int
    average: float  # mean over kept rows of 1 / patients of the class


@dataclass(slots=True)
class Search:
    """State of the branch and bound over the whole lattice, as arrays with one axis per column."""

    table: Table
    k: int
    allowed: int  # rows that may be suppressed
    floor: Node
    marginal: Losses
    gap: Losses  # lower bound found so far
    heights: Losses  # sum of levels of every node
    is_open: NDArray[np.bool_]  # not evaluated, not known to be infeasible
    max_average: float = 1.0
    best: Node | None = None
    best_loss: float = np.inf
    checked: int = 0


def anonymize(
    frame: pl.DataFrame,
    hierarchies: Mapping[str, Hierarchy],
    *,
    k: int,
    patient: str | None = None,
    suppression: float = 0.05,
    models: Sequence[Diversity] = (),
    weights: Mapping[str, float] | None = None,
    floors: Mapping[str, int] | None = None,
    max_average: float = 1.0,
) -> LatticeResult:
    """Return the table of least loss in which every class holds k patients and satisfies `models`.

    hierarchies: one per quasi-identifier. patient: column whose distinct values k counts; None: every row is a patient.
    suppression: share of rows that may be left out. weights: of columns in the loss. floors: lowest level per column.
    max_average: ceiling of the mean over released rows of 1 / patients of the row's class.
    Raises RiskTooHigh when not even the top of the lattice reaches k within the suppression limit.
    """
    check_arguments(frame, hierarchies, k=k, suppression=suppression, patient=patient)
    table = tabulate(frame, hierarchies, patient=patient, models=models, weights=weights)
    require_patients(frame, k, patient)
    allowed = int(suppression * table.total + 1e-9)
    search = start(table, k=k, allowed=allowed, floor=tuple((floors or {}).get(name, 0) for name in hierarchies))
    search.max_average = max_average
    run(search)
    if search.best is None:
        top = evaluate(table, tuple(n - 1 for n in search.marginal.shape), k)
        if top.suppressed <= allowed:
            raise RiskTooHigh("average risk", found=top.average, asked=max_average)
        raise RiskTooHigh("share of suppressed rows", found=top.suppressed / table.total, asked=suppression)
    return released(frame, hierarchies, search)


def check_arguments(
    frame: pl.DataFrame, hierarchies: Mapping[str, Hierarchy], *, k: int, suppression: float, patient: str | None
) -> None:
    """Raise ArgumentInvalid or InputInvalid for what no search can be made over."""
    missing = sorted({*hierarchies, *([patient] if patient else [])} - set(frame.columns))
    if missing:
        raise ArgumentInvalid(f"columns {', '.join(missing)} are not in the table")
    if not hierarchies:
        raise ArgumentInvalid("no quasi-identifier is named")
    if frame.height == 0:
        raise InputInvalid("the table has 0 rows")
    if k < 1:
        raise ArgumentInvalid(f"k is {k}, asked is 1 or more")
    if not 0.0 <= suppression <= 1.0:
        raise ArgumentInvalid(f"suppression is {suppression:g}, asked is a share from 0 to 1")
    nodes = int(np.prod([float(h.height) for h in hierarchies.values()]))
    if len(hierarchies) > MOST_COLUMNS or nodes > MOST_NODES:
        found = f"{len(hierarchies)} quasi-identifiers make {nodes} nodes"
        raise ArgumentInvalid(f"{found}; the exact engine takes up to {MOST_COLUMNS} and {MOST_NODES}")


def require_patients(frame: pl.DataFrame, k: int, patient: str | None) -> None:
    """Raise RiskTooHigh when the whole table holds fewer than k patients."""
    people = frame.height if patient is None else frame[patient].n_unique()
    if people < k:
        raise RiskTooHigh("k", found=people, asked=k)


def clean(frame: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """`columns` with NaN as NULL, so that both are one category."""
    return frame.select(pl.col(c).fill_nan(None) if frame[c].dtype.is_float() else pl.col(c) for c in columns)


def tabulate(
    frame: pl.DataFrame,
    hierarchies: Mapping[str, Hierarchy],
    *,
    patient: str | None,
    models: Sequence[Diversity],
    weights: Mapping[str, float] | None,
) -> Table:
    """Count the distinct tuples once and translate them into codes and losses per column and level."""
    quasi = list(hierarchies)
    counted = clean(frame, quasi).group_by(quasi, maintain_order=True).agg(pl.len().alias("\0rows"))
    tuples = counted.select(quasi)
    share = column_weights(quasi, weights)
    codes: list[list[Codes]] = []
    losses: list[list[Losses]] = []
    for name in quasi:
        ladder = hierarchies[name].with_null() if tuples[name].null_count() else hierarchies[name]
        leaves = ladder.encode(tuples[name])
        codes.append([ladder.codes(level)[leaves] for level in range(ladder.height)])
        losses.append([ladder.losses(level)[leaves] * share[name] for level in range(ladder.height)])
    numbers = tuple_numbers(frame, tuples) if models or patient else np.zeros(0, dtype=np.int64)
    rows = counted["\0rows"].to_numpy().astype(np.int64)
    people = patient_pairs(numbers, frame[patient]) if patient else None
    units = [sensitive_unit(model, numbers, frame) for model in models]
    return Table(tuples, codes, losses, rows, people, units, frame.height)


def column_weights(quasi: Sequence[str], weights: Mapping[str, float] | None) -> dict[str, float]:
    """Weights that sum to 1; equal where none are given."""
    given = {name: (weights or {}).get(name, 1.0) for name in quasi}
    total = sum(given.values())
    if total <= 0 or min(given.values()) < 0:
        raise ArgumentInvalid("weights of quasi-identifiers are shares of a sum above 0")
    return {name: weight / total for name, weight in given.items()}


def tuple_numbers(frame: pl.DataFrame, tuples: pl.DataFrame) -> Codes:
    """Number of the distinct tuple every row carries."""
    numbered = tuples.with_row_index("\0number")
    joined = clean(frame, tuples.columns).join(
        numbered, on=tuples.columns, how="left", nulls_equal=True, maintain_order="left"
    )
    return joined["\0number"].to_numpy().astype(np.int64)


def patient_pairs(numbers: Codes, patients: pl.Series) -> tuple[Codes, Codes] | None:
    """Distinct (tuple, patient) pairs; None where every patient has one row."""
    if patients.null_count():
        raise InputInvalid(f"{patients.null_count()} rows name no patient in column {patients.name}")
    ids = patients.rank("dense").to_numpy().astype(np.int64) - 1
    count = int(ids.max()) + 1
    if count == len(ids):
        return None
    pairs = np.unique(numbers * count + ids)
    return pairs // count, pairs % count


def sensitive_unit(model: Diversity, numbers: Codes, frame: pl.DataFrame) -> Unit:
    """The sensitive column of `model` over distinct (tuple, value) pairs."""
    if model.sensitive not in frame.columns:
        raise ArgumentInvalid(f"sensitive column {model.sensitive} is not in the table")
    whole = encode_sensitive(frame[model.sensitive])
    values = len(whole.shares)
    keys, counts = np.unique(numbers * values + whole.codes, return_counts=True)
    return Unit(
        model, keys // values, Sensitive(keys % values, whole.shares, whole.is_ordered), counts.astype(np.int64)
    )


def start(table: Table, *, k: int, allowed: int, floor: Node) -> Search:
    """Lay the lattice out: the additive part of every node's loss, nothing known about suppression yet."""
    shape = tuple(len(levels) for levels in table.codes)
    marginal = np.zeros(shape)
    for axis, levels in enumerate(table.losses):
        means = np.array([float(loss @ table.rows) / table.total for loss in levels])
        marginal += means.reshape([-1 if i == axis else 1 for i in range(len(shape))])
    is_open = np.zeros(shape, dtype=np.bool_)
    is_open[tuple(slice(low, None) for low in floor)] = True
    heights = np.indices(shape).sum(axis=0).astype(np.float64)
    return Search(table, k, allowed, floor, marginal, np.zeros(shape), heights, is_open)


def run(search: Search) -> None:
    """Evaluate nodes until no open node can beat the best."""
    while (node := choose(search)) is not None:
        result = evaluate(search.table, node, search.k)
        search.checked += 1
        box = tuple(slice(None, level + 1) for level in node)
        np.maximum(search.gap[box], result.bound, out=search.gap[box])
        search.is_open[node] = False
        if result.inevitable > search.allowed:
            search.is_open[box] = False
        loss = float(search.marginal[node]) + result.gap
        fits = result.suppressed <= search.allowed and result.average <= search.max_average + TOLERANCE
        if fits and loss < search.best_loss - TOLERANCE:
            search.best, search.best_loss = node, loss


def choose(search: Search) -> Node | None:
    """The coarsest open node that could still win, ties by bound; None when the best is proven."""
    bounds = search.marginal + search.gap
    could_win = search.is_open & (bounds < search.best_loss - TOLERANCE)
    if not could_win.any():
        return None
    index = int(np.where(could_win, search.heights - bounds / 2, -np.inf).argmax())
    return tuple(int(i) for i in np.unravel_index(index, bounds.shape))


def classes_of(table: Table, node: Node) -> tuple[Codes, int]:
    """Class number of every tuple at `node`, and how many classes there are."""
    key = np.zeros(len(table.rows), dtype=np.int64)
    size = 1
    for levels, level in zip(table.codes, node, strict=True):
        codes = levels[level]
        width = int(codes.max()) + 1
        if size > (1 << 62) // width:
            key = np.unique(key, return_inverse=True)[1].astype(np.int64)
            size = int(key.max()) + 1
        key = key * width + codes
        size *= width
    numbers = np.unique(key, return_inverse=True)[1].astype(np.int64)
    return numbers, int(numbers.max()) + 1


def class_sizes(table: Table, classes: Codes, count: int) -> Codes:
    """Patients in every class."""
    if table.people is None:
        return np.bincount(classes, weights=table.rows, minlength=count).astype(np.int64)
    tuples, ids = table.people
    width = int(ids.max()) + 1
    return np.bincount(np.unique(classes[tuples] * width + ids) // width, minlength=count)


def evaluate(table: Table, node: Node, k: int) -> Evaluation:
    """Suppress what violates k or a model at `node` and say what it costs."""
    classes, count = classes_of(table, node)
    sizes = class_sizes(table, classes, count)
    firm = sizes < k
    weak = firm.copy()
    for unit in table.units:
        bad = unprotected(unit.model, classes[unit.tuples], unit.sensitive, unit.weights, count)
        weak |= bad
        if unit.model.is_monotone:
            firm |= bad
    own = 1.0 - sum(levels[level] for levels, level in zip(table.losses, node, strict=True))
    cost = own * table.rows / table.total
    out, inevitable = weak[classes], firm[classes]
    return Evaluation(
        gap=float(cost[out].sum()),
        bound=float(cost[inevitable].sum()),
        suppressed=int(table.rows[out].sum()),
        inevitable=int(table.rows[inevitable].sum()),
        keep=~out,
        classes=int((~weak).sum()),
        average=float((table.rows / sizes[classes])[~out].sum() / max(table.rows[~out].sum(), 1)),
    )


def finest(search: Search) -> Node:
    """The best node with every level lowered that merges nothing in this table."""
    node = list(search.best or search.floor)
    for column, codes in enumerate(search.table.codes):
        groups = [len(np.unique(level)) for level in codes]
        while node[column] > search.floor[column] and groups[node[column]] == groups[node[column] - 1]:
            node[column] -= 1
    return tuple(node)


def released(frame: pl.DataFrame, hierarchies: Mapping[str, Hierarchy], search: Search) -> LatticeResult:
    """Apply the best node: labels in place of values, suppressed rows left out."""
    node = finest(search)
    result = evaluate(search.table, node, search.k)
    keep = pl.Series("kept", result.keep).gather(tuple_numbers(frame, search.table.tuples))
    labelled = [
        (ladder.with_null() if frame[name].has_nulls() else ladder).labels(clean(frame, [name])[name], level)
        for (name, ladder), level in zip(hierarchies.items(), node, strict=True)
    ]
    return LatticeResult(
        frame=frame.with_columns(labelled).filter(keep),
        transformation=dict(zip(hierarchies, node, strict=True)),
        loss=search.best_loss,
        suppressed=result.suppressed,
        classes=result.classes,
        nodes_checked=search.checked,
        kept=keep,
    )
