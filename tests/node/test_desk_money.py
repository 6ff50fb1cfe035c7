"""Money at a hospital's desk over its real verbs: what is due, invoices, credit notes, disputes, bank statements."""

import csv
import io
import re
from pathlib import Path

import pytest
from tests.node.billing_stage import priced
from tests.node.desk_stage import COMMITTEE, HOSPITAL, OFFICER, STEWARD, House, Seat
from tests.node.market_stage import BUYER, person, released
from tests.node.test_desk_pages import ACTIVE, EVIL

from hdex.catalog.organisation import is_plain
from hdex.catalog.spreadsheet import RISKY
from hdex.ledger.event import Action, Decision, format_time
from hdex.node.authz import CedarAuthorizer
from hdex.node.errors import RemoteRefused
from hdex.node.hospital.payments_csv import MOST_BYTES
from hdex.node.invoice_file import InvoiceFile
from hdex.node.signed import digest, sign

NUMBER = "hospital-a-2026-000001"
AT = f"/invoices/{NUMBER}"
DUE = "/invoices/due"
HEADS = "id,booked,amount,currency,payer,reference"


@pytest.fixture
def house(tmp_path: Path) -> House:
    made = House(tmp_path)
    made.market.finalized(made.market.list_product(priced(), released()))
    made.market.buyers[BUYER].fetch("c-1")
    return made


@pytest.fixture
def officer(house: House) -> Seat:
    return Seat(house, OFFICER).sign_in()


def billed(house: House) -> InvoiceFile:
    return house.till.seen_by(person(HOSPITAL, OFFICER)).issue("c-1", "")


def disputed(house: House, reason: str = "half of the rows are empty") -> str:
    """Have the buyer dispute the first invoice; return the dispute's digest."""
    document = house.till.issued()[0].document
    said = {"number": NUMBER, "digest": digest(document), "reason": reason, "at": format_time(house.market.clock())}
    house.till.dispute(sign("dispute", said, BUYER, house.market.keys[BUYER].secret("sign")), person(BUYER))
    return digest(said)


def statement(*rows: str) -> bytes:
    return "\n".join((HEADS, *rows)).encode()


def count(house: House, action: Action) -> int:
    done = [event for event in house.record.ground.events() if event.decision is Decision.ALLOW]
    return sum(event.action is action for event in done)


def uploaded(seat: Seat, content: bytes) -> str:
    """Upload a statement; return the address of its preview."""
    answer = seat.upload_file("/payments", "/payments", content)
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"]).partition("?")[0]


def test_what_is_due_is_looked_at_then_issued_and_due_no_more(house: House, officer: Seat) -> None:
    words = officer.words(f"{DUE}?month=2026-11")
    for text in ("CNY 50,880.00", "c-1", BUYER, "This month has not ended", "Accesses: ", "Issue all 1"):
        assert text in words
    assert "50,880.00 元" in officer.words(f"/zh{DUE}?month=2026-11")
    assert count(house, Action.INVOICE_ISSUE) == 0
    form = officer.forms(f"{DUE}?month=2026-11")[DUE]
    assert "desk.changed" in officer.send(DUE, form | {"digest": "ff" * 32}).text
    assert count(house, Action.INVOICE_ISSUE) == 0
    assert "Issued: signed" in officer.words(officer.send(DUE, form).headers["location"])
    assert "desk.changed" in officer.send(DUE, form).text
    assert count(house, Action.INVOICE_ISSUE) == 1
    assert "Nothing is due" in officer.words(f"{DUE}?month=2026-11")
    house.market.later(days=40)
    assert "2026-11" in officer.sign_in().words(DUE)  # the last month that has ended


def test_one_contract_of_several_is_issued_alone(house: House, officer: Seat) -> None:
    market = house.market
    market.finalized(market.list_product(priced(id="hospital-a.more"), released()), contract_id="c-2")
    market.buyers[BUYER].fetch("c-2")
    page = officer.page(f"{DUE}?month=2026-11")
    one = next(body for body in re.findall(r"<form.*?</form>", page, re.DOTALL) if 'value="c-2"' in body)
    form = dict(re.findall(r'name="([^"]+)" value="([^"]*)"', one))
    assert officer.send(DUE, form).status_code == 303
    assert [file.document["agreement"]["request_id"] for file in house.till.issued()] == ["c-2"]
    assert "CNY 50,880.00" in officer.words(f"{DUE}?month=2026-11")


