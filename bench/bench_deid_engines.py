"""The exact and the local engine beside anjana, the k check and the t check beside pycanon: same files, same run.

Adult with its hierarchies where ../shared/data/adult is there, else a generated table of the same shape; a million rows
are drawn from it by seed, every tenth cell anew. The peers live in an environment of their own:
  make .venv-peers/.done
(make bench-deid does), or HDEX_PEERS_PYTHON names their Python; without it their figures are absent.
CPU seconds by time.process_time.
"""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from results_file import ROOT, figure
from results_file import measure as timed

from hdex.deid import hierarchy, risk
from hdex.deid.hierarchy import Hierarchy
from hdex.deid.lattice import anonymize
from hdex.deid.local import anonymize_local
from hdex.deid.risk_counts import farthest_class, smallest_class
from hdex.deid.verify import verify_release

SEED, REPEATS, QUICK_REPEATS, LARGE, K, SUPPRESSION, FRESH = 7, 3, 25, 1_000_000, 5, 0.05, 0.1
ADULT = ROOT.parent / "shared/data/adult"
SENSITIVE = "salary-class"
SIZES = {"age": 72, "country": 41, "education": 16, "job": 14, "work": 7, "marital": 7, "race": 5, "sex": 2}
ROWS = 30_162
FIXTURES = {(5, 0.0): 0.6608, (5, 0.02): 0.3314, (5, 0.05): 0.2618, (5, 1.0): 0.2271, (10, 0.05): 0.3315}
BARS = {"local_k5": 0.050, "local_k10": 0.073, "local_1m_cpu": 3.0, "exact_1m_cpu": 12.6 / 8, "exact_cpu": 0.8 * 0.68}
RATIO_BARS = {"pycanon": 50, "anjana": 30}
PEERS = Path(os.environ.get("HDEX_PEERS_PYTHON", ROOT / ".venv-peers/bin/python"))
PEER_TIMEOUT_S = 900


def measure(*, anjana_on_large: bool = True) -> dict[str, object]:
    """Return losses, CPU seconds and ratios; every released table is counted again before it is measured."""
    frame, ladders = table()
    quasi = list(ladders)
    large = drawn(frame)
    with tempfile.TemporaryDirectory(prefix="hdex-bench-") as name:
        folder = Path(name)
        write_hierarchies(folder, ladders)
        figures: dict[str, object] = {
            "source": "adult" if ADULT.is_dir() else "generated",
            "bars": BARS | {"ratios": RATIO_BARS},
        }
        figures |= losses(frame, ladders) | engines(frame, ladders, "") | engines(large, ladders, "_1m")
        figures |= beside_anjana(frame, folder, quasi, figures["exact_cpu"], "")
        if anjana_on_large:
            figures |= beside_anjana(large, folder, quasi, figures["exact_1m_cpu"], "_1m")
        figures |= beside_pycanon(anonymize(frame, ladders, k=K, suppression=SUPPRESSION).frame, folder, quasi, "exact")
        figures |= beside_pycanon(
            anonymize_local(frame, ladders, k=K, suppression=SUPPRESSION).frame, folder, quasi, "local"
        )
    return figures


def table() -> tuple[pl.DataFrame, dict[str, Hierarchy]]:
    """Adult as ARX uses it, or a table of the same shape."""
    if ADULT.is_dir():
        frame = pl.read_csv(ADULT / "adult.csv", separator=";", infer_schema=False)
        found = {name: hierarchy.find_csv(ADULT, name) for name in frame.columns if name != SENSITIVE}
        return frame, {name: hierarchy.from_csv(path, name) for name, path in found.items() if path}
    generator = np.random.default_rng(SEED)
    columns = {name: text_codes(generator, size) for name, size in {**SIZES, SENSITIVE: 2}.items()}
    return pl.DataFrame(columns), {name: ladder(name, size) for name, size in SIZES.items()}


def text_codes(generator: np.random.Generator, size: int) -> pl.Series:
    """A column of a few common and many rare codes."""
    weights = 1 / np.arange(1, size + 1)
    return pl.Series([f"{code:03}" for code in generator.choice(size, size=ROWS, p=weights / weights.sum())])


def ladder(name: str, size: int) -> Hierarchy:
    """A hierarchy in which every level joins four neighbours of the one before."""
    leaves = pl.Series(name, [f"{code:03}" for code in range(size)])
    steps = [4**power for power in range(1, 4) if 4**power < size]
    return hierarchy.groups(leaves, [{f"{c:03}": f"{c // step:03}/{step}" for c in range(size)} for step in steps])


def drawn(frame: pl.DataFrame) -> pl.DataFrame:
    """A million rows drawn from `frame`, each cell drawn anew with probability FRESH."""
    generator = np.random.default_rng(SEED)
    rows = generator.integers(0, frame.height, LARGE)
    fresh = {
        name: np.where(generator.random(LARGE) < FRESH, generator.integers(0, frame.height, LARGE), rows)
        for name in frame.columns
    }
    return pl.DataFrame({name: frame[name].gather(where) for name, where in fresh.items()})


def write_hierarchies(folder: Path, ladders: dict[str, Hierarchy]) -> None:
    """The ladders as files, leaf first, for the peers."""
    for name, one in ladders.items():
        levels = pl.DataFrame({str(number): level for number, level in enumerate(one.levels)})
        levels.write_csv(folder / f"{name}.csv", separator=";", include_header=False)


