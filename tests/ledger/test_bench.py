"""The ledger's benchmarks measure every bar that is promised; what no machine changes is held here too."""

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
EXACT = {  # bars that the speed of a machine cannot move
    "edge cases that a verifier takes",
    "anchors lost by an outage",
    "kill -9 while writing: acknowledged events lost",
    "gas per event at 2,000 per anchor, less than one transaction",
    "evidence text with 4 cosignatures",
    "hashes of a proof",
}
MEASURED = {
    "grouped and anchored events/s over one transaction per event",
    "one caller's durable append over raw fdatasync",
    "64 callers with group commit over 16 without",
    "full event path CPU over pymerkle's bulk append",
    "hash path CPU over pymerkle's bulk append",
    "inclusion proof from disk, cold, over pymerkle",
    "check of an inclusion proof over pymerkle",
    "storage beyond the body",
    "full check of a log over the pure SHA-256 tree",
    "the same with every event parsed",
    "append p99 with the chain down over the chain up",
    "alert after its event, at 1,000 events/s, the slowest",
}


def run(name: str, folder: Path) -> dict[str, Any]:
    """Run a benchmark in its quick form and return its document; nothing in the repository is rewritten."""
    chosen = {**os.environ, "BENCH_QUICK": "1", "BENCH_OUT": str(folder)}
    command = [sys.executable, str(ROOT / "bench" / f"bench_{name}.py")]
    done = subprocess.run(command, env=chosen, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return found


def test_every_bar_is_a_row_and_those_that_no_machine_moves_are_met(tmp_path: Path) -> None:
    found = run("ledger", tmp_path)
    rows = {row["bar"]: row for row in found["rows"]}
    assert set(rows) == EXACT | MEASURED
    assert all({"bar", "pass", "measured", "met"} <= set(row) for row in rows.values())
    assert [name for name in EXACT if not rows[name]["met"]] == []
    assert rows["kill -9 while writing: acknowledged events lost"]["seen"]["acknowledged"] > 0
    lines = (tmp_path / "ledger.md").read_text().splitlines()
    assert len([line for line in lines if line.startswith("|")]) == len(rows) + 2
    words = "".join(Xml.fromstring((tmp_path / "ledger.svg").read_text()).itertext())  # written above
    assert [name for name, slope in found["slopes"].items() if f"{name}: slope {slope}" not in words] == []


def test_the_gas_table_is_what_the_contract_takes_today(tmp_path: Path) -> None:
    found = run("gas", tmp_path)
    assert found["figures"]["bar_met"]
    kept = ROOT / "bench" / "results" / "gas.md"
    assert kept.read_text(encoding="utf-8") == (tmp_path / "gas.md").read_text(encoding="utf-8")
