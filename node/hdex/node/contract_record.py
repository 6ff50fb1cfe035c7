"""One negotiation as a participant keeps it: its state in Dataspace Protocol words and the signed papers."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from hdex.catalog.contract import State
from hdex.catalog.contract_life import LifeState
from hdex.catalog.documents import from_document
from hdex.catalog.organisation import is_plain
from hdex.catalog.quote import Order
from hdex.catalog.terms import AccessRequest
from hdex.ledger.event import format_time
from hdex.node.documents import Document
from hdex.node.errors import AccessDenied, RequestInvalid
from hdex.node.signed import Envelope, digest

REQUEST: dict[str, type] = {
    "contract_id": str,
    "product": str,
    "version": str,
    "provider": str,
    "manifest_digest": str,
    "consumer": str,
    "delivery_mode": str,
    "max_rounds": int,
    "statement": str,
    "access": dict,
}
TERMINATION = {"contract_id", "reason", "at"}
ORDER = "order"  # may be left out: then the product's first price, and all columns
RENEWS = "renews"  # may be left out: the contract of the same terms whose place this one takes
UNTIL = "until"  # may be left out: the latest end that the contract may have, RFC 3339
CONTRACT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,159}")
LONGEST_TEXT, LONGEST_RULE, MOST_ROUNDS = 4000, 200, 1000


@dataclass(frozen=True, slots=True)
class ContractRecord:
    """The record of one contract id. `rule` and `next_step` say why it is where it is."""

    contract_id: str
    state: str
    request: Envelope
    rule: str = ""
    next_step: str = ""
    agreement: Envelope | None = None
    grant_id: str = ""
    revoked: bool = False
    approvals: Sequence[str] = ()  # roles that have approved, where one is not enough
    life: str = ""  # of a final contract: LifeState; since: when it was entered, due: when deletion is to be attested
    since: str = ""
    due: str = ""
    steps: Sequence[Envelope] = ()  # of its life, signed by the provider
    attestation: Envelope | None = None
    offer: Envelope | None = None  # the provider's, while it waits for an answer
    bargain: Sequence[Document] = ()  # what was said before: see `bargained`

    def moved(self, state: str, **changes: Any) -> "ContractRecord":
        """Return the record in another state."""
        return replace(self, state=state, **changes)

    def to_document(self) -> Document:
        lists = {"approvals": list(self.approvals), "steps": list(self.steps), "bargain": list(self.bargain)}
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | lists

    @classmethod
    def from_document(cls, document: Document) -> "ContractRecord":
        return cls(**document)

    @property
    def lives(self) -> LifeState | None:
        """Where the life of a final contract stands; None before it is final."""
        if self.state != State.FINALIZED:
            return None
        return LifeState(self.life) if self.life else LifeState.REVOKED if self.revoked else LifeState.ACTIVE

    @property
    def asked(self) -> dict[str, Any]:
        """The request's document. Whoever stored the record had verified its signature."""
        asked: dict[str, Any] = self.request["document"]
        return asked


def bargained(
    record: ContractRecord, kind: str, at: datetime, *, by: str, paper: Envelope | None = None, policy: str = ""
) -> tuple[Document, ...]:
    """Return the bargaining of a record with one more word: {"kind", "at", "by", "paper", "policy"}, oldest first.

    kind: request, offer, counter, accept or agree; by: a participant's id, a role, or `rule:` and a rule's name, whose
    digest is `policy`. The request itself is the first word.
    """
    asked = record.asked
    first = {"kind": "request", "at": str(asked["access"].get("at", "")), "by": asked["consumer"]}
    begun = record.bargain or ({**first, "paper": record.request, "policy": ""},)
    return (*begun, {"kind": kind, "at": format_time(at), "by": by, "paper": paper, "policy": policy})


def require_read(record: ContractRecord, read: str) -> None:
    """Raise AccessDenied where a record asks for something else than what was read; an empty digest says nothing."""
    if read and digest(record.asked) != read:
        raise AccessDenied("contract.moved", "read the contract again", "it asks for other terms by now")


