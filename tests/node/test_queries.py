"""Aggregate questions at the node: closed grammar, disclosure control across questions, budget, event before answer."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.catalog.samples import sample_product
from tests.node.market_stage import BUYER, OFFICER, OTHER, Market, person

from hdex.catalog.errors import OutsideAgreement
from hdex.catalog.limits import Limits
from hdex.federated.disclosure_regimes import strictest
from hdex.federated.disclosure_register import smallest_solved
from hdex.ledger.errors import LogFailed
from hdex.node.errors import AccessDenied, ContainerInvalid, RequestInvalid
from hdex.node.hospital import clauses
from hdex.node.hospital.queries import geometric
from hdex.node.hospital.query_answer import cells_of
from hdex.node.hospital.query_register import distinct, smallest_support
from hdex.node.question import LEAST_EPSILON, Question, question_of

ROWS, FLOOR = 400, strictest().cell


def frame() -> pl.DataFrame:
    rng = np.random.default_rng(3)
    return pl.DataFrame(
        {
            "age_band": rng.choice(["50-59", "60-69", "70-79"], ROWS, p=[0.1, 0.45, 0.45]),
            "implant_quarter": rng.choice(["2023-Q1", "2024-Q2", "2025-Q3"], ROWS, p=[0.02, 0.49, 0.49]),
            "sex": rng.choice(["female", "male"], ROWS),
            "systolic": rng.integers(90, 190, ROWS),
            "ldl": [1e6, *rng.normal(3, 0.5, ROWS - 1).round(2)],
            "restenosis": rng.random(ROWS) < 0.2,
            "stent_model": [None if n % 7 == 0 else f"model {n % 3}" for n in range(ROWS)],
        }
    )


FRAME = frame()


@pytest.fixture
def market(tmp_path: Path) -> Market:
    market = Market(tmp_path)
    market.finalized(market.list_product(sample_product(), FRAME), "query")
    return market


def ask(market: Market, **question: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = market.buyers[BUYER].query("c-1", question_of(question))["rows"]
    return rows


def rule(market: Market, **question: Any) -> str:
    with pytest.raises(AccessDenied) as refused:
        ask(market, **question)
    return refused.value.rule


def where(column: str, op: str, value: Any) -> list[dict[str, Any]]:
    return [{"column": column, "op": op, "values" if isinstance(value, list) else "value": value}]


def test_answers_are_those_of_the_released_rows(market: Market) -> None:
    older = FRAME.filter(pl.col("systolic") >= 140)
    assert ask(market, kind="count") == [{"n": ROWS}]
    assert ask(market, kind="count", where=where("systolic", ">=", 140)) == [{"n": older.height}]
    assert ask(market, kind="mean", column="systolic", where=where("systolic", ">=", 140)) == [
        {"n": older.height, "mean": pytest.approx(older["systolic"].mean())}
    ]
    by = {row["sex"]: row["n"] for row in ask(market, kind="count", by=["sex"])}
    assert by == dict(FRAME["sex"].value_counts().iter_rows())
    models = ask(market, kind="count", by=["stent_model"])
    assert [row["stent_model"] for row in models] == ["model 0", "model 1", "model 2", None]
    assert sum(row["n"] for row in models) == ROWS


def test_a_small_cell_is_blank_and_so_is_the_one_that_would_give_it_away(market: Market) -> None:
    rows = {row["implant_quarter"]: row["n"] for row in ask(market, kind="count", by=["implant_quarter"])}
    assert 0 < FRAME.filter(pl.col("implant_quarter") == "2023-Q1").height < FLOOR
    assert rows["2023-Q1"] is None
    assert list(rows.values()).count(None) == 2
    table = ask(market, kind="crosstab", by=["age_band", "restenosis"])
    blank = [(row["age_band"], row["restenosis"]) for row in table if row["n"] is None]
    assert ("50-59", True) in blank
    assert len(blank) == 4  # a cell of a table is protected in its row and in its column
    assert rule(market, kind="crosstab", by=["age_band", "sex", "restenosis"]) == "query.small"
    assert rule(market, kind="count", where=where("implant_quarter", "=", "2023-Q1")) == "query.small"


def test_a_total_that_one_patient_makes_up_is_not_told(market: Market) -> None:
    assert rule(market, kind="sum", column="ldl") == "query.dominance"
    rows = ask(market, kind="mean", column="ldl", by=["sex"])
    assert [row["mean"] for row in rows] == [None, None]
    assert rule(market, kind="sum", column="ldl", by=["sex", "restenosis"]) == "query.dominance"


def test_a_quantile_is_no_patients_own_value_and_stands_on_enough(market: Market) -> None:
    (row,) = ask(market, kind="quantile", column="systolic", probabilities=[0.01, 0.5])
    assert row["q0.01"] is None
    assert row["q0.5"] == pytest.approx(FRAME["systolic"].median(), abs=3)
    blocks = np.sort(FRAME["systolic"].to_numpy())[: ROWS // FLOOR * FLOOR].reshape(-1, FLOOR).mean(axis=1)
    for probability in (0.5, 0.501, 0.503, 0.51):  # however finely it is asked, a block's mean is all there is
        (row,) = ask(market, kind="quantile", column="systolic", probabilities=[probability])
        assert row[f"q{probability:g}"] in blocks.tolist()


def test_a_histogram_has_its_ends_and_no_more_bins_than_the_rows_bear(market: Market) -> None:
    rows = ask(market, kind="histogram", column="systolic", edges=[90, 120, 150, 190])
    assert [row["from"] for row in rows] == ["below", 90.0, 120.0, 150.0, 190.0]
    assert [row["to"] for row in rows] == [90.0, 120.0, 150.0, 190.0, "above"]
    assert next(row["n"] for row in rows) == 0
    assert sum(row["n"] for row in rows) == ROWS
    assert rule(market, kind="histogram", column="systolic", edges=list(range(90, 138))) == "query.bins"


def test_two_questions_that_differ_by_few_are_not_both_answered(market: Market) -> None:
    """The tracker's first step: everybody, and everybody but one."""
    assert ask(market, kind="count") == [{"n": ROWS}]
    assert rule(market, kind="count", where=where("ldl", "<", 1000)) == "query.cells"
    lower = FRAME.filter(pl.col("systolic") < 188).height
    assert 0 < ROWS - lower < FLOOR
    assert rule(market, kind="mean", column="systolic", where=where("systolic", "<", 188)) == "query.cells"
    assert [one for one in market.hospital.ground.refusals() if one[0] == "query.run"] == [
        ("query.run", "query.cells")
    ] * 2


