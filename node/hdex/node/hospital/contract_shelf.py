"""Where a provider's contracts lie, with what is asked of all of them kept in memory: one process writes them."""

import heapq
import threading
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hdex.catalog.contract_life import ENDED, LIVE, LifeState
from hdex.node.contract_record import ContractRecord
from hdex.node.documents import Documents
from hdex.node.errors import NotFound
from hdex.node.recorder import Facts

KIND = "contract"


@dataclass(frozen=True, slots=True)
class Owing:
    """A contract that has ended and whose deletion is not attested."""

    contract_id: str
    consumer: str
    due: datetime


class ContractShelf:
    """Contracts by id, oldest first. Whoever reads a record to replace it holds `changing`."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self.changing = threading.RLock()  # a record is read and replaced in one step; not held while a peer is asked
        self._is_read = False
        self._ends: list[tuple[datetime, str]] = []  # a heap of the contracts that are live
        self._live: set[str] = set()
        self._unsettled: set[str] = set()  # ended, and what is owed was not asked yet
        self._owing: dict[str, Owing] = {}

    def get(self, contract_id: str) -> ContractRecord:
        """Return one contract. Raises NotFound."""
        return ContractRecord.from_document(self._documents.get(KIND, contract_id))

    def find(self, contract_id: str) -> ContractRecord | None:
        """Return one contract, None where there is none."""
        try:
            return self.get(contract_id)
        except NotFound:
            return None

    def all(self) -> list[ContractRecord]:
        """Return every contract."""
        return [ContractRecord.from_document(document) for document in self._documents.all(KIND)]

    def store(self, record: ContractRecord) -> ContractRecord:
        """Keep a contract as it stands now, durably on return."""
        with self.changing:
            self._read()
            self._documents.put(KIND, record.contract_id, record.to_document())
            self._take(record)
        return record

    def next_due(self, now: datetime) -> str | None:
        """Return a live contract whose term has ended, None where none has."""
        with self.changing:
            self._read()
            while self._ends and self._ends[0][0] <= now:
                if self._ends[0][1] in self._live:
                    return self._ends[0][1]
                heapq.heappop(self._ends)
        return None

    def unsettled(self) -> list[str]:
        """Return the contracts that have ended without a word on what is owed: a stop came between."""
        with self.changing:
            self._read()
            return sorted(self._unsettled)

    def owing(self) -> list[Owing]:
        """Return the contracts whose deletion is to be attested."""
        with self.changing:
            self._read()
            return list(self._owing.values())

    def _read(self) -> None:
        if not self._is_read:
            self._is_read = True
            for record in self.all():
                self._take(record)

    def _take(self, record: ContractRecord) -> None:
        name, state = record.contract_id, record.lives
        if state is None or record.agreement is None:
            return
        if state in LIVE and name not in self._live:
            heapq.heappush(self._ends, (datetime.fromisoformat(record.agreement["document"]["expires"]), name))
            self._live.add(name)
        if state not in LIVE:
            self._live.discard(name)
        (self._unsettled.add if state in ENDED else self._unsettled.discard)(name)
        self._owing.pop(name, None)
        if state is LifeState.OBLIGATIONS_OPEN:
            self._owing[name] = Owing(name, str(record.asked["consumer"]), datetime.fromisoformat(record.due))


def about(asked: dict[str, Any], grant_id: str = "") -> Facts:
    """Return what every event of a contract says of it."""
    facts = Facts(
        product=asked["product"],
        version=asked["version"],
        contract=asked["contract_id"],
        purpose=asked["access"]["purpose"],
    )
    if grant_id:
        facts["grant"] = grant_id
    return facts
