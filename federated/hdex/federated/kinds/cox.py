"""Cox regression with Breslow's ties: risk-set sums on a public grid, over all sites or within each site.

Vectors (p design columns, U = p (p + 1) / 2, J grid points), after the shared moments:
  newton, common baseline     events per point (J), sum of z over events (p), then what leaves at each point: sum of
                              exp(eta) (J), of z exp(eta) (p J), of z z' exp(eta) (U J)
  newton, strata = site       log partial likelihood, gradient (p), U of the information
  refine                      newton, then sum z (p), sum z^2 (p)
The coordinator adds from the end: whoever leaves later is still at risk.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from hdex.federated.coefficients import Regressed, slopes_of
from hdex.federated.disclosure import Breach
from hdex.federated.disclosure_cells import Partition
from hdex.federated.disclosure_regimes import Regime
from hdex.federated.disclosure_rules import column_breaches
from hdex.federated.errors import NotConverged, StudyInvalid
from hdex.federated.kinds.columns import design, design_names
from hdex.federated.kinds.grid import at_risk, check_grid, per_cell, read_followed
from hdex.federated.kinds.kind import MOMENTS, WIDE, Arrays, Asked, Encoding, Inquiry, require_options
from hdex.federated.kinds.regression import as_point, check_point, flags
from hdex.federated.newton import Fit, NewtonInquiry, Terms
from hdex.federated.newton import Moments as Pooled
from hdex.federated.statistics import (
    FAMILIES,
    Floats,
    Local,
    Point,
    moments,
    moments_length,
    newton_length,
    scaled_moments,
    symmetric,
    triangle,
)

STRATA = ("none", "site")


@dataclass(frozen=True, slots=True)
class Hazards:
    """A site's rows: covariates, and when each is followed until."""

    x: Floats  # (n, p)
    event: Floats  # (n,)
    cell: np.ndarray  # (n,), index into the grid
    dropped: int

    @property
    def n(self) -> int:
        """Complete rows."""
        return len(self.event)

    @property
    def events(self) -> int:
        """Rows with an event inside the grid."""
        return int(self.event.sum())

    @property
    def parameters(self) -> int:
        """Coefficients."""
        return int(self.x.shape[1])

    @property
    def summed(self) -> Sequence[Floats]:
        """The design's columns."""
        return list(self.x.T)


@dataclass(frozen=True, slots=True)
class Cox:
    """Target: 1 for an event, 0 for censored. Options: `time`, a column; `grid`; `strata`, none or site."""

    name: str = "cox"
    algorithm: str = "cox.newton.v1"

    @property
    def steps(self) -> Mapping[str, Encoding]:
        return {"moments": MOMENTS, "refine": WIDE, "newton": WIDE}

    def check(self, asked: Asked) -> None:
        require_options(asked, needed=("time", "grid"), allowed=("strata",))
        check_grid(asked)
        if not asked.features or not asked.target:
            raise StudyInvalid("kind cox needs a target of 0 and 1 and at least one feature")
        if asked.options.get("strata", "none") not in STRATA:
            raise StudyInvalid(f"strata must be one of {', '.join(STRATA)}")

    def columns(self, asked: Asked) -> tuple[str, ...]:
        return (*asked.features, asked.target, str(asked.options["time"]))

    def length(self, asked: Asked, step: str) -> int:
        p = len(design_names(asked))
        if step == "moments":
            return moments_length(p)
        cells = len(asked.options["grid"])
        newton = newton_length(p) if _is_stratified(asked) else cells * (2 + p + triangle(p)) + p
        return newton + (2 * p if step == "refine" else 0)

    def check_point(self, asked: Asked, step: str, point: Arrays | None) -> None:
        p = len(design_names(asked))
        check_point(step, point, parameters=p, p=p)

    def rows(self, frame: pl.DataFrame, asked: Asked) -> Hazards:
        followed = read_followed(frame, self.columns(asked), asked)
        return Hazards(design(followed.columns, asked), followed.event, followed.cell, followed.dropped)

    def sums(self, rows: Hazards, asked: Asked, step: str, point: Arrays | None) -> Floats:
        if step == "moments":
            local = Local(rows.x, rows.event, rows.dropped, np.zeros(rows.n))
            return moments(local, FAMILIES["logistic"])
        at = as_point(point)
        leaving = leaving_sums(rows, at, len(asked.options["grid"]))
        if _is_stratified(asked):
            terms = partial_likelihood(leaving, at.beta)
            upper = terms.information[np.triu_indices(len(at.beta))]
            leaving = np.concatenate([[terms.objective], terms.gradient, upper])
        return np.concatenate([leaving, scaled_moments(rows.x, at)]) if step == "refine" else leaving

    def breaches(self, rows: Hazards, asked: Asked, step: str, point: Arrays | None, floors: Regime) -> list[Breach]:
        """Return what a common baseline would tell of one or two patients: its sums are told point by point."""
        found = []
        if point is not None:
            weights = leaving_weights(rows, as_point(point))
            found = column_breaches([weights] if np.isfinite(weights).all() else [], floors)
        sizes = np.bincount(rows.cell)
        if not _is_stratified(asked) and ((sizes > 0) & (sizes <= floors.dominance_count)).any():
            few = f"a grid point is that of {floors.dominance_count} patients or fewer"
            found.append(Breach("dominance", f"{few}: a coarser grid, or strata = site, tells none"))
        return found

    def partitions(self, rows: Hazards, asked: Asked) -> Sequence[Partition]:
        return flags(rows.x)

    def inquire(self, asked: Asked) -> Inquiry:
        return NewtonInquiry(asked, CoxModel(stratified=_is_stratified(asked), cells=len(asked.options["grid"])))


