"""How much bench_ledger.py measures. BENCH_QUICK=1 shows that every bar is measured, and proves no number."""

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """Counts of everything."""

    sizes: tuple[int, ...] = (10_000, 100_000, 1_000_000)
    peer_up_to: int = 1_000_000  # pymerkle is not asked for more: it would take the day
    runs: int = 3
    per_anchor: int = 2_000
    anchors: int = 5
    single: int = 150  # transactions of one event each
    appends: int = 400  # for a 99th percentile
    turns: int = 8
    in_a_turn: int = 40
    each: int = 40  # appends of each of 64 callers
    proofs: int = 200
    cold: int = 9
    kills: int = 50
    alert_rate: int = 1_000  # events a second while alerts are waited for
    alert_seconds: float = 10.0


def scale() -> Scale:
    """Return what the environment asks for."""
    if os.environ.get("BENCH_QUICK") == "1":
        return Scale(
            sizes=(300, 900), runs=1, per_anchor=200, anchors=2, single=5, appends=100, turns=1, in_a_turn=8, each=4,
            proofs=5, cold=2, kills=2, alert_rate=1_000, alert_seconds=1.5,
        )  # fmt: skip
    asked, sizes = int(os.environ.get("HDEX_BENCH_EVENTS", "0")), Scale().sizes
    return Scale(sizes=(*sizes, asked) if asked > sizes[-1] else sizes)


SCALE = scale()
