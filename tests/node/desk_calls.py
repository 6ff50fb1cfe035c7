"""What a desk calls of its node, without a wire: offices, reviews, money."""

import json
from collections.abc import Callable
from copy import copy
from datetime import datetime
from typing import TYPE_CHECKING, Any

from hdex.node.documents import Document
from hdex.node.errors import NodeError, RemoteRefused, describe
from hdex.node.hospital.access_record import AccessRecord
from hdex.node.hospital.access_requests import AccessRequests
from hdex.node.hospital.access_views import LINE, request_view
from hdex.node.hospital.billing import Billing, Credit
from hdex.node.hospital.invoice_shelf import InvoiceShelf, KeptInvoice
from hdex.node.hospital.payments_csv import CsvPayments
from hdex.node.hospital.settlement import Settlement
from hdex.node.hospital.signatory import Signatory
from hdex.node.hospital.statements import Statements
from hdex.node.identity import Identity
from hdex.node.invoice_file import InvoiceFile
from hdex.node.signed import Envelope
from hdex.node.vetting import Vettings
from hdex.node.vetting_views import vetting_view
from hdex.node.wire.services_settlement import told

if TYPE_CHECKING:
    from tests.node.market_stage import Ground, Market


class Called:
    """A node as one person calls it: refusals arrive as the wire brings them."""

    away: NodeError | None = None

    def __getattribute__(self, name: str) -> Any:
        found = object.__getattribute__(self, name)
        if name.startswith("_") or not callable(found):
            return found

        def told(*given: Any, **named: Any) -> Any:
            if self.away is not None:
                raise self.away
            try:
                return found(*given, **named)
            except Exception as error:
                problem = describe(error)
                if problem.status == "INTERNAL":
                    raise
                raise RemoteRefused(problem.rule, problem.next_step, problem.message, status=problem.status) from error

        return told


class LocalOffice(Called):
    """An office and its reviews, as a person of it calls them."""

    def __init__(
        self, vettings: Vettings, requests: AccessRequests | None, who: Identity, clock: Callable[[], datetime]
    ) -> None:
        self._vettings, self._requests, self._who, self._clock = vettings, requests, who, clock

    def vettings_of(self, office: str, participant: str = "") -> list[Document]:
        return [vetting_view(one, self._vettings) for one in self._vettings.read(participant, self._who)]

    def list_vettings(self, office: str) -> list[Document]:
        return [vetting_view(one, self._vettings) for one in self._vettings.visible(self._who)]

    def decide_vetting(self, office: str, decision: Envelope) -> Document:
        return vetting_view(self._vettings.decide(decision, self._who), self._vettings)

    def request(self, hospital: str, name: str) -> Document:
        return self._view(self._at.read(name, self._who))

    def request_document(self, hospital: str, name: str) -> bytes:
        return self._at.read_document(name, self._who)

    def list_requests(self, hospital: str) -> list[Document]:
        found = [self._view(one) for one in self._at.visible(self._who)]
        return [{name: one[name] for name in LINE} for one in found]

    def decide_request(self, hospital: str, decision: Envelope) -> Document:
        return self._view(self._at.decide(decision, self._who))

    def send_message(self, hospital: str, message: Envelope) -> Document:
        return self._view(self._at.message(message, self._who))

    @property
    def _at(self) -> AccessRequests:
        assert self._requests is not None
        return self._requests

    def _view(self, record: AccessRecord) -> Document:
        return request_view(record, self._at, self._clock())


class LocalTill(Called):
    """A hospital's node about money, as one person calls it: what is written goes by files, as a node's does."""

    def __init__(self, market: "Market", ground: "Ground") -> None:
        me, shelf = (
            Signatory(ground.id, ground.keys.secret("sign"), market.clock),
            InvoiceShelf(ground.id, ground.documents),
        )
        negotiations, products = market.hospitals[ground.id].negotiations, market.hospitals[ground.id].products
        self._billing = Billing(
            me, shelf, negotiations, book=ground.book, directory=market.directory, recorder=ground.recorder
        )
        orders = market.folder / f"{ground.id}-orders.csv"
        self._settlement = Settlement(
            self._billing,
            ground.recorder,
            lambda statement: CsvPayments(statement, orders),
            lambda name, version: products.get(name, version).product,
        )
        self._statements = Statements(ground.id, self._billing, self._settlement, ground.book)
        self._who: Identity | None = None

    def seen_by(self, who: Identity) -> "LocalTill":
        """Return the same node as this person calls it."""
        mine = copy(self)
        mine._who = who
        return mine

    def bill(self, contract: str, actor: Identity) -> InvoiceFile:
        return self._file(self._billing.issue_to_date(contract, actor))

    def issued(self) -> list[InvoiceFile]:
        return [self._file(kept) for kept in self._billing.all()]

    def issue(self, contract_id: str, month: str) -> InvoiceFile:
        if month:
            return self._file(self._billing.issue(contract_id, month, self._me))
        return self.bill(contract_id, self._me)

    def credit(self, number: str, amount_cents: int, reason: str, currency: str = "") -> InvoiceFile:
        return self._file(self._settlement.credit(number, Credit(amount_cents, currency, reason), self._me))

    def answer(self, number: str, reason: str, dispute: str) -> InvoiceFile:
        return self._file(self._billing.answer(number, reason, self._me, dispute=dispute))

    def dispute(self, paper: Envelope, actor: Identity) -> InvoiceFile:
        return self._file(self._billing.dispute(paper, actor))

    def due(self, month: str) -> Document:
        return travelled(self._billing.due(month))

    def account(self, number: str) -> Document:
        return travelled(self._settlement.account(number))

    def preview_payments(self, statement: bytes) -> Document:
        return travelled({"entries": [told(one) for one in self._settlement.preview(statement)]})

    def import_payments(self, statement: bytes) -> Document:
        return travelled({"entries": [told(one) for one in self._settlement.read(statement, self._me)]})

    def statement(self, month: str) -> Document:
        return self._statements.month(month)

    @property
    def _me(self) -> Identity:
        assert self._who is not None
        return self._who

    def _file(self, kept: KeptInvoice) -> InvoiceFile:
        paid, credited = self._billing.money(kept)
        proof, state = self._billing.proof(kept), kept.state.value
        return InvoiceFile(kept.envelope, proof, state=state, paid_cents=paid, credited_cents=credited, said=kept.said)


def travelled(document: Document) -> Document:
    """Return a document as the wire brings it."""
    found: Document = json.loads(json.dumps(document, sort_keys=True))
    return found
