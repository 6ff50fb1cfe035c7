"""How a delimited file was written, told from its text: delimiter, quoting, header, null words, decimal mark, dates."""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from typing import Literal

import polars as pl

from hdex.node.sources import dates

DELIMITERS = ",;\t|^~¦\x1f"
SAMPLE_RECORDS = 200
SAMPLE_CHARACTERS = 1 << 18
SAMPLE_CELLS, SAMPLE_VALUES = 5_000, 500  # of a column, as dates.recognise looks at them
NULLS = (
    "NA", "N/A", "n/a", "#N/A", "<NA>", "NULL", "null", "Null", "None", "NaN", "nan", "(null)", "[NULL]", "\\N",
    "?", "-", "--", "—", "——", ".", "/", "缺失", "未填", "未填写", "k. A.", "k.A.",
)  # fmt: skip
NUMBER = re.compile(r"^[+-]?\d+([.,]\d+)*(e[+-]?\d+)?$", re.IGNORECASE)
COMMA_DECIMAL = r"^[+-]?\d+,\d+$"
COMMA_SURE = r"^[+-]?(\d+,\d{1,2}|\d+,\d{4,}|0,\d+|\d{4,},\d+)$"  # 1,234 could be a thousands mark, 1,23 cannot
NUMERIC = r"^[+-]?\d+(,\d+)?$"
ANY_DATE = "|".join(
    re.sub(r"\?P<\w+>", "", shape) for shape in dates.SHAPES.values()
)  # the same group name stands once
DATA_LIKE = re.compile(r"^\d{1,4}[-/.年]\d{1,2}[-/.月]\d{1,4}")


def delimiter_and_quote(text: str) -> tuple[str, str]:
    """Return (delimiter, quote character or ""): the delimiter that cuts most records into the same many fields."""
    sample = text[:SAMPLE_CHARACTERS]
    if len(text) > SAMPLE_CHARACTERS:
        sample = sample[: sample.rfind("\n") + 1] or sample
    found = [(_evenness(sample, mark, quote), mark, quote) for mark in DELIMITERS for quote in quotes_of(sample, mark)]
    score, mark, quote = max(found, key=lambda entry: entry[0])
    return (mark, quote) if score > (0.0, 0) else (",", '"' if '"' in sample else "")


def quotes_of(sample: str, delimiter: str) -> list[str]:
    """Return the quote characters that open a field somewhere; a quote inside a word quotes nothing."""
    edge = re.escape(delimiter)
    double = ['"'] if '"' in sample and re.search(rf'(^|{edge}|\n)"', sample) else []
    single = ["'"] if "'" in sample and re.search(rf"(^|{edge}|\n)'(?:[^']|'')*'({edge}|\r?\n|$)", sample) else []
    return double + single or [""]


def _evenness(sample: str, delimiter: str, quote: str) -> tuple[float, int]:
    """Return (share of records with the commonest number of fields, that number), (0, 0) when nothing is cut."""
    rows = list(split(sample, delimiter, quote))
    widths = Counter(len(row) for row in rows if row)
    if not widths:
        return (0.0, 0)
    width, count = max(widths.items(), key=lambda item: (item[1], item[0]))
    agreed = count / widths.total()
    if width < 2 or (rows[0] and len(rows[0]) != width and agreed < 0.9):
        return (0.0, 0)
    return (round(agreed, 1), width)


def split(sample: str, delimiter: str, quote: str) -> list[list[str]]:
    """Return the first records of a text as lists of fields."""
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE
    reader = csv.reader(sample.splitlines(keepends=True), delimiter=delimiter, quotechar=quote or None, quoting=quoting)
    records: list[list[str]] = []
    try:
        for record in reader:
            records.append(record)
            if len(records) >= SAMPLE_RECORDS:
                break
    except csv.Error:  # a field beyond the module's bound: what was read so far is sample enough
        pass
    return records


def is_header(first: Sequence[str | None]) -> bool:
    """Return whether a first record names columns: distinct words, at most one missing, none that looks like data."""
    names = [name.strip() for name in first if name and name.strip()]
    if len(names) < len(first) - 1 or len(set(names)) != len(names):
        return False
    return not any(NUMBER.match(name) or DATA_LIKE.match(name) or name in NULLS for name in names)


def null_words(frame: pl.DataFrame) -> tuple[str, ...]:
    """Return which of the known words for "no value" stand alone in some cell."""
    cells = pl.col(pl.String).str.strip_chars()
    found = frame.select(cells.filter(cells.is_in(NULLS)).unique().implode())  # one query, however wide the table is
    there = {word for words in found.get_columns() for word in words.item()}
    return tuple(word for word in NULLS if word in there)


def decimal_mark(frame: pl.DataFrame) -> str:
    """Return "," when some column's numbers are written with a decimal comma, else "."."""
    head = pl.all().drop_nulls().head(2_000)
    commas = frame.select(head.str.contains(",", literal=True).any())  # most columns end here, without a pattern
    few = [column.name for column in commas.get_columns() if column.item()]
    if not few:
        return "."
    sample = head.unique().str.strip_chars()
    numbers = sample.str.contains(NUMERIC).all()
    with_comma = numbers & sample.str.contains(COMMA_DECIMAL).any() & sample.str.contains(COMMA_SURE).any()
    return "," if any(column.item() for column in frame.select(few).select(with_comma).get_columns()) else "."


def date_columns(frame: pl.DataFrame) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """Return ((column, pattern), ...) and the columns where day and month could change places.

    An ambiguous column takes the order of the file's unambiguous ones.
    """
    found = {name: seen for name in _dated(frame) if (seen := dates.recognise(frame[name])) is not None}
    sure = {dates.order_of(pattern) for pattern, ambiguous in found.values() if not ambiguous} & {"MDY", "DMY"}
    patterns: list[tuple[str, str]] = []
    doubtful: list[str] = []
    for name, (pattern, ambiguous) in found.items():
        if ambiguous and len(sure) == 1:
            patterns.append((name, reorder(pattern, next(iter(sure)))))
            continue
        patterns.append((name, pattern))
        doubtful.extend([name] if ambiguous else [])
    return tuple(patterns), tuple(doubtful)


def _dated(frame: pl.DataFrame) -> list[str]:
    """Return the columns that may hold dates, by one query: enough of the sample has the shape of some date."""
    if not frame.width:
        return []
    sample = pl.all().drop_nulls().head(SAMPLE_CELLS).unique(maintain_order=True).head(SAMPLE_VALUES)
    shares = frame.select(sample.str.strip_chars().str.contains(ANY_DATE).mean())
    return [column.name for column in shares.get_columns() if (column.item() or 0.0) >= dates.ENOUGH]


def reorder(pattern: str, order: str) -> str:
    """Return the pattern with day and month in the given order (MDY or DMY)."""
    if dates.order_of(pattern) == order:
        return pattern
    day, clock, time = pattern.partition(" ")
    return day.replace("DD", "?").replace("MM", "DD").replace("?", "MM") + clock + time
