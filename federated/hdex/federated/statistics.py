"""What one site sums: raw moments, then the terms of a Newton step; and which algorithms are installed.

Vectors (p features, P = p + 1 parameters, U(m) = m (m + 1) / 2 entries of an upper triangle, row by row):
  moments  n, dropped rows, sum y, sum x (p), sum x y (p), U(p) of sum x x'
  newton   log-likelihood, gradient (P), U(P) of the information
  refine   newton, then sum z (p), sum z^2 (p) of the columns as they are now scaled
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hdex.federated.errors import StudyInvalid
from hdex.federated.study import Study

Floats = NDArray[np.float64]

_SOURCES = (
    "statistics.py",
    "disclosure.py",
    "disclosure_regimes.py",
    "disclosure_regimes.toml",
    "disclosure_rules.py",
    "contribution.py",
    "contributor.py",
    "privacy.py",
    "privacy_accountant.py",
    "privacy_sampling.py",
    "paillier/masks.py",
    "paillier/obfuscation.py",
    "paillier/packing.py",
    "paillier/vectors.py",
)


@dataclass(frozen=True, slots=True)
class Local:
    """A site's complete rows."""

    x: Floats  # (n, p)
    y: Floats  # (n,), 0 or 1
    dropped: int  # rows left out because a value is missing

    @property
    def events(self) -> int:
        """Rows in the smaller outcome class."""
        ones = int(self.y.sum())
        return min(ones, len(self.y) - ones)


@dataclass(frozen=True, slots=True)
class Point:
    """Where a Newton step is evaluated: z = (x - centre) / scale, eta = beta_0 + z beta."""

    beta: Floats  # (p + 1,), intercept first
    centre: Floats  # (p,)
    scale: Floats  # (p,)


def vector_length(step: str, p: int) -> int:
    """Return the length of the vector of `step` for `p` features."""
    if step == "moments":
        return 3 + 2 * p + triangle(p)
    newton = 1 + (p + 1) + triangle(p + 1)
    return newton if step == "newton" else newton + 2 * p


def triangle(m: int) -> int:
    """Return the entries of an upper triangle of an m by m matrix."""
    return m * (m + 1) // 2


def prepare(frame: pl.DataFrame, study: Study) -> Local:
    """Return the complete rows of the study's columns; raise StudyInvalid naming a column that does not fit."""
    columns = [_numbers(frame, name) for name in study.columns]
    table = np.column_stack(columns)
    complete = ~np.isnan(table).any(axis=1)
    x, y = table[complete, :-1], table[complete, -1]
    if np.isinf(x).any():
        raise StudyInvalid("a feature has an infinite value")
    if not np.isin(y, (0.0, 1.0)).all():
        raise StudyInvalid(f"column {study.target} has values other than 0 and 1")
    return Local(np.ascontiguousarray(x), y, int((~complete).sum()))


def _numbers(frame: pl.DataFrame, name: str) -> Floats:
    if name not in frame.columns:
        raise StudyInvalid(f"column {name} is absent")
    series = frame.get_column(name)
    if not (series.dtype.is_numeric() or series.dtype in (pl.Boolean, pl.Null)):
        raise StudyInvalid(f"column {name} is {series.dtype}, not numeric")
    return series.cast(pl.Float64).fill_null(float("nan")).to_numpy()


def sums(step: str, local: Local, point: Point | None) -> Floats:
    """Return this site's vector of `step`; `point` is None exactly for moments."""
    if step == "moments":
        return moments(local)
    if point is None:
        raise StudyInvalid(f"step {step} needs a point")
    if step == "newton":
        return newton(local, point)
    return refine(local, point)


def moments(local: Local) -> Floats:
    """Return raw moments, summed in extended precision: later means and deviations are differences of them."""
    x, y = local.x.astype(np.longdouble), local.y.astype(np.longdouble)
    p = x.shape[1]
    cross = [(x[:, i] * x[:, j]).sum() for i in range(p) for j in range(i, p)]
    head = [np.longdouble(len(y)), np.longdouble(local.dropped), y.sum()]
    return np.array([*head, *x.sum(axis=0), *(x * y[:, None]).sum(axis=0), *cross], dtype=np.float64)


def newton(local: Local, point: Point) -> Floats:
    """Return log-likelihood, gradient and information of the logistic model at `point`."""
    z = (local.x - point.centre) / point.scale
    design = np.column_stack([np.ones(len(z)), z])
    eta = design @ point.beta
    likelihood = float(np.sum(local.y * eta - np.logaddexp(0.0, eta)))
    mean = 0.5 * (1.0 + np.tanh(0.5 * eta))  # the logistic function without overflow
    gradient = design.T @ (local.y - mean)
    information = design.T @ (design * (mean * (1.0 - mean))[:, None])
    upper = information[np.triu_indices(len(gradient))]
    return np.concatenate([[likelihood], gradient, upper])


def refine(local: Local, point: Point) -> Floats:
    """Return `newton` and the first two moments of the scaled columns: they correct centre and scale exactly."""
    z = (local.x - point.centre) / point.scale
    return np.concatenate([newton(local, point), z.sum(axis=0), (z * z).sum(axis=0)])


def symmetric(upper: Floats | Sequence[float], m: int) -> Floats:
    """Return the m by m symmetric matrix of an upper triangle."""
    matrix = np.zeros((m, m))
    matrix[np.triu_indices(m)] = upper
    result: Floats = matrix + np.triu(matrix, 1).T
    return result


def installed_algorithms() -> dict[str, str]:
    """Return algorithm id -> SHA-256 (hex) over the installed source files that compute and protect its sums."""
    room = resources.files("hdex.federated")
    digest = hashlib.sha256()
    for name in _SOURCES:
        data = room.joinpath(name).read_bytes()
        digest.update(f"{name} {len(data)}\n".encode() + data)
    return {"logistic.newton.v1": digest.hexdigest()}
