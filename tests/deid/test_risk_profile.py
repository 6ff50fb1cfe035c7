"""The full profile against dictionaries that count patients by hand."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdex.deid.errors import ArgumentInvalid
from hdex.deid.numbering import close_gaps, distinct, number_tuples, number_values
from hdex.deid.risk import full_profile, measure
from hdex.deid.risk_population import expected_inverse

Row = tuple[str | None, int, str, int]
rows_of = st.lists(
    st.tuples(st.sampled_from([None, "a", "b"]), st.integers(0, 2), st.sampled_from("xyz"), st.integers(0, 9)),
    min_size=1,
    max_size=40,
)


def frame_of(rows: Sequence[Row]) -> pl.DataFrame:
    schema = {"q": pl.String, "r": pl.Int64, "s": pl.String, "who": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def profile(frame: pl.DataFrame, **asked: Any) -> dict[str, Any]:
    found = full_profile(frame, ["q", "r"], **asked)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    return cast("dict[str, Any]", found)


@settings(max_examples=40, deadline=None)
@given(rows=rows_of, by_patient=st.booleans())
def test_patients_are_counted_as_by_hand(rows: list[Row], by_patient: bool) -> None:
    whose = [row[3] if by_patient else number for number, row in enumerate(rows)]
    members: dict[object, set[int]] = defaultdict(set)
    for row, who in zip(rows, whose, strict=True):
        members[row[:2]].add(who)
    risks = {who: max(1 / len(inside) for inside in members.values() if who in inside) for who in set(whose)}
    found = profile(frame_of(rows), patient="who" if by_patient else None, sensitive=["s"])
    assert found["k"] == min(map(len, members.values()))
    assert found["patients"] == len(risks)
    assert found["class_sizes"] == {
        str(size): n for size, n in sorted(Counter(len(inside) for inside in members.values()).items())
    }
    assert found["unique_patients"] == sum(risk == 1 for risk in risks.values())
    assert found["unique_rows"] == sum(len(members[row[:2]]) == 1 for row in rows)
    assert found["prosecutor"]["max"] == max(risks.values())
    assert found["prosecutor"]["average"] == pytest.approx(sum(risks.values()) / len(risks))
    assert found["prosecutor"]["above"]["0.33"] == pytest.approx(
        sum(risk > 0.33 for risk in risks.values()) / len(risks)
    )
    for place, name in enumerate(("q", "r")):
        people: dict[object, set[int]] = defaultdict(set)
        for row, who in zip(rows, whose, strict=True):
            people[row[place]].add(who)
        small = [len(inside) for inside in people.values() if len(inside) < 10]
        assert found["small_cells"]["columns"][name] == {"cells": len(small), "patients": sum(small)}
    plain = measure(frame_of(rows), ["q", "r"], patient="who" if by_patient else None, sensitive="s")
    assert (plain.k, plain.classes, plain.l) == (found["k"], found["classes"], found["sensitive"]["s"]["l"])
    assert plain.t == pytest.approx(found["sensitive"]["s"]["t"], abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(rows=rows_of)
def test_what_classes_tell_about_a_sensitive_column(rows: list[Row]) -> None:
    classes: dict[object, list[str]] = defaultdict(list)
    for row in rows:
        classes[row[:2]].append(row[2])
    whole = Counter(row[2] for row in rows)
    shares = [{value: count / len(inside) for value, count in Counter(inside).items()} for inside in classes.values()]
    table = {value: count / len(rows) for value, count in whole.items()}
    found = profile(frame_of(rows), sensitive=["s", "who"])["sensitive"]["s"]
    assert found["l_entropy"] == pytest.approx(
        math.exp(min(-sum(p * math.log(p) for p in one.values()) for one in shares))
    )
    assert found["delta"] == pytest.approx(
        max(abs(math.log(p / table[value])) for one in shares for value, p in one.items())
    )
    assert found["beta"] == pytest.approx(
        max(max((p - table[value]) / table[value] for value, p in one.items()) for one in shares), abs=1e-12
    )
    assert found["t"] == found["t_equal"]
    assert found["homogeneous_patients"] == sum(len(inside) for inside in classes.values() if len(set(inside)) == 1)


def test_a_population_table_says_who_else_there_is() -> None:
    sample = frame_of([("a", 1, "x", 1), ("a", 1, "x", 2), ("b", 1, "x", 3), ("c", 1, "x", 4)])
    people = pl.DataFrame({"q": ["a"] * 8 + ["b"] * 4 + ["d"], "r": [1] * 13})
    found = profile(sample, population=people)
    assert found["journalist"] == {
        "basis": "table",
        "max": 1.0,  # c is not in the population's table: its one patient is all we know of
        "average": pytest.approx((1 / 8 + 1 / 8 + 1 / 4 + 1) / 4),
        "unmatched": 1,
    }
    assert found["marketer"] == found["journalist"]["average"]
    assert found["population_uniques"]["count"] == 1  # d
    known = profile(sample.head(3), population=people)["journalist"]
    assert known["max"] == 1 / 4
    assert known["average"] == max((1 / 8 + 1 / 8 + 1 / 4) / 3, 2 / 12)


def test_a_population_of_known_size_is_estimated() -> None:
    sample = frame_of([("a", 1, "x", n) for n in range(6)] + [("b", 1, "x", 6)])
    found = profile(sample, population=70)
    six, one = expected_inverse(np.array([6, 1]), 0.1)
    assert found["journalist"] == {"basis": "estimate", "max": one, "average": pytest.approx((6 * six + one) / 7)}
    assert found["prosecutor"]["max"] == 1
    assert found["population_uniques"]["estimator"] in {"pitman", "zayatz"}
    unknown = profile(sample)
    assert unknown["journalist"]["basis"] == "none"
    assert unknown["journalist"]["max"] == unknown["prosecutor"]["max"]
    with pytest.raises(ArgumentInvalid, match="the population is 5"):
        profile(sample, population=5)


def test_no_row_and_no_column_are_no_error() -> None:
    empty = profile(frame_of([]), sensitive=["s"], population=10)
    assert (empty["k"], empty["classes"], empty["prosecutor"]["max"]) == (0, 0, 0.0)
    alone = full_profile(frame_of([("a", 1, "x", 1)] * 4), [], sensitive=["s"])
    assert (alone["k"], alone["classes"]) == (4, 1)
    with pytest.raises(ArgumentInvalid, match="columns z"):
        full_profile(frame_of([]), ["z"])


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.integers(-9, 9)), min_size=1, max_size=30)
)
def test_numbers_keep_order_and_differences(values: list[int | None]) -> None:
    numbers, count = number_values(pl.Series("v", values, dtype=pl.Int64))
    order = {value: place for place, value in enumerate(sorted(set(values), key=lambda v: (v is not None, v)))}
    assert numbers.tolist() == [order[value] for value in values]
    assert count == len(order)
    text, texts = number_values(pl.Series("v", [None if v is None else str(v) for v in values], dtype=pl.String))
    assert texts == count
    assert len(set(zip(numbers.tolist(), text.tolist(), strict=True))) == count


@settings(max_examples=40, deadline=None)
@given(keys=st.lists(st.integers(0, 2**61), min_size=1, max_size=30), size=st.sampled_from([2**61 + 1, 2**62 - 1]))
def test_wide_keys_are_numbered_in_their_order(keys: list[int], size: int) -> None:
    codes = np.array(keys, dtype=np.int64)
    numbers, count = close_gaps(codes, size)
    assert numbers.tolist() == [sorted(set(keys)).index(key) for key in keys]
    assert count == len(set(keys))
    small = codes % 2**40
    assert close_gaps(small, 2**40)[0].tolist() == [sorted(set(small.tolist())).index(key) for key in small.tolist()]
    assert distinct(codes).tolist() == sorted(set(keys))
    columns = [(codes % 2**40, 2**40)] * 3 + [(codes, 2**61 + 1)]
    assert number_tuples(columns, len(keys))[1] == count
