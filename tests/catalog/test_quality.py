"""The grade is what the measures give, and nobody can tell a better one."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.catalog.samples import sample_product

from hdex.catalog.errors import ProductInvalid
from hdex.catalog.product import DataProduct
from hdex.catalog.quality import (
    Coverage,
    Documentation,
    Management,
    Modifications,
    Provision,
    QualityReport,
    Technical,
    grade,
    scale,
    timeliness,
)

DOCUMENTED = Documentation(columns_described=1.0, standards=("UCUM",), source="export", model="view")
REPORT = QualityReport(
    documentation=DOCUMENTED,
    technical=Technical(completeness=0.97, validity=1.0, timeliness=0.2),
    management=Management(steps=("signed",), maturity=1),
    coverage=Coverage(individuals_band="2500-2600"),
    provision=Provision(collection_to_offer_days=30),
    modifications=Modifications(),
    grade="B",
)


def reported(report: QualityReport) -> DataProduct:
    return sample_product(quality_report=report, quality=report.figures())


def test_a_report_travels_in_the_manifest_and_pages_list_its_figures() -> None:
    product = reported(REPORT)
    assert DataProduct.from_document(product.document()) == product
    assert product.quality == {"grade": "B", "completeness": 0.97, "validity": 1.0, "timeliness": 0.2}
    assert REPORT.digest() != replace(REPORT, grade="A").digest()


def test_the_worst_share_decides_and_age_is_no_defect() -> None:
    assert grade(Technical(completeness=0.99, validity=0.76), DOCUMENTED) == "D"
    assert grade(Technical(completeness=1.0, timeliness=0.0), DOCUMENTED) == "A"
    assert grade(Technical(), DOCUMENTED) is None
    assert grade(Technical(timeliness=1.0), DOCUMENTED) is None
    assert grade(Technical(completeness=1.0), replace(DOCUMENTED, columns_described=0.5)) == "C"
    assert grade(Technical(completeness=0.1), replace(DOCUMENTED, columns_described=0.5)) == "E"


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_better_share_never_gives_a_worse_grade(first: float, second: float) -> None:
    names = [name for name, _ in scale().grades]
    low, high = sorted((first, second))
    worse, better = (grade(Technical(validity=share), DOCUMENTED) for share in (low, high))
    assert names.index(str(better)) <= names.index(str(worse))


def test_timeliness_falls_to_nothing() -> None:
    assert [timeliness(days) for days in (-1, 0, 913, 1826, 9999)] == [1.0, 1.0, 0.5, 0.0, 0.0]


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"grade": "A"}, "grade B"),
        ({"grade": None}, "grade B"),
        ({"grade_name": "EHDS label"}, "hdex grade"),
        ({"technical": replace(REPORT.technical, validity=1.2)}, "share from 0 to 1"),
        ({"coverage": replace(REPORT.coverage, represented=-0.1)}, "share from 0 to 1"),
        ({"management": Management(steps=(), maturity=9)}, "maturity"),
    ],
)
def test_a_report_that_does_not_hold_is_refused(changed: dict[str, object], problem: str) -> None:
    report = replace(REPORT, **changed)  # type: ignore[arg-type]  # by field name
    with pytest.raises(ProductInvalid, match=problem):
        DataProduct.from_document(reported(report).document())


def test_figures_that_are_not_the_reports_are_refused() -> None:
    product = sample_product(quality_report=REPORT, quality={"grade": "A"})
    with pytest.raises(ProductInvalid, match="figures"):
        DataProduct.from_document(product.document())
