"""A file of bench/results: what was measured, how often, on which machine, with which versions.

Only a benchmark writes one; README quotes them and a test holds the two together.
"""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import mkdtemp

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results"
PACKAGES = ("cryptography", "flwr", "gmpy2", "grpcio", "numpy", "phe", "polars", "presidio-analyzer", "py-evm", "web3")


def write(name: str, **document: object) -> Path:
    """Write <name>.json with the circumstances of the measurement and return its path.

    It goes to bench/results, or where BENCH_OUT says: a trial must not replace a measurement. A quick one that says
    nothing goes to a throw-away folder.
    """
    folder = Path(os.environ.get("BENCH_OUT") or (mkdtemp(prefix="hdex-bench-") if is_quick() else RESULTS))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    text = json.dumps({**circumstances(), **document}, indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
    return path


def read(name: str) -> dict[str, object] | None:
    """Return the document of bench/results/<name>.json, None when it was never measured."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def is_quick() -> bool:
    """Return whether this run only tries every step."""
    return os.environ.get("BENCH_QUICK", "") not in {"", "0"}


def circumstances() -> dict[str, object]:
    """Return what a number is worth nothing without."""
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "machine": {"processor": processor(), "cpus": os.cpu_count(), "system": platform.system()},
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def processor() -> str:
    """Return the processor's name, as far as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def figure(values: Sequence[float], unit: str) -> dict[str, object]:
    """Return repeated measurements as median and spread; never the best run alone."""
    return {
        "median": short(statistics.median(values)),
        "low": short(min(values)),
        "high": short(max(values)),
        "runs": len(values),
        "unit": unit,
    }


def short(value: float) -> float:
    """Return a count as it is and a measurement with four digits that count."""
    return value if isinstance(value, int) else float(f"{value:.4g}")


def measure(
    work: Callable[[], object], *, repeats: int, warm_up: int = 1, clock: Callable[[], float] = time.perf_counter
) -> list[float]:
    """Return the seconds of each repeat, after `warm_up` unmeasured ones."""
    for _ in range(warm_up):
        work()
    seconds = []
    for _ in range(repeats):
        began = clock()
        work()
        seconds.append(clock() - began)
    return seconds
