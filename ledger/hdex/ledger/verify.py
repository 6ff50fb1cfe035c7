"""The auditor's verifier: one evidence file and one trust file, no network, nothing of ours but hashes and signatures.

Every check adds a sentence to `checked`; what cannot be known from the file stands in `not_checked`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hdex.ledger.accesses import GrantBook, access_offences, is_continued, unjudged
from hdex.ledger.bundle import Evidence, LogEvidence, WitnessEvidence, is_about, read_evidence
from hdex.ledger.errors import EventInvalid, NoteInvalid
from hdex.ledger.merkle import Tree, leaf_hash
from hdex.ledger.ports import Anchor
from hdex.ledger.rotation import named_at
from hdex.ledger.testimony import (
    Testimony,
    authenticate,
    contradictions,
    first,
    with_leaf_hashes,
)
from hdex.ledger.trust import Trust, TrustedLog
from hdex.ledger.verify_extract import ExtractCase, check_extract, open_extracts, say_partial
from hdex.ledger.verify_findings import Findings, Offence, asked_of
from hdex.ledger.verify_leaf import Leaf, read_leaf
from hdex.ledger.verify_shards import Shard, extract_of, linked, vouched_for, with_all_before

ABSENCES = {
    "log": "its log could not be read",
    "witness": "it could not be asked what it cosigned",
    "chain": "the chain could not be asked for its anchors",
}


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What an auditor may say: verified only when nothing at all was found."""

    verified: bool
    checked: list[str]
    not_checked: list[str]
    first_offence: dict[str, str | int | None] | None

    def document(self) -> dict[str, object]:
        """Return the JSON form that stays stable."""
        return {
            "verified": self.verified,
            "checked": self.checked,
            "not_checked": self.not_checked,
            "first_offence": self.first_offence,
        }


@dataclass(slots=True)
class _Case:
    """One log under examination."""

    log: TrustedLog
    evidence: LogEvidence
    tree: Tree
    testimonies: list[Testimony] = field(default_factory=list)
    events: list[Leaf] = field(default_factory=list)
    newest: Testimony | None = None

    def offence(self, index: int | None, why: str, contradicted_by: str | None = None) -> Offence:
        return Offence(self.log.node, index, why, contradicted_by)


def verify_evidence(path: Path, trust: Trust, *, earlier: Path | None = None) -> AuditReport:
    """Return what holds and the first thing that does not. Raises EvidenceUnreadable when a file cannot be read.

    earlier: evidence that the auditor kept from before; what was cosigned then must be a prefix of what is shown now.
    """
    evidence = read_evidence(path)
    before = read_evidence(earlier) if earlier else None
    findings = Findings()
    cases, extracts = _open_cases(evidence, trust, findings), open_extracts(evidence, trust)
    _say_missing(evidence, trust, findings, [*cases, *extracts])
    for case in cases:  # 1 who contradicts this log's past
        _collect(case, evidence, trust, findings)
        if before is not None:
            _collect_earlier(case, before, trust, findings)
    contradicted = [offence for case in cases for offence in _contradicted(case)]
    for case in cases:  # 2 is it what it signed
        name, size = case.log.node, len(case.tree)
        findings.settle(f"{name}: {size} entries hash to the root of its newest signed checkpoint", _signed(case))
        findings.settle(f"{name}: {size} entries are canonical events of this node", _events(case))
        _say_named(case, findings)
    shards = [*map(_shard, cases), *(extract_of(part, trust) for part in extracts)]
    findings.offences += linked(shards, findings)
    vouched = vouched_for(shards, trust)
    for part in extracts:
        check_extract(part, evidence, trust, findings, before=before, vouched=vouched)
    _check_accesses(cases, extracts, trust, findings)  # 3 was every access decided, granted and in time
    for case in cases:  # 4 who else saw it
        _check_witnessed(case, trust, findings, vouched)
        _check_anchored(case, trust, findings)
    _check_chain_facts(evidence, trust, findings)
    _say_compared(cases, contradicted, findings)
    # A contradiction is named before anything else: it alone is proof against the log's own keeper.
    offences = sorted([*contradicted, *findings.offences], key=lambda one: one.contradicted_by is None)
    found = offences[0].document() if offences else None
    return AuditReport(found is None, findings.checked, findings.not_checked, found)


