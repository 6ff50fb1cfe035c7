"""Small SVG plots as text: no script, no network, sharp in print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

BEFORE, AFTER, CHANCE, INK, FAINT, GRID = "#b9532f", "#176b78", "#8a8f98", "#1d2530", "#5b6573", "#dfe3e8"
FONT = "font-family=\"system-ui,'Noto Sans','Noto Sans CJK SC','PingFang SC','Microsoft YaHei',sans-serif\""
BUCKETS = ((1, 1), (2, 4), (5, 9), (10, 19), (20, 49), (50, None))


def text(x: float, y: float, words: str, *, size: int = 12, anchor: str = "start", fill: str = INK) -> str:
    """One line of text."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{fill}">{escape(words)}</text>'
    )


def box(x: float, y: float, *, width: float, height: float, fill: str) -> str:
    """One filled rectangle."""
    size = f'width="{max(width, 0):.1f}" height="{max(height, 0):.1f}"'
    return f'<rect x="{x:.1f}" y="{y:.1f}" {size} rx="2" fill="{fill}"/>'


def frame(width: int, height: int, label: str, parts: Sequence[str]) -> str:
    """A whole drawing with its accessible name."""
    head = f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}" {FONT}>'
    return head + "".join(parts) + "</svg>"


def bars(label: str, rows: Sequence[tuple[str, float, str, str]]) -> str:
    """Horizontal bars from 0 to 1. rows: (name, share, colour, words at the end)."""
    parts = []
    for number, (name, share, colour, words) in enumerate(rows):
        y = 8 + number * 44
        parts += [text(0, y + 12, name, fill=FAINT), box(0, y + 18, width=560, height=14, fill=GRID)]
        parts += [box(0, y + 18, width=max(560 * share, 2), height=14, fill=colour), text(572, y + 30, words, size=13)]
    return frame(760, 16 + 44 * len(rows), label, parts)


def gauges(label: str, rows: Sequence[tuple[str, float, float]]) -> str:
    """Measured value against what is asked, one line each. rows: (name, found, asked); at least or at most as named."""
    parts = []
    for number, (name, found, asked) in enumerate(rows):
        y = 8 + number * 44
        full = max(found, asked) * 1.25 or 1.0
        mark = 560 * asked / full
        parts += [text(0, y + 12, name, fill=FAINT), box(0, y + 18, width=560, height=14, fill=GRID)]
        parts += [box(0, y + 18, width=560 * found / full, height=14, fill=AFTER)]
        parts += [box(mark - 1.5, y + 13, width=3, height=24, fill=INK)]
        parts += [text(572, y + 30, f"{found:.4g} / {asked:.4g}", size=13)]
    return frame(760, 16 + 44 * len(rows), label, parts)


def bucketed(class_sizes: Mapping[int, int]) -> list[float]:
    """Share of patients whose class has a size in each bucket."""
    patients = sum(size * count for size, count in class_sizes.items())
    shares = []
    for low, high in BUCKETS:
        inside = sum(s * n for s, n in class_sizes.items() if s >= low and (high is None or s <= high))
        shares.append(inside / patients if patients else 0.0)
    return shares


def class_sizes(label: str, before: Mapping[int, int], after: Mapping[int, int], k: int) -> str:
    """Pairs of columns per bucket of class size, and the line below which no class may be."""
    parts = [box(0, 170, width=760, height=1, fill=FAINT)]
    for number, ((low, high), old, new) in enumerate(zip(BUCKETS, bucketed(before), bucketed(after), strict=True)):
        x = 20 + number * 124
        name = f"{low}" if low == high else f"{low}–{high}" if high else f"{low}+"
        parts.append(text(x + 46, 188, name, anchor="middle"))
        for shift, share, colour in ((0, old, BEFORE), (48, new, AFTER)):
            parts.append(box(x + shift, 170 - 140 * share, width=44, height=140 * share, fill=colour))
            if share:
                parts.append(text(x + shift + 22, 164 - 140 * share, percent(share), size=11, anchor="middle"))
    line = next((20 + n * 124 - 14 for n, (low, _) in enumerate(BUCKETS) if low >= k), 750)
    parts.append(f'<path d="M{line} 8V194" stroke="{INK}" stroke-dasharray="4 4"/>')
    return frame(760, 198, label, parts)


def percent(share: float) -> str:
    """A share as a percentage with the digits that matter."""
    return f"{share:.0%}" if share == 0 or share >= 0.1 else f"{share:.1%}"


def pairs(label: str, names: Sequence[str], before: Sequence[float], after: Sequence[float]) -> str:
    """Two thin bars per label, for one column's distribution."""
    top = max([*before, *after, 1e-9])
    parts = []
    for number, (name, old, new) in enumerate(zip(names, before, after, strict=True)):
        y = 4 + number * 22
        parts.append(text(112, y + 12, name if len(name) <= 18 else name[:17] + "…", size=11, anchor="end"))
        parts.append(box(118, y + 1, width=190 * old / top, height=7, fill=BEFORE))
        parts.append(box(118, y + 9, width=190 * new / top, height=7, fill=AFTER))
        parts.append(text(314, y + 12, f"{percent(old)} → {percent(new)}", size=10, fill=FAINT))
    return frame(410, 8 + 22 * len(names), label, parts)


def heat(label: str, names: Sequence[str], values: Sequence[Sequence[float]]) -> str:
    """A square of shares 0-1, darker is more; the names stand on the left, in the same order from the left."""
    side, left = min(36, 260 // max(len(names), 1)), 118
    parts = []
    for row, name in enumerate(names):
        y = 4 + row * side
        parts.append(
            text(left - 6, y + side / 2 + 4, name if len(name) <= 18 else name[:17] + "…", size=11, anchor="end")
        )
        for column, value in enumerate(values[row]):
            at = box(left + column * side, y, width=side - 2, height=side - 2, fill=AFTER)
            parts.append(at.replace("<rect", f'<rect fill-opacity="{max(value, 0.04):.2f}"'))
    return frame(410, 8 + side * len(names), label, parts)
