"""A provider's side of a contract, with the exchange and the buyer beside it in one process."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.catalog.samples import sample_product
from tests.node.market_stage import (
    BUYER,
    COMMITTEE,
    EXCHANGE,
    OFFICER,
    OTHER,
    STEWARD,
    Market,
    person,
)

from hdex.catalog.contract import State
from hdex.catalog.errors import CatalogError, DocumentInvalid, NotListed, TransitionForbidden
from hdex.ledger.errors import LogFailed
from hdex.node.errors import AccessDenied, NotFound, RequestInvalid, SignatureInvalid
from hdex.node.signed import countersign, sign


@pytest.fixture
def market(tmp_path: Path) -> Market:
    return Market(tmp_path)


def countersigned(market: Market, **changed: Any) -> dict[str, Any]:
    """Return the agreement as the buyer signs it, after changing what a dishonest one would."""
    agreement = market.negotiations.all()[0].agreement
    assert agreement is not None
    document = agreement["document"] | changed
    envelope = {"document": document, "signatures": agreement["signatures"]}
    return countersign("agreement", envelope, BUYER, market.keys[BUYER].secret("sign"))


def test_a_contract_goes_through_the_protocols_states_and_its_grant_stands_on_the_chain(market: Market) -> None:
    product = market.stents()
    asked = market.buyers[BUYER].request(market.wish(product), contract_id="c-1")
    assert (asked.state, asked.rule) == (State.REQUESTED, "approval.pending")
    assert market.negotiations.decide("c-1", OFFICER, approved=True).state == State.AGREED
    final = market.buyers[BUYER].accept("c-1")
    assert final.state == market.contracts.all()[0].state == market.negotiations.all()[0].state == State.FINALIZED
    assert market.ledger.grants[final.grant_id].node == "hospital-a"
    actions = [event.action.value for event in market.hospital.ground.events()]
    assert actions == ["contract.request", "contract.agree", "grant.issue"]
    assert not market.hospital.ground.refusals()


def test_every_step_may_be_repeated_and_changes_nothing(market: Market) -> None:
    product = market.stents()
    for _ in range(2):
        market.buyers[BUYER].request(market.wish(product), contract_id="c-1")
    first = market.negotiations.decide("c-1", OFFICER, approved=True)
    assert market.negotiations.decide("c-1", OFFICER, approved=True) == first
    final = market.buyers[BUYER].accept("c-1")
    assert market.buyers[BUYER].accept("c-1") == final
    kept = market.negotiations.all()
    market.negotiations.confirm(countersigned(market), EXCHANGE)
    market.negotiations.decide("c-1", OFFICER, approved=False, reason="too late")
    market.buyers[BUYER].request(market.wish(product), contract_id="c-1")
    assert market.negotiations.all() == kept
    assert len(market.ledger.grants) == 1
    for _ in range(2):
        market.negotiations.revoke("c-1", "ended", OFFICER)
    assert [event.action.value for event in market.hospital.ground.events()].count("grant.revoke") == 1


def test_another_request_under_a_taken_id_does_not_touch_the_contract(market: Market) -> None:
    product = market.stents()
    market.finalized(product)
    market.negotiations.revoke("c-1", "ended", OFFICER)
    for paper in (
        market.request_paper(product, statement="other words"),
        market.request_paper(
            product,
            OTHER,
            consumer=OTHER,
            access={"purpose": "DUO:0000007", "recipient": OTHER, "at": "2026-01-01T00:00:00Z"},
        ),
    ):
        with pytest.raises(AccessDenied) as refused:
            market.negotiations.consider(paper, EXCHANGE)
        assert refused.value.rule == "contract.other"
    (kept,) = market.negotiations.all()
    assert kept.revoked
    assert kept.state == State.FINALIZED
    assert market.hospital.ground.refusals() == [("contract.request", "contract.other")] * 2


@pytest.mark.parametrize(
    ("signer", "changed", "error"),
    [
        (OTHER, {}, SignatureInvalid),  # signed by another than the consumer it names
        (BUYER, {"consumer": "nobody"}, NotFound),
        (BUYER, {"consumer": "hospital-b"}, AccessDenied),
        (BUYER, {"provider": "hospital-b"}, AccessDenied),
        (BUYER, {"version": "9.9.9"}, AccessDenied),
        (BUYER, {"manifest_digest": "00" * 32}, NotListed),
        (BUYER, {"product": "hospital-a.unknown"}, NotListed),
        (BUYER, {"contract_id": "../../etc"}, RequestInvalid),
        (BUYER, {"contract_id": "x" * 5000}, RequestInvalid),
        (BUYER, {"max_rounds": "12"}, RequestInvalid),
        (BUYER, {"max_rounds": True}, RequestInvalid),
        (BUYER, {"max_rounds": -1}, RequestInvalid),
        (BUYER, {"max_rounds": 10**9}, RequestInvalid),
        (BUYER, {"statement": "x" * 10_000}, RequestInvalid),
        (BUYER, {"unknown": 1}, RequestInvalid),
        (BUYER, {"access": {}}, DocumentInvalid),
        (BUYER, {"access": {"purpose": 7, "recipient": BUYER, "at": "now"}}, DocumentInvalid),
        (BUYER, {"access": {"purpose": "DUO:0000007", "recipient": OTHER, "at": "now"}}, AccessDenied),
    ],
)
def test_a_malformed_or_foreign_request_is_refused_and_remembered(
    market: Market, signer: str, changed: dict[str, Any], error: type[Exception]
) -> None:
    product = market.stents()
    with pytest.raises(error):
        market.negotiations.consider(market.request_paper(product, signer, **changed), EXCHANGE)
    assert market.negotiations.all() == []
    assert [action for action, _ in market.hospital.ground.refusals()] == ["contract.request"]


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"access": {"purpose": "HDEX:underwriting"}}, "purpose.prohibited"),
        ({"access": {"purpose": "DUO:0000007", "disease": "C50"}}, "purpose.disease"),
        ({"delivery_mode": "download"}, "level.2.no_download"),
        ({"delivery_mode": "federated"}, "request.rounds"),
        ({"max_rounds": 3}, "request.rounds"),
    ],
)
def test_the_rules_end_a_negotiation_with_the_rule_and_the_next_step(
    market: Market, changed: dict[str, Any], rule: str
) -> None:
    product = market.stents()
    if "access" in changed:
        access = {"recipient": BUYER, "at": "2026-01-01T00:00:00.000Z", "disease": "I65.2"} | changed["access"]
        changed = changed | {"access": access}
    record = market.negotiations.consider(market.request_paper(product, **changed), EXCHANGE)
    assert (record.state, record.rule) == (State.TERMINATED, rule)
    assert record.next_step
    assert market.hospital.ground.refusals() == [("contract.refuse", rule)]


def test_terms_that_have_ended_are_not_revived_by_the_applicants_clock(market: Market) -> None:
    product = market.stents()
    market.later(days=500)
    asked = market.wish(product, at="2026-11-21T00:00:00.000Z")
    with pytest.raises(AccessDenied) as refused:
        market.buyers[BUYER].request(asked, contract_id="c-1")
    assert refused.value.rule == "terms.expired"


def test_a_recipient_the_terms_name_cannot_be_borrowed(market: Market) -> None:
    terms = replace(sample_product().terms, recipients=(BUYER,))
    product = market.stents(terms=terms)
    access = {"purpose": "DUO:0000007", "disease": "I65.2", "at": "2026-11-21T00:00:00.000Z"}
    for recipient, rule in ((BUYER, "request.recipient"), (OTHER, "recipient.not_named")):
        with pytest.raises(AccessDenied) as refused:
            market.buyers[OTHER].request(market.wish(product, **(access | {"recipient": recipient})))
        assert refused.value.rule == rule


@pytest.mark.parametrize("changed", [{"purpose": "DUO:0000042"}, {"max_rounds": 99}, {"version": "2.0.0"}])
def test_an_agreement_with_changed_terms_is_not_confirmed(market: Market, changed: dict[str, Any]) -> None:
    market.buyers[BUYER].request(market.wish(market.stents()), contract_id="c-1")
    market.negotiations.decide("c-1", OFFICER, approved=True)
    with pytest.raises(SignatureInvalid):
        market.negotiations.confirm(countersigned(market, **changed), EXCHANGE)
    ours = market.negotiations.all()[0].agreement
    assert ours is not None
    resigned = sign("agreement", ours["document"] | changed, BUYER, market.keys[BUYER].secret("sign"))
    with pytest.raises(SignatureInvalid):  # the consumer alone cannot agree
        market.negotiations.confirm(resigned, EXCHANGE)
    assert market.negotiations.all()[0].state == State.AGREED
    assert market.ledger.grants == {}
    assert market.hospital.ground.refusals() == [("grant.issue", "signature-invalid")] * 2


def test_an_older_agreement_of_ours_does_not_finalize_another_contract(market: Market) -> None:
    """Both signatures are real: what is replayed is the agreement of a contract that was refused afterwards."""
    product = market.stents()
    market.finalized(product)
    old = countersigned(market)
    market.buyers[BUYER].request(market.wish(product), contract_id="c-2")
    market.negotiations.decide("c-2", OFFICER, approved=True)
    ours = next(r.agreement for r in market.negotiations.all() if r.contract_id == "c-2")
    assert ours is not None
    swapped = {"document": old["document"] | {"request_id": "c-2"}, "signatures": old["signatures"]}
    with pytest.raises(SignatureInvalid):
        market.negotiations.confirm(swapped, EXCHANGE)
    stale = sign(
        "agreement",
        ours["document"] | {"expires": "2030-01-01T00:00:00Z"},
        "hospital-a",
        market.keys["hospital-a"].secret("sign"),
    )
    stale = countersign("agreement", stale, BUYER, market.keys[BUYER].secret("sign"))
    with pytest.raises(AccessDenied) as refused:
        market.negotiations.confirm(stale, EXCHANGE)
    assert refused.value.rule == "agreement.other"


def test_confirming_tells_nothing_of_a_contract_to_whom_it_does_not_belong(market: Market) -> None:
    market.finalized(market.stents())
    guessed = {"document": countersigned(market)["document"], "signatures": []}
    with pytest.raises(SignatureInvalid):
        market.negotiations.confirm(guessed, person(OTHER))


def test_a_revoked_contract_is_not_finalized_and_a_refused_one_not_agreed(market: Market) -> None:
    product = market.stents()
    for contract_id in ("c-1", "c-2"):
        market.buyers[BUYER].request(market.wish(product), contract_id=contract_id)
    market.negotiations.decide("c-1", OFFICER, approved=True)
    market.negotiations.revoke("c-1", "the study was stopped", OFFICER)
    with pytest.raises(AccessDenied) as refused:
        market.negotiations.confirm(countersigned(market), EXCHANGE)
    assert refused.value.rule == "contract.revoked"
    market.negotiations.decide("c-2", OFFICER, approved=False, reason="no capacity")
    assert market.negotiations.decide("c-2", OFFICER, approved=True).state == State.TERMINATED
    assert ("contract.refuse", "person.refused") in market.hospital.ground.refusals()
    with pytest.raises(AccessDenied) as told:
        market.buyers[BUYER].accept("c-2")
    assert (told.value.rule, told.value.next_step) == ("person.refused", "no capacity")


def test_level_5_is_given_by_two_persons_of_two_roles_and_never_by_who_prepared_it(market: Market) -> None:
    product = market.level_5()
    market.buyers[BUYER].request(market.wish(product, "federated"), contract_id="c-1")
    with pytest.raises(AccessDenied) as refused:
        market.negotiations.decide("c-1", STEWARD, approved=True)
    assert refused.value.rule == "level-4-needs-officer-or-committee"
    assert ("contract.agree", refused.value.rule) in market.hospital.ground.refusals()
    for _ in range(2):  # the same person twice is one
        once = market.negotiations.decide("c-1", OFFICER, approved=True)
        assert (once.state, once.rule) == (State.REQUESTED, "approval.second")
    assert market.negotiations.decide("c-1", COMMITTEE, approved=True).state == State.AGREED
    assert market.buyers[BUYER].accept("c-1").state == State.FINALIZED
    assert [event.action.value for event in market.hospital.ground.events()].count("study.approve") == 2


def test_level_5_as_a_file_is_refused_with_the_federated_way(market: Market) -> None:
    product = market.level_5()
    with pytest.raises(AccessDenied) as refused:
        market.buyers[BUYER].request(market.wish(product))
    assert refused.value.rule == "level.5.no_sealed_file"
    assert "federated" in refused.value.next_step


def test_messages_out_of_order_are_refused(market: Market) -> None:
    market.buyers[BUYER].request(market.wish(market.stents()), contract_id="c-1")
    with pytest.raises(NotFound):
        market.negotiations.decide("unknown", OFFICER, approved=True)
    with pytest.raises(AccessDenied):
        market.buyers[BUYER].accept("c-1")  # nothing is agreed yet
    market.negotiations.decide("c-1", OFFICER, approved=True)
    agreement = countersigned(market)
    market.negotiations.decide("c-1", OFFICER, approved=False, reason="second thoughts")
    with pytest.raises(TransitionForbidden):
        market.negotiations.confirm(agreement, EXCHANGE)
    assert market.ledger.grants == {}


@pytest.mark.parametrize("verb", ["consider", "decide", "refuse", "confirm", "revoke"])
def test_without_a_durable_event_nothing_happens(market: Market, verb: str) -> None:
    product = market.stents()
    if verb != "consider":
        market.buyers[BUYER].request(market.wish(product), contract_id="c-1")
    if verb in {"confirm", "revoke"}:
        market.negotiations.decide("c-1", OFFICER, approved=True)
    paper = countersigned(market) if verb == "confirm" else {}
    before, seen = market.negotiations.all(), market.contracts.all()
    market.hospital.ground.store.fails = True
    calls = {
        "consider": lambda: market.negotiations.consider(market.request_paper(product), EXCHANGE),
        "decide": lambda: market.negotiations.decide("c-1", OFFICER, approved=True),
        "refuse": lambda: market.negotiations.decide("c-1", OFFICER, approved=False),
        "confirm": lambda: market.negotiations.confirm(paper, EXCHANGE),
        "revoke": lambda: market.negotiations.revoke("c-1", "ended", OFFICER),
    }
    with pytest.raises(LogFailed):
        calls[verb]()
    assert (market.negotiations.all(), market.contracts.all()) == (before, seen)
    assert market.ledger.grants == {}


def test_a_live_contract_is_for_its_consumer_mode_version_and_time(market: Market) -> None:
    from hdex.catalog.product import DeliveryMode

    market.finalized(market.stents())
    live = market.negotiations.require_live
    assert live("c-1", DeliveryMode.SEALED_FILE, BUYER)[1].purpose == "DUO:0000007"
    with pytest.raises(AccessDenied):
        live("c-1", DeliveryMode.SEALED_FILE, OTHER)
    with pytest.raises(CatalogError):
        live("c-1", DeliveryMode.FEDERATED, BUYER)
    market.ledger.up = False  # a silent chain changes nothing
    assert live("c-1", DeliveryMode.SEALED_FILE, BUYER)
    market.ledger.up = True
    grant = market.negotiations.grant_of("c-1")
    from hdex.ledger.chain_memory import MemoryChain

    MemoryChain(market.ledger, "hospital-a").revoke_grant(grant)
    with pytest.raises(AccessDenied) as refused:
        live("c-1", DeliveryMode.SEALED_FILE, BUYER)
    assert refused.value.rule == "grant.not_live"


def test_a_person_that_decides_while_the_contract_is_confirmed_does_not_undo_a_revocation(market: Market) -> None:
    """Twenty revocations against twenty confirmations: whichever comes first, revoked stays revoked."""
    from concurrent.futures import ThreadPoolExecutor

    product = market.stents()
    for turn in range(10):
        contract_id = f"c-{turn}"
        market.buyers[BUYER].request(market.wish(product), contract_id=contract_id)
        market.negotiations.decide(contract_id, OFFICER, approved=True)
        ours = next(r.agreement for r in market.negotiations.all() if r.contract_id == contract_id)
        assert ours is not None
        paper = countersign("agreement", ours, BUYER, market.keys[BUYER].secret("sign"))

        def confirm(paper: dict[str, Any] = paper) -> None:
            with suppress(AccessDenied):  # the revocation was first
                market.negotiations.confirm(paper, EXCHANGE)

        def revoke(contract_id: str = contract_id) -> None:
            market.negotiations.revoke(contract_id, "ended", OFFICER)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda job: job(), (confirm, revoke)))
        assert next(r for r in market.negotiations.all() if r.contract_id == contract_id).revoked
