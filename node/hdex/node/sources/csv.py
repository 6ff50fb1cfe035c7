"""Delimited text of any dialect -> one Table of text columns. A damaged file is refused whole, with file and line."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from hdex.node.sources import dates, sniff
from hdex.node.sources.encoding import read_bytes, to_utf8
from hdex.node.sources.errors import OverrideInvalid, SourceBroken, SourceUnknown
from hdex.node.sources.export import FILE, ROW, Dialect, Limits, Override, Table

NEWLINE, RETURN = 10, 13
SEPARATOR_LINE = re.compile(rb"^sep=(.)\r?\n", re.IGNORECASE)  # what spreadsheets write above the header

Positions = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Records:
    """Where the records of a text lie: line of each one and its number of fields; blank lines are cut out of data."""

    data: bytes
    lines: Positions
    widths: Positions


def read_csv(path: Path, name: str, *, limits: Limits, override: Override) -> Table:
    """Return the file as a table of text. Raises SourceBroken (damage) or SourceUnknown (no header row)."""
    content, compression = read_bytes(path, limits)
    data, encoding = to_utf8(content, path.name, override.encoding)
    skipped, data, stated = _separator_line(data)
    delimiter, quote = _marks(data, override, stated)
    records = scan(data, delimiter, quote, file=path.name)
    _require_even(records, path.name, skipped, limits)
    cells = _cells(records, delimiter, quote, path.name)
    frame = _named(cells, records.lines + skipped, override, path.name)
    nulls = sniff.null_words(frame) if override.nulls is None else override.nulls
    frame = _without_nulls(frame, nulls)
    patterns, doubtful = _dates(frame, override, path.name)
    dialect = Dialect(
        kind="csv",
        encoding=encoding,
        compression=compression,
        delimiter=delimiter,
        quote=quote,
        header=override.header is None,
        nulls=nulls,
        decimal=override.decimal or sniff.decimal_mark(frame.drop(ROW)),
        dates=patterns,
        ambiguous=doubtful,
    )
    return Table(name, frame.with_columns(pl.lit(path.name).alias(FILE)), dialect, (path.name,))


def _separator_line(data: bytes) -> tuple[int, bytes, str | None]:
    """Return (lines cut off, rest, delimiter stated) for a first line such as `sep=;`."""
    match = SEPARATOR_LINE.match(data)
    return (1, data[match.end() :], match[1].decode()) if match else (0, data, None)


def _marks(data: bytes, override: Override, stated: str | None) -> tuple[str, str]:
    text = data[: 2 * sniff.SAMPLE_CHARACTERS].decode(errors="ignore")
    delimiter, quote = sniff.delimiter_and_quote(text)
    delimiter = override.delimiter or stated or delimiter
    if override.quote is not None:
        quote = override.quote
    elif delimiter not in text or override.delimiter or stated:
        quote = sniff.quotes_of(text, delimiter)[0]
    if len(delimiter.encode()) != 1 or len(quote.encode()) > 1:
        raise OverrideInvalid("delimiter and quote are one ASCII character each")
    return delimiter, quote


def scan(data: bytes, delimiter: str, quote: str, *, file: str) -> Records:
    """Return the records of a text by counting marks outside quotes.

    Raises SourceBroken at an opening quote that is never closed, and at a quote in the middle of a quoted field.
    """
    data = data if data.endswith(b"\n") else data + b"\n"
    array = np.frombuffer(data, dtype=np.uint8)
    quotes = np.flatnonzero(array == ord(quote)) if quote else np.empty(0, dtype=np.int64)
    newlines = np.flatnonzero(array == NEWLINE)
    _require_closed(array, quotes, delimiter, quote, file)
    ends = _outside(newlines, quotes)
    starts = np.concatenate((np.zeros(1, dtype=np.int64), ends[:-1] + 1))
    marks = _outside(np.flatnonzero(array == ord(delimiter)), quotes)
    widths = np.diff(np.searchsorted(marks, ends), prepend=0) + 1
    lines = np.searchsorted(newlines, starts) + 1
    length = ends - starts
    blank = (length == 0) | ((length == 1) & (array[starts] == RETURN))
    return Records(_cut(data, starts[blank], ends[blank]), lines[~blank], widths[~blank])


def _outside(positions: Positions, quotes: Positions) -> Positions:
    """Return the positions before which an even number of quotes stands."""
    return positions[np.searchsorted(quotes, positions) % 2 == 0] if len(quotes) else positions


def _cut(data: bytes, starts: Positions, ends: Positions) -> bytes:
    if not len(starts):
        return data
    keep = np.ones(len(data), dtype=bool)
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        keep[start : end + 1] = False
    return np.frombuffer(data, dtype=np.uint8)[keep].tobytes()


def _require_closed(array: npt.NDArray[np.uint8], quotes: Positions, delimiter: str, quote: str, file: str) -> None:
    """Check that quotes open after, and close before, a delimiter or a line's end, or are doubled."""
    if not len(quotes):
        return
    edges = np.array([ord(delimiter), NEWLINE, RETURN, ord(quote)], dtype=np.uint8)
    opening, closing = quotes[0::2], quotes[1::2]
    before = opening > 0
    wrong = opening[before][~np.isin(array[opening[before] - 1], edges)]
    after = closing < len(array) - 1
    wrong = np.concatenate((wrong, closing[after][~np.isin(array[closing[after] + 1], edges)]))
    if len(wrong):
        line = int(np.count_nonzero(array[: wrong.min()] == NEWLINE)) + 1
        raise SourceBroken(file, line, "a quote that neither opens nor closes a field")
    if len(quotes) % 2:
        line = int(np.count_nonzero(array[: quotes[-1]] == NEWLINE)) + 1
        raise SourceBroken(file, line, "a quoted field is never closed")


