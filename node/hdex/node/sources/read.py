"""read_export: a file or folder as a hospital exported it -> an Export, or an error that names the file."""

import re
import tomllib
from dataclasses import fields, replace
from pathlib import Path

import polars as pl

from hdex.node.sources.content import refuse_other_content
from hdex.node.sources.csv import read_csv
from hdex.node.sources.errors import OverrideInvalid, SourceBroken, SourceUnknown
from hdex.node.sources.export import Export, Limits, Override, Table
from hdex.node.sources.fhir import read_fhir
from hdex.node.sources.parquet import read_parquet

DIALECT_FILE = "dialect.toml"  # beside the export: what a person states about single files
CSV_ENDINGS = {".csv", ".tsv", ".txt", ".psv", ".tab", ".dat", ".data"}
FHIR_ENDINGS = {".ndjson", ".jsonl", ".json"}
PARQUET_ENDINGS = {".parquet", ".pq"}
IGNORED = re.compile(r"^(\..*|readme.*|licen[cs]e.*|.*\.md|.*\.sha256|dialect\.toml|sha256sums)$", re.IGNORECASE)


def read_export(path: Path, *, overrides: dict[str, Override] | None = None, limits: Limits | None = None) -> Export:
    """Return everything exported at `path` (a folder or one file) as tables of text.

    Raises SourceBroken for a damaged file, SourceUnknown for one of no kind we read or a folder with none,
    OverrideInvalid for a bad dialect.toml, and hdex.deid's ContentRefused for a file whose bytes are a genome, picture
    or a document, whatever its name. All or nothing: no table is returned when one file fails.
    """
    refuse_other_content(path)
    folder = path if path.is_dir() else path.parent
    taken = exported_files(path)
    stated = _stated(folder) | (overrides or {})
    unused = set(stated) - {table_name(file) for file in taken}
    if unused and path.is_dir():
        raise OverrideInvalid(f"{DIALECT_FILE} names {len(unused)} tables that are not in the export")
    return _gather(taken, stated, limits or Limits())


def exported_files(path: Path) -> list[Path]:
    """Return the files of an export in order, none opened. Raises SourceUnknown: none there, or one of another kind."""
    if not path.exists():
        raise SourceUnknown(f"{path.name}: no such file or folder")
    files = sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]
    taken = [file for file in files if not IGNORED.match(file.name)]
    if not taken:
        raise SourceUnknown(f"{path.name}: no file that could be read as CSV, Parquet or FHIR")
    for file in taken:
        kind_of(file)
    return taken


def table_name(path: Path) -> str:
    """Return the name of the table a file holds: the file's name without its endings, lower case."""
    name = path.name
    while Path(name).suffix.lower() in {*CSV_ENDINGS, *FHIR_ENDINGS, *PARQUET_ENDINGS, ".gz"}:
        name = Path(name).stem
    return name.lower()


def kind_of(path: Path) -> str:
    """Return csv, parquet or fhir by the file's ending. Raises SourceUnknown for any other."""
    endings = [ending.lower() for ending in path.suffixes if ending.lower() != ".gz"]
    last = endings[-1] if endings else ""
    for kind, known in (("csv", CSV_ENDINGS), ("fhir", FHIR_ENDINGS), ("parquet", PARQUET_ENDINGS)):
        if last in known:
            return kind
    raise SourceUnknown(f"{path.name}: neither CSV, Parquet nor FHIR NDJSON by its ending")


def _gather(files: list[Path], stated: dict[str, Override], limits: Limits) -> Export:
    tables: dict[str, Table] = {}
    warnings: list[str] = []
    kinds = {file: kind_of(file) for file in files}
    for file, kind in kinds.items():
        if kind == "fhir":
            found, notes = read_fhir(file, limits=limits)
            warnings.extend(notes)
        else:
            reader = read_csv if kind == "csv" else read_parquet
            name = table_name(file)
            found = [reader(file, name, limits=limits, override=stated.get(name, Override()))]
        for table in found:
            tables[table.name] = _joined(tables.get(table.name), table)
    warnings.extend(
        f"{table.name}.{column}: no value tells day from month; taken as {table.dialect.date_pattern(column)}"
        for table in tables.values()
        for column in table.dialect.ambiguous
    )
    kind = next(iter(set(kinds.values()))) if len(set(kinds.values())) == 1 else "mixed"
    return Export(kind, tables, tuple(warnings))


def _joined(old: Table | None, new: Table) -> Table:
    """Return two files of one table as one table. FHIR types may be split over files."""
    if old is None:
        return new
    if old.dialect.kind != "fhir" or new.dialect.kind != "fhir":
        raise SourceUnknown(f"{new.files[0]}: another file already holds a table of this name")
    patterns = tuple((dict(new.dialect.dates) | dict(old.dialect.dates)).items())
    frame = pl.concat([old.frame, new.frame])
    return Table(old.name, frame, replace(old.dialect, dates=patterns), (*old.files, *new.files))


def _stated(folder: Path) -> dict[str, Override]:
    """Return what dialect.toml states, by table. Unknown keys are errors."""
    file = folder / DIALECT_FILE
    if not file.exists():
        return {}
    try:
        document = tomllib.loads(file.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SourceBroken(DIALECT_FILE, None, "not a TOML document") from error
    known = {entry.name for entry in fields(Override)}
    overrides: dict[str, Override] = {}
    for table, entries in document.items():
        if not isinstance(entries, dict) or set(entries) - known:
            raise OverrideInvalid(f"{DIALECT_FILE}: [{table}] may hold {', '.join(sorted(known))}")
        overrides[table.lower()] = _override(entries)
    return overrides


def _override(entries: dict[str, object]) -> Override:
    def words(key: str) -> tuple[str, ...] | None:
        value = entries.get(key)
        return tuple(str(word) for word in value) if isinstance(value, list) else None

    def word(key: str) -> str | None:
        return str(entries[key]) if key in entries else None

    stated = entries.get("dates", {})
    return Override(
        encoding=word("encoding"),
        delimiter=word("delimiter"),
        quote=word("quote"),
        header=words("header"),
        nulls=words("nulls"),
        decimal=word("decimal"),
        dates=tuple((str(key), str(value)) for key, value in stated.items()) if isinstance(stated, dict) else (),
    )
