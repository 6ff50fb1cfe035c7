"""Receipts of complete deliveries, and how many chunks a contract may be sent: what it was sent, the node's log says.

A delivery is complete when its receipt is signed. Who signs no receipt has no more: the chunks are bounded, generously
enough that a bad line may cut and resume.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from hdex.catalog.contract import Agreement
from hdex.node.documents import Documents
from hdex.node.errors import AccessDenied, NotFound
from hdex.node.hospital.usage_book import UsageBook
from hdex.node.signed import Envelope, digest

KIND = "delivery"
TIMES = 8  # each chunk of an agreed delivery, on average, before it counts as had


class DeliveryQuota:
    """The receipts of each contract, and the chunks it may still be sent."""

    def __init__(self, documents: Documents, book: UsageBook) -> None:
        self._documents = documents
        self._book = book
        self._counting = threading.Lock()  # two ranges asked at once must not both be the last

    @contextmanager
    def taking(self, agreement: Agreement, chunks: int, *, of: int) -> Iterator[None]:
        """Run the body, which must write the event of one range, unless the contract was sent too many chunks.

        of: chunks of one whole delivery. Raises AccessDenied where too many were sent for the agreed deliveries.
        """
        agreed, contract = agreement.max_deliveries, agreement.request_id
        with self._counting:
            before = self._book.chunks(contract)
            if before + chunks > agreed * of * TIMES:
                raise AccessDenied(
                    "agreement.deliveries",
                    "agree on another delivery",
                    f"{agreed} complete deliveries are agreed, {before} chunks authorised",
                )
            yield

    def acknowledged(self, contract: str, receipt: Envelope) -> None:
        """Keep a receipt; the same words again are one delivery."""
        with self._counting:
            said = digest(receipt["document"])
            others = [one for one in self._receipts(contract) if digest(one["document"]) != said]
            self._documents.put(KIND, contract, {"receipt": receipt, "receipts": [*others, receipt]})

    def _receipts(self, contract: str) -> list[Envelope]:
        try:
            known = self._documents.get(KIND, contract)
        except NotFound:
            return []
        receipts: list[Envelope] = known.get("receipts", [known["receipt"]])
        return receipts
