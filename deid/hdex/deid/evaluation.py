"""What one node of the lattice does to a table: which rows it suppresses and what that costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hdex.deid.diversity import unprotected
from hdex.deid.tuples import Mask, Node, Table, class_sizes, classes_of

TOLERANCE = 1e-12  # two losses closer than this are equal
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
    keep: Mask  # per tuple
    classes: int
    average: float  # mean over kept rows of 1 / patients of the class

    def fits(self, limits: Limits) -> bool:
        """Whether suppression and average risk stay within what is asked."""
        return self.suppressed <= limits.allowed and self.average <= limits.max_average + TOLERANCE


def silent(checked: int, bound: float, best: float) -> None:
    """Report no progress."""


def marginals(table: Table) -> list[list[float]]:
    """Loss of every column at every level, rows suppressed or not."""
    return [[float(loss @ table.rows) / table.total for loss in levels] for levels in table.losses]


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
        keep=~out,
        classes=int((~weak).sum()),
        average=float(risk / max(int(table.rows.sum()) - suppressed, 1)),
    )
