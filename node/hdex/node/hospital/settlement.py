"""Money that came in, matched to invoices; orders for what goes out: a platform's fee, others' shares, refunds.

An entry pays an invoice when its reference holds the invoice's number and its currency is the invoice's. Each entry
counts once, by the bank's id of it, however often a statement is read.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from hashlib import sha256

from hdex.catalog.invoice import NUMBER, Invoice, InvoiceState, InvoiceStep, invoice_step
from hdex.catalog.product import DataProduct
from hdex.catalog.revenue import Split, own_split
from hdex.node.documents import Document
from hdex.node.errors import NotFound
from hdex.node.failpoint import failpoint
from hdex.node.hospital.billing import Billing, Credit
from hdex.node.hospital.invoice_shelf import Balance, KeptInvoice
from hdex.node.hospital.payments import BankEntry, PaymentOrder, Payments
from hdex.node.identity import Identity
from hdex.node.recorder import Recorder

SEARCH = re.compile(rf"(?<![a-z0-9._-]){NUMBER.pattern}(?![0-9])", re.ASCII)
Find = Callable[[str, str], DataProduct]  # product id, version -> the manifest
Bank = Callable[[bytes], Payments]  # statement -> the port


class Outcome(StrEnum):
    """What became of an entry."""

    PAID = "paid"  # the invoice is paid in full
    PART = "part_paid"
    OVERPAID = "overpaid"  # paid, and more than was due
    KNOWN = "known"  # counted before
    OUTGOING = "outgoing"  # not a receipt
    UNKNOWN = "unknown_reference"  # names no invoice of ours, or several
    CURRENCY = "wrong_currency"
    SETTLED = "settled_before"  # the invoice was paid or credited already


OPEN = (InvoiceState.ISSUED, InvoiceState.DISPUTED)
TAKEN = (Outcome.PAID, Outcome.PART, Outcome.OVERPAID)


@dataclass(frozen=True, slots=True)
class Matched:
    """One entry, what became of it, and the invoice it is for."""

    entry: BankEntry
    outcome: Outcome
    number: str = ""


class Settlement:
    """Reads statements in and orders payments."""

    def __init__(self, billing: Billing, recorder: Recorder, bank: Bank, product: Find) -> None:
        self.billing = billing
        self._recorder = recorder
        self._bank = bank
        self._product = product

    def read(self, statement: bytes, actor: Identity) -> list[Matched]:
        """Match a statement's entries and return what became of each; remembered before any of it counts."""
        digest, payments = sha256(statement).hexdigest(), self._bank(statement)
        with self._recorder.refusals("payment.import", actor, request_digest=digest):
            entries = payments.received()
        with self.billing.changing:
            self.billing.all()  # what a crash had cut short is finished first
            self._recorder.allow("payment.import", actor, request_digest=digest, rows=len(entries))
            failpoint("settlement.logged")
            balances = self.billing.shelf.balances()
            found = [self._take(entry, balances) for entry in entries]
            failpoint("settlement.counted")
            self.settle()
            return found

    def preview(self, statement: bytes) -> list[Matched]:
        """Return what `read` would make of a statement; nothing counts. Raises PaymentsInvalid."""
        entries = self._bank(statement).received()
        with self.billing.changing:
            self.billing.all()
            balances = self.billing.shelf.balances()
            return [self._counted(entry, balances) for entry in entries]

    def account(self, number: str) -> Document:
        """Return what stands behind one invoice: receipts, orders, credit notes, the split. Raises NotFound."""
        with self.billing.changing:
            self.billing.all()
            balance = self.billing.shelf.balances().get(number)
            if balance is None:
                raise NotFound("no invoice of this number is here")
            papers = [kept.invoice for kept in self.billing.shelf.all()]
        notes = [one.number for one in papers if one.credits_number == number]
        orders = [one for one in self._bank(b"").orders() if one.id.partition("/")[0] in (number, *notes)]
        split = self.split(balance)
        return {
            "received": self.billing.shelf.entries_of(number),
            "orders": [asdict(one) for one in orders],
            "notes": notes,
            "fee_cents": split.fee,
            "platform": split.platform,
            "cents": dict(split.parts),
        }

    def credit(self, number: str, wanted: Credit, actor: Identity) -> KeptInvoice:
        """Return a credit note as Billing.credit does, and order the money back where it had come in."""
        note = self.billing.credit(number, wanted, actor)
        self.settle()
        return note

    def settle(self) -> None:
        """Order what follows from what came in, then call the invoices paid; again changes nothing."""
        payments, shelf = self._bank(b""), self.billing.shelf
        with self.billing.changing:
            for balance in shelf.balances().values():
                kept = balance.kept
                if kept.state in OPEN and balance.due_cents <= 0:
                    self._order_shares(balance, payments)
                    failpoint("settlement.ordered")
                    shelf.keep(kept.moved(invoice_step(kept.state, InvoiceStep.PAY)))
            balances = shelf.balances()
            notes = [kept.invoice for kept in shelf.all() if kept.invoice.credits_number is not None]
            for note in reversed(notes):  # what is due back belongs to the newest note: older ones had their turn
                refund(note, notes, balances[str(note.credits_number)], payments)

    def split(self, balance: Balance) -> Split:
        """Return how what an invoice earned is split, by its product's rule."""
        agreement = balance.kept.invoice.agreement
        rule = self._product(agreement.product, agreement.version).revenue
        return own_split(balance.net_cents, rule, agreement.provider)

    def _take(self, entry: BankEntry, balances: Mapping[str, Balance]) -> Matched:
        matched = self._counted(entry, balances)
        if matched.outcome in TAKEN:
            row = {"number": matched.number, "amount_cents": entry.amount_cents, "booked": entry.booked}
            self.billing.shelf.keep_entry(entry.id, {"id": entry.id, **row})
        return matched

    def _counted(self, entry: BankEntry, balances: Mapping[str, Balance]) -> Matched:
        """Return what an entry does, and have the balances show it to the entries after it."""
        matched = self._match(entry, balances)
        if matched.outcome in TAKEN:
            balances[matched.number].paid_cents += entry.amount_cents
        return matched

    def _match(self, entry: BankEntry, balances: Mapping[str, Balance]) -> Matched:
        if self.billing.shelf.knows_entry(entry.id):
            return Matched(entry, Outcome.KNOWN)
        if entry.amount_cents <= 0:
            return Matched(entry, Outcome.OUTGOING)
        named = {found.group() for found in SEARCH.finditer(entry.reference)} & balances.keys()
        if len(named) != 1:
            return Matched(entry, Outcome.UNKNOWN)
        (number,) = named
        return Matched(entry, outcome(entry, balances[number]), number)

    def _order_shares(self, balance: Balance, payments: Payments) -> None:
        split, invoice = self.split(balance), balance.kept.invoice
        if split.fee:
            payments.order(order_for(invoice, "fee", split.platform, split.fee))
        for party, amount in split.parts.items():
            if amount and party != invoice.provider.id:
                payments.order(order_for(invoice, "share", party, amount))


