"""The common model: table shapes after OMOP CDM 5.4, with the identifiers a hospital has; none leaves as it is."""

from dataclasses import dataclass
from enum import StrEnum

import polars as pl


class Kind(StrEnum):
    """What a field holds."""

    ID = "id"
    TEXT = "text"
    CODE = "code"
    DATE = "date"
    TIME = "time"
    NUMBER = "number"
    ENUM = "enum"


DTYPES: dict[Kind, pl.DataType] = {
    Kind.ID: pl.String(),
    Kind.TEXT: pl.String(),
    Kind.CODE: pl.String(),
    Kind.ENUM: pl.String(),
    Kind.DATE: pl.Date(),
    Kind.TIME: pl.Datetime("us"),
    Kind.NUMBER: pl.Float64(),
}
ENUMS = {
    "sex": ("male", "female", "other", "unknown"),
    "smoking": ("never", "former", "current", "unknown"),
    "status": ("given", "withdrawn"),
    "form": ("separate", "general", "guardian", "law"),
}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a model table."""

    name: str
    kind: Kind
    required: bool = False  # a row without it goes to quarantine


def _fields(declaration: str) -> tuple[Field, ...]:
    """Return fields from `name:kind name:kind! ...`; ! is required, no kind is text."""
    found = []
    for word in declaration.split():
        name, _, kind = word.rstrip("!").partition(":")
        found.append(Field(name, Kind(kind or "text"), word.endswith("!")))
    return tuple(found)


MODEL: dict[str, tuple[Field, ...]] = {
    "person": _fields(
        "person_id:id! birth_date:date! death_date:date sex:enum! name family_name given_name resident_id:id"
        " record_number:id insurance_number:id drivers_license:id passport:id phone:id email address city district"
        " state postal_code marital_status race ethnicity birth_place occupation contact_name contact_phone:id"
        " smoking:enum"
    ),
    "visit": _fields(
        "visit_id:id person_id:id! start:time! end:time visit_class department doctor organization code:code name"
        " reason_code:code"
    ),
    "condition": _fields(
        "person_id:id! visit_id:id code:code! code_system name start_date:date! end_date:date"
    ),
    "drug": _fields("person_id:id! visit_id:id code:code! code_system name dose start_date:date! end_date:date"),
    "measurement": _fields(
        "person_id:id! visit_id:id code:code! code_system name time:time! value:number value_text unit:code"
    ),
    "device": _fields(
        "person_id:id! visit_id:id code:code name manufacturer model size:number length:number serial:id udi:id lot"
        " site implant_date:date! end_date:date"
    ),
    "procedure": _fields("person_id:id! visit_id:id code:code! code_system name start_date:date! end_date:date"),
    "note": _fields("person_id:id! visit_id:id title text! date:date! author"),
    "consent": _fields(
        "person_id:id! purpose:code! recipient_class form:enum status:enum! start_date:date! end_date:date"
        " notice_version"
    ),
}  # fmt: skip


def fields_of(table: str) -> dict[str, Field]:
    """Return the fields of a model table by name."""
    return {field.name: field for field in MODEL[table]}


def schema_of(table: str) -> dict[str, pl.DataType]:
    """Return the polars schema of a model table."""
    return {field.name: DTYPES[field.kind] for field in MODEL[table]}


def empty(table: str) -> pl.DataFrame:
    """Return a model table without rows."""
    return pl.DataFrame(schema=schema_of(table))
