"""Some entries of a log with their proofs: what answers one question without showing the rest. Pure, no I/O.

Every proof leads to one signed and cosigned head. Smaller trees (of anchors, of what a witness cosigned) are linked to
it by consistency proofs, so that a log cannot show one past to the chain and another to whoever asks.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import replace

from hdex.ledger.accesses import matching, with_grants
from hdex.ledger.bundle import Link, LogEvidence, LogExtract, ProvenEntry, WitnessEvidence
from hdex.ledger.errors import EvidenceUnreadable
from hdex.ledger.event import format_time, parse
from hdex.ledger.merkle import Tree, leaf_hash
from hdex.ledger.note import parse_checkpoint
from hdex.ledger.ports import Anchor, EventQuery


def answer(log: LogEvidence, query: EventQuery, witnesses: Iterable[WitnessEvidence] = ()) -> LogExtract:
    """Return what a log holds on a question, with the issue and revocation of every grant that is named.

    witnesses: what they cosigned of this log, to be linked to its head. Raises EvidenceUnreadable, EventInvalid.
    """
    events = [parse(entry) for entry in log.entries]
    sizes = [parse_checkpoint(one.checkpoint).size for one in witnesses if one.node == log.node]
    everything = replace(query, first=0, limit=len(events))
    return extract(log, with_grants(events, matching(events, everything)), sizes)


def extract(log: LogEvidence, indexes: Sequence[int], linked_sizes: Iterable[int] = ()) -> LogExtract:
    """Return the entries with proofs under the log's newest checkpoint, the anchors that cover them, and the links.

    indexes: ascending. Raises EvidenceUnreadable when the log has no checkpoint or is shorter than it.
    """
    head = max(log.checkpoints, key=lambda note: parse_checkpoint(note).size, default=None)
    if head is None:
        raise EvidenceUnreadable("a log without a checkpoint proves nothing: no extract of it can be made")
    size = parse_checkpoint(head).size
    if size > len(log.entries):
        raise EvidenceUnreadable(f"the log's newest checkpoint is of size {size}, it holds {len(log.entries)} entries")
    tree = Tree(leaf_hash(entry) for entry in log.entries[:size])
    anchors = covering(log.anchors, indexes, size)
    smaller = sorted({one for one in (*linked_sizes, *(a.size for a in anchors)) if 0 < one < size})
    return LogExtract(
        log.node,
        log.origin,
        head,
        tuple(
            ProvenEntry(index, log.entries[index], tuple(tree.inclusion_proof(index, size)))
            for index in indexes
            if index < size
        ),
        tuple(Link(one, tuple(tree.consistency_proof(one, size))) for one in smaller),
        anchors,
    )


def covering(anchors: Iterable[Anchor], indexes: Sequence[int], size: int) -> tuple[Anchor, ...]:
    """Return for each entry the first anchor that covers it, and the newest of all, none beyond `size`."""
    ordered = sorted((anchor for anchor in anchors if anchor.size <= size), key=lambda one: (one.size, one.block))
    sizes = [anchor.size for anchor in ordered]
    chosen = {bisect_right(sizes, index) for index in indexes} | {len(ordered) - 1}
    return tuple(anchor for place, anchor in enumerate(ordered) if place in chosen)


def question(query: EventQuery) -> dict[str, str]:
    """Return a query as the manifest tells it: the fields that ask something."""
    names = ("organisation", "role", "product", "contract", "grant", "purpose", "action", "decision")
    asked = {name: str(value) for name in names if (value := getattr(query, name)) is not None}
    times = {name: format_time(value) for name in ("since", "until") if (value := getattr(query, name)) is not None}
    return asked | times | ({"actor": ",".join(query.actor)} if query.actor else {})
