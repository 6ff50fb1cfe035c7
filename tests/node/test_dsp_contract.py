"""A contract over the Dataspace Protocol is the same contract: one digest signed by both, one record, one delivery."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.node.dealings_stage import HOSPITAL, Dealings, address_of, agreed, requested
from tests.node.market_stage import BUYER, OFFICER, OTHER

from hdex.catalog.contract import Message, State, agreement_digest
from hdex.catalog.dsp import FORMATS
from hdex.catalog.product import DeliveryMode
from hdex.node.dsp.messages import PAPER, message_of
from hdex.node.dsp.papers import AGREEMENT
from hdex.node.dsp.process import Document, Kind
from hdex.node.errors import AccessDenied, PeerUnavailable
from hdex.node.signed import countersign, sign, verify


@pytest.fixture
def dealings(tmp_path: Path) -> Dealings:
    return Dealings(tmp_path)


def test_a_negotiation_ends_in_the_same_record_and_the_product_is_delivered_under_it(dealings: Dealings) -> None:
    pid, buyer = agreed(dealings), dealings.buyer()
    assert buyer.status(pid).state == State.AGREED
    buyer.accept(pid)
    dealings.carry()
    record = dealings.negotiations.all()[0]
    mine, theirs = dealings.of(pid)
    assert (record.state, record.contract_id, mine.state, theirs.state) == ("FINALIZED", pid, "FINALIZED", "FINALIZED")
    assert record.agreement is not None
    signed = verify("agreement", record.agreement, dealings.market.directory.sign_keys(BUYER, HOSPITAL))
    assert AGREEMENT + agreement_digest(signed) == mine.agreement_id == theirs.agreement_id
    assert buyer.status(pid).grant_id == record.grant_id
    assert dealings.market.ledger.grants[record.grant_id].node == HOSPITAL
    assert buyer.fetch(pid).complete
    assert not dealings.market.contracts.all()  # the exchange has no part in it
    events = [event.action.value for event in dealings.ground.events()]
    assert [one for one in events if one.startswith(("contract", "grant"))] == [
        "contract.request", "contract.request", "contract.agree", "contract.agree", "contract.verify", "grant.issue",
        "contract.finalize",
    ]  # fmt: skip


def test_a_transfer_starts_under_a_live_contract_and_ends_when_it_is_revoked(dealings: Dealings) -> None:
    pid = agreed(dealings)
    dealings.buyer().accept(pid)
    dealings.carry()
    agreement, connector = dealings.of(pid)[0].agreement_id, dealings.lines[BUYER].connector
    sealed, query = FORMATS[DeliveryMode.SEALED_FILE], FORMATS[DeliveryMode.QUERY]
    started = connector.request_transfer(HOSPITAL, address_of(HOSPITAL), agreement_id=agreement, format=sealed)
    other = connector.request_transfer(HOSPITAL, address_of(HOSPITAL), agreement_id=agreement, format=query)
    dealings.carry()
    process = connector.process(started.pid)
    assert process.state == "STARTED"
    assert process.data_address is not None
    assert process.data_address["endpointProperties"][0]["value"] == pid
    assert connector.process(other.pid).state == ""  # refused; asked again until patience ends
    dealings.negotiations.revoke(pid, "the study was stopped", OFFICER)
    dealings.carry()
    assert connector.process(started.pid).state == "TERMINATED"
    with pytest.raises(AccessDenied, match="revoked"):
        dealings.buyer().fetch(pid)


def test_a_refusal_of_the_rules_or_of_a_person_reaches_the_buyer_with_rule_and_next_step(dealings: Dealings) -> None:
    pid = requested(dealings)
    dealings.negotiations.decide(pid, OFFICER, approved=False, reason="ask for the aggregate")
    dealings.carry()
    record = dealings.lines[BUYER].connector.process(pid)
    assert (record.state, record.reason) == ("TERMINATED", "person.refused: ask for the aggregate")
    with pytest.raises(AccessDenied, match="person"):
        dealings.buyer().accept(pid)


def message(dealings: Dealings, **changed: Any) -> Document:
    """Return the buyer's first message under a new id, with the signed request changed."""
    processes = dealings.lines[BUYER].processes.live()
    pid = processes[0].pid if processes else requested(dealings, number=7)
    process = dealings.lines[BUYER].connector.process(pid)
    assert process.request is not None
    document = {**process.request["document"], "contract_id": "urn:uuid:8", **changed}
    told = message_of(replace(process, pid="urn:uuid:8", peer_pid=""), Message.REQUEST, callback=address_of(BUYER))
    return told | {PAPER: sign("request", document, BUYER, dealings.market.keys[BUYER].secret("sign"))}


