"""Whether patients under fourteen are in an export: their records need a guardian's consent (PIPL article 31)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import polars as pl

from hdex.deid.classify import Judged
from hdex.deid.forms import DATE, year_of
from hdex.deid.links import Links, TableKind, Tables
from hdex.deid.shapes import as_text

SURE = 0.8  # a column of ages told by its numbers alone proves no child


def has_minors(tables: Tables, judged: Mapping[str, Sequence[Judged]], links: Links, *, below: int = 14) -> bool:
    """Say whether a patient is younger than `below` years, by an age or by a date of birth and the export's last date.

    The last date of the export stands for today, so that the same export is judged the same on any day.
    """
    patients = [
        t for t in tables if links.kinds[t] not in (TableKind.STAFF, TableKind.ORGANISATIONS, TableKind.DICTIONARY)
    ]
    if any(_young(tables[t], one, below) for t in patients for one in judged[t] if _tells_age(one)):
        return True
    born = [_days(tables[t][one.profile.name]) for t in patients for one in _births(judged[t], links.kinds[t])]
    latest = max(
        (n for t in patients for one in judged[t] if _is_dated(one) if (n := _latest(tables[t], one))), default=0
    )
    return any((days.max() or 0) > latest - below * 10_000 for days in born if latest and days.len())  # type: ignore[operator]


def of_age(births: pl.Series, *, years: int = 14) -> pl.Series:
    """The day on which each person becomes `years` old; of 29 February it is 1 March in years that have none."""
    after = f"{years}y"
    days = pl.DataFrame({"on": births.dt.offset_by(after), "late": births.dt.offset_by("-1d")})
    late = days["late"].dt.offset_by(after).dt.offset_by("1d")
    return days.select(pl.max_horizontal("on", late)).to_series().alias(births.name)


def under_age(births: pl.Series, at: date, *, years: int = 14) -> pl.Series:
    """Whether each person is younger than `years` on the day `at`; who has no date of birth is not said to be."""
    return (of_age(births, years=years) > at).fill_null(value=False).alias(births.name)


def _tells_age(one: Judged) -> bool:
    return one.element == "age" and one.profile.confidence >= SURE and one.shape.numeric


def _young(frame: pl.DataFrame, one: Judged, below: int) -> bool:
    """Ages in whole or decimal years; a negative number is a mistake of the export and no child."""
    ages = as_text(frame[one.profile.name]).cast(pl.Float64, strict=False).drop_nulls()
    return bool(((ages >= 0) & (ages < below)).any())


def _births(found: Sequence[Judged], kind: TableKind) -> list[Judged]:
    """Return the dates of birth: those named so; else, in the table of patients, the dates that begin earliest."""
    dated = [one for one in found if one.element == "birth_date" and one.shape.share("date") >= 0.5]
    named = [one for one in dated if one.named]
    if named or kind is not TableKind.PATIENTS:
        return named
    return sorted(dated, key=lambda one: one.shape.first_year or 9999)[:1]


def _is_dated(one: Judged) -> bool:
    return one.element in ("birth_date", "event_date", "death_date") and one.shape.share("date") >= 0.5


def _latest(frame: pl.DataFrame, one: Judged) -> int:
    return int(_days(frame[one.profile.name]).max() or 0)  # type: ignore[arg-type]  # integers or None


def _days(series: pl.Series) -> pl.Series:
    """Return dates as whole numbers YYYYMMDD, of which the order and the years are right; other cells are left out."""
    distinct = as_text(series).unique()
    return pl.Series([n for text in distinct if (n := _day(text)) is not None], dtype=pl.Int64)


def _day(text: str) -> int | None:
    year = year_of(text)
    if year is None or not 1850 <= year <= 2100:
        return None
    digits = [int(part) for part in _parts(text)]
    month, day = [*digits, 1, 1][:2]
    return year * 10_000 + min(month, 12) * 100 + min(day, 31)


def _parts(text: str) -> list[str]:
    """Return month and day as they stand; where the day stands first the year still decides but for days."""
    found = DATE.fullmatch(text)
    if found is None or found["packed"]:
        return [text[4:6], text[6:8]]
    head = "".join(c if c.isdigit() else " " for c in text).split()
    return head[1:3] if found["year"] else head[:2]
