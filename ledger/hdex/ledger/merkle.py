"""RFC 9162 Merkle trees: hashes, inclusion proofs, consistency proofs. Pure, no I/O.

Source: RFC 9162 sections 2.1.1 to 2.1.4 (the hashes equal those of RFC 6962).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from hashlib import sha256

from hdex.ledger.errors import ProofInvalid

HASH_SIZE = 32
LARGE = 64 * 1024  # bytes of a leaf, from where copying it costs more than a second call
EMPTY_ROOT = sha256(b"").digest()
LEAF, NODE = b"\x00", b"\x01"


def leaf_hash(data: bytes) -> bytes:
    """Return SHA-256(0x00 || data)."""
    if len(data) < LARGE:
        return sha256(LEAF + data).digest()
    found = sha256(LEAF)
    found.update(data)  # without a copy of it
    return found.digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return SHA-256(0x01 || left || right)."""
    return sha256(NODE + left + right).digest()


class Proofs(ABC):
    """Roots and proofs of any earlier size of a tree, from its complete subtrees alone."""

    __slots__ = ()

    @abstractmethod
    def __len__(self) -> int:
        """How many leaves there are."""

    @abstractmethod
    def _node(self, height: int, index: int) -> bytes:
        """Return the root of the complete subtree over leaves [index * 2**height, (index + 1) * 2**height)."""

    def root(self, size: int | None = None) -> bytes:
        """Return the root over the first `size` leaves, by default over all."""
        size = len(self) if size is None else size
        _require_range(size, len(self))
        return self._subtree(0, size) if size else EMPTY_ROOT

    def inclusion_proof(self, index: int, size: int) -> list[bytes]:
        """Return the audit path of RFC 9162 section 2.1.3.1, lowest sibling first. Raises ValueError out of range."""
        _require_range(size, len(self))
        if not 0 <= index < size:
            raise ValueError(f"index {index} is not in a tree of size {size}")
        return self._path(index, 0, size)

    def consistency_proof(self, old_size: int, new_size: int) -> list[bytes]:
        """Return the proof of RFC 9162 section 2.1.4.1. Raises ValueError unless 0 < old_size <= new_size."""
        _require_range(new_size, len(self))
        if not 0 < old_size <= new_size:
            raise ValueError(f"old size {old_size} is not within 1 and the new size {new_size}")
        return [] if old_size == new_size else self._subproof(old_size, 0, new_size)

    def _subtree(self, start: int, stop: int) -> bytes:
        """Return the root over leaves [start, stop); start is a multiple of the power of two that covers the range."""
        width = stop - start
        height = width.bit_length() - 1
        if width == 1 << height:
            return self._node(height, start >> height)
        middle = start + _split(width)
        return node_hash(self._subtree(start, middle), self._subtree(middle, stop))

    def _path(self, index: int, start: int, stop: int) -> list[bytes]:
        if stop - start == 1:
            return []
        middle = start + _split(stop - start)
        if index < middle:
            return [*self._path(index, start, middle), self._subtree(middle, stop)]
        return [*self._path(index, middle, stop), self._subtree(start, middle)]

    def _subproof(self, old: int, start: int, stop: int) -> list[bytes]:
        if old == stop:  # the old tree's own right edge: known to the verifier when it starts at leaf 0
            return [] if start == 0 else [self._subtree(start, stop)]
        middle = start + _split(stop - start)
        if old <= middle:
            return [*self._subproof(old, start, middle), self._subtree(middle, stop)]
        return [*self._subproof(old, middle, stop), self._subtree(start, middle)]


