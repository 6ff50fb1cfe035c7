"""Kaplan-Meier curves with the log-rank test: one round of encrypted counts per group and grid point."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from hdex.federated.disclosure_cells import Partition
from hdex.federated.disclosure_curves import Step, joined_steps
from hdex.federated.disclosure_regimes import Regime
from hdex.federated.distributions import Z95, chi2_p
from hdex.federated.errors import DisclosureRefused, NotConverged, StudyInvalid
from hdex.federated.kinds.grid import Followed, at_risk, check_grid, per_cell, points, read_followed
from hdex.federated.kinds.kind import (
    COUNTS,
    Arrays,
    Asked,
    Cell,
    Encoding,
    Inquiry,
    require_levels,
    require_no_point,
    require_options,
)
from hdex.federated.statistics import Floats

_ALL = ("all",)
_JOINED = "grid points with few events are joined with the next ones, and curves end before few are at risk"


@dataclass(frozen=True, slots=True)
class Lives:
    """A site's follow-up with the group of each row."""

    followed: Followed
    group: Floats  # (n,), index of the level

    @property
    def n(self) -> int:
        """Complete rows."""
        return len(self.group)

    @property
    def events(self) -> int:
        """Rows with an event inside the grid."""
        return int(self.followed.event.sum())

    @property
    def parameters(self) -> int:
        return 1

    @property
    def summed(self) -> Sequence[Floats]:
        return ()  # people are counted, their values are not added


@dataclass(frozen=True, slots=True)
class KaplanMeier:
    """Target: 1 for an event, 0 for censored. Options: `time`, a column; `grid`. One feature with levels for groups."""

    name: str = "kaplan-meier"
    algorithm: str = "kaplan-meier.counts.v1"

    @property
    def steps(self) -> Mapping[str, Encoding]:
        return {"counts": COUNTS}

    def check(self, asked: Asked) -> None:
        require_options(asked, needed=("time", "grid"))
        check_grid(asked)
        if not asked.target or len(asked.features) > 1:
            raise StudyInvalid("kind kaplan-meier needs a target of 0 and 1, and at most one feature for the groups")
        for name in asked.features:
            require_levels(asked, name)

    def columns(self, asked: Asked) -> tuple[str, ...]:
        return (*asked.features, asked.target, str(asked.options["time"]))

    def length(self, asked: Asked, step: str) -> int:
        return 2 * len(groups_of(asked)) * len(asked.options["grid"]) + 1

    def check_point(self, asked: Asked, step: str, point: Arrays | None) -> None:
        require_no_point(step, point)

    def rows(self, frame: pl.DataFrame, asked: Asked) -> Lives:
        followed = read_followed(frame, self.columns(asked), asked)
        group = followed.columns[asked.features[0]] if asked.features else np.zeros(len(followed.event))
        return Lives(followed, group)

    def sums(self, rows: Lives, asked: Asked, step: str, point: Arrays | None) -> Floats:
        size, cell, event = len(asked.options["grid"]), rows.followed.cell, rows.followed.event
        parts = []
        for code in range(len(groups_of(asked))):
            mine = (rows.group == code).astype(np.float64)
            parts += [per_cell(cell, mine * event, size), per_cell(cell, mine, size)]
        return np.concatenate([*parts, [float(rows.followed.dropped)]])

    def partitions(self, rows: Lives, asked: Asked) -> Sequence[Partition]:
        group, cell, event = rows.group.astype(np.int64), rows.followed.cell, rows.followed.event == 1
        found = [Partition(group)]
        for code in np.unique(group):
            mine = group == code
            found += [Partition(np.where(kept, cell, -1), is_ordered=True) for kept in (mine, mine & event)]
        return found

    def inquire(self, asked: Asked) -> Inquiry:
        return SurvivalInquiry(asked)


def groups_of(asked: Asked) -> tuple[str, ...]:
    """Return the levels of the grouping feature, or one group of all."""
    return asked.levels[asked.features[0]] if asked.features else _ALL


class SurvivalInquiry:
    """One round."""

    step, point = "counts", None

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._answer: Survival | None = None
        self.round = 1

    @property
    def settled(self) -> bool:
        return self._answer is not None

    def absorb(self, total: Floats) -> None:
        groups, grid = groups_of(self._asked), points(self._asked)
        table = total[:-1].reshape(len(groups), 2, len(grid))
        events, risk = table[:, 0], at_risk(table[:, 1])
        if not events.sum():
            raise NotConverged("the pooled rows hold no event inside the grid")
        present = [index for index in range(len(groups)) if risk[index, 0] > 0]
        notes = [f"{groups[index]}: no row has this level" for index in range(len(groups)) if index not in present]
        curves = tuple(Curve(groups[index], grid, events[index], risk[index]) for index in present)
        test = log_rank(events[present], risk[present])
        self._answer = Survival(curves, test, dropped=int(total[-1]), warnings=tuple(notes))
        self.round += 1

    def answer(self) -> "Survival":
        assert self._answer is not None, "nothing was counted"
        return self._answer


