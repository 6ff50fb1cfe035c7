"""Two ways to give every class its own levels: peel from fine to coarse, or split from coarse to fine.

peel: visit the nodes of the lattice by rising loss over the rows that are left; every class that satisfies k and the
models leaves the table at that node's levels. specialise: lower one column of one class at a time, where every part of
the class still satisfies them.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hdex.deid.diversity import Codes
from hdex.deid.evaluation import Limits, Progress, leaf_sums
from hdex.deid.tuples import Keys, Losses, Mask, Node, Table, numbered, packed, part_of, weak_classes

MOST_VISITS = 10_000  # nodes of larger lattices are drawn
CUT = 0.8  # arrays are cut when this share of them is left
RESORT = 0.95  # nodes are sorted anew when this share of the rows is left
TELL_EVERY = 250
SEED = 1  # of the drawn nodes: the same table gives the same answer
Levels = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Recoding:
    """Which class every tuple is in, and the levels of every class."""

    classes: Codes  # per tuple; -1: left out
    levels: Levels  # (columns, classes)

    def losses(self, table: Table) -> Losses:
        """Loss of every tuple: 1 where it is left out."""
        own = np.ones(len(self.classes))
        inside = np.flatnonzero(self.classes >= 0)
        own[inside] = 0.0
        for levels, losses in zip(self.levels, table.losses, strict=True):
            own[inside] += np.stack(losses)[levels[self.classes[inside]], inside]
        return own

    def loss(self, table: Table) -> float:
        """ARX's Loss over all rows."""
        return float((self.losses(table) * table.rows).sum()) / table.total

    def suppressed(self, table: Table) -> int:
        """Rows left out."""
        return int(table.rows[self.classes < 0].sum())


def at_node(table: Table, node: Node, keep: Mask) -> Recoding:
    """The classes of one node of the lattice."""
    numbers, first = packed([levels[level][keep] for levels, level in zip(table.codes, node, strict=True)])
    classes = np.full(len(keep), -1, dtype=np.int64)
    classes[keep] = numbers
    return Recoding(classes, np.repeat(np.array(node)[:, None], len(first), axis=1))


@dataclass(slots=True)
class Left:
    """The tuples that no class has taken yet. Those taken since the arrays were last cut count 0 rows."""

    table: Table  # the whole table
    part: Table  # what is left of it; cut only where patients or models are counted
    tuples: Codes  # numbers in the whole table
    rows: Codes
    keys: list[list[Keys]]  # [column][level]: codes times the column's place value
    is_wide: bool  # no 64-bit key holds a tuple: codes are left as they are


def left_of(table: Table) -> Left:
    """All tuples, with their codes ready to be summed to one key."""
    widths = [max(int(codes.max()) for codes in levels) + 1 for levels in table.codes]
    is_wide = math.prod(widths) >= 1 << 62
    places = [1 if is_wide else math.prod(widths[:place]) for place in range(len(widths))]
    short = np.int32 if math.prod(widths) < 1 << 31 else np.int64  # half the memory to sort
    keys: list[list[Keys]] = [
        [(codes * place).astype(short) for codes in levels] for levels, place in zip(table.codes, places, strict=True)
    ]
    return Left(table, table, np.arange(len(table.rows)), table.rows.copy(), keys, is_wide)


def take(left: Left, taken: Codes) -> None:
    """Drop tuples that a class has taken; cut the arrays when a fifth of them is gone."""
    left.rows[taken] = 0
    keep = np.flatnonzero(left.rows)
    counts_more = left.table.people is not None or bool(left.table.units)
    if not counts_more and len(keep) > CUT * len(left.rows):
        return
    if counts_more:
        left.part = part_of(left.part, keep)
    left.tuples, left.rows = left.tuples[keep], left.rows[keep]
    left.keys = [[codes[keep] for codes in levels] for levels in left.keys]


def peel(table: Table, limits: Limits, progress: Progress) -> Recoding:
    """Release classes node by node; what no node releases is left out."""
    left = left_of(table)
    nodes = candidates(table.heights, limits.floor)
    classes = np.full(len(table.rows), -1, dtype=np.int64)
    released: list[tuple[Node, int]] = []
    count = visited = queued = 0
    while (rows := int(left.rows.sum())) >= limits.k and len(nodes) > visited:
        if queued == 0 or rows < RESORT * queued:
            nodes = nodes[visited:][queued_order(left, nodes[visited:])]
            queued, visited = rows, 0
        node = tuple(nodes[visited].tolist())
        taken, owners = leaving(left, node, limits.k)
        if len(taken):
            classes[left.tuples[taken]] = owners + count
            released.append((node, int(owners.max()) + 1))
            count += released[-1][1]
            take(left, taken)
        visited += 1
        if visited % TELL_EVERY == 0:
            progress(visited, 0.0, math.inf)
    levels = [np.repeat(np.array(node)[:, None], many, axis=1) for node, many in released]
    return Recoding(classes, np.concatenate([np.zeros((len(table.codes), 0), dtype=np.int64), *levels], axis=1))


