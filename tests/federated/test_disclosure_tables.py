"""Blanks in a table with totals cannot be computed back; checked against all tables that a reader cannot rule out."""

from collections.abc import Iterator
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdex.federated.disclosure_tables import Suppressed, interval, suppress, with_totals
from hdex.federated.errors import DisclosureRefused

TABLES = st.integers(2, 4).flatmap(
    lambda width: st.lists(st.lists(st.integers(0, 60), min_size=width, max_size=width), min_size=2, max_size=4)
)


def blanks(released: Suppressed) -> list[tuple[int, int]]:
    return [(i, j) for i, row in enumerate(released.cells) for j, value in enumerate(row) if value is None]


def consistent(released: Suppressed, most: int) -> Iterator[list[list[int]]]:
    """Yield every table of counts up to `most` that has the published cells and totals: brute force."""
    rows, columns = len(released.cells) - 1, len(released.cells[0]) - 1
    inner = [place for place in blanks(released) if place[0] < rows and place[1] < columns]
    for guess in product(range(most + 1), repeat=len(inner)):
        filled = dict(zip(inner, guess, strict=True))
        counts = [[filled.get((i, j), released.cells[i][j]) for j in range(columns)] for i in range(rows)]
        table = with_totals([[int(value or 0) for value in row] for row in counts])
        known = [(i, j) for i in range(rows + 1) for j in range(columns + 1) if released.cells[i][j] is not None]
        if all(table[i][j] == released.cells[i][j] for i, j in known):
            yield table


def test_a_single_blank_takes_a_rectangle_along() -> None:
    released = suppress([[20, 3, 30], [40, 50, 16], [12, 25, 33]], 10)
    assert released.cells[0][1] is None
    assert (released.primary, released.secondary) == (1, 3)


def test_a_table_without_small_cells_is_released_whole() -> None:
    released = suppress([[20, 0], [11, 10]], 10)
    assert blanks(released) == []


@pytest.mark.parametrize("counts", [[[3, 5], [4, 6]], [[2, 4], [12, 3]]], ids=["all", "three"])
def test_brute_force_finds_no_narrower_interval_than_the_flows(counts: list[list[int]]) -> None:
    """Threshold 4 on small numbers, so that all tables can be listed."""
    released = suppress(counts, 4)
    table = with_totals(counts)
    seen = list(consistent(released, 14))
    assert table in seen
    for i, j in blanks(released):
        if 0 < table[i][j] < 4:
            least, largest = interval(released, table, (i, j))
            found = {one[i][j] for one in seen}
            assert min(found) == least
            assert max(found) >= 4
            assert largest >= 4


@given(TABLES)
@settings(max_examples=60, deadline=None)
def test_every_small_cell_may_as_well_be_a_safe_one(counts: list[list[int]]) -> None:
    table = with_totals(counts)
    try:
        released = suppress(counts, 10)
    except DisclosureRefused:  # nothing can protect it: nothing is released
        return
    for i, row in enumerate(released.cells):
        for j, value in enumerate(row):
            if value is not None:
                assert value == table[i][j]
                assert value == 0 or value >= 10
                continue
            least, largest = interval(released, table, (i, j))
            assert least <= table[i][j] <= largest
            if 0 < table[i][j] < 10:
                assert largest >= table[i][j] + 10


@given(TABLES)
@settings(max_examples=60, deadline=None)
def test_no_safe_total_is_a_blank_that_another_table_would_fill(counts: list[list[int]]) -> None:
    table = with_totals(counts)
    try:
        released = suppress(counts, 10)
    except DisclosureRefused:
        return
    totals = [(i, j) for i, j in blanks(released) if i == len(table) - 1 or j == len(table[0]) - 1]
    assert all(0 < table[i][j] < 10 for i, j in totals)


def test_a_level_with_few_rows_in_all_is_refused() -> None:
    with pytest.raises(DisclosureRefused) as refused:
        suppress([[40, 3], [50, 4]], 10)
    assert refused.value.rule == "secondary_suppression"


@pytest.mark.parametrize("wrong", [[], [[]], [[1, 2], [3]], [[1, -1]], [[1.5, 2]]])
def test_what_is_no_table_of_counts_is_refused(wrong: list[list[int]]) -> None:
    with pytest.raises(DisclosureRefused):
        suppress(wrong, 10)
