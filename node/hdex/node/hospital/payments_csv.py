"""Payments as CSV files: a bank statement comes in, payment orders go out.

Statement, UTF-8, one entry a line under the heads `id,booked,amount,currency,payer,reference`; amounts as 48000.00.
"""

import csv
import io
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from hdex.catalog.errors import PriceInvalid
from hdex.catalog.money import to_decimal, to_minor
from hdex.catalog.spreadsheet import to_csv, uncell
from hdex.node.durable import write_atomic
from hdex.node.errors import PaymentsInvalid
from hdex.node.hospital.payments import BankEntry, PaymentOrder, Payments

HEADS = ("id", "booked", "amount", "currency", "payer", "reference")
ORDER_HEADS = ("id", "payee", "amount", "currency", "reference")
MOST_BYTES, MOST_ROWS, LONGEST = 1 << 20, 5_000, 256
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}", re.ASCII)


class CsvPayments:
    """A statement's bytes, and the file that orders are added to."""

    def __init__(self, statement: bytes, orders: Path) -> None:
        self._statement = statement
        self._path = orders

    def received(self) -> list[BankEntry]:
        found = [entry_of(line, row) for line, row in rows_of(self._statement, HEADS)]
        first = dict[str, int]()
        for entry in found:
            if first.setdefault(entry.id, entry.line) != entry.line:
                raise PaymentsInvalid(
                    f"the statement has two entries with one id, lines {first[entry.id]} and {entry.line}: "
                    "ask the bank for unique entry ids"
                )
        return found

    def order(self, order: PaymentOrder) -> None:
        known = self.orders()
        if any(one.id == order.id for one in known):
            return
        rows = [
            (one.id, one.payee, to_decimal(one.amount_cents, one.currency), one.currency, one.reference)
            for one in (*known, order)
        ]
        write_atomic(self._path, to_csv(ORDER_HEADS, rows))

    def orders(self) -> list[PaymentOrder]:
        if not self._path.exists():
            return []
        return [order_of(line, row) for line, row in rows_of(self._path.read_bytes(), ORDER_HEADS, longest=1 << 28)]


_: type[Payments] = CsvPayments


def rows_of(data: bytes, heads: tuple[str, ...], *, longest: int = MOST_BYTES) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (number of the line, cells by head) of a table with exactly these heads. Raises PaymentsInvalid."""
    if len(data) > longest:
        raise PaymentsInvalid(f"the file has {len(data)} bytes, {longest} at most: divide it by days")
    try:
        reader = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
        table = [(reader.line_num, row) for row in reader if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise PaymentsInvalid("the file is no CSV in UTF-8: save it so from the bank's export") from error
    if not table or tuple(table[0][1]) != heads:
        raise PaymentsInvalid(f"the first line must be {','.join(heads)}")
    if len(table) - 1 > MOST_ROWS and longest == MOST_BYTES:
        raise PaymentsInvalid(f"the statement has {len(table) - 1} entries, {MOST_ROWS} at most: divide it by days")
    for line, row in table[1:]:
        if len(row) != len(heads) or any(len(cell) > LONGEST for cell in row):
            raise PaymentsInvalid(f"line {line}: {len(heads)} cells of at most {LONGEST} characters are asked")
        yield line, dict(zip(heads, map(uncell, row), strict=True))


def entry_of(line: int, row: dict[str, str]) -> BankEntry:
    """Return one entry. Raises PaymentsInvalid with the line and what is asked, never a cell."""
    if not ID.fullmatch(row["id"]):
        raise PaymentsInvalid(f"line {line}: an entry's id has letters, digits and ._:/- , 100 at most")
    try:
        booked = date.fromisoformat(row["booked"])
    except ValueError as error:
        raise PaymentsInvalid(f"line {line}: booked is a date as in 2026-12-01") from error
    amount = amount_of(line, row)
    return BankEntry(row["id"], booked.isoformat(), amount, row["currency"], row["payer"], row["reference"], line)


def order_of(line: int, row: dict[str, str]) -> PaymentOrder:
    """Return one order that was written here."""
    return PaymentOrder(row["id"], row["payee"], amount_of(line, row), row["currency"], row["reference"])


def amount_of(line: int, row: dict[str, str]) -> int:
    """Return a row's amount in minor units."""
    try:
        return to_minor(row["amount"], row["currency"])
    except PriceInvalid as error:
        raise PaymentsInvalid(f"line {line}: {error}") from error
