"""Dates as people write them: read, move by days, write back in the same form."""

from __future__ import annotations

import re
from datetime import date, timedelta

from hdex.deid.folding import fold

_MONTHS = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)
_SHORT = [m[:3] for m in _MONTHS]
_REFERENCE_YEAR = 2023  # a date without a year moves inside an ordinary year

_NUMERIC = re.compile(r"(?P<a>\d{1,4})(?P<s1>[-/.])(?P<b>\d{1,2})(?P<s2>[-/.])(?P<c>\d{1,4})(?P<rest>.*)", re.DOTALL)
_PLAIN = re.compile(r"(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})")
_HAN = re.compile(
    r"(?:(?P<y>\d{4})(?P<g1>\s?年\s?))?(?P<m>\d{1,2})(?P<g2>\s?月\s?)(?:(?P<d>\d{1,2})(?P<g3>\s?[日号]))?(?P<rest>.*)",
    re.DOTALL,
)
_MONTH_FIRST = re.compile(
    r"(?P<name>[A-Za-z]{3,9})(?P<g1>\.? )(?P<d>\d{1,2})(?P<th>st|nd|rd|th)?(?:(?P<g2>,? (?:of )?'?)(?P<y>\d{4}))?"
)
_DAY_FIRST = re.compile(
    r"(?P<d>\d{1,2})(?P<th>st|nd|rd|th)?(?P<g1>[ -](?:of )?)(?P<name>[A-Za-z]{3,9})(?:(?P<g2>[,.]? ?-?)(?P<y>\d{4}))?"
)
_MONTH_YEAR = re.compile(r"(?P<name>[A-Za-z]{3,9})(?P<g2>\.?,? (?:of )?)(?P<y>\d{4})")
_SLASH = re.compile(r"(?P<m>\d{1,2})/(?P<d>\d{1,2})")


def shift_text(surface: str, days: int) -> str | None:
    """Return the date moved by `days`, written as it was; None when it cannot be read or `days` is 0."""
    if days == 0:
        return None
    text = fold(surface).text
    for reader in (_numeric, _plain, _han, _month_first, _day_first, _month_year, _slash):
        try:
            if moved := reader(text, timedelta(days=days)):
                return moved
        except (ValueError, OverflowError):  # 31 February, or past the calendar: not a date we can move
            continue
    return None


def spellings(day: date) -> list[str]:
    """Return the ways `day` is usually written, lower case."""
    y, m, d = day.year, day.month, day.day
    long, short = _MONTHS[m - 1], _SHORT[m - 1]
    ways = [f"{y}年{m}月{d}日", f"{y}年{m:02d}月{d:02d}日", f"{y}年{m}月{d}号", f"{y}{m:02d}{d:02d}"]
    for sep in "-/.":
        ways += [f"{y}{sep}{m:02d}{sep}{d:02d}", f"{y}{sep}{m}{sep}{d}"]
        ways += [
            f"{m:02d}{sep}{d:02d}{sep}{y}",
            f"{m}{sep}{d}{sep}{y}",
            f"{d:02d}{sep}{m:02d}{sep}{y}",
            f"{d}{sep}{m}{sep}{y}",
        ]
    ways += [f"{m:02d}/{d:02d}/{y % 100:02d}", f"{m}/{d}/{y % 100:02d}"]
    for name in (long, short, short + "."):
        ways += [
            f"{name} {d}, {y}",
            f"{name} {d} {y}",
            f"{name} {d:02d}, {y}",
            f"{d} {name} {y}",
            f"{d:02d} {name} {y}",
            f"{d}-{name}-{y}",
            f"{d:02d}-{name}-{y}",
        ]
        ways += [
            f"{name} {d}{_ordinal(d)}, {y}",
            f"{name} {d}{_ordinal(d)} {y}",
            f"{d}{_ordinal(d)} {name} {y}",
            f"{d}{_ordinal(d)} of {name} {y}",
        ]
    return list(dict.fromkeys(ways))


def read_date(value: str) -> date | None:
    """Return the date a structured cell holds (ISO, Chinese, or month first), or None."""
    text = fold(value.strip()).text
    for pattern in (r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})", r"(\d{4})(\d{2})(\d{2})(?!\d)"):
        if found := re.match(pattern, text):
            return _safe(int(found[1]), int(found[2]), int(found[3]))
    if found := re.match(r"(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})", text):
        first, second, year = int(found[1]), int(found[2]), int(found[3])
        return _safe(year, second, first) if first > 12 else _safe(year, first, second)
    return None


