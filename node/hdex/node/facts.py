"""Facts for the chain, kept until they stand there: a chain that is down delays them and changes no decision."""

import logging
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

from hdex.ledger.anchor import NOT_YET_RULES
from hdex.ledger.errors import ChainRefused, ChainUnavailable, ChainWrong
from hdex.ledger.ports import Chain
from hdex.node.documents import Documents
from hdex.node.errors import AccessDenied, NotFound

logger = logging.getLogger(__name__)
KIND = "chain_fact"


class ChainFacts:
    """An outbox of product, grant and round facts. `flush` is called by whoever keeps time; it sends in order."""

    def __init__(self, chain: Callable[[], Chain], documents: Documents, *, node: str) -> None:
        self._chain = chain
        self._documents = documents
        self._node = node
        self._lock = threading.Lock()

    def list_product(self, digest: bytes) -> None:
        """Record that this participant offers a product."""
        self._queue(f"list:{digest.hex()}", "list_product", [digest.hex()])

    def withdraw_product(self, digest: bytes) -> None:
        """Record that a product is not offered any more."""
        self._queue(f"withdraw:{digest.hex()}", "withdraw_product", [digest.hex()])

    def issue_grant(self, grant_id: str, agreement: bytes, expires: datetime) -> None:
        """Record a licence."""
        self._queue(f"grant:{grant_id}", "issue_grant", [grant_id, agreement.hex(), expires.isoformat()])

    def revoke_grant(self, grant_id: str) -> None:
        """Record that a licence has ended."""
        self._queue(f"revoke:{grant_id}", "revoke_grant", [grant_id])

    def seal_round(self, study: str, round_number: int, digest: bytes) -> None:
        """Record one federated round."""
        self._queue(f"round:{study}:{round_number}", "seal_round", [study, round_number, digest.hex()])

    def require_not_revoked(self, grant_id: str, at: datetime) -> None:
        """Raise AccessDenied when the chain knows the grant and says it has ended. A silent chain changes nothing:
        the grant is this participant's own, and its revocation is in its own records."""
        if self._is_waiting(f"grant:{grant_id}"):
            return
        try:
            live = self._chain().is_granted(grant_id, at)
        except ChainUnavailable:
            return
        if not live:
            raise AccessDenied("grant.not_live", "ask the provider", "the chain says that the grant has ended")

    def flush(self) -> int:
        """Send what waits, oldest first; return how many facts still wait.

        A fact that the contract refuses for good is kept as refused and told: it must not hold up the others for ever.
        """
        with self._lock:
            for fact in self._waiting():
                rule = ""
                try:
                    self._send(fact)
                except (ChainUnavailable, ChainWrong):
                    break
                except ChainRefused as refusal:
                    if refusal.rule in NOT_YET_RULES:
                        break
                    rule = refusal.rule
                    logger.error("the chain refuses a fact", extra={"fact": fact["key"], "rule": rule})
                self._documents.put(KIND, fact["key"], {**fact, "done": True, "refused": rule})
            return len(self._waiting())

    def _queue(self, key: str, verb: str, arguments: list[Any]) -> None:
        try:
            self._documents.get(KIND, key)
        except NotFound:
            self._documents.put(KIND, key, {"key": key, "verb": verb, "arguments": arguments, "done": False})
        self.flush()

    def _waiting(self) -> list[dict[str, Any]]:
        return [fact for fact in self._documents.all(KIND) if not fact["done"]]

    def _is_waiting(self, key: str) -> bool:
        try:
            return not self._documents.get(KIND, key)["done"]
        except NotFound:
            return False

    def _send(self, fact: dict[str, Any]) -> None:
        chain, arguments = self._chain(), fact["arguments"]
        if fact["verb"] == "list_product":
            chain.list_product(self._node, bytes.fromhex(arguments[0]))
        elif fact["verb"] == "withdraw_product":
            chain.withdraw_product(bytes.fromhex(arguments[0]))
        elif fact["verb"] == "issue_grant":
            expires = datetime.fromisoformat(arguments[2])
            chain.issue_grant(arguments[0], self._node, bytes.fromhex(arguments[1]), expires)
        elif fact["verb"] == "revoke_grant":
            chain.revoke_grant(arguments[0])
        else:
            chain.seal_round(arguments[0], int(arguments[1]), bytes.fromhex(arguments[2]))
