"""The verifier's part for extracts: entries that are proven to be in a log which is not in the file.

An extract can show that something was written. It cannot show that nothing else was: that stands in `not_checked`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from hdex.ledger.accesses import GrantBook, access_offences, unjudged
from hdex.ledger.bundle import Evidence, LogExtract, ProvenEntry, WitnessEvidence, is_about
from hdex.ledger.errors import EventInvalid, NoteInvalid, ProofInvalid
from hdex.ledger.event import Event, parse
from hdex.ledger.merkle import leaf_hash, verify_consistency, verify_inclusion
from hdex.ledger.testimony import Testimony, authenticate, with_leaf_hashes
from hdex.ledger.trust import Trust, TrustedLog
from hdex.ledger.verify_findings import Findings, Offence, asked_of


@dataclass(slots=True)
class ExtractCase:
    """One extract under examination."""

    log: TrustedLog
    evidence: LogExtract
    head: Testimony | None = None
    events: list[tuple[int, Event]] = field(default_factory=list)  # as far as they are proven and canonical

    def offence(self, index: int | None, why: str, contradicted_by: str | None = None) -> Offence:
        return Offence(self.log.node, index, why, contradicted_by)


def open_extracts(evidence: Evidence, trust: Trust) -> list[ExtractCase]:
    """Return the extracts of trusted logs, each log once."""
    cases = []
    for log in trust.among(evidence.origins):
        found = [one for one in evidence.extracts if one.origin == log.origin and one.node == log.node]
        whole = [one for one in evidence.logs if one.origin == log.origin and one.node == log.node]
        if len(found) == 1 and not whole:
            cases.append(ExtractCase(log, found[0]))
    return cases


def check_extract(
    case: ExtractCase, evidence: Evidence, trust: Trust, findings: Findings,
    *, before: Evidence | None, vouched: Mapping[str, str],
) -> None:  # fmt: skip
    """Check head, entries, anchors and witnesses of one extract; keep its proven events.

    vouched: origin -> how the next year's log vouches for its end.
    """
    name, count = case.log.node, len(case.evidence.entries)
    try:  # 1 the head that all proofs lead to
        case.head = head = authenticate(case.evidence.head, case.log, trust)
    except NoteInvalid as error:
        findings.offences.append(case.offence(None, f"the head of the extract does not verify: {error}"))
        return
    if case.log.origin in vouched:
        findings.checked.append(f"{name}: {vouched[case.log.origin]}")
    else:
        _check_cosigned(case, head, trust, findings)
    findings.settle(  # 2 the entries under it
        f"{name}: {count} entries are canonical events proven to be in its log of {head.size}", _entries(case, head)
    )
    findings.not_checked.append(
        f"{name}: the {head.size - count} other entries of its log: whether one that answers the question was left out"
    )
    # 3 what others saw is the same past
    told = [one for one in evidence.witnesses if is_about(one, name, case.log.origin)]
    _say_silent(case, told, trust, findings)
    findings.settle(
        f"{name}: what {len(told)} witnesses themselves last cosigned is a prefix of the extract's head",
        _witnessed(case, head, told, trust),
    )
    _check_anchors(case, head, trust, findings)
    if before is not None:
        _check_earlier(case, before, trust, findings)


def say_partial(case: ExtractCase, number: int, book: GrantBook, findings: Findings) -> None:
    """Check times, decisions and, where the file shows them, grants; `number` is this log's in the book."""
    name = case.log.node
    findings.settle(
        f"{name}: times of the entries grow; every release among them has a decision, and no grant that forbids it",
        [case.offence(index, why) for index, why in access_offences(case.events, number, book, is_partial=True)],
    )
    unknown = unjudged(case.events, book)
    if unknown:
        findings.not_checked.append(f"{name}: the grants of {unknown} releases: their issue is not in the file")


def _check_cosigned(case: ExtractCase, head: Testimony, trust: Trust, findings: Findings) -> None:
    names = head.cosigners
    if trust.min_witnesses == 0:
        findings.not_checked.append(f"{case.log.node}: the trust file asks for no witness")
        return
    why = f"{len(names)} witnesses cosigned the head of the extract, {asked_of(trust)} are needed"
    findings.settle(
        f"{case.log.node}: its newest checkpoint, of size {head.size}, is cosigned by {', '.join(names)}",
        [] if trust.is_witnessed_by(names) else [case.offence(None, why)],
    )


def _entries(case: ExtractCase, head: Testimony) -> Iterator[Offence]:
    """Yield the first entry that is not proven, out of order, or no event of this node."""
    last = -1
    for one in case.evidence.entries:
        why = _entry_offence(case, one, head, last)
        if why is not None:
            yield case.offence(one.index, why)
            return
        last = one.index


