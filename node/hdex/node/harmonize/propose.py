"""propose: an export -> a mapping, with evidence and confidence, for a steward to read and correct."""

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from hdex.node.harmonize.mapping import FieldMap, Mapping, TableMap
from hdex.node.harmonize.model import MODEL, Kind, fields_of
from hdex.node.harmonize.shapes import Profile, code_evidence, concept_share, fits, profile
from hdex.node.harmonize.values import conversions, translated
from hdex.node.harmonize.words import name_score, plain, tokens, words
from hdex.node.sources.errors import MappingIncomplete
from hdex.node.sources.export import Export

LEAST_FIELD = 0.5
LEAST_TABLE = 1.5
OVERLAP = 0.9


@dataclass(frozen=True, slots=True)
class Candidate:
    """One source table read as one model table."""

    table: TableMap
    score: float


def propose(export: Export, *, name: str = "export") -> Mapping:
    """Return the mapping that names, shapes and references of the export suggest.

    Raises MappingIncomplete when no table looks like the hospital's patients.
    """
    sources = [profile(table) for table in export.tables.values()]
    person = _person(sources)
    keys = _key_values(next(source for source in sources if source.name == person.source), person)
    chosen = [person]
    for source in sources:
        link = None if source.name == person.source else _link(source, keys)
        readings = [_read_as(source, model, link) for model in MODEL if model != "person"] if link else []
        if found := [reading for reading in readings if reading]:
            chosen.append(max(found, key=lambda reading: reading.score).table)
    unmapped = tuple(source for source in export.tables if source not in {table.source for table in chosen})
    return Mapping(name, 1, tuple(chosen), unmapped)


def _person(sources: list[Profile]) -> TableMap:
    """Return the table that says who the people are; its key is the column that the other tables refer to."""
    found = []
    for source in sources:
        have = {entry.field for entry in _assigned(source, "person", None)}
        if {"birth_date", "sex"} <= have:
            reading = _read_as(source, "person", _referred_key(source, sources))
            found.extend([reading] if reading else [])
    if not found:
        raise MappingIncomplete("no table looks like the hospital's patients: none has birth dates, sexes and a key")
    return max(found, key=lambda candidate: candidate.score).table


def _referred_key(person: Profile, sources: list[Profile]) -> FieldMap | None:
    """Return the unique column of person that most other tables refer to, None when none does."""
    best, most = "", 0
    for column in _unique_columns(person):
        values = person.table.frame[column].str.strip_chars()
        others = [source for source in sources if source.name != person.name]
        referring = sum(1 for source in others if _best_overlap(source, values)[1] >= OVERLAP)
        best, most = (column, referring) if referring > most else (best, most)
    if not most:
        return None
    return FieldMap("person_id", (best,), evidence=(f"{most} other tables refer to its values", "unique in every row"))


def _unique_columns(source: Profile) -> list[str]:
    frame = source.table.frame
    whole = [name for name in source.table.columns if frame[name].null_count() == 0]
    return [name for name in whole if frame[name].n_unique() == frame.height]


def _best_overlap(source: Profile, values: pl.Series) -> tuple[str, float]:
    """Return the column whose values most often are among `values`, and the share that is."""
    best, most, known = "", 0.0, values.implode()
    for column, sample in source.samples.items():
        share = sample.is_in(known).mean() if len(sample) else 0.0
        if isinstance(share, float) and share > most:
            best, most = column, share
    return best, most


def _key_values(source: Profile, table: TableMap) -> pl.Series:
    key = next(entry for entry in table.fields if entry.field == "person_id")
    return source.table.frame[key.columns[0]].str.strip_chars()


def _link(source: Profile, keys: pl.Series) -> FieldMap | None:
    """Return how a table refers to its patients, by the values; None when nothing does."""
    column, share = _best_overlap(source, keys)
    if share < OVERLAP:
        return None
    return FieldMap("person_id", (column,), evidence=(f"{share:.0%} of its values are patients' keys",))


def _read_as(source: Profile, model: str, link: FieldMap | None) -> Candidate | None:
    """Return the source read as a model table, None when a required field is missing or too little speaks for it."""
    fields = _assigned(source, model, link)
    have = {entry.field for entry in fields}
    if not _sufficient(model, have):
        return None
    named, evidence = _table_evidence(source, model)
    signature = words().signature.get(model, ())
    signed = sum(1 for name in signature if name in have) / len(signature) if signature else 0.0
    coded, code_note = code_evidence(source, model, fields)
    required = [entry.confidence for entry in fields if fields_of(model)[entry.field].required]
    score = 2 * named + signed + coded + sum(required) / len(required)
    if score < LEAST_TABLE or (not named and not coded and signed < 1):
        return None
    notes = [*evidence, *code_note, *([f"{signed:.0%} of its tell-tale fields"] if signed else [])]
    return Candidate(_table_map(source, model, fields, (round(min(1.0, score / 3), 2), tuple(notes))), score)


