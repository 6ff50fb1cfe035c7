"""What a release is still worth: the engine's own loss, formulas by hand, and small cells that must not show."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any, cast

import numpy as np
import polars as pl
import pytest
from scipy.stats import chi2_contingency

from hdex.deid import hierarchy
from hdex.deid.errors import ArgumentInvalid
from hdex.deid.lattice import LatticeResult, anonymize
from hdex.deid.utility import describe
from hdex.deid.utility_columns import association, numeric_bins
from hdex.deid.utility_labels import recode

KEYS = ["loss", "nue", "kl", "aecs", "discernibility", "columns", "correlation", "model"]
ROWS = 600


def table(seed: int = 5) -> pl.DataFrame:
    generator = np.random.default_rng(seed)
    age = generator.integers(20, 80, ROWS)
    ill = generator.random(ROWS) < 1 / (1 + np.exp(-(age - 50) / 6))
    days = [f"2024-{month:02}-{day:02}" for month, day in generator.integers(1, 13, (ROWS, 2))]
    return pl.DataFrame(
        {
            "age": age,
            "code": generator.choice(["I63.9", "I63.1", "I10", "E11.2", "E11.9", ""], ROWS),
            "day": pl.Series(days).str.to_date(),
            "ill": np.where(ill, "yes", "no"),
            "name": [f"Name {n}" for n in range(ROWS)],
        }
    ).with_columns(pl.col("code").replace("", None))


def ladders(frame: pl.DataFrame) -> dict[str, hierarchy.Hierarchy]:
    return {name: hierarchy.automatic(frame[name]) for name in ("age", "code", "day")}


@pytest.fixture(scope="module")
def before() -> pl.DataFrame:
    return table()


@pytest.fixture(scope="module")
def released(before: pl.DataFrame) -> LatticeResult:
    return anonymize(before, ladders(before), k=4, suppression=0.1)


def told(before: pl.DataFrame, after: pl.DataFrame, **asked: Any) -> dict[str, Any]:
    found = describe(before, after, quasi=["age", "code", "day"], **asked)
    assert list(found) == KEYS
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    return cast("dict[str, Any]", found)


def test_loss_read_from_labels_is_the_engines_loss(before: pl.DataFrame, released: LatticeResult) -> None:
    shuffled = released.frame.sample(fraction=1, shuffle=True, seed=1)
    assert released.suppressed > 0
    assert told(before, shuffled)["loss"] == pytest.approx(released.loss, abs=1e-12)
    assert told(before, shuffled, hierarchies=ladders(before))["loss"] == pytest.approx(released.loss, abs=1e-12)


def test_every_measure_by_hand(before: pl.DataFrame, released: LatticeResult) -> None:
    found = told(before, released.frame)
    kept = before.filter(released.kept)
    sizes = Counter(released.frame.select("age", "code", "day").rows())
    assert found["aecs"] == pytest.approx(released.frame.height / len(sizes))
    assert found["discernibility"] == pytest.approx(
        (sum(size**2 for size in sizes.values()) + released.suppressed * ROWS) / ROWS**2
    )
    nue, kl = [], []
    for name in ("age", "code", "day"):
        pairs = list(zip(hierarchy.as_text(kept[name]), hierarchy.as_text(released.frame[name]), strict=True))
        whole = Counter(hierarchy.as_text(before[name]))
        label_of = dict(pairs)
        inside = Counter[object]()
        for value, count in whole.items():
            inside[label_of.get(value)] += count
        assert set(label_of) == set(whole)  # so that the formulas below are exact
        full = -sum(n * math.log2(n / ROWS) for n in whole.values())
        bits = sum(
            label_rows * sum(-(whole[v] / inside[label]) * math.log2(whole[v] / inside[label]) for v in members)
            for label, label_rows in Counter(label for _, label in pairs).items()
            for members in [[v for v in whole if label_of[v] == label]]
        )
        nue.append((bits + released.suppressed * full / ROWS) / full)
        width = Counter(label_of.values())
        labels = Counter(label for _, label in pairs)
        guess = {v: (labels[label_of[v]] / width[label_of[v]] + released.suppressed / len(whole)) / ROWS for v in whole}
        kl.append(sum(n / ROWS * math.log(n / ROWS / guess[v]) for v, n in whole.items()))
    assert found["nue"] == pytest.approx(sum(nue) / 3)
    assert found["kl"] == pytest.approx(sum(kl) / 3)


def test_an_unaltered_table_loses_nothing_and_an_empty_release_all(before: pl.DataFrame) -> None:
    same = told(before, before)
    assert (same["loss"], same["nue"]) == (0, 0)
    assert same["kl"] == pytest.approx(0, abs=1e-12)
    gone = told(before, before.clear())
    assert (gone["loss"], gone["nue"], gone["aecs"], gone["discernibility"]) == (1, 1, 0, 1)
    nothing = told(before.clear(), before.clear(), target="ill")
    assert (nothing["loss"], nothing["columns"], nothing["model"]) == (0, [], None)


def test_no_label_shows_fewer_than_ten_patients(before: pl.DataFrame) -> None:
    rare = before.with_columns(code=pl.when(pl.int_range(ROWS) < 9).then(pl.lit("Z99")).otherwise("code"))
    twin = rare.with_columns(
        who=pl.int_range(ROWS), ten=pl.when(pl.int_range(ROWS) < 10).then(pl.lit("x")).otherwise(pl.lit("y"))
    )
    found = {one["name"]: one for one in told(twin, twin, patient="who")["columns"]}
    assert "Z99" not in {bar["label"] for bar in found["code"]["before"]}
    assert "other" in {bar["label"] for bar in found["code"]["before"]}
    assert {bar["label"] for bar in found["ten"]["before"]} == {"x", "y"}
    assert "name" not in found  # nothing of it holds ten
    assert "who" not in found
    fewer = twin.with_columns(who=pl.int_range(ROWS) // 2 * 2)  # ten rows of five people, and the rest is no more
    assert "ten" not in {one["name"] for one in told(fewer, fewer, patient="who")["columns"]}
    for one in found.values():
        assert sum(bar["share"] for bar in one["before"]) == pytest.approx(1, abs=0.01)
        assert [bar["label"] for bar in one["before"]][:-1] == [bar["label"] for bar in one["after"]][
            : len(one["before"]) - 1
        ]


def test_both_sides_speak_the_labels_of_the_release(before: pl.DataFrame, released: LatticeResult) -> None:
    level = released.transformation["age"]
    assert level > 0
    expected = Counter(ladders(before)["age"].labels(before["age"], level))
    bars = next(one for one in told(before, released.frame)["columns"] if one["name"] == "age")
    shown = {bar["label"]: bar["share"] for bar in bars["before"] if bar["label"] != "other"}
    assert shown
    for label, share in shown.items():
        assert share == pytest.approx(expected[label] / ROWS, abs=6e-4)


def test_overlapping_labels_are_spread_over_values() -> None:
    before = pl.DataFrame({"zip": ["11"] * 200 + ["12"] * 200 + ["21"] * 200})
    after = pl.DataFrame({"zip": ["11"] * 100 + ["1*"] * 300 + ["*"] * 200})
    (bars,) = cast("list[dict[str, Any]]", describe(before, after, quasi=["zip"])["columns"])
    shares = {bar["label"]: bar["share"] for bar in bars["after"]}
    assert shares == pytest.approx({"11": (10 + 15 + 20 / 3) / 60, "12": (15 + 20 / 3) / 60, "21": 20 / 180}, abs=1e-3)


@pytest.mark.parametrize(
    ("values", "label", "covered"),
    [
        ([17, 18, 19, 20, None], "18-19", [18, 19]),
        ([17, 18, 19, 20], "[17, 19[", [17, 18]),
        ([-5, -3, 0, 4], "-5-0", [-5, -3, 0]),
        ([0.5, 1.0, 1.5], "0.5-<1.5", [0.5, 1.0]),
        ([88, 90, 95], "90+", [90, 95]),
        ([88, 90, 95], "<90", [88]),
        (["2024-01-31", "2024-04-01", "2024-07-01"], "2024-Q2", ["2024-04-01"]),
        (["2024-01-31", "2024-04-01", "2024-07-01"], "2024-H1", ["2024-01-31", "2024-04-01"]),
        (["2024-01-31", "2024-01-02", "2025-01-02"], "2024-01", ["2024-01-31", "2024-01-02"]),
        (["I63.1", "I63.9", "I10", None], "I63*", ["I63.1", "I63.9"]),
        (["a", "b", "c"], "{a, c}", ["a", "c"]),
        (["a", "b", None], "*", ["a", "b", None]),
        (["a", "b", None], None, [None]),
        (["a", "b"], None, ["a", "b"]),
        (["a", "b"], "a group nobody knows", ["a", "b"]),
    ],
)
def test_a_label_covers_what_it_says(values: list[object], label: str | None, covered: list[object]) -> None:
    column = pl.Series("v", values)
    found = recode(column, pl.Series("v", [label], dtype=pl.String))
    expected = hierarchy.as_text(pl.Series(covered, dtype=column.dtype)).to_list()
    assert Counter(found.values[i] for i in found.covers[0]) == Counter(expected)


def test_a_hierarchy_tells_what_its_groups_hold() -> None:
    values = pl.Series("drug", ["a", "b", "c", "d"])
    ladder = hierarchy.groups(values, [{"a": "one", "b": "one", "c": "two", "d": "two"}])
    found = recode(values, pl.Series("drug", ["one", "one", "c"]), ladder)
    assert {label: len(found.covers[i]) for i, label in enumerate(found.labels)} == {"one": 2, "c": 1}
    assert found.leaves == 4


def test_association_is_cramers_v_corrected_for_bias(before: pl.DataFrame) -> None:
    frame = before.select("ill", "code").with_columns(half=pl.col("ill").replace("yes", "no"), copy="ill")
    found = cast("dict[str, Any]", association(frame, frame, ["ill", "code", "half", "copy"]))
    crossed = frame.select(pl.col("ill"), pl.col("code").fill_null("-")).to_dummies("code").group_by("ill").sum()
    counts = crossed.drop("ill").to_numpy()
    phi = chi2_contingency(counts, correction=False).statistic / ROWS
    r, c = counts.shape
    corrected = max(phi - (r - 1) * (c - 1) / (ROWS - 1), 0)
    least = min(r - (r - 1) ** 2 / (ROWS - 1), c - (c - 1) ** 2 / (ROWS - 1)) - 1
    assert found["before"][0][1] == pytest.approx(math.sqrt(corrected / least), abs=1e-4)
    assert found["before"][0][3] == pytest.approx(1, abs=1e-3)
    assert found["before"][0][2] == 0  # a constant is associated with nothing
    assert found["before"] == found["after"]


def test_round_edges_hide_the_extremes() -> None:
    numbers = pl.Series("v", [*np.linspace(20, 80, 200).tolist(), 1234.5, -77.7])
    labels = numeric_bins(numbers, numbers).labels
    assert not any("1234" in label or "77" in label for label in labels)
    assert labels[0].startswith("below")
    assert numeric_bins(pl.Series([5, 5, None]), pl.Series([5])).labels == ["any", "missing"]


def test_tables_that_cannot_be_compared_are_refused(before: pl.DataFrame) -> None:
    with pytest.raises(ArgumentInvalid, match="columns age are not in the release"):
        describe(before, before.drop("age"), quasi=["age"])
    with pytest.raises(ArgumentInvalid, match="columns x are not in the table before"):
        describe(before, before, quasi=["age"], target="x")
    with pytest.raises(ArgumentInvalid, match="600 rows, its source 10"):
        describe(before.head(10), before, quasi=["age"])
