"""Epsilon is charged in the log before anything is answered, and never beyond what was agreed."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.node.market_stage import EXCHANGE, NOW, Market
from tests.node.study_stage import Round

from hdex.federated.errors import AdmissionRefused
from hdex.ledger.detail import Details
from hdex.ledger.detail_memory import MemoryDetailStore
from hdex.ledger.errors import LogFailed
from hdex.ledger.log import Log
from hdex.ledger.note import Signer
from hdex.ledger.shard_sqlite import Shards
from hdex.ledger.store_memory import MemoryLogStore
from hdex.node.errors import AccessDenied
from hdex.node.hospital.budgets import Charge, EpsilonBudget, limit_of
from hdex.node.recorder import Recorder

ORIGIN = "hdex/hospital-a/2026"


class Crash(BaseException):
    """The process dies here."""


class Node:
    """A log with its recorder; `store` outlives it."""

    def __init__(self, store: MemoryLogStore | None = None, shards: Shards | None = None) -> None:
        self.store = store or MemoryLogStore()
        self.log = shards.open() if shards else Log(self.store, ORIGIN, Signer(ORIGIN, b"\x07" * 32))
        self.recorder = Recorder(
            self.log, Details(MemoryDetailStore(), b"m" * 32), node="hospital-a", organisation="a", clock=lambda: NOW
        )
        self.budget = EpsilonBudget(self.log, shards.past if shards else list)

    def spend(self, charge: Charge, limit: float = 1.0) -> float:
        """Charge and remember, as a site does."""
        with self.budget.charge(charge, limit) as epsilon:
            self.recorder.allow(
                "round.join",
                EXCHANGE,
                contract=charge.contract,
                product=charge.product,
                policy_digest=charge.study_digest,
                request_digest=charge.question_digest,
                epsilon=epsilon,
            )
        return epsilon


def charge(number: int, epsilon: float, **changes: Any) -> Charge:
    """Return what one round of study `number` costs."""
    return replace(Charge("c-1", "stents", f"{number:064x}", f"{number:064x}", 0.0, 0.0), epsilon=epsilon, **changes)


def test_a_race_of_64_never_overspends() -> None:
    node = Node()

    def race(number: int) -> bool:
        try:
            node.spend(charge(number, 0.1))
        except AccessDenied:
            return False
        return True

    with ThreadPoolExecutor(64) as pool:
        passed = sum(pool.map(race, range(64)))
    assert passed == 9  # ten times the double 0.1 is more than one
    assert node.budget.spent("c-1", "stents") <= 1.0


def test_a_question_asked_again_costs_nothing_more() -> None:
    node = Node()
    assert [node.spend(charge(1, 0.7)) for _ in range(5)] == [0.7, 0.0, 0.0, 0.0, 0.0]
    assert node.budget.spent("c-1", "stents") == 0.7


def test_a_crash_after_the_event_keeps_the_charge_and_before_it_keeps_none() -> None:
    node = Node()
    with pytest.raises(Crash), node.budget.charge(charge(1, 0.6), 1.0):
        raise Crash  # before the event is durable
    assert Node(node.store).budget.spent("c-1", "stents") == 0.0
    node.spend(charge(1, 0.6))  # and dies before the answer
    after = Node(node.store)
    assert after.budget.spent("c-1", "stents") == 0.6
    assert after.spend(charge(1, 0.6)) == 0.0
    with pytest.raises(AccessDenied):
        after.spend(charge(2, 0.6))


def test_each_contract_and_each_data_set_has_its_own_budget() -> None:
    node = Node()
    node.spend(charge(1, 1.0))
    for other in ({"contract": "c-2"}, {"product": "hearts"}):
        node.spend(charge(2, 1.0, **other))
    with pytest.raises(AccessDenied):
        node.spend(charge(3, 1e-9))


def test_a_study_that_could_not_end_does_not_begin() -> None:
    node = Node()
    node.spend(charge(1, 0.5))
    with pytest.raises(AccessDenied):
        node.spend(charge(2, 0.1, whole=0.6))
    node.spend(charge(2, 0.1, whole=0.5))
    node.spend(charge(2, 0.1, whole=0.5, question_digest="ab" * 32))


@pytest.mark.parametrize("epsilon", [-0.1, float("nan"), float("inf"), -float("inf"), "0.1", None, True])
def test_a_cost_that_is_no_number_from_0_is_refused(epsilon: Any) -> None:
    with pytest.raises(AccessDenied) as refused:
        charge(1, epsilon)
    assert refused.value.rule == "budget.invalid"


def test_a_huge_cost_is_refused() -> None:
    with pytest.raises(AccessDenied) as refused:
        Node().spend(charge(1, 1e308))
    assert refused.value.rule == "budget.spent"


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 2, allow_nan=False)), max_size=25), st.floats(0, 3))
@settings(max_examples=25, deadline=None)
def test_whatever_is_asked_the_exact_sum_stays_within_the_limit(asked: list[tuple[int, float]], limit: float) -> None:
    node, charged = Node(), Fraction(0)
    for number, epsilon in asked:
        try:
            charged += Fraction(node.spend(charge(number, epsilon), limit))
        except AccessDenied:
            continue
    assert charged <= Fraction(limit)
    assert Node(node.store).budget.spent("c-1", "stents") == float(charged)


@pytest.mark.parametrize(
    ("clause", "limit"),
    [(None, 1.0), (2.5, 2.5), (0, 0.0), (-1.0, 0.0), ("much", 0.0), (True, 0.0), (float("inf"), 0.0)],
)
def test_what_a_clause_allows(clause: object, limit: float) -> None:
    assert limit_of(clause) == limit


def test_a_site_charges_every_round_in_the_event_that_joins_it(tmp_path: Path) -> None:
    stage = Round(Market(tmp_path))
    stage.rule()
    study = replace(stage.study(), privacy={"epsilon": 0.9}, max_rounds=3)
    for number in (1, 2, 2, 3):
        stage.admit(study, number=number)
    events = [event for event in stage.market.hospital.ground.events() if event.action.value == "round.join"]
    assert len(events) == 4
    assert sum(event.epsilon or 0.0 for event in events) <= 0.9
    with pytest.raises(AdmissionRefused) as refused:
        stage.admit(replace(stage.study("study-2"), privacy={"epsilon": 0.2}, max_rounds=1))
    assert refused.value.rule == "budget.spent"


def test_a_new_year_gives_nothing_back(tmp_path: Path) -> None:
    today = [NOW]
    shards = Shards(tmp_path, "hospital-a", signer=lambda origin: Signer(origin, b"\x07" * 32), clock=lambda: today[0])
    node = Node(shards=shards)
    node.spend(charge(1, 0.6))
    today[0] += timedelta(days=365)
    assert node.spend(charge(1, 0.6)) == 0.0  # and its event begins the shard of the new year
    assert node.log.origin != ORIGIN
    for spender in (node, Node(shards=shards)):
        assert spender.budget.spent("c-1", "stents") == 0.6
        with pytest.raises(AccessDenied):
            spender.spend(charge(2, 0.6))
    node.spend(charge(3, 0.4))


def test_a_charge_that_cannot_be_remembered_is_none(tmp_path: Path) -> None:
    stage = Round(Market(tmp_path))
    stage.rule()
    stage.market.hospital.ground.store.fails = True
    with pytest.raises(LogFailed):
        stage.admit(replace(stage.study(), privacy={"epsilon": 0.9}, max_rounds=1))
    budget = EpsilonBudget(stage.market.hospital.ground.log, list)
    assert budget.spent("c-1", stage.product.id) == 0.0
