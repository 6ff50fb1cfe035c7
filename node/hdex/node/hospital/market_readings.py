"""What a hospital's people read of requests, contracts and runs before they act: states, terms, counts. No record.

Everything is read as the verbs keep it; nothing here changes, signs or decides anything.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from hdex.catalog.access_review import APPLICANT
from hdex.catalog.contract import Agreement, State
from hdex.catalog.errors import CatalogError
from hdex.catalog.invoice import InvoiceState
from hdex.catalog.lifecycle import OFFICER, STEWARD
from hdex.catalog.price import Price
from hdex.catalog.product import DataProduct
from hdex.catalog.quote import ordered_price
from hdex.catalog.vetting import NEXT_ROLE
from hdex.ledger.event import format_time
from hdex.node.bargain_terms import one_price, told_terms
from hdex.node.contract_record import ContractRecord, order_of
from hdex.node.documents import Document, Documents
from hdex.node.errors import AccessDenied, NodeError, NotFound
from hdex.node.hospital.access_requests import AccessRequests
from hdex.node.hospital.access_views import turn
from hdex.node.hospital.clauses import EPSILON, QUESTIONS, ROWS_LEAVE, RUNS
from hdex.node.hospital.contract_standings import standing_of
from hdex.node.hospital.delivery_quota import KIND as DELIVERY
from hdex.node.hospital.enclaves import CHECKED, SUBMITTED, Enclaves
from hdex.node.hospital.invoice_shelf import KIND as INVOICE
from hdex.node.hospital.invoice_shelf import KeptInvoice
from hdex.node.hospital.negotiation import Negotiations
from hdex.node.hospital.query_register import KIND as ANSWERED
from hdex.node.hospital.usage_book import UsageBook
from hdex.node.signed import digest, signers
from hdex.node.vetting import Vettings

COUNTED = frozenset({QUESTIONS, RUNS, EPSILON})  # clauses of which something is used up, beside those named max_*
RUN_READERS = {SUBMITTED: (STEWARD, OFFICER), CHECKED: (OFFICER,)}  # who signs the next step of a run
Life = Callable[[str], list[Document]]  # contract -> what the log says of its steps


@dataclass(frozen=True, slots=True)
class Counters:
    """The verbs whose papers are read."""

    negotiations: Negotiations
    requests: AccessRequests
    vettings: Vettings
    enclaves: Enclaves
    book: UsageBook
    documents: Documents


class MarketReadings:
    """One hospital's side of the market, for its own staff. life: read from the log."""

    def __init__(self, counters: Counters, *, life: Life, clock: Callable[[], datetime]) -> None:
        self._at = counters
        self._life = life
        self._clock = clock

    @property
    def parts(self) -> Mapping[str, Callable[[str], Document]]:
        """The parts by name; each takes the name of what is meant, or an empty text."""
        return {
            "waiting": lambda _: self.waiting(),
            "contracts": lambda _: {"contracts": [self._line(one) for one in self._all()]},
            "contract": self.contract,
        }

    def waiting(self) -> Document:
        """Return what waits for people here: names, roles and days, no word of an applicant."""
        now = self._clock()
        turns = [(one.id, turn(one, self._at.requests.policy, now)) for one in self._at.requests.all()]
        roles = self._at.vettings.roles
        return {
            "now": format_time(now),
            "today": format_time(now)[:10],
            "requests": [{"name": name, **due} for name, due in turns if due["next"] not in ("", APPLICANT)],
            "vettings": [
                {"name": one.participant, "role": roles[NEXT_ROLE[one.state]]}
                for one in self._at.vettings.all()
                if one.state in NEXT_ROLE
            ],
            "runs": [
                {"name": row["run"], "state": row["state"], "roles": list(RUN_READERS[row["state"]])}
                for row in self._at.enclaves.all()
                if row["state"] in RUN_READERS
            ],
            "contracts": [
                {"name": one.contract_id, "product": one.asked["product"]}
                for one in self._at.negotiations.all()
                if one.state in (State.REQUESTED, State.ACCEPTED) and not one.revoked
            ],
            "invoices": [
                {"name": kept.number}
                for kept in map(KeptInvoice.from_document, self._at.documents.all(INVOICE))
                if kept.state == InvoiceState.DISPUTED
            ],
        }

    def contract(self, name: str) -> Document:
        """Return one contract whole: what was asked and agreed, what is used and left, receipts, its life. Raises
        NotFound.
        """
        self._at.negotiations.lives.sweep()
        record = self._at.negotiations.get(name)
        agreement = agreed(record)
        return {
            **self._line(record),
            "request": record.asked,
            "request_digest": digest(record.asked),
            "agreement": agreement.document() if agreement else None,
            "agreement_digest": digest(agreement.document()) if agreement else "",
            "signed_by": signers(record.agreement) if record.agreement else [],
            "approvals": list(record.approvals),
            "lines": self._limits(record, agreement) if agreement else [],
            "clauses": {n: v for n, v in agreement.clauses.items() if not is_counted(n)} if agreement else {},
            "receipts": self._receipts(name),
            "log": self._life(name),
            **self._bargaining(record),
        }

    def _bargaining(self, record: ContractRecord) -> Document:
        """Return {"bargain", "offers", "plans", "asked"}: what was said, oldest first; whether an offer may be made."""
        product = self._product(record)
        spoken = [
            {
                **{name: one[name] for name in ("kind", "at", "by", "policy")},
                "reason": (one["paper"] or {}).get("document", {}).get("reason", ""),
                "terms": told_terms(one["paper"]["document"], self._price(product, one)) if one["paper"] else None,
            }
            for one in record.bargain
        ]
        listed = [product.price, *(product.plans or ())] if product else []
        return {
            "bargain": spoken,
            "offers": self._may_offer(record),
            "plans": [one_price(one) for one in listed],
            "asked": told_terms(record.asked, self._price(product, {"paper": record.request})),
        }

    def _product(self, record: ContractRecord) -> DataProduct | None:
        """Return the version that a negotiation is about, None where it serves no more."""
        try:
            return self._at.negotiations.product_of(record.contract_id)
        except (NodeError, CatalogError):
            return None

    def _price(self, product: DataProduct | None, word: Document) -> Price | None:
        if product is None or not word["paper"]:
            return None
        try:
            return ordered_price(product, order_of(word["paper"]["document"]))
        except CatalogError:
            return None

    def _may_offer(self, record: ContractRecord) -> bool:
        if record.state != State.REQUESTED:
            return False
        try:
            self._at.negotiations.exchange.require_offers(record.contract_id)
        except AccessDenied:
            return False
        return True

    def _all(self) -> list[ContractRecord]:
        """Return every contract as the clock leaves it, oldest first."""
        self._at.negotiations.lives.sweep()
        return self._at.negotiations.all()

    def _line(self, record: ContractRecord) -> Document:
        asked, agreement = record.asked, agreed(record)
        return standing_of(record, self._at.book, self._clock()) | {
            "purpose": asked["access"]["purpose"],
            "issued": agreement.issued if agreement else "",
            "expires": agreement.expires if agreement else "",
        }

    def _limits(self, record: ContractRecord, agreement: Agreement) -> list[Document]:
        """Return each limit with what was used of it: {"name", "agreed", "used", "period"}; the log's own counts."""
        standing = standing_of(record, self._at.book, self._clock())
        limits, used = standing.get("limits", {}), standing.get("used", {})
        idle = set() if agreement.max_rounds else {"rounds"}  # limits of other ways of delivery say nothing here
        if not set(agreement.delivery_modes) & set(ROWS_LEAVE):
            idle.add("deliveries")
        found = [limit(name, most, used.get(name, 0)) for name, most in limits.items() if name not in idle]
        if agreement.quota is not None:
            had, period = asdict(self._at.book.used(record.contract_id, agreement.quota)), agreement.quota.period.value
            bounds = {one: getattr(agreement.quota, one) for one in had}
            found += [limit(f"quota_{n}", most, had[n], period) for n, most in bounds.items() if most is not None]
        return found

    def _receipts(self, contract: str) -> list[Document]:
        try:
            known = self._at.documents.get(DELIVERY, contract)
        except NotFound:
            return []
        kept = known.get("receipts", [known["receipt"]] if "receipt" in known else [])
        return [{"by": signers(one), "digest": digest(one["document"]), **texts(one["document"])} for one in kept]


def limit(name: str, most: float, used: float, period: str = "") -> Document:
    """Return one line of what may be used."""
    return {"name": name, "agreed": most, "used": used, "period": period}


def is_counted(clause: str) -> bool:
    """Return whether a clause stands among the limits."""
    return clause in COUNTED or clause.startswith("max_")


def texts(receipt: Mapping[str, Any]) -> dict[str, str]:
    """Return what a receipt says of itself, as far as it is text."""
    return {name: value for name in ("root", "at") if isinstance(value := receipt.get(name), str)}


def agreed(record: ContractRecord) -> Agreement | None:
    """Return the agreement of a record, None before one was signed."""
    return Agreement.from_document(record.agreement["document"]) if record.agreement else None


def answered(documents: Documents) -> dict[tuple[str, str], Document]:
    """Return (contract, digest) -> the question that was answered, as it was asked."""
    return {(row["contract"], row["digest"]): row["question"] for row in documents.all(ANSWERED)}
