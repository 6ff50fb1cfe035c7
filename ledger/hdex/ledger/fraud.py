"""A portable fraud proof: two checkpoints that one log signed and that cannot both be true. Pure, no I/O.

{"format": "hdex-fraud/1", "kind": "split-view", "checkpoints": ["<note>", "<note>"], "root": "", "path": []}

split-view     two roots for one size: the two notes alone prove it.
inconsistent   the smaller tree is no prefix of the larger: `path` is an RFC 9162 consistency proof that leads from
               `root`, another root of the smaller size than the log signed, to the larger signed root. SHA-256 allows
               one such root only.

A third party needs the log's public key and nothing else: no log, no witness, no network.
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

from hdex.ledger.document import load
from hdex.ledger.errors import EvidenceUnreadable, NoteInvalid, ProofInvalid
from hdex.ledger.merkle import Tree, verify_consistency
from hdex.ledger.note import Checkpoint, decode_base64, parse_checkpoint, parse_note, verify_note
from hdex.ledger.testimony import cosigners
from hdex.ledger.trust import Trust, TrustedLog

FORMAT = "hdex-fraud/1"
MAX_FRAUD_BYTES = 1 << 18
_KEYS = {"format", "kind", "checkpoints", "root", "path"}


class FraudKind(StrEnum):
    """What the two checkpoints contradict."""

    SPLIT_VIEW = "split-view"
    INCONSISTENT = "inconsistent"


@dataclass(frozen=True, slots=True)
class FraudProof:
    """Parsed or made: nothing in it may be believed before verify_fraud."""

    kind: FraudKind
    checkpoints: tuple[str, str]  # signed notes; the smaller first
    root: bytes = b""  # of the smaller size, under the larger checkpoint
    path: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Fraud:
    """What a fraud proof shows beyond doubt, and which trusted witnesses cosigned either side."""

    node: str
    origin: str
    kind: FraudKind
    sizes: tuple[int, int]
    cosigners: tuple[tuple[str, ...], tuple[str, ...]]

    def sentence(self) -> str:
        """Return the finding in words."""
        old, new = self.sizes
        who = " and ".join(", ".join(names) or "nobody" for names in self.cosigners)
        if self.kind is FraudKind.SPLIT_VIEW:
            return f"{self.node} signed two roots for size {old} (cosigned by {who})"
        return f"{self.node} signed size {new}, which rewrites what it signed at size {old} (cosigned by {who})"


def split_view(first: str, second: str) -> FraudProof:
    """Return the proof that two notes make. Raises ProofInvalid unless they are two roots of one size and origin."""
    one, other = _head(first), _head(second)
    if (one.origin, one.size) != (other.origin, other.size) or one.root == other.root:
        raise ProofInvalid("the two checkpoints are not two roots of one origin and size")
    return FraudProof(FraudKind.SPLIT_VIEW, (first, second))


def inconsistency(old: str, new: str, leaf_hashes: Sequence[bytes]) -> FraudProof:
    """Return the proof that `new` rewrites what `old` signed.

    leaf_hashes: those under `new`. Raises ProofInvalid unless they lead to its root and not to that of `old`.
    """
    before, after = _head(old), _head(new)
    if before.origin != after.origin or not 0 < before.size < after.size <= len(leaf_hashes):
        raise ProofInvalid(f"{len(leaf_hashes)} leaf hashes do not span sizes {before.size} and {after.size}")
    tree = Tree(leaf_hashes[: after.size])
    if tree.root() != after.root or tree.root(before.size) == before.root:
        raise ProofInvalid("the leaf hashes are not those of the larger checkpoint, or the smaller is their prefix")
    path = tuple(tree.consistency_proof(before.size, after.size))
    return FraudProof(FraudKind.INCONSISTENT, (old, new), tree.root(before.size), path)


def contradiction(old: str, new: str, leaf_hashes: Sequence[bytes]) -> FraudProof | None:
    """Return the proof that two notes of one log contradict each other, None when these leaf hashes show none."""
    first, second = sorted((old, new), key=lambda note: _head(note).size)
    try:
        same = _head(first).size == _head(second).size
        return split_view(first, second) if same else inconsistency(first, second, leaf_hashes)
    except ProofInvalid:
        return None


def verify_fraud(proof: FraudProof, trust: Trust) -> Fraud:
    """Return what the proof shows. Raises NoteInvalid unless a trusted log signed both, ProofInvalid when both can be.

    Any key the log ever had counts: signing twice is fraud whenever it was done.
    """
    one, other = (_head(note) for note in proof.checkpoints)
    log = trust.log(one.origin)
    if log is None or one.origin != other.origin:
        raise NoteInvalid("the two checkpoints are not of one log that the trust file names")
    for note in proof.checkpoints:
        verify_note(note, log.verifiers)
    if proof.kind is FraudKind.SPLIT_VIEW:
        split_view(*proof.checkpoints)
    else:
        _require_rewritten(one, other, proof)
    names = tuple(_cosigners(note, log, trust) for note in proof.checkpoints)
    return Fraud(log.node, log.origin, proof.kind, (one.size, other.size), (names[0], names[1]))


def format_fraud(proof: FraudProof) -> str:
    """Return the file's text, under 6 kB with eight cosignatures on either side."""
    root, *path = (base64.b64encode(value).decode() for value in (proof.root, *proof.path))
    kind, notes = proof.kind.value, list(proof.checkpoints)
    document = {"format": FORMAT, "kind": kind, "checkpoints": notes, "root": root, "path": path}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def parse_fraud(raw: bytes) -> FraudProof:
    """Return the file's content. Raises EvidenceUnreadable."""
    try:
        if len(raw) > MAX_FRAUD_BYTES:
            raise ValueError("too long")
        found = load(raw)
        if not isinstance(found, dict) or found.keys() != _KEYS or found["format"] != FORMAT:
            raise ValueError("another format")
        first, second = (_text(note) for note in cast("list[object]", found["checkpoints"]))
        path = tuple(decode_base64(_text(value)) for value in cast("list[object]", found["path"]))
        root = decode_base64(_text(found["root"]))
        return FraudProof(FraudKind(_text(found["kind"])), (first, second), root, path)
    except (ValueError, TypeError, NoteInvalid) as error:
        raise EvidenceUnreadable(f"the file is no fraud proof of the format {FORMAT}") from error


def _require_rewritten(old: Checkpoint, new: Checkpoint, proof: FraudProof) -> None:
    if not 0 < old.size < new.size:
        raise ProofInvalid(f"sizes {old.size} and {new.size} do not grow")
    if proof.root == old.root:
        raise ProofInvalid("the smaller checkpoint is a prefix of the larger: the two are consistent")
    verify_consistency(old.size, new.size, proof.path, proof.root, new.root)


def _cosigners(note: str, log: TrustedLog, trust: Trust) -> tuple[str, ...]:
    """Return who cosigned; a broken cosignature does not excuse the log."""
    try:
        return tuple(cosigners(note, log, trust))
    except NoteInvalid:
        return ()


def _head(note: str) -> Checkpoint:
    return parse_checkpoint(parse_note(note).text)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a text is needed")
    return value
