"""Survival curves as they may be told: neighbouring grid points joined until each step has 0 or enough events.

All groups keep one grid, so that the told answer is the one that the coarser grid would have given, log-rank included.
A group's curve ends before fewer than the floor are at risk; censor marks are not told.
"""

from dataclasses import dataclass

import numpy as np

from hdex.federated.disclosure_regimes import Regime
from hdex.federated.disclosure_rules import small
from hdex.federated.statistics import Floats


@dataclass(frozen=True, slots=True)
class Step:
    """Grid points `start` to `end`, both within, told as one."""

    start: int
    end: int
    told: tuple[bool, ...]  # of each group, whether its curve reaches as far


def joined_steps(events: Floats, risk: Floats, floors: Regime) -> list[Step]:
    """Return the steps that may be told, in order. events, risk: (groups, grid points), at risk before each point.

    What waits at the end without enough events, and what lies beyond a group's end, is in no step.
    """
    points = events.shape[1]
    enough = risk >= max(floors.at_risk, 1)
    ends = np.where(enough.all(axis=1), points, np.argmin(enough, axis=1))
    found, start = list[Step](), 0
    for at in range(int(ends.max(initial=0))):
        told = ends > at
        waiting = events[told, start : at + 1].sum(axis=1)
        if not any(small(float(count), floors) for count in waiting):
            found.append(Step(start, at, tuple(told.tolist())))
            start = at + 1
    return found
