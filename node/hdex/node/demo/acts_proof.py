"""Acts of proof: the audit, the forged log, and the search for identifiers in everything that left."""

import json

from hdex.ledger.bundle import Evidence, read_evidence
from hdex.ledger.note import parse_checkpoint, parse_note
from hdex.ledger.trust import read_trust
from hdex.ledger.verify import verify_evidence
from hdex.node.demo import rows
from hdex.node.demo.forgery import forge as forge_evidence
from hdex.node.demo.memory import Memory
from hdex.node.demo.search import found_in_files, found_in_frame, searchable
from hdex.node.demo.setting import AUDITOR, HOSPITALS, LOGGED
from hdex.node.errors import PeerUnavailable
from hdex.node.hospital.datasets import VIEW

WITNESSES = len(LOGGED) // 2


def audit(memory: Memory) -> None:
    """The auditor collects all logs, mirrors and anchors in one file and verifies it with no network."""
    folder = memory.setting.home(AUDITOR)
    evidence_file, trust_file = folder / "evidence.zip", folder / "trust.json"
    evidence = memory.cast.auditor.export(evidence_file)
    if any(len(witnesses_of(evidence, log.node)) < WITNESSES for log in evidence.logs):
        raise PeerUnavailable("a witness has not cosigned yet")
    trust_file.write_text(json.dumps(memory.cast.auditor.trust(WITNESSES), indent=1), encoding="utf-8")
    report = verify_evidence(evidence_file, read_trust(trust_file))
    memory.audit = {
        "verified": report.verified,
        "checked": report.checked,
        "not_checked": report.not_checked,
        "first_offence": report.first_offence,
        **counts(evidence),
    }
    memory.say("audit", f"{memory.audit['events']} events of {len(evidence.logs)} logs: "
                        f"{'verified' if report.verified else f'NOT verified: {report.first_offence}'}")  # fmt: skip


def counts(evidence: Evidence) -> dict[str, object]:
    """Return what the closing table says of the evidence."""
    events = [json.loads(entry) for log in evidence.logs for entry in log.entries]
    cosignatures = sum(len(parse_note(note).signatures) - 1 for log in evidence.logs for note in log.checkpoints)
    return {
        "events": len(events),
        "without_decision": sum("decision" not in event for event in events),
        "denied": sum(event.get("decision") == "deny" for event in events),
        "anchors": sum(len(log.anchors) for log in evidence.logs),
        "cosignatures": cosignatures,
        "witnesses": sorted({found.witness for found in evidence.witnesses}),
        "operator": evidence.chain["operator"],
        "checkpoints": [
            (log.node, parse_checkpoint(note).size, False) for log in evidence.logs for note in log.checkpoints
        ],
    }


def witnesses_of(evidence: Evidence, node: str) -> set[str]:
    """Return who has cosigned the newest checkpoint of a log."""
    log = next(found for found in evidence.logs if found.node == node)
    newest = max(parse_checkpoint(note).size for note in log.checkpoints)
    return {
        signature.name
        for note in log.checkpoints
        if parse_checkpoint(note).size == newest
        for signature in parse_note(note).signatures
    } - {log.origin}


def forge(memory: Memory) -> None:
    """An operator rewrites its whole log and the chain, in a copy: others contradict it at the first wrong entry."""
    folder, setting = memory.setting.home(AUDITOR), memory.setting
    node = HOSPITALS[0]
    honest, forged = folder / "evidence.zip", folder / "forged.zip"
    index = forge_evidence(honest, forged, node=node, log_key=setting.keys[node].secret("log"))
    report = verify_evidence(forged, read_trust(folder / "trust.json"))
    offence = report.first_offence or {}
    found = offence.get("index") if not report.verified else None
    memory.forged = {"node": node, "changed": index, "found": found, "contradicted_by": offence.get("contradicted_by")}
    sizes = [
        parse_checkpoint(note).size
        for log in read_evidence(forged).logs
        if log.node == node
        for note in log.checkpoints
    ]
    memory.audit["checkpoints"] += [(node, size, True) for size in sizes if size > index]
    memory.say("forge", f"{node} changes entry {index}, rehashes, re-signs, re-anchors: found at index {found}, "
                        f"contradicted by {offence.get('contradicted_by')}")  # fmt: skip


def search(memory: Memory) -> None:
    """Look for every planted identifier in what the others hold, and in the opened product."""
    setting = memory.setting
    inside = {*HOSPITALS, "exports"}
    outside = [path for path in sorted(setting.folder.iterdir()) if path.is_dir() and path.name not in inside]
    identifiers = rows.identifiers(memory)
    wanted = searchable(identifiers.values | identifiers.forms)
    found = found_in_files(outside, wanted)
    if memory.delivered is not None:
        found |= found_in_frame(memory.delivered, wanted)
    numbers = {
        value
        for hospital in HOSPITALS
        for name in ("record_number", "resident_id", "person_id")
        for value in rows.raw(setting, hospital, VIEW)[name].drop_nulls().to_list()
    }
    memory.searched = {"planted": len(identifiers.values), "found": len(found), "raw_rows": len(found & numbers)}
    memory.say("search", f"{memory.searched['planted']:,} identifiers, found outside the hospitals: {len(found)}"
                         f"{told_left_out(identifiers.left_out)}")  # fmt: skip


def told_left_out(count: int) -> str:
    """Return what is said of values that were not looked for."""
    return f"; not looked for, as they name nobody alone: {count}" if count else ""
