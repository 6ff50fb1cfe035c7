"""The ledger's bars in one run on one machine: beside one transaction per event, pymerkle, the raw disk, itself.

    bench/bench_ledger.py             10^4, 10^5 and 10^6 events: the bars are those of the largest
    HDEX_BENCH_EVENTS=10000000 ...    also so many, of our log alone
    BENCH_QUICK=1 BENCH_OUT=folder    every step in a minute, results into that folder: no number of it counts

Writes bench/results/ledger.json, ledger.md and ledger.svg (cost against size, with its slope). Answers are checked
before they are timed.
"""

import math
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ledger_alerts
import ledger_chain
import ledger_kept
import ledger_tree
import results_file
from ledger_scale import SCALE
from ledger_tree import Found

COLOURS = ("#0b6e4f", "#c8553d", "#28536b", "#8a6fb0", "#b08900")
WHY = {  # a bar is missed
    "one caller's durable append over raw fdatasync": "This disk answers fdatasync in {sync:.0f} us. Signing the head "
    "and one transaction of SQLite are CPU that no slower disk hides here: {one:.0f} us an append.",
    "64 callers with group commit over 16 without": "Grouping saves waits for the disk, and this one answers in "
    "{sync:.0f} us: a caller alone waits {single:.0f} us, of 64 each costs {many:.0f} us of switching threads.",
    "full event path CPU over pymerkle's bulk append": "The peer stores bytes that lie ready. Ours also checks the "
    "event, writes its canonical JSON and fills the search index; hashing and storing alone are the next bar.",
}
WIDTH, HEIGHT, LEFT, TOP, PLOT = 720, 420, 70, 30, 300


def main() -> None:
    sizes = SCALE.sizes
    bars: dict[str, Any] = {}
    costs: dict[int, dict[str, float]] = {}
    for part in (ledger_kept.edge_cases, ledger_chain.beside_one_by_one, ledger_chain.chain_away):
        keep(bars, told(part.__name__, part))
    with tempfile.TemporaryDirectory(prefix="hdex-bench-") as name:
        keep(bars, told("kills", lambda: ledger_kept.killed(Path(name))))
        keep(bars, told("alerts", lambda: ledger_alerts.delays(Path(name))))
        keep(bars, told("disk", lambda: ledger_tree.disk(Path(name))))
        for size in sizes:
            began = time.perf_counter()
            found, costs[size] = ledger_tree.at_size(Path(name), size)
            keep(bars, found)
            if size <= SCALE.peer_up_to:
                keep(bars, ledger_tree.audit(Path(name) / f"log{size}.db", size))
            for file in Path(name).glob(f"*{size}.db*"):
                file.unlink()
            print(f"{size} events: {time.perf_counter() - began:.1f} s")
    inputs = {"sizes": sizes, "events_per_anchor": ledger_chain.PER_ANCHOR, "runs": ledger_tree.RUNS}
    slopes = {name: slope(of_each(costs, name)) for name in costs[sizes[0]]}
    rows = list(bars.values())
    path = results_file.write(
        "ledger", command="bench/bench_ledger.py", inputs=inputs, rows=rows, costs=costs, slopes=slopes
    )
    path.with_suffix(".md").write_text(table(rows), encoding="utf-8")
    path.with_suffix(".svg").write_text(drawn(costs, slopes), encoding="utf-8")
    print(table(rows))
    print(f"{path}, .md and .svg are rewritten")


def of_each(costs: dict[int, dict[str, float]], name: str) -> dict[int, float]:
    """Return one cost by size, of the sizes at which it was measured."""
    return {size: cost[name] for size, cost in costs.items() if name in cost}


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


def table(rows: list[dict[str, Any]]) -> str:
    lines = ["| bar | pass | measured | low .. high | met |", "| --- | --- | --- | --- | --- |"]
    for row in rows:
        found = row["spread"]
        spread, met = f"{found['low']} .. {found['high']}", "yes" if row["met"] else "no"
        lines.append(f"| {row['bar']} | {row['pass']} | {row['measured']} {found['unit']} | {spread} | {met} |")
    missed = [
        f"{row['bar']}: {WHY[row['bar']].format(**micros(row))}" for row in rows if not row["met"] and row["bar"] in WHY
    ]
    return "\n".join([*lines, "", *(f"- {line}" for line in missed)]).rstrip() + "\n"


def micros(row: dict[str, Any]) -> dict[str, float]:
    """Return microseconds of what a bar has seen per second."""
    names = {"sync": "fdatasync/s", "one": "one caller/s", "many": "64 grouped/s", "single": "16 ungrouped/s"}
    return {key: 1e6 / statistics.median(row["seen"][name]) for key, name in names.items() if name in row["seen"]}


def drawn(costs: dict[int, dict[str, float]], slopes: dict[str, float]) -> str:
    """Return cost against size, both axes logarithmic, as one SVG; each line is named with its slope."""
    sizes, names = sorted(costs), list(costs[min(costs)])
    values = [value for cost in costs.values() for value in cost.values()]
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
        line = " ".join(f"{x(size):.1f},{y(value):.1f}" for size, value in sorted(of_each(costs, name).items()))
        colour, where = (
            COLOURS[number % len(COLOURS)],
            (LEFT + 220 * (number % 3), TOP + PLOT + 45 + 20 * (number // 3)),
        )
        marks.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        marks.append(f'<text x="{where[0]}" y="{where[1]}" fill="{colour}">{name}: slope {slopes[name]}</text>')
    font = 'font-family="sans-serif" font-size="12"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" {font}>'
    title = f'<text x="{LEFT}" y="18" font-size="14">Cost against the number of events in the log</text>'
    return head + title + "".join(marks) + "</svg>\n"


if __name__ == "__main__":
    main()
