"""A result document as text for a terminal: one table per kind of answer."""

from collections.abc import Callable, Mapping, Sequence
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


def _foot(document: Document) -> list[str]:
    sizes = ", ".join(f"{site} {size}" for site, size in document["bytes_per_site"].items())
    seconds = f", {document['seconds']:.2f} s" if "seconds" in document else ""
    return [
        f"{len(document['sites'])} sites, {document['rounds']} rounds{seconds}",
        f"bytes that left each site: {sizes}",
    ]


_LAYOUTS: Mapping[str, Callable[[Document], list[str]]] = {"coefficients": _coefficients}
