"""Receipts of complete deliveries, and how many chunks a contract was sent: counted durably before a range leaves.

A delivery is complete when its receipt is signed; how many a contract has had, its log says. Who signs no receipt has
no more: the chunks are bounded, generously enough that a bad line may cut and resume.
"""

import threading

from hdex.catalog.contract import Agreement
from hdex.node.documents import Document, Documents
from hdex.node.errors import AccessDenied, NotFound
from hdex.node.signed import Envelope, digest

KIND, COUNT = "delivery", "delivery_chunks"
TIMES = 8  # each chunk of an agreed delivery, on average, before it counts as had


class DeliveryQuota:
    """The receipts of each contract, and the chunks it may still be sent."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._counting = threading.Lock()  # two ranges asked at once must not both be the last

    def take(self, agreement: Agreement, chunks: int, *, of: int) -> None:
        """Count the chunks of one range against the contract; durable on return.

        of: chunks of one whole delivery. Raises AccessDenied where too many were sent for the agreed deliveries.
        """
        agreed, contract = agreement.max_deliveries, agreement.request_id
        with self._counting:
            before = int(self._known(COUNT, contract).get("chunks", 0))
            if before + chunks > agreed * of * TIMES:
                raise AccessDenied(
                    "agreement.deliveries",
                    "agree on another delivery",
                    f"{agreed} complete deliveries are agreed, {before} chunks authorised",
                )
            self._documents.put(COUNT, contract, {"chunks": before + chunks})

    def acknowledged(self, contract: str, receipt: Envelope) -> None:
        """Keep a receipt; the same words again are one delivery."""
        with self._counting:
            said = digest(receipt["document"])
            others = [one for one in self._receipts(contract) if digest(one["document"]) != said]
            self._documents.put(KIND, contract, {"receipt": receipt, "receipts": [*others, receipt]})

    def _receipts(self, contract: str) -> list[Envelope]:
        known = self._known(KIND, contract)
        receipts: list[Envelope] = known.get("receipts", [known["receipt"]] if "receipt" in known else [])
        return receipts

    def _known(self, kind: str, contract: str) -> Document:
        try:
            return self._documents.get(kind, contract)
        except NotFound:
            return {}
