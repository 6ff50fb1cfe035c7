"""Bargaining at both desks: the same papers as on the command line, what differs is marked, what is refused is said."""

from pathlib import Path

import pytest
from tests.node.bargain_stage import BARGAINED, CONNECTOR, Bargaining, ask, bargained, bargaining_house, deal
from tests.node.buyer_stage import CONTRACT
from tests.node.desk_stage import OFFICER, STEWARD, Seat
from tests.node.market_stage import OFFICER as PERSON
from tests.node.test_dsp_offers import offered

from hdex.catalog.contract import State
from hdex.node.answer_rules import AnswerRule, Answers
from hdex.node.bargain_terms import compared, told_terms
from hdex.node.bargains import read_address
from hdex.node.errors import RequestInvalid

TERMS = {"plan": "", "columns": "age_band, systolic", "rounds": "6", "until": "2027-03-01"}


@pytest.fixture
def us(tmp_path: Path) -> Bargaining:
    return Bargaining(tmp_path)


def offer_to(us: Bargaining, contract_id: str = "d-1", **terms: str) -> str:
    us.sign_in()
    ask(us.dealings, bargained(us.market), contract_id)
    offered(us.dealings, contract_id, **(terms or {"rounds": "6", "until": "2027-03-01T00:00:00.000Z"}))
    return f"/contracts/{contract_id}"


def test_an_offer_stands_beside_what_was_asked_and_is_accepted_from_the_page(us: Bargaining) -> None:
    path = offer_to(us, columns="age_band,systolic", rounds="6", plan="per_query")
    page, words = us.page(path), us.words(path)
    assert page.count('class="differs"') == 4  # price, plan, columns, rounds
    assert "You asked The hospital offers" in words
    assert "the committee allows less" in words
    assert "<mark>6</mark>" in page
    assert "医院要约" in us.words(f"/zh{path}")
    assert "Signed and accepted" in us.act(path, f"{path}/offer/accept")
    us.dealings.carry()
    record = us.dealings.negotiations.get("d-1")
    assert (record.state, record.asked["max_rounds"]) == (State.ACCEPTED, 6)
    us.dealings.negotiations.decide("d-1", PERSON, approved=True)
    us.dealings.carry()
    assert "Checked and signed" in us.act(path, f"{path}/accept")
    us.dealings.carry()
    assert us.dealings.negotiations.get("d-1").state == State.FINALIZED


def test_an_offer_is_countered_from_the_page_and_an_odd_counter_is_refused(us: Bargaining) -> None:
    path = offer_to(us)
    for odd in ({"rounds": "many"}, {"until": "soon"}, {"plan": "barter"}, {"rounds": "5000"}):
        hidden = us.forms(path)[f"{path}/offer/counter"]
        assert us.send(f"{path}/offer/counter", hidden | TERMS | odd).status_code == 400
    assert us.dealings.negotiations.get("d-1").state == State.OFFERED
    assert "Signed and countered" in us.act(path, f"{path}/offer/counter", **TERMS | {"rounds": "9"})
    us.dealings.carry()
    record = us.dealings.negotiations.get("d-1")
    assert (record.state, record.asked["max_rounds"], record.asked["order"]["columns"]) == (
        State.REQUESTED, 9, ["age_band", "systolic"],
    )  # fmt: skip
    assert record.asked["until"] == "2027-03-01T00:00:00.000Z"


def test_nobody_accepts_an_offer_that_he_has_not_read(us: Bargaining) -> None:
    path = offer_to(us)
    hidden = us.forms(path)[f"{path}/offer/accept"]
    answer = us.send(f"{path}/offer/accept", hidden | {"digest": "ab" * 32})
    assert (answer.status_code, "desk.changed" in answer.text) == (403, True)
    us.act(path, f"{path}/offer/accept")
    answer = us.send(f"{path}/offer/accept", hidden)  # the offer was answered meanwhile
    assert (answer.status_code, "offer.absent" in answer.text) == (403, True)


def test_an_offer_is_ended_from_the_page_and_the_hospital_is_told(us: Bargaining) -> None:
    path = offer_to(us)
    us.act(f"{path}/withdraw", f"{path}/withdraw", reason="too few rounds")
    us.dealings.carry()
    record = us.dealings.negotiations.get("d-1")
    assert (record.state, record.rule) == (State.TERMINATED, "consumer.withdrew")


def test_a_desk_that_does_not_listen_says_so_and_answers_nothing(tmp_path: Path) -> None:
    us = Bargaining(tmp_path, listens=False)
    path = offer_to(us)
    assert "does not hear the hospital" in us.words(path)
    assert f"{path}/offer/accept" not in us.forms(path)
    csrf = next(iter(us.forms(f"{path}/withdraw").values()))["csrf"]
    record = us.desk_.standing("d-1").record
    assert record is not None
    assert record.offer is not None
    from hdex.node.signed import digest

    fields = {"csrf": csrf, "digest": digest(record.offer["document"])}
    answer = us.send(f"{path}/offer/accept", fields)
    assert (answer.status_code, "dsp.closed" in answer.text) == (403, True)
    assert 'name="connector"' not in us.page(f"/products/{BARGAINED}/contract")


