"""What the ledger needs from outside: somewhere durable for leaves, and a chain that several organisations read."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from hdex.ledger.event import Event


@dataclass(frozen=True, slots=True)
class Anchor:
    """One checkpoint as the chain holds it."""

    size: int
    root: bytes  # 32 bytes
    note_hash: bytes  # 32 bytes, SHA-256 of the checkpoint's text (the signed body, without signature lines)
    block: int
    time: datetime  # of the block, UTC
    tx: bytes  # 32 bytes, transaction hash


@dataclass(frozen=True, slots=True)
class TxRef:
    """Where a transaction stands. `block` is None while it is not mined, or when the contract already held the fact."""

    tx: bytes
    block: int | None = None


@dataclass(frozen=True, slots=True)
class ChainRecord:
    """One fact as the chain emitted it, for auditors: an event of the contract."""

    kind: str  # the contract's event name: NodeEnrolled, CheckpointAnchored, ProductListed, GrantIssued ...
    fields: dict[str, str | int]  # event arguments; bytes as lowercase hex without 0x
    block: int
    time: datetime
    tx: bytes


class LogStore(Protocol):
    """Durable, append-only leaves and the newest signed head. Untrusted: it can stop us, never make us lie."""

    def append(self, first: int, leaves: Sequence[bytes], head: str) -> None:
        """Store leaves from index `first` on and the head signed over them: all or nothing, on disk (fsync) on return.

        Raises LogConflict when the store does not hold exactly `first` leaves, LogFailed when it cannot write.
        """
        ...

    def read(self, start: int, stop: int) -> list[bytes]:
        """Return the leaves with start <= index < stop, fewer when the log ends before."""
        ...

    def load(self) -> tuple[int, tuple[bytes, ...], str | None]:
        """Return size, edges and the newest head, as of one moment; the cost does not grow with the log.

        edges[l]: the hashes of the last, not full tile of level l, 32 bytes each; see tiles.py.
        """
        ...

    def tile(self, level: int, number: int) -> bytes | None:
        """Return the hashes of one full tile, 256 of 32 bytes each, None when there is none."""
        ...

    def size(self) -> int:
        """Return how many leaves are stored."""
        ...

    def put_note(self, kind: str, note: str) -> None:
        """Keep one more note of a kind, durably on return. The same note twice is kept once."""
        ...

    def notes(self, kind: str) -> list[str]:
        """Return the notes of a kind in the order in which they were put."""
        ...

    def close(self) -> None:
        """Let go of the files. Nothing else may be called afterwards."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EventQuery:
    """What is searched for: every given field must equal the event's; the default asks for everything."""

    organisation: str | None = None
    role: str | None = None
    product: str | None = None
    contract: str | None = None
    grant: str | None = None
    purpose: str | None = None
    action: str | None = None
    decision: str | None = None
    actor: tuple[str, ...] = ()  # commitments, any of them: one person has another one in every event
    since: datetime | None = None  # this moment or later
    until: datetime | None = None  # before this moment
    first: int = 0  # the lowest log index that is wanted: the last one found + 1 asks for the next page
    limit: int = 100  # at most this many


class EventIndex(Protocol):
    """Where events are found by their fields. Derived from the log: rebuilt when in doubt, never believed.

    Raises IndexFailed when it cannot be read or written.
    """

    def add(self, first: int, events: Sequence[Event]) -> None:
        """Index the events of the log from index `first` on; what is indexed already is skipped.

        Raises IndexFailed when `first` lies beyond `size()`: an entry would be missing.
        """
        ...

    def search(self, query: EventQuery) -> list[int]:
        """Return the log indexes that match, ascending."""
        ...

    def size(self) -> int:
        """Return how many entries are indexed: all below this index."""
        ...

    def close(self) -> None:
        """Let go of the files."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DetailRow:
    """One event's identifying detail, sealed, and the wrapped key that opens it."""

    event_id: str
    time: str  # as the event says it
    action: str
    product: str | None
    contract: str | None
    sealed: bytes
    key: bytes
    tag: bytes  # keyed digest of the actor; destroyed with the key


