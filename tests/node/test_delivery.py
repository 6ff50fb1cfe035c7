"""Sealed delivery: every range authorised anew, remembered before its first byte, the same bytes whenever asked."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.catalog.samples import sample_product
from tests.node.market_stage import BUYER, NOW, OFFICER, OTHER, PACE, Market, person, released

from hdex.catalog.errors import NotListed, OutsideAgreement, ProductClosed
from hdex.catalog.lifecycle import ProductState
from hdex.catalog.product import ReleaseFile
from hdex.ledger.errors import LogFailed
from hdex.node.access_proof import AccessProof
from hdex.node.container import Opener, Part
from hdex.node.errors import AccessDenied, ContainerInvalid, NotFound, PeerUnavailable, SignatureInvalid
from hdex.node.hospital.delivery import Shipment
from hdex.node.hospital.released import release_name
from hdex.node.hospital.usage_book import UsageBook
from hdex.node.signed import digest, sign

ME = person(BUYER)


@pytest.fixture
def market(tmp_path: Path) -> Market:
    market = Market(tmp_path)
    market.finalized(market.stents())
    return market


def ranged(market: Market, first: int = 0) -> Shipment:
    return market.hospital.delivery.range("c-1", first, ME)


def whole(market: Market) -> list[tuple[int, bytes]]:
    """Return every chunk, range by range."""
    found: list[tuple[int, bytes]] = []
    opener = Opener(ranged(market).header, **keys(market))
    while len(found) < opener.header.chunks:
        found += ranged(market, len(found)).chunks
    return found


def keys(market: Market) -> dict[str, bytes]:
    return {
        "hpke_private": market.keys[BUYER].secret("hpke"),
        "provider_public": market.directory.member("hospital-a").sign_key,
    }


def receipt(market: Market, signer: str = BUYER, **changed: Any) -> dict[str, Any]:
    agreement = market.negotiations.all()[0].agreement
    assert agreement is not None
    root = Opener(ranged(market).header, **keys(market)).header.root
    document = {
        "contract_id": "c-1",
        "agreement_digest": digest(agreement["document"]),
        "root": root,
        "received": "now",
    }
    return sign("receipt", document | changed, signer, market.keys[signer].secret("sign"))


def test_what_arrives_is_what_was_released(market: Market) -> None:
    assert market.buyers[BUYER].fetch("c-1").complete
    assert market.buyers[BUYER].open("c-1").equals(released())
    allowed = [event for event in market.hospital.ground.events() if event.action.value == "export"]
    assert {(event.contract, event.purpose, event.decision) for event in allowed} == {("c-1", "DUO:0000007", "allow")}
    assert all(event.grant == market.negotiations.grant_of("c-1") for event in allowed)


def test_a_delivery_that_is_cut_goes_on_where_it_stopped_with_the_same_bytes(market: Market) -> None:
    whole_at_once = whole(market)
    assert len(whole_at_once) > PACE.chunks_per_range + 1
    assert [index for index, _ in whole_at_once] == list(range(len(whole_at_once)))
    again = whole(market)
    assert [chunk for _, chunk in again] == [chunk for _, chunk in whole_at_once]
    first = market.buyers[BUYER].fetch("c-1", stop_after=2)
    assert (first.complete, first.chunks) == (False, 2)
    asked = market.counters[BUYER].asked
    market.buyers[BUYER].fetch("c-1")
    assert asked[1] == 2
    assert market.buyers[BUYER].open("c-1").equals(released())


def test_the_event_is_durable_before_a_chunk_is_sealed(market: Market) -> None:
    before = market.hospital.ground.log.size
    shipment = ranged(market)
    assert market.hospital.ground.log.size == before + 1
    assert shipment.proof.index == before
    assert market.hospital.ground.meter.totals().get("sealed file") is None
    market.hospital.ground.store.fails = True
    with pytest.raises(LogFailed):
        ranged(market, 3)


def test_each_range_asks_anew_whether_the_licence_lives(market: Market) -> None:
    assert market.buyers[BUYER].fetch("c-1", stop_after=1).chunks == 1
    market.negotiations.revoke("c-1", "ended", OFFICER)
    with pytest.raises(AccessDenied) as refused:
        market.buyers[BUYER].fetch("c-1")
    assert refused.value.rule == "contract.revoked"
    assert market.hospital.ground.refusals() == [("export", "contract.revoked")]


def test_an_expired_agreement_delivers_nothing_and_leaves_an_event(market: Market) -> None:
    market.later(days=366)
    with pytest.raises(OutsideAgreement):
        ranged(market)
    assert market.hospital.ground.refusals() == [("export", "agreement.expired")]
    assert market.now - NOW > timedelta(days=365)


@pytest.mark.parametrize("first", [-1, 10_000, 2**40])
def test_a_range_beyond_the_delivery_is_refused_and_remembered(market: Market, first: int) -> None:
    with pytest.raises(AccessDenied) as refused:
        ranged(market, first)
    assert refused.value.rule == "range.beyond"
    assert market.hospital.ground.refusals() == [("export", "range.beyond")]


def test_another_consumer_gets_nothing(market: Market) -> None:
    with pytest.raises(AccessDenied):
        market.hospital.delivery.range("c-1", 0, person(OTHER))
    with pytest.raises(NotFound):
        market.hospital.delivery.range("c-9", 0, ME)
    with pytest.raises(NotFound):
        market.hospital.delivery.range("", 0, ME)
    assert [rule for _, rule in market.hospital.ground.refusals()] == ["contract.foreign", "not-found", "not-found"]


def test_a_contract_that_is_not_final_delivers_nothing(market: Market) -> None:
    market.buyers[BUYER].request(market.wish(sample_product()), contract_id="c-2")
    for decided in (False, True):
        if decided:
            market.negotiations.decide("c-2", OFFICER, approved=True)
        with pytest.raises(AccessDenied) as refused:
            market.hospital.delivery.range("c-2", 0, ME)
        assert refused.value.rule == "contract.state"


def test_a_federated_contract_brings_no_file(market: Market) -> None:
    market.finalized(market.hospital.products.all()[0], "federated", "c-2")
    with pytest.raises(OutsideAgreement):
        market.hospital.delivery.range("c-2", 0, ME)
    assert market.hospital.ground.refusals() == [("export", "agreement.mode")]


def test_a_newer_version_does_not_end_an_older_contract_before_its_notice_has_run(market: Market) -> None:
    market.list_product(replace(sample_product(), version="2.0.0"), released(200))
    market.buyers[BUYER].fetch("c-1")
    assert market.buyers[BUYER].open("c-1").equals(released())  # the version agreed, not the newer one
    with pytest.raises(NotListed):  # nobody new gets the older one
        market.hospital.products.live("hospital-a.carotid-stents", "00" * 32)
    market.later(days=90)
    with pytest.raises(ProductClosed):
        ranged(market)
    assert market.hospital.ground.refusals() == [("export", "product.superseded")]


def test_a_superseded_file_ends_at_once_when_patients_have_withdrawn(market: Market) -> None:
    """Its notice is the buyers'; who withdrew since it was made has not agreed to it."""
    documents = market.hospital.ground.documents
    documents.put("consent_withdrawal", "carotid-stents", {"at": "2026-11-21T21:00:00.000Z"})
    assert ranged(market).header  # listed still: the next version leaves them out
    market.list_product(replace(sample_product(), version="2.0.0"), released(200))
    with pytest.raises(AccessDenied) as refused:
        ranged(market)
    assert refused.value.rule == "product.consent_withdrawn"


