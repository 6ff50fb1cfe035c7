"""A product tells what was measured and nothing that singles out a person; one version is offered under one offer."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.node.market_stage import BUYER, person
from tests.node.record_stage import HIV, STENTS, Record, exports, offer

from hdex.catalog.errors import CatalogError, DocumentInvalid, VersionConflict
from hdex.catalog.product import DataProduct, DeliveryMode
from hdex.ledger.errors import LogFailed
from hdex.node.errors import AccessDenied, NotFound


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """A hospital with one published file product and one published level-5 cohort."""
    record = Record(tmp_path_factory.mktemp("made")).ready(STENTS).ready(HIV)
    for dataset in (STENTS, HIV):
        record.publish(dataset, str(record.release(dataset)["version"]))
    return record


@pytest.fixture
def record(tmp_path: Path) -> Record:
    record = Record(tmp_path).ready(HIV)
    record.release(HIV)
    return record


def manifest(record: Record, dataset: str) -> DataProduct:
    """Return the product as a buyer is shown it."""
    product, _ = record.market.buyers[BUYER].show(f"{record.hospital}.{dataset}")
    return product


def test_a_product_is_signed_listed_and_on_the_chain(made: Record) -> None:
    product = manifest(made, STENTS)
    assert bytes.fromhex(product.digest()) in made.market.ledger.products
    assert [event.action.value for event in made.ground.events()][-1] == "catalogue.publish"
    assert product.release is not None
    assert product.release.sha256 == made.releases.facts(STENTS, "1.0.0")["sha256"]


def test_no_column_of_a_product_identifies_directly(made: Record) -> None:
    for dataset in (STENTS, HIV):
        product = manifest(made, dataset)
        assert all(column.level != 4 for column in product.columns)
        assert not {"name", "resident_id", "phone", "address"} & {column.name for column in product.columns}
        assert {column.role.value for column in product.columns} <= {"quasi", "sensitive", "free_text", "other"}


def test_level_5_tells_no_exact_count_and_has_no_file(made: Record) -> None:
    product = manifest(made, HIV)
    exact = {exports()[1].hospitals["hospital-c"].hiv, int(made.releases.facts(HIV, "1.0.0")["records"])}
    assert (product.level, product.delivery_modes, product.release) == (5, (DeliveryMode.FEDERATED,), None)
    assert product.records % 10 == 0
    assert product.privacy.k is None
    assert not product.preview.rows
    assert not product.preview.histograms
    numbers = [value for value in flat(product.document()) if isinstance(value, int) and not isinstance(value, bool)]
    assert not exact & set(numbers)


def flat(value: Any) -> list[Any]:
    """Return every plain value of a document."""
    if isinstance(value, dict):
        return [found for held in value.values() for found in flat(held)]
    if isinstance(value, list):
        return [found for held in value for found in flat(held)]
    return [value]


def test_a_preview_is_no_row_of_the_release(made: Record) -> None:
    product, frame = manifest(made, STENTS), made.releases.frame(STENTS, "1.0.0")
    assert product.preview.rows
    assert all(row["synthetic"] is True for row in product.preview.rows)
    names = [name for name in product.preview.rows[0] if name in frame.columns]
    rows = {tuple(map(str, row)) for row in frame.select(names).rows()}
    shown = [tuple(str(row.get(name)) for name in names) for row in product.preview.rows]
    assert sum(row in rows for row in shown) == 0


def test_no_identifier_is_in_a_manifest(made: Record) -> None:
    text = json.dumps([manifest(made, dataset).document() for dataset in (STENTS, HIV)], ensure_ascii=False)
    planted = exports()[1].hospitals["hospital-c"].identifiers
    found = [one for kind in ("name", "resident_id", "phone", "record_number", "serial") for one in planted[kind]]
    assert not [one for one in found if len(one) > 3 and one in text]


def test_published_again_is_the_same_manifest(made: Record) -> None:
    before = manifest(made, STENTS)
    made.publish(STENTS, "1.0.0")
    assert manifest(made, STENTS) == before


def test_new_terms_are_not_swallowed_under_an_old_version(made: Record) -> None:
    """The officer corrected the terms; the node answered "published" and kept offering the old ones."""
    terms = {"permitted": ["DUO:0000007"], "diseases": ["I65"], "prohibited": ["HDEX:marketing"]}
    with pytest.raises(AccessDenied) as refused:
        made.publish(STENTS, "1.0.0", terms=terms)
    assert refused.value.rule == "publish.offer"
    assert ("product.review", "publish.offer") in made.ground.refusals()
    officer = made.who("privacy_officer")
    with pytest.raises(AccessDenied):
        made.publishing.publish(STENTS, "1.0.0", offer(terms=terms), actor=officer, say=lambda _step, _text: None)
    assert ("catalogue.publish", "publish.offer") in made.ground.refusals()


def test_an_older_version_does_not_come_back(tmp_path: Path) -> None:
    record = Record(tmp_path).ready(HIV)
    record.release(HIV)
    record.release(HIV, recipient_class="hospital")
    record.publish(HIV, "1.1.0")
    with pytest.raises(VersionConflict):
        record.publish(HIV, "1.0.0")
    (offered,) = record.products.all()
    assert offered.version == "1.1.0"


BROKEN: list[dict[str, Any]] = [
    {"terms": {"permitted": []}},
    {"terms": {"permitted": ["NOT:A-PURPOSE"]}},
    {"price": {"basis": "free", "amount_cents": 5, "currency": "CNY", "plan": "one_off"}},
    {"price": {"basis": "free", "amount_cents": 0, "currency": "yuan", "plan": "one_off"}},
    {"title": {"en": "", "zh": ""}},
    {"title": {"en": "x" * 500, "zh": "字"}},
    {"title": "a title"},
    {"unknown": True},
    {"level": 1},
]


def test_an_offer_that_breaks_a_rule_is_refused_before_it_is_signed_or_kept(record: Record) -> None:
    for changed in BROKEN:
        with pytest.raises((CatalogError, DocumentInvalid)):
            record.publish(HIV, "1.0.0", **changed)
        assert record.ground.documents.all("manifest") == []
        assert record.products.all() == []
    record.publish(HIV, "1.0.0")  # and the right offer still goes


def test_only_what_was_released_is_published(record: Record) -> None:
    for version in ("9.9.9", "", "1.0.0/../../x"):
        with pytest.raises(NotFound):
            record.publish(HIV, version)


def test_without_a_durable_event_nothing_is_offered(record: Record) -> None:
    record.ground.store.fails = True
    with pytest.raises(LogFailed):
        record.publish(HIV, "1.0.0")
    assert record.products.all() == []
    assert record.market.exchange.events() == []
    assert record.market.ledger.products == {}


def test_a_chain_that_is_down_delays_the_fact_and_nothing_else(record: Record) -> None:
    record.market.ledger.up = False
    record.publish(HIV, "1.0.0")
    assert manifest(record, HIV).version == "1.0.0"
    record.market.ledger.up = True
    assert record.ground.facts.flush() == 0
    assert len(record.market.ledger.products) == 1


def test_the_exchange_is_asked_by_the_hospital_and_lists_under_its_name(made: Record) -> None:
    page = made.market.doors[BUYER].find("颈动脉", lang="zh")
    assert {product.provider.id for product in page} == {"hospital-c"}
    assert person("hospital-c").kind == "hospital"
