"""A witness of other participants' logs: cosigns a checkpoint only when it extends the last one it cosigned.

Source: c2sp.org/tlog-witness, add-checkpoint; each refusal carries the status code it has there. Beyond the protocol a
witness keeps the leaf hashes of what it cosigned (32 bytes an event), so that it can name the first entry rewritten.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from threading import Lock

from hdex.ledger.errors import (
    CheckpointConflict,
    KeyUnknown,
    MirrorInvalid,
    NoteInvalid,
    OldSizeWrong,
    OriginUnknown,
    ProofInvalid,
    StoreCorrupt,
    WitnessRefused,
)
from hdex.ledger.fraud import FraudProof, contradiction
from hdex.ledger.merkle import EMPTY_ROOT, Tree, verify_consistency
from hdex.ledger.note import (
    Checkpoint,
    SignatureType,
    Signer,
    Verifier,
    add_signatures,
    cosign,
    parse_checkpoint,
    parse_note,
    verify_note,
)
from hdex.ledger.ports import WitnessStore


class Witness:
    """Cosigns under the signer's name."""

    def __init__(
        self,
        signer: Signer,
        store: WitnessStore,
        *,
        logs: Mapping[str, bytes],
        clock: Callable[[], datetime],
        accuse: Callable[[FraudProof], object] = lambda _: None,
    ) -> None:
        """Watch `logs`: origin -> the log's 32-byte public key. accuse gets the proof that a log signed two pasts."""
        self._signer, self._store, self._clock, self._accuse = signer, store, clock, accuse
        self._logs = dict(logs)
        self._lock = Lock()  # guards _trees; the store's compare-and-swap guards the rest
        self._trees: dict[str, Tree] = {}

    @property
    def name(self) -> str:
        """The name under which this witness cosigns."""
        return self._signer.name

    def add_checkpoint(
        self, old_size: int, proof: Sequence[bytes], note: str, leaf_hashes: Sequence[bytes] | None = None
    ) -> str:
        """Return the cosignature line over `note` after checking that it extends what was cosigned before.

        leaf_hashes: optional, those of the entries that end at the new size; at least the ones not mirrored yet.
        Raises NoteInvalid or WitnessRefused 400, KeyUnknown 403, OriginUnknown 404, OldSizeWrong or CheckpointConflict
        409, ProofInvalid or MirrorInvalid 422; nothing is stored then.
        """
        offered = self._authentic(note)  # 1 of a log we watch, under its key
        with self._lock:
            latest = self._remembered(offered.origin)
            self._compare(offered, latest, note)
            self._require_sizes(old_size, offered, latest, note)  # 2 from where we stand, forward
            self._require_extension(old_size, proof, offered, latest)  # 3 with nothing before it changed
            fresh = self._mirrored(offered, leaf_hashes)  # 4 and the leaf hashes are those of this root
            line = cosign(note, self._signer, self._clock())
            cosigned = add_signatures(note, [line])
            if not self._store.advance(offered.origin, latest, cosigned, fresh):  # 5 remembered before it is said
                self._trees.pop(offered.origin, None)
                raise OldSizeWrong("another request was faster", size=self.size(offered.origin))
            self._extend(offered.origin, fresh)
        return line

    def latest(self, origin: str) -> str | None:
        """Return the last cosigned checkpoint of a log, None before the first."""
        return self._store.latest(origin)

    def size(self, origin: str) -> int:
        """Return the size of the last cosigned checkpoint, 0 before the first."""
        latest = self._store.latest(origin)
        return 0 if latest is None else parse_checkpoint(latest).size

    def mirror(self, origin: str) -> list[bytes]:
        """Return the leaf hashes kept for a log, from index 0."""
        return self._store.mirror(origin)

    def mirrored(self, origin: str) -> int:
        """Return how many leaf hashes are kept for a log: hand over those from here on."""
        return len(self._tree(origin))

    def _remembered(self, origin: str) -> str | None:
        """Return the last cosigned note as it was written. Raises StoreCorrupt for another: it says where we stand."""
        latest = self._store.latest(origin)
        if latest is None:
            return None
        own = Verifier(self._signer.name, self._signer.public_key, SignatureType.COSIGNATURE_V1)
        try:
            verify_note(latest, [Verifier(origin, self._logs[origin]), own])
            if parse_checkpoint(latest).origin == origin:
                return latest
        except NoteInvalid as error:
            raise StoreCorrupt("what this witness remembers of a log is not what was signed") from error
        raise StoreCorrupt("what this witness remembers of a log is of another log")

    def _authentic(self, note: str) -> Checkpoint:
        parse_note(note)
        offered = parse_checkpoint(note)
        key = self._logs.get(offered.origin)
        if key is None:
            raise OriginUnknown("this witness does not watch a log of this origin")
        try:
            verify_note(note, [Verifier(offered.origin, key)])
        except NoteInvalid as error:
            raise KeyUnknown("the checkpoint is not signed by the key of its origin") from error
        return offered

    def _compare(self, offered: Checkpoint, latest: str | None, note: str) -> None:
        """Hand over the proof when the log signed another past than the one cosigned, also where it only shrank."""
        if latest is None:
            return
        known, tree = parse_checkpoint(latest), self._tree(offered.origin)
        if offered.size == known.size:
            contradicts = offered.root != known.root
        else:
            mirrored = 0 < offered.size < known.size <= len(tree)
            contradicts = mirrored and tree.root(offered.size) != offered.root
        if contradicts:
            found = contradiction(note, latest, tree.leaves(0, known.size))
            if found is not None:
                self._accuse(found)

    def _require_sizes(self, old_size: int, offered: Checkpoint, latest: str | None, note: str) -> None:
        if not 0 <= old_size <= offered.size:
            raise WitnessRefused(f"old size {old_size} is not within 0 and the checkpoint's size {offered.size}")
        known = parse_checkpoint(latest) if latest is not None else Checkpoint(offered.origin, 0, EMPTY_ROOT)
        if known.size == offered.size and known.root != offered.root:
            raise CheckpointConflict(
                f"the log signed two roots for size {offered.size}",
                known=latest or "",
                submitted=note,
                size=known.size,
            )
        if old_size != known.size:
            raise OldSizeWrong(f"old size is {old_size}, this witness stands at {known.size}", size=known.size)

    def _require_extension(
        self, old_size: int, proof: Sequence[bytes], offered: Checkpoint, latest: str | None
    ) -> None:
        if old_size == 0 or latest is None:
            if proof:
                raise ProofInvalid(f"from size 0 no hashes are needed, the proof has {len(proof)}")
            return
        verify_consistency(old_size, offered.size, proof, parse_checkpoint(latest).root, offered.root)

    def _mirrored(self, offered: Checkpoint, leaf_hashes: Sequence[bytes] | None) -> list[bytes]:
        """Return the leaf hashes to add to the mirror, after they led to the checkpoint's root."""
        if leaf_hashes is None:
            return []
        tree, start = self._tree(offered.origin), offered.size - len(leaf_hashes)
        kept = len(tree)
        if not 0 <= start <= kept <= offered.size:
            raise MirrorInvalid(f"the hashes begin at {start}, the mirror ends at {kept}")
        if tree.leaves(start, kept) != list(leaf_hashes[: kept - start]):
            raise MirrorInvalid("the hashes differ from those shown before")
        fresh = list(leaf_hashes[kept - start :])
        self._extend(offered.origin, fresh)
        root = tree.root()
        tree.truncate(kept)
        if root != offered.root:
            raise MirrorInvalid("the hashes do not lead to the checkpoint's root")
        return fresh

    def _tree(self, origin: str) -> Tree:
        if origin not in self._trees:
            try:
                self._trees[origin] = Tree(self._store.mirror(origin))
            except ValueError as error:
                raise StoreCorrupt("a mirrored leaf hash is not 32 bytes") from error
        return self._trees[origin]

    def _extend(self, origin: str, leaf_hashes: Sequence[bytes]) -> None:
        tree, kept = self._tree(origin), len(self._tree(origin))
        try:
            for value in leaf_hashes:
                tree.append(value)
        except ValueError as error:
            tree.truncate(kept)
            raise MirrorInvalid("a leaf hash is not 32 bytes") from error
