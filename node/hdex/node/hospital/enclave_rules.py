"""What an enclave's output must look like before a person is shown it: tables of counts, nothing like a row. Pure.

Rules find what is careless, not what is disguised; that is why a person reads each output too.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Mapping

import polars as pl

from hdex.federated.disclosure_regimes import Regime
from hdex.federated.disclosure_rules import small
from hdex.node.errors import AccessDenied

COUNT = "n"
MOST_ROWS, MOST_COLUMNS, MOST_SHARE = 200, 12, 0.1  # rows also at most this share of the frame's
MOST_DIGITS = 12
WORD = re.compile(r"[\w][\w .,:;%()/<>\[\]≥≤-]{0,59}")
WHOLE = re.compile(rf"[0-9]{{1,{MOST_DIGITS}}}")  # isdigit() knows digits that are no number, as in 4²
NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?", re.ASCII)


def require_harmless(outputs: Mapping[str, bytes], frame: pl.DataFrame, floors: Regime) -> int:
    """Return how many cells the outputs hold. Raises AccessDenied with the first rule that one breaks."""
    seen = {name: Counter(written(frame[name])) for name in frame.columns}
    return sum(table_cells(data, frame, seen, floors) for data in outputs.values())


def table_cells(data: bytes, frame: pl.DataFrame, seen: Mapping[str, Counter[str]], floors: Regime) -> int:
    """Return the cells of one table, once it keeps the rules."""
    header, rows = table_of(data)
    if COUNT not in header or len(set(header)) != len(header) or len(header) > MOST_COLUMNS:
        raise refused("columns", f"a column {COUNT} and at most {MOST_COLUMNS} columns are asked")
    if len(rows) > min(MOST_ROWS, MOST_SHARE * frame.height):
        raise refused("rows", f"at most {MOST_ROWS} rows, and {MOST_SHARE:.0%} of those of the frame")
    shared = [name for name in header if name in seen]
    own = Counter(zip(*(written(frame[name]) for name in shared), strict=True)) if shared else Counter()
    for row in rows:
        cells = dict(zip(header, row, strict=True))
        if not WHOLE.fullmatch(cells[COUNT]) or small(int(cells[COUNT]), floors):
            raise refused("count", f"each row stands on none or on {floors.cell} rows of the frame at least")
        if shared and small(own[tuple(plain(cells[name]) for name in shared)], floors):
            raise refused("row_like", "a line repeats values that few rows have together")
        for text in row:
            require_cell(text, seen, floors)
    return len(rows) * len(header)


def require_cell(text: str, seen: Mapping[str, Counter[str]], floors: Regime) -> None:
    """Raise AccessDenied for a text that is long, runs in a spreadsheet, or that few rows of the frame have."""
    if sum(one.isdigit() for one in text) > MOST_DIGITS:
        raise refused("digits", f"a cell has at most {MOST_DIGITS} digits: round it")
    if not text or NUMBER.fullmatch(text):
        return
    if not WORD.fullmatch(text) or any(small(counts[plain(text)], floors) for counts in seen.values()):
        raise refused("text", "a cell is a number or a short word that many rows share")


def table_of(data: bytes) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of a CSV. Raises AccessDenied."""
    try:
        lines = list(csv.reader(io.StringIO(data.decode("utf-8")), strict=True))
    except (UnicodeDecodeError, csv.Error):
        raise refused("table", "UTF-8 tables with commas are asked") from None
    if not lines or any(len(line) != len(lines[0]) for line in lines):
        raise refused("table", "each row has as many cells as the header")
    if not all(WORD.fullmatch(name) for name in lines[0]):
        raise refused("columns", "columns have short names")
    return lines[0], lines[1:]


def written(column: pl.Series) -> list[str]:
    """Return a column as texts, one number one way."""
    return [plain(text) for text in column.cast(pl.String).fill_null("").to_list()]


def plain(text: str) -> str:
    """Return a cell as compared."""
    try:
        return f"{float(text):.12g}"
    except ValueError:
        return text.strip().lower()


def refused(rule: str, why: str) -> AccessDenied:
    """Return the refusal of an output."""
    return AccessDenied(f"enclave.{rule}", "write tables of counts", why)