@pytest.mark.parametrize(("state", "rule"), [("SUSPENDED", "product.suspended"), ("REVOKED", "product.withdrawn")])
def test_a_product_that_is_not_open_delivers_nothing(market: Market, state: str, rule: str) -> None:
    products = market.hospital.products
    products.keep(replace(products.versions("hospital-a.carotid-stents")[0], state=ProductState(state)))
    with pytest.raises(ProductClosed):
        ranged(market)
    assert market.hospital.ground.refusals() == [("export", rule)]


def test_the_agreed_deliveries_are_all_there_are(market: Market) -> None:
    """`max_deliveries` stands in what both signed: after the receipt of the last one no range leaves."""
    assert market.buyers[BUYER].fetch("c-1").complete
    with pytest.raises(AccessDenied) as refused:
        ranged(market)
    assert refused.value.rule == "agreement.deliveries"
    assert market.hospital.ground.refusals() == [("export", "agreement.deliveries")]


def test_two_deliveries_are_two(tmp_path: Path) -> None:
    market = Market(tmp_path)
    market.finalized(market.stents(max_deliveries=2))
    for moment in ("first", "second"):
        whole(market)
        market.hospital.delivery.acknowledge(receipt(market, received=moment), ME)
        market.hospital.delivery.acknowledge(market.hospital.ground.documents.get("delivery", "c-1")["receipt"], ME)
    with pytest.raises(AccessDenied, match="Agreed: 2, used: 2, asked: 1"):
        ranged(market)


