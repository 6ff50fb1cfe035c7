"""The benchmark of the pages runs against a real exchange, and its table can be read."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_the_pages_are_measured_on_a_real_exchange_beside_a_bare_one(tmp_path: Path) -> None:
    chosen = {**os.environ, "BENCH_QUICK": "1", "BENCH_OUT": str(tmp_path)}
    command = [sys.executable, str(ROOT / "bench" / "bench_pages.py")]
    done = subprocess.run(command, env=chosen, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads((tmp_path / "pages.json").read_text(encoding="utf-8"))
    visits = {(row["visit"], row["page"]) for row in found["rows"]}
    assert visits >= {("same", "status"), ("new", "product"), ("new", "results"), ("mixed", "all")}
    assert ("peer", "starlette") in visits
    assert all(0 < row["p50_ms"] <= row["p99_ms"] <= row["max_ms"] for row in found["rows"])
    assert found["bytes"]["home"] + found["bytes"]["style and mark"] < 100_000
    assert "| mixed | all |" in (tmp_path / "pages.md").read_text(encoding="utf-8")
