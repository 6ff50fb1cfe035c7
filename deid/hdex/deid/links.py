"""How the tables of an export hang together: which column names the patient, which the encounter, which refers where.

Found from values: a key has one value per row, a reference is included in a key of another table, and what belongs to a
person (sex, date of birth) does not change within the person's rows. Names of columns only break ties.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import polars as pl

from hdex.deid.classify import Judged
from hdex.deid.columns import Role
from hdex.deid.shapes import Shape, as_text

INCLUDED = 0.9  # share of a reference's values that the key holds: some rows always dangle
LEAST = 5  # distinct values a key needs before inclusion means something
MOST_KEYS, MOST_REFERENCES = 200, 600  # of an export with thousands of columns only so many are compared


def _split(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_PERSON = {  # how much a column of this element says that the rows are people
    "resident_id": 4,
    "ssn": 4,
    "person_name": 3,
    "family_name": 3,
    "given_name": 3,
    "birth_date": 3,
    "record_number": 2,
    "birth_year": 2,
    "marital": 2,
    "sex": 2,
} | dict.fromkeys(
    _split("age phone race ethnicity street_address death_date postcode occupation education insurance_number"), 1
)
_STABLE = ("sex", "birth_date", "race", "ethnicity", "birth_year", "person_name", "family_name", "resident_id")
_KEYS = _split(  # elements that a column named so may have and still refer to a key
    """patient_key patient_row_id record_number encounter_key row_key staff_id staff_id_own hospital payer
    organisation_id coded_item count staff_name_ref insurance_number"""
)
_PATIENT_NAMES = ("patient_row_id", "patient_key", "record_number", "resident_id")


class TableKind(StrEnum):
    """What one row of a table is."""

    PATIENTS = "patients"
    ENCOUNTERS = "encounters"
    EVENTS = "events"  # rows of patients
    STAFF = "staff"
    ORGANISATIONS = "organisations"
    DICTIONARY = "dictionary"  # codes and what they mean
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Reference:
    """A column whose values are keys of another table."""

    table: str
    column: str
    to_table: str
    to_column: str
    included: float  # share of its distinct values that are there


@dataclass(frozen=True, slots=True)
class Links:
    """The structure of an export. patient and encounter: table -> the column that names them."""

    patient: Mapping[str, str]
    encounter: Mapping[str, str]
    kinds: Mapping[str, TableKind]
    references: tuple[Reference, ...] = field(default=(), repr=False)

    def of(self, table: str, column: str) -> Reference | None:
        """Return where a column refers to, None when nowhere."""
        return next((r for r in self.references if (r.table, r.column) == (table, column)), None)


Tables = Mapping[str, pl.DataFrame]
Found = Mapping[str, Sequence[Judged]]


def find_links(tables: Tables, judged: Found) -> Links:
    """Return the links of an export's tables. judged: the columns of every table, in their order."""
    references = tuple(_references(tables, judged))
    home = _home(judged, references)
    patient = _patient_columns(judged, references, home) if home else _shared_patient(tables, judged)
    encounter = _encounter_columns(judged, references, patient)
    outward = {(r.table, r.column) for r in references}
    visits = {table for table, column in encounter.items() if (table, column) not in outward}
    kinds = {name: _kind(name, judged, patient, visits=visits, home=home) for name in tables}
    return Links(patient, encounter, kinds, references)


def keyish(shape: Shape) -> bool:
    """Say whether the values of a column are written as keys are: tokens or whole numbers, no dates, no decimals."""
    if not shape.filled or shape.share("date", "year") >= 0.5 or shape.share("payer", "unit", "system") >= 0.5:
        return False
    if shape.numeric and (shape.filled < LEAST or shape.distinct < 2):
        return False
    whole = shape.share("integer") >= 0.99 and shape.decimals == 0
    return whole or shape.kinds.get("uuid", 0) >= 0.8 or (shape.share("token") >= 0.95 and not shape.numeric)


def unique(shape: Shape) -> bool:
    """Say whether every row has its own value."""
    return shape.filled == shape.rows == shape.distinct >= LEAST


