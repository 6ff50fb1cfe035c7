"""What the report says is what the rows show: counted again by hand on small frames."""

from datetime import date

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.catalog.samples import sample_column

from hdex.catalog.product import Column
from hdex.node.hospital.quality_report import (
    Measured,
    decimals_of,
    listed,
    null_rate,
    quality_report,
    share,
)

COLUMNS: tuple[Column, ...] = (
    sample_column("person_id", "Patient", "患者"),
    sample_column("sex", "Sex", "性别"),
    sample_column("age", "Age", "年龄", datatype="integer", unit="a", method="generalised"),
    sample_column("systolic", "Systolic", "收缩压", datatype="integer", unit="mm[Hg]"),
    sample_column("diastolic", "Diastolic", "舒张压", datatype="integer", unit="mm[Hg]"),
    sample_column("score", "Score", "评分", datatype="number"),
)
FRAME = pl.DataFrame(
    {
        "person_id": ["a", "b", "c", "c"],  # one patient twice
        "sex": ["male", "female", "ALIEN", "*"],  # one word outside the list, one suppressed
        "age": ["60-69", "*", "70-79", None],  # two that tell nothing
        "systolic": [130, 120, 900, 80],  # one nobody has
        "diastolic": [80, 70, 60, 90],  # the last above its systolic
        "score": [1.25, float("nan"), 2.5, 3.0],
    }
)
INGEST = {"view": "carotid_stent", "patients": 5, "last_day": "2026-01-01"}
RELEASE = {"report": {"verification": {"k": 5}, "attack_after": None}}


def test_each_dimension_is_counted() -> None:
    said = Measured(FRAME, COLUMNS, INGEST, RELEASE)
    report = quality_report(said, on=date(2026, 4, 15), band="0-9", temporal=None, supersedes="1.0.0")
    technical = report.technical
    assert technical.completeness == share(24 - 4, 24) == 0.83
    assert technical.uniqueness == 0.75
    assert technical.accuracy == 0.88  # seven of eight pressures
    assert technical.validity == share(23, 24) == 0.96
    assert technical.consistency == 0.75
    assert report.provision.collection_to_offer_days == 100
    assert technical.timeliness == 0.95
    assert report.documentation.columns_described == 0.83  # the score has neither unit nor code
    assert (report.coverage.represented, report.modifications.supersedes) == (0.8, "1.0.0")
    assert report.management.maturity == 4
    assert report.grade == "D"


def test_nothing_is_measured_where_no_row_leaves() -> None:
    report = quality_report(
        Measured(None, COLUMNS, INGEST, RELEASE), on=date(2026, 4, 15), band="0-9", temporal=None, supersedes=None
    )
    assert (report.grade, dict(report.figures()), report.coverage.represented) == (None, {}, None)


def test_columns_say_what_is_empty_and_how_fine_they_are() -> None:
    told = {column.name: (column.null_rate, column.decimals) for column in listed(COLUMNS, FRAME)}
    assert told["age"] == (0.5, None)
    assert told["systolic"] == (0.0, 0)
    assert told["score"] == (0.25, 2)
    assert listed(COLUMNS, None) == COLUMNS


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_a_share_is_whole_only_when_nothing_lacks(part: int, more: int) -> None:
    assert share(part, part) == 1.0
    assert share(part, part + more) < 1


@pytest.mark.parametrize(("values", "places"), [([1.0, 2.0], 0), ([0.1, None], 1), ([0.123], 3), ([1 / 3], 6)])
def test_decimals_are_those_published(values: list[float | None], places: int) -> None:
    assert decimals_of(pl.Series("x", values, dtype=pl.Float64)) == places
    assert null_rate(pl.Series("x", values, dtype=pl.Float64)) == values.count(None) / len(values)
