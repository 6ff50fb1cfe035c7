"""Lines, marks and axes as SVG text: no script, no network, sharp in print. What pictures of results are made of."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

INK, FAINT, GRID = "#1d2530", "#5b6573", "#dfe3e8"
# Series differ by dash as well as by colour: a print in grey still tells them apart.
SERIES = (("#176b78", ""), ("#b9532f", "7 4"), ("#5a4fa2", "2 3"), ("#7a6a00", "9 3 2 3"), ("#4b5563", "1 4"))
_FONT = "font-family=\"system-ui,'Noto Sans','Noto Sans CJK SC','PingFang SC','Microsoft YaHei',sans-serif\""


@dataclass(frozen=True, slots=True)
class Axis:
    """Maps values from low to high onto start to end, evenly or by ratio."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False
    whole: bool = False  # ticks at whole numbers only

    def at(self, value: float) -> float:
        """Return the place of a value; what lies beyond is at the edge."""
        inside = min(max(value, self.low), self.high)
        low, high, here = (math.log(v) if self.log else v for v in (self.low, self.high, inside))
        share = (here - low) / (high - low) if high > low else 0.5
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Return round values between low and high."""
        if self.log and len(found := _ratio_ticks(self.low, self.high)) > 2:
            return found
        span = self.high - self.low or 1.0
        step = 10 ** math.floor(math.log10(span / 4))
        step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= 6)
        first = math.ceil(self.low / step)
        found = [round(k * step, 12) for k in range(first, math.floor(self.high / step) + 1)]
        return [tick for tick in found if not self.whole or float(tick).is_integer()]


def _ratio_ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [digit * 10.0**k for k in decades for digit in (1, 2, 5)]
    inside = [tick for tick in ticks if low <= tick <= high]
    return inside if len(inside) <= 8 else [tick for tick in inside if math.log10(tick).is_integer()]


def padded(values: Sequence[float], *, log: bool = False) -> tuple[float, float]:
    """Return low and high around `values` with a margin."""
    low, high = min(values), max(values)
    if log:
        return low / 1.1, high * 1.1
    margin = 0.05 * (high - low) or abs(high) * 0.05 or 1.0
    return low - margin, high + margin


def spread(places: Sequence[float], apart: float) -> list[float]:
    """Return the places moved down as far as labels `apart` high need, order kept."""
    order = sorted(range(len(places)), key=lambda number: places[number])
    found, last = list(places), -math.inf
    for number in order:
        last = found[number] = max(places[number], last + apart)
    return found


def frame(width: int, height: int, *, title: str, description: str, parts: Sequence[str]) -> str:
    """Return a whole drawing with the words for those who do not see it."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" {_FONT}>'
    words = f"<title>{escape(title)}</title><desc>{escape(description)}</desc>"
    return f"{head}{words}{''.join(parts)}</svg>"


def text(x: float, y: float, words: str, *, size: int = 12, anchor: str = "start", fill: str = INK) -> str:
    """Return one line of text on its base line."""
    place = f'x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{fill}"'
    return f"<text {place}>{escape(words)}</text>"


def line(points: Sequence[tuple[float, float]], *, stroke: str = INK, width: float = 1.0, dash: str = "") -> str:
    """Return a line through the points."""
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<path d="{path}" fill="none" stroke="{stroke}" stroke-width="{width}"{dashes}/>'


def band(points: Sequence[tuple[float, float]], fill: str) -> str:
    """Return a filled shape, see-through."""
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return f'<path d="{path}Z" fill="{fill}" fill-opacity="0.12"/>'


def box(x: float, y: float, *, width: float, height: float, fill: str) -> str:
    """Return one filled rectangle."""
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{fill}"/>'


def scale(across: Axis, floor: float, *, name: str) -> list[str]:
    """Return a lower axis with ticks and its name."""
    parts = [line([(across.start, floor), (across.end, floor)], stroke=FAINT)]
    for tick in across.ticks():
        x = across.at(tick)
        parts += [line([(x, floor), (x, floor + 4)], stroke=FAINT)]
        parts += [text(x, floor + 17, f"{tick:g}", size=11, anchor="middle", fill=FAINT)]
    return [*parts, text(across.end, floor + 34, name, size=11, anchor="end", fill=FAINT)]


def axes(across: Axis, up: Axis, *, name: str) -> list[str]:
    """Return a lower axis with its name and a left one with lines across."""
    parts = scale(across, up.start, name=name)
    for tick in up.ticks():
        y = up.at(tick)
        parts += [line([(across.start, y), (across.end, y)], stroke=GRID)]
        parts += [text(across.start - 6, y + 4, f"{tick:g}", size=11, anchor="end", fill=FAINT)]
    return parts
