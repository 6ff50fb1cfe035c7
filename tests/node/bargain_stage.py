"""Both desks over negotiations by the Dataspace Protocol: a buyer's that listens, and a hospital's that may offer."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient
from tests.catalog.samples import sample_product
from tests.node.buyer_stage import BASE, Organisation
from tests.node.dealings_stage import HOSPITAL, NONE, Dealings
from tests.node.desk_stage import House
from tests.node.market_stage import BUYER, Market, released
from tests.node.test_dsp_offers import offered

from hdex.catalog.price import PricePlan
from hdex.catalog.product import DataProduct
from hdex.node.answer_rules import Answers
from hdex.node.bargains import Bargains, OpenLine
from hdex.node.buyer_desk import BuyerDesk
from hdex.node.contract_record import ContractRecord
from hdex.node.dataspace_market import record_of
from hdex.node.dsp.courier_memory import MemoryCourier
from hdex.node.errors import NotFound
from hdex.node.hospital.market_readings import Counters, MarketReadings
from hdex.node.hospital.readings import Readings
from hdex.node.web.buyer_app import create_buyer_app

BARGAINED = "hospital-a.bargained"
CONNECTOR = f"https://{HOSPITAL}.example/dsp"


def bargained(market: Market) -> DataProduct:
    """List a product over whose plan, columns, rounds and term there is something to say."""
    plan = replace(sample_product().price, plan=PricePlan.PER_QUERY, amount_cents=12_000)
    terms = replace(sample_product().terms, modifiers=(), needs_approval=())
    return market.list_product(replace(sample_product(id=BARGAINED), terms=terms, plans=(plan,)), released())


def ask(dealings: Dealings, product: DataProduct, contract_id: str) -> None:
    """Let the buyer ask for twelve federated rounds over the Dataspace Protocol."""
    dealings.buyer().request(dealings.market.wish(product, "federated"), contract_id=contract_id)
    dealings.carry()


class DeskDealings(Dealings):
    """Dealings between the desks of one market: the hospital's own verbs are those that the protocol reaches."""

    def __init__(self, folder: Path, market: Market, answers: Answers = NONE) -> None:
        super().__init__(folder, answers, market)
        market.hospitals[HOSPITAL].negotiations = self.negotiations

    @property
    def bargains(self) -> Bargains:
        """The buyer's verbs over its own line."""
        market, line = self.market, self.lines[BUYER]
        courier = MemoryCourier(BUYER, self.network)
        return Bargains(
            BUYER, market.keys[BUYER], market.directory,
            OpenLine(line.connector, self.desks[BUYER], courier, line.processes.live, wait_s=0.0),
            counter=market.counters[BUYER], folder=market.buyers[BUYER]._folder, clock=market.clock,
        )  # fmt: skip

    def counter(self, contract_id: str, terms: dict[str, Any]) -> None:
        self.bargains.counter(contract_id, terms)
        self.carry()

    def accept(self, contract_id: str) -> None:
        self.bargains.accept(contract_id)
        self.carry()


def deal(dealings: DeskDealings, product: DataProduct) -> None:
    """Bring negotiations of every standing: asked, offered, countered twice, accepted."""
    for name in ("asked", "offered", "countered", "accepted"):
        ask(dealings, product, f"d-{name}")
    for name in ("offered", "countered", "accepted"):
        offered(dealings, f"d-{name}", rounds="6", columns="age_band,systolic", until="2027-03-01T00:00:00.000Z")
    dealings.counter("d-countered", {"max_rounds": 10})
    offered(dealings, "d-countered", rounds="8", plan="per_query", reason="eight rounds, each query paid")
    dealings.counter("d-countered", {"max_rounds": 9})
    dealings.accept("d-accepted")


class KnowingDoor:
    """The exchange, and what this buyer has negotiated itself, as `hdex.node.compose.client.Knowing` joins them."""

    def __init__(self, door: Any, dealings: Dealings) -> None:
        self._door, self._dealings = door, dealings

    def status(self, contract_id: str) -> ContractRecord:
        try:
            return record_of(self._dealings.lines[BUYER].connector.process(contract_id))
        except NotFound:
            found: ContractRecord = self._door.status(contract_id)
            return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._door, name)


class Bargaining(Organisation):
    """A buying organisation whose desk listens (or not)."""

    def __init__(self, folder: Path, answers: Answers = NONE, *, listens: bool = True) -> None:
        super().__init__(folder)
        self.dealings = DeskDealings(folder, self.market, answers)
        buyer: Any = self.verbs.buyer
        buyer._market = KnowingDoor(buyer._market, self.dealings)
        verbs = replace(self.verbs, bargains=self.dealings.bargains if listens else None)
        self.desk_ = BuyerDesk(verbs, office=HOSPITAL, hospitals=(HOSPITAL,), home=folder, clock=self.market.clock)
        self.app = create_buyer_app(self.door, self.desk_)
        self.browser = TestClient(self.app, base_url=BASE, follow_redirects=False, raise_server_exceptions=False)


def bargaining_house(folder: Path, answers: Answers = NONE) -> tuple[House, DeskDealings]:
    """Return a hospital whose people see what is negotiated over the Dataspace Protocol."""
    house = House(folder)
    dealings = DeskDealings(folder, house.market, answers)
    record, side = house.record, house.market.hospitals[HOSPITAL]
    counters = Counters(
        dealings.negotiations, side.requests, side.vettings, side.enclaves, record.ground.book, record.ground.documents
    )
    market = MarketReadings(counters, life=house.accesses.life_of, clock=house.market.clock).parts
    house.readings = Readings(
        record.ground.documents,
        record.classifications,
        record.assessments,
        record.products,
        recorder=record.ground.recorder,
        market=market,
    )
    house.offers = dealings.offers
    return house, dealings
