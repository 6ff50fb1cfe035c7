"""The attacker is as strong as he can be: exact on raw data, bounded by k on a release."""

from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdex.deid import hierarchy
from hdex.deid.attack import homogeneity, linkage, shifted_view, view
from hdex.deid.errors import ArgumentInvalid
from hdex.deid.lattice import anonymize

QUASI = ["age", "sex"]


def people(rows: int, seed: int = 0) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    return pl.DataFrame({"age": random.integers(20, 95, rows), "sex": random.choice(["F", "M"], rows)})


def test_a_unique_row_is_found_and_a_twin_half_the_time() -> None:
    frame = pl.DataFrame({"age": [30] + [40] * 400})
    found = linkage(frame, frame, known=["age"], seed=1)
    assert found.singled_out == 1
    assert found.targets == 401
    assert 1 <= found.reidentified <= 8
    assert found.by_chance == 1 / 401


def test_knowing_nothing_is_a_blind_guess() -> None:
    frame = people(500)
    found = linkage(frame, frame, known=[], seed=1)
    assert found.rate <= found.by_chance + 3 * found.by_chance**0.5
    assert found.known == ()


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 12), st.integers(0, 99))
def test_success_on_a_release_stays_below_one_in_k(k: int, seed: int) -> None:
    frame = people(600, seed)
    ladders = {name: hierarchy.automatic(frame[name]) for name in QUASI}
    result = anonymize(frame, ladders, k=k, suppression=0.05)
    labelled = frame.with_columns(ladders[n].labels(frame[n], result.transformation[n]) for n in QUASI)
    views = {name: view(frame[name], labelled[name]) for name in QUASI}
    source = np.flatnonzero(result.kept.to_numpy()).tolist()
    found = linkage(frame, result.frame, known=QUASI, truth=source, views=views, seed=seed)
    assert found.singled_out == 0
    assert found.rate <= 1 / k + 3 * (1 / k * (1 - 1 / k) / found.targets) ** 0.5
    assert found.reidentified > 0


def test_a_suppressed_target_is_not_found() -> None:
    frame = pl.DataFrame({"age": [30, 40]})
    found = linkage(frame, frame.head(1), known=["age"], truth=[0])
    assert (found.reidentified, found.targets) == (1, 2)


def test_a_column_that_was_not_released_helps_nobody() -> None:
    frame = people(50).with_columns(serial=pl.int_range(50))
    found = linkage(frame, frame.drop("serial"), known=["serial", "sex"])
    assert found.known == ("sex",)
    with pytest.raises(ArgumentInvalid, match="columns shoe"):
        linkage(frame, frame, known=["shoe"])


def test_the_same_seed_is_the_same_attack() -> None:
    frame = people(300)
    assert linkage(frame, frame, known=QUASI, seed=4) == linkage(frame, frame, known=QUASI, seed=4)


def test_a_shifted_date_may_read_as_each_month_of_its_window() -> None:
    dates = pl.Series("d", ["2024-03-31"]).str.to_date()
    pairs = shifted_view(dates, pl.Series("d", ["2024-Q1"]), days=60)
    assert set(pairs["\0label"]) == {"2024-Q1", "2024-Q2"}
    days = shifted_view(dates, dates, days=5)
    assert days.height == 11


def test_null_matches_null() -> None:
    frame = pl.DataFrame({"age": [None, 30, 31]})
    assert linkage(frame, frame, known=["age"]).reidentified == 3


def test_a_class_of_one_value_gives_it_away() -> None:
    frame = pl.DataFrame({"q": ["a"] * 4 + ["b"] * 4, "hiv": ["no"] * 4 + ["no", "yes"] * 2})
    found = homogeneity(frame, ["q"], "hiv")
    assert (found.exposed, found.rate, found.base_rate) == (4, 0.5, 0.75)
    assert homogeneity(frame.head(0), ["q"], "hiv").rows == 0
    assert homogeneity(frame, [], "hiv").exposed == 0
    with pytest.raises(ArgumentInvalid, match="columns z"):
        homogeneity(frame, ["z"], "hiv")


def test_a_shifted_day_excludes_who_could_not_have_moved_there() -> None:
    days = [date(2020, 1, 1), date(2020, 6, 1), date(2024, 1, 1)]
    original = pl.DataFrame({"sex": ["F"] * 3, "seen": days})
    released = original.with_columns(pl.col("seen").dt.offset_by("10d"))
    near = linkage(original, released, known=["sex", "seen"], shifted={"seen": 30}, seed=1)
    wide = linkage(original, released, known=["sex", "seen"], shifted={"seen": 3650}, seed=1)
    assert near.singled_out == 3
    assert wide.singled_out == 0
