"""What one node of the lattice does to a table: which rows it suppresses and what that costs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hdex.deid.diversity import Codes, unprotected
from hdex.deid.tuples import Keys, Losses, Mask, Node, Table, class_sizes, classes_of, weak_classes

TOLERANCE = 1e-12  # two losses closer than this are equal
MOST_HELD = 20_000_000  # groups of rolled-up tables kept in memory
Progress = Callable[[int, float, float], None]  # nodes evaluated, proven lower bound, best loss so far (inf: none)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a node must keep to."""

    k: int
    allowed: int  # rows that may be suppressed
    floor: Node  # lowest level of every column
    max_average: float = 1.0


@dataclass(frozen=True, slots=True)
class Found:
    """What a search of the lattice ends with."""

    node: Node | None  # None: no node fits
    loss: float
    bound: float  # no node has a loss below this
    checked: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one node does to the table."""

    gap: float  # what suppression adds to the loss
    bound: float  # the part of the gap that every finer node has too
    suppressed: int
    inevitable: int  # rows that every finer node suppresses too
    classes: int
    average: float  # mean over kept rows of 1 / patients of the class

    def fits(self, limits: Limits) -> bool:
        """Whether suppression and average risk stay within what is asked."""
        return self.suppressed <= limits.allowed and self.average <= limits.max_average + TOLERANCE


def silent(checked: int, bound: float, best: float) -> None:
    """Report no progress."""


def marginals(table: Table) -> list[list[float]]:
    """Loss of every column at every level, rows suppressed or not."""
    return [(losses / table.total).tolist() for losses in leaf_sums(table, np.arange(len(table.rows)), table.rows)]


def leaf_sums(table: Table, tuples: Codes, rows: Codes) -> list[Losses]:
    """Summed loss of some tuples, with `rows` rows each, at every level of every column.

    Counted on leaves and summed without a matrix product: its threads cost more CPU than so small a product.
    """
    sums = []
    for losses, leaves in zip(table.leaf_losses, table.leaves, strict=True):
        counts = np.bincount(leaves[tuples], weights=rows, minlength=losses.shape[1])
        sums.append((losses * counts).sum(axis=1))
    return sums


def top_of(table: Table) -> Node:
    """The coarsest node."""
    return tuple(height - 1 for height in table.heights)


def finest(table: Table, node: Node, floor: Node) -> Node:
    """`node` with every level lowered that merges nothing in this table."""
    lowered = list(node)
    for column, codes in enumerate(table.codes):
        groups = [len(np.unique(level)) for level in codes[: node[column] + 1]]
        while lowered[column] > floor[column] and groups[lowered[column]] == groups[lowered[column] - 1]:
            lowered[column] -= 1
    return tuple(lowered)


@dataclass(frozen=True, slots=True)
class Rolled:
    """Groups of tuples that read the same: one of them, its packed key, and the rows of all."""

    keys: Keys
    tuples: Codes
    rows: Codes


@dataclass(slots=True)
class Rollups:
    """Tables rolled up on the way to a node, kept for the next node that goes the same way.

    Columns take their levels one after the other, the one with most values first; a step changes one digit of the key.
    Only for tables without patients and models, which need every tuple, and whose leaves fit one 64-bit key.
    """

    table: Table
    order: list[int]
    places: list[int]  # value of every column's digit in the key
    known: dict[Node, Rolled]  # by the levels of the first columns in `order`
    held: int = 0

    @classmethod
    def over(cls, table: Table) -> Rollups:
        """Nothing rolled up yet."""
        values = [int(np.count_nonzero(np.bincount(leaves))) for leaves in table.leaves]
        widths = [max(int(codes.max()) for codes in levels) + 1 for levels in table.codes]
        places = [math.prod(widths[:column]) for column in range(len(widths))]
        rollups = cls(table, sorted(range(len(values)), key=lambda column: -values[column]), places, {})
        if table.people is None and not table.units and math.prod(widths) < 1 << 62:
            short = np.int32 if math.prod(widths) < 1 << 31 else np.int64  # half the memory to sort
            keys: Keys = np.zeros(len(table.rows), dtype=short)
            for levels, place in zip(table.codes, places, strict=True):
                keys += (levels[0] * place).astype(short)
            rollups.known[()] = Rolled(keys, np.arange(len(table.rows)), table.rows)
        return rollups

    def at(self, node: Node) -> Rolled:
        """The classes of `node`."""
        way = tuple(node[column] for column in self.order)
        done = next(length for length in range(len(way), -1, -1) if way[:length] in self.known)
        rolled = self.known[way[:done]]
        for length in range(done + 1, len(way) + 1):
            rolled = self._raised(rolled, self.order[length - 1], way[length - 1])
            self._keep(way[:length], rolled)
        return rolled

    def _raised(self, rolled: Rolled, column: int, level: int) -> Rolled:
        """The groups after `column` has gone from its values to `level`."""
        if level == 0:
            return rolled
        codes = self.table.codes[column]
        change = (codes[level].take(rolled.tuples) - codes[0].take(rolled.tuples)) * self.places[column]
        keys = rolled.keys + change.astype(rolled.keys.dtype)
        order = np.argsort(keys)
        ordered = keys[order]
        starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
        return Rolled(ordered[starts], rolled.tuples[order[starts]], np.add.reduceat(rolled.rows[order], starts))

    def _keep(self, way: Node, rolled: Rolled) -> None:
        if self.held + len(rolled.tuples) > MOST_HELD:
            self.known, self.held = {(): self.known[()]}, 0
        self.known[way] = rolled
        self.held += len(rolled.tuples)


def evaluate(rollups: Rollups, node: Node, k: int) -> Evaluation:
    """Suppress what violates k or a model at `node` and say what it costs."""
    table = rollups.table
    if () not in rollups.known:
        return evaluate_fully(table, node, k)
    rolled = rollups.at(node)
    rows = rolled.rows
    small = rows < k
    gone = rolled.tuples[small]
    own = sum(levels[level][gone] for levels, level in zip(table.losses, node, strict=True))
    cost = float(((1.0 - own) * rows[small]).sum()) / table.total
    suppressed, classes = int(rows[small].sum()), len(rows) - int(small.sum())
    average = classes / max(table.total - suppressed, 1)
    return Evaluation(cost, cost, suppressed, suppressed, classes, average)


def kept_at(table: Table, node: Node, k: int) -> Mask:
    """Which tuples stay at `node`."""
    classes, count = classes_of(table, node)
    kept: Mask = ~weak_classes(table, classes, count, k)[classes]
    return kept


def evaluate_fully(table: Table, node: Node, k: int) -> Evaluation:
    """The same with patients counted once per class and every model asked."""
    classes, count = classes_of(table, node)
    sizes = class_sizes(table, classes, count)
    firm = sizes < k
    weak = firm.copy()
    for unit in table.units:
        bad = unprotected(unit.model, classes[unit.tuples], unit.sensitive, unit.weights, count)
        weak |= bad
        if unit.model.is_monotone:
            firm |= bad
    out = weak[classes]
    gone = out.nonzero()[0]
    own = sum(levels[level][gone] for levels, level in zip(table.losses, node, strict=True))
    cost = (1.0 - own) * table.rows[gone] / table.total
    firmly = firm[classes[gone]]
    suppressed = int(table.rows[gone].sum())
    risk = (table.rows / sizes[classes]).sum() - (table.rows[gone] / sizes[classes[gone]]).sum()
    return Evaluation(
        gap=float(cost.sum()),
        bound=float(cost[firmly].sum()),
        suppressed=suppressed,
        inevitable=int(table.rows[gone][firmly].sum()),
        classes=int((~weak).sum()),
        average=float(risk / max(int(table.rows.sum()) - suppressed, 1)),
    )
