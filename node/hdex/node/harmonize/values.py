"""Proposed translations: closed fields to the model's words, names of measured things to LOINC, units to UCUM."""

from dataclasses import replace

import polars as pl

from hdex.node.harmonize.mapping import Conversion, FieldMap
from hdex.node.harmonize.model import ENUMS, Kind, fields_of
from hdex.node.harmonize.words import words
from hdex.node.sources.export import Table

MANY_VALUES = 2_000


def translated(source: Table, model: str, entry: FieldMap) -> FieldMap:
    """Return the field with the translations its values need."""
    if fields_of(model)[entry.field].kind is Kind.ENUM:
        return _closed(source, entry)
    if model == "consent" and entry.field in ("purpose", "recipient_class"):
        return _known(source, entry, words().values[entry.field])
    if model == "measurement" and entry.field == "code":
        return _known(source, entry, words().values["concept"])
    if model == "measurement" and entry.field == "unit":
        return _known(source, entry, words().units)
    return entry


def _distinct(source: Table, entry: FieldMap) -> list[str]:
    values = source.frame[entry.columns[0]].drop_nulls().str.strip_chars().unique().sort()
    return [value for value in values.head(MANY_VALUES) if value]


def _closed(source: Table, entry: FieldMap) -> FieldMap:
    """Return every word translated; one that is not in the dictionary becomes `unknown`, shown and less trusted."""
    known, model_words = words().values[entry.field], ENUMS[entry.field]
    found = _distinct(source, entry)
    values = {word: known[word.lower()] for word in found if word.lower() in known}
    foreign = [word for word in found if word.lower() not in known and word not in model_words]
    if not foreign or "unknown" not in model_words:
        return replace(entry, values={word: to for word, to in values.items() if word != to})
    values |= dict.fromkeys(foreign, "unknown")
    note = f"{len(foreign)} words are in no dictionary and were set to unknown: check them"
    return replace(entry, values=values, confidence=round(entry.confidence / 2, 2), evidence=(*entry.evidence, note))


def _known(source: Table, entry: FieldMap, known: dict[str, str]) -> FieldMap:
    """Return the words that have a translation; the others pass as they are, and are counted."""
    found = _distinct(source, entry)
    values = {word: known[word.lower()] for word in found if word.lower() in known and known[word.lower()] != word}
    kept = len(found) - len(values)
    note = f"{len(values)} of {len(found)} distinct values translated, {kept} kept as they are"
    return replace(entry, values=values, evidence=(*entry.evidence, note)) if values else entry


def conversions(source: Table, model: str, fields: tuple[FieldMap, ...]) -> tuple[Conversion, ...]:
    """Return the conversions of units that the measurements of this table need."""
    mapped = {entry.field: entry for entry in fields}
    if model != "measurement" or "unit" not in mapped or "code" not in mapped:
        return ()
    code, unit = mapped["code"], mapped["unit"]
    columns = [
        pl.col(entry.columns[0]).str.strip_chars().replace(entry.values).alias(entry.field) for entry in (code, unit)
    ]
    pairs = set(source.frame.select(columns).unique().rows())
    return tuple(one for one in words().conversions if (one.code, one.unit) in pairs)
