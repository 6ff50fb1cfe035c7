"""What a page shows about the data comes from no single row and from no small group."""

from collections import Counter
from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.catalog.samples import sample_product

from hdex.catalog.errors import PreviewRefused
from hdex.catalog.pairwise import links, tree_order
from hdex.catalog.preview import aggregate_preview, synthetic_preview
from hdex.catalog.product import DataProduct, PreviewKind
from hdex.catalog.profile import FLOOR, bin_edges, labels_of, merge_numbers, merge_words, summarise


def cohort(rows: int = 2000) -> pl.DataFrame:
    chance = np.random.default_rng(5)
    ages = chance.normal(68, 9, rows).round().astype(int)
    ages[0] = 104  # one very old patient
    models = chance.choice(["Acculink 7-40", "Wallstent 8-29", "Protégé 9-40"], rows, p=[0.5, 0.3, 0.2]).tolist()
    models[1] = "Prototype X"  # one patient with a stent nobody else has
    return pl.DataFrame(
        {
            "patient": [f"P{n:06d}" for n in range(rows)],
            "age": ages.tolist(),
            "model": models,
            "ldl": (chance.gamma(6, 0.45, rows)).round(2).tolist(),
            "restenosis": (chance.random(rows) < 0.12).tolist(),
            "implanted": [date(2023 + n % 3, 1 + n % 12, 5) for n in range(rows)],
        }
    )


COHORT = cohort()


def seeded(seed: int = 3) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_every_bin_shown_holds_the_floor() -> None:
    for summary in summarise(COHORT):
        if summary.histogram is not None:
            assert min(held.count for held in summary.histogram.bins) >= FLOOR


def test_rare_words_extremes_and_identifiers_are_not_shown() -> None:
    by_name = {summary.name: summary for summary in summarise(COHORT)}
    assert by_name["patient"].histogram is None
    shown = repr(by_name)
    assert "Prototype X" not in shown
    assert "104" not in shown
    assert by_name["age"].filled == 1.0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=20, max_size=300), st.integers(2, 15))
def test_numbers_lose_no_row_and_leave_no_small_bin(values: list[float], least: int) -> None:
    edges = bin_edges(pl.Series("x", values))
    held = Counter(sum(value >= edge for edge in edges) for value in values)
    counts, kept = merge_numbers([held[number] for number in range(len(edges) + 1)], edges, least)
    assert sum(counts) == len(values)
    assert len(counts) == len(kept) + 1
    assert min(counts) >= least or len(counts) == 1


@given(st.dictionaries(st.text(max_size=5), st.integers(1, 60), max_size=30), st.integers(2, 20))
def test_words_leave_no_small_bin_and_no_remainder_to_subtract(words: dict[str, int], least: int) -> None:
    shown = merge_words(Counter(words), least)
    assert all(count >= least for _, count in shown)
    hidden = sum(words.values()) - sum(count for _, count in shown)
    assert hidden == 0 or not shown  # nothing is left over beside what is shown


def test_bins_are_named_in_order() -> None:
    assert labels_of((10.0, 20.0, 30.5)) == ("< 10", "10 – 20", "20 – 30.5", "≥ 30.5")


def test_synthetic_rows_say_so_and_fit_the_product() -> None:
    preview = synthetic_preview(COHORT, epsilon=1.0, generator=seeded(), rows=100)
    assert preview.kind == PreviewKind.SYNTHETIC
    assert len(preview.rows) == 100
    assert all(row["synthetic"] is True for row in preview.rows)
    assert "patient" not in preview.rows[0]
    assert {type(row["age"]) for row in preview.rows} == {int}
    assert {type(row["restenosis"]) for row in preview.rows} == {bool}
    product = sample_product(preview=preview)
    assert DataProduct.from_document(product.document()) == product


def test_synthetic_rows_resemble_the_column_but_not_the_row() -> None:
    preview = synthetic_preview(COHORT, epsilon=3.0, generator=seeded(), rows=3000)
    ages = [row["age"] for row in preview.rows]
    assert abs(float(np.mean([age for age in ages if isinstance(age, int)])) - 68) < 2.5


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.integers(60, 400), st.integers(2, 4))
def test_no_row_shown_is_a_row_of_the_frame(seed: int, rows: int, words: int) -> None:
    """Searched, not believed: few words and whole numbers, so that chance alone would meet real rows."""
    chance = np.random.default_rng(seed)
    frame = pl.DataFrame(
        {
            "age": chance.integers(50, 70, rows).tolist(),
            "sex": chance.choice([f"w{n}" for n in range(words)], rows).tolist(),
            "year": [date(2020 + int(n), 5, 1) for n in chance.integers(0, 3, rows)],
            "bmi": (chance.normal(25, 2, rows).round(0)).tolist(),
        }
    )
    preview = synthetic_preview(frame, epsilon=2.0, generator=seeded(seed), rows=60)
    names = [name for name in frame.columns if preview.rows and name in preview.rows[0]]
    real = {tuple(told(row[name]) for name in names) for row in frame.iter_rows(named=True)}
    assert not [row for row in preview.rows if tuple(told(row[name]) for name in names) in real]


def told(cell: object) -> object:
    """Return a cell as a page shows it: a day by its year, a number as a number."""
    if isinstance(cell, date):
        return str(cell.year)
    return float(cell) if isinstance(cell, int | float) else cell


