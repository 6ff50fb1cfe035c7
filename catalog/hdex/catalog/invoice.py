"""An invoice: what follows from a signed agreement and from what the provider's log says was used. Pure.

The document holds the agreement and the usage it stands on, so that a buyer or an auditor reckons every line again:
`check_invoice` is that reckoning. A credit note takes money back from one invoice, by its digest.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from fractions import Fraction
from typing import cast

from hdex.catalog.contract import Agreement
from hdex.catalog.documents import Json, digest, from_document, to_document
from hdex.catalog.errors import InvoiceInvalid, TransitionForbidden
from hdex.catalog.money import rounded
from hdex.catalog.price import PricePlan, Tax
from hdex.catalog.quote import THOUSAND, Line, lines_of, tax_on
from hdex.catalog.terms import Text

NUMBER = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}-\d{4}-\d{6}", re.ASCII)
MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])", re.ASCII)
SERIES = len("-2026-000001")
LONGEST_REASON = 500


class InvoiceKind(StrEnum):
    """What kind of paper it is."""

    INVOICE = "invoice"
    CREDIT_NOTE = "credit_note"


class InvoiceState(StrEnum):
    """Where an invoice stands."""

    ISSUED = "ISSUED"
    DISPUTED = "DISPUTED"
    PAID = "PAID"
    CREDITED = "CREDITED"


class InvoiceStep(StrEnum):
    """What moves it."""

    PAY = "pay"  # paid in full
    DISPUTE = "dispute"
    CREDIT = "credit"  # credited in full
    ANSWER = "answer"  # the provider says why it stands


_I = InvoiceState
STEPS: Mapping[tuple[InvoiceState, InvoiceStep], InvoiceState] = {
    (_I.ISSUED, InvoiceStep.PAY): _I.PAID,
    (_I.DISPUTED, InvoiceStep.PAY): _I.PAID,
    (_I.ISSUED, InvoiceStep.DISPUTE): _I.DISPUTED,
    (_I.DISPUTED, InvoiceStep.ANSWER): _I.ISSUED,
    (_I.ISSUED, InvoiceStep.CREDIT): _I.CREDITED,
    (_I.DISPUTED, InvoiceStep.CREDIT): _I.CREDITED,
    (_I.PAID, InvoiceStep.CREDIT): _I.CREDITED,
}


def invoice_step(state: InvoiceState, step: InvoiceStep) -> InvoiceState:
    """Return the state after a step. Raise TransitionForbidden with the state found and the steps it allows."""
    target = STEPS.get((state, step))
    if target is None:
        allowed = tuple(sorted(one.value for found, one in STEPS if found == state))
        says = f"{step.value} does not fit an invoice that is {state.value}; allowed: {', '.join(allowed) or 'nothing'}"
        raise TransitionForbidden(says, found=state.value, allowed=allowed)
    return target


@dataclass(frozen=True, slots=True)
class Side:
    """One side of an invoice: its id in the consortium and the name of its organisation."""

    id: str
    organisation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageSaid:
    """What the provider's log says was used in a month, and the signed head of that log over `size` entries.

    Counted are the entries start <= index < size of the shard `origin`; first and last are those that used something.
    """

    contract: str
    month: str
    origin: str
    start: int
    size: int
    first: int | None = None
    last: int | None = None
    accesses: int
    deliveries: int
    rows: int
    queries: int
    rounds: int
    bytes: int
    is_first: bool  # the first use ever under the contract is among these entries
    granted: str = ""  # when the licence was granted and revoked; empty where the log does not say so up to `size`
    revoked: str = ""
    grant: str = ""
    checkpoint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoice:
    """One paper. Amounts are minor units of `currency`; those of a credit note are below 0.

    agreement_digest: what both sides signed. credits: number and digest of the invoice that a credit note is about.
    """

    number: str
    kind: InvoiceKind
    provider: Side
    consumer: Side
    agreement: Agreement
    agreement_digest: str
    issued: str
    due: str
    currency: str
    lines: tuple[Line, ...]
    subtotal_cents: int
    tax: Tax | None = None
    tax_cents: int
    total_cents: int
    usage: UsageSaid | None = None
    credits_number: str | None = None
    credits_digest: str | None = None
    reason: str | None = None

    def document(self) -> Json:
        """Return the JSON document that the provider signs."""
        return cast(Json, to_document(self))

    @classmethod
    def from_document(cls, document: Mapping[str, object]) -> "Invoice":
        """Return a checked invoice. Raise DocumentInvalid, InvoiceInvalid."""
        invoice = from_document(cls, document)
        check_invoice(invoice)
        return invoice

    def digest(self) -> str:
        """Return the SHA-256 of the canonical document, lower-case hex: what the ledger holds."""
        return digest(self.document())


def billed_units(agreement: Agreement, usage: UsageSaid) -> Fraction:
    """Return how many units of the agreed plan a usage comes to.

    one_off: one, with the first use ever under the contract. subscription: one for each month in which the licence
    held at any time, on the month's first invoice. The others: what was counted; rows pro rata.
    """
    plan = agreement.price.plan
    if plan == PricePlan.ONE_OFF:
        return Fraction(usage.is_first)
    if plan == PricePlan.SUBSCRIPTION:
        return Fraction(usage.start == 0 and is_live(agreement, usage))
    if plan == PricePlan.PER_1000_ROWS:
        return Fraction(usage.rows, THOUSAND)
    return Fraction(usage.queries if plan == PricePlan.PER_QUERY else usage.rounds)


def is_live(agreement: Agreement, usage: UsageSaid) -> bool:
    """Return whether the licence held at any time of the usage's month."""
    ends = min(month_of(agreement.expires), month_of(usage.revoked or agreement.expires))
    return bool(usage.granted) and month_of(usage.granted) <= usage.month <= ends


