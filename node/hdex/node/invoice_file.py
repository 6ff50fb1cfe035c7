"""An invoice as a file: the signed paper, and the proof that its digest stands in the provider's log.

    {"invoice": {"document", "signatures"}, "proof": {"entry", "index", "checkpoint", "hashes"}}

Whoever holds it checks it offline: signature, figures, log (`check_file`). Where it stands (paid, disputed) is not part
of it: that changes.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hdex.catalog.invoice import NUMBER, Invoice, InvoiceKind
from hdex.ledger.document import load
from hdex.ledger.errors import LedgerError
from hdex.ledger.event import Action, Decision
from hdex.ledger.note import Verifier, parse_checkpoint, verify_note
from hdex.node.access_proof import AccessProof
from hdex.node.directory import Directory
from hdex.node.durable import write_atomic
from hdex.node.errors import ContainerInvalid, InvoiceRefused, RequestInvalid
from hdex.node.signed import Envelope, verify

LARGEST = 1 << 20  # bytes of a file
FIELDS = {"invoice", "proof"}
ANSWERED = "dispute"  # field of an answer: digest of the dispute


@dataclass(frozen=True, slots=True)
class InvoiceFile:
    """A paper with its proof; state, sums and words are what the provider says of it now, empty where it was read."""

    envelope: Envelope
    proof: AccessProof
    state: str = ""
    paid_cents: int = 0
    credited_cents: int = 0
    said: tuple[Envelope, ...] = ()  # disputes and answers, signed, oldest first; unverified

    def to_bytes(self) -> bytes:
        """Return the file."""
        document = {"invoice": self.envelope, "proof": self.proof.document()}
        return json.dumps(document, ensure_ascii=False, sort_keys=True, indent=1).encode() + b"\n"

    @property
    def document(self) -> dict[str, Any]:
        """The paper's document, unverified."""
        found: dict[str, Any] = self.envelope["document"]
        return found

    @property
    def is_note(self) -> bool:
        """Whether it is a credit note: nothing of it is to be paid."""
        return bool(self.document.get("kind") == InvoiceKind.CREDIT_NOTE)

    @property
    def open_cents(self) -> int:
        """What is still to be paid, from 0."""
        return 0 if self.is_note else max(0, self.document["total_cents"] - self.paid_cents - self.credited_cents)

    def is_overdue(self, at: str) -> bool:
        """Return whether its day has passed and something is open. at: RFC 3339 in UTC, as `due` is."""
        return self.open_cents > 0 and str(self.document["due"]) < at

    @property
    def number(self) -> str:
        """The paper's number, fit to be the name of a file. Raises InvoiceRefused."""
        number = str(self.document.get("number", ""))
        if not NUMBER.fullmatch(number):
            raise InvoiceRefused("the number is not PROVIDER-YEAR-NUMBER")
        return number


def is_dispute(said: Envelope) -> bool:
    """Return whether a signed word about a paper is a dispute; an answer names the dispute that it is about."""
    return ANSWERED not in said["document"]


def newest_dispute(file: InvoiceFile) -> dict[str, Any] | None:
    """Return the document of the last dispute about a paper; None where it was never disputed."""
    return next((one["document"] for one in reversed(file.said) if is_dispute(one)), None)


def read_file(path: Path) -> InvoiceFile:
    """Return what a file holds, unverified. Raises RequestInvalid, ContainerInvalid."""
    try:
        data = path.read_bytes()
        found: object = load(data) if len(data) <= LARGEST else None
    except OSError as error:
        raise RequestInvalid(f"{path} cannot be read") from error
    except ValueError as error:
        raise RequestInvalid(f"{path} is not JSON: ask for the file that the hospital gave out") from error
    if not isinstance(found, dict) or set(found) != FIELDS or not isinstance(found["invoice"], dict):
        raise RequestInvalid(f"{path} is no invoice file: it has exactly {', '.join(sorted(FIELDS))}")
    if not isinstance(found["invoice"].get("document"), dict):
        raise RequestInvalid(f"{path} holds no signed paper")
    return InvoiceFile(found["invoice"], AccessProof.from_bytes(json.dumps(found["proof"]).encode()))


def write_file(file: InvoiceFile, folder: Path) -> Path:
    """Write the JSON and a page in English and one in Chinese beside it, and return the JSON's path."""
    from hdex.node.web.invoice_page import invoice_page

    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    invoice = Invoice.from_document(file.document)
    path = folder / f"{file.number}.json"
    write_atomic(path, file.to_bytes())
    for lang in ("en", "zh"):
        write_atomic(folder / f"{file.number}.{lang}.html", invoice_page(invoice, lang).encode(), mode=0o644)
    return path


def check_file(file: InvoiceFile, directory: Directory) -> Invoice:
    """Return the invoice after checking signature, figures and log. Raises what does not hold, named for it."""
    invoice = Invoice.from_document(file.document)  # 1 every figure follows from agreement and usage
    provider = directory.require(invoice.provider.id, "hospital")
    verify("invoice", file.envelope, {provider.id: provider.sign_key})  # 2 the provider signed it
    try:
        event = file.proof.event(provider)  # 3 and its log holds its digest
    except ContainerInvalid as error:
        raise InvoiceRefused("the proof does not show that the invoice stands in the provider's log") from error
    action = Action.INVOICE_ISSUE if invoice.kind == InvoiceKind.INVOICE else Action.INVOICE_CREDIT
    said = (event.node, event.action, event.decision, event.contract, event.result_digest)
    if said != (provider.id, action, Decision.ALLOW, invoice.agreement.request_id, invoice.digest()):
        raise InvoiceRefused("the proven entry of the provider's log is about another paper")
    if invoice.usage is not None:  # 4 the usage stands on a head that the provider signed, of the same log
        _check_head(invoice, file.proof, provider.log_key)
    return invoice


def _check_head(invoice: Invoice, proof: AccessProof, log_key: bytes) -> None:
    usage = invoice.usage
    if usage is None:
        return
    try:
        head = parse_checkpoint(usage.checkpoint)
        verify_note(usage.checkpoint, [Verifier(head.origin, log_key)])
    except LedgerError as error:
        raise InvoiceRefused("the usage stands on a checkpoint that the provider's log key did not sign") from error
    same_log = parse_checkpoint(proof.checkpoint).origin == usage.origin
    if (head.origin, head.size) != (usage.origin, usage.size) or (same_log and proof.index < usage.size):
        raise InvoiceRefused("the usage stands on another checkpoint than it says")


def require_agreed(invoice: Invoice, agreement: Mapping[str, Any] | None) -> None:
    """Raise InvoiceRefused unless an invoice holds the agreement that we signed."""
    if agreement is None or invoice.agreement.document() != agreement:
        raise InvoiceRefused("the invoice stands on another agreement than the one we signed: dispute it")
