"""CSV that a spreadsheet shows and never runs: a cell that would begin a formula is made text."""

import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal

RISKY = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")  # what spreadsheets take for the start of a formula or command
WIDE = "＝＋－＠"  # full-width forms, which some spreadsheets read alike
FORMULA = rf"^\s*[{re.escape(''.join(RISKY) + WIDE)}]"  # in the words of Python and of polars


def cell(value: object) -> str:
    """Return a value as a cell: text that could begin a formula, after any spaces, gets an apostrophe before it."""
    if isinstance(value, int | float | Decimal):
        return str(value)
    text = "" if value is None else str(value)
    if isinstance(value, list | tuple | dict):
        text = json.dumps(value, ensure_ascii=False)
    return f"'{text}" if re.match(FORMULA, text) else text


def uncell(text: str) -> str:
    """Return the text of a cell that `cell` made."""
    return text[1:] if text.startswith("'") and cell(text[1:]) == text else text


def to_csv(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """Return a table as CSV (RFC 4180, UTF-8 with a byte order mark, so that spreadsheets read Chinese)."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow([cell(head) for head in heads])
    writer.writerows([cell(value) for value in row] for row in rows)
    return b"\xef\xbb\xbf" + file.getvalue().encode("utf-8", "replace")
