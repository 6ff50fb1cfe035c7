"""Free text: the patient's own identifiers and what a detector finds, replaced; then a sweep for what is left."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import polars as pl

from hdex.deid.errors import DetectorTimeout, InputInvalid
from hdex.deid.folding import View, compact, compact_key, flowing, fold
from hdex.deid.identity import MATCH_COMPACT, Identity, Variant
from hdex.deid.ports import Detector, Span
from hdex.deid.surrogates import Mention, Replacer, Surrogates, Tags

__all__ = ["Identity", "RedactedNotes", "Surrogates", "Tags", "redact_notes", "residue_sweep"]

_STOPS = frozenset("。；;!?！？")
_LETTER_DIGITS = str.maketrans("oilzsb", "011258")
_LETTER_AMONG_DIGITS = re.compile(r"\d[oilzsb]|[oilzsb]\d")
_LEAST_DIGITS = 6  # of a number in which a letter may stand for a digit
_SPREAD = 8  # a compact match may take this many separators more than its own length


@dataclass(frozen=True, slots=True)
class RedactedNotes:
    """Notes after redaction; spans are code points of the input texts."""

    texts: pl.Series
    spans: tuple[tuple[Span, ...], ...]
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Read:
    """A text in the views it is searched in."""

    text: str
    view: View
    dense: View

    @classmethod
    def of(cls, text: str) -> _Read:
        view = fold(text)
        return cls(text, view, compact(view))


@dataclass(frozen=True, slots=True)
class _Hit:
    """A span with what is known about it."""

    span: Span
    value: str | None = None
    form: str = ""


def redact_notes(
    notes: pl.Series,
    identities: Sequence[Identity],
    *,
    detector: Detector,
    surrogate: Surrogates | Tags,
    lang: str,
    shift: Sequence[int] | pl.Series | None = None,
) -> RedactedNotes:
    """Return the notes with every identifier replaced.

    identities: one per row, the patient the note is about. shift: days that dates of a row move; without it each
    identity's own `shift_days`. Values of the other patients are replaced too. Raises DetectorTimeout and InputInvalid;
    nothing is returned then.
    """
    if len(identities) != notes.len() or (shift is not None and len(shift) != notes.len()):
        raise InputInvalid(f"{notes.len()} notes have {len(identities)} identities, asked is one of each per row")
    values = _sweep_list(identities)
    replacer = replace(surrogate, avoid=_avoided(identities)) if isinstance(surrogate, Surrogates) else surrogate
    texts = notes.cast(pl.String).to_list()
    reads = [_Read.of(text or "") for text in texts]
    strangers = _find_values(reads, values)
    known: dict[int, list[Variant]] = {}  # by identity: a patient has many notes
    out: list[str | None] = []
    spans: list[tuple[Span, ...]] = []
    counts: Counter[str] = Counter()
    days = [identity.shift_days for identity in identities] if shift is None else [int(d) for d in shift]
    for row, (text, read, identity) in enumerate(zip(texts, reads, identities, strict=True)):
        if text is None:
            out.append(None)
            spans.append(())
            continue
        if id(identity) not in known:
            known[id(identity)] = identity.value_variants()
        variants = [*known[id(identity)], *identity.date_variants(read.view.text)]
        found = [*_detected(detector, text, lang, f"note {row + 1} of {len(texts)}"), *strangers[row]]
        merged = _merge([*_own(read, variants), *(_Hit(span) for span in found)])
        out.append(_rewrite(text, merged, replacer, identity.patient, days[row]))
        spans.append(tuple(hit.span for hit in merged))
        counts.update(hit.span.type for hit in merged)
    return RedactedNotes(pl.Series(notes.name, out, dtype=pl.String), tuple(spans), dict(sorted(counts.items())))


def _detected(detector: Detector, text: str, lang: str, where: str) -> list[Span]:
    try:
        return detector.find(text, lang)
    except DetectorTimeout as error:
        raise DetectorTimeout(f"{where}: {error}") from error


def residue_sweep(texts: pl.Series | Sequence[str | None], values: Iterable[str | Identity]) -> int:
    """Return how many (text, value) pairs still hold: 0 is the only answer that may be released.

    values: strings, or identities whose `sweep_values` are taken. Values that belong to many people (under
    two Han, six digits or five other characters) are not looked for. Folding and separators do not hide a value.
    """
    wanted = _sweep_list(values)
    return sum(len(spans) for spans in _find_values([_Read.of(text) for text in texts if text], wanted))


def _own(read: _Read, variants: Sequence[Variant]) -> list[_Hit]:
    """Find the spellings of the patient's values in his note."""
    running, dense, digits = flowing(read.view), read.dense, _digits(read.dense)
    hits = []
    for variant in variants:
        where = dense if variant.view == MATCH_COMPACT else running
        if variant.key in where.text:
            hits += _places(read.text, where, variant, variant.key)
        elif digits is not None and variant.view == MATCH_COMPACT and _is_number(variant.key):
            hits += _places(read.text, digits, variant, variant.key.translate(_LETTER_DIGITS))
    return hits


def _places(text: str, where: View, variant: Variant, key: str) -> list[_Hit]:
    """Find one spelling wherever it stands alone."""
    hits = []
    start = where.text.find(key) if key else -1
    while start >= 0:
        first, last = where.original(start, start + len(key))
        if _stands_alone(text, first, last, key) and (not variant.needs_capital or text[first].isupper()):
            hits.append(_Hit(Span(first, last, variant.type, variant.rule), variant.value, variant.form))
        start = where.text.find(key, start + 1)
    return hits


