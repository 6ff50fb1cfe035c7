"""What others can prove about a log's past, and where the log as handed over contradicts it. Pure, no I/O.

A testimony counts only with the log's own signature on it: a lying witness cannot accuse an honest log. With leaf
hashes beside it the first rewritten index is exact; without them it lies between two roots.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from hdex.ledger.errors import NoteInvalid
from hdex.ledger.merkle import Tree
from hdex.ledger.note import parse_checkpoint, parse_note, verify_note
from hdex.ledger.trust import Trust, TrustedLog


@dataclass(frozen=True, slots=True)
class Testimony:
    """A root that the log signed once, with who cosigned it and, where known, the leaf hashes under it."""

    size: int
    root: bytes
    cosigners: tuple[str, ...]
    leaf_hashes: tuple[bytes, ...] = ()  # all `size` of them, or none


@dataclass(frozen=True, slots=True)
class Contradiction:
    """The first index at which a log is not what was cosigned, and by whom it is contradicted."""

    index: int
    exact: bool
    size: int  # of the contradicting checkpoint: the wrong entry lies below it
    cosigners: tuple[str, ...]


def authenticate(note: str, log: TrustedLog, trust: Trust) -> Testimony:
    """Return the testimony of a checkpoint of this log. Raises NoteInvalid unless the log's own key signed it.

    A key that the log has replaced counts for what a trusted witness cosigned before its end.
    """
    head = parse_checkpoint(parse_note(note).text)
    if head.origin != log.origin:
        raise NoteInvalid("the checkpoint is of another origin")
    signed = {found.verifier for found in verify_note(note, log.verifiers)}
    dated = _cosignatures(note, log, trust)
    if log.verifier not in signed:
        ends = [key.until for key in log.earlier if key.verifier in signed]
        if not any(time <= end + trust.clock_tolerance for end in ends for _, time in dated):
            raise NoteInvalid(
                "the checkpoint is signed by a replaced key, and no witness dates it before that key's end"
            )
    return Testimony(head.size, head.root, tuple(sorted({name for name, _ in dated})))


def cosigners(note: str, log: TrustedLog, trust: Trust) -> list[str]:
    """Return the trusted witnesses who cosigned, without the log's own keeper; maybe none.

    Raises NoteInvalid when a trusted key's signature does not hold.
    """
    verify_note(note, log.verifiers)
    return sorted({name for name, _ in _cosignatures(note, log, trust)})


def cosigned_at(note: str, log: TrustedLog, trust: Trust) -> dict[str, datetime]:
    """Return when each trusted witness cosigned a checkpoint that `authenticate` took, its latest time."""
    return dict(sorted(_cosignatures(note, log, trust), key=lambda pair: pair[1]))


def _cosignatures(note: str, log: TrustedLog, trust: Trust) -> list[tuple[str, datetime]]:
    """Return who cosigned and when; a replaced key's signature counts up to its end."""
    ends = {key.verifier: key.until + trust.clock_tolerance for key in trust.earlier_witnesses_of(log)}
    found = verify_note(note, [*log.verifiers, *trust.witnesses_of(log), *ends])
    return [
        (one.verifier.name, one.time)
        for one in found
        if one.time is not None and (one.verifier not in ends or one.time <= ends[one.verifier])
    ]


def with_leaf_hashes(testimony: Testimony, leaf_hashes: Sequence[bytes]) -> Testimony | None:
    """Return the testimony with the leaf hashes under its root, None when they are not those of its root."""
    if len(leaf_hashes) < testimony.size:
        return None
    try:
        below = Tree(leaf_hashes[: testimony.size])
    except ValueError:
        return None
    if below.root() != testimony.root:
        return None
    return Testimony(testimony.size, testimony.root, testimony.cosigners, tuple(leaf_hashes[: testimony.size]))


def contradictions(tree: Tree, testimonies: Iterable[Testimony]) -> list[Contradiction]:
    """Return one contradiction for each testimony that the log's tree does not bear out."""
    agreed: list[int] = []
    refuted: list[Testimony] = []
    for testimony in testimonies:
        if testimony.size <= len(tree) and tree.root(testimony.size) == testimony.root:
            agreed.append(testimony.size)
        else:
            refuted.append(testimony)
    return [_contradiction(tree, testimony, agreed) for testimony in refuted]


def first(found: Sequence[Contradiction]) -> Contradiction | None:
    """Return the contradiction that names the earliest wrong index, with everyone who vouches for it."""
    if not found:
        return None
    exact = [one for one in found if one.exact]
    earliest = min(exact, key=lambda one: one.index, default=None)
    if earliest is None or any(one.size <= earliest.index for one in found):
        earliest = min(found, key=lambda one: (one.size, one.index))
    names = sorted({name for one in found if one.size > earliest.index for name in one.cosigners})
    return Contradiction(earliest.index, earliest.exact, earliest.size, tuple(names))


def _contradiction(tree: Tree, testimony: Testimony, agreed: Sequence[int]) -> Contradiction:
    if not testimony.leaf_hashes:
        lowest = max((size for size in agreed if size < testimony.size), default=0)
        return Contradiction(lowest, False, testimony.size, testimony.cosigners)
    pairs = zip(testimony.leaf_hashes, tree.leaves(0, testimony.size), strict=False)
    shared = min(testimony.size, len(tree))
    index = next((i for i, (told, found) in enumerate(pairs) if told != found), shared)
    return Contradiction(index, True, testimony.size, testimony.cosigners)
