"""One application to be vetted as an office keeps it: the signed declaration, where it stands, the papers to there."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from hdex.catalog.documents import from_document
from hdex.catalog.organisation import Organisation
from hdex.catalog.vetting import VettingState
from hdex.node.documents import Document
from hdex.node.errors import RequestInvalid
from hdex.node.signed import Envelope, digest

APPLICATION, DECISION, STEP, CERTIFICATE = "vetting", "vetting.decision", "vetting.step", "vetting.certificate"
FIELDS = {"organisation", "office", "at"}


@dataclass(frozen=True, slots=True)
class VettingRecord:
    """One application. history: each step as the office signed it, with the paper of whoever moved it.

    entered: when the present state began; valid_until: RFC 3339 UTC, empty before approval.
    """

    envelope: Envelope
    state: VettingState
    entered: str
    valid_until: str = ""
    history: tuple[Document, ...] = ()

    @property
    def organisation(self) -> Organisation:
        """The declaration. Whoever stored the record had verified its signature."""
        return from_document(Organisation, self.envelope["document"]["organisation"], "organisation")

    @property
    def participant(self) -> str:
        return str(self.envelope["document"]["organisation"]["participant"])

    @property
    def digest(self) -> str:
        """The application's digest: its name here and in every event."""
        return digest(self.envelope["document"])

    def moved(self, state: VettingState, step: Document, **changes: str) -> "VettingRecord":
        """Return the record in another state, with the step's papers."""
        return replace(self, state=state, history=(*self.history, step), **changes)  # type: ignore[arg-type]  # texts

    def is_valid(self, now: datetime) -> bool:
        """Return whether it is in force."""
        return self.state is VettingState.VALID and now < datetime.fromisoformat(self.valid_until)

    @property
    def has_record(self) -> bool:
        """Whether it was approved once and tells something that counts for the whole group: a breach, a revocation."""
        told = bool(self.envelope["document"]["organisation"].get("breaches"))
        return bool(self.valid_until) and (told or self.state is VettingState.REVOKED)

    def document(self) -> Document:
        return {
            "envelope": self.envelope,
            "state": self.state.value,
            "entered": self.entered,
            "valid_until": self.valid_until,
            "history": list(self.history),
        }

    @classmethod
    def from_document(cls, document: Document) -> "VettingRecord":
        return cls(
            document["envelope"],
            VettingState(document["state"]),
            str(document["entered"]),
            valid_until=str(document["valid_until"]),
            history=tuple(document["history"]),
        )


def read_application(document: Mapping[str, Any], *, office: str, applicant: str) -> Organisation:
    """Return the organisation that an application declares. Raises RequestInvalid, OrganisationInvalid."""
    if set(document) != FIELDS or not isinstance(document["at"], str) or len(document["at"]) > 64:
        raise RequestInvalid(f"an application has exactly the fields {', '.join(sorted(FIELDS))}")
    if document["office"] != office:
        raise RequestInvalid("the application is addressed to another office: sign one for this office")
    organisation = from_document(Organisation, document["organisation"], "organisation")
    if organisation.participant != applicant:
        raise RequestInvalid("an organisation applies for itself: organisation.participant is another")
    return organisation


def end_of_day(day: date | None) -> datetime | None:
    """Return the moment at which a paper of this last day is no longer good, UTC; None where it has no end."""
    return None if day is None else datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
