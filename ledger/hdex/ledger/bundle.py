"""The evidence file: one zip that an auditor can check with no network.

    manifest.json                          {"format", "exported", "chain", "logs"}
    logs/<node>/entries.jsonl              one canonical event a line, from index 0
    logs/<node>/checkpoints.json           signed and cosigned notes, oldest first
    logs/<node>/anchors.json               as read from the chain
    witnesses/<witness>/<node>.json        what a witness itself last cosigned, with the leaf hashes it kept

Format hdex-evidence/2 is written where the file holds less than everything, and says so in its manifest: "question" is
what was asked, "absent" who did not answer, and a log with "extract" holds only some entries, each with its index and
inclusion proof:

    logs/<node>/extract.json               {"head", "entries": [{"index", "proof"}], "links": [{"size", "proof"}]}
    logs/<node>/entries.jsonl              the entries in the order of "entries"
    logs/<node>/anchors.json               those that cover the entries

Ask the witnesses first and read the logs afterwards: a log shorter than what a witness cosigned is an offence.
"""

import json
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import cast

from hdex.ledger.document import load
from hdex.ledger.errors import EventInvalid, EvidenceUnreadable
from hdex.ledger.event import format_time, parse_time
from hdex.ledger.ports import Anchor
from hdex.ledger.trust import ChainFacts

FORMAT, FORMAT_2 = "hdex-evidence/1", "hdex-evidence/2"
MAX_MEMBER_BYTES = 4 << 30
_EPOCH = (1980, 1, 1, 0, 0, 0)
Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class LogEvidence:
    """One log, whole."""

    node: str
    origin: str
    entries: tuple[bytes, ...]
    checkpoints: tuple[str, ...] = ()
    anchors: tuple[Anchor, ...] = ()


@dataclass(frozen=True, slots=True)
class ProvenEntry:
    """One entry with its index and the audit path to the extract's head."""

    index: int
    entry: bytes
    proof: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Link:
    """The proof that the tree of `size` is a prefix of the extract's head."""

    size: int
    proof: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class LogExtract:
    """Some entries of one log under one signed and cosigned head."""

    node: str
    origin: str
    head: str
    entries: tuple[ProvenEntry, ...]
    links: tuple[Link, ...] = ()
    anchors: tuple[Anchor, ...] = ()


