"""A result document as text for a terminal: one table per kind of answer."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from hdex.federated.coefficients import RATIOS

Document = Mapping[str, Any]


def as_text(document: Document) -> str:
    """Return the answer and what it cost, in lines of text."""
    lines = [line for key, layout in _LAYOUTS.items() if key in document for line in layout(document)]
    return "\n".join([*lines, *_foot(document)])


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return lines of columns: the first to the left, the others to the right."""
    table = [head, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    return ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in table]


def number(value: Any) -> str:
    """Return a number in six digits that count, a count as it is."""
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _coefficients(document: Document) -> list[str]:
    kind = str(document["kind"])
    ratio = RATIOS.get(kind)
    statistic = "t" if kind == "linear" else "z"
    head = ["", "estimate", "se", statistic, "p", *([ratio.replace("_", " ")] if ratio else []), "95 % interval"]
    rows = []
    for row in document["coefficients"]:
        cells = [f"{row['estimate']:.6f}", f"{row['se']:.6f}", f"{row['z']:.3f}", f"{row['p']:.3g}"]
        cells += [f"{row[ratio]:.4f}"] if ratio else []
        rows.append([row["name"], *cells, f"{row['ci_low']:.4f} to {row['ci_high']:.4f}"])
    counted = f"{document['n']} rows ({document['dropped']} incomplete rows left out)"
    return [*aligned(head, rows), counted]


def _columns(document: Document) -> list[str]:
    keys = [key for key in document["columns"][0] if key not in ("name", "quantiles")]
    found = [one["probability"] for one in document["columns"][0].get("quantiles", [])]
    rows = [
        [row["name"], *(number(row[key]) for key in keys), *(number(one["value"]) for one in row.get("quantiles", []))]
        for row in document["columns"]
    ]
    return aligned(["", *keys, *(f"q {q:g}" for q in found)], rows)


def _histograms(document: Document) -> list[str]:
    lines = []
    for one in document["histograms"]:
        bins = [f"{low:g} to {high:g}" for low, high in pairwise(one["edges"])]
        rows = [[name, str(count)] for name, count in zip(bins, one["counts"], strict=True)]
        rows += [["below", str(one["below"])], ["above", str(one["above"])], ["missing", str(one["missing"])]]
        lines += aligned([one["name"], "rows"], rows)
    return lines


def _crosstab(document: Document) -> list[str]:
    table = document["table"]
    rows = zip(table["rows"]["levels"], table["counts"], strict=True)
    head = [f"{table['rows']['name']} / {table['columns']['name']}", *table["columns"]["levels"]]
    lines = aligned(head, [[level, *map(_count, counts)] for level, counts in rows])
    for key, name in (("chi2", "chi-square"), ("chi2_yates", "chi-square with Yates' correction")):
        if document.get(key):
            lines.append(f"{name} {_test(document[key])}")
    return [*lines, f"{_count(document['n'])} rows ({document['dropped']} incomplete rows left out)"]


def _count(count: int | None) -> str:
    return "blank" if count is None else str(count)


def _test(test: Document) -> str:
    return f"{number(test['statistic'])}, {number(test['df'])} degrees of freedom, p {test['p']:.3g}"


def _t_test(document: Document) -> list[str]:
    keys = ("n", "mean", "sd", "se")
    lines = aligned(["", *keys], [[row["name"], *(number(row[key]) for key in keys)] for row in document["groups"]])
    lines.append(f"difference {number(document['difference'])}")
    for key, name in (("welch", "Welch"), ("pooled", "equal variances")):
        test = document[key]
        interval = f"{number(test['ci_low'])} to {number(test['ci_high'])}"
        lines.append(f"{name}: t {number(test['t'])}, df {number(test['df'])}, p {test['p']:.3g}, 95 % {interval}")
    return lines


def _survival(document: Document) -> list[str]:
    lines = []
    for group in document["groups"]:
        median = "not reached" if group["median"] is None else number(group["median"])
        lines.append(f"{group['name']}: {group['n']} rows, {group['events']} events, median {median}")
        rows = [[number(row[key]) for key in _CURVE] for row in group["curve"]]
        lines += aligned(["time", *(key.replace("_", " ") for key in _CURVE[1:])], rows)
    if document["log_rank"]:
        lines.append(f"log-rank {_test(document['log_rank'])}")
    return [*lines, f"{document['n']} rows ({document['dropped']} incomplete rows left out)"]


def _contribution(document: Document) -> list[str]:
    rows = [[site, f"{value:.6f}"] for site, value in document["contribution"].items()]
    return aligned(["contribution", "Shapley value"], rows)


_CURVE = ("time", "at_risk", "events", "survival", "se", "ci_low", "ci_high")


def _history(document: Document) -> list[str]:
    rows = [[str(row["round"]), number(row["n"]), f"{row['loss']:.6f}"] for row in document["history"]]
    return aligned(["round", "rows", "log-loss before"], rows)


def _foot(document: Document) -> list[str]:
    sizes = ", ".join(f"{site} {size}" for site, size in document["bytes_per_site"].items())
    seconds = f", {document['seconds']:.2f} s" if "seconds" in document else ""
    return [
        f"{len(document['sites'])} sites, {document['rounds']} rounds{seconds}",
        f"bytes that left each site: {sizes}",
    ]


_LAYOUTS: Mapping[str, Callable[[Document], list[str]]] = {
    "coefficients": _coefficients,
    "columns": _columns,
    "histograms": _histograms,
    "table": _crosstab,
    "welch": _t_test,
    "log_rank": _survival,
    "history": _history,
    "contribution": _contribution,
}
