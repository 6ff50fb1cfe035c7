"""The exchange keeps papers and decides nothing; the buyer believes neither it nor the provider unchecked."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.catalog.samples import sample_product
from tests.node.market_stage import BUYER, OFFICER, OTHER, PURPOSE, Market, person

from hdex.catalog.contract import State
from hdex.catalog.errors import CatalogError, DocumentInvalid, NotListed, TransitionForbidden
from hdex.catalog.product import Provider
from hdex.ledger.errors import LogFailed
from hdex.node.contract_record import ContractRecord
from hdex.node.errors import AccessDenied, NotFound, RequestInvalid, SignatureInvalid
from hdex.node.hospital.contract_gate import Passage
from hdex.node.signed import Envelope, countersign, sign


@pytest.fixture
def market(tmp_path: Path) -> Market:
    return Market(tmp_path)


def agreed(market: Market) -> ContractRecord:
    """Return a record that the provider has signed and the buyer has not."""
    market.buyers[BUYER].request(market.wish(market.stents()), contract_id="c-1")
    return market.negotiations.decide("c-1", OFFICER, approved=True)


def provider_paper(market: Market, signer: str = "hospital-a", **changed: Any) -> Envelope:
    """Return an agreement as a provider signs it, after it changed its mind."""
    agreement = market.negotiations.all()[0].agreement
    assert agreement is not None
    return sign("agreement", agreement["document"] | changed, signer, market.keys[signer].secret("sign"))


def offered(market: Market) -> Envelope:
    """Return the agreement that the hospital would send for its oldest request, before it is sent."""
    (record, *_), (product, *_) = market.negotiations.all(), market.hospital.products.all()
    return market.negotiations._sign_agreement(record, product, Passage())


# ---- the exchange's side ---------------------------------------------------------------------------------------------


def test_the_exchange_keeps_each_step_in_its_own_log(market: Market) -> None:
    market.finalized(market.stents())
    actions = [event.action.value for event in market.exchange.events()]
    kept = [action for action in actions if action.startswith("contract") and action != "contract.read"]
    assert kept == ["contract.request", "contract.agree", "contract.verify"]
    assert all(BUYER.encode() not in leaf for leaf in market.exchange.log.entries(0, market.exchange.log.size))


@pytest.mark.parametrize(
    ("signer", "changed", "error"),
    [
        (OTHER, {}, SignatureInvalid),
        (BUYER, {"consumer": OTHER}, AccessDenied),
        (BUYER, {"provider": "hospital-b"}, AccessDenied),
        (BUYER, {"version": "7.0.0"}, AccessDenied),
        (BUYER, {"manifest_digest": "11" * 32}, NotListed),
        (BUYER, {"product": "nowhere.at-all"}, NotListed),
        (BUYER, {"delivery_mode": 1}, RequestInvalid),
        (BUYER, {"contract_id": "a b"}, RequestInvalid),
    ],
)
def test_the_exchange_refuses_a_request_that_is_not_the_callers(
    market: Market, signer: str, changed: dict[str, Any], error: type[Exception]
) -> None:
    paper = market.request_paper(market.stents(), signer, **changed)
    with pytest.raises(error):
        market.contracts.request(paper, person(BUYER))
    assert market.contracts.all() == []
    assert [action for action, _ in market.exchange.refusals()] == ["contract.request"]


def test_nobody_else_takes_reads_or_signs_a_contract(market: Market) -> None:
    agreed(market)
    product = sample_product()
    access = {"purpose": PURPOSE, "recipient": OTHER, "at": "2026-11-21T00:00:00Z"}
    stolen = market.request_paper(product, OTHER, consumer=OTHER, access=access)
    attempts: list[tuple[Callable[[], object], str]] = [
        (lambda: market.contracts.request(stolen, person(OTHER)), "contract.other"),
        (lambda: market.contracts.status("c-1", person(OTHER)), "contract.foreign"),
        (lambda: market.contracts.status("c-1", person("hospital-b")), "contract.foreign"),
        (lambda: market.contracts.verified(provider_paper(market), person(OTHER)), "agreement.foreign"),
        (lambda: market.contracts.decided("c-1", "x", "y", person("hospital-b")), "contract.foreign"),
        (lambda: market.contracts.revoked("c-1", "y", person("hospital-b")), "contract.foreign"),
        (
            lambda: market.contracts.agreed(provider_paper(market, "hospital-b"), person("hospital-b")),
            "contract.foreign",
        ),
    ]
    before = market.contracts.all()
    for attempt, rule in attempts:
        with pytest.raises(AccessDenied) as refused:
            attempt()
        assert refused.value.rule == rule
    assert [rule for _, rule in market.exchange.refusals()] == [rule for _, rule in attempts]
    assert market.contracts.all() == before


@pytest.mark.parametrize(
    "changed",
    [
        {"purpose": "DUO:0000042"},
        {"version": "2.0.0"},
        {"manifest_digest": "22" * 32},
        {"delivery_modes": ["download"]},
        {"max_rounds": 5},
        {"consumer": OTHER},
        {"product": "hospital-a.other"},
    ],
)
def test_an_agreement_that_is_not_what_was_asked_is_not_kept(market: Market, changed: dict[str, Any]) -> None:
    market.buyers[BUYER].request(market.wish(market.stents()), contract_id="c-1")
    signed = offered(market)
    paper = sign("agreement", signed["document"] | changed, "hospital-a", market.keys["hospital-a"].secret("sign"))
    with pytest.raises(AccessDenied) as refused:
        market.contracts.agreed(paper, person("hospital-a"))
    assert refused.value.rule == "agreement.differs"
    assert market.contracts.all()[0].agreement is None


def test_a_second_agreement_does_not_replace_the_first(market: Market) -> None:
    record = agreed(market)
    with pytest.raises(SignatureInvalid):
        market.contracts.agreed(provider_paper(market, expires="2040-01-01T00:00:00Z"), person("hospital-a"))
    assert market.contracts.all()[0].agreement == record.agreement


def test_the_consumer_cannot_sign_something_else_below_the_providers_name(market: Market) -> None:
    record = agreed(market)
    assert record.agreement is not None
    document = record.agreement["document"] | {"max_deliveries": 1000}
    swapped = {"document": document, "signatures": record.agreement["signatures"]}
    paper = countersign("agreement", swapped, BUYER, market.keys[BUYER].secret("sign"))
    with pytest.raises(SignatureInvalid):
        market.contracts.verified(paper, person(BUYER))
    for broken in ({}, {"consumer": BUYER}, {**document, "consumer": 7}):
        with pytest.raises(DocumentInvalid):
            market.contracts.verified({"document": broken, "signatures": []}, person(BUYER))
    assert market.contracts.all()[0].state == State.AGREED


def test_messages_out_of_order_are_refused(market: Market) -> None:
    agreed(market)
    agreement = provider_paper(market)
    market.contracts.decided("c-1", "person.refused", "", person("hospital-a"))
    with pytest.raises(AccessDenied):
        market.buyers[BUYER].accept("c-1")
    assert market.contracts.agreed(agreement, person("hospital-a")).state == State.TERMINATED
    with pytest.raises(NotFound):
        market.contracts.agreed(provider_paper(market, request_id="c-9"), person("hospital-a"))
    with pytest.raises(NotFound):
        market.contracts.status("c-9", person(BUYER))


def test_a_finalized_contract_is_not_terminated_afterwards(market: Market) -> None:
    market.finalized(market.stents())
    with pytest.raises(TransitionForbidden):
        market.contracts.decided("c-1", "regret", "", person("hospital-a"))
    assert market.contracts.all()[0].state == State.FINALIZED


@pytest.mark.parametrize("claimed", [State.FINALIZED, State.AGREED, State.VERIFIED, "NONSENSE"])
def test_a_provider_cannot_jump_a_contract_to_its_end(market: Market, claimed: str) -> None:
    product = market.stents()
    paper = market.request_paper(product)
    market.providers.lie = ContractRecord("c-1", claimed, paper, grant_id="f" * 32)
    market.contracts.request(paper, person(BUYER))
    (kept,) = market.contracts.all()
    assert (kept.state, kept.grant_id, kept.rule) == (State.REQUESTED, "", "approval.pending")


def test_a_persons_decision_is_not_overwritten_by_the_slower_answer_of_the_rules(market: Market) -> None:
    """The person decides while the answer of `consider` is still on its way to the exchange."""
    product = market.stents()
    paper = market.request_paper(product)
    slow = market.providers.consider

    def consider(provider: str, request: Envelope) -> ContractRecord:
        answer = slow(provider, request)
        market.negotiations.decide("c-1", OFFICER, approved=True)
        return answer

    market.providers.consider = consider  # type: ignore[method-assign]  # the wire is slow
    market.contracts.request(paper, person(BUYER))
    (kept,) = market.contracts.all()
    assert kept.state == State.AGREED
    assert kept.agreement is not None
    assert market.buyers[BUYER].accept("c-1").state == State.FINALIZED


@pytest.mark.parametrize("verb", ["request", "agreed", "verified", "decided", "revoked", "status"])
def test_without_a_durable_event_the_exchange_does_nothing(market: Market, verb: str) -> None:
    paper = market.request_paper(market.stents())
    if verb != "request":
        market.contracts.request(paper, person(BUYER))
    if verb == "verified":
        market.negotiations.decide("c-1", OFFICER, approved=True)
    ours = market.contracts.all()[0].agreement if verb == "verified" else None
    signed = countersign("agreement", ours, BUYER, market.keys[BUYER].secret("sign")) if ours else {}
    offer = offered(market) if verb == "agreed" else {}
    before, asked = market.contracts.all(), market.negotiations.all()
    market.exchange.store.fails = True
    calls: dict[str, Callable[[], object]] = {
        "request": lambda: market.contracts.request(paper, person(BUYER)),
        "agreed": lambda: market.contracts.agreed(offer, person("hospital-a")),
        "verified": lambda: market.contracts.verified(signed, person(BUYER)),
        "decided": lambda: market.contracts.decided("c-1", "x", "y", person("hospital-a")),
        "revoked": lambda: market.contracts.revoked("c-1", "y", person("hospital-a")),
        "status": lambda: market.contracts.status("c-1", person(BUYER)),
    }
    with pytest.raises(LogFailed):
        calls[verb]()
    assert (market.contracts.all(), market.negotiations.all()) == (before, asked)


# ---- products on the list --------------------------------------------------------------------------------------------


def manifest(market: Market, signer: str = "hospital-a", **changed: Any) -> Envelope:
    document = sample_product().document() | changed
    return sign("manifest", document, signer, market.keys[signer].secret("sign"))


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"provider": {"id": "hospital-b", "name": {"en": "B", "zh": "乙"}}}, AccessDenied),
        ({"provider": "hospital-a"}, DocumentInvalid),
        ({"id": 7}, DocumentInvalid),
        ({"level": 5}, CatalogError),
        ({"version": "latest"}, CatalogError),
        ({"extra": 1}, DocumentInvalid),
    ],
)
def test_a_manifest_that_breaks_a_rule_is_refused_before_an_event_says_allowed(
    market: Market, changed: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        market.listings.publish(manifest(market, **changed), person("hospital-a"))
    assert [event.decision for event in market.exchange.events()] == ["deny"]


@pytest.mark.parametrize("mark", ["\u202e", "\u2066", "\x1b[31m", "\x00", "\x85"])
def test_no_text_of_a_manifest_shows_another_text_than_is_there(market: Market, mark: str) -> None:
    """Titles were looked at, thirty other texts were not; an escape sequence moves the cursor of a terminal."""
    key, publish = market.keys["hospital-a"].secret("sign"), market.listings.publish
    plain = replace(sample_product(), id="hospital-a.marked")
    for odd in (
        replace(plain, keywords=(f"stent{mark}x",)),
        replace(plain, columns=(replace(plain.columns[0], unit=f"mm{mark}Hg"), *plain.columns[1:])),
    ):
        with pytest.raises(RequestInvalid, match="direction") as refused:
            publish(sign("manifest", odd.document(), "hospital-a", key), person("hospital-a"))
        assert mark not in str(refused.value)
    assert publish(sign("manifest", plain.document(), "hospital-a", key), person("hospital-a"))


def test_no_hospital_takes_an_id_of_another_first(market: Market) -> None:
    """Whoever listed `hospital-b.x` first was its provider for good, and hospital B was refused."""
    mine = replace(sample_product(), id="hospital-b.stents")
    with pytest.raises(AccessDenied) as refused:
        market.list_product(mine)
    assert refused.value.rule == "publish.foreign"
    theirs = Provider("hospital-b", mine.provider.name)
    market.list_product(replace(mine, provider=theirs))


def test_only_a_provider_publishes_and_withdraws_its_products(market: Market) -> None:
    market.stents()
    notice = sign(
        "withdrawal", {"product": sample_product().id}, "hospital-b", market.keys["hospital-b"].secret("sign")
    )
    with pytest.raises(AccessDenied):
        market.listings.withdraw(notice, person("hospital-b"))
    with pytest.raises(SignatureInvalid):
        market.listings.publish(manifest(market), person("hospital-b"))
    with pytest.raises(AccessDenied):
        market.listings.publish(manifest(market, BUYER), person(BUYER))
    own = sign("withdrawal", {"product": sample_product().id}, "hospital-a", market.keys["hospital-a"].secret("sign"))
    market.listings.withdraw(own, person("hospital-a"))
    with pytest.raises(NotListed):
        market.listings.show(sample_product().id, person(BUYER))
    empty = sign("withdrawal", {}, "hospital-a", market.keys["hospital-a"].secret("sign"))
    with pytest.raises(NotListed):
        market.listings.withdraw(empty, person("hospital-a"))


# ---- the buyer does not believe the exchange -------------------------------------------------------------------------


def forged(market: Market, **changed: Any) -> ContractRecord:
    """Return what a dishonest exchange answers instead of the record."""
    return replace(market.contracts.all()[0], **changed)


def test_the_buyer_signs_only_what_it_asked_for(market: Market) -> None:
    """Exchange and hospital together change the request and agree on that: the buyer's own signature is missing."""
    record = agreed(market)
    assert record.agreement is not None
    asked = record.asked | {"statement": "and everything else", "max_rounds": 1}
    request = {"document": asked, "signatures": record.request["signatures"]}
    agreement = provider_paper(market, max_rounds=1)
    market.doors[BUYER].forged = forged(market, request=request, agreement=agreement)
    with pytest.raises(SignatureInvalid):
        market.buyers[BUYER].accept("c-1")


