"""The whole story, several times: `hdex demo --json` -> bench/results/demo.json and README's blocks.

BENCH_RUNS sets how often (3). A run whose claims do not hold ends the benchmark: nothing is written.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import readme_blocks
import results_file

RUNS = int(os.environ.get("BENCH_RUNS", "3"))
SEED = 7
LIMIT_S = 600
REPEATABLE = ("hospitals", "records", "columns_by_level", "k_before", "k_after", "products", "contracts", "rounds")
FIRST_ROW, AFTER_TABLE = "what left the hospitals", "report: "
SHARES = {"attack_before", "attack_after", "attack_chance"}


def main() -> None:
    runs = [run(number) for number in range(1, RUNS + 1)]
    require_equal([figures for figures, _, _ in runs])
    path = results_file.write(
        "demo",
        command=f"hdex demo --json --seed {SEED}",
        seed=SEED,
        figures=summary([figures for figures, _, _ in runs]),
        wall_seconds=results_file.figure([seconds for _, _, seconds in runs], "s"),
        refusals=runs[-1][0]["refusals"],
        closing_table=runs[-1][1],
    )
    readme_blocks.rewrite()
    print(f"{path.relative_to(results_file.ROOT)} and README.md are rewritten")


def run(number: int) -> tuple[dict[str, Any], list[str], float]:
    """Return (the object of --json, the closing table's lines, seconds with start and end of the process)."""
    command = [sys.executable, "-m", "hdex.node.cli", "demo", "--json", "--seed", str(SEED)]
    with tempfile.TemporaryDirectory(prefix="hdex-bench-") as folder:  # the report is written where it is run
        began = time.perf_counter()
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=LIMIT_S, check=False)
        seconds = time.perf_counter() - began
        report = (Path(folder) / "report.html").exists()
    if done.returncode or not report:
        sys.exit(f"run {number} ended with {done.returncode}; its last words:\n{done.stderr[-2000:]}")
    figures = json.loads(done.stdout)
    print(f"run {number} of {RUNS}: {figures['seconds']:.1f} s")
    return figures, closing_table(done.stderr), seconds


def closing_table(said: str) -> list[str]:
    """Return the lines of the closing table in what the demo said."""
    lines = [line.rstrip() for line in said.splitlines()]
    first = next(number for number, line in enumerate(lines) if line.startswith(FIRST_ROW))
    last = next(number for number, line in enumerate(lines) if number > first and line.startswith(AFTER_TABLE))
    return [line for line in lines[first:last] if line]


def require_equal(found: list[dict[str, Any]]) -> None:
    """End unless every run of the same seed told the same story."""
    for key in REPEATABLE:
        told = {json.dumps(figures[key], sort_keys=True) for figures in found}
        if len(told) > 1:
            sys.exit(f"the runs disagree on {key}: {' / '.join(sorted(told))}")


def summary(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Return every figure over the runs: numbers as median and spread, truths as one, the rest of the last run."""
    told: dict[str, Any] = {}
    for key, last in found[-1].items():
        values = [figures[key] for figures in found]
        if isinstance(last, bool):
            told[key] = all(values)
        elif isinstance(last, int | float):
            told[key] = results_file.figure(values, "share" if key in SHARES else "s" if key == "seconds" else "")
        elif key != "refusals":
            told[key] = last
    return told


if __name__ == "__main__":
    main()
