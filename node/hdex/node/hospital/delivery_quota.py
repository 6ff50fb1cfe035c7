"""How many complete deliveries a contract has had: counted durably before a range leaves, so that none is had for free.

A delivery is complete when its receipt is signed. Who signs none has no more: the chunks authorised under a contract
are bounded too, generously enough that a bad line may cut and resume.
"""

import threading

from hdex.catalog.contract import Agreement
from hdex.node.documents import Document, Documents
from hdex.node.errors import AccessDenied, NotFound
from hdex.node.signed import Envelope, digest

KIND, COUNT = "delivery", "delivery_chunks"
TIMES = 8  # each chunk of an agreed delivery, on average, before it counts as had


class DeliveryQuota:
    """What is left of each contract's deliveries."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._counting = threading.Lock()  # two ranges asked at once must not both be the last

    def take(self, agreement: Agreement, chunks: int, *, of: int) -> None:
        """Count the chunks of one range against the contract; durable on return.

        of: chunks of one whole delivery. Raises AccessDenied where the agreed deliveries were had.
        """
        agreed, contract = agreement.max_deliveries, agreement.request_id
        with self._counting:
            had, before = len(self._receipts(contract)), int(self._known(COUNT, contract).get("chunks", 0))
            if had >= agreed or before + chunks > agreed * of * TIMES:
                raise AccessDenied(
                    "agreement.deliveries",
                    "agree on another delivery",
                    f"{agreed} complete deliveries are agreed, {had} were acknowledged, {before} chunks authorised",
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