@pytest.mark.parametrize(
    "changed",
    [
        {"purpose": "DUO:0000042"},
        {"price": {"basis": "cost_based", "amount_cents": 9_900_000, "currency": "CNY", "plan": "one_off"}},
        {"consumer_keys": {"sign_key": "00" * 32, "hpke_key": "11" * 32}},
        {"manifest_digest": "00" * 32},
        {"consumer": OTHER},
        {"columns": ["age_band"]},
        {"quota": {"rows": 1, "period": "contract"}},
    ],
)
def test_the_buyer_refuses_an_agreement_that_differs(market: Market, changed: dict[str, Any]) -> None:
    agreed(market)
    market.doors[BUYER].forged = forged(market, agreement=provider_paper(market, **changed))
    with pytest.raises(AccessDenied) as refused:
        market.buyers[BUYER].accept("c-1")
    assert refused.value.rule == "agreement.differs"


def test_the_buyer_refuses_an_agreement_that_another_signed(market: Market) -> None:
    agreed(market)
    for signer in ("hospital-b", BUYER):
        market.doors[BUYER].forged = forged(market, agreement=provider_paper(market, signer))
        with pytest.raises(SignatureInvalid):
            market.buyers[BUYER].accept("c-1")


def test_the_buyer_refuses_the_record_of_another_contract(market: Market) -> None:
    product = market.stents()
    for contract_id in ("c-1", "c-2"):
        market.buyers[BUYER].request(market.wish(product), contract_id=contract_id)
    market.doors[BUYER].forged = market.contracts.all()[1]
    with pytest.raises(AccessDenied) as refused:
        market.buyers[BUYER].status("c-1")
    assert refused.value.rule == "contract.other"
    market.doors[BUYER].forged = replace(market.contracts.all()[1], contract_id="c-1")
    with pytest.raises(AccessDenied):
        market.buyers[BUYER].fetch("c-1")


