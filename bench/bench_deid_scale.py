"""Ten million rows x 8 quasi-identifiers from partitioned Parquet, de-identified in one bounded process.

The rows are drawn by seed, partition by partition, with a few common and many rare values, as clinical columns are. The
run is a child process: its peak memory is its own. The output is counted again from its files before a figure counts.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

SEED, PARTITION_ROWS, K = 7, 500_000, 5
ROWS = int(os.environ.get("HDEX_BENCH_ROWS", "10000000"))
COLUMN_SIZES = {"age": 80, "region": 41, "education": 16, "job": 14, "work": 8, "marital": 7, "race": 5, "sex": 2}
LIMIT_GIB = 4.0


def measure() -> dict[str, object]:
    """Generate, run in a child, count the output again; peak memory in GiB, CPU seconds of the child."""
    with tempfile.TemporaryDirectory(prefix="hdex-bench-") as name:
        source, out = Path(name) / "in", Path(name) / "out"
        generate(source, ROWS)
        (Path(name) / "key").write_bytes(bytes(range(33, 73)))
        (Path(name) / "key").chmod(0o600)
        began = time.perf_counter()
        command = [sys.executable, __file__, "child", str(source), str(out), str(Path(name) / "key")]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # progress goes to stderr
        answer = json.loads(done.stdout)
        smallest, classes, rows = counted(out)
        assert smallest >= K
        assert (classes, rows) == (answer["classes"], answer["rows"] - answer["suppressed"])
        return {
            "rows": ROWS,
            "quasi_identifiers": len(COLUMN_SIZES),
            "partitions": answer["partitions"],
            "seed": SEED,
            "k": K,
            "peak_rss_gib": answer["peak_rss_gib"],
            "peak_rss_limit_gib": LIMIT_GIB,
            "cpu_seconds": answer["process_seconds"],
            "wall_seconds": round(time.perf_counter() - began, 1),
            "rows_per_cpu_second": round(ROWS / answer["process_seconds"]),
            "load": round(os.getloadavg()[0], 1),
            **{name: answer[name] for name in ("loss", "gap", "floors", "suppressed", "classes", "transformation")},
        }


def generate(folder: Path, rows: int) -> None:
    """Partitions of PARTITION_ROWS rows: the quasi-identifiers, a patient number, a date and a measurement."""
    folder.mkdir()
    for number in range(-(-rows // PARTITION_ROWS)):
        draw = np.random.default_rng([SEED, number])
        count = min(PARTITION_ROWS, rows - number * PARTITION_ROWS)
        columns: dict[str, object] = {name: skewed(draw, size, count) for name, size in COLUMN_SIZES.items()}
        columns["age"] = draw.integers(18, 98, count)
        columns["patient"] = np.arange(count) + number * PARTITION_ROWS
        columns["seen"] = pl.Series(draw.integers(19_000, 20_000, count), dtype=pl.Int32).cast(pl.Date)
        columns["value"] = draw.normal(size=count)
        pl.DataFrame(columns).write_parquet(folder / f"{number:04}.parquet")


def skewed(draw: np.random.Generator, size: int, count: int) -> pl.Series:
    """Codes of two digits, the first ones common and the last ones rare."""
    weights = 1 / np.arange(1, size + 1)
    codes = pl.Series([f"{code:02}" for code in range(size)])
    return codes.gather(draw.choice(size, size=count, p=weights / weights.sum()))


def counted(out: Path) -> tuple[int, int, int]:
    """Smallest class, classes and rows of the files together."""
    sizes = pl.scan_parquet(sorted(out.iterdir())).group_by(list(COLUMN_SIZES)).len()
    told = sizes.select(pl.col("len").min(), pl.len().alias("classes"), pl.col("len").sum().alias("rows"))
    smallest, classes, rows = told.collect(engine="streaming").row(0)
    return int(smallest), int(classes), int(rows)


def child(source: Path, out: Path, key: Path) -> None:
    """Run in this process and print the answer with its peak memory."""
    from hdex.deid.partition import read_master
    from hdex.deid.partitions import run
    from hdex.deid.recipe import Request

    request = Request(tuple(COLUMN_SIZES), k=K, patient="patient", shift=("seen",))

    def told(step: str, done: int, of: int) -> None:
        print(step, done, of, round(time.process_time(), 1), file=sys.stderr, flush=True)

    answer = run(source, request, out=out, master=read_master(key), progress=told)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)  # kibibytes on Linux
    print(json.dumps({**answer, "peak_rss_gib": round(peak, 3), "process_seconds": round(time.process_time(), 1)}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        child(*(Path(argument) for argument in sys.argv[2:5]))
    else:
        print(json.dumps(measure(), indent=1))