def _require_even(records: Records, file: str, skipped: int, limits: Limits) -> None:
    if not len(records.widths):
        raise SourceBroken(file, None, "the file holds only blank lines")
    width = int(records.widths[0])
    if width > limits.max_columns:
        raise SourceBroken(file, 1, f"{width} columns, at most {limits.max_columns} are taken")
    ragged = np.flatnonzero(records.widths != width)
    if len(ragged):
        first = int(ragged[0])
        line, found = int(records.lines[first]) + skipped, int(records.widths[first])
        raise SourceBroken(file, line, f"{found} fields where the first record has {width}")


def _cells(records: Records, delimiter: str, quote: str, file: str) -> pl.DataFrame:
    """Return all records, the first included, as columns of text."""
    try:
        frame = pl.read_csv(
            records.data,
            has_header=False,
            separator=delimiter,
            quote_char=quote or None,
            infer_schema=False,
            raise_if_empty=False,
        )
    except pl.exceptions.PolarsError:
        # its message may quote a cell, so the chain is cut here
        raise SourceBroken(file, None, "the text does not parse as delimited records") from None
    if frame.height != len(records.lines):
        raise SourceBroken(file, None, f"{frame.height} records were read where {len(records.lines)} stand")
    return frame


def _named(cells: pl.DataFrame, lines: Positions, override: Override, file: str) -> pl.DataFrame:
    """Return the frame under its column names, with the line of each row."""
    cells = cells.with_columns(pl.Series(ROW, lines, dtype=pl.UInt32))
    width = cells.width - 1
    if override.header is not None:
        return cells.rename(dict(zip(cells.columns[:width], _stated(override.header, width, file), strict=True)))
    first = cells.row(0)[:width]
    if not sniff.is_header(first):
        raise SourceUnknown(f"{file}: the first of {width} columns' records is no header; name them in dialect.toml")
    names = [(name or f"column_{index}").strip() for index, name in enumerate(first, 1)]
    return cells.slice(1).rename(dict(zip(cells.columns[:width], names, strict=True)))


def _stated(header: tuple[str, ...], width: int, file: str) -> tuple[str, ...]:
    if len(header) != width or len(set(header)) != width:
        raise OverrideInvalid(f"{file}: {len(set(header))} distinct names stated for {width} columns")
    return header


def _without_nulls(frame: pl.DataFrame, nulls: tuple[str, ...]) -> pl.DataFrame:
    if not nulls:
        return frame
    cells = pl.col(pl.String)
    return frame.with_columns(pl.when(cells.str.strip_chars().is_in(nulls)).then(None).otherwise(cells).name.keep())


def _dates(frame: pl.DataFrame, override: Override, file: str) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """Return the date patterns, those stated by a person before those sniffed."""
    patterns, doubtful = sniff.date_columns(frame.drop(ROW))
    for column, pattern in override.dates:
        try:
            dates.order_of(pattern)
        except ValueError as error:
            raise OverrideInvalid(f"{file}: {error}") from error
        if column not in frame.columns:
            raise OverrideInvalid(f"{file}: a date pattern is stated for a column that does not exist")
    merged = dict(patterns) | dict(override.dates)
    return tuple(merged.items()), tuple(name for name in doubtful if name not in dict(override.dates))
