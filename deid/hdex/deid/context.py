"""What the rest of an export says about a column: where it refers to, what its table is, what goes with it.

Only columns whose own name said nothing are judged again; a name that speaks stays, and so does a checksum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from hdex.deid.classify import Judged
from hdex.deid.columns import Role
from hdex.deid.evidence import CERTAIN
from hdex.deid.forms import year_of
from hdex.deid.links import Links, TableKind, Tables, keyish
from hdex.deid.scheme import Catalogue, Scheme

Found = Mapping[str, Sequence[Judged]]
WEAK = 0.66  # evidence up to here gives way to what the rest of the export says
_OF_TARGET = {
    TableKind.PATIENTS: ("patient_key", 0.9),
    TableKind.ENCOUNTERS: ("encounter_key", 0.85),
    TableKind.STAFF: ("staff_id", 0.8),
    TableKind.ORGANISATIONS: ("hospital", 0.75),
    TableKind.DICTIONARY: ("coded_item", 0.7),
}
_PLACES = ("street_address", "city", "state", "postcode", "coordinates", "nationality", "birthplace")
_CONTACTS = ("phone", "email", "url", "fax")
_PEOPLE = ("person_name", "family_name", "given_name")


@dataclass(frozen=True, slots=True)
class _Context:
    """An export as far as it is understood."""

    tables: Tables
    links: Links
    scheme: Scheme
    catalogue: Catalogue
    insurers: frozenset[str]  # tables of those who pay

    def recast(self, one: Judged, element: str, why: str, confidence: float) -> Judged:
        """Return a column as another element; what groups of severe harm its cells hold stays."""
        entry = self.catalogue.by_code[element]
        groups = [text for text in one.profile.evidence if text.endswith("of the filled cells")]
        harm = one.profile.level if groups and entry.role in (Role.SENSITIVE, Role.OTHER) else 0
        profile = replace(
            one.profile,
            role=entry.role if not harm or entry.role is Role.SENSITIVE else Role.SENSITIVE,
            category=entry.category,
            level=max(self.scheme.local(entry.level), harm),
            evidence=(why, *groups),
            confidence=confidence,
            element=element,
        )
        return replace(one, profile=profile)


def in_context(
    tables: Tables, judged: Found, links: Links, *, scheme: Scheme, catalogue: Catalogue
) -> dict[str, list[Judged]]:
    """Return every column judged again in the light of its table and of the others."""
    insurers = frozenset(name for name, found in judged.items() if any(_insures(one) for one in found))
    context = _Context(tables, links, scheme, catalogue, insurers)
    return {
        name: _within(context, name, [_linked(context, name, one) for one in found]) for name, found in judged.items()
    }


def _insures(one: Judged) -> bool:
    return one.shape.share("payer") >= 0.3 and one.shape.uniqueness >= 0.8


def _linked(context: _Context, table: str, one: Judged) -> Judged:
    """Judge a column by what it names or refers to."""
    links, name = context.links, one.profile.name
    if one.named and not (one.element in ("coded_item", "row_key") and links.patient.get(table) == name):
        return one
    if links.patient.get(table) == name:
        return context.recast(one, "patient_key", "values name the patients of this export", 0.9)
    if links.encounter.get(table) == name:
        return context.recast(one, "encounter_key", "values name the encounters of this export", 0.85)
    kind = links.kinds[table]
    if kind in (TableKind.ORGANISATIONS, TableKind.STAFF, TableKind.DICTIONARY):
        return _of_table(context, kind, one)
    reference = links.of(table, name)
    if reference is None or one.profile.confidence > 0.8:
        return one
    to = links.kinds[reference.to_table]
    if reference.to_table in context.insurers and to is TableKind.ORGANISATIONS:
        return context.recast(one, "payer", f"values are keys of table {reference.to_table}", 0.7)
    element, confidence = _OF_TARGET.get(to, ("row_key", 0.7))
    return context.recast(one, element, f"values are keys of table {reference.to_table} ({to.value})", confidence)


def _of_table(context: _Context, kind: TableKind, one: Judged) -> Judged:
    """Judge a column of a table that has no patients: whose address, whose number it is."""
    why = f"the table is one of {kind.value}"
    if any(share >= 0.8 for form, share in one.shape.kinds.items() if form in CERTAIN - {"mobile_cn", "email"}):
        return one
    if kind is TableKind.ORGANISATIONS:
        element = _of_organisation(one)
    elif kind is TableKind.STAFF:
        element = _of_staff(one)
    else:
        element = "coded_item" if one.element in ("row_key", "patient_key", "note", "postcode") else ""
    return context.recast(one, element, why, 0.7) if element else one


def _of_organisation(one: Judged) -> str:
    code, shape = one.element, one.shape
    if code in _PLACES:
        return "organisation_address"
    if code in _CONTACTS:
        return "organisation_contact"
    if code in (*_PEOPLE, "hospital", "employer", "payer"):
        return "organisation_name"
    if code in ("row_key", "patient_key", "organisation_id") and (keyish(shape) and shape.uniqueness >= 0.9):
        return "organisation_id"
    return "organisation_figure" if shape.numeric or code in ("measurement", "age", "kind", "coded_item") else ""


def _of_staff(one: Judged) -> str:
    code = one.element
    if code in _PLACES:
        return "staff_address"
    if code in _PEOPLE:
        return "staff_name"
    if code == "row_key":
        return "staff_id_own"
    return "staff_figure" if code in ("sex", "hospital", "measurement", "age", "kind", "coded_item") else ""


def _within(context: _Context, table: str, found: list[Judged]) -> list[Judged]:
    """Judge columns by the other columns of their row."""
    frame = context.tables[table]
    for step in (_ages, _sexes, _described, _towns):
        found = step(context, frame, found)
    if context.links.kinds[table] is TableKind.PATIENTS:
        found = _of_patients(context, found)
    return found


def _of_patients(context: _Context, found: list[Judged]) -> list[Judged]:
    """Judge what no list knew in a table of one row per patient: all but unique text names the patient.

    Capitalised words stand beside a column of names, or are the names where an address or a number of a person has none
    beside it; else they are where people live, rather than what they suffer from.
    """
    names = [one.element in _PEOPLE for one in found]
    contacts = {one.element for one in found} & {"phone", "email", "street_address", "resident_id", "ssn"}
    told: list[Judged] = []
    for place, one in enumerate(found):
        unknown = one.element in ("coded_item", "note") and one.profile.confidence <= 0.45 and one.shape.distinct >= 10
        if one.named or not unknown or one.shape.share("boolean", "result", "disease", "drug") >= 0.5:
            told.append(one)
        elif one.shape.share("name_plain") >= 0.9 and one.shape.words <= 3:
            beside = any(names[max(0, place - 1) : place + 2])
            known = one.shape.share("name_en") >= 0.15 or beside or (bool(contacts) and not any(names))
            element, confidence = ("person_name", 0.5) if known and one.shape.share("town") < 0.2 else ("city", 0.45)
            told.append(context.recast(one, element, "capitalised words about patients", confidence))
        elif one.shape.uniqueness >= 0.5:
            told.append(context.recast(one, "street_address", "text about patients that hardly repeats", 0.45))
        else:
            told.append(one)
    return told


def _weak(one: Judged) -> bool:
    return not one.named and one.profile.confidence <= WEAK


def _ages(context: _Context, frame: pl.DataFrame, found: list[Judged]) -> list[Judged]:
    """Whole numbers that fall as the year of birth rises are ages."""
    births = [one for one in found if one.element in ("birth_date", "birth_year")]
    candidates = [
        one
        for one in found
        if _weak(one) and one.shape.numeric and 0 <= (one.shape.low or 0) <= (one.shape.high or 0) <= 120
    ]
    if not births or not candidates:
        return found
    born = births[0]
    years = frame[born.profile.name].cast(pl.String).map_elements(_year, return_dtype=pl.Float64)
    ages: set[str] = set()
    for one in candidates:
        both = pl.DataFrame({"born": years, "age": frame[one.profile.name].cast(pl.Float64, strict=False)}).drop_nulls()
        if (
            both.height >= 10
            and both["age"].n_unique() > 5
            and float(both.select(pl.corr("born", "age")).item() or 0) <= -0.9
        ):
            ages.add(one.profile.name)
    why = "numbers fall as the date of birth rises"
    return [context.recast(one, "age", why, 0.9) if one.profile.name in ages else one for one in found]


def _year(text: str) -> float | None:
    year = year_of(text.strip()) or (int(float(text)) if text[:4].isdigit() and len(text) in (4, 6) else None)
    return float(year) if year else None


def _sexes(context: _Context, frame: pl.DataFrame, found: list[Judged]) -> list[Judged]:
    """Two values that follow the seventeenth digit of the resident id are the sex."""
    ids = next((one.profile.name for one in found if one.element == "resident_id"), None)
    if ids is None:
        return found
    parity = frame[ids].cast(pl.String).str.strip_chars().str.slice(16, 1).cast(pl.Int32, strict=False) % 2
    told: list[Judged] = []
    for one in found:
        if _weak(one) and one.shape.distinct in (2, 3):
            pairs = pl.DataFrame({"parity": parity, "value": frame[one.profile.name]}).drop_nulls()
            counts = (
                pairs.group_by("parity", "value")
                .len()
                .group_by("parity")
                .agg(pl.col("len").max(), pl.col("value").sort_by("len").last())
            )
            follows = pairs.height >= 10 and counts.height == 2 and counts["value"].n_unique() == 2
            if follows and int(counts["len"].sum()) >= 0.95 * pairs.height:
                told.append(
                    context.recast(one, "sex", "values follow the digit of the resident id that tells the sex", 0.9)
                )
                continue
        told.append(one)
    return told


def _described(context: _Context, frame: pl.DataFrame, found: list[Judged]) -> list[Judged]:
    """A short token with one term each is a code, not a key or a postcode."""
    terms = [
        one
        for one in found
        if one.profile.role is Role.SENSITIVE and not one.shape.numeric and one.shape.share("date") < 0.5
    ]
    told: list[Judged] = []
    for one in found:
        doubtful = _weak(one) and one.element in (
            "patient_key",
            "postcode",
            "city",
            "measurement",
            "row_key",
            "age",
            "birth_year",
        )
        coded = doubtful and keyish(one.shape) and one.shape.distinct >= 5 and one.shape.uniqueness <= 0.5
        term = next((t for t in terms if coded and t is not one and _one_to_one(frame, one, t)), None)
        told.append(
            context.recast(one, "coded_item", f"each value goes with one term of {term.profile.name}", 0.75)
            if term
            else one
        )
    return told


def _one_to_one(frame: pl.DataFrame, one: Judged, term: Judged) -> bool:
    if not 0.5 * one.shape.distinct <= term.shape.distinct <= 2 * one.shape.distinct:
        return False
    pairs = frame.select(one.profile.name, term.profile.name).drop_nulls().n_unique()
    return pairs <= 1.2 * max(one.shape.distinct, term.shape.distinct)


def _towns(context: _Context, frame: pl.DataFrame, found: list[Judged]) -> list[Judged]:
    """Words that a postcode determines are places."""
    codes = [one for one in found if one.element == "postcode"]
    if any(one.element in ("postcode", "street_address", "city") for one in found):
        found = [_state(context, one) for one in found]
    if not codes and any(one.element in ("street_address", "city", "state") for one in found):
        found = [_postcode(context, one) for one in found]
    if not codes or codes[0].shape.distinct < 10:
        return found
    code = codes[0].profile.name
    told: list[Judged] = []
    for one in found:
        wordy = (
            one.shape.share("name_plain", "town", "name_zh") >= 0.8
            and 3 <= one.shape.distinct <= 2 * codes[0].shape.distinct
        )
        if (
            not one.named
            and wordy
            and one.element in ("person_name", "coded_item", "note", "hospital")
            and _determined(frame, code, one)
        ):
            told.append(context.recast(one, "city", f"each postcode in {code} goes with one value", 0.7))
        else:
            told.append(one)
    return told


def _state(context: _Context, one: Judged) -> Judged:
    """Two letters are a state where the row holds an address; alone they could be any code."""
    is_state = not one.named and one.shape.share("state") >= 0.9 and one.element == "coded_item"
    return context.recast(one, "state", "codes of states in a row with an address", 0.7) if is_state else one


def _postcode(context: _Context, one: Judged) -> Judged:
    """Tokens of one length, as postcodes are written, beside an address: all but unique in a small hospital."""
    formed = one.shape.share("zip") >= 0.98 and one.shape.one_length and one.shape.uniqueness < 1
    doubtful = _weak(one) and one.element in ("row_key", "patient_key") and formed
    return (
        context.recast(one, "postcode", "values have the form of postcodes, in a row with an address", 0.6)
        if doubtful
        else one
    )


def _determined(frame: pl.DataFrame, key: str, one: Judged) -> bool:
    """Say whether most keys that occur twice or more go with one value."""
    groups = frame.select(pl.col(key).alias("k"), pl.col(one.profile.name).alias("v")).drop_nulls().group_by("k")
    counts = groups.agg(pl.len().alias("n"), pl.col("v").n_unique().alias("values")).filter(pl.col("n") > 1)
    if counts.height < 5:
        return False
    return (counts["values"] == 1).sum() >= 0.85 * counts.height
