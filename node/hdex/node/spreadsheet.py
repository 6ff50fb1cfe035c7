"""Lists as CSV that a spreadsheet opens without running anything: others wrote the texts."""

import csv
import io
import json
from collections.abc import Mapping, Sequence

RUNS = tuple("=+-@\t\r\n")  # a cell that begins so is taken for a formula, or for two cells
WIDE = str.maketrans("＝＋－＠", "=+-@")  # full-width forms, which some spreadsheets read alike


def to_csv(rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> str:
    """Return rows as CSV (RFC 4180), every text harmless."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
    writer.writerow(columns)
    writer.writerows([harmless(row.get(name, "")) for name in columns] for row in rows)
    return out.getvalue()


def harmless(value: object) -> object:
    """Return a cell that no spreadsheet takes for a formula; what is not a text or a number is written as JSON."""
    if isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"'{text}" if text.lstrip(" ").translate(WIDE).startswith(RUNS) else text
