"""A JSON Lines file of notes in, the redacted one out: what `hdex deid redact` does."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import cast

import polars as pl

from hdex.deid.errors import ArgumentInvalid, InputInvalid
from hdex.deid.ports import Detector, Span
from hdex.deid.scheme import load_catalogue
from hdex.deid.text import Identity, Surrogates, Tags, redact_notes

Record = dict[str, object]


def redact_file(
    source: Path,
    *,
    out: Path,
    text: str,
    lang: str,
    detector: Detector,
    surrogate: Surrogates | Tags,
    record: Sequence[str] = (),
    with_spans: bool = False,
) -> dict[str, object]:
    """Write `source` with field `text` of every line redacted to `out`, and return counts.

    record: fields of the line that hold the patient's own values; they are known to the search and stay as they are.
    with_spans: add `spans` [{start, end, type, rule}], code points of the input text. A failed run leaves no file.
    """
    records = read_records(source, text)
    people = [identity(line, record, number) for number, line in enumerate(records)]
    notes = pl.Series(text, [None if line[text] is None else str(line[text]) for line in records], dtype=pl.String)
    done = redact_notes(notes, people, detector=detector, surrogate=surrogate, lang=lang)
    changed = [line | {text: value} for line, value in zip(records, done.texts, strict=True)]
    if with_spans:
        changed = [line | {"spans": spoken(spans)} for line, spans in zip(changed, done.spans, strict=True)]
    write_lines(changed, out)
    return {"rows": len(records), "spans": sum(len(spans) for spans in done.spans), "counts": dict(done.counts)}


def read_records(path: Path, text: str) -> list[Record]:
    """Every line as an object that has the field `text`; errors name the line, never its content."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise InputInvalid(f"{path.name} is not UTF-8 text") from error
    records = [parsed(line, f"{path.name} line {number}") for number, line in enumerate(lines, 1) if line.strip()]
    if not records:
        raise InputInvalid(f"{path.name} has 0 lines")
    lacking = sum(text not in line for line in records)
    if lacking:
        raise ArgumentInvalid(f"{lacking} of {len(records)} lines of {path.name} have no field {text}")
    return records


def parsed(line: str, where: str) -> Record:
    """One JSON object."""
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        raise InputInvalid(f"{where} is not JSON") from error
    if not isinstance(value, dict):
        raise InputInvalid(f"{where} is a {type(value).__name__}, asked is an object")
    return cast("Record", value)


def identity(line: Mapping[str, object], record: Sequence[str], number: int) -> Identity:
    """What the line's own fields say about its patient."""
    known = {name: value for name in record if isinstance(value := line.get(name), str | int | float)}
    understood = Identity.from_row(f"line {number}", known)
    catalogue = load_catalogue()
    return with_rest(understood, [str(v).strip() for name, v in known.items() if catalogue.match(name, "") is None])


def with_rest(person: Identity, values: Sequence[str]) -> Identity:
    """The identity with values of fields whose name says nothing: naming the field says that they are the patient's."""
    rest = [value for value in values if len(value) > 1]
    numbers = tuple(value for value in rest if any(char.isdigit() for char in value))
    words = tuple(value for value in rest if value not in numbers)
    return replace(person, ids=(*person.ids, *numbers), names=(*person.names, *words))


def spoken(spans: Iterable[Span]) -> list[Record]:
    """Spans as JSON values."""
    return [{"start": s.start, "end": s.end, "type": s.type, "rule": s.rule} for s in spans]


def write_lines(records: Iterable[Record], out: Path) -> None:
    """Write all or nothing."""
    if not out.parent.is_dir():
        raise ArgumentInvalid(f"folder {out.parent} is not there")
    with NamedTemporaryFile("w", dir=out.parent, prefix=f".{out.name}.", delete=False, encoding="utf-8") as file:
        part = Path(file.name)
        file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    os.replace(part, out)
