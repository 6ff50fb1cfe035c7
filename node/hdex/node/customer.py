"""A buyer about money: its invoices, checked before they are believed, kept as files, disputed where they are wrong."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from hdex.catalog.invoice import Invoice
from hdex.ledger.errors import LedgerError
from hdex.ledger.event import format_time
from hdex.node.access_proof import AccessProof
from hdex.node.contract_record import ContractRecord
from hdex.node.directory import Directory
from hdex.node.errors import InvoiceRefused, NodeError
from hdex.node.invoice_file import InvoiceFile, check_file, is_dispute, require_agreed, write_file
from hdex.node.keys import KeyProvider
from hdex.node.signed import Envelope, sign, verify

LONGEST_WORD = 400  # characters that are shown of what a provider says
LOG_LINES = ".log.jsonl"  # what `fetch` keeps of a provider's log, beside the file


class Till(Protocol):
    """Hospitals about money, as a buyer calls them."""

    def invoices(self, provider: str) -> list[InvoiceFile]: ...
    def dispute(self, provider: str, paper: dict[str, Any]) -> InvoiceFile: ...


@dataclass(frozen=True, slots=True)
class Checked:
    """An invoice and what was held against it."""

    invoice: Invoice
    checked: tuple[str, ...]
    not_checked: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Word:
    """What one side said about an invoice: a dispute of ours, or the provider's answer that it stands."""

    is_ours: bool
    reason: str
    at: str
    holds: bool  # its signature is that side's, and it is about this very paper


class Customer:
    """One buyer's invoices. `status` asks the exchange for a contract; `received` is where deliveries lie."""

    def __init__(
        self, me: str, keys: KeyProvider, directory: Directory, *,
        till: Till, status: Callable[[str], ContractRecord], received: Path, clock: Callable[[], datetime],
    ) -> None:  # fmt: skip
        self._me = me
        self._keys = keys
        self._directory = directory
        self._till = till
        self._status = status
        self._received = received
        self._clock = clock

    def invoices(self, provider: str = "") -> list[InvoiceFile]:
        """Return the papers of one hospital, or of all, each checked; one that does not hold is refused, named."""
        asked = [provider] if provider else [one.id for one in self._directory.members if one.kind == "hospital"]
        found: list[InvoiceFile] = []
        for name in asked:
            for file in self._till.invoices(name):
                self._require_mine(check_file(file, self._directory), name)
                found.append(file)
        return found

    def keep(self, file: InvoiceFile) -> Path:
        """Write a paper and its pages beside the deliveries, and return the file."""
        return write_file(file, self._received / "invoices")

    def check(self, file: InvoiceFile, *, ask: bool = True) -> Checked:
        """Return a paper after holding it against signature, log, our agreement and what we received.

        ask: ask the exchange for the agreement. Raises what does not hold.
        """
        invoice = check_file(file, self._directory)
        self._require_mine(invoice, invoice.provider.id)
        checked = ["the provider's signature", "every figure, from agreement and usage", "the digest in its log"]
        missing: list[str] = []
        if ask:
            record = self._status(invoice.agreement.request_id)
            sides = self._directory.sign_keys(self._me, invoice.provider.id)
            agreed = verify("agreement", record.agreement or {}, sides)
            require_agreed(invoice, agreed)
            checked.append("the agreement that we signed")
        else:
            missing.append("the agreement: not asked for")
        seen = self._require_received(invoice)
        if seen is None:
            missing.append("the deliveries: nothing of this contract was fetched into this folder")
        else:
            checked.append(f"{seen} proven entries of deliveries that we hold")
        return Checked(invoice, tuple(checked), tuple(missing))

    def dispute(self, file: InvoiceFile, reason: str) -> InvoiceFile:
        """Tell the provider, signed, why an invoice is wrong."""
        invoice = check_file(file, self._directory)
        self._require_mine(invoice, invoice.provider.id)
        paper = {
            "number": invoice.number,
            "digest": invoice.digest(),
            "reason": reason,
            "at": format_time(self._clock()),
        }
        return self._till.dispute(invoice.provider.id, sign("dispute", paper, self._me, self._keys.secret("sign")))

    def words(self, file: InvoiceFile) -> list[Word]:
        """Return what was said about a paper, oldest first. A word that does not hold is shown as one that does not."""
        return [self._word(one, file) for one in file.said]

    def _word(self, envelope: Envelope, file: InvoiceFile) -> Word:
        is_ours = is_dispute(envelope)
        kind, signer = ("dispute", self._me) if is_ours else ("dispute_answer", str(file.document["provider"]["id"]))
        said, at, holds = envelope["document"], "", False
        with suppress(NodeError, ValueError):
            said = verify(kind, envelope, self._directory.sign_keys(signer))
            at = format_time(datetime.fromisoformat(str(said.get("at", ""))))
            holds = said.get("digest") == Invoice.from_document(file.document).digest()
        return Word(is_ours, str(said.get("reason", ""))[:LONGEST_WORD], at, holds)

    def _require_mine(self, invoice: Invoice, provider: str) -> None:
        if (invoice.consumer.id, invoice.provider.id) != (self._me, provider):
            raise InvoiceRefused("the invoice is to another, or from another than who gave it out")

    def _require_received(self, invoice: Invoice) -> int | None:
        """Return how many of the counted ranges we hold the log's proof of; None where we hold none of the contract.

        Raises InvoiceRefused where deliveries are billed though we were shown no entry among those counted.
        """
        usage, path = invoice.usage, self._received / f"{invoice.agreement.request_id}{LOG_LINES}"
        if usage is None or not path.exists():
            return None
        member, indexes = self._directory.member(invoice.provider.id), set[int]()
        for line in path.read_bytes().splitlines():
            with suppress(NodeError, LedgerError):
                proof = AccessProof.from_bytes(line)
                proof.event(member)
                if f"\n{usage.origin}\n" in f"\n{proof.checkpoint}":
                    indexes.add(proof.index)
        held = [index for index in indexes if usage.start <= index < usage.size]
        if usage.deliveries and not held:
            raise InvoiceRefused("deliveries are billed of which the log's proofs beside our files show nothing")
        return len(held)
