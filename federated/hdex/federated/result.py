"""What a study answers: coefficients with their uncertainty on two scales, and what crossed each site's wall."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hdex.federated.newton import Fit
from hdex.federated.statistics import Floats
from hdex.federated.study import Study

_Z95 = 1.959963984540054  # 97.5 % quantile of the normal distribution


@dataclass(frozen=True, slots=True)
class Coefficient:
    """One row of the table; the interval is 95 % Wald, on the odds-ratio scale."""

    name: str
    estimate: float
    se: float
    z: float
    p: float
    odds_ratio: float
    ci_low: float
    ci_high: float


@dataclass(frozen=True, slots=True)
class Crossed:
    """What left one site, over all rounds."""

    ciphertexts: int  # 0 in a plain study
    payload_bytes: int  # the masked, encrypted sums
    header_bytes: int  # signed headers and signatures

    @property
    def total_bytes(self) -> int:
        """All bytes of the site's contributions."""
        return self.payload_bytes + self.header_bytes


@dataclass(frozen=True, slots=True)
class StudyResult:
    """The released answer. Holds pooled numbers only."""

    study_id: str
    study_digest: str
    coefficients: tuple[Coefficient, ...]  # on the scale the study asked, intercept first
    coefficients_raw: tuple[Coefficient, ...]
    coefficients_standardized: tuple[Coefficient, ...]
    rounds: int
    sites: tuple[str, ...]
    n: int
    events: int
    dropped: int
    log_likelihood: float
    crossed: Mapping[str, Crossed]

    @property
    def bytes_per_site(self) -> dict[str, int]:
        """Site -> bytes of its contributions."""
        return {site: crossed.total_bytes for site, crossed in self.crossed.items()}

    def document(self) -> dict[str, Any]:
        """Return the JSON document."""
        document = asdict(self)
        for name in ("coefficients", "coefficients_raw", "coefficients_standardized"):
            document[name] = [asdict(row) for row in getattr(self, name)]
        document["sites"] = list(self.sites)
        document["bytes_per_site"] = self.bytes_per_site
        return document


def conclude(study: Study, fit: Fit, *, rounds: int, crossed: Mapping[str, Crossed]) -> StudyResult:
    """Return the result of a settled fit."""
    standardized = _table(study, fit, np.diag(np.concatenate([[1.0], fit.deviation / fit.point.scale])))
    raw = _table(study, fit, _to_raw(fit))
    return StudyResult(
        study_id=study.id,
        study_digest=study.digest(),
        coefficients=standardized if study.standardize == "global" else raw,
        coefficients_raw=raw,
        coefficients_standardized=standardized,
        rounds=rounds,
        sites=study.sites,
        n=fit.n,
        events=fit.events,
        dropped=fit.dropped,
        log_likelihood=fit.log_likelihood,
        crossed=crossed,
    )


def _to_raw(fit: Fit) -> Floats:
    """Return the linear map from working to raw coefficients."""
    transform: Floats = np.diag(np.concatenate([[1.0], 1.0 / fit.point.scale]))
    transform[0, 1:] = -fit.point.centre / fit.point.scale
    return transform


def _table(study: Study, fit: Fit, transform: Floats) -> tuple[Coefficient, ...]:
    estimates = transform @ fit.point.beta
    errors = np.sqrt(np.diag(transform @ fit.covariance @ transform.T))
    names = ("intercept", *study.features)
    return tuple(_coefficient(name, float(b), float(se)) for name, b, se in zip(names, estimates, errors, strict=True))


def _coefficient(name: str, estimate: float, se: float) -> Coefficient:
    z = estimate / se
    low, high = estimate - _Z95 * se, estimate + _Z95 * se
    p = math.erfc(abs(z) / math.sqrt(2.0))
    return Coefficient(name, estimate, se, z, p, _exp(estimate), _exp(low), _exp(high))


def _exp(value: float) -> float:
    return math.exp(max(-700.0, min(700.0, value)))  # beyond, JSON could not hold it
