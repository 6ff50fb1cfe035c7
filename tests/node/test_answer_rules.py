"""A hospital's rules answer requests: within what a person could do, by name and digest, and each request once."""

import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.catalog.samples import sample_product
from tests.node.access_people import People
from tests.node.dealings_stage import HOSPITAL, Dealings
from tests.node.market_stage import BUYER, NOW, OFFICER, PURPOSE, Market, person, released
from tests.node.test_dsp_offers import bargain_of, offered

from hdex.catalog.contract import State
from hdex.catalog.errors import TransitionForbidden
from hdex.catalog.product import DataProduct, DeliveryMode
from hdex.node.answer_rules import AnswerRule, Answers, is_same, proposal
from hdex.node.config import HospitalConfig, _build, dump
from hdex.node.contract_record import ContractRecord
from hdex.node.errors import AccessDenied, ConfigInvalid
from hdex.node.hospital.rule_answers import RuleAnswers

AGREES = AnswerRule("open-data", "agree")
OFFERS = AnswerRule("fewer-rounds", "offer", rounds=6, days=90, reason="six rounds are enough", counters=2)
CONTRACT = "urn:uuid:7"


def low(dealings: Dealings, level: int = 2, **given: Any) -> DataProduct:
    """List a product of a level; by default one that rules may answer about."""
    if level == 3:
        given = {"delivery_modes": (DeliveryMode.QUERY, DeliveryMode.FEDERATED)} | given
    open_ = {"terms": replace(sample_product().terms, modifiers=(), needs_approval=())} | given
    product = replace(sample_product(id=f"hospital-a.low{level}"), level=level, **open_)
    return dealings.market.list_product(product, released())


def asked(dealings: Dealings, product: DataProduct, mode: str = "federated", **access: Any) -> ContractRecord:
    """Let the buyer ask over the Dataspace Protocol and return what the hospital has."""
    wish = dealings.market.wish(product, mode, **access)
    with suppress(AccessDenied):
        dealings.buyer().request(wish, contract_id=CONTRACT)
    dealings.carry()
    return dealings.negotiations.get(CONTRACT)


def by_rules(dealings: Dealings) -> list[tuple[str, str | None, str | None, str]]:
    """Return (action, rule, digest, role) of what the log says rules did."""
    return [
        (one.action.value, one.reason, one.policy_digest, str(one.role))
        for one in dealings.ground.events()
        if one.role == "answer_rule" and one.decision == "allow"
    ]


def test_a_request_is_agreed_to_by_a_rule_which_the_log_names_with_its_digest(tmp_path: Path) -> None:
    dealings = Dealings(tmp_path, Answers((AGREES,)))
    record = asked(dealings, low(dealings))
    assert (record.state, record.bargain[-1]["by"]) == (State.AGREED, "rule:open-data")
    assert by_rules(dealings) == [("contract.agree", "open-data", AGREES.digest(), "answer_rule")]
    dealings.buyer().accept(CONTRACT)
    dealings.carry()
    assert dealings.negotiations.get(CONTRACT).state == State.FINALIZED


def test_without_a_rule_a_person_decides(tmp_path: Path) -> None:
    never = (
        replace(AGREES, products=("hospital-a.other",)),
        replace(AGREES, name="b", purposes=("DUO:0000042",)),
        replace(AGREES, name="c", modes=("query",)),
        replace(AGREES, name="d", buyers=("buyer-other",)),
        replace(AGREES, name="e", countries=("CN",)),
        replace(AGREES, name="f", non_profit=True),
        replace(AGREES, name="g", rounds_most=11),
        replace(AGREES, name="h", amount_most=0, currency="CNY"),
        replace(AGREES, name="i", level_most=1),
        AnswerRule("leave", "person"),
        replace(AGREES, name="z"),
    )
    dealings = Dealings(tmp_path, Answers(never))
    record = asked(dealings, low(dealings))
    assert (record.state, record.rule, by_rules(dealings)) == (State.REQUESTED, "approval.pending", [])


