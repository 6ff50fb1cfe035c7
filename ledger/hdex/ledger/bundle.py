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

Where the file holds more than one year of a participant's log, each stands in a folder logs/<node>/<year>, which the
manifest names ("folder"), and what witnesses said of it in witnesses/<witness>/<node>/<year>.json.

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
from hdex.ledger.errors import EventInvalid, EvidenceUnreadable, NoteInvalid
from hdex.ledger.event import format_time, parse_time
from hdex.ledger.note import parse_checkpoint
from hdex.ledger.ports import Anchor
from hdex.ledger.shard import parse_origin
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
        is_whole = not (self.extracts or self.absent or self.question)
        return FORMAT if is_whole and not self.nodes_of_years else FORMAT_2

    @property
    def nodes_of_years(self) -> frozenset[str]:
        """Who is in the file with more than one year."""
        nodes = [log.node for log in self.logs] + [part.node for part in self.extracts]
        return frozenset(node for node in nodes if nodes.count(node) > 1)

    @property
    def origins(self) -> list[str]:
        """The origins of all logs in the file."""
        return [log.origin for log in self.logs] + [part.origin for part in self.extracts]

    def folder_of(self, node: str, origin: str) -> str:
        """Return where a log stands below logs/ and witnesses/<witness>/."""
        return f"{_safe(node)}/{parse_origin(origin)[1]}" if node in self.nodes_of_years else _safe(node)


def is_about(told: WitnessEvidence, node: str, origin: str) -> bool:
    """Return whether a witness speaks of this log; what cannot be read is kept, for the verifier to refuse."""
    return told.node == node and origin_in(told.checkpoint) in {origin, ""}


def origin_in(note: str) -> str:
    """Return the origin a checkpoint names, nothing where it cannot be read."""
    try:
        return parse_checkpoint(note).origin
    except NoteInvalid:
        return ""


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
    except FileNotFoundError as error:
        raise EvidenceUnreadable(f"there is no evidence file {path}") from error
    except (
        OSError,
        zipfile.BadZipFile,
        zlib.error,
        RuntimeError,
        EOFError,
    ) as error:  # encrypted or packed oddly
        raise EvidenceUnreadable("the evidence file cannot be opened as a zip") from error
    except (KeyError, TypeError, ValueError, AttributeError, EventInvalid) as error:
        raise EvidenceUnreadable("the evidence file lacks a part, or one is malformed") from error


def _members(evidence: Evidence) -> Iterable[tuple[str, bytes]]:
    yield "manifest.json", _json(_manifest(evidence))
    for log in evidence.logs:
        folder = f"logs/{evidence.folder_of(log.node, log.origin)}"
        yield f"{folder}/entries.jsonl", b"".join(_line(entry) for entry in log.entries)
        yield f"{folder}/checkpoints.json", _json(list(log.checkpoints))
        yield f"{folder}/anchors.json", _json([_anchor_document(anchor) for anchor in log.anchors])
    for extract in evidence.extracts:
        folder = f"logs/{evidence.folder_of(extract.node, extract.origin)}"
        yield f"{folder}/entries.jsonl", b"".join(_line(one.entry) for one in extract.entries)
        yield f"{folder}/extract.json", _json(_extract_document(extract))
        yield f"{folder}/anchors.json", _json([_anchor_document(one) for one in extract.anchors])
    for found in evidence.witnesses:
        document = {"checkpoint": found.checkpoint, "mirror": _hexes(found.mirror)}
        yield f"witnesses/{_safe(found.witness)}/{_told_of(evidence, found)}.json", _json(document)


def _told_of(evidence: Evidence, found: WitnessEvidence) -> str:
    try:
        return evidence.folder_of(found.node, origin_in(found.checkpoint))
    except NoteInvalid:  # the witness named no year of any log: the verifier tells
        return _safe(found.node)


def _manifest(evidence: Evidence) -> Json:
    logs = [_log_document(evidence, log.node, log.origin) for log in evidence.logs]
    logs += [{**_log_document(evidence, log.node, log.origin), "extract": True} for log in evidence.extracts]
    exported = format_time(evidence.exported)
    manifest: Json = {"format": evidence.format, "exported": exported, "chain": evidence.chain, "logs": logs}
    if evidence.format == FORMAT:
        return manifest
    absent = [{"participant": one.participant, "part": one.part, "why": one.why} for one in evidence.absent]
    return {**manifest, "question": dict(evidence.question), "absent": absent}


