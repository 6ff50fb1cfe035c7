"""Cohort counts of a manifest: bands that never say less than k, and tables of strangers that are refused."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.catalog.samples import sample_product

from hdex.catalog.cohort import (
    Cohort,
    CohortColumn,
    CohortDimension,
    CohortRecipe,
    answer,
    breakdown,
    check_cohort,
    read_where,
)
from hdex.catalog.cohort_answer import cohort_document
from hdex.catalog.documents import from_document, to_document
from hdex.catalog.errors import CohortInvalid, DocumentInvalid, NoCohort, ProductInvalid
from hdex.catalog.product import DataProduct

AGES = CohortDimension(column="age_band", labels=("<60", ">=60", "unknown"), edges=(60.0,))
SEXES = CohortDimension(column="sex", labels=("F", "M"))
TABLE = Cohort(dimensions=(AGES, SEXES), k=10, margin=20, counts=(40, 0, 70, 120, 0, 10))
LEVELS = {"age_band": 2, "sex": 2}
RECORDS = 240


def wheres() -> st.SearchStrategy[dict[str, str]]:
    return st.fixed_dictionaries(
        {}, optional={"age_band": st.sampled_from(AGES.labels), "sex": st.sampled_from(SEXES.labels)}
    )


@given(wheres())
def test_a_band_is_as_wide_as_what_was_rounded_and_never_says_none(where: dict[str, str]) -> None:
    found = answer(TABLE, where)
    off = TABLE.k if len(where) == len(TABLE.dimensions) else TABLE.margin
    assert (found.at_least, found.at_most) == (max(0, found.told - off), found.told + off)
    assert found.at_most >= TABLE.k
    assert found == answer(TABLE, where), "the same question has the same answer"
    said = found.text()
    assert ("o more than" in said.en) == (found.at_least == 0)
    assert "不超过" in said.zh or "之间" in said.zh


def test_counts_add_up() -> None:
    assert answer(TABLE, {}).told == sum(TABLE.counts)
    assert [found.told for _, found in breakdown(TABLE, "sex", {})] == [110, 130]
    assert [found.told for _, found in breakdown(TABLE, "age_band", {"sex": "M"})] == [0, 120, 10]
    assert answer(TABLE, {"age_band": ">=60", "sex": "F"}).told == 70


def test_a_suppressed_cell_is_told_as_no_more_than_k() -> None:
    found = answer(TABLE, {"age_band": "<60", "sex": "M"})
    assert found.document() == {
        "where": {"age_band": "<60", "sex": "M"},
        "at_least": 0,
        "at_most": 10,
        "suppressed": True,
        "text": {
            "en": "No more than 10 individuals; how few is not told.",
            "zh": "不超过 10 人；具体人数不予公布。",
        },
    }


def test_what_the_table_does_not_have_is_refused_with_what_it_has() -> None:
    with pytest.raises(CohortInvalid, match="there are age_band, sex"):
        answer(TABLE, {"smoker": "1"})
    with pytest.raises(CohortInvalid, match="there are F, M"):
        answer(TABLE, {"sex": "X"})
    with pytest.raises(NoCohort):
        answer(None, {})
    for words in (["sex"], ["=F"], ["sex=F", "sex=M"]):
        with pytest.raises(CohortInvalid, match="each column once"):
            read_where(words)


def test_the_table_is_part_of_the_signed_record_and_an_older_record_keeps_its_digest() -> None:
    plain = sample_product()
    assert "cohort" not in plain.document()
    product = told_product()
    assert DataProduct.from_document(product.document()) == product
    assert product.digest() != replace(product, cohort=None).digest()
    recipe = CohortRecipe(
        dimensions=(CohortColumn(column="age_band", edges=(60.0,)), CohortColumn(column="restenosis"))
    )
    assert product.cohort is not None
    assert product.cohort.recipe() == recipe


def told_product() -> DataProduct:
    """Return the sample with a table by two of its columns."""
    product = sample_product()
    dimensions = (AGES, replace(SEXES, column="restenosis", labels=("0", "1")))
    counts = tuple(product.records // 60 * 10 for _ in range(6))
    return replace(product, cohort=replace(TABLE, dimensions=dimensions, counts=counts))


def test_the_answer_names_the_manifest_it_stands_in() -> None:
    product = told_product()
    found = cohort_document(product, ["restenosis=1"])
    assert (found["product"], found["digest"]) == (product.id, product.digest())
    assert [one["column"] for one in found["dimensions"]] == ["age_band", "restenosis"]  # type: ignore[attr-defined]  # JSON


BAD = {
    "a cell below k": {"counts": (43, 0, 70, 117, 0, 10)},
    "a cell below 0": {"counts": (40, -10, 70, 130, 0, 10)},
    "too few cells": {"counts": (120, 120)},
    "other records": {"counts": (400, 0, 70, 120, 0, 10)},
    "k too small": {"k": 5},
    "an endless margin": {"margin": 200},
    "a margin below k": {"margin": 5},
    "one dimension": {"dimensions": (AGES,), "counts": (120, 120, 0)},
    "a dimension twice": {"dimensions": (AGES, AGES), "counts": (80, 0, 0, 80, 80, 0, 0, 0, 0)},
    "a column that is not there": {"dimensions": (AGES, replace(SEXES, column="name"))},
    "a label twice": {"dimensions": (AGES, replace(SEXES, labels=("F", "F")))},
    "an endless label": {"dimensions": (AGES, replace(SEXES, labels=("F", "M" * 61)))},
    "a hidden label": {"dimensions": (AGES, replace(SEXES, labels=("F", "M\u202e")))},
    "an empty label": {"dimensions": (AGES, replace(SEXES, labels=("F", "")))},
    "edges that fall": {"dimensions": (replace(AGES, edges=(60.0, 50.0)), SEXES)},
    "edges and a prefix": {"dimensions": (replace(AGES, prefix=2), SEXES)},
}


def test_a_table_that_can_be_told_passes() -> None:
    check_cohort(TABLE, LEVELS, RECORDS)


@pytest.mark.parametrize("changed", BAD.values(), ids=BAD)
def test_a_table_that_cannot_be_told_is_refused(changed: dict[str, object]) -> None:
    with pytest.raises(ProductInvalid, match="cohort"):
        check_cohort(replace(TABLE, **changed), LEVELS, RECORDS)  # type: ignore[arg-type]  # by field name


def test_counts_by_a_column_of_level_4_are_refused() -> None:
    with pytest.raises(ProductInvalid, match="sex"):
        check_cohort(TABLE, {**LEVELS, "sex": 5}, RECORDS)


def test_a_field_that_nobody_knows_is_refused() -> None:
    document = to_document(TABLE)
    assert isinstance(document, dict)
    with pytest.raises(DocumentInvalid, match="exact"):
        from_document(Cohort, {**document, "exact": [1, 2]})
