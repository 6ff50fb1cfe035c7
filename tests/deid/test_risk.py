"""Risk counted by hand, by brute force, and on tables that have nothing to count."""

from collections import Counter, defaultdict

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdex.deid.diversity import Diversity
from hdex.deid.errors import ArgumentInvalid, InputInvalid
from hdex.deid.risk import measure, unprotected_classes

rows = st.lists(
    st.tuples(st.sampled_from([None, "a", "b"]), st.integers(0, 3), st.sampled_from("xyz")), min_size=1, max_size=40
)


def frame_of(values: list[tuple[str | None, int, str]]) -> pl.DataFrame:
    return pl.DataFrame(values, schema={"q": pl.String, "r": pl.Int64, "s": pl.String}, orient="row")


@settings(max_examples=80, deadline=None)
@given(rows)
def test_a_profile_equals_counting_by_hand(values: list[tuple[str | None, int, str]]) -> None:
    sizes = Counter((q, r) for q, r, _ in values)
    secrets = defaultdict(list)
    for q, r, s in values:
        secrets[q, r].append(s)
    whole = Counter(s for _, _, s in values)
    far = [
        sum(abs(Counter(inside)[s] / len(inside) - whole[s] / len(values)) for s in whole) / 2
        for inside in secrets.values()
    ]
    found = measure(frame_of(values), ["q", "r"], sensitive="s")
    assert found.k == min(sizes.values())
    assert found.classes == len(sizes)
    assert found.unique_rows == sum(1 for size in sizes.values() if size == 1)
    assert found.prosecutor_max == 1 / min(sizes.values())
    assert found.prosecutor_avg == pytest.approx(len(sizes) / len(values))
    assert found.class_sizes == dict(Counter(sizes.values()))
    assert found.l == min(len(set(inside)) for inside in secrets.values())
    assert found.t == pytest.approx(max(far), abs=1e-12)


def test_ordered_distance_counts_how_far_values_move() -> None:
    # Li, Li, Venkatasubramanian 2007, section 4.1: salaries 3k..11k; {3k,4k,5k} and {6k,8k,11k}.
    salary = [3, 4, 5, 6, 11, 8, 7, 9, 10]
    frame = pl.DataFrame({"q": ["p1"] * 3 + ["p2"] * 3 + ["p3"] * 3, "salary": salary})
    worst = measure(frame, ["q"], sensitive="salary").t
    assert worst == pytest.approx(0.375)
    second = frame.with_columns(q=pl.Series(["p2" if s in (6, 8, 11) else "rest" for s in salary]))
    model = Diversity("salary", distance=0.167)
    assert unprotected_classes(second.filter(q="p2"), ["q"], model, whole=frame["salary"]) == 0
    strict = Diversity("salary", distance=0.166)
    assert unprotected_classes(second.filter(q="p2"), ["q"], strict, whole=frame["salary"]) == 1


def test_patients_are_counted_once() -> None:
    frame = pl.DataFrame({"q": ["a", "a", "b"], "who": ["p", "p", "r"]})
    found = measure(frame, ["q"], patient="who")
    assert (found.k, found.patients, found.rows, found.unique_rows) == (1, 2, 3, 3)


def test_no_row_and_no_quasi_identifier_are_no_error() -> None:
    assert measure(frame_of([]), ["q"]).k == 0
    alone = measure(frame_of([("a", 1, "x")] * 4), [])
    assert (alone.k, alone.classes, alone.l) == (4, 1, None)


def test_nan_and_null_are_one_value() -> None:
    assert measure(pl.DataFrame({"q": [None, float("nan"), 1.0, 1.0]}), ["q"]).k == 2


@pytest.mark.parametrize("values", [[True, False], [None, None]])
def test_any_type_may_be_counted(values: list[bool | None]) -> None:
    assert measure(pl.DataFrame({"q": values}), ["q"]).rows == 2


def test_a_column_that_is_not_there_is_named() -> None:
    with pytest.raises(ArgumentInvalid, match="columns z"):
        measure(frame_of([("a", 1, "x")]), ["z"])
    with pytest.raises(InputInvalid, match="neither for l nor for t"):
        Diversity("s")
