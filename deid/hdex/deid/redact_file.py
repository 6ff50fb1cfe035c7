"""Redact a file of notes: one JSON object per line in, the same objects with a redacted text out."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from hdex.deid.errors import InputInvalid, ResidueFound
from hdex.deid.ports import Detector, Span
from hdex.deid.text import Identity, RedactedNotes, Surrogates, Tags, redact_notes, residue_sweep


@dataclass(frozen=True, slots=True)
class RedactedFile:
    """What was done to a file."""

    notes: int
    counts: Mapping[str, int]  # spans by type
    residue: int  # always 0: otherwise nothing was written


def redact_jsonl(
    source: Path,
    out: Path,
    *,
    text: str,
    lang: str,
    detector: Detector,
    surrogate: Surrogates | Tags,
    record: Sequence[str] = (),
    with_spans: bool = False,
    shift_days: int = 0,
) -> RedactedFile:
    """Write `out` with the field `text` of every line redacted, or write nothing.

    record: fields that hold the patient's own values (names, numbers, dates): they are looked for in his text, and left
    out of the output. with_spans: adds `spans`, [{start, end, type, rule}] in code points of the input text.
    shift_days: dates move by this; 0 makes them tags. Raises InputInvalid naming the line, ResidueFound,
    DetectorTimeout.
    """
    lines = _read(source, text, record)
    identities = [_identity(number, line, record, shift_days) for number, line in enumerate(lines)]
    notes = pl.Series("text", [line[text] for line in lines], dtype=pl.String)
    done = redact_notes(notes, identities, detector=detector, surrogate=surrogate, lang=lang)
    if hits := residue_sweep(done.texts, identities):
        raise ResidueFound(hits, where=out.name)
    _write(out, lines, done, text=text, dropped=frozenset(record) - {text}, with_spans=with_spans)
    return RedactedFile(len(lines), done.counts, 0)


def _read(source: Path, text: str, record: Sequence[str]) -> list[dict[str, Any]]:
    try:
        content = source.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputInvalid(f"{source.name} cannot be read as UTF-8 text") from error
    lines = [
        _line(raw, f"{source.name}:{number}", text, record)
        for number, raw in enumerate(content.split("\n"), start=1)
        if raw.strip()
    ]
    if not lines:
        raise InputInvalid(f"{source.name} has 0 lines")
    return lines


def _line(raw: str, where: str, text: str, record: Sequence[str]) -> dict[str, Any]:
    """Return one checked line."""
    try:
        found = json.loads(raw)
    except json.JSONDecodeError as error:
        raise InputInvalid(f"{where}: no JSON at column {error.colno}") from error
    if not isinstance(found, dict):
        raise InputInvalid(f"{where}: asked is a JSON object, found {type(found).__name__}")
    missing = [name for name in (text, *record) if name not in found]
    if missing:
        raise InputInvalid(f"{where}: fields {missing} are missing")
    if not isinstance(found[text], str | None):
        raise InputInvalid(f"{where}: field {text} is {type(found[text]).__name__}, asked is text")
    return found


def _identity(number: int, line: Mapping[str, Any], record: Sequence[str], shift_days: int) -> Identity:
    """Return the identity the record fields tell; a patient is who has the same values in all of them."""
    cells: dict[str, object] = {}
    for name in record:
        value = line[name]
        for place, item in enumerate(value if isinstance(value, list) else [value]):
            cells[f"{name}_{place}" if place else name] = item
    patient = json.dumps(cells, sort_keys=True, default=str) if cells else f"line {number}"
    return Identity.from_row(patient, cells, shift_days=shift_days)


def _write(
    out: Path,
    lines: Sequence[dict[str, Any]],
    done: RedactedNotes,
    *,
    text: str,
    dropped: frozenset[str],
    with_spans: bool,
) -> None:
    """Write beside the target and rename: a run that fails leaves no file."""
    part = out.with_name(f".{out.name}.part")
    try:
        with part.open("w", encoding="utf-8", newline="\n") as sink:
            for line, new, spans in zip(lines, done.texts, done.spans, strict=True):
                kept: dict[str, Any] = {k: v for k, v in line.items() if k not in dropped} | {text: new}
                if with_spans:
                    kept["spans"] = [_span(span) for span in spans]
                sink.write(json.dumps(kept, ensure_ascii=False) + "\n")
            sink.flush()
            os.fsync(sink.fileno())
        part.replace(out)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise InputInvalid(f"{out.name} cannot be written") from error


def _span(span: Span) -> dict[str, Any]:
    return {"start": span.start, "end": span.end, "type": span.type, "rule": span.rule}
