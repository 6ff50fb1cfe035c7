"""The protocol keeps the rules of its trade and breaks nobody: buf lint, and buf breaking against the last release."""

import shutil
import subprocess
from pathlib import Path

import pytest

PROTO = Path(__file__).resolve().parents[2] / "proto"


def buf(*arguments: str) -> str:
    """Return what buf objects to; empty where it does not."""
    program = shutil.which("buf")
    if program is None:
        pytest.skip("buf is not installed")
    run = subprocess.run([program, *arguments], cwd=PROTO, capture_output=True, text=True, check=False, timeout=60)
    return run.stdout + run.stderr if run.returncode else ""


def test_the_protocol_is_named_as_the_rules_say() -> None:
    assert buf("lint") == ""


def test_no_client_of_the_last_release_is_broken() -> None:
    assert buf("breaking", "--against", "baseline.binpb") == ""


def test_a_field_that_goes_is_noticed(tmp_path: Path) -> None:
    shutil.copytree(PROTO, tmp_path / "proto", ignore=shutil.ignore_patterns("*.py*", "__pycache__"))
    file = tmp_path / "proto/hdex/proto/v1/common.proto"
    file.write_text(file.read_text().replace("  string grant_id = 7;\n", ""))
    program = shutil.which("buf")
    if program is None:
        pytest.skip("buf is not installed")
    command = [program, "breaking", "--against", "baseline.binpb"]
    run = subprocess.run(command, cwd=tmp_path / "proto", capture_output=True, text=True, check=False, timeout=60)
    assert "grant_id" in run.stdout + run.stderr