def _is_stratified(asked: Asked) -> bool:
    return bool(asked.options.get("strata", "none") == "site")


def leaving_weights(rows: Hazards, point: Point) -> Floats:
    """Return exp(eta) of each row, shape (n,)."""
    with np.errstate(over="ignore"):
        return np.asarray(np.exp((rows.x - point.centre) / point.scale @ point.beta))


def leaving_sums(rows: Hazards, point: Point, cells: int) -> Floats:
    """Return the vector of a common baseline."""
    z = (rows.x - point.centre) / point.scale
    weight = np.exp(z @ point.beta)
    p: int = z.shape[1]
    parts = [per_cell(rows.cell, rows.event, cells), z.T @ rows.event, per_cell(rows.cell, weight, cells)]
    parts += [per_cell(rows.cell, weight * z[:, i], cells) for i in range(p)]
    parts += [per_cell(rows.cell, weight * z[:, i] * z[:, j], cells) for i in range(p) for j in range(i, p)]
    return np.concatenate(parts)


def partial_likelihood(total: Floats, beta: Floats) -> Terms:
    """Return Breslow's log partial likelihood, gradient and information from the vector of a common baseline."""
    p = len(beta)
    cells = (len(total) - p) // (2 + p + triangle(p))
    events, over_events, rest = total[:cells], total[cells : cells + p], total[cells + p :]
    risk = at_risk(rest.reshape(-1, cells))
    busy = events > 0
    d, s0, s1, s2 = events[busy], risk[0, busy], risk[1 : 1 + p, busy], risk[1 + p :, busy]
    mean = s1 / s0
    objective = float(over_events @ beta - d @ np.log(s0))
    second = symmetric((s2 / s0) @ d, p) - (mean * d) @ mean.T
    return Terms(objective, over_events - mean @ d, second, np.zeros(0))


class CoxModel:
    """Cox regression at the coordinator."""

    intercept = False

    def __init__(self, *, stratified: bool, cells: int) -> None:
        self._stratified = stratified
        self._cells = cells

    def start(self, moments: Pooled, centre: Floats, scale: Floats) -> tuple[Point, None]:
        if moments.sum_y == 0:
            raise NotConverged("the pooled rows hold no event inside the grid")
        return Point(np.zeros(len(centre)), centre, scale), None

    def terms(self, total: Floats, point: Point) -> Terms:
        p = len(point.beta)
        end = newton_length(p) if self._stratified else self._cells * (2 + p + triangle(p)) + p
        if self._stratified:
            information = symmetric(total[1 + p : end], p)
            return Terms(float(total[0]), total[1 : 1 + p], information, total[end:])
        terms = partial_likelihood(total[:end], point.beta)
        return Terms(terms.objective, terms.gradient, terms.information, total[end:])

    def regressed(self, fit: Fit, asked: Asked) -> Regressed:
        return slopes_of(fit, asked, "cox")
