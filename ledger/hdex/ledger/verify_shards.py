"""The verifier's part for logs of several years: each year's first entry vouches for the end of the year before.

Witnesses cosign what is written now. The last entries before New Year may never be cosigned under their own origin: the
next year's log begins with the signed end of the year before, so whoever cosigned that has seen the end too.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hdex.ledger.errors import NoteInvalid, ProofInvalid
from hdex.ledger.merkle import leaf_hash, verify_inclusion
from hdex.ledger.note import parse_checkpoint, verify_note
from hdex.ledger.shard import linked_head, parse_origin
from hdex.ledger.testimony import Testimony, authenticate
from hdex.ledger.trust import Trust, TrustedLog
from hdex.ledger.verify_extract import ExtractCase
from hdex.ledger.verify_findings import Findings, Offence


@dataclass(frozen=True, slots=True)
class Shard:
    """One year's log as it is in the file, whole or in part."""

    log: TrustedLog
    newest: Testimony | None
    cosigners: frozenset[str]  # of its newest checkpoint
    first: bytes | None  # entry 0, where it is there and proven
    is_whole: bool

    @property
    def linked(self) -> str | None:
        """The end of the year before, as entry 0 states it."""
        return None if self.first is None else linked_head(self.first)

    def ends_with(self, note: str) -> bool:
        """Return whether this shard's newest checkpoint is what another states as its end, under the log's key."""
        try:
            verify_note(note, self.log.verifiers)
            head = parse_checkpoint(note)
        except NoteInvalid:
            return False
        return self.newest is not None and (head.size, head.root) == (self.newest.size, self.newest.root)


def extract_of(case: ExtractCase, trust: Trust) -> Shard:
    """Return an extract as a shard; entry 0 counts only when it is proven."""
    try:
        head = authenticate(case.evidence.head, case.log, trust)
    except NoteInvalid:
        return Shard(case.log, None, frozenset(), None, is_whole=False)
    first = next((one for one in case.evidence.entries if one.index == 0), None)
    entry = None
    if first is not None:
        try:
            verify_inclusion(leaf_hash(first.entry), 0, head.size, first.proof, head.root)
            entry = first.entry
        except ProofInvalid:
            entry = None
    return Shard(case.log, head, frozenset(head.cosigners), entry, is_whole=False)


def linked(shards: Sequence[Shard], findings: Findings) -> list[Offence]:
    """Return the shards that continue another end than the one in the file; say of the others what they continue."""
    offences = []
    for later, before in _pairs(shards):
        year, earlier = _year(later), _year(before)
        if before.ends_with(later.linked or ""):
            findings.checked.append(f"{later.log.node}: its log of {year} continues that of {earlier}")
        else:
            why = f"the log of {year} continues another end of that of {earlier} than the one in the file"
            offences.append(Offence(later.log.node, 0, why))
    return offences


def vouched_for(shards: Sequence[Shard], trust: Trust) -> dict[str, str]:
    """Return origin -> how it is vouched for, of each shard whose end a witnessed later one carries."""
    found: dict[str, str] = {}
    for later, before in sorted(_pairs(shards), key=lambda pair: _year(pair[0]), reverse=True):
        is_witnessed = trust.is_witnessed_by(later.cosigners) or later.log.origin in found
        if is_witnessed and before.ends_with(later.linked or ""):
            size = before.newest.size if before.newest else 0
            told = (
                f"its end in {_year(before)}, of size {size}, is the first entry of its witnessed log of {_year(later)}"
            )
            found[before.log.origin] = told
    return found


def with_all_before(shards: Sequence[Shard]) -> set[str]:
    """Return the origins of whole shards of which every year before is in the file, whole and linked."""
    found = {shard.log.origin for shard in shards if shard.is_whole and shard.linked is None}
    for later, before in sorted(_pairs(shards), key=lambda pair: _year(pair[0])):
        if before.log.origin in found and later.is_whole and before.ends_with(later.linked or ""):
            found.add(later.log.origin)
    return found


def _pairs(shards: Sequence[Shard]) -> Iterator[tuple[Shard, Shard]]:
    """Yield (later, the one it continues) of those that are in the file."""
    by_origin = {shard.log.origin: shard for shard in shards}
    for shard in shards:
        note = shard.linked
        try:
            before = by_origin.get(parse_checkpoint(note).origin) if note else None
        except NoteInvalid:
            continue
        if before is not None and before.log.node == shard.log.node:
            yield shard, before


def _year(shard: Shard) -> int:
    return parse_origin(shard.log.origin)[1]
