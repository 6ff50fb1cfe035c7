"""The rounds that the exchange's log has sealed, so that a round has one record there however often it is told."""

import threading
from collections.abc import Callable, Iterator, Sequence

from hdex.ledger.event import Action, Decision, parse
from hdex.ledger.log import Log
from hdex.node.documents import Documents
from hdex.node.errors import NotFound

BEGUN = "study_begun"  # where the log stood before a study's first round
SLICE = 1024


class Seals:
    """Reads the log's own events: between two writes a process may die, the log alone says what was written.

    past: opens the finished shards of the log, oldest first; they are closed here once they are read.
    """

    def __init__(self, log: Log, past: Callable[[], Sequence[Log]], documents: Documents) -> None:
        self._log = log
        self._past = past
        self._documents = documents
        self._lock = threading.Lock()  # the shards are opened by one thread at a time

    def of(self, study_digest: str) -> set[str]:
        """Return the digests of the rows sealed so far; the first call for a study remembers where its rounds begin."""
        with self._lock:
            try:
                begun = self._documents.get(BEGUN, study_digest)
            except NotFound:
                begun = {"origin": self._log.origin, "size": self._log.size}
                self._documents.put(BEGUN, study_digest, begun)
            events = (parse(leaf) for leaf in self._since(str(begun["origin"]), int(begun["size"])))
            return {
                str(event.result_digest)
                for event in events
                if event.action is Action.ROUND_SEAL
                and event.decision is Decision.ALLOW
                and event.request_digest == study_digest
            }

    def _since(self, origin: str, size: int) -> Iterator[bytes]:
        """Yield the entries from a place on, over the turn of a year too."""
        if origin != self._log.origin:
            for shard in self._past():
                if shard.origin == origin:
                    yield from entries(shard, size)
                shard.close()
            size = 0
        yield from entries(self._log, size)


def entries(log: Log, start: int) -> Iterator[bytes]:
    """Yield a log's entries from `start` on."""
    stop = log.size
    for begin in range(start, stop, SLICE):
        yield from log.entries(begin, min(begin + SLICE, stop))
