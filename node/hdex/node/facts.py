"""Facts for the chain, kept until they stand there: a chain that is down delays them and changes no decision."""

import logging
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

from hdex.ledger.anchor import NOT_YET_RULES
from hdex.ledger.errors import ChainRefused, ChainUnavailable, ChainWrong
from hdex.ledger.ports import Chain, NewGrant
from hdex.node.documents import Documents
from hdex.node.errors import AccessDenied, NotFound

logger = logging.getLogger(__name__)
KIND = "chain_fact"
LOOK_S = 1.0
GATHER_S = 0.2  # after the first fact: grants that come meanwhile go together, for a fraction of what each costs alone
TOGETHER = 50  # grants at most: a fact that is said behind them does not wait long
Fact = dict[str, Any]  # key, verb, arguments, done


class ChainFacts:
    """An outbox of product, grant and round facts, sent in the order they were said.

    A fact is sent before its verb returns, or by the thread of `start` where there is one: then no verb waits for
    the chain. `flush` is called by whoever keeps time too, for what a silent chain has left waiting.
    """

    def __init__(self, chain: Callable[[], Chain], documents: Documents, *, node: str) -> None:
        self._chain = chain
        self._documents = documents
        self._node = node
        self._lock = threading.Lock()  # one sender at a time
        self._facts: dict[str, Fact] | None = None  # that wait, oldest first: one process writes them
        self._reading = threading.Lock()
        self._said = threading.Event()
        self._has_sender = False

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
            for facts in together(list(self._waiting().values())):
                if not (self._sent_together(facts) or all(map(self._sent, facts))):
                    break
            return len(self._waiting())

    def _sent_together(self, facts: list[Fact]) -> bool:
        """Return whether the chain took several grants at once; where it did not, each is sent alone and told why."""
        if len(facts) == 1:
            return False
        try:
            self._chain().issue_grants(self._node, [NewGrant(*grant_of(fact)) for fact in facts])
        except (ChainUnavailable, ChainWrong, ChainRefused):
            return False
        self._settle(facts)
        return True

    def _sent(self, fact: Fact) -> bool:
        """Return whether a fact stands on the chain or never will; False while it has to wait."""
        rule = ""
        try:
            self._send(fact)
        except (ChainUnavailable, ChainWrong):
            return False
        except ChainRefused as refusal:
            if refusal.rule in NOT_YET_RULES:
                return False
            rule = refusal.rule
            logger.error("the chain refuses a fact", extra={"fact": fact["key"], "rule": rule})
        self._settle([fact], rule)
        return True

    def _settle(self, facts: list[Fact], rule: str = "") -> None:
        """Keep that facts need not be sent again. A stop before it sends them again: what stands, stands once."""
        self._documents.put_all(KIND, {fact["key"]: {**fact, "done": True, "refused": rule} for fact in facts})
        for fact in facts:
            self._waiting().pop(fact["key"], None)

    def start(self, stop: threading.Event) -> threading.Thread:
        """Start the thread that sends facts as they are said, until `stop`; return it."""
        self._has_sender = True
        sender = threading.Thread(target=self._run, args=(stop,), name="facts", daemon=True)
        sender.start()
        return sender

    def _run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            if self._said.wait(LOOK_S):
                stop.wait(GATHER_S)
                self._said.clear()
                self._try_flush()
        self._has_sender = False
        self._try_flush()  # what was said meanwhile

    def _try_flush(self) -> None:
        try:
            self.flush()
        except Exception as error:  # they wait, and are tried again with the next one or by the keeper
            logger.warning("facts did not reach the chain", extra={"reason": type(error).__name__})

    def _queue(self, key: str, verb: str, arguments: list[Any]) -> None:
        waiting = self._waiting()
        try:
            self._documents.get(KIND, key)
        except NotFound:
            fact = {"key": key, "verb": verb, "arguments": arguments, "done": False}
            self._documents.put(KIND, key, fact)
            waiting[key] = fact
        if self._has_sender:
            self._said.set()
        else:
            self.flush()

    def _waiting(self) -> dict[str, Fact]:
        with self._reading:
            if self._facts is None:
                self._facts = {fact["key"]: fact for fact in self._documents.all(KIND) if not fact["done"]}
            return self._facts

    def _is_waiting(self, key: str) -> bool:
        return key in self._waiting()

    def _send(self, fact: Fact) -> None:
        chain, arguments = self._chain(), fact["arguments"]
        if fact["verb"] == "list_product":
            chain.list_product(self._node, bytes.fromhex(arguments[0]))
        elif fact["verb"] == "withdraw_product":
            chain.withdraw_product(bytes.fromhex(arguments[0]))
        elif fact["verb"] == "issue_grant":
            grant_id, agreement, expires = grant_of(fact)
            chain.issue_grant(grant_id, self._node, agreement, expires)
        elif fact["verb"] == "revoke_grant":
            chain.revoke_grant(arguments[0])
        else:
            chain.seal_round(arguments[0], int(arguments[1]), bytes.fromhex(arguments[2]))


def grant_of(fact: Fact) -> tuple[str, bytes, datetime]:
    """Return id, agreement's digest and end of a grant that is to be issued."""
    grant_id, agreement, expires = fact["arguments"]
    return grant_id, bytes.fromhex(agreement), datetime.fromisoformat(expires)


def together(facts: list[Fact]) -> list[list[Fact]]:
    """Return facts in their order, grants that stand side by side in one part of at most TOGETHER."""
    parts: list[list[Fact]] = []
    for fact in facts:
        if parts and len(parts[-1]) < TOGETHER and {fact["verb"], parts[-1][-1]["verb"]} == {"issue_grant"}:
            parts[-1].append(fact)
        else:
            parts.append([fact])
    return parts