def _check_accesses(cases: list[_Case], extracts: list[ExtractCase], trust: Trust, findings: Findings) -> None:
    book = GrantBook([case.events for case in cases], trust.clock_tolerance)
    for number, part in enumerate(extracts, len(cases)):
        for index, event in part.events:
            book.note(number, index, event)
    for number, part in enumerate(extracts, len(cases)):
        say_partial(part, number, book, findings)
    known = with_all_before([_shard(case) for case in cases])
    for number, case in enumerate(cases):
        is_partial = bool(case.events) and is_continued(case.events[0]) and case.log.origin not in known
        _settle_accesses(case, number, book, findings, is_partial=is_partial)


def _settle_accesses(case: _Case, number: int, book: GrantBook, findings: Findings, *, is_partial: bool) -> None:
    """Check one whole log. is_partial: it continues one that is not in the file, whose grants are not known."""
    name, events = case.log.node, list(enumerate(case.events))
    findings.settle(
        f"{name}: times grow; every release has a decision, and a grant issued and not revoked before it",
        [case.offence(index, why) for index, why in access_offences(events, number, book, is_partial=is_partial)],
    )
    unknown = unjudged(events, book) if is_partial else 0
    if unknown:
        findings.not_checked.append(f"{name}: the grants of {unknown} releases: their issue is not in the file")


def _say_compared(cases: list[_Case], contradicted: list[Offence], findings: Findings) -> None:
    for case in cases:
        if not any(offence.log == case.log.node for offence in contradicted):
            count = len(case.testimonies)
            findings.checked.append(f"{case.log.node}: consistent with {count} checkpoints signed by it and cosigned")


def _check_chain_facts(evidence: Evidence, trust: Trust, findings: Findings) -> None:
    anchors = [*(log.anchors for log in evidence.logs), *(part.anchors for part in evidence.extracts)]
    if not evidence.chain and not any(anchors):
        findings.not_checked.append("the anchors: the file holds none, the chain was away when it was made")
        return
    operator = evidence.chain.get("operator", "unknown")
    findings.settle(
        f"the anchors name the trusted chain and contract; who runs the chain: {operator}",
        [
            Offence("chain", None, f"the anchors are from another {name} than the trusted one")
            for name, asked in trust.chain.items()
            if str(evidence.chain.get(name)).lower() != str(asked).lower()
        ],
    )


def _open_cases(evidence: Evidence, trust: Trust, findings: Findings) -> list[_Case]:
    cases = []
    for log in trust.among(evidence.origins):
        found = [one for one in evidence.logs if one.origin == log.origin and one.node == log.node]
        parts = [one for one in evidence.extracts if one.origin == log.origin and one.node == log.node]
        if len(found) == 1 and not parts:
            cases.append(_Case(log, found[0], Tree(leaf_hash(entry) for entry in found[0].entries)))
        elif len(found) + len(parts) != 1:
            findings.not_checked.append(f"{log.node}: the file holds {len(found) + len(parts)} logs of its origin")
    return cases


def _say_missing(evidence: Evidence, trust: Trust, findings: Findings, cases: Sequence[object]) -> None:
    """Say who is not in the file, and who is in it that the trust file does not know."""
    for one in evidence.absent:
        told = ABSENCES.get(one.part, "did not hand over everything")
        findings.not_checked.append(f"{one.participant}: {told} when the evidence was collected ({one.why})")
    held = [(log.node, log.origin) for log in evidence.logs] + [(part.node, part.origin) for part in evidence.extracts]
    for node, origin in held:
        if trust.log(origin) is None:
            findings.offences.append(Offence(node, None, "the trust file knows no log of this origin"))
    if not cases:
        findings.offences.append(Offence("", None, "the file holds no log that the trust file names"))


