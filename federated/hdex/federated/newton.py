"""Exact Newton for regressions, fed with pooled sums: a pure state machine, one vector per round.

Round 1 takes raw moments: centre, scale, and the first step from the model with the intercept alone, which needs no
more than moments. Round 2 steps and corrects centre and scale by the moments of the scaled columns (raw second moments
cancel). Later rounds step until the step is below TOLERANCE; the information is then that of the solution.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hdex.federated.coefficients import Regressed, table_of
from hdex.federated.errors import DesignSingular, NotConverged
from hdex.federated.kinds.columns import design_factors, design_names
from hdex.federated.kinds.kind import Asked
from hdex.federated.statistics import Family, Floats, Point, newton_length, symmetric

TOLERANCE = 2e-11  # largest step on the standardised scale: the information is that of the point before it
_CONDITION = 1e11
_VARIES = 1e-10  # smallest variance relative to the mean square that raw moments can resolve


@dataclass(frozen=True, slots=True)
class Moments:
    """Pooled raw moments of the complete rows."""

    n: int
    dropped: int
    sum_y: float
    sum_yy: float
    base: float
    exposure: float
    sum_x: Floats  # (p,)
    sum_xy: Floats  # (p,)
    cross: Floats  # (p, p)

    @classmethod
    def of(cls, total: Floats, p: int) -> "Moments":
        """Return the moments in a pooled vector."""
        n, dropped, sum_y, sum_yy, base, exposure = total[:6].tolist()
        rest = total[6:]
        return cls(
            n=round(n),
            dropped=round(dropped),
            sum_y=sum_y,
            sum_yy=sum_yy,
            base=base,
            exposure=exposure,
            sum_x=rest[:p],
            sum_xy=rest[p : 2 * p],
            cross=symmetric(rest[2 * p :], p),
        )


@dataclass(frozen=True, slots=True)
class Terms:
    """One Newton step's pooled value, gradient and information."""

    objective: float
    gradient: Floats
    information: Floats
    tail: Floats  # moments of the scaled columns, in step refine


class Model(Protocol):
    """What differs between regressions at the coordinator."""

    intercept: bool

    def start(self, moments: Moments, centre: Floats, scale: Floats) -> tuple[Point, Terms | None]:
        """Return the first point, and the terms there if moments give them. Raises NotConverged."""
        ...

    def terms(self, total: Floats, point: Point) -> Terms:
        """Return the terms in a pooled vector."""
        ...

    def regressed(self, fit: "Fit", asked: Asked) -> Regressed:
        """Return the answer of a settled fit."""
        ...


@dataclass(frozen=True, slots=True)
class Fit:
    """The settled fit on the working scale of `point`."""

    point: Point
    covariance: Floats  # inverse of the penalised information
    objective: float  # log-likelihood as sites sum it
    moments: Moments
    deviation: Floats  # pooled population standard deviation of each design column
    active: Floats  # of booleans as 0 and 1: design columns that the fit has
    warnings: tuple[str, ...]
    total: Floats  # the last pooled vector