def _log_document(evidence: Evidence, node: str, origin: str) -> Json:
    folder = evidence.folder_of(node, origin)
    named: Json = {"node": node, "origin": origin}
    return named if folder == node else {**named, "folder": folder}


@dataclass(frozen=True, slots=True)
class _Place:
    """One log as the manifest names it."""

    node: str
    origin: str
    folder: str  # within the archive
    is_extract: bool


def _place(log: Json) -> _Place:
    node, origin = _text(log["node"]), _text(log["origin"])
    folder = _text(log.get("folder", node))
    if folder not in {node, f"{node}/{origin.rpartition('/')[2]}"}:
        raise EvidenceUnreadable("a log of the evidence file stands in a folder that is not its own")
    return _Place(node, origin, f"logs/{folder}", "extract" in log)


def _read(archive: zipfile.ZipFile) -> Evidence:
    _require_sound(archive)
    manifest = cast("Json", load(archive.read("manifest.json")))
    if manifest.get("format") not in {FORMAT, FORMAT_2}:
        raise EvidenceUnreadable(f"the evidence file is not of the format {FORMAT} or {FORMAT_2}")
    places = [_place(cast("Json", log)) for log in _list(manifest["logs"])]
    witnesses = [name for name in archive.namelist() if name.startswith("witnesses/") and name.endswith(".json")]
    absent = cast("list[Json]", _list(manifest.get("absent", [])))
    question = cast("Json", manifest.get("question", {}))
    return Evidence(
        parse_time(str(manifest["exported"])),
        dict(cast("ChainFacts", manifest["chain"])),
        tuple(_read_log(archive, place) for place in places if not place.is_extract),
        tuple(_read_witness(archive, name) for name in sorted(witnesses)),
        tuple(_read_extract(archive, place) for place in places if place.is_extract),
        tuple(Absence(_text(one["participant"]), _text(one["part"]), _text(one["why"])) for one in absent),
        {name: _text(value) for name, value in question.items()},
    )


def _require_sound(archive: zipfile.ZipFile) -> None:
    """Raise EvidenceUnreadable for parts too large, or two of one name: two readers could see two files."""
    if any(info.file_size > MAX_MEMBER_BYTES for info in archive.infolist()):
        raise EvidenceUnreadable(f"a part of the evidence file is larger than {MAX_MEMBER_BYTES} bytes")
    if len(set(archive.namelist())) != len(archive.namelist()):
        raise EvidenceUnreadable("the evidence file holds two parts of one name")


def _read_log(archive: zipfile.ZipFile, place: _Place) -> LogEvidence:
    notes = tuple(map(_text, _list(load(archive.read(f"{place.folder}/checkpoints.json")))))
    entries, anchors = _read_entries(archive, place.folder), _read_anchors(archive, place.folder)
    return LogEvidence(place.node, place.origin, entries, notes, anchors)


def _read_extract(archive: zipfile.ZipFile, place: _Place) -> LogExtract:
    found = cast("Json", load(archive.read(f"{place.folder}/extract.json")))
    places = cast("list[Json]", _list(found["entries"]))
    links = cast("list[Json]", _list(found["links"]))
    entries = _read_entries(archive, place.folder)
    if len(entries) != len(places):
        raise EvidenceUnreadable(f"an extract holds {len(entries)} entries and {len(places)} proofs")
    return LogExtract(
        place.node,
        place.origin,
        _text(found["head"]),
        tuple(
            ProvenEntry(_count(place["index"]), entry, _hashes(place["proof"]))
            for place, entry in zip(places, entries, strict=True)
        ),
        tuple(Link(_count(link["size"]), _hashes(link["proof"])) for link in links),
        _read_anchors(archive, place.folder),
    )


def _read_entries(archive: zipfile.ZipFile, folder: str) -> tuple[bytes, ...]:
    raw = archive.read(f"{folder}/entries.jsonl")
    if raw and not raw.endswith(b"\n"):
        raise EvidenceUnreadable("the last entry of a log is cut off")
    return tuple(raw[:-1].split(b"\n")) if raw else ()


def _read_anchors(archive: zipfile.ZipFile, folder: str) -> tuple[Anchor, ...]:
    anchors = _list(load(archive.read(f"{folder}/anchors.json")))
    return tuple(_anchor(cast("Json", anchor)) for anchor in anchors)


def _read_witness(archive: zipfile.ZipFile, name: str) -> WitnessEvidence:
    _, witness, node, *year = name.removesuffix(".json").split("/")
    if len(year) > 1:
        raise ValueError("a witness's file stands too deep")
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
