"""What a contract used becomes one invoice: from the log, in the log, checked by whoever gets it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.node.billing_stage import BUYER, CENTS, OFFICER, OTHER, BillingStage, priced
from tests.node.market_stage import person

from hdex.catalog.errors import InvoiceInvalid, TransitionForbidden
from hdex.catalog.invoice import Invoice, InvoiceState
from hdex.ledger.errors import LogFailed
from hdex.ledger.event import Action
from hdex.node.auditor_usage import audit_invoice, recount
from hdex.node.errors import AccessDenied, InvoiceRefused, NotFound, RequestInvalid, SignatureInvalid
from hdex.node.hospital.billing import Credit
from hdex.node.invoice_file import InvoiceFile, check_file, read_file
from hdex.node.signed import sign

TAX, TOTAL = 288_000, 5_088_000


@pytest.fixture
def stage(tmp_path: Path) -> BillingStage:
    return BillingStage(tmp_path)


def rule(refused: pytest.ExceptionInfo[AccessDenied]) -> str:
    return refused.value.rule


def test_a_delivery_cut_and_resumed_is_billed_once(stage: BillingStage) -> None:
    stage.contract()
    stage.delivered()
    kept = stage.billing.issue_to_date("c-1", OFFICER)
    invoice = kept.invoice
    assert (invoice.number, invoice.subtotal_cents, invoice.tax_cents, invoice.total_cents) == (
        "hospital-a-2026-000001", CENTS, TAX, TOTAL,
    )  # fmt: skip
    assert invoice.usage is not None
    assert (invoice.usage.deliveries, invoice.usage.rows) == (1, 400)
    assert invoice.usage.bytes > 0
    event = stage.market.hospital.ground.events()[-1]
    assert (event.action, event.contract, event.result_digest) == ("invoice.issue", "c-1", invoice.digest())
    assert kept.place.index == stage.market.hospital.ground.log.size - 1 >= invoice.usage.size


def test_the_same_period_is_the_same_invoice(stage: BillingStage) -> None:
    stage.contract()
    stage.delivered()
    first = stage.billing.issue_to_date("c-1", OFFICER)
    assert stage.billing.issue_to_date("c-1", OFFICER).envelope == first.envelope
    stage.open()
    stage.market.later(days=15)
    assert stage.billing.issue("c-1", "2026-11", OFFICER).envelope == first.envelope
    assert [event.action for event in stage.market.hospital.ground.events()].count(Action.INVOICE_ISSUE) == 1


def test_a_month_is_billed_when_it_has_ended(stage: BillingStage) -> None:
    stage.contract()
    stage.delivered()
    with pytest.raises(AccessDenied) as refused:
        stage.billing.issue("c-1", "2026-11", OFFICER)
    assert rule(refused) == "invoice.period_open"
    assert ("invoice.issue", "invoice.period_open") in stage.market.hospital.ground.refusals()
    stage.market.later(days=15)
    assert stage.billing.issue("c-1", "2026-11", OFFICER).invoice.total_cents == TOTAL


def test_rows_delivered_later_in_the_month_are_on_a_second_invoice(stage: BillingStage) -> None:
    stage.contract(priced("per_1000_rows", 10_000, max_deliveries=2))
    stage.delivered()
    first = stage.billing.issue_to_date("c-1", OFFICER).invoice
    again = stage.market.buyers[BUYER]
    for file in (stage.folder / "received" / BUYER).glob("c-1.*"):
        if file.suffix in {".hdx"} or file.name.endswith("receipt.json"):
            file.unlink()
    stage.market.later(minutes=5)
    assert again.fetch("c-1").complete
    second = stage.billing.issue_to_date("c-1", OFFICER).invoice
    assert (first.subtotal_cents, second.subtotal_cents) == (4_000, 4_000)  # 0.4 thousand rows each
    assert first.usage is not None
    assert second.usage is not None
    assert second.usage.start == first.usage.size
    assert second.number.endswith("000002")


def test_a_subscription_is_billed_once_a_month_while_the_licence_holds(stage: BillingStage) -> None:
    stage.market.later(days=-60)
    stage.contract(priced("subscription", 1_000))
    stage.market.later(days=20)  # unused: still due
    september = stage.billing.issue("c-1", "2026-09", OFFICER).invoice
    october = stage.billing.issue_to_date("c-1", OFFICER).invoice
    assert [one.subtotal_cents for one in (september, october)] == [1_000, 1_000]
    assert stage.billing.issue_to_date("c-1", OFFICER).number == october.number
    stage.market.negotiations.revoke("c-1", "the project ended", OFFICER)
    stage.market.later(days=40)
    with pytest.raises(AccessDenied) as refused:
        stage.billing.issue_to_date("c-1", OFFICER)
    assert rule(refused) == "invoice.nothing"


@pytest.mark.parametrize(
    ("month", "error"), [("2026-13", RequestInvalid), ("2026-1", RequestInvalid), ("2025-11", NotFound)]
)
def test_a_month_that_is_none_is_refused(stage: BillingStage, month: str, error: type[Exception]) -> None:
    stage.contract()
    with pytest.raises(error):
        stage.billing.issue("c-1", month, OFFICER)


def test_nothing_is_billed_before_it_is_granted_or_used(stage: BillingStage) -> None:
    product = stage.market.stents()
    stage.market.buyers[BUYER].request(stage.market.wish(product), contract_id="c-0")
    with pytest.raises(AccessDenied) as refused:
        stage.billing.issue_to_date("c-0", OFFICER)
    assert rule(refused) == "contract.state"
    stage.market.negotiations.decide("c-0", OFFICER, approved=True)
    stage.market.buyers[BUYER].accept("c-0")
    with pytest.raises(AccessDenied) as refused:
        stage.billing.issue_to_date("c-0", OFFICER)
    assert rule(refused) == "invoice.nothing"
    with pytest.raises(NotFound):
        stage.billing.issue_to_date("c-9", OFFICER)


def test_a_log_that_cannot_be_written_makes_no_invoice(stage: BillingStage) -> None:
    stage.contract()
    stage.delivered()
    ground = stage.market.hospital.ground
    ground.store.fails = True
    with pytest.raises(LogFailed):
        stage.billing.issue_to_date("c-1", OFFICER)
    ground.store.fails = False  # but the writer is not trusted again before a restart
    with pytest.raises(LogFailed):
        stage.billing.issue_to_date("c-1", OFFICER)
    assert len(list(stage.billing.shelf.drafts())) == 1  # the first one may be on disk: it waits
    assert stage.billing.all() == []
    for name in ("log", "recorder", "book"):
        ground.__dict__.pop(name, None)
    stage.open()
    assert stage.billing.all() == []
    assert stage.billing.issue_to_date("c-1", OFFICER).number.endswith("000001")  # the number was never given out


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("instant", ["billing.drafted", "billing.logged", "billing.kept"])
def test_a_process_killed_on_the_way_leaves_one_invoice(
    stage: BillingStage, monkeypatch: pytest.MonkeyPatch, instant: str
) -> None:
    stage.contract()
    stage.delivered()

    def die(name: str) -> None:
        if name == instant:
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr("hdex.node.hospital.billing.failpoint", die)
        with pytest.raises(Killed):
            stage.billing.issue_to_date("c-1", OFFICER)
    stage.open()
    invoice = stage.billing.issue_to_date("c-1", OFFICER).invoice
    assert [kept.number for kept in stage.billing.all()] == [invoice.number] == ["hospital-a-2026-000001"]
    events = [event for event in stage.market.hospital.ground.events() if event.action == "invoice.issue"]
    assert [event.result_digest for event in events] == [invoice.digest()]
    assert list(stage.billing.shelf.drafts()) == []
    assert audit_invoice(stage.evidence(), invoice).offences == ()


# ---- credit notes and disputes -----------------------------------------------------------------------------------


def billed(stage: BillingStage, **given: Any) -> Invoice:
    stage.contract(**given)
    stage.delivered()
    return stage.billing.issue_to_date("c-1", OFFICER).invoice


def test_credit_notes_take_back_an_invoice_in_parts_and_no_more(stage: BillingStage) -> None:
    number = billed(stage).number
    part = stage.billing.credit(number, Credit(88_000, "CNY", "one column was empty"), OFFICER).invoice
    assert (part.total_cents, part.subtotal_cents + part.tax_cents) == (-88_000, -88_000)
    assert part.tax_cents == round(-88_000 * 6 / 106)
    with pytest.raises(AccessDenied) as refused:
        stage.billing.credit(number, Credit(TOTAL, "CNY", "all"), OFFICER)
    assert rule(refused) == "invoice.credited"
    with pytest.raises(AccessDenied) as refused:
        stage.billing.credit(number, Credit(1, "EUR", "euro"), OFFICER)
    assert rule(refused) == "invoice.currency"
    with pytest.raises(AccessDenied) as refused:
        stage.billing.credit(part.number, Credit(0, "", "a note of a note"), OFFICER)
    assert rule(refused) == "invoice.not_one"
    stage.billing.credit(number, Credit(0, "", "the rest"), OFFICER)
    assert stage.billing.shelf.get(number).state == InvoiceState.CREDITED
    assert stage.billing.shelf.balance(number).due_cents == 0
    actions = [event.action for event in stage.market.hospital.ground.events()]
    assert actions.count(Action.INVOICE_CREDIT) == 2 + 3  # three refusals are remembered too


def test_a_buyer_disputes_its_invoice_once(stage: BillingStage) -> None:
    invoice = billed(stage)
    customer = stage.customer()
    (file,) = customer.invoices()
    assert customer.dispute(file, "half of the rows are empty").state == "DISPUTED"
    assert customer.dispute(file, "again").state == "DISPUTED"
    stage.pays(invoice.number, TOTAL)
    with pytest.raises(TransitionForbidden):
        customer.dispute(file, "after all")
    with pytest.raises(InvoiceRefused):
        stage.customer(OTHER).dispute(file, "not mine")
    assert stage.customer(OTHER).invoices() == []


def test_a_dispute_in_anothers_name_is_refused(stage: BillingStage) -> None:
    invoice = billed(stage)
    paper = {"number": invoice.number, "digest": invoice.digest(), "reason": "x", "at": invoice.issued}
    other = sign("dispute", paper, OTHER, stage.market.keys[OTHER].secret("sign"))
    with pytest.raises(AccessDenied) as refused:
        stage.billing.dispute(other, person(OTHER))
    assert rule(refused) == "invoice.foreign"
    with pytest.raises(SignatureInvalid):
        stage.billing.dispute(sign("dispute", paper, BUYER, b"\x09" * 32), person(BUYER))
    for changed in (
        {"digest": "11" * 32},
        {"reason": {"deep": "er"}},
        {"reason": ""},
        {"reason": "x\u202ey"},
        {"more": "fields"},
    ):
        wrong = sign("dispute", paper | changed, BUYER, stage.market.keys[BUYER].secret("sign"))
        with pytest.raises(RequestInvalid):
            stage.billing.dispute(wrong, person(BUYER))


# ---- who gets it checks it ---------------------------------------------------------------------------------------


def test_a_buyer_checks_its_invoice_against_agreement_log_and_files(stage: BillingStage) -> None:
    billed(stage)
    customer = stage.customer()
    (file,) = customer.invoices()
    kept = customer.keep(file)
    found = customer.check(read_file(kept))
    assert found.invoice.total_cents == TOTAL
    assert "the agreement that we signed" in found.checked
    assert found.not_checked == ()
    assert customer.check(read_file(kept), ask=False).not_checked == ("the agreement: not asked for",)
    for lang, word in (("en", "Invoice"), ("zh", "账单")):
        assert word in kept.with_suffix("").with_name(f"{file.number}.{lang}.html").read_text("utf-8")


def doctored(stage: BillingStage, file: InvoiceFile, **changed: Any) -> InvoiceFile:
    """Return the paper with other words, signed by the provider itself."""
    key = stage.market.keys["hospital-a"].secret("sign")
    return replace(file, envelope=sign("invoice", file.document | changed, "hospital-a", key))


def test_a_provider_cannot_change_a_paper_that_its_log_holds(stage: BillingStage) -> None:
    billed(stage)
    (file,) = stage.customer().invoices()
    usage = file.document["usage"]
    line = file.document["lines"][0]
    lies: dict[str, dict[str, Any]] = {
        "an amount": {"lines": [line | {"amount_cents": 1}], "subtotal_cents": 1, "total_cents": 1 + TAX},
        "less, with its tax": {
            "lines": [line | {"amount_cents": 100}],
            "subtotal_cents": 100,
            "tax_cents": 6,
            "total_cents": 106,
        },
        "a sum": {"total_cents": TOTAL + 1},
        "no tax": {"tax_cents": 0, "total_cents": CENTS},
        "another contract": {"usage": usage | {"contract": "c-2"}},
        "another currency": {"currency": "EUR"},
        "an agreement's digest": {"agreement_digest": "11" * 32},
        "a price": {"agreement": file.document["agreement"] | {"purpose": "DUO:0000042"}},
        "a number": {"number": "1"},
        "a number of another hospital": {"number": "hospital-b-2026-000001"},
    }
    for changed in lies.values():
        lie = doctored(stage, file, **changed)
        with pytest.raises(InvoiceInvalid):
            check_file(lie, stage.market.directory)
    silent: list[dict[str, Any]] = [
        {"issued": "2026-11-22T00:00:00.000Z"},
        {"usage": usage | {"deliveries": 9}},
        {"usage": usage | {"checkpoint": usage["checkpoint"].replace("hospital-a", "hospital-b")}},
    ]
    for changed in silent:  # follows from itself, but it is not what the log holds
        with pytest.raises(InvoiceRefused):
            check_file(doctored(stage, file, **changed), stage.market.directory)
    forged = sign("invoice", file.document, "hospital-a", b"\x07" * 32)
    with pytest.raises(SignatureInvalid):
        check_file(replace(file, envelope=forged), stage.market.directory)


def test_a_file_that_is_no_invoice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    for text in ("", "[]", "{}", json.dumps({"invoice": 1, "proof": 2}), "[" * 10_000, "{" + " " * (1 << 20) + "}"):
        path.write_text(text)
        with pytest.raises(RequestInvalid):
            read_file(path)
    with pytest.raises(RequestInvalid):
        read_file(tmp_path / "none.json")


def test_an_auditor_counts_the_usage_again(stage: BillingStage) -> None:
    invoice = billed(stage)
    found = audit_invoice(stage.evidence(), invoice)
    assert found.offences == ()
    assert found.usage is not None
    assert found.usage.deliveries == 1
    assert recount(stage.evidence(), "hospital-a", "c-1", "2026-11").rows == 400
    with pytest.raises(NotFound):
        recount(stage.evidence(), "hospital-b", "c-1", "2026-11")


def test_an_auditor_names_what_an_invoice_adds(stage: BillingStage) -> None:
    stage.contract(priced("per_1000_rows", 10_000))
    stage.delivered()
    invoice = stage.billing.issue_to_date("c-1", OFFICER).invoice
    assert invoice.usage is not None
    more = replace(invoice.usage, rows=800, deliveries=2)
    found = audit_invoice(stage.evidence(), replace(invoice, usage=more))
    assert [line.partition(":")[0] for line in found.offences] == [
        "the log holds 0 events of this paper, 1 is asked", "usage.deliveries", "usage.rows",
    ]  # fmt: skip


def test_credit_notes_are_in_the_log_too(stage: BillingStage) -> None:
    number = billed(stage).number
    note = stage.billing.credit(number, Credit(0, "", "all of it"), OFFICER)
    assert audit_invoice(stage.evidence(), note.invoice).offences == ()
    assert check_file(stage.file(note), stage.market.directory).kind == "credit_note"