def losses(frame: pl.DataFrame, ladders: dict[str, Hierarchy]) -> dict[str, object]:
    """Loss of both engines; on Adult the exact ones equal ARX's optimum."""
    exact = {}
    for (k, suppression), fixture in FIXTURES.items():
        found = anonymize(frame, ladders, k=k, suppression=suppression)
        assert not ADULT.is_dir() or round(found.loss, 4) == fixture
        exact[f"k{k}_suppression_{suppression:g}"] = round(found.loss, 4)
    local = {}
    for k in (5, 10):
        result = anonymize_local(frame, ladders, k=k, suppression=SUPPRESSION)
        assert verify_release(result.frame, list(ladders), k).ok
        local[f"k{k}"] = round(result.loss, 5)
    return {"exact_loss": exact, "local_loss": local}


def engines(frame: pl.DataFrame, ladders: dict[str, Hierarchy], suffix: str) -> dict[str, object]:
    """CPU seconds of both engines over a frame in memory, released frame included."""
    told: dict[str, object] = {}
    works: dict[str, Callable[[], Any]] = {
        "exact": lambda: anonymize(frame, ladders, k=K, suppression=SUPPRESSION),
        "local": lambda: anonymize_local(frame, ladders, k=K, suppression=SUPPRESSION),
    }
    for name, work in works.items():
        released = work()
        assert released.frame.group_by(list(ladders)).len()["len"].min() >= K
        told[f"{name}{suffix}_cpu"] = cpu(work)
        told[f"{name}{suffix}_result"] = {"loss": round(released.loss, 5), "suppressed": released.suppressed}
    return told


def cpu(work: Callable[[], object], *, repeats: int = REPEATS) -> dict[str, object]:
    """Median and spread; what takes milliseconds is repeated more often, after one unmeasured run."""
    return figure(timed(work, repeats=repeats, warm_up=int(repeats > REPEATS), clock=time.process_time), "CPU s")


def beside_anjana(frame: pl.DataFrame, folder: Path, quasi: list[str], ours: object, suffix: str) -> dict[str, object]:
    """anjana's k-anonymity on the same rows and hierarchies."""
    source = folder / f"source{suffix}.csv"
    frame.write_csv(source, separator=";")
    found = peer({"work": "anjana", "source": str(source), "hierarchies": str(folder), "quasi": quasi})
    return {f"anjana{suffix}": found | ratio(found, ours)}


def beside_pycanon(released: pl.DataFrame, folder: Path, quasi: list[str], name: str) -> dict[str, object]:
    """k alone and t alone of one released table by both; the values must be equal to 1e-12.

    Twice: from text, as a delimited file holds it, and from dictionary codes, as Parquet does. Over codes the ratio is
    to the faster of pycanon's runs: over categories and over text.
    """
    source = folder / f"released_{name}.csv"
    released.write_csv(source, separator=";")
    coded = released.with_columns(
        pl.col(each).cast(pl.Enum(released[each].unique().sort())) for each in released.columns
    )
    works: dict[str, Callable[[pl.DataFrame], float]] = {
        "k": lambda frame: smallest_class(frame, quasi),
        "t": lambda frame: farthest_class(frame, quasi, SENSITIVE),
    }
    told: dict[str, object] = {}
    for work, ours in works.items():
        fastest: dict[str, Any] = {}
        for frame, suffix in ((released, ""), (coded, "_coded")):
            asked = {"work": work, "coded": bool(suffix), "repeats": REPEATS}
            found = peer({**asked, "source": str(source), "quasi": quasi, "sensitive": SENSITIVE})
            fastest = min(fastest or found, found, key=lambda each: each.get("cpu_seconds", 0.0))
            value = ours(frame)
            assert "value" not in found or abs(found["value"] - value) <= 1e-12, (work, found, value)
            assert abs(value - profiled(released, quasi, work)) <= 1e-12
            seconds = cpu(partial(ours, frame), repeats=QUICK_REPEATS)
            told[f"pycanon_{work}{suffix}_{name}"] = (
                fastest | {"ours": value, "our_cpu": seconds} | ratio(fastest, seconds)
            )
    return told


def profiled(released: pl.DataFrame, quasi: list[str], work: str) -> float:
    """The same figure from the whole profile, which counts exactly."""
    profile = risk.measure(released, quasi, sensitive=SENSITIVE)
    return profile.k if work == "k" else profile.t or 0.0


def ratio(found: dict[str, Any], ours: object) -> dict[str, object]:
    """How many times our CPU seconds the peer took."""
    if "cpu_seconds" not in found or not isinstance(ours, dict):
        return {}
    return {"ratio": float(f"{found['cpu_seconds'] / ours['median']:.3g}")}


def peer(asked: dict[str, object]) -> dict[str, Any]:
    """What the peers' Python answers, or why it does not."""
    if not PEERS.is_file():
        return {"absent": "no environment of the peers; see bench/requirements.in"}
    script = Path(__file__).with_name("peers_deid_engines.py")
    command = [str(PEERS), str(script), json.dumps({"k": K, "suppression": SUPPRESSION} | asked)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PEER_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return {"absent": f"not done after {PEER_TIMEOUT_S} s"}
    if done.returncode:
        return {"absent": done.stderr.strip().splitlines()[-1][:200]}
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
