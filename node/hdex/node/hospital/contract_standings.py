"""How a contract stands, as its consumer and the provider's people read it: life, term, what is used, what is due."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from hdex.catalog.contract import Agreement, TransferState
from hdex.catalog.contract_life import LifeState
from hdex.catalog.licence import limits_of
from hdex.catalog.quota import COUNTS
from hdex.ledger.event import format_time
from hdex.node.contract_record import RENEWS, ContractRecord
from hdex.node.documents import Document
from hdex.node.errors import AccessDenied
from hdex.node.hospital.contract_lives import ContractLives
from hdex.node.hospital.usage_book import UsageBook
from hdex.node.identity import Identity
from hdex.node.looks import Looks
from hdex.node.recorder import Recorder

_S = LifeState
NEXT: Mapping[LifeState, str] = {
    _S.ACTIVE: "use it, renew it before its end (hdex buy renew), or give it back (hdex buy attest)",
    _S.SUSPENDED: "wait until the provider resumes it",
    _S.OBLIGATIONS_OPEN: "the consumer attests deletion: hdex buy attest",
}
STEP_SHOWN = ("arrow", "to", "by", "reason", "at", "rules")


class ContractStandings:
    """Answers for one provider."""

    def __init__(self, lives: ContractLives, recorder: Recorder, clock: Callable[[], datetime]) -> None:
        self._lives = lives
        self._recorder = recorder
        self._clock = clock
        self._looks = Looks()

    def read(self, contract_id: str, actor: Identity) -> Document:
        """Return how a contract stands to its consumer; remember who read, but not the same again soon after."""
        with self._recorder.refusals("contract.read", actor, contract=contract_id):
            self._lives.sweep()
            record = self._lives.shelf.get(contract_id)
            if record.asked["consumer"] != actor.participant:
                raise AccessDenied("contract.foreign", "", "the contract is between others")
            told = standing_of(record, self._lives.book, self._clock())
            self._looks.once(
                actor, contract_id, told, lambda: self._recorder.allow("contract.read", actor, contract=contract_id)
            )
            return told

    def all(self) -> list[Document]:
        """Return how every contract of this provider stands, oldest first, for its own people."""
        self._lives.sweep()
        return [standing_of(record, self._lives.book, self._clock()) for record in self._lives.shelf.all()]


def standing_of(record: ContractRecord, book: UsageBook, now: datetime) -> Document:
    """Return a contract as plain values."""
    found: dict[str, Any] = {
        "contract": record.contract_id,
        "consumer": record.asked["consumer"],
        "product": record.asked["product"],
        "version": record.asked["version"],
        "mode": record.asked["delivery_mode"],
        "state": record.state,
        "rule": record.rule,
        "next_step": record.next_step,
        "grant": record.grant_id,
        "renews": record.asked.get(RENEWS, ""),
    }
    life = record.lives
    if record.agreement is None or life is None:
        return found
    agreement, used = Agreement.from_document(record.agreement["document"]), book.spent(record.contract_id)
    limits = {name: int(most) if most == int(most) else float(most) for name, most in limits_of(agreement).items()}
    return found | {
        "life": life.value,
        "since": record.since,
        "expires": agreement.expires,
        "due": record.due,
        "overdue": is_overdue(record, now),
        "next_step": NEXT.get(life, record.next_step),
        "transfer": transfer_of(record, book),
        "used": used,
        "limits": limits,
        **quota_of(record.contract_id, agreement, book),
        "steps": [{name: step["document"][name] for name in STEP_SHOWN} for step in record.steps],
    }


def quota_of(contract_id: str, agreement: Agreement, book: UsageBook) -> Document:
    """Return the quota with what its present period has used: {"quota": {"period", "agreed", "used"}}; {} without."""
    quota = agreement.quota
    if quota is None:
        return {}
    agreed = {name: most for name in COUNTS if (most := getattr(quota, name)) is not None}
    had = asdict(book.used(contract_id, quota))
    used = {name: had[name] for name in agreed}
    return {"quota": {"period": quota.period.value, "agreed": agreed, "used": used}}


def is_overdue(record: ContractRecord, now: datetime) -> bool:
    """Return whether an attestation of deletion is late."""
    return record.lives is LifeState.OBLIGATIONS_OPEN and bool(record.due) and format_time(now) > record.due


def transfer_of(record: ContractRecord, book: UsageBook) -> str:
    """Return where the delivery under a final contract stands, in the words of the protocol; empty before the first.

    A transfer is completed once the consumer has signed the receipt of what it verified.
    """
    if not book.has_delivered(record.contract_id):
        return ""
    if not book.is_delivering(record.contract_id):
        return TransferState.COMPLETED.value
    states = {_S.ACTIVE: TransferState.STARTED, _S.SUSPENDED: TransferState.SUSPENDED}
    return states.get(record.lives or _S.CLOSED, TransferState.TERMINATED).value