def test_what_was_left_blank_is_not_the_rest_of_other_answers(market: Market) -> None:
    """Two cells are blank: the small one, and one that hides it; asked alone, that one would give it away."""
    rows = {row["implant_quarter"]: row["n"] for row in ask(market, kind="count", by=["implant_quarter"])}
    (hiding,) = [level for level, n in rows.items() if n is None and level != "2023-Q1"]
    assert rule(market, kind="count", where=where("implant_quarter", "=", hiding)) == "query.solvable"
    (open_one,) = [level for level, n in rows.items() if n is not None]
    assert ask(market, kind="count", where=where("implant_quarter", "=", open_one)) == [{"n": rows[open_one]}]


def test_bins_that_move_by_one_are_not_both_answered(market: Market) -> None:
    ask(market, kind="histogram", column="systolic", edges=[90, 120, 190])
    assert rule(market, kind="histogram", column="systolic", edges=[90, 121, 190]) == "query.cells"


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["<", ">=", "="]), st.integers(95, 185)), min_size=2, max_size=8))
def test_whatever_was_answered_no_two_populations_differ_by_few(asked: list[tuple[str, int]]) -> None:
    market = MARKETS()
    told: list[frozenset[int]] = []
    for number, (op, value) in enumerate(asked):
        question = {"kind": "count", "where": where("systolic", op, value + number % 2)}
        try:
            market.hospital.queries.ask("c-1", question, person(BUYER))
        except AccessDenied:
            continue
        told.append(frozenset(np.flatnonzero(cells_of(FRAME, question_of(question)).labels >= 0)))
    apart = [len(one ^ other) for one in told for other in told if one != other]
    assert min(apart, default=FLOOR) >= FLOOR
    assert all(not one or len(one) >= FLOOR for one in told)


