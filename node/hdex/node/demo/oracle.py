"""The pooled fit that no hospital could make: every raw row in one place, plain Newton in numpy. For comparison only.

It shares no code with the federated room; the demo may see all rows because it made them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

Z95 = 1.959963984540054
STEPS = 50
SETTLED = 1e-13


@dataclass(frozen=True, slots=True)
class PooledFit:
    """Coefficients on the standardised scale, intercept first, with their standard errors."""

    names: tuple[str, ...]
    estimates: np.ndarray
    errors: np.ndarray

    def odds(self, name: str) -> tuple[float, float, float]:
        """Return the odds ratio of one covariate with its 95 % interval."""
        at = self.names.index(name)
        low, high = self.estimates[at] - Z95 * self.errors[at], self.estimates[at] + Z95 * self.errors[at]
        return float(np.exp(self.estimates[at])), float(np.exp(low)), float(np.exp(high))


def pooled_fit(frames: Sequence[pl.DataFrame], target: str, features: Sequence[str]) -> PooledFit:
    """Return the logistic fit over all rows, features standardised by their pooled mean and population deviation."""
    rows = pl.concat([frame.select([*features, target]).cast(pl.Float64) for frame in frames]).drop_nulls()
    x, y = rows.select(features).to_numpy(), rows[target].to_numpy()
    design = np.column_stack([np.ones(len(y)), (x - x.mean(axis=0)) / x.std(axis=0)])
    beta = np.zeros(design.shape[1])
    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(-design @ beta))
        information = design.T @ (design * (chance * (1 - chance))[:, None])
        step = np.linalg.solve(information, design.T @ (y - chance))
        beta = beta + step
        if np.abs(step).max() < SETTLED:
            break
    errors = np.sqrt(np.diag(np.linalg.inv(information)))
    return PooledFit(("intercept", *features), beta, errors)
