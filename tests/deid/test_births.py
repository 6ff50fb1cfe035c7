"""A birth that tells an age over 89 does not leave, whatever form it has; others leave as they were."""

from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdex.deid.births import capped_births
from hdex.deid.columns import Category, ColumnProfile, Role
from hdex.deid.pipeline import Release, deidentify
from hdex.deid.policy import Policy, parse_policy, preset
from hdex.deid.pseudonym import derive_keys

POLICY = preset("controlled")
KEYS = derive_keys(bytes(32), recipient="r", project="p")
LAST = date(2024, 2, 29)
ROLES = {"pid": Role.DIRECT, "sex": Role.QUASI}


def profile(name: str, element: str | None = None, role: Role = Role.OTHER) -> ColumnProfile:
    return ColumnProfile("t", name, role, Category.HEALTH_STATUS, 4 if role is Role.DIRECT else 3, element=element)


def told(births: pl.Series, policy: Policy = POLICY, **columns: Any) -> list[Any]:
    """What becomes of a column of births beside these columns."""
    frame = pl.DataFrame({"dob": births, **columns})
    elements = {"died": "death_date"}
    return capped_births(frame, [profile(n, elements.get(n)) for n in frame.columns], policy)["dob"].to_list()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.dates(date(1900, 1, 1), LAST), st.none() | st.dates(date(1990, 1, 1), LAST)), min_size=1),
    st.integers(60, 100),
)
def test_no_birth_that_leaves_is_older_than_the_cap(rows: list[tuple[date, date | None]], cap: int) -> None:
    births = [born for born, _ in rows]
    policy = POLICY.with_changes(age_cap=cap, ages_at=LAST)
    found = told(pl.Series(births), policy, died=pl.Series([died for _, died in rows], dtype=pl.Date))
    for (born, died), capped in zip(rows, found, strict=True):
        at = min(died or LAST, LAST)
        reached = at.replace(year=at.year - cap, day=min(at.day, 28)) if (at.month, at.day) == (2, 29) else None
        oldest = reached or at.replace(year=at.year - cap)
        assert capped >= oldest
        assert capped == born or (born < capped <= oldest + timedelta(days=1))


@pytest.mark.parametrize(
    ("births", "expected"),
    [
        (["1920-05", "1990-05", None], ["1934-02", "1990-05", None]),
        ([1920, 1990, None], [1934, 1990, None]),
        (["1920", "1990", None], ["1934", "1990", None]),
        ([datetime(1920, 5, 5, 7), datetime(1990, 5, 5, 7)], [datetime(1934, 2, 28), datetime(1990, 5, 5, 7)]),
    ],
)
def test_every_form_of_a_birth_is_capped_in_its_own(births: list[Any], expected: list[Any]) -> None:
    assert told(pl.Series(births), seen=pl.Series([LAST] * len(births))) == expected


def test_a_zone_is_dropped_as_a_shift_drops_it() -> None:
    births = pl.Series([datetime(1920, 5, 5, 0, 30), datetime(1990, 5, 5, 0, 30)]).dt.replace_time_zone("Asia/Shanghai")
    assert births[1].tzinfo == ZoneInfo("Asia/Shanghai")
    assert told(births, seen=[LAST, LAST]) == [datetime(1934, 2, 28), datetime(1990, 5, 5, 0, 30)]


def test_the_age_counts_at_the_death_or_at_the_last_date_but_not_at_a_date_that_means_never() -> None:
    births = pl.Series([date(1920, 1, 1), date(1920, 1, 1), date(1985, 1, 1)])
    died = pl.Series([date(1960, 1, 1), None, None], dtype=pl.Date)
    until = pl.Series([date(9999, 12, 31)] * 3)
    platelets = pl.Series([2100, 2100, 2100])  # a number is no year unless it is named so
    found = told(births, died=died, seen=pl.Series([LAST, LAST, LAST]), until=until, platelets=platelets)
    assert found == [date(1920, 1, 1), date(1934, 2, 28), date(1985, 1, 1)]
    assert told(births, seen=pl.Series([LAST] * 3))[0] == date(1934, 2, 28)
    asked = POLICY.with_changes(ages_at=date(2000, 6, 30))
    assert told(births, asked, seen=pl.Series([LAST] * 3))[0] == date(1920, 1, 1)
    assert told(births)[0] == date(1920, 1, 1)  # nothing tells that the youngest is not newborn


def test_births_stay_where_the_policy_says_so_and_texts_that_are_none_stay_text() -> None:
    births = pl.Series([date(1920, 1, 1)])
    assert told(births, POLICY.with_changes(cap_births=False), seen=[LAST]) == births.to_list()
    assert told(pl.Series(["long ago"]), seen=[LAST]) == ["long ago"]


def patients(rows: int = 400) -> pl.DataFrame:
    random = np.random.default_rng(3)
    seen = pl.Series(random.integers(19_000, 19_700, rows)).cast(pl.Int32).cast(pl.Date)
    days = pl.Series(random.integers(15_000, 38_000, rows)).cast(pl.Int32)
    return pl.DataFrame(
        {
            "pid": [f"P{number}" for number in range(rows)],
            "sex": random.choice(["F", "M"], rows),
            "dob": (seen.cast(pl.Int32) - days).cast(pl.Date),
            "seen": seen,
        }
    )


def released(frame: pl.DataFrame, text: str) -> Release:
    columns = [
        profile(name, "birth_date" if name == "dob" else None, ROLES.get(name, Role.OTHER)) for name in frame.columns
    ]
    policy = parse_policy(f'preset = "controlled"\n{text}')
    return deidentify(frame, columns, policy, keys=KEYS, patient="pid", seed=1)


def moved(made: Release, frame: pl.DataFrame, column: str) -> pl.Series:
    """Days by which the dates of the release differ from the true ones."""
    return (made.frame[column] - frame[made.source_rows.to_list()][column]).dt.total_days()


def test_a_release_tells_no_age_over_eighty_nine() -> None:
    frame, policy = patients().drop("seen"), "shift_days = 60\nages_at = 2024-02-29"
    oldest = date(1934, 2, 28)
    made = released(frame, policy)
    truth = frame[made.source_rows.to_list()]["dob"]
    assert truth.min() < oldest - timedelta(days=1000)  # type: ignore[operator]  # rows exist
    assert made.frame["dob"].min() >= oldest - timedelta(days=60)  # type: ignore[operator]
    young = moved(made, frame, "dob").filter(truth >= oldest)
    assert young.abs().is_between(1, 60).all()
    assert next(one.detail for one in made.report.columns if one.name == "dob") == "±60 d, 90+"
    assert moved(released(frame, f"{policy}\ncap_births = false"), frame, "dob").abs().max() == 60


def test_a_shift_of_whole_weeks_keeps_the_day_of_the_week() -> None:
    frame = patients().drop("dob")
    made = released(frame, "shift_days = 60\nkeep_weekday = true")
    assert set(moved(made, frame, "seen")) == {7 * week for week in range(-8, 9)} - {0}
    truth = frame[made.source_rows.to_list()]["seen"]
    assert made.frame["seen"].dt.weekday().to_list() == truth.dt.weekday().to_list()
    assert (moved(released(frame, "shift_days = 60"), frame, "seen") % 7 != 0).any()
