"""A recipe over partitioned Parquet, on one machine, in bounded memory.

Two passes. The first counts distinct tuples by polars' streaming engine (hdex.deid.recipe decides over them). The
second makes of every input partition one output partition (hdex.deid.partition), here one after the other; an engine
that spreads them over machines (hdex.deid.run_ray) writes the same bytes. All or nothing: the output folder appears
when everything in it is whole and was counted again.
"""

from __future__ import annotations

import hmac
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import polars as pl

from hdex.deid import hierarchy
from hdex.deid.anonymize import typed
from hdex.deid.anonymize_models import diversity
from hdex.deid.diversity import Codes, Sensitive, encode_sensitive, unprotected
from hdex.deid.errors import ArgumentInvalid, InputInvalid, RiskTooHigh
from hdex.deid.hierarchy import Hierarchy
from hdex.deid.numbering import number_rows
from hdex.deid.partition import Job, Master, Written, apply_partition, order_key, plainly
from hdex.deid.recipe import Counts, Recipe, Request, SensitiveCounts, actions, decide
from hdex.deid.treatment import Action

SUFFIXES = (".parquet", ".pq")
MAGIC = b"PAR1"
ROWS = "\0rows"
PERSON = "\0person"
SENSITIVE = "\0secret"
Progress = Callable[[str, int, int], None]  # step, done, of


@dataclass(frozen=True, slots=True)
class Source:
    """Partitions of one table, read by their footers only."""

    files: tuple[Path, ...]  # in the order of their names
    rows: tuple[int, ...]
    schema: dict[str, pl.DataType]
    digest: str  # over sizes and footers: changes when a partition does


Engine = Callable[[Sequence[Job], Recipe, Master, Progress], list[Written]]


def silent(step: str, done: int, of: int) -> None:
    """Report no progress."""


def find(source: Path) -> Source:
    """The partitions of a Parquet file or a folder of them.

    Raises InputInvalid for an empty folder, for anything in it that is no partition (it would be left out unsaid), and
    for partitions whose columns or types differ.
    """
    files = [source] if source.is_file() else in_folder(source)
    footers = [footer(file) for file in files]
    schemas = [read_schema(file) for file in files]
    for file, schema in zip(files, schemas, strict=True):
        require_same(schema, schemas[0], file, files[0])
    rows = [int(pl.scan_parquet(file).select(pl.len()).collect().item()) for file in files]
    if not sum(rows):
        raise InputInvalid(f"{source.name} has 0 rows in {len(files)} partitions")
    digest = sha256(b"".join(sha256(one).digest() for one in footers)).hexdigest()
    return Source(tuple(files), tuple(rows), schemas[0], digest)


def in_folder(folder: Path) -> list[Path]:
    """Parquet files of a folder by name; what begins with a dot or an underscore is no data."""
    if not folder.is_dir():
        raise InputInvalid(f"{folder.name}: no such file or folder")
    there = sorted(path for path in folder.iterdir() if not path.name.startswith((".", "_")))
    files = [path for path in there if path.is_file() and path.suffix.lower() in SUFFIXES]
    if not files:
        raise InputInvalid(f"folder {folder.name} holds 0 Parquet files, asked is at least 1")
    if len(files) < len(there):
        raise InputInvalid(f"folder {folder.name} holds {len(there) - len(files)} entries that are no Parquet files")
    return files