def _safe(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _ordinal(day: int) -> str:
    return "th" if 11 <= day <= 13 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")


def _like(number: int, sample: str) -> str:
    """Write a number as wide as the sample where the sample is padded."""
    return f"{number:0{len(sample)}d}" if sample.startswith("0") or len(sample) == 2 else str(number)


def _padded(number: int, sample: str) -> str:
    """Write a number with a leading zero where the sample has one."""
    return f"{number:02d}" if sample.startswith("0") else str(number)


def _month_of(name: str) -> int:
    short = name.lower()[:3]
    if short not in _SHORT or not _MONTHS[_SHORT.index(short)].startswith(name.lower()[:3]):
        raise ValueError("no month")
    return _SHORT.index(short) + 1


def _month_like(month: int, sample: str) -> str:
    name = _MONTHS[month - 1] if len(sample) > 4 or sample.lower() in _MONTHS else _SHORT[month - 1]
    return name.upper() if sample.isupper() else name.capitalize() if sample[0].isupper() else name


def _numeric(text: str, by: timedelta) -> str | None:
    found = _NUMERIC.fullmatch(text)
    if not found:
        return None
    a, b, c, s1, s2 = found["a"], found["b"], found["c"], found["s1"], found["s2"]
    if len(a) == 4:
        moved = date(int(a), int(b), int(c)) + by
        return f"{moved.year}{s1}{_like(moved.month, b)}{s2}{_like(moved.day, c)}{found['rest']}"
    year = int(c) if len(c) == 4 else 2000 + int(c) if int(c) < 50 else 1900 + int(c)
    day_first = int(a) > 12 or (s1 == "." and int(b) <= 12)
    moved = (date(year, int(b), int(a)) if day_first else date(year, int(a), int(b))) + by
    one, two = (moved.day, moved.month) if day_first else (moved.month, moved.day)
    tail = str(moved.year) if len(c) == 4 else f"{moved.year % 100:02d}"
    return f"{_like(one, a)}{s1}{_like(two, b)}{s2}{tail}{found['rest']}"


def _plain(text: str, by: timedelta) -> str | None:
    found = _PLAIN.fullmatch(text)
    return f"{date(int(found['y']), int(found['m']), int(found['d'])) + by:%Y%m%d}" if found else None


def _han(text: str, by: timedelta) -> str | None:
    found = _HAN.fullmatch(text)
    if not found or not (found["y"] or found["d"]):
        return None
    moved = date(int(found["y"] or _REFERENCE_YEAR), int(found["m"]), int(found["d"] or 15)) + by
    year = f"{moved.year}{found['g1']}" if found["y"] else ""
    day = f"{_padded(moved.day, found['d'])}{found['g3']}" if found["d"] else ""
    month = _padded(moved.month, found["m"])
    return f"{year}{month}{found['g2']}{day}{found['rest']}"


def _month_first(text: str, by: timedelta) -> str | None:
    found = _MONTH_FIRST.fullmatch(text)
    if not found:
        return None
    moved = date(int(found["y"] or _REFERENCE_YEAR), _month_of(found["name"]), int(found["d"])) + by
    tail = f"{found['g2']}{moved.year}" if found["y"] else ""
    th = _ordinal(moved.day) if found["th"] else ""
    return f"{_month_like(moved.month, found['name'])}{found['g1']}{moved.day}{th}{tail}"


def _day_first(text: str, by: timedelta) -> str | None:
    found = _DAY_FIRST.fullmatch(text)
    if not found:
        return None
    moved = date(int(found["y"] or _REFERENCE_YEAR), _month_of(found["name"]), int(found["d"])) + by
    tail = f"{found['g2']}{moved.year}" if found["y"] else ""
    th = _ordinal(moved.day) if found["th"] else ""
    return f"{_padded(moved.day, found['d'])}{th}{found['g1']}{_month_like(moved.month, found['name'])}{tail}"


def _month_year(text: str, by: timedelta) -> str | None:
    found = _MONTH_YEAR.fullmatch(text)
    if not found:
        return None
    moved = date(int(found["y"]), _month_of(found["name"]), 15) + by
    return f"{_month_like(moved.month, found['name'])}{found['g2']}{moved.year}"


def _slash(text: str, by: timedelta) -> str | None:
    found = _SLASH.fullmatch(text)
    if not found:
        return None
    moved = date(_REFERENCE_YEAR, int(found["m"]), int(found["d"])) + by
    return f"{_like(moved.month, found['m'])}/{_like(moved.day, found['d'])}"
