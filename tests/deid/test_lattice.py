"""The exact engine finds the optimum: against published figures, against brute force, and on bad input."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdex.deid import hierarchy
from hdex.deid.diversity import Diversity
from hdex.deid.errors import HierarchyIncomplete, InputInvalid, RiskTooHigh
from hdex.deid.hierarchy import Hierarchy
from hdex.deid.lattice import anonymize

ADULT = Path(__file__).resolve().parents[2].parent / "shared/data/adult"

LADDERS = {  # value -> labels at level 1, 2, ...
    "a": [{"1": "12", "2": "12", "3": "34", "4": "34"}],
    "b": [{"x": "xy", "y": "xy", "z": "zw", "w": "zw"}],
    "c": [{"0": "0", "1": "1"}],
}
rows = st.lists(
    st.tuples(st.sampled_from("1234"), st.sampled_from("xyzw"), st.sampled_from("01"), st.sampled_from("st")),
    min_size=1,
    max_size=24,
)


def table_of(values: Sequence[tuple[str, ...]]) -> pl.DataFrame:
    return pl.DataFrame(values, schema=["a", "b", "c", "secret"], orient="row")


def ladders(frame: pl.DataFrame) -> dict[str, Hierarchy]:
    """Hierarchies over all leaves, those that the table lacks included."""
    return {name: hierarchy.groups(pl.Series(name, list(steps[0])), steps) for name, steps in LADDERS.items()}


def label(name: str, value: str, level: int) -> tuple[str, int]:
    """Label and number of leaves below it, written down a second time for the oracle."""
    steps = LADDERS[name]
    if level == 0:
        return value, 1
    if level > len(steps):
        return "*", len(steps[0])
    text = steps[level - 1][value]
    return text, sum(1 for other in steps[level - 1].values() if other == text)


def brute_force(frame: pl.DataFrame, k: int, allowed: int, least_values: int) -> float | None:
    """Least loss over every node, counted row by row."""
    best = None
    for node in itertools.product(*(range(len(LADDERS[n]) + 2) for n in "abc")):
        records = [
            tuple(label(n, row[n], level) for n, level in zip("abc", node, strict=True)) for row in frame.to_dicts()
        ]
        sizes = Counter(records)
        secrets = defaultdict(set)
        for record, secret in zip(records, frame["secret"], strict=True):
            secrets[record].add(secret)
        kept = [r for r in records if sizes[r] >= k and len(secrets[r]) >= least_values]
        if len(records) - len(kept) > allowed:
            continue
        cells = [sum((n - 1) / (len(LADDERS[c][0]) - 1) for c, (_, n) in zip("abc", r, strict=True)) / 3 for r in kept]
        loss = (sum(cells) + len(records) - len(kept)) / len(records)
        best = loss if best is None else min(best, loss)
    return best


@pytest.mark.parametrize(
    ("k", "suppression", "loss"),
    [(5, 0.0, 0.6608), (5, 0.02, 0.3314), (5, 0.05, 0.2618), (5, 1.0, 0.2271), (10, 0.05, 0.3315)],
)
def test_adult_reaches_the_optimum_of_arx(k: int, suppression: float, loss: float) -> None:
    if not ADULT.exists():
        pytest.skip("../shared/data is absent")
    frame = pl.read_csv(ADULT / "adult.csv", separator=";")
    quasi = [name for name in frame.columns if name != "salary-class"]
    found = {name: hierarchy.find_csv(ADULT, name) for name in quasi}
    ladder = {name: hierarchy.from_csv(path, name) for name, path in found.items() if path}
    result = anonymize(frame, ladder, k=k, suppression=suppression)
    assert round(result.loss, 4) == loss
    assert result.frame.height == frame.height - result.suppressed
    assert result.frame.group_by(quasi).len()["len"].min() >= k  # type: ignore[operator]  # not empty: a number


@settings(max_examples=50, deadline=None)
@given(rows, st.integers(1, 4), st.sampled_from([0.0, 0.1, 0.3, 1.0]), st.integers(1, 2))
def test_the_search_equals_brute_force(
    values: list[tuple[str, ...]], k: int, suppression: float, least_values: int
) -> None:
    frame = table_of(values)
    expected = brute_force(frame, k, int(suppression * frame.height + 1e-9), least_values)
    models = [Diversity("secret", least_values=least_values)]
    if expected is None or frame.height < k:
        with pytest.raises(RiskTooHigh):
            anonymize(frame, ladders(frame), k=k, suppression=suppression, models=models)
        return
    result = anonymize(frame, ladders(frame), k=k, suppression=suppression, models=models)
    assert result.loss == pytest.approx(expected, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(rows, st.integers(2, 5))
def test_what_leaves_has_no_class_smaller_than_k(values: list[tuple[str, ...]], k: int) -> None:
    frame = table_of(values)
    try:
        result = anonymize(frame, ladders(frame), k=k, suppression=1.0)
    except RiskTooHigh:
        assert frame.height < k
        return
    sizes = Counter(result.frame.select("a", "b", "c").iter_rows())
    assert min(sizes.values(), default=k) >= k
    assert result.classes == len(sizes)
    assert result.frame["secret"].to_list() == frame.filter(result.kept)["secret"].to_list()


@settings(max_examples=30, deadline=None)
@given(rows)
def test_a_model_of_l_or_t_holds_in_every_class(values: list[tuple[str, ...]]) -> None:
    frame = table_of(values)
    model = Diversity("secret", least_values=2, distance=0.3)
    result = anonymize(frame, ladders(frame), k=1, suppression=1.0, models=[model])
    share = (frame["secret"] == "s").mean()
    assert isinstance(share, float)
    for _, part in result.frame.group_by("a", "b", "c"):
        own = (part["secret"] == "s").mean()
        assert isinstance(own, float)
        assert part["secret"].n_unique() >= 2 or abs(own - share) <= 0.3 + 1e-9


def test_k_counts_patients_not_rows() -> None:
    frame = pl.DataFrame({"a": ["1", "1", "1", "2", "2"], "who": ["p", "p", "p", "q", "r"]})
    ladder = {"a": hierarchy.suppress_only(frame["a"])}
    assert anonymize(frame, ladder, k=2, suppression=0.0).transformation == {"a": 0}
    assert anonymize(frame, ladder, k=2, suppression=0.0, patient="who").transformation == {"a": 1}


def test_null_is_a_category_of_its_own() -> None:
    frame = pl.DataFrame({"a": [1.0, 1.0, None, float("nan"), 5.0]})
    result = anonymize(frame, {"a": hierarchy.suppress_only(frame["a"])}, k=2, suppression=0.2)
    assert result.frame["a"].to_list() == [1.0, 1.0, None, None]


def test_a_column_of_one_value_costs_nothing() -> None:
    frame = pl.DataFrame({"a": ["1"] * 4})
    result = anonymize(frame, {"a": hierarchy.suppress_only(frame["a"])}, k=4, suppression=0.0)
    assert (result.loss, result.transformation, result.classes) == (0.0, {"a": 0}, 1)


def test_all_unique_values_become_one_class_or_nothing() -> None:
    frame = pl.DataFrame({"a": [str(i) for i in range(9)]})
    result = anonymize(frame, {"a": hierarchy.suppress_only(frame["a"])}, k=3, suppression=0.0)
    assert (result.loss, result.frame["a"].unique().to_list()) == (1.0, ["*"])


def test_a_floor_keeps_a_column_from_its_finest_level() -> None:
    frame = pl.DataFrame({"a": [60] * 8})
    result = anonymize(frame, {"a": hierarchy.interval(frame["a"])}, k=2, floors={"a": 2})
    assert result.frame["a"].unique().to_list() == ["60-69"]


def test_a_hierarchy_that_misses_a_value_is_named_without_the_value() -> None:
    ladder = hierarchy.suppress_only(pl.Series("a", ["1", "2"]))
    with pytest.raises(HierarchyIncomplete, match="column a misses 1") as caught:
        anonymize(pl.DataFrame({"a": ["1", "secret-9"]}), {"a": ladder}, k=1)
    assert "secret-9" not in str(caught.value)


def test_k_above_the_table_is_refused() -> None:
    frame = pl.DataFrame({"a": ["1", "2"]})
    with pytest.raises(RiskTooHigh, match="k is 2, asked is 3"):
        anonymize(frame, {"a": hierarchy.suppress_only(frame["a"])}, k=3, suppression=1.0)


@pytest.mark.parametrize(
    ("frame", "arguments", "message"),
    [
        (pl.DataFrame({"a": pl.Series([], dtype=pl.String)}), {"k": 2}, "0 rows"),
        (pl.DataFrame({"b": ["1"]}), {"k": 2}, "columns a are not"),
        (pl.DataFrame({"a": ["1"]}), {"k": 0}, "k is 0"),
        (pl.DataFrame({"a": ["1"]}), {"k": 2, "suppression": 1.5}, "suppression is 1.5"),
    ],
)
def test_bad_input_is_named(frame: pl.DataFrame, arguments: dict[str, float], message: str) -> None:
    ladder = hierarchy.suppress_only(pl.Series("a", ["1"]))
    with pytest.raises(InputInvalid, match=message):
        anonymize(frame, {"a": ladder}, **arguments)  # type: ignore[arg-type]  # wrong on purpose