@dataclass(frozen=True, slots=True)
class Curve:
    """The Kaplan-Meier estimate of one group at the grid points."""

    name: str
    time: Floats
    events: Floats
    risk: Floats  # at risk just before each point

    @property
    def survival(self) -> Floats:
        """Product over the points so far of 1 - events / at risk."""
        kept = 1.0 - np.divide(self.events, self.risk, out=np.zeros_like(self.risk), where=self.risk > 0)
        return np.asarray(np.cumprod(kept), dtype=np.float64)

    @property
    def se(self) -> Floats:
        """Greenwood's standard error; 0 once nobody survives."""
        rest = self.risk - self.events
        terms = np.divide(self.events, self.risk * rest, out=np.zeros_like(rest), where=self.risk * rest > 0)
        return np.asarray(self.survival * np.sqrt(np.cumsum(terms)), dtype=np.float64)

    def median(self) -> float | None:
        """Return the first time at which half or fewer survive."""
        below = np.flatnonzero(self.survival <= 0.5)
        return float(self.time[below[0]]) if len(below) else None

    def document(self) -> dict[str, Any]:
        """Return the JSON document: one row per point with an event."""
        survival, se = self.survival, self.se
        rows = []
        for at in np.flatnonzero(self.events):
            low, high = _interval(float(survival[at]), float(se[at]))
            rows.append(
                {
                    "time": float(self.time[at]), "at_risk": int(self.risk[at]), "events": int(self.events[at]),
                    "survival": float(survival[at]), "se": float(se[at]), "ci_low": low, "ci_high": high,
                }
            )  # fmt: skip
        n, events = int(self.risk[0]), int(self.events.sum())
        return {"name": self.name, "n": n, "events": events, "median": self.median(), "curve": rows}


def _interval(survival: float, se: float) -> tuple[float, float]:
    """Return the 95 % interval on the log-log scale, which stays inside 0 and 1."""
    if not 0 < survival < 1:
        return survival, survival
    width = Z95 * se / (survival * math.log(survival))
    ends = survival ** math.exp(-width), survival ** math.exp(width)
    return min(ends), max(ends)


def log_rank(events: Floats, risk: Floats) -> dict[str, Any] | None:
    """Return the log-rank test of k groups, events and at risk (k, cells); None for one group.

    The variance is hypergeometric at each point, as in every textbook; one group is left out of the quadratic form.
    """
    k = len(events)
    if k < 2:
        return None
    d, n = events.sum(axis=0), risk.sum(axis=0)
    share = np.divide(risk, n, out=np.zeros_like(risk), where=n > 0)
    excess = (events - d * share).sum(axis=1)[1:]
    weight = np.where(n > 1, d * (n - d) / np.maximum(n - 1, 1), 0.0)
    covariance = (np.diag((weight * share).sum(axis=1)) - (weight * share) @ share.T)[1:, 1:]
    try:
        statistic = float(excess @ np.linalg.solve(covariance, excess))
    except np.linalg.LinAlgError:
        return None  # a group is never at risk while another has an event
    return {"statistic": statistic, "df": k - 1, "p": chi2_p(statistic, k - 1)}


def _sums(events: Floats, risk: Floats, steps: Sequence[Step]) -> tuple[Floats, Floats]:
    """Return events and at risk of joined steps; events, risk: (..., grid points)."""
    joined = [events[..., step.start : step.end + 1].sum(axis=-1) for step in steps]
    return np.stack(joined, axis=-1), np.stack([risk[..., step.start] for step in steps], axis=-1)


def _joined(curve: Curve, steps: Sequence[Step]) -> Curve:
    if not steps:
        raise DisclosureRefused("small_cell", f"{curve.name}: no step of the curve has enough events or rows at risk")
    events, risk = _sums(curve.events, curve.risk, steps)
    return Curve(curve.name, curve.time[[step.end for step in steps]], events, risk)


@dataclass(frozen=True, slots=True)
class Survival:
    """What a Kaplan-Meier study answers."""

    curves: tuple[Curve, ...]
    test: dict[str, Any] | None
    dropped: int
    warnings: tuple[str, ...]

    def told(self, floors: Regime) -> "Survival":
        """Return the answer on a grid joined until each step has 0 or enough events, cut before few are at risk."""
        events, risk = (np.array([getattr(curve, name) for curve in self.curves]) for name in ("events", "risk"))
        steps = joined_steps(events, risk, floors)
        if [(step.start, step.end, all(step.told)) for step in steps] == [
            (at, at, True) for at in range(risk.shape[1])
        ]:
            return self
        curves = tuple(_joined(curve, [s for s in steps if s.told[at]]) for at, curve in enumerate(self.curves))
        common = [step for step in steps if all(step.told)]
        test = log_rank(*_sums(events, risk, common)) if common else None
        return Survival(curves, test, self.dropped, (*self.warnings, _JOINED))

    def cells(self) -> Sequence[Cell]:
        """Return the events of every step, and each group's rows."""
        steps = [
            Cell(f"{curve.name}, events at {time:g}", int(events))
            for curve in self.curves
            for time, events in zip(curve.time, curve.events, strict=True)
        ]
        return [*steps, *(Cell(curve.name, int(curve.risk[0])) for curve in self.curves)]

    def document(self) -> dict[str, Any]:
        """Return the JSON document."""
        return {
            "groups": [curve.document() for curve in self.curves],
            "log_rank": self.test,
            "n": sum(int(curve.risk[0]) for curve in self.curves),
            "dropped": self.dropped,
            "warnings": list(self.warnings),
        }
