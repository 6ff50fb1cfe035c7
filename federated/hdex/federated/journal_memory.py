"""Journal in memory: the twin used by tests and simulation."""

from collections.abc import Sequence

from hdex.federated.errors import JournalConflict
from hdex.federated.journal import Attempt, Gathered, RoundRecord
from hdex.federated.ports import Journal


class MemoryJournal:
    """Rows by study; lost with the process."""

    def __init__(self) -> None:
        self._rows: dict[str, list[bytes]] = {}
        self._attempts: dict[tuple[str, int], Attempt] = {}
        self._gathered: dict[tuple[str, int], bytes] = {}

    def commit(self, record: RoundRecord) -> None:
        """Keep the row."""
        rows, row = self._rows.setdefault(record.study_id, []), record.to_bytes()
        if record.round == len(rows) + 1:
            rows.append(row)
        elif not 1 <= record.round <= len(rows) or rows[record.round - 1] != row:
            raise JournalConflict(
                f"round {record.round} is committed with other content, or a round before it is missing"
            )
        self._gathered.pop((record.study_id, record.round), None)

    def rounds(self, study_id: str) -> Sequence[RoundRecord]:
        """Return the rows in order."""
        return [RoundRecord.from_bytes(row) for row in self._rows.get(study_id, [])]

    def declare(self, attempt: Attempt) -> None:
        """Keep the attempt."""
        kept = self._attempts.setdefault((attempt.study_id, attempt.round), attempt)
        if kept != attempt and kept.attempt >= attempt.attempt:
            raise JournalConflict(f"round {attempt.round} was declared in attempt {kept.attempt} with other sites")
        self._attempts[attempt.study_id, attempt.round] = attempt

    def declared(self, study_id: str, number: int) -> Attempt | None:
        """Return the last attempt of a round."""
        return self._attempts.get((study_id, number))

    def gather(self, gathered: Gathered) -> None:
        """Keep the replies."""
        data = gathered.to_bytes()
        if self._gathered.setdefault((gathered.study_id, gathered.round), data) != data:
            raise JournalConflict(f"round {gathered.round} was gathered from others, or with other replies")

    def gathered(self, study_id: str, number: int) -> Gathered | None:
        """Return the replies of a round that is not committed."""
        data = self._gathered.get((study_id, number))
        return None if data is None else Gathered.from_bytes(study_id, number, data)


_: type[Journal] = MemoryJournal