def _collect(case: _Case, evidence: Evidence, trust: Trust, findings: Findings) -> None:
    """Gather the log's own checkpoints and what its witnesses last cosigned."""
    for number, note in enumerate(case.evidence.checkpoints):
        try:
            case.testimonies.append(authenticate(note, case.log, trust))
        except NoteInvalid as error:
            findings.offences.append(case.offence(None, f"checkpoint {number} in the file does not verify: {error}"))
    case.newest = max(case.testimonies, key=lambda one: (one.size, len(one.cosigners)), default=None)
    for witness in trust.witnesses_of(case.log):
        told = [
            one
            for one in evidence.witnesses
            if one.witness == witness.name and is_about(one, case.log.node, case.log.origin)
        ]
        if not told:
            findings.not_checked.append(f"{case.log.node}: what {witness.name} itself last cosigned is not in the file")
        for one in told:
            _collect_witness(case, one, trust, findings)


def _collect_witness(case: _Case, told: WitnessEvidence, trust: Trust, findings: Findings) -> None:
    try:
        testimony = authenticate(told.checkpoint, case.log, trust)
    except NoteInvalid as error:
        why = f"the checkpoint said to be of {told.witness} does not verify: {error}"
        findings.offences.append(case.offence(None, why))
        return
    if told.witness not in testimony.cosigners:
        findings.offences.append(
            case.offence(None, f"the checkpoint said to be of {told.witness} lacks its cosignature")
        )
    exact = with_leaf_hashes(testimony, told.mirror)
    if exact is None and told.mirror:
        findings.not_checked.append(f"{case.log.node}: the mirror of {told.witness} is not of its own checkpoint")
    case.testimonies.append(exact or testimony)


def _collect_earlier(case: _Case, before: Evidence, trust: Trust, findings: Findings) -> None:
    """Gather what earlier evidence proves: its entries count as far as its own checkpoints cover them."""
    told = [one for one in before.witnesses if is_about(one, case.log.node, case.log.origin)]
    notes = [(one.checkpoint, one.mirror) for one in told]
    for log in before.logs:
        if log.origin == case.log.origin:
            hashes = tuple(leaf_hash(entry) for entry in log.entries)
            notes += [(note, hashes) for note in log.checkpoints]
    usable = 0
    for note, hashes in notes:
        try:
            testimony = authenticate(note, case.log, trust)
        except NoteInvalid:
            continue
        usable += 1
        case.testimonies.append(with_leaf_hashes(testimony, hashes) or testimony)
    findings.checked.append(f"{case.log.node}: {usable} checkpoints of the earlier evidence were compared")


def _contradicted(case: _Case) -> Iterator[Offence]:
    """Yield the first index at which the log is not what was signed and cosigned."""
    found = first(contradictions(case.tree, case.testimonies))
    if found is None:
        return
    where = f"entry {found.index}" if found.exact else f"an entry from {found.index} to {found.size - 1}"
    names = ", ".join(found.cosigners)
    who = f"{names} cosigned" if names else "the log itself signed"
    yield case.offence(
        found.index, f"{where} is not the one under the checkpoint of size {found.size} that {who}", names or None
    )


def _signed(case: _Case) -> Iterator[Offence]:
    """Yield where the newest signed checkpoint does not cover the entries; its root was compared before."""
    if case.newest is None:
        yield case.offence(None, "no checkpoint in the file is signed by the log's key")
    elif len(case.tree) != case.newest.size:
        size = min(len(case.tree), case.newest.size)
        yield case.offence(size, f"the newest signed checkpoint is of size {case.newest.size}, not {len(case.tree)}")
    elif case.tree.root() != case.newest.root:
        yield case.offence(None, "the entries do not hash to the root of the newest signed checkpoint")


