"""A buying organisation's desk over the market's real verbs, and the browser of one of its people before it."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient
from tests.catalog.samples import sample_product
from tests.node.access_people import HOME, Doors, People
from tests.node.access_stage import PDF
from tests.node.billing_stage import BillingStage, priced
from tests.node.desk_stage import Seat, said
from tests.node.market_stage import BUYER, OFFICER, Market, person, released

from hdex.catalog.terms import Terms
from hdex.node.applicant import Applicant
from hdex.node.buyer_desk import BuyerDesk, Verbs
from hdex.node.hospital.billing import Credit
from hdex.node.identity import Identity
from hdex.node.sessions import Sessions
from hdex.node.signed import digest
from hdex.node.study_diary import StudyDiary
from hdex.node.web.buyer_app import create_buyer_app
from hdex.node.web.desk_door import Door

PORT = 8491
BASE = f"http://127.0.0.1:{PORT}"


CONTRACT = {"purpose": "DUO:0000007", "disease": "I65.2", "mode": "sealed_file", "plan": "one_off", "rounds": "0"}
FORM = {
    "title": "Restenosis after stenting",
    "summary": "Which vessels\r\nclose again",
    "purpose": "DUO:0000007",
    "disease": "I65.2",
    "mode": "sealed_file",
    "ethics_number": "EC-2026-H4",
    "ethics_expires": "2027-12-01",
    "starts": "2026-11-22",
    "ends": "2027-06-01",
    "team": "Li Wei; statistician; 2026-09-01\r\n",
    "contractors": "",
    "columns": "",
    "publication_plan": "A paper.",
    "protection": "Encrypted at rest.",
}
DECLARED = {
    "name_en": "Heartline Devices",
    "name_zh": "心线医疗器械有限公司",
    "code": "91350100M000100Y43",
    "country": "CN",
    "foreign_share_percent": "0",
    "storage_countries": "CN",
    "security_grade": "3",
    "security_certificate": "MLPS-2026-1117",
    "persons": "Li Wei; data protection officer",
    "affiliates": "",
    "breaches": "",
    "statement": "",
}


class Organisation(Seat):
    """BUYER before its own desk, and hospital A with its people."""

    def __init__(self, folder: Path, *, vetted: bool = True) -> None:
        self.stage = BillingStage(folder, vetted=vetted)
        self.market: Market = self.stage.market
        self.people = People(self.market)
        self.doors = Doors(self.people)
        self.home = folder
        received, requests = folder / "received", folder / "requests"
        received.mkdir(exist_ok=True)
        requests.mkdir()
        buyer = self.market.buyers[BUYER]
        buyer._folder = received  # the desk's data folder holds this one organisation's deliveries
        applicant = Applicant(
            BUYER, self.market.keys[BUYER], offices=self.doors, reviews=self.doors, folder=requests,
            clock=self.market.clock,
        )  # fmt: skip
        customer = self.stage.customer()
        customer._received = received
        self.verbs = Verbs(buyer, applicant, customer, self.market.holder())
        self.desk_ = BuyerDesk(
            self.verbs, office=HOME, hospitals=("hospital-a", "hospital-b"), home=folder, clock=self.market.clock
        )
        self.denied: frozenset[int] = frozenset()
        self.who = Identity(f"spiffe://hdex.test/buyer/{BUYER}", "buyer", BUYER, "", 7)
        self.sessions = Sessions(clock=self.market.clock, denied=lambda: self.denied)
        self.door = Door(self.sessions, list, PORT)
        self.app = create_buyer_app(self.door, self.desk_)
        self.base = BASE
        self.browser = TestClient(self.app, base_url=BASE, follow_redirects=False, raise_server_exceptions=False)

    def upload(self, path: str, paper: bytes, name: str = "ethics.pdf", **typed: str) -> Any:
        """Send the form of a page that brings a file, as a browser does."""
        csrf = re.findall(r'name="csrf" value="([^"]+)"', self.page(path))[0]
        headers = {"origin": BASE, "sec-fetch-site": "same-origin"}
        return self.browser.post(
            f"{path}/submit", data={"csrf": csrf, **typed}, files={"paper": (name, paper)}, headers=headers
        )

    def decide(self, contract_id: str, *, approved: bool = True) -> None:
        """Have the officer of hospital A decide a request for a contract."""
        self.market.negotiations.decide(contract_id, person(HOME, "privacy_officer"), approved=approved)

    def received(self, contract_id: str) -> None:
        """Wait until a delivery that the desk began has ended."""
        self.desk_.fetches.join(contract_id, 60)


def contract_of(us: "Organisation", product: str, **typed: str) -> str:
    """Ask for a contract through the form and return its id."""
    path = f"/products/{product}/contract"
    answer = us.send(path, us.forms(path)[path] | CONTRACT | typed)
    assert answer.status_code == 303, said(answer.text)
    return str(answer.headers["location"].split("/")[2].partition("?")[0])


def needing_people(us: Organisation) -> str:
    """List a product whose terms leave a use to people, and return its id."""
    terms = Terms(permitted=("DUO:0000007",), needs_approval=("DUO:0000007",), diseases=("I65",))
    return us.market.list_product(sample_product(terms=terms), released()).id


PRICED = "hospital-a.priced"
PATHS = (  # of everything that a furnished desk can show
    *("/", "/vetting", "/find?q=carotid", "/find?q=moonstone", "/requests", "/requests/r-1", "/requests/r-2"),
    *(f"/products/{PRICED}?purpose=DUO:0000007&disease=I65.2", f"/products/{PRICED}?plan=one_off&quantity=2"),
    *(f"/products/{PRICED}/request", f"/products/{PRICED}/contract", "/requests/r-2/withdraw", "/contracts"),
    *(f"/contracts/c-{name}" for name in ("cut", "asked", "agreed", "waits", "whole")),
    *(
        "/contracts/c-cut?live=1",
        "/contracts/c-asked/query",
        "/invoices",
        "/invoices/hospital-a/hospital-a-2026-000001",
        "/invoices/hospital-a/hospital-a-2026-000002",
    ),
    *("/contracts/c-over", "/contracts/c-over/attest", "/contracts/c-whole/renew", "/contracts/c-whole/attest"),
    "/contracts/c-waits/withdraw",
    *("/studies", "/studies/restenosis-2026", "/nowhere"),
    *("/contracts/nobodys", "/sign-in"),
)


def furnish(us: Organisation) -> None:
    """Bring everything to a desk that its pages can show."""
    us.sign_in()
    product, reviewed = needing_people(us), us.people
    path = f"/products/{product}/request"
    for name in ("r-1", "r-2"):
        us.act(path, path, name=name, **{field: FORM[field] for field in ("purpose", "disease", "mode")})
        us.act(f"/requests/{name}", f"/requests/{name}/save", **FORM)
    us.upload("/requests/r-1", PDF)
    record = reviewed.reviewed(reviewed.requests.get("r-1"), 2)
    reviewed.message(record, "Who is the contractor?", "privacy_officer")
    us.act("/requests/r-1", "/requests/r-1/message", text="There is none.")
    listed, buyer = us.market.list_product(replace(priced(), id=PRICED), released()), us.desk_.buyer
    for name in ("cut", "asked", "agreed", "waits", "over", "whole"):
        mode = "query" if name == "asked" else "sealed_file"
        buyer.request(us.market.wish(listed, mode), contract_id=f"c-{name}")
        if name != "waits":
            us.decide(f"c-{name}")
        if name not in ("waits", "agreed"):
            buyer.accept(f"c-{name}")
    buyer.fetch("c-cut", stop_after=2)
    buyer.fetch("c-whole")
    buyer.fetch("c-over", stop_after=2)
    us.market.negotiations.revoke("c-over", "the consent was withdrawn", OFFICER)
    number = us.stage.billing.issue_to_date("c-whole", OFFICER).number
    answered(us, number, "Half of the rows are empty.", "The manifest says so: 400 rows.")
    us.stage.billing.credit(number, Credit(88_000, "CNY", "One column was empty."), OFFICER)
    diary = StudyDiary(us.home / "studies", "restenosis-2026")
    diary.begin("logistic")
    diary.finish({"rounds": 12, "sites": ["hospital-a", "hospital-b"]})


def answered(us: Organisation, number: str, dispute: str, answer: str) -> None:
    """Dispute an invoice, and have the hospital answer."""
    us.desk_.customer.dispute(us.desk_.invoice("hospital-a", number), dispute)
    word = us.stage.billing.shelf.get(number).dispute
    assert word is not None
    us.stage.billing.answer(number, answer, OFFICER, dispute=digest(word["document"]))
