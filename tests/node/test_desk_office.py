"""The desk of the exchange's office: two people vet an organisation, through the same door as a hospital's desk."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from tests.node.access_people import People
from tests.node.desk_calls import LocalOffice
from tests.node.desk_stage import BASE, PORT, SCRIPT, Seat
from tests.node.market_stage import BUYER, OTHER, Market, person
from tests.node.test_desk_pages import ACTIVE, EVIL
from tests.node.test_vetting_elsewhere import Elsewhere

from hdex.catalog.vetting import VettingState
from hdex.node.identity import Identity
from hdex.node.reviewer import Reviewer
from hdex.node.sessions import Sessions
from hdex.node.web.desk_door import Door
from hdex.node.web.desk_routes import desk_of
from hdex.node.web.desk_vetting import OfficeHome, VettingPart
from hdex.node.web.desk_words import OfficeWords


class OfficeSeat(Seat):
    """One person of the exchange's office before that person's own desk."""

    def __init__(self, elsewhere: Elsewhere, role: str) -> None:
        self.role, self.base, market = role, BASE, elsewhere.market
        self.who = Identity(f"spiffe://hdex.test/exchange/exchange/{role}", "exchange", "exchange", role, 7)
        self.sessions = Sessions(clock=market.clock, denied=frozenset)
        self.door = Door(self.sessions, list, PORT)
        office = LocalOffice(elsewhere.vettings, None, person("exchange", role), market.clock)
        vetting = VettingPart(Reviewer(f"exchange/{role}", elsewhere.people[role], office, office, market.clock))
        self.app = desk_of(self.door, [OfficeHome(vetting), vetting], OfficeWords)
        self.browser = TestClient(self.app, base_url=BASE, follow_redirects=False, raise_server_exceptions=False)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Elsewhere:
    return Elsewhere(Market(tmp_path, vetted=False))


def applied(elsewhere: Elsewhere, buyer: str = BUYER, **given: Any) -> str:
    """Have an organisation apply at the exchange; return the beginning of its application's addresses."""
    envelope = People(elsewhere.market).application(buyer, office="exchange", **given)
    record = elsewhere.vettings.apply(envelope, person(buyer))
    return f"/organisations/{buyer}/{record.digest}"


def test_two_people_of_the_exchange_vet_an_organisation(elsewhere: Elsewhere) -> None:
    affiliate = {"code": "91110000600037341L", "name": {"en": "Sister Ltd", "zh": "姊妹公司"}}
    path = applied(elsewhere, affiliates=[affiliate], foreign_share_percent=12.5)
    first, second = (OfficeSeat(elsewhere, role).sign_in() for role in elsewhere.roles)
    words = first.words(f"/organisations/{BUYER}")
    for text in ("Office of the exchange", "check digits hold", "12.5 % foreign share", "Sister Ltd", "CN", "Endorse"):
        assert text in words
    assert "vetting.first" in second.act(f"{path}/endorse", f"{path}/endorse", reason="mine")
    assert "Signed and carried out." in first.act(f"{path}/endorse", f"{path}/endorse", reason="as registered")
    assert "vetting.role" not in second.words("/")
    until = f"{elsewhere.market.now + timedelta(days=300):%Y-%m-%d}"
    assert "is a day as in" in second.act(f"{path}/approve", f"{path}/approve", reason="seen", until="soon")
    assert "vetted" in second.act(f"{path}/approve", f"{path}/approve", reason="papers seen", until=until)
    (record,) = elsewhere.vettings.of(BUYER)
    assert record.state is VettingState.VALID
    assert record.valid_until[:10] == f"{elsewhere.market.now + timedelta(days=301):%Y-%m-%d}"  # when that day is over
    assert "as registered" in second.words(f"/organisations/{BUYER}")
    revoked = second.act(f"{path}/revoke", f"{path}/revoke", reason="the licence was withdrawn")
    assert "the licence was withdrawn" in revoked


def test_one_person_does_not_sign_twice_and_a_rule_that_refuses_is_shown(elsewhere: Elsewhere) -> None:
    path = applied(elsewhere, OTHER, security_grade=0, security_certificate="")
    first = OfficeSeat(elsewhere, "exchange_operator").sign_in()
    page = first.page(f"/organisations/{OTHER}")
    words = first.words(f"/organisations/{OTHER}")
    assert "Next: exchange operator" in words
    answer = first.act(f"{path}/approve", f"{path}/approve", reason="mine", until="2027-01-01")
    assert "transition-forbidden" in answer or "vetting.second" in answer
    assert "Refuse" in words
    assert f"{path}/approve" not in page  # what is not this person's turn is not offered


def test_a_page_of_an_older_application_signs_nothing_about_a_newer_one(elsewhere: Elsewhere) -> None:
    old = applied(elsewhere)
    first = OfficeSeat(elsewhere, "exchange_operator").sign_in()
    form = first.forms(f"{old}/endorse")[f"{old}/endorse"]
    first.act(f"{old}/refuse", f"{old}/refuse", reason="name the affiliates")
    applied(elsewhere, statement="now with affiliates")
    assert "transition-forbidden" in first.send(f"{old}/endorse", form | {"reason": "read"}).text
    assert [one.state for one in elsewhere.vettings.of(BUYER)] == [VettingState.REFUSED, VettingState.APPLIED]


def test_the_office_s_desk_has_the_same_door(elsewhere: Elsewhere) -> None:
    path = applied(elsewhere)
    seat = OfficeSeat(elsewhere, "security_officer")
    assert seat.browser.get("/").headers["location"] == "/sign-in"
    seat.sign_in()
    for root in ("", "/zh"):
        for one in ("/", "/organisations", f"/organisations/{BUYER}", f"{path}/refuse"):
            assert not re.search(SCRIPT + r"|\son\w+=|style=", seat.page(root + one))
    form = seat.forms(f"{path}/refuse")[f"{path}/refuse"]
    assert seat.send(f"{path}/refuse", form | {"reason": "x", "csrf": "other"}).status_code == 403
    assert seat.send(f"{path}/refuse", form | {"reason": "x"}, origin="https://evil.example").status_code == 403
    assert "No organisation has applied" not in seat.words("/")
    assert "There is no such page" in seat.words("/datasets", 404)


@pytest.mark.parametrize("evil", EVIL)
def test_what_an_organisation_declares_stays_text(elsewhere: Elsewhere, evil: str) -> None:
    plain = evil.replace("\u202e", "")
    name, breach = {"en": plain, "zh": plain}, {"date": "2025-01-01", "what": plain, "notified": False}
    said: dict[str, Any] = {
        "name": name,
        "statement": plain,
        "persons": [{"name": plain, "role": plain}],
        "breaches": [breach],
    }
    path = applied(elsewhere, **said, security_certificate=plain)
    seat = OfficeSeat(elsewhere, "exchange_operator").sign_in()
    for one in ("/", f"/organisations/{BUYER}", f"{path}/refuse", f"/zh{path}/refuse"):
        assert not ACTIVE.search(seat.page(one))
    assert "=" not in seat.browser.get("/organisations.csv").text.partition("\n")[2][:1]
