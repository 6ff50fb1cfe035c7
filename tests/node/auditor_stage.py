"""Three hospitals whose logs an auditor collects in one process: real logs, witnesses and a chain in memory."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tests.ledger.evidence_story import NODES, START, Consortium, log_signer, usual_events, witness_signer

from hdex.ledger.chain_memory import MEMORY_CHAIN_ID, MemoryChain, MemoryLedger
from hdex.ledger.log import Log
from hdex.ledger.note import note_hash, parse_checkpoint
from hdex.ledger.shard import parse_origin
from hdex.node.auditor import Auditor
from hdex.node.auditor_logs import ShownLog
from hdex.node.config import ChainPeer
from hdex.node.directory import Directory, Member
from hdex.node.errors import PeerUnavailable

DOMAIN = "hdex.test"
NOW = datetime(2026, 11, 21, 23, tzinfo=UTC)


@dataclass
class LogsDoor:
    """Everybody's log and mirrors, as the auditor calls them. Who is in `away` does not answer."""

    told: Consortium
    away: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    past: dict[str, dict[int, Log]] = field(default_factory=dict)  # of earlier years
    forged: dict[str, Callable[[list[bytes]], None]] = field(default_factory=dict)  # what a node shows instead

    def read(self, node: str, *, year: int = 0, start: int = 0, end: int = 0) -> ShownLog:
        self._require_there(node)
        log = self.told.logs[node]
        if year in self.past.get(node, {}):
            log = self.past[node][year]
        entries = log.entries(0, log.size)
        self.forged.get(node, list)(entries)
        notes = [*log.cosigned(), *([log.checkpoint()] if year in self.past.get(node, {}) else [])]
        years = sorted({parse_origin(self.told.logs[node].origin)[1], *self.past.get(node, {})})
        return ShownLog(tuple(notes), tuple(years), iter(entries[start : end or None]))

    def mirror(self, witness: str, origin: str, *, head_only: bool = False) -> tuple[str, list[bytes]]:
        self._require_there(witness)
        found = self.told.witnesses[witness]
        return found.latest(origin) or "", [] if head_only else found.mirror(origin)

    def _require_there(self, participant: str) -> None:
        self.asked.append(participant)
        if participant in self.away:
            raise PeerUnavailable(f"{participant} did not answer")


@dataclass
class Hall:
    """The consortium, its chain and its auditor."""

    told: Consortium = field(default_factory=Consortium)
    ledger: MemoryLedger = field(
        default_factory=lambda: MemoryLedger("admin", "1 operator: demonstration", clock=lambda: START)
    )

    def __post_init__(self) -> None:
        self.logs = LogsDoor(self.told)
        for node in NODES:
            MemoryChain(self.ledger, "admin").enroll(node, node, b"\x01" * 32)
            events = usual_events(node)
            self.told.write(node, events[:8])
            self.publish(node)
            self.told.write(node, events[8:])
            self.publish(node)

    def publish(self, node: str) -> None:
        """Have the others cosign the newest head, and anchor it."""
        self.told.publish(node)
        note = self.told.logs[node].checkpoint()
        head = parse_checkpoint(note)
        MemoryChain(self.ledger, node).anchor(node, head.size, head.root, note_hash(note))

    def auditor(self) -> Auditor:
        """Return the auditor of these three."""
        chain = MemoryChain(self.ledger, "auditor")
        contract = ChainPeer("http://127.0.0.1:1", "0xC0ffee", MEMORY_CHAIN_ID)
        return Auditor(directory(), self.logs, chain=lambda: chain, contract=contract, clock=lambda: NOW)


def directory() -> Directory:
    """Return the three hospitals and a buyer, who keeps no log."""
    members = [
        Member(
            node,
            "hospital",
            f"{node} org",
            f"spiffe://{DOMAIN}/hospital/{node}",
            bytes(32),
            log_key=log_signer(node).public_key,
            witness_key=witness_signer(node).public_key,
            endpoint="127.0.0.1:1",
        )
        for node in NODES
    ]
    buyer = Member("buyer-b", "buyer", "buyer org", f"spiffe://{DOMAIN}/buyer/buyer-b", bytes(32))
    return Directory(DOMAIN, "2026-11-21T22:00:00.000Z", (*members, buyer))
