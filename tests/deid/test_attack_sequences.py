"""A patient with several dates is not followed by the days between them: dates are coarsened, or nothing leaves."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from hdex.deid.attack_linkage import bound_of
from hdex.deid.attack_sequences import FOLLOWED, Story, follow
from hdex.deid.certificate import render
from hdex.deid.columns import Category, ColumnProfile, Role
from hdex.deid.errors import InputInvalid, RiskTooHigh
from hdex.deid.hierarchy import date_labels, groups, label_step
from hdex.deid.pipeline import Recipe, Release, deidentify
from hdex.deid.policy import Policy, parse_policy, preset
from hdex.deid.pseudonym import derive_keys
from hdex.deid.verify import verify_release

KEYS = derive_keys(bytes(32), recipient="buyer", project="stent")
ROLES = {
    "id": (Role.DIRECT, 4, None),
    "sex": (Role.QUASI, 2, "sex"),
    "age": (Role.QUASI, 3, "age"),
    "day": (Role.OTHER, 4, "event_date"),
    "until": (Role.OTHER, 4, "event_date"),
    "drug": (Role.OTHER, 3, "medication"),
}
LONG = preset("controlled").with_changes(longitudinal=True)


def visits(people: int = 260, each: int = 4, drugs: int = 2, seed: int = 5) -> pl.DataFrame:
    """Several dated rows of every patient."""
    random = np.random.default_rng(seed)
    whose = np.repeat(np.arange(people), each)
    days = pl.Series(random.integers(18_600, 19_330, people * each)).cast(pl.Int32).cast(pl.Date)
    return pl.DataFrame(
        {
            "id": [f"P{i:04}" for i in whose],
            "sex": random.choice(["F", "M"], people)[whose],
            "age": random.integers(50, 70, people)[whose],
            "day": days,
            "drug": random.choice([f"d{i}" for i in range(drugs)], people * each),
        }
    )


def wide(people: int = 400, stay: int = 700, seed: int = 5) -> pl.DataFrame:
    """One row per patient with two dates, `stay` days apart at most."""
    random = np.random.default_rng(seed)
    begins = [date(2022, 1, 1) + timedelta(days=int(n)) for n in random.integers(0, 700, people)]
    ends = [day + timedelta(days=int(n)) for day, n in zip(begins, random.integers(0, stay, people), strict=True)]
    sexes = random.choice(["F", "M"], people)
    return pl.DataFrame({"id": [f"P{i:04}" for i in range(people)], "sex": sexes, "day": begins, "until": ends})


def release(frame: pl.DataFrame, policy: Policy = LONG) -> Release:
    known = [
        ColumnProfile("t", name, ROLES[name][0], Category.HEALTH_STATUS, ROLES[name][1], element=ROLES[name][2])
        for name in frame.columns
    ]
    return deidentify(frame, known, policy, keys=KEYS, patient="id", seed=b"secret")


def story(frame: pl.DataFrame, moved: pl.DataFrame) -> Story:
    source = pl.int_range(frame.height, eager=True)
    return Story(frame, moved, source, "id", ("day",), (), (), seed=1)


def test_shifted_days_of_several_rows_are_followed_and_years_are_not() -> None:
    """What the rule is for: the attack reaches everybody by days, nobody to speak of by years."""
    raw = visits()
    moved = raw.with_columns(pl.col("day") + pl.duration(days=pl.col("id").str.slice(1).cast(pl.Int64) * 37 % 900 + 1))
    by_day = follow(story(raw, moved), moved, k=5)
    by_year = follow(story(raw, moved), moved.with_columns(date_labels(moved["day"], "year")), k=5)
    assert by_day is not None
    assert by_year is not None
    assert by_day.rate > 0.9
    assert by_year.is_within
    assert by_year.bound == bound_of(5, 260)


@pytest.mark.parametrize("finest", ["month", "quarter", "half", "year"])
def test_a_release_with_several_rows_a_patient_reads_no_finer_than_the_policy(finest: str) -> None:
    made = release(visits(), LONG.with_changes(event_dates=finest))
    order = ["day", "month", "quarter", "half", "year"]
    step = label_step(made.frame["day"])
    assert step is not None
    assert order.index(step) >= order.index(finest)
    attempt = next(one for one in made.report.ceilings if one.measure == "trajectory")
    assert attempt.is_met
    assert attempt.found <= attempt.asked


def test_its_classes_hold_k_patients_not_k_rows() -> None:
    made = release(visits(people=60, each=12))
    whose = visits(people=60, each=12)["id"].gather(made.source_rows)
    counted = verify_release(made.frame.with_columns(whose.alias("who")), made.report.quasi, 5, patient="who")
    assert counted.ok
    assert made.report.risk_after is not None
    assert made.report.risk_after.k == counted.k
    assert made.report.risk_after.patients == whose.n_unique()


def test_a_policy_that_allows_days_gets_none_where_they_are_followed() -> None:
    made = release(visits(), LONG.with_changes(event_dates="day", k=2, max_prosecutor=0.5, max_average=0.5))
    assert label_step(made.frame["day"]) != "day"
    assert [one.asked for one in made.report.ceilings if one.measure == "trajectory"] == [bound_of(2, 260)]


def test_the_certificate_tells_the_attack_and_what_dates_became() -> None:
    made = release(visits())
    document = made.report.to_dict()
    (follower,) = [one for one in document["dossier"]["attacks"] if one["as"] == "follower"]  # type: ignore[index]
    assert follower["within_bound"]
    day = next(one for one in made.report.columns if one.name == "day")
    assert day.detail.endswith(str(label_step(made.frame["day"])))
    assert document["policy"]["event_dates"] == "month"  # type: ignore[index]
    page = render(made.report, "en")
    assert "to follow a sequence of events" in page
    assert "Patients followed by the days between their dates" in page
    assert "可凭日期间隔追踪到的患者" in render(made.report, "zh")


def test_what_is_followed_even_by_years_is_refused_with_a_next_step() -> None:
    """Two thousand drugs: they alone single patients out, whatever the dates read."""
    with pytest.raises(RiskTooHigh, match=FOLLOWED) as refused:
        release(visits(people=200, each=6, drugs=2000))
    assert refused.value.found > refused.value.asked == bound_of(5, 200)
    assert "leave out dates" in refused.value.next_step


def test_drugs_told_by_group_are_read_as_who_knows_the_groups_reads_them() -> None:
    """Two thousand drugs in two groups: with the ladder the attack runs on groups, and these hide the drugs."""
    raw = visits(people=200, each=6, drugs=2000)
    group = {drug: f"group {int(drug[1:]) % 2}" for drug in raw["drug"].unique()}
    known = [
        ColumnProfile("t", name, ROLES[name][0], Category.HEALTH_STATUS, ROLES[name][1], element=ROLES[name][2])
        if name != "drug"
        else ColumnProfile("t", name, Role.QUASI, Category.HEALTH_STATUS, 3, element="medication")
        for name in raw.columns
    ]
    told: dict[str, Recipe] = {"drug": groups(raw["drug"], [group])}
    made = deidentify(raw, known, LONG, keys=KEYS, patient="id", seed=b"secret", hierarchies=told)
    assert made.report.transformation["drug"] >= 1
    assert all(one.is_met for one in made.report.ceilings)


def test_two_dates_in_one_row_are_coarsened_where_the_days_between_tell() -> None:
    policy = preset("controlled")
    far, near = release(wide(stay=700), policy), release(wide(stay=3), policy)
    assert near.frame.schema["day"] == pl.Date, "three days between, or none: they tell nobody apart"
    assert far.frame.schema["day"] == pl.String
    assert [one.measure for one in far.report.ceilings].count("trajectory") == 1
    one_date = release(wide().drop("until"), policy)
    assert one_date.frame.schema["day"] == pl.Date
    assert "trajectory" not in [one.measure for one in one_date.report.ceilings]


def test_several_rows_of_a_patient_are_refused_unless_the_policy_says_so() -> None:
    with pytest.raises(InputInvalid, match="1040 rows name 260 patients, asked is one row each"):
        release(visits(), preset("controlled"))
    asked = parse_policy('preset = "registered"\nlongitudinal = true\nevent_dates = "half"')
    out = release(visits(people=400, each=2), asked).frame
    assert "id" not in out.columns
    assert label_step(out["day"]) in ("half", "year")


def test_the_house_lets_a_level_read_so_fine_and_no_finer() -> None:
    finest = {name: str(preset(name).event_dates) for name in ("public", "registered", "controlled", "enclave")}
    assert finest == {"public": "year", "registered": "quarter", "controlled": "month", "enclave": "month"}
