"""`hdex federated simulate`: the keys outside checks read, warnings, exit codes; and Flower's telemetry is off."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.federated.samples import FEATURES, TARGET, tables

from hdex.federated.errors import StudyInvalid
from hdex.federated.simulate import simulate
from hdex.node.cli.main import main


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    paths = []
    for site, frame in tables().items():
        frame.write_csv(tmp_path / f"{site}.csv")
        paths.append(str(tmp_path / f"{site}.csv"))
    return paths


def hdex(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["hdex", "federated", "simulate", *arguments])
    code = 0
    try:
        main()
    except SystemExit as stop:
        code = int(stop.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


QUESTION = ["--target", TARGET, "--features", ",".join(FEATURES)]


@pytest.mark.parametrize("secure", ["plain", "paillier"])
def test_simulate_prints_the_stable_keys(
    files: list[str], secure: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["--kind", "logistic", "--standardize", "global", "--l2", "1.0", "--secure", secure, "--json"]
    code, out, err = hdex(capsys, monkeypatch, "--sites", *files, *QUESTION, *options)
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert [row["name"] for row in found["coefficients"]] == ["intercept", *FEATURES]
    assert {"name", "estimate", "se", "z", "p"} <= set(found["coefficients"][0])
    assert isinstance(found["rounds"], int)
    assert found["seconds"] > 0
    assert set(found["bytes_per_site"]) == {"hospital-a", "hospital-b", "hospital-c"}
    assert found["warnings"] == []


def test_simulate_warns_where_a_run_refuses(
    files: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = hdex(capsys, monkeypatch, "--sites", *files[:2], *QUESTION, "--secure", "plain")
    assert code == 0
    assert "warning: a real run refuses: the study: min_sites" in err
    assert "intercept" in out


def test_a_file_with_a_header_only_and_a_column_of_missing_values_are_sites_without_rows(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    head = ",".join([*FEATURES, TARGET])
    (tmp_path / "empty.csv").write_text(f"{head}\n")
    (tmp_path / "holes.csv").write_text(f"{head}\n" + "NA,25,1,120,1\n" * 30)
    extra = [str(tmp_path / name) for name in ("empty.csv", "holes.csv")]
    plain = [*QUESTION, "--secure", "plain", "--json"]
    code, out, err = hdex(capsys, monkeypatch, "--sites", *files, *extra, *plain)
    assert code == 0
    assert "empty: min_rows" in err
    expected = json.loads(hdex(capsys, monkeypatch, "--sites", *files, *plain)[1])
    found = json.loads(out)
    assert found["dropped"] == 30
    pairs = zip(found["coefficients"], expected["coefficients"], strict=True)
    assert all(abs(a["estimate"] - b["estimate"]) <= 1e-12 for a, b in pairs)


@pytest.mark.parametrize(
    "change",
    [["--features", "age,absent"], ["--kind", "tree"], ["--sites", "absent.csv"], ["--secure", "rot13"]],
)
def test_a_wrong_question_is_a_clear_error(
    files: list[str], change: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = hdex(capsys, monkeypatch, "--sites", *files, *QUESTION, "--secure", "plain", *change)
    assert code in (1, 2)
    assert out == ""
    assert change[1].split(",")[-1] in err


def test_flower_is_imported_with_its_telemetry_off() -> None:
    probe = (
        "import os, sys; [os.environ.pop(k, None) for k in list(os.environ) if k.startswith('FLWR')]; "
        "import hdex.federated.run; import flwr.supercore.telemetry as t; "
        "print(t.FLWR_TELEMETRY_ENABLED, os.environ['FLWR_DISABLE_UPDATE_CHECK'], 'FLWR_HOME' in os.environ)"
    )
    run = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True)
    assert run.stdout.split() == ["0", "1", "True"], run.stderr


def test_the_room_is_imported_without_flower() -> None:
    probe = "import sys, hdex.federated; print('flwr' in sys.modules, 'phe' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "False"]


def test_simulate_takes_a_folder_of_sites_and_regions_between(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for given in (["--sites", *files], ["--sites-from", str(tmp_path), "--regions", "2"]):
        code, out, err = hdex(capsys, monkeypatch, *given, "--kind", "mean", "--features", "age", "--json")
        assert (code, err) == (0, "")
        found.append(json.loads(out))
    for name in ("sites", "bytes_per_site", "rounds", "columns"):
        assert found[0].get(name) == found[1].get(name)


def test_the_sites_open_the_sums_of_a_simulation_together_but_not_through_regions() -> None:
    asked: dict[str, Any] = {"target": "", "features": ["age"], "kind": "mean", "bits": 2048}
    with pytest.raises(StudyInvalid, match="leave regions or threshold out"):
        simulate(tables(), secure="threshold", regions=2, **asked)
    with pytest.raises(StudyInvalid):
        simulate(tables(), secure="threshold", contribution=True, **asked)


def test_simulate_without_a_site_says_what_to_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for given in ([], ["--sites-from", str(tmp_path)]):
        code, _, err = hdex(capsys, monkeypatch, *given, *QUESTION)
        assert code == 2
        assert "--sites-from" in err


def test_a_hundred_sites_are_no_matter() -> None:
    """Work a site grew with the roster's square: digest and parsing of the study, masks with every other site."""
    frames = {f"site-{number:03}": tables()["hospital-a"][number : number + 40] for number in range(100)}
    asked = {"target": "", "features": ["age"], "kind": "mean", "bits": 2048}
    found = simulate(frames, **asked).document()  # type: ignore[arg-type]
    plain = simulate(frames, secure="plain", **asked).document()  # type: ignore[arg-type]
    differing = ("study_id", "study_digest", "crossed", "bytes_per_site", "seconds")
    assert {name: value for name, value in found.items() if name not in differing} == {
        name: value for name, value in plain.items() if name not in differing
    }
    assert len(found["sites"]) == 100
