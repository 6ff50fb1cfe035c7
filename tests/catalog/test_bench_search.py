"""The benchmark of the search runs, its adapters agree, and what it draws can be read."""

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as xml

import pytest
from tests.ports.postgres_server import binaries

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(600)
def test_the_search_is_measured_on_both_adapters(tmp_path: Path) -> None:
    chosen = {**os.environ, "BENCH_QUICK": "1", "BENCH_OUT": str(tmp_path)}
    command = [sys.executable, str(ROOT / "bench" / "bench_search.py")]
    done = subprocess.run(command, env=chosen, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = json.loads((tmp_path / "search.json").read_text(encoding="utf-8"))["rows"]
    measured = {(row["adapter"], row["products"]) for row in rows}
    adapters = ["sqlite", "postgres"] if binaries() else ["sqlite"]
    assert measured == {(adapter, size) for adapter in adapters for size in (50, 100)}
    assert all(0 < row["p50_ms"] <= row["p99_ms"] <= row["max_ms"] for row in rows)
    drawn = xml.fromstring((tmp_path / "search.svg").read_text(encoding="utf-8"))  # our own
    assert len(drawn.findall("{http://www.w3.org/2000/svg}polyline")) == 2 * len(adapters)
