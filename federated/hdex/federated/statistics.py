"""Terms that sites sum for a regression: raw moments, then value, gradient and curvature of one Newton step.

Vectors (p design columns, P parameters, U(m) = m (m + 1) / 2 entries of an upper triangle, row by row):
  moments  n, dropped rows, sum y, sum y^2, base of the density, exposure, sum x (p), sum x y (p), U(p) of sum x x'
  newton   log-likelihood, gradient (P), U(P) of the information
  refine   newton, then sum z (p), sum z^2 (p) of the columns as they are now scaled
"""

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Places = NDArray[np.int64]  # indices of rows

_SHARED = (
    "statistics.py",
    "disclosure.py",
    "disclosure_cells.py",
    "disclosure_regimes.py",
    "disclosure_regimes.toml",
    "disclosure_rules.py",
    "contribution.py",
    "contributor.py",
    "privacy.py",
    "privacy_accountant.py",
    "privacy_sampling.py",
    "kinds/kind.py",
    "kinds/columns.py",
    "kinds/table.py",
    "paillier/masks.py",
    "paillier/obfuscation.py",
    "paillier/packing.py",
    "paillier/vectors.py",
)
# Algorithm id -> the source of its kind; what is shared comes on top.
ALGORITHMS: Mapping[str, tuple[str, ...]] = {
    **{f"{name}.sums.v1": ("kinds/summary.py",) for name in ("count", "sum", "mean", "variance", "t-test")},
    **{f"{name}.sums.v1": ("kinds/counting.py",) for name in ("histogram", "crosstab")},
    "quantile.counts.v1": ("kinds/quantile.py",),
    **{f"{name}.newton.v1": ("kinds/regression.py",) for name in ("linear", "logistic", "poisson")},
    "kaplan-meier.counts.v1": ("kinds/grid.py", "kinds/survival.py"),
    "cox.newton.v1": ("kinds/grid.py", "kinds/cox.py"),
    **{
        f"{name}.network.v1": ("kinds/network.py", "kinds/training.py", "disclosure_membership.py")
        for name in ("fedavg", "fedavgm", "fedprox", "fedadam", "fedadagrad", "fedyogi")
    },
}


@dataclass(frozen=True, slots=True)
class Point(Mapping[str, Floats]):
    """Where a Newton step is evaluated: z = (x - centre) / scale, eta = beta_0 + z beta."""

    beta: Floats  # (P,), intercept first where there is one
    centre: Floats  # (p,)
    scale: Floats  # (p,)
    response: Floats = field(default_factory=lambda: np.array([0.0, 1.0]))  # centre and scale of a measured target

    def __getitem__(self, name: str) -> Floats:
        if name not in _POINT:
            raise KeyError(name)
        found: Floats = getattr(self, name)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(_POINT)

    def __len__(self) -> int:
        return len(_POINT)


_POINT = ("beta", "centre", "scale", "response")


@dataclass(frozen=True, slots=True)
class Family:
    """An exponential family with its canonical link: gradient x'(y - mean), information x' variance x."""

    name: str
    mean: Callable[[Floats], Floats]  # of eta
    variance: Callable[[Floats], Floats]  # of the mean
    log_density: Callable[[Floats, Floats], Floats]  # of (y, eta), without the part that no parameter touches
    link: Callable[[float], float]  # eta of a mean
    base: Callable[[Floats], Floats]  # the part that no parameter touches


def _logistic(eta: Floats) -> Floats:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * eta)))  # without overflow


def _log_factorial(y: Floats) -> Floats:
    return np.array([-math.lgamma(value + 1.0) for value in y], dtype=np.float64)


FAMILIES: Mapping[str, Family] = {
    "linear": Family(
        "linear",
        mean=lambda eta: eta,
        variance=np.ones_like,
        log_density=lambda y, eta: -0.5 * (y - eta) ** 2,
        link=lambda mean: mean,
        base=np.zeros_like,
    ),
    "logistic": Family(
        "logistic",
        mean=_logistic,
        variance=lambda mean: mean * (1.0 - mean),
        log_density=lambda y, eta: y * eta - np.logaddexp(0.0, eta),
        link=lambda mean: math.log(mean / (1.0 - mean)),
        base=np.zeros_like,
    ),
    "poisson": Family(
        "poisson",
        mean=np.exp,
        variance=lambda mean: mean,
        log_density=lambda y, eta: y * eta - np.exp(eta),
        link=math.log,
        base=_log_factorial,
    ),
}


