"""The exchange's pages under 16 clients: a real exchange process with 1,000 products, beside a bare Starlette page.

`same`: everybody asks for one address. `new`: nobody asks for what was asked before, so every page is rendered.
`mixed`: home, results with two filters, products and status as people ask for them, a few often and many seldom.

    .venv/bin/python bench/bench_pages.py
"""

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import catalogue_products
from bench_search import base_document, filled_sqlite
from http_load import Load, load
from results_file import short, write

from hdex.node.config import ExchangeConfig, dump
from hdex.node.config import load as load_config
from hdex.node.demo import cast
from hdex.node.demo.setting import Setting, build
from hdex.node.demo.supervisor import Supervisor, answers, free_ports

QUICK = "BENCH_QUICK" in os.environ
PRODUCTS = 60 if QUICK else 1_000
REQUESTS = 64 if QUICK else 4_000
CLIENTS = 16
BAR_MS, BAR_BYTES = 25.0, 100_000
STATIC = ("hdex.css", "mark.svg", "htmx.min.js", "live.js")  # all that any page loads
STYLE = "style, mark and scripts"
HERE = Path(__file__).parent


def main() -> int:
    """Measure, write pages.json and pages.md; return 1 where a bar is missed."""
    documents = list(catalogue_products.documents(base_document(), PRODUCTS))
    with tempfile.TemporaryDirectory() as folder, exchange(Path(folder), documents) as (address, pid):
        visits = addresses([str(one["id"]) for one in documents])
        sizes = {name: load(address, paths[:1], clients=1, pid=pid).bytes for name, paths in visits["same"].items()}
        sizes[STYLE] = sum(load(address, [f"/static/{one}"], clients=1, pid=pid).bytes for one in STATIC)
        rows = [
            row(kind, page, load(address, paths, clients=CLIENTS, pid=pid))
            for kind, pages in visits.items()
            for page, paths in pages.items()
        ]
        rows += peer(sizes["product"])
    bars = held_against(rows, sizes)
    path = write("pages", products=PRODUCTS, clients=CLIENTS, requests=REQUESTS, rows=rows, bytes=sizes, bars=bars)
    path.with_suffix(".md").write_text(told(rows, sizes, bars), encoding="utf-8")
    print(told(rows, sizes, bars))
    return int(not all(bar["met"] for bar in bars))


