"""One hospital's real verbs in one process, and the browsers of its people before their desks."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from html import unescape
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient
from tests.node.desk_calls import Called, LocalOffice, LocalTill
from tests.node.market_stage import BUYER, OTHER, Market, person
from tests.node.record_stage import Record

from hdex.ledger.log import Log
from hdex.ledger.note import Signer, cosign
from hdex.node.compose.staff_desk import hospital_parts
from hdex.node.contract_record import ContractRecord
from hdex.node.documents import Document
from hdex.node.errors import NodeError
from hdex.node.hospital.accesses import Accesses, Buyers, Question, buyer_of
from hdex.node.hospital.approvals import Approvals
from hdex.node.hospital.contract_lives import ORDERS as CONTRACT_ORDERS
from hdex.node.hospital.market_readings import Counters, MarketReadings, answered
from hdex.node.hospital.offers import OFFER_ORDER, Offers
from hdex.node.hospital.publishing import Offer
from hdex.node.hospital.readings import Readings
from hdex.node.hospital.staff import Staff
from hdex.node.hospital.study_approvals import WAITING, StudyApprovals
from hdex.node.identity import Identity
from hdex.node.reviewer import Reviewer
from hdex.node.sessions import Sessions
from hdex.node.signed import Envelope
from hdex.node.steward import Say, Steward
from hdex.node.web.desk_acts import DeskActs, MemoryDrafts
from hdex.node.web.desk_app import create_desk_app
from hdex.node.web.desk_door import Door
from hdex.node.web.desk_pages import DeskPages

HOSPITAL, PORT = "hospital-a", 8490
BASE = f"http://127.0.0.1:{PORT}"
STEWARD, OFFICER, COMMITTEE = "data_steward", "privacy_officer", "ethics_committee"
DIGEST = "ab" * 32
SCRIPT = r"<script(?! src=\"/static/[\w.]+\" defer></script>)"  # any but the two that the desk serves itself
STUDY: Document = {
    "study": "restenosis-2026",
    "digest": DIGEST,
    "kind": "logistic",
    "target": "restenosis",
    "features": ["age", "stent_size"],
    "columns": ["age", "restenosis", "stent_size"],
    "purpose": "DUO:0000007",
    "contract": "c-1",
    "level": 3,
    "sites": ["hospital-a", "hospital-b", "hospital-c"],
    "quorum": 0,
    "max_rounds": 12,
    "privacy": {},
    "deadline": "2026-12-01T00:00:00.000Z",
}


class House:
    """A hospital with its verbs, its people's keys, and the time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.record = Record(folder, HOSPITAL)
        self.market: Market = self.record.market
        ground = self.record.ground
        self.keys = self.market.people
        people = Staff(HOSPITAL, {role: keys.public("sign") for role, keys in self.keys.items()})
        studies = StudyApprovals(people, ground.documents, ground.recorder, clock=self.market.clock)
        review = self.record.classifications.contested
        self.approvals = Approvals(people, ground.documents, ground.recorder, review=review, studies=studies)
        self.anchored = 0
        self.past: Callable[[], Sequence[Log]] = tuple  # opens the finished shards of the log
        self.accesses = Accesses(
            ground.log,
            folder,
            buyers=buyers_of(self.market, HOSPITAL),
            anchored=lambda: self.anchored,
            needed=1,
            questions=lambda: answered(ground.documents),
            past=lambda: self.past(),
        )
        record, side = self.record, self.market.hospitals[HOSPITAL]
        counters = Counters(
            side.negotiations, side.requests, side.vettings, side.enclaves, ground.book, ground.documents
        )  # fmt: skip
        market = MarketReadings(counters, life=self.accesses.life_of, clock=self.market.clock)
        self.readings = Readings(
            ground.documents, record.classifications, record.assessments, record.products,
            recorder=ground.recorder, market=market.parts,
        )  # fmt: skip
        self.till = LocalTill(self.market, ground)
        self.offers: Offers | None = None  # of a house that negotiates over the Dataspace Protocol

    def ask(self, **changed: Any) -> str:
        """Have a study ask that nobody has approved; return its digest."""
        study = STUDY | changed
        self.record.ground.documents.put(WAITING, study["digest"], study)
        return str(study["digest"])

    def deliver(self) -> None:
        """Have the buyer fetch a file under a contract, and somebody else be refused under it."""
        market = self.market
        market.finalized(market.stents())
        list(market.hospital.delivery.range("c-1", 0, person(BUYER)).chunks)
        with suppress(NodeError):
            market.hospital.delivery.range("c-1", 0, person(OTHER))

    def reviewer(self, role: str) -> Reviewer:
        """Return a person who vets and reviews."""
        side = self.market.hospitals[HOSPITAL]
        office = LocalOffice(side.vettings, side.requests, person(HOSPITAL, role), self.market.clock)
        return Reviewer(f"{HOSPITAL}/{role}", self.keys[role], office, office, self.market.clock)

    def cosign(self) -> None:
        """Have a witness vouch for the log as it stands."""
        log = self.record.ground.log
        witness = Signer("hospital-b", b"\x09" * 32)
        note = log.checkpoint()
        log.add_cosignatures(note, [cosign(note, witness, self.market.now)])


