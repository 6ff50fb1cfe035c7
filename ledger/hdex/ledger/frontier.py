"""The right edge of a growing tree: enough to go on hashing, at most 64 hashes however long the log. Pure, no I/O.

Source: RFC 9162, section 2.1.2 (the stack of complete subtrees).
"""

from collections.abc import Sequence

from hdex.ledger.errors import StoreCorrupt
from hdex.ledger.merkle import EMPTY_ROOT, HASH_SIZE, node_hash


class Frontier:
    """Roots of the complete subtrees that make up `size` leaves, largest first."""

    __slots__ = ("_peaks", "size")

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        """Go on from `size` leaves. Raises StoreCorrupt unless there is one peak of 32 bytes for each bit of size."""
        if size < 0 or len(peaks) != size.bit_count() or any(len(peak) != HASH_SIZE for peak in peaks):
            raise StoreCorrupt(f"{len(peaks)} subtree roots do not make up {size} leaves")
        self.size = size
        self._peaks = list(peaks)

    @property
    def peaks(self) -> tuple[bytes, ...]:
        """What the next process needs to go on."""
        return tuple(self._peaks)

    def append(self, leaf_hash: bytes) -> None:
        """Add one leaf."""
        carried = leaf_hash
        for _ in range((~self.size & (self.size + 1)).bit_length() - 1):  # trailing ones of size
            carried = node_hash(self._peaks.pop(), carried)
        self._peaks.append(carried)
        self.size += 1

    def root(self) -> bytes:
        """Return the root over all leaves."""
        if not self._peaks:
            return EMPTY_ROOT
        running = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            running = node_hash(peak, running)
        return running
