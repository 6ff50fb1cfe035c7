"""One log in one pass of the monitor: from what is known to what is shown now. Pure, no I/O."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

from hdex.ledger.alarm import Alarm, Severity
from hdex.ledger.errors import EventInvalid, NoteInvalid
from hdex.ledger.event import Event, parse
from hdex.ledger.fraud import FraudProof, contradiction
from hdex.ledger.frontier import Frontier
from hdex.ledger.merkle import Tree, leaf_hash
from hdex.ledger.monitor_state import LogState
from hdex.ledger.note import parse_checkpoint
from hdex.ledger.ports import Anchor
from hdex.ledger.testimony import Testimony, authenticate
from hdex.ledger.trust import Trust, TrustedLog


@dataclass(frozen=True, slots=True)
class Limits:
    """When what is late becomes an alarm."""

    cadence: timedelta = timedelta(minutes=15)
    anchor_warn: timedelta = timedelta(minutes=15)
    anchor_alarm: timedelta = timedelta(hours=1)


@dataclass(frozen=True)
class Seen:
    """One log as it, its witnesses and the chain show it. Ask the witnesses first: then no honest log is shorter.

    entries: those from index `start` on, where the state of the last pass ends. leaf_hashes: all of them; asked only to
    prove a contradiction.
    """

    log: TrustedLog
    notes: tuple[str, ...]  # the log's own, oldest first
    start: int
    entries: Sequence[bytes]
    leaf_hashes: Callable[[], Sequence[bytes]]
    mirrors: Mapping[str, str] = field(default_factory=dict)  # witness -> what it last cosigned
    anchors: tuple[Anchor, ...] | None = None  # None: the chain does not answer


@dataclass(frozen=True, slots=True)
class Claim:
    """A checkpoint of this log under its own signature, and who showed it."""

    testimony: Testimony
    note: str
    shown_by: str = ""  # a witness; "" the log itself


class Look:
    """One pass over one log. Owner: one Monitor.observe call."""

    def __init__(self, trust: Trust, state: LogState, seen: Seen, limits: Limits, now: datetime) -> None:
        self._trust, self._state, self._seen, self._limits, self._now = trust, state, seen, limits, now
        self._roots: dict[int, bytes] = {}
        self._frontier = Frontier(state.frontier.size, state.frontier.peaks)
        self._first = state.frontier.size
        self.events: list[tuple[int, Event]] = []

    def run(self) -> list[Alarm]:
        """Return what does not hold; the state moves on only over a log whose entries hash to what it signed."""
        alarms: list[Alarm] = []
        own = self._own(alarms)
        mirrored = self._mirrored(alarms)
        newest = max(own, key=lambda claim: (claim.testimony.size, len(claim.testimony.cosigners)), default=None)
        if newest is None:
            return [*alarms, *self._late()]
        if self._shrank(newest, mirrored, alarms):
            return [*alarms, *self._late()]
        self._hash(own + mirrored)
        if not self._holds(newest, alarms):
            return [*alarms, *self._late()]
        self._compare(newest, own + mirrored, alarms)
        self._advance(newest, own + mirrored)
        alarms += self._anchors(newest)
        return [*alarms, *self._malformed(), *self._late()]

    def _alarm(self, kind: str, why: str, *, index: int | None = None, fraud: FraudProof | None = None) -> Alarm:
        return Alarm(kind, Severity.ALARM, self._seen.log.node, why, index, fraud)

    def _own(self, alarms: list[Alarm]) -> list[Claim]:
        """Return the log's own checkpoints from where it was seen last; one that no trusted key signed is an alarm."""
        found = []
        for number, note in enumerate(self._seen.notes, 1):
            try:
                if parse_checkpoint(note).size >= self._first or number == len(self._seen.notes):
                    found.append(Claim(authenticate(note, self._seen.log, self._trust), note))
            except NoteInvalid as error:
                alarms.append(self._alarm("key.unknown", f"a checkpoint that the log shows does not verify: {error}"))
        return found

    def _mirrored(self, alarms: list[Alarm]) -> list[Claim]:
        """Return what the witnesses show; a witness that shows what was never signed is itself the finding."""
        found = []
        for witness, note in self._seen.mirrors.items():
            try:
                testimony = authenticate(note, self._seen.log, self._trust)
                signed = witness in testimony.cosigners
            except NoteInvalid:
                signed = False
            if not signed:
                why = f"it shows a checkpoint of {self._seen.log.node} that the log or it itself did not sign"
                alarms.append(Alarm("witness.false", Severity.ALARM, witness, why))
                continue
            found.append(Claim(testimony, note, witness))
        return found

    def _shrank(self, newest: Claim, mirrored: Sequence[Claim], alarms: list[Alarm]) -> bool:
        """Tell of a log that shows less than was seen of it before; whether it can be followed no further."""
        size, known = newest.testimony.size, self._state.frontier.size
        for claim in mirrored:
            if claim.testimony.size > size:
                why = f"it shows {size} entries, {claim.shown_by} cosigned {claim.testimony.size} before"
                alarms.append(self._alarm("log.shrank", why, index=size))
        if size < known:
            alarms.append(self._alarm("log.shrank", f"it shows {size} entries and showed {known} before", index=size))
        return size < known

    def _hash(self, claims: Sequence[Claim]) -> None:
        """Hash the new entries, noting the root at every size that somebody signed or anchored."""
        wanted = {claim.testimony.size for claim in claims} | {anchor.size for anchor in self._seen.anchors or ()}
        begin = self._frontier.size - self._seen.start
        for entry in self._seen.entries[begin:] if begin >= 0 else ():
            self._frontier.append(leaf_hash(entry))
            if self._frontier.size in wanted:
                self._roots[self._frontier.size] = self._frontier.root()

    def _holds(self, newest: Claim, alarms: list[Alarm]) -> bool:
        """Return whether the entries hash to the newest checkpoint; where they do not, prove it if it can be."""
        size, found = newest.testimony.size, self._frontier
        if found.size == size and found.root() == newest.testimony.root:
            return True
        known = self._state.note
        fraud = contradiction(known, newest.note, self._leaf_hashes) if known else None
        if fraud is not None:
            why = f"its checkpoint of size {size} is not consistent with the one seen before"
            alarms.append(self._alarm("log.split_view", why, fraud=fraud))
        else:
            why = f"{found.size} entries are shown; they do not hash to the root signed for size {size}"
            alarms.append(self._alarm("log.rewritten", why))
        return False

    def _compare(self, newest: Claim, claims: Sequence[Claim], alarms: list[Alarm]) -> None:
        """Compare every signed root with the one recomputed; a checkpoint compared in an earlier pass is not again."""
        for claim in claims:
            size, root = claim.testimony.size, claim.testimony.root
            if size > newest.testimony.size or self._root_at(size) == root:
                continue  # longer than what is shown: told as shrunk
            fraud = contradiction(claim.note, newest.note, self._leaf_hashes)
            who = f"{claim.shown_by} cosigned" if claim.shown_by else "it signed"
            why = f"its entries do not hash to the root that {who} for size {size}"
            alarms.append(self._alarm("log.split_view", why, fraud=fraud))

    def _root_at(self, size: int) -> bytes:
        """Return the recomputed root at a size up to the newest."""
        known = self._roots.get(size) or self._state.roots.get(size)
        if known is None:
            known = self._roots[size] = Tree(self._leaf_hashes[:size]).root()
        return known

    @cached_property
    def _leaf_hashes(self) -> Sequence[bytes]:
        return self._seen.leaf_hashes()

    def _advance(self, newest: Claim, claims: Sequence[Claim]) -> None:
        """Remember what held; the log is on time when enough witnesses saw it grow."""
        state, head = self._state, newest.testimony
        for index, entry in enumerate(self._seen.entries[self._first - self._seen.start :], self._first):
            try:
                self.events.append((index, parse(entry)))
            except EventInvalid:
                continue  # _malformed tells
        same = [
            claim.testimony
            for claim in claims
            if (claim.testimony.size, claim.testimony.root) == (head.size, head.root)
        ]
        names = {name for testimony in same for name in testimony.cosigners}
        if head.size > self._first and self._trust.is_witnessed_by(names):
            state.since = self._now
        self._mark()
        state.remember(self._roots)
        state.frontier, state.note = self._frontier, newest.note

    def _mark(self) -> None:
        """Note the times of the first and last new entry, and of the first that the chain does not cover."""
        anchors = self._seen.anchors
        covered = self._state.anchored if anchors is None else max((anchor.size for anchor in anchors), default=0)
        last = self._frontier.size - 1
        for index, event in self.events:
            if index in (self._first, covered, last):
                self._state.mark(index + 1, min(event.at, self._now))

    def _malformed(self) -> Iterator[Alarm]:
        """Yield entries that are no event of this node; the first is enough of each kind."""
        count = self._frontier.size - self._first
        if len(self.events) < count:
            good = {index for index, _ in self.events}
            index = next(index for index in range(self._first, self._frontier.size) if index not in good)
            yield self._alarm("entry.malformed", "the entry is no canonical event", index=index)
        for index, event in self.events:
            if event.node != self._seen.log.node:
                yield self._alarm("entry.malformed", "the entry was written by another node", index=index)
                return

    def _anchors(self, newest: Claim) -> Iterator[Alarm]:
        """Compare new anchors with the log, and tell how long the oldest entry has waited for one."""
        if self._seen.anchors is not None:
            yield from self._compared(newest, self._seen.anchors)
        waiting = next((time for size, time in self._state.marks if size > self._state.anchored), None)
        age = self._now - waiting if waiting is not None else timedelta()
        if age > self._limits.anchor_warn:
            severity = Severity.ALARM if age > self._limits.anchor_alarm else Severity.WARN
            why = f"the chain covers {self._state.anchored} entries; the next has waited {minutes(age)} min"
            yield Alarm("anchor.old", severity, self._seen.log.node, why)

    def _compared(self, newest: Claim, anchors: Sequence[Anchor]) -> Iterator[Alarm]:
        top = max((anchor.size for anchor in anchors), default=0)
        if top < self._state.anchored:
            why = f"the chain told an anchor of size {self._state.anchored} before, now {top}"
            yield Alarm("anchor.lost", Severity.WARN, self._seen.log.node, why)
        for anchor in anchors:
            if anchor.size > newest.testimony.size:
                why = f"the chain holds size {anchor.size}, the log shows {newest.testimony.size}: rolled back?"
                yield self._alarm("log.shrank", why, index=newest.testimony.size)
                top = min(top, newest.testimony.size)
            elif self._is_new(anchor) and self._root_at(anchor.size) != anchor.root:
                yield self._alarm("anchor.contradicts", f"the chain holds another root for size {anchor.size}")
        self._state.anchor(top)
        self._state.remember(self._roots)

    def _is_new(self, anchor: Anchor) -> bool:
        """Return whether an anchor was not compared before with the root that is remembered for its size."""
        return anchor.size > self._state.anchored or anchor.size in self._state.roots

    def _late(self) -> Iterator[Alarm]:
        return late(self._state, self._limits, self._now)


def late(log: LogState, limits: Limits, now: datetime) -> Iterator[Alarm]:
    """Yield the alarm of a log that has shown no new witnessed checkpoint for too long."""
    waited = now - log.since
    if waited > limits.cadence:
        why = f"no new witnessed checkpoint for {minutes(waited)} min, one in {minutes(limits.cadence)} min is due"
        yield Alarm("checkpoint.late", Severity.ALARM, log.node, why)


def minutes(span: timedelta) -> int:
    """Return whole minutes."""
    return int(span.total_seconds() // 60)
