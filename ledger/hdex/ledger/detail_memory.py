"""Details in two dictionaries, as the file keeps them in two tables. Nothing survives the process."""

from collections.abc import Sequence
from dataclasses import replace
from threading import Lock

from hdex.ledger.ports import DetailRow, DetailStore


class MemoryDetailStore:
    """The memory twin."""

    def __init__(self) -> None:
        self._lock = Lock()  # guards all three
        self._rows: dict[str, DetailRow] = {}
        self._keys: dict[str, tuple[bytes, bytes]] = {}
        self._holds: dict[str, bytes] = {}

    def put(self, rows: Sequence[DetailRow]) -> None:
        """Keep what is not there yet."""
        with self._lock:
            for row in rows:
                if row.event_id not in self._rows:
                    self._rows[row.event_id] = replace(row, key=b"", tag=b"")
                    self._keys[row.event_id] = (row.key, row.tag)

    def get(self, event_id: str) -> DetailRow | None:
        """Join the two."""
        with self._lock:
            return self._joined(event_id) if event_id in self._keys else None

    def find(self, tag: bytes) -> list[DetailRow]:
        """Scan the keys."""
        with self._lock:
            return [self._joined(event_id) for event_id, (_, found) in self._keys.items() if found == tag]

    def destroy(self, event_ids: Sequence[str]) -> None:
        """Forget the keys."""
        with self._lock:
            for event_id in event_ids:
                self._keys.pop(event_id, None)

    def put_hold(self, name: str, sealed: bytes) -> None:
        """Keep a hold."""
        with self._lock:
            self._holds[name] = sealed

    def drop_hold(self, name: str) -> None:
        """Forget a hold."""
        with self._lock:
            self._holds.pop(name, None)

    def holds(self) -> list[tuple[str, bytes]]:
        """Return the holds by name."""
        with self._lock:
            return sorted(self._holds.items())

    def close(self) -> None:
        """Nothing to let go of."""

    def _joined(self, event_id: str) -> DetailRow:
        key, tag = self._keys[event_id]
        return replace(self._rows[event_id], key=key, tag=tag)


_: type[DetailStore] = MemoryDetailStore