def invoice_lines(agreement: Agreement, usage: UsageSaid) -> tuple[Line, ...]:
    """Return the lines of an invoice; none where nothing is to be paid."""
    lines = lines_of(agreement.price, billed_units(agreement, usage))
    return tuple(line for line in lines if line.amount_cents)


@dataclass(frozen=True, slots=True)
class Left:
    """What credit notes have left of an invoice, minor units: with tax, and without."""

    total_cents: int
    net_cents: int


def credit_lines(invoice: Invoice, left: Left, amount_cents: int, reason: str) -> tuple[tuple[Line, ...], int]:
    """Return (lines, tax) of a credit note that takes back `amount_cents` with its tax. Raise InvoiceInvalid."""
    if not 0 < amount_cents <= left.total_cents:
        raise InvoiceInvalid(f"{amount_cents} is to be credited; {left.total_cents} of the invoice are left")
    net = credited_net(left, amount_cents)
    text = Text(f"credit for {invoice.number}: {reason}", f"{invoice.number} 贷记：{reason}")
    return (Line(text, "-1", net, -net),), net - amount_cents


def credited_net(left: Left, amount_cents: int) -> int:
    """Return the part of a credit that is not tax: as in what is left, so that credits in parts sum to the whole."""
    return rounded(Fraction(amount_cents * left.net_cents, left.total_cents))


def check_invoice(invoice: Invoice) -> None:
    """Raise InvoiceInvalid unless every figure follows from the agreement and the usage that the invoice holds."""
    agreement, usage = invoice.agreement, invoice.usage
    named = bool(NUMBER.fullmatch(invoice.number)) and invoice.number[:-SERIES] == invoice.provider.id
    _require(named, "the number is not PROVIDER-YEAR-NUMBER of this provider")
    _require(digest(agreement.document()) == invoice.agreement_digest, "agreement_digest is not that of the agreement")
    sides = (invoice.provider.id, invoice.consumer.id)
    _require(sides == (agreement.provider, agreement.consumer), "the sides are not those of the agreement")
    _require(invoice.currency == agreement.price.currency, "the currency is not the agreed one")
    _require(invoice.tax == agreement.price.tax, "the tax is not the agreed one")
    _require(invoice.subtotal_cents == sum(line.amount_cents for line in invoice.lines), "the lines do not sum up")
    _require(invoice.total_cents == invoice.subtotal_cents + invoice.tax_cents, "subtotal and tax are not the total")
    _require(datetime.fromisoformat(invoice.due) >= datetime.fromisoformat(invoice.issued), "due before it is issued")
    if invoice.kind == InvoiceKind.CREDIT_NOTE:
        _check_credit(invoice)
        return
    _require(usage is not None, "an invoice without usage")
    _check_reckoned(invoice, cast(UsageSaid, usage))


def _check_reckoned(invoice: Invoice, usage: UsageSaid) -> None:
    agreement = invoice.agreement
    _require(bool(MONTH.fullmatch(usage.month)), "usage.month is not a month, as in 2026-11")
    _require(usage.contract == agreement.request_id, "the usage is of another contract")
    _require(0 <= usage.start <= usage.size, "usage: no such range of entries")
    _require(invoice.lines == invoice_lines(agreement, usage), "a line does not follow from the price and the usage")
    _require(invoice.tax_cents == tax_on(agreement.price, invoice.subtotal_cents), "the tax does not follow")
    _require(invoice.total_cents > 0, "an invoice over nothing")


def _check_credit(invoice: Invoice) -> None:
    named = bool(invoice.credits_number) and bool(invoice.credits_digest)
    _require(named and invoice.usage is None, "a credit note names the invoice it is about, and no usage")
    _require(invoice.total_cents < 0 and invoice.subtotal_cents <= 0 and invoice.tax_cents <= 0, "a credit is below 0")
    _require(0 < len(invoice.reason or "") <= LONGEST_REASON, f"a reason has 1 to {LONGEST_REASON} characters")


def month_of(time: str) -> str:
    """Return the month of an RFC 3339 time in UTC."""
    return time[:7]


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise InvoiceInvalid(problem)
