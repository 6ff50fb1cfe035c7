"""Tables as files: delimited text in the encodings hospitals write, or Parquet; written whole or not at all."""

from __future__ import annotations

import codecs
import csv
import os
from collections import Counter
from pathlib import Path
from tempfile import NamedTemporaryFile

import polars as pl

from hdex.deid.errors import ArgumentInvalid, InputInvalid

DELIMITERS = (";", ",", "\t", "|")
PARQUET, TEXT = (".parquet", ".pq"), (".csv", ".tsv", ".txt", ".psv")
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
COMMON_HAN = 0.6  # share of the wide characters that text of another encoding, read as GB18030, hardly reaches


def read_table(path: Path) -> tuple[pl.DataFrame, str]:
    """A table and its delimiter ("" for Parquet). Text stays text: what is written out is what was read.

    Text is UTF-8, UTF-16 with its mark, or GB18030. Raises InputInvalid for a file that is no table of at least one
    row under names that differ.
    """
    if not path.is_file():
        raise InputInvalid(f"{path.name}: no such file")
    try:
        if path.suffix.lower() in PARQUET:
            return non_empty(pl.read_parquet(path), path), ""
        content = text_of(path)
        head = content[: content.find(b"\n") + 1 or len(content)].decode(errors="replace")
        delimiter = max(DELIMITERS, key=head.count)
        require_names(head, delimiter, path)
        return non_empty(pl.read_csv(content, separator=delimiter, infer_schema=False), path), delimiter
    except pl.exceptions.NoDataError as error:
        raise InputInvalid(f"{path.name} is empty") from error
    except pl.exceptions.PolarsError as error:
        raise InputInvalid(f"{path.name} cannot be read as a table with equal lines") from error


def text_of(path: Path) -> bytes:
    """The text of a file as UTF-8 without a mark."""
    content = path.read_bytes()
    if content.startswith(UTF16):
        return decoded(content, "utf-16", path).encode()
    content = content.removeprefix(codecs.BOM_UTF8)
    try:
        content.decode()
    except UnicodeDecodeError as error:
        if is_chinese(content):
            return decoded(content, "gb18030", path).encode()
        line = content.count(b"\n", 0, error.start) + 1
        advice = f"save it as UTF-8, or: iconv -f ENCODING -t UTF-8 {path.name}"
        raise InputInvalid(f"{path.name} is not UTF-8 text: line {line}. {advice}") from error
    return content


def decoded(content: bytes, encoding: str, path: Path) -> str:
    """The text, or InputInvalid."""
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise InputInvalid(f"{path.name} begins as {encoding} text and holds bytes that are none") from error


def is_chinese(content: bytes) -> bool:
    """Whether bytes read as GB18030 are mostly the characters that Chinese text is made of."""
    try:
        wide = [character for character in content.decode("gb18030") if character > "\x7f"]
    except UnicodeDecodeError:
        return False
    codes = [character.encode("gb18030") for character in wide]
    common = sum(1 for code in codes if len(code) == 2 and code[0] <= 0xF7 and code[1] >= 0xA1)  # GB 2312
    return bool(wide) and common >= COMMON_HAN * len(wide)


def require_names(head: str, delimiter: str, path: Path) -> None:
    """Raise InputInvalid for a name that two columns have: one would be left unprotected under another name."""
    names = next(csv.reader([head], delimiter=delimiter), [])
    twice = sorted(name for name, times in Counter(names).items() if times > 1)
    if twice:
        raise InputInvalid(f"{path.name}: columns {', '.join(map(repr, twice))} stand in the header more than once")


def non_empty(frame: pl.DataFrame, path: Path) -> pl.DataFrame:
    """The frame, when it has a row."""
    if frame.height == 0:
        raise InputInvalid(f"{path.name} has 0 rows")
    return frame


def require_writable(out: Path) -> None:
    """Raise ArgumentInvalid for a file that cannot be written, before work is done for it."""
    if out.suffix.lower() not in (*PARQUET, *TEXT):
        kinds = ", ".join((*TEXT, *PARQUET))
        raise ArgumentInvalid(f"{out.name} ends in {out.suffix or 'nothing'}, asked is one of {kinds}")
    if not out.parent.is_dir():
        raise ArgumentInvalid(f"folder {out.parent} is not there")


def write_table(frame: pl.DataFrame, out: Path, delimiter: str) -> None:
    """Write all or nothing: a file that is there is whole."""
    require_writable(out)
    with NamedTemporaryFile(dir=out.parent, prefix=f".{out.name}.", delete=False) as file:
        part = Path(file.name)
    try:
        if out.suffix.lower() in PARQUET:
            frame.write_parquet(part)
        else:
            frame.write_csv(part, separator=delimiter or ",")
        os.replace(part, out)
    finally:
        part.unlink(missing_ok=True)
