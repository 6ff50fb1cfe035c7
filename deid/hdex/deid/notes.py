"""Notes inside the pipeline: redacted with what is known of each patient, then swept for residue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from hdex.deid.errors import InputInvalid, ResidueFound

if TYPE_CHECKING:
    from hdex.deid.ports import Detector
    from hdex.deid.text import Identity


@dataclass(frozen=True, slots=True)
class NoteInput:
    """What reads notes: one identity per row of the table, a detector, the notes' language (en, zh)."""

    identities: Sequence[Identity]
    detector: Detector
    lang: str = "en"


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


def redact_column(
    column: pl.Series, notes: NoteInput, *, key: bytes, shift: pl.Series
) -> tuple[pl.Series, Mapping[str, int]]:
    """One column of notes through the room's text engine."""
    from hdex.deid.text import Surrogates, redact_notes

    surrogate = Surrogates(key)
    people = list(notes.identities)
    done = redact_notes(column, people, detector=notes.detector, surrogate=surrogate, lang=notes.lang, shift=shift)
    return done.texts, done.counts


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