def ask(dealings: Dealings, told: Document, sender: str = BUYER) -> tuple[int, str]:
    """Return status and code of the hospital's answer."""
    answer = dealings.network[address_of(HOSPITAL)](sender, "POST", "/negotiations/request", told)
    return answer.status, str(answer.document.get("code", ""))


def test_a_request_counts_only_with_its_own_signed_paper(dealings: Dealings) -> None:
    told = message(dealings)
    without = {name: value for name, value in told.items() if name != PAPER}
    assert ask(dealings, without) == (400, "paper.absent")
    assert ask(dealings, told, OTHER) == (400, "signature-invalid")  # another member borrows the paper
    assert ask(dealings, message(dealings, contract_id="urn:uuid:9")) == (400, "request.differs")
    assert ask(dealings, message(dealings, version="9.9.9")) == (400, "request.differs")
    forged = {**told, PAPER: {**told[PAPER], "document": {**told[PAPER]["document"], "purpose": "x"}}}
    assert ask(dealings, forged) == (400, "signature-invalid")
    assert ask(dealings, told) == (201, "")
    assert len(dealings.negotiations.all()) == 2


def test_another_agreement_than_the_signed_one_is_not_verified(dealings: Dealings) -> None:
    pid = agreed(dealings)
    mine, theirs = dealings.of(pid)
    assert mine.paper is not None
    changed = {**mine.paper["document"], "max_deliveries": 99}
    keys = dealings.market.keys
    forged = sign("agreement", changed, BUYER, keys[BUYER].secret("sign"))
    forged = {**forged, "signatures": [*forged["signatures"], *mine.paper["signatures"]]}
    both = countersign("agreement", forged, HOSPITAL, keys[HOSPITAL].secret("sign"))  # of another negotiation, say
    for paper in (forged, mine.paper, None, both):
        told = message_of(replace(mine, paper=paper), Message.VERIFICATION)
        path = f"/negotiations/{theirs.pid}/agreement/verification"
        answer = dealings.network[address_of(HOSPITAL)](BUYER, "POST", path, told)
        assert answer.status == 400
    assert answer.document["code"] == "agreement.other"
    assert dealings.of(pid)[1].state == "AGREED"
    assert dealings.negotiations.all()[0].state == "AGREED"


def test_a_buyer_takes_no_agreement_but_the_one_it_asked_for(dealings: Dealings) -> None:
    pid = requested(dealings)
    dealings.hospital.connector._courier.down.add(address_of(BUYER))  # type: ignore[attr-defined]  # the memory twin
    dealings.negotiations.decide(pid, OFFICER, approved=True)
    mine = dealings.lines[BUYER].connector.process(pid)
    theirs = dealings.hospital.connector.process(mine.peer_pid)
    assert theirs.paper is not None
    changed = {**theirs.paper["document"], "purpose": "DUO:0000042"}
    forged = sign("agreement", changed, HOSPITAL, dealings.market.keys[HOSPITAL].secret("sign"))
    policy = {**(theirs.agreement or {}), "@id": AGREEMENT + agreement_digest(changed)}
    told = message_of(replace(theirs, paper=forged, agreement=policy), Message.AGREEMENT)
    answer = dealings.network[address_of(BUYER)](HOSPITAL, "POST", f"/negotiations/{pid}/agreement", told)
    assert (answer.status, answer.document["code"]) == (400, "agreement.differs")
    assert dealings.lines[BUYER].connector.process(pid).state == "REQUESTED"


