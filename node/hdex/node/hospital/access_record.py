"""One access request as a hospital keeps it: the signed form, where it stands, the papers and messages of its way."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from hdex.catalog.access_form import AccessForm
from hdex.catalog.access_review import AccessArrow, AccessState
from hdex.catalog.documents import from_document
from hdex.catalog.organisation import is_plain
from hdex.node.documents import Document
from hdex.node.errors import RequestInvalid
from hdex.node.signed import Envelope, digest, signers

FORM, DECISION, WITHDRAWAL, MESSAGE = "access.request", "access.decision", "access.withdrawal", "access.message"
STEP = "access.step"
DECISION_FIELDS = frozenset({"id", "digest", "arrow", "reason", "at"})
WITHDRAWAL_FIELDS = frozenset({"id", "digest", "reason", "at"})
MESSAGE_FIELDS = frozenset({"id", "text", "at"})
LONGEST_WORDS = 4000


@dataclass(frozen=True, slots=True)
class AccessRecord:
    """One request. `endorsed`: who endorsed this revision, in order; history and messages: over all revisions.

    entered: when the present state began; escalated: when its deadline was found to have passed, else empty.
    erased: when its papers were deleted, else empty.
    """

    envelope: Envelope
    state: AccessState
    entered: str
    endorsed: tuple[str, ...] = ()
    escalated: str = ""
    history: tuple[Document, ...] = ()
    messages: tuple[Document, ...] = ()
    erased: str = ""

    @property
    def form(self) -> AccessForm:
        """The form in its newest revision. Whoever stored the record had verified its signature."""
        return from_document(AccessForm, self.envelope["document"], "form")

    @property
    def id(self) -> str:
        return str(self.envelope["document"]["id"])

    @property
    def applicant(self) -> str:
        return str(self.envelope["document"]["applicant"])

    @property
    def digest(self) -> str:
        """The digest of the form's newest revision: what every decision is about."""
        return digest(self.envelope["document"])

    @property
    def since(self) -> datetime:
        """When the present state began."""
        return datetime.fromisoformat(self.entered)

    def moved(self, state: AccessState, at: str, step: Document, **changes: Any) -> "AccessRecord":
        """Return the record in another state, with the step's papers."""
        return replace(self, state=state, entered=at, escalated="", history=(*self.history, step), **changes)

    def document(self) -> Document:
        return {
            "envelope": self.envelope,
            "state": self.state.value,
            "entered": self.entered,
            "endorsed": list(self.endorsed),
            "escalated": self.escalated,
            "history": list(self.history),
            "messages": list(self.messages),
            "erased": self.erased,
        }

    @classmethod
    def from_document(cls, document: Document) -> "AccessRecord":
        lists = {name: tuple(document[name]) for name in ("endorsed", "history", "messages")}
        return cls(
            document["envelope"],
            AccessState(document["state"]),
            str(document["entered"]),
            escalated=str(document["escalated"]),
            erased=str(document.get("erased", "")),
            **lists,
        )


def read_texts(paper: Mapping[str, Any], fields: frozenset[str]) -> dict[str, str]:
    """Return a small paper that holds exactly these texts, bounded and plain. Raises RequestInvalid."""
    if set(paper) != fields or any(type(value) is not str for value in paper.values()):
        raise RequestInvalid(f"this paper has exactly the texts {', '.join(sorted(fields))}")
    long = [name for name, value in paper.items() if len(value) > LONGEST_WORDS]
    if long:
        raise RequestInvalid(f"{long[0]} has {LONGEST_WORDS} characters at most (found {len(paper[long[0]])})")
    if not all(map(is_plain, paper.values())):
        raise RequestInvalid("plain text without control characters is asked")
    return dict(paper)


def read_decision(paper: Mapping[str, Any]) -> tuple[dict[str, str], AccessArrow]:
    """Return a reviewer's paper and the step it orders. Raises RequestInvalid."""
    said = read_texts(paper, DECISION_FIELDS)
    if said["arrow"] not in REVIEWED:
        raise RequestInvalid(f"a decision is one of {', '.join(REVIEWED)}")
    return said, AccessArrow(said["arrow"])


REVIEWED = ("take", "endorse", "approve", "refuse", "return")  # by a reviewer's paper


def is_last(record: AccessRecord, envelope: Envelope) -> bool:
    """Return whether the last step was carried out by this very paper of this signer: again, it changes nothing."""
    last = record.history[-1]["paper"] if record.history else None
    return last is not None and is_same(last, envelope)


def has_message(record: AccessRecord, envelope: Envelope) -> bool:
    """Return whether this very message, of this very signer, is kept already."""
    return any(is_same(one["envelope"], envelope) for one in record.messages)


def is_same(one: Envelope, other: Envelope) -> bool:
    """Return whether two papers say the same and are of the same signers: two people may say the same."""
    return (digest(one["document"]), signers(one)) == (digest(other["document"]), signers(other))
