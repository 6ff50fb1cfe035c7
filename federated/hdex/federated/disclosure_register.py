"""Which populations may be summed: no combination of released sums may say something about few.

Two rules over everything ever released by one organisation. Pairwise: a population is one that was released before, or
differs from each by at least `threshold` members. Linear: whoever adds and subtracts released sums solves a system
whose unknowns are the groups that no population splits; no solved equation may be about fewer than `threshold`.
Trackers need the second rule: three populations with pairwise large differences give a fourth one's extra member away.

The linear rule is exact for one group. An equation about few that is a sum of solved equations about many is found
only as far as Gaussian elimination shows it; the pairwise rule covers sums of two.
Sources: Denning, Schloerer 1980 (trackers); Chin, Ozsoyoglu 1982 (audit by elimination).
"""

from collections import Counter
from collections.abc import Iterable, Sequence, Set

PRIME = 2**61 - 1  # elimination modulo a large prime instead of over fractions: entries stay small
Row = dict[int, int]  # column -> entry that is not zero


class PopulationAudit:
    """Every released population of one organisation. Members are keyed codes, never names."""

    def __init__(self, threshold: int, released: Iterable[Set[str]] = ()) -> None:
        self._threshold = threshold
        self._released: list[frozenset[str]] = []
        for population in released:
            self.add(population)

    def add(self, population: Set[str]) -> None:
        """Remember a population; one that was released before changes nothing."""
        if population not in self._released:
            self._released.append(frozenset(population))

    def missing(self, population: Set[str]) -> int:
        """Return by how many members the population is too close to its nearest neighbour; 0 where it is not."""
        if population in self._released:
            return 0
        gaps = [len(population ^ other) for other in self._released]
        return max([0, *(self._threshold - gap for gap in gaps)])

    def breach(self, population: Set[str]) -> str:
        """Return the rule that forbids this population, or "" where none does."""
        if population in self._released:
            return ""
        if 0 < len(population) < self._threshold:
            return "population.small"
        if self.missing(population):
            return "population.too_close"
        if smallest_solved([*self._released, population]) < self._threshold:
            return "population.solvable"
        return ""


def smallest_solved(populations: Sequence[Set[str]]) -> int:
    """Return the members behind the smallest equation that elimination leaves, empty ones apart."""
    pattern: dict[str, int] = {}
    for index, population in enumerate(populations):
        for member in population:
            pattern[member] = pattern.get(member, 0) | 1 << index
    sizes = Counter(pattern.values())
    groups = sorted(sizes)
    rows = [{at: 1 for at, group in enumerate(groups) if group >> index & 1} for index in range(len(populations))]
    supports = [sum(sizes[groups[at]] for at in row) for row in reduced(rows)]
    return min(supports, default=len(pattern))


def reduced(rows: Sequence[Row]) -> list[Row]:
    """Return the reduced row echelon form modulo PRIME, zero rows left out."""
    solved: dict[int, Row] = {}  # pivot -> row
    for row in rows:
        rest = dict(row)
        for pivot, known in solved.items():
            if pivot in rest:
                rest = _minus(rest, known, rest[pivot])
        if not rest:
            continue
        pivot = min(rest)
        inverse = pow(rest[pivot], -1, PRIME)
        new = {at: value * inverse % PRIME for at, value in rest.items()}
        for other, known in solved.items():
            if pivot in known:
                solved[other] = _minus(known, new, known[pivot])
        solved[pivot] = new
    return list(solved.values())


def _minus(row: Row, other: Row, factor: int) -> Row:
    """Return row - factor * other."""
    result = dict(row)
    for at, value in other.items():
        left = (result.get(at, 0) - factor * value) % PRIME
        if left:
            result[at] = left
        else:
            result.pop(at, None)
    return result
