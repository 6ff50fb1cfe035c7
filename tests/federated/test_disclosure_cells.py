"""Trackers that ask cells: shifted edges, groups that nearly agree; none passes, and honest tables do."""

import os
import random
from collections.abc import Callable

import numpy as np
import pytest

from hdex.federated.disclosure_cells import Partition, is_too_close

THRESHOLD = 10
ATTACKS = 250 if os.environ.get("HDEX_SOAK") else 40
PEOPLE = 200


def bins(values: np.ndarray, *edges: float) -> Partition:
    return Partition(np.searchsorted(edges, values, side="right"), is_ordered=True)


def groups(members: np.ndarray) -> Partition:
    return Partition(members.astype(np.int64))


def ages(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(40, 90, PEOPLE)  # about four of each age


Attack = Callable[[np.ndarray, random.Random], list[Partition]]


def shifted_edge(values: np.ndarray, source: random.Random) -> list[Partition]:
    """The same histogram with an edge moved past one value: who has it is the difference."""
    edge = float(source.choice([v for v in range(50, 80) if 0 < (values == v).sum() < THRESHOLD]))
    return [bins(values, edge), bins(values, edge + 1)]


def nearly_the_same_group(values: np.ndarray, source: random.Random) -> list[Partition]:
    """Two flags that differ for one patient."""
    group = np.array([source.random() < 0.4 for _ in values])
    other = group.copy()
    other[source.randrange(len(values))] ^= True
    return [groups(group), groups(other)]


def a_union_and_one_more(values: np.ndarray, source: random.Random) -> list[Partition]:
    """Three levels, then two of them together but for one patient."""
    stage = np.array([source.randrange(3) for _ in values])
    late = stage > 0
    late[source.choice(np.flatnonzero(late).tolist())] = False
    return [groups(stage), groups(late)]


def a_tail_cut_twice(values: np.ndarray, source: random.Random) -> list[Partition]:
    """Followed until two grids that end one step apart."""
    last = float(source.randrange(60, 80))
    cut = [Partition(np.where(values <= end, 0, -1).astype(np.int64)) for end in (last, last + 1)]
    return cut if 0 < (values == last + 1).sum() < THRESHOLD else nearly_the_same_group(values, source)


ATTACKS_BY_NAME: dict[str, Attack] = {
    f.__name__: f for f in (shifted_edge, nearly_the_same_group, a_union_and_one_more, a_tail_cut_twice)
}


@pytest.mark.parametrize("name", ATTACKS_BY_NAME)
def test_no_tracker_over_cells_passes(name: str) -> None:
    for number in range(ATTACKS):
        values = ages(number)
        one, two = ATTACKS_BY_NAME[name](values, random.Random(number))
        assert is_too_close(one, two, THRESHOLD), number
        assert is_too_close(two, one, THRESHOLD), number


def test_honest_tables_of_the_same_people_pass() -> None:
    values = ages(1)
    smoker = np.random.default_rng(2).random(PEOPLE) < 0.3
    fine, coarse = bins(values, *range(45, 90, 5)), bins(values, *range(50, 90, 10))
    honest = {"the same again": (fine, fine), "finer bins": (coarse, fine), "another column": (coarse, groups(smoker)),
              "the complement": (groups(smoker), groups(~smoker)),
              "everybody": (groups(np.ones(PEOPLE)), coarse)}  # fmt: skip
    for case, (one, two) in honest.items():
        assert not is_too_close(one, two, THRESHOLD), case
        assert not is_too_close(two, one, THRESHOLD), case


def test_ten_people_more_are_enough_and_nine_are_not() -> None:
    group = np.zeros(PEOPLE)
    group[:60] = 1
    for more, close in ((9, True), (10, False)):
        wider = group.copy()
        wider[60 : 60 + more] = 1
        assert is_too_close(groups(group), groups(wider), THRESHOLD) is close


def test_who_is_in_no_cell_counts_as_a_difference() -> None:
    labels = np.zeros(50, dtype=np.int64)
    without = labels.copy()
    without[0] = -1
    assert is_too_close(Partition(labels), Partition(without), THRESHOLD)
    empty = Partition(np.full(50, -1, dtype=np.int64))
    assert not is_too_close(Partition(labels), empty, THRESHOLD)
