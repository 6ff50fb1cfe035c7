"""The national grade decides who may have a product: core nobody, important who stores it in the country."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.node.market_stage import BUYER, OFFICER, Market, person
from tests.node.record_stage import HIV, Record, offer
from tests.node.study_stage import Round

from hdex.catalog.contract import State
from hdex.node.directory import Directory, Member
from hdex.node.errors import AccessDenied, ConfigInvalid
from hdex.node.hospital.borders import Borders

HOME = {"hospital-a": "CN", BUYER: "CN"}
IMPORTANT = {"national_grade": "important", "assessment": "PG-2026-7"}


def graded(market: Market, **document: str) -> str:
    """List the carotid product of hospital A under a classification that says so; return its data set."""
    product = market.stents()
    dataset = market.hospital.products.dataset(product.id)
    market.hospital.ground.documents.put("classification", dataset, {"envelope": {"document": document}})
    return dataset


def moved(market: Market, participant: str, country: str) -> Directory:
    """Return the directory that the consortium signs after a participant has moved its storage."""
    members = [
        replace(member, storage_country=country) if member.id == participant else member
        for member in market.directory.members
    ]
    return replace(market.directory, members=tuple(members))


def refused(market: Market) -> AccessDenied:
    """Ask for the product of hospital A and return how the buyer is told no."""
    with pytest.raises(AccessDenied) as caught:
        market.buyers[BUYER].request(market.wish(market.hospital.products.all()[0]), contract_id="c-1")
    assert market.negotiations.all()[0].state == State.TERMINATED
    return caught.value


def test_important_data_goes_to_who_stores_it_in_the_country(tmp_path: Path) -> None:
    market = Market(tmp_path, HOME)
    graded(market, **IMPORTANT)
    market.finalized(market.hospital.products.all()[0])
    assert market.buyers[BUYER].fetch("c-1").complete
    assert not market.hospital.ground.refusals()


@pytest.mark.parametrize(
    ("countries", "rule", "told"),
    [
        (HOME | {BUYER: "DE"}, "national_grade.storage_abroad", "store it in CN, or ask for a product"),
        ({"hospital-a": "CN"}, "national_grade.storage_unknown", f"entry of {BUYER} anew"),
        ({BUYER: "CN"}, "national_grade.storage_unknown", "entry of hospital-a anew"),
        ({}, "national_grade.storage_unknown", "entry of hospital-a"),
    ],
)
def test_a_buyer_elsewhere_or_of_whom_nothing_is_said_is_refused_at_once(
    tmp_path: Path, countries: dict[str, str], rule: str, told: str
) -> None:
    market = Market(tmp_path, countries)
    graded(market, **IMPORTANT)
    answer = refused(market)
    assert answer.rule == rule
    assert told in answer.next_step
    assert market.hospital.ground.refusals() == [("contract.refuse", rule)]


def test_general_data_asks_nobody_where_he_stores_things(tmp_path: Path) -> None:
    market = Market(tmp_path)
    graded(market, national_grade="general")
    market.finalized(market.hospital.products.all()[0])
    assert market.buyers[BUYER].fetch("c-1").complete


def test_a_grade_set_later_stops_the_approval_and_the_next_range(tmp_path: Path) -> None:
    market = Market(tmp_path, HOME | {BUYER: "DE"})
    dataset = graded(market, national_grade="general")
    market.finalized(market.hospital.products.all()[0])
    market.buyers[BUYER].fetch("c-1", stop_after=1)
    market.buyers[BUYER].request(market.wish(market.hospital.products.all()[0]), contract_id="c-2")
    market.hospital.ground.documents.put("classification", dataset, {"envelope": {"document": IMPORTANT}})
    with pytest.raises(AccessDenied, match="stores in DE, asked is CN"):
        market.hospital.delivery.range("c-1", 1, person(BUYER))
    with pytest.raises(AccessDenied, match="stores in DE, asked is CN"):
        market.negotiations.decide("c-2", OFFICER, approved=True)
    rule = "national_grade.storage_abroad"
    assert market.hospital.ground.refusals() == [("export", rule), ("contract.agree", rule)]


def test_a_grade_set_later_stops_the_next_round(tmp_path: Path) -> None:
    stage = Round(Market(tmp_path, HOME | {BUYER: "DE"}))
    study = stage.study()
    dataset = stage.market.hospital.products.dataset(stage.product.id)
    stage.market.hospital.ground.documents.put("classification", dataset, {"envelope": {"document": IMPORTANT}})
    assert stage.refused(study) == "national_grade.storage_abroad"


def test_a_buyer_who_moves_abroad_gets_no_further_range(tmp_path: Path) -> None:
    market = Market(tmp_path, HOME)
    dataset = graded(market, **IMPORTANT)
    market.finalized(market.hospital.products.all()[0])
    Borders("hospital-a", market.hospital.ground.documents, market.directory).require_recipient(dataset, "1.0.0", BUYER)
    later = Borders("hospital-a", market.hospital.ground.documents, moved(market, BUYER, "DE"))
    with pytest.raises(AccessDenied, match="stores in DE"):
        later.require_recipient(dataset, "1.0.0", BUYER)


@pytest.mark.parametrize("grade", ["core", "important"])
def test_core_and_unassessed_data_are_no_product_even_where_they_were(tmp_path: Path, grade: str) -> None:
    market = Market(tmp_path, HOME)
    graded(market, national_grade=grade, assessment="")
    expected = "national_grade.core" if grade == "core" else "national_grade.assessment"
    assert refused(market).rule == expected
    assert market.hospital.ground.refusals() == [("contract.refuse", expected)]


def test_what_a_steward_signs_reaches_the_buyers_refusal(tmp_path: Path) -> None:
    """From the classification over release and manifest to a request from abroad, and to core after all."""
    record = Record(tmp_path, countries={"hospital-c": "CN", BUYER: "DE"})
    record.ingest(HIV)
    proposed = record.classified(HIV)
    assert proposed["flags"] == {"minor_under_14": False}  # grown-ups
    record.approve("classification", HIV, proposed | IMPORTANT)
    version = str(record.release(HIV)["version"])
    assert record.releases.facts(HIV, version)["national_grade"] == "important"
    record.publish(HIV, version)
    product = record.products.all()[0]
    assert "national grade: important" in product.inclusion
    with pytest.raises(AccessDenied) as abroad:
        record.market.buyers[BUYER].request(record.market.wish(product, "federated"), contract_id="c-1")
    assert abroad.value.rule == "national_grade.storage_abroad"
    record.approve("classification", HIV, record.classified(HIV) | {"national_grade": "core"})
    with pytest.raises(AccessDenied) as stopped:
        record.publish(HIV, version)
    assert (stopped.value.rule, stopped.value.next_step) == (
        "national_grade.core",
        "withdraw it: core data is never a product",
    )
    assert record.ground.refusals()[-1] == ("product.review", "national_grade.core")
    officer = record.who("privacy_officer")
    with pytest.raises(AccessDenied):
        record.publishing.publish(HIV, version, offer(), actor=officer, say=lambda _step, _text: None)
    assert record.ground.refusals()[-1] == ("catalogue.publish", "national_grade.core")


def test_the_directory_says_a_country_in_two_letters_or_nothing(tmp_path: Path) -> None:
    member = Market(tmp_path, HOME).directory.member(BUYER)
    assert Member.from_document(member.document()).storage_country == "CN"
    before = {name: value for name, value in member.document().items() if name != "storage_country"}
    assert Member.from_document(before).storage_country == ""
    for wrong in ("cn", "China", "C1"):
        with pytest.raises(ConfigInvalid, match="two capital letters, as in CN"):
            replace(member, storage_country=wrong)
