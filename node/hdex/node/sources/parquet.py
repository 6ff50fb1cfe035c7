"""Parquet -> one Table of text columns, so that every source goes the same way through the mapping."""

from pathlib import Path

import polars as pl

from hdex.node.sources import sniff
from hdex.node.sources.errors import SourceBroken, SourceUnknown
from hdex.node.sources.export import FILE, ROW, Dialect, Limits, Override, Table

MAGIC = b"PAR1"


def read_parquet(path: Path, name: str, *, limits: Limits, override: Override) -> Table:
    """Return the file as a table of text; dates and times in ISO form. Nested columns are refused by name."""
    if path.stat().st_size > limits.max_bytes:
        raise SourceBroken(path.name, None, f"more than {limits.max_bytes} bytes")
    try:
        typed = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise SourceBroken(path.name, None, "the file does not parse as Parquet") from error
    nested = [column for column, dtype in typed.schema.items() if dtype.is_nested() or dtype in (pl.Binary, pl.Object)]
    if nested:
        raise SourceUnknown(f"{path.name}: columns {', '.join(nested)} hold nested or binary values")
    text = typed.select(pl.all().cast(pl.String))
    patterns, doubtful = sniff.date_columns(text)
    patterns = tuple((dict(patterns) | dict(override.dates)).items())
    rows = pl.int_range(1, text.height + 1, dtype=pl.UInt32, eager=True).alias(ROW)
    frame = text.with_columns(rows, pl.lit(path.name).alias(FILE))
    return Table(name, frame, Dialect(kind="parquet", dates=patterns, ambiguous=doubtful), (path.name,))