def footer(file: Path) -> bytes:
    """Size and footer of a Parquet file. Raises InputInvalid for anything else."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        stream.seek(max(size - 2 * len(MAGIC), 0))
        tail = stream.read()
        length = int.from_bytes(tail[:4], "little")
        if len(tail) != 2 * len(MAGIC) or tail[4:] != MAGIC or length > size:
            raise InputInvalid(f"partition {file.name} is not a whole Parquet file")
        stream.seek(size - len(tail) - length)
        return size.to_bytes(8, "big") + stream.read(length)


def read_schema(file: Path) -> dict[str, pl.DataType]:
    """Columns and types of a partition."""
    try:
        return dict(pl.read_parquet_schema(file))
    except pl.exceptions.PolarsError as error:
        raise InputInvalid(f"partition {file.name} cannot be read as Parquet") from error


def require_same(found: dict[str, pl.DataType], asked: dict[str, pl.DataType], file: Path, first: Path) -> None:
    """Raise InputInvalid naming the file and the columns in which a partition differs from the first."""
    if odd := sorted(set(found) ^ set(asked)):
        raise InputInvalid(f"partition {file.name} and {first.name} do not both have the columns {', '.join(odd)}")
    for name, kind in asked.items():
        if found[name] != kind:
            raise InputInvalid(f"column {name} is {found[name]} in partition {file.name}, {kind} in {first.name}")


def count(source: Source, request: Request) -> Counts:
    """The distinct tuples of the quasi-identifiers with their rows and patients, by streaming scans."""
    for name in request.quasi:
        if source.schema[name].is_nested() or source.schema[name] in (pl.Binary, pl.Object):
            raise InputInvalid(f"column {name} is {source.schema[name]}, asked are plain values")
    quasi = list(request.quasi)
    plain = [plainly(name, source.schema[name]) for name in quasi]
    scan = pl.scan_parquet(list(source.files), hive_partitioning=False)
    found = scan.select(plain).group_by(quasi).agg(pl.len().alias(ROWS)).collect(engine="streaming").sort(quasi)
    rows = found[ROWS].to_numpy().astype(np.int64)
    tuples = found.drop(ROWS)
    pairs = None if request.sensitive is None else sensitive_counts(source, request.sensitive, tuples)
    if request.patient is None:
        return Counts(tuples, rows, None, sum(source.rows), pairs)
    person = scan.select(*plain, pl.col(request.patient).cast(pl.String).alias(PERSON))
    patients = people_of(person, request.patient)
    people = None if patients == sum(source.rows) else pairs_of(person, tuples)
    return Counts(tuples, rows, people, patients, pairs)


def sensitive_counts(source: Source, column: str, tuples: pl.DataFrame) -> SensitiveCounts:
    """The values of a sensitive column with their rows, by tuple."""
    numbered = tuples.with_row_index("\0tuple").lazy()
    columns = [*(plainly(name, source.schema[name]) for name in tuples.columns)]
    secret = plainly(column, source.schema[column]).alias(SENSITIVE)
    scan = pl.scan_parquet(list(source.files), hive_partitioning=False).select(*columns, secret)
    counted = scan.group_by([*tuples.columns, SENSITIVE]).agg(pl.len().alias(ROWS))
    joined = counted.join(numbered, on=tuples.columns, how="inner", nulls_equal=True)
    found = joined.select("\0tuple", SENSITIVE, ROWS).collect(engine="streaming").sort("\0tuple", SENSITIVE)
    rows = found[ROWS].to_numpy().astype(np.int64)
    coded = encode_sensitive(typed(found[SENSITIVE]))
    shares = np.bincount(coded.codes, weights=rows, minlength=len(coded.shares)) / max(int(rows.sum()), 1)
    return SensitiveCounts(found["\0tuple"].to_numpy().astype(np.int64), replace(coded, shares=shares), rows)


def people_of(person: pl.LazyFrame, column: str) -> int:
    """How many patients there are. Raises InputInvalid when rows name none.

    Patients are told apart by 64-bit hashes: two that share one count as one, which errs towards more suppression.
    """
    asked = person.select(pl.col(PERSON).null_count().alias("none"), pl.col(PERSON).hash().n_unique().alias("patients"))
    none, patients = asked.collect(engine="streaming").row(0)
    if none:
        raise InputInvalid(f"{none} rows name no patient in column {column}")
    return int(patients)


def pairs_of(person: pl.LazyFrame, tuples: pl.DataFrame) -> tuple[Codes, Codes]:
    """Distinct (tuple, patient) pairs by tuple, patients numbered from 0."""
    numbered = tuples.with_row_index("\0tuple").lazy()
    joined = person.join(numbered, on=tuples.columns, how="inner", nulls_equal=True)
    pairs = joined.select("\0tuple", pl.col(PERSON).hash()).unique().collect(engine="streaming").sort("\0tuple")
    ids = np.unique(pairs[PERSON].to_numpy(), return_inverse=True)[1]
    return pairs["\0tuple"].to_numpy().astype(np.int64), ids.astype(np.int64)


def ladders_for(tuples: pl.DataFrame, folder: Path | None) -> dict[str, Hierarchy]:
    """Every column's hierarchy file, or a ladder that fits its values."""
    found = {}
    for name in tuples.columns:
        path = None if folder is None else hierarchy.find_csv(folder, name)
        found[name] = hierarchy.automatic(tuples[name].unique()) if path is None else hierarchy.from_csv(path, name)
    return found


