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


secrets = st.sampled_from([3, 5, 11, None])


@settings(max_examples=50, deadline=None)
@given(rows=st.lists(st.tuples(cells, secrets), min_size=1, max_size=30), as_text=st.booleans())
def test_both_counts_agree_on_l_and_t(rows: list[tuple[str | None, int | None]], as_text: bool) -> None:
    frame = pl.DataFrame(rows, schema={"a": pl.String, "s": pl.Int64}, orient="row")
    if as_text:
        frame = frame.with_columns(pl.col("s").cast(pl.String))
    first = measure(frame, ["a"], sensitive="s")
    second = verify_release(frame, ["a"], 1, sensitive=["s"], least_values=2, distance=0.3)
    assert second.l == first.l
    assert second.t == pytest.approx(first.t, abs=1e-12)
    assert second.ok is ((first.l or 0) >= 2 and (first.t or 0) <= 0.3 + 1e-9)


def test_t_is_measured_from_the_whole_table_where_one_is_given(tmp_path: Path) -> None:
    whole = pl.DataFrame({"age": ["x"] * 4 + ["y"] * 6, "ill": list("abab" + "aaaaaa")})
    out, source = tmp_path / "out.csv", tmp_path / "in.parquet"
    whole.head(4).write_csv(out)
    whole.write_parquet(source)
    assert verify_release(out, ["age"], 2, sensitive=["ill"], distance=0.0).t == 0
    found = verify_release(out, ["age"], 2, sensitive=["ill"], least_values=2, distance=0.2, whole=source)
    assert (found.ok, found.l) == (False, 2)
    assert found.t == pytest.approx(0.3)
    assert (found.asked_k, found.asked_l, found.asked_t) == (2, 2, 0.2)
    assert verify_release(out, ["age"], 2, sensitive=["ill"], distance=0.3, whole=source).ok


def test_numbers_of_a_text_file_are_ordered_and_codes_are_not(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    for cost, far in (
        ([1, 2, 10, 11], 1 / 3),
        (["01", "02", "10", "11"], 0.5),
        (["1.5", "2.5", "10.5", "11.5"], 1 / 3),
    ):
        pl.DataFrame({"q": ["a", "a", "b", "b"], "cost": cost}).write_csv(path)
        assert verify_release(path, ["q"], 2, sensitive=["cost"]).t == pytest.approx(far)
        typed = verify_release(pl.read_csv(path, infer_schema=False), ["q"], 2, sensitive=["cost"])
        assert typed.t == pytest.approx(0.5)  # a frame of text is text


def test_strange_text_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    values = ["line\u2028end", 'a "quoted", word', "x\ny", "z" * 300_000, None, None]
    frame = pl.DataFrame({"q": values * 2, "r": values * 2})
    frame.write_csv(path)
    assert (verify_release(path, ["q", "r"], 2).k, verify_release(path, ["q"], 2).rows) == (2, 12)
    pl.DataFrame({"q": [None, "a", None, "a"]}).write_csv(path)
    assert verify_release(path, ["q"], 2).classes == 2
    path.write_text("q,q\na,b\n")
    with pytest.raises(ArgumentInvalid, match="q are in the released table twice"):
        verify_release(path, ["q"], 2)


def test_l_and_t_of_nothing_are_refused() -> None:
    with pytest.raises(ArgumentInvalid, match="sensitive column"):
        verify_release(pl.DataFrame({"sex": ["F"]}), ["sex"], 1, least_values=2)
    with pytest.raises(ArgumentInvalid, match="t is 2"):
        verify_release(pl.DataFrame({"sex": ["F"]}), ["sex"], 1, sensitive=["sex"], distance=2)


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
