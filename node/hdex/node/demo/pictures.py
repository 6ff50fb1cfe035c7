"""The report's six pictures as inline SVG, each with title and description. Colours are classes of style.css."""

from dataclasses import dataclass
from math import isfinite

from hdex.node.demo.closing import Details, Effect, Figures
from hdex.node.demo.scales import (
    BINS,
    Axis,
    bin_name,
    binned,
    byte_axis,
    entry_ticks,
    ratio_axis,
    ratio_ticks,
)
from hdex.node.web.markup import Attribute, Markup, join, tag
from hdex.node.web.words import Words, count, share, size

WIDTH = 400
ACTIONS = ("remove", "sums", "redact", "pseudonymise", "generalise", "coarsen", "shift", "cap", "round", "keep")
SHADES = 9  # of style.css: r0 to r8
LABEL = 64  # letters that fit beside each other


@dataclass(frozen=True, slots=True)
class Told:
    """What a picture says to those who do not see it."""

    title: str
    description: str


def drawing(name: str, height: float, parts: list[Markup], told: Told) -> Markup:
    """Return a whole picture. name: unique in the file."""
    head = [tag("title", told.title, id=f"{name}-title"), tag("desc", told.description, id=f"{name}-desc")]
    view = f"0 0 {WIDTH} {height:.0f}"
    labelled = f"{name}-title {name}-desc"
    return tag("svg", *head, *parts, viewBox=view, role="img", aria_labelledby=labelled, class_="picture")


def text(x: float, y: float, words: str, *, class_: str = "t", anchor: str | None = None) -> Markup:
    """Return one line of text on its base line."""
    return tag("text", words, x=x, y=y, class_=class_, text_anchor=anchor)


def box(x: float, y: float, *, width: float, height: float, **more: Attribute) -> Markup:
    """Return one rectangle."""
    return tag("rect", x=x, y=y, width=max(width, 0.0), height=max(height, 0.0), **more)


def rule(x1: float, y1: float, x2: float, y2: float, class_: str = "grid") -> Markup:
    """Return one straight line."""
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def dot(x: float, y: float, r: float, class_: str) -> Markup:
    return tag("circle", cx=x, cy=y, r=r, class_=class_)


def cross(x: float, y: float, r: float, class_: str) -> Markup:
    """Return a mark that is told from a dot without colour."""
    return tag("path", d=f"M{x - r:.1f} {y - r:.1f}l{2 * r} {2 * r}m0 {-2 * r}l{-2 * r} {2 * r}", class_=class_)


def attack(figures: Figures, words: Words, told: Told) -> Markup:
    """Three bars from 0 to 100 %."""
    axis = Axis(0, 1, 0, 336)
    rows = [
        ("before", figures.attack_before, "old"),
        ("after", figures.attack_after, "new"),
        ("chance", figures.attack_chance, "chance"),
    ]
    parts = []
    for number, (name, value, colour) in enumerate(rows):
        y = 56.0 * number
        parts += [text(0, y + 14, words.say(f"attack.{name}")), box(0, y + 21, width=336, height=20, class_="track")]
        parts += [box(0, y + 21, width=max(axis.at(value), 2) if value else 0, height=20, class_=colour)]
        parts += [text(WIDTH, y + 36, share(value), class_="n", anchor="end")]
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = axis.at(tick)
        parts += [rule(x, 164, x, 169), text(x, 182, f"{tick:.0%}", class_="s", anchor=edge(x))]
    return drawing(f"attack-{words.lang}", 186, parts, told)


def edge(x: float) -> str:
    """Return the anchor of a tick's label that stays inside the picture."""
    return "start" if x < 8 else "middle" if x < WIDTH - 12 else "end"


def classes(figures: Figures, details: Details, words: Words, told: Told) -> Markup:
    """Pairs of columns per size of class: the share of rows before and after; what is below k is shaded."""
    old, new = binned(details.class_sizes_before), binned(details.class_sizes_after)
    step, floor_y, full = WIDTH / len(BINS), 156.0, 124.0
    parts = []
    below = sum(1 for _, high in BINS if high is not None and high < figures.k_after)
    if below:
        parts += [box(0, 0, width=below * step, height=floor_y, class_="shade")]
        parts += [rule(below * step, 0, below * step, floor_y, "limit")]
        label = words.say("classes.below", k=figures.k_after)
        parts += [text(below * step - 6, 14, label, class_="s", anchor="end" if below > 1 else "start")]
    for number, (low, high) in enumerate(BINS):
        middle = (number + 0.5) * step
        parts += column(middle - 27, floor_y, full, part_of(old, number), "old")
        parts += column(middle + 1, floor_y, full, part_of(new, number), "new")
        parts += [text(middle, floor_y + 17, bin_name(low, high), anchor="middle")]
    parts += [rule(0, floor_y, WIDTH, floor_y, "axis")]
    parts += [text(WIDTH, floor_y + 34, words.say("classes.axis"), class_="s", anchor="end")]
    return drawing(f"classes-{words.lang}", 194, parts, told)


