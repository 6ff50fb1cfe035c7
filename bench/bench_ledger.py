"""The ledger's bars in one run on one machine: beside one transaction per event, pymerkle, the raw disk, itself.

    bench/bench_ledger.py            10,000 and 100,000 events
    HDEX_BENCH_EVENTS=1000000 ...    also this many: the bars at 10^6 are those of that run

Writes bench/results/ledger.json, ledger.md and ledger.svg (cost against size). Answers are checked before they are
timed.
"""

import math
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ledger_chain
import ledger_tree
import results_file
from ledger_tree import Found

SIZES = [10_000, 100_000]
COLOURS = ("#0b6e4f", "#c8553d", "#28536b", "#8a6fb0", "#b08900")
WIDTH, HEIGHT, LEFT, TOP, PLOT = 720, 420, 70, 30, 300


def main() -> None:
    asked = int(os.environ.get("HDEX_BENCH_EVENTS", "0"))
    sizes = [*SIZES, asked] if asked > SIZES[-1] else SIZES
    bars: dict[str, Any] = {}
    costs: dict[int, dict[str, float]] = {}
    for part in (ledger_chain.beside_one_by_one, ledger_chain.chain_away):
        keep(bars, told(part.__name__, part))
    with tempfile.TemporaryDirectory(prefix="hdex-bench-") as name:
        keep(bars, told("disk", lambda: ledger_tree.disk(Path(name))))
        for size in sizes:
            began = time.perf_counter()
            found, costs[size] = ledger_tree.at_size(Path(name), size)
            keep(bars, [*found, *ledger_tree.audit(Path(name) / f"log{size}.db", size)])
            print(f"{size} events: {time.perf_counter() - began:.1f} s")
    inputs = {"sizes": sizes, "events_per_anchor": ledger_chain.PER_ANCHOR, "runs": ledger_tree.RUNS}
    slopes = {name: slope({size: cost[name] for size, cost in costs.items()}) for name in costs[sizes[0]]}
    path = results_file.write(
        "ledger", command="bench/bench_ledger.py", inputs=inputs, bars=bars, costs=costs, slopes=slopes
    )
    path.with_suffix(".md").write_text(table(bars), encoding="utf-8")
    path.with_suffix(".svg").write_text(drawn(costs), encoding="utf-8")
    print(table(bars))
    print(f"{path.relative_to(results_file.ROOT)}, .md and .svg are rewritten")


def told(name: str, part: Callable[[], list[Found]]) -> list[Found]:
    began = time.perf_counter()
    found = part()
    print(f"{name}: {time.perf_counter() - began:.1f} s")
    return found


def keep(bars: dict[str, Any], found: list[Found]) -> None:
    """Keep what was found; what is measured at several sizes is that of the largest."""
    bars.update({one.name: one.document() for one in found})


def slope(costs: dict[int, float]) -> float:
    """Return the exponent of growth: 0 the cost does not change with the size, 1 it grows in proportion."""
    (small, first), (large, last) = min(costs.items()), max(costs.items())
    return round(math.log(last / first) / math.log(large / small), 3)


def table(bars: dict[str, Any]) -> str:
    lines = ["| bar | measured | low .. high | asked | met |", "| --- | --- | --- | --- | --- |"]
    for name, one in bars.items():
        found = one["measured"]
        spread, met = f"{found['low']} .. {found['high']}", "yes" if one["met"] else "no"
        lines.append(f"| {name} | {found['median']} {found['unit']} | {spread} | {one['bar']} | {met} |")
    return "\n".join(lines) + "\n"


def drawn(costs: dict[int, dict[str, float]]) -> str:
    """Return cost against size, both axes logarithmic, as one SVG."""
    sizes, names = sorted(costs), list(costs[min(costs)])
    values = [cost[name] for cost in costs.values() for name in names]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))

    def x(size: int) -> float:
        span = math.log10(sizes[-1] / sizes[0])
        return LEFT + (WIDTH - 2 * LEFT) * math.log10(size / sizes[0]) / span

    def y(value: float) -> float:
        return TOP + PLOT * (high - math.log10(value)) / (high - low)

    marks = [f'<text x="{x(size):.0f}" y="{TOP + PLOT + 18}" text-anchor="middle">{size:,}</text>' for size in sizes]
    for power in range(low, high + 1):
        marks.append(f'<text x="{LEFT - 8}" y="{y(10**power) + 4:.0f}" text-anchor="end">{10.0**power:g}</text>')
        marks.append(f'<path d="M{LEFT} {y(10**power):.0f}H{WIDTH - LEFT}" stroke="#ddd"/>')
    for number, name in enumerate(names):
        line = " ".join(f"{x(size):.1f},{y(costs[size][name]):.1f}" for size in sizes)
        colour, where = (
            COLOURS[number % len(COLOURS)],
            (LEFT + 220 * (number % 3), TOP + PLOT + 45 + 20 * (number // 3)),
        )
        marks.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        marks.append(f'<text x="{where[0]}" y="{where[1]}" fill="{colour}">{name}</text>')
    font = 'font-family="sans-serif" font-size="12"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" {font}>'
    title = f'<text x="{LEFT}" y="18" font-size="14">Cost against the number of events in the log</text>'
    return head + title + "".join(marks) + "</svg>\n"


if __name__ == "__main__":
    main()
