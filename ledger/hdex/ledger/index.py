"""Searching a log by the fields of its events: an index says where to look, the log says what is there.

The index stands outside the durable path. It is filled when somebody searches, and its failure costs a rebuild, never
an append. What it names is read from the log again and compared with the question, so a wrong index cannot put an event
in front of a reader; what a damaged index leaves out is found by `scan`, which asks the log alone.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from threading import Lock
from typing import Protocol

from hdex.ledger.errors import IndexFailed
from hdex.ledger.event import Event, parse
from hdex.ledger.ports import EventIndex, EventQuery

_BATCH = 1000
_EQUAL = ("organisation", "role", "product", "contract", "grant", "purpose", "action", "decision")


class Entries(Protocol):
    """What is searched: the log, or one that was copied."""

    @property
    def size(self) -> int:
        """How many entries there are."""
        ...

    def entries(self, start: int, stop: int) -> list[bytes]:
        """Return the leaves with start <= index < stop."""
        ...


def matches(query: EventQuery, event: Event) -> bool:
    """Return whether an event is what the query asks for, its place in the log aside."""
    for name in _EQUAL:
        asked = getattr(query, name)
        if asked is not None and getattr(event, name) != asked:
            return False
    if query.actor and event.actor not in query.actor:
        return False
    return (query.since is None or event.at >= query.since) and (query.until is None or event.at < query.until)


def scan(log: Entries, query: EventQuery) -> list[tuple[int, Event]]:
    """Return what matches, reading every entry: slow, and right without any index."""
    wanted = replace(query, actor=tuple(set(query.actor)))
    found = ((index, event) for index, event in _events(log, max(0, query.first)) if matches(wanted, event))
    return [pair for _, pair in zip(range(query.limit), found, strict=False)]


class Search:
    """One log and the index over it."""

    def __init__(self, log: Entries, *, opened: Callable[[], EventIndex], fresh: Callable[[], EventIndex]) -> None:
        """Search `log`, one shard of it for each Search and index: a new shard begins at index 0 again.

        opened: the index as it is kept; fresh: the same place, emptied.
        """
        self._log, self._opened, self._fresh = log, opened, fresh
        self._lock = Lock()  # guards _index
        self._index: EventIndex | None = None

    def find(self, query: EventQuery) -> list[tuple[int, Event]]:
        """Return what matches with its log index, ascending, every event as the log holds it.

        An index that is damaged, ahead of the log or wrong about an entry is built again once. Raises IndexFailed when
        that fails too, StoreCorrupt when the log itself is damaged.
        """
        with self._lock:
            try:
                return self._asked(query)
            except IndexFailed:
                self._rebuild()
                return self._asked(query)

    def size(self) -> int:
        """Return how many entries are indexed after catching up."""
        with self._lock:
            return self._caught_up().size()

    def close(self) -> None:
        """Close the index."""
        with self._lock:
            if self._index is not None:
                self._index.close()
            self._index = None

    def _asked(self, query: EventQuery) -> list[tuple[int, Event]]:
        found: list[tuple[int, Event]] = []
        for index in self._caught_up().search(query):
            if not 0 <= index < self._log.size:
                raise IndexFailed(f"the index names entry {index} of {self._log.size}")
            (leaf,) = self._log.entries(index, index + 1)
            event = parse(leaf)
            if not matches(query, event):
                raise IndexFailed(f"the index is wrong about entry {index}")
            found.append((index, event))
        return found

    def _caught_up(self) -> EventIndex:
        if self._index is None:
            self._index = self._opened()
        known = self._index.size()
        if known > self._log.size:
            raise IndexFailed(f"the index knows {known} entries, the log has {self._log.size}")
        batch: list[Event] = []
        for index, event in _events(self._log, known):
            batch.append(event)
            if len(batch) == _BATCH:
                self._index.add(index + 1 - len(batch), batch)
                batch = []
        if batch:
            self._index.add(self._index.size(), batch)
        return self._index

    def _rebuild(self) -> None:
        if self._index is not None:
            self._index.close()
        self._index = self._fresh()


def _events(log: Entries, start: int) -> Iterator[tuple[int, Event]]:
    size = log.size
    for first in range(start, size, _BATCH):
        for index, leaf in enumerate(log.entries(first, min(first + _BATCH, size)), first):
            yield index, parse(leaf)
