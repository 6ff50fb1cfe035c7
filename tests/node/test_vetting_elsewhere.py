"""The exchange's office vets too: its signed word counts at hospitals that have not looked for themselves."""

from datetime import timedelta
from pathlib import Path

import pytest
from tests.node.access_people import HOME, People, refusal
from tests.node.market_stage import BUYER, OTHER, Market, person

from hdex.catalog.vetting_rules import default_rules
from hdex.ledger.event import format_time
from hdex.node.errors import PeerUnavailable, SignatureInvalid
from hdex.node.hospital.staff import Staff
from hdex.node.keys import STANDARD, MemoryKeys
from hdex.node.signed import Envelope, sign
from hdex.node.vetting import Office, Vettings


@pytest.fixture
def market(tmp_path: Path) -> Market:
    return Market(tmp_path, vetted=False)


@pytest.fixture
def people(market: Market) -> People:
    return People(market)


class Elsewhere:
    """The exchange's office, whose people have keys of their own."""

    def __init__(self, market: Market) -> None:
        self.market, self.roles = market, ("exchange_operator", "security_officer")
        self.people = {role: MemoryKeys(dict(STANDARD)) for role in self.roles}
        staff = Staff("exchange", {role: keys.public("sign") for role, keys in self.people.items()})
        key = market.keys["exchange"].secret("sign")
        ground = market.grounds["exchange"]
        office = Office(person("exchange"), self.roles, staff, key, market.clock)
        self.vettings = Vettings(
            office, ground.documents, market.directory, rules=default_rules(), recorder=ground.recorder
        )

    def decide(self, name: str, arrow: str, role: str) -> None:
        until = format_time(self.market.now + timedelta(days=300)) if arrow == "approve" else ""
        paper = {
            "digest": name,
            "participant": BUYER,
            "arrow": arrow,
            "reason": "so",
            "valid_until": until,
            "at": "now",
        }
        envelope = sign("vetting.decision", paper, f"exchange/{role}", self.people[role].secret("sign"))
        who = person("exchange", role)
        self.vettings.decide(envelope, who)

    def tell(self) -> None:
        """Let the hospitals hear what this office says now."""
        certificate = self.vettings.certificate(BUYER, person(HOME))
        if certificate is not None:
            self.market.certificates[BUYER] = certificate


def test_the_exchanges_word_counts_until_the_hospital_or_the_exchange_says_otherwise(
    market: Market, people: People
) -> None:
    elsewhere = Elsewhere(market)
    record = elsewhere.vettings.apply(people.application(office="exchange"), person(BUYER))
    elsewhere.tell()
    assert refusal(market)[0] == "vetting.missing"  # nothing is decided there
    elsewhere.decide(record.digest, "endorse", "exchange_operator")
    elsewhere.decide(record.digest, "approve", "security_officer")
    elsewhere.tell()
    product = market.hospital.products.all()[0]
    market.finalized(product, contract_id="c-2")
    elsewhere.decide(record.digest, "revoke", "security_officer")
    elsewhere.tell()
    assert refusal(market, "c-3")[0] == "vetting.revoked"
    people.vetted()  # two people here have looked for themselves
    market.finalized(product, contract_id="c-4")
    people.vet(people.vettings.all()[0], "revoke", "data_steward")
    again = elsewhere.vettings.apply(people.application(office="exchange"), person(BUYER))
    elsewhere.decide(again.digest, "endorse", "exchange_operator")
    elsewhere.decide(again.digest, "approve", "security_officer")
    elsewhere.tell()
    assert refusal(market, "c-5")[0] == "vetting.revoked"  # our own revocation outweighs any other word


def test_a_silent_exchange_is_no_refusal_and_what_it_said_before_counts(market: Market, people: People) -> None:
    elsewhere, product, silent = Elsewhere(market), market.stents(), PeerUnavailable("the exchange is away")

    def away(_participant: str) -> Envelope | None:
        raise silent

    heard = people.vettings._elsewhere._ask
    people.vettings._elsewhere._ask = away
    with pytest.raises(PeerUnavailable):
        market.buyers[BUYER].request(market.wish(product), contract_id="c-1")
    assert market.negotiations.all() == []
    record = elsewhere.vettings.apply(people.application(office="exchange"), person(BUYER))
    elsewhere.decide(record.digest, "endorse", "exchange_operator")
    elsewhere.decide(record.digest, "approve", "security_officer")
    elsewhere.tell()
    people.vettings._elsewhere._ask = heard
    market.finalized(product, contract_id="c-2")
    people.vettings._elsewhere._ask = away
    market.finalized(product, contract_id="c-3")
    market.later(days=301)
    assert refusal(market, "c-4")[0] == "vetting.expired"


@pytest.mark.parametrize("forged", ["signer", "organisation", "state"])
def test_a_certificate_that_the_exchange_did_not_sign_counts_for_nothing(
    market: Market, people: People, forged: str
) -> None:
    elsewhere = Elsewhere(market)
    record = elsewhere.vettings.apply(people.application(office="exchange"), person(BUYER))
    elsewhere.decide(record.digest, "endorse", "exchange_operator")
    elsewhere.decide(record.digest, "approve", "security_officer")
    elsewhere.tell()
    true = market.certificates[BUYER]
    word = dict(true["document"])
    if forged == "signer":
        market.certificates[BUYER] = sign("vetting.certificate", word, "exchange", market.keys[BUYER].secret("sign"))
    elif forged == "organisation":
        word["organisation"] = word["organisation"] | {"participant": OTHER}
        market.certificates[BUYER] = sign(
            "vetting.certificate", word, "exchange", market.keys["exchange"].secret("sign")
        )
    else:
        market.certificates[BUYER] = true | {"document": word | {"valid_until": "2040-01-01T00:00:00.000Z"}}
    product = market.stents()
    with pytest.raises(SignatureInvalid):
        market.buyers[BUYER].request(market.wish(product), contract_id="c-1")
    assert market.negotiations.all() == []