def test_who_signs_no_receipt_has_no_endless_delivery(market: Market) -> None:
    chunks = len(whole(market))
    with pytest.raises(AccessDenied, match="chunks authorised"):  # noqa: PT012  # the refusal comes at some range
        for _ in range(8):
            for first in range(0, chunks, PACE.chunks_per_range):
                ranged(market, first)
    assert market.hospital.ground.refusals() == [("export", "agreement.deliveries")]
    ground = market.hospital.ground
    begun = UsageBook(ground.log, list, node=ground.id, clock=market.clock)
    assert (
        8 * chunks - PACE.chunks_per_range < begun.chunks("c-1") <= 8 * chunks
    )  # as a process that begins now reads it from the log


def test_a_delivery_is_sealed_to_the_agreed_key_only(market: Market) -> None:
    """The directory names another key now: the agreement does not."""
    members = [
        replace(member, hpke_key=market.keys[OTHER].public("hpke")) if member.id == BUYER else member
        for member in market.directory.members
    ]
    market.hospital.delivery._directory = replace(market.directory, members=tuple(members))
    with pytest.raises(AccessDenied) as refused:
        ranged(market)
    assert refused.value.rule == "agreement.keys"


def test_only_the_buyer_that_is_named_can_open_it(market: Market) -> None:
    header = ranged(market).header
    with pytest.raises(ContainerInvalid):
        Opener(header, hpke_private=market.keys[OTHER].secret("hpke"), provider_public=keys(market)["provider_public"])


def test_the_buyer_refuses_a_delivery_of_another_product(market: Market) -> None:
    other = replace(sample_product(), id="hospital-a.other")
    listed = market.list_product(other, pl.DataFrame({"a": [1] * 10}))
    market.finalized(listed, contract_id="c-2")
    shipped = market.hospital.delivery.range("c-2", 0, ME)
    from hdex.node.container import Header, Sealer

    wrong = Opener(shipped.header, **keys(market)).header
    header = Header(**{name: getattr(wrong, name) for name in Header.__slots__} | {"contract": "c-1"})
    data = market.hospital.vault.read("other", "release-1.0.0.parquet")
    sealer = Sealer(
        header,
        lambda start, length: data[start : start + length],
        to=market.directory.member(BUYER).hpke_key,
        sign_key=market.keys["hospital-a"].secret("sign"),
        secret=b"\x01" * 32,
    )

    def deliver(provider: str, contract_id: str, first_chunk: int) -> Iterator[Part]:
        yield Part(sealer.prologue, shipped.proof.to_bytes())
        yield Part(index=0, chunk=sealer.chunk(0))

    market.counters[BUYER].deliver = deliver  # type: ignore[method-assign]  # a hospital that mixes up its products
    with pytest.raises(ContainerInvalid):
        market.buyers[BUYER].fetch("c-1")


def test_the_buyer_keeps_what_the_log_says_of_every_range(market: Market) -> None:
    """Whoever holds it can show later that the provider's log said so."""
    market.buyers[BUYER].fetch("c-1", stop_after=1)
    market.buyers[BUYER].fetch("c-1")
    lines = (market.buyers[BUYER]._folder / "c-1.log.jsonl").read_bytes().splitlines()
    proofs = [AccessProof.from_bytes(line) for line in lines]
    exports = [event for event in market.hospital.ground.events() if event.action.value == "export"]
    assert [proof.event(market.directory.member("hospital-a")) for proof in proofs] == exports
    assert len(exports) > 2


def other_entry(market: Market, proof: AccessProof) -> AccessProof:
    """A true proof of another entry of the same log."""
    log = market.hospital.ground.log
    return replace(proof, index=0, entry=log.entries(0, 1)[0], hashes=tuple(log.inclusion(0, proof.index + 1)))


FORGED: dict[str, Callable[[Market, AccessProof], AccessProof]] = {
    "another entry": other_entry,
    "another index": lambda _, proof: replace(proof, index=proof.index - 1),
    "a changed entry": lambda _, proof: replace(proof, entry=proof.entry.replace(b'"rows":4', b'"rows":5')),
    "no hashes": lambda _, proof: replace(proof, hashes=()),
    "short hashes": lambda _, proof: replace(proof, hashes=(b"\x01", *proof.hashes)),
    "no checkpoint": lambda _, proof: replace(proof, checkpoint=""),
    "another log": lambda market, proof: replace(proof, checkpoint=market.exchange.log.checkpoint()),
}


