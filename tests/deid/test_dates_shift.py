"""Dates of one patient move together: by days that stay secret, bounded, never none; hours and weekdays as asked."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdex.deid.dates import read_date, shift_text, spellings
from hdex.deid.errors import InputInvalid
from hdex.deid.pseudonym import cap_births, shift_dates, shift_days

KEY = bytes(range(32))
days = st.dates(date(1900, 1, 1), date(2100, 1, 1))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcd"), days), min_size=1, max_size=20), st.integers(1, 800))
def test_intervals_of_one_patient_survive_and_no_date_stays(events: list[tuple[str, date]], most: int) -> None:
    patients, dates = pl.Series([who for who, _ in events]), pl.Series([day for _, day in events])
    moved = shift_dates(dates, shift_days(patients, KEY, most)).to_list()
    assert all(1 <= abs((new - old).days) <= most for new, (_, old) in zip(moved, events, strict=True))
    for who in set(patients):
        offsets = {new - old for new, (one, old) in zip(moved, events, strict=True) if one == who}
        assert len(offsets) == 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)), min_size=1, max_size=9), st.integers(7, 800))
def test_the_day_of_the_week_stays_where_asked(times: list[datetime], most: int) -> None:
    patients = pl.Series([str(number) for number in range(len(times))])
    shift = shift_days(patients, KEY, most, step=7)
    moved = shift_dates(pl.Series(times), shift)
    assert [one.weekday() for one in moved] == [one.weekday() for one in times]
    assert [one.time() for one in moved] == [one.time() for one in times]
    assert all(7 <= abs(day) <= most and day % 7 == 0 for day in shift)


def test_every_offset_is_about_as_frequent() -> None:
    shift = shift_days(pl.Series([str(number) for number in range(6000)]), KEY, 21, step=7)
    counts = dict(shift.value_counts().iter_rows())
    assert set(counts) == {-21, -14, -7, 7, 14, 21}
    assert sum((count - 1000) ** 2 / 1000 for count in counts.values()) < 20.5  # chi-square, 5 degrees, p = .001


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_a_clock_that_was_put_forward_moves_nothing(unit: str) -> None:
    """25 March 2024 + 10 days crosses the change of the clocks in Berlin: 08:30 stays 08:30, the zone is not told."""
    zone = ZoneInfo("Europe/Berlin")
    times = [datetime(2024, 3, 25, 8, 30, tzinfo=zone), datetime(2024, 10, 27, 2, 30, tzinfo=zone)]
    dtype = pl.Datetime(unit, "Europe/Berlin")  # type: ignore[arg-type]  # one of the three
    moved = shift_dates(pl.Series("t", times, dtype=dtype), pl.Series([10, -10], dtype=pl.Int32))
    assert moved.dtype == pl.Datetime(unit)  # type: ignore[arg-type]
    assert moved.to_list() == [datetime(2024, 4, 4, 8, 30), datetime(2024, 10, 17, 2, 30)]


def test_what_is_not_known_stays_so() -> None:
    moved = shift_dates(pl.Series("d", [date(2024, 1, 1), None]), pl.Series([None, 3], dtype=pl.Int32))
    assert (moved.name, moved.to_list()) == ("d", [None, None])
    assert shift_dates(pl.Series("d", [], dtype=pl.Date), pl.Series([], dtype=pl.Int32)).dtype == pl.Date


def test_steps_and_bounds_that_hide_nothing_are_refused() -> None:
    patients = pl.Series(["a"])
    with pytest.raises(InputInvalid, match="asked is 7 or more"):
        shift_days(patients, KEY, 6, step=7)
    with pytest.raises(InputInvalid, match="steps of 2 days"):
        shift_days(patients, KEY, 60, step=2)
    with pytest.raises(InputInvalid, match="asked are dates"):
        cap_births(pl.Series("b", ["1930"]), pl.Series("a", [date(2024, 1, 1)]))


def test_a_birth_date_does_not_tell_an_age_over_eighty_nine() -> None:
    births = pl.Series("born", [date(1910, 5, 5), date(1934, 2, 28), date(1934, 3, 1), None])
    capped = cap_births(births, pl.Series([date(2024, 2, 29)] * 4))
    assert capped.to_list() == [date(1934, 2, 28), date(1934, 2, 28), date(1934, 3, 1), None]


@settings(max_examples=40, deadline=None)
@given(st.dates(date(1951, 1, 1), date(2048, 1, 1)), st.integers(-400, 400).filter(bool))
def test_a_date_in_a_note_moves_as_the_date_in_the_table(day: date, offset: int) -> None:
    """Year-first spellings: of the others some mean two days."""
    for text in spellings(day):
        if text.startswith(str(day.year)):
            moved = shift_text(text, offset)
            assert moved is not None
            assert read_date(moved) == day + timedelta(days=offset)


def test_a_date_with_points_is_read_day_first_unless_it_cannot_be() -> None:
    assert shift_text("03.04.2024", 1) == "04.04.2024"
    assert shift_text("04.13.2024", 1) == "04.14.2024"
    assert shift_text("13.13.2024", 1) is None
