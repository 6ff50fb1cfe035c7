"""Every model of privacy against its definition counted by hand, and through the search that uses it."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdex.deid import hierarchy
from hdex.deid.closeness import BetaLikeness, Closeness, DeltaDisclosure, EnhancedBetaLikeness, distances
from hdex.deid.diversity import (
    Diversity,
    EntropyDiversity,
    Model,
    RecursiveDiversity,
    encode_sensitive,
    unprotected,
)
from hdex.deid.errors import ArgumentInvalid, InputInvalid
from hdex.deid.lattice import anonymize
from hdex.deid.local import anonymize_local
from hdex.deid.presence import DeltaPresence, KMap, with_membership
from hdex.deid.risk import unprotected_classes

Row = tuple[int, object, int]  # class, sensitive value, weight
Values = list[object]


def weak_groups(model: Model, rows: Sequence[Row], dtype: type[pl.DataType], count: int = 6) -> list[int]:
    """Groups our model refuses, over weighted rows."""
    values = pl.Series("s", [value for _, value, weight in rows for _ in range(weight)], dtype=dtype)
    whole = encode_sensitive(values)
    first = np.cumsum([0, *(weight for _, _, weight in rows)])[:-1]
    own = type(whole)(whole.codes[first], whole.shares, whole.is_ordered)
    groups = np.array([group for group, _, _ in rows])
    weights = np.array([weight for _, _, weight in rows])
    return [int(group) for group in np.flatnonzero(unprotected(model, groups, own, weights, count))]


def by_hand(rows: Sequence[Row], holds: Callable[[Values, Values], bool]) -> list[int]:
    """Groups for which the definition, told the values of the class and of the table, does not hold."""
    classes: dict[int, Values] = defaultdict(list)
    for group, value, weight in rows:
        classes[group] += [value] * weight
    table = [value for inside in classes.values() for value in inside]
    return sorted(group for group, inside in classes.items() if not holds(inside, table))


def entropy_holds(inside: Values, table: Values, least: float) -> bool:
    shares = [n / len(inside) for n in Counter(inside).values()]
    return -sum(p * math.log(p) for p in shares) >= math.log(least) - 1e-9


def recursive_holds(inside: Values, table: Values, c: float, least: int) -> bool:
    counts = sorted(Counter(inside).values(), reverse=True)
    return counts[0] < c * sum(counts[least - 1 :]) - 1e-9


def equal_distance(inside: Values, table: Values) -> float:
    own, whole = Counter(inside), Counter(table)
    return sum(abs(own[v] / len(inside) - whole[v] / len(table)) for v in whole) / 2


def ordered_distance(inside: Values, table: Values) -> float:
    own, whole = Counter(inside), Counter(table)
    order = sorted(whole, key=lambda v: (v is not None, v))
    if len(order) < 2:
        return 0.0
    gaps = [own[v] / len(inside) - whole[v] / len(table) for v in order]
    return sum(abs(sum(gaps[: i + 1])) for i in range(len(gaps))) / (len(order) - 1)


def disclosure_holds(inside: Values, table: Values, delta: float, *, present_only: bool) -> bool:
    own, whole = Counter(inside), Counter(table)
    for value, count in whole.items():
        if own[value] == 0:
            if not present_only:
                return False
            continue
        if abs(math.log(own[value] / len(inside) / (count / len(table)))) >= delta - 1e-9:
            return False
    return True


def beta_holds(inside: Values, table: Values, beta: float, *, enhanced: bool) -> bool:
    own, whole = Counter(inside), Counter(table)
    for value, count in whole.items():
        p, q = count / len(table), own[value] / len(inside)
        ceiling = min(beta, -math.log(p)) if enhanced else beta
        if (q - p) / p > ceiling + 1e-9:
            return False
    return True


text_rows = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from(["x", "y", "z", None]), st.integers(1, 4)), min_size=1, max_size=14
)
number_rows_ = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from([3, 5, 8, 13, -2, None]), st.integers(1, 4)), min_size=1, max_size=14
)

TEXT: dict[str, tuple[Model, Callable[[Values, Values], bool]]] = {
    "distinct": (Diversity("s", 2), lambda inside, table: len(set(inside)) >= 2),
    "entropy": (EntropyDiversity("s", 1.8), lambda i, t: entropy_holds(i, t, 1.8)),
    "recursive": (RecursiveDiversity("s", 1.5, 2), lambda i, t: recursive_holds(i, t, 1.5, 2)),
    "recursive third": (RecursiveDiversity("s", 3, 3), lambda i, t: recursive_holds(i, t, 3, 3)),
    "equal": (Closeness("s", 0.3), lambda i, t: equal_distance(i, t) <= 0.3 + 1e-9),
    "l or t": (Diversity("s", 3, 0.3), lambda i, t: len(set(i)) >= 3 or equal_distance(i, t) <= 0.3 + 1e-9),
    "disclosure": (DeltaDisclosure("s", 1.1), lambda i, t: disclosure_holds(i, t, 1.1, present_only=False)),
    "disclosure of what is there": (
        DeltaDisclosure("s", 0.7, present_only=True),
        lambda i, t: disclosure_holds(i, t, 0.7, present_only=True),
    ),
    "beta": (BetaLikeness("s", 0.9), lambda i, t: beta_holds(i, t, 0.9, enhanced=False)),
    "enhanced beta": (EnhancedBetaLikeness("s", 1.3), lambda i, t: beta_holds(i, t, 1.3, enhanced=True)),
}


@pytest.mark.parametrize("name", TEXT)
@settings(max_examples=25, deadline=None)
@given(rows=text_rows)
def test_a_model_says_what_its_definition_says(name: str, rows: list[Row]) -> None:
    model, holds = TEXT[name]
    assert weak_groups(model, rows, pl.String) == by_hand(rows, holds)


@settings(max_examples=40, deadline=None)
@given(rows=number_rows_, t=st.sampled_from([0.0, 0.1, 0.25, 0.4]))
def test_ordered_and_equal_distance_by_hand(rows: list[Row], t: float) -> None:
    for model, measure in (
        (Closeness("s", t), ordered_distance),
        (Closeness("s", t, is_ordered=True), ordered_distance),
        (Closeness("s", t, is_ordered=False), equal_distance),
        (Diversity("s", distance=t), ordered_distance),
    ):
        expected = by_hand(rows, lambda inside, table, far=measure: far(inside, table) <= t + 1e-9)  # type: ignore[misc]
        assert weak_groups(cast("Model", model), rows, pl.Int64) == expected


def test_the_papers_example_of_recursive_diversity() -> None:
    # Machanavajjhala et al. 2007, section 4.2: with l = 2 a class is (c, 2)-diverse when r1 < c (r2 + ... + rm).
    rows: list[Row] = [(0, "cold", 5), (0, "flu", 3), (0, "hiv", 1)]
    assert weak_groups(RecursiveDiversity("s", 1.25, 2), rows, pl.String) == [0]  # 5 < 1.25 * 4 is not
    assert weak_groups(RecursiveDiversity("s", 1.26, 2), rows, pl.String) == []


def test_distances_of_many_groups_equal_the_dense_formula() -> None:
    generator = np.random.default_rng(3)
    values = pl.Series("s", generator.integers(0, 300, 4000) ** 2)
    groups = generator.integers(0, 700, 4000)
    sensitive = encode_sensitive(values)
    found = distances(groups, sensitive, np.ones(4000, dtype=np.int64), 701)
    dense = np.zeros((701, len(sensitive.shares)))
    np.add.at(dense, (groups, sensitive.codes), 1.0)
    totals = dense.sum(axis=1, keepdims=True)
    gaps = np.divide(dense, totals, out=np.zeros_like(dense), where=totals > 0) - sensitive.shares * (totals > 0)
    expected = np.abs(np.cumsum(gaps, axis=1)).sum(axis=1) / (len(sensitive.shares) - 1)
    assert np.abs(found - expected).max() < 1e-12


population_rows = st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.integers(1, 4)), min_size=1, max_size=14)


@settings(max_examples=40, deadline=None)
@given(rows=population_rows)
def test_presence_is_counted_against_the_population(rows: list[Row]) -> None:
    def mapped(inside: Values, table: Values) -> bool:
        return not any(inside) or len(inside) >= 4

    def present(inside: Values, table: Values) -> bool:
        return 0.2 - 1e-9 <= sum(map(bool, inside)) / len(inside) <= 0.75 + 1e-9

    assert weak_groups(KMap("s", 4), rows, pl.Boolean) == by_hand(rows, mapped)
    assert weak_groups(DeltaPresence("s", 0.2, 0.75), rows, pl.Boolean) == by_hand(rows, present)


def test_a_sample_is_found_again_in_its_population() -> None:
    population = pl.DataFrame({"age": [1, 1, 1, 2, 2, None], "other": list("abcdef")})
    sample = pl.DataFrame({"age": [1, 1, None]})
    told = with_membership(sample, population, ["age"])
    assert told.group_by("age").agg(pl.col("in_sample").sum()).sort("age").rows() == [(None, 1), (1, 2), (2, 0)]
    with pytest.raises(InputInvalid, match="2 of 3 rows of the sample"):
        with_membership(pl.DataFrame({"age": [3, None, None]}), population, ["age"])
    with pytest.raises(ArgumentInvalid, match="not in the sample"):
        with_membership(sample, population, ["zip"])


@dataclass(frozen=True)
class Searched:
    """A table small enough to try every node."""

    frame: pl.DataFrame
    ladders: dict[str, hierarchy.Hierarchy]


@pytest.fixture(scope="module")
def searched() -> Searched:
    generator = np.random.default_rng(11)
    age = generator.integers(30, 60, 240)
    zone = generator.choice(list("abcd"), 240)
    ill = np.where(generator.random(240) < 0.4, "flu", generator.choice(["cold", "hiv", "none"], 240))
    frame = pl.DataFrame({"age": age, "zone": zone, "ill": ill, "cost": generator.integers(0, 20, 240)})
    halves = {"a": "ab", "b": "ab", "c": "cd", "d": "cd"}
    return Searched(frame, {"age": hierarchy.interval(frame["age"]), "zone": hierarchy.groups(frame["zone"], [halves])})


MODELS: list[Model] = [
    Diversity("ill", 3),
    EntropyDiversity("ill", 2.5),
    RecursiveDiversity("ill", 2, 2),
    Closeness("ill", 0.15),
    Closeness("cost", 0.12),
    DeltaDisclosure("ill", 0.8),
    BetaLikeness("ill", 0.5),
    EnhancedBetaLikeness("ill", 0.5),
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__ + "-" + model.sensitive)
def test_the_exact_search_finds_the_optimum_under_every_model(model: Model, searched: Searched) -> None:
    found = anonymize(searched.frame, searched.ladders, k=3, suppression=0.2, models=[model])
    best = min(
        loss for loss in (try_node(model, searched, a, z) for a in range(6) for z in range(3)) if loss is not None
    )
    assert found.loss == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__ + "-" + model.sensitive)
def test_the_local_search_keeps_every_model_too(model: Model, searched: Searched) -> None:
    found = anonymize_local(searched.frame, searched.ladders, k=3, suppression=0.3, models=[model])
    assert found.frame.height >= 168
    whole = searched.frame[model.sensitive]
    assert unprotected_classes(found.frame, list(searched.ladders), model, whole=whole) == 0


def try_node(model: Model, searched: Searched, age: int, zone: int) -> float | None:
    """Loss of one node by brute force, None where more than a fifth is suppressed."""
    frame, ladders = searched.frame, searched.ladders
    labelled = frame.with_columns(
        ladders["age"].labels(frame["age"], age).cast(pl.String), ladders["zone"].labels(frame["zone"], zone)
    )
    keys = labelled.select("age", "zone").rows()
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    groups = np.array([numbers[key] for key in keys])
    sensitive = encode_sensitive(frame[model.sensitive])
    weak = unprotected(model, groups, sensitive, np.ones(240, dtype=np.int64), len(numbers))
    out = (weak | (np.bincount(groups) < 3))[groups]
    if out.sum() > 48:
        return None
    cells = [
        ladders[name].losses(level)[ladders[name].encode(frame[name])] for name, level in (("age", age), ("zone", zone))
    ]
    return float(np.mean([np.where(out, 1.0, cell).mean() for cell in cells]))


def test_k_map_lets_a_sample_keep_what_k_anonymity_takes(searched: Searched) -> None:
    population = searched.frame.with_row_index("n")
    told = with_membership(population.gather_every(12), population, ["age", "zone"]).drop("n")
    ladders = searched.ladders
    mapped = anonymize(told, ladders, k=1, suppression=0, models=[KMap("in_sample", 5)])
    alone = anonymize(told.filter("in_sample"), ladders, k=5, suppression=0)
    assert mapped.loss < alone.loss
    sizes = mapped.frame.group_by("age", "zone").agg(pl.len(), pl.col("in_sample").sum())
    assert sizes.filter(pl.col("in_sample") > 0)["len"].min() >= 5  # type: ignore[operator]
    hidden = anonymize(told, ladders, k=1, suppression=0.1, models=[DeltaPresence("in_sample", 0, 0.2)])
    shares = hidden.frame.group_by("age", "zone").agg(pl.col("in_sample").mean())["in_sample"]
    assert shares.max() <= 0.2  # type: ignore[operator]


@pytest.mark.parametrize(
    "make",
    [
        lambda: EntropyDiversity("s", 0.5),
        lambda: RecursiveDiversity("s", 0, 2),
        lambda: RecursiveDiversity("s", 1, 0),
        lambda: Closeness("s", 1.5),
        lambda: DeltaDisclosure("s", 0),
        lambda: BetaLikeness("s", 0),
        lambda: KMap("s", 0),
        lambda: DeltaPresence("s", 0.5, 0.4),
    ],
)
def test_a_model_that_asks_for_nothing_is_refused(make: Callable[[], Model]) -> None:
    with pytest.raises(ArgumentInvalid, match="asked is"):
        make()


def test_a_group_without_rows_is_no_offence() -> None:
    models = [*(model for model, _ in TEXT.values()), KMap("s", 9)]
    for model in models:
        assert set(weak_groups(model, [(1, "x", 2), (3, "y", 1)], pl.String)) <= {1, 3}
