"""A JSON Lines file of notes in, the redacted one out: what `hdex deid redact` does."""

from __future__ import annotations

import hmac
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TypedDict, cast

import polars as pl

from hdex.deid.errors import ArgumentInvalid, InputInvalid
from hdex.deid.nested import require_shallow
from hdex.deid.ports import Detector, Span
from hdex.deid.pseudonym import shift_days
from hdex.deid.scheme import load_catalogue
from hdex.deid.text import Identity, Surrogates, Tags, redact_notes

Record = dict[str, object]
MAX_SHIFT_DAYS = 365


class Answer(TypedDict):
    """What was read and replaced."""

    rows: int
    spans: int
    counts: dict[str, int]
    record_fields_missing: dict[str, int]  # field of the record -> lines that do not have it


def redact_file(
    source: Path,
    *,
    out: Path,
    text: str,
    lang: str,
    detector: Detector,
    surrogate: Surrogates | Tags,
    record: Sequence[str] = (),
    drop_record: bool = False,
    with_spans: bool = False,
) -> Answer:
    """Write `source` with field `text` of every line redacted to `out`, and return counts.

    record: fields of the line that hold the patient's own values; they are known to the search. Like all fields but
    `text` they stay as they are, unless drop_record leaves them out.
    with_spans: add `spans` [{start, end, type, rule}], code points of the input text. A failed run leaves no file.
    """
    records = read_records(source, text)
    missing = missing_fields(records, record, source.name)
    people = [identity(line, record, number) for number, line in enumerate(records)]
    if isinstance(surrogate, Surrogates):
        days = shift_days(pl.Series([person.patient for person in people]), sub_key(surrogate.key), MAX_SHIFT_DAYS)
        people = [replace(person, shift_days=day) for person, day in zip(people, days, strict=True)]
    notes = pl.Series(text, [line[text] for line in records], dtype=pl.String)
    done = redact_notes(notes, people, detector=detector, surrogate=surrogate, lang=lang)
    changed = [line | {text: value} for line, value in zip(records, done.texts, strict=True)]
    if drop_record:
        changed = [
            {name: value for name, value in line.items() if name == text or name not in record} for line in changed
        ]
    if with_spans:
        changed = [line | {"spans": spoken(spans)} for line, spans in zip(changed, done.spans, strict=True)]
    write_lines(changed, out)
    return {
        "rows": len(records),
        "spans": sum(len(spans) for spans in done.spans),
        "counts": dict(done.counts),
        "record_fields_missing": missing,
    }


def sub_key(key: bytes) -> bytes:
    """The key of the dates: not the one that names are drawn with."""
    return hmac.digest(key, b"hdex redact: date shift", "sha256")


def read_records(path: Path, text: str) -> list[Record]:
    """Every line as an object that has the field `text`, a text or null; errors name the line, never its content."""
    raw = path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    records = [parsed(line, text, f"{path.name} line {number}") for number, line in enumerate(raw, 1) if line.strip()]
    if not records:
        raise InputInvalid(f"{path.name} has 0 lines")
    lacking = sum(text not in line for line in records)
    if lacking:
        raise ArgumentInvalid(f"{lacking} of {len(records)} lines of {path.name} have no field {text}")
    return records


def missing_fields(records: Sequence[Record], fields: Sequence[str], where: str) -> dict[str, int]:
    """In how many lines each field of the record is missing or empty. A field that no line has is a wrong argument."""
    absent = sorted(name for name in fields if not any(name in line for line in records))
    if absent:
        raise ArgumentInvalid(f"fields {absent} of the record stand in 0 of {len(records)} lines of {where}")
    counts = {name: sum(line.get(name) in (None, "") for line in records) for name in fields}
    return {name: count for name, count in counts.items() if count}


def parsed(raw: bytes, text: str, where: str) -> Record:
    """One JSON object whose field `text`, where it is there, is a text or null."""
    try:
        value = json.loads(require_shallow(raw.decode("utf-8")))
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # half a surrogate pair could not be written again
    except UnicodeError as error:
        raise InputInvalid(f"{where} is not UTF-8 text") from error
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputInvalid(f"{where} is not JSON") from error
    if not isinstance(value, dict):
        raise InputInvalid(f"{where} is a {type(value).__name__}, asked is an object")
    if not isinstance(value.get(text), str | None):
        raise InputInvalid(f"{where}: field {text} is a {type(value[text]).__name__}, asked is a text or null")
    return cast("Record", value)


def identity(line: Mapping[str, object], record: Sequence[str], number: int) -> Identity:
    """What the line's own fields say about its patient: lines with one record are of one patient."""
    known = {name: value for name in record if isinstance(value := line.get(name), str | int | float)}
    patient = "\x1f".join(str(value).strip() for value in known.values() if str(value).strip())
    understood = Identity.from_row(patient or f"line {number}", known)
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
        try:
            file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
        except BaseException:
            part.unlink()
            raise
    os.replace(part, out)
