"""What a dishonest operator would do: change one entry, rehash, re-sign and re-anchor the whole log, in a copy."""

import json
from dataclasses import replace
from pathlib import Path

from hdex.ledger.bundle import Evidence, LogEvidence, read_evidence, write_evidence
from hdex.ledger.event import canonical, from_document
from hdex.ledger.merkle import leaf_hash, root
from hdex.ledger.note import Signer, format_checkpoint, note_hash, parse_checkpoint, sign_note
from hdex.ledger.ports import Anchor


def forge(honest: Path, forged: Path, *, node: str, log_key: bytes) -> int:
    """Write a copy of the evidence in which `node` has rewritten its log and the chain; return the changed index.

    The operator has its own log key and runs the chain, so everything it controls agrees with the lie. What it does
    not control are the cosignatures and mirrors of the other participants.
    """
    evidence = read_evidence(honest)
    log = next(found for found in evidence.logs if found.node == node)
    index = changed_index(log)
    entries = [*log.entries[:index], altered(log.entries[index]), *log.entries[index + 1 :]]
    rewritten = rebuilt(log, entries, Signer(log.origin, log_key))
    logs = tuple(rewritten if found.node == node else found for found in evidence.logs)
    write_evidence(forged, Evidence(evidence.exported, evidence.chain, logs, evidence.witnesses))
    return index


def changed_index(log: LogEvidence) -> int:
    """Return the entry a forger would want gone: the first export, or the one in the middle."""
    actions = [json.loads(entry)["action"] for entry in log.entries]
    return actions.index("export") if "export" in actions else len(actions) // 2


def altered(entry: bytes) -> bytes:
    """Return the entry with another count of rows."""
    document = json.loads(entry)
    return canonical(from_document({**document, "rows": int(document.get("rows", 0)) + 1}))


def rebuilt(log: LogEvidence, entries: list[bytes], signer: Signer) -> LogEvidence:
    """Return the log with every hash, checkpoint and anchor made to fit the new entries."""
    hashes = [leaf_hash(entry) for entry in entries]

    def note(size: int) -> str:
        return sign_note(format_checkpoint(log.origin, size, root(hashes[:size])), signer)

    def anchor(found: Anchor) -> Anchor:
        return replace(found, root=root(hashes[: found.size]), note_hash=note_hash(note(found.size)))

    sizes = sorted({parse_checkpoint(checkpoint).size for checkpoint in log.checkpoints})
    return LogEvidence(log.node, log.origin, tuple(entries), tuple(map(note, sizes)), tuple(map(anchor, log.anchors)))
