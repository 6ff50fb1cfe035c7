"""Differential privacy of a study's sums: every row clipped, every site's share of noise added before encryption.

The unit is one row: a neighbour has one row more or less, at one site. A row's vector is scaled down to the length
`clip`, rounded to a public grid, and each site adds discrete Gaussian noise on that grid. The shares are so large that
those of all sites but one suffice: a site that subtracts its own learns no more than everybody else.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from hdex.federated.errors import StudyInvalid
from hdex.federated.privacy_accountant import ratio_of, require_margin, round_costs
from hdex.federated.privacy_sampling import RandBelow, discrete_gaussian

GRID_BITS = 20  # the grid is 2^-20 of a unit: far below any useful noise
LEAST_VARIANCE = Fraction(100)  # of a share: sums of such shares are as good as one discrete Gaussian
MOST_EPSILON = 50.0  # beyond, the words mean nothing
RowVector = Callable[[int], "np.ndarray[Any, np.dtype[np.float64]]"]
Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class Privacy:
    """What a study promises to every row, over all its rounds together. Raises StudyInvalid."""

    epsilon: float
    delta: float = 1e-6
    clip: float = 1.0  # longest vector of one row (L2)

    def __post_init__(self) -> None:
        values = (self.epsilon, self.delta, self.clip)
        if any(type(value) not in (int, float) or not math.isfinite(value) for value in values):
            raise StudyInvalid("epsilon, delta and clip must be finite numbers")
        if not 0 < self.epsilon <= MOST_EPSILON:
            raise StudyInvalid(f"epsilon must be above 0 and at most {MOST_EPSILON:g}")
        if not 0 < self.delta <= 1e-3:
            raise StudyInvalid("delta must be above 0 and at most 0.001")
        if not 2.0**-GRID_BITS * 1024 <= self.clip <= 1e12:
            raise StudyInvalid("clip must be between 0.001 and 1e12")

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Privacy | None":
        """Return what a study's `privacy` says; None for an empty one."""
        if not document:
            return None
        try:
            return cls(**document)
        except TypeError as error:
            raise StudyInvalid("privacy has epsilon, delta and clip") from error

    def cost(self, number: int, rounds: int) -> float:
        """Return what round `number` (from 1) of at most `rounds` adds to epsilon; the sum never passes epsilon."""
        return round_costs(self.epsilon, self.delta, rounds)[number - 1]

    def share_variance(self, length: int, *, sites: int, rounds: int) -> Fraction:
        """Return the variance of one site's noise per entry of a vector of `length`, in units of the grid squared.

        Raises StudyInvalid below two sites, for a lone site has nobody to hide its own share from, and where clip is
        too small for so long a vector.
        """
        if sites < 2:
            raise StudyInvalid("noise is shared by at least two sites")
        reach = Fraction(self.clip) * 2**GRID_BITS + math.isqrt(length) + 1  # rounding may lengthen a row's vector
        ratio = ratio_of(self.epsilon, self.delta)
        require_margin(self.epsilon, ratio, entries=length, reach=float(reach))
        each = Fraction(reach * reach * rounds, Fraction(ratio) * Fraction(ratio) * (sites - 1))
        return max(each, LEAST_VARIANCE)

    def noised(
        self, row: RowVector, count: int, *, length: int, sites: int, rounds: int, randbelow: RandBelow
    ) -> Floats:
        """Return the sum of `count` clipped rows plus this site's share of noise, shape (length,), on the grid.

        row(i): the vector that row i alone adds to the sum.
        """
        total = [0] * length
        for index in range(count):
            for place, value in enumerate(self.clipped(row(index))):
                total[place] += value
        variance = self.share_variance(length, sites=sites, rounds=rounds)
        noisy = [value + discrete_gaussian(variance, randbelow) for value in total]
        return np.array([value / 2**GRID_BITS for value in noisy], dtype=np.float64)

    def clipped(self, vector: Floats) -> list[int]:
        """Return a row's vector, no longer than `clip`, in units of the grid."""
        norm = float(np.linalg.norm(vector))
        factor = min(1.0, self.clip / norm) if norm > 0 else 1.0
        return [round(float(value) * factor * 2**GRID_BITS) for value in vector]
