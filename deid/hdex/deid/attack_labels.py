"""What a released label tells: the values that may stand behind `60-69`, `I63*`, `I60-I69`, `2024-Q1`, `90+` or `*`.

An attacker does not ask for the hierarchy: the labels of a release say what they hold. Days and numbers are read as
closed intervals, so that a value known only to the month, or moved by a secret shift, is compared by overlap.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hdex.deid.attackers import Reads
from hdex.deid.dates import read_date
from hdex.deid.hierarchy import ANY, Hierarchy, as_text

Mask = NDArray[np.bool_]
Interval = tuple[float, float]
NUMBER = r"-?\d+(?:\.\d+)?"
WHOLE = re.compile(rf"({NUMBER})-({NUMBER})")  # 60-69
HALF_OPEN = re.compile(rf"({NUMBER})-<({NUMBER})")  # 60-<70
ARX = re.compile(rf"([\[\]\(])\s*({NUMBER})\s*[,;]\s*({NUMBER})\s*([\[\]\)])")  # [20, 40[ and its kin
ABOVE = re.compile(rf"(?:({NUMBER})\+|(>=|≥|>)\s*({NUMBER}))")
BELOW = re.compile(rf"(<=|≤|<)\s*({NUMBER})")
DAY = re.compile(r"(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2}(?:\.\d+)?))?.*)?")
SPAN = re.compile(r"(\d{4})(?:-(?:(\d{2})|Q(\d)|H(\d)))?")  # a month, quarter, half or year
MASKED = re.compile(r"([^*]+)(\*+)")
CODE = re.compile(r"[A-Z](?:\d[0-9A-Z](?:\.?[0-9A-Z]{1,4})?)?")  # ICD-10: chapter letter, category, subcategory
BLOCK = re.compile(r"([A-Z]\d[0-9A-Z])-([A-Z]\d[0-9A-Z])")  # E10-E19
MOMENT = 1e-9
LAST_DAY = date(9999, 1, 1).toordinal()  # years that stand for `still open`


class Kind(StrEnum):
    """What the values of a column are."""

    NUMBER = "number"
    DATE = "date"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Labels:
    """The distinct labels of one released column."""

    kind: Kind
    places: Mapping[str | None, int]  # label -> its number
    low: NDArray[np.float64]  # NaN where a label is no interval
    high: NDArray[np.float64]
    always: Mask  # labels that hold every value, or may
    starts: tuple[tuple[str, int, int], ...]  # beginning, asked length (0: any), number of the label
    members: Mapping[str, tuple[int, ...]]  # value -> labels that list it
    shift_days: int = 0  # dates were moved by at most so many days

    def holding(self, text: str | None, reads: Reads = Reads.EXACT) -> Mask:
        """Which labels a value may read as. reads: how exactly the attacker knows it."""
        found = self.always.copy()
        place = self.places.get(text)
        if place is not None:
            found[place] = True
        if text is None:
            return found
        for other in self.members.get(text, ()):
            found[other] = True
        for start, length, number in self.starts:
            found[number] |= text.startswith(start) and length in (0, len(text))
        span = interval_of(text, self.kind, reads)
        if span is not None and self.kind is Kind.TEXT:
            span = span[0], span[0]  # a code that is known is that code, not those below it
        if span is not None:
            reach = self.shift_days if self.kind is Kind.DATE else 0
            found |= (self.low - reach <= span[1]) & (self.high + reach >= span[0])
        return found


def read_labels(
    released: pl.Series,
    kind: Kind,
    *,
    raw: pl.Series | None = None,
    ladder: Hierarchy | None = None,
    shift_days: int = 0,
) -> Labels:
    """The distinct labels of a released column, in order of appearance.

    raw: the column before, where it is known. A label that is none of its values and says nothing by itself (the name
    of a group, without `ladder`) may then hold any of them; so may a NULL where it had none: a cell left out.
    """
    texts: list[str | None] = as_text(released).unique(maintain_order=True).to_list()
    low, high = np.full(len(texts), np.nan), np.full(len(texts), np.nan)
    values = None if raw is None else frozenset(as_text(raw).unique().to_list())
    always = np.array([text == ANY for text in texts], dtype=np.bool_)
    starts: list[tuple[str, int, int]] = []
    members: dict[str, tuple[int, ...]] = leaves_of(ladder, texts)
    named = {texts[number] for places in members.values() for number in places}
    for number, text in enumerate(texts):
        span = None if text is None else interval_of(text, kind)
        if text is None or (span is None and text in named):
            always[number] = text is None and values is not None and None not in values
        elif span is not None:
            low[number], high[number] = span
        elif masked := MASKED.fullmatch(text):
            starts.append((masked[1], len(text) if len(masked[2]) > 1 else 0, number))
        elif text.startswith("{") and text.endswith("}"):
            for member in text[1:-1].split(","):
                members[member.strip()] = (*members.get(member.strip(), ()), number)
        elif values is not None and text not in values:
            always[number] = True
    told = {text: number for number, text in enumerate(texts)}
    return Labels(kind, told, low, high, always, tuple(starts), members, shift_days)


def leaves_of(ladder: Hierarchy | None, texts: Sequence[str | None]) -> dict[str, tuple[int, ...]]:
    """Value -> numbers of the labels above it in the hierarchy."""
    if ladder is None:
        return {}
    numbers = {text: number for number, text in enumerate(texts) if text is not None}
    found: dict[str, set[int]] = {}
    for level in ladder.levels[1:]:
        for leaf, label in zip(ladder.levels[0], level, strict=True):
            if leaf is not None and label in numbers:
                found.setdefault(leaf, set()).add(numbers[label])
    return {leaf: tuple(sorted(places)) for leaf, places in found.items()}


def kind_of(values: pl.Series) -> Kind:
    """What the raw column holds: numbers and dates by type, or text that is one or the other throughout."""
    if values.dtype in (pl.Date, pl.Datetime):
        return Kind.DATE
    if values.dtype.is_numeric():
        return Kind.NUMBER
    if values.dtype != pl.String:
        return Kind.TEXT
    present = values.drop_nulls().unique(maintain_order=True).head(500).to_list()
    if present and all(interval_of(text, Kind.DATE) is not None and len(text) > 4 for text in present):
        return Kind.DATE
    numbers = [re.fullmatch(NUMBER, text) for text in present]
    has_code = any(re.fullmatch(r"0\d+", text) for text in present)  # a leading zero makes a code
    return Kind.NUMBER if present and all(numbers) and not has_code else Kind.TEXT


def interval_of(text: str, kind: Kind, reads: Reads = Reads.EXACT) -> Interval | None:
    """The closed interval of numbers, of days since the year 1, or of codes, that a value or label stands for.

    None for other text.
    """
    if kind is Kind.TEXT:
        return code_interval(text)
    return number_interval(text) if kind is Kind.NUMBER else coarsened(date_interval(text), reads)


def code_interval(text: str) -> Interval | None:
    """All codes below a node of an ICD-10 tree (E11.6, E11, E10-E19, E), as fractions in base 37."""
    found = BLOCK.fullmatch(text)
    if found:
        return code_place(found[1]), code_place(found[2]) + below(found[2])
    return (code_place(text), code_place(text) + below(text)) if CODE.fullmatch(text) else None


def code_place(code: str) -> float:
    """Where a code stands among all: a digit counts more than no digit, so E11 comes before E11.0."""
    digits = code.replace(".", "")
    return sum((int(digit, 36) + 1) * 37.0 ** -(place + 1) for place, digit in enumerate(digits))


def below(code: str) -> float:
    """How far the codes that begin with this one reach."""
    return 37.0 ** -len(code.replace(".", "")) * (1 - MOMENT)


def number_interval(text: str) -> Interval | None:
    """60, 60-69, 60-<70, 90+, >=90, <18, [20, 40[."""
    if re.fullmatch(NUMBER, text):
        return float(text), float(text)
    if found := WHOLE.fullmatch(text):
        return float(found[1]), float(found[2])
    if found := HALF_OPEN.fullmatch(text):
        return float(found[1]), before(float(found[2]))
    if found := ARX.fullmatch(text):
        low, high = float(found[2]), float(found[3])
        return low if found[1] == "[" else after(low), high if found[4] == "]" else before(high)
    if found := ABOVE.fullmatch(text):
        low = float(found[1] or found[3])
        return after(low) if found[2] == ">" else low, math.inf
    if found := BELOW.fullmatch(text):
        high = float(found[2])
        return -math.inf, before(high) if found[1] == "<" else high
    return None


def before(number: float) -> float:
    """The number just below."""
    return math.nextafter(number, -math.inf)


def after(number: float) -> float:
    """The number just above."""
    return math.nextafter(number, math.inf)


def date_interval(text: str) -> Interval | None:
    """A moment, day, month, quarter, half or year as days; a day also as `dates.read_date` knows it."""
    try:
        if found := DAY.fullmatch(text):
            return day_interval(found)
        if found := SPAN.fullmatch(text):
            return span_interval(found)
    except ValueError:
        return None
    day = read_date(text)
    return None if day is None else (day.toordinal(), day.toordinal() + 1 - MOMENT)


def day_interval(found: re.Match[str]) -> Interval:
    """A day, or a moment of it."""
    day = date(int(found[1]), int(found[2]), int(found[3])).toordinal()
    if found[4] is None:
        return day, day + 1 - MOMENT
    moment = day + (int(found[4]) * 3600 + int(found[5]) * 60 + float(found[6] or 0)) / 86400
    return moment, moment


def span_interval(found: re.Match[str]) -> Interval:
    """A month, quarter, half or year."""
    year = int(found[1])
    parts = ((found[2], 1), (found[3], 3), (found[4], 6))
    number, months = next(((int(part), length) for part, length in parts if part), (1, 12))
    first = (number - 1) * months
    end = first + months
    last = date(year + end // 12, end % 12 + 1, 1)
    return date(year, first + 1, 1).toordinal(), last.toordinal() - MOMENT


def coarsened(span: Interval | None, reads: Reads) -> Interval | None:
    """The month or year around a day, as somebody remembers it who did not see the record."""
    if span is None or reads is Reads.EXACT or span[1] >= LAST_DAY:
        return span
    first, last = (date.fromordinal(int(day)) for day in span)
    if reads is Reads.YEAR:
        return date(first.year, 1, 1).toordinal(), date(last.year + 1, 1, 1).toordinal() - MOMENT
    end = date(last.year + last.month // 12, last.month % 12 + 1, 1)
    return date(first.year, first.month, 1).toordinal(), end.toordinal() - MOMENT
