"""A hospital's process killed while it bills or settles: what is on disk afterwards says one thing."""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.node.billing_stage import OFFICER, BillingStage, priced
from tests.node.test_billing import TOTAL

from hdex.catalog.invoice import InvoiceState
from hdex.catalog.product import DataProduct
from hdex.catalog.revenue import Revenue
from hdex.ledger.event import Action, parse
from hdex.ledger.log import Log
from hdex.ledger.note import Signer
from hdex.ledger.store_sqlite import SqliteLogStore
from hdex.node.documents import SqliteDocuments
from hdex.node.failpoint import VARIABLE
from hdex.node.hospital.billing import Billing
from hdex.node.hospital.invoice_shelf import InvoiceShelf
from hdex.node.hospital.payments import Payments
from hdex.node.hospital.payments_csv import CsvPayments
from hdex.node.hospital.settlement import Settlement
from hdex.node.hospital.signatory import Signatory
from hdex.node.hospital.usage_book import UsageBook
from hdex.node.recorder import Recorder

SHARED = Revenue(fee_basis_points=500, platform="exchange", shares={"hospital-a": 2, "hospital-b": 1})
STATEMENT = (
    f"id,booked,amount,currency,payer,reference\ne-1,2026-12-01,{TOTAL / 100:.2f},CNY,x,hospital-a-2026-000001\n"
)


@dataclass
class Books:
    """Hospital A's log and papers as they lie on disk, opened by one process."""

    log: Log
    documents: SqliteDocuments
    billing: Billing
    settlement: Settlement
    orders: Path

    def close(self) -> None:
        self.log.close()
        self.documents.close()


def opened(stage: BillingStage) -> Books:
    """Open what lies on disk; the first time it is what the stage has seen so far."""
    ground, folder = stage.market.hospital.ground, stage.folder
    is_new = not (folder / "log.db").exists()
    origin = ground.log.origin
    log = Log(SqliteLogStore(folder / "log.db"), origin, Signer(origin, ground.keys.secret("log")))
    if is_new:
        log.append_all(ground.log.entries(0, ground.log.size))
    documents = SqliteDocuments(folder / "documents.db")
    clock = stage.market.clock
    recorder = Recorder(log, ground.details, node="hospital-a", organisation="A", clock=clock)
    billing = Billing(
        Signatory("hospital-a", ground.keys.secret("sign"), clock),
        InvoiceShelf("hospital-a", documents),
        stage.market.negotiations,
        book=UsageBook(log, list, node="hospital-a", clock=clock),
        directory=stage.market.directory,
        recorder=recorder,
    )
    orders = folder / "payment-orders.csv"

    def bank(statement: bytes) -> Payments:
        return CsvPayments(statement, orders)

    def product(name: str, version: str) -> DataProduct:
        return stage.market.hospital.products.get(name, version).product

    return Books(log, documents, billing, Settlement(billing, recorder, bank, product), orders)


def killed(stage: BillingStage, instant: str, work: Callable[[Books], object]) -> None:
    """Do the work in a process that dies by SIGKILL at this instant."""
    dies(instant, lambda: work(opened(stage)))


def dies(instant: str, work: Callable[[], object]) -> None:
    """Do the work in a child that dies by SIGKILL at this instant."""
    child = os.fork()
    if child == 0:
        try:
            os.environ[VARIABLE] = instant
            work()
        finally:
            os._exit(1)  # it was not killed
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the instant was not passed"
    assert os.WTERMSIG(status) == signal.SIGKILL


@pytest.fixture
def stage(tmp_path: Path) -> BillingStage:
    made = BillingStage(tmp_path)
    made.contract(priced(revenue=SHARED))
    made.delivered()
    opened(made).close()
    return made


@pytest.mark.parametrize("instant", ["billing.drafted", "billing.logged", "billing.kept"])
def test_killed_between_entry_and_paper_there_is_one_invoice(stage: BillingStage, instant: str) -> None:
    killed(stage, instant, lambda books: books.billing.issue_to_date("c-1", OFFICER))
    books = opened(stage)
    invoice = books.billing.issue_to_date("c-1", OFFICER).invoice
    entries = [parse(entry) for entry in books.log.entries(0, books.log.size)]
    digests = [event.result_digest for event in entries if event.action is Action.INVOICE_ISSUE]
    assert digests == [invoice.digest()]
    assert [kept.number for kept in books.billing.all()] == ["hospital-a-2026-000001"]
    books.close()


@pytest.mark.parametrize("instant", ["settlement.logged", "settlement.counted", "settlement.ordered"])
def test_killed_while_a_statement_is_read_each_entry_counts_once(stage: BillingStage, instant: str) -> None:
    books = opened(stage)
    number = books.billing.issue_to_date("c-1", OFFICER).number
    books.close()
    killed(stage, instant, lambda books: books.settlement.read(STATEMENT.encode(), OFFICER))
    books = opened(stage)
    books.settlement.read(STATEMENT.encode(), OFFICER)
    balance = books.billing.shelf.balance(number)
    assert (balance.kept.state, balance.paid_cents) == (InvoiceState.PAID, TOTAL)
    orders = CsvPayments(b"", books.orders).orders()
    assert sorted(order.payee for order in orders) == ["exchange", "hospital-b"]
    books.close()
