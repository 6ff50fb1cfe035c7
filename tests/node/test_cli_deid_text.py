"""`hdex deid redact`: languages by name and by file, spans, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hdex.deid.errors import DetectorTimeout, PolicyInvalid
from hdex.node.cli.deid import app
from hdex.node.errors import describe

runner = CliRunner()
NOTE = "Nombre: Ernestina.\nApellidos: Cebollero Urrutia.\nVarón visto el 03/11/2016, NHC 771820."


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    rows = [{"apellidos": "Cebollero Urrutia", "note": NOTE}, {"note": None}]
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def asked(source: Path, *extra: str) -> list[str]:
    return ["redact", str(source), "--text", "note", "--detector", "rules", "--out", str(source.parent / "o"), *extra]


def written(source: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (source.parent / "o").read_text(encoding="utf-8").splitlines()]


def test_spanish_by_its_name(source: Path) -> None:
    made = runner.invoke(
        app, asked(source, "--lang", "es", "--spans", "--replace", "tag", "--record", "apellidos", "--json")
    )
    assert made.exit_code == 0, made.output
    first, second = written(source)
    assert first["note"] == "Nombre: [NAME].\nApellidos: [NAME].\n[SEX] visto el [DATE], NHC [ID]."
    spans = first["spans"]
    assert isinstance(spans, list)
    assert [NOTE[s["start"] : s["end"]] for s in spans][:2] == ["Ernestina", "Cebollero Urrutia"]
    assert {"start", "end", "type", "rule"} == set(spans[0])
    assert (second["note"], second["spans"]) == (None, [])
    assert "field apellidos of --record is missing or empty in 1 of 2 lines" in made.stderr
    assert json.loads(made.stdout)["record_fields_missing"] == {"apellidos": 1}


def test_the_fields_of_the_record_leave_only_where_nobody_says_otherwise(source: Path) -> None:
    """Whoever hands the file on is told that it still names the patient."""
    made = runner.invoke(app, asked(source, "--lang", "es", "--record", "apellidos", "--replace", "tag"))
    assert written(source)[0]["apellidos"] == "Cebollero Urrutia"
    assert "holds apellidos as read; --drop-record leaves them out" in made.stderr
    made = runner.invoke(app, asked(source, "--lang", "es", "--record", "apellidos", "--drop-record"))
    assert written(source)[0].keys() == {"note"}
    assert "--drop-record" not in made.stderr


def test_a_language_by_its_file(source: Path, tmp_path: Path) -> None:
    rules = tmp_path / "site.toml"
    rules.write_text("language = 'eo'\n[[rules]]\nname = 'first'\ntype = 'NAME'\npattern = 'Ernestina'\n")
    made = runner.invoke(app, asked(source, "--rules", str(rules), "--replace", "tag"))
    assert made.exit_code == 0, made.output
    assert written(source)[0]["note"] == NOTE.replace("Ernestina", "[NAME]")
    assert runner.invoke(app, asked(source, "--rules", str(rules), "--lang", "es")).exit_code == 2
    rules.write_text("language = 'eo'\nrules = 7")
    assert isinstance(runner.invoke(app, asked(source, "--rules", str(rules))).exception, PolicyInvalid)


@pytest.mark.parametrize("extra", [["--lang", "xx"], ["--detector", "none"], ["--record", "nobody"]])
def test_wrong_arguments_are_usage_errors(source: Path, extra: list[str]) -> None:
    made = runner.invoke(app, asked(source, *extra))
    assert made.exit_code == 2, made.output
    assert not (source.parent / "o").exists()


def test_a_note_that_takes_too_long_is_refused(source: Path) -> None:
    source.write_text(json.dumps({"note": "12 " * 400_000}))
    made = runner.invoke(app, asked(source, "--timeout-s", "0.001"))
    assert isinstance(made.exception, DetectorTimeout)
    assert describe(made.exception).exit_code == 3
    assert not (source.parent / "o").exists()