def test_a_rule_offers_what_it_says_counters_so_often_and_then_a_person_decides(tmp_path: Path) -> None:
    dealings = Dealings(tmp_path, Answers((replace(OFFERS, sign_accepted=True),)))
    record = asked(dealings, low(dealings))
    assert record.offer is not None
    said = record.offer["document"]
    assert (record.state, said["max_rounds"], said["until"][:10], said["reason"]) == (
        State.OFFERED, 6, "2027-02-19", "six rounds are enough",
    )  # fmt: skip
    _, bargain = bargain_of(dealings)
    for _ in range(2):
        assert dealings.negotiations.get(CONTRACT).state == State.OFFERED
        bargain.counter(CONTRACT, {"max_rounds": 9})
        dealings.carry()
    record = dealings.negotiations.get(CONTRACT)
    assert (record.state, record.asked["max_rounds"]) == (State.REQUESTED, 9)
    kinds = [one["kind"] for one in record.bargain]
    assert kinds == ["request", "offer", "counter", "offer", "counter"]
    dealings.negotiations.decide(CONTRACT, OFFICER, approved=True)
    assert dealings.negotiations.get(CONTRACT).state == State.AGREED


@pytest.mark.parametrize(("signs", "state"), [(True, State.AGREED), (False, State.ACCEPTED)])
def test_what_a_rule_offered_is_signed_once_accepted_where_it_says_so(
    tmp_path: Path, signs: bool, state: State
) -> None:
    dealings = Dealings(tmp_path, Answers((replace(OFFERS, sign_accepted=signs),)))
    asked(dealings, low(dealings))
    dealings.market.later(hours=1)
    bargain_of(dealings)[1].accept(CONTRACT)
    dealings.carry()
    assert dealings.negotiations.get(CONTRACT).state == state


def test_terms_that_are_not_settled_are_left_to_a_person(tmp_path: Path) -> None:
    dealings = Dealings(tmp_path, Answers((AGREES,)))
    record = asked(dealings, low(dealings, terms=sample_product().terms))  # an ethics approval is asked, none is told
    assert (record.state, dealings.ground.refusals()) == (State.REQUESTED, [("contract.agree", "rule.terms")])


def test_once_a_person_has_offered_rules_are_silent(tmp_path: Path) -> None:
    dealings = Dealings(tmp_path)
    asked(dealings, low(dealings))
    offered(dealings, CONTRACT, rounds="3")
    bargain_of(dealings)[1].counter(CONTRACT, {"max_rounds": 8})
    dealings.carry()
    dealings.answers_of(Answers((AGREES,))).sweep()
    assert dealings.negotiations.get(CONTRACT).state == State.REQUESTED


@pytest.mark.parametrize("rule", [AGREES, OFFERS])
def test_no_rule_answers_about_level_3_nor_what_terms_or_vetting_leave_to_people(
    tmp_path: Path, rule: AnswerRule
) -> None:
    dealings = Dealings(tmp_path, Answers((rule,)))
    assert asked(dealings, low(dealings, 3)).state == State.REQUESTED
    object.__setattr__(rule := replace(rule), "level_most", 5)  # a rule that no file can state
    answers = dealings.answers_of(Answers((rule,)))
    answers.sweep()
    record = dealings.negotiations.get(CONTRACT)
    assert (record.state, record.offer) == (State.REQUESTED, None)
    assert dealings.ground.refusals()[-1][1] in {"rule.level", "level-3-needs-a-person"}
    size = dealings.ground.log.size
    answers.sweep()
    assert dealings.ground.log.size == size  # refused once, it is not tried again and again
    dealings.negotiations.decide(CONTRACT, OFFICER, approved=True)  # what a rule may not do, a person may
    assert dealings.negotiations.get(CONTRACT).state == State.AGREED


def test_the_policies_know_no_rule_above_level_2(tmp_path: Path) -> None:
    market = Market(tmp_path)
    authorizer = market.negotiations._authorizer
    actor = replace(person(HOSPITAL), role="answer_rule")
    for level in range(6):
        resource: dict[str, str | int] = {"kind": "hospital", "participant": HOSPITAL, "level": level}
        decision = authorizer.decide(actor, "HospitalAdminService.DecideRequest", resource)
        assert decision.allow == (level <= 2)
        assert not authorizer.decide(actor, "HospitalAdminService.Approve", resource).allow


