"""The search index as a list: for tests and for logs that are small enough to be scanned."""

from collections.abc import Sequence

from hdex.ledger.errors import IndexFailed
from hdex.ledger.event import Event
from hdex.ledger.index import matches
from hdex.ledger.ports import EventIndex, EventQuery


class MemoryEventIndex:
    """Every event, looked at one after another."""

    def __init__(self) -> None:
        self._events: list[Event] = []

    def add(self, first: int, events: Sequence[Event]) -> None:
        """Extend the list by what it does not hold yet."""
        if first > len(self._events):
            raise IndexFailed(f"{len(self._events)} entries are indexed, the next ones begin at {first}")
        self._events.extend(events[len(self._events) - first :])

    def search(self, query: EventQuery) -> list[int]:
        """Scan."""
        wanted = range(max(0, query.first), len(self._events))
        found = (index for index in wanted if matches(query, self._events[index]))
        return [index for _, index in zip(range(query.limit), found, strict=False)]

    def size(self) -> int:
        """Return the length of the list."""
        return len(self._events)

    def close(self) -> None:
        """Nothing to let go of."""


_: type[EventIndex] = MemoryEventIndex
