"""An attacker reads every label our hierarchies and ARX write: a value always fits its own label."""

from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdex.deid import hierarchy
from hdex.deid.attack_labels import Kind, interval_of, kind_of, read_labels
from hdex.deid.attackers import Reads


def holds(label: str | None, value: str | None, kind: Kind, **options: object) -> bool:
    read = read_labels(pl.Series("c", [label], dtype=pl.String), kind, **options)  # type: ignore[arg-type]
    return bool(read.holding(value)[0])


@pytest.mark.parametrize(
    ("label", "inside", "outside"),
    [
        ("60-69", "60 69 64.5", "59 70"),
        ("60-<70", "60 69.99", "70 59"),
        ("-10-<-5", "-10 -6", "-5 0"),
        ("90+", "90 104", "89"),
        (">=90", "90 91", "89"),
        (">90", "91", "90"),
        ("≤18", "18 3", "19"),
        ("<18", "17", "18"),
        ("[20, 40[", "20 39", "40 19"),
        ("[20, 40)", "20 39", "40"),
        ("]20, 40]", "40 21", "20"),
        ("(20, 40]", "40", "20"),
        ("{20, 30}", "20 30", "25"),
        ("123*", "1234 12399", "1243"),
        ("123**", "12345", "123 123456 12445"),
        ("30", "30", "31"),
        ("*", "30 -1", ""),
    ],
)
def test_labels_of_numbers(label: str, inside: str, outside: str) -> None:
    assert all(holds(label, value, Kind.NUMBER) for value in inside.split())
    assert not any(holds(label, value, Kind.NUMBER) for value in outside.split())


@pytest.mark.parametrize(
    ("label", "inside", "outside"),
    [
        ("2024-03", "2024-03-01 2024-03-31 2024-03", "2024-02-29 2024-04-01 2024-04"),
        ("2024-Q1", "2024-01-01 2024-03-31", "2024-04-01"),
        ("2024-H2", "2024-07-01 2024-12-31", "2024-06-30 2025-01-01"),
        ("2024", "2024-01-01 2024-12-31", "2023-12-31"),
        ("2024-03-09", "2024-03-09 2024-03", "2024-03-10"),
        ("03/09/2024", "2024-03-09 03/09/2024", "2024-09-03"),
        ("2024-03-09 14:30:00", "2024-03-09 14:30:00|2024-03-09", "2024-03-09 14:31:00"),
        ("9999-12-31", "9999-12-31", "9999-12-30"),
    ],
)
def test_labels_of_dates(label: str, inside: str, outside: str) -> None:
    cut = "|" if "|" in inside or ":" in outside else " "
    assert all(holds(label, value, Kind.DATE) for value in inside.split(cut))
    assert not any(holds(label, value, Kind.DATE) for value in outside.split(cut))


@pytest.mark.parametrize(
    ("label", "inside", "outside"),
    [
        ("E11.6", "E11.6 E11.65 E1165", "E11 E11.5 E11.7 E116X5Z9"),
        ("E11", "E11 E11.0 E11.9 E11.ZZZZ", "E10.9 E12 E1"),
        ("E10-E19", "E10 E11.65 E19.9", "E09.9 E20 F11"),
        ("C00-D49", "C50.1 D10 D49.9", "D50 B99"),
        ("I", "I10 I63.9", "J10 H99.9"),
        ("F", "F", "M"),
    ],
)
def test_nodes_of_a_code_tree(label: str, inside: str, outside: str) -> None:
    assert all(holds(label, value, Kind.TEXT) for value in inside.split())
    assert not any(holds(label, value, Kind.TEXT) for value in outside.split())


def test_codes_and_groups() -> None:
    assert holds("I63*", "I63.9", Kind.TEXT)
    assert not holds("I63*", "I64", Kind.TEXT)
    ladder = hierarchy.groups(pl.Series("m", ["a1", "a2", "b1"]), [{"a1": "a", "a2": "a", "b1": "b"}])
    assert holds("a", "a2", Kind.TEXT, ladder=ladder)
    assert not holds("b", "a2", Kind.TEXT, ladder=ladder)


