"""A whole market in one process: exchange, hospitals, buyers, key holder, chain, wired object to object, no wire."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
from tests.catalog.samples import federated_only, sample_product
from tests.node.access_stage import FallibleStore, access_side
from tests.node.market_doors import CounterDoor, ExchangeDoor, MarketDoor, ProvidersDoor
from tests.node.market_modes import Modes, modes_of

from hdex.catalog.index import Catalogue
from hdex.catalog.index_memory import MemoryIndex
from hdex.catalog.lifecycle import ProductState
from hdex.catalog.product import DataProduct, Provider, ReleaseFile
from hdex.catalog.terms import AccessRequest
from hdex.ledger.chain_memory import MemoryChain, MemoryLedger
from hdex.ledger.detail import Details
from hdex.ledger.detail_memory import MemoryDetailStore
from hdex.ledger.event import Event, format_time, parse
from hdex.ledger.log import Log
from hdex.ledger.note import Signer
from hdex.node.authz import CedarAuthorizer
from hdex.node.buyer import Buyer, Wish
from hdex.node.contract_record import ContractRecord
from hdex.node.directory import Directory, member_of
from hdex.node.documents import MemoryDocuments
from hdex.node.exchange.contracts import Contracts
from hdex.node.exchange.listings import Listings
from hdex.node.facts import ChainFacts
from hdex.node.holder import Holder
from hdex.node.hospital.access_requests import AccessRequests
from hdex.node.hospital.borders import Borders
from hdex.node.hospital.contract_gate import ContractGate
from hdex.node.hospital.contract_lives import ContractLives, LifeRoom, Tell
from hdex.node.hospital.contract_shelf import ContractShelf
from hdex.node.hospital.contract_standings import ContractStandings
from hdex.node.hospital.delivery import Delivery, Pace, Store
from hdex.node.hospital.negotiation import Negotiations
from hdex.node.hospital.products import Held, Products
from hdex.node.hospital.released import release_name
from hdex.node.hospital.signatory import Signatory
from hdex.node.hospital.staff import Staff
from hdex.node.hospital.usage_book import UsageBook
from hdex.node.identity import Identity
from hdex.node.keys import STANDARD, MemoryKeys, data_key
from hdex.node.meter import Meter
from hdex.node.recorder import Recorder
from hdex.node.signed import Envelope, sign
from hdex.node.vault import Vault
from hdex.node.vetting import Vettings

NOW = datetime(2026, 11, 21, 22, 0, tzinfo=UTC)
DOMAIN = "hdex.test"
KINDS = {
    "hospital-a": "hospital",
    "hospital-b": "hospital",
    "hospital-c": "hospital",
    "exchange": "exchange",
    "keyholder": "keyholder",
    "buyer-heartline": "buyer",
    "buyer-other": "buyer",
}
BUYER, OTHER = "buyer-heartline", "buyer-other"
PACE = Pace(chunk_bytes=256, chunks_per_range=3)
PURPOSE = "DUO:0000007"
ROLES = ("data_steward", "privacy_officer", "ethics_committee")


def person(participant: str, role: str = "") -> Identity:
    """Return who a certificate of this participant would name."""
    kind = KINDS[participant]
    uri = f"spiffe://{DOMAIN}/{kind}/{participant}" + (f"/{role}" if role else "")
    return Identity(uri, kind, participant, role)


OFFICER, STEWARD = person("hospital-a", "privacy_officer"), person("hospital-a", "data_steward")
COMMITTEE = person("hospital-a", "ethics_committee")
EXCHANGE = person("exchange")


@dataclass
class Ground:
    """What one participant with a log stands on."""

    id: str
    keys: MemoryKeys
    ledger: MemoryLedger
    stage: "Market"
    store: FallibleStore = field(default_factory=FallibleStore)
    documents: MemoryDocuments = field(default_factory=MemoryDocuments)

    @cached_property
    def details(self) -> Details:
        return Details(MemoryDetailStore(), data_key(self.keys, "event details"))

    @cached_property
    def log(self) -> Log:
        origin = f"hdex/{self.id}/2026"
        return Log(self.store, origin, Signer(origin, self.keys.secret("log")))

    @cached_property
    def recorder(self) -> Recorder:
        return Recorder(self.log, self.details, node=self.id, organisation=f"{self.id} org", clock=self.stage.clock)

    @cached_property
    def facts(self) -> ChainFacts:
        chain = MemoryChain(self.ledger, self.id)
        return ChainFacts(lambda: chain, self.documents, node=self.id)

    @cached_property
    def book(self) -> UsageBook:
        return UsageBook(self.log, list, node=self.id, clock=self.stage.clock)

    @cached_property
    def meter(self) -> Meter:
        return Meter(self.documents)

    def events(self) -> list[Event]:
        return [parse(leaf) for leaf in self.log.entries(0, self.log.size)]

    def refusals(self) -> list[tuple[str, str]]:
        """Return (action, rule) of every refusal in the log."""
        return [(event.action.value, str(event.reason)) for event in self.events() if event.decision == "deny"]


@dataclass
class HospitalSide(Modes):
    """One hospital's verbs of market and delivery."""

    ground: Ground
    vault: Vault
    products: Products
    negotiations: Negotiations
    delivery: Delivery
    vettings: Vettings
    requests: AccessRequests