def test_invoices_are_found_by_state_in_the_address_and_as_a_sheet(house: House, officer: Seat) -> None:
    billed(house)
    assert NUMBER in officer.words("/invoices?state=issued")
    assert "No paper matches" in officer.words("/invoices?state=PAID")
    assert "No paper matches" in officer.words("/invoices?consumer=nobody")
    assert NUMBER in officer.words("/invoices?state=%3Cb%3E")
    house.market.later(days=40)
    officer.sign_in()
    assert "overdue" in officer.words("/invoices?state=OVERDUE&month=2026-11")
    content = officer.browser.get("/invoices.csv?state=OVERDUE").content.decode("utf-8-sig")
    rows = list(csv.reader(io.StringIO(content)))
    assert rows[1][0] == NUMBER
    assert rows[1][-4:] == ["50880.00", "0.00", "0.00", "50880.00"]
    assert officer.browser.get("/invoices.csv?state=PAID").text.count("\n") == 1


def test_an_invoice_says_its_lines_usage_place_and_what_was_said(house: House, officer: Seat) -> None:
    file = billed(house)
    words = officer.words(AT)
    invoice_digest = digest(file.document)
    for text in ("CNY 48,000.00", "CNY 50,880.00", invoice_digest, "Deliveries 1", "Rows 400", "No entry of a bank"):
        assert text in words
    assert "stays here" in words
    for path in (f"/revenue/papers/{NUMBER}.json", f"/revenue/papers/{NUMBER}.html", "/revenue.html?month=2026-11"):
        assert officer.browser.get(path).headers["content-disposition"].startswith("attachment")
    for path in ("/invoices/none", f"{AT}/sell", "/invoices/none/credit", "/payments/none"):
        assert "There is no such page" in officer.words(path, 404)


def test_money_is_taken_back_in_part_and_whole_with_a_reason(house: House, officer: Seat) -> None:
    billed(house)
    path = f"{AT}/credit"
    assert "the form lacks reason" in officer.act(path, path, amount="880.00", reason=" ")
    for wrong in ("0", "-5", "CNY 5", "1e3", "0.001"):
        assert "an amount" in officer.act(path, path, amount=wrong, reason="x")
    assert "invoice.credited" in officer.act(path, path, amount="50880.01", reason="x")
    assert count(house, Action.INVOICE_CREDIT) == 0
    note = officer.act(path, path, amount="880.00", reason="=1+1 one column was empty")
    assert "=1+1 one column was empty" in note
    assert "Takes back from hospital-a-2026-000001" in note
    assert "CNY 50,000.00" in officer.words(AT)
    assert "The credit note is issued" in officer.act(path, path, amount="", reason="and the rest")
    assert "credit note" in officer.words("/invoices?state=CREDIT_NOTE")
    assert f"{AT}/credit" not in officer.page(AT)
    cells = [one for row in csv.reader(io.StringIO(officer.browser.get("/invoices.csv").text)) for one in row]
    amounts = re.compile(r"-?\d+\.\d\d")
    assert not any(one.startswith(RISKY) for one in cells if not amounts.fullmatch(one.lstrip("'")))


def test_a_dispute_is_answered_once_as_it_was_read(house: House, officer: Seat) -> None:
    billed(house)
    disputed(house)
    assert "half of the rows are empty" in officer.words(AT)
    assert f"Answer the dispute about {NUMBER}" in officer.words("/")
    path = f"{AT}/answer"
    form = officer.forms(path)[path]
    assert "invoice.other_dispute" in officer.send(path, form | {"digest": "ff" * 32, "reason": "x"}).text
    assert "the form lacks reason" in officer.send(path, form | {"reason": ""}).text
    words = officer.act(path, path, reason="the manifest says 400 rows")
    assert "Answered by: privacy officer" in words
    assert "the manifest says 400 rows" in words
    assert "to be paid" in words
    assert officer.send(path, form | {"reason": "the manifest says 400 rows"}).status_code == 303  # again, the same
    assert "TransitionForbidden" not in officer.send(path, form | {"reason": "something else"}).text
    assert count(house, Action.INVOICE_ANSWER) == 1
    assert "Answer the dispute" not in officer.words("/")
    disputed(house, "still empty")
    assert "still empty" in officer.words(f"{AT}/answer")
    assert "the manifest says 400 rows" in officer.words(AT)  # nothing that was said is forgotten