def test_a_hospital_is_asked_at_its_own_connector_from_a_products_page(us: Bargaining) -> None:
    us.sign_in()
    bargained(us.market)
    path = f"/products/{BARGAINED}/contract"
    asked = CONTRACT | {"mode": "federated", "rounds": "12", "connector": CONNECTOR}
    for wrong in (
        "http://hospital-a.example/dsp",
        "https://hospital-a.example/",
        "https://me@x/dsp",
        "https://x:99999/dsp",
    ):
        assert us.send(path, us.forms(path)[path] | asked | {"connector": wrong}).status_code == 400
    answer = us.send(path, us.forms(path)[path] | asked)
    assert answer.status_code == 303, answer.text
    us.dealings.carry()
    (record,) = us.dealings.negotiations.all()
    assert (record.state, record.asked["max_rounds"]) == (State.REQUESTED, 12)
    assert not us.market.contracts.all()  # the exchange has no part in it
    assert CONNECTOR in us.page(path)  # where the hospital was reached last


def test_the_officer_offers_from_the_page_and_sees_the_counter_with_what_differs(tmp_path: Path) -> None:
    house, dealings = bargaining_house(tmp_path)
    ask(dealings, bargained(dealings.market), "d-1")
    seat, path = Seat(house, OFFICER).sign_in(), "/contracts/d-1"
    assert f'href="{path}/offer"' in seat.page(path)
    assert f'href="{path}/offer"' not in Seat(house, STEWARD).sign_in().page(path)
    form = f"{path}/offer"
    refused = seat.act(form, form, **TERMS | {"rounds": "0", "reason": "less"})
    assert "request.rounds" in refused
    assert "Signed and offered" in seat.act(form, form, **TERMS | {"reason": "The committee allows less."})
    dealings.carry()
    assert dealings.negotiations.get("d-1").state == State.OFFERED
    assert "Offer · privacy officer" in seat.words(path)
    dealings.counter("d-1", {"max_rounds": 9})
    words = seat.words(path)
    assert "Counter-offer" in words
    assert "<mark>9</mark>" in seat.page(path)
    assert seat.page(path).count('class="differs"') == 1  # of what was asked first, the rounds alone
    assert "d-1" in seat.words("/")  # it waits for a person again
    seat.act(f"{path}/approve", f"{path}/approve")
    assert dealings.negotiations.get("d-1").state == State.AGREED


def test_an_accepted_offer_is_approved_from_the_page(tmp_path: Path) -> None:
    house, dealings = bargaining_house(tmp_path)
    deal(dealings, bargained(dealings.market))
    seat = Seat(house, OFFICER).sign_in()
    assert "d-accepted" in seat.words("/")
    for name in ("asked", "offered", "countered", "accepted"):
        assert "Bargaining" in seat.words(f"/contracts/d-{name}") or name == "asked"
        assert "协商" in seat.words(f"/zh/contracts/d-{name}") or name == "asked"
    assert [one["kind"] for one in dealings.negotiations.get("d-countered").bargain] == [
        "request", "offer", "counter", "offer", "counter",
    ]  # fmt: skip
    seat.act("/contracts/d-accepted/approve", "/contracts/d-accepted/approve")
    assert dealings.negotiations.get("d-accepted").state == State.AGREED
    seat.act("/contracts/d-offered/refuse", "/contracts/d-offered/refuse", reason="The study was stopped.")
    assert dealings.negotiations.get("d-offered").state == State.TERMINATED


def test_what_a_rule_said_is_shown_by_its_name(tmp_path: Path) -> None:
    rule = AnswerRule("fewer-rounds", "offer", rounds=6, reason="six are enough", sign_accepted=True)
    house, dealings = bargaining_house(tmp_path, Answers((rule,)))
    ask(dealings, bargained(dealings.market), "d-1")
    dealings.accept("d-1")
    words = Seat(house, OFFICER).sign_in().words("/contracts/d-1")
    assert "Offer · by the rule fewer-rounds" in words
    assert "Agreed · by the rule fewer-rounds" in words
    assert rule.digest()[:16] in words


def test_terms_of_odd_papers_are_as_if_not_said() -> None:
    nothing = told_terms({})
    for odd in ({"order": [1]}, {"order": {"columns": 7, "plan": None}}, {"max_rounds": "6"}, {"price": {"x": 1}}):
        assert told_terms(odd) == nothing
    assert not any(one.is_changed for one in compared(nothing, told_terms({"order": {"columns": []}})))
    same = [told_terms({"order": {"columns": names}}) for names in (["a", "b"], ["b", "a"])]
    assert not any(one.is_changed for one in compared(*same))


@pytest.mark.parametrize(
    "typed", ["", "hospital-a.example/dsp", "https:///dsp", "https://h/dsp?x=1", "https://h/dsp#x"]
)
def test_an_odd_connector_is_refused(typed: str) -> None:
    with pytest.raises(RequestInvalid):
        read_address(typed)
    assert read_address(" https://h:8443/dsp/ ") == "https://h:8443/dsp"
