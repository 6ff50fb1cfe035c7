"""Access requests: three people read, the clock watches, the contract names what was approved."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.catalog.samples import sample_product
from tests.node.access_people import HOME, WAY, People, refusal
from tests.node.access_stage import PDF
from tests.node.market_stage import BUYER, EXCHANGE, OFFICER, OTHER, Market, person

from hdex.catalog.access_review import AccessState
from hdex.catalog.contract import State
from hdex.catalog.errors import CatalogError, GuardUnmet, TransitionForbidden
from hdex.catalog.product import DataProduct
from hdex.catalog.quote import Order
from hdex.ledger.errors import LogFailed
from hdex.node.buyer import Wish
from hdex.node.errors import AccessDenied, NodeError, NotFound, RequestInvalid, SignatureInvalid
from hdex.node.hospital.access_views import request_view
from hdex.node.signed import countersign, digest, sign, verify


@pytest.fixture
def market(tmp_path: Path) -> Market:
    return Market(tmp_path)


@pytest.fixture
def people(market: Market) -> People:
    return People(market)


@pytest.fixture
def product(market: Market) -> DataProduct:
    """The carotid product under terms that leave every use to people."""
    return market.stents(terms=replace(sample_product().terms, needs_approval=("*",)))


def test_a_request_is_read_by_three_people_and_the_contract_names_it(
    market: Market, people: People, product: DataProduct
) -> None:
    assert refusal(market)[0] == "access_request.missing"
    record = people.submit(product)
    assert refusal(market, "c-2")[0] == "access_request.pending"
    record = people.reviewed(record)
    assert record.state is AccessState.APPROVED
    agreed = market.finalized(product, contract_id="c-3").agreement
    assert agreed is not None
    document = agreed["document"]
    assert document["clauses"]["access_request"] == "r-1"
    assert document["clauses"]["access_request_digest"] == record.digest
    assert document["expires"] == "2027-06-10T00:00:00.000Z"  # the day after the last day asked for
    steps = [verify("access.step", one["step"], {HOME: market.keys[HOME].public("sign")}) for one in record.history]
    assert [step["to"] for step in steps] == [
        "SUBMITTED", "STEWARD_REVIEW", "PRIVACY_REVIEW", "COMMITTEE", "APPROVED",
    ]  # fmt: skip
    events = [event for event in people.events() if event.policy_digest]
    assert [event.action.value for event in events] == [
        "access.submit", "access.take", "access.endorse", "access.endorse", "access.approve",
    ]  # fmt: skip
    assert [event.policy_digest for event in events] == [digest(step) for step in steps]
    assert {event.request_digest for event in events} == {record.digest}


def test_a_product_that_leaves_nothing_to_people_needs_no_request(market: Market) -> None:
    agreed = market.finalized(market.stents()).agreement
    assert agreed is not None
    assert "access_request" not in agreed["document"]["clauses"]


def test_the_view_says_whose_turn_it_is_by_when_and_what_the_terms_say(
    market: Market, people: People, product: DataProduct
) -> None:
    record = people.submit(product)
    turns = [("SUBMITTED", "data_steward", "2026-11-27T16:00:00.000Z")]
    for arrow, role in WAY[:3]:
        record = people.decide(record, arrow, role)
        view = request_view(record, people.requests, market.now)
        turns.append((view["state"], view["next"], view["due"]))
    assert turns == [
        ("SUBMITTED", "data_steward", "2026-11-27T16:00:00.000Z"),
        ("STEWARD_REVIEW", "data_steward", "2026-12-04T16:00:00.000Z"),
        ("PRIVACY_REVIEW", "privacy_officer", "2026-12-04T16:00:00.000Z"),
        ("COMMITTEE", "ethics_committee", "2027-01-04T16:00:00.000Z"),
    ]
    assert (view["precheck"], view["precheck_rule"]) == ("undecided", "approval.person")
    assert view["endorsed"] == ["data_steward", "privacy_officer"]


def test_a_returned_request_comes_back_as_the_next_revision_and_is_read_anew(
    market: Market, people: People, product: DataProduct
) -> None:
    record = people.reviewed(people.submit(product), 2)
    returned = people.decide(record, "return", "privacy_officer", reason="name the contractor")
    assert refusal(market)[0] == "access_request.returned"
    for revision in (1, 3):
        with pytest.raises(GuardUnmet) as refused:
            people.submit(product, revision=revision, title="mended")
        assert refused.value.rule == "access.revision"
    again = people.submit(product, revision=2, title="mended")
    assert (again.state, again.endorsed, len(again.history)) == (AccessState.SUBMITTED, (), 5)
    with pytest.raises(AccessDenied) as older:  # a paper about the revision of before
        people.decide(returned, "take", "data_steward")
    assert older.value.rule == "access.digest"
    assert people.reviewed(again).state is AccessState.APPROVED


@pytest.mark.parametrize(("steps", "arrow", "role"), [
    (0, "endorse", "data_steward"),
    (0, "approve", "ethics_committee"),
    (1, "approve", "ethics_committee"),
    (1, "take", "data_steward"),
    (2, "approve", "ethics_committee"),
    (3, "endorse", "ethics_committee"),
    (4, "refuse", "ethics_committee"),
    (4, "approve", "ethics_committee"),
])  # fmt: skip
def test_no_step_is_skipped_or_taken_twice(
    people: People, product: DataProduct, steps: int, arrow: str, role: str
) -> None:
    record = people.reviewed(people.submit(product), steps)
    with pytest.raises(TransitionForbidden):
        people.decide(record, arrow, role, reason="another paper")
    assert people.requests.get("r-1") == record
    assert people.told()[-1] == (f"access.{arrow}", "deny")


@pytest.mark.parametrize(("steps", "arrow", "role", "rule"), [
    (0, "take", "privacy_officer", "access.data_steward"),
    (1, "endorse", "privacy_officer", "access.data_steward"),
    (2, "endorse", "data_steward", "access.privacy_officer"),
    (3, "approve", "privacy_officer", "access.ethics_committee"),
    (2, "refuse", "ethics_committee", "access.privacy_officer"),
])  # fmt: skip
def test_only_whose_turn_it_is_decides(
    people: People, product: DataProduct, steps: int, arrow: str, role: str, rule: str
) -> None:
    record = people.reviewed(people.submit(product), steps)
    with pytest.raises(GuardUnmet) as refused:
        people.decide(record, arrow, role, reason="not mine to say")
    assert refused.value.rule == rule


@pytest.mark.parametrize("shared", [("data_steward", "privacy_officer"), ("privacy_officer", "ethics_committee")])
def test_one_person_in_two_roles_counts_once(
    market: Market, people: People, product: DataProduct, shared: tuple[str, str]
) -> None:
    first, second = shared
    market.people[second] = market.people[first]
    people.requests._room.staff.keys[second] = market.people[first].public("sign")  # type: ignore[index]  # a dict, here
    with pytest.raises(GuardUnmet) as refused:
        people.reviewed(people.submit(product))
    assert refused.value.rule == "access.people"
    assert people.requests.get("r-1").state is not AccessState.APPROVED


def test_decisions_need_reasons_and_papers_of_their_own_shape(people: People, product: DataProduct) -> None:
    record = people.reviewed(people.submit(product), 1)
    with pytest.raises(GuardUnmet):
        people.decide(record, "refuse", "data_steward", reason=" ")
    for changed in ({"reason": "x" * 4001}, {"extra": "x"}, {"arrow": "lapse"}, {"reason": "\x1b[2J"}, {"reason": 7}):
        with pytest.raises(RequestInvalid):
            people.decide(record, "refuse", "data_steward", **changed)
    forged = people.paper(record, "endorse", "data_steward")
    with pytest.raises(SignatureInvalid):
        people.requests.decide(forged, person(HOME, "privacy_officer"))
    with pytest.raises(AccessDenied):
        people.requests.decide(forged, person(HOME, "node_admin"))
    assert people.decide(record, "refuse", "data_steward").state is AccessState.REFUSED


def test_the_terms_answer_first_and_an_unvetted_applicant_is_not_read(tmp_path: Path) -> None:
    market = Market(tmp_path, vetted=False)
    people, product = People(market), market.stents()
    form = people.form(product)["document"]
    with pytest.raises(AccessDenied) as forbidden:
        people.submit(product, access=form["access"] | {"purpose": "HDEX:underwriting"})
    assert forbidden.value.rule == "purpose.prohibited"
    with pytest.raises(AccessDenied) as missing:
        people.submit(product)
    assert missing.value.rule == "vetting.missing"


def test_a_deadline_is_escalated_once_and_never_takes_the_decision(
    market: Market, people: People, product: DataProduct
) -> None:
    record = people.submit(product)
    assert people.requests.sweep() == []
    market.later(days=8)
    for _ in range(2):
        people.requests.sweep()
    assert people.told().count(("access.escalate", "allow")) == 1
    view = request_view(people.requests.get("r-1"), people.requests, market.now)
    assert (view["state"], view["overdue"], view["escalated_to"]) == ("SUBMITTED", True, "privacy_officer")
    assert people.decide(record, "take", "data_steward").escalated == ""


def test_the_clock_ends_what_the_applicant_leaves_lying(market: Market, people: People, product: DataProduct) -> None:
    record = people.reviewed(people.submit(product), 1)
    people.decide(record, "return", "data_steward")
    market.later(days=60)
    assert refusal(market)[0] == "access_request.lapsed"
    assert people.told()[-1] == ("access.lapse", "allow")
    with pytest.raises(TransitionForbidden):
        people.submit(product, revision=2, ends="2027-05-01")


def test_an_approval_that_nobody_uses_lapses_and_a_clock_set_back_does_not_revive_it(
    market: Market, people: People, product: DataProduct
) -> None:
    people.reviewed(people.submit(product))
    market.later(days=181)
    assert refusal(market)[0] == "access_request.lapsed"
    market.now -= timedelta(days=181)
    assert refusal(market, "c-2")[0] == "access_request.lapsed"


def test_papers_of_a_refused_request_are_deleted_after_their_retention_and_an_approved_ones_stay(
    market: Market, people: People, product: DataProduct
) -> None:
    refused = people.reviewed(people.submit(product), 1)
    people.decide(refused, "refuse", "data_steward")
    people.reviewed(people.submit(product, id="r-2"))
    vault = market.hospital.vault
    kept = {one.name.partition("/")[0] for one in vault.items("access requests of buyer-heartline")}
    assert kept == {"r-1", "r-2"}
    market.later(days=89)
    assert people.requests.sweep() == []
    market.later(days=1)
    (erased,) = people.requests.sweep()
    assert (erased.id, erased.state, bool(erased.erased)) == ("r-1", "REFUSED", True)
    assert {one.name.partition("/")[0] for one in vault.items("access requests of buyer-heartline")} == {"r-2"}
    assert people.told()[-1] == ("access.erase", "allow")
    assert people.requests.sweep() == []
    with pytest.raises(NotFound):
        people.requests.read_document("r-1", person(HOME, "data_steward"))


def test_a_contract_does_not_reach_beyond_what_was_approved(
    market: Market, people: People, product: DataProduct
) -> None:
    people.reviewed(people.submit(product))
    with pytest.raises(AccessDenied) as refused:
        market.buyers[BUYER].request(market.wish(product, "federated"), contract_id="c-1")
    assert refused.value.rule == "access_request.other"
    with pytest.raises(AccessDenied) as disease:
        market.buyers[BUYER].request(market.wish(product, disease="I63.9"), contract_id="c-2")
    assert disease.value.rule == "access_request.other"
    further: list[dict[str, Any]] = [{"diseases": ("I63.9",)}, {"project": "another"}, {"user": "somebody"}]
    for number, more in enumerate(further):
        with pytest.raises(AccessDenied) as wider:
            market.buyers[BUYER].request(market.wish(product, **more), contract_id=f"c-2{number}")
        assert wider.value.rule == "access_request.other"
    newer = market.list_product(replace(product, version="1.1.0"))
    with pytest.raises(AccessDenied) as version:
        market.buyers[BUYER].request(market.wish(newer), contract_id="c-3")
    assert version.value.rule == "access_request.missing"


def test_a_contract_agreed_before_a_newer_version_is_finalized_after_it(
    market: Market, people: People, product: DataProduct
) -> None:
    people.reviewed(people.submit(product))
    market.buyers[BUYER].request(market.wish(product), contract_id="c-1")
    market.negotiations.decide("c-1", OFFICER, approved=True)
    agreement = market.negotiations.all()[0].agreement
    assert agreement is not None
    market.list_product(replace(product, version="1.1.0"))
    signed = countersign("agreement", agreement, BUYER, market.keys[BUYER].secret("sign"))
    assert market.negotiations.confirm(signed, EXCHANGE).state == State.FINALIZED


def test_columns_that_were_approved_are_those_of_the_contract(
    market: Market, people: People, product: DataProduct
) -> None:
    people.reviewed(people.submit(product, columns=["age_band", "systolic"], delivery_mode="federated"))
    for number, columns in enumerate([(), ("age_band", "stent_model"), ("systolic", "age_band", "sex")]):
        with pytest.raises(AccessDenied) as beyond:
            market.buyers[BUYER].request(ordering(market, product, *columns), contract_id=f"c-0{number}")
        assert beyond.value.rule == "access_request.columns"
    market.buyers[BUYER].request(ordering(market, product, "systolic"), contract_id="c-1")
    market.negotiations.decide("c-1", OFFICER, approved=True)
    agreed = market.buyers[BUYER].accept("c-1").agreement
    assert agreed is not None
    assert agreed["document"]["columns"] == ["systolic"]


def ordering(market: Market, product: DataProduct, *columns: str) -> Wish:
    """Return a wish for federated use of these columns."""
    return replace(market.wish(product, "federated"), order=Order(columns=columns))


def test_a_period_that_is_over_ends_the_approval(market: Market, people: People, product: DataProduct) -> None:
    people.reviewed(people.submit(product, ends="2026-11-30"))
    market.buyers[BUYER].request(market.wish(product), contract_id="c-1")
    market.later(days=12)
    with pytest.raises(AccessDenied) as over:
        market.negotiations.decide("c-1", OFFICER, approved=True)
    assert over.value.rule == "access_request.other"


def test_the_committee_cannot_approve_what_has_expired_meanwhile(
    market: Market, people: People, product: DataProduct
) -> None:
    record = people.reviewed(people.submit(product, ends="2026-11-30"), 3)
    market.later(days=20)
    with pytest.raises(GuardUnmet) as refused:
        people.decide(record, "approve", "ethics_committee")
    assert refused.value.rule == "access.form"


def test_a_request_of_another_is_not_there(people: People, product: DataProduct) -> None:
    record = people.submit(product)
    for look in (
        lambda: people.requests.read("r-1", person(OTHER)),
        lambda: people.requests.read_document("r-1", person(OTHER)),
        lambda: people.requests.get("r-2"),
    ):
        with pytest.raises(NotFound):
            look()
    assert people.requests.visible(person(OTHER)) == []
    assert [one.id for one in people.requests.visible(person(BUYER))] == ["r-1"]
    with pytest.raises(AccessDenied) as taken:  # the same id, by another applicant
        people.submit(product, applicant=OTHER, access=record.envelope["document"]["access"] | {"recipient": OTHER})
    assert taken.value.rule == "access.other"
    paper = {"id": "r-1", "digest": record.digest, "reason": "", "at": "x"}
    envelope = sign("access.withdrawal", paper, OTHER, people.market.keys[OTHER].secret("sign"))
    with pytest.raises(NodeError):  # nor does another withdraw it
        people.requests.withdraw(envelope, person(OTHER))


def test_papers_sent_again_change_nothing(people: People, product: DataProduct) -> None:
    form = people.form(product)
    record = people.requests.submit(form, PDF, person(BUYER))
    assert people.requests.submit(form, PDF, person(BUYER)) == record
    paper = people.paper(record, "take", "data_steward")
    taken = people.requests.decide(paper, person(HOME, "data_steward"))
    assert people.requests.decide(paper, person(HOME, "data_steward")) == taken
    assert people.requests.submit(form, PDF, person(BUYER)) == taken
    assert [action for action, _ in people.told()] == ["access.submit", "access.take"]
    withdrawn = people.withdraw(taken)
    assert people.withdraw(taken) == withdrawn


def test_two_reviewers_at_once_decide_one_step_once(people: People, product: DataProduct) -> None:
    record = people.reviewed(people.submit(product), 3)
    papers = [people.paper(record, arrow, "ethics_committee") for arrow in ("approve", "refuse", "return")]

    def decide(paper: dict[str, Any]) -> None:
        with suppress(CatalogError):
            people.requests.decide(paper, person(HOME, "ethics_committee"))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(decide, papers * 3))
    kept = people.requests.get("r-1")
    assert len(kept.history) == 5
    assert [decision for _, decision in people.told()].count("allow") == 5


@pytest.mark.parametrize("verb", ["submit", "decide", "message", "sweep", "withdraw"])
def test_without_a_durable_event_nothing_is_kept(
    market: Market, people: People, product: DataProduct, verb: str
) -> None:
    record = people.submit(product)
    before = people.requests.all()
    market.later(days=30)
    market.desks[HOME].store.fails = True
    calls: dict[str, Callable[[], object]] = {
        "submit": lambda: people.submit(product, id="r-2"),
        "decide": lambda: people.decide(record, "take", "data_steward"),
        "message": lambda: people.message(record, "hello"),
        "sweep": lambda: people.requests.sweep(),
        "withdraw": lambda: people.withdraw(record),
    }
    with pytest.raises(LogFailed):
        calls[verb]()
    assert people.requests.all() == before
