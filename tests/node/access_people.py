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
from hdex.node.errors import AccessDenied
from hdex.node.hospital.access_record import AccessRecord
from hdex.node.hospital.access_requests import AccessRequests
from hdex.node.signed import Envelope, sign
from hdex.node.vetting import Vettings
from hdex.node.vetting_record import VettingRecord

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
