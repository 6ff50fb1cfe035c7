"""One participant's log: append with group commit, receipts, release before data, proofs, checkpoints.

Callers in many threads share one fsync: whoever finds no writer at work writes for all who wait. When a write fails the
log refuses everything until it is opened again, because nobody knows what reached the disk; reading goes on.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Lock

from hdex.ledger import event as events
from hdex.ledger.errors import EventInvalid, LedgerError, LogFailed, NoteInvalid, StoreCorrupt
from hdex.ledger.merkle import leaf_hash
from hdex.ledger.note import (
    Signer,
    Verifier,
    add_signatures,
    format_checkpoint,
    parse_checkpoint,
    parse_note,
    sign_note,
    verify_note,
)
from hdex.ledger.ports import LogStore
from hdex.ledger.tiles import Frontier, TiledTree

COSIGNED = "cosigned"
_MAX_GROUP = 1000


@dataclass(frozen=True, slots=True)
class Receipt:
    """The leaf is on disk at `index`; `checkpoint` is the signed head over `size` entries that include it."""

    index: int
    leaf_hash: bytes
    size: int
    root: bytes
    checkpoint: str


class _Waiting:
    """One leaf on its way to disk. The last of a caller's leaves has `wake`, on which that caller sleeps."""

    __slots__ = ("error", "leaf", "receipt", "wake")

    def __init__(self, leaf: bytes) -> None:
        self.leaf = leaf
        self.receipt: Receipt | None = None
        self.error: LedgerError | None = None
        self.wake: Event | None = None

    @property
    def done(self) -> bool:
        """Whether it is known what became of the leaf."""
        return self.receipt is not None or self.error is not None


@dataclass(frozen=True, slots=True)
class Successor:
    """An empty store in which the log goes on under another origin, and the entry with which it begins there."""

    store: LogStore
    signer: Signer
    link: bytes


@dataclass(frozen=True, slots=True)
class _Shard:
    """All that readers need, as of one moment. Replaced as a whole, so they need no lock."""

    store: LogStore
    signer: Signer
    tree: TiledTree
    head: str


