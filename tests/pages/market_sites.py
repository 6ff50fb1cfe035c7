"""The desks of a market whose pages are judged: a hospital's, the exchange's office, a buying organisation's."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tests.catalog.samples import sample_product
from tests.node import buyer_stage
from tests.node.access_people import People
from tests.node.bargain_stage import Bargaining, ask, bargained, bargaining_house, deal
from tests.node.billing_stage import priced
from tests.node.buyer_stage import PRICED, Organisation, furnish
from tests.node.desk_stage import HOSPITAL, OFFICER, STEWARD, House, Seat
from tests.node.market_stage import BUYER, OTHER, Market, person, released
from tests.node.record_stage import STENTS
from tests.node.test_desk_office import OfficeSeat
from tests.node.test_enclave import COUNTS
from tests.node.test_queries import FRAME
from tests.node.test_vetting_elsewhere import Elsewhere
from tests.pages.sites import Site, seated

from hdex.ledger.event import format_time
from hdex.node.answer_rules import AnswerRule, Answers
from hdex.node.errors import NodeError
from hdex.node.question import question_of
from hdex.node.signed import digest, sign

if TYPE_CHECKING:
    from hdex.catalog.product import DataProduct
    from hdex.node.invoice_file import InvoiceFile

__all__ = ["BUYER", "BUYER_PATHS", "OTHER", "PRICED", "buyer", "first_day", "market", "new_buyer", "office"]

BUYER_PATHS = buyer_stage.PATHS


def market(folder: Path) -> Iterator[Site]:
    """Serve the desk of a privacy officer whose hospital deals: requests, contracts, runs, queries, money, a notice."""
    house = House(folder)
    house.record.ready().release()
    house.record.publish(STENTS, "1.0.0", notice={"listing_days": 7, "supersession_days": 30})
    asking(People(house.market), house.market.list_product(open_to_people("asked")))
    dealt(house)
    read, waits = runs(house)
    seat = Seat(house, OFFICER)
    yield from seated(seat, read=read, waits=waits, statement=uploaded(seat))


def uploaded(seat: Seat) -> str:
    """Give a desk a bank statement, and return its digest: what the desk calls it."""
    seat.sign_in()
    content = statement("hospital-a-2026-000001").replace(b"e-1", b"e-9")
    answer = seat.upload_file("/payments", "/payments", content)
    return str(answer.headers["location"]).partition("?")[0].rpartition("/")[2]


def open_to_people(name: str) -> "DataProduct":
    """Return a product whose terms leave every use to people."""
    return sample_product(id=f"{HOSPITAL}.{name}", terms=replace(sample_product().terms, needs_approval=("*",)))


def asking(people: People, product: "DataProduct") -> None:
    """Have one request wait for the officer, one be approved, one be refused, with words between."""
    record = people.reviewed(people.submit(product), 2)
    people.message(record, "Who is the contractor?", OFFICER)
    people.message(record, "There is none.")
    people.reviewed(people.submit(product, id="r-2"))
    refused = people.reviewed(people.submit(product, id="r-3"), 1)
    people.decide(refused, "refuse", STEWARD, reason="The team is not trained.")


def dealt(house: House) -> None:
    """Bring contracts of every standing to a hospital, with what was done under them."""
    trade = house.market
    buyer, listed = trade.buyers[BUYER], trade.list_product(replace(priced(), id=PRICED), FRAME)
    served = trade.list_product(sample_product(id="hospital-a.served"), released())
    buyer.request(trade.wish(listed), contract_id="c-asked")
    for name in ("held", "used"):
        trade.finalized(listed, contract_id=f"c-{name}")
    buyer.fetch("c-used")
    billed(house)
    seat = Seat(house, OFFICER).sign_in()
    seat.act("/contracts/c-held/suspend", "/contracts/c-held/suspend", reason="A question is open.")
    trade.finalized(served, contract_id="c-ended")
    trade.negotiations.revoke("c-ended", "The project ended.", person(HOSPITAL, OFFICER))
    questions(house)
    path = f"/products/{PRICED}/{listed.version}/suspend"
    seat.act(path, path, reason="A defect of one column is looked into.")


def billed(house: House) -> None:
    """Have an invoice disputed, answered, paid in part and credited, and another stand to be paid; one is due."""
    trade, till = house.market, house.till.seen_by(person(HOSPITAL, OFFICER))
    file = till.issue("c-used", "")
    dispute_of(house, file)
    (word,) = till.issued()[0].said
    till.answer(file.number, "The manifest says so: 400 rows.", digest(word["document"]))
    till.credit(file.number, 88_000, "One column was empty.", "CNY")
    till.import_payments(statement(file.number))
    for name in ("more", "due"):
        trade.finalized(trade.list_product(replace(priced(), id=f"hospital-a.{name}"), FRAME), contract_id=f"c-{name}")
        trade.buyers[BUYER].fetch(f"c-{name}")
    dispute_of(house, till.issue("c-more", ""))


def dispute_of(house: House, file: "InvoiceFile") -> None:
    """Have the buyer dispute an invoice."""
    said = {"number": file.number, "digest": digest(file.document), "reason": "Half of the rows are empty."}
    paper = said | {"at": format_time(house.market.clock())}
    house.till.dispute(sign("dispute", paper, BUYER, house.market.keys[BUYER].secret("sign")), person(BUYER))


def statement(number: str) -> bytes:
    """Return a bank's statement: a part of an invoice, an entry that names none, one that went out."""
    rows = [f"e-1,2026-12-01,20000.00,CNY,Heartline,{number}", "e-2,2026-12-01,5.00,CNY,Somebody,thank you",
            "e-3,2026-12-02,-7.00,CNY,Bank,fee"]  # fmt: skip
    return "\n".join(("id,booked,amount,currency,payer,reference", *rows)).encode()


