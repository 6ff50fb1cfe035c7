"""The quality report of a version, measured on the rows that would leave when the manifest is made.

Of level 5 nothing is measured: a share over few patients counts them. Shares have two decimals.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import polars as pl

from hdex.catalog.metadata import Period
from hdex.catalog.product import Column, Temporal
from hdex.catalog.quality import (
    Coverage,
    Documentation,
    Management,
    Modifications,
    Provision,
    QualityReport,
    Technical,
    grade,
    timeliness,
)
from hdex.node.hospital.datasets import PATIENT
from hdex.node.quality import RANGES, WORDS

SUPPRESSED = "*"  # label of a generalised cell that tells nothing
STANDARDS = ("ICD-10", "UCUM", "RFC 8785 manifest", "Apache Parquet")
NUMBERS = ("integer", "number")
AGREE = (("systolic", "diastolic"),)  # in one row the first is never below the second
TENS = 10


@dataclass(frozen=True, slots=True)
class Measured:
    """What a report is made of: rows that leave (None: none do), their columns, what ingestion and release told."""

    frame: pl.DataFrame | None
    columns: tuple[Column, ...]
    ingest: Mapping[str, Any]
    release: Mapping[str, Any]


def quality_report(
    said: Measured, *, on: date, band: str, temporal: Temporal | None, supersedes: str | None
) -> QualityReport:
    """Return the report of a version made on this day."""
    documentation = Documentation(
        columns_described=share(sum(map(is_described, said.columns)), len(said.columns)),
        standards=STANDARDS,
        source="hospital export mapped to the common model; mapping signed by the data steward",
        model=f"view {said.ingest['view']}",
    )
    days = days_since(said.ingest, on)
    technical = Technical() if said.frame is None else technical_of(said, days)
    steps = signed_steps(said.release)
    return QualityReport(
        documentation=documentation,
        technical=technical,
        management=Management(steps=steps, maturity=min(5, len(steps))),
        coverage=Coverage(
            individuals_band=band,
            period=Period(start=temporal.start, end=temporal.end) if temporal else None,
            represented=None if said.frame is None else represented(said),
        ),
        provision=Provision(collection_to_offer_days=days),
        modifications=Modifications(supersedes=supersedes),
        grade=grade(technical, documentation),
    )


def technical_of(said: Measured, days: int | None) -> Technical:
    """Return the shares over the rows that leave."""
    assert said.frame is not None
    frame, columns = said.frame, [column for column in said.columns if column.name in said.frame.columns]
    cells = frame.height * len(columns)
    missing = sum(missing_cells(frame[column.name]) for column in columns)
    odd = sum(nonconforming(frame[column.name], column) for column in columns)
    return Technical(
        completeness=share(cells - missing, cells),
        uniqueness=uniqueness(frame),
        accuracy=plausible(frame),
        validity=share(cells - odd, cells),
        timeliness=None if days is None else timeliness(days),
        consistency=agreeing(frame),
    )


def null_rate(series: pl.Series) -> float:
    """Return the share of cells that tell nothing, two decimals."""
    return round(missing_cells(series) / max(1, len(series)), 2)


def decimals_of(series: pl.Series) -> int | None:
    """Return how many decimals a column of numbers shows, six at most; None for any other."""
    if not series.dtype.is_float():
        return 0 if series.dtype.is_integer() else None
    values = series.drop_nulls().drop_nans()
    return next((places for places in range(7) if bool((values.round(places) == values).all())), 6)


def missing_cells(series: pl.Series) -> int:
    """Return how many cells tell nothing: empty, not a number, suppressed."""
    empty = series.null_count()
    if series.dtype.is_float():
        return empty + int(series.is_nan().sum() or 0)
    if series.dtype == pl.String:
        return empty + int((series == SUPPRESSED).sum() or 0)
    return empty


def nonconforming(series: pl.Series, column: Column) -> int:
    """Return how many cells are not what the manifest says: a word outside its list, a number that is none.

    Generalised numbers are labels and are not counted.
    """
    if column.name in WORDS and series.dtype == pl.String:
        return int((~series.is_in([*WORDS[column.name], SUPPRESSED])).sum() or 0)
    if column.datatype in NUMBERS and column.method == "kept" and not series.dtype.is_numeric():
        return len(series) - series.null_count()
    return int(series.is_infinite().sum() or 0) if series.dtype.is_float() else 0


def uniqueness(frame: pl.DataFrame) -> float | None:
    """Return the share of rows that are their patient's only one; None where no pseudonym leaves."""
    if PATIENT not in frame.columns:
        return None
    return share(frame[PATIENT].n_unique(), frame.height)


def plausible(frame: pl.DataFrame) -> float | None:
    """Return the share of numbers that a living person can show; None where no such column leaves as numbers."""
    found = [frame[name].drop_nulls() for name in RANGES if name in frame.columns and frame[name].dtype.is_numeric()]
    fitting = sum(int(series.is_between(*RANGES[series.name]).sum()) for series in found)
    return share(fitting, sum(map(len, found))) if found else None


def agreeing(frame: pl.DataFrame) -> float | None:
    """Return the share of rows whose cells agree; None where no two columns say anything of each other."""
    pairs = [pair for pair in AGREE if all(n in frame.columns and frame[n].dtype.is_numeric() for n in pair)]
    if not pairs:
        return None
    held = [(frame[a] >= frame[b]).drop_nulls() for a, b in pairs]
    return share(sum(int(one.sum()) for one in held), sum(map(len, held)))


def represented(said: Measured) -> float:
    """Return the share of the cohort's patients that the version holds, in tenths: finer would count refusals."""
    assert said.frame is not None
    return round(min(1.0, said.frame.height / max(1, int(said.ingest["patients"]))), 1)


def signed_steps(release: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the steps of quality management that a person signed or code apart from the engine checked."""
    report = release["report"]
    steps = ["mapping reviewed and signed", "classification reviewed and signed"]
    if report.get("verification"):
        steps.append("release counted again by an independent verifier")
    if report.get("attack_after"):
        steps.append("release attacked by a named attacker")
    return (*steps, "assessment signed by two people")


def days_since(ingest: Mapping[str, Any], on: date) -> int | None:
    """Return the days from the last day of the record, in tens; None where ingestion did not keep it."""
    last = ingest.get("last_day")
    return None if not last else max(0, (on - date.fromisoformat(str(last))).days) // TENS * TENS


def is_described(column: Column) -> bool:
    """Return whether a column has a title in both languages, a type, and a unit or code where it is a number."""
    return bool(column.title.en and column.title.zh and column.datatype) and (
        column.datatype not in NUMBERS or bool(column.unit or column.concept)
    )


def share(part: int, whole: int) -> float:
    """Return a share with two decimals, never rounded up to the whole; of nothing all."""
    if not whole or part == whole:
        return 1.0
    return min(0.99, round(part / whole, 2))


def listed(columns: Sequence[Column], frame: pl.DataFrame | None) -> tuple[Column, ...]:
    """Return the columns with what the rows show of each: empty cells, decimals."""
    if frame is None:
        return tuple(columns)
    return tuple(
        replace(column, null_rate=null_rate(frame[column.name]), decimals=decimals_of(frame[column.name]))
        if column.name in frame.columns
        else column
        for column in columns
    )