def part_of(bins: list[tuple[int, int]], number: int) -> float:
    """Return the share of all rows that one bin holds."""
    return bins[number][1] / (sum(rows for _, rows in bins) or 1)


def column(x: float, floor_y: float, full: float, value: float, class_: str) -> list[Markup]:
    """Return one upright bar with its share above."""
    if not value:
        return []
    height = max(full * value, 1.5)
    label = f"{value:.0%}" if value >= 0.01 else "<1%"
    return [
        box(x, floor_y - height, width=26, height=height, class_=class_),
        text(x + 13, floor_y - height - 4, label, class_="x", anchor="middle"),
    ]


def shades(details: Details) -> dict[str, int]:
    """Return the shade of each action present, 0 the darkest: most taken away first, unknown ones before the kept."""
    present = {action for actions in details.columns_by_action.values() for action, n in actions.items() if n}
    order = [a for a in ACTIONS[:-1] if a in present] + sorted(present - set(ACTIONS))
    order += [a for a in ACTIONS[-1:] if a in present]
    last = max(len(order) - 1, 1)
    return {action: round(place * (SHADES - 1) / last) for place, action in enumerate(order)}


def totals(details: Details) -> dict[int, int]:
    """Return how many columns of each level were treated."""
    return {level: sum(details.columns_by_action.get(str(level), {}).values()) for level in range(1, 6)}


def columns(details: Details, words: Words, told: Told) -> Markup:
    """One stacked bar per level, 1 to 5."""
    colours = shades(details)
    axis = Axis(0, max([*totals(details).values(), 1]), 64, 364)
    parts = []
    for row, level in enumerate(range(1, 6)):
        y, done = 32.0 * row, 0
        parts += [text(0, y + 19, words.say("columns.level", level=level))]
        for action, shade in colours.items():
            amount = details.columns_by_action.get(str(level), {}).get(action, 0)
            parts += segment(axis.at(done), axis.at(done + amount), y + 3, amount, shade)
            done += amount
        parts += [text(axis.at(done) + 8, y + 19, count(done), class_="n")]
    return drawing(f"columns-{words.lang}", 160, parts, told)


def segment(start: float, stop: float, y: float, amount: int, shade: int) -> list[Markup]:
    """Return one action's part of a bar, its number inside where there is room."""
    if not amount:
        return []
    drawn = [box(start, y, width=stop - start, height=23, class_=f"seg r{shade}")]
    if stop - start >= 16:
        drawn.append(text((start + stop) / 2, y + 16, count(amount), class_=f"x on{shade}", anchor="middle"))
    return drawn


def wall(figures: Figures, details: Details, words: Words, told: Told) -> Markup:
    """Bytes by kind on a logarithmic scale; raw rows first, as a number that is there to be zero."""
    kinds = sorted(details.bytes_by_kind.items(), key=lambda item: -item[1])
    axis = byte_axis(max([n for _, n in kinds] or [1]), 0, WIDTH - 72)
    mark = "zero" if figures.raw_rows_left == 0 else "bad"
    parts = [text(0, 14, words.say("wall.raw")), rule(0, 27, WIDTH - 72, 27, "none-line")]
    rows = words.say("wall.raw_value", rows=count(figures.raw_rows_left))
    parts += [text(WIDTH, 31, rows, class_=f"n {mark}", anchor="end"), rule(0, 19, 0, 35, "axis")]
    bottom = 40.0 * (len(kinds) + 1)
    for number, (kind, amount) in enumerate(kinds, start=1):
        y = 40.0 * number
        parts += [text(0, y + 14, words.name("kind", kind))]
        parts += [box(0, y + 20, width=max(axis.at(amount), 1.5) if amount else 0, height=14, class_="new")]
        parts += [text(WIDTH, y + 31, size(amount), class_="n", anchor="end")]
    ticks = [(1, "1 B"), (10**3, "1 kB"), (10**6, "1 MB"), (10**9, "1 GB"), (10**12, "1 TB")]
    for value, label in ticks:
        if value <= axis.high:
            x = axis.at(value)
            parts += [rule(x, bottom, x, bottom + 5), text(x, bottom + 18, label, class_="s", anchor=edge(x))]
    return drawing(f"wall-{words.lang}", bottom + 22, parts, told)


