"""Secondary suppression: which cells of a table with margins must go too, so that no blank can be computed back.

A two-way table with row and column totals is a network: each cell is an edge from its row to its column, totals lead
back, and every node keeps what flows in. Whoever reads the table knows each blank only up to the flows through blanks.
A small cell is protected when blanks could carry `threshold` more through it, so that it may as well be a safe one.
Complements are found by the cheapest such cycle. Source: Kelly, Golden, Assad 1992; Castro 2006.

Across tables: totals of one table are cells or group sizes of another, so a safe total never becomes a complement. What
is blank stays so whatever other studies of the same rows tell of the margins.
"""

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

from hdex.federated.errors import DisclosureRefused

Place = tuple[int, int]  # row, column; the last row and column are totals
Table = list[list[int]]


@dataclass(frozen=True, slots=True)
class Suppressed:
    """A table with margins as it may be released: None is a blank."""

    cells: tuple[tuple[int | None, ...], ...]  # (rows + 1, columns + 1), totals last
    primary: int  # blanks that are small themselves
    secondary: int  # blanks that protect others


def suppress(counts: Sequence[Sequence[int]], threshold: int) -> Suppressed:
    """Return the table with totals, small cells and what would give them away left blank.

    counts: (rows, columns), at least one of each, from 0. Raises DisclosureRefused where no blanks can protect a
    cell: a coarser table must be asked.
    """
    table = with_totals(counts)
    places = [(i, j) for i in range(len(table)) for j in range(len(table[0]))]
    primary = {place for place in places if 0 < _at(table, place) < threshold}
    blank = set(primary)
    for place in sorted(primary, key=lambda p: (-_at(table, p), p)):
        blank |= set(_cheapest_cycle(table, blank, place, threshold))
    cells = tuple(
        tuple(None if (i, j) in blank else value for j, value in enumerate(row)) for i, row in enumerate(table)
    )
    return Suppressed(cells, len(primary), len(blank) - len(primary))


def with_totals(counts: Sequence[Sequence[int]]) -> Table:
    """Return the table with a column and a row of totals."""
    if not counts or not counts[0] or any(len(row) != len(counts[0]) for row in counts):
        raise DisclosureRefused("table_shape", "a table has rows of one length")
    if any(type(value) is not int or value < 0 for row in counts for value in row):
        raise DisclosureRefused("table_shape", "a table holds counts from 0")
    table = [[*row, sum(row)] for row in counts]
    return [*table, [sum(column) for column in zip(*table, strict=True)]]


def interval(released: Suppressed, table: Table, place: Place) -> tuple[int, float]:
    """Return (least, largest) value that a reader cannot rule out for a blank; largest may be infinite."""
    blank = {(i, j) for i, row in enumerate(released.cells) for j, value in enumerate(row) if value is None}
    value = _at(table, place)
    if place not in blank:
        return value, float(value)
    start, end = _edge(table, place)
    more = _flow(table, blank - {place}, end, start)
    less = _flow(table, blank - {place}, start, end)
    return int(value - min(value, less)), value + more


def _at(table: Table, place: Place) -> int:
    return table[place[0]][place[1]]


def _edge(table: Table, place: Place) -> tuple[int, int]:
    """Return (from, to) of a cell's edge. Nodes: rows 0.., the totals' row, columns, the totals' column."""
    last_row, last_column = len(table) - 1, len(table[0]) - 1
    row, column = place[0], len(table) + place[1]
    if (place[0] == last_row) == (place[1] == last_column):
        return row, column
    return column, row  # a total leads back


def _arcs(table: Table, places: set[Place]) -> dict[int, list[tuple[int, float, Place]]]:
    """Return node -> (neighbour, how much more can flow, cell): forward without bound, backward what is there."""
    arcs: dict[int, list[tuple[int, float, Place]]] = {}
    for place in sorted(places):
        start, end = _edge(table, place)
        arcs.setdefault(start, []).append((end, math.inf, place))
        arcs.setdefault(end, []).append((start, float(_at(table, place)), place))
    return arcs


def _cheapest_cycle(table: Table, blank: set[Place], place: Place, threshold: int) -> list[Place]:
    """Return the cells of the cheapest way to carry `threshold` more through a cell (Dijkstra); blanks cost nothing."""
    source, target = _edge(table, place)[1], _edge(table, place)[0]
    inner = {(i, j) for i in range(len(table) - 1) for j in range(len(table[0]) - 1)}
    arcs = _arcs(table, (inner | blank) - {place})
    best: dict[int, float] = {source: 0.0}
    came: dict[int, tuple[int, Place]] = {}
    queue = [(0.0, source)]
    while queue:
        cost, node = heapq.heappop(queue)
        if node == target:
            return _path(came, source, target)
        for neighbour, room, through in arcs.get(node, []):
            total = cost + (0.0 if through in blank else 1.0 + _at(table, through))
            if room >= threshold and total < best.get(neighbour, math.inf):
                best[neighbour], came[neighbour] = total, (node, through)
                heapq.heappush(queue, (total, neighbour))
    raise DisclosureRefused("secondary_suppression", "no blanks can protect a small cell: ask a coarser table")


def _path(came: dict[int, tuple[int, Place]], source: int, target: int) -> list[Place]:
    found, node = [], target
    while node != source:
        node, place = came[node]
        found.append(place)
    return found


def _flow(table: Table, blank: set[Place], source: int, target: int) -> float:
    """Return the most that blanks carry from source to target (augmenting paths, breadth first)."""
    room: dict[tuple[int, int, Place], float] = {}
    for place in blank:
        start, end = _edge(table, place)
        room[start, end, place], room[end, start, place] = math.inf, float(_at(table, place))
    total = 0.0
    while path := _augmenting(room, source, target):
        step = min(room[arc] for arc in path)
        if step == math.inf:
            return math.inf
        for start, end, place in path:
            room[start, end, place] -= step
            room[end, start, place] += step
        total += step
    return total


def _augmenting(room: dict[tuple[int, int, Place], float], source: int, target: int) -> list[tuple[int, int, Place]]:
    came: dict[int, tuple[int, int, Place]] = {}
    waiting, seen = [source], {source}
    while waiting:
        node = waiting.pop(0)
        for arc, left in room.items():
            if arc[0] == node and left > 0 and arc[1] not in seen:
                seen.add(arc[1])
                came[arc[1]] = arc
                waiting.append(arc[1])
    if target not in came:
        return []
    path, node = [], target
    while node != source:
        path.append(came[node])
        node = came[node][0]
    return path