def _references(tables: Tables, judged: Found) -> Iterator[Reference]:
    """Yield for every column the key it is best included in."""
    keys = [(t, j) for t, found in judged.items() for j in found if unique(j.shape) and keyish(j.shape)][:MOST_KEYS]
    values: dict[tuple[str, str], pl.Series] = {}

    def distinct(table: str, column: str) -> pl.Series:
        if (table, column) not in values:
            values[table, column] = as_text(tables[table][column]).unique()
        return values[table, column]

    asked = [(t, j) for t, found in judged.items() for j in found if _may_refer(j)][:MOST_REFERENCES]
    for table, one in asked:
        best: Reference | None = None
        for to_table, key in keys:
            if (
                to_table == table
                or key.shape.distinct < one.shape.distinct * INCLUDED
                or not _alike(one.shape, key.shape)
            ):
                continue
            share = _included(distinct(table, one.profile.name), distinct(to_table, key.profile.name))
            if share >= INCLUDED and (best is None or share > best.included):
                best = Reference(table, one.profile.name, to_table, key.profile.name, share)
        if best:
            yield best


def _may_refer(one: Judged) -> bool:
    return keyish(one.shape) and (not one.named or one.element in _KEYS)


def _alike(reference: Shape, key: Shape) -> bool:
    """Say whether two columns could hold the same keys; small whole numbers are in every counter, so more is asked."""
    if (reference.share("integer") >= 0.99) is not (key.share("integer") >= 0.99):
        return False
    dense = key.share("integer") >= 0.99 and (key.high or 0) <= 10 * key.distinct
    if not dense:
        return True
    return reference.distinct >= max(LEAST, 0.3 * key.distinct) and (reference.high or 0) >= 0.5 * (key.high or 0)


def _included(values: pl.Series, key: pl.Series) -> float:
    return float(values.is_in(key.implode()).mean() or 0.0)  # type: ignore[arg-type]  # the mean of booleans is a float


def _home(judged: Found, references: Sequence[Reference]) -> Reference | None:
    """Return the table of patients, as a reference to itself: the key of it that other tables name most."""
    scores = {table: _about_people(found) for table, found in judged.items()}
    best: tuple[float, Reference] | None = None
    for table, found in judged.items():
        if scores[table] < 5 or any(r.table == table and scores[r.to_table] >= 5 for r in references):
            continue
        for one in found:
            if not (unique(one.shape) and keyish(one.shape)):
                continue
            naming = len({r.table for r in references if (r.to_table, r.to_column) == (table, one.profile.name)})
            by_name = 2 * (one.element in _PATIENT_NAMES[:2])
            score = scores[table] + 2 * naming + by_name
            if (naming or by_name) and (best is None or score > best[0]):
                best = score, Reference(table, one.profile.name, table, one.profile.name, 1.0)
    return best[1] if best else None


def _about_people(found: Sequence[Judged]) -> int:
    elements = {one.element for one in found}
    spans = [one.shape.years or 0 for one in found if one.shape.share("date_only") >= 0.95]
    lives = 2 if max(spans, default=0) >= 30 and "birth_date" not in elements else 0  # days that span lives
    return lives + sum(_PERSON.get(element, 0) for element in elements)


def _patient_columns(judged: Found, references: Sequence[Reference], home: Reference) -> dict[str, str]:
    """Return the column of each table that names patients of the table of patients."""
    columns = {home.table: home.column}
    for table, found in judged.items():
        if table == home.table:
            continue
        to_home = [r.column for r in references if r.table == table and r.to_table == home.table]
        elements = {one.profile.name: one.element for one in found}
        spread = {one.profile.name: one.shape.distinct for one in found}
        to_home.sort(key=lambda column: (elements[column] not in _PATIENT_NAMES, -spread[column]))
        named = [one.profile.name for one in found if one.named and one.element in _PATIENT_NAMES]
        if to_home or named:
            columns[table] = (to_home or named)[0]
    return columns


