"""Who applies and who reviews in a market, each with keys of his own: the steps one by one."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from tests.node.access_stage import PDF, declaration, form_document
from tests.node.market_stage import BUYER, Market, person

from hdex.catalog.contract import State
from hdex.catalog.product import DataProduct
from hdex.ledger.event import Event, format_time
from hdex.node.documents import Document
from hdex.node.errors import AccessDenied, NotFound, PeerUnavailable, RemoteRefused
from hdex.node.hospital.access_record import AccessRecord
from hdex.node.hospital.access_requests import AccessRequests
from hdex.node.hospital.access_views import request_view
from hdex.node.signed import Envelope, sign
from hdex.node.vetting import Vettings
from hdex.node.vetting_record import VettingRecord
from hdex.node.vetting_views import vetting_view

HOME = "hospital-a"


class People:
    """Everybody at hospital A's desks, and the buyers who come to it."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self.vettings: Vettings = market.hospital.vettings
        self.requests: AccessRequests = market.hospital.requests
        self.papers = 0

    def events(self) -> list[Event]:
        return self.market.desks[HOME].events()

    def told(self) -> list[tuple[str, str]]:
        """Return (action, decision) of every event of the desk that is not a reading."""
        return [(e.action.value, str(e.decision)) for e in self.events() if not e.action.value.endswith(".read")]

    def application(self, buyer: str = BUYER, office: str = HOME, **given: Any) -> Envelope:
        self.papers += 1
        at = f"{format_time(self.market.now)}#{self.papers}"
        document = {"organisation": declaration(buyer, **given), "office": office, "at": at}
        return sign("vetting", document, buyer, self.market.keys[buyer].secret("sign"))

    def apply(self, buyer: str = BUYER, **given: Any) -> VettingRecord:
        return self.vettings.apply(self.application(buyer, **given), person(buyer))

    def verdict(self, record: VettingRecord, arrow: str, role: str, /, **changed: Any) -> Envelope:
        paper = {
            "digest": record.digest,
            "participant": record.participant,
            "arrow": arrow,
            "reason": "as declared",
            "valid_until": format_time(self.market.now + timedelta(days=300)) if arrow == "approve" else "",
            "at": format_time(self.market.now),
        } | changed
        return sign("vetting.decision", paper, f"{HOME}/{role}", self.market.people[role].secret("sign"))

    def vet(self, record: VettingRecord, arrow: str, role: str, /, **changed: Any) -> VettingRecord:
        return self.vettings.decide(self.verdict(record, arrow, role, **changed), person(HOME, role))

    def vetted(self, buyer: str = BUYER, **given: Any) -> VettingRecord:
        """Return a vetting that went the whole way."""
        record = self.vet(self.apply(buyer, **given), "endorse", "data_steward")
        return self.vet(record, "approve", "privacy_officer")

    def form(self, product: DataProduct, **given: Any) -> Envelope:
        document = form_document(product, self.market.now, **given)
        applicant = str(document["applicant"])
        return sign("access.request", document, applicant, self.market.keys[applicant].secret("sign"))

    def submit(self, product: DataProduct, document: bytes = PDF, **given: Any) -> AccessRecord:
        form = self.form(product, **given)
        return self.requests.submit(form, document, person(str(form["document"]["applicant"])))

    def paper(self, record: AccessRecord, arrow: str, role: str, /, **changed: Any) -> Envelope:
        paper = {
            "id": record.id,
            "digest": record.digest,
            "arrow": arrow,
            "reason": "as it should be",
            "at": format_time(self.market.now),
        } | changed
        return sign("access.decision", paper, f"{HOME}/{role}", self.market.people[role].secret("sign"))

    def decide(self, record: AccessRecord, arrow: str, role: str, /, **changed: Any) -> AccessRecord:
        return self.requests.decide(self.paper(record, arrow, role, **changed), person(HOME, role))

    def reviewed(self, record: AccessRecord, steps: int = 4) -> AccessRecord:
        """Return a request after the first steps of its way to approval."""
        for arrow, role in WAY[:steps]:
            record = self.decide(record, arrow, role)
        return record

    def message(self, record: AccessRecord, text: str, role: str = "") -> AccessRecord:
        paper: Mapping[str, Any] = {"id": record.id, "text": text, "at": format_time(self.market.now)}
        if role:
            envelope = sign("access.message", paper, f"{HOME}/{role}", self.market.people[role].secret("sign"))
            return self.requests.message(envelope, person(HOME, role))
        envelope = sign("access.message", paper, BUYER, self.market.keys[BUYER].secret("sign"))
        return self.requests.message(envelope, person(BUYER))

    def withdraw(self, record: AccessRecord) -> AccessRecord:
        paper = {"id": record.id, "digest": record.digest, "reason": "", "at": format_time(self.market.now)}
        envelope = sign("access.withdrawal", paper, BUYER, self.market.keys[BUYER].secret("sign"))
        return self.requests.withdraw(envelope, person(BUYER))


