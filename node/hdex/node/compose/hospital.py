"""A hospital's node, wired: vault, de-identification, products, contracts, delivery, its place in studies."""

import threading
import time
from functools import cached_property
from pathlib import Path

from hdex.catalog.product import DataProduct
from hdex.deid.ports import Detector
from hdex.deid.pseudonym import derive
from hdex.federated.store_sqlite import SqliteStore
from hdex.node.authz import CedarAuthorizer
from hdex.node.compose.access import AccessParts, watch_terms
from hdex.node.compose.alerting import recorded_actor
from hdex.node.compose.bargaining import answers_of, offers_of
from hdex.node.compose.dataspace_members import Members, connect, serve_line
from hdex.node.compose.standing import Standing, now
from hdex.node.config import HospitalConfig
from hdex.node.config_studies import FlowerApi
from hdex.node.consent_sqlite import SqliteConsents
from hdex.node.dsp.connector import Connector
from hdex.node.dsp.messages import PATH
from hdex.node.dsp.store_sqlite import SqliteProcesses
from hdex.node.enclave import Bounds
from hdex.node.hospital.accesses import Accesses, Buyers, buyer_of
from hdex.node.hospital.approvals import Approvals
from hdex.node.hospital.assessments import Assessments, Bench
from hdex.node.hospital.billing import Billing
from hdex.node.hospital.budgets import EpsilonBudget
from hdex.node.hospital.classifications import Classifications
from hdex.node.hospital.contract_lives import ContractLives, LifeRoom
from hdex.node.hospital.contract_shelf import ContractShelf
from hdex.node.hospital.contract_standings import ContractStandings
from hdex.node.hospital.datasets import Archive, Datasets
from hdex.node.hospital.dataspace import ContractDoor, HospitalDesk
from hdex.node.hospital.delivery import Delivery, Pace, Store
from hdex.node.hospital.desk import Hospital
from hdex.node.hospital.enclaves import Chamber, Enclaves
from hdex.node.hospital.erasures import Erasures
from hdex.node.hospital.invoice_shelf import InvoiceShelf
from hdex.node.hospital.lifecycle import Lifecycle, Publisher
from hdex.node.hospital.market_readings import Counters, MarketReadings, answered
from hdex.node.hospital.negotiation import Negotiations
from hdex.node.hospital.offers import Offers
from hdex.node.hospital.payments import Payments
from hdex.node.hospital.payments_csv import CsvPayments
from hdex.node.hospital.populations import Populations
from hdex.node.hospital.ports import Exchange
from hdex.node.hospital.products import Products
from hdex.node.hospital.publishing import Publishing, Shelf
from hdex.node.hospital.queries import Queries
from hdex.node.hospital.query_register import QueryRegister
from hdex.node.hospital.readings import Readings
from hdex.node.hospital.released import Released
from hdex.node.hospital.releases import Releases, Workshop
from hdex.node.hospital.rule_answers import RuleAnswers
from hdex.node.hospital.settlement import Settlement
from hdex.node.hospital.shares import Files, Shares
from hdex.node.hospital.signatory import Signatory
from hdex.node.hospital.site import HospitalSite, SiteRooms
from hdex.node.hospital.staff import Staff, read_staff
from hdex.node.hospital.statements import Statements
from hdex.node.hospital.study_approvals import StudyApprovals
from hdex.node.hospital.study_register import StudyRegister
from hdex.node.hospital.study_rows import StudyRows
from hdex.node.hospital.usage_book import UsageBook
from hdex.node.identity import STAFF, Identity
from hdex.node.keys import data_key, read_secret
from hdex.node.sealing import Sealing
from hdex.node.vault import Vault
from hdex.node.wire.channel_client import ChannelClient, Handle
from hdex.node.wire.http_sharing import sharing_routes
from hdex.node.wire.remote import RemoteExchange
from hdex.node.wire.services_access import access_adder, vetting_adder
from hdex.node.wire.services_hospital import hospital_adders
from hdex.node.wire.services_settlement import settlement_adders

ATTACK_SEED = 20_261_121


