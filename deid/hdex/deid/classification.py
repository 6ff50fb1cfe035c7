"""The classification as a document: written, edited and signed by a steward, read back, held against the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from hdex.deid.classify import classify_columns
from hdex.deid.columns import Category, ColumnProfile, LevelDecision, NationalGrade, Role
from hdex.deid.errors import InputInvalid
from hdex.deid.scheme import Scheme, hint, load_scheme

SCHEMA = "hdex/classification/v1"
_TOP = {"schema", "scheme", "tables", "level", "reasons", "grade", "may_lower_to"}
_PERSON_SETS = {"flags", "national_grade", "assessment"}  # absent from documents of before they were known
_FLAGS = {"minor_under_14"}
_TABLE = {"name", "rows", "columns"}
_COLUMN = {"name", "role", "category", "level", "evidence", "confidence", "element"}
_CERTAIN = 0.75  # from here on what the values say contradicts an edit


@dataclass(frozen=True, slots=True)
class Contradiction:
    """An edit the values speak against: a second person must sign it. Holds no value of a record."""

    table: str
    column: str
    claimed: str
    found: str
    why: tuple[str, ...]


def to_document(
    profiles: Sequence[ColumnProfile],
    decision: LevelDecision,
    *,
    rows: Mapping[str, int] | None = None,
    scheme: Scheme | None = None,
) -> dict[str, Any]:
    """Return the document: plain JSON values, columns in their order, tables in order of first appearance."""
    tables: dict[str, list[dict[str, Any]]] = {}
    for profile in profiles:
        tables.setdefault(profile.table, []).append(_column(profile))
    return {
        "schema": SCHEMA,
        "scheme": (scheme or load_scheme()).id,
        "tables": [{"name": name, "rows": (rows or {}).get(name, 0), "columns": of} for name, of in tables.items()],
        "level": decision.level,
        "reasons": list(decision.reasons),
        "grade": decision.grade,
        "may_lower_to": decision.may_lower_to,
        "flags": {"minor_under_14": decision.minor_under_14},
        "national_grade": decision.national_grade.value,
        "assessment": decision.assessment,
    }


def from_document(document: Mapping[str, Any]) -> tuple[list[ColumnProfile], LevelDecision]:
    """Return what `to_document` wrote, edited or not. Unknown, missing or wrong keys raise InputInvalid.

    A steward may lower a column; the level of the data set may not be below the highest of its columns, nor below the
    scheme's level for raw records of minors when it is flagged. national_grade (core, important, general) is a person's
    to set; `LevelDecision.require_product` refuses what it does not let be a product.
    """
    _require_keys(document, _TOP, "classification", optional=_PERSON_SETS)
    if document["schema"] != SCHEMA:
        raise InputInvalid(f"schema is not {SCHEMA}")
    profiles = []
    for table in document["tables"]:
        _require_keys(table, _TABLE, "table")
        profiles += [_profile(str(table["name"]), column) for column in table["columns"]]
    decision = _decision(document)
    highest = max((p.level for p in profiles), default=0)
    if not profiles or decision.level < highest:
        raise InputInvalid(f"level of the data set is {decision.level}, its highest column has {highest}")
    return profiles, decision


def _decision(document: Mapping[str, Any]) -> LevelDecision:
    flags = document.get("flags", {"minor_under_14": False})
    _require_keys(flags, _FLAGS, "flags")
    if not isinstance(flags["minor_under_14"], bool):
        raise InputInvalid("minor_under_14 is no true or false")
    grade, assessment = document.get("national_grade", NationalGrade.GENERAL), document.get("assessment", "")
    if grade not in list(NationalGrade) or not isinstance(assessment, str):
        raise InputInvalid(f"national_grade is one of {', '.join(NationalGrade)}, the assessment's number is text")
    try:
        made = LevelDecision(
            int(document["level"]),
            tuple(document["reasons"]),
            int(document["grade"]),
            int(document["may_lower_to"]),
            minor_under_14=flags["minor_under_14"],
            national_grade=NationalGrade(grade),
            assessment=assessment.strip(),
        )
    except (TypeError, ValueError) as error:
        raise InputInvalid("level, grade or may_lower_to is not a number in range") from error
    scheme = load_scheme()
    least = scheme.minor_level or scheme.direct_level
    if made.minor_under_14 and document["scheme"] == scheme.id and made.level < least:
        raise InputInvalid(
            f"level of the data set is {made.level}, patients under {scheme.minor_age} ask at least {least}"
        )
    return made


def contradictions(document: Mapping[str, Any], frame: pl.DataFrame, table: str = "") -> list[Contradiction]:
    """Return the edits of one table that its values speak against; empty when one signature is enough.

    Raises InputInvalid when the document does not describe exactly the columns of the frame.
    """
    claimed = {p.name: p for p in from_document(document)[0] if p.table == table}
    if set(claimed) != set(frame.columns):
        missing, extra = set(frame.columns) - set(claimed), set(claimed) - set(frame.columns)
        raise InputInvalid(f"table {table!r}: {len(missing)} columns are not classified, {len(extra)} are not there")
    nameless = frame.rename({name: f"c{number}" for number, name in enumerate(frame.columns)})
    found = [_stricter(a, b) for a, b in zip(classify_columns(frame, table), classify_columns(nameless), strict=True)]
    return [
        clash
        for name, judged in zip(frame.columns, found, strict=True)
        if (clash := _clash(claimed[name], judged, name))
    ]


def _stricter(by_name: ColumnProfile, by_value: ColumnProfile) -> ColumnProfile:
    """Return the judgement of the values where they alone identify, else the ordinary one."""
    sure = by_value.confidence >= _CERTAIN and by_value.role in (Role.DIRECT, Role.FREE_TEXT)
    return by_value if sure and by_name.role is not Role.OTHER else by_name


def _clash(claimed: ColumnProfile, found: ColumnProfile, name: str) -> Contradiction | None:
    lowered = claimed.level < found.level
    unmasked = found.role in (Role.DIRECT, Role.FREE_TEXT) and claimed.role not in (Role.DIRECT, Role.FREE_TEXT)
    if not (lowered or unmasked) or (found.confidence < _CERTAIN and found.level < 5):
        return None
    return Contradiction(
        table=claimed.table,
        column=name,
        claimed=f"{claimed.role.value}, level {claimed.level}",
        found=f"{found.role.value}, level {found.level}",
        why=found.evidence,
    )


def _column(profile: ColumnProfile) -> dict[str, Any]:
    return {
        "name": profile.name,
        "role": profile.role.value,
        "category": profile.category.value,
        "level": profile.level,
        "evidence": list(profile.evidence),
        "confidence": profile.confidence,
        "element": profile.element or "",
    }


def _profile(table: str, column: Mapping[str, Any]) -> ColumnProfile:
    _require_keys(column, _COLUMN, "column")
    try:
        return ColumnProfile(
            table=table,
            name=str(column["name"]),
            role=Role(column["role"]),
            category=Category(column["category"]),
            level=int(column["level"]),
            evidence=tuple(str(text) for text in column["evidence"]),
            confidence=float(column["confidence"]),
            element=str(column["element"]) or None,
        )
    except (TypeError, ValueError) as error:
        raise InputInvalid(
            f"column {column['name']}: role, category, level or confidence is not one we know"
        ) from error


def _require_keys(found: object, known: set[str], what: str, *, optional: set[str] | None = None) -> None:
    every = known | (optional or set())
    if isinstance(found, Mapping) and known <= set(found) <= every:
        return
    if not isinstance(found, Mapping):
        raise InputInvalid(f"{what} is of type {type(found).__name__}, asked is an object")
    unknown, missing = sorted(set(found) - every), sorted(known - set(found))
    if unknown:
        raise InputInvalid(f"{what} has unknown keys {', '.join(unknown)}; {hint(unknown[0], sorted(every))}")
    raise InputInvalid(f"{what} lacks the keys {', '.join(missing)}")
