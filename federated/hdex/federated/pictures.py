"""Pictures of a result document: forest plot, survival curves, histograms, training curves; and a page around them."""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from hdex.federated.coefficients import RATIOS
from hdex.federated.drawing import FAINT, INK, SERIES, Axis, axes, band, box, frame, line, padded, scale, spread, text
from hdex.federated.errors import StudyInvalid
from hdex.federated.report import as_text

Document = Mapping[str, Any]
WIDTH = 720


def as_svg(document: Document) -> str:
    """Return the picture of a result; raise StudyInvalid for a kind that is only numbers."""
    for key, draw in _DRAWINGS.items():
        if key in document:
            return draw(document)
    raise StudyInvalid(f"kind {document.get('kind')} has no picture; ask for the table or JSON")


def as_html(document: Document) -> str:
    """Return a page of its own: the picture, where there is one, and the table."""
    picture = as_svg(document) if any(key in document for key in _DRAWINGS) else ""
    title = f"{document['kind']}: {document['study_id']}"
    style = "body{font-family:system-ui,sans-serif;max-width:48rem;margin:2rem auto}pre{overflow-x:auto}"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{style}</style></head><body><h1>{escape(title)}</h1>{picture}"
        f"<pre>{escape(as_text(document))}</pre></body></html>\n"
    )


def _forest(document: Document) -> str:
    ratio = RATIOS.get(str(document["kind"]))
    rows = [row for row in document["coefficients"] if row["name"] != "intercept"]
    none, key, name = (1.0, ratio, ratio.replace("_", " ")) if ratio else (0.0, "estimate", "estimate")
    ends = [value for row in rows for value in (row["ci_low"], row["ci_high"])]
    low, high = padded([*(_inside(v) if ratio else v for v in ends), none], log=bool(ratio))
    floor = 30 + 28 * len(rows)
    across = Axis(low, high, 200, 500, log=bool(ratio))
    parts = scale(across, floor, name=f"{name}, 95 % interval")
    parts += [line([(across.at(none), 16), (across.at(none), floor)], stroke=FAINT, dash="4 4")]
    for number, row in enumerate(rows):
        y = 34 + 28 * number
        value = row[key]
        parts += [text(190, y + 4, row["name"], anchor="end")]
        parts += [line([(across.at(row["ci_low"]), y), (across.at(row["ci_high"]), y)], stroke=INK, width=1.5)]
        parts += [box(across.at(value) - 4, y - 4, width=8, height=8, fill=SERIES[0][0])]
        parts += [text(512, y + 4, f"{value:.3g} ({row['ci_low']:.3g} to {row['ci_high']:.3g})", size=11)]
    said = "; ".join(f"{row['name']} {row[key]:.3g}, {row['ci_low']:.3g} to {row['ci_high']:.3g}" for row in rows)
    return frame(WIDTH, floor + 42, title=f"Forest plot: {name}", description=said, parts=parts)


def _inside(ratio: float) -> float:
    return min(max(ratio, 1e-4), 1e4)  # beyond, an interval runs off the picture


def _survival(document: Document) -> str:
    last = max((row["time"] for group in document["groups"] for row in group["curve"]), default=1.0)
    across, up = Axis(0.0, last, 50, 540), Axis(0.0, 1.0, 300, 20)
    parts = axes(across, up, name="time")
    ends = [up.at(group["curve"][-1]["survival"] if group["curve"] else 1.0) for group in document["groups"]]
    drawn = zip(document["groups"], _series(len(ends)), spread(ends, 14), strict=True)
    for group, (colour, dash), label in drawn:
        steps = _steps(group["curve"], "survival", last)
        low, high = _steps(group["curve"], "ci_low", last), _steps(group["curve"], "ci_high", last)
        shape = [*((t, s) for t, s in low), *reversed(high)]
        parts += [band([(across.at(t), up.at(s)) for t, s in shape], colour)]
        parts += [line([(across.at(t), up.at(s)) for t, s in steps], stroke=colour, width=2, dash=dash)]
        parts += [text(550, label + 4, group["name"], size=12, fill=colour)]
    said = "; ".join(f"{group['name']}: median {group['median'] or 'not reached'}" for group in document["groups"])
    return frame(WIDTH, 340, title="Survival by Kaplan-Meier", description=said, parts=parts)


def _steps(curve: Sequence[Document], key: str, last: float) -> list[tuple[float, float]]:
    points, level = [(0.0, 1.0)], 1.0
    for row in curve:
        points += [(row["time"], level), (row["time"], row[key])]
        level = row[key]
    return [*points, (last, level)]


def _series(count: int) -> list[tuple[str, str]]:
    return [SERIES[number % len(SERIES)] for number in range(count)]


def _histograms(document: Document) -> str:
    parts: list[str] = []
    for number, one in enumerate(document["histograms"]):
        top = 220 * number
        across = Axis(one["edges"][0], one["edges"][-1], 50, 700)
        up = Axis(0.0, float(max(1, *one["counts"])), top + 180, top + 30)
        parts += [*axes(across, up, name=one["name"])]
        for low, high, count in zip(one["edges"], one["edges"][1:], one["counts"], strict=False):
            left, right, y = across.at(low), across.at(high), up.at(count)
            parts += [box(left + 0.5, y, width=max(right - left - 1, 0.5), height=up.start - y, fill=SERIES[0][0])]
    names = ", ".join(one["name"] for one in document["histograms"])
    height = 220 * len(document["histograms"])
    return frame(WIDTH, height, title=f"Histograms: {names}", description=names, parts=parts)


def _training(document: Document) -> str:
    rows = document["history"]
    losses = [row["loss"] for row in rows]
    low, high = padded(losses)
    across, up = Axis(1.0, float(max(2, len(rows))), 60, 640, whole=True), Axis(low, high, 260, 20)
    path = [(across.at(row["round"]), up.at(row["loss"])) for row in rows]
    parts = [*axes(across, up, name="round: mean log-loss before it")]
    parts += [line(path, stroke=SERIES[0][0], width=2)]
    said = f"log-loss {losses[0]:.4g} before the first round, {losses[-1]:.4g} before the last"
    return frame(WIDTH, 300, title="Training curve", description=said, parts=parts)


_DRAWINGS: Mapping[str, Callable[[Document], str]] = {
    "coefficients": _forest,
    "log_rank": _survival,
    "histograms": _histograms,
    "history": _training,
}