def test_a_decision_outlives_a_stop_before_it_was_sent(dealings: Dealings) -> None:
    pid = requested(dealings)
    dealings.connectors.clear()  # it stops between signing and sending
    with pytest.raises(IndexError):
        dealings.negotiations.decide(pid, OFFICER, approved=True)
    dealings.connectors.append(dealings.hospital.connector)
    dealings.hospital.connector.resume()
    dealings.carry()
    assert dealings.of(pid)[0].state == "AGREED"


def test_the_catalogue_shows_every_product_with_its_signed_manifest(dealings: Dealings) -> None:
    product = dealings.market.stents()
    shown, digest = dealings.buyer().show(product.id)
    assert (shown, digest) == (product, product.digest())
    assert [one.id for one in dealings.buyer().find("")] == [one.id for one in dealings.market.hospital.products.all()]


def test_to_another_buyer_the_contract_does_not_exist(dealings: Dealings) -> None:
    pid = agreed(dealings)
    theirs = dealings.of(pid)[1]
    answer = dealings.network[address_of(HOSPITAL)](OTHER, "GET", f"/negotiations/{theirs.pid}", None)
    assert answer.status == 404
    connector = dealings.lines[OTHER].connector
    sealed = FORMATS[DeliveryMode.SEALED_FILE]
    begun = connector.request_transfer(HOSPITAL, address_of(HOSPITAL), agreement_id=theirs.agreement_id, format=sealed)
    dealings.carry()
    assert connector.process(begun.pid).state == ""
    assert dealings.hospital.processes.opened_by(Kind.TRANSFER, OTHER, begun.pid) is None
    assert ("transfer.request", "agreement.unknown") in dealings.ground.refusals()


def test_the_exchange_carries_a_contract_between_the_protocol_and_the_hospital(dealings: Dealings) -> None:
    market, buyer = dealings.market, dealings.buyer(at="exchange")
    product, pid = market.stents(), "urn:uuid:5"
    assert buyer.show(product.id)[0] == product
    buyer.request(market.wish(product), contract_id=pid)
    dealings.carry()
    assert buyer.status(pid).state == State.REQUESTED
    market.negotiations.decide(pid, OFFICER, approved=True)  # over gRPC, as every hospital does
    dealings.exchange.connector.resume()
    dealings.carry()
    assert buyer.status(pid).state == State.AGREED
    buyer.accept(pid)
    dealings.carry()
    states = (buyer.status(pid).state, market.contracts.all()[0].state, market.negotiations.all()[0].state)
    assert states == (State.FINALIZED,) * 3
    assert buyer.status(pid).grant_id == market.negotiations.all()[0].grant_id
    assert buyer.fetch(pid).complete


def test_a_hospital_that_is_away_is_asked_again_and_not_all_the_time(dealings: Dealings) -> None:
    market, product, pid = dealings.market, dealings.market.stents(), "urn:uuid:6"
    consider, calls = market.providers.consider, list[str]()

    def away(provider: str, request: Any) -> Any:
        calls.append(provider)
        raise PeerUnavailable("it is away")

    market.providers.consider = away  # type: ignore[method-assign]  # the line is cut
    dealings.buyer(at="exchange").request(market.wish(product), contract_id=pid)
    dealings.carry()
    for _ in range(5):
        dealings.exchange.connector.resume()
    assert calls == [HOSPITAL]
    market.later(seconds=31)
    market.providers.consider = consider  # type: ignore[method-assign]
    dealings.exchange.connector.resume()
    assert market.contracts.all()[0].rule == "approval.pending"
    assert dealings.lines[BUYER].connector.process(pid).state == "REQUESTED"


def test_the_exchange_takes_no_transfer(dealings: Dealings) -> None:
    connector = dealings.lines[BUYER].connector
    connector.request_transfer("exchange", address_of("exchange"), agreement_id="urn:a", format="x")
    dealings.carry()
    assert ("transfer.request", "transfer.elsewhere") in dealings.market.exchange.refusals()