def buyers_of(market: Market, hospital: str) -> Buyers:
    """Return whose accesses stand in a hospital's log, by its own details."""
    details, negotiations = market.grounds[hospital].details, market.hospitals[hospital].negotiations
    return Buyers(
        holders=lambda: {one.contract_id: str(one.asked["consumer"]) for one in negotiations.all()},
        of_event=lambda event_id: buyer_of(details.open(event_id).actor),
        commitments=lambda buyer: details.commitments(f"spiffe://hdex.test/buyer/{buyer}"),
    )


class LocalDesk(Called):
    """A hospital's node for its own people."""

    def __init__(self, house: House, role: str) -> None:
        self._house, self._who = house, person(HOSPITAL, role)

    def decide(self, contract_id: str, *, approve: bool, reason: str = "") -> ContractRecord:
        return self._house.market.negotiations.decide(contract_id, self._who, approved=approve, reason=reason)

    def revoke(self, contract_id: str, reason: str) -> ContractRecord:
        return self._house.market.negotiations.revoke(contract_id, reason, self._who)

    def runs(self) -> list[Document]:
        return self._house.market.hospital.enclaves.listed(self._who)

    def classify(self, dataset: str, say: Say) -> Document:
        return self._house.record.classifications.classify(dataset, actor=self._who, say=say)

    def approve(self, kind: str, dataset: str, envelope: Envelope) -> Document:
        record = self._house.record
        if kind.startswith("product."):
            return record.lifecycle.order(kind, envelope, actor=self._who)
        if kind == OFFER_ORDER and self._house.offers is not None:
            return self._house.offers.order(envelope, self._who)
        if kind.startswith("enclave."):
            return self._house.market.hospital.enclaves.sign(kind, envelope, self._who)
        if kind in CONTRACT_ORDERS:
            return self._house.market.negotiations.lives.order(kind, envelope, actor=self._who)
        if kind == "assessment":
            return record.assessments.sign(dataset, envelope, actor=self._who)
        return self._house.approvals.approve(kind, dataset, envelope, actor=self._who)

    def assess(self, dataset: str, version: str, offer: Mapping[str, Any], say: Say) -> Document:
        said = Offer.from_document(offer)
        return self._house.record.publishing.assess(dataset, version, said, actor=self._who, say=say)

    def publish(self, dataset: str, version: str, offer: Mapping[str, Any], say: Say) -> Document:
        said = Offer.from_document(offer)
        return self._house.record.publishing.publish(dataset, version, said, actor=self._who, say=say)

    def requests(self) -> list[ContractRecord]:
        return self._house.market.negotiations.all()

    def status(self) -> Document:
        house, log = self._house, self._house.record.ground.log
        return {
            "id": HOSPITAL,
            "log_size": log.size,
            "log_failed": log.failed,
            "products": [{"id": product.id} for product in house.record.products.all()],
            "contracts": {one.contract_id: one.state for one in house.market.negotiations.all()},
            "studies": house.approvals.studies.all(),
        }

    def read(self, part: str, dataset: str = "", version: str = "") -> Document:
        return self._house.readings.read(part, dataset, version, actor=self._who)

    def accesses(self, question: Mapping[str, str], *, before: int, limit: int) -> Document:
        return self._house.accesses.find(Question(**question), before=before, limit=limit)


