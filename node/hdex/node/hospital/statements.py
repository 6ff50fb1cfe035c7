"""A hospital's statement of one month: each paper issued in it, who gets what of it, and what the log says was used."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

from hdex.catalog.invoice import InvoiceKind
from hdex.catalog.money import to_decimal
from hdex.catalog.spreadsheet import to_csv
from hdex.node.documents import Document
from hdex.node.errors import NotFound
from hdex.node.hospital.billing import Billing, require_month
from hdex.node.hospital.invoice_shelf import Balance, KeptInvoice
from hdex.node.hospital.settlement import Settlement
from hdex.node.hospital.usage_book import UsageBook


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementRow:
    """One paper. Amounts are minor units; a credit note has its amounts under `credit_cents`, above 0."""

    number: str
    kind: str
    issued: str
    contract: str
    consumer: str
    product: str
    plan: str
    currency: str
    net_cents: int
    tax_cents: int
    charge_cents: int
    credit_cents: int
    paid_cents: int
    fee_cents: int  # the platform's part of what was earned by the invoice, credit notes taken off
    others_cents: int  # other hospitals' parts
    own_cents: int
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRow:
    """What one contract used in the month, as the log counts it; billed or not."""

    contract: str
    deliveries: int
    rows: int
    queries: int
    rounds: int
    bytes: int
    first: int | None
    last: int | None


SUMS = (
    *("net_cents", "tax_cents", "charge_cents", "credit_cents", "paid_cents"),
    *("fee_cents", "others_cents", "own_cents"),
)


class Statements:
    """The statements of one hospital."""

    def __init__(self, hospital: str, billing: Billing, settlement: Settlement, book: UsageBook) -> None:
        self._hospital = hospital
        self._billing = billing
        self._settlement = settlement
        self._book = book

    def month(self, month: str) -> Document:
        """Return the statement: {"hospital", "month", "papers", "totals", "usage"}; totals by currency."""
        require_month(month)
        papers = [kept for kept in self._billing.all() if kept.invoice.issued[:7] == month]
        balances = self._billing.shelf.balances()
        rows = [self._row(kept, balances) for kept in papers]
        return {
            "hospital": self._hospital,
            "month": month,
            "papers": [asdict(row) for row in rows],
            "totals": totals(rows),
            "usage": [asdict(row) for row in self._usage(month)],
        }

    def _row(self, kept: KeptInvoice, balances: dict[str, Balance]) -> StatementRow:
        invoice, is_note = kept.invoice, kept.invoice.kind == InvoiceKind.CREDIT_NOTE
        balance = None if is_note else balances[kept.number]
        split = None if balance is None else self._settlement.split(balance)
        own = 0 if split is None else split.parts.get(invoice.provider.id, 0)
        return StatementRow(
            number=kept.number,
            kind=invoice.kind.value,
            issued=invoice.issued,
            contract=invoice.agreement.request_id,
            consumer=invoice.consumer.id,
            product=f"{invoice.agreement.product} {invoice.agreement.version}",
            plan=invoice.agreement.price.plan.value,
            currency=invoice.currency,
            net_cents=0 if is_note else invoice.subtotal_cents,
            tax_cents=0 if is_note else invoice.tax_cents,
            charge_cents=0 if is_note else invoice.total_cents,
            credit_cents=-invoice.total_cents if is_note else 0,
            paid_cents=balance.paid_cents if balance is not None else 0,
            fee_cents=split.fee if split is not None else 0,
            others_cents=sum(split.parts.values()) - own if split is not None else 0,
            own_cents=own,
            state="" if is_note else kept.state.value,
        )

    def _usage(self, month: str) -> list[UsageRow]:
        found: list[UsageRow] = []
        for contract in self._book.contracts():
            try:
                used = self._book.usage(contract, month)
            except NotFound:
                return []  # the node kept no log in that year
            if used.accesses:
                found.append(UsageRow(**{field.name: getattr(used, field.name) for field in fields(UsageRow)}))
        return found


def totals(rows: Sequence[StatementRow]) -> dict[str, dict[str, int]]:
    """Return currency -> the sum of each amount."""
    return {
        currency: {name: sum(getattr(row, name) for row in rows if row.currency == currency) for name in SUMS}
        for currency in sorted({row.currency for row in rows})
    }


def papers_csv(statement: Document) -> bytes:
    """Return the papers of a statement as CSV: amounts as decimals of their currency, no cell that runs."""
    names = [field.name for field in fields(StatementRow)]  # of the row: a document that travelled has another order
    rows = [
        [to_decimal(paper[name], paper["currency"]) if name.endswith("_cents") else paper[name] for name in names]
        for paper in statement["papers"]
    ]
    return to_csv([name.removesuffix("_cents") for name in names], rows)
