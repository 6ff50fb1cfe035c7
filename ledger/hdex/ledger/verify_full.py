"""A full audit of one log: every entry hashed again, every head, cosignature and anchor held against it. No I/O.

The log streams through: what is kept is one hash for each level of the tree and one row for each grant, so a log of any
length is audited in the same memory.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from hdex.ledger.accesses import NEED_GRANT
from hdex.ledger.errors import EventInvalid, NoteInvalid
from hdex.ledger.event import GRANT_ENDS, RELEASES, Action, Decision, format_time
from hdex.ledger.frontier import Frontier
from hdex.ledger.merkle import leaf_hash
from hdex.ledger.ports import Anchor
from hdex.ledger.testimony import authenticate, cosigned_at
from hdex.ledger.trust import Trust, TrustedLog
from hdex.ledger.verify import AuditReport
from hdex.ledger.verify_findings import ALWAYS_UNCHECKED, Findings, Offence, asked_of
from hdex.ledger.verify_leaf import Leaf, read_leaf

Say = Callable[[int], None]
Grants = dict[str, bool]  # grant -> whether it is live
SAY_EVERY = 50_000
_UNKNOWN = "9999-12-31T23:59:59.999Z"


@dataclass(frozen=True, slots=True)
class Claim:
    """A root that somebody signed or anchored for a size, and what it is called."""

    size: int
    root: bytes
    name: str
    by: str | None = None  # who but the log's keeper vouches for it
    time: datetime | None = None  # entries below `size` are not younger
    cosigned: tuple[datetime, ...] = ()


@dataclass(frozen=True, slots=True)
class LogCopy:
    """What is audited: the entries as they stream, every note kept, and what the chain holds (None: not asked).

    Beside each entry stands the leaf hash under which it was stored, None where nobody told: it makes an index exact.
    """

    entries: Iterable[tuple[bytes, bytes | None]]
    head: str | None
    cosigned: Sequence[str] = ()
    anchors: Sequence[Anchor] | None = None


def audit_log(
    log: TrustedLog, copy: LogCopy, trust: Trust, *, say: Say = lambda done: None, grants: Grants | None = None
) -> AuditReport:
    """Return what holds of a log and the first entry that does not. `say` is told how many entries are done.

    grants: what earlier shards issued (whether it is live), brought up to the end of this one. Without them, a shard
    that continues another cannot be judged by grants it does not know.
    """
    findings = Findings(not_checked=[told for told in ALWAYS_UNCHECKED if "chain itself" not in told])
    claims = sorted(_claims(log, copy, trust, findings), key=lambda one: (one.size, one.by is None))
    audit = _Audit(log, trust, _bounds(claims, trust), claims, grants=grants)
    for number, (entry, told) in enumerate(copy.entries, 1):
        audit.take(entry, told)
        if number % SAY_EVERY == 0:
            say(number)
    audit.finish()
    _settle(audit, copy, findings)
    return _report(audit, findings)


def audit_hashes(
    log: TrustedLog, hashes: Iterable[bytes], copy: LogCopy, trust: Trust, *, say: Say = lambda done: None
) -> AuditReport:
    """Return what holds of a log of which only leaf hashes are shown; `copy` holds its notes and anchors, no entry."""
    findings = Findings(not_checked=[told for told in ALWAYS_UNCHECKED if "chain itself" not in told])
    claims = sorted(_claims(log, copy, trust, findings), key=lambda one: (one.size, one.by is None))
    audit = _Audit(log, trust, [], claims, grants=None)
    for number, value in enumerate(hashes, 1):
        audit.take_hash(value)
        if number % SAY_EVERY == 0:
            say(number)
    audit.finish()
    if not audit.offences:
        findings.checked.append(f"{log.node}: {audit.tree.size} leaf hashes lead to every root that was signed")
    findings.not_checked.append(f"{log.node}: its entries are not served: times, decisions and grants")
    _settle_heads(audit, copy, findings)
    _settle_anchors(audit, copy, findings)
    return _report(audit, findings)


def _report(audit: "_Audit", findings: Findings) -> AuditReport:
    offences = sorted([*audit.offences, *findings.offences], key=_order)
    first = offences[0].document() if offences else None
    return AuditReport(first is None, findings.checked, findings.not_checked, first)


def _order(one: Offence) -> tuple[bool, float]:
    """A contradiction by somebody else comes first, then the lowest index."""
    return one.contradicted_by is None, float("inf") if one.index is None else one.index


def _claims(log: TrustedLog, copy: LogCopy, trust: Trust, findings: Findings) -> Iterator[Claim]:
    """Yield every authentic head; a note that does not verify is an offence."""
    heads = [("the head", copy.head)] if copy.head is not None else []
    for name, note in (*heads, *((f"cosigned checkpoint {n}", note) for n, note in enumerate(copy.cosigned))):
        try:
            yield _claim(note, log, trust, name)
        except NoteInvalid as error:
            findings.offences.append(Offence(log.node, None, f"{name} does not verify: {error}"))
    for anchor in copy.anchors or ():
        name = f"the anchor of size {anchor.size} in block {anchor.block}"
        yield Claim(anchor.size, anchor.root, name, "the chain", anchor.time)


def _claim(note: str, log: TrustedLog, trust: Trust, name: str) -> Claim:
    found = authenticate(note, log, trust)
    by = ", ".join(found.cosigners) or None
    return Claim(found.size, found.root, name, by, cosigned=tuple(cosigned_at(note, log, trust).values()))


@dataclass(frozen=True, slots=True)
class Bound:
    """What witnesses and chain say of time at a size: below it nothing is younger, from it on nothing is older."""

    size: int
    latest: str
    earliest: str


def _bounds(claims: Sequence[Claim], trust: Trust) -> list[Bound]:
    """Return the bounds by size. As many witnesses as the policy asks for must agree: one wrong clock has no say."""
    found = []
    for claim in claims:
        if claim.time is not None:
            found.append(Bound(claim.size, _text(claim.time, trust.clock_tolerance), ""))
        elif trust.min_witnesses and trust.is_witnessed_by(_names(claim)):
            latest = _text(max(claim.cosigned), trust.clock_tolerance)
            found.append(Bound(claim.size, latest, _text(min(claim.cosigned), -trust.clock_tolerance)))
    return found


def _names(claim: Claim) -> list[str]:
    return claim.by.split(", ") if claim.by else []


def _text(time: datetime, shift: timedelta) -> str:
    return format_time(time + shift)


class _Audit:
    """One pass over one log."""

    def __init__(
        self, log: TrustedLog, trust: Trust, bounds: Sequence[Bound], claims: Sequence[Claim], *, grants: Grants | None
    ) -> None:
        self.log, self.trust = log, trust
        self.offences: list[Offence] = []
        self.tree = Frontier()
        self.held: list[Claim] = []
        self.good = 0  # size of the newest claim that held
        self._torn: int | None = None  # the first entry that is not what was stored
        self._claims, self._next = claims, 0
        self._latest = _latest_by_size(bounds)
        self._bounds, self._bound = bounds, 0
        self._earliest = self._newest = self._slack = ""
        self._live = {} if grants is None else grants
        self._knows_all = grants is not None
        self.unjudged = 0  # releases under grants that an earlier shard may have issued
        self._meet()

    def _begin(self, leaf: Leaf) -> None:
        """A log that begins with no earlier one has issued every grant itself."""
        self._knows_all = self._knows_all or leaf.action is not Action.SHARD_OPEN

    def take(self, entry: bytes, told: bytes | None) -> None:
        """Audit the next entry; `told` is the leaf hash under which it was stored."""
        index, value = self.tree.size, leaf_hash(entry)
        if told is not None and told != value:
            self._torn = index if self._torn is None else self._torn
            self._accuse(index, "the entry is not the one that was stored under its hash")
        try:
            leaf = read_leaf(entry)
        except EventInvalid as error:
            self._accuse(index, f"the entry is no canonical event: {error}")
        else:
            self._look(index, leaf)
        self.tree.append(value)
        self._meet()

    def take_hash(self, value: bytes) -> None:
        """Audit the next leaf hash."""
        self.tree.append(value)
        self._meet()

    def finish(self) -> None:
        """Accuse the log of every claim that it never reached."""
        for claim in self._claims[self._next :]:
            why = f"{claim.name} is of size {claim.size}, the log holds {self.tree.size} entries"
            self._accuse(self.tree.size, why, claim.by)

    def _meet(self) -> None:
        """Compare the tree with what is claimed of this size."""
        size = self.tree.size
        while self._next < len(self._claims) and self._claims[self._next].size == size:
            claim = self._claims[self._next]
            self._next += 1
            if claim.root == self.tree.root():
                self.held.append(claim)
                self.good = size
            elif self._torn is not None:
                self._accuse(self._torn, f"entry {self._torn} is not the one under {claim.name}", claim.by)
            else:
                where = f"an entry from {self.good} to {size - 1} is not the one under {claim.name}"
                self._accuse(self.good, where, claim.by)

    def _look(self, index: int, leaf: Leaf) -> None:
        if index == 0:
            self._begin(leaf)
        if leaf.node != self.log.node:
            self._accuse(index, "the entry was written by another node")
        why = self._time_offence(index, leaf.time)
        if why:
            self._accuse(index, why)
        why = self._access_offence(leaf)
        if why:
            self._accuse(index, why)

    def _time_offence(self, index: int, time: str) -> str:
        while self._bound < len(self._bounds) and self._bounds[self._bound].size <= index:
            self._earliest = max(self._earliest, self._bounds[self._bound].earliest)
            self._bound += 1
        if time < self._slack:
            return "the entry's time is before that of an earlier entry"
        if time < self._earliest:
            return "the entry is older than a cosignature that was made before it"
        if self._bound < len(self._latest) and time > self._latest[self._bound]:
            return "the entry is younger than a cosignature or an anchor that covers it"
        if time > self._newest:
            self._newest = time
            self._slack = _text(_moment(time), -self.trust.clock_tolerance)
        return ""

    def _access_offence(self, leaf: Leaf) -> str:
        action, grant = leaf.action, leaf.grant
        if action in RELEASES and leaf.decision is None:
            return f"a {action} has no decision"
        if grant is not None and leaf.decision is not Decision.DENY:
            if action is Action.GRANT_ISSUE:
                self._live.setdefault(grant, True)
            if action in GRANT_ENDS:
                self._live[grant] = False
        if action not in NEED_GRANT or leaf.decision is not Decision.ALLOW:
            return ""
        if grant is None:
            return f"an allowed {action} names no grant"
        if grant not in self._live and not self._knows_all:
            self.unjudged += 1
            return ""
        if grant not in self._live:
            return f"an allowed {action} names a grant that was not issued before it"
        return "" if self._live[grant] else f"an allowed {action} names a grant that was revoked before it"

    def _accuse(self, index: int, why: str, by: str | None = None) -> None:
        self.offences.append(Offence(self.log.node, index, why, by))


def _moment(time: str) -> datetime:
    return datetime.fromisoformat(time)


def _latest_by_size(bounds: Sequence[Bound]) -> list[str]:
    """Return for each bound the earliest `latest` of it and all after it: what entries below it must not exceed."""
    found, running = [], _UNKNOWN
    for bound in reversed(bounds):
        running = min(running, bound.latest)
        found.append(running)
    return found[::-1]


def _settle(audit: _Audit, copy: LogCopy, findings: Findings) -> None:
    """Say what was checked, where nothing was found."""
    name, size = audit.log.node, audit.tree.size
    wrong = any(one.index is not None for one in audit.offences)
    if not wrong:
        findings.checked.append(f"{name}: {size} entries are canonical events of this node, hashed again one by one")
        told = "times grow within the bounds of witnesses and chain; every release has a decision and a live grant"
        findings.checked.append(f"{name}: {told}")
    if audit.unjudged:
        findings.not_checked.append(f"{name}: the grants of {audit.unjudged} releases: their issue is not in the file")
    _settle_heads(audit, copy, findings)
    _settle_anchors(audit, copy, findings)


def _settle_heads(audit: _Audit, copy: LogCopy, findings: Findings) -> None:
    name, trust = audit.log.node, audit.trust
    heads = [claim for claim in audit.held if claim.time is None]
    if not heads:
        findings.offences.append(Offence(name, None, "no checkpoint in the log is signed by its key and holds"))
        return
    findings.checked.append(f"{name}: {len(heads)} signed checkpoints, the newest of size {heads[-1].size}, hold")
    cosigned = [claim for claim in heads if trust.is_witnessed_by(_names(claim))]
    if trust.min_witnesses == 0:
        findings.not_checked.append(f"{name}: the trust file asks for no witness")
    elif cosigned:
        left = audit.tree.size - cosigned[-1].size
        findings.checked.append(f"{name}: its checkpoint of size {cosigned[-1].size} is cosigned by {cosigned[-1].by}")
        if left:
            findings.not_checked.append(
                f"{name}: the last {left} entries: {asked_of(trust)} witnesses have not cosigned them"
            )
    else:
        findings.offences.append(Offence(name, 0, f"no checkpoint is cosigned by {asked_of(trust)} witnesses"))


def _settle_anchors(audit: _Audit, copy: LogCopy, findings: Findings) -> None:
    name = audit.log.node
    held = [claim for claim in audit.held if claim.time is not None]
    if copy.anchors is None:
        findings.not_checked.append(f"{name}: the chain was not asked for the anchors of this log")
    elif not copy.anchors:
        findings.not_checked.append(f"{name}: the chain holds no anchor of this log")
    elif len(held) == len(copy.anchors):
        findings.checked.append(f"{name}: {len(held)} anchors, as the chain itself holds them, are prefixes of the log")