def addresses(products: Sequence[str]) -> dict[str, dict[str, list[str]]]:
    """Return kind of visit -> page -> the addresses that are asked, in order. Both languages are asked."""
    chosen = random.Random(7)
    results = [result_address(asked, number) for number, asked in enumerate(catalogue_products.questions(REQUESTS))]
    some = products[: max(1, len(products) // 2)]
    fresh = [f"{root}/products/{one}" for one in some for root in ("", "/zh")]
    fresh += [f"{one}?quantity={number}&plan=one_off" for number in range(2, 1 + REQUESTS // len(fresh) + 1)
              for one in fresh]  # fmt: skip
    pages = ["/", "/zh/", "/status", "/zh/status", *fresh[:400], *results[:400]]
    weights = list(accumulate([20, 20, 5, 5, *(12 / (rank + 1) for rank in range(len(pages) - 4))]))
    mixed = chosen.choices(pages, cum_weights=weights, k=REQUESTS)
    return {
        "same": {
            "home": ["/"] * REQUESTS,
            "results": [results[0]] * REQUESTS,
            "product": [fresh[0]] * REQUESTS,
            "status": ["/status"] * REQUESTS,
        },
        "new": {
            "results": [f"{one}&page={2 + number}" for number, one in enumerate(results[: REQUESTS // 4])],
            "product": [
                f"{one}{'&' if '?' in one else '?'}x={number}" for number, one in enumerate(fresh[: REQUESTS // 4])
            ],
        },
        "mixed": {"all": mixed, "again": mixed},  # at first nothing was rendered: the bar is held against that
    }


def result_address(asked: dict[str, Any], number: int) -> str:
    """Return the results page of a question with its two filters."""
    from urllib.parse import urlencode

    named = {"q": asked["text"], **{name: str(value) for name, value in asked.items() if name != "text"}}
    return f"{'/zh' if number % 2 else ''}/products?{urlencode(named)}"


def row(kind: str, page: str, seen: Load) -> dict[str, Any]:
    """Return what was measured of one page."""
    first: dict[str, Any] = {"visit": kind, "page": page, "requests": len(seen.seconds)}
    quantiles = {"p50_ms": short(seen.at(0.5)), "p99_ms": short(seen.at(0.99)), "max_ms": short(seen.at(1.0))}
    return first | quantiles | {"per_s": short(seen.per_s), "server_cpu_ms": short(seen.cpu_ms)}


@contextmanager
def exchange(folder: Path, documents: list[dict[str, Any]]) -> Iterator[tuple[tuple[str, int], int]]:
    """Yield address and pid of an exchange with its chain; nobody else of the consortium runs."""
    setting, supervisor = build(folder / "consortium"), Supervisor(folder / "logs")
    try:
        supervisor.start([cast.chain_program(setting)])
        cast.deploy_contract(setting)
        cast.enrol_all(setting)
        alone(setting)
        data = setting.home("exchange") / "data"
        data.mkdir(mode=0o700)
        index = filled_sqlite(data / "catalogue.db", documents)
        index.rebuild()
        index.close()
        supervisor.start([one for one in cast.programs(setting) if one.name == "exchange"])
        port = setting.ports["exchange"][1]
        wait_for(port)
        yield ("127.0.0.1", port), supervisor.pids()["exchange"]
    finally:
        supervisor.stop()


def alone(setting: Setting) -> None:
    """Let the exchange ask no witness: there is none, and looking for one would be measured too."""
    config = load_config(setting.config_file("exchange"), ExchangeConfig)
    text = dump(replace(config, witness_peers=(), witnesses=0))
    setting.config_file("exchange").write_text(text, encoding="utf-8")


def peer(length: int) -> list[dict[str, Any]]:
    """Return the same clients before a bare Starlette application that gives as many bytes."""
    (port,) = free_ports(1)
    process = subprocess.Popen([sys.executable, str(HERE / "peer_page.py"), str(port), str(length)])
    try:
        wait_for(port)
        return [row("peer", "starlette", load(("127.0.0.1", port), ["/"] * REQUESTS, clients=CLIENTS, pid=process.pid))]
    finally:
        process.terminate()
        process.wait(20)


def wait_for(port: int) -> None:
    """Return when something listens."""
    gives_up = time.monotonic() + 60
    while not answers(port):
        if time.monotonic() > gives_up:
            raise SystemExit("no server listens")
        time.sleep(0.05)


def held_against(rows: Sequence[dict[str, Any]], sizes: dict[str, int]) -> list[dict[str, Any]]:
    """Return each bar with what was found. Quick forms are held against none."""
    if QUICK:
        return []
    mixed = next(one for one in rows if one["visit"] == "mixed")
    first = max(size for name, size in sizes.items() if name != STYLE) + sizes[STYLE]
    found = (
        ("99th percentile at 16 clients", f"<= {BAR_MS:g} ms", mixed["p99_ms"], mixed["p99_ms"] <= BAR_MS),
        ("first load as it travels", f"<= {BAR_BYTES / 1000:g} kB", first / 1000, first <= BAR_BYTES),
    )
    return [dict(zip(("bar", "pass", "measured", "met"), one, strict=True)) for one in found]


def told(rows: Sequence[dict[str, Any]], sizes: dict[str, int], bars: Sequence[dict[str, Any]]) -> str:
    """Return the tables as Markdown."""
    lines = ["| bar | pass | measured | |", "| --- | --- | --- | --- |"]
    lines += [f"| {b['bar']} | {b['pass']} | {b['measured']:.4g} | {'met' if b['met'] else 'missed'} |" for b in bars]
    lines += ["", f"{CLIENTS} clients, {PRODUCTS:,} products, one process.", ""]
    names = ("visit", "page", "requests", "p50_ms", "p99_ms", "max_ms", "per_s", "server_cpu_ms")
    lines += [f"| {' | '.join(names)} |", "| --- " * len(names) + "|"]
    lines += [f"| {' | '.join(str(one[name]) for name in names)} |" for one in rows]
    bare = next(one for one in rows if one["visit"] == "peer")
    ratios = {f"{one['visit']} {one['page']}": one["p99_ms"] / bare["p99_ms"] for one in rows if one["visit"] != "peer"}
    lines += [
        "",
        f"p99 beside a bare Starlette page of as many bytes: {', '.join(f'{n} {r:.2g} x' for n, r in ratios.items())}.",
    ]
    lines += ["", f"First load as it travels, bytes: {', '.join(f'{name} {size:,}' for name, size in sizes.items())}."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
