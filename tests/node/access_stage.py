"""The offices and reviews of a market's hospitals, and what organisations declare to them."""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from hdex.catalog.access_review import default_policy
from hdex.catalog.product import DataProduct
from hdex.catalog.vetting import VettingState
from hdex.catalog.vetting_rules import default_rules
from hdex.ledger.errors import LogFailed
from hdex.ledger.event import format_time
from hdex.ledger.store_memory import MemoryLogStore
from hdex.node.hospital.access_requests import AccessRequests, ReviewRoom
from hdex.node.hospital.products import Products
from hdex.node.hospital.staff import Staff
from hdex.node.identity import Identity
from hdex.node.vault import Vault
from hdex.node.vetting import Office, Vettings
from hdex.node.vetting_record import VettingRecord

if TYPE_CHECKING:
    from tests.node.market_stage import Market


class FallibleStore(MemoryLogStore):
    """A log's store on a disk that may fail."""

    fails = False

    def append(self, first: int, leaves: Sequence[bytes], head: str) -> None:
        if self.fails:
            raise LogFailed("the disk is gone")
        super().append(first, leaves, head)


CODES = {"buyer-heartline": "91350100M000100Y43", "buyer-other": "91110000600037341L"}


def access_side(market: "Market", name: str, vault: Vault, products: Products) -> tuple[Vettings, AccessRequests]:
    """Return a hospital's office and reviews over a log of their own, so that a contract's events stand alone."""
    desk, keys = market.desks[name], market.keys[name]
    staff = Staff(name, {role: keys.public("sign") for role, keys in market.people.items()})
    member = market.directory.member(name)
    me, sign_key = Identity(member.spiffe_id, member.kind, name), keys.secret("sign")
    office = Office(me, ("data_steward", "privacy_officer"), staff, sign_key, market.clock)
    vettings = Vettings(
        office, desk.documents, market.directory, rules=default_rules(), recorder=desk.recorder,
        ask=lambda participant: market.certificates.get(participant),
    )  # fmt: skip
    room = ReviewRoom(me, staff, sign_key, desk.documents, vault, products, market.clock)
    requests = AccessRequests(room, market.directory, vettings, policy=default_policy(), recorder=desk.recorder)
    for buyer in CODES if market.vetted else ():
        record = vetted_record(buyer, name, market.directory.member(buyer).storage_country or "CN", market.now)
        desk.documents.put("vetting", record.digest, record.document())
    return vettings, requests


def declaration(participant: str, /, **given: Any) -> dict[str, Any]:
    """Return what an organisation declares: domestic, stored at home, grade 3, without a record."""
    plain: dict[str, Any] = {
        "participant": participant,
        "code": CODES[participant],
        "name": {"en": f"{participant} Ltd", "zh": "心线医疗器械有限公司"},
        "country": "CN",
        "foreign_control": False,
        "foreign_share_percent": 0.0,
        "storage_countries": ["CN"],
        "security_grade": 3,
        "security_certificate": "MLPS-2026-1117",
        "affiliates": [],
        "persons": [{"name": "Li Wei", "role": "data protection officer"}],
        "breaches": [],
        "statement": "",
    }
    return plain | given


def vetted_record(participant: str, office: str, country: str, now: datetime) -> VettingRecord:
    """Return a vetting in force as an office would have kept it."""
    organisation = declaration(participant, storage_countries=[country])
    document = {"organisation": organisation, "office": office, "at": format_time(now)}
    until = format_time(now + timedelta(days=3650))
    return VettingRecord({"document": document, "signatures": []}, VettingState.VALID, format_time(now), until)


PDF = b"%PDF-1.4 approval of the ethics committee %%EOF"


def form_document(product: DataProduct, now: datetime, **given: Any) -> dict[str, Any]:
    """Return the form of a project that a hospital would review: named people, papers that hold for a year."""
    access = {"purpose": "DUO:0000007", "recipient": "buyer-heartline", "at": format_time(now), "disease": "I65.2",
              "commercial": True, "for_profit": True, "uses": [], "accepts": []}  # fmt: skip
    plain: dict[str, Any] = {
        "id": "r-1",
        "revision": 1,
        "applicant": "buyer-heartline",
        "provider": product.provider.id,
        "product": product.id,
        "version": product.version,
        "manifest_digest": product.digest(),
        "access": access,
        "title": "Restenosis after carotid stenting",
        "summary": "Which vessels close again within a year.",
        "ethics": {
            "number": "EC-2026-H4",
            "expires": f"{now + timedelta(days=400):%Y-%m-%d}",
            "document_digest": hashlib.sha256(PDF).hexdigest(),
            "document_bytes": len(PDF),
        },
        "team": [{"name": "Li Wei", "role": "statistician", "trained": f"{now - timedelta(days=90):%Y-%m-%d}"}],
        "delivery_mode": "sealed_file",
        "starts": f"{now:%Y-%m-%d}",
        "ends": f"{now + timedelta(days=200):%Y-%m-%d}",
        "publication_plan": "A paper and a report to the authority.",
        "protection": "Encrypted at rest; named persons only.",
    }
    return plain | given
