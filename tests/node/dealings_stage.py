"""A hospital and two buyers of a market with connectors between them: contracts over the Dataspace Protocol."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient
from tests.node.dsp_stage import NamedDoor
from tests.node.market_doors import ExchangeDoor
from tests.node.market_stage import BUYER, OFFICER, OTHER, Market, person

from hdex.node.answer_rules import Answers
from hdex.node.authz import CedarAuthorizer
from hdex.node.buyer import Buyer
from hdex.node.dataspace_market import BuyerDesk, DataspaceMarket
from hdex.node.dsp.catalogue import Shop
from hdex.node.dsp.connector import Connector, Me
from hdex.node.dsp.courier_memory import MemoryCourier
from hdex.node.dsp.outbox import Outbox, Patience
from hdex.node.dsp.ports import Answer, Desk
from hdex.node.dsp.process import Document, Process
from hdex.node.dsp.store_memory import MemoryProcesses
from hdex.node.exchange.dataspace import ExchangeDesk
from hdex.node.hospital.borders import Borders
from hdex.node.hospital.contract_gate import ContractGate
from hdex.node.hospital.dataspace import ContractDoor, HospitalDesk
from hdex.node.hospital.negotiation import Negotiations
from hdex.node.hospital.offers import Offers
from hdex.node.hospital.rule_answers import RuleAnswers
from hdex.node.hospital.signatory import Signatory
from hdex.node.hospital.staff import Staff
from hdex.node.wire.dsp_app import Binding, dsp_app
from hdex.node.wire.http_limits import Rate, RateLimit

HOSPITAL = "hospital-a"
NONE = Answers()


@dataclass
class Line:
    """One participant on the memory network."""

    connector: Connector
    processes: MemoryProcesses
    outbox: Outbox


class Dealings:
    """A hospital and two buyers of a market, with connectors between them and no exchange."""

    def __init__(self, folder: Path, answers: Answers = NONE, market: Market | None = None) -> None:
        self.market, self.network = market or Market(folder), dict[str, Any]()
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
            Signatory(HOSPITAL, self.ground.keys.secret("sign"), self.market.clock), self.ground.documents,
            self.market.hospital.products, directory=self.market.directory, exchange=self.door,
            authorizer=CedarAuthorizer(), recorder=self.ground.recorder, facts=self.ground.facts,
            meter=self.ground.meter,
            gate=ContractGate(side.vettings, side.requests, side.products, borders),
            lives=self.market.lives_of(HOSPITAL, self.door.lived),
        )  # fmt: skip
        products, directory = self.market.hospital.products, self.market.directory
        self.offers = self.offers_of()
        self.answers = self.answers_of(answers)
        desk = HospitalDesk(
            address_of(HOSPITAL), "127.0.0.1:1", products, self.negotiations, directory, self.offers, self.answers,
            self.connectors,
        )  # fmt: skip
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
            Signatory(HOSPITAL, self.ground.keys.secret("sign"), market.clock),
            self.negotiations,
            market.hospital.products,
            Staff(HOSPITAL, {role: keys.public("sign") for role, keys in market.people.items()}),
            directory=market.directory,
            recorder=self.ground.recorder,
        )

    def answers_of(self, answers: Answers) -> RuleAnswers:
        market = self.market
        return RuleAnswers(
            answers, self.negotiations, self.offers, market.hospital.products, me=person(HOSPITAL),
            directory=market.directory, clock=market.clock,
        )  # fmt: skip

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
