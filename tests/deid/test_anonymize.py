"""One file in, one file out: the stable answer, and no half-written file."""

from pathlib import Path

import polars as pl
import pytest

from hdex.deid.anonymize import anonymize_file, identifying_columns
from hdex.deid.anonymize_models import Protection
from hdex.deid.errors import ArgumentInvalid, HierarchyIncomplete, InputInvalid, RiskTooHigh
from hdex.deid.verify import verify_release

KEYS = {"engine", "k", "loss", "suppressed", "rows", "classes", "transformation", "risk", "cpu_seconds"}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.csv"
    lines = [
        f"{40 + i % 30};{'F' if i % 2 else 'M'};0{i % 10};{'yes' if i % 3 else 'no'};P{i // 2}" for i in range(200)
    ]
    path.write_text("age;sex;post;hiv;who\n" + "\n".join(lines) + "\n")
    return path


def test_the_answer_has_the_stable_keys_and_the_file_its_k(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    answer = anonymize_file(source, out=out, quasi=["age", "sex"], k=5)
    assert set(answer) == KEYS | {"bound", "gap", "nodes_checked"}
    assert answer["gap"] == 0.0
    assert (answer["engine"], answer["k"], answer["rows"]) == ("exact", 5, 200)
    assert verify_release(out, ["age", "sex"], 5).ok
    assert pl.read_csv(out, separator=";", infer_schema=False)["post"].str.starts_with("0").all()


def test_the_local_engine_answers_with_shares_of_levels(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    answer = anonymize_file(source, out=out, quasi=["age", "sex"], k=5, engine="local")
    assert set(answer) == KEYS | {"start"}
    shares = answer["transformation"]
    assert isinstance(shares, dict)
    assert all(sum(levels.values()) == pytest.approx(1) for levels in shares.values())
    found = verify_release(out, ["age", "sex"], 5)
    assert (found.ok, found.rows) == (True, 200 - int(str(answer["suppressed"])))


def test_parquet_comes_out_as_parquet(source: Path, tmp_path: Path) -> None:
    middle, out = tmp_path / "in.parquet", tmp_path / "out.parquet"
    pl.read_csv(source, separator=";").write_parquet(middle)
    anonymize_file(middle, out=out, quasi=["age"], k=5)
    assert pl.read_parquet(out).schema["who"] == pl.String
    assert verify_release(out, ["age"], 5).ok


def test_l_and_t_both_hold_when_both_are_asked(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    answer = anonymize_file(source, out=out, quasi=["age", "sex"], k=2, protection=Protection("hiv", 2, 0.1))
    risk = answer["risk"]
    assert isinstance(risk, dict)
    assert risk["l"] >= 2
    assert risk["t"] <= 0.1 + 1e-9


def test_k_counts_patients_when_their_column_is_named(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    anonymize_file(source, out=out, quasi=["age"], k=8, patient="who")
    assert verify_release(out, ["age"], 8, patient="who").ok


def test_hierarchy_files_are_found_by_column(source: Path, tmp_path: Path) -> None:
    (tmp_path / "any_hierarchy_sex.csv").write_text("F;*\nM;*\n")
    answer = anonymize_file(source, out=tmp_path / "o.csv", quasi=["sex"], k=5, hierarchies=tmp_path)
    assert answer["transformation"] == {"sex": 0}
    (tmp_path / "any_hierarchy_sex.csv").write_text("F;*\n")
    with pytest.raises(HierarchyIncomplete, match="column sex misses 1"):
        anonymize_file(source, out=tmp_path / "p.csv", quasi=["sex"], k=5, hierarchies=tmp_path)
    assert not (tmp_path / "p.csv").exists()


def test_a_failed_run_leaves_no_file(source: Path, tmp_path: Path) -> None:
    with pytest.raises(RiskTooHigh):
        anonymize_file(source, out=tmp_path / "out.csv", quasi=["age"], k=1000)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"quasi": ["shoe"]}, "columns shoe are not in the file"),
        ({"quasi": []}, "no quasi-identifier"),
        ({"engine": "magic"}, "engine magic is not there"),
        ({"suppression": 2.0}, "suppression is 2"),
        ({"k": 0}, "k is 0"),
    ],
)
def test_wrong_arguments_are_named(source: Path, tmp_path: Path, changes: dict[str, object], message: str) -> None:
    arguments: dict[str, object] = {"out": tmp_path / "out.csv", "quasi": ["age"], "k": 5} | changes
    with pytest.raises(ArgumentInvalid, match=message):
        anonymize_file(source, **arguments)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"age;sex\n", "has 0 rows"),
        ("age;città\n1;è\n".encode("latin-1"), "UTF-8 text: line 1. save it as UTF-8"),
        (b"age;sex;age\n1;F;2\n", "'age' stand in the header more than once"),
        (b"\xff\xfea\x00\xd8\x00\xd8", "begins as utf-16 text"),
        (b"age;sex\n1;F\n1;F;x;y\n", "equal lines"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes(content)
    with pytest.raises(InputInvalid, match=message):
        anonymize_file(path, out=tmp_path / "out.csv", quasi=["age"], k=2)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_encodings_that_hospitals_write_are_read_alike(tmp_path: Path, encoding: str) -> None:
    path, out = tmp_path / "in.csv", tmp_path / "out.csv"
    path.write_bytes(("性别,城市\n" + "男,北京\n女,上海\n" * 3).encode(encoding))
    assert anonymize_file(path, out=out, quasi=["性别", "城市"], k=3)["loss"] == 0.0
    assert verify_release(out, ["性别", "城市"], 3).ok


def test_a_broken_parquet_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    path.write_bytes(b"nothing")
    with pytest.raises(InputInvalid, match="cannot be read"):
        anonymize_file(path, out=tmp_path / "out.csv", quasi=["age"], k=2)


def test_columns_that_identify_and_passed_through_are_named(tmp_path: Path) -> None:
    path, out = tmp_path / "in.csv", tmp_path / "out.csv"
    rows = [f"patient{i}@example.org,{30 + i % 5},{'F' if i % 2 else 'M'}" for i in range(40)]
    path.write_text("email,age,sex\n" + "\n".join(rows) + "\n")
    anonymize_file(path, out=out, quasi=["age", "sex"], k=2)
    assert identifying_columns(out, ["age", "sex"]) == (["email"], 0)
