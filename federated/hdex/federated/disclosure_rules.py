"""What may be released of one statistic: cells, totals, quantiles, bins, curves, models. Pure checks over numbers.

A breach names rule and limit, never the count found. Zero is a safe count: nobody is in it.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hdex.federated.disclosure import Breach
from hdex.federated.disclosure_regimes import Regime


def small(count: float, regime: Regime) -> bool:
    """Return whether a count is of too few."""
    return 0 < count < regime.cell


def concentration_breaches(values: Sequence[float], regime: Regime) -> list[Breach]:
    """Return what a total of these contributions breaks: dominance (n, k %) and p %.

    Absolute values count. p % that holds at one site holds for the sum over sites: others only add to the rest.
    """
    largest = sorted((abs(value) for value in values if value), reverse=True)
    if not largest:
        return []
    total, found = math.fsum(largest), []
    if math.fsum(largest[: regime.dominance_count]) >= regime.dominance_share * total:
        found.append(Breach("dominance", f"the largest {regime.dominance_count} hold "
                                         f"{regime.dominance_share:.0%} or more of a total"))  # fmt: skip
    if math.fsum(largest[2:]) < regime.p_percent * largest[0]:
        found.append(Breach("p_percent", f"the others hold less than {regime.p_percent:.0%} of the largest"))
    return found


def column_breaches(columns: "Sequence[np.ndarray[Any, np.dtype[np.float64]]]", regime: Regime) -> list[Breach]:
    """Return what sums over these columns break at one site, each rule once. columns: one array of values each.

    A sum that one or two patients make up is theirs, in whatever larger sum it disappears: a flag that only they have.
    """
    found: dict[str, Breach] = {}
    for column in columns:
        found |= {breach.rule: breach for breach in concentration_breaches(np.abs(column).tolist(), regime)}
    return list(found.values())


def bin_breaches(bins: int, n: int, regime: Regime) -> list[Breach]:
    """Return a breach when a histogram has more bins than the observations bear."""
    if bins > regime.bin_share * n:
        return [Breach("bins", f"more bins than {regime.bin_share:.0%} of the observations")]
    return []


def regression_breaches(n: int, parameters: int, regime: Regime) -> list[Breach]:
    """Return a breach when the residual has too few degrees of freedom: a saturated fit repeats its data."""
    if n - parameters < regime.residual_df:
        return [Breach("residual_df", f"fewer than {regime.residual_df} residual degrees of freedom")]
    return []


def model_breaches(membership_auc: Mapping[str, float], regime: Regime, *, epsilon: float | None) -> list[Breach]:
    """Return a breach when a trained model tells at some site who was in its training set; an epsilon bounds that."""
    if epsilon is not None and math.isfinite(epsilon) and epsilon > 0:
        return []
    if not membership_auc or not all(value <= regime.membership_auc for value in membership_auc.values()):
        return [Breach("membership", f"membership is guessed better than AUC {regime.membership_auc:g} at a site")]
    return []