def in_turn(jobs: Sequence[Job], recipe: Recipe, master: Master, progress: Progress) -> list[Written]:
    """The local engine: one partition after the other, in this process."""
    written = []
    for job in jobs:
        written.append(apply_partition(job, recipe, master.secret))
        progress("write", len(written), len(jobs))
    return written


def plan(source: Source, request: Request, *, hierarchies: Path | None = None, progress: Progress = silent) -> Recipe:
    """Count, search, decide. hierarchies: folder of ARX-style files; other columns get a ladder by their type."""
    columns = actions(request, list(source.schema))
    if request.sensitive is not None:
        require_plain(source, request.sensitive)
    require_kinds(source, columns)
    progress("count", 0, sum(source.rows))
    counts = count(source, request)
    progress("count", sum(source.rows), sum(source.rows))
    ladders = ladders_for(counts.tuples, hierarchies)
    return decide(
        request,
        counts,
        ladders,
        columns=columns,
        source=source.digest,
        progress=lambda checked, bound, best: progress("search", checked, 0),
    )


def require_plain(source: Source, column: str) -> None:
    """Raise ArgumentInvalid for a sensitive column that is not there, InputInvalid for one without plain values."""
    if column not in source.schema:
        raise ArgumentInvalid(f"sensitive column {column} is not in the partitions")
    if (kind := source.schema[column]).is_nested() or kind in (pl.Binary, pl.Object):
        raise InputInvalid(f"column {column} is {kind}, asked are plain values")


def require_kinds(source: Source, columns: Sequence[tuple[str, Action]]) -> None:
    """Raise InputInvalid for a column whose type cannot become what is asked."""
    for name, action in columns:
        kind = source.schema[name]
        if action is Action.SHIFT and not (isinstance(kind, pl.Date | pl.Datetime | pl.String)):
            raise InputInvalid(f"column {name} is {kind}, asked for a shift are dates or text like YYYY-MM-DD")
        if action in (Action.GENERALISE, Action.PSEUDONYMISE) and (kind.is_nested() or kind in (pl.Binary, pl.Object)):
            raise InputInvalid(f"column {name} is {kind}, asked are values that read as text")


def run(
    source: Path,
    request: Request,
    *,
    out: Path,
    master: Master,
    hierarchies: Path | None = None,
    engine: Engine = in_turn,
    progress: Progress = silent,
    saved: Path | None = None,
) -> dict[str, object]:
    """De-identify partitioned Parquet into the folder `out` and return what it cost.

    source: a Parquet file or a folder of partitions. saved: file that the recipe is written to, readable by its owner.
    Raises ArgumentInvalid when `out` holds anything; a failed run leaves nothing under that name.
    """
    began = time.process_time()
    require_free(out)
    found = find(source)
    recipe = plan(found, request, hierarchies=hierarchies, progress=progress)
    planned = time.process_time() - began
    with folder_made_whole(out) as (whole, work):
        jobs = jobs_of(found, recipe, master, whole, work)
        written = engine(jobs, recipe, master, progress)
        began = time.process_time()
        require_unchanged(source, recipe)
        require_as_planned(whole, recipe, written, len(jobs))
        require_protected(found, whole, recipe)
    if saved is not None:
        save(recipe, saved)
    seconds = planned + sum(one.cpu_seconds for one in written) + time.process_time() - began
    return answer(recipe, partitions=len(jobs)) | {"cpu_seconds": round(seconds, 3)}


def require_free(out: Path) -> None:
    """Raise ArgumentInvalid unless `out` can be made: its folder is there, and nothing is in it."""
    if not out.absolute().parent.is_dir():
        raise ArgumentInvalid(f"folder {out.absolute().parent} is not there")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ArgumentInvalid(f"output folder {out.name} is not empty: name one that is not there yet")


@contextmanager
def folder_made_whole(out: Path) -> Iterator[tuple[Path, Path]]:
    """A folder that becomes `out` when the block ends well, and one for what is half made; both gone when it does not.

    They lie beside `out`: a rename within one file system is one step.
    """
    base = Path(mkdtemp(dir=out.absolute().parent, prefix=f".{out.name}."))
    whole, work = base / "whole", base / "work"
    try:
        whole.mkdir()
        work.mkdir()
        yield whole, work
        sync(whole)
        os.rename(whole, out.absolute())
        sync(out.absolute().parent)
    finally:
        shutil.rmtree(base, ignore_errors=True)


