"""What may be released of one statistic: cells, totals, quantiles, bins, curves, models. Pure checks over numbers.

A breach names rule and limit, never the count found. Zero is a safe count: nobody is in it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hdex.federated.disclosure import Breach
from hdex.federated.disclosure_regimes import Regime

FORBIDDEN = frozenset({"minimum", "maximum", "range", "mode_value"})  # each is one person's value


def small(count: float, regime: Regime) -> bool:
    """Return whether a count is of too few."""
    return 0 < count < regime.cell


def statistic_breaches(name: str) -> list[Breach]:
    """Return a breach for a statistic that is somebody's value whatever the numbers."""
    return [Breach("extreme", f"a {name} is one person's value")] if name in FORBIDDEN else []


def cell_breaches(counts: Sequence[float], regime: Regime) -> list[Breach]:
    """Return a breach when a released count is of too few; percentages with n, ratios and rates count as their cell."""
    if any(small(count, regime) for count in counts):
        return [Breach("min_cell", f"a cell holds fewer than {regime.cell}")]
    return []


def ratio_breaches(numerator: float, denominator: float, regime: Regime) -> list[Breach]:
    """Return breaches of a proportion: it gives numerator and complement away."""
    return cell_breaches([numerator, denominator - numerator, denominator], regime)


def total_breaches(values: Sequence[float], regime: Regime) -> list[Breach]:
    """Return what a total of these contributions breaks: number, dominance (n, k %) and p %.

    Absolute values count. A rule that holds at one site holds for the sum over sites: others only add to the rest.
    """
    largest = sorted((abs(value) for value in values if value), reverse=True)
    found = cell_breaches([len(largest)], regime)
    return found + concentration_breaches(largest, regime)


def concentration_breaches(values: Sequence[float], regime: Regime) -> list[Breach]:
    """Return breaches of dominance and p % alone."""
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


def quantile_breaches(probability: float, n: int, regime: Regime) -> list[Breach]:
    """Return a breach when too few lie on one side of a quantile."""
    below = math.floor(probability * n)
    if min(below, n - below) < regime.quantile_side:
        return [Breach("quantile", f"fewer than {regime.quantile_side} on one side of a quantile")]
    return []


def histogram_breaches(counts: Sequence[int], regime: Regime) -> list[Breach]:
    """Return breaches of a histogram: bins beyond 10 % of n, cells of few."""
    n, found = sum(counts), cell_breaches(counts, regime)
    if len(counts) > regime.bin_share * n:
        found.append(Breach("bins", f"more bins than {regime.bin_share:.0%} of the observations"))
    return found


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


@dataclass(frozen=True, slots=True)
class Step:
    """One interval of a survival curve's public time grid: (start, end]."""

    start: float
    end: float
    at_risk: int  # at its start
    events: int
    censored: int


def release_steps(steps: Sequence[Step], regime: Regime) -> list[Step]:
    """Return the steps that may be released: each with 0 or enough events, none below the floor at risk.

    Neighbours are merged until they hold enough; what is left over at the end is cut off. Censor marks are not for
    release: `censored` of a merged step is 0, and numbers at risk say it only as a sum.
    """
    merged: list[Step] = []
    waiting: Step | None = None
    for step in steps:
        if step.at_risk < max(regime.at_risk, 1):
            break
        waiting = step if waiting is None else _join(waiting, step)
        if not small(waiting.events, regime):
            merged.append(Step(waiting.start, waiting.end, waiting.at_risk, waiting.events, 0))
            waiting = None
    return merged


def _join(first: Step, second: Step) -> Step:
    return Step(first.start, second.end, first.at_risk, first.events + second.events, first.censored + second.censored)
