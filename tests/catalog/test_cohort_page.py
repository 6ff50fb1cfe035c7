"""The cohort section of a product's page: works by address alone, in two languages, strangers' labels stay text."""

from dataclasses import replace

import pytest
from starlette.testclient import TestClient
from tests.catalog.samples import sample_product
from tests.catalog.test_pages import PRODUCT, Outline, client

from hdex.catalog.cohort import Cohort, CohortDimension
from hdex.catalog.product import DataProduct
from hdex.catalog.web.sheet import sheet

HOSTILE = '"><script>alert(1)</script>'


def told_product(**given: object) -> DataProduct:
    """Return a product of 2,550 records that tells counts by age and sex."""
    cohort = Cohort(
        dimensions=(
            CohortDimension(
                column="age_band",
                labels=("<50", "50-59", "60-69", "70-79", ">=80", "unknown"),
                edges=(50.0, 60.0, 70.0, 80.0),
            ),
            CohortDimension(column="sex", labels=("female", "male", "other", "unknown")),
        ),
        k=10,
        margin=10,
        counts=(30, 60, 0, 0, 120, 280, 0, 0, 320, 630, 0, 0, 290, 530, 0, 0, 90, 200, 0, 0, 0, 0, 0, 0),
    )
    return replace(sample_product(**given), cohort=cohort)


@pytest.fixture(scope="module")
def web() -> TestClient:
    return client([told_product(), sample_product(id="hospital-a.plain")])


def test_the_page_answers_in_a_sentence_and_with_a_margin(web: TestClient) -> None:
    page = web.get(f"{PRODUCT}?cohort.age_band=60-69").text
    assert "Between 940 and 960 individuals." in page
    assert '<option value="60-69" selected>' in page
    assert "310–330" in page  # of sex, within the age band
    assert "≤ 10" in page
    chinese = web.get(f"/zh{PRODUCT}?cohort.age_band=60-69&cohort.sex=other").text
    assert "不超过 10 人" in chinese


def test_a_visitor_who_asked_nothing_is_told_of_everybody(web: TestClient) -> None:
    assert "Between 2,540 and 2,560 individuals." in web.get(PRODUCT).text


def test_what_cannot_be_asked_is_said_and_is_no_markup(web: TestClient) -> None:
    found = web.get(PRODUCT, params={"cohort.sex": HOSTILE, f"cohort.{HOSTILE}": "x"})
    assert found.status_code == 200
    assert "This cannot be asked" in found.text
    assert HOSTILE not in found.text


@pytest.mark.parametrize("asked", ["", "?cohort.sex=male", "?cohort.sex=nobody"])
@pytest.mark.parametrize("root", ["", "/zh"])
def test_the_section_is_well_formed_and_labelled(web: TestClient, root: str, asked: str) -> None:
    outline = Outline(web.get(f"{root}{PRODUCT}{asked}").text)
    assert (outline.faults, outline.open) == ([], [])
    assert len(outline.ids) == len(set(outline.ids))
    assert set(outline.refers) <= set(outline.ids)
    assert {"cohort", "cohort-1", "cohort-2"} <= set(outline.ids)
    labelled = {value for tag, name, value in outline.attributes if (tag, name) == ("label", "for")}
    assert {"cohort-1", "cohort-2"} <= labelled


def test_a_product_without_counts_has_no_section(web: TestClient) -> None:
    page = web.get("/products/hospital-a.plain").text
    assert 'id="cohort"' not in page
    assert '#cohort"' not in page


def test_labels_of_a_stranger_stay_text() -> None:
    product = told_product()
    assert product.cohort is not None
    sexes = replace(product.cohort.dimensions[1], labels=(HOSTILE, "=1+1", "other", "unknown"))
    hostile = replace(product, cohort=replace(product.cohort, dimensions=(product.cohort.dimensions[0], sexes)))
    web = client([hostile])
    for path in (PRODUCT, f"{PRODUCT}/sheet"):
        assert HOSTILE not in web.get(path).text


@pytest.mark.parametrize(("lang", "says"), [("en", "Cohort counts"), ("zh", "队列人数")])
def test_the_sheet_tells_the_margins_and_the_digest(lang: str, says: str) -> None:
    product = told_product()
    page = sheet(product, lang)
    assert product.cohort is not None
    assert says in page
    assert product.cohort.digest() in page
    assert "940–960" in page