@dataclass(frozen=True, slots=True)
class Local:
    """A site's complete rows."""

    x: Floats  # (n, p)
    y: Floats  # (n,)
    dropped: int  # rows left out because a value is missing
    offset: Floats  # (n,), added to eta
    events: int = 0  # rows in the smaller outcome class, all rows of a measured target
    parameters: int = 0

    @property
    def n(self) -> int:
        """Complete rows."""
        return len(self.y)

    @property
    def summed(self) -> Sequence[Floats]:
        """The design's columns, and the outcome."""
        return [*self.x.T, self.y]


def triangle(m: int) -> int:
    """Return the entries of an upper triangle of an m by m matrix."""
    return m * (m + 1) // 2


def symmetric(upper: Floats | Sequence[float], m: int) -> Floats:
    """Return the m by m symmetric matrix of an upper triangle."""
    matrix = np.zeros((m, m))
    matrix[np.triu_indices(m)] = upper
    result: Floats = matrix + np.triu(matrix, 1).T
    return result


def moments_length(p: int) -> int:
    """Return the length of `moments` for p columns."""
    return 6 + 2 * p + triangle(p)


def newton_length(parameters: int) -> int:
    """Return the length of `newton`."""
    return 1 + parameters + triangle(parameters)


def moments(local: Local, family: Family) -> Floats:
    """Return raw moments, summed in extended precision: later means and deviations are differences of them."""
    x, y = local.x.astype(np.longdouble), local.y.astype(np.longdouble)
    p = x.shape[1]
    cross = [(x[:, i] * x[:, j]).sum() for i in range(p) for j in range(i, p)]
    counts = [np.longdouble(len(y)), np.longdouble(local.dropped)]
    head = [*counts, y.sum(), (y * y).sum(), family.base(local.y).sum(), np.exp(local.offset).sum()]
    return np.array([*head, *x.sum(axis=0), *(x * y[:, None]).sum(axis=0), *cross], dtype=np.float64)


def influence(local: Local, point: Point, family: Family) -> tuple[Floats, Floats]:
    """Return how much each row weighs in the information, and in the gradient, at `point`; each (n,), from 0."""
    design = np.column_stack([np.ones(local.n), (local.x - point.centre) / point.scale])
    with np.errstate(over="ignore", invalid="ignore"):
        mean = family.mean(design @ point.beta + local.offset)
        return family.variance(mean), np.abs((local.y - point.response[0]) / point.response[1] - mean)


def newton(local: Local, point: Point, family: Family) -> Floats:
    """Return log-likelihood, gradient and information of the model at `point`."""
    z = (local.x - point.centre) / point.scale
    design = np.column_stack([np.ones(len(z)), z])
    y = (local.y - point.response[0]) / point.response[1]
    eta = design @ point.beta + local.offset
    likelihood = float(np.sum(family.log_density(y, eta)))
    mean = family.mean(eta)
    gradient = design.T @ (y - mean)
    information = design.T @ (design * family.variance(mean)[:, None])
    return np.concatenate([[likelihood], gradient, information[np.triu_indices(len(gradient))]])


def scaled_moments(x: Floats, point: Point) -> Floats:
    """Return the first two moments of the scaled columns: they correct centre and scale exactly."""
    z = (x - point.centre) / point.scale
    return np.concatenate([z.sum(axis=0), (z * z).sum(axis=0)])


def installed_algorithms() -> dict[str, str]:
    """Return algorithm id -> SHA-256 (hex) over the installed source files that compute and protect its sums.

    They are read once: what this process runs is what it has loaded, whatever the files become later.
    """
    return dict(_installed())


@cache
def _installed() -> dict[str, str]:
    room = resources.files("hdex.federated")
    names = {*_SHARED, *(name for own in ALGORITHMS.values() for name in own)}
    sources = {name: room.joinpath(name).read_bytes() for name in names}
    return {algorithm: _source_digest(sources, (*_SHARED, *own)) for algorithm, own in ALGORITHMS.items()}


def _source_digest(sources: Mapping[str, bytes], names: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for name in names:
        digest.update(f"{name} {len(sources[name])}\n".encode() + sources[name])
    return digest.hexdigest()
