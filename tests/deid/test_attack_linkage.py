"""Linkage and inference by what labels say: near one on raw data, bounded by k on a release, never below the truth."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdex.deid import hierarchy
from hdex.deid.attack import AttackResult, require_withstood
from hdex.deid.attack_linkage import Siege, attribute, bound_of, each_target, linkage, worst
from hdex.deid.attack_membership import auc, membership
from hdex.deid.attackers import Known, Reads
from hdex.deid.errors import ArgumentInvalid, RiskTooHigh
from hdex.deid.lattice import anonymize

QUASI = ["age", "sex", "city", "seen"]
KNOWN = [Known(name) for name in QUASI]


def people(rows: int, seed: int = 0) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "id": [f"P{i}" for i in range(rows)],
            "age": random.integers(20, 95, rows),
            "sex": random.choice(["F", "M"], rows),
            "city": random.choice(["A1", "A2", "B1", "B2"], rows),
            "seen": pl.Series(random.integers(18_600, 19_700, rows)).cast(pl.Int32).cast(pl.Date),
            "dx": random.choice(["I10", "I63.9", "E11.9"], rows, p=[0.6, 0.3, 0.1]),
        }
    )


def released(frame: pl.DataFrame, k: int, *, patient: str | None = None) -> tuple[pl.DataFrame, list[int]]:
    """A release of `frame`, shuffled, and the original row of each of its rows."""
    ladders = {name: hierarchy.automatic(frame[name]) for name in QUASI}
    made = anonymize(frame, ladders, k=k, suppression=0.05, patient=patient)
    kept = np.flatnonzero(made.kept.to_numpy())
    labels = [ladders[name].labels(frame[name], made.transformation[name]) for name in QUASI]
    order = np.random.default_rng(5).permutation(len(kept))
    source = kept[order].tolist()
    return frame.with_columns(labels)[source], source


@settings(max_examples=12, deadline=None)
@given(st.integers(2, 12), st.integers(0, 99))
def test_success_on_a_release_stays_below_one_in_k(k: int, seed: int) -> None:
    frame = people(500, seed)
    out, source = released(frame, k)
    siege = Siege.lay(frame, out, KNOWN, k=k, targets=300, seed=seed, owners=source)
    found = each_target(siege)
    told, blind = linkage(siege, found), linkage(Siege.lay(frame, out, KNOWN, k=k, targets=300, seed=seed), found)
    assert told.is_within
    assert told.succeeded > 0
    assert blind.is_within
    assert all(len(rows) == 0 or len(rows) >= k for rows in found)


def test_the_rows_left_are_those_a_reader_would_keep() -> None:
    frame = people(120, 3)
    out, source = released(frame, 4)
    by_source = dict(zip(source, out.rows(named=True), strict=True))
    siege = Siege.lay(frame, out, KNOWN, targets=120)
    for row, rows in zip(siege.aims.tolist(), each_target(siege), strict=True):
        if row in by_source:  # full-domain labels are disjoint: those who fit are his class
            mine = {name: by_source[row][name] for name in QUASI}
            assert {source[i] for i in rows.tolist()} == {
                number for number, other in by_source.items() if {name: other[name] for name in QUASI} == mine
            }


def test_raw_data_falls_and_its_bound_is_passed() -> None:
    frame = people(800)
    found = linkage(Siege.lay(frame, frame, KNOWN, seed=1))
    assert found.rate > 0.95
    assert not found.is_within
    assert found.by_chance == 1 / 800


def test_patients_count_not_their_rows() -> None:
    frame = pl.DataFrame({"id": ["a"] * 6 + ["b"] * 6, "age": [50] * 12})
    siege = Siege.lay(frame, frame.with_columns(id=pl.col("id") + "x"), [Known("age")], patient="id", seed=2)
    assert len(siege.aims) == 2
    assert siege.by_chance == 0.5
    alone = Siege.lay(frame, frame.head(6), [Known("age")], patient="id", seed=2)
    assert linkage(alone).targets == 2


def test_a_release_under_its_own_numbers_tells_who_is_who() -> None:
    frame = people(200, 4)
    out, _ = released(frame, 5, patient="id")
    siege = Siege.lay(frame, out, KNOWN, patient="id", seed=1)
    assert siege.owners is not None
    assert linkage(siege).is_within
    assert Siege.lay(frame, out.with_columns(id=pl.col("id") + "?"), KNOWN, patient="id").owners is None


def test_what_was_not_released_helps_nobody() -> None:
    frame = people(100)
    siege = Siege.lay(frame, frame.select("dx"), KNOWN)
    assert siege.known == ()
    assert linkage(siege).rate <= 0.05
    with pytest.raises(ArgumentInvalid, match="columns shoe"):
        Siege.lay(frame, frame, [Known("shoe")])
    with pytest.raises(ArgumentInvalid, match="asked are 1, 1 and 0"):
        Siege.lay(frame, frame, KNOWN, targets=0)


def test_days_that_were_moved_are_given_up_when_nobody_fits() -> None:
    frame = people(300)
    moved = frame.with_columns(pl.col("seen").dt.offset_by("4000d"))
    assert linkage(Siege.lay(frame, moved, [Known("age"), Known("seen")])).succeeded > 0
    near = frame.with_columns(pl.col("seen").dt.offset_by("9d"))
    siege = Siege.lay(frame, near, [Known("age"), Known("seen")], shift_days=9, owners=range(300))
    assert linkage(siege).rate > 0.5


def test_a_month_known_is_less_than_a_day_known() -> None:
    frame = people(600)
    days, months = (
        linkage(Siege.lay(frame, frame, [Known("seen", reads)])).rate for reads in (Reads.EXACT, Reads.MONTH)
    )
    assert months < days / 3


def test_the_same_seed_is_the_same_attack() -> None:
    frame = people(300)
    first, second = (linkage(Siege.lay(frame, frame, [Known("age")], seed=4)) for _ in range(2))
    assert first == second


def test_an_attribute_is_read_from_raw_data_and_hardly_from_a_release() -> None:
    frame = people(900)
    raw = attribute(Siege.lay(frame, frame, KNOWN), "dx")
    out, _ = released(frame, 5)
    after = attribute(Siege.lay(frame, out, KNOWN), "dx")
    assert raw.rate > 0.95
    assert not raw.is_within
    assert after.is_within
    assert after.by_chance == pytest.approx(0.6**2 + 0.3**2 + 0.1**2, abs=0.05)
    assert worst([after, raw]) is raw
    assert worst([]) is None


def test_the_bound_is_one_in_k_and_three_standard_errors() -> None:
    assert bound_of(5, 1000) == pytest.approx(0.2 + 3 * (0.2 * 0.8 / 1000) ** 0.5)
    assert bound_of(1, 10) == 1.0


def test_an_attack_above_its_bound_stops_a_release() -> None:
    found = AttackResult(("age",), targets=1000, reidentified=300, singled_out=0, rate=0.3, by_chance=0.001)
    with pytest.raises(RiskTooHigh, match=r"share of targets the attacker finds is 0\.3"):
        require_withstood(found, k=5, preset="controlled")
    require_withstood(found, k=3)


def test_membership_is_told_by_raw_data_and_hardly_by_a_public_release() -> None:
    both = people(4000, 9)
    inside, outside = both.head(2000), both.tail(2000)
    known = KNOWN[:3]
    raw = membership(Siege.lay(inside, inside, KNOWN), outside)
    out, _ = released(inside, 20)
    siege = Siege.lay(inside, out, known)
    plain, informed = membership(siege, outside), membership(siege, outside, population=both)
    assert raw.rate > 0.8
    assert plain.is_within
    assert informed.rate < 0.6
    with pytest.raises(ArgumentInvalid, match="0 rows"):
        membership(siege, outside.head(0))
    with pytest.raises(ArgumentInvalid, match="table of outsiders"):
        membership(siege, outside.drop("age"))


@given(st.lists(st.integers(0, 5), min_size=1, max_size=9), st.lists(st.integers(0, 5), min_size=1, max_size=9))
def test_the_auc_counts_pairs(members: list[int], outsiders: list[int]) -> None:
    pairs = [(a > b) + (a == b) / 2 for a in members for b in outsiders]
    assert auc(np.array(members, float), np.array(outsiders, float)) == pytest.approx(sum(pairs) / len(pairs))