def _shared_patient(tables: Tables, judged: Found) -> dict[str, str]:
    """Return the patient columns where no table has one row per patient: by name, or by stable traits."""
    columns = {table: key for table, found in judged.items() if (key := _own_patient(tables[table], found))}
    known = {table: as_text(tables[table][column]).unique() for table, column in columns.items()}
    for table, found in judged.items():
        if table in columns:
            continue
        for one in found:
            if _may_refer(one) and any(
                _included(as_text(tables[table][one.profile.name]).unique(), values) >= INCLUDED
                for values in known.values()
                if values.len() >= LEAST and one.shape.distinct >= max(LEAST, values.len() // 20)
            ):
                columns[table] = one.profile.name
                break
    return columns


def _own_patient(frame: pl.DataFrame, found: Sequence[Judged]) -> str | None:
    named = {one.element: one.profile.name for one in found if one.named and one.shape.distinct >= 2}
    for element in ("patient_key", "patient_row_id", "record_number", "resident_id"):
        if element in named:
            return named[element]
    stable = [one.profile.name for one in found if one.element in _STABLE and one.shape.distinct >= 2]
    repeating = [one for one in found if keyish(one.shape) and one.shape.distinct >= 20 and one.shape.uniqueness < 0.99]
    repeating.sort(key=lambda one: -one.shape.distinct)
    return next(
        (one.profile.name for one in repeating if any(is_stable(frame, one.profile.name, s) for s in stable)), None
    )


def is_stable(frame: pl.DataFrame, key: str, attribute: str, *, least_groups: int = 10) -> bool:
    """Say whether `attribute` keeps one value within the rows of each `key`, beyond what chance would do."""
    if key == attribute:
        return False
    filled = frame.select(key, attribute).drop_nulls()
    groups = (
        filled.group_by(key)
        .agg(pl.len().alias("n"), pl.col(attribute).n_unique().alias("values"))
        .filter(pl.col("n") > 1)
    )
    if groups.height < least_groups:
        return False
    if max(filled[attribute].value_counts()["count"].to_list()) > 0.95 * filled.height:
        return False
    return float((groups["values"] == 1).mean() or 0) >= 0.97  # type: ignore[arg-type]  # the mean of booleans is a float


def _encounter_columns(judged: Found, references: Sequence[Reference], patient: Mapping[str, str]) -> dict[str, str]:
    """Return the column of each table that names encounters: rows of a patient that rows of patients refer to."""
    naming: dict[tuple[str, str], set[str]] = {}
    for r in references:
        if r.table in patient and r.to_table in patient and patient[r.to_table] != r.to_column:
            naming.setdefault((r.to_table, r.to_column), set()).add(r.table)
    columns = {
        t: one.profile.name
        for t, found in judged.items()
        for one in found
        if one.named and one.element == "encounter_key"
    }
    if not naming:
        return columns
    home = max(naming, key=lambda key: (len(naming[key]), key))
    columns = {r.table: r.column for r in references if (r.to_table, r.to_column) == home} | columns
    return columns | {home[0]: home[1]}


def _kind(
    table: str, judged: Found, patient: Mapping[str, str], *, visits: set[str], home: Reference | None
) -> TableKind:
    found = judged[table]
    if home and table == home.table:
        return TableKind.PATIENTS
    if table in patient:
        return TableKind.ENCOUNTERS if table in visits else TableKind.EVENTS
    elements = {one.element for one in found}
    if len(judged) == 1 or elements & {
        "birth_date",
        "resident_id",
        "ssn",
        "age",
        "birth_year",
        "marital",
        "race",
        "note",
    }:
        return TableKind.UNKNOWN
    if any(_names_organisations(one) for one in found) or any(e.startswith("organisation_") for e in elements):
        return TableKind.ORGANISATIONS
    if elements & {"person_name", "family_name", "staff_name", "staff_id_own"}:
        return TableKind.STAFF
    texts = [one for one in found if not keyish(one.shape) and not one.shape.numeric and one.shape.share("date") < 0.5]
    plain = all(one.profile.role not in (Role.DIRECT, Role.QUASI) or keyish(one.shape) for one in found)
    coded = plain and any(unique(one.shape) for one in found) and texts and len(found) <= 8
    return TableKind.DICTIONARY if coded and found[0].shape.rows <= 100_000 else TableKind.UNKNOWN


def _names_organisations(one: Judged) -> bool:
    share = one.shape.share("organisation", "hospital_zh", "payer")
    return (
        share >= 0.5
        and one.shape.uniqueness >= 0.8
        and one.shape.words < 9
        and one.shape.share("disease", "drug", "procedure") < 0.4
    )