def forest(effects: list[Effect], words: Words, told: Told) -> Markup:
    """One row per factor: the pooled interval as a pale band with a ring, the federated line and dot drawn on it."""
    ends = [v for e in effects for v in (e.low, e.high, e.pooled_low, e.pooled_high)]
    axis = ratio_axis(ends, 6, WIDTH - 6)
    bottom = 46.0 * len(effects)
    parts = [rule(axis.at(t), 0, axis.at(t), bottom) for t in ratio_ticks(axis) if t != 1]
    parts += [rule(axis.at(1), 0, axis.at(1), bottom, "one")]
    for number, effect in enumerate(effects):
        parts += effect_row(effect, words.name("factor", effect.name), axis, 46.0 * number)
    parts += [
        text(axis.at(t), bottom + 14, f"{t:g}", class_="s", anchor="middle" if 10 < axis.at(t) < WIDTH - 10 else None)
        for t in ratio_ticks(axis)
    ]
    parts += [text(WIDTH, bottom + 31, words.say("forest.axis"), class_="s", anchor="end")]
    return drawing(f"forest-{words.lang}", bottom + 36, parts, told)


def effect_row(effect: Effect, name: str, axis: Axis, y: float) -> list[Markup]:
    """Return one factor: its name and figures above, its two marks below."""
    figures = f"{effect.odds_ratio:.2f} ({effect.low:.2f}–{effect.high:.2f})"
    parts = [text(0, y + 14, name, class_="t halo"), text(WIDTH, y + 14, figures, class_="n halo", anchor="end")]
    middle = y + 27
    pooled = (effect.pooled_low, effect.pooled_odds_ratio, effect.pooled_high)
    if all(isfinite(v) and v > 0 for v in pooled):
        parts += [rule(axis.at(pooled[0]), middle, axis.at(pooled[2]), middle, "pooled")]
        parts += [dot(axis.at(pooled[1]), middle, 6.5, "ring")]
    if all(isfinite(v) and v > 0 for v in (effect.low, effect.odds_ratio, effect.high)):
        parts += [rule(axis.at(effect.low), middle, axis.at(effect.high), middle, "fed")]
        parts += [dot(axis.at(effect.odds_ratio), middle, 3.2, "dot")]
    return parts


def logs(figures: Figures, details: Details, words: Words, told: Told) -> Markup:
    """A line per log with its checkpoints by size; the forged one branches off in red where it was found."""
    largest = max([entries for _, entries, _ in details.checkpoints] or [1])
    axis = Axis(0, max(largest, 1), 6, WIDTH - 10)
    parts: list[Markup] = []
    y = 0.0
    for name in dict.fromkeys(log for log, _, _ in details.checkpoints):
        forged = [entries for log, entries, is_forged in details.checkpoints if log == name and is_forged]
        honest = [entries for log, entries, is_forged in details.checkpoints if log == name and not is_forged]
        parts += log_row(name, honest, axis, y)
        if forged:
            parts += branch(figures.forged_log_found, forged, axis, y)
            lines = forged_label(figures, details, words)
            parts += [text(0, y + 66 + 15 * row, line, class_="s bad") for row, line in enumerate(lines)]
            y += 21 + 15 * len(lines)
        y += 38
    for tick in entry_ticks(largest):
        x = axis.at(tick)
        parts += [rule(x, y + 4, x, y + 9), text(x, y + 22, count(tick), class_="s", anchor=edge(x))]
    parts += [text(WIDTH, y + 39, words.say("logs.axis"), class_="s", anchor="end")]
    return drawing(f"logs-{words.lang}", y + 44, parts, told)


def log_row(name: str, honest: list[int], axis: Axis, y: float) -> list[Markup]:
    """Return one log as its line and its cosigned checkpoints."""
    parts = [text(0, y + 14, name), rule(axis.start, y + 28, axis.at(max([*honest, 0])), y + 28, "line")]
    return parts + [dot(axis.at(entries), y + 28, 3.2, "dot") for entries in honest]


def branch(found: int | None, forged: list[int], axis: Axis, y: float) -> list[Markup]:
    """Return the forged history: it leaves the line at the first wrong entry and ends in crosses."""
    start, end, high, low = axis.at(found or 0), axis.at(max(forged)), y + 28, y + 46
    bend = min(start + 16, max(end, start))
    path = f"M{start:.1f} {high:.1f}C{bend:.1f} {high:.1f} {start:.1f} {low:.1f} {bend:.1f} {low:.1f}H{end:.1f}"
    return [tag("path", d=path, class_="forged"), *(cross(axis.at(entries), low, 4.5, "cross") for entries in forged)]


def forged_label(figures: Figures, details: Details, words: Words) -> list[str]:
    """Return where the forgery begins and who contradicts it, cut where it would leave the picture."""
    contradicted = words.say("logs.contradicted", by=details.contradicted_by or words.say("proof.nobody"))
    if len(contradicted) > LABEL:
        contradicted = contradicted[: LABEL - 1] + "…"
    if figures.forged_log_found is None:
        return [contradicted]
    return [words.say("logs.from", index=count(figures.forged_log_found)), contradicted]


def swatch(class_: str, words: str) -> Markup:
    """Return one item of a legend; its mark is a small drawing so that it prints."""
    mark = join([box(0, 0, width=12, height=12, class_=class_)])
    return tag("li", tag("svg", mark, viewBox="0 0 12 12", class_="swatch", aria_hidden="true"), words)