def runs(house: House) -> tuple[str, str]:
    """Have a buyer submit two scripts of which one was read, and ran; return (its id, the other's)."""
    house.market.finalized(house.market.stents(), "enclave", "c-runs")
    scripts = (COUNTS, b"# by age\n" + COUNTS)
    read, waits = (str(house.market.buyers[BUYER].submit("c-runs", script)["run"]) for script in scripts)
    path = f"/runs/{read}/approve"
    Seat(house, STEWARD).sign_in().act(path, path)
    return read, waits


def questions(house: House) -> None:
    """Have one question answered and one refused."""
    listed = house.market.list_product(sample_product(id="hospital-a.counted"), FRAME)
    house.market.finalized(listed, "query", "c-query")
    buyer, where = house.market.buyers[BUYER], [{"column": "sex", "op": "=", "value": "female"}]
    for asked in ({"by": ["age_band"], "where": where}, {"epsilon": 0.5}):
        with suppress(NodeError):
            buyer.query("c-query", question_of({"kind": "count", **asked}))


def bargaining(folder: Path) -> Iterator[Site]:
    """Serve the desk of a privacy officer with whom a buyer bargains, and whose rules answered once."""
    rule = AnswerRule(
        "fewer-rounds", "offer", products=(f"{HOSPITAL}.ruled",), rounds=6, reason="Six rounds are enough."
    )
    house, dealings = bargaining_house(folder, Answers((rule,)))
    product = bargained(house.market)
    deal(dealings, product)
    ask(dealings, house.market.list_product(replace(product, id=f"{HOSPITAL}.ruled")), "d-ruled")
    yield from seated(Seat(house, OFFICER))


def bargaining_buyer(folder: Path) -> Iterator[Site]:
    """Serve an organisation's desk to which offers were made."""
    us = Bargaining(folder)
    deal(us.dealings, bargained(us.market))
    yield from seated(us)


def first_day(folder: Path) -> Iterator[Site]:
    """Serve the desk of a privacy officer to whom nothing has come yet."""
    yield from seated(Seat(House(folder), OFFICER))


def office(folder: Path) -> Iterator[Site]:
    """Serve the desk of the exchange's office: one organisation applied, one was refused."""
    elsewhere = Elsewhere(Market(folder, vetted=False))
    for buyer, breaches in ((BUYER, []), (OTHER, [{"date": "2025-01-01", "what": "A lost laptop", "notified": True}])):
        envelope = People(elsewhere.market).application(buyer, office="exchange", breaches=breaches)
        digest = elsewhere.vettings.apply(envelope, person(buyer)).digest
        path = f"/organisations/{buyer}/{digest}/{'endorse' if buyer == BUYER else 'refuse'}"
        OfficeSeat(elsewhere, elsewhere.roles[0]).sign_in().act(path, path, reason="As registered.")
    (record,) = elsewhere.vettings.of(BUYER)
    yield from seated(OfficeSeat(elsewhere, elsewhere.roles[1]), digest=record.digest)


def buyer(folder: Path) -> Iterator[Site]:
    """Serve an organisation's desk that shows everything it can."""
    us = Organisation(folder)
    furnish(us)
    yield from seated(us)


def new_buyer(folder: Path) -> Iterator[Site]:
    """Serve the desk of an organisation that nobody has vetted."""
    yield from seated(Organisation(folder, vetted=False))
