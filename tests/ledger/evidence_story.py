"""Three hospitals that log, witness each other and export evidence; and an operator who rewrites. For tests only."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from hdex.ledger import merkle
from hdex.ledger.bundle import Evidence, LogEvidence, WitnessEvidence, write_evidence
from hdex.ledger.event import Action, Decision, Event, canonical, format_time
from hdex.ledger.log import Log
from hdex.ledger.note import Signer, format_checkpoint, note_hash, parse_checkpoint, sign_note
from hdex.ledger.ports import Anchor
from hdex.ledger.store_memory import MemoryLogStore, MemoryWitnessStore
from hdex.ledger.trust import Trust, trust_from_document
from hdex.ledger.witness import Witness

NODES = ("hospital-a", "hospital-b", "hospital-c")
START = datetime(2026, 11, 21, 22, tzinfo=UTC)
CHAIN: dict[str, str | int] = {"chain_id": 31337, "contract": "0xC0ffee", "operator": "1 operator: demonstration"}


def seed(name: str) -> bytes:
    return sha256(name.encode()).digest()


def origin(node: str) -> str:
    return f"hdex/{node}/2026"


def log_signer(node: str) -> Signer:
    return Signer(origin(node), seed(f"log {node}"))


def witness_signer(node: str) -> Signer:
    return Signer(node, seed(f"witness {node}"))


def make_event(node: str, number: int, action: Action, **fields: object) -> Event:
    time = format_time(START + timedelta(seconds=number))
    return Event(event_id=f"{node}-{number}", time=time, node=node, action=action, **fields)  # type: ignore[arg-type]


def usual_events(node: str) -> list[Event]:
    """Issue a grant, read under it twelve times, refuse once, revoke it."""
    reads = [
        make_event(node, 2 + i, Action.PRODUCT_READ, grant=f"{node}-g", decision=Decision.ALLOW, rows=10 + i)
        for i in range(12)
    ]
    return [
        make_event(node, 0, Action.CATALOGUE_PUBLISH, product="stents"),
        make_event(node, 1, Action.GRANT_ISSUE, grant=f"{node}-g"),
        *reads,
        make_event(node, 14, Action.EXPORT, decision=Decision.DENY, reason="level.file"),
        make_event(node, 15, Action.GRANT_REVOKE, grant=f"{node}-g"),
        make_event(node, 16, Action.PRODUCT_READ, grant=f"{node}-g", decision=Decision.DENY, reason="grant.revoked"),
    ]


class Consortium:
    """Three logs, each cosigned and mirrored by the other two, and anchors as a chain would hold them."""

    def __init__(self) -> None:
        self.now = START
        keys = {origin(node): log_signer(node).public_key for node in NODES}
        self.logs = {node: Log(MemoryLogStore(), origin(node), log_signer(node)) for node in NODES}
        self.witnesses = {
            node: Witness(witness_signer(node), MemoryWitnessStore(), logs=keys, clock=lambda: self.now)
            for node in NODES
        }
        self.anchors: dict[str, list[Anchor]] = {node: [] for node in NODES}

    def write(self, node: str, events: Sequence[Event]) -> None:
        for event in events:
            self.logs[node].append(canonical(event))

    def publish(self, node: str) -> None:
        """Have the newest checkpoint cosigned by the others and anchored."""
        log = self.logs[node]
        note = log.checkpoint()
        lines = []
        for name, witness in self.witnesses.items():
            if name != node:
                old = witness.size(log.origin)
                proof = log.consistency(old, log.size) if old else []
                fresh = log.leaf_hashes(witness.mirrored(log.origin), log.size)
                lines.append(witness.add_checkpoint(old, proof, note, fresh))
        log.add_cosignatures(note, lines)
        self.anchors[node].append(anchor_of(note, block=len(self.anchors[node]) + 1))

    def evidence(self) -> Evidence:
        told = [
            WitnessEvidence(name, node, latest, tuple(witness.mirror(origin(node))))
            for name, witness in self.witnesses.items()
            for node in NODES
            if (latest := witness.latest(origin(node))) is not None
        ]
        logs = [
            LogEvidence(
                node, log.origin, tuple(log.entries(0, log.size)), tuple(log.cosigned()), tuple(self.anchors[node])
            )
            for node, log in self.logs.items()
        ]
        return Evidence(START + timedelta(hours=1), CHAIN, tuple(logs), tuple(told))


def anchor_of(note: str, *, block: int) -> Anchor:
    head = parse_checkpoint(note)
    return Anchor(head.size, head.root, note_hash(note), block, START + timedelta(minutes=1), bytes([block]) * 32)


def usual_consortium() -> Consortium:
    """Checkpoints of sizes 8 and 17 in every log, all cosigned, mirrored and anchored."""
    found = Consortium()
    for node in NODES:
        events = usual_events(node)
        found.write(node, events[:8])
        found.publish(node)
        found.write(node, events[8:])
        found.publish(node)
    return found


def trust_document(**policy: float) -> dict[str, Any]:
    return {
        "policy": dict[str, float]({"witnesses": 2} | policy),
        "logs": [
            {"node": node, "origin": origin(node), "log_key": log_signer(node).public_key.hex()} for node in NODES
        ],
        "witnesses": [{"name": node, "key": witness_signer(node).public_key.hex()} for node in NODES],
        "chain": CHAIN,
    }


def trust(**policy: float) -> Trust:
    return trust_from_document(trust_document(**policy))


def rewrite(evidence: Evidence, node: str, change: Callable[[list[bytes]], None]) -> Evidence:
    """Return the evidence as node's operator forges it: entries changed, all re-hashed, re-signed and re-anchored."""
    logs = []
    for log in evidence.logs:
        if log.node == node:
            entries = list(log.entries)
            change(entries)
            hashes = [merkle.leaf_hash(entry) for entry in entries]
            sizes = sorted({min(anchor.size, len(entries)) for anchor in log.anchors})
            notes = [
                sign_note(format_checkpoint(log.origin, size, merkle.root(hashes[:size])), log_signer(node))
                for size in sizes
            ]
            anchors = tuple(anchor_of(note, block=number) for number, note in enumerate(notes, 1))
            log = replace(log, entries=tuple(entries), checkpoints=tuple(notes), anchors=anchors)
        logs.append(log)
    return replace(evidence, logs=tuple(logs))


def save(path: Path, evidence: Evidence) -> Path:
    write_evidence(path, evidence)
    return path
