"""`hdex demo --data`: the same story on real exports, as a user starts it, and on wrong ones."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2].parent / "shared/data"
EXPORTS = [
    SHARED / place for place in ("hospitals_csv/hospital_a", "hospitals_csv/hospital_b", "hospitals_fhir/hospital_a")
]
TIMEOUT_S = 300

pytestmark = pytest.mark.journey


def demo(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hdex.node.cli", "demo", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


def alive(folder: Path) -> list[int]:
    """Return the processes that name a file of this folder on their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            found += [int(entry.name)] if str(folder).encode() in line else []
    return found


@pytest.mark.soak
@pytest.mark.skipif(not all(folder.exists() for folder in EXPORTS), reason="../shared/data is absent")
def test_the_story_holds_on_three_real_exports(tmp_path: Path) -> None:
    stage = tmp_path / "stage"
    run = demo("--json", "--dir", stage, "--data", *EXPORTS)
    assert run.returncode == 0, run.stderr[-3000:]
    figures = json.loads(run.stdout)
    assert figures["hospitals"] == figures["products"] == 3
    assert (figures["records"], figures["k_before"]) == (668, 1)  # adults with the four covariates
    assert figures["k_after"] >= 5
    assert figures["attack_after"] < 0.2 < figures["attack_before"]
    assert figures["identifiers_planted"] > 5_000
    assert figures["identifiers_found"] == figures["raw_rows_left"] == figures["values_altered"] == 0
    assert figures["max_coefficient_difference"] <= 1e-9
    assert figures["ledger_verified"]
    assert figures["withdrawal_honoured"]
    assert figures["forged_log_found"] is not None
    assert figures["columns_by_level"]["5"] == 0
    assert {refusal["rule"] for refusal in figures["refusals"]} >= {
        "identity-refused", "no-rule-permits", "purpose.prohibited", "contract.revoked",
    }  # fmt: skip
    for name in ("bmi", "systolic"):  # the smallest hospital has too few events for four covariates
        (line,) = [line for line in run.stderr.splitlines() if f"{name} is left out: the disclosure floor of" in line]
        assert "hospital-c: events_per_parameter" in line
    assert (stage / "report.html").exists()
    assert alive(stage) == []


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """Three folders that look like exports of CSV."""
    found = [tmp_path / name for name in ("first", "second", "third")]
    for folder in found:
        folder.mkdir()
        (folder / "patients.csv").write_text("shelf,colour\n1,red\n2,blue\n", encoding="utf-8")
    return found


def test_another_number_of_folders_is_a_matter_of_usage(folders: list[Path]) -> None:
    run = demo("--data", *folders[:2])
    assert run.returncode == 2
    assert run.stderr.strip() == "hdex: --data names 2 folders; the story has 3 hospitals, one each"


def test_folders_without_the_flag_are_a_matter_of_usage(folders: list[Path]) -> None:
    run = demo(*folders)
    assert run.returncode == 2
    assert "follow --data" in run.stderr


def test_both_ways_to_name_folders_are_not_mixed(folders: list[Path]) -> None:
    run = demo("--data", folders[0], folders[1], "--data", folders[2])
    assert run.returncode == 2
    assert "once before all folders, or once before each" in run.stderr


def test_a_missing_folder_is_named(folders: list[Path]) -> None:
    run = demo("--data", folders[0], "--data", folders[1].with_name("absent"), "--data", folders[2])
    assert run.returncode == 3
    assert run.stderr.startswith("hdex: hospital-b: there is no folder")
    assert "Traceback" not in run.stderr


def test_a_file_of_an_unknown_kind_is_named(folders: list[Path]) -> None:
    (folders[2] / "scan.tiff").write_bytes(b"II*\0")
    run = demo("--data", *folders)
    assert run.returncode == 3
    assert "scan.tiff" in run.stderr


@pytest.mark.soak
def test_an_export_without_patients_ends_with_a_reason_and_no_process(folders: list[Path], tmp_path: Path) -> None:
    stage = tmp_path / "stage"
    run = demo("--dir", stage, "--data", *folders)
    assert run.returncode in {2, 3}
    assert "hospital-a" in run.stderr.splitlines()[-1]
    assert "no table looks like the hospital's patients" in run.stderr
    assert "Traceback" not in run.stderr
    assert alive(stage) == []