def test_the_buyer_checks_whose_manifest_it_is_shown(market: Market) -> None:
    product = market.stents()
    door = market.doors[BUYER]
    door.shown = manifest(market, id="hospital-a.other")
    with pytest.raises(AccessDenied):
        market.buyers[BUYER].show(product.id)
    door.shown = manifest(market, "hospital-b")  # signed by another than the provider it names
    with pytest.raises(SignatureInvalid):
        market.buyers[BUYER].show(product.id)
    provider = {"id": BUYER, "name": {"en": "Me", "zh": "我"}}
    door.shown = manifest(market, BUYER, provider=provider)  # a provider is a hospital
    with pytest.raises(AccessDenied):
        market.buyers[BUYER].show(product.id)
    door.shown = {"document": {"provider": "x"}, "signatures": []}
    with pytest.raises(DocumentInvalid):
        market.buyers[BUYER].show(product.id)


@pytest.mark.parametrize(
    "changed",
    [
        {"l2": 1000.0},
        {"secure": "plain"},
        {"purpose": "DUO:0000042"},
        {"contracts": {}},
        {"quorum": 2},
        {"levels": {"x": ["a"]}},
    ],
)
def test_the_buyer_signs_only_the_study_it_asked_for(market: Market, changed: dict[str, Any]) -> None:
    question = {"id": "study-1", "target": "y", "features": ["x"], "purpose": PURPOSE, "contracts": {"hospital-a": "c"}}
    plan = question | {"kind": "logistic", "standardize": "global", "l2": 0.0, "secure": "paillier"}
    plan |= {"quorum": 0, "options": {}, "levels": {}, "privacy": {}, "threshold": None}
    market.doors[BUYER].planned = plan
    assert market.buyers[BUYER].study(question, lambda step, text: None) == {"started": "study-1"}
    market.doors[BUYER].planned = plan | changed
    with pytest.raises(AccessDenied) as refused:
        market.buyers[BUYER].study(question, lambda step, text: None)
    assert refused.value.rule == "study.plan"
