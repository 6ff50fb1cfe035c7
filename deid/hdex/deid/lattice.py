"""Optimal full-domain generalisation with suppression: the node of the lattice with the least loss.

A node gives every column one level. Its loss is its generalisation (additive over columns, known from marginals) plus
a gap: what suppression adds, the sum over suppressed rows of (1 - the row's own loss) / rows. Classes only merge on the
way up, so a row suppressed at a node is suppressed at every finer node, where its own loss is no higher: the gap found
at one node is a lower bound for the whole box below it. One evaluation cuts a box of the lattice; the search takes the
coarsest node that could still win (its box is the largest) and ends when no bound is below the best loss found. The
result is the optimum, not an approximation.

Beyond MOST_NODES nodes or MOST_COLUMNS columns, and where a budget of evaluations runs out, the answer is the best node
found, with the loss below which no node can be: its gap is told (hdex.deid.anytime searches what is too large to lay
out).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hdex.deid import anytime
from hdex.deid.diversity import Model
from hdex.deid.errors import RiskTooHigh
from hdex.deid.evaluation import (
    TOLERANCE,
    Found,
    Limits,
    Progress,
    Rollups,
    evaluate,
    finest,
    kept_at,
    marginals,
    silent,
    top_of,
)
from hdex.deid.hierarchy import Hierarchy
from hdex.deid.tuples import Losses, Node, Table, check_arguments, packed, tabulate, without_nan

MOST_NODES = 2_000_000
MOST_COLUMNS = 12
ANYTIME_NODES = 1_500  # evaluations where no budget is given and the lattice is too large to lay out
TELL_EVERY = 25  # evaluations between two reports of progress


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
    bound: float = 0.0  # no node of the lattice has a loss below this

    @property
    def gap(self) -> float:
        """How far the loss may be above the optimum; 0 when the optimum is proven."""
        return max(self.loss - self.bound, 0.0)


@dataclass(slots=True)
class Search:
    """State of the branch and bound over the whole lattice, as arrays with one axis per column."""

    table: Table
    rollups: Rollups
    limits: Limits
    marginal: Losses
    gap: Losses  # lower bound found so far
    heights: Losses  # sum of levels of every node
    is_open: NDArray[np.bool_]  # not evaluated, not known to be infeasible
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
    models: Sequence[Model] = (),
    weights: Mapping[str, float] | None = None,
    floors: Mapping[str, int] | None = None,
    max_average: float = 1.0,
    budget: int | None = None,
    progress: Progress | None = None,
) -> LatticeResult:
    """Return the table of least loss in which every class holds k patients and satisfies `models`.

    hierarchies: one per quasi-identifier. patient: column whose distinct values k counts; None: every row is a patient.
    suppression: share of rows that may be left out. weights: of columns in the loss. floors: lowest level per column.
    max_average: ceiling of the mean over released rows of 1 / patients of the row's class. budget: most nodes to
    evaluate; None: until the optimum is proven, or ANYTIME_NODES where the lattice is too large to lay out.
    Raises RiskTooHigh when not even the top of the lattice reaches k within the suppression limit.
    """
    check_arguments(frame, hierarchies, k=k, suppression=suppression, patient=patient)
    table = tabulate(frame, hierarchies, patient=patient, models=models, weights=weights)
    floor = tuple((floors or {}).get(name, 0) for name in hierarchies)
    limits = Limits(k, int(suppression * table.total + 1e-9), floor, max_average)
    return released(frame, table, limits, optimum(table, limits, budget=budget, progress=progress))


def optimum(table: Table, limits: Limits, *, budget: int | None = None, progress: Progress | None = None) -> Found:
    """Return the best node, its loss and what is proven; raises RiskTooHigh when no node fits."""
    if len(table.heights) > MOST_COLUMNS or math.prod(table.heights) > MOST_NODES:
        found = anytime.search(table, limits, budget=budget or ANYTIME_NODES, progress=progress or silent)
    else:
        found = run(start(table, limits), budget=budget or MOST_NODES, progress=progress or silent)
    if found.node is not None:
        return found
    top = evaluate(Rollups.over(table), top_of(table), limits.k)
    if top.suppressed <= limits.allowed:
        raise RiskTooHigh("average risk", found=top.average, asked=limits.max_average)
    share = "share of suppressed rows"
    raise RiskTooHigh(share, found=top.suppressed / table.total, asked=limits.allowed / table.total)


def start(table: Table, limits: Limits) -> Search:
    """Lay the lattice out: the additive part of every node's loss, nothing known about suppression yet."""
    shape = table.heights
    marginal = np.zeros(shape)
    for axis, means in enumerate(marginals(table)):
        marginal += np.array(means).reshape([-1 if i == axis else 1 for i in range(len(shape))])
    is_open = np.zeros(shape, dtype=np.bool_)
    is_open[tuple(slice(low, None) for low in limits.floor)] = True
    heights = np.zeros(shape)
    for levels in np.indices(shape, sparse=True):
        heights += levels
    return Search(table, Rollups.over(table), limits, marginal, np.zeros(shape), heights, is_open)