def _sufficient(model: str, have: set[str]) -> bool:
    """Return whether the required fields are there; a measurement also needs a number or words."""
    required = {field.name for field in MODEL[model] if field.required}
    return required <= have and (model != "measurement" or bool({"value", "value_text"} & have))


def _table_map(
    source: Profile, model: str, fields: Iterable[FieldMap], trust: tuple[float, tuple[str, ...]]
) -> TableMap:
    kept = tuple(translated(source.table, model, entry) for entry in fields)
    used = {column for entry in kept for column in entry.columns}
    return TableMap(
        model=model,
        source=source.name,
        fields=kept,
        unmapped=tuple(name for name in source.table.columns if name not in used),
        conversions=conversions(source.table, model, kept),
        confidence=trust[0],
        evidence=trust[1],
    )


def _table_evidence(source: Profile, model: str) -> tuple[float, list[str]]:
    known = words().tables
    if known.get(plain(source.name)) == model:
        return 1.0, ["the table's name stands in the dictionary"]
    parts = {model_of for part in tokens(source.name) if (model_of := known.get(part))}
    held = {model_of for word, model_of in known.items() if not word.isascii() and word in plain(source.name)}
    if model in parts | held:
        return 0.7, ["the table's name holds a word of the dictionary"]
    return 0.0, []


def _assigned(source: Profile, model: str, link: FieldMap | None) -> list[FieldMap]:
    """Return the best pairing of fields with columns: by confidence, each column and each field once."""
    found: list[FieldMap] = [link] if link else []
    taken = {column for entry in found for column in entry.columns}
    for confidence, field, column, notes in _pairs(source, model):
        shared = field == "record_number" and link is not None and column in link.columns  # the key is the number
        if (column in taken and not shared) or field in {entry.field for entry in found}:
            continue
        taken.add(column)
        found.append(_field_map(source, model, field, (column, round(confidence, 2), notes)))
    order = list(fields_of(model))
    return sorted(_coded(source, model, found), key=lambda entry: order.index(entry.field))


def _coded(source: Profile, model: str, fields: list[FieldMap]) -> list[FieldMap]:
    """Return the fields with a code: where codes are missing or the hospital's own, known names stand in."""
    code = next((entry for entry in fields if entry.field == "code"), None)
    name = next((entry for entry in fields if entry.field == "name"), None)
    if name is None or not any(field.name == "code" and field.required for field in MODEL[model]):
        return fields
    known = concept_share(source, name) if model == "measurement" else 0.0
    if code is not None and known <= max(concept_share(source, code), code_evidence(source, model, fields)[0]):
        return fields
    note = f"{known:.0%} of the names are known" if code else "no column of codes: the names stand in"
    stand_in = FieldMap("code", name.columns, confidence=round(0.8 * name.confidence, 2), evidence=(note,))
    return [*(entry for entry in fields if entry.field != "code"), stand_in]


def _pairs(source: Profile, model: str) -> list[tuple[float, str, str, tuple[str, ...]]]:
    pairs: list[tuple[float, str, str, tuple[str, ...]]] = []
    for field, known in words().fields[model].items():
        kind = fields_of(model)[field].kind
        for column, sample in source.samples.items():
            named, note = name_score(column, known)
            if named == 0.0 or sample.is_empty():
                continue
            shaped, shape_note = fits(source, column, kind, field)
            confidence = 0.7 * named + 0.3 * shaped
            if shaped > 0.0 and confidence >= LEAST_FIELD:
                pairs.append((confidence, field, column, tuple(filter(None, (note, shape_note)))))
    required = {field.name for field in MODEL[model] if field.required}
    return sorted(pairs, key=lambda pair: -(pair[0] + 0.02 * (pair[1] in required)))


def _field_map(source: Profile, model: str, field: str, found: tuple[str, float, tuple[str, ...]]) -> FieldMap:
    column, confidence, notes = found
    kind, dialect = fields_of(model)[field].kind, source.table.dialect
    pattern = dialect.date_pattern(column) if kind in (Kind.DATE, Kind.TIME) else None
    if column in dialect.ambiguous:
        confidence, notes = round(confidence / 2, 2), (*notes, "no value tells day from month: check the pattern")
    decimal = dialect.decimal if kind is Kind.NUMBER else "."
    return FieldMap(field, (column,), None, pattern, decimal, {}, confidence, notes)
