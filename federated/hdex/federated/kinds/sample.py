"""Pooled samples and what follows from them: mean, variance, intervals, Welch's and Student's t-test."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from hdex.federated.distributions import t_p, t_quantile
from hdex.federated.errors import NotConverged
from hdex.federated.kinds.kind import Cell


@dataclass(frozen=True, slots=True)
class Sample:
    """One column, or one group of it, pooled; fractions are exact and rounded once when they are told."""

    name: str
    n: int
    missing: int
    mean: Fraction | None = None
    variance: Fraction | None = None  # with n - 1; None below two values

    @property
    def se(self) -> float:
        """Standard error of the mean."""
        assert self.variance is not None
        return math.sqrt(self.variance / self.n)


@dataclass(frozen=True, slots=True)
class Summary:
    """What count, sum, mean and variance answer."""

    kind: str
    samples: tuple[Sample, ...]

    def cells(self) -> Sequence[Cell]:
        """Return the values of each column."""
        return [Cell(sample.name, sample.n, may_be_empty=False) for sample in self.samples]

    def document(self) -> dict[str, Any]:
        """Return the JSON document: only what was asked, no more."""
        return {"columns": [self._row(sample) for sample in self.samples], "warnings": []}

    def _row(self, sample: Sample) -> dict[str, Any]:
        row: dict[str, Any] = {"name": sample.name, "n": sample.n, "missing": sample.missing}
        if sample.mean is None:
            return row
        if self.kind == "sum":
            return {**row, "sum": float(sample.mean * sample.n)}
        row["mean"] = float(sample.mean)
        return row if self.kind == "mean" else row | _spread(sample)


def _spread(sample: Sample) -> dict[str, Any]:
    if sample.variance is None:
        return dict.fromkeys(("variance", "sd", "se", "ci_low", "ci_high"))
    assert sample.mean is not None
    half, mean = t_quantile(0.95, sample.n - 1) * sample.se, float(sample.mean)
    deviation = {"variance": float(sample.variance), "sd": math.sqrt(sample.variance), "se": sample.se}
    return {**deviation, "ci_low": mean - half, "ci_high": mean + half}


@dataclass(frozen=True, slots=True)
class Tested:
    """One form of the t-test."""

    t: float
    df: float
    p: float
    ci_low: float  # 95 %, of the difference first minus second group
    ci_high: float

    def document(self) -> dict[str, Any]:
        """Return the JSON document."""
        return {"t": self.t, "df": self.df, "p": self.p, "ci_low": self.ci_low, "ci_high": self.ci_high}


@dataclass(frozen=True, slots=True)
class Compared:
    """Two groups and their difference."""

    groups: tuple[Sample, Sample]
    difference: float
    welch: Tested
    pooled: Tested

    def cells(self) -> Sequence[Cell]:
        """Return the rows of each group."""
        return [Cell(group.name, group.n, may_be_empty=False) for group in self.groups]

    def document(self) -> dict[str, Any]:
        """Return the JSON document."""
        groups = Summary("variance", self.groups).document()["columns"]
        for group in groups:
            group.pop("missing")
        return {
            "groups": groups,
            "dropped": self.groups[0].missing,
            "difference": self.difference,
            "welch": self.welch.document(),
            "pooled": self.pooled.document(),
            "warnings": [],
        }


def compare(samples: Sequence[Sample]) -> Compared:
    """Return the t-tests of two samples. Raises NotConverged when nothing varies or a group has one row."""
    first, second = samples
    if first.variance is None or second.variance is None:
        raise NotConverged("a group has one row; a variance needs two")
    if not first.variance and not second.variance:
        raise NotConverged("the target does not vary within either group; there is nothing to test")
    assert first.mean is not None
    assert second.mean is not None
    difference = float(first.mean - second.mean)
    parts = first.variance / first.n, second.variance / second.n
    welch_df = (parts[0] + parts[1]) ** 2 / (parts[0] ** 2 / (first.n - 1) + parts[1] ** 2 / (second.n - 1))
    df = first.n + second.n - 2
    within = ((first.n - 1) * first.variance + (second.n - 1) * second.variance) / df
    errors = parts[0] + parts[1], within * (Fraction(1, first.n) + Fraction(1, second.n))
    return Compared(
        groups=(first, second),
        difference=difference,
        welch=_tested(difference, math.sqrt(errors[0]), float(welch_df)),
        pooled=_tested(difference, math.sqrt(errors[1]), float(df)),
    )


def _tested(difference: float, error: float, df: float) -> Tested:
    t, half = difference / error, t_quantile(0.95, df) * error
    return Tested(t, df, t_p(t, df), difference - half, difference + half)
