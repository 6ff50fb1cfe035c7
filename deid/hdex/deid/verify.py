"""The independent verifier: re-reads what is released and counts again, with dictionaries and whole numbers.

Shares no code with the engines or the risk measures on purpose: a mistake there must not confirm itself.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from glob import glob
from pathlib import Path

import polars as pl

from hdex.deid.errors import ArgumentInvalid, ReleaseUnreadable

Cell = object
Source = Path | pl.DataFrame
Key = tuple[Cell, ...]
ORDERED = (int, float, Decimal, date, datetime, time, timedelta)
WHOLE = re.compile(r"-?(0|[1-9]\d{0,17})")  # a leading zero makes a code, not a number
FRACTION = re.compile(r"-?(0|[1-9]\d*)\.\d+")
TOLERANCE = 1e-9
PARQUET, TEXT = {".parquet", ".pq"}, {".csv", ".tsv", ".txt", ".psv"}
MARKS = set("*?[")  # of a pattern
WIDEST_CELL = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class Verification:
    """What a second count of the released rows found."""

    k: int  # patients of the smallest class; 0 for an empty table
    ok: bool  # every class meets all that was asked for
    unique: int  # rows of classes of one patient
    rows: int
    classes: int
    asked_k: int
    l: int | None = None  # noqa: E741  fewest distinct sensitive values of a class; None without a sensitive column
    t: float | None = None  # farthest distance of a class from the table
    asked_l: int | None = None
    asked_t: float | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """Columns of one row, in order: quasi-identifiers, patient where there is one, sensitive columns."""

    quasi: tuple[str, ...]
    patient: str | None
    sensitive: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that are read."""
        return (*self.quasi, *([self.patient] if self.patient else []), *self.sensitive)


def verify_release(
    release: Source,
    quasi: Sequence[str],
    k: int,
    *,
    patient: str | None = None,
    sensitive: Sequence[str] = (),
    least_values: int | None = None,
    distance: float | None = None,
    whole: Source | None = None,
) -> Verification:
    """Count the classes of a released Parquet or CSV file (or frame) again; `ok` when all that is asked holds.

    A folder of partitions, or a pattern that names files, is one release: a class may lie in several of them.
    least_values, distance: l and t, both over every sensitive column. whole: the table whose shares t is measured
    from, such as the original; None: the release itself. No row at all counts as k = 0 and ok: nothing is released
    about anybody. Text of a file that is plain numbers throughout is ordered for t, other text is not.
    """
    check(sensitive, least_values, distance)
    asked = Asked(tuple(quasi), patient, tuple(sensitive))
    people: dict[Key, set[Cell]] = {}
    rows: Counter[Key] = Counter()
    secrets: list[dict[Key, Counter[Cell]]] = [{} for _ in sensitive]
    for number, row in enumerate(records(release, asked.columns)):
        key, rest = row[: len(quasi)], row[len(quasi) :]
        people.setdefault(key, set()).add(rest[0] if patient else number)
        rows[key] += 1
        for column, value in zip(secrets, rest[len(rest) - len(sensitive) :], strict=True):
            column.setdefault(key, Counter())[value] += 1
    sizes = {key: len(members) for key, members in people.items()}
    smallest = min(sizes.values(), default=0)
    least, farthest = weakest(secrets, reference(whole, secrets, sensitive), is_file=isinstance(release, Path))
    met = [smallest >= k, least_values is None or (least or 0) >= least_values]
    met.append(distance is None or (farthest or 0.0) <= distance + TOLERANCE)
    return Verification(
        k=smallest,
        ok=all(met) or not sizes,
        unique=sum(rows[key] for key, size in sizes.items() if size == 1),
        rows=rows.total(),
        classes=len(sizes),
        asked_k=k,
        l=least,
        t=farthest,
        asked_l=least_values,
        asked_t=distance,
    )


def check(sensitive: Sequence[str], least_values: int | None, distance: float | None) -> None:
    """Raise ArgumentInvalid for l or t of nothing."""
    if not sensitive and (least_values is not None or distance is not None):
        raise ArgumentInvalid("l and t need the name of a sensitive column")
    if distance is not None and not 0.0 <= distance <= 1.0:
        raise ArgumentInvalid(f"t is {distance:g}, asked is 0 to 1")


def reference(
    whole: Source | None, secrets: Sequence[Mapping[Key, Counter[Cell]]], sensitive: Sequence[str]
) -> list[Counter[Cell]]:
    """How often every value of every sensitive column occurs in the table t is measured from."""
    counted: list[Counter[Cell]] = [Counter() for _ in sensitive]
    if whole is None:
        for total, classes in zip(counted, secrets, strict=True):
            for inside in classes.values():
                total.update(inside)
        return counted
    for row in records(whole, sensitive):
        for total, value in zip(counted, row, strict=True):
            total[value] += 1
    return counted


def weakest(
    secrets: Sequence[Mapping[Key, Counter[Cell]]], tables: Sequence[Counter[Cell]], *, is_file: bool
) -> tuple[int | None, float | None]:
    """Fewest values and farthest distance over sensitive columns and classes; None without either."""
    least = [len(inside) for classes in secrets for inside in classes.values()]
    far = [farthest(classes, table, is_file=is_file) for classes, table in zip(secrets, tables, strict=True) if classes]
    return min(least, default=None), max(far, default=None)


