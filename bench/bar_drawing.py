"""One picture of measured figures beside what is asked of them: horizontal bars, a line at the bar, as SVG."""

from collections.abc import Sequence
from xml.sax.saxutils import escape

WIDTH, LEFT, RIGHT, ROW, TOP = 760, 250, 110, 26, 44


def drawn(title: str, rows: Sequence[tuple[str, float]], unit: str, *, asked: float | None = None) -> str:
    """Return the rows (name, value from 0) as bars to one scale; `asked` is drawn as a dashed line."""
    most = max([value for _, value in rows] + ([asked] if asked else [])) or 1.0
    height = TOP + ROW * len(rows) + 20

    def x(value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * value / most

    font = 'font-family="sans-serif" font-size="12"'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" {font}>']
    parts.append(f'<rect width="{WIDTH}" height="{height}" fill="white"/>')
    parts.append(f'<text x="10" y="18" font-size="14">{escape(title)}</text>')
    for number, (name, value) in enumerate(rows):
        y = TOP + ROW * number
        parts.append(f'<text x="{LEFT - 8}" y="{y + 13}" text-anchor="end">{escape(name)}</text>')
        parts.append(f'<rect x="{LEFT}" y="{y}" width="{x(value) - LEFT:.1f}" height="{ROW - 8}" fill="#1f6f8b"/>')
        parts.append(f'<text x="{x(value) + 6:.1f}" y="{y + 13}">{value:,.4g} {escape(unit)}</text>')
    if asked:
        parts.append(f'<path d="M{x(asked):.1f} {TOP - 12}V{height - 14}" stroke="#b3541e" stroke-dasharray="5 3"/>')
        parts.append(
            f'<text x="{x(asked) + 4:.1f}" y="{TOP - 14}" fill="#b3541e">asked: {asked:g} {escape(unit)}</text>'
        )
    return "\n".join([*parts, "</svg>", ""])
