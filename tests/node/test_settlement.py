"""Money that came in meets its invoice once; who gets what of it follows from the product's rule."""

import csv
import io
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.node.billing_stage import OFFICER, BillingStage, priced
from tests.node.test_billing import TOTAL, Killed, billed

from hdex.catalog.errors import PriceInvalid
from hdex.catalog.invoice import STEPS, InvoiceState, InvoiceStep, invoice_step
from hdex.catalog.product import check
from hdex.catalog.revenue import Revenue, SplitRule
from hdex.catalog.spreadsheet import RISKY, cell, to_csv, uncell
from hdex.ledger.event import Action
from hdex.node.errors import RequestInvalid
from hdex.node.hospital.billing import Credit
from hdex.node.hospital.statements import papers_csv
from hdex.node.web.invoice_page import invoice_page, statement_page

SHARED = Revenue(fee_basis_points=500, platform="exchange", shares={"hospital-a": 2, "hospital-b": 1})


@pytest.fixture
def stage(tmp_path: Path) -> BillingStage:
    return BillingStage(tmp_path)


def state(stage: BillingStage, number: str) -> InvoiceState:
    return stage.billing.shelf.get(number).state


def test_a_payment_in_full_pays_an_invoice_and_is_counted_once(stage: BillingStage) -> None:
    number = billed(stage).number
    assert stage.pays(number, TOTAL) == [("paid", number)]
    assert stage.pays(number, TOTAL) == [("known", "")]
    assert stage.pays(number, TOTAL, "e-2") == [("settled_before", number)]
    assert state(stage, number) == InvoiceState.PAID
    assert stage.billing.shelf.balance(number).paid_cents == TOTAL
    actions = [event.action for event in stage.market.hospital.ground.events()]
    assert actions.count(Action.PAYMENT_IMPORT) == 3


def test_parts_sum_up_and_too_much_is_told(stage: BillingStage) -> None:
    number = billed(stage).number
    assert stage.pays(number, 1) == [("part_paid", number)]
    assert state(stage, number) == InvoiceState.ISSUED
    assert stage.pays(number, TOTAL, "e-2") == [("overpaid", number)]
    assert stage.billing.shelf.balance(number).due_cents == -1


@pytest.mark.parametrize(
    ("given", "outcome"),
    [
        ({"currency": "EUR"}, "wrong_currency"),
        ({"reference": "thank you"}, "unknown_reference"),
        ({"reference": "hospital-a-2026-000009"}, "unknown_reference"),
        ({"reference": "xhospital-a-2026-000001"}, "unknown_reference"),
        ({"reference": "hospital-a-2026-0000012"}, "unknown_reference"),
    ],
)
def test_an_entry_that_fits_no_invoice_pays_none(stage: BillingStage, given: dict[str, str], outcome: str) -> None:
    number = billed(stage).number
    assert stage.pays(number, TOTAL, **given)[0][0] == outcome
    assert stage.pays(number, -TOTAL, "e-2") == [("outgoing", "")]
    assert state(stage, number) == InvoiceState.ISSUED


def test_a_fee_and_shares_are_ordered_when_an_invoice_is_paid(stage: BillingStage) -> None:
    number = billed(stage, revenue=SHARED).number
    assert stage.bank.orders() == []
    stage.pays(number, TOTAL)
    orders = {one.payee: one.amount_cents for one in stage.bank.orders()}
    assert orders == {"exchange": 240_000, "hospital-b": 1_520_000}  # of 48,000.00 without tax
    stage.pays(number, TOTAL, "e-2")
    assert len(stage.bank.orders()) == 2


