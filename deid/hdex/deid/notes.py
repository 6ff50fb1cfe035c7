"""Notes inside the pipeline: redacted with what is known of each patient, then swept for residue."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from hdex.deid.errors import InputInvalid, ResidueFound

if TYPE_CHECKING:
    from hdex.deid.ports import Detector
    from hdex.deid.text import Identity


AUTO = "auto"
AGE = re.compile(
    r"(?<![\d.-])\d{1,2}(?=\s?周?岁|[ -]?(?i:years?|yrs?|y/?o)\b)"
    r"|(?<=\b[Aa]ged )\d{1,2}(?![\d+])|(?<=\b[Aa]ge )\d{1,2}(?![\d+])"
)


@dataclass(frozen=True, slots=True)
class NoteInput:
    """What reads notes: one identity per row of the table, a detector, the notes' language (auto, en, zh)."""

    identities: Sequence[Identity]
    detector: Detector
    lang: str = AUTO


@dataclass(frozen=True, slots=True)
class Notes:
    """Redacted columns and how many spans of each type were replaced."""

    texts: tuple[pl.Series, ...]
    counts: Mapping[str, int]


def redact(
    frame: pl.DataFrame, columns: Sequence[str], notes: NoteInput | None, *, key: bytes, shift: pl.Series
) -> Notes:
    """Redact `columns` of `frame`; dates in notes move by `shift` days of their row.

    Raises InputInvalid when notes are to leave and nobody could read them first.
    """
    if not columns:
        return Notes((), {})
    if notes is None or len(notes.identities) != frame.height:
        found = 0 if notes is None else len(notes.identities)
        raise InputInvalid(f"notes of {frame.height} rows need a detector and one identity each, found {found}")
    counts: Counter[str] = Counter()
    texts = []
    for name in columns:
        text, found_types = redact_column(frame[name], notes, key=key, shift=shift)
        texts.append(text.alias(name))
        counts.update(found_types)
    return Notes(tuple(texts), dict(counts))


def ages_in_decades(notes: Notes) -> Notes:
    """Notes that tell ages in decades: an exact age in a note would undo the classes of a generalised age column."""
    return Notes(tuple(text.map_elements(in_decades, return_dtype=pl.String) for text in notes.texts), notes.counts)


def in_decades(text: str) -> str:
    """One note with every age below 90 as its decade; ages from 90 on were capped when it was redacted."""
    return AGE.sub(lambda found: f"{found.group()[0]}0-{found.group()[0]}9" if len(found.group()) > 1 else "0-9", text)


def redact_column(
    column: pl.Series, notes: NoteInput, *, key: bytes, shift: pl.Series
) -> tuple[pl.Series, Mapping[str, int]]:
    """One column of notes through the room's text engine, each note by the rules of its own language."""
    from hdex.deid.text import Surrogates, redact_notes

    counts: Counter[str] = Counter()
    texts: list[str | None] = [None] * len(column)
    for lang, rows in languages(column, notes.lang).items():
        people = [notes.identities[row] for row in rows]
        done = redact_notes(
            column[rows], people, detector=notes.detector, surrogate=Surrogates(key), lang=lang, shift=shift[rows]
        )
        counts.update(done.counts)
        for row, text in zip(rows, done.texts, strict=True):
            texts[row] = text
    return pl.Series(column.name, texts, dtype=pl.String), dict(counts)


def languages(column: pl.Series, lang: str) -> dict[str, list[int]]:
    """Rows by the language whose rules read them. auto: Chinese where a note holds Han script, else English."""
    if lang != AUTO:
        return {lang: list(range(len(column)))}
    han = column.fill_null("").str.contains(r"\p{Han}").to_list()
    found = {"zh": [row for row, is_han in enumerate(han) if is_han], "en": [row for row, h in enumerate(han) if not h]}
    return {one: rows for one, rows in found.items() if rows}


def sweep(released: pl.DataFrame, notes: NoteInput | None) -> int:
    """Look for any value of any patient in every released text; 0 or ResidueFound."""
    texts = [released[name].alias("text") for name in released.columns if released[name].dtype == pl.String]
    if notes is None or not texts:
        return 0
    from hdex.deid.text import residue_sweep

    hits = residue_sweep(pl.concat(texts).unique(), list(notes.identities))
    if hits:
        raise ResidueFound(hits)
    return 0
