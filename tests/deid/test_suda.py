"""Special uniques: the published example, and brute force over every set of columns."""

from __future__ import annotations

import json
from itertools import combinations
from math import prod

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdex.deid.errors import ArgumentInvalid
from hdex.deid.suda import suda

# SDC Practice Guide (World Bank, IHSN), "Measuring risk", table "Illustrating the calculation of SUDA and DIS-SUDA
# scores": ten records, sets of up to three of four columns, and the scores printed there.
EXAMPLE = [
    ("Urban", "Female", "Secondary incomplete", "Employed", 0),
    ("Urban", "Female", "Secondary incomplete", "Employed", 0),
    ("Urban", "Female", "Primary incomplete", "Non-LF", 6),
    ("Urban", "Male", "Secondary complete", "Employed", 0),
    ("Rural", "Female", "Secondary complete", "Unemployed", 12),
    ("Urban", "Male", "Secondary complete", "Employed", 0),
    ("Urban", "Female", "Primary complete", "Non-LF", 6),
    ("Urban", "Male", "Post-secondary", "Unemployed", 10),
    ("Urban", "Female", "Secondary incomplete", "Non-LF", 0),
    ("Urban", "Female", "Secondary incomplete", "Non-LF", 0),
]
COLUMNS = ["residence", "gender", "education", "labour"]


def example() -> pl.DataFrame:
    return pl.DataFrame(EXAMPLE, schema=[*COLUMNS, "score"], orient="row")


def test_the_guides_scores() -> None:
    frame = example()
    found = suda(frame, COLUMNS, max_size=3, sampling_fraction=0.01)
    assert found.scores.tolist() == frame["score"].to_list()
    assert found.smallest.tolist() == [0, 0, 1, 0, 1, 0, 1, 1, 0, 0]
    assert found.msus == {1: 4, 2: 5, 3: 0}
    assert sum(found.dis_scores) / 4 == pytest.approx(found.dis)  # shared out, none lost
    assert found.dis == pytest.approx(0.01 * 4 / (0.01 * 4 + 2 * 0.99 * 3))
    # the guide's own DIS-SUDA, from a variant of the measure, is within 15 % and in the same order
    assert found.dis_scores[[2, 4, 6, 7]] == pytest.approx([0.0051, 0.0107, 0.0051, 0.0088], rel=0.15)


cells = st.sampled_from([None, "a", "b", "c"])
rows_of = st.lists(st.tuples(cells, cells, cells, cells, st.integers(0, 6)), min_size=1, max_size=18)


@settings(max_examples=40, deadline=None)
@given(rows=rows_of, size=st.integers(1, 4), by_patient=st.booleans())
def test_every_minimal_unique_is_found(rows: list[tuple[object, ...]], size: int, by_patient: bool) -> None:
    frame = pl.DataFrame(rows, schema=["a", "b", "c", "d", "who"], orient="row", infer_schema_length=None)
    frame = frame.with_columns(pl.col("a", "b", "c", "d").cast(pl.String))
    found = suda(frame, ["a", "b", "c", "d"], patient="who" if by_patient else None, max_size=size)
    whose = [row[4] if by_patient else number for number, row in enumerate(rows)]
    for number in range(len(rows)):
        expected = minimal_sets(rows, whose, number, size)
        weights = [prod(4 - i for i in range(len(one), min(size, 3) + 1)) for one in expected]
        assert found.scores[number] == sum(weights)
        assert found.smallest[number] == min(map(len, expected), default=0)
        assert 0.0 <= found.dis_scores[number] <= 1.0
    if found.scores.any():
        assert max(found.contributions.values()) <= 1.0 + 1e-12


def minimal_sets(rows: list[tuple[object, ...]], whose: list[object], number: int, most: int) -> list[tuple[int, ...]]:
    """Sets of columns on which only this row's person has the row's values, none inside another."""
    found: list[tuple[int, ...]] = []
    for size in range(1, most + 1):
        for chosen in combinations(range(4), size):
            same = {who for row, who in zip(rows, whose, strict=True) if all(row[i] == rows[number][i] for i in chosen)}
            if len(same) == 1 and not any(set(less) < set(chosen) for less in found):
                found.append(chosen)
    return found


def test_the_answer_is_json_without_rows() -> None:
    told = suda(example(), COLUMNS, max_size=2).to_dict()
    assert json.loads(json.dumps(told)) == told
    assert told["special_uniques"] == 4
    assert told["rows_by_smallest_set"] == {"1": 4, "2": 0}
    assert suda(example().clear(), COLUMNS, max_size=2).to_dict()["rows"] == 0


def test_what_cannot_be_searched_is_refused() -> None:
    frame = pl.DataFrame({f"c{i}": [1, 2] for i in range(40)})
    for wrong in (
        {"quasi": [], "match": "no quasi-identifier"},
        {"quasi": frame.columns, "max_size": 5, "match": "can be looked at"},
        {"quasi": ["c1"], "max_size": 2, "match": "largest set is 2"},
        {"quasi": ["c1"], "max_size": 1, "sampling_fraction": 0.0, "match": "sampling fraction"},
        {"quasi": ["nope"], "max_size": 1, "match": "columns nope"},
    ):
        match = str(wrong.pop("match"))
        with pytest.raises(ArgumentInvalid, match=match):
            suda(frame, **wrong)