def test_terms_that_ask_people_are_left_to_them_even_after_an_approved_request(tmp_path: Path) -> None:
    dealings = Dealings(tmp_path, Answers((AGREES,)))
    product = low(dealings, terms=replace(sample_product().terms, needs_approval=("*",)))
    people = People(dealings.market)
    people.reviewed(people.submit(product))
    with suppress(AccessDenied):
        dealings.buyer().request(dealings.market.wish(product), contract_id=CONTRACT)
    dealings.carry()
    record = dealings.negotiations.get(CONTRACT)
    assert (record.state, record.agreement, by_rules(dealings)) == (State.REQUESTED, None, [])


@settings(max_examples=12, deadline=None)
@given(
    level=st.sampled_from([2, 3]),
    mode=st.sampled_from(["federated", "sealed_file", "query"]),
    purpose=st.sampled_from([PURPOSE, "DUO:0000042", "DUO:0000006"]),
    columns=st.sampled_from([(), ("age_band",), ("nobody",)]),
    rounds=st.integers(0, 12),
    rule=st.sampled_from([AGREES, OFFERS, replace(OFFERS, plan="per_query"), replace(OFFERS, columns=("sex", "x"))]),
)
def test_no_rule_passes_what_a_persons_click_would_not(
    tmp_path_factory: pytest.TempPathFactory, level: int, mode: str, purpose: str, columns: tuple[str, ...],
    rounds: int, rule: AnswerRule,
) -> None:  # fmt: skip
    from hdex.catalog.quote import Order

    ways = []
    for rules in (Answers((rule,)), Answers()):
        dealings = Dealings(tmp_path_factory.mktemp("m"), rules)
        wish = dealings.market.wish(low(dealings, level), mode, purpose=purpose)
        wish = replace(wish, max_rounds=rounds, order=Order(columns=columns))
        with suppress(Exception):
            dealings.buyer().request(wish, contract_id=CONTRACT)
        dealings.carry()
        ways.append(dealings)
    ruled, alone = (one.negotiations._shelf.find(CONTRACT) for one in ways)
    if ruled is None or ruled.state in (State.TERMINATED, State.REQUESTED):
        return
    assert level <= 2
    assert alone is not None
    assert alone.state == State.REQUESTED  # the gate let it wait for a person
    if ruled.state == State.AGREED:
        assert ways[1].negotiations.decide(CONTRACT, OFFICER, approved=True).state == State.AGREED
    else:
        said = ruled.offer["document"] if ruled.offer else {}
        cut = ",".join(said.get("order", {}).get("columns", ()))
        terms = {"rounds": str(said["max_rounds"]), "until": said.get("until", ""), "columns": cut}
        answer = offered(ways[1], CONTRACT, **terms, plan=said.get("order", {}).get("plan") or "")
        assert answer["offer"]["price"] == said["price"]


@pytest.mark.parametrize("deed", ["agree", "refuse", "offer"])
def test_a_rule_and_a_person_at_once_answer_once(tmp_path: Path, deed: str) -> None:
    dealings = Dealings(tmp_path)
    asked(dealings, low(dealings))
    answers, gate, wrong = dealings.answers_of(Answers((AGREES,))), threading.Barrier(3), list[Exception]()

    def run(act: Any) -> None:
        gate.wait(30)
        try:
            act()
        except (AccessDenied, TransitionForbidden):
            pass
        except Exception as error:  # what else is wrong is told by the test
            wrong.append(error)

    person_acts = {
        "agree": lambda: dealings.negotiations.decide(CONTRACT, OFFICER, approved=True),
        "refuse": lambda: dealings.negotiations.decide(CONTRACT, OFFICER, approved=False, reason="no"),
        "offer": lambda: offered(dealings, CONTRACT, rounds="3"),
    }
    threads = [threading.Thread(target=run, args=(one,)) for one in (answers.sweep, answers.sweep, person_acts[deed])]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
    dealings.carry()
    assert not wrong
    done = [one.action.value for one in dealings.ground.events() if one.decision == "allow"]
    record = dealings.negotiations.get(CONTRACT)
    assert record.state in {"agree": (State.AGREED,), "refuse": (State.TERMINATED,)}.get(
        deed, (State.AGREED, State.OFFERED)
    )
    answers_logged = done.count("contract.agree") + done.count("contract.offer")
    told = 1 if record.state in (State.AGREED, State.OFFERED) else 0  # the message to the buyer is an entry too
    assert answers_logged in (1 + told, 2 * told, 2)
    mine, theirs = dealings.of(CONTRACT)
    assert mine.state == theirs.state == record.state
    assert mine.visits.get("AGREED", 0) <= 1


