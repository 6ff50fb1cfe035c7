"""`hdex deid run`: partitions in, partitions out, one answer, exit codes by whose fault it is."""

import json
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from hdex.deid.errors import InputInvalid, RiskTooHigh
from hdex.deid.verify import verify_release
from hdex.node.cli.deid import app
from hdex.node.errors import describe

runner = CliRunner()
KEYS = {"engine", "k", "loss", "suppressed", "rows", "classes", "transformation", "risk", "cpu_seconds"}


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(2):
        frame = pl.DataFrame(
            {
                "pid": [f"P{one % 70:03}" for one in range(100)],
                "name": [f"Ada Lovelace {one}" for one in range(100)],
                "age": [30 + (one * 7 + number) % 40 for one in range(100)],
                "sex": ["F" if one % 2 else "M" for one in range(100)],
            }
        )
        frame.write_parquet(folder / f"{number}.parquet")
    (tmp_path / "key").write_text("k" * 40)
    (tmp_path / "key").chmod(0o600)
    return folder


def test_a_folder_becomes_a_folder_that_verifies(parts: Path, tmp_path: Path) -> None:
    out, recipe = tmp_path / "out", tmp_path / "recipe.json"
    asked = ["run", str(parts), "--quasi", "age,sex", "--k", "4", "--patient", "pid", "--drop", "name"]
    made = runner.invoke(
        app, [*asked, "--key", str(tmp_path / "key"), "--out", str(out), "--recipe", str(recipe), "--json"]
    )
    assert made.exit_code == 0, made.output
    answer = json.loads(made.stdout)
    assert KEYS | {"recipe", "partitions", "gap", "floors"} == set(answer)
    assert (answer["rows"], answer["partitions"], answer["engine"]) == (200, 2, "local")
    assert "write: 2 of 2" in made.stderr
    assert "warning" not in made.stderr
    told = pl.concat([pl.read_parquet(file) for file in sorted(out.iterdir())])
    assert told.columns == ["pid", "age", "sex"]
    assert verify_release(told, ["age", "sex"], 4, patient="pid").ok
    assert recipe.stat().st_mode & 0o077 == 0
    assert "k" * 32 not in recipe.read_text()


def test_what_should_not_pass_unsaid_is_said(parts: Path, tmp_path: Path) -> None:
    (tmp_path / "key").chmod(0o644)
    made = runner.invoke(
        app, ["run", str(parts), "--quasi", "age,sex", "--key", str(tmp_path / "key"), "--out", str(tmp_path / "out")]
    )
    assert made.exit_code == 0, made.output
    assert "key file key is open to others" in made.stderr
    assert "name" in made.stderr.rsplit("warning:", maxsplit=1)[-1]
    assert "no --key" in runner.invoke(app, ["run", str(parts), "--quasi", "age", "--out", str(tmp_path / "o")]).stderr


def test_several_shifted_days_of_one_patient_do_not_pass_unsaid(tmp_path: Path) -> None:
    days = pl.Series(range(19_000, 19_060)).cast(pl.Int32).cast(pl.Date)
    for name, people in (("several", 30), ("single", 60)):
        frame = pl.DataFrame({"pid": [f"P{one % people}" for one in range(60)], "sex": ["F"] * 60, "seen": days})
        frame.write_parquet(tmp_path / f"{name}.parquet")
        asked = ["run", str(tmp_path / f"{name}.parquet"), "--quasi", "sex", "--patient", "pid", "--shift", "seen"]
        made = runner.invoke(app, [*asked, "--out", str(tmp_path / name)])
        assert made.exit_code == 0, made.output
        assert ("seen tell several shifted days of one patient" in made.stderr) == (name == "several")


@pytest.mark.parametrize(
    "extra",
    [
        ["--quasi", "shoe"],
        ["--quasi", "age", "--drop", "age"],
        ["--quasi", "age", "--engine", "spark"],
        ["--quasi", "age", "--engine", "ray"],
        ["--quasi", "age", "--shift", "name"],
        ["--quasi", "age", "--l", "2"],
        ["--quasi", "age", "--sensitive", "age", "--l", "2"],
        [],
    ],
)
def test_wrong_arguments_are_usage_errors(parts: Path, tmp_path: Path, extra: list[str]) -> None:
    made = runner.invoke(app, ["run", str(parts), "--out", str(tmp_path / "out"), *extra])
    assert made.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_refusals_and_lost_folders_have_their_codes(parts: Path, tmp_path: Path) -> None:
    base = ["--quasi", "age", "--out", str(tmp_path / "out")]
    risky = runner.invoke(app, ["run", str(parts), *base, "--k", "500"])
    assert isinstance(risky.exception, RiskTooHigh)
    assert describe(risky.exception).exit_code == 1
    gone = runner.invoke(app, ["run", str(tmp_path / "gone"), *base])
    assert gone.exception is not None
    assert describe(gone.exception).exit_code == 3
    (tmp_path / "key").write_text("short")
    short = runner.invoke(app, ["run", str(parts), *base, "--key", str(tmp_path / "key")])
    assert isinstance(short.exception, InputInvalid)
    assert "5 bytes" in str(short.exception)
    assert not (tmp_path / "out").exists()
