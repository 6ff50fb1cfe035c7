"""A provider answers a request with an offer; the consumer accepts or counters it, each by a signed paper."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.node.dealings_stage import HOSPITAL, Dealings, address_of
from tests.node.market_stage import BUYER, OFFICER, OTHER, person

from hdex.catalog.contract import Message, State
from hdex.catalog.errors import CatalogError, TransitionForbidden
from hdex.node.bargain import Bargain
from hdex.node.buyer import Buyer
from hdex.node.dsp.messages import message_of
from hdex.node.errors import AccessDenied, RequestInvalid
from hdex.node.signed import sign


@pytest.fixture
def dealings(tmp_path: Path) -> Dealings:
    return Dealings(tmp_path)


def offered(dealings: Dealings, pid: str, role: str = "privacy_officer", **terms: str) -> Any:
    """Let the officer answer a request with an offer."""
    said = {"plan": "", "columns": "", "rounds": "", "until": "", "reason": "the committee allows less", "at": ""}
    paper = {"contract": pid, **said, **terms}
    key = dealings.market.people[role].secret("sign")
    answer = dealings.offers.order(sign("contract.offer", paper, f"{HOSPITAL}/{role}", key), person(HOSPITAL, role))
    dealings.carry()
    return answer


def bargain_of(dealings: Dealings) -> tuple[Buyer, Bargain]:
    buyer = dealings.buyer()
    table: Any = buyer._market
    keys, directory = dealings.market.keys[BUYER], dealings.market.directory
    return buyer, Bargain(buyer, keys, directory, table=table, folder=buyer._folder)


def bargained(dealings: Dealings, rounds: int = 12) -> str:
    """Let the buyer ask for federated use and return the contract's id."""
    wish = replace(dealings.market.wish(dealings.market.stents(), "federated"), max_rounds=rounds)
    dealings.buyer().request(wish, contract_id="urn:uuid:4")
    dealings.carry()
    return "urn:uuid:4"


def test_an_offer_is_accepted_as_it_is_and_becomes_the_agreement(dealings: Dealings) -> None:
    pid = bargained(dealings)
    offered(dealings, pid, rounds="6", columns="age_band,systolic", until="2027-03-01T00:00:00.000Z")
    buyer, bargain = bargain_of(dealings)
    assert buyer.status(pid).state == State.OFFERED
    said = bargain.offered(pid)
    assert (said["max_rounds"], said["order"]["columns"], said["reason"]) == (
        6, ["age_band", "systolic"], "the committee allows less",
    )  # fmt: skip
    with pytest.raises(TransitionForbidden):
        dealings.negotiations.decide(pid, OFFICER, approved=True)  # while it waits for an answer
    bargain.accept(pid)
    dealings.carry()
    assert dealings.negotiations.get(pid).state == State.ACCEPTED
    dealings.hospital.connector.resume()
    dealings.negotiations.decide(pid, OFFICER, approved=True)
    dealings.carry()
    buyer.accept(pid)
    dealings.carry()
    record = dealings.negotiations.get(pid)
    assert record.state == State.FINALIZED
    assert record.agreement is not None
    signed = record.agreement["document"]
    assert (signed["max_rounds"], signed["columns"]) == (6, ["age_band", "systolic"])
    assert signed["expires"] == "2027-03-01T00:00:00.000Z"
    states = [dealings.of(pid)[0].visits, dealings.of(pid)[1].visits]
    assert (
        states[0]
        == states[1]
        == dict.fromkeys(("REQUESTED", "OFFERED", "ACCEPTED", "AGREED", "VERIFIED", "FINALIZED"), 1)
    )


def test_an_offer_is_countered_and_the_rules_look_at_the_counter_again(dealings: Dealings) -> None:
    pid = bargained(dealings)
    offered(dealings, pid, rounds="3")
    buyer, bargain = bargain_of(dealings)
    bargain.counter(pid, {"max_rounds": 8})
    dealings.carry()
    record = dealings.negotiations.get(pid)
    assert (record.state, record.asked["max_rounds"], record.offer) == (State.REQUESTED, 8, None)
    dealings.hospital.connector.resume()  # told again, it is the same counter
    dealings.negotiations.decide(pid, OFFICER, approved=True)
    dealings.carry()
    buyer.accept(pid)
    dealings.carry()
    assert dealings.negotiations.get(pid).state == State.FINALIZED


def test_a_counter_that_the_rules_refuse_ends_the_negotiation(dealings: Dealings) -> None:
    pid = bargained(dealings)
    offered(dealings, pid, rounds="3")
    bargain_of(dealings)[1].counter(pid, {"max_rounds": 0})
    dealings.carry()
    mine, theirs = dealings.of(pid)
    assert (mine.state, theirs.state, dealings.negotiations.get(pid).rule) == (
        "TERMINATED", "TERMINATED", "request.rounds",
    )  # fmt: skip


def test_an_offer_is_the_officers_and_within_the_rules(dealings: Dealings) -> None:
    pid = bargained(dealings)
    with pytest.raises(AccessDenied):
        offered(dealings, pid, role="data_steward")
    with pytest.raises(AccessDenied) as rounds:
        offered(dealings, pid, rounds="0")
    assert rounds.value.rule == "request.rounds"
    for terms in ({"rounds": "many"}, {"until": "soon"}, {"columns": "nobody"}, {"plan": "barter"}):
        with pytest.raises((RequestInvalid, CatalogError)):
            offered(dealings, pid, **terms)
    assert dealings.negotiations.get(pid).state == State.REQUESTED
    product = dealings.market.hospital.products.all()[0]
    dealings.market.buyers[BUYER].request(dealings.market.wish(product), contract_id="c-9")  # over gRPC
    with pytest.raises(AccessDenied) as elsewhere:
        offered(dealings, "c-9", rounds="")
    assert elsewhere.value.rule == "offer.over_dsp"


def test_what_was_not_offered_is_not_accepted(dealings: Dealings) -> None:
    pid = bargained(dealings)
    offered(dealings, pid, rounds="6")
    mine, theirs = dealings.of(pid)
    assert mine.request is not None
    key = dealings.market.keys[BUYER].secret("sign")
    for changed in ({"max_rounds": 12}, {"max_rounds": 6, "product": "hospital-a.other"}):
        paper = sign("request", {**mine.request["document"], **changed}, BUYER, key)
        told = message_of(replace(mine, paper=paper, state="ACCEPTED"), Message.ACCEPT)
        answer = dealings.network[address_of(HOSPITAL)](BUYER, "POST", f"/negotiations/{theirs.pid}/events", told)
        assert (answer.status, answer.document["code"]) in ((400, "offer.other"), (400, "request.differs"))
    assert dealings.negotiations.get(pid).state == State.OFFERED
    forged = sign("offer", {"contract_id": pid, "max_rounds": 12}, OTHER, dealings.market.keys[OTHER].secret("sign"))
    told = message_of(replace(theirs, paper=forged), Message.OFFER)
    answer = dealings.network[address_of(BUYER)](HOSPITAL, "POST", f"/negotiations/{pid}/offers", told)
    assert answer.status == 400
