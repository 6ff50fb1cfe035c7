"""Beyond what can be laid out the answer is right, within its budget, and says how far it may be from the best."""

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdex.deid import anytime, hierarchy
from hdex.deid.errors import ArgumentInvalid, RiskTooHigh
from hdex.deid.evaluation import Limits, Rollups, evaluate, evaluate_fully, silent
from hdex.deid.hierarchy import Hierarchy
from hdex.deid.lattice import anonymize, run, start
from hdex.deid.tuples import MOST_QUASI, tabulate
from hdex.deid.verify import verify_release

NAMES = ("a", "b", "c")


def wide(columns: int, rows: int, seed: int) -> pl.DataFrame:
    """Correlated whole numbers: a person's type shifts every column."""
    generator = np.random.default_rng(seed)
    kind = generator.integers(0, 6, rows)
    return pl.DataFrame({f"q{c}": (kind + generator.poisson(0.3, rows) * (c % 3)).tolist() for c in range(columns)})


def ladders(frame: pl.DataFrame) -> dict[str, Hierarchy]:
    return {name: hierarchy.interval(frame[name], (2, 4, 8)) for name in frame.columns}


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(*[st.integers(0, 9)] * 3), min_size=3, max_size=30),
    st.integers(1, 4),
    st.sampled_from([0.0, 0.1, 0.4]),
)
def test_with_budget_to_spare_it_ends_with_the_proven_optimum(
    values: list[tuple[int, int, int]], k: int, suppression: float
) -> None:
    frame = pl.DataFrame(values, schema=list(NAMES), orient="row")
    table = tabulate(frame, ladders(frame), patient=None, models=(), weights=None)
    limits = Limits(k, int(suppression * frame.height + 1e-9), (0, 0, 0))
    found = anytime.search(table, limits, budget=100_000, progress=silent)
    laid_out = run(start(table, limits), budget=100_000, progress=silent)
    assert found.loss == pytest.approx(laid_out.loss, abs=1e-12)
    if found.node is not None:
        assert found.bound == pytest.approx(found.loss, abs=1e-12)


@pytest.mark.parametrize("budget", [2, 10, 60])
def test_a_spent_budget_brackets_the_optimum(budget: int) -> None:
    frame = wide(4, 300, seed=3)
    table = tabulate(frame, ladders(frame), patient=None, models=(), weights=None)
    limits = Limits(5, 15, (0,) * 4)
    best = run(start(table, limits), budget=100_000, progress=silent).loss
    for found in (
        anytime.search(table, limits, budget=budget, progress=silent),
        run(start(table, limits), budget=budget, progress=silent),
    ):
        assert found.bound <= best + 1e-12 <= found.loss + 2e-12
        assert found.checked <= budget + max(table.heights)


def test_more_than_twelve_columns_are_answered_with_a_gap() -> None:
    frame = wide(14, 200, seed=5)
    calls: list[tuple[int, float, float]] = []
    result = anonymize(
        frame, ladders(frame), k=3, budget=300, progress=lambda done, bound, best: calls.append((done, bound, best))
    )
    assert verify_release(result.frame, list(frame.columns), 3).ok
    assert result.gap == pytest.approx(result.loss - result.bound)
    assert 0 <= result.bound <= result.loss < 1
    assert [done for done, _, _ in calls] == sorted(done for done, _, _ in calls)
    assert all(bound <= best for _, bound, best in calls)
    assert math.isclose(min(best for _, _, best in calls), result.loss) or calls[-1][2] >= result.loss


def test_a_proven_optimum_has_no_gap() -> None:
    frame = wide(3, 100, seed=1)
    assert anonymize(frame, ladders(frame), k=3).gap == 0.0


def test_where_nothing_fits_the_anytime_search_refuses_too() -> None:
    frame = wide(13, 20, seed=2)
    with pytest.raises(RiskTooHigh, match="average risk"):
        anonymize(frame, ladders(frame), k=2, max_average=0.01, budget=50)


def test_more_columns_than_anybody_can_know_are_refused() -> None:
    frame = pl.DataFrame({f"q{i}": [1, 1] for i in range(10_000)})
    single = hierarchy.suppress_only(frame["q0"])
    with pytest.raises(ArgumentInvalid, match=f"10000 quasi-identifiers, asked are up to {MOST_QUASI}"):
        anonymize(frame, dict.fromkeys(frame.columns, single), k=2)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 9)] * 3), min_size=1, max_size=30), st.integers(1, 4), st.data())
def test_a_rolled_up_node_is_judged_as_the_whole_table_is(
    values: list[tuple[int, int, int]], k: int, data: st.DataObject
) -> None:
    frame = pl.DataFrame(values, schema=list(NAMES), orient="row")
    table = tabulate(frame, ladders(frame), patient=None, models=(), weights=None)
    rollups = Rollups.over(table)
    for _ in range(4):
        node = tuple(data.draw(st.integers(0, height - 1)) for height in table.heights)
        fast, slow = evaluate(rollups, node, k), evaluate_fully(table, node, k)
        assert (fast.suppressed, fast.classes) == (slow.suppressed, slow.classes)
        assert fast.gap == pytest.approx(slow.gap, abs=1e-12)
        assert fast.average == pytest.approx(slow.average, abs=1e-12)
