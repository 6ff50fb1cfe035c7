"""Rules of statistical disclosure control, against cases computed by hand from their published definitions."""

import importlib.util
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdex.federated.disclosure_regimes import CEILINGS, NAMES, REGIMES, regime, strictest
from hdex.federated.disclosure_rules import (
    Step,
    cell_breaches,
    column_breaches,
    histogram_breaches,
    model_breaches,
    quantile_breaches,
    ratio_breaches,
    regression_breaches,
    release_steps,
    statistic_breaches,
    total_breaches,
)
from hdex.federated.errors import DisclosureRefused, StudyInvalid

CN = regime("cn")


def rules(breaches: list[Any]) -> list[str]:
    return [breach.rule for breach in breaches]


@pytest.mark.parametrize(("name", "least"), [("cn", 10), ("eu", 10), ("us", 11)])
def test_the_smallest_cell_is_the_regimes(name: str, least: int) -> None:
    found = regime(name)
    assert rules(cell_breaches([0, least, 500], found)) == []
    assert rules(cell_breaches([0, least - 1, 500], found)) == ["min_cell"]
    assert found.of_level(5).cell == 20
    assert found.of_level(4) == found


def test_the_strictest_regime_satisfies_each() -> None:
    assert strictest().cell == 11
    for name in REGIMES:
        assert strictest().stricter(regime(name)) == strictest()


@pytest.mark.parametrize("name", NAMES)
def test_a_site_raises_a_floor_and_lowers_it_only_with_the_officer(name: str) -> None:
    value = getattr(CN, name)
    harder, softer = (value / 2, value * 2) if name in CEILINGS else (value * 2, value / 2)
    assert getattr(CN.with_site({name: harder}), name) == harder
    with pytest.raises(DisclosureRefused) as refused:
        CN.with_site({name: softer})
    assert refused.value.rule == "floor_lowered"
    assert getattr(CN.with_site({name: softer}, officer_signed=True), name) == softer
    assert CN.stricter(replace(CN, **{name: softer})) == CN  # the stricter of site and study


def test_unknown_words_are_errors() -> None:
    with pytest.raises(StudyInvalid):
        regime("mars")
    with pytest.raises(StudyInvalid):
        CN.with_site({"cells": 3})


@pytest.mark.parametrize("name", ["minimum", "maximum", "range"])
def test_an_extreme_is_somebodys_value(name: str) -> None:
    assert rules(statistic_breaches(name)) == ["extreme"]
    assert statistic_breaches("mean") == []


# By hand. Dominance (2, 90 %): 80 + 12 = 92 of 100. p % of 10: 100 - 80 - 12 = 8 = 10 % of 80: just kept.
TOTALS: dict[str, tuple[list[float], list[str]]] = {
    "even": ([10.0] * 20, []),
    "nine contributors": ([10.0] * 9, ["min_cell"]),
    "two hold 92 %": ([80.0, 12.0] + [1.0] * 8, ["dominance"]),
    "two hold 90 %": ([80.0, 10.0] + [1.25] * 8, []),
    "others hold 8 % of the largest": ([100.0, 5.0] + [1.0] * 8, ["dominance", "p_percent"]),
    "one rich, many poor": ([1e6] + [1.0] * 99, ["dominance", "p_percent"]),
    "signs do not hide": ([-1e6] + [1.0] * 99, ["dominance", "p_percent"]),
    "three equal giants": ([1e6] * 3 + [1.0] * 9, []),
    "nobody": ([0.0] * 30, []),
}


@pytest.mark.parametrize("case", TOTALS)
def test_totals(case: str) -> None:
    values, expected = TOTALS[case]
    assert rules(total_breaches(values, CN)) == expected


@given(st.lists(st.floats(0, 1e6), min_size=3, max_size=30), st.lists(st.floats(0, 1e6), max_size=30))
def test_p_percent_that_holds_at_one_site_holds_with_another_sites_rest(one: list[float], other: list[float]) -> None:
    """The claim on which a site's own check stands: others only add to what stands beside the largest."""
    if "p_percent" in rules(total_breaches(one, CN)) or max(one) < max(other, default=0.0):
        return
    largest = sorted([*one, *other], reverse=True)
    assert sum(largest[2:]) >= CN.p_percent * largest[0] * (1 - 1e-9)


