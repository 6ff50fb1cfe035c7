"""What becomes of a contract once it is final: suspended, ended, owed, attested, closed; each step an event."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.node.market_stage import BUYER, COMMITTEE, OFFICER, OTHER, STEWARD, Market, person

from hdex.catalog.attestation import Attestation, Kept
from hdex.catalog.contract import State, agreement_digest
from hdex.catalog.contract_life import LifeState
from hdex.catalog.errors import AttestationInvalid, GuardUnmet, OutsideAgreement, TransitionForbidden
from hdex.ledger.errors import LogFailed
from hdex.ledger.event import format_time
from hdex.node.errors import AccessDenied, SignatureInvalid
from hdex.node.hospital.contract_lives import ContractLives
from hdex.node.signed import Envelope, sign, verify

ME = person(BUYER)


@pytest.fixture
def market(tmp_path: Path) -> Market:
    market = Market(tmp_path)
    market.finalized(market.stents(max_licences=1))
    return market


@pytest.fixture
def lives(market: Market) -> ContractLives:
    return market.negotiations.lives


def order(market: Market, kind: str, reason: str = "the committee asks", role: str = "privacy_officer") -> Any:
    paper = {"contract": "c-1", "reason": reason, "at": format_time(market.now)}
    envelope = sign(kind, paper, f"hospital-a/{role}", market.people[role].secret("sign"))
    return market.negotiations.lives.order(kind, envelope, actor=person("hospital-a", role))


def attestation(market: Market, signer: str = BUYER, **changed: Any) -> Envelope:
    record = market.negotiations.get("c-1")
    assert record.agreement is not None
    said: dict[str, Any] = {
        "contract_id": "c-1",
        "agreement_digest": agreement_digest(record.agreement["document"]),
        "consumer": BUYER,
        "deleted": ("the file and its copy on the analysis server",),
        "copies": 2,
        "at": format_time(market.now),
        "kept": (Kept("a risk model", "derived_products"),),
    } | changed
    return sign("attestation", Attestation(**said).document(), signer, market.keys[signer].secret("sign"))


def fetched(market: Market) -> None:
    market.buyers[BUYER].fetch("c-1")


def life(market: Market) -> LifeState | None:
    return market.negotiations.get("c-1").lives


def told(market: Market) -> list[str]:
    actions = [event.action.value for event in market.hospital.ground.events() if event.decision == "allow"]
    return [one for one in actions if one.startswith("contract.") or one == "grant.revoke"][2:]


def test_a_suspended_contract_serves_nothing_until_it_is_resumed(market: Market) -> None:
    assert life(market) is LifeState.ACTIVE
    order(market, "contract.suspend", "an audit is under way")
    with pytest.raises(AccessDenied, match="an audit is under way") as refused:
        fetched(market)
    assert refused.value.rule == "contract.suspended"
    market.later(minutes=1)
    order(market, "contract.resume")
    fetched(market)
    assert told(market) == ["contract.suspend", "contract.resume"]
    for step in market.negotiations.get("c-1").steps:
        verify("contract.step", step, market.directory.sign_keys("hospital-a"))


def test_an_order_is_the_officers_own_and_good_once(market: Market) -> None:
    for role in ("data_steward", "ethics_committee"):
        with pytest.raises(AccessDenied):
            order(market, "contract.suspend", role=role)
    with pytest.raises(GuardUnmet):
        order(market, "contract.suspend", " ")
    with pytest.raises(TransitionForbidden):
        order(market, "contract.resume")
    order(market, "contract.suspend")
    paper = sign(
        "contract.suspend",
        {"contract": "c-1", "reason": "the committee asks", "at": format_time(market.now)},
        "hospital-a/privacy_officer",
        market.people["privacy_officer"].secret("sign"),
    )
    market.later(seconds=1)
    order(market, "contract.resume")
    with pytest.raises(AccessDenied) as again:
        market.negotiations.lives.order("contract.suspend", paper, actor=OFFICER)
    assert again.value.rule == "contract.order"
    assert life(market) is LifeState.ACTIVE


def test_the_clock_ends_a_contract_and_an_attestation_is_due(market: Market, lives: ContractLives) -> None:
    fetched(market)
    assert lives.sweep() == []
    market.later(days=366)
    assert lives.sweep() == ["c-1"]
    record = market.negotiations.get("c-1")
    assert (record.lives, record.due) == (LifeState.OBLIGATIONS_OPEN, "2027-12-22T22:00:00.000Z")
    assert told(market) == ["contract.expire", "contract.oblige"]
    with pytest.raises(OutsideAgreement):
        list(market.counters[BUYER].deliver("hospital-a", "c-1", 0))
    closed = lives.attest(attestation(market), ME)
    assert (closed.lives, closed.due) == (LifeState.CLOSED, "")
    assert told(market)[2:] == ["contract.close"]
    assert lives.attest(closed.attestation or {}, ME) == closed  # again changes nothing
    assert lives.sweep() == []


def test_what_delivered_nothing_owes_nothing(market: Market, lives: ContractLives) -> None:
    market.negotiations.revoke("c-1", "the project ended", STEWARD)
    assert life(market) is LifeState.CLOSED
    assert told(market) == ["grant.revoke", "contract.close"]
    with pytest.raises(AccessDenied) as refused:
        fetched(market)
    assert refused.value.rule == "contract.revoked"
    assert market.negotiations.revoke("c-1", "again", OFFICER).lives is LifeState.CLOSED
    assert lives.attest(attestation(market), ME).attestation is not None


def test_a_consumer_gives_a_contract_back_before_its_end(market: Market, lives: ContractLives) -> None:
    fetched(market)
    lives.attest(attestation(market), ME)
    assert life(market) is LifeState.CLOSED
    assert told(market) == ["contract.complete", "contract.oblige", "contract.close"]
    with pytest.raises(AccessDenied) as refused:
        list(market.counters[BUYER].deliver("hospital-a", "c-1", 0))
    assert refused.value.rule == "contract.ended"
    product = market.hospital.products.versions("hospital-a.carotid-stents")[0].product
    market.finalized(product, contract_id="c-2")  # its place among max_licences is free again


@pytest.mark.parametrize(
    ("signer", "changed", "error", "rule"),
    [
        (OTHER, {"consumer": OTHER}, SignatureInvalid, ""),
        (BUYER, {"consumer": OTHER}, AccessDenied, "contract.foreign"),
        (BUYER, {"agreement_digest": "00" * 32}, AccessDenied, "attestation.other"),
        (BUYER, {"kept": (Kept("the rows", "redistribution"),)}, AttestationInvalid, "attestation.clause"),
        (BUYER, {"deleted": ()}, AttestationInvalid, "attestation.empty"),
    ],
)
def test_an_attestation_is_the_consumers_about_this_agreement_and_within_its_clauses(
    market: Market, signer: str, changed: Mapping[str, Any], error: type[Exception], rule: str
) -> None:
    fetched(market)
    market.negotiations.revoke("c-1", "the project ended", OFFICER)
    with pytest.raises(error) as refused:
        market.negotiations.lives.attest(attestation(market, signer, **changed), ME)
    assert not rule or getattr(refused.value, "rule", "") == rule
    assert life(market) is LifeState.OBLIGATIONS_OPEN
    assert market.hospital.ground.refusals()[-1][0] == "contract.close"
    with pytest.raises(AccessDenied) as foreign:
        market.negotiations.lives.attest(
            attestation(market, OTHER, consumer=OTHER), person(OTHER)
        )  # its own signature, another's contract
    assert foreign.value.rule == "contract.foreign"


def test_who_is_late_with_an_attestation_gets_no_new_contract_there(market: Market, lives: ContractLives) -> None:
    fetched(market)
    product = market.hospital.products.versions("hospital-a.carotid-stents")[0].product
    market.buyers[BUYER].request(market.wish(product), contract_id="c-2")
    market.negotiations.revoke("c-1", "the project ended", OFFICER)
    market.later(days=29)
    market.buyers[BUYER].request(market.wish(product), contract_id="c-3")  # not due yet
    market.later(days=2)
    with pytest.raises(AccessDenied) as refused:
        market.buyers[BUYER].request(market.wish(product), contract_id="c-4")
    assert (refused.value.rule, "hdex buy attest c-1" in refused.value.next_step) == (
        "contract.attestation_overdue",
        True,
    )
    with pytest.raises(AccessDenied) as undecided:
        market.negotiations.decide("c-2", OFFICER, approved=True)
    assert undecided.value.rule == "contract.attestation_overdue"
    lives.attest(attestation(market), ME)
    assert market.negotiations.decide("c-2", OFFICER, approved=True).state == State.AGREED


def test_nothing_moves_that_cannot_be_remembered(market: Market, lives: ContractLives) -> None:
    fetched(market)
    market.hospital.ground.store.fails = True
    for act in (
        lambda: order(market, "contract.suspend"),
        lambda: lives.attest(attestation(market), ME),
        lambda: market.negotiations.revoke("c-1", "ended", OFFICER),
    ):
        with pytest.raises(LogFailed):
            act()
    assert life(market) is LifeState.ACTIVE
    market.later(days=366)
    with pytest.raises(LogFailed):
        lives.sweep()
    assert life(market) is LifeState.ACTIVE


def test_a_node_that_starts_again_knows_terms_and_debts(market: Market) -> None:
    fetched(market)
    market.negotiations.revoke("c-1", "ended", OFFICER)
    market.later(days=31)
    again = market.lives_of("hospital-a")
    with pytest.raises(AccessDenied):
        again.require_attested(BUYER)
    again.require_attested(OTHER)


def test_a_stop_between_the_end_and_what_is_owed_is_made_good(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched(market)
    monkeypatch.setattr(ContractLives, "_settled", lambda self, record, actor: record)
    market.negotiations.revoke("c-1", "ended", OFFICER)
    monkeypatch.undo()
    again = market.lives_of("hospital-a")
    again.sweep()
    assert life(market) is LifeState.OBLIGATIONS_OPEN


def test_an_order_of_nobody_in_particular_is_none(market: Market, lives: ContractLives) -> None:
    paper = {"contract": "c-1", "reason": "x", "at": format_time(market.now)}
    forged = sign("contract.suspend", paper, "hospital-a/privacy_officer", market.keys[BUYER].secret("sign"))
    with pytest.raises(SignatureInvalid):
        lives.order("contract.suspend", forged, actor=OFFICER)
    with pytest.raises(AccessDenied):
        lives.order("contract.suspend", forged, actor=COMMITTEE)
