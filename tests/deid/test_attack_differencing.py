"""Two releases differ by nobody or by enough patients in every class, whichever way their classes are cut."""

from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdex.deid import hierarchy
from hdex.deid.attack_differencing import differences
from hdex.deid.errors import ArgumentInvalid

QUASI = ["age", "code", "seen"]


def people(rows: int, seed: int) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "id": [f"P{i}" for i in range(rows)],
            "age": random.integers(20, 60, rows),
            "code": random.choice(["I63.9", "I63.1", "I10", "E11"], rows),
            "seen": pl.Series(random.integers(19_000, 19_800, rows)).cast(pl.Int32).cast(pl.Date),
        }
    )


LADDERS = {
    "age": hierarchy.automatic(pl.Series("age", range(20, 60))),
    "code": hierarchy.automatic(people(100, 0)["code"]),
    "seen": hierarchy.automatic(pl.Series("seen", range(19_000, 19_800)).cast(pl.Int32).cast(pl.Date)),
}


def told(frame: pl.DataFrame, levels: list[int]) -> pl.DataFrame:
    return frame.with_columns(
        hierarchy.as_text(LADDERS[name].labels(frame[name], level)).alias(name)
        for name, level in zip(QUASI, levels, strict=True)
    )


def counted(a: pl.DataFrame, b: pl.DataFrame) -> int:
    first, second = (Counter(frame.select(QUASI).rows()) for frame in (a, b))
    return min((n for key in first | second if (n := abs(first[key] - second[key]))), default=0)


levels = st.tuples(st.integers(1, 5), st.integers(0, 3), st.integers(1, 5)).map(list)


@settings(max_examples=15, deadline=None)
@given(levels, levels, st.integers(0, 99))
def test_the_same_people_under_any_two_generalisations_differ_by_nobody(a: list[int], b: list[int], seed: int) -> None:
    frame = people(200, seed)
    assert differences(told(frame, a), told(frame, b), QUASI) == 0
    assert differences(told(frame, a), told(frame, b), QUASI, patient="id") == 0


@settings(max_examples=15, deadline=None)
@given(levels, st.integers(0, 60), st.integers(0, 99))
def test_versions_of_one_generalisation_differ_as_a_count_says(at: list[int], gone: int, seed: int) -> None:
    frame = people(150, seed)
    old, new = told(frame, at), told(frame.sample(150 - gone, seed=seed), at)
    assert differences(old, new, QUASI) == counted(old, new)


@settings(max_examples=15, deadline=None)
@given(levels, levels, st.integers(0, 99))
def test_one_person_fewer_is_seen_through_nested_classes(a: list[int], b: list[int], seed: int) -> None:
    frame = people(200, seed)
    finer = [min(pair) for pair in zip(a, b, strict=True)]
    coarser = [max(pair) for pair in zip(a, b, strict=True)]
    assert differences(told(frame, finer), told(frame.tail(199), coarser), QUASI) == 1
    assert differences(told(frame, coarser), told(frame.tail(199), finer), QUASI, patient="id") == 1
    # where neither is finer, a join of both still counts them
    assert differences(told(frame, a), told(frame.tail(199), b), QUASI) == 1


def test_who_leaves_and_who_enters_are_counted_apart() -> None:
    a = pl.DataFrame({"id": list("abcdef"), "age": ["20-29"] * 6})
    b = pl.DataFrame({"id": list("bcdefg"), "age": ["20-29"] * 6})
    assert differences(a, b, ["age"]) == 0
    assert differences(a, b, ["age"], patient="id") == 1


def test_a_class_that_only_one_release_has_differs_by_all_of_it() -> None:
    a = pl.DataFrame({"age": ["20-29"] * 6 + ["30-39"] * 7})
    assert differences(a, a.head(6), ["age"]) == 7


def test_a_suppressed_part_of_a_wider_class_is_seen() -> None:
    whole = pl.DataFrame({"age": ["60-69"] * 11})
    part = pl.DataFrame({"age": ["60-64"] * 10})
    assert differences(whole, part, ["age"]) == 1


def test_the_same_class_with_one_patient_fewer_is_seen_beside_a_class_for_all() -> None:
    a = pl.DataFrame({"age": ["20-29"] * 6 + ["30-39"] * 7})
    b = pl.DataFrame({"age": ["20-24"] * 6 + ["30-39"] * 6 + ["*"] * 9})
    assert differences(a, b, ["age"]) == 1  # so one of the nine is between 30 and 39


def test_prefixes_numbers_and_dates_are_nested_as_labels_say() -> None:
    a = pl.DataFrame({"zip": ["123*"] * 5, "code": ["I*"] * 5, "seen": ["2024-Q1"] * 5})
    b = pl.DataFrame({"zip": ["1234*"] * 4, "code": ["I63*"] * 4, "seen": ["2024-03"] * 4})
    assert differences(a, b, ["zip", "code", "seen"]) == 1


def test_a_column_one_release_lacks_is_its_coarsest() -> None:
    a = pl.DataFrame({"age": ["20-29"] * 6, "sex": ["F"] * 4 + ["M"] * 2})
    assert differences(a, a.select("age"), ["age", "sex"]) == 0
    assert differences(a.select("sex"), a.select("age").head(5), ["age", "sex"]) == 1


def test_empty_releases_and_bad_names() -> None:
    a = pl.DataFrame({"age": ["20-29"] * 6})
    assert differences(a, a.head(0), ["age"]) == 6
    assert differences(a.head(0), a.head(0), ["age"]) == 0
    with pytest.raises(ArgumentInvalid, match="columns shoe are in neither"):
        differences(a, a, ["shoe"])
    with pytest.raises(ArgumentInvalid, match="patient column id"):
        differences(a, a, ["age"], patient="id")