def MARKETS() -> Market:
    """Return a market of its own for each example."""
    import tempfile

    market = Market(Path(tempfile.mkdtemp()))
    market.finalized(market.list_product(sample_product(), FRAME), "query")
    return market


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.booleans(), min_size=12, max_size=12), min_size=1, max_size=6))
def test_the_smallest_equation_is_that_of_the_studies_register(rows: list[list[bool]]) -> None:
    masks = distinct([np.array(row) for row in rows])
    if not masks:
        return
    inside = np.any(masks, axis=0)  # the reference knows no rows that are in no population
    whole = [mask[inside] for mask in masks]
    assert smallest_support(whole) == smallest_solved([frozenset(map(str, np.flatnonzero(mask))) for mask in whole])


def test_the_same_question_has_the_same_answer_and_costs_once(market: Market) -> None:
    buyer = market.buyers[BUYER]
    question = question_of({"kind": "count", "by": ["sex"], "where": where("systolic", ">=", 120)})
    first = buyer.query("c-1", question)
    assert first["left"] == clauses.QUESTIONS_AGREED - 1
    assert buyer.query("c-1", question) == first
    runs = [event for event in market.hospital.ground.events() if event.action == "query.run"]
    assert [(event.decision, event.fields, event.rows) for event in runs] == [("allow", 2, ROWS)] * 2
    assert runs[0].request_digest == question.digest()
    assert market.hospital.ground.meter.totals()["answers"]["count"] == 2


def test_a_budget_of_queries_ends(tmp_path: Path) -> None:
    market = Market(tmp_path)
    market.finalized(market.list_product(sample_product(limits=Limits(queries=2)), FRAME), "query", "c-2")
    buyer = market.buyers[BUYER]
    for by in ("sex", "restenosis"):
        buyer.query("c-2", Question(kind="count", by=(by,)))
    with pytest.raises(AccessDenied) as refused:
        buyer.query("c-2", Question(kind="count", by=("stent_model",)))
    assert refused.value.rule == "agreement.questions"
    assert buyer.query("c-2", Question(kind="count", by=("sex",)))["left"] == 0


def test_the_event_is_durable_before_the_answer(market: Market) -> None:
    market.hospital.ground.store.fails = True
    with pytest.raises(LogFailed):
        ask(market, kind="count")


def test_an_answer_without_its_entry_in_the_log_is_not_believed(market: Market) -> None:
    market.counters[BUYER].forge = lambda proof: replace(proof, index=proof.index + 1)
    with pytest.raises(ContainerInvalid):
        ask(market, kind="count")


def test_licence_mode_and_columns_are_asked_anew(market: Market) -> None:
    with pytest.raises(AccessDenied) as foreign:
        market.hospital.queries.ask("c-1", {"kind": "count"}, person(OTHER))
    assert foreign.value.rule == "contract.foreign"
    with pytest.raises(AccessDenied, match="'patient_name': no column of this product's rows") as absent:
        ask(market, kind="count", by=["patient_name"])
    assert absent.value.rule == "query.columns"
    with pytest.raises(OutsideAgreement):
        market.hospital.delivery.range("c-1", 0, person(BUYER))
    market.negotiations.revoke("c-1", "ended", OFFICER)
    assert rule(market, kind="count") == "contract.revoked"


def test_where_an_epsilon_is_promised_counts_are_noisy_alike_and_charged(tmp_path: Path) -> None:
    market = Market(tmp_path)
    market.finalized(market.list_product(sample_product(limits=Limits(epsilon=1.0)), FRAME), "query")
    first = ask(market, kind="count", epsilon=0.6)
    assert first == ask(market, kind="count", epsilon=0.6)
    assert abs(first[0]["n"] - ROWS) < 60
    assert rule(market, kind="count", by=["sex"], epsilon=0.6) == "agreement.epsilon"
    assert rule(market, kind="count") == "query.epsilon"
    assert rule(market, kind="mean", column="systolic", epsilon=0.1) == "query.epsilon"
    ask(market, kind="count", by=["sex"], epsilon=0.4)
    runs = [event.epsilon for event in market.hospital.ground.events() if event.action == "query.run" and event.epsilon]
    assert runs == [0.6, 0.6, 0.4]


