"""Where a value stands in a picture: linear and logarithmic axes, bins. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, floor, isfinite, log, log10

BINS = ((1, 1), (2, 4), (5, 9), (10, 19), (20, 49), (50, None))
RATIOS = {  # width of the axis up to -> the ratios worth a tick
    2.2: (0.6, 0.7, 0.8, 0.9, 1.1, 1.2, 1.3, 1.5, 1.75),
    12: (0.1, 0.2, 0.3, 0.5, 0.7, 1.5, 2, 3, 5, 7, 10),
    2501: (0.02, 0.05, 0.1, 0.2, 0.5, 2, 5, 10, 20, 50),
}


@dataclass(frozen=True, slots=True)
class Axis:
    """Maps [low, high] onto [start, stop]; what lies outside stands at the edge."""

    low: float
    high: float
    start: float
    stop: float
    is_log: bool = False

    def at(self, value: float) -> float:
        """Return the position of a value."""
        held = min(max(value, self.low), self.high)
        if self.is_log:
            part = log(held / self.low) / log(self.high / self.low)
        else:
            part = (held - self.low) / (self.high - self.low)
        return self.start + part * (self.stop - self.start)


def ratio_axis(values: list[float], start: float, stop: float) -> Axis:
    """Return a logarithmic axis that holds 1 and the values, no wider than 1/50 to 50."""
    usable = [min(max(value, 0.02), 50.0) for value in values if isfinite(value) and value > 0]
    low, high = min([*usable, 0.9]), max([*usable, 1.1])
    return Axis(low / 1.04, high * 1.04, start, stop, is_log=True)


def ratio_ticks(axis: Axis) -> list[float]:
    """Return round ratios on the axis, 1 among them, far enough apart to be read."""
    pool = next((ticks for width, ticks in RATIOS.items() if axis.high / axis.low <= width), RATIOS[2501])
    kept = [1.0]
    for tick in sorted((t for t in pool if axis.low <= t <= axis.high), key=lambda t: abs(log(t))):
        if all(abs(axis.at(tick) - axis.at(other)) >= 30 for other in kept):
            kept.append(float(tick))
    return sorted(kept)


def byte_axis(largest: int, start: float, stop: float) -> Axis:
    """Return a logarithmic axis from 1 byte to the next power of ten."""
    return Axis(1, 10.0 ** max(3, ceil(log10(max(largest, 1)))), start, stop, is_log=True)


def entry_ticks(largest: int) -> list[int]:
    """Return 0 and up to five round sizes of a log."""
    if largest < 1:
        return [0]
    unit = 10 ** floor(log10(largest))
    step = next(s for s in (unit // 5, unit // 2, unit, unit * 2) if s and largest / s <= 5)
    return list(range(0, largest + 1, step))


def bin_name(low: int, high: int | None) -> str:
    """Return a bin as people read it: 1, 2–4, 50+."""
    if high is None:
        return f"{low}+"
    return f"{low}" if low == high else f"{low}–{high}"


def binned(sizes: Mapping[int, int]) -> list[tuple[int, int]]:
    """Return (classes, rows) of each bin; sizes: size of class -> number of classes."""
    inside = [[(s, n) for s, n in sizes.items() if s >= low and (high is None or s <= high)] for low, high in BINS]
    return [(sum(n for _, n in held), sum(s * n for s, n in held)) for held in inside]