class GlmModel:
    """Linear, logistic and Poisson regression."""

    intercept = True

    def __init__(self, family: Family, *, has_exposure: bool) -> None:
        self._family = family
        self._has_exposure = has_exposure

    def start(self, moments: Moments, centre: Floats, scale: Floats) -> tuple[Point, Terms | None]:
        p, n = len(centre), moments.n
        self._check(moments)
        mean, response = moments.sum_y / n, np.array([0.0, 1.0])
        if self._family.name == "linear":
            spread = np.sqrt(max(moments.sum_yy / n - mean**2, 0.0)) or 1.0
            mean, response = 0.0, np.array([mean, spread])
        if self._has_exposure:
            mean = moments.sum_y / moments.exposure
        beta = np.concatenate([[self._family.link(mean)], np.zeros(p)])
        point = Point(beta, centre, scale, response)
        if self._has_exposure:
            return point, None  # the first step would need moments weighted by exposure
        information = np.zeros((p + 1, p + 1))
        information[0, 0] = n
        information[1:, 1:] = (moments.cross - n * np.outer(centre, centre)) / np.outer(scale, scale)
        gradient = np.concatenate([[0.0], (moments.sum_xy - moments.sum_y * centre) / scale / response[1]])
        weight = float(self._family.variance(np.array([mean]))[0])
        return point, Terms(0.0, gradient, weight * information, np.zeros(0))

    def _check(self, moments: Moments) -> None:
        if moments.n == 0:
            raise NotConverged("the pooled rows are none: every row misses a value, or the sites are empty")
        if self._family.name == "logistic" and not 0 < moments.sum_y < moments.n:
            raise NotConverged("the pooled rows hold one outcome class only; choose a target that varies")
        if self._family.name == "poisson" and moments.sum_y == 0:
            raise NotConverged("the pooled rows hold no event; choose a target that occurs")
        flat = moments.sum_yy / moments.n - (moments.sum_y / moments.n) ** 2 <= _VARIES * moments.sum_yy / moments.n
        if self._family.name == "linear" and flat:
            raise NotConverged("the pooled target does not vary")

    def terms(self, total: Floats, point: Point) -> Terms:
        size = len(point.beta)
        end = newton_length(size)
        return Terms(float(total[0]), total[1 : 1 + size], symmetric(total[1 + size : end], size), total[end:])

    def regressed(self, fit: Fit, asked: Asked) -> Regressed:
        return table_of(fit, asked, self._family.name)


