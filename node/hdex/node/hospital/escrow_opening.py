"""Opening reversible pseudonyms takes two people: each signs which tokens, for whom and why, before any id is read.

An approval is a file. It names the tokens by a digest, so it opens these and no others; it ends after a week; and a
node opens under it once.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from hdex.node.errors import AccessDenied, RequestInvalid
from hdex.node.signed import Envelope, digest, signers, verify

SCHEMA = "hdex/escrow-opening/v1"
KIND = "decision"  # of signatures; the schema inside keeps it from being taken for another decision
VALID_DAYS = 7
PEOPLE = 2


@dataclass(frozen=True, slots=True)
class Question:
    """Which tokens are to be opened: of whose project, of which kind of column."""

    hospital: str
    recipient: str
    project: str
    kind: str
    tokens_digest: str
    count: int

    @classmethod
    def of(cls, hospital: str, tokens: Iterable[str], *, recipient: str, project: str, kind: str) -> "Question":
        """Return the question about these tokens, in whatever order and however often they stand."""
        distinct = sorted(set(tokens))
        told = hashlib.sha256("\n".join(distinct).encode()).hexdigest()
        return cls(hospital, recipient, project, kind, told, len(distinct))

    def document(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {name: getattr(self, name) for name in self.__slots__}


def ask(question: Question, reason: str, now: datetime) -> Envelope:
    """Return the request nobody has signed yet."""
    if not reason.strip():
        raise RequestInvalid("an opening needs its reason: who approves it must know why")
    until = (now + timedelta(days=VALID_DAYS)).isoformat(timespec="seconds")
    return {
        "document": {"schema": SCHEMA, **question.document(), "reason": reason, "until": until},
        "signatures": [],
    }


def require_approved(
    envelopes: Sequence[Envelope], question: Question, staff: Mapping[str, bytes], now: datetime
) -> tuple[str, tuple[str, ...]]:
    """Return (digest of the request, who approved it). Raises AccessDenied unless two people of the staff did."""
    if not envelopes:
        raise AccessDenied("escrow.approval", "name the files of two approvals", "0 approvals, asked are 2 people's")
    documents = [document_of(envelope) for envelope in envelopes]
    if len({digest(document) for document in documents}) > 1:
        raise AccessDenied("escrow.other", "let both sign one request", "the approvals are of different requests")
    document = documents[0]
    if {name: document.get(name) for name in question.__slots__} != question.document():
        raise AccessDenied(
            "escrow.other", "ask anew for these tokens", "the approvals are for other tokens, recipient or project"
        )
    if until_of(document) < now:
        raise AccessDenied("escrow.expired", "ask anew", f"the approvals ended {document['until']}")
    keys = {f"{question.hospital}/{role}": key for role, key in staff.items()}
    found: dict[str, bytes] = {}
    for envelope in envelopes:
        known = {name: keys[name] for name in signers(envelope) if name in keys}
        if known:
            verify(KIND, envelope, known)
            found |= known
    if len(set(found.values())) < PEOPLE:
        raise AccessDenied(
            "escrow.approval",
            "let two people of this hospital's staff sign it with hdex deid sign",
            f"{len(set(found.values()))} people of the staff approved, asked are {PEOPLE}",
        )
    return digest(document), tuple(sorted(found))


def document_of(envelope: Any) -> dict[str, Any]:
    """Return the document of an approval. Raises RequestInvalid for anything else."""
    document = envelope.get("document") if isinstance(envelope, dict) else None
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise RequestInvalid(f"this is no approval of an opening ({SCHEMA}); hdex deid escrow ask writes one")
    return document


def until_of(document: Mapping[str, Any]) -> datetime:
    """Return until when a request holds. Raises RequestInvalid."""
    try:
        until = datetime.fromisoformat(str(document.get("until")))
    except ValueError as error:
        raise RequestInvalid("the request does not say until when it holds") from error
    if until.tzinfo is None:
        raise RequestInvalid("until of the request has no time zone")
    return until
