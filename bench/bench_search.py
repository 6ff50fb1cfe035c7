"""The catalogue's search at 10^3, 10^4 and 10^5 generated products, on SQLite and on PostgreSQL.

A question is text of either language, two filters, eight facets counted, the best 20 products whole. It is asked in
process, from a collection that fits in memory, each question once: `warm` asks the same questions again. Before
anything is measured the adapters must agree on the answers.

    .venv/bin/python bench/bench_search.py [--sizes 1000,10000,100000] [--questions 400] [--quick]
"""

import argparse
import json
import os
import platform
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import catalogue_products
from results_file import RESULTS, short, write

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the samples and the server of the tests

from tests.catalog.samples import sample_product  # noqa: E402
from tests.ports.postgres_server import binaries, running_server  # noqa: E402

from hdex.catalog import index_sqlite_file  # noqa: E402
from hdex.catalog.index_rows import row_of  # noqa: E402
from hdex.catalog.index_sqlite import SqliteIndex  # noqa: E402
from hdex.catalog.lifecycle import ProductState  # noqa: E402
from hdex.catalog.ports import Index, Page, Query  # noqa: E402
from hdex.catalog.words import Field, SearchWords  # noqa: E402

BARS = {"p50_ms": 10.0, "p99_ms": 45.0, "rebuild_s": 15.0}  # at 100,000 products on SQLite
NO_WORDS = SearchWords(*[Field((), (), ())] * 3, ())  # they are made by the rebuild that is measured
REBUILDS = 3  # of the SQLite file; their median is told
QUICK = "BENCH_QUICK" in os.environ


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write search.json and search.svg; return 1 where a bar is missed, which is said."""
    asked = parsed(arguments)
    sizes = [int(size) for size in asked.sizes.split(",")]
    if asked.quick:
        sizes, asked.questions = [50, 100], 10
    rows: list[dict[str, Any]] = []
    with postgres_url() as url, tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            rows += measured(size, asked.questions, Path(folder), url)
    bars = held_against(rows) if not asked.quick else []
    about = {
        "seed": 7,
        "questions": asked.questions,
        "sqlite": sqlite3.sqlite_version,
        "python": platform.python_version(),
    }
    path = write("search", about=about, rows=rows, bars=bars)
    path.with_suffix(".svg").write_text(drawn(rows), encoding="utf-8")
    for row in rows:
        print(" ".join(f"{name}={value}" for name, value in row.items()))
    for bar in bars:
        print(f"{bar['bar']}: {bar['measured']} against {bar['asked']}: {'met' if bar['met'] else 'MISSED'}")
    return int(not all(bar["met"] for bar in bars))


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="1000,10000,100000")
    parser.add_argument("--questions", type=int, default=400)
    parser.add_argument("--quick", action="store_true", default=QUICK)
    return parser.parse_args(arguments)


def measured(size: int, questions: int, folder: Path, url: str | None) -> Iterator[dict[str, Any]]:
    """Yield the rows of one size, after both adapters have answered alike."""
    base = base_document()
    asked = [Query(limit=20, **given) for given in catalogue_products.questions(questions)]
    path = folder / f"{size}.sqlite"
    sqlite = filled_sqlite(path, catalogue_products.documents(base, size))  # none stays in memory: a server has none
    rebuild = sorted(timed(sqlite.rebuild) for _ in range(REBUILDS))[REBUILDS // 2]
    expected = [shape(sqlite.find(query)) for query in asked[:20]]
    sqlite.close()
    opened = time.perf_counter()
    sqlite = SqliteIndex(path)
    opened = time.perf_counter() - opened
    megabytes = short(path.stat().st_size / 1e6)
    yield row("sqlite", size, sqlite, asked, rebuild_s=short(rebuild), open_s=short(opened), file_mb=megabytes)
    sqlite.close()
    if url is None:
        return
    from hdex.catalog.index_postgres import PostgresIndex

    postgres = PostgresIndex(url, connections=1)
    fill_postgres(postgres, catalogue_products.documents(base, size))
    rebuild = timed(postgres.rebuild)
    with postgres._transaction() as db:
        db.exec_driver_sql("ANALYZE hdex_product, hdex_name")
    if [shape(postgres.find(query)) for query in asked[:20]] != expected:
        raise SystemExit("the adapters do not agree: nothing is measured")
    yield row("postgres", size, postgres, asked, rebuild_s=short(rebuild))
    postgres.close()


def row(adapter: str, size: int, index: Index, asked: Sequence[Query], **more: object) -> dict[str, Any]:
    """Return what one adapter took at one size."""
    cold, hits = latencies(index, asked)
    warm, _ = latencies(index, asked)
    first = {"adapter": adapter, "products": size, "median_hits": hits}
    return first | quantiles(cold) | {f"warm_{name}": value for name, value in quantiles(warm).items()} | more


def latencies(index: Index, asked: Sequence[Query]) -> tuple[list[float], int]:
    """Return the seconds of each question, sorted, and the median number of hits."""
    seconds, totals = [], []
    for query in asked:
        began = time.perf_counter()
        page = index.find(query)
        seconds.append(time.perf_counter() - began)
        totals.append(page.total)
    return sorted(seconds), sorted(totals)[len(totals) // 2]


def quantiles(seconds: Sequence[float]) -> dict[str, float]:
    """Return median, 99th percentile and the slowest, in milliseconds."""
    last = len(seconds) - 1
    at = {"p50_ms": last // 2, "p99_ms": round(last * 0.99), "max_ms": last}
    return {name: short(seconds[place] * 1000) for name, place in at.items()}


def shape(page: Page) -> tuple[object, ...]:
    """Return what two adapters must agree on."""
    return tuple(hit.product.id for hit in page.hits), page.total, dict(page.facets), page.follows


def base_document() -> dict[str, Any]:
    """Return a product's document with three rows of preview."""
    document = sample_product().document()
    preview = dict(document["preview"])  # type: ignore[call-overload]  # an object, as documents hold it
    return document | {"preview": preview | {"rows": preview["rows"][:3]}}


