"""The independent verifier: re-reads what is released and counts again, with dictionaries.

Shares no code with the engines or the risk measures on purpose: a mistake there must not confirm itself.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from hdex.deid.errors import ArgumentInvalid, ReleaseUnreadable

Cell = object


@dataclass(frozen=True, slots=True)
class Verification:
    """What a second count of the released rows found."""

    k: int  # patients of the smallest class; 0 for an empty table
    ok: bool  # every class holds the patients asked for
    unique: int  # rows of classes of one patient
    rows: int
    classes: int
    asked_k: int


def verify_release(
    release: Path | pl.DataFrame, quasi: Sequence[str], k: int, *, patient: str | None = None
) -> Verification:
    """Count the classes of a released Parquet or CSV file (or frame) again; `ok` when none is below k.

    No row at all counts as k = 0 and ok: nothing is released about anybody.
    """
    people: dict[tuple[Cell, ...], set[Cell]] = {}
    rows: dict[tuple[Cell, ...], int] = {}
    for number, (key, person) in enumerate(records(release, quasi, patient)):
        people.setdefault(key, set()).add(number if patient is None else person)
        rows[key] = rows.get(key, 0) + 1
    sizes = {key: len(members) for key, members in people.items()}
    smallest = min(sizes.values(), default=0)
    return Verification(
        k=smallest,
        ok=smallest >= k or not sizes,
        unique=sum(rows[key] for key, size in sizes.items() if size == 1),
        rows=sum(rows.values()),
        classes=len(sizes),
        asked_k=k,
    )


def records(
    release: Path | pl.DataFrame, quasi: Sequence[str], patient: str | None
) -> Iterable[tuple[tuple[Cell, ...], Cell]]:
    """(values of the quasi-identifiers, patient) of every row."""
    if isinstance(release, Path) and release.suffix.lower() != ".parquet":
        return text_records(release, quasi, patient)
    frame = release if isinstance(release, pl.DataFrame) else read_parquet(release)
    require(frame.columns, quasi, patient)
    keys = zip(*(frame[name].to_list() for name in quasi), strict=True) if quasi else iter([()] * frame.height)
    people = frame[patient].to_list() if patient else [None] * frame.height
    return ((tuple(plain(cell) for cell in key), person) for key, person in zip(keys, people, strict=True))


def plain(cell: Cell) -> Cell:
    """NaN equals nothing, itself included: one name for it."""
    return None if isinstance(cell, float) and cell != cell else cell  # noqa: PLR0124  the test for NaN


def read_parquet(path: Path) -> pl.DataFrame:
    """The released file, or ReleaseUnreadable."""
    try:
        return pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ReleaseUnreadable(f"{path.name} cannot be read as Parquet") from error


def text_records(path: Path, quasi: Sequence[str], patient: str | None) -> Iterable[tuple[tuple[Cell, ...], Cell]]:
    """Rows of a delimited text file, read by the standard library."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ReleaseUnreadable(f"{path.name} cannot be read as UTF-8 text") from error
    head = text.split("\n", 1)[0]
    delimiter = max(",;|\t", key=head.count)
    lines = csv.reader(text.splitlines(keepends=True), delimiter=delimiter)
    names = next(lines, [])
    require(names, quasi, patient)
    where = [names.index(name) for name in quasi]
    whose = names.index(patient) if patient else 0
    for line in lines:
        if len(line) != len(names):
            raise ReleaseUnreadable(f"{path.name}: line {lines.line_num} has {len(line)} fields, asked is {len(names)}")
        yield tuple(line[i] for i in where), line[whose]


def require(names: Sequence[str], quasi: Sequence[str], patient: str | None) -> None:
    """Raise ArgumentInvalid for columns the file does not have."""
    missing = sorted({*quasi, *([patient] if patient else [])} - set(names))
    if missing:
        raise ArgumentInvalid(f"columns {', '.join(missing)} are not in the released table")
