"""Exact Shapley values to 12 sites: milliseconds, and how far their sum is from the whole's worth.

One value per site over all 2^n coalitions, in exact fractions; beside it, in the same run, the mean over all orders of
the same game where there are few enough (8 sites: 40,320 orders), which must agree. Writes shapley.json and
shapley.svg. BENCH_QUICK=1 tries every step on few sites and writes nothing but where BENCH_OUT says.
"""

import os
import random
import sys
import time
from itertools import permutations
from typing import Any

import bar_drawing
import results_file
from results_file import figure, measure

from hdex.federated.shapley import MOST_SITES, Scores, coalitions, shapley

QUICK = os.environ.get("BENCH_QUICK") == "1"
SEED, REPEATS = 7, 1 if QUICK else 5
SITES = (2, 3) if QUICK else (4, 6, 8, 10, MOST_SITES)
ORDERS_UP_TO = 3 if QUICK else 8
OFF = 1e-9


def main() -> int:
    """Measure and write; return 1 where the bar is missed."""
    rows = [row(count) for count in SITES]
    last = rows[-1]
    bars = [
        {
            "bar": f"exact at {last['sites']} sites, off by",
            "pass": f"sum to {OFF:g}",
            "measured": last["off"],
            "met": last["sites"] == MOST_SITES and last["off"] <= OFF,
        }
    ]
    path = results_file.write("shapley", inputs={"seed": SEED, "repeats": REPEATS}, rows=rows, bars=bars)
    shown = [(f"{one['sites']} sites, {2 ** one['sites']:,} coalitions", one["values"]["median"]) for one in rows]
    path.with_suffix(".svg").write_text(bar_drawing.drawn("Exact Shapley values", shown, "ms"), encoding="utf-8")
    print(path.read_text(encoding="utf-8"))
    return int(not QUICK and not all(bar["met"] for bar in bars))


def row(count: int) -> dict[str, Any]:
    scores = game(count)
    found = shapley(scores)
    whole = scores.worth[frozenset(scores.names)] - scores.worth[frozenset()]
    told: dict[str, Any] = {"sites": count, "off": abs(sum(found.values()) - whole)}
    if count <= ORDERS_UP_TO:
        began = time.perf_counter()
        other = by_orders(scores)
        told["by_all_orders_ms"] = results_file.short(1e3 * (time.perf_counter() - began))
        assert all(abs(found[name] - other[name]) < OFF for name in found)
    seconds = measure(lambda: shapley(scores), repeats=REPEATS, clock=time.process_time)
    return told | {"values": figure([1e3 * one for one in seconds], "CPU ms")}


def game(count: int) -> Scores:
    """Return coalitions whose worth grows with their members, by less the more there are, and a little by chance."""
    chance = random.Random(SEED)
    names = [f"site-{number:02}" for number in range(count)]
    rows = {name: chance.randint(100, 5000) for name in names}
    worth = {
        one: 1 - 1 / (1 + sum(rows[name] for name in one) / 5000) + chance.gauss(0, 1e-3) for one in coalitions(names)
    }
    return Scores("ab" * 32, tuple((name,) for name in names), worth)


def by_orders(scores: Scores) -> dict[str, float]:
    """Return the mean of what each site adds, over all orders in which they may come."""
    gains, count = dict.fromkeys(scores.names, 0.0), 0
    for order in permutations(scores.names):
        before, joined = scores.worth[frozenset()], frozenset[str]()
        for name in order:
            joined |= {name}
            gains[name] += scores.worth[joined] - before
            before = scores.worth[joined]
        count += 1
    return {name: gain / count for name, gain in gains.items()}


if __name__ == "__main__":
    sys.exit(main())