class NewtonInquiry:
    """Ask `step` at `point`, sum over the sites, `absorb`; until `settled`."""

    def __init__(self, asked: Asked, model: Model) -> None:
        self._asked = asked
        self._model = model
        self._names = design_names(asked)
        self._p = len(self._names)
        self._head = int(model.intercept)
        self.round = 1
        self.step = "moments"
        self.point: Point | None = None
        self.fit: Fit | None = None
        self._active = np.ones(self._p, dtype=bool)
        self._warnings: list[str] = []
        self._deviation = np.ones(self._p)
        self._previous: tuple[Floats, float] | None = None  # beta and objective before the last step

    @property
    def settled(self) -> bool:
        return self.fit is not None

    def answer(self) -> Regressed:
        assert self.fit is not None, "the fit has not settled"
        return self._model.regressed(self.fit, self._asked)

    def absorb(self, total: Floats) -> None:
        if self.step == "moments":
            self._start(Moments.of(total, self._p))
        else:
            self._advance(total)
        self.round += 1
        if self.fit is None and self.round > self._asked.max_rounds:
            raise NotConverged(
                f"not settled after {self._asked.max_rounds} rounds: a column separates the outcome classes, "
                "or too few rounds are allowed; leave columns out, set l2 above 0 or raise max_rounds"
            )

    def _start(self, moments: Moments) -> None:
        self._moments = moments
        n = max(moments.n, 1)
        self._leave_out_absent_levels(moments)
        centre = moments.sum_x / n
        square = np.diag(moments.cross) / n
        variance = np.where(self._active, square - centre**2, 1.0)
        centre = np.where(self._active, centre, 0.0)
        origin, _ = self._model.start(moments, centre, np.ones(self._p))  # refuses what cannot be fitted at all
        self._require_variation(variance, square)
        scale = np.sqrt(variance)
        self._deviation = scale
        origin, terms = self._model.start(moments, centre, scale)
        self.point, self.step = origin, "refine"
        if terms is not None:
            step = self._solve(terms.information + np.diag(self._penalty(origin)), terms.gradient)
            self.point = self._at(origin, origin.beta + step)

    def _leave_out_absent_levels(self, moments: Moments) -> None:
        """Leave out levels that no row has; the first level with rows takes the place of an absent reference."""
        for feature, positions in design_factors(self._asked):
            at = list(positions)
            counts = moments.sum_x[at]
            for position, count in zip(at, counts, strict=True):
                if count == 0:
                    self._leave_out(position, f"{self._names[position]}: no row has this level; it is left out")
            if at and moments.n and counts.sum() == moments.n:
                position = at[int(np.flatnonzero(counts)[0])]
                level = self._names[position]
                self._leave_out(position, f"{feature}: no row has the reference level; {level} is the reference")

    def _leave_out(self, position: int, warning: str) -> None:
        self._active[position] = False
        self._warnings.append(warning)

    def _require_variation(self, variance: Floats, square: Floats) -> None:
        flat = [
            name
            for name, active, v, s in zip(self._names, self._active, variance, square, strict=True)
            if active and v <= _VARIES * s
        ]
        if flat:
            raise DesignSingular(f"pooled, these columns vary too little for their size: {', '.join(flat)}")

    def _advance(self, total: Floats) -> None:
        assert self.point is not None
        terms = self._model.terms(total, self.point)
        penalty = self._penalty(self.point)
        objective = terms.objective - 0.5 * float(penalty @ self.point.beta**2)
        if self._overshot(objective):
            return
        information = terms.information + np.diag(penalty)
        step = self._solve(information, terms.gradient - penalty * self.point.beta)
        settled = self.step == "newton" and float(np.abs(step).max()) <= TOLERANCE
        self._previous = (self.point.beta, objective)
        point = self._at(self.point, self.point.beta + step)
        self.point = self._rescale(point, terms.tail) if self.step == "refine" else point
        self.step = "newton"
        if settled:
            self._settle(terms.objective, information, total)

    def _at(self, point: Point, beta: Floats) -> Point:
        return Point(beta, point.centre, point.scale, point.response)

    def _overshot(self, objective: float) -> bool:
        """Halve the last step when it made the objective worse (quantisation noise does not count)."""
        if self._previous is None or self.point is None:
            return False
        beta, before = self._previous
        if objective >= before - 1e-9 * (1 + abs(before)):
            return False
        self.point, self.step = self._at(self.point, (beta + self.point.beta) / 2), "newton"
        return True

    def _rescale(self, point: Point, tail: Floats) -> Point:
        """Return the same model on corrected centre and scale: exact mean 0 and deviation 1."""
        mean, square = tail[: self._p] / self._moments.n, tail[self._p :] / self._moments.n
        mean = np.where(self._active, mean, 0.0)
        spread = np.where(self._active, np.sqrt(np.maximum(square - mean**2, 1e-300)), 1.0)
        if self._previous is not None:
            old, objective = self._previous
            self._previous = (self._moved(old, mean, spread), objective)
        self._deviation = point.scale * spread
        beta = self._moved(point.beta, mean, spread)
        return Point(beta, point.centre + point.scale * mean, self._deviation, point.response)

    def _moved(self, beta: Floats, mean: Floats, spread: Floats) -> Floats:
        slopes = beta[self._head :]
        intercept = [beta[0] + slopes @ mean] if self._head else []
        return np.concatenate([intercept, slopes * spread])

    def _penalty(self, point: Point) -> Floats:
        """Return the diagonal of the penalty on the working scale; the intercept has none."""
        reported = self._deviation if self._asked.standardize == "global" else np.ones(self._p)
        return np.concatenate([np.zeros(self._head), self._asked.l2 * (reported / point.scale) ** 2])

    def _kept(self) -> np.ndarray:
        return np.concatenate([np.ones(self._head, dtype=bool), self._active])

    def _solve(self, information: Floats, gradient: Floats) -> Floats:
        if not np.isfinite(information).all() or not np.isfinite(gradient).all():
            raise NotConverged("the sums are not finite: the fit diverges")
        kept = self._kept()
        inner = information[np.ix_(kept, kept)]
        values, vectors = np.linalg.eigh(inner)
        if values[0] <= 0 or values[-1] / values[0] > _CONDITION:
            names = np.array([*["intercept"][: self._head], *self._names])[kept]
            named = [name for name, weight in zip(names, vectors[:, 0], strict=True) if abs(weight) > 0.3]
            raise DesignSingular(
                f"columns repeat one another or separate the classes: {', '.join(named)}; "
                "leave one of them out or set l2 above 0"
            )
        step = np.zeros(len(gradient))
        step[kept] = np.linalg.solve(inner, gradient[kept])
        return step

    def _settle(self, objective: float, information: Floats, total: Floats) -> None:
        assert self.point is not None
        kept = self._kept()
        covariance = np.zeros_like(information)
        covariance[np.ix_(kept, kept)] = np.linalg.inv(information[np.ix_(kept, kept)])
        self.fit = Fit(
            point=self.point,
            covariance=covariance,
            objective=objective,
            moments=self._moments,
            deviation=self._deviation,
            active=self._active.astype(np.float64),
            warnings=tuple(self._warnings),
            total=total,
        )