def released(rows: int = 400) -> pl.DataFrame:
    """Return a file worth delivering: several chunks of the tests' pace."""
    return pl.DataFrame({"age_band": ["60-69", "70-79"] * (rows // 2), "systolic": list(range(rows))})


class Market:
    """Everybody, and the time. countries: where participants store things, as the directory says it."""

    def __init__(self, folder: Path, countries: Mapping[str, str] | None = None, *, vetted: bool = True) -> None:
        """Buyers are `vetted` at every hospital without the steps that lead there, unless a test takes them itself."""
        self.now = NOW
        self._standings: dict[str, ContractStandings] = {}
        self.vetted = vetted
        self.people = {role: MemoryKeys(dict(STANDARD)) for role in ROLES}
        self.certificates: dict[str, Envelope] = {}  # what the exchange's office would answer
        self.ledger = MemoryLedger(admin="operator", operator="1 operator: tests", clock=self.clock)
        self.folder = folder
        self.keys = {name: MemoryKeys(dict(STANDARD)) for name in KINDS}
        members = [
            member_of(
                name,
                kind,
                organisation=f"{name} org",
                trust_domain=DOMAIN,
                keys=self.keys[name],
                endpoint="" if kind == "buyer" else "127.0.0.1:1",
                storage_country=(countries or {}).get(name, ""),
            )
            for name, kind in KINDS.items()
        ]
        self.directory = Directory(DOMAIN, format_time(NOW), tuple(members))
        self.grounds = {name: Ground(name, self.keys[name], self.ledger, self) for name in KINDS}
        self.desks = {name: Ground(name, self.keys[name], self.ledger, self) for name in KINDS if name[:4] == "hosp"}
        operator = MemoryChain(self.ledger, "operator")
        for name in ("hospital-a", "hospital-b", "hospital-c", "exchange", "keyholder"):
            operator.enroll(name, name, b"\x11" * 32)
        self.exchange = self.grounds["exchange"]
        self.listings = Listings(Catalogue(MemoryIndex()), self.directory, self.exchange.recorder)
        self.providers = ProvidersDoor(self)
        self.contracts = Contracts(
            self.listings,
            self.exchange.documents,
            directory=self.directory,
            providers=self.providers,
            recorder=self.exchange.recorder,
        )
        self.hospitals = {name: self._hospital(name, folder) for name in ("hospital-a", "hospital-b", "hospital-c")}
        self.doors = {name: MarketDoor(self, name) for name in (BUYER, OTHER)}
        self.counters = {name: CounterDoor(self, name) for name in (BUYER, OTHER)}
        self.buyers = {name: self._buyer(name, folder) for name in (BUYER, OTHER)}

    def clock(self) -> datetime:
        return self.now

    def identity(self, name: str) -> Identity:
        return person(name)

    def later(self, **delta: float) -> None:
        self.now += timedelta(**delta)

    @property
    def hospital(self) -> HospitalSide:
        return self.hospitals["hospital-a"]

    @property
    def negotiations(self) -> Negotiations:
        return self.hospital.negotiations

    def _hospital(self, name: str, folder: Path) -> HospitalSide:
        ground = self.grounds[name]
        products = Products(ground.documents)
        vault = Vault(folder / name, ground.keys)
        vettings, requests = access_side(self, name, vault, products)
        lives = self.lives_of(name)
        negotiations = Negotiations(
            Signatory(name, ground.keys.secret("sign"), self.clock),
            ground.documents,
            products,
            directory=self.directory,
            exchange=ExchangeDoor(self, name),
            authorizer=CedarAuthorizer(),
            recorder=ground.recorder,
            facts=ground.facts,
            meter=ground.meter,
            gate=ContractGate(vettings, requests, products, Borders(name, ground.documents, self.directory)),
            lives=lives,
        )
        delivery = Delivery(
            Store(vault, ground.keys, ground.documents),
            negotiations,
            products,
            directory=self.directory,
            recorder=ground.recorder,
            meter=ground.meter,
            book=ground.book,
            pace=PACE,
            clock=self.clock,
        )
        modes = modes_of(ground, vault, products, negotiations, self)
        return HospitalSide(
            **modes,
            ground=ground,
            vault=vault,
            products=products,
            negotiations=negotiations,
            delivery=delivery,
            vettings=vettings,
            requests=requests,
        )

    def lives_of(self, name: str, tell: Tell = lambda record, arrow, reason: None) -> ContractLives:
        """Return the lives of a hospital's contracts, over its documents as they stand."""
        ground = self.grounds[name]
        staff = Staff(name, {role: keys.public("sign") for role, keys in self.people.items()})
        return ContractLives(
            Signatory(name, ground.keys.secret("sign"), self.clock),
            ContractShelf(ground.documents),
            LifeRoom(staff, ground.book, ground.documents, tell),
            directory=self.directory,
            recorder=ground.recorder,
            facts=ground.facts,
        )

    def _buyer(self, name: str, folder: Path) -> Buyer:
        (folder / "received" / name).mkdir(parents=True)
        return Buyer(
            name,
            self.keys[name],
            self.directory,
            market=self.doors[name],
            counter=self.counters[name],
            folder=folder / "received" / name,
            clock=self.clock,
        )

    def standings(self, hospital: str) -> ContractStandings:
        """Return how a hospital's contracts stand: its one answer, which knows who has read what."""
        if hospital not in self._standings:
            lives, recorder = self.hospitals[hospital].negotiations.lives, self.grounds[hospital].recorder
            self._standings[hospital] = ContractStandings(lives, recorder, self.clock)
        return self._standings[hospital]

    def holder(self, name: str = BUYER) -> Holder:
        """Return a buyer with the contracts it has."""
        return Holder(
            self.buyers[name], self.keys[name], custodian=self.counters[name], ending=self.doors[name],
            folder=self.buyers[name]._folder, clock=self.clock,
        )  # fmt: skip

    def list_product(self, product: DataProduct, frame: pl.DataFrame | None = None) -> DataProduct:
        """Keep and list a product of its provider, with a file in the vault where rows are given."""
        side = self.hospitals[product.provider.id]
        dataset = product.id.partition(".")[2]
        if frame is not None:
            buffer = io.BytesIO()
            frame.write_parquet(buffer)
            stored = side.vault.put(dataset, release_name(product.version), buffer.getvalue())
            product = replace(product, release=ReleaseFile(bytes=stored.size, sha256=stored.sha256, chunks=1))
            told = {"records": frame.height, "recipient_class": ""}
            side.ground.documents.put("release", f"{dataset}/{product.version}", told)
        envelope = sign(
            "manifest", product.document(), product.provider.id, self.keys[product.provider.id].secret("sign")
        )
        older = [held for held in side.products.versions(product.id) if held.product.version != product.version]
        for held in older:
            until = format_time(self.now + timedelta(days=90))
            side.products.keep(replace(held, state=ProductState.SUPERSEDED, serves_until=until))
        side.products.keep(Held(product, envelope, dataset, ProductState.LISTED))
        self.listings.publish(envelope, person(product.provider.id))
        return product

    def stents(self, **given: object) -> DataProduct:
        """List the carotid product of hospital A with a file."""
        return self.list_product(sample_product(**given), released())

    def level_5(self) -> DataProduct:
        """List a level-5 product of hospital A: it may be asked, it has no file."""
        product = replace(federated_only(), provider=Provider("hospital-a", federated_only().provider.name))
        return self.list_product(replace(product, id="hospital-a.hiv"))

    def wish(self, product: DataProduct, mode: str = "sealed_file", **access: Any) -> Wish:
        """Return what the buyer asks by default: research on carotid disease."""
        asked = AccessRequest(
            **({"purpose": PURPOSE, "recipient": BUYER, "at": format_time(self.now), "disease": "I65.2"} | access)
        )
        return Wish(product.id, mode, asked, max_rounds=12 if mode == "federated" else 0)

    def finalized(self, product: DataProduct, mode: str = "sealed_file", contract_id: str = "c-1") -> ContractRecord:
        """Return a contract that went the whole way."""
        self.buyers[BUYER].request(self.wish(product, mode), contract_id=contract_id)
        self.negotiations.decide(contract_id, OFFICER, approved=True)
        return self.buyers[BUYER].accept(contract_id)

    def request_paper(self, product: DataProduct, signer: str = BUYER, /, **changed: Any) -> Envelope:
        """Return a signed request, with what a dishonest signer puts in."""
        from hdex.catalog.documents import to_document

        document = {
            "contract_id": "c-1",
            "product": product.id,
            "version": product.version,
            "provider": product.provider.id,
            "manifest_digest": product.digest(),
            "consumer": BUYER,
            "delivery_mode": "sealed_file",
            "max_rounds": 0,
            "statement": "",
            "access": to_document(self.wish(product).access),
        } | changed
        return sign("request", document, signer, self.keys[signer].secret("sign"))