def test_what_a_rule_agreed_to_before_a_stop_is_told_after_it(tmp_path: Path) -> None:
    dealings = Dealings(tmp_path)
    product = low(dealings)
    dealings.market.buyers[BUYER].request(dealings.market.wish(product), contract_id="c-1")  # through the exchange
    side = dealings.market.hospital
    answers = RuleAnswers(
        Answers((AGREES,)), side.negotiations, dealings.offers, side.products, me=person(HOSPITAL),
        directory=dealings.market.directory, clock=dealings.market.clock,
    )  # fmt: skip
    away = side.negotiations._exchange
    told = away.submit_agreement
    away.submit_agreement = gone  # type: ignore[method-assign]  # the exchange is away
    answers.sweep()
    assert dealings.market.contracts.known("c-1").state == State.REQUESTED  # type: ignore[union-attr]  # it is known
    away.submit_agreement = told  # type: ignore[method-assign]
    answers.sweep()
    assert dealings.market.buyers[BUYER].accept("c-1").state == State.FINALIZED


def gone(agreement: Any) -> Any:
    from hdex.node.errors import PeerUnavailable

    raise PeerUnavailable("away")


def test_rules_are_read_strictly_and_written_as_they_are_read(tmp_path: Path) -> None:
    table: dict[str, Any] = {"rules": [{"name": "a", "answer": "offer", "rounds": 3, "reason": "few", "level_most": 1}]}
    read = _build(Answers, table, tmp_path, "answers.")
    assert read == Answers((AnswerRule("a", "offer", rounds=3, reason="few", level_most=1),))
    assert "[[rules]]" in dump(read)
    assert "answers" in HospitalConfig.__dataclass_fields__
    assert read.rules[0].digest() != AGREES.digest()
    bad: list[dict[str, Any]] = [
        {"level_most": 3}, {"answer": "yes"}, {"purposes": ["health"]}, {"modes": ["post"]}, {"rounds": 2},
        {"amount_most": 5}, {"currency": "CNY"}, {"name": "Two Words"}, {"sign_accepted": True}, {"counters": 6},
        {"answer": "offer", "reason": "why"}, {"answer": "offer", "rounds": 3}, {"plan": "barter"}, {"colour": "red"},
    ]  # fmt: skip
    for changed in bad:
        with pytest.raises(ConfigInvalid):
            _build(AnswerRule, {"name": "a", "answer": "agree", **changed}, tmp_path, "")
    with pytest.raises(ConfigInvalid):
        Answers((AGREES, AGREES))


@given(st.integers(0, 20), st.lists(st.sampled_from(["a", "b", "c"]), unique=True), st.integers(1, 20))
def test_an_offer_by_rule_never_exceeds_what_was_asked_and_is_met_by_itself(
    rounds: int, columns: list[str], most: int
) -> None:
    asked = {"max_rounds": rounds, "access": {}, "order": {"columns": columns}}
    rule = AnswerRule("a", "offer", rounds=most, columns=("a", "b"), days=5, reason="few")
    found = proposal(rule, asked, NOW)
    if found is None:
        assert set(columns) == {"c"}
        return
    assert found["max_rounds"] == min(rounds, most)
    assert not columns or set(found["order"]["columns"]) <= set(columns)
    again = proposal(rule, found, NOW)
    assert again is not None
    assert is_same(again, found)


def test_a_record_of_before_has_no_bargaining(tmp_path: Path) -> None:
    dealings = Dealings(tmp_path)
    record = asked(dealings, dealings.market.stents(), "sealed_file")
    kept = {name: value for name, value in record.to_document().items() if name != "bargain"}
    assert ContractRecord.from_document(kept).bargain == ()
