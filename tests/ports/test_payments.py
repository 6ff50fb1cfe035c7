"""One suite over every adapter of the Payments port."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from hdex.catalog.spreadsheet import to_csv
from hdex.node.errors import PaymentsInvalid
from hdex.node.hospital.payments import BankEntry, PaymentOrder, Payments
from hdex.node.hospital.payments_csv import HEADS, MOST_ROWS, CsvPayments
from hdex.node.hospital.payments_memory import MemoryPayments

Make = Callable[[Sequence[BankEntry]], Payments]
ENTRIES = (
    BankEntry("e-1", "2026-12-01", 5_088_000, "CNY", "Heartline 心线", "hospital-a-2026-000001"),
    BankEntry("e-2", "2026-12-02", -480, "JPY", "=HYPERLINK(1)", '+1, "quoted"'),
)
ORDERS = (
    PaymentOrder("hospital-a-2026-000001/fee/exchange", "exchange", 120_000, "CNY", "fee hospital-a-2026-000001"),
    PaymentOrder("hospital-a-2026-000001/share/hospital-b", "hospital-b", 7, "KWD", "share 份额"),
)


@pytest.fixture(params=["csv", "memory"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Return what opens the adapter over a statement; orders outlive it."""
    kept = MemoryPayments()

    def memory(entries: Sequence[BankEntry]) -> Payments:
        kept._entries = list(entries)
        return kept

    def csv(entries: Sequence[BankEntry]) -> Payments:
        rows = [(e.id, e.booked, money(e), e.currency, e.payer, e.reference) for e in entries]
        return CsvPayments(to_csv(HEADS, rows), tmp_path / "orders.csv")

    return memory if request.param == "memory" else csv


def money(entry: BankEntry) -> str:
    return f"{entry.amount_cents / 100:.2f}" if entry.currency == "CNY" else str(entry.amount_cents)


def test_a_statement_brings_its_entries_in_order(make: Make) -> None:
    assert make(ENTRIES).received() == list(ENTRIES)
    assert make(()).received() == []


def test_an_order_is_given_once_and_outlives_the_port(make: Make) -> None:
    for _ in range(2):
        for order in ORDERS:
            make(()).order(order)
    make(()).order(PaymentOrder(ORDERS[0].id, "exchange", 1, "CNY", "changed"))
    assert make(()).orders() == list(ORDERS)


# ---- the file alone ----------------------------------------------------------------------------------------------

LINE = b"e-1,2026-12-01,10.00,CNY,Heartline,hospital-a-2026-000001"


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        (b"", "first line"),
        (b"id,booked\r\n", "first line"),
        (b"\xff\xfe", "UTF-8"),
        (LINE.replace(b"10.00", b"10.005"), "line 2: an amount in CNY has 2 decimals"),
        (LINE.replace(b"10.00", b"1e3"), "line 2: an amount is digits"),
        (LINE.replace(b"10.00", b"=1+1"), "line 2: an amount is digits"),
        (LINE.replace(b"CNY", b"RMB"), "line 2: currency"),
        (LINE.replace(b"2026-12-01", b"1.12.26"), "line 2: booked"),
        (LINE.replace(b"e-1", b"=cmd"), "line 2: an entry's id"),
        (LINE + b",more", "line 2: 6 cells"),
        (LINE.replace(b"Heartline", b"x" * 257), "line 2: 6 cells"),
        (LINE + b"\r\n" + LINE, "two entries with one id"),
        (b'"' + LINE, "CSV"),
        (b"\r\n".join(LINE.replace(b"e-1", b"e-%d" % number) for number in range(MOST_ROWS + 1)), "divide it"),
    ],
)
def test_a_statement_that_is_none_is_refused_with_its_line(tmp_path: Path, statement: bytes, says: str) -> None:
    whole = (
        statement if not statement.lstrip(b'"').startswith(b"e-") else ",".join(HEADS).encode() + b"\r\n" + statement
    )
    if statement.startswith(LINE.replace(b"e-1", b"=cmd")[:4]):
        whole = ",".join(HEADS).encode() + b"\r\n" + statement
    with pytest.raises(PaymentsInvalid, match=says):
        CsvPayments(whole, tmp_path / "orders.csv").received()


def test_no_cell_of_the_orders_runs_in_a_spreadsheet(tmp_path: Path) -> None:
    port = CsvPayments(b"", tmp_path / "orders.csv")
    port.order(PaymentOrder("o-1", "=HYPERLINK(1)", 1, "CNY", "@SUM(A1)"))
    text = (tmp_path / "orders.csv").read_text("utf-8-sig")
    assert "'=HYPERLINK(1)" in text
    assert "'@SUM(A1)" in text
