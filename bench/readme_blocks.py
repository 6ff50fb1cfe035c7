"""README's blocks between markers: the closing table of a real run and the measured figures. Rewritten, never typed."""

import re
from typing import Any

import results_file

README = results_file.ROOT / "README.md"
UNMEASURED = "not measured yet on this commit"
# (words, results file, key in it, how the number is written)
FIGURES = (
    ("`make demo`, all of it", "demo", "figures.seconds", "{:.1f} s"),
    ("events that the demo logged and the auditor verified", "demo", "figures.events", "{:,.0f}"),
    ("attack on the raw exports: patients found", "demo", "figures.attack_before", "{:.1%}"),
    ("the same attack on what is released", "demo", "figures.attack_after", "{:.1%}"),
    ("federated coefficients against the pooled fit, largest difference", "demo",
     "figures.max_coefficient_difference", "{:.1e}"),
    ("durable log entries a second, 16 callers sharing each flush", "core", "figures.append_16_threads", "{:,.0f}/s"),
    ("the same, one caller", "core", "figures.append_1_thread", "{:,.0f}/s"),
    ("inclusion proof in a log of a million entries, made and checked", "core", "figures.merkle_proof", "{:.0f} µs"),
    ("encrypted sum of 1,000 numbers over 3 parties, new key", "core", "figures.paillier_cold", "{:.2f} CPU s"),
    ("the same, key in use", "core", "figures.paillier_warm", "{:.2f} CPU s"),
    ("phe number by number, over ours with a new key", "core", "figures.paillier_ratio_cold", "{:,.0f} x"),
    ("optimal generalisation of 30,000 rows x 8 columns to k = 5", "core", "figures.lattice", "{:.2f} CPU s"),
    ("sealing a delivery, root included, in process", "core", "figures.delivery_seal", "{:,.0f} MB/s"),
    ("opening and verifying it", "core", "figures.delivery_open", "{:,.0f} MB/s"),
)  # fmt: skip


def rewrite() -> None:
    """Put the newest results into README."""
    text = README.read_text(encoding="utf-8")
    text = replaced(text, "figures", figures_block())
    text = replaced(text, "demo", demo_block())
    README.write_text(text, encoding="utf-8")


def replaced(text: str, name: str, block: str) -> str:
    """Return the text with the block between the markers of that name. Raises ValueError without markers."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    changed, count = re.subn(f"(?s){begin}.*?{end}", lambda _: f"{begin}\n{block}\n{end}", text)
    if count != 1:
        raise ValueError(f"README has {count} blocks {name}, one is needed")
    return changed


def demo_block() -> str:
    """Return the closing table of the last run as a terminal shows it."""
    found = results_file.read("demo")
    lines = found["closing_table"] if found else [f"({UNMEASURED})"]
    return "\n".join(["```text", "$ make demo", *map(str, lines), "```"])


def figures_block() -> str:
    """Return the measured figures as a table; each row names the key it was read from."""
    rows = [row for entry in FIGURES if (row := figure_row(*entry))]
    head = "| figure | median | lowest to highest | read from `bench/results/` |\n| --- | --- | --- | --- |"
    return "\n".join([*measured_on(), "", head, *rows])


def figure_row(words: str, file: str, key: str, form: str) -> str | None:
    """Return one row, None when its file was never measured."""
    document = results_file.read(file)
    if document is None:
        return None
    found: Any = document
    for part in key.split("."):
        found = found[part]
    spread = f"{form.format(found['low'])} to {form.format(found['high'])}, {found['runs']} runs"
    return f"| {words} | {form.format(found['median'])} | {spread} | `{file}.json` `{key}` |"


def measured_on() -> list[str]:
    """Return where and when, one line per file."""
    lines = []
    for file, command in (("demo", "bench/bench_demo.py"), ("core", "bench/bench_core.py")):
        found = results_file.read(file)
        if found is None:
            lines.append(f"- `{file}.json`: {UNMEASURED}; `.venv/bin/python {command}`")
            continue
        machine: Any = found["machine"]
        where = f"{machine['cpus']} x {machine['processor']}, load {found['load_before']}, Python {found['python']}"
        lines.append(f"- `{file}.json`: {str(found['date'])[:10]}, {where}; `.venv/bin/python {command}`")
    return lines