def candidates(heights: Node, floor: Node) -> NDArray[np.int64]:
    """Every node at or above the floor, or those of random ways from the floor to the top where they are too many."""
    spans = [range(low, height) for low, height in zip(floor, heights, strict=True)]
    if math.prod(len(span) for span in spans) <= MOST_VISITS:
        return np.array(list(itertools.product(*spans)))
    steps = np.repeat(np.arange(len(spans)), [len(span) - 1 for span in spans])
    generator = np.random.default_rng(SEED)
    ways = []
    for _ in range(MOST_VISITS // (len(steps) + 1)):
        taken = generator.permutation(steps)[:, None] == np.arange(len(spans))
        ways.append(np.concatenate([np.zeros((1, len(spans)), dtype=np.int64), np.cumsum(taken, axis=0)]))
    nodes: NDArray[np.int64] = np.unique(np.concatenate(ways), axis=0) + np.array(floor)
    return nodes


def queued_order(left: Left, nodes: NDArray[np.int64]) -> Codes:
    """Order of `nodes` by their loss over the rows that are left."""
    losses = np.zeros(len(nodes))
    for column, sums in enumerate(leaf_sums(left.table, left.tuples, left.rows)):
        losses += sums[nodes[:, column]]
    return np.argsort(losses.round(6), kind="stable")


def leaving(left: Left, node: Node, k: int) -> tuple[Codes, Codes]:
    """Positions of the tuples whose classes may leave at `node`, and the number of the class of each, from 0."""
    chosen = [levels[level] for levels, level in zip(left.keys, node, strict=True)]
    counts_more = left.part.people is not None or bool(left.part.units)
    if left.is_wide or counts_more:
        numbers, first = packed(chosen) if left.is_wide else numbered(sum(chosen[1:], chosen[0]), 1 << 62)
        sizes = np.bincount(numbers, weights=left.rows)
        firm = ~weak_classes(left.part, numbers, len(first), k) if counts_more else sizes >= k
        taken = np.flatnonzero(firm[numbers] & (left.rows > 0))
        return taken, (np.cumsum(firm) - 1)[numbers[taken]]
    key = sum(chosen[1:], chosen[0])
    order = np.argsort(key)
    ordered = key[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    rows = left.rows[order]
    firm = np.add.reduceat(rows, starts) >= k
    lengths = np.diff(starts, append=len(order))
    taken, owners = order[np.repeat(firm, lengths)], np.repeat(np.arange(int(firm.sum())), lengths[firm])
    present = left.rows[taken] > 0
    return taken[present], owners[present]


def specialise(table: Table, start: Recoding, limits: Limits) -> Recoding:
    """Split the classes of `start` as far down as k and the models allow."""
    inside = np.flatnonzero(start.classes >= 0)
    part = part_of(table, inside)
    classes, levels = start.classes[inside], start.levels
    stacked = [np.stack(codes) for codes in part.codes]
    is_moving = bool(len(inside))
    while is_moving:
        is_moving = False
        for column in np.argsort([-losses[-1].max() for losses in table.leaf_losses], kind="stable").tolist():
            moved = split(part, Recoding(classes, levels), stacked[column], column, limits)
            if moved is not None:
                classes, levels, is_moving = moved.classes, moved.levels, True
    whole = np.full(len(start.classes), -1, dtype=np.int64)
    whole[inside] = classes
    return Recoding(whole, levels)


def split(table: Table, now: Recoding, codes: NDArray[np.int64], column: int, limits: Limits) -> Recoding | None:
    """Lower `column` by one level in every class whose parts all hold; None where there is no such class."""
    lower = np.maximum(now.levels[column] - 1, limits.floor[column])
    below = codes[lower[now.classes], np.arange(len(now.classes))]
    width = int(codes.max()) + 1
    parts, first = numbered(now.classes * width + below, now.levels.shape[1] * width)
    weak = np.zeros(now.levels.shape[1], dtype=np.bool_)
    weak[now.classes[first[weak_classes(table, parts, len(first), limits.k)]]] = True
    goes = ~weak & (lower < now.levels[column])
    if not goes.any():
        return None
    key = np.where(goes[now.classes], now.classes * (width + 1) + below + 1, now.classes * (width + 1))
    classes, first = numbered(key, now.levels.shape[1] * (width + 1))
    levels = now.levels[:, now.classes[first]]
    levels[column] -= goes[now.classes[first]]
    return Recoding(classes, levels)