class HospitalParts:
    """The parts of one hospital over its ground, made once."""

    def __init__(self, standing: Standing, config: HospitalConfig) -> None:
        self.standing, self.config = standing, config
        self.vault = Vault(standing.data / "vault", standing.keys)
        self.meter = standing.meter
        self.products = Products(standing.documents)
        self.book = UsageBook(standing.log, standing.shards.past, node=config.id, clock=now)
        self.exchange = RemoteExchange(standing.channels(config.exchange.id))
        self.processes = SqliteProcesses(standing.data / "dsp.db") if config.dsp is not None else None
        self.connectors: list[Connector] = []  # of the Dataspace Protocol: one, once it is served
        archive = Archive(
            standing.documents,
            self.vault,
            SqliteConsents(standing.data / "consents.db"),
            Populations(standing.documents, self.vault, derive(standing.keys.secret("pseudonym"), "populations")),
        )
        self.datasets = Datasets(archive, standing.recorder, now)
        self.classifications = Classifications(
            self.datasets, standing.documents, standing.recorder, attack_seed=ATTACK_SEED
        )
        self.staff = Staff(config.id, read_staff(config.staff))
        self.studies = StudyApprovals(self.staff, standing.documents, standing.recorder, clock=now)
        self.access = AccessParts(standing, config, staff=self.staff, products=self.products, vault=self.vault)
        self.negotiations = self.make_negotiations()
        self.releases = self.make_releases()
        self.me = Publisher(config.id, standing.keys, standing.documents, now)
        self.lifecycle = Lifecycle(
            self.me, self.products, self.staff, exchange=self.exchange, recorder=standing.recorder
        )
        self.assessments = Assessments(Bench(self.me, self.staff, self.products, self.lifecycle), standing.recorder)

    def make_negotiations(self) -> Negotiations:
        ground = self.standing
        signer, door = Signatory(self.config.id, ground.keys.secret("sign"), now), self.contract_door()
        tell = {"tell": door.lived} if isinstance(door, ContractDoor) else {}
        lives = ContractLives(
            signer,
            ContractShelf(ground.documents),
            LifeRoom(self.staff, self.book, ground.documents, **tell),
            directory=ground.directory,
            recorder=ground.recorder,
            facts=ground.facts,
        )
        return Negotiations(
            signer,
            ground.documents,
            self.products,
            directory=ground.directory,
            exchange=door,
            authorizer=CedarAuthorizer(),
            recorder=ground.recorder,
            facts=ground.facts,
            meter=self.meter,
            gate=self.access.gate,
            lives=lives,
        )

    def contract_door(self) -> Exchange:
        """Return where the negotiations' answers go: over the way on which they were asked for."""
        if self.processes is None:
            return self.exchange
        return ContractDoor(self.exchange, self.processes, self.consumer_of, self.connectors)

    def consumer_of(self, contract_id: str) -> str:
        """Return who asked for a contract."""
        return self.negotiations.consumer_of(contract_id)

    def serve_dsp(self) -> None:
        """Serve the Dataspace Protocol where the configuration has a table for it."""
        if self.config.dsp is None or self.processes is None:
            return
        ground = self.standing
        endpoint = ground.directory.member(self.config.id).endpoint
        desk = HospitalDesk(
            self.config.dsp.address + PATH, endpoint, self.products, self.negotiations, ground.directory,
            self.offers, self.answers, self.connectors,
        )  # fmt: skip
        members = Members(self.config.id, self.config.trust_domain, self.config.identity, ground.directory)
        line = connect(members, self.config.dsp, desk, self.processes, ground.recorder)
        self.connectors.append(line.connector)
        ground.dsp = serve_line(line, self.config.listen.host, ground.stop)

    def make_releases(self) -> Releases:
        ground = self.standing
        reports = ground.data / "reports"
        workshop = Workshop(ground.documents, self.vault, ground.keys, presidio_detector, reports)
        return Releases(workshop, self.datasets, self.classifications, ground.recorder)

    def publishing(self) -> Publishing:
        ground = self.standing
        return Publishing(
            self.me,
            self.datasets,
            self.releases,
            Shelf(self.products, self.lifecycle, self.assessments),
            exchange=self.exchange,
            recorder=ground.recorder,
            facts=ground.facts,
            meter=self.meter,
        )

    def delivery(self) -> Delivery:
        ground = self.standing
        return Delivery(
            Store(self.vault, ground.keys, ground.documents),
            self.negotiations,
            self.products,
            directory=ground.directory,
            recorder=ground.recorder,
            meter=self.meter,
            book=self.book,
            pace=Pace(self.config.delivery.chunk_bytes, self.config.delivery.chunks_per_range),
            clock=now,
        )

    def readings(self, enclaves: Enclaves, accesses: Accesses) -> Readings:
        kept, access, recorder = self.standing.documents, self.access, self.standing.recorder
        counters = Counters(self.negotiations, access.requests, access.vettings, enclaves, self.book, kept)
        market = MarketReadings(counters, life=accesses.life_of, clock=now).parts
        return Readings(kept, self.classifications, self.assessments, self.products, recorder=recorder, market=market)

    @cached_property
    def offers(self) -> Offers:
        return offers_of(self.standing, self.negotiations, self.products, self.staff)

    @cached_property
    def answers(self) -> RuleAnswers:
        return answers_of(self.standing, self.config, self.negotiations, self.products, self.offers)

    def standings(self) -> ContractStandings:
        return ContractStandings(self.negotiations.lives, self.standing.recorder, now)

    def buyers(self) -> Buyers:
        ground, uri = self.standing, f"spiffe://{self.config.trust_domain}/buyer/"
        actor_of = recorded_actor(ground.details)
        return Buyers(
            holders=lambda: {one.contract_id: str(one.asked["consumer"]) for one in self.negotiations.all()},
            of_event=lambda event_id: buyer_of(actor_of(event_id)),
            commitments=lambda buyer: tuple(
                found
                for role in ("", *(f"/{one}" for one in sorted(STAFF["buyer"])))
                for found in ground.details.commitments(f"{uri}{buyer}{role}")
            ),
        )

    def accesses(self) -> Accesses:
        ground = self.standing
        return Accesses(
            ground.log,
            ground.data,
            buyers=self.buyers(),
            anchored=lambda: ground.anchoring().status().anchored_size,
            needed=self.config.witnesses,
            questions=lambda: answered(ground.documents),
            past=ground.shards.past,
        )

    def released(self) -> Released:
        ground = self.standing
        return Released(self.negotiations, self.products, self.vault, ground.documents, book=self.book, clock=now)

    @cached_property
    def shares(self) -> Shares:
        ground, listen = self.standing, self.config.listen
        own = f"https://{listen.http}/delta-sharing" if listen.http_port else ""
        return Shares(
            Files(self.released(), self.vault, ground.documents, self.meter),
            ground.directory,
            ground.recorder,
            secret=ground.keys.secret("delivery"),
            endpoint=(self.config.delivery.share_endpoint or own) if own else "",
            clock=now,
        )

    def enclaves(self) -> Enclaves:
        ground, limits = self.standing, self.config.enclave
        memory = Path("/dev/shm")  # noqa: S108  a private folder in it: outputs touch no disk before they are signed
        bounds = Bounds(seconds=limits.seconds, memory_bytes=limits.memory_bytes, is_unsafe=limits.unsafe_unisolated)
        chamber = Chamber(memory if memory.is_dir() else ground.data, bounds)
        return Enclaves(self.released(), self.staff, ground.documents, ground.recorder, self.meter, chamber=chamber)

    def queries(self) -> Queries:
        ground = self.standing
        register, secret = QueryRegister(ground.documents), ground.keys.secret("delivery")
        return Queries(self.released(), register, ground.recorder, self.meter, secret)

    def settlement(self) -> Settlement:
        ground = self.standing
        billing = Billing(
            Signatory(self.config.id, ground.keys.secret("sign"), now),
            InvoiceShelf(self.config.id, ground.documents),
            self.negotiations,
            book=self.book,
            directory=ground.directory,
            recorder=ground.recorder,
        )

        def bank(statement: bytes) -> Payments:
            return CsvPayments(statement, ground.data / "payment-orders.csv")

        def product(name: str, version: str) -> DataProduct:
            return self.products.get(name, version).product

        return Settlement(billing, ground.recorder, bank, product)

    def hospital(self) -> Hospital:
        ground, settlement = self.standing, self.settlement()
        enclaves, accesses = self.enclaves(), self.accesses()
        return Hospital(
            id=self.config.id,
            datasets=self.datasets,
            approvals=Approvals(
                self.staff,
                ground.documents,
                ground.recorder,
                review=self.classifications.contested,
                studies=self.studies,
            ),
            classifications=self.classifications,
            releases=self.releases,
            publishing=self.publishing(),
            products=self.products,
            negotiations=self.negotiations,
            delivery=self.delivery(),
            queries=self.queries(),
            shares=self.shares,
            enclaves=enclaves,
            lifecycle=self.lifecycle,
            assessments=self.assessments,
            erasures=Erasures(self.staff, ground.documents, ground.eraser, ground.recorder),
            settlement=settlement,
            statements=Statements(self.config.id, settlement.billing, settlement, self.book),
            readings=self.readings(enclaves, accesses),
            accesses=accesses,
            standings=self.standings(),
            offers=self.offers,
            answers=self.answers,
            meter=self.meter,
            log=ground.log,
        )

    def site_handler(self) -> Handle:
        """Return what answers the frames of studies; Flower is imported at the first frame."""
        ground, config = self.standing, self.config
        coordinator = ground.directory.require(config.exchange.id, "exchange")
        hooks = HospitalSite(
            config.id,
            SiteRooms(
                StudyRows(
                    self.datasets,
                    ground.documents,
                    StudyRegister(
                        ground.documents, self.vault, derive(ground.keys.secret("pseudonym"), "study register")
                    ),
                ),
                self.products,
                self.negotiations,
                ground.directory,
                self.studies,
                EpsilonBudget(ground.log, ground.shards.past),
                self.book,
                ground.documents,
            ),
            ground.keys,
            coordinator=Identity(coordinator.spiffe_id, coordinator.kind, coordinator.id),
            recorder=ground.recorder,
            meter=self.meter,
            clock=now,
        )
        sealing = Sealing(data_key(ground.keys, "study replies"))
        replies = SqliteStore(ground.data / "replies.db", seal=sealing.seal, unseal=sealing.unseal)
        sessions: list[Handle] = []

        def handle(frame: bytes) -> bytes:
            if not sessions:
                from hdex.federated.apps.site import SiteSession

                sessions.append(
                    SiteSession(config.id, hooks, replies=replies, clock=now, on_refusal=hooks.refuse).handle
                )
            return sessions[0](frame)

        return handle