WAY = (
    ("take", "data_steward"),
    ("endorse", "data_steward"),
    ("endorse", "privacy_officer"),
    ("approve", "ethics_committee"),
)


def refusal(market: Market, contract_id: str = "c-1") -> tuple[str, str]:
    """Ask for a contract and return rule and next step of the refusal."""
    product = (market.hospital.products.all() or [market.stents()])[0]
    with pytest.raises(AccessDenied) as refused:
        market.buyers[BUYER].request(market.wish(product), contract_id=contract_id)
    assert market.negotiations.all()[-1].state == State.TERMINATED
    return refused.value.rule, refused.value.next_step


class Doors:
    """Hospital A's office and reviews as one caller reaches them. `cut`: the answer is lost on the way."""

    def __init__(self, people: People, role: str = "") -> None:
        self.people, self.cut = people, False
        self.who = person(HOME, role) if role else person(BUYER)

    def apply_vetting(self, office: str, application: Envelope) -> Document:
        return vetting_view(self.people.vettings.apply(application, self.who), self.people.vettings)

    def vettings_of(self, office: str, participant: str = "") -> list[Document]:
        found = self.people.vettings.read(participant or self.who.participant, self.who)
        return [vetting_view(one, self.people.vettings) for one in found]

    def list_vettings(self, office: str) -> list[Document]:
        return [vetting_view(one, self.people.vettings) for one in self.people.vettings.visible(self.who)]

    def decide_vetting(self, office: str, decision: Envelope) -> Document:
        return vetting_view(self.people.vettings.decide(decision, self.who), self.people.vettings)

    def submit_request(self, hospital: str, form: Envelope, document: bytes) -> Document:
        return self.view(self.people.requests.submit(form, document, self.who))

    def request(self, hospital: str, name: str) -> Document:
        try:
            return self.view(self.people.requests.read(name, self.who))
        except NotFound as absent:
            raise RemoteRefused("not-found", "", str(absent), status="NOT_FOUND") from absent

    def request_document(self, hospital: str, name: str) -> bytes:
        return self.people.requests.read_document(name, self.who)

    def list_requests(self, hospital: str) -> list[Document]:
        return [self.view(one) for one in self.people.requests.visible(self.who)]

    def decide_request(self, hospital: str, decision: Envelope) -> Document:
        return self.view(self.people.requests.decide(decision, self.who))

    def send_message(self, hospital: str, message: Envelope) -> Document:
        return self.view(self.people.requests.message(message, self.who))

    def withdraw_request(self, hospital: str, withdrawal: Envelope) -> Document:
        return self.view(self.people.requests.withdraw(withdrawal, self.who))

    def view(self, record: AccessRecord) -> Document:
        if self.cut:
            raise PeerUnavailable("the line was cut")
        return request_view(record, self.people.requests, self.people.market.now)
