"""Local search over classes that have their own levels: a tuple goes where it costs the table least.

Three moves, each kept only when the loss falls and every class touched still satisfies k and the models: a tuple that
was left out joins a class; all tuples of a dear class join others and the class is gone; one tuple leaves a class that
can spare it. A class that takes a tuple in rises to the levels where both read the same; one that lets a tuple go is
lowered as far as what stays reads the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from hdex.deid.diversity import Codes, unprotected
from hdex.deid.evaluation import Limits
from hdex.deid.numbering import distinct
from hdex.deid.peel import Recoding
from hdex.deid.tuples import Losses, Node, Table

MOST_COMPARISONS = 60_000_000  # of a tuple with a class; then the refinement ends where it is
LEAST_TUPLES = 2_000  # tuples to compare, or the refinement of so many classes is not begun
ROUNDS = 2
MOST_REMEMBERED = 20_000_000  # entries of joins kept ready
LEAST_GAIN = 1e-9  # rows; what falls less than that does not count
Group = list[int]  # tuples


@dataclass(frozen=True, slots=True)
class Column:
    """States a class may be in: every group of every level, numbered from the leaves up."""

    codes: NDArray[np.int64]  # (levels, leaves)
    losses: Losses  # (levels, leaves), weighted
    offsets: Codes  # number of the first state of every level
    joins: dict[int, tuple[Losses, Codes]] = field(default_factory=dict)

    def join(self, leaf: int) -> tuple[Losses, Codes]:
        """Of every state: loss and state once it also holds `leaf`."""
        if leaf not in self.joins:
            self.joins[leaf] = self._joined(leaf)
        return self.joins[leaf]

    def _joined(self, leaf: int) -> tuple[Losses, Codes]:
        meet = (self.codes == self.codes[:, [leaf]]).argmax(axis=0)
        levels = np.full(int(self.offsets[-1]), len(self.codes) - 1)
        for level in range(len(self.codes)):
            levels[self.offsets[level] + self.codes[level]] = np.maximum(meet, level)
        return self.losses[levels, leaf], self.offsets[levels] + self.codes[levels, leaf]


def column_of(codes: Codes, losses: Losses) -> Column:
    """The states of one quasi-identifier."""
    return Column(codes, losses, np.concatenate([[0], np.cumsum(codes.max(axis=1) + 1)]))


@dataclass(slots=True)
class Classes:
    """Every class as it is now. A class of no tuple is gone."""

    table: Table
    k: int
    floor: Node
    columns: list[Column]
    members: list[Group]
    states: NDArray[np.int64]  # (columns, classes)
    rows: Losses
    costs: Losses  # loss of one row
    closed: Losses  # inf for classes that take nothing in
    people: Codes  # first patient pair of every tuple
    units: list[Codes]  # first entry of every tuple in every unit
    left: int = MOST_COMPARISONS
    remembered: int = 0


def classes_from(table: Table, start: Recoding, limits: Limits) -> Classes:
    """The classes of `start`, ready to be changed."""
    columns = [column_of(codes, losses) for codes, losses in zip(table.leaf_codes, table.leaf_losses, strict=True)]
    count = start.levels.shape[1]
    inside = np.flatnonzero(start.classes >= 0)
    ordered = inside[np.argsort(start.classes[inside], kind="stable")]
    sizes = np.bincount(start.classes[inside], minlength=count)
    first = ordered[np.cumsum(sizes) - sizes]
    levels = start.levels
    leaves = [each[first] for each in table.leaves]
    own = [one.losses[level, leaf] for one, level, leaf in zip(columns, levels, leaves, strict=True)]
    states = [
        one.offsets[level] + one.codes[level, leaf] for one, level, leaf in zip(columns, levels, leaves, strict=True)
    ]
    bounds = np.arange(len(table.rows) + 1)
    return Classes(
        table=table,
        k=limits.k,
        floor=limits.floor,
        columns=columns,
        members=[part.tolist() for part in np.split(ordered, np.cumsum(sizes)[:-1])],
        states=np.array(states),
        rows=np.bincount(start.classes[inside], weights=table.rows[inside], minlength=count).astype(np.float64),
        costs=np.sum(own, axis=0),
        closed=np.zeros(count),
        people=np.searchsorted(table.people[0], bounds) if table.people else bounds,
        units=[np.searchsorted(unit.tuples, bounds) for unit in table.units],
    )


def refine(table: Table, start: Recoding, limits: Limits) -> Recoding:
    """Return `start` with moves applied while the loss falls; leaves out no more rows than `start` where it can."""
    count, out = start.levels.shape[1], np.flatnonzero(start.classes < 0).tolist()
    rounds = ROUNDS if count * LEAST_TUPLES <= MOST_COMPARISONS else 0
    if count == 0 or (rounds == 0 and not out):
        return start
    now = classes_from(table, start, limits)
    place(now, out, limits.allowed)
    for _ in range(rounds):
        before = (now.rows * now.costs).sum()
        for number in np.argsort(-now.costs, kind="stable").tolist():
            dissolve(now, number)
            spare(now, number)
            if now.left <= 0:
                return recoded(now)
        if before - (now.rows * now.costs).sum() <= LEAST_GAIN:
            break
    return recoded(now)


def place(now: Classes, out: Group, allowed: int) -> None:
    """Let tuples that were left out join where that costs less than leaving them out, or where they must."""
    rows = now.table.rows
    waiting = int(rows[out].sum())
    for number in sorted(out, key=lambda one: -int(rows[one])):
        taker, cost = cheapest(now, number)
        must = waiting > allowed
        if (cost < rows[number] - LEAST_GAIN or must) and holds(now, [[*now.members[taker], number]]):
            admit(now, taker, number)
            waiting -= int(rows[number])


def cheapest(now: Classes, number: int) -> tuple[int, float]:
    """The class that a tuple joins at least cost, and that cost in rows."""
    rows = now.table.rows[number]
    joined = joined_costs(now, number)
    costs = now.rows * (joined - now.costs) + rows * joined + now.closed
    now.left -= len(costs)
    taker = int(costs.argmin())
    return taker, float(costs[taker])


def joined_costs(now: Classes, number: int) -> Losses:
    """Loss of one row of every class once it also holds the tuple."""
    total = np.zeros(len(now.members))
    for column, leaves, states in zip(now.columns, now.table.leaves, now.states, strict=True):
        leaf = int(leaves[number])
        if leaf not in column.joins:
            forget(now, int(column.offsets[-1]))
        total += column.join(leaf)[0][states]
    return total


def forget(now: Classes, entries: int) -> None:
    """Keep what is remembered within bounds: all or nothing."""
    now.remembered += entries
    if now.remembered > MOST_REMEMBERED:
        for column in now.columns:
            column.joins.clear()
        now.remembered = entries


def admit(now: Classes, taker: int, number: int) -> None:
    """Put a tuple into a class."""
    cost = 0.0
    for place_, (column, leaves) in enumerate(zip(now.columns, now.table.leaves, strict=True)):
        losses, states = column.join(int(leaves[number]))
        state = now.states[place_, taker]
        cost += float(losses[state])
        now.states[place_, taker] = states[state]
    now.costs[taker] = cost
    now.rows[taker] += now.table.rows[number]
    now.members[taker].append(number)


def dissolve(now: Classes, number: int) -> None:
    """Let every tuple of a class join another one where that lowers the loss."""
    saved = now.rows[number] * now.costs[number]
    if saved <= LEAST_GAIN:
        return
    now.closed[number] = np.inf
    undo: list[tuple[int, Codes, float, float]] = []
    spent = 0.0
    for each in sorted(now.members[number], key=lambda one: -int(now.table.rows[one])):
        taker, cost = cheapest(now, each)
        spent += cost
        if spent >= saved - LEAST_GAIN:
            break
        undo.append((taker, now.states[:, taker].copy(), float(now.rows[taker]), float(now.costs[taker])))
        admit(now, taker, each)
    if spent < saved - LEAST_GAIN and holds(now, [now.members[taker] for taker in {one[0] for one in undo}]):
        now.members[number], now.rows[number], now.costs[number] = [], 0.0, 0.0
        return
    now.closed[number] = 0.0
    for taker, states, rows, cost in reversed(undo):
        now.states[:, taker], now.rows[taker], now.costs[taker] = states, rows, cost
        now.members[taker].pop()


def spare(now: Classes, number: int) -> None:
    """Let single tuples of a class join another one where the class can spare them and the loss falls."""
    if len(now.members[number]) < 2 or now.costs[number] <= LEAST_GAIN:
        return
    rows = now.table.rows
    for each in list(now.members[number]):
        rest = [one for one in now.members[number] if one != each]
        if not rest or (now.table.people is None and now.rows[number] - rows[each] < now.k):
            continue
        states, cost = tight(now, rest)
        saved = now.rows[number] * now.costs[number] - (now.rows[number] - rows[each]) * cost
        if saved <= LEAST_GAIN:
            continue
        now.closed[number] = np.inf
        taker, spent = cheapest(now, each)
        now.closed[number] = 0.0
        if spent < saved - LEAST_GAIN and holds(now, [rest, [*now.members[taker], each]]):
            admit(now, taker, each)
            now.members[number], now.states[:, number], now.costs[number] = rest, states, cost
            now.rows[number] -= rows[each]


def tight(now: Classes, group: Group) -> tuple[list[int], float]:
    """The lowest states that hold all tuples of a group, and the loss of one row."""
    states, cost = [], 0.0
    for column, leaves, floor in zip(now.columns, now.table.leaves, now.floor, strict=True):
        own = leaves[group]
        codes = column.codes[:, own]
        level = max(int((codes == codes[:, :1]).all(axis=1).argmax()), floor)
        states.append(int(column.offsets[level] + codes[level, 0]))
        cost += float(column.losses[level, own[0]])
    return states, cost


def holds(now: Classes, groups: list[Group]) -> bool:
    """Whether every group satisfies k and the models, counted from its tuples."""
    tuples = np.array([one for group in groups for one in group], dtype=np.int64)
    owner = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    if now.table.people is None:
        sizes = np.bincount(owner, weights=now.table.rows[tuples], minlength=len(groups))
    else:
        entries, whose = entries_of(now.people, tuples, owner)
        ids = now.table.people[1][entries]
        width = int(ids.max(initial=0)) + 1
        sizes = np.bincount(distinct(whose * width + ids) // width, minlength=len(groups))
    if (sizes < now.k).any():
        return False
    for unit, starts in zip(now.table.units, now.units, strict=True):
        entries, whose = entries_of(starts, tuples, owner)
        part = replace(unit.sensitive, codes=unit.sensitive.codes[entries])
        if unprotected(unit.model, whose, part, unit.weights[entries], len(groups)).any():
            return False
    return True


def entries_of(starts: Codes, tuples: Codes, owner: Codes) -> tuple[Codes, Codes]:
    """Positions of the entries of `tuples` in an array sorted by tuple, and the owner of each."""
    counts = starts[tuples + 1] - starts[tuples]
    before = np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(starts[tuples], counts) + np.arange(int(counts.sum())) - before, np.repeat(owner, counts)


def recoded(now: Classes) -> Recoding:
    """The classes that are left, renumbered."""
    alive = [number for number, group in enumerate(now.members) if group]
    classes = np.full(len(now.table.rows), -1, dtype=np.int64)
    for number, old in enumerate(alive):
        classes[now.members[old]] = number
    levels = [
        np.searchsorted(column.offsets, states[alive], side="right") - 1
        for column, states in zip(now.columns, now.states, strict=True)
    ]
    return Recoding(classes, np.array(levels))