def filled_sqlite(path: Path, documents: Iterable[dict[str, Any]]) -> SqliteIndex:
    """Return an index of these documents, put in as one transaction: publishing one by one would sync each."""
    SqliteIndex(path).close()
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("BEGIN")
    for document in documents:
        data = json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
        index_sqlite_file.insert_row(db, row_of(document, ProductState.LISTED, NO_WORDS), data, data)
    db.execute("COMMIT")
    db.close()
    return SqliteIndex(path)


def fill_postgres(index: Any, documents: Iterable[dict[str, Any]]) -> None:
    """Put these documents in, as one transaction and without words too."""
    from hdex.catalog.index_postgres import put_product

    with index._transaction() as db:
        for document in documents:
            put_product(db, document, b"{}", NO_WORDS)


def timed(work: Callable[[], object]) -> float:
    """Return the seconds of one run."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def held_against(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return each bar with what was measured at 100,000 products on SQLite."""
    whole = next((row for row in rows if row["adapter"] == "sqlite" and row["products"] == 100_000), None)
    if whole is None:
        return []
    return [{"bar": n, "asked": bar, "measured": whole[n], "met": whole[n] <= bar} for n, bar in BARS.items()]


def drawn(rows: Sequence[dict[str, Any]]) -> str:
    """Return p50 and p99 against the number of products, both axes logarithmic, as SVG."""
    from math import log10

    width, height, left, top = 520, 300, 60, 20
    points = [row[name] for row in rows for name in ("p50_ms", "p99_ms")]
    sizes = sorted({row["products"] for row in rows})
    low, high = log10(min(points)) - 0.1, log10(max(points)) + 0.1
    span = max(log10(sizes[-1]) - log10(sizes[0]), 1e-9)

    def x(size: int) -> float:
        return left + (width - left - 130) * (log10(size) - log10(sizes[0])) / span

    def y(value: float) -> float:
        return top + (height - top - 40) * (high - log10(value)) / (high - low)

    font = 'font-family="sans-serif" font-size="12"'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {font}>']
    for size in sizes:
        parts.append(f'<text x="{x(size):.0f}" y="{height - 20}" text-anchor="middle">{size:,}</text>')
    for power in range(int(low) - 1, int(high) + 2):
        if low <= power <= high:
            parts.append(f'<path d="M{left} {y(10**power):.1f}H{width - 130}" stroke="#ccc"/>')
            parts.append(f'<text x="{left - 6}" y="{y(10**power) + 4:.1f}" text-anchor="end">{10**power:g} ms</text>')
    styles = {"sqlite": "#1f6f8b", "postgres": "#b3541e"}
    for adapter in dict.fromkeys(row["adapter"] for row in rows):
        for name, dash in (("p50_ms", ""), ("p99_ms", ' stroke-dasharray="5 3"')):
            own = [row for row in rows if row["adapter"] == adapter]
            line = " ".join(f"{x(row['products']):.1f},{y(row[name]):.1f}" for row in own)
            parts.append(f'<polyline points="{line}" fill="none" stroke="{styles[adapter]}" stroke-width="2"{dash}/>')
            label = f"{adapter} {name.removesuffix('_ms')}"
            parts.append(
                f'<text x="{width - 122}" y="{y(own[-1][name]) + 4:.1f}" fill="{styles[adapter]}">{label}</text>'
            )
    return "\n".join([*parts, "</svg>", ""])


@contextmanager
def postgres_url() -> Iterator[str | None]:
    """Yield the URL of a server of our own; None where PostgreSQL is not installed, which is said."""
    if binaries() is None:
        print("PostgreSQL is not installed: SQLite alone is measured", file=sys.stderr)
        yield None
        return
    with running_server() as server:
        yield server.url


if __name__ == "__main__":
    print(f"results go to {os.environ.get('BENCH_OUT', RESULTS)}", file=sys.stderr)
    sys.exit(main())