class Seat:
    """One person before that person's own desk."""

    def __init__(self, house: House, role: str, *, is_tls: bool = False) -> None:
        self.house, self.role = house, role
        self.denied: frozenset[int] = frozenset()
        self.who = Identity(f"spiffe://hdex.test/hospital/{HOSPITAL}/{role}", "hospital", HOSPITAL, role, 7)
        self.sessions = Sessions(clock=house.market.clock, denied=lambda: self.denied)
        self.door = Door(self.sessions, list, PORT, is_tls)
        self.desk = LocalDesk(house, role)
        steward, self.drafts = Steward(f"{HOSPITAL}/{role}", house.keys[role], self.desk), MemoryDrafts()
        parts = hospital_parts(
            steward, house.reviewer(role), house.till.seen_by(person(HOSPITAL, role)), house.market.clock
        )
        self.app = create_desk_app(self.door, DeskPages(steward, self.drafts), DeskActs(steward, self.drafts), parts)
        base = BASE.replace("http", "https") if is_tls else BASE
        self.browser = TestClient(self.app, base_url=base, follow_redirects=False, raise_server_exceptions=False)
        self.base = base

    def sign_in(self) -> "Seat":
        answer = self.browser.get(f"/sign-in?code={self.sessions.issue(self.who)}")
        assert answer.status_code == 303, answer.text
        return self

    def page(self, path: str, status: int = 200) -> str:
        answer = self.browser.get(path)
        assert answer.status_code == status, (path, answer.status_code, answer.text[:2000])
        return str(answer.text)

    def words(self, path: str, status: int = 200) -> str:
        return said(self.page(path, status))

    def forms(self, path: str) -> dict[str, dict[str, str]]:
        """Return the forms of a page that are sent: action -> its hidden fields. A column's form is named by column."""
        return dict(forms_of(self.page(path)))

    def send(self, action: str, fields: Mapping[str, str], **headers: str) -> Any:
        """Send a form as a browser does that shows one of the desk's pages."""
        given = {"origin": self.base, "sec-fetch-site": "same-origin"} | headers
        kept = {name: value for name, value in given.items() if value}
        return self.browser.post(action, data=dict(fields), headers=kept)

    def upload_file(self, path: str, action: str, content: bytes, **headers: str) -> Any:
        """Send a page's form with a file, as a browser does."""
        hidden = self.forms(path)[action]
        given = {"origin": self.base, "sec-fetch-site": "same-origin"} | headers
        return self.browser.post(
            action, data=hidden, files={"statement": ("statement.csv", content, "text/csv")}, headers=given
        )

    def act(self, path: str, action: str, **typed: str) -> str:
        """Fill in the form of a page and send it; return the words of the page that follows, or of the refusal."""
        hidden = self.forms(path)[action]
        answer = self.send(action.partition("#")[0], hidden | typed)
        if answer.status_code == 303:
            return self.words(answer.headers["location"])
        return said(answer.text)


def forms_of(page: str) -> Iterator[tuple[str, dict[str, str]]]:
    for action, body in re.findall(r'<form[^>]*method="post" action="([^"]+)">(.*?)</form>', page, re.DOTALL):
        hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', body))
        column = hidden.get("column", "")
        yield unescape(action) + (f"#{unescape(column)}" if column else ""), {n: unescape(v) for n, v in hidden.items()}


def said(page: str) -> str:
    """Return what a reader sees."""
    body = page[page.index("<body") :]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())
