"""Linear, logistic and Poisson regression: Newton on pooled gradient and information, equal to the pooled fit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from hdex.federated.disclosure import Breach
from hdex.federated.disclosure_cells import Partition
from hdex.federated.disclosure_regimes import Regime
from hdex.federated.disclosure_rules import column_breaches
from hdex.federated.errors import StudyInvalid
from hdex.federated.kinds.columns import complete_rows, design, design_names, read_columns
from hdex.federated.kinds.kind import (
    MOMENTS,
    NEWTON,
    WIDE,
    Arrays,
    Asked,
    Encoding,
    Inquiry,
    require_arrays,
    require_no_point,
    require_options,
)
from hdex.federated.statistics import (
    FAMILIES,
    Family,
    Floats,
    Local,
    Point,
    influence,
    moments,
    moments_length,
    newton,
    newton_length,
    scaled_moments,
)


@dataclass(frozen=True, slots=True)
class Regression:
    """A generalised linear model with canonical link and intercept.

    Option `exposure` (Poisson): a column of positive person-time; its logarithm is the offset.
    """

    name: str

    @property
    def algorithm(self) -> str:
        return f"{self.name}.newton.v1"

    @property
    def family(self) -> Family:
        """The family that the kind names."""
        return FAMILIES[self.name]

    @property
    def steps(self) -> Mapping[str, Encoding]:
        newton = WIDE if self.name == "poisson" else NEWTON
        return {"moments": MOMENTS, "refine": newton, "newton": newton}

    def check(self, asked: Asked) -> None:
        require_options(asked, allowed=("exposure",) if self.name == "poisson" else ())
        if not asked.features or not asked.target:
            raise StudyInvalid(f"kind {self.name} needs a target and at least one feature")

    def columns(self, asked: Asked) -> tuple[str, ...]:
        exposure = (str(asked.options["exposure"]),) if "exposure" in asked.options else ()
        return (*asked.features, asked.target, *exposure)

    def length(self, asked: Asked, step: str) -> int:
        p = len(design_names(asked))
        if step == "moments":
            return moments_length(p)
        return newton_length(p + 1) + (2 * p if step == "refine" else 0)

    def check_point(self, asked: Asked, step: str, point: Arrays | None) -> None:
        check_point(step, point, parameters=len(design_names(asked)) + 1, p=len(design_names(asked)))

    def rows(self, frame: pl.DataFrame, asked: Asked) -> Local:
        columns, dropped = complete_rows(read_columns(frame, self.columns(asked), asked))
        y = columns[asked.target]
        self._check_target(asked.target, y)
        offset = np.zeros(len(y))
        if "exposure" in asked.options:
            offset = _log_positive(columns[str(asked.options["exposure"])])
        x = design(columns, asked)
        return Local(x, y, dropped, offset, self._events(y), x.shape[1] + 1)

    def sums(self, rows: Local, asked: Asked, step: str, point: Arrays | None) -> Floats:
        if step == "moments":
            return moments(rows, self.family)
        at = as_point(point)
        terms = newton(rows, at, self.family)
        return np.concatenate([terms, scaled_moments(rows.x, at)]) if step == "refine" else terms

    def breaches(self, rows: Local, asked: Asked, step: str, point: Arrays | None, floors: Regime) -> list[Breach]:
        """Return a breach where one or two rows make up the sums at `point`: a point chosen to read a patient."""
        if point is None:
            return []
        weights = influence(rows, as_point(point), self.family)
        if not all(np.isfinite(one).all() for one in weights):
            return []  # the sums overflow, and say so
        return column_breaches(weights, floors)

    def partitions(self, rows: Local, asked: Asked) -> Sequence[Partition]:
        return flags(rows.x)

    def inquire(self, asked: Asked) -> Inquiry:
        from hdex.federated.newton import GlmModel, NewtonInquiry

        return NewtonInquiry(asked, GlmModel(self.family, has_exposure="exposure" in asked.options))

    def _check_target(self, target: str, y: Floats) -> None:
        if self.name == "logistic" and not np.isin(y, (0.0, 1.0)).all():
            raise StudyInvalid(f"column {target} has values other than 0 and 1")
        if self.name == "poisson" and ((y < 0) | (y != np.floor(y))).any():
            raise StudyInvalid(f"column {target} has values that are no counts")

    def _events(self, y: Floats) -> int:
        if self.name == "linear":
            return len(y)
        total = int(y.sum())
        return min(total, len(y) - total) if self.name == "logistic" else total


def flags(x: Floats) -> list[Partition]:
    """Return the groups that a fit compares as a t-test does: those of a single column of 0 and 1."""
    columns = x.T if x.shape[1] == 1 else ()
    return [Partition(column.astype(np.int64)) for column in columns if np.isin(column, (0.0, 1.0)).all()]


def check_point(step: str, point: Arrays | None, *, parameters: int, p: int) -> None:
    """Raise StudyInvalid unless the point fits a Newton step."""
    if step == "moments":
        return require_no_point(step, point)
    arrays = require_arrays(point, {"beta": parameters, "centre": p, "scale": p, "response": 2})
    if not (arrays["scale"] > 0).all() or not arrays["response"][1] > 0:
        raise StudyInvalid("a scale is not positive")
    return None


def as_point(point: Arrays | None) -> Point:
    """Return a checked point as a value."""
    assert point is not None, "the point was checked"
    return Point(**point)


def _log_positive(exposure: Floats) -> Floats:
    if (exposure <= 0).any():
        raise StudyInvalid("the exposure has values that are not positive")
    return np.asarray(np.log(exposure))
