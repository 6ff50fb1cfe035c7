"""A hospital: its verbs together, as the wire and the command line call them."""

from dataclasses import dataclass
from typing import Any

from hdex.ledger.log import Log
from hdex.node.contract_record import ContractRecord
from hdex.node.documents import Document
from hdex.node.hospital.accesses import Accesses
from hdex.node.hospital.approvals import Approvals
from hdex.node.hospital.assessments import KIND as ASSESSMENT
from hdex.node.hospital.assessments import Assessments
from hdex.node.hospital.classifications import Classifications
from hdex.node.hospital.contract_lives import ORDERS as CONTRACT_ORDERS
from hdex.node.hospital.contract_standings import ContractStandings
from hdex.node.hospital.datasets import Datasets
from hdex.node.hospital.delivery import Delivery
from hdex.node.hospital.enclaves import PAPERS, Enclaves
from hdex.node.hospital.erasures import ACTIONS, Erasures
from hdex.node.hospital.lifecycle import ORDERS, Lifecycle
from hdex.node.hospital.negotiation import Negotiations
from hdex.node.hospital.offers import OFFER_ORDER, Offers
from hdex.node.hospital.products import Products
from hdex.node.hospital.publishing import Publishing
from hdex.node.hospital.queries import Queries
from hdex.node.hospital.readings import Readings
from hdex.node.hospital.releases import Releases
from hdex.node.hospital.rule_answers import RuleAnswers
from hdex.node.hospital.settlement import Settlement
from hdex.node.hospital.shares import Shares
from hdex.node.hospital.statements import Statements
from hdex.node.identity import Identity
from hdex.node.meter import Meter
from hdex.node.signed import Envelope


@dataclass(frozen=True, slots=True)
class Hospital:
    """Everything a hospital's node can do."""

    id: str
    datasets: Datasets
    approvals: Approvals
    classifications: Classifications
    releases: Releases
    publishing: Publishing
    products: Products
    negotiations: Negotiations
    delivery: Delivery
    queries: Queries
    shares: Shares
    enclaves: Enclaves
    lifecycle: Lifecycle
    assessments: Assessments
    erasures: Erasures
    settlement: Settlement
    statements: Statements
    readings: Readings
    accesses: Accesses
    standings: ContractStandings
    offers: Offers
    answers: RuleAnswers
    meter: Meter
    log: Log

    def consider(self, envelope: Envelope, actor: Identity) -> ContractRecord:
        """Return what the rules say of a consumer's request; one that a rule answers is answered at once."""
        record = self.negotiations.consider(envelope, actor)
        self.answers.answer(record.contract_id)
        return record

    def approve(self, kind: str, dataset: str, envelope: Envelope, *, actor: Identity) -> Document:
        """Keep a signed document of a data set, or carry out a signed order about the node's own records."""
        if kind in ACTIONS:
            return self.erasures.order(kind, envelope, actor=actor)
        if kind in ORDERS:
            return self.lifecycle.order(kind, envelope, actor=actor)
        if kind in CONTRACT_ORDERS:
            return self.negotiations.lives.order(kind, envelope, actor=actor)
        if kind == OFFER_ORDER:
            return self.offers.order(envelope, actor)
        if kind in PAPERS:
            return self.enclaves.sign(kind, envelope, actor)
        if kind == ASSESSMENT:
            return self.assessments.sign(dataset, envelope, actor=actor)
        return self.approvals.approve(kind, dataset, envelope, actor=actor)

    def attest(self, envelope: Envelope, actor: Identity) -> Document:
        """Close a contract by its consumer's attestation and return how it stands."""
        record = self.negotiations.lives.attest(envelope, actor)
        return self.standings.read(record.contract_id, actor)

    def status(self) -> dict[str, Any]:
        """Return what an operator looks at first."""
        contracts = self.negotiations.all()
        return {
            "id": self.id,
            "log_size": self.log.size,
            "log_failed": self.log.failed,
            "products": [
                {"id": product.id, "version": product.version, "level": product.level}
                for product in self.products.all()
            ],
            "versions": {
                f"{held.product.id}/{held.product.version}": held.state.value for held in self.products.every()
            },
            "contracts": {record.contract_id: record.life or record.state for record in contracts},
            "studies": self.approvals.studies.all(),
            "crossed": self.meter.totals(),
        }
