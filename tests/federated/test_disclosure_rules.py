"""Rules of statistical disclosure control, against cases computed by hand from their published definitions."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import acro
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdex.federated.disclosure_regimes import CEILINGS, NAMES, REGIMES, regime, strictest
from hdex.federated.disclosure_rules import (
    bin_breaches,
    column_breaches,
    concentration_breaches,
    model_breaches,
    regression_breaches,
    small,
)
from hdex.federated.errors import DisclosureRefused, StudyInvalid

CN = regime("cn")


def rules(breaches: list[Any]) -> list[str]:
    return [breach.rule for breach in breaches]


@pytest.mark.parametrize(("name", "least"), [("cn", 10), ("eu", 10), ("us", 11)])
def test_the_smallest_cell_is_the_regimes(name: str, least: int) -> None:
    found = regime(name)
    assert [small(count, found) for count in (0, least - 1, least, 500)] == [False, True, False, False]
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


# By hand. Dominance (2, 90 %): 80 + 12 = 92 of 100. p % of 10: 100 - 80 - 12 = 8 = 10 % of 80: just kept.
TOTALS: dict[str, tuple[list[float], list[str]]] = {
    "even": ([10.0] * 20, []),
    "two hold 92 %": ([80.0, 12.0] + [1.0] * 8, ["dominance"]),
    "two hold 90 %": ([80.0, 10.0] + [1.25] * 8, ["dominance"]),
    "two hold less than 90 %": ([80.0, 9.5] + [1.25] * 8, []),
    "others hold 8 % of the largest": ([100.0, 5.0] + [1.0] * 8, ["dominance", "p_percent"]),
    "one rich, many poor": ([1e6] + [1.0] * 99, ["dominance", "p_percent"]),
    "signs do not hide": ([-1e6] + [1.0] * 99, ["dominance", "p_percent"]),
    "three equal giants": ([1e6] * 3 + [1.0] * 9, []),
    "nobody": ([0.0] * 30, []),
}


@pytest.mark.parametrize("case", TOTALS)
def test_totals(case: str) -> None:
    values, expected = TOTALS[case]
    assert rules(concentration_breaches(values, CN)) == expected


@given(st.lists(st.floats(0, 1e6), min_size=3, max_size=30), st.lists(st.floats(0, 1e6), max_size=30))
def test_p_percent_that_holds_at_one_site_holds_with_another_sites_rest(one: list[float], other: list[float]) -> None:
    """The claim on which a site's own check stands: others only add to what stands beside the largest."""
    if "p_percent" in rules(concentration_breaches(one, CN)) or max(one) < max(other, default=0.0):
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


def test_bins_are_at_most_a_tenth_of_the_observations() -> None:
    assert bin_breaches(5, 100, CN) == []
    assert bin_breaches(10, 100, CN) == []
    assert rules(bin_breaches(11, 109, CN)) == ["bins"]


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


ACRO = {"NKCheck": "dominance", "PPercentCheck": "p_percent"}


@pytest.mark.parametrize("case", [case for case, (values, _) in TOTALS.items() if min(values) >= 0 < max(values)])
def test_acro_agrees_on_dominance_and_p_percent(case: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)  # it keeps a folder of its own
    values, expected = TOTALS[case]
    cell = [pd.Series(["all"] * len(values), name=name) for name in ("row", "column")]
    session = acro.ACRO(suppress=False)
    session.crosstab(*cell, values=pd.Series(values, name="value"), aggfunc="sum")
    said = session.results.get_index(0).outcome.iloc[0, 0]
    assert {ours for theirs, ours in ACRO.items() if theirs in said} == set(expected)
