"""A secret shift keeps intervals, and intervals with drugs and results single a patient out: the attack finds him."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from hdex.deid.attack_linkage import Siege
from hdex.deid.attack_trajectory import follow, matched, trajectory
from hdex.deid.attackers import Known, Reads
from hdex.deid.errors import ArgumentInvalid

DAY, DRUG = Known("day", event=True), Known("drug", event=True)


def events(people: int, each: int = 6, seed: int = 0, drugs: int = 8) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    rows = people * each
    days = [date(2023, 1, 1) + timedelta(days=int(n)) for n in random.integers(0, 700, rows)]
    return pl.DataFrame(
        {
            "id": np.repeat([f"P{i}" for i in range(people)], each),
            "day": days,
            "drug": random.choice([f"d{i}" for i in range(drugs)], rows),
            "sex": "F",
        }
    )


def moved(frame: pl.DataFrame) -> pl.DataFrame:
    """Pseudonyms and a secret shift per patient, rows shuffled."""
    shift = pl.col("id").str.slice(1).cast(pl.Int64) * 37 % 121 - 60
    day = pl.col("day") + pl.duration(days=shift)
    return frame.with_columns(day, id=pl.lit("x") + pl.col("id")).sample(fraction=1.0, shuffle=True, seed=1)


def true_owners(released: pl.DataFrame) -> list[str]:
    return released["id"].str.slice(1).to_list()


def test_intervals_and_drugs_find_everybody_behind_a_shift() -> None:
    raw = events(150)
    out = moved(raw)
    siege = Siege.lay(raw, out, [DAY, DRUG], patient="id", owners=true_owners(out))
    found = trajectory(siege)
    assert found is not None
    assert (found.kind, found.targets) == ("trajectory", 150)
    assert found.rate > 0.9
    assert not found.is_within
    blind = trajectory(Siege.lay(raw, out, [DAY, DRUG], patient="id"))
    assert blind is not None
    assert blind.rate >= found.rate - 0.02


def test_intervals_alone_find_many_and_drugs_alone_few() -> None:
    raw = events(150, drugs=3)
    out = moved(raw)
    days, drugs = (trajectory(Siege.lay(raw, out, [one], patient="id", owners=true_owners(out))) for one in (DAY, DRUG))
    assert days is not None
    assert drugs is not None
    assert days.rate > 0.8
    assert drugs.rate < 0.05
    assert drugs.is_within


def test_dates_told_by_quarter_hide_the_sequence() -> None:
    raw = events(200, each=4, drugs=1)
    out = moved(raw).with_columns(
        pl.concat_str(pl.col("day").dt.year().cast(pl.String), pl.lit("-Q"), pl.col("day").dt.quarter().cast(pl.String))
    )
    found = trajectory(Siege.lay(raw, out, [DAY], patient="id", owners=true_owners(out)), events=2)
    assert found is not None
    assert found.rate < 0.1


def test_a_patient_who_was_left_out_is_not_found() -> None:
    raw = events(60)
    out = moved(raw.filter(pl.col("id") != "P7"))
    siege = Siege.lay(raw, out, [DAY, DRUG], patient="id", owners=true_owners(out))
    found = trajectory(siege)
    assert found is not None
    assert found.succeeded <= 59


@pytest.mark.parametrize("reads", [Reads.EXACT, Reads.MONTH])
def test_the_patients_left_are_those_a_search_by_hand_leaves(reads: Reads) -> None:
    raw = events(25, each=5, seed=3, drugs=3)
    out = moved(raw)
    day = Known("day", reads, event=True)
    siege = Siege.lay(raw, out, [day, DRUG], patient="id")
    trails = follow(siege, day, [DRUG], 3)
    found: dict[int, set[int]] = {aim: set() for aim in siege.aims.tolist()}
    for aim, person in matched(trails, np.sort(siege.aims)).iter_rows():
        found[aim].add(person)
    drug_of = dict(zip(trails.codes.select("aim", "step").rows(), trails.codes["code"], strict=True))
    for aim, mine in trails.known.group_by("aim"):
        steps = mine.sort("step").rows()
        expected = set()
        for (person,), theirs in trails.released.group_by("person"):
            all_of = theirs.rows()
            for _, code, low, high in all_of:
                if code == drug_of[aim[0], steps[0][1]] and all(
                    any(
                        other == drug_of[aim[0], step]
                        and first - high <= last_known - steps[0][2]
                        and last - low >= first_known - steps[0][3]
                        for _, other, first, last in all_of
                    )
                    for _, step, first_known, last_known in steps[1:]
                ):
                    expected.add(person)
        if reads is Reads.EXACT:  # with days it does not matter from which event the search starts
            assert found[aim[0]] == expected
        assert found[aim[0]]


def test_without_patients_events_or_a_second_event_there_is_no_sequence() -> None:
    raw = events(10)
    assert trajectory(Siege.lay(raw, raw, [DAY])) is None
    assert trajectory(Siege.lay(raw, raw.drop("id"), [DAY], patient="id")) is None
    assert trajectory(Siege.lay(raw, raw, [Known("sex")], patient="id")) is None
    single = raw.unique("id")
    assert trajectory(Siege.lay(single, single, [DAY], patient="id")) is None
    with pytest.raises(ArgumentInvalid, match="asked is 2 or more"):
        trajectory(Siege.lay(raw, raw, [DAY], patient="id"), events=1)
