"""Grids and scale: 50 gRPC streams, 1,000 sites in one process, and a round beside stock Flower's.

BENCH_QUICK=1 takes fewer sites and rounds: figures of that form are printed, and written nowhere. The round beside
Flower: ours is the demo's consortium (chain, exchange, key holder, three hospitals; contract checks, approvals and
ledger on), Flower's is flower-superlink with three flower-supernode processes, TLS and node authentication, as
installed. Both are measured in one run; CPU is what a hospital's processes use between two rounds.
"""

import os
import time
from pathlib import Path
from typing import Any

import results_file
from federated_rounds import our_rounds, stock_rounds
from federated_sites import site_name, table
from federated_streams import stream_rounds
from results_file import figure

from hdex.federated.simulate import simulate

QUICK = os.environ.get("BENCH_QUICK") == "1"
STREAMS, SIMULATED, REGIONS = (8, 60, 4) if QUICK else (50, 1_000, 32)
STUDIES, STOCK_ROUNDS = (1, 1) if QUICK else (3, 5)
BAR_STREAMS_S, BAR_LATENCY, BAR_CPU = 2.0, 200.0, 100.0
TABLE = results_file.RESULTS / "federated_grids.md"
MISSED = (
    "Why a bar is missed: all processes of both sides share this machine's cores, and a round of ours does what stock "
    "Flower's does not: each hospital reads its contract's state from the chain, writes its events durably before it "
    "answers and again before it is told the sums, encrypts under 3,072 bits, and checks the proof that comes with "
    "each opened sum; each event waits for its witnesses. Flower's seconds are mostly the time between its polls."
)


def main() -> None:
    figures: dict[str, Any] = {}
    for part in (streams, beside_flower, simulated):
        began = time.perf_counter()
        figures[part.__name__] = part()
        print(f"{part.__name__}: {time.perf_counter() - began:.1f} s; {figures[part.__name__]}", flush=True)
    if QUICK:
        return
    inputs = {"streams": STREAMS, "simulated": SIMULATED, "regions": REGIONS, "studies": STUDIES}
    path = results_file.write("federated_grids", command="make bench-federated", inputs=inputs, figures=figures)
    TABLE.write_text(markdown(figures), encoding="utf-8")
    print(f"{path.relative_to(results_file.ROOT)} and {TABLE.relative_to(results_file.ROOT)} are rewritten")


def streams() -> dict[str, Any]:
    """Return the seconds of a round over real streams: logistic, p = 13, 3,072 bits, masks between all pairs."""
    seconds, cpu = stream_rounds(STREAMS, studies=STUDIES)
    bar = BAR_STREAMS_S
    return {
        "streams": STREAMS,
        "round": figure(seconds, "s"),
        "cpu_per_site_round": figure([1e3 * value for value in cpu], "CPU ms"),
        "bar_s": bar,
        "within": sorted(seconds)[len(seconds) // 2] <= bar,
    }


def beside_flower() -> dict[str, Any]:
    """Return latency and CPU of a round, ours and stock Flower's."""
    ours, our_cpu = our_rounds(studies=STUDIES)
    stock, stock_cpu = stock_rounds(STOCK_ROUNDS)
    latency = sorted(stock)[len(stock) // 2] / sorted(ours)[len(ours) // 2]
    cpu = stock_cpu / our_cpu
    return {
        "ours": figure([1e3 * value for value in ours], "ms"),
        "stock": figure([1e3 * value for value in stock], "ms"),
        "latency_ratio": results_file.short(latency),
        "bar_latency": BAR_LATENCY,
        "our_cpu_per_node_round": results_file.short(1e3 * our_cpu),
        "stock_cpu_per_node_round": results_file.short(1e3 * stock_cpu),
        "cpu_ratio": results_file.short(cpu),
        "bar_cpu": BAR_CPU,
        "within": latency >= BAR_LATENCY and cpu >= BAR_CPU,
    }


def simulated() -> dict[str, Any]:
    """Return what a simulation of many sites costs, flat and over regions; the answers are the same to the last bit."""
    frames = {site_name(number): table(number).select("x0", "y") for number in range(SIMULATED)}
    asked = {"target": "y", "features": ["x0"], "kind": "logistic"}
    found, cpu = {}, {}
    for name, options in {"plain": {"secure": "plain"}, "flat": {}, "regions": {"regions": REGIONS}}.items():
        began = time.process_time()
        found[name] = simulate(frames, **asked, **options).document()
        cpu[name] = time.process_time() - began
    assert found["flat"]["coefficients"] == found["regions"]["coefficients"]
    rounds = found["flat"]["rounds"]
    return {
        "sites": SIMULATED,
        "rounds": rounds,
        "cpu_s": {name: results_file.short(value) for name, value in cpu.items()},
        "cpu_ms_per_site_round": results_file.short(1e3 * cpu["flat"] / rounds / SIMULATED),
        "peak_mib": peak_mib(),
    }


def peak_mib() -> int:
    """Return the most memory that this process has held."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM"))


def markdown(figures: dict[str, Any]) -> str:
    """Return what was found as tables for people."""
    lines = ["# Grids and scale, measured", "", "Written by `make bench-federated`.", ""]
    found = figures["streams"]
    lines += ["| gRPC streams with mTLS | a round (bar) | CPU a site and round |", "| --- | --- | --- |"]
    lines.append(
        f"| {found['streams']} | {found['round']['median']:g} s ({found['bar_s']:g}) "
        f"| {found['cpu_per_site_round']['median']:g} ms |"
    )
    found = figures["beside_flower"]
    lines += ["", "| a round, three sites | ours | stock Flower | ratio (bar) |", "| --- | --- | --- | --- |"]
    lines += [
        f"| latency | {found['ours']['median']:g} ms | {found['stock']['median']:g} ms "
        f"| {found['latency_ratio']:g} ({found['bar_latency']:g}) |",
        f"| CPU of a node | {found['our_cpu_per_node_round']:g} ms | {found['stock_cpu_per_node_round']:g} ms "
        f"| {found['cpu_ratio']:g} ({found['bar_cpu']:g}) |",
    ]
    if not found["within"]:
        lines += ["", MISSED]
    found = figures["simulated"]
    lines += [
        "",
        "| sites in one process | rounds | CPU plain, encrypted, over regions | memory |",
        "| --- |" + " --- |" * 3,
    ]
    cpu = ", ".join(f"{value:g} s" for value in found["cpu_s"].values())
    lines.append(f"| {found['sites']} | {found['rounds']} | {cpu} | {found['peak_mib']} MiB |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
