"""`hdex deid classify`: stable keys, schemes as files, any export, patients counted over tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hdex.node.cli.deid import app
from hdex.node.errors import describe

FOUR = Path(__file__).resolve().parents[2] / "deid/hdex/deid/data/schemes/local_four.toml"
runner = CliRunner()


def classified(*arguments: str) -> dict[str, Any]:
    made = runner.invoke(app, ["classify", *arguments, "--json"])
    assert made.exit_code == 0, made.output
    answer: dict[str, Any] = json.loads(made.stdout)
    return answer


def columns(answer: dict[str, Any], table: str) -> dict[str, dict[str, Any]]:
    return next({c["name"]: c for c in t["columns"]} for t in answer["tables"] if t["name"] == table)


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """Two tables under meaningless headers: people, and what happened to them."""
    folder = tmp_path / "export"
    folder.mkdir()
    people = [f"P{7000 + i},{'MF'[i % 2]},{1930 + i % 60}-0{1 + i % 9}-1{i % 9}" for i in range(60)]
    events = [f"E{9000 + i},P{7000 + i % 60},{120 + i % 40},2024-0{1 + i % 9}-11" for i in range(240)]
    (folder / "a.csv").write_text("c1,c2,c3\n" + "\n".join(people) + "\n")
    (folder / "b.csv").write_text("c1,c2,c3,c4\n" + "\n".join(events) + "\n")
    return folder


def test_the_keys_are_stable(export: Path) -> None:
    answer = classified(str(export))
    assert {"tables", "level", "reasons", "grade", "may_lower_to", "flags", "k", "patients", "links"} <= set(answer)
    assert [(t["name"], t["rows"]) for t in answer["tables"]] == [("a", 60), ("b", 240)]
    column = columns(answer, "a")["c1"]
    assert set(column) == {"name", "role", "category", "level", "evidence", "confidence"}
    assert answer["grade"] == 1
    assert answer["flags"] == {"minor_under_14": False}


def test_tables_are_linked_and_k_counts_patients(export: Path) -> None:
    answer = classified(str(export))
    assert answer["links"]["patient"] == {"a": "c1", "b": "c2"}
    assert answer["patients"] == 60
    assert answer["level"] == 4
    assert any("counting patients by" in reason for reason in answer["reasons"])


def test_another_scheme_is_another_file(export: Path) -> None:
    answer = classified(str(export), "--scheme", str(FOUR))
    assert (answer["scheme"], answer["level"]) == ("local-four", 3)
    assert columns(answer, "a")["c2"]["category"] == "person"


def test_the_criterion_that_chose_the_patients_counts(export: Path) -> None:
    assert classified(str(export), "--inclusion", "ICD-10 B20-B24")["level"] == 5


def test_a_scheme_that_is_not_understood_is_a_refusal_with_the_nearest_key(export: Path, tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(FOUR.read_text("utf-8").replace("unique_k", "unique_q"), "utf-8")
    made = runner.invoke(app, ["classify", str(export), "--scheme", str(path)])
    assert "did you mean unique_k?" in str(made.exception)
    assert made.exception is not None
    assert describe(made.exception).exit_code in (1, 2)


def test_files_without_a_header_get_numbered_columns(tmp_path: Path) -> None:
    path = tmp_path / "heart.data"
    path.write_text("".join(f"{40 + i % 40},{i % 2},{110 + i % 60},{0.5 + i % 5}\n" for i in range(100)))
    found = columns(classified(str(path)), "heart")
    assert list(found) == ["c1", "c2", "c3", "c4"]
    assert found["c3"]["role"] == "sensitive"


def test_an_empty_export_and_a_missing_one_are_errors(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("")
    for gone in (tmp_path / "empty.csv", tmp_path / "gone", tmp_path):
        made = runner.invoke(app, ["classify", str(gone)])
        assert made.exit_code != 0


def test_one_column_without_rows_and_with_rows(tmp_path: Path) -> None:
    (tmp_path / "only.csv").write_text("sex\n")
    answer = classified(str(tmp_path / "only.csv"))
    assert (answer["level"], answer["k"]) == (2, None)
    (tmp_path / "one.csv").write_text("sex\n" + "M\n" * 6 + "F\n" * 5)
    answer = classified(str(tmp_path / "one.csv"))
    assert (answer["level"], answer["k"]) == (3, 5)


def test_a_cell_of_ten_megabytes_is_text(tmp_path: Path) -> None:
    path = tmp_path / "big.csv"
    note = "The patient came with chest pain and went home well. " * 200_000
    path.write_text(
        "c1,c2\n" + "".join(f"A{10 + i},the patient is well and sleeps now at home again {i}\n" for i in range(9))
    )
    with path.open("a") as file:
        file.write(f"A99,{note}\n")
    assert columns(classified(str(path)), "big")["c2"]["role"] == "free_text"