@dataclass(frozen=True, slots=True)
class WitnessEvidence:
    """What one witness says of one log: its last cosigned checkpoint and the leaf hashes it mirrored."""

    witness: str
    node: str
    checkpoint: str
    mirror: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Absence:
    """Something that nobody handed over: `part` is log, witness or chain, `why` a code."""

    participant: str
    part: str
    why: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything in one file."""

    exported: datetime
    chain: ChainFacts  # chain_id, contract, operator: as the exporter found them; empty when the chain was away
    logs: tuple[LogEvidence, ...]
    witnesses: tuple[WitnessEvidence, ...] = ()
    extracts: tuple[LogExtract, ...] = ()
    absent: tuple[Absence, ...] = ()
    question: Mapping[str, str] = field(default_factory=dict)  # of extracts: what was asked, by field

    @property
    def format(self) -> str:
        """The oldest format that holds this evidence."""
        return FORMAT_2 if self.extracts or self.absent or self.question else FORMAT


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
    yield "manifest.json", _json(_manifest(evidence))
    for log in evidence.logs:
        yield f"logs/{_safe(log.node)}/entries.jsonl", b"".join(_line(entry) for entry in log.entries)
        yield f"logs/{_safe(log.node)}/checkpoints.json", _json(list(log.checkpoints))
        yield f"logs/{_safe(log.node)}/anchors.json", _json([_anchor_document(anchor) for anchor in log.anchors])
    for extract in evidence.extracts:
        yield f"logs/{_safe(extract.node)}/entries.jsonl", b"".join(_line(one.entry) for one in extract.entries)
        yield f"logs/{_safe(extract.node)}/extract.json", _json(_extract_document(extract))
        yield f"logs/{_safe(extract.node)}/anchors.json", _json([_anchor_document(one) for one in extract.anchors])
    for found in evidence.witnesses:
        document = {"checkpoint": found.checkpoint, "mirror": _hexes(found.mirror)}
        yield f"witnesses/{_safe(found.witness)}/{_safe(found.node)}.json", _json(document)


def _manifest(evidence: Evidence) -> Json:
    logs: list[Json] = [{"node": log.node, "origin": log.origin} for log in evidence.logs]
    logs += [{"node": log.node, "origin": log.origin, "extract": True} for log in evidence.extracts]
    exported = format_time(evidence.exported)
    manifest: Json = {"format": evidence.format, "exported": exported, "chain": evidence.chain, "logs": logs}
    if evidence.format == FORMAT:
        return manifest
    absent = [{"participant": one.participant, "part": one.part, "why": one.why} for one in evidence.absent]
    return {**manifest, "question": dict(evidence.question), "absent": absent}


def _read(archive: zipfile.ZipFile) -> Evidence:
    _require_sound(archive)
    manifest = cast("Json", load(archive.read("manifest.json")))
    if manifest.get("format") not in {FORMAT, FORMAT_2}:
        raise EvidenceUnreadable(f"the evidence file is not of the format {FORMAT} or {FORMAT_2}")
    logs = cast("list[Json]", _list(manifest["logs"]))
    witnesses = [name for name in archive.namelist() if name.startswith("witnesses/") and name.endswith(".json")]
    absent = cast("list[Json]", _list(manifest.get("absent", [])))
    question = cast("Json", manifest.get("question", {}))
    return Evidence(
        parse_time(str(manifest["exported"])),
        dict(cast("ChainFacts", manifest["chain"])),
        tuple(_read_log(archive, _text(log["node"]), _text(log["origin"])) for log in logs if "extract" not in log),
        tuple(_read_witness(archive, name) for name in sorted(witnesses)),
        tuple(_read_extract(archive, _text(log["node"]), _text(log["origin"])) for log in logs if "extract" in log),
        tuple(Absence(_text(one["participant"]), _text(one["part"]), _text(one["why"])) for one in absent),
        {name: _text(value) for name, value in question.items()},
    )


def _require_sound(archive: zipfile.ZipFile) -> None:
    """Raise EvidenceUnreadable for parts too large, or two of one name: two readers could see two files."""
    if any(info.file_size > MAX_MEMBER_BYTES for info in archive.infolist()):
        raise EvidenceUnreadable(f"a part of the evidence file is larger than {MAX_MEMBER_BYTES} bytes")
    if len(set(archive.namelist())) != len(archive.namelist()):
        raise EvidenceUnreadable("the evidence file holds two parts of one name")


def _read_log(archive: zipfile.ZipFile, node: str, origin: str) -> LogEvidence:
    checkpoints = _list(load(archive.read(f"logs/{node}/checkpoints.json")))
    return LogEvidence(
        node, origin, _read_entries(archive, node), tuple(map(_text, checkpoints)), _read_anchors(archive, node)
    )


def _read_extract(archive: zipfile.ZipFile, node: str, origin: str) -> LogExtract:
    found = cast("Json", load(archive.read(f"logs/{node}/extract.json")))
    places = cast("list[Json]", _list(found["entries"]))
    links = cast("list[Json]", _list(found["links"]))
    entries = _read_entries(archive, node)
    if len(entries) != len(places):
        raise EvidenceUnreadable(f"an extract holds {len(entries)} entries and {len(places)} proofs")
    return LogExtract(
        node,
        origin,
        _text(found["head"]),
        tuple(
            ProvenEntry(_count(place["index"]), entry, _hashes(place["proof"]))
            for place, entry in zip(places, entries, strict=True)
        ),
        tuple(Link(_count(link["size"]), _hashes(link["proof"])) for link in links),
        _read_anchors(archive, node),
    )


def _read_entries(archive: zipfile.ZipFile, node: str) -> tuple[bytes, ...]:
    raw = archive.read(f"logs/{node}/entries.jsonl")
    if raw and not raw.endswith(b"\n"):
        raise EvidenceUnreadable("the last entry of a log is cut off")
    return tuple(raw[:-1].split(b"\n")) if raw else ()


def _read_anchors(archive: zipfile.ZipFile, node: str) -> tuple[Anchor, ...]:
    anchors = _list(load(archive.read(f"logs/{node}/anchors.json")))
    return tuple(_anchor(cast("Json", anchor)) for anchor in anchors)


def _read_witness(archive: zipfile.ZipFile, name: str) -> WitnessEvidence:
    _, witness, node = name.removesuffix(".json").split("/")
    found = cast("Json", load(archive.read(name)))
    return WitnessEvidence(witness, node, _text(found["checkpoint"]), _hashes(found["mirror"]))


def _extract_document(extract: LogExtract) -> Json:
    return {
        "head": extract.head,
        "entries": [{"index": one.index, "proof": _hexes(one.proof)} for one in extract.entries],
        "links": [{"size": link.size, "proof": _hexes(link.proof)} for link in extract.links],
    }


def _anchor_document(anchor: Anchor) -> Json:
    return {
        "size": anchor.size,
        "root": anchor.root.hex(),
        "note_hash": anchor.note_hash.hex(),
        "block": anchor.block,
        "time": format_time(anchor.time),
        "tx": anchor.tx.hex(),
    }


def _anchor(found: Json) -> Anchor:
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


def _hexes(values: Iterable[bytes]) -> list[str]:
    return [value.hex() for value in values]


def _hashes(value: object) -> tuple[bytes, ...]:
    return tuple(bytes.fromhex(_text(one)) for one in _list(value))


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
