"""The benchmarks of contracts and delivery run, check what they measure, and their bars come into one table."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import pytest

pytestmark = pytest.mark.timeout(1800)  # seconds of work, on a machine that may have none to give
ROOT = Path(__file__).resolve().parents[2]


def run(name: str, folder: Path) -> None:
    chosen = {**os.environ, "BENCH_QUICK": "1", "BENCH_OUT": str(folder), "HDEX_PEERS_PYTHON": str(folder / "none")}
    command = [sys.executable, str(ROOT / "bench" / f"{name}.py")]
    done = subprocess.run(command, env=chosen, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def found(name: str, folder: Path) -> dict[str, Any]:
    run(f"bench_{name}", folder)
    drawn = Xml.fromstring((folder / f"{name}.svg").read_text(encoding="utf-8"))  # our own
    assert drawn.findall("{http://www.w3.org/2000/svg}rect")
    document: dict[str, Any] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return document


def test_negotiations_are_measured_beside_what_they_consist_of(tmp_path: Path) -> None:
    document = found("negotiations", tmp_path)
    assert [row["form"] for row in document["rows"]] == ["one process, one caller", "one process, 8 callers"]
    raw = document["raw"]
    assert raw["times_the_raw_cost"] > 0
    # request, agreement and the consumer's name below it; each side checks both names
    assert raw["counts"]["signatures"] >= 3
    assert raw["counts"]["verifications"] >= 6
    assert raw["counts"]["durable_transactions"] >= 6  # three events at the hospital, three records


def test_every_bar_stands_in_one_table_with_what_was_measured(tmp_path: Path) -> None:
    delivery, split = found("delivery", tmp_path), found("shapley", tmp_path)
    assert "absent" in delivery["figures"]["age"]
    assert all(row["off"] < 1e-9 for row in split["rows"])
    run("catalog_bars", tmp_path)
    lines = (tmp_path / "catalog.md").read_text(encoding="utf-8").splitlines()
    measured = [line for line in lines if line.startswith(("| delivery: ", "| Shapley split: "))]
    assert len(measured) == len(delivery["bars"]) + len(split["bars"])
    missed = [bar["bar"] for bar in delivery["bars"] if not bar["met"]]
    assert [line for line in measured for name in missed if f" {name} " in line and "**no**" not in line] == []
    assert "| pages |  | – | not measured |" in lines
