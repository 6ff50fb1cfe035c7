"""Where a hospital's access requests lie, with what is asked of all of them kept in memory: one process writes them."""

import threading
from dataclasses import dataclass
from datetime import datetime

from hdex.catalog.access_review import OPEN, TIMED, UNAPPROVED, AccessState
from hdex.node.documents import Document, Documents
from hdex.node.hospital.access_record import AccessRecord

KIND = "access_request"


@dataclass(frozen=True, slots=True)
class Line:
    """What is known of a request without reading it."""

    applicant: str
    product: str
    version: str
    state: AccessState
    since: datetime
    escalated: bool
    erased: bool


class AccessShelf:
    """Requests by name, oldest first."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._lines: dict[str, Line] | None = None
        self._reading = threading.Lock()

    def get(self, name: str) -> AccessRecord:
        """Return one request. Raises NotFound."""
        return AccessRecord.from_document(self._documents.get(KIND, name))

    def all(self) -> list[AccessRecord]:
        """Return every request."""
        return [AccessRecord.from_document(document) for document in self._documents.all(KIND)]

    def store(self, record: AccessRecord) -> AccessRecord:
        """Keep a request as it stands now, durably on return."""
        lines = self._known()
        self._documents.put(KIND, record.id, record.document())
        lines[record.id] = line_of(record.document())
        return record

    def timed(self) -> list[tuple[str, Line]]:
        """Return the requests that a clock looks at."""
        return [(name, line) for name, line in list(self._known().items()) if line.state in TIMED]

    def ended(self) -> list[tuple[str, Line]]:
        """Return the requests that ended without approval and whose papers are still here."""
        return [
            (name, line) for name, line in list(self._known().items()) if line.state in UNAPPROVED and not line.erased
        ]

    def waiting(self, applicant: str) -> int:
        """Return how many requests of an applicant wait for somebody."""
        return sum(line.applicant == applicant and line.state in OPEN for line in list(self._known().values()))

    def about(self, applicant: str, product: str, version: str) -> list[AccessRecord]:
        """Return an applicant's requests for one product version."""
        asked = (applicant, product, version)
        found = list(self._known().items())
        return [self.get(name) for name, line in found if (line.applicant, line.product, line.version) == asked]

    def _known(self) -> dict[str, Line]:
        with self._reading:
            if self._lines is None:
                self._lines = {
                    str(one["envelope"]["document"]["id"]): line_of(one) for one in self._documents.all(KIND)
                }
            return self._lines


def line_of(document: Document) -> Line:
    """Return what is kept in memory of a request's document."""
    form = document["envelope"]["document"]
    return Line(
        str(form["applicant"]),
        str(form["product"]),
        str(form["version"]),
        AccessState(document["state"]),
        datetime.fromisoformat(document["entered"]),
        bool(document["escalated"]),
        bool(document.get("erased")),
    )
