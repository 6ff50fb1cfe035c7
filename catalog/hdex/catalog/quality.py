"""A product's quality by the dimensions of EHDS article 78(3) (Regulation (EU) 2025/327), with a grade of our own.

What is measured is measured on the version itself when it is published; what cannot be is told as absent, not as good.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from typing import cast

from hdex.catalog.documents import Json, Scalar, digest, to_document
from hdex.catalog.metadata import Period, require

GRADE_NAME = "hdex grade"  # never an official label
MOST_MATURE = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Documentation:
    """(a) Data documentation: share of columns fully described, standards used, where the data come from."""

    columns_described: float
    standards: tuple[str, ...]
    source: str
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Technical:
    """(b) Technical quality: shares from 0 to 1; None where nothing in the version can be measured by it."""

    completeness: float | None = None
    uniqueness: float | None = None
    accuracy: float | None = None  # numbers that a living person can show
    validity: float | None = None  # cells of the declared type and closed words
    timeliness: float | None = None
    consistency: float | None = None  # cells of one row that agree with each other


@dataclass(frozen=True, slots=True, kw_only=True)
class Management:
    """(c) Quality management: the steps a person or an independent check has signed off; maturity counts them, 1-5."""

    steps: tuple[str, ...]
    maturity: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """(d) Coverage: the period, patients in a band, and the share of the cohort's patients that the version holds."""

    individuals_band: str
    period: Period | None = None
    represented: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Provision:
    """(e) Access and provision, in days: last record to offer, and approval to first byte."""

    collection_to_offer_days: int | None = None
    approval_to_access_days: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Modifications:
    """(f) Modifications: what this version replaces, what was merged into it, what it is linked with."""

    supersedes: str | None = None
    merged: tuple[str, ...] = ()
    links: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityReport:
    """All dimensions. `grade` is None where no record was measured (level 5: a share would count its patients)."""

    documentation: Documentation
    technical: Technical
    management: Management
    coverage: Coverage
    provision: Provision
    modifications: Modifications
    grade: str | None = None
    grade_name: str = GRADE_NAME

    def digest(self) -> str:
        """Return the SHA-256 of the canonical report, lower-case hex."""
        return digest(cast(Json, to_document(self)))

    def figures(self) -> Mapping[str, Scalar]:
        """Return the measures as a page lists them: the grade, then the shares."""
        shares = {name: value for name, value in measured(self.technical).items() if value is not None}
        return ({} if self.grade is None else {"grade": self.grade}) | shares


@dataclass(frozen=True, slots=True)
class Scale:
    """The grades, best first, and what limits them (data/quality.toml)."""

    grades: tuple[tuple[str, float], ...]
    undocumented: str
    documented: float
    stale_days: int


@cache
def scale() -> Scale:
    """Return the scale in force."""
    held = tomllib.loads(files("hdex.catalog").joinpath("data/quality.toml").read_text(encoding="utf-8"))
    limits = held["limits"]
    grades = tuple((str(name), float(least)) for name, least in held["grade"].items())
    return Scale(grades, str(limits["undocumented"]), float(limits["documented"]), int(limits["stale_days"]))


def measured(technical: Technical) -> dict[str, float | None]:
    """Return the technical measures by name."""
    return {field.name: getattr(technical, field.name) for field in fields(technical)}


def grade(technical: Technical, documentation: Documentation) -> str | None:
    """Return the grade of the worst measured share, timeliness apart (age is no defect); None without a measure."""
    shares = [value for name, value in measured(technical).items() if value is not None and name != "timeliness"]
    if not shares:
        return None
    names = [name for name, _ in scale().grades]
    found = next(name for name, least in scale().grades if min(shares) >= least)
    limit = scale().undocumented if documentation.columns_described < scale().documented else names[0]
    return max(found, limit, key=names.index)


def timeliness(days: int) -> float:
    """Return 1 on the day of the last record, falling evenly to 0 at the scale's stale_days."""
    return round(min(1.0, max(0.0, 1 - days / scale().stale_days)), 2)


def check_quality(report: QualityReport) -> None:
    """Raise ProductInvalid where a share is none, or the grade is not the one its measures give."""
    shares = {**measured(report.technical), "columns_described": report.documentation.columns_described}
    shares["represented"] = report.coverage.represented
    for name, value in shares.items():
        require(value is None or 0 <= value <= 1, f"quality_report: {name} is not a share from 0 to 1")
    require(0 <= report.management.maturity <= MOST_MATURE, "quality_report: maturity is 0 to 5")
    require(report.grade_name == GRADE_NAME, f"quality_report: the grade is called {GRADE_NAME}")
    expected = grade(report.technical, report.documentation)
    require(report.grade == expected, f"quality_report: the measures give grade {expected}, another is told")
