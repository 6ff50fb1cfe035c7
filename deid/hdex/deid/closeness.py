"""How far the sensitive values of a class may be from those of the whole table.

t-closeness: Li, Li, Venkatasubramanian, ICDE 2007. delta-disclosure privacy: Brickell, Shmatikov, KDD 2008.
beta-likeness: Cao, Karras, PVLDB 5(11), 2012.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hdex.deid.errors import ArgumentInvalid
from hdex.deid.numbering import Codes
from hdex.deid.sensitive import Cells, Sensitive, Shares, count_cells

TOLERANCE = 1e-12


def distances(groups: Codes, sensitive: Sensitive, weights: Codes, count: int) -> Shares:
    """Earth mover's distance of each of `count` groups from the whole table, 0-1; 0 for a group without rows."""
    cells = count_cells(groups, sensitive, weights, count)
    return ordered_distances(cells, sensitive) if sensitive.is_ordered else equal_distances(cells, sensitive)


def equal_distances(cells: Cells, sensitive: Sensitive) -> Shares:
    """Half the sum of |share in the group - share in the table|: every value is as far from every other."""
    whole = sensitive.shares[cells.value]
    present = cells.sums(np.abs(cells.shares - whole) - whole)  # an absent value adds its share of the table
    return np.where(cells.totals == 0, 0.0, np.clip((present + sensitive.shares.sum()) / 2, 0.0, 1.0))


def ordered_distances(cells: Cells, sensitive: Sensitive) -> Shares:
    """Sum over values of |cumulated share in the group - in the table| / (values - 1).

    Between two values of a group its cumulated share stands still, so that a stretch of the sum follows from the
    prefix sums of the table's: the cost is that of the cells, not of groups times values.
    """
    values = len(sensitive.shares)
    if len(cells.group) == 0 or values < 2:
        return np.zeros(len(cells.totals))
    table = np.cumsum(sensitive.shares)
    prefix = np.concatenate([[0.0], np.cumsum(table)])
    running = np.cumsum(cells.weight)
    is_first = np.concatenate([[True], cells.group[1:] != cells.group[:-1]])
    before = (running - cells.weight)[is_first]  # rows of all earlier groups
    own = (running - np.repeat(before, np.diff(np.flatnonzero(np.append(is_first, True))))) / cells.totals[cells.group]
    start = cells.value
    stop = np.where(np.append(is_first[1:], True), values, np.append(cells.value[1:], values))
    turn = np.clip(np.searchsorted(table, own), start, stop)  # from here on the table is ahead of the group
    stretch = own * (2 * turn - start - stop) - 2 * prefix[turn] + prefix[start] + prefix[stop]
    stretch[is_first] += prefix[start[is_first]]
    return np.clip(cells.sums(stretch) / (values - 1), 0.0, 1.0)


def disclosures(cells: Cells, sensitive: Sensitive) -> Shares:
    """Largest |ln(share in the group / share in the table)| over the values a group holds."""
    whole = sensitive.shares[cells.value]
    return largest(cells, np.abs(np.log(cells.shares / np.where(whole > 0, whole, np.nan))))


def gains(cells: Cells, sensitive: Sensitive) -> Shares:
    """(share in the group - share in the table) / share in the table, of every cell."""
    whole = sensitive.shares[cells.value]
    return (cells.shares - whole) / np.where(whole > 0, whole, np.nan)


def largest(cells: Cells, amounts: Shares) -> Shares:
    """Largest amount of the cells of each group; a value the table does not have counts as infinite."""
    found = np.zeros(len(cells.totals))
    if len(amounts):
        starts = np.flatnonzero(np.concatenate([[True], cells.group[1:] != cells.group[:-1]]))
        found[cells.group[starts]] = np.maximum.reduceat(np.nan_to_num(amounts, nan=np.inf), starts)
    return found


@dataclass(frozen=True, slots=True)
class Closeness:
    """t-closeness with the ground distance named; `Diversity(distance=t)` chooses it by the column's type."""

    sensitive: str
    t: float
    is_ordered: bool | None = None  # None: ordered for numbers and dates, equal for text

    def __post_init__(self) -> None:
        if not 0.0 <= self.t <= 1.0:
            raise ArgumentInvalid(f"t of column {self.sensitive} is {self.t:g}, asked is 0 to 1")

    @property
    def is_monotone(self) -> bool:
        """A part of a far class may be near."""
        return False

    def weak(self, groups: Codes, sensitive: Sensitive, weights: Codes, count: int) -> NDArray[np.bool_]:
        """Groups farther from the table than t."""
        if self.is_ordered is not None:
            sensitive = replace(sensitive, is_ordered=self.is_ordered)
        far: NDArray[np.bool_] = distances(groups, sensitive, weights, count) > self.t + TOLERANCE
        return far


@dataclass(frozen=True, slots=True)
class DeltaDisclosure:
    """delta-disclosure privacy: |ln(share in the class / share in the table)| < delta for every value of the table.

    Definition of the paper: a value that a class lacks has an infinite ratio. present_only looks at the values a
    class holds, as several tools do: weaker, but it can be reached for rare values.
    """

    sensitive: str
    delta: float
    present_only: bool = False

    def __post_init__(self) -> None:
        if self.delta <= 0:
            raise ArgumentInvalid(f"delta of column {self.sensitive} is {self.delta:g}, asked is above 0")

    @property
    def is_monotone(self) -> bool:
        """A part of a class may be nearer to the table."""
        return False

    def weak(self, groups: Codes, sensitive: Sensitive, weights: Codes, count: int) -> NDArray[np.bool_]:
        """Groups with a value too frequent or too rare."""
        cells = count_cells(groups, sensitive, weights, count)
        far: NDArray[np.bool_] = disclosures(cells, sensitive) >= self.delta - TOLERANCE
        if not self.present_only:
            values = int((sensitive.shares > 0).sum())
            far |= (np.bincount(cells.group, minlength=count) < values) & (cells.totals > 0)
        return far & (cells.totals > 0)


@dataclass(frozen=True, slots=True)
class BetaLikeness:
    """Basic beta-likeness: no value's share grows in a class by more than beta times its share in the table."""

    sensitive: str
    beta: float

    def __post_init__(self) -> None:
        if self.beta <= 0:
            raise ArgumentInvalid(f"beta of column {self.sensitive} is {self.beta:g}, asked is above 0")

    @property
    def is_monotone(self) -> bool:
        """A part of a class may be nearer to the table."""
        return False

    def ceilings(self, shares: Shares) -> Shares:
        """Largest gain of values with these shares in the table."""
        return np.full(len(shares), self.beta)

    def weak(self, groups: Codes, sensitive: Sensitive, weights: Codes, count: int) -> NDArray[np.bool_]:
        """Groups in which a value is too frequent."""
        cells = count_cells(groups, sensitive, weights, count)
        over = gains(cells, sensitive) - self.ceilings(sensitive.shares)[cells.value]
        found: NDArray[np.bool_] = largest(cells, over) > TOLERANCE
        return found & (cells.totals > 0)


@dataclass(frozen=True, slots=True)
class EnhancedBetaLikeness(BetaLikeness):
    """Enhanced beta-likeness: the gain is also held below -ln of the value's share, so that no share reaches 1."""

    def ceilings(self, shares: Shares) -> Shares:
        """Smaller of beta and -ln(share)."""
        return np.minimum(self.beta, -np.log(np.where(shares > 0, shares, 1.0)))