def test_null_is_a_value_unless_the_raw_column_had_none() -> None:
    assert holds(None, None, Kind.TEXT)
    assert not holds(None, "x", Kind.TEXT)
    assert holds(None, "x", Kind.TEXT, raw=pl.Series(["x", "y"]))
    assert not holds(None, "x", Kind.TEXT, raw=pl.Series(["x", None]))
    assert not holds("x", None, Kind.TEXT)


def test_a_group_name_may_hold_anything_until_its_hierarchy_is_read() -> None:
    raw = pl.Series("m", ["a1", "a2", "b1"])
    ladder = hierarchy.groups(raw, [{"a1": "a", "a2": "a", "b1": "b"}])
    assert holds("a", "b1", Kind.TEXT, raw=raw)
    assert not holds("a", "b1", Kind.TEXT, raw=raw, ladder=ladder)
    assert not holds("a1", "b1", Kind.TEXT, raw=raw)


def test_a_shift_widens_what_a_day_may_mean() -> None:
    assert holds("2024-03-09", "2024-03-19", Kind.DATE, shift_days=10)
    assert not holds("2024-03-09", "2024-03-20", Kind.DATE, shift_days=10)
    assert holds("2024-Q1", "2024-04-05", Kind.DATE, shift_days=5)


def test_a_month_remembered_is_any_of_its_days() -> None:
    assert interval_of("2024-02-10", Kind.DATE, Reads.MONTH) == pytest.approx(
        (date(2024, 2, 1).toordinal(), date(2024, 3, 1).toordinal()), abs=1e-6
    )
    year = interval_of("2024-02-10", Kind.DATE, Reads.YEAR)
    assert year == pytest.approx((date(2024, 1, 1).toordinal(), date(2025, 1, 1).toordinal()), abs=1e-6)
    assert interval_of("9999-12-31", Kind.DATE, Reads.YEAR) is not None


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2], Kind.NUMBER),
        (["1", "2.5"], Kind.NUMBER),
        (["01234", "20500"], Kind.TEXT),
        (["I63.9"], Kind.TEXT),
        (["2024-03-09", None], Kind.DATE),
        (["2024-03"], Kind.DATE),
        (["1987", "2001"], Kind.NUMBER),
        ([datetime(2024, 3, 9)], Kind.DATE),
        ([], Kind.TEXT),
    ],
)
def test_the_kind_of_a_column(values: list[object], kind: Kind) -> None:
    assert kind_of(pl.Series(values) if values else pl.Series([], dtype=pl.String)) is kind


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(["age", "float", "day", "month", "code", "digits"]), st.integers(0, 99))
def test_every_value_fits_the_label_its_ladder_gives_it(column: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    day = [date(2019, 1, 1) + timedelta(days=int(n)) for n in random.integers(0, 2000, 40)]
    values = {
        "age": pl.Series(random.integers(0, 110, 40)),
        "float": pl.Series(random.normal(0, 30, 40).round(2)),
        "day": pl.Series(day),
        "month": pl.Series([f"{one:%Y-%m}" for one in day]),
        "code": pl.Series(random.choice(["I63.9", "I63.1", "I10", "E11.9"], 40)),
        "digits": pl.Series([f"{n:05}" for n in random.integers(0, 99999, 40)]),
    }[column]
    ladder = hierarchy.automatic(values, top=90 if column == "age" else None)
    texts = hierarchy.as_text(values).to_list()
    for level in range(ladder.height):
        labels = hierarchy.as_text(ladder.labels(values, level))
        read = read_labels(labels, kind_of(values))
        numbers = [read.places[label] for label in labels.to_list()]
        held = [read.holding(text) for text in texts]
        assert all(held[row][number] for row, number in enumerate(numbers))
        for row, mask in enumerate(held):  # full-domain labels are disjoint: one fits, months told as days aside
            assert column == "month" or int(mask.sum()) == 1, (labels[row], texts[row])
