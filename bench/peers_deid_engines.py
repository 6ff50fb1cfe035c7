"""Run by the peers' own Python (bench/requirements.lock), never by ours: anjana and pycanon on the files we hand over.

argv: a JSON object {work: anjana|k|t, source, hierarchies, quasi, k, suppression, sensitive, coded, repeats}. Prints
one JSON object {cpu_seconds, ...}: the median of the repeats; reading the file is not measured. coded: columns as
pandas' categories, where pandas can group by them (it lays out every combination of theirs).
"""

import json
import math
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd

MOST_COMBINATIONS = 1_000_000


def main(asked: dict[str, Any]) -> dict[str, Any]:
    quasi = asked["quasi"]
    frame = pd.read_csv(asked["source"], sep=";", dtype=str)
    if asked["work"] == "anjana":
        return generalise(frame, asked)
    from pycanon import anonymity

    if asked.get("coded") and math.prod(frame[name].nunique() for name in quasi) <= MOST_COMBINATIONS:
        frame = frame.astype("category")
    seconds = []
    for _ in range(asked["repeats"]):
        began = time.process_time()
        if asked["work"] == "k":
            value = anonymity.k_anonymity(frame, quasi)
        else:
            value = anonymity.t_closeness(frame, quasi, [asked["sensitive"]])
        seconds.append(time.process_time() - began)
    return {"cpu_seconds": statistics.median(seconds), "value": float(value)}


def generalise(frame: Any, asked: dict[str, Any]) -> dict[str, Any]:
    """k-anonymity by anjana's own search; suppression in percent, as it asks."""
    from anjana.anonymity import k_anonymity

    folder = Path(asked["hierarchies"])
    ladders = {
        name: dict(pd.read_csv(folder / f"{name}.csv", sep=";", header=None, dtype=str)) for name in asked["quasi"]
    }
    began = time.process_time()
    made = k_anonymity(frame, [], asked["quasi"], asked["k"], 100 * asked["suppression"], ladders)
    return {"cpu_seconds": time.process_time() - began, "rows": len(made)}


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
