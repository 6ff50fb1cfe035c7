"""Distributions before and after speak the same words and never show a small group."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdex.deid.utility import distribution

values = st.lists(st.one_of(st.none(), st.floats(-100, 100)), min_size=1, max_size=60)


@settings(max_examples=50, deadline=None)
@given(values, values)
def test_shares_sum_to_one(before: list[float | None], after: list[float | None]) -> None:
    found = distribution(pl.Series("v", before, dtype=pl.Float64), pl.Series("v", after, dtype=pl.Float64))
    assert sum(found.before) == pytest.approx(1)
    assert sum(found.after) == pytest.approx(1)
    assert 0 <= found.distance <= 1 + 1e-9


def test_an_unaltered_column_has_distance_zero() -> None:
    series = pl.Series("age", ["60-69"] * 5 + ["90+"])
    assert distribution(series, series).distance == 0


def test_a_small_group_is_not_shown() -> None:
    series = pl.Series("model", ["a"] * 9 + ["rare"])
    assert distribution(series, series, least=5).labels == ("a", "…")


def test_many_labels_end_in_one_bar() -> None:
    series = pl.Series("model", [f"m{i}" for i in range(40)])
    found = distribution(series, series)
    assert len(found.labels) == 13
    assert found.after[-1] == pytest.approx(28 / 40)