def _events(case: _Case) -> Iterator[Offence]:
    """Yield entries that are no canonical event of this node; keep the events before the first that is none."""
    for index, entry in enumerate(case.evidence.entries):
        try:
            event = read_leaf(entry)
        except EventInvalid as error:
            yield case.offence(index, f"the entry is no canonical event: {error}")
            return
        if event.node != case.log.node:
            yield case.offence(index, "the entry was written by another node")
        case.events.append(event)


def _say_named(case: _Case, findings: Findings) -> None:
    """Say of a log whose key was replaced whether the key before named the one that signs now."""
    if case.log.earlier:
        index = named_at(case.evidence.entries, case.evidence.checkpoints, case.log)
        if index is None:
            findings.not_checked.append(f"{case.log.node}: no entry under an earlier key names the key that signs now")
        else:
            findings.checked.append(
                f"{case.log.node}: entry {index} names the key that signs now, under the key before"
            )


def _check_witnessed(case: _Case, trust: Trust, findings: Findings, vouched: Mapping[str, str]) -> None:
    if trust.min_witnesses == 0:
        findings.not_checked.append(f"{case.log.node}: the trust file asks for no witness")
    elif case.log.origin in vouched:
        findings.checked.append(f"{case.log.node}: {vouched[case.log.origin]}")
    elif case.newest is not None:
        names = sorted({name for one in _same(case, case.newest) for name in one.cosigners})
        findings.settle(
            f"{case.log.node}: its newest checkpoint, of size {case.newest.size}, is cosigned by {', '.join(names)}",
            _too_few(case, names, trust),
        )


def _too_few(case: _Case, names: list[str], trust: Trust) -> Iterator[Offence]:
    """Yield the first index that too few witnesses vouch for."""
    if not trust.is_witnessed_by(names):
        enough = (one.size for one in case.testimonies if trust.is_witnessed_by(one.cosigners))
        why = f"{len(names)} witnesses cosigned the newest checkpoint, {asked_of(trust)} are needed"
        yield case.offence(min(max(enough, default=0), len(case.tree)), why)


def _shard(case: _Case) -> Shard:
    names = {name for one in _same(case, case.newest) for name in one.cosigners} if case.newest else set[str]()
    first = next(iter(case.evidence.entries), None)
    return Shard(case.log, case.newest, frozenset(names), first, is_whole=True)


def _same(case: _Case, head: Testimony) -> list[Testimony]:
    return [one for one in case.testimonies if (one.size, one.root) == (head.size, head.root)]


def _check_anchored(case: _Case, trust: Trust, findings: Findings) -> None:
    anchors = sorted(case.evidence.anchors, key=lambda anchor: (anchor.block, anchor.size))
    if not anchors:
        findings.not_checked.append(f"{case.log.node}: the file holds no anchor of this log")
        return
    newest = f"the newest of size {anchors[-1].size} in block {anchors[-1].block}"
    findings.settle(
        f"{case.log.node}: {len(anchors)} anchors, {newest}, are prefixes of the log",
        _bad_anchors(case, anchors, trust),
    )


def _bad_anchors(case: _Case, anchors: list[Anchor], trust: Trust) -> Iterator[Offence]:
    """Yield the first anchor that is no prefix of the log, does not grow, or was mined before what it covers."""
    good = 0
    for anchor in anchors:
        if anchor.size > len(case.tree) or case.tree.root(anchor.size) != anchor.root:
            yield case.offence(min(good, len(case.tree)), f"the anchor of size {anchor.size} is no prefix of the log")
            return
        if anchor.size < good:
            yield case.offence(anchor.size, "an anchor is smaller than one before it")
            return
        if 0 < anchor.size <= len(case.events) and _younger(case.events[anchor.size - 1], anchor, trust):
            yield case.offence(anchor.size - 1, "the entry is younger than the anchor that covers it")
            return
        good = anchor.size


def _younger(event: Leaf, anchor: Anchor, trust: Trust) -> bool:
    return event.at > anchor.time + trust.clock_tolerance
