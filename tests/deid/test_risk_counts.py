"""k alone and t alone are what the profile says, whatever the columns are kept as."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdex.deid.errors import ArgumentInvalid
from hdex.deid.risk import measure
from hdex.deid.risk_counts import KEY_BITS, class_keys, farthest_class, smallest_class

SCHEMA: dict[str, type[pl.DataType] | pl.DataType] = {
    "text": pl.String,
    "kind": pl.Enum(["a", "b", "c"]),
    "flag": pl.Boolean,
    "count": pl.Int64,
    "share": pl.Float64,
    "ill": pl.String,
    "age": pl.Int64,
    "who": pl.String,
}
row = st.tuples(
    st.sampled_from([None, "", "x", "a word of more than twelve letters"]),
    st.sampled_from([None, "a", "b"]),
    st.sampled_from([None, True, False]),
    st.sampled_from([None, -(2**63), -7, 0, 3, 2**63 - 1]),
    st.sampled_from([None, float("nan"), -1.5, 2.0]),
    st.sampled_from([None, "flu", "asthma", "gout"]),
    st.integers(20, 24),
    st.sampled_from("pqr"),
)
CODED = ["kind", "flag", "count"]
QUASI = [*CODED, "text", "share"]


def frame_of(rows: list[tuple[Any, ...]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


@settings(max_examples=60, deadline=None)
@given(st.lists(row, max_size=40), st.sampled_from([[], CODED, ["flag"], QUASI, ["text"]]))
def test_k_and_t_alone_are_those_of_the_profile(rows: list[tuple[Any, ...]], quasi: list[str]) -> None:
    frame = frame_of(rows)
    assert smallest_class(frame, quasi) == measure(frame, quasi).k
    assert smallest_class(frame, quasi, patient="who") == measure(frame, quasi, patient="who").k
    for sensitive in ("ill", "age", "flag"):
        asked = measure(frame, quasi, sensitive=sensitive).t or 0.0
        assert farthest_class(frame, quasi, sensitive) == pytest.approx(asked, abs=1e-12)


def test_many_wide_columns_and_many_sensitive_values_are_still_told_apart() -> None:
    rows = 5_000
    wide = {f"c{n}": pl.int_range(rows, eager=True) * (n + 1) for n in range(8)}  # more than a key of 64 bits holds
    frame = pl.DataFrame({**wide, "even": pl.int_range(rows, eager=True) % 2}).with_columns(
        pl.col("even").cast(pl.String).alias("text")
    )
    assert class_keys(frame, list(wide))[1] == rows
    assert smallest_class(frame, list(wide)) == 1
    assert class_keys(frame, ["text"])[1] == 1 << KEY_BITS
    for quasi in (["text"], ["even"], list(wide)):
        asked = measure(frame, quasi, sensitive="c1").t  # 5,000 values leave a hash too few bits
        assert asked is not None
        assert farthest_class(frame, quasi, "c1") == pytest.approx(asked, abs=1e-12)


@pytest.mark.parametrize("width", [255, 256, 257, 65_536])
def test_a_key_space_at_the_edge_of_a_number_type_is_no_trouble(width: int) -> None:
    frame = pl.DataFrame({"a": [*range(width), 0], "b": [0] * (width + 1)})
    assert smallest_class(frame, ["a", "b"]) == 1
    assert smallest_class(frame, ["b"]) == width + 1


def test_classes_of_text_are_told_apart_under_another_seed_every_time() -> None:
    frame = pl.DataFrame({"text": ["a", "b"]})
    assert class_keys(frame, ["text"])[0].tolist() != class_keys(frame, ["text"])[0].tolist()


def test_the_ground_distance_may_be_named() -> None:
    frame = pl.DataFrame({"q": [0, 0, 1, 1, 2, 2], "s": [1, 2, 2, 3, 3, 4]})
    equal = measure(frame.with_columns(pl.col("s").cast(pl.String)), ["q"], sensitive="s").t
    assert farthest_class(frame, ["q"], "s", is_ordered=False) == equal
    assert farthest_class(frame, ["q"], "s") != equal


def test_a_column_that_is_not_there_is_named() -> None:
    with pytest.raises(ArgumentInvalid, match="columns x are not in the table"):
        smallest_class(pl.DataFrame({"a": [1]}), ["x"])
    with pytest.raises(ArgumentInvalid, match="columns s are not in the table"):
        farthest_class(pl.DataFrame({"a": [1]}), ["a"], "s")