def _digits(dense: View) -> View | None:
    """Return the view with letters that look like digits read as digits; None where none stands among digits."""
    if not _LETTER_AMONG_DIGITS.search(dense.text):
        return None
    return View(dense.text.translate(_LETTER_DIGITS), dense.offsets, dense.tails)


def _is_number(key: str) -> bool:
    return sum(char.isdigit() for char in key) >= _LEAST_DIGITS


def _stands_alone(text: str, first: int, last: int, key: str) -> bool:
    """Say whether a match is no part of a longer word or number, and does not run over a sentence."""
    surface = text[first:last]
    if len(surface) > 2 * len(key) + _SPREAD or not _STOPS.isdisjoint(surface):
        return False
    before, after = text[first - 1 : first], text[last : last + 1]
    return not (_joins(before, key[0]) or _joins(key[-1], after))


def _joins(left: str, right: str) -> bool:
    """Say whether two neighbours belong to one word: both Latin letters or digits."""
    if not left or not right:
        return False
    return _is_latin(left) and _is_latin(right)


@cache
def _is_latin(char: str) -> bool:
    folded = fold(char).text
    return bool(folded) and folded.isalnum() and ord(folded) < 0x2E80


def _merge(hits: Sequence[_Hit]) -> list[_Hit]:
    """Join overlapping spans: the longest says what it is, the union is replaced, so no rest of a shorter one stays."""
    merged: list[_Hit] = []
    for hit in sorted(hits, key=lambda h: (h.span.start, -h.span.end, h.value is None)):
        if not merged or hit.span.start >= merged[-1].span.end:
            merged.append(hit)
            continue
        held = merged[-1]
        winner = hit if _weight(hit) > _weight(held) else held
        union = Span(held.span.start, max(held.span.end, hit.span.end), winner.span.type, winner.span.rule)
        merged[-1] = _Hit(union, winner.value, winner.form)
    return merged


def _weight(hit: _Hit) -> tuple[int, bool]:
    """Longest first; one that knows whose value it is counts double: his surrogates stay the same everywhere."""
    known = hit.value is not None
    return (hit.span.end - hit.span.start) * (1 + known), known


def _rewrite(text: str, hits: Sequence[_Hit], replacer: Replacer, patient: str, shift_days: int) -> str:
    """Return the text with each hit replaced."""
    pieces, at = [], 0
    for hit in hits:
        surface = text[hit.span.start : hit.span.end]
        form = hit.form or ("full" if len(surface.split()) > 1 or len(surface) > 1 else "family")
        mention = Mention(hit.span.type, surface, hit.value or surface, form, patient, shift_days)
        pieces += [text[at : hit.span.start], replacer.replace(mention)]
        at = hit.span.end
    return "".join([*pieces, text[at:]])


def _avoided(identities: Sequence[Identity]) -> frozenset[str]:
    """Return what no surrogate may equal: real names, whole and in parts, and real numbers."""
    distinct = {id(identity): identity for identity in identities}.values()
    words = (part for i in distinct for name in (*i.names, *i.kin) for part in (name, *name.split()))
    return frozenset(compact_key(text) for text in (*words, *(v for i in distinct for v in i.sweep_values())))


def _sweep_list(values: Iterable[str | Identity]) -> list[str]:
    """Return the distinct values worth a sweep, in their compact form."""
    seen: dict[int, None] = {}
    texts: list[str] = []
    for value in values:
        if isinstance(value, str):
            texts.append(value)
        elif id(value) not in seen:
            seen[id(value)] = None
            texts += value.sweep_values()
    return sorted({key for text in texts if _worth_sweeping(key := compact_key(text))})


def _worth_sweeping(key: str) -> bool:
    return len(key) >= (6 if key.isdigit() else 5 if key.isascii() else 2)


def _find_values(reads: Sequence[_Read], values: Sequence[str]) -> list[list[Span]]:
    """Return the spans of any of the compact `values` in each text: one pass of a multi-pattern search."""
    if not reads or not values:
        return [[] for _ in reads]
    texts = pl.Series([read.dense.text for read in reads])
    places = texts.str.find_many(list(values), overlapping=True).to_list()
    lengths = _Lengths(values)
    return [lengths.spans(read, found) if found else [] for read, found in zip(reads, places, strict=True)]


class _Lengths:
    """Turns byte offsets of a multi-pattern search back into spans; the search does not say which pattern it was."""

    def __init__(self, values: Sequence[str]) -> None:
        self._values = frozenset(values)
        self._sizes = sorted({len(v) for v in values})

    def spans(self, read: _Read, offsets: Sequence[int]) -> list[Span]:
        """Return the spans that stand alone in the text."""
        dense, encoded = read.dense, read.dense.text.encode()
        found = set()
        for offset in set(offsets):
            start = len(encoded[:offset].decode())
            for size in self._sizes:
                key = dense.text[start : start + size]
                if len(key) == size and key in self._values:
                    first, last = dense.original(start, start + size)
                    if _stands_alone(read.text, first, last, key):
                        kind = "ID" if any(c.isdigit() for c in key) else "NAME"
                        found.add(Span(first, last, kind, "patient_of_node"))
        return sorted(found)
