"""Transfers and negotiations end at both sides: completed, suspended with their contract, withdrawn."""

from pathlib import Path
from typing import Any

import pytest
from tests.node.dealings_stage import HOSPITAL, Dealings, address_of, agreed
from tests.node.market_stage import BUYER, OFFICER

from hdex.catalog.contract import State, TransferMessage
from hdex.node.dsp.messages import message_of
from hdex.node.errors import AccessDenied
from hdex.node.signed import sign


@pytest.fixture
def dealings(tmp_path: Path) -> Dealings:
    return Dealings(tmp_path)


def test_a_transfer_is_completed_on_both_sides_once_the_receipt_is_signed(dealings: Dealings) -> None:
    pid = agreed(dealings)
    buyer = dealings.buyer()
    buyer.accept(pid)
    dealings.carry()
    deal: Any = buyer._market
    transfer = deal.transfer(pid)
    dealings.carry()
    connector = dealings.lines[BUYER].connector
    assert connector.process(transfer).state == "STARTED"
    theirs = connector.process(transfer).peer_pid
    early = message_of(connector.process(transfer), TransferMessage.COMPLETION)
    answer = dealings.network[address_of(HOSPITAL)](BUYER, "POST", f"/transfers/{theirs}/completion", early)
    assert (answer.status, answer.document["code"]) == (400, "transfer.unacknowledged")
    buyer.fetch(pid)
    deal.complete(transfer)
    dealings.carry()
    states = (connector.process(transfer).state, dealings.hospital.connector.process(theirs).state)
    assert states == ("COMPLETED", "COMPLETED")


def test_a_suspended_contract_suspends_its_transfers_and_starts_them_again(dealings: Dealings) -> None:
    pid = agreed(dealings)
    buyer = dealings.buyer()
    buyer.accept(pid)
    dealings.carry()
    deal: Any = buyer._market
    transfer = deal.transfer(pid)
    dealings.carry()
    connector = dealings.lines[BUYER].connector
    for kind, state in (("contract.suspend", "SUSPENDED"), ("contract.resume", "STARTED")):
        paper = {"contract": pid, "reason": "an audit", "at": ""}
        key = dealings.market.people["privacy_officer"].secret("sign")
        order = sign(kind, paper, f"{HOSPITAL}/privacy_officer", key)
        dealings.negotiations.lives.order(kind, order, actor=OFFICER)
        dealings.carry()
        assert connector.process(transfer).state == state


@pytest.mark.parametrize("at", [HOSPITAL, "exchange"])
def test_a_consumer_that_withdraws_ends_the_negotiation_at_everybody(dealings: Dealings, at: str) -> None:
    market, buyer = dealings.market, dealings.buyer(at=at)
    buyer.request(market.wish(market.stents()), contract_id="urn:uuid:3")
    dealings.carry()
    paper = {"contract_id": "urn:uuid:3", "reason": "stopped", "at": ""}
    deal: Any = buyer._market
    deal.withdraw(sign("termination", paper, BUYER, market.keys[BUYER].secret("sign")))
    dealings.carry()
    record = (dealings.negotiations if at == HOSPITAL else market.negotiations).get("urn:uuid:3")
    assert (record.state, record.rule) == (State.TERMINATED, "consumer.withdrew")
    assert [one.state for one in market.contracts.all()] == ([] if at == HOSPITAL else [State.TERMINATED])
    with pytest.raises(AccessDenied, match=r"consumer\.withdrew"):
        buyer.accept("urn:uuid:3")
