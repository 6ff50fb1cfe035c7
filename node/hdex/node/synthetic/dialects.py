"""How three hospitals write the same record: headers, words, units, dates, delimiters, encodings."""

import gzip
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import polars as pl
import polars.selectors as cs

from hdex.node.synthetic.tables import LDL

MG_PER_MMOL = 38.665  # LDL cholesterol
SCRIPTS = ("zh", "en", "mixed")  # of names and notes, in the order of the dialects


@dataclass(frozen=True, slots=True)
class Writing:
    """How one hospital writes: files, headers, words and marks. Read from dialects.toml."""

    name: str
    date: str
    time: str
    encoding: str
    delimiter: str
    decimal: str
    side: list[str]  # left, right
    units: dict[str, str]  # concept -> unit
    files: dict[str, str]  # neutral table -> file name
    headers: dict[str, dict[str, str]]  # neutral table -> neutral column -> header, in order
    words: dict[str, dict[str, str]]  # table.column -> value -> hospital's word


@cache
def writings() -> tuple[Writing, ...]:
    """Return the dialects in the order hospitals take them."""
    text = resources.files("hdex.node.synthetic").joinpath("dialects.toml").read_text(encoding="utf-8")
    return tuple(Writing(**entry) for entry in tomllib.loads(text)["dialect"])


def write(tables: dict[str, pl.DataFrame], writing: Writing, folder: Path) -> None:
    """Write one hospital's export into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, file in writing.files.items():
        frame = _spoken(name, tables[name], writing)
        if file.endswith(".parquet"):
            frame.write_parquet(folder / file)
            continue
        content = _text(frame, writing).encode(writing.encoding)
        (folder / file).write_bytes(gzip.compress(content, mtime=0) if file.endswith(".gz") else content)


def _spoken(name: str, frame: pl.DataFrame, writing: Writing) -> pl.DataFrame:
    """Return the table in the hospital's units, words and headers."""
    if name == "lab":
        frame = _in_units(frame, writing)
    if name == "implant":
        left, right = (pl.lit(word) for word in writing.side)
        frame = frame.with_columns(side=pl.when("left").then(left).otherwise(right))
    known = {column: writing.words.get(f"{name}.{column}", {}) for column in frame.columns}
    words = [pl.col(column).cast(pl.String).replace(found) for column, found in known.items() if found]
    return frame.with_columns(words).select(pl.col(old).alias(new) for old, new in writing.headers[name].items())


def _in_units(labs: pl.DataFrame, writing: Writing) -> pl.DataFrame:
    labs = labs.with_columns(unit=pl.col("item").replace_strict(writing.units))
    in_mg = (pl.col("item") == LDL) & (pl.col("unit") == "mg/dL")
    return labs.with_columns(value=pl.when(in_mg).then((pl.col("value") * MG_PER_MMOL).round(0)).otherwise("value"))


def _text(frame: pl.DataFrame, writing: Writing) -> str:
    written = frame.with_columns(
        cs.date().dt.strftime(writing.date),
        cs.datetime().dt.strftime(writing.time),
        cs.float().cast(pl.String).str.replace(".", writing.decimal, literal=True),
    )
    return written.write_csv(separator=writing.delimiter, line_terminator="\r\n")
