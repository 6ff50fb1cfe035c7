"""De-identification beside its peers: every part's figures in one file and one table.

Each part is a file bench_deid_<part>.py whose `measure()` checks an answer before it measures it. Peers run in the same
run on the same input; compare the ratios, not the seconds of two machines. `bench_deid.py bars` measures nothing and
holds the figures that are there against the bars once more.
"""

import importlib
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import deid_bars
import results_file

PARTS = ("classify", "engines", "keys", "red_team", "risk", "scale", "text")
TABLE = results_file.RESULTS / "deid.md"


def main(parts: tuple[str, ...]) -> None:
    known = results_file.read("deid") or {}
    kept = known.get("figures")
    figures: dict[str, object] = dict(kept) if isinstance(kept, dict) else {}
    for part in parts:
        began = time.perf_counter()
        figures[part] = importlib.import_module(f"bench_deid_{part}").measure()
        print(f"{part}: {time.perf_counter() - began:.1f} s", flush=True)
        ordered = dict(sorted(figures.items()))
        path = results_file.write("deid", command="make bench-deid", bars=deid_bars.rows(figures), figures=ordered)
    TABLE.write_text(markdown(figures), encoding="utf-8")
    print(f"{path.relative_to(results_file.ROOT)} and {TABLE.relative_to(results_file.ROOT)} are rewritten")


def compare() -> None:
    """Write the bars again, from the figures of the last measurement."""
    known = results_file.read("deid")
    if known is None or not isinstance(figures := known["figures"], dict):
        raise SystemExit("bench/results/deid.json is not there: make bench-deid measures")
    head = {name: value for name, value in known.items() if name not in ("bars", "figures")}
    told = {**head, "bars": deid_bars.rows(figures), "figures": figures}
    (results_file.RESULTS / "deid.json").write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", "utf-8")
    TABLE.write_text(markdown(figures), encoding="utf-8")


def markdown(figures: dict[str, object]) -> str:
    """Return the bars, then every figure, as lines of tables."""
    lines = [
        *deid_bars.table(deid_bars.rows(figures)),
        "",
        "## Figures",
        "",
        "| part | figure | value |",
        "| --- | --- | --- |",
    ]
    for part, found in sorted(figures.items()):
        lines += [f"| {part} | {name} | {value} |" for name, value in flat(found)]
    return "\n".join(["# De-identification, measured", "", "Written by `make bench-deid`.", "", *lines]) + "\n"


def flat(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield (dotted name, text) of every single value below `value`."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield from flat(below, f"{name}.{key}" if name else str(key))
    elif isinstance(value, float):
        yield name, f"{value:.4g}"
    else:
        yield name, str(value)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    if sys.argv[1:] == ["bars"]:
        compare()
    else:
        main(tuple(sys.argv[1:]) or PARTS)