def test_what_goes_together_in_the_data_goes_together_in_the_preview() -> None:
    chance = np.random.default_rng(1)
    ill = chance.random(4000) < 0.4
    frame = pl.DataFrame(
        {
            "treated": np.where(ill, chance.random(4000) < 0.9, chance.random(4000) < 0.1).tolist(),
            "lab": (chance.normal(5, 1, 4000) + 4 * ill).round(2).tolist(),
            "ill": ill.tolist(),
            "noise": chance.normal(0, 1, 4000).round(2).tolist(),
        }
    )
    preview = synthetic_preview(frame, epsilon=2.0, generator=seeded(), rows=1000)
    shown = pl.DataFrame(list(preview.rows)).group_by("ill").agg(pl.col("treated").mean(), pl.col("lab").mean())
    by_ill = {row["ill"]: row for row in shown.iter_rows(named=True)}
    assert by_ill[True]["treated"] > 0.75
    assert by_ill[False]["treated"] < 0.25
    assert by_ill[True]["lab"] - by_ill[False]["lab"] > 2.5


def test_the_tree_joins_every_column_once_and_takes_the_strongest_pair() -> None:
    chance = np.random.default_rng(2)
    first = chance.integers(0, 3, 3000)
    codes = [first, chance.integers(0, 2, 3000), first, chance.integers(0, 4, 3000)]
    counts = [np.bincount(one).tolist() for one in codes]
    tree = links([one.tolist() for one in codes], counts, epsilon=2.0, generator=seeded())
    assert len(tree) == 3
    assert (0, 2) in {(link.first, link.second) for link in tree}
    assert sorted(at for at, _, _ in tree_order(4, tree)) == [0, 1, 2, 3]
    assert links([[0, 1]], [[1, 1]], epsilon=1.0, generator=seeded()) == []


def test_an_empty_cell_counts_in_no_pair() -> None:
    (tree,) = links([[0, -1, 1] * 100, [0, 1, -1] * 100], [[100, 100], [100, 100]], epsilon=2000.0, generator=seeded())
    assert tree.table.tolist() == [[100.0, 0.0], [0.0, 0.0]]


def test_one_patient_more_changes_no_bin_by_more_than_the_noise_hides() -> None:
    # the same generator state on both: the released counts may differ by one per column at most
    fewer = COHORT.head(COHORT.height - 1)
    one = synthetic_preview(COHORT, epsilon=1.0, generator=seeded(), rows=1)
    other = synthetic_preview(fewer, epsilon=1.0, generator=seeded(), rows=1)
    for with_patient, without in zip(one.histograms, other.histograms, strict=True):
        pairs = zip(with_patient.bins, without.bins, strict=True)
        assert sum(abs(a.count - b.count) for a, b in pairs) <= 1


def test_noise_has_the_spread_that_epsilon_declares() -> None:
    frame = pl.DataFrame({"sex": ["female"] * 400 + ["male"] * 600})
    counts = [
        synthetic_preview(frame, epsilon=0.5, generator=seeded(seed), rows=0).histograms[0].bins[0].count
        for seed in range(600)
    ]
    p = 1 - np.exp(-0.5)
    assert np.mean(counts) == pytest.approx(600, abs=0.4)
    assert np.var(counts) == pytest.approx(2 * (1 - p) / p**2, rel=0.3)


def test_the_budget_is_shared_by_columns_and_by_a_patients_rows() -> None:
    frame = pl.DataFrame({"sex": ["female"] * 40 + ["male"] * 60, "side": ["left", "right"] * 50})
    counts = [
        synthetic_preview(frame, epsilon=2.0, generator=seeded(seed), rows=0, rows_per_patient=2).histograms[0].bins[0]
        for seed in range(600)
    ]
    p = 1 - np.exp(-2.0 / 3 / 4)  # a third for the counts, over two columns and two rows
    assert np.var([held.count for held in counts]) == pytest.approx(2 * (1 - p) / p**2, rel=0.3)


def test_the_same_seed_gives_the_same_preview_and_another_another() -> None:
    first, again = (synthetic_preview(COHORT, epsilon=1.0, generator=seeded(9)) for _ in range(2))
    assert first == again
    assert first != synthetic_preview(COHORT, epsilon=1.0, generator=seeded(10))


@pytest.mark.parametrize(
    ("frame", "epsilon", "problem"),
    [
        (COHORT.head(30), 1.0, "rows are asked"),
        (COHORT, 0.0, "above 0"),
        (COHORT.select("patient"), 1.0, "frequent enough"),
    ],
)
def test_too_little_is_refused(frame: pl.DataFrame, epsilon: float, problem: str) -> None:
    with pytest.raises(PreviewRefused, match=problem):
        synthetic_preview(frame, epsilon=epsilon, generator=seeded())


def test_an_aggregate_preview_has_no_rows() -> None:
    preview = aggregate_preview(COHORT)
    assert preview.rows == ()
    assert {held.column for held in preview.histograms} == {"age", "model", "ldl", "restenosis", "implanted"}
    assert replace(preview) == aggregate_preview(COHORT)


def test_empty_and_constant_columns_are_passed_over() -> None:
    frame = COHORT.with_columns(pl.lit(None, pl.Float64).alias("empty"), pl.lit(7).alias("constant"))
    names = {held.column for held in aggregate_preview(frame).histograms}
    assert not names & {"empty", "constant"}
    assert synthetic_preview(frame, epsilon=1.0, generator=seeded()).rows