def run(search: Search, *, budget: int, progress: Progress) -> Found:
    """Evaluate nodes until no open node can beat the best, or the budget is spent once a node fits."""
    while (node := choose(search)) is not None:
        if search.checked >= budget and not fall_back(search):
            return Found(search.best, search.best_loss, proven(search), search.checked)
        visit(search, node)
        if search.checked % TELL_EVERY == 0:
            progress(search.checked, proven(search), search.best_loss)
    return Found(search.best, search.best_loss, search.best_loss, search.checked)


def visit(search: Search, node: Node) -> None:
    """Evaluate one node: it cuts the box below it and may be the best."""
    result = evaluate(search.rollups, node, search.limits.k)
    search.checked += 1
    box = tuple(slice(None, level + 1) for level in node)
    np.maximum(search.gap[box], result.bound, out=search.gap[box])
    search.is_open[node] = False
    if result.inevitable > search.limits.allowed:
        search.is_open[box] = False
    loss = float(search.marginal[node]) + result.gap
    if result.fits(search.limits) and loss < search.best_loss - TOLERANCE:
        search.best, search.best_loss = node, loss


def fall_back(search: Search) -> bool:
    """Visit the top when the budget is spent and nothing fits yet; False when there is nothing left to try."""
    top = top_of(search.table)
    if search.best is not None or not search.is_open[top]:
        return False
    visit(search, top)
    return True


def proven(search: Search) -> float:
    """The loss below which no node can be."""
    bounds = np.where(search.is_open, search.marginal + search.gap, np.inf)
    return min(float(bounds.min()), search.best_loss)


def choose(search: Search) -> Node | None:
    """The coarsest open node that could still win, ties by bound; None when the best is proven."""
    bounds = search.marginal + search.gap
    could_win = search.is_open & (bounds < search.best_loss - TOLERANCE)
    if not could_win.any():
        return None
    index = int(np.where(could_win, search.heights - bounds / 2, -np.inf).argmax())
    return tuple(int(i) for i in np.unravel_index(index, bounds.shape))


def released(frame: pl.DataFrame, table: Table, limits: Limits, found: Found) -> LatticeResult:
    """Apply the best node: labels in place of values, suppressed rows left out."""
    node = finest(table, found.node or top_of(table), limits.floor)
    kept_tuples = kept_at(table, node, limits.k)
    kept = pl.Series("kept", kept_tuples[table.numbers])
    frame = frame.filter(kept)
    rows = table.numbers[kept.to_numpy()]
    labelled = [
        without_nan(frame[ladder.column]) if level == 0 else ladder.levels[level].gather(leaves[rows])
        for ladder, level, leaves in zip(table.ladders, node, table.leaves, strict=True)
    ]
    named = [labels.alias(ladder.column) for labels, ladder in zip(labelled, table.ladders, strict=True)]
    return LatticeResult(
        frame=frame.with_columns(named),
        transformation={ladder.column: level for ladder, level in zip(table.ladders, node, strict=True)},
        loss=found.loss,
        suppressed=table.total - frame.height,
        classes=len(packed([levels[level][kept_tuples] for levels, level in zip(table.codes, node, strict=True)])[1]),
        nodes_checked=found.checked,
        kept=kept,
        bound=found.bound,
    )
