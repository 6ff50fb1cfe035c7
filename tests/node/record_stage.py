"""Two hospitals' exports on their way from folder to product, in one process and with the shipped memory twins."""

import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from tests.node.market_doors import ExchangeDoor
from tests.node.market_stage import BUYER, Market, person

from hdex.deid.detector_rules import RulesDetector
from hdex.deid.ports import Detector
from hdex.node.consent import MemoryConsents
from hdex.node.documents import Document
from hdex.node.hospital.approvals import Approvals
from hdex.node.hospital.assessments import Assessments, Bench
from hdex.node.hospital.classifications import Classifications
from hdex.node.hospital.datasets import Archive, Datasets
from hdex.node.hospital.lifecycle import Lifecycle, Publisher
from hdex.node.hospital.populations import Populations
from hdex.node.hospital.publishing import Offer, Publishing, Shelf
from hdex.node.hospital.releases import ReleaseOrder, Releases, Workshop
from hdex.node.hospital.staff import Staff
from hdex.node.hospital.study_approvals import StudyApprovals
from hdex.node.identity import Identity
from hdex.node.signed import Envelope, sign
from hdex.node.synthetic import Truth, generate

PURPOSE, RECIPIENT = "DUO:0000007", "device_maker"
STENTS, HIV = "stents", "hiv"
AGAIN = "stents-again"  # the same export by another name
VIEWS = {STENTS: "carotid_stent", HIV: "hiv_subcohort", AGAIN: "carotid_stent"}
_kept: list[tempfile.TemporaryDirectory[str]] = []


@cache
def exports() -> tuple[Path, Truth]:
    """Return a folder with the exports of three small hospitals, made once per process, and what is true of them."""
    folder = tempfile.TemporaryDirectory(prefix="hdex-exports-")
    _kept.append(folder)
    return Path(folder.name), generate(Path(folder.name), seed=7, patients=600)


def silent(_step: str, _text: str) -> None:
    """Say nothing."""


def order(dataset: str = STENTS, **changed: str) -> ReleaseOrder:
    given = {"preset": "controlled", "purpose": PURPOSE, "recipient_class": RECIPIENT} | changed
    return ReleaseOrder(dataset, **given)


def offer(**changed: Any) -> Offer:
    """Return what the hospital says of its product."""
    return Offer.from_document(
        {
            "title": {"en": "Carotid stents", "zh": "颈动脉支架"},
            "description": {"en": "Covariates and restenosis.", "zh": "协变量与再狭窄。"},
            "provider_name": {"en": "Hospital", "zh": "医院"},
            "terms": {"permitted": [PURPOSE], "diseases": ["I65"], "recipients": [BUYER], "needs_approval": ["*"]},
            "ethics": {"approval": "EC-2026-017"},
            "price": {"basis": "free", "amount_cents": 0, "currency": "CNY", "plan": "one_off"},
        }
        | changed
    )


class Record:
    """One hospital's verbs of record, with its staff's keys."""

    def __init__(self, folder: Path, hospital: str = "hospital-c", countries: Mapping[str, str] | None = None) -> None:
        self.market = Market(folder, countries)
        self.hospital = hospital
        side, ground = self.market.hospitals[hospital], self.market.grounds[hospital]
        self.ground, self.vault, self.products = ground, side.vault, side.products
        self.consents = MemoryConsents()
        populations = Populations(ground.documents, side.vault, b"\x05" * 32)
        archive = Archive(ground.documents, side.vault, self.consents, populations)
        self.datasets = Datasets(archive, ground.recorder, self.market.clock)
        self.classifications = Classifications(self.datasets, ground.documents, ground.recorder, attack_seed=1)
        self.reports = folder / "reports"
        self.detectors = 0
        workshop = Workshop(ground.documents, side.vault, ground.keys, self.detector, self.reports)
        self.releases = Releases(workshop, self.datasets, self.classifications, ground.recorder)
        self.staff = {role: self.market.people[role] for role in ("data_steward", "privacy_officer")}
        staff = {role: keys.public("sign") for role, keys in self.staff.items()}
        me, door = (
            Publisher(hospital, ground.keys, ground.documents, self.market.clock),
            ExchangeDoor(self.market, hospital),
        )
        people = Staff(hospital, staff)
        self.lifecycle = Lifecycle(me, side.products, people, exchange=door, recorder=ground.recorder)
        self.assessments = Assessments(Bench(me, people, side.products, self.lifecycle), ground.recorder)
        self.publishing = Publishing(
            me,
            self.datasets,
            self.releases,
            Shelf(side.products, self.lifecycle, self.assessments),
            exchange=door,
            recorder=ground.recorder,
            facts=ground.facts,
            meter=ground.meter,
        )
        self.approvals = Approvals(
            people,
            ground.documents,
            ground.recorder,
            review=self.classifications.contested,
            studies=StudyApprovals(people, ground.documents, ground.recorder, clock=self.market.clock),
        )

    @property
    def folder(self) -> Path:
        return exports()[0] / self.hospital

    def who(self, role: str = "data_steward") -> Identity:
        return person(self.hospital, role)

    def detector(self) -> Detector:
        self.detectors += 1
        return RulesDetector()

    def signed(self, kind: str, document: Document, role: str = "data_steward") -> Envelope:
        return sign(kind, document, f"{self.hospital}/{role}", self.staff[role].secret("sign"))

    def approve(self, kind: str, dataset: str, document: Document, role: str = "data_steward") -> Document:
        return self.approvals.approve(kind, dataset, self.signed(kind, document, role), actor=self.who(role))

    def ingest(self, dataset: str = STENTS, path: Path | None = None) -> Document:
        """Return the facts of a data set; where a mapping is proposed, the steward signs it."""
        found = self.datasets.ingest(dataset, path or self.folder, VIEWS[dataset], actor=self.who(), say=silent)
        if found["state"] == "mapping.proposed":
            self.approve("mapping", dataset, found["mapping"])
            found = self.datasets.ingest(dataset, path or self.folder, VIEWS[dataset], actor=self.who(), say=silent)
        return found

    def classified(self, dataset: str = STENTS) -> Document:
        """Return the proposed classification."""
        found = self.classifications.classify(dataset, actor=self.who(), say=silent)
        document: Document = found["classification"]
        return document

    def ready(self, dataset: str = STENTS) -> "Record":
        """Ingest, classify and approve."""
        self.ingest(dataset)
        self.approve("classification", dataset, self.classified(dataset))
        return self

    def release(self, dataset: str = STENTS, **changed: str) -> Document:
        return self.releases.deidentify(order(dataset, **changed), actor=self.who(), say=silent)

    def assess(self, dataset: str, version: str, role: str = "data_steward", **changed: Any) -> Document:
        """Draft a version's manifest and sign its assessment as one of the two."""
        found = self.publishing.assess(dataset, version, offer(**changed), actor=self.who(role), say=silent)
        return self.assessments.sign(
            dataset, self.signed("assessment", found["assessment"], role), actor=self.who(role)
        )

    def publish(self, dataset: str, version: str, **changed: Any) -> Document:
        """Have both sign and list the version."""
        for role in self.staff:
            self.assess(dataset, version, role, **changed)
        officer = self.who("privacy_officer")
        return self.publishing.publish(dataset, version, offer(**changed), actor=officer, say=silent)
