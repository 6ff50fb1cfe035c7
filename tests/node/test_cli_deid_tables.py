"""`hdex deid anonymize`: both engines, trees of codes, and tables that are not what they should be."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hdex.deid.verify import verify_release
from hdex.node.cli.deid import app
from hdex.node.cli.deid_tables import tell_progress

runner = CliRunner()
KEYS = {"engine", "k", "loss", "suppressed", "rows", "classes", "transformation", "risk", "cpu_seconds"}


def run(table: Path, out: Path, *more: str) -> tuple[int, dict[str, object], str]:
    made = runner.invoke(app, ["anonymize", str(table), "--out", str(out), "--json", *more])
    return made.exit_code, json.loads(made.stdout) if made.exit_code == 0 else {}, made.output


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "in.csv"
    codes = ["E11.9", "E11.65", "E10.9", "I10", "I63.9"]
    lines = [f"P{i // 2},{40 + i % 7},{codes[i % 5]},{'yes' if i % 3 else 'no'}" for i in range(120)]
    path.write_text("who,age,dx,hiv\n" + "\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("engine", ["exact", "local"])
def test_both_engines_answer_with_the_stable_keys(table: Path, tmp_path: Path, engine: str) -> None:
    out = tmp_path / "out.csv"
    code, answer, output = run(table, out, "--quasi", "age,dx", "--k", "6", "--engine", engine, "--patient", "who")
    assert code == 0, output
    assert set(answer) >= KEYS
    assert answer["engine"] == engine
    found = verify_release(out, ["age", "dx"], 6, patient="who")
    assert found.ok
    assert found.rows == 120 - int(str(answer["suppressed"]))


def test_the_local_engine_keeps_l(table: Path, tmp_path: Path) -> None:
    more = ("--quasi", "age,dx", "--k", "3", "--engine", "local", "--sensitive", "hiv", "--l", "2")
    code, answer, output = run(table, tmp_path / "out.csv", *more)
    assert code == 0, output
    assert isinstance(answer["risk"], dict)
    assert answer["risk"]["l"] >= 2


def test_further_models_are_asked_by_name(table: Path, tmp_path: Path) -> None:
    out, asked = tmp_path / "out.csv", ("--quasi", "age,dx", "--k", "3", "--suppression", "0.2")
    code, answer, output = run(
        table, out, *asked, "--sensitive", "hiv", "--model", "entropy-l=1.5", "--model", "beta=2"
    )
    assert code == 0, output
    assert answer["models"] == ["entropy-l=1.5", "beta=2"]
    sample = tmp_path / "sample.csv"
    sample.write_text("\n".join(table.read_text().splitlines()[:20]) + "\n")
    code, answer, output = run(sample, out, *asked, "--model", "k-map=9", "--population", str(table))
    assert code == 0, output
    assert set(answer) >= KEYS | {"population", "models"}
    code, _, output = run(sample, tmp_path / "gone.csv", *asked, "--model", "k-map=9")
    assert (code, (tmp_path / "gone.csv").exists()) == (2, False)
    assert "need the table of the population" in " ".join(output.split())


def test_a_parent_file_is_found_and_its_gap_is_named(table: Path, tmp_path: Path) -> None:
    folder = tmp_path / "trees"
    folder.mkdir()
    tree = "code,parent\nE11.9,E11\nE11.65,E11\nE10.9,E10\nE11,E10-E14\nE10,E10-E14\nI10,I10-I15\nI63.9,I60-I69\n"
    (folder / "any_hierarchy_dx.csv").write_text(tree)
    more = ("--quasi", "dx", "--k", "30", "--hierarchies", str(folder))
    code, _, output = run(table, tmp_path / "out.csv", *more)
    assert code == 0, output
    (folder / "any_hierarchy_dx.csv").write_text(tree.replace("I10,I10-I15\n", ""))
    code, _, output = run(table, tmp_path / "gone.csv", *more)
    assert code == 1
    assert "I10" not in output
    assert not (tmp_path / "gone.csv").exists()


def test_progress_is_one_line_without_a_value(capsys: pytest.CaptureFixture[str]) -> None:
    tell_progress(25, 0.1, 0.25)
    tell_progress(50, 0.0, float("inf"))
    assert capsys.readouterr().err == "\r25 nodes, best loss 0.2500, at least 0.1000   \r50 nodes, searching   "


@pytest.mark.parametrize("engine", ["exact", "local"])
@pytest.mark.parametrize(
    ("content", "more", "code"),
    [
        (b"", (), 1),  # empty
        (b"a\n", (), 1),  # no row
        (b"a\n1\n1\n", (), 0),  # one column, all equal
        (b"a\n" + b"\n".join(b"%d" % i for i in range(50)) + b"\n", (), 0),  # all unique
        (b"a\n1\n2\n", ("--suppression", "1", "--k", "2"), 0),  # everything may be left out
        (b"a,b\n,1\n,2\n3,3\n3,4\n", (), 0),  # nulls are a category
        (b"a\n1\nx\n2024-01-01\n1.5\n", (), 0),  # mixed types are text
        ("a\n病\n病\n".encode("gb18030"), (), 0),  # as Chinese hospitals write it
        ("a\n病\n病\n".encode("utf-16"), (), 0),
        ("a\nMünchen\nMünchen\n".encode("latin-1"), (), 1),  # wrong encoding
        (b"a,a\n1,2\n1,2\n", (), 1),  # one name, two columns
        (b"a\n1\n1\n", ("--k", "3"), 1),  # k above the table
        (b"a\n1\n1\n", ("--k", "0"), 2),
        (b"a\n1\n1\n", ("--suppression", "2"), 2),
        (b"a\n1\n1\n", ("--quasi", "b"), 2),
        (b"a,b\n1,2\n1,2,3,4\n", (), 1),  # lines of unequal length
    ],
)
def test_bad_tables_are_a_clear_error_or_a_stated_answer(
    tmp_path: Path, engine: str, content: bytes, more: tuple[str, ...], code: int
) -> None:
    path, out = tmp_path / "in.csv", tmp_path / "out.csv"
    path.write_bytes(content)
    asked = ("--quasi", "a", "--k", "2", "--engine", engine, *more)
    made = runner.invoke(app, ["anonymize", str(path), "--out", str(out), "--json", *asked])
    assert made.exit_code == code, made.output
    assert out.exists() == (code == 0)
    if code == 0:
        assert verify_release(out, ["a"], 2).ok


def test_what_is_wrong_is_said_before_any_work(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    for more, said in (
        (("--hierarchies", str(tmp_path / "none")), "is not there"),
        (("--out", str(tmp_path / "out.xlsx")), "ends in .xlsx"),
        (("--k", "500"), "k is 120, asked is 500: the whole table"),
    ):
        made = runner.invoke(app, ["anonymize", str(table), "--quasi", "age", "--out", str(out), *more])
        assert made.exit_code in (1, 2)
        assert said in " ".join(f"{made.output} {made.exception}".replace("│", " ").split())
    assert not out.exists()


def test_a_column_without_a_hierarchy_file_is_named(table: Path, tmp_path: Path) -> None:
    (tmp_path / "age.csv").write_text("".join(f"{age};*\n" for age in range(40, 47)))
    asked = ["--quasi", "age,dx", "--hierarchies", str(tmp_path), "--out", str(tmp_path / "out.csv")]
    made = runner.invoke(app, ["anonymize", str(table), *asked])
    assert made.exit_code == 0
    assert "is about dx: hierarchies were made" in made.stderr


def test_ten_thousand_columns_and_a_cell_of_ten_megabytes_pass(tmp_path: Path) -> None:
    wide, big = tmp_path / "wide.csv", tmp_path / "big.csv"
    names = [f"c{i}" for i in range(10_000)]
    wide.write_text(",".join(names) + "\n" + (",".join("1" for _ in names) + "\n") * 4)
    big.write_text("a,note\n1,short\n1," + "x" * 10_000_000 + "\n")
    assert run(wide, tmp_path / "w.csv", "--quasi", "c0,c9999", "--k", "2")[0] == 0
    assert run(wide, tmp_path / "w2.csv", "--quasi", ",".join(names), "--k", "2")[0] == 2
    assert run(big, tmp_path / "b.csv", "--quasi", "a", "--k", "2")[0] == 0
    assert run(big, tmp_path / "b2.csv", "--quasi", "a,note", "--k", "2", "--engine", "local")[0] == 0
