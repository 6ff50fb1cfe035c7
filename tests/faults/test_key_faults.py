"""A call under an idempotency key whose process dies before the answer is kept: asked again, it happened once."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.faults.test_billing_faults import Books, dies, killed, opened, stage
from tests.node.billing_stage import OFFICER, BillingStage
from tests.node.market_stage import BUYER, Market, person
from tests.node.test_searches import HOOK, Counter

from hdex.catalog.index import Catalogue
from hdex.catalog.index_memory import MemoryIndex
from hdex.catalog.ports import Query
from hdex.ledger.event import Action, parse
from hdex.node.documents import SqliteDocuments
from hdex.node.errors import KeyConflict
from hdex.node.exchange.notices import Outbox
from hdex.node.exchange.searches import Searches
from hdex.node.hospital.billing import Credit
from hdex.node.idempotency import KeyBook, call_of
from hdex.node.sealing import Sealing

__all__ = ["stage"]  # the fixture
DONE = "idempotency.done"  # the work is on disk, its answer is not
SEALING = Sealing(b"k" * 32)
WHO = "spiffe://hdex.test/hospital/hospital-a/officer"


def under_key(documents: SqliteDocuments, clock: Callable[[], object], action: str, run: Callable[[], bytes]) -> bytes:
    """Make the call as the process that has just begun makes it."""
    return KeyBook(documents, SEALING, clock).once(call_of(WHO, action, "k1", b"message"), run)  # type: ignore[arg-type]  # the stage's clock


def issue(stage: BillingStage, books: Books) -> str:
    def run() -> bytes:
        return books.billing.issue_to_date("c-1", OFFICER).number.encode()

    return under_key(books.documents, stage.market.clock, "BillingService.IssueInvoice", run).decode()


def credit(stage: BillingStage, books: Books, number: str) -> bytes:
    def run() -> bytes:
        return books.settlement.credit(number, Credit(100, "CNY", "late"), OFFICER).number.encode()

    return under_key(books.documents, stage.market.clock, "BillingService.CreditInvoice", run)


def test_killed_before_its_answer_was_kept_an_invoice_is_issued_once_and_told(stage: BillingStage) -> None:
    killed(stage, DONE, lambda books: issue(stage, books))
    books = opened(stage)
    entries = [parse(entry).action for entry in books.log.entries(0, books.log.size)]
    assert entries.count(Action.INVOICE_ISSUE) == 1
    assert issue(stage, books) == issue(stage, books) == "hospital-a-2026-000001"
    entries = [parse(entry).action for entry in books.log.entries(0, books.log.size)]
    assert entries.count(Action.INVOICE_ISSUE) == 1
    books.close()


def test_killed_before_its_answer_was_kept_a_part_is_not_credited_twice(stage: BillingStage) -> None:
    books = opened(stage)
    number = books.billing.issue_to_date("c-1", OFFICER).number
    books.close()
    killed(stage, DONE, lambda books: credit(stage, books, number))
    books = opened(stage)
    with pytest.raises(KeyConflict) as caught:
        credit(stage, books, number)
    assert caught.value.rule == "idempotency.unknown"
    assert books.billing.shelf.balance(number).credited_cents == 100
    books.close()


def test_killed_before_its_answer_was_kept_a_search_is_one_and_its_webhook_has_one_key(tmp_path: Path) -> None:
    market, path = Market(tmp_path), tmp_path / "kept.db"

    def save() -> list[str]:
        documents = SqliteDocuments(path)
        searches = Searches(
            Catalogue(MemoryIndex()), documents, recorder=market.exchange.recorder,
            outbox=Outbox(documents, market.clock), door=Counter(), key=b"k" * 32, clock=market.clock, base="https://exchange.hdex.test",
        )  # fmt: skip

        def run() -> bytes:
            told, secret = searches.save(Query(text="carotid", level=3), "stents", HOOK, person(BUYER))
            return json.dumps([told.search.id, secret]).encode()

        try:
            found: list[str] = json.loads(under_key(documents, market.clock, "ExchangeService.SaveSearch", run))
            assert [one.search.id for one in searches.mine(person(BUYER))] == found[:1]
            return found
        finally:
            documents.close()

    dies(DONE, save)
    assert save() == save()
