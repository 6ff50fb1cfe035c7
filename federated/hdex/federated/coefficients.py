"""The table of a regression: estimates with standard errors, intervals and p, on raw and standardised scale."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from hdex.federated.distributions import Z95, normal_p, t_p, t_quantile
from hdex.federated.errors import NotConverged
from hdex.federated.kinds.columns import design_names
from hdex.federated.kinds.kind import Asked, Cell
from hdex.federated.statistics import Floats

if TYPE_CHECKING:
    from hdex.federated.newton import Fit

RATIOS = {"logistic": "odds_ratio", "poisson": "rate_ratio", "cox": "hazard_ratio"}  # what exp(estimate) is called


@dataclass(frozen=True, slots=True)
class Coefficient:
    """One row of the table."""

    name: str
    estimate: float
    se: float
    z: float  # estimate / se; Student's t in linear regression
    p: float  # two-sided
    estimate_low: float  # 95 % interval
    estimate_high: float

    @property
    def ratio(self) -> float:
        """exp(estimate): odds, rate or hazard ratio."""
        return _exp(self.estimate)

    @property
    def ci_low(self) -> float:
        """Lower end of the ratio's interval."""
        return _exp(self.estimate_low)

    @property
    def ci_high(self) -> float:
        """Upper end of the ratio's interval."""
        return _exp(self.estimate_high)

    def document(self, kind: str) -> dict[str, Any]:
        """Return the JSON document; the interval is the ratio's where there is one."""
        if kind not in RATIOS:
            return {**asdict(self), "ci_low": self.estimate_low, "ci_high": self.estimate_high}
        return {**asdict(self), RATIOS[kind]: self.ratio, "ci_low": self.ci_low, "ci_high": self.ci_high}


@dataclass(frozen=True, slots=True)
class Regressed:
    """What a regression found."""

    kind: str
    coefficients: tuple[Coefficient, ...]  # on the scale the study asked, intercept first where there is one
    coefficients_raw: tuple[Coefficient, ...]
    coefficients_standardized: tuple[Coefficient, ...]
    n: int
    events: int  # ones, counts or deaths; rows of a measured target
    dropped: int
    log_likelihood: float
    warnings: tuple[str, ...] = ()
    more: dict[str, Any] = field(default_factory=dict)  # what only this kind tells

    def cells(self) -> Sequence[Cell]:
        """Return the rows of the fit; events per parameter are each site's own floor."""
        return (Cell("rows", self.n, may_be_empty=False),)

    def document(self) -> dict[str, Any]:
        """Return the JSON document."""
        tables = ("coefficients", "coefficients_raw", "coefficients_standardized")
        document: dict[str, Any] = {name: [row.document(self.kind) for row in getattr(self, name)] for name in tables}
        plain = {name: getattr(self, name) for name in ("n", "events", "dropped", "log_likelihood")}
        return {**document, **plain, **self.more, "warnings": list(self.warnings)}


def table_of(fit: "Fit", asked: Asked, kind: str) -> Regressed:
    """Return the answer of a generalised linear model."""
    n, moments = fit.moments.n, fit.moments
    df = n - 1 - int(fit.active.sum())
    likelihood, variance, more = fit.objective + moments.base, 1.0, {}
    if kind == "linear":
        if df < 1:
            raise NotConverged(f"{n} rows leave no degree of freedom; fewer features are needed")
        residual = -2 * fit.objective
        variance = residual / df
        sigma = math.sqrt(variance) * float(fit.point.response[1])
        likelihood = -n / 2 * (math.log(2 * math.pi * residual * float(fit.point.response[1]) ** 2 / n) + 1)
        r_squared = 1 - residual * float(fit.point.response[1]) ** 2 / _total_square(fit)
        more = {"sigma": sigma, "df_residual": df, "r_squared": r_squared}
    standardized, raw = (
        _table(fit, asked, transform, variance=variance, df=df if kind == "linear" else None)
        for transform in (np.diag(np.concatenate([[1.0], fit.deviation / fit.point.scale])), _to_raw(fit))
    )
    return Regressed(
        kind=kind,
        coefficients=standardized if asked.standardize == "global" else raw,
        coefficients_raw=raw,
        coefficients_standardized=standardized,
        n=n,
        events=round(moments.sum_y) if kind != "linear" else n,
        dropped=moments.dropped,
        log_likelihood=likelihood,
        warnings=fit.warnings,
        more=more,
    )


def slopes_of(fit: "Fit", asked: Asked, kind: str) -> Regressed:
    """Return the answer of a model without intercept."""
    standardized, raw = (
        _table(fit, asked, np.diag(factor / fit.point.scale), variance=1.0, df=None)
        for factor in (fit.deviation, np.ones(len(fit.deviation)))
    )
    return Regressed(
        kind=kind,
        coefficients=standardized if asked.standardize == "global" else raw,
        coefficients_raw=raw,
        coefficients_standardized=standardized,
        n=fit.moments.n,
        events=round(fit.moments.sum_y),
        dropped=fit.moments.dropped,
        log_likelihood=fit.objective,
        warnings=fit.warnings,
    )


def _total_square(fit: "Fit") -> float:
    centre = float(fit.point.response[0])
    moments = fit.moments
    return moments.sum_yy - 2 * centre * moments.sum_y + moments.n * centre**2


def _to_raw(fit: "Fit") -> Floats:
    """Return the linear map from working to raw coefficients."""
    transform: Floats = np.diag(np.concatenate([[1.0], 1.0 / fit.point.scale]))
    transform[0, 1:] = -fit.point.centre / fit.point.scale
    return transform


def _table(fit: "Fit", asked: Asked, transform: Floats, *, variance: float, df: int | None) -> tuple[Coefficient, ...]:
    centre, scale = fit.point.response
    estimates = scale * (transform @ fit.point.beta)
    errors = scale * np.sqrt(variance * np.diag(transform @ fit.covariance @ transform.T))
    names = list(design_names(asked))
    active = fit.active.astype(bool).tolist()
    if len(estimates) > len(names):
        estimates[0] += centre
        names, active = ["intercept", *names], [True, *active]
    critical = Z95 if df is None else t_quantile(0.95, df)
    rows = zip(names, estimates.tolist(), errors.tolist(), active, strict=True)
    return tuple(_coefficient(name, b, se, df=df, critical=critical) for name, b, se, kept in rows if kept)


def _coefficient(name: str, estimate: float, se: float, *, df: int | None, critical: float) -> Coefficient:
    z = estimate / se
    p = normal_p(z) if df is None else t_p(z, df)
    return Coefficient(name, estimate, se, z, p, estimate - critical * se, estimate + critical * se)


def _exp(value: float) -> float:
    return math.exp(max(-700.0, min(700.0, value)))  # beyond, JSON could not hold it