def _entry_offence(case: ExtractCase, one: ProvenEntry, head: Testimony, last: int) -> str | None:
    if one.index <= last:
        return "the entries of the extract are not in ascending order, or one is there twice"
    try:
        verify_inclusion(leaf_hash(one.entry), one.index, head.size, one.proof, head.root)
        event = parse(one.entry)
    except ProofInvalid as error:
        return f"the entry is not proven to be in the log: {error}"
    except EventInvalid as error:
        return f"the entry is no canonical event: {error}"
    if event.node != case.log.node:
        return "the entry was written by another node"
    case.events.append((one.index, event))
    return None


def _say_silent(case: ExtractCase, told: Iterable[WitnessEvidence], trust: Trust, findings: Findings) -> None:
    heard = {one.witness for one in told}
    for witness in trust.witnesses_of(case.log):
        if witness.name not in heard:
            findings.not_checked.append(f"{case.log.node}: what {witness.name} itself last cosigned is not in the file")


def _witnessed(case: ExtractCase, head: Testimony, told: Iterable[WitnessEvidence], trust: Trust) -> Iterator[Offence]:
    """Yield what a witness cosigned that is not the extract's past."""
    for one in told:
        try:
            testimony = authenticate(one.checkpoint, case.log, trust)
        except NoteInvalid as error:
            yield case.offence(None, f"the checkpoint said to be of {one.witness} does not verify: {error}")
            continue
        if one.witness not in testimony.cosigners:
            yield case.offence(None, f"the checkpoint said to be of {one.witness} lacks its cosignature")
            continue
        why = _not_before(case, testimony.size, testimony.root, head)
        if why is not None:
            yield case.offence(None, f"what {one.witness} cosigned is not this log: {why}", one.witness)


def _not_before(case: ExtractCase, size: int, root: bytes, head: Testimony) -> str | None:
    """Return why the tree of `size` and `root` is not shown to be a prefix of the head."""
    if size == 0:
        return None
    if size > head.size:
        return f"it is of size {size}, the extract's head of size {head.size}"
    proof = next((link.proof for link in case.evidence.links if link.size == size), ())
    try:
        verify_consistency(size, head.size, proof, root, head.root)
    except ProofInvalid as error:
        return f"the proof from size {size} to {head.size} does not hold: {error}"
    return None


def _check_anchors(case: ExtractCase, head: Testimony, trust: Trust, findings: Findings) -> None:
    anchors = case.evidence.anchors
    if not anchors:
        findings.not_checked.append(f"{case.log.node}: the file holds no anchor of this log")
        return
    newest = f"the newest of size {anchors[-1].size} in block {anchors[-1].block}"
    findings.settle(
        f"{case.log.node}: {len(anchors)} anchors, {newest}, are prefixes of the log", _bad_anchors(case, head, trust)
    )


def _bad_anchors(case: ExtractCase, head: Testimony, trust: Trust) -> Iterator[Offence]:
    """Yield anchors that are no prefix of the head, and entries younger than an anchor that covers them."""
    for anchor in case.evidence.anchors:
        why = _not_before(case, anchor.size, anchor.root, head)
        if why is not None:
            yield case.offence(None, f"the anchor of size {anchor.size} is no prefix of the log: {why}")
            continue
        for index, event in case.events:
            if index < anchor.size and event.at > anchor.time + trust.clock_tolerance:
                yield case.offence(index, "the entry is younger than the anchor that covers it")


def _check_earlier(case: ExtractCase, before: Evidence, trust: Trust, findings: Findings) -> None:
    """Compare with earlier evidence: an entry it proves at an index must be the one shown now."""
    known: dict[int, bytes] = {}
    for log in before.logs:
        if log.origin == case.log.origin:
            known |= _vouched(case, tuple(map(leaf_hash, log.entries)), log.checkpoints, trust)
    for part in before.extracts:
        if part.origin == case.log.origin:
            known |= _proven(part, case.log, trust)
    shared = [one for one in case.evidence.entries if one.index in known]
    findings.settle(
        f"{case.log.node}: {len(shared)} entries were compared with the earlier evidence",
        [
            case.offence(one.index, "the entry is not the one that earlier evidence proves at this index")
            for one in shared
            if leaf_hash(one.entry) != known[one.index]
        ],
    )


def _vouched(case: ExtractCase, hashes: tuple[bytes, ...], notes: Iterable[str], trust: Trust) -> dict[int, bytes]:
    """Return the leaf hashes that an earlier signed checkpoint covers, by index."""
    best: tuple[bytes, ...] = ()
    for note in notes:
        try:
            exact = with_leaf_hashes(authenticate(note, case.log, trust), hashes)
        except NoteInvalid:
            continue
        if exact is not None and len(exact.leaf_hashes) > len(best):
            best = exact.leaf_hashes
    return dict(enumerate(best))


def _proven(part: LogExtract, log: TrustedLog, trust: Trust) -> dict[int, bytes]:
    """Return the leaf hashes that an earlier extract proves, by index."""
    try:
        head = authenticate(part.head, log, trust)
        for one in part.entries:
            verify_inclusion(leaf_hash(one.entry), one.index, head.size, one.proof, head.root)
    except (NoteInvalid, ProofInvalid):
        return {}
    return {one.index: leaf_hash(one.entry) for one in part.entries}
