"""A person of an office: reads applications and requests, signs what is decided, answers applicants."""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from hdex.ledger.event import format_time
from hdex.node.documents import Document
from hdex.node.errors import NotFound
from hdex.node.hospital.access_record import DECISION, MESSAGE
from hdex.node.keys import KeyProvider
from hdex.node.signed import Envelope, sign
from hdex.node.vetting_record import DECISION as VETTING_DECISION


class VettingDesk(Protocol):
    """Offices by participant id, for their people."""

    def vettings_of(self, office: str, participant: str = "") -> list[Document]: ...
    def list_vettings(self, office: str) -> list[Document]: ...
    def decide_vetting(self, office: str, decision: Envelope) -> Document: ...


class ReviewDesk(Protocol):
    """Hospitals by participant id, for their people."""

    def request(self, hospital: str, name: str) -> Document: ...
    def request_document(self, hospital: str, name: str) -> bytes: ...
    def list_requests(self, hospital: str) -> list[Document]: ...
    def decide_request(self, hospital: str, decision: Envelope) -> Document: ...
    def send_message(self, hospital: str, message: Envelope) -> Document: ...


class Reviewer:
    """One person: `signer` is office/role as the office's staff.json lists it."""

    def __init__(
        self, signer: str, keys: KeyProvider, vettings: VettingDesk, reviews: ReviewDesk, clock: Callable[[], datetime]
    ) -> None:
        self.signer = signer
        self.office = signer.partition("/")[0]
        self.vettings = vettings
        self.reviews = reviews
        self._keys = keys
        self._clock = clock

    def decide_vetting(
        self, participant: str, arrow: str, reason: str, *, until: str = "", shown: str = ""
    ) -> Document:
        """Sign a decision about an organisation's newest application that it fits. `until`: RFC 3339, to approve.

        shown: the digest of the application that was read, where one is meant and no newer one.
        """
        found = self.vettings.vettings_of(self.office, participant)
        found = [one for one in found if shown in ("", one["digest"])]
        fitting = [one for one in found if arrow in one["allowed"]] or found
        if not fitting:
            raise NotFound(f"no application of {participant} is here: hdex node vetting list shows them")
        paper = {
            "digest": fitting[-1]["digest"],
            "participant": participant,
            "arrow": arrow,
            "reason": reason,
            "valid_until": until,
            "at": format_time(self._clock()),
        }
        return self.vettings.decide_vetting(self.office, self._signed(VETTING_DECISION, paper))

    def decide_request(self, name: str, arrow: str, reason: str, *, shown: str = "") -> Document:
        """Sign a decision about a request as it reads now; shown: as it was read, else the node refuses."""
        paper = {
            "id": name,
            "digest": shown or self.reviews.request(self.office, name)["digest"],
            "arrow": arrow,
            "reason": reason,
            "at": format_time(self._clock()),
        }
        return self.reviews.decide_request(self.office, self._signed(DECISION, paper))

    def message(self, name: str, text: str) -> Document:
        """Say something to the applicant."""
        paper = {"id": name, "text": text, "at": format_time(self._clock())}
        return self.reviews.send_message(self.office, self._signed(MESSAGE, paper))

    def _signed(self, kind: str, paper: Document) -> Envelope:
        return sign(kind, paper, self.signer, self._keys.secret("sign"))
