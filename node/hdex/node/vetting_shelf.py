"""Where an office's applications lie, read once: one process writes them, and every contract asks."""

import threading

from hdex.node.documents import Documents
from hdex.node.errors import NotFound
from hdex.node.vetting_record import VettingRecord

KIND = "vetting"


class VettingShelf:
    """Applications by their digest, oldest first."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._records: dict[str, VettingRecord] | None = None
        self._reading = threading.Lock()

    def all(self) -> list[VettingRecord]:
        """Return every application."""
        return list(self._known().values())

    def of(self, participant: str) -> list[VettingRecord]:
        """Return one organisation's applications."""
        return [one for one in self.all() if one.participant == participant]

    def get(self, name: str) -> VettingRecord:
        """Return one application. Raises NotFound."""
        try:
            return self._known()[name]
        except KeyError:
            raise NotFound(f"no {KIND} {name[:100]} is recorded here") from None

    def store(self, record: VettingRecord) -> VettingRecord:
        """Keep an application as it stands now, durably on return."""
        records, name = self._known(), record.digest
        self._documents.put(KIND, name, record.document())
        records[name] = record
        return record

    def _known(self) -> dict[str, VettingRecord]:
        with self._reading:
            if self._records is None:
                found = map(VettingRecord.from_document, self._documents.all(KIND))
                self._records = {one.digest: one for one in found}
            return self._records
