"""Whose contracts are whose, and in which state: kept in memory, so that a page of a list reads only its records."""

import bisect
import threading
from collections.abc import Callable, Iterable
from itertools import islice

from hdex.node.contract_record import ContractRecord


class ContractIndex:
    """The contracts of one exchange by participant, in the order of their ids. Safe for many threads of one process."""

    def __init__(self, read: Callable[[], Iterable[ContractRecord]]) -> None:
        """read: returns every record that is on disk; asked once, when the first list is."""
        self._read = read
        self._lock = threading.Lock()  # owns what follows
        self._is_read = False
        self._ids: dict[str, list[str]] = {}  # of a participant, sorted
        self._said: dict[str, tuple[str, str]] = {}  # id -> state, product

    def take(self, record: ContractRecord) -> None:
        """Note a record as it stands; it is on disk already."""
        with self._lock:
            if self._is_read:
                self._note(record)

    def of(self, participant: str, *, state: str, product: str, after: str, most: int | None) -> list[str]:
        """Return the ids of a participant's contracts behind `after`, `most` of them; an empty filter lets all pass."""
        with self._lock:
            if not self._is_read:
                for record in self._read():
                    self._note(record)
                self._is_read = True
            ids = self._ids.get(participant, [])
            behind = islice(ids, bisect.bisect_right(ids, after) if after else 0, None)
            return list(islice((name for name in behind if self._fits(name, state, product)), most))

    def _fits(self, name: str, state: str, product: str) -> bool:
        is_in, about = self._said[name]
        return state in ("", is_in) and product in ("", about)

    def _note(self, record: ContractRecord) -> None:
        name, asked = record.contract_id, record.asked
        if name not in self._said:
            for participant in {str(asked["consumer"]), str(asked["provider"])}:
                bisect.insort(self._ids.setdefault(participant, []), name)
        self._said[name] = (record.state, str(asked["product"]))
