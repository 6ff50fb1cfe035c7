"""`hdex deid verify`: one JSON object, exit 0 verified, 1 not, 2 for wrong arguments, 3 for the outside world."""

import json
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from hdex.node.cli.deid import app
from hdex.node.errors import describe

runner = CliRunner()
KEYS = ["k", "ok", "unique", "rows", "classes", "asked_k", "l", "t", "asked_l", "asked_t"]


@pytest.fixture
def released(tmp_path: Path) -> Path:
    path = tmp_path / "out.csv"
    rows = {"age": ["60-69"] * 4 + ["70+"] * 4, "ill": list("aabb" + "abab"), "who": [1, 1, 2, 3, 4, 5, 6, 7]}
    pl.DataFrame(rows).write_csv(path)
    return path


@pytest.mark.parametrize(
    ("extra", "code"),
    [
        (["--k", "4"], 0),
        (["--k", "5"], 1),
        (["--k", "4", "--patient", "who"], 1),
        (["--k", "3", "--patient", "who"], 0),
        (["--k", "4", "--sensitive", "ill", "--l", "2", "--t", "0.0"], 0),
        (["--k", "4", "--sensitive", "ill", "--l", "3"], 1),
        (["--k", "4", "--l", "2"], 2),
        (["--k", "4", "--sensitive", "shoe"], 2),
    ],
)
def test_the_exit_code_tells(released: Path, extra: list[str], code: int) -> None:
    ended = runner.invoke(app, ["verify", str(released), "--quasi", "age", "--json", *extra])
    assert ended.exit_code == code, ended.output
    if code < 2:
        found = json.loads(ended.stdout)
        assert list(found) == KEYS
        assert found["ok"] is (code == 0)


def test_the_original_may_be_the_reference(released: Path, tmp_path: Path) -> None:
    whole = tmp_path / "in.parquet"
    pl.DataFrame({"ill": ["a"] * 9 + ["b"]}).write_parquet(whole)
    asked = ["verify", str(released), "--quasi", "age", "--k", "4", "--sensitive", "ill", "--t", "0.3"]
    assert runner.invoke(app, asked).exit_code == 0
    assert runner.invoke(app, [*asked, "--whole", str(whole)]).exit_code == 1


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_partitions_of_a_folder_or_a_pattern_are_one_release(released: Path, tmp_path: Path, suffix: str) -> None:
    whole, folder = pl.read_csv(released), tmp_path / "parts"
    folder.mkdir()
    (folder / "_SUCCESS").touch()
    for number in range(3):  # classes of four lie in several parts
        part, path = whole.gather_every(3, number), folder / f"part-{number}{suffix}"
        part.write_csv(path) if suffix == ".csv" else part.write_parquet(path)
    for source in (folder, folder / f"part-*{suffix}"):
        for k, code in ((4, 0), (5, 1)):
            ended = runner.invoke(app, ["verify", str(source), "--quasi", "age", "--k", str(k), "--json"])
            assert ended.exit_code == code, ended.output
            alone = runner.invoke(app, ["verify", str(released), "--quasi", "age", "--k", str(k), "--json"])
            assert json.loads(ended.stdout) == json.loads(alone.stdout)


def test_a_folder_of_nothing_or_of_something_else_is_no_pass(tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    asked = ["verify", str(folder), "--quasi", "age"]
    assert "holds 0 files" in str(runner.invoke(app, asked).exception)
    assert "holds 0 files" in str(runner.invoke(app, ["verify", str(folder / "*.csv"), "--quasi", "age"]).exception)
    pl.DataFrame({"age": [1, 1]}).write_parquet(folder / "a.parquet")
    (folder / "notes.docx").write_text("x")
    assert "1 entries that are no Parquet or text tables" in str(runner.invoke(app, asked).exception)
    (folder / "notes.docx").unlink()
    (folder / "b.csv").write_bytes(b"%PDF-1.7\n" * 9)
    looked_into = runner.invoke(app, ["verify", str(folder / "*"), "--quasi", "age", "--k", "2"]).exception
    assert looked_into is not None
    assert "PDF" in str(looked_into)


def test_a_missing_file_is_no_pass(tmp_path: Path) -> None:
    ended = runner.invoke(app, ["verify", str(tmp_path / "gone.csv"), "--quasi", "age"])
    assert ended.exception is not None
    assert describe(ended.exception).exit_code in (1, 3)
