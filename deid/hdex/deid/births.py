"""Births that tell an age over 89: told as the day the cap was reached, before anything moves.

45 CFR 164.514(b)(2)(i)(C) names ages over 89 and "all elements of dates (including year) indicative of such age": a
birth date beside any other date of the same patient tells his age as an age does, shifted or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl

from hdex.deid import hierarchy, pseudonym
from hdex.deid.columns import ColumnProfile
from hdex.deid.policy import Policy
from hdex.deid.treatment import is_date

ELEMENTS = ("birth_date", "birth_year")
NAMES = ("birth_date", "birthdate", "date_of_birth", "dob", "birth_year", "year_of_birth", "出生日期", "出生年份")
DEATHS = ("death_date", "date_of_death", "deathdate", "死亡日期")
LONGEST_LIFE = 130  # years after the youngest birth; a later date stands for "never"
YEAR_TEXT = r"^\d{4}$"


def is_birth(profile: ColumnProfile) -> bool:
    """Whether a column holds days, months or years of birth."""
    return profile.element in ELEMENTS or profile.name.lower() in NAMES


def capped_births(frame: pl.DataFrame, profiles: Sequence[ColumnProfile], policy: Policy) -> pl.DataFrame:
    """The table with the births of everybody aged `age_cap` or more as the day (month, year) of that age.

    The age counts at the patient's death where the table tells it, else at `ages_at`, else at the table's last date.
    """
    born = [one.name for one in profiles if is_birth(one) and one.name in frame.columns]
    if not policy.cap_births or not born:
        return frame
    at = days_of_age(frame, profiles, born, policy.ages_at)
    return frame.with_columns(capped(frame[name], at, policy.age_cap) for name in born)


def days_of_age(
    frame: pl.DataFrame, profiles: Sequence[ColumnProfile], born: Sequence[str], asked: date | None
) -> pl.Series:
    """The day at which every row's age counts; NULL where no date tells one."""
    days = {
        one.name: as_days(frame[one.name]) for one in profiles if one.name in frame.columns and is_dated(frame, one)
    }
    youngest = latest([days[name] for name in born if name in days])
    if asked is None and youngest is not None:
        end = pl.Series([youngest]).dt.offset_by(f"{LONGEST_LIFE}y")[0]
        asked = latest([known.filter(known <= end) for known in days.values() if known is not None])
    at = pl.repeat(asked, frame.height, dtype=pl.Date, eager=True)
    for one in profiles:
        known = days.get(one.name) if one.element == "death_date" or one.name.lower() in DEATHS else None
        if known is not None:
            at = pl.select(pl.min_horizontal(at, known)).to_series()
    return at


def is_dated(frame: pl.DataFrame, one: ColumnProfile) -> bool:
    """Whether a column tells when something was: by its type, or a number that is named a date."""
    return is_date(frame[one.name]) or is_birth(one) or one.element in ("event_date", "death_date")


def latest(columns: Sequence[pl.Series | None]) -> date | None:
    """The last day of all columns, None without one."""
    found = [day for days in columns if days is not None and isinstance(day := days.max(), date)]
    return max(found, default=None)


def as_days(values: pl.Series) -> pl.Series | None:
    """A column of dates, ISO months or years as days; None for any other."""
    if is_date(values):
        return hierarchy.as_dates(values)
    years = as_years(values)
    return None if years is None else (years.cast(pl.String) + "-01-01").str.to_date("%Y-%m-%d", strict=False)


def as_years(values: pl.Series) -> pl.Series | None:
    """A column of calendar years as numbers; None for any other."""
    if values.dtype == pl.String and len(present := values.drop_nulls()) and present.str.contains(YEAR_TEXT).all():
        return values.cast(pl.Int32)
    is_year = values.dtype.is_integer() and bool(values.drop_nulls().is_between(1850, 2150).all())
    return values.cast(pl.Int32) if is_year and values.null_count() < len(values) else None


def capped(values: pl.Series, at: pl.Series, cap: int) -> pl.Series:
    """One column of births, in the form it had; a column that is neither dates nor years stays as it is."""
    years = as_years(values)
    if years is not None:
        return years.clip(lower_bound=at.dt.year() - cap).cast(values.dtype).alias(values.name)
    days = as_days(values)
    if days is None:
        return values
    if isinstance(values.dtype, pl.Datetime):
        values = values.dt.replace_time_zone(None)  # as a shift does: what the clock on the wall said
    moved = pseudonym.cap_births(days, at, cap)
    told = moved.dt.strftime("%Y-%m") if values.dtype == pl.String else moved.cast(values.dtype)
    is_old = (moved > days).fill_null(False)  # others keep their form, hours included
    return pl.select(pl.when(is_old).then(told).otherwise(values).alias(values.name)).to_series()