class DetailStore(Protocol):
    """Sealed details in one place, their keys in another: who destroys a key has erased the detail.

    Raises LogFailed when it cannot be written, StoreCorrupt when it is damaged.
    """

    def put(self, rows: Sequence[DetailRow]) -> None:
        """Keep rows with their keys, durably on return; a row whose event is known already changes nothing."""
        ...

    def get(self, event_id: str) -> DetailRow | None:
        """Return a row with its key, None when either is not there."""
        ...

    def find(self, tag: bytes) -> list[DetailRow]:
        """Return the rows with this tag whose keys are there, oldest first."""
        ...

    def destroy(self, event_ids: Sequence[str]) -> None:
        """Destroy the keys and tags of these events, so that no file holds their bytes on return."""
        ...

    def put_hold(self, name: str, sealed: bytes) -> None:
        """Keep a legal hold, durably, in place of one of the same name."""
        ...

    def drop_hold(self, name: str) -> None:
        """Forget a legal hold."""
        ...

    def holds(self) -> list[tuple[str, bytes]]:
        """Return the legal holds, by name."""
        ...

    def close(self) -> None:
        """Let go of the files."""
        ...


class WitnessStore(Protocol):
    """What a witness remembers of each log it watches: its last cosigned checkpoint and the leaf hashes shown."""

    def latest(self, origin: str) -> str | None:
        """Return the last cosigned note of this log, which begins with its origin; None before the first.

        Raises StoreCorrupt where it can tell that there was one which is gone.
        """
        ...

    def mirror(self, origin: str) -> list[bytes]:
        """Return the leaf hashes kept for this log, from index 0."""
        ...

    def advance(self, origin: str, expected: str | None, note: str, leaf_hashes: Sequence[bytes]) -> bool:
        """Replace `expected` by `note` and extend the mirror: one durable step, False when `expected` is not latest."""
        ...


@dataclass(frozen=True, slots=True)
class Head:
    """A signed checkpoint as it is to be anchored."""

    size: int
    root: bytes  # 32 bytes
    note_hash: bytes  # 32 bytes
    since: datetime | None = field(default=None, compare=False)  # when the oldest entry not anchored was noted


class Outbox(Protocol):
    """What is to be anchored and what was, over a restart: two rows, however long the chain is down."""

    def put(self, head: Head) -> None:
        """Replace the waiting head, durably on return."""
        ...

    def waiting(self) -> Head | None:
        """Return the head that is to be sent, None when there is none."""
        ...

    def done(self, head: Head, tx: TxRef) -> None:
        """Remember that this head is anchored; it waits no longer."""
        ...

    def anchored(self) -> tuple[Head, TxRef] | None:
        """Return the last anchored head and where it stands."""
        ...


@dataclass(frozen=True, slots=True)
class NewGrant:
    """A licence to be recorded: an agreement of this SHA-256 holds until `expires`."""

    grant_id: str
    agreement_digest: bytes
    expires: datetime


class Chain(Protocol):
    """The contract as one node uses it. Every write may be sent again: a fact that stands already is success.

    Raises ChainUnavailable when nobody answers and ChainWrong when the answer is of another chain or contract.
    """

    def chain_id(self) -> int:
        """Return the chain's EIP-155 id."""
        ...

    def operator(self) -> str:
        """Return who runs the chain, in words: "1 operator: demonstration"."""
        ...

    def enroll(self, node_id: str, address: str, log_key_hash: bytes) -> TxRef:
        """Bind a node to the account that may anchor for it and to the hash of its log key (operator only)."""
        ...

    def anchor(self, node_id: str, size: int, root: bytes, note_hash: bytes) -> TxRef:
        """Anchor a checkpoint; size must grow. Raises AnchorAlarm when this size stands with another root.

        node_id: the node, or `<node>/<year>` for a later shard of its log, which may begin small again.
        """
        ...

    def anchors(self, node_id: str) -> list[Anchor]:
        """Return all anchors of a node's first shard, or of the shard `<node>/<year>`, in growing size."""
        ...

    def list_product(self, node_id: str, digest: bytes) -> TxRef:
        """Record that a node offers the product whose manifest has this SHA-256."""
        ...

    def withdraw_product(self, digest: bytes) -> TxRef:
        """Record that the product is not offered any more."""
        ...

    def issue_grant(self, grant_id: str, node_id: str, agreement_digest: bytes, expires: datetime) -> TxRef:
        """Record a licence: an agreement of this SHA-256 holds until `expires`."""
        ...

    def issue_grants(self, node_id: str, grants: Sequence[NewGrant]) -> None:
        """Record many licences of a node as `issue_grant` does each; where one is refused, others may stand."""
        ...

    def revoke_grant(self, grant_id: str) -> TxRef:
        """Record that the grant ends now."""
        ...

    def is_granted(self, grant_id: str, at: datetime) -> bool:
        """Return whether the grant is issued, not revoked and not expired at this time."""
        ...

    def seal_round(self, study: str, round: int, digest: bytes) -> TxRef:
        """Record the digest of one federated round; a second digest for the same round is refused."""
        ...

    def records(self, kind: str) -> list[ChainRecord]:
        """Return all facts of one kind in chain order."""
        ...