def require_active(record: ContractRecord) -> None:
    """Raise AccessDenied where a final contract does not serve now."""
    if record.lives is LifeState.ACTIVE:
        return
    said = record.steps[-1]["document"] if record.steps else {}
    if record.lives is LifeState.SUSPENDED:
        says = f"suspended: {said.get('reason', '')}"
        raise AccessDenied("contract.suspended", "wait until the provider resumes the contract", says)
    raise AccessDenied("contract.ended", "agree on a new contract", f"the contract is {record.lives}")


def named(envelope: Envelope, name: str) -> str:
    """Return what a paper that is not verified yet calls its contract, for the event of its refusal."""
    return str(envelope["document"].get(name, ""))


def read_request(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a consumer's request when it has exactly a request's fields. Raises RequestInvalid, DocumentInvalid,
    AccessDenied.

    A signature says who wrote it, not that it is one. The consumer asks for itself: naming another as the recipient
    would borrow the other's name in the terms.
    """
    if set(document) - {ORDER, RENEWS, UNTIL} != set(REQUEST) or any(
        type(document[name]) is not kind for name, kind in REQUEST.items()
    ):
        raise RequestInvalid(f"a request has exactly the fields {', '.join(REQUEST)}")
    if not CONTRACT_ID.fullmatch(document["contract_id"]):
        raise RequestInvalid("a contract id has letters, digits, '.', '_', ':' and '-', 160 at most")
    if any(len(document[name]) > LONGEST_TEXT for name, kind in REQUEST.items() if kind is str):
        raise RequestInvalid(f"a text of a request has {LONGEST_TEXT} characters at most")
    if not all(is_plain(document[name]) for name, kind in REQUEST.items() if kind is str):
        raise RequestInvalid("a text of a request has no control characters and no marks that turn its direction")
    if not 0 <= document["max_rounds"] <= MOST_ROUNDS:
        raise RequestInvalid(f"a request asks for 0 to {MOST_ROUNDS} rounds")
    if RENEWS in document and not (isinstance(document[RENEWS], str) and CONTRACT_ID.fullmatch(document[RENEWS])):
        raise RequestInvalid("a renewal names a contract by its id")
    if UNTIL in document and not is_moment(document[UNTIL]):
        raise RequestInvalid("the latest end of a contract is a time as in 2027-06-30T00:00:00Z")
    order_of(document)
    access = from_document(AccessRequest, document["access"], "access")
    if access.recipient != document["consumer"]:
        raise AccessDenied("request.recipient", "ask in your own name", "the recipient is not who asks")
    return dict(document)


def reason_of(document: Mapping[str, Any]) -> str:
    """Return why a consumer ends a negotiation, by its paper. Raises RequestInvalid for more than that paper says."""
    if set(document) != TERMINATION or not all(isinstance(text, str) for text in document.values()):
        raise RequestInvalid(f"a termination has exactly the texts {', '.join(sorted(TERMINATION))}")
    reason = str(document["reason"])
    if len(reason) > LONGEST_TEXT or not is_plain(reason):
        raise RequestInvalid(f"a reason is plain text of {LONGEST_TEXT} characters at most")
    return reason


def is_moment(text: object) -> bool:
    """Return whether this is an RFC 3339 time that names its zone."""
    try:
        return isinstance(text, str) and datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def order_of(asked: Mapping[str, Any]) -> Order:
    """Return what a request orders. Raises DocumentInvalid."""
    return from_document(Order, asked.get(ORDER, {}), ORDER)


def require_as_asked(asked: Mapping[str, Any], agreement: Mapping[str, Any]) -> None:
    """Raise AccessDenied unless an agreement states what was asked, field by field."""
    same = {
        "request_id": asked["contract_id"],
        "product": asked["product"],
        "version": asked["version"],
        "manifest_digest": asked["manifest_digest"],
        "provider": asked["provider"],
        "consumer": asked["consumer"],
        "purpose": asked["access"]["purpose"],
        "delivery_modes": [asked["delivery_mode"]],
        "max_rounds": asked["max_rounds"],
        "columns": asked.get(ORDER, {}).get("columns", []),
    }
    if UNTIL in asked and datetime.fromisoformat(str(agreement.get("expires"))) > datetime.fromisoformat(asked[UNTIL]):
        raise AccessDenied("agreement.differs", "ask the provider", "the agreement ends later than was asked")
    for name, value in same.items():
        if agreement.get(name) != value:
            raise AccessDenied("agreement.differs", "ask the provider", f"the agreement's {name} is not what was asked")
