"""A hospital's node, wired: its records, contracts, uses and place in studies, what it sells, and who may sign."""

import time

from hdex.catalog.product import DataProduct
from hdex.node.compose.access import AccessParts, watch_terms
from hdex.node.compose.hospital_contracts import HospitalContracts
from hdex.node.compose.hospital_records import HospitalRecords
from hdex.node.compose.hospital_site import StudySite
from hdex.node.compose.hospital_uses import HospitalUses
from hdex.node.compose.standing import Standing, now
from hdex.node.config import HospitalConfig
from hdex.node.hospital.approvals import Approvals
from hdex.node.hospital.assessments import Assessments, Bench
from hdex.node.hospital.billing import Billing
from hdex.node.hospital.desk import Hospital
from hdex.node.hospital.erasures import Erasures
from hdex.node.hospital.invoice_shelf import InvoiceShelf
from hdex.node.hospital.lifecycle import Lifecycle, Publisher
from hdex.node.hospital.market_readings import Counters, MarketReadings
from hdex.node.hospital.payments import Payments
from hdex.node.hospital.payments_csv import CsvPayments
from hdex.node.hospital.ports import Exchange
from hdex.node.hospital.publishing import Publishing, Shelf
from hdex.node.hospital.readings import Readings
from hdex.node.hospital.settlement import Settlement
from hdex.node.hospital.statements import Statements
from hdex.node.hospital.study_approvals import StudyApprovals
from hdex.node.wire.http_sharing import sharing_routes
from hdex.node.wire.remote import RemoteExchange
from hdex.node.wire.services_access import access_adder, vetting_adder
from hdex.node.wire.services_hospital import hospital_adders
from hdex.node.wire.services_settlement import settlement_adders


class HospitalParts:
    """The parts of one hospital over its ground, made once. door: where contracts are answered, else the exchange."""

    def __init__(self, standing: Standing, config: HospitalConfig, *, door: Exchange | None = None) -> None:
        self.standing, self.config = standing, config
        self.exchange = RemoteExchange(standing.channels(config.exchange.id))
        self.records = HospitalRecords(standing, config)
        self.access = AccessParts(standing, config, self.records)
        self.contracts = HospitalContracts(
            standing, config, self.records, gate=self.access.gate, exchange=door or self.exchange
        )
        self.uses = HospitalUses(standing, config, self.records, self.contracts.negotiations)
        self.studies = StudyApprovals(self.records.staff, standing.documents, standing.recorder, clock=now)
        self.site = StudySite(
            standing, config, self.records, negotiations=self.contracts.negotiations, approvals=self.studies
        )
        self.me = Publisher(config.id, standing.keys, standing.documents, now)
        products, staff = self.records.products, self.records.staff
        self.lifecycle = Lifecycle(self.me, products, staff, exchange=self.exchange, recorder=standing.recorder)
        self.assessments = Assessments(Bench(self.me, staff, products, self.lifecycle), standing.recorder)

    def publishing(self) -> Publishing:
        ground, records = self.standing, self.records
        return Publishing(
            self.me,
            records.datasets,
            records.releases,
            Shelf(records.products, self.lifecycle, self.assessments),
            exchange=self.exchange,
            recorder=ground.recorder,
            facts=ground.facts,
            meter=ground.meter,
        )

    def readings(self) -> Readings:
        kept, access, records, uses = self.standing.documents, self.access, self.records, self.uses
        negotiations = self.contracts.negotiations
        counters = Counters(negotiations, access.requests, access.vettings, uses.enclaves, records.book, kept)
        market = MarketReadings(counters, life=uses.accesses.life_of, clock=now).parts
        return Readings(
            kept,
            records.classifications,
            self.assessments,
            records.products,
            recorder=self.standing.recorder,
            market=market,
        )

    def settlement(self) -> Settlement:
        ground, records = self.standing, self.records
        billing = Billing(
            records.signatory,
            InvoiceShelf(self.config.id, ground.documents),
            self.contracts.negotiations,
            book=records.book,
            directory=ground.directory,
            recorder=ground.recorder,
        )

        def bank(statement: bytes) -> Payments:
            return CsvPayments(statement, ground.data / "payment-orders.csv")

        def product(name: str, version: str) -> DataProduct:
            return records.products.get(name, version).product

        return Settlement(billing, ground.recorder, bank, product)

    def hospital(self) -> Hospital:
        ground, records, contracts, uses = self.standing, self.records, self.contracts, self.uses
        settlement, review = self.settlement(), records.classifications.contested
        return Hospital(
            id=self.config.id,
            datasets=records.datasets,
            approvals=Approvals(records.staff, ground.documents, ground.recorder, review=review, studies=self.studies),
            classifications=records.classifications,
            releases=records.releases,
            publishing=self.publishing(),
            products=records.products,
            negotiations=contracts.negotiations,
            delivery=uses.delivery,
            queries=uses.queries,
            shares=uses.shares,
            enclaves=uses.enclaves,
            lifecycle=self.lifecycle,
            assessments=self.assessments,
            erasures=Erasures(records.staff, ground.documents, ground.eraser, ground.recorder),
            settlement=settlement,
            statements=Statements(self.config.id, settlement.billing, settlement, records.book),
            readings=self.readings(),
            accesses=uses.accesses,
            standings=contracts.standings,
            offers=contracts.offers,
            answers=contracts.answers,
            meter=ground.meter,
            log=ground.log,
        )


def serve_hospital(config: HospitalConfig) -> Standing:
    """Start a hospital's node, dial out to the exchange for studies, and return its ground; `run` waits for its end."""
    standing = Standing(config)
    parts = HospitalParts(standing, config)
    parts.contracts.serve_dsp()  # first: a decision that comes by gRPC may have to leave this way
    access, hospital = parts.access, parts.hospital()
    offices = (vetting_adder(access.vettings), access_adder(access.requests, now))
    standing.routes += sharing_routes(hospital.shares, time.monotonic)
    standing.serving = standing.serve([*hospital_adders(hospital), *settlement_adders(hospital), *offices])
    sweeps = (access.requests.sweep, parts.contracts.lives.sweep, parts.contracts.answers.sweep)
    watch_terms(standing, access.vettings, parts.lifecycle, *sweeps)
    parts.site.dial()
    return standing
