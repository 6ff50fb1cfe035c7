"""The evidence file: one zip that an auditor can check with no network.

    manifest.json                          {"format": "hdex-evidence/1", "exported", "chain", "logs"}
    logs/<node>/entries.jsonl              one canonical event a line, from index 0
    logs/<node>/checkpoints.json           signed and cosigned notes, oldest first
    logs/<node>/anchors.json               as read from the chain
    witnesses/<witness>/<node>.json        what a witness itself last cosigned, with the leaf hashes it kept

Ask the witnesses first and read the logs afterwards: a log shorter than what a witness cosigned is an offence.
"""

import json
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import cast

from hdex.ledger.document import load
from hdex.ledger.errors import EventInvalid, EvidenceUnreadable
from hdex.ledger.event import format_time, parse_time
from hdex.ledger.ports import Anchor
from hdex.ledger.trust import ChainFacts

FORMAT = "hdex-evidence/1"
MAX_MEMBER_BYTES = 4 << 30
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class LogEvidence:
    """One log, whole."""

    node: str
    origin: str
    entries: tuple[bytes, ...]
    checkpoints: tuple[str, ...] = ()
    anchors: tuple[Anchor, ...] = ()


@dataclass(frozen=True, slots=True)
class WitnessEvidence:
    """What one witness says of one log: its last cosigned checkpoint and the leaf hashes it mirrored."""

    witness: str
    node: str
    checkpoint: str
    mirror: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything in one file."""

    exported: datetime
    chain: ChainFacts  # chain_id, contract, operator: as the exporter found them
    logs: tuple[LogEvidence, ...]
    witnesses: tuple[WitnessEvidence, ...] = ()


def write_evidence(path: Path, evidence: Evidence) -> None:
    """Write the file, the same bytes for the same evidence. On an error no file stays behind."""
    part = path.with_name(path.name + ".part")
    try:
        with zipfile.ZipFile(part, "w") as archive:
            for name, data in _members(evidence):
                info = zipfile.ZipInfo(name, _EPOCH)
                info.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(info, data)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def read_evidence(path: Path) -> Evidence:
    """Return the file's content, believing nothing. Raises EvidenceUnreadable on a missing, damaged or unknown file."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _read(archive)
    except EvidenceUnreadable:
        raise
    except (OSError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise EvidenceUnreadable("the evidence file cannot be opened as a zip") from error
    except (KeyError, TypeError, ValueError, AttributeError, EventInvalid) as error:
        raise EvidenceUnreadable("the evidence file lacks a part, or one is malformed") from error


def _members(evidence: Evidence) -> Iterable[tuple[str, bytes]]:
    logs = [{"node": log.node, "origin": log.origin} for log in evidence.logs]
    exported = format_time(evidence.exported)
    yield "manifest.json", _json({"format": FORMAT, "exported": exported, "chain": evidence.chain, "logs": logs})
    for log in evidence.logs:
        yield f"logs/{_safe(log.node)}/entries.jsonl", b"".join(_line(entry) for entry in log.entries)
        yield f"logs/{_safe(log.node)}/checkpoints.json", _json(list(log.checkpoints))
        yield f"logs/{_safe(log.node)}/anchors.json", _json([_anchor_document(anchor) for anchor in log.anchors])
    for found in evidence.witnesses:
        document = {"checkpoint": found.checkpoint, "mirror": [value.hex() for value in found.mirror]}
        yield f"witnesses/{_safe(found.witness)}/{_safe(found.node)}.json", _json(document)


def _read(archive: zipfile.ZipFile) -> Evidence:
    if any(info.file_size > MAX_MEMBER_BYTES for info in archive.infolist()):
        raise EvidenceUnreadable(f"a part of the evidence file is larger than {MAX_MEMBER_BYTES} bytes")
    manifest = cast("dict[str, object]", load(archive.read("manifest.json")))
    if manifest.get("format") != FORMAT:
        raise EvidenceUnreadable(f"the evidence file is not of the format {FORMAT}")
    logs = cast("list[dict[str, str]]", _list(manifest["logs"]))
    witnesses = [name for name in archive.namelist() if name.startswith("witnesses/") and name.endswith(".json")]
    return Evidence(
        parse_time(str(manifest["exported"])),
        dict(cast("ChainFacts", manifest["chain"])),
        tuple(_read_log(archive, str(log["node"]), str(log["origin"])) for log in logs),
        tuple(_read_witness(archive, name) for name in sorted(witnesses)),
    )


def _read_log(archive: zipfile.ZipFile, node: str, origin: str) -> LogEvidence:
    raw = archive.read(f"logs/{node}/entries.jsonl")
    if raw and not raw.endswith(b"\n"):
        raise EvidenceUnreadable("the last entry of a log is cut off")
    checkpoints = _list(load(archive.read(f"logs/{node}/checkpoints.json")))
    anchors = _list(load(archive.read(f"logs/{node}/anchors.json")))
    return LogEvidence(
        node,
        origin,
        tuple(raw[:-1].split(b"\n")) if raw else (),
        tuple(_text(note) for note in checkpoints),
        tuple(_anchor(cast("dict[str, object]", anchor)) for anchor in anchors),
    )


def _read_witness(archive: zipfile.ZipFile, name: str) -> WitnessEvidence:
    _, witness, node = name.removesuffix(".json").split("/")
    found = cast("dict[str, object]", load(archive.read(name)))
    return WitnessEvidence(
        witness,
        node,
        _text(found["checkpoint"]),
        tuple(bytes.fromhex(_text(value)) for value in _list(found["mirror"])),
    )


def _anchor_document(anchor: Anchor) -> dict[str, str | int]:
    return {
        "size": anchor.size,
        "root": anchor.root.hex(),
        "note_hash": anchor.note_hash.hex(),
        "block": anchor.block,
        "time": format_time(anchor.time),
        "tx": anchor.tx.hex(),
    }


def _anchor(found: dict[str, object]) -> Anchor:
    return Anchor(
        size=_count(found["size"]),
        root=bytes.fromhex(_text(found["root"])),
        note_hash=bytes.fromhex(_text(found["note_hash"])),
        block=_count(found["block"]),
        time=parse_time(_text(found["time"])),
        tx=bytes.fromhex(_text(found["tx"])),
    )


def _line(entry: bytes) -> bytes:
    if b"\n" in entry:
        raise EventInvalid("an entry holds a newline: it is not a canonical event")
    return entry + b"\n"


def _safe(name: str) -> str:
    if not name or "/" in name or name.startswith("."):
        raise EvidenceUnreadable("a participant id cannot be a file name")
    return name


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a text is needed")
    return value


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError("a list is needed")
    return value


def _count(value: object) -> int:
    if type(value) is not int or value < 0:
        raise TypeError("a count is needed")
    return value


def _json(document: object) -> bytes:
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"