def test_a_statement_counts_only_once_it_was_looked_at_and_each_entry_once(house: House, officer: Seat) -> None:
    billed(house)
    content = statement(
        f"e-1,2026-12-01,50880.00,CNY,Heartline,{NUMBER}",
        "e-2,2026-12-01,5.00,CNY,X,thank you",
        "e-3,2026-12-02,-1.00,CNY,B,fee",
    )
    path = uploaded(officer, content)
    words = officer.words(path)
    assert f"2 pays it in full CNY 50,880.00 {NUMBER} e-1 2026-12-01" in words
    assert "3 names no invoice CNY 5.00 none e-2" in words
    assert "4 went out CNY -1.00" in words
    assert count(house, Action.PAYMENT_IMPORT) == 0
    assert house.till.issued()[0].paid_cents == 0
    form = officer.forms(path)[path]
    assert "desk.changed" in officer.send(path, form | {"digest": "ff" * 32}).text
    done = officer.words(officer.send(path, form).headers["location"])
    assert "What this statement did" in done
    assert officer.send(path, form).status_code == 303  # a second click
    assert count(house, Action.PAYMENT_IMPORT) == 1
    assert "paid" in officer.words(AT)
    assert "e-1 2026-12-01" in officer.words(AT)
    again = uploaded(Seat(house, OFFICER).sign_in(), content)  # another desk, the same file
    assert again == path
    other = Seat(house, OFFICER).sign_in()
    assert "counted before" in other.words(uploaded(other, content))
    other.send(path, other.forms(path)[path])
    assert house.till.issued()[0].paid_cents == 5_088_000


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "choose the file"),
        (b"id,amount\n", "the first line must be"),
        (b"\xff\xfe", "no CSV in UTF-8"),
        (statement("e-1,2026-12-01,5.00,CNY,X,y", "e-1,2026-12-01,6.00,CNY,X,y"), "lines 2 and 3"),
        (statement("e-1,yesterday,5.00,CNY,X,y"), "line 2: booked"),
        (b"x" * (MOST_BYTES + 1), "at most 1048576 bytes"),
        (b"x" * (4 * MOST_BYTES), "at most"),
    ],
    ids=["none", "heads", "no text", "twice", "date", "large", "huge"],
)
def test_a_file_that_is_no_statement_is_refused_by_its_line(officer: Seat, content: bytes, told: str) -> None:
    answer = officer.upload_file("/payments", "/payments", content)
    assert answer.status_code == 400
    assert told in answer.text


def test_a_form_of_another_page_bills_and_reads_nothing(house: House, officer: Seat) -> None:
    billed(house)
    paths = [f"{AT}/credit", "/invoices/due"]
    forms = {path: {"csrf": "wrong", "reason": "x", "month": "2026-11"} for path in paths}
    for path, form in forms.items():
        assert "session." in officer.send(path, form).text
        assert officer.send(path, form, origin="https://elsewhere.test").status_code == 403
    foreign = {"origin": "https://elsewhere.test", "sec-fetch-site": "cross-site"}
    answer = officer.upload_file("/payments", "/payments", statement(), **foreign)
    assert answer.status_code == 403
    assert [one.credited_cents for one in house.till.issued()] == [0]


@pytest.mark.parametrize("instant", ["settlement.logged", "settlement.counted"])
def test_a_node_that_failed_between_log_and_count_is_sent_the_same_form_again(
    house: House, officer: Seat, monkeypatch: pytest.MonkeyPatch, instant: str
) -> None:
    def fail(name: str) -> None:
        if name == instant:
            raise RuntimeError("the machine stopped")

    billed(house)
    path = uploaded(officer, statement(f"e-1,2026-12-01,50880.00,CNY,Heartline,{NUMBER}"))
    form = officer.forms(path)[path]
    with monkeypatch.context() as patched:
        patched.setattr("hdex.node.hospital.settlement.failpoint", fail)
        assert officer.send(path, form).status_code == 500
    assert officer.send(path, form).status_code == 303
    file = house.till.issued()[0]
    assert (file.state, file.paid_cents) == ("PAID", 5_088_000)


@pytest.mark.parametrize("evil", EVIL)
def test_a_stranger_s_text_stays_text_on_every_page_of_money(house: House, officer: Seat, evil: str) -> None:
    billed(house)
    if is_plain(evil):
        disputed(house, evil)
    else:
        with pytest.raises(RemoteRefused, match="plain reason"):
            disputed(house, evil)
        disputed(house)
    officer.act(f"{AT}/credit", f"{AT}/credit", amount="5.00", reason=evil)
    cell = evil.replace('"', '""')
    path = uploaded(officer, statement(f'e-1,2026-12-01,5.00,CNY,"{cell}","{cell} {NUMBER}"'))
    paths = ["/invoices", AT, "/invoices/hospital-a-2026-000002", f"{AT}/answer", f"{AT}/credit", path]
    paths += [f"/invoices?consumer={evil}", f"{DUE}?month={evil}", f"{AT}?done={evil}"]
    for page in [officer.page(one) for one in paths]:
        assert not ACTIVE.search(page), page


@pytest.mark.parametrize("role", [STEWARD, OFFICER, COMMITTEE])
def test_a_person_is_led_to_pages_of_money_where_the_policies_let_that_person_bill(house: House, role: str) -> None:
    seat, server = Seat(house, role).sign_in(), {"kind": "hospital", "participant": HOSPITAL}
    may_bill = CedarAuthorizer().decide(seat.who, "BillingService.ListIssued", server).allow
    led_to = set(re.findall(r'<a href="(/[a-z]*)"', seat.page("/")))
    assert {"/invoices", "/revenue"} & led_to == ({"/invoices", "/revenue"} if may_bill else set())
    assert may_bill == (role != COMMITTEE)
