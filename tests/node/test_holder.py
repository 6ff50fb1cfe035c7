"""A buyer's verbs with a contract it has: how it stands, renew it, withdraw from a negotiation, attest deletion."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from tests.node.market_stage import BUYER, OFFICER, OTHER, Market, person

from hdex.catalog.attestation import Kept
from hdex.catalog.contract import Party, State
from hdex.catalog.contract_life import LifeState
from hdex.catalog.errors import TransitionForbidden
from hdex.catalog.limits import Limits
from hdex.catalog.product import DataProduct
from hdex.node.compose.client import Knowing
from hdex.node.dsp.process import Kind, Process
from hdex.node.dsp.store_sqlite import SqliteProcesses
from hdex.node.errors import AccessDenied, PeerUnavailable, RequestInvalid
from hdex.node.signed import sign


@pytest.fixture
def market(tmp_path: Path) -> Market:
    return Market(tmp_path)


def product_of(market: Market) -> DataProduct:
    return market.hospital.products.versions("hospital-a.carotid-stents")[0].product


def rule_of(act: Any) -> str:
    with pytest.raises(AccessDenied) as refused:
        act()
    return refused.value.rule


def test_how_a_contract_stands_is_the_providers_word_with_what_the_log_counts(market: Market) -> None:
    market.finalized(market.stents())
    holder = market.holder()
    found = holder.standing("c-1")
    assert (found["state"], found["life"], found["transfer"], found["due"]) == ("FINALIZED", "ACTIVE", "", "")
    assert (found["used"]["deliveries"], found["limits"]["deliveries"]) == (0, 1)
    market.buyers[BUYER].fetch("c-1", stop_after=2)
    assert holder.standing("c-1")["transfer"] == "STARTED"
    market.buyers[BUYER].fetch("c-1")
    found = holder.standing("c-1")
    assert (found["transfer"], found["used"]["deliveries"], found["used"]["rows"]) == ("COMPLETED", 1, 400)
    with pytest.raises(AccessDenied) as foreign:
        market.standings("hospital-a").read("c-1", person(OTHER))
    assert foreign.value.rule == "contract.foreign"
    (listed,) = market.standings("hospital-a").all()
    assert (listed["consumer"], listed["overdue"]) == (BUYER, False)


def test_a_provider_that_is_away_leaves_the_negotiated_word(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    market.finalized(market.stents())

    def away(provider: str, contract_id: str) -> Any:
        raise PeerUnavailable("it is away")

    monkeypatch.setattr(market.counters[BUYER], "standing", away)
    found = market.holder().standing("c-1")
    assert found["state"] == "FINALIZED"
    assert "does not answer" in found["next_step"]


def test_what_lies_here_is_not_attested_as_deleted(market: Market) -> None:
    market.finalized(market.stents())
    market.buyers[BUYER].fetch("c-1")
    holder = market.holder()
    kept = (Kept("a model", "derived_products"),)
    assert rule_of(lambda: holder.attest("c-1", ["all"], copies=1, kept=kept)) == "attestation.file_here"
    assert holder.delete("c-1") == 1
    assert holder.attest("c-1", ["all"], copies=1, kept=kept)["life"] == "CLOSED"
    assert holder.held("c-1") == []
    assert (holder._folder / "c-1.receipt.json").exists()  # papers stay


@pytest.mark.parametrize("days", [0, 7])
def test_the_product_says_by_when_deletion_is_attested(market: Market, days: int) -> None:
    market.finalized(market.stents(limits=Limits(deletion_days=days)))
    market.buyers[BUYER].fetch("c-1")
    market.negotiations.revoke("c-1", "ended", OFFICER)
    record = market.negotiations.get("c-1")
    assert record.due == f"2026-11-{21 + days}T22:00:00.000Z"


def test_a_renewal_takes_the_old_contracts_place_and_its_debt(market: Market) -> None:
    product = market.stents(max_licences=1)
    market.finalized(product)
    market.buyers[BUYER].fetch("c-1")
    market.later(days=300)
    newer = market.holder().renew("c-1")
    assert market.negotiations.decide(newer.contract_id, OFFICER, approved=True).state == State.AGREED
    assert market.negotiations.get("c-1").lives is LifeState.ACTIVE  # until the new one is final
    market.buyers[BUYER].accept(newer.contract_id)
    old, new = market.negotiations.get("c-1"), market.negotiations.get(newer.contract_id)
    assert (old.lives, new.lives) == (LifeState.CLOSED, LifeState.ACTIVE)
    assert new.agreement is not None
    assert old.agreement is not None
    assert new.agreement["document"]["price"] == old.agreement["document"]["price"]
    assert new.agreement["document"]["clauses"]["renews"] == "c-1"
    assert new.agreement["document"]["expires"] > old.agreement["document"]["expires"]
    market.negotiations.confirm(new.agreement, person("exchange"))  # again changes nothing
    with pytest.raises(AccessDenied):
        list(market.counters[BUYER].deliver("hospital-a", "c-1", 0))
    market.negotiations.revoke(newer.contract_id, "ended", OFFICER)  # nothing left under it, but the old file did
    assert market.negotiations.get(newer.contract_id).lives is LifeState.OBLIGATIONS_OPEN
    events = [one for one in market.hospital.ground.events() if one.contract == "c-1" and one.decision == "allow"]
    actions = [one.action.value for one in events]
    assert actions[-2:] == ["contract.complete", "contract.close"]


def test_only_a_live_contract_of_the_same_terms_is_renewed(market: Market) -> None:
    product = market.stents()
    market.finalized(product)
    market.finalized(product, "federated", "c-2")
    buyer, wish = market.buyers[BUYER], market.wish(product)

    def asked(**changed: Any) -> str:
        return rule_of(lambda: buyer.request(replace(wish, **{"renews": "c-1", **changed})))

    assert asked(renews="c-9") == "renewal.unknown"
    assert asked(access=replace(wish.access, commercial=False)) == "renewal.terms"
    assert asked(renews="c-2") == "renewal.terms"
    assert asked() == "renewal.period"  # of the same moment: no later end
    market.later(days=1)
    stranger = market.buyers[OTHER]
    theirs = replace(wish, renews="c-1", access=replace(wish.access, recipient=OTHER))
    assert rule_of(lambda: stranger.request(theirs)) == "renewal.unknown"
    pending = buyer.request(replace(wish, renews="c-1"))
    market.negotiations.revoke("c-1", "ended", OFFICER)
    assert asked() == "renewal.ended"
    assert rule_of(lambda: market.negotiations.decide(pending.contract_id, OFFICER, approved=True)) == "renewal.ended"


def test_a_withdrawn_negotiation_ends_at_both_and_a_final_contract_does_not(market: Market) -> None:
    product = market.stents()
    market.buyers[BUYER].request(market.wish(product), contract_id="c-1")
    holder = market.holder()
    assert holder.withdraw("c-1", "the project was stopped").state == State.TERMINATED
    assert holder.withdraw("c-1", "again").rule == "consumer.withdrew"
    record = market.negotiations.get("c-1")
    assert (record.state, record.next_step) == (State.TERMINATED, "the project was stopped")
    assert market.negotiations.decide("c-1", OFFICER, approved=True).state == State.TERMINATED
    market.finalized(product, contract_id="c-2")
    with pytest.raises(TransitionForbidden):
        holder.withdraw("c-2", "")
    paper = {"contract_id": "c-2", "reason": "", "at": ""}
    foreign = sign("termination", paper, OTHER, market.keys[OTHER].secret("sign"))
    assert rule_of(lambda: market.contracts.withdrawn(foreign, person(OTHER))) == "contract.foreign"
    with pytest.raises(Exception, match="not signed by"):
        market.negotiations.withdraw(foreign, person("exchange"))


@pytest.mark.parametrize(
    "changed", [{"reason": "x" * 3_000_000}, {"reason": "x\u202ey"}, {"reason": ["x"]}, {"more": "x"}]
)
def test_a_withdrawal_says_a_reason_and_nothing_beside(market: Market, changed: dict[str, Any]) -> None:
    """A reason of megabytes stood in every list of contracts then, which no answer could hold any more."""
    market.buyers[BUYER].request(market.wish(market.stents()), contract_id="c-1")
    paper = {"contract_id": "c-1", "reason": "", "at": ""} | changed
    envelope = sign("termination", paper, BUYER, market.keys[BUYER].secret("sign"))
    for play in (market.contracts.withdrawn, market.negotiations.withdraw):
        with pytest.raises(RequestInvalid):
            play(envelope, person(BUYER))
    assert market.negotiations.get("c-1").state == State.REQUESTED


def test_what_was_negotiated_without_the_exchange_is_not_withdrawn_at_it(tmp_path: Path) -> None:
    processes = SqliteProcesses(tmp_path / "processes.db")
    request = {"document": {"contract_id": "c-1"}, "signatures": []}
    said = {"kind": Kind.NEGOTIATION, "role": Party.CONSUMER, "pid": "c-1", "peer": "hospital-a"}
    processes.save(Process(**said, state=State.REQUESTED, request=request))  # type: ignore[arg-type]  # each fits
    processes.close()
    with grpc.insecure_channel("127.0.0.1:1") as nowhere:
        market = Knowing(nowhere, tmp_path / "processes.db")
        assert market.status("c-1").state == State.REQUESTED
        assert rule_of(lambda: market.withdraw(request)) == "contract.over_dsp"
