"""Brings the newest checkpoint to the chain: one waiting row however long it is down, truth from the contract."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from hdex.ledger.errors import AnchorAlarm, ChainRefused, ChainUnavailable
from hdex.ledger.note import note_hash, parse_checkpoint
from hdex.ledger.ports import Chain, Head, Outbox, TxRef

NOT_YET_RULES = {"NotTheNodesKey"}  # the operator has not enrolled this node yet
RootAt = Callable[[int], bytes | None]


class AnchorState(StrEnum):
    """Where the newest checkpoint stands."""

    EMPTY = "empty"  # nothing was noted
    WAITING = "waiting"  # the chain is down, or has not enrolled this node
    ANCHORED = "anchored"


@dataclass(frozen=True, slots=True)
class AnchorStatus:
    """What a run found; `reason` says in words why a head waits."""

    state: AnchorState
    noted_size: int
    anchored_size: int
    tx: TxRef | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often the chain is written to: when so many entries wait, or the oldest has waited so long; and when what
    stands there already is asked for again, because a reorganisation takes it back without a word.
    """

    entries: int = 1
    wait: timedelta = timedelta()
    confirm: timedelta = timedelta(minutes=1)


AT_ONCE = Pace()
STEADY = Pace(entries=2_000, wait=timedelta(seconds=10))


class Anchorer:
    """Anchors one node's log. `note` costs the data path no I/O; `run_once` is called by one thread, again and again.

    root_at: the log's root at a size, None when the log is smaller. With it every anchor on chain is compared with the
    log at the start and after each outage: only so is a log noticed that was rolled back to an old backup.
    """

    def __init__(
        self,
        chain: Chain,
        outbox: Outbox,
        node_id: str,
        *,
        root_at: RootAt | None = None,
        pace: Pace = AT_ONCE,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._chain = chain
        self._outbox = outbox
        self._node_id = node_id
        self._root_at = root_at
        self._pace, self._clock = pace, clock
        self._confirmed: datetime | None = None  # when the last anchor was seen to stand
        self._lock = threading.Lock()  # owns _newest and _split
        waiting, known = outbox.waiting(), self._known()
        kept = waiting if waiting and self._is_ours(waiting) else None
        self._newest: Head | None = kept or (known[0] if known else None)
        self._split: AnchorAlarm | None = None
        self._reconciled = False

    def _is_ours(self, head: Head) -> bool:
        """Return whether a head that the outbox kept is one of this log: a damaged file must not reach the chain."""
        return self._root_at is None or self._root_at(head.size) == head.root

    def _known(self) -> tuple[Head, TxRef] | None:
        known = self._outbox.anchored()
        return known if known is None or self._is_ours(known[0]) else None

    def note(self, checkpoint: str) -> None:
        """Remember a signed checkpoint as the next to anchor, unless a greater one is known. The chain is not asked.

        Durable at the next run: after a crash the log gives its newest checkpoint again.
        """
        parsed = parse_checkpoint(checkpoint)
        if parsed.size == 0:
            return
        with self._lock:
            known = self._newest
            oldest = None if known is None or self._is_anchored(known) else known.since
            head = Head(parsed.size, parsed.root, note_hash(checkpoint), oldest or self._clock())
            if known is not None and known.size == head.size and known.root != head.root:
                self._split = AnchorAlarm(f"two roots of {self._node_id} were noted for size {head.size}")
            if known is None or head.size > known.size:
                self._newest = head

    def run_once(self) -> AnchorStatus:
        """Send the newest head if the chain does not hold it. Chain down: WAITING. Raises AnchorAlarm, ChainWrong."""
        self._keep()
        try:
            if not self._reconciled:
                self.reconcile()
            return self._send(self._newest)
        except ChainUnavailable as error:
            self._reconciled = False  # a chain that comes back may have forgotten
            return self.status(str(error))
        except ChainRefused as error:
            if error.rule not in NOT_YET_RULES:
                raise AnchorAlarm(f"the chain refuses the log head of {self._node_id}: {error.rule}") from error
            return self.status(str(error))

    def reconcile(self) -> None:
        """Compare what the contract holds with our log and outbox: after a start, an outage or a reorganisation."""
        anchors = self._chain.anchors(self._node_id)
        for anchor in anchors:
            self._require_ours(anchor.size, anchor.root)
        held = {anchor.size: anchor.root for anchor in anchors}
        for head in (self._newest, *(known[0] for known in [self._known()] if known)):
            if head is not None and held.get(head.size, head.root) != head.root:
                raise AnchorAlarm(f"the chain holds another root of {self._node_id} at size {head.size}")
        self._requeue_lost(held)
        self._reconciled = True

    def age(self) -> timedelta:
        """Return how long the oldest entry that the chain does not cover has waited; zero when it covers all."""
        newest = self._newest
        if newest is None or newest.since is None or self._is_anchored(newest):
            return timedelta()
        return max(timedelta(), self._clock() - newest.since)

    def status(self, reason: str = "") -> AnchorStatus:
        """Return where the newest head stands, from memory and outbox only."""
        anchored, newest = self._known(), self._newest
        anchored_size = anchored[0].size if anchored else 0
        noted_size = max(newest.size if newest else 0, anchored_size)
        tx = anchored[1] if anchored else None
        if noted_size > anchored_size or reason:
            return AnchorStatus(AnchorState.WAITING, noted_size, anchored_size, tx, reason)
        return AnchorStatus(AnchorState.ANCHORED if anchored else AnchorState.EMPTY, noted_size, anchored_size, tx)

    def _keep(self) -> None:
        """Make the newest head durable before it is sent."""
        with self._lock:
            if self._split is not None:
                raise self._split
            head = self._newest
        if head is not None and head != self._outbox.waiting() and not self._is_anchored(head):
            self._outbox.put(head)

    def _send(self, head: Head | None) -> AnchorStatus:
        """Anchor what is due. The same head again is no second transaction, unless the chain forgot the first."""
        if head is not None and self._is_due(head):
            tx = self._chain.anchor(self._node_id, head.size, head.root, head.note_hash)
            self._outbox.done(head, tx)
            self._confirmed = self._clock()
            with self._lock:
                newest = self._newest
                if newest is not None and newest != head:  # noted meanwhile: it waits from now on
                    self._newest = replace(newest, since=self._confirmed)
        return self.status()

    def _is_due(self, head: Head) -> bool:
        now, known = self._clock(), self._known()
        if known is None:
            return True
        if self._is_anchored(head):
            return self._confirmed is None or not timedelta() <= now - self._confirmed < self._pace.confirm
        waited = now - head.since if head.since is not None else self._pace.wait
        return head.size - known[0].size >= self._pace.entries or not timedelta() <= waited < self._pace.wait

    def _is_anchored(self, head: Head) -> bool:
        known = self._known()
        return known is not None and known[0].size == head.size and known[0].root == head.root

    def _require_ours(self, size: int, root: bytes) -> None:
        if self._root_at is None:
            return
        ours = self._root_at(size)
        if ours is None:
            raise AnchorAlarm(f"the chain holds size {size} of {self._node_id}, the log is smaller: rolled back?")
        if ours != root:
            raise AnchorAlarm(f"the chain holds another root of {self._node_id} at size {size}")

    def _requeue_lost(self, held: dict[int, bytes]) -> None:
        """Send again what a reorganisation or a restored chain forgot."""
        known = self._known()
        if known is None or known[0].size in held:
            return
        with self._lock:
            newest = self._newest if self._newest and self._newest.size > known[0].size else known[0]
            self._newest = newest = replace(newest, since=newest.since or self._clock())
        self._outbox.put(newest)
