"""A buying organisation's desk over the market's real verbs, and the browser of one of its people before it."""

import re
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient
from tests.node.access_people import HOME, Doors, People
from tests.node.billing_stage import BillingStage
from tests.node.desk_stage import Seat
from tests.node.market_stage import BUYER, Market, person

from hdex.node.applicant import Applicant
from hdex.node.buyer_desk import BuyerDesk, Verbs
from hdex.node.identity import Identity
from hdex.node.sessions import Sessions
from hdex.node.web.buyer_app import create_buyer_app
from hdex.node.web.desk_door import Door

PORT = 8491
BASE = f"http://127.0.0.1:{PORT}"


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
        self.verbs = Verbs(buyer, applicant, customer)
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
