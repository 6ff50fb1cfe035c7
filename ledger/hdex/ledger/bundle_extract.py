"""Some entries of a log with their proofs: what answers one question without showing the rest. Pure, no I/O.

Every proof leads to one signed and cosigned head. Smaller trees (of anchors, of what a witness cosigned) are linked to
it by consistency proofs, so that a log cannot show one past to the chain and another to whoever asks.
"""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence

from hdex.ledger.accesses import GRANT_CHANGES
from hdex.ledger.bundle import Link, LogEvidence, LogExtract, ProvenEntry, WitnessEvidence, is_about
from hdex.ledger.errors import EvidenceUnreadable
from hdex.ledger.event import Action, format_time, parse
from hdex.ledger.index import matches
from hdex.ledger.merkle import Tree, leaf_hash
from hdex.ledger.note import parse_checkpoint
from hdex.ledger.ports import Anchor, EventQuery


class Cut:
    """What a log holds on a question, kept while its entries stream by; of the others only the leaf hash stays."""

    def __init__(self, query: EventQuery) -> None:
        """query: its page and limit do not count."""
        self._query = query
        self._tree = Tree()
        self._found: dict[int, bytes] = {}
        self._changes: dict[int, tuple[str, bytes]] = {}  # of grants: whether one is asked for, a later entry decides
        self.first = b""  # entry 0, which says whether the log continues an earlier one
        self.grants: set[str] = set()  # named by what was found

    def take(self, entry: bytes) -> None:
        """Take in the next entry. Raises EventInvalid when it is no event."""
        index, event = len(self._tree), parse(entry)
        self._tree.append(leaf_hash(entry))
        if index == 0:
            self.first = entry
        if matches(self._query, event):
            self._found[index] = entry
            if event.grant is not None:
                self.grants.add(event.grant)
        if event.action in GRANT_CHANGES and event.grant is not None:
            self._changes[index] = (event.grant, entry)

    def touches(self, grants: Collection[str]) -> bool:
        """Return whether anything was found, or one of these grants was issued or revoked here."""
        return bool(self._found) or any(grant in grants for grant, _ in self._changes.values())

    def extract(self, log: LogEvidence, grants: Collection[str], linked_sizes: Iterable[int] = ()) -> LogExtract:
        """Return what was found and what became of the grants, with proofs; entry 0 where it continues another log.

        log: its checkpoints and anchors; its entries were taken. Raises EvidenceUnreadable as `extract` does.
        """
        chosen = self._found | {index: entry for index, (grant, entry) in self._changes.items() if grant in grants}
        if self.first and parse(self.first).action is Action.SHARD_OPEN:
            chosen[0] = self.first
        return _extracted(log, self._tree, chosen, linked_sizes)


def answer(log: LogEvidence, query: EventQuery, witnesses: Iterable[WitnessEvidence] = ()) -> LogExtract:
    """Return what one log holds on a question, with the issue and revocation of every grant that is named.

    Without them nobody could say of an extract whether a release was granted.
    witnesses: what they cosigned of this log, to be linked to its head. Raises EvidenceUnreadable, EventInvalid.
    """
    return answers([log], query, witnesses)[0]


def answers(
    logs: Sequence[LogEvidence], query: EventQuery, witnesses: Iterable[WitnessEvidence] = ()
) -> list[LogExtract]:
    """Return what logs hold on a question: see `extracts`."""
    cuts = []
    for log in logs:
        cut = Cut(query)
        for entry in log.entries:
            cut.take(entry)
        cuts.append((log, cut))
    return extracts(cuts, witnesses)


def extracts(cuts: Sequence[tuple[LogEvidence, Cut]], witnesses: Iterable[WitnessEvidence] = ()) -> list[LogExtract]:
    """Return one extract for each log; of a year before a participant's newest only where it holds something.

    A grant of one year may be used in the next: it is looked for in all years of the participant.
    """
    told = list(witnesses)
    newest = {log.node: max(one.origin for one, _ in cuts if one.node == log.node) for log, _ in cuts}
    grants = {node: set[str]().union(*(cut.grants for log, cut in cuts if log.node == node)) for node in newest}
    return [
        cut.extract(log, grants[log.node], cosigned_sizes(told, log))
        for log, cut in cuts
        if log.origin == newest[log.node] or cut.touches(grants[log.node])
    ]


def cosigned_sizes(witnesses: Iterable[WitnessEvidence], log: LogEvidence) -> list[int]:
    """Return the sizes that witnesses last cosigned of a log."""
    return [parse_checkpoint(one.checkpoint).size for one in witnesses if is_about(one, log.node, log.origin)]


def extract(log: LogEvidence, indexes: Sequence[int], linked_sizes: Iterable[int] = ()) -> LogExtract:
    """Return the entries with proofs under the log's newest checkpoint, the anchors that cover them, and the links.

    Raises EvidenceUnreadable when the log has no checkpoint or is shorter than it.
    """
    tree = Tree(leaf_hash(entry) for entry in log.entries)
    return _extracted(log, tree, {index: log.entries[index] for index in indexes}, linked_sizes)


def _extracted(log: LogEvidence, tree: Tree, entries: Mapping[int, bytes], linked_sizes: Iterable[int]) -> LogExtract:
    head = max(log.checkpoints, key=lambda note: parse_checkpoint(note).size, default=None)
    if head is None:
        raise EvidenceUnreadable("a log without a checkpoint proves nothing: no extract of it can be made")
    size = parse_checkpoint(head).size
    if size > len(tree):
        raise EvidenceUnreadable(f"the log's newest checkpoint is of size {size}, it holds {len(tree)} entries")
    indexes = sorted(entries)
    anchors = covering(log.anchors, indexes, size)
    smaller = sorted({one for one in (*linked_sizes, *(a.size for a in anchors)) if 0 < one < size})
    return LogExtract(
        log.node,
        log.origin,
        head,
        tuple(
            ProvenEntry(index, entries[index], tuple(tree.inclusion_proof(index, size)))
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