@pytest.mark.parametrize("kind", FORGED)
def test_a_delivery_that_the_log_does_not_know_is_refused(market: Market, kind: str) -> None:
    """Nothing of it is kept: a provider that gives data beside its log gives it to nobody."""
    market.counters[BUYER].forge = lambda proof: FORGED[kind](market, proof)
    with pytest.raises(ContainerInvalid, match="did not prove that this delivery stands in its log"):
        market.buyers[BUYER].fetch("c-1")
    folder = market.buyers[BUYER]._folder
    assert not (folder / "c-1.hdx").exists()
    assert not (folder / "c-1.log.jsonl").exists()


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"entry":1}', b"\xff", b"[" * 100_000])
def test_what_is_no_proof_is_refused(data: bytes) -> None:
    with pytest.raises(ContainerInvalid):
        AccessProof.from_bytes(data)


def test_a_file_that_the_manifest_does_not_name_gets_no_name(market: Market) -> None:
    """The provider seals, signs and logs another file than it listed."""
    side, data = market.hospital, b"another file" * 100
    side.vault.put("other", release_name("1.0.0"), data)
    side.ground.documents.put("release", "other/1.0.0", {"records": 1, "recipient_class": ""})
    listed = ReleaseFile(bytes=len(data), sha256="00" * 32, chunks=1)
    market.finalized(
        market.list_product(replace(sample_product(), id="hospital-a.other", release=listed)), contract_id="c-2"
    )
    with pytest.raises(ContainerInvalid, match="not the file that the product's manifest names"):
        market.buyers[BUYER].fetch("c-2")
    assert not (market.buyers[BUYER]._folder / "c-2.hdx").exists()


def test_a_complete_delivery_is_acknowledged_once_it_verified(market: Market) -> None:
    assert market.hospital.ground.documents.all("delivery") == []
    market.buyers[BUYER].fetch("c-1")
    (kept,) = market.hospital.ground.documents.all("delivery")
    assert kept["receipt"]["document"]["contract_id"] == "c-1"
    assert market.hospital.ground.events()[-1].action.value == "delivery.acknowledge"


def test_a_receipt_that_was_not_heard_is_sent_again_and_one_that_was_is_not(market: Market) -> None:
    """The buyer was killed, or the provider was away, between the last chunk and the receipt."""
    counter = market.counters[BUYER]
    heard = counter.acknowledge

    def away(provider: str, receipt: Any) -> None:
        raise PeerUnavailable("hospital-a does not answer")

    counter.acknowledge = away  # type: ignore[method-assign]  # a line that is cut
    with pytest.raises(PeerUnavailable):
        market.buyers[BUYER].fetch("c-1")
    counter.acknowledge = heard  # type: ignore[method-assign]
    for _ in range(2):
        assert market.buyers[BUYER].fetch("c-1").complete
    assert [event.action.value for event in market.hospital.ground.events()].count("delivery.acknowledge") == 1
    assert len(market.hospital.ground.documents.all("delivery")) == 1


@pytest.mark.parametrize(
    ("signer", "changed", "error"),
    [
        (OTHER, {}, SignatureInvalid),
        (BUYER, {"contract_id": "c-9"}, NotFound),
        (BUYER, {"contract_id": 7}, NotFound),
        (BUYER, {"agreement_digest": "00" * 32}, AccessDenied),
        (BUYER, {"root": "00" * 32}, AccessDenied),
    ],
)
def test_a_receipt_for_something_else_is_not_kept(
    market: Market, signer: str, changed: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        market.hospital.delivery.acknowledge(receipt(market, signer, **changed), ME)
    assert market.hospital.ground.documents.all("delivery") == []
    assert [action for action, _ in market.hospital.ground.refusals()] == ["delivery.acknowledge"]
    empty = sign("receipt", {}, BUYER, market.keys[BUYER].secret("sign"))
    with pytest.raises(NotFound):
        market.hospital.delivery.acknowledge(empty, ME)


def test_the_meter_counts_what_left_and_only_that(market: Market) -> None:
    chunks = list(ranged(market).chunks)
    total = market.hospital.ground.meter.totals()["sealed file"]
    assert total == {"bytes": sum(len(chunk) for _, chunk in chunks), "count": len(chunks)}
