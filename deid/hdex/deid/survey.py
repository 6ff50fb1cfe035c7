"""A whole export: every column of every table in the light of the others, its patients counted, its level decided."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl

from hdex.deid import risk_counts
from hdex.deid.classify import Judged, classify_dataset, judge_columns
from hdex.deid.columns import ColumnProfile, LevelDecision, Role
from hdex.deid.context import in_context
from hdex.deid.errors import InputInvalid
from hdex.deid.links import Links, TableKind, find_links
from hdex.deid.minors import has_minors
from hdex.deid.numbering import number_values
from hdex.deid.scheme import Catalogue, Scheme, load_catalogue, load_scheme

_PERSON = "\0person"  # a column of our own, beside whatever the table calls its columns
_NOT_OF_PATIENTS = (TableKind.STAFF, TableKind.ORGANISATIONS, TableKind.DICTIONARY)


@dataclass(frozen=True, slots=True)
class Survey:
    """What an export is. Profiles stand in the order of the tables and their columns."""

    profiles: tuple[ColumnProfile, ...]
    links: Links
    decision: LevelDecision
    k: int | None  # patients of the smallest class over the quasi-identifiers of the table where it is smallest
    k_table: str
    patients: int | None  # distinct patients; None where no column names them
    rows: Mapping[str, int] = field(default_factory=dict)

    def of(self, table: str) -> list[ColumnProfile]:
        """Return the profiles of one table."""
        return [profile for profile in self.profiles if profile.table == table]


def survey(
    tables: Mapping[str, pl.DataFrame],
    *,
    inclusion: Sequence[str] = (),
    scheme: Scheme | None = None,
    catalogue: Catalogue | None = None,
) -> Survey:
    """Classify all tables of an export together. Raises InputInvalid when they have no column."""
    house, known = scheme or load_scheme(), catalogue or load_catalogue()
    if not any(frame.width for frame in tables.values()):
        raise InputInvalid(f"{len(tables)} tables hold 0 columns, asked is at least 1")
    alone = {name: judge_columns(frame, name, scheme=house, catalogue=known) for name, frame in tables.items()}
    links = find_links(tables, alone)
    judged = in_context(tables, alone, links, scheme=house, catalogue=known)
    k, where = smallest_class(tables, judged, links)
    profiles = tuple(one.profile for found in judged.values() for one in found)
    decision = classify_dataset(
        profiles,
        inclusion=inclusion,
        k_without_suppression=k,
        scheme=house,
        minor_under_14=has_minors(tables, judged, links, below=house.minor_age),
    )
    decision = replace(decision, reasons=tuple(_told(decision, k, where, links)))
    rows = {name: frame.height for name, frame in tables.items()}
    return Survey(profiles, links, decision, k, where, count_patients(tables, links), rows)


def smallest_class(
    tables: Mapping[str, pl.DataFrame], judged: Mapping[str, Sequence[Judged]], links: Links
) -> tuple[int | None, str]:
    """Return (patients of the smallest class, its table), over the quasi-identifiers of each table of patients' rows.

    (None, "") without a quasi-identifier. A table that names no patient counts its rows as patients.
    """
    found: list[tuple[int, str]] = []
    for name, frame in tables.items():
        quasi = [one.profile.name for one in judged[name] if one.profile.role is Role.QUASI]
        if not quasi or frame.is_empty() or links.kinds[name] in _NOT_OF_PATIENTS:
            continue
        found.append((_smallest(frame, quasi, links.patient.get(name)), name))
    return min(found) if found else (None, "")


def _smallest(frame: pl.DataFrame, quasi: Sequence[str], patient: str | None) -> int:
    """Patients of the smallest class. NULL is a value; a row without a patient is a patient of its own."""
    if patient is None:
        return risk_counts.smallest_class(frame, quasi)
    ids, width = number_values(frame[patient])
    own = np.where(frame[patient].is_null().to_numpy(), width + np.arange(frame.height), ids)
    people = pl.Series(_PERSON, own)
    return risk_counts.smallest_class(frame.select(quasi).with_columns(people), quasi, patient=_PERSON)


def count_patients(tables: Mapping[str, pl.DataFrame], links: Links) -> int | None:
    """Return how many distinct patients the tables name, None when no column does."""
    columns = [tables[name][column].cast(pl.String).alias("patient") for name, column in links.patient.items()]
    return pl.concat(columns).drop_nulls().n_unique() if columns else None


def _told(decision: LevelDecision, k: int | None, where: str, links: Links) -> Iterator[str]:
    """Yield the reasons, the one about uniqueness with the table it was found in and what was counted."""
    for reason in decision.reasons:
        if "the smallest class has" in reason and k is not None:
            counted = f"patients by {links.patient[where]}" if where in links.patient else "rows as patients"
            yield f"{reason} (table {where}, counting {counted})"
        else:
            yield reason