def outcome(entry: BankEntry, balance: Balance) -> Outcome:
    """Return what an entry does to the invoice it names."""
    if entry.currency != balance.kept.invoice.currency:
        return Outcome.CURRENCY
    if balance.kept.state not in OPEN or balance.due_cents <= 0:
        return Outcome.SETTLED
    left = balance.due_cents - entry.amount_cents
    return Outcome.PART if left > 0 else Outcome.PAID if left == 0 else Outcome.OVERPAID


def refund(note: Invoice, notes: Sequence[Invoice], balance: Balance, payments: Payments) -> None:
    """Order the money of a credit note back, as far as more came in than is due and no order says so yet."""
    same = [
        order_for(one, "refund", one.consumer.id, 0).id for one in notes if one.credits_number == note.credits_number
    ]
    ordered = sum(order.amount_cents for order in payments.orders() if order.id in same)
    back = min(-note.total_cents, -balance.due_cents - ordered)
    if back > 0:
        payments.order(order_for(note, "refund", note.consumer.id, back))


def order_for(invoice: Invoice, what: str, payee: str, amount: int) -> PaymentOrder:
    """Return an order; its id follows from paper, purpose and payee, so that it is given once."""
    return PaymentOrder(f"{invoice.number}/{what}/{payee}", payee, amount, invoice.currency, f"{what} {invoice.number}")
