"""A table as CSV that a spreadsheet opens as text: no cell is a formula, whoever wrote what stands in it."""

import csv
import io
from collections.abc import Iterable, Sequence

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
BOM = "\ufeff"  # without it a spreadsheet takes UTF-8 for the local code page


def sheet(head: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """Return the CSV of a table, UTF-8 with byte order mark, lines ended as RFC 4180 asks."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n", quoting=csv.QUOTE_ALL)
    writer.writerow([cell(name) for name in head])
    writer.writerows([cell(value) for value in row] for row in rows)
    return (BOM + out.getvalue()).encode("utf-8", "replace")


def cell(value: object) -> str:
    """Return a cell: numbers as they are, a text that a spreadsheet would compute behind an apostrophe."""
    if value is None:
        return ""
    if isinstance(value, int | float):
        return str(value)
    text = str(value)
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA) or text.startswith(FORMULA) else text
