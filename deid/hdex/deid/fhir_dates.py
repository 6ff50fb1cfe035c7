"""FHIR dates: moved by days with their precision kept, or told as a year."""

from __future__ import annotations

import re
from datetime import date, timedelta

_SHAPE = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2})(T[\d:.]+(?:Z|[+-]\d{2}:\d{2})?)?)?)?")


def shift_fhir(text: str, days: int) -> str | None:
    """Return a FHIR date, dateTime or instant moved by whole days, as precise as it was; None when it is none.

    A month counts as its 15th, a year as its 2 July; hour and zone stay as they are.
    """
    parts = _parts(text)
    if parts is None:
        return None
    year, month, day, clock = parts
    try:
        moved = date(year, month or 7, day or (15 if month else 2)) + timedelta(days=days)
    except (ValueError, OverflowError):  # 31 February, or past the calendar
        return None
    if month is None:
        return f"{moved.year:04d}"
    if day is None:
        return f"{moved.year:04d}-{moved.month:02d}"
    return f"{moved.isoformat()}{clock}"


def year_of(text: str) -> str | None:
    """Return the year of a FHIR date; None when it is none."""
    parts = _parts(text)
    return None if parts is None else f"{parts[0]:04d}"


def day_of(text: object) -> date | None:
    """Return the day a FHIR date says, a month as its first, a year as 1 January; None when it is none."""
    parts = _parts(text) if isinstance(text, str) else None
    try:
        return None if parts is None else date(parts[0], parts[1] or 1, parts[2] or 1)
    except ValueError:
        return None


def _parts(text: str) -> tuple[int, int | None, int | None, str] | None:
    found = _SHAPE.fullmatch(text.strip())
    if not found:
        return None
    return (
        int(found[1]),
        int(found[2]) if found[2] else None,
        int(found[3]) if found[3] else None,
        found[4] or "",
    )
