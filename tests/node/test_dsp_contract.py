"""A contract over the Dataspace Protocol is the same contract: one digest signed by both, one record, one delivery."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.node.dsp_stage import NamedDoor
from tests.node.market_doors import ExchangeDoor
from tests.node.market_stage import BUYER, OFFICER, OTHER, Market, person

from hdex.catalog.contract import Message, State, TransferMessage, agreement_digest
from hdex.catalog.dsp import FORMATS
from hdex.catalog.errors import CatalogError, TransitionForbidden
from hdex.catalog.product import DeliveryMode
from hdex.node.authz import CedarAuthorizer
from hdex.node.bargain import Bargain
from hdex.node.buyer import Buyer
from hdex.node.dataspace_market import BuyerDesk, DataspaceMarket
from hdex.node.dsp.catalogue import Shop
from hdex.node.dsp.connector import Connector, Me
from hdex.node.dsp.courier_memory import MemoryCourier
from hdex.node.dsp.messages import PAPER, message_of
from hdex.node.dsp.outbox import Outbox, Patience
from hdex.node.dsp.papers import AGREEMENT
from hdex.node.dsp.ports import Answer, Desk
from hdex.node.dsp.process import Document, Kind, Process
from hdex.node.dsp.store_memory import MemoryProcesses
from hdex.node.errors import AccessDenied, PeerUnavailable, RequestInvalid
from hdex.node.exchange.dataspace import ExchangeDesk
from hdex.node.hospital.borders import Borders
from hdex.node.hospital.contract_gate import ContractGate
from hdex.node.hospital.contract_shelf import Papers
from hdex.node.hospital.dataspace import ContractDoor, HospitalDesk
from hdex.node.hospital.negotiation import Negotiations
from hdex.node.hospital.offers import Offers
from hdex.node.hospital.staff import Staff
from hdex.node.signed import countersign, sign, verify
from hdex.node.wire.dsp_app import Binding, dsp_app
from hdex.node.wire.http_limits import Rate, RateLimit

HOSPITAL = "hospital-a"


@dataclass
class Line:
    """One participant on the memory network."""

    connector: Connector
    processes: MemoryProcesses
    outbox: Outbox


class Dealings:
    """A hospital and two buyers of a market, with connectors between them and no exchange."""

    def __init__(self, folder: Path) -> None:
        self.market, self.network = Market(folder), dict[str, Any]()
        self.ground = self.market.hospital.ground
        self.connectors: list[Connector] = []
        processes = MemoryProcesses()
        self.door = ContractDoor(
            ExchangeDoor(self.market, HOSPITAL),
            processes,
            lambda one: self.negotiations.consumer_of(one),
            self.connectors,
        )
        side, borders = self.market.hospital, Borders(HOSPITAL, self.ground.documents, self.market.directory)
        self.negotiations = Negotiations(
            Papers(HOSPITAL, self.ground.keys.secret("sign"), self.market.clock), self.ground.documents,
            self.market.hospital.products, directory=self.market.directory, exchange=self.door,
            authorizer=CedarAuthorizer(), recorder=self.ground.recorder, facts=self.ground.facts,
            meter=self.ground.meter,
            gate=ContractGate(side.vettings, side.requests, side.products, borders),
            lives=self.market.lives_of(HOSPITAL, self.door.lived),
        )  # fmt: skip
        products, directory = self.market.hospital.products, self.market.directory
        self.offers = self.offers_of()
        desk = HospitalDesk(
            address_of(HOSPITAL), "127.0.0.1:1", products, self.negotiations, directory, self.offers, self.connectors
        )
        self.hospital = self.line(HOSPITAL, desk, processes)
        self.connectors.append(self.hospital.connector)
        listed = self.market.listings._catalogue
        at_exchange = ExchangeDesk(address_of("exchange"), listed, self.market.contracts, directory, self.market.clock)
        self.exchange = self.line("exchange", at_exchange, MemoryProcesses())
        at_exchange.connectors.append(self.exchange.connector)
        self.desks = {name: BuyerDesk(self.market.directory) for name in (BUYER, OTHER)}
        self.lines = {name: self.line(name, desk, MemoryProcesses()) for name, desk in self.desks.items()}

    def offers_of(self) -> Offers:
        market = self.market
        return Offers(
            Papers(HOSPITAL, self.ground.keys.secret("sign"), market.clock),
            self.negotiations,
            market.hospital.products,
            Staff(HOSPITAL, {role: keys.public("sign") for role, keys in market.people.items()}),
            directory=market.directory,
            recorder=self.ground.recorder,
        )

    def consumer_of(self, contract_id: str) -> str:
        return self.negotiations.consumer_of(contract_id)

    def line(self, name: str, desk: Desk, processes: MemoryProcesses) -> Line:
        ground, me = self.market.grounds[name], Me(person(name), address_of(name))
        courier = MemoryCourier(name, self.network)
        connector = Connector(me, processes, desk=desk, courier=courier, recorder=ground.recorder, answer_s=0.0)
        shop = Shop(me, desk, ground.recorder, page=1)
        app = dsp_app(Binding(connector, shop, Doors(), RateLimit(Rate(1000, 1000), lambda: 0.0)))
        self.network[me.address] = answering(app)
        outbox = Outbox(connector, processes, courier, patience=Patience(), clock=self.market.clock)
        return Line(connector, processes, outbox)

    def buyer(self, name: str = BUYER, at: str = HOSPITAL) -> Buyer:
        courier = MemoryCourier(name, self.network)
        dealings = DataspaceMarket(
            at, address_of(at), self.lines[name].connector, self.desks[name], courier, wait_s=0.0, answer_s=0.0
        )
        return Buyer(
            name, self.market.keys[name], self.market.directory, market=dealings, counter=self.market.counters[name],
            folder=self.market.buyers[name]._folder, clock=self.market.clock,
        )  # fmt: skip

    def carry(self) -> None:
        while sum(line.outbox.flush() for line in (self.hospital, self.exchange, *self.lines.values())):
            pass

    def of(self, pid: str) -> tuple[Process, Process]:
        mine = self.lines[BUYER].connector.process(pid)
        return mine, self.hospital.connector.process(mine.peer_pid)


class Doors(NamedDoor):
    """Everybody of the market, by name."""

    def enter(self, certificate: bytes) -> Any:
        return person(certificate.decode())


def address_of(name: str) -> str:
    return f"https://{name}.example/dsp"


def answering(app: Any) -> Callable[[str, str, str, Document | None], Answer]:
    def handle(sender: str, method: str, path: str, document: Document | None) -> Answer:
        client = TestClient(app, raise_server_exceptions=False)
        client.app_state["certificate"] = sender.encode()
        answer = client.request(method, f"/dsp{path}", json=document)
        return Answer(answer.status_code, answer.json(), answer.headers.get("Link", ""))

    return handle


@pytest.fixture
def dealings(tmp_path: Path) -> Dealings:
    return Dealings(tmp_path)


def requested(dealings: Dealings, number: int = 1, name: str = BUYER) -> str:
    """Let a buyer ask for the stents and return the contract's id."""
    product, pid = dealings.market.stents(), f"urn:uuid:{number:032d}"
    dealings.buyer(name).request(dealings.market.wish(product), contract_id=pid)
    dealings.carry()
    return pid


def agreed(dealings: Dealings) -> str:
    pid = requested(dealings)
    dealings.negotiations.decide(pid, OFFICER, approved=True)
    dealings.carry()
    return pid


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
