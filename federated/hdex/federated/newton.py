"""Exact Newton for logistic regression, fed with pooled sums: a pure state machine, one vector per round.

Round 1 takes raw moments: centre, scale, and the first step from the model with the intercept alone, which needs no
more than moments. Round 2 steps and corrects centre and scale by the moments of the scaled columns (raw second moments
cancel). Later rounds step until the step is below TOLERANCE; the information is then that of the solution.
"""

from dataclasses import dataclass

import numpy as np

from hdex.federated.errors import DesignSingular, NotConverged
from hdex.federated.statistics import Floats, Point, symmetric, triangle, vector_length
from hdex.federated.study import Study

TOLERANCE = 1e-9  # largest step on the standardised scale; the next error is its square
_CONDITION = 1e11
_VARIES = 1e-10  # smallest variance relative to the mean square that raw moments can resolve


@dataclass(frozen=True, slots=True)
class Fit:
    """The settled fit on the working scale of `point`."""

    point: Point
    covariance: Floats
    log_likelihood: float
    n: int
    events: int
    dropped: int
    deviation: Floats  # pooled population standard deviation of each feature
    mean: Floats


class NewtonFit:
    """Ask `step` and `point`, sum over the sites, `absorb`; until `fit` is there."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._p = len(study.features)
        self.round = 1
        self.step = "moments"
        self.point: Point | None = None
        self.fit: Fit | None = None
        self._n = self._events = self._dropped = 0
        self._deviation = np.ones(self._p)
        self._previous: tuple[Floats, float] | None = None  # beta and objective before the last step

    def absorb(self, total: Floats) -> None:
        """Take the pooled vector of the current round and move to the next, or settle."""
        if len(total) != vector_length(self.step, self._p):
            raise NotConverged(
                f"{len(total)} sums for step {self.step}; {vector_length(self.step, self._p)} are needed"
            )
        if self.step == "moments":
            self._start(total)
        else:
            self._advance(total)
        self.round += 1
        if self.fit is None and self.round > self._study.max_rounds:
            raise NotConverged(
                f"not settled after {self._study.max_rounds} rounds: separated classes, or too few rounds allowed"
            )

    def _start(self, total: Floats) -> None:
        p, n = self._p, total[0]
        self._n, self._dropped, self._events = round(n), round(total[1]), round(total[2])
        if not 0 < self._events < self._n:
            raise NotConverged("the pooled rows hold one outcome class or none")
        sum_x, sum_xy = total[3 : 3 + p], total[3 + p : 3 + 2 * p]
        cross = symmetric(total[3 + 2 * p :], p)
        centre = sum_x / n
        variance = np.diag(cross) / n - centre**2
        self._require_variation(variance, np.diag(cross) / n)
        scale = np.sqrt(variance)
        rate = self._events / n
        information = np.zeros((p + 1, p + 1))
        information[0, 0] = n
        information[1:, 1:] = (cross - n * np.outer(centre, centre)) / np.outer(scale, scale)
        gradient = np.concatenate([[0.0], (sum_xy - self._events * centre) / scale])
        self._deviation = scale
        beta = np.concatenate([[np.log(rate / (1 - rate))], np.zeros(p)])
        origin = Point(beta, centre, scale)
        step = self._solve(rate * (1 - rate) * information + np.diag(self._penalty(origin)), gradient)
        self.point, self.step = Point(beta + step, centre, scale), "refine"

    def _require_variation(self, variance: Floats, square: Floats) -> None:
        flat = [name for name, v, s in zip(self._study.features, variance, square, strict=True) if v <= _VARIES * s]
        if flat:
            raise DesignSingular(f"pooled, these columns vary too little for their size: {', '.join(flat)}")

    def _advance(self, total: Floats) -> None:
        assert self.point is not None
        size = self._p + 1
        end = 1 + size + triangle(size)
        penalty = self._penalty(self.point)
        objective = float(total[0] - 0.5 * penalty @ self.point.beta**2)
        if self._overshot(objective):
            return
        gradient = total[1 : 1 + size] - penalty * self.point.beta
        information = symmetric(total[1 + size : end], size) + np.diag(penalty)
        step = self._solve(information, gradient)
        settled = self.step == "newton" and float(np.abs(step).max()) <= TOLERANCE
        self._previous = (self.point.beta, objective)
        point = Point(self.point.beta + step, self.point.centre, self.point.scale)
        self.point = self._rescale(point, total[end:]) if self.step == "refine" else point
        self.step = "newton"
        if settled:
            self.fit = self._settle(float(total[0]), information)

    def _overshot(self, objective: float) -> bool:
        """Halve the last step when it made the objective worse (quantisation noise does not count)."""
        if self._previous is None or self.point is None:
            return False
        beta, before = self._previous
        if objective >= before - 1e-9 * (1 + abs(before)):
            return False
        self.point = Point((beta + self.point.beta) / 2, self.point.centre, self.point.scale)
        self.step = "newton"
        return True

    def _rescale(self, point: Point, tail: Floats) -> Point:
        """Return the same model on corrected centre and scale: exact mean 0 and deviation 1."""
        mean, square = tail[: self._p] / self._n, tail[self._p :] / self._n
        spread = np.sqrt(square - mean**2)
        beta = np.concatenate([[point.beta[0] + point.beta[1:] @ mean], point.beta[1:] * spread])
        if self._previous is not None:
            old, objective = self._previous
            self._previous = (np.concatenate([[old[0] + old[1:] @ mean], old[1:] * spread]), objective)
        self._deviation = point.scale * spread
        return Point(beta, point.centre + point.scale * mean, self._deviation)

    def _penalty(self, point: Point) -> Floats:
        """Return the diagonal of the penalty on the working scale; the intercept has none."""
        reported = self._deviation if self._study.standardize == "global" else np.ones(self._p)
        return np.concatenate([[0.0], self._study.l2 * (reported / point.scale) ** 2])

    def _solve(self, information: Floats, gradient: Floats) -> Floats:
        if not np.isfinite(information).all() or not np.isfinite(gradient).all():
            raise NotConverged("the sums are not finite: the fit diverges")
        values, vectors = np.linalg.eigh(information)
        if values[0] <= 0 or values[-1] / values[0] > _CONDITION:
            names = [
                name for name, weight in zip(self._study.features, vectors[1:, 0], strict=True) if abs(weight) > 0.3
            ]
            raise DesignSingular(
                f"columns repeat one another or separate the classes: {', '.join(names) or 'intercept'}"
            )
        return np.linalg.solve(information, gradient).astype(np.float64)

    def _settle(self, log_likelihood: float, information: Floats) -> Fit:
        assert self.point is not None
        covariance = np.linalg.inv(information).astype(np.float64)
        return Fit(
            point=self.point,
            covariance=covariance,
            log_likelihood=log_likelihood,
            n=self._n,
            events=self._events,
            dropped=self._dropped,
            deviation=self._deviation,
            mean=self.point.centre,
        )
