"""Values of constraints and how two of them compare: numbers, instants, durations, truth values, names, words.

Three answers everywhere: yes, no, and None where the values cannot be compared.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import StrEnum

from hdex.catalog.odrl.graph import Iri, Literal, Term
from hdex.catalog.odrl.names import XSD

_NUMBERS = frozenset(
    XSD + name
    for name in (
        "integer", "decimal", "double", "float", "int", "long", "short", "byte", "nonNegativeInteger",
        "positiveInteger", "nonPositiveInteger", "negativeInteger", "unsignedInt", "unsignedLong", "unsignedShort",
    )
)  # fmt: skip
_INSTANTS = frozenset(XSD + name for name in ("dateTime", "dateTimeStamp", "date", "gYear", "gYearMonth"))
_DURATIONS = frozenset(XSD + name for name in ("duration", "dayTimeDuration", "yearMonthDuration"))
_STRING = XSD + "string"
_NUMBER = re.compile(r"[+-]?(?:\d{1,40}(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][+-]?\d{1,3})?")
_DURATION = re.compile(
    r"(-)?P(?:(\d{1,9})Y)?(?:(\d{1,9})M)?(?:(\d{1,9})W)?(?:(\d{1,9})D)?"
    r"(?:T(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9}(?:\.\d{1,9})?)S)?)?"
)
_ZONE = r"(Z|[+-]\d\d:\d\d)?"
_DAY = re.compile(r"(\d{4}-\d\d-\d\d)" + _ZONE)
_MONTH = re.compile(r"(\d{4})-(\d\d)" + _ZONE)
_YEAR = re.compile(r"(\d{4})" + _ZONE)
DAY_S = 86_400


class Verdict(StrEnum):
    """Whether a condition holds."""

    SATISFIED = "satisfied"
    UNSATISFIED = "unsatisfied"
    UNKNOWN = "unknown"


def verdict(held: bool | None) -> Verdict:
    """Return yes, no or None as a verdict."""
    if held is None:
        return Verdict.UNKNOWN
    return Verdict.SATISFIED if held else Verdict.UNSATISFIED


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time from `start` to before `end`, both UTC; a moment where they are equal."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Duration:
    """Calendar months and seconds, which do not convert: a month has 28 to 31 days."""

    months: int
    seconds: Decimal

    def bounds(self) -> tuple[Decimal, Decimal]:
        """Return the least and the most seconds this can be."""
        ends = [Decimal(self.months * days * DAY_S) + self.seconds for days in (28, 31)]
        return min(ends), max(ends)


def order(left: Term, right: Term) -> int | None:
    """Return -1, 0 or 1 as left is before, at or after right; None where that cannot be said."""
    if isinstance(left, Iri) or isinstance(right, Iri):
        return None
    kinds = {left.datatype, right.datatype} - {_STRING}
    if kinds & _INSTANTS or (not kinds and _is_span(left) and _is_span(right)):
        return _order_spans(span(left), span(right))
    if kinds & _DURATIONS or (not kinds and _is_duration(left) and _is_duration(right)):
        return _order_durations(duration(left.text), duration(right.text))
    one, other = number(left), number(right)
    return None if one is None or other is None else (one > other) - (one < other)


def same(left: Term, right: Term) -> bool | None:
    """Return whether two values are the same; None where their kinds cannot be compared."""
    if left.text == right.text:
        return True
    if isinstance(left, Iri) or isinstance(right, Iri):
        return False
    found = order(left, right)
    if found is not None:
        return found == 0
    kinds = {left.datatype, right.datatype}
    if kinds & (_INSTANTS | _DURATIONS | _NUMBERS):
        return None
    if kinds == {XSD + "boolean"} or kinds == {XSD + "boolean", _STRING}:
        return {"1": "true", "0": "false"}.get(left.text, left.text) == {"1": "true", "0": "false"}.get(
            right.text, right.text
        )
    return False


def number(value: Literal) -> Decimal | None:
    """Return a number, or None for what is none."""
    if value.datatype not in _NUMBERS | {_STRING} or not _NUMBER.fullmatch(value.text.strip()):
        return None
    try:
        return Decimal(value.text.strip())
    except InvalidOperation:
        return None


def span(value: Literal) -> Span | None:
    """Return the stretch of time a value names: a moment, a day, a month or a year; without a zone it is UTC."""
    text = value.text.strip()
    try:
        if day := _DAY.fullmatch(text):
            start = _moment(f"{day[1]}T00:00:00{day[2] or ''}")
            return Span(start, start + timedelta(days=1))
        if month := _MONTH.fullmatch(text):
            start = _moment(f"{month[1]}-{month[2]}-01T00:00:00{month[3] or ''}")
            return Span(start, (start + timedelta(days=31)).replace(day=1))
        if year := _YEAR.fullmatch(text):
            start = _moment(f"{year[1]}-01-01T00:00:00{year[2] or ''}")
            return Span(start, start.replace(year=start.year + 1))
        moment = _moment(text)
    except (ValueError, OverflowError):
        return None
    return Span(moment, moment)


def duration(text: str) -> Duration | None:
    """Return an ISO 8601 duration, or None for what is none."""
    match = _DURATION.fullmatch(text.strip())
    if match is None or text.strip().endswith(("P", "T")):
        return None
    sign, years, months, weeks, days, hours, minutes, seconds = match.groups(default="0")
    factor = -1 if sign == "-" else 1
    whole = (int(weeks) * 7 + int(days)) * DAY_S + int(hours) * 3600 + int(minutes) * 60
    return Duration(factor * (int(years) * 12 + int(months)), factor * (whole + Decimal(seconds)))


def instant(moment: datetime) -> Literal:
    """Return a moment as a value; without a zone it is UTC."""
    zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return Literal(zoned.isoformat().replace("+00:00", "Z"), XSD + "dateTime")


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if "T" not in text and " " not in text:
        date.fromisoformat(text)
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def _is_span(value: Literal) -> bool:
    return len(value.text) > len("2026") and span(value) is not None


def _is_duration(value: Literal) -> bool:
    return value.text.strip().lstrip("-").startswith("P") and duration(value.text) is not None


def _order_spans(left: Span | None, right: Span | None) -> int | None:
    if left is None or right is None:
        return None
    if left == right:
        return 0
    if left.start == left.end and right.start <= left.start < right.end:
        return 0  # a moment within the day asked
    if right.start == right.end and left.start <= right.start < left.end:
        return 0
    if left.start < right.start and left.end <= right.start:
        return -1
    if right.start < left.start and right.end <= left.start:
        return 1
    return None  # they overlap


def _order_durations(left: Duration | None, right: Duration | None) -> int | None:
    if left is None or right is None:
        return None
    if left == right:
        return 0
    if left.months == right.months:
        return (left.seconds > right.seconds) - (left.seconds < right.seconds)
    (low, high), (least, most) = left.bounds(), right.bounds()
    if high < least:
        return -1
    return 1 if low > most else None
