"""One partition as a recipe says: the rows that may leave, in an order that says nothing.

`apply_partition` depends on its arguments only, so that whoever runs it writes the same bytes. What a file says besides
its rows is taken away: rows stand in an order drawn from the key and the recipe, categories nobody holds are not
listed, the writer's settings are fixed. What stays: which rows share a partition, and how many it has. Do not cut a
table by what must not be told.

Memory: some batches of CELLS cells. A partition of more is sorted in buckets on disk; what is put there may leave.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from hdex.deid import pseudonym
from hdex.deid.errors import InputInvalid
from hdex.deid.hierarchy import as_text
from hdex.deid.recipe import Generalised, Recipe
from hdex.deid.treatment import Action

CELLS = 16_000_000  # of one batch
LEAST_BATCH = 10_000  # rows
ROW_GROUP = 131_072  # rows of the output's row groups
COMPRESSION_LEVEL = 3
ORDER = "\0order"  # a column of our own, beside whatever the table calls its columns
PLACE_BYTES = 8  # of the key stream, for one row
BLOCK_ROWS = 2  # rows per block of AES
READABLE_BY_OTHERS = 0o077


@dataclass(frozen=True, slots=True)
class Job:
    """One partition: where it lies and where its output goes."""

    number: int
    source: Path
    rows: int
    target: Path
    work: Path  # folder for what is half made


@dataclass(frozen=True, slots=True)
class Written:
    """What one partition became."""

    number: int
    rows: int  # released
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Master:
    """The secret that every key is derived from, and its file where it has one. Never shown."""

    secret: bytes = field(repr=False)
    path: Path | None = None

    def __post_init__(self) -> None:
        pseudonym.require_key(self.secret)


@dataclass(frozen=True, slots=True)
class RunKeys:
    """The keys of one recipe. Never shown."""

    order: bytes = field(repr=False)
    shift: bytes = field(repr=False)
    columns: Mapping[str, bytes] = field(repr=False)  # of every column that becomes a pseudonym


def read_master(path: Path) -> Master:
    """The key in a file (white space around it does not count). Raises InputInvalid when it is too short."""
    secret = path.read_bytes().strip()
    if len(secret) < pseudonym.KEY_BYTES:
        raise InputInvalid(f"key file {path.name} holds {len(secret)} bytes, asked are {pseudonym.KEY_BYTES} or more")
    return Master(secret, path)


def is_open_to_others(path: Path) -> bool:
    """Say whether somebody besides its owner may read or change a key file."""
    return bool(path.stat().st_mode & READABLE_BY_OTHERS)


def order_key(recipe: Recipe, secret: bytes) -> bytes:
    """The key of the order of rows and partitions: another recipe orders otherwise, so two releases do not line up."""
    return pseudonym.derive(secret, "order", recipe.recipient, recipe.project, recipe.digest)


def run_keys(recipe: Recipe, secret: bytes) -> RunKeys:
    """Patients get the keys that hdex.deid.pipeline gives them, other columns one each."""
    recipient, project = recipe.recipient, recipe.project
    keys = pseudonym.derive_keys(secret, recipient=recipient, project=project)
    columns = {
        name: keys.pseudonym
        if name == recipe.patient
        else pseudonym.derive_column_key(secret, recipient=recipient, project=project, kind=name)
        for name, action in recipe.columns
        if action is Action.PSEUDONYMISE
    }
    return RunKeys(order_key(recipe, secret), keys.shift, columns)


def apply_partition(job: Job, recipe: Recipe, secret: bytes) -> Written:
    """Write one partition as the recipe says: whole under its name, or not at all.

    The bytes depend on the partition, its number, the recipe and the key only. Raises InputInvalid when the partition
    is not the one the recipe was made for.
    """
    began = time.process_time()
    keys = run_keys(recipe, secret)
    buckets = -(-job.rows // batch_rows(recipe)) or 1
    with TemporaryDirectory(dir=job.work) as name:
        folder = Path(name)
        for batch in range(buckets):
            spill(released(job, recipe, keys, batch=batch), folder, buckets, batch)
        kept = sum(ordered(folder, buckets, bucket) for bucket in range(buckets))
        write([folder / f"ordered-{bucket:05}" for bucket in range(buckets)], folder / "whole")
        os.replace(folder / "whole", job.target)
    return Written(job.number, kept, time.process_time() - began)


def batch_rows(recipe: Recipe) -> int:
    """Rows that are held at once; by the width of the table only, so that every machine cuts alike."""
    rows = max(CELLS // len(recipe.columns), LEAST_BATCH)
    return rows - rows % BLOCK_ROWS


def spill(frame: pl.DataFrame, folder: Path, buckets: int, batch: int) -> None:
    """Put rows into files by the first bits of their places."""
    width = (1 << 64) // buckets + 1
    for bucket in range(buckets):
        here = frame.filter(pl.col(ORDER) // width == bucket) if buckets > 1 else frame
        here.write_ipc(folder / f"bucket-{bucket:05}-{batch:05}")


def ordered(folder: Path, buckets: int, bucket: int) -> int:
    """Put the rows of one bucket in the order of their places; return how many there are."""
    files = [folder / f"bucket-{bucket:05}-{batch:05}" for batch in range(buckets)]
    frame = pl.concat([pl.read_ipc(file) for file in files])
    for file in files:
        file.unlink()
    frame.sort(ORDER, maintain_order=True).drop(ORDER).write_ipc(folder / f"ordered-{bucket:05}")
    return frame.height


def write(parts: list[Path], target: Path) -> None:
    """One Parquet file of ordered parts, on disk when this returns, the same bytes for the same rows."""
    pl.scan_ipc(parts).sink_parquet(
        target,
        compression="zstd",
        compression_level=COMPRESSION_LEVEL,
        row_group_size=ROW_GROUP,
        maintain_order=True,
        sync_on_close="all",
        engine="streaming",
    )


def released(job: Job, recipe: Recipe, keys: RunKeys, *, batch: int) -> pl.DataFrame:
    """The rows of one batch that may leave, treated, with their places."""
    start = batch * batch_rows(recipe)
    frame = read(job, recipe, start)
    groups = {name: group_numbers(frame[name], one, job) for name, one in recipe.generalised.items()}
    keep = is_released(groups, recipe)
    order = places(keys.order, job.number, start, frame.height).filter(keep)
    frame = frame.filter(keep)
    days = None
    if any(action is Action.SHIFT for _, action in recipe.columns):
        days = pseudonym.shift_days(frame[str(recipe.patient)], keys.shift, recipe.shift_days)
    columns = []
    for name, action in recipe.columns:
        if action is Action.GENERALISE:
            columns.append(labelled(frame[name], recipe.generalised[name], groups[name].filter(keep)))
        elif action is Action.PSEUDONYMISE:
            columns.append(pseudonym.pseudonyms(frame[name], keys.columns[name]))
        elif action is Action.SHIFT and days is not None:
            columns.append(moved(frame[name], days, job))
        elif action is Action.KEEP:
            columns.append(frame[name])
    return pl.DataFrame([*columns, order])


def read(job: Job, recipe: Recipe, start: int) -> pl.DataFrame:
    """One batch of the columns that are needed."""
    needed = [name for name, action in recipe.columns if action is not Action.REMOVE or name == recipe.patient]
    asked = min(batch_rows(recipe), job.rows - start)
    scan = pl.scan_parquet(job.source, hive_partitioning=False)
    try:
        schema = pl.read_parquet_schema(job.source)
        frame = scan.select(plainly(name, schema[name]) for name in needed).slice(start, asked).collect()
    except (KeyError, pl.exceptions.PolarsError):  # polars' own words may quote what it read
        raise InputInvalid(f"partition {job.source.name} is not the one that was counted") from None
    if frame.height != asked:
        raise InputInvalid(f"partition {job.source.name} is not the one that was counted: rows are missing")
    return frame


def plainly(name: str, kind: pl.DataType) -> pl.Expr:
    """A column with one form of every value: NaN is NULL, -0.0 is 0.0, categories are text (a type lists them all)."""
    if kind.is_float():
        zero = pl.lit(0.0, dtype=kind)
        return pl.when(pl.col(name) == zero).then(zero).otherwise(pl.col(name).fill_nan(None)).alias(name)
    return pl.col(name).cast(pl.String) if kind in (pl.Categorical, pl.Enum) else pl.col(name)


def group_numbers(values: pl.Series, one: Generalised, job: Job) -> pl.Series:
    """The group of every value. Raises InputInvalid for a value that the recipe does not know."""
    known = [number for number, leaf in enumerate(one.leaves) if leaf is not None]
    nulls = [number for number, leaf in enumerate(one.leaves) if leaf is None]
    kinds = pl.Enum([str(one.leaves[number]) for number in known])
    try:
        places = as_text(values).cast(kinds).to_physical().cast(pl.Int64).fill_null(len(known)).to_numpy()
    except pl.exceptions.PolarsError:  # its words quote the value
        raise InputInvalid(
            f"column {values.name} of partition {job.source.name} was not like this when counted"
        ) from None
    groups = np.array([one.groups[number] for number in [*known, *nulls]], dtype=np.int64)
    if len(places) and int(places.max()) >= len(groups):
        raise InputInvalid(f"column {values.name} of partition {job.source.name} had no NULL when counted")
    return pl.Series(values.name, groups[places])


def is_released(groups: Mapping[str, pl.Series], recipe: Recipe) -> pl.Series:
    """Which rows are of a class that may leave."""
    names = list(groups)
    classes = pl.DataFrame({name: pl.Series(recipe.classes[name], dtype=pl.Int64) for name in names})
    rows = pl.DataFrame(list(groups.values()))
    marked = rows.join(classes.with_columns(pl.lit(True).alias(ORDER)), on=names, how="left", maintain_order="left")
    return marked[ORDER].fill_null(False)


def labelled(values: pl.Series, one: Generalised, groups: pl.Series) -> pl.Series:
    """A quasi-identifier at its level; level 0 keeps value and type."""
    if one.level == 0:
        return values
    return pl.Series(one.labels, dtype=pl.String).gather(groups).alias(values.name)


def moved(values: pl.Series, days: pl.Series, job: Job) -> pl.Series:
    """Dates by the patient's days; text that is ISO days stays text."""
    if values.dtype != pl.String:
        return pseudonym.shift_dates(values, days)
    try:
        dates = values.str.to_date("%Y-%m-%d")
    except pl.exceptions.PolarsError:  # its words quote the value
        where = f"column {values.name} of partition {job.source.name}"
        raise InputInvalid(f"{where} holds texts that are no days, asked is YYYY-MM-DD") from None
    return pseudonym.shift_dates(dates, days).dt.strftime("%Y-%m-%d")


def places(key: bytes, number: int, start: int, rows: int) -> pl.Series:
    """64 bits of AES-256-CTR's key stream for each row of partition `number` from row `start` (even) on."""
    counter = number.to_bytes(8, "big") + (start // BLOCK_ROWS).to_bytes(8, "big")
    stream = Cipher(AES(key), CTR(counter)).encryptor().update(bytes(PLACE_BYTES * rows))
    drawn = np.frombuffer(stream, dtype="<u8")
    return pl.Series(ORDER, drawn, dtype=pl.UInt64)
