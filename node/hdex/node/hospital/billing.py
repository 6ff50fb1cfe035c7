"""Invoices from the log: used under a contract, reckoned by its price, signed, remembered, and only then an invoice.

An invoice covers those entries of one month that no earlier invoice of the contract covers. Where there is nothing new
the last invoice of the month is the answer: the same period is the same invoice.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from hdex.catalog.contract import Agreement, agreement_digest
from hdex.catalog.documents import to_document
from hdex.catalog.invoice import (
    MONTH,
    Invoice,
    InvoiceKind,
    InvoiceState,
    InvoiceStep,
    Left,
    Side,
    UsageSaid,
    credit_lines,
    invoice_lines,
    invoice_step,
)
from hdex.catalog.organisation import is_plain
from hdex.catalog.quote import tax_on
from hdex.ledger.event import format_time
from hdex.ledger.usage import Place
from hdex.node.access_proof import AccessProof
from hdex.node.contract_record import ContractRecord
from hdex.node.directory import Directory
from hdex.node.documents import Document
from hdex.node.errors import AccessDenied, NotFound, RequestInvalid
from hdex.node.failpoint import failpoint
from hdex.node.hospital.invoice_shelf import Balance, InvoiceShelf, KeptInvoice, invoices_among
from hdex.node.hospital.negotiation import Negotiations
from hdex.node.hospital.signatory import Signatory
from hdex.node.hospital.usage_book import UsageBook
from hdex.node.identity import Identity
from hdex.node.recorder import Facts, Recorder
from hdex.node.signed import Envelope, digest, sign, verify

DUE_DAYS = 30
LONGEST_REASON = 400
LONGEST_TIME = 40  # characters
MOST_WORDS = 20  # disputes and answers about one invoice
COUNTED = ("first", "last", "accesses", "deliveries", "rows", "queries", "rounds", "bytes")


@dataclass(frozen=True, slots=True)
class Credit:
    """What shall be taken back of an invoice; 0 is all that is left, in whatever currency."""

    amount_cents: int
    currency: str
    reason: str

    def __post_init__(self) -> None:
        if not 0 < len(self.reason) <= LONGEST_REASON:
            raise RequestInvalid(f"a credit note has a reason of 1 to {LONGEST_REASON} characters")


class Billing:
    """A hospital's invoices. Every verb may be called again."""

    def __init__(
        self, me: Signatory, shelf: InvoiceShelf, negotiations: Negotiations, *,
        book: UsageBook, directory: Directory, recorder: Recorder,
    ) -> None:  # fmt: skip
        self._me = me
        self.shelf = shelf
        self._negotiations = negotiations
        self._book = book
        self._directory = directory
        self._recorder = recorder
        self.changing = threading.RLock()  # papers are read and written in one step

    def issue(self, contract_id: str, month: str, actor: Identity) -> KeptInvoice:
        """Return the invoice over a month that has ended; raise AccessDenied while it runs or where nothing is due."""
        with self._recorder.refusals("invoice.issue", actor, contract=contract_id), self.changing:
            require_month(month)
            if month >= self._month():
                raise AccessDenied(
                    "invoice.period_open",
                    "wait until the month has ended, or issue an invoice to date",
                    f"{month} has not ended",
                )
            return self._issue(contract_id, month, actor)

    def issue_to_date(self, contract_id: str, actor: Identity) -> KeptInvoice:
        """Return the invoice over what this month has brought so far; a later one covers the rest of it."""
        with self._recorder.refusals("invoice.issue", actor, contract=contract_id), self.changing:
            return self._issue(contract_id, self._month(), actor)

    def credit(self, number: str, wanted: Credit, actor: Identity) -> KeptInvoice:
        """Return a credit note over all of an invoice that is not credited yet, or over a part of it."""
        with self._recorder.refusals("invoice.credit", actor), self.changing:
            self._finish_drafts()
            balance = self._balance(number)
            invoice = balance.kept.invoice
            left = balance.left
            amount = wanted.amount_cents or left.total_cents
            if wanted.amount_cents and wanted.currency != invoice.currency:
                raise AccessDenied(
                    "invoice.currency", f"say the amount in {invoice.currency}", "another currency is said"
                )
            if not 0 < amount <= (most := left.total_cents):
                raise AccessDenied(
                    "invoice.credited", f"credit {most} at most", f"{amount} of {most} is to be credited"
                )
            return self._write(self._credit_note(invoice, left, replace(wanted, amount_cents=amount)), actor)

    def dispute(self, envelope: Envelope, actor: Identity) -> KeptInvoice:
        """Keep the consumer's signed word against an invoice."""
        number = str(envelope["document"].get("number", ""))
        with self._recorder.refusals("invoice.dispute", actor), self.changing:
            said = verify("dispute", envelope, self._directory.sign_keys(actor.participant))
            kept = self._mine(number, actor.participant)
            plain = all(isinstance(value, str) for value in said.values())
            fits = set(said) == {"number", "digest", "reason", "at"} and plain
            if not fits or said["digest"] != kept.invoice.digest():
                raise RequestInvalid("a dispute says number, digest, reason and at, of the invoice that was issued")
            if not 0 < len(said["reason"]) <= LONGEST_REASON or not is_plain(said["reason"]):
                raise RequestInvalid(f"a dispute has a plain reason of 1 to {LONGEST_REASON} characters")
            if len(said["at"]) > LONGEST_TIME:
                raise RequestInvalid(f"the time of a dispute has at most {LONGEST_TIME} characters")
            if kept.state == InvoiceState.DISPUTED:
                return kept
            if len(kept.said) >= MOST_WORDS:
                raise AccessDenied(
                    "invoice.words", "settle it with the hospital", f"{MOST_WORDS} words were said about it"
                )
            moved = kept.moved(invoice_step(kept.state, InvoiceStep.DISPUTE), envelope)
            about = self._about(kept.invoice) | Facts(request_digest=digest(said))
            with self._recorder.release("invoice.dispute", actor, **about):
                return self.shelf.keep(moved)

    def answer(self, number: str, reason: str, actor: Identity, *, dispute: str) -> KeptInvoice:
        """Return a disputed invoice as issued again, with our signed word why it stands; again changes nothing.

        dispute: digest of the dispute that was read. What shall not stand is credited instead.
        """
        with self._recorder.refusals("invoice.answer", actor), self.changing:
            if not 0 < len(reason) <= LONGEST_REASON or not is_plain(reason):
                raise RequestInvalid(f"an answer has a plain reason of 1 to {LONGEST_REASON} characters")
            kept = self.shelf.get(number)
            if kept.dispute is None or digest(kept.dispute["document"]) != dispute:
                raise AccessDenied(
                    "invoice.other_dispute", "read it again, then answer", "no such dispute is the newest"
                )
            said = {"number": number, "digest": kept.invoice.digest(), "dispute": dispute, "reason": reason}
            if kept.state != InvoiceState.DISPUTED and is_answered(kept, said):
                return kept
            state = invoice_step(kept.state, InvoiceStep.ANSWER)
            paper = said | {"role": actor.role, "at": format_time(self._me.clock())}
            envelope = sign("dispute_answer", paper, self._me.hospital, self._me.sign_key)
            about = self._about(kept.invoice) | Facts(request_digest=digest(paper))
            with self._recorder.release("invoice.answer", actor, **about):
                return self.shelf.keep(kept.moved(state, envelope))

    def due(self, month: str) -> Document:
        """Return what an invoice over a month would bill now, by contract: {"month", "is_open", "rows"}."""
        require_month(month)
        with self.changing:
            self._finish_drafts()
            papers = self.shelf.all()
            finals = [one for one in self._negotiations.all() if one.agreement is not None and one.grant_id]
            try:
                rows = [self._due(record, month, papers) for record in finals]
            except NotFound:
                rows = []  # the node kept no log in that year
        return {"month": month, "is_open": month >= self._month(), "rows": [row for row in rows if row["lines"]]}

    def all(self) -> list[KeptInvoice]:
        """Return every paper, oldest first, those included whose keeping a crash had cut short."""
        with self.changing:
            self._finish_drafts()
            return self.shelf.all()

    def of_consumer(self, actor: Identity) -> list[KeptInvoice]:
        """Return the papers that are addressed to who asks."""
        self._recorder.allow("contract.read", actor)
        return [kept for kept in self.all() if kept.invoice.consumer.id == actor.participant]

    def money(self, kept: KeptInvoice) -> tuple[int, int]:
        """Return (paid, credited) of an invoice; of a credit note nothing."""
        if kept.invoice.kind == InvoiceKind.CREDIT_NOTE:
            return 0, 0
        balance = self.shelf.balance(kept.number)
        return balance.paid_cents, balance.credited_cents

    def proof(self, kept: KeptInvoice) -> AccessProof:
        """Return what shows that a paper's event stands in this hospital's log."""
        return self._book.proof(kept.place)

    def _issue(self, contract_id: str, month: str, actor: Identity) -> KeptInvoice:
        self._finish_drafts()
        agreement = agreed(self._negotiations.get(contract_id))
        earlier = invoices_among(self.shelf.all(), contract_id, month)
        usage = self._uncovered(contract_id, month, earlier)
        if invoice_lines(agreement, usage):
            return self._write(self._invoice(agreement, usage), actor)
        if earlier:
            return earlier[-1]
        raise AccessDenied(
            "invoice.nothing",
            "issue an invoice once the contract is used, or for another month",
            f"by its plan {agreement.price.plan} nothing is due under {contract_id} in {month}",
        )

    def _uncovered(self, contract_id: str, month: str, earlier: Sequence[KeptInvoice]) -> UsageSaid:
        """Return what a month brought that no earlier invoice over it covers. Raises NotFound without a log."""
        covered = max((one.invoice.usage.size for one in earlier if one.invoice.usage), default=0)
        return self._book.usage(contract_id, month, start=covered)

    def _due(self, record: ContractRecord, month: str, papers: Sequence[KeptInvoice]) -> Document:
        agreement = agreed(record)
        earlier = invoices_among(papers, record.contract_id, month)
        usage = self._uncovered(record.contract_id, month, earlier)
        lines = invoice_lines(agreement, usage)
        subtotal = sum(line.amount_cents for line in lines)
        tax = tax_on(agreement.price, subtotal)
        return {
            "contract": record.contract_id,
            "consumer": agreement.consumer,
            "product": agreement.product,
            "version": agreement.version,
            "plan": agreement.price.plan.value,
            "currency": agreement.price.currency,
            "lines": [to_document(line) for line in lines],
            "tax_cents": tax,
            "total_cents": subtotal + tax,
            "usage": {name: getattr(usage, name) for name in COUNTED},
            "earlier": [one.number for one in earlier],
        }

    def _invoice(self, agreement: Agreement, usage: UsageSaid) -> Invoice:
        now, lines = self._me.clock(), invoice_lines(agreement, usage)
        subtotal = sum(line.amount_cents for line in lines)
        tax = tax_on(agreement.price, subtotal)
        return Invoice(
            number=self.shelf.next_number(now),
            kind=InvoiceKind.INVOICE,
            provider=self._side(agreement.provider),
            consumer=self._side(agreement.consumer),
            agreement=agreement,
            agreement_digest=agreement_digest(agreement.document()),
            issued=format_time(now),
            due=format_time(now + timedelta(days=DUE_DAYS)),
            currency=agreement.price.currency,
            lines=lines,
            subtotal_cents=subtotal,
            tax=agreement.price.tax,
            tax_cents=tax,
            total_cents=subtotal + tax,
            usage=usage,
        )

    def _credit_note(self, invoice: Invoice, left: Left, wanted: Credit) -> Invoice:
        now = self._me.clock()
        lines, tax = credit_lines(invoice, left, wanted.amount_cents, wanted.reason)
        return Invoice(
            number=self.shelf.next_number(now),
            kind=InvoiceKind.CREDIT_NOTE,
            provider=invoice.provider,
            consumer=invoice.consumer,
            agreement=invoice.agreement,
            agreement_digest=invoice.agreement_digest,
            issued=format_time(now),
            due=format_time(now),
            currency=invoice.currency,
            lines=lines,
            subtotal_cents=sum(line.amount_cents for line in lines),
            tax=invoice.tax,
            tax_cents=tax,
            total_cents=-wanted.amount_cents,
            credits_number=invoice.number,
            credits_digest=invoice.digest(),
            reason=wanted.reason,
        )

    def _write(self, invoice: Invoice, actor: Identity) -> KeptInvoice:
        """Sign, draft, remember, keep: after a crash the log says whether the draft became an invoice."""
        self._book.require_writable()  # else a draft whose fate only a restart tells would be lost to this one
        envelope = sign("invoice", invoice.document(), self._me.hospital, self._me.sign_key)
        self.shelf.draft(envelope)
        failpoint("billing.drafted")
        about = self._about(invoice) | Facts(result_digest=invoice.digest())
        if invoice.kind == InvoiceKind.INVOICE:
            self._recorder.allow("invoice.issue", actor, **about)
        else:
            self._recorder.allow("invoice.credit", actor, **about)
        failpoint("billing.logged")
        place = self._book.entry(invoice.digest())
        if place is None:
            raise AccessDenied("invoice.lost", "tell the operator", "the log does not hold what was just written")
        return self._keep(envelope, place)

    def _finish_drafts(self) -> None:
        """Keep the drafts that the log holds and forget the others: their numbers were never given out.

        While the log has failed nobody knows what reached the disk: then drafts wait for the restart.
        """
        for envelope in list(self.shelf.drafts()):
            place = self._book.entry(digest(envelope["document"]))
            if place is not None:
                self._keep(envelope, place)
            elif self._book.is_writable:
                self.shelf.drop_draft(envelope["document"]["number"])

    def _keep(self, envelope: Envelope, place: Place) -> KeptInvoice:
        kept = self.shelf.keep(KeptInvoice(envelope, place))
        failpoint("billing.kept")
        number = kept.invoice.credits_number
        if number is not None:
            of = self.shelf.balance(number)
            whole = of.credited_cents == of.kept.invoice.total_cents
            if whole and of.kept.state != InvoiceState.CREDITED:
                self.shelf.keep(of.kept.moved(invoice_step(of.kept.state, InvoiceStep.CREDIT)))
        self.shelf.drop_draft(kept.number)
        return kept

    def _balance(self, number: str) -> Balance:
        if self.shelf.get(number).invoice.kind != InvoiceKind.INVOICE:
            raise AccessDenied("invoice.not_one", "name an invoice", f"{number} is a credit note")
        return self.shelf.balance(number)

    def _mine(self, number: str, consumer: str) -> KeptInvoice:
        kept = self.shelf.get(number)
        if kept.invoice.consumer.id != consumer or kept.invoice.kind != InvoiceKind.INVOICE:
            raise AccessDenied("invoice.foreign", "name an invoice of yours", "the invoice is to another")
        return kept

    def _about(self, invoice: Invoice) -> Facts:
        agreement = invoice.agreement
        return Facts(product=agreement.product, version=agreement.version, contract=agreement.request_id)

    def _side(self, participant: str) -> Side:
        return Side(participant, self._directory.member(participant).organisation)

    def _month(self) -> str:
        return format_time(self._me.clock())[:7]


def is_answered(kept: KeptInvoice, said: Document) -> bool:
    """Return whether the last word about an invoice says just this."""
    last = kept.said[-1]["document"] if kept.said else {}
    return {name: last.get(name) for name in said} == said


def require_month(month: str) -> None:
    """Raise RequestInvalid for what is no month."""
    if not MONTH.fullmatch(month):
        raise RequestInvalid("a month is named as in 2026-11")


def agreed(record: ContractRecord) -> Agreement:
    """Return a contract's agreement once it was granted. Raises AccessDenied: nothing is billed before."""
    if record.agreement is None or not record.grant_id:
        raise AccessDenied("contract.state", "finish the negotiation", f"the contract is {record.state}, not FINALIZED")
    return Agreement.from_document(record.agreement["document"])