def test_a_credit_note_lowers_what_is_split_and_what_was_paid_goes_back(stage: BillingStage) -> None:
    number = billed(stage, revenue=SHARED).number
    stage.settlement.credit(number, Credit(TOTAL // 2, "CNY", "half of it"), OFFICER)
    assert stage.bank.orders() == []  # nothing had come in
    assert stage.pays(number, TOTAL // 2) == [("paid", number)]
    assert {one.payee: one.amount_cents for one in stage.bank.orders()} == {"exchange": 120_000, "hospital-b": 760_000}
    note = stage.settlement.credit(number, Credit(0, "", "and the rest"), OFFICER)
    refund = stage.bank.orders()[-1]
    assert (refund.payee, refund.amount_cents) == ("buyer-heartline", TOTAL // 2)
    assert refund.id.startswith(note.number)
    assert state(stage, number) == InvoiceState.CREDITED
    stage.settlement.settle()
    assert len(stage.bank.orders()) == 3


@pytest.mark.parametrize("instant", ["settlement.logged", "settlement.counted", "settlement.ordered"])
def test_a_statement_read_by_a_process_that_was_killed_is_read_again(
    stage: BillingStage, monkeypatch: pytest.MonkeyPatch, instant: str
) -> None:
    number = billed(stage, revenue=SHARED).number

    def die(name: str) -> None:
        if name == instant:
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr("hdex.node.hospital.settlement.failpoint", die)
        with pytest.raises(Killed):
            stage.pays(number, TOTAL)
    stage.open()
    stage.pays(number, TOTAL)
    assert state(stage, number) == InvoiceState.PAID
    assert stage.billing.shelf.balance(number).due_cents == 0
    assert len(stage.bank.orders()) == 2


def test_every_step_that_is_not_in_the_table_is_refused() -> None:
    from hdex.catalog.errors import TransitionForbidden

    for found in InvoiceState:
        for step in InvoiceStep:
            if (found, step) in STEPS:
                assert invoice_step(found, step) in InvoiceState
                continue
            with pytest.raises(TransitionForbidden, match=found.value):
                invoice_step(found, step)


def test_a_manifest_with_a_split_that_cannot_be_is_none() -> None:
    with pytest.raises(PriceInvalid):
        check(priced(revenue=Revenue(rule=SplitRule.ROWS, shares={"hospital-a": 1})))


# ---- statements --------------------------------------------------------------------------------------------------


def test_a_statement_says_what_was_charged_credited_paid_and_used(stage: BillingStage) -> None:
    number = billed(stage, revenue=SHARED).number
    stage.settlement.credit(number, Credit(1_060_000, "CNY", "=1+1"), OFFICER)
    stage.pays(number, TOTAL - 1_060_000)
    found = stage.statements.month("2026-11")
    sums = found["totals"]["CNY"]
    assert (sums["charge_cents"], sums["credit_cents"], sums["paid_cents"]) == (TOTAL, 1_060_000, TOTAL - 1_060_000)
    assert sums["fee_cents"] + sums["others_cents"] + sums["own_cents"] == 3_800_000  # 48,000 less 10,000 without tax
    assert [(row["contract"], row["deliveries"], row["rows"]) for row in found["usage"]] == [("c-1", 1, 400)]
    assert stage.statements.month("2026-10")["papers"] == []
    assert stage.statements.month("2031-01")["usage"] == []
    with pytest.raises(RequestInvalid):
        stage.statements.month("November")


def test_a_statement_as_csv_adds_up_and_runs_nowhere(stage: BillingStage) -> None:
    number = billed(stage).number
    stage.settlement.credit(number, Credit(88_000, "CNY", "one column was empty"), OFFICER)
    travelled = json.loads(json.dumps(stage.statements.month("2026-11"), sort_keys=True))
    data = papers_csv(travelled)
    rows = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"))))
    assert [row["charge"] for row in rows] == ["50880.00", "0.00"]
    assert [row["credit"] for row in rows] == ["0.00", "880.00"]
    cells = [one for row in csv.reader(io.StringIO(data.decode("utf-8-sig"))) for one in row]
    assert not any(one.startswith(RISKY) for one in cells)


@given(st.one_of(st.text(max_size=30), st.text(" \u3000=+-@'|%\t\r\na", max_size=4)))
def test_no_cell_begins_a_formula_and_each_is_read_back(text: str) -> None:
    made = cell(text)
    assert not made.startswith(RISKY)
    assert not made.lstrip().startswith(RISKY)
    if not text.startswith("'"):
        assert uncell(made) == text
    (head,) = csv.reader(io.StringIO(to_csv([text], []).decode("utf-8-sig"), newline=""))
    assert head == [made] or not made


HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=1>"
LOADS = re.compile(r"<[^>]*\b(src|href)=")


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_page_shows_hostile_words_as_words(stage: BillingStage, lang: str) -> None:
    number = billed(stage).number
    note = stage.billing.credit(number, Credit(0, "", HOSTILE), OFFICER).invoice
    for page in (invoice_page(note, lang), statement_page(stage.statements.month("2026-11"), lang)):
        assert "<script" not in page
        assert "<img" not in page
        assert not LOADS.search(page)
    assert "&lt;script&gt;" in invoice_page(note, lang)
    assert invoice_page(note, lang).startswith("<!doctype html>")


def test_a_page_says_every_figure_of_the_invoice(stage: BillingStage) -> None:
    invoice = billed(stage)
    assert invoice.usage is not None
    english, chinese = (invoice_page(invoice, lang) for lang in ("en", "zh"))
    for words in ("CNY 48,000.00", "CNY 2,880.00", "CNY 50,880.00", invoice.digest(), invoice.number, "400"):
        assert words in english
    assert invoice.usage.checkpoint.split("\n")[2].replace("+", "+") in english
    for words in ("50,880.00 元", "增值税", "一次性许可"):
        assert words in chinese
