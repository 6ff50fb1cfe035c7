"""One hospital's place in studies: its site over a market's contract, with rows and persons who approve."""

import hashlib
import json
from datetime import date, timedelta
from functools import cache, cached_property

import numpy as np
import polars as pl
import pytest
from tests.node.market_stage import BUYER, COMMITTEE, DOMAIN, OFFICER, Market, person

from hdex.catalog.product import DataProduct
from hdex.federated.apps.site import SiteSession
from hdex.federated.draft import Member, Question, draft_study
from hdex.federated.errors import AdmissionRefused
from hdex.federated.paillier import generate_keypair, public_key_hex
from hdex.federated.ports import RoundRequest
from hdex.federated.store_memory import MemoryStore
from hdex.federated.study import Party, RosterEntry, Study
from hdex.ledger.event import format_time
from hdex.node.consent import MemoryConsents
from hdex.node.hospital.budgets import EpsilonBudget
from hdex.node.hospital.datasets import BIRTH, INGEST, PERSONS, VIEW, Archive, Datasets
from hdex.node.hospital.populations import Populations
from hdex.node.hospital.site import HospitalSite, SiteRooms
from hdex.node.hospital.staff import Staff
from hdex.node.hospital.study_approvals import Said, StudyApprovals
from hdex.node.hospital.study_register import StudyRegister
from hdex.node.hospital.study_rows import StudyRows
from hdex.node.identity import Identity
from hdex.node.keys import STANDARD, MemoryKeys
from hdex.node.signed import Envelope, countersign, sign

SITE = "hospital-a"
SITES = ("hospital-a", "hospital-b", "hospital-c")


@cache
def modulus() -> str:
    return public_key_hex(generate_keypair(2048)[0])


def patients(rows: int, seed: int = 5) -> pl.DataFrame:
    """Return one row per patient, with about every third one restenosed."""
    random = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "person_id": [f"p{number:04}" for number in range(rows)],
            "systolic": random.normal(135, 15, rows).round(),
            "diameter_mm": random.choice([7.0, 8.0, 9.0], rows),
            "restenosis": (random.random(rows) < 0.35).astype(float),
        }
    )


