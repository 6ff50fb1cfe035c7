"""Rounded tables: near the truth in every margin, and nothing of a small cell to be had by adding and subtracting."""

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import linprog

from hdex.deid.cohort_rounding import Counts, Rounded, kept, rounded
from hdex.deid.errors import CohortRefused

K = 10
Matrix = NDArray[np.float64]


@st.composite
def tables(draw: st.DrawFn) -> Counts:
    """Small tables of 2 or 3 dimensions, most cells below k, at least 5 k people."""
    shape = tuple(draw(st.lists(st.integers(2, 4), min_size=2, max_size=3)))
    size = int(np.prod(shape))
    cells = draw(st.lists(st.one_of(st.integers(0, K), st.integers(0, 60)), min_size=size, max_size=size))
    counts = np.array(cells, dtype=np.int64).reshape(shape)
    counts.flat[draw(st.integers(0, size - 1))] += max(0, 5 * K - int(counts.sum()))
    return counts


def generator(seed: int = 3) -> np.random.Generator:
    return np.random.default_rng(seed)


def groups(shape: tuple[int, ...]) -> list[NDArray[np.int64]]:
    """Return, of every cell and margin, the flat places that it adds up. Written apart from the code under test."""
    places = np.arange(int(np.prod(shape))).reshape(shape)
    found = []
    for kept_axes in (axes for number in range(len(shape) + 1) for axes in combinations(range(len(shape)), number)):
        for at in product(*(range(shape[axis]) for axis in kept_axes)):
            chosen: list[int | slice] = [slice(None)] * len(shape)
            for axis, place in zip(kept_axes, at, strict=True):
                chosen[axis] = place
            found.append(np.atleast_1d(np.asarray(places[tuple(chosen)])).ravel())
    return found


def off_by(group: NDArray[np.int64], told: Rounded) -> int:
    return K if group.size == 1 else told.margin


@given(tables(), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_every_cell_is_a_multiple_of_k_and_every_margin_near_the_truth(counts: Counts, seed: int) -> None:
    told = rounded(counts, K, generator=generator(seed))
    assert not (told.cells % K).any()
    assert (told.cells >= 0).all()
    for group in groups(counts.shape):
        assert abs(int(told.cells.flat[group].sum()) - int(counts.flat[group].sum())) <= off_by(group, told)
    assert int(told.cells.sum()) == int(counts.sum()) // K * K


@given(tables())
@settings(max_examples=5, deadline=None)
def test_no_arithmetic_over_all_told_values_narrows_a_count_below_k(counts: Counts) -> None:
    """An attacker solves all told statements at once, with the exact number of people beside them."""
    told = rounded(counts, K, generator=generator())
    found = groups(counts.shape)
    rows = np.zeros((len(found), counts.size))
    for number, group in enumerate(found):
        rows[number, group] = 1
    sums = rows @ told.cells.ravel()
    off = np.array([off_by(group, told) for group in found])
    bounds, limits = np.vstack([rows, -rows]), np.concatenate([sums + off, off - sums])
    everybody = np.ones((1, counts.size)), np.array([float(counts.sum())])
    asked = [number for number, group in enumerate(found) if group.size < counts.size]
    for number in asked[:: max(1, len(asked) // 12)]:
        group = found[number]
        low, high = extremes(rows[number], bounds, limits, *everybody)
        assert high - low >= K - 1e-6, "a count is narrowed to fewer than k + 1 values"
        if sums[number] == 0 and group.size == 1:
            assert (round(low, 6), high >= K - 1e-6) == (0, True), "a suppressed cell may be none, and may be k"


def test_bands_of_each_margin_alone_would_give_a_small_cell_away() -> None:
    """What this module is for: every number told in tens, each by itself, and the same attacker."""
    counts = np.array([[7, 99, 99, 99, 99], [50, 50, 50, 50, 50]], dtype=np.int64)
    found = groups(counts.shape)
    rows = np.zeros((len(found), counts.size))
    for number, group in enumerate(found):
        rows[number, group] = 1
    low = np.array([int(counts.flat[group].sum()) // K * K for group in found], dtype=np.float64)
    bounds, limits = np.vstack([rows, -rows]), np.concatenate([low + K - 1, -low])
    everybody = np.ones((1, counts.size)), np.array([float(counts.sum())])
    (place,) = (number for number, group in enumerate(found) if group.tolist() == [0])
    least, most = extremes(rows[place], bounds, limits, *everybody)
    assert (least > 0, most < K) == (True, True), "the seven are shown to be there, and to be few"


def extremes(wanted: Matrix, rows: Matrix, limits: Matrix, equal: Matrix, total: Matrix) -> tuple[float, float]:
    """Return the least and the largest value that the statements leave to a sum of cells, by linear programming."""
    least = linprog(wanted, A_ub=rows, b_ub=limits, A_eq=equal, b_eq=total)
    most = linprog(-wanted, A_ub=rows, b_ub=limits, A_eq=equal, b_eq=total)
    assert (least.status, most.status) == (0, 0), "the truth itself fits what is told"
    return float(least.fun), -float(most.fun)


@given(tables(), st.integers(0, 5), st.data())
@settings(max_examples=40, deadline=None)
def test_a_version_that_differs_by_few_tells_the_same_cells(counts: Counts, gone: int, data: st.DataObject) -> None:
    before = rounded(counts, K, generator=generator())
    after = counts.copy()
    place = data.draw(st.integers(0, counts.size - 1))
    after.flat[place] = max(0, int(after.flat[place]) - gone)
    try:
        told = kept(after, before.cells, K, generator=generator(9))
    except CohortRefused:
        return
    still = np.abs(before.cells - after) <= K
    assert (told.cells[still] == before.cells[still]).all()
    assert (np.abs(told.cells - after) <= K).all()
    for group in groups(counts.shape):
        assert abs(int(told.cells.flat[group].sum()) - int(after.flat[group].sum())) <= off_by(group, told)


def test_the_same_table_under_the_same_secret_is_rounded_the_same() -> None:
    counts = np.array([[3, 40], [17, 8]], dtype=np.int64)
    again = [rounded(counts, K, generator=generator(5)).cells.tolist() for _ in range(2)]
    assert again[0] == again[1]


def test_what_has_moved_by_more_than_k_is_told_anew() -> None:
    before = np.array([[50, 50], [50, 50]], dtype=np.int64)
    after = np.array([[85, 50], [50, 50]], dtype=np.int64)
    told = kept(after, before, K, generator=generator())
    assert told.cells[0, 0] in (80, 90)
    assert told.cells.tolist()[1] == [50, 50]


def test_where_too_little_may_be_told_anew_the_version_tells_nothing() -> None:
    before = np.full((4, 4), 50, dtype=np.int64)
    with pytest.raises(CohortRefused, match="without"):
        kept(before - K, before, K, generator=generator())