class Log:
    """An append-only log under one origin (`hdex/<node>/<year>`), signed by one key.

    When it goes on under the next origin, everything here speaks of the new shard from then on.
    """

    def __init__(
        self,
        store: LogStore,
        origin: str,
        signer: Signer,
        *,
        following: Callable[[str], Successor | None] = lambda head: None,
        retired: Sequence[bytes] = (),
    ) -> None:
        """Open and verify. Raises StoreCorrupt when the stored leaves are not those of the last signed head.

        following: asked with the newest head before every write; where the log goes on, None: here.
        retired: public keys that signed this log before; a head of theirs is signed anew.
        """
        if signer.name != origin:
            raise NoteInvalid("a log signs under its origin: the signer has another name")
        self._following = following
        self._turn = Lock()  # guards everything below
        self._queue: list[_Waiting] = []
        self._writing = False
        self._failed: LedgerError | None = None
        self._finished: list[LogStore] = []  # of shards that ended while this process ran
        self._shard = _opened(store, signer, retired)

    @property
    def origin(self) -> str:
        """The origin of the shard that is written now."""
        return self._shard.signer.name

    @property
    def size(self) -> int:
        """How many entries are durable."""
        return len(self._shard.tree)

    @property
    def failed(self) -> bool:
        """Whether the writer failed and everything is refused until the log is reopened."""
        return self._failed is not None

    @property
    def public_key(self) -> bytes:
        """The key under which this log's checkpoints verify."""
        return self._shard.signer.public_key

    def append(self, leaf: bytes) -> Receipt:
        """Return the receipt of a leaf that is on disk, or raise LogFailed; many callers share one fsync."""
        return self.append_all([leaf])[0]

    def append_all(self, leaves: Sequence[bytes]) -> list[Receipt]:
        """Return the receipts of leaves that are on disk, in their order, or raise LogFailed when one is not."""
        mine = [_Waiting(leaf) for leaf in leaves]
        if not mine:
            return []
        last = mine[-1]  # groups are written in the order of the queue: when it is done, all are
        with self._turn:
            self._queue += mine
            leads = not self._writing
            self._writing = True
            if not leads:
                last.wake = Event()
        if last.wake is not None:
            self._sleep(last, last.wake)  # until the leaf is written, or it is our turn to write
        if not last.done:
            self._write_groups(last)
        failed = next((one for one in mine if one.receipt is None), None)
        if failed is not None:
            raise LogFailed("the entry is not in the log: the writer failed") from failed.error
        return [one.receipt for one in mine if one.receipt is not None]

    @contextmanager
    def release(self, event: events.Event) -> Iterator[Receipt]:
        """Remember an ALLOW before anything leaves: the body runs with the receipt, or does not run at all.

        Raises EventInvalid unless the event allows, LogFailed when it cannot be made durable.
        """
        if event.decision is not events.Decision.ALLOW:
            raise EventInvalid("a release needs an event whose decision is allow")
        yield self.append(events.canonical(event))

    def checkpoint(self) -> str:
        """Return the signed head over all durable entries."""
        return self._shard.head

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """Return the proof that entry `index` is among the first `size`. Raises ValueError out of range."""
        return self._durable(size).inclusion_proof(index, size)

    def consistency(self, old: int, new: int) -> list[bytes]:
        """Return the proof that the first `old` entries are a prefix of the first `new`. Raises ValueError."""
        return self._durable(new).consistency_proof(old, new)

    def root_at(self, size: int) -> bytes | None:
        """Return the root over the first `size` entries, None when the log is shorter."""
        tree = self._shard.tree
        return tree.root(size) if 0 <= size <= len(tree) else None

    def leaf_hashes(self, start: int, stop: int) -> list[bytes]:
        """Return the leaf hashes with start <= index < stop, durable ones only."""
        return self._shard.tree.leaves(start, stop)

    def tile_hashes(self, level: int, start: int, stop: int) -> bytes:
        """Return hashes of one level of tiles, side by side; level 0 are the leaf hashes. Raises ValueError."""
        tree = self._shard.tree
        if stop > tree.count(level):
            raise ValueError(f"level {level} has {tree.count(level)} hashes, {stop} are asked")
        return tree.hashes(level, start, stop)

    def entries(self, start: int, stop: int) -> list[bytes]:
        """Return the leaves with start <= index < stop, each checked. Raises StoreCorrupt naming the first bad one."""
        shard = self._shard
        stop = min(stop, len(shard.tree))
        found, signed = shard.store.read(start, stop), shard.tree.leaves(start, stop)
        for index, (leaf, expected) in enumerate(zip(found, signed, strict=False), start):
            if leaf_hash(leaf) != expected:
                raise StoreCorrupt(f"entry {index} is not the one that was signed")
        if len(found) != max(0, stop - start):
            raise StoreCorrupt(f"entry {start + len(found)} is missing from the store")
        return found

    def check(self) -> int:
        """Read and hash every entry again and return how many. Raises StoreCorrupt naming the first bad index."""
        size = self.size
        for start in range(0, size, _MAX_GROUP):
            self.entries(start, start + _MAX_GROUP)
        return size

    def add_cosignatures(self, checkpoint: str, lines: Sequence[str]) -> str:
        """Keep a checkpoint of ours with the cosignatures of witnesses, durably, and return it.

        The lines are not verified here: whoever relies on them does, with the keys of the trust file.
        """
        shard = self._shard
        _require_signed(checkpoint, _verifier(shard.signer))
        cosigned = add_signatures(checkpoint, lines)
        shard.store.put_note(COSIGNED, cosigned)
        return cosigned

    def cosigned(self) -> list[str]:
        """Return all cosigned checkpoints kept, oldest first."""
        return self._shard.store.notes(COSIGNED)

    def close(self) -> None:
        """Close the stores."""
        for store in (*self._finished, self._shard.store):
            store.close()

    def _durable(self, size: int) -> TiledTree:
        tree = self._shard.tree
        if size > len(tree):
            raise ValueError(f"size {size} is beyond the {len(tree)} durable entries")
        return tree

    def _write_groups(self, mine: _Waiting) -> None:
        """Write group after group until our own leaf is among them, then hand the pen to one who waits."""
        try:
            while not mine.done:
                with self._turn:
                    group, self._queue = self._queue[:_MAX_GROUP], self._queue[_MAX_GROUP:]
                try:
                    self._write(group)
                finally:
                    for wake in [waiting.wake for waiting in group]:
                        if wake is not None:
                            wake.set()
        finally:
            with self._turn:
                self._hand_on()

    def _hand_on(self) -> None:
        """Give the pen to the first who waits; with the turn held."""
        wakes = (waiting.wake for waiting in self._queue if waiting.wake is not None)
        wake = next(wakes, None)
        self._writing = wake is not None
        if wake is not None:
            wake.set()

    def _sleep(self, last: _Waiting, wake: Event) -> None:
        try:
            wake.wait()
        except BaseException:  # interrupted: whoever will not write must not be given the pen, or pass it on
            with self._turn:
                last.wake = None
                if wake.is_set() and not last.done:
                    self._hand_on()
            raise

    def _write(self, group: list[_Waiting]) -> None:
        """Make one group durable in one transaction, or mark the log failed; each caller learns which."""
        try:
            if self._failed is not None:
                raise self._failed
            self._commit(group)
        except BaseException as error:
            self._fail(error, group)
            if not isinstance(error, LedgerError):
                raise

    def _fail(self, error: BaseException, group: list[_Waiting]) -> None:
        """Refuse everything from now on: whether the group reached the disk is not known before reopening."""
        self._failed = error if isinstance(error, LedgerError) else LogFailed("the writer was interrupted")
        for waiting in group:
            waiting.error = self._failed

    def _commit(self, group: list[_Waiting]) -> None:
        shard, leaves = self._shard, [waiting.leaf for waiting in group]
        after = self._following(shard.head)
        if after is not None:  # the shard has ended: the group opens the next one, behind its link
            shard, leaves = _opened(after.store, after.signer, ()), [after.link, *leaves]
        first, hashes = len(shard.tree), [leaf_hash(leaf) for leaf in leaves]
        tree = shard.tree.grown(hashes)
        root = tree.root()
        head = _signed(shard.signer, len(tree), root)
        shard.store.append(first, leaves, head)
        if after is not None:
            self._finished.append(self._shard.store)
        self._shard = _Shard(shard.store, shard.signer, tree, head)
        start = first + len(leaves) - len(group)
        for index, waiting in enumerate(group, start):
            waiting.receipt = Receipt(index, hashes[index - first], len(tree), root, head)


