"""The desk's second half over a hospital's real verbs: requests, contracts, money, enclave, queries, organisations."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.catalog.samples import sample_product
from tests.node.access_people import People
from tests.node.access_stage import PDF
from tests.node.billing_stage import priced
from tests.node.desk_stage import COMMITTEE, HOSPITAL, OFFICER, SCRIPT, STEWARD, House, Seat
from tests.node.market_stage import BUYER, person, released
from tests.node.record_stage import STENTS
from tests.node.test_desk_pages import ACTIVE, EVIL
from tests.node.test_enclave import COUNTS
from tests.node.test_queries import FRAME

from hdex.catalog.access_review import AccessArrow, AccessState
from hdex.catalog.contract import State
from hdex.catalog.contract_life import LifeState
from hdex.catalog.invoice import InvoiceKind, InvoiceState
from hdex.catalog.product import DataProduct, DeliveryMode
from hdex.catalog.terms import Outcome
from hdex.catalog.vetting import VettingArrow, VettingState
from hdex.catalog.vetting_rules import Answer
from hdex.ledger.event import Action
from hdex.node.hospital.settlement import Outcome as Matching
from hdex.node.question import KINDS, question_of
from hdex.node.web.desk_invoices import STANDINGS
from hdex.node.web.desk_words import OfficeWords
from hdex.node.web.page_words import word_table

REQUEST = "/requests/r-1"


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
def officer(house: House) -> Seat:
    return Seat(house, OFFICER).sign_in()


PATHS = ["/organisations", "/requests", "/contracts", "/contracts/c-1", "/contracts/c-1/revoke", "/runs", "/queries"]
PATHS += [
    "/revenue",
    "/invoices",
    "/invoices/due",
    "/payments",
    "/products/hospital-a.carotid-stents/1.0.0",
    f"/organisations/{BUYER}",
]
EMPTY = {
    "/requests": "No request is here",
    "/contracts": "No contract is here",
    "/runs": "Nothing waits in the enclave",
    "/queries": "Nobody has asked anything yet",
    "/revenue": "Nothing was billed or used in this month",
    "/invoices": "No paper matches",
    "/invoices/due": "Nothing is due for this month",
}
ABSENT = ["/requests/none", "/requests/none/paper", "/requests/none/decide/sell", "/contracts/none"]
ABSENT += ["/contracts/none/sell", "/runs/none", "/runs/none/approve", "/revenue/papers/x-2026-000001.json"]
ABSENT += ["/organisations/nobody", "/organisations/buyer-other/ff/approve", "/organisations/buyer-other/ff/sell"]
ABSENT += ["/revenue/papers/x.exe"]


def test_every_page_stands_in_both_languages_without_script_or_foreign_source(officer: Seat) -> None:
    officer.house.deliver()
    for path in [root + path for root in ("", "/zh") for path in PATHS]:
        page = officer.page(path)
        assert f'lang="{"zh-Hans" if path.startswith("/zh") else "en"}"' in page
        assert not re.search(SCRIPT + r"|\son\w+=|style=|(src|href)=\"(https?:)?//", page), path
        officer.page(re.findall(r'class="lang-switch" href="([^"]+)"', page)[0])


def test_empty_pages_say_what_will_stand_there_and_what_is_not_there_has_its_own(officer: Seat) -> None:
    for path, text in EMPTY.items():
        assert text in officer.words(path)
    for path in ABSENT:
        assert "There is no such page" in officer.words(path, 404)


def by_people(house: House, **given: Any) -> DataProduct:
    """List the carotid product under terms that leave every use to people."""
    return house.market.stents(terms=replace(sample_product().terms, needs_approval=("*",)), **given)


def decide(seat: Seat, arrow: str, reason: str = "as it should be") -> str:
    path = f"{REQUEST}/decide/{arrow}"
    return seat.act(path, path, reason=reason)


def test_a_request_goes_through_three_hands_with_a_word_between(house: House) -> None:
    people = People(house.market)
    people.submit(by_people(house))
    steward, officer, committee = (Seat(house, role).sign_in() for role in (STEWARD, OFFICER, COMMITTEE))
    assert "Review the access request r-1, by 27 Nov 2026" in steward.words("/")
    assert "Nothing waits for you" in officer.words("/")
    shown = steward.words(REQUEST)
    for text in ("Restenosis after carotid stenting", BUYER, "DUO:0000007", "Li Wei", "EC-2026-H4", "people decide"):
        assert text in shown
    assert "This is for the data steward to do." in officer.words(REQUEST)
    assert "Signed and carried out." in decide(steward, "take", "")
    assert "Sent to the applicant." in steward.act(REQUEST, f"{REQUEST}/message", text="which contractor?")
    people.message(people.requests.get("r-1"), "none at all")
    assert "none at all" in officer.words(REQUEST)
    assert "access.privacy_officer" not in decide(steward, "endorse")
    assert "Next: privacy officer" in steward.words(REQUEST)
    decide(officer, "endorse", "the columns answer the question")
    assert "the columns answer the question" in committee.words(REQUEST)
    assert "approved" in decide(committee, "approve")
    record = people.requests.get("r-1")
    assert record.state is AccessState.APPROVED
    assert record.endorsed == (STEWARD, OFFICER, COMMITTEE)


def test_a_decision_out_of_turn_without_reason_or_about_another_form_changes_nothing(house: House) -> None:
    people = People(house.market)
    product = by_people(house)
    record = people.submit(product)
    steward, officer = Seat(house, STEWARD).sign_in(), Seat(house, OFFICER).sign_in()
    assert "access.data_steward" in decide(officer, "take")  # the page is there; the node refuses
    assert "the form lacks reason" in decide(steward, "refuse", " ")
    people.decide(record, "take", STEWARD)
    path = f"{REQUEST}/decide/endorse"
    form = steward.forms(path)[path]
    people.decide(record, "return", STEWARD)
    people.submit(product, revision=2, title="another title")
    answer = steward.send(path, form | {"reason": "read"})
    assert "access.digest" in answer.text
    assert people.requests.get("r-1").state is AccessState.SUBMITTED


def test_the_ethics_paper_is_kept_by_the_browser_and_never_shown(house: House, officer: Seat) -> None:
    People(house.market).submit(by_people(house))
    answer = officer.browser.get(f"{REQUEST}/paper")
    assert answer.content == PDF
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == 'attachment; filename="ethics.pdf"'
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_what_is_late_stands_first_and_names_who_was_told(house: House, officer: Seat) -> None:
    People(house.market).submit(by_people(house))
    house.market.later(days=20)
    officer.sign_in()  # the session has ended meanwhile
    assert "overdue since 27 Nov 2026" in officer.words("/")
    assert "privacy officer was told too" in officer.words("/requests")


def test_the_requests_as_a_sheet_run_no_formula(house: House, officer: Seat) -> None:
    People(house.market).submit(by_people(house), title='=HYPERLINK("http://x")')
    rows = officer.browser.get("/requests.csv").text
    assert "'=HYPERLINK" in rows
    assert BUYER in officer.browser.get("/organisations.csv").text


def test_a_contract_is_asked_for_approved_used_and_revoked_through_its_page(house: House, officer: Seat) -> None:
    market = house.market
    market.buyers[BUYER].request(market.wish(market.stents()), contract_id="c-1")
    assert "Decide on the contract c-1" in officer.words("/")
    assert "waits for a decision" in officer.words("/contracts")
    assert "由隐私官决定" in officer.words("/zh/contracts/c-1")
    path = "/contracts/c-1"
    assert "agreed, consumer signs" in officer.act(f"{path}/approve", f"{path}/approve")
    market.buyers[BUYER].accept("c-1")
    market.buyers[BUYER].fetch("c-1")
    words = officer.words(path)
    for text in ("in force", "complete deliveries 1 1 0", "prohibited", "Receipts the consumer has signed"):
        assert text in words
    assert "不含任何记录行的汇总与模型可以保留" in officer.words(
        f"/zh{path}"
    )  # what was agreed is read in both languages
    steps = [step["action"] for step in house.accesses.life_of("c-1")]
    assert steps == ["contract.request", "contract.agree", "grant.issue", "delivery.acknowledge"]
    suspended = officer.act(f"{path}/suspend", f"{path}/suspend", reason="a question is open")
    assert "a question is open" in suspended
    assert "suspended" in officer.words("/contracts")
    assert "in force" in officer.act(f"{path}/resume", f"{path}/resume", reason="it is answered")
    assert "the form lacks reason" in officer.act(f"{path}/revoke", f"{path}/revoke", reason="")
    assert "revoked" in officer.act(f"{path}/revoke", f"{path}/revoke", reason="the project ended")
    assert market.negotiations.get("c-1").revoked
    assert "the project ended" in officer.words(path)


def test_a_contract_is_refused_with_a_reason_and_only_as_it_was_read(house: House, officer: Seat) -> None:
    market = house.market
    market.buyers[BUYER].request(market.wish(market.stents()), contract_id="c-1")
    path = "/contracts/c-1/refuse"
    form = officer.forms(path)[path]
    assert "desk.changed" in officer.send(path, form | {"digest": "ff" * 32, "reason": "x"}).text
    assert "name the ethics number" in officer.act(path, path, reason="name the ethics number")
    assert market.negotiations.get("c-1").state == State.TERMINATED


def test_a_contract_over_its_term_is_over(house: House, officer: Seat) -> None:
    house.market.finalized(house.market.stents())
    house.market.later(days=366)
    assert "term over" in officer.sign_in().words("/contracts/c-1")
    assert officer.page("/contracts").count("/contracts/c-1/revoke") == 0


def test_revenue_is_the_statement_with_its_shares_usage_and_papers(house: House, officer: Seat) -> None:
    market = house.market
    market.finalized(market.list_product(priced(), released()))
    market.buyers[BUYER].fetch("c-1")
    file = house.till.bill("c-1", person(HOSPITAL, OFFICER))
    page = officer.page("/revenue")
    words = officer.words("/revenue")
    for text in ("CNY 50,880.00", "CNY 48,000.00", "issued", BUYER, file.number):
        assert text in words
    assert page.count("<svg") == page.count('<details class="twin"><summary>As a table') == 1  # each has its table twin
    assert "48,000.00 元" in officer.words("/zh/revenue")
    assert file.number in officer.browser.get("/revenue.csv?month=2026-11").text
    assert "hospital-a.carotid-stents" in officer.browser.get("/revenue/usage.csv").text
    for kind in ("json", "html"):
        answer = officer.browser.get(f"/revenue/papers/{file.number}.{kind}")
        assert answer.headers["content-disposition"] == f'attachment; filename="{file.number}.{kind}"'
    assert "Nothing was billed" in officer.words("/revenue?month=2026-10")
    assert "2026-11" in officer.words("/revenue?month=%3Cb%3E")


def test_a_script_is_read_run_and_its_output_released_by_digest(house: House) -> None:
    market = house.market
    market.finalized(market.list_product(sample_product(), released()), "enclave")
    run = market.buyers[BUYER].submit("c-1", COUNTS)["run"]
    steward, officer = Seat(house, STEWARD).sign_in(), Seat(house, OFFICER).sign_in()
    assert "Read a script for the enclave" in steward.words("/")
    path = f"/runs/{run}"
    assert "by_age.csv" in steward.page(path)  # the script itself, whole
    approve = f"{path}/approve"
    old = officer.forms(approve)[approve]
    steward.act(approve, approve)
    words = officer.words(path)
    assert "60-69,200 70-79,200" in words
    assert "Release it" in words
    assert "Release it" not in steward.words(path)
    assert "enclave.other" in officer.send(approve, old).text  # a page of the script signs no output
    assert "Signed." in officer.act(approve, approve)
    assert market.buyers[BUYER].run("c-1", run)[1] == {"by_age.csv": b"age_band,n\n60-69,200\n70-79,200\n"}
    assert "Nothing waits in the enclave" in officer.words("/runs")


def test_a_refused_script_tells_the_buyer_why(house: House, officer: Seat) -> None:
    market = house.market
    market.finalized(market.list_product(sample_product(), released()), "enclave")
    run = market.buyers[BUYER].submit("c-1", b"print('<script>alert(1)</script>')")["run"]
    page = officer.page(f"/runs/{run}")
    assert "&lt;script&gt;alert(1)" in page
    path = f"/runs/{run}/refuse"
    assert "the form lacks reason" in officer.act(path, path, reason="")
    assert "Refused." in officer.act(path, path, reason="it prints")
    told, outputs = market.buyers[BUYER].run("c-1", run)
    assert (told["rule"], told["next_step"], outputs) == ("person.refused", "it prints", {})


def test_queries_show_what_was_asked_and_why_it_was_refused(house: House, officer: Seat) -> None:
    market = house.market
    market.finalized(market.list_product(sample_product(), FRAME), "query")
    buyer = market.buyers[BUYER]
    where = {"where": [{"column": "sex", "op": "=", "value": "female"}]}
    buyer.query("c-1", question_of({"kind": "count", "by": ["age_band"], **where}))
    with pytest.raises(Exception, match="noise"):
        buyer.query("c-1", question_of({"kind": "count", "epsilon": 0.5}))
    words = officer.words("/queries")
    assert "2 queries" in words
    assert "count by age_band · sex = female" in words
    assert "query.epsilon" in words
    assert "different questions 100 1 99" in officer.words("/contracts/c-1")
    assert "1 query" in officer.words("/queries?decision=deny")


def test_a_product_shows_its_notice_and_who_signed_each_step(house: House, officer: Seat) -> None:
    product = house.market.stents()
    path = f"/products/{product.id}/{product.version}"
    officer.act(f"{path}/suspend", f"{path}/suspend", reason="a defect is looked into")
    words = officer.words(path)
    assert "listed without a public notice" in words
    assert "a defect is looked into signed: hospital-a, hospital-a/privacy_officer" in words
    assert f"/products/{product.id}/{product.version}" in officer.page("/products")


def test_who_reads_a_contract_at_the_desk_is_remembered_once_while_it_says_the_same(
    house: House, officer: Seat
) -> None:
    house.deliver()
    before = len(house.record.ground.events())
    officer.page("/contracts/c-1")
    officer.page("/contracts/c-1")  # as a page does that renews itself
    read = [(one.action, one.contract) for one in house.record.ground.events()[before:]]
    assert read.count((Action.CONTRACT_READ, "c-1")) == 1
    house.market.negotiations.revoke("c-1", "consent withdrawn", officer.who)
    before = len(house.record.ground.events())
    officer.page("/contracts/c-1")
    assert Action.CONTRACT_READ in [one.action for one in house.record.ground.events()[before:]]
    assert "contract.read" not in [step["action"] for step in house.accesses.life_of("c-1")]


def test_a_version_in_its_notice_says_until_when_and_is_offered_for_listing_after_it(
    house: House, officer: Seat
) -> None:
    house.record.ready(STENTS)
    house.record.release(STENTS)
    house.record.publish(STENTS, "1.0.0", notice={"listing_days": 7, "supersession_days": 30})
    path = f"/datasets/{STENTS}/versions/1.0.0"
    assert "The public notice runs until 28 Nov 2026" in officer.words(path)
    assert f"{path}/list" not in officer.forms(path)
    house.market.later(days=7)
    later = Seat(house, OFFICER).sign_in()  # sessions end too
    assert "The public notice ended 28 Nov 2026" in later.words(path)
    assert f"{path}/list" in later.forms(path)


def test_an_empty_page_says_what_would_stand_there_and_a_search_that_nothing_fits(officer: Seat) -> None:
    assert "Nobody has asked anything yet" in officer.words("/queries")
    assert "No query matches" in officer.words("/queries?consumer=nobody")
    assert "Nobody has read anything yet" in officer.words("/accesses")
    assert "No access matches" in officer.words("/accesses?consumer=nobody")


@pytest.mark.parametrize("evil", EVIL)
def test_a_stranger_s_text_stays_text_on_every_page_of_the_market(house: House, officer: Seat, evil: str) -> None:
    market, people = house.market, People(house.market)
    plain = evil.replace("\u202e", "")  # a form takes plain text only
    texts: dict[str, Any] = dict.fromkeys(("title", "summary", "publication_plan", "protection"), plain)
    member = {"name": plain, "role": plain, "trained": "2026-10-01"}
    record = people.submit(by_people(house), PDF, **texts, team=[member])
    people.message(record, plain)
    seen = [officer.page(path) for path in (REQUEST, "/requests", f"{REQUEST}/decide/refuse", f"{REQUEST}?done={evil}")]
    people.decide(record, "take", STEWARD)
    people.decide(record, "refuse", STEWARD, reason=plain)
    market.finalized(market.list_product(replace(sample_product(), version="1.1.0"), FRAME), "query")
    where = [{"column": "sex", "op": "=", "value": evil}]
    market.buyers[BUYER].query("c-1", question_of({"kind": "count", "where": where}))
    officer.act("/contracts/c-1/revoke", "/contracts/c-1/revoke", reason=evil)
    paths = [REQUEST, "/requests", "/contracts/c-1", "/contracts", "/queries", f"/queries?consumer={evil}", "/revenue"]
    paths += [f"/revenue?month={evil}", "/organisations", f"/organisations/{BUYER}"]
    seen += [officer.page(path) for path in paths]
    for page in seen:
        assert not ACTIVE.search(re.sub(r'<svg class="chart".*?</svg>', "", page, flags=re.DOTALL)), page


SHOWN = {  # section of the words -> the values that come from outside
    "access_state": AccessState,
    "access_arrow": AccessArrow,
    "vetting_state": VettingState,
    "vetting_arrow": VettingArrow,
    "contract_state": (*State, *LifeState),
    "invoice_state": InvoiceState,
    "paper_kind": InvoiceKind,
    "bill_state": STANDINGS,
    "outcome": Matching,
    "mode": DeliveryMode,
    "precheck": (*Outcome, "product.closed"),
    "question_kind": KINDS,
    "rule_answer": Answer,
}


@pytest.mark.parametrize("section", SHOWN)
def test_every_state_that_a_page_shows_has_its_label(section: str) -> None:
    assert [one for one in SHOWN[section] if not OfficeWords("zh").knows(section, one)] == []


@pytest.mark.parametrize("file", OfficeWords.FILES[:-1])
def test_every_word_stands_in_both_languages(file: str) -> None:
    entries = [entry for section in word_table(file).values() for entry in section.values()]
    assert all(set(entry) == {"en", "zh"} and all(entry.values()) for entry in entries)