class Round:
    """One hospital's site, a contract for it, and the study that the contract allows."""

    def __init__(
        self, market: Market, *, mode: str = "federated", product: DataProduct | None = None, rows: int = 0
    ) -> None:
        self.market = market
        self.replies = MemoryStore()
        self.product = product or market.stents()
        market.buyers[BUYER].request(market.wish(self.product, mode), contract_id="c-1")
        for decider in (OFFICER, COMMITTEE):
            market.negotiations.decide("c-1", decider, approved=True)
        market.buyers[BUYER].accept("c-1")
        ground = market.hospital.ground
        populations = Populations(ground.documents, market.hospital.vault, b"\x05" * 32)
        consents = MemoryConsents()
        archive = Archive(ground.documents, market.hospital.vault, consents, populations)
        if rows:
            self.fill(patients(rows))
            consents.add_legal_basis(patients(rows)["person_id"].to_list(), since=market.now - timedelta(days=1))
        datasets = Datasets(archive, ground.recorder, market.clock)
        coordinator = Identity(f"spiffe://{DOMAIN}/exchange/exchange", "exchange", "exchange")
        self.staff = {role: MemoryKeys(dict(STANDARD)) for role in ("privacy_officer", "ethics_committee")}
        people = Staff("hospital-a", {role: keys.public("sign") for role, keys in self.staff.items()})
        self.approvals = StudyApprovals(people, ground.documents, ground.recorder, clock=market.clock)
        rooms = SiteRooms(
            StudyRows(datasets, ground.documents, StudyRegister(ground.documents, market.hospital.vault, b"\x06" * 32)),
            market.hospital.products,
            market.negotiations,
            market.directory,
            self.approvals,
            EpsilonBudget(ground.log, list),
            ground.book,
            ground.documents,
        )
        self.site = HospitalSite(
            "hospital-a",
            rooms,
            ground.keys,
            coordinator=coordinator,
            recorder=ground.recorder,
            meter=ground.meter,
            clock=market.clock,
        )

    def fill(self, frame: pl.DataFrame, export: str = "e") -> None:
        """Keep rows of grown-ups as an ingest does. export: every digit of its digest."""
        dataset, side = self.product.id.partition(".")[2], self.market.hospital
        side.vault.put_frame(dataset, f"{VIEW}-{export * 16}", frame)
        grown_up = frame.select("person_id", pl.lit(date(1950, 1, 1)).alias(BIRTH))
        side.vault.put_frame(dataset, f"{PERSONS}-{export * 16}", grown_up)
        side.ground.documents.put(INGEST, dataset, {"export_digest": export * 64, "view": "carotid_stent"})

    @cached_property
    def session(self) -> SiteSession:
        """The site's end of a channel, wired as in production."""
        return SiteSession(SITE, self.site, replies=self.replies, clock=self.market.clock, on_refusal=self.site.refuse)

    def say(self, said: Said, role: str = "privacy_officer") -> None:
        """Let a person of the hospital sign a decision."""
        envelope = sign("decision", said.document(), f"hospital-a/{role}", self.staff[role].secret("sign"))
        self.approvals.decide(envelope, actor=person("hospital-a", role))

    def rule(self, contract: str = "c-1") -> None:
        """Let the officer sign that studies under the contract need no signature of their own today."""
        until = format_time(self.market.now + timedelta(days=400))
        self.say(Said("approve", contract=contract, kind="logistic", expires=until))

    def study(self, study_id: str = "study-1") -> Study:
        """Return the study an honest exchange would plan."""
        directory = self.market.directory
        members = [
            Member(
                RosterEntry(
                    name, f"{name} org", directory.member(name).sign_key.hex(), directory.member(name).mask_key.hex()
                ),
                "c-1",
                (self.product.id, self.product.version, self.product.digest()),
            )
            for name in SITES
        ]
        return draft_study(
            study_id,
            Question("restenosis", ("systolic", "diameter_mm"), "DUO:0000007"),
            members,
            coordinator=Party("exchange", "exchange org"),
            keyholder=Party("keyholder", "keyholder org"),
            public_key=modulus(),
            deadline=format_time(self.market.now.replace(hour=23)),
            nonce=hashlib.sha256(study_id.encode()).hexdigest()[:32],
            min_rows=20 if self.product.level == 5 else 10,
        )

    def signed(self, study: Study, signers: tuple[str, ...] = (BUYER, "exchange")) -> Envelope:
        envelope: Envelope = {"document": study.document(), "signatures": []}
        for name in signers:
            envelope = countersign("study", envelope, name, self.market.keys[name].secret("sign"))
        return envelope

    def admit(self, study: Study, envelope: Envelope | bytes | None = None, number: int = 1) -> None:
        """Ask the site to take part, as the coordinator's message would."""
        body = self.signed(study) if envelope is None else envelope
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        step = "moments" if number == 1 else "newton"
        asked = "ab" * 32 if number == 1 else hashlib.sha256(str(number).encode()).hexdigest()
        self.site.admit(RoundRequest(study, data, number, 1, step, asked))

    def joined(self) -> int:
        """Return how many rounds the log allowed."""
        events = self.market.hospital.ground.events()
        return sum(event.action.value == "round.join" and event.decision == "allow" for event in events)

    def refused(self, study: Study, envelope: Envelope | bytes | None = None, number: int = 1) -> str:
        """Return the rule of a refusal, after checking that it is the one event and nothing was allowed."""
        before = self.market.hospital.ground.log.size
        with pytest.raises(AdmissionRefused) as refusal:
            self.admit(study, envelope, number)
        (event,) = self.market.hospital.ground.events()[before:]
        assert (event.action.value, event.decision, event.reason) == ("round.join", "deny", refusal.value.rule)
        assert self.joined() == 0
        return refusal.value.rule