def _opened(store: LogStore, signer: Signer, retired: Sequence[bytes]) -> _Shard:
    """Return what a store holds after checking it against key and leaves; a first head for an empty one."""
    size, edges, head = store.load()
    tree = TiledTree(Frontier(size, edges), store.tile)
    if head is None:
        if size:
            raise StoreCorrupt(f"{size} entries are stored, but no signed head")
        return _Shard(store, signer, tree, _signed(signer, 0, tree.root()))
    try:
        by = _require_signed(head, _verifier(signer), *(Verifier(signer.name, key) for key in retired))
    except NoteInvalid as error:
        raise StoreCorrupt("the stored head is not signed by this log's key") from error
    found = parse_checkpoint(head)
    if found.size != size or found.root != tree.root():
        raise StoreCorrupt(f"{size} stored entries do not hash to the signed head of {found.size}")
    is_own = _verifier(signer) in by
    return _Shard(store, signer, tree, head if is_own else _signed(signer, size, found.root))


def _verifier(signer: Signer) -> Verifier:
    return Verifier(signer.name, signer.public_key)


def _signed(signer: Signer, size: int, root: bytes) -> str:
    return sign_note(format_checkpoint(signer.name, size, root), signer)


def _require_signed(checkpoint: str, *keys: Verifier) -> set[Verifier]:
    """Return which of a log's keys signed a checkpoint of it. Raises NoteInvalid when none did."""
    found = {one.verifier for one in verify_note(checkpoint, keys)}
    if parse_checkpoint(parse_note(checkpoint).text).origin != keys[0].name:
        raise NoteInvalid("the checkpoint is of another origin")
    return found
