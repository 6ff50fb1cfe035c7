"""Steps of survival curves as they may be told: by hand, as properties, and as the answer of the coarser grid."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tests.federated.test_survival import FRAMES, GRID

from hdex.federated.disclosure_curves import Step, joined_steps
from hdex.federated.disclosure_regimes import regime, strictest
from hdex.federated.kinds.survival import Survival
from hdex.federated.release import cell_breaches, released
from hdex.federated.simulate import simulate

CN = regime("cn")
POINTS = st.integers(1, 12)


def test_points_are_joined_until_they_hold_enough_and_the_tail_is_cut() -> None:
    events = np.array([[4, 7, 0, 12, 9, 5]], dtype=float)
    risk = np.array([[100, 94, 86, 80, 68, 9]], dtype=float)
    whole = (True,)
    assert joined_steps(events, risk, CN) == [Step(0, 1, whole), Step(2, 2, whole), Step(3, 3, whole)]


def test_groups_keep_one_grid_and_each_ends_where_few_are_at_risk() -> None:
    events = np.array([[12, 4, 8, 0], [0, 8, 10, 11]], dtype=float)
    risk = np.array([[60, 40, 9, 5], [90, 80, 60, 50]], dtype=float)
    assert joined_steps(events, risk, CN) == [
        Step(0, 0, (True, True)), Step(1, 2, (False, True)), Step(3, 3, (False, True)),
    ]  # fmt: skip


@given(POINTS.flatmap(lambda n: st.lists(st.lists(st.integers(0, 25), min_size=n, max_size=n), min_size=1, max_size=3)))
def test_no_step_tells_few_events_or_few_at_risk(counts: list[list[int]]) -> None:
    events = np.array(counts, dtype=float)
    risk = np.flip(np.cumsum(np.flip(events + 3, axis=1), axis=1), axis=1)
    steps = joined_steps(events, risk, CN)
    assert [step.start for step in steps] == [0, *(step.end + 1 for step in steps)][: len(steps)]
    for step in steps:
        for group, told in enumerate(step.told):
            count = events[group, step.start : step.end + 1].sum()
            assert not told or count == 0 or count >= CN.cell
            assert not told or risk[group, step.start : step.end + 1].min() >= CN.at_risk


def answer(grid: list[int]) -> Survival:
    asked = {"time": "months", "grid": grid}
    levels = {"arm": ("control", "drug", "both")}
    done = simulate(
        FRAMES, kind="kaplan-meier", target="died", features=("arm",), levels=levels, options=asked, secure="plain"
    )
    assert isinstance(done.result.answer, Survival)
    return done.result.answer


def test_what_is_told_is_the_answer_of_the_coarser_grid_with_its_own_log_rank() -> None:
    fine = answer(GRID)
    assert cell_breaches(fine.cells(), strictest())
    told = released(fine, strictest())
    assert isinstance(told, Survival)
    ends = max((curve.time.astype(int).tolist() for curve in told.curves), key=len)
    coarse = answer(ends)
    for mine, other in zip(told.curves, coarse.curves, strict=True):
        length = len(mine.time)
        assert mine.time.tolist() == other.time[:length].tolist()
        assert np.array_equal(mine.events, other.events[:length])
        assert np.array_equal(mine.survival, other.survival[:length])
        assert mine.risk[0] == other.risk[0]
    if all(len(curve.time) == len(ends) for curve in told.curves):
        assert told.test == coarse.test
    assert "joined" in told.warnings[-1]
    assert len(ends) >= 3
