"""Cohort counts from released rows to a buyer without a contract: drawn once, signed by two, told alike to all."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.node.market_stage import BUYER
from tests.node.record_stage import AGAIN, HIV, STENTS, Record, offer, silent

from hdex.catalog.cohort import Cohort, answer
from hdex.catalog.cohort_answer import cohort_document
from hdex.catalog.documents import from_document
from hdex.catalog.errors import CohortInvalid, NoCohort
from hdex.catalog.product import DataProduct
from hdex.catalog.web.cohort_page import PREFIX
from hdex.deid.errors import CohortRefused
from hdex.node.client import Exchange
from hdex.node.errors import AccessDenied
from hdex.node.signed import sign
from hdex.node.web.desk_cohort import cohort_review

ASKED: dict[str, Any] = {
    "dimensions": [{"column": "age", "edges": [60, 70, 80]}, {"column": "sex"}, {"column": "smoker"}]
}
PRODUCT = f"hospital-c.{STENTS}"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """A hospital whose product tells counts by age, sex and smoking."""
    record = Record(tmp_path_factory.mktemp("cohort")).ready()
    record.publish(STENTS, str(record.release()["version"]), cohort=ASKED)
    return record


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """A hospital with a version of each data set, drafted in these tests and never signed."""
    record = Record(tmp_path_factory.mktemp("fresh")).ready().ready(HIV)
    record.release()
    record.release(HIV)
    return record


def shown(record: Record) -> DataProduct:
    product, _ = record.market.buyers[BUYER].show(PRODUCT)
    return product


def true_count(frame: pl.DataFrame, where: dict[str, str]) -> int:
    return frame.filter(*(pl.col(column).cast(pl.String) == label for column, label in where.items())).height


def test_a_buyer_without_a_contract_is_told_a_band_that_holds_the_truth(made: Record) -> None:
    exchange, frame = Exchange(made.market.buyers[BUYER]), made.releases.frame(STENTS, "1.0.0")
    told = exchange.cohort(PRODUCT, age="60-69", sex="male")
    assert told == exchange.cohort(PRODUCT, "age=60-69", "sex=male")
    for where in ({}, {"sex": "male"}, {"age": "60-69"}, {"age": "60-69", "sex": "male", "smoker": "1"}):
        found = exchange.cohort(PRODUCT, **where)
        assert found["at_least"] <= true_count(frame, where) <= found["at_most"]
        assert found["at_most"] >= 10
    assert told["digest"] == shown(made).digest()
    with pytest.raises(CohortInvalid, match="there are"):
        exchange.cohort(PRODUCT, sex="unheard")


def test_another_product_tells_no_counts_over_a_patient_of_this_one(made: Record) -> None:
    version = str(made.ready(AGAIN).release(AGAIN)["version"])
    other = {"dimensions": [{"column": "sex"}, {"column": "diabetes"}]}
    for asked in (ASKED, other):
        with pytest.raises(AccessDenied) as refused:
            made.assess(AGAIN, version, cohort=asked)
        assert refused.value.rule == "cohort.patients"
    made.assess(AGAIN, version)


def test_of_two_products_over_the_same_patients_the_first_that_is_listed_tells_counts(tmp_path: Path) -> None:
    record, asked = Record(tmp_path).ready().ready(AGAIN), offer(cohort=ASKED)
    drafted = {dataset: str(record.release(dataset)["version"]) for dataset in (STENTS, AGAIN)}
    for dataset, version in drafted.items():
        for role in record.staff:
            record.assess(dataset, version, role, cohort=ASKED)
    officer = record.who("privacy_officer")
    record.publishing.publish(AGAIN, drafted[AGAIN], asked, actor=officer, say=silent)
    with pytest.raises(AccessDenied) as refused:
        record.publishing.publish(STENTS, drafted[STENTS], asked, actor=officer, say=silent)
    assert refused.value.rule == "cohort.patients"


def test_both_people_sign_the_very_counts_that_are_listed(made: Record) -> None:
    cohort = shown(made).cohort
    assert cohort is not None
    paper = made.publishing.assess(STENTS, "1.0.0", offer(cohort=ASKED), actor=made.who(), say=silent)["assessment"]
    assert paper["cohort_digest"] == cohort.digest()
    reviewed = {review.assessment_digest for review in shown(made).reviews or ()}
    assert len(reviewed) == 1
    reviews = [event for event in made.ground.events() if event.action.value == "product.review"]
    assert len(reviews) >= 2


def test_the_counts_are_drawn_once_and_an_offer_without_them_tells_none(fresh: Record) -> None:
    def draft(**changed: Any) -> dict[str, Any]:
        found = fresh.publishing.assess(STENTS, "1.0.0", offer(**changed), actor=fresh.who(), say=silent)
        product: dict[str, Any] = found["product"]
        return product

    first = draft(cohort=ASKED)
    assert draft(cohort=ASKED)["cohort"] == first["cohort"]
    plain = draft()
    assert "cohort" not in plain
    assert cohort_review(plain, "en") is None
    assert draft(cohort=ASKED)["cohort"] == first["cohort"], "drawn again under the same secret, it is the same"
    review = cohort_review(first, "zh")
    assert review is not None
    assert (review.k, [one.column for one in review.dimensions]) == (10, ["age", "sex", "smoker"])
    with pytest.raises(NoCohort):
        cohort_document(DataProduct.from_document(plain), [])


def test_a_later_version_tells_what_was_told_unless_it_moved(made: Record, tmp_path: Path) -> None:
    before = shown(made).cohort
    assert before is not None
    patient = made.datasets.rows(STENTS)["person_id"].to_list()[0]
    (tmp_path / "withdrawals").write_text(patient)
    made.datasets.withdraw_consent(STENTS, tmp_path / "withdrawals", actor=made.who())
    version = str(made.release()["version"])
    assert version != "1.0.0"
    other = {"dimensions": [{"column": "sex"}, {"column": "diabetes"}]}
    with pytest.raises(AccessDenied) as refused:
        made.assess(STENTS, version, cohort=other)
    assert (refused.value.rule, "1.0.0" in refused.value.next_step) == ("cohort.recipe", True)
    made.publish(STENTS, version, cohort=ASKED)
    after = shown(made).cohort
    assert after is not None
    frame = made.releases.frame(STENTS, version)
    moved = sum(one != other for one, other in zip(before.counts, after.counts, strict=True))
    assert (after.dimensions, moved) == (before.dimensions, 0)
    assert answer(after, {}).at_least <= frame.height <= answer(after, {}).at_most


@pytest.mark.parametrize("column", ["person_id", "notes", "name", "implant_date"])
def test_what_tells_one_person_from_another_is_no_dimension(fresh: Record, column: str) -> None:
    asked = {"dimensions": [{"column": column}, {"column": "sex"}]}
    with pytest.raises((AccessDenied, CohortRefused)):
        fresh.publishing.assess(STENTS, "1.0.0", offer(cohort=asked), actor=fresh.who(), say=silent)


def test_ages_are_told_in_tens_at_least(fresh: Record) -> None:
    asked = {"dimensions": [{"column": "age", "edges": [60, 65, 70]}, {"column": "sex"}]}
    with pytest.raises(CohortRefused, match="10 years"):
        fresh.publishing.assess(STENTS, "1.0.0", offer(cohort=asked), actor=fresh.who(), say=silent)


def test_a_cohort_chosen_by_a_level_5_element_tells_no_counts(fresh: Record) -> None:
    with pytest.raises(AccessDenied) as refused:
        fresh.publishing.assess(HIV, "1.0.0", offer(cohort=ASKED), actor=fresh.who(), say=silent)
    assert refused.value.rule == "cohort.rows"


def test_counts_that_were_changed_on_the_way_are_not_listed(made: Record) -> None:
    """Each field of the signed table, changed by whoever stands between, breaks the hospital's signature."""
    envelope = made.products.versions(PRODUCT)[-1].envelope
    document = envelope["document"]
    for field, value in {"k": 20, "margin": 50, "counts": [0] * len(document["cohort"]["counts"])}.items():
        changed = {**document, "version": "9.0.0", "cohort": {**document["cohort"], field: value}}
        with pytest.raises(Exception, match=r"signature|cohort"):
            made.market.listings.publish({**envelope, "document": changed}, made.who(""))


def test_a_hospital_that_signs_a_cell_below_k_is_refused_at_the_exchange(made: Record) -> None:
    document = made.products.versions(PRODUCT)[-1].envelope["document"]
    counts = [*document["cohort"]["counts"]]
    counts[int(np.argmax(counts))] -= 3
    changed = {**document, "version": "9.0.0", "cohort": {**document["cohort"], "counts": counts}}
    envelope = sign("manifest", changed, "hospital-c", made.ground.keys.secret("sign"))
    with pytest.raises(ValueError, match="no multiple of k"):
        made.market.listings.publish(envelope, made.who(""))


def test_the_form_of_the_page_names_what_the_table_has(made: Record) -> None:
    cohort = from_document(Cohort, shown(made).document()["cohort"])
    assert [PREFIX + one.column for one in cohort.dimensions] == ["cohort.age", "cohort.sex", "cohort.smoker"]
