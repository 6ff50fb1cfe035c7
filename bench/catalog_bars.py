"""Every bar of the catalogue, contracts and delivery in one table: bench/results/catalog.md, from the stored figures.

    bench/catalog_bars.py     after the benchmarks, which write the figures; nothing is measured here

What no machine changes is held by tests: such a bar names them.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import results_file

SEARCH = {  # of search.json -> name, what is asked
    "p50_ms": ("search, 100,000 products: median of a question", "<= {asked:g} ms"),
    "p99_ms": ("search, 100,000 products: 99th percentile", "<= {asked:g} ms"),
    "rebuild_s": ("search, 100,000 products: index made anew", "<= {asked:g} s"),
}
MEASURED = ("pages", "negotiations", "delivery", "shapley")  # files whose `bars` are rows already
TITLES = {"pages": "pages", "negotiations": "negotiations", "delivery": "delivery", "shapley": "Shapley split"}
HELD_BY_TESTS = (
    (
        "Dataspace Protocol: the kit's sequences, both roles",
        "all",
        "tests/journeys/test_dsp.py plays them; the outside kit was not run",
    ),
    ("DCAT-AP 3 and HealthDCAT-AP shapes, Croissant", "0 violations", "tests/catalog/test_renderings.py"),
    (
        "ODRL evaluator, DUO matching",
        ">= 66 of 68, 66 of 66",
        "tests/catalog/test_odrl*.py, test_duo.py: own cases; what outside suites said when put to it by hand stands in"
        " docs/progress.md",
    ),
    (
        "HTML validity, accessibility",
        "0 errors, 0 violations",
        "tests/pages: every page, both languages",
    ),
)
ALL_THREE = (
    "buyer, exchange and hospital share the process: nine events with their sealed details, eleven records and two"
    " files, each on disk before the next step, and every paper verified by each of the three"
)
EACH_CALL = (
    "each call is admitted by certificate, its event is on disk in log and details before anything happens, its record"
    " before the answer; none of it may wait for the next contract's"
)
WHY = {  # beside a bar that is missed
    "search, 100,000 products: index made anew": "words, stems and pairs of 100,000 products are made in Python,"
    " by one process for each processor, while one more indexes them and copies the manifests",
    "pages: 99th percentile at 16 clients": "the slowest are those that nobody has asked for: each is rendered by"
    " the one process, and 16 come at once; what each kind of page takes stands in pages.md",
    "negotiations: one process, one caller": ALL_THREE,
    "negotiations: one process, 8 callers": ALL_THREE,
    "negotiations: gRPC, one caller": "of the busiest process by its CPU time: "
    + EACH_CALL
    + "; grants go to the chain"
    " by what 0.2 s bring, which of one caller are few",
    "negotiations: gRPC, 8 callers": "of the busiest process by its CPU time: " + EACH_CALL,
    "negotiations: Dataspace Protocol, 8 callers": "each message is an HTTPS request and an answer with certificates on"
    " both sides, stored with its process and its place in the outbox, beside what a contract takes over gRPC",
}
Row = dict[str, Any]


def main() -> None:
    """Rewrite the table and print it."""
    text = "\n".join([*table(list(rows())), ""])
    path = folder() / "catalog.md"
    path.write_text(text, encoding="utf-8")
    print(text)


def folder() -> Path:
    return Path(os.environ.get("BENCH_OUT", results_file.RESULTS))


def stored(name: str) -> dict[str, Any]:
    """Return the figures of one benchmark, empty where it was never run."""
    path = folder() / f"{name}.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def rows() -> Iterator[Row]:
    """Yield every bar with what was measured; `met` is None where it was not."""
    yield from of_search(stored("search"))
    for name in MEASURED:
        found = stored(name).get("bars")
        if not found:
            yield {"bar": TITLES[name], "pass": "", "measured": None, "met": None}
        for bar in found or ():
            yield {**bar, "bar": f"{TITLES[name]}: {bar['bar']}"}
    yield from of_fingerprint(stored("fingerprint"))


def of_search(found: dict[str, Any]) -> Iterator[Row]:
    measured = {bar["bar"]: bar for bar in found.get("bars", ())}
    for name, (title, asked) in SEARCH.items():
        bar = measured.get(name)
        told = asked.format(asked=bar["asked"]) if bar else ""
        yield {"bar": title, "pass": told, "measured": bar and bar["measured"], "met": bar and bar["met"]}


def of_fingerprint(found: dict[str, Any]) -> Iterator[Row]:
    sizes, z = found.get("leaked_rows", []), found.get("z", {}).get("as it was", [])
    at_500 = z[sizes.index(500)] if 500 in sizes else None
    speed = found.get("embed", {}).get("median")
    named = found.get("innocents", {}).get("named")
    for title, asked, value, met in (
        ("fingerprint: embedding", ">= 5 Mcell/s", speed, speed is not None and speed >= 5),
        ("fingerprint: z of 500 leaked rows of 100,000 x 4", ">= 6", at_500, at_500 is not None and at_500 >= 6),
        ("fingerprint: innocents accused among 100,000", "<= 1", named, named is not None and named <= 1),
    ):
        yield {"bar": title, "pass": asked, "measured": value, "met": None if value is None else met}


def table(found: list[Row]) -> Iterator[str]:
    """Yield the rows as Markdown."""
    words = {True: "yes", False: "**no**", None: "not measured"}
    yield "# Bars of the catalogue, contracts and delivery"
    yield ""
    yield "Written by `make bench-catalog` from the JSON files beside it, which say machine, versions, runs and spread."
    yield ""
    yield from ("| bar | pass | measured | met |", "| --- | --- | --- | --- |")
    for one in found:
        value = one["measured"]
        told = "–" if value is None else f"{value:.4g}"
        why = f": {WHY[one['bar']]}" if one["met"] is False and one["bar"] in WHY else ""
        yield f"| {one['bar']} | {one['pass']} | {told} | {words[one['met']]}{why} |"
    yield ""
    yield from ("| bar | pass | held by |", "| --- | --- | --- |")
    for bar, asked, tests in HELD_BY_TESTS:
        yield f"| {bar} | {asked} | {tests} |"


if __name__ == "__main__":
    main()