def test_noise_is_as_wide_as_its_epsilon_says() -> None:
    drawn = np.array(geometric(np.random.default_rng(1), 0.5, 20_000))
    ratio = np.exp(-0.5)
    assert drawn.var() == pytest.approx(2 * ratio / (1 - ratio) ** 2, rel=0.05)
    assert abs(drawn.mean()) < 0.1


def test_the_least_epsilon_still_hides_and_less_is_not_to_be_had(tmp_path: Path) -> None:
    """Drawn for 1e-30, both sides of the noise are the largest number there is: counts were told as they are, free."""
    drawn = np.array(geometric(np.random.default_rng(1), LEAST_EPSILON, 2_000))
    assert np.median(np.abs(drawn)) > 0.3 / LEAST_EPSILON
    market = Market(tmp_path)
    market.finalized(market.list_product(sample_product(limits=Limits(epsilon=1.0)), FRAME), "query")
    with pytest.raises(RequestInvalid, match="epsilon"):
        ask(market, kind="count", epsilon=1e-30)


BAD: list[dict[str, Any]] = [
    {"kind": "rows"},
    {"kind": "count", "limit": 1},
    {"kind": "mean"},
    {"kind": "count", "column": "systolic"},
    {"kind": "crosstab", "by": ["sex"]},
    {"kind": "count", "by": ["a", "b", "c", "d"]},
    {"kind": "count", "by": ["sex", "sex"]},
    {"kind": "quantile", "column": "systolic"},
    {"kind": "quantile", "column": "systolic", "probabilities": [1.0]},
    {"kind": "histogram", "column": "systolic", "edges": [2, 1]},
    {"kind": "histogram", "column": "systolic", "edges": [1, float("nan")]},
    {"kind": "count", "where": [{"column": "sex", "op": "~", "value": "x"}]},
    {"kind": "count", "where": [{"column": "sex", "op": "<", "value": "x"}]},
    {"kind": "count", "where": [{"column": "sex", "op": "=", "value": "x" * 200}]},
    {"kind": "count", "where": [{"column": "sex", "op": "=", "value": {"$ne": 1}}]},
    {"kind": "count", "where": [{"column": "sex", "op": "=", "value": "x", "or": 1}]},
    {"kind": "count", "where": [{"column": "sex", "op": "=", "value": "x"}] * 7},
    {"kind": "count", "where": "sex = 'x'"},
    {"kind": "count", "epsilon": -1},
    {"kind": "count", "epsilon": float("inf")},
    {"kind": "count", "epsilon": float("nan")},
    {"kind": "count", "epsilon": 10**400},
    {"kind": "count", "epsilon": 1e-30},
    {"kind": "histogram", "column": "systolic", "edges": [0, 10**400]},
    {"kind": "count", "where": [{"column": "systolic", "op": "=", "value": 10**400}]},
]


@pytest.mark.parametrize("document", BAD, ids=range(len(BAD)))
def test_what_the_grammar_does_not_know_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(RequestInvalid):
        question_of(document)


@pytest.mark.parametrize(
    "document",
    [
        {"kind": "count", "where": where("sex", "=", 1)},
        {"kind": "count", "where": where("sex", "<", 1)},
        {"kind": "count", "where": where("systolic", "=", "x")},
        {"kind": "count", "where": where("restenosis", "=", 1)},
        {"kind": "count", "by": ["ldl"]},
        {"kind": "mean", "column": "sex"},
    ],
)
def test_types_that_do_not_meet_are_refused(market: Market, document: dict[str, Any]) -> None:
    assert rule(market, **document) in {"query.types", "query.levels"}


def test_the_order_of_conditions_makes_no_other_question() -> None:
    one, other = where("sex", "=", "male"), where("systolic", "between", [120, 140])
    assert (
        question_of({"kind": "count", "where": one + other}).digest()
        == question_of({"kind": "count", "where": other + one}).digest()
    )
    document = question_of({"kind": "count", "where": one + other}).document()
    assert question_of(json.loads(json.dumps(document))).document() == document
