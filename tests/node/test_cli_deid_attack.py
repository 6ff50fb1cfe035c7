"""`hdex deid attack`: exit 0 within the bound, 1 not; the keys stay."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from hdex.node.cli.deid import app

runner = CliRunner()
KEYS = {"as", "title", "known", "targets", "reidentified", "rate", "by_chance", "bound", "within_bound", "kinds"}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    random = np.random.default_rng(3)
    path = tmp_path / "patients.csv"
    rows = 600
    pl.DataFrame(
        {
            "patient_id": [f"P{i:04}" for i in range(rows)],
            "age": random.integers(20, 95, rows),
            "sex": random.choice(["F", "M"], rows),
            "city": random.choice(["Springfield", "Salem", "Dover"], rows),
            "diagnosis": random.choice(["I10", "I63.9", "E11.9"], rows),
        }
    ).write_csv(path)
    return path


def ask(*arguments: str | Path) -> tuple[int, str]:
    made = runner.invoke(app, ["attack", *(str(one) for one in arguments)])
    return made.exit_code, made.stdout


def test_raw_data_fails_and_a_release_passes(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    asked = ["anonymize", str(table), "--quasi", "age,sex,city", "--k", "5", "--out", str(out)]
    assert runner.invoke(app, asked).exit_code == 0
    code, text = ask(table, table, "--as", "neighbour", "--json")
    raw = json.loads(text)
    assert code == 1
    assert set(raw) >= KEYS
    assert raw["known"] == ["age", "sex", "city"]
    assert not raw["within_bound"]
    code, text = ask(table, out, "--as", "neighbour", "--targets", "500", "--seed", "7", "--json")
    found = json.loads(text)
    assert code == 0
    assert (found["as"], found["targets"], found["within_bound"]) == ("neighbour", 500, True)
    assert found["rate"] <= found["bound"] < raw["rate"]
    assert {"kind", "rate", "by_chance", "bound"} <= set(found["kinds"][0])
    assert [one["kind"] for one in found["kinds"]] == ["linkage", "attribute"]
    assert ask(table, out, "--as", "neighbour", "--seed", "7", "--targets", "500", "--json")[1] == text


def test_a_file_says_what_is_known_and_a_wrong_one_is_a_usage_error(table: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('title = "me"\n[[fact]]\ntitle = "home"\nnames = ["city"]\n')
    code, text = ask(table, table, "--as", path, "--json")
    assert code == 0
    assert (json.loads(text)["as"], json.loads(text)["known"]) == ("mine", ["city"])
    path.write_text('title = "me"\nhat = 1\n')
    assert ask(table, table, "--as", path)[0] != 0
    assert ask(table, table, "--as", "burglar")[0] == 2
    assert ask(table, table, "--as", "distributor")[0] == 2
    assert ask(table, table, "--as", "neighbour", "--patient", "shoe")[0] == 2
    assert ask(table, table, "--as", "neighbour", "--targets", "0")[0] == 2


def test_outsiders_add_membership_and_hierarchies_read_group_names(table: Path, tmp_path: Path) -> None:
    folder = tmp_path / "hierarchies"
    folder.mkdir()
    (folder / "city.csv").write_text("Springfield;inland;*\nSalem;coast;*\nDover;coast;*\n")
    frame = pl.read_csv(table)
    half, rest = tmp_path / "half.csv", tmp_path / "rest.csv"
    frame.head(300).write_csv(half)
    frame.tail(300).write_csv(rest)
    grouped = tmp_path / "grouped.csv"
    coast = pl.col("city").replace_strict({"Springfield": "inland", "Salem": "coast", "Dover": "coast"})
    frame.head(300).with_columns(coast.alias("city")).write_csv(grouped)
    without = json.loads(ask(half, grouped, "--as", "neighbour", "--json")[1])
    code, text = ask(half, grouped, "--as", "neighbour", "--hierarchies", folder, "--outsiders", rest, "--json")
    found = json.loads(text)
    assert code == 1
    assert found["rate"] > without["rate"]
    assert found["kinds"][-1]["kind"] == "membership"


def test_a_release_without_anything_known_is_a_blind_guess(table: Path, tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    pl.read_csv(table).select("diagnosis").write_csv(path)
    made = runner.invoke(app, ["attack", str(table), str(path), "--as", "neighbour"])
    assert made.exit_code == 0
    assert "none of the columns" in made.stderr
