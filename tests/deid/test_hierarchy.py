"""Hierarchies read as a person expects, merge only, and say what they miss."""

from datetime import date
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdex.deid import hierarchy
from hdex.deid.errors import HierarchyIncomplete, InputInvalid
from hdex.deid.hierarchy import Hierarchy


def path_of(ladder: Hierarchy, leaf: str | None) -> list[str | None]:
    index = ladder.levels[0].to_list().index(leaf)
    return [level[index] for level in ladder.levels]


def test_ages_read_as_intervals_and_end_at_ninety() -> None:
    ladder = hierarchy.interval(pl.Series("age", [3, 67, 90]), top=90)
    assert path_of(ladder, "67") == ["67", "65-69", "60-69", "60-79", "40-79", "*"]
    assert path_of(ladder, "90") == ["90", "90+", "90+", "80+", "80+", "*"]


def test_dates_become_month_quarter_half_year_and_year() -> None:
    ladder = hierarchy.date(pl.Series("seen", [date(2024, 3, 9), date(2025, 12, 31)]))
    assert path_of(ladder, "2024-03-09") == ["2024-03-09", "2024-03", "2024-Q1", "2024-H1", "2024", "*"]


def test_months_written_as_text_are_dates() -> None:
    ladder = hierarchy.automatic(pl.Series("month", ["2024-03", "2025-12"]))
    assert path_of(ladder, "2025-12") == ["2025-12", "2025-12", "2025-Q4", "2025-H2", "2025", "*"]


def test_codes_climb_their_tree_and_numbers_are_cut_from_the_end() -> None:
    icd = hierarchy.automatic(pl.Series("icd", ["I63.9", "I10", "E11.0"]))
    assert path_of(icd, "I63.9") == ["I63.9", "I63", "I60-I69", "I", "*"]
    assert path_of(icd, "I10") == ["I10", "I10", "I10-I19", "I", "*"]
    assert path_of(hierarchy.automatic(pl.Series("post", ["200", "310"])), "310") == ["310", "31*", "3*", "*"]


def test_named_groups_carry_a_model_to_its_maker() -> None:
    ladder = hierarchy.groups(pl.Series("model", ["m1", "m2", "n1"]), [{"m1": "M", "m2": "M", "n1": "N"}])
    assert path_of(ladder, "m2") == ["m2", "M", "*"]
    with pytest.raises(HierarchyIncomplete, match="misses 1"):
        hierarchy.groups(pl.Series("model", ["m1", "m2"]), [{"m1": "M"}])


@pytest.mark.parametrize(
    "values",
    [
        pl.Series("v", [1, 5, None, 99]),
        pl.Series("v", [0.1, 0.3, float("nan"), 1e6]),
        pl.Series("v", [date(2024, 1, 1), None]),
        pl.Series("v", ["a", None]),
        pl.Series("v", [True, False]),
        pl.Series("v", [None, None], dtype=pl.String),
        pl.Series("v", [1_000_000, 2_500_000]),
    ],
)
def test_every_type_gets_a_ladder_that_ends_in_one_group(values: pl.Series) -> None:
    ladder = hierarchy.automatic(values)
    assert ladder.levels[-1].n_unique() == 1
    assert len(ladder.encode(values)) == len(values)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=1, max_size=30))
def test_losses_grow_with_the_level(values: list[float | None]) -> None:
    ladder = hierarchy.automatic(pl.Series("v", values, dtype=pl.Float64))
    for level in range(1, ladder.height):
        assert (ladder.losses(level) >= ladder.losses(level - 1) - 1e-12).all()


@pytest.mark.parametrize("scale", [0.1, 1e-9, 1e-12, 1e-300, 3.6e-308])
def test_numbers_are_in_intervals_that_hold_them(scale: float) -> None:
    """Molar concentrations are small, and a tenth is no binary number: no interval is rounded away or missed."""
    values = pl.Series("v", [None, 0.0, scale, 3 * scale, round(7 * scale, 1) or 7 * scale, 40 * scale])
    for level in hierarchy.automatic(values).levels[1:]:
        for value, label in zip(values, level, strict=True):
            if value is not None and label != hierarchy.ANY:
                low, high = map(float, label.split("-<"))
                assert low <= value * (1 + 1e-15)
                assert value < high


def test_a_ladder_that_splits_a_group_is_refused() -> None:
    with pytest.raises(InputInvalid, match="splits a group"):
        hierarchy.interval(pl.Series("age", list(range(100))), (10, 15))


def test_a_file_gives_leaves_and_labels(tmp_path: Path) -> None:
    (tmp_path / "x_hierarchy_sex.csv").write_text("M;*\nF;*\n")
    path = hierarchy.find_csv(tmp_path, "sex")
    assert path is not None
    assert path_of(hierarchy.from_csv(path, "sex"), "F") == ["F", "*"]
    assert hierarchy.find_csv(tmp_path, "age") is None


def test_a_broken_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sex.csv"
    path.write_text("M;*\nF\n")
    with pytest.raises(InputInvalid, match="lines of"):
        hierarchy.from_csv(path, "sex")
    path.write_text("M;*\nM;*\n")
    with pytest.raises(InputInvalid, match="lists a leaf twice"):
        hierarchy.from_csv(path, "sex")
    path.write_text("")
    with pytest.raises(InputInvalid):
        hierarchy.from_csv(path, "sex")


@pytest.mark.parametrize("widths", [(), (0,), (-5, 10)])
def test_widths_must_be_above_zero(widths: tuple[int, ...]) -> None:
    with pytest.raises(InputInvalid, match="above 0"):
        hierarchy.interval(pl.Series("age", [1]), widths)