def test_a_flag_that_two_patients_have_is_not_summed() -> None:
    flags = np.zeros((200, 3))
    flags[:90, 0], flags[:2, 1] = 1.0, 1.0
    assert column_breaches(list(flags[:, [0, 2]].T), CN) == []
    assert rules(column_breaches(list(flags.T), CN)) == ["dominance", "p_percent"]
    flags[:3, 1] = 1.0
    assert rules(column_breaches(list(flags.T), CN)) == []


def test_a_percentage_with_n_is_its_cell_and_its_complement() -> None:
    assert rules(ratio_breaches(30, 60, CN)) == []
    assert rules(ratio_breaches(3, 60, CN)) == ["min_cell"]
    assert rules(ratio_breaches(57, 60, CN)) == ["min_cell"]
    assert rules(ratio_breaches(60, 60, CN)) == []


@pytest.mark.parametrize(
    ("probability", "n", "ok"),
    [(0.5, 40, True), (0.5, 39, False), (0.95, 400, True), (0.95, 380, False), (0.0, 999, False)],
)
def test_a_quantile_has_twenty_on_each_side(probability: float, n: int, ok: bool) -> None:
    assert (quantile_breaches(probability, n, CN) == []) is ok


def test_bins_are_at_most_a_tenth_of_the_observations() -> None:
    assert histogram_breaches([20] * 5, CN) == []
    assert rules(histogram_breaches([10] * 10, CN)) == []
    assert rules(histogram_breaches([12] * 9 + [0] * 2, CN)) == ["bins"]
    assert rules(histogram_breaches([50, 3, 90], CN)) == ["min_cell"]


def test_a_fit_keeps_ten_degrees_of_freedom() -> None:
    assert regression_breaches(20, 10, CN) == []
    assert rules(regression_breaches(20, 11, CN)) == ["residual_df"]


def test_a_model_stays_unless_membership_is_a_guess_or_an_epsilon_bounds_it() -> None:
    fine, leaky, unknown = {"a": 0.51, "b": 0.55}, {"a": 0.51, "b": 0.56}, dict[str, float]()
    assert model_breaches(fine, CN, epsilon=None) == []
    for found in (leaky, unknown, {"a": float("nan")}):
        assert rules(model_breaches(found, CN, epsilon=None)) == ["membership"]
        assert model_breaches(found, CN, epsilon=2.0) == []
        assert rules(model_breaches(found, CN, epsilon=float("nan"))) == ["membership"]


def test_survival_steps_are_merged_until_they_hold_enough_and_the_tail_is_cut() -> None:
    steps = [
        Step(0, 1, 100, 4, 2), Step(1, 2, 94, 7, 1), Step(2, 3, 86, 0, 6), Step(3, 4, 80, 12, 0), Step(4, 5, 68, 9, 3),
        Step(5, 6, 9, 5, 4),
    ]  # fmt: skip
    released = release_steps(steps, CN)
    assert released == [Step(0, 2, 100, 11, 0), Step(2, 3, 86, 0, 0), Step(3, 4, 80, 12, 0)]


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 30), st.integers(0, 9)), max_size=20))
def test_no_released_step_shows_few_events_or_few_at_risk(found: list[tuple[int, int, int]]) -> None:
    steps = [Step(i, i + 1, *one) for i, one in enumerate(found)]
    for step in release_steps(steps, CN):
        assert step.events == 0 or step.events >= CN.cell
        assert step.at_risk >= CN.at_risk
        assert step.censored == 0


@pytest.mark.skipif(importlib.util.find_spec("acro") is None, reason="acro is not installed: the oracle of table rules")
def test_acro_agrees_on_dominance_and_p_percent() -> None:
    import acro  # type: ignore[import-not-found]
    import pandas as pd  # comes with acro

    for values, expected in TOTALS.values():
        series = pd.Series([abs(value) for value in values if value])
        if series.empty:
            continue
        assert bool(acro.acro_tables.agg_nk(series)) == ("dominance" in expected)
        assert bool(acro.acro_tables.agg_p_percent(series)) == ("p_percent" in expected)
