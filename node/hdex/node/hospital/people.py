"""What a hospital's tables say about each patient, for redaction and the residue sweep inside the node."""

from collections.abc import Mapping
from datetime import date

import polars as pl

from hdex.deid.identity import Identity
from hdex.node.hospital.datasets import PATIENT

IDS = (PATIENT, "record_number", "resident_id", "insurance_number", "drivers_license", "passport")
Row = Mapping[str, object]


def identities(rows: pl.DataFrame, persons: pl.DataFrame) -> list[Identity]:
    """Return one identity per row, in the order of the rows, from the hospital's person table and the row's serials."""
    known = {str(row[PATIENT]): row for row in persons.iter_rows(named=True)}
    serials = rows["stent_serial"].to_list() if "stent_serial" in rows.columns else [None] * rows.height
    return [
        identity(str(patient), known.get(str(patient), {}), serial)
        for patient, serial in zip(rows[PATIENT], serials, strict=True)
    ]


def identity(patient: str, person: Row, serial: object) -> Identity:
    """Return what identifies one patient of the common model."""
    full = f"{person.get('given_name') or ''} {person.get('family_name') or ''}".strip()
    return Identity(
        patient=patient,
        names=tuple(dict.fromkeys(name for name in (*texts(person, "name"), full) if name)),
        ids=(*texts(person, *IDS), *((str(serial),) if serial else ())),
        phones=texts(person, "phone", "contact_phone"),
        emails=texts(person, "email"),
        addresses=texts(person, "address"),
        dates=tuple(day for name in ("birth_date", "death_date") if isinstance(day := person.get(name), date)),
        kin=texts(person, "contact_name"),
    )


def texts(person: Row, *names: str) -> tuple[str, ...]:
    """Return the filled fields among `names`."""
    return tuple(str(value) for name in names if (value := person.get(name)))
