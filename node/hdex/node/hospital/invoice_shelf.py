"""A hospital's invoices and credit notes as it keeps them: the signed paper, its place in the log, where it stands."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

from hdex.catalog.documents import from_document
from hdex.catalog.invoice import Invoice, InvoiceKind, InvoiceState, Left
from hdex.ledger.usage import Place
from hdex.node.documents import Document, Documents
from hdex.node.errors import NotFound
from hdex.node.invoice_file import is_dispute
from hdex.node.signed import Envelope

KIND, DRAFT, ENTRY = "invoice", "invoice_draft", "bank_entry"


@dataclass(frozen=True)
class KeptInvoice:
    """One paper. place: of its event in the log; said: the consumer's disputes and our answers, oldest first."""

    envelope: Envelope
    place: Place
    state: InvoiceState = InvoiceState.ISSUED
    said: tuple[Envelope, ...] = ()

    @cached_property
    def invoice(self) -> Invoice:
        """The paper's document: it was checked when it was written."""
        return from_document(Invoice, self.envelope["document"])

    @property
    def number(self) -> str:
        """Its number."""
        return self.invoice.number

    @property
    def dispute(self) -> Envelope | None:
        """The newest dispute; None where it was never disputed."""
        return next((one for one in reversed(self.said) if is_dispute(one)), None)

    def moved(self, state: InvoiceState, *said: Envelope) -> "KeptInvoice":
        """Return the paper in another state, with what was said last."""
        return replace(self, state=state, said=(*self.said, *said))

    def document(self) -> Document:
        """Return it as a JSON document."""
        place = {"origin": self.place.origin, "index": self.place.index, "month": self.place.month}
        return {"envelope": self.envelope, "place": place, "state": self.state.value, "said": list(self.said)}

    @classmethod
    def from_document(cls, document: Document) -> "KeptInvoice":
        """Return what was kept."""
        state = InvoiceState(document["state"])
        before = [document["dispute"]] if document.get("dispute") else []  # of before there were answers
        return cls(document["envelope"], Place(**document["place"]), state, tuple(document.get("said", before)))


def invoices_among(papers: Iterable[KeptInvoice], contract: str, month: str) -> list[KeptInvoice]:
    """Return the invoices over one month of a contract, in the order given."""
    of = [kept for kept in papers if kept.invoice.agreement.request_id == contract]
    return [kept for kept in of if kept.invoice.usage is not None and kept.invoice.usage.month == month]


@dataclass(slots=True)
class Balance:
    """An invoice with what its credit notes took back and what the bank said came in, from 0."""

    kept: KeptInvoice
    credited_cents: int = 0
    credited_net_cents: int = 0  # of it without tax
    paid_cents: int = 0

    @property
    def due_cents(self) -> int:
        """What is still to be paid; below 0 where more came in."""
        return self.kept.invoice.total_cents - self.credited_cents - self.paid_cents

    @property
    def left(self) -> Left:
        """What may still be credited."""
        invoice = self.kept.invoice
        return Left(invoice.total_cents - self.credited_cents, self.net_cents)

    @property
    def net_cents(self) -> int:
        """What the provider earned by it, without tax."""
        return self.kept.invoice.subtotal_cents - self.credited_net_cents


class InvoiceShelf:
    """The papers in the order of their numbers, drafts that no log holds yet, and what the bank said came in."""

    def __init__(self, hospital: str, documents: Documents) -> None:
        self._hospital = hospital
        self._documents = documents

    def all(self) -> list[KeptInvoice]:
        """Return every paper, oldest first."""
        return [KeptInvoice.from_document(document) for document in self._documents.all(KIND)]

    def get(self, number: str) -> KeptInvoice:
        """Return one paper. Raises NotFound."""
        return KeptInvoice.from_document(self._documents.get(KIND, number))

    def balances(self) -> dict[str, "Balance"]:
        """Return number -> balance of every invoice, in one pass over papers and bank entries."""
        papers = self.all()
        found = {kept.number: Balance(kept) for kept in papers if kept.invoice.kind == InvoiceKind.INVOICE}
        for note in (kept.invoice for kept in papers):
            if note.credits_number is not None:
                found[note.credits_number].credited_cents -= note.total_cents
                found[note.credits_number].credited_net_cents -= note.subtotal_cents
        for row in self._documents.all(ENTRY):
            found[row["number"]].paid_cents += int(row["amount_cents"])
        return found

    def balance(self, number: str) -> "Balance":
        """Return the balance of one invoice. Raises NotFound."""
        self.get(number)
        return self.balances()[number]

    def next_number(self, issued: datetime) -> str:
        """Return the number of the next paper: one series a provider and year, without gaps."""
        prefix = f"{self._hospital}-{issued.year:04}-"
        taken = [int(key.removeprefix(prefix)) for key in self._documents.keys(KIND) if key.startswith(prefix)]
        return f"{prefix}{max(taken, default=0) + 1:06}"

    def keep(self, kept: KeptInvoice) -> KeptInvoice:
        """Keep a paper, or where it stands now; durable on return."""
        self._documents.put(KIND, kept.number, kept.document())
        return kept

    def draft(self, envelope: Envelope) -> None:
        """Keep a signed paper whose event is about to be written: it is no invoice before the log holds it."""
        self._documents.put(DRAFT, envelope["document"]["number"], envelope)

    def drafts(self) -> Iterator[Envelope]:
        """Yield the drafts that a crash, or a log that failed, has left."""
        yield from self._documents.all(DRAFT)

    def drop_draft(self, number: str) -> None:
        """Forget a draft."""
        self._documents.remove(DRAFT, [number])

    def knows_entry(self, entry_id: str) -> bool:
        """Return whether a bank entry counts already."""
        with suppress(NotFound):
            return bool(self._documents.get(ENTRY, entry_id))
        return False

    def entries_of(self, number: str) -> list[Document]:
        """Return the bank entries that count for an invoice, by day: {id, booked, amount_cents}."""
        found = [row for row in self._documents.all(ENTRY) if row["number"] == number]
        rows = [
            {"id": row.get("id", ""), "booked": row["booked"], "amount_cents": row["amount_cents"]} for row in found
        ]
        return sorted(rows, key=lambda row: (row["booked"], row["id"]))

    def keep_entry(self, entry_id: str, document: Document) -> None:
        """Count a bank entry; the same again is no error."""
        self._documents.put(ENTRY, entry_id, document)