class Tree(Proofs):
    """All hashes of a growing tree: append is O(1) amortised, roots and proofs of any earlier size are O(log n)."""

    __slots__ = ("_levels",)

    def __init__(self, leaf_hashes: Iterable[bytes] = ()) -> None:
        # Owner: the caller. _levels[h][i] is the root of the complete subtree over leaves [i * 2**h, (i + 1) * 2**h).
        self._levels: list[list[bytes]] = [[]]
        for leaf in leaf_hashes:
            self.append(leaf)

    def __len__(self) -> int:
        return len(self._levels[0])

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash at the right edge."""
        _require_hash(leaf, "leaf hash")
        carried, height = leaf, 0
        self._levels[0].append(carried)
        while len(self._levels[height]) % 2 == 0:
            carried = node_hash(self._levels[height][-2], carried)
            height += 1
            if height == len(self._levels):
                self._levels.append([])
            self._levels[height].append(carried)

    def truncate(self, size: int) -> None:
        """Forget all leaves from index `size` on."""
        for height, level in enumerate(self._levels):
            del level[size >> height :]

    def leaf(self, index: int) -> bytes:
        """Return one leaf hash."""
        return self._levels[0][index]

    def leaves(self, start: int, stop: int) -> list[bytes]:
        """Return the leaf hashes with start <= index < stop."""
        return self._levels[0][start:stop]

    def _node(self, height: int, index: int) -> bytes:
        return self._levels[height][index]


def root(leaf_hashes: Sequence[bytes]) -> bytes:
    """Return the root over leaf hashes; the root of nothing is SHA-256 of nothing. Raises ValueError on bad lengths."""
    return Tree(leaf_hashes).root()


def inclusion_proof(leaf_hashes: Sequence[bytes], index: int, size: int) -> list[bytes]:
    """Return the proof that leaf `index` is in the tree of the first `size` leaves. Raises ValueError out of range."""
    _require_range(size, len(leaf_hashes))
    return Tree(leaf_hashes[:size]).inclusion_proof(index, size)


def consistency_proof(leaf_hashes: Sequence[bytes], old_size: int, new_size: int) -> list[bytes]:
    """Return the proof that the tree of `old_size` is a prefix of that of `new_size`.

    Raises ValueError unless 0 < old_size <= new_size <= len(leaf_hashes).
    """
    _require_range(new_size, len(leaf_hashes))
    return Tree(leaf_hashes[:new_size]).consistency_proof(old_size, new_size)


def verify_inclusion(leaf_hash: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Raise ProofInvalid unless `proof` leads from the leaf at `index` to the root of a tree of `size`.

    Source: RFC 9162 section 2.1.3.2. A proof longer or shorter than needed is refused.
    """
    _require_proof([leaf_hash, root], proof)
    if not 0 <= index < size:
        raise ProofInvalid(f"index {index} is not in a tree of size {size}")
    fn, sn, running = index, size - 1, leaf_hash
    for sibling in proof:
        if sn == 0:
            raise ProofInvalid(f"the proof has {len(proof)} hashes, more than a tree of size {size} needs")
        if fn & 1 or fn == sn:
            running = node_hash(sibling, running)
            fn, sn = _skip_left_edge(fn, sn)
        else:
            running = node_hash(running, sibling)
        fn, sn = fn >> 1, sn >> 1
    if sn != 0:
        raise ProofInvalid(f"the proof has {len(proof)} hashes, fewer than a tree of size {size} needs")
    _require_root(running, root)


def verify_consistency(old_size: int, new_size: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    """Raise ProofInvalid unless the tree of `old_size` is a prefix of the tree of `new_size`.

    Source: RFC 9162 section 2.1.4.2. Old size 0 is an error: nothing can be proved about an empty tree.
    """
    _require_proof([old_root, new_root], proof)
    if not 0 < old_size <= new_size:
        raise ProofInvalid(f"old size {old_size} is not within 1 and the new size {new_size}")
    if old_size == new_size:
        if proof:
            raise ProofInvalid(f"equal sizes need no hashes, the proof has {len(proof)}")
        return _require_root(old_root, new_root)
    path = [old_root, *proof] if old_size & (old_size - 1) == 0 else list(proof)
    if not path:
        raise ProofInvalid("the proof is empty, the sizes differ")
    found_old, found_new = _fold_consistency(old_size, new_size, path)
    _require_root(found_old, old_root)
    return _require_root(found_new, new_root)


def _fold_consistency(old_size: int, new_size: int, path: list[bytes]) -> tuple[bytes, bytes]:
    """Return the old and the new root that the path leads to."""
    fn, sn = old_size - 1, new_size - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if sn == 0:
            raise ProofInvalid("the proof has more hashes than the sizes need")
        if fn & 1 or fn == sn:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            fn, sn = _skip_left_edge(fn, sn)
        else:
            new = node_hash(new, sibling)
        fn, sn = fn >> 1, sn >> 1
    if sn != 0:
        raise ProofInvalid("the proof has fewer hashes than the sizes need")
    return old, new


def _skip_left_edge(fn: int, sn: int) -> tuple[int, int]:
    """Shift both until fn is odd or zero: the levels at which the right edge has no sibling."""
    while not fn & 1 and fn != 0:
        fn, sn = fn >> 1, sn >> 1
    return fn, sn


def _split(width: int) -> int:
    """Return the largest power of two smaller than `width`, for width > 1."""
    return int(1 << ((width - 1).bit_length() - 1))


def _require_hash(value: bytes, what: str) -> None:
    if len(value) != HASH_SIZE:
        raise ValueError(f"a {what} has {len(value)} bytes, {HASH_SIZE} are needed")


def _require_proof(ends: Sequence[bytes], proof: Sequence[bytes]) -> None:
    for value in (*ends, *proof):
        if len(value) != HASH_SIZE:
            raise ProofInvalid(f"a hash has {len(value)} bytes, {HASH_SIZE} are needed")


def _require_range(size: int, available: int) -> None:
    if not 0 <= size <= available:
        raise ValueError(f"size {size} is not within 0 and the {available} leaves there are")


def _require_root(found: bytes, asked: bytes) -> None:
    if found != asked:
        raise ProofInvalid("the proof leads to another root")