def sync(folder: Path) -> None:
    """The names in a folder are on disk when this returns."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def jobs_of(source: Source, recipe: Recipe, master: Master, whole: Path, work: Path) -> list[Job]:
    """One job per partition. Output is numbered in an order drawn from the key: names tell nothing of the input's."""
    key = order_key(recipe, master.secret)
    draws = [hmac.digest(key, number.to_bytes(8, "big"), "sha256") for number in range(len(source.files))]
    places = {draw: place for place, draw in enumerate(sorted(draws))}
    return [
        Job(number, file.absolute(), rows, whole / f"part-{places[draws[number]]:05}.parquet", work)
        for number, (file, rows) in enumerate(zip(source.files, source.rows, strict=True))
    ]


def require_unchanged(source: Path, recipe: Recipe) -> None:
    """Raise InputInvalid when a partition changed after it was counted."""
    if find(source).digest != recipe.source:
        raise InputInvalid(f"{source.name} changed during the run: nothing is released; run again")


def require_as_planned(whole: Path, recipe: Recipe, written: Sequence[Written], partitions: int) -> None:
    """Count what was written, once, and raise RiskTooHigh or InputInvalid unless it is what was decided."""
    files = sorted(whole.iterdir())
    if len(files) != partitions or len(written) != partitions:
        raise InputInvalid(f"{len(files)} partitions were written, asked are {partitions}")
    rows = sum(one.rows for one in written)
    if rows != recipe.rows - recipe.suppressed:
        raise InputInvalid(f"{rows} rows were written, decided were {recipe.rows - recipe.suppressed}")
    sizes = pl.scan_parquet(files).group_by(list(recipe.generalised)).len()
    least, classes = sizes.select(pl.col("len").min(), pl.len().alias("classes")).collect(engine="streaming").row(0)
    if classes and least < recipe.k:
        raise RiskTooHigh("k", found=least, asked=recipe.k)
    if classes != len(next(iter(recipe.classes.values()))):
        raise InputInvalid(f"{classes} classes were written, decided were {len(next(iter(recipe.classes.values())))}")


def require_protected(source: Source, whole: Path, recipe: Recipe) -> None:
    """Count l and t of what was written, against all partitions as they were read, and raise RiskTooHigh for a miss."""
    if recipe.sensitive is None:
        return
    quasi = list(recipe.generalised)
    secret = plainly(recipe.sensitive, source.schema[recipe.sensitive]).alias(SENSITIVE)
    read = pl.scan_parquet(list(source.files), hive_partitioning=False)
    written = pl.scan_parquet(sorted(whole.iterdir()))
    total = read.group_by(secret).agg(pl.len().alias(ROWS)).collect(engine="streaming")
    cells = written.group_by(*quasi, secret).agg(pl.len().alias(ROWS)).collect(engine="streaming")
    coded = encode_sensitive(typed(pl.concat([total[SENSITIVE], cells[SENSITIVE]])))
    shares = np.bincount(coded.codes[: total.height], weights=total[ROWS], minlength=len(coded.shares))
    own = Sensitive(coded.codes[total.height :], shares / sum(source.rows), coded.is_ordered)
    groups, classes = number_rows(cells, quasi)
    for model in diversity(recipe.sensitive, recipe.l, recipe.t):
        weak = int(unprotected(model, groups, own, cells[ROWS].to_numpy().astype(np.int64), classes).sum())
        if weak:
            raise RiskTooHigh(f"classes without l or t: {recipe.sensitive}", found=weak, asked=0)


def save(recipe: Recipe, path: Path) -> None:
    """Write the recipe, readable by its owner: it lists the values of the quasi-identifiers."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(recipe.to_json())


def answer(recipe: Recipe, *, partitions: int) -> dict[str, object]:
    """The stable keys of the command's answer."""
    return {
        "k": recipe.k,
        "loss": recipe.loss,
        "gap": recipe.gap,
        "floors": recipe.floors,
        "suppressed": recipe.suppressed,
        "rows": recipe.rows,
        "classes": len(next(iter(recipe.classes.values()))),
        "transformation": recipe.transformation,
        "risk": {
            "k": recipe.smallest,
            "prosecutor_max": 1 / recipe.smallest if recipe.smallest else 0.0,
            "prosecutor_avg": recipe.average,
            **({} if recipe.sensitive is None else {"l": recipe.least_values, "t": recipe.distance}),
        },
        "partitions": partitions,
        "recipe": recipe.digest,
    }
