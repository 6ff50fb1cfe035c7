"""The second count: agrees with the first, reads files, and shares no code with the engines."""

import ast
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdex.deid import verify
from hdex.deid.errors import ArgumentInvalid, ReleaseUnreadable
from hdex.deid.risk import measure
from hdex.deid.verify import verify_release

cells = st.sampled_from(["60-69", "90+", "*", None])
numbers = st.sampled_from([1.5, None, float("nan")])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(cells, numbers), min_size=1, max_size=30), st.integers(1, 6))
def test_both_counts_agree(values: list[tuple[str | None, float | None]], k: int) -> None:
    frame = pl.DataFrame(values, schema={"a": pl.String, "b": pl.Float64}, orient="row")
    second, first = verify_release(frame, ["a", "b"], k), measure(frame, ["a", "b"])
    assert (second.k, second.classes, second.unique) == (first.k, first.classes, first.unique_rows)
    assert second.ok is (first.k >= k)


@pytest.mark.parametrize("name", ["out.parquet", "out.csv"])
def test_a_file_is_read_again(tmp_path: Path, name: str) -> None:
    frame = pl.DataFrame({"age": ["60-69"] * 3 + ["90+"] * 2, "who": ["p", "p", "q", "r", "s"]})
    path = tmp_path / name
    frame.write_parquet(path) if name.endswith("parquet") else frame.write_csv(path, separator=";")
    assert verify_release(path, ["age"], 2).ok
    by_patient = verify_release(path, ["age"], 2, patient="who")
    assert (by_patient.k, by_patient.ok, by_patient.rows) == (2, True, 5)
    assert not verify_release(path, ["age"], 3).ok


def test_a_tampered_release_is_found(tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    pl.DataFrame({"age": ["60-69"] * 10}).write_parquet(path)
    assert verify_release(path, ["age"], 5).ok
    pl.DataFrame({"age": ["60-69"] * 9 + ["61"]}).write_parquet(path)
    found = verify_release(path, ["age"], 5)
    assert (found.ok, found.k, found.unique) == (False, 1, 1)


def test_nothing_released_says_nothing_about_anybody() -> None:
    assert verify_release(pl.DataFrame({"age": pl.Series([], dtype=pl.String)}), ["age"], 5).ok


def test_what_cannot_be_read_is_no_pass(tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    path.write_bytes(b"PAR1 broken")
    with pytest.raises(ReleaseUnreadable, match="Parquet"):
        verify_release(path, ["age"], 5)
    text = tmp_path / "out.csv"
    text.write_text("age,sex\n1,F\n2\n")
    with pytest.raises(ReleaseUnreadable, match="line 3 has 1 fields"):
        verify_release(text, ["age"], 1)
    text.write_bytes("年龄\n1\n".encode("gb18030"))
    with pytest.raises(ReleaseUnreadable, match="UTF-8"):
        verify_release(text, ["age"], 1)


def test_a_column_that_is_not_there_is_named() -> None:
    with pytest.raises(ArgumentInvalid, match="columns age"):
        verify_release(pl.DataFrame({"sex": ["F"]}), ["age"], 2)


def test_the_verifier_imports_nothing_of_the_room_but_its_errors() -> None:
    tree = ast.parse(Path(verify.__file__).read_text())
    rooms = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    assert {name for name in rooms if name.startswith("hdex")} == {"hdex.deid.errors"}