def presidio_detector() -> Detector:
    """Return the engine that reads notes; imported when the first note is read."""
    from hdex.deid.detector_presidio import PresidioDetector

    return PresidioDetector()


def keep_gate(supernode: FlowerApi, handle: Handle, *, stop: threading.Event) -> None:
    """Answer the tasks of a stock SuperNode too; what they ask passes the same admission."""
    from hdex.federated.apps.gatekeeper import Gatekeeper
    from hdex.federated.apps.superlink import Endpoint

    endpoint = Endpoint(supernode.address, supernode.ca.read_bytes())
    keeper = Gatekeeper(endpoint, read_secret(supernode.secret_file), handle, stop=stop)
    threading.Thread(target=keeper.run, name="gatekeeper", daemon=True).start()


def serve_hospital(config: HospitalConfig) -> Standing:
    """Start a hospital's node, dial out to the exchange for studies, and return its ground; `run` waits for its end."""
    standing = Standing(config)
    parts = HospitalParts(standing, config)
    parts.serve_dsp()  # first: a decision that comes by gRPC may have to leave this way
    access, hospital = parts.access, parts.hospital()
    offices = (vetting_adder(access.vettings), access_adder(access.requests, now))
    standing.routes += sharing_routes(parts.shares, time.monotonic)
    standing.serving = standing.serve([*hospital_adders(hospital), *settlement_adders(hospital), *offices])
    sweeps = (access.requests.sweep, parts.negotiations.lives.sweep, parts.answers.sweep)
    watch_terms(standing, access.vettings, parts.lifecycle, *sweeps)
    dialled = (config.region or config.exchange).id  # for studies; everything else goes to the exchange
    handle = parts.site_handler()
    ChannelClient(lambda: standing.channels(dialled), handle, stop=standing.stop).start()
    if config.supernode is not None:
        keep_gate(config.supernode, handle, stop=standing.stop)
    return standing