def farthest(classes: Mapping[Key, Counter[Cell]], table: Counter[Cell], *, is_file: bool) -> float:
    """Distance of the farthest class from the table."""
    values = {*table, *(value for inside in classes.values() for value in inside)}
    numbers = ordered(values, is_file=is_file)
    order = sorted(values, key=lambda v: (v is not None, numbers[v])) if numbers is not None else list(values)
    return max(moved(inside, table, order, is_ordered=numbers is not None) for inside in classes.values())


def moved(inside: Counter[Cell], table: Counter[Cell], order: Sequence[Cell], *, is_ordered: bool) -> float:
    """Earth mover's distance in whole numbers: shares over the common denominator, so that nothing is rounded."""
    rows, total = inside.total(), table.total()
    gaps = [inside[value] * total - table[value] * rows for value in order]
    if not is_ordered:
        return sum(map(abs, gaps)) / (2 * rows * total)
    if len(order) < 2:
        return 0.0
    way, carried = 0, 0
    for gap in gaps:
        carried += gap
        way += abs(carried)
    return way / (rows * total * (len(order) - 1))


def ordered(values: set[Cell], *, is_file: bool) -> dict[Cell, object] | None:
    """A number or time for every value but None to sort by; None where the values have no order."""
    present = [value for value in values if value is not None]
    texts = [value for value in present if isinstance(value, str)]
    if not texts and all(isinstance(v, ORDERED) and not isinstance(v, bool) for v in present):
        return {None: 0} | {value: value for value in present}
    if not is_file or len(texts) < len(present) or not texts:
        return None
    if all(WHOLE.fullmatch(text) for text in texts) or all(FRACTION.fullmatch(text) for text in texts):
        return {None: 0} | {text: Decimal(text) for text in texts}
    return None


def records(source: Source, columns: Sequence[str]) -> Iterator[Key]:
    """The cells of `columns`, row by row; of a folder or a pattern, file by file."""
    if isinstance(source, pl.DataFrame):
        yield from frame_records(source, columns)
        return
    for path in files_of(source):
        is_parquet = path.suffix.lower() in PARQUET
        yield from frame_records(read_parquet(path), columns) if is_parquet else text_records(path, columns)


def files_of(path: Path) -> list[Path]:
    """The file itself, the partitions of a folder, or the files a pattern such as out/part-*.parquet names, in order.

    What begins with a dot or an underscore in a folder is no data. Raises ReleaseUnreadable for a folder or a pattern
    of no file, and for anything in it that is no table: left out unsaid, it would count as verified.
    """
    if path.is_dir():
        there = sorted(one for one in path.iterdir() if not one.name.startswith((".", "_")))
    elif path.exists() or not MARKS & set(str(path)):
        return [path]
    else:
        there = sorted(Path(found) for found in glob(str(path), recursive=True))
    odd = [one for one in there if not one.is_file() or one.suffix.lower() not in PARQUET | TEXT]
    if odd:
        raise ReleaseUnreadable(f"{path.name} holds {len(odd)} entries that are no Parquet or text tables: move them")
    if not there:
        raise ReleaseUnreadable(f"{path.name} holds 0 files, asked is at least 1")
    return there


def frame_records(frame: pl.DataFrame, columns: Sequence[str]) -> Iterator[Key]:
    """The cells of `columns`, row by row."""
    require(frame.columns, columns)
    if not columns:
        yield from [()] * frame.height
        return
    for cells in zip(*(frame[name].to_list() for name in columns), strict=True):
        yield tuple(plain(cell) for cell in cells)


def plain(cell: Cell) -> Cell:
    """NaN equals nothing, itself included: one name for it."""
    return None if isinstance(cell, float) and cell != cell else cell  # noqa: PLR0124  the test for NaN


def read_parquet(path: Path) -> pl.DataFrame:
    """The released file, or ReleaseUnreadable."""
    try:
        return pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ReleaseUnreadable(f"{path.name} cannot be read as Parquet") from error


def text_records(path: Path, columns: Sequence[str]) -> Iterator[Key]:
    """Rows of a delimited text file, read by the standard library; an empty cell is None."""
    if not path.is_file():
        raise ReleaseUnreadable(f"{path.name}: no such file")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ReleaseUnreadable(f"{path.name} cannot be read as UTF-8 text") from error
    if not text.strip():
        raise ReleaseUnreadable(f"{path.name} is empty: not even its columns are named")
    delimiter = max(",;|\t", key=text.split("\n", 1)[0].count)
    csv.field_size_limit(WIDEST_CELL)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        yield from picked(lines, path, columns)
    except csv.Error as error:
        raise ReleaseUnreadable(f"{path.name}: line {lines.line_num} is not delimited text") from error


def picked(lines: Iterable[list[str]], path: Path, columns: Sequence[str]) -> Iterator[Key]:
    """The asked columns of every line after the first, which names them."""
    names: list[str] = next(iter(lines), [])
    require(names, columns)
    where = [names.index(name) for name in columns]
    for number, read in enumerate(lines, start=2):
        line = read or [""] if len(names) == 1 else read  # an empty cell alone is an empty line
        if len(line) != len(names):
            raise ReleaseUnreadable(f"{path.name}: line {number} has {len(line)} fields, asked is {len(names)}")
        yield tuple(line[i] or None for i in where)


def require(names: Sequence[str], columns: Sequence[str]) -> None:
    """Raise ArgumentInvalid for columns the file does not have or has twice."""
    missing = sorted(set(columns) - set(names))
    if missing:
        raise ArgumentInvalid(f"columns {', '.join(missing)} are not in the released table")
    double = sorted({name for name in columns if names.count(name) > 1})
    if double:
        raise ArgumentInvalid(f"columns {', '.join(double)} are in the released table twice")
