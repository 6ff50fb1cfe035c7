"""Risk of a million rows: the full profile, a k check, special uniques, the models; and how near estimates come.

CPU seconds of this process and its threads. Each part is checked for a right answer first, on dictionaries.
"""

from __future__ import annotations

import gc
import json
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
from results_file import figure
from results_file import measure as timed

from hdex.deid.closeness import BetaLikeness, Closeness, DeltaDisclosure
from hdex.deid.diversity import Diversity, EntropyDiversity, Model, RecursiveDiversity, encode_sensitive, unprotected
from hdex.deid.numbering import number_rows
from hdex.deid.risk import full_profile
from hdex.deid.risk_counts import smallest_class
from hdex.deid.risk_population import population_uniques
from hdex.deid.suda import suda
from hdex.deid.utility import describe
from hdex.deid.verify import verify_release

SEED, REPEATS, ROWS, SMALL, POPULATION = 7, 3, 1_000_000, 20_000, 10_000_000
SIZES = {"age": 80, "country": 41, "education": 16, "job": 14, "work": 8, "marital": 7, "race": 5, "sex": 2}
QUASI = list(SIZES)
FRACTIONS = (0.02, 0.05, 0.1, 0.3)


def measure() -> dict[str, object]:
    """Figures of this file, ready for JSON."""
    frame = table(ROWS)
    check(frame.head(SMALL))
    released = frame.with_columns(pl.col("age") // 20, pl.col("country") // 20, pl.col("job") // 7)
    return {
        "seed": SEED,
        "rows": ROWS,
        "columns": len(QUASI),
        "profile": seconds(lambda: full_profile(frame, QUASI)),
        "profile_sensitive_population": seconds(
            lambda: full_profile(frame, QUASI, sensitive=["ill"], population=POPULATION)
        ),
        "profile_patients": seconds(
            lambda: full_profile(frame, QUASI, patient="patient", sensitive=["ill"], population=POPULATION)
        ),
        "k_check": seconds(lambda: smallest_class(frame, QUASI)),
        "suda_size_3": seconds(lambda: suda(frame, QUASI, max_size=3), repeats=1),
        "models": {name: seconds(work) for name, work in models(frame).items()},
        "verify_k_l_t_100k": seconds(
            lambda: verify_release(released.head(100_000), QUASI[:4], 2, sensitive=["ill"], distance=1.0), repeats=1
        ),
        "describe_30k": seconds(
            lambda: describe(frame.head(30_000), released.head(30_000), quasi=QUASI, target="ill"), repeats=1
        ),
        "population_uniques": [estimated(fraction) for fraction in FRACTIONS],
    }


def table(rows: int) -> pl.DataFrame:
    """Columns of a few common and many rare codes, text and numbers, a sensitive value and 1.4 rows a patient."""
    generator = np.random.default_rng(SEED)
    columns: dict[str, object] = {}
    for name, size in SIZES.items():
        weights = 1 / np.arange(1, size + 1)
        columns[name] = generator.choice(size, size=rows, p=weights / weights.sum())
    frame = pl.DataFrame(columns | {"ill": generator.zipf(1.5, rows).clip(max=60)})
    text = [pl.col(name).cast(pl.String) for name in ("education", "work", "marital", "race", "sex", "ill")]
    return frame.with_columns(*text, patient=pl.Series(generator.integers(0, int(rows / 1.4), rows)))


def check(frame: pl.DataFrame) -> None:
    """The profile says what dictionaries say."""
    found: dict[str, Any] = json.loads(json.dumps(full_profile(frame, QUASI, patient="patient")))
    people: dict[tuple[object, ...], set[object]] = {}
    for *key, patient in frame.select(*QUASI, "patient").rows():
        people.setdefault(tuple(key), set()).add(patient)
    sizes = Counter(map(len, people.values()))
    assert found["class_sizes"] == {str(size): sizes[size] for size in sorted(sizes)}
    risk: dict[object, float] = {}
    for inside in people.values():
        for patient in inside:
            risk[patient] = max(risk.get(patient, 0.0), 1 / len(inside))
    assert abs(found["prosecutor"]["average"] - sum(risk.values()) / len(risk)) < 1e-12


def models(frame: pl.DataFrame) -> dict[str, Callable[[], object]]:
    """One evaluation of each model over the classes of a million rows, as a search makes it."""
    groups, count = number_rows(frame, ["age", "sex", "race"])
    sensitive = encode_sensitive(frame["ill"])
    ordered = encode_sensitive(frame["ill"].cast(pl.Int64))
    weights = np.ones(frame.height, dtype=np.int64)
    asked: dict[str, Model] = {
        "distinct_l": Diversity("ill", 3),
        "entropy_l": EntropyDiversity("ill", 3),
        "recursive_l": RecursiveDiversity("ill", 3, 2),
        "t_equal": Closeness("ill", 0.2),
        "delta_disclosure": DeltaDisclosure("ill", 2.0),
        "beta": BetaLikeness("ill", 2.0),
    }
    found: dict[str, Callable[[], object]] = {
        name: lambda model=model: unprotected(model, groups, sensitive, weights, count)  # type: ignore[misc]
        for name, model in asked.items()
    }
    return found | {"t_ordered": lambda: unprotected(Closeness("ill", 0.2), groups, ordered, weights, count)}


def estimated(fraction: float) -> dict[str, object]:
    """Estimate from a sample beside the truth counted in its population."""
    frame = table(200_000)
    counted = sizes_of(frame)
    sample = frame.sample(fraction=fraction, seed=SEED)
    found = population_uniques(sizes_of(sample), frame.height)
    return {
        "fraction": fraction,
        "estimator": found.estimator,
        "estimate": round(found.count),
        "truth": counted.get(1, 0),
        "ratio": round(found.count / counted[1], 3),
    }


def sizes_of(frame: pl.DataFrame) -> dict[int, int]:
    """Class size -> number of classes."""
    groups, count = number_rows(frame, QUASI)
    sizes = np.bincount(np.bincount(groups, minlength=count))
    return {size: int(number) for size, number in enumerate(sizes) if number}


def seconds(work: Callable[[], object], *, repeats: int = REPEATS) -> dict[str, object]:
    """CPU seconds of each repeat."""
    gc.collect()
    return figure(timed(work, repeats=repeats, warm_up=1 if repeats > 1 else 0, clock=time.process_time), "CPU s")


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
