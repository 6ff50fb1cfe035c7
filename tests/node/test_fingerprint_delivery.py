"""Fingerprinted deliveries: opt-in, named in the contract, kept, traced; none where values were promised."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from tests.catalog.samples import sample_product
from tests.node.market_stage import BUYER, OFFICER, OTHER, Market, person, released

from hdex.catalog.contract import Agreement
from hdex.catalog.product import DataProduct, Role
from hdex.catalog.terms import Terms
from hdex.catalog.web.sheet import sheet
from hdex.node.container_file import open_header
from hdex.node.errors import AccessDenied, ContainerInvalid
from hdex.node.hospital.clauses import REGULATORY
from hdex.node.hospital.fingerprint_trace import Copied, holders_of
from hdex.node.hospital.fingerprints import grains_of, is_agreed, secrets_of, thresholds, with_steps
from hdex.node.hospital.publishing import in_order, offer_of
from hdex.node.hospital.released import release_name
from hdex.node.hospital.tracing import Records, trace
from hdex.node.keys import STANDARD, MemoryKeys

ROWS = 4000


def stents(market: Market, **given: object) -> DataProduct:
    """List the carotid product with a fingerprint in one column."""
    columns = tuple(
        replace(one, fingerprint_step=1.0 if one.name == "systolic" else None) for one in sample_product().columns
    )
    return market.list_product(replace(sample_product(**given), columns=columns), frame())


def frame() -> pl.DataFrame:
    """Return rows that can be told apart, as those of a hospital can."""
    pressure, ldl = [90 + n * 7 % 80 for n in range(ROWS)], [1 + n * 37 % 401 / 100 for n in range(ROWS)]
    return released(ROWS).with_columns(pl.Series("systolic", pressure), pl.Series("ldl", ldl))


@pytest.fixture
def market(tmp_path: Path) -> Market:
    market = Market(tmp_path)
    market.finalized(stents(market))
    return market


def records(market: Market) -> Records:
    """Return what hospital A remembers, as its own machine would read it."""
    ground = market.hospital.ground

    def copied(dataset: str, version: str) -> Copied | None:
        (held,) = market.hospital.products.versions("hospital-a.carotid-stents")
        holders = holders_of(held.product, ground.documents.all("contract"))
        return Copied(grains_of(held.product), secrets_of(ground.keys, held.product), holders)

    rows = {"dataset": "carotid-stents", "version": "1.0.0", "bytes": 1, "sha256": "-"}
    return Records(
        lambda kind: [rows] if kind == "release" else ground.documents.all(kind),
        lambda: [
            {name: getattr(event, name) for name in ("action", "decision", "product", "version", "contract", "time")}
            for event in ground.events()
        ],
        lambda dataset, version: market.hospital.vault.read_frame(dataset, release_name(version)),
        "hospital-a",
        ground.keys.public("sign"),
        copied,
    )  # fmt: skip


def test_the_buyer_gets_a_copy_of_his_own_and_the_header_says_so(market: Market) -> None:
    buyer = market.buyers[BUYER]
    agreement = buyer.status("c-1").agreement
    assert agreement is not None
    assert agreement["document"]["clauses"]["fingerprint"] == "per_buyer"
    buyer.fetch("c-1")
    copy, release = buyer.open("c-1"), frame()
    assert copy["age_band"].equals(release["age_band"])
    assert copy["systolic"].sum() == release["systolic"].sum()
    assert 0 < (copy["systolic"] != release["systolic"]).sum() < ROWS / 3
    hospital_key = market.directory.member("hospital-a").sign_key
    header = open_header(buyer._folder / "c-1.hdx", market.keys[BUYER].secret("hpke"), hospital_key)
    assert len(header.fingerprint) == 64


def test_delivered_again_it_is_the_same_bytes(market: Market) -> None:
    ranges = [market.hospital.delivery.range("c-1", 0, person(BUYER)) for _ in range(2)]
    first, again = ([chunk for _, chunk in one.chunks] for one in ranges)
    assert first == again


def test_a_leak_is_traced_to_its_buyer(market: Market, tmp_path: Path) -> None:
    buyer = market.buyers[BUYER]
    buyer.fetch("c-1")
    leak = tmp_path / "leak.csv"
    buyer.open("c-1").sample(fraction=0.5, shuffle=True, seed=3).write_csv(leak)
    found = trace(leak, records(market))
    (match,) = [one for one in found["matches"] if "fingerprint" in one]
    assert [one["consumer"] for one in match["fingerprint"]["named"]] == [BUYER]
    assert match["fingerprint"]["named"][0]["z"] > 10
    frame().write_csv(leak)  # the hospital's own release: it is ours, and nobody is named
    (match,) = trace(leak, records(market))["matches"]
    assert match["fingerprint"]["named"] == []
    frame().select("age_band").write_csv(leak)
    assert trace(leak, records(market))["matches"] == []


def test_a_product_without_steps_and_a_submission_to_a_regulator_are_delivered_as_released(tmp_path: Path) -> None:
    market = Market(tmp_path)
    market.finalized(market.stents())
    market.buyers[BUYER].fetch("c-1")
    assert market.buyers[BUYER].open("c-1").equals(released())
    allowed = Terms(permitted=(REGULATORY,), expires="2028-01-01T00:00:00.000Z")
    product = stents(market, id="hospital-a.submission", terms=allowed)
    market.buyers[BUYER].request(market.wish(product, purpose=REGULATORY), contract_id="c-2")
    market.negotiations.decide("c-2", OFFICER, approved=True)
    agreement = market.buyers[BUYER].accept("c-2").agreement
    assert agreement is not None
    clauses = agreement["document"]["clauses"]
    assert "fingerprint" not in clauses
    assert product.release is not None
    assert clauses["values_digest"] == product.release.sha256
    market.buyers[BUYER].fetch("c-2")
    assert market.buyers[BUYER].open("c-2").equals(frame())
    both = Agreement.from_document({**agreement["document"], "clauses": {**clauses, "fingerprint": "per_buyer"}})
    with pytest.raises(AccessDenied, match="promises the values"):
        is_agreed(both)


def test_a_copy_that_the_contract_does_not_name_is_not_accepted(market: Market) -> None:
    """A provider who marks secretly, or a buyer who is told that his copy is marked and it is not."""
    record = market.buyers[BUYER].status("c-1")
    assert record.agreement is not None
    silent = {**record.agreement["document"], "clauses": {}}
    market.doors[BUYER].forged = replace(record, agreement={**record.agreement, "document": silent})
    with pytest.raises(ContainerInvalid, match="fingerprint is not as the contract says"):
        market.buyers[BUYER].fetch("c-1")


@pytest.mark.parametrize("name", ["age_band", "absent", "sex"])
def test_only_numbers_of_the_file_that_are_no_quasi_identifiers_may_carry_one(name: str) -> None:
    with pytest.raises(AccessDenied, match="may not carry"):
        with_steps(sample_product().columns, [name], frame())


def test_a_column_is_named_with_its_last_digit_and_a_quasi_identifier_never() -> None:
    columns = tuple(replace(one, decimals=0) for one in sample_product().columns)
    marked = with_steps(columns, ["systolic"], frame())
    assert [one.fingerprint_step for one in marked if one.name == "systolic"] == [1.0]
    quasi = tuple(replace(one, role=Role.QUASI) for one in columns)
    with pytest.raises(AccessDenied):
        with_steps(quasi, ["systolic"], frame())


def test_sheet_and_offer_state_the_columns() -> None:
    columns = tuple(
        replace(one, fingerprint_step=0.01 if one.name in {"systolic", "ldl"} else None)
        for one in sample_product().columns
    )
    product = replace(sample_product(), columns=columns)
    for lang, words in (("en", "fingerprint"), ("zh", "指纹")):
        assert words in sheet(product, lang)
        assert "± 0.01" in sheet(product, lang)
        assert words not in sheet(sample_product(), lang)
    offer = offer_of(product)
    assert offer.fingerprint == ("systolic", "ldl")
    said = replace(offer, fingerprint=("ldl", "systolic"))
    assert in_order(said, product) == offer
    assert in_order(replace(offer, fingerprint=None), product) != offer


def test_thresholds_are_data_by_concept_and_secrets_do_not_show() -> None:
    assert 140 in thresholds()["LOINC 8480-6"]
    assert repr(secrets_of(MemoryKeys(dict(STANDARD)), sample_product())) == "Secrets()"


def test_who_has_no_contract_is_no_holder(market: Market) -> None:
    (held,) = market.hospital.products.versions("hospital-a.carotid-stents")
    holders = holders_of(held.product, market.hospital.ground.documents.all("contract"))
    assert [(one.contract, one.consumer) for one in holders] == [("c-1", BUYER)]
    assert OTHER not in {one.consumer for one in holders}
