"""The stores as plain lists: for tests and for short-lived processes. Nothing survives the process."""

from collections.abc import Sequence
from threading import Lock

from hdex.ledger.errors import LogConflict
from hdex.ledger.merkle import leaf_hash
from hdex.ledger.ports import LogStore, WitnessStore
from hdex.ledger.tiles import Frontier


class MemoryLogStore:
    """A log in a list."""

    def __init__(self) -> None:
        self._leaves: list[bytes] = []
        self._frontier = Frontier()
        self._tiles: dict[tuple[int, int], bytes] = {}
        self._head: str | None = None
        self._notes: list[tuple[str, str]] = []

    def append(self, first: int, leaves: Sequence[bytes], head: str) -> None:
        """Extend the list."""
        if first != len(self._leaves):
            raise LogConflict(f"{len(self._leaves)} entries are stored, the writer knows {first}")
        self._frontier, full = self._frontier.grown([leaf_hash(leaf) for leaf in leaves])
        self._tiles.update({(tile.level, tile.number): tile.hashes for tile in full})
        self._leaves.extend(leaves)
        self._head = head

    def read(self, start: int, stop: int) -> list[bytes]:
        """Return a slice."""
        return self._leaves[start:stop]

    def load(self) -> tuple[int, tuple[bytes, ...], str | None]:
        """Return what is kept."""
        return self._frontier.size, self._frontier.edges, self._head

    def tile(self, level: int, number: int) -> bytes | None:
        """Look up."""
        return self._tiles.get((level, number))

    def size(self) -> int:
        """Return the length of the list."""
        return len(self._leaves)

    def put_note(self, kind: str, note: str) -> None:
        """Keep a note once."""
        if (kind, note) not in self._notes:
            self._notes.append((kind, note))

    def notes(self, kind: str) -> list[str]:
        """Return notes in order."""
        return [note for found, note in self._notes if found == kind]

    def close(self) -> None:
        """Nothing to let go of."""


class MemoryWitnessStore:
    """What a witness remembers, in two dictionaries."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._latest: dict[str, str] = {}
        self._mirror: dict[str, list[bytes]] = {}

    def latest(self, origin: str) -> str | None:
        """Return the last cosigned note."""
        return self._latest.get(origin)

    def mirror(self, origin: str) -> list[bytes]:
        """Return a copy of the leaf hashes."""
        return list(self._mirror.get(origin, []))

    def advance(self, origin: str, expected: str | None, note: str, leaf_hashes: Sequence[bytes]) -> bool:
        """Compare and swap under a lock."""
        with self._lock:
            if self._latest.get(origin) != expected:
                return False
            self._latest[origin] = note
            self._mirror.setdefault(origin, []).extend(leaf_hashes)
            return True

    def close(self) -> None:
        """Nothing to let go of."""


_log: type[LogStore] = MemoryLogStore
_witness: type[WitnessStore] = MemoryWitnessStore
