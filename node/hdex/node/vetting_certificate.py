"""What one office says to another of an organisation: a signed certificate, kept by whoever asked for it."""

from collections.abc import Callable, Sequence
from datetime import datetime

from hdex.catalog.documents import from_document
from hdex.catalog.organisation import Organisation
from hdex.catalog.vetting import WAITING, VettingState
from hdex.node.directory import Directory
from hdex.node.documents import Document, Documents
from hdex.node.errors import NotFound, PeerUnavailable, RemoteRefused, SignatureInvalid
from hdex.node.signed import Envelope, verify
from hdex.node.vetting_record import CERTIFICATE, VettingRecord

KIND = "vetting_elsewhere"
CERTIFIED = {"office", "organisation", "application", "state", "valid_until", "issued"}
Ask = Callable[[str], Envelope | None]  # participant -> certificate, None where the other office has none


def nobody(_participant: str) -> Envelope | None:
    """Return nothing: there is no other office."""
    return None


class Elsewhere:
    """The words of another office, verified when they came."""

    def __init__(self, documents: Documents, directory: Directory, ask: Ask) -> None:
        self._documents = documents
        self._directory = directory
        self._ask = ask

    def refresh(self, participant: str) -> None:
        """Ask the other office. Raises PeerUnavailable where it is silent and has never said anything of this one.

        Not to be called while anything is locked. What it said before counts through a silence, until its end.
        """
        try:
            envelope = self._ask(participant)
        except RemoteRefused:
            return
        except PeerUnavailable:
            if participant in self._documents.keys(KIND):
                return
            raise
        if envelope is not None:
            self._documents.put(KIND, participant, {"certificate": self._verified(envelope, participant)})

    def says(self, participant: str, now: datetime) -> tuple[Organisation | None, VettingState | None]:
        """Return (declaration, VALID) while a certificate vouches for it, else (None, the state it told, if any)."""
        try:
            word = self._documents.get(KIND, participant)["certificate"]["document"]
        except NotFound:
            return None, None
        state, moment = VettingState(word["state"]), max(now, datetime.fromisoformat(word["issued"]))
        if state is VettingState.VALID and moment < datetime.fromisoformat(word["valid_until"]):
            return from_document(Organisation, word["organisation"], "organisation"), state
        return None, state

    def _verified(self, envelope: Envelope, participant: str) -> Envelope:
        office = self._directory.require(str(envelope["document"].get("office", "")), "exchange")
        word = verify(CERTIFICATE, envelope, {office.id: office.sign_key})
        if set(word) != CERTIFIED or word["organisation"].get("participant") != participant:
            raise SignatureInvalid("the certificate is not one of this organisation")
        from_document(Organisation, word["organisation"], "organisation")
        return envelope


def certified(record: VettingRecord, *, office: str, issued: str) -> Document:
    """Return the words of a certificate."""
    return {
        "office": office,
        "organisation": record.envelope["document"]["organisation"],
        "application": record.digest,
        "state": record.state.value,
        "valid_until": record.valid_until,
        "issued": issued,
    }


def last_decided(records: Sequence[VettingRecord]) -> VettingRecord | None:
    """Return the application that was decided last; one that ends another stands after it."""
    decided = [one for one in records if one.state not in WAITING]
    return max(decided, key=lambda one: (one.entered, one.state is not VettingState.SUPERSEDED), default=None)


def is_revoked(records: Sequence[VettingRecord]) -> bool:
    """Return whether a revocation is the last word on an organisation: a refused or waiting application ends it not."""
    words = [one for one in records if one.state is not VettingState.REFUSED]
    last = last_decided(words)
    return last is not None and last.state is VettingState.REVOKED
