"""`hdex deid`: results on stdout, exit codes by whose fault it is, nothing heavy before a verb runs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hdex.deid.errors import RiskTooHigh
from hdex.node.cli.deid import app
from hdex.node.errors import describe

runner = CliRunner()


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "patients.csv"
    rows = [f"P{i:04},Ada Lovelace {i},{40 + i % 20},{'F' if i % 2 else 'M'}" for i in range(100)]
    path.write_text("patient_id,name,age,sex\n" + "\n".join(rows) + "\n")
    return path


def test_anonymize_then_verify(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    made = runner.invoke(app, ["anonymize", str(table), "--quasi", "age,sex", "--k", "5", "--out", str(out), "--json"])
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout)["rows"] == 100
    checked = runner.invoke(app, ["verify", str(out), "--quasi", "age,sex", "--k", "5", "--json"])
    assert checked.exit_code == 0
    assert json.loads(checked.stdout)["ok"] is True
    assert runner.invoke(app, ["verify", str(out), "--quasi", "age,sex", "--k", "99"]).exit_code == 1


def test_classify_tells_roles_and_the_level_of_the_whole(table: Path) -> None:
    made = runner.invoke(app, ["classify", str(table), "--json"])
    assert made.exit_code == 0, made.output
    answer = json.loads(made.stdout)
    assert {"tables", "level", "reasons", "grade"} <= set(answer)
    columns = {column["name"]: column for column in answer["tables"][0]["columns"]}
    assert set(columns["age"]) == {"name", "role", "category", "level", "evidence", "confidence"}
    assert columns["name"]["role"] == "direct"
    assert answer["level"] == 4


def test_redact_writes_what_it_read_without_the_name(tmp_path: Path) -> None:
    source, out, key = tmp_path / "in.jsonl", tmp_path / "out.jsonl", tmp_path / "key"
    source.write_text('{"who": "Wilhelmina Ostrander", "note": "Wilhelmina Ostrander came."}\n')
    key.write_bytes(b"k" * 32)
    base = ["redact", str(source), "--text", "note", "--record", "who", "--detector", "rules", "--out", str(out)]
    made = runner.invoke(app, [*base, "--key", str(key), "--json"])
    assert made.exit_code == 0, made.output
    assert "Ostrander" not in json.loads(out.read_text())["note"]
    assert "warning" in runner.invoke(app, base).stderr
    assert runner.invoke(app, [*base, "--replace", "nothing"]).exit_code == 2


@pytest.mark.parametrize("extra", [["--quasi", "shoe"], ["--quasi", "age", "--engine", "best"], []])
def test_wrong_arguments_are_usage_errors(table: Path, tmp_path: Path, extra: list[str]) -> None:
    made = runner.invoke(app, ["anonymize", str(table), "--out", str(tmp_path / "o.csv"), *extra])
    assert made.exit_code == 2


def test_too_much_risk_is_a_refusal(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "o.csv"
    made = runner.invoke(app, ["anonymize", str(table), "--quasi", "age", "--k", "500", "--out", str(out)])
    assert isinstance(made.exception, RiskTooHigh)
    assert describe(made.exception).exit_code == 1
    assert not out.exists()


def test_a_missing_file_is_the_outside_world(tmp_path: Path) -> None:
    gone = str(tmp_path / "gone.csv")
    made = runner.invoke(app, ["anonymize", gone, "--quasi", "age", "--out", str(tmp_path / "o.csv")])
    assert made.exception is not None
    assert describe(made.exception).exit_code == 3


def test_importing_the_command_loads_no_vendor() -> None:
    heavy = "polars", "numpy", "presidio_analyzer"
    code = f"import sys, hdex.node.cli.deid; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
